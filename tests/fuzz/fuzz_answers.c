/* Fuzz target: what a server answers to each kind of request of the Redis tier, as bytes of RESP that hiredis has read. The first line says
 * which request; behind its end the connection is lost. Whatever comes, each request is done exactly once, with verdicts of their kinds.
 *
 * The connection is ours: what is sent is forgotten, and waves are answered out of the input. */
#include "fuzz.h"
#include "tier.h"

#include <stdarg.h>

#define N_ITEMS 3
#define ROUNDS_MAX 64u /* of waves that follow one another for one request */

void __wrap_hf__conn_fail(struct hf__conn *conn, const struct hf_shared_error *error);
void __wrap_hf__conn_fail_link(struct hf__conn *conn, const char *format, ...);
struct hf__command_writer __wrap_hf__conn_begin(struct hf__conn *conn);
int __wrap_hf__conn_send(struct hf__conn *conn, struct hf__command_writer *w, struct hf__wave *wave);

static struct hf__redis tier;
static redisReader *reader;
static unsigned n_done, n_waves;

/* ---- the connection ---- */

struct hf__command_writer __wrap_hf__conn_begin(struct hf__conn *conn)
{
    hf__bytes_reset(&conn->out);
    return (struct hf__command_writer){.out = &conn->out};
}

int __wrap_hf__conn_send(struct hf__conn *conn, struct hf__command_writer *w, struct hf__wave *wave)
{
    FUZZ_REQUIRE(w->rc == 0 && w->n_commands > 0 && conn->out.len > 0);
    FUZZ_REQUIRE(!conn->first && ++n_waves < ROUNDS_MAX);
    wave->n_replies = w->n_commands;
    wave->n_seen = 0;
    conn->first = conn->last = wave;
    return 0;
}

void __wrap_hf__conn_fail(struct hf__conn *conn, const struct hf_shared_error *error)
{
    struct hf__wave *wave = conn->first;

    conn->first = conn->last = NULL;
    conn->state = HF__CONN_IDLE;
    conn->attempt++;
    if (wave)
        wave->lost(wave, &(struct hf_shared_error){.class = HF_SHARED_LINK, .reason = "lost"});
    FUZZ_REQUIRE(error->reason[0] != '\0'); /* the server's own words, perhaps */
}

void __wrap_hf__conn_fail_link(struct hf__conn *conn, const char *format, ...)
{
    struct hf_shared_error error = {.class = HF_SHARED_LINK};
    va_list args;

    va_start(args, format);
    vsnprintf(error.reason, sizeof(error.reason), format, args);
    va_end(args);
    __wrap_hf__conn_fail(conn, &error);
}

static void answer(const redisReply *reply)
{
    struct hf__wave *wave = tier.conn.first;
    size_t index = wave->n_seen++;

    if (wave->n_seen == wave->n_replies)
        tier.conn.first = tier.conn.last = NULL;
    wave->reply(wave, reply, index);
}

static void answer_all(void)
{
    struct hf_shared_error end = {.class = HF_SHARED_LINK, .reason = "the input ends here"};

    while (tier.conn.first) {
        void *reply = NULL;

        if (redisReaderGetReply(reader, &reply) != REDIS_OK || !reply) {
            __wrap_hf__conn_fail(&tier.conn, &end);
            return;
        }
        answer(reply);
        freeReplyObject(reply);
    }
}

/* ---- verdicts ---- */

static void check_error(const struct hf_shared_error *error)
{
    FUZZ_REQUIRE(error->class <= HF_SHARED_CHANGED);
    FUZZ_REQUIRE(memchr(error->reason, '\0', sizeof(error->reason)) != NULL);
    FUZZ_REQUIRE(error->class == HF_SHARED_OK || error->class == HF_SHARED_CHANGED || error->reason[0] != '\0');
}

static const struct hf_slice keys[N_ITEMS] = {{"a", 1}, {"bb", 2}, {"ccc", 3}};
static const struct hf_slice log_key = {"_hf:log", 7};

/* ---- groups ---- */

static void group_done(void *ctx, struct hf_shared_group *group)
{
    (void)ctx;
    n_done++;
    check_error(&group->error);
    for (size_t i = 0; i < group->n_items; i++)
        check_error(&group->items[i].error);
    for (size_t i = 0; i < group->n_logs; i++)
        FUZZ_REQUIRE(memchr(group->logs[i].last_id, '\0', sizeof(group->logs[i].last_id)) != NULL);
}

