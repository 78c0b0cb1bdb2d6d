/* What is passed on to Redis: the same bytes as Redis's own, in order with what is done here, and honest when Redis goes away.
 * `other` is a redis-server to compare with, which no sidecar stands in front of. */
#include "proxy.h"
#include "redis_server.h"
#include "sidecar_process.h"

#include "command.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BOUND_MS 10000
#define ROUNDS 300
#define LARGE_VALUES 8

struct fixture {
    struct scratch scratch;
    struct redis_server redis, other;
    struct sidecar_process sidecar;
    struct talk talk, second, direct;
};

/* ---- fixture ---- */

#define NAMESPACES                                                                                                 \
    "\"namespaces\":[{\"prefix\":\"behind:\",\"write_mode\":\"behind\"},{\"prefix\":\"mine:\",\"write_mode\":"     \
    "\"local\"}]"
static const char config[] = "{" NAMESPACES "}";
static const char config_with_patience[] = "{\"redis\":{\"timeout\":\"15s\"}," NAMESPACES "}";
static const char config_with_user[] =
    "{" NAMESPACES
    ",\"sidecar\":{\"users\":[{\"name\":\"app\",\"password_env\":\"APP_PASSWORD\",\"prefixes\":[\"app:\"]}]}}";

static bool answers(void *ctx)
{
    struct fixture *f = ctx;

    return strncmp(talk_ask(&f->talk, "HLEN nothing"), ":0", 2) == 0;
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    *state = f;
    setenv("APP_PASSWORD", "secret", 1);
    scratch_make(&f->scratch);
    assert_int_equal(redis_server_start(&f->redis, NULL), 0);
    assert_int_equal(redis_server_start(&f->other, NULL), 0);
    sidecar_start(&f->sidecar, f->scratch.dir, f->redis.address, config);
    talk_open(&f->talk, f->sidecar.socket);
    talk_open(&f->second, f->sidecar.socket);
    talk_open(&f->direct, f->other.socket);
    assert_true(wait_until(answers, f, BOUND_MS));
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    talk_close(&f->talk);
    talk_close(&f->second);
    talk_close(&f->direct);
    sidecar_stop(&f->sidecar);
    redis_server_stop(&f->redis);
    redis_server_stop(&f->other);
    scratch_remove(&f->scratch);
    free(f);
    return 0;
}

static void restart_with(struct fixture *f, const char *text)
{
    talk_close(&f->talk);
    sidecar_stop(&f->sidecar);
    sidecar_start(&f->sidecar, f->scratch.dir, f->sidecar.redis, text);
    talk_open(&f->talk, f->sidecar.socket);
}

/* The user of `config_with_user`, as soon as Redis is there. */
static bool may_write(void *ctx)
{
    struct fixture *f = ctx;

    return talk_ask(&f->talk, "HSET app:first f v")[0] == ':';
}

/* ---- assertions ---- */

static void assert_begins(struct talk *talk, const char *words, const char *expected)
{
    const char *reply = talk_ask(talk, words);

    if (strncmp(reply, expected, strlen(expected)) != 0)
        fail_msg("%s: the reply is %s, expected %s...", words, reply, expected);
}

/* Through the sidecar and straight to the other server. */
static void assert_same(struct fixture *f, const char *words)
{
    char expected[65536];

    snprintf(expected, sizeof(expected), "%s", talk_ask(&f->direct, words));
    talk_expect(&f->talk, words, expected);
}

static void send_words(struct talk *talk, const char *words)
{
    char copy[256], *rest = copy, *word;
    struct hf_slice argv[16];
    size_t argc = 0;

    snprintf(copy, sizeof(copy), "%s", words);
    while ((word = strsep(&rest, " ")) && argc < 16)
        argv[argc++] = s_(word);
    talk_send(talk, argc, argv);
}

static bool is_silent(const struct talk *talk, int ms)
{
    struct pollfd ready = {.fd = talk->fd, .events = POLLIN};

    return poll(&ready, 1, ms) == 0;
}

