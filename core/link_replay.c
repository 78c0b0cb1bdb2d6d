/* Replaying rows of the pending table: collect, guard or examine, judge, store, settle (docs/reconcile.md).
 *
 *   collect ──► guarded group: stored where the key holds what is known ──► settled
 *                 │ another value, or not enough is known
 *                 ▼
 *               examine ──► judge ──┬─► watched group ──► each row settled by its verdict
 *                 ▲                 │
 *                 └─ more is needed ┘        touched in between: collected again, at half the size
 *
 * Rows go in the order in which they lie in the local tier: neighbours are read, cleared and committed together. A row
 * stands for the key's state of the moment in which it is collected. */
#include "link_state.h"

#include "checkpoint.h"
#include "digest.h"
#include "fail.h"
#include "lookup.h"
#include "settle.h"

#include <stdio.h>
#include <stdlib.h>

#define ROWS_MAX 1024u /* of one group: bounds the time that Redis is held up */
#define ROWS_MIN 16u
#define SLOW_MS 100      /* an answer that takes longer says that Redis has enough to do */
#define KEYS_TURNS 16u   /* groups whose keys are watched after another node has written while the logs were */
#define LEFT_MAX 100000u /* what is left for the next checkpoint, before the replay waits for it */

/* ---- pacing ---- */

void hf__link_restart_pacing(struct hf_link *link)
{
    link->rows_budget = ROWS_MIN;
    link->contended = link->keys_turns = 0;
    link->no_scripts = false;
}

/* Replay ramps up from a few rows and halves when answers take long; live traffic has every other turn in any case. */
void hf__link_pace(struct hf_link *link, bool touched)
{
    int64_t took_ms = link->turn.now_ms - link->rows_sent_ms;
    unsigned floor = touched ? 1 : ROWS_MIN;

    if (touched)
        link->rows_budget = (unsigned)link->sends.n;
    if (touched || took_ms > SLOW_MS)
        link->rows_budget = link->rows_budget / 2 > floor ? link->rows_budget / 2 : floor;
    else
        link->rows_budget = 2 * link->rows_budget < ROWS_MAX ? 2 * link->rows_budget : ROWS_MAX;
    link->contended = touched && link->sends.n == 1 && !link->watches_logs ? link->contended + 1 : 0;
    if (touched && link->watches_logs)
        link->keys_turns = KEYS_TURNS;
    if (touched && link->rows_from_cursor) { /* they come again at once */
        hf__send_list_clear(&link->ahead);
        link->row_cursor = link->sends.from;
        link->ended_out_of_turn = true; /* those of them that were stored by themselves */
        link->rows_done = false;
    }
}

/* ---- beginning a trial ---- */

void hf__replay_not_as_guarded(struct hf_link *link, struct hf_send *s)
{
    struct hf_trial *trial = s->trial;

    (void)link;
    trial->guarded = trial->judged = s->in_group = false;
    trial->n_guards = 0;
}

/* A row that was acknowledged, or whose key has joined its lane, only waits for a checkpoint to clear it. */
static bool row_is_owed(struct hf_link *link, const struct hf_pending_row *row, const struct hf_found *found)
{
    if (link->ended_out_of_turn && hf__settle_acked_lsn(link->store, row->key) >= row->last_lsn)
        return false; /* it is void; what was written since is on its own way */
    if (!found->top)
        return true;
    if (hf__version_is_settled(found->top)) {
        hf__settle_key(link->store, row->key, found->top->lsn > row->last_lsn ? found->top->lsn : row->last_lsn);
        return false;
    }
    return !(found->top->flags & HF_ENTRY_LANE);
}

/* What may not be sent now is looked at again in the next pass. */
static bool may_send_now(struct hf_link *link, const struct hf_send *s)
{
    if (link->only_deletes && s->trial->c.live)
        return false;
    return s->ns->with_log || s->lsn <= hf__journal_durable_lsn(link->store->journal);
}

