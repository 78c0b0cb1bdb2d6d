/* What is told to whoever asks whether this process lives, has started, and should get work (docs/health.md).
 *
 * A thread of its own asks Redis for a sign of life every second, so that no answer has to wait for Redis. */
#ifndef SIDECAR_HEALTH_H
#define SIDECAR_HEALTH_H

#include "bytes.h"

struct health;

#define HEALTH_SLOW_MS 100          /* the latency from which Redis counts as slow: degraded */
#define HEALTH_VERY_SLOW_MS 1000    /* ... and as very slow: degraded, and said so */
#define HEALTH_SILENCE_MAX_MS 10000 /* a loop that has not turned for longer is stuck: not alive */
#define HEALTH_HEAR_EVERY_MS 1000
#define HEALTH_HEAR_MAX_MS 1500 /* for a sign of life; more than HEALTH_VERY_SLOW_MS */
#define HEALTH_DISK_PERCENT 95  /* of the local tier's bound: degraded from here on */

struct health_options {
    struct hf *store; /* stays until health_stop() */
    /* Wait for a sign of life of Redis: hf_hear. NULL: there is no Redis. */
    int (*hear)(struct hf *store, int timeout_ms);
    int hear_every_ms;      /* 0: HEALTH_HEAR_EVERY_MS */
    int64_t silence_max_ms; /* 0: HEALTH_SILENCE_MAX_MS */
};

int health_start(const struct health_options *options, struct health **ret_health);
/* Ends the thread, which takes at most HEALTH_HEAR_MAX_MS. Accepts NULL. */
void health_stop(struct health *health);

/* ---- what the loop thread tells ---- */

/* The loop has turned. Once a second is enough. */
void health_beat(struct health *health);
/* The listeners are open. */
void health_set_started(struct health *health);
/* No new clients are taken: readiness ends, and life goes on. */
void health_set_stopping(struct health *health);

/* ---- asking: on any thread ---- */

int64_t health_latency_us(struct health *health); /* -1: not known */
int64_t health_silence_ms(struct health *health); /* since the loop last turned */

enum health_question { HEALTH_LIVE, HEALTH_READY, HEALTH_STARTUP };

/* Append the answer as JSON; only "status" unless `whole`. Returns 1 for yes (healthy or degraded), 0 for no, or HF_ENOMEM. */
int health_ask(struct health *health, enum health_question question, bool whole, struct hf_bytes *ret_json);

#endif
