/* Groups: many plain changes in one fenced transaction.
 *
 *   storing:   MULTI, a command per item, one XADD per log, EXEC, WATCH session, GET session
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
 * Values that pass through a script are copied there and back, which costs Redis more than storing them. Making leaves to
 * scripts what must be decided: the first one takes the latch away if nobody else has written to the logs; where the latch is,
 * MSETNX stores nothing; and only where it is as MSETNX leaves it, the second one names in the logs what was made.
 *
 * A group is finished when GET has answered with our token: only then is the next one guarded.
 *
 * Behind an examination that watches (examine.c) the group's keys are watched, too: EXEC does nothing when one of
 * them was touched since. Such a group is never freed by the script, which would not see that. */
#include "tier.h"

#include "fail.h"

#include <inttypes.h>
#include <stdio.h>

/* EXEC's answer has an element for each; the reader accepts a few million. */
#define ITEMS_MAX (1u << 20)

enum phase { STORING, SETTLING, GUARDING, MAKING };

static const char op_letters[] = {
    [HF_SHARED_SET] = 's',
    [HF_SHARED_DELETE] = 'd',
    [HF_SHARED_EXPIRE] = 'e',
    [HF_SHARED_PERSIST] = 'p',
};

/* ---- which items are still in ---- */

static bool in(const struct hf_shared_item *item)
{
    return item->error.class == HF_SHARED_OK;
}

static void clear(struct hf_shared_error *error)
{
    error->class = HF_SHARED_OK;
    error->oom = false;
    error->reason[0] = '\0';
}

static size_t count_in(const struct hf_shared_item *items, size_t n)
{
    size_t count = 0;

    for (size_t i = 0; i < n; i++)
        count += in(&items[i]);
    return count;
}

static const struct hf_shared_item *log_items(const struct hf_shared_group *group, const struct hf_shared_log *log)
{
    return group->items + log->first_item;
}

static size_t log_count(const struct hf_shared_group *group, const struct hf_shared_log *log)
{
    return log->key.len > 0 ? count_in(log_items(group, log), log->n_items) : 0;
}

/* The item that the next answer is about; there is one whenever this is called for one that was sent. */
static struct hf_shared_item *next_in(struct hf__group_run *run)
{
    while (run->cursor + 1 < run->group->n_items && !in(&run->group->items[run->cursor]))
        run->cursor++;
    return &run->group->items[run->cursor++];
}

