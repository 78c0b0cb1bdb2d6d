/* Commands on the connection itself. */
#include "client.h"
#include "command.h"
#include "log.h"
#include "number.h"
#include "server.h"
#include "settings.h"
#include "words.h"

#include <limits.h>

#define WRONG_PASSWORDS_MAX 10u /* then the connection is closed: guessing gets no cheaper than connecting */

static const char wrong_password[] = "WRONGPASS invalid username-password pair or user is disabled.";

/* PING [message] */
static void ping(struct call *call)
{
    if (call->argc > 2) {
        call_wrong_arity(call);
    } else if (call->client->n_subscriptions > 0 && call->reply->proto == 2) {
        reply_array(call->reply, 2);
        reply_text(call->reply, "pong");
        reply_bulk(call->reply, call->argc == 2 ? call->argv[1] : hf__slice_str(""));
    } else if (call->argc == 2) {
        reply_bulk(call->reply, call->argv[1]);
    } else {
        reply_status(call->reply, "PONG");
    }
}

/* ECHO message */
static void echo(struct call *call)
{
    reply_bulk(call->reply, call->argv[1]);
}

/* SELECT index: there is one database. */
static void select_database(struct call *call)
{
    int64_t index;

    if (!number_parse(call->argv[1], &index))
        reply_error(call->reply, "ERR value is not an integer or out of range");
    else if (index < INT_MIN || index > INT_MAX)
        reply_error(call->reply, "ERR value is out of range, value must between %d and %d", INT_MIN, INT_MAX);
    else if (index != 0)
        reply_error(call->reply, "ERR DB index is out of range");
    else
        reply_status(call->reply, "OK");
}

/* QUIT */
static void quit(struct call *call)
{
    reply_status(call->reply, "OK");
    client_close_soon(call->client);
}

/* RESET: what it replies is RESP2 already. */
static void reset(struct call *call)
{
    client_reset(call->client);
    call->reply->proto = 2;
    reply_status(call->reply, "RESET");
}

/* READONLY, READWRITE, ASKING */
static void no_cluster(struct call *call)
{
    reply_error(call->reply, "ERR This instance has cluster support disabled");
}

/* POST, Host: - a browser that was sent here with commands in the body of its request. What follows is not run. */
static void wrong_door(struct call *call)
{
    log_line(LOG_LEVEL_WARNING, "protocol", "client %s was closed: it speaks HTTP", call->client->address);
    client_close_soon(call->client);
}

/* ---- who it is ---- */

static bool login(struct call *call, struct hf_slice name, struct hf_slice password)
{
    struct client *client = call->client;
    const struct user *user = settings_login(call->server->settings, name, password);

    if (user) {
        client->user = user;
        client->wrong_passwords = 0;
        return true;
    }
    reply_error(call->reply, wrong_password);
    log_line(LOG_LEVEL_WARNING, "login", "client %s gave a wrong user or password", client->address);
    if (++client->wrong_passwords >= WRONG_PASSWORDS_MAX)
        client_close_soon(client);
    return false;
}

static bool needs_no_password(const struct settings *settings)
{
    return settings_default_user(settings) != NULL;
}

/* AUTH [user] password */
static void auth(struct call *call)
{
    if (call->argc > 3)
        reply_error(call->reply, "ERR syntax error");
    else if (call->argc == 2 && needs_no_password(call->server->settings))
        reply_error(call->reply, "ERR AUTH <password> called without any password configured for the default user. "
                                 "Are you sure your configuration is correct?");
    else if (login(call, call->argc == 3 ? call->argv[1] : hf__slice_str("default"), call->argv[call->argc - 1]))
        reply_status(call->reply, "OK");
}

/* ---- HELLO [2|3 [AUTH user password] [SETNAME name]] ---- */

struct hello {
    int64_t proto;
    const struct hf_slice *credentials; /* two; NULL: none */
    const struct hf_slice *name;        /* NULL: none */
};

