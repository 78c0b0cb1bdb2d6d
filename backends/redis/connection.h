/* One connection to Redis on the link thread's loop: dialling, TLS, the handshake, waves of commands with their
 * answers, deadlines and the heartbeat.
 *
 *            open                 name                answered
 *   IDLE ----------> STARTING ----------> RESOLVING ----------+
 *                       | literal, unix socket                |
 *                       +-----------------> DIALLING <--------+   (next address: DIALLING again)
 *                                              | connected
 *                              rediss://       |
 *                     SECURING <---------------+
 *                        | certificate good    |
 *                        +------------------> GREETING --------> READY
 *                                                   our token stands
 *   every state --- close, failure, deadline ---> IDLE
 *
 * What ends each state when nothing comes: STARTING lasts until the next turn of the loop; RESOLVING to GREETING
 * together have the connect timeout; in READY the oldest wave has its deadline, and without a wave the heartbeat
 * makes one. The heartbeat asks for the TIME; each minute it also goes behind other waves.
 *
 * hiredis reads, writes and parses through a plain non-blocking context. Its asynchronous layer is not used: that
 * one resolves names in a blocking call, allocates for every command, moves the whole rest of a large buffer with
 * each partial write, and ends the process by assert() when a server sends an answer that nobody asked for.
 *
 * Everything here belongs to the link thread. */
#ifndef HF_REDIS_CONNECTION_H
#define HF_REDIS_CONNECTION_H

#include "address.h"
#include "clock.h"
#include "command.h"
#include "errors.h"
#include "reply.h"
#include "resolve.h"
#include "scripts.h"
#include "tls.h"

#include <hiredis/hiredis.h>
#include <uv.h>

/* name, text */
#define HF__CONN_STATE_MAP(X)                                                                                      \
    X(HF__CONN_IDLE, "idle")                                                                                       \
    X(HF__CONN_STARTING, "starting")                                                                               \
    X(HF__CONN_RESOLVING, "resolving")                                                                             \
    X(HF__CONN_DIALLING, "dialling")                                                                               \
    X(HF__CONN_SECURING, "securing")                                                                               \
    X(HF__CONN_GREETING, "greeting")                                                                               \
    X(HF__CONN_READY, "ready")
enum hf__conn_state {
#define X(name, text) name,
    HF__CONN_STATE_MAP(X)
#undef X
};

/* A deadline moves by a millisecond for so many bytes sent or received: what keeps going at 8 MiB/s is not late. */
#define HF__BYTES_PER_MS (8u * 1024 * 1024 / 1000)

/* Commands sent together, and who hears the answers. Memory is the sender's until the last answer or `lost`. */
struct hf__wave {
    /* Called for each answer in order, index from 0; `reply` is borrowed. At the last one the wave is no longer
     * queued and may be sent again. May close the connection. */
    void (*reply)(struct hf__wave *wave, const redisReply *reply, size_t index);
    /* Called instead of what is left of `reply` when the connection is gone; class HF_SHARED_LINK. */
    void (*lost)(struct hf__wave *wave, const struct hf_shared_error *error);
    void *ctx;
    /* the connection's own */
    struct hf__wave *next;
    size_t n_replies, n_seen;
    uint64_t due_ms;     /* on the loop's clock */
    uint64_t allowed_ms; /* for the message */
};

struct hf__conn_settings {
    struct hf__redis_address address; /* with user and password as overridden */
    char node[33];
    const struct hf_shared_owner *owner; /* NULL: every token may be ours */
    int connect_timeout_ms;
    int reply_timeout_ms;
    int heartbeat_ms;
    SSL_CTX *tls;            /* for rediss:// */
    struct hf_buf *prefixes; /* to be tracked; none overlaps with another */
    size_t n_prefixes;
    bool track; /* somebody listens to what is told */
    struct hf__scripts scripts;
};

struct hf__conn_events {
    void (*ready)(void *ctx, const struct hf_shared_hello *hello);
    /* A heartbeat was answered, by a time, or without one: then redis_ms is negative. */
    void (*clock)(void *ctx, int64_t redis_ms, int64_t asked_ms, int64_t answered_ms);
    /* All `lost`s have run. Not called after hf__conn_close, nor when a `lost` closed or opened the connection. */
    void (*down)(void *ctx, const struct hf_shared_error *error);
    /* Others changed these keys, n == 0: all; only between `ready` and the end. */
    void (*invalidated)(void *ctx, const struct hf_slice *keys, size_t n);
};

struct hf__poll; /* a libuv watcher, which outlives its socket by a turn of the loop */

struct hf__conn {
    /* constant after init */
    const struct hf__conn_settings *settings;
    const struct hf__conn_events *events;
    void *ctx;
    struct hf_clock *clock;
    uv_loop_t *loop;

