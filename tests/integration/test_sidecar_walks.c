/* SCAN, KEYS, RANDOMKEY, DBSIZE and FLUSHDB with Redis behind the sidecar: what Redis holds, of all types and whoever wrote it, and
 * what is never shared; never Holdfast's own keys. */
#include "proxy.h"
#include "redis_server.h"
#include "sidecar_process.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BOUND_MS 10000
#define N_KEYS 300 /* of each kind */
#define DRAWS 50

struct fixture {
    struct scratch scratch;
    struct redis_server redis;
    struct proxy *proxy;
    char path[96], address[112];
    struct sidecar_process sidecar;
    struct talk talk, direct;
};

/* ---- fixture ---- */

static const char config[] =
    "{\"redis\":{\"timeout\":\"15s\"},\"namespaces\":[{\"prefix\":\"behind:\",\"write_mode\":\"behind\"},"
    "{\"prefix\":\"mine:\",\"write_mode\":\"local\"}],"
    "\"sidecar\":{\"users\":[{\"name\":\"chief\",\"password_env\":\"APP_PASSWORD\",\"operator\":true},"
    "{\"name\":\"app\",\"password_env\":\"APP_PASSWORD\",\"prefixes\":[\"app:\",\"mine:\"]},"
    "{\"name\":\"boss\",\"password_env\":\"APP_PASSWORD\",\"operator\":true,\"prefixes\":[\"app:\"]}]}}";

static void enter(const struct fixture *f, struct talk *talk)
{
    talk_open(talk, f->sidecar.socket);
    assert_string_equal(talk_ask(talk, "AUTH chief secret"), "+OK|");
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    *state = f;
    setenv("APP_PASSWORD", "secret", 1);
    scratch_make(&f->scratch);
    assert_int_equal(redis_server_start(&f->redis, NULL), 0);
    snprintf(f->path, sizeof(f->path), "%s/proxy.sock", f->scratch.dir);
    snprintf(f->address, sizeof(f->address), "unix://%s", f->path);
    f->proxy = proxy_start(f->path, f->redis.socket);
    assert_non_null(f->proxy);
    sidecar_start(&f->sidecar, f->scratch.dir, f->address, config);
    enter(f, &f->talk);
    talk_open(&f->direct, f->redis.socket);
    assert_true(wait_until(talk_is_online, &f->talk, BOUND_MS));
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    talk_close(&f->talk);
    talk_close(&f->direct);
    sidecar_stop(&f->sidecar);
    proxy_stop(f->proxy);
    redis_server_stop(&f->redis);
    scratch_remove(&f->scratch);
    free(f);
    return 0;
}

/* ---- vocabulary ---- */

/* The same command for many keys: `form` has one %d. */
static void for_each(struct talk *talk, const char *form, const char *expected)
{
    char words[96];

    for (int i = 0; i < N_KEYS; i++) {
        snprintf(words, sizeof(words), form, i);
        talk_expect(talk, words, expected);
    }
}

/* How often each of the keys "prefix<number>" was shown. */
struct kind {
    const char *prefix;
    int seen[N_KEYS];
};

struct seen {
    struct kind kinds[6];
    size_t n_kinds, n_others;
    size_t n;
};

static void see(struct seen *seen, const char *key)
{
    seen->n++;
    for (size_t i = 0; i < seen->n_kinds; i++) {
        struct kind *kind = &seen->kinds[i];
        char *end;
        long number;
        if (strncmp(key, kind->prefix, strlen(kind->prefix)) != 0)
            continue;
        number = strtol(key + strlen(kind->prefix), &end, 10);
        if (end > key + strlen(kind->prefix) && number >= 0 && number < N_KEYS) {
            kind->seen[number]++;
            return;
        }
    }
    print_error("shown: %s\n", key);
    seen->n_others++;
}

