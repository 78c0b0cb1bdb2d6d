/* Recovery, told what lies on the disk: a torn tail is cut, damage is named, nothing wrong is handed out. */
#include "recover.h"

#include "fail.h"
#include "inspect.h"
#include "sim_disk.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <xxhash.h>

/* ---- fixture: a simulated disk, and a segment being made ---- */

#define DIR "/journal"
#define SEGMENT_BYTES (32u * 1024u) /* at the most */
#define SMALL_BYTES (10u * 1024u)
#define GROUPS_MAX 256
#define LSNS_MAX 4096

struct made_group {
    const char *name; /* of its segment */
    uint64_t offset, bytes, first_lsn, last_lsn, claim, shared;
};

struct fixture {
    struct sim_disk *disk;
    struct hf_file_layer *fs;
    int dir;

    /* The segment under construction, and the groups made so far, in all segments. */
    const char *name;
    struct hf_segment_header header;
    uint8_t bytes[SEGMENT_BYTES];
    uint64_t offset, next_lsn;
    size_t file_bytes; /* of segments to be made */
    struct made_group groups[GROUPS_MAX];
    size_t n_groups;

    /* What the last recovery found. */
    struct hf_recovery r;
    uint64_t got[LSNS_MAX];
    size_t n_got;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    f->disk = sim_disk_new();
    f->fs = sim_disk_layer(f->disk);
    f->dir = f->fs->open_dir(f->fs, DIR);
    f->next_lsn = 1;
    f->file_bytes = SMALL_BYTES;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    hf__recovery_release(&f->r);
    sim_disk_free(f->disk);
    free(f);
    return 0;
}

/* ---- vocabulary: making ---- */

/* An entry follows from its LSN, so that a wrong byte shows; all kinds are among them. */
static struct hf_entry entry_of(uint64_t lsn, char *key, uint8_t *value)
{
    static const uint8_t ops[] = {HF_ENTRY_SET,     HF_ENTRY_DELETE, HF_ENTRY_EXPIRE,
                                  HF_ENTRY_PERSIST, HF_ENTRY_INCR,   HF_ENTRY_RESULT,
                                  HF_ENTRY_INTENT,  HF_ENTRY_UNPARK, HF_ENTRY_RESOLVE};
    size_t len = lsn * 7 % 90;

    snprintf(key, 32, "key-%llu", (unsigned long long)lsn);
    for (size_t i = 0; i < len; i++)
        value[i] = (uint8_t)(lsn * 31 + i);
    return (struct hf_entry){.lsn = lsn,
                             .op = ops[lsn % sizeof(ops)],
                             .type = 1,
                             .flags = (uint32_t)(lsn * 3 % 128),
                             .deadline_ms = (int64_t)(lsn * 1000003),
                             .made_ms = (int64_t)lsn,
                             .delta = -(int64_t)lsn,
                             .key = hf__slice_str(key),
                             .value = hf__slice(value, len)};
}

static void begin_segment(struct fixture *f, const char *name, uint64_t number, uint64_t first, uint64_t follows)
{
    memset(f->bytes, 0, sizeof(f->bytes));
    f->name = name;
    f->next_lsn = first;
    f->header = (struct hf_segment_header){.id = {1, 2, 3},
                                           .number = number,
                                           .first_lsn = first,
                                           .follows_lsn = follows,
                                           .reserved_lsn = 1u << 20,
                                           .durable_lsn = follows,
                                           .file_bytes = f->file_bytes};
    f->offset = HF_SEGMENT_DATA_OFFSET;
}

/* A group of the next `n` entries that says `claim` is durable. */
static struct made_group *add_group(struct fixture *f, uint32_t n, uint64_t claim)
{
    struct hf_group_header header = {.first_lsn = f->next_lsn,
                                     .n_entries = n,
                                     .durable_lsn = claim,
                                     .shared_lsn = f->next_lsn - 1,
                                     .reserved_lsn = 1u << 20};
    uint64_t exceptions[2] = {f->next_lsn / 2, f->next_lsn - 1};
    struct hf_bytes group = {0};
    struct made_group *made = &f->groups[f->n_groups++];

    assert_true(f->n_groups <= GROUPS_MAX);
    assert_int_equal(hf__bytes_reserve(&group, HF_GROUP_HEADER_BYTES + 256 * (size_t)n + sizeof(exceptions)), 0);
    group.len = HF_GROUP_HEADER_BYTES;
    for (uint32_t i = 0; i < n; i++) {
        char key[32];
        uint8_t value[128];
        struct hf_entry entry = entry_of(f->next_lsn + i, key, value);
        hf__entry_encode(&entry, &group);
    }
    hf__group_seal(&header, exceptions, n % 3, &group, hf__group_salt(f->header.id, f->header.number, f->offset));
    assert_true(f->offset + group.len <= f->file_bytes);
    memcpy(f->bytes + f->offset, group.bytes, group.len);
    *made = (struct made_group){.name = f->name,
                                .offset = f->offset,
                                .bytes = group.len,
                                .first_lsn = f->next_lsn,
                                .last_lsn = f->next_lsn + n - 1,
                                .claim = claim,
                                .shared = header.shared_lsn};
    f->offset += group.len;
    f->next_lsn += n;
    hf__bytes_release(&group);
    return made;
}

