/* Publish and subscribe: among the clients here, and through Redis while it is there.
 *
 * One connection to Redis carries the union of all subscriptions. While it stands, PUBLISH goes to Redis, and a message is
 * delivered when it comes back from there; while it does not, PUBLISH delivers to the clients here. It is opened by the first
 * command that needs it, and again, with growing pauses, as long as somebody has subscribed.
 *
 *   closed ──► opening ──► open ──► down ──► opening ...
 *
 * A subscription is in force, and is confirmed, when Redis knows of it; at once while the connection is down. Messages are delivered
 * at most once. Everything here belongs to the loop thread. */
#ifndef SIDECAR_PUBSUB_H
#define SIDECAR_PUBSUB_H

#include "call.h"
#include "topics.h"
#include "upstream.h"

struct pubsub;

/* `upstreams` must stay until pubsub_close(). HF_ENOMEM. */
int pubsub_new(uv_loop_t *loop, struct upstreams *upstreams, struct pubsub **ret_pubsub);
/* No client has a subscription by now. The loop must run on until nothing is left of it. Accepts NULL. */
void pubsub_close(struct pubsub *pubsub);

/* For looking at. */
const struct topics *pubsub_topics(const struct pubsub *pubsub);

/* Returns 0 or HF_ENOMEM. The subscriber's `ctx` is its client. */
int pubsub_subscribe(struct pubsub *pubsub, struct subscriber *subscriber, enum topic_kind kind,
                     struct hf_slice name);
void pubsub_unsubscribe(struct pubsub *pubsub, struct subscriber *subscriber, enum topic_kind kind,
                        struct hf_slice name);

/* Whether Redis may be told: the connection stands, or is being opened. Opens it if it was never needed before. */
bool pubsub_reaches_redis(struct pubsub *pubsub);

/* Let the reply in `later` leave when Redis knows of what was subscribed to before this call. */
void pubsub_confirm(struct pubsub *pubsub, struct later *later);

/* Publish, and reply with the number of receivers, in `later` when Redis is reached; it is the number of those behind Redis, and of
 * the clients here. */
void pubsub_publish(struct pubsub *pubsub, struct later *later, struct hf_slice channel, struct hf_slice payload);
/* Deliver to the clients here alone; returns to how many, counting one that gets it twice as two. */
size_t pubsub_deliver(struct pubsub *pubsub, struct hf_slice channel, struct hf_slice payload);

#endif
