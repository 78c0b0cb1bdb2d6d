/* Sequences that broke an earlier draft of the design and need a Redis that answers as scripted. Each has a mutant
 * (mutants.cmake): the same test with the defence taken out must fail. */
#include "fake_tier.h"
#include "ignore.h"
#include "scratch.h"

#include "file_layer.h"
#include "link_state.h"
#include "lookup.h"
#include "store.h"
#include "write.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define SOON_MS 5000   /* a bound, not a pause: what is waited for happens long before */
#define NEVER_MS 60000 /* a time that a test must not reach */
#define MIB (1u << 20)
#define HOUR_MS 3600000
/* More than the clocks may be off, and less than would be a clock that was set back. */
#define LATER_MS 500

/* ---- fixture: a fake Redis, a directory, at most one open store ---- */

struct fixture {
    struct scratch scratch;
    struct hf_options opts;
    struct hf_namespace ns; /* of all keys */
    struct hf *store;       /* NULL while closed */
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    if (!f)
        return -1;
    scratch_make(&f->scratch);
    f->ns = (struct hf_namespace){.prefix = ""};
    /* Nothing happens by the clock: a checkpoint comes when it is asked for, a write is pending after a moment. */
    f->opts = (struct hf_options){
        .redis = "fake",
        .redis_timeout_ms = 500,
        .redis_backoff_max_ms = 50,
        .checkpoint_interval_ms = NEVER_MS,
        .max_disk_bytes = 1u << 30,
        .namespaces = &f->ns,
        .n_namespaces = 1,
    };
    fake_redis_start();
    *state = f;
    return 0;
}

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

static int teardown(void **state)
{
    struct fixture *f = *state;

    fake_local_hold_commits(false);
    for (int kind = 0; kind < FAKE_REQUESTS; kind++)
        fake_redis_thaw((enum fake_request)kind);
    (void)hf_close(f->store); /* open only after a failure, which has been told */
    fake_redis_stop();
    scratch_remove(&f->scratch);
    free(f);
    return 0;
}

/* ---- waiting ---- */

struct count_wait {
    enum fake_request kind;
    unsigned n;
};

static bool was_asked(void *ctx)
{
    struct count_wait *w = ctx;

    return fake_redis_asked(w->kind) >= w->n;
}

/* Until the transport has been handed n requests of this kind. */
static void wait_asked(enum fake_request kind, unsigned n)
{
    struct count_wait w = {.kind = kind, .n = n};

    if (!wait_until(was_asked, &w, SOON_MS))
        fail_msg("%u requests of kind %d were sent; expected %u", fake_redis_asked(kind), (int)kind, n);
}

static void wait_state(struct hf *store, enum hf_link_state state)
{
    struct hf_status status;

    if (wait_link(store, state, SOON_MS))
        return;
    assert_ok(hf_status(store, &status));
    fail_msg("the link is %s (%s); expected %s", hf_link_text(status.link), status.link_reason,
             hf_link_text(state));
}

/* ---- writing without waiting ---- */

static void submit(struct hf *store, const struct hf_op *op)
{
    assert_ok(hf_submit(store, op, ignore_result, NULL));
}

static void submit_set(struct hf *store, const char *key, struct hf_slice value)
{
    submit(store, &(struct hf_op){.kind = HF_OP_SET, .key = s_(key), .value = value});
}

static void incr(struct hf *store, const char *key)
{
    int64_t number;

    assert_ok(hf_incr(store, s_(key), 1, &number, NULL));
}

static struct hf_status status_of(struct hf *store)
{
    struct hf_status status;

    assert_ok(hf_status(store, &status));
    return status;
}

static bool was_lost_again(void *ctx)
{
    return status_of(ctx).link_losses == 2;
}

static struct hf_result read_of(struct hf *store, const char *key)
{
    struct hf_result result;

    assert_ok(hf_exists(store, s_(key), &result));
    return result;
}

static void assert_redis_holds(const char *key, const char *value)
{
    if (!fake_redis_holds(key, value))
        fail_msg("Redis does not hold '%s' under '%s'", value ? value : "nothing", key);
}

static void open_online(struct fixture *f)
{
    open_store(f);
    wait_state(f->store, HF_LINK_ONLINE);
}

static void go_away(struct fixture *f)
{
    fake_redis_set_away(true);
    wait_state(f->store, HF_LINK_OFFLINE);
}

/* Redis loses what came after its snapshot, and the store finds out. */
static void go_back_to_snapshot(struct fixture *f)
{
    go_away(f);
    fake_redis_restore();
    fake_redis_set_away(false);
    assert_ok(hf_drain(f->store, SOON_MS));
}

/* The same, and others have written since. */
static void go_back_under(struct fixture *f, const char *key, const char *theirs)
{
    go_away(f);
    fake_redis_restore();
    fake_redis_foreign_set(key, theirs, 0);
    fake_redis_set_away(false);
    assert_ok(hf_drain(f->store, SOON_MS));
}

/* The same, and the change log is lost, too. */
static void go_back_without_log(struct fixture *f)
{
    go_away(f);
    fake_redis_restore();
    fake_redis_lose_log();
    fake_redis_foreign_set("a", "theirs", 0);
    fake_redis_set_away(false);
    assert_ok(hf_drain(f->store, SOON_MS));
}

/* Rows that fill a group each: live traffic has every other turn, so it has one before what is written behind them. */
static void put_big(struct hf *store, const char *key)
{
    char *text = malloc(MIB + 1);

    assert_non_null(text);
    memset(text, 'x', MIB);
    text[MIB] = '\0';
    put(store, key, text);
    free(text);
}

static void put_two_big(struct hf *store)
{
    put_big(store, "big1");
    put_big(store, "big2");
}

static bool was_told(void *ctx)
{
    return fake_redis_times_told() >= *(unsigned *)ctx;
}

/* What others have changed so far was told to the store: TIME is answered behind it. */
static void wait_told(void)
{
    unsigned n = fake_redis_times_told() + 1;

    fake_redis_tell_time();
    assert_true(wait_until(was_told, &n, SOON_MS));
}

/* A thread that reads "k". */
struct reading {
    struct hf *store;
    int rc;
    struct hf_buf value;
};

static void *read_key(void *arg)
{
    struct reading *r = arg;

    r->rc = hf_get(r->store, s_("k"), &r->value, NULL);
    return NULL;
}

/* As this store holds it, whatever Redis holds by now. */
static void assert_copy(struct hf *store, const char *key, const char *value)
{
    struct hf_slice found_key, found;
    struct hf_scan *scan;

    assert_ok(hf_scan_open(store, s_(key), s_(""), &scan));
    assert_ok(hf_scan_next(scan, &found_key, &found, NULL));
    if (!hf__slice_eq(found, s_(value)))
        fail_msg("the copy of '%s' is '%.*s'; expected '%s'", key, (int)found.len, (const char *)found.data, value);
    hf_scan_close(scan);
}

/* Come back, as far as the first group of the replay, which is not answered. */
static void come_back_to_the_first_group(struct fixture *f)
{
    unsigned asked = fake_redis_asked(FAKE_GROUP);

    assert_ok(hf_checkpoint(f->store));
    fake_redis_freeze(FAKE_GROUP);
    fake_redis_set_away(false);
    wait_asked(FAKE_GROUP, asked + 1);
}

static bool is_durable(void *ctx)
{
    struct hf_status status = status_of(ctx);

    return status.durable_lsn == status.last_lsn;
}

/* The only conflict is over this value of ours. */
static void assert_conflict_over(struct fixture *f, const char *ours)
{
    struct hf_local_snap *snap;
    struct hf_conflict_row row;

    assert_ok(hf_checkpoint(f->store));
    assert_int_equal(status_of(f->store).conflicts, 1);
    assert_ok(f->store->local->ops->snap_begin(f->store->local, &snap));
    assert_ok(f->store->local->ops->conflict_next(snap, 0, &row));
    assert_true(hf__slice_eq(row.ours.value, s_(ours)));
    f->store->local->ops->snap_end(snap);
}

/* ---- 2: one lane ---- */

/* A live increment is there first, and older ones wait in the local tier. */
static void test_link__2_live_increments_do_not_overtake_stored_ones(void **state)
{
    struct fixture *f = *state;

    fake_redis_set_away(true);
    open_store(f);
    put_two_big(f->store);
    for (int i = 0; i < 3; i++)
        incr(f->store, "n");
    come_back_to_the_first_group(f);
    submit(f->store, &(struct hf_op){.kind = HF_OP_INCR, .key = s_("n"), .delta = 1});
    assert_true(wait_until(is_durable, f->store, SOON_MS));
    fake_redis_thaw(FAKE_GROUP);
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_redis_holds("n", "4");
    assert_int_equal(fake_redis_applied("n"), 4);
    close_store(f);
}

/* ---- 9: the base is more than one value ---- */

/* The answer to the first write is lost with the connection, and its entry in the log is trimmed. */
static void lose_the_answer(struct fixture *f, bool stored_meanwhile)
{
    unsigned asked;

    f->ns.conflict = HF_CONFLICT_REMOTE;
    open_online(f);
    put(f->store, "k", "base");
    asked = fake_redis_asked(FAKE_GROUP);
    fake_redis_freeze(FAKE_GROUP);
    submit_set(f->store, "k", s_("sent"));
    wait_asked(FAKE_GROUP, asked + 1);
    if (stored_meanwhile)
        assert_ok(hf_checkpoint(f->store));
    fake_redis_script(FAKE_GROUP, FAKE_LOSE_ANSWER, 1);
    fake_redis_thaw(FAKE_GROUP);
    wait_state(f->store, HF_LINK_OFFLINE);
    assert_redis_holds("k", "sent");
}

static void write_over_what_was_sent(struct fixture *f)
{
    put(f->store, "k", "newer");
    assert_ok(hf_checkpoint(f->store));
    fake_redis_other_node("other", "theirs", wall_ms(), 0);
    fake_redis_trim_log(1); /* which an older copy of Redis would not have */
    fake_redis_set_away(false);
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_redis_holds("k", "newer");
    assert_int_equal(status_of(f->store).conflicts, 0);
    close_store(f);
}

static void test_link__9_an_own_version_that_was_sent_is_no_conflict(void **state)
{
    lose_the_answer(*state, false);
    write_over_what_was_sent(*state);
}

/* The overlay no longer holds it when its answer is lost. */
static void
test_link__9_a_live_write_that_a_checkpoint_stored_before_its_answer_was_lost_is_no_conflict(void **state)
{
    lose_the_answer(*state, true);
    write_over_what_was_sent(*state);
}

/* The first write has lost, but before that is settled the second one is made: it began from the same base. */
static void test_link__9_a_write_behind_one_that_loses_is_judged_by_the_same_base(void **state)
{
    struct fixture *f = *state;

    f->ns.conflict = HF_CONFLICT_REMOTE;
    open_online(f);
    put(f->store, "k", "base");
    go_away(f);
    put(f->store, "k", "first");
    fake_redis_foreign_set("k", "theirs", 0);
    come_back_to_the_first_group(f); /* which has nothing to store */
    submit_set(f->store, "k", s_("second"));
    fake_redis_thaw(FAKE_GROUP);
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_redis_holds("k", "theirs");
    assert_value(f->store, "k", "theirs");
    assert_conflict_over(f, "second");
    close_store(f);
}

/* The first write has won and is stored over theirs, but before that is settled the second one is made. */
static void write_behind_one_that_wins(struct fixture *f, bool then_increments)
{
    f->ns.conflict = HF_CONFLICT_NEWEST;
    open_online(f);
    put(f->store, "k", "1");
    assert_ok(hf_drain(f->store, SOON_MS));
    go_away(f);
    put(f->store, "k", "20");
    fake_redis_other_node("k", "300", wall_ms() - NEVER_MS, 0);
    come_back_to_the_first_group(f); /* theirs was looked at before */
    submit_set(f->store, "k", s_("4000"));
    if (then_increments)
        submit(f->store, &(struct hf_op){.kind = HF_OP_INCR, .key = s_("k"), .delta = 1});
    fake_redis_thaw(FAKE_GROUP);
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_redis_holds("k", then_increments ? "4001" : "4000");
    assert_value(f->store, "k", then_increments ? "4001" : "4000");
    assert_conflict_over(f, "20");
    close_store(f);
}

static void test_link__9_what_a_row_has_replaced_is_kept_when_its_key_is_written_meanwhile(void **state)
{
    write_behind_one_that_wins(*state, false);
}

static void test_link__9_what_a_row_has_replaced_is_kept_when_its_key_is_incremented_meanwhile(void **state)
{
    write_behind_one_that_wins(*state, true);
}

static void put_three_big(struct hf *store)
{
    put_big(store, "z1");
    put_big(store, "z2");
    put_big(store, "z3");
}

enum between { NOTHING_BETWEEN, CHECKPOINT_BETWEEN, LOSS_BETWEEN };

/* A row without a conflict is stored, and its key was written and incremented before Redis answered. Others are prepared behind it,
 * or not. */
static void increment_behind_a_stored_row(struct fixture *f, enum hf_conflict_policy policy, enum between between,
                                          bool others)
{
    f->ns.conflict = policy;
    open_online(f);
    put(f->store, "n", "5");
    assert_ok(hf_drain(f->store, SOON_MS));
    go_away(f);
    put(f->store, "n", "70");
    if (others)
        put_three_big(f->store);
    come_back_to_the_first_group(f);
    f->store->link->live_turn = true; /* before the rows that are prepared */
    submit_set(f->store, "n", s_("800"));
    submit(f->store, &(struct hf_op){.kind = HF_OP_INCR, .key = s_("n"), .delta = 1});
    if (between != NOTHING_BETWEEN)
        assert_ok(hf_checkpoint(f->store));
    if (between == LOSS_BETWEEN)
        fake_redis_script(FAKE_GROUP, FAKE_CUT_ANSWER, 1);
    fake_redis_thaw(FAKE_GROUP);
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_redis_holds("n", "801");
    assert_value(f->store, "n", "801");
    assert_ok(hf_checkpoint(f->store));
    assert_int_equal(status_of(f->store).conflicts + status_of(f->store).parked, 0);
    close_store(f);
}

static void test_link__9_an_increment_behind_a_row_of_ours_that_is_stored_is_no_conflict(void **state)
{
    static const enum hf_conflict_policy policies[] = {HF_CONFLICT_NEWEST, HF_CONFLICT_REMOTE, HF_CONFLICT_LOCAL,
                                                       HF_CONFLICT_PARK};

    for (size_t i = 0; i < 6 * sizeof(policies) / sizeof(policies[0]); i++) {
        increment_behind_a_stored_row(*state, policies[i / 6], (enum between)(i % 3), i % 6 < 3);
        assert_int_equal(teardown(state), 0);
        assert_int_equal(setup(state), 0);
    }
}

/* Its answer is there, and rows behind it are prepared: the live write is judged when the row has ended. */
static void test_link__9_a_write_behind_a_row_of_ours_that_is_stored_is_no_conflict(void **state)
{
    struct fixture *f = *state;

    f->ns.conflict = HF_CONFLICT_REMOTE;
    open_online(f);
    put(f->store, "n", "5");
    assert_ok(hf_drain(f->store, SOON_MS));
    go_away(f);
    put(f->store, "n", "70");
    put_three_big(f->store);
    come_back_to_the_first_group(f);
    f->store->link->live_turn = true; /* before the rows that are prepared */
    submit_set(f->store, "n", s_("800"));
    fake_redis_thaw(FAKE_GROUP);
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_redis_holds("n", "800");
    assert_value(f->store, "n", "800");
    close_store(f);
}

/* Another writes behind the row that has won, before the lane comes. */
static void test_link__9_what_others_write_over_a_row_that_was_stored_is_a_conflict(void **state)
{
    struct fixture *f = *state;
    unsigned asked;

    f->ns.conflict = HF_CONFLICT_LOCAL;
    open_online(f);
    put(f->store, "k", "1");
    assert_ok(hf_drain(f->store, SOON_MS));
    go_away(f);
    put(f->store, "k", "20");
    fake_redis_other_node("k", "300", wall_ms() - NEVER_MS, 0);
    come_back_to_the_first_group(f); /* theirs was looked at before */
    asked = fake_redis_asked(FAKE_LANE);
    fake_redis_freeze(FAKE_LANE);
    submit_set(f->store, "k", s_("4000"));
    submit(f->store, &(struct hf_op){.kind = HF_OP_INCR, .key = s_("k"), .delta = 1});
    fake_redis_thaw(FAKE_GROUP);
    wait_asked(FAKE_LANE, asked + 1);
    fake_redis_foreign_set("k", "999", 0);
    fake_redis_thaw(FAKE_LANE);
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_redis_holds("k", "4001");
    assert_ok(hf_checkpoint(f->store));
    assert_int_equal(status_of(f->store).conflicts, 2); /* over 300, and over 999 */
    close_store(f);
}

/* ---- 12: Redis is empty, and increments wait ---- */

/* A server that restarts, with what is there by now. */
static void lose_none(void)
{
    fake_redis_restart();
    fake_redis_set_away(false);
}

/* ... without data. */
static void lose_all(void)
{
    fake_redis_wipe();
    lose_none();
}