static void blame_all_in(struct hf_shared_group *group, const struct hf_shared_error *error)
{
    for (size_t i = 0; i < group->n_items; i++) {
        if (in(&group->items[i]))
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

static void finish_fenced(struct hf__redis *tier)
{
    struct hf_shared_error error;

    hf__redis_error(&error, HF_SHARED_FENCE, HF__FENCED_TEXT);
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

static void write_item(struct hf__command_writer *w, const struct hf_shared_item *item)
{
    switch (item->op) {
    case HF_SHARED_SET:
        hf__command(w, item->deadline_ms ? 5 : 3, "SET");
        hf__arg(w, item->key);
        hf__arg(w, item->value);
        if (item->deadline_ms) {
            hf__arg_str(w, "PXAT");
            hf__arg_i64(w, item->deadline_ms);
        }
        break;
    case HF_SHARED_EXPIRE:
        hf__command(w, 3, "PEXPIREAT");
        hf__arg(w, item->key);
        hf__arg_i64(w, item->deadline_ms);
        break;
    case HF_SHARED_PERSIST:
        hf__command(w, 2, "PERSIST");
        hf__arg(w, item->key);
        break;
    default:
        hf__command(w, 2, "DEL");
        hf__arg(w, item->key);
        break;
    }
}

static uint64_t last_lsn(const struct hf_shared_group *group, const struct hf_shared_log *log)
{
    const struct hf_shared_item *items = log_items(group, log);
    uint64_t last = 0;

    for (size_t i = 0; i < log->n_items; i++) {
        if (in(&items[i]) && items[i].lsn > last)
            last = items[i].lsn;
    }
    return last;
}

/* "s3", "s3@1700000000000" or "s3@1700000000000~12": the operation, how far its LSN is behind the entry's, when a
 * replayed one was made, and how far that may be wrong. */
static void write_name(struct hf__command_writer *w, const struct hf_shared_item *item, uint64_t last)
{
    char name[3 * HF__DECIMAL_MAX + 4] = {op_letters[item->op]};
    size_t n = 1 + hf__put_decimal(name + 1, last - item->lsn);

    if (item->made_ms > 0) {
        name[n++] = '@';
        n += hf__put_decimal(name + n, (uint64_t)item->made_ms);
    }
    if (item->made_ms > 0 && item->uncertainty_ms > 0) {
        name[n++] = '~';
        n += hf__put_decimal(name + n, (uint64_t)item->uncertainty_ms);
    }
    hf__arg(w, hf__slice(name, n));
}

/* A name and its key for each item. */
static void write_fields(struct hf__command_writer *w, const struct hf_shared_group *group,
                         const struct hf_shared_log *log)
{
    const struct hf_shared_item *items = log_items(group, log);
    uint64_t last = last_lsn(group, log);

    for (size_t i = 0; i < log->n_items; i++) {
        if (!in(&items[i]))
            continue;
        write_name(w, &items[i], last);
        hf__arg(w, items[i].key);
    }
}

static uint32_t log_max(const struct hf_shared_log *log)
{
    return log->max_entries ? log->max_entries : HF_CHANGE_LOG_MAX_DEFAULT;
}

static void write_log(struct hf__command_writer *w, const struct hf__redis *tier,
                      const struct hf_shared_group *group, const struct hf_shared_log *log)
{
    hf__command(w, 11 + 2 * log_count(group, log), "XADD");
    hf__arg(w, log->key);
    hf__arg_str(w, "NOMKSTREAM");
    hf__arg_str(w, "MAXLEN");
    hf__arg_str(w, "~");
    hf__arg_u64(w, log_max(log));
    hf__arg_str(w, "*");
    hf__arg_str(w, "n");
    hf__arg_str(w, tier->settings.node);
    hf__arg_str(w, "l");
    hf__arg_u64(w, last_lsn(group, log));
    write_fields(w, group, log);
}

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

    run->n_sent = run->n_logs_sent = 0;
    hf__command(&w, 1, "MULTI");
    for (size_t i = 0; i < group->n_items; i++) {
        if (!in(&group->items[i]))
            continue;
        write_item(&w, &group->items[i]);
        run->n_sent++;
    }
    for (size_t i = 0; i < group->n_logs; i++) {
        if (log_count(group, &group->logs[i]) == 0)
            continue;
        write_log(&w, tier, group, &group->logs[i]);
        run->n_logs_sent++;
    }
    hf__command(&w, 1, "EXEC");
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

#define GUARDS_MAX 8u
#define DIGEST_BYTES sizeof(((struct hf_shared_guard *)NULL)->digest)

/* What the item's key must hold: digests, one behind the other, with '-' for nothing; or `otherwise`: "*" for no other
 * type than string, "" for anything. */
static void write_guards(struct hf__command_writer *w, const struct hf_shared_item *item, const char *otherwise)
{
    static const char hex[] = "0123456789abcdef";
    char text[GUARDS_MAX * 2 * DIGEST_BYTES];
    size_t n = 0;

    if (item->n_guards == 0) {
        hf__arg_str(w, otherwise);
        return;
    }

    for (size_t i = 0; i < item->n_guards; i++) {
        const struct hf_shared_guard *guard = &item->guards[i];
        if (guard->absent)
            text[n++] = '-';
        for (size_t k = 0; !guard->absent && k < DIGEST_BYTES; k++) {
            text[n++] = hex[guard->digest[k] >> 4];
            text[n++] = hex[guard->digest[k] & 15];
        }
    }
    hf__arg(w, hf__slice(text, n));
}

/* The commonest of all: a value without a deadline, where nothing is. */
static bool is_fresh(const struct hf_shared_item *item)
{
    return item->op == HF_SHARED_SET && item->deadline_ms == 0 && item->n_guards == 1 && item->guards[0].absent;
}

/* `last`: of the log that the item is in; 0: in none. */
static void write_guarded_item(struct hf__command_writer *w, const struct hf_shared_item *item, uint64_t last,
                               bool guarded)
{
    if (last > 0)
        write_name(w, item, last);
    else
        hf__arg_str(w, "");
    hf__arg(w, item->op == HF_SHARED_SET ? item->value : hf__slice("", 0));
    if (is_fresh(item))
        return;
    hf__arg_i64(w, item->deadline_ms);
    write_guards(w, item, guarded ? "*" : "");
}

/* A letter for each item. */
static void write_guarded_ops(struct hf__command_writer *w, const struct hf_shared_group *group, size_t n)
{
    struct hf_bytes letters = {0};

    if (hf__bytes_reserve(&letters, n) != 0)
        w->rc = HF_ENOMEM;
    for (size_t i = 0; i < group->n_items && w->rc == 0; i++) {
        if (in(&group->items[i]))
            letters.bytes[letters.len++] =
                (uint8_t)(is_fresh(&group->items[i]) ? 'n' : op_letters[group->items[i].op]);
    }
    hf__arg(w, hf__slice(letters.bytes, letters.len));
    hf__bytes_release(&letters);
}

/* The logs' runs of items follow each other; what no log has may stand between them. */
static void write_guarded_items(struct hf__command_writer *w, const struct hf_shared_group *group)
{
    const struct hf_shared_log *log = group->logs, *end = group->logs + group->n_logs;
    uint64_t last = 0;

    for (size_t i = 0; i < group->n_items; i++) {
        while (log < end && i >= log->first_item + log->n_items)
            log++;
        if (log < end && i == log->first_item)
            last = last_lsn(group, log);
        if (in(&group->items[i]))
            write_guarded_item(w, &group->items[i], log < end && i >= log->first_item ? last : 0, group->guarded);
    }
}

/* The id behind which others may not have written; "": they may. */
static void write_after(struct hf__command_writer *w, const struct hf_shared_log *log)
{
    hf__arg_str(w, !log->after_id ? "" : !log->after_id[0] ? "0-0" : log->after_id);
}

static void write_guarded_log(struct hf__command_writer *w, const struct hf_shared_group *group,
                              const struct hf_shared_log *log)
{
    hf__arg_u64(w, log_max(log));
    hf__arg_u64(w, last_lsn(group, log));
    hf__arg_u64(w, 1 + count_in(group->items, log->first_item));
    hf__arg_u64(w, log_count(group, log));
    write_after(w, log);
}

static void write_guarded_keys(struct hf__command_writer *w, const struct hf_shared_group *group)
{
    for (size_t i = 0; i < group->n_items; i++) {
        if (in(&group->items[i]))
            hf__arg(w, group->items[i].key);
    }
    for (size_t i = 0; i < group->n_logs; i++) {
        if (log_count(group, &group->logs[i]) > 0)
            hf__arg(w, group->logs[i].key);
    }
}

static size_t count_logs(const struct hf_shared_group *group)
{
    size_t n = 0;

    for (size_t i = 0; i < group->n_logs; i++)
        n += log_count(group, &group->logs[i]) > 0;
    return n;
}

static size_t count_item_args(const struct hf_shared_group *group)
{
    size_t n = 0;

    for (size_t i = 0; i < group->n_items; i++) {
        if (in(&group->items[i]))
            n += is_fresh(&group->items[i]) ? 2 : 4;
    }
    return n;
}

static uint64_t longest_guard(const struct hf_shared_group *group)
{
    uint64_t longest = 0;

    for (size_t i = 0; i < group->n_items; i++) {
        for (size_t k = 0; k < group->items[i].n_guards; k++) {
            if (group->items[i].guards[k].len > longest)
                longest = group->items[i].guards[k].len;
        }
    }
    return longest;
}

static int send_guarded(struct hf__redis *tier)
{
    struct hf__group_run *run = &tier->group;
    struct hf_shared_group *group = run->group;
    struct hf__command_writer w = hf__conn_begin(&tier->conn);
    size_t n = count_in(group->items, group->n_items), n_logs = count_logs(group);

    run->n_logs_sent = n_logs;
    hf__script_begin(&w, &tier->settings.scripts, HF__SCRIPT_GUARDED, run->whole_script, 1 + n + n_logs,
                     6 + count_item_args(group) + 5 * n_logs);
    hf__arg_str(&w, tier->conn.session_key);
    write_guarded_keys(&w, group);
    hf__arg_str(&w, tier->conn.token);
    hf__arg_str(&w, tier->settings.node);
    hf__arg_u64(&w, n);
    hf__arg_u64(&w, n_logs);
    hf__arg_u64(&w, longest_guard(group));
    write_guarded_ops(&w, group, n);
    write_guarded_items(&w, group);
    for (size_t i = 0; i < group->n_logs; i++) {
        if (log_count(group, &group->logs[i]) > 0)
            write_guarded_log(&w, group, &group->logs[i]);
    }
    return send_phase(tier, &w, GUARDING);
}

/* ---- making ---- */

enum { MAKE_LATCH, MAKE_ALLOW, MAKE_STORE, MAKE_NAME, MAKE_RESULTS }; /* the answers inside EXEC's */

static bool is_made_at_once(const struct hf__redis *tier)
{
    const struct hf_shared_group *group = tier->group.group;

    for (size_t i = 0; i < group->n_items; i++) {
        if (!is_fresh(&group->items[i]))
            return false;
    }
    return !tier->no_making && count_logs(group) == group->n_logs;
}

static void write_latch(struct hf__command_writer *w, const struct hf__redis *tier)
{
    char latch[sizeof(tier->conn.session_key) + sizeof(":latch")];

    snprintf(latch, sizeof(latch), "%s:latch", tier->conn.session_key);
    hf__arg_str(w, latch);
}

/* `script` with the latch and the logs as keys. */
static void write_log_script(struct hf__command_writer *w, const struct hf__redis *tier, enum hf__script script,
                             size_t n_args)
{
    const struct hf_shared_group *group = tier->group.group;

    hf__script_begin(w, &tier->settings.scripts, script, true, 1 + group->n_logs, n_args);
    write_latch(w, tier);
    for (size_t i = 0; i < group->n_logs; i++)
        hf__arg(w, group->logs[i].key);
}

static void write_allow(struct hf__command_writer *w, const struct hf__redis *tier)
{
    const struct hf_shared_group *group = tier->group.group;

    hf__command(w, 3, "SET");
    write_latch(w, tier);
    hf__arg_str(w, "");
    write_log_script(w, tier, HF__SCRIPT_ALLOW, 1 + group->n_logs);
    hf__arg_str(w, tier->settings.node);
    for (size_t i = 0; i < group->n_logs; i++)
        write_after(w, &group->logs[i]);
}

static void write_make(struct hf__command_writer *w, const struct hf__redis *tier)
{
    const struct hf_shared_group *group = tier->group.group;

    hf__command(w, 3 + 2 * group->n_items, "MSETNX");
    write_latch(w, tier);
    hf__arg_str(w, tier->conn.token);
    for (size_t i = 0; i < group->n_items; i++) {
        hf__arg(w, group->items[i].key);
        hf__arg(w, group->items[i].value);
    }
}

static void write_names(struct hf__command_writer *w, const struct hf__redis *tier)
{
    const struct hf_shared_group *group = tier->group.group;
    size_t n = 0;

    for (size_t i = 0; i < group->n_logs; i++)
        n += 3 + 2 * group->logs[i].n_items;
    write_log_script(w, tier, HF__SCRIPT_NAME, 2 + n);
    hf__arg_str(w, tier->conn.token);
    hf__arg_str(w, tier->settings.node);
    for (size_t i = 0; i < group->n_logs; i++) {
        hf__arg_u64(w, log_max(&group->logs[i]));
        hf__arg_u64(w, last_lsn(group, &group->logs[i]));
        hf__arg_u64(w, 2 * group->logs[i].n_items);
        write_fields(w, group, &group->logs[i]);
    }
}

static int send_make(struct hf__redis *tier)
{
    struct hf__group_run *run = &tier->group;
    struct hf__command_writer w = hf__conn_begin(&tier->conn);

    run->n_logs_sent = run->group->n_logs;
    run->n_results = MAKE_RESULTS;
    hf__command(&w, 1, "MULTI");
    write_allow(&w, tier);
    write_make(&w, tier);
    write_names(&w, tier);
    hf__command(&w, 1, "EXEC");
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
        if (log_count(group, &group->logs[i]) > 0)
            read_log_result(&group->logs[i], reply->element[at++]);
    }
    run->cursor = 0;
    for (size_t i = 0; i < run->n_sent; i++)
        hf__reply_error(reply->element[i], &next_in(run)->error);
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
    const redisReply *names = reply->element[MAKE_NAME];
    int64_t stored;

    hf__reply_error(reply->element[MAKE_ALLOW], &run->abort);
    run->made = hf__reply_i64(reply->element[MAKE_STORE], &stored) && stored == 1;
    for (size_t i = 0; i < group->n_logs && run->made; i++) {
        if (hf__reply_is_array(names, group->n_logs))
            read_guarded_log(&group->logs[i], names->element[i]);
        else
            group->logs[i].missing = true;
    }
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
    } else if (reply->type == REDIS_REPLY_ARRAY && reply->elements == run->n_results) {
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
        hf__reply_error(reply, &next_in(run)->error);
    } else if (hf__reply_error(reply, &error)) {
        blame_abort(run, &error); /* a log entry */
    }
}

static bool is_freeing(const struct hf_shared_group *group)
{
    for (size_t i = 0; i < group->n_items; i++) {
        const struct hf_shared_item *item = &group->items[i];

        if (!in(item) && !item->error.oom)
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

/* EXEC was refused as a whole. The guilty have their errors; without any, it is the server's state. */
static void aborted(struct hf__redis *tier)
{
    struct hf__group_run *run = &tier->group;
    struct hf_shared_error rest;

    if (is_oom(run) && is_freeing(run->group)) {
        free_instead(tier);
        return;
    }
    rest = run->abort;
    run->group->error = run->abort;
    judge_group(run->group, false);
    if (rest.class != HF_SHARED_STATE || count_in(run->group->items, run->group->n_items) < run->n_sent)
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

    if (run->phase == MAKING && ours && !run->made && !run->refused && !run->no_multi) {
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
        if (!in(&group->items[i]))
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
        if (log_count(group, &group->logs[i]) > 0)
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
        if (group->items[i].n_guards > GUARDS_MAX)
            return hf__fail(HF_EINVAL, "an item of a group has %zu guards; expected at most %u",
                            group->items[i].n_guards, GUARDS_MAX);
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
        .wave = {.reply = group_reply, .lost = group_lost, .ctx = tier},
    };
    if (group->n_items == 0)
        rc = send_settle(tier);
    else if (group->guarded)
        rc = is_made_at_once(tier) ? send_make(tier) : send_guarded(tier);
    else
        rc = send_store(tier);
    tier->busy = rc == 0;
    return rc;
}
