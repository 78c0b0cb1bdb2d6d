/* A store with a real Redis: write-through, outages, replay, and what both tiers hold afterwards. */
#include "redis_server.h"
#include "scratch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BOUND_MS 10000 /* nothing here should take a tenth of it */

struct fixture {
    struct scratch scratch;
    struct redis_server redis;
    struct hf_options opts;
    struct hf_namespace namespaces[6];
    struct hf *store;
};

static const char *const keep_data[] = {"--appendonly", "yes", "--appendfsync", "always", NULL};

static void open_store(struct fixture *f)
{
    assert_ok(hf_open(f->scratch.store, &f->opts, &f->store));
}

static void close_store(struct fixture *f)
{
    assert_ok(hf_close(f->store));
    f->store = NULL;
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    scratch_make(&f->scratch);
    assert_int_equal(redis_server_start(&f->redis, keep_data), 0);
    f->namespaces[0] = (struct hf_namespace){.prefix = "behind:", .write_mode = HF_WRITE_BEHIND};
    f->namespaces[1] = (struct hf_namespace){.prefix = "local:", .write_mode = HF_WRITE_LOCAL};
    f->namespaces[2] = (struct hf_namespace){.prefix = "nolog:", .change_log_off = true};
    f->namespaces[3] = (struct hf_namespace){.prefix = "nodes:", .writers = HF_WRITERS_HOLDFAST};
    f->namespaces[4] = (struct hf_namespace){.prefix = "alone:", .writers = HF_WRITERS_THIS_NODE};
    f->namespaces[5] = (struct hf_namespace){.prefix = "short:", .change_log_max = 50};
    f->opts = (struct hf_options){
        .redis = f->redis.address,
        .segment_bytes = 1 << 20,
        .max_disk_bytes = 256 << 20,
        .redis_timeout_ms = 400,
        .redis_backoff_max_ms = 60,
        .namespaces = f->namespaces,
        .n_namespaces = 6,
    };
    open_store(f);
    assert_true(wait_link(f->store, HF_LINK_ONLINE, BOUND_MS));
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    if (f->store)
        close_store(f);
    redis_server_stop(&f->redis);
    scratch_remove(&f->scratch);
    free(f);
    return 0;
}

static void stop_redis(struct fixture *f)
{
    redis_server_kill(&f->redis);
    assert_true(wait_link(f->store, HF_LINK_OFFLINE, BOUND_MS));
}

static void start_redis(struct fixture *f)
{
    assert_int_equal(redis_server_restart(&f->redis), 0);
}

static void drain(struct fixture *f)
{
    struct hf_status status;

    assert_ok(hf_drain(f->store, BOUND_MS));
    assert_ok(hf_status(f->store, &status));
    assert_int_equal(status.pending_keys, 0);
}

static void assert_redis(struct fixture *f, const char *key, const char *value)
{
    char text[256];

    assert_string_equal(redis_server_text(&f->redis, text, sizeof(text), "GET %s", key), value ? value : "(nil)");
}

static struct hf_status status_of(struct fixture *f)
{
    struct hf_status status;

    assert_ok(hf_status(f->store, &status));
    return status;
}

/* ---- online ---- */

static void test_outage__online_writes_are_plain_values_in_redis(void **state)
{
    struct fixture *f = *state;
    struct hf_result r;
    int64_t n;

    assert_ok(hf_set(f->store, s_("k"), s_("v"), NULL, &r));
    assert_true(r.durable && r.shared && !r.pending);
    assert_redis(f, "k", "v");
    assert_ok(hf_set(f->store, s_("t"), s_("v"), &(struct hf_set_options){.ttl_ms = 60000}, NULL));
    assert_in_range(redis_server_number(&f->redis, "PTTL t"), 59000, 60050);
    assert_ok(hf_expire(f->store, s_("k"), 30000, NULL));
    assert_in_range(redis_server_number(&f->redis, "PTTL k"), 29000, 30050);
    assert_ok(hf_persist(f->store, s_("k"), NULL));
    assert_int_equal(redis_server_number(&f->redis, "PTTL k"), -1);
    assert_ok(hf_delete(f->store, s_("k"), NULL));
    assert_redis(f, "k", NULL);
    assert_ok(hf_incr(f->store, s_("n"), 3, &n, &r));
    assert_true(r.shared && !r.tentative);
    assert_int_equal(n, 3);
    assert_redis(f, "n", "3");
    assert_int_equal(status_of(f).pending_keys, 0);
}

static void test_outage__the_longest_prefix_is_shared_as_any_other(void **state)
{
    struct fixture *f = *state;
    char prefix[257] = "", key[260];
    int64_t n;

    memset(prefix, 'p', sizeof(prefix) - 1);
    snprintf(key, sizeof(key), "%s:n", prefix);
    f->namespaces[0] = (struct hf_namespace){.prefix = prefix};
    for (int i = 1; i <= 2; i++) {
        close_store(f);
        open_store(f);
        assert_true(wait_link(f->store, HF_LINK_ONLINE, BOUND_MS));
        assert_ok(hf_incr(f->store, s_(key), 1, &n, NULL));
        assert_int_equal(n, i);
        assert_ok(hf_checkpoint(f->store));
    }
    assert_redis(f, key, "2");
}

