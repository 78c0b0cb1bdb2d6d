/* Gaps as bytes. */
#ifndef HF_LMDB_GAP_H
#define HF_LMDB_GAP_H

#include "bytes.h"
#include "local_tier.h"

#define HF__LMDB_GAP_HEAD 32u
#define HF__LMDB_GAP_MAX (HF__LMDB_GAP_HEAD + HF_KEY_MAX)

/* Write the gap to `to` (HF__LMDB_GAP_MAX bytes), its key behind HF__LMDB_GAP_HEAD; the caller seals it. Returns its
 * length. */
size_t hf__lmdb_gap_encode(const struct hf_gap *gap, uint8_t *to);

/* Check and read a stored gap, whose key then points into `stored`. Returns 0, HF_ECORRUPT, HF_EVERSION. */
int hf__lmdb_gap_decode(struct hf_slice table_key, struct hf_slice stored, struct hf_gap *ret_gap);

#endif
