/* What the client libraries of the applications say when they connect, byte by byte, and the answers that they need: with Redis
 * behind, while it is away, and without one. */
#include "redis_server.h"
#include "sidecar_process.h"
#include "wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORDS_MAX 8
#define LINE_MAX_BYTES 256

struct fixture {
    struct scratch scratch;
    struct redis_server redis;
    struct sidecar_process sidecar;
    struct wire wire;
    struct hf_bytes said; /* what is to be sent */
    long long id;         /* of the client, as it was told */
};

/* ---- the worlds ---- */

static bool link_is_up(void *ctx)
{
    struct fixture *f = ctx;
    struct talk talk;
    bool up;

    talk_open(&talk, f->sidecar.socket);
    up = strncmp(talk_ask(&talk, "HOLDFAST MODE"), "*3|$11|distributed|", 19) == 0;
    talk_close(&talk);
    return up;
}

static void start_online(struct fixture *f, const char *config)
{
    assert_int_equal(redis_server_start(&f->redis, NULL), 0);
    sidecar_start(&f->sidecar, f->scratch.dir, f->redis.address, config);
    assert_true(wait_until(link_is_up, f, SIDECAR_WAIT_MS));
}

static void start_away(struct fixture *f, const char *config)
{
    start_online(f, config);
    redis_server_kill(&f->redis);
}

static void start_alone(struct fixture *f, const char *config)
{
    sidecar_start(&f->sidecar, f->scratch.dir, NULL, config);
}

static void (*const worlds[])(struct fixture *f, const char *config) = {start_online, start_away, start_alone};

static void begin(struct fixture *f)
{
    *f = (struct fixture){0};
    scratch_make(&f->scratch);
}

static void end(struct fixture *f)
{
    sidecar_stop(&f->sidecar);
    redis_server_stop(&f->redis);
    scratch_remove(&f->scratch);
    hf__bytes_release(&f->said);
}

static int set_up(void **state)
{
    struct fixture *f = malloc(sizeof(*f));

    assert_non_null(f);
    begin(f);
    *state = f;
    setenv("SIDECAR_PASSWORD", "secret", 1);
    return 0;
}

static int tear_down(void **state)
{
    end(*state);
    free(*state);
    return 0;
}

/* What is pending while Redis is away stays so: nobody waits for it at the end. */
static const char config_of_worlds[] = "{\"sidecar\":{\"drain\":\"1ms\"}}";

static void in_each_world(struct fixture *f, void (*conversation)(struct fixture *f))
{
    for (size_t i = 0; i < sizeof(worlds) / sizeof(worlds[0]); i++) {
        worlds[i](f, config_of_worlds);
        conversation(f);
        end(f);
        begin(f);
    }
}

/* ---- saying and hearing ---- */

static void say_bytes(struct fixture *f, size_t argc, const struct hf_slice *argv)
{
    char line[32];

    hf__bytes_append(&f->said, line, (size_t)snprintf(line, sizeof(line), "*%zu\r\n", argc));
    for (size_t i = 0; i < argc; i++) {
        hf__bytes_append(&f->said, line, (size_t)snprintf(line, sizeof(line), "$%zu\r\n", argv[i].len));
        hf__bytes_append(&f->said, argv[i].data, argv[i].len);
        hf__bytes_append(&f->said, "\r\n", 2);
    }
}

/* Words between spaces; sent with what follows by the next flush(). */
static void say(struct fixture *f, const char *words)
{
    char copy[LINE_MAX_BYTES], *rest = copy, *word;
    struct hf_slice argv[WORDS_MAX];
    size_t argc = 0;

    assert_true((size_t)snprintf(copy, sizeof(copy), "%s", words) < sizeof(copy));
    while ((word = strsep(&rest, " "))) {
        assert_true(argc < WORDS_MAX);
        argv[argc++] = s_(word);
    }
    say_bytes(f, argc, argv);
}

static void flush(struct fixture *f)
{
    wire_send(&f->wire, f->said.bytes, f->said.len);
    hf__bytes_reset(&f->said);
}

static void ask(struct fixture *f, const char *words, const char *answer)
{
    say(f, words);
    flush(f);
    wire_hear(&f->wire, answer);
}

