/* Examining keys against a real redis-server: what is told, in every way it can be asked, what the watching keeps from
 * being written, and what the change log says in the same turn. */
#include "bytes.h"
#include "fail.h"
#include "link_driver.h"
#include "proxy.h"
#include "redis_server.h"
#include "scratch.h"

#include <openssl/sha.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#define NODE_A "0123456789abcdef0123456789abcdef"
#define NODE_B "fedcba9876543210fedcba9876543210"
#define LOG "_hf:app::log:e"
#define MIB (1024u * 1024)
#define SOON_MS 10000
#define FAR_MS INT64_C(4102444800000)

/* ---- fixture: a server, and a tier connected to it ---- */

struct fixture {
    struct redis_server server;
    struct link_driver d;
};

static void begin(struct fixture *f)
{
    *f = (struct fixture){0};
    assert_int_equal(redis_server_start(&f->server, NULL), 0);
    link_driver_start(&f->d, &(struct hf_redis_options){.address = f->server.address, .node = NODE_A});
    assert_true(link_driver_connects(&f->d));
}

static void end(struct fixture *f)
{
    link_driver_stop(&f->d);
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

/* A second tier, as another user: `rule` is what "ACL SETUSER user" is given besides a password. */
static void connect_as(struct fixture *f, struct link_driver *d, const char *user, const char *rule)
{
    char text[600];

    snprintf(text, sizeof(text), "ACL SETUSER %s on >pw resetkeys %s", user, rule);
    command(f, text);
    link_driver_start(d, &(struct hf_redis_options){
                             .address = f->server.address, .node = NODE_B, .user = user, .password = "pw"});
    assert_true(link_driver_connects(d));
}

/* The rule of docs/redis-bookkeeping.md. */
#define DOCUMENTED                                                                                                 \
    "~app:* ~_hf:app::* ~_hf:session:* -@all +hello +auth +select +ping +time +multi +exec +watch +unwatch +get "  \
    "+set +del +pexpireat +persist +incrby +strlen +type +exists +pttl +getrange +xadd +xrange +xrevrange +eval "  \
    "+evalsha"

/* How often a command was run, or refused, since CONFIG RESETSTAT. */
static bool was_called(struct fixture *f, const char *name)
{
    redisReply *reply = redis_server_command(&f->server, "INFO commandstats");
    char line[64];
    bool called;

    assert_non_null(reply);
    snprintf(line, sizeof(line), "cmdstat_%s:", name);
    called = strstr(reply->str, line) != NULL;
    freeReplyObject(reply);
    return called;
}

/* ---- requests ---- */

#define SEEN_MAX 32

struct asked {
    struct link_driver *d;
    struct hf_shared_seen keys[SEEN_MAX];
    struct hf_shared_log_page pages[2];
    struct hf_shared_examine examine;
    struct hf_buf values[SEEN_MAX]; /* copied in `done` */
};

static void asked_done(void *ctx, struct hf_shared_examine *examine)
{
    struct asked *a = ctx;

    for (size_t i = 0; i < examine->n_keys; i++) {
        hf_buf_release(&a->values[i]);
        if (examine->keys[i].value.data)
            assert_int_equal(hf__buf_copy(examine->keys[i].value, &a->values[i]), 0);
    }
    link_driver_note(a->d);
}

static int job_examine(struct link_driver *d, void *arg)
{
    return d->tier->ops->send_examine(d->tier, &((struct asked *)arg)->examine);
}

static void ask_begin(struct asked *a, struct link_driver *d, enum hf_shared_watch watch)
{
    *a = (struct asked){.d = d};
    a->examine =
        (struct hf_shared_examine){.keys = a->keys, .logs = a->pages, .watch = watch, .done = asked_done, .ctx = a};
}

static void ask_key(struct asked *a, const char *key, uint8_t want)
{
    a->keys[a->examine.n_keys++] = (struct hf_shared_seen){.key = hf__slice_str(key), .want = want};
}

static void ask_end(struct asked *a)
{
    for (size_t i = 0; i < SEEN_MAX; i++)
        hf_buf_release(&a->values[i]);
}

static void ask(struct asked *a)
{
    link_driver_send(a->d, job_examine, a);
    if (a->examine.error.class != HF_SHARED_OK)
        fail_msg("%s", a->examine.error.reason);
}

/* Examine and watch one key, wanting nothing special. */
static void watch_key(struct asked *a, struct link_driver *d, const char *key)
{
    ask_begin(a, d, HF_WATCH_KEYS);
    ask_key(a, key, 0);
    ask(a);
}

static void group_done(void *ctx, struct hf_shared_group *group)
{
    (void)group;
    link_driver_note(ctx);
}

static int job_group(struct link_driver *d, void *arg)
{
    return d->tier->ops->send_group(d->tier, arg);
}

static void send_group(struct link_driver *d, struct hf_shared_group *group)
{
    group->done = group_done;
    group->ctx = d;
    link_driver_send(d, job_group, group);
}

static struct hf_shared_item set(const char *key, const char *value, uint64_t lsn)
{
    return (struct hf_shared_item){
        .op = HF_SHARED_SET, .key = hf__slice_str(key), .value = hf__slice_str(value), .lsn = lsn};
}

static enum hf_shared_class store(struct link_driver *d, const char *key, const char *value, bool watched)
{
    struct hf_shared_item item = set(key, value, 1);
    struct hf_shared_group group = {.items = &item, .n_items = 1, .watched = watched};

    send_group(d, &group);
    assert_int_equal(item.error.class, group.error.class);
    return group.error.class;
}

/* ---- what is told: a table of keys, asked for in every way by every kind of user ---- */

static const struct sample {
    const char *key;
    const char *type; /* NULL: a string of `len` bytes; "": absent */
    size_t len;
    const char *make; /* a command for what is no string of 'x' */
    bool mortal;
} samples[] = {
    {"app:absent", "", 0, NULL, false},
    {"app:empty", NULL, 0, NULL, false},
    {"app:empty-mortal", NULL, 0, NULL, true},
    {"app:1", NULL, 1, NULL, false},
    {"app:128", NULL, 128, NULL, true},
    {"app:129", NULL, 129, NULL, false},
    {"app:4096", NULL, 4096, NULL, true},
    {"app:4097", NULL, 4097, NULL, true},
    {"app:mib", NULL, MIB, NULL, false},
    {"app:number", NULL, 5, "SET app:number 12345", false},
    {"app:hash", "hash", 0, "HSET app:hash f v", false},
    {"app:list", "list", 0, "RPUSH app:list v", false},
    {"app:set", "set", 0, "SADD app:set v", false},
    {"app:zset", "zset", 0, "ZADD app:zset 1 v", false},
    {"app:stream", "stream", 0, "XADD app:stream * f v", false},
    {"app:absent-too", "", 0, NULL, true},
};
#define N_SAMPLES (sizeof(samples) / sizeof(samples[0]))

static void make_string(struct fixture *f, const char *key, size_t len)
{
    char *value = malloc(len + 1);

    assert_non_null(value);
    memset(value, 'x', len);
    freeReplyObject(redis_server_command(&f->server, "SET %s %b", key, value, len));
    free(value);
}

static void make_samples(struct fixture *f)
{
    for (size_t i = 0; i < N_SAMPLES; i++) {
        const struct sample *s = &samples[i];

        if (s->make)
            command(f, s->make);
        else if (!s->type)
            make_string(f, s->key, s->len);
        if (s->mortal)
            freeReplyObject(redis_server_command(&f->server, "PEXPIREAT %s %lld", s->key, (long long)FAR_MS));
    }
}

/* What the sample holds, as we made it. */
static char *sample_value(const struct sample *s)
{
    char *value = malloc(s->len + 1);

    assert_non_null(value);
    memset(value, 'x', s->len);
    if (s->make)
        memcpy(value, "12345", s->len);
    return value;
}

static void check_string(const struct asked *a, size_t i, const struct sample *s)
{
    const struct hf_shared_seen *seen = &a->keys[i];
    char *value = sample_value(s);
    uint8_t digest[20];

    SHA1((uint8_t *)value, s->len, digest);
    assert_int_equal(seen->kind, HF_SHARED_STRING);
    assert_int_equal(seen->len, s->len);
    assert_int_equal(seen->has_digest, s->len <= HF_EXAMINE_SMALL || (seen->want & HF_WANT_DIGEST));
    if (seen->has_digest)
        assert_memory_equal(seen->digest, digest, 20);
    if (seen->want & HF_WANT_VALUE) {
        assert_non_null(a->values[i].data);
        assert_int_equal(a->values[i].len, s->len);
        assert_memory_equal(a->values[i].data, value, s->len);
    } else {
        assert_null(a->values[i].data);
    }
    if ((seen->want & HF_WANT_DEADLINE) && s->mortal)
        assert_in_range(seen->deadline_ms, FAR_MS - 1, FAR_MS + 1000);
    else
        assert_int_equal(seen->deadline_ms, 0);
    free(value);
}

static void check_sample(const struct asked *a, size_t i, const struct sample *s)
{
    const struct hf_shared_seen *seen = &a->keys[i];

    assert_int_equal(seen->error.class, HF_SHARED_OK);
    assert_false(seen->left_out);
    if (!s->type) {
        check_string(a, i, s);
        return;
    }
    assert_int_equal(seen->kind, s->type[0] ? HF_SHARED_OTHER : HF_SHARED_ABSENT);
    assert_string_equal(seen->type, s->type);
    assert_null(a->values[i].data);
    assert_false(seen->has_digest);
    assert_int_equal(seen->len, 0);
    assert_int_equal(seen->deadline_ms, 0);
}

/* Every want for all, then a different one for each. */
static void check_all(struct link_driver *d)
{
    for (int watch = 0; watch < 2; watch++) {
        for (uint8_t want = 0; want < 16; want++) {
            struct asked a;

            ask_begin(&a, d, watch);
            for (size_t i = 0; i < N_SAMPLES; i++)
                ask_key(&a, samples[i].key, want < 8 ? want : (want + i) % 8);
            ask(&a);
            for (size_t i = 0; i < N_SAMPLES; i++)
                check_sample(&a, i, &samples[i]);
            ask_end(&a);
        }
    }
}

static void test_examine__tells_the_same_to_every_user(void **state)
{
    static const struct user {
        const char *name, *rule;
        bool by_script;
    } users[] = {
        {"documented", DOCUMENTED, true},
        {"full", "~* +@all", true},
        {"noscripts", DOCUMENTED " -eval -evalsha", false},
        {"norange", DOCUMENTED " -getrange", false},
        {"exact", DOCUMENTED " +pexpiretime", true},
    };
    struct fixture f;

    (void)state;
    begin(&f);
    make_samples(&f);
    check_all(&f.d);
    for (size_t i = 0; i < sizeof(users) / sizeof(users[0]); i++) {
        struct link_driver d;
        struct asked a;

        connect_as(&f, &d, users[i].name, users[i].rule);
        check_all(&d);
        command(&f, "CONFIG RESETSTAT");
        watch_key(&a, &d, "app:1");
        assert_int_equal(was_called(&f, "evalsha"), users[i].by_script);
        assert_int_equal(was_called(&f, "type"), !users[i].by_script);
        link_driver_stop(&d);
    }
    end(&f);
}

static void check_budget(struct link_driver *d)
{
    struct asked a;

    ask_begin(&a, d, HF_WATCH_NOTHING);
    ask_key(&a, "app:1", 0);
    ask_key(&a, "app:5a", HF_WANT_DIGEST);
    ask_key(&a, "app:5b", HF_WANT_VALUE | HF_WANT_DIGEST);
    ask_key(&a, "app:5b", HF_WANT_DEADLINE);
    ask_key(&a, "app:3", HF_WANT_VALUE);
    ask_key(&a, "app:1", HF_WANT_VALUE);
    ask_key(&a, "app:1", 0);
    ask(&a);
    for (size_t i = 0; i < a.examine.n_keys; i++) {
        assert_int_equal(a.keys[i].kind, HF_SHARED_STRING);
        assert_int_equal(a.keys[i].left_out, i == 2 || i == 5); /* 5 and 3 MiB are the budget */
    }
    assert_true(a.keys[1].has_digest && !a.keys[2].has_digest && a.keys[5].has_digest);
    assert_int_equal(a.keys[2].len, 5 * MIB);
    assert_int_equal(a.values[4].len, 3 * MIB);
    assert_null(a.values[2].data);
    assert_null(a.values[5].data);
    ask_end(&a);
    ask_begin(&a, d, HF_WATCH_NOTHING);
    ask_key(&a, "app:9", HF_WANT_VALUE | HF_WANT_DIGEST);
    ask_key(&a, "app:5a", HF_WANT_DIGEST);
    ask(&a);
    assert_true(a.keys[0].has_digest && a.values[0].len == 9 * MIB && !a.keys[0].left_out);
    assert_true(a.keys[1].left_out);
    ask_end(&a);
}

static void test_examine__budget_serves_at_least_one_and_leaves_out_the_rest(void **state)
{
    struct link_driver d;
    struct fixture f;

    (void)state;
    begin(&f);
    make_string(&f, "app:1", 1);
    make_string(&f, "app:3", 3 * MIB);
    make_string(&f, "app:5a", 5 * MIB);
    make_string(&f, "app:5b", 5 * MIB);
    make_string(&f, "app:9", 9 * MIB);
    check_budget(&f.d);
    connect_as(&f, &d, "noscripts", DOCUMENTED " -eval -evalsha");
    check_budget(&d);
    link_driver_stop(&d);
    end(&f);
}

static void test_examine__a_forbidden_key_fails_itself_only(void **state)
{
    struct link_driver d;
    struct fixture f;
    struct asked a;

    (void)state;
    begin(&f);
    command(&f, "MSET app:a 1 app:c 3 other:b 2");
    connect_as(&f, &d, "limited", DOCUMENTED);
    for (int watch = 0; watch < 2; watch++) {
        ask_begin(&a, &d, watch);
        ask_key(&a, "app:a", HF_WANT_VALUE);
        ask_key(&a, "other:b", HF_WANT_VALUE);
        ask_key(&a, "app:c", 0);
        ask(&a);
        assert_int_equal(a.keys[0].error.class, HF_SHARED_OK);
        assert_int_equal(a.keys[1].error.class, HF_SHARED_AUTH);
        assert_int_equal(a.keys[1].kind, HF_SHARED_ABSENT);
        assert_int_equal(a.keys[2].error.class, HF_SHARED_OK);
        assert_true(a.values[0].len == 1 && !a.values[1].data && a.keys[2].has_digest);
        ask_end(&a);
    }
    command(&f, "SET app:c other"); /* the two that may be watched are */
    assert_int_equal(store(&d, "app:a", "mine", true), HF_SHARED_RETRY);
    command(&f, "CONFIG RESETSTAT");
    watch_key(&a, &d, "app:a");
    assert_true(was_called(&f, "evalsha")); /* the key was to blame, not the script */
    link_driver_stop(&d);
    end(&f);
}

static void test_examine__misuse_is_refused(void **state)
{
    struct fixture f;
    struct asked a;

    (void)state;
    begin(&f);
    ask_begin(&a, &f.d, HF_WATCH_NOTHING);
    assert_int_equal(link_driver_run(&f.d, job_examine, &a), HF_EINVAL);
    ask_key(&a, "k", 8);
    assert_int_equal(link_driver_run(&f.d, job_examine, &a), HF_EINVAL);
    a.keys[0].want = 0;
    a.examine.n_logs = 1;
    assert_int_equal(link_driver_run(&f.d, job_examine, &a), HF_EINVAL); /* a page of 0 entries */
    end(&f);
}

/* ---- watching ---- */

struct gone {
    struct redis_server *server;
    const char *key;
};

static bool is_gone(void *ctx)
{
    struct gone *gone = ctx;

    return redis_server_number(gone->server, "EXISTS %s", gone->key) == 0;
}

static void wait_gone(struct fixture *f, const char *key)
{
    struct gone gone = {&f->server, key};

    assert_true(wait_until(is_gone, &gone, SOON_MS));
}

static void test_watch__what_another_did_since_keeps_the_whole_group_out(void **state)
{
    static const char *const touches[] = {"SET app:a other",  "DEL app:a",          "PEXPIRE app:a 100000",
                                          "APPEND app:a x",   "RENAME app:b app:a", "SET app:new other",
                                          "HSET app:new f v", "PERSIST app:m",      "SETRANGE app:a 0 0"};
    struct hf_shared_item items[] = {set("app:a", "mine", 1), set("app:new", "mine", 2), set("app:m", "mine", 3)};
    struct hf_shared_group group = {.items = items, .n_items = 3, .watched = true};
    struct fixture f;
    struct asked a;

    (void)state;
    begin(&f);
    for (size_t i = 0; i < sizeof(touches) / sizeof(touches[0]); i++) {
        command(&f, "DEL app:new");
        command(&f, "MSET app:a theirs app:b b app:m theirs");
        command(&f, "PEXPIRE app:m 100000");
        ask_begin(&a, &f.d, HF_WATCH_KEYS);
        for (size_t k = 0; k < 3; k++)
            ask_key(&a, items[k].key.data, 0);
        ask(&a);
        command(&f, touches[i]);
        send_group(&f.d, &group);
        assert_int_equal(group.error.class, HF_SHARED_RETRY);
        for (size_t k = 0; k < 3; k++)
            assert_int_equal(items[k].error.class, HF_SHARED_RETRY);
        assert_text(&f, "theirs", "GET app:m");
        ask(&a);
        send_group(&f.d, &group);
        assert_int_equal(group.error.class, HF_SHARED_OK);
        assert_text(&f, "mine", "GET app:new");
    }
    assert_int_equal(f.d.n_lost, 0);
    end(&f);
}

static void test_watch__an_expiry_keeps_the_group_out(void **state)
{
    struct fixture f;
    struct asked a;

    (void)state;
    begin(&f);
    command(&f, "SET app:a theirs PX 300");
    watch_key(&a, &f.d, "app:a");
    assert_int_equal(a.keys[0].kind, HF_SHARED_STRING);
    wait_gone(&f, "app:a");
    assert_int_equal(store(&f.d, "app:a", "mine", true), HF_SHARED_RETRY);
    assert_text(&f, "(nil)", "GET app:a");
    watch_key(&a, &f.d, "app:a");
    assert_int_equal(a.keys[0].kind, HF_SHARED_ABSENT);
    assert_int_equal(store(&f.d, "app:a", "mine", true), HF_SHARED_OK);
    end(&f);
}

static void test_watch__two_examinations_guard_one_group(void **state)
{
    static const char *const touches[] = {"SET app:a other", "SET app:b other", "SET app:c other"};
    struct fixture f;
    struct asked a, b;

    (void)state;
    begin(&f);
    for (int i = 0; i < 3; i++) {
        watch_key(&a, &f.d, "app:a");
        watch_key(&b, &f.d, "app:b");
        command(&f, touches[i]);
        assert_int_equal(store(&f.d, "app:a", "mine", true), i < 2 ? HF_SHARED_RETRY : HF_SHARED_OK);
    }
    end(&f);
}

/* What was watched is not, once EXEC has refused: it comes back only behind another examination. */
static void test_watch__a_refused_group_is_not_stored_without_it(void **state)
{
    struct hf_shared_item items[] = {set("app:a", "mine", 1), set("other:b", "mine", 2), set("app:c", "mine", 3)};
    struct hf_shared_group group = {.items = items, .n_items = 3, .watched = true};
    struct link_driver d;
    struct fixture f;
    struct asked a;

    (void)state;
    begin(&f);
    command(&f, "MSET app:a theirs app:c theirs");
    connect_as(&f, &d, "limited", DOCUMENTED);
    watch_key(&a, &d, "app:a");
    send_group(&d, &group);
    assert_int_equal(group.error.class, HF_SHARED_RETRY);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(items[i].error.class, HF_SHARED_RETRY);
    watch_key(&a, &d, "app:a");
    send_group(&d, &group);
    assert_int_equal(items[0].error.class, HF_SHARED_RETRY);
    assert_int_equal(items[1].error.class, HF_SHARED_AUTH);
    assert_text(&f, "theirs", "GET app:a");
    link_driver_stop(&d);
    end(&f);
}

static void test_watch__an_empty_group_ends_it(void **state)
{
    struct hf_shared_group nothing = {.watched = true};
    struct fixture f;
    struct asked a;

    (void)state;
    begin(&f);
    watch_key(&a, &f.d, "app:a");
    send_group(&f.d, &nothing);
    assert_int_equal(nothing.error.class, HF_SHARED_OK);
    command(&f, "SET app:a other");
    assert_int_equal(store(&f.d, "app:b", "mine", false), HF_SHARED_OK); /* a nil would be a fence */
    nothing.watched = false;
    assert_int_equal(link_driver_run(&f.d, job_group, &nothing), HF_EINVAL);
    nothing.watched = true;
    watch_key(&a, &f.d, "app:a");
    command(&f, "FLUSHDB");
    send_group(&f.d, &nothing);
    assert_int_equal(nothing.error.class, HF_SHARED_FENCE);
    end(&f);
}

static void test_watch__a_wipe_is_a_fence_and_no_retry(void **state)
{
    struct fixture f;
    struct asked a;

    (void)state;
    begin(&f);
    command(&f, "SET app:a theirs");
    watch_key(&a, &f.d, "app:a");
    command(&f, "FLUSHDB");
    assert_int_equal(store(&f.d, "app:a", "mine", true), HF_SHARED_FENCE);
    link_driver_wait_lost(&f.d, 1);
    assert_text(&f, "(nil)", "GET app:a");
    end(&f);
}

static void test_watch__only_looking_watches_nothing(void **state)
{
    struct fixture f;
    struct asked a;

    (void)state;
    begin(&f);
    ask_begin(&a, &f.d, HF_WATCH_NOTHING);
    ask_key(&a, "app:a", 0);
    ask(&a);
    command(&f, "SET app:a other");
    assert_int_equal(store(&f.d, "app:a", "mine", false), HF_SHARED_OK);
    watch_key(&a, &f.d, "app:a");
    ask_begin(&a, &f.d, HF_WATCH_NOTHING);
    ask_key(&a, "app:b", 0);
    ask(&a);
    command(&f, "SET app:b other");
    assert_int_equal(store(&f.d, "app:a", "mine", true), HF_SHARED_OK);
    end(&f);
}

struct beside {
    struct asked asked[4];
    struct hf_shared_item item;
    struct hf_shared_group group;
    int refused; /* what a second watching one got */
};

static int job_beside(struct link_driver *d, void *arg)
{
    struct beside *b = arg;
    int rc = job_examine(d, &b->asked[0]);

    b->refused = job_examine(d, &b->asked[3]);
    for (int i = 1; i < 3 && rc == 0; i++)
        rc = job_examine(d, &b->asked[i]);
    return rc;
}

static void test_examine__looking_runs_beside_and_watching_does_not(void **state)
{
    struct fixture f;
    struct beside b = {0};

    (void)state;
    begin(&f);
    command(&f, "SET app:a 1");
    for (int i = 0; i < 4; i++) {
        ask_begin(&b.asked[i], &f.d, i == 0 || i == 3 ? HF_WATCH_KEYS : HF_WATCH_NOTHING);
        ask_key(&b.asked[i], "app:a", HF_WANT_VALUE);
    }
    assert_int_equal(link_driver_run(&f.d, job_beside, &b), 0);
    link_driver_wait_done(&f.d, 3);
    assert_int_equal(b.refused, HF_EBUSY);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(b.asked[i].examine.error.class, HF_SHARED_OK);
        assert_int_equal(b.asked[i].values[0].len, 1);
        ask_end(&b.asked[i]);
    }
    assert_int_equal(store(&f.d, "app:a", "2", true), HF_SHARED_OK);
    end(&f);
}

