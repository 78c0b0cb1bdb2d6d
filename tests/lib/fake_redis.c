/* The fake Redis's connections: one thread each, which serves one request at a time, and the table of the seam. */
#include "deadline.h"
#include "fail.h"
#include "fake_answers.h"

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

/* ---- what becomes of a request ---- */

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
    if (script->n == 0)
        return FAKE_APPLY;
    script->n--;
    return script->outcome;
}

/* The answer is not heard: the request is answered when the loss is noticed. */
static bool is_unheard(enum fake_outcome outcome)
{
    fake_server.away |= outcome == FAKE_LOSE || outcome == FAKE_LOSE_ANSWER;
    return fake_server.away;
}

/* ---- serving: the lock is held before and after, but not while the link is called ---- */

static void serve_group(struct fake_tier *tier)
{
    struct hf_shared_group *group = tier->group;
    enum fake_outcome outcome = next_outcome(FAKE_GROUP);

    if (outcome != FAKE_LOSE)
        fake_answer_group(tier, group, outcome);
    if (is_unheard(outcome))
        return;
    tier->group = NULL;
    unlock();
    group->done(group->ctx, group);
    lock();
}

static void serve_lane(struct fake_tier *tier)
{
    struct hf_shared_lane *lane = tier->lane;
    enum fake_outcome outcome = next_outcome(FAKE_LANE);

    if (outcome != FAKE_LOSE)
        fake_answer_lane(tier, lane, outcome);
    if (is_unheard(outcome))
        return;
    tier->lane = NULL;
    unlock();
    lane->done(lane->ctx, lane);
    lock();
}

static void serve_epoch(struct fake_tier *tier)
{
    struct hf_shared_epoch *epoch = tier->epoch;
    enum fake_outcome outcome = next_outcome(FAKE_EPOCH);

    if (outcome != FAKE_LOSE)
        fake_answer_epoch(tier, epoch);
    if (is_unheard(outcome))
        return;
    tier->epoch = NULL;
    unlock();
    epoch->done(epoch->ctx, epoch);
    lock();
}

static void serve_page(struct fake_tier *tier)
{
    struct hf_shared_log_page *page = tier->page;
    struct fake_named named;

    if (is_unheard(next_outcome(FAKE_LOG_PAGE)))
        return;
    named = fake_answer_page(page);
    tier->page = NULL;
    unlock();
    fake_tell_page(page, &named);
    page->done(page->ctx, page);
    lock();
}

static void serve_fetch(struct fake_tier *tier)
{
    struct hf_shared_fetch *fetch;
    struct hf_buf value;

    if (is_unheard(next_outcome(FAKE_FETCH)))
        return;
    fetch = tier->fetches[--tier->n_fetches];
    fake_answer_fetch(tier, fetch);
    value = fake_copy(fetch->value);
    fetch->value = fake_slice(&value);
    unlock();
    fetch->done(fetch->ctx, fetch);
    lock();
    hf_buf_release(&value);
}

static void serve_decide(struct fake_tier *tier)
{
    struct hf_shared_decide *decide = tier->decide;
    enum fake_outcome outcome = next_outcome(FAKE_DECIDE);
    const struct fake_key *key = fake_find_live(decide->key);
    struct hf_buf found = fake_copy(fake_is_string(key) ? fake_slice(&key->value) : hf__slice(NULL, 0));

    if (outcome != FAKE_LOSE)
        fake_answer_decide(tier, decide, outcome);
    if (!is_unheard(outcome)) {
        decide->found = fake_slice(&found);
        tier->decide = NULL;
        unlock();
        decide->done(decide->ctx, decide);
        lock();
    }
    hf_buf_release(&found);
}

static void serve_facts(struct fake_tier *tier)
{
    struct hf_shared_facts *facts = tier->facts;
    enum fake_outcome outcome = next_outcome(FAKE_FACTS);

    if (is_unheard(outcome))
        return;
    tier->facts = NULL;
    fake_answer_facts(tier, facts, outcome);
    unlock();
    facts->done(facts->ctx, facts);
    lock();
}

