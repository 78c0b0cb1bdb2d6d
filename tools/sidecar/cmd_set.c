/* Writing whole values. */
#include "command.h"
#include "expiry.h"
#include "replies.h"
#include "string_handlers.h"
#include "update.h"

#include <stdlib.h>

/* What SET makes of its options. Without a time it takes the TTL away, but where the namespace has a default. */
static struct hf_set_options set_options(const struct expiry_options *options, int64_t deadline_ms)
{
    return (struct hf_set_options){.deadline_ms = deadline_ms, .keep_ttl = options->keep_ttl};
}

/* The options were looked at before, and were right. */
static void decide_set(const struct call *call, const struct value *old, struct update *update)
{
    struct expiry_options options;
    int64_t deadline_ms;

    (void)expiry_parse_options(call, 3, true, &update->answer, &options);
    if (!expiry_deadline(call, &options, &update->answer, &deadline_ms))
        return;
    update->decides = options.nx || options.xx;
    if (options.get)
        reply_value(&update->answer, old);
    if ((options.nx && old->live) || (options.xx && !old->live)) {
        if (!options.get)
            reply_null(&update->answer);
        return;
    }
    update->op =
        (struct hf_op){.kind = HF_OP_SET, .value = call->argv[2], .set = set_options(&options, deadline_ms)};
}

/* SET key value [NX | XX] [GET] [EX seconds | PX milliseconds | EXAT seconds | PXAT milliseconds | KEEPTTL] */
void cmd_set(struct call *call)
{
    struct hf_op op = {.kind = HF_OP_SET, .key = call->argv[1], .value = call->argv[2]};
    struct expiry_options options;
    struct value old;
    int64_t deadline_ms;

    if (!expiry_parse_options(call, 3, true, call->reply, &options) ||
        !expiry_deadline(call, &options, call->reply, &deadline_ms))
        return;
    op.set = set_options(&options, deadline_ms);
    if (options.get)
        space_update(call, op.key, decide_set);
    else if (options.nx || options.xx)
        space_update_any(call, op.key, decide_set);
    else if (!options.keep_ttl || space_look(call, op.key, &old)) /* whose TTL is kept must be held here */
        space_write(call, &op, NULL);
}

static void decide_setnx(const struct call *call, const struct value *old, struct update *update)
{
    update->decides = true;
    reply_integer(&update->answer, !old->live);
    if (!old->live)
        update->op = (struct hf_op){.kind = HF_OP_SET, .value = call->argv[2]};
}

/* SETNX key value */
void cmd_setnx(struct call *call)
{
    space_update_any(call, call->argv[1], decide_setnx);
}

static void set_for(struct call *call, enum expiry_unit unit)
{
    struct expiry_options options = {.unit = unit, .number = call->argv[2]};
    struct hf_op op = {.kind = HF_OP_SET, .key = call->argv[1], .value = call->argv[3]};

    if (expiry_deadline(call, &options, call->reply, &op.set.deadline_ms))
        space_write(call, &op, NULL);
}

/* SETEX key seconds value */
void cmd_setex(struct call *call)
{
    set_for(call, EXPIRY_EX);
}

/* PSETEX key milliseconds value */
void cmd_psetex(struct call *call)
{
    set_for(call, EXPIRY_PX);
}

static void decide_getset(const struct call *call, const struct value *old, struct update *update)
{
    reply_value(&update->answer, old);
    update->op = (struct hf_op){.kind = HF_OP_SET, .value = call->argv[2]};
}

/* GETSET key value */
void cmd_getset(struct call *call)
{
    space_update(call, call->argv[1], decide_getset);
}

/* ---- several at once ---- */

static void set_all(struct call *call, struct reply *answer)
{
    size_t n = call->argc / 2;
    struct hf_op *ops = calloc(n, sizeof(*ops));

    if (!ops) {
        reply_error(call->reply, "ERR out of memory: %zu keys", n);
        return;
    }
    for (size_t i = 0; i < n; i++)
        ops[i] = (struct hf_op){.kind = HF_OP_SET, .key = call->argv[1 + 2 * i], .value = call->argv[2 + 2 * i]};
    space_write_all(call, ops, n, SPACE_TOGETHER, answer);
    free(ops);
}

static bool is_paired(struct call *call)
{
    if (call->argc % 2 == 0)
        call_wrong_arity(call);
    return call->argc % 2 == 1;
}

/* MSET key value [key value ...] */
void cmd_mset(struct call *call)
{
    if (is_paired(call))
        set_all(call, NULL);
}

/* A condition on several keys: for shared ones only Redis can decide it. */
static bool may_set_none(struct call *call)
{
    for (size_t i = 1; i < call->argc; i += 2) {
        if (space_is_ours(call, call->argv[i]))
            continue;
        if (!space_passes(call, call->argv[i]))
            reply_error(call->reply, "OFFLINE Redis decides this, and it cannot be asked");
        return false;
    }
    return true;
}

/* MSETNX key value [key value ...] */
void cmd_msetnx(struct call *call)
{
    struct reply answer = space_answer(call);
    bool any = false;

    if (!is_paired(call) || !may_set_none(call))
        return;
    for (size_t i = 1; i < call->argc && !any; i += 2) {
        struct value value;
        if (!space_look(call, call->argv[i], &value))
            return;
        any = value.live;
    }
    reply_integer(any ? call->reply : &answer, !any);
    if (!any)
        set_all(call, &answer);
    reply_release(&answer);
}
