/* Damage in the pending table and its order, against a scripted Redis: one row or place that cannot be read stops neither the
 * store, nor its checkpoints, nor the other changes. */
#include "fake_tier.h"
#include "raw_tier.h"
#include "scratch.h"

#include "file_layer.h"
#include "seal.h"
#include "store.h"

#include <stdio.h>
#include <stdlib.h>

#define SOON_MS 5000   /* a bound, not a pause: what is waited for happens long before */
#define NEVER_MS 60000 /* a time that a test must not reach */
#define MAX_DISK (256u << 20)

struct fixture {
    struct scratch scratch;
    struct hf_namespace ns;
    struct hf_options opts;
    struct hf *store; /* NULL while closed */
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    if (!f)
        return -1;
    scratch_make(&f->scratch);
    f->ns = (struct hf_namespace){.prefix = ""};
    f->opts = (struct hf_options){
        .redis = "fake",
        .redis_timeout_ms = 100,
        .redis_backoff_max_ms = 50,
        .checkpoint_interval_ms = NEVER_MS,
        .max_disk_bytes = MAX_DISK,
        .namespaces = &f->ns,
        .n_namespaces = 1,
    };
    fake_redis_start();
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    (void)hf_close(f->store); /* open only after a failure, which has been told */
    fake_redis_stop();
    scratch_remove(&f->scratch);
    free(f);
    return 0;
}

/* ---- vocabulary ---- */

static void open_store(struct fixture *f)
{
    struct hf_parts parts = {hf__file_layer_real(), hf__clock_real(), fake_local_open, fake_redis_open};

    assert_ok(hf__store_open(f->scratch.store, &f->opts, &parts, &f->store));
}

static void close_store(struct fixture *f)
{
    struct hf *store = f->store;

    f->store = NULL;
    assert_ok(hf_close(store));
}

static struct hf_status status_of(struct fixture *f)
{
    struct hf_status status;

    assert_ok(hf_status(f->store, &status));
    return status;
}

/* Flip a bit of the first value of a table, behind the store's back. */
static void damage_first(struct fixture *f, const char *table)
{
    static uint8_t bytes[4096];
    MDB_val key, value;
    struct raw_tier raw = raw_open(f->scratch.store, table);
    MDB_cursor *cursor;

    assert_int_equal(mdb_cursor_open(raw.txn, raw.dbi, &cursor), 0);
    assert_int_equal(mdb_cursor_get(cursor, &key, &value, MDB_FIRST), 0);
    assert_in_range(value.mv_size, 1, sizeof(bytes));
    memcpy(bytes, value.mv_data, value.mv_size);
    bytes[value.mv_size - 1] ^= 1;
    value.mv_data = bytes;
    assert_int_equal(mdb_cursor_put(cursor, &key, &value, MDB_CURRENT), 0);
    mdb_cursor_close(cursor);
    raw_close(&raw);
}

/* Three changes that wait, of which "a" is the first in every order; then the damage. */
static void damage_what_waits(struct fixture *f, const char *table)
{
    fake_redis_set_away(true);
    open_store(f);
    put(f->store, "a", "1");
    put(f->store, "b", "1");
    put(f->store, "c", "1");
    close_store(f);
    damage_first(f, table);
}

static void come_back_damaged(struct fixture *f, const char *table)
{
    damage_what_waits(f, table);
    open_store(f);
    assert_ok(hf_checkpoint(f->store));
    fake_redis_set_away(false);
}

static bool are_there(void *ctx)
{
    (void)ctx;
    return fake_redis_holds("b", "1") && fake_redis_holds("c", "1");
}

/* ---- tests ---- */

