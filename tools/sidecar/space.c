#include "space.h"

#include "client.h"
#include "command.h"
#include "cursors.h"
#include "metrics.h"
#include "server.h"
#include "transaction.h"
#include "writing.h"

#include <stdlib.h>

#define SCRATCH_BYTES 4096         /* to begin with */
#define SCRATCH_KEEP (1024 * 1024) /* what is larger is given back with the next read */

static int copy_rules(struct space *space, const struct hf_options *options)
{
    space->rules = calloc(options->n_namespaces + 1, sizeof(*space->rules));
    if (!space->rules)
        return HF_ENOMEM;
    for (size_t i = 0; i < options->n_namespaces; i++) {
        const struct hf_namespace *ns = &options->namespaces[i];
        struct space_rules *rules = &space->rules[i];
        rules->ours = ns->write_mode == HF_WRITE_LOCAL;
        rules->default_ttl_ms = ns->default_ttl_ms;
        if (hf__buf_copy(hf__slice_str(ns->prefix), &rules->prefix) != 0)
            return HF_ENOMEM;
        space->n_rules++;
    }
    return 0;
}

int space_open(const struct hf_options *options, uint64_t seed, struct space **ret_space)
{
    struct space *space = calloc(1, sizeof(*space));

    if (!space)
        return HF_ENOMEM;
    space->has_redis = options->redis && *options->redis;
    space->cursors = cursors_new(seed);
    if (!space->cursors || copy_rules(space, options) != 0) {
        space_close(space);
        return HF_ENOMEM;
    }
    *ret_space = space;
    return 0;
}

void space_close(struct space *space)
{
    if (!space)
        return;
    for (size_t i = 0; i < space->n_rules; i++)
        hf_buf_release(&space->rules[i].prefix);
    free(space->rules);
    cursors_free(space->cursors);
    hf__bytes_release(&space->scratch);
    free(space);
}

const struct space_rules *space_rules_of(const struct space *space, struct hf_slice key)
{
    const struct space_rules *longest = NULL;

    for (size_t i = 0; i < space->n_rules; i++) {
        const struct space_rules *rules = &space->rules[i];
        if (hf__slice_starts_with(key, hf__slice(rules->prefix.data, rules->prefix.len)) &&
            (!longest || rules->prefix.len > longest->prefix.len))
            longest = rules;
    }
    return longest;
}

int64_t space_now_ms(const struct call *call)
{
    return hf_now_ms(call->server->store);
}

struct reply space_answer(const struct call *call)
{
    return (struct reply){.proto = call->reply->proto};
}

/* ---- who decides ---- */

bool space_is_ours(const struct call *call, struct hf_slice key)
{
    const struct space *space = call->server->space;
    const struct space_rules *rules = space->has_redis ? space_rules_of(space, key) : NULL;

    return !space->has_redis || (rules && rules->ours);
}

bool space_has_ours(const struct call *call)
{
    const struct space *space = call->server->space;
    bool has = false;

    for (size_t i = 0; i < space->n_rules; i++)
        has = has || space->rules[i].ours;
    return space->has_redis && has;
}

bool space_asks_redis(const struct call *call)
{
    return call->server->space->has_redis && call->server->pass_on && hf_is_online(call->server->store);
}

/* The command as a worker runs it. */
static void run_waiting(struct call *call)
{
    struct hf_bytes scratch = {0};

    call->scratch = &scratch;
    call->command->run(call);
    call->scratch = NULL;
    hf__bytes_release(&scratch);
}

void space_wait(struct call *call)
{
    if (!call->inside)
        call_work(call, run_waiting, NULL);
    else if (call->command->flags & COMMAND_READ)
        transaction_leave_to_redis(call->inside);
    else
        transaction_wait(call->inside);
}

bool space_may_decide(struct call *call, struct hf_slice key)
{
    if (call->scratch || space_is_ours(call, key))
        return true;
    if (call->inside && !hf_is_online(call->server->store))
        return true;
    if (call->inside)
        transaction_leave_to_redis(call->inside);
    else
        space_wait(call);
    return false;
}

static void pass_on(struct call *call)
{
    if (call->inside)
        transaction_leave_to_redis(call->inside);
    else if (call->server->pass_on)
        call->server->pass_on(call);
    else
        reply_error(call->reply, "OFFLINE only Redis can tell, and it cannot be asked");
}

bool space_passes(struct call *call, struct hf_slice key)
{
    if (space_is_ours(call, key) || !hf_is_online(call->server->store))
        return false;
    pass_on(call);
    return true;
}

/* A worker must not touch the client: there the call carries it. */
void space_told(struct call *call, const struct hf_result *result)
{
    struct hf_result *told = call->scratch ? &call->result : &call->client->last_result;

    *told = *result;
    told->error = NULL; /* it is borrowed */
    call->was_told = true;
}

/* ---- reading ---- */

/* A look leaves there what was read before. */
static struct hf_bytes *scratch_of(struct call *call, bool reads)
{
    struct hf_bytes *scratch = call->scratch ? call->scratch : &call->server->space->scratch;

    if (scratch->capacity > SCRATCH_KEEP && reads)
        hf__bytes_release(scratch);
    return hf__bytes_reserve(scratch, SCRATCH_BYTES) == 0 ? scratch : NULL;
}

