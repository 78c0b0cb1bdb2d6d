/* Bounds of what is pending: swept around each limit, under each policy, and counted against a model. */
#include "fake_tier.h"
#include "ignore.h"
#include "scratch.h"
#include "sim_disk.h"

#include "checkpoint.h"
#include "file_layer.h"
#include "outage.h"
#include "pending_bounds.h"
#include "store.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SOON_MS 5000
#define NEVER_MS 60000
#define TIMEOUT_MS 200

static atomic_uint told[HF_N_OUTCOMES];

static void tell(void *ctx, const struct hf_settlement *settlement)
{
    (void)ctx;
    atomic_fetch_add(&told[settlement->outcome], 1);
}

struct fixture {
    struct scratch scratch;
    struct hf_options opts;
    struct hf *store; /* NULL while closed */
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    if (!f)
        return -1;
    scratch_make(&f->scratch);
    f->opts = (struct hf_options){
        .redis = "fake",
        .redis_timeout_ms = TIMEOUT_MS,
        .redis_backoff_max_ms = 50,
        .checkpoint_interval_ms = NEVER_MS,
        .max_disk_bytes = 1u << 30,
        .settled = tell,
    };
    for (int i = 0; i < HF_N_OUTCOMES; i++)
        atomic_store(&told[i], 0);
    fake_redis_start();
    fake_redis_set_away(true);
    *state = f;
    return 0;
}

static bool is_away(void *ctx)
{
    return hf__reach(ctx) == HF_REACH_AWAY;
}

static void open_store(struct fixture *f)
{
    struct hf_parts parts = {hf__file_layer_real(), hf__clock_real(), fake_local_open, fake_redis_open};

    assert_ok(hf__store_open(f->scratch.store, &f->opts, &parts, &f->store));
}

static void open_away(struct fixture *f)
{
    fake_redis_set_away(true);
    open_store(f);
    assert_true(wait_until(is_away, f->store, SOON_MS));
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
    fake_local_fail_commits(0);
    for (int kind = 0; kind < FAKE_REQUESTS; kind++)
        fake_redis_thaw((enum fake_request)kind);
    (void)hf_close(f->store); /* open only after a failure, which has been told */
    fake_redis_stop();
    scratch_remove(&f->scratch);
    free(f);
    return 0;
}

/* A new store for the next round of a sweep. */
static void start_over(struct fixture *f)
{
    close_store(f);
    fake_redis_stop();
    scratch_remove(&f->scratch);
    scratch_make(&f->scratch);
    fake_redis_start();
}

static void come_online(struct fixture *f)
{
    fake_redis_set_away(false);
    if (!wait_link(f->store, HF_LINK_ONLINE, SOON_MS))
        fail_msg("the link does not come online");
}

static void go_away(struct fixture *f)
{
    fake_redis_set_away(true);
    assert_true(wait_until(is_away, f->store, SOON_MS));
}

static struct hf_status status_of(struct hf *store)
{
    struct hf_status status;

    assert_ok(hf_status(store, &status));
    return status;
}

static const char *name(unsigned i)
{
    static _Thread_local char names[8][16];
    static _Thread_local unsigned next;
    char *text = names[next++ % 8];

    snprintf(text, 16, "k%02u", i);
    return text;
}

static int set(struct fixture *f, unsigned i, const char *value)
{
    return hf_set(f->store, s_(name(i)), s_(value), NULL, NULL);
}

/* Write new keys from `from` on until one is refused, which must be after n. */
static void fill(struct fixture *f, unsigned from, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        assert_ok(set(f, from + i, "v"));
    assert_code(HF_EBUSY, set(f, from + n, "v"));
    assert_sentence("pending_max");
    assert_value(f->store, name(from + n), NULL);
}

static bool commit_is_held(void *ctx)
{
    (void)ctx;
    return fake_local_held_commits() > 0;
}

/* ---- reject ---- */

