/* The fake tiers: one thread per connection to the fake Redis, one table of wrapped operations for LMDB. */
#include "fake_tier.h"

#include "bytes.h"
#include "deadline.h"
#include "fail.h"
#include "lmdb_tier.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define EPOCH "0123456789abcdef0123456789abcdef"
#define FETCHES_MAX 64u

/* ---- what Redis holds ---- */

struct fake_key {
    struct fake_key *next;
    struct hf_buf key, value;
    bool live;
    int64_t deadline_ms;
    unsigned applied;
};

/* One name in the change log; its stream id is its place, counted from 1. */
struct fake_change {
    char node[33];
    enum hf_shared_op op;
    struct hf_buf key;
    uint64_t lsn;
};

/* How requests of one kind are answered. */
struct fake_script {
    enum fake_outcome outcome;
    unsigned n;    /* of the next requests that end with this outcome */
    bool frozen;   /* no answers ... */
    unsigned lets; /* ... but for these */
    unsigned asked;
};

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed; /* whatever a connection's thread looks at */
    bool away;
    struct fake_key *keys;
    struct fake_change *log;
    size_t n_log, log_capacity;
    uint64_t mark;
    struct fake_script scripts[FAKE_REQUESTS];
    unsigned torn_units;
    bool has_clock;
    int64_t ahead_ms; /* has_clock: Redis's clock minus the boot clock */
    int64_t wrong_ms; /* of the next answer to TIME */
    unsigned tell, told;
} redis = {.mutex = PTHREAD_MUTEX_INITIALIZER};

/* One connection. Its thread is the link thread of the seam. */
struct fake_tier {
    struct hf_shared_tier base;
    pthread_t thread;
    const struct hf_shared_handler *handler;
    void *ctx;
    struct hf_clock *clock;
    char node[33];
    /* redis.mutex */
    bool started, stopping, woken, connecting, connected, has_timer;
    unsigned told; /* of redis.tell */
    struct timespec timer;
    struct hf_shared_group *group;
    struct hf_shared_lane *lane;
    struct hf_shared_epoch *epoch;
    struct hf_shared_log_page *page;
    struct hf_shared_fetch *fetches[FETCHES_MAX];
    size_t n_fetches;
};

static void lock(void)
{
    pthread_mutex_lock(&redis.mutex);
}

static void unlock(void)
{
    pthread_mutex_unlock(&redis.mutex);
}

static void changed(void)
{
    pthread_cond_broadcast(&redis.changed);
}

/* The fake's own memory is not what is tested. */
static void *need(void *memory)
{
    if (!memory)
        abort();
    return memory;
}

static struct hf_buf copy(struct hf_slice s)
{
    struct hf_buf buf = {0};

    if (hf__buf_copy(s, &buf) != 0)
        abort();
    return buf;
}

static struct hf_slice slice_of(const struct hf_buf *buf)
{
    return hf__slice(buf->data, buf->len);
}

/* These take the lock for granted. */
static struct fake_key *find_key(struct hf_slice name)
{
    struct fake_key *key = redis.keys;

    while (key && !hf__slice_eq(slice_of(&key->key), name))
        key = key->next;
    return key;
}

static struct fake_key *find_or_make_key(struct hf_slice name)
{
    struct fake_key *key = find_key(name);

    if (key)
        return key;
    key = need(calloc(1, sizeof(*key)));
    key->key = copy(name);
    key->next = redis.keys;
    redis.keys = key;
    return key;
}

static void store_value(struct fake_key *key, struct hf_slice value, int64_t deadline_ms)
{
    hf_buf_release(&key->value);
    key->value = copy(value);
    key->deadline_ms = deadline_ms;
    key->live = true;
}

static void apply_change(struct fake_key *key, enum hf_shared_op op, struct hf_slice value, int64_t deadline_ms)
{
    key->applied++;
    if (op == HF_SHARED_SET)
        store_value(key, value, deadline_ms);
    else if (op == HF_SHARED_DELETE)
        key->live = false;
    else if (op == HF_SHARED_EXPIRE && key->live)
        key->deadline_ms = deadline_ms;
    else if (op == HF_SHARED_PERSIST)
        key->deadline_ms = 0;
}

