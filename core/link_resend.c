/* Giving back what Redis has lost: copies become changes again, which wait and are judged like any other
 * (docs/reconcile.md, "Evidence of loss").
 *
 *   a rollback     lanes ──► deletes ──► copies ──► what lanes stand on ──► what rows stand on
 *   a loss of all                        copies ──► what lanes stand on
 *
 * A checkpoint before each stage stores what came until then, since clients go on writing: an increment of a key whose copy has
 * had no turn yet is met again as a lane's change. Then live writes begin anew.
 *
 * Each copy enters the journal once more with the time it was made and the reason why, so a crash in between loses
 * nothing: the cursors still say what was lost, and what was noted twice is sent once. */
#include "link_state.h"

#include "checkpoint.h"
#include "fail.h"
#include "settle.h"

#include <inttypes.h>
#include <stdio.h>

#define KEYS_A_TURN 256u

void hf__resend_release(struct hf_link *link)
{
    hf_buf_release(&link->resend.after);
    hf__notes_release(&link->resend.changed);
    hf__notes_release(&link->resend.survived);
    hf__before_free(link->resend.before);
    link->resend = (struct hf_resend){0};
}

/* A copy that others had replaced when the link broke is not given back. */
static int note_changed(struct hf_link *link)
{
    const struct hf_refresh *refresh = &link->refresh; /* those that may not be read were put back on its list */

    for (size_t i = refresh->next; i < refresh->n; i++) {
        const struct hf_stale *stale = &refresh->keys[i];
        struct hf_slice key = hf__slice(stale->key.data, stale->key.len);
        if (stale->by_others && !hf__notes_of(&link->resend.changed, key))
            return hf__fail(HF_ENOMEM, "out of memory: a list of %zu keys", refresh->n);
    }
    return 0;
}

int hf__resend_begin(struct hf_link *link, const struct hf_resend *what)
{
    hf__resend_release(link);
    link->resend = *what;
    hf__past_begin(link); /* what is given back before the replay is part of it */
    link->resend.ticket = hf__checkpoint_ticket(link->store); /* then the local tier knows every copy */
    if (what->why == HF_ENTRY_RESEED)
        link->resend.stage = what->adopt ? HF_RESEND_BELOW : HF_RESEND_COPIES; /* adopted: they are compared */
    return what->why == HF_ENTRY_RESEED && !what->adopt ? note_changed(link) : 0;
}

static bool overlay_is_full(struct hf_link *link)
{
    struct hf_view view;
    size_t bytes;

    hf__view_pin(&link->store->overlay, &view);
    bytes = hf__generation_bytes(view.active);
    hf__view_unpin(&link->store->overlay, &view);
    return bytes >= link->store->opts.checkpoint_bytes;
}

/* It came after what has survived, and is not named among that. */
static bool is_above(const struct hf_link *link, struct hf_slice key, uint64_t lsn, int64_t made_ms)
{
    const struct hf_resend *r = &link->resend;
    const struct hf_note *survived = hf__notes_find(&r->survived, key);

    return (!survived || survived->number < lsn) && (lsn > r->above_lsn || made_ms >= r->above_made_ms);
}

/* ---- retained entries ---- */

/* Whether Redis still has it, nobody can know. */
static int park_retained(struct hf_link *link, const struct hf_lane_entry *entry)
{
    struct hf_parking how = {
        .in_doubt = true,
        .from_retained = true,
        .reason =
            "Redis had acknowledged it; since then its mark is gone, and the change log does not go back so far"};

    if (!hf__settle_may_park(link->store, 1))
        return hf__fail(HF_EFULL, "the parked list is full: requeue or drop entries, or raise parked_max");
    return hf__settle_park(link->store, entry, 1, &how) ? 0 : hf__fail(HF_ENOMEM, "out of memory: a parked entry");
}

