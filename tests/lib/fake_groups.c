/* Answers to groups, in the phases of backends/redis/groups.c: a transaction; a script that looks before it writes; and the
 * transaction that makes keys where none are, which the script follows when it does not make them. */
#include "fake_answers.h"

#include "errors.h"

#include <stdio.h>
#include <stdlib.h>

struct run {
    struct fake_asker asker;
    struct hf_shared_group *group;
    struct hf_shared_error scripted; /* what a test wants of every item; class HF_SHARED_OK: nothing */
    struct hf_shared_error abort;    /* why EXEC, or a log entry, was refused */
    bool executed, refused, made;
    uint64_t longest; /* that a guard is of */
    int64_t budget;   /* bytes that the script may still hash */
};

/* ---- which items are still in ---- */

static bool is_in(const struct hf_shared_item *item)
{
    return item->error.class == HF_SHARED_OK;
}

static size_t count_in(const struct hf_shared_item *items, size_t n)
{
    size_t count = 0;

    for (size_t i = 0; i < n; i++)
        count += is_in(&items[i]);
    return count;
}

/* This log is to name something. */
static bool is_used(const struct hf_shared_group *group, const struct hf_shared_log *log)
{
    return log->key.len > 0 && count_in(group->items + log->first_item, log->n_items) > 0;
}

static uint64_t last_lsn(const struct hf_shared_group *group, const struct hf_shared_log *log)
{
    uint64_t last = 0;

    for (size_t i = log->first_item; i < log->first_item + log->n_items; i++) {
        if (is_in(&group->items[i]) && group->items[i].lsn > last)
            last = group->items[i].lsn;
    }
    return last;
}

/* ---- verdicts ---- */

static void blame_all_in(struct hf_shared_group *group, struct hf_shared_error error)
{
    for (size_t i = 0; i < group->n_items; i++) {
        if (is_in(&group->items[i]))
            group->items[i].error = error;
    }
}

static void refuse(struct run *run, struct hf_shared_error error)
{
    blame_all_in(run->group, error);
    run->group->error = error;
}

static void blame(struct hf_shared_error *verdict, struct hf_shared_error error)
{
    if (hf__redis_worse(verdict->class, error.class) != verdict->class)
        *verdict = error;
}

/* The gravest of the items' errors; `singly`: those that concern only their own entry do not count. */
static void judge(struct hf_shared_group *group, bool singly)
{
    for (size_t i = 0; i < group->n_items; i++) {
        enum hf_shared_class class = group->items[i].error.class;
        if (class != HF_SHARED_CHANGED && (!singly || class == HF_SHARED_STATE || class == HF_SHARED_AUTH))
            blame(&group->error, group->items[i].error);
    }
}

/* ---- naming ---- */

static struct fake_name name_of(const struct hf_shared_item *item)
{
    struct fake_name name = fake_name_of(item->op, item->key, item->lsn);

    if (item->made_ms <= 0)
        return name;
    name.made_ms = item->made_ms;
    name.uncertainty_ms = item->uncertainty_ms > 0 ? item->uncertainty_ms : 0;
    return name;
}

/* Of those that are still in and were not left out; to be freed. */
static struct fake_name *names_of(const struct run *run, const struct hf_shared_log *log, const bool *left_out,
                                  size_t *ret_n)
{
    struct fake_name *names = fake_need(calloc(log->n_items + 1, sizeof(*names)));

    *ret_n = 0;
    for (size_t i = log->first_item; i < log->first_item + log->n_items; i++) {
        if (is_in(&run->group->items[i]) && !(left_out && left_out[i]))
            names[(*ret_n)++] = name_of(&run->group->items[i]);
    }
    return names;
}

/* A script's entries. */
static void name_items(struct run *run, struct fake_caller *caller, struct hf_shared_log *log, const bool *left_out)
{
    size_t n;
    struct fake_name *names = names_of(run, log, left_out, &n);

    fake_log_names(caller, log, run->asker.session->node, last_lsn(run->group, log), names, n);
    free(names);
}

/* One entry, however many it names. */
static void add_entry(struct run *run, struct fake_caller *caller, struct hf_shared_log *log)
{
    struct fake_entry entry = {.last_lsn = last_lsn(run->group, log)};
    struct fake_id id;
    bool there;

    entry.names = names_of(run, log, NULL, &entry.n_names);
    snprintf(entry.node, sizeof(entry.node), "%s", run->asker.session->node);
    log->missing = fake_add(caller, log->key, &entry, fake_log_max(log), &there, &id) || !there;
    if (!log->missing)
        fake_format_id(id, log->last_id);
    free(entry.names);
}