static void assert_next(struct talk *talk, const char *part)
{
    struct hf_slice reply = talk_reply(talk);

    if (!memmem(reply.data, reply.len, part, strlen(part)))
        fail_msg("the reply is %.*s, expected it to hold %s", (int)reply.len, (const char *)reply.data, part);
}

/* ---- the same bytes ---- */

static const char *const conversation[] = {
    "HSET h a 1 b 2 c 3",
    "HGET h a",
    "HGET h none",
    "HGETALL h",
    "HGETALL none",
    "HMGET h a none c",
    "HINCRBYFLOAT h a 0.1",
    "HINCRBY h b x",
    "HSET h a",
    "LPUSH l 1 2 3 4",
    "LRANGE l 0 -1",
    "LPOP l 2",
    "LPOP none",
    "LPOP none 2",
    "LMPOP 2 none l LEFT COUNT 2",
    "LMPOP 1 none LEFT",
    "BLPOP none 0.01",
    "RPUSH l x",
    "BLPOP none l 0",
    "BLMPOP 0.01 1 none LEFT",
    "LPUSH h x",
    "SADD s one",
    "SMEMBERS s",
    "SMISMEMBER s one two",
    "SINTERCARD 2 s s LIMIT 1",
    "ZADD z 1.5 a 2 b 3.25 c inf d",
    "ZSCORE z a",
    "ZSCORE z none",
    "ZMSCORE z a none d",
    "ZRANGE z 0 -1 WITHSCORES",
    "ZINCRBY z 0.1 a",
    "ZPOPMIN z",
    "ZRANGEBYSCORE z -inf +inf LIMIT 0 1",
    "ZUNION 2 z s WITHSCORES",
    "ZUNIONSTORE zu 2 z s WEIGHTS 2 3",
    "ZRANDMEMBER none",
    "ZADD z x y",
    "XADD x 1-1 field value",
    "XADD x 1-1 field value",
    "XADD x 2-0 f v g w",
    "XRANGE x - +",
    "XREAD COUNT 1 STREAMS x 0",
    "XREAD STREAMS x 9",
    "XREAD BLOCK 10 STREAMS x $",
    "XGROUP CREATE x g 0",
    "XREADGROUP GROUP g me COUNT 1 STREAMS x >",
    "XACK x g 1-1",
    "XINFO STREAM x",
    "XPENDING x g",
    "GEOADD geo 13.361389 38.115556 Palermo 15.087269 37.502669 Catania",
    "GEODIST geo Palermo Catania",
    "GEOPOS geo Palermo none",
    "GEOSEARCH geo FROMLONLAT 15 37 BYRADIUS 200 km ASC WITHDIST WITHCOORD",
    "PFADD p a b c",
    "PFCOUNT p",
    "SETBIT bits 7 1",
    "BITCOUNT bits",
    "BITFIELD bits GET u8 0 INCRBY u8 0 1",
    "SORT s ALPHA",
    "EVAL return{1,{2,{3,{4,'x'}}},false,redis.status_reply('fine'),redis.error_reply('bad')} 0",
    "EVAL return{KEYS[1],ARGV[1]} 1 k v",
    "EVAL return{} 0",
    "EVAL return(nil) 0",
    "EVAL return'' 0",
    "EVAL error('x') 0",
    "EVAL redis.setresp(3);return{double=3.1415926535897931} 0",
    "EVAL redis.setresp(3);return{big_number='1234567999999999999999999999999999999'} 0",
    "EVAL redis.setresp(3);return{verbatim_string={format='txt',string='a'}} 0",
    "EVAL redis.setresp(3);return{map={one=true}} 0",
    "EVAL redis.setresp(3);return{set={one=true}} 0",
    "EVAL redis.setresp(3);return{true,false} 0",
    "EVAL return 0 none",
    "EVALSHA ffffffffffffffffffffffffffffffffffffffff 0",
    "SCRIPT EXISTS ffffffffffffffffffffffffffffffffffffffff",
    "SCRIPT LOAD return(1)",
    "EVALSHA a39b6c2beb0e1f7e5c2f1a4ae5e6bf5b9a9d65c1 0",
    "FUNCTION LIST",
    "CLUSTER NODES",
    "READONLY",
    "NOSUCH a b",
    "HGET",
};

