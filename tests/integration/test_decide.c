/* What the shared tier decides: two stores on one Redis, and a plain client beside them. */
#include "ignore.h"
#include "proxy.h"
#include "redis_server.h"
#include "scratch.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BOUND_MS 10000
#define N_STORES 2
#define N_THREADS 6 /* half of them on each store */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SLOWER 20
#else
#define SLOWER 1
#endif

struct fixture {
    struct scratch scratch;
    struct redis_server redis;
    struct proxy *proxy;
    struct hf_options opts;
    struct hf_namespace namespaces[5];
    char dirs[N_STORES][96];
    char proxy_path[96], proxy_address[128];
    struct hf *stores[N_STORES];
    struct hf *a, *b;      /* the same */
    const char *undecided; /* the key that a child asks Redis to decide on */
};

static const char *const keep_data[] = {"--appendonly", "yes", "--appendfsync", "always", NULL};

/* ---- fixture ---- */

static void open_store(struct fixture *f, int i, const char *address)
{
    f->opts.redis = address;
    assert_ok(hf_open(f->dirs[i], &f->opts, &f->stores[i]));
    f->a = f->stores[0];
    f->b = f->stores[1];
}

static void open_online(struct fixture *f, int i, const char *address)
{
    open_store(f, i, address);
    assert_true(wait_link(f->stores[i], HF_LINK_ONLINE, BOUND_MS));
}

static void close_store(struct fixture *f, int i)
{
    assert_ok(hf_close(f->stores[i]));
    f->stores[i] = NULL;
}

static int set_up_closed(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    scratch_make(&f->scratch);
    assert_int_equal(redis_server_start(&f->redis, keep_data), 0);
    f->namespaces[0] = (struct hf_namespace){.prefix = "tent:", .tentative = true};
    f->namespaces[1] = (struct hf_namespace){.prefix = "local:", .write_mode = HF_WRITE_LOCAL};
    f->namespaces[2] = (struct hf_namespace){.prefix = "nolog:", .change_log_off = true};
    f->namespaces[3] = (struct hf_namespace){.prefix = "mine:", .writers = HF_WRITERS_THIS_NODE};
    f->namespaces[4] = (struct hf_namespace){.prefix = ""};
    for (int i = 0; i < 5; i++)
        f->namespaces[i].on_loss = HF_LOSS_ADOPT; /* a flush is none of what is tested here */
    f->opts = (struct hf_options){
        .redis = f->redis.address,
        .segment_bytes = 1 << 20,
        .max_disk_bytes = 256 << 20,
        .redis_timeout_ms = 400,
        .redis_backoff_max_ms = 60,
        .namespaces = f->namespaces,
        .n_namespaces = 5,
    };
    for (int i = 0; i < N_STORES; i++)
        snprintf(f->dirs[i], sizeof(f->dirs[i]), "%s%d", f->scratch.store, i);
    snprintf(f->proxy_path, sizeof(f->proxy_path), "%s/proxy", f->scratch.dir);
    snprintf(f->proxy_address, sizeof(f->proxy_address), "unix://%s", f->proxy_path);
    *state = f;
    return 0;
}

static int set_up(void **state)
{
    struct fixture *f;

    set_up_closed(state);
    f = *state;
    for (int i = 0; i < N_STORES; i++)
        open_online(f, i, f->redis.address);
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    for (int i = 0; i < N_STORES; i++) {
        if (f->stores[i])
            close_store(f, i);
    }
    proxy_stop(f->proxy);
    redis_server_stop(&f->redis);
    scratch_remove(&f->scratch);
    free(f);
    return 0;
}

/* From now on the first store goes through a proxy. */
static void through_proxy(struct fixture *f)
{
    f->proxy = proxy_start(f->proxy_path, f->redis.socket);
    assert_non_null(f->proxy);
    if (f->a)
        close_store(f, 0);
    open_online(f, 0, f->proxy_address);
}

static void stop_redis(struct fixture *f)
{
    redis_server_kill(&f->redis);
    for (int i = 0; i < N_STORES; i++)
        assert_true(!f->stores[i] || wait_link(f->stores[i], HF_LINK_OFFLINE, BOUND_MS));
}

static void start_redis(struct fixture *f)
{
    assert_int_equal(redis_server_restart(&f->redis), 0);
    for (int i = 0; i < N_STORES; i++)
        assert_true(!f->stores[i] || wait_link(f->stores[i], HF_LINK_ONLINE, BOUND_MS));
}

static void assert_redis(struct fixture *f, const char *key, const char *value)
{
    char text[256];

    assert_string_equal(redis_server_text(&f->redis, text, sizeof(text), "GET %s", key), value ? value : "(nil)");
}

static void set_redis(struct fixture *f, const char *key, const char *value)
{
    char text[64];

    assert_string_equal(redis_server_text(&f->redis, text, sizeof(text), "SET %s %s", key, value), "OK");
}

static uint64_t last_lsn(struct hf *store)
{
    struct hf_status status;

    assert_ok(hf_status(store, &status));
    return status.last_lsn;
}