static void put_segment(struct fixture *f)
{
    hf__segment_header_encode(&f->header, f->bytes);
    sim_disk_put(f->disk, DIR, f->name, f->bytes, f->file_bytes);
}

static void spoil(struct fixture *f, const struct made_group *group)
{
    sim_disk_flip_bit(f->disk, DIR, group->name, group->offset + group->bytes / 2, 3);
}

/* ---- vocabulary: recovering ---- */

static int take_entry(void *ctx, const struct hf_entry *entry)
{
    struct fixture *f = ctx;
    char key[32];
    uint8_t value[128];
    struct hf_entry want = entry_of(entry->lsn, key, value);

    if (!hf__slice_eq(entry->key, want.key) || !hf__slice_eq(entry->value, want.value) || entry->op != want.op ||
        entry->flags != want.flags || entry->deadline_ms != want.deadline_ms || entry->made_ms != want.made_ms ||
        entry->delta != want.delta)
        return -1000;
    if (f->n_got == LSNS_MAX || (f->n_got > 0 && f->got[f->n_got - 1] >= entry->lsn))
        return -1001;
    f->got[f->n_got++] = entry->lsn;
    return 0;
}

static int recover_within(struct fixture *f, uint64_t covered, uint64_t limit)
{
    hf__recovery_release(&f->r);
    f->r = (struct hf_recovery){0};
    f->n_got = 0;
    return hf__recover(f->fs, f->dir, covered, limit, take_entry, f, &f->r);
}

static void recovers(struct fixture *f, uint64_t covered)
{
    int rc = recover_within(f, covered, UINT64_MAX);

    if (rc != 0)
        fail_msg("recovery: %d: %s", rc, hf_errmsg());
}

static void recovers_not(struct fixture *f, int code, const char *sentence)
{
    assert_int_equal(recover_within(f, 0, UINT64_MAX), code);
    if (!strstr(hf_errmsg(), sentence))
        fail_msg("'%s' lacks '%s'", hf_errmsg(), sentence);
}

static void found_range(const struct fixture *f, size_t at, uint64_t from, uint64_t to)
{
    for (uint64_t lsn = from; lsn <= to; lsn++, at++) {
        if (at >= f->n_got || f->got[at] != lsn)
            fail_msg("entry %llu is missing", (unsigned long long)lsn);
    }
    assert_int_equal(f->n_got, at);
}

/* Three segments of ten entries each, in groups of five, everything claimed at once but the last group. */
static void make_three_segments(struct fixture *f)
{
    static const char *const names[] = {"00000002.seg", "00000001.seg", "00000003.seg"}; /* names have no order */

    for (uint64_t i = 0; i < 3; i++) {
        begin_segment(f, names[i], 4 + i, 1 + 10 * i, 10 * i);
        add_group(f, 5, 10 * i);
        add_group(f, 5, 10 * i + 5);
        put_segment(f);
    }
}

/* ---- a sound journal ---- */

static void test_recover__an_empty_directory_is_an_empty_history(void **state)
{
    struct fixture *f = *state;

    recovers(f, 0);
    assert_int_equal(f->n_got, 0);
    assert_int_equal(f->r.n_damage, 0);
    assert_int_equal(f->r.last_lsn, 0);
    recovers(f, 77);
    assert_int_equal(f->r.last_lsn, 77);
    assert_int_equal(f->r.reserved_lsn, 77);
}

static void test_recover__segments_are_read_by_number_not_by_name(void **state)
{
    struct fixture *f = *state;

    make_three_segments(f);
    recovers(f, 0);
    found_range(f, 0, 1, 30);
    assert_int_equal(f->r.n_damage, 0);
    assert_int_equal(f->r.last_lsn, 30);
    assert_int_equal(f->r.max_number, 6);
    assert_int_equal(f->r.reserved_lsn, 1u << 20);
    assert_int_equal(f->r.durable_lsn, 25);
}

static void test_recover__exactly_the_entries_behind_covered_and_up_to_the_limit_are_handed_out(void **state)
{
    struct fixture *f = *state;

    make_three_segments(f);
    for (uint64_t covered = 0; covered <= 32; covered++) {
        for (uint64_t limit = 0; limit <= 32; limit++) {
            assert_int_equal(recover_within(f, covered, limit), 0);
            found_range(f, 0, covered + 1, limit < 30 ? limit : 30);
            assert_int_equal(f->r.n_damage, 0);
            assert_int_equal(f->r.last_lsn, covered > 30 ? covered : 30);
        }
    }
}

static void test_recover__other_files_in_the_directory_are_left_alone(void **state)
{
    struct fixture *f = *state;

    make_three_segments(f);
    sim_disk_put(f->disk, DIR, "README", "HFSEGMNT", 8);
    sim_disk_put(f->disk, DIR, ".seg", "x", 1);
    sim_disk_put(f->disk, DIR, "00000001.seg.bak", f->bytes, sizeof(f->bytes));
    sim_disk_put(f->disk, DIR, "a-name-that-is-much-too-long-for-one-of-ours.seg", f->bytes, sizeof(f->bytes));
    sim_disk_put(f->disk, DIR, "empty.seg", "", 0);
    sim_disk_put(f->disk, DIR, "zero.seg", "\0\0\0\0\0\0\0", 7);
    sim_disk_put_directory(f->disk, DIR, "directory");
    recovers(f, 0);
    found_range(f, 0, 1, 30);
    assert_int_equal(f->r.n_damage, 0);
}

