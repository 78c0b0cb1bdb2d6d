/* The store's one struct, and how its parts find one another. Private to core/.
 *
 * Locks, in the order in which they may be taken:
 *   write_mutex      LSN order: journal append, overlay insert, the link's queue; whoever holds it is "the writer"
 *   checkpoint.mutex requests to the checkpoint thread, and what acknowledgements leave for it (settle.h)
 *   link.mutex       the live queue, tickets, the link's published state
 *   overlay.mutex, the journal's own
 * A thread waits for the disk or for Redis with none of them held, but for the writer, who may wait for room in the
 * journal. */
#ifndef HF_STORE_H
#define HF_STORE_H

#include "intent.h"
#include "journal.h"
#include "local_tier.h"
#include "namespace.h"
#include "operator.h"
#include "overlay.h"
#include "shared_tier.h"
#include "timeline.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

struct hf_link;
struct hf_done_queue;
struct hf_control;

/* The real or simulated parts that a store is built from. */
struct hf_parts {
    struct hf_file_layer *fs;
    struct hf_clock *clock;
    int (*open_local)(const char *dir, const struct hf_options *opts, struct hf_local_tier **ret_tier);
    /* Called only when options name an address. */
    int (*open_shared)(const struct hf_options *opts, const char *node, struct hf_clock *clock,
                       struct hf_shared_tier **ret_tier);
};

/* What the link leaves for the checkpoint thread, which stores it in its next commit. Bits of `what`. */
enum {
    HF_LEFT_ROW = 1,        /* clear the key's pending row, if it is for this LSN or an older one */
    HF_LEFT_LANE = 2,       /* remove the lane entry of this LSN */
    HF_LEFT_PARKED = 4,     /* keep more->parked */
    HF_LEFT_CONFLICT = 8,   /* keep more->conflict */
    HF_LEFT_THEIRS = 16,    /* the record becomes more->theirs, unless something newer has been drained */
    HF_LEFT_FOREIGN = 32,   /* note more->foreign in the key's row */
    HF_LEFT_RETAIN = 64,    /* keep more->retained in case Redis is rolled back */
    HF_LEFT_RELANE = 128,   /* more->retained is owed again */
    HF_LEFT_FORGET = 512,   /* remove the retained entry of this LSN */
    HF_LEFT_GAP = 256,      /* the key was compared: remove its gap */
    HF_LEFT_UNPARK = 1024,  /* take the parked entry `listed` off its list */
    HF_LEFT_RESOLVE = 2048, /* take the conflict `listed` off the log */
    HF_LEFT_SENT =
        4096, /* Redis may hold the key's change of this LSN: more->sent is one of its row's own versions */
    HF_LEFT_BASE_LOST =
        8192, /* Redis has lost what the key's row is based on: it is of the value, too, if it was of the life alone */
    HF_LEFT_OWN_LOST = 32768, /* Redis holds a change of ours that is lost here, of the value if the LSN is not 0 */
    HF_LEFT_LIFE = 16384, /* with HF_LEFT_ROW: Redis has acknowledged the key's life, and nothing of its value */
    HF_LEFT_LISTS = HF_LEFT_PARKED | HF_LEFT_CONFLICT | HF_LEFT_UNPARK | HF_LEFT_RESOLVE,
};
struct hf_settled_more {
    struct hf_parked_row parked;
    struct hf_conflict_row conflict;
    bool theirs_present; /* else the record is removed */
    struct hf_record theirs;
    uint64_t theirs_frozen; /* checkpointer.frozen when it became the copy */
    struct hf_foreign foreign;
    struct hf_version_id sent;
    bool stored; /* for certain */
    struct hf_lane_entry retained;
    struct hf_bytes bytes; /* what the slices point into */
};
struct hf_settled {
    struct hf_buf key;
    uint64_t lsn;
    uint64_t
        not_before; /* count of the first checkpoint that may store it: what it speaks of must be frozen by then */
    unsigned what;
    uint64_t listed;              /* LSN of a parked entry, id of a conflict */
    struct hf_settled_more *more; /* NULL: nothing more */
};

/* By key, up to which LSN nothing is owed any more (settle.c). */
struct hf_acked_table {
    struct hf_acked *places;
    size_t n, capacity;
};

struct hf_checkpointer {
    pthread_t thread;
    bool runs;
    pthread_mutex_t mutex;
    pthread_cond_t wake;     /* the thread's */
    pthread_cond_t finished; /* others': a checkpoint ended */
    bool closing, requested;
    int rc; /* of the last one */
    char error[256];
    uint64_t started, ended; /* counts of checkpoints */
    uint64_t frozen_lsn;     /* what the frozen generation reaches; write_mutex */
    uint64_t frozen;         /* generations frozen so far; write_mutex */
    struct hf_settled *settled;
    size_t n_settled, settled_capacity;
    struct hf_acked_table acked, acked_before; /* of `settled`, and of what the last commit took from it */
    _Atomic size_t n_parked;                   /* that these two tell of, about */
    size_t n_parked_now;                       /* that the first one does */
};

