/* Liveness, readiness, start-up. */
#include "health.h"

#include <cjson/cJSON.h>
#include <fail.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define ROUND_TRIP_MIN_US 10 /* two system calls and two threads to wake take longer */

struct health {
    struct health_options options;
    _Atomic int64_t beat_us, latency_us; /* latency_us: -1: not known */
    _Atomic int64_t asked_us;            /* when the sign of life under way was asked for; 0: none is */
    atomic_bool started, stopping;
    pthread_t listener;
    bool has_listener;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool ends; /* under the lock */
};

static int64_t now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* ---- listening for Redis ---- */

/* Redis that does not answer in time is as slow as that. One that is away has no latency, and neither has one that was not asked,
 * because there is nothing to be heard from it: no answer comes as soon as that. */
static int64_t latency_of(const struct health *h, int rc, int64_t took_us)
{
    if (rc == HF_ETIMEOUT)
        return took_us;
    return rc == 0 && hf_is_online(h->options.store) && took_us >= ROUND_TRIP_MIN_US ? took_us : -1;
}

static void hear(struct health *h)
{
    int64_t start = now_us();
    int rc;

    atomic_store(&h->asked_us, start);
    rc = h->options.hear(h->options.store, HEALTH_HEAR_MAX_MS);
    atomic_store(&h->latency_us, latency_of(h, rc, now_us() - start));
    atomic_store(&h->asked_us, 0);
}

/* Returns false when the thread has to end. */
static bool pause_between(struct health *h)
{
    int64_t until = now_us() + (int64_t)h->options.hear_every_ms * 1000;
    struct timespec at = {.tv_sec = until / 1000000, .tv_nsec = until % 1000000 * 1000};
    int rc = 0;
    bool ends;

    pthread_mutex_lock(&h->lock);
    while (!h->ends && rc == 0)
        rc = pthread_cond_timedwait(&h->changed, &h->lock, &at);
    ends = h->ends;
    pthread_mutex_unlock(&h->lock);
    return !ends;
}

static void *listen_for_redis(void *ctx)
{
    struct health *h = ctx;

    do
        hear(h);
    while (pause_between(h));
    return NULL;
}

/* ---- starting and stopping ---- */

static void init_lock(struct health *h)
{
    pthread_condattr_t attributes;

    pthread_mutex_init(&h->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&h->changed, &attributes);
    pthread_condattr_destroy(&attributes);
}

int health_start(const struct health_options *options, struct health **ret_health)
{
    struct health *h = calloc(1, sizeof(*h));
    int error;

    if (!h)
        return hf__fail(HF_ENOMEM, "out of memory: health");
    h->options = *options;
    if (h->options.hear_every_ms == 0)
        h->options.hear_every_ms = HEALTH_HEAR_EVERY_MS;
    if (h->options.silence_max_ms == 0)
        h->options.silence_max_ms = HEALTH_SILENCE_MAX_MS;
    atomic_store(&h->beat_us, now_us());
    atomic_store(&h->latency_us, -1);
    init_lock(h);
    error = options->hear ? pthread_create(&h->listener, NULL, listen_for_redis, h) : 0;
    h->has_listener = options->hear && error == 0;
    if (error != 0) {
        health_stop(h);
        return hf__fail_errno(HF_ENOMEM, error, "no thread for the health of Redis");
    }
    *ret_health = h;
    return 0;
}

void health_stop(struct health *h)
{
    if (!h)
        return;
    pthread_mutex_lock(&h->lock);
    h->ends = true;
    pthread_cond_signal(&h->changed);
    pthread_mutex_unlock(&h->lock);
    if (h->has_listener)
        pthread_join(h->listener, NULL);
    pthread_cond_destroy(&h->changed);
    pthread_mutex_destroy(&h->lock);
    free(h);
}

/* ---- telling and asking ---- */

void health_beat(struct health *h)
{
    atomic_store_explicit(&h->beat_us, now_us(), memory_order_relaxed);
}

void health_set_started(struct health *h)
{
    atomic_store(&h->started, true);
}

void health_set_stopping(struct health *h)
{
    atomic_store(&h->stopping, true);
}

