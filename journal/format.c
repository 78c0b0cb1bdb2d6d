/* Encoding and decoding of the journal's segments, groups and entries (docs/journal-format.md). */
#include "format.h"

#include <assert.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

static const char segment_magic[8] = {'H', 'F', 'S', 'E', 'G', 'M', 'N', 'T'};
#define GROUP_MAGIC 0x52474648u /* "HFGR" */

static_assert(HF_SEGMENT_HEADER_BYTES <= 512, "the header must lie within one sector");
static_assert(HF_GROUP_EXCEPTIONS_MAX <= UINT8_MAX, "the count of exceptions has 8 bits");
static_assert(HF_KEY_MAX <= UINT16_MAX, "the key length has 16 bits");
static_assert(HF_VALUE_MAX <= UINT32_MAX - 8192, "value and group lengths have 32 bits");

void hf__segment_header_encode(const struct hf_segment_header *header, uint8_t *bytes)
{
    memset(bytes, 0, HF_SEGMENT_HEADER_BYTES);
    memcpy(bytes, segment_magic, sizeof(segment_magic));
    hf__put32(bytes + 8, HF_JOURNAL_VERSION);
    hf__put32(bytes + 12, HF_SEGMENT_DATA_OFFSET);
    memcpy(bytes + 16, header->id, HF_JOURNAL_ID_BYTES);
    hf__put64(bytes + 32, header->number);
    hf__put64(bytes + 40, header->first_lsn);
    hf__put64(bytes + 48, header->follows_lsn);
    hf__put64(bytes + 56, header->reserved_lsn);
    hf__put64(bytes + 64, header->durable_lsn);
    hf__put64(bytes + 72, header->file_bytes);
    hf__put64(bytes + 80, (uint64_t)header->written_ms);
    hf__put64(bytes + 120, XXH3_64bits(bytes, 120));
}

static bool all_zero(const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] != 0)
            return false;
    }
    return true;
}

enum hf_segment_verdict hf__segment_header_decode(const uint8_t *bytes, struct hf_segment_header *ret_header,
                                                  uint32_t *ret_version)
{
    if (all_zero(bytes, HF_SEGMENT_HEADER_BYTES))
        return HF_SEGMENT_FREE;
    if (memcmp(bytes, segment_magic, sizeof(segment_magic)) != 0)
        return HF_SEGMENT_BAD;
    if (hf__get64(bytes + 120) != XXH3_64bits(bytes, 120))
        return HF_SEGMENT_BAD;
    *ret_version = hf__get32(bytes + 8);
    if (*ret_version != HF_JOURNAL_VERSION || hf__get32(bytes + 12) != HF_SEGMENT_DATA_OFFSET)
        return HF_SEGMENT_VERSION;
    memcpy(ret_header->id, bytes + 16, HF_JOURNAL_ID_BYTES);
    ret_header->number = hf__get64(bytes + 32);
    ret_header->first_lsn = hf__get64(bytes + 40);
    ret_header->follows_lsn = hf__get64(bytes + 48);
    ret_header->reserved_lsn = hf__get64(bytes + 56);
    ret_header->durable_lsn = hf__get64(bytes + 64);
    ret_header->file_bytes = hf__get64(bytes + 72);
    ret_header->written_ms = (int64_t)hf__get64(bytes + 80);
    return HF_SEGMENT_VALID;
}

static size_t round_up_8(size_t n)
{
    return (n + 7) & ~(size_t)7;
}

size_t hf__entry_size(const struct hf_entry *entry)
{
    return round_up_8(HF_ENTRY_HEADER_BYTES + entry->key.len + entry->value.len);
}

void hf__entry_encode(const struct hf_entry *entry, struct hf_bytes *group)
{
    size_t size = hf__entry_size(entry);
    uint8_t *p = group->bytes + group->len;

    assert(group->len + size <= group->capacity && "the caller reserves");
    hf__put32(p, (uint32_t)size);
    p[4] = entry->op;
    p[5] = entry->type;
    hf__put16(p + 6, (uint16_t)entry->key.len);
    hf__put32(p + 8, entry->flags);
    hf__put32(p + 12, (uint32_t)entry->value.len);
    hf__put64(p + 16, (uint64_t)entry->deadline_ms);
    hf__put64(p + 24, (uint64_t)entry->made_ms);
    hf__put64(p + 32, (uint64_t)entry->delta);
    p += HF_ENTRY_HEADER_BYTES;
    memcpy(p, entry->key.data, entry->key.len);
    p += entry->key.len;
    if (entry->value.len > 0)
        memcpy(p, entry->value.data, entry->value.len);
    p += entry->value.len;
    group->len += size;
    memset(p, 0, (size_t)(group->bytes + group->len - p));
}

/* Everything but the checksum's own eight bytes. */
static uint64_t group_checksum(const uint8_t *bytes, size_t len, uint64_t salt)
{
    uint64_t head = XXH3_64bits_withSeed(bytes, 56, salt);

    return XXH3_64bits_withSeed(bytes + HF_GROUP_HEADER_BYTES, len - HF_GROUP_HEADER_BYTES, head);
}

/* Magic, length, first LSN and counts have a short check of their own: what only looks like a group, such as a value
 * that holds many of them, costs no reading of the length that it claims. */
static uint32_t header_check(const uint8_t *bytes, uint64_t salt)
{
    return (uint32_t)XXH3_64bits_withSeed(bytes, 21, salt) & 0xffffff;
}

void hf__group_seal(struct hf_group_header *header, const uint64_t *exceptions, uint32_t n_exceptions,
                    struct hf_bytes *group, uint64_t salt)
{
    uint8_t *p = group->bytes;

