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
    HF_SHARED_LINK,    /* the connection: no blame on any entry; what was out is unanswered */
    HF_SHARED_STATE,   /* the server's state: LOADING, OOM, READONLY, MISCONF, BUSY, ...: back off, all wait */
    HF_SHARED_ENTRY,   /* this entry: WRONGTYPE, too large: park it, go on */
    HF_SHARED_AUTH,    /* NOAUTH, WRONGPASS, NOPERM: hold everything */
    HF_SHARED_FENCE,   /* our session token was gone or another's: nothing was applied; connect again */
    HF_SHARED_RETRY,   /* certainly not applied, because of a neighbour or a racing writer: send again */
    HF_SHARED_CHANGED, /* certainly not applied: the key does not hold what its guards say */
};

#define HF_SHARED_REASON_MAX 160

struct hf_shared_error {
    enum hf_shared_class class;
    bool oom;                          /* HF_SHARED_STATE because of maxmemory: deletes may still go */
    char reason[HF_SHARED_REASON_MAX]; /* a sentence or the server's text, without secrets */
};

/* This opening of the store, and those before it: session tokens begin with the id of the opening that made them. One
 * that begins with no known id was made by another copy of the store's directory. */
#define HF_OWNER_ID 16u /* hexadecimal digits */
#define HF_OWNERS_MAX 64u
struct hf_shared_owner {
    char id[HF_OWNER_ID + 1];
    char known[HF_OWNERS_MAX][HF_OWNER_ID]; /* this one, too */
    size_t n_known;
};

/* What the handshake found. */
struct hf_shared_hello {
    bool master;      /* from HELLO */
    bool tracking;    /* changes by others are told: see `invalidated` */
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
    /* Another client changed these keys (tracking), or, with n == 0, possibly all of them: the copies held here are
     * no longer verified. In order with the answers on this connection. Own groups are not told; lanes and decisions
     * may be. Not told is a value of another's behind which a group sets a deadline within one turn of the server, so
     * HF_SHARED_EXPIRE and _PERSIST without an examination leave a copy unverified. Borrowed. May be NULL: then nothing
     * is tracked. */
    void (*invalidated)(void *ctx, const struct hf_slice *keys, size_t n);
    /* Redis was asked for its TIME again: soon after `connected`, when the link is idle, and each minute. Asked and
     * answered at these times of the clock seam. For a user who may not ask `redis_ms` is negative: the link was found alive. May
     * be NULL. */
    void (*clock)(void *ctx, int64_t redis_ms, int64_t asked_ms, int64_t answered_ms);
};

/* What a key must hold. */
struct hf_shared_guard {
    bool absent;
    uint8_t digest[20]; /* unless absent: SHA-1 of the value */
    uint64_t len;
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
    int64_t made_ms;        /* on Redis's clock, for a replayed write; 0: just now */
    int64_t uncertainty_ms; /* of made_ms */
    /* What the key must hold, or the item is left out with class HF_SHARED_CHANGED: any of these will do; none: any
     * string, or nothing, and another type is HF_SHARED_ENTRY. In a guarded group; in a watched one they are what was
     * found, and looked at again only where the watch has ended early. */
    const struct hf_shared_guard *guards;
    size_t n_guards;
    void *owner;                  /* the link's own */
    struct hf_shared_error error; /* filled in before `done`; class HF_SHARED_OK: applied */
};

/* The change log that names a run of items; a namespace without one has key.len == 0. */
struct hf_shared_log {
    struct hf_slice key;  /* _hf:<prefix>:log:<epoch> */
    uint32_t max_entries; /* MAXLEN ~ */
    size_t first_item, n_items;
    const char
        *after_id; /* of a guarded group: if others have written to the log behind this id, nothing is applied, and
                             all items are HF_SHARED_CHANGED. NULL: it is not looked at; "": from the beginning */
    bool missing;  /* filled in: the stream was not there, or something else is: nothing was named */
    char last_id[48]; /* filled in: the id of our entry */
};

/* MULTI; items; one XADD per log; EXEC; WATCH session; GET session. */
struct hf_shared_group {
    struct hf_shared_item *items; /* all memory is the link's, unchanged until `done` */
    size_t n_items;
    struct hf_shared_log *logs;
    size_t n_logs;
    bool guarded;                 /* by one script that looks before it writes, item by item */
    bool watched;                 /* an examination that watches came before: nothing is applied, and every item has
                                     class HF_SHARED_RETRY, when one of its keys was touched since. Then n_items may be 0,
                                     which only ends the watching. */
    struct hf_shared_error error; /* filled in: of the group as a whole */
    void (*done)(void *ctx, struct hf_shared_group *group);
    void *ctx;
};

/* ---- examining: what Redis holds under keys, and what the change logs have named since ---- */

