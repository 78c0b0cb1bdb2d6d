/* Holdfast: a state store for programs that must not stop when Redis does.
 *
 * This header is the manual of libholdfast. A *store* is one directory owned by one process. Every write
 * enters a journal on disk first, is visible at once to this store's readers, moves to the local tier (LMDB)
 * in the background, and is shared through Redis (the *shared tier*) when an address was given. While Redis
 * is away the store goes on reading and writing; what Redis missed is *pending* and is replayed when it returns.
 *
 * Rules that hold for the whole interface:
 *  - Every function returns 0 on success, a negative `enum hf_code` on failure, and a positive value only where a
 *    third answer is documented (`HF_NOT_FOUND`, `HF_NOT_DONE`). On failure `hf_errmsg()` gives one sentence for this thread, and
 *    output parameters are left untouched. A call that fails has changed nothing, unless it returns HF_EUNKNOWN.
 *  - Keys are 1 to 4,096 bytes and values 0 to `max_value_bytes`, any bytes. Keys that begin with `_hf:` are refused.
 *  - Times are milliseconds. A TTL is 1 ms to 100 years. A key is dead from the millisecond of its deadline on.
 *  - All functions may be called from any thread; one handle may be used by many threads at once, except that
 *    nothing may run beside or after `hf_close`. After fork() only the parent may use a handle.
 *  - A process whose files are limited in size (RLIMIT_FSIZE) ignores SIGXFSZ, or the limit ends it; then a write gets HF_EFULL.
 *  - What the library hands out as `struct hf_buf` is the caller's; release it with `hf_buf_release`. */
#ifndef HOLDFAST_H
#define HOLDFAST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HF_VERSION_MAJOR 0
#define HF_VERSION_MINOR 1
#define HF_VERSION_PATCH 0

#if defined(__GNUC__)
#define HF_API __attribute__((visibility("default")))
#else
#define HF_API
#endif

/* Limits (the reasons are in docs/limits.md). */
#define HF_KEY_MAX 4096                     /* bytes in a key */
#define HF_VALUE_MAX (512u * 1024u * 1024u) /* Redis's own bound on a string */
#define HF_TTL_MAX_MS 3155760000000LL       /* 100 years of 365.25 days */

/* name, number, text, when it happens */
#define HF_CODE_MAP(X)                                                                                             \
    X(HF_EINVAL, -1, "invalid argument")         /* a key, value, TTL or option outside its limits */              \
    X(HF_ENOMEM, -2, "out of memory")            /* an allocation failed */                                        \
    X(HF_EIO, -3, "input/output error")          /* the disk or the file system refused */                         \
    X(HF_ECORRUPT, -4, "damaged data")           /* bytes on disk that were durable are not what we wrote */       \
    X(HF_EVERSION, -5, "unknown format version") /* the store was written by another version */                    \
    X(HF_ELOCKED, -6, "store is in use")         /* another process, or this one, owns the store */                \
    X(HF_EREADONLY, -7, "store is open for reading only") /* a write through a reader's handle */                  \
    X(HF_EFULL, -8, "store is full")                      /* max_disk or the disk itself is used up */             \
    X(HF_ESTOPPED, -9, "journal has stopped") /* a sync failed: nothing is acknowledged until reopened */          \
    X(HF_EOFFLINE, -10, "shared tier is not reachable")   /* the call needs Redis to decide */                     \
    X(HF_ETIMEOUT, -11, "timed out")                      /* the wait ended before the thing waited for */         \
    X(HF_ENOTINT, -12, "not an integer, or out of range") /* an increment of something else */                     \
    X(HF_EWRONGTYPE, -13, "wrong type of value")          /* Redis holds another type under the key */             \
    X(HF_EREFUSED, -14, "refused by the shared tier")     /* done here, refused there: parked */                   \
    X(HF_EINDOUBT, -15, "in doubt")                       /* the evidence whether Redis applied it is gone */      \
    X(HF_EUNKNOWN, -16, "outcome unknown")                /* may or may not have been done */                      \
    X(HF_ECONFIG, -17, "configuration error")            /* a configuration file or address that cannot be used */ \
    X(HF_ECLOSED, -18, "store is closing")               /* the handle is being closed */                          \
    X(HF_EFORK, -19, "used after fork")                  /* a handle used in a child process */                    \
    X(HF_EBUSY, -20, "busy")                             /* a bounded queue is full and its policy is to refuse */ \
    X(HF_EAUTH, -21, "not permitted by the shared tier") /* wrong password, or an ACL without the right */

enum hf_code {
    HF_OK = 0,
    HF_NOT_FOUND = 1, /* a documented third answer: no such key */
    HF_NOT_DONE = 2,  /* a documented third answer: the condition did not hold, and nothing was changed */
#define X(name, number, text) name = number,
    HF_CODE_MAP(X)
#undef X
};

/* The sentence for the last call that failed on this thread; never NULL, "" before the first failure.
 * Borrowed until the next call into the library on this thread. */
HF_API const char *hf_errmsg(void);

/* The general text of a code; never NULL. */
HF_API const char *hf_code_text(int code);

/* "0.1.0": the library's version at run time. */
HF_API const char *hf_version(void);

/* ---- bytes ---------------------------------------------------------------------------------------------------- */

/* Borrowed bytes: they must stay as they are for the time the callee is documented to use them. */
struct hf_slice {
    const void *data;
    size_t len;
};

/* Owned bytes. `data` is NULL only when len is 0. */
struct hf_buf {
    void *data;
    size_t len;
};

/* Free the contents and reset to empty. Accepts an empty buffer. */
HF_API void hf_buf_release(struct hf_buf *buf);

/* ---- opening -------------------------------------------------------------------------------------------------- */

struct hf; /* a store handle */

/* When a write is acknowledged, and when a reader of this store sees it: nothing before that point is shown here. Where there
 * is a change log, Redis may be sent a write while it is synced, so that another node may read what a power cut here then
 * takes; it was never acknowledged, and comes back through the change log. */
enum hf_durability {
    HF_DURABILITY_ALWAYS = 0, /* acknowledged after fdatasync: survives kill -9 and power loss */
    HF_DURABILITY_INTERVAL,   /* acknowledged after write(); synced every sync_interval_ms: survives kill -9,
                                 a power cut may take the last interval */
    HF_DURABILITY_NONE,       /* acknowledged after write(); synced at checkpoints only */
};

enum hf_write_mode {
    HF_WRITE_THROUGH = 0, /* a write returns when it is durable here and acknowledged there, or pending */
    HF_WRITE_BEHIND,      /* a write returns when it is durable here; sharing follows */
    HF_WRITE_LOCAL,       /* never shared */
};

enum hf_read_mode {
    HF_READ_LOCAL = 0, /* the local copy; ask Redis only for what is not held here */
    HF_READ_SHARED,    /* ask Redis first, fall back to the local copy within the timeout */
};

