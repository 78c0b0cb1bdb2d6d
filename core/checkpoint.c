/* The checkpoint thread: freeze, sync the journal, drain into one LMDB commit, recycle. Sweeps expired keys, too.
 *
 *   idle ──(a write is old enough | overlay full | asked)──► freeze ──► journal synced ──► commit ──► recycle ──► idle
 *                                                             │ failed: the frozen generation stays, is read, and
 *                                                             └─ is tried again; new writes are held back when the
 *                                                                active one is full as well                          */
#include "checkpoint.h"

#include "clock_meta.h"
#include "control.h"
#include "deadline.h"
#include "drain.h"
#include "fail.h"
#include "judge.h"
#include "link.h"
#include "owner.h"
#include "pending_bounds.h"
#include "renew.h"
#include "settle.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define IDLE_WAKE_MS 1000  /* an idle store looks for what there is to do no more often ... */
#define IDLE_REST_MS 60000 /* ... and no less often, where the link looks at the operator's file */
#define SWEEP_MAX 20000    /* expired keys removed in one checkpoint */
#define RETRY_MS 500       /* after a failed checkpoint */

/* The state of a checkpoint under way; only the thread that runs it looks at this. */
struct run {
    struct hf *store;
    const struct hf_local_ops *ops;
    struct hf_local_txn *txn;
    uint64_t covered_lsn;
    uint64_t count;   /* of this checkpoint */
    size_t n_settled; /* of the checkpointer's list, stored by this one */
    bool inherited;   /* the generation was frozen by an attempt that failed */
    bool more_expired;
    struct hf_drops drops;
};

bool hf__checkpoint_is_draining(const struct hf *store)
{
    return store->checkpoint.started != store->checkpoint.ended;
}

/* ---- the parts of a checkpoint ---- */

/* The generation to drain and the LSN it reaches. One that an earlier attempt could not store is taken again. */
static int freeze(struct run *run)
{
    struct hf *store = run->store;
    int rc = 0;

    pthread_mutex_lock(&store->write_mutex);
    run->inherited = store->overlay.view.frozen != NULL;
    if (!run->inherited) {
        rc = hf__intents_save(store);
        if (rc == 0)
            rc = hf__overlay_freeze(&store->overlay);
        if (rc == 0) {
            store->checkpoint.frozen_lsn = hf__journal_last_lsn(store->journal);
            store->checkpoint.frozen++;
            atomic_store(&store->oldest_unsaved_ms, 0);
            if (store->link)
                hf__link_save_cursors(store);
        }
    }
    run->covered_lsn = store->checkpoint.frozen_lsn;
    pthread_mutex_unlock(&store->write_mutex);
    return rc;
}

static int drain_all(struct run *run)
{
    struct hf_bytes scratch = {0};
    struct hf_node *node = hf__generation_seek(run->store->overlay.view.frozen, hf__slice(NULL, 0));
    int rc = 0;

    for (; node && rc == 0; node = hf__node_next(node))
        rc = hf__drain_node(run->store, run->txn, node, &scratch);
    hf__bytes_release(&scratch);
    return rc;
}

static struct hf_slice settled_key(const struct hf_settled *s)
{
    return hf__slice(s->key.data, s->key.len);
}

/* The row is for this LSN or an older one: nothing is owed any more. A damaged one stays: it may be about a later change. */
static int clear_row(struct run *run, const struct hf_settled *s)
{
    int rc = run->ops->pending_remove(run->txn, settled_key(s), s->lsn);

    if (rc == 0 && !(s->what & HF_LEFT_LIFE))
        rc = hf__record_mark(run->ops, run->txn, settled_key(s), s->lsn, s->what & HF_LEFT_PARKED);
    return rc == HF_NOT_FOUND || rc == HF_ECORRUPT ? 0 : rc;
}

/* The copy becomes what Redis holds. Where that was in the generation that is drained, it was stored with it, or what has
 * been written, deleted or fetched since. */
static int store_theirs(struct run *run, const struct hf_settled *s)
{
    struct hf_record record;
    uint8_t outlived;
    int rc;

    if (s->more->theirs_frozen < run->store->checkpoint.frozen)
        return 0;
    rc = run->ops->get(run->ops->txn_snap(run->txn), settled_key(s), &record);
    if (rc < 0 || (rc == 0 && record.lsn > s->lsn))
        return rc;
    if (!s->more->theirs_present)
        return run->ops->remove(run->txn, settled_key(s));
    outlived = rc == 0 ? record.flags & HF_RECORD_OUTLIVED : 0;
    record = s->more->theirs;
    record.flags |= outlived;
    if (record.made_ms != 0) /* it is ours */
        record.lsn = s->lsn;
    else
        record.made_ms = hf__now_ms(run->store);
    return run->ops->put(run->txn, settled_key(s), &record);
}