/* The keys of an array of bulk strings, in text with '|' for each end of line: every other line. */
static void see_array(struct seen *seen, const char *text)
{
    char *copy = strdup(text), *rest = copy, *line;

    assert_non_null(copy);
    assert_int_equal(*copy, '*');
    (void)strsep(&rest, "|");
    while ((line = strsep(&rest, "|")) && *line == '$')
        see(seen, strsep(&rest, "|"));
    free(copy);
}

/* One page; the next cursor. */
static unsigned long long see_page(struct fixture *f, struct seen *seen, unsigned long long cursor,
                                   const char *options)
{
    char words[128], *number;
    const char *reply;

    snprintf(words, sizeof(words), "SCAN %llu %s", cursor, options);
    reply = talk_ask(&f->talk, words);
    if (strncmp(reply, "*2|$", 4) != 0)
        fail_msg("%s: the reply is %s", words, reply);
    number = strchr(reply + 4, '|') + 1;
    cursor = strtoull(number, NULL, 10);
    see_array(seen, strchr(number, '|') + 1);
    return cursor;
}

static void see_all(struct fixture *f, struct seen *seen, unsigned long long cursor, const char *options)
{
    int pages = 0;

    do
        cursor = see_page(f, seen, cursor, options);
    while (cursor != 0 && ++pages < 100 * N_KEYS);
    assert_int_equal(cursor, 0);
}

static void expect(struct seen *seen, const char *prefix)
{
    seen->kinds[seen->n_kinds++].prefix = prefix;
}

/* All of what is expected, and nothing else. */
static void assert_seen(const struct seen *seen)
{
    assert_int_equal(seen->n_others, 0);
    for (size_t i = 0; i < seen->n_kinds; i++) {
        for (int k = 0; k < N_KEYS; k++) {
            if (seen->kinds[i].seen[k] == 0)
                fail_msg("%s%d was not shown", seen->kinds[i].prefix, k);
        }
    }
}

/* Keys of this program and of another one, of several types, shared and not. */
static void fill(struct fixture *f)
{
    for_each(&f->talk, "SET app:%d v", "+OK|");
    for_each(&f->talk, "SET behind:%d v", "+OK|");
    for_each(&f->talk, "SET mine:%d v", "+OK|");
    for_each(&f->direct, "SET string:%d v", "+OK|");
    for_each(&f->direct, "HSET hash:%d f v", ":1|");
    for_each(&f->direct, "SET mine:hidden:%d v",
             "+OK|"); /* never shared: what Redis has under that prefix is not ours */
}

static struct seen all_of_them(void)
{
    struct seen seen = {0};

    expect(&seen, "app:");
    expect(&seen, "behind:");
    expect(&seen, "mine:");
    expect(&seen, "string:");
    expect(&seen, "hash:");
    return seen;
}

/* ---- online ---- */

static void test_walks__scan_shows_what_redis_holds_and_what_is_never_shared(void **state)
{
    static const char *const options[] = {"COUNT 10", "COUNT 1000", "COUNT 7", "MATCH *:* COUNT 100"};
    struct fixture *f = *state;

    fill(f);
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
        struct seen seen = all_of_them();
        see_all(f, &seen, 0, options[i]);
        assert_seen(&seen);
    }
}

static void test_walks__scan_looks_for_types_and_patterns_in_redis(void **state)
{
    struct fixture *f = *state;
    struct seen hashes = {0}, strings = {0}, matches = {0}, none = {0};

    fill(f);
    expect(&hashes, "hash:");
    see_all(f, &hashes, 0, "TYPE hash COUNT 50");
    assert_seen(&hashes);
    expect(&strings, "string:");
    expect(&strings, "app:");
    expect(&strings, "behind:");
    expect(&strings, "mine:");
    see_all(f, &strings, 0, "TYPE string COUNT 50");
    assert_seen(&strings);
    expect(&matches, "mine:");
    see_all(f, &matches, 0, "MATCH m?ne:* COUNT 50");
    assert_seen(&matches);
    see_all(f, &none, 0, "MATCH _hf:* COUNT 1000");
    assert_int_equal(none.n, 0);
}