/* Copies of the values and of what the logs name, because both may change as soon as the lock is given up. */
static void tell_examine(struct hf_shared_examine *examine)
{
    size_t n_keys = examine->n_keys; /* once it is done, the request is its owner's */
    struct hf_buf *values = fake_need(calloc(n_keys + 1, sizeof(*values)));
    struct fake_named *named = fake_need(calloc(examine->n_logs + 1, sizeof(*named)));

    for (size_t i = 0; i < n_keys; i++) {
        values[i] = fake_copy(examine->keys[i].value);
        examine->keys[i].value = fake_slice(&values[i]);
    }
    for (size_t i = 0; i < examine->n_logs; i++)
        named[i] = fake_answer_page(&examine->logs[i]);
    unlock();
    for (size_t i = 0; i < examine->n_logs; i++)
        fake_tell_page(&examine->logs[i], &named[i]);
    examine->done(examine->ctx, examine);
    lock();
    for (size_t i = 0; i < n_keys; i++)
        hf_buf_release(&values[i]);
    free(values);
    free(named);
}

static void serve_examine(struct fake_tier *tier)
{
    struct hf_shared_examine *examine = tier->examines[0];
    enum fake_outcome outcome = next_outcome(FAKE_EXAMINE);

    if (is_unheard(outcome))
        return;
    memmove(tier->examines, tier->examines + 1, --tier->n_examines * sizeof(examine));
    fake_answer_examine(tier, examine, outcome);
    tell_examine(examine);
}

static void serve_time(struct fake_tier *tier)
{
    int64_t now_ms = tier->clock->boot_ms(tier->clock), redis_ms;

    if (is_unheard(next_outcome(FAKE_TIME)))
        return;
    redis_ms = fake_tell_time_ms();
    tier->told = fake_server.tell;
    unlock();
    if (tier->handler->clock)
        tier->handler->clock(tier->ctx, redis_ms, now_ms, now_ms);
    lock();
    fake_server.told++;
}

/* ---- losing a connection ---- */

static struct hf_shared_error gone(void)
{
    return fake_error(HF_SHARED_LINK, "the connection is gone");
}

static void lose_group(struct hf_shared_group *group)
{
    group->error = gone();
    for (size_t i = 0; i < group->n_items; i++)
        group->items[i].error = gone();
    group->done(group->ctx, group);
}

static void lose_lane(struct hf_shared_lane *lane)
{
    lane->error = gone();
    lane->outcome = HF_LANE_FAILED;
    lane->log.last_id[0] = '\0';
    lane->done(lane->ctx, lane);
}

/* The others have nothing but an error to fill in. */
#define LOSE(request)                                                                                              \
    do {                                                                                                           \
        (request)->error = gone();                                                                                 \
        (request)->done((request)->ctx, (request));                                                                \
    } while (0)

static void lose_requests(const struct fake_tier *was)
{
    if (was->group)
        lose_group(was->group);
    if (was->lane)
        lose_lane(was->lane);
    if (was->epoch)
        LOSE(was->epoch);
    if (was->page)
        LOSE(was->page);
    if (was->decide)
        LOSE(was->decide);
    if (was->facts)
        LOSE(was->facts);
    for (size_t i = 0; i < was->n_examines; i++)
        LOSE(was->examines[i]);
    for (size_t i = 0; i < was->n_fetches; i++)
        LOSE(was->fetches[i]);
}

/* Answer what is out with a loss; on the link thread, with the lock. */
static void drop(struct fake_tier *tier)
{
    struct fake_tier was;

    fake_forget_watches(tier);
    fake_forget_pushes(tier);
    was = *tier;
    tier->connected = tier->connecting = tier->cut = false;
    tier->group = NULL;
    tier->lane = NULL;
    tier->epoch = NULL;
    tier->page = NULL;
    tier->decide = NULL;
    tier->facts = NULL;
    tier->n_fetches = tier->n_examines = 0;
    unlock();
    lose_requests(&was);
    lock();
}

/* ---- the thread ---- */

static void make_connection(struct fake_tier *tier)
{
    struct hf_shared_error away = fake_error(HF_SHARED_LINK, "Redis is away");
    struct hf_shared_hello hello = {.master = true, .version = "7.0.0"};
    bool connected = !fake_server.away;

    tier->connecting = false;
    tier->connected = connected;
    tier->wipes = fake_server.wipes;
    tier->untracked = false;
    hello.tracking = tier->handler->invalidated && !fake_server.no_tracking;
    if (connected)
        hello.redis_ms = fake_tell_time_ms();
    hello.asked_ms = hello.answered_ms = tier->clock->boot_ms(tier->clock);
    tier->told = fake_server.tell - 1;
    unlock();
    if (connected)
        tier->handler->connected(tier->ctx, &hello);
    else
        tier->handler->lost(tier->ctx, &away);
    lock();
    fake_server.told += connected;
}

