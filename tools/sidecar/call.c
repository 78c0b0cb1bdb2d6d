/* Running one command: what must hold before it runs, and the ways in which it is answered. */
#include "call.h"

#include "claims.h"
#include "client.h"
#include "command.h"
#include "fail.h"
#include "later.h"
#include "server.h"
#include "settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <uv.h>

#define KEYS_AT_ONCE 64u     /* keys of a command that need no allocation to be looked at */
#define SHOWN_NAME 128       /* bytes of an unknown command's name in its error, as Redis shows */
#define SHOWN_ARGUMENTS 128u /* and of its arguments */

/* ---- errors ---- */

void call_wrong_arity(struct call *call)
{
    reply_error(call->reply, "ERR wrong number of arguments for '%s' command", call->command->name);
}

/* How a failure is told: a prefix that programs tell errors apart by, or a whole sentence where Redis has one. */
static const char *prefix_of(int code)
{
    switch (code) {
    case HF_EOFFLINE: return "OFFLINE";
    case HF_EFULL:
    case HF_EBUSY: return "JOURNALFULL";
    case HF_ESTOPPED: return "STOPPED";
    case HF_EUNKNOWN:
    case HF_EINDOUBT:
    case HF_ETIMEOUT: return "INDOUBT";
    case HF_EREFUSED: return "REFUSED";
    case HF_ECORRUPT: return "CORRUPT";
    case HF_EREADONLY: return "READONLY";
    case HF_EAUTH: return "NOPERM";
    default: return "ERR";
    }
}

void reply_failure(struct reply *reply, int code, const char *sentence)
{
    if (code == HF_ENOTINT)
        reply_error(reply, "ERR value is not an integer or out of range");
    else if (code == HF_EWRONGTYPE)
        reply_error(reply, "WRONGTYPE Operation against a key holding the wrong kind of value");
    else
        reply_error(reply, "%s %s", prefix_of(code), sentence && *sentence ? sentence : hf_code_text(code));
}

void call_fail(struct call *call, int code)
{
    reply_failure(call->reply, code, hf_errmsg());
}

static int shown(struct hf_slice word, size_t max)
{
    size_t len = strnlen(word.data, word.len); /* as Redis, which prints up to a NUL */

    return (int)(len < max ? len : max);
}

void call_unknown(struct call *call)
{
    char text[2 * SHOWN_ARGUMENTS] = "";
    size_t len = 0;

    for (size_t i = 1; i < call->argc && len < SHOWN_ARGUMENTS; i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len, "'%.*s' ",
                                shown(call->argv[i], SHOWN_ARGUMENTS - len), (const char *)call->argv[i].data);
    reply_error(call->reply, "ERR unknown command '%.*s', with args beginning with: %s",
                shown(call->argv[0], SHOWN_NAME), (const char *)call->argv[0].data, text);
}

/* ---- keys ---- */

/* The position of the last key among the arguments. */
static size_t last_key(const struct command *command, size_t argc)
{
    if (command->last_key >= 0)
        return (size_t)command->last_key < argc ? (size_t)command->last_key : argc - 1;
    return (size_t)-command->last_key < argc ? argc - (size_t)-command->last_key : 0;
}

size_t command_keys(const struct command *command, size_t argc, const struct hf_slice *argv, struct hf_slice *keys,
                    size_t capacity)
{
    size_t step = command->key_step > 0 ? (size_t)command->key_step : 1, n = 0;

    if (command->keys)
        return command->keys(argc, argv, keys, capacity);
    if (command->first_key <= 0)
        return 0;
    for (size_t i = (size_t)command->first_key; i <= last_key(command, argc); i += step) {
        if (n < capacity)
            keys[n] = argv[i];
        n++;
    }
    return n;
}

struct keys {
    struct hf_slice few[KEYS_AT_ONCE], *all;
    size_t n;
};