/* What waits for the shared tier, as of the last commit of the local tier (pending_bounds.h). */
struct hf_pending_count {
    _Atomic uint64_t stored_bytes;    /* of rows */
    _Atomic int64_t stored_oldest_ms; /* when the oldest row or lane entry was made; 0: none */
    _Atomic uint64_t cleared;         /* times that something has ended */
    pthread_cond_t room;              /* ... which is signalled; checkpoint.mutex */
};

/* Who waits for a sync, in the order of asking (durable.h). */
struct hf_durable_wait;
struct hf_durable_line {
    pthread_mutex_t mutex;
    struct hf_durable_wait *_Atomic first; /* looked at without the mutex, too */
    struct hf_durable_wait *last;
};

struct hf {
    unsigned fork_count; /* of this process when the handle was made */
    char *dir;
    struct hf_options opts; /* defaults filled in; its pointers are not kept, but for `redis` */
    char *redis;
    struct hf_parts parts;
    int dir_fd, journal_fd, quarantine_fd, lock_fd;
    struct hf *next_owner; /* of this process's handles that own a store (store.c) */
    char node[33];
    struct hf_renewal {
        char node[33];
        uint64_t inherited_lsn; /* what was written up to here was written under the old id */
        _Atomic bool is_due;    /* both are set: the next checkpoint stores them */
    } renewal;
    struct hf_shared_owner owner;
    _Atomic bool owner_connected; /* Redis has had a token of this opening */
    struct hf_ns_table namespaces;
    struct hf_timeline time;
    struct hf_control *control;
    struct hf_local_tier *local;
    struct hf_journal *journal;
    struct hf_overlay overlay;
    struct hf_checkpointer checkpoint;
    struct hf_link *link; /* NULL: no shared tier */
    struct hf_done_queue *done;
    struct hf_durable_line durable;
    struct hf_operator_seen operator_seen; /* with the link's operator_mutex, once its threads run */
    struct hf_intents intents;             /* write_mutex */
    bool sharing; /* changes are owed to a shared tier, present or not: there is one, or there was */
    bool read_only;
    uint64_t recovered_lsn; /* of the last entry that the journal held at open */
    uint64_t opened_lsn;    /* numbers up to here were given out by earlier lives, if at all */
    uint64_t n_quarantined;
    uint64_t read_covered_lsn, read_limit_lsn; /* a reader's overlay holds the journal between these; write_mutex */

    struct hf_pending_count pending;
    pthread_mutex_t write_mutex;
    _Atomic bool closing;
    _Atomic uint64_t visible_lsn;      /* readers see versions up to here: a batch becomes visible as a whole */
    _Atomic uint64_t covered_lsn;      /* of the local tier */
    _Atomic int64_t oldest_unsaved_ms; /* boot clock of the first write since the last checkpoint; 0: none */
    /* Rows and entries in the local tier, as of its last commit: with none, the online path does not look. */
    _Atomic uint64_t pending_rows, lane_entries;
    _Atomic int64_t lane_open; /* unsettled lane entries in the overlay */
    _Atomic uint64_t
        unsaved; /* changes of the parked list and the conflict log that no checkpoint has stored yet */
    _Atomic uint64_t trusted;          /* times that copies began to count as verified, for a moment or more */
    _Atomic bool refreshing;           /* there are copies that Redis is known, or suspected, to have changed */
    _Atomic int64_t first_deadline_ms; /* of the local tier's records; 0: none has one */
    _Atomic uint64_t room_bytes;       /* that the overlay may take before the local tier could be full */
    /* The logs as of the last commit, and what was left for the next one. */
    _Atomic uint64_t conflicts, blind_conflicts, conflict_bytes, parked, gaps;
    _Atomic uint64_t conflicts_left, conflict_bytes_left, parked_left;
    _Atomic uint64_t settled_by[HF_N_OUTCOMES];
    _Atomic uint64_t dropped, lost_conflicts, revalidated, resent, losses, rollbacks;
    _Atomic uint64_t expired_in_queue, shared_ops, replayed_ops, settled_by_log, refreshed, link_losses;
};

int hf__store_open(const char *dir, const struct hf_options *opts, const struct hf_parts *parts,
                   struct hf **ret_store);

/* Refuse calls after fork and while closing; for writers also on a read-only handle. */
int hf__check_handle(const struct hf *store, bool writing);
/* Length 1 to HF_KEY_MAX and not `_hf:`. */
int hf__check_key(struct hf_slice key);

/* Whether it is not known what has expired: nothing is removed for good while that is so. Ask before the time. */
static inline bool hf__time_is_unknown(struct hf *store)
{
    return hf__timeline_is_unknown(&store->time);
}

static inline int64_t hf__now_ms(const struct hf *store)
{
    return hf__timeline_now_ms(&store->time);
}

#endif