/* The first attempt to give it back ends in a lost answer; then, with everything there, others add to it. */
static void test_link__12_increments_that_wait_are_added_to_what_was_acknowledged(void **state)
{
    struct fixture *f = *state;
    struct hf_op ops[] = {{.kind = HF_OP_EXPIRE_AT, .key = s_("text")},
                          {.kind = HF_OP_INCR, .key = s_("n"), .delta = 7}};

    open_online(f);
    for (int i = 0; i < 10; i++)
        incr(f->store, "n");
    put(f->store, "text", "base");
    put(f->store, "replaced", "5");
    go_away(f);
    incr(f->store, "n");
    incr(f->store, "new");
    incr(f->store, "replaced");
    put(f->store, "replaced", "100"); /* joins the lane */
    assert_ok(hf_checkpoint(f->store));
    ops[0].deadline_ms = hf__now_ms(f->store) + NEVER_MS;
    assert_ok(hf__write(f->store, ops, 2, NULL)); /* waits in the overlay */
    fake_redis_script(FAKE_GROUP, FAKE_LOSE_ANSWER, 1);
    lose_all();
    assert_true(wait_until(was_lost_again, f->store, SOON_MS));
    assert_redis_holds("n", "10");
    assert_redis_holds("text", "base");
    assert_redis_holds("new", NULL);
    assert_redis_holds("replaced", NULL);
    fake_redis_foreign_set("n", "1000", 0);
    fake_redis_set_away(false);
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_redis_holds("n", "1008");
    assert_redis_holds("new", "1");
    assert_redis_holds("replaced", "100");
    assert_redis_holds("text", "base");
    assert_true(fake_redis_deadline_ms("text") != 0);
    close_store(f);
}

/* An increment whose answer was lost stands in a history that is lost, too. */
struct sent_twice {
    int before;           /* increments that were acknowledged */
    const char *theirs;   /* what another has put there since, or NULL */
    bool attempt_is_lost; /* our first one to give back what was acknowledged */
    bool is_not_stored;   /* checkpoints fail until Redis is back */
    bool adopts;          /* what is there, by policy: nothing is given back */
    const char *after;
    unsigned in_doubt;
};

static void play_sent_twice(struct fixture *f, const struct sent_twice *twice)
{
    unsigned asked;

    f->ns.on_loss = twice->adopts ? HF_LOSS_ADOPT : HF_LOSS_BY_EVIDENCE;
    open_online(f);
    for (int i = 0; i < twice->before; i++)
        incr(f->store, "n");
    assert_ok(hf_drain(f->store, SOON_MS));
    if (twice->is_not_stored)
        fake_local_fail_commits(-1);
    fake_redis_script(FAKE_LANE, FAKE_LOSE_ANSWER, 1);
    submit(f->store, &(struct hf_op){.kind = HF_OP_INCR, .key = s_("n"), .delta = 1});
    wait_state(f->store, HF_LINK_OFFLINE);
    fake_redis_wipe();
    if (twice->theirs)
        fake_redis_foreign_set("n", twice->theirs, 0);
    if (twice->attempt_is_lost)
        fake_redis_script(FAKE_GROUP, FAKE_LOSE_ANSWER, 1);
    asked = fake_redis_asked(FAKE_EPOCH);
    lose_none();
    if (twice->attempt_is_lost)
        assert_true(wait_until(was_lost_again, f->store, SOON_MS));
    fake_redis_set_away(false);
    if (twice->is_not_stored) {
        wait_asked(FAKE_EPOCH, asked + 1);
        assert_code(HF_EFULL, hf_checkpoint(f->store));
        fake_local_fail_commits(0);
    }
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_ok(hf_checkpoint(f->store));
    assert_redis_holds("n", twice->after);
    assert_int_equal(status_of(f->store).in_doubt, twice->in_doubt);
    assert_int_equal(status_of(f->store).pending_keys, 0);
    close_store(f);
}

/* Another node had read the counter behind the increment: what it gives back counts it. */
static void test_link__12_what_may_count_twice_is_in_doubt(void **state)
{
    static const struct sent_twice all[] = {
        {.before = 10, .theirs = "11", .after = "11", .in_doubt = 1},
        {.before = 0, .theirs = "1", .after = "1", .in_doubt = 1},
        {.before = 10, .theirs = "10", .after = "11"}, /* another had read it before */
        {.before = 10, .after = "11"},
        {.before = 0, .after = "1"},
        {.before = 10, .attempt_is_lost = true, .after = "11"},
        {.before = 0, .attempt_is_lost = true, .after = "1"},
        {.before = 10, .theirs = "11", .is_not_stored = true, .after = "11", .in_doubt = 1},
        {.before = 10, .is_not_stored = true, .after = "11"},
        {.before = 10, .theirs = "11", .adopts = true, .after = "11", .in_doubt = 1},
        {.before = 10, .adopts = true, .after = "1"},
    };

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        play_sent_twice(*state, &all[i]);
        assert_int_equal(teardown(state), 0);
        assert_int_equal(setup(state), 0);
    }
}

/* The answer to our first increment is lost, and what tells of it. */
static void lose_the_first_answer(struct fixture *f, void (*lose)(void))
{
    struct hf_op ops[] = {{.kind = HF_OP_INCR, .key = s_("n"), .delta = 1},
                          {.kind = HF_OP_SET, .key = s_("a"), .value = s_("1")}};

    open_online(f);
    put(f->store, "k", "v");
    fake_redis_snapshot();
    fake_redis_script(FAKE_LANE, FAKE_LOSE_ANSWER, 1);
    assert_ok(hf__write(f->store, ops, 2, NULL));
    wait_state(f->store, HF_LINK_OFFLINE);
    lose();
    fake_redis_set_away(false);
    assert_ok(hf_drain(f->store, SOON_MS));
    incr(f->store, "n");
    go_away(f); /* what is known of the mark by now holds on the next connection, too */
    fake_redis_set_away(false);
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_redis_holds("n", "2");
    assert_redis_holds("a", "1");
    assert_int_equal(status_of(f->store).in_doubt, 0);
    close_store(f);
}

static void lose_mark(void)
{
    fake_redis_set_mark(0);
}

static void test_link__13_a_first_increment_that_the_log_names_counts_once_without_its_mark(void **state)
{
    lose_the_first_answer(*state, lose_mark);
}

static void test_link__13_a_first_increment_that_a_rollback_took_is_sent_again(void **state)
{
    lose_the_first_answer(*state, fake_redis_restore);
}

static bool has_adopted(void *ctx)
{
    return !status_of(ctx).adopting;
}

/* Until what Redis lacks is in the conflict log: so many rows. */
static void assert_given_up(struct fixture *f, uint64_t n)
{
    assert_true(wait_until(has_adopted, f->store, SOON_MS));
    assert_ok(hf_checkpoint(f->store));
    assert_int_equal(status_of(f->store).conflicts, n);
}

/* The store is closed while its copies are compared. */
static void test_link__12_what_is_given_up_is_told_by_the_next_opening_too(void **state)
{
    struct fixture *f = *state;
    unsigned asked;

    f->ns.on_loss = HF_LOSS_ADOPT;
    open_online(f);
    put(f->store, "k", "v");
    go_away(f);
    fake_redis_wipe();
    asked = fake_redis_asked(FAKE_EXAMINE);
    fake_redis_freeze(FAKE_EXAMINE);
    fake_redis_set_away(false);
    wait_asked(FAKE_EXAMINE, asked + 1);
    put(f->store, "new", "v"); /* a group moves the cursor on */
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_true(status_of(f->store).adopting);
    assert_ok(hf_checkpoint(f->store));
    close_store(f);
    fake_redis_thaw(FAKE_EXAMINE);
    open_online(f);
    assert_given_up(f, 1);
    assert_value(f->store, "k", NULL);
    assert_value(f->store, "new", "v");
    close_store(f);
    open_online(f);
    assert_given_up(f, 1); /* and not found again */
    close_store(f);
}

/* The log told that another node changed it, and Redis was lost before it could be asked what that wrote. */
static void test_link__12_a_copy_that_others_had_changed_is_not_given_back(void **state)
{
    struct fixture *f = *state;
    unsigned asked;

    fake_redis_refuse_tracking(true); /* the log alone tells */
    open_online(f);
    put(f->store, "k", "old");
    put(f->store, "mine", "v");
    assert_ok(hf_drain(f->store, SOON_MS));
    asked = fake_redis_asked(FAKE_FETCH);
    fake_redis_freeze(FAKE_FETCH);
    fake_redis_other_node("k", "newer", 0, 0);
    wait_asked(FAKE_FETCH, asked + 1);
    go_away(f);
    fake_redis_thaw(FAKE_FETCH);
    lose_all();
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_redis_holds("mine", "v");
    assert_redis_holds("k", NULL);
    assert_value(f->store, "k", NULL);
    close_store(f);
}

/* Only the life of the key is owed when Redis loses all: what it had of it is given back all the same, whoever writes there. */
static void test_link__12_a_key_whose_life_was_changed_is_given_back(void **state)
{
    static const enum hf_writers writers[] = {HF_WRITERS_ANY, HF_WRITERS_HOLDFAST, HF_WRITERS_THIS_NODE};
    struct fixture *f = *state;

    f->ns.on_loss = HF_LOSS_RESEED;
    for (size_t i = 0; i < sizeof(writers) / sizeof(*writers); i++) {
        f->ns.writers = writers[i];
        open_online(f);
        put(f->store, "k", "v");
        go_away(f);
        assert_ok(hf_expire(f->store, s_("k"), HOUR_MS, NULL));
        lose_all();
        assert_ok(hf_drain(f->store, SOON_MS));
        assert_redis_holds("k", "v");
        assert_true(fake_redis_deadline_ms("k") > 0);
        close_store(f);
    }
}

/* Another node has written the key since the loss, and has deleted it: the older copy here does not come back. */
static void test_link__12_what_was_written_since_a_loss_and_has_ended_is_not_given_back(void **state)
{
    struct fixture *f = *state;
    unsigned asked;

    f->ns.on_loss = HF_LOSS_RESEED;
    open_online(f);
    put(f->store, "k", "older");
    put(f->store, "other", "v");
    go_away(f);
    fake_redis_wipe();
    fake_redis_script(FAKE_GROUP, FAKE_LOSE, 1);
    asked = fake_redis_asked(FAKE_GROUP);
    lose_none();
    wait_asked(FAKE_GROUP, asked + 1);
    wait_state(f->store, HF_LINK_OFFLINE);
    fake_redis_other_node("k", "newer", wall_ms() + LATER_MS, 0);
    fake_redis_foreign_delete("k"); /* as if it had died */
    fake_redis_set_away(false);
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_redis_holds("other", "v");
    assert_redis_holds("k", NULL);
    assert_int_equal(hf_exists(f->store, s_("k"), NULL), HF_NOT_FOUND);
    close_store(f);
}

static bool is_compared(void *ctx)
{
    return status_of(ctx).revalidated > 0;
}

static bool takes_live_writes(void *ctx)
{
    return hf__link_is_accepting(ctx);
}

static bool a_commit_waits(void *ctx)
{
    (void)ctx;
    return fake_local_held_commits() > 0;
}

static bool redis_holds_k(void *value)
{
    return fake_redis_holds("k", value);
}

static bool has_lost_the_link(void *ctx)
{
    return status_of(ctx).link_losses > 0;
}

static void test_link__a_paused_link_is_held_on_the_next_connection_too(void **state)
{
    struct fixture *f = *state;

    open_online(f);
    assert_ok(hf_pause(f->store));
    wait_state(f->store, HF_LINK_HELD);
    fake_redis_restart();
    assert_true(wait_until(has_lost_the_link, f->store, SOON_MS));
    wait_state(f->store, HF_LINK_HELD);
    assert_false(hf__link_is_accepting(f->store));
    assert_ok(hf_resume(f->store));
    wait_state(f->store, HF_LINK_ONLINE);
    put(f->store, "k", "v");
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_redis_holds("k", "v");
    close_store(f);
}

/* A flush is told while the checkpoint is awaited that precedes the replay: nobody has looked at that history yet. */
static void test_link__12_a_flush_that_is_told_while_catching_up_takes_no_copies(void **state)
{
    struct fixture *f = *state;

    f->ns.on_loss = HF_LOSS_RESEED;
    f->ns.change_log_off = true; /* its next page would tell */
    open_online(f);
    put(f->store, "k", "v");
    assert_ok(hf_drain(f->store, SOON_MS));
    go_away(f);
    fake_local_hold_commits(true);
    fake_redis_set_away(false);
    assert_true(wait_until(takes_live_writes, f->store, SOON_MS));
    assert_true(wait_until(a_commit_waits, NULL, SOON_MS));
    fake_redis_wipe();
    fake_local_hold_commits(false);
    assert_true(wait_until(redis_holds_k, "v", SOON_MS));
    assert_value(f->store, "k", "v");
    close_store(f);
}

#define TWO_BATCHES (HF_SWEEP_KEYS + 10)

static bool all_are_in_the_conflict_log(void *ctx)
{
    assert_ok(hf_checkpoint(ctx));
    return status_of(ctx).conflicts == TWO_BATCHES;
}

/* The first part was compared before Redis lost it. */
static void test_link__12_copies_that_were_compared_before_a_loss_are_compared_again(void **state)
{
    struct fixture *f = *state;
    unsigned asked = fake_redis_asked(FAKE_EXAMINE);
    char key[16];

    f->ns.on_loss = HF_LOSS_ADOPT;
    open_online(f);
    for (unsigned i = 0; i < TWO_BATCHES; i++) {
        snprintf(key, sizeof(key), "k%04u", i);
        put(f->store, key, "v");
    }
    close_store(f);
    fake_redis_freeze(FAKE_EXAMINE);
    open_online(f);
    wait_asked(FAKE_EXAMINE, asked + 1);
    fake_redis_let(FAKE_EXAMINE, 1);
    wait_asked(FAKE_EXAMINE, asked + 2);
    fake_redis_wipe();
    fake_redis_thaw(FAKE_EXAMINE);
    assert_true(wait_until(all_are_in_the_conflict_log, f->store, SOON_MS));
    close_store(f);
}

/* Before the sweep has come to it. */
static void test_link__12_a_copy_that_is_read_while_the_namespace_adopts_is_in_the_conflict_log(void **state)
{
    struct fixture *f = *state;

    f->ns.on_loss = HF_LOSS_ADOPT;
    f->ns.read_mode = HF_READ_SHARED;
    open_online(f);
    put(f->store, "k", "v");
    assert_ok(hf_drain(f->store, SOON_MS));
    fake_redis_freeze(FAKE_EXAMINE);
    go_away(f);
    lose_all();
    wait_state(f->store, HF_LINK_ONLINE);
    assert_value(f->store, "k", NULL);
    assert_conflict_over(f, "v");
    fake_redis_thaw(FAKE_EXAMINE);
    close_store(f);
}

/* The request is in what is given up when the link is held back. */
static void test_link__a_pause_waits_for_the_answer_about_copies(void **state)
{
    struct fixture *f = *state;
    struct hf_shared_facts facts;
    unsigned asked = fake_redis_asked(FAKE_EXAMINE);

    open_online(f);
    put(f->store, "k", "v");
    close_store(f);
    fake_redis_freeze(FAKE_EXAMINE);
    open_online(f);
    wait_asked(FAKE_EXAMINE, asked + 1);
    assert_ok(hf_pause(f->store));
    for (int i = 0; i < 2; i++) /* the second is asked when the link has seen the pause */
        assert_ok(hf__ask_facts(f->store, &facts));
    put(f->store, "k", "w");
    fake_redis_thaw(FAKE_EXAMINE);
    wait_state(f->store, HF_LINK_HELD);
    assert_redis_holds("k", "v");
    assert_ok(hf_resume(f->store));
    wait_state(f->store, HF_LINK_ONLINE);
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_redis_holds("k", "w");
    close_store(f);
}

/* That nothing is there says no more than that it was lost, until it is known whether Redis has lost all. */
static void test_link__12_a_copy_that_is_compared_with_an_emptied_redis_is_given_back(void **state)
{
    struct fixture *f = *state;
    unsigned asked = fake_redis_asked(FAKE_EXAMINE);

    f->ns.on_loss = HF_LOSS_RESEED;
    open_online(f);
    put(f->store, "k", "v");
    close_store(f);
    fake_redis_freeze(FAKE_EXAMINE);
    fake_redis_freeze(FAKE_FETCH);
    open_online(f);
    wait_asked(FAKE_EXAMINE, asked + 1);
    fake_redis_hold_turn(true);
    fake_redis_wipe();
    fake_redis_thaw(FAKE_EXAMINE);
    assert_true(wait_until(is_compared, f->store, SOON_MS));
    fake_redis_hold_turn(false);
    go_away(f);
    fake_redis_thaw(FAKE_FETCH);
    lose_none();
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_redis_holds("k", "v");
    close_store(f);
}

static void test_link__12_a_decision_is_for_one_loss(void **state)
{
    struct fixture *f = *state;

    open_online(f);
    put(f->store, "k", "v");
    fake_redis_wipe();
    submit_set(f->store, "new", s_("v"));
    wait_state(f->store, HF_LINK_HELD);
    assert_ok(hf_decide_loss(f->store, s_(""), HF_LOSS_ADOPT));
    wait_state(f->store, HF_LINK_ONLINE);
    assert_given_up(f, 1);
    fake_redis_wipe();
    submit_set(f->store, "newer", s_("v"));
    wait_state(f->store, HF_LINK_HELD);
    close_store(f);
}

/* ---- 13: what Redis had acknowledged and lost again ---- */

/* The machine's clocks, ahead by what the test lets pass. */
static _Atomic int64_t passed_ms;

static int64_t ahead_wall(struct hf_clock *clock)
{
    (void)clock;
    return hf__clock_real()->wall_ms(hf__clock_real()) + atomic_load(&passed_ms);
}

static int64_t ahead_boot(struct hf_clock *clock)
{
    (void)clock;
    return hf__clock_real()->boot_ms(hf__clock_real()) + atomic_load(&passed_ms);
}

static struct hf_clock ahead = {.wall_ms = ahead_wall, .boot_ms = ahead_boot};

static void open_online_ahead(struct fixture *f)
{
    struct hf_parts parts = {hf__file_layer_real(), &ahead, fake_local_open, fake_redis_open};

    assert_ok(hf__store_open(f->scratch.store, &f->opts, &parts, &f->store));
    wait_state(f->store, HF_LINK_ONLINE);
}

static int note_doubt(void *ctx, const struct hf_parked *entry)
{
    char text[HF_SHARED_REASON_MAX];

    snprintf(text, sizeof(text), "rolled back to LSN %d; increments and batches behind it up to LSN %d,", 2, 5);
    assert_true(entry->in_doubt && hf__slice_eq(entry->key, s_("n")));
    assert_int_equal(entry->delta, 0);
    assert_non_null(strstr(entry->reason, text));
    ++*(unsigned *)ctx;
    return 0;
}