static void test_outage__a_write_right_after_opening_waits_for_the_first_connection(void **state)
{
    struct fixture *f = *state;
    struct hf_buf value;
    struct hf_result r;
    int64_t start;

    redis_server_text(&f->redis, (char[64]){0}, 64, "SET theirs x");
    close_store(f);
    open_store(f);
    assert_ok(hf_set(f->store, s_("k"), s_("v"), NULL, &r));
    assert_true(r.shared && !r.pending);
    close_store(f);
    open_store(f);
    assert_ok(hf_get(f->store, s_("theirs"), &value, NULL));
    hf_buf_release(&value);
    close_store(f);
    redis_server_kill(&f->redis);
    start = wall_ms();
    open_store(f);
    assert_ok(hf_set(f->store, s_("k"), s_("w"), NULL, &r));
    assert_true(r.pending);
    assert_code(HF_NOT_FOUND, hf_get(f->store, s_("nowhere"), &value, NULL));
    assert_in_range(wall_ms() - start, 0, 1500);
    start_redis(f);
    drain(f);
    assert_redis(f, "k", "w");
}

static void test_outage__an_increment_answers_what_redis_holds_with_others_adding(void **state)
{
    struct fixture *f = *state;
    int64_t n;

    (void)redis_server_number(&f->redis, "INCRBY n 40");
    assert_ok(hf_incr(f->store, s_("n"), 2, &n, NULL));
    assert_int_equal(n, 42);
    (void)redis_server_number(&f->redis, "INCRBY n 100");
    assert_ok(hf_incr(f->store, s_("n"), 1, &n, NULL));
    assert_int_equal(n, 143);
    assert_value(f->store, "n", "143");
}

static void test_outage__an_online_batch_is_shared_as_one_unit(void **state)
{
    struct fixture *f = *state;
    struct hf_batch *batch;
    struct hf_result r;

    put(f->store, "gone", "v");
    assert_ok(hf_batch_new(f->store, &batch));
    assert_ok(hf_batch_set(batch, s_("a"), s_("1"), NULL));
    assert_ok(hf_batch_incr(batch, s_("b"), 7));
    assert_ok(hf_batch_delete(batch, s_("gone")));
    assert_ok(hf_batch_commit(batch, &r));
    assert_true(r.shared);
    hf_batch_free(batch);
    assert_redis(f, "a", "1");
    assert_redis(f, "b", "7");
    assert_redis(f, "gone", NULL);
    put(f->store, "a", "2"); /* out of the lane again */
    assert_redis(f, "a", "2");
}

#define FAR_MS INT64_C(4102444800000) /* the year 2100 */
#define FAR_TEXT "4102444800000"

/* A new value with a life, an old one that gets one, one that loses it, and one whose life is over. */
static void change_lives(struct fixture *f)
{
    const struct hf_set_options hour = {.ttl_ms = 3600000};
    struct hf_batch *batch;

    assert_ok(hf_batch_new(f->store, &batch));
    assert_ok(hf_batch_set(batch, s_("made"), s_("5"), &hour));
    assert_ok(hf_batch_expire_at(batch, s_("made"), FAR_MS));
    assert_ok(hf_batch_incr(batch, s_("made"), 2));
    assert_ok(hf_batch_expire_at(batch, s_("lives"), FAR_MS));
    assert_ok(hf_batch_persist(batch, s_("mortal")));
    assert_ok(hf_batch_expire_at(batch, s_("over"), 1));
    assert_ok(hf_batch_persist(batch, s_("unheld")));
    assert_ok(hf_batch_commit(batch, NULL));
    hf_batch_free(batch);
}

static void assert_deadline(struct fixture *f, const char *key, long long ms)
{
    long long there = redis_server_number(&f->redis, "PEXPIRETIME %s", key);

    if (llabs(there - ms) > 1000) /* the clocks are measured, not the same */
        fail_msg("'%s' has the deadline %lld, expected %lld", key, there, ms);
}

static void test_outage__a_batch_of_lives_is_shared_as_one_unit_online_and_afterwards(void **state)
{
    const struct hf_set_options hour = {.ttl_ms = 3600000};
    struct fixture *f = *state;

    for (int away = 0; away < 2; away++) {
        put(f->store, "lives", "v");
        put(f->store, "over", "v");
        assert_ok(hf_set(f->store, s_("mortal"), s_("v"), &hour, NULL));
        drain(f);
        freeReplyObject(redis_server_command(&f->redis, "SET unheld v PXAT " FAR_TEXT));
        if (away)
            stop_redis(f);
        change_lives(f);
        if (away)
            start_redis(f);
        drain(f);
        assert_redis(f, "made", "7");
        assert_deadline(f, "made", FAR_MS);
        assert_deadline(f, "lives", FAR_MS);
        assert_int_equal(redis_server_number(&f->redis, "PEXPIRETIME mortal"), -1);
        assert_redis(f, "over", NULL);
        assert_deadline(f, "unheld", FAR_MS);
        assert_int_equal(status_of(f).parked, 0);
    }
}

