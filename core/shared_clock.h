/* Redis's clock as seen from the store's timeline: the offset that answers to TIME measure, and how far it may be off.
 * No I/O: every time is a parameter, on the timeline. */
#ifndef HF_SHARED_CLOCK_H
#define HF_SHARED_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#define HF_CLOCK_JUMP_MS 1000 /* a sample that would move the offset further needs a second one that agrees */

/* One measurement. */
struct hf_clock_offset {
    int64_t offset_ms;      /* Redis's clock minus the timeline */
    int64_t uncertainty_ms; /* when it was measured; it grows with age */
    int64_t measured_ms;
};

/* Zeroed: nothing is known. */
struct hf_shared_clock {
    bool known, suspected;
    struct hf_clock_offset best;    /* what is believed */
    struct hf_clock_offset suspect; /* what the last sample said, when it was not believed */
    uint64_t jumps;                 /* times that a second sample confirmed a jump */
};

/* How far two clocks may drift apart in this time: 100 ppm, rounded up. */
int64_t hf__clock_drift_ms(int64_t age_ms);
/* What an answer to TIME says: half the round trip, and a millisecond for the rounding of both clocks. */
struct hf_clock_offset hf__clock_measure(int64_t redis_ms, int64_t asked_ms, int64_t answered_ms);
int64_t hf__clock_uncertainty_ms(const struct hf_clock_offset *offset, int64_t now_ms);
/* The two may be the same clock: nearer than HF_CLOCK_JUMP_MS, or than both uncertainties. */
bool hf__clock_agree(const struct hf_clock_offset *a, const struct hf_clock_offset *b);

/* Take a sample in. The first is believed when it agrees with the timeline itself. A better one replaces what is believed, and
 * so does one that shows it wrong by less than a jump. Returns false while the sample is not believed: another one decides. */
bool hf__shared_clock_sample(struct hf_shared_clock *clock, const struct hf_clock_offset *sample);
/* Whether the sample agrees with one that was not believed before; if not, it takes its place. */
bool hf__shared_clock_confirm(struct hf_shared_clock *clock, const struct hf_clock_offset *sample);

#endif
