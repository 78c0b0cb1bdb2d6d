/* How a change has ended, as far as there is evidence: its version in the overlay, what the link has left for the next
 * checkpoint, what the local tier's tables say, and at last what is held of the key. */
#include "control.h"
#include "fail.h"
#include "link.h"
#include "lookup.h"

#include <inttypes.h>

const char *hf_outcome_text(enum hf_outcome outcome)
{
    static const char *const texts[] = {
#define X(name, text) [name] = text,
        HF_OUTCOME_MAP(X)
#undef X
    };

    return (unsigned)outcome < HF_N_OUTCOMES ? texts[outcome] : "unknown";
}

struct question {
    struct hf_look *look;
    struct hf_slice key;
    uint64_t lsn;
    const struct hf_version *version;        /* of the change; NULL: not in the overlay */
    bool taken_along;                        /* a newer lane entry of the key carries a plain version */
    bool is_ended, is_unparked, is_resolved; /* by what is left for the next checkpoint */
};

static bool is_about(const struct question *q, struct hf_slice key)
{
    return hf__slice_eq(key, q->key);
}

/* ---- the overlay ---- */

static void find_in_node(struct question *q, const struct hf_node *node)
{
    bool lane_above = q->taken_along;

    for (const struct hf_version *v = node ? atomic_load(&node->head) : NULL; v && !q->version; v = v->older) {
        if (v->lsn == q->lsn) {
            q->version = v;
            q->taken_along = lane_above && !(v->flags & HF_ENTRY_LANE);
        }
        lane_above |= (v->flags & HF_ENTRY_LANE) != 0;
    }
    if (!q->version)
        q->taken_along = lane_above;
}

static void find_version(struct question *q)
{
    const struct hf_view *view = &q->look->view;

    find_in_node(q, hf__generation_find(view->active, q->key));
    if (!q->version && view->frozen)
        find_in_node(q, hf__generation_find(view->frozen, q->key));
    if (!q->version)
        q->taken_along = false;
}

/* ---- what is left for the next checkpoint ---- */

static enum hf_outcome outcome_of_conflict(const struct hf_conflict_row *row)
{
    switch (row->rule) {
    case HF_RULE_BLIND: return HF_OUTCOME_APPLIED;
    case HF_RULE_OVERTURNED: return HF_OUTCOME_OVERTURNED;
    case HF_RULE_DROPPED: return HF_OUTCOME_DROPPED;
    }
    if (row->winner == HF_WINNER_MERGED)
        return HF_OUTCOME_MERGED;
    return row->winner == HF_WINNER_OURS ? HF_OUTCOME_WON : HF_OUTCOME_LOST;
}

static enum hf_outcome outcome_of_parked(const struct hf_parked_row *row)
{
    return row->in_doubt ? HF_OUTCOME_IN_DOUBT : HF_OUTCOME_PARKED;
}

static bool take_left(struct question *q, const struct hf_settled *s, enum hf_outcome *ret_outcome)
{
    bool same_key = is_about(q, hf__slice(s->key.data, s->key.len));

    q->is_unparked |= (s->what & HF_LEFT_UNPARK) && s->listed == q->lsn;
    q->is_resolved |= (s->what & HF_LEFT_RESOLVE) && s->listed == q->lsn;
    q->is_ended |=
        (same_key && (s->what & HF_LEFT_ROW) && s->lsn >= q->lsn) || ((s->what & HF_LEFT_LANE) && s->lsn == q->lsn);
    if (!same_key || s->lsn != q->lsn)
        return false;
    if (s->what & HF_LEFT_PARKED)
        *ret_outcome = outcome_of_parked(&s->more->parked);
    else if (s->what & HF_LEFT_CONFLICT)
        *ret_outcome = outcome_of_conflict(&s->more->conflict);
    return s->what & (HF_LEFT_PARKED | HF_LEFT_CONFLICT);
}

