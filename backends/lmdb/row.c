/* Rows of the pending table as bytes. The layout is in docs/local-tier-format.md. */
#include "row.h"

#include "seal.h"
#include "fail.h"

#include <assert.h>

#define FORMAT 1

enum {
    AT_FORMAT = 8,
    AT_OP = 9,
    AT_N_OWN = 10,
    AT_ZERO = 11,
    AT_N_FOLDED = 12,
    AT_FIRST_LSN = 16,
    AT_LAST_LSN = 24,
    AT_FIRST_MADE = 32,
    AT_MADE = 40,
    AT_DEADLINE = 48,
    AT_VALUE_LEN = 56,
    AT_VERSIONS = 64
};
enum { VERSION_KIND = 0, VERSION_DIGEST = 1, VERSION_LEN = 21, VERSION_DEADLINE = 29 };
static_assert(AT_VERSIONS == HF__LMDB_ROW_HEAD, "the versions follow the header");
static_assert(VERSION_LEN == VERSION_DIGEST + HF_DIGEST_BYTES, "the digest fills its place");
static_assert(VERSION_DEADLINE + 8 == HF__LMDB_VERSION_BYTES, "the deadline ends a version");

static uint8_t *version_encode(const struct hf_version_id *version, uint8_t *to)
{
    to[VERSION_KIND] = version->kind;
    memcpy(to + VERSION_DIGEST, version->digest, HF_DIGEST_BYTES);
    hf__put64(to + VERSION_LEN, version->len);
    hf__put64(to + VERSION_DEADLINE, (uint64_t)version->deadline_ms);
    return to + HF__LMDB_VERSION_BYTES;
}

static const uint8_t *version_decode(const uint8_t *at, struct hf_version_id *ret_version)
{
    ret_version->kind = at[VERSION_KIND];
    memcpy(ret_version->digest, at + VERSION_DIGEST, HF_DIGEST_BYTES);
    ret_version->len = hf__get64(at + VERSION_LEN);
    ret_version->deadline_ms = (int64_t)hf__get64(at + VERSION_DEADLINE);
    return at + HF__LMDB_VERSION_BYTES;
}

size_t hf__lmdb_row_encode(struct hf_slice table_key, const struct hf_pending_row *row, uint8_t *to)
{
    uint8_t *at;
    size_t len;

    to[AT_FORMAT] = FORMAT;
    to[AT_OP] = row->op;
    to[AT_N_OWN] = row->n_own;
    to[AT_ZERO] = 0;
    hf__put32(to + AT_N_FOLDED, row->n_folded);
    hf__put64(to + AT_FIRST_LSN, row->first_lsn);
    hf__put64(to + AT_LAST_LSN, row->last_lsn);
    hf__put64(to + AT_FIRST_MADE, (uint64_t)row->first_made_ms);
    hf__put64(to + AT_MADE, (uint64_t)row->made_ms);
    hf__put64(to + AT_DEADLINE, (uint64_t)row->deadline_ms);
    hf__put64(to + AT_VALUE_LEN, row->value_len);
    at = version_encode(&row->base, to + AT_VERSIONS);
    for (int i = 0; i < row->n_own; i++)
        at = version_encode(&row->own[i], at);
    memcpy(at, row->key.data, row->key.len);
    len = (size_t)(at - to) + row->key.len;
    hf__lmdb_seal(table_key, to, len);
    return len;
}

/* The length of the key that a row of this length and number of versions has; 0 when none is possible. */
static size_t key_len_of(size_t row_len, unsigned n_own)
{
    size_t before = HF__LMDB_ROW_HEAD + (1 + n_own) * HF__LMDB_VERSION_BYTES;

    if (n_own > HF_PENDING_OWN_MAX || row_len <= before || row_len - before > HF_KEY_MAX)
        return 0;
    return row_len - before;
}

int hf__lmdb_row_decode(struct hf_slice table_key, struct hf_slice stored, struct hf_pending_row *ret_row)
{
    const uint8_t *from = stored.data;
    const uint8_t *at;
    size_t key_len;

    if (stored.len <= AT_FORMAT || !hf__lmdb_sealed(table_key, stored))
        return hf__fail(HF_ECORRUPT, "a row of the local tier's pending table is damaged");
    if (from[AT_FORMAT] != FORMAT)
        return hf__fail(HF_EVERSION, "a row of the local tier's pending table has format %u, this version reads %u",
                        from[AT_FORMAT], FORMAT);
    key_len = stored.len > HF__LMDB_ROW_HEAD ? key_len_of(stored.len, from[AT_N_OWN]) : 0;
    if (key_len == 0)
        return hf__fail(HF_ECORRUPT, "a row of the local tier's pending table has an impossible length");
    *ret_row = (struct hf_pending_row){
        .key = hf__slice(from + stored.len - key_len, key_len),
        .op = from[AT_OP],
        .n_own = from[AT_N_OWN],
        .n_folded = hf__get32(from + AT_N_FOLDED),
        .first_lsn = hf__get64(from + AT_FIRST_LSN),
        .last_lsn = hf__get64(from + AT_LAST_LSN),
        .first_made_ms = (int64_t)hf__get64(from + AT_FIRST_MADE),
        .made_ms = (int64_t)hf__get64(from + AT_MADE),
        .deadline_ms = (int64_t)hf__get64(from + AT_DEADLINE),
        .value_len = hf__get64(from + AT_VALUE_LEN),
    };
    at = version_decode(from + AT_VERSIONS, &ret_row->base);
    for (int i = 0; i < ret_row->n_own; i++)
        at = version_decode(at, &ret_row->own[i]);
    return 0;
}
