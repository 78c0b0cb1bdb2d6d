/* The lanes: increments and batches in LSN order, exactly once by their mark.
 *
 * A request carries (previous, last): the LSN that the mark must hold, and the one it will hold. What Redis answers
 * tells whether this or an earlier attempt was applied, so a lost answer costs nothing. When the mark itself is gone, the
 * change log tells; without it, entries that may have been sent are in doubt: parked, never guessed. */
#include "link_state.h"

#include "done.h"
#include "drain.h"
#include "fail.h"
#include "lookup.h"
#include "settle.h"
#include "write.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static void lane_clear(struct hf_lane_list *list)
{
    for (size_t i = 0; i < list->n; i++) {
        hf_buf_release(&list->sends[i].key);
        hf_buf_release(&list->sends[i].value);
        hf__trial_free(list->sends[i].trial);
    }
    list->n = 0;
    list->bytes = 0;
}

static struct hf_lane_send *lane_add(struct hf_lane_list *list)
{
    if (list->n == list->capacity) {
        size_t capacity = list->capacity ? 2 * list->capacity : 32;
        struct hf_lane_send *grown = realloc(list->sends, capacity * sizeof(*grown));
        if (!grown)
            return NULL;
        list->sends = grown;
        list->capacity = capacity;
    }
    list->sends[list->n] = (struct hf_lane_send){0};
    return &list->sends[list->n++];
}

/* ---- results ---- */

static void finish_live(struct hf_link *link, struct hf_lane_send *s, enum hf_share share, const char *reason)
{
    if (s->live)
        hf__live_finish(link, s->live, share, reason);
    s->live = NULL;
}

/* It has ended: counted, and the application is told. */
static void tell(struct hf_link *link, const struct hf_lane_entry *entry, enum hf_outcome outcome,
                 const struct hf_shared_lane_op *op, const char *reason)
{
    struct hf_settlement settlement = {
        .key = entry->key,
        .first_lsn = entry->lsn,
        .last_lsn = entry->lsn,
        .outcome = outcome,
        .has_number = op && op->has_number,
        .number = op ? op->number : 0,
        .reason = reason,
    };

    hf__done_settled(link->store, &settlement);
}

/* A set whose deadline had passed went as a delete. */
static enum hf_outcome outcome_of(const struct hf_lane_send *s, const struct hf_shared_lane_op *op, bool counted)
{
    if (op && (op->expired || (s->entry.op == HF_LANE_SET && op->op == HF_SHARED_DELETE)))
        return HF_OUTCOME_EXPIRED;
    if (counted && s->trial && s->trial->judged && s->trial->verdict.outcome == HF_OUTCOME_WON)
        return HF_OUTCOME_WON;
    return counted ? HF_OUTCOME_APPLIED : HF_OUTCOME_ALREADY;
}

static void settle_one(struct hf_link *link, struct hf_lane_send *s, const struct hf_shared_lane_op *op,
                       bool counted)
{
    enum hf_outcome outcome = outcome_of(s, op, counted);
    const struct hf_note *note;

    if (op && op->has_number) {
        hf__write_result(link->store, s->entry.key, s->entry.lsn, op->number);
        pthread_mutex_lock(&link->mutex);
        if (s->live && s->live->ticket) {
            s->live->ticket->has_number = true;
            s->live->ticket->number = op->number;
        }
        pthread_mutex_unlock(&link->mutex);
    }
    if (!hf__unit_keep_conflict(link, s))
        atomic_fetch_add(&link->store->lost_conflicts, 1);
    hf__settle_lane(link->store, &s->entry);
    note = hf__notes_find(&link->notes, s->entry.key);
    if (note && note->doubted)
        hf__link_doubt_copy(link, s->entry.key);
    if (outcome == HF_OUTCOME_EXPIRED)
        atomic_fetch_add(&link->store->expired_in_queue, 1);
    tell(link, &s->entry, outcome, op, "");
    atomic_fetch_add(counted ? &link->store->shared_ops : &link->store->settled_by_log, 1);
    if (counted && !s->live)
        atomic_fetch_add(&link->store->replayed_ops, 1);
    finish_live(link, s, HF_SHARE_DONE, "");
}

