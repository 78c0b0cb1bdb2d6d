/* MULTI, EXEC, DISCARD, WATCH, UNWATCH. */
#include "client.h"
#include "command.h"
#include "server.h"
#include "space.h"
#include "transaction_state.h"
#include "upstream.h"

#include <stdlib.h>

/* ---- queueing ---- */

static void queue(struct call *call)
{
    struct transaction *t = transaction_of(call->client);
    int rc = t ? transaction_queue(t, call) : HF_ENOMEM;

    if (rc == 0) {
        reply_status(call->reply, "QUEUED");
        return;
    }
    call->client->queue_spoiled = true;
    reply_error(call->reply, "ERR a transaction of more than %u commands or %u bytes, or no memory for it",
                TRANSACTION_COMMANDS_MAX, TRANSACTION_BYTES_MAX);
}

/* MULTI */
static void cmd_multi(struct call *call)
{
    if (call->client->queue) {
        reply_error(call->reply, "ERR MULTI calls can not be nested");
        return;
    }
    call->client->queue = queue;
    call->client->queue_spoiled = false;
    reply_status(call->reply, "OK");
}

/* What was queued and watched here is over. */
static void forget(struct client *client)
{
    struct transaction *t = client->parts[CLIENT_TRANSACTION].state;

    client->queue = NULL;
    client->queue_spoiled = false;
    if (!t)
        return;
    transaction_forget_queue(t);
    transaction_forget_watches(t);
    view_release(&t->view);
}

/* DISCARD */
static void cmd_discard(struct call *call)
{
    if (!call->client->queue) {
        reply_error(call->reply, "ERR DISCARD without MULTI");
        return;
    }
    forget(call->client);
    upstream_unwatch(call->client);
    reply_status(call->reply, "OK");
}

/* ---- watching ---- */

static size_t count_ours(const struct call *call)
{
    size_t n = 0;

    for (size_t i = 1; i < call->argc; i++)
        n += space_is_ours(call, call->argv[i]);
    return n;
}

/* A look that never becomes a worker's. False: an error was replied. */
static bool look(struct call *call, struct transaction *t, struct hf_slice key, struct value *ret_value)
{
    struct call inside = *call;
    bool known;

    inside.inside = t;
    transaction_begin(t);
    known = space_look(&inside, key, ret_value);
    call_hold(call, inside.hold_lsn);
    if (t->place != TRANSACTION_HERE)
        reply_error(call->reply, "OFFLINE a decision about a watched key is under way");
    return known;
}

static void watch_here(struct call *call)
{
    struct transaction *t = transaction_of(call->client);
    int rc = t ? 0 : HF_ENOMEM;

    for (size_t i = 1; i < call->argc && rc == 0; i++) {
        struct value value;
        if (!look(call, t, call->argv[i], &value))
            return;
        rc = transaction_watch(t, call->argv[i], &value);
    }
    if (rc == 0)
        reply_status(call->reply, "OK");
    else
        reply_error(call->reply, "ERR more than %u watched keys, or no memory for them", TRANSACTION_WATCHED_MAX);
}

/* WATCH key [key ...] */
static void cmd_watch(struct call *call)
{
    size_t n_ours = count_ours(call);

    if (call->client->queue)
        reply_error(call->reply, "ERR WATCH inside MULTI is not allowed");
    else if (n_ours == call->argc - 1)
        watch_here(call);
    else if (n_ours > 0)
        reply_error(call->reply, "ERR keys that are shared and keys that are not cannot be watched together");
    else
        upstream_watch(call);
}

/* UNWATCH */
static void cmd_unwatch(struct call *call)
{
    struct transaction *t = call->client->parts[CLIENT_TRANSACTION].state;

    if (t)
        transaction_forget_watches(t);
    upstream_unwatch(call->client);
    reply_status(call->reply, "OK");
}

/* ---- EXEC ---- */