static int64_t now_us(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* A key's copy, which may still be on its way after a reconnect. */
struct copy {
    struct hf *store;
    const char *key, *value;
};

static bool copy_is(void *ctx)
{
    struct copy *copy = ctx;
    struct hf_buf value = {0};
    int rc = hf_get(copy->store, s_(copy->key), &value, NULL);
    bool is = copy->value ? rc == 0 && strcmp(value.data, copy->value) == 0 : rc == HF_NOT_FOUND;

    hf_buf_release(&value);
    return is;
}

static void assert_copy_becomes(struct hf *store, const char *key, const char *value)
{
    struct copy copy = {.store = store, .key = key, .value = value};

    assert_true(wait_until(copy_is, &copy, BOUND_MS));
}

static bool never(void *ctx)
{
    (void)ctx;
    return false;
}

/* ---- many at once ---- */

struct racer {
    pthread_t thread;
    struct fixture *f;
    struct hf *store;
    int number;
    pthread_barrier_t *start;
    int rounds;
    int won[32]; /* by round */
    int unexpected;
};

static void race(struct fixture *f, struct racer *racers, int rounds, void *(*run)(void *arg))
{
    pthread_barrier_t start;

    pthread_barrier_init(&start, NULL, N_THREADS);
    for (int i = 0; i < N_THREADS; i++) {
        racers[i] = (struct racer){
            .f = f, .store = f->stores[i % N_STORES], .number = i, .start = &start, .rounds = rounds};
        assert_int_equal(pthread_create(&racers[i].thread, NULL, run, &racers[i]), 0);
    }
    for (int i = 0; i < N_THREADS; i++)
        pthread_join(racers[i].thread, NULL);
    pthread_barrier_destroy(&start);
    for (int i = 0; i < N_THREADS; i++)
        assert_int_equal(racers[i].unexpected, 0);
}

static void *claim(void *arg)
{
    struct racer *r = arg;
    char key[16], value[16];

    snprintf(value, sizeof(value), "%d", r->number);
    for (int i = 0; i < r->rounds; i++) {
        int rc;
        snprintf(key, sizeof(key), "r%d", i);
        pthread_barrier_wait(r->start);
        rc = hf_set_if_absent(r->store, s_(key), s_(value), NULL, NULL);
        r->won[i] = rc == 0;
        r->unexpected += rc != 0 && rc != HF_NOT_DONE;
    }
    return NULL;
}

static void test_decide__of_all_threads_on_two_stores_one_sets_what_was_absent(void **state)
{
    enum { ROUNDS = 20 };
    struct fixture *f = *state;
    struct racer racers[N_THREADS];

    race(f, racers, ROUNDS, claim);
    for (int i = 0; i < ROUNDS; i++) {
        int winners = 0, winner = 0;
        char key[16], value[16];
        for (int t = 0; t < N_THREADS; t++) {
            winners += racers[t].won[i];
            winner = racers[t].won[i] ? t : winner;
        }
        assert_int_equal(winners, 1);
        snprintf(key, sizeof(key), "r%d", i);
        snprintf(value, sizeof(value), "%d", winner);
        assert_redis(f, key, value);
        assert_value(f->a, key, value);
        assert_value(f->b, key, value);
    }
}

static void *count_up(void *arg)
{
    struct racer *r = arg;
    char next[24];

    pthread_barrier_wait(r->start);
    for (int i = 0; i < r->rounds;) {
        struct hf_buf value = {0};
        int rc = hf_get(r->store, s_("n"), &value, NULL);
        if (rc == 0) {
            snprintf(next, sizeof(next), "%d", atoi(value.data) + 1);
            rc = hf_compare_and_set(r->store, s_("n"), hf__slice(value.data, value.len), s_(next), NULL, NULL);
        }
        hf_buf_release(&value);
        i += rc == 0;
        if (rc != 0 && rc != HF_NOT_DONE) {
            r->unexpected++;
            break;
        }
    }
    return NULL;
}

static void test_decide__compare_and_set_loses_no_step_of_a_counter(void **state)
{
    enum { STEPS = 15 };
    struct fixture *f = *state;
    struct racer racers[N_THREADS];
    char text[16];

    put(f->a, "n", "0");
    race(f, racers, STEPS, count_up);
    snprintf(text, sizeof(text), "%d", N_THREADS * STEPS);
    assert_redis(f, "n", text);
}

static void *take_all(void *arg)
{
    struct racer *r = arg;
    char key[16];

    for (int i = 0; i < r->rounds; i++) {
        struct hf_buf value = {0};
        int rc;
        snprintf(key, sizeof(key), "t%d", i);
        pthread_barrier_wait(r->start);
        rc = hf_get_and_delete(r->store, s_(key), &value, NULL);
        r->won[i] = rc == 0 && strcmp(value.data, key) == 0;
        r->unexpected += rc != 0 && rc != HF_NOT_FOUND;
        hf_buf_release(&value);
    }
    return NULL;
}

static void test_decide__a_ticket_is_handed_out_once(void **state)
{
    enum { TICKETS = 20 };
    struct fixture *f = *state;
    struct racer racers[N_THREADS];
    char key[16];

    for (int i = 0; i < TICKETS; i++) {
        snprintf(key, sizeof(key), "t%d", i);
        put(f->stores[i % N_STORES], key, key);
    }
    race(f, racers, TICKETS, take_all);
    for (int i = 0; i < TICKETS; i++) {
        int winners = 0;
        for (int t = 0; t < N_THREADS; t++)
            winners += racers[t].won[i];
        assert_int_equal(winners, 1);
        snprintf(key, sizeof(key), "t%d", i);
        assert_redis(f, key, NULL);
        assert_value(f->a, key, NULL);
    }
}

/* Writes and decisions on one key at once, in one store, key after key. */
static void *write_and_decide(void *arg)
{
    struct racer *r = arg;
    char key[16], value[32];

    snprintf(value, sizeof(value), "by %d", r->number);
    for (int i = 0; i < r->rounds; i++) {
        struct hf_buf taken = {0};
        int rc;
        snprintf(key, sizeof(key), "m%d", i);
        pthread_barrier_wait(r->start);
        if (r->number < 2)
            rc = hf_set(r->f->a, s_(key), s_(value), NULL, NULL);
        else if (r->number < 4)
            rc = hf_set_if_absent(r->f->a, s_(key), s_(value), NULL, NULL);
        else
            rc = hf_get_and_delete(r->f->a, s_(key), &taken, NULL);
        hf_buf_release(&taken);
        r->unexpected += rc < 0;
    }
    return NULL;
}

static void test_decide__plain_writes_and_decisions_on_a_key_keep_both_tiers_alike(void **state)
{
    enum { KEYS = 300 };
    struct fixture *f = *state;
    struct racer racers[N_THREADS];
    char there[KEYS][16], key[16];

    race(f, racers, KEYS, write_and_decide);
    assert_ok(hf_drain(f->a, BOUND_MS));
    for (int i = 0; i < KEYS; i++)
        redis_server_text(&f->redis, there[i], sizeof(there[i]), "GET m%d", i);
    stop_redis(f); /* now only the copies answer */
    for (int i = 0; i < KEYS; i++) {
        snprintf(key, sizeof(key), "m%d", i);
        assert_value(f->a, key, strcmp(there[i], "(nil)") == 0 ? NULL : there[i]);
    }
}

/* ---- one at a time ---- */

static void test_decide__who_loses_sees_the_value_untouched(void **state)
{
    struct fixture *f = *state;
    struct hf_result r;

    assert_ok(hf_set_if_absent(f->a, s_("k"), s_("first"), NULL, &r));
    assert_true(r.durable && r.shared && !r.pending && !r.tentative);
    assert_int_equal(r.origin, HF_ORIGIN_SHARED);
    assert_code(HF_NOT_DONE, hf_set_if_absent(f->b, s_("k"), s_("second"), NULL, &r));
    assert_int_equal(r.code, HF_NOT_DONE);
    assert_code(HF_NOT_DONE, hf_compare_and_set(f->b, s_("k"), s_("other"), s_("x"), NULL, NULL));
    assert_code(HF_NOT_DONE, hf_compare_and_delete(f->b, s_("k"), s_("other"), NULL));
    assert_redis(f, "k", "first");
    assert_value(f->b, "k", "first");
    set_redis(f, "k", "plain client");
    assert_code(HF_NOT_DONE, hf_compare_and_set(f->a, s_("k"), s_("first"), s_("x"), NULL, NULL));
    assert_value(f->a, "k", "plain client"); /* the answer told */
    assert_ok(hf_compare_and_set(f->a, s_("k"), s_("plain client"), s_("third"), NULL, NULL));
    assert_value(f->a, "k", "third");
    assert_redis(f, "k", "third");
    assert_ok(hf_compare_and_delete(f->b, s_("k"), s_("third"), NULL));
    assert_redis(f, "k", NULL);
    assert_value(f->b, "k", NULL);
    assert_code(HF_NOT_DONE, hf_compare_and_delete(f->b, s_("k"), s_("third"), NULL));
    assert_code(HF_NOT_FOUND, hf_get_and_delete(f->b, s_("k"), &(struct hf_buf){0}, NULL));
}

static void test_decide__lives_are_given_kept_and_taken_away(void **state)
{
    struct fixture *f = *state;
    int64_t ttl;

    assert_ok(hf_set_if_absent(f->a, s_("k"), s_("v"), &(struct hf_set_options){.ttl_ms = 60000}, NULL));
    assert_in_range(redis_server_number(&f->redis, "PTTL k"), 55000, 60000);
    assert_ok(hf_ttl(f->a, s_("k"), &ttl, NULL));
    assert_in_range(ttl, 55000, 60000);
    assert_ok(
        hf_compare_and_set(f->a, s_("k"), s_("v"), s_("w"), &(struct hf_set_options){.keep_ttl = true}, NULL));
    assert_in_range(redis_server_number(&f->redis, "PTTL k"), 50000, 60000);
    assert_ok(hf_ttl(f->a, s_("k"), &ttl, NULL));
    assert_in_range(ttl, 50000, 60000);
    assert_ok(hf_compare_and_set(f->a, s_("k"), s_("w"), s_("x"), NULL, NULL));
    assert_int_equal(redis_server_number(&f->redis, "PTTL k"), -1);
    assert_ok(hf_ttl(f->a, s_("k"), &ttl, NULL));
    assert_int_equal(ttl, -1);
    assert_code(HF_EINVAL,
                hf_set_if_absent(f->a, s_("p"), s_("v"), &(struct hf_set_options){.deadline_ms = 1}, NULL));
    assert_sentence("which has passed");
}

static void test_decide__a_key_of_another_type_is_an_error_and_stays(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(redis_server_number(&f->redis, "HSET h f 1"), 1);
    assert_code(HF_EWRONGTYPE, hf_set_if_absent(f->a, s_("h"), s_("v"), NULL, NULL));
    assert_code(HF_EWRONGTYPE, hf_get_and_delete(f->a, s_("h"), &(struct hf_buf){0}, NULL));
    assert_int_equal(redis_server_number(&f->redis, "HLEN h"), 1);
    assert_ok(hf_set_if_absent(f->a, s_("k"), s_("v"), NULL, NULL)); /* and the link goes on */
}

static void test_decide__a_decision_is_named_in_the_change_log(void **state)
{
    struct fixture *f = *state;
    struct hf_status status;
    char epoch[64], key[128];
    redisReply *reply;

    assert_ok(hf_set_if_absent(f->a, s_("k"), s_("v"), NULL, NULL));
    assert_ok(hf_status(f->a, &status));
    redis_server_text(&f->redis, epoch, sizeof(epoch), "GET _hf::epoch");
    snprintf(key, sizeof(key), "_hf::log:%s", epoch);
    reply = redis_server_command(&f->redis, "XREVRANGE %s + - COUNT 1", key);
    assert_non_null(reply);
    assert_int_equal(reply->elements, 1);
    assert_int_equal(reply->element[0]->element[1]->elements, 6);
    assert_string_equal(reply->element[0]->element[1]->element[1]->str, status.node);
    assert_int_equal(strtoull(reply->element[0]->element[1]->element[3]->str, NULL, 10), status.last_lsn - 1);
    assert_string_equal(reply->element[0]->element[1]->element[4]->str, "s0");
    assert_string_equal(reply->element[0]->element[1]->element[5]->str, "k");
    freeReplyObject(reply);
}

/* The rights of docs/redis-bookkeeping.md, but for the keys. */
#define RIGHTS                                                                                                     \
    "~* -@all +hello +auth +select +ping +time +multi +exec +watch +unwatch +get +set +del +pexpireat +persist "   \
    "+incrby +strlen +type +exists +pttl +xadd +xrange +xrevrange"

static void reopen_as(struct fixture *f, const char *rights)
{
    char command[512], text[64];

    close_store(f, 0);
    snprintf(command, sizeof(command), "ACL SETUSER clerk reset on >pw %s", rights);
    redis_server_text(&f->redis, text, sizeof(text), command);
    assert_string_equal(text, "OK");
    f->opts.redis_user = "clerk";
    f->opts.redis_password = "pw";
    open_online(f, 0, f->redis.address);
}

static void test_decide__the_documented_rights_suffice_and_without_scripts_only_decisions_fail(void **state)
{
    struct fixture *f = *state;
    struct hf_lock *lock;
    struct hf_status status;

    reopen_as(f, RIGHTS " +eval +evalsha");
    assert_ok(hf_set_if_absent(f->a, s_("k"), s_("v"), &(struct hf_set_options){.ttl_ms = 60000}, NULL));
    assert_ok(
        hf_compare_and_set(f->a, s_("k"), s_("v"), s_("w"), &(struct hf_set_options){.keep_ttl = true}, NULL));
    assert_ok(hf_compare_and_delete(f->a, s_("k"), s_("w"), NULL));
    assert_ok(hf_lock_acquire(f->a, s_("lock"), 60000, 0, &lock));
    assert_ok(hf_lock_extend(lock, 60000));
    assert_ok(hf_lock_release(lock));
    reopen_as(f, RIGHTS);
    assert_code(HF_EAUTH, hf_set_if_absent(f->a, s_("k"), s_("v"), NULL, NULL));
    assert_code(HF_EAUTH, hf_lock_acquire(f->a, s_("lock"), 60000, 1000, &lock));
    put(f->a, "k", "v");
    assert_redis(f, "k", "v");
    assert_ok(hf_status(f->a, &status));
    assert_int_equal(status.link, HF_LINK_ONLINE);
    assert_int_equal(status.link_losses, 0);
}

static void test_decide__out_of_memory_redis_decides_nothing_but_what_frees(void **state)
{
    struct fixture *f = *state;
    struct hf_buf value = {0};

    put(f->a, "k", "v");
    redis_server_text(&f->redis, (char[64]){0}, 64, "CONFIG SET maxmemory 1");
    assert_code(HF_EOFFLINE, hf_set_if_absent(f->a, s_("n"), s_("v"), NULL, NULL));
    assert_sentence("OOM");
    assert_ok(hf_get_and_delete(f->a, s_("k"), &value, NULL));
    assert_string_equal(value.data, "v");
    hf_buf_release(&value);
    redis_server_text(&f->redis, (char[64]){0}, 64, "CONFIG SET maxmemory 0");
    assert_ok(hf_set_if_absent(f->a, s_("n"), s_("v"), NULL, NULL));
    assert_redis(f, "k", NULL);
}

static void test_decide__without_a_shared_tier_the_store_decides_for_good(void **state)
{
    struct fixture *f = *state;
    struct hf_options alone = f->opts;
    struct hf *stores[2] = {0};
    struct hf_result r;
    char dir[96];

    snprintf(dir, sizeof(dir), "%s-alone", f->scratch.store);
    alone.redis = NULL;
    assert_ok(hf_open(dir, &alone, &stores[0]));
    stores[1] = f->a; /* and a namespace that is never shared */
    for (int i = 0; i < 2; i++) {
        struct hf_buf value = {0};
        assert_ok(hf_set_if_absent(stores[i], s_("local:k"), s_("v"), NULL, &r));
        assert_true(r.durable && r.shared && !r.tentative);
        assert_code(HF_NOT_DONE, hf_set_if_absent(stores[i], s_("local:k"), s_("w"), NULL, NULL));
        assert_ok(hf_compare_and_set(stores[i], s_("local:k"), s_("v"), s_("w"), NULL, NULL));
        assert_code(HF_NOT_DONE, hf_compare_and_delete(stores[i], s_("local:k"), s_("v"), NULL));
        assert_ok(hf_get_and_delete(stores[i], s_("local:k"), &value, NULL));
        assert_string_equal(value.data, "w");
        hf_buf_release(&value);
        assert_code(HF_NOT_FOUND, hf_get_and_delete(stores[i], s_("local:k"), &value, NULL));
        assert_code(HF_NOT_DONE, hf_compare_and_delete(stores[i], s_("local:k"), s_("w"), NULL));
    }
    assert_ok(hf_close(stores[0]));
}

/* ---- answers that are lost ---- */

static bool has_lost_its_link(void *ctx)
{
    struct hf_status status;

    assert_ok(hf_status(ctx, &status));
    return status.link_losses == 1;
}

/* The answer to the next decision with this token is lost after Redis has acted on it. */
static void lose_answer(struct fixture *f, const char *token)
{
    assert_code(HF_NOT_DONE, hf_compare_and_delete(f->a, s_("warm"), s_("up"), NULL)); /* Redis knows the script */
    proxy_swallow_at(f->proxy, token);
}

static void test_decide__a_lost_answer_is_unknown_and_the_copy_is_right_afterwards(void **state)
{
    static const char *const keys[] = {"canary-k", "nolog:canary-k"}; /* with and without a change log to tell */
    struct fixture *f = *state;
    struct hf_buf value = {0};

    through_proxy(f);
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        put(f->a, keys[i], "old");
        lose_answer(f, "canary-1");
        assert_code(HF_EUNKNOWN, hf_compare_and_set(f->a, s_(keys[i]), s_("old"), s_("canary-1"), NULL, NULL));
        assert_redis(f, keys[i], "canary-1");
        assert_copy_becomes(f->a, keys[i], "canary-1");
        assert_true(wait_link(f->a, HF_LINK_ONLINE, BOUND_MS));
        lose_answer(f, keys[i]);
        assert_code(HF_EUNKNOWN, hf_get_and_delete(f->a, s_(keys[i]), &value, NULL));
        assert_redis(f, keys[i], NULL);
        set_redis(f, keys[i], "theirs"); /* what was lost is not done again */
        assert_copy_becomes(f->a, keys[i], "theirs");
        assert_true(wait_link(f->a, HF_LINK_ONLINE, BOUND_MS));
        assert_redis(f, keys[i], "theirs");
    }
}