/* Store the key's row again, with something noted in it. What the transaction lends ends with the next write to it. */
static int put_noted(struct run *run, const struct hf_settled *s, struct hf_pending_row *row)
{
    struct hf_bytes base_value = {0};
    int rc = hf__bytes_append(&base_value, row->base_value.data, row->base_value.len);

    row->key = settled_key(s);
    row->base_value = hf__slice(base_value.bytes, base_value.len);
    if (rc == 0)
        rc = run->ops->pending_put(run->txn, row);
    hf__bytes_release(&base_value);
    return rc;
}

static int note_foreign(struct run *run, const struct hf_settled *s)
{
    struct hf_pending_row row;
    int rc = run->ops->pending_get(run->ops->txn_snap(run->txn), settled_key(s), &row);

    if (rc != 0 || !hf__foreign_replaces(&s->more->foreign, &row.foreign))
        return rc == HF_NOT_FOUND || rc == HF_ECORRUPT ? 0 : rc; /* a damaged row takes no note */
    row.foreign = s->more->foreign;
    return put_noted(run, s, &row);
}

/* The lane's first change of the key behind `lsn`, or HF_NOT_FOUND. */
static int first_of_lane(struct run *run, struct hf_slice key, uint64_t lsn, struct hf_lane_entry *ret_entry)
{
    struct hf_local_snap *snap = run->ops->txn_snap(run->txn);
    uint64_t last;
    int rc = run->ops->lane_last(snap, key, &last);

    if (rc == 0 && last <= lsn)
        rc = HF_NOT_FOUND;
    while (rc == 0) {
        rc = run->ops->lane_next(snap, lsn + 1, ret_entry);
        if (rc == 0 && hf__slice_eq(ret_entry->key, key))
            break;
        lsn = ret_entry->lsn;
    }
    return rc;
}

/* The row went on in the lane, whose first change behind `lsn` knows what was there before the row. */
static int put_lane_base(struct run *run, struct hf_slice key, uint64_t lsn, const struct hf_version_id *base)
{
    struct hf_lane_entry entry;
    int rc = first_of_lane(run, key, lsn, &entry);

    if (rc != 0 || entry.base.kind == HF_VERSION_UNKNOWN)
        return rc == HF_NOT_FOUND || rc == HF_ECORRUPT ? 0 : rc;
    entry.base = *base;
    return run->ops->lane_put(run->txn, &entry);
}

static const struct hf_version_id unknown = {.kind = HF_VERSION_UNKNOWN};

/* A row that has begun since then is about something else. */
static int note_sent(struct run *run, const struct hf_settled *s)
{
    struct hf_pending_row row;
    int rc = run->ops->pending_get(run->ops->txn_snap(run->txn), settled_key(s), &row);

    if (rc == HF_NOT_FOUND)
        return put_lane_base(run, settled_key(s), s->lsn, s->more->stored ? &s->more->sent : &unknown);
    if (rc != 0 || row.first_lsn > s->lsn)
        return rc == HF_ECORRUPT ? 0 : rc;
    hf__pending_add_own(&row, &s->more->sent);
    return put_noted(run, s, &row);
}

/* What was decided here keeps what it saw, unless its value is older than what was lost. */
static int lose_own(struct run *run, const struct hf_settled *s)
{
    struct hf_pending_row row;
    int rc = run->ops->pending_get(run->ops->txn_snap(run->txn), settled_key(s), &row);
    bool is_older = rc == 0 && row.op == HF_PENDING_SET && row.value_lsn < s->lsn && row.last_lsn > s->lsn;

    if (rc == HF_NOT_FOUND)
        return put_lane_base(run, settled_key(s), 0, &unknown);
    if (rc != 0 || (row.why == HF_PENDING_TENTATIVE && !is_older))
        return rc == HF_ECORRUPT ? 0 : rc;
    if (is_older) {
        row.op = HF_PENDING_TTL;
        row.why = HF_PENDING_WRITE;
        row.value_lsn = 0;
    }
    row.base = unknown;
    row.has_base_value = false;
    return put_noted(run, s, &row);
}