static void test_link__13_what_redis_had_acknowledged_is_kept_while_it_is_away(void **state)
{
    struct fixture *f = *state;

    open_online_ahead(f);
    fake_redis_snapshot();
    incr(f->store, "n");
    go_away(f);
    atomic_fetch_add(&passed_ms, 2 * HOUR_MS);
    assert_ok(hf_checkpoint(f->store));
    assert_ok(hf_checkpoint(f->store));
    fake_redis_restore();
    fake_redis_set_away(false);
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_redis_holds("n", "1");
    assert_int_equal(status_of(f->store).in_doubt, 0);
    close_store(f);
}

/* It is retained from when Redis has it. */
static void test_link__13_what_was_made_long_before_it_was_acknowledged_is_kept(void **state)
{
    struct fixture *f = *state;

    open_online_ahead(f);
    fake_redis_snapshot();
    go_away(f);
    incr(f->store, "n");
    atomic_fetch_add(&passed_ms, 2 * HOUR_MS);
    fake_redis_set_away(false);
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_ok(hf_checkpoint(f->store));
    assert_ok(hf_checkpoint(f->store));
    assert_redis_holds("n", "1");
    go_back_to_snapshot(f);
    assert_redis_holds("n", "1");
    assert_int_equal(status_of(f->store).in_doubt, 0);
    close_store(f);
}

/* Of six acknowledged increments Redis keeps two; three of the others are forgotten here, too. */
static void test_link__13_what_is_no_longer_kept_is_told_and_the_rest_comes_back(void **state)
{
    struct fixture *f = *state;
    unsigned n = 0;

    open_online_ahead(f);
    for (int i = 0; i < 5; i++) {
        if (i == 2)
            fake_redis_snapshot();
        incr(f->store, "n");
    }
    assert_ok(hf_checkpoint(f->store));
    atomic_fetch_add(&passed_ms, 2 * HOUR_MS);
    assert_ok(hf_checkpoint(f->store));
    incr(f->store, "n");
    go_back_to_snapshot(f);
    assert_ok(hf_checkpoint(f->store));
    assert_redis_holds("n", "3");
    assert_int_equal(status_of(f->store).in_doubt, 1);
    assert_ok(hf_parked_list(f->store, note_doubt, &n));
    assert_int_equal(n, 1);
    close_store(f);
}

/* Its answer was lost, and the log alone told of it. */
static void test_link__13_a_delete_that_the_log_has_settled_comes_back_after_a_rollback(void **state)
{
    struct fixture *f = *state;

    open_online(f);
    put(f->store, "k", "v");
    fake_redis_snapshot();
    fake_redis_script(FAKE_GROUP, FAKE_LOSE_ANSWER, 1);
    assert_ok(hf_delete(f->store, s_("k"), NULL));
    wait_state(f->store, HF_LINK_OFFLINE);
    fake_redis_set_away(false);
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_int_equal(status_of(f->store).settled_by_log, 1);
    go_away(f);
    fake_redis_restore();
    assert_redis_holds("k", "v");
    fake_redis_set_away(false);
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_redis_holds("k", NULL);
    close_store(f);
}

/* The value was acknowledged, and is gone; only the change of its life waits. */
static void test_link__13_a_rollback_under_a_change_of_a_life_brings_the_value_back(void **state)
{
    struct fixture *f = *state;

    open_online(f);
    put(f->store, "k", "1");
    fake_redis_snapshot();
    put(f->store, "k", "22");
    go_away(f);
    assert_ok(hf_expire(f->store, s_("k"), HOUR_MS, NULL));
    fake_redis_restore();
    fake_redis_set_away(false);
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_redis_holds("k", "22");
    assert_value(f->store, "k", "22");
    close_store(f);
}

/* The older copy knows nothing of ours. What others have written to it since says nothing of how old it is. */
static void test_link__13_what_others_write_to_an_older_copy_makes_it_no_younger(void **state)
{
    struct fixture *f = *state;

    open_online_ahead(f);
    fake_redis_snapshot();
    put(f->store, "k", "v");
    go_away(f);
    fake_redis_restore();
    atomic_fetch_add(&passed_ms, HOUR_MS);
    fake_redis_other_node("other", "theirs", 0, 0);
    fake_redis_set_away(false);
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_redis_holds("k", "v");
    close_store(f);
}

/* The connection breaks again while it is found out what has survived. */
static void test_link__13_a_rollback_is_found_again_after_another_loss(void **state)
{
    struct fixture *f = *state;

    open_online(f);
    incr(f->store, "n");
    fake_redis_snapshot();
    incr(f->store, "n");
    put(f->store, "k", "v");
    go_away(f);
    fake_redis_restore();
    fake_redis_script(FAKE_LOG_PAGE, FAKE_LOSE, 1);
    fake_redis_set_away(false);
    assert_true(wait_until(was_lost_again, f->store, SOON_MS));
    fake_redis_set_away(false);
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_redis_holds("n", "2");
    assert_redis_holds("k", "v");
    close_store(f);
}

/* The older copy has no mark of ours, and by now others have written to the log. */
static void test_link__13_a_rollback_to_before_our_first_increment_is_found_by_the_log(void **state)
{
    struct fixture *f = *state;

    open_online(f);
    put(f->store, "k", "v");
    fake_redis_snapshot();
    incr(f->store, "n");
    incr(f->store, "n");
    go_away(f);
    fake_redis_restore();
    for (int i = 0; i < 8; i++)
        fake_redis_other_node("other", "theirs", 0, 0);
    fake_redis_set_away(false);
    assert_ok(hf_drain(f->store, SOON_MS));
    incr(f->store, "n");
    assert_redis_holds("n", "3");
    assert_int_equal(status_of(f->store).in_doubt, 0);
    close_store(f);
}

/* The counter's copy is the answer to our increment, noted behind it; both are there still, and others have added to it. */
static void test_link__13_an_answer_to_an_increment_that_has_survived_is_not_sent_again(void **state)
{
    struct fixture *f = *state;

    fake_redis_refuse_tracking(true); /* the answer alone brings what others have added */
    open_online(f);
    incr(f->store, "n");
    fake_redis_foreign_set("n", "10", 0);
    incr(f->store, "n");
    assert_value(f->store, "n", "11");
    fake_redis_snapshot();
    incr(f->store, "lost");
    go_back_under(f, "n", "100");
    assert_redis_holds("n", "100");
    assert_redis_holds("lost", "1");
    close_store(f);
}

static bool was_refreshed(void *ctx)
{
    struct hf *store = ctx;

    return atomic_load(&store->refreshed) == 1 && !atomic_load(&store->refreshing);
}

static void roll_back(struct fixture *f)
{
    go_back_to_snapshot(f);
    assert_redis_holds("k", "ours");
    assert_value(f->store, "k", "ours");
}

/* Two rollbacks, and between them a push that names the key, as Redis may tell what its script has written for us: what is fetched then is
 * what we have written. */
static void test_link__13_a_copy_that_was_fetched_again_stays_ours(void **state)
{
    struct fixture *f = *state;

    open_online(f);
    put(f->store, "k", "older");
    fake_redis_snapshot();
    assert_ok(hf_set(f->store, s_("k"), s_("ours"), &(struct hf_set_options){.ttl_ms = HOUR_MS}, NULL));
    roll_back(f);
    fake_redis_foreign_expire("k", fake_redis_deadline_ms("k"));
    assert_true(wait_until(was_refreshed, f->store, SOON_MS));
    assert_ok(hf_checkpoint(f->store));
    roll_back(f);
    close_store(f);
}

/* A plain client has changed the life of what is ours. */
static void test_link__13_a_value_whose_life_others_have_changed_stays_ours(void **state)
{
    struct fixture *f = *state;
    int64_t deadline_ms;

    open_online(f);
    put(f->store, "k", "older");
    fake_redis_snapshot();
    assert_ok(hf_set(f->store, s_("k"), s_("ours"), &(struct hf_set_options){.ttl_ms = HOUR_MS}, NULL));
    deadline_ms = fake_redis_deadline_ms("k") + HOUR_MS;
    fake_redis_foreign_expire("k", deadline_ms);
    assert_true(wait_until(was_refreshed, f->store, SOON_MS));
    assert_ok(hf_checkpoint(f->store));
    roll_back(f);
    assert_in_range(fake_redis_deadline_ms("k"), deadline_ms - HOUR_MS / 2, deadline_ms + HOUR_MS / 2);
    close_store(f);
}

/* The copy that is compared is an answer to our increment; both are there still, and others have added to it. */
static void test_link__13_an_answer_whose_life_others_have_changed_is_not_sent_again(void **state)
{
    struct fixture *f = *state;

    fake_redis_refuse_tracking(true); /* the answer alone brings what others have added */
    open_online(f);
    incr(f->store, "n");
    fake_redis_foreign_set("n", "10", 0);
    incr(f->store, "n");
    assert_ok(hf_checkpoint(f->store));
    go_away(f);
    fake_redis_foreign_expire("n", hf__now_ms(f->store) + HOUR_MS);
    fake_redis_set_away(false);
    assert_true(wait_until(was_refreshed, f->store, SOON_MS));
    fake_redis_snapshot();
    incr(f->store, "lost");
    go_back_under(f, "n", "100");
    assert_redis_holds("n", "100");
    assert_redis_holds("lost", "1");
    close_store(f);
}

static void put_offline(struct fixture *f, const char *value)
{
    go_away(f);
    put(f->store, "k", value);
}

/* What is merged was sent by us, and nobody else has it. */
static void test_link__13_a_merged_value_comes_back_after_a_rollback(void **state)
{
    static const char merged[] = "{\"a\":1,\"ours\":2,\"theirs\":3}";
    struct fixture *f = *state;

    f->ns.conflict = HF_CONFLICT_MERGE_JSON;
    open_online(f);
    put(f->store, "k", "{\"a\":1}");
    fake_redis_snapshot();
    put_offline(f, "{\"a\":1,\"ours\":2}");
    fake_redis_foreign_set("k", "{\"a\":1,\"theirs\":3}", 0);
    fake_redis_set_away(false);
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_redis_holds("k", merged);
    assert_ok(hf_checkpoint(f->store));
    go_back_to_snapshot(f);
    assert_redis_holds("k", merged);
    assert_value(f->store, "k", merged);
    close_store(f);
}

/* What was given back as a value after a loss of all is not added to it after a rollback. */
static void test_link__13_what_an_earlier_epoch_acknowledged_is_not_sent_again(void **state)
{
    struct fixture *f = *state;

    open_online(f);
    for (int i = 0; i < 3; i++)
        incr(f->store, "n");
    go_away(f);
    lose_all();
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_redis_holds("n", "3");
    fake_redis_snapshot();
    assert_ok(hf_checkpoint(f->store));
    close_store(f);
    open_online(f);
    incr(f->store, "n");
    go_back_to_snapshot(f);
    assert_redis_holds("n", "4");
    close_store(f);
}

static void add_to_both(struct fixture *f, const char *a)
{
    struct hf_op ops[] = {{.kind = HF_OP_SET, .key = s_("a"), .value = s_(a)},
                          {.kind = HF_OP_INCR, .key = s_("n"), .delta = 1}};

    assert_ok(hf__write(f->store, ops, 2, NULL));
}

/* Redis loses the life that a counter was given, or has not been told of it, and others have counted on. */
static void expire_over_a_rollback(struct fixture *f, bool away)
{
    open_online(f);
    incr(f->store, "n");
    fake_redis_snapshot();
    put(f->store, "k", "lost");
    if (away)
        go_away(f);
    assert_ok(hf_expire(f->store, s_("n"), HOUR_MS, NULL));
    if (!away)
        go_away(f);
    fake_redis_restore();
    fake_redis_foreign_set("n", "5", 0);
    fake_redis_set_away(false);
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_redis_holds("n", "5");
    assert_redis_holds("k", "lost");
    assert_true(fake_redis_deadline_ms("n") > wall_ms());
    close_store(f);
}

static void test_link__13_a_life_of_a_counter_that_a_rollback_took_brings_no_value(void **state)
{
    expire_over_a_rollback(*state, false);
}

static void test_link__13_a_life_of_a_counter_that_waits_over_a_rollback_brings_no_value(void **state)
{
    expire_over_a_rollback(*state, true);
}

static void lose_all_since_the_snapshot(struct fixture *f)
{
    assert_ok(hf_checkpoint(f->store));
    go_back_to_snapshot(f);
}

/* What a lane has made, what is changed behind it, and a rollback that takes both. */
static void test_link__13_what_followed_a_batch_comes_back_behind_it(void **state)
{
    struct fixture *f = *state;

    open_online(f);
    fake_redis_snapshot();
    add_to_both(f, "ours");
    put(f->store, "a", "newer");
    incr(f->store, "m");
    put(f->store, "m", "100");
    lose_all_since_the_snapshot(f);
    assert_redis_holds("a", "newer");
    assert_value(f->store, "a", "newer");
    assert_redis_holds("n", "1");
    assert_redis_holds("m", "100");
    close_store(f);
}

static void test_link__13_a_delete_that_followed_a_batch_comes_back_behind_it(void **state)
{
    struct fixture *f = *state;

    open_online(f);
    fake_redis_snapshot();
    add_to_both(f, "ours");
    assert_ok(hf_delete(f->store, s_("a"), NULL));
    lose_all_since_the_snapshot(f);
    assert_redis_holds("a", NULL);
    assert_redis_holds("n", "1");
    close_store(f);
}

static void test_link__13_a_life_that_followed_an_increment_or_a_batch_comes_back_behind_it(void **state)
{
    struct fixture *f = *state;

    open_online(f);
    fake_redis_snapshot();
    add_to_both(f, "ours");
    assert_ok(hf_expire(f->store, s_("a"), HOUR_MS, NULL));
    assert_ok(hf_expire(f->store, s_("n"), HOUR_MS, NULL));
    lose_all_since_the_snapshot(f);
    assert_redis_holds("a", "ours");
    assert_redis_holds("n", "1");
    assert_true(fake_redis_deadline_ms("a") > wall_ms());
    assert_true(fake_redis_deadline_ms("n") > wall_ms());
    close_store(f);
}

static void test_link__13_a_batch_does_not_follow_itself(void **state)
{
    struct fixture *f = *state;

    open_online(f);
    fake_redis_snapshot();
    add_to_both(f, "ours");
    lose_all_since_the_snapshot(f);
    assert_redis_holds("a", "ours");
    assert_redis_holds("n", "1");
    assert_int_equal(fake_redis_applied("a"), 1);
    close_store(f);
}

/* What was plain, and a lane's change came upon it: a value, a life, a delete. */
static void test_link__13_what_an_increment_stands_on_comes_back_before_it(void **state)
{
    struct fixture *f = *state;

    open_online(f);
    put(f->store, "d", "7");
    fake_redis_snapshot();
    put(f->store, "n", "100");
    assert_ok(hf_checkpoint(f->store));
    incr(f->store, "n");
    put(f->store, "m", "200");
    incr(f->store, "m");
    assert_ok(hf_delete(f->store, s_("d"), NULL));
    incr(f->store, "d");
    lose_all_since_the_snapshot(f);
    assert_redis_holds("n", "101");
    assert_redis_holds("m", "201");
    assert_redis_holds("d", "1");
    close_store(f);
}

static void test_link__13_the_life_of_a_counter_comes_back_between_its_increments(void **state)
{
    struct fixture *f = *state;

    open_online(f);
    fake_redis_snapshot();
    incr(f->store, "n");
    assert_ok(hf_expire(f->store, s_("n"), HOUR_MS, NULL));
    assert_ok(hf_checkpoint(f->store));
    incr(f->store, "n");
    incr(f->store, "m");
    assert_ok(hf_expire(f->store, s_("m"), HOUR_MS, NULL));
    incr(f->store, "m");
    incr(f->store, "m");
    lose_all_since_the_snapshot(f);
    assert_redis_holds("n", "2");
    assert_redis_holds("m", "3");
    assert_true(fake_redis_deadline_ms("n") > wall_ms());
    assert_true(fake_redis_deadline_ms("m") > wall_ms());
    close_store(f);
}

/* The value has survived, and others have counted on it. */
static void test_link__13_what_an_increment_stands_on_stays_as_it_has_survived(void **state)
{
    struct fixture *f = *state;

    open_online(f);
    put(f->store, "n", "100");
    fake_redis_snapshot();
    incr(f->store, "n");
    assert_ok(hf_checkpoint(f->store));
    go_back_under(f, "n", "150");
    assert_redis_holds("n", "151");
    close_store(f);
}

/* Others have written since, as the log says: what is theirs wins, as it does of a key without a lane, and is counted on. */
static void test_link__13_what_was_plain_is_judged_in_the_lane_too(void **state)
{
    struct fixture *f = *state;

    open_online(f);
    fake_redis_snapshot();
    put(f->store, "r", "100");
    put(f->store, "below", "100");
    incr(f->store, "below");
    incr(f->store, "behind");
    put(f->store, "behind", "100");
    assert_ok(hf_checkpoint(f->store));
    go_away(f);
    fake_redis_restore();
    fake_redis_other_node("r", "150", wall_ms() + LATER_MS, 0);
    fake_redis_other_node("below", "150", wall_ms() + LATER_MS, 0);
    fake_redis_other_node("behind", "150", wall_ms() + LATER_MS, 0);
    fake_redis_set_away(false);
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_redis_holds("r", "150");
    assert_redis_holds("below", "151");
    assert_redis_holds("behind", "151");
    assert_int_equal(status_of(f->store).conflicts, 3);
    assert_value(f->store, "below", "151");
    assert_value(f->store, "behind", "151");
    close_store(f);
}