/* ---- the guard of the next group ---- */

/* WATCH session, GET session */
static bool watch_session(const struct run *run)
{
    struct fake_session *session = run->asker.session;
    struct fake_caller caller = {0};

    if (fake_refuses(&caller, FAKE_ALWAYS))
        return false;
    fake_watch(session, hf__slice_str(session->key));
    return !fake_refuses(&caller, FAKE_READS) && fake_is_ours(session);
}

/* ---- by the script ---- */

enum done { NOT_YET, DONE, LEFT_OUT };

static bool is_fresh(const struct hf_shared_item *item)
{
    return item->op == HF_SHARED_SET && item->deadline_ms == 0 && item->n_guards == 1 && item->guards[0].absent;
}

/* To go over something that is known. */
static bool is_known(const struct hf_shared_item *item)
{
    bool only_absent = item->n_guards == 1 && item->guards[0].absent;

    return item->op == HF_SHARED_SET && item->deadline_ms == 0 && item->n_guards > 0 && !only_absent;
}

/* No more is hashed than keeps Redis waiting for a moment. */
static bool fits(struct run *run, const struct hf_shared_item *item, const struct fake_key *key)
{
    if (key && !key->type[0] && key->value.len > HF_EXAMINE_SMALL) {
        run->budget -= (int64_t)key->value.len;
        if (run->budget < 0)
            return false;
    }
    if (key && key->value.len > run->longest)
        return false;
    return fake_fits(item->guards, item->n_guards, key);
}

#define OWN_ENTRIES_MAX 100u /* behind the id that is known: more are not looked at */

static bool has_unread(const struct run *run, const struct hf_shared_log *log)
{
    const struct fake_key *key = fake_look(log->key);
    struct fake_id after = fake_parse_id(log->after_id ? log->after_id : "");
    size_t behind = 0;

    if (!log->after_id || !key || strcmp(key->type, FAKE_STREAM) != 0)
        return false;
    for (size_t i = 0; i < key->stream.n; i++) {
        const struct fake_entry *entry = &key->stream.entries[i];
        if (fake_compare_ids(entry->id, after) <= 0)
            continue;
        if (++behind == OWN_ENTRIES_MAX || strcmp(entry->node, run->asker.session->node) != 0)
            return true;
    }
    return false;
}

static bool have_unread(const struct run *run)
{
    for (size_t i = 0; i < run->group->n_logs; i++) {
        if (is_used(run->group, &run->group->logs[i]) && has_unread(run, &run->group->logs[i]))
            return true;
    }
    return false;
}

#define STORED_AT_ONCE 1000u
#define LOOKED_AT_AT_ONCE 32u

/* The next ones that `is` says, from *at on, at the most `max`. Returns how many. */
static size_t next_items(const struct run *run, size_t *at, bool (*is)(const struct hf_shared_item *item),
                         const enum done *done, enum done which, size_t *items, size_t max)
{
    size_t n = 0;

    for (; *at < run->group->n_items && n < max; (*at)++) {
        const struct hf_shared_item *item = &run->group->items[*at];
        if (is_in(item) && is(item) && done[*at] == which)
            items[n++] = *at;
    }
    return n;
}

static void store_items(struct run *run, struct fake_caller *caller, const size_t *items, size_t n, enum done *done)
{
    for (size_t i = 0; i < n; i++) {
        const struct hf_shared_item *item = &run->group->items[items[i]];
        (void)fake_set(caller, item->key, item->value, 0); /* nothing is refused any more */
        done[items[i]] = DONE;
    }
}

static bool all_absent(const struct run *run, const size_t *items, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (fake_look(run->group->items[items[i]].key))
            return false;
    }
    return true;
}

/* MSETNX, a thousand at a time. */
static void store_fresh(struct run *run, struct fake_caller *caller, enum done *done)
{
    size_t items[STORED_AT_ONCE], at = 0, n;

    while ((n = next_items(run, &at, is_fresh, done, NOT_YET, items, STORED_AT_ONCE)) > 0) {
        if (!fake_refuses(caller, FAKE_WRITES | FAKE_GROWS) && all_absent(run, items, n))
            store_items(run, caller, items, n, done);
    }
}

