/* Writes of one call on their way through the store: submitted together, and answered when all have ended. For space.c; handlers use
 * space.h. */
#ifndef SIDECAR_WRITING_H
#define SIDECAR_WRITING_H

#include "space.h"

/* On the loop: submit, and reply when the store has told the end. In a worker: wait for it. Takes over the bytes of `answer`. */
void writing_begin(struct call *call, const struct hf_op *ops, size_t n, enum space_unity unity,
                   struct reply *answer);
/* The same for operations of one namespace, together, of which the last increment's sum is put into the answer at `sum_at`. */
void writing_begin_sum(struct call *call, const struct hf_op *ops, size_t n, struct reply *answer, size_t sum_at);

#endif
