/* Entries as bytes: one layout for lanes, the parked list and the retained entries; only a parked one has a reason. */
#ifndef HF_LMDB_ENTRY_H
#define HF_LMDB_ENTRY_H

#include "bytes.h"
#include "local_tier.h"

#define HF__LMDB_ENTRY_HEAD 77u
#define HF__LMDB_REASON_MAX 65535u

size_t hf__lmdb_entry_size(const struct hf_parked_row *row);

/* Write the entry, sealed under `table_key` (its LSN), to `to`, which has room for hf__lmdb_entry_size bytes. */
void hf__lmdb_entry_encode(struct hf_slice table_key, const struct hf_parked_row *row, void *to);

/* Check and read a stored entry; slices point into `stored`. Returns 0, HF_ECORRUPT, HF_EVERSION. */
int hf__lmdb_entry_decode(struct hf_slice table_key, struct hf_slice stored, struct hf_parked_row *ret_row);

#endif
