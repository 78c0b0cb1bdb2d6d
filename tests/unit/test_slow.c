/* The slow commands that are kept. */
#include "slow.h"

#include "client.h"
#include "command.h"
#include "scratch.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>

static const struct command set = {.name = "set"};
static struct client client = {.name = "ours", .address = "127.0.0.1:50000"};

static void add(struct slow *slow, const char *key, uint64_t ms)
{
    const struct slow_note note = {.command = &set, .client = &client, .key = s_(key), .ns = ms * 1000000};

    slow_add(slow, &note);
}

/* The caller deletes it. */
static cJSON *told_by(struct slow *slow)
{
    struct json json = {0};
    cJSON *told;

    json_begin(&json, '{');
    slow_write(slow, &json);
    json_end(&json, '}');
    assert_false(json.failed);
    told = cJSON_ParseWithLength((const char *)json.text.bytes, json.text.len);
    assert_non_null(told);
    json_release(&json);
    return told;
}

static void assert_row(const cJSON *told, int i, const char *key, double number)
{
    const cJSON *row = cJSON_GetArrayItem(cJSON_GetObjectItem(told, "commands"), i);

    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(row, "key")), key);
    assert_true(cJSON_GetNumberValue(cJSON_GetObjectItem(row, "number")) == number);
}

static void test_slow__the_newest_are_kept_and_come_first(void **state)
{
    struct slow *slow;
    char key[16];
    cJSON *told;

    (void)state;
    assert_ok(slow_new(&slow));
    add(slow, "first", 11);
    add(slow, "second", 12);
    told = told_by(slow);
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(told, "commands")), 2);
    assert_row(told, 0, "second", 2);
    assert_row(told, 1, "first", 1);
    cJSON_Delete(told);
    for (unsigned i = 0; i < SLOW_KEPT; i++) {
        snprintf(key, sizeof(key), "k%u", i);
        add(slow, key, 20);
    }
    told = told_by(slow);
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(told, "commands")), SLOW_KEPT);
    assert_row(told, 0, "k127", SLOW_KEPT + 2);
    assert_row(told, SLOW_KEPT - 1, "k0", 3);
    cJSON_Delete(told);
    slow_free(slow);
}

static void test_slow__a_long_key_is_cut(void **state)
{
    char key[2 * SLOW_KEY_MAX + 1], kept[SLOW_KEY_MAX + 1] = {0};
    struct slow *slow;
    cJSON *told;

    (void)state;
    memset(key, 'k', 2 * SLOW_KEY_MAX);
    key[2 * SLOW_KEY_MAX] = '\0';
    memset(kept, 'k', SLOW_KEY_MAX);
    assert_ok(slow_new(&slow));
    add(slow, key, 11);
    told = told_by(slow);
    assert_row(told, 0, kept, 1);
    cJSON_Delete(told);
    slow_free(slow);
}

static void test_slow__what_is_slow_takes_longer_than_the_settings_say(void **state)
{
    struct slow *slow;

    (void)state;
    assert_ok(slow_new(&slow));
    assert_false(slow_is(slow, UINT64_MAX));
    slow_set_after(slow, 10);
    assert_false(slow_is(slow, 10000000));
    assert_true(slow_is(slow, 10000001));
    slow_free(slow);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slow__the_newest_are_kept_and_come_first),
        cmocka_unit_test(test_slow__a_long_key_is_cut),
        cmocka_unit_test(test_slow__what_is_slow_takes_longer_than_the_settings_say),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
