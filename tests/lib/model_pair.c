/* The two sides, and requests to them. What an answer says is written down when it is done, for what is
 * lent is gone then; names of ids wait until the logs were read on. */
#include "model_words.h"

#include "fake_server.h"
#include "fail.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define FOREVER_MS 20000

const char *const pair_prefixes[PAIR_SPACES] = {"a:", "b:"};
static const char *const nodes[PAIR_CONNS] = {
    "00000000000000000000000000000001", "00000000000000000000000000000002", "00000000000000000000000000000001"};

/* ---- beginning and ending ---- */

static redisContext *become_plain(struct pair *pair)
{
    struct timeval patience = {.tv_sec = FOREVER_MS / 1000};
    redisContext *redis = redisConnectUnixWithTimeout(pair->server.socket, patience);

    assert_true(redis && redis->err == 0);
    freeReplyObject(pair_must(pair, redisCommand(redis, "AUTH plain x"), "AUTH"));
    return redis;
}

static struct pair *current; /* the one that runs: who is told knows no other way to it */

static void on_told(struct link_driver *d, const struct hf_slice *keys, size_t n)
{
    pthread_mutex_lock(&d->lock);
    pair_note_told(current, d, keys, n);
    pthread_mutex_unlock(&d->lock);
}

static int timeout_ms(const struct pair *pair)
{
    return pair->reply_timeout_ms ? pair->reply_timeout_ms : FOREVER_MS;
}

static struct hf_shared_tier *open_real(const struct pair *pair, size_t conn)
{
    char logs[PAIR_SPACES][32];
    struct hf_slice tracked[2 * PAIR_SPACES];
    struct hf_redis_options opts = {.address = pair->server.address,
                                    .node = nodes[conn],
                                    .prefixes = tracked,
                                    .n_prefixes = 2 * PAIR_SPACES,
                                    .connect_timeout_ms = FOREVER_MS,
                                    .reply_timeout_ms = timeout_ms(pair),
                                    .heartbeat_ms = FOREVER_MS};
    struct hf_shared_tier *tier;

    for (size_t i = 0; i < PAIR_SPACES; i++) {
        snprintf(logs[i], sizeof(logs[i]), "_hf:%s:log:", pair_prefixes[i]);
        tracked[2 * i] = hf__slice_str(pair_prefixes[i]);
        tracked[2 * i + 1] = hf__slice_str(logs[i]);
    }
    if (hf__redis_new(&opts, hf__clock_real(), &tier) != 0)
        fail_msg("%s", hf_errmsg());
    return tier;
}

static struct hf_shared_tier *open_model(const struct pair *pair, size_t conn)
{
    static const struct hf_namespace spaces[] = {
        {.prefix = "a:"}, {.prefix = "b:"}, {.prefix = "", .write_mode = HF_WRITE_LOCAL}};
    struct hf_options opts = {.namespaces = spaces,
                              .n_namespaces = 3,
                              .redis_timeout_ms = timeout_ms(pair),
                              .redis_heartbeat_ms = FOREVER_MS};
    struct hf_shared_tier *tier;

    assert_int_equal(fake_redis_open(&opts, nodes[conn], hf__clock_real(), &tier), 0);
    return tier;
}

static void start_side(struct pair *pair, int side)
{
    struct pair_side *s = &pair->sides[side];

    s->epochs = calloc(PAIR_IDS_MAX, sizeof(*s->epochs));
    assert_non_null(s->epochs);
    for (size_t i = 0; i < PAIR_SPACES; i++) {
        s->logs[i].ids = calloc(PAIR_IDS_MAX, sizeof(*s->logs[i].ids));
        assert_non_null(s->logs[i].ids);
        snprintf(s->logs[i].key, sizeof(s->logs[i].key), "_hf:%s:log:none", pair_prefixes[i]);
    }
    for (size_t i = 0; i < PAIR_CONNS; i++)
        link_driver_drive(&s->conns[i], side == PAIR_REAL ? open_real(pair, i) : open_model(pair, i), on_told);
}

