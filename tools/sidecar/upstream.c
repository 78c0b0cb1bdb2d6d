/* One client's connection to Redis, and the one request that is under way on it. */
#include "upstream.h"

#include "fail.h"
#include "relay.h"
#include "remote.h"
#include "rounds.h"

#include <stddef.h>
#include <stdlib.h>
#include <time.h>

/* The link tells nobody when it comes up: it is looked at again after so long. */
#define LINK_LOOK_MS 10
/* A connection that nobody has used for so long is closed: the clients of the sidecar may be as many as Redis takes. */
#define IDLE_MS 60000

/* Whether the keys of a namespace are shared. */
struct rule {
    struct hf_buf prefix;
    bool shared;
};

struct upstreams {
    uv_loop_t *loop;
    struct rule *rules;
    size_t n_rules;
    bool has_redis;
    struct remote_settings settings;
    struct rounds sharing, hearing;
    bool closed;
};

/* Where a request is on its way. */
enum step {
    NOTHING,
    SHARING,    /* until all that was written here is shared */
    CONNECTING, /* until the connection is ready */
    ASKING,     /* until Redis has answered */
    HEARING,    /* until the link has heard what Redis had to say before */
};

struct upstream {
    struct upstreams *all;
    struct remote *remote; /* NULL: there is no connection */
    bool ready;
    int proto; /* of the connection */
    bool watches, watch_lost;
    size_t n_owed; /* answers that come first, to what nobody waits for */

    enum step step;
    struct round_member member;
    struct upstream_request request;
    struct reply *reply;
    size_t reply_start; /* where its bytes begin */
    upstream_done_fn *done;
    void *ctx;
    struct relay relay;
};

/* ---- the rounds ---- */

static bool is_coming_up(enum hf_link_state state)
{
    return state == HF_LINK_CONNECTING || state == HF_LINK_CATCHING_UP || state == HF_LINK_REPLAYING;
}

/* What was written before a reconnect is settled then; until it is, Redis counts as away. */
static int wait_online(struct hf *store, int timeout_ms)
{
    const struct timespec pause = {.tv_nsec = LINK_LOOK_MS * 1000000L};
    struct hf_status status;
    int rc = hf_status(store, &status);

    for (int waited = 0; rc == 0 && is_coming_up(status.link) && waited < timeout_ms; waited += LINK_LOOK_MS) {
        (void)nanosleep(&pause, NULL); /* cut short, it only looks earlier */
        rc = hf_status(store, &status);
    }
    if (rc == 0 && status.link != HF_LINK_ONLINE)
        rc = hf__fail(HF_EOFFLINE, "the shared tier is %s%s%s", hf_link_text(status.link),
                      status.link_reason[0] ? ": " : "", status.link_reason);
    return rc;
}

static int share(struct hf *store, int timeout_ms)
{
    int rc = wait_online(store, timeout_ms);

    return rc == 0 ? hf_wait_shared(store, UINT64_MAX, timeout_ms) : rc;
}

static void free_if_idle(struct upstreams *all)
{
    if (!all->closed || all->sharing.running || all->hearing.running)
        return;
    for (size_t i = 0; i < all->n_rules; i++)
        hf_buf_release(&all->rules[i].prefix);
    free(all->rules);
    remote_settings_release(&all->settings);
    free(all);
}

static int copy_rules(struct upstreams *all, const struct hf_options *options)
{
    int rc = 0;

    all->rules = calloc(options->n_namespaces + 1, sizeof(*all->rules));
    if (!all->rules)
        return hf__fail(HF_ENOMEM, "out of memory: connections to Redis");
    for (size_t i = 0; i < options->n_namespaces && rc == 0; i++) {
        const struct hf_namespace *ns = &options->namespaces[i];
        all->rules[i].shared = ns->write_mode != HF_WRITE_LOCAL;
        rc = hf__buf_copy(hf__slice_str(ns->prefix), &all->rules[i].prefix);
        all->n_rules += rc == 0;
    }
    return rc;
}

static void sharing_idle(struct rounds *rounds)
{
    free_if_idle((struct upstreams *)((char *)rounds - offsetof(struct upstreams, sharing)));
}

static void hearing_idle(struct rounds *rounds)
{
    free_if_idle((struct upstreams *)((char *)rounds - offsetof(struct upstreams, hearing)));
}