/* Who wins when a key was changed here and there (docs/reconcile.md has the whole table). */
enum hf_conflict_policy {
    HF_CONFLICT_NEWEST = 0, /* the later write, by Redis's clock; theirs when its time is not known */
    HF_CONFLICT_REMOTE,     /* theirs */
    HF_CONFLICT_LOCAL,      /* ours */
    HF_CONFLICT_PARK,       /* nobody: ours is parked for the operator */
    HF_CONFLICT_MERGE_JSON, /* a three-way merge of JSON objects; `newest` where it cannot be had */
    HF_CONFLICT_CALLBACK,   /* options.resolve decides */
};

/* Who writes to the keys of a namespace in Redis: what has to be looked for. */
enum hf_writers {
    HF_WRITERS_ANY = 0,   /* any program, with plain commands: every replayed key is compared first */
    HF_WRITERS_HOLDFAST,  /* Holdfast nodes only: the change log tells what to compare; the rest is sent as it is */
    HF_WRITERS_THIS_NODE, /* only this store: nothing is compared, and no change log is kept */
};

/* What a write does while the shared tier is away. */
enum hf_outage_policy {
    HF_OUTAGE_JOURNAL = 0, /* it is taken, and shared later */
    HF_OUTAGE_REFUSE, /* it fails with HF_EOFFLINE, and so does every read, which only Redis answers: tokens, tickets.
                         One that was accepted and not answered in time ends with HF_EUNKNOWN */
    HF_OUTAGE_LOCAL, /* it is taken for this node alone; when the shared tier is back, what that holds counts */
};

/* What is done when Redis has lost the namespace's data. */
enum hf_loss_policy {
    HF_LOSS_BY_EVIDENCE = 0, /* restarted empty: reseed; flushed while it ran: hold */
    HF_LOSS_RESEED,          /* give back the copies that Redis had and that owe nothing, where nothing is there */
    HF_LOSS_ADOPT,           /* take what Redis has; each loss goes to the conflict log */
    HF_LOSS_HOLD,            /* hold the link until the operator decides */
};

/* What is shown of keys with a TTL while the time is not known (a boot without clock and without Redis). */
enum hf_unknown_time_policy {
    HF_UNKNOWN_TIME_SERVE = 0, /* serve them, flagged in the result */
    HF_UNKNOWN_TIME_HIDE,      /* as if they were not held */
};

/* A key prefix with its own rules. The longest matching prefix of a key rules it. */
struct hf_namespace {
    const char *prefix;     /* "" is the namespace of all keys that no other one matches */
    int64_t default_ttl_ms; /* for a set without TTL; 0: none */
    enum hf_write_mode write_mode;
    enum hf_read_mode read_mode;
    bool change_log_off;     /* no change log in Redis: then a write is sent only after its sync */
    uint32_t change_log_max; /* entries kept (MAXLEN ~); 0: HF_CHANGE_LOG_MAX_DEFAULT */
    enum hf_conflict_policy conflict;
    enum hf_writers writers;
    enum hf_outage_policy outage;
    enum hf_loss_policy on_loss;
    enum hf_unknown_time_policy unknown_time;
    bool tentative; /* set-if-absent, compare-and-set and get-and-delete may be decided here while offline; they
                               are checked at replay. Locks never are. */
    bool keep_no_replaced; /* do not keep what a blind write replaced in the conflict log */
};
#define HF_CHANGE_LOG_MAX_DEFAULT 10000u

/* What a write meets when a bound of the pending table is reached. */
enum hf_pending_policy {
    HF_PENDING_REJECT = 0, /* HF_EBUSY, at once */
    HF_PENDING_BLOCK,      /* wait for room, at most redis_timeout_ms, then HF_EBUSY; submissions do not wait */
    HF_PENDING_DROP_OLDEST, /* the oldest pending change is not shared any more: counted, kept in the conflict log, and its
                               key is compared with Redis at the next reconcile */
};

struct hf_conflict;   /* one conflict, see "conflicts" below */
struct hf_settlement; /* the end of one change, see "settling" below */

/* Decide a conflict of a namespace with HF_CONFLICT_CALLBACK. Called on the link's thread with no lock held; it must not call
 * the library, but for hf_merge_json, and should be quick. Returns 0 with `*ret_winner` set; for HF_WINNER_MERGED, `*ret_value` is a value made with
 * malloc, which the library frees. Anything else: it could not decide; the change stays pending and is offered again.
 * The answer is applied only if Redis still holds what was judged. */
enum hf_winner { HF_WINNER_OURS = 1, HF_WINNER_THEIRS, HF_WINNER_MERGED };
typedef int hf_resolve_fn(void *ctx, const struct hf_conflict *conflict, enum hf_winner *ret_winner,
                          struct hf_buf *ret_value);

/* Called once for each change of a shared namespace that has found its end on the shared tier, on the completion thread
 * with no lock held; it may call back into the library, but not hf_close. Borrowed during the call. What settles while the
 * store closes is told by the closing thread, and then every call back into the library fails with HF_ECLOSED. After a
 * crash, a change whose end no checkpoint had stored may be told once more by the next process. */
typedef void hf_settled_fn(void *ctx, const struct hf_settlement *settlement);

/* Zeroed means default everywhere. */
struct hf_options {
    const char *redis;          /* address; NULL or "": no shared tier. redis://[user[:password]@]host[:port][/db],
                                       rediss://... (TLS, chain and host name verified), unix:///path[?db=N] */
    const char *redis_user;     /* overrides the address's */
    const char *redis_password; /* overrides the address's; copied, never logged */
    const char *redis_ca_file;  /* PEM file of trusted authorities for rediss://; NULL: the system's */
    int redis_timeout_ms;       /* wait for an acknowledgement, and for a reply; 0: HF_REDIS_TIMEOUT_DEFAULT_MS */
    int redis_connect_timeout_ms; /* 0: HF_REDIS_CONNECT_TIMEOUT_DEFAULT_MS */
    int redis_heartbeat_ms;       /* an idle link is probed this often; 0: HF_REDIS_HEARTBEAT_DEFAULT_MS */
    int redis_backoff_max_ms;     /* between attempts to connect, at the most; 0: HF_REDIS_BACKOFF_MAX_DEFAULT_MS */

    enum hf_durability durability;
    int sync_interval_ms; /* for HF_DURABILITY_INTERVAL; 0: HF_SYNC_INTERVAL_DEFAULT_MS */

    uint64_t max_disk_bytes;    /* LMDB map size; 0: HF_MAX_DISK_DEFAULT */
    uint64_t max_value_bytes;   /* 0: HF_MAX_VALUE_DEFAULT */
    uint64_t segment_bytes;     /* journal segment; 0: HF_SEGMENT_DEFAULT */
    uint64_t checkpoint_bytes;  /* overlay size that starts a checkpoint; 0: HF_CHECKPOINT_BYTES_DEFAULT */
    int checkpoint_interval_ms; /* at the latest this long after a write; 0: HF_CHECKPOINT_INTERVAL_DEFAULT_MS */

    const struct hf_namespace *namespaces; /* copied; the namespace "" exists in any case */
    size_t n_namespaces;

