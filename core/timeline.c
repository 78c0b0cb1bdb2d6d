/* The store's time, and the machine's clocks behind it. */
#include "timeline.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define EARLIEST_MS 1577836800000ll /* 2020: a machine's clock before it was never set */
#define LATEST_MS 253402300800000ll /* the year 10000: no clock says this */
#define RESTART_MS 1000             /* the clock that runs while a machine is off counts seconds */

/* ---- past times ---- */

/* What was noted up to now is that much less certain. */
static void blur(struct hf_timeline *t, int64_t ms)
{
    for (size_t i = 0; i < t->n_stretches; i++)
        t->stretches[i].uncertainty_ms += ms;
}

/* A stretch begins. Without room the two oldest become one. */
static void add_stretch(struct hf_timeline *t, int64_t from_ms)
{
    struct hf_stretch *s = t->stretches;

    if (t->n_stretches == HF_STRETCHES_MAX) {
        if (s[1].uncertainty_ms > s[0].uncertainty_ms)
            s[0].uncertainty_ms = s[1].uncertainty_ms;
        t->n_stretches--;
        memmove(s + 1, s + 2, (t->n_stretches - 1) * sizeof(*s));
    }
    s[t->n_stretches++] = (struct hf_stretch){.from_ms = from_ms};
}

/* Of the clock that ran meanwhile: the wall clock went on from where it was when the timeline was last saved. */
static int64_t restart_uncertainty_ms(const struct hf_timeline *t, int64_t off_ms)
{
    return t->gap_ms + RESTART_MS + hf__clock_drift_ms(off_ms);
}

int64_t hf__timeline_uncertainty_ms(struct hf_timeline *t, int64_t made_ms)
{
    int64_t uncertainty_ms = HF_TIME_UNCERTAIN_MS;
    size_t i;

    pthread_mutex_lock(&t->mutex);
    if (!atomic_load(&t->unknown)) {
        for (i = t->n_stretches - 1; i > 0 && t->stretches[i].from_ms > made_ms; i--)
            ;
        uncertainty_ms = t->stretches[i].uncertainty_ms + hf__clock_drift_ms(hf__timeline_now_ms(t) - made_ms);
    }
    pthread_mutex_unlock(&t->mutex);
    return uncertainty_ms < HF_TIME_UNCERTAIN_MS ? uncertainty_ms : HF_TIME_UNCERTAIN_MS;
}

/* ---- starting ---- */

static const char *boot_id_of(struct hf_clock *clock)
{
    return clock->boot_id ? clock->boot_id(clock) : "";
}

static bool is_this_boot(struct hf_clock *clock, const struct hf_timeline_saved *saved)
{
    const char *id = boot_id_of(clock);

    return id[0] && strcmp(id, saved->boot_id) == 0 && clock->boot_ms(clock) >= saved->boot_ms;
}

static void take_saved(struct hf_timeline *t, const struct hf_timeline_saved *saved)
{
    t->shared.known = saved->has_offset;
    t->shared.best = saved->offset;
    t->gap_ms = saved->gap_ms;
    t->n_stretches = saved->n_stretches;
    memcpy(t->stretches, saved->stretches, sizeof(t->stretches));
    if (t->n_stretches == 0)
        add_stretch(t, 0); /* what was noted before anything was saved */
}

/* The machine was off, for so long. */
static void note_restart(struct hf_timeline *t, int64_t off_ms, bool was_unknown)
{
    struct hf_stretch *last = &t->stretches[t->n_stretches - 1];
    int64_t restart_ms = restart_uncertainty_ms(t, off_ms);
    int64_t last_ms = last->uncertainty_ms + off_ms;

    blur(t, restart_ms);
    t->shared.best.uncertainty_ms += restart_ms;
    if (was_unknown && last_ms > last->uncertainty_ms) /* what was noted then was too early by up to this */
        last->uncertainty_ms = last_ms;
}

/* Another boot: only the wall clock can tell how long the machine was off. */
static void start_anew(struct hf_timeline *t, const struct hf_timeline_saved *saved)
{
    int64_t wall_ms = t->clock->wall_ms(t->clock);
    bool known = wall_ms >= EARLIEST_MS && wall_ms >= saved->time_ms;
    int64_t now_ms = wall_ms > saved->time_ms ? wall_ms : saved->time_ms;

    if (known)
        note_restart(t, now_ms - saved->time_ms, saved->unknown);
    if (known || !saved->unknown)
        add_stretch(t, now_ms);
    atomic_store(&t->ahead_ms, now_ms - t->clock->boot_ms(t->clock));
    atomic_store(&t->unknown, !known);
    atomic_store(&t->unsaved, true);
}