/* MGET: strings that are not what they should be are left out, what is no string goes one by one. */
static size_t compare_known(struct run *run, enum done *done, size_t *same)
{
    size_t items[LOOKED_AT_AT_ONCE], at = 0, n, n_same = 0;

    while ((n = next_items(run, &at, is_known, done, NOT_YET, items, LOOKED_AT_AT_ONCE)) > 0) {
        for (size_t i = 0; i < n; i++) {
            const struct hf_shared_item *item = &run->group->items[items[i]];
            const struct fake_key *key = fake_look(item->key);
            if (!key || key->type[0])
                continue;
            if (fits(run, item, key))
                same[n_same++] = items[i];
            else
                done[items[i]] = LEFT_OUT;
        }
    }
    return n_same;
}

/* MSET, a thousand at a time. */
static void store_known(struct run *run, struct fake_caller *caller, enum done *done)
{
    size_t *same = fake_need(calloc(run->group->n_items + 1, sizeof(*same)));
    size_t n_same = compare_known(run, done, same);

    for (size_t from = 0; from < n_same; from += STORED_AT_ONCE) {
        size_t n = n_same - from < STORED_AT_ONCE ? n_same - from : STORED_AT_ONCE;
        if (!fake_refuses(caller, FAKE_WRITES | FAKE_GROWS))
            store_items(run, caller, same + from, n, done);
    }
    free(same);
}

static const char *run_item(struct fake_caller *caller, const struct hf_shared_item *item)
{
    switch (item->op) {
    case HF_SHARED_SET: return fake_set(caller, item->key, item->value, item->deadline_ms);
    case HF_SHARED_EXPIRE: return fake_expire(caller, item->key, item->deadline_ms);
    case HF_SHARED_PERSIST: return fake_persist(caller, item->key);
    default: return fake_delete(caller, item->key);
    }
}

/* One item by itself: why it was not applied; "": its key holds something else; NULL: it was. */
static const char *one(struct run *run, struct fake_caller *caller, const struct hf_shared_item *item)
{
    bool only_absent = item->op == HF_SHARED_SET && item->n_guards == 1 && item->guards[0].absent;
    const struct fake_key *key = only_absent ? NULL : fake_look(item->key);
    const char *why;
    bool set;

    if (only_absent) {
        why = fake_set_if_absent(caller, item->key, item->value, item->deadline_ms, &set);
        return why || set ? why : "";
    }
    if (run->group->guarded && item->n_guards == 0 && key && key->type[0])
        return FAKE_WRONGTYPE;
    if (item->n_guards > 0 && !fits(run, item, key))
        return "";
    return run_item(caller, item);
}

static void blame_item(struct hf_shared_item *item, const char *why)
{
    if (*why)
        item->error = fake_classify(why);
    else
        item->error = fake_error(HF_SHARED_CHANGED, "the key holds something else than was known");
}

/* What is named is known before anything has its verdict. */
static void name_guarded(struct run *run, struct fake_caller *caller, const bool *left_out)
{
    for (size_t i = 0; i < run->group->n_logs; i++) {
        struct hf_shared_log *log = &run->group->logs[i];
        if (is_used(run->group, log))
            name_items(run, caller, log, left_out);
    }
}

static void guard_items(struct run *run, struct fake_caller *caller)
{
    size_t n = run->group->n_items;
    enum done *done = fake_need(calloc(n + 1, sizeof(*done)));
    const char **why = fake_need(calloc(n + 1, sizeof(*why)));
    bool *left_out = fake_need(calloc(n + 1, sizeof(*left_out)));

    store_fresh(run, caller, done);
    store_known(run, caller, done);
    for (size_t i = 0; i < n; i++) {
        if (is_in(&run->group->items[i]) && done[i] != DONE)
            why[i] = done[i] == LEFT_OUT ? "" : one(run, caller, &run->group->items[i]);
        left_out[i] = why[i];
    }
    name_guarded(run, caller, left_out);
    for (size_t i = 0; i < n; i++) {
        if (why[i])
            blame_item(&run->group->items[i], why[i]);
    }
    free(done);
    free(why);
    free(left_out);
}

/* What a test wants, where the guards would let it. */
static void blame_as_scripted(struct run *run)
{
    for (size_t i = 0; i < run->group->n_items; i++) {
        struct hf_shared_item *item = &run->group->items[i];
        if (run->group->guarded && item->n_guards > 0 && !fits(run, item, fake_look(item->key)))
            blame_item(item, "");
        else
            item->error = run->scripted;
    }
}

