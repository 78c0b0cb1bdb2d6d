/* Lanes: operations that are not idempotent, and atomic units, by one script that does all of them or none.
 *
 * The script compares our token (a late one of a dead connection does nothing), then the mark (a repeated one
 * answers "already"), then examines every key, and only then writes; the mark last. */
#include "tier.h"

#include "fail.h"

#include <stdio.h>

/* One call must not hold Redis up for long. */
#define OPS_MAX 100000u

static const char op_letters[] = {
    [HF_SHARED_SET] = 's',     [HF_SHARED_DELETE] = 'd', [HF_SHARED_EXPIRE] = 'e',
    [HF_SHARED_PERSIST] = 'p', [HF_SHARED_INCR] = 'i',
};

/* ---- the end ---- */

static void finish(struct hf__redis *tier, enum hf_lane_outcome outcome)
{
    struct hf_shared_lane *lane = tier->lane.lane;
    struct hf_shared_error error = lane->error;
    uint64_t attempt = tier->conn.attempt;

    lane->outcome = outcome;
    tier->busy = false;
    lane->done(lane->ctx, lane);
    hf__redis_settle(tier, attempt, &error);
}

static void finish_failed(struct hf__redis *tier, enum hf_shared_class class, const char *sentence)
{
    hf__redis_error(&tier->lane.lane->error, class, "%s", sentence);
    finish(tier, HF_LANE_FAILED);
}

static void lane_lost(struct hf__wave *wave, const struct hf_shared_error *error)
{
    struct hf__redis *tier = wave->ctx;

    tier->lane.lane->error = *error;
    finish(tier, HF_LANE_FAILED);
}

/* ---- the command ---- */

static uint64_t last_lsn(const struct hf_shared_lane *lane)
{
    return lane->ops[lane->n_ops - 1].lsn;
}

#define GUARDS_MAX 8u
#define DIGEST_BYTES sizeof(((struct hf_shared_guard *)NULL)->digest)
#define GUARD_CHARS (2 * DIGEST_BYTES + HF__DECIMAL_MAX + 2)

static size_t guard_text(const struct hf_shared_guard *guard, char *text)
{
    size_t n = 0;

    if (guard->absent)
        return (size_t)snprintf(text, GUARD_CHARS, "-");
    for (size_t i = 0; i < DIGEST_BYTES; i++)
        n += (size_t)snprintf(text + n, GUARD_CHARS - n, "%02x", guard->digest[i]);
    return n + (size_t)snprintf(text + n, GUARD_CHARS - n, ":%llu,", (unsigned long long)guard->len);
}

static void write_guards(struct hf__command_writer *w, const struct hf_shared_lane_op *op)
{
    char text[GUARDS_MAX * GUARD_CHARS];
    size_t n = 0;

    for (size_t i = 0; i < op->n_guards; i++)
        n += guard_text(&op->guards[i], text + n);
    hf__arg(w, hf__slice(text, n));
}

static void write_op(struct hf__command_writer *w, const struct hf_shared_lane_op *op, uint64_t last)
{
    char letter[2] = {op_letters[op->op]};
    char name[HF__DECIMAL_MAX + 2];

    hf__arg_str(w, letter);
    if (op->op == HF_SHARED_INCR)
        hf__arg_i64(w, op->delta);
    else
        hf__arg(w, op->op == HF_SHARED_SET ? op->value : hf__slice("", 0));
    hf__arg_i64(w, op->deadline_ms);
    snprintf(name, sizeof(name), "%c%llu", letter[0], (unsigned long long)(last - op->lsn));
    hf__arg_str(w, name);
    write_guards(w, op);
}

static void write_log_max(struct hf__command_writer *w, const struct hf_shared_log *log)
{
    if (log->key.len == 0)
        hf__arg_str(w, "");
    else
        hf__arg_u64(w, log->max_entries ? log->max_entries : HF_CHANGE_LOG_MAX_DEFAULT);
}

static int send_script(struct hf__redis *tier)
{
    const struct hf_shared_lane *lane = tier->lane.lane;
    struct hf__command_writer w = hf__conn_begin(&tier->conn);

    hf__script_begin(&w, &tier->settings.scripts, HF__SCRIPT_LANE, tier->lane.whole_script, 3 + lane->n_ops,
                     6 + 5 * lane->n_ops);
    hf__arg_str(&w, tier->conn.session_key);
    hf__arg(&w, lane->mark_key);
    hf__arg(&w, lane->log.key.len ? lane->log.key : lane->mark_key);
    for (size_t i = 0; i < lane->n_ops; i++)
        hf__arg(&w, lane->ops[i].key);
    hf__arg_str(&w, tier->conn.token);
    hf__arg_u64(&w, lane->prev);
    hf__arg_u64(&w, last_lsn(lane));
    hf__arg_str(&w, tier->settings.node);
    write_log_max(&w, &lane->log);
    hf__arg_u64(&w, lane->n_ops);
    for (size_t i = 0; i < lane->n_ops; i++)
        write_op(&w, &lane->ops[i], last_lsn(lane));
    return hf__conn_send(&tier->conn, &w, &tier->lane.wave);
}

/* ---- the answer ---- */

static void read_op(struct hf_shared_lane_op *op, const redisReply *reply)
{
    int64_t number;

    op->expired = hf__reply_is_text(reply, "x");
    op->has_number = op->op == HF_SHARED_INCR && hf__reply_i64(reply, &number);
    op->number = op->has_number ? number : 0;
}

