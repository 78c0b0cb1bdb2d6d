/* Conflicts of the lane: an operation that sets or deletes what Redis must still hold as it was known here.
 *
 *   lane request ──► changed ──► examine ──► judge ──┬─► ours wins: sent again, guarded by what was found ─┐
 *        ▲                                           ├─► theirs wins over a unit: parked as a whole        │
 *        │                                           └─► theirs wins over a value alone: it leaves the lane│
 *        └─────────────────────────────────────────────────────────────────────────────────────────────────┘
 *
 * All operations of the request that know their base are examined at once. The request stays in its place meanwhile:
 * nothing else is sent (docs/reconcile.md, "Policies"). */
#include "link_state.h"

#include "fail.h"
#include "settle.h"

#include <stdio.h>
#include <stdlib.h>

#define LOG_ENTRIES 100u /* in one examination; more are read as at catch-up */

static struct hf_ns *ns_of(const struct hf_link *link)
{
    return hf__ns_of(&link->store->namespaces, link->lane_sends.sends[0].entry.key);
}

/* ---- before it is sent ---- */

int hf__unit_begin(struct hf_link *link, struct hf_lane_send *s)
{
    return hf__unit_trial(&link->turn, &link->notes, hf__ns_of(&link->store->namespaces, s->entry.key), &s->entry,
                          &s->trial);
}

/* ---- examining ---- */

static void on_change(void *ctx, const struct hf_shared_change *change)
{
    struct hf_link *link = ctx;

    if (strcmp(change->node, link->store->node) != 0)
        hf__link_foreign_change(link, change);
}

/* Whether anybody has told of it or not: a push may come behind the answer. */
static void add_log(struct hf_link *link, const struct hf_ns *ns)
{
    if (!ns->with_log)
        return;
    link->page = (struct hf_shared_log_page){.log_key = hf__slice(ns->log_key.data, ns->log_key.len),
                                             .count = LOG_ENTRIES,
                                             .each = on_change,
                                             .ctx = link};
    snprintf(link->page.after_id, sizeof(link->page.after_id), "%s", ns->log_id);
    link->examine.logs = &link->page;
    link->examine.n_logs = 1;
}

static void add_keys(struct hf_link *link)
{
    for (size_t i = 0; i < link->lane_sends.n; i++) {
        struct hf_lane_send *s = &link->lane_sends.sends[i];
        if (s->trial && !s->trial->judged)
            link->seen[link->examine.n_keys++] =
                (struct hf_shared_seen){.key = s->entry.key, .want = s->trial->want, .owner = s};
    }
}

static void examined(void *ctx, struct hf_shared_examine *examine);

static void send_examination(struct hf_link *link)
{
    struct hf_shared_error no_memory = {.class = HF_SHARED_STATE, .reason = "out of memory"};
    struct hf_shared_seen *seen = realloc(link->seen, link->lane_sends.n * sizeof(*seen));

    if (seen) {
        link->seen = seen;
        link->examine = (struct hf_shared_examine){.keys = seen, .done = examined, .ctx = link};
        add_keys(link);
        add_log(link, ns_of(link));
        hf__link_out(link, true);
        if (link->tier->ops->send_examine(link->tier, &link->examine) == 0)
            return;
        hf__link_out(link, false);
    }
    hf__lane_leave_all(link);
    hf__link_pause(link, &no_memory);
}

void hf__unit_changed(struct hf_link *link)
{
    for (size_t i = 0; i < link->lane_sends.n; i++) {
        struct hf_lane_send *s = &link->lane_sends.sends[i];
        if (s->trial)
            hf__unit_begin_case(&link->turn, ns_of(link), &s->entry, s->trial);
    }
    send_examination(link);
}

/* ---- judging ---- */

/* What was found guards what is sent: of a long value the digest is still to be asked for. */
static void judge(struct hf_link *link, const struct hf_shared_seen *seen)
{
    struct hf_trial *trial = ((struct hf_lane_send *)seen->owner)->trial;

    hf__unit_judge(&link->turn, &link->notes, trial, seen);
    if (!trial->judged || seen->error.class != HF_SHARED_OK)
        return;
    if (trial->c.kind == HF_SHARED_STRING && !trial->c.has_digest) {
        trial->want = HF_WANT_DIGEST;
        trial->judged = false;
    }
}

static void guard_by_what_was_found(struct hf_trial *trial)
{
    struct hf_shared_guard found = {.absent = trial->c.kind == HF_SHARED_ABSENT, .len = trial->c.len};

    memcpy(found.digest, trial->c.digest, sizeof(found.digest));
    trial->guards[0] = found;
    trial->n_guards = 1;
}

/* Why the unit cannot be applied; NULL: it can. `*ret_key`: over which key. */
static const char *why_not(const struct hf_link *link, size_t from, size_t to, struct hf_slice *ret_key)
{
    const char *why = NULL;

    for (size_t i = from; i < to && !why; i++) {
        const struct hf_lane_send *s = &link->lane_sends.sends[i];
        *ret_key = s->entry.key;
        why = hf__unit_why_not(s->trial, to - from == 1);
    }
    return why;
}

