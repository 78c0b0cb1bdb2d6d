/* The fake Redis itself: what tests of the link lean on must answer as the seam says. */
#include "fake_tier.h"
#include "scratch.h"

#include "bytes.h"
#include "digest.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define SOON_MS 5000
#define NODE "00000000000000000000000000000001"
#define DAY_MS (24 * 3600 * 1000)

/* ---- fixture: one connection, requests one at a time ---- */

struct fixture {
    struct hf_shared_tier *tier;
    atomic_bool connected, tracking, done;
    atomic_uint n_lost, n_told, n_all;
    char named[256]; /* by the log: keys, each with a space behind it */
    struct hf_shared_change change;
};

static void on_connected(void *ctx, const struct hf_shared_hello *hello)
{
    struct fixture *f = ctx;

    atomic_store(&f->tracking, hello->tracking);
    atomic_store(&f->connected, true);
}

static void on_lost(void *ctx, const struct hf_shared_error *error)
{
    struct fixture *f = ctx;

    (void)error;
    atomic_store(&f->connected, false);
    atomic_fetch_add(&f->n_lost, 1);
}

static void on_woken(void *ctx)
{
    (void)ctx;
}

static void on_invalidated(void *ctx, const struct hf_slice *keys, size_t n)
{
    struct fixture *f = ctx;

    (void)keys;
    atomic_fetch_add(n == 0 ? &f->n_all : &f->n_told, 1);
}

static const struct hf_shared_handler handler = {on_connected, on_lost, on_woken, on_woken, on_invalidated, NULL};

static bool is_true(void *flag)
{
    return atomic_load((atomic_bool *)flag);
}

static bool is_not_zero(void *count)
{
    return atomic_load((atomic_uint *)count) > 0;
}

