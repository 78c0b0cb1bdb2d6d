/* The commands of the local tier, as a client sees them: what a random comparison with redis-server does not reach (scans, limits,
 * namespaces, other writers), and what Redis's absence changes. */
#include "redis_server.h"
#include "sidecar_process.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct fixture {
    struct scratch scratch;
    struct redis_server redis;
    struct sidecar_process sidecar;
    struct talk talk, other;
};

/* "here:" is never shared. */
static const char namespaces[] =
    "{\"limits\": {\"max_value\": \"2MiB\"}, \"redis\": {\"timeout\": \"2s\", \"backoff_max\": \"60ms\"},"
    " \"namespaces\": [{\"prefix\": \"here:\", \"write_mode\": \"local\"},"
    " {\"prefix\": \"short:\", \"write_mode\": \"local\", \"default_ttl\": \"1h\"}]}";

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    *state = f;
    scratch_make(&f->scratch);
    sidecar_start(&f->sidecar, f->scratch.dir, NULL, namespaces);
    talk_open(&f->talk, f->sidecar.socket);
    talk_open(&f->other, f->sidecar.socket);
    return 0;
}

static int set_up_with_redis(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    *state = f;
    scratch_make(&f->scratch);
    assert_int_equal(redis_server_start(&f->redis, NULL), 0);
    sidecar_start(&f->sidecar, f->scratch.dir, f->redis.address, namespaces);
    talk_open(&f->talk, f->sidecar.socket);
    talk_open(&f->other, f->sidecar.socket);
    assert_true(wait_until(talk_is_online, &f->talk, SIDECAR_WAIT_MS));
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    talk_close(&f->talk);
    talk_close(&f->other);
    sidecar_stop(&f->sidecar);
    redis_server_stop(&f->redis);
    scratch_remove(&f->scratch);
    free(f);
    return 0;
}

#define assert_reply(expected, talk, command) assert_string_equal(talk_ask(talk, command), expected)

/* A reply of this kind: "OFFLINE ..." */
static void assert_prefix(const char *prefix, const char *reply)
{
    if (strncmp(reply, prefix, strlen(prefix)) != 0)
        fail_msg("'%s' does not begin with '%s'", reply, prefix);
}

static void take_redis_away(struct fixture *f)
{
    redis_server_kill(&f->redis);
    assert_true(wait_until(talk_is_offline, &f->talk, SIDECAR_WAIT_MS));
}

static void bring_redis_back(struct fixture *f)
{
    assert_int_equal(redis_server_restart(&f->redis), 0);
    assert_true(wait_until(talk_is_online, &f->talk, SIDECAR_WAIT_MS));
    assert_reply(":1|", &f->talk, "HOLDFAST WAIT 10000");
}

/* ---- scans ---- */

#define N_KEYS 1000

static void fill(struct fixture *f)
{
    char command[64];

    for (int i = 0; i < N_KEYS; i++) {
        snprintf(command, sizeof(command), "SET %s:%04d v", i % 2 == 0 ? "even" : "odd", i);
        assert_reply("+OK|", &f->talk, command);
    }
}

/* Count the keys of a page, noting each in `seen`; returns its cursor. */
static unsigned long long page(struct fixture *f, unsigned long long cursor, const char *options, bool *seen)
{
    char command[128], *next;
    const char *reply;

    snprintf(command, sizeof(command), "SCAN %llu %s", cursor, options);
    reply = talk_ask(&f->talk, command);
    assert_prefix("*2|$", reply);
    cursor = strtoull(strchr(reply + 3, '|') + 1, &next, 10);
    for (const char *key = next; (key = strpbrk(key, "eo")) != NULL; key = strchr(key, '|'))
        seen[atoi(strchr(key, ':') + 1)] = true;
    return cursor;
}

static size_t scan_all(struct fixture *f, const char *options, unsigned long long cursor)
{
    bool seen[N_KEYS] = {false};
    size_t n = 0, pages = 0;

    do {
        cursor = page(f, cursor, options, seen);
        assert_true(++pages <= 3 * N_KEYS);
    } while (cursor != 0);
    for (size_t i = 0; i < N_KEYS; i++)
        n += seen[i];
    return n;
}

