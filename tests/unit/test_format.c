/* The journal's bytes: what is written is read back, and nothing else is. */
#include "format.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- fixture: one group of every operation, and one header ---- */

#define SALT 0x1122334455667788u
#define N_ENTRIES 6u
#define N_EXCEPTIONS 3u

static const uint64_t exceptions[N_EXCEPTIONS] = {3, 7, UINT64_MAX};
static const char *const keys[N_ENTRIES] = {"a", "key:2", "12345678", "k", "counter", "counter"};
static const char *const values[N_ENTRIES] = {"", "v", "a value of some length", "", "41", "42"};

static struct hf_entry entry_of(uint32_t i)
{
    return (struct hf_entry){
        .op = (uint8_t)(HF_ENTRY_SET + i),
        .type = 1,
        .flags = i & 7,
        .deadline_ms = i == 2 ? INT64_MAX : (int64_t)i * 1000,
        .made_ms = 1700000000000 + i,
        .delta = i == 4 ? INT64_MIN : (int64_t)i - 3,
        .key = hf__slice_str(keys[i]),
        .value = hf__slice_str(values[i]),
    };
}

/* A group of the first `n` entries; the caller releases it. */
static void make_group(uint32_t n, uint32_t n_exceptions, uint64_t salt, struct hf_group_header *header,
                       struct hf_bytes *group)
{
    *group = (struct hf_bytes){0};
    assert_int_equal(hf__bytes_reserve(group, 4096), 0);
    memset(group->bytes, 0xee, group->capacity); /* no zero may come for free */
    group->len = HF_GROUP_HEADER_BYTES;
    for (uint32_t i = 0; i < n; i++) {
        struct hf_entry entry = entry_of(i % N_ENTRIES);
        hf__entry_encode(&entry, group);
    }
    *header = (struct hf_group_header){.first_lsn = 1000,
                                       .n_entries = n,
                                       .durable_lsn = 999,
                                       .shared_lsn = 500,
                                       .reserved_lsn = 1u << 20,
                                       .written_ms = -5};
    hf__group_seal(header, exceptions, n_exceptions, group, salt);
}

static struct hf_segment_header header_of_segment(void)
{
    return (struct hf_segment_header){
        .id = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 255},
        .number = 7,
        .first_lsn = 1001,
        .follows_lsn = 1000,
        .reserved_lsn = UINT64_MAX,
        .durable_lsn = 990,
        .file_bytes = 1u << 26,
        .written_ms = 1700000000123,
    };
}

/* ---- vocabulary ---- */

/* Whether `len` bytes pass as a whole group. Read from a copy of just that size: ASan sees every step aside. */
static bool passes(const uint8_t *bytes, size_t len, uint64_t salt)
{
    struct hf_group_header header;
    uint8_t *copy = malloc(len ? len : 1);
    bool ok;

    assert_non_null(copy);
    if (len > 0)
        memcpy(copy, bytes, len);
    ok = hf__group_header_decode(copy, len, salt, &header) == 0 && hf__group_check(copy, &header, salt) == 0;
    free(copy);
    return ok;
}

/* Change bytes of a good group and seal it again, as a program with a bug would. */
static bool passes_resealed(size_t offset, uint32_t value, size_t width)
{
    struct hf_group_header header;
    struct hf_bytes group;
    uint8_t bytes[4];
    bool ok;

    make_group(N_ENTRIES, 0, SALT, &header, &group);
    hf__put32(bytes, value);
    memcpy(group.bytes + offset, bytes, width);
    hf__group_seal(&header, NULL, 0, &group, SALT);
    ok = passes(group.bytes, group.len, SALT);
    hf__bytes_release(&group);
    return ok;
}

/* ---- groups ---- */