static void connect_it(struct fixture *f)
{
    f->tier->ops->connect(f->tier);
    f->tier->ops->wake(f->tier);
    assert_true(wait_until(is_true, &f->connected, SOON_MS));
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    if (!f)
        return -1;
    fake_redis_start();
    if (fake_redis_open(NULL, NODE, hf__clock_real(), &f->tier) != 0)
        return -1;
    assert_ok(f->tier->ops->start(f->tier, &handler, f));
    connect_it(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    f->tier->ops->stop(f->tier);
    fake_redis_stop();
    free(f);
    return 0;
}

/* A `done` of every kind of request: its ctx comes first. */
#define DONE(name, type)                                                                                           \
    static void name(void *ctx, type *request)                                                                     \
    {                                                                                                              \
        (void)request;                                                                                             \
        atomic_store(&((struct fixture *)ctx)->done, true);                                                        \
    }
DONE(group_done, struct hf_shared_group)
DONE(lane_done, struct hf_shared_lane)
DONE(epoch_done, struct hf_shared_epoch)
DONE(page_done, struct hf_shared_log_page)
DONE(examine_done, struct hf_shared_examine)
DONE(decide_done, struct hf_shared_decide)
DONE(facts_done, struct hf_shared_facts)

static void finish(struct fixture *f, int rc)
{
    assert_ok(rc);
    f->tier->ops->wake(f->tier);
    assert_true(wait_until(is_true, &f->done, SOON_MS));
}

#define RUN(f, request, send, callback)                                                                            \
    do {                                                                                                           \
        (request)->done = (callback);                                                                              \
        (request)->ctx = (f);                                                                                      \
        atomic_store(&(f)->done, false);                                                                           \
        finish((f), (f)->tier->ops->send((f)->tier, (request)));                                                   \
    } while (0)

static void remember(void *ctx, const struct hf_shared_change *change)
{
    struct fixture *f = ctx;
    size_t n = strlen(f->named);

    snprintf(f->named + n, sizeof(f->named) - n, "%.*s ", (int)change->key.len, (const char *)change->key.data);
    f->change = *change;
}

/* ---- vocabulary ---- */

static struct hf_shared_epoch epoch_of(struct fixture *f, bool look_only)
{
    struct hf_shared_epoch epoch = {.with_log = true, .look_only = look_only};

    RUN(f, &epoch, send_epoch, epoch_done);
    return epoch;
}

/* As a name of the log in force. */
static struct hf_slice log_key(struct fixture *f)
{
    static char name[64];

    snprintf(name, sizeof(name), "_hf::log:%s", epoch_of(f, true).epoch);
    return s_(name);
}

static struct hf_shared_log_page page_of(struct fixture *f, const char *after)
{
    struct hf_shared_log_page page = {.log_key = log_key(f), .count = 100, .each = remember};

    snprintf(page.after_id, sizeof(page.after_id), "%s", after);
    f->named[0] = '\0';
    RUN(f, &page, send_log_page, page_done);
    return page;
}

static void look_at(struct fixture *f, struct hf_shared_seen *seen, size_t n, bool watch)
{
    struct hf_shared_examine examine = {
        .keys = seen, .n_keys = n, .watch = watch ? HF_WATCH_KEYS : HF_WATCH_NOTHING};

    RUN(f, &examine, send_examine, examine_done);
    assert_int_equal(examine.error.class, HF_SHARED_OK);
}

/* `log_key` asks, which is not allowed while keys are watched: then nothing is named. */
static enum hf_shared_class store(struct fixture *f, const char *key, const char *value, bool watched)
{
    struct hf_shared_item item = {
        .op = HF_SHARED_SET, .key = s_(key), .value = s_(value), .lsn = 7, .made_ms = 12345, .uncertainty_ms = 6};
    struct hf_shared_log log = {.key = watched ? s_("") : log_key(f), .n_items = 1};
    struct hf_shared_group group = {.items = &item, .n_items = 1, .logs = &log, .n_logs = 1, .watched = watched};

    RUN(f, &group, send_group, group_done);
    return item.error.class;
}

static struct hf_shared_decide decide(struct fixture *f, struct hf_shared_decide decide)
{
    RUN(f, &decide, send_decide, decide_done);
    assert_int_equal(decide.error.class, HF_SHARED_OK);
    return decide;
}

/* ---- tests ---- */

/* Every way to touch a key between the look and the group, and none. */
static void test_fake_tier__a_watched_group_is_refused_when_a_key_was_touched(void **state)
{
    struct fixture *f = *state;
    enum { NOT, SET, DELETE, EXPIRE, TYPE, OTHER_NODE, OTHER_KEY, N };

    for (int how = NOT; how < N; how++) {
        struct hf_shared_seen seen = {.key = s_("k")};
        bool touches = how != NOT && how != OTHER_KEY;
        fake_redis_foreign_set("k", "v", 0);
        look_at(f, &seen, 1, true);
        if (how == SET || how == OTHER_KEY)
            fake_redis_foreign_set(how == SET ? "k" : "other", "v", 0);
        else if (how == DELETE)
            fake_redis_foreign_delete("k");
        else if (how == EXPIRE)
            fake_redis_foreign_expire("k", wall_ms() + DAY_MS);
        else if (how == TYPE)
            fake_redis_other_type("k", "hash");
        else if (how == OTHER_NODE)
            fake_redis_other_node("k", "v", 1, 1);
        assert_int_equal(store(f, "k", "ours", true), touches ? HF_SHARED_RETRY : HF_SHARED_OK);
        assert_true(fake_redis_holds("k", "ours") == !touches);
    }
    assert_int_equal(store(f, "k", "again", false), HF_SHARED_OK); /* the watching has ended */
}

static void test_fake_tier__an_examination_tells_type_length_digest_value_and_deadline(void **state)
{
    struct fixture *f = *state;
    struct hf_version_id id = hf__version_id(s_("value"), 0);
    struct hf_shared_seen seen[] = {{.key = s_("k"), .want = HF_WANT_VALUE | HF_WANT_DEADLINE},
                                    {.key = s_("h")},
                                    {.key = s_("none"), .want = HF_WANT_DIGEST}};
    int64_t deadline_ms = wall_ms() + DAY_MS;

    fake_redis_foreign_set("k", "value", deadline_ms);
    fake_redis_other_type("h", "hash");
    look_at(f, seen, 3, false);
    assert_int_equal(seen[0].kind, HF_SHARED_STRING);
    assert_int_equal(seen[0].len, 5);
    assert_int_equal(seen[0].deadline_ms, deadline_ms);
    assert_true(seen[0].has_digest);
    assert_memory_equal(seen[0].digest, id.digest, 20);
    assert_int_equal(seen[1].kind, HF_SHARED_OTHER);
    assert_string_equal(seen[1].type, "hash");
    assert_int_equal(seen[2].kind, HF_SHARED_ABSENT);
    assert_false(seen[2].has_digest);
}

static void test_fake_tier__an_examination_has_a_budget_and_serves_at_least_one_key(void **state)
{
    struct fixture *f = *state;
    size_t n = HF_EXAMINE_BUDGET + 1;
    char *value = calloc(1, n + 1);
    struct hf_shared_seen seen[] = {{.key = s_("big"), .want = HF_WANT_DIGEST},
                                    {.key = s_("big2"), .want = HF_WANT_DIGEST},
                                    {.key = s_("small"), .want = HF_WANT_DIGEST}};

    assert_non_null(value);
    memset(value, 'x', n);
    fake_redis_foreign_set("big", value, 0);
    fake_redis_foreign_set("big2", value, 0);
    fake_redis_foreign_set("small", "s", 0);
    free(value);
    look_at(f, seen, 3, false);
    assert_true(seen[0].has_digest && !seen[0].left_out);
    assert_true(!seen[1].has_digest && seen[1].left_out);
    assert_int_equal(seen[1].len, n);
    assert_true(seen[2].has_digest && !seen[2].left_out);
}

static void test_fake_tier__the_log_tells_who_when_and_how_surely(void **state)
{
    struct fixture *f = *state;

    assert_true(epoch_of(f, false).created);
    assert_int_equal(store(f, "a", "1", false), HF_SHARED_OK);
    page_of(f, "");
    assert_string_equal(f->named, "a ");
    assert_int_equal(f->change.made_ms, 12345);
    assert_int_equal(f->change.uncertainty_ms, 6);
    assert_int_equal(f->change.lsn, 7);
    fake_redis_other_node("b", NULL, 777, 8);
    fake_redis_foreign_set("c", "unnamed", 0);
    page_of(f, "");
    assert_string_equal(f->named, "a b ");
    assert_int_equal(f->change.op, HF_SHARED_DELETE);
    assert_int_equal(f->change.made_ms, 777);
    assert_int_equal(f->change.uncertainty_ms, 8);
}

/* Trimmed: a gap. Rolled back, and written since: missing. */
static void test_fake_tier__the_log_tells_of_gaps_and_of_another_history(void **state)
{
    struct fixture *f = *state;
    struct hf_shared_log_page page;
    char ours[48];

    epoch_of(f, false);
    fake_redis_other_node("a", "1", 1, 1);
    fake_redis_snapshot();
    fake_redis_other_node("b", "1", 1, 1);
    page = page_of(f, "");
    memcpy(ours, page.after_id, sizeof(ours));
    fake_redis_restore();
    assert_true(wait_until(is_not_zero, &f->n_lost, SOON_MS));
    connect_it(f);
    assert_true(fake_redis_holds("b", NULL));
    page = page_of(f, ours);
    assert_false(page.missing); /* behind all: the log's newest id tells */
    fake_redis_other_node("c", "1", 1, 1);
    page = page_of(f, ours);
    assert_true(page.missing && !page.gap);
    assert_string_equal(f->named, "c ");
    fake_redis_trim_log(1);
    page = page_of(f, "1-1");
    assert_true(page.gap && !page.missing);
}

static void test_fake_tier__looking_at_the_epoch_makes_nothing(void **state)
{
    struct fixture *f = *state;
    struct hf_shared_epoch epoch = epoch_of(f, true);

    assert_string_equal(epoch.epoch, "");
    assert_false(epoch.log_missing);
    epoch_of(f, false);
    fake_redis_lose_log();
    epoch = epoch_of(f, true);
    assert_true(epoch.log_missing && !epoch.created && epoch.epoch[0]);
    assert_true(epoch_of(f, true).log_missing);
    assert_true(epoch_of(f, false).log_missing); /* made again */
    assert_false(epoch_of(f, false).log_missing);
}

static void test_fake_tier__a_wipe_is_told_fences_and_takes_the_epoch(void **state)
{
    struct fixture *f = *state;
    char before[33];

    assert_true(atomic_load(&f->tracking));
    memcpy(before, epoch_of(f, false).epoch, sizeof(before));
    fake_redis_wipe();
    assert_true(wait_until(is_not_zero, &f->n_all, SOON_MS));
    assert_string_equal(epoch_of(f, true).epoch, "");
    assert_int_equal(store(f, "a", "1", false), HF_SHARED_FENCE);
    assert_true(wait_until(is_not_zero, &f->n_lost, SOON_MS));
    connect_it(f);
    assert_string_not_equal(epoch_of(f, false).epoch, before);
    assert_true(wait_until(is_not_zero, &f->n_told, SOON_MS)); /* the script that made the log */
    atomic_store(&f->n_told, 0);
    assert_int_equal(store(f, "a", "1", false), HF_SHARED_OK);
    epoch_of(f, true);
    assert_int_equal(atomic_load(&f->n_told), 0); /* own changes are silent */
}

static void test_fake_tier__facts_tell_another_life_of_the_server(void **state)
{
    struct fixture *f = *state;
    struct hf_shared_facts was = {0}, is = {0};

    RUN(f, &was, send_facts, facts_done);
    fake_redis_restart();
    assert_true(wait_until(is_not_zero, &f->n_lost, SOON_MS));
    connect_it(f);
    RUN(f, &is, send_facts, facts_done);
    assert_string_not_equal(was.run_id, is.run_id);
    assert_true(is.uptime_s < was.uptime_s);
}

static void test_fake_tier__decisions_compare_act_and_number_the_holders(void **state)
{
    struct fixture *f = *state;
    struct hf_shared_decide set = {.op = HF_DECIDE_SET_IF_ABSENT, .key = s_("k"), .value = s_("1")};
    struct hf_shared_decide cas = {
        .op = HF_DECIDE_COMPARE_SET, .key = s_("k"), .expected = s_("1"), .value = s_("2"), .ttl_ms = DAY_MS};
    struct hf_shared_decide take = {.op = HF_DECIDE_GET_DELETE, .key = s_("k")};
    struct hf_shared_decide lock = {.op = HF_DECIDE_ACQUIRE,
                                    .key = s_("l"),
                                    .value = s_("me"),
                                    .ttl_ms = DAY_MS,
                                    .fence_key = s_("_hf::fence")};
    uint64_t fence;

    assert_true(decide(f, set).decided);
    assert_false(decide(f, set).decided);
    assert_true(decide(f, set).has_found);
    assert_true(decide(f, cas).ttl_left_ms > 0);
    assert_false(decide(f, cas).decided);
    assert_true(decide(f, take).decided);
    assert_false(decide(f, take).has_found);
    fence = decide(f, lock).fence;
    assert_int_equal(decide(f, lock).fence, fence); /* ours already */
    lock.value = s_("other");
    assert_false(decide(f, lock).decided);
    fake_redis_foreign_delete("l");
    assert_true(decide(f, lock).fence > fence);
}

static void test_fake_tier__a_lane_with_a_guard_that_does_not_hold_does_nothing(void **state)
{
    struct fixture *f = *state;
    struct hf_version_id id = hf__version_id(s_("base"), 0);
    struct hf_shared_guard guards[] = {{.absent = true}, {.len = 4}};
    struct hf_shared_lane_op ops[] = {
        {.op = HF_SHARED_INCR, .key = s_("n"), .delta = 1, .lsn = 1, .more = true},
        {.op = HF_SHARED_SET, .key = s_("k"), .value = s_("v"), .lsn = 2, .guards = guards, .n_guards = 2}};
    struct hf_shared_lane lane = {.mark_key = s_("_hf::mark:" NODE), .ops = ops, .n_ops = 2};

    memcpy(guards[1].digest, id.digest, sizeof(guards[1].digest));
    fake_redis_foreign_set("k", "else", 0);
    RUN(f, &lane, send_lane, lane_done);
    assert_int_equal(lane.outcome, HF_LANE_CHANGED);
    assert_int_equal(lane.bad, 1);
    assert_true(fake_redis_holds("n", NULL));
    fake_redis_foreign_set("k", "base", 0);
    RUN(f, &lane, send_lane, lane_done);
    assert_int_equal(lane.outcome, HF_LANE_APPLIED);
    RUN(f, &lane, send_lane, lane_done);
    assert_int_equal(lane.outcome, HF_LANE_ALREADY);
    assert_true(fake_redis_holds("n", "1"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_fake_tier__a_watched_group_is_refused_when_a_key_was_touched),
        TEST(test_fake_tier__an_examination_tells_type_length_digest_value_and_deadline),
        TEST(test_fake_tier__an_examination_has_a_budget_and_serves_at_least_one_key),
        TEST(test_fake_tier__the_log_tells_who_when_and_how_surely),
        TEST(test_fake_tier__the_log_tells_of_gaps_and_of_another_history),
        TEST(test_fake_tier__looking_at_the_epoch_makes_nothing),
        TEST(test_fake_tier__a_wipe_is_told_fences_and_takes_the_epoch),
        TEST(test_fake_tier__facts_tell_another_life_of_the_server),
        TEST(test_fake_tier__decisions_compare_act_and_number_the_holders),
        TEST(test_fake_tier__a_lane_with_a_guard_that_does_not_hold_does_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