static void converse(struct fixture *f)
{
    for (size_t i = 0; i < sizeof(conversation) / sizeof(conversation[0]); i++)
        assert_same(f, conversation[i]);
}

static void test_upstream__replies_of_resp2_are_those_of_redis_byte_by_byte(void **state)
{
    converse(*state);
}

static void test_upstream__replies_of_resp3_are_those_of_redis_byte_by_byte(void **state)
{
    struct fixture *f = *state;

    assert_begins(&f->talk, "HELLO 3", "%7|");
    (void)talk_ask(&f->direct, "HELLO 3");
    converse(f);
}

static void test_upstream__arguments_and_values_of_any_bytes_and_megabytes_pass(void **state)
{
    struct fixture *f = *state;
    size_t len = 9u << 20;
    char *value = malloc(len);
    struct hf_slice set[] = {s_("HSET"), s_("big"), hf__slice("a\0\r\n", 4), hf__slice(value, len)};
    struct hf_slice get[] = {s_("HGET"), s_("big"), hf__slice("a\0\r\n", 4)};
    struct hf_slice reply;

    assert_non_null(value);
    for (size_t i = 0; i < len; i++)
        value[i] = (char)(i * 31 + i / 251);
    talk_send(&f->talk, 4, set);
    assert_next(&f->talk, ":1\r\n");
    talk_send(&f->talk, 3, get);
    reply = talk_reply(&f->talk);
    assert_int_equal(reply.len, len + 12); /* "$9437184" and two line ends */
    assert_memory_equal((const char *)reply.data + 10, value, len);
    free(value);
}

/* ---- the table ---- */

static const char *string_of(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_STRING || reply->type == REDIS_REPLY_STATUS ? reply->str : "";
}

static bool has_flag(const redisReply *info, const char *flag)
{
    for (size_t i = 0; i < info->element[2]->elements; i++) {
        if (strcmp(string_of(info->element[2]->element[i]), flag) == 0)
            return true;
    }
    return false;
}

/* Named here, so that each is linked in. */
static const struct command *const tables[] = {connection_commands, string_commands,      key_commands,
                                               scan_commands,       transaction_commands, pubsub_commands,
                                               server_commands,     passed_on_commands};

static const struct command *find_command(struct hf_slice name)
{
    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
        assert_non_null(tables[i]->name);
    return command_find(name);
}

static void assert_row(const redisReply *info)
{
    const struct command *command = find_command(s_(string_of(info->element[0])));

    if (!command)
        fail_msg("'%s' of Redis is not known", string_of(info->element[0]));
    if (!(command->flags & (COMMAND_PASSED_ON | COMMAND_NEVER_PASSED)))
        return;
    if (command->arity != info->element[1]->integer || command->first_key != info->element[3]->integer ||
        command->last_key != info->element[4]->integer || command->key_step != info->element[5]->integer)
        fail_msg("'%s' has other keys or another arity in Redis", command->name);
    if (!!(command->flags & COMMAND_WRITE) != has_flag(info, "write") ||
        !!(command->flags & COMMAND_READ) != has_flag(info, "readonly"))
        fail_msg("'%s' has other flags in Redis", command->name);
    if (has_flag(info, "blocking") && !(command->flags & COMMAND_BLOCKING))
        fail_msg("'%s' blocks in Redis", command->name);
    if (has_flag(info, "movablekeys") && !command->keys && (command->flags & COMMAND_PASSED_ON))
        fail_msg("the keys of '%s' move in Redis", command->name);
}

static void test_upstream__every_command_of_redis_is_known_with_its_arity_and_keys(void **state)
{
    struct fixture *f = *state;
    redisReply *all = redis_server_command(&f->other, "COMMAND");

    assert_non_null(all);
    assert_true(all->elements > 200);
    for (size_t i = 0; i < all->elements; i++)
        assert_row(all->element[i]);
    freeReplyObject(all);
}

