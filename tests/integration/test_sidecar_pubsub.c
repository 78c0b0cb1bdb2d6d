/* Publish and subscribe through holdfastd: with clients here, with clients of the Redis behind it, and while that is away. `other` is
 * a redis-server to compare with. */
#include "redis_server.h"
#include "sidecar_process.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BOUND_MS 10000
#define QUIET_MS 200 /* a message that is not to come would be there by then */
#define ROUNDS 200

struct fixture {
    struct scratch scratch;
    struct redis_server redis, other;
    struct sidecar_process sidecar;
    struct talk talk, second, third;
};

/* ---- fixture ---- */

/* With patience, for a machine that is busy: what cannot be shared in time is published here alone. */
static const char config[] =
    "{\"redis\":{\"timeout\":\"3s\"},\"namespaces\":[{\"prefix\":\"behind:\",\"write_mode\":\"behind\"}]}";
static const char config_with_user[] =
    "{\"sidecar\":{\"users\":[{\"name\":\"app\",\"password_env\":\"APP_PASSWORD\",\"prefixes\":[\"app:\"]}]}}";

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
    talk_open(&f->third, f->sidecar.socket);
    assert_true(wait_until(answers, f, BOUND_MS));
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    talk_close(&f->talk);
    talk_close(&f->second);
    talk_close(&f->third);
    sidecar_stop(&f->sidecar);
    redis_server_stop(&f->redis);
    redis_server_stop(&f->other);
    scratch_remove(&f->scratch);
    free(f);
    return 0;
}

/* ---- conversations ---- */

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

/* The next reply or message, with '|' for each end of line. */
static void assert_next(struct talk *talk, const char *expected)
{
    struct hf_slice reply = talk_reply(talk);
    char shown[1024];
    size_t n = 0;

    for (size_t i = 0; i < reply.len && n + 1 < sizeof(shown); i++) {
        char c = ((const char *)reply.data)[i];
        if (c != '\r')
            shown[n++] = c == '\n' ? '|' : c;
    }
    shown[n] = '\0';
    if (strcmp(shown, expected) != 0)
        fail_msg("there came %s, expected %s", shown, expected);
}

static void assert_reply(struct talk *talk, const char *words, const char *expected)
{
    send_words(talk, words);
    assert_next(talk, expected);
}

static void assert_silent(const struct talk *talk)
{
    struct pollfd ready = {.fd = talk->fd, .events = POLLIN};

    if (talk->at < talk->in.len || poll(&ready, 1, QUIET_MS) != 0)
        fail_msg("there came something, expected nothing");
}

static long long publish_there(struct fixture *f, const char *channel, const char *payload)
{
    return redis_server_number(&f->redis, "PUBLISH %s %s", channel, payload);
}

/* ---- the same bytes ---- */

static const struct {
    const char *words;
    int replies;
} conversation[] = {
    {"UNSUBSCRIBE", 1},   {"PUNSUBSCRIBE", 1},    {"UNSUBSCRIBE x y", 2},
    {"SUBSCRIBE a", 1},   {"SUBSCRIBE a b c", 3}, {"PSUBSCRIBE n* m*", 2},
    {"PING", 1},          {"PING hello", 1},      {"UNSUBSCRIBE b", 1},
    {"UNSUBSCRIBE b", 1}, {"PUNSUBSCRIBE m*", 1}, {"SUBSCRIBE", 1},
    {"UNSUBSCRIBE a", 1}, {"UNSUBSCRIBE", 1},     {"PUNSUBSCRIBE", 1},
    {"PING", 1},
};

static void converse(struct fixture *f, struct talk *direct)
{
    char expected[1024];

    for (size_t i = 0; i < sizeof(conversation) / sizeof(conversation[0]); i++) {
        send_words(direct, conversation[i].words);
        send_words(&f->talk, conversation[i].words);
        for (int k = 0; k < conversation[i].replies; k++) {
            struct hf_slice theirs = talk_reply(direct), ours = talk_reply(&f->talk);
            snprintf(expected, sizeof(expected), "%.*s", (int)theirs.len, (const char *)theirs.data);
            if (!hf__slice_eq(theirs, ours))
                fail_msg("%s: there came %.*s, expected %s", conversation[i].words, (int)ours.len,
                         (const char *)ours.data, expected);
        }
    }
}

static void test_pubsub__confirmations_are_those_of_redis_in_both_protocols(void **state)
{
    struct fixture *f = *state;
    struct talk direct;

    talk_open(&direct, f->other.socket);
    converse(f, &direct);
    (void)talk_ask(&direct, "HELLO 3");
    (void)talk_ask(&f->talk, "HELLO 3");
    converse(f, &direct);
    talk_close(&direct);
}

