/* Moving and copying a value to another key. Shared keys are moved by Redis, which knows all types and does both keys at
 * once; while it is away, what is held here is moved. */
#include "command.h"
#include "key_handlers.h"
#include "number.h"
#include "replies.h"
#include "space.h"
#include "words.h"

/* The value as it is set under another key, with its life. */
static struct hf_op set_like(struct hf_slice key, const struct value *value)
{
    return (struct hf_op){
        .kind = HF_OP_SET,
        .key = key,
        .value = value->bytes,
        .set = {.deadline_ms = value->deadline_ms, .no_ttl = value->deadline_ms == 0},
    };
}

static bool passes(struct call *call)
{
    return space_passes(call, call->argv[1]) || space_passes(call, call->argv[2]);
}

/* Take the value from the first key to the second. */
static void move(struct call *call, struct reply *answer)
{
    struct value value;
    struct hf_op ops[2];

    if (!space_read(call, call->argv[1], &value))
        return;
    ops[0] = (struct hf_op){.kind = HF_OP_DELETE, .key = call->argv[1]};
    ops[1] = set_like(call->argv[2], &value);
    space_write_all(call, ops, 2, SPACE_TOGETHER, answer);
}

/* Whether the first key can be renamed; otherwise the call is seen to. */
static bool may_move(struct call *call, struct reply *same)
{
    struct value value;

    if (passes(call) || !space_look(call, call->argv[1], &value))
        return false;
    if (!value.live) {
        reply_error(call->reply, "ERR no such key");
        return false;
    }
    if (!hf__slice_eq(call->argv[1], call->argv[2]))
        return true;
    reply_add(call->reply, same);
    return false;
}

/* RENAME key newkey */
void cmd_rename(struct call *call)
{
    struct reply same = space_answer(call);

    reply_status(&same, "OK");
    if (may_move(call, &same))
        move(call, NULL);
    reply_release(&same);
}

/* RENAMENX key newkey */
void cmd_renamenx(struct call *call)
{
    struct reply no = space_answer(call), yes = space_answer(call);
    struct value there;

    reply_integer(&no, 0);
    reply_integer(&yes, 1);
    if (may_move(call, &no) && space_look(call, call->argv[2], &there)) {
        if (there.live)
            reply_integer(call->reply, 0);
        else
            move(call, &yes);
    }
    reply_release(&no);
    reply_release(&yes);
}

/* ---- COPY ---- */

static bool is_this_database(struct call *call, struct hf_slice number)
{
    int64_t database;

    if (!number_parse(number, &database)) {
        reply_not_an_integer(call->reply);
        return false;
    }
    if (database != 0)
        reply_error(call->reply, "ERR DB index is out of range");
    return database == 0;
}

/* False: an error was replied. */
static bool parse_copy(struct call *call, bool *ret_replace)
{
    bool replace = false;

    for (size_t i = 3; i < call->argc; i++) {
        if (word_is(call->argv[i], "replace")) {
            replace = true;
        } else if (word_is(call->argv[i], "db") && i + 1 < call->argc) {
            if (!is_this_database(call, call->argv[++i]))
                return false;
        } else {
            reply_syntax_error(call->reply);
            return false;
        }
    }
    *ret_replace = replace;
    return true;
}

static void copy(struct call *call)
{
    struct reply answer = space_answer(call);
    struct value value;
    struct hf_op op;

    if (!space_read(call, call->argv[1], &value))
        return;
    op = set_like(call->argv[2], &value);
    reply_integer(&answer, 1);
    space_write(call, &op, &answer);
}

/* COPY source destination [DB 0] [REPLACE] */
void cmd_copy(struct call *call)
{
    struct value from, to = {0};
    bool replace;

    if (!parse_copy(call, &replace))
        return;
    if (hf__slice_eq(call->argv[1], call->argv[2])) {
        reply_error(call->reply, "ERR source and destination objects are the same");
        return;
    }
    if (passes(call) || !space_look(call, call->argv[1], &from) || !space_look(call, call->argv[2], &to))
        return;
    if (!from.live || (to.live && !replace))
        reply_integer(call->reply, 0);
    else
        copy(call);
}