static const char *const with_keys[] = {
    "EVAL x 2 a b c",
    "EVALSHA x 0",
    "FCALL x 1 a b",
    "ZUNION 2 a b WEIGHTS 1 2",
    "ZINTERCARD 1 a LIMIT 3",
    "SINTERCARD 3 a b c",
    "LMPOP 2 a b LEFT",
    "BLMPOP 1 2 a b LEFT COUNT 3",
    "BZMPOP 1 1 a MIN",
    "ZUNIONSTORE d 2 a b",
    "ZDIFFSTORE d 1 a",
    "XREAD COUNT 5 STREAMS a b 0 1",
    "XREADGROUP GROUP g c NOACK STREAMS a >",
    "SORT a LIMIT 0 5 STORE d",
    "SORT a BY nosort GET # STORE d",
    "SORT_RO a ALPHA",
    "GEORADIUS a 1 2 3 km STORE d",
    "GEORADIUSBYMEMBER a m 3 km STOREDIST d",
    "XGROUP CREATE a g 0",
    "XINFO STREAM a",
    "BITOP AND d a b",
    "BLPOP a b c 0",
    "LMOVE a b LEFT RIGHT",
    "PFMERGE d a b",
    "SMOVE a b m",
    "GEOSEARCHSTORE d a FROMMEMBER m BYRADIUS 1 m",
};

static void assert_keys(struct fixture *f, const char *words)
{
    char copy[256], line[300], *rest = copy, *word;
    struct hf_slice argv[16], keys[16];
    size_t argc = 0, n;
    redisReply *expected;

    snprintf(line, sizeof(line), "COMMAND GETKEYS %s", words);
    expected = redis_server_command(&f->other, line);
    assert_non_null(expected);
    snprintf(copy, sizeof(copy), "%s", words);
    while ((word = strsep(&rest, " ")) && argc < 16)
        argv[argc++] = s_(word);
    n = command_keys(find_command(argv[0]), argc, argv, keys, 16);
    if (expected->type == REDIS_REPLY_ERROR) { /* "The command has no key arguments" */
        assert_int_equal(n, 0);
        freeReplyObject(expected);
        return;
    }
    if (n != expected->elements)
        fail_msg("%s: %zu keys, expected %zu", words, n, expected->elements);
    for (size_t i = 0; i < n; i++) { /* in any order */
        bool found = false;
        for (size_t k = 0; k < n; k++)
            found = found || hf__slice_eq(keys[i], s_(expected->element[k]->str));
        assert_true(found);
    }
    freeReplyObject(expected);
}

static void test_upstream__keys_are_found_where_redis_finds_them(void **state)
{
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(with_keys) / sizeof(with_keys[0]); i++)
        assert_keys(f, with_keys[i]);
}

static void test_upstream__what_is_for_the_operator_of_redis_is_refused(void **state)
{
    static const char *const refused[] = {
        "SHUTDOWN NOSAVE",
        "DEBUG SLEEP 0",
        "REPLICAOF localhost 1",
        "SLAVEOF localhost 1",
        "FAILOVER",
        "MODULE LIST",
        "ACL SETUSER x on",
        "ACL DELUSER default",
        "ACL LOG RESET",
        "SYNC",
        "PSYNC ? -1",
        "MONITOR",
        "SAVE",
        "BGSAVE",
        "BGREWRITEAOF",
        "SWAPDB 0 1",
        "MIGRATE h 1 k 0 1",
        "PFDEBUG ENCODING k",
        "MOVE h 1",
        "REPLCONF ACK 0",
        "RESTORE-ASKING k 0 x",
        "SCRIPT DEBUG YES",
        "SSUBSCRIBE c",
        "HSET _hf:own f v",
        "ZUNIONSTORE d 1 _hf:own",
        "EVAL return(1) 1 _hf:own",
    };
    struct fixture *f = *state;

    talk_expect(&f->talk, "HSET h a 1", ":1|");
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
        assert_begins(&f->talk, refused[i], "-ERR ");
    talk_expect(&f->talk, "HGET h a", "$1|1|");
    assert_int_equal(redis_server_number(&f->redis, "DBSIZE") > 0, 1);
}

/* ---- order with what is done here ---- */

