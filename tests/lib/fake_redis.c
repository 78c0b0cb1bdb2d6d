/* The fake Redis's connections: one thread each, on which what is due happens one thing at a time.
 *
 *   idle ---connect---> reaching ---> greeting ---> ready          reaching: nothing is there yet but the wish;
 *     ^                    |             |            |            greeting: Redis has our token, its answer is on its way
 *     +------- refused, late, lost, disconnected -----+
 *
 * A request waits in `out` until Redis gets it, then its answer in `heard`, among the pushes, until it is told. Each has its
 * time; without a delay that is at once. */
#include "fail.h"
#include "fake_answers.h"
#include "fake_requests.h"

#include <stdio.h>
#include <stdlib.h>

static void lock(void)
{
    pthread_mutex_lock(&fake_server.mutex);
}

static void unlock(void)
{
    pthread_mutex_unlock(&fake_server.mutex);
}

static struct hf_shared_error gone(void)
{
    return fake_error(HF_SHARED_LINK, "the connection is gone");
}

static int64_t in_ms(int ms)
{
    return fake_mono_ns() + (int64_t)ms * FAKE_NS_PER_MS;
}

/* ---- losing a connection ---- */

static void forget_heard(struct fake_tier *tier)
{
    for (struct fake_heard *heard = tier->heard, *next; heard; heard = next) {
        next = heard->next;
        fake_release_heard(heard);
    }
    tier->heard = NULL;
    tier->heard_end = &tier->heard;
}

/* What is out, in the order in which it was asked: of some the answers are on their way. */
static struct fake_request_out *take_requests(struct fake_tier *tier)
{
    struct fake_request_out *first = NULL, **end = &first;

    for (struct fake_heard *heard = tier->heard; heard; heard = heard->next) {
        if (!heard->answered)
            continue;
        *end = heard->answered;
        end = &heard->answered->next;
        heard->answered = NULL;
    }
    *end = tier->out;
    tier->out = NULL;
    tier->out_end = &tier->out;
    return first;
}

/* Answer what is out with a loss; on the link thread, with the lock. A server that is stopped gets later what it has not. */
static void drop(struct fake_tier *tier)
{
    struct fake_request_out *requests;

    if (fake_server.stopped && !tier->mute)
        fake_keep_late(tier, tier->out, false);
    requests = take_requests(tier);
    forget_heard(tier);
    fake_forget_watches(&tier->session);
    tier->session.token[0] = '\0';
    tier->connected = tier->connecting = tier->cut = tier->mute = tier->deaf = tier->watching = false;
    tier->attempt++;
    unlock();
    while (requests) {
        struct fake_request_out *request = requests;
        requests = request->next;
        fake_lose_request(tier, request, gone());
    }
    lock();
}

static void lose_connection(struct fake_tier *tier, struct hf_shared_error error)
{
    uint64_t attempt = tier->attempt;

    drop(tier);
    if (tier->attempt != attempt + 1)
        return; /* a `done` has gone on */
    unlock();
    tier->handler->lost(tier->ctx, &error);
    lock();
}

/* ---- making one ---- */

static struct hf_shared_error reach(struct fake_tier *tier)
{
    struct hf_shared_error error = fake_error(HF_SHARED_LINK, "Redis is away");

    if (!fake_server.away && !fake_server.refusing)
        error = fake_greet(tier);
    fake_end_turn();
    return error;
}

static void lose_attempt(struct fake_tier *tier, struct hf_shared_error error)
{
    fake_forget_watches(&tier->session);
    tier->connecting = tier->greeted = false;
    tier->attempt++;
    unlock();
    tier->handler->lost(tier->ctx, &error);
    lock();
}

/* Its answer to our token has come. */
static void begin_connection(struct fake_tier *tier)
{
    struct hf_shared_hello hello = tier->hello;

    tier->connecting = tier->greeted = false;
    tier->connected = true;
    tier->told = fake_server.tell - 1;
    tier->idle_ns = in_ms(tier->heartbeat_ms);
    tier->minute_ns = in_ms(FAKE_TIME_EVERY_MS);
    hello.answered_ms = tier->clock->boot_ms(tier->clock);
    unlock();
    tier->handler->connected(tier->ctx, &hello);
    lock();
    fake_server.told++;
}

