/* The local tier on LMDB: conflict log, gaps, retained entries, and what pending rows and entries say besides. */
#include "lmdb_tier.h"
#include "raw_tier.h"
#include "scratch.h"
#include "seal.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define MAP_BYTES (64ull << 20)
#define SMALL_MAP_BYTES (4ull << 20)

/* ---- fixture: a tier in a directory of its own ---- */

struct fixture {
    struct scratch scratch;
    struct hf_local_tier *tier; /* NULL while closed */
    const struct hf_local_ops *ops;
    uint64_t map_bytes;
};

static int try_open(struct fixture *f)
{
    struct hf_lmdb_options opts = {.map_bytes = f->map_bytes};
    int rc = hf__lmdb_open(f->scratch.dir, &opts, &f->tier);

    if (rc == 0)
        f->ops = f->tier->ops;
    return rc;
}

static void close_tier(struct fixture *f)
{
    if (f->tier)
        f->ops->close(f->tier);
    f->tier = NULL;
}

static void reopen(struct fixture *f)
{
    close_tier(f);
    assert_ok(try_open(f));
}

static int setup_of(void **state, uint64_t map_bytes)
{
    struct fixture *f = calloc(1, sizeof(*f));

    scratch_make(&f->scratch);
    f->map_bytes = map_bytes;
    *state = f;
    return try_open(f);
}

static int setup(void **state)
{
    return setup_of(state, MAP_BYTES);
}

static int setup_small(void **state)
{
    return setup_of(state, SMALL_MAP_BYTES);
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    close_tier(f);
    scratch_remove(&f->scratch);
    free(f);
    return 0;
}

/* ---- a small language about tiers ---- */

static struct hf_local_txn *begin(struct fixture *f)
{
    struct hf_local_txn *txn;

    assert_ok(f->ops->txn_begin(f->tier, 1, &txn));
    return txn;
}

static void commit(struct fixture *f, struct hf_local_txn *txn)
{
    assert_ok(f->ops->txn_commit(txn));
}

static struct hf_local_snap *snap(struct fixture *f)
{
    struct hf_local_snap *s;

    assert_ok(f->ops->snap_begin(f->tier, &s));
    return s;
}

static struct hf_local_stats stats(struct fixture *f)
{
    struct hf_local_snap *s = snap(f);
    struct hf_local_stats result;

    assert_ok(f->ops->stats(s, &result));
    f->ops->snap_end(s);
    return result;
}

static void assert_slice(struct hf_slice s, struct hf_slice expected)
{
    assert_int_equal(s.len, expected.len);
    if (s.len > 0)
        assert_memory_equal(s.data, expected.data, s.len);
}

/* `len` bytes that differ from those of another `first`; borrowed for ever. */
static struct hf_slice bytes_of(char first, size_t len)
{
    static char store[26][(1 << 20) + 1];
    char *bytes = store[first - 'a'];

    for (size_t i = 0; i < len; i++)
        bytes[i] = (char)(first + (i * 31 >> 3));
    return hf__slice(bytes, len);
}

static struct hf_version_id version_of(uint8_t kind)
{
    return (struct hf_version_id){
        .kind = kind, .digest = "0123456789abcdefghi", .len = 1ull << 33, .deadline_ms = -2};
}

static void assert_version(const struct hf_version_id *v, const struct hf_version_id *expected)
{
    assert_int_equal(v->kind, expected->kind);
    assert_memory_equal(v->digest, expected->digest, HF_DIGEST_BYTES);
    assert_int_equal(v->len, expected->len);
    assert_int_equal(v->deadline_ms, expected->deadline_ms);
}

/* ---- chance ---- */

static uint64_t random_state;

static size_t below(size_t n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (size_t)(random_state >> 11) % n;
}

static void seed(void)
{
    const char *given = getenv("HOLDFAST_SEED");

    random_state = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL) * 2654435761u + (uint64_t)getpid();
    if (random_state == 0)
        random_state = 1;
    print_message("HOLDFAST_SEED=%llu\n", (unsigned long long)random_state);
}

/* ---- the file, behind the tier's back ---- */

/* The first pair of a table, as it was. */
struct pair {
    uint8_t key[512];
    uint8_t value[1 << 14];
    size_t key_len;
    size_t len;
};

static struct pair *raw_first(struct fixture *f, const char *table)
{
    static struct pair pair;
    struct raw_tier raw = raw_open(f->scratch.dir, table);
    MDB_cursor *cursor;
    MDB_val key;
    MDB_val value;

    assert_int_equal(mdb_cursor_open(raw.txn, raw.dbi, &cursor), 0);
    assert_int_equal(mdb_cursor_get(cursor, &key, &value, MDB_FIRST), 0);
    assert_true(value.mv_size <= sizeof(pair.value));
    memcpy(pair.key, key.mv_data, pair.key_len = key.mv_size);
    memcpy(pair.value, value.mv_data, pair.len = value.mv_size);
    mdb_cursor_close(cursor);
    raw_close(&raw);
    return &pair;
}

static void raw_put(struct fixture *f, const char *table, const struct pair *pair, const uint8_t *bytes, size_t len)
{
    struct raw_tier raw = raw_open(f->scratch.dir, table);
    MDB_val key = {.mv_data = (void *)pair->key, .mv_size = pair->key_len};
    MDB_val value = {.mv_data = (void *)bytes, .mv_size = len};

    assert_int_equal(mdb_put(raw.txn, raw.dbi, &key, &value, 0), 0);
    raw_close(&raw);
}

static void raw_del(struct fixture *f, const char *table, const struct pair *pair)
{
    struct raw_tier raw = raw_open(f->scratch.dir, table);
    MDB_val key = {.mv_data = (void *)pair->key, .mv_size = pair->key_len};

    assert_int_equal(mdb_del(raw.txn, raw.dbi, &key, NULL), 0);
    raw_close(&raw);
}

/* ---- rows ---- */

static struct hf_conflict_row conflict_of(uint64_t id, struct hf_slice key, struct hf_slice ours,
                                          struct hf_slice theirs)
{
    return (struct hf_conflict_row){
        .id = id,
        .rule = HF_RULE_NEWEST,
        .winner = HF_WINNER_THEIRS,
        .op = HF_PENDING_DELETE,
        .decided_ms = -9,
        .key = key,
        .ours =
            {.present = true, .value = ours, .len = ours.len, .deadline_ms = 1, .made_ms = 2, .uncertainty_ms = 3},
        .theirs = {.present = true,
                   .value = theirs,
                   .len = theirs.len,
                   .deadline_ms = 4,
                   .made_ms = 5,
                   .uncertainty_ms = INT64_MAX},
    };
}

static void put_conflict(struct fixture *f, const struct hf_conflict_row *row)
{
    struct hf_local_txn *txn = begin(f);

    assert_ok(f->ops->conflict_put(txn, row));
    commit(f, txn);
}

