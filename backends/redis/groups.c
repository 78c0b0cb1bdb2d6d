/* Groups: many plain changes in one fenced transaction.
 *
 *   storing:   MULTI, commands, one XADD per log, EXEC, WATCH session, GET session
 *   settling:  UNWATCH, WATCH session, GET session           (nothing is to be stored)
 *   guarding:  one script                                    (guarded groups; and deletes refused with OOM)
 *   making:    MULTI, SET latch, script, MSETNX latch and all items, script, EXEC, WATCH session, GET session
 *                                                            (guarded groups of values where nothing is)
 *
 *   settling ---> done                  EXEC runs only if our session key is as it was when the group before
 *   storing ---> done                   ended; so a group that is executed late, from the buffers of a dead
 *      +---> guarding ---> done         connection, finds the token of the next one there and does nothing.
 *   making ---> done
 *      +---> guarding ---> done         all of it or none is made; the script tells why, and makes what it can
 *
 * Neighbours that are to be set without a deadline are one MSET. When that is refused, the group goes once more with a command for
 * each, whose answers tell the guilty from the others.
 *
 * Values that pass through a script are copied there and back, which costs Redis more than storing them. Making leaves to
 * scripts what must be decided: the first one takes the latch away if nobody else has written to the logs; where the latch is,
 * MSETNX stores nothing; and only where it is as MSETNX leaves it, the second one names in the logs what was made.
 *
 * A group is finished when GET has answered with our token: only then is the next one guarded.
 *
 * Behind an examination that watches (examine.c) the group's keys are watched, too: EXEC does nothing when one of
 * them was touched since. Such a group is never freed by the script, which would not see that. */
#include "group_commands.h"

#include "fail.h"

/* EXEC's answer has an element for each; the reader accepts a few million. */
#define ITEMS_MAX (1u << 20)

enum phase { STORING, SETTLING, GUARDING, MAKING };

static void clear(struct hf_shared_error *error)
{
    error->class = HF_SHARED_OK;
    error->oom = false;
    error->reason[0] = '\0';
}

/* What concerns one of many values, or the command that is for many, and not the server's state. */
static bool may_be_of_one(const struct hf_shared_error *error, const redisReply *reply)
{
    return error->class == HF_SHARED_AUTH || error->class == HF_SHARED_ENTRY ||
           hf__redis_is_unknown_command(hf__slice(reply->str, reply->len));
}

/* The answer to the next command; there is one whenever this is called for one that was sent. */
static void take_answer(struct hf__group_run *run, const redisReply *reply)
{
    size_t end = hf__group_command(run->group, run->singly, &run->cursor);
    struct hf_shared_error error;
    bool refused = hf__reply_error(reply, &error);

    run->vague |= refused && end > run->cursor + 1 && may_be_of_one(&error, reply);
    for (; run->cursor < end; run->cursor++) {
        struct hf_shared_item *item = &run->group->items[run->cursor];
        if (refused && hf__group_has(item))
            item->error = error;
    }
}

static void blame_all_in(struct hf_shared_group *group, const struct hf_shared_error *error)
{
    for (size_t i = 0; i < group->n_items; i++) {
        if (hf__group_has(&group->items[i]))
            group->items[i].error = *error;
    }
}

/* ---- the end ---- */

static void finish(struct hf__redis *tier)
{
    struct hf_shared_group *group = tier->group.group;
    struct hf_shared_error error = group->error;
    uint64_t attempt = tier->conn.attempt;

    tier->busy = false;
    group->done(group->ctx, group);
    hf__redis_settle(tier, attempt, &error);
}

/* Nothing of what is still in was applied. */
static void finish_refused(struct hf__redis *tier, const struct hf_shared_error *error)
{
    blame_all_in(tier->group.group, error);
    tier->group.group->error = *error;
    finish(tier);
}

/* MULTI and WATCH are answered also by a server that is busy with a script; what else it is asked tells that it is. */
static void finish_fenced(struct hf__redis *tier)
{
    const struct hf_shared_error *untold = &tier->group.untold;
    struct hf_shared_error error;

    hf__redis_error(&error, HF_SHARED_FENCE, "%s",
                    untold->class == HF_SHARED_OK ? HF__FENCED_TEXT : untold->reason);
    finish_refused(tier, &error);
}