/* What the change was based on may be gone, and the older value there is no change by others. */
static int lose_base(struct run *run, const struct hf_settled *s)
{
    struct hf_pending_row row;
    int rc = run->ops->pending_get(run->ops->txn_snap(run->txn), settled_key(s), &row);

    if (rc != 0 || row.why != HF_PENDING_WRITE)
        return rc == HF_NOT_FOUND || rc == HF_ECORRUPT ? 0 : rc;
    if (row.op == HF_PENDING_TTL)
        row.op = HF_PENDING_SET;
    row.why = HF_PENDING_RESEND;
    row.base = unknown;
    row.has_base_value = false;
    return put_noted(run, s, &row);
}

static int apply_settled(struct run *run, const struct hf_settled *s)
{
    int rc = 0;

    if (s->what & HF_LEFT_UNPARK)
        rc = run->ops->parked_remove(run->txn, s->listed);
    if (rc == 0 && (s->what & HF_LEFT_RESOLVE))
        rc = run->ops->conflict_remove(run->txn, s->listed);
    if (rc == 0 && (s->what & HF_LEFT_PARKED))
        rc = run->ops->parked_put(run->txn, &s->more->parked);
    if (rc == 0 && (s->what & HF_LEFT_CONFLICT))
        rc = run->ops->conflict_put(run->txn, &s->more->conflict);
    if (rc == 0 && (s->what & HF_LEFT_RETAIN)) {
        rc = run->ops->retained_put(run->txn, &s->more->retained);
        rc = rc == HF_EFULL ? 0 : rc; /* what is owed needs the room more */
    }
    if (rc == 0 && (s->what & HF_LEFT_LANE))
        rc = run->ops->lane_remove(run->txn, s->lsn);
    if (rc == 0 && (s->what & HF_LEFT_LANE) && (s->what & HF_LEFT_PARKED))
        rc = hf__record_mark(run->ops, run->txn, settled_key(s), s->lsn, true);
    if (rc == 0 && (s->what & HF_LEFT_RELANE))
        rc = run->ops->lane_put(run->txn, &s->more->retained);
    if (rc == 0 && (s->what & HF_LEFT_RELANE))
        rc = run->ops->retained_remove(run->txn, s->lsn);
    if (rc == 0 && (s->what & HF_LEFT_FORGET))
        rc = run->ops->retained_remove(run->txn, s->lsn);
    if (rc == 0 && (s->what & HF_LEFT_THEIRS))
        rc = store_theirs(run, s);
    if (rc == 0 && (s->what & HF_LEFT_ROW))
        rc = clear_row(run, s);
    if (rc == 0 && (s->what & HF_LEFT_GAP))
        rc = run->ops->gap_remove(run->txn, settled_key(s));
    if (rc == 0 && (s->what & HF_LEFT_SENT))
        rc = note_sent(run, s);
    if (rc == 0 && (s->what & HF_LEFT_OWN_LOST))
        rc = lose_own(run, s);
    if (rc == 0 && (s->what & HF_LEFT_FOREIGN))
        rc = note_foreign(run, s);
    if (rc == 0 && (s->what & HF_LEFT_BASE_LOST))
        rc = lose_base(run, s);
    return rc;
}

#define SETTLED_AT_ONCE 64u

/* Copy some of those from `from` on. The list only grows at its end meanwhile; what an element points to stays where it is. */
static void copy_settled(struct run *run, size_t from, struct hf_settled some[SETTLED_AT_ONCE])
{
    struct hf_checkpointer *cp = &run->store->checkpoint;
    size_t n = run->n_settled - from < SETTLED_AT_ONCE ? run->n_settled - from : SETTLED_AT_ONCE;

    pthread_mutex_lock(&cp->mutex);
    memcpy(some, cp->settled + from, n * sizeof(*some));
    pthread_mutex_unlock(&cp->mutex);
}

/* Stops before one that comes with the next commit: those behind it do, too. */
static int apply_all_settled(struct run *run)
{
    struct hf_checkpointer *cp = &run->store->checkpoint;
    uint64_t count = run->inherited ? 0 : run->count;
    struct hf_settled some[SETTLED_AT_ONCE];
    int rc = 0;

    pthread_mutex_lock(&cp->mutex);
    run->n_settled = cp->n_settled;
    pthread_mutex_unlock(&cp->mutex);
    for (size_t i = 0; i < run->n_settled && rc == 0; i++) {
        if (i % SETTLED_AT_ONCE == 0)
            copy_settled(run, i, some);
        if (some[i % SETTLED_AT_ONCE].not_before > count)
            run->n_settled = i;
        else
            rc = apply_settled(run, &some[i % SETTLED_AT_ONCE]);
    }
    return rc;
}