static void test_walks__keys_shows_the_same_in_one_answer(void **state)
{
    struct fixture *f = *state;
    struct seen seen = all_of_them(), some = {0};

    fill(f);
    see_array(&seen, talk_ask(&f->talk, "KEYS *"));
    assert_seen(&seen);
    assert_int_equal(seen.n, 5 * N_KEYS);
    expect(&some, "hash:");
    see_array(&some, talk_ask(&f->talk, "KEYS h*"));
    assert_seen(&some);
    talk_expect(&f->talk, "KEYS _hf:*", "*0|");
    talk_expect(&f->talk, "KEYS mine:hidden:*", "*0|");
    talk_expect(&f->talk, "KEYS ", "*0|");
}

static void test_walks__a_user_with_prefixes_sees_only_keys_with_these(void **state)
{
    struct fixture *f = *state;
    struct seen page = {0}, keys = {0}, drawn = {0};

    fill(f);
    talk_expect(&f->talk, "AUTH app secret", "+OK|");
    expect(&page, "app:");
    expect(&page, "mine:");
    see_all(f, &page, 0, "COUNT 100");
    assert_seen(&page);
    expect(&keys, "app:");
    expect(&keys, "mine:");
    see_array(&keys, talk_ask(&f->talk, "KEYS *"));
    assert_seen(&keys);
    expect(&drawn, "app:");
    expect(&drawn, "mine:");
    for (int i = 0; i < DRAWS; i++)
        see(&drawn, strchr(talk_ask(&f->talk, "RANDOMKEY"), '|') + 1);
    assert_int_equal(drawn.n_others, 0);
}

static void test_walks__randomkey_draws_from_redis_and_never_its_bookkeeping(void **state)
{
    struct fixture *f = *state;

    talk_expect(&f->talk, "RANDOMKEY", "$-1|");
    assert_true(redis_server_number(&f->redis, "DBSIZE") > 0);
    talk_expect(&f->direct, "HSET hash f v", ":1|");
    for (int i = 0; i < DRAWS; i++)
        talk_expect(&f->talk, "RANDOMKEY", "$4|hash|");
    talk_expect(&f->direct, "DEL hash", ":1|");
    talk_expect(&f->talk, "SET mine:only v", "+OK|");
    talk_expect(&f->talk, "RANDOMKEY", "$9|mine:only|");
}

static void test_walks__dbsize_is_that_of_redis_and_what_is_never_shared(void **state)
{
    struct fixture *f = *state;
    char expected[32];

    fill(f);
    assert_string_equal(talk_ask(&f->talk, "HOLDFAST WAIT 10000"), ":1|");
    snprintf(expected, sizeof(expected), ":%lld|", redis_server_number(&f->redis, "DBSIZE") + N_KEYS);
    talk_expect(&f->talk, "DBSIZE", expected);
}

static void test_walks__an_error_of_redis_is_told_as_it_is(void **state)
{
    struct fixture *f = *state;

    talk_expect(&f->direct, "ACL SETUSER default -scan -keys -dbsize -eval", "+OK|");
    for (int i = 0; i < 2; i++) {
        assert_non_null(strstr(talk_ask(&f->talk, "SCAN 0"), "-NOPERM"));
        assert_non_null(strstr(talk_ask(&f->talk, "KEYS *"), "-NOPERM"));
        assert_non_null(strstr(talk_ask(&f->talk, "DBSIZE"), "-NOPERM"));
        assert_non_null(strstr(talk_ask(&f->talk, "RANDOMKEY"), "-NOPERM"));
        assert_non_null(strstr(talk_ask(&f->talk, "FLUSHDB"), "-NOPERM"));
        talk_expect(&f->talk, "SET mine:0 v", "+OK|");
    }
}

/* ---- over an outage ---- */

static void leave(struct fixture *f)
{
    proxy_set_away(f->proxy, true);
    assert_true(wait_until(talk_is_offline, &f->talk, BOUND_MS));
}