/* In every place where a key may wait: the active generation, the frozen one, a row. */
static void test_bounds__reject_takes_exactly_as_many_keys_wherever_they_wait(void **state)
{
    struct fixture *f = *state;

    for (unsigned max = 1; max <= 6; max++) {
        f->opts.pending_max = max;
        open_away(f);
        fill(f, 0, max);
        fake_local_hold_commits(true);
        hf__checkpoint_request(f->store);
        assert_true(wait_until(commit_is_held, NULL, SOON_MS));
        assert_code(HF_EBUSY, set(f, 50, "v"));
        for (unsigned i = 0; i < max; i++)
            assert_ok(set(f, i, "w"));
        fake_local_hold_commits(false);
        assert_ok(hf_checkpoint(f->store));
        assert_int_equal(status_of(f->store).pending_keys, max);
        assert_int_equal(hf__pending_keys(f->store), max);
        assert_code(HF_EBUSY, set(f, 50, "v"));
        for (unsigned i = 0; i < max; i++)
            assert_ok(set(f, i, "x"));
        assert_code(HF_NOT_FOUND, hf_delete(f->store, s_("other"), NULL)); /* deletes always pass */
        start_over(f);
    }
}

static void test_bounds__reject_takes_again_what_a_replay_has_made_room_for(void **state)
{
    struct fixture *f = *state;

    f->opts.pending_max = 5;
    open_away(f);
    fill(f, 0, 5);
    come_online(f);
    assert_ok(set(f, 20, "v"));
    go_away(f);
    fill(f, 30, 5);
    close_store(f);
    open_away(f); /* the journal's tail and the rows are counted again */
    assert_int_equal(hf__pending_keys(f->store), 5);
    assert_code(HF_EBUSY, set(f, 40, "v"));
    assert_ok(set(f, 30, "w"));
    close_store(f);
}

static void test_bounds__nothing_is_refused_while_online(void **state)
{
    struct fixture *f = *state;

    f->opts.pending_max = 1;
    f->opts.pending_max_bytes = 1;
    open_store(f);
    come_online(f);
    fake_redis_freeze(FAKE_GROUP);
    for (unsigned i = 0; i < 10; i++) {
        struct hf_op op = {.kind = HF_OP_SET, .key = s_(name(i)), .value = s_("v")};
        assert_ok(hf_submit(f->store, &op, ignore_result, NULL));
    }
    assert_int_equal(hf__pending_keys(f->store), 10);
    fake_redis_thaw(FAKE_GROUP);
    come_online(f);
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_int_equal(hf__pending_keys(f->store), 0);
    assert_int_equal(hf__pending_bytes(f->store), 0);
    close_store(f);
}

/* Keys of 3 bytes with values of 7: each is 10. */
static void test_bounds__bytes_are_bounded_and_growth_counts(void **state)
{
    struct fixture *f = *state;

    for (unsigned max = 25; max <= 35; max++) {
        f->opts.pending_max_bytes = max;
        open_away(f);
        for (unsigned i = 0; i < max / 10; i++)
            assert_ok(set(f, i, "1234567"));
        assert_code(HF_EBUSY, set(f, 20, "1234567"));
        assert_sentence("pending_max_bytes");
        for (unsigned stored = 0; stored < 2; stored++) {
            char grown[32] = "1234567";
            memset(grown + 7, 'x', max % 10 + 1);
            assert_code(HF_EBUSY, set(f, 0, grown));
            assert_ok(set(f, 0, "7654321"));
            assert_ok(hf_checkpoint(f->store));
        }
        assert_ok(set(f, 0, ""));
        assert_int_equal(status_of(f->store).pending_keys, max / 10);
        start_over(f);
    }
}

static int incr(struct fixture *f, const char *key)
{
    int64_t number;

    return hf_incr(f->store, s_(key), 1, &number, NULL);
}

static int batch_of(struct fixture *f, unsigned n, bool deletes)
{
    struct hf_batch *batch;
    int rc;

    assert_ok(hf_batch_new(f->store, &batch));
    for (unsigned i = 0; i < n; i++) {
        if (deletes)
            assert_ok(hf_batch_delete(batch, s_(name(60 + i))));
        else
            assert_ok(hf_batch_set(batch, s_(name(60 + i)), s_("v"), NULL));
    }
    rc = hf_batch_commit(batch, NULL);
    hf_batch_free(batch);
    return rc;
}

static void test_bounds__each_lane_entry_counts(void **state)
{
    struct fixture *f = *state;

    for (unsigned max = 1; max <= 5; max++) {
        f->opts.pending_max = max;
        open_away(f);
        for (unsigned i = 0; i < max; i++) {
            assert_ok(incr(f, "n"));
            if (i % 2)
                assert_ok(hf_checkpoint(f->store));
        }
        assert_code(HF_EBUSY, incr(f, "n"));
        assert_code(HF_EBUSY, set(f, 0, "v"));
        assert_code(HF_EBUSY, batch_of(f, 2, false));
        assert_ok(batch_of(f, 2, true));
        assert_value(f->store, "n", (char[]){(char)('0' + max), 0});
        start_over(f);
    }
}

