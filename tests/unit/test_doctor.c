/* What the doctor says: a healthy set of facts, one of them changed at a time, and the finding that it must lead to. */
#include "findings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* ---- fixture: everything is as it should be ---- */

#define MIB (1024ull * 1024)

static struct hf_doctor_facts healthy(void)
{
    return (struct hf_doctor_facts){
        .status = {.link = HF_LINK_ONLINE,
                   .max_disk_bytes = 1024 * MIB,
                   .disk_used_bytes = 100 * MIB,
                   .journal_bytes = 32 * MIB,
                   .journal_segments = 2,
                   .clock_known = true,
                   .clock_offset_ms = -5,
                   .clock_uncertainty_ms = 1},
        .max_value_bytes = 64 * MIB,
        .segment_bytes = 16 * MIB,
        .has_shared_tier = true,
        .asked = true,
        .shared = {.version = "7.0.15",
                   .has_info = true,
                   .aof_enabled = true,
                   .rdb_status = "ok",
                   .aof_status = "ok",
                   .used_memory_bytes = 10 * MIB,
                   .max_memory_bytes = 100 * MIB,
                   .eviction_policy = "noeviction",
                   .role = "master",
                   .connected_replicas = 1,
                   .has_config = true,
                   .append_fsync = "everysec",
                   .max_value_bytes = 512 * MIB,
                   .user = "app",
                   .may_run_scripts = true,
                   .may_read_info = true,
                   .may_read_config = true,
                   .may_track = true},
        .wall_ahead_ms = 3,
        .disk_known = true,
        .free_bytes = 2048 * MIB,
        .dir_mode = 0700,
    };
}

/* ---- what was said ---- */

#define SAID_MAX 40
static struct {
    size_t n;
    struct {
        enum hf_finding_level level;
        char topic[40], found[300], advice[400];
    } all[SAID_MAX];
} said;

static int keep(void *ctx, const struct hf_finding *finding)
{
    (void)ctx;
    assert_true(said.n < SAID_MAX);
    said.all[said.n].level = finding->level;
    snprintf(said.all[said.n].topic, sizeof(said.all[0].topic), "%s", finding->topic);
    snprintf(said.all[said.n].found, sizeof(said.all[0].found), "%s", finding->found);
    snprintf(said.all[said.n].advice, sizeof(said.all[0].advice), "%s", finding->advice);
    said.n++;
    return 0;
}

static void examine(const struct hf_doctor_facts *facts)
{
    said.n = 0;
    assert_int_equal(hf__findings(facts, keep, NULL), 0);
}

/* The index of the topic; SAID_MAX: nothing was said of it. */
static size_t find(const char *topic)
{
    size_t at = SAID_MAX;

    for (size_t i = 0; i < said.n; i++) {
        if (strcmp(said.all[i].topic, topic) != 0)
            continue;
        assert_int_equal(at, SAID_MAX); /* each topic once */
        at = i;
    }
    return at;
}

/* ---- the table ---- */

#define OK HF_FINDING_OK
#define ADVICE HF_FINDING_ADVICE
#define PROBLEM HF_FINDING_PROBLEM
#define UNKNOWN HF_FINDING_UNKNOWN
#define SET(field, text) snprintf((field), sizeof(field), "%s", (text))