static void go_on_connecting(struct fake_tier *tier)
{
    struct hf_shared_error error;

    if (tier->greeted) {
        begin_connection(tier);
        return;
    }
    error = reach(tier);
    if (error.class != HF_SHARED_OK) {
        lose_attempt(tier, error);
        return;
    }
    tier->greeted = true;
    tier->begun_ns = fake_mono_ns() + fake_draw_delay_ns();
}

/* A refusal comes at once; a server that is stopped says nothing. */
static bool may_go_on_connecting(const struct fake_tier *tier)
{
    bool refused = fake_server.away || fake_server.refusing;

    return tier->connecting && tier->begun_ns <= fake_mono_ns() &&
           (refused || tier->greeted || !fake_server.stopped);
}

/* ---- requests ---- */

static bool may_answer(enum fake_request kind)
{
    return !fake_server.scripts[kind].frozen || fake_server.scripts[kind].lets > 0;
}

/* The fate of a request that may be answered now. */
static enum fake_outcome next_outcome(enum fake_request kind)
{
    struct fake_script *script = &fake_server.scripts[kind];

    if (script->frozen)
        script->lets--;
    script->newest = false;
    if (script->n == 0)
        return FAKE_APPLY;
    script->n--;
    return script->outcome;
}

/* Another one of its kind is to be answered first. */
static bool waits_for_newer(const struct fake_request_out *out)
{
    const struct fake_request_out *newer = out->next;

    while (newer && newer->kind != out->kind)
        newer = newer->next;
    return newer && fake_server.scripts[out->kind].newest;
}

/* The first that may be answered: nothing overtakes but what is frozen. */
static struct fake_request_out **next_request(struct fake_tier *tier)
{
    for (struct fake_request_out **at = &tier->out; *at; at = &(*at)->next) {
        if (may_answer((*at)->kind) && !waits_for_newer(*at))
            return (*at)->due_ns <= fake_mono_ns() && !tier->mute && !fake_server.stopped ? at : NULL;
    }
    return NULL;
}

/* What ends the connection: the request is answered when the loss is noticed. */
static void end_by(struct fake_tier *tier, enum fake_outcome outcome)
{
    bool loses = outcome == FAKE_LOSE || outcome == FAKE_LOSE_ANSWER;

    tier->cut |= loses || outcome == FAKE_CUT || outcome == FAKE_CUT_ANSWER || outcome == FAKE_CUT_LATE;
    if (loses)
        fake_cut_all(true);
}

static void take_out(struct fake_tier *tier, struct fake_request_out **at)
{
    struct fake_request_out *request = *at;

    *at = request->next;
    if (!*at)
        tier->out_end = at;
    request->next = NULL;
}

/* The answer comes before what is told at the end of this turn. */
static void queue_answer(struct fake_tier *tier, struct fake_request_out *request)
{
    struct fake_heard *heard = fake_need(calloc(1, sizeof(*heard)));

    heard->answered = request;
    heard->due_ns = fake_mono_ns() + fake_draw_delay_ns();
    *tier->heard_end = heard;
    tier->heard_end = &heard->next;
}

static void serve(struct fake_tier *tier, struct fake_request_out **at)
{
    struct fake_request_out *request = *at;
    enum fake_outcome outcome = next_outcome(request->kind);

    end_by(tier, outcome);
    if (outcome == FAKE_CUT_LATE)
        fake_keep_late(tier, request, true);
    if (outcome == FAKE_LOSE || outcome == FAKE_CUT || outcome == FAKE_CUT_LATE)
        return;
    fake_answer_request(tier, request, outcome);
    take_out(tier, at);
    queue_answer(tier, request);
    fake_end_turn();
}

/* ---- hearing ---- */

static void tell_push(struct fake_tier *tier, const struct fake_heard *heard)
{
    if (heard->all)
        tier->handler->invalidated(tier->ctx, NULL, 0);
    for (size_t i = 0; i < heard->n_keys; i++) {
        struct hf_slice key = fake_slice(&heard->keys[i]);
        tier->handler->invalidated(tier->ctx, &key, 1);
    }
}