    uint64_t pending_max;       /* keys and lane entries that wait for Redis; 0: HF_PENDING_MAX_DEFAULT */
    uint64_t pending_max_bytes; /* of their keys and values; 0: half of max_disk_bytes */
    int64_t pending_max_age_ms; /* of the oldest one; 0: no bound */
    enum hf_pending_policy pending_policy;
    uint64_t conflict_log_max;       /* conflicts kept; 0: HF_CONFLICT_LOG_MAX_DEFAULT */
    uint64_t conflict_log_max_bytes; /* of their keys and values; 0: a quarter of max_disk_bytes */
    uint64_t parked_max; /* parked entries kept; what does not fit stays pending; 0: HF_PARKED_MAX_DEFAULT */

    uint64_t replay_ops_per_s;   /* of the replay, at the most; 0: no bound; see hf_throttle */
    uint64_t replay_bytes_per_s; /* 0: no bound */
    int replay_delay_max_ms; /* the replay starts after a random time up to this, so that many nodes do not start
                                    at once; 0: at once */

    hf_resolve_fn *resolve; /* for HF_CONFLICT_CALLBACK; NULL: such namespaces are refused */
    void *resolve_ctx;
    hf_settled_fn *settled; /* NULL: nobody is told */
    void *settled_ctx;

    bool look_only;  /* connect, and send nothing that changes the shared tier: for a preview */
    bool read_only;  /* read a store, also one that another process owns; writes fail */
    bool must_exist; /* HF_NOT_FOUND instead of creating the store */
};
#define HF_REDIS_TIMEOUT_DEFAULT_MS 500
#define HF_REDIS_CONNECT_TIMEOUT_DEFAULT_MS 1000
#define HF_REDIS_HEARTBEAT_DEFAULT_MS 1000
#define HF_REDIS_BACKOFF_MAX_DEFAULT_MS 5000
#define HF_SYNC_INTERVAL_DEFAULT_MS 1000
#define HF_MAX_DISK_DEFAULT (16ull << 30)
#define HF_MAX_VALUE_DEFAULT (64ull << 20)
#define HF_SEGMENT_DEFAULT (16ull << 20)
#define HF_CHECKPOINT_BYTES_DEFAULT (16ull << 20)
#define HF_CHECKPOINT_INTERVAL_DEFAULT_MS 1000
#define HF_PENDING_MAX_DEFAULT 10000000u
#define HF_CONFLICT_LOG_MAX_DEFAULT 100000u
#define HF_PARKED_MAX_DEFAULT 100000u

/* Open the store in `dir`, creating it (directory 0700, files 0600) unless must_exist or read_only is set.
 * Recovers the journal's tail; does not wait for Redis. `opts` may be NULL. The handle is closed by hf_close.
 * Errors: HF_ELOCKED names the owner's process id; HF_EVERSION, HF_ECORRUPT, HF_EIO, HF_EINVAL, HF_ECONFIG, HF_ENOMEM. */
HF_API int hf_open(const char *dir, const struct hf_options *opts, struct hf **ret_store);

/* Checkpoint, stop the threads, free the handle. Writes acknowledged under any durability are on disk afterwards,
 * pending ones stay pending. Submissions still under way are completed first. Accepts NULL.
 * Returns 0, or HF_EFULL / HF_EIO / HF_ESTOPPED when the last checkpoint failed; the handle is gone in any case and nothing
 * that was acknowledged as durable is lost. */
HF_API int hf_close(struct hf *store);

/* ---- configuration files -------------------------------------------------------------------------------------- */

struct hf_config; /* a parsed configuration file; owns the strings that its options point to */

/* Read a JSON configuration file (docs/configuration.md). A syntax error names its line; an unknown key or a bad
 * value names the key's path, what was found and what was expected. Returns 0, HF_ECONFIG, HF_EIO, HF_ENOMEM. */
HF_API int hf_config_load(const char *path, struct hf_config **ret_config);
HF_API const struct hf_options *hf_config_options(const struct hf_config *config); /* borrowed from `config` */
HF_API const char *hf_config_dir(const struct hf_config *config); /* NULL when the file names none */
HF_API void hf_config_free(struct hf_config *config);             /* accepts NULL */

/* "250ms", "10s", "5m", "2h", "7d", or a plain number of milliseconds. HF_EINVAL, also when it does not fit. */
HF_API int hf_parse_duration(const char *text, int64_t *ret_ms);
/* "64MiB" (B, KiB, MiB, GiB, TiB), or a plain number of bytes. HF_EINVAL, also when it does not fit. */
HF_API int hf_parse_size(const char *text, uint64_t *ret_bytes);

/* ---- results -------------------------------------------------------------------------------------------------- */

enum hf_origin {
    HF_ORIGIN_NONE = 0,         /* nothing was read */
    HF_ORIGIN_SHARED,           /* Redis answered */
    HF_ORIGIN_LOCAL_VERIFIED,   /* our copy, known to be what Redis holds; or a store without a shared tier */
    HF_ORIGIN_LOCAL_UNVERIFIED, /* our copy; Redis may hold another value by now */
    HF_ORIGIN_PENDING,          /* our own change, which Redis has not acknowledged */
};

/* What is known about one operation. */
struct hf_result {
    int code;              /* as returned by the call; in a completion callback the call's result */
    uint64_t lsn;          /* journal number of the change (writes), or of the value read; 0: none */
    enum hf_origin origin; /* reads: where the value came from */
    bool durable;          /* survives power loss */
    bool shared;           /* Redis acknowledged it, or there is nothing to share */
    bool pending;          /* journaled here, not acknowledged by Redis */
    bool tentative;        /* an increment's value, or a decision, that Redis has not confirmed */
    bool time_unknown;     /* reads: the key has a TTL, and the time is not known (HF_UNKNOWN_TIME_SERVE) */
    bool existed;          /* deletes, TTL changes, increments: a live value was held here before */
    int64_t number;        /* increments: the new value */
    int64_t deadline_ms;   /* reads: milliseconds since 1970 on the store's timeline; 0: no TTL */
    const char *error;     /* completion callbacks: the sentence, when code < 0; borrowed during the callback */
};

/* ---- reading -------------------------------------------------------------------------------------------------- */

/* Read a value. `ret_value` is the caller's, with a NUL behind it that is not counted; `ret_result` may be NULL.
 * Returns 0, HF_NOT_FOUND (absent, or not held here while Redis cannot be asked: see `origin`), or an error.
 * Never shows a value that a crash could still take back (durability always): it waits for the sync under way. */
HF_API int hf_get(struct hf *store, struct hf_slice key, struct hf_buf *ret_value, struct hf_result *ret_result);

/* The same into the caller's buffer. `*ret_len` is the value's whole length, also when it is more than `capacity`;
 * then the first `capacity` bytes were copied. On failure the buffer's contents are undefined. */
HF_API int hf_get_into(struct hf *store, struct hf_slice key, void *buffer, size_t capacity, size_t *ret_len,
                       struct hf_result *ret_result);

/* 0 when the key holds a live value, else HF_NOT_FOUND. */
HF_API int hf_exists(struct hf *store, struct hf_slice key, struct hf_result *ret_result);

/* Remaining life in milliseconds, at least 1; -1: no TTL. HF_NOT_FOUND: no such key. */
HF_API int hf_ttl(struct hf *store, struct hf_slice key, int64_t *ret_ttl_ms, struct hf_result *ret_result);