/* What the commit holds leaves the list. */
static void finish_settled(struct run *run)
{
    struct hf_checkpointer *cp = &run->store->checkpoint;

    pthread_mutex_lock(&cp->mutex);
    for (size_t i = 0; i < run->n_settled; i++) {
        if (cp->settled[i].what & HF_LEFT_LISTS)
            atomic_fetch_sub(&run->store->unsaved, 1);
        if (cp->settled[i].what & HF_LEFT_PARKED)
            atomic_fetch_sub(&run->store->parked_left, 1);
        if (cp->settled[i].what & HF_LEFT_CONFLICT) {
            atomic_fetch_sub(&run->store->conflicts_left, 1);
            atomic_fetch_sub(&run->store->conflict_bytes_left, cp->settled[i].more->bytes.len);
        }
        hf__settled_release(&cp->settled[i]);
    }
    cp->n_settled -= run->n_settled;
    if (cp->n_settled > 0)
        memmove(cp->settled, cp->settled + run->n_settled, cp->n_settled * sizeof(*cp->settled));
    hf__settle_index_again(cp);
    pthread_mutex_unlock(&cp->mutex);
}

/* After a rollback it is to be dead again. */
static int remove_dead(struct run *run, struct hf_slice key)
{
    struct hf_record record;
    int rc = run->ops->get(run->ops->txn_snap(run->txn), key, &record);

    if (rc == 0)
        rc = hf__record_retain_end(run->ops, run->txn, key, &record);
    return rc == 0 || rc == HF_NOT_FOUND || rc == HF_ECORRUPT ? run->ops->remove(run->txn, key) : rc;
}

/* Remove keys that are dead and that no newer write in the overlay speaks of. A pending row stays: it still has to
 * remove the older shared value. */
static int sweep(struct run *run)
{
    struct hf_local_cursor cursor = {0};
    uint8_t key[HF_KEY_MAX];
    struct hf_view view;
    size_t len;
    int rc = 0, n = 0;

    if (hf__time_is_unknown(run->store))
        return 0; /* what is removed cannot come back */
    hf__view_pin(&run->store->overlay, &view);
    for (; n < SWEEP_MAX; n++) {
        rc = run->ops->expired_next(run->txn, hf__now_ms(run->store), &cursor, key, &len);
        if (rc != 0)
            break;
        if (!hf__generation_find(view.active, hf__slice(key, len)))
            rc = remove_dead(run, hf__slice(key, len));
        if (rc != 0)
            break;
    }
    hf__view_unpin(&run->store->overlay, &view);
    run->more_expired = n == SWEEP_MAX;
    return rc == HF_NOT_FOUND ? 0 : rc;
}

static int put_number(struct run *run, const char *name, uint64_t number)
{
    uint8_t bytes[8];

    hf__put64(bytes, number);
    return run->ops->meta_put(run->txn, hf__slice_str(name), hf__slice(bytes, sizeof(bytes)));
}

#define RETAINED_MAX 100000u
#define RETAINED_MS 3600000
#define TRIM_MAX 2000 /* rows of the logs removed in one checkpoint */

struct hf_slice hf__meta_name(const char *what, const struct hf_ns *ns, uint8_t bytes[HF_META_NAME_MAX])
{
    size_t n = strlen(what);

    memcpy(bytes, what, n);
    memcpy(bytes + n, ns->prefix.data, ns->prefix.len);
    return hf__slice(bytes, n + ns->prefix.len);
}

/* The last lane entry of a namespace that is given up. */
struct floor {
    const struct hf_ns *ns; /* NULL: none */
    size_t len;
    uint8_t bytes[8 + HF_KEY_MAX];
};

static int store_floor(struct run *run, const struct floor *floor)
{
    uint8_t name[HF_META_NAME_MAX];

    if (!floor->ns)
        return 0;
    return run->ops->meta_put(run->txn, hf__meta_name(HF_META_RETAINED_FLOOR, floor->ns, name),
                              hf__slice(floor->bytes, floor->len));
}

/* A plain change raises no floor: without it the comparison of copies is left, or the lane's comes back alone. */
static int raise_floor(struct run *run, const struct hf_lane_entry *entry, struct floor *floor)
{
    struct floor before = {.ns = NULL};
    const struct hf_ns *ns = hf__ns_of(&run->store->namespaces, entry->key);

    if (entry->flags & HF_LANE_PLAIN)
        return 0;
    if (ns != floor->ns)
        before = *floor;
    floor->ns = ns;
    floor->len = 8 + entry->key.len;
    hf__put64(floor->bytes, entry->lsn);
    memcpy(floor->bytes + 8, entry->key.data, entry->key.len); /* what is lent ends with the write */
    return store_floor(run, &before);
}