int hf__replay_add_row(struct hf_link *link, struct hf_send_list *list, struct hf_look *look,
                       const struct hf_pending_row *row)
{
    struct hf_found found;
    struct hf_send *s;
    int rc = hf__look_up(look, row->key, &found);

    if (rc == HF_ECORRUPT) { /* the copy is damaged: nothing true can be sent; the row stays, and says so */
        link->again = true;
        return 0;
    }
    if (rc != 0 || !row_is_owed(link, row, &found))
        return rc;
    s = hf__send_add(list);
    rc = s ? hf__trial_fill(link->store, s, row, &found) : HF_ENOMEM;
    if (rc != 0)
        return rc;
    hf__trial_begin(&link->turn, &link->notes, s, &found);
    if (link->no_scripts)
        hf__replay_not_as_guarded(link, s);
    if (!may_send_now(link, s)) {
        link->again = true;
        hf__send_drop_last(list);
        return 0;
    }
    list->bytes += s->key.len + s->value.len;
    return 0;
}

/* ---- examining ---- */

static bool wants_examination(const struct hf_send *s)
{
    return s->trial->in_turn && !s->trial->judged;
}

static struct hf_shared_seen *add_seen(struct hf_link *link, struct hf_send *s)
{
    struct hf_shared_seen *seen = &link->examine.keys[link->examine.n_keys++];

    *seen = (struct hf_shared_seen){.key = hf__send_key(s), .want = s->trial->want, .owner = s};
    return seen;
}

static void on_change(void *ctx, const struct hf_shared_change *change)
{
    struct hf_link *link = ctx;

    if (strcmp(change->node, link->store->node) != 0)
        hf__link_foreign_change(link, change);
}

#define LOG_ENTRIES 100u /* of a change log in one examination; more are read as at catch-up */

/* Read on the logs of the namespaces whose keys are examined: what was written since this request was made is named there,
 * and a push that tells of it may still come behind the answer. */
static void add_logs(struct hf_link *link)
{
    struct hf_ns_table *table = &link->store->namespaces;

    link->examine.logs = link->log_pages;
    for (size_t k = 0; k < table->n; k++) {
        struct hf_ns *ns = &table->all[k];
        bool used = false;
        for (size_t i = 0; i < link->examine.n_keys && !used; i++)
            used = ((struct hf_send *)link->examine.keys[i].owner)->ns == ns;
        if (!used || !ns->with_log)
            continue;
        link->log_namespaces[link->examine.n_logs] = ns;
        link->log_pages[link->examine.n_logs] =
            (struct hf_shared_log_page){.log_key = hf__slice(ns->log_key.data, ns->log_key.len),
                                        .count = LOG_ENTRIES,
                                        .each = on_change,
                                        .ctx = link};
        snprintf(link->log_pages[link->examine.n_logs].after_id, HF_STREAM_ID_MAX, "%s", ns->log_id);
        link->examine.n_logs++;
    }
}

static int grow_examination(struct hf_link *link)
{
    size_t n = link->store->namespaces.n;
    struct hf_shared_seen *seen = realloc(link->seen, link->sends.n * sizeof(*seen));

    if (!seen)
        return HF_ENOMEM;
    link->seen = seen;
    if (!link->log_pages)
        link->log_pages = calloc(n, sizeof(*link->log_pages));
    if (!link->log_namespaces)
        link->log_namespaces = calloc(n, sizeof(struct hf_ns *));
    return link->log_pages && link->log_namespaces ? 0 : HF_ENOMEM;
}

static void examined(void *ctx, struct hf_shared_examine *examine);