static void assert_side(const struct hf_conflict_side *side, const struct hf_conflict_side *expected)
{
    assert_int_equal(side->present, expected->present);
    assert_int_equal(side->too_long, expected->too_long);
    assert_slice(side->value, expected->value);
    assert_int_equal(side->len, expected->len);
    assert_int_equal(side->deadline_ms, expected->deadline_ms);
    assert_int_equal(side->made_ms, expected->made_ms);
    assert_int_equal(side->uncertainty_ms, expected->uncertainty_ms);
}

static void assert_conflict(struct fixture *f, uint64_t from_id, const struct hf_conflict_row *expected)
{
    struct hf_local_snap *s = snap(f);
    struct hf_conflict_row row;

    assert_ok(f->ops->conflict_next(s, from_id, &row));
    assert_int_equal(row.id, expected->id);
    assert_int_equal(row.rule, expected->rule);
    assert_int_equal(row.winner, expected->winner);
    assert_int_equal(row.op, expected->op);
    assert_int_equal(row.decided_ms, expected->decided_ms);
    assert_slice(row.key, expected->key);
    assert_side(&row.ours, &expected->ours);
    assert_side(&row.theirs, &expected->theirs);
    f->ops->snap_end(s);
}

static struct hf_lane_entry entry_of(uint64_t lsn, struct hf_slice key, struct hf_slice value)
{
    return (struct hf_lane_entry){
        .lsn = lsn,
        .op = HF_LANE_SET,
        .flags = HF_LANE_MORE,
        .delta = -3,
        .made_ms = 4,
        .deadline_ms = 5,
        .base = version_of(HF_VERSION_DIGEST),
        .key = key,
        .value = value,
    };
}

static void assert_entry(const struct hf_lane_entry *entry, const struct hf_lane_entry *expected)
{
    assert_int_equal(entry->lsn, expected->lsn);
    assert_int_equal(entry->op, expected->op);
    assert_int_equal(entry->flags, expected->flags);
    assert_int_equal(entry->delta, expected->delta);
    assert_int_equal(entry->made_ms, expected->made_ms);
    assert_int_equal(entry->deadline_ms, expected->deadline_ms);
    assert_version(&entry->base, &expected->base);
    assert_slice(entry->key, expected->key);
    assert_slice(entry->value, expected->value);
}

static struct hf_pending_row row_of(struct hf_slice key, uint64_t lsn)
{
    return (struct hf_pending_row){
        .key = key,
        .op = HF_PENDING_SET,
        .why = HF_PENDING_RESEND,
        .n_own = 2,
        .n_folded = 3,
        .first_lsn = lsn,
        .last_lsn = lsn + 1,
        .value_lsn = lsn + 2,
        .first_made_ms = 10,
        .made_ms = 11,
        .deadline_ms = 12,
        .value_len = 5,
        .base = version_of(HF_VERSION_DIGEST),
        .base_lsn = 15,
        .base_made_ms = -16,
        .own = {version_of(HF_VERSION_ABSENT), version_of(HF_VERSION_DIGEST)},
        .foreign = {.op = 2, .made_ms = -13, .uncertainty_ms = 14},
    };
}

static void with_base(struct hf_pending_row *row, struct hf_slice value)
{
    row->has_base_value = true;
    row->base_value = value;
}

static void put_row(struct fixture *f, const struct hf_pending_row *row)
{
    struct hf_local_txn *txn = begin(f);

    assert_ok(f->ops->pending_put(txn, row));
    commit(f, txn);
}

static void assert_row(struct fixture *f, const struct hf_pending_row *expected)
{
    struct hf_local_snap *s = snap(f);
    struct hf_pending_row row;

    assert_ok(f->ops->pending_get(s, expected->key, &row));
    assert_slice(row.key, expected->key);
    assert_int_equal(row.op, expected->op);
    assert_int_equal(row.why, expected->why);
    assert_int_equal(row.n_own, expected->n_own);
    assert_int_equal(row.n_folded, expected->n_folded);
    assert_int_equal(row.first_lsn, expected->first_lsn);
    assert_int_equal(row.last_lsn, expected->last_lsn);
    assert_int_equal(row.value_lsn, expected->value_lsn);
    assert_int_equal(row.first_made_ms, expected->first_made_ms);
    assert_int_equal(row.made_ms, expected->made_ms);
    assert_int_equal(row.deadline_ms, expected->deadline_ms);
    assert_int_equal(row.value_len, expected->value_len);
    assert_version(&row.base, &expected->base);
    assert_int_equal(row.base_lsn, expected->base_lsn);
    assert_int_equal(row.base_made_ms, expected->base_made_ms);
    for (int i = 0; i < expected->n_own; i++)
        assert_version(&row.own[i], &expected->own[i]);
    assert_int_equal(row.foreign.op, expected->foreign.op);
    assert_int_equal(row.foreign.made_ms, expected->foreign.made_ms);
    assert_int_equal(row.foreign.uncertainty_ms, expected->foreign.uncertainty_ms);
    assert_int_equal(row.has_base_value, expected->has_base_value);
    assert_slice(row.base_value, expected->base_value);
    f->ops->snap_end(s);
}

static void put_gap(struct fixture *f, struct hf_slice key, uint8_t reason)
{
    struct hf_local_txn *txn = begin(f);
    struct hf_gap gap = {.key = key, .reason = reason, .lsn = 7, .made_ms = -8};

    assert_ok(f->ops->gap_put(txn, &gap));
    commit(f, txn);
}

static void remove_gap(struct fixture *f, struct hf_slice key)
{
    struct hf_local_txn *txn = begin(f);

    assert_ok(f->ops->gap_remove(txn, key));
    commit(f, txn);
}

static const size_t key_lengths[] = {1, 499, 500, 501, 1000, 1001, 4095, 4096};
#define N_KEY_LENGTHS (sizeof(key_lengths) / sizeof(key_lengths[0]))

/* ---- the conflict log ---- */

static void test_lmdb_logs__a_conflict_comes_back_as_it_was_stored(void **state)
{
    static const size_t value_lengths[] = {0, 1, 4000, HF_CONFLICT_VALUE_MAX};
    struct fixture *f = *state;
    struct hf_conflict_row row;

    for (size_t k = 0; k < N_KEY_LENGTHS; k++) {
        for (size_t v = 0; v < 4; v++) {
            row = conflict_of(1ull << 40, bytes_of('k', key_lengths[k]), bytes_of('o', value_lengths[v]),
                              bytes_of('t', value_lengths[3 - v]));
            put_conflict(f, &row);
            reopen(f);
            assert_conflict(f, 5, &row);
            assert_int_equal(stats(f).conflicts, 1);
            assert_int_equal(stats(f).conflict_bytes, key_lengths[k] + value_lengths[v] + value_lengths[3 - v]);
        }
    }
}