/* The gravest of the items' errors; `singly`: those that concern only their own entry do not count. */
static void judge_group(struct hf_shared_group *group, bool singly)
{
    for (size_t i = 0; i < group->n_items; i++) {
        const struct hf_shared_error *error = &group->items[i].error;

        if (error->class == HF_SHARED_CHANGED ||
            (singly && error->class != HF_SHARED_STATE && error->class != HF_SHARED_AUTH))
            continue;
        if (hf__redis_worse(group->error.class, error->class) != group->error.class)
            group->error = *error;
    }
}

static void group_lost(struct hf__wave *wave, const struct hf_shared_error *error)
{
    finish_refused(wave->ctx, error);
}

/* ---- writing the commands ---- */

static void write_guard(struct hf__command_writer *w, const struct hf__conn *conn)
{
    hf__command(w, 2, "WATCH");
    hf__arg_str(w, conn->session_key);
    hf__command(w, 2, "GET");
    hf__arg_str(w, conn->session_key);
}

/* ---- phases ---- */

static int send_phase(struct hf__redis *tier, struct hf__command_writer *w, enum phase phase)
{
    tier->group.phase = phase;
    tier->group.cursor = 0;
    return hf__conn_send(&tier->conn, w, &tier->group.wave);
}

static int send_store(struct hf__redis *tier)
{
    struct hf__group_run *run = &tier->group;
    struct hf_shared_group *group = run->group;
    struct hf__command_writer w = hf__conn_begin(&tier->conn);

    run->n_items = hf__group_count_in(group->items, group->n_items);
    run->n_sent = hf__group_count_commands(group, run->singly);
    run->n_logs_sent = hf__group_count_logs(group);
    hf__group_write_store(&w, tier, group, run->singly);
    write_guard(&w, &tier->conn);
    run->n_results = run->n_sent + run->n_logs_sent;
    return send_phase(tier, &w, STORING);
}

static int send_settle(struct hf__redis *tier)
{
    struct hf__command_writer w = hf__conn_begin(&tier->conn);

    hf__command(&w, 1, "UNWATCH");
    write_guard(&w, &tier->conn);
    return send_phase(tier, &w, SETTLING);
}

static int send_guarded(struct hf__redis *tier)
{
    struct hf__group_run *run = &tier->group;
    struct hf__command_writer w = hf__conn_begin(&tier->conn);

    run->n_logs_sent = hf__group_count_logs(run->group);
    hf__group_write_guarded(&w, tier, run->group, run->whole_script);
    return send_phase(tier, &w, GUARDING);
}

static int send_make(struct hf__redis *tier)
{
    struct hf__group_run *run = &tier->group;
    struct hf__command_writer w = hf__conn_begin(&tier->conn);

    run->n_logs_sent = run->group->n_logs;
    run->n_results = HF__MAKE_RESULTS;
    hf__group_write_make(&w, tier, run->group);
    write_guard(&w, &tier->conn);
    return send_phase(tier, &w, MAKING);
}

/* A phase that follows another; when there is no memory for it, nothing was applied. */
static void go_on(struct hf__redis *tier, int (*send)(struct hf__redis *))
{
    struct hf_shared_error error;

    if (send(tier) == 0)
        return;
    hf__redis_error(&error, HF_SHARED_STATE, "%s", hf_errmsg());
    finish_refused(tier, &error);
}

/* ---- answers: storing ---- */

static void blame_abort(struct hf__group_run *run, const struct hf_shared_error *error)
{
    if (hf__redis_worse(run->abort.class, error->class) != run->abort.class)
        run->abort = *error;
}

/* An error says that the log's name is taken by something else: who looks at it next is told so. */
static void read_log_result(struct hf_shared_log *log, const redisReply *reply)
{
    log->missing = hf__reply_is_nil(reply) || hf__reply_is_error(reply);
    if (!log->missing)
        hf__reply_copy(reply, log->last_id, sizeof(log->last_id));
}

/* Logs first: whether one was sent is told by the items, whose verdicts follow. */
static void read_results(struct hf__group_run *run, const redisReply *reply)
{
    struct hf_shared_group *group = run->group;
    size_t at = run->n_sent;

    for (size_t i = 0; i < group->n_logs; i++) {
        if (hf__group_log_count(group, &group->logs[i]) > 0)
            read_log_result(&group->logs[i], reply->element[at++]);
    }
    run->cursor = 0;
    for (size_t i = 0; i < run->n_sent; i++)
        take_answer(run, reply->element[i]);
}