/* ---- writing -------------------------------------------------------------------------------------------------- */

struct hf_set_options {
    int64_t ttl_ms;      /* from now; 0: the namespace's default TTL */
    int64_t deadline_ms; /* since 1970, instead of ttl_ms; a deadline in the past deletes the key */
    bool keep_ttl;       /* keep the deadline of the value that is replaced */
    bool no_ttl;         /* no TTL even where the namespace has a default */
};

/* Blocking writes: each returns when the change has the durability of the store and, in a write-through namespace,
 * Redis has acknowledged it or redis_timeout_ms has passed; in the latter case it is a success marked `pending`.
 * HF_EREFUSED: durable here, refused by Redis for a reason that lies in the entry, and parked.
 * HF_EUNKNOWN: the sync failed after the write, and the store has stopped; or, with the result marked `pending`, a namespace
 * with outage policy `refuse` had accepted it, and Redis did not answer: it is judged at the next reconcile.
 * HF_EBUSY: a bound of what is pending is reached. `ret_result` and `opts` may be NULL. */
HF_API int hf_set(struct hf *store, struct hf_slice key, struct hf_slice value, const struct hf_set_options *opts,
                  struct hf_result *ret_result);

/* Remove a key. HF_NOT_FOUND when nothing was held here; a shared key is deleted in Redis all the same. */
HF_API int hf_delete(struct hf *store, struct hf_slice key, struct hf_result *ret_result);

/* Set the remaining life; a negative or zero ttl_ms is refused. HF_NOT_FOUND: no such key. */
HF_API int hf_expire(struct hf *store, struct hf_slice key, int64_t ttl_ms, struct hf_result *ret_result);

/* Set the deadline; one in the past deletes the key. HF_NOT_FOUND: no such key. */
HF_API int hf_expire_at(struct hf *store, struct hf_slice key, int64_t deadline_ms, struct hf_result *ret_result);

/* Take the TTL away. HF_NOT_FOUND: no such key. */
HF_API int hf_persist(struct hf *store, struct hf_slice key, struct hf_result *ret_result);

/* Add to a decimal counter, which starts from 0; its deadline stays. `*ret_value` is Redis's answer when it came
 * in time, otherwise the local, tentative value (`tentative` is set in the result). HF_ENOTINT: not an integer,
 * or the sum does not fit 64 bits. Reaches Redis exactly once. */
HF_API int hf_incr(struct hf *store, struct hf_slice key, int64_t delta, int64_t *ret_value,
                   struct hf_result *ret_result);

/* ---- batches -------------------------------------------------------------------------------------------------- */

struct hf_batch; /* changes that are applied all or none; for one thread at a time */

HF_API int hf_batch_new(struct hf *store, struct hf_batch **ret_batch);
HF_API void hf_batch_free(struct hf_batch *batch); /* accepts NULL */
/* Add a change; key and value are copied. All keys of a batch must lie in one namespace (HF_EINVAL). */
HF_API int hf_batch_set(struct hf_batch *batch, struct hf_slice key, struct hf_slice value,
                        const struct hf_set_options *opts);
HF_API int hf_batch_delete(struct hf_batch *batch, struct hf_slice key);
HF_API int hf_batch_incr(struct hf_batch *batch, struct hf_slice key, int64_t delta);
/* As hf_expire_at and hf_persist, but Redis is not asked: a key that is not held here when its turn comes in the batch is left
 * out of it, and the rest is applied. */
HF_API int hf_batch_expire_at(struct hf_batch *batch, struct hf_slice key, int64_t deadline_ms);
HF_API int hf_batch_persist(struct hf_batch *batch, struct hf_slice key);
/* Apply, each change to what those before it have left: atomically here, and as one unit on the shared tier. If a key has a
 * conflict there that this change does not win, the whole batch is parked; merge-json and callback decide as newest does. The
 * batch is empty afterwards, also on failure. `ret_result->lsn` is the number of the last change, `existed` is told of the last
 * delete, change of a TTL or increment, and `number` of the last increment. HF_NOT_FOUND: every change was left out. */
HF_API int hf_batch_commit(struct hf_batch *batch, struct hf_result *ret_result);

/* ---- what the shared tier decides ------------------------------------------------------------------------------ */

/* Redis decides these while it is online, whatever the namespace's write mode; the answer has come from there, and the
 * change is durable here when the call returns. While Redis is away they fail with HF_EOFFLINE within a millisecond,
 * unless the namespace is `tentative`: then they are decided by what is held here, the result is marked `tentative`,
 * and the decision is checked at replay; if Redis does not confirm it, it is overturned: theirs holds, ours is in the
 * conflict log, and the settlement says so. In a store without a shared tier, and in a namespace that is never shared,
 * they are decided here for good. HF_EUNKNOWN: the connection broke before the answer came; the key is fetched again at
 * the next reconcile. While the answer is awaited, other writes of the key wait with it; submissions fail with HF_EBUSY.
 * HF_NOT_DONE: the condition did not hold. */

/* Set the key if it does not exist. */
HF_API int hf_set_if_absent(struct hf *store, struct hf_slice key, struct hf_slice value,
                            const struct hf_set_options *opts, struct hf_result *ret_result);
/* Set the key if it holds `expected`. */
HF_API int hf_compare_and_set(struct hf *store, struct hf_slice key, struct hf_slice expected,
                              struct hf_slice value, const struct hf_set_options *opts,
                              struct hf_result *ret_result);
/* Delete the key if it holds `expected`. */
HF_API int hf_compare_and_delete(struct hf *store, struct hf_slice key, struct hf_slice expected,
                                 struct hf_result *ret_result);
/* Take the value away: at most one caller on any node gets it. HF_NOT_FOUND: no such key; HF_EUNKNOWN also when it was taken
 * and there is no memory to hand it out. */
HF_API int hf_get_and_delete(struct hf *store, struct hf_slice key, struct hf_buf *ret_value,
                             struct hf_result *ret_result);

/* A lock: a key that holds its owner's random token and has a TTL. Any client can look at it; only the holder of the
 * token extends or releases it. The fencing number rises with every holder: hand it to what the lock protects. */
struct hf_lock;
#define HF_LOCK_ALLOWANCE_MS 10

struct hf_lock_info {
    const char *token; /* 32 hexadecimal digits; borrowed from the lock */
    uint64_t fence;    /* fencing number */
    int64_t
        safe_ms; /* for how long it is certainly still held, on this machine's clock that runs on while suspended:
                           its life counted from before Redis was asked, less a hundredth and HF_LOCK_ALLOWANCE_MS;
                           at most 0: stop using what it protects */
    bool lost;   /* Redis has said that it is another's, or nobody's */
};

/* Take the lock `key` for `ttl_ms`. While another holds it, wait up to wait_ms (0: not at all). The handle is released by
 * hf_lock_release. HF_NOT_DONE: another holds it; HF_EOFFLINE: nobody can decide (a store without a shared tier
 * decides by itself). */