/* line, what is changed, level, topic, part of `found`, part of `advice` */
#define CASES(X)                                                                                                   \
    X(1, f->status.link = HF_LINK_REPLAYING, OK, "shared tier", "replaying", "")                                   \
    X(2, (f->status.link = HF_LINK_HELD, SET(f->status.link_reason, "NOPERM")), PROBLEM, "shared tier",            \
      "held: NOPERM", "until the reason is gone")                                                                  \
    X(3, f->status.link = HF_LINK_OFFLINE, PROBLEM, "shared tier", "offline", "tried again")                       \
    X(4, SET(f->shared.version, "6.0.9"), PROBLEM, "server version", "6.0.9", "6.2 or newer")                      \
    X(5, SET(f->shared.version, "5.9.9"), PROBLEM, "server version", "5.9.9", "6.2 or newer")                      \
    X(6, SET(f->shared.version, "6.2.0"), ADVICE, "server version", "6.2.0", "tests run with 7.0")                 \
    X(7, SET(f->shared.version, "8.0.1"), ADVICE, "server version", "8.0.1", "tests run with 7.0")                 \
    X(8, SET(f->shared.version, ""), UNKNOWN, "server version", "not told", "6.2")                                 \
    X(9, SET(f->shared.role, "slave"), PROBLEM, "role", "slave", "master")                                         \
    X(10, f->shared.loading = true, ADVICE, "role", "loading", "wait")                                             \
    X(11, SET(f->shared.eviction_policy, "allkeys-lru"), PROBLEM, "eviction policy", "allkeys-lru",                \
      "the bookkeeping by which losses are noticed: CONFIG SET maxmemory-policy noeviction")                       \
    X(12, SET(f->shared.eviction_policy, "volatile-ttl"), ADVICE, "eviction policy", "volatile-ttl",               \
      "is gone: CONFIG SET maxmemory-policy noeviction")                                                           \
    X(13, SET(f->shared.append_fsync, "always"), OK, "persistence", "synced always", "")                           \
    X(14, SET(f->shared.append_fsync, "no"), ADVICE, "persistence", "half a minute", "appendfsync everysec")       \
    X(15,                                                                                                          \
      (f->shared.aof_enabled = false, SET(f->shared.save_points, "60 1"), f->shared.rdb_changes_since_save = 7),   \
      ADVICE, "persistence", "snapshots only (60 1): a crash loses what came after the last one, 7 changes",       \
      "appendonly yes")                                                                                            \
    X(16, f->shared.aof_enabled = false, PROBLEM, "persistence", "loses everything", "appendonly yes")             \
    X(17, SET(f->shared.rdb_status, "err"), PROBLEM, "last save", "snapshot err", "disk")                          \
    X(18, SET(f->shared.aof_status, "err"), PROBLEM, "last save", "file err", "disk")                              \
    X(19, f->shared.connected_replicas = 0, ADVICE, "replicas", "0", "Sentinel")                                   \
    X(20, f->shared.max_memory_bytes = 0, ADVICE, "memory", "10.0 MiB used, no maxmemory", "set maxmemory")        \
    X(21, f->shared.used_memory_bytes = 75 * MIB - 1, OK, "memory", "75 %", "")                                    \
    X(22, f->shared.used_memory_bytes = 75 * MIB, ADVICE, "memory", "75.0 MiB used of 100.0 MiB", "raise it")      \
    X(23, f->shared.used_memory_bytes = 90 * MIB, PROBLEM, "memory", "90 %", "raise it")                           \
    X(24, f->shared.max_value_bytes = 64 * MIB, OK, "value size", "64.0 MiB", "")                                  \
    X(25, f->shared.max_value_bytes = 64 * MIB - 1, PROBLEM, "value size", "the store 64.0 MiB",                   \
      "proto-max-bulk-len 67108864")                                                                               \
    X(26, f->shared.may_run_scripts = false, PROBLEM, "right to run scripts", "not permitted",                     \
      "ACL SETUSER app +eval +evalsha")                                                                            \
    X(27, f->shared.may_track = false, ADVICE, "right to track keys", "not permitted",                             \
      "ACL SETUSER app +client|tracking")                                                                          \
    X(28, f->shared.may_read_info = false, ADVICE, "right to read INFO", "not permitted", "SETUSER app +info")     \
    X(29, f->shared.may_read_config = false, ADVICE, "right to read settings", "not permitted",                    \
      "SETUSER app +config|get")                                                                                   \
    X(30, (f->shared.may_track = false, SET(f->shared.user, "")), ADVICE, "right to track keys", "not permitted",  \
      "ACL SETUSER <user> +client|tracking")                                                                       \
    X(31, (f->status.time_unknown = true, f->status.clock_known = false), PROBLEM, "time", "not known",            \
      "until Redis is reachable")                                                                                  \
    X(32, f->wall_ahead_ms = 1000, ADVICE, "time", "1000 ms ahead", "it was set")                                  \
    X(33, f->wall_ahead_ms = -3600000, ADVICE, "time", "3600000 ms behind", "it was set")                          \
    X(34, f->wall_ahead_ms = -999, OK, "time", "999 ms behind", "")                                                \
    X(35, f->status.clock_offset_ms = 1000, ADVICE, "Redis's clock", "1000 ms ahead", "NTP")                       \
    X(36, f->status.clock_offset_ms = -1000, ADVICE, "Redis's clock", "1000 ms behind", "NTP")                     \
    X(37, f->status.clock_uncertainty_ms = 101, ADVICE, "Redis's clock", "known to 101 ms", "ambiguous")           \
    X(38, (f->durability = HF_DURABILITY_INTERVAL, f->sync_interval_ms = 250), ADVICE, "durability",               \
      "the last 250 ms", "`always`")                                                                               \
    X(39, f->durability = HF_DURABILITY_NONE, ADVICE, "durability", "last checkpoint", "`always`")                 \
    X(40, f->status.stopped = true, PROBLEM, "journal", "a sync failed", "open the store again")                   \
    X(41, f->status.quarantined = 1, PROBLEM, "journal", "1 quarantined", "journal verify")                        \
    X(42, f->status.disk_used_bytes = 768 * MIB, ADVICE, "local tier", "75 %", "raise max_disk")                   \
    X(43, f->status.disk_used_bytes = 922 * MIB, PROBLEM, "local tier", "90 %", "raise max_disk")                  \
    X(44, f->free_bytes = 956 * MIB, OK, "disk space", "may grow by 956.0 MiB", "")                                \
    X(45, f->free_bytes = 956 * MIB - 1, ADVICE, "disk space", "956.0 MiB free", "lower max_disk")                 \
    X(46, f->free_bytes = 31 * MIB, PROBLEM, "disk space", "31.0 MiB free", "make room")                           \
    X(47, f->free_bytes = 100, PROBLEM, "disk space", "100 bytes free", "make room")                               \
    X(48, f->disk_known = false, UNKNOWN, "disk space", "did not tell", "")                                        \
    X(49, f->dir_mode = 0750, ADVICE, "permissions", "directory 0750", "chmod 700")                                \
    X(50, f->dir_mode = 0, UNKNOWN, "permissions", "could not be examined", "")                                    \
    X(51, (f->n_open_files = 2, f->open_file_mode = 0644, SET(f->open_file, "journal/x")), ADVICE, "permissions",  \
      "'journal/x' 0644, 2 such", "chmod 600")                                                                     \
    X(52, (f->status.pending_keys = 3, f->status.oldest_pending_ms = 5000), OK, "pending", "3 keys", "")           \
    X(53, (f->status.pending_keys = 3, f->status.oldest_pending_ms = 3600000), ADVICE, "pending", "3600 s",        \
      "lacked these for long")                                                                                     \
    X(54, f->status.paused = true, ADVICE, "pending", "0 keys", "resume")                                          \
    X(55, f->status.parked = 2, PROBLEM, "parked", "2 entries, 0 of them", "holdfast parked")                      \
    X(56, (f->status.parked = 2, f->status.in_doubt = 1), PROBLEM, "parked", "1 of them in doubt", "dropped")      \
    X(57, f->status.conflicts = 4, ADVICE, "conflicts", "4 in the conflict log", "holdfast conflicts")             \
    X(58, f->status.blind_conflicts = 4, OK, "conflicts", "4 kept for information", "")                            \
    X(59, f->status.dropped = 1, PROBLEM, "dropped", "1 change dropped", "pending_max")                            \
    X(60, f->status.gaps = 6, ADVICE, "dropped", "6 keys to be compared", "next reconcile")                        \
    X(61, f->status.link = HF_LINK_CONNECTING, UNKNOWN, "shared tier", "connecting", "ask again")                  \
    X(62, f->status.clock_known = false, UNKNOWN, "Redis's clock", "not measured", "")                             \
    X(63, f->status.clock_jumps = 2, ADVICE, "Redis's clock", "stepped 2 times", "one server")                     \
    X(64, (f->status.link = HF_LINK_HELD, f->status.look_only = true), OK, "shared tier", "opened only to look",   \
      "")                                                                                                          \
    X(65, f->status.pending_keys = 1, OK, "pending", "1 key, the oldest", "")                                      \
    X(66, f->status.parked = 1, PROBLEM, "parked", "1 entry, 0 of them", "holdfast parked")                        \
    X(67, f->status.journal_segments = 1, OK, "journal", "1 segment, 0", "")