/* An answer that is overdue counts before it has come. */
int64_t health_latency_us(struct health *h)
{
    int64_t latency = atomic_load(&h->latency_us), asked = atomic_load(&h->asked_us);
    int64_t waited = asked == 0 ? 0 : now_us() - asked;

    return latency >= 0 && waited > latency ? waited : latency;
}

int64_t health_silence_ms(struct health *h)
{
    return (now_us() - atomic_load_explicit(&h->beat_us, memory_order_relaxed)) / 1000;
}

/* ---- the checks ---- */

enum verdict { HEALTHY, DEGRADED, UNHEALTHY };

static const char *const verdicts[] = {
    [HEALTHY] = "Healthy",
    [DEGRADED] = "Degraded",
    [UNHEALTHY] = "Unhealthy",
};

/* One answer being put together. */
struct report {
    struct health *health;
    bool has_status;
    struct hf_status status;
    char why[HF_ERRMSG_MAX]; /* the store could not tell its status */
    cJSON *json, *entries;
    bool failed;
    enum verdict worst;
};

static cJSON *begin(struct report *r, const char *name)
{
    return cJSON_AddObjectToObject(r->entries, name);
}

static void end(struct report *r, cJSON *entry, enum verdict verdict, const char *description)
{
    r->failed |= !cJSON_AddStringToObject(entry, "status", verdicts[verdict]) ||
                 !cJSON_AddStringToObject(entry, "description", description);
    if (verdict > r->worst)
        r->worst = verdict;
}

static void add_number(struct report *r, cJSON *entry, const char *name, double number)
{
    r->failed |= !cJSON_AddNumberToObject(entry, name, number);
}

static void add_bool(struct report *r, cJSON *entry, const char *name, bool yes)
{
    r->failed |= !cJSON_AddBoolToObject(entry, name, yes);
}

static void add_text(struct report *r, cJSON *entry, const char *name, const char *text)
{
    r->failed |= !cJSON_AddStringToObject(entry, name, text);
}

static void check_loop(struct report *r)
{
    int64_t silence_ms = health_silence_ms(r->health);
    cJSON *entry = begin(r, "self");

    add_number(r, entry, "loop.silence_ms", (double)silence_ms);
    if (silence_ms > r->health->options.silence_max_ms)
        end(r, entry, UNHEALTHY, "The loop has not turned for too long");
    else
        end(r, entry, HEALTHY, "The loop turns");
}

static void check_phase(struct report *r)
{
    cJSON *entry = begin(r, "phase");

    if (!atomic_load(&r->health->started))
        end(r, entry, UNHEALTHY, "Starting");
    else if (atomic_load(&r->health->stopping))
        end(r, entry, UNHEALTHY, "Stopping");
    else
        end(r, entry, HEALTHY, "Serving");
}

static bool is_connected(enum hf_link_state link)
{
    return link == HF_LINK_ONLINE || link == HF_LINK_REPLAYING || link == HF_LINK_CATCHING_UP ||
           link == HF_LINK_HELD;
}

static const char *mode_text(enum hf_link_state link)
{
    if (link == HF_LINK_DISABLED)
        return "local";
    return link == HF_LINK_ONLINE ? "distributed" : "local (fallback)";
}

static void add_link(struct report *r, cJSON *entry, int64_t latency_us)
{
    const struct hf_status *s = &r->status;

    add_bool(r, entry, "redis.configured", s->link != HF_LINK_DISABLED);
    add_bool(r, entry, "redis.connected", is_connected(s->link));
    if (latency_us >= 0 && is_connected(s->link))
        add_number(r, entry, "redis.latency_ms", (double)latency_us / 1000);
    add_text(r, entry, "stores.mode", mode_text(s->link));
    add_bool(r, entry, "stores.distributed", s->link == HF_LINK_ONLINE);
    add_text(r, entry, "link.state", hf_link_text(s->link));
    add_text(r, entry, "link.reason", s->link_reason);
    add_bool(r, entry, "link.paused", s->paused);
    add_number(r, entry, "pending.depth", (double)s->pending_keys);
    add_number(r, entry, "pending.bytes", (double)s->pending_bytes);
    add_number(r, entry, "pending.oldest_age_ms", (double)s->oldest_pending_ms);
}

