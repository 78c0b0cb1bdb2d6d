/* Time: the timeline over steps of the wall clock and restarts, the unknown time, and the estimate of Redis's clock. */
#include "fake_tier.h"
#include "scratch.h"

#include "checkpoint.h"
#include "file_layer.h"
#include "store.h"
#include "turn.h"

#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define SECOND ((int64_t)1000)
#define HOUR (3600 * SECOND)
#define DAY (24 * HOUR)
#define NOON (1767268800 * SECOND) /* 2026-01-01 12:00 */
#define SOON_MS 5000               /* a bound, not a pause */
#define NEVER_MS 60000000

/* ---- a machine whose clocks only the test moves ---- */

struct machine {
    struct hf_clock base;
    _Atomic int64_t wall, boot;
    char boot_id[HF_BOOT_ID_MAX];
};

static int64_t machine_wall(struct hf_clock *clock)
{
    return atomic_load(&((struct machine *)clock)->wall);
}

static int64_t machine_boot(struct hf_clock *clock)
{
    return atomic_load(&((struct machine *)clock)->boot);
}

static const char *machine_id(struct hf_clock *clock)
{
    return ((struct machine *)clock)->boot_id;
}

static void make_machine(struct machine *m)
{
    *m = (struct machine){
        .base = {.wall_ms = machine_wall, .boot_ms = machine_boot, .boot_id = machine_id},
        .wall = NOON,
        .boot = 10 * SECOND,
        .boot_id = "first",
    };
}

static void pass(struct machine *m, int64_t ms)
{
    atomic_fetch_add(&m->wall, ms);
    atomic_fetch_add(&m->boot, ms);
}

static void step_wall(struct machine *m, int64_t ms)
{
    atomic_fetch_add(&m->wall, ms);
}

/* Off, and on again in another boot, whose wall clock says this. */
static void reboot(struct machine *m, int64_t wall)
{
    static unsigned n;

    snprintf(m->boot_id, sizeof(m->boot_id), "boot %u", n++);
    atomic_store(&m->boot, SECOND);
    atomic_store(&m->wall, wall);
}

static const int64_t steps[] = {0,     1,     -1,     500,  -500,  1001,      -1001,      5000,
                                -5000, 60000, -60000, HOUR, -HOUR, 400 * DAY, -400 * DAY, -NOON};
#define N_STEPS (sizeof(steps) / sizeof(*steps))

/* ---- the timeline, opened and closed ---- */

struct life {
    struct machine machine;
    struct hf_timeline time;
    struct hf_timeline_saved saved;
};

static void start(struct life *life)
{
    hf__timeline_start(&life->time, &life->machine.base, &life->saved);
}

static void begin(struct life *life)
{
    *life = (struct life){0};
    make_machine(&life->machine);
    start(life);
}

static void stop(struct life *life)
{
    hf__timeline_save(&life->time, &life->saved);
    hf__timeline_release(&life->time);
}

static int64_t now(const struct life *life)
{
    return hf__timeline_now_ms(&life->time);
}

static bool unknown(struct life *life)
{
    return hf__timeline_is_unknown(&life->time);
}

/* Redis answers at once with this time. */
static bool sample(struct life *life, int64_t redis_ms)
{
    int64_t boot = atomic_load(&life->machine.boot);

    return hf__timeline_sample(&life->time, redis_ms, boot, boot);
}

/* Redis's clock is this, and not only once. */
static void learn(struct life *life, int64_t redis_ms)
{
    (void)sample(life, redis_ms);
    assert_true(sample(life, redis_ms));
}

static int64_t offset(struct life *life)
{
    int64_t offset_ms, uncertainty_ms;

    assert_true(hf__timeline_shared(&life->time, &offset_ms, &uncertainty_ms));
    return offset_ms;
}

static int64_t uncertainty(struct life *life)
{
    int64_t offset_ms, uncertainty_ms;

    assert_true(hf__timeline_shared(&life->time, &offset_ms, &uncertainty_ms));
    return uncertainty_ms;
}

static void test_timeline__steps_of_the_wall_clock_do_not_matter_within_a_boot(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_STEPS; i++) {
        struct life life;
        int64_t began;

        begin(&life);
        began = now(&life);
        assert_int_equal(began, NOON);
        pass(&life.machine, 7 * SECOND);
        step_wall(&life.machine, steps[i]);
        assert_int_equal(now(&life), began + 7 * SECOND);
        stop(&life);
        step_wall(&life.machine, steps[N_STEPS - 1 - i]);
        pass(&life.machine, 5 * SECOND);
        start(&life);
        assert_int_equal(now(&life), began + 12 * SECOND);
        assert_false(unknown(&life));
        stop(&life);
    }
}

static void test_timeline__the_machine_names_its_boot(void **state)
{
    struct hf_clock *clock = hf__clock_real();

    (void)state;
    assert_int_equal(strlen(clock->boot_id(clock)), 36);
    assert_ptr_equal(clock->boot_id(clock), clock->boot_id(clock));
    assert_true(clock->boot_ms(clock) > 0);
}

/* Without a name, each process is in another boot: the wall clock decides. */
static void test_timeline__a_boot_without_a_name_is_another_one(void **state)
{
    struct life life;

    (void)state;
    begin(&life);
    stop(&life);
    life.machine.base.boot_id = NULL;
    life.saved.boot_id[0] = '\0';
    step_wall(&life.machine, -1);
    start(&life);
    assert_true(unknown(&life));
    stop(&life);
}

