/* What is asked of a server for an operator: servers of different settings and users of different rights, and how questions
 * from other threads reach the link thread and end. */
#include "link_ask.h"
#include "redis_server.h"
#include "scratch.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define BOUND_MS 10000 /* nothing here should take a tenth of it */
#define TIMEOUT_MS 400
#define ALL_RIGHTS "ACL SETUSER limited on >pw ~* &* +@all "

/* ---- fixture: a server, and a store that uses it ---- */

struct fixture {
    struct scratch scratch;
    struct redis_server redis, replica;
    struct hf_options opts;
    struct hf *store;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    scratch_make(&f->scratch);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    if (f->store)
        assert_ok(hf_close(f->store));
    redis_server_stop(&f->replica);
    redis_server_stop(&f->redis);
    scratch_remove(&f->scratch);
    free(f);
    return 0;
}

static void start_redis(struct fixture *f, const char *const *args)
{
    assert_int_equal(redis_server_start(&f->redis, args), 0);
    f->opts = (struct hf_options){
        .redis = f->redis.address,
        .segment_bytes = 1 << 20,
        .max_disk_bytes = 64 << 20,
        .redis_timeout_ms = TIMEOUT_MS,
        .redis_backoff_max_ms = 60,
    };
}

static void open_store(struct fixture *f)
{
    assert_ok(hf_open(f->scratch.store, &f->opts, &f->store));
    assert_true(wait_link(f->store, HF_LINK_ONLINE, BOUND_MS));
}

/* Open with the user that this ACL rule makes. A user without scripts makes no epoch: another has made it before. */
static void open_as(struct fixture *f, const char *rule)
{
    char text[64];

    open_store(f);
    assert_ok(hf_close(f->store));
    assert_string_equal(redis_server_text(&f->redis, text, sizeof(text), rule), "OK");
    f->opts.redis_user = "limited";
    f->opts.redis_password = "pw";
    open_store(f);
}

/* ---- facts ---- */

static void test_facts__of_a_plain_server(void **state)
{
    struct fixture *f = *state;
    struct hf_shared_facts facts;

    start_redis(f, NULL);
    open_store(f);
    assert_ok(hf__ask_facts(f->store, &facts));
    assert_int_equal(facts.error.class, HF_SHARED_OK);
    assert_true(facts.version[0] >= '6');
    assert_true(facts.has_info);
    assert_int_equal(strlen(facts.run_id), 40);
    assert_true(facts.uptime_s >= 0 && facts.uptime_s < 60);
    assert_false(facts.loading);
    assert_false(facts.aof_enabled);
    assert_string_equal(facts.rdb_status, "ok");
    assert_string_equal(facts.aof_status, "ok");
    assert_true(facts.rdb_changes_since_save > 0); /* our bookkeeping */
    assert_true(facts.used_memory_bytes > 100000);
    assert_int_equal(facts.max_memory_bytes, 0);
    assert_string_equal(facts.eviction_policy, "noeviction");
    assert_int_equal(facts.evicted_keys, 0);
    assert_string_equal(facts.role, "master");
    assert_int_equal(facts.connected_replicas, 0);
    assert_true(facts.has_config);
    assert_string_equal(facts.append_fsync, "everysec");
    assert_string_equal(facts.save_points, "");
    assert_int_equal(facts.max_value_bytes, HF_VALUE_MAX);
    assert_string_equal(facts.user, "default");
    assert_true(facts.may_run_scripts && facts.may_read_info && facts.may_read_config && facts.may_track);
    assert_string_equal(facts.refusal, "");
}

static void test_facts__of_a_server_with_other_settings(void **state)
{
    static const char *const args[] = {"--maxmemory",
                                       "100mb",
                                       "--maxmemory-policy",
                                       "allkeys-lru",
                                       "--appendonly",
                                       "yes",
                                       "--appendfsync",
                                       "always",
                                       "--save",
                                       "60 500",
                                       "--proto-max-bulk-len",
                                       "8mb",
                                       NULL};
    struct fixture *f = *state;
    struct hf_shared_facts facts;

    start_redis(f, args);
    open_store(f);
    assert_ok(hf__ask_facts(f->store, &facts));
    assert_true(facts.has_info && facts.has_config);
    assert_int_equal(facts.max_memory_bytes, 100 << 20);
    assert_string_equal(facts.eviction_policy, "allkeys-lru");
    assert_true(facts.aof_enabled);
    assert_string_equal(facts.append_fsync, "always");
    assert_string_equal(facts.save_points, "60 500");
    assert_int_equal(facts.max_value_bytes, 8 << 20);
}

