/* How long keys live. */
#include "command.h"
#include "expiry.h"
#include "key_handlers.h"
#include "replies.h"
#include "update.h"
#include "words.h"

/* ---- setting ---- */

struct conditions {
    bool nx, xx, gt, lt;
};

static bool take_condition(struct conditions *c, struct hf_slice word)
{
    bool *condition = word_is(word, "nx")   ? &c->nx
                      : word_is(word, "xx") ? &c->xx
                      : word_is(word, "gt") ? &c->gt
                      : word_is(word, "lt") ? &c->lt
                                            : NULL;

    if (condition)
        *condition = true;
    return condition != NULL;
}

/* False: an error is in `reply`. */
static bool parse_conditions(const struct call *call, struct reply *reply, struct conditions *ret_conditions)
{
    struct conditions c = {0};

    for (size_t i = 3; i < call->argc; i++) {
        if (!take_condition(&c, call->argv[i])) {
            reply_error(reply, "ERR Unsupported option %.*s", (int)strnlen(call->argv[i].data, call->argv[i].len),
                        (const char *)call->argv[i].data);
            return false;
        }
    }
    if (c.nx && (c.xx || c.gt || c.lt))
        reply_error(reply, "ERR NX and XX, GT or LT options at the same time are not compatible");
    else if (c.gt && c.lt)
        reply_error(reply, "ERR GT and LT options at the same time are not compatible");
    else
        *ret_conditions = c;
    return !(c.nx && (c.xx || c.gt || c.lt)) && !(c.gt && c.lt);
}

/* To live without end is longer than any time. */
static bool conditions_hold(const struct conditions *c, const struct value *old, int64_t when_ms)
{
    bool has_end = old->deadline_ms != 0;

    if ((c->nx && has_end) || (c->xx && !has_end))
        return false;
    if (c->gt && (!has_end || when_ms <= old->deadline_ms))
        return false;
    return !c->lt || !has_end || when_ms < old->deadline_ms;
}

/* A deadline that has passed, also one before 1970, ends it. */
static struct hf_op life_until(const struct call *call, struct hf_slice key, int64_t when_ms)
{
    if (when_ms <= space_now_ms(call))
        return (struct hf_op){.kind = HF_OP_DELETE, .key = key};
    return (struct hf_op){.kind = HF_OP_EXPIRE_AT, .key = key, .deadline_ms = when_ms};
}

static enum expiry_unit unit_of(const struct call *call)
{
    bool from_1970 = word_is(hf__slice_str(call->command->name), "expireat") ||
                     word_is(hf__slice_str(call->command->name), "pexpireat");

    if (call->command->name[0] == 'p')
        return from_1970 ? EXPIRY_PXAT : EXPIRY_PX;
    return from_1970 ? EXPIRY_EXAT : EXPIRY_EX;
}

/* What was given was looked at before, and was right. */
static void decide_expire(const struct call *call, const struct value *old, struct update *update)
{
    struct conditions conditions = {0};
    int64_t when_ms = 0;

    (void)parse_conditions(call, &update->answer, &conditions);
    if (!expiry_when(call, call->argv[2], unit_of(call), &update->answer, &when_ms))
        return;
    if (!old->live || !conditions_hold(&conditions, old, when_ms)) {
        reply_integer(&update->answer, 0);
        return;
    }
    reply_integer(&update->answer, 1);
    update->op = life_until(call, call->argv[1], when_ms);
}

static void expire_plainly(struct call *call, const struct value *old, int64_t when_ms)
{
    struct reply answer = space_answer(call);
    struct hf_op op = life_until(call, call->argv[1], when_ms);

    if (!old->live) {
        reply_integer(call->reply, 0);
        return;
    }
    reply_integer(&answer, 1);
    space_write(call, &op, &answer);
}

/* EXPIRE key seconds [NX | XX | GT | LT], and PEXPIRE, EXPIREAT, PEXPIREAT */
void cmd_expire(struct call *call)
{
    struct conditions conditions;
    struct value old;
    int64_t when_ms;

    if (!parse_conditions(call, call->reply, &conditions) ||
        !expiry_when(call, call->argv[2], unit_of(call), call->reply, &when_ms))
        return;
    if (!space_look_or_pass(call, call->argv[1], &old))
        return;
    if (call->argc > 3)
        space_update(call, call->argv[1], decide_expire);
    else
        expire_plainly(call, &old, when_ms);
}

/* PERSIST key */
void cmd_persist(struct call *call)
{
    struct hf_op op = {.kind = HF_OP_PERSIST, .key = call->argv[1]};
    struct reply answer = space_answer(call);
    struct value old;

    if (!space_look_or_pass(call, call->argv[1], &old))
        return;
    if (!old.live || old.deadline_ms == 0) {
        reply_integer(call->reply, 0);
        return;
    }
    reply_integer(&answer, 1);
    space_write(call, &op, &answer);
}

/* ---- telling ---- */

#define NO_KEY -2
#define NO_END -1

/* Milliseconds as `telling` makes them of the deadline; -1: it lives without end, -2: it is not there. */
static void tell(struct call *call, int64_t (*telling)(const struct call *call, int64_t deadline_ms))
{
    struct value value;

    if (!space_look_or_pass(call, call->argv[1], &value))
        return;
    if (!value.live)
        reply_integer(call->reply, NO_KEY);
    else if (value.deadline_ms == 0)
        reply_integer(call->reply, NO_END);
    else
        reply_integer(call->reply, telling(call, value.deadline_ms));
}

static int64_t left_ms(const struct call *call, int64_t deadline_ms)
{
    int64_t left = deadline_ms - space_now_ms(call);

    return left > 0 ? left : 0;
}

static int64_t left_s(const struct call *call, int64_t deadline_ms)
{
    return (left_ms(call, deadline_ms) + 500) / 1000;
}

static int64_t end_ms(const struct call *call, int64_t deadline_ms)
{
    (void)call;
    return deadline_ms;
}

static int64_t end_s(const struct call *call, int64_t deadline_ms)
{
    (void)call;
    return (deadline_ms + 500) / 1000;
}

/* TTL key */
void cmd_ttl(struct call *call)
{
    tell(call, left_s);
}

/* PTTL key */
void cmd_pttl(struct call *call)
{
    tell(call, left_ms);
}

/* EXPIRETIME key */
void cmd_expiretime(struct call *call)
{
    tell(call, end_s);
}

/* PEXPIRETIME key */
void cmd_pexpiretime(struct call *call)
{
    tell(call, end_ms);
}