static void read_guarded_log(struct hf_shared_log *log, const redisReply *reply)
{
    log->missing = hf__reply_is_text(reply, "missing");
    if (!log->missing)
        hf__reply_copy(reply, log->last_id, sizeof(log->last_id));
}

/* In one step, or not at all. */
static void read_made(struct hf__group_run *run, const redisReply *reply)
{
    struct hf_shared_group *group = run->group;
    const redisReply *names = reply->element[HF__MAKE_NAME];
    int64_t stored;

    hf__reply_error(reply->element[HF__MAKE_ALLOW], &run->abort);
    run->made = hf__reply_i64(reply->element[HF__MAKE_STORE], &stored) && stored == 1;
    for (size_t i = 0; i < group->n_logs && run->made; i++) {
        if (hf__reply_is_array(names, group->n_logs))
            read_guarded_log(&group->logs[i], names->element[i]);
        else
            group->logs[i].missing = true;
    }
}

/* The results of all that was sent; when a command was refused as it was queued, there are none. */
static bool are_results(const struct hf__group_run *run, const redisReply *reply)
{
    return reply->type == REDIS_REPLY_ARRAY && reply->elements == run->n_results &&
           hf__group_count_in(run->group->items, run->group->n_items) >= run->n_items;
}

static void exec_answer(struct hf__redis *tier, const redisReply *reply)
{
    struct hf__group_run *run = &tier->group;
    struct hf_shared_error error;

    if (run->no_multi)
        return;
    if (hf__reply_error(reply, &error)) {
        blame_abort(run, &error);
    } else if (hf__reply_is_nil(reply)) {
        run->refused = true;
    } else if (are_results(run, reply)) {
        run->executed = true;
        if (run->phase == MAKING)
            read_made(run, reply);
        else
            read_results(run, reply);
    } else {
        hf__conn_fail_link(&tier->conn, "the server does not answer EXEC as Redis does");
    }
}

static void queue_answer(struct hf__group_run *run, const redisReply *reply, size_t index)
{
    struct hf_shared_error error;

    if (index == 0 && hf__reply_error(reply, &error)) {
        run->no_multi = true; /* what follows ran one by one, and was answered one by one */
        blame_abort(run, &error);
    } else if (index >= 1 && index <= run->n_sent) {
        take_answer(run, reply);
    } else if (hf__reply_error(reply, &error)) {
        blame_abort(run, &error); /* a log entry */
    }
}

static bool is_freeing(const struct hf_shared_group *group)
{
    for (size_t i = 0; i < group->n_items; i++) {
        const struct hf_shared_item *item = &group->items[i];

        if (!hf__group_has(item) && !item->error.oom)
            continue;
        if (item->op == HF_SHARED_SET || (group->watched && item->n_guards == 0))
            return false;
    }
    return true;
}

static bool is_oom(const struct hf__group_run *run)
{
    for (size_t i = 0; i < run->group->n_items; i++) {
        if (run->group->items[i].error.oom)
            return true;
    }
    return run->abort.oom;
}

/* Inside MULTI an out-of-memory Redis refuses even DEL, and outside our XADD; a script that frees first may. */
static void free_instead(struct hf__redis *tier)
{
    struct hf_shared_group *group = tier->group.group;

    for (size_t i = 0; i < group->n_items; i++) {
        if (group->items[i].error.oom)
            clear(&group->items[i].error);
    }
    tier->group.whole_script = false;
    go_on(tier, send_guarded);
}

/* What was watched behind an examination is so no longer: that group is examined again. */
static void store_singly(struct hf__redis *tier)
{
    struct hf__group_run *run = &tier->group;
    struct hf_shared_error error;

    for (size_t i = 0; i < run->group->n_items; i++)
        clear(&run->group->items[i].error);
    clear(&run->abort);
    run->singly = tier->singly = true;
    run->vague = false;
    if (!run->group->watched) {
        go_on(tier, send_store);
        return;
    }
    hf__redis_error(&error, HF_SHARED_RETRY, "not applied: Redis refuses some of what was to be stored at once");
    finish_refused(tier, &error);
}