static void test_lmdb_logs__each_side_of_a_conflict_may_be_absent_or_too_long(void **state)
{
    struct fixture *f = *state;
    struct hf_conflict_side sides[] = {
        {.present = true, .value = s_("value"), .len = 5, .made_ms = 1},
        {.present = true, .value = s_(""), .len = 0},
        {.present = false, .made_ms = 7, .uncertainty_ms = 8},
        {.present = true, .too_long = true, .len = 1ull << 29, .deadline_ms = 3},
        {.present = true, .too_long = true, .value = s_("0123456789abcdefghij"), .len = 1ull << 29},
    };
    struct hf_conflict_row row = conflict_of(1, s_("key"), s_(""), s_(""));

    for (uint8_t rule = HF_RULE_NEWEST; rule <= HF_RULE_DROPPED; rule++) {
        for (size_t i = 0; i < 25; i++) {
            row.rule = rule;
            row.winner = (uint8_t)(HF_WINNER_OURS + i % 3);
            row.ours = sides[i / 5];
            row.theirs = sides[i % 5];
            put_conflict(f, &row);
            assert_conflict(f, 0, &row);
            assert_int_equal(stats(f).blind_conflicts, rule == HF_RULE_BLIND);
        }
    }
}

static void test_lmdb_logs__a_conflict_that_is_stored_again_counts_once(void **state)
{
    struct fixture *f = *state;
    struct hf_conflict_row row = conflict_of(3, s_("key"), s_("ours"), s_("theirs"));
    struct hf_local_txn *txn = begin(f);
    struct hf_conflict_row lent;

    row.rule = HF_RULE_BLIND;
    assert_ok(f->ops->conflict_put(txn, &row));
    assert_ok(f->ops->conflict_put(txn, &row));
    assert_ok(f->ops->conflict_next(f->ops->txn_snap(txn), 0, &lent)); /* what is lent may be put back, changed */
    lent.ours.value = lent.theirs.value;
    lent.theirs.value = s_("");
    assert_ok(f->ops->conflict_put(txn, &lent));
    commit(f, txn);
    row.ours.value = s_("theirs");
    row.theirs.value = s_("");
    assert_conflict(f, 0, &row);
    assert_int_equal(stats(f).conflicts, 1);
    assert_int_equal(stats(f).blind_conflicts, 1);
    assert_int_equal(stats(f).conflict_bytes, 3 + 6);
    txn = begin(f);
    assert_ok(f->ops->conflict_remove(txn, 3));
    assert_ok(f->ops->conflict_remove(txn, 3));
    commit(f, txn);
    assert_int_equal(stats(f).conflicts, 0);
    assert_int_equal(stats(f).blind_conflicts, 0);
    assert_int_equal(stats(f).conflict_bytes, 0);
}

/* ---- bounds ---- */

static void test_lmdb_logs__lengths_out_of_bounds_are_refused(void **state)
{
    struct fixture *f = *state;
    struct hf_local_txn *txn = begin(f);
    struct hf_local_snap *s = f->ops->txn_snap(txn);
    struct hf_slice long_value = bytes_of('v', HF_CONFLICT_VALUE_MAX + 1);
    struct hf_slice keys[] = {s_(""), bytes_of('k', HF_KEY_MAX + 1)};
    struct hf_conflict_row row = conflict_of(1, s_("k"), long_value, s_(""));
    struct hf_pending_row pending = row_of(s_("k"), 1);
    struct hf_gap gap = {.reason = HF_GAP_LOCAL};

    assert_int_equal(f->ops->conflict_put(txn, &row), HF_EINVAL);
    assert_sentence("a value of 1048577 bytes in a conflict, where at most 1048576 are kept");
    row = conflict_of(1, s_("k"), s_(""), long_value);
    assert_int_equal(f->ops->conflict_put(txn, &row), HF_EINVAL);
    with_base(&pending, hf__slice("", (size_t)HF_VALUE_MAX + 1));
    assert_int_equal(f->ops->pending_put(txn, &pending), HF_EINVAL);
    for (size_t i = 0; i < 2; i++) {
        struct hf_lane_entry entry = entry_of(1, keys[i], s_(""));

        row = conflict_of(1, keys[i], s_(""), s_(""));
        gap.key = keys[i];
        assert_int_equal(f->ops->conflict_put(txn, &row), HF_EINVAL);
        assert_int_equal(f->ops->gap_put(txn, &gap), HF_EINVAL);
        assert_int_equal(f->ops->gap_remove(txn, keys[i]), HF_EINVAL);
        assert_int_equal(f->ops->retained_put(txn, &entry), HF_EINVAL);
    }
    assert_int_equal(f->ops->gap_next(s, bytes_of('k', HF_KEY_MAX + 1), &gap), HF_NOT_FOUND);
    assert_int_equal(f->ops->gap_next(s, bytes_of('k', HF_KEY_MAX + 2), &gap), HF_EINVAL);
    commit(f, txn);
    assert_int_equal(stats(f).conflicts + stats(f).gaps + stats(f).retained + stats(f).pending_rows, 0);
}

/* ---- gaps ---- */

static void test_lmdb_logs__a_gap_comes_back_as_it_was_stored(void **state)
{
    struct fixture *f = *state;
    struct hf_local_snap *s;
    struct hf_gap gap;

    for (size_t i = 0; i < N_KEY_LENGTHS; i++) {
        struct hf_slice key = bytes_of('g', key_lengths[i]);

        put_gap(f, key, HF_GAP_DROPPED);
        put_gap(f, key, HF_GAP_LOCAL);
        reopen(f);
        s = snap(f);
        assert_ok(f->ops->gap_next(s, s_(""), &gap));
        assert_slice(gap.key, key);
        assert_int_equal(gap.reason, HF_GAP_LOCAL);
        assert_int_equal(gap.lsn, 7);
        assert_int_equal(gap.made_ms, -8);
        assert_ok(f->ops->gap_next(s, key, &gap));
        assert_int_equal(f->ops->gap_next(s, bytes_of('g', key_lengths[i] + 1), &gap), HF_NOT_FOUND);
        f->ops->snap_end(s);
        assert_int_equal(stats(f).gaps, 1);
        remove_gap(f, key);
        remove_gap(f, key);
        assert_int_equal(stats(f).gaps, 0);
    }
    close_tier(f);
    assert_int_equal(raw_entries(f->scratch.dir, "gap_chunks"), 0);
}

static void test_lmdb_logs__a_gap_can_be_removed_by_the_key_that_was_lent(void **state)
{
    struct fixture *f = *state;
    struct hf_local_txn *txn;
    struct hf_gap gap;
    int n = 0;

    for (size_t i = 0; i < N_KEY_LENGTHS; i++)
        put_gap(f, bytes_of('g', key_lengths[i]), HF_GAP_LOCAL);
    txn = begin(f);
    while (f->ops->gap_next(f->ops->txn_snap(txn), s_(""), &gap) == 0) {
        assert_ok(f->ops->gap_put(txn, &gap));
        assert_ok(f->ops->gap_next(f->ops->txn_snap(txn), s_(""), &gap));
        assert_ok(f->ops->gap_remove(txn, gap.key));
        n++;
    }
    commit(f, txn);
    assert_int_equal(n, N_KEY_LENGTHS);
    close_tier(f);
    assert_int_equal(raw_entries(f->scratch.dir, "gaps") + raw_entries(f->scratch.dir, "gap_chunks"), 0);
}

