/* Configuration files: every setting arrives, every mistake is named by its place, and no secret is shown. */
#include "scratch.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- fixture: a directory with one configuration file ---- */

struct fixture {
    struct scratch scratch;
    char file[96];
    char secret[96];
    struct hf_config *config;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    scratch_make(&f->scratch);
    snprintf(f->file, sizeof(f->file), "%s/holdfast.json", f->scratch.dir);
    snprintf(f->secret, sizeof(f->secret), "%s/secret", f->scratch.dir);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    hf_config_free(f->config);
    scratch_remove(&f->scratch);
    free(f);
    return 0;
}

/* ---- vocabulary ---- */

static void write_file(const char *path, const void *data, size_t len, mode_t mode)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, mode), 0);
}

static const struct hf_options *load(struct fixture *f, const char *json)
{
    write_file(f->file, json, strlen(json), 0600);
    if (hf_config_load(f->file, &f->config) != 0)
        fail_msg("%s", hf_errmsg());
    return hf_config_options(f->config);
}

/* The file is refused, and the sentence ends like this behind "configuration FILE: ". */
static void refused(struct fixture *f, const char *json, size_t len, const char *expected)
{
    struct hf_config *config = (struct hf_config *)0x1;
    char sentence[512];

    write_file(f->file, json, len, 0600);
    assert_int_equal(hf_config_load(f->file, &config), HF_ECONFIG);
    assert_ptr_equal(config, (struct hf_config *)0x1);
    snprintf(sentence, sizeof(sentence), "configuration %s: %s", f->file, expected);
    assert_string_equal(hf_errmsg(), sentence);
}

struct mistake {
    const char *json;
    const char *expected;
};

static void all_refused(struct fixture *f, const struct mistake *mistakes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        refused(f, mistakes[i].json, strlen(mistakes[i].json), mistakes[i].expected);
}

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* ---- what arrives ---- */

static void test_config__empty_object_leaves_every_default(void **state)
{
    static const struct hf_options zeroed;
    const struct hf_options *o = load(*state, "{}");
    struct fixture *f = *state;

    assert_memory_equal(o, &zeroed, sizeof(zeroed));
    assert_null(hf_config_dir(f->config));
}