static void test_a_scan_sees_every_key_whatever_the_count(void **state)
{
    struct fixture *f = *state;

    fill(f);
    assert_int_equal(scan_all(f, "COUNT 7", 0), N_KEYS);
    assert_int_equal(scan_all(f, "COUNT 5000", 0), N_KEYS);
    assert_int_equal(scan_all(f, "MATCH even:* COUNT 100", 0), N_KEYS / 2);
    assert_int_equal(scan_all(f, "MATCH *:0?00 COUNT 1", 0), N_KEYS / 100);
    assert_int_equal(scan_all(f, "TYPE string", 0), N_KEYS);
    assert_int_equal(scan_all(f, "TYPE hash", 0), 0);
}

static void test_a_cursor_that_was_never_given_begins_at_the_beginning(void **state)
{
    struct fixture *f = *state;

    fill(f);
    assert_int_equal(scan_all(f, "COUNT 100", 12345), N_KEYS);
    assert_int_equal(scan_all(f, "COUNT 100", 18446744073709551615u), N_KEYS);
    assert_reply("-ERR invalid cursor|", &f->talk, "SCAN -1");
    assert_reply("-ERR invalid cursor|", &f->talk, "SCAN x");
    assert_reply("-ERR syntax error|", &f->talk, "SCAN 0 COUNT 0");
    assert_reply("-ERR value is not an integer or out of range|", &f->talk, "SCAN 0 COUNT x");
    assert_reply("-ERR syntax error|", &f->talk, "SCAN 0 MATCH");
}

static void test_a_scan_goes_on_while_keys_come_and_go(void **state)
{
    struct fixture *f = *state;
    bool seen[N_KEYS] = {false};
    unsigned long long cursor = 0;
    char command[64];
    int removed = 0;

    fill(f);
    do {
        cursor = page(f, cursor, "COUNT 50", seen);
        snprintf(command, sizeof(command), "DEL odd:%04d", 2 * removed++ + 1);
        (void)talk_ask(&f->other, command);
    } while (cursor != 0);
    for (int i = 0; i < N_KEYS; i += 2)
        assert_true(seen[i]);
}

static void test_flushdb_takes_every_key_and_dbsize_and_randomkey_agree(void **state)
{
    struct fixture *f = *state;

    assert_reply("$-1|", &f->talk, "RANDOMKEY");
    assert_reply("+OK|", &f->talk, "SET only 1");
    assert_reply("$4|only|", &f->talk, "RANDOMKEY");
    fill(f);
    assert_reply(":1001|", &f->talk, "DBSIZE");
    assert_reply("+OK|", &f->talk, "FLUSHDB");
    assert_reply(":0|", &f->talk, "DBSIZE");
    assert_reply("*0|", &f->talk, "KEYS *");
    assert_reply("-ERR syntax error|", &f->talk, "FLUSHDB NOW");
}

/* ---- limits and namespaces ---- */

static void test_a_value_beyond_the_limit_is_refused_as_redis_does(void **state)
{
    struct fixture *f = *state;

    assert_reply(":2097152|", &f->talk, "SETRANGE k 2097151 x");
    assert_reply("-ERR string exceeds maximum allowed size (proto-max-bulk-len)|", &f->talk,
                 "SETRANGE k 2097152 x");
    assert_reply("-ERR string exceeds maximum allowed size (proto-max-bulk-len)|", &f->talk, "APPEND k x");
    assert_reply("-ERR string exceeds maximum allowed size (proto-max-bulk-len)|", &f->talk,
                 "SETRANGE k 9223372036854775807 x");
    assert_reply(":2097152|", &f->talk, "STRLEN k");
}

static void test_what_the_store_does_not_take_is_an_error_and_no_more(void **state)
{
    struct fixture *f = *state;

    assert_prefix("-ERR ", talk_ask(&f->talk, "SET \"\" x"));
    assert_prefix("-ERR ", talk_ask(&f->talk, "SET _hf:x x"));
    assert_prefix("-ERR ", talk_ask(&f->talk, "GET \"\""));
    assert_reply("-ERR invalid expire time in 'set' command|", &f->talk, "SET k v EX 4000000000");
    assert_reply("-ERR invalid expire time in 'expire' command|", &f->talk, "EXPIRE k 4000000000");
    assert_reply("$-1|", &f->talk, "GET k");
}