/* Who finds that the connection is of no use ends it. */
static void settle(struct fake_tier *tier, uint64_t attempt, struct hf_shared_error error)
{
    bool useless = error.class == HF_SHARED_FENCE || error.class == HF_SHARED_LINK;

    if (useless && attempt == tier->attempt && tier->connected)
        lose_connection(tier, error);
}

static void hear(struct fake_tier *tier)
{
    struct fake_heard *heard = tier->heard;
    struct hf_shared_error error = {0};
    uint64_t attempt = tier->attempt;
    bool time = heard->answered && heard->answered->kind == FAKE_TIME;

    tier->heard = heard->next;
    if (!tier->heard)
        tier->heard_end = &tier->heard;
    tier->idle_ns = in_ms(tier->heartbeat_ms);
    unlock();
    if (heard->answered)
        error = fake_tell_request(tier, heard->answered);
    else
        tell_push(tier, heard);
    heard->answered = NULL;
    fake_release_heard(heard);
    lock();
    fake_server.told += time;
    settle(tier, attempt, error);
}

/* ---- time ---- */

/* The oldest request whose answer was not heard. */
static const struct fake_request_out *oldest(const struct fake_tier *tier)
{
    for (const struct fake_heard *heard = tier->heard; heard; heard = heard->next) {
        if (heard->answered)
            return heard->answered;
    }
    return tier->out;
}

static bool is_late(const struct fake_tier *tier)
{
    const struct fake_request_out *request = oldest(tier);

    return tier->connected && request && request->late_ns != 0 && request->late_ns <= fake_mono_ns();
}

static bool asks_time(const struct fake_tier *tier)
{
    for (const struct fake_heard *heard = tier->heard; heard; heard = heard->next) {
        if (heard->answered && heard->answered->kind == FAKE_TIME)
            return true;
    }
    for (const struct fake_request_out *request = tier->out; request; request = request->next) {
        if (request->kind == FAKE_TIME)
            return true;
    }
    return false;
}

/* A heartbeat is due: of an idle connection, or each minute. */
static bool has_heartbeat(const struct fake_tier *tier)
{
    int64_t now = fake_mono_ns();

    if (!fake_server.keeps_time || !tier->connected || asks_time(tier))
        return false;
    return tier->minute_ns <= now || (!oldest(tier) && tier->idle_ns <= now);
}

static void ask_time(struct fake_tier *tier)
{
    tier->told = fake_server.tell;
    tier->minute_ns = in_ms(FAKE_TIME_EVERY_MS);
    fake_queue_request(tier, FAKE_TIME, NULL, true);
}

/* ---- the thread ---- */

static void call(struct fake_tier *tier, void (*handler)(void *ctx))
{
    unlock();
    handler(tier->ctx);
    lock();
}

static void lose_late(struct fake_tier *tier)
{
    char sentence[64];

    snprintf(sentence, sizeof(sentence), "no answer within %d ms", tier->reply_timeout_ms);
    lose_connection(tier, fake_error(HF_SHARED_LINK, sentence));
}

/* What becomes of a connection that stands; false when nothing does. */
static bool step_connected(struct fake_tier *tier)
{
    struct fake_request_out **request;

    if (tier->cut)
        lose_connection(tier, gone());
    else if (tier->heard && tier->heard->due_ns <= fake_mono_ns() && !tier->deaf)
        hear(tier);
    else if (tier->told != fake_server.tell && !asks_time(tier))
        ask_time(tier);
    else if ((request = next_request(tier)))
        serve(tier, request);
    else if (is_late(tier))
        lose_late(tier);
    else if (has_heartbeat(tier))
        ask_time(tier);
    else
        return false;
    return true;
}