/* A key's row goes when it joins the lane: it does not count twice. */
static void test_bounds__a_key_that_joins_the_lane_takes_its_count_along(void **state)
{
    struct fixture *f = *state;

    f->opts.pending_max = 3;
    open_away(f);
    assert_ok(hf_set(f->store, s_("n"), s_("1"), NULL, NULL));
    assert_ok(incr(f, "n")); /* two entries: the state that it had, and the increment */
    assert_int_equal(hf__pending_keys(f->store), 2);
    assert_ok(hf_checkpoint(f->store));
    assert_int_equal(hf__pending_keys(f->store), 2);
    fill(f, 0, 1);
    close_store(f);
}

static bool is_refused(void *ctx)
{
    struct fixture *f = ctx;
    static unsigned next = 10;

    return set(f, next++ % 80, "v") == HF_EBUSY;
}

static void test_bounds__an_old_change_keeps_new_ones_out(void **state)
{
    struct fixture *f = *state;

    f->opts.pending_max_age_ms = 30;
    open_away(f);
    assert_ok(set(f, 0, "v"));
    assert_ok(hf_checkpoint(f->store));
    assert_true(wait_until(is_refused, f, SOON_MS));
    assert_sentence("pending_max_age");
    assert_ok(set(f, 0, "w")); /* it waits already */
    come_online(f);
    assert_ok(set(f, 90, "v"));
    close_store(f);
}

/* ---- block ---- */

struct blocked {
    pthread_t thread;
    struct fixture *f;
    atomic_bool began;
    int rc;
};

static void *write_one(void *arg)
{
    struct blocked *b = arg;

    atomic_store(&b->began, true);
    b->rc = set(b->f, 70, "v");
    return NULL;
}

static void test_bounds__block_waits_until_rows_are_cleared(void **state)
{
    struct fixture *f = *state;
    struct blocked b = {.f = f};

    f->opts.pending_max = 2;
    f->opts.pending_policy = HF_PENDING_BLOCK;
    f->opts.redis_timeout_ms = SOON_MS;
    open_away(f);
    assert_ok(set(f, 0, "v"));
    assert_ok(set(f, 1, "v"));
    assert_int_equal(pthread_create(&b.thread, NULL, write_one, &b), 0);
    while (!atomic_load(&b.began))
        sched_yield();
    come_online(f);
    pthread_join(b.thread, NULL);
    assert_int_equal(b.rc, 0);
    assert_value(f->store, name(70), "v");
    close_store(f);
}

static int64_t now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

static void test_bounds__block_ends_with_the_timeout(void **state)
{
    struct fixture *f = *state;
    int64_t from;

    f->opts.pending_max = 1;
    f->opts.pending_policy = HF_PENDING_BLOCK;
    open_away(f);
    assert_ok(set(f, 0, "v"));
    from = now_ms();
    assert_code(HF_EBUSY, set(f, 1, "v"));
    assert_in_range(now_ms() - from, TIMEOUT_MS - 10, SOON_MS);
    assert_sentence("pending_max");
    assert_ok(set(f, 0, "w"));
    close_store(f);
}

/* ---- drop-oldest ---- */

static uint8_t gap_of(struct hf *store, const char *key)
{
    const struct hf_local_ops *ops = store->local->ops;
    struct hf_local_snap *snap;
    struct hf_gap gap;
    uint8_t reason = 0;

    assert_ok(ops->snap_begin(store->local, &snap));
    if (ops->gap_next(snap, s_(key), &gap) == 0 && hf__slice_eq(gap.key, s_(key)))
        reason = gap.reason;
    ops->snap_end(snap);
    return reason;
}