static void guard(struct run *run)
{
    struct fake_caller caller;
    struct hf_shared_error error = fake_begin_script(run->asker.session, &caller);

    run->budget = HF_EXAMINE_BUDGET;
    for (size_t i = 0; i < run->group->n_items; i++) {
        for (size_t k = 0; k < run->group->items[i].n_guards; k++) {
            uint64_t len = run->group->items[i].guards[k].len;
            run->longest = len > run->longest ? len : run->longest;
        }
    }
    if (error.class != HF_SHARED_OK) {
        refuse(run, error);
    } else if (have_unread(run)) {
        blame_all_in(run->group, fake_error(HF_SHARED_CHANGED, "others have written to the change log"));
    } else if (run->scripted.class != HF_SHARED_OK) {
        blame_as_scripted(run);
    } else {
        guard_items(run, &caller);
    }
    judge(run->group, true);
}

/* The script is sent in a wave of its own. */
static void guard_instead(struct run *run)
{
    fake_end_turn();
    run->abort = fake_classify(NULL);
    run->executed = false;
    if (run->asker.tier)
        guard(run);
}

/* ---- by a transaction ---- */

static unsigned does(enum hf_shared_op op)
{
    return op == HF_SHARED_SET ? FAKE_WRITES | FAKE_GROWS : FAKE_WRITES;
}

/* Returns how many items were sent. */
static size_t queue(struct run *run)
{
    struct fake_caller caller = {.in_multi = true};
    struct hf_shared_group *group = run->group;
    bool *used = fake_need(calloc(group->n_logs + 1, sizeof(*used)));
    size_t n_sent = count_in(group->items, group->n_items);

    for (size_t i = 0; i < group->n_logs; i++)
        used[i] = is_used(group, &group->logs[i]);
    for (size_t i = 0; i < group->n_items; i++)
        group->items[i].error = fake_classify(fake_refuses(&caller, does(group->items[i].op)));
    for (size_t i = 0; i < group->n_logs; i++) {
        if (used[i])
            blame(&run->abort, fake_classify(fake_refuses(&caller, FAKE_WRITES | FAKE_GROWS)));
    }
    free(used);
    return n_sent;
}

static void execute(struct run *run)
{
    struct fake_caller caller = {.by = run->asker.tier, .let = true};
    struct hf_shared_group *group = run->group;
    const char **why = fake_need(calloc(group->n_items + 1, sizeof(*why)));

    for (size_t i = 0; i < group->n_items; i++)
        why[i] = run_item(&caller, &group->items[i]);
    for (size_t i = 0; i < group->n_logs; i++) {
        if (is_used(group, &group->logs[i]))
            add_entry(run, &caller, &group->logs[i]);
    }
    for (size_t i = 0; i < group->n_items; i++)
        group->items[i].error = fake_classify(why[i]);
    free(why);
    run->executed = true;
}

static bool is_freeing(const struct hf_shared_group *group)
{
    for (size_t i = 0; i < group->n_items; i++) {
        const struct hf_shared_item *item = &group->items[i];
        if (!is_in(item) && !item->error.oom)
            continue;
        if (item->op == HF_SHARED_SET || (group->watched && item->n_guards == 0))
            return false;
    }
    return true;
}

static bool is_oom(const struct run *run)
{
    bool oom = run->abort.oom;

    for (size_t i = 0; i < run->group->n_items; i++)
        oom |= run->group->items[i].error.oom;
    return oom;
}

static void free_instead(struct run *run)
{
    for (size_t i = 0; i < run->group->n_items; i++) {
        if (run->group->items[i].error.oom)
            run->group->items[i].error = fake_classify(NULL);
    }
    guard_instead(run);
}

/* EXEC was refused as a whole. */
static void aborted(struct run *run, size_t n_sent)
{
    struct hf_shared_group *group = run->group;
    struct hf_shared_error rest = run->abort;

    if (is_oom(run) && is_freeing(group)) {
        free_instead(run);
        return;
    }
    group->error = run->abort;
    judge(group, false);
    if (rest.class != HF_SHARED_STATE || count_in(group->items, group->n_items) < n_sent)
        rest = fake_error(HF_SHARED_RETRY, "not applied, because of a neighbour");
    blame_all_in(group, rest);
}

static bool was_queued(const struct run *run, size_t n_sent)
{
    return run->abort.class == HF_SHARED_OK && count_in(run->group->items, run->group->n_items) == n_sent;
}

