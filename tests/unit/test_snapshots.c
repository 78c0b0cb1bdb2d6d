/* Snapshots of the local tier: what many looks find, with remembered places of keys and transactions that rest. */
#include "lmdb_tier.h"
#include "internal.h"
#include "scratch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEYS 3000u
#define MANY_LOOKS 3 /* at each key: enough of them that places are remembered */
#define LONGEST 6000u
#define FEW_LOOKS 1100u     /* of one snapshot: just enough for a table of places */
#define AT_ONCE 120u        /* more than have tables, and than rest when they end */
#define TABLES 96u          /* of the smallest size; no more at once */
#define FIRST_BUCKETS 4096u /* of a table, four places in each */
#define FITTING_KEYS 5000u  /* a third of its places */
#define MANY_KEYS 30000u    /* twice as many */

struct fixture {
    struct scratch scratch;
    struct hf_local_tier *tier;
    const struct hf_local_ops *ops;
    uint64_t lsn;
    unsigned round_of[KEYS]; /* in which it was written last; 0: it is not there */
};

static int open_with(void **state, const struct hf_lmdb_options *opts)
{
    struct fixture *f = calloc(1, sizeof(*f));

    scratch_make(&f->scratch);
    assert_ok(hf__lmdb_open(f->scratch.dir, opts, &f->tier));
    f->ops = f->tier->ops;
    *state = f;
    return 0;
}

static int setup(void **state)
{
    return open_with(state, &(struct hf_lmdb_options){.map_bytes = 256ull << 20});
}

static int setup_small(void **state)
{
    return open_with(state, &(struct hf_lmdb_options){.map_bytes = 4ull << 20});
}

static int setup_at_once(void **state)
{
    return open_with(state, &(struct hf_lmdb_options){.map_bytes = 256ull << 20, .max_readers = AT_ONCE + 1});
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    f->ops->close(f->tier);
    scratch_remove(&f->scratch);
    free(f);
    return 0;
}

/* ---- keys and values that follow from a number ---- */

struct text {
    char bytes[LONGEST];
    size_t len;
};

static struct hf_slice key_of(unsigned i, struct text *ret)
{
    ret->len = (size_t)snprintf(ret->bytes, sizeof(ret->bytes), "key:%u", i);
    return hf__slice(ret->bytes, ret->len);
}

/* Of every length up to more than a page. */
static struct hf_slice value_of(unsigned i, unsigned round, struct text *ret)
{
    ret->len = (i * 7919 + round) % LONGEST;
    memset(ret->bytes, (int)('a' + (i + round) % 26), ret->len);
    return hf__slice(ret->bytes, ret->len);
}

static struct hf_local_txn *begin(struct fixture *f)
{
    struct hf_local_txn *txn;

    assert_ok(f->ops->txn_begin(f->tier, ++f->lsn, &txn));
    return txn;
}

static void write_key(struct fixture *f, struct hf_local_txn *txn, unsigned i, unsigned round)
{
    struct text key, value;
    struct hf_record record = {.value = value_of(i, round, &value), .made_ms = 1, .lsn = f->lsn};

    assert_ok(f->ops->put(txn, key_of(i, &key), &record));
    f->round_of[i] = round;
}

static void remove_key(struct fixture *f, struct hf_local_txn *txn, unsigned i)
{
    struct text key;

    assert_ok(f->ops->remove(txn, key_of(i, &key)));
    f->round_of[i] = 0;
}

static void write_all(struct fixture *f, unsigned round)
{
    struct hf_local_txn *txn = begin(f);

    for (unsigned i = 0; i < KEYS; i++)
        write_key(f, txn, i, round);
    assert_ok(f->ops->txn_commit(txn));
}

/* Every third key is written, every seventh removed. */
static void change_some(struct fixture *f, unsigned round)
{
    struct hf_local_txn *txn = begin(f);

    for (unsigned i = 0; i < KEYS; i++) {
        if ((i + round) % 7 == 0)
            remove_key(f, txn, i);
        else if ((i + round) % 3 == 0)
            write_key(f, txn, i, round);
    }
    assert_ok(f->ops->txn_commit(txn));
}

static void expect_key(struct fixture *f, struct hf_local_snap *snap, unsigned i, unsigned round)
{
    struct hf_record record;
    struct text key, value;
    struct hf_slice expected = value_of(i, round, &value);
    int rc = f->ops->get(snap, key_of(i, &key), &record);

    assert_int_equal(rc, round > 0 ? 0 : HF_NOT_FOUND);
    if (round > 0 && !hf__slice_eq(record.value, expected))
        fail_msg("key %u has not the value of round %u", i, round);
}

/* Through one snapshot for each key, as a store looks. */
static void expect_all(struct fixture *f)
{
    for (unsigned i = 0; i < KEYS * MANY_LOOKS; i++) {
        unsigned at = i % KEYS;
        struct hf_local_snap *snap;

        assert_ok(f->ops->snap_begin(f->tier, &snap));
        expect_key(f, snap, at, f->round_of[at]);
        f->ops->snap_end(snap);
    }
}

/* Snapshots that are open at once; returns how many of them remember places. */
static unsigned tables_of_many(struct fixture *f)
{
    struct hf_local_snap *snaps[AT_ONCE];
    unsigned n = 0;

    for (unsigned s = 0; s < AT_ONCE; s++) {
        assert_ok(f->ops->snap_begin(f->tier, &snaps[s]));
        for (unsigned i = 0; i < FEW_LOOKS; i++)
            expect_key(f, snaps[s], i, f->round_of[i]);
        n += snaps[s]->places != NULL;
    }
    for (unsigned s = 0; s < AT_ONCE; s++)
        f->ops->snap_end(snaps[s]);
    return n;
}