static void test_upstream__a_script_sees_what_was_written_here_before_it(void **state)
{
    struct fixture *f = *state;
    char words[128], expected[64];

    for (int i = 0; i < ROUNDS; i++) {
        snprintf(words, sizeof(words), "SET behind:k %d", 1000 + i);
        talk_expect(&f->talk, words, "+OK|");
        snprintf(expected, sizeof(expected), "$4|%d|", 1000 + i);
        talk_expect(&f->talk, "EVAL return(redis.call('get',KEYS[1])) 1 behind:k", expected);
    }
}

/* They take longer to be shared than a script takes to arrive. */
static void test_upstream__a_script_waits_for_megabytes_that_were_written_before_it(void **state)
{
    struct fixture *f = *state;
    size_t len = 4u << 20;
    char *value = calloc(1, len), key[32], words[96];
    struct hf_slice set[] = {s_("SET"), {0}, hf__slice(value, len)};

    assert_non_null(value);
    restart_with(f, config_with_patience);
    assert_true(wait_until(answers, f, BOUND_MS));
    for (int i = 0; i < LARGE_VALUES; i++) {
        snprintf(key, sizeof(key), "behind:%d", i);
        set[1] = s_(key);
        talk_send(&f->talk, 3, set);
    }
    snprintf(words, sizeof(words), "EVAL return(redis.call('exists',KEYS[1])) 1 %s", key);
    send_words(&f->talk, words);
    for (int i = 0; i < LARGE_VALUES; i++)
        assert_next(&f->talk, "+OK");
    assert_next(&f->talk, ":1");
    free(value);
}

static void test_upstream__a_read_here_sees_what_a_script_has_changed_there(void **state)
{
    struct fixture *f = *state;
    char words[128], expected[64];

    for (int i = 0; i < ROUNDS; i++) {
        snprintf(words, sizeof(words), "SET k here-%d", 1000 + i);
        talk_expect(&f->talk, words, "+OK|");
        snprintf(words, sizeof(words), "EVAL return(redis.call('set',KEYS[1],ARGV[1])) 1 k there%d", 1000 + i);
        talk_expect(&f->talk, words, "+OK|");
        snprintf(expected, sizeof(expected), "$9|there%d|", 1000 + i);
        talk_expect(i % 2 ? &f->talk : &f->second, "GET k", expected);
    }
}

static void test_upstream__pipelined_commands_are_answered_in_order(void **state)
{
    struct fixture *f = *state;
    char words[64], expected[32];

    for (int i = 0; i < ROUNDS; i++) {
        snprintf(words, sizeof(words), i % 3 == 0 ? "SET n %d" : i % 3 == 1 ? "GET n" : "HSET h f %d", i);
        send_words(&f->talk, words);
    }
    for (int i = 0; i < ROUNDS; i++) {
        snprintf(expected, sizeof(expected), "\r\n%d\r\n", i - 1);
        assert_next(&f->talk, i % 3 == 0 ? "+OK" : i % 3 == 1 ? expected : i == 2 ? ":1" : ":0");
    }
}

/* ---- waiting ---- */

static void test_upstream__a_blocked_client_waits_beyond_the_timeout_while_others_go_on(void **state)
{
    struct fixture *f = *state;

    send_words(&f->talk, "BLPOP queue 0");
    talk_expect(&f->second, "SET x 1", "+OK|");
    talk_expect(&f->second, "HSET h a 1", ":1|");
    assert_true(is_silent(&f->talk, HF_REDIS_TIMEOUT_DEFAULT_MS + 300));
    talk_expect(&f->second, "LPUSH queue item", ":1|");
    assert_next(&f->talk, "item");
}

static bool nobody_waits(void *ctx)
{
    struct fixture *f = ctx;
    char text[4096];

    return strstr(redis_server_text(&f->redis, text, sizeof(text), "INFO clients"), "blocked_clients:0") != NULL;
}

static bool somebody_waits(void *ctx)
{
    return !nobody_waits(ctx);
}

