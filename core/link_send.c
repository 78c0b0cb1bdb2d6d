/* Groups: the list of what is to be sent, the request, and what its answer means. What goes into the list is chosen by
 * link_group.c (live writes) and link_replay.c (rows). */
#include "link_state.h"

#include "digest.h"
#include "done.h"
#include "fail.h"
#include "settle.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define BYTES_MAX (1u << 20) /* of one group: bounds the time that Redis is held up */

/* ---- the list ---- */

/* After losses with the same head, entries go one by one, so that the one that kills the link is found. */
static size_t group_max(const struct hf_link *link, size_t max)
{
    return link->suspect_losses > 1 ? 1 : max;
}

bool hf__send_list_full(const struct hf_link *link, const struct hf_send_list *list, size_t max)
{
    return list->n >= group_max(link, max) || list->bytes >= BYTES_MAX;
}

struct hf_send *hf__send_add(struct hf_send_list *list)
{
    if (list->n == list->capacity) {
        size_t capacity = list->capacity ? 2 * list->capacity : 64;
        struct hf_send *grown = realloc(list->sends, capacity * sizeof(*grown));
        if (!grown)
            return NULL;
        list->sends = grown;
        list->capacity = capacity;
    }
    list->sends[list->n] = (struct hf_send){0};
    return &list->sends[list->n++];
}

void hf__send_drop_last(struct hf_send_list *list)
{
    struct hf_send *s = &list->sends[--list->n];

    hf_buf_release(&s->key);
    hf_buf_release(&s->value);
    hf__trial_free(s->trial);
}

void hf__send_list_clear(struct hf_send_list *list)
{
    while (list->n > 0)
        hf__send_drop_last(list);
    list->bytes = 0;
}

struct hf_slice hf__send_key(const struct hf_send *s)
{
    return s->live ? s->live->key : hf__slice(s->key.data, s->key.len);
}

struct hf_slice hf__send_value(const struct hf_send *s)
{
    if (s->trial && s->trial->merged.data)
        return hf__slice(s->trial->merged.data, s->trial->merged.len);
    return s->live ? s->live->version->value : hf__slice(s->value.data, s->value.len);
}

/* ---- results ---- */

static void finish_live(struct hf_link *link, struct hf_send *s, enum hf_share share, const char *reason)
{
    if (s->live)
        hf__live_finish(link, s->live, share, reason);
    s->live = NULL;
}

void hf__send_ended(struct hf_link *link, struct hf_send *s, enum hf_outcome outcome, const char *reason)
{
    struct hf_settlement settlement = {
        .key = hf__send_key(s),
        .first_lsn = s->trial ? s->trial->row.first_lsn : s->lsn,
        .last_lsn = s->lsn,
        .outcome = outcome,
        .reason = reason,
    };

    if (outcome == HF_OUTCOME_EXPIRED)
        atomic_fetch_add(&link->store->expired_in_queue, 1);
    if (s->op == HF_SHARED_DELETE && outcome != HF_OUTCOME_PARKED) /* no copy here tells of it after a rollback */
        hf__settle_retain_delete(link->store, settlement.key, s->lsn, s->made_ms);
    hf__done_settled(link->store, &settlement);
    finish_live(link, s, outcome == HF_OUTCOME_PARKED ? HF_SHARE_REFUSED : HF_SHARE_DONE, reason);
}

static void applied(struct hf_link *link, struct hf_send *s)
{
    if (s->trial) {
        hf__replay_applied(link, s);
        return;
    }
    atomic_fetch_add(&link->store->shared_ops, 1);
    if (s->op == HF_SHARED_EXPIRE || s->op == HF_SHARED_PERSIST) {
        hf__settle_life(link->store, hf__send_key(s), s->lsn);
        hf__link_doubt_copy(link, hf__send_key(s)); /* another's value of the same turn is not told */
    } else {
        hf__settle_key(link->store, hf__send_key(s), s->lsn);
    }
    hf__send_ended(link, s, HF_OUTCOME_APPLIED, "");
}