/* Nothing is taken away but by who looks; streams are cut as the model cuts them, by entries alone. */
static const char *const exactly[] = {"--enable-debug-command",
                                      "yes",
                                      "--enable-protected-configs",
                                      "yes",
                                      "--stream-node-max-bytes",
                                      "0",
                                      "--busy-reply-threshold",
                                      "1",
                                      "--user",
                                      "plain",
                                      "on",
                                      ">x",
                                      "~*",
                                      "&*",
                                      "+@all",
                                      NULL};

void pair_start(struct pair *pair, uint64_t seed)
{
    pair->seed = seed;
    current = pair;
    assert_int_equal(redis_server_start(&pair->server, exactly), 0);
    pair->plain = become_plain(pair);
    pair->busy = become_plain(pair);
    pair_run(pair, "DEBUG SET-ACTIVE-EXPIRE 0");
    fake_redis_start();
    fake_redis_seed(seed);
    fake_redis_set_clock(hf__clock_real(), pair_now_ms());
    for (int side = 0; side < PAIR_SIDES; side++)
        start_side(pair, side);
}

void pair_stop(struct pair *pair)
{
    for (int side = 0; side < PAIR_SIDES; side++) {
        for (size_t i = 0; i < PAIR_CONNS; i++)
            link_driver_stop(&pair->sides[side].conns[i]);
        for (size_t i = 0; i < PAIR_SPACES; i++)
            free(pair->sides[side].logs[i].ids);
        free(pair->sides[side].epochs);
    }
    fake_redis_stop();
    redisFree(pair->plain);
    redisFree(pair->busy);
    redis_server_stop(&pair->server);
}

/* ---- requests ---- */

/* One request to one side. */
struct asked {
    struct pair *pair;
    int side;
    size_t conn, space;
    struct link_driver *d;
    struct pair_words *words;
    void *request;
};

