/* Looking at a journal from outside: one verdict per segment, for operators. */
#ifndef HF_INSPECT_H
#define HF_INSPECT_H

#include "recover.h"

/* Examine every segment in `dir` against what the local tier covers. `each` is called in order of segment number;
 * its non-zero return ends the walk and is returned. HF_ECORRUPT after the last callback when entries are lost. */
int hf__inspect(struct hf_file_layer *fs, int dir, uint64_t covered_lsn,
                int (*each)(void *ctx, const struct hf_journal_segment *segment), void *ctx);

#endif
