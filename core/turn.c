/* The clocks of a turn. */
#include "turn.h"

#define MEMO_MS 5000 /* a span: within it the drift adds no millisecond */
#define MEMOS (sizeof(((struct hf_turn *)0)->memo) / sizeof(struct hf_turn_memo))

void hf__turn_begin(struct hf *store, struct hf_turn *ret_turn)
{
    *ret_turn = (struct hf_turn){.store = store, .now_ms = hf__now_ms(store)};
    ret_turn->known = hf__timeline_shared(&store->time, &ret_turn->offset_ms, &ret_turn->uncertainty_ms);
}

int64_t hf__turn_to_redis_ms(const struct hf_turn *turn, int64_t timeline_ms)
{
    return timeline_ms == 0 ? 0 : timeline_ms + turn->offset_ms;
}

int64_t hf__turn_from_redis_ms(const struct hf_turn *turn, int64_t redis_ms)
{
    return redis_ms == 0 ? 0 : redis_ms - turn->offset_ms;
}

int64_t hf__turn_uncertainty_ms(struct hf_turn *turn, int64_t made_ms)
{
    int64_t span = made_ms / MEMO_MS;
    struct hf_turn_memo *memo = &turn->memo[(uint64_t)span % MEMOS];

    if (!turn->known)
        return HF_TIME_UNCERTAIN_MS;
    if (memo->ms == 0 || memo->span != span) {
        memo->span = span;
        memo->ms = turn->uncertainty_ms + hf__timeline_uncertainty_ms(&turn->store->time, made_ms) + 1;
    }
    return memo->ms;
}