static void test_timeline__counts_suspension(void **state)
{
    struct life life;

    (void)state;
    begin(&life);
    atomic_fetch_add(&life.machine.boot, 8 * HOUR); /* the wall clock is set later */
    assert_int_equal(now(&life), NOON + 8 * HOUR);
    stop(&life);
}

static void test_timeline__another_boot_goes_on_from_the_wall_clock_or_does_not_know(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_STEPS; i++) {
        struct life life;
        int64_t closed;

        begin(&life);
        pass(&life.machine, HOUR);
        closed = now(&life);
        stop(&life);
        reboot(&life.machine, closed + steps[i]);
        start(&life);
        assert_int_equal(now(&life), steps[i] > 0 ? closed + steps[i] : closed);
        assert_int_equal(unknown(&life), steps[i] < 0);
        pass(&life.machine, SECOND);
        assert_int_equal(now(&life), (steps[i] > 0 ? closed + steps[i] : closed) + SECOND);
        stop(&life);
    }
}

static void test_timeline__never_goes_backwards_over_many_restarts(void **state)
{
    struct life life;
    int64_t last;

    (void)state;
    begin(&life);
    last = now(&life);
    for (size_t i = 0; i < 40; i++) {
        stop(&life);
        if (i % 3 == 0)
            reboot(&life.machine, NOON + steps[i % N_STEPS]);
        else
            step_wall(&life.machine, steps[i % N_STEPS]);
        pass(&life.machine, i);
        start(&life);
        assert_true(now(&life) >= last);
        (void)unknown(&life); /* may move it */
        assert_true(now(&life) >= last);
        last = now(&life);
    }
    stop(&life);
}

static void test_timeline__a_journal_that_is_ahead_is_not_undercut(void **state)
{
    struct life life;

    (void)state;
    begin(&life);
    hf__timeline_note_recorded(&life.time, NOON - HOUR);
    assert_false(unknown(&life));
    assert_int_equal(now(&life), NOON);
    hf__timeline_note_recorded(&life.time, NOON + HOUR);
    assert_true(unknown(&life));
    assert_int_equal(now(&life), NOON + HOUR);
    stop(&life);
}

static void test_timeline__a_clock_that_was_never_set_is_not_believed(void **state)
{
    struct life life = {0};

    (void)state;
    make_machine(&life.machine);
    reboot(&life.machine, 0);
    start(&life);
    assert_true(unknown(&life));
    pass(&life.machine, 5 * SECOND);
    assert_int_equal(now(&life), 5 * SECOND);
    step_wall(&life.machine, NOON); /* set right */
    assert_false(unknown(&life));
    assert_int_equal(now(&life), NOON + 5 * SECOND);
    stop(&life);
}

static void test_timeline__unknown_time_stays_unknown_over_a_restart_within_the_boot(void **state)
{
    struct life life;

    (void)state;
    begin(&life);
    stop(&life);
    reboot(&life.machine, 0);
    start(&life);
    for (int i = 1; i <= 3; i++) {
        pass(&life.machine, SECOND);
        stop(&life);
        start(&life);
        assert_true(unknown(&life));
        assert_int_equal(now(&life), NOON + i * SECOND);
    }
    stop(&life);
}

static void test_timeline__two_answers_of_redis_end_the_unknown_time_and_one_does_not(void **state)
{
    (void)state;
    for (int64_t ahead = -HOUR; ahead <= HOUR; ahead += HOUR) { /* Redis's clock, before and after */
        struct life life;

        begin(&life);
        learn(&life, NOON + ahead);
        stop(&life);
        reboot(&life.machine, 0);
        start(&life);
        assert_false(sample(&life, NOON + ahead + 400 * DAY)); /* wild */
        assert_int_equal(now(&life), NOON);
        assert_false(sample(&life, NOON + ahead + DAY));
        assert_true(unknown(&life));
        pass(&life.machine, SECOND);
        assert_true(sample(&life, NOON + ahead + DAY + SECOND));
        assert_false(unknown(&life));
        assert_int_equal(now(&life), NOON + DAY + SECOND);
        assert_int_equal(offset(&life), ahead);
        assert_int_equal(hf__timeline_jumps(&life.time), 0);
        stop(&life);
    }
}

static void test_timeline__redis_does_not_take_an_unknown_time_back(void **state)
{
    struct life life;

    (void)state;
    begin(&life);
    stop(&life);
    reboot(&life.machine, 0);
    start(&life);
    (void)sample(&life, NOON - HOUR);
    assert_true(sample(&life, NOON - HOUR));
    assert_false(unknown(&life));
    assert_int_equal(now(&life), NOON);
    assert_int_equal(offset(&life), -HOUR);
    stop(&life);
}

static void test_timeline__past_times_are_as_uncertain_as_the_restarts_since(void **state)
{
    struct life life;
    int64_t made[20], n;

    (void)state;
    begin(&life);
    for (n = 0; n < 20; n++) {
        made[n] = now(&life);
        step_wall(&life.machine, 100); /* what the wall clock differs by is how far a restart may be off */
        stop(&life);
        reboot(&life.machine, made[n] + HOUR);
        start(&life);
    }
    assert_int_equal(hf__timeline_uncertainty_ms(&life.time, now(&life)), 0);
    assert_in_range(hf__timeline_uncertainty_ms(&life.time, made[19]), 1100 + 2 * 360, 1100 + 3 * 360);
    for (n = 18; n >= 0; n--)
        assert_true(hf__timeline_uncertainty_ms(&life.time, made[n]) >=
                    hf__timeline_uncertainty_ms(&life.time, made[n + 1]));
    assert_true(hf__timeline_uncertainty_ms(&life.time, made[0]) >= 20 * 1100);
    pass(&life.machine, DAY);
    assert_int_equal(hf__timeline_uncertainty_ms(&life.time, now(&life) - DAY), 8640);
    stop(&life);
}