HF_API int hf_lock_acquire(struct hf *store, struct hf_slice key, int64_t ttl_ms, int64_t wait_ms,
                           struct hf_lock **ret_lock);
/* Give it a new life of `ttl_ms` from now. HF_NOT_DONE: it is no longer ours. HF_EOFFLINE, HF_EUNKNOWN: what is left of the
 * old life still holds. */
HF_API int hf_lock_extend(struct hf_lock *lock, int64_t ttl_ms);
HF_API void hf_lock_info(const struct hf_lock *lock, struct hf_lock_info *ret_info);
/* Give it back, if it is still ours, and free the handle, in any case. HF_NOT_DONE: it was no longer ours; HF_EOFFLINE,
 * HF_EUNKNOWN: it ends with its TTL. Accepts NULL. */
HF_API int hf_lock_release(struct hf_lock *lock);

/* ---- asynchronous submission ---------------------------------------------------------------------------------- */

enum hf_op_kind { HF_OP_SET = 1, HF_OP_DELETE, HF_OP_EXPIRE_AT, HF_OP_PERSIST, HF_OP_INCR };

struct hf_op {
    enum hf_op_kind kind;
    struct hf_slice key;
    struct hf_slice value;     /* HF_OP_SET */
    struct hf_set_options set; /* HF_OP_SET */
    int64_t deadline_ms;       /* HF_OP_EXPIRE_AT */
    int64_t delta;             /* HF_OP_INCR */
};

/* Called once for each accepted submission, on the library's completion thread, with no lock held; it may call back
 * into the library, but not hf_close. `result` is borrowed. Completions of one key come in order of submission. */
typedef void hf_done_fn(void *ctx, const struct hf_result *result);

/* Submit a write. Key and value are copied. Visible to this store's readers as soon as it is durable.
 * If it returns an error (or HF_NOT_FOUND: nothing to do), `done` is never called. It never waits for Redis: HF_EBUSY while Redis
 * decides about the key, and at a bound of what is pending, under the policy `block` too; a change of a key that is not held
 * here is not made to the value that Redis may hold. It may wait for the disk: for the checkpoint under way when the overlay
 * holds twice checkpoint_bytes, and for the journal when 4 MiB wait to be written or a segment is full. */
HF_API int hf_submit(struct hf *store, const struct hf_op *op, hf_done_fn *done, void *ctx);

/* ---- for event loops ------------------------------------------------------------------------------------------- */

/* As hf_get_into, but waits neither for Redis nor for a sync. What is found is shown also while its sync is under way, an absence
 * by a delete included: unless hf_is_durable(ret_result->lsn), who is told of it must be told after hf_when_durable or hf_wait_durable (promise 1).
 * HF_NOT_DONE: nothing was read, because hf_ask_into might wait: Redis can be asked and is to be (the key is not held here, the copy
 * is not known to be what Redis holds, or the namespace reads from Redis), Redis is deciding about the key (or, now and then, about another one), the namespace refuses
 * what Redis does not answer, or the handle only reads. */
HF_API int hf_try_get_into(struct hf *store, struct hf_slice key, void *buffer, size_t capacity, size_t *ret_len,
                           struct hf_result *ret_result);
/* What to call then, on a thread that may wait: as hf_get_into, but a copy that is not known to be what Redis holds is not
 * enough while Redis can be asked. */
HF_API int hf_ask_into(struct hf *store, struct hf_slice key, void *buffer, size_t capacity, size_t *ret_len,
                       struct hf_result *ret_result);

/* As hf_submit, for a caller who needs no completion: the change is made, and its sync need not have begun. Who is told that it was
 * done must be told after hf_when_durable(ret_result->lsn), which begins one, or hf_wait_durable. What Redis makes of the change is told by hf_outcome
 * and the `settled` callback. HF_NOT_DONE: nothing was changed, because what may be told depends on Redis, which can be asked
 * (write-through, and the link is online) or must be (the namespace refuses what Redis does not answer): use hf_submit. */
HF_API int hf_try_write(struct hf *store, const struct hf_op *op, struct hf_result *ret_result);

/* Whether everything up to `lsn` has the durability of the store: synced, or written for interval and none. Costs one atomic
 * load. */
HF_API bool hf_is_durable(struct hf *store, uint64_t lsn);

/* Call `done` as soon as hf_is_durable(lsn), in the order of these calls, and whatever submissions still wait for. It is called by
 * whoever finds it so: the thread that has synced, which may be any that writes, or this one before it returns. So it may wake
 * others, and call nothing of the library. `result->code` is 0, or HF_ESTOPPED when the sync failed; besides it, only `lsn` and
 * `durable` say something. Sees to it that a sync is under way. HF_EINVAL: no change has that number yet. If it returns an error,
 * `done` is never called. */
HF_API int hf_when_durable(struct hf *store, uint64_t lsn, hf_done_fn *done, void *ctx);

/* Wait until hf_is_durable(lsn), and sync, on this thread, where no other does: as quick as the disk, for a caller who would only
 * wait to be called back. HF_ESTOPPED: the sync failed. HF_EINVAL: no change has that number yet. */
HF_API int hf_wait_durable(struct hf *store, uint64_t lsn);

/* As hf_batch_commit, with `done`, errors and waits as for hf_submit. The batch is empty afterwards, also on failure. */
HF_API int hf_batch_submit(struct hf_batch *batch, hf_done_fn *done, void *ctx);

/* Wait until what Redis had to say of changed keys before this call has been heard: afterwards no copy here counts as verified that
 * somebody had replaced there before. The link must come to ask within timeout_ms, and is answered within redis_timeout_ms or
 * lost. HF_ETIMEOUT; HF_EOFFLINE; 0 at once without a shared tier, and where Redis tells nothing: then no copy counts as
 * verified that others may write. */
HF_API int hf_hear(struct hf *store, int timeout_ms);

/* The time on the store's timeline, on which deadlines are told. */
HF_API int64_t hf_now_ms(const struct hf *store);

/* Whether what is written now goes to Redis at once: the link is online, or about to be. Never waits for anything. */
HF_API bool hf_is_online(struct hf *store);

/* ---- scanning ------------------------------------------------------------------------------------------------- */

struct hf_scan; /* a walk over the live keys with a prefix, in ascending order of their bytes; for one thread */

/* Start at the first key after `after` (empty: at the beginning). A scan is no snapshot: a key that is there from
 * beginning to end is seen exactly once; others may or may not be. No lock or transaction is held between calls.
 * To resume, pass the last key seen as `after`. */
HF_API int hf_scan_open(struct hf *store, struct hf_slice prefix, struct hf_slice after, struct hf_scan **ret_scan);
/* 0 and the next key and value, borrowed until the next call on this scan; HF_NOT_FOUND at the end. */
HF_API int hf_scan_next(struct hf_scan *scan, struct hf_slice *ret_key, struct hf_slice *ret_value,
                        struct hf_result *ret_result);
HF_API void hf_scan_close(struct hf_scan *scan); /* accepts NULL */

/* ---- status and settling -------------------------------------------------------------------------------------- */