static void test_decide__what_is_written_after_an_unheard_decision_is_no_conflict_with_it(void **state)
{
    struct fixture *f = *state;
    struct hf_status status;

    through_proxy(f);
    put(f->a, "canary-k", "old");
    lose_answer(f, "canary-3");
    assert_code(HF_EUNKNOWN, hf_compare_and_set(f->a, s_("canary-k"), s_("old"), s_("canary-3"), NULL, NULL));
    stop_redis(f);
    put(f->a, "canary-k", "mine");
    assert_ok(hf_checkpoint(f->a));
    start_redis(f);
    assert_ok(hf_drain(f->a, BOUND_MS));
    assert_redis(f, "canary-k", "mine");
    assert_value(f->a, "canary-k", "mine");
    assert_ok(hf_status(f->a, &status));
    assert_int_equal(status.conflicts, 0);
}

static void test_decide__a_late_request_of_a_dead_connection_decides_nothing(void **state)
{
    struct fixture *f = *state;

    through_proxy(f);
    put(f->a, "k", "old");
    assert_code(HF_NOT_DONE, hf_compare_and_delete(f->a, s_("warm"), s_("up"), NULL));
    proxy_hold_at(f->proxy, "canary-2");
    assert_code(HF_EUNKNOWN, hf_compare_and_set(f->a, s_("k"), s_("old"), s_("canary-2"), NULL, NULL));
    assert_true(wait_until(has_lost_its_link, f->a, BOUND_MS));
    assert_true(wait_link(f->a, HF_LINK_ONLINE, BOUND_MS)); /* another token is in force */
    proxy_release(f->proxy);
    assert_true(proxy_wait_unheard(f->proxy, 1, BOUND_MS)); /* it has been answered */
    assert_redis(f, "k", "old");
    assert_copy_becomes(f->a, "k", "old");
    assert_ok(hf_compare_and_set(f->a, s_("k"), s_("old"), s_("new"), NULL, NULL));
}

