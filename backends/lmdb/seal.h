/* The checksum at the head of a stored value. */
#ifndef HF_LMDB_SEAL_H
#define HF_LMDB_SEAL_H

#include "bytes.h"

#define HF__LMDB_SEAL_BYTES 8u

/* Write the checksum over `key` and all bytes behind the seal into the first 8 bytes of `value`. */
void hf__lmdb_seal(struct hf_slice key, void *value, size_t len);

/* Whether `value` is long enough to hold a seal and the seal is right for `key`. */
bool hf__lmdb_sealed(struct hf_slice key, struct hf_slice value);

#endif