static struct hf_lane_entry parked_entry(const struct hf_send *s)
{
    static const uint8_t ops[] = {[0] = HF_LANE_SET,
                                  [HF_SHARED_SET] = HF_LANE_SET,
                                  [HF_SHARED_DELETE] = HF_LANE_DELETE,
                                  [HF_SHARED_EXPIRE] = HF_LANE_EXPIRE,
                                  [HF_SHARED_PERSIST] = HF_LANE_PERSIST};

    return (struct hf_lane_entry){
        .lsn = s->lsn,
        .op = ops[s->op],
        .made_ms = s->made_ms,
        .deadline_ms = s->deadline_ms,
        .key = hf__send_key(s),
        .value = s->op == HF_SHARED_SET ? hf__send_value(s) : hf__slice(NULL, 0),
    };
}

void hf__send_park(struct hf_link *link, struct hf_send *s, const char *reason)
{
    struct hf_lane_entry entry = parked_entry(s);

    if (hf__link_may_park(link, 1) &&
        hf__settle_park(link->store, &entry, 1, &(struct hf_parking){.reason = reason}))
        hf__send_ended(link, s, HF_OUTCOME_PARKED, reason);
    else
        hf__send_leave(link, s);
}

void hf__send_leave(struct hf_link *link, struct hf_send *s)
{
    if (s->live)
        hf__link_note_overflow(link);
    link->again = true;
    finish_live(link, s, HF_SHARE_PENDING, "");
}

static void take_result(struct hf_link *link, struct hf_send *s, const struct hf_shared_error *error)
{
    if (error->class == HF_SHARED_OK)
        applied(link, s);
    else if (error->class == HF_SHARED_ENTRY)
        hf__send_park(link, s, error->reason);
    else
        hf__send_leave(link, s);
}

bool hf__link_blame(const struct hf_link *link, size_t longest, const struct hf_shared_error *last,
                    char reason[HF_SHARED_REASON_MAX])
{
    const struct hf_shared_facts *facts = &link->facts;
    bool too_long = facts->has_config && longest > facts->max_value_bytes;

    if (too_long)
        snprintf(reason, HF_SHARED_REASON_MAX,
                 "a value of %zu bytes is longer than the server takes: proto-max-bulk-len is %" PRIu64, longest,
                 facts->max_value_bytes);
    else
        snprintf(reason, HF_SHARED_REASON_MAX,
                 "the connection broke each time that this entry was sent, at last because: %.80s", last->reason);
    return too_long;
}

/* It may be stored by now, and what it replaced is nowhere else then. Judged again, the same change has the same number. */
static void keep_conflict(struct hf_link *link, const struct hf_send *s)
{
    struct hf_conflict_row row;
    struct hf_version_id ours;

    if (!s->in_group || s->op == 0 || !s->trial || s->trial->verdict.rule == 0)
        return;
    hf__replay_fill_conflict(s, &ours, &row);
    (void)hf__settle_conflict(link->store, &row); /* without memory only the log lacks it */
}

static struct hf_version_id sent_version(const struct hf_send *s)
{
    return s->op == HF_SHARED_SET ? hf__version_id(hf__send_value(s), s->deadline_ms)
                                  : (struct hf_version_id){.kind = HF_VERSION_ABSENT};
}

/* Theirs is in it, too: whatever of ours comes next is merged with it, and does not take its place. */
static bool is_merged(const struct hf_send *s)
{
    return s->trial && s->trial->verdict.winner == HF_WINNER_MERGED;
}

/* Redis may hold it by now: when the key is written again, that is no other's value. A checkpoint may have made a row of a live
 * write while its answer was awaited: the overlay alone would forget it. */
static void note_sent(struct hf_link *link, const struct hf_send *s, bool stored)
{
    struct hf_version_id version;

    hf__settle_mark_sent(link->store, hf__send_key(s), s->lsn);
    if (!s->in_group || is_merged(s) || (s->op != HF_SHARED_SET && s->op != HF_SHARED_DELETE))
        return;
    version = sent_version(s);
    hf__settle_note_sent(link->store, hf__send_key(s), s->lsn, &version, stored);
}