/* Entries were left: nothing newer of the lane may go before the next pass has sent them. */
static void hold_lane(struct hf_link *link)
{
    link->lane_again = true;
    link->lanes_done = false;
}

/* What a failed or unfinished request leaves: live ones become pending, stored ones are met again in the next pass. */
static void leave(struct hf_link *link, size_t from)
{
    for (size_t i = from; i < link->lane_sends.n; i++) {
        struct hf_lane_send *s = &link->lane_sends.sends[i];
        if (s->live)
            hf__link_note_overflow(link);
        hold_lane(link);
        finish_live(link, s, HF_SHARE_PENDING, "");
    }
}

static size_t unit_start(const struct hf_lane_list *list, size_t i)
{
    while (i > 0 && (list->sends[i - 1].entry.flags & HF_LANE_MORE))
        i--;
    return i;
}

static size_t unit_end(const struct hf_lane_list *list, size_t i)
{
    while (i + 1 < list->n && (list->sends[i].entry.flags & HF_LANE_MORE))
        i++;
    return i + 1;
}

static bool park_entries(struct hf_link *link, size_t from, size_t to, const struct hf_parking *how)
{
    size_t n = to - from;
    struct hf_lane_entry *entries = calloc(n, sizeof(*entries));
    bool done;

    for (size_t i = 0; entries && i < n; i++)
        entries[i] = link->lane_sends.sends[from + i].entry;
    done = entries && hf__link_may_park(link, n) && hf__settle_park(link->store, entries, n, how);
    free(entries);
    return done;
}

/* All of them or none. False: the parked list is full, or there is no memory; nothing was done, and they stay pending. */
static bool park_range(struct hf_link *link, size_t from, size_t to, bool in_doubt, const char *reason)
{
    struct hf_parking how = {.in_doubt = in_doubt, .from_lane = true, .reason = reason};

    if (!park_entries(link, from, to, &how))
        return false;
    for (size_t i = from; i < to; i++) {
        struct hf_lane_send *s = &link->lane_sends.sends[i];
        tell(link, &s->entry, in_doubt ? HF_OUTCOME_IN_DOUBT : HF_OUTCOME_PARKED, NULL, reason);
        finish_live(link, s, HF_SHARE_REFUSED, reason);
    }
    return true;
}

/* The mark is published first: a checkpoint in between must not store what has ended with an older one. */
static void take_applied(struct hf_link *link, struct hf_ns *ns, bool already)
{
    struct hf_lane_list *list = &link->lane_sends;

    ns->mark = list->sends[list->n - 1].entry.lsn;
    if (!already && link->lane_request.log.last_id[0])
        snprintf(ns->mark_id, sizeof(ns->mark_id), "%s", link->lane_request.log.last_id);
    hf__link_publish_cursor(link, ns);
    for (size_t i = 0; i < list->n; i++)
        settle_one(link, &list->sends[i], &link->lane_ops[i], !already);
}

/* A unit goes as a whole. */
static bool may_be_sent(const struct hf_lane_list *list, size_t from, size_t to)
{
    bool sent = false;

    for (size_t i = from; i < to; i++)
        sent |= (list->sends[i].entry.flags & HF_LANE_SENT) != 0;
    return sent;
}

/* Those that may have been sent, unit by unit. False when one stays, and with it those behind it. */
static bool park_in_doubt(struct hf_link *link)
{
    struct hf_lane_list *list = &link->lane_sends;

    for (size_t i = 0, to; i < list->n; i = to) {
        to = unit_end(list, i);
        if (may_be_sent(list, i, to) &&
            !park_range(link, i, to, true, "the mark that told whether Redis had applied it is gone"))
            return false;
    }
    return true;
}

/* Nothing was done, because the mark is not where we left it. Entries up to a mark inside the request were applied
 * before; with any other mark, those that may have been sent are in doubt. */
static void take_mark(struct hf_link *link, struct hf_ns *ns, uint64_t mark)
{
    struct hf_lane_list *list = &link->lane_sends;
    bool parked = true;
    size_t i = 0;

    if (mark >= list->sends[0].entry.lsn && mark < list->sends[list->n - 1].entry.lsn) {
        for (; i < list->n && list->sends[i].entry.lsn <= mark; i++)
            settle_one(link, &list->sends[i], NULL, false);
        leave(link, i);
    } else {
        parked = park_in_doubt(link);
        leave(link, 0);
    }
    if (parked) /* else the next request meets the strange mark again, and nothing that may be there goes twice */
        ns->mark = mark;
    if (ns->mark == 0)
        ns->mark_id[0] = '\0';
}