static void test_config__every_setting_arrives(void **state)
{
    struct fixture *f = *state;
    const struct hf_options *o = load(
        f,
        "\xef\xbb\xbf{\r\n"
        "  \"dir\": \"/var/lib/holdfast\",\r\n"
        "  \"redis\": {\"address\": \"rediss://app@r.example:6380/3\", \"user\": \"u\", \"ca_file\": \"/ca.pem\",\n"
        "    \"timeout\": \"250ms\", \"connect_timeout\": \"2s\", \"heartbeat\": 1500, \"backoff_max\": \"1m\"},\n"
        "  \"durability\": \"interval:200\",\n"
        "  \"limits\": {\"max_disk\": \"16 GiB\", \"max_value\": 1000, \"segment\": \"32MiB\",\n"
        "    \"checkpoint_bytes\": \"8MiB\", \"checkpoint_interval\": \"5s\"},\n"
        "  \"pending\": {\"max\": 5000, \"max_bytes\": \"1GiB\", \"max_age\": \"7d\", \"policy\": \"block\"},\n"
        "  \"conflict_log\": {\"max\": 9007199254740992, \"max_bytes\": \"2GiB\"},\n"
        "  \"parked\": {\"max\": 77},\n"
        "  \"replay\": {\"ops_per_s\": 2500, \"bytes_per_s\": \"4MiB\", \"delay_max\": \"30s\"},\n"
        "  \"namespaces\": [\n"
        "    {\"prefix\": \"session:\", \"default_ttl\": \"2h\", \"write_mode\": \"behind\", \"read_mode\": "
        "\"shared\",\n"
        "     \"change_log\": {\"max\": 500}},\n"
        "    {\"prefix\": \"\", \"write_mode\": \"local\", \"change_log\": false},\n"
        "    {\"prefix\": \"p\", \"write_mode\": \"through\", \"read_mode\": \"local\", \"change_log\": true}]\n"
        "}\r\n");

    assert_string_equal(hf_config_dir(f->config), "/var/lib/holdfast");
    assert_string_equal(o->redis, "rediss://app@r.example:6380/3");
    assert_string_equal(o->redis_user, "u");
    assert_string_equal(o->redis_ca_file, "/ca.pem");
    assert_int_equal(o->redis_timeout_ms, 250);
    assert_int_equal(o->redis_connect_timeout_ms, 2000);
    assert_int_equal(o->redis_heartbeat_ms, 1500);
    assert_int_equal(o->redis_backoff_max_ms, 60000);
    assert_int_equal(o->durability, HF_DURABILITY_INTERVAL);
    assert_int_equal(o->sync_interval_ms, 200);
    assert_int_equal(o->max_disk_bytes, 16ull << 30);
    assert_int_equal(o->max_value_bytes, 1000);
    assert_int_equal(o->segment_bytes, 32u << 20);
    assert_int_equal(o->checkpoint_bytes, 8u << 20);
    assert_int_equal(o->checkpoint_interval_ms, 5000);
    assert_int_equal(o->pending_max, 5000);
    assert_int_equal(o->pending_max_bytes, 1u << 30);
    assert_int_equal(o->pending_max_age_ms, 604800000);
    assert_int_equal(o->pending_policy, HF_PENDING_BLOCK);
    assert_int_equal(o->conflict_log_max, 1ull << 53);
    assert_int_equal(o->conflict_log_max_bytes, 2ull << 30);
    assert_int_equal(o->parked_max, 77);
    assert_int_equal(o->replay_ops_per_s, 2500);
    assert_int_equal(o->replay_bytes_per_s, 4u << 20);
    assert_int_equal(o->replay_delay_max_ms, 30000);
    assert_int_equal(o->n_namespaces, 3);
    assert_string_equal(o->namespaces[0].prefix, "session:");
    assert_int_equal(o->namespaces[0].default_ttl_ms, 7200000);
    assert_int_equal(o->namespaces[0].write_mode, HF_WRITE_BEHIND);
    assert_int_equal(o->namespaces[0].read_mode, HF_READ_SHARED);
    assert_int_equal(o->namespaces[0].change_log_max, 500);
    assert_false(o->namespaces[0].change_log_off);
    assert_string_equal(o->namespaces[1].prefix, "");
    assert_int_equal(o->namespaces[1].write_mode, HF_WRITE_LOCAL);
    assert_true(o->namespaces[1].change_log_off);
    assert_int_equal(o->namespaces[2].write_mode, HF_WRITE_THROUGH);
    assert_false(o->namespaces[2].change_log_off);
}

/* A word of a setting, and the value of its enum. */
struct word {
    const char *setting;
    const char *text;
    int value;
};
static const struct word words[] = {
    {"write_mode", "through", HF_WRITE_THROUGH},
    {"write_mode", "behind", HF_WRITE_BEHIND},
    {"write_mode", "local", HF_WRITE_LOCAL},
    {"read_mode", "local", HF_READ_LOCAL},
    {"read_mode", "shared", HF_READ_SHARED},
    {"conflict", "newest", HF_CONFLICT_NEWEST},
    {"conflict", "remote", HF_CONFLICT_REMOTE},
    {"conflict", "local", HF_CONFLICT_LOCAL},
    {"conflict", "park", HF_CONFLICT_PARK},
    {"conflict", "merge-json", HF_CONFLICT_MERGE_JSON},
    {"conflict", "callback", HF_CONFLICT_CALLBACK},
    {"writers", "any", HF_WRITERS_ANY},
    {"writers", "holdfast", HF_WRITERS_HOLDFAST},
    {"writers", "this-node", HF_WRITERS_THIS_NODE},
    {"outage", "journal", HF_OUTAGE_JOURNAL},
    {"outage", "refuse", HF_OUTAGE_REFUSE},
    {"outage", "local", HF_OUTAGE_LOCAL},
    {"on_loss", "evidence", HF_LOSS_BY_EVIDENCE},
    {"on_loss", "reseed", HF_LOSS_RESEED},
    {"on_loss", "adopt", HF_LOSS_ADOPT},
    {"on_loss", "hold", HF_LOSS_HOLD},
    {"unknown_time", "serve", HF_UNKNOWN_TIME_SERVE},
    {"unknown_time", "hide", HF_UNKNOWN_TIME_HIDE},
};

