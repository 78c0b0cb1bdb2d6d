/* Policy drop-oldest: the changes that have waited longest are given up when a bound is passed.
 *
 * It is done in the transaction of a checkpoint, and only while nothing is sent: what is given up is not on its way then. All
 * that it leaves (conflict, parked entry, gap) is in the commit that takes the row away. A row whose key has a newer change in
 * the overlay stays: giving it up would make no room. */
#include "pending_bounds.h"

#include "done.h"
#include "drain.h"
#include "fail.h"
#include "link_state.h"
#include "outage.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* One trim under way. */
struct trim {
    struct hf *store;
    const struct hf_local_ops *ops;
    struct hf_local_txn *txn;
    struct hf_drops *drops;
    struct hf_view view;
    struct hf_local_stats stats;
    int64_t now_ms;
    uint64_t maybe_sent_lsn;      /* lane entries up to here may have been sent */
    uint64_t row_from, lane_from; /* what is still to be looked at */
    struct hf_bytes key, value;   /* copies: what the transaction lends ends with the next write to it */
    bool by_age, by_bytes;        /* which bound is passed; neither: that of their number */
    char reason[160];
};

static bool is_too_old(const struct trim *t, int64_t made_ms)
{
    int64_t max_ms = t->store->opts.pending_max_age_ms;

    return max_ms > 0 && made_ms != 0 && t->now_ms - made_ms > max_ms;
}

static bool is_over(struct trim *t)
{
    const struct hf_options *o = &t->store->opts;

    t->by_bytes = t->by_age = false;
    if (t->stats.pending_rows + t->stats.lane_entries > o->pending_max)
        snprintf(t->reason, sizeof(t->reason), "given up as the oldest one: pending_max is %" PRIu64,
                 o->pending_max);
    else if ((t->by_bytes = t->stats.pending_bytes > o->pending_max_bytes))
        snprintf(t->reason, sizeof(t->reason), "given up as the oldest one: pending_max_bytes is %" PRIu64,
                 o->pending_max_bytes);
    else if ((t->by_age = is_too_old(t, t->stats.oldest_pending_made_ms)))
        snprintf(t->reason, sizeof(t->reason), "given up: pending_max_age is %" PRId64 " ms",
                 o->pending_max_age_ms);
    else
        return false;
    return true;
}

static int copy(struct hf_bytes *to, struct hf_slice *slice)
{
    int rc;

    hf__bytes_reset(to);
    rc = hf__bytes_append(to, slice->data, slice->len);
    if (rc == 0)
        *slice = hf__slice(to->bytes, slice->len);
    return rc;
}

/* Room for one more, before anything is done. */
static int note(struct hf_drops *drops, struct hf_settlement settlement)
{
    struct hf_buf key;
    int rc;

    if (drops->n == drops->capacity) {
        size_t capacity = drops->capacity ? 2 * drops->capacity : 64;
        struct hf_settlement *grown = realloc(drops->all, capacity * sizeof(*grown));
        if (!grown)
            return hf__fail(HF_ENOMEM, "out of memory: %zu changes that are given up", capacity);
        drops->all = grown;
        drops->capacity = capacity;
    }
    rc = hf__buf_copy(settlement.key, &key);
    if (rc != 0)
        return rc;
    settlement.key = hf__slice(key.data, key.len);
    drops->all[drops->n++] = settlement;
    return 0;
}

static int leave_gap(struct trim *t, struct hf_slice key, uint64_t lsn, int64_t made_ms)
{
    struct hf_gap gap = {.key = key, .reason = HF_GAP_DROPPED, .lsn = lsn, .made_ms = made_ms};

    return t->ops->gap_put(t->txn, &gap);
}

/* ---- rows ---- */

static struct hf_conflict_side ours(const struct hf_pending_row *row, const struct hf_record *record)
{
    bool too_long = record && record->value.len > HF_CONFLICT_VALUE_MAX;

    return (struct hf_conflict_side){
        .present = record != NULL,
        .too_long = too_long,
        .value = record && !too_long ? record->value : hf__slice(NULL, 0),
        .len = record ? record->value.len : 0,
        .deadline_ms = record ? record->deadline_ms : 0,
        .made_ms = row->made_ms,
    };
}