static void test_examine__out_of_memory_it_answers_and_watched_deletes_wait(void **state)
{
    struct hf_shared_item item = {.op = HF_SHARED_DELETE, .key = hf__slice_str("app:a"), .lsn = 1};
    struct hf_shared_group group = {.items = &item, .n_items = 1, .watched = true};
    struct fixture f;
    struct asked a;

    (void)state;
    begin(&f);
    command(&f, "SET app:a 1");
    command(&f, "CONFIG SET maxmemory 1");
    watch_key(&a, &f.d, "app:a");
    assert_int_equal(a.keys[0].kind, HF_SHARED_STRING);
    command(&f, "PERSIST app:a");
    send_group(&f.d, &group);
    assert_int_equal(group.error.class, HF_SHARED_STATE);
    assert_true(group.error.oom);
    assert_text(&f, "1", "GET app:a");
    command(&f, "CONFIG SET maxmemory 0");
    watch_key(&a, &f.d, "app:a");
    send_group(&f.d, &group);
    assert_int_equal(group.error.class, HF_SHARED_OK);
    assert_text(&f, "(nil)", "GET app:a");
    end(&f);
}

/* ---- a connection that dies ---- */

struct proxied {
    struct redis_server server;
    struct link_driver d;
    struct proxy *proxy;
    char path[96], address[112];
};