static int setting_of(const struct hf_namespace *ns, const char *setting)
{
    const struct {
        const char *name;
        int value;
    } all[] = {
        {"write_mode", (int)ns->write_mode},     {"read_mode", (int)ns->read_mode}, {"conflict", (int)ns->conflict},
        {"writers", (int)ns->writers},           {"outage", (int)ns->outage},       {"on_loss", (int)ns->on_loss},
        {"unknown_time", (int)ns->unknown_time},
    };

    for (size_t i = 0; i < LENGTH(all); i++) {
        if (strcmp(all[i].name, setting) == 0)
            return all[i].value;
    }
    return -1;
}

/* Each word arrives where it belongs, and nothing beside it is touched. */
static void test_config__every_word_of_a_namespace_arrives(void **state)
{
    struct fixture *f = *state;
    const struct hf_namespace *ns;
    char json[128];

    for (size_t i = 0; i < LENGTH(words); i++) {
        snprintf(json, sizeof(json), "{\"namespaces\": [{\"prefix\": \"p\", \"%s\": \"%s\"}]}", words[i].setting,
                 words[i].text);
        ns = load(f, json)->namespaces;
        assert_int_equal(setting_of(ns, words[i].setting), words[i].value);
        for (size_t k = 0; k < LENGTH(words); k++) {
            if (strcmp(words[k].setting, words[i].setting) != 0)
                assert_int_equal(setting_of(ns, words[k].setting), 0);
        }
        assert_int_equal(ns->default_ttl_ms, 0);
        assert_int_equal(ns->change_log_max, 0);
        assert_false(ns->change_log_off || ns->tentative || ns->keep_no_replaced);
        hf_config_free(f->config);
        f->config = NULL;
    }
}

static void test_config__every_durability_arrives(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(load(f, "{\"durability\": \"none\"}")->durability, HF_DURABILITY_NONE);
    hf_config_free(f->config);
    assert_int_equal(load(f, "{\"durability\": \"always\"}")->durability, HF_DURABILITY_ALWAYS);
}

static void test_config__a_thousand_and_twenty_four_namespaces_are_enough(void **state)
{
    static const char begin[] = "{\"namespaces\": [", one[] = "{\"prefix\": \"0000\"}";
    struct fixture *f = *state;
    char *json = malloc(1025 * sizeof(one) + sizeof(begin) + 2), *at;

    assert_non_null(json);
    at = json + sprintf(json, "%s", begin);
    for (int i = 0; i < 1024; i++)
        at += sprintf(at, "%s{\"prefix\": \"%04d\"}", i ? "," : "", i);
    strcpy(at, "]}");
    assert_int_equal(load(f, json)->n_namespaces, 1024);
    sprintf(at, ",%s]}", one);
    refused(f, json, strlen(json), "namespaces: found too many of them, expected at most 1024 namespaces");
    free(json);
}

static void test_config__every_pending_policy_arrives(void **state)
{
    static const char *const policies[] = {"reject", "block", "drop-oldest"};
    struct fixture *f = *state;
    char json[64];

    for (unsigned i = 0; i < LENGTH(policies); i++) {
        snprintf(json, sizeof(json), "{\"pending\": {\"policy\": \"%s\"}}", policies[i]);
        assert_int_equal(load(f, json)->pending_policy, i);
        hf_config_free(f->config);
        f->config = NULL;
    }
}

static void test_config__yes_and_no_arrive_and_replaced_values_are_kept_by_default(void **state)
{
    const struct hf_options *o =
        load(*state, "{\"namespaces\": [{\"prefix\": \"a\"},"
                     "{\"prefix\": \"b\", \"tentative\": true, \"keep_replaced\": false},"
                     "{\"prefix\": \"c\", \"tentative\": false, \"keep_replaced\": true}]}");

    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(o->namespaces[i].tentative, i == 1);
        assert_int_equal(o->namespaces[i].keep_no_replaced, i == 1);
    }
}