/* The request that brings the increment back is not the one that looks. */
static void test_link__13_what_was_plain_behind_an_increment_is_judged_by_what_that_found(void **state)
{
    struct fixture *f = *state;

    open_online(f);
    fake_redis_snapshot();
    incr(f->store, "n");
    put(f->store, "n", "100");
    assert_ok(hf_checkpoint(f->store));
    go_away(f);
    fake_redis_restore();
    fake_redis_other_node("n", "150", wall_ms() + LATER_MS, 0);
    fake_redis_set_away(false);
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_redis_holds("n", "151");
    assert_int_equal(status_of(f->store).conflicts, 1);
    close_store(f);
}

static bool nothing_is_held(void *ctx)
{
    return status_of(ctx).keys == 0;
}

static struct hf_seen seen_of(struct hf *store, const char *key)
{
    struct hf_result r = read_of(store, key);

    return (struct hf_seen){.held = r.existed, .lsn = r.lsn, .last_lsn = status_of(store).last_lsn};
}

/* Shared, and dead by the clock, while Redis is away. */
static void die_over_a_rollback(struct fixture *f)
{
    assert_ok(hf_checkpoint(f->store));
    go_away(f);
    atomic_fetch_add(&passed_ms, 61000);
    assert_ok(hf_checkpoint(f->store));
    assert_true(wait_until(nothing_is_held, f->store, SOON_MS));
    fake_redis_restore();
    fake_redis_set_away(false);
    assert_ok(hf_drain(f->store, SOON_MS));
}

/* Its life has ended here, and its record is gone. */
static void test_link__13_a_counter_that_has_died_does_not_come_back_for_ever(void **state)
{
    struct fixture *f = *state;

    open_online_ahead(f);
    fake_redis_snapshot();
    incr(f->store, "n");
    assert_ok(hf_expire(f->store, s_("n"), 60000, NULL));
    die_over_a_rollback(f);
    assert_redis_holds("n", NULL);
    close_store(f);
}

/* What it had replaced does not come back to live on. */
static void test_link__13_what_a_dead_value_had_replaced_stays_away(void **state)
{
    struct hf_set_options minute = {.ttl_ms = 60000};
    struct fixture *f = *state;

    open_online_ahead(f);
    put(f->store, "r", "older");
    put(f->store, "k", "older");
    assert_ok(hf_checkpoint(f->store));
    put(f->store, "l", "older");
    fake_redis_snapshot();
    atomic_fetch_add(&passed_ms, 2000);
    assert_ok(hf_set(f->store, s_("l"), s_("ours"), &minute, NULL));
    assert_ok(hf_expire(f->store, s_("k"), 60000, NULL));
    assert_ok(hf_set(f->store, s_("r"), s_("ours"), &minute, NULL));
    assert_ok(hf_checkpoint(f->store));
    assert_ok(hf_set(f->store, s_("r"), s_("again"), &minute, NULL));
    die_over_a_rollback(f);
    assert_redis_holds("r", NULL);
    assert_redis_holds("k", NULL);
    assert_redis_holds("l", NULL);
    close_store(f);
}

/* One row stands for a delete and what came behind it; in the second the delete is stored by itself before. */
static void test_link__13_what_a_folded_delete_had_replaced_stays_away(void **state)
{
    struct hf_set_options minute = {.ttl_ms = 60000};
    struct fixture *f = *state;

    open_online_ahead(f);
    put(f->store, "k", "older");
    put(f->store, "r", "older");
    assert_ok(hf_checkpoint(f->store));
    fake_redis_snapshot();
    go_away(f);
    assert_ok(hf_delete(f->store, s_("r"), NULL));
    assert_ok(hf_checkpoint(f->store));
    assert_ok(hf_delete(f->store, s_("k"), NULL));
    assert_ok(hf_set(f->store, s_("k"), s_("ours"), &minute, NULL));
    assert_ok(hf_set(f->store, s_("r"), s_("ours"), &minute, NULL));
    fake_redis_set_away(false);
    assert_ok(hf_drain(f->store, SOON_MS));
    die_over_a_rollback(f);
    assert_redis_holds("k", NULL);
    assert_redis_holds("r", NULL);
    close_store(f);
}

/* Redis is there when its life ends, and says so before it is swept here. */
static void test_link__13_what_redis_tells_to_be_dead_stays_away(void **state)
{
    struct fixture *f = *state;
    struct hf_seen seen;

    open_online_ahead(f);
    put(f->store, "k", "older");
    fake_redis_snapshot();
    atomic_fetch_add(&passed_ms, 2000);
    assert_ok(hf_expire(f->store, s_("k"), 60000, NULL));
    assert_ok(hf_checkpoint(f->store));
    seen = seen_of(f->store, "k");
    atomic_fetch_add(&passed_ms, 61000);
    hf__write_fetched(f->store, s_("k"), NULL, 0, &seen);
    die_over_a_rollback(f);
    assert_redis_holds("k", NULL);
    close_store(f);
}

/* Nothing is retained of what has replaced nothing that would live longer: caches and sessions. */
static void test_link__13_what_had_replaced_nothing_dies_without_a_trace(void **state)
{
    struct hf_set_options minute = {.ttl_ms = 60000};
    struct hf_local_snap *snap;
    struct hf_local_stats stats;
    struct fixture *f = *state;

    open_online_ahead(f);
    assert_ok(hf_set(f->store, s_("k"), s_("ours"), &minute, NULL));
    assert_ok(hf_checkpoint(f->store));
    atomic_fetch_add(&passed_ms, 1000);
    assert_ok(hf_set(f->store, s_("k"), s_("renewed"), &minute, NULL));
    put(f->store, "session", "ours");
    assert_ok(hf_expire(f->store, s_("session"), 60000, NULL));
    fake_redis_snapshot();
    die_over_a_rollback(f);
    assert_ok(f->store->local->ops->snap_begin(f->store->local, &snap));
    assert_ok(f->store->local->ops->stats(snap, &stats));
    f->store->local->ops->snap_end(snap);
    assert_int_equal(stats.retained, 0);
    close_store(f);
}

static void test_link__13_what_an_increment_stands_on_comes_back_where_it_was_replayed(void **state)
{
    struct fixture *f = *state;

    open_online(f);
    fake_redis_snapshot();
    go_away(f);
    put(f->store, "n", "100");
    assert_ok(hf_checkpoint(f->store));
    fake_redis_set_away(false);
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_ok(hf_checkpoint(f->store));
    incr(f->store, "n");
    lose_all_since_the_snapshot(f);
    assert_redis_holds("n", "101");
    close_store(f);
}

static void roll_back_under_others(struct fixture *f, const char *key, const char *theirs)
{
    assert_ok(hf_checkpoint(f->store));
    go_back_under(f, key, theirs);
    assert_redis_holds("k", "lost");
    assert_redis_holds(key, theirs);
    close_store(f);
}

/* While the link is away, with others' life of the key after ours: its row ends with another deadline than was written. */
static void test_link__13_a_life_of_a_counter_that_was_a_row_brings_no_value(void **state)
{
    struct fixture *f = *state;

    open_online(f);
    incr(f->store, "n");
    assert_ok(hf_checkpoint(f->store));
    fake_redis_snapshot();
    put(f->store, "k", "lost");
    go_away(f);
    assert_ok(hf_expire(f->store, s_("n"), HOUR_MS, NULL));
    fake_redis_foreign_expire("n", wall_ms() + 2 * HOUR_MS);
    fake_redis_set_away(false);
    assert_ok(hf_drain(f->store, SOON_MS));
    roll_back_under_others(f, "n", "5");
}

/* The value is another's, and the life that a rollback took alone ours. */
static void test_link__13_a_life_of_a_fetched_value_brings_no_value(void **state)
{
    struct fixture *f = *state;

    open_online(f);
    fake_redis_foreign_set("n", "1", 0);
    assert_value(f->store, "n", "1");
    fake_redis_snapshot();
    put(f->store, "k", "lost");
    assert_ok(hf_expire(f->store, s_("n"), HOUR_MS, NULL));
    roll_back_under_others(f, "n", "5");
}

static bool a_has_a_life(void *ctx)
{
    return read_of(ctx, "a").deadline_ms != 0;
}

/* What a batch has written is fetched again with the life that others gave it, and is still its lane's. */
static void test_link__13_a_batch_whose_life_others_changed_is_not_sent_again(void **state)
{
    struct fixture *f = *state;

    open_online(f);
    add_to_both(f, "ours");
    fake_redis_foreign_expire("a", wall_ms() + 2 * HOUR_MS);
    assert_true(wait_until(a_has_a_life, f->store, SOON_MS));
    fake_redis_snapshot();
    put(f->store, "k", "lost");
    incr(f->store, "m");
    assert_ok(hf_checkpoint(f->store));
    go_back_without_log(f);
    assert_redis_holds("k", "lost");
    assert_redis_holds("a", "theirs");
    close_store(f);
}

/* The log is lost, too, and cannot name the batch: the mark says that it has survived. */
static void test_link__13_a_batch_up_to_the_mark_is_not_sent_again_without_the_log(void **state)
{
    struct fixture *f = *state;

    open_online(f);
    add_to_both(f, "ours");
    fake_redis_snapshot();
    put(f->store, "k", "v");
    incr(f->store, "lost");
    go_back_without_log(f);
    assert_redis_holds("a", "theirs");
    assert_redis_holds("n", "1");
    assert_redis_holds("k", "v");
    assert_redis_holds("lost", "1");
    close_store(f);
}

/* The answer to a batch is lost, and the log names its value before the mark is looked at; then Redis loses it all. */
static void test_link__13_a_batch_that_the_log_has_named_comes_back_whole(void **state)
{
    struct fixture *f = *state;

    open_online(f);
    put(f->store, "k", "v");
    fake_redis_snapshot();
    fake_redis_script(FAKE_LANE, FAKE_LOSE_ANSWER, 1);
    add_to_both(f, "1");
    wait_state(f->store, HF_LINK_OFFLINE);
    fake_redis_set_away(false);
    assert_ok(hf_drain(f->store, SOON_MS));
    add_to_both(f, "2");
    assert_int_equal(fake_redis_applied("a"), 2);
    go_back_to_snapshot(f);
    assert_redis_holds("n", "2");
    assert_redis_holds("a", "2");
    assert_int_equal(fake_redis_applied("a"), 2); /* each time with its increment */
    close_store(f);
}

/* Rows go in the order of their keys: a younger change is named by the log before an older one. Redis keeps the first rows. */
static void replay_around_a_snapshot(struct fixture *f)
{
    unsigned asked;

    open_online_ahead(f);
    go_away(f);
    for (char key[] = "z"; key[0] >= 'a'; key[0]--)
        put(f->store, key, "ours");
    atomic_fetch_add(&passed_ms, 60000);
    fake_redis_freeze(FAKE_GROUP);
    asked = fake_redis_asked(FAKE_GROUP);
    fake_redis_set_away(false);
    wait_asked(FAKE_GROUP, asked + 1);
    fake_redis_let(FAKE_GROUP, 1);
    wait_asked(FAKE_GROUP, asked + 2);
    assert_redis_holds("a", "ours");
    assert_redis_holds("z", NULL);
    fake_redis_snapshot();
    fake_redis_thaw(FAKE_GROUP);
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_redis_holds("z", "ours");
    assert_ok(hf_checkpoint(f->store));
}

static void test_link__13_what_was_replayed_behind_younger_changes_comes_back(void **state)
{
    struct fixture *f = *state;

    replay_around_a_snapshot(f);
    go_back_to_snapshot(f);
    assert_redis_holds("a", "ours");
    assert_redis_holds("z", "ours");
    assert_value(f->store, "z", "ours");
    close_store(f);
}

/* What the log names has survived, and others have changed it since without a log. */
static void test_link__13_what_the_log_names_of_a_replay_is_not_sent_again(void **state)
{
    struct fixture *f = *state;

    replay_around_a_snapshot(f);
    go_back_under(f, "a", "theirs");
    assert_redis_holds("a", "theirs");
    assert_redis_holds("z", "ours");
    close_store(f);
}

/* The next opening knows of the replay. */
static void test_link__13_what_was_replayed_comes_back_after_a_crash(void **state)
{
    struct fixture *f = *state;

    replay_around_a_snapshot(f);
    close_store(f);
    fake_redis_restore();
    open_online_ahead(f);
    assert_redis_holds("z", "ours");
    close_store(f);
}

/* Replays that have ended before are none that a rollback has gone back to. */
static void test_link__13_a_rollback_behind_a_replay_sends_only_what_came_later(void **state)
{
    struct fixture *f = *state;

    replay_around_a_snapshot(f);
    atomic_fetch_add(&passed_ms, 60000);
    put(f->store, "later", "ours");
    fake_redis_trim_log(1);
    fake_redis_snapshot();
    put(f->store, "lost", "ours");
    assert_ok(hf_checkpoint(f->store));
    go_back_to_snapshot(f);
    assert_redis_holds("lost", "ours");
    assert_int_equal(status_of(f->store).resent, 1);
    close_store(f);
}

/* ---- 13: what is written while a loss is made good ---- */

/* What it replaces has survived: another's change of that is a conflict, as after any outage. */
static void test_link__13_a_change_that_waits_is_judged_where_its_base_has_survived(void **state)
{
    struct fixture *f = *state;

    open_online(f);
    put(f->store, "k", "base");
    fake_redis_snapshot();
    put(f->store, "other", "lost");
    assert_ok(hf_checkpoint(f->store));
    go_away(f);
    put(f->store, "k", "ours");
    fake_redis_restore();
    fake_redis_foreign_set("k", "theirs", 0);
    fake_redis_set_away(false);
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_redis_holds("other", "lost");
    assert_int_equal(status_of(f->store).conflicts, 1);
    close_store(f);
}

/* What is there is older than the value that it replaces. */
static void test_link__13_a_change_that_waits_over_a_rollback_is_the_newest(void **state)
{
    struct fixture *f = *state;

    open_online(f);
    put(f->store, "k", "older");
    put(f->store, "gone", "older");
    fake_redis_snapshot();
    put(f->store, "k", "lost");
    put(f->store, "gone", "lost");
    assert_ok(hf_checkpoint(f->store));
    go_away(f);
    put(f->store, "k", "ours");
    assert_ok(hf_delete(f->store, s_("gone"), NULL));
    fake_redis_restore();
    fake_redis_set_away(false);
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_redis_holds("k", "ours");
    assert_redis_holds("gone", NULL);
    assert_value(f->store, "k", "ours");
    assert_int_equal(status_of(f->store).conflicts, 0);
    close_store(f);
}

static bool some_is_noted(void *ctx)
{
    return status_of(ctx).resent > 0 && fake_local_held_commits() > 0;
}

static void come_back_and_stop(void)
{
    fake_local_hold_commits(true);
    fake_redis_set_away(false);
    assert_true(wait_until(a_commit_waits, NULL, SOON_MS));
}

static void go_on_until_some_is_noted(struct fixture *f)
{
    while (!some_is_noted(f->store)) {
        fake_local_pass_commit();
        assert_true(wait_until(a_commit_waits, NULL, SOON_MS));
    }
}

/* The lost increment of "m" goes back to its lane, and no copy has had its turn. */
static void stop_before_the_copies(struct fixture *f)
{
    assert_ok(hf_checkpoint(f->store));
    go_away(f);
    fake_redis_restore();
    come_back_and_stop();
    go_on_until_some_is_noted(f);
}

static void go_on(struct fixture *f)
{
    fake_local_hold_commits(false);
    assert_ok(hf_drain(f->store, SOON_MS));
}

static void test_link__13_an_increment_upon_what_is_not_yet_sent_again_counts_on_it(void **state)
{
    struct fixture *f = *state;

    open_online(f);
    put(f->store, "n", "5");
    put(f->store, "gone", "5");
    fake_redis_snapshot();
    put(f->store, "n", "100");
    assert_ok(hf_delete(f->store, s_("gone"), NULL));
    incr(f->store, "m");
    stop_before_the_copies(f);
    incr(f->store, "n");
    incr(f->store, "gone");
    go_on(f);
    assert_redis_holds("n", "101");
    assert_redis_holds("gone", "1");
    assert_redis_holds("m", "1");
    close_store(f);
}

static void test_link__13_a_life_upon_what_is_not_yet_sent_again_brings_the_value(void **state)
{
    struct fixture *f = *state;

    open_online(f);
    put(f->store, "k", "older");
    fake_redis_snapshot();
    put(f->store, "k", "ours");
    incr(f->store, "m");
    stop_before_the_copies(f);
    assert_ok(hf_expire(f->store, s_("k"), HOUR_MS, NULL));
    go_on(f);
    assert_redis_holds("k", "ours");
    assert_true(fake_redis_deadline_ms("k") > wall_ms());
    close_store(f);
}

/* What waits behind a lost increment goes behind it. */
static void test_link__13_a_delete_that_waits_behind_a_lost_increment_stays_behind_it(void **state)
{
    struct fixture *f = *state;

    open_online(f);
    fake_redis_snapshot();
    incr(f->store, "n");
    incr(f->store, "m");
    assert_ok(hf_checkpoint(f->store));
    go_away(f);
    assert_ok(hf_delete(f->store, s_("n"), NULL));
    put(f->store, "m", "100");
    fake_redis_restore();
    fake_redis_set_away(false);
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_redis_holds("n", NULL);
    assert_redis_holds("m", "100");
    close_store(f);
}

/* The delete has not joined the lane yet, and an increment comes. */
static void test_link__13_an_increment_beside_a_delete_that_waits_counts_from_nothing(void **state)
{
    struct fixture *f = *state;

    open_online(f);
    put(f->store, "n", "5");
    fake_redis_snapshot();
    incr(f->store, "n");
    assert_ok(hf_checkpoint(f->store));
    go_away(f);
    assert_ok(hf_delete(f->store, s_("n"), NULL));
    assert_ok(hf_checkpoint(f->store));
    fake_redis_restore();
    come_back_and_stop();
    go_on_until_some_is_noted(f);
    fake_local_pass_commit();
    assert_true(wait_until(a_commit_waits, NULL, SOON_MS));
    incr(f->store, "n");
    go_on(f);
    assert_redis_holds("n", "1");
    close_store(f);
}