/* EXEC was refused as a whole. The guilty have their errors; without any, it is the server's state. */
static void aborted(struct hf__redis *tier)
{
    struct hf__group_run *run = &tier->group;
    struct hf_shared_error rest;

    if (run->vague) {
        store_singly(tier);
        return;
    }
    if (hf__group_count_in(run->group->items, run->group->n_items) < run->n_items && !is_oom(run))
        tier->singly = false; /* the guilty have been found: others may go at once */
    if (is_oom(run) && is_freeing(run->group)) {
        free_instead(tier);
        return;
    }
    rest = run->abort;
    run->group->error = run->abort;
    judge_group(run->group, false);
    if (rest.class != HF_SHARED_STATE || hf__group_count_in(run->group->items, run->group->n_items) < run->n_items)
        hf__redis_error(&rest, HF_SHARED_RETRY, "not applied: %.130s", run->group->error.reason);
    blame_all_in(run->group, &rest);
    finish(tier);
}

/* Nothing was made, and the script tells why. What this user may not do is not tried again. */
static void guard_instead(struct hf__redis *tier)
{
    struct hf__group_run *run = &tier->group;

    tier->no_making = run->abort.class == HF_SHARED_AUTH;
    clear(&run->abort);
    run->executed = false;
    go_on(tier, send_guarded);
}

/* Our token stands, or not; what does that make of the group? */
static void stored(struct hf__redis *tier, bool ours)
{
    struct hf__group_run *run = &tier->group;
    struct hf_shared_error error;

    if (run->phase == MAKING && ours && !run->made && !run->refused) {
        guard_instead(tier);
    } else if (run->executed && (run->phase != MAKING || run->made)) {
        judge_group(run->group, true);
        if (!ours)
            hf__redis_error(&run->group->error, HF_SHARED_FENCE, "our session token was gone after the group");
        finish(tier);
    } else if (run->no_multi) {
        run->group->error = run->abort;
        finish(tier);
    } else if (!ours || (run->refused && !run->group->watched)) {
        finish_fenced(tier);
    } else if (run->refused) {
        hf__redis_error(&error, HF_SHARED_RETRY, "a key of this group was changed by another meanwhile");
        finish_refused(tier, &error);
    } else {
        aborted(tier);
    }
}

/* WATCH session, GET session: the last two answers of storing and settling. */
static bool guard_answer(struct hf__redis *tier, const redisReply *reply, size_t from_end)
{
    if (from_end == 1)
        tier->group.watched = !hf__reply_is_error(reply);
    else
        hf__reply_error(reply, &tier->group.untold);
    return tier->group.watched && hf__reply_is_text(reply, tier->conn.token);
}

static void store_answer(struct hf__redis *tier, const redisReply *reply, size_t index)
{
    size_t from_end = tier->group.wave.n_replies - 1 - index;

    if (from_end > 2)
        queue_answer(&tier->group, reply, index);
    else if (from_end == 2)
        exec_answer(tier, reply);
    else if (from_end == 1)
        guard_answer(tier, reply, 1);
    else
        stored(tier, guard_answer(tier, reply, 0));
}

static void settle_answer(struct hf__redis *tier, const redisReply *reply, size_t index)
{
    if (index == 1)
        guard_answer(tier, reply, 1);
    if (index < 2)
        return;
    if (guard_answer(tier, reply, 0)) {
        judge_group(tier->group.group, true);
        finish(tier);
    } else {
        finish_fenced(tier);
    }
}

/* ---- answers: guarding ---- */

static void blame_item(struct hf_shared_item *item, const redisReply *why)
{
    if (hf__reply_text(why).len == 0)
        hf__redis_error(&item->error, HF_SHARED_CHANGED, "the key holds something else than was known");
    else
        hf__redis_classify(hf__reply_text(why), &item->error);
}

/* Pairs of an index, counted over the items that were sent, and why that item was not applied. */
static void read_failed(struct hf_shared_group *group, const redisReply *reply, size_t from)
{
    int64_t sent = 0, failed;

    for (size_t i = 0; i < group->n_items && from + 1 < reply->elements; i++) {
        if (!hf__group_has(&group->items[i]))
            continue;
        if (hf__reply_i64(reply->element[from], &failed) && failed == sent) {
            blame_item(&group->items[i], reply->element[from + 1]);
            from += 2;
        }
        sent++;
    }
}

