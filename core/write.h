/* The write path: what every change goes through, blocking or submitted, alone or in a batch. */
#ifndef HF_WRITE_H
#define HF_WRITE_H

#include "store.h"

/* Apply `n` operations, all or none, and wait for them as the namespace's write mode says. */
int hf__write(struct hf *store, const struct hf_op *ops, size_t n, struct hf_result *ret_result);
/* The same for one operation that takes the place of what is listed: both are done, or neither, also across a crash.
 * HF_NOT_FOUND when it is not listed any more. */
struct hf_unlist;
int hf__write_unlisting(struct hf *store, const struct hf_op *op, const struct hf_unlist *unlist,
                        struct hf_result *ret_result);

/* Apply one operation if, under the write lock, its key is found as the caller wants it. */
struct hf_found;
struct hf_condition {
    /* 0: go on; anything else ends the call with this code. The value found is borrowed. */
    int (*holds)(void *ctx, const struct hf_found *found);
    void *ctx;
    bool tentative; /* decided here in Redis's stead: only while the link takes nothing, and never in a lane */
    bool came_back; /* filled in: tentative, and the link takes writes: nothing was done */
};
int hf__write_if(struct hf *store, const struct hf_op *op, struct hf_condition *condition,
                 struct hf_result *ret_result);
/* What hf__write checks of an operation before it takes the lock. */
int hf__write_check(const struct hf *store, const struct hf_op *op);

/* Apply one operation, and wait for nothing: hf_try_write. */
int hf__write_try(struct hf *store, const struct hf_op *op, struct hf_result *ret_result);
/* Apply `n` operations, all or none, and have `done` called. Waits neither for Redis nor for room among what is pending:
 * HF_EBUSY. */
int hf__write_async(struct hf *store, const struct hf_op *ops, size_t n, hf_done_fn *done, void *ctx);

/* Redis's answer to the increment `lsn`: becomes the counter's value, unless the key was written again since. */
void hf__write_result(struct hf *store, struct hf_slice key, uint64_t lsn, int64_t number);
/* What a reader saw of a key before it asked Redis. */
struct hf_seen {
    bool held;
    uint64_t lsn;      /* of the value held */
    uint64_t last_lsn; /* the journal's */
};
/* What was fetched from Redis (NULL: it has no such key) becomes our copy, if nothing about the key has changed since it
 * was seen; if it is the value that we hold, that keeps its LSN and the time it was made. False: it has, and owes nothing, or
 * there was no memory: the copy may be an older one than what was fetched. */
bool hf__write_fetched(struct hf *store, struct hf_slice key, const struct hf_slice *value, int64_t deadline_ms,
                       const struct hf_seen *seen);

/* A copy that Redis has lost enters the journal once more, as a change that waits (`why`: HF_ENTRY_RESEED or
 * HF_ENTRY_RESEND), unless the key is owed in any case; a plain change that came behind what its lane brings back joins the lane.
 * `deleted`: the retained delete that is meant; the key must not be held then. NULL: what is held is meant. */
int hf__write_again(struct hf *store, struct hf_slice key, uint32_t why, const struct hf_lane_entry *deleted);

/* A copy that Redis has lost is given up here, too, if it is still the one with `lsn` and owes nothing; the row, whose ours
 * is filled in here, goes to the conflict log. False without memory or room: the copy stays. */
bool hf__write_adopted(struct hf *store, struct hf_slice key, uint64_t lsn, struct hf_conflict_row *row);

/* Redis has our changes of the key up to `lsn`. False: the key has been written since, and what it owes now knows nothing of that. */
bool hf__write_stored(struct hf *store, struct hf_slice key, uint64_t lsn);
/* Our changes of the key up to `lsn` have ended with this verdict, and the copy here becomes what it says. False when the
 * key has been written since, or without memory: nothing was done, and the key is still owed. */
struct hf_verdict;
bool hf__write_verdict(struct hf *store, struct hf_slice key, uint64_t lsn, const struct hf_verdict *verdict);
/* Put a settled version of a key in front, with the write lock. Not journaled, it is a mere copy, with the LSN that the entry
 * says: 0, or that of our change that it is still. False without memory or room: the copy stays what it was. */
bool hf__write_install(struct hf *store, struct hf_entry *entry, bool journaled);

/* A decimal integer as Redis takes it: no blanks, no plus sign, no leading zeros, within 64 bits. */
bool hf__parse_counter(struct hf_slice text, int64_t *ret_number);

#endif