/* What another node has written since is counted on, as it would be without the increment here. */
static void count_on_what_others_gave_back(struct fixture *f)
{
    come_back_and_stop();
    go_on_until_some_is_noted(f);
    incr(f->store, "n");
    go_on(f);
    assert_redis_holds("n", "106");
    assert_value(f->store, "n", "106");
    close_store(f);
}

static void test_link__12_an_increment_upon_a_copy_that_is_given_back_counts_on_others(void **state)
{
    struct fixture *f = *state;

    open_online(f);
    put(f->store, "n", "100");
    assert_ok(hf_checkpoint(f->store));
    go_away(f);
    fake_redis_restart_empty();
    fake_redis_other_node("n", "105", wall_ms() + LATER_MS, 0);
    count_on_what_others_gave_back(f);
}

static void test_link__13_an_increment_upon_a_copy_that_is_sent_again_counts_on_others(void **state)
{
    struct fixture *f = *state;

    open_online(f);
    fake_redis_snapshot();
    put(f->store, "n", "100");
    assert_ok(hf_checkpoint(f->store));
    go_away(f);
    fake_redis_restore();
    fake_redis_other_node("n", "105", wall_ms() + LATER_MS, 0);
    count_on_what_others_gave_back(f);
}

/* Somebody asks Redis, which holds the older value. */
static void test_link__13_what_is_read_before_it_is_sent_again_stays(void **state)
{
    struct fixture *f = *state;

    f->ns.read_mode = HF_READ_SHARED;
    open_online(f);
    put(f->store, "k", "older");
    put(f->store, "gone", "older");
    fake_redis_snapshot();
    put(f->store, "k", "ours");
    assert_ok(hf_delete(f->store, s_("gone"), NULL));
    incr(f->store, "m");
    stop_before_the_copies(f);
    assert_value(f->store, "k", "older");
    assert_value(f->store, "gone", "older");
    go_on(f);
    assert_redis_holds("k", "ours");
    assert_redis_holds("gone", NULL);
    close_store(f);
}

/* Alive when deletes are looked for, and swept before its turn. */
static void test_link__13_what_dies_while_copies_are_sent_again_stays_dead(void **state)
{
    struct fixture *f = *state;

    open_online_ahead(f);
    put(f->store, "k", "older");
    fake_redis_snapshot();
    assert_ok(hf_set(f->store, s_("k"), s_("ours"), &(struct hf_set_options){.ttl_ms = 60000}, NULL));
    incr(f->store, "m");
    stop_before_the_copies(f);
    atomic_fetch_add(&passed_ms, 61000);
    go_on(f);
    assert_redis_holds("m", "1");
    assert_redis_holds("k", NULL);
    close_store(f);
}

/* Redis has lost all. */
static void test_link__12_increments_between_the_stages_count_on_what_is_given_back(void **state)
{
    struct fixture *f = *state;

    open_online(f);
    put(f->store, "n", "100");
    put(f->store, "o", "200");
    assert_ok(hf_checkpoint(f->store));
    go_away(f);
    fake_redis_restart_empty();
    come_back_and_stop();
    incr(f->store, "n");
    go_on_until_some_is_noted(f); /* the copy of "o", which no commit has */
    incr(f->store, "o");
    go_on(f);
    assert_redis_holds("n", "101");
    assert_redis_holds("o", "201");
    assert_int_equal(status_of(f->store).conflicts, 0);
    close_store(f);
}

/* The same, while a group of what lanes stand on is on its way. */
static void test_link__12_an_increment_while_copies_are_given_back_counts_on_them(void **state)
{
    struct fixture *f = *state;
    unsigned asked;

    open_online(f);
    put(f->store, "m", "10");
    put(f->store, "n", "100");
    assert_ok(hf_checkpoint(f->store));
    go_away(f);
    incr(f->store, "m");
    fake_redis_restart_empty();
    fake_redis_freeze(FAKE_GROUP);
    asked = fake_redis_asked(FAKE_GROUP);
    fake_redis_set_away(false);
    wait_asked(FAKE_GROUP, asked + 1);
    incr(f->store, "n");
    fake_redis_thaw(FAKE_GROUP);
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_redis_holds("m", "11");
    assert_redis_holds("n", "101");
    close_store(f);
}

/* ---- 15: what was asked before does not replace what came since ---- */

static void test_link__15_a_fetch_is_not_installed_over_what_came_since(void **state)
{
    struct fixture *f = *state;
    struct hf_slice old = s_("old");
    struct hf_seen seen;

    open_online(f);
    put(f->store, "k", "older");
    seen = seen_of(f->store, "k");
    put(f->store, "k", "new");
    hf__write_fetched(f->store, s_("k"), &old, 0, &seen);
    assert_value(f->store, "k", "new");

    seen = (struct hf_seen){.held = false, .last_lsn = status_of(f->store).last_lsn};
    put(f->store, "gone", "v");
    (void)hf_delete(f->store, s_("gone"), NULL);
    assert_ok(hf_checkpoint(f->store)); /* nothing here remembers it */
    hf__write_fetched(f->store, s_("gone"), &old, 0, &seen);
    assert_value(f->store, "gone", NULL);

    seen = seen_of(f->store, "k");
    hf__write_fetched(f->store, s_("k"), &old, 0, &seen); /* and if nothing came it is */
    assert_value(f->store, "k", "old");
    close_store(f);
}

/* Nobody tells what others write: their entry stands in the log before ours, and is read when we come back. */
static void test_link__15_a_lanes_own_entry_hides_none_of_others_before_it(void **state)
{
    struct fixture *f = *state;

    f->ns.writers = HF_WRITERS_HOLDFAST;
    fake_redis_refuse_tracking(true);
    open_online(f);
    put(f->store, "k", "ours");
    fake_redis_other_node("k", "theirs", 0, 0);
    incr(f->store, "n");
    close_store(f);
    open_online(f);
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_value(f->store, "k", "theirs");
    close_store(f);
}

/* ---- 15: what is owed, and what is told meanwhile ---- */

static bool is_applied(void *ctx)
{
    return fake_redis_applied(*(const char **)ctx) > 0;
}

/* The change went while a checkpoint made it a row or a lane entry: it has ended, and nothing has cleared it. */
static void end_what_is_stored(struct fixture *f, enum fake_request kind, const struct hf_op *op)
{
    unsigned asked = fake_redis_asked(kind);
    const char *key = op->key.data;

    fake_redis_freeze(kind);
    submit(f->store, op);
    wait_asked(kind, asked + 1);
    assert_ok(hf_checkpoint(f->store));
    fake_local_hold_commits(true); /* until somebody asks for a checkpoint */
    fake_redis_thaw(kind);
    assert_true(wait_until(is_applied, &key, SOON_MS));
    wait_told(); /* behind the answer */
}

static void test_link__15_what_has_ended_as_a_row_is_a_copy(void **state)
{
    struct fixture *f = *state;

    open_online(f);
    end_what_is_stored(f, FAKE_GROUP, &(struct hf_op){.kind = HF_OP_SET, .key = s_("k"), .value = s_("ours")});
    fake_redis_foreign_set("k", "theirs", 0);
    wait_told();
    fake_local_hold_commits(false);
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_value(f->store, "k", "theirs");
    close_store(f);
}

static void test_link__15_what_has_ended_in_the_lane_is_a_copy(void **state)
{
    struct fixture *f = *state;

    open_online(f);
    end_what_is_stored(f, FAKE_LANE, &(struct hf_op){.kind = HF_OP_INCR, .key = s_("n"), .delta = 1});
    fake_redis_foreign_set("n", "10", 0);
    wait_told();
    fake_local_hold_commits(false);
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_value(f->store, "n", "10");
    close_store(f);
}

/* The look began before the commit that cleared the row. */
static void test_link__15_what_a_commit_has_cleared_is_owed_to_no_older_look(void **state)
{
    struct fixture *f = *state;
    struct hf_local_snap *snap;
    struct hf_found found;
    enum hf_owed owed;
    struct hf_look look;

    open_online(f);
    end_what_is_stored(f, FAKE_GROUP, &(struct hf_op){.kind = HF_OP_SET, .key = s_("k"), .value = s_("ours")});
    fake_redis_freeze(FAKE_GROUP);
    submit_set(f->store, "other", s_("v")); /* which owes a row from now on */
    assert_true(wait_until(is_durable, f->store, SOON_MS));
    assert_ok(hf__look_begin(f->store, &look));
    assert_ok(hf__look_snap(&look, &snap));
    fake_local_hold_commits(false);
    assert_ok(hf_checkpoint(f->store));
    assert_ok(hf__look_up(&look, s_("k"), &found));
    assert_ok(hf__look_owed(&look, s_("k"), &found, &owed));
    hf__look_end(&look);
    assert_int_equal(owed, HF_OWED_NOTHING);
    close_store(f);
}

static bool is_later(void *ctx)
{
    struct hf_slice key, value;
    struct hf_scan *scan;
    bool later;

    assert_ok(hf_scan_open(ctx, s_("k"), s_(""), &scan));
    later = hf_scan_next(scan, &key, &value, NULL) == 0 && hf__slice_eq(value, s_("theirs, later"));
    hf_scan_close(scan);
    return later;
}

/* Ours has lost, and nothing is stored for it, so that no EXEC tells whether the key was changed after it was looked at;
 * and copies of the namespace are not compared after the replay. */
static void write_before_it_ends(struct fixture *f)
{
    fake_redis_foreign_set("k", "theirs, later", 0);
    wait_told();
    fake_redis_thaw(FAKE_GROUP);
    assert_true(wait_until(is_later, f->store, SOON_MS));
    assert_conflict_over(f, "ours");
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_true(is_later(f->store));
}

static void test_link__15_what_a_plain_client_writes_before_a_lost_row_ends_is_read(void **state)
{
    struct fixture *f = *state;

    f->ns.conflict = HF_CONFLICT_REMOTE;
    f->ns.writers = HF_WRITERS_HOLDFAST;
    open_online(f);
    put(f->store, "k", "base");
    go_away(f);
    put(f->store, "k", "ours");
    fake_redis_other_node("k", "theirs", 0, 0); /* or nothing would be looked at */
    come_back_to_the_first_group(f);
    write_before_it_ends(f);
    close_store(f);
}

/* The log names nobody. */
static void test_link__15_what_a_plain_client_writes_before_a_decision_is_overturned_is_read(void **state)
{
    struct fixture *f = *state;
    unsigned asked;

    f->ns.tentative = true;
    f->ns.writers = HF_WRITERS_HOLDFAST;
    open_online(f);
    put(f->store, "k", "base");
    go_away(f);
    assert_ok(hf_compare_and_set(f->store, s_("k"), s_("base"), s_("ours"), NULL, NULL));
    fake_redis_foreign_set("k", "theirs", 0);
    asked = fake_redis_asked(FAKE_GROUP);
    come_back_to_the_first_group(f); /* a guarded one, which stores nothing; then the key is examined */
    fake_redis_let(FAKE_GROUP, 1);
    wait_asked(FAKE_GROUP, asked + 2);
    write_before_it_ends(f);
    close_store(f);
}

/* A reader's fetch and our own are under way at once. */
static void test_link__15_a_fetch_that_another_read_has_overtaken_is_asked_again(void **state)
{
    struct fixture *f = *state;
    unsigned asked = fake_redis_asked(FAKE_FETCH);
    struct reading r = {0};
    pthread_t thread;

    f->ns.read_mode = HF_READ_SHARED;
    f->opts.redis_timeout_ms = SOON_MS;
    open_online(f);
    put(f->store, "k", "ours");
    fake_redis_freeze(FAKE_FETCH);
    fake_redis_foreign_set("k", "theirs", 0);
    wait_asked(FAKE_FETCH, asked + 1);
    r.store = f->store;
    assert_int_equal(pthread_create(&thread, NULL, read_key, &r), 0);
    wait_asked(FAKE_FETCH, asked + 2);
    fake_redis_let_newest(
        FAKE_FETCH); /* the reader's; ours is asked for twice, where Redis does not know the script */
    pthread_join(thread, NULL);
    assert_ok(r.rc);
    hf_buf_release(&r.value);
    assert_copy(f->store, "k", "theirs");
    fake_redis_foreign_set("k", "theirs, later", 0);
    fake_redis_thaw(FAKE_FETCH);
    wait_told();
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_copy(f->store, "k", "theirs, later");
    close_store(f);
}

/* ---- 17: a clock that was set back ---- */

static int see_whether_ambiguous(void *ctx, const struct hf_conflict *conflict)
{
    unsigned *n_ambiguous = ctx;

    *n_ambiguous += conflict->ambiguous;
    return 0;
}

/* Redis's clock was set back by an hour: its log gives ids of the old time until the new one has passed it. Such an id is no
 * reason for theirs to be the later one: both ways round the same value wins, and is flagged. */
static void test_link__17_a_log_ahead_of_redis_clock_tells_no_time(void **state)
{
    struct fixture *f = *state;
    int64_t ahead_ms;
    unsigned n_ambiguous = 0;

    open_online(f);
    put(f->store, "k", "base");
    put(f->store, "l", "base");
    assert_ok(hf_drain(f->store, SOON_MS));
    ahead_ms = hf__now_ms(f->store) + 3600 * 1000; /* this Redis's clock is the machine's */
    go_away(f);
    put(f->store, "k", "one");
    put(f->store, "l", "another");
    fake_redis_other_node("k", "another", ahead_ms, 0);
    fake_redis_other_node("l", "one", ahead_ms, 0);
    fake_redis_set_away(false);
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_true(fake_redis_holds("k", "one") == fake_redis_holds("l", "one"));
    assert_true(fake_redis_holds("k", "another") == fake_redis_holds("l", "another"));
    assert_ok(hf_checkpoint(f->store));
    assert_ok(hf_conflict_list(f->store, 0, see_whether_ambiguous, &n_ambiguous));
    assert_int_equal(n_ambiguous, 2);
    close_store(f);
}

/* ---- 15: what is not compared, and another node that writes meanwhile ---- */

/* The replay's first group is on its way, behind a look at kinds. */
static void come_back_among_nodes(struct fixture *f)
{
    f->ns.conflict = HF_CONFLICT_REMOTE;
    f->ns.writers = HF_WRITERS_HOLDFAST;
    open_online(f);
    put(f->store, "k", "base");
    go_away(f);
    put(f->store, "k", "ours");
    put(f->store, "other", "v");
    come_back_to_the_first_group(f);
}

/* Nothing but the log's watch knows of it. */
static void test_link__15_what_a_node_writes_behind_a_look_at_kinds_is_compared(void **state)
{
    struct fixture *f = *state;

    come_back_among_nodes(f);
    fake_redis_other_node("k", "theirs", 0, 0);
    fake_redis_thaw(FAKE_GROUP);
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_redis_holds("k", "theirs");
    assert_redis_holds("other", "v");
    assert_value(f->store, "k", "theirs");
    assert_conflict_over(f, "ours");
    close_store(f);
}

/* The look at kinds has its page of the log, and the push comes behind it. */
static void write_before_a_look(struct fixture *f, enum hf_conflict_policy policy, const char *theirs)
{
    unsigned asked;

    f->ns.conflict = policy;
    f->ns.writers = HF_WRITERS_HOLDFAST;
    open_online(f);
    put(f->store, "k", "base");
    go_away(f);
    put(f->store, "k", "ours");
    put(f->store, "other", "v");
    assert_ok(hf_checkpoint(f->store));
    asked = fake_redis_asked(FAKE_EXAMINE);
    fake_redis_freeze(FAKE_EXAMINE);
    fake_redis_set_away(false);
    wait_asked(FAKE_EXAMINE, asked + 1);
    fake_redis_other_node("k", theirs, 0, 0);
    fake_redis_thaw(FAKE_EXAMINE);
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_redis_holds("k", theirs);
    assert_redis_holds("other", "v");
}

static void test_link__15_what_a_node_writes_before_a_look_at_kinds_is_compared(void **state)
{
    struct fixture *f = *state;

    write_before_a_look(f, HF_CONFLICT_REMOTE, "theirs");
    assert_value(f->store, "k", "theirs");
    assert_conflict_over(f, "ours");
    close_store(f);
}

static void test_link__15_what_a_node_writes_alike_before_a_look_at_kinds_is_no_conflict(void **state)
{
    struct fixture *f = *state;

    write_before_a_look(f, HF_CONFLICT_PARK, "ours");
    assert_int_equal(status_of(f->store).parked, 0);
    close_store(f);
}

static bool k_is_theirs(void *ctx)
{
    struct hf_slice key, value;
    struct hf_scan *scan;
    bool is_theirs;

    assert_ok(hf_scan_open(ctx, s_("k"), s_(""), &scan));
    assert_ok(hf_scan_next(scan, &key, &value, NULL));
    is_theirs = hf__slice_eq(value, s_("theirs"));
    hf_scan_close(scan);
    return is_theirs;
}

/* Without tracking the log is all that tells. */
static void test_link__15_what_a_node_writes_between_a_replay_and_a_live_write_is_read(void **state)
{
    struct fixture *f = *state;

    fake_redis_refuse_tracking(true);
    f->ns.writers = HF_WRITERS_HOLDFAST;
    open_online(f);
    put(f->store, "k", "base");
    go_away(f);
    put(f->store, "other", "v");
    assert_ok(hf_checkpoint(f->store));
    fake_redis_set_away(false);
    assert_ok(hf_drain(f->store, SOON_MS));
    fake_redis_other_node("k", "theirs", 0, 0);
    put(f->store, "live", "v");
    assert_true(wait_until(k_is_theirs, f->store, SOON_MS));
    close_store(f);
}