#define X(line, change, level, topic, found, advice)                                                               \
    static void change_##line(struct hf_doctor_facts *f)                                                           \
    {                                                                                                              \
        (void)(change);                                                                                            \
    }
CASES(X)
#undef X

static const struct {
    const char *what;
    void (*change)(struct hf_doctor_facts *f);
    enum hf_finding_level level;
    const char *topic, *found, *advice;
} cases[] = {
#define X(line, change, level, topic, found, advice) {#change, change_##line, level, topic, found, advice},
    CASES(X)
#undef X
};

static void test_doctor__a_healthy_store_needs_no_advice(void **state)
{
    struct hf_doctor_facts facts = healthy();

    (void)state;
    examine(&facts);
    assert_int_equal(said.n, 23);
    for (size_t i = 0; i < said.n; i++) {
        if (said.all[i].level != OK || said.all[i].advice[0])
            fail_msg("%s: %s: %s", said.all[i].topic, said.all[i].found, said.all[i].advice);
        assert_true(said.all[i].found[0]);
        assert_int_equal(find(said.all[i].topic), i);
    }
}

static void test_doctor__one_cause_leads_to_its_one_finding(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct hf_doctor_facts facts = healthy();
        size_t at;

        cases[i].change(&facts);
        examine(&facts);
        at = find(cases[i].topic);
        if (at == SAID_MAX)
            fail_msg("%s: nothing was said of %s", cases[i].what, cases[i].topic);
        if (said.all[at].level != cases[i].level || !strstr(said.all[at].found, cases[i].found) ||
            !strstr(said.all[at].advice, cases[i].advice) || (!cases[i].advice[0] && said.all[at].advice[0]))
            fail_msg("%s: level %d: %s: %s", cases[i].what, said.all[at].level, said.all[at].found,
                     said.all[at].advice);
        for (size_t j = 0; j < said.n; j++) {
            if (j != at && said.all[j].level != OK)
                fail_msg("%s: also %s: %s", cases[i].what, said.all[j].topic, said.all[j].found);
        }
    }
}