static void test_format__a_group_reads_back_as_it_was_written(void **state)
{
    struct hf_group_header header, read;
    struct hf_bytes group;

    (void)state;
    for (uint32_t n = 0; n <= N_ENTRIES; n++) {
        struct hf_entry entry;
        size_t at = 0;
        uint32_t index = 0;
        make_group(n, N_EXCEPTIONS, SALT, &header, &group);
        assert_int_equal(group.len % 8, 0);
        assert_int_equal(hf__group_header_decode(group.bytes, group.len, SALT, &read), 0);
        assert_int_equal(hf__group_check(group.bytes, &read, SALT), 0);
        assert_int_equal(read.bytes, group.len);
        assert_int_equal(read.first_lsn, header.first_lsn);
        assert_int_equal(read.n_entries, n);
        assert_int_equal(read.durable_lsn, header.durable_lsn);
        assert_int_equal(read.shared_lsn, header.shared_lsn);
        assert_int_equal(read.reserved_lsn, header.reserved_lsn);
        assert_int_equal(read.written_ms, header.written_ms);
        assert_int_equal(read.n_exceptions, N_EXCEPTIONS);
        for (uint32_t i = 0; i < N_EXCEPTIONS; i++)
            assert_int_equal(hf__group_exception(group.bytes, &read, i), exceptions[i]);
        for (uint32_t i = 0; i < n; i++) {
            struct hf_entry want = entry_of(i);
            assert_int_equal(hf__group_next(group.bytes, &read, &at, &index, &entry), 0);
            assert_int_equal(entry.lsn, 1000 + i);
            assert_int_equal(entry.op, want.op);
            assert_int_equal(entry.type, want.type);
            assert_int_equal(entry.flags, want.flags);
            assert_int_equal(entry.deadline_ms, want.deadline_ms);
            assert_int_equal(entry.made_ms, want.made_ms);
            assert_int_equal(entry.delta, want.delta);
            assert_true(hf__slice_eq(entry.key, want.key));
            assert_true(hf__slice_eq(entry.value, want.value));
        }
        assert_int_equal(hf__group_next(group.bytes, &read, &at, &index, &entry), 1);
        hf__bytes_release(&group);
    }
}

