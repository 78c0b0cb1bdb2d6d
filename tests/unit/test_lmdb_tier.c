/* The local tier on LMDB: what it stores, what it finds damaged, what it does when it is full. */
#include "lmdb_tier.h"
#include "raw_tier.h"
#include "scratch.h"
#include "seal.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
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
    unsigned max_readers;
};

static int try_open(struct fixture *f, bool read_only)
{
    struct hf_lmdb_options opts = {
        .map_bytes = f->map_bytes, .max_readers = f->max_readers, .read_only = read_only};
    int rc = hf__lmdb_open(f->scratch.dir, &opts, &f->tier);

    if (rc == 0)
        f->ops = f->tier->ops;
    return rc;
}

static void open_tier(struct fixture *f)
{
    assert_ok(try_open(f, false));
}

static void close_tier(struct fixture *f)
{
    if (f->tier)
        f->ops->close(f->tier);
    f->tier = NULL;
}

static int setup_dir(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    scratch_make(&f->scratch);
    f->map_bytes = MAP_BYTES;
    *state = f;
    return 0;
}

static int setup(void **state)
{
    if (setup_dir(state) != 0)
        return -1;
    open_tier(*state);
    return 0;
}

static int setup_small(void **state)
{
    struct fixture *f;

    if (setup_dir(state) != 0)
        return -1;
    f = *state;
    f->map_bytes = SMALL_MAP_BYTES;
    open_tier(f);
    return 0;
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

static struct hf_local_txn *begin(struct fixture *f, uint64_t covered_lsn)
{
    struct hf_local_txn *txn;

    assert_int_equal(f->ops->txn_begin(f->tier, covered_lsn, &txn), 0);
    return txn;
}

static void commit(struct fixture *f, struct hf_local_txn *txn)
{
    assert_ok(f->ops->txn_commit(txn));
}

static struct hf_local_snap *snap(struct fixture *f)
{
    struct hf_local_snap *s;

    assert_int_equal(f->ops->snap_begin(f->tier, &s), 0);
    return s;
}

static int put_in(struct fixture *f, struct hf_local_txn *txn, struct hf_slice key, struct hf_slice value,
                  int64_t deadline_ms)
{
    struct hf_record record = {
        .value = value, .deadline_ms = deadline_ms, .made_ms = 7, .lsn = 9, .type = HF_TYPE_STRING};

    return f->ops->put(txn, key, &record);
}

static void put_one(struct fixture *f, struct hf_slice key, struct hf_slice value, int64_t deadline_ms)
{
    struct hf_local_txn *txn = begin(f, 1);

    assert_int_equal(put_in(f, txn, key, value, deadline_ms), 0);
    commit(f, txn);
}

static void drop(struct fixture *f, struct hf_slice key)
{
    struct hf_local_txn *txn = begin(f, 1);

    assert_int_equal(f->ops->remove(txn, key), 0);
    commit(f, txn);
}

static int get_code(struct fixture *f, struct hf_slice key)
{
    struct hf_local_snap *s = snap(f);
    struct hf_record record;
    int rc = f->ops->get(s, key, &record);

    f->ops->snap_end(s);
    return rc;
}

static void assert_slice(struct hf_slice s, struct hf_slice expected)
{
    assert_int_equal(s.len, expected.len);
    if (s.len > 0)
        assert_memory_equal(s.data, expected.data, s.len);
}

static void assert_found(struct fixture *f, struct hf_slice key, struct hf_slice expected)
{
    struct hf_local_snap *s = snap(f);
    struct hf_record record;

    assert_int_equal(f->ops->get(s, key, &record), 0);
    assert_slice(record.value, expected);
    f->ops->snap_end(s);
}

static struct hf_local_stats stats(struct fixture *f)
{
    struct hf_local_snap *s = snap(f);
    struct hf_local_stats result;

    assert_int_equal(f->ops->stats(s, &result), 0);
    f->ops->snap_end(s);
    return result;
}

static uint64_t count_expired(struct fixture *f, int64_t now_ms)
{
    struct hf_local_snap *s = snap(f);
    uint64_t count;

    assert_int_equal(f->ops->count_expired(s, now_ms, &count), 0);
    f->ops->snap_end(s);
    return count;
}

/* A key of `len` bytes that begins with `first` and goes on with the same letter; borrowed until the next call. */
static struct hf_slice long_key(char first, size_t len)
{
    static char bytes[HF_KEY_MAX + 1];

    memset(bytes, 'x', len);
    bytes[0] = first;
    return hf__slice(bytes, len);
}

/* ---- chance ---- */

static uint64_t random_state;

static uint64_t chance(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static size_t below(size_t n)
{
    return (size_t)(chance() >> 11) % n;
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

/* Change the first value of a table: flip bit 0 of byte `at`, or with `at` < 0 cut the value to -at - 1 bytes. With
 * `reseal` its checksum is made right again. Returns the length that the value had. */
static size_t raw_damage(struct fixture *f, const char *table, long at, bool reseal)
{
    struct raw_tier raw = raw_open(f->scratch.dir, table);
    static uint8_t bytes[1 << 16];
    MDB_cursor *cursor;
    MDB_val key;
    MDB_val value;
    size_t len;

    assert_int_equal(mdb_cursor_open(raw.txn, raw.dbi, &cursor), 0);
    assert_int_equal(mdb_cursor_get(cursor, &key, &value, MDB_FIRST), 0);
    len = value.mv_size;
    memcpy(bytes, value.mv_data, len);
    if (at >= 0)
        bytes[at] ^= 1;
    else
        value.mv_size = (size_t)(-at - 1);
    if (reseal)
        hf__lmdb_seal(hf__slice(key.mv_data, key.mv_size), bytes, value.mv_size);
    value.mv_data = bytes;
    assert_int_equal(mdb_cursor_put(cursor, &key, &value, 0), 0);
    mdb_cursor_close(cursor);
    raw_close(&raw);
    return len;
}

/* ---- records ---- */

static void test_lmdb__a_record_comes_back_as_it_was_stored(void **state)
{
    struct fixture *f = *state;
    struct hf_record record = {
        .value = hf__slice("a\0b", 3),
        .deadline_ms = 5,
        .made_ms = 6,
        .lsn = 7,
        .type = HF_TYPE_STRING,
        .flags = HF_RECORD_SHARED | HF_RECORD_UNSHARED,
    };
    size_t lengths[] = {1, 499, 500, 501, 511, 1000, 1001, 4096};

    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        struct hf_slice key = long_key('\0', lengths[i]);
        struct hf_local_txn *txn = begin(f, 1);
        struct hf_local_snap *s;
        struct hf_record found;

        assert_int_equal(f->ops->put(txn, key, &record), 0);
        commit(f, txn);
        close_tier(f);
        open_tier(f);
        s = snap(f);
        assert_int_equal(f->ops->get(s, key, &found), 0);
        assert_slice(found.value, record.value);
        assert_int_equal(found.deadline_ms, 5);
        assert_int_equal(found.made_ms, 6);
        assert_int_equal(found.lsn, 7);
        assert_int_equal(found.type, HF_TYPE_STRING);
        assert_int_equal(found.flags, record.flags);
        f->ops->snap_end(s);
    }
    assert_int_equal(stats(f).records, sizeof(lengths) / sizeof(lengths[0]));
}

static void test_lmdb__a_put_replaces_and_a_remove_removes(void **state)
{
    struct fixture *f = *state;
    struct hf_slice keys[] = {s_("short"), long_key('k', 1234)};

    for (size_t i = 0; i < 2; i++) {
        put_one(f, keys[i], s_("one"), 0);
        put_one(f, keys[i], s_(""), 0);
        assert_found(f, keys[i], s_(""));
        drop(f, keys[i]);
        assert_int_equal(get_code(f, keys[i]), HF_NOT_FOUND);
        drop(f, keys[i]);
    }
    assert_int_equal(stats(f).records, 0);
}

static void test_lmdb__a_large_value_comes_back(void **state)
{
    struct fixture *f = *state;
    struct hf_buf value = {.data = malloc(5 << 20), .len = 5 << 20};

    for (size_t i = 0; i < value.len; i++)
        ((uint8_t *)value.data)[i] = (uint8_t)(i * 31 >> 3);
    put_one(f, s_("large"), hf__slice(value.data, value.len), 0);
    assert_found(f, s_("large"), hf__slice(value.data, value.len));
    hf_buf_release(&value);
}

static void test_lmdb__lengths_out_of_bounds_are_refused(void **state)
{
    struct fixture *f = *state;
    struct hf_local_txn *txn = begin(f, 1);
    struct hf_local_snap *s = f->ops->txn_snap(txn);
    char bytes[HF_KEY_MAX + 1] = {0};
    struct hf_slice too_long = hf__slice(bytes, sizeof(bytes));
    struct hf_record record;
    struct hf_local_iter *iter;

    assert_int_equal(put_in(f, txn, s_(""), s_("v"), 0), HF_EINVAL);
    assert_int_equal(put_in(f, txn, too_long, s_("v"), 0), HF_EINVAL);
    assert_sentence("4097 bytes");
    assert_int_equal(put_in(f, txn, s_("k"), s_("v"), -1), HF_EINVAL);
    assert_int_equal(put_in(f, txn, s_("k"), hf__slice("", (size_t)HF_VALUE_MAX + 1), 0), HF_EINVAL);
    assert_int_equal(f->ops->get(s, too_long, &record), HF_EINVAL);
    assert_int_equal(f->ops->remove(txn, s_("")), HF_EINVAL);
    assert_int_equal(f->ops->iter_open(s, too_long, &iter), HF_EINVAL);
    commit(f, txn);
}

static void test_lmdb__a_failed_write_does_not_spoil_the_transaction(void **state)
{
    struct fixture *f = *state;
    struct hf_local_txn *txn = begin(f, 1);

    assert_int_equal(put_in(f, txn, s_(""), s_("v"), 0), HF_EINVAL);
    assert_int_equal(put_in(f, txn, s_("k"), s_("v"), 0), 0);
    commit(f, txn);
    assert_found(f, s_("k"), s_("v"));
}

static void test_lmdb__an_abort_leaves_nothing(void **state)
{
    struct fixture *f = *state;
    struct hf_local_txn *txn = begin(f, 99);
    struct hf_local_snap *s;

    assert_int_equal(put_in(f, txn, long_key('a', 2000), s_("v"), 3), 0);
    f->ops->txn_abort(txn);
    f->ops->txn_abort(NULL);
    s = snap(f);
    assert_int_equal(f->ops->snap_covered_lsn(s), 0);
    f->ops->snap_end(s);
    assert_int_equal(stats(f).records, 0);
    close_tier(f);
    assert_int_equal(raw_entries(f->scratch.dir, "chunks"), 0);
}

/* ---- damage ---- */

static void test_lmdb__every_flipped_byte_of_a_record_is_detected(void **state)
{
    struct fixture *f = *state;
    struct hf_slice keys[] = {s_("some key"), long_key('l', 700)};
    const char *tables[] = {"data", "long"};

    for (size_t i = 0; i < 2; i++) {
        size_t len = 40 + (i == 1 ? keys[1].len : 0) + 5;

        put_one(f, keys[i], s_("value"), 0);
        for (size_t at = 0; at < len; at += i == 1 ? 13 : 1) {
            close_tier(f);
            assert_int_equal(raw_damage(f, tables[i], (long)at, false), len);
            open_tier(f);
            assert_int_equal(get_code(f, keys[i]), HF_ECORRUPT);
            assert_sentence(i == 0 ? "\"some key\"" : "\"lxxx");
            close_tier(f);
            raw_damage(f, tables[i], (long)at, false); /* flip it back */
            open_tier(f);
            assert_found(f, keys[i], s_("value"));
        }
    }
}

static void test_lmdb__a_record_of_any_shorter_length_is_damaged(void **state)
{
    struct fixture *f = *state;

    for (long len = 0; len < 45; len++) {
        put_one(f, s_("k"), s_("value"), 0);
        close_tier(f);
        raw_damage(f, "data", -len - 1, false);
        open_tier(f);
        assert_int_equal(get_code(f, s_("k")), HF_ECORRUPT);
    }
}

static void test_lmdb__a_sealed_record_with_an_impossible_length_is_damaged(void **state)
{
    struct fixture *f = *state;

    for (long len = 9; len < 40; len++) {
        put_one(f, s_("k"), s_("value"), 0);
        close_tier(f);
        raw_damage(f, "data", -len - 1, true);
        open_tier(f);
        assert_int_equal(get_code(f, s_("k")), HF_ECORRUPT);
    }
}

static void test_lmdb__a_record_of_another_format_is_refused_as_such(void **state)
{
    struct fixture *f = *state;

    put_one(f, s_("k"), s_("value"), 0);
    close_tier(f);
    raw_damage(f, "data", 8, true); /* 1 becomes 0 */
    open_tier(f);
    assert_int_equal(get_code(f, s_("k")), HF_EVERSION);
    assert_sentence("\"k\" has format 0, this version reads 1");
}

static void test_lmdb__a_damaged_record_can_be_replaced_and_removed(void **state)
{
    struct fixture *f = *state;

    put_one(f, s_("k"), s_("value"), 1000);
    close_tier(f);
    raw_damage(f, "data", 17, false); /* its deadline */
    open_tier(f);
    assert_int_equal(get_code(f, s_("k")), HF_ECORRUPT);
    put_one(f, s_("k"), s_("new"), 0);
    assert_found(f, s_("k"), s_("new"));
    close_tier(f);
    raw_damage(f, "data", 40, false);
    open_tier(f);
    drop(f, s_("k"));
    assert_int_equal(get_code(f, s_("k")), HF_NOT_FOUND);
}

static void test_lmdb__a_walk_goes_on_behind_a_damaged_record(void **state)
{
    struct fixture *f = *state;
    struct hf_local_snap *s;
    struct hf_local_iter *iter;
    struct hf_record record;
    struct hf_slice key;

    put_one(f, s_("a"), s_("1"), 0);
    put_one(f, s_("b"), s_("2"), 0);
    close_tier(f);
    raw_damage(f, "data", 40, false);
    open_tier(f);
    s = snap(f);
    assert_int_equal(f->ops->iter_open(s, s_(""), &iter), 0);
    assert_int_equal(f->ops->iter_next(iter, &key, &record), HF_ECORRUPT);
    assert_sentence("\"a\"");
    assert_int_equal(f->ops->iter_next(iter, &key, &record), 0);
    assert_slice(key, s_("b"));
    assert_int_equal(f->ops->iter_next(iter, &key, &record), HF_NOT_FOUND);
    f->ops->iter_close(iter);
    f->ops->snap_end(s);
}

static struct hf_pending_row row_of(struct hf_slice key, uint64_t lsn)
{
    return (struct hf_pending_row){
        .key = key,
        .op = HF_PENDING_SET,
        .n_folded = 1,
        .first_lsn = lsn,
        .last_lsn = lsn,
        .first_made_ms = (int64_t)lsn * 10,
        .made_ms = (int64_t)lsn * 10,
        .value_len = 5,
    };
}

static void pend(struct fixture *f, struct hf_slice key, uint64_t lsn)
{
    struct hf_local_txn *txn = begin(f, 1);
    struct hf_pending_row row = row_of(key, lsn);

    assert_int_equal(f->ops->pending_put(txn, &row), 0);
    commit(f, txn);
}

static struct hf_lane_entry entry_of(struct hf_slice key, uint64_t lsn)
{
    return (struct hf_lane_entry){
        .lsn = lsn,
        .op = HF_LANE_INCR,
        .delta = -3,
        .made_ms = (int64_t)lsn * 10,
        .deadline_ms = 77,
        .key = key,
    };
}

static void lane(struct fixture *f, struct hf_slice key, uint64_t lsn)
{
    struct hf_local_txn *txn = begin(f, 1);
    struct hf_lane_entry entry = entry_of(key, lsn);

    assert_int_equal(f->ops->lane_put(txn, &entry), 0);
    commit(f, txn);
}

static void park(struct fixture *f, struct hf_slice key, uint64_t lsn, bool in_doubt)
{
    struct hf_local_txn *txn = begin(f, 1);
    struct hf_parked_row row = {.entry = entry_of(key, lsn), .in_doubt = in_doubt, .reason = s_("WRONGTYPE")};

    assert_int_equal(f->ops->parked_put(txn, &row), 0);
    commit(f, txn);
}

static void unpark(struct fixture *f, uint64_t lsn)
{
    struct hf_local_txn *txn = begin(f, 1);

    assert_int_equal(f->ops->parked_remove(txn, lsn), 0);
    commit(f, txn);
}

static int read_pending(struct fixture *f, struct hf_local_snap *s)
{
    struct hf_pending_row row;

    return f->ops->pending_next(s, 0, &row);
}

static int read_lane(struct fixture *f, struct hf_local_snap *s)
{
    struct hf_lane_entry entry;

    return f->ops->lane_next(s, 0, &entry);
}

static int read_lane_last(struct fixture *f, struct hf_local_snap *s)
{
    uint64_t lsn;

    return f->ops->lane_last(s, s_("k"), &lsn);
}

static int read_parked(struct fixture *f, struct hf_local_snap *s)
{
    struct hf_parked_row row;

    return f->ops->parked_next(s, 0, &row);
}

static int read_meta(struct fixture *f, struct hf_local_snap *s)
{
    struct hf_slice value;

    return f->ops->meta_get(s, s_("clock"), &value);
}

static int read_chunks(struct fixture *f, struct hf_local_snap *s)
{
    struct hf_record record;

    return f->ops->get(s, long_key('c', 501), &record);
}

static int walk_chunks(struct fixture *f, struct hf_local_snap *s)
{
    struct hf_local_iter *iter;
    struct hf_record record;
    struct hf_slice key;
    int rc = f->ops->iter_open(s, s_("b"), &iter);

    if (rc != 0)
        return rc;
    while ((rc = f->ops->iter_next(iter, &key, &record)) == 0)
        continue;
    f->ops->iter_close(iter);
    return rc == HF_NOT_FOUND ? 0 : rc;
}

static void test_lmdb__every_flipped_byte_of_other_entries_is_detected(void **state)
{
    static const struct {
        const char *table;
        int (*read)(struct fixture *f, struct hf_local_snap *s);
    } cases[] = {
        {"pending", read_pending},     {"lane", read_lane},
        {"lane_keys", read_lane_last}, {"parked", read_parked},
        {"meta", read_meta},           {"chunks", read_chunks},
        {"chunks", walk_chunks},       {"pending_order", read_pending},
    };
    struct fixture *f = *state;
    struct hf_local_txn *txn;

    pend(f, s_("k"), 3);
    lane(f, s_("k"), 4);
    park(f, s_("k"), 5, true);
    put_one(f, long_key('c', 501), s_("v"), 0);
    txn = begin(f, 1);
    assert_int_equal(f->ops->meta_put(txn, s_("clock"), s_("noon")), 0);
    commit(f, txn);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (size_t at = 0, len = 1; at < len; at++) {
            struct hf_local_snap *s;

            close_tier(f);
            len = raw_damage(f, cases[i].table, (long)at, false);
            open_tier(f);
            s = snap(f);
            assert_int_equal(cases[i].read(f, s), HF_ECORRUPT);
            f->ops->snap_end(s);
            close_tier(f);
            raw_damage(f, cases[i].table, (long)at, false);
            open_tier(f);
        }
    }
}

static void test_lmdb__a_damaged_state_is_refused_at_open(void **state)
{
    struct fixture *f = *state;
    struct raw_tier raw;
    MDB_val key = {.mv_data = "state", .mv_size = 5};
    MDB_val value = {.mv_data = "0123456789012345678901234567890123456789", .mv_size = 40};

    close_tier(f);
    raw = raw_open(f->scratch.dir, "meta");
    assert_int_equal(mdb_put(raw.txn, raw.dbi, &key, &value, 0), 0);
    raw_close(&raw);
    assert_int_equal(try_open(f, false), HF_ECORRUPT);
    assert_sentence("state entry is damaged");
}

/* ---- expiry ---- */

static size_t expired_keys(struct fixture *f, int64_t now_ms, char *names, size_t size)
{
    struct hf_local_txn *txn = begin(f, 1);
    struct hf_local_cursor cursor = {0};
    uint8_t key[HF_KEY_MAX];
    size_t len;
    size_t n = 0;
    int rc;

    names[0] = '\0';
    while ((rc = f->ops->expired_next(txn, now_ms, &cursor, key, &len)) == 0) {
        snprintf(names + strlen(names), size - strlen(names), "%c", key[0]);
        n++;
    }
    assert_int_equal(rc, HF_NOT_FOUND);
    commit(f, txn);
    return n;
}

static void test_lmdb__expired_keys_come_earliest_first(void **state)
{
    struct fixture *f = *state;
    char names[32];

    put_one(f, s_("c"), s_("v"), 300);
    put_one(f, long_key('a', 900), s_("v"), 100);
    put_one(f, s_("b"), s_("v"), 200);
    put_one(f, s_("n"), s_("v"), 0);
    assert_int_equal(expired_keys(f, 99, names, sizeof(names)), 0);
    assert_int_equal(expired_keys(f, 300, names, sizeof(names)), 3);
    assert_string_equal(names, "abc");
    assert_int_equal(expired_keys(f, 299, names, sizeof(names)), 2);
    assert_int_equal(count_expired(f, 299), 2);
    assert_int_equal(count_expired(f, 1000), 3);
    put_one(f, s_("b"), s_("v"), 400); /* moves it */
    put_one(f, long_key('a', 900), s_("v"), 0);
    drop(f, s_("c"));
    assert_int_equal(expired_keys(f, 1000, names, sizeof(names)), 1);
    assert_string_equal(names, "b");
}

static void test_lmdb__keys_may_be_removed_while_expired_ones_are_listed(void **state)
{
    struct fixture *f = *state;
    struct hf_local_txn *txn = begin(f, 1);
    struct hf_local_cursor cursor = {0};
    uint8_t key[HF_KEY_MAX];
    size_t len;
    int n = 0;

    for (int i = 0; i < 50; i++)
        assert_int_equal(put_in(f, txn, long_key((char)('A' + i), i % 2 ? 5 : 1200), s_("v"), 10 + i % 7), 0);
    while (f->ops->expired_next(txn, 100, &cursor, key, &len) == 0) {
        assert_int_equal(f->ops->remove(txn, hf__slice(key, len)), 0);
        n++;
    }
    commit(f, txn);
    assert_int_equal(n, 50);
    assert_int_equal(stats(f).records, 0);
    assert_int_equal(count_expired(f, INT64_MAX), 0);
}

static void test_lmdb__a_stale_index_entry_is_removed_and_a_damaged_record_left(void **state)
{
    struct fixture *f = *state;
    char names[32];

    put_one(f, s_("a"), s_("v"), 100);
    put_one(f, s_("b"), s_("v"), 200);
    close_tier(f);
    raw_damage(f, "data", 16, false); /* a's deadline becomes 101, and its checksum wrong */
    open_tier(f);
    assert_int_equal(expired_keys(f, 1000, names, sizeof(names)), 1);
    assert_string_equal(names, "b");
    assert_int_equal(count_expired(f, 1000), 2);
    put_one(f, s_("a"), s_("v"), 0); /* cannot know the entry under 100 */
    assert_int_equal(count_expired(f, 1000), 2);
    assert_int_equal(expired_keys(f, 1000, names, sizeof(names)), 1);
    assert_int_equal(count_expired(f, 1000), 1);
}

/* ---- order ---- */

#define N_ORDER 400

struct model_key {
    uint8_t bytes[HF_KEY_MAX];
    size_t len;
    bool held;
};

static int compare_keys(const void *a, const void *b)
{
    const struct model_key *x = a;
    const struct model_key *y = b;

    return hf__slice_cmp(hf__slice(x->bytes, x->len), hf__slice(y->bytes, y->len));
}

static size_t random_len(void)
{
    static const size_t edges[] = {1,    2,    499,  500,  501,  502,  503,  504,  510,  511,  512,  999, 1000,
                                   1001, 1003, 1006, 1499, 1500, 1501, 2000, 3500, 4000, 4001, 4095, 4096};

    return below(3) == 0 ? 1 + below(HF_KEY_MAX) : edges[below(sizeof(edges) / sizeof(edges[0]))];
}

/* Few different bytes, and many keys that go on from another one, so that prefixes meet at the edges. */
static void random_key(const struct model_key *others, size_t n_others, struct model_key *key)
{
    static const uint8_t letters[] = {0x00, 0x01, 'a', 0xff};
    size_t same = 0;

    key->len = random_len();
    if (n_others > 0 && below(5) != 0) {
        const struct model_key *other = &others[below(n_others)];

        same = other->len < key->len ? other->len : key->len;
        if (below(3) == 0)
            same = below(same + 1);
        memcpy(key->bytes, other->bytes, same);
    }
    for (size_t i = same; i < key->len; i++)
        key->bytes[i] = below(40) == 0 ? letters[below(4)] : 'a';
    key->held = true;
}

static size_t make_keys(struct model_key *keys, size_t n)
{
    size_t kept = 0;

    for (size_t i = 0; i < n; i++)
        random_key(keys, i, &keys[i]);
    qsort(keys, n, sizeof(keys[0]), compare_keys);
    for (size_t i = 0; i < n; i++)
        if (kept == 0 || compare_keys(&keys[kept - 1], &keys[i]) != 0)
            memmove(&keys[kept++], &keys[i], sizeof(keys[0]));
    return kept;
}

static void assert_walk(struct fixture *f, const struct model_key *keys, size_t n, struct hf_slice from)
{
    struct hf_local_snap *s = snap(f);
    struct hf_local_iter *iter;
    struct hf_record record;
    struct hf_slice key;

    assert_int_equal(f->ops->iter_open(s, from, &iter), 0);
    for (size_t i = 0; i < n; i++) {
        struct hf_slice expected = hf__slice(keys[i].bytes, keys[i].len);

        if (!keys[i].held || hf__slice_cmp(expected, from) < 0)
            continue;
        assert_int_equal(f->ops->iter_next(iter, &key, &record), 0);
        assert_slice(key, expected);
        assert_slice(record.value, hf__slice(expected.data, expected.len < 20 ? expected.len : 20));
    }
    assert_int_equal(f->ops->iter_next(iter, &key, &record), HF_NOT_FOUND);
    assert_int_equal(f->ops->iter_next(iter, &key, &record), HF_NOT_FOUND);
    f->ops->iter_close(iter);
    f->ops->snap_end(s);
}

static void assert_walks(struct fixture *f, const struct model_key *keys, size_t n)
{
    struct model_key from;

    assert_walk(f, keys, n, s_(""));
    for (int i = 0; i < 60; i++) {
        random_key(keys, n, &from);
        assert_walk(f, keys, n, hf__slice(from.bytes, from.len));
        from = keys[below(n)];
        assert_walk(f, keys, n, hf__slice(from.bytes, from.len));
    }
}

static void test_lmdb__short_and_long_keys_come_in_exact_order(void **state)
{
    struct fixture *f = *state;
    struct model_key *keys = calloc(N_ORDER, sizeof(*keys));
    struct hf_local_txn *txn = begin(f, 1);
    size_t n;

    seed();
    n = make_keys(keys, N_ORDER);
    for (size_t i = 0, at = below(n); i < n; i++, at = (at + 7919) % n) /* 7919 is prime: all are met */
        assert_int_equal(put_in(f, txn, hf__slice(keys[at].bytes, keys[at].len),
                                hf__slice(keys[at].bytes, keys[at].len < 20 ? keys[at].len : 20), 0),
                         0);
    commit(f, txn);
    assert_walks(f, keys, n);
    for (int round = 0; round < 4; round++) {
        txn = begin(f, 1);
        for (size_t i = 0; i < n; i++) {
            if (!keys[i].held || below(3) == 0)
                continue;
            assert_int_equal(f->ops->remove(txn, hf__slice(keys[i].bytes, keys[i].len)), 0);
            keys[i].held = false;
        }
        commit(f, txn);
        assert_walks(f, keys, n);
    }
    free(keys);
}

static void test_lmdb__removing_long_keys_leaves_no_links(void **state)
{
    struct fixture *f = *state;
    struct model_key *keys = calloc(N_ORDER, sizeof(*keys));
    struct hf_local_txn *txn = begin(f, 1);
    size_t n;

    seed();
    n = make_keys(keys, N_ORDER);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(put_in(f, txn, hf__slice(keys[i].bytes, keys[i].len), s_("v"), 5), 0);
    commit(f, txn);
    txn = begin(f, 1);
    for (size_t i = 0, at = below(n); i < n; i++, at = (at + 7919) % n)
        assert_int_equal(f->ops->remove(txn, hf__slice(keys[at].bytes, keys[at].len)), 0);
    commit(f, txn);
    close_tier(f);
    assert_int_equal(raw_entries(f->scratch.dir, "chunks"), 0);
    assert_int_equal(raw_entries(f->scratch.dir, "long"), 0);
    assert_int_equal(raw_entries(f->scratch.dir, "data"), 0);
    assert_int_equal(raw_entries(f->scratch.dir, "expiry"), 0);
    free(keys);
}

/* ---- pending ---- */

static void test_lmdb__a_pending_row_comes_back_as_it_was_stored(void **state)
{
    struct fixture *f = *state;
    struct hf_local_txn *txn = begin(f, 1);
    struct hf_local_snap *s = f->ops->txn_snap(txn);
    struct hf_pending_row found;
    struct hf_pending_row row = row_of(long_key('p', 4096), 12);

    row.op = HF_PENDING_TTL;
    row.n_own = HF_PENDING_OWN_MAX;
    row.n_folded = 3;
    row.last_lsn = 15;
    row.made_ms = 16;
    row.deadline_ms = 17;
    row.base = (struct hf_version_id){
        .kind = HF_VERSION_DIGEST, .digest = "0123456789012345678", .len = 4, .deadline_ms = 5};
    for (int i = 0; i < HF_PENDING_OWN_MAX; i++)
        row.own[i] = (struct hf_version_id){.kind = HF_VERSION_ABSENT, .len = (uint64_t)i, .deadline_ms = -i};
    assert_int_equal(f->ops->pending_put(txn, &row), 0);
    assert_int_equal(f->ops->pending_get(s, row.key, &found), 0);
    assert_slice(found.key, row.key);
    found.key = row.key;
    assert_int_equal(found.op, row.op);
    assert_int_equal(found.n_own, row.n_own);
    assert_int_equal(found.n_folded, row.n_folded);
    assert_int_equal(found.first_lsn, row.first_lsn);
    assert_int_equal(found.last_lsn, row.last_lsn);
    assert_int_equal(found.first_made_ms, row.first_made_ms);
    assert_int_equal(found.made_ms, row.made_ms);
    assert_int_equal(found.deadline_ms, row.deadline_ms);
    assert_int_equal(found.value_len, row.value_len);
    assert_memory_equal(found.base.digest, row.base.digest, HF_DIGEST_BYTES);
    assert_int_equal(found.base.kind, row.base.kind);
    assert_int_equal(found.base.len, row.base.len);
    assert_int_equal(found.base.deadline_ms, row.base.deadline_ms);
    for (int i = 0; i < HF_PENDING_OWN_MAX; i++) {
        assert_int_equal(found.own[i].kind, HF_VERSION_ABSENT);
        assert_int_equal(found.own[i].len, i);
        assert_int_equal(found.own[i].deadline_ms, -i);
    }
    row.n_own = HF_PENDING_OWN_MAX + 1;
    assert_int_equal(f->ops->pending_put(txn, &row), HF_EINVAL);
    f->ops->txn_abort(txn);
}

static void assert_pending(struct fixture *f, uint64_t from_lsn, struct hf_slice key, uint64_t first_lsn)
{
    struct hf_local_snap *s = snap(f);
    struct hf_pending_row row;

    assert_int_equal(f->ops->pending_next(s, from_lsn, &row), 0);
    assert_slice(row.key, key);
    assert_int_equal(row.first_lsn, first_lsn);
    f->ops->snap_end(s);
}

static void test_lmdb__a_row_that_is_written_again_keeps_its_place(void **state)
{
    struct fixture *f = *state;
    struct hf_local_snap *s;
    struct hf_pending_row row;

    pend(f, s_("b"), 10);
    pend(f, s_("a"), 20);
    pend(f, long_key('c', 600), 30);
    pend(f, s_("b"), 40);
    assert_pending(f, 0, s_("b"), 10);
    assert_pending(f, 11, s_("a"), 20);
    assert_pending(f, 21, long_key('c', 600), 30);
    s = snap(f);
    assert_int_equal(f->ops->pending_next(s, 31, &row), HF_NOT_FOUND);
    assert_int_equal(f->ops->pending_get(s, s_("b"), &row), 0);
    assert_int_equal(row.last_lsn, 40);
    f->ops->snap_end(s);
    assert_int_equal(stats(f).pending_rows, 3);
    assert_int_equal(stats(f).pending_bytes, 1 + 1 + 600 + 3 * 5);
    assert_int_equal(stats(f).oldest_pending_made_ms, 400);
}

static void test_lmdb__two_rows_cannot_begin_with_one_lsn(void **state)
{
    struct fixture *f = *state;
    struct hf_local_txn *txn;
    struct hf_pending_row row = row_of(s_("b"), 10);

    pend(f, s_("a"), 10);
    txn = begin(f, 1);
    assert_int_equal(f->ops->pending_put(txn, &row), HF_EINVAL);
    commit(f, txn);
    assert_int_equal(stats(f).pending_rows, 1);
}

static void test_lmdb__a_long_key_may_be_pending_without_a_record(void **state)
{
    struct fixture *f = *state;
    struct hf_local_txn *txn;

    put_one(f, long_key('a', 1500), s_("v"), 9);
    pend(f, long_key('a', 1500), 10);
    lane(f, long_key('a', 1500), 11);
    drop(f, long_key('a', 1500));
    assert_int_equal(get_code(f, long_key('a', 1500)), HF_NOT_FOUND);
    assert_pending(f, 0, long_key('a', 1500), 10);
    put_one(f, long_key('a', 1500), s_("w"), 9);
    assert_found(f, long_key('a', 1500), s_("w"));
    assert_pending(f, 0, long_key('a', 1500), 10);
    drop(f, long_key('a', 1500));
    txn = begin(f, 1);
    assert_int_equal(f->ops->pending_remove(txn, long_key('a', 1500), UINT64_MAX), 0);
    assert_int_equal(f->ops->pending_remove(txn, long_key('a', 1500), UINT64_MAX), HF_NOT_FOUND);
    commit(f, txn);
    assert_int_equal(stats(f).pending_bytes, 0);
    close_tier(f);
    assert_int_equal(raw_entries(f->scratch.dir, "chunks"), 3); /* the lane still refers to it */
    open_tier(f);
    txn = begin(f, 1);
    assert_int_equal(f->ops->lane_remove(txn, 11), 0);
    commit(f, txn);
    close_tier(f);
    assert_int_equal(raw_entries(f->scratch.dir, "chunks"), 0);
    assert_int_equal(raw_entries(f->scratch.dir, "pending_order"), 0);
}

/* ---- lanes and the parked list ---- */

static void assert_lane_last(struct fixture *f, struct hf_slice key, uint64_t lsn)
{
    struct hf_local_snap *s = snap(f);
    uint64_t last = 0;

    assert_int_equal(f->ops->lane_last(s, key, &last), lsn == 0 ? HF_NOT_FOUND : 0);
    assert_int_equal(last, lsn);
    f->ops->snap_end(s);
}

static void unlane(struct fixture *f, uint64_t lsn)
{
    struct hf_local_txn *txn = begin(f, 1);

    assert_int_equal(f->ops->lane_remove(txn, lsn), 0);
    commit(f, txn);
}

static void test_lmdb__lane_entries_of_a_key_are_counted(void **state)
{
    struct fixture *f = *state;

    for (int i = 0; i < 2; i++) {
        struct hf_slice key = long_key('k', i == 0 ? 3 : 2222);

        lane(f, key, 5);
        lane(f, key, 9);
        lane(f, key, 7);
        lane(f, s_("other"), 8);
        lane(f, key, 9); /* again: the same entry */
        assert_lane_last(f, key, 9);
        unlane(f, 5);
        unlane(f, 5);
        assert_lane_last(f, key, 9);
        unlane(f, 9); /* out of order: the next lower one is the last now */
        assert_lane_last(f, key, 7);
        unlane(f, 7);
        assert_lane_last(f, key, 0);
        assert_lane_last(f, s_("other"), 8);
        unlane(f, 8);
    }
    assert_int_equal(stats(f).lane_entries, 0);
}

static void test_lmdb__a_lane_entry_comes_back_as_it_was_stored(void **state)
{
    struct fixture *f = *state;
    struct hf_local_txn *txn = begin(f, 1);
    struct hf_local_snap *s = f->ops->txn_snap(txn);
    struct hf_lane_entry found;
    struct hf_lane_entry entry = {
        .lsn = 1ull << 40,
        .op = HF_LANE_SET,
        .flags = HF_LANE_MORE,
        .delta = INT64_MIN,
        .made_ms = 3,
        .deadline_ms = 4,
        .key = s_("key"),
        .value = hf__slice("v\0", 2),
    };

    assert_int_equal(f->ops->lane_put(txn, &entry), 0);
    entry.flags |= HF_LANE_SENT;
    assert_int_equal(f->ops->lane_put(txn, &entry), 0);
    assert_int_equal(f->ops->lane_next(s, 5, &found), 0);
    assert_int_equal(found.lsn, entry.lsn);
    assert_int_equal(found.op, entry.op);
    assert_int_equal(found.flags, HF_LANE_MORE | HF_LANE_SENT);
    assert_true(found.delta == entry.delta);
    assert_int_equal(found.made_ms, 3);
    assert_int_equal(found.deadline_ms, 4);
    assert_slice(found.key, entry.key);
    assert_slice(found.value, entry.value);
    assert_int_equal(f->ops->lane_next(s, found.lsn + 1, &found), HF_NOT_FOUND);
    entry.key = s_("another");
    assert_int_equal(f->ops->lane_put(txn, &entry), HF_EINVAL);
    f->ops->txn_abort(txn);
}

static void test_lmdb__parked_entries_keep_their_reason_and_are_counted(void **state)
{
    struct fixture *f = *state;
    struct hf_local_snap *s;
    struct hf_parked_row row;

    park(f, long_key('p', 3000), 3, true);
    park(f, s_("q"), 2, true);
    park(f, s_("q"), 2, false); /* decided */
    assert_int_equal(stats(f).parked, 2);
    assert_int_equal(stats(f).in_doubt, 1);
    s = snap(f);
    assert_int_equal(f->ops->parked_next(s, 0, &row), 0);
    assert_slice(row.entry.key, s_("q"));
    assert_false(row.in_doubt);
    assert_int_equal(f->ops->parked_next(s, 3, &row), 0);
    assert_slice(row.reason, s_("WRONGTYPE"));
    assert_slice(row.entry.key, long_key('p', 3000));
    assert_int_equal(row.entry.delta, -3);
    assert_true(row.in_doubt);
    assert_int_equal(f->ops->parked_next(s, 4, &row), HF_NOT_FOUND);
    f->ops->snap_end(s);
    unpark(f, 3);
    unpark(f, 3);
    assert_int_equal(stats(f).parked, 1);
    assert_int_equal(stats(f).in_doubt, 0);
}

/* ---- meta, covered LSN ---- */

static void test_lmdb__named_values_last_and_an_empty_one_removes(void **state)
{
    struct fixture *f = *state;
    struct hf_local_txn *txn = begin(f, 1);
    struct hf_local_snap *s;
    struct hf_slice value;

    assert_int_equal(f->ops->meta_put(txn, s_("state"), s_("not the tier's own")), 0);
    assert_int_equal(f->ops->meta_put(txn, s_("epoch"), s_("e1")), 0);
    assert_int_equal(f->ops->meta_put(txn, s_("epoch"), s_("e2")), 0);
    assert_int_equal(f->ops->meta_put(txn, s_(""), s_("x")), HF_EINVAL);
    assert_int_equal(f->ops->meta_put(txn, long_key('n', 500), s_("x")), 0);
    assert_int_equal(f->ops->meta_put(txn, long_key('n', 501), s_("x")), HF_EINVAL);
    commit(f, txn);
    close_tier(f);
    open_tier(f);
    s = snap(f);
    assert_int_equal(f->ops->meta_get(s, s_("state"), &value), 0);
    assert_slice(value, s_("not the tier's own"));
    assert_int_equal(f->ops->meta_get(s, s_("epoch"), &value), 0);
    assert_slice(value, s_("e2"));
    assert_int_equal(f->ops->meta_get(s, long_key('n', 500), &value), 0);
    assert_slice(value, s_("x"));
    f->ops->snap_end(s);
    txn = begin(f, 1);
    assert_int_equal(f->ops->meta_put(txn, s_("epoch"), s_("")), 0);
    assert_int_equal(f->ops->meta_put(txn, s_("epoch"), s_("")), 0);
    assert_int_equal(f->ops->meta_get(f->ops->txn_snap(txn), s_("epoch"), &value), HF_NOT_FOUND);
    commit(f, txn);
}

static void test_lmdb__the_covered_lsn_goes_with_the_transaction(void **state)
{
    struct fixture *f = *state;
    struct hf_local_snap *before = snap(f);
    struct hf_local_txn *txn = begin(f, 41);
    struct hf_local_snap *after;

    assert_int_equal(f->ops->snap_covered_lsn(f->ops->txn_snap(txn)), 41);
    commit(f, txn);
    after = snap(f);
    assert_int_equal(f->ops->snap_covered_lsn(before), 0);
    assert_int_equal(f->ops->snap_covered_lsn(after), 41);
    f->ops->snap_end(before);
    f->ops->snap_end(after);
    f->ops->snap_end(NULL);
    close_tier(f);
    open_tier(f);
    after = snap(f);
    assert_int_equal(f->ops->snap_covered_lsn(after), 41);
    f->ops->snap_end(after);
}

/* ---- snapshots ---- */

static void test_lmdb__a_snapshot_does_not_see_a_later_commit(void **state)
{
    struct fixture *f = *state;
    struct hf_local_snap *s;
    struct hf_record record;

    put_one(f, s_("k"), s_("old"), 0);
    s = snap(f);
    put_one(f, s_("k"), s_("new"), 0);
    drop(f, s_("never there"));
    for (int i = 0; i < 100; i++)
        put_one(f, s_("filler"), s_("x"), i);
    assert_int_equal(f->ops->get(s, s_("k"), &record), 0);
    assert_slice(record.value, s_("old"));
    assert_int_equal(f->ops->get(s, s_("filler"), &record), HF_NOT_FOUND);
    f->ops->snap_end(s);
    assert_found(f, s_("k"), s_("new"));
}

static void test_lmdb__a_transaction_sees_its_own_writes(void **state)
{
    struct fixture *f = *state;
    struct hf_local_txn *txn = begin(f, 1);
    struct hf_local_snap *s = f->ops->txn_snap(txn);
    struct hf_local_stats st;
    struct hf_record record;

    assert_int_equal(put_in(f, txn, long_key('a', 800), s_("v"), 0), 0);
    assert_int_equal(f->ops->get(s, long_key('a', 800), &record), 0);
    assert_int_equal(f->ops->stats(s, &st), 0);
    assert_int_equal(st.records, 1);
    assert_int_equal(get_code(f, long_key('a', 800)), HF_NOT_FOUND);
    f->ops->txn_abort(txn);
}

struct reader {
    struct fixture *f;
    atomic_bool *stop;
    uint64_t n_reads;
    bool wrong;
};

/* Both keys are always written together, so no snapshot may show them different. */
static void *read_pairs(void *ctx)
{
    struct reader *reader = ctx;
    const struct hf_local_ops *ops = reader->f->ops;

    while (!atomic_load(reader->stop)) {
        struct hf_local_snap *s;
        struct hf_record a;
        struct hf_record b;

        if (ops->snap_begin(reader->f->tier, &s) != 0 || ops->get(s, hf__slice("a", 1), &a) != 0 ||
            ops->get(s, hf__slice("b", 1), &b) != 0 || !hf__slice_eq(a.value, b.value)) {
            reader->wrong = true;
            break;
        }
        ops->snap_end(s);
        reader->n_reads++;
    }
    return NULL;
}

static void write_pair(struct fixture *f, uint64_t number)
{
    struct hf_local_txn *txn = begin(f, number);

    assert_int_equal(put_in(f, txn, s_("a"), hf__slice(&number, sizeof(number)), 0), 0);
    assert_int_equal(put_in(f, txn, s_("b"), hf__slice(&number, sizeof(number)), 0), 0);
    commit(f, txn);
}

static void test_lmdb__threads_share_snapshots_beside_the_writer(void **state)
{
    enum { N = 6 };
    struct fixture *f = *state;
    struct reader readers[N];
    pthread_t threads[N];
    atomic_bool stop = false;

    write_pair(f, 0);
    for (int i = 0; i < N; i++) {
        readers[i] = (struct reader){.f = f, .stop = &stop};
        assert_int_equal(pthread_create(&threads[i], NULL, read_pairs, &readers[i]), 0);
    }
    for (uint64_t i = 1; i <= 300; i++)
        write_pair(f, i);
    atomic_store(&stop, true);
    for (int i = 0; i < N; i++) {
        pthread_join(threads[i], NULL);
        assert_false(readers[i].wrong);
    }
}

static void test_lmdb__too_many_snapshots_are_busy_and_not_an_error_for_ever(void **state)
{
    struct fixture *f = *state;
    struct hf_local_snap *snaps[9];
    int n = 0;
    int rc;

    f->max_readers = 8;
    open_tier(f);
    while ((rc = f->ops->snap_begin(f->tier, &snaps[n])) == 0 && n < 8)
        n++;
    assert_int_equal(rc, HF_EBUSY);
    assert_int_equal(n, 8);
    f->ops->snap_end(snaps[--n]);
    assert_int_equal(f->ops->snap_begin(f->tier, &snaps[n]), 0);
    n++;
    while (n > 0)
        f->ops->snap_end(snaps[--n]);
}

/* ---- opening ---- */

static void test_lmdb__another_format_is_refused(void **state)
{
    struct fixture *f = *state;
    struct raw_tier raw;
    MDB_val key = {.mv_data = "format", .mv_size = 6};
    MDB_val value = {.mv_data = "\7\0\0\0", .mv_size = 4};

    close_tier(f);
    raw = raw_open(f->scratch.dir, "meta");
    assert_int_equal(mdb_put(raw.txn, raw.dbi, &key, &value, 0), 0);
    raw_close(&raw);
    assert_int_equal(try_open(f, false), HF_EVERSION);
    assert_sentence("holds format 7, this version reads 4");
    assert_int_equal(try_open(f, true), HF_EVERSION);
    value.mv_size = 3;
    raw = raw_open(f->scratch.dir, "meta");
    assert_int_equal(mdb_put(raw.txn, raw.dbi, &key, &value, 0), 0);
    raw_close(&raw);
    assert_int_equal(try_open(f, false), HF_ECORRUPT);
}

static mode_t mode_of(struct fixture *f, const char *name)
{
    char path[96];
    struct stat st;

    snprintf(path, sizeof(path), "%s/%s", f->scratch.dir, name);
    assert_int_equal(stat(path, &st), 0);
    return st.st_mode & 0777;
}

static void test_lmdb__files_are_private(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(mode_of(f, "lmdb"), 0700);
    assert_int_equal(mode_of(f, "lmdb/data.mdb"), 0600);
    assert_int_equal(mode_of(f, "lmdb/lock.mdb"), 0600);
}

static void path_in(struct fixture *f, const char *name, char *path, size_t size)
{
    snprintf(path, size, "%s/%s", f->scratch.dir, name);
}

static void test_lmdb__what_a_crash_left_of_a_creation_is_cleared(void **state)
{
    struct fixture *f = *state;
    char path[96];
    int fd;

    path_in(f, "lmdb.new", path, sizeof(path));
    assert_int_equal(mkdir(path, 0700), 0);
    path_in(f, "lmdb.new/data.mdb", path, sizeof(path));
    fd = open(path, O_WRONLY | O_CREAT, 0600);
    assert_int_equal(write(fd, "half a page", 11), 11);
    close(fd);
    open_tier(f);
    put_one(f, s_("k"), s_("v"), 0);
    path_in(f, "lmdb.new", path, sizeof(path));
    assert_int_equal(access(path, F_OK), -1);
}

static void test_lmdb__a_lost_or_strange_file_is_damage(void **state)
{
    struct fixture *f = *state;
    char path[96];

    path_in(f, "lmdb/data.mdb", path, sizeof(path));
    close_tier(f);
    assert_int_equal(truncate(path, 0), 0);
    assert_int_equal(try_open(f, false), HF_ECORRUPT);
    assert_sentence("is empty");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(try_open(f, false), HF_ECORRUPT);
    assert_sentence("is missing");
    assert_int_equal(try_open(f, true), HF_ECORRUPT);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(try_open(f, false), HF_ECORRUPT);
    assert_sentence("regular file");
}

static off_t size_of(const char *path)
{
    struct stat st;

    assert_int_equal(stat(path, &st), 0);
    return st.st_size;
}

static void test_lmdb__a_cut_file_is_damage_and_stays_as_it_is(void **state)
{
    struct fixture *f = *state;
    char path[96];
    off_t whole;

    for (int i = 0; i < 50; i++)
        put_one(f, long_key((char)('A' + i), 300), long_key('v', 4000), 0);
    close_tier(f);
    path_in(f, "lmdb/data.mdb", path, sizeof(path));
    whole = size_of(path);
    for (off_t size = 8192; size < whole; size += 3 * 4096 + 100) {
        int fd = open(path, O_RDWR);
        char *copy = malloc((size_t)whole);

        assert_int_equal(pread(fd, copy, (size_t)whole, 0), whole);
        assert_int_equal(ftruncate(fd, size), 0);
        assert_int_equal(try_open(f, true), HF_ECORRUPT);
        assert_int_equal(try_open(f, false), HF_ECORRUPT);
        assert_sentence("was cut");
        assert_int_equal(size_of(path), size);
        assert_int_equal(pwrite(fd, copy, (size_t)whole, 0), whole);
        free(copy);
        close(fd);
    }
    open_tier(f);
    assert_int_equal(stats(f).records, 50);
}

static void test_lmdb__a_file_that_lacks_only_free_pages_is_whole(void **state)
{
    struct fixture *f = *state;
    struct hf_buf value = {.data = calloc(1, 1 << 20), .len = 1 << 20};
    struct hf_local_txn *txn;
    char path[96];
    off_t whole;

    for (int i = 0; i < 100; i++) /* until LMDB reuses pages */
        put_one(f, long_key('k', 1 + (size_t)i % 50), long_key('v', 3000), 0);
    put_one(f, s_("k"), s_("v"), 0);
    path_in(f, "lmdb/data.mdb", path, sizeof(path));
    whole = size_of(path);
    txn = begin(f, 1); /* pages at the end are taken and given back: LMDB never writes them */
    assert_int_equal(f->ops->remove(txn, long_key('k', 9)), 0);
    assert_int_equal(put_in(f, txn, s_("large"), hf__slice(value.data, value.len), 0), 0);
    assert_int_equal(f->ops->remove(txn, s_("large")), 0);
    commit(f, txn);
    assert_true(size_of(path) > whole + (off_t)value.len); /* the owner has covered them */
    close_tier(f);
    assert_int_equal(truncate(path, whole), 0); /* as if it had crashed before */
    open_tier(f);
    assert_found(f, s_("k"), s_("v"));
    assert_true(size_of(path) > whole + (off_t)value.len);
    hf_buf_release(&value);
}

static void test_lmdb__impossible_options_are_refused(void **state)
{
    struct fixture *f = *state;

    f->map_bytes = HF_LMDB_MAP_MIN - 1;
    assert_int_equal(try_open(f, false), HF_EINVAL);
    f->map_bytes = UINT64_MAX;
    assert_int_equal(try_open(f, false), HF_EINVAL);
    assert_int_equal(hf__lmdb_open(f->scratch.store, NULL, &f->tier), HF_EIO);
    f->map_bytes = MAP_BYTES;
    assert_int_equal(try_open(f, true), HF_NOT_FOUND);
    assert_int_equal(hf__lmdb_open(f->scratch.dir, NULL, &f->tier), 0); /* defaults */
    f->ops = f->tier->ops;
    assert_int_equal(stats(f).max_bytes, HF_MAX_DISK_DEFAULT);
}

/* ---- a second process ---- */

/* Two processes that take turns: each waits for the other's byte. */
struct turns {
    int to_child[2];
    int to_parent[2];
};

static void pass(int fd)
{
    if (write(fd, "x", 1) != 1)
        _exit(99);
}

static void await(int fd)
{
    char byte;

    if (read(fd, &byte, 1) != 1)
        _exit(98);
}

typedef void child_fn(struct fixture *f, struct turns *turns);

/* Run `child` in a process of its own; it must leave by _exit. */
static pid_t spawn(struct fixture *f, struct turns *turns, child_fn *child)
{
    pid_t pid;

    assert_int_equal(pipe(turns->to_child), 0);
    assert_int_equal(pipe(turns->to_parent), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(turns->to_child[1]);
        close(turns->to_parent[0]);
        child(f, turns);
        _exit(97);
    }
    close(turns->to_child[0]);
    close(turns->to_parent[1]);
    return pid;
}

static void join(pid_t pid, struct turns *turns)
{
    int status;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    close(turns->to_child[1]);
    close(turns->to_parent[0]);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

#define CHILD_CHECK(condition)                                                                                     \
    do {                                                                                                           \
        if (!(condition))                                                                                          \
            _exit(__LINE__ % 90 + 1);                                                                              \
    } while (0)

static bool child_sees(struct fixture *f, const char *key, const char *value)
{
    struct hf_local_snap *s;
    struct hf_record record;
    bool same;

    if (f->ops->snap_begin(f->tier, &s) != 0)
        return false;
    same = f->ops->get(s, hf__slice_str(key), &record) == 0 && hf__slice_eq(record.value, hf__slice_str(value));
    f->ops->snap_end(s);
    return same;
}

static void read_beside_owner(struct fixture *f, struct turns *turns)
{
    struct hf_local_txn *txn;

    CHILD_CHECK(try_open(f, true) == HF_NOT_FOUND);
    pass(turns->to_parent[1]);
    await(turns->to_child[0]);
    CHILD_CHECK(try_open(f, true) == 0);
    CHILD_CHECK(child_sees(f, "k", "one"));
    CHILD_CHECK(f->ops->txn_begin(f->tier, 1, &txn) == HF_EREADONLY);
    pass(turns->to_parent[1]);
    await(turns->to_child[0]);
    CHILD_CHECK(child_sees(f, "k", "two"));
    close_tier(f);
    _exit(0);
}

static void test_lmdb__a_second_process_reads_beside_the_owner(void **state)
{
    struct fixture *f = *state;
    struct turns turns;
    pid_t pid = spawn(f, &turns, read_beside_owner);

    await(turns.to_parent[0]);
    open_tier(f);
    put_one(f, s_("k"), s_("one"), 0);
    pass(turns.to_child[1]);
    await(turns.to_parent[0]);
    put_one(f, s_("k"), s_("two"), 0);
    pass(turns.to_child[1]);
    join(pid, &turns);
}

static void read_while_growing(struct fixture *f, struct turns *turns)
{
    struct hf_local_snap *held;
    struct hf_local_snap *s;
    struct hf_record record;

    await(turns->to_child[0]);
    CHILD_CHECK(try_open(f, true) == 0);
    CHILD_CHECK(child_sees(f, "k", "one"));
    CHILD_CHECK(f->ops->snap_begin(f->tier, &held) == 0);
    pass(turns->to_parent[1]);
    await(turns->to_child[0]);
    CHILD_CHECK(f->ops->snap_begin(f->tier, &s) == HF_EBUSY); /* cannot move the map under the held one */
    CHILD_CHECK(f->ops->get(held, hf__slice("k", 1), &record) == 0);
    f->ops->snap_end(held);
    CHILD_CHECK(child_sees(f, "k", "two"));
    CHILD_CHECK(child_sees(f, "K99", "filler"));
    close_tier(f);
    _exit(0);
}

static void test_lmdb__a_reader_follows_when_the_owner_enlarges_the_map(void **state)
{
    struct fixture *f = *state;
    struct turns turns;
    pid_t pid = spawn(f, &turns, read_while_growing);
    struct hf_local_txn *txn;
    static char large[100000];

    f->map_bytes = HF_LMDB_MAP_MIN;
    open_tier(f);
    put_one(f, s_("k"), s_("one"), 0);
    pass(turns.to_child[1]);
    await(turns.to_parent[0]);
    close_tier(f);
    f->map_bytes = MAP_BYTES;
    open_tier(f);
    for (int i = 0; i < 40; i++) {
        char key[16];

        snprintf(key, sizeof(key), "L%d", i);
        put_one(f, s_(key), hf__slice(large, sizeof(large)), 0);
    }
    txn = begin(f, 1);
    assert_int_equal(put_in(f, txn, s_("k"), s_("two"), 0), 0);
    assert_int_equal(put_in(f, txn, s_("K99"), s_("filler"), 0), 0);
    commit(f, txn);
    pass(turns.to_child[1]);
    join(pid, &turns);
}

static void hold_and_die(struct fixture *f, struct turns *turns)
{
    struct hf_local_snap *s;

    await(turns->to_child[0]);
    CHILD_CHECK(try_open(f, true) == 0);
    CHILD_CHECK(f->ops->snap_begin(f->tier, &s) == 0);
    pass(turns->to_parent[1]);
    await(turns->to_child[0]);
    _exit(0); /* without ending the snapshot */
}

static void overwrite(struct fixture *f, int times)
{
    static char value[20000];

    for (int i = 0; i < times; i++)
        put_one(f, s_("k"), hf__slice(value, sizeof(value)), 0);
}

static void test_lmdb__a_dead_reader_does_not_fill_the_map(void **state)
{
    struct fixture *f = *state;
    struct turns turns;
    pid_t pid = spawn(f, &turns, hold_and_die);

    f->map_bytes = SMALL_MAP_BYTES;
    open_tier(f);
    overwrite(f, 3);
    pass(turns.to_child[1]);
    await(turns.to_parent[0]);
    overwrite(f, 50);
    pass(turns.to_child[1]);
    join(pid, &turns);
    overwrite(f, 500); /* ten megabytes through a map of four */
}

/* ---- a full map ---- */

/* No run of free pages was long enough for a large value: then nothing of the transaction is stored. Returns how many
 * records are, of which `from` were there before. */
static int give_up(struct fixture *f, struct hf_local_txn *txn, int n, int per_txn, int from)
{
    assert_sentence("MDB_MAP_FULL");
    assert_int_equal(f->ops->txn_commit(txn), HF_EFULL);
    return from + (n - from) / per_txn * per_txn;
}

/* Put records of `len` bytes, `per_txn` in a transaction, until one is refused; returns how many are stored. */
static int fill(struct fixture *f, int from, size_t len, int per_txn)
{
    char *value = calloc(1, len);
    int n = from;
    int rc = 0;

    while (rc == 0) {
        struct hf_local_txn *txn = begin(f, 1);

        for (int i = 0; i < per_txn && rc == 0; i++) {
            char key[32];

            snprintf(key, sizeof(key), "key %08d", n);
            rc = put_in(f, txn, s_(key), hf__slice(value, len), 1 + n % 100);
            n += rc == 0;
        }
        assert_true(n < 1000000);
        if (rc == 0 || strstr(hf_errmsg(), "reserve"))
            commit(f, txn);
        else
            n = give_up(f, txn, n, per_txn, from);
    }
    assert_int_equal(rc, HF_EFULL);
    free(value);
    return n;
}

static void clear(struct fixture *f, int from, int to, int per_txn)
{
    for (int n = from; n < to;) {
        struct hf_local_txn *txn = begin(f, 1);

        for (int i = 0; i < per_txn && n < to; i++, n++) {
            char key[32];

            snprintf(key, sizeof(key), "key %08d", n);
            assert_int_equal(f->ops->remove(txn, s_(key)), 0);
        }
        commit(f, txn);
    }
}

static void test_lmdb__a_full_map_refuses_records_and_still_removes(void **state)
{
    static const struct {
        size_t len;
        int per_txn;
    } cases[] = {{100, 1000}, {100, 7}, {1000, 100}, {9000, 10}, {300000, 1}};
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int first = fill(f, 0, cases[i].len, cases[i].per_txn);
        int again;

        assert_true(stats(f).used_bytes > SMALL_MAP_BYTES / 2);
        assert_true(stats(f).used_bytes <= SMALL_MAP_BYTES - SMALL_MAP_BYTES / 16);
        assert_int_equal(stats(f).records, first);
        clear(f, first / 2, first, 20);
        again = fill(f, first / 2, cases[i].len, cases[i].per_txn);
        print_message("%zu-byte values: %d, after removing half %d\n", cases[i].len, first, again);
        assert_true(again > first * 8 / 10);
        clear(f, 0, again, 20);
        assert_int_equal(stats(f).records, 0);
    }
}

static void test_lmdb__a_full_map_still_clears_what_is_pending(void **state)
{
    struct fixture *f = *state;
    int n = fill(f, 0, 1000, 50);
    uint64_t lsn = 0;
    int rc = 0;

    while (rc == 0) { /* deletes made offline go on, each with a row */
        struct hf_local_txn *txn = begin(f, 1);

        for (int i = 0; i < 10 && rc == 0; i++) {
            char key[32];
            struct hf_pending_row row;

            snprintf(key, sizeof(key), "not held %llu", (unsigned long long)++lsn);
            row = row_of(s_(key), lsn);
            row.op = HF_PENDING_DELETE;
            rc = f->ops->pending_put(txn, &row);
        }
        commit(f, txn);
    }
    assert_int_equal(rc, HF_EFULL);
    assert_true(lsn > 50);
    for (uint64_t at = 1; at < lsn; at++) { /* acknowledged one by one */
        struct hf_local_txn *txn = begin(f, 1);
        char key[32];

        snprintf(key, sizeof(key), "not held %llu", (unsigned long long)at);
        assert_int_equal(f->ops->pending_remove(txn, s_(key), UINT64_MAX), 0);
        commit(f, txn);
    }
    assert_int_equal(stats(f).pending_rows, 0);
    clear(f, 0, n, 20);
}

static struct hf_slice numbered(char text[32], uint64_t n)
{
    snprintf(text, 32, "row %llu", (unsigned long long)n);
    return s_(text);
}

static void unpend(struct fixture *f, uint64_t n)
{
    struct hf_local_txn *txn = begin(f, 1);
    char key[32];

    assert_int_equal(f->ops->pending_remove(txn, numbered(key, n), UINT64_MAX), 0);
    commit(f, txn);
}

/* Rows come and go behind one that stays: what they leave in the order is passed over, and does not pile up. */
static void test_lmdb__places_that_rows_left_behind_do_not_count_and_do_not_pile_up(void **state)
{
    struct fixture *f = *state;
    struct hf_pending_row row;
    struct hf_local_snap *s;
    char key[32];

    pend(f, numbered(key, 1), 1);
    for (uint64_t n = 2; n < 1000; n += 2) {
        pend(f, numbered(key, n), n);
        pend(f, numbered(key, n + 1), n + 1);
        unpend(f, n);
        s = snap(f);
        assert_int_equal(f->ops->pending_next(s, 2, &row), 0);
        assert_int_equal(row.first_lsn, n + 1);
        assert_int_equal(f->ops->pending_next(s, 0, &row), 0);
        assert_int_equal(row.first_lsn, 1);
        f->ops->snap_end(s);
        unpend(f, n + 1);
    }
    assert_int_equal(stats(f).pending_rows, 1);
    close_tier(f);
    assert_in_range(raw_entries(f->scratch.dir, "pending_order"), 1, 100);
    open_tier(f);
    unpend(f, 1);
    close_tier(f);
    assert_int_equal(raw_entries(f->scratch.dir, "pending_order"), 0);
    open_tier(f);
}

/* Who looks at it is told; the rows that come meanwhile pass it by. */
static void test_lmdb__a_damaged_place_keeps_no_row_out(void **state)
{
    struct fixture *f = *state;
    struct hf_pending_row row;
    struct hf_local_snap *s;
    char key[32];

    for (uint64_t n = 1; n <= 3; n++)
        pend(f, numbered(key, n), n);
    unpend(f, 2); /* what it leaves is to be cleared */
    close_tier(f);
    raw_damage(f, "pending_order", 0, false);
    open_tier(f);
    pend(f, numbered(key, 4), 4);
    s = snap(f);
    assert_int_equal(f->ops->pending_next(s, 0, &row), HF_ECORRUPT);
    assert_int_equal(f->ops->pending_next(s, 2, &row), 0);
    assert_int_equal(row.first_lsn, 3);
    assert_int_equal(f->ops->pending_next(s, 4, &row), 0);
    f->ops->snap_end(s);
    close_tier(f);
    assert_int_equal(raw_entries(f->scratch.dir, "pending_order"), 3);
    open_tier(f);
}

/* Two keys that wait. */
static void assert_oldest(struct fixture *f, uint64_t lsn, unsigned n_readable)
{
    struct hf_local_snap *s = snap(f);
    struct hf_local_cursor cursor = {0};
    struct hf_local_stats stats;
    struct hf_pending_row row;
    unsigned n = 0;
    int rc;

    assert_int_equal(f->ops->stats(s, &stats), 0);
    assert_int_equal(stats.pending_rows, 2);
    assert_int_equal(stats.oldest_pending_made_ms, row_of(s_("k"), lsn).first_made_ms);
    while ((rc = f->ops->pending_walk(s, &cursor, &row)) != HF_NOT_FOUND)
        n += rc == 0;
    assert_int_equal(n, n_readable);
    f->ops->snap_end(s);
}

/* What is damaged has no age, and is passed by. */
static void test_lmdb__a_damaged_row_does_not_keep_the_others_from_being_counted(void **state)
{
    struct fixture *f = *state;
    struct hf_local_txn *txn;
    struct hf_local_stats stats;

    pend(f, s_("k1"), 1);
    pend(f, s_("k2"), 2);
    assert_oldest(f, 1, 2);
    close_tier(f);
    raw_damage(f, "pending", 20, false);
    open_tier(f);
    assert_oldest(f, 2, 1);
    txn = begin(f, 1);
    assert_int_equal(f->ops->pending_remove(txn, s_("k1"), 5), HF_ECORRUPT);
    assert_int_equal(f->ops->pending_remove(txn, s_("k1"), UINT64_MAX), 0);
    assert_int_equal(f->ops->pending_remove(txn, s_("k2"), UINT64_MAX), 0);
    commit(f, txn);
    txn = begin(f, 1);
    assert_int_equal(f->ops->stats(f->ops->txn_snap(txn), &stats), 0);
    assert_int_equal(stats.pending_rows + stats.pending_bytes, 0); /* nothing is left, whatever it had counted */
    f->ops->txn_abort(txn);
}

static void test_lmdb__a_damaged_place_does_not_keep_the_rows_from_being_counted(void **state)
{
    struct fixture *f = *state;

    pend(f, s_("k1"), 1);
    pend(f, s_("k2"), 2);
    close_tier(f);
    raw_damage(f, "pending_order", 0, false);
    open_tier(f);
    assert_oldest(f, 2, 2);
}

static void test_lmdb__a_held_snapshot_can_fill_the_map_and_a_remove_passes(void **state)
{
    struct fixture *f = *state;
    struct hf_local_snap *held;
    int rc = 0;
    int n;

    for (int i = 0; i < 50; i++)
        put_one(f, long_key((char)('0' + i), 10), long_key('v', 3000), 0);
    held = snap(f);
    for (n = 0; n < 20000 && rc == 0; n++) {
        struct hf_local_txn *txn = begin(f, 1);

        rc = put_in(f, txn, long_key((char)('0' + n % 50), 10), long_key('v', 3000), 0);
        commit(f, txn);
    }
    assert_int_equal(rc, HF_EFULL);
    drop(f, long_key('0', 10));
    drop(f, long_key('1', 10));
    f->ops->snap_end(held);
    for (n = 0; n < 2000; n++)
        put_one(f, long_key((char)('0' + n % 50), 10), long_key('v', 3000), 0);
}

/* Rewriting everything needs as many pages again. It may be refused, but then it must pass in smaller pieces. */
static void test_lmdb__a_large_rewrite_is_refused_as_a_whole_and_passes_in_pieces(void **state)
{
    struct fixture *f = *state;
    int n = fill(f, 0, 500, 100) * 7 / 10;
    struct hf_local_txn *txn;
    char key[32];
    int rc = 0;

    clear(f, n, n * 10 / 7 + 2, 20);
    txn = begin(f, 1);
    for (int i = 0; i < n && rc == 0; i++) {
        snprintf(key, sizeof(key), "key %08d", (int)((long)i * 7919 % n));
        rc = put_in(f, txn, s_(key), long_key('w', 500), 0);
    }
    assert_int_equal(rc, HF_EFULL);
    f->ops->txn_abort(txn);
    for (int i = 0; i < n;) {
        txn = begin(f, 1);
        for (int in_txn = 0; in_txn < 20 && i < n; in_txn++, i++) {
            snprintf(key, sizeof(key), "key %08d", (int)((long)i * 7919 % n));
            assert_int_equal(put_in(f, txn, s_(key), long_key('w', 500), 0), 0);
        }
        commit(f, txn);
    }
    assert_int_equal(stats(f).records, n);
    clear(f, 0, n, 20);
}

/* A transaction that the pages of the last commit would make room for is not refused for ever. */
static void test_lmdb__pages_freed_last_are_released_after_a_refusal(void **state)
{
    struct fixture *f = *state;
    size_t len = SMALL_MAP_BYTES * 6 / 10;
    char *value = calloc(1, len);
    struct hf_local_txn *txn;
    int rc;

    put_one(f, s_("large"), hf__slice(value, len), 0);
    drop(f, s_("large"));
    for (int tries = 0;; tries++) {
        assert_true(tries < 3);
        txn = begin(f, 1);
        rc = put_in(f, txn, s_("large"), hf__slice(value, len), 0);
        if (rc == 0)
            break;
        assert_int_equal(rc, HF_EFULL);
        f->ops->txn_abort(txn);
    }
    commit(f, txn);
    free(value);
}

/* ---- totals ---- */

#define N_MODEL 40
#define N_LSN 60

struct model {
    int64_t deadline[N_MODEL]; /* -1: no record */
    int row_len[N_MODEL];      /* value_len of the pending row; -1: none */
    uint64_t first_lsn[N_MODEL];
    int lane_key[N_LSN]; /* -1: none */
    int parked[N_LSN];   /* -1: none; else in doubt or not */
};

static struct hf_slice model_key(int i)
{
    static char bytes[N_MODEL][HF_KEY_MAX];
    static const size_t lengths[] = {3, 500, 501, 1000, 1001, 1500, 4096};
    size_t len = lengths[i % 7];

    memset(bytes[i], 'm', len);
    bytes[i][len - 1] = (char)('A' + i);
    return hf__slice(bytes[i], len);
}

static void model_step(struct fixture *f, struct hf_local_txn *txn, struct model *m, uint64_t *lsn)
{
    int k = (int)below(N_MODEL);
    int at = (int)below(N_LSN);
    struct hf_parked_row parked = {
        .entry = entry_of(model_key(k), (uint64_t)at), .in_doubt = below(2), .reason = s_("r")};
    struct hf_pending_row row = row_of(model_key(k), ++*lsn);
    int rc = 0;

    switch (below(8)) {
    case 0:
    case 1:
        m->deadline[k] = (int64_t)below(5);
        rc = put_in(f, txn, model_key(k), hf__slice("0123456789", below(10)), m->deadline[k]);
        break;
    case 2:
        m->deadline[k] = -1;
        rc = f->ops->remove(txn, model_key(k));
        break;
    case 3:
        if (m->row_len[k] < 0)
            m->first_lsn[k] = *lsn;
        m->row_len[k] = (int)below(1000);
        row.value_len = (uint64_t)m->row_len[k];
        rc = f->ops->pending_put(txn, &row);
        break;
    case 4:
        m->row_len[k] = -1;
        rc = f->ops->pending_remove(txn, model_key(k), UINT64_MAX);
        rc = rc == HF_NOT_FOUND ? 0 : rc;
        break;
    case 5:
        if (m->lane_key[at] >= 0) {
            m->lane_key[at] = -1;
            rc = f->ops->lane_remove(txn, (uint64_t)at);
        } else {
            m->lane_key[at] = k;
            rc = f->ops->lane_put(txn, &parked.entry);
        }
        break;
    case 6:
        m->parked[at] = parked.in_doubt;
        rc = f->ops->parked_put(txn, &parked);
        break;
    case 7:
        m->parked[at] = -1;
        rc = f->ops->parked_remove(txn, (uint64_t)at);
        break;
    }
    assert_int_equal(rc, 0);
}

static void assert_totals(struct fixture *f, struct hf_local_snap *s, const struct model *m)
{
    struct hf_local_stats want = {0};
    struct hf_local_stats found;
    uint64_t expiring = 0;
    uint64_t n_expired;

    for (int i = 0; i < N_MODEL; i++) {
        want.records += m->deadline[i] >= 0;
        expiring += m->deadline[i] > 0 && m->deadline[i] <= 3;
        want.pending_rows += m->row_len[i] >= 0;
        want.pending_bytes += m->row_len[i] >= 0 ? (uint64_t)m->row_len[i] + model_key(i).len : 0;
    }
    for (int i = 0; i < N_LSN; i++) {
        want.lane_entries += m->lane_key[i] >= 0;
        want.parked += m->parked[i] >= 0;
        want.in_doubt += m->parked[i] == 1;
    }
    assert_int_equal(f->ops->stats(s, &found), 0);
    assert_int_equal(found.records, want.records);
    assert_int_equal(found.pending_rows, want.pending_rows);
    assert_int_equal(found.pending_bytes, want.pending_bytes);
    assert_int_equal(found.lane_entries, want.lane_entries);
    assert_int_equal(found.parked, want.parked);
    assert_int_equal(found.in_doubt, want.in_doubt);
    assert_int_equal(f->ops->count_expired(s, 3, &n_expired), 0);
    assert_int_equal(n_expired, expiring);
}

static void assert_details(struct fixture *f, struct hf_local_snap *s, const struct model *m)
{
    for (int k = 0; k < N_MODEL; k++) {
        struct hf_pending_row row;
        struct hf_record record;
        uint64_t last = 0;
        int highest = -1;

        for (int i = 0; i < N_LSN; i++)
            highest = m->lane_key[i] == k ? i : highest;
        assert_int_equal(f->ops->get(s, model_key(k), &record), m->deadline[k] < 0 ? HF_NOT_FOUND : 0);
        assert_int_equal(f->ops->pending_get(s, model_key(k), &row), m->row_len[k] < 0 ? HF_NOT_FOUND : 0);
        if (m->row_len[k] >= 0)
            assert_int_equal(row.first_lsn, m->first_lsn[k]);
        assert_int_equal(f->ops->lane_last(s, model_key(k), &last), highest < 0 ? HF_NOT_FOUND : 0);
        assert_int_equal(last, highest < 0 ? 0 : highest);
    }
}

static void test_lmdb__totals_equal_a_recount_after_any_operations(void **state)
{
    struct fixture *f = *state;
    struct model *committed = calloc(1, sizeof(*committed));
    struct model *m = calloc(1, sizeof(*m));
    uint64_t lsn = 0;

    seed();
    memset(committed, 0xff, sizeof(*committed));
    for (int round = 0; round < 200; round++) {
        struct hf_local_txn *txn = begin(f, (uint64_t)round);
        struct hf_local_snap *s;

        *m = *committed;
        for (size_t n = 1 + below(40); n > 0; n--)
            model_step(f, txn, m, &lsn);
        assert_totals(f, f->ops->txn_snap(txn), m);
        if (below(4) == 0) {
            f->ops->txn_abort(txn);
        } else {
            commit(f, txn);
            *committed = *m;
        }
        s = snap(f);
        assert_totals(f, s, committed);
        assert_details(f, s, committed);
        f->ops->snap_end(s);
        if (round % 50 == 49) {
            close_tier(f);
            open_tier(f);
        }
    }
    free(committed);
    free(m);
}

#define IN_TIER(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define IN_SMALL_TIER(name) cmocka_unit_test_setup_teardown(name, setup_small, teardown)
#define IN_DIR(name) cmocka_unit_test_setup_teardown(name, setup_dir, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_TIER(test_lmdb__a_record_comes_back_as_it_was_stored),
        IN_TIER(test_lmdb__a_put_replaces_and_a_remove_removes),
        IN_TIER(test_lmdb__a_large_value_comes_back),
        IN_TIER(test_lmdb__lengths_out_of_bounds_are_refused),
        IN_TIER(test_lmdb__a_failed_write_does_not_spoil_the_transaction),
        IN_TIER(test_lmdb__an_abort_leaves_nothing),
        IN_TIER(test_lmdb__every_flipped_byte_of_a_record_is_detected),
        IN_TIER(test_lmdb__a_record_of_any_shorter_length_is_damaged),
        IN_TIER(test_lmdb__a_sealed_record_with_an_impossible_length_is_damaged),
        IN_TIER(test_lmdb__a_record_of_another_format_is_refused_as_such),
        IN_TIER(test_lmdb__a_damaged_record_can_be_replaced_and_removed),
        IN_TIER(test_lmdb__a_walk_goes_on_behind_a_damaged_record),
        IN_TIER(test_lmdb__every_flipped_byte_of_other_entries_is_detected),
        IN_TIER(test_lmdb__a_damaged_state_is_refused_at_open),
        IN_TIER(test_lmdb__expired_keys_come_earliest_first),
        IN_TIER(test_lmdb__keys_may_be_removed_while_expired_ones_are_listed),
        IN_TIER(test_lmdb__a_stale_index_entry_is_removed_and_a_damaged_record_left),
        IN_TIER(test_lmdb__short_and_long_keys_come_in_exact_order),
        IN_TIER(test_lmdb__removing_long_keys_leaves_no_links),
        IN_TIER(test_lmdb__a_pending_row_comes_back_as_it_was_stored),
        IN_TIER(test_lmdb__a_row_that_is_written_again_keeps_its_place),
        IN_TIER(test_lmdb__two_rows_cannot_begin_with_one_lsn),
        IN_TIER(test_lmdb__a_long_key_may_be_pending_without_a_record),
        IN_TIER(test_lmdb__lane_entries_of_a_key_are_counted),
        IN_TIER(test_lmdb__a_lane_entry_comes_back_as_it_was_stored),
        IN_TIER(test_lmdb__parked_entries_keep_their_reason_and_are_counted),
        IN_TIER(test_lmdb__named_values_last_and_an_empty_one_removes),
        IN_TIER(test_lmdb__the_covered_lsn_goes_with_the_transaction),
        IN_TIER(test_lmdb__a_snapshot_does_not_see_a_later_commit),
        IN_TIER(test_lmdb__a_transaction_sees_its_own_writes),
        IN_TIER(test_lmdb__threads_share_snapshots_beside_the_writer),
        IN_DIR(test_lmdb__too_many_snapshots_are_busy_and_not_an_error_for_ever),
        IN_TIER(test_lmdb__another_format_is_refused),
        IN_TIER(test_lmdb__files_are_private),
        IN_DIR(test_lmdb__what_a_crash_left_of_a_creation_is_cleared),
        IN_TIER(test_lmdb__a_lost_or_strange_file_is_damage),
        IN_TIER(test_lmdb__a_cut_file_is_damage_and_stays_as_it_is),
        IN_TIER(test_lmdb__a_file_that_lacks_only_free_pages_is_whole),
        IN_DIR(test_lmdb__impossible_options_are_refused),
        IN_DIR(test_lmdb__a_second_process_reads_beside_the_owner),
        IN_DIR(test_lmdb__a_reader_follows_when_the_owner_enlarges_the_map),
        IN_DIR(test_lmdb__a_dead_reader_does_not_fill_the_map),
        IN_SMALL_TIER(test_lmdb__a_full_map_refuses_records_and_still_removes),
        IN_SMALL_TIER(test_lmdb__a_full_map_still_clears_what_is_pending),
        IN_SMALL_TIER(test_lmdb__places_that_rows_left_behind_do_not_count_and_do_not_pile_up),
        IN_SMALL_TIER(test_lmdb__a_damaged_place_keeps_no_row_out),
        IN_SMALL_TIER(test_lmdb__a_damaged_row_does_not_keep_the_others_from_being_counted),
        IN_SMALL_TIER(test_lmdb__a_damaged_place_does_not_keep_the_rows_from_being_counted),
        IN_SMALL_TIER(test_lmdb__a_held_snapshot_can_fill_the_map_and_a_remove_passes),
        IN_SMALL_TIER(test_lmdb__a_large_rewrite_is_refused_as_a_whole_and_passes_in_pieces),
        IN_SMALL_TIER(test_lmdb__pages_freed_last_are_released_after_a_refusal),
        IN_TIER(test_lmdb__totals_equal_a_recount_after_any_operations),
    };

    return cmocka_run_group_tests_name("lmdb_tier", tests, NULL, NULL);
}