static bool keys_of(const struct call *call, struct keys *ret_keys)
{
    ret_keys->all = ret_keys->few;
    ret_keys->n =
        call->command ? command_keys(call->command, call->argc, call->argv, ret_keys->few, KEYS_AT_ONCE) : 0;
    if (ret_keys->n <= KEYS_AT_ONCE)
        return true;
    if (ret_keys->n == KEYS_UNKNOWN) {
        ret_keys->n = 0;
        return false;
    }
    ret_keys->all = malloc(ret_keys->n * sizeof(struct hf_slice));
    if (!ret_keys->all)
        return false;
    (void)command_keys(call->command, call->argc, call->argv, ret_keys->all, ret_keys->n);
    return true;
}

static void keys_release(struct keys *keys)
{
    if (keys->all != keys->few)
        free(keys->all);
}

/* ---- busy keys ---- */

static void may_go_on(struct claim_set *set)
{
    struct client *client = (struct client *)((char *)set - offsetof(struct client, claims));

    if (client->waits_claims) {
        client->waits_claims = false;
        client_wake(client);
    }
}

bool call_claim(struct call *call, const struct hf_slice *keys, size_t n)
{
    struct client *client = call->client;

    if (n == 0 || client->claims.n > 0) /* it was run again, or is a worker's */
        return true;
    if (claims_make(&call->server->claims, &client->claims, keys, n, may_go_on) != 0) {
        call_fail(call, HF_ENOMEM);
        return false;
    }
    call->is_refused = client->claims.n_behind > 0;
    client->waits_claims = call->is_refused;
    return !call->is_refused;
}

/* Whether the command's keys are free, or its own by now. Without memory for a look at them it is answered. */
static bool claim_if_busy(struct call *call)
{
    bool free_to_go = true;
    struct keys keys;

    if (call->server->claims.n_keys == 0 || call->client->claims.n > 0)
        return true;
    if (!keys_of(call, &keys)) {
        if (keys.n > 0)
            call_fail(call, hf__fail(HF_ENOMEM, "out of memory: %zu keys", keys.n));
        return keys.n == 0;
    }
    if (claims_meet(&call->server->claims, keys.all, keys.n))
        free_to_go = call_claim(call, keys.all, keys.n);
    keys_release(&keys);
    return free_to_go;
}

/* ---- places ---- */

struct later *later_new(struct client *client, const struct command *command)
{
    struct later *later = calloc(1, sizeof(*later));

    if (!later)
        return NULL;
    later->client = client;
    later->server = client->server;
    later->command = command;
    later->reply.proto = client->proto;
    if (client->last_later)
        client->last_later->next = later;
    else
        client->first_later = later;
    client->last_later = later;
    client->n_later++;
    return later;
}

void later_free(struct later *later)
{
    reply_release(&later->reply);
    free(later);
}

/* A reply leaves: fill in the time that it took. Returns whether it took long, and is to be noted. */
static bool observe(struct server *server, struct slow_note *note, uint64_t began_ns)
{
    server->counts.errors += note->failed;
    if (!server->observe)
        return false;
    server->clock_ns = uv_hrtime();
    note->ns = server->clock_ns - began_ns;
    server->observe(server, note->command, note->ns, note->failed);
    return server->slow && slow_is(server->slow, note->ns);
}

void later_leaves(const struct later *later)
{
    const struct hf_bytes *bytes = &later->reply.bytes;

    struct slow_note note = {.command = later->command,
                             .client = later->client,
                             .key = hf__slice(later->key, later->key_len),
                             .failed = bytes->len > 0 && bytes->bytes[0] == '-'};

    if (!later->is_message && observe(later->server, &note, later->began_ns))
        slow_add(later->server->slow, &note);
}

static struct hf_slice first_key(const struct call *call)
{
    const struct command *command = call->command;
    struct hf_slice key = {0};

    if (command && command->keys)
        (void)command->keys(call->argc, call->argv, &key,
                            1); /* without any, or none that can be told, it stays empty */
    else if (command && command->first_key > 0 && (size_t)command->first_key < call->argc)
        key = call->argv[command->first_key];
    return key;
}