static bool send_examination(struct hf_link *link, enum hf_shared_watch watch)
{
    struct hf_shared_error error = {.class = HF_SHARED_STATE, .reason = "out of memory"};

    link->examine = (struct hf_shared_examine){.keys = link->seen, .watch = watch, .done = examined, .ctx = link};
    if (grow_examination(link) == 0) {
        link->examine.keys = link->seen;
        for (size_t i = 0; i < link->sends.n; i++) {
            if (wants_examination(&link->sends.sends[i]))
                add_seen(link, &link->sends.sends[i]);
        }
        add_logs(link);
        hf__link_out(link, true);
        if (link->tier->ops->send_examine(link->tier, &link->examine) == 0)
            return true;
        hf__link_out(link, false);
    }
    for (size_t i = 0; i < link->sends.n; i++)
        hf__send_leave(link, &link->sends.sends[i]);
    hf__send_list_clear(&link->sends);
    hf__link_fail(link, &error); /* what is watched must not stay so */
    return true;
}

/* ---- judging ---- */

static struct hf_conflict offered_conflict(const struct hf_send *s)
{
    const struct hf_trial *trial = s->trial;
    const struct hf_case *c = &trial->c;

    return (struct hf_conflict){
        .id = s->lsn,
        .key = hf__send_key(s),
        .kind = c->live ? HF_OP_SET : HF_OP_DELETE,
        .rule = "",
        .decided_ms = c->now_ms,
        .ours = {.present = c->live,
                 .value = c->value,
                 .deadline_ms = c->deadline_ms,
                 .made_ms = c->made_ms,
                 .uncertainty_ms = c->uncertainty_ms},
        .theirs = {.present = c->kind == HF_SHARED_STRING,
                   .value = hf__trial_theirs(trial),
                   .deadline_ms = c->found_deadline_ms,
                   .made_ms = c->foreign.op ? c->foreign.made_ms : 0,
                   .uncertainty_ms = c->foreign.uncertainty_ms},
        .has_base = trial->row.has_base_value,
        .base = trial->row.base_value,
    };
}

/* The resolver could not: it is offered again, a bounded number of times. */
static void resolver_failed(struct hf_link *link, struct hf_trial *trial, const char *reason)
{
    struct hf_note *note = hf__notes_of(&link->notes, trial->row.key);

    if (note)
        note->failures++;
    trial->verdict = (struct hf_judgement){.outcome = HF_OUTCOME_PENDING};
    if (note && note->failures >= HF_LINK_CONTENDED_MAX)
        trial->verdict = (struct hf_judgement){.outcome = HF_OUTCOME_PARKED, .reason = reason};
}

static void ask_callback(struct hf_link *link, struct hf_send *s)
{
    struct hf_conflict conflict = offered_conflict(s);
    struct hf_trial *trial = s->trial;
    enum hf_winner winner = 0;
    int rc = link->store->opts.resolve(link->store->opts.resolve_ctx, &conflict, &winner, &trial->merged);

    if (rc != 0 || winner < HF_WINNER_OURS || winner > HF_WINNER_MERGED ||
        (winner == HF_WINNER_MERGED && trial->merged.len > link->store->opts.max_value_bytes)) {
        hf_buf_release(&trial->merged);
        resolver_failed(link, trial, "the resolver of conflicts failed each time");
        return;
    }
    if (winner != HF_WINNER_MERGED)
        hf_buf_release(&trial->merged);
    else if (!trial->merged.data)
        (void)hf__buf_copy(hf__slice("", 0), &trial->merged);
    hf__judge_answer(&trial->c, winner, HF_RULE_CALLBACK, &trial->verdict);
}

static void resolve(struct hf_link *link, struct hf_send *s)
{
    if (s->trial->c.policy != HF_CONFLICT_MERGE_JSON)
        ask_callback(link, s);
    else if (!hf__trial_merge_json(s))
        resolver_failed(link, s->trial, "there was no memory to merge it, each time");
}

static uint64_t conflict_bytes(const struct hf_send *s)
{
    return s->key.len + s->value.len + s->trial->theirs.len;
}

