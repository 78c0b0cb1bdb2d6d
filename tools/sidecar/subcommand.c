/* Commands that are many. */
#include "subcommand.h"

#include "command.h"
#include "words.h"

#include <ctype.h>

static void reply_unknown(struct call *call)
{
    struct hf_slice name = call->argv[1];
    char upper[32] = "";

    for (size_t i = 0; call->command->name[i] && i + 1 < sizeof(upper); i++)
        upper[i] = (char)toupper((unsigned char)call->command->name[i]);
    reply_error(call->reply, "ERR unknown subcommand '%.*s'. Try %s HELP.",
                (int)strnlen(name.data, name.len < 128 ? name.len : 128), (const char *)name.data, upper);
}

static bool arity_is_right(const struct subcommand *sub, size_t argc)
{
    return sub->arity >= 0 ? argc == (size_t)sub->arity : argc >= (size_t)-sub->arity;
}

void subcommand_run(struct call *call, const struct subcommand *table)
{
    const struct subcommand *sub = table;

    while (sub->name && !word_is(call->argv[1], sub->name))
        sub++;
    if (!sub->name)
        reply_unknown(call);
    else if (!arity_is_right(sub, call->argc))
        reply_error(call->reply, "ERR wrong number of arguments for '%s|%s' command", call->command->name,
                    sub->name);
    else
        sub->run(call);
}