static void test_the_default_ttl_of_a_namespace_counts_inside_exec_too(void **state)
{
    struct fixture *f = *state;

    assert_reply("+OK|", &f->talk, "SET short:a 1");
    assert_reply(":3600|", &f->talk, "TTL short:a");
    assert_reply("+OK|", &f->talk, "MULTI");
    assert_reply("+QUEUED|", &f->talk, "SET short:b 1");
    assert_reply("+QUEUED|", &f->talk, "TTL short:b");
    assert_reply("*2|+OK|:3600|", &f->talk, "EXEC");
    assert_reply(":3600|", &f->talk, "TTL short:b");
}

static void test_mset_over_several_namespaces_sets_all(void **state)
{
    struct fixture *f = *state;

    assert_reply("+OK|", &f->talk, "MSET a 1 here:b 2 short:c 3 a 4");
    assert_reply("*3|$1|4|$1|2|$1|3|", &f->talk, "MGET a here:b short:c");
}

/* ---- transactions ---- */

static void test_a_watched_key_that_another_client_touches_stops_exec(void **state)
{
    static const char *const touches[] = {"SET k 2", "DEL k",      "EXPIRE k 100", "APPEND k x",
                                          "FLUSHDB", "RENAME k m", "PERSIST k"};
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(touches) / sizeof(touches[0]); i++) {
        assert_reply("+OK|", &f->talk, "SET k 1 EX 1000");
        assert_reply("+OK|", &f->talk, "WATCH k");
        assert_prefix(i == 0 ? "+OK" : "", talk_ask(&f->other, touches[i]));
        assert_reply("+OK|", &f->talk, "MULTI");
        assert_reply("+QUEUED|", &f->talk, "GET k");
        assert_reply("*-1|", &f->talk, "EXEC");
    }
    assert_reply("+OK|", &f->talk, "WATCH nothing");
    assert_reply("+OK|", &f->other, "SET nothing 1");
    assert_reply("+OK|", &f->talk, "MULTI");
    assert_reply("*-1|", &f->talk, "EXEC");
}

static bool is_stored(void *ctx)
{
    struct fixture *f = ctx;
    char name[] = "checkpoint_lsn", last[] = "last_lsn";
    const char *status = talk_ask(&f->other, "HOLDFAST STATUS");
    const char *stored = strstr(status, name), *newest = strstr(status, last);

    if (!stored || !newest)
        fail_msg("no numbers in '%s'", status);
    return strtoull(stored + sizeof(name) + 1, NULL, 10) >= strtoull(newest + sizeof(last) + 1, NULL, 10);
}

static void test_a_checkpoint_is_no_change_of_a_watched_key(void **state)
{
    struct fixture *f = *state;

    assert_reply("+OK|", &f->talk, "SET k 1");
    assert_reply("+OK|", &f->talk, "SET gone 1");
    assert_reply(":1|", &f->talk, "DEL gone");
    assert_reply("+OK|", &f->talk, "WATCH k gone never");
    assert_true(wait_until(is_stored, f, SIDECAR_WAIT_MS));
    assert_reply("+OK|", &f->talk, "MULTI");
    assert_reply("+QUEUED|", &f->talk, "GET k");
    assert_reply("*1|$1|1|", &f->talk, "EXEC");
}

static void test_a_long_value_is_renamed_inside_a_transaction(void **state)
{
    struct fixture *f = *state;

    assert_reply(":2000000|", &f->talk, "SETRANGE long 1999999 x");
    assert_reply("+OK|", &f->talk, "MULTI");
    assert_reply("+QUEUED|", &f->talk, "RENAME long moved");
    assert_reply("+QUEUED|", &f->talk, "COPY moved copied");
    assert_reply("*2|+OK|:1|", &f->talk, "EXEC");
    assert_reply("$1|x|", &f->talk, "GETRANGE copied -1 -1");
    assert_reply(":0|", &f->talk, "EXISTS long");
}

static void test_a_scan_is_refused_inside_a_transaction(void **state)
{
    struct fixture *f = *state;

    assert_reply("+OK|", &f->talk, "MULTI");
    assert_prefix("-ERR ", talk_ask(&f->talk, "KEYS *"));
    assert_prefix("-EXECABORT ", talk_ask(&f->talk, "EXEC"));
}

