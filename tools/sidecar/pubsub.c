/* The connection that carries all subscriptions, and what is on its way over it. */
#include "pubsub.h"

#include "client.h"
#include "fail.h"
#include "glob.h"
#include "remote.h"
#include "request.h"
#include "rounds.h"

#include <stdlib.h>

#define HEARTBEAT_MS 5000 /* an idle connection is probed so often */
#define BACKOFF_MIN_MS 100u
#define BACKOFF_MAX_MS 5000u

/* Something that has one answer of Redis. */
struct asked {
    TAILQ_ENTRY(asked) links;
    struct asked_list *list;
    struct pubsub *pubsub;
    struct round_member member; /* until what was written before is shared */
    struct later *later;        /* NULL: nobody waits */
    bool publishes;             /* else it is a PING */
    struct hf_buf channel, payload;
};
TAILQ_HEAD(asked_list, asked);

struct pubsub {
    uv_loop_t *loop;
    struct upstreams *upstreams;
    struct topics topics;
    struct remote *remote;
    bool ready;
    unsigned failures; /* since the connection last stood; 0: there is hope */
    uint64_t down_until_ms;
    uv_timer_t timer; /* open: the heartbeat; down: the next attempt */
    struct asked_list sharing, unsent, sent;
};

/* ---- delivering ---- */

/* `pattern` is NULL for a message of the channel itself. */
static void push(struct client *client, const struct topic *pattern, struct hf_slice channel,
                 struct hf_slice payload)
{
    struct reply message = {.proto = client->proto};

    reply_push(&message, pattern ? 4 : 3);
    reply_text(&message, pattern ? "pmessage" : "message");
    if (pattern)
        reply_bulk(&message, pattern->name);
    reply_bulk(&message, channel);
    reply_bulk(&message, payload);
    client_push(client, &message);
    reply_release(&message);
}

static size_t deliver_to(const struct topic *topic, struct hf_slice channel, struct hf_slice payload)
{
    const struct subscription *subscription;

    TAILQ_FOREACH(subscription, &topic->subscribers, of_topic)
    push(subscription->subscriber->ctx, topic->kind == TOPIC_PATTERN ? topic : NULL, channel, payload);
    return topic->n_subscribers;
}

size_t pubsub_deliver(struct pubsub *pubsub, struct hf_slice channel, struct hf_slice payload)
{
    const struct topic *topic = topics_find(&pubsub->topics, TOPIC_CHANNEL, channel);
    size_t n = topic ? deliver_to(topic, channel, payload) : 0;

    TAILQ_FOREACH(topic, &pubsub->topics.lists[TOPIC_PATTERN], links)
    {
        if (glob_match(topic->name, channel))
            n += deliver_to(topic, channel, payload);
    }
    return n;
}

/* Redis counts our connection once for each topic that matches; the clients behind it count instead. */
static int64_t receivers(const struct pubsub *pubsub, struct hf_slice channel, int64_t told)
{
    const struct topic *topic = topics_find(&pubsub->topics, TOPIC_CHANNEL, channel);
    int64_t ours = topic ? 1 : 0, here = topic ? (int64_t)topic->n_subscribers : 0;

    TAILQ_FOREACH(topic, &pubsub->topics.lists[TOPIC_PATTERN], links)
    {
        if (!glob_match(topic->name, channel))
            continue;
        ours++;
        here += (int64_t)topic->n_subscribers;
    }
    return (told > ours ? told - ours : 0) + here;
}

/* ---- what is asked ---- */

static void move_to(struct asked *asked, struct asked_list *list)
{
    if (asked->list)
        TAILQ_REMOVE(asked->list, asked, links);
    if (list)
        TAILQ_INSERT_TAIL(list, asked, links);
    asked->list = list;
}

static void finish(struct asked *asked)
{
    rounds_leave(&asked->member);
    move_to(asked, NULL);
    if (asked->later)
        later_done(asked->later);
    hf_buf_release(&asked->channel);
    hf_buf_release(&asked->payload);
    free(asked);
}

static struct hf_slice slice(const struct hf_buf *buf)
{
    return hf__slice(buf->data, buf->len);
}