static void begin_proxied(struct proxied *p)
{
    *p = (struct proxied){0};
    assert_int_equal(redis_server_start(&p->server, NULL), 0);
    snprintf(p->path, sizeof(p->path), "%s/proxy.sock", p->server.dir);
    snprintf(p->address, sizeof(p->address), "unix://%s", p->path);
    p->proxy = proxy_start(p->path, p->server.socket);
    assert_non_null(p->proxy);
    link_driver_start(&p->d,
                      &(struct hf_redis_options){.address = p->address, .node = NODE_A, .reply_timeout_ms = 500});
    assert_true(link_driver_connects(&p->d));
}

static void end_proxied(struct proxied *p)
{
    link_driver_stop(&p->d);
    proxy_stop(p->proxy);
    redis_server_stop(&p->server);
}

enum before { NOTHING, A_GROUP, AN_EMPTY_GROUP };

static void do_before(struct proxied *p, enum before before)
{
    struct hf_shared_group nothing = {.watched = true};

    if (before == A_GROUP)
        assert_int_equal(store(&p->d, "app:before", "1", false), HF_SHARED_OK);
    if (before == AN_EMPTY_GROUP)
        send_group(&p->d, &nothing);
}

/* Nothing touches the key itself: only the session's watch, from the handshake or from the group before, can keep the
 * late EXEC out. */