/* With what others have changed since the rollback, for its row. */
static int write_again(struct hf_link *link, struct hf_slice key, const struct hf_lane_entry *deleted)
{
    const struct hf_note *note = hf__notes_find(&link->notes, key);
    int rc = hf__write_again(link->store, key, link->resend.why, deleted);

    if (rc == 0 && note && note->foreign.op != 0 && !hf__settle_note_foreign(link->store, key, &note->foreign))
        rc = hf__fail(HF_ENOMEM, "out of memory: a note on another node's change");
    return rc;
}

/* A lane's change has made the key anew. */
static int is_below_lane(struct hf_link *link, const struct hf_lane_entry *deleted, bool *ret_is)
{
    const struct hf_local_ops *ops = link->store->local->ops;
    struct hf_local_snap *snap;
    struct hf_record record;
    int rc = ops->snap_begin(link->store->local, &snap);

    if (rc != 0)
        return rc;
    rc = ops->get(snap, deleted->key, &record);
    *ret_is = rc == 0 && record.lsn > deleted->lsn && (record.flags & (HF_RECORD_COUNTED | HF_RECORD_LANE));
    ops->snap_end(snap);
    return rc == HF_NOT_FOUND ? 0 : rc;
}

/* Back to the lane, under its own LSN. */
static int relane(struct hf_link *link, const struct hf_lane_entry *entry)
{
    struct hf_lane_entry again = *entry;

    again.base = (struct hf_version_id){.kind = HF_VERSION_UNKNOWN}; /* what is there now is older than that */
    if (!hf__settle_relane(link->store, &again))
        return HF_ENOMEM;
    atomic_fetch_add(&link->store->resent, 1);
    return 0;
}

/* Of the lane's the mark says that Redis does not have it. What was plain goes there if a lane's change came upon it. */
static int take_for_lane(struct hf_link *link, const struct hf_lane_entry *entry)
{
    const struct hf_resend *r = &link->resend;
    bool plain = entry->flags & HF_LANE_PLAIN, below = true;
    int rc = 0;

    if (entry->lsn <= r->mark ||
        (plain && (r->in_doubt || !is_above(link, entry->key, entry->lsn, entry->made_ms))))
        return 0;
    if (r->in_doubt)
        return park_retained(link, entry);
    if (plain && entry->op == HF_LANE_DELETE)
        rc = is_below_lane(link, entry, &below);
    return rc == 0 && below ? relane(link, entry) : rc;
}

/* A delete of a key that is not there now is made again. */
static int take_delete(struct hf_link *link, const struct hf_lane_entry *entry)
{
    if (!(entry->flags & HF_LANE_PLAIN) || entry->op != HF_LANE_DELETE ||
        !is_above(link, entry->key, entry->lsn, entry->made_ms))
        return 0;
    return write_again(link, entry->key, entry);
}

/* The last of these stages meets ends of values that have come meanwhile, too. */
static int take_retained(struct hf_link *link, const struct hf_lane_entry *entry)
{
    enum hf_resend_stage stage = link->resend.stage;
    int rc = 0;

    if (hf__ns_of(&link->store->namespaces, entry->key) != link->resend.ns)
        return 0;
    if (stage != HF_RESEND_DELETES)
        rc = take_for_lane(link, entry);
    if (rc == 0 && stage != HF_RESEND_LANES)
        rc = take_delete(link, entry);
    return rc;
}

/* The last lane entry of the namespace that is no longer retained; HF_NOT_FOUND when all are. */
static int read_floor(struct hf_link *link, struct hf_lane_entry *entry, struct hf_bytes *key)
{
    const struct hf_local_ops *ops = link->store->local->ops;
    uint8_t name[HF_META_NAME_MAX];
    struct hf_local_snap *snap;
    struct hf_slice floor;
    int rc = ops->snap_begin(link->store->local, &snap);

    if (rc != 0)
        return rc;
    rc = ops->meta_get(snap, hf__meta_name(HF_META_RETAINED_FLOOR, link->resend.ns, name), &floor);
    if (rc == 0 && floor.len <= 8)
        rc = hf__fail(HF_ECORRUPT, "the local tier's note on retained entries has %zu bytes; expected more than 8",
                      floor.len);
    if (rc == 0)
        rc = hf__bytes_append(key, (const uint8_t *)floor.data + 8, floor.len - 8);
    if (rc == 0)
        *entry = (struct hf_lane_entry){.lsn = hf__get64(floor.data),
                                        .op = HF_LANE_INCR,
                                        .made_ms = hf__now_ms(link->store),
                                        .key = hf__slice(key->bytes, key->len)};
    ops->snap_end(snap);
    return rc;
}

