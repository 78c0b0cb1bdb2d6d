/* Rows of the conflict log as bytes. The layout is in docs/local-tier-format.md. */
#include "conflict.h"

#include "seal.h"
#include "fail.h"

#include <assert.h>

#define FORMAT 1

enum {
    AT_FORMAT = 8,
    AT_RULE = 9,
    AT_WINNER = 10,
    AT_OP = 11,
    AT_KEY_LEN = 12,
    AT_OURS_IS = 14,
    AT_THEIRS_IS = 15,
    AT_DECIDED = 16,
    AT_OURS_LEN = 24,
    AT_THEIRS_LEN = 28,
    AT_OURS = 32,
    AT_THEIRS = 64,
    AT_KEY = 96
};
enum { SIDE_LEN = 0, SIDE_DEADLINE = 8, SIDE_MADE = 16, SIDE_UNCERTAINTY = 24, SIDE_BYTES = 32 };
enum { IS_PRESENT = 1, IS_TOO_LONG = 2 };
static_assert(AT_KEY == HF__LMDB_CONFLICT_HEAD, "the key follows the header");
static_assert(AT_OURS + SIDE_BYTES == AT_THEIRS && AT_THEIRS + SIDE_BYTES == AT_KEY, "the sides fill their places");

size_t hf__lmdb_conflict_size(const struct hf_conflict_row *row)
{
    return HF__LMDB_CONFLICT_HEAD + row->key.len + row->ours.value.len + row->theirs.value.len;
}

static uint8_t *append(uint8_t *at, struct hf_slice s)
{
    if (s.len > 0)
        memcpy(at, s.data, s.len);
    return at + s.len;
}

static uint8_t is_of(const struct hf_conflict_side *side)
{
    return (uint8_t)((side->present ? IS_PRESENT : 0) | (side->too_long ? IS_TOO_LONG : 0));
}

static void side_encode(const struct hf_conflict_side *side, uint8_t *to)
{
    hf__put64(to + SIDE_LEN, side->len);
    hf__put64(to + SIDE_DEADLINE, (uint64_t)side->deadline_ms);
    hf__put64(to + SIDE_MADE, (uint64_t)side->made_ms);
    hf__put64(to + SIDE_UNCERTAINTY, (uint64_t)side->uncertainty_ms);
}

void hf__lmdb_conflict_encode(struct hf_slice table_key, const struct hf_conflict_row *row, uint8_t *to)
{
    uint8_t *at;

    to[AT_FORMAT] = FORMAT;
    to[AT_RULE] = row->rule;
    to[AT_WINNER] = row->winner;
    to[AT_OP] = row->op;
    hf__put16(to + AT_KEY_LEN, (uint16_t)row->key.len);
    to[AT_OURS_IS] = is_of(&row->ours);
    to[AT_THEIRS_IS] = is_of(&row->theirs);
    hf__put64(to + AT_DECIDED, (uint64_t)row->decided_ms);
    hf__put32(to + AT_OURS_LEN, (uint32_t)row->ours.value.len);
    hf__put32(to + AT_THEIRS_LEN, (uint32_t)row->theirs.value.len);
    side_encode(&row->ours, to + AT_OURS);
    side_encode(&row->theirs, to + AT_THEIRS);
    at = append(to + AT_KEY, row->key);
    at = append(at, row->ours.value);
    (void)append(at, row->theirs.value); /* the end is known */
    hf__lmdb_seal(table_key, to, hf__lmdb_conflict_size(row));
}

static int damaged(struct hf_slice table_key)
{
    unsigned long long id = table_key.len == 8 ? hf__get64be(table_key.data) : 0;

    return hf__fail(HF_ECORRUPT, "the local tier's conflict %llu is damaged", id);
}

static bool lengths_agree(struct hf_slice stored)
{
    const uint8_t *from = stored.data;
    size_t key_len;

    if (stored.len < HF__LMDB_CONFLICT_HEAD)
        return false;
    key_len = hf__get16(from + AT_KEY_LEN);
    if (key_len == 0 || key_len > HF_KEY_MAX)
        return false;
    return stored.len == HF__LMDB_CONFLICT_HEAD + key_len + (uint64_t)hf__get32(from + AT_OURS_LEN) +
                             hf__get32(from + AT_THEIRS_LEN);
}

static struct hf_conflict_side side_decode(const uint8_t *from, uint8_t is, struct hf_slice value)
{
    return (struct hf_conflict_side){
        .present = is & IS_PRESENT,
        .too_long = is & IS_TOO_LONG,
        .value = value,
        .len = hf__get64(from + SIDE_LEN),
        .deadline_ms = (int64_t)hf__get64(from + SIDE_DEADLINE),
        .made_ms = (int64_t)hf__get64(from + SIDE_MADE),
        .uncertainty_ms = (int64_t)hf__get64(from + SIDE_UNCERTAINTY),
    };
}

int hf__lmdb_conflict_decode(struct hf_slice table_key, struct hf_slice stored, struct hf_conflict_row *ret_row)
{
    const uint8_t *from = stored.data;
    struct hf_slice key;
    struct hf_slice ours;
    struct hf_slice theirs;

    if (table_key.len != 8 || stored.len <= AT_FORMAT || !hf__lmdb_sealed(table_key, stored))
        return damaged(table_key);
    if (from[AT_FORMAT] != FORMAT)
        return hf__fail(HF_EVERSION, "the local tier's conflict %llu has format %u, this version reads %u",
                        (unsigned long long)hf__get64be(table_key.data), from[AT_FORMAT], FORMAT);
    if (!lengths_agree(stored))
        return damaged(table_key);
    key = hf__slice(from + AT_KEY, hf__get16(from + AT_KEY_LEN));
    ours = hf__slice(from + AT_KEY + key.len, hf__get32(from + AT_OURS_LEN));
    theirs = hf__slice(from + AT_KEY + key.len + ours.len, hf__get32(from + AT_THEIRS_LEN));
    *ret_row = (struct hf_conflict_row){
        .id = hf__get64be(table_key.data),
        .rule = from[AT_RULE],
        .winner = from[AT_WINNER],
        .op = from[AT_OP],
        .decided_ms = (int64_t)hf__get64(from + AT_DECIDED),
        .key = key,
        .ours = side_decode(from + AT_OURS, from[AT_OURS_IS], ours),
        .theirs = side_decode(from + AT_THEIRS, from[AT_THEIRS_IS], theirs),
    };
    return 0;
}
