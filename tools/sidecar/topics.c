/* Trees of glibc find a topic by its name, and a subscription by its topic; lists keep their order. */
#include "topics.h"

#include <search.h>
#include <stdlib.h>

void topics_init(struct topics *topics)
{
    *topics = (struct topics){0};
    for (int kind = 0; kind < TOPIC_N_KINDS; kind++)
        TAILQ_INIT(&topics->lists[kind]);
}

void subscriber_init(struct subscriber *subscriber, void *ctx)
{
    *subscriber = (struct subscriber){.ctx = ctx};
    for (int kind = 0; kind < TOPIC_N_KINDS; kind++)
        TAILQ_INIT(&subscriber->lists[kind]);
}

/* ---- topics ---- */

static int compare_topics(const void *a, const void *b)
{
    return hf__slice_cmp(((const struct topic *)a)->name, ((const struct topic *)b)->name);
}

struct topic *topics_find(const struct topics *topics, enum topic_kind kind, struct hf_slice name)
{
    struct topic sought = {.name = name};
    struct topic **found = tfind(&sought, &topics->trees[kind], compare_topics);

    return found ? *found : NULL;
}

static struct topic *new_topic(struct topics *topics, enum topic_kind kind, struct hf_slice name)
{
    struct topic *topic = malloc(sizeof(*topic) + name.len);

    if (!topic)
        return NULL;
    memcpy(topic + 1, name.data, name.len);
    *topic = (struct topic){.kind = kind, .name = hf__slice(topic + 1, name.len)};
    TAILQ_INIT(&topic->subscribers);
    if (!tsearch(topic, &topics->trees[kind], compare_topics)) {
        free(topic);
        return NULL;
    }
    TAILQ_INSERT_TAIL(&topics->lists[kind], topic, links);
    topics->n[kind]++;
    return topic;
}

static struct topic *take_out(struct topics *topics, struct topic *topic)
{
    (void)tdelete(topic, &topics->trees[topic->kind], compare_topics); /* it is there */
    TAILQ_REMOVE(&topics->lists[topic->kind], topic, links);
    topics->n[topic->kind]--;
    return topic;
}

/* ---- subscriptions ---- */

static int compare_subscriptions(const void *a, const void *b)
{
    uintptr_t x = (uintptr_t)((const struct subscription *)a)->topic;
    uintptr_t y = (uintptr_t)((const struct subscription *)b)->topic;

    return (x > y) - (x < y);
}

static struct subscription *find(const struct subscriber *subscriber, struct topic *topic)
{
    struct subscription sought = {.topic = topic};
    struct subscription **found = tfind(&sought, &subscriber->tree, compare_subscriptions);

    return found ? *found : NULL;
}

static bool join(struct topic *topic, struct subscriber *subscriber)
{
    struct subscription *subscription = malloc(sizeof(*subscription));

    if (!subscription)
        return false;
    *subscription = (struct subscription){.topic = topic, .subscriber = subscriber};
    if (!tsearch(subscription, &subscriber->tree, compare_subscriptions)) {
        free(subscription);
        return false;
    }
    TAILQ_INSERT_TAIL(&topic->subscribers, subscription, of_topic);
    TAILQ_INSERT_TAIL(&subscriber->lists[topic->kind], subscription, of_subscriber);
    topic->n_subscribers++;
    subscriber->n[topic->kind]++;
    return true;
}

int topics_subscribe(struct topics *topics, struct subscriber *subscriber, enum topic_kind kind,
                     struct hf_slice name, bool *ret_is_new)
{
    struct topic *topic = topics_find(topics, kind, name);
    bool is_new = !topic;

    if (topic && find(subscriber, topic)) {
        *ret_is_new = false;
        return 0;
    }
    if (!topic)
        topic = new_topic(topics, kind, name);
    if (!topic)
        return HF_ENOMEM;
    if (!join(topic, subscriber)) {
        if (is_new)
            free(take_out(topics, topic));
        return HF_ENOMEM;
    }
    *ret_is_new = is_new;
    return 0;
}

struct topic *topics_unsubscribe(struct topics *topics, struct subscriber *subscriber, enum topic_kind kind,
                                 struct hf_slice name)
{
    struct topic *topic = topics_find(topics, kind, name);
    struct subscription *subscription = topic ? find(subscriber, topic) : NULL;

    if (!subscription)
        return NULL;
    (void)tdelete(subscription, &subscriber->tree, compare_subscriptions); /* it is there */
    TAILQ_REMOVE(&topic->subscribers, subscription, of_topic);
    TAILQ_REMOVE(&subscriber->lists[kind], subscription, of_subscriber);
    subscriber->n[kind]--;
    free(subscription);
    return --topic->n_subscribers == 0 ? take_out(topics, topic) : NULL;
}