/* A line that begins so; the rest of it, borrowed until the next. */
static const char *hear_line(struct fixture *f, const char *beginning)
{
    static char line[LINE_MAX_BYTES];

    wire_line(&f->wire, line, sizeof(line));
    if (strncmp(line, beginning, strlen(beginning)) != 0)
        fail_msg("it said %s, expected %s...", line, beginning);
    return line + strlen(beginning);
}

/* A bulk string of lines, among them those that begin with each of the NULL-terminated `fields`. */
static void hear_info(struct fixture *f, const char *const *fields)
{
    size_t left = strtoul(hear_line(f, "$"), NULL, 10);
    unsigned found = 0, wanted = 0;

    for (size_t i = 0; fields[i]; i++)
        wanted |= 1u << i;
    while (left > 0) {
        const char *line = hear_line(f, "");
        assert_true(strlen(line) <= left);
        left -= strlen(line);
        for (size_t i = 0; fields[i]; i++)
            found |= strncmp(line, fields[i], strlen(fields[i])) == 0 ? 1u << i : 0;
    }
    wire_hear(&f->wire, "\r\n");
    assert_int_equal(found, wanted);
}

static void hear_id(struct fixture *f)
{
    f->id = strtoll(hear_line(f, ":"), NULL, 10);
    assert_true(f->id > 0);
}

/* ---- StackExchange.Redis ---- */

/* Its tracer may hold any byte. */
static const char tracer[16] = "\x0d\x0a\x00\xff$5\x0d\x0a*1\x0d\x0a-ER";

static void say_tracer(struct fixture *f)
{
    const struct hf_slice echo[] = {s_("ECHO"), hf__slice(tracer, sizeof(tracer))};

    say_bytes(f, 2, echo);
}

static void hear_tracer(struct fixture *f)
{
    wire_hear(&f->wire, "$16\r\n");
    wire_expect(&f->wire, tracer, sizeof(tracer));
    wire_hear(&f->wire, "\r\n");
}

static void say_who(struct fixture *f)
{
    say(f, "CLIENT SETNAME web-1(SE.Redis-v2.8.16.12844)");
    say(f, "CLIENT SETINFO lib-name SE.Redis");
    say(f, "CLIENT SETINFO lib-ver 2.8.16.12844");
    say(f, "CLIENT ID");
}

static void hear_who(struct fixture *f)
{
    wire_hear(&f->wire, "+OK\r\n+OK\r\n+OK\r\n");
    hear_id(f);
}

static void say_interactive(struct fixture *f)
{
    say_who(f);
    say(f, "CONFIG GET slave-read-only");
    say(f, "CONFIG GET databases");
    say(f, "SENTINEL MASTERS");
    say(f, "INFO replication");
    say(f, "INFO server");
    say(f, "CLUSTER NODES");
    say(f, "GET __Booksleeve_TieBreak");
    say_tracer(f);
}

/* Errors for SENTINEL and CLUSTER: anything else makes it take us for one of these. */
static void hear_interactive(struct fixture *f)
{
    static const char *const replication[] = {"role:master\r\n", NULL};
    static const char *const server[] = {"redis_version:7.", "redis_mode:standalone\r\n", "run_id:", NULL};

    hear_who(f);
    wire_hear(&f->wire, "*2\r\n$15\r\nslave-read-only\r\n$3\r\nyes\r\n");
    wire_hear(&f->wire, "*2\r\n$9\r\ndatabases\r\n$1\r\n1\r\n");
    hear_line(f, "-ERR unknown command 'SENTINEL'");
    hear_info(f, replication);
    hear_info(f, server);
    wire_hear(&f->wire, "-ERR This instance has cluster support disabled\r\n");
    wire_hear(&f->wire, "$-1\r\n");
    hear_tracer(f);
}

static void stackexchange_interactive(struct fixture *f)
{
    wire_open(&f->wire, f->sidecar.socket);
    say_interactive(f);
    flush(f);
    hear_interactive(f);
    ask(f, "PING", "+PONG\r\n");
    ask(f, "SELECT 0", "+OK\r\n");
    ask(f, "QUIT", "+OK\r\n");
    wire_expect_end(&f->wire);
    wire_close(&f->wire);
}

static void test_sidecar_handshakes__stackexchange_gets_what_it_asks_for_and_its_tracer(void **state)
{
    in_each_world(*state, stackexchange_interactive);
}