static void test_facts__each_right_is_found_out_by_itself(void **state)
{
    static const struct {
        const char *rule, *refusal;
        bool scripts, info, config, track, user;
    } users[] = {
        {ALL_RIGHTS, "", true, true, true, true, true},
        {ALL_RIGHTS "-info", "info", true, false, true, true, true},
        {ALL_RIGHTS "-config", "config", true, true, false, true, true},
        {ALL_RIGHTS "-config +config|set", "config|get", true, true, false, true, true},
        {ALL_RIGHTS "-acl", "acl|whoami", true, true, true, true, false},
        {ALL_RIGHTS "-eval", "eval", false, true, true, true, true},
        {ALL_RIGHTS "-evalsha", "evalsha", false, true, true, true, true},
        {ALL_RIGHTS "-client", "client|tracking", true, true, true, false, true},
        {ALL_RIGHTS "-info -config -acl -@scripting -client", "info", false, false, false, false, false},
    };
    struct fixture *f = *state;
    char text[64];

    start_redis(f, NULL);
    open_as(f, ALL_RIGHTS);
    for (size_t i = 0; i < sizeof(users) / sizeof(users[0]); i++) {
        struct hf_shared_facts facts;

        redis_server_text(&f->redis, text, sizeof(text), users[i].rule);
        assert_string_equal(text, "OK");
        assert_ok(hf__ask_facts(f->store, &facts));
        if (facts.may_run_scripts != users[i].scripts || facts.may_read_info != users[i].info ||
            facts.may_read_config != users[i].config || facts.may_track != users[i].track)
            fail_msg("%s: scripts %d, info %d, config %d, tracking %d", users[i].rule, facts.may_run_scripts,
                     facts.may_read_info, facts.may_read_config, facts.may_track);
        assert_int_equal(facts.has_info, users[i].info);
        assert_int_equal(facts.has_config, users[i].config);
        assert_string_equal(facts.user, users[i].user ? "limited" : "");
        assert_true(users[i].refusal[0] ? strstr(facts.refusal, "NOPERM") && strstr(facts.refusal, users[i].refusal)
                                        : !facts.refusal[0]);
    }
    put(f->store, "k", "v"); /* no question used up the connection's guard */
    assert_string_equal(redis_server_text(&f->redis, text, sizeof(text), "GET k"), "v");
}

static void test_facts__replicas_are_counted(void **state)
{
    struct fixture *f = *state;
    char port[8], text[64];
    const char *args[] = {"--port", port, "--repl-diskless-sync-delay", "0", NULL};
    struct hf_shared_facts facts;

    snprintf(port, sizeof(port), "%d", redis_server_free_port());
    start_redis(f, args);
    assert_int_equal(redis_server_start(&f->replica, NULL), 0);
    redis_server_text(&f->replica, text, sizeof(text), "REPLICAOF 127.0.0.1 %s", port);
    assert_string_equal(text, "OK");
    assert_int_equal(redis_server_number(&f->redis, "WAIT 1 %d", BOUND_MS), 1);
    open_store(f);
    assert_ok(hf__ask_facts(f->store, &facts));
    assert_string_equal(facts.role, "master");
    assert_int_equal(facts.connected_replicas, 1);
}

/* ---- questions ---- */

static void test_ask__without_a_shared_tier_nobody_is_there(void **state)
{
    struct fixture *f = *state;
    struct hf_shared_facts facts;

    assert_ok(hf_open(f->scratch.store, NULL, &f->store));
    assert_code(HF_EOFFLINE, hf__ask_facts(f->store, &facts));
    assert_sentence("without a shared tier");
}

static void test_ask__while_offline_it_fails_at_once_with_the_reason(void **state)
{
    struct fixture *f = *state;
    struct hf_shared_facts facts;
    int64_t start;

    start_redis(f, NULL);
    open_store(f);
    redis_server_kill(&f->redis);
    assert_true(wait_link(f->store, HF_LINK_OFFLINE, BOUND_MS));
    start = wall_ms();
    assert_code(HF_EOFFLINE, hf__ask_facts(f->store, &facts));
    assert_true(wall_ms() - start < TIMEOUT_MS);
    assert_sentence("the shared tier is ");
    assert_int_equal(redis_server_restart(&f->redis), 0);
    assert_true(wait_link(f->store, HF_LINK_ONLINE, BOUND_MS));
    assert_ok(hf__ask_facts(f->store, &facts));
}

