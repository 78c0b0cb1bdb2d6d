/* Past replays, for a rollback to before the end of one. A replay sends what waits in the order of keys, so that Redis has younger changes
 * before older ones, and what has survived of it does not tell by its LSNs what has not (docs/reconcile.md, "Evidence of loss").
 *
 * Kept in the local tier: a replay sends nothing before a checkpoint has stored that it has begun. */
#include "link_state.h"

#include "checkpoint.h"
#include "fail.h"

#define STILL_MS INT64_MAX
#define HEAD_BYTES 8
#define REPLAY_BYTES 16
#define AROUND_MS 1000 /* between Redis's clock and ours */

/* Of the two oldest: a rollback to so long ago is sent more again than it needs. */
static void join_oldest(struct hf_past *past)
{
    past->replays[1].first_lsn = past->replays[0].first_lsn;
    memmove(past->replays, past->replays + 1, --past->n * sizeof(past->replays[0]));
}

/* One that a lost connection or a crash has ended is still the same. */
void hf__past_begin(struct hf_link *link)
{
    struct hf_past *past = &link->past;

    pthread_mutex_lock(&link->mutex);
    if (past->n == 0 || past->replays[past->n - 1].to_ms != STILL_MS) {
        if (past->n == HF_PAST_REPLAYS)
            join_oldest(past);
        past->replays[past->n++] = (struct hf_past_replay){.to_ms = STILL_MS, .first_lsn = past->acked_below_lsn};
    }
    pthread_mutex_unlock(&link->mutex);
}

void hf__past_end(struct hf_link *link)
{
    struct hf_past *past = &link->past;

    pthread_mutex_lock(&link->mutex);
    if (past->n > 0)
        past->replays[past->n - 1].to_ms = link->turn.now_ms;
    past->acked_below_lsn = link->live_from;
    pthread_mutex_unlock(&link->mutex);
}

uint64_t hf__past_first_lsn(const struct hf_link *link, int64_t at_ms)
{
    const struct hf_past *past = &link->past;
    uint64_t first_lsn = UINT64_MAX;

    for (size_t i = 0; i < past->n; i++) {
        const struct hf_past_replay *replay = &past->replays[i];
        if (at_ms - AROUND_MS <= replay->to_ms && replay->first_lsn < first_lsn)
            first_lsn = replay->first_lsn;
    }
    return first_lsn;
}

int hf__past_store(struct hf *store, struct hf_local_txn *txn, const struct hf_past *past)
{
    uint8_t bytes[HEAD_BYTES + HF_PAST_REPLAYS * REPLAY_BYTES];
    uint8_t *at = bytes + HEAD_BYTES;

    hf__put64(bytes, past->acked_below_lsn);
    for (size_t i = 0; i < past->n; i++, at += REPLAY_BYTES) {
        hf__put64(at, (uint64_t)past->replays[i].to_ms);
        hf__put64(at + 8, past->replays[i].first_lsn);
    }
    return store->local->ops->meta_put(txn, hf__slice_str(HF_META_REPLAYS), hf__slice(bytes, (size_t)(at - bytes)));
}

int hf__past_load(struct hf *store, struct hf_local_snap *snap)
{
    struct hf_past *past = &store->link->past;
    struct hf_slice value;
    const uint8_t *at;
    int rc = store->local->ops->meta_get(snap, hf__slice_str(HF_META_REPLAYS), &value);

    if (rc != 0)
        return rc == HF_NOT_FOUND ? 0 : rc;
    if (value.len < HEAD_BYTES || (value.len - HEAD_BYTES) % REPLAY_BYTES != 0 ||
        (value.len - HEAD_BYTES) / REPLAY_BYTES > HF_PAST_REPLAYS)
        return hf__fail(HF_ECORRUPT,
                        "the local tier's note on replays has %zu bytes; expected %d and at most %d times %d",
                        value.len, HEAD_BYTES, HF_PAST_REPLAYS, REPLAY_BYTES);
    at = value.data;
    past->acked_below_lsn = hf__get64(at);
    past->n = (value.len - HEAD_BYTES) / REPLAY_BYTES;
    at += HEAD_BYTES;
    for (size_t i = 0; i < past->n; i++, at += REPLAY_BYTES)
        past->replays[i] = (struct hf_past_replay){.to_ms = (int64_t)hf__get64(at), .first_lsn = hf__get64(at + 8)};
    return 0;
}
