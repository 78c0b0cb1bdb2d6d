/* Holdfast coming back to Redis with keys that were written while it was away. */
#include "ours.h"
#include "process.h"
#include "redis.h"
#include "sides.h"

#include <inttypes.h>
#include <malloc.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DRAIN_S 600
#define DRAIN_SLICE_MS 20 /* between two looks at the memory */
#define REPLAYING_S 60
#define LOOK_EVERY 32 /* live writes; a look at the status is not part of any */
#define SERIES_MIN 2000
#define SERIES_MIN_QUICK 100
#define SERIES_MAX 10000
#define SERIES_MAX_QUICK 1000
#define REPLAYS_MAX 16 /* for one series of live writes */

/* ---- the outage ---- */

static int open_at(struct ours *o, bool away)
{
    struct hf_namespace all = {.prefix = "", .writers = o->writers};
    struct hf_options opts = {.namespaces = &all, .n_namespaces = 1};

    opts.redis = away ? OURS_AWAY : redis_address(o->redis);
    return open_store(o, &opts);
}

/* `ret_peak_mib`: the most memory that was seen; may be NULL. */
static int drain(struct ours *o, double *ret_peak_mib)
{
    double end_s = bench_now_s() + DRAIN_S, peak_mib = 0;
    int rc;

    while ((rc = hf_drain(o->store, DRAIN_SLICE_MS)) == HF_ETIMEOUT) {
        double mib = process_anonymous_mib();

        peak_mib = mib > peak_mib ? mib : peak_mib;
        if (bench_is_stopped())
            return bench_fail("stopped by a signal");
        if (bench_now_s() > end_s)
            return bench_fail("Holdfast did not share everything within %d s", DRAIN_S);
    }
    if (ret_peak_mib)
        *ret_peak_mib = peak_mib;
    return rc == 0 ? 0 : hf_fail("share everything");
}

/* The keys are in both tiers, and each copy knows it. */
static int share_all(struct ours *o)
{
    int rc = open_at(o, false);

    if (rc == 0)
        rc = load(o, o->n_keys, 0);
    if (rc == 0)
        rc = drain(o, NULL);
    return rc == 0 ? close_store(o) : rc;
}

/* A fresh store whose keys Redis is owed; what this process no longer needs is given back to the system. */
static int prepare(struct ours *o)
{
    int rc = o->store ? close_store(o) : 0;

    bench_area_remove(o->dir);
    if (rc == 0)
        rc = redis_flush(o->redis);
    if (rc == 0 && o->known)
        rc = share_all(o);
    if (rc == 0)
        rc = open_at(o, true);
    if (rc == 0)
        rc = load(o, o->n_keys, o->n_keys);
    if (rc == 0)
        rc = close_store(o);
    bench_settle(o->bench);
    malloc_trim(0);
    if (rc == 0 && bench_is_stopped())
        rc = bench_fail("stopped by a signal");
    return rc;
}

/* Every key holds there what was written last, and none by a conflict. */
static int check_replayed(struct ours *o)
{
    struct hf_status status;

    if (hf_status(o->store, &status) != 0)
        return hf_fail("tell its status");
    if (status.pending_keys + status.conflicts + status.blind_conflicts + status.parked + status.dropped != 0)
        return bench_fail("Holdfast left %" PRIu64 " of %zu keys pending, with %" PRIu64 " conflicts and %" PRIu64
                          " parked",
                          status.pending_keys, o->n_keys, status.conflicts + status.blind_conflicts, status.parked);
    return redis_expect_values(o->redis, o->bench, o->n_keys, o->n_keys);
}

/* ---- the replay ---- */

static int replay_turn(void *state, struct score *ret_score)
{
    struct ours *o = state;
    double before_mib, peak_mib = 0, started_s, seconds;
    int rc = prepare(o);

    before_mib = process_anonymous_mib();
    started_s = bench_now_s();
    if (rc == 0)
        rc = open_at(o, false);
    if (rc == 0)
        rc = drain(o, &peak_mib);
    seconds = bench_now_s() - started_s;
    if (rc == 0)
        rc = check_replayed(o);
    if (rc != 0)
        return rc;
    ret_score->value = (double)o->n_keys / seconds;
    ret_score->memory_mib = peak_mib - before_mib;
    return close_store(o);
}

int ours_replay(const struct bench *bench, struct redis *redis, enum hf_writers writers, bool known,
                struct side *ret_side)
{
    struct ours *o = NULL;
    int rc = ours_new(bench, "replay", "ours", ret_side, &o);

    if (rc != 0)
        return rc;
    o->redis = redis;
    o->writers = writers;
    o->known = known;
    o->n_keys = bench->n_replayed_keys;
    ret_side->turn = replay_turn;
    return 0;
}

/* ---- live writes ---- */

static int is_replaying(struct ours *o, bool *ret_replaying)
{
    struct hf_status status;

    if (hf_status(o->store, &status) != 0)
        return hf_fail("tell its status");
    *ret_replaying = status.link == HF_LINK_REPLAYING;
    return 0;
}