static void test_upstream__a_client_that_goes_away_leaves_nobody_waiting_in_redis(void **state)
{
    struct fixture *f = *state;

    send_words(&f->talk, "BLPOP queue 0");
    assert_true(wait_until(somebody_waits, f, BOUND_MS));
    talk_close(&f->talk);
    assert_true(wait_until(nobody_waits, f, BOUND_MS));
    talk_expect(&f->second, "LPUSH queue item", ":1|");
    talk_expect(&f->second, "LRANGE queue 0 -1", "*1|$4|item|");
}

/* ---- Redis goes away ---- */

static void test_upstream__an_outage_is_in_doubt_for_what_was_sent_and_offline_for_what_was_not(void **state)
{
    struct fixture *f = *state;

    send_words(&f->talk, "BLPOP queue 0");
    assert_true(wait_until(somebody_waits, f, BOUND_MS));
    redis_server_kill(&f->redis);
    assert_next(&f->talk, "-INDOUBT ");
    for (int i = 0; i < 3; i++) {
        assert_begins(&f->talk, "HSET h a 1", "-OFFLINE ");
        assert_begins(&f->second, "EVAL return(1) 0", "-OFFLINE ");
        talk_expect(&f->second, "SET x 1", "+OK|");
        talk_expect(&f->second, "GET x", "$1|1|");
    }
    assert_int_equal(redis_server_restart(&f->redis), 0);
    assert_true(wait_until(answers, f, BOUND_MS));
    talk_expect(&f->talk, "EXISTS nothing", ":0|");
    talk_expect(&f->talk, "HEXISTS h a", ":0|");
    talk_expect(&f->second, "EVAL return(redis.call('get',KEYS[1])) 1 x", "$1|1|");
}

static void test_upstream__a_frozen_redis_costs_the_timeout_and_is_in_doubt(void **state)
{
    struct fixture *f = *state;
    int64_t began;

    talk_expect(&f->talk, "HSET h a 1", ":1|");
    redis_server_pause(&f->redis);
    began = wall_ms();
    assert_begins(&f->talk, "HSET h a 2", "-INDOUBT ");
    assert_true(wall_ms() - began < BOUND_MS / 2);
    redis_server_resume(&f->redis);
    assert_true(wait_until(answers, f, BOUND_MS));
    assert_begins(&f->talk, "HGET h a", "$1|"); /* the old or the new one */
}

static void test_upstream__bytes_that_nobody_asked_for_break_a_connection_and_nothing_else(void **state)
{
    static const char *const bytes[] = {
        "+OK\r\n",         "$-1\r\n",          "!no type\r\n",       "*99999999999\r\n",
        ">1\r\n+push\r\n", "-ERR go away\r\n", "*2\r\n$3\r\nabc\r\n"};
    struct fixture *f = *state;
    char path[96], address[112];
    struct proxy *proxy;

    snprintf(path, sizeof(path), "%s/proxy.sock", f->scratch.dir);
    snprintf(address, sizeof(address), "unix://%s", path);
    proxy = proxy_start(path, f->redis.socket);
    assert_non_null(proxy);
    f->sidecar.redis = address;
    restart_with(f, config);
    for (size_t i = 0; i < sizeof(bytes) / sizeof(bytes[0]); i++) {
        assert_true(wait_until(answers, f, BOUND_MS));
        proxy_inject(proxy, bytes[i]);
        (void)talk_ask(&f->talk, "HLEN nothing"); /* it may be answered, be in doubt, or be offline */
        talk_expect(&f->talk, "SET x 1", "+OK|");
    }
    assert_true(wait_until(answers, f, BOUND_MS));
    talk_expect(&f->talk, "HSET h a 1", ":1|");
    sidecar_stop(&f->sidecar);
    proxy_stop(proxy);
}

static void test_upstream__a_store_without_redis_says_so(void **state)
{
    struct fixture *f = *state;

    f->sidecar.redis = NULL;
    restart_with(f, config);
    assert_begins(&f->talk, "HSET h a 1", "-OFFLINE ");
    talk_expect(&f->talk, "SET x 1", "+OK|");
    assert_begins(&f->talk, "NOSUCH x", "-ERR unknown command 'NOSUCH', with args beginning with: 'x'");
}

/* ---- rights ---- */