static void check_zombie(enum before before)
{
    struct proxied p;
    struct asked a;
    char text[64];

    begin_proxied(&p);
    do_before(&p, before);
    watch_key(&a, &p.d, "app:a");
    proxy_hold(p.proxy);
    assert_int_equal(store(&p.d, "app:a", "older", true), HF_SHARED_LINK);
    link_driver_wait_lost(&p.d, 1);
    assert_true(proxy_wait_held(p.proxy, 50, 5000));
    assert_true(link_driver_connects(&p.d));
    proxy_release(p.proxy);
    assert_true(proxy_wait_unheard(p.proxy, 20, 5000));
    redis_server_text(&p.server, text, sizeof(text), "GET app:a");
    assert_string_equal(text, "(nil)");
    end_proxied(&p);
}

static void test_fence__late_watched_group_of_a_dead_connection_does_nothing(void **state)
{
    (void)state;
    check_zombie(NOTHING);
    check_zombie(A_GROUP);
    check_zombie(AN_EMPTY_GROUP);
}

static void test_examine__is_told_when_the_connection_is_lost(void **state)
{
    struct proxied p;
    struct asked a;

    (void)state;
    begin_proxied(&p);
    for (int watch = 0; watch < 2; watch++) {
        ask_begin(&a, &p.d, watch);
        ask_key(&a, "app:a", 0);
        proxy_hold(p.proxy);
        link_driver_send(&p.d, job_examine, &a);
        assert_int_equal(a.examine.error.class, HF_SHARED_LINK);
        link_driver_wait_lost(&p.d, watch + 1);
        assert_true(link_driver_connects(&p.d));
    }
    ask(&a);
    end_proxied(&p);
}