int upstreams_new(const struct upstreams_setup *setup, struct upstreams **ret_upstreams)
{
    struct upstreams *all = calloc(1, sizeof(*all));
    int timeout_ms =
        setup->options->redis_timeout_ms ? setup->options->redis_timeout_ms : HF_REDIS_TIMEOUT_DEFAULT_MS;
    int rc;

    if (!all)
        return hf__fail(HF_ENOMEM, "out of memory: connections to Redis");
    all->loop = setup->loop;
    all->has_redis = setup->options->redis && setup->options->redis[0];
    rc = copy_rules(all, setup->options);
    if (rc == 0 && all->has_redis)
        rc = remote_settings_init(setup->options, &all->settings);
    if (rc != 0) {
        upstreams_close(all);
        return rc;
    }
    all->sharing = (struct rounds){
        .loop = setup->loop, .store = setup->store, .wait = share, .timeout_ms = timeout_ms, .idle = sharing_idle};
    all->hearing = (struct rounds){.loop = setup->loop,
                                   .store = setup->store,
                                   .wait = hf_hear,
                                   .timeout_ms = timeout_ms,
                                   .idle = hearing_idle};
    rounds_init(&all->sharing);
    rounds_init(&all->hearing);
    *ret_upstreams = all;
    return 0;
}

/* The longest prefix rules, as in the store. */
bool upstreams_share(const struct upstreams *upstreams, struct hf_slice key)
{
    const struct rule *found = NULL;

    for (size_t i = 0; i < upstreams->n_rules; i++) {
        const struct rule *rule = &upstreams->rules[i];
        if ((!found || rule->prefix.len >= found->prefix.len) &&
            hf__slice_starts_with(key, hf__slice(rule->prefix.data, rule->prefix.len)))
            found = rule;
    }
    return !found || found->shared;
}

void upstreams_when_shared(struct upstreams *upstreams, struct round_member *member)
{
    rounds_join(&upstreams->sharing, member);
}

const struct remote_settings *upstreams_remote(const struct upstreams *upstreams)
{
    return upstreams->has_redis ? &upstreams->settings : NULL;
}

void upstreams_close(struct upstreams *upstreams)
{
    if (!upstreams)
        return;
    upstreams->closed = true;
    free_if_idle(upstreams);
}

/* ---- the end of a request ---- */

static void finish(struct upstream *up)
{
    up->relay = (struct relay){0};
    up->step = NOTHING;
    hf__bytes_release(&up->request.bytes);
    up->done(up->ctx);
    if (up->ready)
        remote_expect(up->remote, up->watches ? 0 : IDLE_MS);
}

/* What had come of an answer is taken back. */
static void finish_with(struct upstream *up, const char *prefix, const char *why)
{
    up->reply->bytes.len = up->reply_start;
    reply_error(up->reply, "%s %s", prefix, why);
    finish(up);
}

static struct upstream *of_member(struct round_member *member)
{
    return (struct upstream *)((char *)member - offsetof(struct upstream, member));
}

static void heard(struct round_member *member, int rc, const char *sentence)
{
    (void)rc; /* the link is away, or will be found so: then no copy counts as verified in any case */
    (void)sentence;
    finish(of_member(member));
}

static void answered(struct upstream *up)
{
    remote_expect(up->remote, 0);
    up->relay.to = NULL;
    up->step = HEARING;
    up->member.done = heard;
    rounds_join(&up->all->hearing, &up->member);
}

/* ---- the connection ---- */

static void lost(struct upstream *up)
{
    up->remote = NULL;
    up->ready = false;
    up->n_owed = 0;
    up->watch_lost = up->watch_lost || up->watches;
    up->watches = false;
}

static void on_gone(void *ctx, const char *why)
{
    struct upstream *up = ctx;

    lost(up);
    if (up->step == CONNECTING)
        finish_with(up, "OFFLINE", why);
    else if (up->step == ASKING)
        finish_with(up, "INDOUBT the connection to Redis broke before it answered:", why);
}

static void disconnect(struct upstream *up)
{
    remote_close(up->remote);
    lost(up);
}

/* Where the next answer goes: to the client only the last one, behind those that are owed to nobody. */
static void aim(struct upstream *up)
{
    up->relay.to = up->n_owed == 0 && up->request.n_replies == 1 ? up->reply : NULL;
}

