/* SUBSCRIBE, PSUBSCRIBE, UNSUBSCRIBE, PUNSUBSCRIBE, PUBLISH, PUBSUB. */
#include "pubsub.h"

#include "client.h"
#include "command.h"
#include "glob.h"
#include "server.h"
#include "settings.h"
#include "subcommand.h"
#include "transaction_state.h"

#include <stdlib.h>

/* ---- a client's subscriptions ---- */

static void note_subscriptions(struct client *client, const struct subscriber *subscriber)
{
    client->n_subscriptions = subscriber->n[TOPIC_CHANNEL] + subscriber->n[TOPIC_PATTERN];
}

static void release_subscriber(struct client *client, void *state)
{
    struct subscriber *subscriber = state;
    struct subscription *first;

    for (int kind = 0; kind < TOPIC_N_KINDS; kind++) {
        while ((first = TAILQ_FIRST(&subscriber->lists[kind])))
            pubsub_unsubscribe(client->server->pubsub, subscriber, (enum topic_kind)kind, first->topic->name);
    }
    note_subscriptions(client, subscriber);
    free(subscriber);
}

/* NULL: no memory. */
static struct subscriber *subscriber_of(struct client *client)
{
    struct client_state *part = &client->parts[CLIENT_SUBSCRIPTIONS];
    struct subscriber *subscriber = part->state ? part->state : malloc(sizeof(*subscriber));

    if (subscriber && !part->state) {
        subscriber_init(subscriber, client);
        *part = (struct client_state){subscriber, release_subscriber};
    }
    return subscriber;
}

/* ---- rights ---- */

/* Every channel that matches a pattern begins with the pattern's plain beginning. */
static bool may_listen(const struct client *client, enum topic_kind kind, struct hf_slice name)
{
    return user_may_touch(client->user, kind == TOPIC_PATTERN ? glob_prefix(name) : name);
}

static bool is_refused(struct call *call, enum topic_kind kind, size_t first, size_t end)
{
    for (size_t i = first; i < end; i++) {
        if (!may_listen(call->client, kind, call->argv[i])) {
            reply_error(call->reply,
                        "NOPERM this user has no permissions to access one of the channels used as arguments");
            return true;
        }
    }
    return false;
}

/* ---- SUBSCRIBE channel [channel ...], PSUBSCRIBE pattern [pattern ...] ---- */

static void confirm(struct reply *reply, const char *word, const struct hf_slice *name, size_t n)
{
    reply_push(reply, 3);
    reply_text(reply, word);
    if (name)
        reply_bulk(reply, *name);
    else
        reply_null(reply);
    reply_integer(reply, (int64_t)n);
}

static void subscribe_all(struct call *call, struct subscriber *subscriber, enum topic_kind kind, const char *word,
                          struct reply *reply)
{
    for (size_t i = 1; i < call->argc; i++) {
        if (pubsub_subscribe(call->server->pubsub, subscriber, kind, call->argv[i]) != 0)
            reply_error(reply, "ERR out of memory: a subscription");
        note_subscriptions(call->client, subscriber);
        confirm(reply, word, &call->argv[i], call->client->n_subscriptions);
    }
}

/* Confirmed at once when Redis cannot be told, else when it knows. */
static void subscribe_to(struct call *call, enum topic_kind kind, const char *word)
{
    struct subscriber *subscriber = subscriber_of(call->client);
    struct later *later;

    if (is_refused(call, kind, 1, call->argc))
        return;
    if (!subscriber) {
        reply_error(call->reply, "ERR out of memory: a subscription");
        return;
    }
    if (!pubsub_reaches_redis(call->server->pubsub)) {
        subscribe_all(call, subscriber, kind, word, call->reply);
        return;
    }
    later = call_later(call);
    if (!later)
        return;
    subscribe_all(call, subscriber, kind, word, later_reply(later));
    pubsub_confirm(call->server->pubsub, later);
}

static void subscribe(struct call *call)
{
    subscribe_to(call, TOPIC_CHANNEL, "subscribe");
}

static void psubscribe(struct call *call)
{
    subscribe_to(call, TOPIC_PATTERN, "psubscribe");
}

/* ---- UNSUBSCRIBE [channel ...], PUNSUBSCRIBE [pattern ...] ---- */

/* The name may be the topic's own, which goes with its last subscriber: it is replied with first. */
static void unsubscribe_one(struct call *call, enum topic_kind kind, const char *word, struct hf_slice name)
{
    struct subscriber *subscriber = call->client->parts[CLIENT_SUBSCRIPTIONS].state;

    reply_push(call->reply, 3);
    reply_text(call->reply, word);
    reply_bulk(call->reply, name);
    if (subscriber) {
        pubsub_unsubscribe(call->server->pubsub, subscriber, kind, name);
        note_subscriptions(call->client, subscriber);
    }
    reply_integer(call->reply, (int64_t)call->client->n_subscriptions);
}

