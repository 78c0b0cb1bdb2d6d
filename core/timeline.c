/* The store's time, and the machine's clocks behind it. */
#include "timeline.h"

#include <time.h>

void hf__timeline_start(struct hf_timeline *timeline, struct hf_clock *clock, int64_t persisted_ms)
{
    int64_t wall = clock->wall_ms(clock);

    timeline->clock = clock;
    timeline->boot_base_ms = clock->boot_ms(clock);
    timeline->base_ms = wall > persisted_ms ? wall : persisted_ms;
}

int64_t hf__timeline_from_boot_ms(const struct hf_timeline *timeline, int64_t boot_ms)
{
    return timeline->base_ms + (boot_ms - timeline->boot_base_ms);
}

int64_t hf__timeline_now_ms(const struct hf_timeline *timeline)
{
    return hf__timeline_from_boot_ms(timeline, timeline->clock->boot_ms(timeline->clock));
}

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

struct hf_clock *hf__clock_real(void)
{
    static struct hf_clock real = {.wall_ms = real_wall_ms, .boot_ms = real_boot_ms};

    return &real;
}
