/* Comparing copies with Redis, in paced batches, where neither the log nor pushes can tell what changed: after a lost
 * connection where others write plainly, after a trimmed or lost log, after a loss; and the keys of gaps first
 * (docs/reconcile.md, "Copies").
 *
 *   gaps ──► namespace by namespace: a batch of copies ──► examined beside other requests ──► those that differ are fetched
 *
 * A copy that owes anything is left alone: its row's judge looks at Redis. */
#include "link_state.h"

#include "checkpoint.h"
#include "digest.h"
#include "fail.h"
#include "lookup.h"
#include "settle.h"

#include <stdlib.h>

#define PAUSE_MS 4 /* between batches: about a hundred thousand keys a second, at the most */

/* Not while a request is out, which is in there. */
void hf__sweep_release(struct hf_link *link)
{
    struct hf_sweep *sweep = &link->sweep;

    hf_buf_release(&sweep->after);
    for (size_t i = 0; i < sweep->n; i++)
        hf_buf_release(&sweep->copies[i].key);
    *sweep = (struct hf_sweep){0};
}

void hf__sweep_begin(struct hf_link *link)
{
    hf__sweep_release(link);
    link->sweep.active = true;
    link->sweep.ticket = hf__checkpoint_ticket(link->store); /* then the local tier knows every copy */
}

/* ---- which copies ---- */

static int add_copy(struct hf_sweep *sweep, struct hf_slice key, bool is_gap)
{
    struct hf_copy *copy = &sweep->copies[sweep->n];
    int rc;

    *copy = (struct hf_copy){.is_gap = is_gap};
    rc = hf__buf_copy(key, &copy->key);
    if (rc == 0)
        sweep->n++;
    return rc;
}

static void set_after(struct hf_sweep *sweep, struct hf_slice key)
{
    hf_buf_release(&sweep->after);
    if (hf__buf_copy(key, &sweep->after) != 0)
        sweep->after = (struct hf_buf){0}; /* from the beginning again */
}

static int collect_gaps(struct hf_link *link, struct hf_local_snap *snap)
{
    struct hf_sweep *sweep = &link->sweep;
    uint8_t from[HF_KEY_MAX + 1];
    struct hf_gap gap;
    int rc = 0;

    while (rc == 0 && sweep->n < HF_SWEEP_KEYS) {
        size_t len = sweep->after.len;
        if (len > 0)
            memcpy(from, sweep->after.data, len);
        from[len] = 0; /* the next key in byte order */
        rc = link->store->local->ops->gap_next(snap, hf__slice(from, sweep->after.data ? len + 1 : 0), &gap);
        if (rc == 0)
            rc = add_copy(sweep, gap.key, true);
        if (rc == 0)
            set_after(sweep, gap.key);
    }
    return rc;
}

static int collect_records(struct hf_link *link, struct hf_local_snap *snap, const struct hf_ns *ns)
{
    const struct hf_local_ops *ops = link->store->local->ops;
    struct hf_sweep *sweep = &link->sweep;
    struct hf_slice key, prefix = hf__slice(ns->prefix.data, ns->prefix.len);
    struct hf_slice from = sweep->after.data ? hf__slice(sweep->after.data, sweep->after.len) : prefix;
    struct hf_local_iter *iter = NULL;
    struct hf_record record;
    int rc = ops->iter_open(snap, from, &iter);

    for (size_t seen = 0; rc == 0 && sweep->n < HF_SWEEP_KEYS && seen < 16 * HF_SWEEP_KEYS; seen++) {
        rc = ops->iter_next(iter, &key, &record);
        if (rc == 0 && !hf__slice_starts_with(key, prefix))
            rc = HF_NOT_FOUND;
        if (rc != 0 || (seen == 0 && sweep->after.data && hf__slice_eq(key, from)))
            continue; /* `from` is borrowed from `after`, which the first key replaces */
        if (hf__ns_of(&link->store->namespaces, key) == ns)
            rc = add_copy(sweep, key, false);
        if (rc == 0)
            set_after(sweep, key);
    }
    ops->iter_close(iter);
    return rc;
}