/* As the store tells it; `capacity_max` is 0 for a look. A value that is longer than the scratch is read again into a longer one. */
static int read_store(struct call *call, struct hf_slice key, size_t capacity_max, struct value *value)
{
    struct hf_bytes *scratch = scratch_of(call, capacity_max > 0);
    size_t capacity, len;
    int rc;

    for (;;) {
        if (!scratch)
            return HF_ENOMEM;
        capacity = scratch->capacity < capacity_max ? scratch->capacity : capacity_max;
        len = 0;
        rc = (call->scratch ? hf_ask_into : hf_try_get_into)(call->server->store, key, scratch->bytes, capacity,
                                                             &len, &value->result);
        if (rc != 0 || len <= capacity || capacity_max == 0)
            break;
        if (hf__bytes_reserve(scratch, len) != 0)
            return HF_ENOMEM;
    }
    value->live = rc == 0;
    value->len = len;
    value->bytes = hf__slice(scratch->bytes, capacity_max == 0 ? 0 : len);
    value->deadline_ms = rc == 0 ? value->result.deadline_ms : 0;
    return rc;
}

/* What was shown may not be told before it is durable. */
static void hold(struct call *call, const struct value *value)
{
    if (!call->scratch && !value->result.durable && value->result.lsn != 0)
        call_hold(call, value->result.lsn);
}

/* What the metrics and HOLDFAST LAST tell of a read. */
static void note(struct call *call, struct hf_slice key, const struct value *value)
{
    if (call->server->metrics && call->command->flags & COMMAND_READ)
        metrics_count_read(call->server->metrics, key, value->live, value->result.origin);
    space_told(call, &value->result);
}

/* Read through the transaction, if there is one. */
static int read_through(struct call *call, struct hf_slice key, size_t capacity_max, struct value *value)
{
    int rc;

    *value = (struct value){0};
    if (call->inside)
        transaction_reads(call, key);
    if (call->inside && transaction_shows(call->inside, key, value))
        return 0;
    rc = read_store(call, key, capacity_max, value);
    if (rc == HF_NOT_DONE && call->inside)
        rc = transaction_was_told(call->inside, key, value);
    if (rc == 0 || rc == HF_NOT_FOUND)
        note(call, key, value);
    if (rc >= 0)
        hold(call, value);
    if (rc == 0 && call->inside)
        transaction_adjusts(call->inside, key, value);
    return rc == HF_NOT_FOUND ? 0 : rc;
}

/* See to a call whose read did not end well. */
static bool was_read(struct call *call, int rc)
{
    if (rc == HF_NOT_DONE)
        space_wait(call);
    else if (rc != 0)
        call_fail(call, rc);
    return rc == 0;
}

bool space_read(struct call *call, struct hf_slice key, struct value *ret_value)
{
    return was_read(call, read_through(call, key, SIZE_MAX, ret_value));
}

bool space_read_each(struct call *call, struct hf_slice key, struct value *ret_value)
{
    int rc = read_through(call, key, SIZE_MAX, ret_value);

    if (rc != HF_EWRONGTYPE)
        return was_read(call, rc);
    *ret_value = (struct value){0};
    return true;
}

/* Of another type: it is there, that is all. */
static bool is_other_type(int rc, struct value *value)
{
    if (rc != HF_EWRONGTYPE)
        return false;
    *value = (struct value){.live = true, .other_type = true};
    return true;
}

bool space_read_any(struct call *call, struct hf_slice key, struct value *ret_value)
{
    int rc = read_through(call, key, SIZE_MAX, ret_value);

    return is_other_type(rc, ret_value) || was_read(call, rc);
}

bool space_look(struct call *call, struct hf_slice key, struct value *ret_value)
{
    int rc = read_through(call, key, 0, ret_value);

    return is_other_type(rc, ret_value) || was_read(call, rc);
}

bool space_look_or_pass(struct call *call, struct hf_slice key, struct value *ret_value)
{
    int rc = read_through(call, key, 0, ret_value);

    if (rc == HF_NOT_DONE && call->inside)
        space_wait(call);
    else if (rc == HF_NOT_DONE || (rc == HF_EWRONGTYPE && call->inside))
        pass_on(call);
    else if (rc != 0)
        call_fail(call, rc);
    return rc == 0;
}

/* ---- writing ---- */

void space_write_all(struct call *call, const struct hf_op *ops, size_t n, enum space_unity unity,
                     struct reply *answer)
{
    struct reply ok = space_answer(call);

    if (!answer) {
        reply_status(&ok, "OK");
        answer = &ok;
    }
    if (call->inside)
        transaction_write(call, ops, n, answer);
    else
        writing_begin(call, ops, n, unity, answer);
}

void space_write(struct call *call, const struct hf_op *op, struct reply *answer)
{
    space_write_all(call, op, 1, SPACE_EACH, answer);
}

void space_add(struct call *call, struct hf_slice key, int64_t delta, int64_t sum)
{
    struct hf_op op = {.kind = HF_OP_INCR, .key = key, .delta = delta};
    struct reply answer = space_answer(call);

    if (call->inside)
        transaction_add(call, &op, sum);
    else
        writing_begin_sum(call, &op, 1, &answer, 0);
}

void space_write_sum(struct call *call, const struct hf_op *ops, size_t n, struct reply *answer, size_t sum_at)
{
    writing_begin_sum(call, ops, n, answer, sum_at);
}