/* What to learn of a key beyond its type and length. */
enum {
    HF_WANT_DIGEST =
        1, /* the SHA-1 of a value of any length; of one up to HF_EXAMINE_SMALL it is told in any case */
    HF_WANT_VALUE = 2,    /* the value */
    HF_WANT_DEADLINE = 4, /* its deadline */
};
#define HF_EXAMINE_SMALL 4096u /* bytes */
#define HF_EXAMINE_BUDGET                                                                                          \
    (8u * 1024 * 1024) /* bytes that one request hashes or hands out; at least one key is served */

enum hf_shared_kind {
    HF_SHARED_ABSENT = 0,
    HF_SHARED_STRING,
    HF_SHARED_OTHER, /* a hash, a list, ...: see `type` */
};

struct hf_shared_seen {
    struct hf_slice key;
    uint8_t want; /* HF_WANT_* */
    void *owner;  /* the asker's own */
    /* filled in */
    uint8_t kind;  /* enum hf_shared_kind */
    bool left_out; /* the budget was used up before this key: what is wanted was not learned; ask again */
    bool has_digest;
    uint8_t digest[20];
    uint64_t len;                 /* of a string */
    struct hf_slice value;        /* with HF_WANT_VALUE; borrowed during `done` */
    int64_t deadline_ms;          /* with HF_WANT_DEADLINE: on Redis's clock; 0: none */
    char type[24];                /* HF_SHARED_OTHER */
    struct hf_shared_error error; /* HF_SHARED_AUTH: this user may not look at this key */
};

/* Whose change lets the group store nothing that follows an examination. */
enum hf_shared_watch {
    HF_WATCH_NOTHING = 0, /* no group follows: like a fetch, the request may run beside others */
    HF_WATCH_KEYS,
    HF_WATCH_LOGS, /* where whoever writes names it there. Of the keys no more than the kind is told, and of the logs no more
                      than whether they are to be read */
};

/* Read-only. By a script; for a user who may run none, by single commands: slower, with the same answers. */
struct hf_shared_examine {
    struct hf_shared_seen *keys; /* all memory is the asker's, unchanged until `done` */
    size_t n_keys;               /* 0: only the logs are read */
    enum hf_shared_watch watch; /* of anything: the next request but fetches must be a group with `watched`; several
                                   examinations may come before it */
    /* Read on in the same turn, after the keys are watched: what another node wrote before the keys were looked at is
     * named there. Each as in send_log_page, with one page. */
    struct hf_shared_log_page *logs;
    size_t n_logs;
    bool
        unread; /* filled in, with HF_WATCH_LOGS: one of them is to be read, as something stands behind its id, or nothing
                    at all is there */
    struct hf_shared_error error; /* filled in: of the whole */
    void (*done)(void *ctx, struct hf_shared_examine *examine);
    void *ctx;
};

/* ---- lanes ---- */

/* One lane entry, or a member of an atomic unit. */
struct hf_shared_lane_op {
    enum hf_shared_op op;
    struct hf_slice key, value;
    int64_t delta;
    int64_t deadline_ms; /* as in hf_shared_item; an increment's: given to a counter that it creates, and
                                     when it has passed the increment is not applied (outcome expired) */
    uint64_t lsn;
    bool more; /* the next one belongs to the same unit: all or none */
    /* A key whose value Redis must still hold as it was known here, or nothing is done; only of sets and deletes. */
    const struct hf_shared_guard *guards; /* any of them will do; NULL: no matter what is there */
    size_t n_guards;
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
    HF_LANE_CHANGED,     /* nothing was done: none of the guards of the operation at `bad` holds */
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
    size_t bad;                   /* filled in for HF_LANE_BAD and HF_LANE_CHANGED: index into ops */
    struct hf_shared_error error;
    void (*done)(void *ctx, struct hf_shared_lane *lane);
    void *ctx;
};