/* ---- torn tails ---- */

static void test_recover__torn_tail_is_dropped(void **state)
{
    struct fixture *f = *state;
    struct made_group *torn;

    begin_segment(f, "a.seg", 1, 1, 0);
    add_group(f, 3, 0);
    torn = add_group(f, 4, 3);
    put_segment(f);
    spoil(f, torn);
    recovers(f, 0);
    found_range(f, 0, 1, 3);
    assert_int_equal(f->r.n_damage, 0);
    assert_int_equal(f->r.last_lsn, 3);
}

static void test_recover__valid_groups_behind_a_torn_one_that_nobody_claims_are_dropped_with_it(void **state)
{
    struct fixture *f = *state;
    struct made_group *torn;

    begin_segment(f, "a.seg", 1, 1, 0);
    add_group(f, 3, 0);
    torn = add_group(f, 4, 3);
    add_group(f, 5, 3);
    add_group(f, 6, 3);
    put_segment(f);
    spoil(f, torn);
    recovers(f, 0);
    found_range(f, 0, 1, 3);
    assert_int_equal(f->r.n_damage, 0);
    assert_true(f->r.torn_bytes > 0);
}

/* History 7 (b), as it would be without the rule that a cut segment is never appended to. */
static void test_recover__what_an_earlier_recovery_cut_stays_cut(void **state)
{
    struct fixture *f = *state;
    struct made_group *torn;

    begin_segment(f, "a.seg", 1, 1, 0);
    add_group(f, 3, 0);
    torn = add_group(f, 4, 3);
    add_group(f, 5, 3); /* the ghost: 8 to 12 */
    put_segment(f);
    spoil(f, torn);
    begin_segment(f, "b.seg", 2, 101, 3);
    f->header.durable_lsn = 100; /* of an opening: everything up to the numbering's start */
    add_group(f, 2, 100);
    add_group(f, 2, 102);
    put_segment(f);
    recovers(f, 0);
    assert_int_equal(f->r.n_damage, 0);
    assert_int_equal(f->n_got, 7);
    assert_int_equal(f->got[2], 3);
    assert_int_equal(f->got[3], 101);
}

static void test_recover__a_group_without_entries_behind_a_cut_is_cut_too(void **state)
{
    struct fixture *f = *state;
    struct made_group *torn;

    begin_segment(f, "a.seg", 1, 1, 0);
    add_group(f, 3, 0);
    torn = add_group(f, 4, 3);
    add_group(f, 0, 3); /* moves the reservation on */
    put_segment(f);
    spoil(f, torn);
    recovers(f, 0);
    assert_int_equal(f->r.n_damage, 0);
    begin_segment(f, "b.seg", 2, 101, 3);
    f->header.durable_lsn = 100;
    add_group(f, 2, 100);
    put_segment(f);
    recovers(f, 0);
    assert_int_equal(f->r.n_damage, 0);
    assert_int_equal(f->n_got, 5);
}

static void test_recover__every_cut_is_seen_by_the_next_recovery_as_by_the_first(void **state)
{
    struct fixture *f = *state;
    unsigned cuts = 0;

    for (unsigned subset = 0; subset < 64; subset++) {
        size_t first = f->n_groups = 0, lost = 6;
        begin_segment(f, "a.seg", 1, 1, 0);
        for (uint32_t g = 0; g < 6; g++)
            add_group(f, g % 3 == 2 ? 0 : 2, 0);
        put_segment(f);
        sim_disk_remove(f->disk, DIR, "b.seg");
        for (size_t g = 6; g-- > first;) {
            if (subset >> g & 1) {
                spoil(f, &f->groups[g]);
                if (f->groups[g].last_lsn >= f->groups[g].first_lsn)
                    lost = g;
            }
        }
        recovers(f, 0);
        assert_int_equal(f->r.n_damage, 0);
        found_range(f, 0, 1, lost == 6 ? 8 : f->groups[lost].first_lsn - 1);
        begin_segment(f, "b.seg", 2, 101, f->r.last_lsn);
        f->header.durable_lsn = 100;
        add_group(f, 2, 100);
        put_segment(f);
        recovers(f, 0);
        if (f->r.n_damage != 0)
            fail_msg("subset %u: %llu to %llu are reported as lost", subset,
                     (unsigned long long)f->r.damage[0].from_lsn, (unsigned long long)f->r.damage[0].to_lsn);
        assert_int_equal(f->r.last_lsn, 102);
        cuts += lost < 6;
    }
    print_message("%u cuts in 64 subsets\n", cuts);
}

static void test_recover__what_follows_a_mark_inside_a_torn_group_is_not_missed(void **state)
{
    struct fixture *f = *state;
    struct made_group *torn;

    /* The local tier covers 5; the group of 4 to 7 was never durable, the one of 8 to 9 by chance is there. */
    begin_segment(f, "a.seg", 1, 1, 0);
    add_group(f, 3, 0);
    torn = add_group(f, 4, 3);
    add_group(f, 2, 3);
    put_segment(f);
    spoil(f, torn);
    recovers(f, 5);
    assert_int_equal(f->r.n_damage, 0);
    assert_int_equal(f->n_got, 0);
    assert_int_equal(f->r.last_lsn, 5);
}

