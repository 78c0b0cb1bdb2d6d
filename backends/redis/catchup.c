/* Catching up: whose history Redis holds (epoch, mark, the log's last id), and what happened in it (log pages).
 *
 *   epoch:     GET epoch, GET mark
 *              absent: a script that makes epoch and log together, unless another node was faster
 *              with a log: EXISTS log, XREVRANGE log + - COUNT 1
 *              log gone although its epoch is there: XADD log * n <node> l 0
 *   log page:  XRANGE log (after + COUNT n, XRANGE log - + COUNT 1
 *
 * The page is read before the log's first id is: a trim in between is then reported as a gap that was none, and
 * never the other way round. */
#include "tier.h"

#include "fail.h"

#include <stdio.h>
#include <sys/random.h>

#define PREFIX_MAX HF_KEY_MAX
#define NODE_MAX 64

enum step { STEP_LOOK, STEP_MAKE, STEP_LOG, STEP_REMAKE_LOG };

/* ---- the epoch: the end ---- */

static void finish_epoch(struct hf__redis *tier)
{
    struct hf_shared_epoch *epoch = tier->epoch.epoch;
    struct hf_shared_error error = epoch->error;
    uint64_t attempt = tier->conn.attempt;

    tier->busy = false;
    epoch->done(epoch->ctx, epoch);
    hf__redis_settle(tier, attempt, &error);
}

static void fail_epoch(struct hf__redis *tier, enum hf_shared_class class, const char *sentence)
{
    hf__redis_error(&tier->epoch.epoch->error, class, "%s", sentence);
    finish_epoch(tier);
}

static void epoch_lost(struct hf__wave *wave, const struct hf_shared_error *error)
{
    struct hf__redis *tier = wave->ctx;

    tier->epoch.epoch->error = *error;
    finish_epoch(tier);
}

/* ---- the epoch: commands ---- */

/* "_hf:<prefix>:<kind><which>" as one argument. */
static void write_key(struct hf__command_writer *w, const struct hf__redis *tier, const char *kind,
                      const char *which)
{
    char key[8 + PREFIX_MAX + 48];
    struct hf_slice prefix = tier->epoch.epoch->prefix;
    size_t n = 0;

    memcpy(key, "_hf:", 4);
    n = 4;
    if (prefix.len > 0)
        memcpy(key + n, prefix.data, prefix.len);
    n += prefix.len;
    n += (size_t)snprintf(key + n, sizeof(key) - n, ":%s%s", kind, which);
    hf__arg(w, hf__slice(key, n));
}

static int send_step(struct hf__redis *tier, struct hf__command_writer *w, enum step step)
{
    tier->epoch.step = step;
    return hf__conn_send(&tier->conn, w, &tier->epoch.wave);
}

static int send_look(struct hf__redis *tier)
{
    struct hf__command_writer w = hf__conn_begin(&tier->conn);

    hf__command(&w, 2, "GET");
    write_key(&w, tier, "epoch", "");
    hf__command(&w, 2, "GET");
    write_key(&w, tier, "mark:", tier->settings.node);
    return send_step(tier, &w, STEP_LOOK);
}

static int send_make(struct hf__redis *tier)
{
    struct hf__epoch_run *run = &tier->epoch;
    struct hf__command_writer w = hf__conn_begin(&tier->conn);

    hf__script_begin(&w, &tier->settings.scripts, HF__SCRIPT_EPOCH, run->whole_script, 2, 3);
    write_key(&w, tier, "epoch", "");
    write_key(&w, tier, "log:", run->fresh);
    hf__arg_str(&w, run->fresh);
    hf__arg_str(&w, tier->settings.node);
    hf__arg_str(&w, run->epoch->with_log ? "1" : "0");
    return send_step(tier, &w, STEP_MAKE);
}

static int send_log(struct hf__redis *tier)
{
    struct hf__command_writer w = hf__conn_begin(&tier->conn);

    hf__command(&w, 2, "EXISTS");
    write_key(&w, tier, "log:", tier->epoch.epoch->epoch);
    hf__command(&w, 6, "XREVRANGE");
    write_key(&w, tier, "log:", tier->epoch.epoch->epoch);
    hf__arg_str(&w, "+");
    hf__arg_str(&w, "-");
    hf__arg_str(&w, "COUNT");
    hf__arg_str(&w, "1");
    return send_step(tier, &w, STEP_LOG);
}