/* What was noted before the power went is known by Redis's clock; what was noted while the time was unknown is not. */
static void test_timeline__what_was_noted_in_an_unknown_time_is_as_uncertain_as_it_was_wrong(void **state)
{
    struct life life;
    int64_t before, in_it;

    (void)state;
    begin(&life);
    assert_true(sample(&life, NOON));
    before = now(&life);
    pass(&life.machine, SECOND);
    stop(&life);
    reboot(&life.machine, 0);
    start(&life);
    pass(&life.machine, SECOND);
    in_it = now(&life);
    assert_int_equal(hf__timeline_uncertainty_ms(&life.time, in_it), HF_TIME_UNCERTAIN_MS);
    (void)sample(&life, NOON + HOUR);
    assert_true(sample(&life, NOON + HOUR));
    assert_in_range(hf__timeline_uncertainty_ms(&life.time, before), 1, SECOND);
    assert_true(hf__timeline_uncertainty_ms(&life.time, in_it) >= HOUR - 2 * SECOND);
    assert_int_equal(hf__timeline_uncertainty_ms(&life.time, now(&life)), 0);
    stop(&life);
}

/* ---- Redis's clock ---- */

/* A turn remembers what it said, and says of each time what it would have said without. */
static void test_turn__a_past_time_is_as_uncertain_whatever_was_asked_before(void **state)
{
    static const int64_t ago[] = {
        0, HOUR, DAY, 5 * SECOND, 20 * SECOND, DAY, 40 * DAY, 0, 40 * DAY + 20 * SECOND, HOUR, 40 * DAY};
    struct machine m;
    struct hf store = {0};
    struct hf_timeline_saved saved = {0};
    struct hf_turn turn;
    size_t i;

    (void)state;
    make_machine(&m);
    hf__timeline_start(&store.time, &m.base, &saved);
    assert_true(hf__timeline_sample(&store.time, NOON, atomic_load(&m.boot), atomic_load(&m.boot)));
    hf__turn_begin(&store, &turn);
    for (i = 0; i < sizeof(ago) / sizeof(*ago); i++) {
        int64_t made_ms = turn.now_ms - ago[i];
        int64_t told = hf__turn_uncertainty_ms(&turn, made_ms);
        int64_t alone = turn.uncertainty_ms + hf__timeline_uncertainty_ms(&store.time, made_ms);

        assert_in_range(told, alone, alone + 1);
    }
    hf__timeline_release(&store.time);
}

static void test_redis_clock__a_sample_is_as_uncertain_as_its_round_trip(void **state)
{
    static const struct {
        int64_t asked, answered, offset, uncertainty;
    } table[] = {{1000, 1000, 4000, 1}, {1000, 1001, 4000, 2}, {1000, 1010, 3995, 6}, {0, 5000, 2500, 2501}};

    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
        struct hf_clock_offset o = hf__clock_measure(5000, table[i].asked, table[i].answered);

        assert_int_equal(o.offset_ms, table[i].offset);
        assert_int_equal(o.uncertainty_ms, table[i].uncertainty);
        assert_int_equal(hf__clock_uncertainty_ms(&o, o.measured_ms + DAY), table[i].uncertainty + 8640);
    }
}

/* Wherever within the round trip Redis looked at its clock, the truth is inside what is stated. */
static void test_redis_clock__the_truth_is_inside_the_uncertainty(void **state)
{
    unsigned random = 1;

    (void)state;
    for (int run = 0; run < 200; run++) {
        struct hf_shared_clock clock = {0};
        int64_t ppm = (int64_t)(rand_r(&random) % 201) - 100, at = NOON, ahead = 345;

        for (int i = 0; i < 100; i++) {
            int64_t there = rand_r(&random) % 300, back = rand_r(&random) % 300, looked = at + there;
            int64_t drift = (looked - NOON) * ppm / 1000000, error;
            struct hf_clock_offset o = hf__clock_measure(looked + ahead + drift, at, looked + back);

            assert_true(hf__shared_clock_sample(&clock, &o));
            at = looked + back + rand_r(&random) % 120000;
            error = clock.best.offset_ms - (ahead + (at - NOON) * ppm / 1000000);
            assert_true(llabs(error) <=
                        hf__clock_uncertainty_ms(&clock.best, at) + 1); /* the test's own rounding */
        }
        assert_int_equal(clock.jumps, 0);
    }
}

static void test_redis_clock__a_better_sample_replaces_a_worse_one_and_not_the_other_way(void **state)
{
    struct hf_shared_clock clock = {0};
    struct hf_clock_offset slow = hf__clock_measure(NOON, NOON, NOON + 400);
    struct hf_clock_offset fast = hf__clock_measure(NOON + 1000, NOON + 1000, NOON + 1002);
    struct hf_clock_offset slow_again = hf__clock_measure(NOON + 2000, NOON + 2000, NOON + 2400);

    (void)state;
    assert_true(hf__shared_clock_sample(&clock, &slow));
    assert_int_equal(clock.best.uncertainty_ms, 201);
    assert_true(hf__shared_clock_sample(&clock, &fast));
    assert_int_equal(clock.best.uncertainty_ms, 2);
    assert_true(hf__shared_clock_sample(&clock, &slow_again));
    assert_int_equal(clock.best.uncertainty_ms, 2);
}