    uv_timer_t timer;
    uv_prepare_t flusher; /* writes what a turn of the loop has queued, once, before it waits */
    uv_async_t resolved;

    enum hf__conn_state state;
    uint64_t attempt;        /* changes with every open and every end: "is it still the same one?" */
    uint64_t connect_due_ms; /* STARTING to GREETING */
    uint64_t address_due_ms; /* DIALLING */
    uint64_t idle_due_ms;    /* READY: the next heartbeat, when nothing else comes ... */
    uint64_t time_due_ms;    /* ... and whatever comes */
    uint64_t timer_ms;       /* when `timer` goes off; UINT64_MAX: not set */

    struct hf__lookup *lookup; /* outlives an attempt: the next one waits for it, too */
    struct addrinfo *addresses, *next_address;
    int dial_problem; /* errno of the last address tried */

    struct hf__poll *poll;
    int events_polled;
    int fd; /* ours until `redis` has it */
    redisContext *redis;
    SSL *tls; /* owned by `redis` */

    struct hf_bytes out; /* commands not yet given to hiredis, from `out_sent` on */
    size_t out_sent;
    size_t out_mark;     /* where the wave being written begins */
    bool out_secret;     /* it holds a password: wipe it */
    bool hiredis_busy;   /* hiredis holds bytes the socket did not take */
    size_t credit_bytes; /* received, not yet counted for the oldest wave's deadline */

    struct hf__wave *first, *last;

    struct hf__wave greeting;
    int greeting_step;
    struct hf__wave ping;
    bool ping_out;
    bool no_time;          /* this user may not ask for the TIME */
    int64_t time_asked_ms; /* on the clock seam */
    struct hf_shared_hello hello;
    char token[33];       /* our session token; a new one for each connection */
    char session_key[48]; /* _hf:session:<node> */
};

/* Set up handles on `loop`. Returns 0 or HF_EIO. After success, hf__conn_close_handles must be called. */
int hf__conn_init(struct hf__conn *conn, uv_loop_t *loop, const struct hf__conn_settings *settings,
                  const struct hf__conn_events *events, void *ctx, struct hf_clock *clock);
/* Close the handles; the loop must run once more before `conn` is freed. The connection must have been closed. */
void hf__conn_close_handles(struct hf__conn *conn);

/* Begin to connect, ending one that stands. Nothing is called back before this returns. */
void hf__conn_open(struct hf__conn *conn);
/* End it: `lost` for each wave with this error's reason, and no `down`. */
void hf__conn_close(struct hf__conn *conn, const struct hf_shared_error *error);
/* End it because of `error`: `lost` for each wave, then `down`. */
void hf__conn_fail(struct hf__conn *conn, const struct hf_shared_error *error);
/* The same with class HF_SHARED_LINK and a sentence. */
void hf__conn_fail_link(struct hf__conn *conn, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Write commands with the writer that this returns, then hand it to hf__conn_send; nothing else in between. */
struct hf__command_writer hf__conn_begin(struct hf__conn *conn);
/* Queue the commands as one wave with a deadline. Returns 0, or HF_ENOMEM and nothing is sent. */
int hf__conn_send(struct hf__conn *conn, struct hf__command_writer *w, struct hf__wave *wave);

/* ---- between the files of the connection ---- */

/* Forget the output, wiping it when it held a password. */
void hf__conn_empty_out(struct hf__conn *conn);

/* Move to `state`; asserts that the table allows it. */
void hf__conn_move(struct hf__conn *conn, enum hf__conn_state state);
/* Set the timer to the earliest thing that can fall due. */
void hf__conn_arm(struct hf__conn *conn);
/* Watch the socket for these libuv events. Returns 0 or a libuv error. */
int hf__conn_watch(struct hf__conn *conn, int events);
/* Stop watching; the descriptor may be closed afterwards. */
void hf__conn_unwatch(struct hf__conn *conn);

/* dial.c: from STARTING to a connected, secured socket with a hiredis context; ends in hf__greet or a failure. */
void hf__dial(struct hf__conn *conn);
void hf__dial_resolved(struct hf__conn *conn);
void hf__dial_event(struct hf__conn *conn);  /* the socket is ready, in DIALLING */
void hf__dial_late(struct hf__conn *conn);   /* this address had its time */
void hf__dial_secure(struct hf__conn *conn); /* the socket is ready, in SECURING */

/* greet.c: HELLO, SELECT, tracking, TIME, and our token; ends in READY or a failure. */
void hf__greet(struct hf__conn *conn);

/* wire.c: bytes in and out. Each may end the connection. */
void hf__wire_read(struct hf__conn *conn);
void hf__wire_flush(struct hf__conn *conn);
/* Write what is queued, if the connection stands and nothing is being written. */
void hf__conn_flush(struct hf__conn *conn);
/* Read as long as there is anything: a last look before giving up. */
void hf__wire_drain(struct hf__conn *conn);

#endif