/* ---- order ---- */

/* A call on a thread of its own. */
struct caller {
    pthread_t thread;
    struct hf *store;
    char key[24];
    const char *expected, *value; /* expected NULL: a plain write */
    int rc;
};

static void *call(void *arg)
{
    struct caller *c = arg;

    c->rc = c->expected ? hf_compare_and_set(c->store, s_(c->key), s_(c->expected), s_(c->value), NULL, NULL)
                        : hf_set(c->store, s_(c->key), s_(c->value), NULL, NULL);
    return NULL;
}

static void start_call(struct caller *c, struct hf *store, const char *key, const char *expected, const char *value)
{
    *c = (struct caller){.store = store, .expected = expected, .value = value};
    snprintf(c->key, sizeof(c->key), "%s", key);
    assert_int_equal(pthread_create(&c->thread, NULL, call, c), 0);
}

struct lsn_is {
    struct hf *store;
    uint64_t at_least;
};

static bool lsn_reached(void *ctx)
{
    struct lsn_is *is = ctx;

    return last_lsn(is->store) >= is->at_least;
}

static void test_decide__a_write_of_the_key_waits_for_the_answer(void **state)
{
    struct fixture *f = *state;
    struct caller decider, writer;
    struct lsn_is next;

    f->opts.redis_timeout_ms = BOUND_MS;
    through_proxy(f);
    put(f->a, "k", "old");
    assert_code(HF_NOT_DONE, hf_compare_and_delete(f->a, s_("warm"), s_("up"), NULL));
    proxy_hold_at(f->proxy, "canary-4");
    start_call(&decider, f->a, "k", "old", "canary-4");
    assert_true(proxy_wait_held(f->proxy, 1, BOUND_MS));
    next = (struct lsn_is){.store = f->a, .at_least = last_lsn(f->a) + 1};
    start_call(&writer, f->a, "k", NULL, "plain");
    assert_false(wait_until(lsn_reached, &next, 100));
    assert_ok(hf_submit(f->a, &(struct hf_op){.kind = HF_OP_SET, .key = s_("other"), .value = s_("v")},
                        ignore_result, NULL));
    assert_true(lsn_reached(&next)); /* other keys do not */
    proxy_release(f->proxy);
    pthread_join(decider.thread, NULL);
    pthread_join(writer.thread, NULL);
    assert_int_equal(decider.rc, 0);
    assert_int_equal(writer.rc, 0);
    assert_redis(f, "k", "plain");
    stop_redis(f);
    assert_value(f->a, "k", "plain");
}

static void test_decide__a_keys_own_earlier_changes_go_first(void **state)
{
    enum { ROUNDS = 8 };
    struct fixture *f = *state;
    struct caller decider;
    char key[24], marker[24];

    f->opts.redis_timeout_ms = BOUND_MS;
    through_proxy(f);
    assert_code(HF_NOT_DONE, hf_compare_and_delete(f->a, s_("warm"), s_("up"), NULL));
    for (int i = 0; i < ROUNDS; i++) {
        struct hf_op first = {.kind = HF_OP_SET, .key = s_("busy")},
                     second = {.kind = HF_OP_SET, .value = s_("v1")};
        struct lsn_is next;
        snprintf(key, sizeof(key), "o%d", i);
        snprintf(marker, sizeof(marker), "canary-5-%d", i);
        if (i % 2)
            assert_value(f->a, "unheld", NULL); /* one more turn of the link: whose is next differs */
        first.value = s_(marker);
        second.key = s_(key);
        proxy_hold_at(f->proxy, marker);
        assert_ok(hf_submit(f->a, &first, ignore_result, NULL));
        assert_true(proxy_wait_held(f->proxy, 1, BOUND_MS));
        assert_ok(hf_submit(f->a, &second, ignore_result, NULL)); /* waits behind it */
        next = (struct lsn_is){.store = f->a, .at_least = last_lsn(f->a) + 1};
        start_call(&decider, f->a, key, "v1", "v2");
        assert_true(wait_until(lsn_reached, &next, BOUND_MS));
        (void)wait_until(never, NULL, 20); /* its intent is synced, too */
        proxy_release(f->proxy);
        pthread_join(decider.thread, NULL);
        assert_int_equal(decider.rc, 0);
        assert_redis(f, key, "v2");
        assert_value(f->a, key, "v2");
    }
}

