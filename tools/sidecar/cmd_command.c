/* COMMAND: the table of commands, as clients read it. */
#include "cmd_server.h"

#include "command.h"
#include "glob.h"
#include "subcommand.h"
#include "words.h"

#include <stdlib.h>

/* ---- one command ---- */

static void reply_flags(struct reply *reply, unsigned flags)
{
    static const struct {
        unsigned flag;
        const char *name;
    } names[] = {
        {COMMAND_WRITE, "write"},         {COMMAND_READ, "readonly"},         {COMMAND_ADMIN, "admin"},
        {COMMAND_BEFORE_AUTH, "no_auth"}, {COMMAND_NOT_IN_MULTI, "no_multi"},
    };
    size_t n = 0;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        n += (flags & names[i].flag) != 0;
    reply_set(reply, n);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (flags & names[i].flag)
            reply_status(reply, names[i].name);
    }
}

/* Name, arity, flags, keys; and no categories, tips, key specifications and subcommands. */
static void reply_command(struct reply *reply, const struct command *command)
{
    reply_array(reply, 10);
    reply_text(reply, command->name);
    reply_integer(reply, command->arity);
    reply_flags(reply, command->flags);
    reply_integer(reply, command->first_key);
    reply_integer(reply, command->last_key);
    reply_integer(reply, command->key_step);
    reply_set(reply, 0);
    reply_array(reply, 0);
    reply_array(reply, 0);
    reply_array(reply, 0);
}

static void reply_docs(struct reply *reply, const struct command *command)
{
    reply_text(reply, command->name);
    reply_map(reply, 2);
    reply_text(reply, "since");
    reply_text(reply, command->since ? command->since : "1.0.0");
    reply_text(reply, "group");
    reply_text(reply, command->group ? command->group : "generic");
}

/* ---- all, or those that are named ---- */

static void count_one(void *ctx, const struct command *command)
{
    size_t *n = ctx;

    (void)command;
    (*n)++;
}

static size_t count(void)
{
    size_t n = 0;

    command_each(count_one, &n);
    return n;
}

static void each_command(void *ctx, const struct command *command)
{
    reply_command(ctx, command);
}

static void each_docs(void *ctx, const struct command *command)
{
    reply_docs(ctx, command);
}

static void all(struct call *call)
{
    reply_array(call->reply, count());
    command_each(each_command, call->reply);
}

/* COMMAND COUNT */
static void reply_count(struct call *call)
{
    reply_integer(call->reply, (int64_t)count());
}

/* COMMAND INFO [name...]: nothing for a name that is not known. */
static void info(struct call *call)
{
    const struct command *command;

    if (call->argc == 2) {
        all(call);
        return;
    }
    reply_array(call->reply, call->argc - 2);
    for (size_t i = 2; i < call->argc; i++) {
        command = command_find(call->argv[i]);
        if (command)
            reply_command(call->reply, command);
        else
            reply_null_array(call->reply);
    }
}

/* COMMAND DOCS [name...]: what is not known is left out. */
static void docs(struct call *call)
{
    size_t n = 0;

    if (call->argc == 2) {
        reply_map(call->reply, count());
        command_each(each_docs, call->reply);
        return;
    }
    for (size_t i = 2; i < call->argc; i++)
        n += command_find(call->argv[i]) != NULL;
    reply_map(call->reply, n);
    for (size_t i = 2; i < call->argc; i++) {
        if (command_find(call->argv[i]))
            reply_docs(call->reply, command_find(call->argv[i]));
    }
}

/* ---- COMMAND LIST [FILTERBY MODULE name | ACLCAT category | PATTERN pattern] ---- */

struct listing {
    struct reply *reply;
    struct hf_slice pattern;
    size_t n;
};

static void list_one(void *ctx, const struct command *command)
{
    struct listing *listing = ctx;

    if (!glob_match(listing->pattern, hf__slice_str(command->name)))
        return;
    listing->n++;
    if (listing->reply)
        reply_text(listing->reply, command->name);
}

static void list(struct call *call)
{
    bool filtered = call->argc == 5 && word_is(call->argv[2], "filterby");
    bool by_pattern = filtered && word_is(call->argv[3], "pattern");
    struct listing listing = {.pattern = by_pattern ? call->argv[4] : hf__slice_str("*")};

    if (call->argc > 2 &&
        !(filtered && (by_pattern || word_is(call->argv[3], "module") || word_is(call->argv[3], "aclcat")))) {
        reply_error(call->reply, "ERR syntax error");
        return;
    }
    if (filtered && !by_pattern) { /* there are no modules, and no categories */
        reply_array(call->reply, 0);
        return;
    }
    command_each(list_one, &listing);
    reply_array(call->reply, listing.n);
    listing.reply = call->reply;
    command_each(list_one, &listing);
}

/* ---- COMMAND GETKEYS name [argument...] ---- */

static bool has_arity(const struct command *command, size_t argc)
{
    return command->arity >= 0 ? argc == (size_t)command->arity : argc >= (size_t)-command->arity;
}

static void get_keys(struct call *call)
{
    const struct command *command = command_find(call->argv[2]);
    struct hf_slice *keys;
    size_t n;

    if (!command) {
        reply_error(call->reply, "ERR Invalid command specified");
    } else if (command->first_key == 0) {
        reply_error(call->reply, "ERR The command has no key arguments");
    } else if (!has_arity(command, call->argc - 2)) {
        reply_error(call->reply, "ERR Invalid number of arguments specified for command");
    } else if ((keys = malloc(call->argc * sizeof(*keys)))) {
        n = command_keys(command, call->argc - 2, call->argv + 2, keys, call->argc);
        reply_array(call->reply, n);
        for (size_t i = 0; i < n; i++)
            reply_bulk(call->reply, keys[i]);
        free(keys);
    } else {
        reply_error(call->reply, "ERR out of memory: %zu keys", call->argc);
    }
}

void cmd_command(struct call *call)
{
    static const struct subcommand table[] = {
        {"count", reply_count, 2}, {"info", info, -2},        {"docs", docs, -2},
        {"list", list, -2},        {"getkeys", get_keys, -4}, {0},
    };

    if (call->argc == 1)
        all(call);
    else
        subcommand_run(call, table);
}
