/* Versions as bytes. The layout is in docs/local-tier-format.md. */
#include "version.h"

#include "bytes.h"

#include <assert.h>

enum { AT_KIND = 0, AT_DIGEST = 1, AT_LEN = 21, AT_DEADLINE = 29 };
static_assert(AT_LEN == AT_DIGEST + HF_DIGEST_BYTES, "the digest fills its place");
static_assert(AT_DEADLINE + 8 == HF__LMDB_VERSION_BYTES, "the deadline ends a version");

uint8_t *hf__lmdb_version_encode(const struct hf_version_id *version, uint8_t *to)
{
    to[AT_KIND] = version->kind;
    memcpy(to + AT_DIGEST, version->digest, HF_DIGEST_BYTES);
    hf__put64(to + AT_LEN, version->len);
    hf__put64(to + AT_DEADLINE, (uint64_t)version->deadline_ms);
    return to + HF__LMDB_VERSION_BYTES;
}

const uint8_t *hf__lmdb_version_decode(const uint8_t *from, struct hf_version_id *ret_version)
{
    ret_version->kind = from[AT_KIND];
    memcpy(ret_version->digest, from + AT_DIGEST, HF_DIGEST_BYTES);
    ret_version->len = hf__get64(from + AT_LEN);
    ret_version->deadline_ms = (int64_t)hf__get64(from + AT_DEADLINE);
    return from + HF__LMDB_VERSION_BYTES;
}