/* What the checkpoint trims of the log's blind rows makes room as well. */
static bool conflict_fits(const struct trim *t, uint64_t bytes)
{
    const struct hf_options *o = &t->store->opts;

    if (t->stats.conflicts - t->stats.blind_conflicts >= o->conflict_log_max)
        return false;
    return t->stats.conflict_bytes + bytes <= o->conflict_log_max_bytes || t->stats.blind_conflicts > 0;
}

static bool was_written_since(const struct trim *t, struct hf_slice key)
{
    const struct hf_node *node = hf__generation_find(t->view.active, key);
    const struct hf_version *v = node ? atomic_load(&node->head) : NULL;

    return v && !hf__version_is_settled(v);
}

static int give_up_row(struct trim *t, const struct hf_pending_row *row, const struct hf_record *record)
{
    struct hf_conflict_row conflict = {
        .id = row->last_lsn,
        .rule = HF_RULE_DROPPED,
        .winner = HF_WINNER_THEIRS,
        .op = row->op,
        .decided_ms = t->now_ms,
        .key = row->key,
        .ours = ours(row, record),
    };
    int rc = note(t->drops, (struct hf_settlement){.key = row->key,
                                                   .first_lsn = row->first_lsn,
                                                   .last_lsn = row->last_lsn,
                                                   .outcome = HF_OUTCOME_DROPPED,
                                                   .reason = ""});

    if (rc == 0)
        rc = t->ops->conflict_put(t->txn, &conflict);
    if (rc == 0)
        rc = leave_gap(t, row->key, row->last_lsn, row->made_ms);
    if (rc == 0)
        rc = hf__record_mark(t->ops, t->txn, row->key, row->last_lsn, true);
    if (rc == 0)
        rc = t->ops->pending_remove(t->txn, row->key, UINT64_MAX);
    t->drops->n_dropped += rc == 0;
    return rc;
}

/* `*ret_fits`: false when the log has no room for it. A copy that is damaged is not given up: it would be lost. */
static int drop_row(struct trim *t, struct hf_pending_row *row, bool *ret_fits)
{
    struct hf_record record;
    int rc, held = HF_NOT_FOUND;

    t->row_from = row->first_lsn + 1;
    rc = copy(&t->key, &row->key);
    if (rc != 0 || was_written_since(t, row->key))
        return rc;
    held = t->ops->get(t->ops->txn_snap(t->txn), row->key, &record);
    if (held < 0)
        return held == HF_ECORRUPT ? 0 : held;
    if (held == 0)
        rc = copy(&t->value, &record.value);
    *ret_fits = conflict_fits(t, row->key.len + row->value_len);
    if (rc == 0 && *ret_fits)
        rc = give_up_row(t, row, held == 0 ? &record : NULL);
    return rc;
}

/* ---- lanes ---- */

static int give_up_entry(struct trim *t, const struct hf_lane_entry *entry)
{
    bool in_doubt = (entry->flags & HF_LANE_SENT) || entry->lsn <= t->maybe_sent_lsn;
    struct hf_parked_row parked = {.entry = *entry, .in_doubt = in_doubt, .reason = hf__slice_str(t->reason)};
    int rc =
        note(t->drops, (struct hf_settlement){.key = entry->key,
                                              .first_lsn = entry->lsn,
                                              .last_lsn = entry->lsn,
                                              .outcome = in_doubt ? HF_OUTCOME_IN_DOUBT : HF_OUTCOME_PARKED,
                                              .reason = "given up as the oldest one at a bound of what waits"});

    if (rc == 0)
        rc = t->ops->parked_put(t->txn, &parked);
    if (rc == 0)
        rc = leave_gap(t, entry->key, entry->lsn, entry->made_ms);
    if (rc == 0)
        rc = t->ops->lane_remove(t->txn, entry->lsn);
    t->drops->n_dropped += rc == 0;
    return rc;
}

/* A unit goes as a whole. Increments are never lost without an entry that says so. */
static int drop_unit(struct trim *t, struct hf_lane_entry *entry, bool *ret_fits)
{
    bool more = true;
    int rc = 0;

    *ret_fits = t->stats.parked < t->store->opts.parked_max;
    while (rc == 0 && more && *ret_fits) {
        more = entry->flags & HF_LANE_MORE;
        t->lane_from = entry->lsn + 1;
        rc = copy(&t->key, &entry->key);
        if (rc == 0)
            rc = copy(&t->value, &entry->value);
        if (rc == 0)
            rc = give_up_entry(t, entry);
        if (rc == 0 && more)
            rc = t->ops->lane_next(t->ops->txn_snap(t->txn), t->lane_from, entry);
    }
    return rc == HF_NOT_FOUND ? 0 : rc;
}

