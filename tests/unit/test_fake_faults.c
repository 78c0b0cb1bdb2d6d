/* What can befall the fake Redis and the way to it, and what its connections make of that. That its answers are a Redis's is
 * seen in tests/integration/test_model.c. */
#include "fake_tier.h"
#include "link_driver.h"
#include "scratch.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define SOON_MS 5000
#define TIMEOUT_MS 40
#define NODE "00000000000000000000000000000001"
#define NOON INT64_C(1700000000000)

/* ---- fixture: two connections of one node, and a clock that is moved by hand ---- */

struct fixture {
    struct hf_clock clock; /* first */
    atomic_int_least64_t now_ms;
    struct link_driver one, other;
    int n_told; /* guarded by the lock of `one` */
};

static struct fixture *fixture; /* who is told knows no other way to it */

static int64_t manual_ms(struct hf_clock *clock)
{
    return atomic_load(&((struct fixture *)clock)->now_ms);
}

static void on_told(struct link_driver *d, const struct hf_slice *keys, size_t n)
{
    (void)keys;
    pthread_mutex_lock(&d->lock);
    fixture->n_told += d == &fixture->one ? (int)n : 0;
    pthread_mutex_unlock(&d->lock);
}

static void open_one(struct fixture *f, struct link_driver *d)
{
    struct hf_options opts = {.redis_timeout_ms = TIMEOUT_MS, .redis_connect_timeout_ms = TIMEOUT_MS};
    struct hf_shared_tier *tier;

    assert_int_equal(fake_redis_open(&opts, NODE, &f->clock, &tier), 0);
    link_driver_drive(d, tier, on_told);
}

static int setup(void **state)
{
    struct fixture *f = fixture = calloc(1, sizeof(*f));

    if (!f)
        return -1;
    f->clock = (struct hf_clock){.wall_ms = manual_ms, .boot_ms = manual_ms};
    fake_redis_start();
    fake_redis_set_clock(&f->clock, NOON);
    open_one(f, &f->one);
    open_one(f, &f->other);
    assert_true(link_driver_connects(&f->one));
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    link_driver_stop(&f->one);
    link_driver_stop(&f->other);
    fake_redis_stop();
    free(f);
    return 0;
}

/* ---- vocabulary ---- */

static void group_done(void *ctx, struct hf_shared_group *group)
{
    (void)group;
    link_driver_note(ctx);
}

static int send_group(struct link_driver *d, void *group)
{
    return d->tier->ops->send_group(d->tier, group);
}

static void fetch_done(void *ctx, struct hf_shared_fetch *fetch)
{
    (void)fetch;
    link_driver_note(ctx);
}

static int send_fetch(struct link_driver *d, void *fetch)
{
    return d->tier->ops->send_fetch(d->tier, fetch);
}

static void lane_done(void *ctx, struct hf_shared_lane *lane)
{
    (void)lane;
    link_driver_note(ctx);
}

static int send_lane(struct link_driver *d, void *lane)
{
    return d->tier->ops->send_lane(d->tier, lane);
}

static void epoch_done(void *ctx, struct hf_shared_epoch *epoch)
{
    (void)epoch;
    link_driver_note(ctx);
}

static int send_epoch(struct link_driver *d, void *epoch)
{
    return d->tier->ops->send_epoch(d->tier, epoch);
}

static int count_lost(struct link_driver *d)
{
    int n;

    pthread_mutex_lock(&d->lock);
    n = d->n_lost;
    pthread_mutex_unlock(&d->lock);
    return n;
}

struct ends {
    enum hf_shared_class item, group;
};

/* An answer that ends the connection has ended it. */
static struct ends store(struct link_driver *d, const char *key, const char *value)
{
    struct hf_shared_item item = {.op = HF_SHARED_SET, .key = s_(key), .value = s_(value), .lsn = 1};
    struct hf_shared_group group = {.items = &item, .n_items = 1, .done = group_done, .ctx = d};
    int lost = count_lost(d);

    link_driver_send(d, send_group, &group);
    if (group.error.class == HF_SHARED_FENCE || group.error.class == HF_SHARED_LINK)
        link_driver_wait_lost(d, lost + 1);
    return (struct ends){item.error.class, group.error.class};
}

static enum hf_shared_class fetch(struct link_driver *d, const char *key, bool *ret_found)
{
    struct hf_shared_fetch request = {.key = s_(key), .done = fetch_done, .ctx = d};

    link_driver_send(d, send_fetch, &request);
    *ret_found = request.found;
    return request.error.class;
}