/* Others write other keys all the time: the next groups, of a row each, are about keys that nobody touches. */
static void test_link__15_a_log_that_others_always_write_to_holds_nothing_up(void **state)
{
    struct fixture *f = *state;
    unsigned asked;

    come_back_among_nodes(f);
    asked = fake_redis_asked(FAKE_GROUP);
    fake_redis_other_node("another", "1", 0, 0);
    fake_redis_let(FAKE_GROUP, 1);
    wait_asked(FAKE_GROUP, asked + 1);
    fake_redis_other_node("another", "2", 0, 0);
    fake_redis_thaw(FAKE_GROUP);
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_redis_holds("k", "ours");
    assert_redis_holds("other", "v");
    assert_int_equal(fake_redis_asked(FAKE_GROUP), asked + 2);
    assert_int_equal(status_of(f->store).conflicts, 0);
    close_store(f);
}

/* ---- 15: what this user may no longer read ---- */

/* Another node changes two, and this user may not read the first, once. */
static void deny_a_copy(struct fixture *f)
{
    f->ns.writers = HF_WRITERS_HOLDFAST; /* so that the log tells of all */
    open_online(f);
    put(f->store, "denied", "old");
    put(f->store, "fine", "old");
    go_away(f);
    fake_redis_other_node("denied", "new", 0, 0);
    fake_redis_other_node("fine", "new", 0, 0);
    fake_redis_script(FAKE_FETCH, FAKE_REFUSE, 1);
    fake_redis_set_away(false);
    assert_ok(hf_drain(f->store, SOON_MS));
}

static bool denied_is_verified(void *ctx)
{
    return read_of(ctx, "denied").origin == HF_ORIGIN_LOCAL_VERIFIED;
}

static void test_link__15_a_copy_that_may_not_be_read_holds_up_no_other(void **state)
{
    struct fixture *f = *state;

    deny_a_copy(f);
    assert_copy(f->store, "denied", "old");
    assert_copy(f->store, "fine", "new");
    assert_int_equal(read_of(f->store, "fine").origin, HF_ORIGIN_LOCAL_UNVERIFIED);
    go_away(f);
    fake_redis_set_away(false);
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_copy(f->store, "denied", "new");
    assert_true(wait_until(denied_is_verified, f->store, SOON_MS));
    close_store(f);
}

static void test_link__15_a_copy_that_might_not_be_read_is_fetched_after_a_while(void **state)
{
    struct fixture *f = *state;

    deny_a_copy(f);
    assert_copy(f->store, "denied", "old");
    assert_true(wait_until(denied_is_verified, f->store, 2 * SOON_MS));
    assert_copy(f->store, "denied", "new");
    close_store(f);
}

/* The log behind the cursor names it. */
static void test_link__15_a_copy_that_might_not_be_read_is_fetched_after_a_crash(void **state)
{
    struct fixture *f = *state;

    deny_a_copy(f);
    assert_ok(hf_checkpoint(f->store));
    go_away(f);
    close_store(f);
    open_store(f);
    assert_copy(f->store, "denied", "old");
    fake_redis_set_away(false);
    wait_state(f->store, HF_LINK_ONLINE);
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_copy(f->store, "denied", "new");
    close_store(f);
}

/* ---- 15: copies that are trusted, and very many rows ---- */

#define VERY_MANY 10000 /* from so many rows on a replay goes without tracking */

static bool is_verified(void *ctx)
{
    return read_of(ctx, "k").origin == HF_ORIGIN_LOCAL_VERIFIED;
}

static bool k_is_gone(void *ctx)
{
    struct hf_buf value = {0};
    bool gone = hf_get(ctx, s_("k"), &value, NULL) == HF_NOT_FOUND;

    hf_buf_release(&value);
    return gone;
}

static bool a_is_verified(void *ctx)
{
    return read_of(ctx, "a").origin == HF_ORIGIN_LOCAL_VERIFIED;
}

static bool lacks_memory(void *ctx)
{
    return status_of(ctx).link != HF_LINK_ONLINE;
}

/* Live writes that Redis has no memory for: they are left pending, on this connection. */
static void leave_very_many(struct fixture *f)
{
    char key[32];

    fake_redis_freeze(FAKE_GROUP);
    fake_redis_script(FAKE_GROUP, FAKE_OOM, UINT_MAX);
    for (int i = 0; i < VERY_MANY + 100; i++) {
        snprintf(key, sizeof(key), "row%05d", i);
        submit_set(f->store, key, s_("v"));
    }
    assert_true(wait_until(is_durable, f->store, SOON_MS));
    fake_redis_thaw(FAKE_GROUP);
    assert_true(wait_until(lacks_memory, f->store, SOON_MS));
    fake_redis_freeze(FAKE_GROUP);
    assert_ok(hf_checkpoint(f->store));
}

/* Redis is busy for a moment, in which nobody writes. */
static void test_link__15_copies_are_compared_when_redis_can_be_asked_again(void **state)
{
    struct fixture *f = *state;
    unsigned asked = fake_redis_asked(FAKE_EXAMINE);

    open_online(f);
    put(f->store, "k", "v");
    close_store(f);
    fake_redis_freeze(FAKE_EXAMINE);
    open_online(f);
    wait_asked(FAKE_EXAMINE, asked + 1);
    fake_redis_trouble(FAKE_TROUBLE_BUSY, true);
    fake_redis_thaw(FAKE_EXAMINE);
    wait_state(f->store, HF_LINK_OFFLINE);
    fake_redis_trouble(FAKE_TROUBLE_BUSY, false);
    assert_true(wait_until(is_verified, f->store, SOON_MS));
    close_store(f);
}

/* Nothing in the older log names what another node wrote since, and that node never comes back. */
static void test_link__13_copies_of_others_are_compared_after_a_rollback(void **state)
{
    struct fixture *f = *state;

    f->ns.writers = HF_WRITERS_HOLDFAST;
    open_online(f);
    incr(f->store, "n");
    fake_redis_snapshot();
    fake_redis_other_node("k", "theirs", wall_ms(), 0);
    assert_value(f->store, "k", "theirs");
    incr(f->store, "n");
    go_back_to_snapshot(f);
    assert_true(wait_until(k_is_gone, f->store, SOON_MS));
    assert_redis_holds("k", NULL);
    assert_redis_holds("n", "2");
    close_store(f);
}

/* The first namespace has been compared, the second is being so. */
static void test_link__15_what_is_distrusted_behind_the_walk_is_compared_again(void **state)
{
    struct hf_namespace both[] = {{.prefix = "a"}, {.prefix = "k"}};
    struct fixture *f = *state;
    unsigned asked = fake_redis_asked(FAKE_EXAMINE);

    f->opts.namespaces = both;
    f->opts.n_namespaces = 2;
    open_online(f);
    put(f->store, "a", "old");
    put(f->store, "k", "old");
    close_store(f);
    fake_redis_freeze(FAKE_EXAMINE);
    open_online(f);
    wait_asked(FAKE_EXAMINE, asked + 1);
    fake_redis_let(FAKE_EXAMINE, 1);
    wait_asked(FAKE_EXAMINE, asked + 2);
    fake_redis_foreign_set("a", "theirs", 0);
    fake_redis_lose_log(); /* which is found out in the first namespace */
    submit_set(f->store, "ab", s_("v"));
    assert_ok(hf_drain(f->store, SOON_MS));
    fake_redis_thaw(FAKE_EXAMINE);
    assert_true(wait_until(is_verified, f->store, SOON_MS));
    assert_true(wait_until(a_is_verified, f->store, SOON_MS));
    assert_value(f->store, "a", "theirs");
    close_store(f);
}

/* Redis is back with an older copy of its data, and of its log, before the link knows that the log was gone. */
static void test_link__15_what_no_log_has_named_is_compared(void **state)
{
    struct fixture *f = *state;

    f->ns.writers = HF_WRITERS_HOLDFAST; /* so that the log tells of all */
    open_online(f);
    put(f->store, "a", "v");
    fake_redis_snapshot();
    fake_redis_hold_turn(true); /* or its end is told */
    fake_redis_lose_log();
    fake_redis_script(FAKE_EPOCH, FAKE_LOSE, 1);
    put(f->store, "k", "unnamed");
    wait_state(f->store, HF_LINK_OFFLINE);
    close_store(f);
    fake_redis_hold_turn(false);
    fake_redis_restore();
    fake_redis_set_away(false);
    open_online(f);
    assert_true(wait_until(k_is_gone, f->store, SOON_MS));
    assert_redis_holds("k", NULL);
    close_store(f);
}

/* ---- the pace of comparing copies ---- */

#define A_BATCH 512 /* of copies that are compared at once */
#define PAUSE_MS 4  /* between two batches */

/* Clocks that stand still until the test lets time pass. */
static _Atomic int64_t stands_at_ms;

static int64_t standing(struct hf_clock *clock)
{
    (void)clock;
    return atomic_load(&stands_at_ms);
}

static struct hf_clock standing_clock = {.wall_ms = standing, .boot_ms = standing};

static void open_online_standing(struct fixture *f)
{
    struct hf_parts parts = {hf__file_layer_real(), &standing_clock, fake_local_open, fake_redis_open};

    atomic_store(&stands_at_ms, hf__clock_real()->wall_ms(hf__clock_real()));
    fake_redis_set_clock(&standing_clock, atomic_load(&stands_at_ms));
    assert_ok(hf__store_open(f->scratch.store, &f->opts, &parts, &f->store));
    wait_state(f->store, HF_LINK_ONLINE);
}

/* A live write is shared, whatever else goes on, and the link looks at what is to be done next. */
static void write_live(struct fixture *f)
{
    struct hf_result result;

    assert_ok(hf_set(f->store, s_("live"), s_("v"), NULL, &result));
    assert_true(result.shared && !result.pending);
}

struct compared {
    struct hf *store;
    uint64_t n;
};

static bool are_compared(void *ctx)
{
    struct compared *c = ctx;

    return status_of(c->store).revalidated == c->n;
}

/* The log was trimmed: nothing else would be compared here. */
static void hold_many_copies(struct fixture *f, int n)
{
    char key[32];

    f->ns.writers = HF_WRITERS_HOLDFAST;
    open_online(f);
    for (int i = 0; i < n; i++) {
        snprintf(key, sizeof(key), "copy%05d", i);
        submit_set(f->store, key, s_("v"));
    }
    assert_ok(hf_drain(f->store, SOON_MS));
    close_store(f);
    for (int i = 0; i < 8; i++)
        fake_redis_other_node("other", "theirs", 0, 0);
    fake_redis_trim_log(4);
}

/* Batches that are asked for while no time passes, and while one of them has no answer. */
static void test_link__copies_are_compared_in_paced_batches_and_live_writes_go_on(void **state)
{
    struct fixture *f = *state;
    unsigned first = fake_redis_asked(FAKE_EXAMINE) + 1;

    f->opts.redis_timeout_ms = SOON_MS;
    hold_many_copies(f, 3 * A_BATCH + 1);
    fake_redis_freeze(FAKE_EXAMINE);
    open_online_standing(f);
    wait_asked(FAKE_EXAMINE, first);
    for (int i = 0; i < 5; i++)
        write_live(f);
    fake_redis_thaw(FAKE_EXAMINE);
    for (unsigned batch = 0; batch < 4; batch++) {
        struct compared so_far = {f->store, batch < 3 ? (batch + 1) * A_BATCH : 3 * A_BATCH + 1};
        assert_true(wait_until(are_compared, &so_far, SOON_MS));
        for (int i = 0; i < 5; i++)
            write_live(f);
        assert_int_equal(fake_redis_asked(FAKE_EXAMINE), first + batch);
        atomic_fetch_add(&stands_at_ms, PAUSE_MS);
        write_live(f);
    }
    assert_ok(hf_drain(f->store, SOON_MS));
    close_store(f);
}

/* In the midst of them more is found in the log than an examination reads: it is read as after a connect, on the same
 * connection. */
static void test_link__15_what_others_change_is_told_while_very_many_rows_go_and_copies_are_trusted(void **state)
{
    struct fixture *f = *state;
    unsigned asked = fake_redis_asked(FAKE_FACTS);

    open_online(f);
    put(f->store, "k", "old");
    assert_true(wait_until(is_verified, f->store, SOON_MS));
    leave_very_many(f);
    fake_redis_script(FAKE_GROUP, FAKE_APPLY, 0);
    for (int i = 0; i < 100; i++)
        fake_redis_other_node("other", "v", 0, 0);
    fake_redis_let(FAKE_GROUP, 2); /* nothing is applied, and the watch ends */
    wait_asked(FAKE_FACTS, asked + 2);
    fake_redis_freeze(FAKE_FETCH);
    fake_redis_foreign_set("k", "theirs", 0);
    wait_told();
    assert_false(is_verified(f->store));
    fake_redis_thaw(FAKE_FETCH);
    fake_redis_thaw(FAKE_GROUP);
    assert_ok(hf_drain(f->store, NEVER_MS)); /* very many rows, and each is looked for among all */
    assert_value(f->store, "k", "theirs");
    close_store(f);
}

/* Copies are to be compared, because nobody can tell what others have changed; until then none is believed. */
static void test_link__15_what_is_to_be_compared_since_the_log_was_lost_is_not_verified(void **state)
{
    struct fixture *f = *state;
    unsigned asked;

    open_online(f);
    put(f->store, "k", "old");
    assert_true(wait_until(is_verified, f->store, SOON_MS));
    asked = fake_redis_asked(FAKE_LOG_PAGE);
    fake_redis_lose_log();
    submit_set(f->store, "other", s_("v"));
    fake_local_hold_commits(true); /* rows are waited for */
    wait_asked(FAKE_LOG_PAGE, asked + 1);
    fake_redis_foreign_set("k", "theirs", 0);
    wait_told();
    assert_false(is_verified(f->store));
    fake_local_hold_commits(false);
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_true(wait_until(is_verified, f->store, SOON_MS));
    assert_value(f->store, "k", "theirs");
    close_store(f);
}

/* ---- waiting in the midst of a replay: no checkpoint comes by itself ---- */

struct waiting {
    struct hf *store;
    uint64_t lsn; /* 0: for everything */
    int rc;
    atomic_bool ended;
    pthread_t thread;
};

static void *wait_in_thread(void *arg)
{
    struct waiting *w = arg;

    w->rc = w->lsn ? hf_wait_shared(w->store, w->lsn, 2 * SOON_MS) : hf_drain(w->store, 2 * SOON_MS);
    atomic_store(&w->ended, true);
    return NULL;
}

static void begin_waiting(struct waiting *w, struct hf *store, uint64_t lsn)
{
    w->store = store;
    w->lsn = lsn;
    atomic_init(&w->ended, false);
    assert_int_equal(pthread_create(&w->thread, NULL, wait_in_thread, w), 0);
}

static bool has_waited(void *ctx)
{
    return atomic_load(&((struct waiting *)ctx)->ended);
}

/* Long before its time runs out, when it would look for itself. */
static void assert_waited(struct waiting *w)
{
    if (!wait_until(has_waited, w, SOON_MS))
        fail_msg("the wait for %llu goes on", (unsigned long long)w->lsn);
    pthread_join(w->thread, NULL);
    assert_ok(w->rc);
}

/* From each group on: for an older row, for a newer one, for what is written meanwhile, and for all. */
static void test_link__waits_that_begin_in_a_replay_end_with_it(void **state)
{
    struct fixture *f = *state;
    struct waiting waits[3][5];

    open_online(f);
    go_away(f);
    put(f->store, "first", "v");
    put_two_big(f->store);
    incr(f->store, "n");
    come_back_to_the_first_group(f);
    for (unsigned group = 0; group < 3; group++) {
        uint64_t row = status_of(f->store).last_lsn;
        submit(f->store, &(struct hf_op){.kind = HF_OP_INCR, .key = s_("n"), .delta = 1});
        submit_set(f->store, "live", s_("v"));
        for (unsigned i = 0; i < 4; i++)
            begin_waiting(&waits[group][i], f->store, row - 1 + i);
        begin_waiting(&waits[group][4], f->store, 0);
        fake_redis_let(FAKE_GROUP, 1);
    }
    fake_redis_thaw(FAKE_GROUP);
    for (unsigned i = 0; i < 15; i++)
        assert_waited(&waits[i / 5][i % 5]);
    assert_int_equal(status_of(f->store).link, HF_LINK_ONLINE);
    assert_redis_holds("n", "4");
    close_store(f);
}

/* It is stored with the first of two groups; the second one is never answered. */
static void test_link__a_wait_for_a_row_ends_with_the_checkpoint_that_clears_it(void **state)
{
    struct fixture *f = *state;
    unsigned asked = fake_redis_asked(FAKE_GROUP);
    struct waiting w;

    open_online(f);
    go_away(f);
    put(f->store, "a", "v"); /* goes with the first of those that follow it */
    begin_waiting(&w, f->store, status_of(f->store).last_lsn);
    put_two_big(f->store);
    come_back_to_the_first_group(f);
    fake_redis_let(FAKE_GROUP, 1);
    wait_asked(FAKE_GROUP, asked + 2);
    wait_told(); /* behind the first answer: its rows have ended */
    assert_ok(hf_checkpoint(f->store));
    assert_waited(&w);
    assert_int_equal(status_of(f->store).link, HF_LINK_REPLAYING);
    close_store(f);
}

/* ---- A2: a live write to a key that is owed ---- */

static void test_link__A2_a_live_write_joins_the_row_of_its_key(void **state)
{
    struct fixture *f = *state;

    f->ns.conflict = HF_CONFLICT_REMOTE;
    f->opts.replay_ops_per_s = 10; /* its turn comes behind that of the live write */
    open_online(f);
    put(f->store, "k", "base");
    go_away(f);
    put_two_big(f->store);
    put(f->store, "k", "first");
    fake_redis_foreign_set("k", "theirs", 0);
    come_back_to_the_first_group(f);
    submit_set(f->store, "k", s_("second"));
    fake_redis_thaw(FAKE_GROUP);
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_redis_holds("k", "theirs");
    assert_conflict_over(f, "second");
    close_store(f);
}

