/* Fetches: one value with what remains of its life, as of one instant.
 *
 * By a script, where GET and PTTL see the same moment. A user without the right to run scripts gets PTTL, GET, PTTL
 * instead, believed when both times fit one value, and asked once more when they do not. MULTI is no way: its EXEC
 * would use up the WATCH that guards the next group. */
#include "tier.h"

#include "fail.h"

#include <stdlib.h>

/* Two PTTLs of the same value may be this far apart, in a slow server. */
#define SAME_VALUE_MS 1000

enum how { BY_DIGEST, BY_TEXT, PLAINLY, PLAINLY_AGAIN };

struct fetch_run {
    struct hf__wave wave;
    struct hf__redis *tier;
    struct hf_shared_fetch *fetch;
    int how;
    int64_t ttl_before_ms;
    struct hf_buf value; /* plainly: the value, until the second PTTL has come */
    bool found;
};

/* `value` is borrowed from the answer or from the run: both are gone after this. */
static void finish(struct fetch_run *run)
{
    struct hf_shared_fetch *fetch = run->fetch;
    struct hf__redis *tier = run->tier;
    struct hf_shared_error error = fetch->error;
    uint64_t attempt = tier->conn.attempt;

    fetch->done(fetch->ctx, fetch);
    hf_buf_release(&run->value);
    free(run);
    hf__redis_settle(tier, attempt, &error);
}

static void finish_error(struct fetch_run *run, enum hf_shared_class class, const char *sentence)
{
    hf__redis_error(&run->fetch->error, class, "%s", sentence);
    finish(run);
}

static void fetch_lost(struct hf__wave *wave, const struct hf_shared_error *error)
{
    struct fetch_run *run = wave->ctx;

    run->fetch->found = false;
    run->fetch->error = *error;
    finish(run);
}

static int send_fetch(struct fetch_run *run)
{
    struct hf__conn *conn = &run->tier->conn;
    struct hf__command_writer w = hf__conn_begin(conn);

    if (run->how == BY_DIGEST || run->how == BY_TEXT) {
        hf__script_begin(&w, &conn->settings->scripts, HF__SCRIPT_FETCH, run->how == BY_TEXT, 1, 0);
        hf__arg(&w, run->fetch->key);
        return hf__conn_send(conn, &w, &run->wave);
    }
    hf__command(&w, 2, "PTTL");
    hf__arg(&w, run->fetch->key);
    hf__command(&w, 2, "GET");
    hf__arg(&w, run->fetch->key);
    hf__command(&w, 2, "PTTL");
    hf__arg(&w, run->fetch->key);
    return hf__conn_send(conn, &w, &run->wave);
}

static void go_on(struct fetch_run *run, enum how how)
{
    run->how = how;
    if (send_fetch(run) != 0)
        finish_error(run, HF_SHARED_STATE, hf_errmsg());
}

/* ---- by script ---- */

static void read_pair(struct fetch_run *run, const redisReply *reply)
{
    struct hf_shared_fetch *fetch = run->fetch;
    int64_t ttl_ms;

    if (!hf__reply_is_array(reply, 2) || !hf__reply_i64(reply->element[1], &ttl_ms)) {
        finish_error(run, HF_SHARED_LINK, "the server does not answer a script as Redis does");
        return;
    }
    fetch->value = hf__reply_text(reply->element[0]);
    fetch->found = fetch->value.data != NULL && ttl_ms != -2;
    fetch->ttl_ms = ttl_ms < 0 ? -1 : ttl_ms;
    finish(run);
}

static void script_answer(struct fetch_run *run, const redisReply *reply)
{
    struct hf_shared_error error;

    if (!hf__reply_error(reply, &error)) {
        read_pair(run, reply);
    } else if (run->how == BY_DIGEST && hf__redis_is_noscript(hf__slice(reply->str, reply->len))) {
        go_on(run, BY_TEXT);
    } else if (error.class == HF_SHARED_AUTH) {
        go_on(run, PLAINLY);
    } else {
        run->fetch->error = error;
        finish(run);
    }
}

/* ---- plainly ---- */

static bool same_value(bool found, int64_t before_ms, int64_t after_ms)
{
    if (!found)
        return before_ms == -2 && after_ms == -2;
    if (before_ms < 0 || after_ms < 0)
        return before_ms == -1 && after_ms == -1;
    return after_ms <= before_ms && before_ms - after_ms <= SAME_VALUE_MS;
}

static void keep_value(struct fetch_run *run, const redisReply *reply)
{
    struct hf_slice value = hf__reply_text(reply);

    hf_buf_release(&run->value);
    run->found = value.data != NULL;
    if (run->found && hf__buf_copy(value, &run->value) != 0)
        hf__redis_error(&run->fetch->error, HF_SHARED_STATE, "%s", hf_errmsg());
}

static void judge_plain(struct fetch_run *run, const redisReply *reply)
{
    struct hf_shared_fetch *fetch = run->fetch;
    int64_t after_ms = 0;

    if (fetch->error.class != HF_SHARED_OK) {
        finish(run);
    } else if (hf__reply_i64(reply, &after_ms) && same_value(run->found, run->ttl_before_ms, after_ms)) {
        fetch->found = run->found;
        fetch->value = hf__slice(run->value.data, run->value.len);
        fetch->ttl_ms = after_ms < 0 ? -1 : after_ms;
        run->tier->no_scripts = true; /* it was not this key that was refused */
        finish(run);
    } else if (run->how == PLAINLY) {
        go_on(run, PLAINLY_AGAIN);
    } else {
        finish_error(run, HF_SHARED_RETRY, "the key changes faster than it can be read");
    }
}

static void plain_answer(struct fetch_run *run, const redisReply *reply, size_t index)
{
    struct hf_shared_error error;

    if (hf__reply_error(reply, &error) && run->fetch->error.class == HF_SHARED_OK)
        run->fetch->error = error;
    if (index == 0 && !hf__reply_i64(reply, &run->ttl_before_ms))
        run->ttl_before_ms = -3; /* fits nothing */
    else if (index == 1)
        keep_value(run, reply);
    else if (index == 2)
        judge_plain(run, reply);
}

/* ---- sending ---- */

static void fetch_reply(struct hf__wave *wave, const redisReply *reply, size_t index)
{
    struct fetch_run *run = wave->ctx;

    if (run->how == BY_DIGEST || run->how == BY_TEXT)
        script_answer(run, reply);
    else
        plain_answer(run, reply, index);
}

int hf__redis_send_fetch(struct hf_shared_tier *base, struct hf_shared_fetch *fetch)
{
    struct hf__redis *tier = hf__redis_of(base);
    struct fetch_run *run;
    int rc;

    if (tier->conn.state != HF__CONN_READY)
        return hf__fail(HF_EOFFLINE, "the shared tier is not connected");
    run = calloc(1, sizeof(*run));
    if (!run)
        return hf__fail(HF_ENOMEM, "out of memory: asking the shared tier for a value");
    fetch->found = false;
    fetch->value = hf__slice(NULL, 0);
    fetch->ttl_ms = -1;
    fetch->error = (struct hf_shared_error){0};
    *run = (struct fetch_run){
        .tier = tier,
        .fetch = fetch,
        .how = tier->no_scripts ? PLAINLY : BY_DIGEST,
        .wave = {.reply = fetch_reply, .lost = fetch_lost, .ctx = run},
    };
    rc = send_fetch(run);
    if (rc != 0)
        free(run);
    return rc;
}
