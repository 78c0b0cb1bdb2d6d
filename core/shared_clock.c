/* The estimate of Redis's clock. One wild answer changes nothing: what it would move could not be moved back. */
#include "shared_clock.h"

#include <stdlib.h>

#define DRIFT_PARTS 10000 /* 1 / 100 ppm */

int64_t hf__clock_drift_ms(int64_t age_ms)
{
    return (llabs(age_ms) + DRIFT_PARTS - 1) / DRIFT_PARTS;
}

struct hf_clock_offset hf__clock_measure(int64_t redis_ms, int64_t asked_ms, int64_t answered_ms)
{
    int64_t round_trip_ms = answered_ms - asked_ms;
    int64_t middle_ms = asked_ms + round_trip_ms / 2;

    return (struct hf_clock_offset){
        .offset_ms = redis_ms - middle_ms,
        .uncertainty_ms = (round_trip_ms + 1) / 2 + 1,
        .measured_ms = middle_ms,
    };
}

int64_t hf__clock_uncertainty_ms(const struct hf_clock_offset *offset, int64_t now_ms)
{
    return offset->uncertainty_ms + hf__clock_drift_ms(now_ms - offset->measured_ms);
}

/* Both uncertainties, when the later one was measured. */
static int64_t tolerance_ms(const struct hf_clock_offset *a, const struct hf_clock_offset *b)
{
    int64_t now_ms = a->measured_ms > b->measured_ms ? a->measured_ms : b->measured_ms;

    return hf__clock_uncertainty_ms(a, now_ms) + hf__clock_uncertainty_ms(b, now_ms);
}

static int64_t distance_ms(const struct hf_clock_offset *a, const struct hf_clock_offset *b)
{
    return llabs(a->offset_ms - b->offset_ms);
}

bool hf__clock_agree(const struct hf_clock_offset *a, const struct hf_clock_offset *b)
{
    int64_t apart_ms = distance_ms(a, b);

    return apart_ms <= HF_CLOCK_JUMP_MS || apart_ms <= tolerance_ms(a, b);
}

static void believe(struct hf_shared_clock *clock, const struct hf_clock_offset *sample)
{
    clock->best = *sample;
    clock->known = true;
    clock->suspected = false;
}

bool hf__shared_clock_confirm(struct hf_shared_clock *clock, const struct hf_clock_offset *sample)
{
    bool confirmed = clock->suspected && hf__clock_agree(&clock->suspect, sample);

    clock->suspect = *sample;
    clock->suspected = !confirmed;
    return confirmed;
}

/* With nothing known before, the own clock speaks for an answer that is near it. */
static bool may_begin_with(struct hf_shared_clock *clock, const struct hf_clock_offset *sample)
{
    struct hf_clock_offset own = {.measured_ms = sample->measured_ms};

    return hf__clock_agree(&own, sample) || hf__shared_clock_confirm(clock, sample);
}

bool hf__shared_clock_sample(struct hf_shared_clock *clock, const struct hf_clock_offset *sample)
{
    if (!clock->known) {
        if (!may_begin_with(clock, sample))
            return false;
        believe(clock, sample);
    } else if (!hf__clock_agree(&clock->best, sample)) {
        if (!hf__shared_clock_confirm(clock, sample))
            return false;
        clock->jumps++;
        believe(clock, sample);
    } else if (sample->uncertainty_ms < hf__clock_uncertainty_ms(&clock->best, sample->measured_ms) ||
               distance_ms(&clock->best, sample) > tolerance_ms(&clock->best, sample)) {
        believe(clock, sample);
    }
    clock->suspected = false;
    return true;
}