/* ---- damage ---- */

static void test_recover__a_bad_group_below_a_durable_claim_is_damage_and_the_rest_is_read(void **state)
{
    struct fixture *f = *state;
    struct made_group *bad;

    begin_segment(f, "a.seg", 1, 1, 0);
    add_group(f, 3, 0);
    bad = add_group(f, 4, 3);
    add_group(f, 5, 7);
    put_segment(f);
    spoil(f, bad);
    recovers(f, 0);
    assert_int_equal(f->r.n_damage, 1);
    assert_int_equal(f->r.damage[0].from_lsn, 4);
    assert_int_equal(f->r.damage[0].to_lsn, 7);
    assert_string_equal(f->r.damage[0].segment, "a.seg");
    assert_int_equal(f->got[2], 3);
    found_range(f, 3, 8, 12);
    recovers(f, 7); /* what the local tier has is not missed */
    assert_int_equal(f->r.n_damage, 0);
    found_range(f, 0, 8, 12);
    recovers(f, 5);
    assert_int_equal(f->r.n_damage, 1);
    assert_int_equal(f->r.damage[0].from_lsn, 6);
}

static void test_recover__a_missing_segment_is_damage_of_just_its_entries(void **state)
{
    static const char *const names[] = {"00000002.seg", "00000001.seg"};
    struct fixture *f = *state;

    for (uint64_t i = 0; i < 2; i++) {
        f->n_groups = 0;
        make_three_segments(f);
        sim_disk_remove(f->disk, DIR, names[i]);
        recovers(f, 0);
        assert_int_equal(f->r.n_damage, 1);
        assert_int_equal(f->r.damage[0].from_lsn, 10 * i + 1);
        assert_int_equal(f->r.damage[0].to_lsn, 10 * i + 10);
        assert_int_equal(f->n_got, 20);
        recovers(f, 10 * i + 10);
        assert_int_equal(f->r.n_damage, 0);
    }
}

static void test_recover__a_header_with_any_bit_flipped_is_damage_of_just_its_entries(void **state)
{
    static const char *const names[] = {"00000002.seg", "00000001.seg", "00000003.seg"};
    struct fixture *f = *state;

    make_three_segments(f);
    for (unsigned i = 0; i < 3 * 8 * HF_SEGMENT_HEADER_BYTES; i++) {
        unsigned segment = i % 3, bit = i / 3;
        sim_disk_flip_bit(f->disk, DIR, names[segment], bit / 8, bit);
        recovers(f, 0);
        if (f->r.n_damage != 1)
            fail_msg("segment %u, bit %u: %u ranges are reported", segment, bit, f->r.n_damage);
        assert_int_equal(f->r.damage[0].from_lsn, 10 * segment + 1);
        if (segment < 2)
            assert_int_equal(f->r.damage[0].to_lsn, 10 * segment + 10);
        else /* what the last one held, nobody else says */
            assert_true(f->r.damage[0].to_lsn >= 30);
        found_range(f, 10 * segment, 10 * segment + 11, 30);
        assert_true(segment == 0 || f->got[10 * segment - 1] == 10 * segment);
        sim_disk_flip_bit(f->disk, DIR, names[segment], bit / 8, bit);
    }
    print_message("%u flips\n", 3 * 8 * HF_SEGMENT_HEADER_BYTES);
}

static void test_recover__an_only_segment_whose_header_is_bad_is_damage(void **state)
{
    struct fixture *f = *state;

    begin_segment(f, "a.seg", 1, 1, 0);
    add_group(f, 5, 0);
    add_group(f, 5, 5);
    put_segment(f);
    sim_disk_flip_bit(f->disk, DIR, "a.seg", 35, 1);
    recovers(f, 0);
    assert_int_equal(f->r.n_damage, 1);
    assert_int_equal(f->n_got, 0);
}

static void test_recover__more_ranges_than_are_listed_are_counted(void **state)
{
    struct fixture *f = *state;

    f->file_bytes = SEGMENT_BYTES;
    begin_segment(f, "a.seg", 1, 1, 0);
    for (uint64_t i = 0; i < 81; i++)
        add_group(f, 1, i);
    put_segment(f);
    for (size_t i = 0; i < 80; i += 2)
        spoil(f, &f->groups[i]);
    recovers(f, 0);
    assert_int_equal(f->r.n_damage, 40);
    assert_int_equal(f->n_got, 41);
    for (uint64_t i = 0; i < HF_RECOVERY_DAMAGE_MAX; i++) {
        assert_int_equal(f->r.damage[i].from_lsn, 2 * i + 1);
        assert_int_equal(f->r.damage[i].to_lsn, 2 * i + 1);
    }
}

#ifdef __SANITIZE_THREAD__
#define FLIP_STEP 5 /* one thread only: TSan has nothing to find here, and takes its time */
#else
#define FLIP_STEP 1
#endif

/* ---- sweeps over one journal: what the rules say, worked out by hand ---- */