static void test_config__zero_bounds_of_the_replay_are_none(void **state)
{
    const struct hf_options *o =
        load(*state, "{\"replay\": {\"ops_per_s\": 0, \"bytes_per_s\": 0, \"delay_max\": 0},"
                     " \"pending\": {\"max_age\": 0}}");

    assert_int_equal(o->replay_ops_per_s, 0);
    assert_int_equal(o->replay_bytes_per_s, 0);
    assert_int_equal(o->replay_delay_max_ms, 0);
    assert_int_equal(o->pending_max_age_ms, 0);
}

static void test_config__password_comes_from_a_file_without_its_line_end(void **state)
{
    struct fixture *f = *state;
    char json[256];

    write_file(f->secret, "p\xc3\xa4ss #\"w\"\r\n", 12, 0640);
    snprintf(json, sizeof(json), "{\"redis\": {\"password_file\": \"%s\"}}", f->secret);
    assert_string_equal(load(f, json)->redis_password, "p\xc3\xa4ss #\"w\"");
}

static void test_config__password_comes_from_the_environment(void **state)
{
    setenv("TEST_CONFIG_PASSWORD", "from-env", 1);
    assert_string_equal(load(*state, "{\"redis\": {\"password_env\": \"TEST_CONFIG_PASSWORD\"}}")->redis_password,
                        "from-env");
    unsetenv("TEST_CONFIG_PASSWORD");
}

/* ---- mistakes ---- */

static void test_config__syntax_error_names_line_and_column(void **state)
{
    static const struct mistake mistakes[] = {
        {"", "line 1, column 1: the JSON text ends too early"},
        {"{\n  \"dir\": \"/x\",\n  \"redis\" {}\n}\n", "line 3, column 11: not valid JSON from here on"},
        {"{\"dir\": nope}", "line 1, column 9: not valid JSON from here on"},
        {"{}\n{}", "line 2, column 1: not valid JSON from here on"},
        {"{\"dir\":\n\n\"a\\u0000b\"}", "line 3, column 3: found a NUL, which no setting may contain"},
    };

    all_refused(*state, mistakes, LENGTH(mistakes));
    refused(*state, "{\n\"d\0r\": 1}", 12, "line 2, column 3: found a NUL, which no setting may contain");
}

