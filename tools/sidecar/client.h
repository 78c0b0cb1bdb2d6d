/* One client: what it has sent, and the order of its replies.
 *
 * A reply that is ready goes into `out`. One that is not is a `struct later` in the client's queue, and all replies behind
 * it wait there, too. So replies leave in the order of the commands.
 *
 * A client *waits* (runs no further command) while a worker runs its last one, while that is passed on, while the next one's
 * keys are another's, and while it does not read its replies. Then its socket is not read beyond one command and 64 KiB. */
#ifndef SIDECAR_CLIENT_H
#define SIDECAR_CLIENT_H

#include "claims.h"
#include "reply.h"
#include "resp.h"

#include <uv.h>

struct call;
struct client;
struct command;
struct later;
struct listener;
struct server;
struct tls_session;
struct user;

/* What other files keep for a client. */
enum client_part { CLIENT_TRANSACTION, CLIENT_SUBSCRIPTIONS, CLIENT_UPSTREAM, CLIENT_ERRAND, CLIENT_N_PARTS };
struct client_state {
    void *state;                                         /* NULL: none */
    void (*release)(struct client *client, void *state); /* when the client ends, or with RESET */
};

enum client_reply_mode { CLIENT_REPLY_ON, CLIENT_REPLY_OFF, CLIENT_REPLY_SKIP_NEXT, CLIENT_REPLY_SKIP };

#define CLIENT_NAME_MAX 128 /* of its name and of its library's */

struct client {
    struct server *server;
    uint64_t id;
    int proto;               /* 2 or 3 */
    bool is_unix;            /* it came over the unix socket */
    bool is_owner;           /* the tool of who owns the store: all rights, by no login */
    const struct user *user; /* NULL: not authenticated */
    char name[CLIENT_NAME_MAX], lib_name[CLIENT_NAME_MAX], lib_version[CLIENT_NAME_MAX];
    char address[112];               /* of the peer: "127.0.0.1:50412", or the path of the unix socket with ":0" */
    int64_t connected_ms, active_ms; /* the loop's clock */
    const struct command *last;      /* command; NULL: none yet */
    struct hf_result last_result;    /* what the store told of its last read or write, for HOLDFAST LAST */
    struct client_state parts[CLIENT_N_PARTS];
    size_t n_subscriptions; /* kept by pubsub.c: a RESP2 client that has some may only do little else */

    /* Between MULTI and EXEC: what is to be done with a command instead of running it. NULL: run it. */
    void (*queue)(struct call *call);
    bool queue_spoiled; /* a command was refused since then: EXEC must fail */

    /* client.c's and call.c's own */
    enum client_reply_mode reply_mode;
    bool works;        /* a worker runs its last command, whether it has gone or not: the keys stay busy */
    bool waits_worker; /* or for what was passed on */
    bool
        waits_long; /* for something that may never come: nobody must be left waiting for it when the peer is gone */
    bool waits_claims;
    bool waits_reader;                       /* the peer does not read */
    bool reading;                            /* uv_read_start() is in force */
    bool ended;                              /* the peer has sent its last byte */
    bool closes;                             /* after the replies that are there */
    bool closed;                             /* uv_close() was called */
    bool in_to_run, in_to_write, is_holding; /* each counts in `refs` */
    uint64_t hold_lsn;                       /* server_hold's: the newest that a reply of it has waited for */
    unsigned refs;                           /* the open socket, a worker, a queue it is in */
    unsigned wrong_passwords;
    int64_t slow_since_ms; /* since when more than the soft limit is unread; 0: it is not */
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } as;
    struct tls_session *tls; /* NULL: plain bytes */
    struct resp_reader reader;
    char *in; /* what has arrived and was not run */
    size_t in_len, in_capacity;
    struct reply out;        /* ready to be written */
    struct hf_bytes writing; /* under way, by uv_write(), as the socket gets them */
    size_t written;          /* of that, by uv_try_write() before */
    uv_write_t write;
    struct later *first_later, *last_later; /* replies that are not ready, and those behind them */
    size_t n_later, later_bytes;
    struct claim_set claims;
    struct client *next, **previous; /* in server->clients */
    struct client *next_to_run, *next_to_write, *next_holding;
};

/* A message that no command asked for (RESP3 push; RESP2: as a subscriber gets it). It comes behind the replies of the commands
 * that were run until now. Takes over the bytes of `message`, which is empty afterwards. */
void client_push(struct client *client, struct reply *message);

/* Bytes that the client has not read yet. */
size_t client_unread(const struct client *client);

/* Close it when the replies to what it has sent until now are out. */
void client_close_soon(struct client *client);
/* Close it at once; its held replies are dropped. It is gone when the loop comes to it: do not use it afterwards. */
void client_close(struct client *client);

#define CLIENT_BAD_NAME "ERR Client names cannot contain spaces, newlines or special characters."
/* Set a name of CLIENT_NAME_MAX bytes; what is longer is cut. False: it has characters that would break a line of CLIENT LIST. */
bool client_set_name(char *place, struct hf_slice name);

/* As it was when it connected (RESET). */
void client_reset(struct client *client);

/* ---- for server.c and call.c ---- */

void client_accept(struct listener *listener);
void client_ref(struct client *client);
void client_unref(struct client *client); /* frees it with the last one */
/* Let this turn run what it waited with, and write what is ready. */
void client_wake(struct client *client);
void client_dirty(struct client *client);
/* The turn's phases 2 and 4, for one client. */
void client_run(struct client *client);
void client_flush(struct client *client);
/* Move the replies that are ready to `out`. */
void client_settle(struct client *client);
/* The sync of what its replies are held for has failed: they become errors. */
void client_fail_held(struct client *client, int code);
/* Once a second: timeouts and limits. */
void client_tick(struct client *client, int64_t now_ms);

#endif