void hf__timeline_start(struct hf_timeline *t, struct hf_clock *clock, const struct hf_timeline_saved *saved)
{
    *t = (struct hf_timeline){.clock = clock};
    pthread_mutex_init(&t->mutex, NULL);
    take_saved(t, saved);
    t->continued = is_this_boot(clock, saved);
    if (t->continued) {
        atomic_store(&t->ahead_ms, saved->time_ms - saved->boot_ms);
        atomic_store(&t->unknown, saved->unknown);
    } else {
        start_anew(t, saved);
    }
}

void hf__timeline_release(struct hf_timeline *t)
{
    if (t->clock)
        pthread_mutex_destroy(&t->mutex);
}

void hf__timeline_note_recorded(struct hf_timeline *t, int64_t recorded_ms)
{
    int64_t forward_ms = recorded_ms - hf__timeline_now_ms(t);

    if (forward_ms <= 0)
        return;
    pthread_mutex_lock(&t->mutex);
    atomic_fetch_add(&t->ahead_ms, forward_ms);
    t->stretches[t->n_stretches - 1].from_ms = recorded_ms;
    if (!t->continued)
        atomic_store(&t->unknown, true);
    atomic_store(&t->unsaved, true);
    pthread_mutex_unlock(&t->mutex);
}

/* ---- saving ---- */

void hf__timeline_save(struct hf_timeline *t, struct hf_timeline_saved *ret_saved)
{
    int64_t wall_ms = t->clock->wall_ms(t->clock);

    pthread_mutex_lock(&t->mutex);
    atomic_store(&t->unsaved, false);
    *ret_saved = (struct hf_timeline_saved){
        .boot_ms = t->clock->boot_ms(t->clock),
        .unknown = atomic_load(&t->unknown),
        .has_offset = t->shared.known,
        .offset = t->shared.best,
        .n_stretches = (uint8_t)t->n_stretches,
    };
    ret_saved->time_ms = ret_saved->boot_ms + atomic_load(&t->ahead_ms);
    ret_saved->gap_ms = ret_saved->unknown ? t->gap_ms : llabs(ret_saved->time_ms - wall_ms);
    snprintf(ret_saved->boot_id, HF_BOOT_ID_MAX, "%s", boot_id_of(t->clock));
    memcpy(ret_saved->stretches, t->stretches, t->n_stretches * sizeof(*t->stretches));
    pthread_mutex_unlock(&t->mutex);
}

void hf__timeline_follow(struct hf_timeline *t, const struct hf_timeline_saved *saved)
{
    if (saved->unknown || !is_this_boot(t->clock, saved))
        return;
    pthread_mutex_lock(&t->mutex);
    if (saved->time_ms - saved->boot_ms > atomic_load(&t->ahead_ms))
        atomic_store(&t->ahead_ms, saved->time_ms - saved->boot_ms);
    take_saved(t, saved);
    atomic_store(&t->unknown, false);
    pthread_mutex_unlock(&t->mutex);
}

/* ---- the time ---- */

static int64_t at_boot_ms(const struct hf_timeline *t, int64_t boot_ms)
{
    return boot_ms + atomic_load(&t->ahead_ms);
}

int64_t hf__timeline_now_ms(const struct hf_timeline *t)
{
    return at_boot_ms(t, t->clock->boot_ms(t->clock));
}

/* The unknown time ends. What was noted in it was too early by as much as the timeline moves now; for what is older,
 * `past_ms` is known. With the mutex. */
static void make_known(struct hf_timeline *t, int64_t forward_ms, int64_t past_ms)
{
    int64_t in_it_ms = t->stretches[t->n_stretches - 1].uncertainty_ms + forward_ms;

    blur(t, past_ms);
    t->stretches[t->n_stretches - 1].uncertainty_ms = in_it_ms;
    atomic_fetch_add(&t->ahead_ms, forward_ms);
    add_stretch(t, hf__timeline_now_ms(t));
    t->shared.suspected = false;
    atomic_store(&t->unsaved, true);
    atomic_store(&t->unknown, false);
}