/* On with the next namespace that is to be swept; false when there is none. */
static bool next_ns(struct hf_link *link)
{
    struct hf_sweep *sweep = &link->sweep;
    struct hf_ns_table *table = &link->store->namespaces;

    while (sweep->ns_index < table->n && !table->all[sweep->ns_index].sweep)
        sweep->ns_index++;
    return sweep->ns_index < table->n;
}

static void end_gaps(struct hf_sweep *sweep)
{
    sweep->gaps_done = true;
    hf_buf_release(&sweep->after);
}

/* All that was lost is in the conflict log: the next loss is another. */
static void end_loss(struct hf_link *link, struct hf_ns *ns)
{
    pthread_mutex_lock(&link->mutex);
    ns->decided = HF_LOSS_BY_EVIDENCE;
    pthread_mutex_unlock(&link->mutex);
    hf__link_publish_cursor(link, ns);
}

static void end_ns(struct hf_link *link)
{
    struct hf_sweep *sweep = &link->sweep;
    struct hf_ns *ns = &link->store->namespaces.all[sweep->ns_index];

    hf_buf_release(&sweep->after);
    sweep->ns_index++;
    if (ns->n_distrusts != sweep->n_distrusts)
        return; /* what was compared may be old by now: it is walked over once more */
    ns->sweep = false;
    if (atomic_exchange(&ns->adopt, false))
        end_loss(link, ns);
    else
        hf__link_publish_cursor(link, ns); /* of a log with a gap */
    hf__link_trust_copies(link, ns, link->tracking);
}

/* Fill the batch. HF_NOT_FOUND: the sweep is through. */
static int collect(struct hf_link *link)
{
    const struct hf_local_ops *ops = link->store->local->ops;
    struct hf_sweep *sweep = &link->sweep;
    struct hf_local_snap *snap;
    int rc = ops->snap_begin(link->store->local, &snap);

    while (rc == 0 && sweep->n == 0) {
        if (!sweep->gaps_done) {
            rc = collect_gaps(link, snap);
            if (rc == HF_NOT_FOUND && sweep->n == 0)
                end_gaps(sweep);
        } else if (!next_ns(link)) {
            break;
        } else {
            struct hf_ns *ns = &link->store->namespaces.all[sweep->ns_index];
            if (!sweep->after.data)
                sweep->n_distrusts = ns->n_distrusts;
            rc = collect_records(link, snap, ns);
            if (rc == HF_NOT_FOUND && sweep->n == 0)
                end_ns(link);
        }
        rc = rc == HF_NOT_FOUND ? 0 : rc;
    }
    ops->snap_end(snap);
    return rc != 0 ? rc : sweep->n > 0 ? 0 : HF_NOT_FOUND;
}

/* ---- what is held of them ---- */

/* The copy's identity of now; false when there is nothing to compare. */
static bool identify(struct hf_link *link, struct hf_copy *copy)
{
    struct hf_slice key = hf__slice(copy->key.data, copy->key.len);
    enum hf_owed owed = HF_OWED_NOTHING;
    bool parked = false;
    struct hf_found found;
    struct hf_look look;
    int rc = hf__look_begin(link->store, &look);

    if (rc == 0)
        rc = hf__look_up(&look, key, &found);
    if (rc == 0)
        rc = hf__look_owed(&look, key, &found, &owed);
    if (rc == 0)
        rc = hf__look_parked(&look, key, &found, &parked);
    if (rc == 0 && owed == HF_OWED_NOTHING && !parked) {
        copy->lsn = found.lsn;
        copy->made_ms = found.made_ms;
        copy->held = found.held;
        copy->id = found.live ? hf__version_id(found.value, found.deadline_ms)
                              : (struct hf_version_id){.kind = HF_VERSION_ABSENT};
    }
    hf__look_end(&look);
    return rc == 0 && owed == HF_OWED_NOTHING && !parked;
}

/* ---- what Redis holds ---- */

/* The namespace adopts what Redis has: the copy is lost, and the conflict log keeps it. */
static bool adopt(struct hf_link *link, struct hf_slice key, uint64_t lsn, const struct hf_conflict_side *theirs)
{
    struct hf_conflict_row row = {.rule = HF_RULE_ADOPTED,
                                  .winner = HF_WINNER_THEIRS,
                                  .op = HF_PENDING_SET,
                                  .decided_ms = link->turn.now_ms,
                                  .theirs = *theirs};

    return hf__write_adopted(link->store, key, lsn, &row);
}

