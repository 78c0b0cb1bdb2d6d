/* What a store of ours costs beside time: memory, disk, and wake-ups. */
#include "ours.h"
#include "process.h"
#include "redis.h"
#include "sides.h"

#include <malloc.h>
#include <poll.h>

#define LOOKS 100       /* at the memory, while keys are written */
#define LOOK_EVERY 4096 /* updates, for a signal */
#define A_PAGE_MIB (4.0 / 1024)
#define REST_MS 2000 /* then what the writes have left to do is done */
#define IDLE_S 10
#define IDLE_QUICK_S 2

/* A store that knows nothing, and whose Redis is away. */
static int open_fresh(struct ours *o)
{
    int rc = o->store ? close_store(o) : 0;

    bench_area_remove(o->dir);
    malloc_trim(0);
    return rc == 0 ? open_store(o, &(struct hf_options){.redis = OURS_AWAY}) : rc;
}

/* ---- memory ---- */

static double max_of(double a, double b)
{
    return a > b ? a : b;
}

/* Beyond what there was before, and a page at least: what was freed may have outweighed it. */
static double more_mib(double mib, double before_mib)
{
    return max_of(mib - before_mib, A_PAGE_MIB);
}

/* Set each key once, with a look at the memory now and then. */
static int write_keys(struct ours *o, double *ret_peak_mib)
{
    size_t n = o->bench->n_replayed_keys;
    double peak_mib = 0;
    int rc = 0;

    for (size_t i = 0; i < n && rc == 0; i++) {
        rc = submit_set(o, o->order[i], i);
        if (i % (n / LOOKS) == 0)
            peak_mib = max_of(peak_mib, process_anonymous_mib());
    }
    if (window_finish(&o->window) != 0)
        rc = -1;
    *ret_peak_mib = peak_mib;
    return rc;
}

static int check_pending(struct ours *o)
{
    struct hf_status status;

    if (hf_status(o->store, &status) != 0)
        return hf_fail("tell its status");
    if (status.pending_keys != o->bench->n_replayed_keys || status.keys != o->bench->n_replayed_keys)
        return bench_fail("the store does not hold what was written, or not as pending");
    return 0;
}

/* What the process has without a store. */
static int close_and_trim(struct ours *o, double *ret_mib)
{
    int rc = o->store ? close_store(o) : 0;

    malloc_trim(0);
    *ret_mib = process_anonymous_mib();
    return rc;
}

static int written_turn(void *state, struct score *ret_score)
{
    struct ours *o = state;
    double before_mib, peak_mib = 0;
    int rc = close_and_trim(o, &before_mib);

    if (rc == 0)
        rc = open_fresh(o);
    if (rc == 0)
        rc = write_keys(o, &peak_mib);
    if (rc == 0)
        rc = checkpoint(o);
    if (rc == 0)
        rc = check_pending(o);
    ret_score->value = more_mib(process_anonymous_mib(), before_mib);
    ret_score->memory_mib = more_mib(peak_mib, before_mib);
    return rc;
}

static int read_keys(struct ours *o)
{
    uint8_t value[BENCH_VALUE_BYTES];
    size_t len;

    for (size_t i = 0; i < o->bench->n_replayed_keys; i++) {
        if (hf_get_into(o->store, key_slice(o->bench, o->order[i]), value, sizeof(value), &len, NULL) != 0)
            return hf_fail("get a value");
    }
    return 0;
}

static int reopened_turn(void *state, struct score *ret_score)
{
    struct ours *o = state;
    double before_mib, peak_mib;
    int rc = open_fresh(o);

    if (rc == 0)
        rc = write_keys(o, &peak_mib);
    if (close_and_trim(o, &before_mib) != 0)
        rc = -1;
    if (rc == 0)
        rc = open_store(o, &(struct hf_options){.redis = OURS_AWAY, .must_exist = true});
    if (rc == 0)
        rc = read_keys(o);
    if (rc == 0)
        rc = check_pending(o);
    ret_score->value = more_mib(process_anonymous_mib(), before_mib);
    return rc;
}

int ours_pending(const struct bench *bench, bool reopened, struct side *ret_side)
{
    struct ours *o = NULL;
    int rc = ours_new(bench, "a store", "ours", ret_side, &o);

    if (rc != 0)
        return rc;
    ret_side->turn = reopened ? reopened_turn : written_turn;
    o->order = bench_shuffled(bench->n_replayed_keys);
    return o->order ? 0 : bench_fail("out of memory");
}

/* ---- disk ---- */

static int update_few(struct ours *o)
{
    uint64_t random = 88172645463325252u;
    int rc = 0;

    for (size_t i = 0; i < o->bench->n_updates && rc == 0; i++) {
        rc = submit_set(o, bench_random(&random) % OURS_FEW_KEYS, i);
        if (i % LOOK_EVERY == 0 && bench_is_stopped())
            rc = bench_fail("stopped by a signal");
    }
    return window_finish(&o->window) == 0 ? rc : -1;
}

static int offline_turn(void *state, struct score *ret_score)
{
    struct ours *o = state;
    int rc = open_fresh(o);

    if (rc == 0)
        rc = update_few(o);
    if (rc == 0)
        rc = checkpoint(o);
    ret_score->value = bench_area_mib(o->dir);
    return rc;
}

int ours_offline(const struct bench *bench, struct side *ret_side)
{
    struct ours *o = NULL;
    int rc = ours_new(bench, "a store", "ours", ret_side, &o);

    ret_side->turn = offline_turn;
    return rc;
}

/* ---- wake-ups ---- */

/* Our own sleep, and what the look costs, is one. A store that never woke counts as if it had once. */
static int idle_turn(void *state, struct score *ret_score)
{
    struct ours *o = state;
    int seconds = o->bench->quick ? IDLE_QUICK_S : IDLE_S;
    uint64_t before = process_sleeps();
    double started_s = bench_now_s();

    (void)poll(NULL, 0, seconds * 1000);
    ret_score->value = max_of((double)(process_sleeps() - before) - 1, 1) / (bench_now_s() - started_s);
    return wait_online(o);
}

int ours_idle(const struct bench *bench, struct redis *redis, struct side *ret_side)
{
    struct ours *o = NULL;
    int rc = ours_new(bench, "a store", "ours", ret_side, &o);

    if (rc != 0)
        return rc;
    ret_side->turn = idle_turn;
    rc = open_store(o, &(struct hf_options){.redis = redis_address(redis)});
    if (rc == 0)
        rc = load(o, OURS_FEW_KEYS, 0);
    if (rc == 0)
        rc = wait_online(o);
    (void)poll(NULL, 0, REST_MS);
    return rc;
}