static void test_ask__a_frozen_server_is_not_waited_for(void **state)
{
    struct fixture *f = *state;
    struct hf_shared_facts facts;
    int64_t start;

    start_redis(f, NULL);
    open_store(f);
    redis_server_pause(&f->redis);
    start = wall_ms();
    assert_code(HF_EOFFLINE, hf__ask_facts(f->store, &facts));
    assert_true(wall_ms() - start < 4 * TIMEOUT_MS);
    assert_sentence("cannot ask the shared tier");
    redis_server_resume(&f->redis);
}

static void *ask_often(void *arg)
{
    struct fixture *f = arg;
    struct hf_shared_facts facts;
    intptr_t failed = 0;

    for (int i = 0; i < 50; i++)
        failed += hf__ask_facts(f->store, &facts) != 0 || !facts.has_info || !facts.has_config;
    return (void *)failed;
}

static void test_ask__many_threads_ask_while_others_write(void **state)
{
    struct fixture *f = *state;
    pthread_t threads[4];

    start_redis(f, NULL);
    open_store(f);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask_often, f), 0);
    for (int i = 0; i < 100; i++)
        put(f->store, "k", "v");
    for (size_t i = 0; i < 4; i++) {
        void *failed;

        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
}

static bool is_answered(void *ctx)
{
    struct fixture *f = ctx;
    struct hf_shared_facts facts;

    return hf__ask_facts(f->store, &facts) == 0;
}

/* Questions fall on a connection that breaks again and again: each gets an end. */
static void test_ask__every_question_ends_while_the_link_breaks(void **state)
{
    struct fixture *f = *state;
    pthread_t threads[4];
    char text[64];

    start_redis(f, NULL);
    open_store(f);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask_often, f), 0);
    for (int i = 0; i < 20; i++)
        redis_server_text(&f->redis, text, sizeof(text), "CLIENT KILL TYPE normal");
    for (size_t i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_true(wait_until(is_answered, f, BOUND_MS)); /* the last break may not have been noticed yet */
    assert_ptr_equal(ask_often(f), NULL);
}

/* ---- the doctor, with real servers ---- */

struct wanted {
    const char *topic;
    enum hf_finding_level level;
    const char *part; /* of found or advice */
    bool seen;
};

static int compare(void *ctx, const struct hf_finding *finding)
{
    for (struct wanted *w = ctx; w->topic; w++) {
        if (strcmp(w->topic, finding->topic) != 0)
            continue;
        if (w->level != finding->level || !(strstr(finding->found, w->part) || strstr(finding->advice, w->part)))
            fail_msg("%s: level %d: %s: %s", finding->topic, finding->level, finding->found, finding->advice);
        w->seen = true;
    }
    return 0;
}

static void assert_findings(struct fixture *f, struct wanted *wanted)
{
    assert_ok(hf_doctor(f->store, compare, wanted));
    for (struct wanted *w = wanted; w->topic; w++) {
        if (!w->seen)
            fail_msg("nothing was said of %s", w->topic);
    }
}

static void test_doctor__a_server_without_persistence(void **state)
{
    struct fixture *f = *state;
    struct wanted wanted[] = {
        {"shared tier", HF_FINDING_OK, "online", false},
        {"role", HF_FINDING_OK, "master", false},
        {"eviction policy", HF_FINDING_OK, "noeviction", false},
        {"persistence", HF_FINDING_PROBLEM, "loses everything", false},
        {"last save", HF_FINDING_OK, "ok", false},
        {"replicas", HF_FINDING_ADVICE, "0", false},
        {"memory", HF_FINDING_ADVICE, "no maxmemory", false},
        {"value size", HF_FINDING_OK, "512.0 MiB", false},
        {"right to run scripts", HF_FINDING_OK, "permitted", false},
        {"time", HF_FINDING_OK, "ms", false},
        {"Redis's clock", HF_FINDING_OK, "ms", false},
        {"durability", HF_FINDING_OK, "always", false},
        {"journal", HF_FINDING_OK, "0 quarantined", false},
        {"local tier", HF_FINDING_OK, "64.0 MiB", false},
        {"permissions", HF_FINDING_OK, "0700", false},
        {"pending", HF_FINDING_OK, "0 keys", false},
        {"parked", HF_FINDING_OK, "0 entries", false},
        {0},
    };

    start_redis(f, NULL);
    open_store(f);
    assert_findings(f, wanted);
}

