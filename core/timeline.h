/* The store's own time: milliseconds since 1970 that run with CLOCK_BOOTTIME and never go backwards, also not over a
 * restart. Deadlines live on it; at the boundary to Redis they are converted by a measured offset. */
#ifndef HF_TIMELINE_H
#define HF_TIMELINE_H

#include "clock.h"

#include <stdatomic.h>

struct hf_timeline {
    struct hf_clock *clock;
    int64_t boot_base_ms; /* CLOCK_BOOTTIME at open */
    int64_t base_ms;      /* the timeline at open */
};

/* Start at the wall clock's time, but not before `persisted_ms`, the latest time that this store has recorded. */
void hf__timeline_start(struct hf_timeline *timeline, struct hf_clock *clock, int64_t persisted_ms);
int64_t hf__timeline_now_ms(const struct hf_timeline *timeline);
/* A time of the boot clock on the timeline. */
int64_t hf__timeline_from_boot_ms(const struct hf_timeline *timeline, int64_t boot_ms);

/* The one rule for expiry, used by get, exists, scan, counts and the sweeper. */
static inline int hf__is_expired(int64_t deadline_ms, int64_t now_ms)
{
    return deadline_ms != 0 && deadline_ms <= now_ms;
}

#endif