/* The operation at `bad` can never be applied: its unit is parked, the others go again. */
static void take_bad(struct hf_link *link, size_t bad, const char *reason)
{
    size_t from = unit_start(&link->lane_sends, bad), to = unit_end(&link->lane_sends, bad);
    bool parked = park_range(link, from, to, false, reason); /* what cannot be parked is left with the rest */

    for (size_t i = 0; i < link->lane_sends.n; i++) {
        struct hf_lane_send *s = &link->lane_sends.sends[i];
        if (s->live)
            hf__link_note_overflow(link);
        finish_live(link, s, HF_SHARE_PENDING, "");
    }
    if (!parked || to - from < link->lane_sends.n)
        hold_lane(link);
}

/* The unit at the head, which is all that was sent. False when there is no room for it. */
static bool park_suspect(struct hf_link *link, const struct hf_shared_error *error)
{
    struct hf_lane_list *list = &link->lane_sends;
    char reason[HF_SHARED_REASON_MAX];
    size_t longest = 0;
    bool certain;

    for (size_t i = 0; i < list->n; i++)
        longest = list->sends[i].entry.value.len > longest ? list->sends[i].entry.value.len : longest;
    certain = hf__link_blame(link, longest, error, reason);
    return park_range(link, 0, list->n, !certain, reason);
}

/* The connection died with this request: the mark will tell. */
static void take_loss(struct hf_link *link, const struct hf_shared_error *error)
{
    struct hf_lane_list *list = &link->lane_sends;
    uint64_t head = list->sends[0].entry.lsn;
    size_t end = unit_end(list, 0);

    link->suspect_losses = link->suspect_lsn == head ? link->suspect_losses + 1 : 1;
    link->suspect_lsn = head;
    if (end == list->n && link->suspect_losses >= HF_LINK_SUSPECT_LOSSES && park_suspect(link, error))
        return;
    for (size_t i = 0; i < list->n; i++)
        hf__settle_mark_sent(link->store, list->sends[i].entry.key, list->sends[i].entry.lsn);
    if (list->sends[list->n - 1].entry.lsn > link->maybe_sent_lsn)
        link->maybe_sent_lsn = list->sends[list->n - 1].entry.lsn;
    leave(link, 0);
}

void hf__lane_leave_all(struct hf_link *link)
{
    leave(link, 0);
    lane_clear(&link->lane_sends);
}

size_t hf__lane_unit_end(const struct hf_lane_list *list, size_t i)
{
    return unit_end(list, i);
}

bool hf__lane_park(struct hf_link *link, size_t from, size_t to, const char *reason)
{
    return park_range(link, from, to, false, reason);
}

bool hf__lane_park_in_doubt(struct hf_link *link, const struct hf_lane_entry *entries, size_t n, const char *reason)
{
    struct hf_parking how = {.in_doubt = true, .from_lane = true, .reason = reason};

    if (!hf__link_may_park(link, n) || !hf__settle_park(link->store, entries, n, &how))
        return false;
    for (size_t i = 0; i < n; i++)
        tell(link, &entries[i], HF_OUTCOME_IN_DOUBT, NULL, reason);
    return true;
}

void hf__lane_tell(struct hf_link *link, const struct hf_lane_entry *entry, enum hf_outcome outcome)
{
    if (outcome == HF_OUTCOME_EXPIRED)
        atomic_fetch_add(&link->store->expired_in_queue, 1);
    tell(link, entry, outcome, NULL, "");
}

void hf__lane_drop_gone(struct hf_link *link)
{
    struct hf_lane_list *list = &link->lane_sends;
    size_t kept = 0;

    for (size_t i = 0; i < list->n; i++) {
        struct hf_lane_send s = list->sends[i];
        if (s.gone) {
            finish_live(link, &s, HF_SHARE_DONE, "");
            hf_buf_release(&s.key);
            hf_buf_release(&s.value);
            hf__trial_free(s.trial);
        } else {
            list->sends[kept++] = s;
        }
    }
    list->n = kept;
}

