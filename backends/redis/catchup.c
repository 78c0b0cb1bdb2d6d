/* Catching up: whose history Redis holds (epoch, mark, the log's last id).
 *
 *   GET epoch, GET mark
 *   absent: a script that makes epoch and log together, unless another node was faster
 *   with a log: EXISTS log, XREVRANGE log + - COUNT 1
 *   log gone although its epoch is there: XADD log * n <node> l 0
 *
 * Who only looks gets no further than reading. */
#include "tier.h"

#include "fail.h"

#include <stdio.h>
#include <sys/random.h>

#define PREFIX_MAX HF_KEY_MAX

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
    else if (run->there || run->epoch->look_only)
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

static void log_answer(struct hf__redis *tier, const redisReply *reply, size_t index)
{
    struct hf_shared_epoch *epoch = tier->epoch.epoch;
    int64_t exists = 0;

    if (index == 0) {
        epoch->log_missing = hf__reply_i64(reply, &exists) && exists == 0;
        return;
    }
    if (!hf__page_first_id(reply, epoch->log_last_id, sizeof(epoch->log_last_id))) {
        fail_epoch(tier, HF_SHARED_LINK, "the server does not answer XREVRANGE as Redis does");
        return;
    }
    if (epoch->log_last_id[0] == '\0')
        strcpy(epoch->log_last_id, "0-0");
    if (epoch->log_missing && !epoch->look_only)
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
    if (error->class == HF_SHARED_ENTRY && tier->epoch.step >= STEP_LOG)
        hf__redis_error(error, HF_SHARED_ENTRY,
                        "the key of the namespace's change log holds something that is no stream");
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
