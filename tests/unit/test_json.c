/* JSON as it is written, and RESP3 replies as JSON. */
#include "json.h"

#include "reply.h"
#include "scratch.h"

#include <string.h>

static void assert_json(struct json *json, const char *text)
{
    assert_false(json->failed);
    assert_int_equal(hf__bytes_append(&json->text, "", 1), 0);
    assert_string_equal((const char *)json->text.bytes, text);
    json_release(json);
}

static void test_json__commas_stand_between_values_only(void **state)
{
    struct json json = {0};

    (void)state;
    json_begin(&json, '{');
    json_add_integer(&json, "a", -1);
    json_name(&json, "b");
    json_begin(&json, '[');
    json_end(&json, ']');
    json_name(&json, "c");
    json_begin(&json, '[');
    json_unsigned(&json, UINT64_MAX);
    json_bool(&json, true);
    json_null(&json);
    json_begin(&json, '{');
    json_end(&json, '}');
    json_end(&json, ']');
    json_add_bool(&json, "d", false);
    json_end(&json, '}');
    assert_json(&json, "{\"a\":-1,\"b\":[],\"c\":[18446744073709551615,true,null,{}],\"d\":false}");
}

static void test_json__bytes_are_a_string_if_they_are_text(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        const char *json;
    } rows[] = {
        {"", 0, "\"\""},
        {"abc", 3, "\"abc\""},
        {"\"\\\n\x7f", 4, "\"\\u0022\\u005c\\u000a\\u007f\""},
        {"a\0b", 3, "\"a\\u0000b\""},
        {"</script>", 9, "\"\\u003c/script>\""},
        {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 9, "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\""},
        {"\xff", 1, "{\"hex\":\"ff\"}"},
        {"a\xc3", 2, "{\"hex\":\"61c3\"}"},          /* cut */
        {"\xc0\x80", 2, "{\"hex\":\"c080\"}"},       /* overlong */
        {"\xed\xa0\x80", 3, "{\"hex\":\"eda080\"}"}, /* half of a pair */
        {"\xf4\x90\x80\x80", 4, "{\"hex\":\"f4908080\"}"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct json json = {0};

        json_bytes(&json, hf__slice(rows[i].bytes, rows[i].len));
        assert_json(&json, rows[i].json);
    }
}

static void test_json__a_reply_is_told_by_its_types(void **state)
{
    struct reply reply = {.proto = 3};
    struct json json = {0};

    (void)state;
    reply_map(&reply, 4);
    reply_text(&reply, "a");
    reply_array(&reply, 3);
    reply_integer(&reply, -5);
    reply_bool(&reply, true);
    reply_null(&reply);
    reply_text(&reply, "b");
    reply_bulk(&reply, hf__slice("\r\n$3\r\n", 6));
    reply_text(&reply, "c");
    reply_map(&reply, 0);
    reply_text(&reply, "d");
    reply_status(&reply, "OK");
    assert_int_equal(json_reply(&json, hf__slice(reply.bytes.bytes, reply.bytes.len)), reply.bytes.len);
    assert_json(&json, "{\"a\":[-5,true,null],\"b\":\"\\u000d\\u000a$3\\u000d\\u000a\",\"c\":{},\"d\":\"OK\"}");
    reply_release(&reply);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json__commas_stand_between_values_only),
        cmocka_unit_test(test_json__bytes_are_a_string_if_they_are_text),
        cmocka_unit_test(test_json__a_reply_is_told_by_its_types),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