/* In memory until the next checkpoint has it. Without memory it is taken for another's value. */
void hf__send_note_stored(struct hf_link *link, const struct hf_send *s)
{
    struct hf_note *note;

    if (is_merged(s) || (s->op != HF_SHARED_SET && s->op != HF_SHARED_DELETE))
        return;
    note_sent(link, s, true);
    note = hf__notes_of(&link->notes, hf__send_key(s));
    if (note && !note->stored)
        note->stored = malloc(sizeof(*note->stored));
    if (note && note->stored)
        *note->stored = sent_version(s);
}

void hf__send_written_again(struct hf_link *link, struct hf_send *s)
{
    keep_conflict(link, s);
    hf__send_note_stored(link, s);
    hf__send_leave(link, s);
}

void hf__send_lost(struct hf_link *link, const struct hf_shared_error *error)
{
    struct hf_send_list *list = &link->sends;
    uint64_t head = list->sends[0].lsn;
    char reason[HF_SHARED_REASON_MAX];

    link->suspect_losses = link->suspect_lsn == head ? link->suspect_losses + 1 : 1;
    link->suspect_lsn = head;
    if (list->n == 1 && link->suspect_losses >= HF_LINK_SUSPECT_LOSSES) {
        (void)hf__link_blame(link, hf__send_value(&list->sends[0]).len, error, reason);
        hf__send_park(link, &list->sends[0], reason);
    } else {
        for (size_t i = 0; i < list->n; i++) {
            struct hf_send *s = &list->sends[i];
            keep_conflict(link, s);
            note_sent(link, s, false);
            finish_live(link, s, HF_SHARE_PENDING, "");
        }
    }
    hf__send_list_clear(list);
}

static bool was_fine(const struct hf_shared_error *error)
{
    return error->class == HF_SHARED_OK || error->class == HF_SHARED_ENTRY;
}

/* What had nothing to send is done with the rest. */
static void take_silent(struct hf_link *link, const struct hf_shared_group *group)
{
    for (size_t i = 0; i < link->sends.n; i++) {
        struct hf_send *s = &link->sends.sends[i];
        if (!s->in_group || s->op != 0)
            continue;
        if (was_fine(&group->error))
            applied(link, s);
        else
            hf__send_leave(link, s);
    }
}

static struct hf_ns *ns_of_log(const struct hf_shared_group *group, const struct hf_shared_log *log)
{
    return ((struct hf_send *)group->items[log->first_item].owner)->ns;
}

static uint64_t last_acked(const struct hf_shared_group *group, const struct hf_shared_log *log)
{
    uint64_t lsn = 0;

    for (size_t i = log->first_item; i < log->first_item + log->n_items; i++) {
        if (group->items[i].error.class == HF_SHARED_OK && group->items[i].lsn > lsn)
            lsn = group->items[i].lsn;
    }
    return lsn;
}

/* Before anything is settled: a checkpoint that stores a change as acknowledged also stores that Redis must have it. */
static void take_acks(struct hf_link *link, const struct hf_shared_group *group)
{
    for (size_t i = 0; i < group->n_logs; i++) {
        const struct hf_shared_log *log = &group->logs[i];
        struct hf_ns *ns = ns_of_log(group, log);
        if (log->last_id[0])
            hf__ns_note_acked(ns, last_acked(group, log), log->last_id);
        if (log->missing)
            hf__ns_forget_log(ns); /* what none names, none can tell to be lost */
        hf__link_publish_cursor(link, ns);
    }
}

/* Afterwards: what a checkpoint in between stores as pending, the log behind its cursor settles. */
static void take_logs(struct hf_link *link, const struct hf_shared_group *group)
{
    bool watched = group->watched && link->watches_logs;

    for (size_t i = 0; i < group->n_logs; i++) {
        const struct hf_shared_log *log = &group->logs[i];
        struct hf_ns *ns = ns_of_log(group, log);
        if (log->last_id[0] && (log->after_id || watched || !ns->log_unread)) /* nobody wrote in between */
            snprintf(ns->log_id, sizeof(ns->log_id), "%s", log->last_id);
        hf__link_publish_cursor(link, ns);
    }
}

