/* The conflict log, for applications and operators. */
#include "fail.h"
#include "judge.h"
#include "unlist.h"
#include "write.h"

#include <inttypes.h>

static enum hf_op_kind kind_of(const struct hf_conflict_row *row)
{
    if (row->op == HF_PENDING_DELETE)
        return HF_OP_DELETE;
    if (row->op != HF_PENDING_TTL)
        return HF_OP_SET;
    return row->ours.deadline_ms ? HF_OP_EXPIRE_AT : HF_OP_PERSIST;
}

static struct hf_side side_of(const struct hf_conflict_side *side, const uint8_t *value)
{
    return (struct hf_side){
        .present = side->present,
        .too_long = side->too_long,
        .value = hf__slice(side->too_long ? NULL : value, side->too_long ? 0 : side->value.len),
        .deadline_ms = side->deadline_ms,
        .made_ms = side->made_ms,
        .uncertainty_ms = side->uncertainty_ms,
    };
}

static int copy_bytes(const struct hf_conflict_row *row, struct hf_bytes *copy)
{
    int rc;

    hf__bytes_reset(copy);
    rc = hf__bytes_append(copy, row->key.data, row->key.len);
    if (rc == 0)
        rc = hf__bytes_append(copy, row->ours.value.data, row->ours.value.len);
    if (rc == 0)
        rc = hf__bytes_append(copy, row->theirs.value.data, row->theirs.value.len);
    return rc;
}

/* One conflict, copied out, so that the callback runs without a snapshot. HF_NOT_FOUND at the end. */
static int next_conflict(struct hf *store, uint64_t from_id, struct hf_bytes *copy,
                         struct hf_conflict *ret_conflict)
{
    const struct hf_local_ops *ops = store->local->ops;
    struct hf_local_snap *snap;
    struct hf_conflict_row row;
    int rc = ops->snap_begin(store->local, &snap);

    if (rc != 0)
        return rc;
    rc = ops->conflict_next(snap, from_id, &row);
    if (rc == 0)
        rc = copy_bytes(&row, copy);
    ops->snap_end(snap);
    if (rc != 0)
        return rc;
    *ret_conflict = (struct hf_conflict){
        .id = row.id,
        .key = hf__slice(copy->bytes, row.key.len),
        .kind = kind_of(&row),
        .winner = (enum hf_winner)row.winner,
        .ambiguous = row.rule == HF_RULE_AMBIGUOUS,
        .blind = row.rule == HF_RULE_BLIND,
        .rule = hf__rule_text(row.rule),
        .decided_ms = row.decided_ms,
        .ours = side_of(&row.ours, copy->bytes + row.key.len),
        .theirs = side_of(&row.theirs, copy->bytes + row.key.len + row.ours.value.len),
    };
    return 0;
}

int hf_conflict_list(struct hf *store, uint64_t from_id, int (*each)(void *ctx, const struct hf_conflict *conflict),
                     void *ctx)
{
    struct hf_bytes copy = {0};
    struct hf_conflict conflict;
    int rc = hf__check_handle(store, false), found = 0;

    if (rc == 0)
        rc = hf__unlist_prepare(store);
    if (rc != 0)
        return rc;
    while (rc == 0 && (found = next_conflict(store, from_id, &copy, &conflict)) == 0) {
        from_id = conflict.id + 1;
        rc = each(ctx, &conflict);
    }
    hf__bytes_release(&copy);
    if (rc != 0)
        return rc;
    return found == HF_NOT_FOUND ? 0 : found;
}

static struct hf_unlist unlist_of(const struct hf_conflict *conflict)
{
    return (struct hf_unlist){.what = HF_LEFT_RESOLVE, .listed = conflict->id, .key = conflict->key};
}

/* 0 when it is stored, HF_NOT_FOUND when not. */
static int find_stored(struct hf *store, uint64_t id, struct hf_bytes *copy, struct hf_conflict *ret_conflict)
{
    int rc = next_conflict(store, id, copy, ret_conflict);

    return rc == 0 && ret_conflict->id != id ? HF_NOT_FOUND : rc;
}

/* One that is listed, stored or not yet, and that nobody is taking off. */
static int find(struct hf *store, uint64_t id, struct hf_bytes *copy, struct hf_conflict *ret_conflict)
{
    struct hf_unlist unlist = {.what = HF_LEFT_RESOLVE, .listed = id};
    int rc = hf__check_handle(store, true);

    if (rc == 0)
        rc = find_stored(store, id, copy, ret_conflict);
    if (rc == HF_NOT_FOUND && (rc = hf__unlist_prepare(store)) == 0)
        rc = find_stored(store, id, copy, ret_conflict);
    if (rc == HF_NOT_FOUND)
        return hf__unlist_missing(&unlist);
    return rc == 0 ? hf__unlist_check(store, &unlist) : rc;
}

int hf_conflict_resolve(struct hf *store, uint64_t id)
{
    struct hf_bytes copy = {0};
    struct hf_conflict conflict;
    struct hf_unlist unlist;
    int rc = find(store, id, &copy, &conflict);

    if (rc == 0) {
        unlist = unlist_of(&conflict);
        rc = hf__unlist_alone(store, &unlist, "conflict-resolve");
    }
    hf__bytes_release(&copy);
    return rc;
}

/* ---- restoring ---- */

static int check_loser(const struct hf *store, const struct hf_conflict *conflict, const struct hf_side *loser)
{
    if (conflict->winner == HF_WINNER_MERGED)
        return hf__fail(HF_EINVAL, "conflict %" PRIu64 " was merged: neither side lost as a whole", conflict->id);
    if (loser->present && loser->too_long)
        return hf__fail(HF_EINVAL, "the value that lost conflict %" PRIu64 " was too long to be kept",
                        conflict->id);
    if (loser->present && hf__is_expired(loser->deadline_ms, hf__now_ms(store)))
        return hf__fail(HF_EINVAL, "the deadline of the value that lost conflict %" PRIu64 " has passed",
                        conflict->id);
    return 0;
}

static int restore(struct hf *store, const struct hf_conflict *conflict, struct hf_result *ret_result)
{
    const struct hf_side *loser = conflict->winner == HF_WINNER_OURS ? &conflict->theirs : &conflict->ours;
    struct hf_unlist unlist = unlist_of(conflict);
    struct hf_op op = {
        .kind = loser->present ? HF_OP_SET : HF_OP_DELETE,
        .key = conflict->key,
        .value = loser->value,
        .set = {.deadline_ms = loser->deadline_ms, .no_ttl = loser->deadline_ms == 0},
    };
    int rc = check_loser(store, conflict, loser);

    if (rc == 0)
        rc = hf__unlist_audit(store, &unlist, "conflict-restore");
    return rc == 0 ? hf__write_unlisting(store, &op, &unlist, ret_result) : rc;
}

int hf_conflict_restore(struct hf *store, uint64_t id, struct hf_result *ret_result)
{
    struct hf_bytes copy = {0};
    struct hf_conflict conflict;
    int rc = find(store, id, &copy, &conflict);

    if (rc == 0)
        rc = restore(store, &conflict, ret_result);
    hf__bytes_release(&copy);
    return rc;
}
