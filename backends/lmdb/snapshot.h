/* Read snapshots: a pool of read transactions, so that beginning and ending one costs little. */
#ifndef HF_LMDB_SNAPSHOT_H
#define HF_LMDB_SNAPSHOT_H

#include "internal.h"

/* Prepare the tier's pool; the environment is open. Returns 0 or HF_ENOMEM. */
int hf__lmdb_pool_init(struct hf__lmdb_tier *tier);
/* End the transactions at rest. No snapshot may be open. */
void hf__lmdb_pool_release(struct hf__lmdb_tier *tier);
/* Reset what rests at an older commit than the last. */
void hf__lmdb_pool_reset_old(struct hf__lmdb_tier *tier);

int hf__lmdb_snap_begin(struct hf_local_tier *tier, struct hf_local_snap **ret_snap);
void hf__lmdb_snap_end(struct hf_local_snap *snap);

/* 0, with the sentence set, if the entry that tells it was damaged since the tier was opened. */
uint64_t hf__lmdb_snap_covered_lsn(struct hf_local_snap *snap);

#endif
