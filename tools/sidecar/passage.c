/* Passing commands of clients on: who may have what passed on, and what becomes of the answer. */
#include "upstream.h"

#include "client.h"
#include "command.h"
#include "movable.h"
#include "request.h"
#include "server.h"
#include "words.h"

#include <stdlib.h>

#define KEYS_AT_ONCE 16u /* keys of a command that need no allocation to be looked at */
#define SHOWN_NAME 64

/* A command on its way. */
struct passage {
    struct later *later;
    struct upstream *upstream;
    bool watches, ends_watch; /* WATCH, EXEC */
    upstream_then_fn *then;   /* NULL: the answer leaves as it is */
    struct call call;         /* for it, with: */
    struct hf_slice *argv;
    struct reply before;
};

/* ---- a client's connection ---- */

static void release_upstream(struct client *client, void *state)
{
    (void)client;
    upstream_close(state);
}

/* NULL: it has none, or there is no memory for one. */
static struct upstream *upstream_of(struct client *client, bool make)
{
    struct client_state *part = &client->parts[CLIENT_UPSTREAM];

    if (!part->state && make)
        *part = (struct client_state){upstream_new(client->server->upstreams), release_upstream};
    return part->state;
}

/* ---- what may be passed on ---- */

static bool key_is_refused(struct call *call, struct hf_slice key)
{
    if (hf__slice_starts_with(key, hf__slice_str(UPSTREAM_OWN_PREFIX)))
        reply_error(call->reply, "ERR keys that begin with '" UPSTREAM_OWN_PREFIX "' are Holdfast's own");
    else if (!upstreams_share(call->server->upstreams, key))
        reply_error(call->reply,
                    "OFFLINE the namespace of one of the keys is never shared, and only Redis runs this command");
    else
        return false;
    return true;
}

static bool one_is_refused(struct call *call, const struct hf_slice *keys, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (key_is_refused(call, keys[i]))
            return true;
    }
    return false;
}

/* Whether one of the command's keys is not to be passed on; then it is answered. Keys that cannot be told are Redis's to
 * complain about: users who may not touch all keys do not come here with them. */
static bool keys_are_refused(struct call *call, const struct command *command, const struct resp_command *words)
{
    struct hf_slice few[KEYS_AT_ONCE], *all = few;
    size_t n = command ? command_keys(command, words->argc, words->argv, few, KEYS_AT_ONCE) : 0;
    bool refused;

    if (n == KEYS_UNKNOWN)
        return false;
    if (n > KEYS_AT_ONCE) {
        all = malloc(n * sizeof(*all));
        if (!all) {
            reply_error(call->reply, "ERR out of memory: the keys of a command");
            return true;
        }
        (void)command_keys(command, words->argc, words->argv, all, n);
    }
    refused = one_is_refused(call, all, n);
    if (all != few)
        free(all);
    return refused;
}

/* ---- passing on ---- */

static void release(struct passage *passage)
{
    reply_release(&passage->before);
    free(passage->argv);
    free(passage);
}

/* What Redis watches from now on: EXEC has ended it, and WATCH has begun it unless it was refused. */
static void passed(void *ctx)
{
    struct passage *passage = ctx;
    const struct hf_bytes *reply = &later_reply(passage->later)->bytes;

    if (passage->watches && reply->len > 0 && reply->bytes[0] == '+' &&
        upstream_watch_of(passage->upstream) == UPSTREAM_WATCHES_NOTHING)
        upstream_set_watch(passage->upstream, UPSTREAM_WATCHES);
    if (passage->ends_watch)
        upstream_set_watch(passage->upstream, UPSTREAM_WATCHES_NOTHING);
    if (later_client(passage->later))
        later_client(passage->later)->waits_long = false;
    if (passage->then && later_client(passage->later))
        passage->then(&passage->call, &passage->before);
    call_leave(&passage->call);
    release(passage);
}

/* The beginning of a passage. Takes over what is `before`. NULL: the call is answered. */
static struct passage *new_passage(struct call *call, const struct passage *what)
{
    struct passage *passage = malloc(sizeof(*passage));
    struct reply before = what->before;

    if (!passage) {
        reply_release(&before);
        reply_error(call->reply, "ERR out of memory: a command that is passed on");
        return NULL;
    }
    *passage = *what;
    passage->upstream = upstream_of(call->client, true);
    passage->argv = what->then ? call_copy_arguments(call) : NULL;
    if (passage->upstream && (passage->argv || !what->then))
        passage->later = call_later_alone(call);
    else
        reply_error(call->reply, "ERR out of memory: a command that is passed on");
    if (passage->later)
        return passage;
    release(passage);
    return NULL;
}