/* What a namespace's bookkeeping holds: its epoch (created with its empty log when missing), our mark. */
struct hf_shared_epoch {
    struct hf_slice prefix;
    bool with_log;        /* make and use a change log */
    bool look_only;       /* make nothing: a missing epoch stays "", a missing log missing */
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
    uint64_t lsn;           /* in the writer's numbering */
    uint64_t last_lsn;      /* the highest one of the entry; a lane's mark was set to it */
    int64_t made_ms;        /* on Redis's clock: when it was made; for a live write, when it arrived */
    int64_t uncertainty_ms; /* of made_ms, as far as the writer knew */
};
struct hf_shared_log_page {
    struct hf_slice log_key;
    char after_id[48]; /* in: read behind this id ("" or "0-0": from the beginning); out: the last one read */
    uint32_t count;    /* entries at the most */
    bool
        backwards; /* read the newest entries before after_id ("": of all), newest first; gap and missing say nothing */
    void (*each)(void *ctx, const struct hf_shared_change *change); /* called in order before `done` */
    uint32_t n_entries; /* filled in; less than count: the end was reached */
    bool gap;           /* filled in: after_id was trimmed away: changes may be missing */
    bool missing; /* filled in: after_id lies inside the log's range, and no such entry is there: another history */
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

/* ---- deciding: what only the shared tier can decide, by one script that compares and acts ---- */

enum hf_decide_op {
    HF_DECIDE_SET_IF_ABSENT = 1, /* set, if there is no such key */
    HF_DECIDE_COMPARE_SET,       /* set, if the key holds `expected` */
    HF_DECIDE_COMPARE_DELETE,    /* delete, if it does */
    HF_DECIDE_COMPARE_EXPIRE,    /* give it the new life, if it does */
    HF_DECIDE_GET_DELETE,        /* delete, if there is such a key, and hand out what it held */
    HF_DECIDE_ACQUIRE, /* as SET_IF_ABSENT, and draw the next fencing number; a key that holds `value` already
                                    is ours: done, with its number */
};

#define HF_DECIDE_KEEP_TTL (-1) /* HF_DECIDE_COMPARE_SET */

struct hf_shared_decide {
    enum hf_decide_op op;
    struct hf_slice key, expected, value;
    int64_t ttl_ms;            /* from Redis's now; 0: none; HF_DECIDE_KEEP_TTL: the one that is there */
    struct hf_slice fence_key; /* HF_DECIDE_ACQUIRE: _hf:<prefix>:fence */
    struct hf_shared_log log;  /* first_item and n_items unused */
    uint64_t lsn;              /* named in the log when it was done */
    /* filled in */
    bool decided;                 /* it was done */
    bool has_found;               /* the key held a value before */
    struct hf_slice found;        /* it; borrowed during `done` */
    int64_t ttl_left_ms;          /* of what the key holds now; -1: none */
    uint64_t fence;               /* HF_DECIDE_ACQUIRE: rises with every holder */
    struct hf_shared_error error; /* HF_SHARED_LINK: it is not known whether it was done */
    void (*done)(void *ctx, struct hf_shared_decide *decide);
    void *ctx;
};

/* ---- facts: what an operator should know of the server; whatever this user may not read is left unknown ---- */

/* Whether changes by others are to be told from now on. Where nobody listens to them nothing is changed. */
enum hf_shared_track { HF_TRACK_AS_IS = 0, HF_TRACK_OFF, HF_TRACK_ON };

struct hf_shared_facts {
    enum hf_shared_track track; /* set by the asker: done beside the questions */
    bool tracking;              /* it is so now; only when `track` says something */
    char version[24];           /* "7.0.15", from the handshake */
    bool has_info;              /* INFO was answered: the fields up to `connected_replicas` hold */
    char run_id[48];            /* of this life of the server */
    int64_t uptime_s;
    bool loading;
    bool aof_enabled;
    char rdb_status[16]; /* of the last save: "ok", "err" */
    char aof_status[16]; /* of the last append: "ok", "err" */
    int64_t rdb_changes_since_save;
    uint64_t used_memory_bytes, max_memory_bytes; /* 0: no limit */
    char eviction_policy[32];
    uint64_t evicted_keys;
    char role[16]; /* "master", "slave" */
    uint64_t connected_replicas;
    bool has_config;          /* CONFIG GET was answered: */
    char append_fsync[16];    /* "always", "everysec", "no" */
    char save_points[64];     /* "3600 1 300 100"; "": none */
    uint64_t max_value_bytes; /* proto-max-bulk-len */
    char user[64];            /* of ACL WHOAMI; "": unknown */
    bool may_run_scripts, may_read_info, may_read_config, may_track;
    char refusal[HF_SHARED_REASON_MAX]; /* the first one, in the server's words; "" */
    struct hf_shared_error error;
    void (*done)(void *ctx, struct hf_shared_facts *facts);
    void *ctx;
};

struct hf_shared_tier {
    const struct hf_shared_ops *ops;
};

struct hf_shared_ops {
    /* Create the link thread; `handler` and `ctx` must live until `stop` returns. `woken` is called once first. */
    int (*start)(struct hf_shared_tier *tier, const struct hf_shared_handler *handler, void *ctx);
    /* Before `start`, or not at all: whose tokens are ours. Where another one is found the connection is refused with
     * HF_SHARED_AUTH, and the token stays. Borrowed until `stop`. */
    void (*identify)(struct hf_shared_tier *tier, const struct hf_shared_owner *owner);
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
    int (*send_examine)(struct hf_shared_tier *tier, struct hf_shared_examine *examine);
    int (*send_decide)(struct hf_shared_tier *tier, struct hf_shared_decide *decide);
    /* Hand to the system now what has been sent, which else is done when the handler returns: it still has work to do. May
     * find the connection broken. */
    void (*flush)(struct hf_shared_tier *tier);
    int (*send_facts)(struct hf_shared_tier *tier, struct hf_shared_facts *facts); /* may run beside others */
};

#endif
