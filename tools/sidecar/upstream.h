/* Passing on: what the local tier does not do itself, Redis does, on a connection of the client's own.
 *
 *   call ──► shared? ──► connected? ──► sent ──► answered ──► heard ──► the reply leaves
 *
 *  1. All that was written here is shared first (hf_wait_shared on a worker, one round for all who came meanwhile).
 *  2. The connection is opened when it is first needed, in the client's protocol, and again after it broke.
 *  3. The answer goes to the client as it comes, byte by byte.
 *  4. Then the link is asked for a sign of life (hf_hear, also in rounds): no copy here is older than the answer.
 *
 * A step that fails before the command was sent ends it with OFFLINE; after that, with INDOUBT. A client has one command
 * under way at a time. All of this belongs to the loop thread. */
#ifndef SIDECAR_UPSTREAM_H
#define SIDECAR_UPSTREAM_H

#include "call.h"
#include "resp.h"

#include <uv.h>

#define UPSTREAM_OWN_PREFIX "_hf:" /* of Holdfast's own keys in Redis */

/* ---- commands ---- */

/* Answer `call` by passing it on as it is. What is never passed on, or not to this user, is answered with an error. */
void upstream_pass(struct call *call);

/* Pass these words on for a command that has to see the answer before the client does: `then` finds it in call->reply, may change
 * it, or answer later, as what follows on call_work() may. It is not called when the client is gone. The arguments are those of
 * the call; `before` (NULL: nothing) is taken over. */
typedef void upstream_then_fn(struct call *call, const struct reply *before);
void upstream_ask(struct call *call, size_t argc, const struct hf_slice *argv, struct reply *before,
                  upstream_then_fn *then);

/* WATCH: the same as for other commands. Redis watches the keys on the client's connection until a transaction, UNWATCH, or the connection's end. */
void upstream_watch(struct call *call);

enum upstream_watch {
    UPSTREAM_WATCHES_NOTHING,
    UPSTREAM_WATCHES,
    UPSTREAM_WATCH_LOST, /* the connection broke since WATCH: what was watched may have changed */
};
enum upstream_watch upstream_watching(struct client *client);

/* UNWATCH, DISCARD, and an EXEC that fails here: nothing is watched any more. Replies nothing, and does not wait. */
void upstream_unwatch(struct client *client);

/* EXEC: pass MULTI, these `n` commands and EXEC on as one piece, and reply with what EXEC answers. The commands are borrowed until
 * this returns. When a watch was lost, or one of the commands may not be passed on, nothing is sent and the reply is
 * an error. Nothing is watched afterwards. */
void upstream_transaction(struct call *call, const struct resp_command *commands, size_t n);

/* ---- connections ---- */

struct remote_settings;
struct round_member;
struct upstreams; /* what all clients' connections share: the address, its TLS, and the rounds of 1. and 4. */
struct upstream;  /* one client's */

struct upstreams_setup {
    uv_loop_t *loop;
    struct hf *store;
    const struct hf_options *options; /* address, credentials, timeouts, namespaces; they need not stay */
};

/* Without an address in the options whatever is passed on is answered with OFFLINE. Returns 0, HF_ECONFIG or HF_ENOMEM. */
int upstreams_new(const struct upstreams_setup *setup, struct upstreams **ret_upstreams);
/* Whether a key is shared at all: its namespace may be this node's alone. */
bool upstreams_share(const struct upstreams *upstreams, struct hf_slice key);
/* Call the member's `done` when all that was written until now is shared, or that has failed (rounds.h). */
void upstreams_when_shared(struct upstreams *upstreams, struct round_member *member);
/* For other connections to the same Redis; NULL: there is none. */
const struct remote_settings *upstreams_remote(const struct upstreams *upstreams);
/* Every client's connection must be closed by now. The loop must run on until nothing is left of it. Accepts NULL. */
void upstreams_close(struct upstreams *upstreams);

/* The client's, connected to nothing yet; NULL without memory. */
struct upstream *upstream_new(struct upstreams *upstreams);
/* Closed with the client. What is under way loses its answer; its `done` is called before this returns. Accepts NULL. */
void upstream_close(struct upstream *upstream);

/* One request of one or more commands in RESP, of whose replies all but the last are dropped. */
struct upstream_request {
    struct hf_bytes bytes; /* taken over, also on failure */
    size_t n_replies;
    bool waits;   /* a blocking command: there is no telling when its answer comes */
    bool watched; /* only on the connection that watches: EXECABORT when that is gone */
};

/* Steps 1 to 4. `reply` gets one reply, an error if need be, and must stay until `done`, which is called once, never from
 * within this call. Its `proto` is the protocol in which the connection speaks. */
typedef void upstream_done_fn(void *ctx);
void upstream_send(struct upstream *upstream, struct upstream_request *request, struct reply *reply,
                   upstream_done_fn *done, void *ctx);

/* WATCH and EXEC tell what became of the watch; UNWATCH is sent by upstream_forget_watch(), which does not wait. */
void upstream_set_watch(struct upstream *upstream, enum upstream_watch watch);
enum upstream_watch upstream_watch_of(const struct upstream *upstream);
void upstream_forget_watch(struct upstream *upstream);

#endif
