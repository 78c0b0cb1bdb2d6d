/* Versions (struct hf_version_id) as bytes, the same in pending rows and in entries. */
#ifndef HF_LMDB_VERSION_H
#define HF_LMDB_VERSION_H

#include "local_tier.h"

#define HF__LMDB_VERSION_BYTES 37u

/* Both return where the bytes of the version end. */
uint8_t *hf__lmdb_version_encode(const struct hf_version_id *version, uint8_t *to);
const uint8_t *hf__lmdb_version_decode(const uint8_t *from, struct hf_version_id *ret_version);

#endif