/* ---- the change log ---- */

struct told {
    struct link_driver *d; /* to be disconnected at the first change; NULL: none */
    size_t n;
    struct hf_shared_change all[16];
    char keys[16][32], nodes[16][40];
};

static void tell(void *ctx, const struct hf_shared_change *change)
{
    struct told *told = ctx;

    assert_true(told->n < 16);
    snprintf(told->keys[told->n], 32, "%.*s", (int)change->key.len, (const char *)change->key.data);
    snprintf(told->nodes[told->n], 40, "%s", change->node);
    told->all[told->n++] = *change;
    if (told->d)
        told->d->tier->ops->disconnect(told->d->tier);
}

static void ask_log(struct asked *a, const char *log, const char *after, struct told *told)
{
    struct hf_shared_log_page *page = &a->pages[a->examine.n_logs++];

    *page = (struct hf_shared_log_page){.log_key = hf__slice_str(log), .count = 10, .each = tell, .ctx = told};
    snprintf(page->after_id, sizeof(page->after_id), "%s", after);
    *told = (struct told){0};
}

static void page_done(void *ctx, struct hf_shared_log_page *page)
{
    (void)page;
    link_driver_note(((void **)ctx)[1]);
}

static void page_each(void *ctx, const struct hf_shared_change *change)
{
    tell(((void **)ctx)[0], change);
}