/* The connection is down: Redis does not get it. */
static void finish_here(struct asked *asked)
{
    if (asked->publishes)
        reply_integer(later_reply(asked->later),
                      (int64_t)pubsub_deliver(asked->pubsub, slice(&asked->channel), slice(&asked->payload)));
    finish(asked);
}

/* It broke before the answer came. A subscription is in force here in any case. */
static void finish_in_doubt(struct asked *asked, const char *why)
{
    if (asked->publishes)
        reply_error(later_reply(asked->later), "INDOUBT the connection to Redis broke before it answered: %s", why);
    finish(asked);
}

static int write_asked(const struct asked *asked, struct hf_bytes *bytes)
{
    struct hf_slice words[] = {hf__slice_str("PUBLISH"), slice(&asked->channel), slice(&asked->payload)};

    return asked->publishes ? request_add(bytes, 3, words) : request_add_word(bytes, "PING");
}

static void send_asked(struct asked *asked)
{
    struct pubsub *pubsub = asked->pubsub;
    struct hf_bytes bytes = {0};
    int rc = write_asked(asked, &bytes);

    if (rc == 0)
        rc = remote_send(pubsub->remote, bytes.bytes, bytes.len);
    hf__bytes_release(&bytes);
    if (rc != 0) {
        finish_here(asked);
        return;
    }
    move_to(asked, &pubsub->sent);
    remote_expect(pubsub->remote, upstreams_remote(pubsub->upstreams)->reply_timeout_ms);
}

/* On its way now, or when the connection stands, or not at all. */
static void ask(struct asked *asked)
{
    if (asked->pubsub->ready)
        send_asked(asked);
    else if (asked->pubsub->remote && asked->pubsub->failures == 0)
        move_to(asked, &asked->pubsub->unsent);
    else
        finish_here(asked);
}

static struct asked *asked_new(struct pubsub *pubsub, struct later *later)
{
    struct asked *asked = calloc(1, sizeof(*asked));

    if (asked)
        *asked = (struct asked){.pubsub = pubsub, .later = later};
    return asked;
}

/* ---- the connection ---- */

static void open_connection(struct pubsub *pubsub);

static void on_timer(uv_timer_t *timer)
{
    struct pubsub *pubsub = timer->data;
    struct asked *asked;

    if (!pubsub->remote) {
        open_connection(pubsub);
    } else if (pubsub->ready && TAILQ_EMPTY(&pubsub->sent)) {
        asked = asked_new(pubsub, NULL);
        if (asked)
            send_asked(asked);
    }
}

static bool has_topics(const struct pubsub *pubsub)
{
    return pubsub->topics.n[TOPIC_CHANNEL] + pubsub->topics.n[TOPIC_PATTERN] > 0;
}

/* See to it that the connection comes back, as long as somebody has subscribed. */
static void retry(struct pubsub *pubsub)
{
    uint64_t now = uv_now(pubsub->loop);

    if (!upstreams_remote(pubsub->upstreams) || pubsub->remote || !has_topics(pubsub))
        return;
    (void)uv_timer_start(&pubsub->timer, on_timer, pubsub->down_until_ms > now ? pubsub->down_until_ms - now : 0,
                         0);
}

static void back_off(struct pubsub *pubsub)
{
    uint64_t pause = BACKOFF_MIN_MS;

    for (unsigned i = 0; i < pubsub->failures && pause < BACKOFF_MAX_MS; i++)
        pause *= 2;
    pubsub->failures++;
    pubsub->down_until_ms = uv_now(pubsub->loop) + (pause < BACKOFF_MAX_MS ? pause : BACKOFF_MAX_MS);
}

static void on_gone(void *ctx, const char *why)
{
    struct pubsub *pubsub = ctx;
    struct asked *asked;

    pubsub->remote = NULL;
    pubsub->ready = false;
    (void)uv_timer_stop(&pubsub->timer);
    back_off(pubsub);
    while ((asked = TAILQ_FIRST(&pubsub->sent)))
        finish_in_doubt(asked, why);
    while ((asked = TAILQ_FIRST(&pubsub->unsent)))
        finish_here(asked);
    retry(pubsub);
}

