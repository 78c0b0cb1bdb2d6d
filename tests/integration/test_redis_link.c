/* The Redis tier against a real redis-server: handshake, groups, lanes, catching up, fetches, and what breaks them.
 *
 * The tests run on their own thread and have the link thread do things: a job is run from `woken`, and every
 * handler and `done` leaves its mark under one lock and signals. All waits are bounded by WAIT_S. */
#include "address.h"
#include "bytes.h"
#include "certificates.h"
#include "errors.h"
#include "fail.h"
#include "proxy.h"
#include "redis_server.h"
#include "redis_tier.h"
#include "scratch.h"

#include <inttypes.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define WAIT_S 20
#define NODE_A "0123456789abcdef0123456789abcdef"
#define NODE_B "fedcba9876543210fedcba9876543210"
#define LOG "_hf:app::log:e"
#define MARK "_hf:app::mark:" NODE_A

/* ---- the driver: one tier, seen from the test's thread ---- */

struct driver {
    struct hf_shared_tier *tier;
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t changed;
    int n_connected, n_lost, n_done, n_told;
    struct hf_shared_hello hello;
    int64_t redis_ms, asked_ms, answered_ms; /* of the last answer to TIME */
    struct hf_shared_error lost;
    int (*job)(struct driver *d, void *arg);
    void *job_arg;
    int job_rc;
    bool job_ran;
};