/* When another node's delete of a key that is owed gets there, and is told. */
enum moment { AT_CATCH_UP, OUT_AND_TOLD, OUT_AND_UNTOLD };

/* Come back, as far as the first request about rows: a group in the guarded way, an examination where the log decides. It
 * is carried out behind the delete. */
static void come_back_before(struct fixture *f, int64_t made_ms, enum moment moment)
{
    unsigned groups = fake_redis_asked(FAKE_GROUP), looks = fake_redis_asked(FAKE_EXAMINE);

    assert_ok(hf_checkpoint(f->store));
    fake_redis_freeze(FAKE_GROUP);
    fake_redis_freeze(FAKE_EXAMINE);
    fake_redis_set_away(false);
    if (f->ns.writers == HF_WRITERS_ANY)
        wait_asked(FAKE_GROUP, groups + 1);
    else
        wait_asked(FAKE_EXAMINE, looks + 1);
    fake_redis_hold_turn(moment == OUT_AND_UNTOLD);
    fake_redis_other_node("k", NULL, made_ms, 0);
    if (moment == OUT_AND_TOLD)
        wait_told();
    fake_redis_thaw(FAKE_GROUP);
    fake_redis_thaw(FAKE_EXAMINE);
}

struct late_delete {
    enum hf_conflict_policy policy;
    int made; /* so many ms after ours */
    bool wins;
};

static void play_late_delete(struct fixture *f, const struct late_delete *late, enum moment moment)
{
    int64_t made_ms;

    f->ns.conflict = late->policy;
    open_online(f);
    put(f->store, "k", "base");
    assert_ok(hf_drain(f->store, SOON_MS));
    go_away(f);
    put(f->store, "k", "ours");
    made_ms = wall_ms() + late->made;
    if (moment == AT_CATCH_UP) {
        fake_redis_other_node("k", NULL, made_ms, 0);
        fake_redis_set_away(false);
    } else {
        come_back_before(f, made_ms, moment);
    }
    assert_ok(hf_drain(f->store, SOON_MS));
    fake_redis_hold_turn(false);
    assert_redis_holds("k", late->wins ? NULL : "ours");
    assert_value(f->store, "k", late->wins ? NULL : "ours");
    assert_conflict_over(f, "ours");
    close_store(f);
}

static void play_late_deletes(void **state, enum hf_writers writers)
{
    static const struct late_delete all[] = {
        {HF_CONFLICT_NEWEST, LATER_MS, true}, {HF_CONFLICT_NEWEST, -LATER_MS, false},
        {HF_CONFLICT_REMOTE, LATER_MS, true}, {HF_CONFLICT_REMOTE, -LATER_MS, true},
        {HF_CONFLICT_LOCAL, LATER_MS, false}, {HF_CONFLICT_LOCAL, -LATER_MS, false},
    };

    for (size_t i = 0; i < 3 * sizeof(all) / sizeof(all[0]); i++) {
        struct fixture *f = *state;
        f->ns.writers = writers;
        play_late_delete(f, &all[i / 3], (enum moment)(i % 3));
        assert_int_equal(teardown(state), 0);
        assert_int_equal(setup(state), 0);
    }
}

static void test_link__10_a_delete_behind_the_catch_up_is_judged_before_a_guarded_group_is_applied(void **state)
{
    play_late_deletes(state, HF_WRITERS_ANY);
}

static void test_link__10_a_delete_behind_the_catch_up_is_judged_where_the_log_decides(void **state)
{
    play_late_deletes(state, HF_WRITERS_HOLDFAST);
}

/* Another node, which is there, deletes keys while rows before theirs are on their way: later than we wrote them. Only nodes
 * write, so nothing is compared but what the log names. */
static void test_link__10_a_delete_named_during_the_replay_counts_among_nodes(void **state)
{
    struct fixture *f = *state;

    f->ns.writers = HF_WRITERS_HOLDFAST;
    fake_redis_foreign_set("blind", "v", 0);
    open_online(f);
    put(f->store, "known", "base");
    put(f->store, "evicted", "base");
    assert_ok(hf_drain(f->store, SOON_MS));
    go_away(f);
    put_two_big(f->store);
    put(f->store, "known", "ours");
    put(f->store, "blind", "ours");
    put(f->store, "evicted", "ours");
    come_back_to_the_first_group(f);
    fake_redis_other_node("known", NULL, 0, 0);
    fake_redis_other_node("blind", NULL, 0, 0);
    fake_redis_foreign_delete("evicted"); /* which no log explains */
    wait_told();
    fake_redis_thaw(FAKE_GROUP);
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_redis_holds("known", NULL);
    assert_redis_holds("blind", NULL);
    assert_redis_holds("evicted", "ours");
    assert_ok(hf_checkpoint(f->store));
    assert_int_equal(status_of(f->store).conflicts, 2);
    close_store(f);
}

/* It waits behind another while its row, which took it in, is judged, and a checkpoint comes between. */
static void test_link__A2_a_live_write_that_has_ended_with_its_row_is_not_sent(void **state)
{
    struct fixture *f = *state;
    char *big = malloc(MIB);
    unsigned asked;

    assert_non_null(big);
    memset(big, 'x', MIB);
    f->ns.conflict = HF_CONFLICT_REMOTE;
    open_online(f);
    put(f->store, "k", "base");
    go_away(f);
    assert_true(hf_set(f->store, s_("big"), hf__slice(big, MIB), NULL, NULL) >= 0);
    put(f->store, "k", "first");
    fake_redis_foreign_set("k", "theirs", 0);
    asked = fake_redis_asked(FAKE_GROUP);
    come_back_to_the_first_group(f);
    submit_set(f->store, "live", hf__slice(big, MIB)); /* a group of its own */
    submit_set(f->store, "k", s_("second"));
    free(big);
    fake_redis_let(FAKE_GROUP, 1);
    wait_asked(FAKE_GROUP, asked + 2);
    fake_redis_let(FAKE_GROUP, 1);
    wait_asked(FAKE_GROUP, asked + 3); /* the row, which has nothing to store */
    assert_ok(hf_checkpoint(f->store));
    fake_redis_thaw(FAKE_GROUP);
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_redis_holds("k", "theirs");
    assert_value(f->store, "k", "theirs");
    assert_conflict_over(f, "second");
    close_store(f);
}

/* The row that is out knows the first alone; by its answer the key's row is of both, and what Redis holds is ours. */
static void test_link__A2_a_row_that_a_checkpoint_makes_newer_on_its_way_is_no_conflict(void **state)
{
    struct fixture *f = *state;

    open_online(f);
    put(f->store, "k", "base");
    go_away(f);
    put(f->store, "k", "first");
    come_back_to_the_first_group(f);
    submit_set(f->store, "k", s_("second"));
    assert_ok(hf_checkpoint(f->store));
    fake_redis_thaw(FAKE_GROUP);
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_redis_holds("k", "second");
    assert_value(f->store, "k", "second");
    assert_int_equal(status_of(f->store).conflicts, 0);
    close_store(f);
}

/* The row was prepared while another was out, and a checkpoint has taken the second from all views since. */
static void test_link__A2_a_row_that_a_checkpoint_makes_newer_before_its_turn_is_sent_as_it_is(void **state)
{
    struct fixture *f = *state;

    open_online(f);
    put(f->store, "k", "base");
    go_away(f);
    put_big(f->store, "big");
    put(f->store, "k", "first");
    come_back_to_the_first_group(f);
    wait_told();
    submit_set(f->store, "k", s_("second"));
    assert_ok(hf_checkpoint(f->store));
    fake_redis_thaw(FAKE_GROUP);
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_redis_holds("k", "second");
    assert_int_equal(fake_redis_applied("k"), 2);
    close_store(f);
}

/* ... and its key has a row again by the time that its turn comes, of a later write. */
static void test_link__A2_a_live_write_that_has_ended_is_not_sent_before_a_later_one(void **state)
{
    struct fixture *f = *state;
    char *big = malloc(MIB);
    unsigned asked;

    assert_non_null(big);
    memset(big, 'x', MIB);
    open_online(f);
    put(f->store, "k", "base");
    go_away(f);
    assert_true(hf_set(f->store, s_("big"), hf__slice(big, MIB), NULL, NULL) >= 0);
    put(f->store, "k", "first");
    asked = fake_redis_asked(FAKE_GROUP);
    come_back_to_the_first_group(f);
    submit_set(f->store, "live", hf__slice(big, MIB)); /* groups of their own */
    submit_set(f->store, "live too", hf__slice(big, MIB));
    submit_set(f->store, "k", s_("second"));
    free(big);
    assert_ok(hf_checkpoint(f->store));
    for (unsigned i = 2; i <= 4;
         i++) { /* the row, with the second, and one of the big ones are stored; the other is out */
        fake_redis_let(FAKE_GROUP, 1);
        wait_asked(FAKE_GROUP, asked + i);
    }
    assert_ok(hf_checkpoint(f->store));
    submit_set(f->store, "k", s_("third"));
    assert_ok(hf_checkpoint(f->store));
    assert_ok(hf_checkpoint(f->store));
    fake_redis_thaw(FAKE_GROUP);
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_redis_holds("k", "third");
    assert_int_equal(fake_redis_applied("k"), 3);
    close_store(f);
}

/* ---- A3: what is shown before Redis has answered ---- */

static void test_link__A3_an_increment_is_tentative_until_its_answer_is_installed(void **state)
{
    struct fixture *f = *state;
    struct hf_result r;
    unsigned asked;

    fake_redis_refuse_tracking(true); /* nobody tells of the foreign value: the answer alone brings it */
    open_online(f);
    incr(f->store, "n");
    fake_redis_foreign_set("n", "10", 0);
    asked = fake_redis_asked(FAKE_LANE);
    fake_redis_freeze(FAKE_LANE);
    submit(f->store, &(struct hf_op){.kind = HF_OP_INCR, .key = s_("n"), .delta = 1});
    wait_asked(FAKE_LANE, asked + 1);
    r = read_of(f->store, "n");
    assert_true(r.tentative && r.pending);
    fake_redis_thaw(FAKE_LANE);
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_value(f->store, "n", "11");
    r = read_of(f->store, "n");
    assert_false(r.tentative || r.pending);
    close_store(f);
}

/* ---- A6: batches and conflicts ---- */

static void write_both(struct fixture *f, const char *a, const char *b)
{
    struct hf_op ops[] = {{.kind = HF_OP_SET, .key = s_("a"), .value = s_(a)},
                          {.kind = HF_OP_SET, .key = s_("b"), .value = s_(b)}};

    assert_ok(hf__write(f->store, ops, 2, NULL));
}

static void come_home(struct fixture *f)
{
    assert_ok(hf_checkpoint(f->store));
    fake_redis_set_away(false);
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_ok(hf_checkpoint(f->store));
}

/* Both keys are known here, and a batch and an increment wait. */
static void begin_batch(struct fixture *f, enum hf_conflict_policy policy)
{
    f->ns.conflict = policy;
    open_online(f);
    put(f->store, "a", "base");
    put(f->store, "b", "base");
    go_away(f);
    write_both(f, "ours a", "ours b");
    incr(f->store, "n");
}

static int note_parked_over_b(void *ctx, const struct hf_parked *entry)
{
    assert_false(entry->in_doubt);
    assert_non_null(strstr(entry->reason, "'b': it was changed here and there"));
    ++*(unsigned *)ctx;
    return 0;
}

static void test_link__A6_a_batch_that_loses_one_key_is_parked_whole(void **state)
{
    static const enum hf_conflict_policy policies[] = {HF_CONFLICT_NEWEST, HF_CONFLICT_REMOTE, HF_CONFLICT_PARK,
                                                       HF_CONFLICT_MERGE_JSON};

    for (size_t i = 0; i < sizeof(policies) / sizeof(policies[0]); i++) {
        struct fixture *f = *state;
        unsigned n = 0;
        begin_batch(f, policies[i]);
        fake_redis_foreign_set("b", "theirs", 0);
        come_home(f);
        assert_redis_holds("a", "base");
        assert_redis_holds("b", "theirs");
        assert_redis_holds("n", "1");
        assert_ok(hf_parked_list(f->store, note_parked_over_b, &n));
        assert_int_equal(n, 2);
        assert_int_equal(status_of(f->store).conflicts, 0);
        close_store(f);
        assert_int_equal(teardown(state), 0);
        assert_int_equal(setup(state), 0);
    }
}

static void test_link__A6_a_batch_that_wins_is_applied_and_keeps_theirs(void **state)
{
    struct fixture *f = *state;

    begin_batch(f, HF_CONFLICT_LOCAL);
    fake_redis_foreign_set("b", "theirs", 0);
    come_home(f);
    assert_redis_holds("a", "ours a");
    assert_redis_holds("b", "ours b");
    assert_redis_holds("n", "1");
    assert_conflict_over(f, "ours b");
    assert_int_equal(status_of(f->store).parked, 0);
    close_store(f);
}

/* Another node's earlier write arrives behind the catch-up, and no push has told of it when the batch is judged. */
static void test_link__A6_a_batch_is_judged_by_what_the_log_names_behind_the_catch_up(void **state)
{
    struct fixture *f = *state;
    unsigned asked;

    begin_batch(f, HF_CONFLICT_NEWEST);
    assert_ok(hf_checkpoint(f->store));
    asked = fake_redis_asked(FAKE_LANE);
    fake_redis_freeze(FAKE_LANE);
    fake_redis_set_away(false);
    wait_asked(FAKE_LANE, asked + 1);
    fake_redis_hold_turn(true);
    fake_redis_other_node("b", "theirs", wall_ms() - NEVER_MS, 0);
    fake_redis_thaw(FAKE_LANE);
    assert_ok(hf_drain(f->store, SOON_MS));
    fake_redis_hold_turn(false);
    assert_redis_holds("a", "ours a");
    assert_redis_holds("b", "ours b");
    assert_int_equal(status_of(f->store).parked, 0);
    close_store(f);
}

/* Another batch over the same keys, in a stretch without Redis that follows: what was applied is its base. */
static void test_link__A6_a_batch_over_what_it_knows_is_no_conflict(void **state)
{
    struct fixture *f = *state;

    begin_batch(f, HF_CONFLICT_PARK);
    write_both(f, "more a", "more b");
    come_home(f);
    assert_redis_holds("a", "more a");
    go_away(f);
    write_both(f, "last a", "last b");
    fake_redis_foreign_delete("b"); /* an absence that nobody explains */
    come_home(f);
    assert_redis_holds("a", "last a");
    assert_redis_holds("b", "last b");
    assert_int_equal(status_of(f->store).parked + status_of(f->store).conflicts, 0);
    close_store(f);
}

/* The value was carried into the lane by the increment behind it. */
static void test_link__A6_a_value_that_loses_leaves_the_lane_and_increments_go_on(void **state)
{
    struct fixture *f = *state;

    open_online(f);
    put(f->store, "n", "5");
    go_away(f);
    put(f->store, "n", "7");
    assert_ok(hf_checkpoint(f->store)); /* its row goes when it joins the lane */
    incr(f->store, "n");
    fake_redis_foreign_set("n", "100", 0);
    come_home(f);
    assert_redis_holds("n", "101");
    assert_value(f->store, "n", "101");
    assert_conflict_over(f, "7");
    assert_int_equal(status_of(f->store).settled_by[HF_OUTCOME_LOST], 1);
    assert_int_equal(status_of(f->store).pending_keys, 0);
    close_store(f);
}

struct carried {
    enum hf_conflict_policy policy;
    const char *n; /* what it holds in the end */
};

/* The link replays, and the row is on its way, or has not had its turn, when an increment carries its value into the lane. */
static void carry_a_waiting_value(struct fixture *f, const struct carried *carried, unsigned how)
{
    bool stored = how & 1, named = how & 2, out = how & 4;
    unsigned asked;

    f->ns.conflict = carried->policy;
    f->ns.writers = named ? HF_WRITERS_HOLDFAST : HF_WRITERS_ANY;
    open_online(f);
    put(f->store, "n", "5");
    assert_ok(hf_drain(f->store, SOON_MS));
    go_away(f);
    if (!out)
        put_two_big(f->store);
    put(f->store, "n", "7");
    if (named)
        fake_redis_other_node("n", "100", wall_ms() + LATER_MS, 0);
    else
        fake_redis_foreign_set("n", "100", 0);
    come_back_to_the_first_group(f);
    asked = fake_redis_asked(FAKE_LANE);
    fake_redis_freeze(FAKE_LANE);
    submit(f->store, &(struct hf_op){.kind = HF_OP_INCR, .key = s_("n"), .delta = 1});
    assert_true(wait_until(is_durable, f->store, SOON_MS));
    if (stored)
        assert_ok(hf_checkpoint(f->store));
    fake_redis_thaw(FAKE_GROUP);
    wait_asked(FAKE_LANE, asked + 1);
    fake_redis_thaw(FAKE_LANE);
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_redis_holds("n", carried->n);
    assert_value(f->store, "n", carried->n);
    assert_conflict_over(f, "7");
    assert_int_equal(status_of(f->store).pending_keys, 0);
    close_store(f);
}

static void test_link__A6_a_waiting_value_that_a_live_increment_carries_is_judged(void **state)
{
    static const struct carried all[] = {
        {HF_CONFLICT_NEWEST, "101"}, {HF_CONFLICT_REMOTE, "101"}, {HF_CONFLICT_LOCAL, "8"}};

    for (unsigned i = 0; i < 8 * sizeof(all) / sizeof(all[0]); i++) {
        carry_a_waiting_value(*state, &all[i / 8], i % 8);
        assert_int_equal(teardown(state), 0);
        assert_int_equal(setup(state), 0);
    }
}