static void stackexchange_subscription(struct fixture *f)
{
    wire_open(&f->wire, f->sidecar.socket);
    say_who(f);
    say_tracer(f);
    say(f, "SUBSCRIBE __Booksleeve_MasterChanged");
    flush(f);
    hear_who(f);
    hear_tracer(f);
    wire_hear(&f->wire, "*3\r\n$9\r\nsubscribe\r\n$26\r\n__Booksleeve_MasterChanged\r\n:1\r\n");
    ask(f, "PING", "*2\r\n$4\r\npong\r\n$0\r\n\r\n");
    ask(f, "SUBSCRIBE news", "*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:2\r\n");
    ask(f, "UNSUBSCRIBE news", "*3\r\n$11\r\nunsubscribe\r\n$4\r\nnews\r\n:1\r\n");
    ask(f, "QUIT", "+OK\r\n");
    wire_expect_end(&f->wire);
    wire_close(&f->wire);
}

static void test_sidecar_handshakes__stackexchange_subscribes_on_a_second_connection(void **state)
{
    in_each_world(*state, stackexchange_subscription);
}

static void stackexchange_in_single_bytes(struct fixture *f)
{
    wire_open(&f->wire, f->sidecar.socket);
    say_interactive(f);
    for (size_t i = 0; i < f->said.len; i++)
        wire_send(&f->wire, f->said.bytes + i, 1);
    hf__bytes_reset(&f->said);
    hear_interactive(f);
    wire_close(&f->wire);
}

static void test_sidecar_handshakes__it_does_not_matter_in_which_pieces_they_come(void **state)
{
    in_each_world(*state, stackexchange_in_single_bytes);
}

/* ---- go-redis ---- */

static void hear_hello(struct fixture *f, int proto)
{
    static const char start[] = "$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n";

    wire_hear(&f->wire, proto == 3 ? "%7\r\n" : "*14\r\n");
    wire_hear(&f->wire, start);
    hear_line(f, "$");
    hear_line(f, "7.");
    wire_hear(&f->wire, proto == 3 ? "$5\r\nproto\r\n:3\r\n" : "$5\r\nproto\r\n:2\r\n");
    wire_hear(&f->wire, "$2\r\nid\r\n");
    hear_id(f);
    wire_hear(&f->wire, "$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$6\r\nmaster\r\n$7\r\nmodules\r\n*0\r\n");
}

static void go_greets(struct fixture *f, const char *hello)
{
    wire_open(&f->wire, f->sidecar.socket);
    say(f, hello);
    flush(f);
    hear_hello(f, 3);
    say(f, "select 0");
    say(f, "client setname worker-1");
    flush(f);
    wire_hear(&f->wire, "+OK\r\n+OK\r\n");
    say(f, "client maint_notifications on moving-endpoint-type internal-ip");
    flush(f);
    hear_line(f, "-ERR unknown subcommand 'maint_notifications'");
    say(f, "client setinfo LIB-NAME go-redis(,go1.24.1)");
    say(f, "client setinfo LIB-VER 9.20.1");
    flush(f);
    wire_hear(&f->wire, "+OK\r\n+OK\r\n");
}

/* Published on another connection: on one's own, the message may come before the reply or behind it. */
static void hear_news(struct fixture *f)
{
    struct talk other;

    talk_open(&other, f->sidecar.socket);
    assert_string_equal(talk_ask(&other, "PUBLISH news x"), ":1|");
    wire_hear(&f->wire, ">3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$1\r\nx\r\n");
    talk_close(&other);
}

/* In RESP3: a null of its own, pushed confirmations, and a PING that is answered as ever beside them. */
static void go_redis(struct fixture *f)
{
    go_greets(f, "hello 3");
    ask(f, "get nothing", "_\r\n");
    ask(f, "set k v ex 100", "+OK\r\n");
    ask(f, "get k", "$1\r\nv\r\n");
    ask(f, "subscribe news", ">3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n");
    ask(f, "ping", "+PONG\r\n");
    hear_news(f);
    wire_close(&f->wire);
}

static void test_sidecar_handshakes__go_redis_speaks_resp3_from_hello_on(void **state)
{
    in_each_world(*state, go_redis);
}