static void test_outage__namespaces_write_through_behind_and_not_at_all(void **state)
{
    struct fixture *f = *state;
    struct hf_result r;

    assert_ok(hf_set(f->store, s_("behind:k"), s_("v"), NULL, &r));
    assert_true(r.durable && r.pending);
    assert_ok(hf_set(f->store, s_("local:k"), s_("v"), NULL, &r));
    assert_true(r.shared && !r.pending);
    assert_ok(hf_set(f->store, s_("nolog:k"), s_("v"), NULL, &r));
    assert_true(r.shared);
    drain(f);
    assert_redis(f, "behind:k", "v");
    assert_redis(f, "nolog:k", "v");
    assert_redis(f, "local:k", NULL);
}

static void test_outage__a_key_that_is_not_held_is_fetched_and_kept(void **state)
{
    struct fixture *f = *state;
    struct hf_buf value;
    struct hf_result r;
    int64_t ttl;

    redis_server_text(&f->redis, (char[64]){0}, 64, "SET theirs x PX 50000");
    assert_ok(hf_get(f->store, s_("theirs"), &value, &r));
    assert_int_equal(r.origin, HF_ORIGIN_SHARED);
    hf_buf_release(&value);
    stop_redis(f);
    assert_ok(hf_get(f->store, s_("theirs"), &value, &r));
    assert_int_equal(r.origin, HF_ORIGIN_LOCAL_UNVERIFIED);
    hf_buf_release(&value);
    assert_ok(hf_ttl(f->store, s_("theirs"), &ttl, NULL));
    assert_in_range(ttl, 40000, 50000);
    assert_code(HF_NOT_FOUND, hf_get(f->store, s_("nowhere"), &value, &r));
    assert_int_equal(r.origin, HF_ORIGIN_NONE);
}

struct copy {
    struct hf *store;
    const char *key;
};

static bool is_verified(void *ctx)
{
    struct copy *copy = ctx;
    struct hf_buf value;
    struct hf_result r;

    if (hf_get(copy->store, s_(copy->key), &value, &r) != 0)
        return true;
    hf_buf_release(&value);
    return r.origin == HF_ORIGIN_LOCAL_VERIFIED;
}

static void test_outage__what_a_plain_client_wrote_while_the_store_was_closed_is_found(void **state)
{
    struct fixture *f = *state;

    put(f->store, "k", "ours");
    put(f->store, "gone", "ours");
    drain(f);
    close_store(f);
    redis_server_text(&f->redis, (char[64]){0}, 64, "SET k theirs");
    redis_server_text(&f->redis, (char[64]){0}, 64, "DEL gone");
    open_store(f);
    assert_true(wait_link(f->store, HF_LINK_ONLINE, BOUND_MS));
    assert_true(wait_until(is_verified, &(struct copy){f->store, "k"}, BOUND_MS));
    assert_value(f->store, "k", "theirs");
    assert_true(wait_until(is_verified, &(struct copy){f->store, "gone"}, BOUND_MS));
    assert_value(f->store, "gone", NULL);
}

/* ---- outages ---- */

static void test_outage__everything_written_during_an_outage_is_shared_afterwards(void **state)
{
    struct fixture *f = *state;
    struct hf_result r;
    int64_t n, start;

    put(f->store, "old", "1");
    put(f->store, "deleted", "1");
    assert_ok(hf_set(f->store, s_("ttl"), s_("1"), NULL, NULL));
    assert_ok(hf_incr(f->store, s_("n"), 10, &n, NULL));
    stop_redis(f);
    start = wall_ms();
    assert_ok(hf_set(f->store, s_("new"), s_("2"), NULL, &r));
    assert_true(r.durable && r.pending && !r.shared);
    assert_true(wall_ms() - start < 300); /* known to be offline: nobody waits */
    put(f->store, "old", "2");
    put(f->store, "old", "3");
    assert_ok(hf_delete(f->store, s_("deleted"), NULL));
    assert_ok(hf_expire(f->store, s_("ttl"), 70000, NULL));
    assert_ok(hf_incr(f->store, s_("n"), 5, &n, &r));
    assert_true(r.tentative);
    assert_int_equal(n, 15);
    assert_value(f->store, "old", "3");
    assert_int_equal(status_of(f).pending_keys, 5);
    start_redis(f);
    drain(f);
    assert_redis(f, "new", "2");
    assert_redis(f, "old", "3");
    assert_redis(f, "deleted", NULL);
    assert_redis(f, "n", "15");
    assert_in_range(redis_server_number(&f->redis, "PTTL ttl"), 60000, 70050);
    assert_value(f->store, "n", "15");
    assert_int_equal(status_of(f).parked, 0);
}

