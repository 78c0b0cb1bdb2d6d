/* Decisions: by Redis while it is there, by this store where nobody else has a say, and in Redis's stead where the
 * namespace permits it. What the public calls and the locks have in common. */
#ifndef HF_DECIDE_H
#define HF_DECIDE_H

#include "store.h"

struct hf_decision {
    enum hf_decide_op op;
    struct hf_slice key, expected, value; /* borrowed until the release */
    struct hf_set_options set;            /* of the value, or of the life that is given */
    bool lock;                            /* never tentative */

    /* Filled in by hf__decide. */
    bool decided;          /* it was done */
    bool has_found;        /* the key held a value before */
    struct hf_buf found;   /* it, for HF_DECIDE_GET_DELETE that was done */
    int64_t ttl_left_ms;   /* of what the key holds now; -1: none, or no key */
    uint64_t fence;        /* HF_DECIDE_ACQUIRE that was done */
    int64_t asked_boot_ms; /* on the clock that never jumps, before anybody was asked */
    struct hf_result result;

    struct hf_intent *intent; /* stays open while nothing was done, for a further attempt */
};

/* Returns 0 whether it was done or not (`decided`), once what was done is durable here. May be called again while
 * it was not. HF_EOFFLINE, HF_EUNKNOWN, HF_EWRONGTYPE, and what a write returns. Released in any case. */
int hf__decide(struct hf *store, struct hf_decision *decision);
void hf__decision_release(struct hf *store, struct hf_decision *decision);

/* On the link thread: what a request needs of the decision, and what its answer means for the copy held here. */
int64_t hf__decision_ttl_ms(struct hf *store, const struct hf_decision *decision);
void hf__decision_answered(struct hf *store, struct hf_decision *decision, const struct hf_shared_decide *answer,
                           int64_t asked_ms);

#endif
