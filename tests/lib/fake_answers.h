/* What the fake Redis answers: each function fills in a request as the seam says, with the lock held. */
#ifndef HF_FAKE_ANSWERS_H
#define HF_FAKE_ANSWERS_H

#include "fake_server.h"

struct hf_shared_error fake_error(enum hf_shared_class class, const char *reason);

void fake_answer_group(struct fake_tier *tier, struct hf_shared_group *group, enum fake_outcome outcome);
void fake_answer_lane(struct fake_tier *tier, struct hf_shared_lane *lane, enum fake_outcome outcome);
void fake_answer_epoch(struct fake_tier *tier, struct hf_shared_epoch *epoch);
void fake_answer_fetch(struct fake_tier *tier, struct hf_shared_fetch *fetch);
void fake_answer_examine(struct fake_tier *tier, struct hf_shared_examine *examine, enum fake_outcome outcome);
void fake_answer_decide(struct fake_tier *tier, struct hf_shared_decide *decide, enum fake_outcome outcome);
void fake_answer_facts(struct fake_tier *tier, struct hf_shared_facts *facts, enum fake_outcome outcome);

/* A copy of what a page of the log names, to be told without the lock. */
struct fake_named {
    struct fake_change *changes;
    size_t n;
};
struct fake_named fake_answer_page(struct hf_shared_log_page *page);
/* Call `each` for all of them, and release them. */
void fake_tell_page(struct hf_shared_log_page *page, struct fake_named *named);

#endif
