/* EXEC while Redis is online: what of it runs here and what is passed on, the same replies either way, and each increment exactly
 * once, whatever answers are lost. `other` is a redis-server to compare with, which no sidecar stands in front of. */
#include "proxy.h"
#include "redis_server.h"
#include "sidecar_process.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define BOUND_MS 10000
#define EXCHANGES 8 /* from the first request of a transaction on, whose answers are lost one by one */
#define ROUNDS 3
#define DRAWS 100 /* of each of two sidecars */

struct fixture {
    struct scratch scratch;
    struct redis_server redis, other;
    struct proxy *proxy;
    char path[96], address[112];
    struct sidecar_process sidecar;
    struct talk talk, direct;
    struct talk second; /* another client, for which something was passed on */
    struct talk behind; /* straight to the Redis behind the sidecar */
    long n_connections; /* to that, when no third client has one of its own */
};

/* ---- fixture ---- */

/* With patience, for a machine that is busy. */
static const char config[] =
    "{\"redis\":{\"timeout\":\"15s\"},\"namespaces\":[{\"prefix\":\"behind:\",\"write_mode\":\"behind\"},"
    "{\"prefix\":\"mine:\",\"write_mode\":\"local\"}]}";

static long connections(struct fixture *f)
{
    const char *line = strstr(talk_ask(&f->behind, "INFO clients"), "connected_clients:");

    assert_non_null(line);
    return strtol(line + strlen("connected_clients:"), NULL, 10);
}

static bool nobody_is_connected(void *ctx)
{
    struct fixture *f = ctx;

    return connections(f) == f->n_connections;
}

/* What is passed on makes the link hear what Redis had to say before: no copy is older than this. */
static void catch_up(struct fixture *f)
{
    assert_string_equal(talk_ask(&f->second, "HLEN nothing"), ":0|");
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    *state = f;
    scratch_make(&f->scratch);
    assert_int_equal(redis_server_start(&f->redis, NULL), 0);
    assert_int_equal(redis_server_start(&f->other, NULL), 0);
    snprintf(f->path, sizeof(f->path), "%s/proxy.sock", f->scratch.dir);
    snprintf(f->address, sizeof(f->address), "unix://%s", f->path);
    f->proxy = proxy_start(f->path, f->redis.socket);
    assert_non_null(f->proxy);
    sidecar_start(&f->sidecar, f->scratch.dir, f->address, config);
    talk_open(&f->talk, f->sidecar.socket);
    talk_open(&f->second, f->sidecar.socket);
    talk_open(&f->direct, f->other.socket);
    talk_open(&f->behind, f->redis.socket);
    assert_true(wait_until(talk_is_online, &f->talk, BOUND_MS));
    catch_up(f);
    f->n_connections = connections(f);
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    talk_close(&f->talk);
    talk_close(&f->second);
    talk_close(&f->direct);
    talk_close(&f->behind);
    sidecar_stop(&f->sidecar);
    proxy_stop(f->proxy);
    redis_server_stop(&f->redis);
    redis_server_stop(&f->other);
    scratch_remove(&f->scratch);
    free(f);
    return 0;
}

/* ---- vocabulary ---- */

/* Another program's command, on both servers. */
static void another(struct fixture *f, const char *words)
{
    (void)talk_ask(&f->behind, words);
    (void)talk_ask(&f->direct, words);
}

/* Commands with ';' between them, as a transaction. The reply to EXEC. */
static const char *exec(struct talk *talk, const char *commands)
{
    char copy[256], *rest = copy, *command;

    snprintf(copy, sizeof(copy), "%s", commands);
    talk_expect(talk, "MULTI", "+OK|");
    while ((command = strsep(&rest, ";")))
        talk_expect(talk, command, "+QUEUED|");
    return talk_ask(talk, "EXEC");
}

/* ---- where it runs ---- */

#define TRIES 5

struct where {
    const char *commands;
    bool here;
};