static void test_config__bad_value_names_path_found_and_expected(void **state)
{
    static const struct mistake mistakes[] = {
        {"[]", "found an array, expected an object"},
        {"{\"dir\": \"\"}", "dir: found \"\", expected a string that is not empty"},
        {"{\"dir\": null}", "dir: found null, expected a string that is not empty"},
        {"{\"redis\": \"localhost\"}", "redis: found \"localhost\", expected an object"},
        {"{\"redis\": {\"timeout\": 0}}",
         "redis.timeout: found 0, expected a duration from 1 to 2147483647 ms, such as \"10s\" or 250"},
        {"{\"redis\": {\"timeout\": -5}}",
         "redis.timeout: found -5, expected a duration from 1 to 2147483647 ms, such as \"10s\" or 250"},
        {"{\"redis\": {\"timeout\": 1.5}}",
         "redis.timeout: found 1.5, expected a duration from 1 to 2147483647 ms, such as \"10s\" or 250"},
        {"{\"durability\": \"interval:\"}",
         "durability: found \"interval:\", expected \"always\", \"none\" or \"interval:<ms>\""},
        {"{\"durability\": true}", "durability: found true, expected \"always\", \"none\" or \"interval:<ms>\""},
        {"{\"limits\": {\"max_value\": \"513MiB\"}}",
         "limits.max_value: found \"513MiB\", expected a size from 1 to 536870912 bytes, such as \"64MiB\""},
        {"{\"limits\": {\"segment\": \"99999999999GiB\"}}",
         "limits.segment: found \"99999999999GiB\", expected a size "
         "from 1 to 9223372036854775807 bytes, such as \"64MiB\""},
        {"{\"namespaces\": {}}", "namespaces: found an object, expected an array of objects"},
        {"{\"namespaces\": [{\"prefix\": \"a\"}, 7]}", "namespaces[1]: found 7, expected an object"},
        {"{\"namespaces\": [{}]}", "namespaces[0]: found no prefix, expected one (\"\" stands for all other keys)"},
        {"{\"namespaces\": [{\"prefix\": \"\"}, {\"prefix\": \"b\"}, {\"prefix\": \"c\", \"default_ttl\": \"10 "
         "parsecs\"}]}",
         "namespaces[2].default_ttl: found \"10 parsecs\", expected a duration from 1 to 3155760000000 ms, such as "
         "\"10s\" or 250"},
        {"{\"namespaces\": [{\"prefix\": \"b\"}, {\"prefix\": \"b\"}]}",
         "namespaces[1].prefix: found the same prefix again, expected another one than that of namespaces[0]"},
        {"{\"namespaces\": [{\"prefix\": \"b\", \"write_mode\": \"through\\u001b[31m\"}]}",
         "namespaces[0].write_mode: found \"through\\x1b[31m\", expected \"through\", \"behind\" or \"local\""},
        {"{\"namespaces\": [{\"prefix\": \"b\", \"read_mode\": 1}]}",
         "namespaces[0].read_mode: found 1, expected \"local\" or \"shared\""},
        {"{\"namespaces\": [{\"prefix\": \"b\", \"change_log\": \"on\"}]}",
         "namespaces[0].change_log: found \"on\", expected true, false or {\"max\": N}"},
        {"{\"namespaces\": [{\"prefix\": \"b\", \"change_log\": {\"max\": 4294967296}}]}",
         "namespaces[0].change_log.max: found 4294967296, expected a number of entries from 1 to 4294967295"},
        {"{\"pending\": 5}", "pending: found 5, expected an object"},
        {"{\"pending\": {\"max\": 0}}", "pending.max: found 0, expected a whole number from 1 to 9007199254740992"},
        {"{\"pending\": {\"max\": \"1\"}}",
         "pending.max: found \"1\", expected a whole number from 1 to 9007199254740992"},
        {"{\"pending\": {\"max_bytes\": \"1MB\"}}", "pending.max_bytes: found \"1MB\", expected a size from 1 to "
                                                    "9223372036854775807 bytes, such as \"64MiB\""},
        {"{\"pending\": {\"max_age\": \"1w\"}}",
         "pending.max_age: found \"1w\", expected a duration from 0 to 3155760000000 ms, such as \"10s\" or 250"},
        {"{\"pending\": {\"policy\": \"drop\"}}",
         "pending.policy: found \"drop\", expected \"reject\", \"block\" or \"drop-oldest\""},
        {"{\"conflict_log\": []}", "conflict_log: found an array, expected an object"},
        {"{\"conflict_log\": {\"max\": 9007199254740994}}",
         "conflict_log.max: found 9007199254740994, expected a whole number from 1 to 9007199254740992"},
        {"{\"conflict_log\": {\"max_bytes\": 0}}",
         "conflict_log.max_bytes: found 0, expected a size from 1 to 9223372036854775807 bytes, such as \"64MiB\""},
        {"{\"parked\": true}", "parked: found true, expected an object"},
        {"{\"parked\": {\"max\": 2.5}}",
         "parked.max: found 2.5, expected a whole number from 1 to 9007199254740992"},
        {"{\"replay\": null}", "replay: found null, expected an object"},
        {"{\"replay\": {\"ops_per_s\": -1}}",
         "replay.ops_per_s: found -1, expected a whole number from 0 to 9007199254740992"},
        {"{\"replay\": {\"bytes_per_s\": \"fast\"}}", "replay.bytes_per_s: found \"fast\", expected a size from 0 "
                                                      "to 9223372036854775807 bytes, such as \"64MiB\""},
        {"{\"replay\": {\"delay_max\": \"30d\"}}",
         "replay.delay_max: found \"30d\", expected a duration from 0 to 2147483647 ms, such as \"10s\" or 250"},
        {"{\"namespaces\": [{\"prefix\": \"b\", \"tentative\": \"yes\"}]}",
         "namespaces[0].tentative: found \"yes\", expected true or false"},
        {"{\"namespaces\": [{\"prefix\": \"b\", \"keep_replaced\": 0}]}",
         "namespaces[0].keep_replaced: found 0, expected true or false"},
    };

    all_refused(*state, mistakes, LENGTH(mistakes));
}