static int send_remake_log(struct hf__redis *tier)
{
    struct hf__command_writer w = hf__conn_begin(&tier->conn);

    hf__command(&w, 7, "XADD");
    write_key(&w, tier, "log:", tier->epoch.epoch->epoch);
    hf__arg_str(&w, "*");
    hf__arg_str(&w, "n");
    hf__arg_str(&w, tier->settings.node);
    hf__arg_str(&w, "l");
    hf__arg_str(&w, "0");
    return send_step(tier, &w, STEP_REMAKE_LOG);
}

static void go_on(struct hf__redis *tier, int (*send)(struct hf__redis *))
{
    if (send(tier) != 0)
        fail_epoch(tier, HF_SHARED_STATE, hf_errmsg());
}

/* ---- the epoch: answers ---- */

static bool is_epoch(const char *text)
{
    return strlen(text) == 32 && strspn(text, "0123456789abcdef") == 32;
}

/* Take the epoch in force, and go on to its log. */
static void learn_epoch(struct hf__redis *tier, const redisReply *reply)
{
    struct hf_shared_epoch *epoch = tier->epoch.epoch;

    if (!hf__reply_copy(reply, epoch->epoch, sizeof(epoch->epoch)) || !is_epoch(epoch->epoch)) {
        fail_epoch(tier, HF_SHARED_ENTRY, "the namespace's epoch key holds something that is no epoch");
        return;
    }
    epoch->created = strcmp(epoch->epoch, tier->epoch.fresh) == 0;
    if (epoch->with_log)
        go_on(tier, send_log);
    else
        finish_epoch(tier);
}

static bool make_fresh(char fresh[33])
{
    uint8_t bytes[16];

    if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
        return false;
    for (size_t i = 0; i < sizeof(bytes); i++)
        snprintf(fresh + 2 * i, 3, "%02x", bytes[i]);
    return true;
}

static void look_answer(struct hf__redis *tier, const redisReply *reply, size_t index)
{
    struct hf__epoch_run *run = &tier->epoch;

    if (index == 0) {
        if (!hf__reply_is_nil(reply))
            hf__reply_copy(reply, run->epoch->epoch, sizeof(run->epoch->epoch));
        run->there = !hf__reply_is_nil(reply);
        return;
    }
    if (!hf__reply_is_nil(reply) && !hf__parse_u64(hf__reply_text(reply), &run->epoch->mark)) {
        fail_epoch(tier, HF_SHARED_ENTRY, "the mark in Redis is not a number");
        return;
    }
    if (run->there && !is_epoch(run->epoch->epoch))
        fail_epoch(tier, HF_SHARED_ENTRY, "the namespace's epoch key holds something that is no epoch");
    else if (run->there && run->epoch->with_log)
        go_on(tier, send_log);
    else if (run->there)
        finish_epoch(tier);
    else if (!make_fresh(run->fresh))
        fail_epoch(tier, HF_SHARED_STATE, "the system gives no random numbers");
    else
        go_on(tier, send_make);
}

static void make_refused(struct hf__redis *tier, const redisReply *reply)
{
    if (!tier->epoch.whole_script && hf__redis_is_noscript(hf__slice(reply->str, reply->len))) {
        tier->epoch.whole_script = true;
        go_on(tier, send_make);
        return;
    }
    hf__reply_error(reply, &tier->epoch.epoch->error);
    finish_epoch(tier);
}

/* The id of the first entry in a range, "" for an empty one; false for something else. */
static bool first_id(const redisReply *range, char *id, size_t size)
{
    id[0] = '\0';
    if (!hf__reply_is_array(range, 0))
        return false;
    return range->elements == 0 ||
           (hf__reply_is_array(range->element[0], 1) && hf__reply_copy(range->element[0]->element[0], id, size));
}

static void log_answer(struct hf__redis *tier, const redisReply *reply, size_t index)
{
    struct hf_shared_epoch *epoch = tier->epoch.epoch;
    int64_t exists = 0;

    if (index == 0) {
        epoch->log_missing = hf__reply_i64(reply, &exists) && exists == 0;
        return;
    }
    if (!first_id(reply, epoch->log_last_id, sizeof(epoch->log_last_id))) {
        fail_epoch(tier, HF_SHARED_LINK, "the server does not answer XREVRANGE as Redis does");
        return;
    }
    if (epoch->log_last_id[0] == '\0')
        strcpy(epoch->log_last_id, "0-0");
    if (epoch->log_missing)
        go_on(tier, send_remake_log);
    else
        finish_epoch(tier);
}

static void remade_answer(struct hf__redis *tier, const redisReply *reply)
{
    struct hf_shared_epoch *epoch = tier->epoch.epoch;

    hf__reply_copy(reply, epoch->log_last_id, sizeof(epoch->log_last_id));
    finish_epoch(tier);
}