static void test_lmdb_logs__gaps_of_long_keys_stand_apart_from_records(void **state)
{
    struct fixture *f = *state;
    struct hf_record record = {.value = s_("v"), .type = HF_TYPE_STRING};
    struct hf_slice key = bytes_of('g', 1700);
    struct hf_local_txn *txn = begin(f);
    struct hf_local_snap *s;
    struct hf_gap gap;

    assert_ok(f->ops->put(txn, key, &record));
    assert_int_equal(f->ops->gap_next(f->ops->txn_snap(txn), s_(""), &gap), HF_NOT_FOUND);
    commit(f, txn);
    put_gap(f, key, HF_GAP_LOCAL);
    txn = begin(f);
    assert_ok(f->ops->remove(txn, key));
    commit(f, txn);
    s = snap(f);
    assert_ok(f->ops->gap_next(s, s_(""), &gap));
    assert_slice(gap.key, key);
    f->ops->snap_end(s);
    assert_int_equal(stats(f).records, 0);
}

/* ---- pending rows ---- */

static void test_lmdb_logs__a_pending_row_keeps_why_foreign_and_base_value(void **state)
{
    static const size_t lengths[] = {0, 1, 3000, 1 << 20};
    struct fixture *f = *state;

    for (size_t k = 0; k < N_KEY_LENGTHS; k++) {
        struct hf_pending_row row = row_of(bytes_of('p', key_lengths[k]), 100 + k);

        put_row(f, &row);
        assert_row(f, &row);
        for (size_t i = 0; i < 4; i++) {
            with_base(&row, bytes_of('b', lengths[i]));
            row.why = (uint8_t)i;
            row.n_own = (uint8_t)i;
            put_row(f, &row);
            reopen(f);
            assert_row(f, &row);
        }
    }
    assert_int_equal(stats(f).pending_rows, N_KEY_LENGTHS);
}

/* The way a checkpoint folds a write into a row: read it in the transaction, change it, put it back. */
static void test_lmdb_logs__a_row_that_is_put_back_keeps_what_was_lent(void **state)
{
    struct fixture *f = *state;

    for (size_t k = 0; k < N_KEY_LENGTHS; k++) {
        struct hf_pending_row row = row_of(bytes_of('p', key_lengths[k]), 100 + k);
        struct hf_pending_row lent;
        struct hf_local_txn *txn = begin(f);

        with_base(&row, bytes_of('b', 1234));
        assert_ok(f->ops->pending_put(txn, &row));
        for (uint8_t n_own = 3; n_own <= HF_PENDING_OWN_MAX; n_own++) { /* each makes the row longer */
            assert_ok(f->ops->pending_get(f->ops->txn_snap(txn), row.key, &lent));
            lent.n_own = n_own;
            lent.first_lsn = 7; /* of no effect */
            lent.last_lsn = 1000;
            assert_ok(f->ops->pending_put(txn, &lent));
        }
        commit(f, txn);
        txn = begin(f);
        assert_ok(f->ops->pending_get(f->ops->txn_snap(txn), row.key, &lent));
        lent.n_own = 2; /* a shorter one */
        assert_ok(f->ops->pending_put(txn, &lent));
        commit(f, txn);
        row.last_lsn = 1000;
        assert_row(f, &row);
    }
}

static void test_lmdb_logs__a_base_value_counts_as_bytes_of_its_own(void **state)
{
    struct fixture *f = *state;
    struct hf_pending_row row = row_of(s_("key"), 9);
    struct hf_local_txn *txn;

    row.base_value = s_("without the flag it is not kept");
    put_row(f, &row);
    assert_int_equal(stats(f).pending_bytes, 3 + 5);
    with_base(&row, bytes_of('b', 1000));
    put_row(f, &row);
    assert_int_equal(stats(f).pending_bytes, 3 + 5 + 1000);
    with_base(&row, bytes_of('b', 10));
    put_row(f, &row);
    assert_int_equal(stats(f).pending_bytes, 3 + 5 + 10);
    row.has_base_value = false;
    put_row(f, &row);
    assert_int_equal(stats(f).pending_bytes, 3 + 5);
    with_base(&row, bytes_of('b', 77));
    put_row(f, &row);
    txn = begin(f);
    assert_ok(f->ops->pending_remove(txn, row.key, UINT64_MAX));
    commit(f, txn);
    assert_int_equal(stats(f).pending_bytes, 0);
}

/* ---- entries ---- */

static void test_lmdb_logs__entries_keep_their_base_in_every_table(void **state)
{
    struct fixture *f = *state;

    for (size_t k = 0; k < N_KEY_LENGTHS; k++) {
        struct hf_lane_entry entry = entry_of(30 + k, bytes_of('e', key_lengths[k]), bytes_of('v', k * 400));
        struct hf_parked_row parked = {.entry = entry, .in_doubt = true, .reason = bytes_of('r', k * 17)};
        struct hf_parked_row found;
        struct hf_lane_entry lane;
        struct hf_lane_entry retained;
        struct hf_local_txn *txn = begin(f);
        struct hf_local_snap *s;

        assert_ok(f->ops->lane_put(txn, &entry));
        assert_ok(f->ops->lane_next(f->ops->txn_snap(txn), entry.lsn, &lane));
        assert_ok(f->ops->retained_put(txn, &lane)); /* as it is lent */
        assert_ok(f->ops->parked_put(txn, &parked));
        commit(f, txn);
        reopen(f);
        s = snap(f);
        assert_ok(f->ops->lane_next(s, entry.lsn, &lane));
        assert_ok(f->ops->retained_next(s, entry.lsn, &retained));
        assert_ok(f->ops->parked_next(s, entry.lsn, &found));
        assert_entry(&lane, &entry);
        assert_entry(&retained, &entry);
        assert_entry(&found.entry, &entry);
        assert_slice(found.reason, parked.reason);
        assert_int_equal(f->ops->retained_next(s, entry.lsn + 1, &retained), HF_NOT_FOUND);
        f->ops->snap_end(s);
        assert_int_equal(stats(f).retained, k + 1);
        assert_int_equal(stats(f).lane_entries, k + 1);
    }
}

/* ---- damage ---- */

static int read_pending(struct fixture *f, struct hf_local_snap *s)
{
    struct hf_local_cursor from_start = {0};
    struct hf_pending_row row;

    (void)f;
    return f->ops->pending_walk(s, &from_start, &row);
}

static int read_lane(struct fixture *f, struct hf_local_snap *s)
{
    struct hf_lane_entry entry;

    return f->ops->lane_next(s, 0, &entry);
}