static void test_pubsub__a_resp2_subscriber_may_do_little_else_and_a_resp3_one_anything(void **state)
{
    static const char *const refused[] = {"GET x", "PUBLISH a b", "hset h f v", "MULTI", "INCR x"};
    struct fixture *f = *state;
    struct talk direct;
    char expected[512];

    talk_open(&direct, f->other.socket);
    assert_reply(&f->talk, "SUBSCRIBE a", "*3|$9|subscribe|$1|a|:1|");
    assert_reply(&direct, "SUBSCRIBE a", "*3|$9|subscribe|$1|a|:1|");
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        snprintf(expected, sizeof(expected), "%s", talk_ask(&direct, refused[i]));
        assert_reply(&f->talk, refused[i], expected);
    }
    (void)talk_ask(&f->second, "HELLO 3");
    assert_reply(&f->second, "SUBSCRIBE a", ">3|$9|subscribe|$1|a|:1|");
    assert_reply(&f->second, "SET x 1", "+OK|");
    assert_reply(&f->second, "HSET h f v", ":1|");
    talk_close(&direct);
}

/* ---- messages ---- */

static void test_pubsub__a_message_comes_once_for_each_subscription_wherever_it_was_published(void **state)
{
    struct fixture *f = *state;

    assert_reply(&f->talk, "SUBSCRIBE news", "*3|$9|subscribe|$4|news|:1|");
    assert_reply(&f->talk, "PSUBSCRIBE n?ws", "*3|$10|psubscribe|$4|n?ws|:2|");
    (void)talk_ask(&f->second, "HELLO 3");
    assert_reply(&f->second, "PSUBSCRIBE n*", ">3|$10|psubscribe|$2|n*|:1|");
    assert_int_equal(publish_there(f, "news", "one"), 3); /* our connection's three subscriptions */
    assert_next(&f->talk, "*3|$7|message|$4|news|$3|one|");
    assert_next(&f->talk, "*4|$8|pmessage|$4|n?ws|$4|news|$3|one|");
    assert_next(&f->second, ">4|$8|pmessage|$2|n*|$4|news|$3|one|");
    assert_reply(&f->third, "PUBLISH news two", ":3|");
    assert_next(&f->talk, "*3|$7|message|$4|news|$3|two|");
    assert_next(&f->talk, "*4|$8|pmessage|$4|n?ws|$4|news|$3|two|");
    assert_next(&f->second, ">4|$8|pmessage|$2|n*|$4|news|$3|two|");
    assert_reply(&f->third, "PUBLISH other three", ":0|");
    assert_silent(&f->talk);
    assert_silent(&f->second);
}

static void test_pubsub__a_publisher_learns_of_the_receivers_here_and_behind_redis(void **state)
{
    struct fixture *f = *state;
    struct talk there;

    talk_open(&there, f->redis.socket);
    assert_reply(&there, "SUBSCRIBE c", "*3|$9|subscribe|$1|c|:1|");
    assert_reply(&f->third, "PUBLISH c 1", ":1|");
    assert_reply(&f->talk, "SUBSCRIBE c", "*3|$9|subscribe|$1|c|:1|");
    assert_reply(&f->second, "SUBSCRIBE c", "*3|$9|subscribe|$1|c|:1|");
    assert_reply(&f->third, "PUBLISH c 2", ":3|");
    assert_next(&there, "*3|$7|message|$1|c|$1|1|");
    assert_next(&there, "*3|$7|message|$1|c|$1|2|");
    assert_next(&f->talk, "*3|$7|message|$1|c|$1|2|");
    assert_reply(&f->third, "PUBSUB NUMSUB c d", "*4|$1|c|:2|$1|d|:0|");
    assert_reply(&f->third, "PUBSUB CHANNELS", "*1|$1|c|");
    assert_reply(&f->third, "PUBSUB CHANNELS x*", "*0|");
    assert_reply(&f->third, "PUBSUB NUMPAT", ":0|");
    talk_close(&there);
}

static void test_pubsub__messages_of_one_publisher_keep_their_order(void **state)
{
    struct fixture *f = *state;
    char words[64], expected[96];

    assert_reply(&f->talk, "SUBSCRIBE c", "*3|$9|subscribe|$1|c|:1|");
    for (int i = 0; i < ROUNDS; i++) {
        snprintf(words, sizeof(words), "PUBLISH c %d", 1000 + i);
        send_words(&f->second, words);
    }
    for (int i = 0; i < ROUNDS; i++) {
        snprintf(expected, sizeof(expected), "*3|$7|message|$1|c|$4|%d|", 1000 + i);
        assert_next(&f->talk, expected);
        assert_next(&f->second, ":1|");
    }
}