/* A key is looked at again some times, then its unit is given to the operator. True when that goes on. */
static bool take_changed(struct hf_link *link, size_t bad)
{
    uint64_t lsn = link->lane_sends.sends[bad].entry.lsn;

    link->changes = link->changed_lsn == lsn ? link->changes + 1 : 1;
    link->changed_lsn = lsn;
    if (link->changes <= HF_LINK_CONTENDED_MAX) {
        hf__unit_changed(link);
        return true;
    }
    link->changes = 0;
    take_bad(link, bad, "others changed the key each time between looking at it and storing it");
    return false;
}

static void lane_done(void *ctx, struct hf_shared_lane *lane)
{
    struct hf_link *link = ctx;
    struct hf_ns *ns = hf__ns_of(&link->store->namespaces, link->lane_sends.sends[0].entry.key);
    struct hf_shared_error error = lane->error;
    enum hf_lane_outcome outcome = lane->outcome;
    bool log_missing = outcome == HF_LANE_APPLIED && lane->log.missing;

    if (outcome == HF_LANE_CHANGED) {
        hf__turn_begin(link->store, &link->turn);
        hf__link_out(link, false);
        if (take_changed(link, lane->bad))
            return;
    }
    if (outcome == HF_LANE_FAILED && error.class == HF_SHARED_LINK)
        take_loss(link, &error);
    else if (outcome == HF_LANE_APPLIED || outcome == HF_LANE_ALREADY)
        take_applied(link, ns, outcome == HF_LANE_ALREADY);
    else if (outcome == HF_LANE_MARK)
        take_mark(link, ns, lane->mark);
    else if (outcome == HF_LANE_BAD)
        take_bad(link, lane->bad, error.reason);
    else if (outcome != HF_LANE_CHANGED)
        leave(link, 0);
    if (lane->log.last_id[0] && !ns->log_unread)
        snprintf(ns->log_id, sizeof(ns->log_id), "%s", lane->log.last_id);
    hf__link_publish_cursor(link, ns);
    lane_clear(&link->lane_sends);
    hf__link_out(link, false);
    if (outcome != HF_LANE_FAILED) {
        link->suspect_losses = 0;
        log_missing ? hf__link_log_is_gone(link) : hf__link_pump(link);
    } else if (error.class == HF_SHARED_STATE && error.oom) {
        hf__link_note_out_of_memory(link, &error);
        hf__link_pump(link);
    } else if (error.class == HF_SHARED_AUTH) { /* rows need other rights: they go first */
        link->refused = error;
        hf__link_pump(link);
    } else if (error.class != HF_SHARED_LINK) {
        hf__link_fail(link, &error);
    }
}

/* ---- sending ---- */

static enum hf_shared_op shared_op(uint8_t lane_op)
{
    switch (lane_op) {
    case HF_LANE_DELETE: return HF_SHARED_DELETE;
    case HF_LANE_EXPIRE: return HF_SHARED_EXPIRE;
    case HF_LANE_PERSIST: return HF_SHARED_PERSIST;
    case HF_LANE_INCR: return HF_SHARED_INCR;
    default: return HF_SHARED_SET;
    }
}

static void fill_ops(struct hf_link *link)
{
    for (size_t i = 0; i < link->lane_sends.n; i++) {
        const struct hf_lane_entry *e = &link->lane_sends.sends[i].entry;
        bool dead = e->op == HF_LANE_SET && hf__is_expired(e->deadline_ms, hf__now_ms(link->store));
        link->lane_ops[i] = (struct hf_shared_lane_op){
            .op = dead ? HF_SHARED_DELETE : shared_op(e->op),
            .key = e->key,
            .value = e->value,
            .delta = e->delta,
            .deadline_ms = hf__turn_to_redis_ms(&link->turn, e->deadline_ms),
            .lsn = e->lsn,
            .more = e->flags & HF_LANE_MORE,
        };
        if (link->lane_sends.sends[i].trial) {
            link->lane_ops[i].guards = link->lane_sends.sends[i].trial->guards;
            link->lane_ops[i].n_guards = link->lane_sends.sends[i].trial->n_guards;
        }
    }
}

