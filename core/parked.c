/* The parked list, for applications and operators: what Redis refused, or may have applied without our knowing. */
#include "fail.h"
#include "unlist.h"
#include "write.h"

#include <inttypes.h>

static enum hf_op_kind kind_of(uint8_t lane_op)
{
    switch (lane_op) {
    case HF_LANE_DELETE: return HF_OP_DELETE;
    case HF_LANE_EXPIRE: return HF_OP_EXPIRE_AT;
    case HF_LANE_PERSIST: return HF_OP_PERSIST;
    case HF_LANE_INCR: return HF_OP_INCR;
    default: return HF_OP_SET;
    }
}

/* One parked entry, copied out, so that the callback runs without a snapshot. HF_NOT_FOUND at the end. */
static int next_parked(struct hf *store, uint64_t from_lsn, struct hf_bytes *copy, struct hf_parked *ret_parked)
{
    const struct hf_local_ops *ops = store->local->ops;
    struct hf_local_snap *snap;
    struct hf_parked_row row;
    int rc = ops->snap_begin(store->local, &snap);

    if (rc != 0)
        return rc;
    rc = ops->parked_next(snap, from_lsn, &row);
    hf__bytes_reset(copy);
    if (rc == 0)
        rc = hf__bytes_append(copy, row.entry.key.data, row.entry.key.len);
    if (rc == 0)
        rc = hf__bytes_append(copy, row.entry.value.data, row.entry.value.len);
    if (rc == 0)
        rc = hf__bytes_append(copy, row.reason.data, row.reason.len);
    if (rc == 0)
        rc = hf__bytes_append(copy, "", 1);
    ops->snap_end(snap);
    if (rc != 0)
        return rc;
    *ret_parked = (struct hf_parked){
        .lsn = row.entry.lsn,
        .in_doubt = row.in_doubt,
        .kind = kind_of(row.entry.op),
        .key = hf__slice(copy->bytes, row.entry.key.len),
        .value = hf__slice(copy->bytes + row.entry.key.len, row.entry.value.len),
        .delta = row.entry.delta,
        .deadline_ms = row.entry.deadline_ms,
        .made_ms = row.entry.made_ms,
        .reason = (const char *)copy->bytes + row.entry.key.len + row.entry.value.len,
    };
    return 0;
}

int hf_parked_list(struct hf *store, int (*each)(void *ctx, const struct hf_parked *entry), void *ctx)
{
    struct hf_bytes copy = {0};
    struct hf_parked parked;
    uint64_t from_lsn = 0;
    int rc = hf__check_handle(store, false), found = 0;

    if (rc == 0)
        rc = hf__unlist_prepare(store);
    if (rc != 0)
        return rc;
    while (rc == 0 && (found = next_parked(store, from_lsn, &copy, &parked)) == 0) {
        from_lsn = parked.lsn + 1;
        rc = each(ctx, &parked);
    }
    hf__bytes_release(&copy);
    if (rc != 0)
        return rc;
    return found == HF_NOT_FOUND ? 0 : found;
}

static struct hf_unlist unlist_of(const struct hf_parked *parked)
{
    return (struct hf_unlist){.what = HF_LEFT_UNPARK, .listed = parked->lsn, .key = parked->key};
}

/* 0 when it is stored, HF_NOT_FOUND when not. */
static int find_stored(struct hf *store, uint64_t lsn, struct hf_bytes *copy, struct hf_parked *ret_parked)
{
    int rc = next_parked(store, lsn, copy, ret_parked);

    return rc == 0 && ret_parked->lsn != lsn ? HF_NOT_FOUND : rc;
}

/* One that is listed, stored or not yet, and that nobody is taking off. */
static int find(struct hf *store, uint64_t lsn, struct hf_bytes *copy, struct hf_parked *ret_parked)
{
    struct hf_unlist unlist = {.what = HF_LEFT_UNPARK, .listed = lsn};
    int rc = hf__check_handle(store, true);

    if (rc == 0)
        rc = find_stored(store, lsn, copy, ret_parked);
    if (rc == HF_NOT_FOUND && (rc = hf__unlist_prepare(store)) == 0)
        rc = find_stored(store, lsn, copy, ret_parked);
    if (rc == HF_NOT_FOUND)
        return hf__unlist_missing(&unlist);
    return rc == 0 ? hf__unlist_check(store, &unlist) : rc;
}

static struct hf_op op_of(const struct hf_parked *parked)
{
    return (struct hf_op){
        .kind = parked->kind,
        .key = parked->key,
        .value = parked->value,
        .set = {.deadline_ms = parked->deadline_ms, .no_ttl = parked->deadline_ms == 0},
        .deadline_ms = parked->deadline_ms,
        .delta = parked->delta,
    };
}

static int check_alive(const struct hf *store, const struct hf_parked *parked)
{
    bool has_life = parked->kind == HF_OP_SET || parked->kind == HF_OP_EXPIRE_AT;

    if (!has_life || !hf__is_expired(parked->deadline_ms, hf__now_ms(store)))
        return 0;
    return hf__fail(HF_EINVAL, "the deadline of the parked entry %" PRIu64 " has passed: it can only be dropped",
                    parked->lsn);
}

/* What is listed still, and could not be made again, changes the life of a key that is not there. */
static int requeue(struct hf *store, const struct hf_parked *parked, struct hf_result *ret_result)
{
    struct hf_unlist unlist = unlist_of(parked);
    struct hf_op op = op_of(parked);
    int rc = hf__unlist_audit(store, &unlist, "parked-requeue");

    if (rc == 0)
        rc = hf__write_unlisting(store, &op, &unlist, ret_result);
    if (rc == HF_NOT_FOUND && hf__unlist_check(store, &unlist) == 0)
        return hf__fail(HF_EINVAL,
                        "the parked entry %" PRIu64 " changes the life of a key that is not there: it can only be "
                        "dropped",
                        parked->lsn);
    return rc;
}

int hf_parked_requeue(struct hf *store, uint64_t lsn, struct hf_result *ret_result)
{
    struct hf_bytes copy = {0};
    struct hf_parked parked;
    int rc = find(store, lsn, &copy, &parked);

    if (rc == 0)
        rc = check_alive(store, &parked);
    if (rc == 0)
        rc = requeue(store, &parked, ret_result);
    hf__bytes_release(&copy);
    return rc;
}

int hf_parked_drop(struct hf *store, uint64_t lsn)
{
    struct hf_bytes copy = {0};
    struct hf_unlist unlist;
    struct hf_parked parked;
    int rc = find(store, lsn, &copy, &parked);

    if (rc == 0) {
        unlist = unlist_of(&parked);
        rc = hf__unlist_alone(store, &unlist, "parked-drop");
    }
    hf__bytes_release(&copy);
    return rc;
}
