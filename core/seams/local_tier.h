/* The seam to the local tier: the ordered, transactional store of what the journal has already made durable.
 *
 * Production passes backends/lmdb; tests may pass another one. Everything a checkpoint stores goes into ONE write
 * transaction: records, expiry index, pending table, lanes, parked entries, meta. Only the checkpoint thread takes
 * a write transaction; readers take snapshots from any thread and never wait for it.
 *
 * Errors: 0 or a negative hf_code with the sentence set (hf__fail); HF_NOT_FOUND where stated. HF_EFULL when the map
 * or the disk is full. HF_ECORRUPT when bytes fail their checksum. */
#ifndef HF_LOCAL_TIER_H
#define HF_LOCAL_TIER_H

#include <holdfast.h>

enum hf_type { HF_TYPE_STRING = 1 }; /* room for hashes, sets, lists */

/* Flags of a record. */
enum {
    HF_RECORD_SHARED = 1, /* Redis acknowledged this very value, or it was fetched from there */
    HF_RECORD_UNSHARED =
        4, /* written for this node alone, or refused there: Redis does not hold it; any other record that
                                 owes neither a row nor a lane entry is one that Redis has acknowledged. With
                                 HF_RECORD_SHARED: only its life has been changed since */
    HF_RECORD_COUNTED =
        8, /* an increment's value, or Redis's answer to one, whose LSN is later than that of any change */
    HF_RECORD_LANE = 16,    /* made by a change of the lane: the mark tells whether Redis holds it */
    HF_RECORD_LIFE = 32,    /* its lane's, or fetched, and the LSN is of a plain change of its life since */
    HF_RECORD_OUTLIVED = 64 /* what the key held before would live longer */
};

/* One key's value. Slices that a reader gets are borrowed until its snapshot ends (and, from an iterator, until
 * the next move). */
struct hf_record {
    struct hf_slice value;
    int64_t deadline_ms; /* store timeline; 0: no TTL */
    int64_t made_ms;     /* when the write was made */
    uint64_t lsn;        /* of the write; 0: a fetched copy */
    uint8_t type;        /* enum hf_type */
    uint8_t flags;       /* HF_RECORD_* */
};

#define HF_DIGEST_BYTES 20 /* SHA-1, because that is what a Redis script can compute (redis.sha1hex) */

/* What the shared tier held, or holds: enough to compare, never the value itself. */
struct hf_version_id {
    uint8_t kind; /* enum hf_version_kind */
    uint8_t digest[HF_DIGEST_BYTES];
    uint64_t len;
    int64_t deadline_ms;
};
enum hf_version_kind { HF_VERSION_UNKNOWN = 0, HF_VERSION_ABSENT = 1, HF_VERSION_DIGEST = 2 };

enum hf_pending_op {
    HF_PENDING_SET = 1, /* the key's value and deadline */
    HF_PENDING_DELETE,
    HF_PENDING_TTL, /* only the deadline changed since the base */
};

/* Why a row is there, when it is not an application's write that waits. */
enum hf_pending_why {
    HF_PENDING_WRITE = 0,
    HF_PENDING_TENTATIVE, /* decided here while offline (set-if-absent, compare-and-set, ...): holds only if the base does */
    HF_PENDING_RESEED, /* Redis lost it: given back if nothing is there */
    HF_PENDING_RESEND, /* Redis was rolled back: acknowledged once, sent again */
};

/* The latest change of a key by another node, as the change log told it. */
struct hf_foreign {
    uint8_t op;      /* enum hf_shared_op; 0: none is known */
    int64_t made_ms; /* on Redis's clock */
    int64_t uncertainty_ms;
};

#define HF_PENDING_OWN_MAX                                                                                         \
    4 /* own versions sent and not answered; one group is out at a time, restarts add a few */

/* What one key owes the shared tier. The value itself is the key's record; a row does not repeat it. */
struct hf_pending_row {
    struct hf_slice key; /* borrowed like a record's value */
    uint8_t op;          /* enum hf_pending_op: of the last write */
    uint8_t why;         /* enum hf_pending_why */
    uint8_t n_own;       /* used entries of own[] */
    uint32_t n_folded;   /* writes that joined this row, the first included */
    uint64_t first_lsn;
    uint64_t last_lsn;
    uint64_t value_lsn; /* of the last write that did not change the deadline alone; 0: there is none */
    int64_t first_made_ms;
    int64_t made_ms;           /* of the last write */
    int64_t deadline_ms;       /* of the last write */
    uint64_t value_len;        /* of the last write */
    struct hf_version_id base; /* what the shared tier held when the key became pending */
    uint64_t base_lsn; /* of the plain change of ours that had made the base; 0: another's, a lane's, not known */
    int64_t base_made_ms;                         /* when that was made */
    struct hf_version_id own[HF_PENDING_OWN_MAX]; /* own versions that may be there by now */
    struct hf_foreign foreign;                    /* since the key became pending */
    /* The base's value, for policies that merge; kept only where a namespace asks for it. Borrowed. */
    bool has_base_value;
    struct hf_slice base_value;
};