/* A while after Redis had it: what was made offline was acknowledged before the link was online, and as long as it is not, nobody
 * knows what Redis will have lost. */
static bool may_go(struct hf *store, const struct hf_lane_entry *entry)
{
    int64_t before_ms = hf__now_ms(store) - RETAINED_MS;

    return entry->made_ms <= before_ms && hf__link_online_since_ms(store) <= before_ms;
}

/* Acknowledged entries are kept for a while. The meta table says up to where they are gone. */
static int trim_retained(struct run *run)
{
    struct hf_local_snap *snap = run->ops->txn_snap(run->txn);
    struct floor floor = {.ns = NULL};
    struct hf_lane_entry entry;
    struct hf_local_stats stats;
    int rc = run->ops->stats(snap, &stats);

    for (int i = 0; i < TRIM_MAX && rc == 0; i++, stats.retained--) {
        rc = run->ops->retained_next(snap, 0, &entry);
        if (rc != 0 || (stats.retained <= RETAINED_MAX && !may_go(run->store, &entry)))
            break;
        rc = raise_floor(run, &entry, &floor);
        if (rc == 0)
            rc = run->ops->retained_remove(run->txn, entry.lsn);
    }
    if (rc == HF_NOT_FOUND)
        rc = 0;
    return rc == 0 ? store_floor(run, &floor) : rc;
}

/* A full conflict log gives up its oldest blind rows, which are there for information. */
static int trim_conflicts(struct run *run)
{
    const struct hf_options *opts = &run->store->opts;
    struct hf_local_snap *snap = run->ops->txn_snap(run->txn);
    struct hf_conflict_row row;
    struct hf_local_stats stats;
    uint64_t id = 0;
    int rc = run->ops->stats(snap, &stats);

    for (int i = 0; i < TRIM_MAX && rc == 0; i++) {
        if (stats.blind_conflicts == 0 ||
            (stats.conflicts < opts->conflict_log_max && stats.conflict_bytes < opts->conflict_log_max_bytes))
            return 0;
        rc = run->ops->conflict_next(snap, id, &row);
        if (rc == 0)
            id = row.id + 1;
        if (rc == 0 && row.rule == HF_RULE_BLIND) {
            rc = run->ops->conflict_remove(run->txn, row.id);
            atomic_fetch_add(&run->store->lost_conflicts, 1);
        }
        if (rc == 0)
            rc = run->ops->stats(snap, &stats);
    }
    return rc == HF_NOT_FOUND ? 0 : rc;
}

static int write_meta(struct run *run)
{
    struct hf *store = run->store;
    int rc = put_number(run, HF_META_RESERVED, hf__journal_reserved_lsn(store->journal));

    if (rc == 0)
        rc = hf__clock_meta_write(store->local, run->txn, &store->time);
    if (rc == 0 && store->link)
        rc = hf__link_store_cursors(store, run->txn);
    if (rc == 0 && store->link)
        rc = hf__owner_store(store, run->txn);
    if (rc == 0)
        rc = hf__intents_store(store, run->txn);
    if (rc == 0)
        rc = hf__renew_store(store, run->txn);
    return rc;
}

/* A value of half a page takes a whole one in LMDB, and a transaction copies every page that it touches: a quarter of
 * what is free is promised to the overlay. */
static uint64_t room_for_overlay(const struct hf_local_stats *stats)
{
    return stats->max_bytes > stats->used_bytes ? (stats->max_bytes - stats->used_bytes) / 4 : 0;
}

int hf__checkpoint_count(struct hf *store)
{
    struct hf_local_stats stats;
    struct hf_local_snap *snap;
    int rc = store->local->ops->snap_begin(store->local, &snap);

    if (rc != 0)
        return rc;
    rc = store->local->ops->stats(snap, &stats);
    store->local->ops->snap_end(snap);
    if (rc == 0) {
        atomic_store(&store->pending_rows, stats.pending_rows);
        atomic_store(&store->lane_entries, stats.lane_entries);
        atomic_store(&store->conflicts, stats.conflicts);
        atomic_store(&store->blind_conflicts, stats.blind_conflicts);
        atomic_store(&store->conflict_bytes, stats.conflict_bytes);
        atomic_store(&store->parked, stats.parked);
        atomic_store(&store->gaps, stats.gaps);
        atomic_store(&store->pending.stored_bytes, stats.pending_bytes);
        atomic_store(&store->pending.stored_oldest_ms, stats.oldest_pending_made_ms);
        atomic_store(&store->first_deadline_ms, stats.first_deadline_ms);
        atomic_store(&store->room_bytes, room_for_overlay(&stats));
    }
    return rc;
}