/* Two segments; each claim lags two groups behind, so that the last two are above it. */
static void make_swept_journal(struct fixture *f)
{
    f->n_groups = 0;
    begin_segment(f, "first.seg", 1, 1, 0);
    for (uint32_t g = 0; g < 6; g++)
        add_group(f, 1 + g % 3, g < 2 ? 0 : f->groups[g - 2].last_lsn);
    put_segment(f);
    begin_segment(f, "last.seg", 2, f->next_lsn, f->next_lsn - 1);
    for (uint32_t g = 0; g < 8; g++)
        add_group(f, 1 + g % 4, g < 2 ? f->header.durable_lsn : f->groups[6 + g - 2].last_lsn);
    put_segment(f);
}

static const struct made_group *group_at(const struct fixture *f, const char *name, uint64_t offset)
{
    for (size_t i = 0; i < f->n_groups; i++) {
        const struct made_group *g = &f->groups[i];
        if (strcmp(g->name, name) == 0 && offset >= g->offset && offset < g->offset + g->bytes)
            return g;
    }
    return NULL;
}

/* The verdict on a journal in which just `bad` (or none) is not valid. */
static void judge(const struct fixture *f, const struct made_group *bad)
{
    const struct made_group *last = &f->groups[f->n_groups - 1];
    uint64_t claim = f->header.durable_lsn, end = last->last_lsn;

    for (size_t i = 0; i < f->n_groups; i++) {
        if (&f->groups[i] != bad && f->groups[i].claim > claim)
            claim = f->groups[i].claim;
    }
    if (!bad) {
        assert_int_equal(f->r.n_damage, 0);
        found_range(f, 0, 1, end);
    } else if (bad->first_lsn > claim) {
        last = bad - 1;
        assert_int_equal(f->r.n_damage, 0);
        found_range(f, 0, 1, last->last_lsn);
    } else {
        assert_int_equal(f->r.n_damage, 1);
        assert_int_equal(f->r.damage[0].from_lsn, bad->first_lsn);
        assert_int_equal(f->r.damage[0].to_lsn, bad->last_lsn);
        assert_string_equal(f->r.damage[0].segment, bad->name);
        assert_int_equal(f->n_got, end - (bad->last_lsn - bad->first_lsn + 1));
        found_range(f, bad->first_lsn - 1, bad->last_lsn + 1, end);
    }
    assert_int_equal(f->r.last_lsn, last->last_lsn);
    assert_int_equal(f->r.shared_lsn, last->shared);
}

static void test_recover__every_flipped_bit_gets_the_verdict_of_the_rules(void **state)
{
    static const char *const names[] = {"first.seg", "last.seg"};
    struct fixture *f = *state;
    unsigned harmless = 0, torn = 0, damage = 0;

    make_swept_journal(f);
    recovers(f, 0);
    judge(f, NULL);
    for (size_t s = 0; s < 2; s++) {
        uint64_t used = s ? f->offset : f->groups[5].offset + f->groups[5].bytes;
        for (uint64_t bit = 8 * 128; bit < 8 * (used + 64); bit += FLIP_STEP) {
            const struct made_group *bad = group_at(f, names[s], bit / 8);
            if (!bad && bit % 64 != bit / 64 % 8) /* bytes without a meaning: one bit of eight bytes */
                continue;
            sim_disk_flip_bit(f->disk, DIR, names[s], bit / 8, (unsigned)bit);
            recovers(f, 0);
            judge(f, bad);
            sim_disk_flip_bit(f->disk, DIR, names[s], bit / 8, (unsigned)bit);
            harmless += !bad;
            torn += bad && f->r.n_damage == 0;
            damage += f->r.n_damage > 0;
        }
    }
    print_message("flips: %u without effect, %u torn tails, %u damage\n", harmless, torn, damage);
    assert_true(harmless > 0 && torn > 0 && damage > 0);
}

static void test_recover__a_last_segment_cut_at_any_byte_ends_with_its_last_whole_group(void **state)
{
    struct fixture *f = *state;
    unsigned cuts = 0;

    make_swept_journal(f);
    for (uint64_t len = f->offset + 8; len-- > HF_SEGMENT_HEADER_BYTES; cuts++) {
        uint64_t last = f->header.follows_lsn;
        for (size_t i = 6; i < f->n_groups; i++) {
            if (f->groups[i].offset + f->groups[i].bytes <= len)
                last = f->groups[i].last_lsn;
        }
        sim_disk_cut(f->disk, DIR, "last.seg", len);
        recovers(f, 0);
        found_range(f, 0, 1, last);
        assert_int_equal(f->r.n_damage, len < f->file_bytes); /* no crash makes a segment shorter */
        assert_int_equal(f->r.last_lsn, last);
    }
    print_message("%u lengths\n", cuts);
}

/* Zeros from that byte to the end of a segment. Returns the last LSN before them whose group is whole. */
static uint64_t zero_from(struct fixture *f, const char *name, uint64_t at, const uint8_t *bytes, size_t len)
{
    uint8_t *zeroed = calloc(1, len);
    uint64_t last = 0;

    assert_non_null(zeroed);
    memcpy(zeroed, bytes, (size_t)at);
    sim_disk_put(f->disk, DIR, name, zeroed, len);
    for (size_t i = 0; i < f->n_groups; i++) {
        const struct made_group *g = &f->groups[i];
        bool whole = strcmp(g->name, name) != 0 || memcmp(zeroed + g->offset, bytes + g->offset, g->bytes) == 0;
        if (!whole)
            break;
        last = g->last_lsn;
    }
    free(zeroed);
    return last;
}

