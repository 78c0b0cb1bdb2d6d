/* Decisions: compare and act in one script, so that of many who ask only those win whose condition held.
 *
 * The script compares our token first (a late one of a dead connection decides nothing). A lock's fencing number is
 * drawn in the same script: one more than the last one, and never less than Redis's clock in microseconds, so that a
 * counter that was wiped cannot repeat a number. The number is kept beside the lock, with the holder's token and the
 * lock's life: who asks again because the answer was lost is told the same number. */
#include "tier.h"

#include "fail.h"

#include <stdio.h>
#include <stdlib.h>

/* What the script knows the operation by, and what it is in the change log. */
static const struct {
    char op, log;
} letters[] = {
    [HF_DECIDE_SET_IF_ABSENT] = {'n', 's'},  [HF_DECIDE_COMPARE_SET] = {'c', 's'},
    [HF_DECIDE_COMPARE_DELETE] = {'x', 'd'}, [HF_DECIDE_COMPARE_EXPIRE] = {'t', 'e'},
    [HF_DECIDE_GET_DELETE] = {'g', 'd'},     [HF_DECIDE_ACQUIRE] = {'a', 's'},
};

/* ---- the end ---- */

/* What `done` was handed is gone after this. */
static void finish(struct hf__redis *tier)
{
    struct hf_shared_decide *decide = tier->decide.decide;
    struct hf_shared_error error = decide->error;
    uint64_t attempt = tier->conn.attempt;

    tier->busy = false;
    decide->done(decide->ctx, decide);
    hf__redis_settle(tier, attempt, &error);
}

static void finish_failed(struct hf__redis *tier, enum hf_shared_class class, const char *sentence)
{
    hf__redis_error(&tier->decide.decide->error, class, "%s", sentence);
    finish(tier);
}

static void decide_lost(struct hf__wave *wave, const struct hf_shared_error *error)
{
    struct hf__redis *tier = wave->ctx;

    tier->decide.decide->error = *error;
    finish(tier);
}

/* ---- the command ---- */

static void write_log(struct hf__command_writer *w, const struct hf_shared_decide *decide)
{
    char op = letters[decide->op].log;
    char name[3] = {op, '0'};

    if (decide->op == HF_DECIDE_COMPARE_EXPIRE && decide->ttl_ms == 0)
        name[0] = 'p';
    if (decide->log.key.len == 0)
        hf__arg_str(w, "");
    else
        hf__arg_u64(w, decide->log.max_entries ? decide->log.max_entries : HF_CHANGE_LOG_MAX_DEFAULT);
    hf__arg_str(w, name);
}

/* <fence key>:<lock>: the number of the lock's holder. */
static int holder_key(const struct hf_shared_decide *decide, struct hf_bytes *ret_key)
{
    int rc = hf__bytes_append(ret_key, decide->fence_key.data, decide->fence_key.len);

    if (rc == 0)
        rc = hf__bytes_append(ret_key, ":", 1);
    return rc == 0 ? hf__bytes_append(ret_key, decide->key.data, decide->key.len) : rc;
}

static int send_script(struct hf__redis *tier)
{
    const struct hf_shared_decide *decide = tier->decide.decide;
    bool acquires = decide->op == HF_DECIDE_ACQUIRE;
    char op[2] = {letters[decide->op].op};
    struct hf_bytes holder = {0};
    struct hf__command_writer w;

    if (acquires && holder_key(decide, &holder) != 0) {
        hf__bytes_release(&holder);
        return HF_ENOMEM;
    }
    w = hf__conn_begin(&tier->conn);
    hf__script_begin(&w, &tier->settings.scripts, HF__SCRIPT_DECIDE, tier->decide.whole_script, acquires ? 5 : 3,
                     9);
    hf__arg_str(&w, tier->conn.session_key);
    hf__arg(&w, decide->key);
    hf__arg(&w, decide->log.key.len ? decide->log.key : decide->key);
    if (acquires) {
        hf__arg(&w, decide->fence_key);
        hf__arg(&w, hf__slice(holder.bytes, holder.len));
    }
    hf__arg_str(&w, tier->conn.token);
    hf__arg_str(&w, op);
    hf__arg(&w, decide->expected);
    hf__arg(&w, decide->value);
    hf__arg_i64(&w, decide->ttl_ms);
    hf__arg_str(&w, tier->settings.node);
    hf__arg_u64(&w, decide->lsn);
    write_log(&w, decide);
    hf__bytes_release(&holder);
    return hf__conn_send(&tier->conn, &w, &tier->decide.wave);
}