static unsigned table_buckets(struct fixture *f)
{
    return atomic_load(&((struct hf__lmdb_tier *)f->tier)->n_place_buckets);
}

static struct hf_slice short_value_of(unsigned i, struct text *ret)
{
    ret->len = (size_t)snprintf(ret->bytes, sizeof(ret->bytes), "value:%u", i);
    return hf__slice(ret->bytes, ret->len);
}

static void write_many_short(struct fixture *f)
{
    struct hf_local_txn *txn = begin(f);
    struct text key, value;

    for (unsigned i = 0; i < MANY_KEYS; i++) {
        struct hf_record record = {.value = short_value_of(i, &value), .made_ms = 1, .lsn = f->lsn};

        assert_ok(f->ops->put(txn, key_of(i, &key), &record));
    }
    assert_ok(f->ops->txn_commit(txn));
}

static void expect_many_short(struct fixture *f, struct hf_local_snap *snap, unsigned n)
{
    struct hf_record record;
    struct text key, value;

    for (unsigned i = 0; i < n; i++) {
        assert_ok(f->ops->get(snap, key_of(i, &key), &record));
        if (!hf__slice_eq(record.value, short_value_of(i, &value)))
            fail_msg("key %u has another value", i);
    }
}

/* ---- tests ---- */

static void every_look_finds_what_the_last_commit_left(void **state)
{
    struct fixture *f = *state;

    write_all(f, 1);
    for (unsigned round = 2; round < 8; round++) {
        expect_all(f);
        change_some(f, round);
    }
    expect_all(f);
}

static void a_snapshot_goes_on_to_show_its_own_commit(void **state)
{
    struct fixture *f = *state;
    struct hf_local_snap *old;

    write_all(f, 1);
    expect_all(f);
    assert_ok(f->ops->snap_begin(f->tier, &old));
    write_all(f, 2);
    expect_all(f);
    for (unsigned i = 0; i < KEYS * MANY_LOOKS; i++)
        expect_key(f, old, i % KEYS, 1);
    f->ops->snap_end(old);
    expect_all(f);
}

static void what_the_snapshot_covers_is_that_of_the_last_commit(void **state)
{
    struct fixture *f = *state;

    for (unsigned round = 1; round < 5; round++) {
        struct hf_local_snap *snap;

        change_some(f, round);
        for (int look = 0; look < 2; look++) {
            assert_ok(f->ops->snap_begin(f->tier, &snap));
            assert_int_equal(f->ops->snap_covered_lsn(snap), f->lsn);
            f->ops->snap_end(snap);
        }
    }
}

/* Of a page that a resting snapshot keeps from being used again each commit would need another one. */
static void a_snapshot_at_rest_keeps_no_pages(void **state)
{
    struct fixture *f = *state;

    for (unsigned round = 1; round < 1000; round++) {
        struct hf_local_txn *txn = begin(f);
        struct hf_local_snap *snaps[2];

        for (unsigned i = 0; i < 20; i++)
            write_key(f, txn, i, round);
        assert_ok(f->ops->txn_commit(txn));
        if (round == 5) {
            assert_ok(f->ops->snap_begin(f->tier, &snaps[0]));
            assert_ok(f->ops->snap_begin(f->tier, &snaps[1]));
            f->ops->snap_end(snaps[0]);
            f->ops->snap_end(snaps[1]);
        }
    }
}

/* Some of the first ones rest with theirs. */
static void the_table_of_a_snapshot_that_is_gone_makes_room_for_another(void **state)
{
    struct fixture *f = *state;

    write_all(f, 1);
    for (unsigned round = 0; round < 3; round++)
        assert_int_equal(tables_of_many(f), TABLES);
}

static void a_table_grows_while_there_is_no_place_for_what_is_looked_for(void **state)
{
    struct fixture *f = *state;
    struct hf_local_snap *snap;
    unsigned last;

    write_many_short(f);
    assert_ok(f->ops->snap_begin(f->tier, &snap));
    for (unsigned round = 0; round < 15; round++)
        expect_many_short(f, snap, FITTING_KEYS);
    assert_int_equal(table_buckets(f), FIRST_BUCKETS);
    for (unsigned round = 0; round < 6; round++)
        expect_many_short(f, snap, MANY_KEYS);
    last = table_buckets(f);
    assert_true(last > 2 * FIRST_BUCKETS);
    for (unsigned round = 0; round < 3; round++)
        expect_many_short(f, snap, MANY_KEYS);
    assert_int_equal(table_buckets(f), last);
    f->ops->snap_end(snap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_look_finds_what_the_last_commit_left, setup, teardown),
        cmocka_unit_test_setup_teardown(a_snapshot_goes_on_to_show_its_own_commit, setup, teardown),
        cmocka_unit_test_setup_teardown(what_the_snapshot_covers_is_that_of_the_last_commit, setup, teardown),
        cmocka_unit_test_setup_teardown(a_snapshot_at_rest_keeps_no_pages, setup_small, teardown),
        cmocka_unit_test_setup_teardown(the_table_of_a_snapshot_that_is_gone_makes_room_for_another, setup_at_once,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_table_grows_while_there_is_no_place_for_what_is_looked_for, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