static void come_back(struct fixture *f)
{
    proxy_set_away(f->proxy, false);
    assert_true(wait_until(talk_is_online, &f->talk, BOUND_MS));
}

/* What is held here: what this program has written. */
static struct seen held(void)
{
    struct seen seen = {0};

    expect(&seen, "app:");
    expect(&seen, "behind:");
    expect(&seen, "mine:");
    return seen;
}

static void test_walks__a_scan_that_an_outage_meets_begins_again_and_misses_nothing(void **state)
{
    struct fixture *f = *state;
    unsigned long long cursor;
    struct seen before = all_of_them(), after = held();

    expect(&before, "!"); /* stands before what a cursor of Redis could be taken for */
    expect(&after, "!");
    fill(f);
    for_each(&f->talk, "SET !%d v", "+OK|");
    cursor = see_page(f, &before, 0, "COUNT 10");
    leave(f);
    see_all(f, &after, cursor, "COUNT 10");
    assert_seen(&after);
    come_back(f);
}

/* The connection ends when this request is on it, and is opened again for the next one. */
static void lose(struct fixture *f, const char *name, const char *argument)
{
    struct hf_slice words[] = {s_(name), s_(argument)};

    proxy_hold_at(f->proxy, name);
    talk_send(&f->talk, argument[0] ? 2 : 1, words);
    assert_true(proxy_wait_held(f->proxy, 1, BOUND_MS));
    proxy_cut_clients(f->proxy);
    proxy_release(f->proxy);
}

static void test_walks__when_redis_goes_away_before_it_answers_what_is_held_here_counts(void **state)
{
    struct fixture *f = *state;
    struct seen seen = {0}, page = held();

    fill(f);
    lose(f, "KEYS", "app:*");
    expect(&seen, "app:");
    see_array(&seen, talk_text(&f->talk));
    assert_seen(&seen);
    lose(f, "SCAN", "0");
    assert_int_equal(strncmp(talk_text(&f->talk), "*2|$", 4), 0);
    lose(f, "DBSIZE", "");
    assert_string_equal(talk_text(&f->talk), ":900|");
    lose(f, "RANDOMKEY", "");
    see(&page, strchr(talk_text(&f->talk), '|') + 1);
    assert_int_equal(page.n_others, 0);
}

static void test_walks__a_scan_of_an_outage_begins_again_when_redis_is_back(void **state)
{
    struct fixture *f = *state;
    unsigned long long cursor;
    struct seen seen = all_of_them();

    fill(f);
    leave(f);
    cursor = see_page(f, &seen, 0, "COUNT 10");
    assert_int_not_equal(cursor, 0);
    come_back(f);
    see_all(f, &seen, cursor, "COUNT 10");
    assert_seen(&seen);
}

static void test_walks__what_is_never_shared_is_scanned_on_when_redis_goes_away(void **state)
{
    struct fixture *f = *state;
    unsigned long long cursor = 0;
    struct seen seen = all_of_them(), rest = {0};

    fill(f);
    do
        cursor = see_page(f, &seen, cursor, "COUNT 100");
    while (cursor != 0 && seen.kinds[2].seen[0] == 0);
    assert_int_not_equal(cursor, 0);
    leave(f);
    expect(&rest, "mine:");
    for (int i = 0; i < N_KEYS; i++)
        rest.kinds[0].seen[i] = seen.kinds[2].seen[i];
    see_all(f, &rest, cursor, "COUNT 100");
    assert_seen(&rest);
    come_back(f);
}

/* ---- FLUSHDB ---- */