static void test_format__a_group_with_any_bit_flipped_is_refused(void **state)
{
    struct hf_group_header header;
    struct hf_bytes group;
    size_t n = 0;

    (void)state;
    make_group(N_ENTRIES, N_EXCEPTIONS, SALT, &header, &group);
    for (size_t bit = 0; bit < 8 * group.len; bit++, n++) {
        group.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (passes(group.bytes, group.len, SALT))
            fail_msg("bit %zu of byte %zu", bit % 8, bit / 8);
        group.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_true(passes(group.bytes, group.len, SALT));
    print_message("%zu flips\n", n);
    hf__bytes_release(&group);
}

static void test_format__a_group_cut_at_any_length_is_refused(void **state)
{
    struct hf_group_header header;
    struct hf_bytes group;

    (void)state;
    make_group(N_ENTRIES, N_EXCEPTIONS, SALT, &header, &group);
    for (size_t len = 0; len < group.len; len++) {
        if (passes(group.bytes, len, SALT))
            fail_msg("length %zu of %zu", len, group.len);
    }
    assert_true(passes(group.bytes, group.len, SALT));
    hf__bytes_release(&group);
}

static void test_format__a_group_passes_only_at_its_own_place(void **state)
{
    static const uint8_t id[HF_JOURNAL_ID_BYTES] = {9, 8, 7};
    struct hf_group_header header;
    struct hf_bytes group;
    uint64_t salt = hf__group_salt(id, 5, 4096);

    (void)state;
    make_group(N_ENTRIES, 0, salt, &header, &group);
    assert_true(passes(group.bytes, group.len, salt));
    for (uint64_t at = 0; at < 1u << 16; at += 8) {
        if (at != 4096)
            assert_false(passes(group.bytes, group.len, hf__group_salt(id, 5, at)));
    }
    for (uint64_t number = 0; number < 1000; number++) {
        if (number != 5)
            assert_false(passes(group.bytes, group.len, hf__group_salt(id, number, 4096)));
    }
    for (unsigned bit = 0; bit < 8 * HF_JOURNAL_ID_BYTES; bit++) {
        uint8_t other[HF_JOURNAL_ID_BYTES];
        memcpy(other, id, sizeof(other));
        other[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_false(passes(group.bytes, group.len, hf__group_salt(other, 5, 4096)));
    }
    assert_int_not_equal(hf__group_salt(id, 5, 4096), hf__group_salt(id, 4096, 5));
    hf__bytes_release(&group);
}

static void test_format__a_sealed_group_with_an_impossible_entry_is_refused(void **state)
{
    struct hf_entry first = entry_of(0);
    size_t at = HF_GROUP_HEADER_BYTES, size = hf__entry_size(&first);
    static const uint32_t lengths[] = {0, 1, 8, 39, 40, 47, 49, 56, 1u << 31, UINT32_MAX - 7, UINT32_MAX};

    (void)state;
    assert_true(passes_resealed(at, (uint32_t)size, 4)); /* control: the right length */
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        if (lengths[i] != size)
            assert_false(passes_resealed(at, lengths[i], 4));
    }
    assert_true(passes_resealed(at + 6, (uint32_t)first.key.len, 2));
    assert_false(passes_resealed(at + 6, 0, 2));              /* no key */
    assert_false(passes_resealed(at + 6, HF_KEY_MAX + 1, 2)); /* a key too long */
    assert_false(passes_resealed(at + 6, UINT16_MAX, 2));
    assert_false(passes_resealed(at + 12, UINT32_MAX, 4)); /* a value that wraps around */
    assert_false(passes_resealed(at + 12, UINT32_MAX - 40, 4));
    for (uint32_t op = 0; op <= UINT8_MAX; op++)
        assert_int_equal(passes_resealed(at + 4, op, 1), (op >= HF_ENTRY_SET && op <= HF_ENTRY_INTENT) ||
                                                             op == HF_ENTRY_UNPARK || op == HF_ENTRY_RESOLVE);
}

static void test_format__a_sealed_group_with_a_wrong_count_is_refused(void **state)
{
    (void)state;
    for (uint32_t n = 0; n < 3 * N_ENTRIES; n++) {
        struct hf_group_header header;
        struct hf_bytes group;
        make_group(N_ENTRIES, 0, SALT, &header, &group);
        header.n_entries = n;
        hf__group_seal(&header, NULL, 0, &group, SALT);
        assert_int_equal(passes(group.bytes, group.len, SALT), n == N_ENTRIES);
        hf__bytes_release(&group);
    }
}

/* A sealed header is read back only with the bytes that it claims. */
static void test_format__a_group_header_claims_no_more_than_there_is(void **state)
{
    struct hf_group_header header;
    struct hf_bytes group;

    (void)state;
    make_group(N_ENTRIES, N_EXCEPTIONS, SALT, &header, &group);
    for (size_t available = 0; available < 2 * group.len; available++)
        assert_int_equal(hf__group_header_decode(group.bytes, available, SALT, &header) == 0,
                         available >= group.len);
    hf__bytes_release(&group);
}

/* What decides how much is read is checked before it is read. */
static void test_format__every_flip_of_length_and_counts_is_seen_without_reading_the_group(void **state)
{
    struct hf_group_header header;
    struct hf_bytes group;

    (void)state;
    make_group(N_ENTRIES, N_EXCEPTIONS, SALT, &header, &group);
    for (unsigned bit = 0; bit < 24 * 8; bit++) {
        group.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_not_equal(hf__group_header_decode(group.bytes, group.len, SALT, &header), 0);
        group.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_int_not_equal(hf__group_header_decode(group.bytes, group.len, SALT + 1, &header), 0);
    assert_int_equal(hf__group_header_decode(group.bytes, group.len, SALT, &header), 0);
    hf__bytes_release(&group);
}

static void test_format__keys_and_values_of_every_length_round_trip(void **state)
{
    static uint8_t bytes[HF_KEY_MAX + 64];
    size_t n = 0;

    (void)state;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 31);
    for (size_t key = 1; key <= HF_KEY_MAX; key += key < 64 ? 1 : 61) {
        for (size_t value = 0; value < 17; value++, n++) {
            struct hf_entry entry = {
                .op = HF_ENTRY_SET, .key = hf__slice(bytes, key), .value = hf__slice(bytes, value)};
            struct hf_group_header header = {.first_lsn = 1, .n_entries = 1};
            struct hf_bytes group = {0};
            size_t at = 0;
            uint32_t index = 0;
            assert_int_equal(hf__bytes_reserve(&group, HF_GROUP_HEADER_BYTES + hf__entry_size(&entry)), 0);
            group.len = HF_GROUP_HEADER_BYTES;
            hf__entry_encode(&entry, &group);
            hf__group_seal(&header, NULL, 0, &group, SALT);
            assert_true(passes(group.bytes, group.len, SALT));
            assert_int_equal(hf__group_next(group.bytes, &header, &at, &index, &entry), 0);
            assert_true(hf__slice_eq(entry.key, hf__slice(bytes, key)));
            assert_true(hf__slice_eq(entry.value, hf__slice(bytes, value)));
            hf__bytes_release(&group);
        }
    }
    print_message("%zu pairs of lengths\n", n);
}

/* ---- segment headers ---- */

static void test_format__a_segment_header_reads_back_as_it_was_written(void **state)
{
    struct hf_segment_header header = header_of_segment(), read;
    uint8_t bytes[HF_SEGMENT_HEADER_BYTES];
    uint32_t version = 0;

    (void)state;
    memset(bytes, 0xee, sizeof(bytes));
    hf__segment_header_encode(&header, bytes);
    assert_int_equal(hf__segment_header_decode(bytes, &read, &version), HF_SEGMENT_VALID);
    assert_int_equal(version, HF_JOURNAL_VERSION);
    assert_memory_equal(read.id, header.id, sizeof(header.id));
    assert_int_equal(read.number, header.number);
    assert_int_equal(read.first_lsn, header.first_lsn);
    assert_int_equal(read.follows_lsn, header.follows_lsn);
    assert_int_equal(read.reserved_lsn, header.reserved_lsn);
    assert_int_equal(read.durable_lsn, header.durable_lsn);
    assert_int_equal(read.file_bytes, header.file_bytes);
    assert_int_equal(read.written_ms, header.written_ms);
}

static void test_format__a_segment_header_with_any_bit_flipped_is_bad(void **state)
{
    struct hf_segment_header header = header_of_segment();
    uint8_t bytes[HF_SEGMENT_HEADER_BYTES];
    uint32_t version;

    (void)state;
    hf__segment_header_encode(&header, bytes);
    for (size_t bit = 0; bit < 8 * sizeof(bytes); bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (hf__segment_header_decode(bytes, &header, &version) != HF_SEGMENT_BAD)
            fail_msg("bit %zu of byte %zu", bit % 8, bit / 8);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_int_equal(hf__segment_header_decode(bytes, &header, &version), HF_SEGMENT_VALID);
}

static void test_format__a_segment_header_cut_at_any_length_is_not_valid(void **state)
{
    struct hf_segment_header header = header_of_segment();
    uint8_t whole[HF_SEGMENT_HEADER_BYTES], bytes[HF_SEGMENT_HEADER_BYTES];
    uint32_t version;

    (void)state;
    hf__segment_header_encode(&header, whole);
    for (size_t len = 0; len < sizeof(bytes); len++) {
        memset(bytes, 0, sizeof(bytes));
        memcpy(bytes, whole, len);
        assert_int_equal(hf__segment_header_decode(bytes, &header, &version),
                         len == 0 ? HF_SEGMENT_FREE : HF_SEGMENT_BAD);
    }
}

static void test_format__only_zeros_are_a_free_segment(void **state)
{
    uint8_t bytes[HF_SEGMENT_HEADER_BYTES];
    struct hf_segment_header header;
    uint32_t version;

    (void)state;
    for (unsigned fill = 0; fill <= UINT8_MAX; fill++) {
        memset(bytes, (int)fill, sizeof(bytes));
        assert_int_equal(hf__segment_header_decode(bytes, &header, &version),
                         fill == 0 ? HF_SEGMENT_FREE : HF_SEGMENT_BAD);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_format__a_group_reads_back_as_it_was_written),
        cmocka_unit_test(test_format__a_group_with_any_bit_flipped_is_refused),
        cmocka_unit_test(test_format__a_group_cut_at_any_length_is_refused),
        cmocka_unit_test(test_format__a_group_passes_only_at_its_own_place),
        cmocka_unit_test(test_format__a_sealed_group_with_an_impossible_entry_is_refused),
        cmocka_unit_test(test_format__a_sealed_group_with_a_wrong_count_is_refused),
        cmocka_unit_test(test_format__a_group_header_claims_no_more_than_there_is),
        cmocka_unit_test(test_format__every_flip_of_length_and_counts_is_seen_without_reading_the_group),
        cmocka_unit_test(test_format__keys_and_values_of_every_length_round_trip),
        cmocka_unit_test(test_format__a_segment_header_reads_back_as_it_was_written),
        cmocka_unit_test(test_format__a_segment_header_with_any_bit_flipped_is_bad),
        cmocka_unit_test(test_format__a_segment_header_cut_at_any_length_is_not_valid),
        cmocka_unit_test(test_format__only_zeros_are_a_free_segment),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
