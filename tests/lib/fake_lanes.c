/* Answers to lanes, as the lane script gives them: the token, the mark, every operation examined with what those before it
 * would leave, and only then all of them done. */
#include "fake_answers.h"

#include "reply.h"
#include "write.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* What a key will hold by then. */
struct seen {
    struct hf_slice key;
    bool there, is_number; /* is_number: it is this one, by an operation before */
    struct hf_slice value; /* else */
    int64_t number;
};

struct run {
    struct fake_asker asker;
    struct hf_shared_lane *lane;
    struct fake_caller caller;
    int64_t now_ms;
    struct seen *seen; /* one per operation: the last of its key counts */
    bool *creates;
};

static uint64_t last_lsn(const struct hf_shared_lane *lane)
{
    return lane->ops[lane->n_ops - 1].lsn;
}

static enum hf_lane_outcome fail(struct hf_shared_lane *lane, const char *why)
{
    lane->error = fake_classify(why);
    return HF_LANE_FAILED;
}

static enum hf_lane_outcome bad(struct hf_shared_lane *lane, size_t i, const char *why)
{
    lane->bad = i;
    lane->error = fake_classify(why);
    return HF_LANE_BAD;
}

/* ---- the mark ---- */

static void tell_numbers(struct hf_shared_lane *lane)
{
    for (size_t i = 0; i < lane->n_ops; i++) {
        struct hf_shared_lane_op *op = &lane->ops[i];
        const struct fake_key *key = op->op == HF_SHARED_INCR ? fake_look(op->key) : NULL;
        op->has_number = key && !key->type[0] && hf__parse_counter(fake_slice(&key->value), &op->number);
    }
}

static bool reads(struct hf_slice text, uint64_t number)
{
    char decimal[24];

    snprintf(decimal, sizeof(decimal), "%" PRIu64, number);
    return hf__slice_eq(text, hf__slice_str(decimal));
}

/* 0: the mark is the one that is expected. */
static enum hf_lane_outcome compare_mark(struct run *run)
{
    struct hf_shared_lane *lane = run->lane;
    const struct fake_key *key;
    struct hf_slice text = hf__slice_str("0");
    const char *why = fake_get(&run->caller, lane->mark_key, &key);

    if (why)
        return fail(lane, why);
    if (key)
        text = fake_slice(&key->value);
    if (reads(text, last_lsn(lane))) {
        tell_numbers(lane);
        return HF_LANE_ALREADY;
    }
    if (reads(text, lane->prev))
        return 0;
    if (!hf__parse_u64(text, &lane->mark)) {
        lane->error = fake_error(HF_SHARED_ENTRY, "the mark in Redis is not a number");
        return HF_LANE_FAILED;
    }
    return HF_LANE_MARK;
}

/* ---- examining ---- */

static bool is_gone(const struct run *run, const struct hf_shared_lane_op *op)
{
    return op->deadline_ms != 0 && op->deadline_ms <= run->now_ms;
}

static bool fits_length(const struct hf_shared_lane_op *op, const struct fake_key *key)
{
    if (!key)
        return fake_fits(op->guards, op->n_guards, NULL);
    for (size_t i = 0; i < op->n_guards; i++) {
        if (op->guards[i].len == key->value.len && fake_has_digest(&op->guards[i], key))
            return true;
    }
    return false;
}

/* What the key holds before operation `i`; 0: it may go on. */
static enum hf_lane_outcome see(struct run *run, size_t i)
{
    const struct hf_shared_lane_op *op = &run->lane->ops[i];
    const struct fake_key *key;

    for (size_t k = i; k > 0; k--) {
        if (hf__slice_eq(run->seen[k - 1].key, op->key)) {
            run->seen[i] = run->seen[k - 1];
            return 0;
        }
    }
    key = fake_look(op->key);
    run->seen[i] = (struct seen){.key = op->key, .there = key};
    if (key)
        run->seen[i].value = fake_slice(&key->value);
    if (key && key->type[0])
        return bad(run->lane, i, FAKE_WRONGTYPE);
    if (op->n_guards > 0 && !fits_length(op, key)) {
        run->lane->bad = i;
        return HF_LANE_CHANGED;
    }
    return 0;
}

static enum hf_lane_outcome see_sum(struct run *run, size_t i)
{
    struct hf_shared_lane_op *op = &run->lane->ops[i];
    struct seen *seen = &run->seen[i];

    if (seen->there && !seen->is_number && !hf__parse_counter(seen->value, &seen->number))
        return bad(run->lane, i, "ERR value is not an integer or out of range");
    if (__builtin_add_overflow(seen->there ? seen->number : 0, op->delta, &seen->number))
        return bad(run->lane, i, "ERR increment or decrement would overflow");
    run->creates[i] = !seen->there;
    seen->there = seen->is_number = true;
    op->has_number = true;
    op->number = seen->number;
    return 0;
}

static enum hf_lane_outcome examine_op(struct run *run, size_t i)
{
    struct hf_shared_lane_op *op = &run->lane->ops[i];
    enum hf_lane_outcome outcome = see(run, i);
    struct seen *seen = &run->seen[i];
    bool gone = is_gone(run, op);