/* Items of the group are sorted by namespace; `owner` leads back. */
static void take_results(struct hf_link *link, struct hf_shared_group *group)
{
    take_acks(link, group);
    take_silent(link, group);
    for (size_t i = 0; i < group->n_items; i++) {
        struct hf_send *s = group->items[i].owner;
        if (group->items[i].error.class == HF_SHARED_CHANGED || (group->guarded && link->no_scripts))
            hf__replay_not_as_guarded(link, s);
        else
            take_result(link, s, &group->items[i].error);
    }
    take_logs(link, group);
    link->suspect_losses = 0;
}

/* What the group was not about stays in the list. */
static void keep_the_rest(struct hf_send_list *list)
{
    size_t kept = 0;

    list->bytes = 0;
    for (size_t i = 0; i < list->n; i++) {
        struct hf_send s = list->sends[i];
        if (s.in_group) {
            hf_buf_release(&s.key);
            hf_buf_release(&s.value);
            hf__trial_free(s.trial);
        } else {
            list->bytes += s.key.len + s.value.len;
            list->sends[kept++] = s;
        }
    }
    list->n = kept;
}

static void leave_the_rest(struct hf_link *link)
{
    for (size_t i = 0; i < link->sends.n; i++)
        hf__send_leave(link, &link->sends.sends[i]);
    hf__send_list_clear(&link->sends);
}

static bool a_log_is_missing(const struct hf_shared_group *group)
{
    for (size_t i = 0; i < group->n_logs; i++) {
        if (group->logs[i].missing)
            return true;
    }
    return false;
}

static void go_on(struct hf_link *link, const struct hf_shared_error *error, bool log_missing)
{
    if (was_fine(error) && !log_missing && link->sends.n > 0) {
        hf__replay_try(link);
        return;
    }
    leave_the_rest(link);
    if (error->class == HF_SHARED_FENCE || error->class == HF_SHARED_AUTH ||
        (error->class == HF_SHARED_STATE && !error->oom)) {
        hf__link_fail(link, error);
    } else if (log_missing) {
        hf__link_log_is_gone(link);
    } else {
        if (error->class == HF_SHARED_STATE)
            hf__link_note_out_of_memory(link, error);
        hf__link_pump(link);
    }
}

static bool some_changed(const struct hf_shared_group *group)
{
    for (size_t i = 0; i < group->n_items; i++) {
        if (group->items[i].error.class == HF_SHARED_CHANGED)
            return true;
    }
    return false;
}

/* All rows of the list were stored, and the next ones are prepared: Redis is to have those before these are settled. */
static bool next_may_go_first(const struct hf_link *link, const struct hf_shared_group *group)
{
    if (group->error.class != HF_SHARED_OK || group->n_items < link->sends.n || link->ahead.n == 0)
        return false;
    for (size_t i = 0; i < group->n_items; i++) {
        const struct hf_send *s = group->items[i].owner;
        if (group->items[i].error.class != HF_SHARED_OK || !s->trial)
            return false;
    }
    return true;
}

static void settle_behind_the_next(struct hf_link *link, const struct hf_shared_group *group)
{
    struct hf_send_list settling = link->sends;

    take_acks(link, group);
    take_logs(link, group);
    link->suspect_losses = 0;
    link->sends = link->settling;
    link->settling = (struct hf_send_list){0};
    hf__link_out(link, false);
    link->rows_alone = true;
    hf__link_pump(link);
    link->rows_alone = false;
    link->tier->ops->flush(link->tier);
    for (size_t i = 0; i < settling.n; i++)
        applied(link, &settling.sends[i]);
    hf__send_list_clear(&settling);
    link->settling = settling;
    if (!link->out)
        hf__link_pump(link);
}

static void group_done(void *ctx, struct hf_shared_group *group)
{
    struct hf_link *link = ctx;
    struct hf_shared_error error = group->error;
    bool log_missing = a_log_is_missing(group);

    hf__turn_begin(link->store, &link->turn);
    if (error.class == HF_SHARED_LINK) {
        hf__send_lost(link, &error);
        hf__link_out(link, false);
        return; /* `lost` follows */
    }
    if (group->guarded && error.class == HF_SHARED_AUTH && !link->no_scripts) {
        link->no_scripts = true; /* perhaps it is that: then rows go another way */
        error = (struct hf_shared_error){0};
    }
    if (link->sends.sends[0].trial && !some_changed(group)) /* rows; otherwise some are still on their way */
        hf__link_pace(link, error.class == HF_SHARED_RETRY);
    if (!log_missing && next_may_go_first(link, group)) {
        settle_behind_the_next(link, group);
        return;
    }
    take_results(link, group);
    keep_the_rest(&link->sends);
    hf__link_out(link, false);
    go_on(link, &error, log_missing);
}