static void test_pubsub__what_was_written_before_a_message_is_shared_when_it_arrives(void **state)
{
    struct fixture *f = *state;
    struct talk there;
    char words[64], expected[64];

    talk_open(&there, f->redis.socket);
    assert_reply(&there, "SUBSCRIBE c", "*3|$9|subscribe|$1|c|:1|");
    for (int i = 0; i < ROUNDS; i++) {
        snprintf(words, sizeof(words), "SET behind:k %d", 1000 + i);
        send_words(&f->talk, words);
        send_words(&f->talk, "PUBLISH c x");
        assert_next(&there, "*3|$7|message|$1|c|$1|x|");
        assert_string_equal(redis_server_text(&f->redis, expected, sizeof(expected), "GET behind:k"), words + 13);
        assert_next(&f->talk, "+OK|");
        assert_next(&f->talk, ":1|");
    }
    talk_close(&there);
}

/* ---- the union ---- */

static bool redis_knows_no_channel(void *ctx)
{
    struct fixture *f = ctx;
    redisReply *channels = redis_server_command(&f->redis, "PUBSUB CHANNELS");
    bool none = channels && channels->elements == 0 && redis_server_number(&f->redis, "PUBSUB NUMPAT") == 0;

    freeReplyObject(channels);
    return none;
}

static void test_pubsub__redis_knows_of_a_channel_as_long_as_somebody_here_listens(void **state)
{
    struct fixture *f = *state;

    assert_reply(&f->talk, "SUBSCRIBE c", "*3|$9|subscribe|$1|c|:1|");
    assert_reply(&f->second, "SUBSCRIBE c", "*3|$9|subscribe|$1|c|:1|");
    assert_reply(&f->third, "PSUBSCRIBE c*", "*3|$10|psubscribe|$2|c*|:1|");
    assert_int_equal(publish_there(f, "c", "x"), 2);
    assert_next(&f->talk, "*3|$7|message|$1|c|$1|x|");
    talk_close(&f->third);
    assert_reply(&f->talk, "UNSUBSCRIBE", "*3|$11|unsubscribe|$1|c|:0|");
    assert_false(redis_knows_no_channel(f));
    assert_reply(&f->second, "RESET", "*3|$7|message|$1|c|$1|x|");
    assert_next(&f->second, "+RESET|");
    assert_true(wait_until(redis_knows_no_channel, f, BOUND_MS));
}

/* ---- Redis goes away ---- */

static bool redis_reaches_us(void *ctx)
{
    return publish_there(ctx, "probe", "x") > 0;
}

static void test_pubsub__while_redis_is_away_messages_pass_among_the_clients_here(void **state)
{
    struct fixture *f = *state;

    assert_reply(&f->talk, "SUBSCRIBE c probe", "*3|$9|subscribe|$1|c|:1|");
    assert_next(&f->talk, "*3|$9|subscribe|$5|probe|:2|");
    redis_server_kill(&f->redis);
    (void)talk_ask(&f->second, "PUBLISH other x"); /* the first one may find out */
    assert_reply(&f->second, "PUBLISH c away", ":1|");
    assert_next(&f->talk, "*3|$7|message|$1|c|$4|away|");
    assert_reply(&f->third, "SUBSCRIBE c", "*3|$9|subscribe|$1|c|:1|");
    assert_reply(&f->second, "PUBLISH c both", ":2|");
    assert_next(&f->talk, "*3|$7|message|$1|c|$4|both|");
    assert_next(&f->third, "*3|$7|message|$1|c|$4|both|");
    assert_int_equal(redis_server_restart(&f->redis), 0);
    assert_true(wait_until(redis_reaches_us, f, BOUND_MS));
    assert_next(&f->talk, "*3|$7|message|$5|probe|$1|x|");
    assert_int_equal(publish_there(f, "c", "back"), 1);
    assert_next(&f->talk, "*3|$7|message|$1|c|$4|back|");
    assert_next(&f->third, "*3|$7|message|$1|c|$4|back|");
}