/* The conflict log has exactly these keys, in this order, each with its value as ours. */
static void assert_dropped(struct hf *store, unsigned n, const char *value)
{
    const struct hf_local_ops *ops = store->local->ops;
    struct hf_local_snap *snap;
    struct hf_conflict_row row;
    uint64_t id = 0;

    assert_ok(ops->snap_begin(store->local, &snap));
    for (unsigned i = 0; i < n; i++) {
        assert_ok(ops->conflict_next(snap, id, &row));
        assert_int_equal(row.rule, HF_RULE_DROPPED);
        assert_int_equal(row.winner, HF_WINNER_THEIRS);
        assert_true(hf__slice_eq(row.key, s_(name(i))));
        assert_true(row.ours.present);
        assert_true(hf__slice_eq(row.ours.value, s_(value)));
        id = row.id + 1;
    }
    assert_int_equal(ops->conflict_next(snap, id, &row), HF_NOT_FOUND);
    ops->snap_end(snap);
}

static void check_drops(struct fixture *f, unsigned max, unsigned more)
{
    struct hf_result result;

    assert_int_equal(status_of(f->store).pending_keys, max);
    assert_int_equal(hf__pending_keys(f->store), max);
    assert_int_equal(status_of(f->store).dropped, more);
    assert_int_equal(status_of(f->store).gaps, more);
    assert_dropped(f->store, more, "v");
    for (unsigned i = 0; i < max + more; i++) {
        assert_ok(hf_exists(f->store, s_(name(i)), &result));
        assert_int_equal(result.pending, i >= more);
        assert_false(result.shared);
        assert_int_equal(result.origin, i >= more ? HF_ORIGIN_PENDING : HF_ORIGIN_LOCAL_UNVERIFIED);
        assert_int_equal(gap_of(f->store, name(i)), i < more ? HF_GAP_DROPPED : 0);
    }
}

static void test_bounds__drop_oldest_gives_up_exactly_the_oldest(void **state)
{
    struct fixture *f = *state;

    f->opts.pending_policy = HF_PENDING_DROP_OLDEST;
    for (unsigned max = 1; max <= 4; max++) {
        for (unsigned more = 0; more <= 5; more++) {
            f->opts.pending_max = max;
            open_away(f);
            for (unsigned i = 0; i < max + more; i++)
                assert_ok(set(f, i, "v"));
            assert_ok(hf_checkpoint(f->store));
            check_drops(f, max, more);
            come_online(f);
            assert_ok(hf_drain(f->store, SOON_MS));
            for (unsigned i = 0; i < max + more; i++)
                assert_true(fake_redis_holds(name(i), i < more ? NULL : "v"));
            start_over(f);
            assert_int_equal(atomic_exchange(&told[HF_OUTCOME_DROPPED], 0), more);
        }
    }
}

static bool gaps_are_closed(void *ctx)
{
    struct fixture *f = ctx;

    assert_ok(hf_checkpoint(f->store));
    return status_of(f->store).gaps == 0;
}

/* Where nobody else writes no copies are compared: the gap alone tells which ones are to be repaired. */
static void test_bounds__what_was_given_up_is_compared_at_the_next_reconcile(void **state)
{
    struct fixture *f = *state;
    struct hf_namespace alone = {.prefix = "", .writers = HF_WRITERS_THIS_NODE};

    f->opts.pending_policy = HF_PENDING_DROP_OLDEST;
    f->opts.pending_max = 1;
    f->opts.namespaces = &alone;
    f->opts.n_namespaces = 1;
    open_away(f);
    fake_redis_foreign_set(name(0), "theirs", 0);
    for (unsigned i = 0; i < 3; i++)
        assert_ok(set(f, i, "v"));
    assert_ok(hf_checkpoint(f->store));
    assert_int_equal(status_of(f->store).gaps, 2);
    assert_value(f->store, name(0), "v");
    close_store(f); /* and the gaps are still known */
    open_away(f);
    come_online(f);
    assert_true(wait_until(gaps_are_closed, f, SOON_MS));
    fake_redis_set_away(true);
    assert_value(f->store, name(0), "theirs");
    assert_value(f->store, name(1), NULL);
    assert_value(f->store, name(2), "v");
    close_store(f);
}

