/* Answers to decisions, as the script of decisions gives them. */
#include "fake_answers.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct run {
    struct hf_shared_decide *decide;
    const struct fake_session *session;
    struct fake_caller caller;
    int64_t now_ms;
};

#define FENCE_MAX INT64_C(9007199254740991) /* what a script's numbers hold */

static bool may_decide(const struct hf_shared_decide *decide, const struct fake_key *key)
{
    struct hf_slice held = key ? fake_slice(&key->value) : hf__slice(NULL, 0);

    switch (decide->op) {
    case HF_DECIDE_SET_IF_ABSENT: return !key;
    case HF_DECIDE_GET_DELETE: return key;
    case HF_DECIDE_ACQUIRE: return !key || hf__slice_eq(held, decide->value);
    default: return key && hf__slice_eq(held, decide->expected);
    }
}

static enum hf_shared_op op_of(const struct hf_shared_decide *decide)
{
    switch (decide->op) {
    case HF_DECIDE_COMPARE_DELETE:
    case HF_DECIDE_GET_DELETE: return HF_SHARED_DELETE;
    case HF_DECIDE_COMPARE_EXPIRE: return decide->ttl_ms != 0 ? HF_SHARED_EXPIRE : HF_SHARED_PERSIST;
    default: return HF_SHARED_SET;
    }
}

static const char *put(struct run *run, struct hf_slice name, struct hf_slice value)
{
    if (run->decide->ttl_ms == HF_DECIDE_KEEP_TTL)
        return fake_set_keeping_ttl(&run->caller, name, value);
    return fake_set(&run->caller, name, value, run->decide->ttl_ms ? run->now_ms + run->decide->ttl_ms : 0);
}

/* ---- locks ---- */

/* <fence key>:<lock> */
static struct hf_buf holder_name(const struct hf_shared_decide *decide)
{
    struct hf_bytes name = {0};

    if (hf__bytes_append(&name, decide->fence_key.data, decide->fence_key.len) != 0 ||
        hf__bytes_append(&name, ":", 1) != 0 || hf__bytes_append(&name, decide->key.data, decide->key.len) != 0)
        abort();
    return hf__bytes_detach(&name);
}

/* "<number> <token>" with our token; 0: it is another's, or nobody's. */
static uint64_t number_held(const struct hf_shared_decide *decide, struct hf_slice holder)
{
    const struct fake_key *key = fake_look(holder);
    const char *text = key && !key->type[0] ? key->value.data : "";
    size_t digits = strspn(text, "0123456789");
    struct hf_slice token;

    if (digits == 0 || text[digits] != ' ')
        return 0;
    token = hf__slice(text + digits + 1, key->value.len - digits - 1);
    return hf__slice_eq(token, decide->value) ? strtoull(text, NULL, 10) : 0;
}

/* One more than the last, and at least the time in microseconds. */
static const char *draw(struct run *run, uint64_t *ret_number)
{
    const struct fake_key *key;
    const char *why = fake_get(&run->caller, run->decide->fence_key, &key);
    char *end = NULL, text[24];
    int64_t last = !why && key ? strtoll(key->value.data, &end, 10) : 0, number = run->now_ms * 1000;

    if (why)
        return why;
    if (last >= FENCE_MAX || (end && (*end || key->value.len == 0)))
        return "ERR the fence counter holds no number";
    if (number <= last)
        number = last + 1;
    snprintf(text, sizeof(text), "%" PRId64, number);
    *ret_number = (uint64_t)number;
    return fake_set(&run->caller, run->decide->fence_key, hf__slice_str(text), 0);
}

static const char *write_holder(struct run *run, struct hf_slice holder)
{
    struct hf_bytes text = {0};
    char number[24];
    int n = snprintf(number, sizeof(number), "%" PRIu64 " ", run->decide->fence);
    const char *why;

    if (hf__bytes_append(&text, number, (size_t)n) != 0 ||
        hf__bytes_append(&text, run->decide->value.data, run->decide->value.len) != 0)
        abort();
    why = put(run, holder, hf__slice(text.bytes, text.len));
    hf__bytes_release(&text);
    return why;
}

