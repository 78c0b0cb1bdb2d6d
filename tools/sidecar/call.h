/* One command being run, and the four ways in which it can be answered.
 *
 *  1. At once: write into call->reply, and return.
 *  2. Held: the same, and call_hold(): the reply leaves when that LSN is durable.
 *  3. Later: call_later() before returning; the answer is written when it comes, and later_done() lets it leave. Commands of this
 *     client that follow run meanwhile; their replies wait behind it.
 *  4. By a worker: call_work(); the client's next command waits for it, and so do the commands of others on its keys.
 *
 * Everything here belongs to the loop thread, but for the function that a worker runs. */
#ifndef SIDECAR_CALL_H
#define SIDECAR_CALL_H

#include "reply.h"
#include "resp.h"

#include <holdfast.h>

struct client;
struct command;
struct server;
struct transaction;
struct user;

struct call {
    struct server *server;
    struct client *client;
    const struct user
        *user; /* who it is run for, as the command began; stays while a worker runs it. NULL: nobody yet */
    const struct command *command;
    size_t argc;
    const struct hf_slice *argv; /* borrowed until the handler returns; a worker has copies */
    struct reply *reply;         /* write one reply into it, unless call_later() or call_work() was called */
    struct transaction *inside;  /* an EXEC under way: reads and writes go through it (space.h) */
    struct hf_bytes *scratch;    /* space.c's: NULL on the loop thread, where nothing may wait */
    uint64_t hold_lsn;           /* see call_hold() */
    struct hf_result result;     /* in a worker: what the store has told last, for HOLDFAST LAST */
    bool was_told;               /* it has */
    struct later *later; /* call.c's own: its place, when something before it is not answered, or it is not */
    size_t mark;         /* and where its reply begins otherwise */
    uint64_t began_ns;
    bool is_open;    /* call_later() or call_work() was called */
    bool is_refused; /* call_claim() was false: it is run again */
};

/* The reply must not leave before `lsn` is durable. */
void call_hold(struct call *call, uint64_t lsn);

/* A place in the order of the client's replies. It outlives the client, whose end drops what it holds. */
struct later;
struct later *call_later(struct call *call); /* NULL without memory: an error was replied */
/* The same, and the client's next command waits for it, as for a worker: for what is passed on. */
struct later *call_later_alone(struct call *call);
struct reply *later_reply(struct later *later);
/* The client that waits; NULL: it is gone. */
struct client *later_client(const struct later *later);
/* The answer is complete. On the loop thread. Frees `later`. */
void later_done(struct later *later);

/* Run `work` on a worker thread with a copy of the arguments; it may wait, and may call the store. It writes into call->reply and
 * must not touch client or server. Then `after` (may be NULL) runs on the loop thread, before the reply leaves. Unless the client is
 * gone by then, it may call call_later() or call_later_alone(): the keys stay busy until that is answered. */
typedef void work_fn(struct call *call);
void call_work(struct call *call, work_fn *work, work_fn *after);

/* The arguments in one piece for free(): the slices, and their bytes behind them. NULL without memory. */
struct hf_slice *call_copy_arguments(const struct call *call);

/* What was answered later has been gone on with: the reply leaves now, unless call_later() or its like was called meanwhile. */
void call_leave(struct call *call);

/* For a command whose keys are not among its arguments (EXEC): false when somebody works on one of these keys. Then the handler
 * returns without a reply, and is run again when they are free. False, too, without memory: then an error was replied. */
bool call_claim(struct call *call, const struct hf_slice *keys, size_t n);

/* Reply with the error of a failed call into the library (hf_errmsg() on this thread), with its prefix. */
void call_fail(struct call *call, int code);
/* The same for a result that came with a completion. */
void reply_failure(struct reply *reply, int code, const char *sentence);
/* Run a command that a client has sent. False: its keys are another's; it is to be run again when they are free. */
bool call_run(struct client *client, const struct resp_command *words);

/* "ERR wrong number of arguments for 'get' command" */
void call_wrong_arity(struct call *call);
/* "ERR unknown command 'foo', with args beginning with: 'bar' " */
void call_unknown(struct call *call);

#endif