static void test_config__bad_word_of_a_namespace_names_all_that_are_good(void **state)
{
    static const struct {
        const char *setting;
        const char *expected;
    } settings[] = {
        {"write_mode", "\"through\", \"behind\" or \"local\""},
        {"read_mode", "\"local\" or \"shared\""},
        {"conflict", "\"newest\", \"remote\", \"local\", \"park\", \"merge-json\" or \"callback\""},
        {"writers", "\"any\", \"holdfast\" or \"this-node\""},
        {"outage", "\"journal\", \"refuse\" or \"local\""},
        {"on_loss", "\"evidence\", \"reseed\", \"adopt\" or \"hold\""},
        {"unknown_time", "\"serve\" or \"hide\""},
    };
    static const char *const wrong[] = {"\"\"", "\"Newest\"", "\"any \"", "\"callbac\"", "7",
                                        "true", "null",       "[]",       "{}"};
    static const char *const described[] = {"\"\"", "\"Newest\"", "\"any \"", "\"callbac\"", "7",
                                            "true", "null",       "an array", "an object"};
    char json[160], sentence[320];

    for (size_t i = 0; i < LENGTH(settings); i++) {
        for (size_t k = 0; k < LENGTH(wrong); k++) {
            snprintf(json, sizeof(json), "{\"namespaces\": [{\"prefix\": \"b\", \"%s\": %s}]}", settings[i].setting,
                     wrong[k]);
            snprintf(sentence, sizeof(sentence), "namespaces[0].%s: found %s, expected %s", settings[i].setting,
                     described[k], settings[i].expected);
            refused(*state, json, strlen(json), sentence);
        }
    }
}

static void test_config__unknown_and_repeated_keys_are_refused(void **state)
{
    static const struct mistake mistakes[] = {
        {"{\"Dir\": \"x\"}",
         "Dir: found an unknown key, expected one of: dir, redis, durability, limits, pending, conflict_log, "
         "parked, replay, namespaces, sidecar"},
        {"{\"redis\": {\"adress\": \"x\"}}", "redis.adress: found an unknown key, expected one of: address, user, "
                                             "password_file, password_env, ca_file, "
                                             "timeout, connect_timeout, heartbeat, backoff_max"},
        {"{\"namespaces\": [{\"prefix\": \"a\", \"ttl\": 1}]}",
         "namespaces[0].ttl: found an unknown key, expected one of: prefix, default_ttl, write_mode, read_mode, "
         "change_log, conflict, writers, outage, on_loss, unknown_time, tentative, keep_replaced"},
        {"{\"pending\": {\"ops\": 1}}",
         "pending.ops: found an unknown key, expected one of: max, max_bytes, max_age, policy"},
        {"{\"replay\": {\"ops\": 1}}",
         "replay.ops: found an unknown key, expected one of: ops_per_s, bytes_per_s, delay_max"},
        {"{\"namespaces\": [{\"prefix\": \"a\", \"conflict\": \"park\", \"conflict\": \"park\"}]}",
         "namespaces[0].conflict: found the key twice, expected it once"},
        {"{\"dir\": \"x\", \"dir\": \"y\"}", "dir: found the key twice, expected it once"},
    };

    all_refused(*state, mistakes, LENGTH(mistakes));
}

static void test_config__what_the_sidecar_reads_itself_must_only_be_an_object(void **state)
{
    static const struct mistake mistakes[] = {{"{\"sidecar\": 1}", "sidecar: found 1, expected an object"}};
    static const char good[] = "{\"sidecar\": {\"anything\": [1]}}";
    struct fixture *f = *state;

    all_refused(f, mistakes, LENGTH(mistakes));
    write_file(f->file, good, strlen(good), 0600);
    assert_int_equal(hf_config_load(f->file, &f->config), 0);
}