static void test_outage__pending_changes_survive_restarts_and_checkpoints(void **state)
{
    struct fixture *f = *state;
    int64_t n;

    assert_ok(hf_incr(f->store, s_("n"), 1, &n, NULL));
    stop_redis(f);
    put(f->store, "a", "1");
    assert_ok(hf_incr(f->store, s_("n"), 2, &n, NULL));
    close_store(f);
    open_store(f);
    put(f->store, "a", "2");
    assert_ok(hf_incr(f->store, s_("n"), 4, &n, NULL));
    assert_int_equal(n, 7);
    put(f->store, "n2", "100");
    assert_ok(hf_incr(f->store, s_("n2"), 1, &n, NULL)); /* joins the lane with the pending set */
    put(f->store, "n", "50");                            /* joins the lane behind its increments */
    assert_ok(hf_incr(f->store, s_("n"), 1, &n, NULL));
    close_store(f);
    start_redis(f);
    open_store(f);
    drain(f);
    assert_redis(f, "a", "2");
    assert_redis(f, "n", "51");
    assert_redis(f, "n2", "101");
}

static void test_outage__a_short_life_that_ends_during_the_outage_removes_the_older_value(void **state)
{
    struct fixture *f = *state;
    int64_t ttl;

    put(f->store, "k", "long-lived");
    stop_redis(f);
    assert_ok(hf_set(f->store, s_("k"), s_("short"), &(struct hf_set_options){.ttl_ms = 40}, NULL));
    while (hf_ttl(f->store, s_("k"), &ttl, NULL) == 0)
        (void)wait_link(f->store, HF_LINK_ONLINE, (int)ttl);
    start_redis(f);
    drain(f);
    assert_redis(f, "k", NULL);
    assert_int_equal(status_of(f).expired_in_queue, 1);
}

static void test_outage__increments_count_once_through_many_outages(void **state)
{
    struct fixture *f = *state;
    int64_t n = 0, expected = 0;
    char text[32];

    for (int round = 0; round < 6; round++) {
        for (int i = 0; i < 20; i++, expected++) {
            if (i == 7)
                redis_server_kill(&f->redis);
            if (i == 14)
                start_redis(f);
            assert_ok(hf_incr(f->store, s_("n"), 1, &n, NULL));
        }
        if (round % 2) {
            close_store(f);
            open_store(f);
        }
        drain(f);
        snprintf(text, sizeof(text), "%lld", (long long)expected);
        assert_redis(f, "n", text);
        assert_value(f->store, "n", text);
    }
}

static void test_outage__a_frozen_redis_costs_a_write_no_more_than_its_timeout(void **state)
{
    struct fixture *f = *state;
    struct hf_result r;
    int64_t start;

    redis_server_pause(&f->redis);
    start = wall_ms();
    assert_ok(hf_set(f->store, s_("k"), s_("v"), NULL, &r));
    assert_true(r.pending);
    assert_in_range(wall_ms() - start, 0, 1000);
    assert_true(wait_link(f->store, HF_LINK_OFFLINE, BOUND_MS));
    redis_server_resume(&f->redis);
    drain(f);
    assert_redis(f, "k", "v");
}

/* Namespaces by what is compared: everything, what the log names, nothing. */
static const char *const by_writers[] = {"", "nodes:", "alone:"};

static const char *const changed[] = {"set", "deleted", "lives"};

static char *named(char key[32], const char *prefix, const char *name)
{
    snprintf(key, 32, "%s%s", prefix, name);
    return key;
}

/* Three changes that wait, and a hash under each of their keys. */
static void change_keys_that_become_hashes(struct fixture *f)
{
    char key[32];

    for (size_t i = 0; i < 3; i++) {
        put(f->store, named(key, by_writers[i], "deleted"), "v");
        put(f->store, named(key, by_writers[i], "lives"), "v");
    }
    drain(f);
    stop_redis(f);
    for (size_t i = 0; i < 3; i++) {
        put(f->store, named(key, by_writers[i], "set"), "string");
        put(f->store, named(key, by_writers[i], "fine"), "v");
        assert_ok(hf_delete(f->store, s_(named(key, by_writers[i], "deleted")), NULL));
        assert_ok(hf_expire(f->store, s_(named(key, by_writers[i], "lives")), 1000000, NULL));
    }
    close_store(f); /* so that the foreign writes are there first */
    start_redis(f);
    for (size_t i = 0; i < 3; i++) {
        char text[16];
        redis_server_text(&f->redis, text, sizeof(text), "DEL %sdeleted %slives", by_writers[i], by_writers[i]);
        for (size_t k = 0; k < 3; k++)
            assert_int_equal(redis_server_number(&f->redis, "HSET %s%s f 1", by_writers[i], changed[k]), 1);
        if (i > 0) /* compared only where all may write */
            redis_server_text(&f->redis, text, sizeof(text), "SET %sfine theirs", by_writers[i]);
    }
}

static int check_wrong_type(void *ctx, const struct hf_parked *entry)
{
    (void)ctx;
    assert_memory_equal(entry->reason, "WRONGTYPE ", 10);
    return 0;
}

