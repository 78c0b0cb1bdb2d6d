/* Finding a command by its name. */
#include "command.h"

#define SLOTS 1024u /* a power of two, more than twice the number of commands */
#define NAME_MAX_BYTES 32u

/* Of two commands with one name the earlier table's counts. */
static const struct command *const tables[] = {
    connection_commands, string_commands, key_commands,      scan_commands, transaction_commands,
    pubsub_commands,     server_commands, holdfast_commands, tool_commands, passed_on_commands,
};

static const struct command *slots[SLOTS];

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static unsigned hash_of(struct hf_slice name)
{
    const char *text = name.data;
    unsigned hash = 2166136261u;

    for (size_t i = 0; i < name.len; i++)
        hash = (hash ^ (uint8_t)lower(text[i])) * 16777619u;
    return hash ^ hash >> 15;
}

static bool has_name(const struct command *command, struct hf_slice name)
{
    const char *text = name.data;

    for (size_t i = 0; i < name.len; i++) {
        if (command->name[i] != lower(text[i]) || command->name[i] == '\0')
            return false;
    }
    return command->name[name.len] == '\0';
}

/* Where the command is, or would be. */
static const struct command **slot_of(struct hf_slice name)
{
    unsigned i = hash_of(name) & (SLOTS - 1);

    while (slots[i] && !has_name(slots[i], name))
        i = (i + 1) & (SLOTS - 1);
    return &slots[i];
}

static void fill(void)
{
    const struct command **slot;

    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
        for (const struct command *command = tables[i]; command && command->name; command++) {
            slot = slot_of(hf__slice_str(command->name));
            *slot = *slot ? *slot : command;
        }
    }
}

const struct command *command_find(struct hf_slice name)
{
    static bool filled;

    if (!filled)
        fill();
    filled = true;
    return name.len > NAME_MAX_BYTES ? NULL : *slot_of(name);
}

void command_each(void (*each)(void *ctx, const struct command *command), void *ctx)
{
    (void)command_find(hf__slice_str("command"));
    for (size_t i = 0; i < SLOTS; i++) {
        if (slots[i])
            each(ctx, slots[i]);
    }
}