/* ---- sending ---- */

static int grow_request(struct hf_link *link)
{
    size_t n = link->sends.n, logs = link->store->namespaces.n;
    struct hf_shared_item *items = realloc(link->items, n * sizeof(*items));
    struct hf_shared_log *all_logs;

    if (!items)
        return HF_ENOMEM;
    link->items = items;
    all_logs = realloc(link->logs, logs * sizeof(*all_logs));
    if (!all_logs)
        return HF_ENOMEM;
    link->logs = all_logs;
    return 0;
}

/* When it was made is told of what is late: the log's own id says only when it arrived. */
#define LATE_MS 50

static struct hf_shared_item make_item(struct hf_link *link, struct hf_send *s, int64_t now_ms)
{
    bool late = s->replayed || now_ms - s->made_ms > LATE_MS;
    struct hf_shared_item item = {
        .op = s->op,
        .key = hf__send_key(s),
        .value = s->op == HF_SHARED_SET ? hf__send_value(s) : hf__slice(NULL, 0),
        .deadline_ms = hf__turn_to_redis_ms(&link->turn, s->deadline_ms),
        .lsn = s->lsn,
        .made_ms = late ? hf__turn_to_redis_ms(&link->turn, s->made_ms) : 0,
        .uncertainty_ms = late ? hf__turn_uncertainty_ms(&link->turn, s->made_ms) : 0,
        .owner = s,
    };

    if (s->trial) {
        item.guards = s->trial->guards;
        item.n_guards = s->trial->n_guards;
    }
    return item;
}

/* Items in runs by namespace, each run with its log. */
static void fill_request(struct hf_link *link)
{
    struct hf_ns_table *table = &link->store->namespaces;
    struct hf_shared_group *group = &link->group;
    int64_t now_ms = link->turn.now_ms;

    group->n_items = group->n_logs = 0;
    for (size_t k = 0; k < table->n; k++) {
        struct hf_ns *ns = &table->all[k];
        size_t first = group->n_items;
        for (size_t i = 0; i < link->sends.n; i++) {
            if (link->sends.sends[i].ns == ns && link->sends.sends[i].in_group && link->sends.sends[i].op != 0)
                group->items[group->n_items++] = make_item(link, &link->sends.sends[i], now_ms);
        }
        if (group->n_items > first && ns->with_log)
            group->logs[group->n_logs++] = (struct hf_shared_log){
                .key = hf__slice(ns->log_key.data, ns->log_key.len),
                .max_entries = ns->log_max,
                .first_item = first,
                .n_items = group->n_items - first,
                .after_id = group->guarded ? ns->log_id : NULL,
            };
    }
}

bool hf__send_group(struct hf_link *link, enum hf_group_kind kind)
{
    struct hf_shared_error no_memory = {.class = HF_SHARED_STATE, .reason = "out of memory"};

    if (grow_request(link) == 0) {
        link->group = (struct hf_shared_group){.items = link->items,
                                               .logs = link->logs,
                                               .guarded = kind == HF_GROUP_GUARDED,
                                               .watched = kind == HF_GROUP_WATCHED,
                                               .done = group_done,
                                               .ctx = link};
        fill_request(link);
        for (size_t i = 0; i < link->sends.n; i++) {
            if (link->sends.sends[i].in_group)
                hf__link_note_sent(link, link->sends.sends[i].lsn);
        }
        hf__link_out(link, true);
        if (link->tier->ops->send_group(link->tier, &link->group) == 0)
            return true;
        hf__link_out(link, false);
    }
    leave_the_rest(link);
    hf__link_pause(link, &no_memory);
    return true;
}
