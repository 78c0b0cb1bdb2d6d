/* The structures that the files of this folder share: environment, tier, snapshot, write transaction. */
#ifndef HF_LMDB_INTERNAL_H
#define HF_LMDB_INTERNAL_H

#include "lmdb_tier.h"

#include <lmdb.h>
#include <pthread.h>
#include <stdatomic.h>

#define HF__LMDB_FORMAT 4u

/* The longest key that `data` holds itself. LMDB allows 511 bytes in a key; an expiry entry adds 8 bytes of
 * deadline and 1 byte of reference tag. It is also the length of a full chunk of a long key. */
#define HF__LMDB_SHORT_MAX 500u
#define HF__LMDB_KEY_MAX 511u

/* name, name on disk */
#define HF__LMDB_TABLE_MAP(X)                                                                                      \
    X(HF__LMDB_META, "meta")                                                                                       \
    X(HF__LMDB_DATA, "data")                                                                                       \
    X(HF__LMDB_LONG, "long")                                                                                       \
    X(HF__LMDB_CHUNKS, "chunks")                                                                                   \
    X(HF__LMDB_EXPIRY, "expiry")                                                                                   \
    X(HF__LMDB_PENDING, "pending")                                                                                 \
    X(HF__LMDB_PENDING_ORDER, "pending_order")                                                                     \
    X(HF__LMDB_LANE, "lane")                                                                                       \
    X(HF__LMDB_LANE_KEYS, "lane_keys")                                                                             \
    X(HF__LMDB_PARKED, "parked")                                                                                   \
    X(HF__LMDB_CONFLICTS, "conflicts")                                                                             \
    X(HF__LMDB_GAPS, "gaps")                                                                                       \
    X(HF__LMDB_GAP_CHUNKS, "gap_chunks")                                                                           \
    X(HF__LMDB_RETAINED, "retained")
enum hf__lmdb_table {
#define X(name, text) name,
    HF__LMDB_TABLE_MAP(X)
#undef X
};
#define HF__LMDB_TABLES (HF__LMDB_RETAINED + 1)

struct hf__lmdb_env {
    MDB_env *mdb;
    MDB_dbi dbi[HF__LMDB_TABLES];
    char *path; /* of the environment's directory */
    uint64_t page_bytes;
    uint64_t map_pages;
    bool read_only;
};

/* Snapshots at rest: each slot holds one, or NULL. A thread looks into its own slot first, so that threads do not meet. The read
 * transaction of an owner's snapshot goes on while it rests, for the next look of the same commit; before the next write
 * transaction begins, those that are older than the last commit are reset, so that they keep no page from being used again. */
#define HF__LMDB_POOL_SLOTS 64u
struct hf__lmdb_slot {
    _Alignas(64) _Atomic(struct hf_local_snap *) snap;
};

struct hf__lmdb_tier {
    struct hf_local_tier tier; /* first: the seam's handle is this one's address */
    struct hf__lmdb_env env;
    unsigned n_slots;
    struct hf__lmdb_slot pool[HF__LMDB_POOL_SLOTS];
    _Atomic uint64_t n_commits;  /* through this tier */
    atomic_uint n_place_buckets; /* of all tables of places */

    /* Owned by the checkpoint thread. */
    bool was_full;     /* the last transaction met the limit */
    uint64_t tidy_lsn; /* up to here `pending_order` was tidied on this way through it */

    /* Readers only: the map can be moved while no snapshot of this process is open. */
    pthread_mutex_t lock;  /* guards n_open */
    pthread_cond_t closed; /* n_open went down */
    unsigned n_open;
};

/* What `meta` keeps under "state". */
struct hf__lmdb_state {
    uint64_t covered_lsn;
    uint64_t next_node; /* id of the next node of a long key; 0 is the root */
    uint64_t pending_bytes;
    uint64_t in_doubt;
    uint64_t parked_bytes;
    uint64_t conflict_bytes;
    uint64_t blind_conflicts;
};

struct hf_local_snap {
    struct hf__lmdb_tier *tier;
    MDB_txn *mdb;
    struct hf__lmdb_state state; /* a write transaction changes it here and stores it last */
    bool state_known;            /* `state` is valid */
    bool writes;                 /* it belongs to a hf_local_txn */
    bool is_live;                /* its read transaction is not reset */
    uint64_t n_commits;          /* of the tier, before it began */
    /* One per table, opened at first use. Each belongs to a transaction as long as that lasts: those that a snapshot
     * brings from the pool are renewed at first use (bits of `renewed`). LMDB itself closes those of a write transaction. */
    MDB_cursor *cursors[HF__LMDB_TABLES];
    uint32_t renewed;
    unsigned n_looks;               /* places.c's */
    struct hf__lmdb_places *places; /* NULL: none */
};

/* What a write transaction has taken from the map, as an estimate that errs upwards. */
struct hf__lmdb_room {
    uint64_t obtainable;               /* pages it could get when it began */
    bool counted;                      /* obtainable includes the free list */
    uint64_t n_touches;                /* sum of touched[] */
    uint64_t overflow;                 /* pages of large values */
    uint64_t touched[HF__LMDB_TABLES]; /* runs of changes to one leaf page */
    uintptr_t last[HF__LMDB_TABLES];   /* address of the last change in the table's dirty pages */
};

struct hf_local_txn {
    struct hf_local_snap snap; /* first: its address is the transaction's */
    struct hf__lmdb_room room;
    int failed; /* code of the first failure inside LMDB: the transaction cannot be committed */
};

#endif