bool hf__lane_send(struct hf_link *link)
{
    struct hf_shared_error no_memory = {.class = HF_SHARED_STATE, .reason = "out of memory"};
    struct hf_ns *ns = hf__ns_of(&link->store->namespaces, link->lane_sends.sends[0].entry.key);
    struct hf_shared_lane_op *ops = realloc(link->lane_ops, link->lane_sends.n * sizeof(*ops));

    if (ops) {
        link->lane_ops = ops;
        fill_ops(link);
        link->lane_request = (struct hf_shared_lane){
            .mark_key = hf__slice(ns->mark_key.data, ns->mark_key.len),
            .prev = ns->mark,
            .ops = ops,
            .n_ops = link->lane_sends.n,
            .done = lane_done,
            .ctx = link,
        };
        if (ns->with_log)
            link->lane_request.log = (struct hf_shared_log){.key = hf__slice(ns->log_key.data, ns->log_key.len),
                                                            .max_entries = ns->log_max};
        hf__link_note_sent(link, link->lane_sends.sends[link->lane_sends.n - 1].entry.lsn);
        hf__link_out(link, true);
        if (link->tier->ops->send_lane(link->tier, &link->lane_request) == 0)
            return true;
        hf__link_out(link, false);
    }
    leave(link, 0);
    lane_clear(&link->lane_sends);
    hf__link_pause(link, &no_memory);
    return true;
}

/* A unit may end here, and the request is long enough. */
static bool lane_full(const struct hf_link *link)
{
    const struct hf_lane_list *list = &link->lane_sends;

    if (list->n == 0 || (list->sends[list->n - 1].entry.flags & HF_LANE_MORE))
        return false;
    return list->n >= (link->suspect_losses > 1 ? 1 : HF_LINK_LANE_MAX) || list->bytes >= HF_LINK_LANE_BYTES_MAX;
}

/* If it is not, the link is woken when the journal has moved on, which it may have done before it could see the flag. */
static bool is_durable(struct hf_link *link, const struct hf_live *live)
{
    if (live->version->lsn <= hf__journal_durable_lsn(link->store->journal))
        return true;
    atomic_store(&link->waits_for_sync, true);
    return live->version->lsn <= hf__journal_durable_lsn(link->store->journal);
}

/* Take the first live lane entry that may be sent, of this namespace if one is given: what is not idempotent is never sent
 * before it is durable. Entries that were settled by the lane's stored part meanwhile are finished here. NULL: none, or not
 * yet. */
static struct hf_live *pop_sendable(struct hf_link *link, const struct hf_ns *ns)
{
    struct hf_live *live;

    while ((live = hf__live_pop(link, &link->lane)) && hf__version_is_settled(live->version))
        hf__live_finish(link, live, HF_SHARE_DONE, "");
    if (!live || (is_durable(link, live) && (!ns || live->ns == ns)))
        return live;
    hf__live_push_front(link, &link->lane, live);
    return NULL;
}

/* What the row knew that the entry carries on; the checkpoint that removed the row has put it into the lane. */
static int find_lane_base(struct hf_link *link, const struct hf_lane_entry *entry, struct hf_version_id *ret_base)
{
    const struct hf_local_ops *ops = link->store->local->ops;
    struct hf_local_snap *snap;
    struct hf_lane_entry stored;
    struct hf_pending_row row;
    int rc = ops->snap_begin(link->store->local, &snap);

    if (rc != 0)
        return rc;
    rc = ops->pending_get(snap, entry->key, &row);
    if (rc == 0)
        *ret_base = hf__row_lane_base(&row);
    if (rc == HF_NOT_FOUND && (rc = ops->lane_next(snap, entry->lsn, &stored)) == 0 && stored.lsn == entry->lsn)
        *ret_base = stored.base;
    ops->snap_end(snap);
    return rc == HF_NOT_FOUND || rc == HF_ECORRUPT ? 0 : rc; /* of a damaged row nothing is known */
}

/* False without memory: it is left behind with what was added before. */
static bool add_live(struct hf_link *link, struct hf_live *live)
{
    struct hf_lane_send *s = lane_add(&link->lane_sends);
    uint32_t flags = live->version->flags;
    int rc = 0;

    if (!s) {
        hf__live_push_front(link, &link->lane, live);
        return false;
    }
    s->live = live;
    s->entry = hf__lane_entry(live->key, live->version);
    link->lane_sends.bytes += s->entry.key.len + s->entry.value.len;
    if ((flags & HF_ENTRY_ROW) && s->entry.base.kind == HF_VERSION_UNKNOWN)
        rc = find_lane_base(link, &s->entry, &s->entry.base);
    if (rc == 0 && (flags & (HF_ENTRY_ROW | HF_ENTRY_RESEED | HF_ENTRY_RESEND)))
        rc = hf__unit_begin(link, s);
    return rc == 0;
}