static void look_at_wall(struct hf_timeline *t)
{
    int64_t wall_ms = t->clock->wall_ms(t->clock);
    int64_t forward_ms = wall_ms - hf__timeline_now_ms(t);
    int64_t restart_ms = restart_uncertainty_ms(t, forward_ms);

    if (wall_ms < EARLIEST_MS || forward_ms < 0)
        return;
    make_known(t, forward_ms, restart_ms);
    t->shared.best.uncertainty_ms += restart_ms;
}

bool hf__timeline_is_unknown(struct hf_timeline *t)
{
    if (!atomic_load(&t->unknown))
        return false;
    pthread_mutex_lock(&t->mutex);
    if (atomic_load(&t->unknown))
        look_at_wall(t);
    pthread_mutex_unlock(&t->mutex);
    return atomic_load(&t->unknown);
}

/* ---- Redis's clock ---- */

/* In an unknown time Redis's clock is the better one: its offset from the timeline, as last known, says where the
 * timeline must be. Before any was known, the two are taken to be the same. */
static void settle_by_shared(struct hf_timeline *t, struct hf_clock_offset sample)
{
    const struct hf_clock_offset *best = &t->shared.best;
    int64_t forward_ms = sample.offset_ms - (t->shared.known ? best->offset_ms : 0);
    int64_t past_ms = llabs(forward_ms);

    if (forward_ms < 0)
        forward_ms = 0;
    else if (t->shared.known)
        past_ms = sample.uncertainty_ms + hf__clock_uncertainty_ms(best, sample.measured_ms + forward_ms);
    make_known(t, forward_ms, past_ms);
    sample.offset_ms -= forward_ms;
    sample.measured_ms += forward_ms;
    t->shared.best = sample;
    t->shared.known = true;
}

static bool take_sample(struct hf_timeline *t, const struct hf_clock_offset *sample)
{
    if (!atomic_load(&t->unknown))
        return hf__shared_clock_sample(&t->shared, sample);
    if (!hf__shared_clock_confirm(&t->shared, sample))
        return false;
    settle_by_shared(t, *sample);
    return true;
}

bool hf__timeline_sample(struct hf_timeline *t, int64_t redis_ms, int64_t asked_ms, int64_t answered_ms)
{
    struct hf_clock_offset sample;
    bool believed;

    if (redis_ms < 0 || redis_ms >= LATEST_MS || answered_ms < asked_ms)
        return false;
    pthread_mutex_lock(&t->mutex);
    sample = hf__clock_measure(redis_ms, at_boot_ms(t, asked_ms), at_boot_ms(t, answered_ms));
    believed = take_sample(t, &sample);
    pthread_mutex_unlock(&t->mutex);
    return believed;
}

bool hf__timeline_shared(struct hf_timeline *t, int64_t *ret_offset_ms, int64_t *ret_uncertainty_ms)
{
    bool known;

    pthread_mutex_lock(&t->mutex);
    known = t->shared.known && !atomic_load(&t->unknown);
    *ret_offset_ms = known ? t->shared.best.offset_ms : 0;
    *ret_uncertainty_ms = known ? hf__clock_uncertainty_ms(&t->shared.best, hf__timeline_now_ms(t)) : 0;
    pthread_mutex_unlock(&t->mutex);
    return known;
}

uint64_t hf__timeline_jumps(struct hf_timeline *t)
{
    uint64_t jumps;

    pthread_mutex_lock(&t->mutex);
    jumps = t->shared.jumps;
    pthread_mutex_unlock(&t->mutex);
    return jumps;
}

/* ---- the machine's clocks ---- */

static int64_t read_clock_ms(clockid_t id)
{
    struct timespec ts;

    clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int64_t real_wall_ms(struct hf_clock *clock)
{
    (void)clock;
    return read_clock_ms(CLOCK_REALTIME);
}

static int64_t real_boot_ms(struct hf_clock *clock)
{
    (void)clock;
    return read_clock_ms(CLOCK_BOOTTIME);
}

static char real_id[HF_BOOT_ID_MAX];

static void read_boot_id(void)
{
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, real_id, sizeof(real_id) - 1);

    if (fd >= 0)
        close(fd);
    real_id[n > 0 ? n : 0] = '\0';
    real_id[strcspn(real_id, "\n")] = '\0';
}

static const char *real_boot_id(struct hf_clock *clock)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    (void)clock;
    pthread_once(&once, read_boot_id);
    return real_id;
}

struct hf_clock *hf__clock_real(void)
{
    static struct hf_clock real = {.wall_ms = real_wall_ms, .boot_ms = real_boot_ms, .boot_id = real_boot_id};

    return &real;
}