static void check_hashes_stay(struct fixture *f)
{
    char key[32];

    open_store(f);
    drain(f);
    assert_int_equal(status_of(f).parked, 9);
    assert_ok(hf_parked_list(f->store, check_wrong_type, NULL));
    for (size_t i = 0; i < 3; i++) {
        assert_redis(f, named(key, by_writers[i], "fine"), "v");
        assert_value(f->store, named(key, by_writers[i], "set"), "string");
        for (size_t k = 0; k < 3; k++) {
            assert_int_equal(redis_server_number(&f->redis, "HLEN %s%s", by_writers[i], changed[k]), 1);
            assert_int_equal(redis_server_number(&f->redis, "TTL %s%s", by_writers[i], changed[k]), -1);
        }
    }
}

static void test_outage__a_key_of_another_type_is_parked_not_overwritten_at_replay(void **state)
{
    struct fixture *f = *state;

    change_keys_that_become_hashes(f);
    check_hashes_stay(f);
}

static void test_outage__a_key_of_another_type_is_parked_without_the_right_to_run_scripts(void **state)
{
    struct fixture *f = *state;
    char text[16];

    change_keys_that_become_hashes(f);
    redis_server_text(&f->redis, text, sizeof(text), "ACL SETUSER default -@scripting");
    check_hashes_stay(f);
}

/* Redis tells what our scripts write as if it was another's. */
static void test_outage__what_was_replayed_among_nodes_is_not_fetched(void **state)
{
    struct fixture *f = *state;
    char key[32];

    stop_redis(f);
    for (int i = 0; i < 500; i++) {
        snprintf(key, sizeof(key), "nodes:%d", i);
        put(f->store, key, "v");
    }
    start_redis(f);
    drain(f);
    assert_redis(f, "nodes:499", "v");
    assert_int_equal(status_of(f).refreshed, 0);
}

static bool has_parked(void *ctx)
{
    return status_of(ctx).parked == 1;
}

static int check_last_word(void *ctx, const struct hf_parked *entry)
{
    (void)ctx;
    assert_non_null(strstr(entry->reason, "at last because: ERR Protocol error: invalid bulk length"));
    return 0;
}

/* This user may not read the limit. */
static void test_outage__a_value_that_is_too_long_is_parked_with_the_servers_last_word(void **state)
{
    struct fixture *f = *state;
    size_t n = (1 << 20) + 1;
    char *big = calloc(1, n), text[16];

    assert_non_null(big);
    assert_ok(hf_pause(f->store));
    assert_ok(hf_set(f->store, s_("big"), hf__slice(big, n), NULL, NULL));
    put(f->store, "fine", "v");
    redis_server_text(&f->redis, text, sizeof(text), "CONFIG SET proto-max-bulk-len 1048576");
    redis_server_text(&f->redis, text, sizeof(text), "ACL SETUSER default -config");
    assert_ok(hf_resume(f->store));
    assert_true(wait_until(has_parked, f, BOUND_MS));
    drain(f);
    assert_ok(hf_parked_list(f->store, check_last_word, NULL));
    assert_redis(f, "big", NULL);
    assert_redis(f, "fine", "v");
    free(big);
}

static void test_outage__an_embedded_store_shares_all_it_has_when_it_gets_an_address(void **state)
{
    struct fixture *f = *state;
    struct hf_options embedded = f->opts;
    char key[32];

    close_store(f);
    embedded.redis = NULL;
    snprintf(f->scratch.store, sizeof(f->scratch.store), "%s/embedded", f->scratch.dir);
    assert_ok(hf_open(f->scratch.store, &embedded, &f->store));
    for (int i = 0; i < 500; i++) {
        snprintf(key, sizeof(key), "e%d", i);
        put(f->store, key, "v");
        if (i == 250)
            assert_ok(hf_checkpoint(f->store));
    }
    put(f->store, "local:k", "v");
    assert_ok(hf_delete(f->store, s_("e7"), NULL));
    assert_int_equal(status_of(f).pending_keys, 0);
    close_store(f);
    open_store(f);
    drain(f);
    assert_int_equal(redis_server_number(&f->redis, "EXISTS e0 e250 e251 e499"), 4);
    assert_int_equal(redis_server_number(&f->redis, "EXISTS e7 local:k"), 0);
}

static void test_outage__a_long_queue_of_submissions_is_shared_whatever_redis_does(void **state)
{
    struct fixture *f = *state;
    char key[32], value[32];
    int expected[97] = {0};

    for (int i = 0; i < 4000; i++) {
        if (i == 1000)
            redis_server_kill(&f->redis);
        if (i == 2500)
            start_redis(f);
        snprintf(key, sizeof(key), "behind:%d", i % 97);
        snprintf(value, sizeof(value), "%d", i);
        put(f->store, key, value);
        expected[i % 97] = i;
    }
    drain(f);
    for (int i = 0; i < 97; i++) {
        snprintf(key, sizeof(key), "behind:%d", i);
        snprintf(value, sizeof(value), "%d", expected[i]);
        assert_redis(f, key, value);
        assert_value(f->store, key, value);
    }
}