/* ---- offline ---- */

static int compare_us(const void *x, const void *y)
{
    int64_t a = *(const int64_t *)x, b = *(const int64_t *)y;

    return (a > b) - (a < b);
}

static int decide_nth(struct hf *store, int n, struct hf_lock *held)
{
    struct hf_lock *lock = NULL;

    switch (n) {
    case 0: return hf_set_if_absent(store, s_("off"), s_("v"), NULL, NULL);
    case 1: return hf_compare_and_set(store, s_("k"), s_("v"), s_("w"), NULL, NULL);
    case 2: return hf_compare_and_delete(store, s_("k"), s_("v"), NULL);
    case 3: return hf_get_and_delete(store, s_("k"), &(struct hf_buf){0}, NULL);
    case 4: return hf_lock_acquire(store, s_("tent:lock"), 1000, 5000, &lock);
    default: return hf_lock_extend(held, 60000);
    }
}

static void test_decide__offline_a_decision_fails_at_once_and_leaves_nothing(void **state)
{
    enum { TRIES = 101 };
    struct fixture *f = *state;
    int64_t took_us[TRIES];
    struct hf_lock *held;
    struct hf_status status;
    uint64_t before;

    put(f->a, "k", "v");
    assert_ok(hf_lock_acquire(f->a, s_("held"), 60000, 0, &held));
    stop_redis(f);
    before = last_lsn(f->a);
    for (int n = 0; n < 6; n++) {
        for (int i = 0; i < TRIES; i++) {
            int64_t start = now_us();
            assert_int_equal(decide_nth(f->a, n, held), HF_EOFFLINE);
            took_us[i] = now_us() - start;
        }
        qsort(took_us, TRIES, sizeof(took_us[0]), compare_us);
        assert_in_range(took_us[TRIES / 2], 0, 1000 * SLOWER);
    }
    assert_int_equal(last_lsn(f->a), before);
    assert_value(f->a, "k", "v");
    assert_value(f->a, "off", NULL);
    assert_code(HF_EOFFLINE, hf_lock_release(held));
    assert_sentence("ends with its TTL");
    assert_ok(hf_status(f->a, &status));
    assert_int_equal(status.pending_keys, 0);
}

static void assert_tentative(struct hf *store, const char *key, const char *value)
{
    struct hf_buf got = {0};
    struct hf_result r;

    if (value) {
        assert_ok(hf_get(store, s_(key), &got, &r));
        assert_string_equal(got.data, value);
    } else {
        assert_code(HF_NOT_FOUND, hf_get(store, s_(key), &got, &r));
    }
    hf_buf_release(&got);
    assert_true(r.pending && r.tentative);
}

static void test_decide__a_tentative_namespace_decides_by_what_is_held_here_and_says_so(void **state)
{
    struct fixture *f = *state;
    struct hf_buf value = {0};
    struct hf_result r;

    put(f->a, "tent:k", "v");
    put(f->a, "tent:t", "ticket");
    stop_redis(f);
    assert_ok(hf_set_if_absent(f->a, s_("tent:n"), s_("1"), NULL, &r));
    assert_true(r.tentative && r.pending && r.durable && !r.shared);
    assert_code(HF_NOT_DONE, hf_set_if_absent(f->a, s_("tent:n"), s_("2"), NULL, NULL));
    assert_code(HF_NOT_DONE, hf_set_if_absent(f->a, s_("tent:k"), s_("2"), NULL, NULL));
    assert_ok(hf_compare_and_set(f->a, s_("tent:k"), s_("v"), s_("w"), NULL, &r));
    assert_true(r.tentative);
    assert_ok(hf_get_and_delete(f->a, s_("tent:t"), &value, &r));
    assert_string_equal(value.data, "ticket");
    hf_buf_release(&value);
    assert_code(HF_NOT_FOUND, hf_get_and_delete(f->a, s_("tent:t"), &value, &r));
    assert_tentative(f->a, "tent:n", "1");
    assert_tentative(f->a, "tent:k", "w");
    assert_tentative(f->a, "tent:t", NULL);
    /* A new life keeps what was decided; a plain write takes its place. */
    assert_ok(hf_expire(f->a, s_("tent:n"), 60000, NULL));
    assert_tentative(f->a, "tent:n", "1");
    assert_ok(hf_set(f->a, s_("tent:k"), s_("plain"), NULL, NULL));
    assert_ok(hf_exists(f->a, s_("tent:k"), &r));
    assert_true(r.pending && !r.tentative);
    start_redis(f);
    assert_ok(hf_drain(f->a, BOUND_MS));
    assert_redis(f, "tent:n", "1");
    assert_redis(f, "tent:k", "plain");
    assert_redis(f, "tent:t", NULL);
}

static void test_decide__what_was_decided_tentatively_says_so_over_checkpoints_and_restarts(void **state)
{
    struct fixture *f = *state;
    struct hf_buf value = {0};
    struct hf_result r;

    put(f->a, "tent:t", "ticket");
    stop_redis(f);
    assert_ok(hf_set_if_absent(f->a, s_("tent:n"), s_("1"), NULL, NULL));
    assert_ok(hf_get_and_delete(f->a, s_("tent:t"), &value, NULL));
    hf_buf_release(&value);
    for (int i = 0; i < 2; i++) {
        assert_ok(hf_checkpoint(f->a));
        assert_tentative(f->a, "tent:n", "1"); /* now the row says so */
        assert_tentative(f->a, "tent:t", NULL);
        assert_ok(hf_expire(f->a, s_("tent:n"), 60000, NULL)); /* and a new life changes nothing of it */
        close_store(f, 0);
        open_store(f, 0, f->redis.address);
        assert_tentative(f->a, "tent:n", "1");
    }
    assert_ok(hf_set(f->a, s_("tent:n"), s_("plain"), NULL, NULL));
    assert_ok(hf_checkpoint(f->a));
    assert_ok(hf_exists(f->a, s_("tent:n"), &r));
    assert_true(r.pending && !r.tentative);
}

static void test_decide__what_redis_does_not_confirm_is_overturned(void **state)
{
    struct fixture *f = *state;
    struct hf_buf value = {0};

    put(f->a, "tent:k", "v");
    put(f->a, "tent:t", "ticket");
    stop_redis(f);
    assert_ok(hf_set_if_absent(f->a, s_("tent:n"), s_("1"), NULL, NULL));
    assert_ok(hf_compare_and_set(f->a, s_("tent:k"), s_("v"), s_("w"), NULL, NULL));
    assert_ok(hf_get_and_delete(f->a, s_("tent:t"), &value, NULL));
    hf_buf_release(&value);
    assert_ok(hf_set_if_absent(f->a, s_("tent:holds"), s_("1"), NULL, NULL));
    close_store(f, 0);
    assert_int_equal(redis_server_restart(&f->redis), 0);
    set_redis(f, "tent:n", "theirs");
    set_redis(f, "tent:k", "theirs");
    set_redis(f, "tent:t", "another ticket");
    open_online(f, 0, f->redis.address);
    assert_ok(hf_drain(f->a, BOUND_MS));
    assert_redis(f, "tent:n", "theirs");
    assert_redis(f, "tent:k", "theirs");
    assert_redis(f, "tent:t", "another ticket");
    assert_redis(f, "tent:holds", "1");
    assert_value(f->a, "tent:n", "theirs");
    assert_value(f->a, "tent:k", "theirs");
    assert_value(f->a, "tent:t", "another ticket");
}

