/* Who has subscribed to what, on this server: channels and patterns, each with its subscribers. Knows no socket. */
#ifndef SIDECAR_TOPICS_H
#define SIDECAR_TOPICS_H

#include "bytes.h"

#include <sys/queue.h>

enum topic_kind { TOPIC_CHANNEL, TOPIC_PATTERN, TOPIC_N_KINDS };

/* One subscriber of one topic. */
struct subscription {
    struct topic *topic;
    struct subscriber *subscriber;
    TAILQ_ENTRY(subscription) of_topic, of_subscriber;
};
TAILQ_HEAD(subscription_list, subscription);

struct topic {
    enum topic_kind kind;
    struct hf_slice name; /* the bytes follow the struct */
    struct subscription_list subscribers;
    size_t n_subscribers; /* at least 1 */
    TAILQ_ENTRY(topic) links;
};
TAILQ_HEAD(topic_list, topic);

struct topics {
    struct topic_list lists[TOPIC_N_KINDS]; /* oldest first */
    size_t n[TOPIC_N_KINDS];
    void *trees[TOPIC_N_KINDS]; /* of struct topic, by name */
};

struct subscriber {
    void *ctx; /* whose it is */
    struct subscription_list lists[TOPIC_N_KINDS];
    size_t n[TOPIC_N_KINDS];
    void *tree; /* of struct subscription, by topic */
};

void topics_init(struct topics *topics);
void subscriber_init(struct subscriber *subscriber, void *ctx);

/* NULL: nobody has subscribed to it. */
struct topic *topics_find(const struct topics *topics, enum topic_kind kind, struct hf_slice name);

/* Returns 0, also when it had subscribed to it already, or HF_ENOMEM; `*ret_is_new` tells whether it is the topic's first. */
int topics_subscribe(struct topics *topics, struct subscriber *subscriber, enum topic_kind kind,
                     struct hf_slice name, bool *ret_is_new);
/* Returns the topic when that was its last subscriber, for the caller to free(), else NULL. Accepts one that had not subscribed to
 * it. `name` may be the topic's own. */
struct topic *topics_unsubscribe(struct topics *topics, struct subscriber *subscriber, enum topic_kind kind,
                                 struct hf_slice name);

#endif