static void test_outage__a_wrong_password_holds_the_link_and_loses_nothing(void **state)
{
    struct fixture *f = *state;
    struct hf_status status;

    redis_server_text(&f->redis, (char[64]){0}, 64, "CONFIG SET requirepass secret-canary");
    close_store(f);
    f->opts.redis_password = "wrong-canary";
    open_store(f);
    put(f->store, "k", "v");
    assert_true(wait_link(f->store, HF_LINK_HELD, BOUND_MS));
    status = status_of(f);
    assert_int_equal(status.pending_keys, 1);
    assert_null(strstr(status.link_reason, "canary"));
    assert_code(HF_EOFFLINE, hf_drain(f->store, 100));
    close_store(f);
    f->opts.redis_password = "secret-canary";
    open_store(f);
    drain(f);
}

/* Write to Redis as a node does: the value and its change-log entry. */
static void write_as_node(struct fixture *f, const char *node, uint64_t lsn, char op, const char *key,
                          const char *value)
{
    char epoch[64], text[64];

    redis_server_text(&f->redis, epoch, sizeof(epoch), "GET _hf::epoch");
    if (op == 's')
        redis_server_text(&f->redis, text, sizeof(text), "SET %s %s", key, value);
    else
        (void)redis_server_number(&f->redis, "DEL %s", key);
    redis_server_text(&f->redis, text, sizeof(text), "XADD _hf::log:%s * n %s l %llu %s %s", epoch, node,
                      (unsigned long long)lsn, op == 's' ? "s0" : "d0", key);
}

static void test_outage__what_other_nodes_and_our_own_lost_tail_changed_is_fetched_at_catch_up(void **state)
{
    static const char other[] = "0123456789abcdef0123456789abcdef";
    struct fixture *f = *state;
    struct hf_status status;
    char node[33];

    put(f->store, "theirs", "old");
    put(f->store, "ours", "old");
    put(f->store, "deleted", "old");
    put(f->store, "untouched", "old");
    status = status_of(f);
    memcpy(node, status.node, sizeof(node));
    close_store(f);
    write_as_node(f, other, 77, 's', "theirs", "new");
    write_as_node(f, other, 78, 's', "never-held", "new");
    write_as_node(f, node, status.last_lsn + 3, 's', "ours", "sent-before-a-crash");
    write_as_node(f, other, 79, 'd', "deleted", NULL);
    open_store(f);
    drain(f);
    assert_in_range(status_of(f).refreshed, 3,
                    6); /* named by the log; the sweep beside it may find them old as well */
    stop_redis(f);      /* from here on only the local tier answers */
    assert_value(f->store, "theirs", "new");
    assert_value(f->store, "ours", "sent-before-a-crash");
    assert_value(f->store, "deleted", NULL);
    assert_value(f->store, "untouched", "old");
    assert_value(f->store, "never-held", NULL);
}

static bool is_deleted_there(void *ctx)
{
    struct fixture *f = ctx;

    return redis_server_number(&f->redis, "EXISTS k") == 0;
}

/* Redis trims whole nodes of a stream, of 100 entries unless it is told otherwise. */
static void test_outage__a_change_log_is_trimmed_to_about_what_the_namespace_says(void **state)
{
    static const char length[] =
        "EVAL return(redis.call('XLEN',KEYS[1]..redis.call('GET',KEYS[2]))) 2 %s:log: %s:epoch";
    struct fixture *f = *state;

    for (int i = 0; i < 400; i++) {
        put(f->store, "short:k", "v");
        put(f->store, "nodes:k", "v");
    }
    put(f->store, "alone:k", "v");
    put(f->store, "nolog:k", "v");
    assert_in_range(redis_server_number(&f->redis, length, "_hf:short:", "_hf:short:"), 50, 200);
    assert_true(redis_server_number(&f->redis, length, "_hf:nodes:", "_hf:nodes:") >= 400);
    assert_int_equal(redis_server_number(&f->redis, "EVAL return(#redis.call('KEYS','_hf:alone::log:*')) 0"), 0);
    assert_int_equal(redis_server_number(&f->redis, "EVAL return(#redis.call('KEYS','_hf:nolog::log:*')) 0"), 0);
}

static void test_outage__with_redis_out_of_memory_deletes_still_go_and_the_rest_waits(void **state)
{
    struct fixture *f = *state;
    struct hf_result r;

    put(f->store, "k", "v");
    redis_server_text(&f->redis, (char[64]){0}, 64, "CONFIG SET maxmemory 1");
    assert_ok(hf_set(f->store, s_("waits"), s_("v"), NULL, &r));
    assert_true(r.pending);
    (void)hf_delete(f->store, s_("k"), NULL);
    assert_true(wait_until(is_deleted_there, f, BOUND_MS));
    assert_redis(f, "waits", NULL);
    assert_int_equal(status_of(f).parked, 0);
    redis_server_text(&f->redis, (char[64]){0}, 64, "CONFIG SET maxmemory 0");
    drain(f);
    assert_redis(f, "waits", "v");
}