/* A full conflict log keeps no blind rows; other changes stay pending until there is room. */
static void check_conflict_room(struct hf_link *link, struct hf_send *s)
{
    struct hf *store = link->store;
    struct hf_judgement *verdict = &s->trial->verdict;

    if (verdict->rule == 0 || hf__link_has_conflict_room(link, conflict_bytes(s)))
        return;
    if (verdict->rule == HF_RULE_BLIND) {
        verdict->rule = 0;
        atomic_fetch_add(&store->lost_conflicts, 1);
        return;
    }
    *verdict = (struct hf_judgement){.outcome = HF_OUTCOME_PENDING};
    hf__link_note_full_log(link);
}

static void judge_one(struct hf_link *link, struct hf_send *s)
{
    struct hf_trial *trial = s->trial;

    if (!hf__trial_judge(&link->turn, &link->notes, trial))
        return;
    if (trial->verdict.ask)
        resolve(link, s);
    trial->want = trial->verdict.want;
    if (trial->want != 0)
        return;
    check_conflict_room(link, s);
    trial->judged = true;
}

/* The group that follows is about what was examined. What was found guards it where the watch ends early. */
static void guard_by_what_was_found(struct hf_trial *trial)
{
    const struct hf_case *c = &trial->c;

    if (c->kind != HF_SHARED_STRING || !c->has_digest)
        return;
    trial->n_guards = 1;
    trial->guards[0] = (struct hf_shared_guard){.len = c->len};
    memcpy(trial->guards[0].digest, c->digest, sizeof(c->digest));
}

/* True when something has to be examined further. */
static bool judge_all(struct hf_link *link)
{
    bool more = false;

    for (size_t i = 0; i < link->sends.n; i++) {
        struct hf_send *s = &link->sends.sends[i];
        if (!wants_examination(s))
            continue;
        judge_one(link, s);
        more |= !s->trial->judged;
    }
    return more;
}

/* ---- from verdicts to a group ---- */

static void put_into_group(struct hf_send *s)
{
    s->in_group = true;
    s->op = s->trial->verdict.send;
    s->deadline_ms = s->trial->verdict.deadline_ms;
}

/* What was judged, also what has nothing to send: it is settled with the rest. */
static bool store_examined(struct hf_link *link)
{
    for (size_t i = 0; i < link->sends.n; i++) {
        struct hf_send *s = &link->sends.sends[i];
        if (!s->trial->in_turn)
            continue;
        guard_by_what_was_found(s->trial);
        put_into_group(s);
    }
    return hf__send_group(link, HF_GROUP_WATCHED);
}

/* The log has more than one page: it is read as at catch-up, and the rows come again. */
static bool log_has_more(const struct hf_shared_examine *examine)
{
    for (size_t i = 0; i < examine->n_logs; i++) {
        if (examine->logs[i].n_entries >= LOG_ENTRIES || examine->logs[i].gap || examine->logs[i].missing)
            return true;
    }
    return false;
}

static void take_logs(struct hf_link *link, const struct hf_shared_examine *examine)
{
    for (size_t i = 0; i < examine->n_logs; i++) {
        struct hf_ns *ns = link->log_namespaces[i];
        snprintf(ns->log_id, sizeof(ns->log_id), "%s", examine->logs[i].after_id);
        ns->log_unread = !link->tracking || examine->logs[i].n_entries >= LOG_ENTRIES;
    }
}

/* Nothing is sent; the rows are looked at again. */
static void leave_undecided(struct hf_link *link)
{
    for (size_t i = 0; i < link->sends.n; i++) {
        link->sends.sends[i].trial->verdict = (struct hf_judgement){.outcome = HF_OUTCOME_PENDING};
        link->sends.sends[i].trial->in_turn = true;
    }
}

static void leave_all(struct hf_link *link)
{
    for (size_t i = 0; i < link->sends.n; i++)
        hf__send_leave(link, &link->sends.sends[i]);
    hf__send_list_clear(&link->sends);
}

/* A key that this user may not even look at is held up by nobody but the operator. */
static void park_forbidden(const struct hf_shared_examine *examine)
{
    for (size_t i = 0; i < examine->n_keys; i++) {
        if (examine->keys[i].error.class != HF_SHARED_OK)
            hf__trial_park(((struct hf_send *)examine->keys[i].owner)->trial, examine->keys[i].error.reason);
    }
}