static int64_t add_to_counter(struct fake_key *key, int64_t delta, int64_t deadline_ms)
{
    int64_t number = (key->live ? strtoll(key->value.data, NULL, 10) : 0) + delta;
    char text[24];

    key->applied++;
    snprintf(text, sizeof(text), "%" PRId64, number);
    store_value(key, hf__slice_str(text), key->live ? key->deadline_ms : deadline_ms);
    return number;
}

static void append_log(const struct fake_tier *tier, enum hf_shared_op op, struct hf_slice key, uint64_t lsn)
{
    struct fake_change *change;

    if (redis.n_log == redis.log_capacity) {
        redis.log_capacity = redis.log_capacity ? 2 * redis.log_capacity : 64;
        redis.log = need(realloc(redis.log, redis.log_capacity * sizeof(*redis.log)));
    }
    change = &redis.log[redis.n_log++];
    *change = (struct fake_change){.op = op, .key = copy(key), .lsn = lsn};
    memcpy(change->node, tier->node, sizeof(change->node));
}

static void format_id(char *id, size_t size, size_t n)
{
    snprintf(id, size, "%zu-%d", n, n > 0);
}

/* ---- answers ---- */

static int64_t redis_now_ms(const struct fake_tier *tier)
{
    return redis.has_clock ? tier->clock->boot_ms(tier->clock) + redis.ahead_ms : tier->clock->wall_ms(tier->clock);
}

static int64_t tell_time(const struct fake_tier *tier)
{
    int64_t ms = redis_now_ms(tier) + redis.wrong_ms;

    redis.wrong_ms = 0;
    return ms;
}

static struct hf_shared_error error_of(enum hf_shared_class class, const char *reason)
{
    struct hf_shared_error error = {.class = class};

    snprintf(error.reason, sizeof(error.reason), "%s", reason);
    return error;
}

static struct hf_shared_error out_of_memory(void)
{
    struct hf_shared_error error = error_of(HF_SHARED_STATE, "OOM command not allowed");

    error.oom = true;
    return error;
}

/* With the lock: the fate of a request that may be answered now. */
static enum fake_outcome next_outcome(enum fake_request kind)
{
    struct fake_script *script = &redis.scripts[kind];

    if (script->frozen)
        script->lets--;
    if (script->n == 0)
        return FAKE_APPLY;
    script->n--;
    return script->outcome;
}

static bool may_answer(enum fake_request kind)
{
    return !redis.scripts[kind].frozen || redis.scripts[kind].lets > 0;
}

static struct hf_shared_error item_error(const struct hf_shared_item *item, enum fake_outcome outcome)
{
    if (outcome == FAKE_OOM && item->op == HF_SHARED_SET)
        return out_of_memory();
    if (outcome == FAKE_REFUSE)
        return error_of(HF_SHARED_ENTRY, "WRONGTYPE");
    if (outcome == FAKE_RETRY)
        return error_of(HF_SHARED_RETRY, "a racing writer");
    return error_of(HF_SHARED_OK, "");
}

static void apply_group(const struct fake_tier *tier, struct hf_shared_group *group, enum fake_outcome outcome)
{
    group->error = error_of(HF_SHARED_OK, "");
    for (size_t i = 0; i < group->n_items; i++) {
        struct hf_shared_item *item = &group->items[i];
        item->error = item_error(item, outcome);
        if (item->error.class == HF_SHARED_STATE)
            group->error = item->error;
        if (item->error.class != HF_SHARED_OK)
            continue;
        apply_change(find_or_make_key(item->key), item->op, item->value, item->deadline_ms);
        if (group->n_logs > 0)
            append_log(tier, item->op, item->key, item->lsn);
    }
    for (size_t i = 0; i < group->n_logs; i++) {
        group->logs[i].missing = false;
        format_id(group->logs[i].last_id, sizeof(group->logs[i].last_id), redis.n_log);
    }
}