static void test_bounds__drop_oldest_keeps_bytes_and_age_as_well(void **state)
{
    struct fixture *f = *state;

    f->opts.pending_policy = HF_PENDING_DROP_OLDEST;
    f->opts.pending_max_bytes = 20;
    open_away(f);
    for (unsigned i = 0; i < 5; i++)
        assert_ok(set(f, i, "v"));
    assert_ok(set(f, 5, "12345678901")); /* 14 of 20 bytes: one of 4 beside it */
    assert_ok(hf_checkpoint(f->store));
    assert_int_equal(status_of(f->store).pending_keys, 2);
    assert_int_equal(status_of(f->store).pending_bytes, 18);
    start_over(f);
    f->opts.pending_max_bytes = 0;
    f->opts.pending_max_age_ms = 30;
    open_away(f);
    assert_ok(set(f, 0, "v"));
    assert_ok(hf_checkpoint(f->store));
    for (int64_t from = now_ms(); now_ms() < from + 40;)
        sched_yield();
    assert_ok(set(f, 1, "v"));
    assert_ok(hf_checkpoint(f->store));
    assert_int_equal(status_of(f->store).pending_keys, 1);
    assert_dropped(f->store, 1, "v");
    close_store(f);
}

static int count_parked(void *ctx, const struct hf_parked *parked)
{
    assert_true(strstr(parked->reason, "pending_max") != NULL);
    *(int64_t *)ctx += parked->kind == HF_OP_INCR ? parked->delta : 0;
    return 0;
}

/* What the parked list holds and what Redis gets is all that was counted. */
static void test_bounds__drop_oldest_parks_increments_and_units(void **state)
{
    struct fixture *f = *state;
    int64_t parked = 0;

    f->opts.pending_policy = HF_PENDING_DROP_OLDEST;
    f->opts.pending_max = 3;
    open_away(f);
    for (unsigned i = 0; i < 8; i++)
        assert_ok(incr(f, "n"));
    assert_ok(hf_checkpoint(f->store));
    assert_int_equal(status_of(f->store).pending_ops, 3);
    assert_int_equal(status_of(f->store).dropped, 5);
    assert_int_equal(status_of(f->store).parked, 5);
    assert_int_equal(status_of(f->store).in_doubt, 0);
    assert_ok(hf_parked_list(f->store, count_parked, &parked));
    assert_int_equal(parked, 5);
    assert_int_equal(gap_of(f->store, "n"), HF_GAP_DROPPED);
    assert_ok(
        batch_of(f, 4, false)); /* longer than the bound: a unit goes as a whole, and what is older before it */
    assert_ok(hf_checkpoint(f->store));
    assert_int_equal(status_of(f->store).pending_ops, 0);
    assert_int_equal(status_of(f->store).parked, 12);
    come_online(f);
    assert_true(fake_redis_holds("n", NULL));
    close_store(f);
    assert_int_equal(atomic_load(&told[HF_OUTCOME_PARKED]), 12);
}

/* Entries that were sent, and not answered, before they were given up may have been applied. */
static void test_bounds__an_increment_given_up_after_it_was_sent_is_in_doubt(void **state)
{
    struct fixture *f = *state;

    f->opts.pending_policy = HF_PENDING_DROP_OLDEST;
    f->opts.pending_max = 1;
    open_store(f);
    come_online(f);
    fake_redis_script(FAKE_LANE, FAKE_LOSE_ANSWER, 1);
    assert_ok(incr(f, "n"));
    assert_true(wait_until(is_away, f->store, SOON_MS));
    assert_ok(incr(f, "n"));
    assert_ok(hf_checkpoint(f->store));
    assert_int_equal(status_of(f->store).parked, 1);
    assert_int_equal(status_of(f->store).in_doubt, 1);
    close_store(f);
}

/* Without a record nothing is given up: then new keys are refused, and so they are until there is room. */
static void test_bounds__drop_oldest_refuses_when_the_conflict_log_is_full(void **state)
{
    struct fixture *f = *state;

    f->opts.pending_policy = HF_PENDING_DROP_OLDEST;
    f->opts.pending_max = 2;
    f->opts.conflict_log_max = 1;
    open_away(f);
    for (unsigned i = 0; i < 4; i++)
        assert_ok(set(f, i, "v"));
    assert_ok(hf_checkpoint(f->store));
    assert_int_equal(status_of(f->store).pending_keys, 3);
    assert_int_equal(status_of(f->store).dropped, 1);
    assert_code(HF_EBUSY, set(f, 10, "v"));
    assert_ok(set(f, 3, "w"));
    close_store(f);
}