static void take_examination(struct hf_link *link, struct hf_shared_examine *examine)
{
    for (size_t i = 0; i < examine->n_keys; i++)
        hf__trial_take(&link->turn, ((struct hf_send *)examine->keys[i].owner)->trial, &examine->keys[i]);
    take_logs(link, examine);
    park_forbidden(examine);
    if (judge_all(link))
        send_examination(link, HF_WATCH_KEYS);
    else
        store_examined(link);
}

static bool examine_some(struct hf_link *link);

/* What others have written is to be read, and compared where it is among these: so it goes for a while, because they may
 * write all the time. */
static void examine_after_all(struct hf_link *link)
{
    link->keys_turns = KEYS_TURNS;
    link->watches_logs = false; /* not those of all that is examined now */
    examine_some(link);
}

static void examined(void *ctx, struct hf_shared_examine *examine)
{
    struct hf_link *link = ctx;
    struct hf_shared_error error = examine->error;

    hf__turn_begin(link->store, &link->turn);
    hf__link_out(link, false);
    if (error.class == HF_SHARED_LINK) {
        leave_all(link); /* nothing was sent; `lost` follows */
    } else if (error.class != HF_SHARED_OK) {
        leave_all(link);
        hf__link_fail(link, &error);
    } else if (examine->unread) {
        examine_after_all(link);
    } else if (log_has_more(examine)) {
        link->log_behind = true;
        leave_undecided(link);
        store_examined(link); /* ends the watching */
    } else {
        take_examination(link, examine);
    }
}

static bool store_guarded(struct hf_link *link)
{
    bool any = false;

    for (size_t i = 0; i < link->sends.n; i++) {
        struct hf_send *s = &link->sends.sends[i];
        if (!s->trial->guarded)
            continue;
        hf__trial_judge_unexamined(s->trial);
        put_into_group(s);
        any = true;
    }
    return any && hf__send_group(link, HF_GROUP_GUARDED);
}

#define EXAMINED_MAX 100u /* keys that are watched at once: Redis compares each with all others */

static bool examine_some(struct hf_link *link)
{
    size_t n = 0;

    for (size_t i = 0; i < link->sends.n; i++) {
        struct hf_trial *trial = link->sends.sends[i].trial;
        trial->in_turn = n < EXAMINED_MAX;
        n += trial->in_turn;
    }
    return send_examination(link, HF_WATCH_KEYS);
}

/* Not if the log has named it since the list was made. */
static bool is_uncompared_still(struct hf_link *link, const struct hf_send *s)
{
    const struct hf_note *note = hf__notes_find(&link->notes, hf__send_key(s));

    return s->trial->uncompared && !(note && note->foreign.op != 0);
}

/* What is not compared: the logs tell of all who write, unless they do so all the time. */
static bool examine_kinds(struct hf_link *link)
{
    size_t n = 0;

    if (link->keys_turns > 0)
        return false;
    for (size_t i = 0; i < link->sends.n; i++) {
        struct hf_send *s = &link->sends.sends[i];
        s->trial->in_turn = is_uncompared_still(link, s);
        n += s->trial->in_turn;
    }
    return n > 0 && send_examination(link, HF_WATCH_LOGS);
}

bool hf__replay_try(struct hf_link *link)
{
    link->rows_sent_ms = link->turn.now_ms;
    link->watches_logs = false;
    if (store_guarded(link))
        return true;
    link->watches_logs = examine_kinds(link);
    if (!link->watches_logs)
        link->keys_turns -= link->keys_turns > 0;
    return link->watches_logs || examine_some(link);
}

/* ---- settling ---- */

/* A value that the conflict log does not take is kept as its digest. */
static struct hf_conflict_side kept_side(bool present, struct hf_slice value, uint64_t len, const uint8_t *digest)
{
    bool too_long = present && len > HF_CONFLICT_VALUE_MAX;