static void test_redis_clock__is_followed_when_it_is_slewed(void **state)
{
    struct life life;

    (void)state;
    begin(&life);
    for (int i = 0; i < 100; i++) {
        assert_true(sample(&life, NOON + i * (60 * SECOND + 300)));
        assert_int_equal(offset(&life), i * 300);
        pass(&life.machine, 60 * SECOND);
    }
    assert_int_equal(hf__timeline_jumps(&life.time), 0);
    stop(&life);
}

static void test_redis_clock__one_wild_sample_changes_nothing_and_two_that_agree_are_believed(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_STEPS; i++) {
        bool jump = llabs(steps[i]) > 1000;
        struct life life;

        begin(&life);
        assert_true(sample(&life, NOON));
        assert_int_equal(sample(&life, NOON + steps[i]), !jump);
        assert_true(llabs(offset(&life) - (jump ? 0 : steps[i])) <= 1);
        pass(&life.machine, SECOND);
        assert_true(sample(&life, NOON + SECOND)); /* it was wild: forgotten */
        assert_int_equal(sample(&life, NOON + SECOND + steps[i]), !jump);
        pass(&life.machine, SECOND);
        assert_true(sample(&life, NOON + 2 * SECOND + steps[i]));
        assert_true(llabs(offset(&life) - steps[i]) <= 1);
        assert_int_equal(hf__timeline_jumps(&life.time), jump);
        stop(&life);
    }
}

static void test_redis_clock__a_first_sample_is_believed_by_the_own_clock_or_by_a_second_one(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_STEPS; i++) {
        int64_t offset_ms, uncertainty_ms, other = steps[i] + 7 * DAY;
        bool far = llabs(steps[i]) > 1000;
        struct life life;

        begin(&life);
        assert_int_equal(sample(&life, NOON + steps[i]), !far);
        assert_int_equal(hf__timeline_shared(&life.time, &offset_ms, &uncertainty_ms), !far);
        if (far) {
            assert_false(sample(&life, NOON + other)); /* one of the two is wild */
            assert_true(sample(&life, NOON + other));
            assert_int_equal(offset(&life), other);
        }
        assert_int_equal(hf__timeline_jumps(&life.time), 0); /* nothing was known that could have jumped */
        stop(&life);
    }
}

static void test_redis_clock__what_is_no_time_is_not_taken(void **state)
{
    struct life life;
    int64_t boot;

    (void)state;
    begin(&life);
    boot = atomic_load(&life.machine.boot);
    assert_false(sample(&life, -1));
    assert_false(sample(&life, INT64_MAX / 2));
    assert_false(hf__timeline_sample(&life.time, NOON, boot, boot - 1));
    assert_false(life.time.shared.known);
    stop(&life);
}

static void test_redis_clock__is_remembered_with_its_uncertainty(void **state)
{
    struct life life;

    (void)state;
    begin(&life);
    learn(&life, NOON + HOUR);
    assert_int_equal(uncertainty(&life), 1);
    pass(&life.machine, DAY);
    stop(&life);
    start(&life);
    assert_int_equal(offset(&life), HOUR);
    assert_int_equal(uncertainty(&life), 1 + 8640);
    stop(&life);
    reboot(&life.machine, NOON + 2 * DAY);
    start(&life);
    assert_int_equal(offset(&life), HOUR);
    assert_int_equal(uncertainty(&life), 1 + 2 * 8640 + 1000 + 8640); /* age, and what ran while it was off */
    assert_true(sample(&life, NOON + 2 * DAY + HOUR + 5 * SECOND));   /* within it: no jump */
    assert_int_equal(offset(&life), HOUR + 5 * SECOND);
    assert_int_equal(hf__timeline_jumps(&life.time), 0);
    stop(&life);
}

/* ---- a store on that machine ---- */

struct fixture {
    struct scratch scratch;
    struct machine machine;
    struct hf_namespace hidden;
    struct hf_options opts;
    struct hf *store; /* NULL while closed */
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    if (!f)
        return -1;
    scratch_make(&f->scratch);
    make_machine(&f->machine);
    f->hidden = (struct hf_namespace){.prefix = "hide:", .unknown_time = HF_UNKNOWN_TIME_HIDE};
    f->opts = (struct hf_options){
        .redis = "fake",
        .redis_timeout_ms = 100,
        .redis_backoff_max_ms = 50,
        .checkpoint_interval_ms = NEVER_MS,
        .max_disk_bytes = 1u << 30,
        .namespaces = &f->hidden,
        .n_namespaces = 1,
    };
    fake_redis_start();
    fake_redis_set_clock(&f->machine.base, NOON);
    *state = f;
    return 0;
}

static int try_open(struct fixture *f)
{
    struct hf_parts parts = {hf__file_layer_real(), &f->machine.base, fake_local_open, fake_redis_open};

    return hf__store_open(f->scratch.store, &f->opts, &parts, &f->store);
}

static void open_store(struct fixture *f)
{
    assert_ok(try_open(f));
}

static void open_alone(struct fixture *f)
{
    f->opts.redis = NULL;
    open_store(f);
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

    fake_local_fail_commits(0);
    for (int kind = 0; kind < FAKE_REQUESTS; kind++)
        fake_redis_thaw((enum fake_request)kind);
    (void)hf_close(f->store); /* open only after a failure, which has been told */
    fake_redis_stop();
    scratch_remove(&f->scratch);
    free(f);
    return 0;
}