static int ask_group(unsigned how)
{
    static struct hf_shared_item items[N_ITEMS];
    static struct hf_shared_guard guards[2];
    static struct hf_shared_log log;
    static struct hf_shared_group group;

    guards[0] = (struct hf_shared_guard){.absent = true};
    guards[1] = (struct hf_shared_guard){.len = 5};
    for (size_t i = 0; i < N_ITEMS; i++)
        items[i] = (struct hf_shared_item){
            .op = (how + i) % 4 + HF_SHARED_SET, .key = keys[i], .value = keys[i], .lsn = i + 1};
    for (size_t i = 0; i < N_ITEMS && (how & 1); i++) {
        items[i].guards = guards;
        items[i].n_guards = (how & 2) ? 2 : 1;
    }
    log = (struct hf_shared_log){.key = log_key, .n_items = N_ITEMS, .after_id = (how & 4) ? "1-1" : NULL};
    group = (struct hf_shared_group){.items = items,
                                     .n_items = N_ITEMS,
                                     .logs = &log,
                                     .n_logs = (how & 8) ? 1 : 0,
                                     .guarded = how & 1,
                                     .watched = !(how & 1) && (how & 16),
                                     .done = group_done};
    return hf__redis_send_group(&tier.base, &group);
}

/* ---- lanes ---- */

static void lane_done(void *ctx, struct hf_shared_lane *lane)
{
    (void)ctx;
    n_done++;
    FUZZ_REQUIRE(lane->outcome >= HF_LANE_APPLIED && lane->outcome <= HF_LANE_FAILED);
    FUZZ_REQUIRE((lane->outcome != HF_LANE_BAD && lane->outcome != HF_LANE_CHANGED) || lane->bad < lane->n_ops);
    FUZZ_REQUIRE(lane->outcome != HF_LANE_FAILED || lane->error.class != HF_SHARED_OK);
    check_error(&lane->error);
}

static int ask_lane(unsigned how)
{
    static struct hf_shared_lane_op ops[N_ITEMS];
    static struct hf_shared_guard guard;
    static struct hf_shared_lane lane;

    guard = (struct hf_shared_guard){.absent = true};
    for (size_t i = 0; i < N_ITEMS; i++)
        ops[i] = (struct hf_shared_lane_op){.op = i == 1 ? HF_SHARED_INCR : HF_SHARED_SET,
                                            .key = keys[i],
                                            .value = keys[i],
                                            .delta = 1,
                                            .lsn = i + 5,
                                            .more = i == 1};
    if (how & 1) {
        ops[0].guards = &guard;
        ops[0].n_guards = 1;
    }
    lane = (struct hf_shared_lane){
        .mark_key = {"_hf:mark", 8}, .prev = 4, .ops = ops, .n_ops = N_ITEMS, .done = lane_done};
    lane.log.key = (how & 2) ? log_key : hf__slice(NULL, 0);
    return hf__redis_send_lane(&tier.base, &lane);
}

/* ---- decisions ---- */

static void decide_done(void *ctx, struct hf_shared_decide *decide)
{
    (void)ctx;
    n_done++;
    check_error(&decide->error);
    FUZZ_REQUIRE(decide->error.class == HF_SHARED_OK || !decide->decided);
    FUZZ_REQUIRE(decide->ttl_left_ms >= -1);
}

static int ask_decide(unsigned how)
{
    static struct hf_shared_decide decide;

    decide = (struct hf_shared_decide){.op = HF_DECIDE_SET_IF_ABSENT + how % 6,
                                       .key = keys[0],
                                       .expected = keys[1],
                                       .value = keys[2],
                                       .ttl_ms = 1000,
                                       .fence_key = {"_hf:fence", 9},
                                       .lsn = 9,
                                       .done = decide_done};
    return hf__redis_send_decide(&tier.base, &decide);
}

/* ---- epochs ---- */

static void epoch_done(void *ctx, struct hf_shared_epoch *epoch)
{
    (void)ctx;
    n_done++;
    check_error(&epoch->error);
    FUZZ_REQUIRE(epoch->error.class != HF_SHARED_OK || strlen(epoch->epoch) == 32 ||
                 (epoch->look_only && epoch->epoch[0] == '\0'));
    FUZZ_REQUIRE(memchr(epoch->log_last_id, '\0', sizeof(epoch->log_last_id)) != NULL);
}

static int ask_epoch(unsigned how)
{
    static struct hf_shared_epoch epoch;

    epoch = (struct hf_shared_epoch){
        .prefix = {"app:", 4}, .with_log = how & 1, .look_only = how & 2, .done = epoch_done};
    return hf__redis_send_epoch(&tier.base, &epoch);
}

/* ---- pages, copies, examinations ---- */

static void hear_change(void *ctx, const struct hf_shared_change *change)
{
    (void)ctx;
    FUZZ_REQUIRE(change->key.len > 0 && change->lsn <= change->last_lsn);
}

static void page_done(void *ctx, struct hf_shared_log_page *page)
{
    (void)ctx;
    n_done++;
    check_error(&page->error);
}