/* Counter and holder before the key itself. */
static const char *number_it(struct run *run, bool held)
{
    struct hf_buf name = holder_name(run->decide);
    const char *why = NULL;

    run->decide->fence = held ? number_held(run->decide, fake_slice(&name)) : 0;
    if (run->decide->fence == 0)
        why = draw(run, &run->decide->fence);
    if (!why)
        why = write_holder(run, fake_slice(&name));
    hf_buf_release(&name);
    return why;
}

/* ---- carrying out ---- */

static const char *change(struct run *run)
{
    const struct hf_shared_decide *decide = run->decide;

    switch (op_of(decide)) {
    case HF_SHARED_DELETE: return fake_delete(&run->caller, decide->key);
    case HF_SHARED_PERSIST: return fake_persist(&run->caller, decide->key);
    case HF_SHARED_EXPIRE: return fake_expire(&run->caller, decide->key, run->now_ms + decide->ttl_ms);
    default: return put(run, decide->key, decide->value);
    }
}

static const char *carry_out(struct run *run, bool held)
{
    struct hf_shared_decide *decide = run->decide;
    struct fake_name name = fake_name_of(op_of(decide), decide->key, decide->lsn);
    const char *why = decide->op == HF_DECIDE_ACQUIRE ? number_it(run, held) : NULL;

    if (!why)
        why = change(run);
    if (!why && decide->log.key.len > 0)
        fake_log_names(&run->caller, &decide->log, run->session->node, decide->lsn, &name, 1);
    return why;
}

/* What an expected value found is not repeated. */
static void lend_found(struct hf_shared_decide *decide, const struct hf_buf *found)
{
    decide->found = fake_slice(found);
    if (decide->decided && decide->op == HF_DECIDE_ACQUIRE)
        decide->found = decide->value;
    else if (decide->decided && decide->op != HF_DECIDE_GET_DELETE)
        decide->found = decide->expected;
}

static const char *decide_it(struct run *run, struct hf_buf *ret_found)
{
    struct hf_shared_decide *decide = run->decide;
    const struct fake_key *key;
    const char *why = fake_get(&run->caller, decide->key, &key);
    bool held = key;
    int64_t left_ms;

    if (why)
        return why;
    if (held)
        *ret_found = fake_copy(fake_slice(&key->value));
    decide->decided = may_decide(decide, key);
    if (decide->decided)
        why = carry_out(run, held);
    if (why) {
        decide->decided = false;
        decide->fence = 0;
        return why;
    }
    decide->has_found = held;
    if (held)
        lend_found(decide, ret_found);
    left_ms = fake_pttl(decide->key);
    decide->ttl_left_ms = left_ms < 0 ? -1 : left_ms;
    return NULL;
}

static void reset(struct hf_shared_decide *decide)
{
    decide->decided = decide->has_found = false;
    decide->found = hf__slice(NULL, 0);
    decide->ttl_left_ms = -1;
    decide->fence = 0;
    decide->error = fake_classify(NULL);
    decide->log.missing = false;
    decide->log.last_id[0] = '\0';
}

void fake_answer_decide(struct fake_asker asker, struct hf_shared_decide *decide, enum fake_outcome outcome,
                        struct hf_buf *ret_found)
{
    struct run run = {.decide = decide, .session = asker.session, .now_ms = fake_now_ms()};

    reset(decide);
    decide->error = fake_begin_script(asker.session, &run.caller);
    if (decide->error.class != HF_SHARED_OK)
        return;
    if (outcome == FAKE_OOM || outcome == FAKE_REFUSE || outcome == FAKE_RETRY)
        decide->error = fake_error_of(outcome);
    else
        decide->error = fake_classify(decide_it(&run, ret_found));
}
