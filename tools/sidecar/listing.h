/* Answers of Redis that list keys: read piece by piece, for a client that may not see all of them. */
#ifndef SIDECAR_LISTING_H
#define SIDECAR_LISTING_H

#include "call.h"

/* What is left of an answer. Each function takes the next piece off, and is false where something else stands. */
struct listing {
    const char *at, *end;
};

struct listing listing_of(const struct hf_bytes *answer);
bool listing_take_array(struct listing *listing, size_t *ret_n);
bool listing_take_number(struct listing *listing, int64_t *ret_number);
bool listing_take_bulk(struct listing *listing, struct hf_slice *ret_bytes); /* borrowed from the answer */

/* Whether the client is to see a key of Redis: not Holdfast's own, not one of a namespace that is never shared, and not one that its
 * user may not touch. */
bool listing_shows(const struct call *call, struct hf_slice key);

/* The keys of an array, as far as the client may see them, into `keys`; `*ret_n` is how many. False: it is none. */
bool listing_filter(const struct call *call, struct listing *listing, struct reply *keys, size_t *ret_n);

#endif
