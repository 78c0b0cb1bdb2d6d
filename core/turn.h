/* The two clocks as of one turn of work: asked once, not for each of its thousand changes. For one thread. */
#ifndef HF_TURN_H
#define HF_TURN_H

#include "store.h"

struct hf_turn {
    struct hf *store;
    int64_t now_ms;                    /* timeline */
    bool known;                        /* Redis's clock is: */
    int64_t offset_ms, uncertainty_ms; /* it minus the timeline, and how far that may be off */
    struct hf_turn_memo {
        int64_t span, ms; /* 0 ms: a free place */
    } memo[4];            /* the uncertainty of past times: those of one span share it */
};

void hf__turn_begin(struct hf *store, struct hf_turn *ret_turn);
/* A time on the timeline as one on Redis's clock, and back; 0 stays 0. */
int64_t hf__turn_to_redis_ms(const struct hf_turn *turn, int64_t timeline_ms);
int64_t hf__turn_from_redis_ms(const struct hf_turn *turn, int64_t redis_ms);
/* How far a past time that was converted to Redis's clock may be off. */
int64_t hf__turn_uncertainty_ms(struct hf_turn *turn, int64_t made_ms);

#endif