static void test_bounds__a_key_written_again_is_not_the_one_to_give_up(void **state)
{
    struct fixture *f = *state;

    f->opts.pending_policy = HF_PENDING_DROP_OLDEST;
    f->opts.pending_max = 2;
    open_away(f);
    for (unsigned i = 0; i < 3; i++)
        assert_ok(set(f, i, "v"));
    fake_local_fail_commits(1);
    assert_code(HF_EFULL, hf_checkpoint(f->store)); /* frozen, and not stored */
    assert_int_equal(status_of(f->store).dropped, 0);
    assert_int_equal(atomic_load(&told[HF_OUTCOME_DROPPED]), 0);
    assert_ok(set(f, 0, "w"));
    assert_ok(hf_checkpoint(f->store));
    assert_int_equal(status_of(f->store).pending_keys, 2);
    assert_value(f->store, name(0), "w");
    assert_int_equal(gap_of(f->store, name(1)), HF_GAP_DROPPED);
    assert_int_equal(gap_of(f->store, name(0)), 0);
    close_store(f);
}

/* ---- kill -9 ---- */

static void child_main(struct fixture *f, int out)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    open_away(f);
    for (unsigned i = 0; i < 10; i++) {
        if (set(f, i, "v") != 0)
            _exit(3);
        if (i == 6 && hf_checkpoint(f->store) != 0)
            _exit(4);
    }
    if (write(out, "x", 1) != 1)
        _exit(5);
    for (;;)
        pause();
}

static void test_bounds__what_was_given_up_stays_so_after_a_kill(void **state)
{
    struct fixture *f = *state;
    struct pollfd p;
    int fds[2], status;
    char byte;
    pid_t pid;

    f->opts.pending_policy = HF_PENDING_DROP_OLDEST;
    f->opts.pending_max = 4;
    assert_int_equal(pipe(fds), 0);
    pid = fork();
    if (pid == 0)
        child_main(f, fds[1]);
    close(fds[1]);
    p = (struct pollfd){.fd = fds[0], .events = POLLIN};
    assert_int_equal(poll(&p, 1, 20000), 1);
    assert_int_equal(read(fds[0], &byte, 1), 1);
    close(fds[0]);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    open_away(f);
    assert_dropped(f->store, 3, "v");
    assert_int_equal(hf__pending_keys(f->store), 7);
    assert_ok(hf_checkpoint(f->store));
    assert_int_equal(status_of(f->store).pending_keys, 4);
    assert_int_equal(status_of(f->store).gaps, 6);
    assert_dropped(f->store, 6, "v");
    close_store(f);
}

/* ---- against a model ---- */

#define MODEL_KEYS 40
#define MODEL_MAX 25
#define MODEL_STEPS 3000

struct model {
    uint64_t seed;
    bool online;
    bool waits[MODEL_KEYS];
    unsigned n_keys, n_increments;
    int step;
};

static void check(const struct model *m, int rc, bool refused)
{
    if ((rc == HF_EBUSY) != refused || (rc < 0 && rc != HF_EBUSY))
        fail_msg("step %d: a write ended with %d (%s); %u keys and %u increments wait (HOLDFAST_SEED=%lu)", m->step,
                 rc, hf_errmsg(), m->n_keys, m->n_increments, (unsigned long)m->seed);
}

static bool is_full(const struct model *m)
{
    return !m->online && m->n_keys + m->n_increments >= MODEL_MAX;
}

static void note_waiting(struct model *m, unsigned i)
{
    m->n_keys += !m->online && !m->waits[i];
    m->waits[i] |= !m->online;
}

static void write_plain(struct fixture *f, struct model *m, uint64_t *random)
{
    unsigned i = (unsigned)(sim_random(random) % MODEL_KEYS);
    bool refused = is_full(m) && !m->waits[i];
    char value[40];
    int rc;

    memset(value, 'v', sizeof(value));
    value[sim_random(random) % sizeof(value)] = 0;
    value[sizeof(value) - 1] = 0;
    switch (sim_random(random) % 6) {
    case 0:
        rc = hf_delete(f->store, s_(name(i)), NULL);
        check(m, rc, false);
        note_waiting(m, i);
        return;
    case 1:
        rc = hf_expire(f->store, s_(name(i)), NEVER_MS, NULL);
        check(m, rc, refused && rc != HF_NOT_FOUND);
        if (rc == HF_NOT_FOUND)
            return;
        break;
    default: rc = set(f, i, value); check(m, rc, refused);
    }
    if (rc == 0)
        note_waiting(m, i);
}