    if (!present)
        return (struct hf_conflict_side){0};
    return (struct hf_conflict_side){.present = true,
                                     .too_long = too_long,
                                     .value = too_long ? hf__slice(digest, HF_DIGEST_BYTES) : value,
                                     .len = len};
}

void hf__replay_fill_conflict(const struct hf_send *s, struct hf_version_id *ours, struct hf_conflict_row *row)
{
    const struct hf_trial *trial = s->trial;
    const struct hf_case *c = &trial->c;

    if (c->value.len > HF_CONFLICT_VALUE_MAX)
        *ours = hf__version_id(c->value, 0);
    *row = (struct hf_conflict_row){
        .id = s->lsn,
        .rule = trial->verdict.rule,
        .winner = (uint8_t)trial->verdict.winner,
        .op = c->op,
        .decided_ms = c->now_ms,
        .key = hf__send_key(s),
        .ours = kept_side(c->live, c->value, c->value.len, ours->digest),
        .theirs = kept_side(c->kind == HF_SHARED_STRING, hf__trial_theirs(trial), c->len, c->digest),
    };
    row->ours.deadline_ms = c->deadline_ms;
    row->ours.made_ms = c->made_ms;
    row->ours.uncertainty_ms = c->uncertainty_ms;
    row->theirs.deadline_ms = c->found_deadline_ms;
    row->theirs.made_ms = c->foreign.op ? c->foreign.made_ms : 0;
    row->theirs.uncertainty_ms = c->foreign.uncertainty_ms;
}

/* The copy here becomes something else than what it is. */
static void fill_copy(const struct hf_send *s, struct hf_slice *value, struct hf_verdict *verdict)
{
    const struct hf_trial *trial = s->trial;
    const struct hf_judgement *j = &trial->verdict;

    if (j->take_theirs) {
        *value = hf__trial_theirs(trial);
        verdict->take_theirs = true;
        verdict->theirs = trial->c.kind == HF_SHARED_STRING ? value : NULL;
        verdict->theirs_deadline_ms = trial->c.found_deadline_ms;
    } else if (j->winner == HF_WINNER_MERGED || j->refresh ||
               (trial->c.live && j->deadline_ms != trial->c.deadline_ms)) {
        *value = j->refresh ? hf__trial_theirs(trial) : hf__send_value(s);
        verdict->take_theirs = true;
        verdict->theirs = value;
        verdict->theirs_deadline_ms = j->deadline_ms;
        verdict->ours_made_ms = !j->refresh && trial->own_value ? trial->c.made_ms : 0;
    }
}

static bool settle(struct hf_link *link, struct hf_send *s)
{
    struct hf_verdict verdict = {0};
    struct hf_conflict_row row;
    struct hf_version_id ours;
    struct hf_slice value;

    fill_copy(s, &value, &verdict);
    if (s->trial->verdict.rule != 0) {
        hf__replay_fill_conflict(s, &ours, &row);
        verdict.conflict = &row;
    }
    if (!verdict.conflict && !verdict.take_theirs) {
        if (!hf__write_stored(link->store, hf__send_key(s), s->lsn))
            hf__send_note_stored(link, s);
        return true;
    }
    return hf__write_verdict(link->store, hf__send_key(s), s->lsn, &verdict);
}

/* Nothing was stored, so no watch has told whether it changed after it was looked at. */
static bool was_doubted(struct hf_link *link, const struct hf_send *s)
{
    const struct hf_note *note = hf__notes_find(&link->notes, hf__send_key(s));

    return note && (note->doubted || note->foreign.op != 0) && s->trial->verdict.send == 0;
}