/* Lane entries that are in the local tier now no longer count as being in the overlay. */
static void retire_lanes(struct hf *store)
{
    struct hf_node *node;

    if (atomic_load(&store->lane_open) == 0)
        return;
    pthread_mutex_lock(&store->checkpoint.mutex);
    node = hf__generation_seek(store->overlay.view.frozen, hf__slice(NULL, 0));
    for (; node; node = hf__node_next(node)) {
        for (struct hf_version *v = atomic_load(&node->head); v; v = v->older) {
            uint8_t unsettled = HF_VERSION_UNSETTLED;
            if ((v->flags & HF_ENTRY_LANE) &&
                atomic_compare_exchange_strong(&v->state, &unsettled, HF_VERSION_STORED))
                atomic_fetch_sub(&store->lane_open, 1);
        }
    }
    pthread_mutex_unlock(&store->checkpoint.mutex);
}

/* What waited in the frozen generation waits in the local tier: for a writer, all at once, so that it counts once. */
static void count_as_stored(struct hf *store, uint64_t covered_lsn)
{
    pthread_mutex_lock(&store->write_mutex);
    /* Before readers lose the frozen generation: with rows they look into the local tier. */
    if (hf__checkpoint_count(store) != 0) {
        atomic_store(&store->pending_rows, 1); /* not known: look */
        atomic_store(&store->lane_entries, 1);
        atomic_store(&store->first_deadline_ms, 1); /* the next one counts again, soon */
    }
    retire_lanes(store);
    atomic_store(&store->covered_lsn, covered_lsn);
    hf__overlay_drop_frozen(&store->overlay);
    pthread_mutex_unlock(&store->write_mutex);
    pthread_mutex_lock(&store->checkpoint.mutex);
    hf__pending_signal(store);
    pthread_mutex_unlock(&store->checkpoint.mutex);
}

/* From freezing to recycling. */
static int run_once(struct run *run)
{
    struct hf *store = run->store;
    int rc = freeze(run);

    if (rc == 0)
        rc = hf__journal_sync(store->journal, run->covered_lsn);
    if (rc == 0)
        rc = run->ops->txn_begin(store->local, run->covered_lsn, &run->txn);
    if (rc == 0)
        rc = drain_all(run);
    if (rc == 0)
        rc = apply_all_settled(run);
    if (rc == 0)
        rc = hf__pending_trim(store, run->txn, &run->drops);
    if (rc == 0)
        rc = trim_retained(run);
    if (rc == 0)
        rc = trim_conflicts(run);
    if (rc == 0)
        rc = sweep(run);
    if (rc == 0)
        rc = write_meta(run);
    if (rc == 0) {
        rc = run->ops->txn_commit(run->txn);
        run->txn = NULL;
    }
    run->ops->txn_abort(run->txn);
    run->txn = NULL;
    if (rc != 0)
        return hf__fail_prefix(rc, "checkpoint");
    finish_settled(run);
    count_as_stored(store, run->covered_lsn);
    hf__drops_tell(store, &run->drops);
    hf__control_note_oldest(store->control, run->covered_lsn + 1);
    hf__journal_release(store->journal, run->covered_lsn);
    return 0;
}

int hf__checkpoint_run(struct hf *store)
{
    struct hf_checkpointer *cp = &store->checkpoint;
    struct run run = {.store = store, .ops = store->local->ops};
    int rc;

    pthread_mutex_lock(&cp->mutex);
    run.count = ++cp->started;
    cp->requested = false;
    pthread_mutex_unlock(&cp->mutex);
    rc = run_once(&run);
    hf__drops_release(&run.drops);
    if (rc == 0 && run.inherited) { /* what was written since that attempt is not in it */
        rc = run_once(&run);
        hf__drops_release(&run.drops);
    }
    pthread_mutex_lock(&cp->mutex);
    cp->ended = cp->started;
    cp->rc = rc;
    if (rc != 0)
        snprintf(cp->error, sizeof(cp->error), "%s", hf_errmsg());
    cp->requested |= run.more_expired || rc != 0;
    pthread_cond_broadcast(&cp->finished);
    pthread_mutex_unlock(&cp->mutex);
    hf__link_note_checkpoint(store);
    return rc;
}