static enum hf_lane_outcome increment(struct link_driver *d, uint64_t prev)
{
    struct hf_shared_lane_op op = {.op = HF_SHARED_INCR, .key = s_("n"), .delta = 1, .lsn = prev + 1};
    struct hf_shared_lane lane = {
        .mark_key = s_("_hf::mark:" NODE), .prev = prev, .ops = &op, .n_ops = 1, .done = lane_done, .ctx = d};

    link_driver_send(d, send_lane, &lane);
    return lane.outcome;
}

static struct hf_shared_epoch epoch_of(struct link_driver *d)
{
    struct hf_shared_epoch epoch = {.with_log = true, .done = epoch_done, .ctx = d};

    link_driver_send(d, send_epoch, &epoch);
    return epoch;
}

static int count_told(struct fixture *f)
{
    int n;

    pthread_mutex_lock(&f->one.lock);
    n = f->n_told;
    pthread_mutex_unlock(&f->one.lock);
    return n;
}

static enum hf_shared_class why_lost(struct link_driver *d)
{
    enum hf_shared_class class;

    pthread_mutex_lock(&d->lock);
    class = d->lost.class;
    pthread_mutex_unlock(&d->lock);
    return class;
}

/* ---- what comes late ---- */

/* History 1. The token of the next connection stands before it; without one, it is carried out. */
static void test_fake_faults__a_group_that_comes_late_is_fenced_by_the_next_connection(void **state)
{
    struct fixture *f = *state;

    for (int fenced = 0; fenced <= 1; fenced++) {
        fake_redis_script(FAKE_GROUP, FAKE_CUT_LATE, 1);
        assert_int_equal(store(&f->one, "k", "late").item, HF_SHARED_LINK);
        assert_int_equal(fake_redis_late(), 1);
        fake_redis_foreign_set("k", "newer", 0);
        if (fenced)
            assert_true(link_driver_connects(&f->one));
        fake_redis_run_late();
        assert_int_equal(fake_redis_late(), 0);
        assert_true(fake_redis_holds("k", fenced ? "newer" : "late"));
        assert_true(fenced || link_driver_connects(&f->one));
    }
}

static void test_fake_faults__a_lane_that_comes_late_counts_at_most_once(void **state)
{
    struct fixture *f = *state;

    fake_redis_script(FAKE_LANE, FAKE_CUT_LATE, 1);
    assert_int_equal(increment(&f->one, 0), HF_LANE_FAILED);
    link_driver_wait_lost(&f->one, 1);
    assert_true(link_driver_connects(&f->one));
    assert_int_equal(increment(&f->one, 0), HF_LANE_APPLIED);
    fake_redis_run_late();
    assert_true(fake_redis_holds("n", "1"));
}

static void test_fake_faults__another_connection_of_the_node_fences_the_first(void **state)
{
    struct fixture *f = *state;

    assert_true(link_driver_connects(&f->other));
    assert_int_equal(store(&f->one, "k", "v").group, HF_SHARED_FENCE);
    assert_int_equal(why_lost(&f->one), HF_SHARED_FENCE);
    assert_int_equal(store(&f->other, "k", "v").group, HF_SHARED_OK);
}

static void test_fake_faults__a_server_that_is_stopped_does_later_what_it_was_sent(void **state)
{
    struct fixture *f = *state;

    fake_redis_keep_time(true);
    fake_redis_halt(true);
    assert_int_equal(store(&f->one, "k", "v").group, HF_SHARED_LINK);
    assert_false(link_driver_connects(&f->one)); /* nobody answers, in time */
    assert_true(fake_redis_holds("k", NULL));
    fake_redis_halt(false);
    assert_true(fake_redis_holds("k", "v"));
}

/* ---- what is lost ---- */

static void test_fake_faults__a_cut_loses_the_request_or_the_answer(void **state)
{
    struct fixture *f = *state;

    for (int answer = 0; answer <= 1; answer++) {
        fake_redis_script(FAKE_GROUP, answer ? FAKE_CUT_ANSWER : FAKE_CUT, 1);
        assert_int_equal(store(&f->one, "k", "v").group, HF_SHARED_LINK);
        assert_true(fake_redis_holds("k", answer ? "v" : NULL));
        assert_true(link_driver_connects(&f->one));
    }
}

static void test_fake_faults__on_a_half_open_connection_nothing_comes_until_the_deadline(void **state)
{
    struct fixture *f = *state;

    fake_redis_keep_time(true);
    for (int answers = 0; answers <= 1; answers++) {
        fake_redis_silence(!answers, answers);
        assert_int_equal(store(&f->one, "k", "v").group, HF_SHARED_LINK);
        assert_true(fake_redis_holds("k", answers ? "v" : NULL));
        assert_true(link_driver_connects(&f->one)); /* a new one is well */
    }
}