static bool are_deleted_there(void *ctx)
{
    struct fixture *f = ctx;

    return redis_server_number(&f->redis, "EXISTS %sk %sk %sk", by_writers[0], by_writers[1], by_writers[2]) == 0;
}

static void test_outage__with_redis_out_of_memory_deletes_that_waited_go_in_each_namespace(void **state)
{
    struct fixture *f = *state;
    char key[32];

    for (size_t i = 0; i < 3; i++)
        put(f->store, named(key, by_writers[i], "k"), "v");
    drain(f);
    assert_ok(hf_pause(f->store));
    for (size_t i = 0; i < 3; i++)
        assert_ok(hf_delete(f->store, s_(named(key, by_writers[i], "k")), NULL));
    assert_ok(hf_checkpoint(f->store));
    redis_server_text(&f->redis, (char[64]){0}, 64, "CONFIG SET maxmemory 1");
    assert_ok(hf_resume(f->store));
    assert_true(wait_until(are_deleted_there, f, BOUND_MS));
    redis_server_text(&f->redis, (char[64]){0}, 64, "CONFIG SET maxmemory 0");
    drain(f);
    assert_int_equal(status_of(f).parked, 0);
}

/* ---- how the link went ---- */

#define CHANGES_MAX 1024

struct changes {
    struct hf_link_change all[CHANGES_MAX];
    size_t n, limit;
};

static int take_change(void *ctx, const struct hf_link_change *change)
{
    struct changes *changes = ctx;

    assert_in_range(changes->n, 0, CHANGES_MAX - 1);
    changes->all[changes->n++] = *change;
    return changes->n == changes->limit ? 7 : 0;
}

static struct changes *changes_from(struct fixture *f, uint64_t from)
{
    struct changes *changes = calloc(1, sizeof(*changes));

    assert_non_null(changes);
    assert_ok(hf_link_changes(f->store, from, take_change, changes));
    return changes;
}

/* Each begins where the one before it has ended. */
static void assert_chain(const struct changes *changes, uint64_t first)
{
    for (size_t i = 0; i < changes->n; i++) {
        assert_int_equal(changes->all[i].number, first + i);
        assert_int_not_equal(changes->all[i].from, changes->all[i].link);
        assert_true(i == 0 || changes->all[i].from == changes->all[i - 1].link);
        assert_true(i == 0 || changes->all[i].at_ms >= changes->all[i - 1].at_ms);
    }
}

static void test_outage__every_change_of_the_link_is_told_however_short(void **state)
{
    struct fixture *f = *state;
    struct changes *before = changes_from(f, 0), *after;
    const struct hf_link_change *last;

    assert_chain(before, 1);
    assert_int_equal(before->n, 3); /* catching up, replaying, online */
    assert_int_equal(before->all[0].from, HF_LINK_CONNECTING);
    stop_redis(f);
    start_redis(f);
    assert_true(wait_link(f->store, HF_LINK_ONLINE, BOUND_MS));
    after = changes_from(f, 4);
    assert_chain(after, 4);
    assert_in_range(after->n, 5, CHANGES_MAX);
    assert_int_equal(after->all[0].from, HF_LINK_ONLINE);
    assert_int_equal(after->all[0].link, HF_LINK_OFFLINE);
    assert_true(strlen(after->all[0].reason) > 0);
    last = &after->all[after->n - 1];
    assert_int_equal(last->link, HF_LINK_ONLINE);
    assert_int_equal(last->from, HF_LINK_REPLAYING);
    assert_string_equal(last->reason, "");
    free(before);
    free(after);
}

static void test_outage__old_changes_of_the_link_make_room_for_new_ones(void **state)
{
    struct changes *few = calloc(1, sizeof(*few));
    struct fixture *f = *state;

    assert_non_null(few);
    for (size_t i = 0; i < HF_LINK_CHANGES_KEPT && (i == 0 || few->all[0].number < 3); i++) {
        assert_ok(hf_pause(f->store));
        assert_true(wait_link(f->store, HF_LINK_HELD, BOUND_MS));
        assert_ok(hf_resume(f->store));
        assert_true(wait_link(f->store, HF_LINK_ONLINE, BOUND_MS));
        free(few);
        few = changes_from(f, 0);
    }
    assert_in_range(few->all[0].number, 3, UINT32_MAX);
    assert_int_equal(few->n, HF_LINK_CHANGES_KEPT);
    assert_chain(few, few->all[0].number);
    *few = (struct changes){.limit = 2};
    assert_int_equal(hf_link_changes(f->store, 0, take_change, few), 7);
    assert_int_equal(few->n, 2);
    free(few);
}