/* Also when the replay was over before it was seen: then pending_keys is 0. */
static int wait_for_replay(struct ours *o)
{
    double end_s = bench_now_s() + REPLAYING_S;
    struct hf_status status;

    while (hf_status(o->store, &status) == 0) {
        if (status.link == HF_LINK_REPLAYING || status.link == HF_LINK_ONLINE)
            return 0;
        if (bench_is_stopped())
            return bench_fail("stopped by a signal");
        if (bench_now_s() > end_s)
            return bench_fail("Holdfast did not begin its replay within %d s: %s", REPLAYING_S, status.link_reason);
        (void)poll(NULL, 0, 1);
    }
    return hf_fail("tell its status");
}

/* One that Redis did not acknowledge counts as the longest wait. */
static int live_write(struct ours *o)
{
    char key[BENCH_KEY_BYTES + 1];
    struct hf_slice value = value_slice(o->bench, o->n_live);
    struct hf_result result;
    double started_s, us;

    snprintf(key, sizeof(key), "live%012" PRIu64, o->n_live++ % 1000000000000u);
    started_s = bench_now_s();
    if (hf_set(o->store, (struct hf_slice){key, BENCH_KEY_BYTES}, value, NULL, &result) != 0)
        return hf_fail("set a value");
    us = (bench_now_s() - started_s) * 1e6;
    if (!result.shared && us < HF_REDIS_TIMEOUT_DEFAULT_MS * 1e3)
        us = HF_REDIS_TIMEOUT_DEFAULT_MS * 1e3;
    o->latencies_us[o->n_latencies++] = us;
    return 0;
}

static size_t series_max(const struct ours *o)
{
    return o->bench->quick ? SERIES_MAX_QUICK : SERIES_MAX;
}

/* So many writes; `during_replay`: those of the last few do not count if the replay is over behind them. */
static int write_some(struct ours *o, bool during_replay, bool *ret_more)
{
    size_t n_before = o->n_latencies;
    bool counts = true;
    int rc = 0;

    for (unsigned i = 0; i < LOOK_EVERY && o->n_latencies < series_max(o) && rc == 0; i++)
        rc = live_write(o);
    if (rc == 0 && during_replay)
        rc = is_replaying(o, &counts);
    if (!counts)
        o->n_latencies = n_before;
    *ret_more = counts && o->n_latencies < series_max(o) && !bench_is_stopped();
    return rc;
}

static int write_series(struct ours *o, bool during_replay)
{
    bool more = true;
    int rc = 0;

    while (more && rc == 0)
        rc = write_some(o, during_replay, &more);
    return rc;
}

static int compare_latencies(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double p99_us(struct ours *o)
{
    qsort(o->latencies_us, o->n_latencies, sizeof(*o->latencies_us), compare_latencies);
    return o->latencies_us[o->n_latencies * 99 / 100];
}

/* The writes of one replay; they are added to the series. Then everything is shared. */
static int write_during_replay(struct ours *o)
{
    int rc = prepare(o);

    if (rc == 0)
        rc = open_at(o, false);
    if (rc == 0)
        rc = wait_for_replay(o);
    if (rc == 0)
        rc = write_series(o, true);
    return rc == 0 ? drain(o, NULL) : rc;
}

static size_t series_min(const struct ours *o)
{
    return o->bench->quick ? SERIES_MIN_QUICK : SERIES_MIN;
}

/* Replays until the series is long enough; the last one's store stays open for the quiet turn. */
static int busy_turn(void *state, struct score *ret_score)
{
    struct ours *o = state;
    int rc = 0;

    o->n_latencies = 0;
    for (int i = 0; i < REPLAYS_MAX && o->n_latencies < series_min(o) && rc == 0; i++)
        rc = write_during_replay(o);
    if (rc != 0)
        return rc;
    if (o->n_latencies < series_min(o))
        return bench_fail("only %zu writes fell into %d replays", o->n_latencies, REPLAYS_MAX);
    ret_score->value = p99_us(o);
    return 0;
}

static int quiet_turn(void *state, struct score *ret_score)
{
    struct ours *o = state;

    o->n_latencies = 0;
    if (write_series(o, false) != 0)
        return -1;
    if (o->n_latencies < series_min(o))
        return bench_fail("stopped by a signal");
    ret_score->value = p99_us(o);
    return 0;
}

static void quiet_close(void *state)
{
    (void)state; /* the busy side's */
}

int ours_live(const struct bench *bench, struct redis *redis, struct side *ret_busy, struct side *ret_quiet)
{
    struct ours *o = NULL;
    int rc = ours_replay(bench, redis, HF_WRITERS_ANY, false, ret_busy);

    if (rc != 0)
        return rc;
    o = ret_busy->state;
    ret_busy->turn = busy_turn;
    *ret_quiet =
        (struct side){.name = "the same when all is shared", .turn = quiet_turn, .close = quiet_close, .state = o};
    o->latencies_us = malloc(SERIES_MAX * sizeof(*o->latencies_us));
    return o->latencies_us ? 0 : bench_fail("out of memory");
}