static void test_config__passwords_in_the_file_are_refused_and_not_shown(void **state)
{
    static const struct mistake mistakes[] = {
        {"{\"redis\": {\"password\": \"hunter2-CANARY\"}}",
         "redis.password: found a password, expected it in a file or in the environment: use password_file or "
         "password_env"},
        {"{\"redis\": {\"address\": \"redis://u:hunter2-CANARY@h\"}}",
         "redis.address: found a password in the address, expected it elsewhere: use password_file or "
         "password_env"},
        {"{\"redis\": {\"password_env\": \"hunter2-CANARY\"}}",
         "redis.password_env: found no variable of this name that is set, expected the name of an environment "
         "variable with the password"},
        {"{\"redis\": {\"password_file\": \"hunter2-CANARY\"}}", NULL},
    };
    struct fixture *f = *state;

    all_refused(f, mistakes, LENGTH(mistakes) - 1);
    write_file(f->file, mistakes[3].json, strlen(mistakes[3].json), 0600);
    assert_int_equal(hf_config_load(f->file, &f->config), HF_EIO);
    assert_non_null(strstr(hf_errmsg(), "the file that redis.password_file names: No such file"));
    assert_null(strstr(hf_errmsg(), "CANARY"));
}

static void test_config__password_file_must_be_private_and_one_line(void **state)
{
    static const struct {
        const char *text;
        size_t len;
        mode_t mode;
        const char *expected;
    } cases[] = {
        {"secret\n", 7, 0644, "found permissions 0644, expected none for others (chmod o= FILE)"},
        {"", 0, 0600, "found an empty file, expected a file with the password as its one line"},
        {"\n", 1, 0600, "found an empty file, expected a file with the password as its one line"},
        {"a\nb\n", 4, 0600,
         "found a file with several lines or a NUL, expected a file with the password as its one line"},
        {"a\0b\n", 4, 0600,
         "found a file with several lines or a NUL, expected a file with the password as its one line"},
    };
    struct fixture *f = *state;
    char json[256];

    snprintf(json, sizeof(json), "{\"redis\": {\"password_file\": \"%s\"}}", f->secret);
    write_file(f->file, json, strlen(json), 0600);
    for (size_t i = 0; i < LENGTH(cases); i++) {
        write_file(f->secret, cases[i].text, cases[i].len, cases[i].mode);
        assert_int_equal(hf_config_load(f->file, &f->config), HF_ECONFIG);
        assert_non_null(strstr(hf_errmsg(), cases[i].expected));
    }
}

static void test_config__two_sources_of_the_password_are_refused(void **state)
{
    struct fixture *f = *state;
    char json[256];

    write_file(f->secret, "secret\n", 7, 0600);
    setenv("TEST_CONFIG_PASSWORD", "from-env", 1);
    snprintf(json, sizeof(json),
             "{\"redis\": {\"password_file\": \"%s\", \"password_env\": \"TEST_CONFIG_PASSWORD\"}}", f->secret);
    refused(f, json, strlen(json),
            "redis.password_env: found a second source of the password, expected only one of password_file and "
            "password_env");
    unsetenv("TEST_CONFIG_PASSWORD");
}

/* ---- files that are none ---- */

static void refused_file(struct fixture *f, int code, const char *format)
{
    char sentence[256];

    assert_int_equal(hf_config_load(f->file, &f->config), code);
    snprintf(sentence, sizeof(sentence), format, f->file);
    assert_string_equal(hf_errmsg(), sentence);
}

static void test_config__unreadable_files_are_refused_at_once(void **state)
{
    struct fixture *f = *state;

    refused_file(f, HF_EIO, "cannot read configuration %s: No such file or directory");
    assert_int_equal(mkfifo(f->file, 0600), 0); /* opening it must not wait for a writer */
    refused_file(f, HF_ECONFIG, "configuration %s: found a FIFO, expected a regular file");
    assert_int_equal(unlink(f->file), 0);
    assert_int_equal(mkdir(f->file, 0700), 0);
    refused_file(f, HF_ECONFIG, "configuration %s: found a directory, expected a regular file");
    assert_int_equal(rmdir(f->file), 0);
    write_file(f->file, "", 0, 0600);
    assert_int_equal(truncate(f->file, (1 << 20) + 1), 0);
    refused_file(f, HF_ECONFIG, "configuration %s: found more than 1048576 bytes, which is the limit");
    assert_int_equal(hf_config_load(NULL, &f->config), HF_EINVAL);
}