static void put_for(struct fixture *f, const char *key, int64_t ttl_ms)
{
    struct hf_set_options set = {.ttl_ms = ttl_ms};

    assert_ok(hf_set(f->store, s_(key), s_("v"), &set, NULL));
}

static struct hf_status status_of(struct hf *store)
{
    struct hf_status status;

    assert_ok(hf_status(store, &status));
    return status;
}

static void assert_ttl(struct fixture *f, const char *key, int64_t expected)
{
    int64_t ttl_ms;

    assert_ok(hf_ttl(f->store, s_(key), &ttl_ms, NULL));
    assert_int_equal(ttl_ms, expected);
}

static void assert_flagged(struct hf *store, const char *key, bool flagged)
{
    struct hf_result result;
    struct hf_buf value;

    assert_ok(hf_get(store, s_(key), &value, &result));
    hf_buf_release(&value);
    assert_int_equal(result.time_unknown, flagged);
    assert_ok(hf_exists(store, s_(key), &result));
    assert_int_equal(result.time_unknown, flagged);
}

static void assert_hidden(struct hf *store, const char *key)
{
    struct hf_result result;
    struct hf_buf value;
    int64_t ttl_ms;

    assert_code(HF_NOT_FOUND, hf_get(store, s_(key), &value, &result));
    assert_false(result.existed);
    assert_code(HF_NOT_FOUND, hf_exists(store, s_(key), NULL));
    assert_code(HF_NOT_FOUND, hf_ttl(store, s_(key), &ttl_ms, NULL));
}

/* The keys of a scan, flagged ones with a '?', as one text. */
static void scan_text(struct hf *store, char *text, size_t size)
{
    struct hf_scan *scan;
    struct hf_slice key;
    struct hf_result result;
    size_t n = 0;

    assert_ok(hf_scan_open(store, s_(""), s_(""), &scan));
    text[0] = '\0';
    while (hf_scan_next(scan, &key, NULL, &result) == 0)
        n += (size_t)snprintf(text + n, size - n, "%.*s%s ", (int)key.len, (const char *)key.data,
                              result.time_unknown ? "?" : "");
    hf_scan_close(scan);
}

static void assert_scan(struct hf *store, const char *expected)
{
    char text[256];

    scan_text(store, text, sizeof(text));
    assert_string_equal(text, expected);
}

static bool is_stored(struct fixture *f, const char *key)
{
    const struct hf_local_ops *ops = f->store->local->ops;
    struct hf_local_snap *snap;
    struct hf_record record;
    int rc;

    assert_ok(ops->snap_begin(f->store->local, &snap));
    rc = ops->get(snap, s_(key), &record);
    ops->snap_end(snap);
    assert_true(rc == 0 || rc == HF_NOT_FOUND);
    return rc == 0;
}

static void wait_online(struct fixture *f)
{
    if (!wait_link(f->store, HF_LINK_ONLINE, SOON_MS))
        fail_msg("the link is %s", hf_link_text(status_of(f->store).link));
}

static bool was_told(void *ctx)
{
    return fake_redis_times_told() >= *(unsigned *)ctx;
}

static void wait_told(unsigned n)
{
    assert_true(wait_until(was_told, &n, SOON_MS));
}

static void tell_time(void)
{
    unsigned n = fake_redis_times_told();

    fake_redis_tell_time();
    wait_told(n + 1);
}

static void test_store__deadlines_are_exact_within_a_boot_whatever_the_wall_clock_says(void **state)
{
    struct fixture *f = *state;

    for (size_t i = 0; i < N_STEPS; i++) {
        open_alone(f);
        put_for(f, "k", 10 * SECOND);
        put_for(f, "gone", 4 * SECOND);
        close_store(f);
        step_wall(&f->machine, steps[i]);
        pass(&f->machine, 4 * SECOND);
        open_alone(f);
        assert_ttl(f, "k", 6 * SECOND);
        assert_value(f->store, "gone", NULL);
        assert_false(status_of(f->store).time_unknown);
        pass(&f->machine, 6 * SECOND);
        assert_value(f->store, "k", NULL);
        close_store(f);
        atomic_store(&f->machine.wall, NOON);
    }
}

/* Nothing but the journal tells of the first boot's writes, and nothing but opening of its clock. */
static void test_store__deadlines_are_exact_after_a_crash_in_a_new_boot(void **state)
{
    struct fixture *f = *state;

    open_alone(f);
    close_store(f);
    reboot(&f->machine, NOON + DAY);
    open_alone(f);
    fake_local_fail_commits(-1);
    put_for(f, "k", 10 * SECOND);
    assert_code(HF_EFULL, hf_close(f->store));
    f->store = NULL;
    fake_local_fail_commits(0);
    step_wall(&f->machine, -HOUR);
    pass(&f->machine, 3 * SECOND);
    open_alone(f);
    assert_false(status_of(f->store).time_unknown);
    assert_ttl(f, "k", 7 * SECOND);
    close_store(f);
}

/* Keys that live for ten seconds and a day; then the machine is off for an hour and boots in 1970. */
static void boot_without_a_clock(struct fixture *f)
{
    fake_redis_set_away(true);
    open_store(f);
    put(f->store, "plain", "v");
    put_for(f, "short", 10 * SECOND);
    put_for(f, "long", DAY);
    put_for(f, "hide:long", DAY);
    put(f->store, "hide:plain", "v");
    close_store(f);
    reboot(&f->machine, 0);
    fake_redis_set_clock(&f->machine.base, NOON + HOUR);
}