/* Another program has written all of the keys. "held" was read here before, "unread" and "fresh" never were. */
static const struct where transactions[] = {
    {"INCR n", true},
    {"INCR n;EXPIRE n 100", true},
    {"INCR new;PEXPIRE new 100000;PERSIST new", true},
    {"DECRBY n 5;SET x 1;DEL x none", true},
    {"SET n 5;INCR n;INCR n;GET n;TTL n", true},
    {"DEL n;INCR n;INCR n;EXISTS n", true},
    {"DEL fresh;INCR fresh;GET fresh;TTL fresh", true},
    {"SET x 1 EX 100;EXPIRETIME none", false},
    {"EXPIRE k 100;INCR n", true},
    {"PERSIST k;DEL k n none", true},
    {"SET k x KEEPTTL;INCR n", true},
    {"INCR hash;SET x 1", true},
    {"INCR k;SET x 1", true},
    {"INCR held;EXPIRE held 100", true},
    {"GET held;STRLEN held", true},
    {"SET x 1;GET x;STRLEN x", true},
    {"EXPIRE hash 100;INCR n", false},
    {"INCR n;INCR k", true},
    {"INCR n;INCR held", false},
    {"INCR n;INCR n", false},
    {"INCR n;SET x 5;INCR x", false},
    {"SET x 5;INCR x;INCR n", true},
    {"INCR n;GET n", false},
    {"INCR n;PTTL none", false},
    {"INCR n;SET behind:x 1", false},
    {"GET unread;STRLEN n", false},
    {"GET held;DEL held", false},
    {"SET held 1;STRLEN k", false},
    {"GETEX held;DEL held", false},
    {"SET x 1 NX;INCR n", false},
    {"APPEND n 1;INCR n", false},
    {"GETDEL held", false},
    {"RENAME k x", false},
    {"INCR n;HSET other f v", false},
};

static void assert_same(struct fixture *f, const struct where *where)
{
    char expected[512];
    const char *reply;

    another(f, "DEL n k held hash x new none other");
    another(f, "SET n 41 EX 500");
    another(f, "SET k text EX 500");
    another(f, "SET held 7");
    another(f, "SET unread 7");
    another(f, "SET fresh 7");
    another(f, "HSET hash f v");
    catch_up(f);
    talk_expect(&f->talk, "GET held", "$1|7|");
    snprintf(expected, sizeof(expected), "%s", exec(&f->direct, where->commands));
    reply = exec(&f->talk, where->commands);
    if (strcmp(reply, expected) != 0)
        fail_msg("%s: the reply is %s, expected %s", where->commands, reply, expected);
}

static bool runs_here(struct fixture *f, const struct where *where)
{
    bool here;

    talk_open(&f->talk, f->sidecar.socket);
    assert_same(f, where);
    here = connections(f) == f->n_connections;
    talk_close(&f->talk);
    assert_true(wait_until(nobody_is_connected, f, BOUND_MS));
    return here;
}

/* Redis runs what reads a copy that is still being fetched once more, after what another has told of it: then it is tried again. */
static void assert_where(struct fixture *f, const struct where *where)
{
    bool here = runs_here(f, where);

    for (int i = 0; i < TRIES && where->here && !here; i++)
        here = runs_here(f, where);
    if (here != where->here)
        fail_msg("%s: it ran %s", where->commands, here ? "here" : "in Redis");
}

static void test_transactions__what_depends_on_no_answer_of_redis_runs_here_with_the_same_replies(void **state)
{
    struct fixture *f = *state;

    talk_close(&f->talk);
    for (size_t i = 0; i < sizeof(transactions) / sizeof(transactions[0]); i++)
        assert_where(f, &transactions[i]);
    talk_open(&f->talk, f->sidecar.socket);
}

static void test_transactions__an_increment_replies_what_redis_has_counted(void **state)
{
    struct fixture *f = *state;
    char expected[32];

    for (int i = 1; i <= 50; i++) {
        another(f, "INCRBY n 10");
        snprintf(expected, sizeof(expected), "*3|+OK|:%d|:1|", 11 * i);
        assert_string_equal(exec(&f->talk, "SET x 1;INCR n;EXPIRE n 100"), expected);
    }
    assert_int_equal(redis_server_number(&f->redis, "TTL n"), 100);
}