void hf__replay_applied(struct hf_link *link, struct hf_send *s)
{
    const struct hf_judgement *j = &s->trial->verdict;

    if (j->outcome == HF_OUTCOME_PARKED) {
        s->op = s->trial->c.live ? HF_SHARED_SET : HF_SHARED_DELETE;
        hf__send_park(link, s, j->reason);
        return;
    }
    if (j->outcome == HF_OUTCOME_PENDING) {
        hf__send_leave(link, s);
        return;
    }
    if (!settle(link, s)) { /* the newer change is judged anew */
        hf__send_written_again(link, s);
        return;
    }
    if (was_doubted(link, s) && hf__refresh_add(link, hf__send_key(s), false) != 0)
        link->refresh_failed = true;
    atomic_fetch_add(&link->store->shared_ops, 1);
    atomic_fetch_add(&link->store->replayed_ops, 1);
    hf__send_ended(link, s, j->outcome, "");
}

/* ---- collecting ---- */

/* A key that others write to all the time is tried alone, and at last given to the operator. */
static void park_contended(struct hf_link *link)
{
    if (link->contended < HF_LINK_CONTENDED_MAX || link->sends.n != 1)
        return;
    link->contended = 0;
    link->sends.sends[0].op = link->sends.sends[0].trial->c.live ? HF_SHARED_SET : HF_SHARED_DELETE;
    hf__send_park(link, &link->sends.sends[0],
                  "others changed the key each time between looking at it and storing it");
    hf__send_list_clear(&link->sends);
}

static int note_unreadable(struct hf_link *link)
{
    link->unreadable = true;
    pthread_mutex_lock(&link->mutex);
    snprintf(link->reason, sizeof(link->reason), "a change that waits cannot be read: %.100s", hf_errmsg());
    pthread_mutex_unlock(&link->mutex);
    return 0;
}

static int collect_rows(struct hf_link *link, struct hf_send_list *list, struct hf_look *look, unsigned allowed)
{
    const struct hf_local_ops *ops = link->store->local->ops;
    struct hf_local_snap *snap;
    struct hf_pending_row row;
    int rc = hf__look_snap(look, &snap);

    list->from = link->row_cursor;
    while (rc == 0 && !hf__send_list_full(link, list, allowed)) {
        rc = ops->pending_walk(snap, &link->row_cursor, &row);
        if (rc == 0 && row.first_lsn < link->live_from)
            rc = hf__replay_add_row(link, list, look, &row);
        if (rc == HF_ECORRUPT) /* what is owed cannot be told: the row stays, and the others go */
            rc = note_unreadable(link);
    }
    link->rows_done = rc == HF_NOT_FOUND;
    return link->rows_done ? 0 : rc;
}

static void collecting_failed(struct hf_link *link)
{
    struct hf_shared_error error = {.class = HF_SHARED_STATE};

    snprintf(error.reason, sizeof(error.reason), "the local tier cannot be read: %.100s", hf_errmsg());
    hf__send_list_clear(&link->sends);
    hf__send_list_clear(&link->ahead);
    link->again = true;
    hf__link_pause(link, &error);
}

/* The checkpoint is to store what was settled before more is: its list stays short. It begins at half of what is too
 * much, and the replay goes on meanwhile. */
static bool too_much_is_left(struct hf_link *link)
{
    struct hf_checkpointer *cp = &link->store->checkpoint;
    bool much, too_much;

    pthread_mutex_lock(&cp->mutex);
    too_much = cp->n_settled >= LEFT_MAX;
    much = cp->n_settled >= LEFT_MAX / 2 && !hf__checkpoint_is_draining(link->store);
    pthread_mutex_unlock(&cp->mutex);
    if (much || too_much)
        hf__checkpoint_request(link->store); /* its end wakes the link */
    return too_much;
}

static int collect(struct hf_link *link, struct hf_send_list *list, unsigned allowed)
{
    struct hf_look look;
    int rc = hf__look_begin(link->store, &look);

    if (rc == 0) {
        rc = collect_rows(link, list, &look, allowed);
        hf__look_end(&look);
    }
    return rc;
}

/* ---- preparing the next group while one is out ---- */