static int job_page(struct link_driver *d, void *arg)
{
    return d->tier->ops->send_log_page(d->tier, arg);
}

/* The same page alone. */
static struct hf_shared_log_page page_alone(struct link_driver *d, const char *after, struct told *told)
{
    void *ctx[2] = {told, d};
    struct hf_shared_log_page page = {
        .log_key = hf__slice_str(LOG), .count = 10, .each = page_each, .done = page_done, .ctx = ctx};

    *told = (struct told){0};
    snprintf(page.after_id, sizeof(page.after_id), "%s", after);
    link_driver_send(d, job_page, &page);
    return page;
}

static void check_log_of(struct fixture *f, struct link_driver *d)
{
    struct hf_shared_item items[] = {set("app:a", "theirs", 7), set("app:b", "theirs", 8)};
    struct hf_shared_log log = {.key = hf__slice_str(LOG), .n_items = 2};
    struct hf_shared_group group = {.items = items, .n_items = 2, .logs = &log, .n_logs = 1};
    struct told told, none;
    struct asked a;

    items[1].made_ms = 1700000000000;
    items[1].uncertainty_ms = 12;
    send_group(&f->d, &group);
    assert_int_equal(group.error.class, HF_SHARED_OK);
    ask_begin(&a, d, HF_WATCH_KEYS);
    ask_key(&a, "app:a", HF_WANT_VALUE);
    ask_log(&a, LOG, "1-1", &told);
    ask_log(&a, "_hf:app::log:none", "", &none);
    ask(&a);
    assert_int_equal(a.values[0].len, 6);
    assert_true(told.n == 2 && none.n == 0);
    assert_string_equal(told.keys[0], "app:a");
    assert_string_equal(told.nodes[1], NODE_A);
    assert_int_equal(told.all[0].lsn, 7);
    assert_int_equal(told.all[0].made_ms, strtoll(log.last_id, NULL, 10));
    assert_int_equal(told.all[0].uncertainty_ms, 0);
    assert_int_equal(told.all[1].made_ms, 1700000000000);
    assert_int_equal(told.all[1].uncertainty_ms, 12);
    assert_string_equal(a.pages[0].after_id, log.last_id);
    assert_true(a.pages[0].n_entries == 1 && !a.pages[0].gap && !a.pages[0].missing);
    ask_end(&a);
    assert_int_equal(store(d, "app:a", "mine", true), HF_SHARED_OK);
    assert_int_equal(redis_server_number(&f->server, "XDEL " LOG " %s", log.last_id), 1);
}

/* A string, a hash and nothing, and a log that is known up to its only entry, but for what `behind` does. */
static void look_at_kinds(struct fixture *f, struct asked *a, const char *behind)
{
    struct told told;
    char id[64];

    command(f, "DEL app:h " LOG);
    command(f, "SET app:a 0123456789");
    command(f, "HSET app:h f v");
    redis_server_text(&f->server, id, sizeof(id), "XADD " LOG " * n other l 1 s0 app:x");
    if (behind)
        command(f, behind);
    ask_begin(a, &f->d, HF_WATCH_LOGS);
    ask_key(a, "app:a", HF_WANT_VALUE);
    ask_key(a, "app:h", 0);
    ask_key(a, "app:none", HF_WANT_DIGEST);
    ask_log(a, LOG, id, &told);
    ask(a);
    assert_int_equal(told.n, 0);
    assert_int_equal(a->examine.unread, behind != NULL);
}