static void epoch_reply(struct hf__wave *wave, const redisReply *reply, size_t index)
{
    struct hf__redis *tier = wave->ctx;
    struct hf_shared_error *error = &tier->epoch.epoch->error;
    bool last = index + 1 == wave->n_replies;

    if (hf__reply_is_error(reply) && tier->epoch.step == STEP_MAKE) {
        make_refused(tier, reply);
        return;
    }
    if (error->class == HF_SHARED_OK)
        hf__reply_error(reply, error);
    if (error->class != HF_SHARED_OK) {
        if (last)
            finish_epoch(tier);
        return;
    }
    switch ((enum step)tier->epoch.step) {
    case STEP_LOOK: look_answer(tier, reply, index); break;
    case STEP_MAKE: learn_epoch(tier, reply); break;
    case STEP_LOG: log_answer(tier, reply, index); break;
    case STEP_REMAKE_LOG: remade_answer(tier, reply); break;
    }
}

static void reset_epoch(struct hf_shared_epoch *epoch)
{
    epoch->epoch[0] = '\0';
    epoch->created = epoch->log_missing = false;
    strcpy(epoch->log_last_id, "0-0");
    epoch->mark = 0;
    epoch->error = (struct hf_shared_error){0};
}

int hf__redis_send_epoch(struct hf_shared_tier *base, struct hf_shared_epoch *epoch)
{
    struct hf__redis *tier = hf__redis_of(base);
    int rc = hf__redis_may_send(tier, false);

    if (rc == 0 && epoch->prefix.len > PREFIX_MAX)
        rc = hf__fail(HF_EINVAL, "a namespace's prefix of %zu bytes; expected at most %d", epoch->prefix.len,
                      PREFIX_MAX);
    if (rc != 0)
        return rc;
    reset_epoch(epoch);
    tier->epoch = (struct hf__epoch_run){
        .epoch = epoch,
        .wave = {.reply = epoch_reply, .lost = epoch_lost, .ctx = tier},
    };
    rc = send_look(tier);
    tier->busy = rc == 0;
    return rc;
}

/* ---- log pages: parsing ---- */

static bool parse_id(const char *text, uint64_t id[2])
{
    const char *dash = strchr(text, '-');

    return dash && hf__parse_u64(hf__slice(text, (size_t)(dash - text)), &id[0]) &&
           hf__parse_u64(hf__slice_str(dash + 1), &id[1]);
}

static bool id_is_after(const char *text, const char *other)
{
    uint64_t a[2], b[2];

    if (!parse_id(text, a) || !parse_id(other, b))
        return false;
    return a[0] > b[0] || (a[0] == b[0] && a[1] > b[1]);
}

static enum hf_shared_op op_of(char letter)
{
    switch (letter) {
    case 's': return HF_SHARED_SET;
    case 'd': return HF_SHARED_DELETE;
    case 'e': return HF_SHARED_EXPIRE;
    case 'p': return HF_SHARED_PERSIST;
    case 'i': return HF_SHARED_INCR;
    default: return 0;
    }
}

/* "s3" or "s3@1700000000000": operation and LSN. False for anything else, which is passed over. */
static bool parse_name(struct hf_slice name, uint64_t last, struct hf_shared_change *change)
{
    const char *text = name.data;
    const char *at = name.len ? memchr(text, '@', name.len) : NULL;
    uint64_t behind;

    if (name.len < 2)
        return false;
    change->op = op_of(text[0]);
    if (change->op == 0 ||
        !hf__parse_u64(hf__slice(text + 1, (at ? (size_t)(at - text) : name.len) - 1), &behind) || behind > last)
        return false;
    change->lsn = last - behind;
    return true;
}

static const redisReply *field(const redisReply *fields, const char *name)
{
    for (size_t i = 0; i + 1 < fields->elements; i += 2) {
        if (hf__reply_is_text(fields->element[i], name))
            return fields->element[i + 1];
    }
    return NULL;
}

/* An entry that no Holdfast wrote names no change. */
static void tell_changes(struct hf_shared_log_page *page, const char *id, const redisReply *fields)
{
    struct hf_shared_change change = {.id = id};
    char node[NODE_MAX];
    uint64_t last;

    if (!hf__reply_is_array(fields, 4) || !hf__reply_copy(field(fields, "n"), node, sizeof(node)) ||
        !hf__parse_u64(hf__reply_text(field(fields, "l")), &last))
        return;
    change.node = node;
    for (size_t i = 0; i + 1 < fields->elements; i += 2) {
        change.key = hf__reply_text(fields->element[i + 1]);
        if (change.key.len > 0 && parse_name(hf__reply_text(fields->element[i]), last, &change))
            page->each(page->ctx, &change);
    }
}