/* True when it is told by what is left. */
static bool look_at_left(struct question *q, enum hf_outcome *ret_outcome)
{
    struct hf_checkpointer *cp = &q->look->store->checkpoint;
    bool told = false;

    pthread_mutex_lock(&cp->mutex);
    for (size_t i = 0; i < cp->n_settled; i++)
        told |= take_left(q, &cp->settled[i], ret_outcome);
    pthread_mutex_unlock(&cp->mutex);
    return told;
}

/* ---- the tables: each 0 when it tells, HF_NOT_FOUND when not ---- */

static int look_at_pending(const struct question *q, struct hf_local_snap *snap, enum hf_outcome *ret_outcome)
{
    const struct hf_local_ops *ops = q->look->store->local->ops;
    struct hf_lane_entry entry;
    struct hf_pending_row row;
    int rc = q->is_ended ? HF_NOT_FOUND : ops->pending_get(snap, q->key, &row);

    if (rc == 0 && (q->lsn < row.first_lsn || q->lsn > row.last_lsn))
        rc = HF_NOT_FOUND;
    if (rc == HF_NOT_FOUND && !q->is_ended) {
        rc = ops->lane_next(snap, q->lsn, &entry);
        if (rc == 0 && (entry.lsn != q->lsn || !is_about(q, entry.key)))
            rc = HF_NOT_FOUND;
    }
    if (rc == 0)
        *ret_outcome = HF_OUTCOME_PENDING;
    return rc;
}

static int look_at_lists(const struct question *q, struct hf_local_snap *snap, enum hf_outcome *ret_outcome)
{
    const struct hf_local_ops *ops = q->look->store->local->ops;
    struct hf_conflict_row conflict;
    struct hf_parked_row parked;
    int rc = q->is_unparked ? HF_NOT_FOUND : ops->parked_next(snap, q->lsn, &parked);

    if (rc == 0 && parked.entry.lsn == q->lsn && is_about(q, parked.entry.key)) {
        *ret_outcome = outcome_of_parked(&parked);
        return 0;
    }
    if (rc != 0 && rc != HF_NOT_FOUND)
        return rc;
    rc = q->is_resolved ? HF_NOT_FOUND : ops->conflict_next(snap, q->lsn, &conflict);
    if (rc == 0 && (conflict.id != q->lsn || !is_about(q, conflict.key)))
        rc = HF_NOT_FOUND;
    if (rc == 0)
        *ret_outcome = outcome_of_conflict(&conflict);
    return rc;
}

/* Increments, batches and deletes are remembered for a while. */
static int look_at_retained(const struct question *q, struct hf_local_snap *snap, enum hf_outcome *ret_outcome)
{
    struct hf_lane_entry entry;
    int rc = q->look->store->local->ops->retained_next(snap, q->lsn, &entry);

    if (rc == 0 && (entry.lsn != q->lsn || !is_about(q, entry.key)))
        rc = HF_NOT_FOUND;
    if (rc == 0)
        *ret_outcome = HF_OUTCOME_APPLIED;
    return rc;
}

static int look_at_tables(struct question *q, enum hf_outcome *ret_outcome)
{
    struct hf_local_snap *snap = NULL;
    int rc = hf__look_snap(q->look, &snap);

    if (rc == 0)
        rc = look_at_pending(q, snap, ret_outcome);
    if (rc == HF_NOT_FOUND)
        rc = look_at_lists(q, snap, ret_outcome);
    if (rc == HF_NOT_FOUND)
        rc = look_at_retained(q, snap, ret_outcome);
    return rc;
}

/* ---- what is held ---- */

static uint64_t last_lsn(const struct hf *store)
{
    if (!store->read_only)
        return hf__journal_last_lsn(store->journal);
    return store->control ? hf__control_durable_lsn(store->control) : store->read_covered_lsn;
}

/* What goes through the lane does not fold: each entry was applied for itself. */
static bool was_applied_alone(const struct question *q)
{
    return q->version && (q->version->flags & HF_ENTRY_LANE) &&
           atomic_load(&q->version->state) == HF_VERSION_SETTLED;
}

/* Redis has refused what is held, or was never told of it. */
static bool is_unshared(const struct hf_found *found)
{
    return found->top ? atomic_load(&found->top->state) == HF_VERSION_PARKED
                      : !found->record_shared && !found->life_shared;
}

