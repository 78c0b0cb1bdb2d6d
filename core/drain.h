/* What one checkpoint writes for one key: record, pending row, lane entries. */
#ifndef HF_DRAIN_H
#define HF_DRAIN_H

#include "store.h"

/* What a version of the overlay is as a lane entry, whether it was sent or not; borrowed from both. */
struct hf_lane_entry hf__lane_entry(struct hf_slice key, const struct hf_version *v);
/* What Redis is known to have held before the changes of this row: what the lane's entry that carries them on is compared
 * with. HF_VERSION_UNKNOWN: it is not compared. */
struct hf_version_id hf__row_lane_base(const struct hf_pending_row *row);

/* Say of the key's record, if it is not newer than `lsn`, whether Redis lacks it although nothing is owed. */
int hf__record_mark(const struct hf_local_ops *ops, struct hf_local_txn *txn, struct hf_slice key, uint64_t lsn,
                    bool unshared);

/* Retain the plain change that Redis has acknowledged and this record tells of alone: of its life, or of its value. `key` and
 * the record may be borrowed. */
int hf__record_retain(const struct hf_local_ops *ops, struct hf_local_txn *txn, struct hf_slice key,
                      const struct hf_record *record);

/* Retain the end of this record, whose deadline has passed, if a rollback could bring back what lives longer. */
int hf__record_retain_end(const struct hf_local_ops *ops, struct hf_local_txn *txn, struct hf_slice key,
                          const struct hf_record *record);

/* Why a key owes this version (enum hf_pending_why), on top of that base. */
uint8_t hf__pending_why(const struct hf_version *value, const struct hf_version_id *base);

/* The shared tier may hold this version of ours. The oldest that is known goes when there are too many. */
void hf__pending_add_own(struct hf_pending_row *row, const struct hf_version_id *version);

/* Write the state of a frozen node into the transaction. `scratch` is reused between calls. */
int hf__drain_node(struct hf *store, struct hf_local_txn *txn, const struct hf_node *node,
                   struct hf_bytes *scratch);

#endif