/* Has one of the keys that are watched here changed? With false in `*ret_known`: the call is answered. */
static bool has_changed(struct call *call, struct transaction *t, bool *ret_known)
{
    for (size_t i = 0; i < t->n_watched; i++) {
        struct hf_slice key = hf__slice(t->watched[i].key.data, t->watched[i].key.len);
        struct value value;
        *ret_known = look(call, t, key, &value);
        if (!*ret_known || transaction_has_changed(&t->watched[i], &value))
            return true;
    }
    return false;
}

static bool runs_here(const struct queued *queued)
{
    return queued->command && queued->command->run && !(queued->command->flags & COMMAND_PASSED_ON);
}

/* Run one command of the transaction: it reads and writes the view. */
static void run_one(struct call *exec, struct transaction *t, struct queued *queued, struct reply *replies)
{
    struct call call = {.server = exec->server,
                        .client = exec->client,
                        .user = exec->user,
                        .command = queued->command,
                        .argc = queued->argc,
                        .argv = queued->words,
                        .reply = replies,
                        .inside = t};

    t->place = TRANSACTION_HERE;
    queued->command->run(&call);
    call_hold(exec, call.hold_lsn);
    queued->asks = t->place == TRANSACTION_WAITS;
}

static bool all_run_here(const struct transaction *t)
{
    for (size_t i = 0; i < t->n_queued; i++) {
        if (!runs_here(&t->queued[i]))
            return false;
    }
    return true;
}

/* A batch, which is of one namespace, tells the sum. */
static bool is_one_namespace(const struct call *call, const struct view *view)
{
    const struct space *space = call->server->space;

    for (size_t i = 1; i < view->n; i++) {
        if (space_rules_of(space, view->ops[i].key) != space_rules_of(space, view->ops[0].key))
            return false;
    }
    return true;
}

/* What it shows of shared keys and what it writes belong to one moment, which only Redis can give. */
static bool needs_redis(const struct call *call, const struct transaction *t)
{
    return t->place == TRANSACTION_REDIS || (t->reads && t->writes) ||
           (t->owes_sum && !is_one_namespace(call, &t->view));
}

/* Run all of it into `replies`, or find that it cannot run here, or not yet. Behind a command that waits nothing can be said of
 * the others but what they have to be told, too. */
static void run_all(struct call *call, struct transaction *t, struct reply *replies)
{
    bool waits = false;

    transaction_begin(t);
    if (!all_run_here(t))
        transaction_leave_to_redis(t);
    reply_array(replies, t->n_queued);
    for (size_t i = 0; i < t->n_queued && (waits || t->place != TRANSACTION_REDIS); i++) {
        run_one(call, t, &t->queued[i], replies);
        waits = waits || t->queued[i].asks;
    }
    if (waits)
        t->place = TRANSACTION_WAITS;
    else if (needs_redis(call, t))
        transaction_leave_to_redis(t);
}

static void pass_all_on(struct call *call, const struct transaction *t)
{
    struct resp_command *commands = calloc(t->n_queued + 1, sizeof(*commands));

    if (!commands) {
        reply_error(call->reply, "EXECABORT out of memory: %zu commands", t->n_queued);
        return;
    }
    for (size_t i = 0; i < t->n_queued; i++)
        commands[i] = (struct resp_command){.argc = t->queued[i].argc, .argv = t->queued[i].words};
    upstream_transaction(call, commands, t->n_queued);
    free(commands);
}

static size_t keys_of(const struct queued *queued, struct hf_slice *keys, size_t capacity)
{
    size_t n = queued->command ? command_keys(queued->command, queued->argc, queued->words, keys, capacity) : 0;

    return n == KEYS_UNKNOWN ? 0 : n; /* then it is Redis's, which keeps order itself */
}