static int read_parked(struct fixture *f, struct hf_local_snap *s)
{
    struct hf_parked_row row;

    return f->ops->parked_next(s, 0, &row);
}

static int read_conflict(struct fixture *f, struct hf_local_snap *s)
{
    struct hf_conflict_row row;

    return f->ops->conflict_next(s, 0, &row);
}

static int read_gap(struct fixture *f, struct hf_local_snap *s)
{
    struct hf_gap gap;

    return f->ops->gap_next(s, s_(""), &gap);
}

static int read_retained(struct fixture *f, struct hf_local_snap *s)
{
    struct hf_lane_entry entry;

    return f->ops->retained_next(s, 0, &entry);
}

struct kind {
    const char *table;
    int (*read)(struct fixture *f, struct hf_local_snap *s);
    uint8_t format;        /* of a row; 0: it has no format byte */
    const char *wrong_one; /* what the sentence says of format + 1 */
};
static const struct kind kinds[] = {
    {"pending", read_pending, 4, "pending table has format 5, this version reads 4"},
    {"lane", read_lane, 2, "entry of LSN 4 has format 3, this version reads 2"},
    {"parked", read_parked, 2, "entry of LSN 5 has format 3, this version reads 2"},
    {"retained", read_retained, 2, "entry of LSN 6 has format 3, this version reads 2"},
    {"conflicts", read_conflict, 1, "conflict 7 has format 2, this version reads 1"},
    {"gaps", read_gap, 1, "gap in the local tier has format 2, this version reads 1"},
    {"gap_chunks", read_gap, 0, NULL},
};
#define N_KINDS (sizeof(kinds) / sizeof(kinds[0]))

/* One row of each kind; the keys are short, but where only a long one has what is to be damaged. */
static void put_one_of_each(struct fixture *f)
{
    struct hf_local_txn *txn = begin(f);
    struct hf_pending_row row = row_of(s_("key"), 3);
    struct hf_lane_entry entry = entry_of(4, s_("key"), s_("value"));
    struct hf_parked_row parked = {.entry = entry_of(5, s_("key"), s_("v")), .reason = s_("WRONGTYPE")};
    struct hf_lane_entry retained = entry_of(6, s_("key"), s_("value"));
    struct hf_conflict_row conflict = conflict_of(7, s_("key"), s_("ours"), s_("theirs"));
    struct hf_gap gap = {.key = bytes_of('g', 501), .reason = HF_GAP_LOCAL, .lsn = 8};

    with_base(&row, s_("base"));
    assert_ok(f->ops->pending_put(txn, &row));
    assert_ok(f->ops->lane_put(txn, &entry));
    assert_ok(f->ops->parked_put(txn, &parked));
    assert_ok(f->ops->retained_put(txn, &retained));
    assert_ok(f->ops->conflict_put(txn, &conflict));
    assert_ok(f->ops->gap_put(txn, &gap));
    commit(f, txn);
    close_tier(f);
}

/* What reading says when these bytes stand in the place of the row. The tier is closed before and after. */
static int read_with(struct fixture *f, const struct kind *kind, const struct pair *pair, const uint8_t *bytes,
                     size_t len)
{
    struct hf_local_snap *s;
    int rc;

    raw_put(f, kind->table, pair, bytes, len);
    assert_ok(try_open(f));
    s = snap(f);
    rc = kind->read(f, s);
    f->ops->snap_end(s);
    close_tier(f);
    return rc;
}

static void test_lmdb_logs__every_wrong_byte_of_a_row_is_detected(void **state)
{
    static const uint8_t flips[] = {1, 0x80, 0xff};
    struct fixture *f = *state;

    put_one_of_each(f);
    for (size_t i = 0; i < N_KINDS; i++) {
        struct pair *pair = raw_first(f, kinds[i].table);

        for (size_t at = 0; at < pair->len; at++) {
            pair->value[at] ^= flips[at % 3];
            assert_int_equal(read_with(f, &kinds[i], pair, pair->value, pair->len), HF_ECORRUPT);
            pair->value[at] ^= flips[at % 3];
        }
        for (size_t len = 0; len < pair->len; len++)
            assert_int_equal(read_with(f, &kinds[i], pair, pair->value, len), HF_ECORRUPT);
        assert_ok(read_with(f, &kinds[i], pair, pair->value, pair->len));
    }
}

static int read_sealed(struct fixture *f, const struct kind *kind, const struct pair *pair, size_t len)
{
    uint8_t bytes[sizeof(pair->value)];

    memcpy(bytes, pair->value, len);
    hf__lmdb_seal(hf__slice(pair->key, pair->key_len), bytes, len);
    return read_with(f, kind, pair, bytes, len);
}

/* With a right checksum a row may say anything about times and LSNs, but never name bytes that are not there. */
static void test_lmdb_logs__a_sealed_row_of_impossible_content_is_never_followed(void **state)
{
    static const uint8_t flips[] = {1, 0x80, 0xff};
    struct fixture *f = *state;

    put_one_of_each(f);
    for (size_t i = 0; i < N_KINDS; i++) {
        struct pair *pair = raw_first(f, kinds[i].table);

        for (size_t at = 8; at < 3 * pair->len; at++) {
            uint8_t *byte = &pair->value[8 + at % (pair->len - 8)];
            uint8_t was = *byte;
            int rc;

            *byte ^= flips[at % 3];
            rc = read_sealed(f, &kinds[i], pair, pair->len);
            /* A link that says that no gap ends here is believed. */
            assert_true(rc == 0 || rc == HF_ECORRUPT || rc == HF_EVERSION ||
                        (rc == HF_NOT_FOUND && kinds[i].format == 0));
            *byte = was;
        }
        for (size_t len = 8; len < pair->len; len++) {
            int rc = read_sealed(f, &kinds[i], pair, len);

            /* An entry's value goes to the end, as does a gap's key, which then is not the one of its chain. */
            if (kinds[i].read == read_lane || kinds[i].read == read_parked || kinds[i].read == read_retained)
                assert_true(rc == HF_ECORRUPT || rc == 0);
            else
                assert_int_equal(rc, HF_ECORRUPT);
        }
        assert_ok(read_sealed(f, &kinds[i], pair, pair->len));
    }
}

static void test_lmdb_logs__a_row_of_another_format_is_refused_as_such(void **state)
{
    struct fixture *f = *state;

    put_one_of_each(f);
    for (size_t i = 0; i < N_KINDS; i++) {
        struct pair *pair = raw_first(f, kinds[i].table);

        if (kinds[i].format == 0)
            continue;
        assert_int_equal(pair->value[8], kinds[i].format);
        pair->value[8]++;
        assert_int_equal(read_sealed(f, &kinds[i], pair, pair->len), HF_EVERSION);
        assert_sentence(kinds[i].wrong_one);
        pair->value[8] -= 2;
        assert_int_equal(read_sealed(f, &kinds[i], pair, pair->len), HF_EVERSION);
        pair->value[8]++;
        assert_ok(read_sealed(f, &kinds[i], pair, pair->len));
    }
}

