/* The checksum at the head of a stored value: XXH3 over the bytes behind it, seeded with XXH3 of the key. */
#include "seal.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

static uint64_t checksum(struct hf_slice key, const uint8_t *value, size_t len)
{
    uint64_t seed = XXH3_64bits(key.data, key.len);

    return XXH3_64bits_withSeed(value + HF__LMDB_SEAL_BYTES, len - HF__LMDB_SEAL_BYTES, seed);
}

void hf__lmdb_seal(struct hf_slice key, void *value, size_t len)
{
    hf__put64(value, checksum(key, value, len));
}

bool hf__lmdb_sealed(struct hf_slice key, struct hf_slice value)
{
    return value.len >= HF__LMDB_SEAL_BYTES && hf__get64(value.data) == checksum(key, value.data, value.len);
}