void hf__replay_prepare(struct hf_link *link)
{
    if (link->state != HF_LINK_REPLAYING || !link->rows_from_cursor || link->sends.n == 0 || link->ahead.n > 0 ||
        link->rows_done || link->paused || link->rows_not_before_ms > link->turn.now_ms || too_much_is_left(link))
        return;
    link->ahead_covered_lsn = atomic_load(&link->store->covered_lsn);
    if (collect(link, &link->ahead, link->rows_budget) != 0) { /* it shows when it is tried in its turn */
        hf__send_list_clear(&link->ahead);
        link->again = true;
    }
}

/* Nothing about the key has changed since it was collected. */
static bool is_as_prepared(struct hf_link *link, const struct hf_look *look, const struct hf_send *s)
{
    struct hf_slice key = hf__send_key(s);
    const struct hf_generation *generations[] = {look->view.active, look->view.frozen};

    for (size_t i = 0; i < 2; i++) {
        const struct hf_node *node = generations[i] ? hf__generation_find(generations[i], key) : NULL;
        const struct hf_version *head = node ? atomic_load(&node->head) : NULL;
        if (head && (head->lsn > s->lsn || head->lsn == 0 || hf__version_is_settled(head)))
            return false;
    }
    return !hf__notes_find(&link->notes, key) &&
           !(link->ended_out_of_turn && hf__settle_acked_lsn(link->store, key) >= s->trial->row.last_lsn);
}

/* As the row is now. */
static int collect_again(struct hf_link *link, struct hf_look *look, struct hf_slice key)
{
    struct hf_local_snap *snap;
    struct hf_pending_row row;
    int rc = hf__look_snap(look, &snap);

    if (rc == 0)
        rc = link->store->local->ops->pending_get(snap, key, &row);
    if (rc == HF_ECORRUPT)
        return note_unreadable(link);
    if (rc == 0 && row.first_lsn < link->live_from)
        rc = hf__replay_add_row(link, &link->sends, look, &row);
    return rc == HF_NOT_FOUND ? 0 : rc;
}

/* Move what was prepared to where it is sent from; what is no longer as it was is collected again. */
static int take_prepared(struct hf_link *link)
{
    struct hf_send_list *ahead = &link->ahead;
    struct hf_look look;
    int rc = hf__look_begin(link->store, &look);
    bool stored_since = atomic_load(&link->store->covered_lsn) != link->ahead_covered_lsn; /* what no view shows */

    for (size_t i = 0; rc == 0 && i < ahead->n; i++) {
        struct hf_send *from = &ahead->sends[i], *to;
        if (stored_since || !is_as_prepared(link, &look, from)) {
            rc = collect_again(link, &look, hf__send_key(from));
            continue;
        }
        to = hf__send_add(&link->sends);
        rc = to ? 0 : HF_ENOMEM;
        if (!to)
            break;
        *to = *from;
        *from = (struct hf_send){0};
        if (link->no_scripts) /* which was not known when it was prepared */
            hf__replay_not_as_guarded(link, to);
        link->sends.bytes += to->key.len + to->value.len;
    }
    hf__look_end(&look);
    link->sends.from = ahead->from;
    hf__send_list_clear(ahead);
    return rc;
}

bool hf__link_send_rows(struct hf_link *link)
{
    unsigned allowed = link->rows_done && link->ahead.n == 0 ? 0 : hf__link_rows_allowed(link);
    int rc = 0;

    if (allowed > 0 && link->ahead.n > 0)
        rc = take_prepared(link);
    while (rc == 0 && allowed > 0 && link->sends.n == 0 && !link->rows_done && !too_much_is_left(link)) {
        rc = collect(link, &link->sends, allowed);
        if (rc == 0)
            park_contended(link);
    }
    if (rc != 0) {
        collecting_failed(link);
        return true;
    }
    if (link->sends.n == 0)
        return false;
    link->rows_from_cursor = true;
    hf__link_spend(link, link->sends.n, link->sends.bytes);
    hf__link_wake(link->store); /* to prepare the next ones when these are on their way */
    return hf__replay_try(link);
}