/* ---- durations and sizes ---- */

static void test_config__durations_are_whole_numbers_with_a_unit(void **state)
{
    static const struct {
        const char *text;
        int64_t ms;
    } good[] = {{"0", 0},       {"250", 250},     {"250ms", 250},    {"10s", 10000},
                {"5m", 300000}, {"2 h", 7200000}, {"7d", 604800000}, {"9223372036854775807", INT64_MAX}};
    static const char *const wrong[] = {"",
                                        " 1",
                                        "-1",
                                        "+1",
                                        "1e3",
                                        "0x10",
                                        "1.5s",
                                        "s",
                                        "10 parsecs",
                                        "10S",
                                        "1s ",
                                        "9223372036854775808",
                                        "9223372036854775807s",
                                        "99999999999999999999"};
    int64_t ms;

    (void)state;
    for (size_t i = 0; i < LENGTH(good); i++) {
        assert_int_equal(hf_parse_duration(good[i].text, &ms), 0);
        assert_int_equal(ms, good[i].ms);
    }
    for (size_t i = 0; i < LENGTH(wrong); i++) {
        ms = 77;
        assert_int_equal(hf_parse_duration(wrong[i], &ms), HF_EINVAL);
        assert_int_equal(ms, 77);
    }
    assert_int_equal(hf_parse_duration("10\x1b", &ms), HF_EINVAL);
    assert_string_equal(hf_errmsg(),
                        "found \"10\\x1b\", expected a duration such as \"10s\" (ms, s, m, h or d) or a "
                        "number of milliseconds");
}

static void test_config__sizes_are_whole_numbers_with_a_unit(void **state)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } good[] = {{"1000", 1000},          {"1000B", 1000},      {"64MiB", 64u << 20},
                {"16 GiB", 16ull << 30}, {"1TiB", 1ull << 40}, {"18446744073709551615", UINT64_MAX}};
    static const char *const wrong[] = {
        "", "MiB", "64MB", "-1", "1.5GiB", "99999999999GiB", "18446744073709551616"};
    uint64_t bytes;

    (void)state;
    for (size_t i = 0; i < LENGTH(good); i++) {
        assert_int_equal(hf_parse_size(good[i].text, &bytes), 0);
        assert_int_equal(bytes, good[i].bytes);
    }
    for (size_t i = 0; i < LENGTH(wrong); i++)
        assert_int_equal(hf_parse_size(wrong[i], &bytes), HF_EINVAL);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_config__empty_object_leaves_every_default),
        CASE(test_config__every_setting_arrives),
        CASE(test_config__every_word_of_a_namespace_arrives),
        CASE(test_config__every_durability_arrives),
        CASE(test_config__a_thousand_and_twenty_four_namespaces_are_enough),
        CASE(test_config__every_pending_policy_arrives),
        CASE(test_config__yes_and_no_arrive_and_replaced_values_are_kept_by_default),
        CASE(test_config__zero_bounds_of_the_replay_are_none),
        CASE(test_config__password_comes_from_a_file_without_its_line_end),
        CASE(test_config__password_comes_from_the_environment),
        CASE(test_config__syntax_error_names_line_and_column),
        CASE(test_config__bad_value_names_path_found_and_expected),
        CASE(test_config__bad_word_of_a_namespace_names_all_that_are_good),
        CASE(test_config__unknown_and_repeated_keys_are_refused),
        CASE(test_config__what_the_sidecar_reads_itself_must_only_be_an_object),
        CASE(test_config__passwords_in_the_file_are_refused_and_not_shown),
        CASE(test_config__password_file_must_be_private_and_one_line),
        CASE(test_config__two_sources_of_the_password_are_refused),
        CASE(test_config__unreadable_files_are_refused_at_once),
        CASE(test_config__durations_are_whole_numbers_with_a_unit),
        CASE(test_config__sizes_are_whole_numbers_with_a_unit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