static void ask(struct upstream *up)
{
    struct hf_bytes *bytes = &up->request.bytes;

    aim(up);
    if (remote_send(up->remote, bytes->bytes, bytes->len) != 0) {
        finish_with(up, "ERR", "out of memory: a command that is passed on");
        return;
    }
    up->step = ASKING;
    hf__bytes_release(bytes);
    remote_expect(up->remote, up->request.waits ? 0 : up->all->settings.reply_timeout_ms);
}

static void on_ready(void *ctx)
{
    struct upstream *up = ctx;

    up->ready = true;
    remote_read_with(up->remote, &relay_functions, &up->relay);
    if (up->step == CONNECTING)
        ask(up);
}

/* An answer to the request under way. */
static void take(struct upstream *up)
{
    if (--up->request.n_replies == 0)
        answered(up);
    else
        aim(up);
}

/* One to what nobody waits for. */
static void take_owed(struct upstream *up)
{
    up->n_owed--;
    if (up->step == ASKING)
        aim(up);
}

/* An attribute stands in front of its reply; a push was asked for by nobody. */
static void on_reply(void *ctx, void *reply)
{
    struct upstream *up = ctx;

    (void)reply; /* it went through the relay */
    if (up->relay.type == REDIS_REPLY_PUSH || up->relay.type == REDIS_REPLY_ATTR)
        return;
    if (up->n_owed > 0)
        take_owed(up);
    else if (up->step == ASKING)
        take(up);
    else
        disconnect(up); /* an answer that nobody asked for: whose is the next one? */
}

static const struct remote_events remote_events = {.ready = on_ready, .reply = on_reply, .gone = on_gone};

/* ---- a request ---- */

static void connect_for(struct upstream *up)
{
    up->proto = up->reply->proto;
    if (!up->remote)
        up->remote = remote_open(up->all->loop, &up->all->settings, up->proto, &remote_events, up);
    if (!up->remote)
        finish_with(up, "ERR", "out of memory: a connection to Redis");
}

static void shared(struct round_member *member, int rc, const char *sentence)
{
    struct upstream *up = of_member(member);

    if (rc != 0) {
        finish_with(up, "OFFLINE", sentence);
        return;
    }
    up->step = CONNECTING;
    if (up->proto != up->reply->proto)
        disconnect(up);
    if (up->request.watched && !up->watches)
        finish_with(up, "EXECABORT", "Transaction discarded because the connection to Redis broke since WATCH");
    else if (up->ready)
        ask(up);
    else
        connect_for(up);
}

void upstream_send(struct upstream *upstream, struct upstream_request *request, struct reply *reply,
                   upstream_done_fn *done, void *ctx)
{
    upstream->request = *request;
    request->bytes = (struct hf_bytes){0};
    upstream->reply = reply;
    upstream->reply_start = reply->bytes.len;
    upstream->done = done;
    upstream->ctx = ctx;
    upstream->step = SHARING;
    upstream->member.done = shared;
    rounds_join(&upstream->all->sharing, &upstream->member);
}

/* ---- watching ---- */

void upstream_set_watch(struct upstream *upstream, enum upstream_watch watch)
{
    upstream->watches = watch == UPSTREAM_WATCHES;
    upstream->watch_lost = watch == UPSTREAM_WATCH_LOST;
}

enum upstream_watch upstream_watch_of(const struct upstream *upstream)
{
    if (upstream->watch_lost)
        return UPSTREAM_WATCH_LOST;
    return upstream->watches ? UPSTREAM_WATCHES : UPSTREAM_WATCHES_NOTHING;
}

void upstream_forget_watch(struct upstream *upstream)
{
    static const char unwatch[] = "*1\r\n$7\r\nUNWATCH\r\n";

    if (upstream->watches && remote_send(upstream->remote, unwatch, sizeof(unwatch) - 1) != 0)
        disconnect(upstream); /* which forgets it, too */
    else if (upstream->watches)
        upstream->n_owed++;
    upstream_set_watch(upstream, UPSTREAM_WATCHES_NOTHING);
}

/* ---- its life ---- */

struct upstream *upstream_new(struct upstreams *upstreams)
{
    struct upstream *upstream = calloc(1, sizeof(*upstream));

    if (upstream)
        upstream->all = upstreams;
    return upstream;
}

void upstream_close(struct upstream *upstream)
{
    if (!upstream)
        return;
    rounds_leave(&upstream->member);
    disconnect(upstream);
    if (upstream->step != NOTHING)
        finish_with(upstream, "INDOUBT", "the client is gone");
    free(upstream);
}