static void test_store__an_unknown_time_is_flagged_or_hidden_and_removes_nothing(void **state)
{
    struct fixture *f = *state;

    boot_without_a_clock(f);
    open_alone(f);
    assert_true(status_of(f->store).time_unknown);
    assert_flagged(f->store, "plain", false);
    assert_flagged(f->store, "short", true);
    assert_flagged(f->store, "long", true);
    assert_hidden(f->store, "hide:long");
    assert_flagged(f->store, "hide:plain", false);
    assert_scan(f->store, "hide:plain long? plain short? ");
    pass(&f->machine, 11 * SECOND); /* dead even if the machine had been off for no time */
    assert_value(f->store, "short", NULL);
    assert_ok(hf_checkpoint(f->store));
    assert_true(is_stored(f, "short"));
    close_store(f);
    open_alone(f);
    assert_true(status_of(f->store).time_unknown);
    assert_true(is_stored(f, "short"));
    atomic_store(&f->machine.wall, NOON + HOUR + 11 * SECOND); /* set right */
    assert_ttl(f, "long", DAY - HOUR - 11 * SECOND);
    assert_false(status_of(f->store).time_unknown);
    assert_scan(f->store, "hide:long hide:plain long plain ");
    assert_ok(hf_checkpoint(f->store));
    assert_false(is_stored(f, "short"));
    close_store(f);
}

static void test_store__redis_ends_the_unknown_time_when_two_answers_agree(void **state)
{
    struct fixture *f = *state;

    boot_without_a_clock(f);
    fake_redis_lie_once(4000 * DAY); /* a single wild answer would sweep everything */
    fake_redis_set_away(false);
    open_store(f);
    wait_told(2);
    assert_true(status_of(f->store).time_unknown);
    assert_int_equal(fake_redis_asked(FAKE_GROUP) + fake_redis_asked(FAKE_EPOCH), 0);
    assert_ok(hf_checkpoint(f->store));
    assert_true(is_stored(f, "short"));
    assert_flagged(f->store, "long", true);
    tell_time();
    assert_false(status_of(f->store).time_unknown);
    wait_online(f);
    assert_flagged(f->store, "long", false);
    assert_ttl(f, "long", DAY - HOUR);
    assert_value(f->store, "short", NULL);
    assert_true(fake_redis_holds("long", "v"));
    assert_int_equal(fake_redis_deadline_ms("long"), NOON + DAY);
    assert_false(fake_redis_holds("short", "v"));
    assert_ok(hf_checkpoint(f->store));
    assert_false(is_stored(f, "short"));
    close_store(f);
}

/* A reader in another process, since LMDB opens a file once in each: forked while this one has no threads, it opens the
 * store after the boot without a clock, and says whenever it is asked what it sees of "long": flagged, or not. */
struct reader {
    pid_t pid;
    int ask, told;
};

static void give_up(const char *what)
{
    fprintf(stderr, "the reader: %s: %s\n", what, hf_errmsg());
    _exit(1);
}

static bool sees_flagged(struct fixture *f)
{
    struct hf_result result;
    struct hf_buf value;

    if (hf_get(f->store, s_("long"), &value, &result) != 0)
        give_up("'long' is not there");
    hf_buf_release(&value);
    if (!result.time_unknown && hf_get(f->store, s_("short"), &value, NULL) != HF_NOT_FOUND)
        give_up("the time is known, and 'short' is there");
    return result.time_unknown;
}

static void read_along(struct fixture *f, int asked, int tell)
{
    struct hf_status status;
    char c;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    reboot(&f->machine, 0); /* as the machine of the owner, under the same name */
    f->opts.read_only = true;
    f->opts.redis = NULL;
    while (read(asked, &c, 1) == 1) {
        if (!f->store && try_open(f) != 0)
            give_up("open");
        c = sees_flagged(f) ? '?' : '!';
        if (write(tell, &c, 1) != 1)
            give_up("write");
    }
    if (hf_status(f->store, &status) != 0 || status.time_unknown || hf_close(f->store) != 0)
        give_up("the time is unknown at the end");
    _exit(0);
}

static struct reader fork_reader(struct fixture *f)
{
    struct reader reader;
    int asked[2], told[2];

    assert_int_equal(pipe(asked), 0);
    assert_int_equal(pipe(told), 0);
    reader.pid = fork();
    assert_true(reader.pid >= 0);
    if (reader.pid == 0) {
        close(asked[1]);
        read_along(f, asked[0], told[1]);
    }
    close(asked[0]);
    close(told[1]);
    reader.ask = asked[1];
    reader.told = told[0];
    return reader;
}

static char ask_reader(struct reader *reader)
{
    struct pollfd told = {.fd = reader->told, .events = POLLIN};
    char c = 0;

    assert_int_equal(write(reader->ask, "\n", 1), 1);
    assert_int_equal(poll(&told, 1, SOON_MS), 1);
    assert_int_equal(read(reader->told, &c, 1), 1); /* 0: it has given up, and said why */
    return c;
}

static void end_reader(struct reader *reader)
{
    int status;

    close(reader->ask);
    close(reader->told);
    assert_int_equal(waitpid(reader->pid, &status, 0), reader->pid);
    assert_int_equal(status, 0);
}