static void apply_lane(const struct fake_tier *tier, struct hf_shared_lane *lane)
{
    uint64_t last = lane->ops[lane->n_ops - 1].lsn;

    lane->outcome = HF_LANE_ALREADY;
    if (redis.mark == last)
        return;
    lane->outcome = HF_LANE_MARK;
    lane->mark = redis.mark;
    if (redis.mark != lane->prev)
        return;
    lane->outcome = HF_LANE_APPLIED;
    redis.torn_units += lane->ops[lane->n_ops - 1].more;
    for (size_t i = 0; i < lane->n_ops; i++) {
        struct hf_shared_lane_op *op = &lane->ops[i];
        struct fake_key *key = find_or_make_key(op->key);
        op->expired = false;
        op->has_number = op->op == HF_SHARED_INCR;
        if (op->has_number)
            op->number = add_to_counter(key, op->delta, op->deadline_ms);
        else
            apply_change(key, op->op, op->value, op->deadline_ms);
        if (lane->log.key.len > 0)
            append_log(tier, op->op, op->key, op->lsn);
    }
    redis.mark = last;
    format_id(lane->log.last_id, sizeof(lane->log.last_id), redis.n_log);
}

static void fail_lane(struct hf_shared_lane *lane, enum fake_outcome outcome)
{
    lane->outcome = outcome == FAKE_REFUSE ? HF_LANE_BAD : HF_LANE_FAILED;
    lane->bad = 0;
    if (outcome == FAKE_REFUSE)
        lane->error = error_of(HF_SHARED_ENTRY, "WRONGTYPE");
    else
        lane->error = outcome == FAKE_OOM ? out_of_memory() : error_of(HF_SHARED_RETRY, "a racing writer");
}

/* Each serves one request: the lock is held before and after, but not while the link is called. */
static void serve_group(struct fake_tier *tier)
{
    struct hf_shared_group *group = tier->group;
    enum fake_outcome outcome = next_outcome(FAKE_GROUP);

    if (outcome != FAKE_LOSE)
        apply_group(tier, group, outcome);
    redis.away |= outcome == FAKE_LOSE || outcome == FAKE_LOSE_ANSWER;
    if (redis.away) /* it is answered when the loss is noticed */
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

    lane->error = error_of(HF_SHARED_OK, "");
    lane->log.last_id[0] = '\0';
    if (outcome == FAKE_APPLY || outcome == FAKE_LOSE_ANSWER)
        apply_lane(tier, lane);
    else if (outcome != FAKE_LOSE)
        fail_lane(lane, outcome);
    redis.away |= outcome == FAKE_LOSE || outcome == FAKE_LOSE_ANSWER;
    if (redis.away)
        return;
    tier->lane = NULL;
    unlock();
    lane->done(lane->ctx, lane);
    lock();
}

static void serve_epoch(struct fake_tier *tier)
{
    struct hf_shared_epoch *epoch = tier->epoch;

    (void)next_outcome(FAKE_EPOCH);
    tier->epoch = NULL;
    epoch->error = error_of(HF_SHARED_OK, "");
    epoch->created = epoch->log_missing = false;
    epoch->mark = redis.mark;
    memcpy(epoch->epoch, EPOCH, sizeof(epoch->epoch));
    format_id(epoch->log_last_id, sizeof(epoch->log_last_id), redis.n_log);
    unlock();
    epoch->done(epoch->ctx, epoch);
    lock();
}

/* The log only grows, and what an element points to stays. */
static void serve_page(struct fake_tier *tier)
{
    struct hf_shared_log_page *page = tier->page;
    size_t i = strtoul(page->after_id, NULL, 10);

    (void)next_outcome(FAKE_LOG_PAGE);
    tier->page = NULL;
    page->error = error_of(HF_SHARED_OK, "");
    page->gap = false;
    for (page->n_entries = 0; i < redis.n_log && page->n_entries < page->count; page->n_entries++) {
        struct fake_change logged = redis.log[i++];
        struct hf_shared_change change = {
            .node = logged.node, .op = logged.op, .key = slice_of(&logged.key), .lsn = logged.lsn};
        format_id(page->after_id, sizeof(page->after_id), i);
        change.id = page->after_id;
        unlock();
        page->each(page->ctx, &change);
        lock();
    }
    unlock();
    page->done(page->ctx, page);
    lock();
}