static void test_upstream__a_user_with_prefixes_reaches_no_other_keys_there(void **state)
{
    static const char *const refused[] = {
        "HSET other f v",
        "RENAMENX app:a other",
        "ZUNIONSTORE app:d 2 app:a other",
        "ZUNIONSTORE other 1 app:a",
        "XREAD STREAMS app:a other 0 0",
        "SORT app:a BY other:*",
        "SORT app:a GET other:*",
        "SORT app:a STORE other",
        "GEORADIUS app:a 1 2 3 km STORE other",
        "EVAL return(redis.call('get','other')) 0",
        "EVAL return(1) 1 app:a",
        "FCALL f 0",
        "SCRIPT FLUSH",
        "FUNCTION FLUSH",
        "NOSUCH app:a",
        "BLPOP other 0",
        "XGROUP CREATE other g 0",
    };
    struct fixture *f = *state;

    restart_with(f, config_with_user);
    talk_expect(&f->talk, "AUTH app secret", "+OK|");
    assert_true(wait_until(may_write, f, BOUND_MS));
    talk_expect(&f->talk, "HSET app:h f v", ":1|");
    talk_expect(&f->talk, "ZUNIONSTORE app:d 1 app:none", ":0|");
    talk_expect(&f->talk, "XREAD STREAMS app:s 0", "*-1|");
    talk_expect(&f->talk, "SORT app:l STORE app:d", ":0|");
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
        assert_begins(&f->talk, refused[i], "-NOPERM ");
}

static void test_upstream__a_namespace_that_is_never_shared_is_not_passed_on(void **state)
{
    struct fixture *f = *state;

    talk_expect(&f->talk, "SET mine:k here", "+OK|");
    assert_begins(&f->talk, "HSET mine:h f v", "-OFFLINE ");
    assert_begins(&f->talk, "EVAL return(redis.call('get',KEYS[1])) 1 mine:k", "-OFFLINE ");
    assert_int_equal(redis_server_number(&f->redis, "EXISTS mine:h mine:k"), 0);
}

/* ---- transactions ---- */

static void test_upstream__a_transaction_with_a_command_of_redis_is_passed_on_whole(void **state)
{
    struct fixture *f = *state;

    talk_expect(&f->talk, "MULTI", "+OK|");
    talk_expect(&f->talk, "SET k v", "+QUEUED|");
    talk_expect(&f->talk, "HSET h a 1 b 2", "+QUEUED|");
    talk_expect(&f->talk, "LPUSH h x", "+QUEUED|");
    talk_expect(&f->talk, "HGETALL h", "+QUEUED|");
    talk_expect(
        &f->talk, "EXEC",
        "*4|+OK|:2|-WRONGTYPE Operation against a key holding the wrong kind of value|*4|$1|a|$1|1|$1|b|$1|2|");
    talk_expect(&f->second, "GET k", "$1|v|");
}

static void test_upstream__a_watched_key_that_another_has_changed_ends_the_transaction(void **state)
{
    struct fixture *f = *state;

    talk_expect(&f->talk, "SET k 1", "+OK|");
    talk_expect(&f->talk, "WATCH k", "+OK|");
    talk_expect(&f->talk, "GET k", "$1|1|");
    freeReplyObject(redis_server_command(&f->redis, "SET k 2"));
    talk_expect(&f->talk, "MULTI", "+OK|");
    talk_expect(&f->talk, "SET k 3", "+QUEUED|");
    talk_expect(&f->talk, "EXEC", "*-1|");
    talk_expect(&f->talk, "MULTI", "+OK|");
    talk_expect(&f->talk, "SET k 3", "+QUEUED|");
    talk_expect(&f->talk, "EXEC", "*1|+OK|");
}