static void test_doctor__a_server_that_evicts_and_takes_short_values(void **state)
{
    static const char *const args[] = {"--maxmemory",          "100mb",        "--maxmemory-policy",
                                       "allkeys-lru",          "--appendonly", "yes",
                                       "--proto-max-bulk-len", "8mb",          NULL};
    struct fixture *f = *state;
    struct wanted wanted[] = {
        {"eviction policy", HF_FINDING_PROBLEM, "allkeys-lru", false},
        {"persistence", HF_FINDING_OK, "every second", false},
        {"memory", HF_FINDING_OK, "of 100.0 MiB", false},
        {"value size", HF_FINDING_PROBLEM, "proto-max-bulk-len 67108864", false},
        {0},
    };

    start_redis(f, args);
    open_store(f);
    assert_findings(f, wanted);
}

static void test_doctor__the_advice_for_missing_rights_grants_them(void **state)
{
    struct fixture *f = *state;
    char text[64];
    struct wanted missing[] = {
        {"eviction policy", HF_FINDING_UNKNOWN, "INFO", false},
        {"role", HF_FINDING_OK, "by the handshake", false},
        {"value size", HF_FINDING_UNKNOWN, "CONFIG GET", false},
        {"right to run scripts", HF_FINDING_PROBLEM, "ACL SETUSER limited +eval +evalsha", false},
        {"right to track keys", HF_FINDING_ADVICE, "ACL SETUSER limited +client|tracking", false},
        {"right to read INFO", HF_FINDING_ADVICE, "ACL SETUSER limited +info", false},
        {"right to read settings", HF_FINDING_ADVICE, "ACL SETUSER limited +config|get", false},
        {0},
    };
    struct wanted granted[] = {
        {"eviction policy", HF_FINDING_OK, "noeviction", false},
        {"right to run scripts", HF_FINDING_OK, "permitted", false},
        {"right to track keys", HF_FINDING_OK, "permitted", false},
        {"right to read INFO", HF_FINDING_OK, "permitted", false},
        {"right to read settings", HF_FINDING_OK, "permitted", false},
        {0},
    };

    start_redis(f, NULL);
    open_as(f, ALL_RIGHTS "-info -config -@scripting -client");
    assert_findings(f, missing);
    redis_server_text(&f->redis, text, sizeof(text),
                      "ACL SETUSER limited +eval +evalsha +client|tracking +info +config|get");
    assert_string_equal(text, "OK");
    assert_findings(f, granted);
}

static void test_doctor__an_unreachable_server_and_files_open_to_others(void **state)
{
    struct fixture *f = *state;
    char path[160];
    struct wanted wanted[] = {
        {"server", HF_FINDING_UNKNOWN, "not asked", false},
        {"permissions", HF_FINDING_ADVICE, "directory 0711, 'lmdb/data.mdb' 0640, 1 such file", false},
        {0},
    };

    start_redis(f, NULL);
    open_store(f);
    redis_server_kill(&f->redis);
    assert_true(wait_link(f->store, HF_LINK_OFFLINE, BOUND_MS));
    assert_int_equal(chmod(f->scratch.store, 0711), 0);
    snprintf(path, sizeof(path), "%s/lmdb/data.mdb", f->scratch.store);
    assert_int_equal(chmod(path, 0640), 0);
    assert_findings(f, wanted);
}

static void test_doctor__a_readers_handle_asks_nobody(void **state)
{
    struct fixture *f = *state;
    struct hf_options reader = {.read_only = true};
    struct wanted wanted[] = {
        {"shared tier", HF_FINDING_UNKNOWN, "for reading only", false},
        {"journal", HF_FINDING_OK, "0 quarantined", false},
        {0},
    };

    start_redis(f, NULL);
    open_store(f);
    assert_ok(hf_close(f->store));
    assert_ok(hf_open(f->scratch.store, &reader, &f->store));
    assert_findings(f, wanted);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_facts__of_a_plain_server),
        TEST(test_facts__of_a_server_with_other_settings),
        TEST(test_facts__each_right_is_found_out_by_itself),
        TEST(test_facts__replicas_are_counted),
        TEST(test_ask__without_a_shared_tier_nobody_is_there),
        TEST(test_ask__while_offline_it_fails_at_once_with_the_reason),
        TEST(test_ask__a_frozen_server_is_not_waited_for),
        TEST(test_ask__many_threads_ask_while_others_write),
        TEST(test_ask__every_question_ends_while_the_link_breaks),
        TEST(test_doctor__a_server_without_persistence),
        TEST(test_doctor__a_server_that_evicts_and_takes_short_values),
        TEST(test_doctor__the_advice_for_missing_rights_grants_them),
        TEST(test_doctor__an_unreachable_server_and_files_open_to_others),
        TEST(test_doctor__a_readers_handle_asks_nobody),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