static int tell_topic(struct pubsub *pubsub, const struct topic *topic, const char *const words[TOPIC_N_KINDS])
{
    struct hf_slice command[] = {hf__slice_str(words[topic->kind]), topic->name};
    struct hf_bytes bytes = {0};
    int rc = request_add(&bytes, 2, command);

    if (rc == 0)
        rc = remote_send(pubsub->remote, bytes.bytes, bytes.len);
    hf__bytes_release(&bytes);
    return rc;
}

static const char *const subscribe_words[TOPIC_N_KINDS] = {"SUBSCRIBE", "PSUBSCRIBE"};
static const char *const unsubscribe_words[TOPIC_N_KINDS] = {"UNSUBSCRIBE", "PUNSUBSCRIBE"};

static void tell_all(struct pubsub *pubsub)
{
    const struct topic *topic;

    for (int kind = 0; kind < TOPIC_N_KINDS; kind++) {
        TAILQ_FOREACH(topic, &pubsub->topics.lists[kind], links)
        (void)tell_topic(pubsub, topic, subscribe_words); /* without memory it is not heard of */
    }
}

static void on_ready(void *ctx)
{
    struct pubsub *pubsub = ctx;
    struct asked *asked;

    pubsub->ready = true;
    pubsub->failures = 0;
    (void)uv_timer_start(&pubsub->timer, on_timer, HEARTBEAT_MS, HEARTBEAT_MS);
    tell_all(pubsub);
    while ((asked = TAILQ_FIRST(&pubsub->unsent)))
        send_asked(asked);
}

static bool is_message(const redisReply *reply, const char *word, size_t n)
{
    if (reply->elements != n || strcmp(reply->element[0]->str, word) != 0)
        return false;
    for (size_t i = 1; i < n; i++) {
        if (!reply->element[i]->str)
            return false;
    }
    return true;
}

static struct hf_slice text_of(const redisReply *reply, size_t i)
{
    return hf__slice(reply->element[i]->str, reply->element[i]->len);
}

/* A message for a channel comes once for the channel, and once for each pattern. Confirmations tell nothing new. */
static void take_message(struct pubsub *pubsub, const redisReply *reply)
{
    const struct topic *topic;

    if (reply->elements == 0 || !reply->element[0]->str)
        return;
    if (is_message(reply, "message", 3)) {
        topic = topics_find(&pubsub->topics, TOPIC_CHANNEL, text_of(reply, 1));
        if (topic)
            (void)deliver_to(topic, text_of(reply, 1), text_of(reply, 2));
    } else if (is_message(reply, "pmessage", 4)) {
        topic = topics_find(&pubsub->topics, TOPIC_PATTERN, text_of(reply, 1));
        if (topic)
            (void)deliver_to(topic, text_of(reply, 2), text_of(reply, 3));
    }
}

static void take_answer(struct asked *asked, const redisReply *reply)
{
    struct reply *to = asked->later ? later_reply(asked->later) : NULL;

    if (asked->publishes && reply->type == REDIS_REPLY_INTEGER)
        reply_integer(to, receivers(asked->pubsub, slice(&asked->channel), reply->integer));
    else if (asked->publishes)
        reply_error(to, "%s",
                    reply->type == REDIS_REPLY_ERROR ? reply->str
                                                     : "ERR Redis does not answer PUBLISH as it should");
    finish(asked);
}

/* An error in front of a PING's answer is about the subscription before it, which is then in force among the clients here. */
static void on_reply(void *ctx, void *object)
{
    struct pubsub *pubsub = ctx;
    const redisReply *reply = object;
    struct asked *asked = TAILQ_FIRST(&pubsub->sent);

    if (reply->type == REDIS_REPLY_PUSH) {
        take_message(pubsub, reply);
        return;
    }
    if (!asked || (!asked->publishes && reply->type == REDIS_REPLY_ERROR))
        return;
    take_answer(asked, reply);
    if (TAILQ_EMPTY(&pubsub->sent) && pubsub->remote)
        remote_expect(pubsub->remote, 0);
}

static const struct remote_events remote_events = {.ready = on_ready, .reply = on_reply, .gone = on_gone};