static void test_watch__a_look_at_kinds_tells_no_more_and_watches_the_log(void **state)
{
    struct fixture f;
    struct asked a;

    (void)state;
    begin(&f);
    look_at_kinds(&f, &a, NULL);
    assert_int_equal(a.keys[0].kind, HF_SHARED_STRING);
    assert_true(a.keys[0].len == 0 && !a.keys[0].has_digest && !a.values[0].data);
    assert_int_equal(a.keys[1].kind, HF_SHARED_OTHER);
    assert_string_equal(a.keys[1].type, "hash");
    assert_int_equal(a.keys[2].kind, HF_SHARED_ABSENT);
    command(&f, "SET app:a other");
    assert_int_equal(store(&f.d, "app:a", "mine", true), HF_SHARED_OK);
    assert_text(&f, "mine", "GET app:a");
    look_at_kinds(&f, &a, NULL);
    command(&f, "XADD " LOG " * n other l 2 s0 app:a");
    assert_int_equal(store(&f.d, "app:a", "mine", true), HF_SHARED_RETRY);
    assert_text(&f, "0123456789", "GET app:a");
    end(&f);
}

static void test_log__a_look_at_kinds_tells_whether_it_is_to_be_read(void **state)
{
    static const char *const behind[] = {"XADD " LOG " * n other l 2 s0 app:a", "DEL " LOG,
                                         "XTRIM " LOG " MAXLEN 0"};
    struct link_driver d;
    struct fixture f;
    struct asked a;

    (void)state;
    begin(&f);
    for (size_t i = 0; i < sizeof(behind) / sizeof(behind[0]); i++) {
        look_at_kinds(&f, &a, behind[i]);
        assert_int_equal(store(&f.d, "app:b", "mine", true), HF_SHARED_OK);
    }
    connect_as(&f, &d, "limited", DOCUMENTED); /* who may not ask for its length */
    ask_begin(&a, &d, HF_WATCH_LOGS);
    ask_key(&a, "app:a", 0);
    ask_log(&a, LOG, "", &(struct told){0});
    ask(&a);
    assert_true(a.examine.unread);
    link_driver_stop(&d);
    end(&f);
}

static void test_log__names_in_the_same_turn_what_was_written_before(void **state)
{
    struct link_driver d;
    struct fixture f;

    (void)state;
    begin(&f);
    command(&f, "XADD " LOG " 1-1 n x l 0");
    connect_as(&f, &d, "documented", DOCUMENTED);
    check_log_of(&f, &d);
    command(&f, "SCRIPT FLUSH"); /* changes are told once, although all is asked twice */
    check_log_of(&f, &d);
    link_driver_stop(&d);
    connect_as(&f, &d, "noscripts", DOCUMENTED " -evalsha -eval");
    check_log_of(&f, &d);
    check_log_of(&f, &d);
    link_driver_stop(&d);
    end(&f);
}

static void test_log__alone_and_refused(void **state)
{
    struct link_driver d;
    struct fixture f;
    struct told told;
    struct asked a;

    (void)state;
    begin(&f);
    command(&f, "XADD " LOG " 1-1 n x l 5 s0 app:a");
    ask_begin(&a, &f.d, HF_WATCH_KEYS);
    ask_log(&a, LOG, "", &told);
    ask(&a);
    assert_int_equal(told.n, 1);
    assert_int_equal(store(&f.d, "app:a", "mine", true), HF_SHARED_OK);
    connect_as(&f, &d, "limited", DOCUMENTED);
    ask_begin(&a, &d, true);
    ask_key(&a, "app:a", 0);
    ask_log(&a, "other:log", "", &told);
    link_driver_send(&d, job_examine, &a);
    assert_int_equal(a.examine.error.class, HF_SHARED_AUTH);
    assert_int_equal(a.pages[0].error.class, HF_SHARED_AUTH);
    link_driver_stop(&d);
    end(&f);
}

static void test_log__ending_the_connection_from_each_is_told_once(void **state)
{
    struct fixture f;
    struct told told;
    struct asked a;

    (void)state;
    begin(&f);
    command(&f, "XADD " LOG " 1-1 n x l 5 s0 app:a s1 app:b");
    for (int watch = 0; watch < 2; watch++) {
        ask_begin(&a, &f.d, watch);
        ask_key(&a, "app:a", HF_WANT_VALUE);
        ask_log(&a, LOG, "", &told);
        told.d = &f.d;
        link_driver_send(&f.d, job_examine, &a);
        assert_int_equal(a.examine.error.class, HF_SHARED_LINK);
        assert_int_equal(told.n, 1);
        assert_true(link_driver_connects(&f.d));
        assert_int_equal(f.d.n_done, watch + 1);
    }
    end(&f);
}

static void test_log__an_id_that_is_not_there_inside_the_log_is_missing(void **state)
{
    static const struct row {
        const char *after;
        bool gap, missing;
    } rows[] = {
        {"", false, false},    {"0-0", false, false}, {"1-0", true, false},  {"2-0", false, false},
        {"2-1", false, true},  {"3-0", false, true},  {"4-0", false, false}, {"6-0", false, false},
        {"6-1", false, false}, {"9-9", false, false},
    };
    struct fixture f;

    (void)state;
    begin(&f);
    for (int i = 2; i <= 6; i += 2)
        freeReplyObject(redis_server_command(&f.server, "XADD " LOG " %d-0 n x l %d s0 k", i, i));
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct hf_shared_log_page page;
        struct told told;
        struct asked a;

        page = page_alone(&f.d, rows[i].after, &told);
        assert_int_equal(page.error.class, HF_SHARED_OK);
        assert_int_equal(page.gap, rows[i].gap);
        assert_int_equal(page.missing, rows[i].missing);
        ask_begin(&a, &f.d, HF_WATCH_NOTHING);
        ask_log(&a, LOG, rows[i].after, &told);
        ask(&a);
        assert_int_equal(a.pages[0].gap, rows[i].gap);
        assert_int_equal(a.pages[0].missing, rows[i].missing);
    }
    end(&f);
}

