/* Whether keys are there, taking them away, and the table of the key commands. */
#include "command.h"
#include "key_handlers.h"
#include "space.h"

#include <stdlib.h>

/* How many of the keys live; one that is named twice counts twice. False: the call is seen to. */
static bool count_live(struct call *call, int64_t *ret_n)
{
    int64_t n = 0;

    for (size_t i = 1; i < call->argc; i++) {
        struct value value;
        if (!space_look(call, call->argv[i], &value))
            return false;
        n += value.live;
    }
    *ret_n = n;
    return true;
}

/* EXISTS key [key ...], TOUCH key [key ...] */
static void cmd_exists(struct call *call)
{
    int64_t n;

    if (count_live(call, &n))
        reply_integer(call->reply, n);
}

/* ---- taking away ---- */

/* What DEL does: the deletes, and how many keys lived. */
struct removal {
    struct hf_op *ops;
    size_t n;
    int64_t n_live;
};

/* A shared key is deleted in Redis also when it is not held here. */
static bool add_key(struct call *call, struct hf_slice key, struct removal *removal)
{
    struct value value;

    if (!space_look(call, key, &value))
        return false;
    removal->n_live += value.live;
    if (value.live || !space_is_ours(call, key))
        removal->ops[removal->n++] = (struct hf_op){.kind = HF_OP_DELETE, .key = key};
    return true;
}

static int by_bytes(const void *a, const void *b)
{
    return hf__slice_cmp(*(const struct hf_slice *)a, *(const struct hf_slice *)b);
}

/* In order, so that a key which is named twice stands beside itself. */
static bool collect(struct call *call, struct hf_slice *keys, struct removal *removal)
{
    size_t n = call->argc - 1;

    memcpy(keys, call->argv + 1, n * sizeof(*keys));
    qsort(keys, n, sizeof(*keys), by_bytes);
    for (size_t i = 0; i < n; i++) {
        if ((i == 0 || !hf__slice_eq(keys[i], keys[i - 1])) && !add_key(call, keys[i], removal))
            return false;
    }
    return true;
}

static void remove_all(struct call *call, const struct removal *removal)
{
    struct reply answer = space_answer(call);

    if (removal->n == 0) {
        reply_integer(call->reply, 0);
        return;
    }
    reply_integer(&answer, removal->n_live);
    space_write_all(call, removal->ops, removal->n, SPACE_EACH, &answer);
}

/* DEL key [key ...], UNLINK key [key ...] */
static void cmd_del(struct call *call)
{
    struct removal removal = {.ops = calloc(call->argc - 1, sizeof(struct hf_op))};
    struct hf_slice *keys = calloc(call->argc - 1, sizeof(*keys));

    if (!removal.ops || !keys)
        reply_error(call->reply, "ERR out of memory: %zu keys", call->argc - 1);
    else if (collect(call, keys, &removal))
        remove_all(call, &removal);
    free(keys);
    free(removal.ops);
}

/* TYPE key */
static void cmd_type(struct call *call)
{
    struct value value;

    if (space_look_or_pass(call, call->argv[1], &value))
        reply_status(call->reply, value.live ? "string" : "none");
}

const struct command key_commands[] = {
    {"del", cmd_del, -2, COMMAND_WRITE, 1, -1, 1, "generic", "1.0.0", NULL},
    {"unlink", cmd_del, -2, COMMAND_WRITE, 1, -1, 1, "generic", "4.0.0", NULL},
    {"exists", cmd_exists, -2, COMMAND_READ, 1, -1, 1, "generic", "1.0.0", NULL},
    {"touch", cmd_exists, -2, COMMAND_READ, 1, -1, 1, "generic", "3.2.1", NULL},
    {"type", cmd_type, 2, COMMAND_READ, 1, 1, 1, "generic", "1.0.0", NULL},
    {"expire", cmd_expire, -3, COMMAND_WRITE, 1, 1, 1, "generic", "1.0.0", NULL},
    {"pexpire", cmd_expire, -3, COMMAND_WRITE, 1, 1, 1, "generic", "2.6.0", NULL},
    {"expireat", cmd_expire, -3, COMMAND_WRITE, 1, 1, 1, "generic", "1.2.0", NULL},
    {"pexpireat", cmd_expire, -3, COMMAND_WRITE, 1, 1, 1, "generic", "2.6.0", NULL},
    {"persist", cmd_persist, 2, COMMAND_WRITE, 1, 1, 1, "generic", "2.2.0", NULL},
    {"ttl", cmd_ttl, 2, COMMAND_READ, 1, 1, 1, "generic", "1.0.0", NULL},
    {"pttl", cmd_pttl, 2, COMMAND_READ, 1, 1, 1, "generic", "2.6.0", NULL},
    {"expiretime", cmd_expiretime, 2, COMMAND_READ, 1, 1, 1, "generic", "7.0.0", NULL},
    {"pexpiretime", cmd_pexpiretime, 2, COMMAND_READ, 1, 1, 1, "generic", "7.0.0", NULL},
    {"rename", cmd_rename, 3, COMMAND_WRITE, 1, 2, 1, "generic", "1.0.0", NULL},
    {"renamenx", cmd_renamenx, 3, COMMAND_WRITE, 1, 2, 1, "generic", "1.0.0", NULL},
    {"copy", cmd_copy, -3, COMMAND_WRITE, 1, 2, 1, "generic", "6.2.0", NULL},
    {0},
};