/* Operations that do not fold keep their own entries, in LSN order. */
enum hf_lane_op { HF_LANE_SET = 1, HF_LANE_DELETE, HF_LANE_EXPIRE, HF_LANE_PERSIST, HF_LANE_INCR };
enum {
    HF_LANE_MORE = 1, /* the next entry in LSN order belongs to the same atomic batch */
    HF_LANE_SENT = 2, /* it was handed to the shared tier and not answered */
    HF_LANE_PLAIN = 4 /* it was a plain change, in no lane, and is retained, or is in one since a rollback */
};
struct hf_lane_entry {
    uint64_t lsn;
    uint8_t op;    /* enum hf_lane_op */
    uint8_t flags; /* HF_LANE_* */
    int64_t delta;
    int64_t made_ms;
    int64_t deadline_ms;       /* a set's or expire's own; an increment's: that of the key it incremented */
    struct hf_version_id base; /* sets and deletes: what the shared tier held before this lane's first change of the
                                  key; kind HF_VERSION_UNKNOWN: not known, or not the first */
    struct hf_slice key;
    struct hf_slice value; /* HF_LANE_SET */
};

/* Refused or in doubt, kept for the operator. */
struct hf_parked_row {
    struct hf_lane_entry entry;
    bool in_doubt;
    struct hf_slice reason;
};

/* ---- the conflict log ---- */

/* How it was decided. */
enum hf_conflict_rule {
    HF_RULE_NEWEST = 1, /* the later of two known times */
    HF_RULE_UNKNOWN,    /* newest, and theirs has no known time: it counts as newer */
    HF_RULE_AMBIGUOUS,  /* newest, and the times are closer than their uncertainty: the greater digest */
    HF_RULE_REMOTE,
    HF_RULE_LOCAL,
    HF_RULE_CALLBACK,
    HF_RULE_MERGED,     /* merge-json: neither as it was */
    HF_RULE_BLIND,      /* our write did not know what it replaced; kept for information */
    HF_RULE_OVERTURNED, /* a tentative decision that Redis did not confirm */
    HF_RULE_ADOPTED,    /* Redis lost it, and the namespace adopts what Redis has */
    HF_RULE_DROPPED,    /* taken off a full pending table */
};
#define HF_CONFLICT_VALUE_MAX (1u << 20) /* a longer value is not kept */
struct hf_conflict_side {
    bool present;  /* false: absent, or deleted */
    bool too_long; /* the value was not kept; its length and digest say what it was */
    struct hf_slice value;
    uint64_t len;
    int64_t deadline_ms;    /* timeline; 0: none */
    int64_t made_ms;        /* timeline; 0: unknown */
    int64_t uncertainty_ms; /* of made_ms */
};

struct hf_conflict_row {
    uint64_t id;    /* rises; our change's LSN, where there is one: storing it again changes nothing */
    uint8_t rule;   /* enum hf_conflict_rule */
    uint8_t winner; /* enum hf_winner */
    uint8_t op;     /* enum hf_pending_op of ours */
    int64_t decided_ms;
    struct hf_slice key; /* borrowed, with the values */
    struct hf_conflict_side ours, theirs;
};

/* ---- gaps: keys whose copy here may be wrong, to be revalidated at the next reconcile ---- */

enum hf_gap_reason {
    HF_GAP_DROPPED = 1, /* a pending change was dropped at a bound */
    HF_GAP_LOCAL,       /* written while offline in a namespace whose outage policy is `local` */
};
struct hf_gap {
    struct hf_slice key;
    uint8_t reason; /* enum hf_gap_reason */
    uint64_t lsn;   /* of the change */
    int64_t made_ms;
};

struct hf_local_snap; /* a read snapshot, for one thread at a time */
struct hf_local_iter; /* a walk inside a snapshot */
struct hf_local_txn;  /* the write transaction */