static void write_counter(struct fixture *f, struct model *m)
{
    bool refused = is_full(m);
    int rc = incr(f, "n");

    check(m, rc, refused);
    m->n_increments += rc == 0 && !m->online;
}

static void change_link(struct fixture *f, struct model *m)
{
    if (m->online) {
        assert_ok(hf_drain(f->store, SOON_MS));
        go_away(f);
    } else {
        come_online(f);
        assert_ok(hf_drain(f->store, SOON_MS));
        memset(m->waits, 0, sizeof(m->waits));
        m->n_keys = m->n_increments = 0;
    }
    m->online = !m->online;
}

struct counted {
    struct hf *store;
    uint64_t keys;
};

static bool are_counted(void *ctx)
{
    const struct counted *counted = ctx;

    return hf__pending_keys(counted->store) == counted->keys;
}

/* With every version settled or stored, bytes are those of the rows. Who waits for an acknowledgement may be woken before the count
 * is told. A checkpoint that the replay has asked for may store a write before its answer comes: the next one clears that. */
static void check_counts(struct fixture *f, const struct model *m, bool stored)
{
    struct counted counted = {f->store, m->n_keys + m->n_increments};
    struct hf_status status;

    if (m->online && !are_counted(&counted))
        assert_ok(hf_checkpoint(f->store));
    if (!wait_until(are_counted, &counted, SOON_MS))
        fail_msg("step %d: %lu are counted; %u keys and %u increments wait (HOLDFAST_SEED=%lu)", m->step,
                 (unsigned long)hf__pending_keys(f->store), m->n_keys, m->n_increments, (unsigned long)m->seed);
    status = status_of(f->store);
    assert_int_equal(status.pending_keys, m->n_keys + (m->n_increments > 0));
    assert_int_equal(status.pending_ops, m->n_increments);
    if (stored) {
        assert_int_equal(hf__pending_bytes(f->store), status.pending_bytes);
        assert_int_equal(hf__pending_bytes(f->store), atomic_load(&f->store->pending.stored_bytes));
    }
}

static void reopen(struct fixture *f, struct model *m)
{
    close_store(f);
    open_away(f);
    m->online = false;
}

static void test_bounds__any_operations_are_counted_as_in_a_model(void **state)
{
    struct fixture *f = *state;
    const char *given = getenv("HOLDFAST_SEED");
    struct model m = {.seed = given ? strtoull(given, NULL, 10) : (uint64_t)getpid()};
    uint64_t random = m.seed;

    print_message("HOLDFAST_SEED=%lu\n", (unsigned long)m.seed);
    f->opts.pending_max = MODEL_MAX;
    f->opts.redis_timeout_ms = SOON_MS; /* what was written online is acknowledged when the write returns */
    open_away(f);
    for (m.step = 0; m.step < MODEL_STEPS; m.step++) {
        unsigned what = (unsigned)(sim_random(&random) % 100);
        if (what < 2)
            change_link(f, &m);
        else if (what < 3)
            reopen(f, &m);
        else if (what < 6)
            assert_ok(hf_checkpoint(f->store));
        else if (what < 20)
            write_counter(f, &m);
        else
            write_plain(f, &m, &random);
        check_counts(f, &m, what >= 3 && what < 6);
    }
    close_store(f);
}

/* Writers, acknowledgements and checkpoints at once: when all has ended, nothing is left in the counts. */
static void *write_many(void *arg)
{
    struct fixture *f = arg;
    static _Atomic uint64_t thread;
    uint64_t random = atomic_fetch_add(&thread, 1);

    for (int i = 0; i < 500; i++) {
        (void)set(f, (unsigned)(sim_random(&random) % 8), "v"); /* shared or pending: both are counted */
        if (i % 50 == 0)
            hf__checkpoint_request(f->store);
    }
    return NULL;
}

static void test_bounds__counts_return_to_nothing_after_concurrent_writes(void **state)
{
    struct fixture *f = *state;
    pthread_t threads[4];

    open_store(f);
    come_online(f);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_many, f), 0);
    fake_redis_set_away(true);
    fake_redis_set_away(false);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    come_online(f);
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_ok(hf_checkpoint(f->store));
    assert_int_equal(hf__pending_keys(f->store), 0);
    assert_int_equal(hf__pending_bytes(f->store), 0);
    close_store(f);
}

/* ---- dropping beside a link that comes and goes ---- */