/* With the key, if that may be asked for: the arguments are gone when the reply leaves. */
static struct later *later_of(const struct call *call)
{
    struct later *later = later_new(call->client, call->command);
    struct hf_slice key = {0};

    if (!later)
        return NULL;
    later->began_ns = call->began_ns;
    if (call->server->slow)
        key = first_key(call);
    later->key_len = key.len < SLOW_KEY_MAX ? key.len : SLOW_KEY_MAX;
    if (key.len > 0)
        memcpy(later->key, key.data, later->key_len);
    return later;
}

struct later *call_later(struct call *call)
{
    if (!call->later)
        call->later = later_of(call);
    if (!call->later) {
        reply_error(call->reply, "ERR out of memory: a place for a reply");
        return NULL;
    }
    call->later->is_running = true;
    call->is_open = true;
    return call->later;
}

struct later *call_later_alone(struct call *call)
{
    struct later *later = call_later(call);

    if (later) {
        later->is_alone = true;
        call->client->waits_worker = true;
    }
    return later;
}

struct reply *later_reply(struct later *later)
{
    return &later->reply;
}

struct client *later_client(const struct later *later)
{
    return later->client;
}

void later_done(struct later *later)
{
    struct client *client = later->client;

    if (!client) {
        later_free(later);
        return;
    }
    later->is_ready = true;
    if (later->is_running)
        return;
    client->later_bytes += later->reply.bytes.len;
    if (later->hold_lsn > 0)
        server_hold(client->server, client, later->hold_lsn);
    if (later->is_alone) {
        client->waits_worker = false;
        claims_drop(&client->server->claims, &client->claims); /* also of a command that was passed on */
        client_wake(client);
    }
    client_settle(client);
}

void call_leave(struct call *call)
{
    call->later->is_running = false;
    if (!call->is_open)
        later_done(call->later);
}

void call_hold(struct call *call, uint64_t lsn)
{
    if (lsn > call->hold_lsn)
        call->hold_lsn = lsn;
}

/* ---- workers ---- */

struct work {
    uv_work_t request;
    struct call call;
    struct client *client;     /* there until the work is done, if only its memory */
    struct settings *settings; /* the user's, which a new configuration must not take away meanwhile */
    work_fn *work, *after;
    struct later *later;
    struct hf_slice *argv;
};

struct hf_slice *call_copy_arguments(const struct call *call)
{
    const struct hf_slice *argv = call->argv;
    size_t argc = call->argc, size = argc * sizeof(*argv);
    struct hf_slice *copy;
    char *bytes;

    for (size_t i = 0; i < argc; i++)
        size += argv[i].len;
    copy = malloc(size);
    if (!copy)
        return NULL;
    bytes = (char *)(copy + argc);
    for (size_t i = 0; i < argc; i++) {
        copy[i] = hf__slice(bytes, argv[i].len);
        if (argv[i].len > 0)
            memcpy(bytes, argv[i].data, argv[i].len);
        bytes += argv[i].len;
    }
    return copy;
}

static void on_worker(uv_work_t *request)
{
    struct work *w = request->data;

    w->work(&w->call);
}

static void on_work_done(uv_work_t *request, int status)
{
    struct work *w = request->data;

    (void)status; /* nothing here is cancelled */
    w->call.client = w->later->client;
    if (w->call.client && w->call.was_told)
        w->call.client->last_result = w->call.result;
    if (w->after)
        w->after(&w->call);
    w->later->hold_lsn = w->call.hold_lsn;
    w->client->works = false;
    if (!w->call.is_open)
        claims_drop(&w->client->server->claims, &w->client->claims);
    call_leave(&w->call);
    client_unref(w->client);
    settings_release_ref(w->settings);
    free(w->argv);
    free(w);
}

/* NULL without memory: an error was replied. */
static struct work *new_work(struct call *call, work_fn *work, work_fn *after)
{
    struct work *w = calloc(1, sizeof(*w));
    struct hf_slice *argv = w ? call_copy_arguments(call) : NULL;