/* Redis being slow or away never makes us unready: that is what we are for. */
static void end_link(struct report *r, cJSON *entry, int64_t latency_us)
{
    enum hf_link_state link = r->status.link;

    if (link == HF_LINK_DISABLED)
        end(r, entry, HEALTHY, "Redis is not configured: the store works alone");
    else if (r->status.paused)
        end(r, entry, DEGRADED, "The operator has paused sending to Redis");
    else if (link == HF_LINK_HELD)
        end(r, entry, DEGRADED, "The link to Redis is held until the operator decides");
    else if (!is_connected(link))
        end(r, entry, DEGRADED, "Redis is not connected: changes are kept here until it is back");
    else if (link != HF_LINK_ONLINE)
        end(r, entry, DEGRADED, "Redis is back: what it missed is being replayed");
    else if (latency_us > HEALTH_VERY_SLOW_MS * 1000)
        end(r, entry, DEGRADED, "Redis is very slow: more than 1000 ms for a sign of life");
    else if (latency_us > HEALTH_SLOW_MS * 1000)
        end(r, entry, DEGRADED, "Redis is slow: more than 100 ms for a sign of life");
    else
        end(r, entry, HEALTHY, "Redis is connected");
}

static void check_redis(struct report *r)
{
    int64_t latency_us = health_latency_us(r->health);
    cJSON *entry;

    if (!r->has_status)
        return;
    entry = begin(r, "redisStores");
    add_link(r, entry, latency_us);
    end_link(r, entry, latency_us);
}

static void check_store(struct report *r)
{
    const struct hf_status *s = &r->status;
    cJSON *entry = begin(r, "store");

    if (!r->has_status) {
        end(r, entry, UNHEALTHY, r->why);
        return;
    }
    add_bool(r, entry, "store.stopped", s->stopped);
    add_number(r, entry, "store.keys", (double)s->keys);
    add_number(r, entry, "store.conflicts", (double)s->conflicts);
    add_number(r, entry, "store.parked", (double)s->parked);
    add_number(r, entry, "disk.used_bytes", (double)s->disk_used_bytes);
    add_number(r, entry, "disk.limit_bytes", (double)s->max_disk_bytes);
    if (s->stopped)
        end(r, entry, UNHEALTHY, "A sync failed: the store takes no writes until it is opened again");
    else if (s->disk_used_bytes / HEALTH_DISK_PERCENT >= s->max_disk_bytes / 100)
        end(r, entry, DEGRADED, "The local tier is nearly full");
    else
        end(r, entry, HEALTHY, "The store takes writes");
}

/* ---- the answer ---- */

static void look_at_store(struct report *r)
{
    r->has_status = hf_status(r->health->options.store, &r->status) == 0;
    if (!r->has_status)
        snprintf(r->why, sizeof(r->why), "%s", hf_errmsg());
}

/* Liveness asks nothing that could wait for the store. */
static void check(struct report *r, enum health_question question)
{
    check_loop(r);
    if (question == HEALTH_LIVE)
        return;
    check_phase(r);
    look_at_store(r);
    check_store(r);
    check_redis(r);
}

/* Start-up is over for good once the listeners are open. */
static enum verdict verdict_of(const struct report *r, enum health_question question)
{
    if (question == HEALTH_STARTUP)
        return atomic_load(&r->health->started) ? HEALTHY : UNHEALTHY;
    return r->worst;
}

static int print(struct report *r, enum verdict verdict, bool whole, struct hf_bytes *json)
{
    char *text = NULL;
    int rc = HF_ENOMEM;

    if (!whole)
        cJSON_DeleteItemFromObject(r->json, "entries");
    if (!r->failed && cJSON_AddStringToObject(r->json, "status", verdicts[verdict]))
        text = cJSON_PrintUnformatted(r->json);
    if (text)
        rc = hf__bytes_append(json, text, strlen(text));
    cJSON_free(text);
    return rc;
}

int health_ask(struct health *health, enum health_question question, bool whole, struct hf_bytes *ret_json)
{
    struct report r = {.health = health, .json = cJSON_CreateObject()};
    enum verdict verdict;
    int rc;

    r.entries = cJSON_AddObjectToObject(r.json, "entries");
    check(&r, question);
    verdict = verdict_of(&r, question);
    rc = print(&r, verdict, whole, ret_json);
    cJSON_Delete(r.json);
    if (rc != 0)
        return hf__fail(HF_ENOMEM, "out of memory: the answer to a question about health");
    return verdict != UNHEALTHY;
}
