/* Rows of the pending table as bytes. */
#ifndef HF_LMDB_ROW_H
#define HF_LMDB_ROW_H

#include "bytes.h"
#include "local_tier.h"

#define HF__LMDB_ROW_HEAD 112u

size_t hf__lmdb_row_size(const struct hf_pending_row *row);

/* Write the row to `to`, which has room for hf__lmdb_row_size bytes; the caller seals it. */
void hf__lmdb_row_encode(const struct hf_pending_row *row, uint8_t *to);

/* Check and read a stored row, whose slices then point into `stored`. Returns 0, HF_ECORRUPT, HF_EVERSION. */
int hf__lmdb_row_decode(struct hf_slice table_key, struct hf_slice stored, struct hf_pending_row *ret_row);

#endif