/* The other changes go; that one is not known, the store says so, and live writes go on. */
static void test_damaged__a_row_keeps_nothing_else_back(void **state)
{
    struct fixture *f = *state;
    struct hf_result result;

    f->opts.redis_timeout_ms = SOON_MS;
    come_back_damaged(f, "pending");
    assert_true(wait_until(are_there, f, SOON_MS));
    for (int i = 0; i < 20; i++) {
        assert_ok(hf_set(f->store, s_("d"), s_("1"), NULL, &result));
        assert_true(result.shared);
    }
    assert_ok(hf_checkpoint(f->store));
    assert_true(fake_redis_holds("a", NULL));
    assert_int_equal(status_of(f).pending_keys, 1);
    assert_int_equal(status_of(f).link, HF_LINK_REPLAYING);
    assert_non_null(strstr(status_of(f).link_reason, "a change that waits cannot be read: "));
    assert_ok(hf_exists(f->store, s_("a"), &result));
    assert_true(result.pending && !result.shared);
    assert_value(f->store, "a", "1");
    close_store(f);
}

/* A new write takes its place, whatever it was. */
static void test_damaged__a_row_is_replaced_by_the_next_write(void **state)
{
    struct fixture *f = *state;

    come_back_damaged(f, "pending");
    assert_true(wait_until(are_there, f, SOON_MS));
    fake_redis_set_away(true);
    assert_true(wait_link(f->store, HF_LINK_OFFLINE, SOON_MS));
    put(f->store, "a", "2");
    assert_ok(hf_checkpoint(f->store));
    assert_value(f->store, "a", "2");
    fake_redis_set_away(false);
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_true(fake_redis_holds("a", "2"));
    assert_ok(hf_checkpoint(f->store));
    assert_int_equal(status_of(f).pending_keys, 0);
    close_store(f);
}

/* So does one that was shared at once. */
static void test_damaged__a_row_ends_with_a_live_write(void **state)
{
    struct fixture *f = *state;

    come_back_damaged(f, "pending");
    assert_true(wait_until(are_there, f, SOON_MS));
    put(f->store, "a", "2");
    assert_ok(hf_checkpoint(f->store));
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_true(fake_redis_holds("a", "2"));
    assert_ok(hf_checkpoint(f->store));
    assert_int_equal(status_of(f).pending_keys, 0);
    close_store(f);
}

/* An increment takes the key into the lane, behind the value that it was added to. */
static void test_damaged__a_row_is_carried_into_no_lane(void **state)
{
    struct fixture *f = *state;
    int64_t number;

    come_back_damaged(f, "pending");
    assert_true(wait_until(are_there, f, SOON_MS));
    fake_redis_set_away(true);
    assert_true(wait_link(f->store, HF_LINK_OFFLINE, SOON_MS));
    put(f->store, "a", "5");
    assert_ok(hf_incr(f->store, s_("a"), 1, &number, NULL));
    assert_int_equal(number, 6);
    assert_ok(hf_checkpoint(f->store));
    fake_redis_set_away(false);
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_true(fake_redis_holds("a", "6"));
    close_store(f);
}

/* Their order is only for finding them. */
static void test_damaged__a_place_keeps_nothing_back(void **state)
{
    struct fixture *f = *state;

    come_back_damaged(f, "pending_order");
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_true(are_there(f) && fake_redis_holds("a", "1"));
    assert_ok(hf_checkpoint(f->store));
    assert_int_equal(status_of(f).pending_keys, 0);
    close_store(f);
}

/* What cannot be read cannot be given up: the next ones are. */
static void test_damaged__a_row_is_passed_by_at_a_bound(void **state)
{
    struct fixture *f = *state;

    damage_what_waits(f, "pending");
    f->opts.pending_policy = HF_PENDING_DROP_OLDEST;
    f->opts.pending_max = 1;
    open_store(f);
    assert_true(wait_link(f->store, HF_LINK_OFFLINE, SOON_MS));
    assert_ok(hf_checkpoint(f->store));
    assert_int_equal(status_of(f).pending_keys, 1);
    assert_int_equal(status_of(f).dropped, 2);
    close_store(f);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_damaged__##name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_row_keeps_nothing_else_back), TEST(a_row_is_replaced_by_the_next_write),
        TEST(a_row_ends_with_a_live_write),  TEST(a_row_is_carried_into_no_lane),
        TEST(a_place_keeps_nothing_back),    TEST(a_row_is_passed_by_at_a_bound),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