/* Do one thing; false when there is nothing to do. With the lock. */
static bool step(struct fake_tier *tier)
{
    if (tier->woken) {
        tier->woken = false;
        call(tier, tier->handler->woken);
    } else if (tier->has_timer && tier->timer_ns <= fake_mono_ns()) {
        tier->has_timer = false;
        call(tier, tier->handler->timer);
    } else if (may_go_on_connecting(tier)) {
        go_on_connecting(tier);
    } else if (tier->connecting && tier->late_ns != 0 && tier->late_ns <= fake_mono_ns()) {
        lose_attempt(tier, fake_error(HF_SHARED_LINK, "cannot connect: no answer in time"));
    } else {
        return tier->connected && step_connected(tier);
    }
    return true;
}

static void earlier(int64_t *at, bool counts, int64_t ns)
{
    if (counts && ns != 0 && (*at == 0 || ns < *at))
        *at = ns;
}

/* The next time at which something falls due, of what was not due by `now`, when it was looked for last; 0: none. */
static int64_t next_due_ns(const struct fake_tier *tier, int64_t now)
{
    const struct fake_request_out *first = tier->out, *late = oldest(tier);
    int64_t at = 0;

    earlier(&at, tier->has_timer, tier->timer_ns);
    earlier(&at, tier->connecting && tier->begun_ns > now, tier->begun_ns);
    earlier(&at, tier->connecting, tier->late_ns);
    if (!tier->connected)
        return at;
    earlier(&at, tier->heard && tier->heard->due_ns > now, tier->heard ? tier->heard->due_ns : 0);
    while (first && first->due_ns <= now) /* it waits for something else than time */
        first = first->next;
    earlier(&at, first, first ? first->due_ns : 0);
    earlier(&at, late, late ? late->late_ns : 0);
    earlier(&at, fake_server.keeps_time && !late, tier->idle_ns);
    earlier(&at, fake_server.keeps_time && !asks_time(tier), tier->minute_ns);
    return at;
}

static void wait_for_more(const struct fake_tier *tier, int64_t now)
{
    int64_t at = next_due_ns(tier, now);
    struct timespec until = {.tv_sec = at / 1000000000, .tv_nsec = at % 1000000000};

    if (at != 0) /* whatever ended the wait, the next step looks */
        (void)pthread_cond_timedwait(&fake_server.changed, &fake_server.mutex, &until);
    else
        pthread_cond_wait(&fake_server.changed, &fake_server.mutex);
}

static void *fake_main(void *arg)
{
    struct fake_tier *tier = arg;

    lock();
    while (!tier->stopping) {
        int64_t now = fake_mono_ns();
        if (!step(tier))
            wait_for_more(tier, now);
    }
    drop(tier);
    unlock();
    return NULL;
}

/* ---- the seam ---- */

static struct fake_tier *of(struct hf_shared_tier *tier)
{
    return (struct fake_tier *)tier; /* the first member */
}

static int fake_start(struct hf_shared_tier *base, const struct hf_shared_handler *handler, void *ctx)
{
    struct fake_tier *tier = of(base);

    tier->handler = handler;
    tier->ctx = ctx;
    tier->woken = tier->started = true;
    return pthread_create(&tier->thread, NULL, fake_main, tier) == 0 ? 0 : HF_ENOMEM;
}

static void fake_identify(struct hf_shared_tier *base, const struct hf_shared_owner *owner)
{
    of(base)->owner = owner;
}

static void fake_wake(struct hf_shared_tier *base)
{
    lock();
    of(base)->woken = true;
    fake_changed();
    unlock();
}

static void forget_tier(struct fake_tier *tier)
{
    struct fake_tier **at = &fake_server.tiers;

    while (*at != tier)
        at = &(*at)->next;
    *at = tier->next;
    for (size_t i = 0; i < fake_server.n_turned; i++) {
        if (fake_server.turned[i].by == tier)
            fake_server.turned[i].by = NULL;
    }
}

static void fake_stop(struct hf_shared_tier *base)
{
    struct fake_tier *tier = of(base);

    if (!tier)
        return;
    lock();
    tier->stopping = true;
    fake_changed();
    unlock();
    if (tier->started)
        pthread_join(tier->thread, NULL);
    lock();
    forget_tier(tier);
    unlock();
    for (size_t i = 0; i < tier->n_prefixes; i++)
        hf_buf_release(&tier->prefixes[i]);
    free(tier->prefixes);
    free(tier);
}