/* What a power cut leaves of a preallocated file. In a segment that another one follows it is damage. */
static void test_recover__zeros_from_any_byte_on_are_a_torn_tail_or_damage_of_what_is_missing(void **state)
{
    static const char *const names[] = {"first.seg", "last.seg"};
    struct fixture *f = *state;
    unsigned cuts = 0;

    make_swept_journal(f);
    for (size_t s = 0; s < 2; s++) {
        size_t len;
        uint8_t *bytes = sim_disk_contents(f->disk, DIR, names[s], &len);
        uint64_t end = s ? f->offset : f->groups[5].offset + f->groups[5].bytes, first = f->groups[5].last_lsn;
        for (uint64_t at = HF_SEGMENT_DATA_OFFSET; at < end; at++, cuts++) {
            uint64_t last = zero_from(f, names[s], at, bytes, len);
            bool lost = s == 0 && last < first;
            recovers(f, 0);
            assert_int_equal(f->r.n_damage, lost);
            if (lost) {
                assert_int_equal(f->r.damage[0].from_lsn, last + 1);
                assert_int_equal(f->r.damage[0].to_lsn, first);
                assert_string_equal(f->r.damage[0].segment, names[s]);
            }
            assert_int_equal(f->got[f->n_got - 1], s == 0 ? f->groups[f->n_groups - 1].last_lsn : last);
            assert_int_equal(f->n_got, f->got[f->n_got - 1] - (lost ? first - last : 0));
        }
        sim_disk_put(f->disk, DIR, names[s], bytes, len);
        free(bytes);
    }
    print_message("%u beginnings of zeros\n", cuts);
}

static void test_recover__a_file_cut_inside_its_header_is_damage(void **state)
{
    struct fixture *f = *state;

    make_swept_journal(f);
    for (uint64_t len = HF_SEGMENT_HEADER_BYTES - 1; len > 0; len--) {
        sim_disk_cut(f->disk, DIR, "last.seg", len);
        recovers(f, 0);
        found_range(f, 0, 1, f->header.follows_lsn);
        if (f->r.n_damage != 1)
            fail_msg("length %llu: no damage is reported", (unsigned long long)len);
    }
}

static void test_recover__every_pair_of_bad_groups_loses_just_these(void **state)
{
    struct fixture *f = *state;
    unsigned pairs = 0;

    make_swept_journal(f);
    for (size_t a = 0; a < f->n_groups; a++) {
        for (size_t b = a + 1; b < f->n_groups; b++, pairs++) {
            uint64_t claim = 0;
            bool torn = false;
            spoil(f, &f->groups[a]);
            spoil(f, &f->groups[b]);
            recovers(f, 0);
            for (size_t i = 0; i < f->n_groups; i++) {
                if (i != a && i != b && f->groups[i].claim > claim)
                    claim = f->groups[i].claim;
            }
            if (claim < f->header.durable_lsn)
                claim = f->header.durable_lsn;
            for (size_t i = 0, at = 0; i < f->n_groups; i++) {
                bool bad = i == a || i == b;
                torn |= bad && f->groups[i].first_lsn > claim;
                for (uint64_t lsn = f->groups[i].first_lsn; lsn <= f->groups[i].last_lsn && !bad && !torn; lsn++)
                    assert_int_equal(f->got[at++], lsn);
                if (i + 1 == f->n_groups)
                    assert_int_equal(f->n_got, at);
            }
            spoil(f, &f->groups[a]);
            spoil(f, &f->groups[b]);
        }
    }
    print_message("%u pairs\n", pairs);
}

static void test_recover__bytes_at_random_are_never_an_entry_and_never_a_crash(void **state)
{
    struct fixture *f = *state;

    f->file_bytes = SEGMENT_BYTES;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        uint64_t random = seed;
        f->n_groups = 0;
        begin_segment(f, "a.seg", 1, 1, 0);
        add_group(f, 3, 0);
        for (unsigned i = 0; i < 200; i++) { /* a mess of magics, small numbers and noise */
            uint64_t at = f->offset + sim_random(&random) % (SEGMENT_BYTES - f->offset - 64) / 8 * 8;
            memcpy(f->bytes + at, "HFGR", 4);
            hf__put32(f->bytes + at + 4, (uint32_t)(sim_random(&random) >> (sim_random(&random) % 32 + 32)));
            hf__put64(f->bytes + at + 8, sim_random(&random) >> (sim_random(&random) & 63));
            hf__put64(f->bytes + at + 16, sim_random(&random) >> (sim_random(&random) & 63));
        }
        put_segment(f);
        recovers(f, 0);
        found_range(f, 0, 1, 3);
        assert_int_equal(f->r.n_damage, 0);
    }
}

/* ---- directories in which something is wrong ---- */

static void test_recover__segments_of_two_stores_are_refused_by_name(void **state)
{
    struct fixture *f = *state;

    begin_segment(f, "mine.seg", 1, 1, 0);
    put_segment(f);
    begin_segment(f, "other.seg", 2, 1, 0);
    f->header.id[15] = 9;
    put_segment(f);
    recovers_not(f, HF_ECORRUPT, "mine.seg and other.seg belong to different stores");
}