/* name, text */
#define HF_LINK_MAP(X)                                                                                             \
    X(HF_LINK_DISABLED, "disabled")                                                                                \
    X(HF_LINK_CONNECTING, "connecting")                                                                            \
    X(HF_LINK_CATCHING_UP, "catching up")                                                                          \
    X(HF_LINK_REPLAYING, "replaying")                                                                              \
    X(HF_LINK_ONLINE, "online")                                                                                    \
    X(HF_LINK_OFFLINE, "offline")                                                                                  \
    X(HF_LINK_HELD, "held")
enum hf_link_state {
#define X(name, text) name,
    HF_LINK_MAP(X)
#undef X
};
HF_API const char *hf_link_text(enum hf_link_state link);

/* How a change ended on the shared tier. name, text */
#define HF_OUTCOME_MAP(X)                                                                                          \
    X(HF_OUTCOME_PENDING, "pending")         /* not yet */                                                         \
    X(HF_OUTCOME_APPLIED, "applied")         /* Redis took it */                                                   \
    X(HF_OUTCOME_ALREADY, "already applied") /* Redis had it: an answer had been lost */                           \
    X(HF_OUTCOME_SUPERSEDED, "superseded")   /* a newer change of ours or theirs stands instead, by rule */        \
    X(HF_OUTCOME_WON, "won a conflict")      /* applied; theirs is in the conflict log */                          \
    X(HF_OUTCOME_LOST, "lost a conflict")    /* theirs stands; ours is in the conflict log */                      \
    X(HF_OUTCOME_MERGED, "merged")           /* a merged value stands; both are in the conflict log */             \
    X(HF_OUTCOME_OVERTURNED, "overturned")   /* a tentative decision that did not hold; in the conflict log */     \
    X(HF_OUTCOME_EXPIRED, "expired")         /* its deadline passed while it waited */                             \
    X(HF_OUTCOME_PARKED, "parked")           /* refused; kept for the operator */                                  \
    X(HF_OUTCOME_IN_DOUBT, "in doubt")       /* nobody can know; kept for the operator */                          \
    X(HF_OUTCOME_DROPPED, "dropped")         /* at a bound, in the conflict log; or off the parked list */         \
    X(HF_OUTCOME_LOCAL, "local")             /* never to be shared */
enum hf_outcome {
#define X(name, text) name,
    HF_OUTCOME_MAP(X)
#undef X
        HF_N_OUTCOMES
};
HF_API const char *hf_outcome_text(enum hf_outcome outcome);

struct hf_status {
    enum hf_link_state link;
    char link_reason[160]; /* why it is not online; "" when it is */
    char node[33];         /* the node's id, 32 hexadecimal digits */
    int64_t owner_pid;     /* the process that owns the store; 0: none */
    bool read_only;
    uint64_t keys;             /* live keys held here */
    uint64_t pending_keys;     /* keys with a change that Redis has not acknowledged */
    uint64_t pending_bytes;    /* of their keys and values */
    int64_t oldest_pending_ms; /* age of the oldest one; 0: none */
    uint64_t pending_ops;      /* of them: increments and batches that wait in their lane */
    uint64_t conflicts;        /* entries in the conflict log, but for: */
    uint64_t blind_conflicts;  /* kept only because a write did not know what it replaced */
    uint64_t gaps;             /* keys to be compared with Redis at the next reconcile */
    uint64_t parked;           /* entries refused by Redis or in doubt, kept for the operator */
    uint64_t in_doubt;         /* of them: in doubt */
    uint64_t checkpoint_lsn;   /* the local tier holds everything up to here */
    uint64_t durable_lsn;
    uint64_t last_lsn;
    uint64_t journal_first_lsn; /* first entry still in the journal; 0: none */
    uint64_t journal_bytes;     /* size of its segment files */
    uint64_t journal_segments;
    uint64_t disk_used_bytes; /* of LMDB's map */
    uint64_t max_disk_bytes;
    uint64_t quarantined; /* damaged journal segments set aside at open */
    bool stopped;         /* a sync failed: reopen the store */
    /* since open */
    uint64_t shared_ops;                /* changes acknowledged by Redis */
    uint64_t replayed_ops;              /* of them: replayed after an outage */
    uint64_t settled_by_log;            /* found applied in our own change-log entries or by the mark */
    uint64_t expired_in_queue;          /* changes whose deadline passed while they waited */
    uint64_t refreshed;                 /* copies fetched again: named by others, or found to differ */
    uint64_t link_losses;               /* times the link was lost */
    uint64_t losses;                    /* times that Redis's data were found gone, or flushed, by namespace */
    uint64_t rollbacks;                 /* times that they were found rolled back, by namespace */
    uint64_t resent;                    /* copies and increments given back, or sent again, after these */
    uint64_t settled_by[HF_N_OUTCOMES]; /* changes that ended so, by enum hf_outcome */
    uint64_t dropped;                   /* pending changes dropped at a bound */
    uint64_t lost_conflicts;            /* entries that a full conflict log could not keep: blind ones only */
    uint64_t revalidated;               /* copies compared with Redis */
    bool paused;                        /* by the operator */
    bool
        adopting; /* after a loss the copies are being compared with what Redis holds: what differs becomes a conflict */
    bool look_only;
    bool time_unknown; /* another boot whose clock was not set; until Redis or the wall clock tell the time */
    uint64_t replay_ops_per_s, replay_bytes_per_s; /* bounds in force; 0: none */
    bool clock_known;             /* Redis's clock was measured once, and the time is known: the next two hold */
    int64_t clock_offset_ms;      /* Redis's clock minus the store's timeline */
    int64_t clock_uncertainty_ms; /* of it, now: grows until it is measured again */
    uint64_t clock_jumps;         /* times that Redis's clock was found to have been stepped, since open */
};

/* Fill in what is known now. `keys` costs a look at every overlay entry; nothing else waits or scans. */
HF_API int hf_status(struct hf *store, struct hf_status *ret_status);

/* What a plot of an outage is drawn from. */
struct hf_pulse {
    enum hf_link_state link;
    uint64_t pending;    /* keys, increments and batches that Redis has not acknowledged */
    uint64_t shared_ops; /* as hf_status has these two */
    uint64_t replayed_ops;
};
/* As hf_status, for who asks all the time: costs a few atomic loads, however much is held. */
HF_API int hf_pulse(struct hf *store, struct hf_pulse *ret_pulse);

/* One change of the link's state. */
struct hf_link_change {
    uint64_t number; /* 1 is the first since open */
    int64_t at_ms;   /* timeline */
    enum hf_link_state from, link;
    char reason[160]; /* why it is not online; "" when it is */
};
#define HF_LINK_CHANGES_KEPT 256
/* Call `each` for the link's changes in their order, from number `from` on, until it returns non-zero, which is then returned. The
 * last HF_LINK_CHANGES_KEPT are there; none without a shared tier. So nobody who asks now and then misses how long a state
 * lasted. */
HF_API int hf_link_changes(struct hf *store, uint64_t from,
                           int (*each)(void *ctx, const struct hf_link_change *change), void *ctx);

/* Wait until everything written before this call is shared (or expired, or parked), at most timeout_ms (negative:
 * without limit). HF_ETIMEOUT; HF_EOFFLINE when there is no shared tier to drain to or the link is held. */