static void test_log__made_times_are_read_and_what_is_none_is_passed_over(void **state)
{
    static const struct row {
        const char *name;
        int64_t made_ms, uncertainty_ms; /* -1: passed over */
    } rows[] = {
        {"s0", 77, 0},
        {"s0@5", 5, 0},
        {"d1@1700000000000~12", 1700000000000, 12},
        {"s0@5~0", 5, 0},
        {"s0@0", 0, 0},
        {"s0@", -1, 0},
        {"s0@5~", -1, 0},
        {"s0~5", -1, 0},
        {"s0@-5", -1, 0},
        {"s0@5~-1", -1, 0},
        {"s0@5~1~1", -1, 0},
        {"s0@5@6", -1, 0},
        {"s@5", -1, 0},
        {"@5", -1, 0},
        {"s0@9223372036854775807~9223372036854775807", INT64_MAX, INT64_MAX},
        {"s0@9223372036854775808", -1, 0},
    };
    struct fixture f;

    (void)state;
    begin(&f);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct told told;

        command(&f, "DEL " LOG);
        freeReplyObject(redis_server_command(&f.server, "XADD " LOG " 77-3 n x l 9 %s app:a", rows[i].name));
        page_alone(&f.d, "", &told);
        assert_int_equal(told.n, rows[i].made_ms >= 0);
        if (told.n == 1) {
            assert_int_equal(told.all[0].made_ms, rows[i].made_ms);
            assert_int_equal(told.all[0].uncertainty_ms, rows[i].uncertainty_ms);
        }
    }
    end(&f);
}

/* ---- the epoch ---- */

static void epoch_done(void *ctx, struct hf_shared_epoch *epoch)
{
    (void)epoch;
    link_driver_note(ctx);
}

static int job_epoch(struct link_driver *d, void *arg)
{
    return d->tier->ops->send_epoch(d->tier, arg);
}

static struct hf_shared_epoch epoch_of(struct link_driver *d, bool look_only)
{
    struct hf_shared_epoch epoch = {
        .prefix = hf__slice_str("app:"), .with_log = true, .look_only = look_only, .done = epoch_done, .ctx = d};

    link_driver_send(d, job_epoch, &epoch);
    assert_int_equal(epoch.error.class, HF_SHARED_OK);
    return epoch;
}

static void test_epoch__only_looking_makes_nothing(void **state)
{
    struct hf_shared_epoch seen, made;
    struct fixture f;

    (void)state;
    begin(&f);
    seen = epoch_of(&f.d, true);
    assert_string_equal(seen.epoch, "");
    assert_false(seen.created || seen.log_missing);
    assert_int_equal(redis_server_number(&f.server, "DBSIZE"), 1); /* our session */
    made = epoch_of(&f.d, false);
    seen = epoch_of(&f.d, true);
    assert_string_equal(seen.epoch, made.epoch);
    assert_string_equal(seen.log_last_id, made.log_last_id);
    assert_false(seen.created || seen.log_missing);
    assert_int_equal(redis_server_number(&f.server, "DEL _hf:app::log:%s", made.epoch), 1);
    for (int i = 0; i < 2; i++) {
        seen = epoch_of(&f.d, true);
        assert_true(seen.log_missing);
        assert_string_equal(seen.log_last_id, "0-0");
    }
    assert_int_equal(redis_server_number(&f.server, "DBSIZE"), 2);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_examine__tells_the_same_to_every_user),
        cmocka_unit_test(test_examine__budget_serves_at_least_one_and_leaves_out_the_rest),
        cmocka_unit_test(test_examine__a_forbidden_key_fails_itself_only),
        cmocka_unit_test(test_examine__misuse_is_refused),
        cmocka_unit_test(test_watch__what_another_did_since_keeps_the_whole_group_out),
        cmocka_unit_test(test_watch__an_expiry_keeps_the_group_out),
        cmocka_unit_test(test_watch__two_examinations_guard_one_group),
        cmocka_unit_test(test_watch__a_refused_group_is_not_stored_without_it),
        cmocka_unit_test(test_watch__an_empty_group_ends_it),
        cmocka_unit_test(test_watch__a_wipe_is_a_fence_and_no_retry),
        cmocka_unit_test(test_watch__only_looking_watches_nothing),
        cmocka_unit_test(test_watch__a_look_at_kinds_tells_no_more_and_watches_the_log),
        cmocka_unit_test(test_examine__looking_runs_beside_and_watching_does_not),
        cmocka_unit_test(test_examine__out_of_memory_it_answers_and_watched_deletes_wait),
        cmocka_unit_test(test_fence__late_watched_group_of_a_dead_connection_does_nothing),
        cmocka_unit_test(test_examine__is_told_when_the_connection_is_lost),
        cmocka_unit_test(test_log__names_in_the_same_turn_what_was_written_before),
        cmocka_unit_test(test_log__a_look_at_kinds_tells_whether_it_is_to_be_read),
        cmocka_unit_test(test_log__alone_and_refused),
        cmocka_unit_test(test_log__ending_the_connection_from_each_is_told_once),
        cmocka_unit_test(test_log__an_id_that_is_not_there_inside_the_log_is_missing),
        cmocka_unit_test(test_log__made_times_are_read_and_what_is_none_is_passed_over),
        cmocka_unit_test(test_epoch__only_looking_makes_nothing),
    };

    return cmocka_run_group_tests_name("examine", tests, NULL, NULL);
}
