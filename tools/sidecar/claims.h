/* Busy keys: who works on a key, and who waits for it, in order.
 *
 * A command claims all its keys at once. It may run when it is the first on each of them, and gives them back when it is done. As
 * claims are made together, on one thread, they cannot wait for each other in a circle. As long as no worker is under way the
 * table is empty, and nothing is claimed at all. */
#ifndef SIDECAR_CLAIMS_H
#define SIDECAR_CLAIMS_H

#include "bytes.h"

struct claim_key;
struct claim_set;

/* The table of keys. Zeroed is empty. */
struct claims {
    struct claim_key **buckets;
    size_t n_buckets, n_keys;
};

/* The claims of one command. Zeroed is none. */
struct claim_set {
    struct claim *all;
    size_t n;
    size_t n_behind;                      /* keys on which somebody is before us */
    void (*first)(struct claim_set *set); /* now it is the first on each of its keys */
};

/* Whether somebody has claimed one of these keys. */
bool claims_meet(const struct claims *claims, const struct hf_slice *keys, size_t n);

/* Claim the keys, which are copied; one that is given twice counts once. `set` is empty before. Returns 0, or HF_ENOMEM with
 * nothing claimed. It may run at once when set->n_behind is 0; else `first` is called, by another's claims_drop(). */
int claims_make(struct claims *claims, struct claim_set *set, const struct hf_slice *keys, size_t n,
                void (*first)(struct claim_set *set));
/* Give back what is claimed, in whatever state, and let those behind go on. Accepts an empty set. */
void claims_drop(struct claims *claims, struct claim_set *set);

void claims_release(struct claims *claims);

#endif