static bool adopt_seen(struct hf_link *link, const struct hf_copy *copy, const struct hf_shared_seen *seen)
{
    struct hf_conflict_side theirs = {.present = seen->kind != HF_SHARED_ABSENT,
                                      .too_long = seen->kind != HF_SHARED_ABSENT,
                                      .value = seen->has_digest ? hf__slice(seen->digest, HF_DIGEST_BYTES)
                                                                : hf__slice(NULL, 0),
                                      .len = seen->kind == HF_SHARED_STRING ? seen->len : 0,
                                      .deadline_ms = hf__turn_from_redis_ms(&link->turn, seen->deadline_ms)};

    return adopt(link, hf__slice(copy->key.data, copy->key.len), copy->lsn, &theirs);
}

/* Whether the copy that was seen is there and is something else. */
static bool differs(struct hf_link *link, struct hf_slice key, const struct hf_seen *seen,
                    const struct hf_slice *theirs)
{
    bool is_other = false;
    struct hf_found found;
    struct hf_look look;

    if (hf__look_begin(link->store, &look) == 0 && hf__look_up(&look, key, &found) == 0)
        is_other = found.live && found.lsn == seen->lsn && !(theirs && hf__slice_eq(found.value, *theirs));
    hf__look_end(&look);
    return is_other;
}

bool hf__sweep_adopt_fetched(struct hf_link *link, struct hf_slice key, const struct hf_seen *seen,
                             const struct hf_slice *theirs, int64_t deadline_ms)
{
    struct hf_conflict_side side = {.present = theirs != NULL, .deadline_ms = deadline_ms};
    struct hf_version_id id;

    if (!atomic_load(&hf__ns_of(&link->store->namespaces, key)->adopt) || !differs(link, key, seen, theirs))
        return true;
    if (theirs) {
        id = hf__version_id(*theirs, 0);
        side.len = theirs->len;
        side.too_long = theirs->len > HF_CONFLICT_VALUE_MAX;
        side.value = side.too_long ? hf__slice(id.digest, sizeof(id.digest)) : *theirs;
    }
    return adopt(link, key, seen->lsn, &side);
}

static void compare(struct hf_link *link, struct hf_copy *copy, const struct hf_shared_seen *seen)
{
    struct hf_slice key = hf__slice(copy->key.data, copy->key.len);
    bool same = hf__compare(&link->turn, &copy->id, seen) == 0, done = true;

    if (seen->error.class != HF_SHARED_OK)
        return; /* not even to be looked at: it stays as it is, unverified */
    atomic_fetch_add(&link->store->revalidated, 1);
    if (!same && copy->id.kind == HF_VERSION_DIGEST &&
        atomic_load(&hf__ns_of(&link->store->namespaces, key)->adopt))
        done = adopt_seen(link, copy, seen);
    if (!same && copy->held && done)
        done = hf__refresh_add(link, key, seen->kind != HF_SHARED_ABSENT) == 0 && done; /* or it was lost */
    link->refresh_failed |= !done;
    if (copy->is_gap && done)
        copy->compared = true;
}

/* A gap is closed when its copy has been fetched, or was right; not when it was not allowed to be. */
static void close_gaps(struct hf_link *link)
{
    for (size_t i = 0; i < link->sweep.n; i++) {
        struct hf_copy *copy = &link->sweep.copies[i];
        struct hf_slice key = hf__slice(copy->key.data, copy->key.len);
        if (copy->compared && !hf__notes_find(&link->refresh.denied, key))
            hf__settle_gap(link->store, key);
        hf_buf_release(&copy->key);
    }
    link->sweep.n = 0;
}

/* What is wanted and was left out for its size is asked for in the next round. */
static bool ask_again(struct hf_sweep *sweep)
{
    size_t n = 0;

    for (size_t i = 0; i < sweep->request.n_keys; i++) {
        struct hf_shared_seen *seen = &sweep->seen[i];
        const struct hf_copy *copy = seen->owner;
        if (!hf__compare_wants_more(&copy->id, seen) || seen->error.class != HF_SHARED_OK)
            continue;
        sweep->seen[n++] = (struct hf_shared_seen){
            .key = seen->key, .want = HF_WANT_DIGEST | HF_WANT_DEADLINE, .owner = seen->owner};
    }
    sweep->request.n_keys = n;
    return n > 0;
}

