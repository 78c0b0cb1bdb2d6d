/* Replies written on as they are read: what comes out is what went in, wherever it was cut into pieces. */
#include "relay.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

struct fixture {
    redisReader *reader;
    struct relay relay;
    struct reply reply;
};

static void begin(struct fixture *f)
{
    *f = (struct fixture){.reader = redisReaderCreateWithFunctions(&relay_functions), .reply.proto = 3};
    assert_non_null(f->reader);
    f->relay.to = &f->reply;
    f->reader->privdata = &f->relay;
}

static void end(struct fixture *f)
{
    redisReaderFree(f->reader);
    reply_release(&f->reply);
}

/* Feed bytes; returns how many replies came to their end. */
static size_t feed(struct fixture *f, const char *bytes, size_t len)
{
    size_t n = 0;
    void *reply;

    assert_int_equal(redisReaderFeed(f->reader, bytes, len), REDIS_OK);
    for (;;) {
        reply = NULL;
        if (redisReaderGetReply(f->reader, &reply) != REDIS_OK)
            fail_msg("hiredis: %s", f->reader->errstr);
        if (!reply)
            return n;
        n++;
    }
}

static void assert_out(const struct fixture *f, const char *text)
{
    if (f->reply.bytes.len != strlen(text) || memcmp(f->reply.bytes.bytes, text, strlen(text)) != 0)
        fail_msg("'%.*s' came out of '%s'", (int)f->reply.bytes.len, (const char *)f->reply.bytes.bytes, text);
}

static const char *const texts[] = {
    "+OK\r\n",
    "+\r\n",
    "-ERR no such thing\r\n",
    ":0\r\n",
    ":-9223372036854775808\r\n",
    "$-1\r\n",
    "*-1\r\n",
    "_\r\n",
    "$0\r\n\r\n",
    "$7\r\na\r\n*1\r\n\r\n",
    "*0\r\n",
    "*3\r\n$-1\r\n*-1\r\n_\r\n",
    "*2\r\n*2\r\n:1\r\n*1\r\n$1\r\nx\r\n-ERR inside\r\n",
    ",1.5\r\n",
    ",3.0000000000000000001\r\n",
    ",inf\r\n",
    ",-inf\r\n",
    ",10\r\n",
    "#t\r\n",
    "#f\r\n",
    "(3492890328409238509324850943850943825024385\r\n",
    "(-1\r\n",
    "=15\r\ntxt:Some string\r\n",
    "%0\r\n",
    "%2\r\n+first\r\n:1\r\n$6\r\nsecond\r\n~1\r\n#t\r\n",
    "~2\r\n,0.1\r\n%1\r\n:1\r\n*0\r\n",
};

static void test_relay__every_type_comes_out_as_it_went_in_wherever_it_is_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        for (size_t cut = 1; cut < strlen(texts[i]); cut++) {
            struct fixture f;
            begin(&f);
            assert_int_equal(feed(&f, texts[i], cut), 0);
            assert_int_equal(feed(&f, texts[i] + cut, strlen(texts[i]) - cut), 1);
            assert_out(&f, texts[i]);
            end(&f);
        }
    }
}

static void test_relay__deep_arrays_come_out_whole(void **state)
{
    char text[4 * 300 + 8] = "";
    struct fixture f;

    (void)state;
    for (int i = 0; i < 300; i++)
        strcat(text, "*1\r\n");
    strcat(text, ":1\r\n");
    begin(&f);
    assert_int_equal(feed(&f, text, strlen(text)), 1);
    assert_out(&f, text);
    end(&f);
}

static void test_relay__a_push_between_replies_is_dropped(void **state)
{
    const char *text = "+one\r\n>2\r\n+invalidate\r\n*1\r\n$1\r\nk\r\n*1\r\n+two\r\n";
    struct fixture f;

    (void)state;
    begin(&f);
    assert_int_equal(feed(&f, text, strlen(text)), 3);
    assert_out(&f, "+one\r\n*1\r\n+two\r\n");
    assert_int_equal(f.relay.type, REDIS_REPLY_ARRAY);
    end(&f);
}

/* Those of Debian 12's time do not. */
static bool hiredis_reads_attributes(void)
{
    redisReader *reader = redisReaderCreateWithFunctions(NULL);
    void *reply;
    bool reads;

    assert_int_equal(redisReaderFeed(reader, "|0\r\n", 4), REDIS_OK);
    reads = redisReaderGetReply(reader, &reply) == REDIS_OK;
    redisReaderFree(reader);
    if (!reads)
        print_message("this hiredis reads no attributes\n");
    return reads;
}

static void test_relay__an_attribute_inside_is_none_of_the_elements(void **state)
{
    const char *text = "*3\r\n:1\r\n|1\r\n+ttl\r\n:3600\r\n:2\r\n:3\r\n";
    struct fixture f;

    (void)state;
    if (!hiredis_reads_attributes())
        skip();
    begin(&f);
    assert_int_equal(feed(&f, text, strlen(text)), 1);
    assert_out(&f, text);
    end(&f);
}

static void test_relay__an_attribute_in_front_is_told_from_the_reply(void **state)
{
    const char *text = "|1\r\n+key\r\n*1\r\n:1\r\n";
    struct fixture f;

    (void)state;
    if (!hiredis_reads_attributes())
        skip();
    begin(&f);
    assert_int_equal(feed(&f, text, strlen(text)), 1);
    assert_int_equal(f.relay.type, REDIS_REPLY_ATTR);
    assert_int_equal(feed(&f, "+OK\r\n", 5), 1);
    assert_int_equal(f.relay.type, REDIS_REPLY_STATUS);
    assert_out(&f, "|1\r\n+key\r\n*1\r\n:1\r\n+OK\r\n");
    end(&f);
}

static void test_relay__without_a_place_everything_is_dropped(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f);
    f.relay.to = NULL;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        assert_int_equal(feed(&f, texts[i], strlen(texts[i])), 1);
    assert_int_equal(f.reply.bytes.len, 0);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_relay__every_type_comes_out_as_it_went_in_wherever_it_is_cut),
        cmocka_unit_test(test_relay__deep_arrays_come_out_whole),
        cmocka_unit_test(test_relay__a_push_between_replies_is_dropped),
        cmocka_unit_test(test_relay__an_attribute_inside_is_none_of_the_elements),
        cmocka_unit_test(test_relay__an_attribute_in_front_is_told_from_the_reply),
        cmocka_unit_test(test_relay__without_a_place_everything_is_dropped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