static void say_what(struct pair *pair, size_t conn, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void say_what(struct pair *pair, size_t conn, const char *format, ...)
{
    va_list args;
    int n = snprintf(pair->asked, sizeof(pair->asked), "connection %zu: ", conn);

    va_start(args, format);
    vsnprintf(pair->asked + n, sizeof(pair->asked) - (size_t)n, format, args);
    va_end(args);
    pair_tell_asked(pair);
}

static struct asked ask(struct pair *pair, int side, size_t conn)
{
    struct pair_side *s = &pair->sides[side];

    s->words.len = s->words.n_ids = s->words.n_about = 0;
    return (struct asked){.pair = pair, .side = side, .conn = conn, .d = &s->conns[conn], .words = &s->words};
}

/* An error that ends a connection does so at once, but behind `done`. */
static void answered(struct asked *a, const struct hf_shared_error *error)
{
    pair_say_error(a->words, error);
    link_driver_note(a->d);
}

static int read_count(struct link_driver *d, const int *counter)
{
    int n;

    pthread_mutex_lock(&d->lock);
    n = *counter;
    pthread_mutex_unlock(&d->lock);
    return n;
}

/* Ask one side and wait; `useless`: set if the answer ends the connection, and that was waited for, too. */
static void send_to(struct asked *a, int (*job)(struct link_driver *d, void *asked),
                    const enum hf_shared_class *class, bool *ret_useless)
{
    int lost = read_count(a->d, &a->d->n_lost), done = read_count(a->d, &a->d->n_done);
    int rc = link_driver_run(a->d, job, a);

    *ret_useless = false;
    if (rc != 0) {
        pair_say(a->words, "not sent: %d ", rc);
        return;
    }
    link_driver_wait_done(a->d, done + 1);
    *ret_useless = *class == HF_SHARED_FENCE || *class == HF_SHARED_LINK;
    if (*ret_useless)
        link_driver_wait_lost(a->d, lost + 1);
}

static void both_answered(struct pair *pair, size_t conn, const bool useless[PAIR_SIDES])
{
    pair_compare_words(pair);
    pair->connected[conn] &= !useless[PAIR_REAL];
}

/* ---- groups ---- */

static void group_done(void *ctx, struct hf_shared_group *group)
{
    struct asked *a = ctx;

    for (size_t i = 0; i < group->n_items; i++)
        pair_say_error(a->words, &group->items[i].error);
    for (size_t i = 0; i < group->n_logs; i++) {
        pair_say(a->words, group->logs[i].missing ? "missing " : "named ");
        pair_say_id(a->words, a->space >> i & 1, group->logs[i].last_id); /* two namespaces: a bit for each log */
    }
    answered(a, &group->error);
}

static int send_group(struct link_driver *d, void *asked)
{
    struct asked *a = asked;

    return d->tier->ops->send_group(d->tier, a->request);
}

static const char *id_at(const struct pair_log *log, size_t at)
{
    if (at == PAIR_NO_ID)
        return NULL;
    return at == PAIR_FROM_START ? "" : log->ids[at];
}

void pair_group(struct pair *pair, size_t conn, const struct hf_shared_group *asked, const struct pair_named *named,
                size_t n_logs)
{
    bool useless[PAIR_SIDES];

    say_what(pair, conn, "a %s%s group of %zu", asked->guarded ? "guarded" : "plain",
             asked->watched ? ", watched" : "", asked->n_items);
    for (int side = 0; side < PAIR_SIDES; side++) {
        struct asked a = ask(pair, side, conn);
        struct hf_shared_group group = *asked;
        struct hf_shared_log logs[PAIR_SPACES] = {0};

        for (size_t i = 0; i < n_logs; i++) {
            const struct pair_log *log = &pair->sides[side].logs[named[i].space];
            logs[i] = (struct hf_shared_log){.key = hf__slice_str(log->key),
                                             .max_entries = named[i].max_entries,
                                             .first_item = named[i].first_item,
                                             .n_items = named[i].n_items,
                                             .after_id = id_at(log, named[i].at)};
            a.space |= named[i].space << i;
        }
        group.logs = logs;
        group.n_logs = n_logs;
        group.done = group_done;
        group.ctx = &a;
        a.request = &group;
        send_to(&a, send_group, &group.error.class, &useless[side]);
    }
    both_answered(pair, conn, useless);
}

/* ---- lanes ---- */

static void lane_done(void *ctx, struct hf_shared_lane *lane)
{
    struct asked *a = ctx;

    pair_say(a->words, "outcome %d mark %" PRIu64 " bad %zu ", (int)lane->outcome,
             lane->outcome == HF_LANE_MARK ? lane->mark : 0,
             lane->outcome == HF_LANE_BAD || lane->outcome == HF_LANE_CHANGED ? lane->bad : 0);
    for (size_t i = 0; i < lane->n_ops; i++) {
        const struct hf_shared_lane_op *op = &lane->ops[i];
        pair_say(a->words, "%s%" PRId64 " ", op->expired ? "expired " : "", op->has_number ? op->number : 0);
    }
    pair_say(a->words, lane->log.missing ? "missing " : "named ");
    pair_say_id(a->words, a->space, lane->log.last_id);
    a->pair->lane = lane->outcome;
    a->pair->mark = lane->mark;
    answered(a, &lane->error);
}

static int send_lane(struct link_driver *d, void *asked)
{
    struct asked *a = asked;

    return d->tier->ops->send_lane(d->tier, a->request);
}

void pair_lane(struct pair *pair, size_t conn, size_t space, uint32_t max_entries, uint64_t prev,
               const struct hf_shared_lane_op *ops, size_t n_ops)
{
    bool useless[PAIR_SIDES];
    char mark_key[80];

    say_what(pair, conn, "a lane of %zu behind %" PRIu64, n_ops, prev);
    snprintf(mark_key, sizeof(mark_key), "_hf:%s:mark:%s", pair_prefixes[space], nodes[conn]);
    for (int side = 0; side < PAIR_SIDES; side++) {
        struct asked a = ask(pair, side, conn);
        struct hf_shared_lane lane = {.mark_key = hf__slice_str(mark_key),
                                      .prev = prev,
                                      .ops = calloc(n_ops, sizeof(*ops)),
                                      .n_ops = n_ops,
                                      .done = lane_done,
                                      .ctx = &a};

        assert_non_null(lane.ops);
        memcpy(lane.ops, ops, n_ops * sizeof(*ops));
        if (max_entries > 0)
            lane.log = (struct hf_shared_log){.key = hf__slice_str(pair->sides[side].logs[space].key),
                                              .max_entries = max_entries};
        a.space = space;
        a.request = &lane;
        send_to(&a, send_lane, &lane.error.class, &useless[side]);
        free(lane.ops);
    }
    both_answered(pair, conn, useless);
}

/* ---- decisions ---- */

/* A number is one that was told before, or is higher than all: when it was drawn is another matter. */
static void say_fence(struct asked *a, uint64_t fence)
{
    uint64_t *last = &a->pair->sides[a->side].fences[a->space];

    pair_say(a->words, "fence %s ", fence == 0 ? "none" : fence == *last ? "again" : fence > *last ? "new" : "old");
    *last = fence > *last ? fence : *last;
}

static void decide_done(void *ctx, struct hf_shared_decide *decide)
{
    struct asked *a = ctx;

    pair_say(a->words, decide->decided ? "decided " : "not decided ");
    if (decide->has_found)
        pair_say_value(a->words, decide->found);
    pair_say_about(a->words, decide->ttl_left_ms);
    say_fence(a, decide->fence);
    pair_say(a->words, decide->log.missing ? "missing " : "named ");
    pair_say_id(a->words, a->space, decide->log.last_id);
    answered(a, &decide->error);
}

static int send_decide(struct link_driver *d, void *asked)
{
    struct asked *a = asked;

    return d->tier->ops->send_decide(d->tier, a->request);
}

void pair_decide(struct pair *pair, size_t conn, size_t space, bool logged, const struct hf_shared_decide *asked)
{
    bool useless[PAIR_SIDES];

    say_what(pair, conn, "decision %d of %.*s", (int)asked->op, (int)asked->key.len, (const char *)asked->key.data);
    for (int side = 0; side < PAIR_SIDES; side++) {
        struct asked a = ask(pair, side, conn);
        struct hf_shared_decide decide = *asked;

        if (logged)
            decide.log.key = hf__slice_str(pair->sides[side].logs[space].key);
        decide.done = decide_done;
        decide.ctx = &a;
        a.space = space;
        a.request = &decide;
        send_to(&a, send_decide, &decide.error.class, &useless[side]);
    }
    both_answered(pair, conn, useless);
}

/* ---- epochs and pages ---- */

static void epoch_done(void *ctx, struct hf_shared_epoch *epoch)
{
    struct asked *a = ctx;

    if (epoch->error.class == HF_SHARED_OK) {
        pair_learn_epoch(&a->pair->sides[a->side], a->space, pair_prefixes[a->space], epoch->epoch);
        pair_say(a->words, "%s%sepoch %zu mark %" PRIu64 " ", epoch->created ? "created " : "",
                 epoch->log_missing ? "log missing " : "", pair_epoch_place(&a->pair->sides[a->side], epoch->epoch),
                 epoch->mark);
        pair_say_id(a->words, a->space, epoch->log_last_id);
    }
    answered(a, &epoch->error);
}

static int send_epoch(struct link_driver *d, void *asked)
{
    struct asked *a = asked;

    return d->tier->ops->send_epoch(d->tier, a->request);
}

void pair_epoch(struct pair *pair, size_t conn, size_t space, bool with_log, bool look_only)
{
    bool useless[PAIR_SIDES];

    say_what(pair, conn, "the epoch of %s%s%s", pair_prefixes[space], with_log ? ", with log" : "",
             look_only ? ", looking" : "");
    for (int side = 0; side < PAIR_SIDES; side++) {
        struct asked a = ask(pair, side, conn);
        struct hf_shared_epoch epoch = {.prefix = hf__slice_str(pair_prefixes[space]),
                                        .with_log = with_log,
                                        .look_only = look_only,
                                        .done = epoch_done,
                                        .ctx = &a};

        a.space = space;
        a.request = &epoch;
        send_to(&a, send_epoch, &epoch.error.class, &useless[side]);
    }
    both_answered(pair, conn, useless);
}

static void say_change(struct pair_words *words, const struct hf_shared_change *change)
{
    pair_say(words, "%.4s %d %" PRIu64 "/%" PRIu64 " ~%" PRId64 " ", change->node + 28, (int)change->op,
             change->lsn, change->last_lsn, change->uncertainty_ms);
    pair_say_value(words, change->key);
    pair_say_about(words, change->made_ms);
}

static void each_change(void *ctx, const struct hf_shared_change *change)
{
    struct asked *a = ctx;

    say_change(a->words, change);
}

static void say_page(struct pair_words *words, size_t space, const struct hf_shared_log_page *page)
{
    pair_say(words, "%" PRIu32 " entries%s%s ", page->n_entries, page->gap ? " gap" : "",
             page->missing ? " missing" : "");
    pair_say_id(words, space, page->after_id);
    pair_say_error(words, &page->error);
}

static void page_done(void *ctx, struct hf_shared_log_page *page)
{
    struct asked *a = ctx;

    say_page(a->words, a->space, page);
    answered(a, &page->error);
}

static int send_page(struct link_driver *d, void *asked)
{
    struct asked *a = asked;

    return d->tier->ops->send_log_page(d->tier, a->request);
}

static void begin_page(struct hf_shared_log_page *page, const struct pair_log *log, size_t at)
{
    const char *id = id_at(log, at);

    page->log_key = hf__slice_str(log->key);
    page->each = each_change;
    snprintf(page->after_id, sizeof(page->after_id), "%s", id ? id : "");
}

void pair_page(struct pair *pair, size_t conn, size_t space, size_t at, uint32_t count, bool backwards)
{
    bool useless[PAIR_SIDES];

    say_what(pair, conn, "%" PRIu32 " entries of %s, %s %zu", count, pair_prefixes[space],
             backwards ? "before" : "behind", at);
    for (int side = 0; side < PAIR_SIDES; side++) {
        struct asked a = ask(pair, side, conn);
        struct hf_shared_log_page page = {.count = count, .backwards = backwards, .done = page_done, .ctx = &a};

        begin_page(&page, &pair->sides[side].logs[space], at);
        a.space = space;
        a.request = &page;
        send_to(&a, send_page, &page.error.class, &useless[side]);
    }
    both_answered(pair, conn, useless);
}

/* ---- looking ---- */

static void fetch_done(void *ctx, struct hf_shared_fetch *fetch)
{
    struct asked *a = ctx;

    pair_say(a->words, fetch->found ? "found " : "not found ");
    if (fetch->found) {
        pair_say_value(a->words, fetch->value);
        pair_say_about(a->words, fetch->ttl_ms);
    }
    answered(a, &fetch->error);
}

static int send_fetch(struct link_driver *d, void *asked)
{
    struct asked *a = asked;

    return d->tier->ops->send_fetch(d->tier, a->request);
}

void pair_fetch(struct pair *pair, size_t conn, const char *key)
{
    bool useless[PAIR_SIDES];

    say_what(pair, conn, "the value of %s", key);
    for (int side = 0; side < PAIR_SIDES; side++) {
        struct asked a = ask(pair, side, conn);
        struct hf_shared_fetch fetch = {.key = hf__slice_str(key), .done = fetch_done, .ctx = &a};

        a.request = &fetch;
        send_to(&a, send_fetch, &fetch.error.class, &useless[side]);
    }
    both_answered(pair, conn, useless);
}

static void examine_done(void *ctx, struct hf_shared_examine *examine)
{
    struct asked *a = ctx;

    for (size_t i = 0; i < examine->n_keys && examine->error.class == HF_SHARED_OK; i++)
        pair_say_seen(a->words, &examine->keys[i]);
    if (examine->error.class == HF_SHARED_OK)
        pair_say(a->words, "%d ", examine->unread);
    for (size_t i = 0; i < examine->n_logs && examine->error.class == HF_SHARED_OK; i++)
        say_page(a->words, i, &examine->logs[i]);
    answered(a, &examine->error);
}

static int send_examine(struct link_driver *d, void *asked)
{
    struct asked *a = asked;

    return d->tier->ops->send_examine(d->tier, a->request);
}

void pair_examine(struct pair *pair, size_t conn, const struct hf_shared_seen *keys, size_t n_keys,
                  enum hf_shared_watch watch, size_t at)
{
    static const char *const watching[] = {
        [HF_WATCH_NOTHING] = "", [HF_WATCH_KEYS] = ", watching", [HF_WATCH_LOGS] = "' kinds, watching logs"};
    bool useless[PAIR_SIDES];

    say_what(pair, conn, "a look at %zu keys%s%s", n_keys, watching[watch], at != PAIR_NO_ID ? ", and logs" : "");
    for (int side = 0; side < PAIR_SIDES; side++) {
        struct asked a = ask(pair, side, conn);
        struct hf_shared_log_page logs[PAIR_SPACES] = {0};
        struct hf_shared_examine examine = {.keys = calloc(n_keys + 1, sizeof(*keys)),
                                            .n_keys = n_keys,
                                            .watch = watch,
                                            .logs = logs,
                                            .n_logs = at == PAIR_NO_ID ? 0 : PAIR_SPACES,
                                            .done = examine_done,
                                            .ctx = &a};

        assert_non_null(examine.keys);
        memcpy(examine.keys, keys, n_keys * sizeof(*keys));
        for (size_t i = 0; i < PAIR_SPACES; i++) {
            const struct pair_log *log = &pair->sides[side].logs[i];
            begin_page(&logs[i], log, at >= PAIR_FROM_START || at < log->n_ids ? at : PAIR_FROM_START);
            logs[i].count = 50;
            logs[i].ctx = &a;
        }
        a.request = &examine;
        send_to(&a, send_examine, &examine.error.class, &useless[side]);
        free(examine.keys);
    }
    both_answered(pair, conn, useless);
}

/* ---- facts ---- */

static void facts_done(void *ctx, struct hf_shared_facts *facts)
{
    struct asked *a = ctx;

    pair_say(a->words, "%d %d %d %d %d %d%d%d%d %s %s %s %s ", facts->tracking, facts->has_info, facts->has_config,
             facts->loading, facts->max_memory_bytes > 0, facts->may_run_scripts, facts->may_read_info,
             facts->may_read_config, facts->may_track, facts->rdb_status, facts->eviction_policy, facts->role,
             facts->user);
    answered(a, &facts->error);
}

static int send_facts(struct link_driver *d, void *asked)
{
    struct asked *a = asked;

    return d->tier->ops->send_facts(d->tier, a->request);
}

void pair_facts(struct pair *pair, size_t conn, enum hf_shared_track track)
{
    bool useless[PAIR_SIDES];

    say_what(pair, conn, "facts, tracking %d", (int)track);
    for (int side = 0; side < PAIR_SIDES; side++) {
        struct asked a = ask(pair, side, conn);
        struct hf_shared_facts facts = {.track = track, .done = facts_done, .ctx = &a};

        a.request = &facts;
        send_to(&a, send_facts, &facts.error.class, &useless[side]);
    }
    both_answered(pair, conn, useless);
}

/* ---- connections ---- */

static int disconnect(struct link_driver *d, void *arg)
{
    (void)arg;
    d->tier->ops->disconnect(d->tier);
    return 0;
}

void pair_disconnect(struct pair *pair, size_t conn)
{
    say_what(pair, conn, "disconnect");
    for (int side = 0; side < PAIR_SIDES; side++)
        link_driver_run(&pair->sides[side].conns[conn], disconnect, NULL);
    pair->connected[conn] = false;
}

void pair_connect(struct pair *pair, size_t conn)
{
    say_what(pair, conn, "connect");
    for (int side = 0; side < PAIR_SIDES; side++) {
        struct asked a = ask(pair, side, conn);

        pthread_mutex_lock(&a.d->lock);
        pair->sides[side].told[conn][0] = '\0';
        pthread_mutex_unlock(&a.d->lock);
        pair->connected[conn] = link_driver_connects(a.d);
        pthread_mutex_lock(&a.d->lock);
        if (pair->connected[conn])
            pair_say(a.words, "%s%s ", a.d->hello.master ? "master " : "replica ",
                     a.d->hello.tracking ? "tracking" : "");
        else
            pair_say_error(a.words, &a.d->lost);
        pthread_mutex_unlock(&a.d->lock);
    }
    pair_compare_words(pair);
}

void pair_connect_and_settle(struct pair *pair, size_t conn)
{
    pair_connect(pair, conn);
    for (int side = 0; side < PAIR_SIDES; side++)
        link_driver_wait_times(&pair->sides[side].conns[conn], 1);
}

/* ---- comparing all ---- */

void pair_compare_told(struct pair *pair)
{
    for (size_t conn = 0; conn < PAIR_CONNS; conn++) {
        if (!pair->connected[conn])
            continue;
        pair_fetch(pair, conn, "c:nothing"); /* what was told before its answer has come */
        pair_compare_told_to(pair, conn);
    }
}
