/* The identity of a value: what is compared when the value itself is not kept. */
#ifndef HF_DIGEST_H
#define HF_DIGEST_H

#include "local_tier.h"

/* SHA-1 (what a Redis script can compute), length and deadline. */
struct hf_version_id hf__version_id(struct hf_slice value, int64_t deadline_ms);

#endif