/* What was acknowledged between the mark and that entry cannot be sent again exactly. Nobody knows how much it was: one
 * increment by nothing stands for all of it. */
static int park_forgotten(struct hf_link *link)
{
    char reason[HF_SHARED_REASON_MAX];
    struct hf_parking how = {.in_doubt = true, .from_lane = true, .reason = reason};
    struct hf_bytes key = {0};
    struct hf_lane_entry entry;
    int rc = read_floor(link, &entry, &key);

    if (rc == 0 && entry.lsn > link->resend.mark) {
        snprintf(reason, sizeof(reason),
                 "Redis was rolled back to LSN %" PRIu64 "; increments and batches behind it up to LSN %" PRIu64
                 ", of this key and others, are no longer kept",
                 link->resend.mark, entry.lsn);
        if (!hf__settle_may_park(link->store, 1))
            rc = hf__fail(HF_EFULL, "the parked list is full: requeue or drop entries, or raise parked_max");
        else if (!hf__settle_park(link->store, &entry, 1, &how))
            rc = hf__fail(HF_ENOMEM, "out of memory: a parked entry");
    }
    hf__bytes_release(&key);
    return rc == HF_NOT_FOUND ? 0 : rc;
}

/* The first entries behind the cursor, copied out. 0, HF_NOT_FOUND at the end. */
static int next_retained(struct hf_link *link, struct hf_lane_entry *entry, struct hf_bytes *bytes)
{
    const struct hf_local_ops *ops = link->store->local->ops;
    struct hf_local_snap *snap;
    int rc = ops->snap_begin(link->store->local, &snap);

    if (rc != 0)
        return rc;
    rc = ops->retained_next(snap, link->resend.retained_from, entry);
    hf__bytes_reset(bytes);
    if (rc == 0)
        rc = hf__bytes_append(bytes, entry->key.data, entry->key.len);
    if (rc == 0)
        rc = hf__bytes_append(bytes, entry->value.data, entry->value.len);
    ops->snap_end(snap);
    if (rc != 0)
        return rc;
    entry->key = hf__slice(bytes->bytes, entry->key.len);
    entry->value = hf__slice(bytes->bytes + entry->key.len, entry->value.len);
    link->resend.retained_from = entry->lsn + 1;
    return 0;
}

static int resend_retained(struct hf_link *link)
{
    const struct hf_resend *r = &link->resend;
    struct hf_bytes bytes = {0};
    struct hf_lane_entry entry;
    int rc = r->retained_from == 0 && r->stage == HF_RESEND_LANES && !r->in_doubt ? park_forgotten(link) : 0;

    for (unsigned i = 0; i < KEYS_A_TURN && rc == 0; i++) {
        rc = next_retained(link, &entry, &bytes);
        if (rc == 0)
            rc = take_retained(link, &entry);
    }
    hf__bytes_release(&bytes);
    return rc;
}

/* ---- copies ---- */

/* The lane brings it, or the mark found says that Redis still has it. */
static bool is_of_lane(const struct hf_resend *r, const struct hf_record *record)
{
    if (record->flags & HF_RECORD_LIFE) /* which the lane does not bring */
        return false;
    return (record->flags & HF_RECORD_COUNTED) || ((record->flags & HF_RECORD_LANE) && record->lsn <= r->ns->mark);
}

/* Dead, and not swept yet: what it has replaced must not come back. */
static bool is_end(const struct hf_resend *r, const struct hf_record *record)
{
    return r->why == HF_ENTRY_RESEND && (record->flags & HF_RECORD_OUTLIVED);
}

