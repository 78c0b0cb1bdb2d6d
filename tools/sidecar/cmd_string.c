/* Reading strings, and the table of the string commands. */
#include "command.h"
#include "expiry.h"
#include "replies.h"
#include "string_handlers.h"
#include "update.h"

/* GET key */
static void cmd_get(struct call *call)
{
    struct value value;

    if (space_read(call, call->argv[1], &value))
        reply_value(call->reply, &value);
}

/* MGET key [key ...] */
static void cmd_mget(struct call *call)
{
    struct reply all = space_answer(call); /* a key behind may make the whole call a worker's */
    bool read = true;

    reply_array(&all, call->argc - 1);
    for (size_t i = 1; i < call->argc && read; i++) {
        struct value value;
        read = space_read_each(call, call->argv[i], &value);
        if (read)
            reply_value(&all, &value);
    }
    if (read) { /* otherwise the reply is a worker's by now */
        reply_add(call->reply, &all);
    }
    reply_release(&all);
}

static void decide_getdel(const struct call *call, const struct value *old, struct update *update)
{
    (void)call;
    reply_value(&update->answer, old);
    update->decides = true;
    if (old->live)
        update->op.kind = HF_OP_DELETE;
}

/* GETDEL key */
static void cmd_getdel(struct call *call)
{
    space_update(call, call->argv[1], decide_getdel);
}

/* The options were looked at before: they cannot fail to be parsed, but the number is only looked at when there is a value. */
static void decide_getex(const struct call *call, const struct value *old, struct update *update)
{
    struct expiry_options options;
    int64_t deadline_ms;

    if (!old->live) {
        reply_null(&update->answer);
        return;
    }
    (void)expiry_parse_options(call, 2, false, &update->answer, &options);
    if (!expiry_deadline(call, &options, &update->answer, &deadline_ms))
        return;
    reply_value(&update->answer, old);
    if (options.unit != EXPIRY_NONE)
        update->op = (struct hf_op){.kind = HF_OP_EXPIRE_AT, .deadline_ms = deadline_ms};
    else if (options.persist && old->deadline_ms != 0)
        update->op.kind = HF_OP_PERSIST;
}

/* GETEX key [EX seconds | PX milliseconds | EXAT seconds | PXAT milliseconds | PERSIST] */
static void cmd_getex(struct call *call)
{
    struct expiry_options options;

    if (!expiry_parse_options(call, 2, false, call->reply, &options))
        return;
    if (options.unit == EXPIRY_NONE && !options.persist && !call->inside) /* EXEC takes it for a write */
        cmd_get(call);
    else
        space_update(call, call->argv[1], decide_getex);
}

const struct command string_commands[] = {
    {"get", cmd_get, 2, COMMAND_READ, 1, 1, 1, "string", "1.0.0", NULL},
    {"set", cmd_set, -3, COMMAND_WRITE, 1, 1, 1, "string", "1.0.0", NULL},
    {"setnx", cmd_setnx, 3, COMMAND_WRITE, 1, 1, 1, "string", "1.0.0", NULL},
    {"setex", cmd_setex, 4, COMMAND_WRITE, 1, 1, 1, "string", "2.0.0", NULL},
    {"psetex", cmd_psetex, 4, COMMAND_WRITE, 1, 1, 1, "string", "2.6.0", NULL},
    {"getex", cmd_getex, -2, COMMAND_WRITE, 1, 1, 1, "string", "6.2.0", NULL},
    {"getdel", cmd_getdel, 2, COMMAND_WRITE, 1, 1, 1, "string", "6.2.0", NULL},
    {"getset", cmd_getset, 3, COMMAND_WRITE, 1, 1, 1, "string", "1.0.0", NULL},
    {"mget", cmd_mget, -2, COMMAND_READ, 1, -1, 1, "string", "1.0.0", NULL},
    {"mset", cmd_mset, -3, COMMAND_WRITE, 1, -1, 2, "string", "1.0.1", NULL},
    {"msetnx", cmd_msetnx, -3, COMMAND_WRITE, 1, -1, 2, "string", "1.0.1", NULL},
    {"append", cmd_append, 3, COMMAND_WRITE, 1, 1, 1, "string", "2.0.0", NULL},
    {"strlen", cmd_strlen, 2, COMMAND_READ, 1, 1, 1, "string", "2.2.0", NULL},
    {"getrange", cmd_getrange, 4, COMMAND_READ, 1, 1, 1, "string", "2.4.0", NULL},
    {"substr", cmd_getrange, 4, COMMAND_READ, 1, 1, 1, "string", "1.0.0", NULL},
    {"setrange", cmd_setrange, 4, COMMAND_WRITE, 1, 1, 1, "string", "2.2.0", NULL},
    {"incr", cmd_incr, 2, COMMAND_WRITE, 1, 1, 1, "string", "1.0.0", NULL},
    {"decr", cmd_decr, 2, COMMAND_WRITE, 1, 1, 1, "string", "1.0.0", NULL},
    {"incrby", cmd_incrby, 3, COMMAND_WRITE, 1, 1, 1, "string", "1.0.0", NULL},
    {"decrby", cmd_decrby, 3, COMMAND_WRITE, 1, 1, 1, "string", "1.0.0", NULL},
    {"incrbyfloat", cmd_incrbyfloat, 3, COMMAND_WRITE, 1, 1, 1, "string", "2.6.0", NULL},
    {0},
};
