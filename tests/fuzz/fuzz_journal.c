/* Fuzz target: the bytes of the journal: a group, sealed so that its checksums are right, and a segment's header. What is accepted lies
 * within what was given, and encodes to the same bytes again. */
#include "format.h"
#include "fuzz.h"

#define SALT 7u

enum { GROUP, GROUP_AS_IT_IS, SEGMENT_HEADER, N_KINDS };

/* ---- groups ---- */

static void encode_again(const struct hf_slice bytes, const struct hf_group_header *header)
{
    uint64_t exceptions[HF_GROUP_EXCEPTIONS_MAX];
    struct hf_group_header again = *header;
    struct hf_bytes group = {.len = HF_GROUP_HEADER_BYTES};
    struct hf_entry entry;
    size_t at = 0;
    uint32_t index = 0;

    group.bytes = malloc(bytes.len);
    group.capacity = bytes.len;
    memset(group.bytes, 0, bytes.len);
    while (hf__group_next(bytes.data, header, &at, &index, &entry) == 0) {
        FUZZ_REQUIRE(fuzz_lies_in(entry.key, bytes) && fuzz_lies_in(entry.value, bytes));
        FUZZ_REQUIRE(entry.key.len >= 1 && entry.key.len <= HF_KEY_MAX);
        FUZZ_REQUIRE(entry.lsn == header->first_lsn + index - 1);
        hf__entry_encode(&entry, &group);
    }
    FUZZ_REQUIRE(index == header->n_entries);
    for (uint32_t i = 0; i < header->n_exceptions; i++)
        exceptions[i] = hf__group_exception(bytes.data, header, i);
    hf__group_seal(&again, exceptions, header->n_exceptions, &group, SALT);
    FUZZ_REQUIRE(group.len == header->bytes && memcmp(&again, header, sizeof(again)) == 0);
    hf__bytes_release(&group);
}

/* Padding is not looked at, and zero when we write it: what is compared are the fields. */
static void check_group(struct hf_slice bytes)
{
    struct hf_group_header header = {0};

    if (bytes.len < HF_GROUP_HEADER_BYTES || hf__group_header_decode(bytes.data, bytes.len, SALT, &header) != 0)
        return;
    FUZZ_REQUIRE(header.bytes <= bytes.len && header.n_exceptions <= HF_GROUP_EXCEPTIONS_MAX);
    if (hf__group_check(bytes.data, &header, SALT) == 0)
        encode_again(bytes, &header);
}

/* Seal what is there as a group: the entries are the input's, their number is counted as a reader would. */
static void seal(uint8_t *bytes, size_t len)
{
    struct hf_group_header header = {.first_lsn = hf__get64(bytes + 8),
                                     .n_entries = hf__get32(bytes + 16),
                                     .durable_lsn = hf__get64(bytes + 24),
                                     .shared_lsn = hf__get64(bytes + 32),
                                     .reserved_lsn = hf__get64(bytes + 40),
                                     .written_ms = (int64_t)hf__get64(bytes + 48)};
    uint32_t n_exceptions = bytes[20] % (HF_GROUP_EXCEPTIONS_MAX + 1);
    uint64_t exceptions[HF_GROUP_EXCEPTIONS_MAX];
    struct hf_bytes group = {.bytes = bytes, .len = len, .capacity = len};

    if (len < HF_GROUP_HEADER_BYTES + 8 * (size_t)n_exceptions)
        n_exceptions = 0;
    group.len -= 8 * (size_t)n_exceptions;
    for (uint32_t i = 0; i < n_exceptions; i++)
        exceptions[i] = hf__get64(bytes + group.len + 8 * (size_t)i);
    hf__group_seal(&header, exceptions, n_exceptions, &group, SALT);
}

/* ---- the segment's header ---- */

static void check_segment_header(const uint8_t *bytes)
{
    struct hf_segment_header header = {0};
    uint8_t again[HF_SEGMENT_HEADER_BYTES];
    uint32_t version = 0;

    if (hf__segment_header_decode(bytes, &header, &version) != HF_SEGMENT_VALID)
        return;
    hf__segment_header_encode(&header, again);
    header = (struct hf_segment_header){0};
    FUZZ_REQUIRE(hf__segment_header_decode(again, &header, &version) == HF_SEGMENT_VALID);
}

static void encode_header(struct fuzz_input *in)
{
    struct hf_segment_header header = {0}, found = {0};
    uint8_t bytes[HF_SEGMENT_HEADER_BYTES];
    uint32_t version = 0;
    size_t bit;

    for (size_t i = 0; i < sizeof(header.id); i++)
        header.id[i] = (uint8_t)fuzz_number(in, 1);
    header.number = fuzz_number(in, 8);
    header.first_lsn = fuzz_number(in, 8);
    header.follows_lsn = fuzz_number(in, 8);
    header.reserved_lsn = fuzz_number(in, 8);
    header.durable_lsn = fuzz_number(in, 8);
    header.file_bytes = fuzz_number(in, 8);
    header.written_ms = (int64_t)fuzz_number(in, 8);
    hf__segment_header_encode(&header, bytes);
    FUZZ_REQUIRE(hf__segment_header_decode(bytes, &found, &version) == HF_SEGMENT_VALID);
    FUZZ_REQUIRE(memcmp(&header, &found, sizeof(header)) == 0);
    bit = fuzz_number(in, 2) % (8 * sizeof(bytes));
    bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    FUZZ_REQUIRE(hf__segment_header_decode(bytes, &found, &version) == HF_SEGMENT_BAD);
}

/* ---- the target ---- */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {data, size};
    unsigned kind = (unsigned)fuzz_number(&in, 1) % N_KINDS;
    size_t len = in.left & ~(size_t)7;
    uint8_t *bytes;

    if (len < HF_SEGMENT_HEADER_BYTES)
        return 0;
    bytes = fuzz_copy(in.p, len);
    if (kind == GROUP)
        seal(bytes, len);
    if (kind == SEGMENT_HEADER)
        check_segment_header(bytes);
    else
        check_group(hf__slice(bytes, len));
    if (kind == SEGMENT_HEADER)
        encode_header(&in);
    free(bytes);
    return 0;
}

size_t fuzz_seed(unsigned i, uint8_t *to, size_t room)
{
    static const struct hf_slice keys[] = {{"k", 1}, {"session:17", 10}, {"counter", 7}};
    struct hf_group_header header = {.first_lsn = 10, .n_entries = i % 3 + 1, .durable_lsn = 9, .written_ms = 1};
    struct hf_bytes group = {.bytes = to + 1, .len = HF_GROUP_HEADER_BYTES, .capacity = room - 1};
    uint64_t exceptions[] = {3, 5};

    if (i >= 6)
        return 0;
    to[0] = i < 3 ? GROUP : GROUP_AS_IT_IS;
    for (uint32_t k = 0; k < header.n_entries; k++) {
        struct hf_entry entry = {
            .op = (uint8_t)(HF_ENTRY_SET + k), .type = 1, .made_ms = 5, .key = keys[k], .value = keys[2]};

        hf__entry_encode(&entry, &group);
    }
    hf__group_seal(&header, exceptions, i % 3, &group, SALT);
    return 1 + group.len;
}