HF_API int hf_drain(struct hf *store, int timeout_ms);

/* ---- settling: how each change ended ---------------------------------------------------------------------------- */

struct hf_settlement {
    struct hf_slice key;
    uint64_t first_lsn,
        last_lsn; /* the changes of this key that ended together: all but the last were superseded by it */
    enum hf_outcome outcome; /* of the last */
    bool has_number;
    int64_t number;     /* an increment's value in Redis */
    const char *reason; /* parked and in doubt: why; else "" */
};

/* How the change `lsn` of `key` (as told in a result) has ended. The `settled` callback tells each end exactly, once;
 * this tells as much as there is evidence for:
 *  - HF_OUTCOME_PENDING, HF_OUTCOME_PARKED and HF_OUTCOME_IN_DOUBT as long as it is so;
 *  - by its row, as long as that is in the conflict log: HF_OUTCOME_WON, LOST, MERGED, OVERTURNED, DROPPED, and APPLIED for a
 *    blind one. The row has the number of the last of the changes that ended together;
 *  - otherwise only that it has ended: HF_OUTCOME_APPLIED when it is still the key's newest change here, or an increment, batch
 *    or delete that is remembered as acknowledged (for about an hour); HF_OUTCOME_SUPERSEDED for everything older, whether
 *    or not Redis had it for a while. An expired change is not told apart;
 *  - HF_OUTCOME_DROPPED for a parked entry that was dropped, as long as what it wrote is still what is held here;
 *  - HF_OUTCOME_LOCAL for what is never shared.
 * HF_NOT_FOUND: no change of this key has that number, as far as can be known: a number that belongs to another key, below
 * the newest of this one, counts as superseded. */
HF_API int hf_outcome(struct hf *store, struct hf_slice key, uint64_t lsn, enum hf_outcome *ret_outcome);

/* Wait until every change up to `lsn` has ended, at most timeout_ms (negative: without limit). As hf_drain, for a point
 * in time: the LSN of a result, or hf_status.last_lsn. Newer changes may still be on their way. A key that was written
 * again before Redis had the older change owes both until it has the newer one. HF_ETIMEOUT; HF_EOFFLINE when there is no
 * shared tier, or the link is held. */
HF_API int hf_wait_shared(struct hf *store, uint64_t lsn, int timeout_ms);

/* ---- conflicts -------------------------------------------------------------------------------------------------- */

struct hf_side {
    bool present;  /* false: absent, or deleted */
    bool too_long; /* the value was not kept: it is longer than the conflict log takes */
    struct hf_slice value;
    int64_t deadline_ms;    /* timeline; 0: none */
    int64_t made_ms;        /* timeline; 0: not known */
    int64_t uncertainty_ms; /* of made_ms */
};

struct hf_conflict {
    uint64_t id;
    struct hf_slice key;
    enum hf_op_kind kind;  /* of our change */
    enum hf_winner winner; /* in a resolver: not decided yet */
    bool ambiguous;        /* the times were closer than their uncertainty */
    bool blind;            /* kept for information: our write did not know what it replaced */
    const char *rule;      /* "newest", "remote", ... in words; docs/reconcile.md lists them */
    int64_t decided_ms;    /* timeline */
    struct hf_side ours, theirs;
    bool has_base;        /* in a resolver: what both changes began from is known, */
    struct hf_slice base; /* and is this */
};

/* Call `each` for every conflict in order of its id, from `from_id` on, until it returns non-zero, which is then returned.
 * The conflict is borrowed during the call. What no checkpoint has stored yet is stored first (not by a handle that only
 * reads: it shows what is stored); the list fails when that does. */
HF_API int hf_conflict_list(struct hf *store, uint64_t from_id,
                            int (*each)(void *ctx, const struct hf_conflict *conflict), void *ctx);
/* Take a conflict off the log, durably: its decision stands. HF_NOT_FOUND. */
HF_API int hf_conflict_resolve(struct hf *store, uint64_t id);
/* Write the loser's value (or delete the key, where the loser was absent) as a new change, and take the conflict off the
 * log, both or neither, also across a crash. The value keeps its deadline. HF_NOT_FOUND; HF_EINVAL when the value was too
 * long to be kept, when its deadline has passed, and when the sides were merged, so that neither has lost. HF_EREFUSED: the
 * new change was parked. */
HF_API int hf_conflict_restore(struct hf *store, uint64_t id, struct hf_result *ret_result);

/* The shipped resolver, also for use in a callback: a three-way merge of JSON objects. Members that only one side changed
 * are taken from it, a removal being a change; members that both changed alike stay; where both changed differently, objects
 * are merged member by member, and anything else is taken from the side that `prefer` names. Without base every differing
 * member counts as changed by both, also one that only one side has. Numbers keep their text, and are compared by it.
 * Members come in ours' order, then theirs' new ones; the result has no spaces. HF_EINVAL: a side, or base, is no JSON
 * object in UTF-8, has a member twice, or holds U+0000. `*ret_merged` is the caller's. */
HF_API int hf_merge_json(const struct hf_slice *base, struct hf_slice ours, struct hf_slice theirs,
                         enum hf_winner prefer, struct hf_buf *ret_merged);

/* ---- for operators ---------------------------------------------------------------------------------------------- */

/* Stop and go on sending to Redis; reads and writes here go on, and so does what only looks. Kept over restarts. */
HF_API int hf_pause(struct hf *store);
HF_API int hf_resume(struct hf *store);
/* Bound the replay from now on; 0: no bound. Kept over restarts. */
HF_API int hf_throttle(struct hf *store, uint64_t ops_per_s, uint64_t bytes_per_s);

/* Decide for a namespace whose link is held because Redis lost its data: HF_LOSS_RESEED or HF_LOSS_ADOPT. HF_EINVAL: no
 * such namespace, or it is not held for that. */
HF_API int hf_decide_loss(struct hf *store, struct hf_slice prefix, enum hf_loss_policy policy);

/* Make the directory a node of its own: it is a copy of another store's directory, or was restored from one, and its link is
 * held for that. On a handle without an address; the new id counts from the next opening on. Changes that wait are kept, and
 * judged as all are; increments and batches that wait are parked, in doubt, because nobody can know whether the other directory
 * has sent them. HF_EINVAL: the handle has a link; HF_EFULL: the parked list has no room for them, and nothing was changed. */
HF_API int hf_renew_node(struct hf *store);

/* What would happen to one pending change if the replay ran now. */
struct hf_preview {
    struct hf_slice key;
    enum hf_op_kind kind;
    enum hf_outcome outcome; /* HF_OUTCOME_PENDING: a resolver would be asked, or the conflict log is full */
    const char *rule;        /* of a conflict; else "" */
    const char *reason;      /* HF_OUTCOME_PARKED: why; else "". Borrowed during `each` */
    uint64_t first_lsn, last_lsn;
    struct hf_side ours,
        theirs; /* values are not filled in; their lengths are: 0 for an increment and for another type */
};
/* Look at the live data and tell, changing nothing there or here. Until `each` returns non-zero. HF_EOFFLINE. */
HF_API int hf_preview(struct hf *store, int (*each)(void *ctx, const struct hf_preview *preview), void *ctx);