static void test_recover__one_number_on_two_segments_is_refused_by_name(void **state)
{
    struct fixture *f = *state;

    begin_segment(f, "one.seg", 7, 1, 0);
    put_segment(f);
    begin_segment(f, "two.seg", 7, 1, 0);
    put_segment(f);
    recovers_not(f, HF_ECORRUPT, "both have number 7");
}

static void test_recover__another_version_is_refused_not_guessed_at(void **state)
{
    struct fixture *f = *state;
    static const uint32_t versions[] = {0, 2, 3, UINT32_MAX};

    for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
        begin_segment(f, "a.seg", 1, 1, 0);
        hf__segment_header_encode(&f->header, f->bytes);
        hf__put32(f->bytes + 8, versions[i]);
        hf__put64(f->bytes + 120, XXH3_64bits(f->bytes, 120));
        sim_disk_put(f->disk, DIR, "a.seg", f->bytes, sizeof(f->bytes));
        recovers_not(f, HF_EVERSION, "a.seg has format version");
    }
}

static void test_recover__a_directory_with_the_name_of_a_segment_is_a_clear_error(void **state)
{
    struct fixture *f = *state;

    sim_disk_put_directory(f->disk, DIR, "x.seg");
    recovers_not(f, HF_EIO, "cannot open journal segment x.seg");
}

static void test_recover__every_failing_call_is_an_error_that_leaves_nothing_open(void **state)
{
    static const enum sim_call kinds[] = {SIM_LIST, SIM_OPEN, SIM_SIZE, SIM_READ};
    struct fixture *f = *state;

    make_three_segments(f);
    for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
        unsigned n = 1;
        int rc = HF_EIO;
        for (; rc != 0; n++) {
            sim_disk_fail(f->disk, (struct sim_fault){.kind = kinds[k], .nth = n, .error = EIO});
            rc = recover_within(f, 0, UINT64_MAX);
            assert_int_equal(rc, sim_disk_failed(f->disk) ? HF_EIO : 0);
            assert_int_equal(sim_disk_descriptors(f->disk), 1);
        }
        sim_disk_heal(f->disk);
        found_range(f, 0, 1, 30);
        print_message("%s: %u calls failed\n", sim_call_name(kinds[k]), n - 2);
        assert_true(n > 2);
    }
}

static int refuse_third(void *ctx, const struct hf_entry *entry)
{
    ++*(unsigned *)ctx;
    return entry->lsn == 3 ? -77 : 0;
}

static void test_recover__an_answer_of_the_callback_ends_it(void **state)
{
    struct fixture *f = *state;
    struct hf_recovery r = {.last_lsn = 12345};
    unsigned calls = 0;

    make_three_segments(f);
    assert_int_equal(hf__recover(f->fs, f->dir, 0, UINT64_MAX, refuse_third, &calls, &r), -77);
    assert_int_equal(calls, 3);
    assert_int_equal(r.last_lsn, 12345); /* outputs are untouched on failure */
    assert_int_equal(sim_disk_descriptors(f->disk), 1);
}

/* A value may hold anything, also what looks like thousands of large groups. */
static void test_recover__a_hostile_value_behind_the_tail_costs_no_more_than_a_few_readings(void **state)
{
    struct fixture *f = *state;
    size_t size = 1u << 20;
    uint8_t *bytes;
    uint64_t before;

    bytes = calloc(1, size);
    assert_non_null(bytes);
    begin_segment(f, "a.seg", 1, 1, 0);
    add_group(f, 3, 0);
    put_segment(f);
    memcpy(bytes, f->bytes, sizeof(f->bytes));
    for (size_t at = f->offset; at < f->offset + 16384; at += 24) {
        memcpy(bytes + at, "HFGR", 4);
        hf__put32(bytes + at + 4, 1u << 19);
    }
    sim_disk_put(f->disk, DIR, "a.seg", bytes, size);
    free(bytes);
    before = sim_disk_bytes_read(f->disk);
    recovers(f, 0);
    found_range(f, 0, 1, 3);
    print_message("%llu bytes read of a file of %zu\n", (unsigned long long)(sim_disk_bytes_read(f->disk) - before),
                  size);
    assert_true(sim_disk_bytes_read(f->disk) - before < 32 * size);
}

/* ---- for operators ---- */

struct told {
    unsigned n;
    char states[4][16];
    char problems[4][128];
    uint64_t last[4];
};

static int tell(void *ctx, const struct hf_journal_segment *segment)
{
    struct told *told = ctx;

    if (told->n == 4)
        return -1;
    snprintf(told->states[told->n], sizeof(told->states[0]), "%s", segment->state);
    snprintf(told->problems[told->n], sizeof(told->problems[0]), "%s", segment->problem);
    told->last[told->n++] = segment->last_lsn;
    return 0;
}