    if (outcome != 0)
        return outcome;
    switch (op->op) {
    case HF_SHARED_SET: *seen = (struct seen){.key = op->key, .there = !gone, .value = op->value}; return 0;
    case HF_SHARED_DELETE: seen->there = false; return 0;
    case HF_SHARED_EXPIRE: seen->there &= !gone; return 0;
    case HF_SHARED_PERSIST: return 0;
    default: op->expired = gone; return gone ? 0 : see_sum(run, i);
    }
}

static enum hf_lane_outcome examine_ops(struct run *run)
{
    for (size_t i = 0; i < run->lane->n_ops; i++) {
        enum hf_lane_outcome outcome = examine_op(run, i);
        if (outcome != 0)
            return outcome;
    }
    return 0;
}

/* ---- doing ---- */

static const char *do_op(struct run *run, size_t i)
{
    const struct hf_shared_lane_op *op = &run->lane->ops[i];
    const char *why;

    switch (op->op) {
    case HF_SHARED_SET: return fake_set(&run->caller, op->key, op->value, op->deadline_ms);
    case HF_SHARED_DELETE: return fake_delete(&run->caller, op->key);
    case HF_SHARED_EXPIRE: return fake_expire(&run->caller, op->key, op->deadline_ms);
    case HF_SHARED_PERSIST: return fake_persist(&run->caller, op->key);
    default: break;
    }
    if (op->expired)
        return NULL;
    why = fake_increment(&run->caller, op->key, op->delta);
    if (!why && run->creates[i] && op->deadline_ms != 0)
        why = fake_expire(&run->caller, op->key, op->deadline_ms);
    return why;
}

static void name_ops(struct run *run)
{
    struct hf_shared_lane *lane = run->lane;
    struct fake_name *names = fake_need(calloc(lane->n_ops, sizeof(*names)));
    size_t n = 0;

    for (size_t i = 0; i < lane->n_ops; i++) {
        if (!lane->ops[i].expired)
            names[n++] = fake_name_of(lane->ops[i].op, lane->ops[i].key, lane->ops[i].lsn);
    }
    if (lane->log.key.len > 0)
        fake_log_names(&run->caller, &lane->log, run->asker.session->node, last_lsn(lane), names, n);
    free(names);
}

/* Nothing but the first write can be refused. */
static enum hf_lane_outcome do_all(struct run *run)
{
    struct hf_shared_lane *lane = run->lane;
    const char *why = NULL;
    char mark[24];

    for (size_t i = 0; i < lane->n_ops && !why; i++)
        why = do_op(run, i);
    snprintf(mark, sizeof(mark), "%" PRIu64, last_lsn(lane));
    if (!why)
        why = fake_set(&run->caller, lane->mark_key, hf__slice_str(mark), 0);
    if (why)
        return fail(lane, why);
    name_ops(run);
    fake_server.torn_units += lane->ops[lane->n_ops - 1].more;
    return HF_LANE_APPLIED;
}

static enum hf_lane_outcome run_script(struct run *run)
{
    enum hf_lane_outcome outcome;

    run->lane->error = fake_begin_script(run->asker.session, &run->caller);
    if (run->lane->error.class != HF_SHARED_OK)
        return HF_LANE_FAILED;
    outcome = compare_mark(run);
    if (outcome == 0)
        outcome = examine_ops(run);
    return outcome == 0 ? do_all(run) : outcome;
}

/* ---- all ---- */

static void reset(struct hf_shared_lane *lane)
{
    lane->error = fake_classify(NULL);
    lane->mark = 0;
    lane->bad = 0;
    lane->log.missing = false;
    lane->log.last_id[0] = '\0';
    for (size_t i = 0; i < lane->n_ops; i++)
        lane->ops[i].expired = lane->ops[i].has_number = false;
}

/* Only what was done, now or before, tells of its operations. */
static void forget_ops(struct hf_shared_lane *lane)
{
    for (size_t i = 0; i < lane->n_ops; i++)
        lane->ops[i].expired = lane->ops[i].has_number = false;
}

void fake_answer_lane(struct fake_asker asker, struct hf_shared_lane *lane, enum fake_outcome outcome)
{
    struct run run = {.asker = asker, .lane = lane, .now_ms = fake_now_ms()};

    reset(lane);
    if (outcome == FAKE_OOM || outcome == FAKE_RETRY || outcome == FAKE_REFUSE) {
        lane->error = fake_is_ours(asker.session) ? fake_error_of(outcome) : fake_fenced();
        lane->outcome = lane->error.class == HF_SHARED_ENTRY ? HF_LANE_BAD : HF_LANE_FAILED;
        return;
    }
    run.seen = fake_need(calloc(lane->n_ops, sizeof(*run.seen)));
    run.creates = fake_need(calloc(lane->n_ops, sizeof(*run.creates)));
    lane->outcome = run_script(&run);
    if (lane->outcome != HF_LANE_APPLIED && lane->outcome != HF_LANE_ALREADY)
        forget_ops(lane);
    free(run.seen);
    free(run.creates);
}
