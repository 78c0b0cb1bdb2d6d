/* How the link and what waits for it went. */
#include "history.h"

#include <fail.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define ATTEMPT_MAX 2 /* connecting, catching up */

struct sample {
    int64_t at_ms;
    struct hf_pulse pulse;
};

struct history {
    struct hf *store;
    int every_ms;
    pthread_t thread;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t changed;
    bool ends;
    struct sample samples[HISTORY_SAMPLES]; /* a ring, as the next */
    struct hf_link_change changes[HISTORY_CHANGES];
    uint64_t n_samples, n_changes;              /* since the start */
    uint64_t next_change;                       /* the number of the first one that was not looked at */
    struct hf_link_change attempt[ATTEMPT_MAX]; /* to come back, which may end where it has begun */
    unsigned n_attempt;
};

/* ---- sampling ---- */

static void keep(struct history *h, const struct hf_link_change *change)
{
    h->changes[h->n_changes++ % HISTORY_CHANGES] = *change;
}

static void keep_attempt(struct history *h)
{
    for (unsigned i = 0; i < h->n_attempt; i++)
        keep(h, &h->attempt[i]);
    h->n_attempt = 0;
}

/* The state that the last change kept has led to; without one, none that a change could lead to. */
static enum hf_link_state kept_state(const struct history *h)
{
    return h->n_changes > 0 ? h->changes[(h->n_changes - 1) % HISTORY_CHANGES].link : HF_LINK_DISABLED;
}

static bool is_way_back(const struct history *h, enum hf_link_state link)
{
    enum hf_link_state from = kept_state(h);

    return (from == HF_LINK_OFFLINE || from == HF_LINK_HELD) && h->n_attempt < ATTEMPT_MAX &&
           (link == HF_LINK_CONNECTING || link == HF_LINK_CATCHING_UP);
}

/* An attempt to come back that ends where it has begun is no change: it is made every few seconds. */
static int take_change(void *ctx, const struct hf_link_change *change)
{
    struct history *h = ctx;

    h->next_change = change->number + 1;
    if (is_way_back(h, change->link)) {
        h->attempt[h->n_attempt++] = *change;
    } else if (h->n_attempt > 0 && change->link == kept_state(h)) {
        h->n_attempt = 0;
    } else {
        keep_attempt(h);
        keep(h, change);
    }
    return 0;
}

/* An attempt that takes longer is to be seen. */
static void sample(struct history *h)
{
    struct sample sample = {.at_ms = hf_now_ms(h->store)};

    pthread_mutex_lock(&h->lock);
    (void)hf_link_changes(h->store, h->next_change, take_change, h); /* fails when the store closes, as the next */
    if (h->n_attempt > 0 && sample.at_ms - h->attempt[0].at_ms >= h->every_ms)
        keep_attempt(h);
    if (hf_pulse(h->store, &sample.pulse) == 0)
        h->samples[h->n_samples++ % HISTORY_SAMPLES] = sample;
    pthread_mutex_unlock(&h->lock);
}

static void add_ms(struct timespec *at, int ms)
{
    at->tv_sec += ms / 1000;
    at->tv_nsec += ms % 1000 * 1000000;
    if (at->tv_nsec >= 1000000000) {
        at->tv_sec++;
        at->tv_nsec -= 1000000000;
    }
}

/* Returns false when the thread has to end. */
static bool pause_until(struct history *h, const struct timespec *at)
{
    int rc = 0;
    bool ends;

    pthread_mutex_lock(&h->lock);
    while (!h->ends && rc == 0)
        rc = pthread_cond_timedwait(&h->changed, &h->lock, at);
    ends = h->ends;
    pthread_mutex_unlock(&h->lock);
    return !ends;
}

/* From one point in time to the next, so that the pace does not depend on how long a sample takes. */
static void *run(void *ctx)
{
    struct history *h = ctx;
    struct timespec at;

    clock_gettime(CLOCK_MONOTONIC, &at);
    do {
        sample(h);
        add_ms(&at, h->every_ms);
    } while (pause_until(h, &at));
    return NULL;
}

/* ---- starting and stopping ---- */

static void init_locks(struct history *h)
{
    pthread_condattr_t attributes;

    pthread_mutex_init(&h->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&h->changed, &attributes);
    pthread_condattr_destroy(&attributes);
}

static void release(struct history *h)
{
    pthread_cond_destroy(&h->changed);
    pthread_mutex_destroy(&h->lock);
    free(h);
}

int history_start(struct hf *store, int every_ms, struct history **ret_history)
{
    struct history *h = calloc(1, sizeof(*h));
    int error;

    if (!h)
        return hf__fail(HF_ENOMEM, "out of memory: the history");
    h->store = store;
    h->every_ms = every_ms ? every_ms : HISTORY_EVERY_MS;
    init_locks(h);
    error = pthread_create(&h->thread, NULL, run, h);
    if (error != 0) {
        release(h);
        return hf__fail_errno(HF_ENOMEM, error, "no thread for the history");
    }
    *ret_history = h;
    return 0;
}

void history_stop(struct history *h)
{
    if (!h)
        return;
    pthread_mutex_lock(&h->lock);
    h->ends = true;
    pthread_cond_signal(&h->changed);
    pthread_mutex_unlock(&h->lock);
    pthread_join(h->thread, NULL);
    release(h);
}

/* ---- telling ---- */

static void write_sample(const struct sample *s, struct json *json)
{
    json_begin(json, '[');
    json_integer(json, s->at_ms);
    json_unsigned(json, s->pulse.pending);
    json_unsigned(json, s->pulse.shared_ops);
    json_unsigned(json, s->pulse.replayed_ops);
    json_text(json, hf_link_text(s->pulse.link));
    json_end(json, ']');
}

static void write_change(const struct hf_link_change *change, struct json *json)
{
    json_begin(json, '{');
    json_add_unsigned(json, "number", change->number);
    json_add_integer(json, "at_ms", change->at_ms);
    json_add_text(json, "from", hf_link_text(change->from));
    json_add_text(json, "state", hf_link_text(change->link));
    json_add_text(json, "reason", change->reason);
    json_end(json, '}');
}

static uint64_t first_of(uint64_t n, uint64_t kept)
{
    return n > kept ? n - kept : 0;
}

void history_write(struct history *h, int64_t since_ms, uint64_t after, struct json *json)
{
    pthread_mutex_lock(&h->lock);
    json_add_integer(json, "every_ms", h->every_ms);
    json_add_integer(json, "now_ms", hf_now_ms(h->store));
    json_name(json, "samples");
    json_begin(json, '[');
    for (uint64_t i = first_of(h->n_samples, HISTORY_SAMPLES); i < h->n_samples; i++) {
        if (h->samples[i % HISTORY_SAMPLES].at_ms > since_ms)
            write_sample(&h->samples[i % HISTORY_SAMPLES], json);
    }
    json_end(json, ']');
    json_name(json, "changes");
    json_begin(json, '[');
    for (uint64_t i = first_of(h->n_changes, HISTORY_CHANGES); i < h->n_changes; i++) {
        if (h->changes[i % HISTORY_CHANGES].number > after)
            write_change(&h->changes[i % HISTORY_CHANGES], json);
    }
    json_end(json, ']');
    pthread_mutex_unlock(&h->lock);
}