static void test_store__a_reader_learns_the_time_from_the_owner(void **state)
{
    struct fixture *f = *state;
    struct reader reader = fork_reader(f);

    boot_without_a_clock(f);
    open_store(f);
    assert_int_equal(ask_reader(&reader), '?');
    fake_redis_set_away(false);
    wait_online(f);
    assert_ok(hf_checkpoint(f->store));
    assert_int_equal(ask_reader(&reader), '!');
    end_reader(&reader);
    close_store(f);
}

/* The link compares what it held when it connected after a checkpoint, in the turns that answers to TIME give it; by the
 * second one the first has been taken. */
static void compare_copies(struct fixture *f)
{
    assert_ok(hf_checkpoint(f->store));
    wait_told(2);
    tell_time();
    tell_time();
}

/* Whatever a step of Redis's clock does to what it holds, what is sent after it was seen lives as long as here. */
static void test_store__a_step_of_redis_clock_is_counted_and_extends_nothing(void **state)
{
    struct fixture *f = *state;
    int64_t step = HOUR, redis_ms = NOON;
    uint64_t jumps = 0;

    open_store(f);
    wait_online(f);
    compare_copies(f); /* none: one whose life has ended there would go here, too */
    for (int i = 0; i < 4; i++, step = -step) {
        put_for(f, "before", 600 * SECOND);
        assert_int_equal(fake_redis_deadline_ms("before"), redis_ms + 600 * SECOND);
        redis_ms += step;
        fake_redis_set_clock(&f->machine.base, redis_ms);
        tell_time();
        assert_int_equal(status_of(f->store).clock_jumps, jumps); /* it may be a single wild answer */
        tell_time();
        assert_int_equal(status_of(f->store).clock_jumps, ++jumps);
        put_for(f, "after", 600 * SECOND);
        assert_true(fake_redis_deadline_ms("after") <=
                    redis_ms + 600 * SECOND + status_of(f->store).clock_uncertainty_ms);
        assert_ttl(f, "before", 600 * SECOND);
        pass(&f->machine, 100);
        redis_ms += 100;
    }
    close_store(f);
}

/* Another server answers, an hour behind: what waited is converted by its clock and by no other. */
static void test_store__a_slower_clock_after_a_failover_extends_nothing(void **state)
{
    struct fixture *f = *state;
    struct hf_status status;
    unsigned asked;

    open_store(f);
    wait_online(f);
    wait_told(2);
    fake_redis_set_away(true);
    assert_true(wait_link(f->store, HF_LINK_OFFLINE, SOON_MS));
    put_for(f, "k", 10 * SECOND);
    pass(&f->machine, 4 * SECOND);
    fake_redis_set_clock(&f->machine.base, NOON - HOUR);
    asked = fake_redis_asked(FAKE_EPOCH);
    fake_redis_freeze(FAKE_TIME);
    fake_redis_set_away(false);
    wait_told(3);
    assert_ok(hf_checkpoint(f->store)); /* its end has the link look for work */
    assert_int_equal(fake_redis_asked(FAKE_EPOCH), asked);
    assert_int_equal(status_of(f->store).clock_jumps, 0);
    fake_redis_thaw(FAKE_TIME);
    wait_online(f);
    status = status_of(f->store);
    assert_int_equal(status.clock_jumps, 1);
    assert_int_equal(status.clock_offset_ms, -HOUR - 4 * SECOND);
    assert_int_equal(fake_redis_deadline_ms("k"), NOON - HOUR + 6 * SECOND);
    close_store(f);
}

static void assert_nothing_sent(struct fixture *f)
{
    assert_ok(hf_checkpoint(f->store)); /* its end has the link look for work */
    assert_int_equal(fake_redis_asked(FAKE_EPOCH) + fake_redis_asked(FAKE_GROUP), 0);
    assert_false(status_of(f->store).clock_known);
}

/* A store that has never met Redis hears two wild answers first: what waits is not converted by them. */
static void test_store__wild_first_answers_shorten_and_extend_nothing(void **state)
{
    struct fixture *f = *state;

    fake_redis_set_away(true);
    open_store(f);
    put_for(f, "k", 10 * SECOND);
    fake_redis_lie_once(HOUR);
    fake_redis_freeze(FAKE_TIME);
    fake_redis_set_away(false);
    wait_told(1);
    assert_nothing_sent(f);
    fake_redis_lie_once(-HOUR);
    fake_redis_thaw(FAKE_TIME);
    wait_told(2);
    assert_nothing_sent(f);
    tell_time();
    wait_online(f);
    assert_int_equal(status_of(f->store).clock_offset_ms, 0);
    assert_int_equal(status_of(f->store).clock_jumps, 0);
    assert_int_equal(fake_redis_deadline_ms("k"), NOON + 10 * SECOND);
    close_store(f);
}

static void test_store__redis_clock_is_known_offline_with_its_grown_uncertainty(void **state)
{
    struct fixture *f = *state;
    struct hf_status status;

    fake_redis_set_clock(&f->machine.base, NOON + 5 * SECOND);
    open_store(f);
    wait_online(f);
    close_store(f);
    fake_redis_set_away(true);
    pass(&f->machine, DAY);
    open_store(f);
    status = status_of(f->store);
    assert_true(status.clock_known);
    assert_int_equal(status.clock_offset_ms, 5 * SECOND);
    assert_int_equal(status.clock_uncertainty_ms, 1 + 8640);
    close_store(f);
}

/* ---- what is kept ---- */

