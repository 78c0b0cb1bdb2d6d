/* Gaps as bytes. The layout is in docs/local-tier-format.md. */
#include "gap.h"

#include "seal.h"
#include "fail.h"

#include <assert.h>

#define FORMAT 1

enum { AT_FORMAT = 8, AT_REASON = 9, AT_ZERO = 10, AT_LSN = 16, AT_MADE = 24, AT_KEY = 32 };
static_assert(AT_KEY == HF__LMDB_GAP_HEAD, "the key follows the header");

size_t hf__lmdb_gap_encode(const struct hf_gap *gap, uint8_t *to)
{
    to[AT_FORMAT] = FORMAT;
    to[AT_REASON] = gap->reason;
    memset(to + AT_ZERO, 0, AT_LSN - AT_ZERO);
    hf__put64(to + AT_LSN, gap->lsn);
    hf__put64(to + AT_MADE, (uint64_t)gap->made_ms);
    memcpy(to + AT_KEY, gap->key.data, gap->key.len);
    return HF__LMDB_GAP_HEAD + gap->key.len;
}

int hf__lmdb_gap_decode(struct hf_slice table_key, struct hf_slice stored, struct hf_gap *ret_gap)
{
    const uint8_t *from = stored.data;

    if (stored.len <= AT_FORMAT || !hf__lmdb_sealed(table_key, stored))
        return hf__fail(HF_ECORRUPT, "a gap in the local tier is damaged");
    if (from[AT_FORMAT] != FORMAT)
        return hf__fail(HF_EVERSION, "a gap in the local tier has format %u, this version reads %u",
                        from[AT_FORMAT], FORMAT);
    if (stored.len <= HF__LMDB_GAP_HEAD || stored.len > HF__LMDB_GAP_MAX)
        return hf__fail(HF_ECORRUPT, "a gap in the local tier has an impossible length");
    *ret_gap = (struct hf_gap){
        .key = hf__slice(from + AT_KEY, stored.len - HF__LMDB_GAP_HEAD),
        .reason = from[AT_REASON],
        .lsn = hf__get64(from + AT_LSN),
        .made_ms = (int64_t)hf__get64(from + AT_MADE),
    };
    return 0;
}
