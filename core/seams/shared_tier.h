/* The seam to the shared tier: one fenced connection to Redis, its thread and its event loop.
 *
 * Production passes backends/redis; tests may pass a modelled one with a virtual clock. The transport knows the
 * protocol and nothing of what is pending; the link (core/link.c) decides what to send and knows no protocol.
 *
 * Threads: `start` creates the link thread. Every handler function and every `done` runs on it, and every operation
 * except `start`, `wake` and `stop` must be called on it. One request is out at a time, except fetches, which may
 * run beside it. A request whose `send_*` returned 0 gets exactly one `done`, also when the connection is lost.
 *
 * Deadlines: the transport bounds connecting, every reply (as a whole, not per read) and the silence of an idle
 * connection (heartbeat), and reports a breach as a loss. A frozen peer is found by these, never by TCP. */
#ifndef HF_SHARED_TIER_H
#define HF_SHARED_TIER_H

#include <holdfast.h>

/* What an error says about whom. */
enum hf_shared_class {
    HF_SHARED_OK = 0,
    HF_SHARED_LINK,  /* the connection: no blame on any entry; what was out is unanswered */
    HF_SHARED_STATE, /* the server's state: LOADING, OOM, READONLY, MISCONF, BUSY, ...: back off, all wait */
    HF_SHARED_ENTRY, /* this entry: WRONGTYPE, too large: park it, go on */
    HF_SHARED_AUTH,  /* NOAUTH, WRONGPASS, NOPERM: hold everything */
    HF_SHARED_FENCE, /* our session token was gone or another's: nothing was applied; connect again */
    HF_SHARED_RETRY, /* certainly not applied, because of a neighbour or a racing writer: send again */
};

#define HF_SHARED_REASON_MAX 160

struct hf_shared_error {
    enum hf_shared_class class;
    bool oom;                          /* HF_SHARED_STATE because of maxmemory: deletes may still go */
    char reason[HF_SHARED_REASON_MAX]; /* a sentence or the server's text, without secrets */
};

/* What the handshake found. */
struct hf_shared_hello {
    bool master;      /* from HELLO */
    char version[24]; /* "7.0.15" */
    int64_t redis_ms; /* TIME, milliseconds since 1970 ... */
    int64_t asked_ms; /* ... asked and answered at these times of the clock seam */
    int64_t answered_ms;
};

struct hf_shared_handler {
    /* The connection stands, is authenticated, and holds our fresh session token. */
    void (*connected)(void *ctx, const struct hf_shared_hello *hello);
    /* Connecting failed, or the connection is gone. All `done`s of what was out have run before. */
    void (*lost)(void *ctx, const struct hf_shared_error *error);
    /* `wake` was called since the last time, or the thread has just started. */
    void (*woken)(void *ctx);
    /* The timer set by set_timer has run out. */
    void (*timer)(void *ctx);
};

/* One plain, idempotent change. */
enum hf_shared_op {
    HF_SHARED_SET = 1, /* SET key value [PXAT deadline] */
    HF_SHARED_DELETE,  /* DEL key */
    HF_SHARED_EXPIRE,  /* PEXPIREAT key deadline */
    HF_SHARED_PERSIST, /* PERSIST key */
    HF_SHARED_INCR     /* lanes only */
};
struct hf_shared_item {
    enum hf_shared_op op;
    struct hf_slice key, value;
    int64_t deadline_ms; /* on Redis's clock; 0: none */
    uint64_t lsn;
    int64_t made_ms;              /* on Redis's clock, for a replayed write; 0: just now */
    void *owner;                  /* the link's own */
    struct hf_shared_error error; /* filled in before `done`; class HF_SHARED_OK: applied */
};

/* The change log that names a run of items; a namespace without one has key.len == 0. */
struct hf_shared_log {
    struct hf_slice key;  /* _hf:<prefix>:log:<epoch> */
    uint32_t max_entries; /* MAXLEN ~ */
    size_t first_item, n_items;
    bool missing;     /* filled in: the stream was not there (NOMKSTREAM answered nil) */
    char last_id[48]; /* filled in: the id of our entry */
};

/* MULTI; items; one XADD per log; EXEC; WATCH session; GET session. */
struct hf_shared_group {
    struct hf_shared_item *items; /* all memory is the link's, unchanged until `done` */
    size_t n_items;
    struct hf_shared_log *logs;
    size_t n_logs;
    bool check_type;              /* replay: a key that holds another type than string is not overwritten */
    struct hf_shared_error error; /* filled in: of the group as a whole */
    void (*done)(void *ctx, struct hf_shared_group *group);
    void *ctx;
};

/* One lane entry, or a member of an atomic unit. */
struct hf_shared_lane_op {
    enum hf_shared_op op;
    struct hf_slice key, value;
    int64_t delta;
    int64_t deadline_ms; /* as in hf_shared_item; an increment's: given to a counter that it creates, and
                                     when it has passed the increment is not applied (outcome expired) */
    uint64_t lsn;
    bool more; /* the next one belongs to the same unit: all or none */
    void *owner;
    bool expired;    /* filled in */
    bool has_number; /* filled in: `number` is the counter's value now */
    int64_t number;
};