/* ---- the thread ---- */

static int64_t boot_now(const struct hf *store)
{
    return store->parts.clock->boot_ms(store->parts.clock);
}

/* Milliseconds until a record of the local tier has died, 0: one has; negative: that cannot be foreseen. */
static int64_t expiry_in_ms(struct hf *store)
{
    int64_t first_ms = atomic_load(&store->first_deadline_ms), now_ms;

    if (first_ms == 0 || hf__time_is_unknown(store)) /* asked before the time itself */
        return -1;
    now_ms = hf__now_ms(store);
    return first_ms > now_ms ? first_ms - now_ms : 0;
}

/* Milliseconds until the next checkpoint is due by time; negative: nothing waits for one. */
static int due_in_ms(struct hf *store)
{
    int64_t oldest = atomic_load(&store->oldest_unsaved_ms), left;

    if (oldest == 0)
        return -1;
    left = oldest + store->opts.checkpoint_interval_ms - boot_now(store);
    return left > 0 ? (int)left : 0;
}

/* True when the time has run out. */
static bool wait_ms(struct hf_checkpointer *cp, int ms)
{
    struct timespec ts;

    hf__deadline_in(&ts, ms);
    return pthread_cond_timedwait(&cp->wake, &cp->mutex, &ts) == ETIMEDOUT;
}

static int idle_ms(struct hf *store)
{
    int64_t left_ms = expiry_in_ms(store);

    if (!hf__link_looks(store) || hf__time_is_unknown(store) || atomic_load(&store->time.unsaved))
        return IDLE_WAKE_MS;
    if (left_ms < 0 || left_ms > IDLE_REST_MS)
        return IDLE_REST_MS;
    return left_ms > IDLE_WAKE_MS ? (int)left_ms : IDLE_WAKE_MS;
}

/* An idle store still has keys that die, and may learn the time. Called with the lock, which is given up meanwhile. */
static bool idle_until_expiry(struct hf *store)
{
    struct hf_checkpointer *cp = &store->checkpoint;
    bool expired;

    if (!wait_ms(cp, idle_ms(store)))
        return false;
    pthread_mutex_unlock(&cp->mutex);
    hf__link_check_operator(store);
    expired = expiry_in_ms(store) == 0 || atomic_load(&store->time.unsaved);
    pthread_mutex_lock(&cp->mutex);
    return expired;
}

/* Wait until a checkpoint is due; false when closing. */
static bool wait_until_due(struct hf *store)
{
    struct hf_checkpointer *cp = &store->checkpoint;
    bool closing, due = false;

    pthread_mutex_lock(&cp->mutex);
    while (!cp->closing && !cp->requested && !due) {
        int ms = due_in_ms(store);
        if (ms < 0)
            due = idle_until_expiry(store);
        else if (ms > 0)
            (void)wait_ms(cp, ms);
        else
            due = true;
    }
    closing = cp->closing;
    pthread_mutex_unlock(&cp->mutex);
    return !closing;
}

static void *checkpoint_main(void *arg)
{
    struct hf *store = arg;

    pthread_setname_np(pthread_self(), "hf-checkpoint");
    while (wait_until_due(store)) {
        hf__link_check_operator(store);
        if (hf__checkpoint_run(store) != 0) {
            pthread_mutex_lock(&store->checkpoint.mutex);
            if (!store->checkpoint.closing)
                (void)wait_ms(&store->checkpoint, RETRY_MS);
            pthread_mutex_unlock(&store->checkpoint.mutex);
        }
    }
    return NULL;
}

int hf__checkpoint_start(struct hf *store)
{
    int rc = pthread_create(&store->checkpoint.thread, NULL, checkpoint_main, store);

    if (rc != 0)
        return hf__fail_errno(HF_ENOMEM, rc, "cannot start the checkpoint thread");
    store->checkpoint.runs = true;
    return 0;
}

int hf__checkpoint_stop(struct hf *store)
{
    struct hf_checkpointer *cp = &store->checkpoint;

    if (!cp->runs)
        return 0;
    pthread_mutex_lock(&cp->mutex);
    cp->closing = true;
    pthread_cond_broadcast(&cp->wake);
    pthread_mutex_unlock(&cp->mutex);
    pthread_join(cp->thread, NULL);
    cp->runs = false;
    return hf__checkpoint_run(store);
}

/* ---- what others ask ---- */

void hf__checkpoint_request(struct hf *store)
{
    pthread_mutex_lock(&store->checkpoint.mutex);
    store->checkpoint.requested = true;
    pthread_cond_signal(&store->checkpoint.wake);
    pthread_mutex_unlock(&store->checkpoint.mutex);
}

