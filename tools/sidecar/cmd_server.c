/* Commands about the server, and those that are refused because they are an operator's of Redis. */
#include "cmd_server.h"

#include "command.h"
#include "glob.h"
#include "number.h"
#include "server.h"
#include "settings.h"
#include "space.h"
#include "subcommand.h"
#include "words.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#define EMBEDDED_MAX 44u /* bytes of a string that Redis keeps beside its object */
#define KEY_OVERHEAD 72u /* of a record and its index entry, about; Redis's own number is an estimate, too */

/* ---- text ---- */

void text_append(struct hf_bytes *out, const char *format, ...)
{
    char text[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    (void)hf__bytes_append(out, text, strlen(text)); /* without memory there is less to read */
}

void text_reply(struct reply *reply, struct hf_bytes *out)
{
    reply_verbatim(reply, hf__slice(out->bytes, out->len));
    hf__bytes_release(out);
}

/* ---- TIME ---- */

static void time_of_day(struct call *call)
{
    struct timespec now;
    char text[24];

    clock_gettime(CLOCK_REALTIME, &now);
    reply_array(call->reply, 2);
    snprintf(text, sizeof(text), "%lld", (long long)now.tv_sec);
    reply_text(call->reply, text);
    snprintf(text, sizeof(text), "%ld", now.tv_nsec / 1000);
    reply_text(call->reply, text);
}

/* ROLE */
static void role(struct call *call)
{
    reply_array(call->reply, 3);
    reply_text(call->reply, "master");
    reply_integer(call->reply, 0);
    reply_array(call->reply, 0);
}

/* ---- CONFIG ---- */

/* What clients ask for to find out what they talk to. */
static const struct {
    const char *name, *value;
} parameters[] = {
    {"appendonly", "yes"}, {"appendfsync", "always"},          {"databases", "1"},
    {"maxmemory", "0"},    {"maxmemory-policy", "noeviction"}, {"replica-read-only", "yes"},
    {"save", ""},          {"slave-read-only", "yes"},         {"timeout", "0"},
};
#define N_PARAMETERS (sizeof(parameters) / sizeof(parameters[0]))

static bool is_asked_for(const struct call *call, const char *name)
{
    for (size_t i = 2; i < call->argc; i++) {
        if (glob_match(call->argv[i], hf__slice_str(name)))
            return true;
    }
    return false;
}

static void config_get(struct call *call)
{
    size_t n = 0;

    for (size_t i = 0; i < N_PARAMETERS; i++)
        n += is_asked_for(call, parameters[i].name);
    reply_map(call->reply, n);
    for (size_t i = 0; i < N_PARAMETERS; i++) {
        if (!is_asked_for(call, parameters[i].name))
            continue;
        reply_text(call->reply, parameters[i].name);
        reply_text(call->reply, parameters[i].value);
    }
}

static void config_refused(struct call *call)
{
    reply_error(call->reply, "ERR the configuration is a file of this server, which no client changes");
}

static void config(struct call *call)
{
    static const struct subcommand table[] = {
        {"get", config_get, -3},
        {"set", config_refused, -4},
        {"rewrite", config_refused, 2},
        {"resetstat", config_refused, 2},
        {0},
    };

    subcommand_run(call, table);
}

/* ---- OBJECT ---- */

static void encoding(struct call *call)
{
    struct value value;
    int64_t number;

    if (!space_read(call, call->argv[2], &value))
        return;
    if (!value.live)
        reply_null(call->reply);
    else if (number_parse(value.bytes, &number))
        reply_text(call->reply, "int");
    else
        reply_text(call->reply, value.len <= EMBEDDED_MAX ? "embstr" : "raw");
}

static void constant_of_key(struct call *call, int64_t number)
{
    struct value value;

    if (!space_look(call, call->argv[2], &value))
        return;
    if (value.live)
        reply_integer(call->reply, number);
    else
        reply_null(call->reply);
}

static void reference_count(struct call *call)
{
    constant_of_key(call, 1);
}

/* The time of the last use is not kept. */
static void idle_time(struct call *call)
{
    constant_of_key(call, 0);
}

static void frequency(struct call *call)
{
    reply_error(call->reply,
                "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when "
                "switching between policies at runtime LRU and LFU data will take some time to adjust.");
}

static void object(struct call *call)
{
    static const struct subcommand table[] = {
        {"encoding", encoding, 3},
        {"refcount", reference_count, 3},
        {"idletime", idle_time, 3},
        {"freq", frequency, 3},
        {0},
    };

    subcommand_run(call, table);
}

/* ---- MEMORY ---- */

static void usage(struct call *call)
{
    struct value value;
    int64_t samples;

    if (call->argc > 3 && !(call->argc == 5 && word_is(call->argv[3], "samples") &&
                            number_parse(call->argv[4], &samples) && samples >= 0))
        reply_error(call->reply, "ERR syntax error");
    else if (!space_look(call, call->argv[2], &value))
        return;
    else if (value.live)
        reply_integer(call->reply, (int64_t)(call->argv[2].len + value.len + KEY_OVERHEAD));
    else
        reply_null(call->reply);
}

static void purge(struct call *call)
{
    reply_status(call->reply, "OK");
}

static void memory(struct call *call)
{
    static const struct subcommand table[] = {{"usage", usage, -3}, {"purge", purge, 2}, {0}};

    subcommand_run(call, table);
}

/* ---- what is refused ---- */

static void no_sentinel(struct call *call)
{
    call_unknown(call);
}

static void no_cluster(struct call *call)
{
    reply_error(call->reply, "ERR This instance has cluster support disabled");
}

static void debug(struct call *call)
{
    reply_error(
        call->reply,
        "ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you can run it "
        "from a local connection, otherwise you need to set this option in the configuration file, and then "
        "restart the server.");
}

static void refused(struct call *call)
{
    reply_error(call->reply, "ERR '%s' is for operators of Redis itself, and not passed on", call->command->name);
}

#define REFUSED(name_)                                                                                             \
    {                                                                                                              \
        .name = name_, .run = refused, .arity = -1, .group = "server"                                              \
    }

const struct command server_commands[] = {
    {.name = "client", .run = cmd_client, .arity = -2, .group = "connection", .since = "2.4.0"},
    {.name = "command", .run = cmd_command, .arity = -1, .group = "server", .since = "2.8.13"},
    {.name = "config", .run = config, .arity = -2, .group = "server", .since = "2.0.0"},
    {.name = "info", .run = cmd_info, .arity = -1, .group = "server", .since = "1.0.0"},
    {.name = "time", .run = time_of_day, .arity = 1, .group = "server", .since = "2.6.0"},
    {.name = "role", .run = role, .arity = 1, .group = "server", .since = "2.8.12"},
    {.name = "object",
     .run = object,
     .arity = -2,
     .flags = COMMAND_READ,
     .first_key = 2,
     .last_key = 2,
     .key_step = 1,
     .group = "generic",
     .since = "2.2.3"},
    {.name = "memory",
     .run = memory,
     .arity = -2,
     .flags = COMMAND_READ,
     .first_key = 2,
     .last_key = 2,
     .key_step = 1,
     .group = "server",
     .since = "4.0.0"},
    {.name = "debug", .run = debug, .arity = -2, .group = "server", .since = "1.0.0"},
    {.name = "sentinel", .run = no_sentinel, .arity = -1, .group = "sentinel", .since = "2.8.4"},
    {.name = "cluster", .run = no_cluster, .arity = -2, .group = "cluster", .since = "3.0.0"},
    REFUSED("acl"),
    REFUSED("bgrewriteaof"),
    REFUSED("bgsave"),
    REFUSED("failover"),
    REFUSED("latency"),
    REFUSED("migrate"),
    REFUSED("module"),
    REFUSED("monitor"),
    REFUSED("psync"),
    REFUSED("replconf"),
    REFUSED("replicaof"),
    REFUSED("save"),
    REFUSED("shutdown"),
    REFUSED("slaveof"),
    REFUSED("slowlog"),
    REFUSED("swapdb"),
    REFUSED("sync"),
    {0},
};