/* It has no row yet: the checkpoint that makes one is under way when the link takes live writes. */
static void test_link__A6_a_value_without_a_row_that_a_live_increment_carries_is_judged(void **state)
{
    struct fixture *f = *state;

    f->ns.conflict = HF_CONFLICT_REMOTE;
    open_online(f);
    put(f->store, "n", "5");
    assert_ok(hf_drain(f->store, SOON_MS));
    go_away(f);
    put(f->store, "n", "7");
    fake_redis_foreign_set("n", "100", 0);
    fake_local_hold_commits(true);
    fake_redis_set_away(false);
    assert_true(wait_until(takes_live_writes, f->store, SOON_MS));
    submit(f->store, &(struct hf_op){.kind = HF_OP_INCR, .key = s_("n"), .delta = 1});
    assert_true(wait_until(is_durable, f->store, SOON_MS));
    fake_local_hold_commits(false);
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_redis_holds("n", "101");
    assert_conflict_over(f, "7");
    close_store(f);
}

struct counted {
    atomic_bool done;
    struct hf_result result;
};

static void note_counted(void *ctx, const struct hf_result *result)
{
    struct counted *counted = ctx;

    counted->result = *result;
    atomic_store(&counted->done, true);
}

static bool is_counted(void *ctx)
{
    return atomic_load(&((struct counted *)ctx)->done);
}

/* The value goes to the operator; who counted upon it hears what Redis counted. */
static void test_link__A6_who_increments_hears_nothing_of_a_carried_value_that_is_parked(void **state)
{
    struct fixture *f = *state;
    struct counted counted = {0};

    f->ns.conflict = HF_CONFLICT_PARK;
    open_online(f);
    put(f->store, "n", "5");
    go_away(f);
    put_two_big(f->store);
    put(f->store, "n", "7");
    fake_redis_foreign_set("n", "100", 0);
    come_back_to_the_first_group(f);
    assert_ok(hf_submit(f->store, &(struct hf_op){.kind = HF_OP_INCR, .key = s_("n"), .delta = 1}, note_counted,
                        &counted));
    fake_redis_thaw(FAKE_GROUP);
    assert_true(wait_until(is_counted, &counted, SOON_MS));
    assert_ok(counted.result.code);
    assert_int_equal(counted.result.number, 101);
    assert_false(counted.result.tentative);
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_int_equal(status_of(f->store).parked, 1);
    assert_redis_holds("n", "101");
    close_store(f);
}

/* Somebody writes to the key each time before the lane is stored. */
static bool is_parked_in_the_end(void *ctx)
{
    static unsigned n, asked;
    struct fixture *f = ctx;
    char text[16];

    if (fake_redis_asked(FAKE_LANE) == asked) /* a write too early would be looked at */
        return status_of(f->store).parked == 2;
    asked = fake_redis_asked(FAKE_LANE);
    snprintf(text, sizeof(text), "theirs%u", ++n);
    fake_redis_foreign_set("b", text, 0);
    fake_redis_let(FAKE_LANE, 1);
    return status_of(f->store).parked == 2;
}

static void test_link__A6_a_batch_whose_keys_others_always_change_is_parked(void **state)
{
    struct fixture *f = *state;

    begin_batch(f, HF_CONFLICT_LOCAL);
    assert_ok(hf_checkpoint(f->store));
    fake_redis_freeze(FAKE_LANE);
    fake_redis_set_away(false);
    assert_true(wait_until(is_parked_in_the_end, f, SOON_MS));
    fake_redis_thaw(FAKE_LANE);
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_redis_holds("a", "base");
    assert_redis_holds("n", "1");
    assert_false(fake_redis_holds("b", "ours b"));
    close_store(f);
}

/* ---- A7: what a power cut may take is not shared where nobody could tell ---- */

static void test_link__A7_without_a_log_a_write_is_sent_after_its_sync(void **state)
{
    struct fixture *f = *state;
    unsigned asked;

    f->ns.change_log_off = true;
    f->opts.durability = HF_DURABILITY_INTERVAL;
    f->opts.sync_interval_ms = NEVER_MS;
    open_online(f);
    /* What was learned of the time is stored: no other checkpoint comes by itself. */
    assert_ok(hf_checkpoint(f->store));
    asked = fake_redis_asked(FAKE_GROUP);
    put(f->store, "k", "v"); /* waits for Redis until its timeout */
    assert_int_equal(fake_redis_asked(FAKE_GROUP), asked);
    assert_redis_holds("k", NULL);
    assert_ok(hf_checkpoint(f->store)); /* which syncs */
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_redis_holds("k", "v");
    close_store(f);
}

/* ---- A8: who waits for a sync that fails ---- */

/* The real files; a sync that is held ends in an error. */
static struct hf_file_layer failing;
static atomic_bool sync_is_held, sync_waits, sync_may_end;

static bool may_end(void *ctx)
{
    (void)ctx;
    return atomic_load(&sync_may_end);
}

static int fail_if_held(struct hf_file_layer *fs, int fd)
{
    if (!atomic_load(&sync_is_held))
        return hf__file_layer_real()->sync(fs, fd);
    atomic_store(&sync_waits, true);
    (void)wait_until(may_end, NULL, SOON_MS);
    return -EIO;
}

static bool is_waiting(void *ctx)
{
    (void)ctx;
    return atomic_load(&sync_waits);
}

static void test_link__A8_a_reader_of_a_write_whose_sync_fails_gets_an_error(void **state)
{
    struct fixture *f = *state;
    struct hf_parts parts = {&failing, hf__clock_real(), fake_local_open, fake_redis_open};
    struct reading r = {0};
    struct hf *store;
    pthread_t thread;

    failing = *hf__file_layer_real();
    failing.sync = fail_if_held;
    f->opts.redis = NULL;
    assert_ok(hf__store_open(f->scratch.store, &f->opts, &parts, &f->store));
    put(f->store, "k", "old");
    atomic_store(&sync_is_held, true);
    submit_set(f->store, "k", s_("new"));
    assert_true(wait_until(is_waiting, NULL, SOON_MS));
    r.store = f->store;
    assert_int_equal(pthread_create(&thread, NULL, read_key, &r), 0);
    atomic_store(&sync_may_end, true);
    pthread_join(thread, NULL); /* the sync has ended: so does the reader */
    hf_buf_release(&r.value);
    assert_int_equal(r.rc, HF_ESTOPPED);
    assert_true(status_of(f->store).stopped);
    atomic_store(&sync_is_held, false);
    store = f->store;
    f->store = NULL;
    (void)hf_close(store); /* it says that the journal has stopped */
}

/* ---- A11: no race is run for ever ---- */

/* Somebody writes to the key each time before the group with its row is stored. */
static bool is_parked_at_last(void *ctx)
{
    static unsigned n;
    struct fixture *f = ctx;
    char text[16];

    snprintf(text, sizeof(text), "theirs%u", ++n);
    fake_redis_foreign_set("k", text, 0);
    fake_redis_let(FAKE_GROUP, 1);
    return status_of(f->store).parked == 1;
}

static void test_link__A11_a_key_that_others_always_change_is_parked(void **state)
{
    struct fixture *f = *state;

    f->ns.conflict = HF_CONFLICT_LOCAL;
    open_online(f);
    put(f->store, "k", "base");
    go_away(f);
    put(f->store, "k", "ours");
    put(f->store, "behind", "v");
    come_back_to_the_first_group(f);
    assert_true(wait_until(is_parked_at_last, f, SOON_MS));
    fake_redis_thaw(FAKE_GROUP);
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_redis_holds("behind", "v");
    assert_false(fake_redis_holds("k", "ours"));
    assert_int_equal(status_of(f->store).pending_keys, 0);
    close_store(f);
}

/* ---- A14: a change that could not be named in the log ---- */

static void test_link__A14_a_lane_that_finds_no_log_has_it_looked_after(void **state)
{
    struct fixture *f = *state;
    unsigned asked;

    open_online(f);
    incr(f->store, "n");
    fake_redis_hold_turn(true); /* or its end is told */
    fake_redis_lose_log();
    asked = fake_redis_asked(FAKE_EPOCH);
    incr(f->store, "n");
    wait_asked(FAKE_EPOCH, asked + 1);
    fake_redis_hold_turn(false);
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_int_equal(fake_redis_applied("n"), 2);
    close_store(f);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_link__##name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(2_live_increments_do_not_overtake_stored_ones),
        TEST(9_an_own_version_that_was_sent_is_no_conflict),
        TEST(9_a_live_write_that_a_checkpoint_stored_before_its_answer_was_lost_is_no_conflict),
        TEST(9_a_write_behind_one_that_loses_is_judged_by_the_same_base),
        TEST(9_what_a_row_has_replaced_is_kept_when_its_key_is_written_meanwhile),
        TEST(9_what_a_row_has_replaced_is_kept_when_its_key_is_incremented_meanwhile),
        TEST(9_an_increment_behind_a_row_of_ours_that_is_stored_is_no_conflict),
        TEST(9_a_write_behind_a_row_of_ours_that_is_stored_is_no_conflict),
        TEST(9_what_others_write_over_a_row_that_was_stored_is_a_conflict),
        TEST(10_a_delete_behind_the_catch_up_is_judged_before_a_guarded_group_is_applied),
        TEST(10_a_delete_behind_the_catch_up_is_judged_where_the_log_decides),
        TEST(10_a_delete_named_during_the_replay_counts_among_nodes),
        TEST(12_increments_that_wait_are_added_to_what_was_acknowledged),
        TEST(12_what_may_count_twice_is_in_doubt),
        TEST(13_a_first_increment_that_the_log_names_counts_once_without_its_mark),
        TEST(13_a_first_increment_that_a_rollback_took_is_sent_again),
        TEST(12_what_is_given_up_is_told_by_the_next_opening_too),
        TEST(12_a_key_whose_life_was_changed_is_given_back),
        TEST(12_what_was_written_since_a_loss_and_has_ended_is_not_given_back),
        TEST(a_pause_waits_for_the_answer_about_copies),
        TEST(a_paused_link_is_held_on_the_next_connection_too),
        TEST(12_a_flush_that_is_told_while_catching_up_takes_no_copies),
        TEST(12_copies_that_were_compared_before_a_loss_are_compared_again),
        TEST(12_a_copy_that_is_read_while_the_namespace_adopts_is_in_the_conflict_log),
        TEST(12_a_copy_that_is_compared_with_an_emptied_redis_is_given_back),
        TEST(12_a_decision_is_for_one_loss),
        TEST(12_a_copy_that_others_had_changed_is_not_given_back),
        TEST(13_what_redis_had_acknowledged_is_kept_while_it_is_away),
        TEST(13_what_was_made_long_before_it_was_acknowledged_is_kept),
        TEST(13_what_is_no_longer_kept_is_told_and_the_rest_comes_back),
        TEST(13_a_delete_that_the_log_has_settled_comes_back_after_a_rollback),
        TEST(13_a_rollback_under_a_change_of_a_life_brings_the_value_back),
        TEST(13_what_others_write_to_an_older_copy_makes_it_no_younger),
        TEST(13_a_rollback_is_found_again_after_another_loss),
        TEST(13_a_rollback_to_before_our_first_increment_is_found_by_the_log),
        TEST(13_an_answer_to_an_increment_that_has_survived_is_not_sent_again),
        TEST(13_a_copy_that_was_fetched_again_stays_ours),
        TEST(13_a_value_whose_life_others_have_changed_stays_ours),
        TEST(13_an_answer_whose_life_others_have_changed_is_not_sent_again),
        TEST(13_a_merged_value_comes_back_after_a_rollback),
        TEST(13_what_an_earlier_epoch_acknowledged_is_not_sent_again),
        TEST(13_a_life_of_a_counter_that_a_rollback_took_brings_no_value),
        TEST(13_a_life_of_a_counter_that_waits_over_a_rollback_brings_no_value),
        TEST(13_what_followed_a_batch_comes_back_behind_it),
        TEST(13_a_delete_that_followed_a_batch_comes_back_behind_it),
        TEST(13_a_life_that_followed_an_increment_or_a_batch_comes_back_behind_it),
        TEST(13_a_batch_does_not_follow_itself),
        TEST(13_what_was_plain_behind_an_increment_is_judged_by_what_that_found),
        TEST(13_a_counter_that_has_died_does_not_come_back_for_ever),
        TEST(13_what_a_dead_value_had_replaced_stays_away),
        TEST(13_what_a_folded_delete_had_replaced_stays_away),
        TEST(13_what_redis_tells_to_be_dead_stays_away),
        TEST(13_what_had_replaced_nothing_dies_without_a_trace),
        TEST(13_what_dies_while_copies_are_sent_again_stays_dead),
        TEST(13_what_is_read_before_it_is_sent_again_stays),
        TEST(13_a_delete_that_waits_behind_a_lost_increment_stays_behind_it),
        TEST(13_an_increment_beside_a_delete_that_waits_counts_from_nothing),
        TEST(12_an_increment_upon_a_copy_that_is_given_back_counts_on_others),
        TEST(13_an_increment_upon_a_copy_that_is_sent_again_counts_on_others),
        TEST(13_what_an_increment_stands_on_comes_back_where_it_was_replayed),
        TEST(13_what_was_replayed_behind_younger_changes_comes_back),
        TEST(13_what_the_log_names_of_a_replay_is_not_sent_again),
        TEST(13_what_was_replayed_comes_back_after_a_crash),
        TEST(13_a_rollback_behind_a_replay_sends_only_what_came_later),
        TEST(13_a_change_that_waits_over_a_rollback_is_the_newest),
        TEST(13_a_change_that_waits_is_judged_where_its_base_has_survived),
        TEST(13_an_increment_upon_what_is_not_yet_sent_again_counts_on_it),
        TEST(13_a_life_upon_what_is_not_yet_sent_again_brings_the_value),
        TEST(12_increments_between_the_stages_count_on_what_is_given_back),
        TEST(12_an_increment_while_copies_are_given_back_counts_on_them),
        TEST(13_what_an_increment_stands_on_comes_back_before_it),
        TEST(13_the_life_of_a_counter_comes_back_between_its_increments),
        TEST(13_what_an_increment_stands_on_stays_as_it_has_survived),
        TEST(13_what_was_plain_is_judged_in_the_lane_too),
        TEST(13_a_life_of_a_counter_that_was_a_row_brings_no_value),
        TEST(13_a_life_of_a_fetched_value_brings_no_value),
        TEST(13_a_batch_whose_life_others_changed_is_not_sent_again),
        TEST(13_a_batch_up_to_the_mark_is_not_sent_again_without_the_log),
        TEST(13_a_batch_that_the_log_has_named_comes_back_whole),
        TEST(15_a_fetch_is_not_installed_over_what_came_since),
        TEST(15_a_lanes_own_entry_hides_none_of_others_before_it),
        TEST(15_what_has_ended_as_a_row_is_a_copy),
        TEST(15_a_fetch_that_another_read_has_overtaken_is_asked_again),
        TEST(15_a_copy_that_may_not_be_read_holds_up_no_other),
        TEST(15_a_copy_that_might_not_be_read_is_fetched_after_a_while),
        TEST(15_a_copy_that_might_not_be_read_is_fetched_after_a_crash),
        TEST(15_what_a_node_writes_behind_a_look_at_kinds_is_compared),
        TEST(15_what_a_node_writes_before_a_look_at_kinds_is_compared),
        TEST(15_what_a_node_writes_between_a_replay_and_a_live_write_is_read),
        TEST(15_what_a_node_writes_alike_before_a_look_at_kinds_is_no_conflict),
        TEST(15_a_log_that_others_always_write_to_holds_nothing_up),
        TEST(15_what_has_ended_in_the_lane_is_a_copy),
        TEST(15_what_a_commit_has_cleared_is_owed_to_no_older_look),
        TEST(15_what_a_plain_client_writes_before_a_lost_row_ends_is_read),
        TEST(15_what_a_plain_client_writes_before_a_decision_is_overturned_is_read),
        TEST(17_a_log_ahead_of_redis_clock_tells_no_time),
        TEST(15_what_is_to_be_compared_since_the_log_was_lost_is_not_verified),
        TEST(15_what_no_log_has_named_is_compared),
        TEST(15_copies_are_compared_when_redis_can_be_asked_again),
        TEST(13_copies_of_others_are_compared_after_a_rollback),
        TEST(15_what_is_distrusted_behind_the_walk_is_compared_again),
        TEST(15_what_others_change_is_told_while_very_many_rows_go_and_copies_are_trusted),
        TEST(copies_are_compared_in_paced_batches_and_live_writes_go_on),
        TEST(waits_that_begin_in_a_replay_end_with_it),
        TEST(a_wait_for_a_row_ends_with_the_checkpoint_that_clears_it),
        TEST(A2_a_live_write_joins_the_row_of_its_key),
        TEST(A2_a_live_write_that_has_ended_with_its_row_is_not_sent),
        TEST(A2_a_live_write_that_has_ended_is_not_sent_before_a_later_one),
        TEST(A2_a_row_that_a_checkpoint_makes_newer_on_its_way_is_no_conflict),
        TEST(A2_a_row_that_a_checkpoint_makes_newer_before_its_turn_is_sent_as_it_is),
        TEST(A3_an_increment_is_tentative_until_its_answer_is_installed),
        TEST(A6_a_batch_that_loses_one_key_is_parked_whole),
        TEST(A6_a_batch_that_wins_is_applied_and_keeps_theirs),
        TEST(A6_a_batch_is_judged_by_what_the_log_names_behind_the_catch_up),
        TEST(A6_a_batch_over_what_it_knows_is_no_conflict),
        TEST(A6_a_value_that_loses_leaves_the_lane_and_increments_go_on),
        TEST(A6_a_waiting_value_that_a_live_increment_carries_is_judged),
        TEST(A6_a_value_without_a_row_that_a_live_increment_carries_is_judged),
        TEST(A6_who_increments_hears_nothing_of_a_carried_value_that_is_parked),
        TEST(A6_a_batch_whose_keys_others_always_change_is_parked),
        TEST(A7_without_a_log_a_write_is_sent_after_its_sync),
        TEST(A8_a_reader_of_a_write_whose_sync_fails_gets_an_error),
        TEST(A11_a_key_that_others_always_change_is_parked),
        TEST(A14_a_lane_that_finds_no_log_has_it_looked_after),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
