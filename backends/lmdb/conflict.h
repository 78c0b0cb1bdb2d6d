/* Rows of the conflict log as bytes. */
#ifndef HF_LMDB_CONFLICT_H
#define HF_LMDB_CONFLICT_H

#include "bytes.h"
#include "local_tier.h"

#define HF__LMDB_CONFLICT_HEAD 96u

size_t hf__lmdb_conflict_size(const struct hf_conflict_row *row);

/* Write the row, sealed under `table_key` (its id), to `to`, which has room for hf__lmdb_conflict_size bytes. */
void hf__lmdb_conflict_encode(struct hf_slice table_key, const struct hf_conflict_row *row, uint8_t *to);

/* Check and read a stored row; slices point into `stored`. Returns 0, HF_ECORRUPT, HF_EVERSION. */
int hf__lmdb_conflict_decode(struct hf_slice table_key, struct hf_slice stored, struct hf_conflict_row *ret_row);

#endif