static void open_connection(struct pubsub *pubsub)
{
    pubsub->remote = remote_open(pubsub->loop, upstreams_remote(pubsub->upstreams), 3, &remote_events, pubsub);
    if (pubsub->remote)
        return;
    back_off(pubsub);
    retry(pubsub);
}

bool pubsub_reaches_redis(struct pubsub *pubsub)
{
    if (!upstreams_remote(pubsub->upstreams))
        return false;
    if (!pubsub->remote && uv_now(pubsub->loop) >= pubsub->down_until_ms)
        open_connection(pubsub);
    return pubsub->remote && pubsub->failures == 0;
}

/* ---- subscribing ---- */

const struct topics *pubsub_topics(const struct pubsub *pubsub)
{
    return &pubsub->topics;
}

int pubsub_subscribe(struct pubsub *pubsub, struct subscriber *subscriber, enum topic_kind kind,
                     struct hf_slice name)
{
    bool is_new;
    int rc = topics_subscribe(&pubsub->topics, subscriber, kind, name, &is_new);

    if (rc != 0 || !is_new)
        return rc;
    if (pubsub->ready)
        rc = tell_topic(pubsub, topics_find(&pubsub->topics, kind, name), subscribe_words);
    else
        retry(pubsub);
    if (rc != 0)
        free(topics_unsubscribe(&pubsub->topics, subscriber, kind, name));
    return rc;
}

void pubsub_unsubscribe(struct pubsub *pubsub, struct subscriber *subscriber, enum topic_kind kind,
                        struct hf_slice name)
{
    struct topic *gone = topics_unsubscribe(&pubsub->topics, subscriber, kind, name);

    if (gone && pubsub->ready)
        (void)tell_topic(pubsub, gone, unsubscribe_words); /* without memory it is heard of, and nobody listens */
    free(gone);
}

void pubsub_confirm(struct pubsub *pubsub, struct later *later)
{
    struct asked *asked = asked_new(pubsub, later);

    if (asked)
        ask(asked);
    else
        later_done(later);
}

/* ---- publishing ---- */

static void shared(struct round_member *member, int rc, const char *sentence)
{
    struct asked *asked = (struct asked *)((char *)member - offsetof(struct asked, member));

    (void)sentence;
    if (rc == 0)
        ask(asked);
    else
        finish_here(asked);
}

void pubsub_publish(struct pubsub *pubsub, struct later *later, struct hf_slice channel, struct hf_slice payload)
{
    struct asked *asked = asked_new(pubsub, later);

    if (!asked || hf__buf_copy(channel, &asked->channel) != 0 || hf__buf_copy(payload, &asked->payload) != 0) {
        reply_error(later_reply(later), "ERR out of memory: a message");
        later_done(later);
        if (asked)
            hf_buf_release(&asked->channel);
        free(asked);
        return;
    }
    asked->publishes = true;
    asked->member.done = shared;
    move_to(asked, &pubsub->sharing);
    upstreams_when_shared(pubsub->upstreams, &asked->member);
}

/* ---- its life ---- */

int pubsub_new(uv_loop_t *loop, struct upstreams *upstreams, struct pubsub **ret_pubsub)
{
    struct pubsub *pubsub = calloc(1, sizeof(*pubsub));

    if (!pubsub)
        return hf__fail(HF_ENOMEM, "out of memory: subscriptions");
    pubsub->loop = loop;
    pubsub->upstreams = upstreams;
    topics_init(&pubsub->topics);
    TAILQ_INIT(&pubsub->sharing);
    TAILQ_INIT(&pubsub->unsent);
    TAILQ_INIT(&pubsub->sent);
    (void)uv_timer_init(loop, &pubsub->timer); /* cannot fail */
    pubsub->timer.data = pubsub;
    *ret_pubsub = pubsub;
    return 0;
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void pubsub_close(struct pubsub *pubsub)
{
    struct asked *asked;

    if (!pubsub)
        return;
    remote_close(pubsub->remote);
    while ((asked = TAILQ_FIRST(&pubsub->sharing)) || (asked = TAILQ_FIRST(&pubsub->unsent)) ||
           (asked = TAILQ_FIRST(&pubsub->sent)))
        finish_in_doubt(asked, "the server stops");
    uv_close((uv_handle_t *)&pubsub->timer, on_closed);
}
