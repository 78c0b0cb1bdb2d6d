/* The server: the loop, the listeners, the clients, and what one turn does.
 *
 * A turn of the loop reads what has arrived and runs its commands; then, once for all clients,
 *  1. runs what other threads have posted (server_post),
 *  2. runs the commands that waited for a key or a worker,
 *  3. asks the store to tell when the newest LSN that a reply is held for is durable,
 *  4. writes the replies that are ready, with one system call for each client.
 *
 * Everything here belongs to the loop thread, but for server_post(). */
#ifndef SIDECAR_SERVER_H
#define SIDECAR_SERVER_H

#include "claims.h"

#include <holdfast.h>
#include <pthread.h>
#include <uv.h>

struct call;
struct client;
struct command;
struct settings;
struct slow;

/* Something for the loop thread to run, from another thread. */
struct post {
    struct post *next;
    void (*run)(struct post *post); /* may free it */
};

#define SERVER_REDIS_VERSION "7.0.15"  /* what clients decide by what they may use */
#define SERVER_LISTENERS_MAX 17        /* each address plain and with TLS, and the unix socket */
#define SERVER_READ_BYTES (64u * 1024) /* what is read at once; the buffer is shared by all clients */

struct listener {
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } as;
    struct server *server;
    bool is_unix, is_tls;
    bool waits; /* for memory, to accept a client that has come */
};

struct server_counts {
    uint64_t connections, rejected, commands, errors, bytes_in, bytes_out;
};

struct server {
    uv_loop_t *loop;
    struct hf *store;
    struct settings *settings;
    char run_id[41];    /* random, new with every start */
    int64_t started_ms; /* wall clock */
    uint64_t value_max; /* of the store */
    size_t n_clients;   /* that are connected */
    struct server_counts counts;

    /* What other files plug in before server_start(); NULL: not there. */
    void (*pass_on)(struct call *call); /* a command that is not the local tier's; NULL: it fails with OFFLINE */
    /* A command was answered, `ns` after it was read. `command` is NULL for one that is not known here. */
    void (*observe)(struct server *server, const struct command *command, uint64_t ns, bool failed);
    struct space *space; /* the local tier, as commands see it */
    struct upstreams *upstreams;
    struct pubsub *pubsub;
    struct metrics *metrics;
    struct slow *slow;                    /* the commands that took long; together with `observe` */
    struct errands *errands;              /* what commands of the `holdfast` tool get */
    void (*ended)(struct server *server); /* after server_stop(): the last client has gone */

    /* The loop's own. */
    uint64_t clock_ns; /* when the last command of the run at hand was answered; 0: none was */
    struct claims claims;
    struct client *clients; /* all, newest first */
    struct client_queue {
        struct client *first, *last;
        unsigned n;
    } to_run, to_write;     /* clients that waited and may run on, and with something to write */
    struct client *holding; /* with held replies */
    unsigned n_heard;       /* clients that had sent something when the turn began */
    unsigned n_unsynced;    /* clients that hold replies for what nobody has been asked to sync */
    uint64_t slow_ms;       /* lost to syncs on the loop, see server.c */
    uint64_t next_id;
    uint64_t hold_lsn;  /* the newest LSN that a reply waits for */
    uint64_t asked_lsn; /* the newest one whose sync was seen to */
    struct listener listeners[SERVER_LISTENERS_MAX];
    size_t n_listeners;
    bool is_reachable;   /* one of them from beyond this machine */
    char unix_path[108]; /* "": none */
    bool deaf;           /* under the lock: the loop is told of posts no more */
    bool stopping;       /* takes no more clients and reads no more commands */
    uv_prepare_t prepare;
    uv_check_t check;
    uv_async_t posted;
    uv_timer_t second;
    pthread_mutex_t lock;
    struct post *posts, **posts_end; /* under the lock */
    char *read_buffer;
    char *plain_buffer; /* for a record of TLS that was opened; shared, too */
};

/* Prepare a server on `loop`, which is the caller's. 0, or an error of the library. */
int server_init(struct server *server, uv_loop_t *loop, struct hf *store, struct settings *settings);
/* Listen as the settings say, and serve from the loop's next turn on. */
int server_start(struct server *server);
/* Close the listeners, read no more commands, and close each client when its replies are out. The loop then runs until
 * everything has ended; what is left after `grace_ms` is closed without its replies. */
void server_stop(struct server *server, uint64_t grace_ms);
/* Go on with other settings, which replace the old ones for good: users, and limits of clients. A client stays logged in as the
 * user of the same name; one whose user is gone is closed. */
void server_reconfigure(struct server *server, struct settings *settings);
/* After the loop has ended. */
void server_release(struct server *server);

/* Have `post` run on the loop thread, in the order of posting. From any thread. */
void server_post(struct server *server, struct post *post);

/* A reply of this client is held until `lsn` is durable: see to it that the store tells. */
void server_hold(struct server *server, struct client *client, uint64_t lsn);
/* A client has gone. */
void server_gone(struct server *server);

/* The client with this number; NULL: none. */
struct client *server_client(struct server *server, uint64_t id);

#endif
