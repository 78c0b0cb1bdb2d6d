/* Rows of the pending table as bytes. The layout is in docs/local-tier-format.md. */
#include "row.h"

#include "seal.h"
#include "version.h"
#include "fail.h"

#include <assert.h>

#define FORMAT 4

enum {
    AT_FORMAT = 8,
    AT_OP = 9,
    AT_N_OWN = 10,
    AT_WHY = 11,
    AT_N_FOLDED = 12,
    AT_FIRST_LSN = 16,
    AT_LAST_LSN = 24,
    AT_FIRST_MADE = 32,
    AT_MADE = 40,
    AT_DEADLINE = 48,
    AT_VALUE_LEN = 56,
    AT_FOREIGN_OP = 64,
    AT_HAS_BASE_VALUE = 65,
    AT_KEY_LEN = 66,
    AT_BASE_VALUE_LEN = 68,
    AT_FOREIGN_MADE = 72,
    AT_FOREIGN_UNCERTAINTY = 80,
    AT_BASE_LSN = 88,
    AT_BASE_MADE = 96,
    AT_VALUE_LSN = 104,
    AT_VERSIONS = 112
};
static_assert(AT_VERSIONS == HF__LMDB_ROW_HEAD, "the versions follow the header");

static size_t versions_size(unsigned n_own)
{
    return (1 + n_own) * HF__LMDB_VERSION_BYTES;
}

static size_t base_value_len(const struct hf_pending_row *row)
{
    return row->has_base_value ? row->base_value.len : 0;
}

size_t hf__lmdb_row_size(const struct hf_pending_row *row)
{
    return HF__LMDB_ROW_HEAD + versions_size(row->n_own) + row->key.len + base_value_len(row);
}

static void head_encode(const struct hf_pending_row *row, uint8_t *to)
{
    to[AT_FORMAT] = FORMAT;
    to[AT_OP] = row->op;
    to[AT_N_OWN] = row->n_own;
    to[AT_WHY] = row->why;
    hf__put32(to + AT_N_FOLDED, row->n_folded);
    hf__put64(to + AT_FIRST_LSN, row->first_lsn);
    hf__put64(to + AT_LAST_LSN, row->last_lsn);
    hf__put64(to + AT_FIRST_MADE, (uint64_t)row->first_made_ms);
    hf__put64(to + AT_MADE, (uint64_t)row->made_ms);
    hf__put64(to + AT_DEADLINE, (uint64_t)row->deadline_ms);
    hf__put64(to + AT_VALUE_LEN, row->value_len);
    to[AT_FOREIGN_OP] = row->foreign.op;
    to[AT_HAS_BASE_VALUE] = row->has_base_value;
    hf__put16(to + AT_KEY_LEN, (uint16_t)row->key.len);
    hf__put32(to + AT_BASE_VALUE_LEN, (uint32_t)base_value_len(row));
    hf__put64(to + AT_FOREIGN_MADE, (uint64_t)row->foreign.made_ms);
    hf__put64(to + AT_FOREIGN_UNCERTAINTY, (uint64_t)row->foreign.uncertainty_ms);
    hf__put64(to + AT_BASE_LSN, row->base_lsn);
    hf__put64(to + AT_BASE_MADE, (uint64_t)row->base_made_ms);
    hf__put64(to + AT_VALUE_LSN, row->value_lsn);
}

void hf__lmdb_row_encode(const struct hf_pending_row *row, uint8_t *to)
{
    uint8_t *at;

    head_encode(row, to);
    at = hf__lmdb_version_encode(&row->base, to + AT_VERSIONS);
    for (int i = 0; i < row->n_own; i++)
        at = hf__lmdb_version_encode(&row->own[i], at);
    memcpy(at, row->key.data, row->key.len);
    if (base_value_len(row) > 0)
        memcpy(at + row->key.len, row->base_value.data, row->base_value.len);
}

static bool lengths_agree(struct hf_slice stored)
{
    const uint8_t *from = stored.data;
    size_t key_len;
    size_t base_len;

    if (stored.len < HF__LMDB_ROW_HEAD || from[AT_N_OWN] > HF_PENDING_OWN_MAX)
        return false;
    key_len = hf__get16(from + AT_KEY_LEN);
    base_len = hf__get32(from + AT_BASE_VALUE_LEN);
    if (key_len == 0 || key_len > HF_KEY_MAX || (base_len > 0 && !from[AT_HAS_BASE_VALUE]))
        return false;
    return stored.len == HF__LMDB_ROW_HEAD + versions_size(from[AT_N_OWN]) + key_len + base_len;
}

static void head_decode(const uint8_t *from, struct hf_pending_row *ret_row)
{
    *ret_row = (struct hf_pending_row){
        .op = from[AT_OP],
        .why = from[AT_WHY],
        .n_own = from[AT_N_OWN],
        .n_folded = hf__get32(from + AT_N_FOLDED),
        .first_lsn = hf__get64(from + AT_FIRST_LSN),
        .last_lsn = hf__get64(from + AT_LAST_LSN),
        .first_made_ms = (int64_t)hf__get64(from + AT_FIRST_MADE),
        .made_ms = (int64_t)hf__get64(from + AT_MADE),
        .deadline_ms = (int64_t)hf__get64(from + AT_DEADLINE),
        .value_len = hf__get64(from + AT_VALUE_LEN),
        .foreign =
            {
                .op = from[AT_FOREIGN_OP],
                .made_ms = (int64_t)hf__get64(from + AT_FOREIGN_MADE),
                .uncertainty_ms = (int64_t)hf__get64(from + AT_FOREIGN_UNCERTAINTY),
            },
        .base_lsn = hf__get64(from + AT_BASE_LSN),
        .base_made_ms = (int64_t)hf__get64(from + AT_BASE_MADE),
        .value_lsn = hf__get64(from + AT_VALUE_LSN),
        .has_base_value = from[AT_HAS_BASE_VALUE] != 0,
    };
}

int hf__lmdb_row_decode(struct hf_slice table_key, struct hf_slice stored, struct hf_pending_row *ret_row)
{
    const uint8_t *from = stored.data;
    const uint8_t *at;

    if (stored.len <= AT_FORMAT || !hf__lmdb_sealed(table_key, stored))
        return hf__fail(HF_ECORRUPT, "a row of the local tier's pending table is damaged");
    if (from[AT_FORMAT] != FORMAT)
        return hf__fail(HF_EVERSION, "a row of the local tier's pending table has format %u, this version reads %u",
                        from[AT_FORMAT], FORMAT);
    if (!lengths_agree(stored))
        return hf__fail(HF_ECORRUPT, "a row of the local tier's pending table has an impossible length");
    head_decode(from, ret_row);
    at = hf__lmdb_version_decode(from + AT_VERSIONS, &ret_row->base);
    for (int i = 0; i < ret_row->n_own; i++)
        at = hf__lmdb_version_decode(at, &ret_row->own[i]);
    ret_row->key = hf__slice(at, hf__get16(from + AT_KEY_LEN));
    ret_row->base_value = hf__slice(at + ret_row->key.len, hf__get32(from + AT_BASE_VALUE_LEN));
    return 0;
}