    if (!argv) {
        reply_error(call->reply, "ERR out of memory: work for another thread");
        free(w);
        return NULL;
    }
    *w = (struct work){.call = *call, .client = call->client, .work = work, .after = after, .argv = argv};
    w->later = call_later_alone(call);
    if (!w->later) {
        free(argv);
        free(w);
        return NULL;
    }
    w->settings = settings_retain(call->server->settings);
    w->request.data = w;
    w->call.argv = w->argv;
    w->call.reply = &w->later->reply;
    w->call.later = w->later;
    w->call.is_open = false;
    return w;
}

void call_work(struct call *call, work_fn *work, work_fn *after)
{
    struct work *w;
    struct keys keys;
    bool may_go = true;

    if (keys_of(call, &keys)) {
        may_go = call_claim(call, keys.all, keys.n); /* they were free when the command was begun */
        keys_release(&keys);
    }
    w = may_go ? new_work(call, work, after) : NULL;
    if (!w)
        return;
    client_ref(w->client);
    w->client->works = true;
    uv_queue_work(call->server->loop, &w->request, on_worker, on_work_done); /* fails only without `on_worker` */
}

/* ---- what must hold ---- */

static bool arity_is_right(const struct command *command, size_t argc)
{
    return command->arity >= 0 ? argc == (size_t)command->arity : argc >= (size_t)-command->arity;
}

static bool may_touch_keys(const struct call *call)
{
    const struct user *user = call->user;
    struct keys keys;
    bool may = true;

    if (user->n_prefixes == 0)
        return true;
    if (!keys_of(call, &keys))
        return false;
    for (size_t i = 0; i < keys.n; i++)
        may = may && user_may_touch(user, keys.all[i]);
    keys_release(&keys);
    return may;
}

/* What is passed on can touch any key, if it does not say here where its keys are. */
static bool may_run(const struct call *call)
{
    const struct user *user = call->user;
    const struct command *command = call->command;

    if (!command)
        return user->n_prefixes == 0;
    if ((command->flags & COMMAND_ADMIN) && !user->is_operator)
        return false;
    if (user->n_prefixes == 0 || !(command->flags & COMMAND_PASSED_ON))
        return true;
    return (command->first_key > 0 || command->keys) && !(command->flags & COMMAND_ANY_KEYS);
}

static bool refuse_rights(struct call *call)
{
    unsigned flags = call->command ? call->command->flags : 0;

    if (flags & COMMAND_BEFORE_AUTH)
        return false;
    if (!call->user)
        reply_error(call->reply, "NOAUTH Authentication required.");
    else if (!may_run(call))
        reply_error(call->reply, "NOPERM this user has no permissions to run the '%.*s' command",
                    shown(call->argv[0], SHOWN_NAME), (const char *)call->argv[0].data);
    else if (!may_touch_keys(call))
        reply_error(call->reply, "NOPERM this user has no permissions to access one of the keys used as arguments");
    else
        return false;
    return true;
}

static bool refuse_subscriber(struct call *call)
{
    const struct client *client = call->client;

    if (client->n_subscriptions == 0 || client->proto > 2 || !call->command ||
        (call->command->flags & COMMAND_SUBSCRIBED))
        return false;
    reply_error(call->reply,
                "ERR Can't execute '%s': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are "
                "allowed in this context",
                call->command->name);
    return true;
}

/* True when it was answered with an error. */
static bool refuse(struct call *call)
{
    const struct command *command = call->command;

    if (!command && !call->server->pass_on && call->user)
        call_unknown(call);
    else if (command && !arity_is_right(command, call->argc))
        call_wrong_arity(call);
    else if (refuse_rights(call) || refuse_subscriber(call))
        return true;
    else if (command && call->client->queue && (command->flags & COMMAND_NOT_IN_MULTI))
        reply_error(call->reply, "ERR Command not allowed inside a transaction");
    else
        return false;
    return true;
}

/* ---- running ---- */

static void pass_on(struct call *call)
{
    if (call->server->pass_on)
        call->server->pass_on(call);
    else
        reply_error(call->reply, "OFFLINE '%s' is for Redis to run, and this store has none", call->command->name);
}

