/* The local tier on LMDB: opening, closing, and the table of its operations. */
#include "lmdb_tier.h"

#include "env.h"
#include "ops.h"
#include "snapshot.h"
#include "state.h"
#include "txn.h"
#include "fail.h"

#include <stdlib.h>

static void tier_close(struct hf_local_tier *handle)
{
    struct hf__lmdb_tier *tier = (struct hf__lmdb_tier *)handle;

    if (!tier)
        return;
    hf__lmdb_pool_release(tier);
    hf__lmdb_env_release(&tier->env);
    free(tier);
}

static const struct hf_local_ops operations = {
    .close = tier_close,

    .snap_begin = hf__lmdb_snap_begin,
    .snap_end = hf__lmdb_snap_end,
    .snap_covered_lsn = hf__lmdb_snap_covered_lsn,
    .get = hf__lmdb_record_get,
    .stats = hf__lmdb_stats,
    .count_expired = hf__lmdb_count_expired,
    .iter_open = hf__lmdb_iter_open,
    .iter_next = hf__lmdb_iter_next,
    .iter_close = hf__lmdb_iter_close,
    .pending_get = hf__lmdb_pending_get,
    .pending_next = hf__lmdb_pending_next,
    .pending_walk = hf__lmdb_pending_walk,
    .lane_next = hf__lmdb_lane_next,
    .lane_last = hf__lmdb_lane_last,
    .parked_next = hf__lmdb_parked_next,
    .conflict_next = hf__lmdb_conflict_next,
    .gap_next = hf__lmdb_gap_next,
    .retained_next = hf__lmdb_retained_next,
    .meta_get = hf__lmdb_meta_get,

    .txn_begin = hf__lmdb_txn_begin,
    .txn_commit = hf__lmdb_txn_commit,
    .txn_abort = hf__lmdb_txn_abort,
    .txn_snap = hf__lmdb_txn_snap,
    .put = hf__lmdb_record_put,
    .remove = hf__lmdb_record_remove,
    .expired_next = hf__lmdb_expired_next,
    .pending_put = hf__lmdb_pending_put,
    .pending_remove = hf__lmdb_pending_remove,
    .lane_put = hf__lmdb_lane_put,
    .lane_remove = hf__lmdb_lane_remove,
    .parked_put = hf__lmdb_parked_put,
    .parked_remove = hf__lmdb_parked_remove,
    .conflict_put = hf__lmdb_conflict_put,
    .conflict_remove = hf__lmdb_conflict_remove,
    .gap_put = hf__lmdb_gap_put,
    .gap_remove = hf__lmdb_gap_remove,
    .retained_put = hf__lmdb_retained_put,
    .retained_remove = hf__lmdb_retained_remove,
    .meta_put = hf__lmdb_meta_put,
};

static struct hf_lmdb_options with_defaults(const struct hf_lmdb_options *opts)
{
    struct hf_lmdb_options full = opts ? *opts : (struct hf_lmdb_options){0};

    if (full.map_bytes == 0)
        full.map_bytes = HF_MAX_DISK_DEFAULT;
    if (full.max_readers == 0)
        full.max_readers = HF_LMDB_MAX_READERS_DEFAULT;
    return full;
}

/* A tier whose state cannot be read is not opened: it could not say what it covers. */
static int check_state(struct hf__lmdb_tier *tier)
{
    struct hf_local_snap *snap;
    int rc = hf__lmdb_snap_begin(&tier->tier, &snap);

    if (rc != 0)
        return rc;
    rc = hf__lmdb_state_load(snap);
    hf__lmdb_snap_end(snap);
    return rc;
}

static int open_parts(struct hf__lmdb_tier *tier, const char *dir, const struct hf_lmdb_options *opts)
{
    int rc = hf__lmdb_env_open(&tier->env, dir, opts);

    return rc == 0 ? hf__lmdb_pool_init(tier) : rc;
}

int hf__lmdb_open(const char *dir, const struct hf_lmdb_options *opts, struct hf_local_tier **ret_tier)
{
    struct hf_lmdb_options full = with_defaults(opts);
    struct hf__lmdb_tier *tier = aligned_alloc(_Alignof(struct hf__lmdb_tier), sizeof(*tier));
    int rc;

    if (!tier)
        return hf__fail(HF_ENOMEM, "out of memory: a local tier");
    memset(tier, 0, sizeof(*tier));
    tier->tier.ops = &operations;
    rc = open_parts(tier, dir, &full);
    if (rc != 0) {
        hf__lmdb_env_release(&tier->env);
        free(tier);
        return rc;
    }
    rc = check_state(tier);
    if (rc != 0) {
        tier_close(&tier->tier);
        return rc;
    }
    *ret_tier = &tier->tier;
    return 0;
}
