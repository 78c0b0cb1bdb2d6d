/* Records as bytes. The layout is in docs/local-tier-format.md. */
#include "record.h"

#include "seal.h"
#include "fail.h"

#include <assert.h>

#define FORMAT 1

enum {
    AT_FORMAT = 8,
    AT_TYPE = 9,
    AT_FLAGS = 10,
    AT_ZERO = 11,
    AT_KEY_LEN = 12,
    AT_DEADLINE = 16,
    AT_MADE = 24,
    AT_LSN = 32,
    AT_KEY = 40
};
static_assert(AT_KEY == HF__LMDB_RECORD_HEAD, "the key follows the header");

size_t hf__lmdb_record_size(struct hf_slice long_key, const struct hf_record *record)
{
    return HF__LMDB_RECORD_HEAD + long_key.len + record->value.len;
}

void hf__lmdb_record_encode(struct hf_slice table_key, struct hf_slice long_key, const struct hf_record *record,
                            void *to)
{
    uint8_t *at = to;

    at[AT_FORMAT] = FORMAT;
    at[AT_TYPE] = record->type;
    at[AT_FLAGS] = record->flags;
    at[AT_ZERO] = 0;
    hf__put32(at + AT_KEY_LEN, (uint32_t)long_key.len);
    hf__put64(at + AT_DEADLINE, (uint64_t)record->deadline_ms);
    hf__put64(at + AT_MADE, (uint64_t)record->made_ms);
    hf__put64(at + AT_LSN, record->lsn);
    if (long_key.len > 0)
        memcpy(at + AT_KEY, long_key.data, long_key.len);
    if (record->value.len > 0)
        memcpy(at + AT_KEY + long_key.len, record->value.data, record->value.len);
    hf__lmdb_seal(table_key, to, hf__lmdb_record_size(long_key, record));
}

static int damaged(struct hf_slice name)
{
    char text[160];

    return hf__fail(HF_ECORRUPT, "the local tier's record of key \"%s\" is damaged",
                    hf__printable(name, text, sizeof(text)));
}

static int unknown_format(struct hf_slice name, unsigned format)
{
    char text[160];

    return hf__fail(HF_EVERSION, "the local tier's record of key \"%s\" has format %u, this version reads %u",
                    hf__printable(name, text, sizeof(text)), format, FORMAT);
}

int hf__lmdb_record_decode(struct hf_slice table_key, struct hf_slice name, struct hf_slice stored,
                           struct hf_slice *ret_long_key, struct hf_record *ret_record)
{
    const uint8_t *at = stored.data;
    size_t key_len;

    if (stored.len <= AT_FORMAT || !hf__lmdb_sealed(table_key, stored))
        return damaged(name);
    if (at[AT_FORMAT] != FORMAT)
        return unknown_format(name, at[AT_FORMAT]);
    if (stored.len < HF__LMDB_RECORD_HEAD)
        return damaged(name);
    key_len = hf__get32(at + AT_KEY_LEN);
    if (key_len > HF_KEY_MAX || key_len > stored.len - HF__LMDB_RECORD_HEAD)
        return damaged(name);
    *ret_long_key = hf__slice(at + AT_KEY, key_len);
    *ret_record = (struct hf_record){
        .value = hf__slice(at + AT_KEY + key_len, stored.len - HF__LMDB_RECORD_HEAD - key_len),
        .deadline_ms = (int64_t)hf__get64(at + AT_DEADLINE),
        .made_ms = (int64_t)hf__get64(at + AT_MADE),
        .lsn = hf__get64(at + AT_LSN),
        .type = at[AT_TYPE],
        .flags = at[AT_FLAGS],
    };
    return 0;
}

int64_t hf__lmdb_record_claimed_deadline(struct hf_slice stored)
{
    if (stored.len < HF__LMDB_RECORD_HEAD)
        return 0;
    return (int64_t)hf__get64((const uint8_t *)stored.data + AT_DEADLINE);
}