static void test_decide__tentative_cannot_stand_in_a_lane(void **state)
{
    struct fixture *f = *state;
    int64_t n;

    stop_redis(f);
    assert_ok(hf_incr(f->a, s_("tent:n"), 1, &n, NULL));
    assert_code(HF_EOFFLINE, hf_compare_and_set(f->a, s_("tent:n"), s_("1"), s_("5"), NULL, NULL));
    assert_sentence("increments or batches");
}

/* ---- kill -9 ---- */

/* A process that has been forked before there were threads, and runs when it is told to. */
struct child {
    pid_t pid;
    int go, told;
};

static void child_tell(int fd, char what)
{
    if (write(fd, &what, 1) != 1)
        _exit(9);
}

static struct child child_fork(struct fixture *f, void (*run)(struct fixture *f, int go, int told))
{
    int go[2], told[2];
    struct child child;

    assert_int_equal(pipe(go), 0);
    assert_int_equal(pipe(told), 0);
    child.pid = fork();
    assert_true(child.pid >= 0);
    if (child.pid == 0) {
        char c;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(go[1]);
        if (read(go[0], &c, 1) != 1)
            _exit(0);
        run(f, go[0], told[1]);
        _exit(0);
    }
    close(go[0]);
    close(told[1]);
    child.go = go[1];
    child.told = told[0];
    return child;
}

static char child_hear(struct child *child)
{
    char c = 0;

    assert_int_equal(read(child->told, &c, 1), 1);
    return c;
}

static void child_kill(struct child *child)
{
    int status;

    assert_int_equal(kill(child->pid, SIGKILL), 0);
    assert_int_equal(waitpid(child->pid, &status, 0), child->pid);
    close(child->go);
    close(child->told);
}

static struct hf *child_open(struct fixture *f, const char *address)
{
    struct hf *store;

    f->opts.redis = address;
    if (hf_open(f->dirs[0], &f->opts, &store) != 0 || !wait_link(store, HF_LINK_ONLINE, BOUND_MS))
        _exit(2);
    return store;
}

static void decide_tentatively(struct fixture *f, int go, int told)
{
    struct hf *store = child_open(f, f->redis.address);

    (void)go;
    if (hf_set(store, s_("tent:k"), s_("v"), NULL, NULL) != 0)
        _exit(3);
    child_tell(told, 'o');
    if (!wait_link(store, HF_LINK_OFFLINE, BOUND_MS) ||
        hf_compare_and_set(store, s_("tent:k"), s_("v"), s_("w"), NULL, NULL) != 0 ||
        hf_set_if_absent(store, s_("tent:n"), s_("1"), NULL, NULL) != 0)
        _exit(4);
    child_tell(told, 'd');
    pause();
}

static void test_decide__what_was_decided_tentatively_says_so_after_kill_9(void **state)
{
    struct fixture *f = *state;
    struct child child;

    f->opts.checkpoint_interval_ms = 60000; /* the journal alone must tell */
    child = child_fork(f, decide_tentatively);
    child_tell(child.go, 'g');
    assert_int_equal(child_hear(&child), 'o');
    redis_server_kill(&f->redis);
    assert_int_equal(child_hear(&child), 'd');
    child_kill(&child);
    open_store(f, 0, f->redis.address);
    assert_tentative(f->a, "tent:k", "w");
    assert_tentative(f->a, "tent:n", "1");
    start_redis(f);
    assert_ok(hf_drain(f->a, BOUND_MS));
    assert_redis(f, "tent:k", "w");
}

static void decide_without_answer(struct fixture *f, int go, int told)
{
    struct hf *store = child_open(f, f->proxy_address);
    struct hf_buf value = {0};
    char c;

    if (hf_set(store, s_("swap"), s_("old"), NULL, NULL) != 0 ||
        hf_set(store, s_("mine:swap"), s_("old"), NULL, NULL) != 0 ||
        hf_set(store, s_("take"), s_("old"), NULL, NULL) != 0 ||
        hf_compare_and_delete(store, s_("warm"), s_("up"), NULL) != HF_NOT_DONE)
        _exit(3);
    child_tell(told, 'r');
    if (read(go, &c, 1) != 1)
        _exit(4);
    if (strstr(f->undecided, "swap"))
        (void)hf_compare_and_set(store, s_(f->undecided), s_("old"), s_("new"), NULL, NULL);
    else if (strcmp(f->undecided, "take") == 0)
        (void)hf_get_and_delete(store, s_("take"), &value, NULL);
    else
        (void)hf_set_if_absent(store, s_("make"), s_("new"), NULL, NULL);
    _exit(8);
}

static bool is_checkpointed(void *ctx)
{
    struct fixture *f = ctx;
    struct hf_options look = {.read_only = true, .max_disk_bytes = f->opts.max_disk_bytes};
    struct hf_status status;
    struct hf *reader;

    assert_ok(hf_open(f->dirs[0], &look, &reader));
    assert_ok(hf_status(reader, &status));
    assert_ok(hf_close(reader));
    return status.checkpoint_lsn >= status.last_lsn;
}

/* Kill the process after Redis has decided and before it can know; `covered`: after a checkpoint took the intent. */
static void kill_undecided(struct fixture *f, struct child *child, bool covered)
{
    assert_int_equal(child_hear(child), 'r');
    proxy_swallow_at(f->proxy, f->undecided);
    child_tell(child->go, 'g');
    assert_true(proxy_wait_unheard(f->proxy, 1, BOUND_MS));
    if (covered)
        assert_true(wait_until(is_checkpointed, f, BOUND_MS));
    child_kill(child);
}

static void check_undecided(struct fixture *f, const char *before, const char *after)
{
    f->opts.redis = NULL; /* nobody but the store itself answers */
    assert_ok(hf_open(f->dirs[0], &f->opts, &f->a));
    assert_value(f->a, f->undecided, before);
    assert_ok(hf_close(f->a));
    assert_redis(f, f->undecided, after);
    open_online(f, 0, f->redis.address);
    assert_ok(hf_drain(f->a, BOUND_MS));
    assert_copy_becomes(f->a, f->undecided, after);
    stop_redis(f);
    assert_value(f->a, f->undecided, after);
}

static void die_undecided(struct fixture *f, const char *key, bool covered, const char *before, const char *after)
{
    struct child child;

    f->undecided = key;
    f->opts.redis_timeout_ms = BOUND_MS; /* it must not give up before it is killed */
    f->opts.redis_heartbeat_ms = BOUND_MS;
    f->opts.checkpoint_interval_ms = covered ? 20 : 60000;
    child = child_fork(f, decide_without_answer);
    f->proxy = proxy_start(f->proxy_path, f->redis.socket);
    assert_non_null(f->proxy);
    child_tell(child.go, 'g');
    kill_undecided(f, &child, covered);
    f->opts.redis_timeout_ms = 400;
    check_undecided(f, before, after);
}

static void test_decide__kill_9_before_the_outcome_shows_nothing_and_is_made_good(void **state)
{
    die_undecided(*state, "swap", false, "old", "new");
}

