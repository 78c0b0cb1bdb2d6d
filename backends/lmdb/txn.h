/* The write transaction. */
#ifndef HF_LMDB_TXN_H
#define HF_LMDB_TXN_H

#include "internal.h"

int hf__lmdb_txn_begin(struct hf_local_tier *tier, uint64_t covered_lsn, struct hf_local_txn **ret_txn);
int hf__lmdb_txn_commit(struct hf_local_txn *txn);
void hf__lmdb_txn_abort(struct hf_local_txn *txn);
struct hf_local_snap *hf__lmdb_txn_snap(struct hf_local_txn *txn);

#endif