static void lose_connection(struct fake_tier *tier)
{
    struct hf_shared_error error = gone();

    drop(tier);
    unlock();
    tier->handler->lost(tier->ctx, &error);
    lock();
}

/* What others changed is told before anything is answered that was asked later. */
static void tell_pushes(struct fake_tier *tier)
{
    struct fake_tier told = {.pushes = tier->pushes, .n_pushes = tier->n_pushes, .push_all = tier->push_all};

    tier->pushes = NULL; /* they are `told`'s now */
    tier->n_pushes = 0;
    tier->push_all = false;
    unlock();
    for (size_t i = 0; i < told.n_pushes; i++) {
        struct hf_slice key = fake_slice(&told.pushes[i]);
        tier->handler->invalidated(tier->ctx, &key, 1);
    }
    if (told.push_all)
        tier->handler->invalidated(tier->ctx, NULL, 0);
    lock();
    fake_forget_pushes(&told);
}

static void call(struct fake_tier *tier, void (*handler)(void *ctx))
{
    unlock();
    handler(tier->ctx);
    lock();
}

/* A request that is out, one of each kind in turn. */
static const struct server {
    enum fake_request kind;
    void (*serve)(struct fake_tier *tier);
} servers[] = {
    {FAKE_TIME, serve_time},     {FAKE_FACTS, serve_facts},     {FAKE_EPOCH, serve_epoch},
    {FAKE_LOG_PAGE, serve_page}, {FAKE_EXAMINE, serve_examine}, {FAKE_GROUP, serve_group},
    {FAKE_LANE, serve_lane},     {FAKE_DECIDE, serve_decide},   {FAKE_FETCH, serve_fetch},
};

static bool is_out(const struct fake_tier *tier, enum fake_request kind)
{
    switch (kind) {
    case FAKE_GROUP: return tier->group;
    case FAKE_LANE: return tier->lane;
    case FAKE_EPOCH: return tier->epoch;
    case FAKE_LOG_PAGE: return tier->page;
    case FAKE_FETCH: return tier->n_fetches > 0;
    case FAKE_EXAMINE: return tier->n_examines > 0;
    case FAKE_DECIDE: return tier->decide;
    case FAKE_TIME: return tier->connected && tier->told != fake_server.tell;
    default: return tier->facts;
    }
}

static bool serve_one(struct fake_tier *tier)
{
    for (size_t i = 0; i < sizeof(servers) / sizeof(*servers); i++) {
        if (is_out(tier, servers[i].kind) && may_answer(servers[i].kind)) {
            servers[i].serve(tier);
            return true;
        }
    }
    return false;
}

/* Do one thing; false when there is nothing to do. With the lock. */
static bool step(struct fake_tier *tier)
{
    if (tier->woken) {
        tier->woken = false;
        call(tier, tier->handler->woken);
    } else if (tier->has_timer && hf__deadline_passed(&tier->timer)) {
        tier->has_timer = false;
        call(tier, tier->handler->timer);
    } else if (tier->connecting) {
        make_connection(tier);
    } else if (tier->connected && (fake_server.away || tier->cut)) {
        lose_connection(tier);
    } else if (tier->n_pushes > 0 || tier->push_all) {
        tell_pushes(tier);
    } else {
        return serve_one(tier);
    }
    return true;
}

