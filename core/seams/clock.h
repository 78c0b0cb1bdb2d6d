/* The seam to time: the only place where the engine reads a clock. */
#ifndef HF_CLOCK_H
#define HF_CLOCK_H

#include <stdint.h>

#define HF_BOOT_ID_MAX 40 /* with its NUL */

struct hf_clock {
    /* Milliseconds since 1970, of the wall clock; it may jump. Looked at when a store is opened in another boot, and
     * while the time is unknown. */
    int64_t (*wall_ms)(struct hf_clock *clock);
    /* Milliseconds of a clock that never jumps and counts suspension (CLOCK_BOOTTIME). */
    int64_t (*boot_ms)(struct hf_clock *clock);
    /* Names the boot that boot_ms counts from; "": not known, also when there is no such function. Never freed. */
    const char *(*boot_id)(struct hf_clock *clock);
};

/* The machine's clocks; never freed. */
struct hf_clock *hf__clock_real(void);

#endif
