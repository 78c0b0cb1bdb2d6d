/* The storm: several stores that share one Redis under random outages, kills and foreign writes, and the sceptic who
 * afterwards accounts for every acknowledged write.
 *
 *   storm_run.c    the weather: forks the stores, cuts lines, kills, restarts; writes as a plain client
 *   storm_node.c   one store: a process that writes at random until it is killed or called to calm
 *   storm_ops.c    its operations
 *   storm_calm.c   what it tells when all is over
 *   storm_lock.c   locks that the stores take from one another, and whether two ever held one at once
 *   storm_loss.c   how Redis loses its data
 *   storm_plan.c   the keys, their namespaces and the options of the stores, all by the seed
 *   storm_book.c   what was recorded: by each process in a log of its own, by Redis in its append-only file
 *   storm_check.c  the sceptic
 *
 * Random choices follow the seed; what meets what in time does not. */
#ifndef TEST_STORM_H
#define TEST_STORM_H

#include "gate.h"
#include "redis_server.h"

#include <holdfast.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#define STORM_NODES_MAX 4
#define STORM_KEY_MAX 32
#define STORM_TEXT_MAX 256
#define STORM_CLIENT STORM_NODES_MAX /* the plain client's number as a writer */

/* What Redis may lose: bits of `losses`. */
enum storm_losses {
    STORM_LOSS_ROLLBACK = 1, /* it comes back with an older copy of its data */
    STORM_LOSS_ALL = 2,      /* it is flushed, or comes back empty */
};

struct storm_options {
    uint64_t seed;
    unsigned nodes;
    int weather_ms;    /* how long it blows */
    bool kills;        /* kill -9 of stores */
    bool redis_kills;  /* and of Redis */
    bool plain_client; /* foreign writes */
    unsigned losses;   /* 0: Redis keeps its data */
    bool keep;         /* the directory, for a look afterwards */
    bool tell;         /* what happens, on stderr */
};

/* ---- the plan ---- */

enum storm_kind { STORM_PLAIN = 0, STORM_JSON, STORM_COUNTER, STORM_BATCH, STORM_PRIVATE };

struct storm_key {
    char name[STORM_KEY_MAX];
    enum storm_kind kind;
    const char *prefix;
    enum hf_conflict_policy policy;
    enum hf_writers writers;
    unsigned owner; /* STORM_PRIVATE */
    bool with_ttl;  /* sets may have a TTL, and it may be changed */
};

#define STORM_KEYS_MAX 128
#define STORM_TTL_SHORT_MIN_MS 150
#define STORM_TTL_SHORT_MAX_MS 2500
#define STORM_TTL_LONG_MS 3600000

struct storm_plan {
    struct storm_key keys[STORM_KEYS_MAX];
    unsigned n_keys;
    struct hf_namespace namespaces[16];
    unsigned n_namespaces;
    struct hf_options opts; /* without address */
};

/* Of the store `node`; the keys are the same for all. Points into itself. */
void storm_plan_make(const struct storm_options *options, unsigned node, struct storm_plan *ret_plan);
/* -1: none of ours. */
int storm_plan_find(const struct storm_plan *plan, const char *name);

/* Values are made so that each is written once: the writer's number, its life and the number of the operation. Long ones
 * go on with 'x'. `ret_text` is what is recorded of it. */
struct storm_value {
    char *bytes; /* malloc */
    size_t len;
    char text[STORM_TEXT_MAX];
};
void storm_value_make(const struct storm_key *key, unsigned writer, unsigned life, unsigned id, size_t len,
                      struct storm_value *ret_value);
/* What is recorded of bytes that were found: "damaged" when they are no value of the storm. */
void storm_value_text(const char *bytes, size_t len, char text[static STORM_TEXT_MAX]);

uint64_t storm_random(uint64_t *state, uint64_t below);

/* ---- the book ---- */

/* letter, what it says */
enum storm_what {
    STORM_BEGIN = 'B',   /* an operation was begun */
    STORM_ACK = 'A',     /* and has returned or completed: rc, lsn, flags */
    STORM_SETTLED = 'S', /* the library told how changes lsn..lsn2 ended: rc is the outcome */
    STORM_OPENED = 'O',  /* a store was opened: text is the node's id */
    STORM_FOUND = 'F',   /* a private key, right after opening */
    STORM_FINAL = 'D',   /* a key at the end */
    STORM_SCANNED = 'K', /* the same in a scan */
    STORM_CONFLICT = 'C',
    STORM_PARKED = 'P',
    STORM_STATUS = 'Z', /* number: conflicts; id: parked; lsn: uncertainty of the clock in ms */
    STORM_LOCK = 'L',   /* a lock was taken, extended, given back: id; lsn: fencing number; lsn2: safe until (us) */
    STORM_WEATHER = 'W', /* text says what */
};

enum storm_flag {
    STORM_SHARED = 1,
    STORM_PENDING = 2,
    STORM_DURABLE = 4,
    STORM_TENTATIVE = 8,
    STORM_IN_DOUBT = 16
};

struct storm_record {
    int64_t at_us; /* CLOCK_MONOTONIC: the same for all processes */
    unsigned writer, life;
    enum storm_what what;
    unsigned id; /* of the operation, in this life */
    char op;     /* s d e p i b: set, delete, expire, persist, increment, batch */
    char key[STORM_KEY_MAX];
    char text[STORM_TEXT_MAX];
    int64_t number; /* delta, deadline */
    uint64_t lsn, lsn2;
    int rc;
    unsigned flags;
};

int64_t storm_now_us(void); /* as records have it */
/* Append it to the log `fd` in one write: what was written survives the process. Fills in at_us. */
void storm_record_put(int fd, struct storm_record *record);