static void unsubscribe_all(struct call *call, enum topic_kind kind, const char *word)
{
    struct subscriber *subscriber = call->client->parts[CLIENT_SUBSCRIPTIONS].state;
    struct subscription *first;

    if (!subscriber || subscriber->n[kind] == 0) {
        confirm(call->reply, word, NULL, call->client->n_subscriptions);
        return;
    }
    while ((first = TAILQ_FIRST(&subscriber->lists[kind])))
        unsubscribe_one(call, kind, word, first->topic->name);
}

static void unsubscribe_from(struct call *call, enum topic_kind kind, const char *word)
{
    if (call->argc == 1)
        unsubscribe_all(call, kind, word);
    for (size_t i = 1; i < call->argc; i++)
        unsubscribe_one(call, kind, word, call->argv[i]);
}

static void unsubscribe(struct call *call)
{
    unsubscribe_from(call, TOPIC_CHANNEL, "unsubscribe");
}

static void punsubscribe(struct call *call)
{
    unsubscribe_from(call, TOPIC_PATTERN, "punsubscribe");
}

/* ---- PUBLISH channel message ---- */

/* A transaction that publishes is passed on whole, while Redis is there. */
static void publish(struct call *call)
{
    struct pubsub *pubsub = call->server->pubsub;
    struct later *later;

    if (is_refused(call, TOPIC_CHANNEL, 1, 2))
        return;
    if (!pubsub_reaches_redis(pubsub)) {
        reply_integer(call->reply, (int64_t)pubsub_deliver(pubsub, call->argv[1], call->argv[2]));
        return;
    }
    if (call->inside) {
        transaction_leave_to_redis(call->inside);
        return;
    }
    later = call_later(call);
    if (later)
        pubsub_publish(pubsub, later, call->argv[1], call->argv[2]);
}

/* ---- PUBSUB CHANNELS [pattern], NUMSUB [channel ...], NUMPAT: of the clients here ---- */

static bool is_listed(const struct call *call, const struct topic *topic)
{
    return call->argc == 2 || glob_match(call->argv[2], topic->name);
}

static void pubsub_channels(struct call *call)
{
    const struct topic_list *channels = &pubsub_topics(call->server->pubsub)->lists[TOPIC_CHANNEL];
    const struct topic *topic;
    size_t n = 0;

    TAILQ_FOREACH(topic, channels, links)
    n += is_listed(call, topic);
    reply_array(call->reply, n);
    TAILQ_FOREACH(topic, channels, links)
    {
        if (is_listed(call, topic))
            reply_bulk(call->reply, topic->name);
    }
}

static void pubsub_numsub(struct call *call)
{
    const struct topic *topic;

    reply_array(call->reply, 2 * (call->argc - 2));
    for (size_t i = 2; i < call->argc; i++) {
        topic = topics_find(pubsub_topics(call->server->pubsub), TOPIC_CHANNEL, call->argv[i]);
        reply_bulk(call->reply, call->argv[i]);
        reply_integer(call->reply, topic ? (int64_t)topic->n_subscribers : 0);
    }
}

static void pubsub_numpat(struct call *call)
{
    reply_integer(call->reply, (int64_t)pubsub_topics(call->server->pubsub)->n[TOPIC_PATTERN]);
}

/* There are no sharded channels. */
static void pubsub_shardchannels(struct call *call)
{
    reply_array(call->reply, 0);
}

static void pubsub_command(struct call *call)
{
    static const struct subcommand subcommands[] = {
        {"channels", pubsub_channels, -2},
        {"numsub", pubsub_numsub, -2},
        {"numpat", pubsub_numpat, 2},
        {"shardchannels", pubsub_shardchannels, -2},
        {NULL, NULL, 0},
    };

    subcommand_run(call, subcommands);
}

/* ---- the table ---- */

#define SUBSCRIBES (COMMAND_SUBSCRIBED | COMMAND_NOT_IN_MULTI)

const struct command pubsub_commands[] = {
    {.name = "subscribe", .run = subscribe, .arity = -2, .flags = SUBSCRIBES, .group = "pubsub", .since = "2.0.0"},
    {.name = "psubscribe",
     .run = psubscribe,
     .arity = -2,
     .flags = SUBSCRIBES,
     .group = "pubsub",
     .since = "2.0.0"},
    {.name = "unsubscribe",
     .run = unsubscribe,
     .arity = -1,
     .flags = SUBSCRIBES,
     .group = "pubsub",
     .since = "2.0.0"},
    {.name = "punsubscribe",
     .run = punsubscribe,
     .arity = -1,
     .flags = SUBSCRIBES,
     .group = "pubsub",
     .since = "2.0.0"},
    {.name = "publish", .run = publish, .arity = 3, .group = "pubsub", .since = "2.0.0"},
    {.name = "pubsub", .run = pubsub_command, .arity = -2, .group = "pubsub", .since = "2.8.0"},
    {.name = NULL},
};
