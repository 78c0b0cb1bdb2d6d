/* Replies as bytes: a table of them in both protocols, and what an error may not do. */
#include "reply.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void assert_bytes(struct reply *reply, const char *expected)
{
    if (!hf__slice_eq(hf__slice(reply->bytes.bytes, reply->bytes.len), hf__slice_str(expected)))
        fail_msg("RESP%d: it is \"%.*s\"; expected \"%s\"", reply->proto, (int)reply->bytes.len,
                 (const char *)reply->bytes.bytes, expected);
    assert_false(reply->failed);
    reply_release(reply);
}

/* ---- the table ---- */

static void ok(struct reply *r)
{
    reply_status(r, "OK");
}
static void zero(struct reply *r)
{
    reply_integer(r, 0);
}
static void most(struct reply *r)
{
    reply_integer(r, INT64_MAX);
}
static void least(struct reply *r)
{
    reply_integer(r, INT64_MIN);
}
static void empty_bulk(struct reply *r)
{
    reply_bulk(r, hf__slice(NULL, 0));
}
static void text(struct reply *r)
{
    reply_text(r, "a\r\nb");
}
static void yes(struct reply *r)
{
    reply_bool(r, true);
}
static void no(struct reply *r)
{
    reply_bool(r, false);
}
static void third(struct reply *r)
{
    reply_double(r, 0.1);
}
static void whole(struct reply *r)
{
    reply_double(r, -3);
}
static void infinite(struct reply *r)
{
    reply_double(r, -INFINITY);
}
static void not_a_number(struct reply *r)
{
    reply_double(r, NAN);
}
static void array(struct reply *r)
{
    reply_array(r, 0);
}
static void map(struct reply *r)
{
    reply_map(r, 2);
}
static void set(struct reply *r)
{
    reply_set(r, 3);
}
static void push(struct reply *r)
{
    reply_push(r, 3);
}
static void verbatim(struct reply *r)
{
    reply_verbatim(r, hf__slice_str("abc"));
}
static void raw(struct reply *r)
{
    reply_raw(r, "*1\r\n:1\r\n", 8);
}

static const struct {
    void (*write)(struct reply *reply);
    const char *resp2, *resp3;
} cases[] = {
    {ok, "+OK\r\n", "+OK\r\n"},
    {zero, ":0\r\n", ":0\r\n"},
    {most, ":9223372036854775807\r\n", ":9223372036854775807\r\n"},
    {least, ":-9223372036854775808\r\n", ":-9223372036854775808\r\n"},
    {empty_bulk, "$0\r\n\r\n", "$0\r\n\r\n"},
    {text, "$4\r\na\r\nb\r\n", "$4\r\na\r\nb\r\n"},
    {reply_null, "$-1\r\n", "_\r\n"},
    {reply_null_array, "*-1\r\n", "_\r\n"},
    {yes, ":1\r\n", "#t\r\n"},
    {no, ":0\r\n", "#f\r\n"},
    {third, "$19\r\n0.10000000000000001\r\n", ",0.10000000000000001\r\n"},
    {whole, "$2\r\n-3\r\n", ",-3\r\n"},
    {infinite, "$4\r\n-inf\r\n", ",-inf\r\n"},
    {not_a_number, "$3\r\nnan\r\n", ",nan\r\n"},
    {array, "*0\r\n", "*0\r\n"},
    {map, "*4\r\n", "%2\r\n"},
    {set, "*3\r\n", "~3\r\n"},
    {push, "*3\r\n", ">3\r\n"},
    {verbatim, "$3\r\nabc\r\n", "=7\r\ntxt:abc\r\n"},
    {raw, "*1\r\n:1\r\n", "*1\r\n:1\r\n"},
};

static void test_reply__each_kind_is_written_in_both_protocols(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (int proto = 2; proto <= 3; proto++) {
            struct reply reply = {.proto = proto};

            cases[i].write(&reply);
            assert_bytes(&reply, proto == 2 ? cases[i].resp2 : cases[i].resp3);
        }
    }
}

static void test_reply__an_error_is_one_line_whatever_it_names(void **state)
{
    struct reply reply = {.proto = 2};

    (void)state;
    reply_error(&reply, "ERR unknown command '%s'", "a\r\n+OK\r\nb");
    assert_bytes(&reply, "-ERR unknown command 'a  +OK  b'\r\n");
}

static void test_reply__an_error_has_a_bounded_length(void **state)
{
    struct reply reply = {.proto = 2};
    char name[5000];

    (void)state;
    memset(name, 'x', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    reply_error(&reply, "ERR %s", name);
    assert_in_range(reply.bytes.len, 100, 1100);
    assert_memory_equal(reply.bytes.bytes + reply.bytes.len - 2, "\r\n", 2);
    reply_release(&reply);
}

static void test_reply__reserved_bytes_are_filled_in_place(void **state)
{
    struct reply reply = {.proto = 2};
    char *place;

    (void)state;
    reply_integer(&reply, 7);
    place = reply_bulk_reserve(&reply, 3);
    assert_non_null(place);
    memcpy(place, "abc", 3);
    reply_null(&reply);
    assert_bytes(&reply, ":7\r\n$3\r\nabc\r\n$-1\r\n");
}

static void test_reply__without_memory_it_fails_and_ignores_what_follows(void **state)
{
    struct reply reply = {.proto = 2};
    size_t len;

    (void)state;
    reply_integer(&reply, 7);
    assert_null(reply_bulk_reserve(&reply, SIZE_MAX - 8));
    assert_true(reply.failed);
    len = reply.bytes.len;
    reply_status(&reply, "OK");
    assert_int_equal(reply.bytes.len, len);
    reply_release(&reply);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reply__each_kind_is_written_in_both_protocols),
        cmocka_unit_test(test_reply__an_error_is_one_line_whatever_it_names),
        cmocka_unit_test(test_reply__an_error_has_a_bounded_length),
        cmocka_unit_test(test_reply__reserved_bytes_are_filled_in_place),
        cmocka_unit_test(test_reply__without_memory_it_fails_and_ignores_what_follows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