static void test_a_transaction_is_all_there_after_a_restart(void **state)
{
    struct fixture *f = *state;

    assert_reply("+OK|", &f->talk, "MULTI");
    assert_reply("+QUEUED|", &f->talk, "SET a 1");
    assert_reply("+QUEUED|", &f->talk, "INCRBY a 41");
    assert_reply("+QUEUED|", &f->talk, "APPEND b text");
    assert_reply("+QUEUED|", &f->talk, "RENAME a c");
    assert_reply("*4|+OK|:42|:4|+OK|", &f->talk, "EXEC");
    talk_close(&f->talk);
    talk_close(&f->other);
    sidecar_restart(&f->sidecar);
    talk_open(&f->talk, f->sidecar.socket);
    assert_reply("*3|$-1|$4|text|$2|42|", &f->talk, "MGET a b c");
}

/* ---- with Redis, and other writers there ---- */

static void test_what_another_writer_left_in_redis_is_found_and_its_type_respected(void **state)
{
    struct fixture *f = *state;

    freeReplyObject(redis_server_command(&f->redis, "SET theirs 7 EX 500"));
    freeReplyObject(redis_server_command(&f->redis, "RPUSH list x"));
    assert_reply("$1|7|", &f->talk, "GET theirs");
    assert_reply(":8|", &f->talk, "INCR theirs");
    assert_reply(":500|", &f->talk, "TTL theirs");
    assert_reply("+list|", &f->talk, "TYPE list");
    assert_reply(":1|", &f->talk, "EXPIRE list 100");
    assert_reply(":100|", &f->talk, "TTL list");
    assert_reply("-WRONGTYPE Operation against a key holding the wrong kind of value|", &f->talk, "GET list");
    assert_reply("-WRONGTYPE Operation against a key holding the wrong kind of value|", &f->talk, "STRLEN list");
    assert_reply("-WRONGTYPE Operation against a key holding the wrong kind of value|", &f->talk, "APPEND list x");
    assert_reply("*2|$1|8|$-1|", &f->talk, "MGET theirs list");
    assert_reply(":2|", &f->talk, "EXISTS list theirs nothing");
    assert_reply(":0|", &f->talk, "SETNX list x");
    assert_reply("$-1|", &f->talk, "SET list x NX");
    assert_reply(":1|", &f->talk, "EXPIRE list 1000 XX");
    assert_reply("+OK|", &f->talk, "RENAME list list2");
    assert_reply(":1|", &f->talk, "DEL list2 nothing");
    assert_int_equal(redis_server_number(&f->redis, "EXISTS list2"), 0);
    freeReplyObject(redis_server_command(&f->redis, "RPUSH another x"));
    assert_reply("+OK|", &f->talk, "SET another x XX");
    assert_reply("$1|x|", &f->talk, "GET another");
}

static void test_two_sidecars_appending_to_one_key_lose_nothing(void **state)
{
    struct fixture *f = *state;
    struct sidecar_process second = {0};
    struct talk talk;
    char dir[128], text[16];

    snprintf(dir, sizeof(dir), "%s/second", f->scratch.dir);
    assert_int_equal(mkdir(dir, 0700), 0);
    sidecar_start(&second, dir, f->redis.address, NULL);
    talk_open(&talk, second.socket);
    for (int i = 0; i < 200; i++) {
        static const char *const words[] = {"APPEND", "shared", "x"};
        struct hf_slice argv[3] = {s_(words[0]), s_(words[1]), s_(words[2])};
        talk_send(&f->talk, 3, argv);
        talk_send(&talk, 3, argv);
    }
    for (int i = 0; i < 200; i++) {
        assert_prefix(":", (const char *)talk_reply(&f->talk).data);
        assert_prefix(":", (const char *)talk_reply(&talk).data);
    }
    assert_int_equal(redis_server_number(&f->redis, "STRLEN shared"), 400);
    snprintf(text, sizeof(text), ":%d|", 400);
    assert_reply(text, &f->talk, "STRLEN shared");
    talk_close(&talk);
    sidecar_stop(&second);
}

#define CROWD 12
#define EACH 40

static void say(struct talk *talk, const char *const words[3])
{
    struct hf_slice argv[3];
    size_t n = 0;

    while (n < 3 && words[n]) {
        argv[n] = s_(words[n]);
        n++;
    }
    talk_send(talk, n, argv);
}