static void test_pubsub__without_a_redis_messages_pass_among_the_clients_here(void **state)
{
    struct fixture *f = *state;

    talk_close(&f->talk);
    talk_close(&f->second);
    sidecar_stop(&f->sidecar);
    sidecar_start(&f->sidecar, f->scratch.dir, NULL, NULL);
    talk_open(&f->talk, f->sidecar.socket);
    talk_open(&f->second, f->sidecar.socket);
    assert_reply(&f->talk, "PSUBSCRIBE *", "*3|$10|psubscribe|$1|*|:1|");
    assert_reply(&f->second, "PUBLISH c x", ":1|");
    assert_next(&f->talk, "*4|$8|pmessage|$1|*|$1|c|$1|x|");
}

static void test_pubsub__a_frozen_redis_holds_a_publisher_no_longer_than_the_timeout(void **state)
{
    struct fixture *f = *state;
    int64_t began;

    assert_reply(&f->talk, "SUBSCRIBE c", "*3|$9|subscribe|$1|c|:1|");
    redis_server_pause(&f->redis);
    began = wall_ms();
    assert_int_equal(strncmp(talk_ask(&f->second, "PUBLISH c x"), "-INDOUBT ", 9), 0);
    assert_true(wall_ms() - began < BOUND_MS / 2);
    assert_reply(&f->second, "PUBLISH c y", ":1|");
    assert_next(&f->talk, "*3|$7|message|$1|c|$1|y|");
    redis_server_resume(&f->redis);
}

/* ---- transactions and rights ---- */

static bool is_offline(void *ctx)
{
    struct fixture *f = ctx;

    return strncmp(talk_ask(&f->third, "HLEN nothing"), "-OFFLINE the shared tier is offline", 35) == 0;
}

static void test_pubsub__a_transaction_that_publishes_is_done_by_redis_or_here(void **state)
{
    struct fixture *f = *state;

    assert_reply(&f->talk, "SUBSCRIBE c", "*3|$9|subscribe|$1|c|:1|");
    for (int i = 0; i < 2; i++) {
        assert_reply(&f->second, "MULTI", "+OK|");
        assert_reply(&f->second, "SET k v", "+QUEUED|");
        assert_reply(&f->second, "PUBLISH c x", "+QUEUED|");
        assert_reply(&f->second, "EXEC", "*2|+OK|:1|");
        assert_next(&f->talk, "*3|$7|message|$1|c|$1|x|");
        redis_server_kill(&f->redis);
        assert_true(wait_until(is_offline, f, BOUND_MS));
    }
}

static void test_pubsub__a_user_with_prefixes_hears_no_other_channels(void **state)
{
    static const char *const refused[] = {"SUBSCRIBE other", "SUBSCRIBE app:a other", "PSUBSCRIBE *",
                                          "PSUBSCRIBE ap*", "PUBLISH other x"};
    struct fixture *f = *state;

    talk_close(&f->talk);
    sidecar_stop(&f->sidecar);
    sidecar_start(&f->sidecar, f->scratch.dir, f->redis.address, config_with_user);
    talk_open(&f->talk, f->sidecar.socket);
    assert_reply(&f->talk, "AUTH app secret", "+OK|");
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
        assert_reply(&f->talk, refused[i],
                     "-NOPERM this user has no permissions to access one of the channels used as arguments|");
    assert_reply(&f->talk, "PSUBSCRIBE app:*", "*3|$10|psubscribe|$5|app:*|:1|");
    assert_reply(&f->talk, "SUBSCRIBE app:c", "*3|$9|subscribe|$5|app:c|:2|");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_pubsub__confirmations_are_those_of_redis_in_both_protocols),
        TEST(test_pubsub__a_resp2_subscriber_may_do_little_else_and_a_resp3_one_anything),
        TEST(test_pubsub__a_message_comes_once_for_each_subscription_wherever_it_was_published),
        TEST(test_pubsub__a_publisher_learns_of_the_receivers_here_and_behind_redis),
        TEST(test_pubsub__messages_of_one_publisher_keep_their_order),
        TEST(test_pubsub__what_was_written_before_a_message_is_shared_when_it_arrives),
        TEST(test_pubsub__redis_knows_of_a_channel_as_long_as_somebody_here_listens),
        TEST(test_pubsub__while_redis_is_away_messages_pass_among_the_clients_here),
        TEST(test_pubsub__without_a_redis_messages_pass_among_the_clients_here),
        TEST(test_pubsub__a_frozen_redis_holds_a_publisher_no_longer_than_the_timeout),
        TEST(test_pubsub__a_transaction_that_publishes_is_done_by_redis_or_here),
        TEST(test_pubsub__a_user_with_prefixes_hears_no_other_channels),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