/* What another program adds after the key was asked for counts, too. */
static void test_transactions__an_increment_replies_what_was_added_since_it_was_asked_for(void **state)
{
    struct hf_slice multi[] = {s_("MULTI")}, incr[] = {s_("INCR"), s_("n")}, run[] = {s_("EXEC")}, reply;
    struct fixture *f = *state;

    another(f, "SET n 41");
    proxy_hold_at(f->proxy, "_hf::mark:"); /* which increments move, and nothing else */
    talk_send(&f->talk, 1, multi);
    talk_send(&f->talk, 2, incr);
    talk_send(&f->talk, 1, run);
    for (int i = 0; i < 2; i++)
        (void)talk_reply(&f->talk);
    assert_true(proxy_wait_held(f->proxy, 1, BOUND_MS));
    another(f, "INCRBY n 10");
    proxy_release(f->proxy);
    reply = talk_reply(&f->talk);
    assert_memory_equal(reply.data, "*1\r\n:52\r\n", reply.len);
}

static void note_sum(struct talk *talk, bool *given)
{
    struct hf_slice reply = talk_reply(talk);
    long sum = strtol((const char *)reply.data + strlen("*2\r\n:"), NULL, 10);

    assert_in_range(sum, 1, 2 * DRAWS);
    assert_false(given[sum]);
    given[sum] = true;
}

/* As tickets are drawn from a counter: none twice. */
static void test_transactions__two_sidecars_never_tell_the_same_sum(void **state)
{
    struct hf_slice multi[] = {s_("MULTI")}, incr[] = {s_("INCR"), s_("n")}, run[] = {s_("EXEC")};
    struct hf_slice expire[] = {s_("EXPIRE"), s_("n"), s_("100")};
    struct fixture *f = *state;
    struct sidecar_process sidecar;
    bool given[2 * DRAWS + 1] = {false};
    struct talk talks[2] = {f->talk};
    char dir[80];

    snprintf(dir, sizeof(dir), "%s/second", f->scratch.dir);
    assert_int_equal(mkdir(dir, 0700), 0);
    sidecar_start(&sidecar, dir, f->redis.address, config);
    talk_open(&talks[1], sidecar.socket);
    f->talk = talks[1];
    assert_true(wait_until(talk_is_online, &f->talk, BOUND_MS));
    talks[1] = f->talk;
    for (int i = 0; i < DRAWS; i++) {
        for (int k = 0; k < 2; k++) {
            talk_send(&talks[k], 1, multi);
            talk_send(&talks[k], 2, incr);
            talk_send(&talks[k], 3, expire);
            talk_send(&talks[k], 1, run);
        }
        for (int k = 0; k < 2; k++) {
            for (int q = 0; q < 3; q++)
                (void)talk_reply(&talks[k]);
            note_sum(&talks[k], given);
        }
    }
    f->talk = talks[0];
    talk_close(&talks[1]);
    sidecar_stop(&sidecar);
}

/* ---- lost answers, and none ---- */

static void test_transactions__an_increment_whose_answer_is_lost_is_counted_once(void **state)
{
    struct fixture *f = *state;
    char expected[32];
    int count = 0;

    for (size_t n = 1; n <= EXCHANGES; n++) {
        assert_true(wait_until(talk_is_online, &f->talk, BOUND_MS));
        proxy_drop_answer_of(f->proxy, n);
        for (int i = 0; i < ROUNDS; i++) {
            snprintf(expected, sizeof(expected), "*2|:%d|:1|", ++count);
            assert_string_equal(exec(&f->talk, "INCR n;EXPIRE n 100"), expected);
        }
        assert_true(wait_until(talk_is_online, &f->talk, BOUND_MS));
        assert_string_equal(talk_ask(&f->talk, "HOLDFAST WAIT 10000"), ":1|");
        assert_int_equal(redis_server_number(&f->redis, "INCRBY n 0"), count);
    }
}

