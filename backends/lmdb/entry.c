/* Entries of lanes, of the parked list and retained ones as bytes. The layout is in docs/local-tier-format.md. */
#include "entry.h"

#include "seal.h"
#include "version.h"
#include "fail.h"

#include <assert.h>

#define FORMAT 2

enum {
    AT_FORMAT = 8,
    AT_IN_DOUBT = 9,
    AT_REASON_LEN = 10,
    AT_OP = 12,
    AT_FLAGS = 13,
    AT_KEY_LEN = 14,
    AT_DELTA = 16,
    AT_MADE = 24,
    AT_DEADLINE = 32,
    AT_BASE = 40,
    AT_REASON = 77
};
static_assert(AT_REASON == HF__LMDB_ENTRY_HEAD, "the reason follows the header");
static_assert(AT_REASON == AT_BASE + HF__LMDB_VERSION_BYTES, "the base fills its place");
static_assert(HF_KEY_MAX <= UINT16_MAX, "the length of a key fits its field");

size_t hf__lmdb_entry_size(const struct hf_parked_row *row)
{
    return HF__LMDB_ENTRY_HEAD + row->reason.len + row->entry.key.len + row->entry.value.len;
}

static uint8_t *append(uint8_t *at, struct hf_slice s)
{
    if (s.len > 0)
        memcpy(at, s.data, s.len);
    return at + s.len;
}

void hf__lmdb_entry_encode(struct hf_slice table_key, const struct hf_parked_row *row, void *to)
{
    const struct hf_lane_entry *entry = &row->entry;
    uint8_t *at = to;

    at[AT_FORMAT] = FORMAT;
    at[AT_IN_DOUBT] = row->in_doubt;
    hf__put16(at + AT_REASON_LEN, (uint16_t)row->reason.len);
    at[AT_OP] = entry->op;
    at[AT_FLAGS] = entry->flags;
    hf__put16(at + AT_KEY_LEN, (uint16_t)entry->key.len);
    hf__put64(at + AT_DELTA, (uint64_t)entry->delta);
    hf__put64(at + AT_MADE, (uint64_t)entry->made_ms);
    hf__put64(at + AT_DEADLINE, (uint64_t)entry->deadline_ms);
    (void)hf__lmdb_version_encode(&entry->base, at + AT_BASE); /* where it ends is known */
    at = append(at + AT_REASON, row->reason);
    at = append(at, entry->key);
    (void)append(at, entry->value); /* the end is known */
    hf__lmdb_seal(table_key, to, hf__lmdb_entry_size(row));
}

static int damaged(struct hf_slice table_key)
{
    unsigned long long lsn = table_key.len == 8 ? hf__get64be(table_key.data) : 0;

    return hf__fail(HF_ECORRUPT, "the local tier's lane, parked or retained entry of LSN %llu is damaged", lsn);
}

int hf__lmdb_entry_decode(struct hf_slice table_key, struct hf_slice stored, struct hf_parked_row *ret_row)
{
    const uint8_t *at = stored.data;
    size_t reason_len;
    size_t key_len;

    if (table_key.len != 8 || stored.len <= AT_FORMAT || !hf__lmdb_sealed(table_key, stored))
        return damaged(table_key);
    if (at[AT_FORMAT] != FORMAT)
        return hf__fail(HF_EVERSION, "the local tier's entry of LSN %llu has format %u, this version reads %u",
                        (unsigned long long)hf__get64be(table_key.data), at[AT_FORMAT], FORMAT);
    if (stored.len < HF__LMDB_ENTRY_HEAD)
        return damaged(table_key);
    reason_len = hf__get16(at + AT_REASON_LEN);
    key_len = hf__get16(at + AT_KEY_LEN);
    if (key_len == 0 || key_len > HF_KEY_MAX || reason_len + key_len > stored.len - HF__LMDB_ENTRY_HEAD)
        return damaged(table_key);
    *ret_row = (struct hf_parked_row){
        .in_doubt = at[AT_IN_DOUBT] != 0,
        .reason = hf__slice(at + AT_REASON, reason_len),
    };
    ret_row->entry = (struct hf_lane_entry){
        .lsn = hf__get64be(table_key.data),
        .op = at[AT_OP],
        .flags = at[AT_FLAGS],
        .delta = (int64_t)hf__get64(at + AT_DELTA),
        .made_ms = (int64_t)hf__get64(at + AT_MADE),
        .deadline_ms = (int64_t)hf__get64(at + AT_DEADLINE),
        .key = hf__slice(at + AT_REASON + reason_len, key_len),
        .value = hf__slice(at + AT_REASON + reason_len + key_len,
                           stored.len - HF__LMDB_ENTRY_HEAD - reason_len - key_len),
    };
    (void)hf__lmdb_version_decode(at + AT_BASE, &ret_row->entry.base);
    return 0;
}