static void test_inspect__each_segment_gets_its_verdict(void **state)
{
    struct fixture *f = *state;
    struct told told = {0};

    make_three_segments(f);
    sim_disk_put(f->disk, DIR, "new.seg", f->bytes, 0);
    spoil(f, &f->groups[2]); /* 11 to 15, claimed */
    spoil(f, &f->groups[4]); /* 21 to 25, claimed by the last group */
    assert_int_equal(hf__inspect(f->fs, f->dir, 10, tell, &told), HF_ECORRUPT);
    assert_non_null(strstr(hf_errmsg(), "11 to 15, and others"));
    assert_int_equal(told.n, 4);
    assert_string_equal(told.states[0], "free");
    assert_string_equal(told.states[1], "damaged");
    assert_string_equal(told.problems[1], "entries 11 to 15 were durable and cannot be read");
    assert_string_equal(told.states[2], "damaged");
    assert_string_equal(told.states[3], "free");
    spoil(f, &f->groups[2]);
    spoil(f, &f->groups[4]);
    spoil(f, &f->groups[5]); /* 26 to 30, claimed by nobody */
    told.n = 0;
    assert_int_equal(hf__inspect(f->fs, f->dir, 0, tell, &told), 0);
    assert_string_equal(told.states[0], "live");
    assert_string_equal(told.states[2], "live");
    assert_int_equal(told.last[2], 25);
    assert_int_equal(sim_disk_descriptors(f->disk), 1);
}

static void test_inspect__a_torn_tail_is_told_apart_from_damage(void **state)
{
    struct fixture *f = *state;
    struct told told = {0};

    begin_segment(f, "a.seg", 1, 1, 0);
    add_group(f, 5, 0);
    add_group(f, 5, 0);
    add_group(f, 5, 5);
    put_segment(f);
    spoil(f, &f->groups[1]); /* claimed by nobody */
    assert_int_equal(hf__inspect(f->fs, f->dir, 0, tell, &told), 0);
    assert_int_equal(told.n, 1);
    assert_string_equal(told.states[0], "torn tail");
    assert_string_equal(told.problems[0], "what follows entry 5 was not durable and is cut");
    told.n = 0;
    assert_int_equal(hf__inspect(f->fs, f->dir, 15, tell, &told), 0); /* all of it is elsewhere */
    assert_string_equal(told.states[0], "free");
}

/* Entries that are missing elsewhere may be those of the segment without a header: no more are named as lost for it. */
static void test_inspect__a_header_that_cannot_be_read_is_named_beside_other_damage(void **state)
{
    struct fixture *f = *state;
    struct told told = {0};

    make_three_segments(f);
    spoil(f, &f->groups[0]); /* 1 to 5 */
    sim_disk_flip_bit(f->disk, DIR, "00000003.seg", 35, 1);
    assert_int_equal(hf__inspect(f->fs, f->dir, 0, tell, &told), HF_ECORRUPT);
    assert_int_equal(told.n, 3);
    assert_string_equal(told.problems[0], "entries 1 to 5 were durable and cannot be read");
    assert_string_equal(told.states[1], "live");
    assert_string_equal(told.states[2], "damaged");
    assert_string_equal(told.problems[2], "the header is not readable");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_recover__an_empty_directory_is_an_empty_history),
        TEST(test_recover__segments_are_read_by_number_not_by_name),
        TEST(test_recover__exactly_the_entries_behind_covered_and_up_to_the_limit_are_handed_out),
        TEST(test_recover__other_files_in_the_directory_are_left_alone),
        TEST(test_recover__torn_tail_is_dropped),
        TEST(test_recover__valid_groups_behind_a_torn_one_that_nobody_claims_are_dropped_with_it),
        TEST(test_recover__what_an_earlier_recovery_cut_stays_cut),
        TEST(test_recover__a_group_without_entries_behind_a_cut_is_cut_too),
        TEST(test_recover__every_cut_is_seen_by_the_next_recovery_as_by_the_first),
        TEST(test_recover__what_follows_a_mark_inside_a_torn_group_is_not_missed),
        TEST(test_recover__a_bad_group_below_a_durable_claim_is_damage_and_the_rest_is_read),
        TEST(test_recover__a_missing_segment_is_damage_of_just_its_entries),
        TEST(test_recover__a_header_with_any_bit_flipped_is_damage_of_just_its_entries),
        TEST(test_recover__an_only_segment_whose_header_is_bad_is_damage),
        TEST(test_recover__more_ranges_than_are_listed_are_counted),
        TEST(test_recover__every_flipped_bit_gets_the_verdict_of_the_rules),
        TEST(test_recover__a_last_segment_cut_at_any_byte_ends_with_its_last_whole_group),
        TEST(test_recover__zeros_from_any_byte_on_are_a_torn_tail_or_damage_of_what_is_missing),
        TEST(test_recover__a_file_cut_inside_its_header_is_damage),
        TEST(test_recover__every_pair_of_bad_groups_loses_just_these),
        TEST(test_recover__bytes_at_random_are_never_an_entry_and_never_a_crash),
        TEST(test_recover__segments_of_two_stores_are_refused_by_name),
        TEST(test_recover__one_number_on_two_segments_is_refused_by_name),
        TEST(test_recover__another_version_is_refused_not_guessed_at),
        TEST(test_recover__a_directory_with_the_name_of_a_segment_is_a_clear_error),
        TEST(test_recover__every_failing_call_is_an_error_that_leaves_nothing_open),
        TEST(test_recover__an_answer_of_the_callback_ends_it),
        TEST(test_recover__a_hostile_value_behind_the_tail_costs_no_more_than_a_few_readings),
        TEST(test_inspect__each_segment_gets_its_verdict),
        TEST(test_inspect__a_torn_tail_is_told_apart_from_damage),
        TEST(test_inspect__a_header_that_cannot_be_read_is_named_beside_other_damage),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