static bool read_ops(struct hf_shared_lane *lane, const redisReply *reply)
{
    if (!hf__reply_is_array(reply, 2 + lane->n_ops))
        return false;
    for (size_t i = 0; i < lane->n_ops; i++)
        read_op(&lane->ops[i], reply->element[2 + i]);
    lane->log.missing = hf__reply_is_text(reply->element[1], "missing");
    if (!lane->log.missing)
        hf__reply_copy(reply->element[1], lane->log.last_id, sizeof(lane->log.last_id));
    return true;
}

static bool read_index(struct hf_shared_lane *lane, const redisReply *reply)
{
    int64_t bad;

    if (!hf__reply_is_array(reply, 2) || !hf__reply_i64(reply->element[1], &bad) || bad < 0 ||
        (uint64_t)bad >= lane->n_ops)
        return false;
    lane->bad = (size_t)bad;
    return true;
}

static bool read_bad(struct hf_shared_lane *lane, const redisReply *reply)
{
    if (!hf__reply_is_array(reply, 3) || !read_index(lane, reply))
        return false;
    hf__redis_classify(hf__reply_text(reply->element[2]), &lane->error);
    return true;
}

/* Fills in what the outcome needs; 0 for an answer that our script does not give. */
static enum hf_lane_outcome read_outcome(struct hf_shared_lane *lane, const redisReply *reply)
{
    struct hf_slice kind = hf__reply_is_array(reply, 1) ? hf__reply_text(reply->element[0]) : hf__slice(NULL, 0);

    if (kind.len != 1)
        return 0;
    switch (*(const char *)kind.data) {
    case 'A': return read_ops(lane, reply) ? HF_LANE_APPLIED : 0;
    case 'D': return read_ops(lane, reply) ? HF_LANE_ALREADY : 0;
    case 'B': return read_bad(lane, reply) ? HF_LANE_BAD : 0;
    case 'C': return read_index(lane, reply) ? HF_LANE_CHANGED : 0;
    case 'M':
        if (!hf__reply_is_array(reply, 2))
            return 0;
        if (hf__parse_u64(hf__reply_text(reply->element[1]), &lane->mark))
            return HF_LANE_MARK;
        hf__redis_error(&lane->error, HF_SHARED_ENTRY, "the mark in Redis is not a number");
        return HF_LANE_FAILED;
    case 'F': hf__redis_error(&lane->error, HF_SHARED_FENCE, HF__FENCED_TEXT); return HF_LANE_FAILED;
    default: return 0;
    }
}

static void lane_reply(struct hf__wave *wave, const redisReply *reply, size_t index)
{
    struct hf__redis *tier = wave->ctx;
    struct hf_shared_lane *lane = tier->lane.lane;
    enum hf_lane_outcome outcome;

    (void)index;
    if (hf__reply_is_error(reply) && !tier->lane.whole_script &&
        hf__redis_is_noscript(hf__slice(reply->str, reply->len))) {
        tier->lane.whole_script = true;
        if (send_script(tier) != 0)
            finish_failed(tier, HF_SHARED_STATE, hf_errmsg());
        return;
    }
    if (hf__reply_error(reply, &lane->error)) {
        finish(tier, HF_LANE_FAILED);
        return;
    }
    outcome = read_outcome(lane, reply);
    if (outcome != 0)
        finish(tier, outcome);
    else
        finish_failed(tier, HF_SHARED_LINK, "the server does not answer a script as Redis does");
}

/* ---- sending ---- */

static int check_op(const struct hf_shared_lane_op *op, uint64_t last)
{
    if (op->op < HF_SHARED_SET || op->op > HF_SHARED_INCR)
        return hf__fail(HF_EINVAL, "a lane holds the unknown operation %d", (int)op->op);
    if (op->deadline_ms < 0 || (op->op == HF_SHARED_EXPIRE && op->deadline_ms == 0))
        return hf__fail(HF_EINVAL, "a lane holds the deadline %lld; expected milliseconds since 1970",
                        (long long)op->deadline_ms);
    if (op->n_guards > GUARDS_MAX)
        return hf__fail(HF_EINVAL, "a lane holds an operation with %zu guards; expected at most %u", op->n_guards,
                        GUARDS_MAX);
    if (op->lsn > last)
        return hf__fail(HF_EINVAL, "a lane's LSNs do not rise");
    return 0;
}

static int check_lane(const struct hf_shared_lane *lane)
{
    if (lane->n_ops == 0 || lane->n_ops > OPS_MAX)
        return hf__fail(HF_EINVAL, "a lane of %zu operations; expected 1 to %u", lane->n_ops, OPS_MAX);
    for (size_t i = 0; i < lane->n_ops; i++) {
        int rc = check_op(&lane->ops[i], last_lsn(lane));

        if (rc != 0)
            return rc;
    }
    return 0;
}

static void reset_lane(struct hf_shared_lane *lane)
{
    lane->error = (struct hf_shared_error){0};
    lane->mark = 0;
    lane->bad = 0;
    lane->log.missing = false;
    lane->log.last_id[0] = '\0';
    for (size_t i = 0; i < lane->n_ops; i++)
        lane->ops[i].expired = lane->ops[i].has_number = false;
}

int hf__redis_send_lane(struct hf_shared_tier *base, struct hf_shared_lane *lane)
{
    struct hf__redis *tier = hf__redis_of(base);
    int rc = hf__redis_may_send(tier, true);

    if (rc == 0)
        rc = check_lane(lane);
    if (rc != 0)
        return rc;
    reset_lane(lane);
    tier->lane = (struct hf__lane_run){
        .lane = lane,
        .wave = {.reply = lane_reply, .lost = lane_lost, .ctx = tier},
    };
    rc = send_script(tier);
    tier->busy = rc == 0;
    return rc;
}