/* A loss of Redis's data that the replay would meet first. */
struct hf_loss {
    struct hf_slice prefix; /* of the namespace; borrowed from the store */
    const char *found;      /* "Redis was flushed", ...; a constant */
    /* What would be done; HF_LOSS_BY_EVIDENCE: send again what came after the older copy. */
    enum hf_loss_policy policy;
};
/* Look at epochs and marks, and tell each loss. What the change logs alone would tell is not told. As hf_preview. */
HF_API int hf_preview_losses(struct hf *store, int (*each)(void *ctx, const struct hf_loss *loss), void *ctx);

/* What each tier holds of a key, since when, and why. */
struct hf_explanation {
    bool held, live;              /* here */
    struct hf_slice value;        /* borrowed until hf_explanation_release */
    int64_t deadline_ms, made_ms; /* timeline */
    uint64_t lsn;
    bool in_overlay, in_journal_only; /* not in the local tier yet */
    enum hf_origin origin;            /* what a read would report */
    enum hf_outcome outcome;          /* of the latest change */
    const char *owed;                 /* "nothing", "a pending row", "lane entries" */
    uint64_t pending_first_lsn, pending_last_lsn, pending_folded;
    uint64_t parked, conflicts; /* entries that name this key */
    bool shared_known;          /* Redis was asked, and: */
    bool shared_present;
    char shared_type[24];
    struct hf_slice shared_value;
    int64_t shared_deadline_ms; /* timeline; 0: none */
    bool same;                  /* both tiers hold the same value and deadline */
    char prefix[257];           /* of the namespace */
    const char *why;            /* one sentence */
    void *memory;               /* the library's own */
};
HF_API int hf_explain(struct hf *store, struct hf_slice key, struct hf_explanation *ret_explanation);
HF_API void hf_explanation_release(struct hf_explanation *explanation); /* accepts an empty one */

/* The latest change of a key in Redis that the namespace's change log names. It names what Holdfast nodes write; a plain client may
 * have changed the key since. */
struct hf_logged {
    const char *what; /* "set", "deleted", "incremented", "given a deadline", "made to stay"; a constant */
    bool deleted;
    char node[33]; /* that wrote it */
    bool by_this_node;
    uint64_t lsn; /* in that node's numbering */
    int64_t since_ms,
        made_ms; /* timeline: when Redis got it, and when it was made, which is earlier after an outage */
    char id[48]; /* of the log's entry */
};
/* Reads the log from its end on until it names the key. HF_NOT_FOUND: it does not, or there is no log; HF_EOFFLINE. */
HF_API int hf_last_logged(struct hf *store, struct hf_slice key, struct hf_logged *ret_logged);

/* Compare the tiers by digest, all keys held here or a random sample of so many (0: all). */
struct hf_difference {
    struct hf_slice key;
    bool pending; /* it is known that Redis lacks this change */
    bool absent_there, other_value, other_deadline, other_type;
};
struct hf_verification {
    uint64_t compared, same, pending, different;
};
HF_API int hf_verify(struct hf *store, uint64_t sample,
                     int (*each)(void *ctx, const struct hf_difference *difference), void *ctx,
                     struct hf_verification *ret_sums);

/* What is to be said of the machine, the store and the server, for `holdfast doctor`. */
enum hf_finding_level { HF_FINDING_OK = 0, HF_FINDING_ADVICE, HF_FINDING_PROBLEM, HF_FINDING_UNKNOWN };
struct hf_finding {
    enum hf_finding_level level;
    const char *topic;  /* "server version" */
    const char *found;  /* "7.0.15" */
    const char *advice; /* what to do; "" when nothing is */
};
/* Call `each` for every finding, borrowed during the call, until it returns non-zero, which is then returned. Works without
 * Redis, and on a reader's handle: what could not be asked is a finding of level unknown. Waits at most redis_timeout_ms
 * for the link to ask, and as long again for the answer. Nothing is changed. */
HF_API int hf_doctor(struct hf *store, int (*each)(void *ctx, const struct hf_finding *finding), void *ctx);

/* Bring the local tier up to date with the journal and wait for it. */
HF_API int hf_checkpoint(struct hf *store);

/* A parked entry: refused by Redis or in doubt. Slices are borrowed during the callback. */
struct hf_parked {
    uint64_t lsn;
    bool in_doubt;
    enum hf_op_kind kind;
    struct hf_slice key;
    struct hf_slice value;
    int64_t delta;
    int64_t deadline_ms;
    int64_t made_ms;
    const char *reason;
};
/* Call `each` for every parked entry in order of LSN, until it returns non-zero, which is then returned. As for conflicts,
 * what no checkpoint has stored yet is stored first. */
HF_API int hf_parked_list(struct hf *store, int (*each)(void *ctx, const struct hf_parked *entry), void *ctx);
/* Make the entry a new change with a new LSN, and take it off the list, both or neither, also across a crash. An increment
 * that was in doubt is sent again: that is the operator's decision. A batch that was parked is as many entries: each is
 * requeued alone. HF_NOT_FOUND; HF_EINVAL when its deadline has passed, or it changes the life of a key that is not there;
 * HF_EREFUSED: it was parked again, under its new LSN. Whatever else a write may meet; then it stays parked. */
HF_API int hf_parked_requeue(struct hf *store, uint64_t lsn, struct hf_result *ret_result);
/* Take it off the list, durably; it is not shared, and the copy here stays until it is compared with Redis. HF_NOT_FOUND. */
HF_API int hf_parked_drop(struct hf *store, uint64_t lsn);

/* Who asks for what this thread calls from now on, for the audit log: a program that does what other processes ask for names them.
 * A pid of 0: this process itself. */
HF_API void hf_audit_as(uint32_t uid, int64_t pid);
/* Verbs that destroy or overrule something leave a line of JSON each in the file `audit.log` of the store's directory:
 * when, who (user and process), what, which key or entry. Call `each` for every line, oldest first. */
HF_API int hf_audit_list(struct hf *store, int (*each)(void *ctx, const char *line), void *ctx);

/* ---- the journal, for operators ------------------------------------------------------------------------------- */

struct hf_journal_segment {
    uint64_t number;    /* logical segment number */
    uint64_t first_lsn; /* 0: no entry yet */
    uint64_t last_lsn;
    uint64_t bytes; /* of the file */
    uint64_t used_bytes;
    uint64_t groups;
    const char *file;    /* name in the journal directory */
    const char *state;   /* "live", "torn tail", "damaged", "free" */
    const char *problem; /* a sentence, or "" */
};
/* Examine the journal of the store in `dir` from the disk, without opening the store; works beside an owner.
 * `each` as in hf_parked_list. Returns 0, HF_ECORRUPT when damage was found (after the last callback), or an error. */
HF_API int hf_journal_verify(const char *dir, int (*each)(void *ctx, const struct hf_journal_segment *segment),
                             void *ctx);

#ifdef __cplusplus
}
#endif
#endif
