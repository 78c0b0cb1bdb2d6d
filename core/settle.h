/* Settling: what the shared tier's answers mean for the overlay and the pending table.
 *
 * An acknowledgement marks the key's versions in the overlay. Where a pending row may exist, or is just being
 * written by a checkpoint, it is also left for the next checkpoint, which clears the row if it is for that LSN or an
 * older one. In a healthy online store there is never a row, and nothing is left. */
#ifndef HF_SETTLE_H
#define HF_SETTLE_H

#include "store.h"

/* Redis holds the key's change `lsn`, or a newer one of ours: all changes of the key up to it are settled. False without
 * memory: nothing was marked, and they stay pending. */
bool hf__settle_key(struct hf *store, struct hf_slice key, uint64_t lsn);
/* The same of a change of its life, whatever value Redis holds. */
bool hf__settle_life(struct hf *store, struct hf_slice key, uint64_t lsn);
/* The lane's entry is applied, or found expired: it is settled, and kept for a while in case Redis is rolled back. */
void hf__settle_lane(struct hf *store, const struct hf_lane_entry *entry);
/* The lane's entry has lost a conflict, or had died when its key was changed: it is settled, and never sent again. */
void hf__settle_lane_lost(struct hf *store, const struct hf_lane_entry *entry);
/* For the conflict log; to be left before the lane's entry that it is about is settled: then a crash in between leaves the
 * entry, whose conflict has the same id again. False without memory. */
bool hf__settle_conflict(struct hf *store, const struct hf_conflict_row *row);
/* An entry of the lane was acknowledged, as the journal tells: it is kept for a while, as all are. */
void hf__settle_retain(struct hf *store, const struct hf_lane_entry *entry);
/* A plain delete was applied: it is kept for a while, too, because nothing else remembers it. */
void hf__settle_retain_delete(struct hf *store, struct hf_slice key, uint64_t lsn, int64_t made_ms);
/* The entries go to the parked list with their reason, all or none; they no longer count as pending. False without memory:
 * nothing was marked, and they stay pending. Ask first whether the list has room for so many. */
struct hf_parking {
    bool in_doubt, from_lane;
    bool from_retained; /* instead: it was acknowledged, and is no longer retained */
    const char *reason;
};
bool hf__settle_park(struct hf *store, const struct hf_lane_entry *entries, size_t n, const struct hf_parking *how);
bool hf__settle_may_park(struct hf *store, size_t n);

/* All changes of the key up to `lsn` have ended in a way that leaves more than an acknowledgement. */
struct hf_verdict {
    const struct hf_conflict_row *conflict; /* for the conflict log; NULL: none */
    bool take_theirs;                       /* the copy here becomes `theirs` (NULL: absent), a clean one */
    const struct hf_slice *theirs;
    int64_t theirs_deadline_ms; /* timeline */
    int64_t ours_made_ms;       /* not 0: what it becomes is ours, and keeps this time and our LSN */
};
/* The record and the conflict are stored in the commit that clears the row. False without memory: nothing was marked, and
 * it stays pending. */
bool hf__settle_verdict(struct hf *store, struct hf_slice key, uint64_t lsn, const struct hf_verdict *verdict);
/* Another node changed a key that is owed here: its row will say so. Nothing is marked. False without memory. */
bool hf__settle_note_foreign(struct hf *store, struct hf_slice key, const struct hf_foreign *foreign);
/* A retained lane entry, which Redis has lost, is owed again. False without memory. */
bool hf__settle_relane(struct hf *store, const struct hf_lane_entry *entry);
/* The key's copy was compared with Redis, and is right again. */
void hf__settle_gap(struct hf *store, struct hf_slice key);
/* The parked entry (`what`: HF_LEFT_UNPARK) or conflict (HF_LEFT_RESOLVE) leaves its list, in a commit that covers all that
 * is written before the write lock, if the caller has it, is given up. False without memory. */
bool hf__settle_unlist(struct hf *store, unsigned what, uint64_t listed);
/* Whether that was left, and no commit holds it yet. */
bool hf__settle_is_unlisted(struct hf *store, unsigned what, uint64_t listed);
/* It stays on its list after all; false: a commit has taken it off. `wait`: for one that may be doing so; needless under
 * the write lock that was held when it was left. */
bool hf__settle_keep_listed(struct hf *store, unsigned what, uint64_t listed, bool wait);
/* Up to which LSN the key's row is void, because what was left for the next checkpoint clears it; 0: not at all. */
uint64_t hf__settle_acked_lsn(struct hf *store, struct hf_slice key);
/* Whether the key's change `lsn`, or a later one, was parked, and no commit holds that yet, or only the last one: a look that
 * began before it still sees what was before. */
bool hf__settle_is_parked(struct hf *store, struct hf_slice key, uint64_t lsn);
/* What was left has become shorter; with checkpoint.mutex. */
void hf__settle_index_again(struct hf_checkpointer *cp);
/* The key's versions up to `lsn` have been handed to the shared tier. */
void hf__settle_mark_sent(struct hf *store, struct hf_slice key, uint64_t lsn);
/* The same of the change `lsn` that a row stood for, which may be in no generation any more: its row will say so. Without memory
 * it does not, and what Redis holds of ours may be taken for another's. Where the row went on in the lane, that is compared with
 * the version, if it is `stored` for certain, else with nothing. */
void hf__settle_note_sent(struct hf *store, struct hf_slice key, uint64_t lsn, const struct hf_version_id *version,
                          bool stored);
/* Redis holds a change of ours that is lost here, and that was made before this opening: what the key's row is based on is not
 * known. Where the change was of the value, with that LSN (otherwise 0), a value that is older than it is not sent over another any
 * more, but what has changed its life since; only where nothing is, because the change was a delete, it is. False without memory. */
bool hf__settle_own_lost(struct hf *store, struct hf_slice key, uint64_t value_lsn);
/* Redis was rolled back, and what the key's row is based on is lost: nothing that Redis holds is that, and a row that changes a life
 * alone sends the value as well. False without memory. */
bool hf__settle_base_lost(struct hf *store, struct hf_slice key);

/* Free the contents. */
void hf__settled_release(struct hf_settled *settled);

#endif
