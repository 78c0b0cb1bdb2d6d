/* Records as bytes: encoding, decoding, checksum. Nothing here knows where they are stored. */
#ifndef HF_LMDB_RECORD_H
#define HF_LMDB_RECORD_H

#include "bytes.h"
#include "local_tier.h"

#define HF__LMDB_RECORD_HEAD 40u

/* Length of the stored record; `long_key` is empty for a record of a short key. */
size_t hf__lmdb_record_size(struct hf_slice long_key, const struct hf_record *record);

/* Write the record, sealed under `table_key`, to `to`, which has room for hf__lmdb_record_size bytes. */
void hf__lmdb_record_encode(struct hf_slice table_key, struct hf_slice long_key, const struct hf_record *record,
                            void *to);

/* Check and read a stored record. `ret_long_key` and the record's value point into `stored`. `name` is the key as
 * far as it is known, for the sentence. Returns 0, HF_ECORRUPT, or HF_EVERSION for a format this version lacks. */
int hf__lmdb_record_decode(struct hf_slice table_key, struct hf_slice name, struct hf_slice stored,
                           struct hf_slice *ret_long_key, struct hf_record *ret_record);

/* The deadline that a stored record claims, unchecked; 0 when it is too short to claim one. Enough to find the
 * index entry of a record that is about to go, be it damaged. */
int64_t hf__lmdb_record_claimed_deadline(struct hf_slice stored);

#endif
