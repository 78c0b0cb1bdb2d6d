/* What is done in each part of the job: lists of operations that are a pure function of the data, so that the job
 * and the writers it starts, and kills, agree on them without talking.
 *
 * Within a plan no key has two operations, counters apart. Hence the operations that were not acknowledged when a
 * writer was killed can be done again in any order, except increments. */
#ifndef MAINJOB_PLAN_H
#define MAINJOB_PLAN_H

#include "records.h"

#include <holdfast.h>

enum plan_part {
    PLAN_IMPORT,  /* every record; a part with deadlines */
    PLAN_ONLINE,  /* overwrites and increments with Redis there */
    PLAN_OUTAGE,  /* the first half of the outage: everything at once */
    PLAN_OUTAGE2, /* the second: changes of what the first one changed */
};

struct plan_op {
    enum hf_op_kind kind;
    char *key;
    char *value;         /* HF_OP_SET */
    int64_t deadline_ms; /* HF_OP_SET, HF_OP_EXPIRE_AT; 0: none */
    int64_t delta;       /* HF_OP_INCR, positive */
};

struct plan {
    struct plan_op *ops;
    size_t n;
};

/* `start_ms` (since 1970) is what deadlines count from. 0, or -1 out of memory. */
int plan_make(enum plan_part part, const struct records *records, int64_t start_ms, struct plan *ret_plan);
void plan_release(struct plan *plan);

/* The short deadlines of PLAN_OUTAGE lie this long after its start. */
#define PLAN_SHORT_MS 3000

#endif