/* ---- the answer ---- */

static bool read_answer(struct hf_shared_decide *decide, const redisReply *reply)
{
    int64_t left_ms;

    if (!hf__reply_is_array(reply, 5) || !hf__reply_i64(reply->element[2], &left_ms))
        return false;
    decide->decided = hf__reply_is_text(reply->element[0], "Y");
    decide->has_found = !hf__reply_is_nil(reply->element[1]);
    decide->found = hf__reply_text(reply->element[1]);
    if (decide->decided && decide->has_found && decide->op != HF_DECIDE_GET_DELETE)
        decide->found = decide->op == HF_DECIDE_ACQUIRE ? decide->value : decide->expected;
    decide->ttl_left_ms = left_ms < 0 ? -1 : left_ms;
    if (decide->decided && decide->op == HF_DECIDE_ACQUIRE &&
        !hf__parse_u64(hf__reply_text(reply->element[3]), &decide->fence))
        return false;
    decide->log.missing = hf__reply_is_text(reply->element[4], "missing");
    if (!decide->log.missing)
        hf__reply_copy(reply->element[4], decide->log.last_id, sizeof(decide->log.last_id));
    return true;
}

static bool is_fenced(const redisReply *reply)
{
    return hf__reply_is_array(reply, 1) && hf__reply_is_text(reply->element[0], "F");
}

static void decide_reply(struct hf__wave *wave, const redisReply *reply, size_t index)
{
    struct hf__redis *tier = wave->ctx;
    struct hf_shared_decide *decide = tier->decide.decide;

    (void)index;
    if (hf__reply_is_error(reply) && !tier->decide.whole_script &&
        hf__redis_is_noscript(hf__slice(reply->str, reply->len))) {
        tier->decide.whole_script = true;
        if (send_script(tier) != 0)
            finish_failed(tier, HF_SHARED_STATE, hf_errmsg());
    } else if (is_fenced(reply)) {
        finish_failed(tier, HF_SHARED_FENCE, HF__FENCED_TEXT);
    } else if (hf__reply_error(reply, &decide->error) || read_answer(decide, reply)) {
        finish(tier);
    } else {
        finish_failed(tier, HF_SHARED_LINK, "the server does not answer a script as Redis does");
    }
}

/* ---- sending ---- */

static int check_decide(const struct hf_shared_decide *decide)
{
    if (decide->op < HF_DECIDE_SET_IF_ABSENT || decide->op > HF_DECIDE_ACQUIRE)
        return hf__fail(HF_EINVAL, "a decision has the unknown operation %d", (int)decide->op);
    if (decide->ttl_ms < HF_DECIDE_KEEP_TTL)
        return hf__fail(HF_EINVAL, "a decision has a life of %lld ms; expected one of at least 1, 0 or %d",
                        (long long)decide->ttl_ms, HF_DECIDE_KEEP_TTL);
    if (decide->op == HF_DECIDE_ACQUIRE && (decide->fence_key.len == 0 || decide->ttl_ms < 1))
        return hf__fail(HF_EINVAL, "a lock needs a life of at least 1 ms and a key for its fencing numbers");
    return 0;
}

static void reset_decide(struct hf_shared_decide *decide)
{
    decide->decided = decide->has_found = false;
    decide->found = hf__slice(NULL, 0);
    decide->ttl_left_ms = -1;
    decide->fence = 0;
    decide->error = (struct hf_shared_error){0};
    decide->log.missing = false;
    decide->log.last_id[0] = '\0';
}

int hf__redis_send_decide(struct hf_shared_tier *base, struct hf_shared_decide *decide)
{
    struct hf__redis *tier = hf__redis_of(base);
    int rc = hf__redis_may_send(tier, true);

    if (rc == 0)
        rc = check_decide(decide);
    if (rc != 0)
        return rc;
    reset_decide(decide);
    tier->decide = (struct hf__decide_run){
        .decide = decide,
        .wave = {.reply = decide_reply, .lost = decide_lost, .ctx = tier},
    };
    rc = send_script(tier);
    tier->busy = rc == 0;
    return rc;
}
