/* The driver's lock is also what makes a request's results visible to the test: `done` notes, the test waits. */
#include "link_driver.h"

#include "fail.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

static int64_t clock_ms(clockid_t id)
{
    struct timespec now;

    clock_gettime(id, &now);
    return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

static int64_t wall_ms(struct hf_clock *clock)
{
    (void)clock;
    return clock_ms(CLOCK_REALTIME);
}

static int64_t boot_ms(struct hf_clock *clock)
{
    (void)clock;
    return clock_ms(CLOCK_BOOTTIME);
}

static struct hf_clock real_clock = {.wall_ms = wall_ms, .boot_ms = boot_ms};

/* ---- on the link thread ---- */

static void count(struct link_driver *d, int *counter)
{
    pthread_mutex_lock(&d->lock);
    (*counter)++;
    pthread_cond_broadcast(&d->changed);
    pthread_mutex_unlock(&d->lock);
}

static void on_connected(void *ctx, const struct hf_shared_hello *hello)
{
    struct link_driver *d = ctx;

    pthread_mutex_lock(&d->lock);
    d->hello = *hello;
    pthread_mutex_unlock(&d->lock);
    count(d, &d->n_connected);
}

static void on_lost(void *ctx, const struct hf_shared_error *error)
{
    struct link_driver *d = ctx;

    pthread_mutex_lock(&d->lock);
    d->lost = *error;
    pthread_mutex_unlock(&d->lock);
    count(d, &d->n_lost);
}

static void on_woken(void *ctx)
{
    struct link_driver *d = ctx;
    int (*job)(struct link_driver *, void *);
    int rc;

    pthread_mutex_lock(&d->lock);
    job = d->job;
    d->job = NULL;
    pthread_mutex_unlock(&d->lock);
    if (!job)
        return;
    rc = job(d, d->job_arg);
    pthread_mutex_lock(&d->lock);
    d->job_rc = rc;
    d->job_ran = true;
    pthread_cond_broadcast(&d->changed);
    pthread_mutex_unlock(&d->lock);
}

static void on_timer(void *ctx)
{
    (void)ctx;
}

static void on_clock(void *ctx, int64_t redis_ms, int64_t asked_ms, int64_t answered_ms)
{
    struct link_driver *d = ctx;

    (void)redis_ms;
    (void)asked_ms;
    (void)answered_ms;
    count(d, &d->n_times);
}

static void on_invalidated(void *ctx, const struct hf_slice *keys, size_t n)
{
    struct link_driver *d = ctx;

    d->told(d, keys, n);
}

static const struct hf_shared_handler deaf = {
    .connected = on_connected,
    .lost = on_lost,
    .woken = on_woken,
    .timer = on_timer,
    .clock = on_clock,
};

static const struct hf_shared_handler listening = {
    .connected = on_connected,
    .lost = on_lost,
    .woken = on_woken,
    .timer = on_timer,
    .clock = on_clock,
    .invalidated = on_invalidated,
};

void link_driver_note(struct link_driver *d)
{
    count(d, &d->n_done);
}

/* ---- on the test's thread ---- */

static struct timespec deadline(void)
{
    struct timespec at;

    clock_gettime(CLOCK_REALTIME, &at);
    at.tv_sec += LINK_DRIVER_WAIT_S;
    return at;
}

/* Wait, locked, until one of the counters has reached its number. */
static bool wait_either(struct link_driver *d, const int *a, int n_a, const int *b, int n_b)
{
    struct timespec at = deadline();

    while (*a < n_a && *b < n_b) {
        if (pthread_cond_timedwait(&d->changed, &d->lock, &at) != 0)
            return false;
    }
    return true;
}

static void wait_count(struct link_driver *d, const int *counter, int n)
{
    bool in_time;

    pthread_mutex_lock(&d->lock);
    in_time = wait_either(d, counter, n, counter, n);
    pthread_mutex_unlock(&d->lock);
    assert_true(in_time);
}

void link_driver_wait_done(struct link_driver *d, int n)
{
    wait_count(d, &d->n_done, n);
}

void link_driver_wait_lost(struct link_driver *d, int n)
{
    wait_count(d, &d->n_lost, n);
}

void link_driver_wait_times(struct link_driver *d, int n)
{
    wait_count(d, &d->n_times, n);
}

int link_driver_run(struct link_driver *d, int (*job)(struct link_driver *d, void *arg), void *arg)
{
    struct timespec at = deadline();
    bool ran;
    int rc;

    pthread_mutex_lock(&d->lock);
    d->job = job;
    d->job_arg = arg;
    d->job_ran = false;
    d->tier->ops->wake(d->tier);
    while (!d->job_ran && pthread_cond_timedwait(&d->changed, &d->lock, &at) == 0)
        ;
    ran = d->job_ran;
    rc = d->job_rc;
    pthread_mutex_unlock(&d->lock);
    assert_true(ran);
    return rc;
}

void link_driver_send(struct link_driver *d, int (*job)(struct link_driver *d, void *arg), void *request)
{
    int before;

    pthread_mutex_lock(&d->lock);
    before = d->n_done;
    pthread_mutex_unlock(&d->lock);
    if (link_driver_run(d, job, request) != 0)
        fail_msg("send: %s", hf_errmsg());
    link_driver_wait_done(d, before + 1);
}

static int job_connect(struct link_driver *d, void *arg)
{
    (void)arg;
    d->tier->ops->connect(d->tier);
    return 0;
}

bool link_driver_connects(struct link_driver *d)
{
    int connected, lost;
    bool in_time;

    pthread_mutex_lock(&d->lock);
    connected = d->n_connected;
    lost = d->n_lost;
    pthread_mutex_unlock(&d->lock);
    link_driver_run(d, job_connect, NULL);
    pthread_mutex_lock(&d->lock);
    in_time = wait_either(d, &d->n_connected, connected + 1, &d->n_lost, lost + 1);
    connected = d->n_connected - connected;
    pthread_mutex_unlock(&d->lock);
    assert_true(in_time);
    return connected > 0;
}

void link_driver_drive(struct link_driver *d, struct hf_shared_tier *tier,
                       void (*told)(struct link_driver *d, const struct hf_slice *keys, size_t n))
{
    *d = (struct link_driver){.tier = tier, .told = told};
    pthread_mutex_init(&d->lock, NULL);
    pthread_cond_init(&d->changed, NULL);
    assert_int_equal(tier->ops->start(tier, told ? &listening : &deaf, d), 0);
}

void link_driver_start(struct link_driver *d, const struct hf_redis_options *opts)
{
    struct hf_shared_tier *tier;

    if (hf__redis_new(opts, &real_clock, &tier) != 0)
        fail_msg("%s", hf_errmsg());
    link_driver_drive(d, tier, NULL);
}

void link_driver_stop(struct link_driver *d)
{
    d->tier->ops->stop(d->tier);
    pthread_mutex_destroy(&d->lock);
    pthread_cond_destroy(&d->changed);
}
