/* Fuzz target: what the local tier reads from LMDB: records, rows, entries, conflicts, gaps and references. The first byte says what the rest
 * is; its seal is made right first, so that what is behind it is reached. What is accepted lies within what was given and encodes to the
 * same value again; anything else is refused with a sentence. */
#include "conflict.h"
#include "entry.h"
#include "fuzz.h"
#include "gap.h"
#include "record.h"
#include "reference.h"
#include "row.h"
#include "seal.h"

enum { RECORD, ROW, ENTRY, CONFLICT, GAP, REFERENCE, N_KINDS };

static const struct hf_slice table_key = {"\0\0\0\0\0\0\0\7", 8};

static void refused(int rc)
{
    FUZZ_REQUIRE(rc == HF_ECORRUPT || rc == HF_EVERSION);
    fuzz_require_sentence(hf_errmsg());
}

/* The same bytes again, but for what no field stands for. */
static void same_again(struct hf_slice stored, uint8_t *again, size_t len, const size_t *free_at, size_t n_free)
{
    FUZZ_REQUIRE(len == stored.len);
    for (size_t i = 0; i < n_free; i++)
        again[free_at[i]] = ((const uint8_t *)stored.data)[free_at[i]];
    FUZZ_REQUIRE(memcmp((const uint8_t *)stored.data + 8, again + 8, len - 8) == 0);
    free(again);
}

static uint8_t *room(size_t len)
{
    uint8_t *bytes = calloc(1, len);

    if (!bytes)
        abort();
    return bytes;
}

static void check_record(struct hf_slice stored)
{
    static const size_t unused[] = {11};
    struct hf_slice long_key;
    struct hf_record record;
    int rc = hf__lmdb_record_decode(table_key, table_key, stored, &long_key, &record);
    uint8_t *again;

    if (rc != 0) {
        refused(rc);
        return;
    }
    FUZZ_REQUIRE(fuzz_lies_in(long_key, stored) && fuzz_lies_in(record.value, stored));
    FUZZ_REQUIRE(hf__lmdb_record_claimed_deadline(stored) == record.deadline_ms);
    again = room(hf__lmdb_record_size(long_key, &record));
    hf__lmdb_record_encode(table_key, long_key, &record, again);
    same_again(stored, again, hf__lmdb_record_size(long_key, &record), unused, 1);
}

static void check_row(struct hf_slice stored)
{
    static const size_t truth_value[] = {65};
    struct hf_pending_row row;
    int rc = hf__lmdb_row_decode(table_key, stored, &row);
    uint8_t *again;

    if (rc != 0) {
        refused(rc);
        return;
    }
    FUZZ_REQUIRE(fuzz_lies_in(row.key, stored) && fuzz_lies_in(row.base_value, stored));
    again = room(hf__lmdb_row_size(&row));
    hf__lmdb_row_encode(&row, again);
    same_again(stored, again, hf__lmdb_row_size(&row), truth_value, 1);
}

static void check_entry(struct hf_slice stored)
{
    static const size_t truth_value[] = {9};
    struct hf_parked_row row;
    int rc = hf__lmdb_entry_decode(table_key, stored, &row);
    uint8_t *again;

    if (rc != 0) {
        refused(rc);
        return;
    }
    FUZZ_REQUIRE(fuzz_lies_in(row.reason, stored) && fuzz_lies_in(row.entry.key, stored) &&
                 fuzz_lies_in(row.entry.value, stored) && row.entry.lsn == 7);
    again = room(hf__lmdb_entry_size(&row));
    hf__lmdb_entry_encode(table_key, &row, again);
    same_again(stored, again, hf__lmdb_entry_size(&row), truth_value, 1);
}

static void check_conflict(struct hf_slice stored)
{
    static const size_t flags[] = {14, 15};
    struct hf_conflict_row row;
    int rc = hf__lmdb_conflict_decode(table_key, stored, &row);
    uint8_t *again;

    if (rc != 0) {
        refused(rc);
        return;
    }
    FUZZ_REQUIRE(fuzz_lies_in(row.key, stored) && fuzz_lies_in(row.ours.value, stored) &&
                 fuzz_lies_in(row.theirs.value, stored) && row.id == 7);
    again = room(hf__lmdb_conflict_size(&row));
    hf__lmdb_conflict_encode(table_key, &row, again);
    same_again(stored, again, hf__lmdb_conflict_size(&row), flags, 2);
}

