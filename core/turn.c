/* The clocks of a turn. */
#include "turn.h"

#define MEMO_MS 5000 /* within it the drift adds no millisecond */

void hf__turn_begin(struct hf *store, struct hf_turn *ret_turn)
{
    *ret_turn = (struct hf_turn){.store = store, .now_ms = hf__now_ms(store), .memo_made_ms = INT64_MIN / 2};
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
    int64_t apart_ms = made_ms - turn->memo_made_ms;

    if (!turn->known)
        return HF_TIME_UNCERTAIN_MS;
    if (apart_ms > MEMO_MS || apart_ms < -MEMO_MS) {
        turn->memo_made_ms = made_ms;
        turn->memo_ms = turn->uncertainty_ms + hf__timeline_uncertainty_ms(&turn->store->time, made_ms) + 1;
    }
    return turn->memo_ms;
}