static bool is_wanted(const struct hf_link *link, struct hf_slice key, const struct hf_record *record)
{
    const struct hf_resend *r = &link->resend;

    if (hf__ns_of(&link->store->namespaces, key) != r->ns || (record->flags & HF_RECORD_UNSHARED) ||
        (hf__is_expired(record->deadline_ms, hf__now_ms(link->store)) && !is_end(r, record)))
        return false;
    if (r->why == HF_ENTRY_RESEED)
        return !hf__notes_find(&r->changed, key);
    if (record->lsn == 0 || is_of_lane(r, record)) /* 0: another node's */
        return false;
    return is_above(link, key, record->lsn, record->made_ms);
}

/* The keys of one turn: found first, written after the snapshot has ended. */
struct turn {
    struct hf_buf keys[KEYS_A_TURN];
    struct hf_lane_entry ends[KEYS_A_TURN]; /* what is dead, to be deleted: its LSN and time; LSN 0: it lives */
    size_t n;
};

static int find_copies(struct hf_link *link, struct hf_local_iter *iter, struct turn *turn)
{
    struct hf_resend *r = &link->resend;
    struct hf_slice key, prefix = hf__slice(r->ns->prefix.data, r->ns->prefix.len);
    struct hf_record record;
    int rc = 0;

    for (unsigned seen = 0; rc == 0 && turn->n < KEYS_A_TURN && seen < 16 * KEYS_A_TURN; seen++) {
        rc = link->store->local->ops->iter_next(iter, &key, &record);
        if (rc != 0)
            return rc;
        if (!hf__slice_starts_with(key, prefix))
            return HF_NOT_FOUND;
        if (hf__slice_eq(key, hf__slice(r->after.data, r->after.len)))
            continue;
        if (is_wanted(link, key, &record)) {
            if (hf__is_expired(record.deadline_ms, hf__now_ms(link->store)))
                turn->ends[turn->n] = (struct hf_lane_entry){.lsn = record.lsn, .made_ms = record.made_ms};
            rc = hf__buf_copy(key, &turn->keys[turn->n++]);
        }
        hf_buf_release(&r->after);
        if (rc == 0)
            rc = hf__buf_copy(key, &r->after);
    }
    return rc;
}

static int find_turn(struct hf_link *link, struct turn *turn)
{
    const struct hf_local_ops *ops = link->store->local->ops;
    const struct hf_resend *r = &link->resend;
    struct hf_slice from =
        r->after.data ? hf__slice(r->after.data, r->after.len) : hf__slice(r->ns->prefix.data, r->ns->prefix.len);
    struct hf_local_iter *iter = NULL;
    struct hf_local_snap *snap;
    int rc = ops->snap_begin(link->store->local, &snap);

    if (rc != 0)
        return rc;
    rc = ops->iter_open(snap, from, &iter);
    if (rc == 0)
        rc = find_copies(link, iter, turn);
    ops->iter_close(iter);
    ops->snap_end(snap);
    return rc;
}

static int resend_copies(struct hf_link *link)
{
    struct turn turn = {.n = 0};
    int found = find_turn(link, &turn), rc = found == HF_NOT_FOUND ? 0 : found;

    for (size_t i = 0; i < turn.n; i++) {
        struct hf_slice key = hf__slice(turn.keys[i].data, turn.keys[i].len);
        if (rc == 0)
            rc = write_again(link, key, turn.ends[i].lsn != 0 ? &turn.ends[i] : NULL);
        if (rc == 0)
            atomic_fetch_add(&link->store->resent, 1);
        hf_buf_release(&turn.keys[i]);
    }
    return rc == 0 ? found : rc;
}

/* ---- rows ---- */

/* What waits knows what it has replaced. Where that is lost, what is there is older, and no change by others. */
static int look_at_base(struct hf_link *link, const struct hf_pending_row *row)
{
    if (row->why != HF_PENDING_WRITE || row->base_lsn == 0 ||
        hf__ns_of(&link->store->namespaces, row->key) != link->resend.ns ||
        !is_above(link, row->key, row->base_lsn, row->base_made_ms))
        return 0;
    return hf__settle_base_lost(link->store, row->key) ? 0 : hf__fail(HF_ENOMEM, "out of memory: a row");
}