struct hf_local_stats {
    uint64_t records; /* stored keys, expired ones included */
    uint64_t pending_rows;
    uint64_t pending_bytes; /* keys plus values that pending rows stand for, plus the base values that they keep */
    uint64_t lane_entries;
    uint64_t lane_keys; /* keys that they name */
    uint64_t parked;
    uint64_t in_doubt;
    uint64_t used_bytes;                /* pages in use */
    uint64_t max_bytes;                 /* size of the map */
    uint64_t conflicts, conflict_bytes; /* rows of the conflict log; their keys and values */
    uint64_t blind_conflicts;           /* of them: HF_RULE_BLIND */
    uint64_t parked_bytes;              /* keys and values of parked entries */
    uint64_t gaps;
    uint64_t retained;              /* acknowledged entries that are kept in case Redis is rolled back */
    int64_t oldest_pending_made_ms; /* first_made_ms of the row with the lowest first_lsn, or of the first lane
                                       entry, whichever is older; 0: none */
    int64_t first_deadline_ms;      /* the earliest deadline of a record; 0: none has one */
};

/* Where a walk stands, for the tier alone to read; zeroed, it is at the beginning. */
struct hf_local_cursor {
    uint16_t len;
    uint8_t at[511];
};

struct hf_local_tier {
    const struct hf_local_ops *ops;
};

struct hf_local_ops {
    /* Accepts NULL. No snapshot may be open. */
    void (*close)(struct hf_local_tier *tier);

    /* ---- reading: any thread ---- */
    int (*snap_begin)(struct hf_local_tier *tier, struct hf_local_snap **ret_snap);
    void (*snap_end)(struct hf_local_snap *snap); /* accepts NULL */
    /* The LSN that the snapshot covers: every journal entry up to it is in here. */
    uint64_t (*snap_covered_lsn)(struct hf_local_snap *snap);
    /* HF_NOT_FOUND when there is no record. Expired records are returned: the caller knows the time. */
    int (*get)(struct hf_local_snap *snap, struct hf_slice key, struct hf_record *ret_record);
    int (*stats)(struct hf_local_snap *snap, struct hf_local_stats *ret_stats);
    /* Records whose deadline is at or before now_ms. */
    int (*count_expired)(struct hf_local_snap *snap, int64_t now_ms, uint64_t *ret_count);

    /* Walk records in key order from the first key >= `from`. */
    int (*iter_open)(struct hf_local_snap *snap, struct hf_slice from, struct hf_local_iter **ret_iter);
    /* 0, or HF_NOT_FOUND at the end. Key and record are borrowed until the next call on the iterator. */
    int (*iter_next)(struct hf_local_iter *iter, struct hf_slice *ret_key, struct hf_record *ret_record);
    void (*iter_close)(struct hf_local_iter *iter); /* accepts NULL; before snap_end */

    /* The pending row of a key, or HF_NOT_FOUND. */
    int (*pending_get)(struct hf_local_snap *snap, struct hf_slice key, struct hf_pending_row *ret_row);
    /* The row with the lowest first_lsn >= from_lsn, or HF_NOT_FOUND. With HF_ECORRUPT its first_lsn is filled in all the same:
     * who goes on behind it passes it by, unless it is UINT64_MAX. */
    int (*pending_next)(struct hf_local_snap *snap, uint64_t from_lsn, struct hf_pending_row *ret_row);
    /* The next row in the order in which rows lie side by side, or HF_NOT_FOUND; moves the cursor on. The cursor outlives
     * the snapshot: rows that came or went meanwhile are met or not. Over a damaged row, too, with HF_ECORRUPT: the walk can
     * go on. */
    int (*pending_walk)(struct hf_local_snap *snap, struct hf_local_cursor *cursor, struct hf_pending_row *ret_row);
    /* The lane entry with the lowest LSN >= from_lsn, or HF_NOT_FOUND. With HF_ECORRUPT its LSN is filled in, as above. */
    int (*lane_next)(struct hf_local_snap *snap, uint64_t from_lsn, struct hf_lane_entry *ret_entry);
    /* The highest LSN of a lane entry for `key`, or HF_NOT_FOUND. */
    int (*lane_last)(struct hf_local_snap *snap, struct hf_slice key, uint64_t *ret_lsn);
    /* The parked entry with the lowest LSN >= from_lsn, or HF_NOT_FOUND. */
    int (*parked_next)(struct hf_local_snap *snap, uint64_t from_lsn, struct hf_parked_row *ret_row);
    /* The conflict with the lowest id >= from_id, or HF_NOT_FOUND. */
    int (*conflict_next)(struct hf_local_snap *snap, uint64_t from_id, struct hf_conflict_row *ret_row);
    /* The first gap with a key >= `from` in key order, or HF_NOT_FOUND. `from` has at most HF_KEY_MAX + 1 bytes, so that
     * a key with a 0 byte behind it asks for the next one. */
    int (*gap_next)(struct hf_local_snap *snap, struct hf_slice from, struct hf_gap *ret_gap);
    /* The retained entry with the lowest LSN >= from_lsn, or HF_NOT_FOUND. */
    int (*retained_next)(struct hf_local_snap *snap, uint64_t from_lsn, struct hf_lane_entry *ret_entry);
    /* A small named value (cursors, epochs, clock), or HF_NOT_FOUND. Borrowed until snap_end. */
    int (*meta_get)(struct hf_local_snap *snap, struct hf_slice name, struct hf_slice *ret_value);