#define WRITERS 3
#define KEYS_EACH 150

struct writer {
    pthread_t thread;
    struct fixture *f;
    unsigned number;
    atomic_uint *running;
    bool taken[KEYS_EACH];
};

static void key_of(char *key, unsigned writer, unsigned i)
{
    snprintf(key, 24, "w%u:%03u", writer, i);
}

static void *write_keys(void *arg)
{
    struct writer *w = arg;
    char key[24];

    for (unsigned i = 0; i < KEYS_EACH; i++) {
        key_of(key, w->number, i);
        w->taken[i] = hf_set(w->f->store, s_(key), s_("v"), NULL, NULL) == 0;
        if (i % 10 == 0)
            hf__checkpoint_request(w->f->store);
    }
    atomic_fetch_sub(w->running, 1);
    return NULL;
}

static bool was_dropped(struct hf *store, const char *key)
{
    const struct hf_local_ops *ops = store->local->ops;
    struct hf_local_snap *snap;
    struct hf_conflict_row row;
    bool found = false;

    assert_ok(ops->snap_begin(store->local, &snap));
    for (uint64_t id = 0; !found && ops->conflict_next(snap, id, &row) == 0; id = row.id + 1)
        found = hf__slice_eq(row.key, s_(key)) && hf__slice_eq(row.ours.value, s_("v"));
    ops->snap_end(snap);
    return found;
}

static void check_writer(struct writer *w)
{
    char key[24];

    for (unsigned i = 0; i < KEYS_EACH; i++) {
        key_of(key, w->number, i);
        if (w->taken[i] && !fake_redis_holds(key, "v") && !was_dropped(w->f->store, key))
            fail_msg("'%s' was taken, and is neither in Redis nor in the conflict log", key);
    }
}

static void test_bounds__drop_oldest_beside_a_flapping_link_loses_nothing_without_a_record(void **state)
{
    static struct writer writers[WRITERS];
    struct fixture *f = *state;
    atomic_uint running = WRITERS;

    f->opts.pending_policy = HF_PENDING_DROP_OLDEST;
    f->opts.pending_max = 10;
    f->opts.redis_timeout_ms = 20;
    f->opts.redis_backoff_max_ms = 5;
    open_store(f);
    for (unsigned i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){.f = f, .number = i, .running = &running};
        assert_int_equal(pthread_create(&writers[i].thread, NULL, write_keys, &writers[i]), 0);
    }
    for (bool away = true; atomic_load(&running) > 0; away = !away) {
        fake_redis_set_away(away);
        assert_ok(hf_checkpoint(f->store));
    }
    for (unsigned i = 0; i < WRITERS; i++)
        pthread_join(writers[i].thread, NULL);
    come_online(f);
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_ok(hf_checkpoint(f->store));
    assert_true(status_of(f->store).dropped > 0);
    assert_int_equal(hf__pending_keys(f->store), 0);
    for (unsigned i = 0; i < WRITERS; i++)
        check_writer(&writers[i]);
    close_store(f);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_bounds__##name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_was_given_up_stays_so_after_a_kill), /* first: it forks */
        TEST(reject_takes_exactly_as_many_keys_wherever_they_wait),
        TEST(reject_takes_again_what_a_replay_has_made_room_for),
        TEST(nothing_is_refused_while_online),
        TEST(bytes_are_bounded_and_growth_counts),
        TEST(each_lane_entry_counts),
        TEST(a_key_that_joins_the_lane_takes_its_count_along),
        TEST(an_old_change_keeps_new_ones_out),
        TEST(block_waits_until_rows_are_cleared),
        TEST(block_ends_with_the_timeout),
        TEST(drop_oldest_gives_up_exactly_the_oldest),
        TEST(what_was_given_up_is_compared_at_the_next_reconcile),
        TEST(drop_oldest_keeps_bytes_and_age_as_well),
        TEST(drop_oldest_parks_increments_and_units),
        TEST(an_increment_given_up_after_it_was_sent_is_in_doubt),
        TEST(drop_oldest_refuses_when_the_conflict_log_is_full),
        TEST(a_key_written_again_is_not_the_one_to_give_up),
        TEST(any_operations_are_counted_as_in_a_model),
        TEST(counts_return_to_nothing_after_concurrent_writes),
        TEST(drop_oldest_beside_a_flapping_link_loses_nothing_without_a_record),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