static void test_lmdb_logs__a_row_under_another_key_is_damaged(void **state)
{
    struct fixture *f = *state;

    put_one_of_each(f);
    for (size_t i = 0; i < N_KINDS; i++) {
        struct pair *pair = raw_first(f, kinds[i].table);
        struct pair other = *pair;

        other.key[other.key_len - 1] ^= 1;
        raw_del(f, kinds[i].table, pair);
        assert_int_equal(read_with(f, &kinds[i], &other, other.value, other.len), HF_ECORRUPT);
        raw_del(f, kinds[i].table, &other);
        assert_ok(read_with(f, &kinds[i], pair, pair->value, pair->len));
    }
}

static void test_lmdb_logs__a_damaged_gap_can_be_replaced_and_removed(void **state)
{
    struct fixture *f = *state;
    size_t lengths[] = {3, 2000};

    for (size_t i = 0; i < 2; i++) {
        struct hf_slice key = bytes_of('g', lengths[i]);

        for (int removed = 0; removed < 2; removed++) {
            struct pair *pair;

            put_gap(f, key, HF_GAP_LOCAL);
            close_tier(f);
            pair = raw_first(f, "gaps");
            pair->value[20] ^= 1;
            assert_int_equal(read_with(f, &kinds[5], pair, pair->value, pair->len), HF_ECORRUPT);
            assert_ok(try_open(f));
            if (removed)
                remove_gap(f, key);
            else
                put_gap(f, key, HF_GAP_LOCAL);
            assert_int_equal(stats(f).gaps, !removed);
        }
    }
    close_tier(f);
    assert_int_equal(raw_entries(f->scratch.dir, "gap_chunks"), 0);
}

static void test_lmdb_logs__a_store_of_the_format_before_is_refused(void **state)
{
    struct fixture *f = *state;
    struct pair pair = {.key = "format", .key_len = 6, .value = {1}, .len = 4};

    close_tier(f);
    raw_put(f, "meta", &pair, pair.value, pair.len);
    assert_int_equal(try_open(f), HF_EVERSION);
    assert_sentence("holds format 1, this version reads 4");
}

/* ---- a full map ---- */

static void fill(struct fixture *f)
{
    struct hf_record record = {.value = bytes_of('v', 1000), .type = HF_TYPE_STRING};
    int rc = 0;

    for (int n = 0; rc == 0;) {
        struct hf_local_txn *txn = begin(f);

        for (int i = 0; i < 50 && rc == 0; i++, n++) {
            char key[32];

            snprintf(key, sizeof(key), "key %08d", n);
            rc = f->ops->put(txn, s_(key), &record);
        }
        commit(f, txn);
    }
    assert_int_equal(rc, HF_EFULL);
}

static int put_numbered(struct fixture *f, struct hf_local_txn *txn, int what, uint64_t n)
{
    char text[40];
    struct hf_slice key = hf__slice(text, (size_t)snprintf(text, sizeof(text), "key %llu", (unsigned long long)n));
    struct hf_conflict_row conflict = conflict_of(n, key, bytes_of('o', 500), bytes_of('t', 500));
    struct hf_parked_row parked = {.entry = entry_of(n, key, bytes_of('v', 1000))};
    struct hf_gap gap = {.key = key, .reason = HF_GAP_DROPPED, .lsn = n};

    if (what == 0)
        return f->ops->conflict_put(txn, &conflict);
    return what == 1 ? f->ops->parked_put(txn, &parked) : f->ops->gap_put(txn, &gap);
}

static int remove_numbered(struct fixture *f, struct hf_local_txn *txn, int what, uint64_t n)
{
    char text[40];

    if (what == 0)
        return f->ops->conflict_remove(txn, n);
    if (what == 1)
        return f->ops->parked_remove(txn, n);
    return f->ops->gap_remove(
        txn, hf__slice(text, (size_t)snprintf(text, sizeof(text), "key %llu", (unsigned long long)n)));
}

static void test_lmdb_logs__a_full_map_takes_rows_from_half_the_reserve_and_lets_them_go(void **state)
{
    struct fixture *f = *state;
    struct hf_lane_entry retained = entry_of(1, s_("key"), bytes_of('v', 1000));

    fill(f);
    for (int what = 0; what < 3; what++) {
        struct hf_local_txn *txn;
        uint64_t n = 0;
        int rc = 0;

        while (rc == 0) {
            txn = begin(f);
            for (int i = 0; i < 10 && rc == 0; i++)
                rc = put_numbered(f, txn, what, ++n);
            commit(f, txn);
        }
        assert_int_equal(rc, HF_EFULL);
        assert_true(n > 30);
        txn = begin(f);
        assert_int_equal(f->ops->retained_put(txn, &retained), HF_EFULL);
        assert_ok(put_numbered(f, txn, what, 1)); /* the row is there: it may be stored again */
        commit(f, txn);
        for (uint64_t at = 1; at < n; at++) {
            txn = begin(f);
            assert_ok(remove_numbered(f, txn, what, at));
            commit(f, txn);
        }
    }
    assert_int_equal(stats(f).conflict_bytes + stats(f).parked_bytes + stats(f).gaps, 0);
}

static void test_lmdb_logs__a_row_that_grows_needs_room(void **state)
{
    struct fixture *f = *state;
    struct hf_conflict_row conflict = conflict_of(1, s_("k"), s_("o"), s_("t"));
    struct hf_pending_row row = row_of(s_("k"), 1);
    struct hf_local_txn *txn;

    put_conflict(f, &conflict);
    put_row(f, &row);
    fill(f);
    txn = begin(f);
    conflict.ours.value = bytes_of('o', 1 << 20);
    assert_int_equal(f->ops->conflict_put(txn, &conflict), HF_EFULL);
    with_base(&row, bytes_of('b', 1 << 20));
    assert_int_equal(f->ops->pending_put(txn, &row), HF_EFULL);
    commit(f, txn);
    assert_int_equal(stats(f).pending_bytes, 1 + 5);
    assert_int_equal(stats(f).conflict_bytes, 3);
}

/* ---- a model ---- */

#define N_KEYS 64
#define N_IDS 40

struct model_row {
    bool there;
    bool has_base;
    bool in_doubt;
    uint8_t tag; /* rule, reason, why */
    int key;
    size_t a, b; /* lengths of the values */
    uint64_t lsn;
};
struct model {
    struct model_row conflicts[N_IDS];
    struct model_row retained[N_IDS];
    struct model_row parked[N_IDS];
    struct model_row gaps[N_KEYS];    /* by key, which are in order */
    struct model_row pending[N_KEYS]; /* the same */
};

struct model_key {
    size_t len;
    uint8_t bytes[HF_KEY_MAX];
};
static struct model_key model_keys[N_KEYS];

static struct hf_slice key_at(int i)
{
    return hf__slice(model_keys[i].bytes, model_keys[i].len);
}

