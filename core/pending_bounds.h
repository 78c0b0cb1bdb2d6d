/* Bounds of what waits for the shared tier: pending_max, pending_max_bytes, pending_max_age_ms (docs/limits.md).
 *
 * What is pending is counted in two places:
 *   - rows and lane entries in the local tier, as of its last commit;
 *   - keys with a plain change in the overlay that no row speaks of, and open lane entries.
 * A key is counted once: by its row, else by its node in the frozen generation, else by its node in the active one. A node
 * is counted by its generation from the insertion of a change that waits until the newest one is settled; the counts go with
 * the generation, whose keys have rows then. A change that is acknowledged while a newer one of its key waits may take the key's count with its row: the
 * next checkpoint, which gives the newer one a row, counts it again. */
#ifndef HF_PENDING_BOUNDS_H
#define HF_PENDING_BOUNDS_H

#include "lookup.h"

/* ---- counting ---- */

/* The key's row, or its node in the frozen generation, counts already. Costs nothing while there is neither. */
int hf__pending_is_counted(struct hf_look *look, struct hf_slice key, bool *ret_counted);
/* A change that waits was inserted; `counted`: as told by hf__pending_is_counted. With the write lock. */
void hf__pending_inserted(struct hf *store, const struct hf_staged *staged, bool counted);
/* Versions of the node, in this pinned generation, were settled. With checkpoint.mutex. */
void hf__pending_settled(struct hf *store, struct hf_generation *generation, struct hf_node *node);
/* Count what the journal's tail has put into the overlay. */
int hf__pending_recovered(struct hf *store);

/* Keys and lane entries that wait; bytes of the keys. */
uint64_t hf__pending_keys(struct hf *store);
uint64_t hf__pending_bytes(struct hf *store);

/* ---- at the bound ---- */

/* A write about to be applied. */
struct hf_pending_claim {
    const struct hf_entry *entries;
    size_t n;
    size_t n_void;    /* of them, in front: their rows go when they are applied */
    bool lane;        /* each is an entry of its own */
    bool counted;     /* a plain one's: hf__pending_is_counted */
    uint64_t cleared; /* filled in: for hf__pending_await ... */
    bool may_wait;    /* ... when waiting may help */
};
/* Whether it may be left pending, should it come to that: 0, or HF_EBUSY with the bound and its value. With the write lock. */
int hf__pending_admit(struct hf_look *look, struct hf_pending_claim *claim);
/* Wait until something that waited has ended since the claim was refused; false when the deadline has passed. */
bool hf__pending_await(struct hf *store, const struct hf_pending_claim *claim, const struct timespec *deadline);
/* Something has ended. With checkpoint.mutex. */
void hf__pending_signal(struct hf *store);

/* ---- policy drop-oldest: in the checkpoint's transaction ---- */

/* What was given up; told when the commit has succeeded. */
struct hf_drops {
    struct hf_settlement *all;
    size_t n, capacity;
    uint64_t n_dropped;
};
/* Give up the oldest changes until the bounds hold, while nothing is sent. Each leaves a row in the conflict log, or in the
 * parked list, and a gap; where these have no room, the change stays. */
int hf__pending_trim(struct hf *store, struct hf_local_txn *txn, struct hf_drops *drops);
void hf__drops_tell(struct hf *store, struct hf_drops *drops);
void hf__drops_release(struct hf_drops *drops);

#endif