static int ask_page(unsigned how)
{
    static struct hf_shared_log_page page;

    page = (struct hf_shared_log_page){.log_key = log_key,
                                       .after_id = "5-0",
                                       .count = 2,
                                       .backwards = how & 1,
                                       .each = hear_change,
                                       .done = page_done};
    return hf__redis_send_log_page(&tier.base, &page);
}

static void fetch_done(void *ctx, struct hf_shared_fetch *fetch)
{
    (void)ctx;
    n_done++;
    check_error(&fetch->error);
    FUZZ_REQUIRE(!fetch->found || (fetch->error.class == HF_SHARED_OK && fetch->ttl_ms >= -1));
}

static int ask_fetch(unsigned how)
{
    static struct hf_shared_fetch fetch;

    (void)how;
    fetch = (struct hf_shared_fetch){.key = keys[0], .done = fetch_done};
    return hf__redis_send_fetch(&tier.base, &fetch);
}

static void examine_done(void *ctx, struct hf_shared_examine *examine)
{
    (void)ctx;
    n_done++;
    check_error(&examine->error);
    for (size_t i = 0; i < examine->n_keys; i++) {
        const struct hf_shared_seen *seen = &examine->keys[i];

        FUZZ_REQUIRE(seen->kind <= HF_SHARED_OTHER && memchr(seen->type, '\0', sizeof(seen->type)) != NULL);
        FUZZ_REQUIRE(seen->kind != HF_SHARED_ABSENT || (!seen->has_digest && seen->len == 0));
        check_error(&seen->error);
    }
}

static int ask_examine(unsigned how)
{
    static struct hf_shared_seen seen[N_ITEMS];
    static struct hf_shared_log_page page;
    static struct hf_shared_examine examine;

    for (size_t i = 0; i < N_ITEMS; i++)
        seen[i] = (struct hf_shared_seen){.key = keys[i], .want = (how + i) & 7};
    page = (struct hf_shared_log_page){.log_key = log_key, .after_id = "5-0", .count = 2, .each = hear_change};
    examine = (struct hf_shared_examine){.keys = seen,
                                         .n_keys = N_ITEMS,
                                         .watch = (how >> 3 & 3) % 3,
                                         .logs = &page,
                                         .n_logs = (how & 16) ? 1 : 0,
                                         .done = examine_done};
    return hf__redis_send_examine(&tier.base, &examine);
}

static void facts_done(void *ctx, struct hf_shared_facts *facts)
{
    (void)ctx;
    n_done++;
    check_error(&facts->error);
    FUZZ_REQUIRE(memchr(facts->run_id, '\0', sizeof(facts->run_id)) &&
                 memchr(facts->role, '\0', sizeof(facts->role)));
    FUZZ_REQUIRE(memchr(facts->user, '\0', sizeof(facts->user)) &&
                 memchr(facts->save_points, '\0', sizeof(facts->save_points)));
}

static int ask_facts(unsigned how)
{
    static struct hf_shared_facts facts;

    facts = (struct hf_shared_facts){.track = how % 3, .done = facts_done};
    return hf__redis_send_facts(&tier.base, &facts);
}

/* ---- the target ---- */

static void prepare(unsigned how)
{
    if (!tier.settings.scripts.text[0] && hf__scripts_init(&tier.settings.scripts) != 0)
        abort();
    tier.conn.settings = &tier.settings;
    tier.conn.state = HF__CONN_READY;
    tier.conn.hello.master = true;
    memcpy(tier.conn.token, "0123456789abcdef0123456789abcdef", 33);
    memcpy(tier.conn.session_key, "_hf:session:node", 17);
    memcpy(tier.settings.node, "fedcba9876543210fedcba9876543210", 33);
    tier.busy = false;
    tier.no_scripts = how & 32;
    tier.no_making = how & 64;
    n_done = n_waves = 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int (*const asks[])(unsigned how) = {ask_group, ask_lane,  ask_decide,  ask_epoch,
                                                ask_page,  ask_fetch, ask_examine, ask_facts};
    struct fuzz_input in = {data, size};
    struct hf_slice line = fuzz_until(&in, '\n');
    const uint8_t *c = line.data;
    unsigned which = line.len > 0 ? c[0] % 8u : 0, how = line.len > 1 ? c[1] : 0;

    prepare(how);
    reader = redisReaderCreate();
    reader->maxelements = 1024; /* ours has a bound, too, a larger one */
    redisReaderFeed(reader, (const char *)in.p, in.left);
    if (asks[which](how) == 0) {
        answer_all();
        FUZZ_REQUIRE(n_done == 1 && !tier.busy);
    }
    redisReaderFree(reader);
    return 0;
}