static void put_meta(struct fixture *f, const char *name, const void *bytes, size_t len)
{
    struct hf_local_tier *tier;
    struct hf_local_snap *snap;
    struct hf_local_txn *txn;
    uint64_t covered;

    assert_ok(fake_local_open(f->scratch.store, &f->opts, &tier));
    assert_ok(tier->ops->snap_begin(tier, &snap));
    covered = tier->ops->snap_covered_lsn(snap);
    tier->ops->snap_end(snap);
    assert_ok(tier->ops->txn_begin(tier, covered, &txn));
    assert_ok(tier->ops->meta_put(txn, s_(name), hf__slice(bytes, len)));
    assert_ok(tier->ops->txn_commit(txn));
    tier->ops->close(tier);
}

static void test_meta__what_is_damaged_is_named(void **state)
{
    static const struct {
        const char *name;
        uint8_t format, n_stretches;
        size_t len;
        const char *sentence;
    } table[] = {
        {HF_META_CLOCK, 2, 0, 216, "'clock' has format 2; this version reads 1"},
        {HF_META_CLOCK, 1, 0, 215, "'clock' has 215 bytes; expected 216"},
        {HF_META_CLOCK, 1, 9, 216, "'clock' has 9 stretches; at most 8"},
        {HF_META_TIME, 0, 0, 7, "'time_ms' has 7 bytes; expected 8"},
    };
    struct fixture *f = *state;
    struct hf_parts parts = {hf__file_layer_real(), &f->machine.base, fake_local_open, fake_redis_open};

    open_alone(f);
    close_store(f);
    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
        uint8_t bytes[216] = {table[i].format, 0, table[i].n_stretches};

        put_meta(f, table[i].name, bytes, table[i].len);
        assert_code(HF_ECORRUPT, hf__store_open(f->scratch.store, &f->opts, &parts, &f->store));
        assert_sentence(table[i].sentence);
    }
}

static void test_meta__a_store_without_it_opens_by_the_wall_clock(void **state)
{
    struct fixture *f = *state;

    open_alone(f);
    put_for(f, "k", DAY);
    close_store(f);
    put_meta(f, HF_META_CLOCK, "", 0);
    pass(&f->machine, HOUR);
    open_alone(f);
    assert_ttl(f, "k", DAY - HOUR);
    close_store(f);
}

/* ---- the tests ---- */

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_timeline__steps_of_the_wall_clock_do_not_matter_within_a_boot),
        cmocka_unit_test(test_timeline__the_machine_names_its_boot),
        cmocka_unit_test(test_timeline__a_boot_without_a_name_is_another_one),
        cmocka_unit_test(test_timeline__counts_suspension),
        cmocka_unit_test(test_timeline__another_boot_goes_on_from_the_wall_clock_or_does_not_know),
        cmocka_unit_test(test_timeline__never_goes_backwards_over_many_restarts),
        cmocka_unit_test(test_timeline__a_journal_that_is_ahead_is_not_undercut),
        cmocka_unit_test(test_timeline__a_clock_that_was_never_set_is_not_believed),
        cmocka_unit_test(test_timeline__unknown_time_stays_unknown_over_a_restart_within_the_boot),
        cmocka_unit_test(test_timeline__two_answers_of_redis_end_the_unknown_time_and_one_does_not),
        cmocka_unit_test(test_timeline__redis_does_not_take_an_unknown_time_back),
        cmocka_unit_test(test_timeline__past_times_are_as_uncertain_as_the_restarts_since),
        cmocka_unit_test(test_timeline__what_was_noted_in_an_unknown_time_is_as_uncertain_as_it_was_wrong),
        cmocka_unit_test(test_turn__a_past_time_is_as_uncertain_whatever_was_asked_before),
        cmocka_unit_test(test_redis_clock__a_sample_is_as_uncertain_as_its_round_trip),
        cmocka_unit_test(test_redis_clock__the_truth_is_inside_the_uncertainty),
        cmocka_unit_test(test_redis_clock__a_better_sample_replaces_a_worse_one_and_not_the_other_way),
        cmocka_unit_test(test_redis_clock__is_followed_when_it_is_slewed),
        cmocka_unit_test(test_redis_clock__one_wild_sample_changes_nothing_and_two_that_agree_are_believed),
        cmocka_unit_test(test_redis_clock__a_first_sample_is_believed_by_the_own_clock_or_by_a_second_one),
        cmocka_unit_test(test_redis_clock__what_is_no_time_is_not_taken),
        cmocka_unit_test(test_redis_clock__is_remembered_with_its_uncertainty),
        TEST(test_store__deadlines_are_exact_within_a_boot_whatever_the_wall_clock_says),
        TEST(test_store__deadlines_are_exact_after_a_crash_in_a_new_boot),
        TEST(test_store__an_unknown_time_is_flagged_or_hidden_and_removes_nothing),
        TEST(test_store__redis_ends_the_unknown_time_when_two_answers_agree),
        TEST(test_store__a_reader_learns_the_time_from_the_owner),
        TEST(test_store__a_step_of_redis_clock_is_counted_and_extends_nothing),
        TEST(test_store__a_slower_clock_after_a_failover_extends_nothing),
        TEST(test_store__wild_first_answers_shorten_and_extend_nothing),
        TEST(test_store__redis_clock_is_known_offline_with_its_grown_uncertainty),
        TEST(test_meta__what_is_damaged_is_named),
        TEST(test_meta__a_store_without_it_opens_by_the_wall_clock),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