static void send_on(struct call *call, struct upstream_request *request, const struct passage *what)
{
    struct passage *passage = new_passage(call, what);

    if (!passage) {
        hf__bytes_release(&request->bytes);
        return;
    }
    passage->call = *call;
    passage->call.argv = passage->argv;
    passage->call.reply = later_reply(passage->later);
    passage->call.is_open = false;
    call->client->waits_long = request->waits;
    upstream_send(passage->upstream, request, later_reply(passage->later), passed, passage);
}

static void send_words(struct call *call, size_t argc, const struct hf_slice *argv,
                       struct upstream_request *request, const struct passage *what)
{
    struct reply before = what->before;

    if (request_add(&request->bytes, argc, argv) == 0) {
        send_on(call, request, what);
        return;
    }
    reply_release(&before);
    hf__bytes_release(&request->bytes);
    reply_error(call->reply, "ERR out of memory: a command that is passed on");
}

void upstream_ask(struct call *call, size_t argc, const struct hf_slice *argv, struct reply *before,
                  upstream_then_fn *then)
{
    struct upstream_request request = {.n_replies = 1};
    struct passage what = {.then = then};

    if (before)
        what.before = *before;
    send_words(call, argc, argv, &request, &what);
}

/* XREAD waits only when it is told to. */
static bool may_wait(const struct call *call)
{
    if (!call->command || !(call->command->flags & COMMAND_BLOCKING))
        return false;
    if (call->command->keys != keys_of_streams)
        return true;
    for (size_t i = 1; i < call->argc; i++) {
        if (word_is(call->argv[i], "BLOCK"))
            return true;
    }
    return false;
}

static void pass(struct call *call, const struct passage *what)
{
    struct upstream_request request = {.n_replies = 1, .waits = may_wait(call)};
    struct resp_command words = {call->argc, call->argv};

    if (keys_are_refused(call, call->command, &words))
        return;
    send_words(call, call->argc, call->argv, &request, what);
}

void upstream_pass(struct call *call)
{
    pass(call, &(struct passage){0});
}

/* ---- transactions ---- */

void upstream_watch(struct call *call)
{
    pass(call, &(struct passage){.watches = true});
}

enum upstream_watch upstream_watching(struct client *client)
{
    struct upstream *upstream = upstream_of(client, false);

    return upstream ? upstream_watch_of(upstream) : UPSTREAM_WATCHES_NOTHING;
}

void upstream_unwatch(struct client *client)
{
    struct upstream *upstream = upstream_of(client, false);

    if (upstream)
        upstream_forget_watch(upstream);
}

/* What works on keys, here or there, Redis does as well, and what needs none. The rest is about this server. */
static bool fits_in(const struct command *command)
{
    static const char *const others[] = {"publish", "echo", "ping", "time", "unwatch", NULL};
    const char *const *name = others;

    if (!command)
        return true;
    if (command->flags & COMMAND_NEVER_PASSED)
        return false;
    if (command->flags & COMMAND_PASSED_ON)
        return !command->run;
    while (*name && strcmp(command->name, *name) != 0)
        name++;
    return *name || command->first_key > 0;
}

static bool is_refused(struct call *call, const struct resp_command *words)
{
    const struct command *command = command_find(words->argv[0]);
    int shown = words->argv[0].len < SHOWN_NAME ? (int)words->argv[0].len : SHOWN_NAME;

    if (fits_in(command))
        return keys_are_refused(call, command, words);
    reply_error(call->reply, "EXECABORT Transaction discarded because '%.*s' cannot be part of one that Redis runs",
                shown, (const char *)words->argv[0].data);
    return true;
}

static int put_transaction(struct hf_bytes *bytes, const struct resp_command *commands, size_t n)
{
    int rc = request_add_word(bytes, "MULTI");

    for (size_t i = 0; i < n && rc == 0; i++)
        rc = request_add(bytes, commands[i].argc, commands[i].argv);
    return rc == 0 ? request_add_word(bytes, "EXEC") : rc;
}

void upstream_transaction(struct call *call, const struct resp_command *commands, size_t n)
{
    struct upstream_request request = {.n_replies = n + 2,
                                       .watched = upstream_watching(call->client) != UPSTREAM_WATCHES_NOTHING};
    bool refused = false;

    for (size_t i = 0; i < n && !refused; i++)
        refused = is_refused(call, &commands[i]);
    if (!refused && put_transaction(&request.bytes, commands, n) == 0) {
        send_on(call, &request, &(struct passage){.ends_watch = true});
        return;
    }
    hf__bytes_release(&request.bytes);
    upstream_unwatch(call->client);
    if (!refused)
        reply_error(call->reply, "ERR out of memory: a transaction that is passed on");
}