static void serve_fetch(struct fake_tier *tier)
{
    struct hf_shared_fetch *fetch = tier->fetches[--tier->n_fetches];
    struct fake_key *key = find_key(fetch->key);
    struct hf_buf value = {0};

    (void)next_outcome(FAKE_FETCH);
    fetch->error = error_of(HF_SHARED_OK, "");
    fetch->found = key && key->live;
    fetch->ttl_ms = -1;
    if (fetch->found) {
        value = copy(slice_of(&key->value));
        if (key->deadline_ms != 0)
            fetch->ttl_ms = key->deadline_ms - redis_now_ms(tier);
    }
    fetch->value = slice_of(&value);
    unlock();
    fetch->done(fetch->ctx, fetch);
    lock();
    hf_buf_release(&value);
}

/* Answer what is out with a loss; on the link thread, with the lock. */
static void drop(struct fake_tier *tier)
{
    struct hf_shared_error gone = error_of(HF_SHARED_LINK, "the connection is gone");
    struct fake_tier was = *tier;

    tier->connected = tier->connecting = false;
    tier->group = NULL;
    tier->lane = NULL;
    tier->epoch = NULL;
    tier->page = NULL;
    tier->n_fetches = 0;
    unlock();
    if (was.group) {
        was.group->error = gone;
        was.group->done(was.group->ctx, was.group);
    }
    if (was.lane) {
        was.lane->error = gone;
        was.lane->outcome = HF_LANE_FAILED;
        was.lane->log.last_id[0] = '\0';
        was.lane->done(was.lane->ctx, was.lane);
    }
    if (was.epoch) {
        was.epoch->error = gone;
        was.epoch->done(was.epoch->ctx, was.epoch);
    }
    if (was.page) {
        was.page->error = gone;
        was.page->done(was.page->ctx, was.page);
    }
    for (size_t i = 0; i < was.n_fetches; i++) {
        was.fetches[i]->error = gone;
        was.fetches[i]->done(was.fetches[i]->ctx, was.fetches[i]);
    }
    lock();
}

/* ---- the thread ---- */

static void make_connection(struct fake_tier *tier)
{
    struct hf_shared_error away = error_of(HF_SHARED_LINK, "Redis is away");
    struct hf_shared_hello hello = {.master = true, .version = "7.0.0"};
    bool connected = !redis.away;

    tier->connecting = false;
    tier->connected = connected;
    if (connected)
        hello.redis_ms = tell_time(tier);
    hello.asked_ms = hello.answered_ms = tier->clock->boot_ms(tier->clock);
    tier->told = redis.tell - 1;
    unlock();
    if (connected)
        tier->handler->connected(tier->ctx, &hello);
    else
        tier->handler->lost(tier->ctx, &away);
    lock();
    redis.told += connected;
    changed();
}

static void serve_time(struct fake_tier *tier)
{
    int64_t now_ms = tier->clock->boot_ms(tier->clock), redis_ms = tell_time(tier);

    (void)next_outcome(FAKE_TIME);
    tier->told = redis.tell;
    unlock();
    if (tier->handler->clock)
        tier->handler->clock(tier->ctx, redis_ms, now_ms, now_ms);
    lock();
    redis.told++;
    changed();
}

static void lose_connection(struct fake_tier *tier)
{
    struct hf_shared_error gone = error_of(HF_SHARED_LINK, "the connection is gone");

    drop(tier);
    unlock();
    tier->handler->lost(tier->ctx, &gone);
    lock();
}

static void call(struct fake_tier *tier, void (*handler)(void *ctx))
{
    unlock();
    handler(tier->ctx);
    lock();
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
    } else if (tier->connected && redis.away) {
        lose_connection(tier);
    } else if (tier->connected && tier->told != redis.tell && may_answer(FAKE_TIME)) {
        serve_time(tier);
    } else if (tier->epoch && may_answer(FAKE_EPOCH)) {
        serve_epoch(tier);
    } else if (tier->page && may_answer(FAKE_LOG_PAGE)) {
        serve_page(tier);
    } else if (tier->group && may_answer(FAKE_GROUP)) {
        serve_group(tier);
    } else if (tier->lane && may_answer(FAKE_LANE)) {
        serve_lane(tier);
    } else if (tier->n_fetches > 0 && may_answer(FAKE_FETCH)) {
        serve_fetch(tier);
    } else {
        return false;
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
            (void)pthread_cond_timedwait(&redis.changed, &redis.mutex, &tier->timer);
        else
            pthread_cond_wait(&redis.changed, &redis.mutex);
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
    changed();
    unlock();
}