static void read_guarded_results(struct hf__redis *tier, const redisReply *reply)
{
    struct hf_shared_group *group = tier->group.group;
    size_t at = 1;

    for (size_t i = 0; i < group->n_logs; i++) {
        if (hf__group_log_count(group, &group->logs[i]) > 0)
            read_guarded_log(&group->logs[i], reply->element[at++]);
    }
    read_failed(group, reply, at);
    judge_group(group, true);
    finish(tier);
}

/* What others have written is to be known before anything is decided. */
static void finish_unread(struct hf__redis *tier)
{
    struct hf_shared_error error;

    hf__redis_error(&error, HF_SHARED_CHANGED, "others have written to the change log");
    blame_all_in(tier->group.group, &error);
    judge_group(tier->group.group, true);
    finish(tier);
}

static void guarded_answer(struct hf__redis *tier, const redisReply *reply)
{
    struct hf__group_run *run = &tier->group;
    struct hf_shared_error error;

    if (hf__reply_is_error(reply) && !run->whole_script &&
        hf__redis_is_noscript(hf__slice(reply->str, reply->len))) {
        run->whole_script = true;
        go_on(tier, send_guarded);
    } else if (hf__reply_error(reply, &error)) {
        finish_refused(tier, &error);
    } else if (hf__reply_is_array(reply, 1) && hf__reply_is_text(reply->element[0], "F")) {
        finish_fenced(tier);
    } else if (hf__reply_is_array(reply, 1) && hf__reply_is_text(reply->element[0], "L")) {
        finish_unread(tier);
    } else if (hf__reply_is_array(reply, 1 + run->n_logs_sent)) {
        read_guarded_results(tier, reply);
    } else {
        hf__redis_error(&error, HF_SHARED_LINK, "the server does not answer a script as Redis does");
        finish_refused(tier, &error);
    }
}

/* ---- sending ---- */

static void group_reply(struct hf__wave *wave, const redisReply *reply, size_t index)
{
    struct hf__redis *tier = wave->ctx;

    switch ((enum phase)tier->group.phase) {
    case STORING:
    case MAKING: store_answer(tier, reply, index); break;
    case SETTLING: settle_answer(tier, reply, index); break;
    case GUARDING: guarded_answer(tier, reply); break;
    }
}

static int check_group(const struct hf_shared_group *group)
{
    if ((group->n_items == 0 && !group->watched) || group->n_items > ITEMS_MAX)
        return hf__fail(HF_EINVAL, "a group of %zu changes; expected 1 to %u", group->n_items, ITEMS_MAX);
    for (size_t i = 0; i < group->n_items; i++) {
        if (group->items[i].op < HF_SHARED_SET || group->items[i].op > HF_SHARED_PERSIST)
            return hf__fail(HF_EINVAL, "a group holds operation %d, which needs a lane", (int)group->items[i].op);
        if (group->items[i].n_guards > HF__GUARDS_MAX)
            return hf__fail(HF_EINVAL, "an item of a group has %zu guards; expected at most %u",
                            group->items[i].n_guards, HF__GUARDS_MAX);
    }
    for (size_t i = 0; i < group->n_logs; i++) {
        const struct hf_shared_log *log = &group->logs[i];

        if (log->first_item > group->n_items || log->n_items > group->n_items - log->first_item)
            return hf__fail(HF_EINVAL, "a group's log names items that it does not have");
    }
    return 0;
}

static void reset_group(struct hf_shared_group *group)
{
    clear(&group->error);
    for (size_t i = 0; i < group->n_items; i++)
        clear(&group->items[i].error);
    for (size_t i = 0; i < group->n_logs; i++) {
        group->logs[i].missing = false;
        group->logs[i].last_id[0] = '\0';
    }
}

int hf__redis_send_group(struct hf_shared_tier *base, struct hf_shared_group *group)
{
    struct hf__redis *tier = hf__redis_of(base);
    int rc = hf__redis_may_send(tier, true);

    if (rc == 0)
        rc = check_group(group);
    if (rc != 0)
        return rc;
    reset_group(group);
    tier->group = (struct hf__group_run){
        .group = group,
        .singly = tier->singly,
        .wave = {.reply = group_reply, .lost = group_lost, .ctx = tier},
    };
    if (group->n_items == 0)
        rc = send_settle(tier);
    else if (group->guarded)
        rc = hf__group_is_fresh(group) && !tier->no_making ? send_make(tier) : send_guarded(tier);
    else
        rc = send_store(tier);
    tier->busy = rc == 0;
    return rc;
}