void hf__checkpoint_wake(struct hf *store)
{
    pthread_mutex_lock(&store->checkpoint.mutex);
    pthread_cond_signal(&store->checkpoint.wake);
    pthread_mutex_unlock(&store->checkpoint.mutex);
}

uint64_t hf__checkpoint_ticket(struct hf *store)
{
    struct hf_checkpointer *cp = &store->checkpoint;
    uint64_t ticket;

    pthread_mutex_lock(&cp->mutex);
    cp->requested = true;
    ticket = cp->started + 1; /* one under way may have frozen already */
    pthread_cond_signal(&cp->wake);
    pthread_mutex_unlock(&cp->mutex);
    return ticket;
}

bool hf__checkpoint_ended(struct hf *store, uint64_t ticket)
{
    struct hf_checkpointer *cp = &store->checkpoint;
    bool ended;

    pthread_mutex_lock(&cp->mutex);
    ended = cp->ended >= ticket && cp->rc == 0;
    pthread_mutex_unlock(&cp->mutex);
    return ended;
}

int hf__checkpoint_wait(struct hf *store)
{
    struct hf_checkpointer *cp = &store->checkpoint;
    uint64_t ticket = hf__checkpoint_ticket(store);
    int rc;

    pthread_mutex_lock(&cp->mutex);
    while (cp->ended < ticket && !cp->closing)
        pthread_cond_wait(&cp->finished, &cp->mutex);
    rc = cp->ended < ticket ? HF_ECLOSED : cp->rc;
    if (rc != 0)
        hf__fail(rc, "%s", rc == HF_ECLOSED ? "the store is closing" : cp->error);
    pthread_mutex_unlock(&cp->mutex);
    return rc;
}

int hf__checkpoint_throttle(struct hf *store)
{
    struct hf_checkpointer *cp = &store->checkpoint;
    struct hf_view view;
    size_t bytes;
    int rc = 0;

    hf__view_pin(&store->overlay, &view);
    bytes = hf__generation_bytes(view.active);
    hf__view_unpin(&store->overlay, &view);
    if (bytes < store->opts.checkpoint_bytes)
        return 0;
    pthread_mutex_lock(&cp->mutex);
    if (!cp->requested) {
        cp->requested = true;
        pthread_cond_signal(&cp->wake);
    }
    if (bytes >= 2 * store->opts.checkpoint_bytes) {
        uint64_t ended = cp->ended;
        while (cp->ended == ended && !cp->closing)
            pthread_cond_wait(&cp->finished, &cp->mutex);
        rc = cp->rc;
        if (rc != 0)
            hf__fail(rc, "the overlay is full and cannot be moved to the local tier: %s", cp->error);
    }
    pthread_mutex_unlock(&cp->mutex);
    return rc;
}

int hf__checkpoint_check_room(struct hf *store, uint64_t bytes)
{
    uint64_t room = atomic_load_explicit(&store->room_bytes, memory_order_relaxed);
    struct hf_view view;
    uint64_t held;

    if (bytes + 4 * store->opts.checkpoint_bytes <= room) /* more than two generations hold */
        return 0;
    hf__view_pin(&store->overlay, &view);
    held = hf__generation_bytes(view.active) + (view.frozen ? hf__generation_bytes(view.frozen) : 0);
    hf__view_unpin(&store->overlay, &view);
    if (held + bytes <= room)
        return 0;
    return hf__fail(HF_EFULL,
                    "the store is full: max_disk is %" PRIu64 " bytes, and %" PRIu64 " are needed beside what "
                    "is held; deletes go on",
                    store->opts.max_disk_bytes, bytes);
}

/* From now on a checkpoint is due within the interval; whether this was the first to ask. */
static bool start_interval(struct hf *store)
{
    int64_t none = 0;

    return atomic_load_explicit(&store->oldest_unsaved_ms, memory_order_relaxed) == 0 &&
           atomic_compare_exchange_strong(&store->oldest_unsaved_ms, &none, boot_now(store));
}

void hf__checkpoint_note_write(struct hf *store)
{
    if (!start_interval(store))
        return;
    pthread_mutex_lock(&store->checkpoint.mutex);
    pthread_cond_signal(&store->checkpoint.wake);
    pthread_mutex_unlock(&store->checkpoint.mutex);
}

void hf__checkpoint_note_settled(struct hf *store)
{
    if (start_interval(store))
        pthread_cond_signal(&store->checkpoint.wake);
}