static void test_doctor__what_was_not_answered_is_unknown(void **state)
{
    static const char *const by_info[] = {"eviction policy", "persistence", "replicas", "memory"};
    struct hf_doctor_facts facts = healthy();

    (void)state;
    facts.shared.has_info = false;
    examine(&facts);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(said.all[find(by_info[i])].level, UNKNOWN);
    assert_int_equal(find("last save"), SAID_MAX);
    assert_string_equal(said.all[find("role")].found, "master, by the handshake");

    facts = healthy();
    facts.shared.has_config = false;
    examine(&facts);
    assert_int_equal(said.all[find("persistence")].level, UNKNOWN);
    assert_int_equal(said.all[find("value size")].level, UNKNOWN);
    facts.shared.aof_enabled = false;
    examine(&facts);
    assert_int_equal(said.all[find("persistence")].level, ADVICE);
}

static void test_doctor__a_policy_without_effect_is_no_problem_yet(void **state)
{
    struct hf_doctor_facts facts = healthy();

    (void)state;
    SET(facts.shared.eviction_policy, "allkeys-lfu");
    facts.shared.max_memory_bytes = 0;
    examine(&facts);
    assert_int_equal(said.all[find("eviction policy")].level, ADVICE);
    assert_non_null(strstr(said.all[find("eviction policy")].found, "without effect"));
}

static void test_doctor__of_a_server_that_was_not_asked_nothing_is_claimed(void **state)
{
    struct hf_doctor_facts facts = healthy();

    (void)state;
    facts.asked = false;
    facts.status.link = HF_LINK_OFFLINE;
    SET(facts.why_not, "the shared tier is offline");
    examine(&facts);
    assert_int_equal(said.all[find("server")].level, UNKNOWN);
    assert_string_equal(said.all[find("server")].found, "not asked: the shared tier is offline");
    assert_int_equal(find("server version"), SAID_MAX);
    assert_int_equal(find("Redis's clock"), SAID_MAX);
    assert_int_equal(said.all[find("journal")].level, OK);
}

static void test_doctor__a_store_by_itself_is_healthy(void **state)
{
    struct hf_doctor_facts facts = healthy();

    (void)state;
    facts.has_shared_tier = facts.asked = false;
    facts.status.link = HF_LINK_DISABLED;
    examine(&facts);
    assert_int_equal(find("server"), SAID_MAX);
    for (size_t i = 0; i < said.n; i++)
        assert_int_equal(said.all[i].level, OK);
    facts.status.read_only = true;
    examine(&facts);
    assert_int_equal(said.all[find("shared tier")].level, UNKNOWN);
}

static int stop_at_third(void *ctx, const struct hf_finding *finding)
{
    (void)finding;
    return ++*(int *)ctx == 3 ? 42 : 0;
}

static void test_doctor__the_callback_can_end_it(void **state)
{
    struct hf_doctor_facts facts = healthy();
    int n = 0;

    (void)state;
    assert_int_equal(hf__findings(&facts, stop_at_third, &n), 42);
    assert_int_equal(n, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_doctor__a_healthy_store_needs_no_advice),
        cmocka_unit_test(test_doctor__one_cause_leads_to_its_one_finding),
        cmocka_unit_test(test_doctor__what_was_not_answered_is_unknown),
        cmocka_unit_test(test_doctor__a_policy_without_effect_is_no_problem_yet),
        cmocka_unit_test(test_doctor__of_a_server_that_was_not_asked_nothing_is_claimed),
        cmocka_unit_test(test_doctor__a_store_by_itself_is_healthy),
        cmocka_unit_test(test_doctor__the_callback_can_end_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