/* Workers, the loop, transactions and commands that are passed on meet on the same keys. Every client goes through the
 * list in its own time. */
static void test_many_clients_changing_the_same_keys_all_count(void **state)
{
    static const char *const list[][3] = {{"APPEND", "text", "x"},
                                          {"INCRBY", "sum", "2"},
                                          {"INCRBYFLOAT", "float", "0.5"},
                                          {"SETNX", "first", "x"},
                                          {"COPY", "text", "elsewhere"},
                                          {"MULTI"},
                                          {"INCRBY", "sum", "3"},
                                          {"APPEND", "text", "y"},
                                          {"SET", "last", "x"},
                                          {"EXEC"},
                                          {"GET", "text"}};
    const size_t n_list = sizeof(list) / sizeof(list[0]);
    struct talk crowd[CROWD] = {0};
    struct fixture *f = *state;
    int n_first = 0;

    for (size_t c = 0; c < CROWD; c++)
        talk_open(&crowd[c], f->sidecar.socket);
    for (size_t i = 0; i < EACH * n_list; i++) {
        for (size_t c = 0; c < CROWD; c++)
            say(&crowd[c], list[i % n_list]);
        if (i % n_list < CROWD) /* so that they do not go in step */
            (void)talk_ask(&f->talk, "GET text");
    }
    for (size_t i = 0; i < EACH * n_list * CROWD; i++) {
        struct hf_slice reply = talk_reply(&crowd[i % CROWD]);
        if (((const char *)reply.data)[0] == '-')
            fail_msg("%.*s", (int)reply.len, (const char *)reply.data);
        if (strcmp(list[i / CROWD % n_list][0], "SETNX") == 0)
            n_first += ((const char *)reply.data)[1] == '1';
    }
    assert_int_equal(n_first, 1);
    assert_reply(":960|", &f->talk, "STRLEN text");
    assert_reply("$4|2400|", &f->talk, "GET sum");
    assert_reply("$3|240|", &f->talk, "GET float");
    assert_reply(":1|", &f->talk, "HOLDFAST WAIT 10000");
    assert_int_equal(redis_server_number(&f->redis, "STRLEN text"), 960);
    for (size_t c = 0; c < CROWD; c++)
        talk_close(&crowd[c]);
}

static void test_a_watch_is_redis_s_and_sees_what_others_write_there(void **state)
{
    struct fixture *f = *state;

    assert_reply("+OK|", &f->talk, "SET k 1");
    assert_reply("+OK|", &f->talk, "WATCH k");
    assert_reply("$1|1|", &f->talk, "GET k");
    freeReplyObject(redis_server_command(&f->redis, "SET k 2"));
    assert_reply("+OK|", &f->talk, "MULTI");
    assert_reply("+QUEUED|", &f->talk, "SET k 3");
    assert_reply("*-1|", &f->talk, "EXEC");
    assert_reply("$1|2|", &f->talk, "GET k");
}

/* ---- without Redis for a while ---- */

static void test_while_redis_is_away_what_it_must_decide_is_refused_and_the_rest_goes_on(void **state)
{
    static const char *const refused[] = {"SET new 1 NX", "SET held 1 XX", "SETNX new 1", "GETDEL held",
                                          "MSETNX new 1", "LPUSH l 1",     "WATCH held"};
    struct fixture *f = *state;

    assert_reply("+OK|", &f->talk, "MSET held 5 moved 6");
    assert_reply("+OK|", &f->talk, "SET timed 1 EX 1000");
    take_redis_away(f);
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
        assert_prefix("-OFFLINE ", talk_ask(&f->talk, refused[i]));
    assert_reply("$1|5|", &f->talk, "GETSET held 8");
    assert_reply("$1|8|", &f->talk, "SET held 9 GET");
    assert_reply(":2|", &f->talk, "APPEND held 0");
    assert_reply(":91|", &f->talk, "INCR held");
    assert_reply("$4|91.5|", &f->talk, "INCRBYFLOAT held 0.5");
    assert_reply("+OK|", &f->talk, "RENAME moved there");
    assert_reply(":1|", &f->talk, "COPY there copied");
    assert_reply(":0|", &f->talk, "EXPIRE timed 10 GT");
    assert_reply(":1|", &f->talk, "EXPIRE timed 5000 GT");
    assert_reply("$-1|", &f->talk, "GET nothing");
    assert_reply("+string|", &f->talk, "TYPE held");
    assert_reply(":1|", &f->talk, "SETNX here:new 1");
    bring_redis_back(f);
    assert_int_equal(redis_server_number(&f->redis, "TTL timed") > 4000, 1);
    assert_int_equal(redis_server_number(&f->redis, "EXISTS moved there copied here:new"), 2);
}