/* The keys of all commands, which a worker may be busy with. False: wait for them; or there is no memory, and it is answered. */
static bool claim_keys(struct call *call, const struct transaction *t)
{
    struct hf_slice *keys;
    size_t n = 0, at = 0;
    bool may_go;

    for (size_t i = 0; i < t->n_queued; i++)
        n += keys_of(&t->queued[i], NULL, 0);
    if (n == 0)
        return true;
    keys = calloc(n, sizeof(*keys));
    if (!keys) {
        reply_error(call->reply, "EXECABORT out of memory: %zu keys", n);
        return false;
    }
    for (size_t i = 0; i < t->n_queued; i++)
        at += keys_of(&t->queued[i], keys + at, n - at);
    may_go = call_claim(call, keys, n);
    free(keys);
    return may_go;
}

/* ---- asking first ---- */

static void ask(struct call *call)
{
    transaction_ask(call->inside, call->server->store);
}

static void execute(struct call *call, struct transaction *t);

/* Nothing has been done yet: of a client that is gone, nothing will be. */
static void asked(struct call *call)
{
    struct transaction *t = call->inside;

    call->inside = NULL;
    if (call->client)
        execute(call, t);
    transaction_free(t);
}

/* The keys are free: they were claimed, or nobody had claimed any. */
static void ask_first(struct call *call, struct transaction *t)
{
    struct call asking = *call;

    if (!claim_keys(call, t))
        return;
    asking.inside = t;
    call_work(&asking, ask, asked);
    call->later = asking.later;
    call->is_open = asking.is_open;
    if (call->is_open)
        transaction_detach(call->client);
}

/* ---- running ---- */

static void write_all(struct call *call, const struct transaction *t, struct reply *replies)
{
    const struct view *view = &t->view;

    if (t->owes_sum)
        space_write_sum(call, view->ops, view->n, replies, t->sum_at);
    else if (view->n > 0)
        space_write_all(call, view->ops, view->n, SPACE_TOGETHER, replies);
    else
        reply_raw(call->reply, replies->bytes.bytes, replies->bytes.len);
}

static void run_here(struct call *call, struct transaction *t)
{
    struct reply replies = space_answer(call);

    run_all(call, t, &replies);
    switch (t->place) {
    case TRANSACTION_HERE: write_all(call, t, &replies); break;
    case TRANSACTION_WAITS: ask_first(call, t); break;
    case TRANSACTION_REDIS: pass_all_on(call, t); break;
    }
    call->reply->failed |= replies.failed;
    reply_release(&replies);
}

static void execute(struct call *call, struct transaction *t)
{
    bool known = true;

    if (upstream_watching(call->client) != UPSTREAM_WATCHES_NOTHING)
        pass_all_on(call, t);
    else if (!has_changed(call, t, &known))
        run_here(call, t);
    else if (known)
        reply_null_array(call->reply);
}

/* EXEC */
static void cmd_exec(struct call *call)
{
    struct transaction *t = transaction_of(call->client);

    if (!call->client->queue) {
        reply_error(call->reply, "ERR EXEC without MULTI");
        return;
    }
    if (t && call->server->claims.n_keys > 0 && !claim_keys(call, t)) {
        if (call->is_refused)
            return;
        upstream_unwatch(call->client);
    } else if (call->client->queue_spoiled || !t) {
        upstream_unwatch(call->client);
        reply_error(call->reply, "EXECABORT Transaction discarded because of previous errors.");
    } else {
        execute(call, t);
    }
    forget(call->client);
}

const struct command transaction_commands[] = {
    {"multi", cmd_multi, 1, COMMAND_NOT_QUEUED, 0, 0, 0, "transactions", "1.2.0", NULL},
    {"exec", cmd_exec, 1, COMMAND_NOT_QUEUED, 0, 0, 0, "transactions", "1.2.0", NULL},
    {"discard", cmd_discard, 1, COMMAND_NOT_QUEUED, 0, 0, 0, "transactions", "2.0.0", NULL},
    {"watch", cmd_watch, -2, COMMAND_NOT_QUEUED, 1, -1, 1, "transactions", "2.2.0", NULL},
    {"unwatch", cmd_unwatch, 1, 0, 0, 0, 0, "transactions", "2.2.0", NULL},
    {0},
};