static void test_outage__a_pulse_tells_what_the_status_tells(void **state)
{
    struct fixture *f = *state;
    struct hf_pulse pulse;
    int64_t n;

    stop_redis(f);
    put(f->store, "a", "1");
    put(f->store, "a", "2");
    put(f->store, "b", "1");
    assert_ok(hf_incr(f->store, s_("n"), 1, &n, NULL));
    assert_ok(hf_incr(f->store, s_("n"), 1, &n, NULL));
    assert_ok(hf_pulse(f->store, &pulse));
    assert_int_not_equal(pulse.link, HF_LINK_ONLINE);
    assert_int_equal(pulse.pending, 4); /* two keys, two increments */
    assert_int_equal(pulse.replayed_ops, 0);
    start_redis(f);
    drain(f);
    assert_ok(hf_pulse(f->store, &pulse));
    assert_int_equal(pulse.link, HF_LINK_ONLINE);
    assert_int_equal(pulse.pending, 0);
    assert_int_equal(pulse.replayed_ops, status_of(f).replayed_ops);
    assert_int_equal(pulse.shared_ops, status_of(f).shared_ops);
}

/* ---- nobody asks for anything ---- */

#define DYING 500

struct room {
    struct hf *store;
    uint64_t bytes;
};

static bool is_given_back(void *ctx)
{
    const struct room *room = ctx;
    struct hf_status status;

    assert_ok(hf_status(room->store, &status));
    return status.disk_used_bytes < room->bytes / 2;
}

/* They outlive the checkpoint, so that a later one has to remove them. */
static void put_what_dies(struct fixture *f, struct room *ret_room)
{
    static const char value[4000];
    struct hf_set_options set = {.ttl_ms = 1000};
    char key[32];

    for (int i = 0; i < DYING; i++) {
        snprintf(key, sizeof(key), "local:%d", i);
        assert_ok(hf_set(f->store, s_(key), (struct hf_slice){value, sizeof(value)}, &set, NULL));
    }
    assert_ok(hf_checkpoint(f->store));
    *ret_room = (struct room){f->store, status_of(f).disk_used_bytes};
    assert_true(ret_room->bytes > DYING * sizeof(value));
}

static void assert_given_back(struct room *room)
{
    assert_true(wait_until(is_given_back, room, BOUND_MS));
}

/* Connected, away, and with heartbeats that are far between. */
static void test_outage__an_idle_store_removes_what_has_died(void **state)
{
    struct fixture *f = *state;
    struct room room;

    put_what_dies(f, &room);
    assert_given_back(&room);
    put_what_dies(f, &room);
    stop_redis(f);
    assert_given_back(&room);
    put_what_dies(f, &room);
    start_redis(f);
    assert_true(wait_link(f->store, HF_LINK_ONLINE, BOUND_MS));
    assert_given_back(&room);
    close_store(f);
    f->opts.redis_heartbeat_ms = 60000;
    open_store(f);
    assert_true(wait_link(f->store, HF_LINK_ONLINE, BOUND_MS));
    put_what_dies(f, &room);
    assert_given_back(&room);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(test_outage__##name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(online_writes_are_plain_values_in_redis),
        T(the_longest_prefix_is_shared_as_any_other),
        T(a_write_right_after_opening_waits_for_the_first_connection),
        T(an_increment_answers_what_redis_holds_with_others_adding),
        T(an_online_batch_is_shared_as_one_unit),
        T(a_batch_of_lives_is_shared_as_one_unit_online_and_afterwards),
        T(namespaces_write_through_behind_and_not_at_all),
        T(a_key_that_is_not_held_is_fetched_and_kept),
        T(what_a_plain_client_wrote_while_the_store_was_closed_is_found),
        T(everything_written_during_an_outage_is_shared_afterwards),
        T(pending_changes_survive_restarts_and_checkpoints),
        T(a_short_life_that_ends_during_the_outage_removes_the_older_value),
        T(increments_count_once_through_many_outages),
        T(a_frozen_redis_costs_a_write_no_more_than_its_timeout),
        T(a_key_of_another_type_is_parked_not_overwritten_at_replay),
        T(what_was_replayed_among_nodes_is_not_fetched),
        T(a_key_of_another_type_is_parked_without_the_right_to_run_scripts),
        T(a_value_that_is_too_long_is_parked_with_the_servers_last_word),
        T(an_embedded_store_shares_all_it_has_when_it_gets_an_address),
        T(a_long_queue_of_submissions_is_shared_whatever_redis_does),
        T(what_other_nodes_and_our_own_lost_tail_changed_is_fetched_at_catch_up),
        T(a_change_log_is_trimmed_to_about_what_the_namespace_says),
        T(with_redis_out_of_memory_deletes_still_go_and_the_rest_waits),
        T(with_redis_out_of_memory_deletes_that_waited_go_in_each_namespace),
        T(a_wrong_password_holds_the_link_and_loses_nothing),
        T(every_change_of_the_link_is_told_however_short),
        T(old_changes_of_the_link_make_room_for_new_ones),
        T(a_pulse_tells_what_the_status_tells),
        T(an_idle_store_removes_what_has_died),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