static void test_upstream__unwatch_and_discard_forget_what_was_watched(void **state)
{
    struct fixture *f = *state;

    for (int i = 0; i < 2; i++) {
        talk_expect(&f->talk, "WATCH k", "+OK|");
        if (i == 0) {
            talk_expect(&f->talk, "UNWATCH", "+OK|");
        } else {
            talk_expect(&f->talk, "MULTI", "+OK|");
            talk_expect(&f->talk, "DISCARD", "+OK|");
        }
        freeReplyObject(redis_server_command(&f->redis, "SET k %d", i));
        talk_expect(&f->talk, "MULTI", "+OK|");
        talk_expect(&f->talk, "HSET h a 1", "+QUEUED|");
        talk_expect(&f->talk, "EXEC", i == 0 ? "*1|:1|" : "*1|:0|");
    }
}

static void test_upstream__a_watch_that_an_outage_has_ended_aborts_the_transaction(void **state)
{
    struct fixture *f = *state;

    talk_expect(&f->talk, "WATCH k", "+OK|");
    redis_server_kill(&f->redis);
    assert_int_equal(redis_server_restart(&f->redis), 0);
    talk_close(&f->second);
    talk_open(&f->second, f->sidecar.socket);
    talk_expect(&f->talk, "MULTI", "+OK|");
    talk_expect(&f->talk, "HSET h a 1", "+QUEUED|");
    {
        struct talk watching = f->talk;
        f->talk = f->second;
        assert_true(wait_until(answers, f, BOUND_MS));
        f->second = f->talk;
        f->talk = watching;
    }
    assert_begins(&f->talk, "EXEC", "-EXECABORT ");
    talk_expect(&f->talk, "HEXISTS h a", ":0|");
}

static void test_upstream__what_is_about_this_server_has_no_place_in_a_transaction_of_redis(void **state)
{
    static const char *const strangers[] = {"FLUSHALL", "MOVE k 1", "SHUTDOWN", "DEBUG SLEEP 0"};
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(strangers) / sizeof(strangers[0]); i++) {
        talk_expect(&f->talk, "MULTI", "+OK|");
        talk_expect(&f->talk, "HSET h a 1", "+QUEUED|");
        (void)talk_ask(&f->talk, strangers[i]);
        assert_begins(&f->talk, "EXEC", "-EXECABORT ");
        talk_expect(&f->talk, "HEXISTS h a", ":0|");
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_upstream__replies_of_resp2_are_those_of_redis_byte_by_byte),
        TEST(test_upstream__replies_of_resp3_are_those_of_redis_byte_by_byte),
        TEST(test_upstream__arguments_and_values_of_any_bytes_and_megabytes_pass),
        TEST(test_upstream__every_command_of_redis_is_known_with_its_arity_and_keys),
        TEST(test_upstream__keys_are_found_where_redis_finds_them),
        TEST(test_upstream__what_is_for_the_operator_of_redis_is_refused),
        TEST(test_upstream__a_script_sees_what_was_written_here_before_it),
        TEST(test_upstream__a_script_waits_for_megabytes_that_were_written_before_it),
        TEST(test_upstream__a_read_here_sees_what_a_script_has_changed_there),
        TEST(test_upstream__pipelined_commands_are_answered_in_order),
        TEST(test_upstream__a_blocked_client_waits_beyond_the_timeout_while_others_go_on),
        TEST(test_upstream__a_client_that_goes_away_leaves_nobody_waiting_in_redis),
        TEST(test_upstream__an_outage_is_in_doubt_for_what_was_sent_and_offline_for_what_was_not),
        TEST(test_upstream__a_frozen_redis_costs_the_timeout_and_is_in_doubt),
        TEST(test_upstream__bytes_that_nobody_asked_for_break_a_connection_and_nothing_else),
        TEST(test_upstream__a_store_without_redis_says_so),
        TEST(test_upstream__a_user_with_prefixes_reaches_no_other_keys_there),
        TEST(test_upstream__a_namespace_that_is_never_shared_is_not_passed_on),
        TEST(test_upstream__a_transaction_with_a_command_of_redis_is_passed_on_whole),
        TEST(test_upstream__a_watched_key_that_another_has_changed_ends_the_transaction),
        TEST(test_upstream__unwatch_and_discard_forget_what_was_watched),
        TEST(test_upstream__a_watch_that_an_outage_has_ended_aborts_the_transaction),
        TEST(test_upstream__what_is_about_this_server_has_no_place_in_a_transaction_of_redis),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