static void test_decide__kill_9_before_the_outcome_is_made_good_when_the_journal_has_forgotten(void **state)
{
    die_undecided(*state, "swap", true, "old", "new");
}

/* No log names it, and no copies are compared: only the intent is left to tell of it. */
static void test_decide__kill_9_before_the_outcome_is_made_good_by_the_intent_alone(void **state)
{
    die_undecided(*state, "mine:swap", false, "old", "new");
}

static void test_decide__kill_9_before_a_taken_value_was_seen_takes_the_copy_away(void **state)
{
    die_undecided(*state, "take", true, "old", NULL);
}

static void test_decide__kill_9_before_the_outcome_makes_no_value_visible(void **state)
{
    die_undecided(*state, "make", false, NULL, "new");
}

/* ---- locks ---- */

static struct hf_lock_info info_of(const struct hf_lock *lock)
{
    struct hf_lock_info info;

    hf_lock_info(lock, &info);
    return info;
}

static void test_locks__a_lock_has_one_holder_who_alone_extends_and_releases_it(void **state)
{
    struct fixture *f = *state;
    struct hf_lock *lock, *other;
    struct hf_lock_info info;
    char token[33];

    assert_ok(hf_lock_acquire(f->a, s_("lock"), 30000, 0, &lock));
    info = info_of(lock);
    assert_int_equal(strlen(info.token), 32);
    assert_int_equal(strspn(info.token, "0123456789abcdef"), 32);
    assert_redis(f, "lock", info.token);
    assert_in_range(redis_server_number(&f->redis, "PTTL lock"), 25000, 30000);
    assert_code(HF_NOT_DONE, hf_lock_acquire(f->b, s_("lock"), 30000, 0, &other));
    assert_code(HF_NOT_DONE, hf_lock_acquire(f->a, s_("lock"), 30000, 0, &other));
    assert_redis(f, "lock", info.token);
    assert_ok(hf_lock_extend(lock, 90000));
    assert_in_range(redis_server_number(&f->redis, "PTTL lock"), 85000, 90000);
    assert_in_range(info_of(lock).safe_ms, 80000, 90000 - 900 - HF_LOCK_ALLOWANCE_MS);
    memcpy(token, info.token, sizeof(token));
    set_redis(f, "lock", "foreign"); /* somebody else's now */
    assert_false(info_of(lock).lost);
    assert_code(HF_NOT_DONE, hf_lock_extend(lock, 90000));
    assert_true(info_of(lock).lost);
    assert_int_equal(info_of(lock).safe_ms, 0);
    assert_code(HF_NOT_DONE, hf_lock_release(lock));
    assert_redis(f, "lock", "foreign");
    assert_int_equal(redis_server_number(&f->redis, "DEL lock"), 1);
    assert_ok(hf_lock_acquire(f->b, s_("lock"), 30000, 0, &other));
    assert_string_not_equal(info_of(other).token, token);
    assert_ok(hf_lock_release(other));
    assert_redis(f, "lock", NULL);
}

static uint64_t fence_of_next(struct hf *store, const char *key)
{
    struct hf_lock *lock;
    uint64_t fence;

    assert_ok(hf_lock_acquire(store, s_(key), 30000, 0, &lock));
    fence = info_of(lock).fence;
    assert_ok(hf_lock_release(lock));
    return fence;
}

static void test_locks__fencing_numbers_rise_whatever_redis_loses(void **state)
{
    struct fixture *f = *state;
    uint64_t last = 0;

    for (int i = 0; i < 12; i++) {
        uint64_t fence = fence_of_next(f->stores[i % N_STORES], i % 3 ? "lock" : "another");
        assert_true(fence > last);
        last = fence;
        if (i == 4) {
            redis_server_text(&f->redis, (char[64]){0}, 64, "FLUSHALL");
            for (int k = 0; k < N_STORES; k++) { /* each has lost its session: it connects again */
                struct hf_lock *lock;
                while (hf_lock_acquire(f->stores[k], s_("after"), 1, 0, &lock) != 0)
                    assert_true(wait_link(f->stores[k], HF_LINK_ONLINE, BOUND_MS));
                (void)hf_lock_release(lock);
            }
        } else if (i == 8) {
            stop_redis(f);
            start_redis(f);
        }
    }
}

static void test_locks__without_a_shared_tier_numbers_rise_over_restarts(void **state)
{
    struct fixture *f = *state;
    struct hf_options alone = f->opts;
    uint64_t last = 0;
    char dir[96];

    snprintf(dir, sizeof(dir), "%s-alone", f->scratch.store);
    alone.redis = NULL;
    for (int i = 0; i < 4; i++) {
        struct hf_lock *lock, *other;
        struct hf *store;
        assert_ok(hf_open(dir, &alone, &store));
        assert_ok(hf_lock_acquire(store, s_("lock"), 300, 0, &lock));
        assert_code(HF_NOT_DONE, hf_lock_acquire(store, s_("lock"), 300, 0, &other));
        assert_true(info_of(lock).fence > last);
        assert_ok(hf_lock_acquire(store, s_("lock"), 60000, BOUND_MS, &other)); /* when the first has died */
        assert_true(info_of(other).fence > info_of(lock).fence);
        last = info_of(other).fence;
        assert_code(HF_NOT_DONE, hf_lock_extend(lock, 1000));
        assert_true(info_of(lock).lost);
        assert_code(HF_NOT_DONE, hf_lock_release(lock));
        assert_ok(hf_lock_extend(other, 60000));
        assert_ok(hf_lock_release(other));
        assert_ok(hf_close(store));
    }
}

/* What Redis gives the lock is asked before what is safe: the latter must be less, by what is given away. */
static int64_t safe_within(struct fixture *f, const struct hf_lock *lock, int64_t given_away_ms)
{
    long long there_ms = redis_server_number(&f->redis, "PTTL lock");
    int64_t safe_ms = info_of(lock).safe_ms;

    if (safe_ms > 0)
        assert_true(safe_ms <= there_ms + 1 - given_away_ms); /* PTTL rounds */
    return safe_ms;
}

static void test_locks__what_is_safe_falls_and_ends_before_redis_lets_go(void **state)
{
    struct fixture *f = *state;
    struct hf_lock *lock;
    int64_t last, now;

    assert_ok(hf_lock_acquire(f->a, s_("lock"), 200000, 0, &lock));
    assert_in_range(safe_within(f, lock, 2000 + HF_LOCK_ALLOWANCE_MS), 150000, 198000);
    assert_ok(hf_lock_extend(lock, 1000));
    last = safe_within(f, lock, 10 + HF_LOCK_ALLOWANCE_MS);
    for (int64_t start = now_us(); last > 0; last = now) {
        now = safe_within(f, lock, 10 + HF_LOCK_ALLOWANCE_MS);
        assert_true(now <= last);
        assert_in_range(now_us() - start, 0, 1000000 * SLOWER);
    }
    assert_false(info_of(lock).lost); /* nobody has said so */
    (void)hf_lock_release(lock);
}

struct holder {
    pthread_t thread;
    struct hf_lock *lock;
    const struct redis_server *redis;
    long long scripts; /* that Redis had run when the other began to ask */
    bool was_asked;
    int64_t released_us;
};

static long long scripts_run(const struct redis_server *redis)
{
    return redis_server_number(
        redis, "EVAL %s 0",
        "return tonumber(string.match(redis.call('INFO', 'commandstats'), 'cmdstat_evalsha:calls=(%d+)'))");
}