/* What is passed on is answered in the client's protocol. A script that is not known is sent again as a whole. */
static void test_sidecar_handshakes__go_redis_gets_maps_and_scripts_from_the_redis_behind(void **state)
{
    struct fixture *f = *state;

    start_online(f, NULL);
    go_greets(f, "hello 3");
    ask(f, "hset h field value", ":1\r\n");
    ask(f, "hgetall h", "%1\r\n$5\r\nfield\r\n$5\r\nvalue\r\n");
    say(f, "evalsha 0f0e0d0c0b0a09080706050403020100f0e0d0c0 1 k v");
    flush(f);
    hear_line(f, "-NOSCRIPT ");
    ask(f, "eval return{KEYS[1],ARGV[1]} 1 k v", "*2\r\n$1\r\nk\r\n$1\r\nv\r\n");
    wire_close(&f->wire);
}

/* ---- passwords ---- */

static const char config_with_password[] = "{\"sidecar\":{\"password_env\":\"SIDECAR_PASSWORD\"}}";

static void test_sidecar_handshakes__each_gives_its_password_first(void **state)
{
    struct fixture *f = *state;

    start_alone(f, config_with_password);
    go_greets(f, "hello 3 auth default secret");
    wire_close(&f->wire);

    wire_open(&f->wire, f->sidecar.socket);
    say(f, "AUTH secret");
    say_interactive(f);
    flush(f);
    wire_hear(&f->wire, "+OK\r\n");
    hear_interactive(f);
    wire_close(&f->wire);
}

/* The first words of these errors are what they look for; the connection stays. */
static void test_sidecar_handshakes__a_wrong_password_is_told_by_the_words_they_know(void **state)
{
    struct fixture *f = *state;

    start_alone(f, config_with_password);
    wire_open(&f->wire, f->sidecar.socket);
    say(f, "hello 3");
    say(f, "hello 3 auth default wrong");
    say(f, "AUTH wrong");
    say(f, "hello 4 auth default secret");
    say(f, "CLIENT ID");
    say(f, "AUTH default secret");
    say(f, "ping");
    flush(f);
    hear_line(f, "-NOAUTH ");
    hear_line(f, "-WRONGPASS ");
    hear_line(f, "-WRONGPASS ");
    hear_line(f, "-NOPROTO ");
    hear_line(f, "-NOAUTH ");
    wire_hear(&f->wire, "+OK\r\n+PONG\r\n");
    wire_close(&f->wire);
}

/* ---- redis-rs with deadpool, and node-redis 4 ---- */

static void redis_rs(struct fixture *f)
{
    wire_open(&f->wire, f->sidecar.socket);
    say(f, "SELECT 0");
    say(f, "CLIENT SETINFO LIB-NAME redis-rs");
    say(f, "CLIENT SETINFO LIB-VER 0.27.6");
    flush(f);
    wire_hear(&f->wire, "+OK\r\n+OK\r\n+OK\r\n");
    say(f, "UNWATCH");
    say(f, "PING 41");
    flush(f);
    wire_hear(&f->wire, "+OK\r\n$2\r\n41\r\n");
    say(f, "MULTI");
    say(f, "SET a 1");
    say(f, "SET b 2");
    say(f, "EXEC");
    flush(f);
    wire_hear(&f->wire, "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+OK\r\n+OK\r\n");
    wire_close(&f->wire);
}

static void test_sidecar_handshakes__redis_rs_takes_its_connection_back_from_the_pool(void **state)
{
    in_each_world(*state, redis_rs);
}

static void node_redis_4(struct fixture *f)
{
    wire_open(&f->wire, f->sidecar.socket);
    say(f, "CLIENT SETINFO LIB-NAME node-redis");
    say(f, "CLIENT SETINFO LIB-VER 1.6.0");
    say(f, "PING");
    flush(f);
    wire_hear(&f->wire, "+OK\r\n+OK\r\n+PONG\r\n");
    ask(f, "QUIT", "+OK\r\n");
    wire_expect_end(&f->wire);
    wire_close(&f->wire);
}

static void test_sidecar_handshakes__node_redis_4_comes_and_goes(void **state)
{
    in_each_world(*state, node_redis_4);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_sidecar_handshakes__##name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(stackexchange_gets_what_it_asks_for_and_its_tracer),
        TEST(stackexchange_subscribes_on_a_second_connection),
        TEST(it_does_not_matter_in_which_pieces_they_come),
        TEST(go_redis_speaks_resp3_from_hello_on),
        TEST(go_redis_gets_maps_and_scripts_from_the_redis_behind),
        TEST(each_gives_its_password_first),
        TEST(a_wrong_password_is_told_by_the_words_they_know),
        TEST(redis_rs_takes_its_connection_back_from_the_pool),
        TEST(node_redis_4_comes_and_goes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
