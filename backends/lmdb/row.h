/* Rows of the pending table as bytes. */
#ifndef HF_LMDB_ROW_H
#define HF_LMDB_ROW_H

#include "bytes.h"
#include "local_tier.h"

#define HF__LMDB_VERSION_BYTES 37u
#define HF__LMDB_ROW_HEAD 64u
#define HF__LMDB_ROW_MAX (HF__LMDB_ROW_HEAD + (1 + HF_PENDING_OWN_MAX) * HF__LMDB_VERSION_BYTES + HF_KEY_MAX)

/* Write the row, sealed under `table_key`, to `to` (HF__LMDB_ROW_MAX bytes); returns its length. */
size_t hf__lmdb_row_encode(struct hf_slice table_key, const struct hf_pending_row *row, uint8_t *to);

/* Check and read a stored row, whose key then points into `stored`. Returns 0, HF_ECORRUPT, HF_EVERSION. */
int hf__lmdb_row_decode(struct hf_slice table_key, struct hf_slice stored, struct hf_pending_row *ret_row);

#endif