static bool read_hello_options(struct call *call, struct hello *hello)
{
    size_t i = 2, left;

    while (i < call->argc) {
        left = call->argc - i - 1;
        if (word_is(call->argv[i], "auth") && left >= 2) {
            hello->credentials = &call->argv[i + 1];
            i += 3;
        } else if (word_is(call->argv[i], "setname") && left >= 1) {
            hello->name = &call->argv[i + 1];
            i += 2;
        } else {
            reply_error(call->reply, "ERR Syntax error in HELLO option '%.*s'",
                        (int)strnlen(call->argv[i].data, call->argv[i].len), (const char *)call->argv[i].data);
            return false;
        }
    }
    return true;
}

static bool read_hello(struct call *call, struct hello *hello)
{
    *hello = (struct hello){.proto = call->client->proto};
    if (call->argc < 2)
        return true;
    if (!number_parse(call->argv[1], &hello->proto)) {
        reply_error(call->reply, "ERR Protocol version is not an integer or out of range");
        return false;
    }
    if (hello->proto < 2 || hello->proto > 3) {
        reply_error(call->reply, "NOPROTO unsupported protocol version");
        return false;
    }
    return read_hello_options(call, hello);
}

static void reply_server(struct call *call)
{
    struct reply *reply = call->reply;

    reply_map(reply, 7);
    reply_text(reply, "server");
    reply_text(reply, "redis");
    reply_text(reply, "version");
    reply_text(reply, SERVER_REDIS_VERSION);
    reply_text(reply, "proto");
    reply_integer(reply, reply->proto);
    reply_text(reply, "id");
    reply_integer(reply, (int64_t)call->client->id);
    reply_text(reply, "mode");
    reply_text(reply, "standalone");
    reply_text(reply, "role");
    reply_text(reply, "master");
    reply_text(reply, "modules");
    reply_array(reply, 0);
}

/* The options are read before anything is done. */
static void hello(struct call *call)
{
    struct client *client = call->client;
    struct hello hello;

    if (!read_hello(call, &hello))
        return;
    if (hello.credentials && !login(call, hello.credentials[0], hello.credentials[1]))
        return;
    if (!client->user) {
        reply_error(
            call->reply,
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> "
            "AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol "
            "version at the same time");
        return;
    }
    if (hello.name && !client_set_name(client->name, *hello.name)) {
        reply_error(call->reply, CLIENT_BAD_NAME);
        return;
    }
    client->proto = (int)hello.proto;
    client->out.proto = client->proto;
    call->reply->proto = client->proto;
    reply_server(call);
}

#define ALWAYS (COMMAND_BEFORE_AUTH | COMMAND_NOT_QUEUED)

const struct command connection_commands[] = {
    {.name = "ping",
     .run = ping,
     .arity = -1,
     .flags = COMMAND_SUBSCRIBED,
     .group = "connection",
     .since = "1.0.0"},
    {.name = "echo", .run = echo, .arity = 2, .group = "connection", .since = "1.0.0"},
    {.name = "select", .run = select_database, .arity = 2, .group = "connection", .since = "1.0.0"},
    {.name = "quit",
     .run = quit,
     .arity = -1,
     .flags = ALWAYS | COMMAND_SUBSCRIBED,
     .group = "connection",
     .since = "1.0.0"},
    {.name = "reset",
     .run = reset,
     .arity = 1,
     .flags = ALWAYS | COMMAND_SUBSCRIBED,
     .group = "connection",
     .since = "6.2.0"},
    {.name = "auth",
     .run = auth,
     .arity = -2,
     .flags = COMMAND_BEFORE_AUTH,
     .group = "connection",
     .since = "1.0.0"},
    {.name = "hello",
     .run = hello,
     .arity = -1,
     .flags = COMMAND_BEFORE_AUTH,
     .group = "connection",
     .since = "6.0.0"},
    {.name = "post", .run = wrong_door, .arity = -1, .flags = ALWAYS | COMMAND_SUBSCRIBED, .group = "connection"},
    {.name = "host:", .run = wrong_door, .arity = -1, .flags = ALWAYS | COMMAND_SUBSCRIBED, .group = "connection"},
    {.name = "readonly", .run = no_cluster, .arity = 1, .group = "cluster", .since = "3.0.0"},
    {.name = "readwrite", .run = no_cluster, .arity = 1, .group = "cluster", .since = "3.0.0"},
    {.name = "asking", .run = no_cluster, .arity = 1, .group = "cluster", .since = "3.0.0"},
    {0},
};