static int compare_keys(const void *a, const void *b)
{
    const struct model_key *x = a;
    const struct model_key *y = b;

    return hf__slice_cmp(hf__slice(x->bytes, x->len), hf__slice(y->bytes, y->len));
}

static bool is_taken(int n, const struct model_key *key)
{
    for (int i = 0; i < n; i++) {
        if (compare_keys(&model_keys[i], key) == 0)
            return true;
    }
    return false;
}

/* Keys that share beginnings, of lengths around the limits of chunks, and a zero or a highest byte here and there. */
static void make_keys(void)
{
    static const size_t lengths[] = {1, 2, 499, 500, 501, 502, 999, 1000, 1001, 1500, 1501, 4000, 4095, 4096};
    static const uint8_t letters[] = {0, 'a', 0xff};

    for (int n = 0; n < N_KEYS;) {
        struct model_key *key = &model_keys[n];

        key->len = lengths[below(14)];
        memset(key->bytes, letters[below(3)], key->len);
        for (size_t changes = below(3); changes > 0; changes--)
            key->bytes[below(2) ? key->len - 1 : below(key->len)] = letters[below(3)];
        n += !is_taken(n, key);
    }
    qsort(model_keys, N_KEYS, sizeof(model_keys[0]), compare_keys);
}

static size_t random_len(void)
{
    return below(10) == 0 ? below(20000) : below(100);
}

static struct hf_conflict_row conflict_of_model(const struct model_row *m, uint64_t id)
{
    struct hf_conflict_row row = conflict_of(id, key_at(m->key), bytes_of('o', m->a), bytes_of('t', m->b));

    row.rule = m->tag;
    row.decided_ms = (int64_t)m->lsn;
    return row;
}

static struct hf_lane_entry entry_of_model(const struct model_row *m, uint64_t lsn)
{
    struct hf_lane_entry entry = entry_of(lsn, key_at(m->key), bytes_of('v', m->a));

    entry.made_ms = (int64_t)m->lsn;
    return entry;
}

static struct hf_pending_row pending_of_model(const struct model_row *m, int k)
{
    struct hf_pending_row row = row_of(key_at(k), m->lsn);

    row.why = m->tag;
    row.value_len = m->a;
    if (m->has_base)
        with_base(&row, bytes_of('b', m->b));
    return row;
}

static struct model_row random_row(uint64_t lsn)
{
    return (struct model_row){
        .there = true,
        .has_base = below(2),
        .in_doubt = below(2),
        .tag = (uint8_t)(1 + below(12)),
        .key = (int)below(N_KEYS),
        .a = random_len(),
        .b = random_len(),
        .lsn = lsn,
    };
}

static int put_entry(struct fixture *f, struct hf_local_txn *txn, struct model *m, uint64_t id,
                     struct model_row fresh)
{
    struct hf_parked_row parked = {
        .entry = entry_of_model(&fresh, id), .in_doubt = fresh.in_doubt, .reason = bytes_of('r', fresh.b)};

    if (below(2)) {
        m->retained[id] = fresh;
        return f->ops->retained_put(txn, &parked.entry);
    }
    m->parked[id] = fresh;
    return f->ops->parked_put(txn, &parked);
}

static int put_any(struct fixture *f, struct hf_local_txn *txn, struct model *m, uint64_t lsn)
{
    struct model_row fresh = random_row(lsn);
    uint64_t id = below(N_IDS);
    int k = fresh.key;
    struct hf_conflict_row conflict = conflict_of_model(&fresh, id);
    struct hf_gap gap = {.key = key_at(k), .reason = fresh.tag, .lsn = lsn, .made_ms = -(int64_t)lsn};
    struct hf_pending_row row = pending_of_model(&fresh, k);

    switch (below(5)) {
    case 0: m->conflicts[id] = fresh; return f->ops->conflict_put(txn, &conflict);
    case 1: m->gaps[k] = fresh; return f->ops->gap_put(txn, &gap);
    case 2:
        if (m->pending[k].there)
            fresh.lsn = m->pending[k].lsn; /* first_lsn never changes */
        m->pending[k] = fresh;
        return f->ops->pending_put(txn, &row);
    default: return put_entry(f, txn, m, id, fresh);
    }
}

static int remove_any(struct fixture *f, struct hf_local_txn *txn, struct model *m)
{
    uint64_t id = below(N_IDS);
    int k = (int)below(N_KEYS), rc;

    switch (below(5)) {
    case 0: m->conflicts[id].there = false; return f->ops->conflict_remove(txn, id);
    case 1: m->gaps[k].there = false; return f->ops->gap_remove(txn, key_at(k));
    case 2:
        m->pending[k].there = false;
        rc = f->ops->pending_remove(txn, key_at(k), UINT64_MAX);
        return rc == HF_NOT_FOUND ? 0 : rc;
    case 3: m->retained[id].there = false; return f->ops->retained_remove(txn, id);
    default: m->parked[id].there = false; return f->ops->parked_remove(txn, id);
    }
}

static void assert_totals(struct fixture *f, struct hf_local_snap *s, const struct model *m)
{
    struct hf_local_stats want = {0};
    struct hf_local_stats found;

    for (int i = 0; i < N_IDS; i++) {
        const struct model_row *c = &m->conflicts[i];
        const struct model_row *p = &m->parked[i];

        want.conflicts += c->there;
        want.conflict_bytes += c->there ? key_at(c->key).len + c->a + c->b : 0;
        want.blind_conflicts += c->there && c->tag == HF_RULE_BLIND;
        want.retained += m->retained[i].there;
        want.parked += p->there;
        want.parked_bytes += p->there ? key_at(p->key).len + p->a : 0;
        want.in_doubt += p->there && p->in_doubt;
    }
    for (int k = 0; k < N_KEYS; k++) {
        const struct model_row *p = &m->pending[k];

        want.gaps += m->gaps[k].there;
        want.pending_rows += p->there;
        want.pending_bytes += p->there ? key_at(k).len + p->a + (p->has_base ? p->b : 0) : 0;
    }
    assert_ok(f->ops->stats(s, &found));
    assert_int_equal(found.conflicts, want.conflicts);
    assert_int_equal(found.conflict_bytes, want.conflict_bytes);
    assert_int_equal(found.blind_conflicts, want.blind_conflicts);
    assert_int_equal(found.retained, want.retained);
    assert_int_equal(found.parked, want.parked);
    assert_int_equal(found.parked_bytes, want.parked_bytes);
    assert_int_equal(found.in_doubt, want.in_doubt);
    assert_int_equal(found.gaps, want.gaps);
    assert_int_equal(found.pending_rows, want.pending_rows);
    assert_int_equal(found.pending_bytes, want.pending_bytes);
}

static int next_there(const struct model_row *rows, int n, int from)
{
    while (from < n && !rows[from].there)
        from++;
    return from;
}