static void test_fake_faults__an_idle_connection_is_found_dead_by_its_heartbeat(void **state)
{
    struct fixture *f = *state;

    fake_redis_keep_time(true);
    fake_redis_silence(true, false);
    link_driver_wait_lost(&f->one, 1);
    assert_int_equal(why_lost(&f->one), HF_SHARED_LINK);
}

static void test_fake_faults__connections_are_refused_while_others_stand(void **state)
{
    struct fixture *f = *state;

    fake_redis_refuse_connections(true);
    assert_false(link_driver_connects(&f->other));
    assert_int_equal(why_lost(&f->other), HF_SHARED_LINK);
    assert_int_equal(store(&f->one, "k", "v").group, HF_SHARED_OK);
}

static int64_t mono_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

static void test_fake_faults__a_delay_is_there_and_back(void **state)
{
    struct fixture *f = *state;
    int64_t before = mono_ms();
    bool found;

    fake_redis_delay(10, 20);
    assert_int_equal(store(&f->one, "k", "v").group, HF_SHARED_OK);
    assert_true(mono_ms() - before >= 20);
    assert_int_equal(fetch(&f->one, "k", &found), HF_SHARED_OK);
    assert_true(found && mono_ms() - before >= 40);
}

/* ---- troubles ---- */

/* How a connection that stands finds it, and how a new one does. What a server of its own can be brought to is compared in
 * test_model.c; all are here. */
static void test_fake_faults__each_trouble_has_its_class(void **state)
{
    static const struct {
        enum fake_trouble trouble;
        enum hf_shared_class item, group, fetch, connect;
    } all[] = {
        {FAKE_TROUBLE_LOADING, HF_SHARED_STATE, HF_SHARED_FENCE, HF_SHARED_STATE, HF_SHARED_STATE},
        {FAKE_TROUBLE_BUSY, HF_SHARED_STATE, HF_SHARED_FENCE, HF_SHARED_STATE, HF_SHARED_STATE},
        {FAKE_TROUBLE_OOM, HF_SHARED_STATE, HF_SHARED_STATE, HF_SHARED_OK, HF_SHARED_OK},
        {FAKE_TROUBLE_MISCONF, HF_SHARED_STATE, HF_SHARED_STATE, HF_SHARED_OK, HF_SHARED_STATE},
        {FAKE_TROUBLE_READONLY, HF_SHARED_STATE, HF_SHARED_STATE, HF_SHARED_OK, HF_SHARED_OK},
        {FAKE_TROUBLE_NOPERM, HF_SHARED_AUTH, HF_SHARED_FENCE, HF_SHARED_AUTH, HF_SHARED_AUTH},
        {FAKE_TROUBLE_NOAUTH, HF_SHARED_OK, HF_SHARED_OK, HF_SHARED_OK, HF_SHARED_AUTH},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        struct ends ends;
        bool connects, found;
        assert_true(link_driver_connects(&f->one));
        fake_redis_trouble(all[i].trouble, true);
        assert_int_equal(fetch(&f->one, "k", &found), all[i].fetch);
        ends = store(&f->one, "k", "v");
        assert_int_equal(ends.item, all[i].item);
        assert_int_equal(ends.group, all[i].group);
        connects = link_driver_connects(&f->other);
        assert_int_equal(connects ? HF_SHARED_OK : why_lost(&f->other), all[i].connect);
        fake_redis_trouble(all[i].trouble, false);
    }
}