static bool is_asked_again(void *ctx)
{
    const struct holder *h = ctx;

    return scripts_run(h->redis) >= h->scripts + 2;
}

/* When the other has asked for it in vain, and waits. */
static void *release_to_who_waits(void *arg)
{
    struct holder *h = arg;

    h->was_asked = wait_until(is_asked_again, h, BOUND_MS);
    h->released_us = now_us();
    (void)hf_lock_release(h->lock);
    return NULL;
}

static void test_locks__a_wait_ends_when_the_holder_lets_go_and_at_its_deadline(void **state)
{
    struct fixture *f = *state;
    struct holder holder = {.redis = &f->redis};
    struct hf_lock *lock;
    int64_t start;

    assert_ok(hf_lock_acquire(f->a, s_("lock"), 60000, 0, &holder.lock));
    start = now_us();
    assert_code(HF_NOT_DONE, hf_lock_acquire(f->b, s_("lock"), 60000, 120, &lock));
    assert_in_range(now_us() - start, 120000, 120000 + 400000 * SLOWER);
    holder.scripts = scripts_run(&f->redis);
    assert_int_equal(pthread_create(&holder.thread, NULL, release_to_who_waits, &holder), 0);
    assert_ok(hf_lock_acquire(f->b, s_("lock"), 60000, BOUND_MS, &lock));
    pthread_join(holder.thread, NULL);
    assert_true(holder.was_asked);
    assert_in_range(now_us() - holder.released_us, 0, 400000 * SLOWER);
    assert_ok(hf_lock_extend(lock, 80)); /* and when it dies, well before the next long pause */
    start = now_us();
    assert_ok(hf_lock_acquire(f->a, s_("lock"), 60000, BOUND_MS, &holder.lock));
    assert_in_range(now_us() - start, 0, 500000 * SLOWER);
    assert_ok(hf_lock_release(holder.lock));
    assert_code(HF_NOT_DONE, hf_lock_release(lock));
}

struct taker {
    pthread_t thread;
    struct hf *store;
    struct hf_lock *lock;
    int rc;
};

static void *take_lock(void *arg)
{
    struct taker *t = arg;

    t->rc = hf_lock_acquire(t->store, s_("canary-lock"), 60000, BOUND_MS, &t->lock);
    return NULL;
}

static void test_locks__a_lost_answer_is_asked_for_again_and_gives_the_same_number(void **state)
{
    struct fixture *f = *state;
    struct hf_lock *lock;
    struct taker taker;
    char counter[64], holder[96], expected[96];

    through_proxy(f);
    taker = (struct taker){.store = f->a};
    assert_ok(hf_lock_acquire(f->a, s_("warm"), 1000, 0, &lock));
    assert_ok(hf_lock_release(lock));
    proxy_swallow_at(f->proxy, "canary-lock");
    assert_int_equal(pthread_create(&taker.thread, NULL, take_lock, &taker), 0);
    assert_true(proxy_wait_unheard(f->proxy, 1, BOUND_MS));
    redis_server_text(&f->redis, counter, sizeof(counter), "GET _hf::fence"); /* as drawn, and not heard */
    pthread_join(taker.thread, NULL);
    assert_int_equal(taker.rc, 0);
    assert_int_equal(strtoull(counter, NULL, 10), info_of(taker.lock).fence);
    redis_server_text(&f->redis, holder, sizeof(holder), "GET _hf::fence:canary-lock");
    snprintf(expected, sizeof(expected), "%s %s", counter, info_of(taker.lock).token);
    assert_string_equal(holder, expected);
    assert_in_range(redis_server_number(&f->redis, "PTTL _hf::fence:canary-lock"), 1, 60000);
    assert_true(info_of(taker.lock).safe_ms > 0);
    assert_ok(hf_lock_release(taker.lock));
}

static void test_locks__a_lost_answer_and_no_time_to_ask_again_is_unknown(void **state)
{
    struct fixture *f = *state;
    struct hf_lock *lock;

    through_proxy(f);
    assert_ok(hf_lock_acquire(f->a, s_("warm"), 1000, 0, &lock));
    assert_ok(hf_lock_release(lock));
    proxy_swallow_at(f->proxy, "canary-lock");
    assert_code(HF_EUNKNOWN, hf_lock_acquire(f->a, s_("canary-lock"), 60000, 0, &lock));
    assert_int_equal(redis_server_number(&f->redis, "EXISTS canary-lock"), 1); /* until its TTL ends */
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(test_##name, set_up, tear_down)
#define T_CLOSED(name) cmocka_unit_test_setup_teardown(test_##name, set_up_closed, tear_down)
    const struct CMUnitTest tests[] = {
        T(decide__of_all_threads_on_two_stores_one_sets_what_was_absent),
        T(decide__compare_and_set_loses_no_step_of_a_counter),
        T(decide__a_ticket_is_handed_out_once),
        T(decide__plain_writes_and_decisions_on_a_key_keep_both_tiers_alike),
        T(decide__who_loses_sees_the_value_untouched),
        T(decide__lives_are_given_kept_and_taken_away),
        T(decide__a_key_of_another_type_is_an_error_and_stays),
        T(decide__a_decision_is_named_in_the_change_log),
        T(decide__the_documented_rights_suffice_and_without_scripts_only_decisions_fail),
        T(decide__out_of_memory_redis_decides_nothing_but_what_frees),
        T(decide__without_a_shared_tier_the_store_decides_for_good),
        T(decide__a_lost_answer_is_unknown_and_the_copy_is_right_afterwards),
        T(decide__what_is_written_after_an_unheard_decision_is_no_conflict_with_it),
        T(decide__a_late_request_of_a_dead_connection_decides_nothing),
        T(decide__a_write_of_the_key_waits_for_the_answer),
        T(decide__a_keys_own_earlier_changes_go_first),
        T(decide__offline_a_decision_fails_at_once_and_leaves_nothing),
        T(decide__a_tentative_namespace_decides_by_what_is_held_here_and_says_so),
        T(decide__what_was_decided_tentatively_says_so_over_checkpoints_and_restarts),
        T(decide__what_redis_does_not_confirm_is_overturned),
        T(decide__tentative_cannot_stand_in_a_lane),
        T_CLOSED(decide__what_was_decided_tentatively_says_so_after_kill_9),
        T_CLOSED(decide__kill_9_before_the_outcome_shows_nothing_and_is_made_good),
        T_CLOSED(decide__kill_9_before_the_outcome_is_made_good_when_the_journal_has_forgotten),
        T_CLOSED(decide__kill_9_before_the_outcome_is_made_good_by_the_intent_alone),
        T_CLOSED(decide__kill_9_before_a_taken_value_was_seen_takes_the_copy_away),
        T_CLOSED(decide__kill_9_before_the_outcome_makes_no_value_visible),
        T(locks__a_lock_has_one_holder_who_alone_extends_and_releases_it),
        T(locks__fencing_numbers_rise_whatever_redis_loses),
        T(locks__without_a_shared_tier_numbers_rise_over_restarts),
        T(locks__what_is_safe_falls_and_ends_before_redis_lets_go),
        T(locks__a_wait_ends_when_the_holder_lets_go_and_at_its_deadline),
        T(locks__a_lost_answer_is_asked_for_again_and_gives_the_same_number),
        T(locks__a_lost_answer_and_no_time_to_ask_again_is_unknown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