static void fake_stop(struct hf_shared_tier *base)
{
    struct fake_tier *tier = of(base);

    if (!tier)
        return;
    lock();
    tier->stopping = true;
    changed();
    unlock();
    if (tier->started)
        pthread_join(tier->thread, NULL);
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

static int fake_send_group(struct hf_shared_tier *base, struct hf_shared_group *group)
{
    lock();
    of(base)->group = group;
    redis.scripts[FAKE_GROUP].asked++;
    unlock();
    return 0;
}

static int fake_send_lane(struct hf_shared_tier *base, struct hf_shared_lane *lane)
{
    lock();
    of(base)->lane = lane;
    redis.scripts[FAKE_LANE].asked++;
    unlock();
    return 0;
}

static int fake_send_epoch(struct hf_shared_tier *base, struct hf_shared_epoch *epoch)
{
    lock();
    of(base)->epoch = epoch;
    redis.scripts[FAKE_EPOCH].asked++;
    unlock();
    return 0;
}

static int fake_send_log_page(struct hf_shared_tier *base, struct hf_shared_log_page *page)
{
    lock();
    of(base)->page = page;
    redis.scripts[FAKE_LOG_PAGE].asked++;
    unlock();
    return 0;
}

static int fake_send_fetch(struct hf_shared_tier *base, struct hf_shared_fetch *fetch)
{
    struct fake_tier *tier = of(base);
    int rc = HF_EBUSY;

    lock();
    if (tier->n_fetches < FETCHES_MAX) {
        tier->fetches[tier->n_fetches++] = fetch;
        redis.scripts[FAKE_FETCH].asked++;
        rc = 0;
    }
    unlock();
    return rc;
}

static const struct hf_shared_ops fake_ops = {
    .start = fake_start,
    .wake = fake_wake,
    .stop = fake_stop,
    .connect = fake_connect,
    .disconnect = fake_disconnect,
    .set_timer = fake_set_timer,
    .send_group = fake_send_group,
    .send_lane = fake_send_lane,
    .send_epoch = fake_send_epoch,
    .send_log_page = fake_send_log_page,
    .send_fetch = fake_send_fetch,
};

int fake_redis_open(const struct hf_options *opts, const char *node, struct hf_clock *clock,
                    struct hf_shared_tier **ret_tier)
{
    struct fake_tier *tier = need(calloc(1, sizeof(*tier)));

    (void)opts;
    tier->base.ops = &fake_ops;
    tier->clock = clock;
    snprintf(tier->node, sizeof(tier->node), "%s", node);
    *ret_tier = &tier->base;
    return 0;
}

/* ---- what tests set and ask ---- */

void fake_redis_start(void)
{
    redis.away = false;
    redis.mark = 0;
    redis.torn_units = 0;
    redis.has_clock = false;
    redis.wrong_ms = 0;
    redis.told = 0;
    memset(redis.scripts, 0, sizeof(redis.scripts));
    hf__cond_init(&redis.changed);
}

void fake_redis_stop(void)
{
    for (struct fake_key *key = redis.keys, *next; key; key = next) {
        next = key->next;
        hf_buf_release(&key->key);
        hf_buf_release(&key->value);
        free(key);
    }
    for (size_t i = 0; i < redis.n_log; i++)
        hf_buf_release(&redis.log[i].key);
    free(redis.log);
    redis.keys = NULL;
    redis.log = NULL;
    redis.n_log = redis.log_capacity = 0;
    pthread_cond_destroy(&redis.changed);
}

void fake_redis_set_away(bool away)
{
    lock();
    redis.away = away;
    changed();
    unlock();
}

void fake_redis_set_clock(struct hf_clock *clock, int64_t redis_ms)
{
    lock();
    redis.has_clock = true;
    redis.ahead_ms = redis_ms - clock->boot_ms(clock);
    unlock();
}

void fake_redis_lie_once(int64_t wrong_ms)
{
    lock();
    redis.wrong_ms = wrong_ms;
    unlock();
}

void fake_redis_tell_time(void)
{
    lock();
    redis.tell++;
    changed();
    unlock();
}

unsigned fake_redis_times_told(void)
{
    unsigned told;

    lock();
    told = redis.told;
    unlock();
    return told;
}

void fake_redis_script(enum fake_request kind, enum fake_outcome outcome, unsigned n)
{
    lock();
    redis.scripts[kind].outcome = outcome;
    redis.scripts[kind].n = n;
    unlock();
}

static void set_gate(enum fake_request kind, bool frozen, unsigned lets)
{
    lock();
    redis.scripts[kind].frozen = frozen;
    redis.scripts[kind].lets = lets;
    changed();
    unlock();
}

void fake_redis_freeze(enum fake_request kind)
{
    set_gate(kind, true, 0);
}

void fake_redis_let(enum fake_request kind, unsigned n)
{
    set_gate(kind, true, n);
}

void fake_redis_thaw(enum fake_request kind)
{
    set_gate(kind, false, 0);
}

void fake_redis_set_mark(uint64_t mark)
{
    lock();
    redis.mark = mark;
    unlock();
}

unsigned fake_redis_asked(enum fake_request kind)
{
    unsigned asked;

    lock();
    asked = redis.scripts[kind].asked;
    unlock();
    return asked;
}

bool fake_redis_holds(const char *key, const char *value)
{
    struct fake_key *found;
    bool holds;

    lock();
    found = find_key(hf__slice_str(key));
    if (found && !found->live)
        found = NULL;
    holds = value ? found && hf__slice_eq(slice_of(&found->value), hf__slice_str(value)) : !found;
    unlock();
    return holds;
}

int64_t fake_redis_deadline_ms(const char *key)
{
    struct fake_key *found;
    int64_t deadline_ms;

    lock();
    found = find_key(hf__slice_str(key));
    deadline_ms = found && found->live ? found->deadline_ms : 0;
    unlock();
    return deadline_ms;
}

unsigned fake_redis_applied(const char *key)
{
    struct fake_key *found;
    unsigned applied;

    lock();
    found = find_key(hf__slice_str(key));
    applied = found ? found->applied : 0;
    unlock();
    return applied;
}

unsigned fake_redis_torn_units(void)
{
    unsigned torn_units;

    lock();
    torn_units = redis.torn_units;
    unlock();
    return torn_units;
}

/* ---- the local tier ---- */

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    const struct hf_local_ops *real; /* NULL until the first open */
    struct hf_local_ops wrapped;
    int failing; /* commits that still fail; negative: all */
    bool hold;
    unsigned held;
} local = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static bool commit_fails(void)
{
    bool fails;

    pthread_mutex_lock(&local.mutex);
    local.held++;
    while (local.hold)
        pthread_cond_wait(&local.changed, &local.mutex);
    local.held--;
    fails = local.failing != 0;
    if (local.failing > 0)
        local.failing--;
    pthread_mutex_unlock(&local.mutex);
    return fails;
}