static void run(struct call *call)
{
    const struct command *command = call->command;

    if (refuse(call))
        call->client->queue_spoiled = true;
    else if (call->client->queue && !(command && (command->flags & COMMAND_NOT_QUEUED)))
        call->client->queue(call);
    else if (!claim_if_busy(call))
        return;
    else if (command && command->run)
        command->run(call);
    else
        pass_on(call);
}

/* The end of a command is the beginning of the next one: the clock is read once for each. */
static uint64_t begin_ns(const struct server *server)
{
    if (!server->observe)
        return 0;
    return server->clock_ns > 0 ? server->clock_ns : uv_hrtime();
}

/* Where the reply goes: straight to the bytes to be written, unless something before it is not answered. */
static bool begin(struct call *call)
{
    struct client *client = call->client;

    call->began_ns = begin_ns(call->server);
    call->reply = &client->out;
    call->mark = client->out.bytes.len;
    if (!client->first_later)
        return true;
    call->later = later_of(call);
    if (!call->later) {
        client->out.failed = true;
        return false;
    }
    call->reply = &call->later->reply;
    return true;
}

/* It is to be held: take its reply out of what is to be written. */
static void take_back(struct call *call)
{
    struct hf_bytes *out = &call->client->out.bytes;

    call->later = later_of(call);
    if (!call->later) {
        call->client->out.failed = true;
        return;
    }
    reply_raw(&call->later->reply, out->bytes + call->mark, out->len - call->mark);
    out->len = call->mark;
}

static bool is_silent(struct client *client)
{
    if (client->reply_mode == CLIENT_REPLY_SKIP) {
        client->reply_mode = CLIENT_REPLY_ON;
        return true;
    }
    if (client->reply_mode == CLIENT_REPLY_SKIP_NEXT)
        client->reply_mode = CLIENT_REPLY_SKIP;
    return client->reply_mode != CLIENT_REPLY_ON;
}

static void answered_at_once(struct call *call, bool silent)
{
    struct hf_bytes *out = &call->client->out.bytes;
    struct slow_note note = {.command = call->command,
                             .client = call->client,
                             .failed = out->len > call->mark && out->bytes[call->mark] == '-'};

    if (observe(call->server, &note, call->began_ns)) {
        note.key = first_key(call);
        slow_add(call->server->slow, &note);
    }
    if (silent)
        out->len = call->mark;
}

static void finish(struct call *call)
{
    bool silent = is_silent(call->client);

    if (call->hold_lsn > 0 && !call->later && !hf_is_durable(call->server->store, call->hold_lsn))
        take_back(call);
    if (!call->later) {
        answered_at_once(call, silent);
        return;
    }
    call->later->is_silent = silent;
    call->later->is_running = false;
    if (call->is_open && !call->later->is_ready)
        return;
    if (!call->is_open)
        call->later->hold_lsn = call->hold_lsn;
    later_done(call->later);
}

/* The place of a command that is run again is the last one, and empty. */
static void undo(struct call *call)
{
    struct client *client = call->client;
    struct later *before = NULL;

    if (!call->later)
        return;
    for (struct later *later = client->first_later; later != call->later; later = later->next)
        before = later;
    *(before ? &before->next : &client->first_later) = NULL;
    client->last_later = before;
    client->n_later--;
    later_free(call->later);
}

bool call_run(struct client *client, const struct resp_command *words)
{
    struct call call = {.server = client->server,
                        .client = client,
                        .user = client->user,
                        .command = command_find(words->argv[0]),
                        .argc = words->argc,
                        .argv = words->argv};

    if (!begin(&call))
        return true;
    run(&call);
    if (call.is_refused) {
        undo(&call);
        return false;
    }
    client->last = call.command ? call.command : client->last;
    client->server->counts.commands++;
    finish(&call);
    if (!client->waits_worker)
        claims_drop(&client->server->claims, &client->claims);
    return true;
}
