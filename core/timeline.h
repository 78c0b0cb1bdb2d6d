/* The store's own time: milliseconds since 1970 that run with CLOCK_BOOTTIME and never go backwards, also not over a
 * restart. Deadlines live on it; at the boundary to Redis they are converted by a measured offset.
 *
 *            opened in the boot that saved it ──► goes on exactly by the boot clock, known or unknown as it was
 *   closed ──┤ the wall clock is at or after all that was recorded ──► KNOWN, from the wall clock
 *            └ it is before that, or before 2020 ──► UNKNOWN, from the last time recorded
 *
 *   UNKNOWN ──two answers of Redis agree, or the wall clock was set right──► moved forward once ──► KNOWN
 *
 * While it is unknown, the true time is this one or a later one. */
#ifndef HF_TIMELINE_H
#define HF_TIMELINE_H

#include "clock.h"
#include "shared_clock.h"

#include <pthread.h>
#include <stdatomic.h>

#define HF_STRETCHES_MAX 8
#define HF_TIME_UNCERTAIN_MS (100ll * 366 * 24 * 3600 * 1000) /* nothing is known: a hundred years */

/* Times from here to the next stretch were noted while the timeline ran undisturbed. */
struct hf_stretch {
    int64_t from_ms;
    int64_t uncertainty_ms; /* of these times, seen from now, but for drift */
};

/* What a checkpoint keeps of it. Zeroed: nothing was ever kept. */
struct hf_timeline_saved {
    int64_t time_ms; /* the timeline ... */
    int64_t boot_ms; /* ... and at the same moment the boot clock */
    int64_t gap_ms;  /* between the timeline and the wall clock */
    char boot_id[HF_BOOT_ID_MAX];
    bool unknown;
    bool has_offset;
    struct hf_clock_offset offset;
    uint8_t n_stretches;
    struct hf_stretch stretches[HF_STRETCHES_MAX]; /* oldest first */
};

struct hf_timeline {
    struct hf_clock *clock;
    _Atomic int64_t ahead_ms; /* the timeline minus the boot clock; it only grows */
    _Atomic bool unknown;
    _Atomic bool unsaved; /* it was moved since it was last saved */
    pthread_mutex_t mutex;
    /* mutex */
    bool continued; /* by the boot clock, from what was saved */
    int64_t gap_ms; /* between the timeline and the wall clock, when it was last known before this boot */
    struct hf_shared_clock shared;
    struct hf_stretch stretches[HF_STRETCHES_MAX];
    size_t n_stretches;
};

/* Start anew or go on, as drawn above. */
void hf__timeline_start(struct hf_timeline *timeline, struct hf_clock *clock,
                        const struct hf_timeline_saved *saved);
void hf__timeline_release(struct hf_timeline *timeline); /* accepts one that was never started */
/* The journal holds this time: the timeline is not before it, and when it was, in another boot, it is unknown. */
void hf__timeline_note_recorded(struct hf_timeline *timeline, int64_t recorded_ms);
void hf__timeline_save(struct hf_timeline *timeline, struct hf_timeline_saved *ret_saved);
/* Another process has learned the time, in this boot: go on with what it saved. Otherwise nothing happens. */
void hf__timeline_follow(struct hf_timeline *timeline, const struct hf_timeline_saved *saved);

int64_t hf__timeline_now_ms(const struct hf_timeline *timeline);
/* Looks at the wall clock again when it is unknown. Ask before the time itself: then a time that goes with "known" is. */
bool hf__timeline_is_unknown(struct hf_timeline *timeline);
/* How far a past time may be off, seen from now; HF_TIME_UNCERTAIN_MS while the time is unknown. */
int64_t hf__timeline_uncertainty_ms(struct hf_timeline *timeline, int64_t made_ms);

/* Redis answered TIME; asked and answered on the boot clock. May end the unknown time. Returns false while the answer
 * is not believed: another one decides. */
bool hf__timeline_sample(struct hf_timeline *timeline, int64_t redis_ms, int64_t asked_ms, int64_t answered_ms);
/* What is believed of Redis's clock, now. False, with zeros, when nothing is known. */
bool hf__timeline_shared(struct hf_timeline *timeline, int64_t *ret_offset_ms, int64_t *ret_uncertainty_ms);
uint64_t hf__timeline_jumps(struct hf_timeline *timeline);

/* The one rule for expiry, used by get, exists, scan, counts and the sweeper. */
static inline int hf__is_expired(int64_t deadline_ms, int64_t now_ms)
{
    return deadline_ms != 0 && deadline_ms <= now_ms;
}

#endif
