/* Patterns of KEYS, SCAN and PSUBSCRIBE: '*', '?', "[a-c]", "[^a]" and '\'. */
#ifndef SIDECAR_GLOB_H
#define SIDECAR_GLOB_H

#include "bytes.h"

/* Whether all of `text` matches. Time grows with the product of both lengths at the most, and nothing is allocated: only the
 * last '*' is ever returned to. */
bool glob_match(struct hf_slice pattern, struct hf_slice text);

/* The bytes that every match begins with: what stands before the first special byte. */
struct hf_slice glob_prefix(struct hf_slice pattern);

#endif