static void test_fake_faults__beyond_its_memory_it_refuses_or_evicts(void **state)
{
    struct fixture *f = *state;
    char key[16], value[200];
    int n_left = 0;

    memset(value, 'v', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    fake_redis_limit_memory(2000, true);
    for (int i = 0; i < 20; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        fake_redis_foreign_set(key, value, 0);
    }
    (void)store(&f->one, "k", "v"); /* before which it evicts; our token may be among that */
    for (int i = 0; i < 20; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        n_left += fake_redis_holds(key, value);
    }
    assert_in_range(n_left, 1, 8);
    fake_redis_limit_memory(1, false);
    assert_true(link_driver_connects(&f->one)); /* by what frees first */
    assert_int_equal(store(&f->one, "k", "v").item, HF_SHARED_STATE);
}

/* ---- other histories ---- */

static void test_fake_faults__it_comes_back_empty_or_with_what_the_replica_had(void **state)
{
    struct fixture *f = *state;
    struct hf_shared_epoch was = epoch_of(&f->one), is;

    assert_int_equal(store(&f->one, "k", "old").group, HF_SHARED_OK);
    fake_redis_snapshot();
    assert_int_equal(store(&f->one, "k", "new").group, HF_SHARED_OK);
    fake_redis_failover();
    link_driver_wait_lost(&f->one, 1);
    assert_true(fake_redis_holds("k", "old"));
    assert_true(link_driver_connects(&f->one));
    is = epoch_of(&f->one);
    assert_string_equal(is.epoch, was.epoch);
    fake_redis_restart_empty();
    link_driver_wait_lost(&f->one, 2);
    assert_true(link_driver_connects(&f->one));
    assert_true(epoch_of(&f->one).created);
    assert_true(fake_redis_holds("k", NULL));
}

static void test_fake_faults__an_exchange_of_databases_is_not_told_and_fences(void **state)
{
    struct fixture *f = *state;
    bool found;

    fake_redis_swap();
    assert_int_equal(fetch(&f->one, "k", &found), HF_SHARED_OK);
    assert_int_equal(count_told(f), 0);
    assert_int_equal(store(&f->one, "k", "v").group, HF_SHARED_FENCE);
    fake_redis_swap();
    assert_true(fake_redis_holds("k", NULL));
}

static void test_fake_faults__a_key_dies_by_its_clock_and_is_told_when_somebody_looks(void **state)
{
    struct fixture *f = *state;
    bool found;

    fake_redis_foreign_set("k", "v", NOON + 10);
    assert_int_equal(fetch(&f->one, "k", &found), HF_SHARED_OK);
    assert_true(found);
    assert_int_equal(count_told(f), 1);
    atomic_store(&f->now_ms, 11);
    assert_true(fake_redis_holds("k", NULL));
    assert_int_equal(fetch(&f->one, "other", &found), HF_SHARED_OK);
    assert_int_equal(count_told(f), 1);
    fake_redis_expire();
    assert_int_equal(fetch(&f->one, "k", &found), HF_SHARED_OK);
    assert_false(found);
    assert_int_equal(count_told(f), 2);
}

/* The table of docs/redis-bookkeeping.md, as tests/integration/test_tracking.c has seen it. */
static void test_fake_faults__of_one_turn_it_tells_who_was_last(void **state)
{
    static const struct {
        const char *order; /* o: our group, l: our lane, t: another */
        int told;
    } all[] = {{"o", 0}, {"t", 1}, {"ot", 1}, {"to", 0}, {"l", 1}, {"tl", 1}};
    struct fixture *f = *state;
    bool found;

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        int before = count_told(f);
        fake_redis_hold_turn(true);
        fake_redis_set_mark(0);
        for (const char *who = all[i].order; *who; who++) {
            if (*who == 'o')
                assert_int_equal(store(&f->one, "n", "1").item, HF_SHARED_OK);
            else if (*who == 'l')
                assert_int_equal(increment(&f->one, 0), HF_LANE_APPLIED);
            else
                fake_redis_foreign_set("n", "2", 0);
        }
        fake_redis_hold_turn(false);
        (void)fetch(&f->one, "other", &found); /* behind what is told */
        assert_int_equal(count_told(f) - before, all[i].told);
    }
}

/* What is drawn by chance follows from the seed. */
static void test_fake_faults__a_seed_repeats_itself(void **state)
{
    char epochs[3][33];

    for (uint64_t i = 0; i < 3; i++) {
        struct fixture *f = *state;
        fake_redis_restart_empty();
        link_driver_wait_lost(&f->one, 1);
        fake_redis_seed(i < 2 ? 17 : 18);
        assert_true(link_driver_connects(&f->one));
        memcpy(epochs[i], epoch_of(&f->one).epoch, 33);
        assert_int_equal(teardown(state), 0);
        assert_int_equal(setup(state), 0);
    }
    assert_string_equal(epochs[0], epochs[1]);
    assert_string_not_equal(epochs[0], epochs[2]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_fake_faults__##name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_group_that_comes_late_is_fenced_by_the_next_connection),
        TEST(a_lane_that_comes_late_counts_at_most_once),
        TEST(another_connection_of_the_node_fences_the_first),
        TEST(a_server_that_is_stopped_does_later_what_it_was_sent),
        TEST(a_cut_loses_the_request_or_the_answer),
        TEST(on_a_half_open_connection_nothing_comes_until_the_deadline),
        TEST(an_idle_connection_is_found_dead_by_its_heartbeat),
        TEST(connections_are_refused_while_others_stand),
        TEST(a_delay_is_there_and_back),
        TEST(each_trouble_has_its_class),
        TEST(beyond_its_memory_it_refuses_or_evicts),
        TEST(it_comes_back_empty_or_with_what_the_replica_had),
        TEST(an_exchange_of_databases_is_not_told_and_fences),
        TEST(a_key_dies_by_its_clock_and_is_told_when_somebody_looks),
        TEST(of_one_turn_it_tells_who_was_last),
        TEST(a_seed_repeats_itself),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