static bool has_room_for(struct hf_link *link, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        const struct hf_lane_send *s = &link->lane_sends.sends[i];
        if (s->trial && s->trial->verdict.rule != 0 &&
            !hf__link_has_conflict_room(link, s->entry.key.len + s->entry.value.len + s->trial->theirs.len))
            return false;
    }
    return true;
}

bool hf__unit_keep_conflict(struct hf_link *link, const struct hf_lane_send *s)
{
    struct hf_send as = {.trial = s->trial, .live = s->live, .key = s->key, .lsn = s->entry.lsn};
    struct hf_version_id ours;
    struct hf_conflict_row row;

    if (!s->trial || !s->trial->judged || s->trial->verdict.rule == 0)
        return true;
    hf__replay_fill_conflict(&as, &ours, &row);
    return hf__settle_conflict(link->store, &row);
}

/* It is not sent: theirs stays. The copy here is fetched when the key owes nothing any more. */
static bool drop(struct hf_link *link, struct hf_lane_send *s)
{
    if (!hf__unit_keep_conflict(link, s))
        return false;
    hf__settle_lane_lost(link->store, &s->entry);
    hf__lane_tell(link, &s->entry, s->trial->verdict.outcome);
    hf__link_doubt_copy(link, s->entry.key);
    s->gone = true;
    return true;
}

/* The unit ends where its last remaining operation stands. */
static void close_unit(struct hf_link *link, size_t from, size_t to)
{
    struct hf_lane_send *last = NULL;

    for (size_t i = from; i < to; i++) {
        if (!link->lane_sends.sends[i].gone)
            last = &link->lane_sends.sends[i];
    }
    if (last)
        last->entry.flags &= (uint8_t)~HF_LANE_MORE;
}

static bool apply_verdicts(struct hf_link *link, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        struct hf_lane_send *s = &link->lane_sends.sends[i];
        if (!s->trial)
            continue;
        if (!s->trial->verdict.take_theirs)
            guard_by_what_was_found(s->trial);
        else if (!drop(link, s))
            return false;
    }
    close_unit(link, from, to);
    return true;
}

/* False: it stays, and all behind it. */
static bool decide_unit(struct hf_link *link, size_t from, size_t to)
{
    char reason[HF_SHARED_REASON_MAX], shown[48];
    struct hf_slice key;
    const char *why = why_not(link, from, to, &key);

    if (!why) {
        if (has_room_for(link, from, to))
            return apply_verdicts(link, from, to);
        hf__link_note_full_log(link);
        return false;
    }
    snprintf(reason, sizeof(reason), "'%s': %s", hf__printable(key, shown, sizeof(shown)), why);
    if (!hf__lane_park(link, from, to, reason))
        return false;
    for (size_t i = from; i < to; i++)
        link->lane_sends.sends[i].gone = true;
    return true;
}

static void decide_all(struct hf_link *link)
{
    bool done = true;

    for (size_t i = 0, to; i < link->lane_sends.n && done; i = to) {
        to = hf__lane_unit_end(&link->lane_sends, i);
        done = decide_unit(link, i, to);
    }
    hf__lane_drop_gone(link);
    if (done && link->lane_sends.n > 0) {
        (void)hf__lane_send(link);
        return;
    }
    hf__lane_leave_all(link);
    hf__link_pump(link);
}

static bool take_examination(struct hf_link *link, const struct hf_shared_examine *examine)
{
    struct hf_ns *ns = ns_of(link);
    bool more = false;

    for (size_t i = 0; i < examine->n_keys; i++) {
        judge(link, &examine->keys[i]);
        more |= !((struct hf_lane_send *)examine->keys[i].owner)->trial->judged;
    }
    if (examine->n_logs > 0) {
        snprintf(ns->log_id, sizeof(ns->log_id), "%s", examine->logs[0].after_id);
        ns->log_unread = !link->tracking;
    }
    return more;
}

static bool log_has_more(const struct hf_shared_examine *examine)
{
    const struct hf_shared_log_page *page = examine->logs;

    return examine->n_logs > 0 && (page->n_entries >= LOG_ENTRIES || page->gap || page->missing);
}

static void examined(void *ctx, struct hf_shared_examine *examine)
{
    struct hf_link *link = ctx;
    struct hf_shared_error error = examine->error;

    hf__turn_begin(link->store, &link->turn);
    hf__link_out(link, false);
    if (error.class != HF_SHARED_OK) {
        hf__lane_leave_all(link);
        if (error.class != HF_SHARED_LINK) /* otherwise `lost` follows */
            hf__link_fail(link, &error);
    } else if (log_has_more(examine)) {
        link->log_behind = true;
        hf__lane_leave_all(link);
        hf__link_pump(link);
    } else if (take_examination(link, examine)) {
        send_examination(link);
    } else {
        decide_all(link);
    }
}
