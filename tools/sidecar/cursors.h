/* The cursors of SCAN: numbers that stand for the place where the next call begins.
 *
 * The table is bounded. When it is full, the cursor that was used longest ago goes, one that has been followed by another before
 * one that still waits for its client. A cursor that is not in the table (forgotten, forged, of another run of the process)
 * stands for the beginning: its scan sees keys twice, and misses none. */
#ifndef SIDECAR_CURSORS_H
#define SIDECAR_CURSORS_H

#include "bytes.h"

#define CURSORS_MAX 4096 /* 16 MiB, were all keys of the longest kind */

struct cursors;

/* `seed` makes the numbers of another run differ. NULL without memory. May be used by many threads. */
struct cursors *cursors_new(uint64_t seed);
void cursors_free(struct cursors *cursors); /* accepts NULL */

/* A number, never 0, for a place, which is copied. Returns 0 or HF_ENOMEM. */
int cursors_put(struct cursors *cursors, struct hf_slice place, uint64_t *ret_number);
/* The place of a number; empty: the beginning. `*ret_place` is the caller's. Returns 0 or HF_ENOMEM. */
int cursors_take(struct cursors *cursors, uint64_t number, struct hf_buf *ret_place);

#endif