/* Redis has nothing to decide in it, so it is no less available than its writes are. */
static void test_a_transaction_that_only_writes_is_not_passed_on(void **state)
{
    struct fixture *f = *state;
    char text[16384];

    assert_reply("+OK|", &f->talk, "MULTI");
    assert_reply("+QUEUED|", &f->talk, "MSET a 1 b 2");
    assert_reply("+QUEUED|", &f->talk, "SETEX c 100 3");
    assert_reply("+QUEUED|", &f->talk, "GET b");
    assert_reply("*3|+OK|+OK|$1|2|", &f->talk, "EXEC");
    assert_string_equal(redis_server_text(&f->redis, text, sizeof(text), "GET b"), "2");
    assert_in_range(redis_server_number(&f->redis, "TTL c"), 90, 100);
    redis_server_text(&f->redis, text, sizeof(text), "INFO commandstats");
    assert_null(strstr(text, "cmdstat_mset:"));
    assert_null(strstr(text, "cmdstat_setex:"));
}

static void test_a_transaction_made_while_redis_is_away_arrives_as_one(void **state)
{
    struct fixture *f = *state;
    char text[64];

    assert_reply("+OK|", &f->talk, "SET n 1");
    take_redis_away(f);
    assert_reply("+OK|", &f->talk, "MULTI");
    assert_reply("+QUEUED|", &f->talk, "INCR n");
    assert_reply("+QUEUED|", &f->talk, "SET m x");
    assert_reply("+QUEUED|", &f->talk, "SET only 1 NX");
    assert_reply("+QUEUED|", &f->talk, "GET m");
    assert_prefix("*4|:2|+OK|-OFFLINE ", talk_ask(&f->talk, "EXEC"));
    assert_int_equal(redis_server_restart(&f->redis), 0);
    freeReplyObject(redis_server_command(&f->redis, "SET n 1")); /* it kept nothing */
    assert_true(wait_until(talk_is_online, &f->talk, SIDECAR_WAIT_MS));
    assert_reply(":1|", &f->talk, "HOLDFAST WAIT 10000");
    assert_string_equal(redis_server_text(&f->redis, text, sizeof(text), "GET m"), "x");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define SHARED_TEST(name) cmocka_unit_test_setup_teardown(name, set_up_with_redis, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_scan_sees_every_key_whatever_the_count),
        TEST(test_a_cursor_that_was_never_given_begins_at_the_beginning),
        TEST(test_a_scan_goes_on_while_keys_come_and_go),
        TEST(test_flushdb_takes_every_key_and_dbsize_and_randomkey_agree),
        TEST(test_a_value_beyond_the_limit_is_refused_as_redis_does),
        TEST(test_what_the_store_does_not_take_is_an_error_and_no_more),
        TEST(test_the_default_ttl_of_a_namespace_counts_inside_exec_too),
        TEST(test_mset_over_several_namespaces_sets_all),
        TEST(test_a_watched_key_that_another_client_touches_stops_exec),
        TEST(test_a_checkpoint_is_no_change_of_a_watched_key),
        TEST(test_a_long_value_is_renamed_inside_a_transaction),
        TEST(test_a_scan_is_refused_inside_a_transaction),
        TEST(test_a_transaction_is_all_there_after_a_restart),
        SHARED_TEST(test_what_another_writer_left_in_redis_is_found_and_its_type_respected),
        SHARED_TEST(test_two_sidecars_appending_to_one_key_lose_nothing),
        SHARED_TEST(test_many_clients_changing_the_same_keys_all_count),
        SHARED_TEST(test_a_watch_is_redis_s_and_sees_what_others_write_there),
        SHARED_TEST(test_while_redis_is_away_what_it_must_decide_is_refused_and_the_rest_goes_on),
        SHARED_TEST(test_a_transaction_that_only_writes_is_not_passed_on),
        SHARED_TEST(test_a_transaction_made_while_redis_is_away_arrives_as_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
