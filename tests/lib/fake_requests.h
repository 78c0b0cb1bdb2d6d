/* Requests on their way: sent, answered, told, lost, and those that come late. */
#ifndef HF_FAKE_REQUESTS_H
#define HF_FAKE_REQUESTS_H

#include "fake_server.h"

/* Of the seam. */
int fake_send_group(struct hf_shared_tier *base, struct hf_shared_group *group);
int fake_send_lane(struct hf_shared_tier *base, struct hf_shared_lane *lane);
int fake_send_epoch(struct hf_shared_tier *base, struct hf_shared_epoch *epoch);
int fake_send_log_page(struct hf_shared_tier *base, struct hf_shared_log_page *page);
int fake_send_fetch(struct hf_shared_tier *base, struct hf_shared_fetch *fetch);
int fake_send_examine(struct hf_shared_tier *base, struct hf_shared_examine *examine);
int fake_send_decide(struct hf_shared_tier *base, struct hf_shared_decide *decide);
int fake_send_facts(struct hf_shared_tier *base, struct hf_shared_facts *facts);

/* With the lock. `request` is NULL for FAKE_TIME. */
void fake_queue_request(struct fake_tier *tier, enum fake_request kind, void *request, bool beside);
/* Redis gets it: fill it in. With the lock. */
void fake_answer_request(struct fake_tier *tier, struct fake_request_out *out, enum fake_outcome outcome);
/* Without the lock: run its `done` and release it. Returns the error that it ended with. */
struct hf_shared_error fake_tell_request(struct fake_tier *tier, struct fake_request_out *out);
void fake_lose_request(struct fake_tier *tier, struct fake_request_out *out, struct hf_shared_error error);
void fake_release_heard(struct fake_heard *heard);

/* Copy those that would change something, for Redis to get them when fake_run_late is called: this one, or all behind it, too.
 * The connection's session is theirs from now on. */
void fake_keep_late(struct fake_tier *tier, const struct fake_request_out *first, bool only_one);
void fake_run_late(void);
void fake_forget_late(void);

#endif