static int wrapped_commit(struct hf_local_txn *txn)
{
    if (!commit_fails())
        return local.real->txn_commit(txn);
    local.real->txn_abort(txn);
    return hf__fail(HF_EFULL, "the test lets this commit fail");
}

int fake_local_open(const char *dir, const struct hf_options *opts, struct hf_local_tier **ret_tier)
{
    struct hf_lmdb_options lmdb = {.map_bytes = opts->max_disk_bytes, .read_only = opts->read_only};
    int rc = hf__lmdb_open(dir, &lmdb, ret_tier);

    if (rc != 0)
        return rc;
    pthread_mutex_lock(&local.mutex);
    if (!local.real) {
        local.real = (*ret_tier)->ops;
        local.wrapped = *local.real;
        local.wrapped.txn_commit = wrapped_commit;
    }
    pthread_mutex_unlock(&local.mutex);
    (*ret_tier)->ops = &local.wrapped;
    return 0;
}

void fake_local_fail_commits(int n)
{
    pthread_mutex_lock(&local.mutex);
    local.failing = n;
    pthread_mutex_unlock(&local.mutex);
}

void fake_local_hold_commits(bool hold)
{
    pthread_mutex_lock(&local.mutex);
    local.hold = hold;
    pthread_cond_broadcast(&local.changed);
    pthread_mutex_unlock(&local.mutex);
}

unsigned fake_local_held_commits(void)
{
    unsigned held;

    pthread_mutex_lock(&local.mutex);
    held = local.hold ? local.held : 0;
    pthread_mutex_unlock(&local.mutex);
    return held;
}