/* Each question of "the next one", from every number. */
static void assert_ids(struct fixture *f, struct hf_local_snap *s, const struct model *m)
{
    for (int from = 0; from <= N_IDS; from++) {
        int c = next_there(m->conflicts, N_IDS, from);
        int r = next_there(m->retained, N_IDS, from);
        int p = next_there(m->parked, N_IDS, from);
        struct hf_conflict_row row;
        struct hf_lane_entry entry;
        struct hf_parked_row parked;

        assert_int_equal(f->ops->conflict_next(s, (uint64_t)from, &row), c == N_IDS ? HF_NOT_FOUND : 0);
        if (c < N_IDS) {
            struct hf_conflict_row want = conflict_of_model(&m->conflicts[c], (uint64_t)c);

            assert_int_equal(row.id, c);
            assert_int_equal(row.rule, want.rule);
            assert_int_equal(row.decided_ms, want.decided_ms);
            assert_slice(row.key, want.key);
            assert_side(&row.ours, &want.ours);
            assert_side(&row.theirs, &want.theirs);
        }
        assert_int_equal(f->ops->retained_next(s, (uint64_t)from, &entry), r == N_IDS ? HF_NOT_FOUND : 0);
        if (r < N_IDS) {
            struct hf_lane_entry want = entry_of_model(&m->retained[r], (uint64_t)r);

            assert_entry(&entry, &want);
        }
        assert_int_equal(f->ops->parked_next(s, (uint64_t)from, &parked), p == N_IDS ? HF_NOT_FOUND : 0);
        if (p < N_IDS) {
            struct hf_lane_entry want = entry_of_model(&m->parked[p], (uint64_t)p);

            assert_entry(&parked.entry, &want);
            assert_slice(parked.reason, bytes_of('r', m->parked[p].b));
        }
    }
}

static void assert_next_gap(struct fixture *f, struct hf_local_snap *s, const struct model *m, struct hf_slice from,
                            int first)
{
    int k = next_there(m->gaps, N_KEYS, first);
    struct hf_gap gap;

    assert_int_equal(f->ops->gap_next(s, from, &gap), k == N_KEYS ? HF_NOT_FOUND : 0);
    if (k == N_KEYS)
        return;
    assert_slice(gap.key, key_at(k));
    assert_int_equal(gap.reason, m->gaps[k].tag);
    assert_int_equal(gap.lsn, m->gaps[k].lsn);
    assert_int_equal(gap.made_ms, -(int64_t)m->gaps[k].lsn);
}

static void assert_keys(struct fixture *f, struct hf_local_snap *s, const struct model *m)
{
    assert_next_gap(f, s, m, s_(""), 0);
    for (int k = 0; k < N_KEYS; k++) {
        uint8_t behind[HF_KEY_MAX + 1] = {0};
        struct hf_pending_row row;

        memcpy(behind, key_at(k).data, key_at(k).len);
        assert_next_gap(f, s, m, key_at(k), k);
        assert_next_gap(f, s, m, hf__slice(behind, key_at(k).len + 1), k + 1);
        assert_int_equal(f->ops->pending_get(s, key_at(k), &row), m->pending[k].there ? 0 : HF_NOT_FOUND);
        if (m->pending[k].there) {
            struct hf_pending_row want = pending_of_model(&m->pending[k], k);

            assert_int_equal(row.first_lsn, want.first_lsn);
            assert_int_equal(row.why, want.why);
            assert_int_equal(row.has_base_value, want.has_base_value);
            assert_slice(row.base_value, want.base_value);
        }
    }
}

static void assert_model(struct fixture *f, struct hf_local_snap *s, const struct model *m)
{
    assert_totals(f, s, m);
    assert_ids(f, s, m);
    assert_keys(f, s, m);
}

static void test_lmdb_logs__any_operations_leave_what_the_model_holds(void **state)
{
    struct fixture *f = *state;
    struct model *committed = calloc(1, sizeof(*committed));
    struct model *m = calloc(1, sizeof(*m));
    uint64_t lsn = 0;

    seed();
    make_keys();
    for (int round = 0; round < 200; round++) {
        struct hf_local_txn *txn = begin(f);
        struct hf_local_snap *s;
        bool grows = round / 25 % 2 == 0; /* the tables fill and empty by turns */

        *m = *committed;
        for (size_t n = 1 + below(40); n > 0; n--)
            assert_ok((below(4) != 0) == grows ? put_any(f, txn, m, ++lsn) : remove_any(f, txn, m));
        assert_model(f, f->ops->txn_snap(txn), m);
        if (below(4) == 0) {
            f->ops->txn_abort(txn);
        } else {
            commit(f, txn);
            *committed = *m;
        }
        if (below(10) == 0)
            reopen(f);
        s = snap(f);
        assert_model(f, s, committed);
        f->ops->snap_end(s);
    }
    free(committed);
    free(m);
}

#define IN_TIER(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define IN_SMALL_TIER(name) cmocka_unit_test_setup_teardown(name, setup_small, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_TIER(test_lmdb_logs__a_conflict_comes_back_as_it_was_stored),
        IN_TIER(test_lmdb_logs__each_side_of_a_conflict_may_be_absent_or_too_long),
        IN_TIER(test_lmdb_logs__a_conflict_that_is_stored_again_counts_once),
        IN_TIER(test_lmdb_logs__lengths_out_of_bounds_are_refused),
        IN_TIER(test_lmdb_logs__a_gap_comes_back_as_it_was_stored),
        IN_TIER(test_lmdb_logs__a_gap_can_be_removed_by_the_key_that_was_lent),
        IN_TIER(test_lmdb_logs__gaps_of_long_keys_stand_apart_from_records),
        IN_TIER(test_lmdb_logs__a_pending_row_keeps_why_foreign_and_base_value),
        IN_TIER(test_lmdb_logs__a_row_that_is_put_back_keeps_what_was_lent),
        IN_TIER(test_lmdb_logs__a_base_value_counts_as_bytes_of_its_own),
        IN_TIER(test_lmdb_logs__entries_keep_their_base_in_every_table),
        IN_TIER(test_lmdb_logs__every_wrong_byte_of_a_row_is_detected),
        IN_TIER(test_lmdb_logs__a_sealed_row_of_impossible_content_is_never_followed),
        IN_TIER(test_lmdb_logs__a_row_of_another_format_is_refused_as_such),
        IN_TIER(test_lmdb_logs__a_row_under_another_key_is_damaged),
        IN_TIER(test_lmdb_logs__a_damaged_gap_can_be_replaced_and_removed),
        IN_TIER(test_lmdb_logs__a_store_of_the_format_before_is_refused),
        IN_SMALL_TIER(test_lmdb_logs__a_full_map_takes_rows_from_half_the_reserve_and_lets_them_go),
        IN_SMALL_TIER(test_lmdb_logs__a_row_that_grows_needs_room),
        IN_TIER(test_lmdb_logs__any_operations_leave_what_the_model_holds),
    };

    return cmocka_run_group_tests_name("lmdb_logs", tests, NULL, NULL);
}
