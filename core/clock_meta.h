/* What the local tier keeps of the time, byte by byte in docs/local-tier-format.md. */
#ifndef HF_CLOCK_META_H
#define HF_CLOCK_META_H

#include "local_tier.h"
#include "timeline.h"

/* What a snapshot holds; zeroes when it holds nothing. HF_ECORRUPT names what is wrong with it. */
int hf__clock_meta_read(const struct hf_local_tier *tier, struct hf_local_snap *snap,
                        struct hf_timeline_saved *ret_saved);
/* Save the timeline as of now. */
int hf__clock_meta_write(const struct hf_local_tier *tier, struct hf_local_txn *txn, struct hf_timeline *timeline);

#endif