static void test_walks__flushdb_leaves_nothing_but_the_bookkeeping(void **state)
{
    struct fixture *f = *state;
    struct seen nothing = {0};
    char text[128];

    fill(f);
    talk_expect(&f->talk, "FLUSHDB", "+OK|");
    talk_expect(&f->talk, "KEYS *", "*0|");
    see_all(f, &nothing, 0, "COUNT 100");
    assert_int_equal(nothing.n, 0);
    for (int i = 0; i < N_KEYS; i++) {
        snprintf(text, sizeof(text), "EXISTS app:%d mine:%d behind:%d string:%d hash:%d", i, i, i, i, i);
        talk_expect(&f->talk, text, ":0|");
        talk_expect(&f->direct, text, ":0|");
    }
    assert_true(redis_server_number(&f->redis, "DBSIZE") > N_KEYS); /* mine:hidden:, and the bookkeeping */
    assert_true(talk_is_online(&f->talk));
    talk_expect(&f->talk, "SET app:1 v", "+OK|");
    talk_expect(&f->direct, "GET app:1", "$1|v|");
    leave(f);
    talk_expect(&f->talk, "FLUSHALL ASYNC", "+OK|");
    talk_expect(&f->talk, "GET app:1", "$-1|");
    come_back(f);
    assert_string_equal(talk_ask(&f->talk, "HOLDFAST WAIT 10000"), ":1|");
    talk_expect(&f->direct, "EXISTS app:1", ":0|");
}

static void test_walks__an_operator_with_prefixes_flushes_only_keys_with_these(void **state)
{
    struct fixture *f = *state;
    struct seen seen = {0};

    fill(f);
    talk_expect(&f->talk, "AUTH boss secret", "+OK|");
    talk_expect(&f->talk, "FLUSHDB", "+OK|");
    talk_close(&f->talk);
    enter(f, &f->talk);
    expect(&seen, "mine:");
    expect(&seen, "behind:");
    expect(&seen, "string:");
    expect(&seen, "hash:");
    see_all(f, &seen, 0, "COUNT 100");
    assert_seen(&seen);
}

/* Whoever leaves while a walk is under way leaves nothing behind it. */
static void test_walks__clients_that_leave_in_the_middle_harm_nobody(void **state)
{
    static const char *const walks[] = {"KEYS", "SCAN", "DBSIZE", "RANDOMKEY", "FLUSHDB"};
    struct fixture *f = *state;
    const char *reply;

    for (size_t i = 0; i < 10 * sizeof(walks) / sizeof(walks[0]); i++) {
        struct hf_slice words[] = {s_(walks[i % 5]), s_(i % 5 == 0 ? "*" : "0")};
        struct talk leaver;
        enter(f, &leaver);
        talk_send(&leaver, i % 5 < 2 ? 2 : 1, words);
        talk_close(&leaver);
    }
    talk_expect(&f->talk, "SET app:1 v", "+OK|");
    reply = talk_ask(&f->talk, "KEYS *");
    if (reply[0] != '*')
        fail_msg("KEYS: the reply is %s, expected an array", reply);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_walks__scan_shows_what_redis_holds_and_what_is_never_shared),
        TEST(test_walks__scan_looks_for_types_and_patterns_in_redis),
        TEST(test_walks__keys_shows_the_same_in_one_answer),
        TEST(test_walks__a_user_with_prefixes_sees_only_keys_with_these),
        TEST(test_walks__randomkey_draws_from_redis_and_never_its_bookkeeping),
        TEST(test_walks__dbsize_is_that_of_redis_and_what_is_never_shared),
        TEST(test_walks__an_error_of_redis_is_told_as_it_is),
        TEST(test_walks__a_scan_that_an_outage_meets_begins_again_and_misses_nothing),
        TEST(test_walks__when_redis_goes_away_before_it_answers_what_is_held_here_counts),
        TEST(test_walks__a_scan_of_an_outage_begins_again_when_redis_is_back),
        TEST(test_walks__what_is_never_shared_is_scanned_on_when_redis_goes_away),
        TEST(test_walks__flushdb_leaves_nothing_but_the_bookkeeping),
        TEST(test_walks__an_operator_with_prefixes_flushes_only_keys_with_these),
        TEST(test_walks__clients_that_leave_in_the_middle_harm_nobody),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