/* ---- trimming ---- */

/* What cannot be read cannot be given up either. */
static int next_row(struct trim *t, struct hf_local_snap *snap, struct hf_pending_row *row)
{
    int rc = t->ops->pending_next(snap, t->row_from, row);

    while (rc == HF_ECORRUPT && row->first_lsn < UINT64_MAX) {
        t->row_from = row->first_lsn + 1;
        rc = t->ops->pending_next(snap, t->row_from, row);
    }
    return rc == HF_ECORRUPT ? HF_NOT_FOUND : rc;
}

/* The bytes of lane entries are not counted: giving them up would make no room. */
static int next_entry(struct trim *t, struct hf_lane_entry *entry)
{
    if (t->by_bytes)
        return HF_NOT_FOUND;
    return t->ops->lane_next(t->ops->txn_snap(t->txn), t->lane_from, entry);
}

/* One row or unit. HF_NOT_FOUND: there is nothing more that could be given up. */
static int drop_one(struct trim *t)
{
    struct hf_local_snap *snap = t->ops->txn_snap(t->txn);
    struct hf_pending_row row;
    struct hf_lane_entry entry;
    bool fits = true, row_first;
    int has_row = next_row(t, snap, &row);
    int has_entry = next_entry(t, &entry);
    int rc = has_row < 0 ? has_row : has_entry;

    if (rc < 0 || (has_row != 0 && has_entry != 0))
        return rc < 0 ? rc : HF_NOT_FOUND;
    row_first = has_entry != 0 || (has_row == 0 && row.first_lsn < entry.lsn);
    if (t->by_age && !is_too_old(t, row_first ? row.first_made_ms : entry.made_ms))
        return HF_NOT_FOUND;
    if (row_first)
        rc = drop_row(t, &row, &fits);
    else
        rc = drop_unit(t, &entry, &fits);
    return rc == 0 && !fits ? HF_NOT_FOUND : rc;
}

static int trim_all(struct trim *t)
{
    int rc = t->ops->stats(t->ops->txn_snap(t->txn), &t->stats);

    while (rc == 0 && is_over(t)) {
        rc = drop_one(t);
        if (rc == 0)
            rc = t->ops->stats(t->ops->txn_snap(t->txn), &t->stats);
    }
    return rc == HF_NOT_FOUND ? 0 : rc;
}

static uint64_t maybe_sent_lsn(struct hf *store)
{
    struct hf_link *link = store->link;
    uint64_t lsn = store->recovered_lsn;

    if (!link)
        return lsn;
    pthread_mutex_lock(&link->mutex);
    lsn = link->last_enqueued; /* as of the last connection: what was older may have been replayed on it */
    pthread_mutex_unlock(&link->mutex);
    return lsn;
}

int hf__pending_trim(struct hf *store, struct hf_local_txn *txn, struct hf_drops *drops)
{
    struct trim t = {.store = store,
                     .ops = store->local->ops,
                     .txn = txn,
                     .drops = drops,
                     .now_ms = hf__now_ms(store),
                     .maybe_sent_lsn = maybe_sent_lsn(store)};
    int rc;

    if (store->opts.pending_policy != HF_PENDING_DROP_OLDEST || !store->sharing || atomic_load(&store->closing) ||
        !hf__reach_sends_nothing(store))
        return 0;
    hf__view_pin(&store->overlay, &t.view);
    rc = trim_all(&t);
    hf__view_unpin(&store->overlay, &t.view);
    hf__bytes_release(&t.key);
    hf__bytes_release(&t.value);
    return rc;
}

void hf__drops_tell(struct hf *store, struct hf_drops *drops)
{
    atomic_fetch_add(&store->dropped, drops->n_dropped);
    for (size_t i = 0; i < drops->n; i++)
        hf__done_settled(store, &drops->all[i]);
}

void hf__drops_release(struct hf_drops *drops)
{
    for (size_t i = 0; i < drops->n; i++) {
        struct hf_buf key = {.data = (void *)(uintptr_t)drops->all[i].key.data, .len = drops->all[i].key.len};
        hf_buf_release(&key);
    }
    free(drops->all);
    *drops = (struct hf_drops){0};
}
