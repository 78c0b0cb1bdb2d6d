/* What `meta` keeps under "state": the covered LSN, the next node id, and the totals of the tables. */
#ifndef HF_LMDB_STATE_H
#define HF_LMDB_STATE_H

#include "internal.h"

#define HF__LMDB_STATE_NAME "state"
#define HF__LMDB_STATE_BYTES 64u

/* Bytes only: `to` has room for HF__LMDB_STATE_BYTES. */
void hf__lmdb_state_encode(const struct hf__lmdb_state *state, uint8_t *to);

/* Read the state into the snapshot, once for each snapshot. Returns 0, HF_ECORRUPT, HF_EIO. */
int hf__lmdb_state_load(struct hf_local_snap *snap);

/* Store the state that the transaction's snapshot holds. */
int hf__lmdb_state_store(struct hf_local_txn *txn);

#endif