static int64_t clock_ms(clockid_t id)
{
    struct timespec now;

    clock_gettime(id, &now);
    return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

static int64_t test_wall_ms(struct hf_clock *clock)
{
    (void)clock;
    return clock_ms(CLOCK_REALTIME);
}

static int64_t boot_ms(struct hf_clock *clock)
{
    (void)clock;
    return clock_ms(CLOCK_BOOTTIME);
}

static struct hf_clock test_clock = {.wall_ms = test_wall_ms, .boot_ms = boot_ms};

static void on_connected(void *ctx, const struct hf_shared_hello *hello)
{
    struct driver *d = ctx;

    pthread_mutex_lock(&d->lock);
    d->n_connected++;
    d->hello = *hello;
    pthread_cond_broadcast(&d->changed);
    pthread_mutex_unlock(&d->lock);
}

static void on_lost(void *ctx, const struct hf_shared_error *error)
{
    struct driver *d = ctx;

    pthread_mutex_lock(&d->lock);
    d->n_lost++;
    d->lost = *error;
    pthread_cond_broadcast(&d->changed);
    pthread_mutex_unlock(&d->lock);
}

static void on_woken(void *ctx)
{
    struct driver *d = ctx;
    int (*job)(struct driver *, void *);
    int rc;

    pthread_mutex_lock(&d->lock);
    job = d->job;
    d->job = NULL;
    pthread_mutex_unlock(&d->lock);
    if (!job)
        return;
    rc = job(d, d->job_arg);
    pthread_mutex_lock(&d->lock);
    d->job_rc = rc;
    d->job_ran = true;
    pthread_cond_broadcast(&d->changed);
    pthread_mutex_unlock(&d->lock);
}

static void on_timer(void *ctx)
{
    (void)ctx;
}

static void on_clock(void *ctx, int64_t redis_ms, int64_t asked_ms, int64_t answered_ms)
{
    struct driver *d = ctx;

    pthread_mutex_lock(&d->lock);
    d->n_told++;
    d->redis_ms = redis_ms;
    d->asked_ms = asked_ms;
    d->answered_ms = answered_ms;
    pthread_cond_broadcast(&d->changed);
    pthread_mutex_unlock(&d->lock);
}

static const struct hf_shared_handler handler = {
    .connected = on_connected,
    .lost = on_lost,
    .woken = on_woken,
    .timer = on_timer,
    .clock = on_clock,
};

/* Wait, locked, until `*count` reaches `n`. */
static bool wait_count(struct driver *d, const int *count, int n)
{
    struct timespec deadline;

    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += WAIT_S;
    while (*count < n) {
        if (pthread_cond_timedwait(&d->changed, &d->lock, &deadline) != 0)
            return false;
    }
    return true;
}

/* Run `job` on the link thread and give its result. */
static int on_link(struct driver *d, int (*job)(struct driver *, void *), void *arg)
{
    struct timespec deadline;
    int rc;

    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += WAIT_S;
    pthread_mutex_lock(&d->lock);
    d->job = job;
    d->job_arg = arg;
    d->job_ran = false;
    d->tier->ops->wake(d->tier);
    while (!d->job_ran && pthread_cond_timedwait(&d->changed, &d->lock, &deadline) == 0)
        ;
    assert_true(d->job_ran);
    rc = d->job_rc;
    pthread_mutex_unlock(&d->lock);
    return rc;
}

static void start_with(struct driver *d, const struct hf_redis_options *opts)
{
    *d = (struct driver){0};
    pthread_mutex_init(&d->lock, NULL);
    pthread_cond_init(&d->changed, NULL);
    if (hf__redis_new(opts, &test_clock, &d->tier) != 0)
        fail_msg("%s", hf_errmsg());
    assert_int_equal(d->tier->ops->start(d->tier, &handler, d), 0);
}

static void start_node(struct driver *d, const char *address, const char *node)
{
    start_with(d, &(struct hf_redis_options){
                      .address = address, .node = node, .reply_timeout_ms = 2000, .connect_timeout_ms = 2000});
}

static void stop(struct driver *d)
{
    d->tier->ops->stop(d->tier);
    pthread_mutex_destroy(&d->lock);
    pthread_cond_destroy(&d->changed);
}

static int job_connect(struct driver *d, void *arg)
{
    (void)arg;
    d->tier->ops->connect(d->tier);
    return 0;
}

static int job_disconnect(struct driver *d, void *arg)
{
    (void)arg;
    d->tier->ops->disconnect(d->tier);
    return 0;
}

/* Connect and wait for the outcome: true for connected, with its second answer to TIME, so that nothing is out; false
 * for lost. */
static bool connects(struct driver *d)
{
    int connected, lost, told;
    bool in_time = true;

    pthread_mutex_lock(&d->lock);
    connected = d->n_connected;
    lost = d->n_lost;
    told = d->n_told;
    pthread_mutex_unlock(&d->lock);
    on_link(d, job_connect, NULL);
    pthread_mutex_lock(&d->lock);
    while (in_time && (d->n_connected == connected || d->n_told == told) && d->n_lost == lost) {
        struct timespec deadline;

        clock_gettime(CLOCK_REALTIME, &deadline);
        deadline.tv_sec += WAIT_S;
        in_time = pthread_cond_timedwait(&d->changed, &d->lock, &deadline) == 0;
    }
    assert_true(in_time);
    connected = d->n_connected - connected;
    pthread_mutex_unlock(&d->lock);
    return connected > 0;
}

static void wait_lost(struct driver *d, int n)
{
    pthread_mutex_lock(&d->lock);
    assert_true(wait_count(d, &d->n_lost, n));
    pthread_mutex_unlock(&d->lock);
}

static void note_done(struct driver *d)
{
    pthread_mutex_lock(&d->lock);
    d->n_done++;
    pthread_cond_broadcast(&d->changed);
    pthread_mutex_unlock(&d->lock);
}

/* Run a job that sends, and wait for its `done`. */
static void send_and_wait(struct driver *d, int (*job)(struct driver *, void *), void *request)
{
    int before;

    pthread_mutex_lock(&d->lock);
    before = d->n_done;
    pthread_mutex_unlock(&d->lock);
    if (on_link(d, job, request) != 0)
        fail_msg("send: %s", hf_errmsg());
    pthread_mutex_lock(&d->lock);
    assert_true(wait_count(d, &d->n_done, before + 1));
    pthread_mutex_unlock(&d->lock);
}

#define DEFINE_SEND(name)                                                                                          \
    static void name##_done(void *ctx, struct hf_shared_##name *request)                                           \
    {                                                                                                              \
        (void)request;                                                                                             \
        note_done(ctx);                                                                                            \
    }                                                                                                              \
    static int job_##name(struct driver *d, void *arg)                                                             \
    {                                                                                                              \
        return d->tier->ops->send_##name(d->tier, arg);                                                            \
    }                                                                                                              \
    static void send_##name(struct driver *d, struct hf_shared_##name *request)                                    \
    {                                                                                                              \
        request->done = name##_done;                                                                               \
        request->ctx = d;                                                                                          \
        send_and_wait(d, job_##name, request);                                                                     \
    }
DEFINE_SEND(group)
DEFINE_SEND(lane)
DEFINE_SEND(epoch)
DEFINE_SEND(log_page)

/* ---- fixture: a server, and a tier connected to it ---- */

struct fixture {
    struct redis_server server;
    struct driver d;
    bool has_driver;
};

static void begin_with(struct fixture *f, const char *const *args)
{
    *f = (struct fixture){0};
    assert_int_equal(redis_server_start(&f->server, args), 0);
}

static void begin(struct fixture *f)
{
    begin_with(f, NULL);
    start_node(&f->d, f->server.address, NODE_A);
    f->has_driver = true;
    if (!connects(&f->d))
        fail_msg("%s", f->d.lost.reason);
}

static void end(struct fixture *f)
{
    if (f->has_driver)
        stop(&f->d);
    redis_server_stop(&f->server);
}

static void command(struct fixture *f, const char *text)
{
    redisReply *reply = redis_server_command(&f->server, text);

    assert_non_null(reply);
    if (reply->type == REDIS_REPLY_ERROR)
        fail_msg("%s: %s", text, reply->str);
    freeReplyObject(reply);
}

static void assert_text(struct fixture *f, const char *expected, const char *ask)
{
    char text[256];

    assert_string_equal(redis_server_text(&f->server, text, sizeof(text), ask), expected);
}

static struct hf_slice slice(const char *text)
{
    return hf__slice_str(text);
}

static struct hf_shared_item set(const char *key, const char *value, uint64_t lsn)
{
    return (struct hf_shared_item){.op = HF_SHARED_SET, .key = slice(key), .value = slice(value), .lsn = lsn};
}

static struct hf_shared_item del(const char *key, uint64_t lsn)
{
    return (struct hf_shared_item){.op = HF_SHARED_DELETE, .key = slice(key), .lsn = lsn};
}

static struct hf_shared_log log_over(size_t n)
{
    return (struct hf_shared_log){.key = slice(LOG), .max_entries = 1000, .n_items = n};
}

#define GROUP(items_, logs_, n_logs_)                                                                              \
    {                                                                                                              \
        .items = (items_), .n_items = sizeof(items_) / sizeof((items_)[0]), .logs = (logs_), .n_logs = (n_logs_)   \
    }

static struct hf_shared_lane_op incr(const char *key, int64_t delta, uint64_t lsn)
{
    return (struct hf_shared_lane_op){.op = HF_SHARED_INCR, .key = slice(key), .delta = delta, .lsn = lsn};
}

static struct hf_shared_guard guard_of(const char *value)
{
    struct hf_shared_guard guard = {.absent = !value, .len = value ? strlen(value) : 0};

    if (value)
        SHA1((const unsigned char *)value, guard.len, guard.digest);
    return guard;
}

#define LANE(ops_, prev_)                                                                                          \
    {                                                                                                              \
        .mark_key = slice(MARK), .prev = (prev_), .ops = (ops_), .n_ops = sizeof(ops_) / sizeof((ops_)[0])         \
    }

/* ---- what each fetch saw ---- */

struct fetched {
    struct driver *d;
    struct hf_shared_fetch fetch;
    char value[64];
};

static void fetch_done(void *ctx, struct hf_shared_fetch *fetch)
{
    struct fetched *got = ctx;

    if (fetch->found)
        snprintf(got->value, sizeof(got->value), "%.*s", (int)fetch->value.len, (const char *)fetch->value.data);
    note_done(got->d);
}

static int job_fetch(struct driver *d, void *arg)
{
    struct fetched *got = arg;

    return d->tier->ops->send_fetch(d->tier, &got->fetch);
}

static struct fetched fetch(struct driver *d, const char *key)
{
    struct fetched got = {.d = d, .fetch = {.key = slice(key), .done = fetch_done}};

    got.fetch.ctx = &got;
    send_and_wait(d, job_fetch, &got);
    return got;
}

/* ---- what a log page told ---- */

struct told {
    size_t n;
    struct {
        char node[40], id[48], key[64];
        enum hf_shared_op op;
        uint64_t lsn, last_lsn;
    } all[64];
};

static struct told told; /* written on the link thread, read when the page is done */

static void tell(void *ctx, const struct hf_shared_change *change)
{
    (void)ctx;
    if (told.n == 64)
        return;
    snprintf(told.all[told.n].node, 40, "%s", change->node);
    snprintf(told.all[told.n].id, 48, "%s", change->id);
    snprintf(told.all[told.n].key, 64, "%.*s", (int)change->key.len, (const char *)change->key.data);
    told.all[told.n].op = change->op;
    told.all[told.n].lsn = change->lsn;
    told.all[told.n].last_lsn = change->last_lsn;
    told.n++;
}

static struct hf_shared_log_page page_of(struct driver *d, const char *key, const char *after, uint32_t count)
{
    struct hf_shared_log_page page = {.log_key = slice(key), .count = count, .each = tell};

    snprintf(page.after_id, sizeof(page.after_id), "%s", after);
    told.n = 0;
    send_log_page(d, &page);
    return page;
}

/* One entry, from the end on. */
static struct hf_shared_log_page page_back_of(struct driver *d, const char *key, const char *before)
{
    struct hf_shared_log_page page = {.log_key = slice(key), .count = 1, .backwards = true, .each = tell};

    snprintf(page.after_id, sizeof(page.after_id), "%s", before);
    told.n = 0;
    send_log_page(d, &page);
    return page;
}

/* ---- addresses and error texts: no server needed ---- */

static void test_address__forms(void **state)
{
    static const struct {
        const char *text, *host, *path, *user, *password;
        int port, db;
        bool tls;
    } good[] = {
        {"redis://h", "h", NULL, NULL, NULL, 6379, 0, false},
        {"redis://h/", "h", NULL, NULL, NULL, 6379, 0, false},
        {"redis://h:1/7", "h", NULL, NULL, NULL, 1, 7, false},
        {"rediss://u:p@redis.example.org:6380/1", "redis.example.org", NULL, "u", "p", 6380, 1, true},
        {"redis://:p%40%2F%25@h", "h", NULL, NULL, "p@/%", 6379, 0, false},
        {"redis://u%3a:p:q@h", "h", NULL, "u:", "p:q", 6379, 0, false},
        {"redis://a@b:c@h", "h", NULL, "a@b", "c", 6379, 0, false},
        {"redis://[::1]:7/2", "::1", NULL, NULL, NULL, 7, 2, false},
        {"redis://u:p@[fe80::1]", "fe80::1", NULL, "u", "p", 6379, 0, false},
        {"unix:///run/r.sock", NULL, "/run/r.sock", NULL, NULL, 0, 0, false},
        {"unix:///run/r.sock?db=12", NULL, "/run/r.sock", NULL, NULL, 0, 12, false},
        {"unix:///run/a%3Fb", NULL, "/run/a?b", NULL, NULL, 0, 0, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct hf__redis_address a;

        if (hf__redis_address_parse(good[i].text, &a) != 0)
            fail_msg("%s: %s", good[i].text, hf_errmsg());
#define SAME(part) assert_string_equal(a.part ? a.part : "-", good[i].part ? good[i].part : "-")
        SAME(host);
        SAME(path);
        SAME(user);
        SAME(password);
#undef SAME
        assert_int_equal(a.port, good[i].port);
        assert_int_equal(a.db, good[i].db);
        assert_int_equal(a.tls, good[i].tls);
        hf__redis_address_release(&a);
    }
}

static void test_address__refusals_name_the_part_and_no_secret(void **state)
{
    static const struct {
        const char *text, *part;
    } bad[] = {
        {"", "begin with redis://"},
        {"hunter2@h", "begin with redis://"},
        {"http://hunter2", "begin with redis://"},
        {"redis://", "no host"},
        {"redis://:hunter2", "no host"},
        {"redis://u:hunter2@", "no host"},
        {"redis://u:hunter2", "port"},
        {"redis://u:hunter2@h:0", "port"},
        {"redis://u:hunter2@h:65536", "port"},
        {"redis://u:hunter2@h:x", "port"},
        {"redis://u:hunter2@h:", "port"},
        {"redis://u:hunter2/x@h", "'@' behind the host"},
        {"redis://u:hunter2?x@h", "'@' behind the host"},
        {"redis://u:hunter2%zz@h", "the password has a '%'"},
        {"redis://u:hunter2%00@h", "the password has a '%'"},
        {"redis://u:hunter2%4@h", "the password has a '%'"},
        {"redis://u%:hunter2@h", "the user has a '%'"},
        {"redis://u:hunter2@h/x", "database"},
        {"redis://u:hunter2@h/-1", "database"},
        {"redis://u:hunter2@h/99999999999", "database"},
        {"redis://u:hunter2@h/1/2", "database"},
        {"redis://u:hunter2@h?db=1", "'?'"},
        {"redis://u:hunter2@h#x", "'#'"},
        {"redis://u:hunter2@h h", "the host has a character"},
        {"redis://u:hunter2@[::1", "']'"},
        {"redis://u:hunter2@[::g]", "IPv6"},
        {"redis://u:hunter2@[::1]x", "':' and a port"},
        {"unix://hunter2", "absolute path"},
        {"unix:///", "absolute path"},
        {"unix:///r?password=hunter2", "?db=N"},
        {"unix:///r?db=", "database"},
    };
    struct hf__redis_address a;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(hf__redis_address_parse(bad[i].text, &a), HF_ECONFIG);
        if (!strstr(hf_errmsg(), bad[i].part) || strstr(hf_errmsg(), "hunter2"))
            fail_msg("%s: %s", bad[i].text, hf_errmsg());
    }
}

static void test_errors__classes(void **state)
{
    static const struct {
        const char *text;
        enum hf_shared_class class;
        bool oom;
    } rows[] = {
        {"LOADING Redis is loading the dataset in memory", HF_SHARED_STATE, false},
        {"BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.", HF_SHARED_STATE,
         false},
        {"BUSYKEY Target key name already exists.", HF_SHARED_ENTRY, false},
        {"OOM command not allowed when used memory > 'maxmemory'.", HF_SHARED_STATE, true},
        {"EXECABORT Transaction discarded because of: OOM command not allowed when used memory > 'maxmemory'.",
         HF_SHARED_STATE, true},
        {"EXECABORT Transaction discarded because of previous errors.", HF_SHARED_RETRY, false},
        {"ERR The user executing the script can't run this command or subcommand", HF_SHARED_AUTH, false},
        {"ERR Error running script (call to f_6b1bf486c81ceb7edf3c093f4c48582e38c0e791): @user_script:4: "
         "@user_script: "
         "4: -OOM command not allowed when used memory > 'maxmemory'.",
         HF_SHARED_STATE, true},
        {"ERR Error running script (call to f_6b1b): @user_script:3: WRONGTYPE Operation against", HF_SHARED_ENTRY,
         false},
        {"READONLY You can't write against a read only replica.", HF_SHARED_STATE, false},
        {"MISCONF Errors writing to the AOF file: Input/output error", HF_SHARED_STATE, false},
        {"NOREPLICAS Not enough good replicas to write.", HF_SHARED_STATE, false},
        {"ERR max number of clients reached", HF_SHARED_STATE, false},
        {"NOAUTH Authentication required.", HF_SHARED_AUTH, false},
        {"WRONGPASS invalid username-password pair or user is disabled.", HF_SHARED_AUTH, false},
        {"NOPERM this user has no permissions to run the 'set' command", HF_SHARED_AUTH, false},
        {"DENIED Redis is running in protected mode", HF_SHARED_AUTH, false},
        {"WRONGTYPE Operation against a key holding the wrong kind of value", HF_SHARED_ENTRY, false},
        {"ERR string exceeds maximum allowed size (proto-max-bulk-len)", HF_SHARED_ENTRY, false},
        {"ERR Protocol error: invalid bulk length", HF_SHARED_LINK, false},
        {"FNORD of a fork", HF_SHARED_ENTRY, false},
        {"", HF_SHARED_ENTRY, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct hf_shared_error error;

        hf__redis_classify(slice(rows[i].text), &error);
        if (error.class != rows[i].class || error.oom != rows[i].oom)
            fail_msg("%s: class %d oom %d", rows[i].text, (int)error.class, (int)error.oom);
    }
}

static void test_errors__echoed_arguments_are_cut(void **state)
{
    struct hf_shared_error error;

    (void)state;
    hf__redis_classify(slice("ERR unknown command 'HELLO', with args beginning with: '3' 'AUTH' 'u' 'hunter2'"),
                       &error);
    assert_null(strstr(error.reason, "hunter2"));
    assert_string_equal(error.reason, "ERR unknown command 'HELLO'");
}

/* ---- handshake ---- */

static void test_handshake__tells_role_version_and_time(void **state)
{
    struct fixture f;
    char token[64];
    int64_t offset;

    (void)state;
    begin(&f);
    assert_true(f.d.hello.master);
    assert_true(f.d.hello.version[0] >= '6');
    assert_true(f.d.hello.asked_ms <= f.d.hello.answered_ms);
    offset = f.d.hello.redis_ms - clock_ms(CLOCK_REALTIME);
    assert_true(offset > -5000 && offset < 5000);
    redis_server_text(&f.server, token, sizeof(token), "GET _hf:session:" NODE_A);
    assert_int_equal(strlen(token), 32);
    end(&f);
}

static void start_beating(struct fixture *f, struct driver *d, const char *user)
{
    start_with(d, &(struct hf_redis_options){.address = f->server.address,
                                             .node = NODE_B,
                                             .user = user,
                                             .password = user ? "pw" : NULL,
                                             .reply_timeout_ms = 2000,
                                             .heartbeat_ms = 10,
                                             .connect_timeout_ms = 2000});
    assert_true(connects(d));
}

static void test_heartbeat__tells_the_time(void **state)
{
    struct fixture f;
    struct driver d;

    (void)state;
    begin(&f);
    start_beating(&f, &d, NULL);
    for (int n = 2; n < 6; n++) {
        int64_t offset;

        pthread_mutex_lock(&d.lock);
        assert_true(wait_count(&d, &d.n_told, n));
        assert_true(d.asked_ms <= d.answered_ms && d.asked_ms >= d.hello.answered_ms);
        offset = d.redis_ms - d.hello.redis_ms - (d.asked_ms - d.hello.asked_ms);
        pthread_mutex_unlock(&d.lock);
        assert_in_range(offset + 1000, 0, 2000);
    }
    stop(&d);
    end(&f);
}

static int calls_of_ping(struct fixture *f)
{
    redisReply *reply = redis_server_command(&f->server, "INFO commandstats");
    const char *at = reply ? strstr(reply->str, "cmdstat_ping:calls=") : NULL;
    int calls = at ? atoi(at + strlen("cmdstat_ping:calls=")) : 0;

    freeReplyObject(reply);
    return calls;
}

static bool pings(void *ctx)
{
    return calls_of_ping(ctx) > 2;
}

static void test_heartbeat__goes_on_as_ping_without_the_right_to_ask_for_the_time(void **state)
{
    struct fixture f;
    struct driver d;

    (void)state;
    begin(&f);
    command(&f, "ACL SETUSER u on >pw ~* +@all");
    start_beating(&f, &d, "u");
    command(&f, "CONFIG RESETSTAT");
    command(&f, "ACL SETUSER u -time");
    assert_true(wait_until(pings, &f, 1000 * WAIT_S));
    assert_int_equal(d.n_lost, 0);
    assert_false(fetch(&d, "app:none").fetch.found);
    stop(&d);
    end(&f);
}

static void test_handshake__each_connection_has_its_own_token(void **state)
{
    struct fixture f;
    char first[64], second[64];

    (void)state;
    begin(&f);
    redis_server_text(&f.server, first, sizeof(first), "GET _hf:session:" NODE_A);
    on_link(&f.d, job_disconnect, NULL);
    assert_true(connects(&f.d));
    redis_server_text(&f.server, second, sizeof(second), "GET _hf:session:" NODE_A);
    assert_string_not_equal(first, second);
    assert_int_equal(f.d.n_lost, 0);
    end(&f);
}

static void test_handshake__database_is_selected(void **state)
{
    struct fixture f;
    struct driver d;
    char address[128];

    (void)state;
    begin(&f);
    snprintf(address, sizeof(address), "%s?db=3", f.server.address);
    start_node(&d, address, NODE_B);
    assert_true(connects(&d));
    assert_text(&f, "(nil)", "GET _hf:session:" NODE_B);
    assert_int_equal(redis_server_number(&f.server, "SWAPDB 0 3"), INT64_MIN);
    assert_int_equal(redis_server_number(&f.server, "EXISTS _hf:session:" NODE_B), 1);
    stop(&d);
    snprintf(address, sizeof(address), "%s?db=99", f.server.address);
    start_node(&d, address, NODE_B);
    assert_false(connects(&d));
    assert_int_equal(d.lost.class, HF_SHARED_STATE);
    stop(&d);
    end(&f);
}

static void connect_as(struct fixture *f, struct driver *d, const char *user, const char *password)
{
    start_with(d, &(struct hf_redis_options){
                      .address = f->server.address, .node = NODE_B, .user = user, .password = password});
}

static void test_handshake__wrong_password_is_auth_and_not_told(void **state)
{
    static const char *const args[] = {"--requirepass", "right-pass", NULL};
    struct fixture f;
    struct driver d;

    (void)state;
    begin_with(&f, args);
    connect_as(&f, &d, NULL, "hunter2");
    assert_false(connects(&d));
    assert_int_equal(d.lost.class, HF_SHARED_AUTH);
    assert_null(strstr(d.lost.reason, "hunter2"));
    stop(&d);
    connect_as(&f, &d, NULL, NULL);
    assert_false(connects(&d));
    assert_int_equal(d.lost.class, HF_SHARED_AUTH);
    stop(&d);
    connect_as(&f, &d, NULL, "right-pass");
    assert_true(connects(&d));
    stop(&d);
    end(&f);
}

static void test_handshake__full_server_is_a_state(void **state)
{
    static const char *const args[] = {"--maxclients", "1", NULL};
    struct fixture f;
    struct driver a, b;

    (void)state;
    begin_with(&f, args);
    start_node(&a, f.server.address, NODE_A);
    while (!connects(&a)) /* the readiness probe may still count */
        ;
    start_node(&b, f.server.address, NODE_B);
    assert_false(connects(&b));
    assert_int_equal(b.lost.class, HF_SHARED_STATE);
    assert_non_null(strstr(b.lost.reason, "max number of clients"));
    stop(&b);
    stop(&a);
    end(&f);
}

static void test_handshake__nobody_there(void **state)
{
    static const char *const addresses[] = {
        "unix:///nowhere/r.sock",
        "redis://127.0.0.1:1",
        "redis://no-such-host.invalid",
        "redis://[::1]:1",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
        struct driver d;

        start_node(&d, addresses[i], NODE_A);
        assert_false(connects(&d));
        assert_int_equal(d.lost.class, HF_SHARED_LINK);
        assert_int_equal(strncmp(d.lost.reason, "cannot connect to ", 18), 0);
        stop(&d);
    }
}

static void test_options__are_checked(void **state)
{
    struct hf_shared_tier *tier = NULL;

    (void)state;
    assert_int_equal(
        hf__redis_new(&(struct hf_redis_options){.address = "redis://h", .node = "12"}, &test_clock, &tier),
        HF_EINVAL);
    assert_int_equal(hf__redis_new(&(struct hf_redis_options){.address = "redis://h", .node = NODE_A, .user = "u"},
                                   &test_clock, &tier),
                     HF_ECONFIG);
    assert_int_equal(
        hf__redis_new(
            &(struct hf_redis_options){.address = "rediss://h", .node = NODE_A, .ca_file = "/nowhere/ca.pem"},
            &test_clock, &tier),
        HF_ECONFIG);
    assert_non_null(strstr(hf_errmsg(), "/nowhere/ca.pem"));
    assert_int_equal(
        hf__redis_new(&(struct hf_redis_options){.address = "redis://h", .node = NODE_A}, &test_clock, &tier), 0);
    tier->ops->stop(tier); /* never started */
}

/* ---- groups ---- */

static void test_group__round_trip_with_ttl_and_binary_keys(void **state)
{
    static const char key[] = {'k', 0, '\r', '\n', (char)0xff}, value[] = {0, 1, '\n', (char)0xfe};
    struct hf_shared_item items[5] = {
        {.op = HF_SHARED_SET, .key = {key, sizeof(key)}, .value = {value, sizeof(value)}, .lsn = 1},
        set("app:ttl", "v", 2),
        del("app:gone", 3),
        set("app:e", "v", 4),
        set("app:empty", "", 5),
    };
    struct hf_shared_group group = GROUP(items, NULL, 0);
    struct fixture f;
    redisReply *reply;
    long long ttl;

    (void)state;
    begin(&f);
    command(&f, "SET app:gone x");
    items[1].deadline_ms = clock_ms(CLOCK_REALTIME) + 100000;
    send_group(&f.d, &group);
    assert_int_equal(group.error.class, HF_SHARED_OK);
    for (int i = 0; i < 5; i++)
        assert_int_equal(items[i].error.class, HF_SHARED_OK);
    reply = redis_server_command(&f.server, "GET %b", key, sizeof(key));
    assert_int_equal(reply->len, sizeof(value));
    assert_memory_equal(reply->str, value, sizeof(value));
    freeReplyObject(reply);
    ttl = redis_server_number(&f.server, "PTTL app:ttl");
    assert_true(ttl > 90000 && ttl <= 100000);
    assert_text(&f, "(nil)", "GET app:gone");
    assert_text(&f, "", "GET app:empty");
    end(&f);
}

static void test_group__expire_and_persist(void **state)
{
    struct hf_shared_item items[] = {
        {.op = HF_SHARED_EXPIRE, .key = slice("app:a"), .deadline_ms = clock_ms(CLOCK_REALTIME) + 100000, .lsn = 1},
        {.op = HF_SHARED_PERSIST, .key = slice("app:b"), .lsn = 2},
        {.op = HF_SHARED_EXPIRE, .key = slice("app:c"), .deadline_ms = 1, .lsn = 3},
    };
    struct hf_shared_group group = GROUP(items, NULL, 0);
    struct fixture f;

    (void)state;
    begin(&f);
    command(&f, "SET app:a 1");
    command(&f, "SET app:b 1 EX 100");
    command(&f, "SET app:c 1");
    send_group(&f.d, &group);
    assert_int_equal(group.error.class, HF_SHARED_OK);
    assert_true(redis_server_number(&f.server, "PTTL app:a") > 0);
    assert_int_equal(redis_server_number(&f.server, "PTTL app:b"), -1);
    assert_int_equal(redis_server_number(&f.server, "EXISTS app:c"), 0);
    end(&f);
}

static void test_group__log_entries_name_node_operation_and_lsn(void **state)
{
    static const char node[] = NODE_A;
    struct hf_shared_item items[] = {set("app:a", "1", 100), del("app:b", 107), set("app:c", "3", 103)};
    struct hf_shared_log log = log_over(3);
    struct hf_shared_group group = GROUP(items, &log, 1);
    struct hf_shared_log_page page;
    struct fixture f;

    (void)state;
    begin(&f);
    command(&f, "XADD " LOG " 1-1 n x l 0");
    items[2].made_ms = 1700000000000;
    send_group(&f.d, &group);
    assert_int_equal(group.error.class, HF_SHARED_OK);
    assert_false(log.missing);
    page = page_of(&f.d, LOG, "", 10);
    assert_int_equal(page.error.class, HF_SHARED_OK);
    assert_int_equal(page.n_entries, 2);
    assert_string_equal(page.after_id, log.last_id);
    assert_int_equal(told.n, 3);
    assert_string_equal(told.all[0].node, node);
    assert_string_equal(told.all[0].id, log.last_id);
    assert_string_equal(told.all[0].key, "app:a");
    assert_int_equal(told.all[0].op, HF_SHARED_SET);
    assert_int_equal(told.all[0].lsn, 100);
    assert_int_equal(told.all[1].op, HF_SHARED_DELETE);
    assert_int_equal(told.all[1].lsn, 107);
    assert_int_equal(told.all[2].lsn, 103);

    page = page_back_of(&f.d, LOG, "");
    assert_int_equal(page.n_entries, 1);
    assert_string_equal(page.after_id, log.last_id);
    assert_int_equal(told.n, 3);
    page = page_back_of(&f.d, LOG, page.after_id);
    assert_int_equal(page.n_entries, 1);
    assert_string_equal(page.after_id, "1-1");
    page = page_back_of(&f.d, LOG, page.after_id);
    assert_int_equal(page.n_entries, 0);
    assert_false(page.gap || page.missing);
    end(&f);
}

static void test_group__missing_log_is_told_and_fails_nothing(void **state)
{
    struct hf_shared_item items[] = {set("app:a", "1", 1)};
    struct hf_shared_log log = log_over(1);
    struct hf_shared_group group = GROUP(items, &log, 1);
    struct fixture f;

    (void)state;
    begin(&f);
    send_group(&f.d, &group);
    assert_int_equal(group.error.class, HF_SHARED_OK);
    assert_int_equal(items[0].error.class, HF_SHARED_OK);
    assert_true(log.missing);
    command(&f, "SET " LOG " foreign"); /* nor is that a log */
    send_group(&f.d, &group);
    assert_int_equal(items[0].error.class, HF_SHARED_OK);
    assert_true(log.missing);
    assert_string_equal(log.last_id, "");
    end(&f);
}

/* What stands in the log behind an id: so many entries of one node, and perhaps one of another among them. */
struct behind {
    unsigned ours;
    bool others; /* one, behind ours */
    bool all;    /* the group knows no id: from the beginning, where another node's entry stands */
    bool blind;  /* the group does not ask */
    bool applied;
};

static void log_of(struct fixture *f, const char *node, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        freeReplyObject(redis_server_command(&f->server, "XADD " LOG " * n %s l 1 s0 app:other", node));
}

static void send_behind(struct fixture *f, const struct behind *behind)
{
    struct hf_shared_guard holds = guard_of("base");
    struct hf_shared_item items[] = {set("app:new", "1", 10), set("app:known", "2", 11), del("app:gone", 12)};
    struct hf_shared_log log = log_over(3);
    struct hf_shared_group group = GROUP(items, &log, 1);
    char known[48];

    command(f, "DEL app:new " LOG);
    command(f, "MSET app:known base app:gone base");
    log_of(f, NODE_B, 1);
    snprintf(known, sizeof(known), "%s", page_of(&f->d, LOG, "", 10).after_id);
    log_of(f, NODE_A, behind->ours);
    log_of(f, NODE_B, behind->others);
    for (size_t i = 1; i < 3; i++) {
        items[i].guards = &holds;
        items[i].n_guards = 1;
    }
    log.after_id = behind->blind ? NULL : behind->all ? "" : known;
    group.guarded = true;
    send_group(&f->d, &group);
    assert_int_equal(group.error.class, HF_SHARED_OK);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(items[i].error.class, behind->applied ? HF_SHARED_OK : HF_SHARED_CHANGED);
    assert_text(f, behind->applied ? "1" : "(nil)", "GET app:new");
    assert_text(f, behind->applied ? "2" : "base", "GET app:known");
    assert_text(f, behind->applied ? "(nil)" : "base", "GET app:gone");
    assert_int_equal(log.last_id[0] != '\0', behind->applied);
    assert_false(log.missing);
    assert_int_equal(redis_server_number(&f->server, "XLEN " LOG),
                     1 + behind->ours + behind->others + behind->applied);
}

static void test_group__nothing_is_applied_before_others_entries_are_read(void **state)
{
    static const struct behind cases[] = {
        {.applied = true},
        {.ours = 1, .applied = true},
        {.ours = 99, .applied = true},
        {.ours = 100}, /* too many to look at */
        {.others = true},
        {.ours = 98, .others = true},
        {.all = true},
        {.blind = true, .ours = 100, .others = true, .applied = true},
    };
    struct fixture f;

    (void)state;
    begin(&f);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        send_behind(&f, &cases[i]);
    end(&f);
}

/* ---- making ---- */

/* How often the server ran a command so far. */
static int64_t calls_of(struct fixture *f, const char *name)
{
    redisReply *reply = redis_server_command(&f->server, "INFO commandstats");
    char field[64];
    const char *at;
    int64_t calls;

    snprintf(field, sizeof(field), "cmdstat_%s:calls=", name);
    at = strstr(reply->str, field);
    calls = at ? strtoll(at + strlen(field), NULL, 10) : 0;
    freeReplyObject(reply);
    return calls;
}

static void expect_absent(struct hf_shared_item *items, size_t n)
{
    static const struct hf_shared_guard absent = {.absent = true};

    for (size_t i = 0; i < n; i++) {
        items[i].guards = &absent;
        items[i].n_guards = 1;
    }
}

static void assert_no_latch(struct fixture *f)
{
    assert_int_equal(redis_server_number(&f->server, "EXISTS _hf:session:" NODE_A ":latch"), 0);
}

static void test_make__absent_keys_are_made_at_once_and_named(void **state)
{
    struct hf_shared_item items[] = {set("app:a", "1", 10), set("app:b", "2", 12), set("app:c", "", 13)};
    struct hf_shared_log log = log_over(3);
    struct hf_shared_group group = GROUP(items, &log, 1);
    struct fixture f;

    (void)state;
    begin(&f);
    command(&f, "XADD " LOG " 1-1 n x l 0");
    expect_absent(items, 3);
    log.after_id = "1-1";
    group.guarded = true;
    send_group(&f.d, &group);
    assert_int_equal(group.error.class, HF_SHARED_OK);
    for (int i = 0; i < 3; i++)
        assert_int_equal(items[i].error.class, HF_SHARED_OK);
    assert_int_equal(calls_of(&f, "evalsha"), 0);
    assert_int_equal(calls_of(&f, "msetnx"), 1);
    assert_text(&f, "1", "GET app:a");
    assert_text(&f, "2", "GET app:b");
    assert_text(&f, "", "GET app:c");
    page_of(&f.d, LOG, "1-1", 10);
    assert_int_equal(told.n, 3);
    assert_string_equal(told.all[0].key, "app:a");
    assert_int_equal(told.all[0].lsn, 10);
    assert_string_equal(log.last_id, told.all[2].id);
    assert_no_latch(&f);
    send_group(&f.d, &group); /* the guard stands */
    assert_int_equal(group.error.class, HF_SHARED_OK);
    assert_int_equal(items[0].error.class, HF_SHARED_CHANGED);
    end(&f);
}

/* All or none is made at once; then the script makes what it can. Only what was made is named. */
static void test_make__the_rest_is_made_where_a_key_is_there(void **state)
{
    static const char *const theirs[] = {"SET app:b theirs", "HSET app:b f v", "SET app:b '' PX 100000"};

    (void)state;
    for (size_t i = 0; i < sizeof(theirs) / sizeof(theirs[0]); i++) {
        struct hf_shared_item items[] = {set("app:a", "1", 10), set("app:b", "2", 12), set("app:c", "3", 13)};
        struct hf_shared_log log = log_over(3);
        struct hf_shared_group group = GROUP(items, &log, 1);
        struct fixture f;

        begin(&f);
        command(&f, "XADD " LOG " 1-1 n x l 0");
        command(&f, theirs[i]);
        expect_absent(items, 3);
        group.guarded = true;
        send_group(&f.d, &group);
        assert_int_equal(group.error.class, HF_SHARED_OK);
        assert_int_equal(items[0].error.class, HF_SHARED_OK);
        assert_int_equal(items[1].error.class, HF_SHARED_CHANGED);
        assert_int_equal(items[2].error.class, HF_SHARED_OK);
        assert_int_equal(calls_of(&f, "msetnx"), 2); /* by itself, and in the script */
        assert_int_equal(redis_server_number(&f.server, "XLEN " LOG), 2);
        page_of(&f.d, LOG, "1-1", 10);
        assert_int_equal(told.n, 2);
        assert_string_equal(told.all[1].key, "app:c");
        assert_no_latch(&f);
        end(&f);
    }
}

static void test_make__nothing_is_made_before_others_entries_are_read(void **state)
{
    struct hf_shared_item items[] = {set("app:a", "1", 10), set("app:b", "2", 12)};
    struct hf_shared_log log = log_over(2);
    struct hf_shared_group group = GROUP(items, &log, 1);
    struct fixture f;
    char last_id[48];

    (void)state;
    begin(&f);
    command(&f, "XADD " LOG " 1-1 n x l 0");
    log_of(&f, NODE_A, 3);
    log_of(&f, NODE_B, 1);
    snprintf(last_id, sizeof(last_id), "%s", page_of(&f.d, LOG, "1-1", 10).after_id);
    expect_absent(items, 2);
    log.after_id = "1-1";
    group.guarded = true;
    send_group(&f.d, &group);
    assert_int_equal(items[0].error.class, HF_SHARED_CHANGED);
    assert_int_equal(redis_server_number(&f.server, "EXISTS app:a app:b"), 0);
    assert_int_equal(redis_server_number(&f.server, "XLEN " LOG), 5);
    assert_string_equal(page_of(&f.d, LOG, "1-1", 10).after_id, last_id);
    assert_no_latch(&f);
    log.after_id = last_id;
    send_group(&f.d, &group);
    assert_int_equal(items[0].error.class, HF_SHARED_OK);
    assert_int_equal(redis_server_number(&f.server, "EXISTS app:a app:b"), 2);
    end(&f);
}

static void test_make__a_log_that_is_gone_is_told(void **state)
{
    struct hf_shared_item items[] = {set("app:a", "1", 10)};
    struct hf_shared_log log = log_over(1);
    struct hf_shared_group group = GROUP(items, &log, 1);
    struct fixture f;

    (void)state;
    begin(&f);
    expect_absent(items, 1);
    group.guarded = true;
    send_group(&f.d, &group);
    assert_int_equal(items[0].error.class, HF_SHARED_OK);
    assert_true(log.missing);
    assert_text(&f, "1", "GET app:a");
    assert_int_equal(redis_server_number(&f.server, "EXISTS " LOG), 0);
    end(&f);
}

static void test_make__out_of_memory_is_a_state(void **state)
{
    struct hf_shared_item items[] = {set("app:a", "1", 10)};
    struct hf_shared_log log = log_over(1);
    struct hf_shared_group group = GROUP(items, &log, 1);
    struct fixture f;

    (void)state;
    begin(&f);
    command(&f, "XADD " LOG " 1-1 n x l 0");
    expect_absent(items, 1);
    group.guarded = true;
    command(&f, "CONFIG SET maxmemory 1");
    send_group(&f.d, &group);
    assert_int_equal(group.error.class, HF_SHARED_STATE);
    assert_true(group.error.oom);
    assert_int_equal(redis_server_number(&f.server, "EXISTS app:a"), 0);
    command(&f, "CONFIG SET maxmemory 0");
    send_group(&f.d, &group);
    assert_int_equal(items[0].error.class, HF_SHARED_OK);
    assert_int_equal(calls_of(&f, "msetnx"), 1);
    end(&f);
}

/* Who may not store many at once, or look at the log, is served by the script, and asked once in a connection. */
static void test_make__who_may_not_is_served_by_the_script(void **state)
{
    static const char *const forbidden[] = {"-msetnx", "-xrange"};

    (void)state;
    for (size_t i = 0; i < sizeof(forbidden) / sizeof(forbidden[0]); i++) {
        struct hf_shared_item first[] = {set("app:a", "1", 10)}, second[] = {set("app:b", "1", 11)};
        struct hf_shared_log log = log_over(1);
        struct hf_shared_group group = GROUP(first, &log, 1);
        struct fixture f;
        struct driver d;
        int64_t execs;
        char acl[128];

        begin(&f);
        command(&f, "XADD " LOG " 1-1 n x l 0");
        snprintf(acl, sizeof(acl), "ACL SETUSER limited on >pw ~* +@all %s", forbidden[i]);
        command(&f, acl);
        connect_as(&f, &d, "limited", "pw");
        assert_true(connects(&d));
        expect_absent(first, 1);
        expect_absent(second, 1);
        log.after_id = "1-1";
        group.guarded = true;
        send_group(&d, &group);
        assert_int_equal(first[0].error.class, HF_SHARED_OK);
        execs = calls_of(&f, "multi");
        group.items = second;
        send_group(&d, &group);
        assert_int_equal(second[0].error.class, HF_SHARED_OK);
        assert_int_equal(calls_of(&f, "multi"), execs);
        assert_int_equal(redis_server_number(&f.server, "EXISTS app:a app:b"), 2);
        assert_int_equal(redis_server_number(&f.server, "XLEN " LOG), 3);
        stop(&d);
        end(&f);
    }
}

/* Then its commands ran one by one: whether the key was made is for the script to see. */
static void test_make__without_transactions_the_script_has_the_last_word(void **state)
{
    struct hf_shared_item first[] = {set("app:a", "1", 10)}, second[] = {set("app:b", "1", 11)};
    struct hf_shared_log log = log_over(1);
    struct hf_shared_group group = GROUP(first, &log, 1);
    struct fixture f;
    struct driver d;
    int64_t execs;

    (void)state;
    begin(&f);
    command(&f, "XADD " LOG " 1-1 n x l 0");
    command(&f, "ACL SETUSER limited on >pw ~* +@all -multi");
    connect_as(&f, &d, "limited", "pw");
    assert_true(connects(&d));
    expect_absent(first, 1);
    expect_absent(second, 1);
    group.guarded = true;
    send_group(&d, &group);
    assert_int_equal(group.error.class, HF_SHARED_OK);
    assert_int_equal(first[0].error.class, HF_SHARED_CHANGED);
    assert_text(&f, "1", "GET app:a");
    execs = calls_of(&f, "exec");
    group.items = second;
    send_group(&d, &group);
    assert_int_equal(second[0].error.class, HF_SHARED_OK);
    assert_int_equal(calls_of(&f, "exec"), execs); /* nor is it tried again */
    assert_int_equal(redis_server_number(&f.server, "XLEN " LOG), 3);
    assert_no_latch(&f);
    stop(&d);
    end(&f);
}

static void test_group__one_at_a_time(void **state)
{
    struct hf_shared_item items[] = {set("app:a", "1", 1)};
    struct hf_shared_group first = GROUP(items, NULL, 0), second = GROUP(items, NULL, 0);
    struct fixture f;

    (void)state;
    begin(&f);
    redis_server_pause(&f.server);
    first.done = second.done = group_done;
    first.ctx = second.ctx = &f.d;
    assert_int_equal(on_link(&f.d, job_group, &first), 0);
    assert_int_equal(on_link(&f.d, job_group, &second), HF_EBUSY);
    redis_server_resume(&f.server);
    pthread_mutex_lock(&f.d.lock);
    assert_true(wait_count(&f.d, &f.d.n_done, 1));
    pthread_mutex_unlock(&f.d.lock);
    send_group(&f.d, &second);
    assert_int_equal(second.error.class, HF_SHARED_OK);
    end(&f);
}

static void test_group__wrong_type_is_not_overwritten_at_replay(void **state)
{
    struct hf_shared_item items[] = {set("app:a", "1", 1), set("app:h", "2", 2), set("app:c", "3", 3)};
    struct hf_shared_log log = log_over(3);
    struct hf_shared_group group = GROUP(items, &log, 1);
    struct fixture f;

    (void)state;
    begin(&f);
    command(&f, "HSET app:h f v");
    command(&f, "XADD " LOG " * n x l 0");
    group.guarded = true;
    send_group(&f.d, &group);
    assert_int_equal(group.error.class, HF_SHARED_OK);
    assert_int_equal(items[0].error.class, HF_SHARED_OK);
    assert_int_equal(items[1].error.class, HF_SHARED_ENTRY);
    assert_int_equal(strncmp(items[1].error.reason, "WRONGTYPE", 9), 0);
    assert_int_equal(items[2].error.class, HF_SHARED_OK);
    assert_text(&f, "v", "HGET app:h f");
    page_of(&f.d, LOG, "", 10);
    assert_int_equal(told.n, 2);

    group.items = &items[1];
    group.n_items = 1;
    group.n_logs = 0;
    send_group(&f.d, &group);
    assert_int_equal(items[1].error.class, HF_SHARED_ENTRY);
    group.items = &items[2];
    send_group(&f.d, &group); /* the guard stands after a group that stored nothing */
    assert_int_equal(items[2].error.class, HF_SHARED_OK);
    end(&f);
}

static void test_group__refused_by_acl_finds_the_guilty_one(void **state)
{
    struct hf_shared_item items[] = {set("app:a", "1", 1), set("other:b", "2", 2), set("app:c", "3", 3)};
    struct hf_shared_group group = GROUP(items, NULL, 0);
    struct fixture f;
    struct driver d;

    (void)state;
    begin(&f);
    command(&f, "ACL SETUSER limited on >pw ~app:* ~_hf:* +@all -@dangerous");
    connect_as(&f, &d, "limited", "pw");
    assert_true(connects(&d));
    send_group(&d, &group);
    assert_int_equal(group.error.class, HF_SHARED_AUTH);
    assert_int_equal(items[0].error.class, HF_SHARED_RETRY);
    assert_int_equal(items[1].error.class, HF_SHARED_AUTH);
    assert_int_equal(items[2].error.class, HF_SHARED_RETRY);
    assert_text(&f, "(nil)", "GET app:a");
    stop(&d);
    end(&f);
}

/* Refused once, they go one by one from then on. */
static void test_group__a_user_who_may_not_mset_is_served_by_single_sets(void **state)
{
    struct hf_shared_item items[] = {set("app:a", "1", 1), set("app:b", "2", 2), set("app:c", "3", 3)};
    struct hf_shared_group group = GROUP(items, NULL, 0);
    struct fixture f;
    struct driver d;

    (void)state;
    begin(&f);
    command(&f, "ACL SETUSER limited on >pw ~app:* ~_hf:* +@all -mset");
    connect_as(&f, &d, "limited", "pw");
    assert_true(connects(&d));
    command(&f, "CONFIG RESETSTAT");
    for (int i = 0; i < 2; i++) {
        command(&f, "DEL app:b");
        send_group(&d, &group);
        assert_int_equal(group.error.class, HF_SHARED_OK);
        assert_text(&f, "2", "GET app:b");
    }
    assert_int_equal(calls_of(&f, "multi"), 3);
    stop(&d);
    end(&f);
}

/* Whose key it was is known behind the first group; the next ones go at once again. */
static void test_group__after_a_forbidden_key_values_go_at_once_again(void **state)
{
    struct hf_shared_item bad[] = {set("app:a", "1", 1), set("other:b", "2", 2)};
    struct hf_shared_item good[] = {set("app:a", "3", 3), set("app:b", "4", 4)};
    struct hf_shared_group refused = GROUP(bad, NULL, 0), group = GROUP(good, NULL, 0);
    struct fixture f;
    struct driver d;

    (void)state;
    begin(&f);
    command(&f, "ACL SETUSER limited on >pw ~app:* ~_hf:* +@all");
    connect_as(&f, &d, "limited", "pw");
    assert_true(connects(&d));
    send_group(&d, &refused);
    assert_int_equal(bad[1].error.class, HF_SHARED_AUTH);
    command(&f, "CONFIG RESETSTAT");
    send_group(&d, &group);
    assert_int_equal(group.error.class, HF_SHARED_OK);
    assert_int_equal(calls_of(&f, "mset"), 1);
    stop(&d);
    end(&f);
}

/* Neighbours without a deadline are one command; what stands between them keeps its place. */
static void test_group__values_at_once_keep_their_turns(void **state)
{
    struct hf_shared_item items[] = {set("app:a", "1", 1), set("app:b", "1", 2), set("app:c", "1", 3),
                                     set("app:a", "2", 4), set("app:b", "2", 5), set("app:b", "3", 6),
                                     set("app:c", "3", 7)};
    struct hf_shared_group group = GROUP(items, NULL, 0);
    struct fixture f;

    (void)state;
    begin(&f);
    items[3].op = HF_SHARED_DELETE;
    items[3].value = hf__slice("", 0);
    items[4].deadline_ms = 4102444800000;
    send_group(&f.d, &group);
    assert_int_equal(group.error.class, HF_SHARED_OK);
    assert_text(&f, "(nil)", "GET app:a");
    assert_text(&f, "3", "GET app:b");
    assert_int_equal(redis_server_number(&f.server, "PTTL app:b"), -1);
    assert_text(&f, "3", "GET app:c");
    end(&f);
}

/* ---- the fence ---- */

static bool is_busy(void *ctx)
{
    char text[64];

    return strncmp(redis_server_text(ctx, text, sizeof(text), "PING"), "BUSY", 4) == 0;
}

static bool is_idle(void *ctx)
{
    return !is_busy(ctx);
}

/* MULTI and WATCH are answered while a script runs; that the token is not told then does not mean that it is gone. */
static void test_fence__a_server_that_is_busy_says_why(void **state)
{
    struct hf_shared_item items[] = {set("app:a", "1", 1)};
    struct hf_shared_group group = GROUP(items, NULL, 0);
    redisContext *runs;
    struct fixture f;
    int sent = 0;

    (void)state;
    begin(&f);
    command(&f, "CONFIG SET busy-reply-threshold 10");
    runs = redisConnectUnix(f.server.socket);
    assert_non_null(runs);
    redisAppendCommand(runs, "EVAL %s 0", "while true do end");
    while (!sent)
        assert_int_equal(redisBufferWrite(runs, &sent), REDIS_OK);
    assert_true(wait_until(is_busy, &f.server, 5000));
    send_group(&f.d, &group);
    assert_int_equal(group.error.class, HF_SHARED_FENCE);
    assert_memory_equal(group.error.reason, "BUSY ", 5);
    command(&f, "SCRIPT KILL");
    assert_true(wait_until(is_idle, &f.server, 5000));
    redisFree(runs);
    assert_text(&f, "(nil)", "GET app:a");
    assert_true(connects(&f.d));
    send_group(&f.d, &group);
    assert_int_equal(group.error.class, HF_SHARED_OK);
    end(&f);
}

static void test_fence__wipe_between_groups_is_seen(void **state)
{
    struct hf_shared_item items[] = {set("app:a", "1", 1)};
    struct hf_shared_group group = GROUP(items, NULL, 0);
    struct fixture f;

    (void)state;
    begin(&f);
    send_group(&f.d, &group);
    assert_int_equal(group.error.class, HF_SHARED_OK);
    command(&f, "FLUSHDB");
    send_group(&f.d, &group);
    assert_int_equal(group.error.class, HF_SHARED_FENCE);
    assert_int_equal(items[0].error.class, HF_SHARED_FENCE);
    wait_lost(&f.d, 1);
    assert_int_equal(f.d.lost.class, HF_SHARED_FENCE);
    assert_text(&f, "(nil)", "GET app:a");
    assert_int_equal(on_link(&f.d, job_group, &group), HF_EOFFLINE);
    assert_true(connects(&f.d));
    send_group(&f.d, &group);
    assert_int_equal(group.error.class, HF_SHARED_OK);
    end(&f);
}

struct proxied {
    struct fixture f;
    struct proxy *proxy;
    char path[96], address[112];
};

static void begin_proxied(struct proxied *p)
{
    begin_with(&p->f, NULL);
    snprintf(p->path, sizeof(p->path), "%s/proxy.sock", p->f.server.dir);
    snprintf(p->address, sizeof(p->address), "unix://%s", p->path);
    p->proxy = proxy_start(p->path, p->f.server.socket);
    assert_non_null(p->proxy);
    start_with(&p->f.d, &(struct hf_redis_options){.address = p->address, .node = NODE_A, .reply_timeout_ms = 300});
    p->f.has_driver = true;
    assert_true(connects(&p->f.d));
}

static void end_proxied(struct proxied *p)
{
    stop(&p->f.d);
    p->f.has_driver = false;
    proxy_stop(p->proxy);
    end(&p->f);
}

/* History 1: the old connection's group is executed after the replay. The guard of a connection's first group comes
 * from the handshake, that of any other from the group before it. */
static void check_zombie(bool first, bool made)
{
    struct hf_shared_item other[] = {set("other", "1", 1)}, old[] = {set("k", "A-older", 2)};
    struct hf_shared_item newer[] = {set("k", "C-newer", 3)};
    struct hf_shared_group before = GROUP(other, NULL, 0), zombie = GROUP(old, NULL, 0),
                           replay = GROUP(newer, NULL, 0);
    struct proxied p;

    begin_proxied(&p);
    if (!first) {
        send_group(&p.f.d, &before);
        assert_int_equal(before.error.class, HF_SHARED_OK);
    }
    proxy_hold(p.proxy);
    expect_absent(old, 1);
    zombie.guarded = made;
    send_group(&p.f.d, &zombie);
    assert_int_equal(zombie.error.class, HF_SHARED_LINK);
    assert_string_equal(zombie.error.reason, "no answer within 300 ms");
    wait_lost(&p.f.d, 1);
    assert_true(proxy_wait_held(p.proxy, 50, 5000));
    assert_true(connects(&p.f.d));
    if (!made) { /* otherwise the key is to be absent when it comes */
        send_group(&p.f.d, &replay);
        assert_int_equal(replay.error.class, HF_SHARED_OK);
    }
    proxy_release(p.proxy);
    assert_true(proxy_wait_unheard(p.proxy, 20, 5000));
    assert_text(&p.f, made ? "(nil)" : "C-newer", "GET k");
    end_proxied(&p);
}

static void test_fence__late_first_group_of_a_dead_connection_does_nothing(void **state)
{
    (void)state;
    check_zombie(true, false);
    check_zombie(true, true);
}

static void test_fence__late_group_of_a_dead_connection_does_nothing(void **state)
{
    (void)state;
    check_zombie(false, false);
    check_zombie(false, true);
}

static void test_fence__late_lane_of_a_dead_connection_does_nothing(void **state)
{
    struct hf_shared_lane_op ops[] = {incr("n", 1, 5)};
    struct hf_shared_lane zombie = LANE(ops, 0), again = LANE(ops, 0);
    struct proxied p;

    (void)state;
    begin_proxied(&p);
    proxy_hold(p.proxy);
    send_lane(&p.f.d, &zombie);
    assert_int_equal(zombie.outcome, HF_LANE_FAILED);
    assert_int_equal(zombie.error.class, HF_SHARED_LINK);
    wait_lost(&p.f.d, 1);
    assert_true(connects(&p.f.d));
    command(&p.f, "SCRIPT FLUSH");
    send_lane(&p.f.d, &again);
    assert_int_equal(again.outcome, HF_LANE_APPLIED);
    proxy_release(p.proxy);
    assert_true(proxy_wait_unheard(p.proxy, 1, 5000));
    assert_text(&p.f, "1", "GET n");
    end_proxied(&p);
}

static void test_wire__pushes_pass_and_unasked_answers_end_the_connection(void **state)
{
    struct proxied p;

    (void)state;
    begin_proxied(&p);
    proxy_inject(p.proxy, ">2\r\n$10\r\ninvalidate\r\n_\r\n");
    assert_false(fetch(&p.f.d, "k").fetch.found);
    assert_int_equal(p.f.d.n_lost, 0);
    proxy_inject(p.proxy, "+OK\r\n");
    wait_lost(&p.f.d, 1);
    assert_string_equal(p.f.d.lost.reason, "the server sent an answer that nobody asked for");
    assert_true(connects(&p.f.d));
    proxy_inject(p.proxy, "-ERR max number of clients reached\r\n");
    wait_lost(&p.f.d, 2);
    assert_int_equal(p.f.d.lost.class, HF_SHARED_STATE);
    assert_true(connects(&p.f.d));
    proxy_inject(p.proxy, "!garbage\r\n");
    wait_lost(&p.f.d, 3);
    assert_int_equal(p.f.d.lost.class, HF_SHARED_LINK);
    end_proxied(&p);
}

/* ---- deadlines ---- */

static void test_frozen__group_is_lost_within_its_deadline(void **state)
{
    struct hf_shared_item items[] = {set("app:a", "1", 1)};
    struct hf_shared_group group = GROUP(items, NULL, 0);
    struct fixture f;
    struct driver d;
    int64_t began, took;

    (void)state;
    begin(&f);
    start_with(&d, &(struct hf_redis_options){.address = f.server.address,
                                              .node = NODE_B,
                                              .reply_timeout_ms = 200,
                                              .heartbeat_ms = 100,
                                              .connect_timeout_ms = 200});
    assert_true(connects(&d));
    redis_server_pause(&f.server);
    began = clock_ms(CLOCK_MONOTONIC);
    send_group(&d, &group);
    took = clock_ms(CLOCK_MONOTONIC) - began;
    assert_int_equal(group.error.class, HF_SHARED_LINK);
    assert_string_equal(items[0].error.reason, "no answer within 200 ms");
    assert_true(took >= 190 && took < 2000);
    wait_lost(&d, 1);
    assert_false(connects(&d));
    assert_non_null(strstr(d.lost.reason, "200 ms passed waiting for an answer to HELLO"));
    redis_server_resume(&f.server);
    assert_true(connects(&d));
    redis_server_pause(&f.server); /* nothing is out: the heartbeat finds it */
    wait_lost(&d, 3);
    assert_string_equal(d.lost.reason, "no answer within 200 ms");
    redis_server_resume(&f.server);
    stop(&d);
    end(&f);
}

static void send_to_stopped_server(struct fixture *f, struct hf_shared_group *group)
{
    redis_server_pause(&f->server);
    group->done = group_done;
    group->ctx = &f->d;
    assert_int_equal(on_link(&f->d, job_group, group), 0);
}

static void test_killed__outstanding_is_answered_before_lost(void **state)
{
    struct hf_shared_item items[] = {set("app:a", "1", 1)};
    struct hf_shared_group group = GROUP(items, NULL, 0);
    struct fixture f;

    (void)state;
    begin(&f);
    send_to_stopped_server(&f, &group);
    redis_server_kill(&f.server);
    wait_lost(&f.d, 1);
    assert_int_equal(f.d.n_done, 1);
    assert_int_equal(group.error.class, HF_SHARED_LINK);
    assert_int_equal(redis_server_restart(&f.server), 0);
    assert_true(connects(&f.d));
    send_group(&f.d, &group);
    assert_int_equal(group.error.class, HF_SHARED_OK);
    end(&f);
}

static int job_nothing(struct driver *d, void *arg)
{
    (void)d;
    (void)arg;
    return 0;
}

/* The kernel tells a close behind which nothing is unread as the end of the stream, any other one as a reset. */
static void test_killed__is_told_as_a_close_also_with_requests_unread(void **state)
{
    struct hf_shared_item items[] = {set("app:a", "1", 1)};
    struct hf_shared_group group = GROUP(items, NULL, 0);
    struct fixture f;

    (void)state;
    begin(&f);
    send_to_stopped_server(&f, &group);
    assert_int_equal(on_link(&f.d, job_nothing, NULL), 0); /* a turn later: it was sent */
    redis_server_kill(&f.server);
    wait_lost(&f.d, 1);
    assert_string_equal(f.d.lost.reason, "the server closed the connection: Connection reset by peer");
    assert_int_equal(redis_server_restart(&f.server), 0);
    assert_true(connects(&f.d));
    redis_server_kill(&f.server);
    wait_lost(&f.d, 2);
    assert_string_equal(f.d.lost.reason, "the server closed the connection");
    end(&f);
}

static void test_stop__answers_what_is_out(void **state)
{
    struct hf_shared_item items[] = {set("app:a", "1", 1)};
    struct hf_shared_group group = GROUP(items, NULL, 0);
    struct fixture f;

    (void)state;
    begin(&f);
    send_to_stopped_server(&f, &group);
    f.d.tier->ops->stop(f.d.tier);
    f.has_driver = false;
    assert_int_equal(f.d.n_done, 1);
    assert_int_equal(f.d.n_lost, 0);
    assert_int_equal(group.error.class, HF_SHARED_LINK);
    end(&f);
}

static void test_big__values_go_through(void **state)
{
    size_t len = 16u << 20;
    char *value = malloc(len);
    struct hf_shared_item items[1] = {{.op = HF_SHARED_SET, .key = slice("app:big"), .lsn = 1}};
    struct hf_shared_group group = GROUP(items, NULL, 0);
    struct fetched got;
    struct fixture f;

    (void)state;
    assert_non_null(value);
    memset(value, 'x', len);
    items[0].value = hf__slice(value, len);
    begin(&f);
    send_group(&f.d, &group);
    assert_int_equal(group.error.class, HF_SHARED_OK);
    assert_int_equal(redis_server_number(&f.server, "STRLEN app:big"), len);
    got = fetch(&f.d, "app:big");
    assert_true(got.fetch.found);
    free(value);
    end(&f);
}

static void test_big__value_over_the_servers_bound_ends_the_link_only(void **state)
{
    static const char *const args[] = {"--proto-max-bulk-len", "1mb", NULL};
    size_t len = 2u << 20;
    char *value = calloc(1, len);
    struct hf_shared_item items[1] = {{.op = HF_SHARED_SET, .key = slice("app:big"), .lsn = 1}};
    struct hf_shared_group group = GROUP(items, NULL, 0);
    struct fixture f;

    (void)state;
    assert_non_null(value);
    items[0].value = hf__slice(value, len);
    begin_with(&f, args);
    start_node(&f.d, f.server.address, NODE_A);
    f.has_driver = true;
    assert_true(connects(&f.d));
    send_group(&f.d, &group);
    assert_int_equal(group.error.class, HF_SHARED_LINK);
    wait_lost(&f.d, 1);
    assert_true(connects(&f.d));
    free(value);
    end(&f);
}

/* ---- lanes ---- */

static void test_lane__applies_once_and_says_already(void **state)
{
    struct hf_shared_lane_op ops[] = {incr("n", 5, 10), incr("m", -7, 11), incr("n", 1, 12)};
    struct hf_shared_lane lane = LANE(ops, 0);
    struct fixture f;

    (void)state;
    begin(&f);
    command(&f, "XADD " LOG " 1-1 n x l 0");
    lane.log = log_over(0);
    send_lane(&f.d, &lane);
    assert_int_equal(lane.outcome, HF_LANE_APPLIED);
    assert_int_equal(lane.error.class, HF_SHARED_OK);
    assert_true(ops[0].has_number && ops[1].has_number && ops[2].has_number);
    assert_int_equal(ops[0].number, 5);
    assert_int_equal(ops[1].number, -7);
    assert_int_equal(ops[2].number, 6);
    assert_text(&f, "6", "GET n");
    assert_text(&f, "12", "GET " MARK);
    page_of(&f.d, LOG, lane.log.last_id, 10);
    assert_int_equal(told.n, 0);
    page_of(&f.d, LOG, "1-1", 10);
    assert_int_equal(told.n, 3);
    assert_int_equal(told.all[0].op, HF_SHARED_INCR);
    assert_int_equal(told.all[0].lsn, 10);
    assert_int_equal(told.all[0].last_lsn, 12); /* the mark */
    assert_int_equal(told.all[2].lsn, 12);

    command(&f, "SET n foreign");
    send_lane(&f.d, &lane);
    assert_int_equal(lane.outcome, HF_LANE_ALREADY);
    assert_false(ops[0].has_number);
    assert_true(ops[1].has_number);
    assert_int_equal(ops[1].number, -7);
    end(&f);
}

static void test_lane__other_mark_changes_nothing(void **state)
{
    struct hf_shared_lane_op ops[] = {incr("n", 1, 18446744073709551615u)};
    struct hf_shared_lane lane = LANE(ops, 7);
    struct fixture f;

    (void)state;
    begin(&f);
    send_lane(&f.d, &lane);
    assert_int_equal(lane.outcome, HF_LANE_MARK);
    assert_int_equal(lane.mark, 0);
    command(&f, "SET " MARK " 9007199254740993"); /* 2^53 + 1: not a double */
    send_lane(&f.d, &lane);
    assert_int_equal(lane.outcome, HF_LANE_MARK);
    assert_true(lane.mark == 9007199254740993u);
    assert_text(&f, "(nil)", "GET n");
    lane.prev = 9007199254740993u;
    send_lane(&f.d, &lane);
    assert_int_equal(lane.outcome, HF_LANE_APPLIED);
    assert_text(&f, "18446744073709551615", "GET " MARK);
    lane.prev = 0;
    send_lane(&f.d, &lane);
    assert_int_equal(lane.outcome, HF_LANE_ALREADY);
    end(&f);
}

static void test_lane__bad_operation_changes_nothing(void **state)
{
    static const char *const texts[] = {"abc", "", " 1", "01", "+1", "1.0", "-0", "9223372036854775808", "1\n"};
    struct hf_shared_lane_op ops[] = {
        {.op = HF_SHARED_SET, .key = slice("a"), .value = slice("1"), .lsn = 1, .more = true},
        incr("n", 1, 2),
    };
    struct hf_shared_lane lane = LANE(ops, 0);
    struct fixture f;

    (void)state;
    begin(&f);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        freeReplyObject(redis_server_command(&f.server, "SET n %s", texts[i]));
        send_lane(&f.d, &lane);
        assert_int_equal(lane.outcome, HF_LANE_BAD);
        assert_int_equal(lane.bad, 1);
        assert_int_equal(lane.error.class, HF_SHARED_ENTRY);
    }
    freeReplyObject(redis_server_command(&f.server, "DEL n"));
    command(&f, "HSET a f v");
    send_lane(&f.d, &lane);
    assert_int_equal(lane.outcome, HF_LANE_BAD);
    assert_int_equal(lane.bad, 0);
    assert_int_equal(strncmp(lane.error.reason, "WRONGTYPE", 9), 0);
    assert_text(&f, "(nil)", "GET " MARK);
    assert_text(&f, "(nil)", "GET n");
    end(&f);
}

/* What is there against each of the guards' values, and no operation but all of them. */
static void test_lane__guards_say_what_must_be_there(void **state)
{
    static const char *const values[] = {NULL, "", "a", "b", "other", "-"};
    const size_t n = sizeof(values) / sizeof(values[0]);
    struct hf_shared_guard guards[2];
    struct hf_shared_lane_op ops[] = {
        {.op = HF_SHARED_DELETE, .key = slice("free"), .lsn = 1, .more = true},
        {.op = HF_SHARED_SET, .key = slice("k"), .value = slice("new"), .lsn = 2, .guards = guards, .n_guards = 2},
    };
    struct fixture f;

    (void)state;
    begin(&f);
    for (size_t i = 0; i < n * n * n; i++) {
        const char *there = values[i % n];
        size_t x = i / n % n, y = i / n / n;
        struct hf_shared_lane lane = LANE(ops, 0);
        freeReplyObject(redis_server_command(&f.server, "DEL k " MARK));
        if (there)
            freeReplyObject(redis_server_command(&f.server, "SET k %s", there));
        guards[0] = guard_of(values[x]);
        guards[1] = guard_of(values[y]);
        send_lane(&f.d, &lane);
        assert_int_equal(lane.outcome, i % n == x || i % n == y ? HF_LANE_APPLIED : HF_LANE_CHANGED);
        assert_int_equal(lane.bad, lane.outcome == HF_LANE_CHANGED);
        assert_text(&f, lane.outcome == HF_LANE_APPLIED ? "new" : there ? there : "(nil)", "GET k");
        assert_text(&f, lane.outcome == HF_LANE_APPLIED ? "2" : "(nil)", "GET " MARK);
    }
    end(&f);
}

static int64_t random_edge(unsigned *seed)
{
    static const int64_t edges[] = {
        0,
        1,
        -1,
        9999999999,
        10000000000,
        -9999999999,
        -10000000000,
        INT64_MAX,
        INT64_MIN,
        INT64_MAX - 1,
        INT64_MIN + 1,
        9007199254740993,
        -9007199254740993,
        9223372030000000000,
        -9223372030000000000,
    };
    int64_t edge = edges[rand_r(seed) % (sizeof(edges) / sizeof(edges[0]))];
    int64_t near = rand_r(seed) % 5 - 2, sum;

    if (rand_r(seed) % 3 == 0)
        return (int64_t)((uint64_t)rand_r(seed) << 33 ^ (uint64_t)rand_r(seed) << 11 ^ (uint64_t)rand_r(seed));
    return __builtin_add_overflow(edge, near, &sum) ? edge : sum;
}

/* The arithmetic inside Redis against the machine's, at the edges of 64 bits and of doubles. */
static void test_lane__sums_and_overflows_are_exact(void **state)
{
    unsigned seed = 7;
    struct fixture f;

    (void)state;
    begin(&f);
    for (uint64_t i = 0; i < 400; i++) {
        int64_t start = random_edge(&seed), sum = start, n_good = 0;
        struct hf_shared_lane_op ops[3];
        struct hf_shared_lane lane = LANE(ops, 0);
        char text[24], found[64];
        bool overflow = false;

        for (int j = 0; j < 3; j++) {
            ops[j] = incr("n", random_edge(&seed), (uint64_t)j + 1);
            if (!overflow && !(overflow = __builtin_add_overflow(sum, ops[j].delta, &sum)))
                n_good++;
        }
        freeReplyObject(redis_server_command(&f.server, "DEL " MARK));
        snprintf(text, sizeof(text), "%" PRId64, start);
        freeReplyObject(redis_server_command(&f.server, "SET n %s", text));
        send_lane(&f.d, &lane);
        redis_server_text(&f.server, found, sizeof(found), "GET n");
        if (overflow) {
            assert_int_equal(lane.outcome, HF_LANE_BAD);
            assert_int_equal(lane.bad, n_good);
            assert_string_equal(found, text);
        } else {
            assert_int_equal(lane.outcome, HF_LANE_APPLIED);
            assert_true(ops[2].number == sum);
            snprintf(text, sizeof(text), "%" PRId64, sum);
            assert_string_equal(found, text);
        }
    }
    end(&f);
}

static void test_lane__simulates_sets_and_deletes_of_the_same_call(void **state)
{
    struct hf_shared_lane_op ops[] = {
        {.op = HF_SHARED_SET, .key = slice("n"), .value = slice("9223372036854775807"), .lsn = 1},
        {.op = HF_SHARED_DELETE, .key = slice("n"), .lsn = 2},
        incr("n", 3, 3),
        {.op = HF_SHARED_SET, .key = slice("t"), .value = slice("5"), .deadline_ms = 1, .lsn = 4},
        incr("t", 1, 5),
        {.op = HF_SHARED_EXPIRE, .key = slice("e"), .deadline_ms = 1, .lsn = 6},
        incr("e", 1, 7),
    };
    struct hf_shared_lane lane = LANE(ops, 0);
    struct fixture f;

    (void)state;
    begin(&f);
    command(&f, "SET n text");
    command(&f, "SET e 41");
    send_lane(&f.d, &lane);
    assert_int_equal(lane.outcome, HF_LANE_APPLIED);
    assert_text(&f, "3", "GET n");
    assert_text(&f, "1", "GET t");
    assert_text(&f, "1", "GET e");
    assert_int_equal(ops[4].number, 1);
    end(&f);
}

static void test_lane__deadlines_of_increments(void **state)
{
    struct hf_shared_lane_op ops[] = {incr("late", 1, 1), incr("fresh", 1, 2), incr("old", 1, 3)};
    struct hf_shared_lane lane = LANE(ops, 0);
    struct fixture f;

    (void)state;
    begin(&f);
    command(&f, "SET old 1");
    command(&f, "XADD " LOG " 1-1 n x l 0");
    ops[0].deadline_ms = clock_ms(CLOCK_REALTIME) - 1000;
    ops[1].deadline_ms = ops[2].deadline_ms = clock_ms(CLOCK_REALTIME) + 100000;
    lane.log = log_over(0);
    send_lane(&f.d, &lane);
    assert_int_equal(lane.outcome, HF_LANE_APPLIED);
    assert_true(ops[0].expired && !ops[0].has_number);
    assert_false(ops[1].expired);
    assert_text(&f, "(nil)", "GET late");
    assert_true(redis_server_number(&f.server, "PTTL fresh") > 0);
    assert_int_equal(redis_server_number(&f.server, "PTTL old"), -1);
    page_of(&f.d, LOG, "1-1", 10);
    assert_int_equal(told.n, 2);
    end(&f);
}

static void test_lane__many_operations_are_logged_in_pieces(void **state)
{
    enum { N = 5000 };
    static struct hf_shared_lane_op ops[N];
    struct hf_shared_lane lane = LANE(ops, 0);
    struct fixture f;

    (void)state;
    for (int i = 0; i < N; i++)
        ops[i] = incr("n", 1, (uint64_t)i + 1);
    begin(&f);
    command(&f, "XADD " LOG " 1-1 n x l 0");
    lane.log = log_over(0);
    send_lane(&f.d, &lane);
    assert_int_equal(lane.outcome, HF_LANE_APPLIED);
    assert_text(&f, "5000", "GET n");
    assert_int_equal(redis_server_number(&f.server, "XLEN " LOG), 6);
    end(&f);
}

static void test_lane__wipe_is_a_fence(void **state)
{
    struct hf_shared_lane_op ops[] = {incr("n", 1, 1)};
    struct hf_shared_lane lane = LANE(ops, 0);
    struct fixture f;

    (void)state;
    begin(&f);
    command(&f, "FLUSHDB");
    send_lane(&f.d, &lane);
    assert_int_equal(lane.outcome, HF_LANE_FAILED);
    assert_int_equal(lane.error.class, HF_SHARED_FENCE);
    wait_lost(&f.d, 1);
    assert_text(&f, "(nil)", "GET n");
    end(&f);
}

static void test_lane__acl_is_asked_before_anything_is_written(void **state)
{
    struct hf_shared_lane_op ops[] = {
        {.op = HF_SHARED_SET, .key = slice("app:a"), .value = slice("1"), .lsn = 1},
        incr("app:n", 1, 2),
    };
    struct hf_shared_lane lane = LANE(ops, 0);
    struct fixture f;
    struct driver d;

    (void)state;
    begin(&f);
    command(&f, "ACL SETUSER limited on >pw ~* +@all -incrby");
    connect_as(&f, &d, "limited", "pw");
    assert_true(connects(&d));
    send_lane(&d, &lane);
    assert_int_equal(lane.outcome, HF_LANE_FAILED);
    assert_int_equal(lane.error.class, HF_SHARED_AUTH);
    assert_text(&f, "(nil)", "GET app:a");
    stop(&d);
    end(&f);
}

/* ---- out of memory: history 20 ---- */

static void fill_memory(struct fixture *f)
{
    command(f, "CONFIG SET maxmemory 1");
}

static void test_oom__sets_are_a_state_and_deletes_still_pass(void **state)
{
    struct hf_shared_item both[] = {set("app:a", "1", 1), del("app:b", 2)};
    struct hf_shared_item frees[] = {
        del("app:b", 3),
        del("app:c", 4),
        {.op = HF_SHARED_EXPIRE, .key = slice("app:d"), .deadline_ms = 1, .lsn = 5},
        {.op = HF_SHARED_PERSIST, .key = slice("app:e"), .lsn = 6},
    };
    struct hf_shared_log log = log_over(2), logs[2] = {log_over(3), log_over(0)};
    struct hf_shared_group mixed = GROUP(both, &log, 1), freeing = GROUP(frees, logs, 2);
    struct fixture f;

    (void)state;
    begin(&f);
    command(&f, "MSET app:b 1 app:c 1 app:d 1");
    command(&f, "SET app:e 1 EX 100");
    command(&f, "XADD " LOG " 1-1 n x l 0");
    fill_memory(&f);
    send_group(&f.d, &mixed);
    assert_int_equal(mixed.error.class, HF_SHARED_STATE);
    assert_true(mixed.error.oom);
    assert_int_equal(both[0].error.class, HF_SHARED_STATE);
    assert_true(both[1].error.class == HF_SHARED_STATE || both[1].error.class == HF_SHARED_RETRY);
    assert_int_equal(redis_server_number(&f.server, "EXISTS app:b"), 1);

    logs[1] = (struct hf_shared_log){.key = slice("_hf:no:log"), .first_item = 3, .n_items = 1};
    send_group(&f.d, &freeing);
    assert_int_equal(freeing.error.class, HF_SHARED_OK);
    for (int i = 0; i < 4; i++)
        assert_int_equal(frees[i].error.class, HF_SHARED_OK);
    assert_int_equal(redis_server_number(&f.server, "EXISTS app:b app:c app:d"), 0);
    assert_int_equal(redis_server_number(&f.server, "PTTL app:e"), -1);
    assert_false(logs[0].missing);
    assert_true(logs[1].missing);
    page_of(&f.d, LOG, "1-1", 10);
    assert_int_equal(told.n, 3);
    assert_string_equal(told.all[0].key, "app:b");
    assert_int_equal(told.all[0].lsn, 3);
    assert_int_equal(told.all[2].op, HF_SHARED_EXPIRE);
    send_group(&f.d, &freeing); /* by digest now, and the fence still stands */
    assert_int_equal(freeing.error.class, HF_SHARED_OK);
    command(&f, "CONFIG SET maxmemory 0");
    send_group(&f.d, &mixed);
    assert_int_equal(mixed.error.class, HF_SHARED_OK);
    end(&f);
}

static void test_oom__handshake_passes_and_lanes_wait(void **state)
{
    struct hf_shared_lane_op ops[] = {incr("n", 1, 1)};
    struct hf_shared_lane lane = LANE(ops, 0);
    struct hf_shared_item items[] = {del("app:b", 3)};
    struct hf_shared_group group = GROUP(items, NULL, 0);
    struct fixture f;

    (void)state;
    begin(&f);
    fill_memory(&f);
    on_link(&f.d, job_disconnect, NULL);
    if (!connects(&f.d))
        fail_msg("%s", f.d.lost.reason);
    send_group(&f.d, &group);
    assert_int_equal(group.error.class, HF_SHARED_OK);
    send_lane(&f.d, &lane);
    assert_int_equal(lane.outcome, HF_LANE_FAILED);
    assert_int_equal(lane.error.class, HF_SHARED_STATE);
    assert_true(lane.error.oom);
    assert_text(&f, "(nil)", "GET n");
    assert_text(&f, "(nil)", "GET " MARK);
    end(&f);
}

/* ---- fetches ---- */

static void check_fetches(struct fixture *f, struct driver *d)
{
    struct fetched got;

    command(f, "SET app:plain v");
    command(f, "SET app:ttl v PX 100000");
    command(f, "HSET app:h f v");
    got = fetch(d, "app:plain");
    assert_true(got.fetch.found);
    assert_string_equal(got.value, "v");
    assert_int_equal(got.fetch.ttl_ms, -1);
    got = fetch(d, "app:ttl");
    assert_true(got.fetch.ttl_ms > 90000 && got.fetch.ttl_ms <= 100000);
    got = fetch(d, "app:none");
    assert_false(got.fetch.found);
    assert_int_equal(got.fetch.error.class, HF_SHARED_OK);
    got = fetch(d, "app:h");
    assert_false(got.fetch.found);
    assert_int_equal(got.fetch.error.class, HF_SHARED_ENTRY);
}

static void test_fetch__value_and_remaining_life(void **state)
{
    struct hf_shared_item items[] = {set("app:a", "1", 1)};
    struct hf_shared_group group = GROUP(items, NULL, 0);
    struct fixture f;
    struct driver d;

    (void)state;
    begin(&f);
    check_fetches(&f, &f.d);
    check_fetches(&f, &f.d); /* by digest */
    command(&f, "ACL SETUSER limited on >pw ~* +@all -@scripting");
    connect_as(&f, &d, "limited", "pw");
    assert_true(connects(&d));
    check_fetches(&f, &d);
    send_group(&d, &group); /* its guard was not used up */
    assert_int_equal(group.error.class, HF_SHARED_OK);
    stop(&d);
    end(&f);
}

struct beside {
    struct hf_shared_group group;
    struct fetched got[3];
};

static int job_beside(struct driver *d, void *arg)
{
    struct beside *b = arg;
    int rc = d->tier->ops->send_fetch(d->tier, &b->got[0].fetch);

    if (rc == 0)
        rc = d->tier->ops->send_group(d->tier, &b->group);
    for (int i = 1; i < 3 && rc == 0; i++)
        rc = d->tier->ops->send_fetch(d->tier, &b->got[i].fetch);
    return rc;
}

static void test_fetch__runs_beside_a_group(void **state)
{
    struct hf_shared_item items[] = {set("app:a", "1", 1)};
    struct beside b = {.group = GROUP(items, NULL, 0)};
    struct fixture f;

    (void)state;
    begin(&f);
    b.group.guarded = true; /* in two steps: the script is not there */
    b.group.done = group_done;
    b.group.ctx = &f.d;
    for (int i = 0; i < 3; i++)
        b.got[i] = (struct fetched){
            .d = &f.d,
            .fetch = {.key = slice("app:a"), .done = fetch_done, .ctx = &b.got[i]},
        };
    assert_int_equal(on_link(&f.d, job_beside, &b), 0);
    pthread_mutex_lock(&f.d.lock);
    assert_true(wait_count(&f.d, &f.d.n_done, 4));
    pthread_mutex_unlock(&f.d.lock);
    assert_int_equal(b.group.error.class, HF_SHARED_OK);
    assert_false(b.got[0].fetch.found);
    assert_int_equal(b.got[2].fetch.error.class, HF_SHARED_OK);
    end(&f);
}

/* ---- epochs and logs ---- */

static struct hf_shared_epoch epoch_of(struct driver *d, bool with_log)
{
    struct hf_shared_epoch epoch = {.prefix = slice("app:"), .with_log = with_log};

    send_epoch(d, &epoch);
    assert_int_equal(epoch.error.class, HF_SHARED_OK);
    return epoch;
}

static void test_epoch__is_made_once_by_two_nodes(void **state)
{
    struct hf_shared_epoch epochs[2] = {{.prefix = slice("app:"), .with_log = true, .done = epoch_done},
                                        {.prefix = slice("app:"), .with_log = true, .done = epoch_done}};
    struct driver other;
    struct fixture f;
    char key[80];

    (void)state;
    begin(&f);
    start_node(&other, f.server.address, NODE_B);
    assert_true(connects(&other));
    for (int round = 0; round < 50; round++) {
        struct driver *drivers[2] = {&f.d, &other};

        for (int i = 0; i < 2; i++) {
            epochs[i].ctx = drivers[i];
            assert_int_equal(on_link(drivers[i], job_epoch, &epochs[i]), 0);
        }
        for (int i = 0; i < 2; i++) {
            pthread_mutex_lock(&drivers[i]->lock);
            assert_true(wait_count(drivers[i], &drivers[i]->n_done, round + 1));
            pthread_mutex_unlock(&drivers[i]->lock);
            assert_int_equal(epochs[i].error.class, HF_SHARED_OK);
            assert_false(epochs[i].log_missing);
        }
        assert_string_equal(epochs[0].epoch, epochs[1].epoch);
        assert_int_equal(epochs[0].created + epochs[1].created, 1);
        assert_string_equal(epochs[0].log_last_id, epochs[1].log_last_id);
        snprintf(key, sizeof(key), "_hf:app::log:%s", epochs[0].epoch);
        assert_int_equal(redis_server_number(&f.server, "XLEN %s", key), 1);
        assert_int_equal(redis_server_number(&f.server, "DEL _hf:app::epoch %s", key), 2);
    }
    stop(&other);
    end(&f);
}

static void test_epoch__tells_mark_last_id_and_a_lost_log(void **state)
{
    struct hf_shared_epoch first, second;
    struct fixture f;
    char key[80];

    (void)state;
    begin(&f);
    first = epoch_of(&f.d, true);
    assert_true(first.created && !first.log_missing && first.mark == 0);
    command(&f, "SET " MARK " 18446744073709551614");
    second = epoch_of(&f.d, true);
    assert_false(second.created);
    assert_string_equal(second.epoch, first.epoch);
    assert_true(second.mark == 18446744073709551614u);
    assert_string_equal(second.log_last_id, first.log_last_id);
    snprintf(key, sizeof(key), "_hf:app::log:%s", first.epoch);
    assert_int_equal(redis_server_number(&f.server, "XTRIM %s MAXLEN 0", key), 1);
    second = epoch_of(&f.d, true);
    assert_false(second.log_missing);
    assert_string_equal(second.log_last_id, "0-0");
    assert_int_equal(redis_server_number(&f.server, "DEL %s", key), 1);
    second = epoch_of(&f.d, true);
    assert_true(second.log_missing && !second.created);
    assert_string_equal(second.epoch, first.epoch);
    assert_int_equal(redis_server_number(&f.server, "XLEN %s", key), 1);
    second = epoch_of(&f.d, true);
    assert_false(second.log_missing);
    end(&f);
}

static void test_epoch__without_a_log_makes_none(void **state)
{
    struct hf_shared_epoch epoch;
    struct fixture f;

    (void)state;
    begin(&f);
    epoch = epoch_of(&f.d, false);
    assert_true(epoch.created);
    assert_int_equal(redis_server_number(&f.server, "DBSIZE"), 2); /* session and epoch */
    end(&f);
}

static void test_epoch__foreign_contents_are_told(void **state)
{
    struct hf_shared_epoch epoch = {.prefix = slice("app:"), .with_log = true};
    struct fixture f;

    (void)state;
    begin(&f);
    command(&f, "SET _hf:app::epoch nonsense");
    send_epoch(&f.d, &epoch);
    assert_int_equal(epoch.error.class, HF_SHARED_ENTRY);
    command(&f, "DEL _hf:app::epoch");
    command(&f, "HSET " MARK " f v");
    send_epoch(&f.d, &epoch);
    assert_int_equal(epoch.error.class, HF_SHARED_ENTRY);
    end(&f);
}

static void test_log__pages_follow_one_another(void **state)
{
    struct hf_shared_log_page page;
    struct fixture f;
    size_t total = 0;
    char after[48] = "";

    (void)state;
    begin(&f);
    for (int i = 1; i <= 25; i++)
        freeReplyObject(redis_server_command(&f.server, "XADD " LOG " %d-0 n " NODE_B " l %d s0 key%d", i, i, i));
    do {
        page = page_of(&f.d, LOG, after, 10);
        assert_false(page.gap);
        total += told.n;
        snprintf(after, sizeof(after), "%s", page.after_id);
    } while (page.n_entries == 10);
    assert_int_equal(total, 25);
    assert_string_equal(after, "25-0");
    end(&f);
}

static void test_log__trimmed_start_is_a_gap(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f);
    for (int i = 1; i <= 9; i++)
        freeReplyObject(redis_server_command(&f.server, "XADD " LOG " %d-0 n x l %d s0 k", i, i));
    assert_false(page_of(&f.d, LOG, "3-0", 10).gap);
    command(&f, "XTRIM " LOG " MAXLEN 4");
    assert_true(page_of(&f.d, LOG, "3-0", 10).gap);
    assert_int_equal(told.n, 4);
    assert_false(page_of(&f.d, LOG, "6-0", 10).gap);
    assert_false(page_of(&f.d, LOG, "", 10).gap);
    assert_false(page_of(&f.d, LOG, "9-0", 10).gap);
    command(&f, "DEL " LOG);
    assert_true(page_of(&f.d, LOG, "9-0", 10).gap);
    end(&f);
}

static void test_log__foreign_entries_are_passed_over(void **state)
{
    struct hf_shared_log_page page;
    struct fixture f;

    (void)state;
    begin(&f);
    command(&f, "XADD " LOG " 1-0 hello world");
    command(&f, "XADD " LOG " 2-0 n x l many s0 k");
    command(&f, "XADD " LOG " 3-0 n x l 5 z0 k s k s9 k s-1 k sx k s1@17 good d5 also");
    command(&f, "XADD " LOG " 4-0 l 5 s0 k");
    page = page_of(&f.d, LOG, "0-0", 10);
    assert_int_equal(page.error.class, HF_SHARED_OK);
    assert_int_equal(page.n_entries, 4);
    assert_int_equal(told.n, 2);
    assert_string_equal(told.all[0].key, "good");
    assert_int_equal(told.all[0].lsn, 4);
    assert_int_equal(told.all[1].lsn, 0);
    end(&f);
}

/* ---- least privilege ---- */

/* The rule of docs/redis-bookkeeping.md, with a password; what it says is enough must be enough. */
static const char documented_acl[] =
    "ACL SETUSER limited on >pw resetkeys ~app:* ~_hf:app::* ~_hf:session:* -@all +hello +auth +select +ping +time "
    "+multi +exec +watch +unwatch +get +set +del +pexpireat +persist +incrby +strlen +type +exists +pttl +getrange "
    "+xadd "
    "+xrange "
    "+xrevrange +eval +evalsha +client|tracking";

static void test_acl__documented_rights_are_enough(void **state)
{
    struct hf_shared_item items[] = {set("app:a", "1", 1),
                                     del("app:b", 2),
                                     {.op = HF_SHARED_EXPIRE, .key = slice("app:c"), .deadline_ms = 1, .lsn = 3},
                                     {.op = HF_SHARED_PERSIST, .key = slice("app:d"), .lsn = 4}};
    struct hf_shared_lane_op ops[] = {incr("app:n", 1, 5)};
    struct hf_shared_lane lane = LANE(ops, 0);
    struct hf_shared_group group = GROUP(items, NULL, 0);
    struct hf_shared_log log;
    struct hf_shared_epoch epoch;
    struct fixture f;
    struct driver d;
    char key[80];

    (void)state;
    begin(&f);
    command(&f, documented_acl);
    connect_as(&f, &d, "limited", "pw");
    if (!connects(&d))
        fail_msg("%s", d.lost.reason);
    epoch = epoch_of(&d, true);
    snprintf(key, sizeof(key), "_hf:app::log:%s", epoch.epoch);
    log = (struct hf_shared_log){.key = slice(key), .n_items = 4};
    group.logs = &log;
    group.n_logs = 1;
    for (int guarded = 0; guarded < 2; guarded++) {
        group.guarded = guarded;
        send_group(&d, &group);
        if (group.error.class != HF_SHARED_OK)
            fail_msg("%s", group.error.reason);
    }
    ops[0].deadline_ms = clock_ms(CLOCK_REALTIME) + 100000;
    lane.log = log;
    send_lane(&d, &lane);
    if (lane.outcome != HF_LANE_APPLIED)
        fail_msg("%s", lane.error.reason);
    assert_true(log.last_id[0] && lane.log.last_id[0]);
    assert_int_equal(page_of(&d, key, "", 10).n_entries, 4);
    assert_true(fetch(&d, "app:a").fetch.found);
    fill_memory(&f);
    group.guarded = false;
    group.items = &items[1];
    group.n_items = log.n_items = 3;
    send_group(&d, &group);
    if (group.error.class != HF_SHARED_OK)
        fail_msg("%s", group.error.reason);
    on_link(&d, job_disconnect, NULL);
    assert_true(connects(&d));
    stop(&d);
    end(&f);
}

/* ---- TLS ---- */

/* A throw-away authority, and certificates for 127.0.0.1 and for another host. */
static void make_certificates(const char *dir)
{
    certificates_authority(dir, "ca");
    certificates_authority(dir, "other");
    certificates_issue(dir, "ca", "good", "IP:127.0.0.1,DNS:localhost");
    certificates_issue(dir, "ca", "wrong", "DNS:elsewhere.example");
}

struct tls {
    struct redis_server server;
    struct driver d;
    char dir[48], port[8], key[96], cert[96], ca[96], other[96], address[64];
    const char *args[16];
};

static void tls_begin(struct tls *t, const char *name)
{
    snprintf(t->port, sizeof(t->port), "%d", redis_server_free_port());
    snprintf(t->key, sizeof(t->key), "%s/%s.key", t->dir, name);
    snprintf(t->cert, sizeof(t->cert), "%s/%s.pem", t->dir, name);
    snprintf(t->ca, sizeof(t->ca), "%s/ca.pem", t->dir);
    snprintf(t->other, sizeof(t->other), "%s/other.pem", t->dir);
    snprintf(t->address, sizeof(t->address), "rediss://127.0.0.1:%s", t->port);
    memcpy(t->args,
           (const char *[]){"--bind", "127.0.0.1", "--tls-port", t->port, "--tls-key-file", t->key,
                            "--tls-cert-file", t->cert, "--tls-ca-cert-file", t->ca, "--tls-auth-clients", "no",
                            NULL},
           13 * sizeof(char *));
    assert_int_equal(redis_server_start(&t->server, t->args), 0);
}

static bool tls_connects(struct tls *t, const char *address, const char *ca)
{
    start_with(&t->d, &(struct hf_redis_options){
                          .address = address, .node = NODE_A, .ca_file = ca, .connect_timeout_ms = 5000});
    return connects(&t->d);
}

static void test_tls__chain_and_name_are_verified(void **state)
{
    struct hf_shared_item items[1] = {set("app:a", "1", 1)};
    struct hf_shared_group group = GROUP(items, NULL, 0);
    size_t len = 3u << 20;
    char *value = calloc(1, len);
    struct tls t = {.dir = "/tmp/hf-tls-XXXXXX"};
    char named[64], plain[64], remove[80];

    (void)state;
    assert_non_null(value);
    assert_non_null(mkdtemp(t.dir));
    make_certificates(t.dir);
    tls_begin(&t, "good");
    if (!tls_connects(&t, t.address, t.ca))
        fail_msg("%s", t.d.lost.reason);
    items[0].value = hf__slice(value, len);
    send_group(&t.d, &group);
    assert_int_equal(group.error.class, HF_SHARED_OK);
    assert_true(fetch(&t.d, "app:a").fetch.found);
    stop(&t.d);
    snprintf(named, sizeof(named), "rediss://localhost:%s", t.port);
    if (!tls_connects(&t, named, t.ca))
        fail_msg("%s", t.d.lost.reason);
    stop(&t.d);

    assert_false(tls_connects(&t, t.address, t.other));
    assert_int_equal(t.d.lost.class, HF_SHARED_LINK);
    assert_non_null(strstr(t.d.lost.reason, "certificate is not accepted"));
    stop(&t.d);
    assert_false(tls_connects(&t, t.address, NULL));
    stop(&t.d);
    snprintf(plain, sizeof(plain), "redis://127.0.0.1:%s", t.port);
    assert_false(tls_connects(&t, plain, NULL));
    stop(&t.d);
    redis_server_stop(&t.server);

    tls_begin(&t, "wrong");
    assert_false(tls_connects(&t, t.address, t.ca));
    assert_non_null(strstr(t.d.lost.reason, "IP address mismatch"));
    stop(&t.d);
    snprintf(named, sizeof(named), "rediss://localhost:%s", t.port);
    assert_false(tls_connects(&t, named, t.ca));
    assert_non_null(strstr(t.d.lost.reason, "ostname mismatch"));
    stop(&t.d);
    redis_server_stop(&t.server);
    snprintf(remove, sizeof(remove), "rm -r %s", t.dir);
    assert_int_equal(system(remove), 0);
    free(value);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_address__forms),
        cmocka_unit_test(test_address__refusals_name_the_part_and_no_secret),
        cmocka_unit_test(test_errors__classes),
        cmocka_unit_test(test_errors__echoed_arguments_are_cut),
        cmocka_unit_test(test_options__are_checked),
        cmocka_unit_test(test_handshake__tells_role_version_and_time),
        cmocka_unit_test(test_heartbeat__tells_the_time),
        cmocka_unit_test(test_heartbeat__goes_on_as_ping_without_the_right_to_ask_for_the_time),
        cmocka_unit_test(test_handshake__each_connection_has_its_own_token),
        cmocka_unit_test(test_handshake__database_is_selected),
        cmocka_unit_test(test_handshake__wrong_password_is_auth_and_not_told),
        cmocka_unit_test(test_handshake__full_server_is_a_state),
        cmocka_unit_test(test_handshake__nobody_there),
        cmocka_unit_test(test_group__round_trip_with_ttl_and_binary_keys),
        cmocka_unit_test(test_group__expire_and_persist),
        cmocka_unit_test(test_group__log_entries_name_node_operation_and_lsn),
        cmocka_unit_test(test_group__missing_log_is_told_and_fails_nothing),
        cmocka_unit_test(test_group__nothing_is_applied_before_others_entries_are_read),
        cmocka_unit_test(test_make__absent_keys_are_made_at_once_and_named),
        cmocka_unit_test(test_make__the_rest_is_made_where_a_key_is_there),
        cmocka_unit_test(test_make__nothing_is_made_before_others_entries_are_read),
        cmocka_unit_test(test_make__a_log_that_is_gone_is_told),
        cmocka_unit_test(test_make__out_of_memory_is_a_state),
        cmocka_unit_test(test_make__who_may_not_is_served_by_the_script),
        cmocka_unit_test(test_make__without_transactions_the_script_has_the_last_word),
        cmocka_unit_test(test_group__one_at_a_time),
        cmocka_unit_test(test_group__wrong_type_is_not_overwritten_at_replay),
        cmocka_unit_test(test_group__refused_by_acl_finds_the_guilty_one),
        cmocka_unit_test(test_group__a_user_who_may_not_mset_is_served_by_single_sets),
        cmocka_unit_test(test_group__after_a_forbidden_key_values_go_at_once_again),
        cmocka_unit_test(test_group__values_at_once_keep_their_turns),
        cmocka_unit_test(test_fence__a_server_that_is_busy_says_why),
        cmocka_unit_test(test_fence__wipe_between_groups_is_seen),
        cmocka_unit_test(test_fence__late_first_group_of_a_dead_connection_does_nothing),
        cmocka_unit_test(test_fence__late_group_of_a_dead_connection_does_nothing),
        cmocka_unit_test(test_fence__late_lane_of_a_dead_connection_does_nothing),
        cmocka_unit_test(test_wire__pushes_pass_and_unasked_answers_end_the_connection),
        cmocka_unit_test(test_frozen__group_is_lost_within_its_deadline),
        cmocka_unit_test(test_killed__outstanding_is_answered_before_lost),
        cmocka_unit_test(test_killed__is_told_as_a_close_also_with_requests_unread),
        cmocka_unit_test(test_stop__answers_what_is_out),
        cmocka_unit_test(test_big__values_go_through),
        cmocka_unit_test(test_big__value_over_the_servers_bound_ends_the_link_only),
        cmocka_unit_test(test_lane__applies_once_and_says_already),
        cmocka_unit_test(test_lane__other_mark_changes_nothing),
        cmocka_unit_test(test_lane__bad_operation_changes_nothing),
        cmocka_unit_test(test_lane__guards_say_what_must_be_there),
        cmocka_unit_test(test_lane__sums_and_overflows_are_exact),
        cmocka_unit_test(test_lane__simulates_sets_and_deletes_of_the_same_call),
        cmocka_unit_test(test_lane__deadlines_of_increments),
        cmocka_unit_test(test_lane__many_operations_are_logged_in_pieces),
        cmocka_unit_test(test_lane__wipe_is_a_fence),
        cmocka_unit_test(test_lane__acl_is_asked_before_anything_is_written),
        cmocka_unit_test(test_oom__sets_are_a_state_and_deletes_still_pass),
        cmocka_unit_test(test_oom__handshake_passes_and_lanes_wait),
        cmocka_unit_test(test_fetch__value_and_remaining_life),
        cmocka_unit_test(test_fetch__runs_beside_a_group),
        cmocka_unit_test(test_epoch__is_made_once_by_two_nodes),
        cmocka_unit_test(test_epoch__tells_mark_last_id_and_a_lost_log),
        cmocka_unit_test(test_epoch__without_a_log_makes_none),
        cmocka_unit_test(test_epoch__foreign_contents_are_told),
        cmocka_unit_test(test_log__pages_follow_one_another),
        cmocka_unit_test(test_log__trimmed_start_is_a_gap),
        cmocka_unit_test(test_log__foreign_entries_are_passed_over),
        cmocka_unit_test(test_acl__documented_rights_are_enough),
        cmocka_unit_test(test_tls__chain_and_name_are_verified),
    };

    return cmocka_run_group_tests_name("redis link", tests, NULL, NULL);
}