static void check_gap(struct hf_slice stored)
{
    static const size_t unused[] = {10, 11, 12, 13, 14, 15};
    struct hf_gap gap;
    int rc = hf__lmdb_gap_decode(table_key, stored, &gap);

    if (rc != 0) {
        refused(rc);
        return;
    }
    FUZZ_REQUIRE(fuzz_lies_in(gap.key, stored) && gap.key.len >= 1 && gap.key.len <= HF_KEY_MAX);
    uint8_t *again = room(HF__LMDB_GAP_MAX);
    size_t len = hf__lmdb_gap_encode(&gap, again);

    same_again(stored, again, len, unused, 6);
}

static void check_reference(struct hf_slice stored)
{
    struct hf__lmdb_ref ref;
    int rc = hf__lmdb_ref_parse(stored, &ref);

    if (rc != 0)
        refused(rc);
    else
        FUZZ_REQUIRE(hf__slice_eq(hf__lmdb_ref_slice(&ref), stored));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const checks[N_KINDS])(struct hf_slice stored) = {
        [RECORD] = check_record,     [ROW] = check_row, [ENTRY] = check_entry,
        [CONFLICT] = check_conflict, [GAP] = check_gap, [REFERENCE] = check_reference};
    uint8_t *stored;

    if (size < 1)
        return 0;
    stored = fuzz_copy(data + 1, size - 1);
    if (data[0] < 128 && size - 1 >= HF__LMDB_SEAL_BYTES && data[0] % N_KINDS != REFERENCE)
        hf__lmdb_seal(table_key, stored, size - 1);
    checks[data[0] % N_KINDS](hf__slice(stored, size - 1));
    free(stored);
    return 0;
}

/* ---- seeds ---- */

static size_t seed_record(uint8_t *to)
{
    struct hf_slice long_key = {"a long key", 10};
    struct hf_record record = {.value = {"value", 5}, .deadline_ms = 9, .lsn = 3, .type = HF_TYPE_STRING};

    hf__lmdb_record_encode(table_key, long_key, &record, to);
    return hf__lmdb_record_size(long_key, &record);
}

static size_t seed_row(uint8_t *to)
{
    struct hf_pending_row row = {.key = {"key", 3},
                                 .op = HF_PENDING_SET,
                                 .n_own = 2,
                                 .n_folded = 3,
                                 .first_lsn = 4,
                                 .last_lsn = 6,
                                 .has_base_value = true,
                                 .base_value = {"base", 4}};

    hf__lmdb_row_encode(&row, to);
    return hf__lmdb_row_size(&row);
}

static size_t seed_entry(uint8_t *to)
{
    struct hf_parked_row row = {
        .entry = {.op = HF_LANE_SET, .key = {"key", 3}, .value = {"v", 1}}, .in_doubt = true, .reason = {"why", 3}};

    hf__lmdb_entry_encode(table_key, &row, to);
    return hf__lmdb_entry_size(&row);
}

static size_t seed_conflict(uint8_t *to)
{
    struct hf_conflict_row row = {.rule = HF_RULE_NEWEST,
                                  .key = {"key", 3},
                                  .ours = {.present = true, .value = {"ours", 4}, .len = 4},
                                  .theirs = {.too_long = true, .value = {"theirs", 6}, .len = 6}};

    hf__lmdb_conflict_encode(table_key, &row, to);
    return hf__lmdb_conflict_size(&row);
}

static size_t seed_gap(uint8_t *to)
{
    return hf__lmdb_gap_encode(&(struct hf_gap){.key = {"key", 3}, .reason = HF_GAP_LOCAL, .lsn = 5}, to);
}

static size_t seed_reference(uint8_t *to)
{
    memcpy(to, "\1\0\0\0\0\0\0\0\2", 9);
    return 9;
}

size_t fuzz_seed(unsigned i, uint8_t *to, size_t room_bytes)
{
    static size_t (*const seeds[N_KINDS])(uint8_t * to) = {
        [RECORD] = seed_record,     [ROW] = seed_row, [ENTRY] = seed_entry,
        [CONFLICT] = seed_conflict, [GAP] = seed_gap, [REFERENCE] = seed_reference};

    (void)room_bytes;
    to[0] = (uint8_t)i;
    return i < N_KINDS ? 1 + seeds[i](to + 1) : 0;
}