/* What is held tells of the newest change alone. One that Redis has not, and that is on no list, was taken off it. */
static enum hf_outcome outcome_of_key(const struct question *q, const struct hf_found *found)
{
    if (was_applied_alone(q))
        return HF_OUTCOME_APPLIED;
    if (q->lsn != found->lsn)
        return HF_OUTCOME_SUPERSEDED;
    if (!is_unshared(found))
        return HF_OUTCOME_APPLIED;
    return hf__ns_of(&q->look->store->namespaces, q->key)->outage == HF_OUTAGE_LOCAL ? HF_OUTCOME_LOCAL
                                                                                     : HF_OUTCOME_DROPPED;
}

/* There is no evidence but what is held: a change that ended, and is this one or is older. */
static int look_at_key(const struct question *q, enum hf_outcome *ret_outcome)
{
    struct hf_found found;
    int rc = hf__look_up(q->look, q->key, &found);

    if (rc != 0)
        return rc;
    if (q->lsn == 0 || (!q->version && q->lsn > last_lsn(q->look->store)) ||
        (found.held && found.lsn != 0 && q->lsn > found.lsn))
        return HF_NOT_FOUND;
    *ret_outcome = outcome_of_key(q, &found);
    return 0;
}

static bool is_never_shared(const struct question *q)
{
    const struct hf *store = q->look->store;

    if (q->version)
        return q->version->flags & HF_ENTRY_LOCAL || !store->sharing;
    return !store->sharing || hf__ns_of(&store->namespaces, q->key)->write_mode == HF_WRITE_LOCAL;
}

/* The order matters: a version is settled before, or together with, what is left of it; and what was left is in the
 * snapshot before it is not left any more. */
static int find_outcome(struct question *q, enum hf_outcome *ret_outcome)
{
    int rc;

    find_version(q);
    if (q->version && atomic_load(&q->version->state) == HF_VERSION_UNSETTLED) {
        *ret_outcome = q->taken_along ? HF_OUTCOME_SUPERSEDED : HF_OUTCOME_PENDING;
        return 0;
    }
    if (look_at_left(q, ret_outcome))
        return 0;
    rc = look_at_tables(q, ret_outcome);
    if (rc == HF_NOT_FOUND)
        rc = look_at_key(q, ret_outcome);
    if (rc == 0 && *ret_outcome != HF_OUTCOME_PENDING && is_never_shared(q))
        *ret_outcome = HF_OUTCOME_LOCAL;
    return rc;
}

int hf_outcome(struct hf *store, struct hf_slice key, uint64_t lsn, enum hf_outcome *ret_outcome)
{
    enum hf_outcome outcome = HF_OUTCOME_PENDING;
    struct hf_look look = {0};
    struct question q = {.look = &look, .key = key, .lsn = lsn};
    char shown[80];
    int rc = hf__check_handle(store, false);

    if (rc == 0)
        rc = hf__check_key(key);
    if (rc == 0)
        rc = hf__look_begin(store, &look);
    if (rc == 0)
        rc = find_outcome(&q, &outcome);
    hf__look_end(&look);
    if (rc == HF_NOT_FOUND)
        return hf__fail(HF_NOT_FOUND, "no change of '%s' has the number %" PRIu64,
                        hf__printable(key, shown, sizeof(shown)), lsn);
    if (rc == 0)
        *ret_outcome = outcome;
    return rc;
}

int hf_wait_shared(struct hf *store, uint64_t lsn, int timeout_ms)
{
    uint64_t last;
    int rc = hf__check_handle(store, true);

    if (rc != 0)
        return rc;
    if (!store->link)
        return hf__fail(HF_EOFFLINE, "the store was opened without a shared tier: nothing is shared");
    pthread_mutex_lock(&store->write_mutex); /* whatever has a number is in the overlay, and on the queue */
    last = hf__journal_last_lsn(store->journal);
    pthread_mutex_unlock(&store->write_mutex);
    return hf__link_wait_shared(store, lsn < last ? lsn : last, timeout_ms);
}