static void test_transactions__increments_of_an_outage_reach_redis_once(void **state)
{
    struct fixture *f = *state;

    assert_string_equal(exec(&f->talk, "INCR n;EXPIRE n 100"), "*2|:1|:1|");
    proxy_set_away(f->proxy, true);
    assert_string_equal(exec(&f->talk, "INCR n;EXPIRE n 100"), "*2|:2|:1|");
    assert_true(wait_until(talk_is_offline, &f->talk, BOUND_MS));
    assert_string_equal(exec(&f->talk, "INCR n;TTL n;INCR n;GET n"), "*4|:3|:100|:4|$1|4|");
    another(f, "INCRBY n 100");
    proxy_set_away(f->proxy, false);
    assert_true(wait_until(talk_is_online, &f->talk, BOUND_MS));
    assert_string_equal(talk_ask(&f->talk, "HOLDFAST WAIT 10000"), ":1|");
    assert_int_equal(redis_server_number(&f->redis, "INCRBY n 0"), 104);
    assert_string_equal(exec(&f->talk, "INCR n;EXPIRE n 100"), "*2|:105|:1|");
}

/* ---- order ---- */

/* The keys of a transaction that asks first are busy: what another client does with them comes before it or behind it. */
static void test_transactions__nothing_of_others_comes_between_asking_and_running(void **state)
{
    struct fixture *f = *state;
    struct hf_slice multi[] = {s_("MULTI")}, incr[] = {s_("INCR"), s_("n")}, run[] = {s_("EXEC")};
    struct hf_slice set[] = {s_("SET"), s_("n"), s_("x")};

    another(f, "SET n 41");
    redis_server_pause(&f->redis);
    talk_send(&f->talk, 1, multi);
    talk_send(&f->talk, 2, incr);
    talk_send(&f->talk, 1, run);
    for (int i = 0; i < 2; i++)
        (void)talk_reply(&f->talk);
    (void)talk_ask(&f->second, "PING"); /* it was asked for by now */
    talk_send(&f->second, 3, set);
    redis_server_resume(&f->redis);
    {
        struct hf_slice reply = talk_reply(&f->talk);
        assert_memory_equal(reply.data, "*1\r\n:42\r\n", reply.len);
        reply = talk_reply(&f->second);
        assert_memory_equal(reply.data, "+OK\r\n", reply.len);
    }
}

static void test_transactions__a_client_that_leaves_while_its_keys_are_asked_for_harms_nobody(void **state)
{
    struct fixture *f = *state;
    struct hf_slice multi[] = {s_("MULTI")}, incr[] = {s_("INCR"), s_("n")}, run[] = {s_("EXEC")};
    struct hf_slice get[] = {s_("GET"), s_("n")}, reply;
    struct talk leaver;
    char expected[32];
    int n;

    another(f, "SET n 41");
    talk_open(&leaver, f->sidecar.socket);
    redis_server_pause(&f->redis);
    talk_send(&leaver, 1, multi);
    talk_send(&leaver, 2, incr);
    talk_send(&leaver, 1, run);
    for (int i = 0; i < 2; i++)
        (void)talk_reply(&leaver);
    talk_close(&leaver);
    talk_expect(&f->talk, "PING", "+PONG|");
    redis_server_resume(&f->redis);
    talk_send(&f->talk, 2, get);
    reply = talk_reply(&f->talk); /* it was noticed in time, or not */
    n = atoi((const char *)reply.data + strlen("$2\r\n"));
    assert_in_range(n, 41, 42);
    snprintf(expected, sizeof(expected), "*1|:%d|", n + 1);
    assert_string_equal(exec(&f->talk, "INCR n"), expected);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_transactions__what_depends_on_no_answer_of_redis_runs_here_with_the_same_replies),
        TEST(test_transactions__an_increment_replies_what_redis_has_counted),
        TEST(test_transactions__an_increment_replies_what_was_added_since_it_was_asked_for),
        TEST(test_transactions__two_sidecars_never_tell_the_same_sum),
        TEST(test_transactions__an_increment_whose_answer_is_lost_is_counted_once),
        TEST(test_transactions__increments_of_an_outage_reach_redis_once),
        TEST(test_transactions__nothing_of_others_comes_between_asking_and_running),
        TEST(test_transactions__a_client_that_leaves_while_its_keys_are_asked_for_harms_nobody),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
