/* Walks over the keys that are held here. They read the disk and wait for it, so a worker runs them. */
#ifndef SIDECAR_WALK_H
#define SIDECAR_WALK_H

#include "call.h"

/* What a walk is for, and what it has found. */
struct walk {
    struct call *call;
    struct hf_slice pattern; /* empty: every key */
    bool only_ours;          /* keys that Redis does not have */
    bool only_count;         /* `found` stays empty */
    uint64_t picks;          /* not 0: one key at random, drawn from this */
    size_t max_found, max_looked;

    struct reply found; /* the keys, as bulk strings */
    size_t n_found, n_looked;
    struct hf_bytes last; /* the key that was looked at last, or picked */
    bool at_end;
};

/* Of keys that the user may touch. */
struct walk walk_new(struct call *call, struct hf_slice pattern);
void walk_release(struct walk *walk);

/* From behind `after` on (empty: from the beginning), until enough was found or looked at. 0, or an error. */
int walk_go(struct walk *walk, struct hf_slice after);
/* Reply with what was found, as an array. */
void walk_reply(struct walk *walk);

#endif