    assert(n_exceptions <= HF_GROUP_EXCEPTIONS_MAX);
    assert(group->len + 8 * (size_t)n_exceptions <= group->capacity && "the caller reserves");
    for (uint32_t i = 0; i < n_exceptions; i++, group->len += 8)
        hf__put64(group->bytes + group->len, exceptions[i]);
    header->bytes = (uint32_t)group->len;
    header->n_exceptions = n_exceptions;
    hf__put32(p, GROUP_MAGIC);
    hf__put32(p + 4, header->bytes);
    hf__put64(p + 8, header->first_lsn);
    hf__put32(p + 16, header->n_entries);
    hf__put32(p + 20, header->n_exceptions);
    hf__put32(p + 20, header->n_exceptions | header_check(p, salt) << 8);
    hf__put64(p + 24, header->durable_lsn);
    hf__put64(p + 32, header->shared_lsn);
    hf__put64(p + 40, header->reserved_lsn);
    hf__put64(p + 48, (uint64_t)header->written_ms);
    hf__put64(p + 56, group_checksum(p, group->len, salt));
}

uint64_t hf__group_salt(const uint8_t *id, uint64_t number, uint64_t offset)
{
    uint8_t bytes[HF_JOURNAL_ID_BYTES + 16];

    memcpy(bytes, id, HF_JOURNAL_ID_BYTES);
    hf__put64(bytes + HF_JOURNAL_ID_BYTES, number);
    hf__put64(bytes + HF_JOURNAL_ID_BYTES + 8, offset);
    return XXH3_64bits(bytes, sizeof(bytes));
}

bool hf__group_begins(const uint8_t *bytes)
{
    return hf__get32(bytes) == GROUP_MAGIC;
}

int hf__group_header_decode(const uint8_t *bytes, uint64_t available, uint64_t salt,
                            struct hf_group_header *ret_header)
{
    uint32_t len;

    if (available < HF_GROUP_HEADER_BYTES || !hf__group_begins(bytes) ||
        hf__get32(bytes + 20) >> 8 != header_check(bytes, salt))
        return -1;
    len = hf__get32(bytes + 4);
    if (len < HF_GROUP_HEADER_BYTES || len % 8 != 0 || len > available)
        return -1;
    ret_header->bytes = len;
    ret_header->first_lsn = hf__get64(bytes + 8);
    ret_header->n_entries = hf__get32(bytes + 16);
    ret_header->n_exceptions = bytes[20];
    ret_header->durable_lsn = hf__get64(bytes + 24);
    ret_header->shared_lsn = hf__get64(bytes + 32);
    ret_header->reserved_lsn = hf__get64(bytes + 40);
    ret_header->written_ms = (int64_t)hf__get64(bytes + 48);
    if (ret_header->n_exceptions > HF_GROUP_EXCEPTIONS_MAX ||
        HF_GROUP_HEADER_BYTES + 8ull * ret_header->n_exceptions > len)
        return -1;
    return 0;
}

/* End of the entries inside a group. */
static size_t entries_end(const struct hf_group_header *header)
{
    return header->bytes - 8 * (size_t)header->n_exceptions;
}

static bool is_known_op(uint8_t op)
{
    return (op >= HF_ENTRY_SET && op <= HF_ENTRY_INTENT) || op == HF_ENTRY_UNPARK || op == HF_ENTRY_RESOLVE;
}

static int entry_check(const uint8_t *p, size_t available)
{
    uint64_t need;

    if (available < HF_ENTRY_HEADER_BYTES || hf__get16(p + 6) < 1 || hf__get16(p + 6) > HF_KEY_MAX)
        return -1;
    need = HF_ENTRY_HEADER_BYTES + (uint64_t)hf__get16(p + 6) + hf__get32(p + 12);
    if (hf__get32(p) != ((need + 7) & ~7ull) || hf__get32(p) > available)
        return -1;
    return is_known_op(p[4]) ? 0 : -1;
}

int hf__group_check(const uint8_t *bytes, const struct hf_group_header *header, uint64_t salt)
{
    size_t at = HF_GROUP_HEADER_BYTES;
    size_t end = entries_end(header);
    uint32_t n = 0;

    if (hf__get64(bytes + 56) != group_checksum(bytes, header->bytes, salt))
        return -1;
    for (; at < end; n++) {
        if (entry_check(bytes + at, end - at) != 0)
            return -1;
        at += hf__get32(bytes + at);
    }
    return n == header->n_entries ? 0 : -1;
}

int hf__group_next(const uint8_t *bytes, const struct hf_group_header *header, size_t *offset, uint32_t *index,
                   struct hf_entry *ret_entry)
{
    const uint8_t *p;

    if (*offset == 0)
        *offset = HF_GROUP_HEADER_BYTES;
    if (*offset >= entries_end(header))
        return 1;
    p = bytes + *offset;
    *ret_entry = (struct hf_entry){
        .lsn = header->first_lsn + *index,
        .op = p[4],
        .type = p[5],
        .flags = hf__get32(p + 8),
        .deadline_ms = (int64_t)hf__get64(p + 16),
        .made_ms = (int64_t)hf__get64(p + 24),
        .delta = (int64_t)hf__get64(p + 32),
        .key = hf__slice(p + HF_ENTRY_HEADER_BYTES, hf__get16(p + 6)),
        .value = hf__slice(p + HF_ENTRY_HEADER_BYTES + hf__get16(p + 6), hf__get32(p + 12)),
    };
    *offset += hf__get32(p);
    *index += 1;
    return 0;
}

uint64_t hf__group_exception(const uint8_t *bytes, const struct hf_group_header *header, uint32_t i)
{
    return hf__get64(bytes + entries_end(header) + 8 * (size_t)i);
}
