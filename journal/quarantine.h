/* Copies of damaged segments, kept for the operator. */
#ifndef HF_QUARANTINE_H
#define HF_QUARANTINE_H

#include "recover.h"

/* Copy every damaged segment that recovery found to `quarantine_dir`, whole or not at all; one that is there already is
 * left alone. When it fails, nothing may overwrite the evidence. */
int hf__quarantine_damaged(struct hf_file_layer *fs, int dir, int quarantine_dir, const struct hf_recovery *r);

#endif