/* One command of Redis's append-only file that changed something. */
struct storm_applied {
    char
        op; /* s d e p i, v: evicted, and x: an entry of a change log names a change of `key` by `node` with `lsn` */
    char key[STORM_KEY_MAX];
    char text[STORM_TEXT_MAX];
    char node[33];
    int64_t number;
    uint64_t lsn;
    unsigned group; /* commands of one transaction have the same */
    bool lost;      /* Redis lost it again */
};

struct storm_book {
    struct storm_record *records; /* in order of time */
    size_t n_records, records_capacity;
    struct storm_applied *applied; /* in the order in which Redis did them */
    size_t n_applied, applied_capacity;
    char nodes[STORM_NODES_MAX][33]; /* ids */
};

int storm_book_read_log(struct storm_book *book, const char *path);
int storm_book_read_appended(struct storm_book *book, const char *redis_dir);
/* What Redis has just done; the caller fills in the rest. */
struct storm_applied *storm_book_apply(struct storm_book *book, char op, unsigned group);
/* Redis has lost all that it did from this one on. */
void storm_book_lose(struct storm_book *book, size_t from);
void storm_book_sort(struct storm_book *book);
void storm_book_release(struct storm_book *book);
/* The events of one key, newest last. */
void storm_book_tell(const struct storm_book *book, const char *key, size_t n_last, FILE *out);
void storm_record_tell(const struct storm_record *record, FILE *out);

/* ---- a store ---- */

/* The body of a store's process; `calls` brings letters: 'd' drain and answer, 'v' verify and record all, and answer,
 * 'q' close and exit. Never returns. */
void storm_node_main(const struct storm_options *options, unsigned node, unsigned life, const char *dir,
                     const char *address, int log, int calls) __attribute__((noreturn));

/* ---- locks ---- */

#define STORM_LOCKS 3

struct storm_locks {
    unsigned writer, life;
    int log;
    uint64_t random;
    int64_t due_us; /* for the next step */
    struct hf_lock *held[STORM_LOCKS];
};

/* If it is time: take, extend or give back one of them. Returns 0, or what no store may answer. */
int storm_locks_step(struct storm_locks *locks, struct hf *store);
/* Give all back. */
void storm_locks_end(struct storm_locks *locks);

/* ---- what a store does, also in the simulator (tests/sim) ---- */

struct storm_node {
    struct storm_plan plan;
    struct hf *store;
    unsigned number, life;
    int log;
    uint64_t random;
    unsigned next_id;
    pthread_mutex_t mutex; /* guards n_async */
    unsigned n_async;
    struct storm_locks locks;
    char unquiet[STORM_KEY_MAX + 64]; /* what was still waited for */
    /* Something returned what no store may answer in a storm, which may be the end. */
    void (*give_up)(struct storm_node *n, const char *what, int rc);
};

/* All but the store, the functions, and the seeds of `random` and `locks`. */
void storm_node_init(struct storm_node *n, const struct storm_options *options, unsigned node, unsigned life,
                     int log);
bool storm_is_expected(int rc);
struct storm_record storm_record_of(const struct storm_node *n, enum storm_what what);
unsigned storm_flags_of(const struct hf_result *result);
/* Of struct hf_options; `ctx` is a struct storm_node. */
void storm_on_settled(void *ctx, const struct hf_settlement *s);
/* One operation on this key, by n->random. */
void storm_operate(struct storm_node *n, const struct storm_key *key);

/* Just opened: the node's id, and the private keys. */
void storm_record_opened(struct storm_node *n);
void storm_record_key(struct storm_node *n, enum storm_what what, const struct storm_key *key);
/* Give the locks back, and wait until all is shared. */
void storm_drain(struct storm_node *n);
/* Wait until all copies are verified, then record all of them, and the lists. */
void storm_verify(struct storm_node *n);

/* ---- losses ---- */

/* Keep a copy of Redis's data as number n, from 1. Returns 0, or -1. */
int storm_loss_save(const struct redis_server *redis, unsigned n);
/* Of one that does not run: take its data away, as number n of what was lost, and put back a copy (0: none). Returns 0, or
 * -1. */
int storm_loss_take(const struct redis_server *redis, unsigned n, unsigned saved_as);

/* ---- the run and the check ---- */

struct storm_sums {
    unsigned lives, outages, redis_kills, losses;
    size_t holdings;
    size_t writes, acked, settled, conflicts, parked, in_doubt;
};

/* What Redis holds in the end. */
struct storm_there {
    bool present;
    char text[STORM_TEXT_MAX];
    long long deadline_ms; /* 0: none */
};

struct storm_sceptic {
    const struct storm_options *options;
    struct storm_plan plan;
    struct storm_book book;
    struct storm_there (*look)(const void *redis, const char *key);
    const void *redis;      /* of `look` */
    int64_t clock_error_ms; /* a store was begun in another boot with its wall clock wrong by up to so much */
    unsigned restarts; /* the most of a store's machine: each makes the times of what it had written less certain */
    int64_t late_ms;   /* its clock was measured so badly while the line was slow */
    int64_t early_ms;  /* a copy that was fetched may die so much earlier: as long as the answer was on its way */
    int64_t names_lost_us; /* what the log named until then, not all stores have read */
    bool log_lost; /* Redis went back to older data, and its change log was gone before all stores had read it */
    struct storm_sums sums;
    unsigned failures;
};

/* Tell a failure, with the story of `key` (NULL: of none). */
void storm_doubt(struct storm_sceptic *sceptic, const char *key, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void storm_check_locks(struct storm_sceptic *sceptic);
/* Look at everything; each failure is told on stderr with its story. */
void storm_check(struct storm_sceptic *sceptic);

/* One storm. Returns the number of failures. */
unsigned storm_run(const struct storm_options *options, struct storm_sums *ret_sums);

#endif