static void fake_connect(struct hf_shared_tier *base)
{
    struct fake_tier *tier = of(base);

    lock();
    if (tier->connected || tier->connecting)
        drop(tier);
    tier->connecting = true;
    tier->greeted = false;
    tier->attempt++;
    tier->begun_ns = fake_mono_ns() + fake_draw_delay_ns();
    tier->late_ns = fake_server.keeps_time ? in_ms(tier->connect_timeout_ms) : 0;
    tier->hello.asked_ms = tier->clock->boot_ms(tier->clock);
    unlock();
}

static void fake_disconnect(struct hf_shared_tier *base)
{
    lock();
    drop(of(base));
    unlock();
}

static void fake_set_timer(struct hf_shared_tier *base, int delay_ms)
{
    lock();
    of(base)->has_timer = delay_ms >= 0;
    of(base)->timer_ns = in_ms(delay_ms);
    unlock();
}

static void fake_flush(struct hf_shared_tier *base)
{
    (void)base;
}

static const struct hf_shared_ops fake_ops = {
    .start = fake_start,
    .identify = fake_identify,
    .wake = fake_wake,
    .stop = fake_stop,
    .connect = fake_connect,
    .disconnect = fake_disconnect,
    .set_timer = fake_set_timer,
    .flush = fake_flush,
    .send_group = fake_send_group,
    .send_lane = fake_send_lane,
    .send_epoch = fake_send_epoch,
    .send_log_page = fake_send_log_page,
    .send_fetch = fake_send_fetch,
    .send_examine = fake_send_examine,
    .send_decide = fake_send_decide,
    .send_facts = fake_send_facts,
};

/* ---- making one ---- */

static void add_prefix(struct fake_tier *tier, const char *text)
{
    tier->prefixes = fake_need(realloc(tier->prefixes, (tier->n_prefixes + 1) * sizeof(*tier->prefixes)));
    tier->prefixes[tier->n_prefixes++] = fake_copy(hf__slice_str(text));
}

/* As core/wiring/open.c: the namespaces that are shared, and their change logs. */
static void track_shared(struct fake_tier *tier, const struct hf_options *opts)
{
    bool named = false;
    char log[HF_KEY_MAX + 16];

    for (size_t i = 0; opts && i < opts->n_namespaces; i++) {
        const struct hf_namespace *ns = &opts->namespaces[i];
        const char *prefix = ns->prefix ? ns->prefix : "";
        named |= !prefix[0];
        if (ns->write_mode == HF_WRITE_LOCAL)
            continue;
        add_prefix(tier, prefix);
        snprintf(log, sizeof(log), "_hf:%s:log:", prefix);
        add_prefix(tier, log);
    }
    if (!named)
        add_prefix(tier, "");
}

static int or_default(int given, int otherwise)
{
    return given > 0 ? given : otherwise;
}

int fake_redis_open(const struct hf_options *opts, const char *node, struct hf_clock *clock,
                    struct hf_shared_tier **ret_tier)
{
    struct fake_tier *tier = fake_need(calloc(1, sizeof(*tier)));

    tier->base.ops = &fake_ops;
    tier->clock = clock;
    tier->connect_timeout_ms =
        or_default(opts ? opts->redis_connect_timeout_ms : 0, HF_REDIS_CONNECT_TIMEOUT_DEFAULT_MS);
    tier->reply_timeout_ms = or_default(opts ? opts->redis_timeout_ms : 0, HF_REDIS_TIMEOUT_DEFAULT_MS);
    tier->heartbeat_ms = or_default(opts ? opts->redis_heartbeat_ms : 0, HF_REDIS_HEARTBEAT_DEFAULT_MS);
    tier->out_end = &tier->out;
    tier->heard_end = &tier->heard;
    track_shared(tier, opts);
    snprintf(tier->session.node, sizeof(tier->session.node), "%s", node);
    snprintf(tier->session.key, sizeof(tier->session.key), "_hf:session:%s", tier->session.node);
    lock();
    tier->next = fake_server.tiers;
    fake_server.tiers = tier;
    unlock();
    *ret_tier = &tier->base;
    return 0;
}