enum hf_lane_outcome {
    HF_LANE_APPLIED = 1, /* all of them */
    HF_LANE_ALREADY,     /* all of them, before: mark == last */
    HF_LANE_MARK,        /* nothing was done: the mark is neither prev nor last; see `mark` */
    HF_LANE_BAD,         /* nothing was done: the operation at `bad` cannot be applied; see `error` */
    HF_LANE_FAILED       /* see `error`; for class HF_SHARED_LINK it is not known whether it was done */
};

/* A script that examines all, then applies all; guarded by the token and by the mark. */
struct hf_shared_lane {
    struct hf_slice mark_key; /* _hf:<prefix>:mark:<node> */
    uint64_t prev;            /* the mark must be this; 0: must be absent */
    struct hf_shared_log log; /* first_item and n_items unused */
    struct hf_shared_lane_op *ops;
    size_t n_ops;                 /* at least 1; the last one's LSN becomes the mark */
    enum hf_lane_outcome outcome; /* filled in */
    uint64_t mark;                /* filled in for HF_LANE_MARK; 0: absent */
    size_t bad;                   /* filled in for HF_LANE_BAD: index into ops */
    struct hf_shared_error error;
    void (*done)(void *ctx, struct hf_shared_lane *lane);
    void *ctx;
};

/* What a namespace's bookkeeping holds: its epoch (created with its empty log when missing), our mark. */
struct hf_shared_epoch {
    struct hf_slice prefix;
    bool with_log;        /* make and use a change log */
    char epoch[33];       /* filled in: 32 hexadecimal digits */
    bool created;         /* filled in: there was none */
    bool log_missing;     /* filled in: the epoch was there, the log was not (it has been made again) */
    char log_last_id[48]; /* filled in: the log's newest id, "0-0" when it has none */
    uint64_t mark;        /* filled in: 0: absent */
    struct hf_shared_error error;
    void (*done)(void *ctx, struct hf_shared_epoch *epoch);
    void *ctx;
};

/* One name in a change-log entry. */
struct hf_shared_change {
    const char *node; /* who wrote; borrowed during `each` */
    const char *id;   /* the entry's stream id */
    enum hf_shared_op op;
    struct hf_slice key;
    uint64_t lsn; /* in the writer's numbering */
};
struct hf_shared_log_page {
    struct hf_slice log_key;
    char after_id[48]; /* in: read behind this id ("" or "0-0": from the beginning); out: the last one read */
    uint32_t count;    /* entries at the most */
    void (*each)(void *ctx, const struct hf_shared_change *change); /* called in order before `done` */
    uint32_t n_entries; /* filled in; less than count: the end was reached */
    bool gap;           /* filled in: after_id was trimmed away: changes may be missing */
    struct hf_shared_error error;
    void (*done)(void *ctx, struct hf_shared_log_page *page);
    void *ctx;
};

struct hf_shared_fetch {
    struct hf_slice key;
    bool found;                   /* filled in; value and ttl_ms only then */
    struct hf_slice value;        /* borrowed during `done` */
    int64_t ttl_ms;               /* remaining at the answer; -1: none */
    struct hf_shared_error error; /* HF_SHARED_ENTRY: another type */
    void (*done)(void *ctx, struct hf_shared_fetch *fetch);
    void *ctx;
};

struct hf_shared_tier {
    const struct hf_shared_ops *ops;
};

struct hf_shared_ops {
    /* Create the link thread; `handler` and `ctx` must live until `stop` returns. `woken` is called once first. */
    int (*start)(struct hf_shared_tier *tier, const struct hf_shared_handler *handler, void *ctx);
    /* Any thread, also a signal-free fast path: cheap when a wake is already under way. */
    void (*wake)(struct hf_shared_tier *tier);
    /* Not on the link thread: drop the connection (running every outstanding `done`, then no handler any more), end
     * and join the thread, free the tier. Accepts a tier that was never started, and NULL. */
    void (*stop)(struct hf_shared_tier *tier);

    /* Begin to connect; ends in `connected` or `lost`. */
    void (*connect)(struct hf_shared_tier *tier);
    /* Drop the connection: outstanding `done`s with HF_SHARED_LINK, then no `lost`. */
    void (*disconnect)(struct hf_shared_tier *tier);
    /* One timer: replaces the one before; negative: none. */
    void (*set_timer)(struct hf_shared_tier *tier, int delay_ms);

    int (*send_group)(struct hf_shared_tier *tier, struct hf_shared_group *group);
    int (*send_lane)(struct hf_shared_tier *tier, struct hf_shared_lane *lane);
    int (*send_epoch)(struct hf_shared_tier *tier, struct hf_shared_epoch *epoch);
    int (*send_log_page)(struct hf_shared_tier *tier, struct hf_shared_log_page *page);
    int (*send_fetch)(struct hf_shared_tier *tier, struct hf_shared_fetch *fetch);
};

#endif