/* MULTI, ..., EXEC; which ends the watching. */
static void exec(struct run *run, bool queued, void (*run_all)(struct run *run))
{
    run->refused = queued && fake_was_touched(run->asker.session);
    if (queued && !run->refused)
        run_all(run);
    fake_forget_watches(run->asker.session);
}

static void execute_or_blame(struct run *run)
{
    if (run->scripted.class == HF_SHARED_OK) {
        execute(run);
        return;
    }
    blame_all_in(run->group, run->scripted);
    run->executed = true;
}

static void store(struct run *run)
{
    size_t n_sent = queue(run);
    bool ours;

    exec(run, was_queued(run, n_sent), execute_or_blame);
    ours = watch_session(run);
    if (run->executed) {
        judge(run->group, true);
        if (!ours)
            run->group->error = fake_error(HF_SHARED_FENCE, "our session token was gone after the group");
    } else if (!ours || (run->refused && !run->group->watched)) {
        refuse(run, fake_fenced());
    } else if (run->refused) {
        refuse(run, fake_error(HF_SHARED_RETRY, "a key of this group was changed by another meanwhile"));
    } else {
        aborted(run, n_sent);
    }
}

/* ---- making ---- */

/* The keys are taken from nobody, and the logs tell of nobody else. */
static bool may_make(const struct run *run)
{
    for (size_t i = 0; i < run->group->n_logs; i++) {
        const struct fake_key *key = fake_look(run->group->logs[i].key);
        if (run->group->logs[i].after_id && key && strcmp(key->type, FAKE_STREAM) != 0)
            return false;
        if (has_unread(run, &run->group->logs[i]))
            return false;
    }
    for (size_t i = 0; i < run->group->n_items; i++) {
        if (fake_look(run->group->items[i].key))
            return false;
    }
    return true;
}

static void make_items(struct run *run)
{
    struct fake_caller plain = {.by = run->asker.tier, .let = true}, script = {.in_script = true, .let = true};

    run->made = run->scripted.class == HF_SHARED_OK && may_make(run);
    for (size_t i = 0; i < run->group->n_items && run->made; i++)
        (void)fake_set(&plain, run->group->items[i].key, run->group->items[i].value,
                       0); /* nothing is refused any more */
    for (size_t i = 0; i < run->group->n_logs && run->made; i++)
        name_items(run, &script, &run->group->logs[i], NULL);
    run->executed = true;
}

static void make(struct run *run)
{
    struct fake_caller caller = {.in_multi = true};
    bool ours;

    run->abort = fake_classify(fake_refuses(&caller, FAKE_WRITES | FAKE_GROWS)); /* SET latch, and all behind it */
    exec(run, run->abort.class == HF_SHARED_OK, make_items);
    ours = watch_session(run);
    if (ours && !run->made && !run->refused) {
        guard_instead(run);
    } else if (run->made) {
        judge(run->group, true);
    } else {
        refuse(run, fake_fenced());
    }
}

/* ---- all ---- */

static void settle(struct run *run)
{
    fake_forget_watches(run->asker.session);
    if (watch_session(run))
        judge(run->group, true);
    else
        refuse(run, fake_fenced());
}

static bool are_fresh(const struct hf_shared_group *group)
{
    for (size_t i = 0; i < group->n_items; i++) {
        if (!is_fresh(&group->items[i]))
            return false;
    }
    for (size_t i = 0; i < group->n_logs; i++) {
        if (!is_used(group, &group->logs[i]))
            return false;
    }
    return true;
}

static void reset(struct hf_shared_group *group)
{
    group->error = fake_classify(NULL);
    for (size_t i = 0; i < group->n_items; i++)
        group->items[i].error = group->error;
    for (size_t i = 0; i < group->n_logs; i++) {
        group->logs[i].missing = false;
        group->logs[i].last_id[0] = '\0';
    }
}

void fake_answer_group(struct fake_asker asker, struct hf_shared_group *group, enum fake_outcome outcome)
{
    struct run run = {.asker = asker, .group = group};
    bool was_oom = fake_server.troubles[FAKE_TROUBLE_OOM];

    reset(group);
    if (outcome == FAKE_REFUSE || outcome == FAKE_RETRY)
        run.scripted = fake_error_of(outcome);
    fake_server.troubles[FAKE_TROUBLE_OOM] |= outcome == FAKE_OOM;
    if (group->n_items == 0)
        settle(&run);
    else if (!group->guarded)
        store(&run);
    else if (are_fresh(group))
        make(&run);
    else
        guard(&run);
    fake_server.troubles[FAKE_TROUBLE_OOM] = was_oom;
}