static void pace(struct hf_link *link)
{
    link->sweep.not_before_ms = link->turn.now_ms + PAUSE_MS;
}

static void examined(void *ctx, struct hf_shared_examine *examine)
{
    struct hf_link *link = ctx;
    struct hf_sweep *sweep = &link->sweep;

    hf__turn_begin(link->store, &link->turn);
    sweep->out = false;
    if (examine->error.class == HF_SHARED_RETRY) {
        pace(link);
        hf__link_pump(link);
        return;
    }
    if (examine->error.class != HF_SHARED_OK) {
        sweep->failed = true; /* not again before the next connection */
        if (examine->error.class == HF_SHARED_STATE)
            hf__link_fail(link, &examine->error); /* which comes when Redis does what it is asked again */
        else
            hf__link_wake(link->store); /* an operator may wait for the answer */
        return;
    }
    for (size_t i = 0; i < examine->n_keys; i++) {
        struct hf_copy *copy = examine->keys[i].owner;
        if (!hf__compare_wants_more(&copy->id, &examine->keys[i]))
            compare(link, copy, &examine->keys[i]);
    }
    if (!ask_again(sweep)) {
        sweep->awaits_refresh = true;
        pace(link);
    }
    hf__link_pump(link);
}

/* ---- turns ---- */

static bool send(struct hf_link *link)
{
    struct hf_sweep *sweep = &link->sweep;

    sweep->request.keys = sweep->seen;
    sweep->request.done = examined;
    sweep->request.ctx = link;
    sweep->out = true;
    if (link->tier->ops->send_examine(link->tier, &sweep->request) == 0)
        return true;
    sweep->out = false;
    return false;
}

static void fill_request(struct hf_link *link)
{
    struct hf_sweep *sweep = &link->sweep;

    sweep->request = (struct hf_shared_examine){0};
    for (size_t i = 0; i < sweep->n; i++) {
        struct hf_copy *copy = &sweep->copies[i];
        if (identify(link, copy))
            sweep->seen[sweep->request.n_keys++] = (struct hf_shared_seen){
                .key = hf__slice(copy->key.data, copy->key.len), .want = HF_WANT_DEADLINE, .owner = copy};
        else
            copy->compared = copy->is_gap; /* the judge of what it owes looks */
    }
}

/* What came to be distrusted behind the walk is walked over once more. When the local tier cannot be read, its errors are
 * told elsewhere. */
static void end(struct hf_link *link, bool through)
{
    link->sweep.ns_index = 0;
    if (through && next_ns(link)) {
        hf__sweep_begin(link);
        return;
    }
    hf__sweep_release(link);
    hf__link_swept(link);
}

/* True when this turn has nothing more to do. */
static bool turn(struct hf_link *link)
{
    struct hf_sweep *sweep = &link->sweep;
    int rc;

    if (sweep->awaits_refresh) {
        if (!hf__refresh_is_asked(link))
            return true; /* its end comes back here */
        close_gaps(link);
        sweep->awaits_refresh = false;
    }
    if (link->turn.now_ms < sweep->not_before_ms) {
        hf__link_wake_in(link, (int)(sweep->not_before_ms - link->turn.now_ms));
        return true;
    }
    if (sweep->request.n_keys == 0 || sweep->n == 0) {
        rc = collect(link);
        if (rc != 0) {
            end(link, rc == HF_NOT_FOUND);
            return true;
        }
        fill_request(link);
        if (sweep->request.n_keys == 0) {
            close_gaps(link);
            return false;
        }
    }
    if (!send(link))
        sweep->failed = true;
    return true;
}

void hf__sweep_send(struct hf_link *link)
{
    struct hf_sweep *sweep = &link->sweep;

    if (!sweep->active || sweep->out || sweep->failed || !hf__checkpoint_ended(link->store, sweep->ticket))
        return;
    while (!turn(link))
        ;
}