bool hf__link_send_live_lane(struct hf_link *link)
{
    struct hf_ns *ns = NULL;
    struct hf_live *live;

    if (!link->lanes_done) /* one lane: older entries first */
        return false;
    while (!lane_full(link) && (live = pop_sendable(link, ns))) {
        ns = live->ns;
        if (!add_live(link, live)) {
            hf__lane_leave_all(link);
            return false;
        }
    }
    return link->lane_sends.n > 0 && hf__lane_send(link);
}

static int add_stored(struct hf_link *link, const struct hf_lane_entry *entry)
{
    struct hf_lane_send *s = lane_add(&link->lane_sends);

    if (!s || hf__buf_copy(entry->key, &s->key) != 0 || hf__buf_copy(entry->value, &s->value) != 0)
        return HF_ENOMEM;
    s->entry = *entry;
    if (entry->lsn <= link->maybe_sent_lsn)
        s->entry.flags |= HF_LANE_SENT;
    if (hf__ns_of(&link->store->namespaces, entry->key)->fresh)
        s->entry.flags &= (uint8_t)~HF_LANE_SENT; /* whatever was sent is gone with the old epoch, or was parked */
    s->entry.key = hf__slice(s->key.data, s->key.len);
    s->entry.value = hf__slice(s->value.data, s->value.len);
    link->lane_sends.bytes += s->key.len + s->value.len;
    return hf__unit_begin(link, s);
}

/* What a key holds is looked at before its first entry of a request: a plain change that may be judged begins one. */
static bool begins_request(const struct hf_link *link, const struct hf_lane_entry *entry)
{
    const struct hf_lane_list *list = &link->lane_sends;

    return (entry->flags & HF_LANE_PLAIN) && list->n > 0 && !(list->sends[list->n - 1].entry.flags & HF_LANE_MORE);
}

/* Entries of one namespace behind the cursor. Those that the mark covers were applied before. */
static int collect_stored(struct hf_link *link, struct hf_local_snap *snap)
{
    struct hf_ns *first = NULL;
    int rc = 0;

    while (rc == 0 && !lane_full(link)) {
        struct hf_lane_entry entry;
        struct hf_ns *ns;
        rc = link->store->local->ops->lane_next(snap, link->lane_cursor, &entry);
        if (rc == HF_NOT_FOUND || (rc == 0 && entry.lsn >= link->live_from)) {
            link->lanes_done = true;
            return 0;
        }
        if (rc != 0)
            return rc;
        ns = hf__ns_of(&link->store->namespaces, entry.key);
        if ((first && ns != first) || begins_request(link, &entry))
            return 0;
        link->lane_cursor = entry.lsn + 1;
        if (entry.lsn <= ns->mark) {
            hf__settle_lane(link->store, &entry);
            tell(link, &entry, HF_OUTCOME_ALREADY, NULL, "");
            atomic_fetch_add(&link->store->settled_by_log, 1);
            continue;
        }
        first = ns;
        rc = add_stored(link, &entry);
    }
    return rc;
}

bool hf__link_send_lane_rows(struct hf_link *link)
{
    struct hf_shared_error error = {.class = HF_SHARED_STATE};
    struct hf_local_snap *snap;
    int rc;

    if (link->lanes_done || link->lane_again)
        return false;
    rc = link->store->local->ops->snap_begin(link->store->local, &snap);
    if (rc == 0) {
        rc = collect_stored(link, snap);
        link->store->local->ops->snap_end(snap);
    }
    if (rc != 0) {
        snprintf(error.reason, sizeof(error.reason), "the lane cannot be read: %.100s", hf_errmsg());
        lane_clear(&link->lane_sends);
        hold_lane(link);
        hf__link_pause(link, &error);
        return true;
    }
    return link->lane_sends.n > 0 && hf__lane_send(link);
}