/* An increment of the key is back in the lane, where the delete behind it, or what has died since, must be, too. A value that lives
 * has joined it as a copy. */
static bool is_behind_lane(struct hf_link *link, struct hf_local_snap *snap, const struct hf_pending_row *row)
{
    uint64_t lsn;

    return hf__ns_of(&link->store->namespaces, row->key) == link->resend.ns &&
           link->store->local->ops->lane_last(snap, row->key, &lsn) == 0 && lsn < row->last_lsn;
}

/* Up to a row that is to join its lane: that is written when the snapshot has ended. */
static int walk_rows(struct hf_link *link, struct hf_local_snap *snap, struct hf_lane_entry *ret_end,
                     struct hf_buf *ret_key)
{
    struct hf_pending_row row;
    int rc = 0;

    for (unsigned i = 0; i < 16 * KEYS_A_TURN && rc == 0; i++) {
        rc = link->store->local->ops->pending_walk(snap, &link->resend.row, &row);
        if (rc == 0 && is_behind_lane(link, snap, &row)) {
            *ret_end = (struct hf_lane_entry){.lsn = row.last_lsn, .made_ms = row.made_ms};
            return hf__buf_copy(row.key, ret_key);
        }
        if (rc == 0)
            rc = look_at_base(link, &row);
        if (rc == HF_ECORRUPT) /* what it owes cannot be told */
            rc = 0;
    }
    return rc;
}

static int resend_rows(struct hf_link *link)
{
    const struct hf_local_ops *ops = link->store->local->ops;
    struct hf_buf key = {0};
    struct hf_lane_entry end;
    struct hf_local_snap *snap;
    int rc = ops->snap_begin(link->store->local, &snap);

    if (rc != 0)
        return rc;
    rc = walk_rows(link, snap, &end, &key);
    ops->snap_end(snap);
    if (rc == 0 && key.data)
        rc = write_again(link, hf__slice(key.data, key.len), &end);
    hf_buf_release(&key);
    return rc;
}

/* ---- turns ---- */

/* One turn; HF_NOT_FOUND when the stage is through. */
static int take_turn(struct hf_link *link)
{
    struct hf_resend *r = &link->resend;
    bool done = false;
    int rc;

    if (r->stage == HF_RESEND_COPIES)
        return resend_copies(link);
    if (r->stage == HF_RESEND_ROWS)
        return resend_rows(link);
    if (r->why == HF_ENTRY_RESEND)
        return resend_retained(link);
    rc = hf__before_step(link, &done);
    return rc == 0 && done ? HF_NOT_FOUND : rc;
}

static void end_stage(struct hf_link *link)
{
    struct hf_resend *r = &link->resend;
    bool last = r->in_doubt || (r->why == HF_ENTRY_RESEED && r->stage == HF_RESEND_BELOW);

    r->stage = last ? HF_RESEND_DONE : r->stage + 1;
    r->retained_from = 0;
    r->ticket = hf__checkpoint_ticket(link->store);
}

bool hf__resend_step(struct hf_link *link)
{
    struct hf_resend *r = &link->resend;
    struct hf_shared_error error = {.class = HF_SHARED_STATE};
    int rc;

    if (!hf__checkpoint_ended(link->store, r->ticket))
        return false; /* its end wakes the link */
    if ((r->stage == HF_RESEND_DELETES || r->stage == HF_RESEND_COPIES) && overlay_is_full(link)) {
        r->ticket = hf__checkpoint_ticket(link->store);
        return false;
    }
    rc = take_turn(link);
    if (rc == HF_NOT_FOUND) {
        end_stage(link);
        rc = 0;
    }
    if (rc != 0) {
        snprintf(error.reason, sizeof(error.reason), "what Redis lost cannot be given back: %.100s", hf_errmsg());
        hf__link_fail(link, &error);
        return false;
    }
    if (r->stage == HF_RESEND_DONE) {
        hf__resend_release(link);
        return true;
    }
    if (!link->out)
        hf__link_wake(link->store);
    return false;
}
