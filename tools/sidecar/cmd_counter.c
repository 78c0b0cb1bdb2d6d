/* Counters. */
#include "command.h"
#include "number.h"
#include "replies.h"
#include "string_handlers.h"
#include "update.h"

#include <math.h>

static void add(struct call *call, int64_t delta)
{
    struct value old;
    int64_t number = 0, sum;

    if (!space_read(call, call->argv[1], &old))
        return;
    if (old.live && !number_parse(old.bytes, &number))
        reply_not_an_integer(call->reply);
    else if (__builtin_add_overflow(number, delta, &sum))
        reply_error(call->reply, "ERR increment or decrement would overflow");
    else
        space_add(call, call->argv[1], delta, sum);
}

/* INCR key */
void cmd_incr(struct call *call)
{
    add(call, 1);
}

/* DECR key */
void cmd_decr(struct call *call)
{
    add(call, -1);
}

/* INCRBY key increment */
void cmd_incrby(struct call *call)
{
    int64_t delta;

    if (!number_parse(call->argv[2], &delta))
        reply_not_an_integer(call->reply);
    else
        add(call, delta);
}

/* DECRBY key decrement */
void cmd_decrby(struct call *call)
{
    int64_t delta;

    if (!number_parse(call->argv[2], &delta))
        reply_not_an_integer(call->reply);
    else if (delta == INT64_MIN)
        reply_error(call->reply, "ERR decrement would overflow");
    else
        add(call, -delta);
}

/* The sum as text, which becomes the value and the answer. */
static void set_sum(long double sum, const struct value *old, struct update *update)
{
    char text[NUMBER_FLOAT_MAX];
    size_t len = number_print_float(sum, text);

    if (hf__bytes_append(&update->made, text, len) != 0) {
        reply_error(&update->answer, "ERR out of memory: a number of %zu digits", len);
        return;
    }
    update->op = (struct hf_op){
        .kind = HF_OP_SET, .value = hf__slice(update->made.bytes, len), .set = {.keep_ttl = old->live}};
    reply_bulk(&update->answer, update->op.value);
}

static void decide_incrbyfloat(const struct call *call, const struct value *old, struct update *update)
{
    long double number = 0, delta;

    if ((old->live && !number_parse_float(old->bytes, &number)) || !number_parse_float(call->argv[2], &delta))
        reply_error(&update->answer, "ERR value is not a valid float");
    else if (isnan(number + delta) || isinf(number + delta))
        reply_error(&update->answer, "ERR increment would produce NaN or Infinity");
    else
        set_sum(number + delta, old, update);
}

/* INCRBYFLOAT key increment */
void cmd_incrbyfloat(struct call *call)
{
    space_update(call, call->argv[1], decide_incrbyfloat);
}