/* ---- log pages: requests ---- */

static void finish_page(struct hf__redis *tier)
{
    struct hf_shared_log_page *page = tier->page.page;
    struct hf_shared_error error = page->error;
    uint64_t attempt = tier->conn.attempt;

    tier->busy = false;
    page->done(page->ctx, page);
    hf__redis_settle(tier, attempt, &error);
}

static void page_lost(struct hf__wave *wave, const struct hf_shared_error *error)
{
    struct hf__redis *tier = wave->ctx;

    tier->page.page->error = *error;
    finish_page(tier);
}

static void read_entries(struct hf__redis *tier, const redisReply *range)
{
    struct hf_shared_log_page *page = tier->page.page;
    uint64_t attempt = tier->conn.attempt;
    char id[sizeof(page->after_id)];

    for (size_t i = 0; i < range->elements && attempt == tier->conn.attempt; i++) {
        const redisReply *entry = range->element[i];

        if (!hf__reply_is_array(entry, 2) || !hf__reply_copy(entry->element[0], id, sizeof(id)))
            continue;
        memcpy(page->after_id, id, sizeof(id));
        page->n_entries++;
        tell_changes(page, id, entry->element[1]);
    }
}

static void read_gap(struct hf__redis *tier, const redisReply *range)
{
    struct hf_shared_log_page *page = tier->page.page;
    char id[sizeof(page->after_id)];

    if (!first_id(range, id, sizeof(id)))
        hf__redis_error(&page->error, HF_SHARED_LINK, "the server does not answer XRANGE as Redis does");
    else if (strcmp(tier->page.after_id, "0-0") != 0)
        page->gap = id[0] == '\0' || id_is_after(id, tier->page.after_id);
}

static void page_reply(struct hf__wave *wave, const redisReply *reply, size_t index)
{
    struct hf__redis *tier = wave->ctx;
    struct hf_shared_log_page *page = tier->page.page;

    if (page->error.class == HF_SHARED_OK && !hf__reply_error(reply, &page->error)) {
        if (index == 0 && hf__reply_is_array(reply, 0))
            read_entries(tier, reply);
        else
            read_gap(tier, reply);
    }
    if (index == 1)
        finish_page(tier);
}

static int send_page(struct hf__redis *tier)
{
    const struct hf_shared_log_page *page = tier->page.page;
    struct hf__command_writer w = hf__conn_begin(&tier->conn);
    char from[sizeof(page->after_id) + 1];

    snprintf(from, sizeof(from), "(%s", tier->page.after_id);
    hf__command(&w, 6, "XRANGE");
    hf__arg(&w, page->log_key);
    hf__arg_str(&w, from);
    hf__arg_str(&w, "+");
    hf__arg_str(&w, "COUNT");
    hf__arg_u64(&w, page->count);
    hf__command(&w, 6, "XRANGE");
    hf__arg(&w, page->log_key);
    hf__arg_str(&w, "-");
    hf__arg_str(&w, "+");
    hf__arg_str(&w, "COUNT");
    hf__arg_str(&w, "1");
    return hf__conn_send(&tier->conn, &w, &tier->page.wave);
}

static int check_page(const struct hf_shared_log_page *page)
{
    uint64_t id[2];

    if (page->count == 0)
        return hf__fail(HF_EINVAL, "a page of the change log of 0 entries; expected at least 1");
    if (!memchr(page->after_id, '\0', sizeof(page->after_id)) ||
        (page->after_id[0] && !parse_id(page->after_id, id)))
        return hf__fail(HF_EINVAL, "a page of the change log begins behind something that is no stream id");
    return 0;
}

int hf__redis_send_log_page(struct hf_shared_tier *base, struct hf_shared_log_page *page)
{
    struct hf__redis *tier = hf__redis_of(base);
    int rc = hf__redis_may_send(tier, false);

    if (rc == 0)
        rc = check_page(page);
    if (rc != 0)
        return rc;
    page->n_entries = 0;
    page->gap = false;
    page->error = (struct hf_shared_error){0};
    tier->page = (struct hf__page_run){
        .page = page,
        .wave = {.reply = page_reply, .lost = page_lost, .ctx = tier},
    };
    strcpy(tier->page.after_id, page->after_id[0] ? page->after_id : "0-0");
    rc = send_page(tier);
    tier->busy = rc == 0;
    return rc;
}