    /* ---- writing: the checkpoint thread ---- */
    /* `covered_lsn` becomes the LSN that the transaction covers. */
    int (*txn_begin)(struct hf_local_tier *tier, uint64_t covered_lsn, struct hf_local_txn **ret_txn);
    /* Durable when it returns 0; on failure nothing of it happened. Frees the transaction in any case. */
    int (*txn_commit)(struct hf_local_txn *txn);
    void (*txn_abort)(struct hf_local_txn *txn); /* accepts NULL */
    /* What this transaction sees, as a snapshot: for the reading functions above, not for snap_end;
     * what they return is borrowed only until the next write to the transaction. */
    struct hf_local_snap *(*txn_snap)(struct hf_local_txn *txn);

    /* Store or replace, keeping the expiry index in step. */
    int (*put)(struct hf_local_txn *txn, struct hf_slice key, const struct hf_record *record);
    /* Remove with its index entry; 0 also when absent. */
    int (*remove)(struct hf_local_txn *txn, struct hf_slice key);
    /* Called in a loop, earliest deadline first: copies the next key whose deadline is at or before now_ms into
     * `ret_key` (HF_KEY_MAX bytes) and moves the cursor on; a zeroed cursor starts. HF_NOT_FOUND at the end. The key
     * may be removed between calls. */
    int (*expired_next)(struct hf_local_txn *txn, int64_t now_ms, struct hf_local_cursor *cursor, void *ret_key,
                        size_t *ret_key_len);
    /* Insert or replace the row of row->key. first_lsn of an existing row never changes. */
    int (*pending_put)(struct hf_local_txn *txn, const struct hf_pending_row *row);
    /* HF_NOT_FOUND, and nothing is done: there is no row, or its last_lsn is higher than `upto_lsn`. With UINT64_MAX a damaged row
     * is removed, too. */
    int (*pending_remove)(struct hf_local_txn *txn, struct hf_slice key, uint64_t upto_lsn);
    int (*lane_put)(struct hf_local_txn *txn, const struct hf_lane_entry *entry);
    int (*lane_remove)(struct hf_local_txn *txn, uint64_t lsn); /* 0 also when absent */
    int (*parked_put)(struct hf_local_txn *txn, const struct hf_parked_row *row);
    int (*parked_remove)(struct hf_local_txn *txn, uint64_t lsn);
    /* Insert, or replace the row with this id. */
    int (*conflict_put)(struct hf_local_txn *txn, const struct hf_conflict_row *row);
    int (*conflict_remove)(struct hf_local_txn *txn, uint64_t id); /* 0 also when absent */
    /* Insert, or replace the gap of this key. */
    int (*gap_put)(struct hf_local_txn *txn, const struct hf_gap *gap);
    int (*gap_remove)(struct hf_local_txn *txn, struct hf_slice key); /* 0 also when absent */
    /* Entries that Redis has acknowledged, kept for a while: increments and batches, single deletes, and what plain
     * changes had left below a lane's. */
    int (*retained_put)(struct hf_local_txn *txn, const struct hf_lane_entry *entry);
    int (*retained_remove)(struct hf_local_txn *txn, uint64_t lsn);                         /* 0 also when absent */
    int (*meta_put)(struct hf_local_txn *txn, struct hf_slice name, struct hf_slice value); /* empty: remove */
};

#endif