static void *fake_main(void *arg)
{
    struct fake_tier *tier = arg;

    lock();
    while (!tier->stopping) {
        if (step(tier))
            continue;
        if (tier->has_timer) /* whatever ended the wait, the next step looks */
            (void)pthread_cond_timedwait(&fake_server.changed, &fake_server.mutex, &tier->timer);
        else
            pthread_cond_wait(&fake_server.changed, &fake_server.mutex);
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

static void fake_wake(struct hf_shared_tier *base)
{
    lock();
    of(base)->woken = true;
    fake_changed();
    unlock();
}

static void forget_tier(const struct fake_tier *tier)
{
    struct fake_tier **at = &fake_server.tiers;

    while (*at != tier)
        at = &(*at)->next;
    *at = tier->next;
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
    free(tier);
}

static void fake_connect(struct hf_shared_tier *base)
{
    lock();
    of(base)->connecting = true;
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
    if (delay_ms >= 0)
        hf__deadline_in(&of(base)->timer, delay_ms);
    unlock();
}

/* ---- sending ---- */

/* As a real connection does: one request at a time, but for those that may run beside others. */
static int may_send(const struct fake_tier *tier, bool beside)
{
    bool busy = tier->group || tier->lane || tier->epoch || tier->page || tier->decide;

    for (size_t i = 0; i < tier->n_examines; i++)
        busy |= tier->examines[i]->watch;
    if (!tier->connected)
        return hf__fail(HF_EOFFLINE, "the shared tier is not connected");
    if (busy && !beside)
        return hf__fail(HF_EBUSY, "a request to the shared tier is already out");
    return 0;
}

/* A broken promise of the seam: the test could only end in something that Redis never does. */
static void must(bool kept, const char *promise)
{
    if (kept)
        return;
    fprintf(stderr, "fake Redis: the link broke a promise of the seam: %s\n", promise);
    abort();
}

#define WATCH_PROMISE "after an examination that watches comes another one, or a group with `watched`"

/* With the lock, which is given up: `slot` is where the request waits. */
#define SEND(tier, slot, request, kind, beside)                                                                    \
    do {                                                                                                           \
        int rc_ = may_send((tier), (beside));                                                                      \
        if (rc_ == 0) {                                                                                            \
            (slot) = (request);                                                                                    \
            fake_server.scripts[(kind)].asked++;                                                                   \
        }                                                                                                          \
        unlock();                                                                                                  \
        return rc_;                                                                                                \
    } while (0)

static void fake_flush(struct hf_shared_tier *base)
{
    (void)base;
}

static int fake_send_group(struct hf_shared_tier *base, struct hf_shared_group *group)
{
    struct fake_tier *tier = of(base);

    lock();
    must(group->watched || !tier->watching, WATCH_PROMISE);
    must(group->watched || group->n_items > 0, "a group without items is one that ends the watching");
    SEND(tier, tier->group, group, FAKE_GROUP, false);
}

static int fake_send_lane(struct hf_shared_tier *base, struct hf_shared_lane *lane)
{
    lock();
    must(!of(base)->watching, WATCH_PROMISE);
    SEND(of(base), of(base)->lane, lane, FAKE_LANE, false);
}

static int fake_send_epoch(struct hf_shared_tier *base, struct hf_shared_epoch *epoch)
{
    lock();
    must(!of(base)->watching, WATCH_PROMISE);
    SEND(of(base), of(base)->epoch, epoch, FAKE_EPOCH, false);
}

static int fake_send_log_page(struct hf_shared_tier *base, struct hf_shared_log_page *page)
{
    lock();
    must(!of(base)->watching, WATCH_PROMISE);
    SEND(of(base), of(base)->page, page, FAKE_LOG_PAGE, false);
}

static int fake_send_decide(struct hf_shared_tier *base, struct hf_shared_decide *decide)
{
    lock();
    must(!of(base)->watching, WATCH_PROMISE);
    SEND(of(base), of(base)->decide, decide, FAKE_DECIDE, false);
}

static int fake_send_facts(struct hf_shared_tier *base, struct hf_shared_facts *facts)
{
    lock();
    must(!of(base)->facts, "one request for facts at a time");
    SEND(of(base), of(base)->facts, facts, FAKE_FACTS, true);
}

static int fake_send_fetch(struct hf_shared_tier *base, struct hf_shared_fetch *fetch)
{
    struct fake_tier *tier = of(base);

    lock();
    must(tier->n_fetches < FAKE_SIDE_MAX, "no more fetches at once than the fake has room for");
    SEND(tier, tier->fetches[tier->n_fetches++], fetch, FAKE_FETCH, true);
}

static int fake_send_examine(struct hf_shared_tier *base, struct hf_shared_examine *examine)
{
    struct fake_tier *tier = of(base);

    lock();
    must(tier->n_examines < FAKE_SIDE_MAX, "no more examinations at once than the fake has room for");
    tier->watching |= examine->watch && may_send(tier, false) == 0;
    SEND(tier, tier->examines[tier->n_examines++], examine, FAKE_EXAMINE, !examine->watch);
}

/* It has no session tokens. */
static void fake_identify(struct hf_shared_tier *base, const struct hf_shared_owner *owner)
{
    (void)base;
    (void)owner;
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

int fake_redis_open(const struct hf_options *opts, const char *node, struct hf_clock *clock,
                    struct hf_shared_tier **ret_tier)
{
    struct fake_tier *tier = fake_need(calloc(1, sizeof(*tier)));

    (void)opts;
    tier->base.ops = &fake_ops;
    tier->clock = clock;
    snprintf(tier->node, sizeof(tier->node), "%s", node);
    lock();
    tier->next = fake_server.tiers;
    fake_server.tiers = tier;
    unlock();
    *ret_tier = &tier->base;
    return 0;
}
