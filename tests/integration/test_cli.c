/* The `holdfast` tool as its users meet it: the built program, its output, its sentences and its exit statuses.
 * HOLDFAST_BIN names the program. */
#include "tool.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xxhash.h>

#define ARGUMENTS 5

/* Run the tool with a row of a table. */
static void run_list(struct tool *f, const char *const arguments[ARGUMENTS])
{
    const char *a[ARGUMENTS] = {0};

    for (size_t i = 0; i < ARGUMENTS && arguments[i]; i++)
        a[i] = arguments[i];
    run(f, a[0], a[1], a[2], a[3], a[4], NULL);
}

static bool exists(const char *path)
{
    struct stat st;

    return lstat(path, &st) == 0;
}

/* ---- values ---- */

static void test_cli__set_and_get_give_back_the_bytes(void **state)
{
    struct tool *f = *state;
    char bytes[70000];
    size_t n = sizeof(bytes);

    run(f, "set", "greeting", "hello", NULL);
    assert_done(f, "");
    run(f, "get", "greeting", NULL);
    assert_done(f, "hello");
    for (size_t i = 0; i < n; i++)
        bytes[i] = (char)(i * 7 ^ i >> 8);
    put_file(f->in, bytes, n);
    run(f, "set", "bytes", "-", NULL);
    assert_done(f, "");
    run(f, "get", "bytes", NULL);
    assert_status(f, 0);
    assert_int_equal(f->out_len, n);
    assert_memory_equal(f->out, bytes, n);
    put_file(f->in, "", 0);
    run(f, "set", "bytes", "-", NULL);
    run(f, "get", "bytes", NULL);
    assert_done(f, "");
}

static void test_cli__get_ends_the_line_on_a_terminal_only(void **state)
{
    struct tool *f = *state;
    int terminal = posix_openpt(O_RDWR | O_NOCTTY);
    char text[64] = "";
    ssize_t n;

    assert_true(terminal >= 0 && grantpt(terminal) == 0 && unlockpt(terminal) == 0);
    run(f, "set", "k", "v", NULL);
    f->out_fd = open(ptsname(terminal), O_RDWR | O_NOCTTY);
    assert_true(f->out_fd >= 0);
    run(f, "get", "k", NULL);
    assert_status(f, 0);
    n = read(terminal, text, sizeof(text) - 1);
    assert_int_equal(n, 3);
    assert_string_equal(text, "v\r\n");
    close(f->out_fd);
    close(terminal);
}

static void test_cli__dashes_are_options_only_before_a_double_dash(void **state)
{
    struct tool *f = *state;

    run(f, "set", "--", "-k", "--ttl", NULL);
    assert_done(f, "");
    run(f, "get", "--", "-k", NULL);
    assert_done(f, "--ttl");
    run(f, "set", "n", "-5", NULL);
    run(f, "incr", "n", "-6", NULL);
    assert_done(f, "-11\n");
    run(f, "set", "k", "-v", NULL);
    assert_refused(f, 4, "there is no option '-v'");
}

static void test_cli__json_tells_text_from_bytes(void **state)
{
    struct tool *f = *state;
    const cJSON *r;
    cJSON *json;

    run(f, "set", "k\"\\\x01\xc3\xa4", "v", "--json", NULL);
    json = json_of(f);
    assert_string_equal(member(json, "key")->valuestring, "k\"\\\x01\xc3\xa4");
    assert_true(cJSON_IsTrue(member(json, "durable")));
    assert_true(cJSON_IsFalse(member(json, "existed")));
    cJSON_Delete(json);
    run(f, "--json", "set", "b\xff", "\xfe\xff", "--ttl=1h", NULL);
    run(f, "get", "b\xff", "--meta", "--json", NULL);
    json = json_of(f);
    assert_string_equal(member(json, "key_b64")->valuestring, "Yv8=");
    assert_string_equal(member(json, "value_b64")->valuestring, "/v8=");
    assert_string_equal(member(json, "origin")->valuestring, "local verified");
    r = member(json, "expires_at_ms");
    assert_true(r->valuedouble > (double)wall_ms() + 3500000 && r->valuedouble <= (double)wall_ms() + 3600000);
    cJSON_Delete(json);
}

static void test_cli__get_meta_keeps_the_value_alone_on_stdout(void **state)
{
    struct tool *f = *state;

    run(f, "set", "k", "v", NULL);
    run(f, "get", "k", "--meta", NULL);
    assert_status(f, 0);
    assert_string_equal(f->out, "v");
    assert_non_null(strstr(f->err, "\"origin\":\"local verified\""));
}

static void test_cli__missing_keys_have_their_own_status(void **state)
{
    struct tool *f = *state;

    run(f, "set", "k", "v", NULL);
    run(f, "get", "x\x1b[31m", NULL);
    assert_refused(f, 6, "no such key: x\\x1b[31m\n");
    run(f, "ttl", "x", NULL);
    assert_refused(f, 6, "no such key: x\n");
    run(f, "expire", "x", "1s", NULL);
    assert_refused(f, 6, "no such key: x\n");
    run(f, "persist", "x", NULL);
    assert_refused(f, 6, "no such key: x\n");
    run(f, "del", "x", "k", NULL);
    assert_refused(f, 6, "no such key: x\n");
    run(f, "get", "k", NULL);
    assert_refused(f, 6, "no such key: k\n");
}

static void test_cli__incr_prints_the_new_value(void **state)
{
    struct tool *f = *state;

    run(f, "incr", "n", NULL);
    assert_done(f, "1\n");
    run(f, "incr", "n", "41", NULL);
    assert_done(f, "42\n");
    run(f, "incr", "n", "--json", NULL);
    assert_non_null(strstr(f->out, "\"number\":43"));
    run(f, "set", "text", "abc", NULL);
    run(f, "incr", "text", NULL);
    assert_refused(f, 4, "not an integer");
    run(f, "set", "n", "9223372036854775807", NULL);
    run(f, "incr", "n", NULL);
    assert_refused(f, 4, "");
    run(f, "get", "n", NULL);
    assert_done(f, "9223372036854775807");
}

/* ---- TTLs ---- */

static void assert_ttl(struct tool *f, const char *key, long min, long max)
{
    run(f, "ttl", key, NULL);
    assert_status(f, 0);
    assert_in_range(strtol(f->out, NULL, 10), min, max);
}

static void test_cli__ttl_is_set_shown_and_taken_away(void **state)
{
    struct tool *f = *state;

    run(f, "set", "k", "v", "--ttl", "10s", NULL);
    assert_ttl(f, "k", 1, 10000);
    run(f, "expire", "k", "2h", NULL);
    assert_done(f, "");
    assert_ttl(f, "k", 7000000, 7200000);
    run(f, "persist", "k", NULL);
    assert_done(f, "");
    run(f, "ttl", "k", NULL);
    assert_done(f, "none\n");
    run(f, "ttl", "k", "--json", NULL);
    assert_done(f, "{\"key\":\"k\",\"ttl_ms\":null}\n");
}

/* ---- scan, export, import ---- */

static void test_cli__scan_lists_keys_in_order(void **state)
{
    struct tool *f = *state;

    run(f, "set", "b:2", "two\n", NULL);
    run(f, "set", "a", "A", NULL);
    run(f, "set", "b:1", "one", NULL);
    run(f, "scan", NULL);
    assert_done(f, "a\nb:1\nb:2\n");
    run(f, "scan", "b:", "--values", NULL);
    assert_done(f, "b:1\tone\nb:2\ttwo\\x0a\n");
    run(f, "scan", "--limit", "1", "--values", "--json", NULL);
    assert_done(f, "{\"key\":\"a\",\"value\":\"A\"}\n");
    run(f, "scan", "--limit", "0", NULL);
    assert_done(f, "");
    run(f, "scan", "c", NULL);
    assert_done(f, "");
}

static void test_cli__export_and_import_carry_everything(void **state)
{
    static const char lines[] = "{\"key_b64\":\"AA==\",\"value\":\"nul key\"}\n"
                                "{\"key\":\"deadline\",\"value\":\"d\",\"expires_at_ms\":4102444800000}\n"
                                "{\"key\":\"empty\",\"value\":\"\"}\n"
                                "{\"key\":\"u\xc3\xa4\\u000a\",\"value_b64\":\"/w==\"}\n";
    struct tool *f = *state;
    char other[128];

    put_file(f->in, lines, strlen(lines));
    run(f, "import", "-", NULL);
    assert_status(f, 0);
    assert_non_null(strstr(f->out, "4 records stored ("));
    run(f, "export", NULL);
    assert_done(f, lines);
    snprintf(other, sizeof(other), "%s2", f->scratch.store);
    run_bare(f, "--dir", other, "import", f->in, "--json", NULL);
    assert_non_null(strstr(f->out, "{\"stored\":4,\"pending\":0,\"expired\":0,\"parked\":0,\"failed\":0,"));
    run_bare(f, "--dir", other, "export", "u", NULL);
    assert_done(f, "{\"key\":\"u\xc3\xa4\\u000a\",\"value_b64\":\"/w==\"}\n");
}

static void test_cli__import_takes_a_ttl_and_passes_what_is_dead(void **state)
{
    static const char lines[] = "{\"key\":\"a\",\"value\":\"1\",\"ttl_ms\":60000}\r\n"
                                "\n"
                                "{\"key\":\"b\",\"value\":\"1\",\"expires_at_ms\":1}";
    struct tool *f = *state;

    put_file(f->in, lines, strlen(lines));
    run(f, "import", "-", NULL);
    assert_status(f, 0);
    assert_ttl(f, "a", 1, 60000);
    run(f, "scan", NULL);
    assert_done(f, "a\n");
}

static void test_cli__import_names_the_line_that_is_wrong(void **state)
{
    static const struct {
        const char *line, *expected;
    } cases[] = {
        {"garbage", "line 2: not valid JSON from column 1 on"},
        {"{\"key\":\"x\",\"value\":\"y\"} z", "line 2: not valid JSON from column 25 on"},
        {"[]", "line 2: expected a JSON object"},
        {"{\"value\":\"y\"}", "line 2: key: missing"},
        {"{\"key\":\"x\"}", "line 2: value: missing"},
        {"{\"key\":1,\"value\":\"y\"}", "line 2: key: expected a string"},
        {"{\"key\":\"\",\"value\":\"y\"}", "line 2: a key of 0 bytes"},
        {"{\"key\":\"_hf:x\",\"value\":\"y\"}", "line 2: keys that begin with '_hf:'"},
        {"{\"key\":\"x\",\"key_b64\":\"eA==\",\"value\":\"y\"}", "line 2: key_b64: given twice"},
        {"{\"key\":\"x\",\"value_b64\":\"y\"}", "line 2: value_b64: expected base64"},
        {"{\"key\":\"x\",\"value_b64\":\"eR==\"}", "line 2: value_b64: expected base64"},
        {"{\"key\":\"x\",\"value\":\"a\\u0000b\"}", "key_b64 and value_b64"},
        {"{\"key\":\"\xff\",\"value\":\"y\"}", "line 2: not valid UTF-8"},
        {"{\"key\":\"x\",\"value\":\"y\",\"ttl\":5}", "line 2: ttl: unknown, expected key, key_b64"},
        {"{\"key\":\"x\",\"value\":\"y\",\"ttl_ms\":-5}", "line 2: ttl_ms: expected a whole number"},
        {"{\"key\":\"x\",\"value\":\"y\",\"ttl_ms\":5,\"expires_at_ms\":5}", "line 2: expires_at_ms and ttl_ms"},
        {"{\"key\":\"x\",\"value\":\"y\",\"ttl_ms\":3155760000001}", "line 2: a TTL of 3155760000001 ms"},
    };
    struct tool *f = *state;
    char lines[256];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        snprintf(lines, sizeof(lines),
                 "{\"key\":\"first\",\"value\":\"\"}\n%s\n{\"key\":\"third\",\"value\":\"\"}\n", cases[i].line);
        put_file(f->in, lines, strlen(lines));
        run(f, "import", "-", NULL);
        assert_status(f, 4);
        if (!strstr(f->err, cases[i].expected))
            fail_msg("it said \"%s\", expected \"%s\"", f->err, cases[i].expected);
        run(f, "scan", NULL);
        assert_done(f, "first\n");
    }
}

static void test_cli__import_goes_on_when_told_so(void **state)
{
    static const char lines[] = "{\"key\":\"a\",\"value\":\"\"}\nxx\n{\"key\":\"b\",\"value\":\"\"}\nyy\n";
    struct tool *f = *state;

    put_file(f->in, lines, strlen(lines));
    run(f, "import", f->in, "--on-error", "skip", NULL);
    assert_status(f, 4);
    assert_non_null(strstr(f->err, "in: line 2: not valid JSON"));
    assert_non_null(strstr(f->err, "in: line 4: not valid JSON"));
    assert_non_null(strstr(f->out, "2 records stored, 2 not stored ("));
    run(f, "scan", NULL);
    assert_done(f, "a\nb\n");
}

static void test_cli__import_acknowledges_every_key(void **state)
{
    struct tool *f = *state;
    FILE *file = fopen(f->in, "we");
    size_t n = 0;

    for (int i = 0; i < 2000; i++)
        fprintf(file, "{\"key\":\"k%d\",\"value\":\"v\"}\n", i);
    fputs("{\"key_b64\":\"/w==\",\"value\":\"v\"}\n", file);
    fclose(file);
    run(f, "import", "--acks", f->in, NULL);
    assert_status(f, 0);
    assert_non_null(strstr(f->err, "2001 records stored"));
    for (const char *p = f->out; (p = strchr(p, '\n')) != NULL; p++)
        n++;
    assert_int_equal(n, 2001);
    assert_non_null(strstr(f->out, "\"k0\"\n"));
    assert_non_null(strstr(f->out, "\"k1999\"\n"));
    assert_non_null(strstr(f->out, "{\"key_b64\":\"/w==\"}\n"));
}

/* ---- status and journal ---- */

static void test_cli__status_json_has_what_operators_ask_for(void **state)
{
    static const char *const names[] = {"link",
                                        "keys",
                                        "pending_keys",
                                        "pending_bytes",
                                        "oldest_pending_ms",
                                        "conflicts",
                                        "parked",
                                        "checkpoint_lsn",
                                        "journal",
                                        "node",
                                        "owner_pid",
                                        "pending_ops",
                                        "in_doubt",
                                        "disk_used_bytes",
                                        "max_disk_bytes",
                                        "since_open",
                                        "paused",
                                        "adopting",
                                        "look_only",
                                        "time_unknown",
                                        "blind_conflicts",
                                        "gaps",
                                        "replay_ops_per_s",
                                        "replay_bytes_per_s"};
    static const char *const since_open[] = {"settled_by", "dropped", "lost_conflicts", "revalidated",
                                             "refreshed",  "losses",  "rollbacks",      "resent"};
    struct tool *f = *state;
    cJSON *json;

    run(f, "set", "k", "v", NULL);
    run(f, "status", "--json", NULL);
    json = json_of(f);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        member(json, names[i]);
    for (size_t i = 0; i < sizeof(since_open) / sizeof(since_open[0]); i++)
        member(member(json, "since_open"), since_open[i]);
    assert_int_equal(cJSON_GetArraySize(member(member(json, "since_open"), "settled_by")), HF_N_OUTCOMES - 1);
    assert_string_equal(member(json, "link")->valuestring, "disabled");
    assert_int_equal(member(json, "keys")->valueint, 1);
    member(member(json, "journal"), "first_lsn");
    assert_true(member(member(json, "journal"), "last_lsn")->valuedouble >= 1);
    assert_true(member(member(json, "journal"), "bytes")->valuedouble > 0);
    cJSON_Delete(json);
    run(f, "status", NULL);
    assert_status(f, 0);
    assert_non_null(strstr(f->out, "pending keys       0\n"));
}

/* Write keys one after the other and die without closing, so that the journal holds them. */
static void write_and_die(struct tool *f, int n)
{
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        struct hf_options options = {.checkpoint_interval_ms = 3600000};
        struct hf *store = NULL;
        int rc = hf_open(f->scratch.store, &options, &store);
        for (int i = 0; i < n && rc == 0; i++) {
            char key[16];
            snprintf(key, sizeof(key), "k%d", i);
            rc = hf_set(store, s_(key), s_("value"), NULL, NULL);
        }
        _exit(rc == 0 ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void overwrite(const struct tool *f, const char *name, off_t at, const void *bytes, size_t len)
{
    char path[128];
    int fd;

    snprintf(path, sizeof(path), "%s/%s", f->scratch.store, name);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, bytes, len, at), (ssize_t)len);
    close(fd);
}

/* The header of a segment that another version wrote: sound, but not ours (docs/journal-format.md). */
static void make_version_99(const struct tool *f, const char *name)
{
    uint8_t header[128];
    char path[128];
    int fd;

    snprintf(path, sizeof(path), "%s/%s", f->scratch.store, name);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(pread(fd, header, sizeof(header), 0), sizeof(header));
    close(fd);
    hf__put32(header + 8, 99);
    hf__put64(header + 120, XXH3_64bits(header, 120));
    overwrite(f, name, 0, header, sizeof(header));
}

static void test_cli__journal_is_listed_and_verified(void **state)
{
    struct tool *f = *state;

    write_and_die(f, 3);
    run(f, "journal", "list", NULL);
    assert_status(f, 0);
    assert_non_null(strstr(f->out, "FIRST LSN"));
    assert_non_null(strstr(f->out, ".seg"));
    run(f, "journal", "verify", NULL);
    assert_status(f, 0);
    assert_non_null(strstr(f->out, "the journal is sound: 1 segment, 3 groups, "));
    run(f, "journal", "verify", "--json", NULL);
    assert_non_null(strstr(f->out, "\"state\":"));
}

static void test_cli__damage_in_the_journal_is_named(void **state)
{
    struct tool *f = *state;

    write_and_die(f, 3);
    overwrite(f, "journal/00000001.seg", 4096 + 70, "damage", 6);
    run(f, "journal", "verify", NULL);
    assert_status(f, 5);
    assert_non_null(strstr(f->err, "holdfast: "));
    assert_non_null(strstr(f->out, "00000001.seg: damaged: "));
    run(f, "journal", "list", NULL);
    assert_status(f, 0);
    assert_non_null(strstr(f->out, "damaged"));
    run(f, "get", "k2", NULL);
    assert_refused(f, 5, "damaged");
}

static void test_cli__unknown_format_version_is_named(void **state)
{
    struct tool *f = *state;

    write_and_die(f, 1);
    make_version_99(f, "journal/00000001.seg");
    run(f, "get", "k0", NULL);
    assert_refused(f, 5, "version 99");
    run(f, "set", "k0", "w", NULL);
    assert_refused(f, 5, "version 99");
    run(f, "journal", "verify", NULL);
    assert_status(f, 5);
}

/* ---- one owner ---- */

static void test_cli__beside_an_owner_reading_works_and_writing_names_it(void **state)
{
    static const char *const owning[][ARGUMENTS] = {
        {"del", "k"},
        {"import", "in"},
        {"conflicts", "resolve", "1"},
        {"conflicts", "resolve", "--all", "--yes"},
        {"conflicts", "restore", "1"},
        {"parked", "requeue", "1"},
        {"parked", "drop", "1"},
        {"--redis", "unix:///nowhere.sock", "reconcile"},
        {"--redis", "unix:///nowhere.sock", "reconcile", "--dry-run"},
        {"--redis", "unix:///nowhere.sock", "verify"},
    };
    struct tool *f = *state;
    struct hf *store = NULL;
    char owner[48];

    assert_ok(hf_open(f->scratch.store, NULL, &store));
    put(store, "k", "v");
    snprintf(owner, sizeof(owner), "in use by process %ld", (long)getpid());
    run(f, "get", "k", NULL);
    assert_done(f, "v");
    run(f, "ttl", "k", NULL);
    assert_done(f, "none\n");
    run(f, "scan", NULL);
    assert_done(f, "k\n");
    run(f, "export", NULL);
    assert_done(f, "{\"key\":\"k\",\"value\":\"v\"}\n");
    run(f, "status", NULL);
    assert_status(f, 0);
    run(f, "parked", "list", NULL);
    assert_done(f, "");
    run(f, "journal", "verify", NULL);
    assert_status(f, 0);
    run(f, "--redis", "unix:///nowhere.sock", "get", "k", NULL);
    assert_done(f, "v");
    run(f, "set", "k", "w", NULL);
    assert_refused(f, 5, owner);
    for (size_t i = 0; i < sizeof(owning) / sizeof(owning[0]); i++) {
        run_list(f, owning[i]);
        assert_refused(f, 5, owner);
    }
    assert_value(store, "k", "v");
    assert_ok(hf_close(store));
}

static void test_cli__what_only_reads_or_fails_makes_no_store(void **state)
{
    static const char *const commands[][ARGUMENTS] = {
        {"get", "k"},
        {"ttl", "k"},
        {"scan"},
        {"export"},
        {"status"},
        {"del", "k"},
        {"expire", "k", "1s"},
        {"persist", "k"},
        {"journal", "list"},
        {"journal", "verify"},
        {"explain", "k"},
        {"conflicts", "list"},
        {"conflicts", "show", "1"},
        {"conflicts", "resolve", "1"},
        {"conflicts", "restore", "1"},
        {"parked", "list"},
        {"parked", "show", "1"},
        {"parked", "requeue", "1"},
        {"parked", "drop", "1"},
        {"pause"},
        {"resume"},
        {"throttle"},
        {"doctor"},
        {"audit"},
        {"--redis", "unix:///nowhere.sock", "verify"},
        {"--redis", "unix:///nowhere.sock", "explain", "k"},
        {"--redis", "unix:///nowhere.sock", "doctor"},
        {"--redis", "unix:///nowhere.sock", "reconcile", "--dry-run"},
    };
    struct tool *f = *state;

    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        run_list(f, commands[i]);
        assert_status(f, 5);
        assert_string_equal(f->out, "");
        assert_false(exists(f->scratch.store));
    }
    run(f, "--redis", "unix:///nowhere.sock", "reconcile", NULL);
    assert_refused(f, 5, "there is no store in ");
    run(f, "import", "/nowhere", NULL);
    assert_refused(f, 4, "cannot read /nowhere: No such file or directory");
    run(f, "set", "", "v", NULL);
    assert_refused(f, 4, "a key of 0 bytes");
    assert_false(exists(f->scratch.store));
}

/* ---- bad input ---- */

static void test_cli__wrong_usage_is_one_sentence_and_status_4(void **state)
{
    static const struct {
        const char *arguments[ARGUMENTS];
        const char *expected;
    } cases[] = {
        {{"frobnicate"}, "there is no command 'frobnicate'"},
        {{"--frob"}, "there is no option '--frob'"},
        {{"set", "k"}, "set: found 1 argument, usage: holdfast set KEY VALUE"},
        {{"get", "a", "b"}, "get: found 2 arguments"},
        {{"del"}, "del: found 0 arguments"},
        {{"set", "k", "v", "--ttl"}, "--ttl needs a value"},
        {{"set", "k", "v", "--ttl", "-1"}, "--ttl: found \"-1\", expected a duration"},
        {{"set", "k", "v", "--ttl", "0"}, "--ttl: found \"0\", expected 1 ms to 100 years"},
        {{"set", "k", "v", "--ttl=36525001h"}, "expected 1 ms to 100 years"},
        {{"set", "k", "v", "--ttl=1s", "--ttl=2s"}, "--ttl was given twice"},
        {{"get", "k", "--ttl", "1s"}, "there is no option '--ttl'"},
        {{"get", "k", "--meta=yes"}, "there is no option '--meta=yes'"},
        {{"get", "--json", "--json", "k"}, "--json was given twice"},
        {{"incr", "k", "1e3"}, "N: found \"1e3\", expected a whole number"},
        {{"incr", "k", "9223372036854775808"}, "expected a whole number of at most 64 bits"},
        {{"expire", "k", "soon"}, "DURATION: found \"soon\", expected a duration"},
        {{"scan", "--limit", "-1"}, "--limit: found -1, expected a number from 0 on"},
        {{"import", "f", "--on-error", "panic"}, "--on-error: found \"panic\", expected stop or skip"},
        {{"journal", "burn"}, "journal: found 'burn', expected list or verify"},
        {{"reconcile"}, "reconcile needs an address"},
        {{"reconcile", "--timeout", "99999d"}, "--timeout: found \"99999d\", expected at most"},
        {{"reconcile", "--dry-run"}, "reconcile needs an address"},
        {{"reconcile", "--on-loss", "hold"}, "--on-loss: found \"hold\", expected reseed or adopt"},
        {{"reconcile", "--on-loss", "adopt", "--dry-run"}, "expected only one of them"},
        {{"reconcile", "--new-node", "--dry-run"}, "and --new-node does: expected only one of them"},
        {{"reconcile", "--namespace", "s:"}, "--namespace goes with --on-loss"},
        {{"reconcile", "--limit", "3"}, "--limit goes with --dry-run"},
        {{"reconcile", "--dry-run", "--limit", "-3"}, "--limit: found -3, expected a number from 0 on"},
        {{"conflicts"}, "conflicts: found 0 arguments, 'holdfast conflicts --help' shows the usage"},
        {{"conflicts", "burn"}, "conflicts: there is no 'burn'"},
        {{"conflicts", "list", "7"}, "conflicts list: found 1 argument"},
        {{"conflicts", "list", "--all"}, "conflicts list takes no --all"},
        {{"conflicts", "list", "--limit", "many"}, "--limit: found \"many\", expected a whole number"},
        {{"conflicts", "show"}, "conflicts show: found 0 arguments"},
        {{"conflicts", "show", "1", "2"}, "conflicts show: found 2 arguments"},
        {{"conflicts", "show", "0"}, "ID: found \"0\", expected a number from 1 on"},
        {{"conflicts", "show", "-1"}, "ID: found \"-1\", expected a number from 1 on"},
        {{"conflicts", "show", "18446744073709551616"}, "expected a number from 1 on"},
        {{"conflicts", "show", "7", "--key", "k"}, "conflicts show takes no --key"},
        {{"conflicts", "resolve"}, "expected either IDs or --all, found neither"},
        {{"conflicts", "resolve", "--all"}, "add --yes"},
        {{"conflicts", "resolve", "7", "--all", "--yes"}, "expected either IDs or --all, found both"},
        {{"conflicts", "restore", "--all"}, "conflicts restore takes no --all"},
        {{"parked", "list", "k"}, "parked list: found 1 argument"},
        {{"parked", "show", "1x"}, "LSN: found \"1x\", expected a number from 1 on"},
        {{"parked", "requeue"}, "expected either LSNs or --all, found neither"},
        {{"parked", "requeue", "--all", "--yes"}, "parked requeue takes no --yes"},
        {{"parked", "drop", "--all"}, "add --yes"},
        {{"explain"}, "explain: found 0 arguments, usage: holdfast explain KEY"},
        {{"explain", ""}, "a key of 0 bytes"},
        {{"explain", "_hf:x"}, "reserved for bookkeeping"},
        {{"verify"}, "verify needs an address"},
        {{"verify", "--sample", "1e3"}, "--sample: found \"1e3\", expected a whole number"},
        {{"pause", "now"}, "pause: found 1 argument, usage: holdfast pause"},
        {{"resume", "now"}, "resume: found 1 argument"},
        {{"throttle", "--ops", "-1"}, "--ops: found -1, expected a number from 0 on"},
        {{"throttle", "--bytes", "4MX"}, "--bytes: found \"4MX\", expected a size"},
        {{"throttle", "5"}, "throttle: found 1 argument"},
        {{"doctor", "who"}, "doctor: found 1 argument"},
        {{"audit", "--limit", "1"}, "there is no option '--limit'"},
        {{"set", "_hf:x", "v"}, "reserved for bookkeeping"},
        {{"--redis", "localhost", "set", "k", "v"}, "redis://"},
        {{"--redis", "redis://h:0", "set", "k", "v"}, "port"},
        {{"--config", "nowhere.json", "scan"}, "cannot read configuration nowhere.json: No such file"},
    };
    struct tool *f = *state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        run_list(f, cases[i].arguments);
        assert_refused(f, 4, cases[i].expected);
    }
    run_bare(f, "get", "k", NULL);
    assert_refused(f, 4, "no store was named");
}

static void test_cli__limits_are_named_and_nothing_is_changed(void **state)
{
    struct tool *f = *state;
    char key[4098];

    run(f, "set", "k", "v", NULL);
    memset(key, 'k', sizeof(key));
    key[4097] = '\0';
    run(f, "set", key, "v", NULL);
    assert_refused(f, 4, "a key of 4097 bytes, expected 1 to 4096");
    key[4096] = '\0';
    run(f, "set", key, "longest", NULL);
    assert_done(f, "");
    run(f, "get", key, NULL);
    assert_done(f, "longest");
    put_file("small.json", "{\"limits\": {\"max_value\": 10}}", 29);
    run(f, "--config", "small.json", "set", "k", "eleven bytes", NULL);
    assert_refused(f, 4, "10");
    run(f, "expire", "k", "0", NULL);
    assert_refused(f, 4, "expected 1 to 3155760000000");
    run(f, "get", "k", NULL);
    assert_done(f, "v");
    run(f, "ttl", "k", NULL);
    assert_done(f, "none\n");
}

static void test_cli__a_file_or_a_foreign_directory_is_refused(void **state)
{
    struct tool *f = *state;

    put_file(f->scratch.store, "x", 1);
    run(f, "set", "k", "v", NULL);
    assert_refused(f, 5, "expected a directory");
    run(f, "get", "k", NULL);
    assert_refused(f, 5, "expected a directory");
    run_bare(f, "--dir", "/usr/share", "get", "k", NULL); /* root's: ours only if we are root, and then no store */
    assert_refused(f, 5, "/usr/share");
    if (geteuid() == 0) {
        assert_int_equal(mkdir("foreign", 0700), 0);
        assert_int_equal(chown("foreign", 65534, 65534), 0);
        run_bare(f, "--dir", "foreign", "set", "k", "v", NULL);
        assert_refused(f, 5, "belongs to user 65534");
    }
}

static void test_cli__a_disk_that_cannot_be_written_is_named(void **state)
{
    struct tool *f = *state;
    char expected[64];

    run(f, "set", "k", "v", NULL);
    if (geteuid() == 0)
        f->read_only_disk = true;
    else
        assert_int_equal(chmod(f->scratch.store, 0500), 0);
    snprintf(expected, sizeof(expected), "%s", geteuid() == 0 ? "Read-only file system" : "Permission denied");
    run(f, "set", "k", "w", NULL);
    if (f->status == 99) {
        print_message("[  NOTE  ] this machine lets root make no mount: the read-only disk was not tested\n");
        skip();
    }
    assert_refused(f, 5, expected);
    run(f, "get", "k", NULL);
    assert_done(f, "v");
    run(f, "scan", NULL);
    assert_done(f, "k\n");
    if (geteuid() != 0)
        assert_int_equal(chmod(f->scratch.store, 0700), 0);
}

/* ---- help and output ---- */

static void test_cli__help_asked_for_is_output_and_otherwise_an_error(void **state)
{
    struct tool *f = *state;

    run_bare(f, "--help", NULL);
    assert_status(f, 0);
    assert_string_equal(f->err, "");
    assert_non_null(strstr(f->out, "  reconcile  after an outage"));
    run_bare(f, "set", "k", "--help", NULL);
    assert_status(f, 0);
    assert_non_null(strstr(f->out, "usage: holdfast set KEY VALUE [--ttl DURATION]"));
    run_bare(f, NULL);
    assert_status(f, 4);
    assert_string_equal(f->out, "");
    assert_non_null(strstr(f->err, "usage: holdfast"));
    run_bare(f, "--version", NULL);
    assert_status(f, 0);
    assert_int_equal(strncmp(f->out, "holdfast ", 9), 0);
    assert_non_null(strstr(f->out, hf_version()));
}

/* A file of the project. */
static char *document(const char *name)
{
    const char *source = getenv("HOLDFAST_SOURCE");
    char path[512];
    char *text = NULL;
    size_t size = 0;
    FILE *file;

    if (!source)
        fail_msg("HOLDFAST_SOURCE does not name the source");
    snprintf(path, sizeof(path), "%s/%s", source, name);
    file = fopen(path, "re");
    if (!file || getdelim(&text, &size, '\0', file) < 0)
        fail_msg("cannot read %s", path);
    fclose(file);
    return text;
}

/* "--on-loss" as troff has it: "\-\-on\-loss". */
static const char *in_troff(char *text, size_t size, const char *word)
{
    size_t len = 0;

    for (; *word && len + 3 < size; word++) {
        if (*word == '-')
            text[len++] = '\\';
        text[len++] = *word;
    }
    text[len] = '\0';
    return text;
}

/* Something that the help text explains on a line that begins with it, after spaces. */
static bool is_explained(const char *body, const char *word)
{
    size_t len = strlen(word);

    for (const char *line = body; line; line = strchr(line, '\n')) {
        line += strspn(line, "\n");
        line += strspn(line, " ");
        if (strncmp(line, word, len) == 0 && !(line[len] >= 'a' && line[len] <= 'z'))
            return true;
    }
    return false;
}

/* What the usage of a command names: options, arguments that are its own and not an option's value, and verbs. */
static void check_word(const char *command, const char *word, const char *before, const char *body)
{
    bool option = word[0] == '-' && word[1] == '-';
    bool value = before[0] == '-' && before[1] == '-';
    char plain[64];

    snprintf(plain, sizeof(plain), "%.*s", (int)strcspn(word, "."), word);
    if (option ? !is_explained(body, plain) && !strstr(body, plain) : !value && !strstr(body, plain))
        fail_msg("the help of %s does not explain %s: %s", command, plain, body);
}

static void check_documents(const char *word, const char *manual, const char *page)
{
    char text[64];

    if (!strstr(manual, word))
        fail_msg("docs/cli.md does not know %s", word);
    if (!strstr(page, in_troff(text, sizeof(text), word)))
        fail_msg("docs/man/holdfast.1 does not know %s", word);
}

/* `help` is what --help printed: the usage, an empty line, a line, an empty line, the body. */
static void check_help(const char *command, char *help, const char *manual, const char *page)
{
    char *body = strstr(help, "\n\n"), *saved = NULL, *word, before[64] = "";

    assert_int_equal(strncmp(help, "usage: holdfast ", 16), 0);
    assert_non_null(body);
    *body = '\0';
    body = strstr(body + 2, "\n\n");
    assert_non_null(body);
    for (word = strtok_r(help, " []|\n", &saved); word; word = strtok_r(NULL, " []|\n", &saved)) {
        if (strcmp(word, "usage:") != 0 && strcmp(word, "holdfast") != 0 && strcmp(word, command) != 0) {
            check_word(command, word, before, body + 1);
            if (word[0] == '-' && word[1] == '-')
                check_documents(word, manual, page);
        }
        snprintf(before, sizeof(before), "%s", word);
    }
}

/* The names between "Commands:" and the next empty line. */
static size_t take_commands(char *help, char *names[], size_t max)
{
    char *line = strstr(help, "Commands:\n"), *end;
    size_t n = 0;

    assert_non_null(line);
    for (line = strchr(line, '\n') + 1; *line == ' ' && n < max; line = end + 1) {
        end = strchr(line, '\n');
        line += strspn(line, " ");
        names[n++] = strndup(line, strcspn(line, " "));
    }
    return n;
}

static void test_cli__every_argument_is_explained_and_documented(void **state)
{
    struct tool *f = *state;
    char *manual = document("docs/cli.md"), *page = document("docs/man/holdfast.1"), *names[64], heading[64];
    size_t n;

    run_bare(f, "--help", NULL);
    assert_status(f, 0);
    n = take_commands(f->out, names, 64);
    assert_true(n >= 22);
    for (size_t i = 0; i < n; i++) {
        run_bare(f, names[i], "--help", NULL);
        assert_status(f, 0);
        assert_string_equal(f->err, "");
        snprintf(heading, sizeof(heading), "`%s", names[i]);
        assert_non_null(strstr(manual, heading));
        check_documents(names[i], manual, page);
        check_help(names[i], f->out, manual, page);
        free(names[i]);
    }
    free(manual);
    free(page);
}

static void test_cli__output_that_cannot_be_written_is_a_failure(void **state)
{
    struct tool *f = *state;
    int ends[2];

    run(f, "set", "k", "v", NULL);
    f->out_fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
    run(f, "get", "k", NULL);
    assert_refused(f, 5, "cannot write to standard output: No space left on device");
    run(f, "export", NULL);
    assert_refused(f, 5, "cannot write to standard output: No space left on device");
    close(f->out_fd);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    close(ends[0]);
    f->out_fd = ends[1];
    run(f, "scan", NULL);
    assert_refused(f, 5, "cannot write to standard output: Broken pipe");
    close(ends[1]);
    f->out_fd = -2;
    run(f, "get", "k", NULL);
    assert_refused(f, 5, "cannot write to standard output");
    f->out_fd = -1;
    run(f, "get", "k", NULL);
    assert_done(f, "v");
}

/* ---- configuration ---- */

static void test_cli__configuration_gives_directory_and_namespaces(void **state)
{
    static const char json[] =
        "{\"dir\": \"configured\", \"namespaces\": [{\"prefix\": \"s:\", \"default_ttl\": \"1h\"}]}";
    static const char broken[] = "{\"dir\": \"configured\",\n \"redis\": }";
    struct tool *f = *state;

    put_file("c.json", json, strlen(json));
    run_bare(f, "--config", "c.json", "set", "s:1", "v", NULL);
    assert_done(f, "");
    assert_true(exists("configured"));
    run_bare(f, "--dir", "configured", "ttl", "s:1", NULL);
    assert_in_range(strtol(f->out, NULL, 10), 3500000, 3600000);
    setenv("HOLDFAST_DIR", "from-environment", 1);
    run_bare(f, "--config", "c.json", "set", "k", "v", NULL);
    assert_true(exists("from-environment"));
    run_bare(f, "--dir", "configured", "get", "k", NULL);
    assert_refused(f, 6, "no such key");
    put_file("c.json", broken, strlen(broken));
    run_bare(f, "--config", "c.json", "scan", NULL);
    assert_refused(f, 4, "configuration c.json: line 2, column 11: not valid JSON");
    run_bare(f, "--config", ".", "scan", NULL);
    assert_refused(f, 4, "configuration .: found a directory, expected a regular file");
}

/* ---- secrets ---- */

struct argv_look {
    pid_t pid;
    char text[512];
};

/* True when the address's userinfo has been blanked. */
static bool is_blanked(void *ctx)
{
    struct argv_look *look = ctx;
    char path[64];
    size_t n = 0;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%ld/cmdline", (long)look->pid);
    file = fopen(path, "re");
    if (file) {
        n = fread(look->text, 1, sizeof(look->text) - 1, file);
        fclose(file);
    }
    for (size_t i = 0; i < n; i++) {
        if (look->text[i] == '\0')
            look->text[i] = ' ';
    }
    look->text[n] = '\0';
    return strstr(look->text, "redis://****") != NULL;
}

static void test_cli__passwords_do_not_stay_in_the_process_list(void **state)
{
    struct tool *f = *state;
    char *argv[] = {(char *)tool_path(),
                    "--dir",
                    f->scratch.store,
                    "--redis",
                    "redis://app:hunter2-CANARY@127.0.0.1:1/0",
                    "import",
                    "-",
                    NULL};
    struct argv_look look;
    bool blanked;
    int ends[2];

    assert_int_equal(pipe2(ends, 0), 0); /* its input stays open until we have looked */
    look.pid = fork();
    if (look.pid == 0) {
        dup2(ends[0], STDIN_FILENO);
        close(ends[0]);
        close(ends[1]);
        execv(argv[0], argv);
        _exit(98);
    }
    close(ends[0]);
    blanked = wait_until(is_blanked, &look, TOOL_RUN_MS);
    close(ends[1]);
    assert_int_equal(tool_end_of(look.pid), 0);
    assert_true(blanked);
    assert_null(strstr(look.text, "CANARY"));
    assert_non_null(strstr(look.text, "@127.0.0.1:1/0"));
}

/* ---- the shared tier ---- */

static void test_cli__with_redis_a_write_is_shared_and_a_read_asks(void **state)
{
    struct tool *f = *state;

    start_server(f, NULL);
    run(f, "set", "k", "v", "--json", NULL);
    assert_status(f, 0);
    assert_non_null(strstr(f->out, "\"shared\":true,\"pending\":false"));
    assert_string_equal(in_redis(f, "k"), "v");
    assert_int_equal(redis_server_number(&f->server, "INCRBY there 7"), 7);
    run(f, "get", "there", NULL);
    assert_done(f, "7");
    run(f, "incr", "there", NULL);
    assert_done(f, "8\n");
    assert_string_equal(in_redis(f, "there"), "8");
    run(f, "del", "k", NULL);
    assert_done(f, "");
    assert_string_equal(in_redis(f, "k"), "(nil)");
    assert_int_equal(redis_server_number(&f->server, "INCRBY foreign 1"), 1);
    run(f, "del", "foreign", NULL);
    assert_done(f, "");
    assert_string_equal(in_redis(f, "foreign"), "(nil)");
    run(f, "get", "nowhere", NULL);
    assert_refused(f, 6, "no such key: nowhere");
}

static void test_cli__without_redis_a_write_is_pending_until_reconcile(void **state)
{
    struct tool *f = *state;
    cJSON *json;

    start_server(f, NULL);
    run(f, "set", "k", "old", NULL);
    assert_done(f, "");
    redis_server_kill(&f->server);
    run(f, "set", "k", "new", NULL);
    assert_status(f, 0);
    assert_string_equal(f->err, "holdfast: stored here; pending until the shared tier is back\n");
    run(f, "incr", "n", "3", NULL);
    assert_string_equal(f->out, "3\n");
    assert_non_null(strstr(f->err, "tentative"));
    run(f, "get", "nowhere", NULL);
    assert_refused(f, 6, "not held here, and Redis did not answer: nowhere");
    run(f, "status", "--json", NULL);
    json = json_of(f);
    assert_int_equal(member(json, "pending_keys")->valueint, 2);
    assert_int_equal(member(json, "pending_ops")->valueint, 1);
    cJSON_Delete(json);
    run(f, "reconcile", "--timeout", "200ms", NULL);
    assert_status(f, 3);
    assert_non_null(strstr(f->err, "holdfast: the shared tier was not reached"));
    assert_int_equal(redis_server_restart(&f->server), 0);
    run(f, "reconcile", NULL);
    assert_status(f, 0);
    assert_string_equal(f->err, "");
    assert_non_null(strstr(f->out, "keys still pending                  0\n"));
    assert_string_equal(in_redis(f, "k"), "new");
    assert_string_equal(in_redis(f, "n"), "3");
    run(f, "reconcile", "--json", NULL);
    json = json_of(f);
    assert_string_equal(member(json, "link")->valuestring, "online");
    assert_int_equal(member(json, "pending_keys")->valueint, 0);
    assert_int_equal(member(json, "replayed_ops")->valueint, 0);
    cJSON_Delete(json);
}

static void test_cli__what_redis_refuses_is_parked_and_status_2(void **state)
{
    struct tool *f = *state;
    cJSON *json;

    start_server(f, NULL);
    run(f, "set", "other", "v", NULL);
    redis_server_kill(&f->server);
    run(f, "set", "k", "mine", NULL);
    assert_int_equal(redis_server_restart(&f->server), 0);
    assert_int_equal(redis_server_number(&f->server, "HSET k field 1"), 1);
    run(f, "reconcile", NULL);
    assert_status(f, 2);
    assert_non_null(strstr(f->out, "parked   k (LSN "));
    assert_non_null(strstr(f->err, "holdfast: 1 entry is parked, 0 of them in doubt"));
    assert_int_equal(redis_server_number(&f->server, "HLEN k"), 1);
    run(f, "reconcile", "--json", NULL);
    json = json_with(f, 2);
    assert_int_equal(cJSON_GetArraySize(member(json, "parked_entries")), 1);
    assert_int_equal(member(member(json, "outcomes"), "already_applied")->valueint, 0);
    assert_int_equal(member(json, "conflicts")->valueint, 0);
    assert_true(cJSON_IsFalse(member(json, "paused")));
    member(json, "blind_conflicts");
    member(json, "dropped");
    member(json, "revalidated");
    member(json, "replayed_per_s");
    cJSON_Delete(json);
}

static void test_cli__parked_entries_are_listed_and_shown(void **state)
{
    struct tool *f = *state;
    char lsn[24];
    cJSON *json;

    start_server(f, NULL);
    assert_int_equal(redis_server_number(&f->server, "HSET k\x01 field 1"), 1);
    run(f, "--redis", "", "set", "k\x01", "mine\xff", NULL);
    run(f, "reconcile", NULL);
    assert_status(f, 2);
    run(f, "parked", "list", "--json", NULL);
    json = json_of(f);
    assert_string_equal(member(json, "key")->valuestring, "k\x01");
    assert_string_equal(member(json, "kind")->valuestring, "set");
    assert_string_equal(member(json, "value_b64")->valuestring, "bWluZf8=");
    assert_true(cJSON_IsFalse(member(json, "in_doubt")));
    assert_true(cJSON_IsNull(member(json, "expires_at_ms")));
    assert_in_range((int64_t)member(json, "made_at_ms")->valuedouble, wall_ms() - 60000, wall_ms() + 60000);
    snprintf(lsn, sizeof(lsn), "%.0f", member(json, "lsn")->valuedouble);
    cJSON_Delete(json);
    run(f, "parked", "list", NULL);
    assert_status(f, 0);
    assert_non_null(strstr(f->out, "LSN  STATE     CHANGE   MADE"));
    assert_non_null(strstr(f->out, "  refused   set      "));
    assert_non_null(strstr(f->out, "Z  k\\x01  "));
    run(f, "parked", "show", lsn, NULL);
    assert_status(f, 0);
    assert_non_null(strstr(f->out, "value    5 bytes\n  mine\\xff\n"));
    run(f, "parked", "show", "18446744073709551615", NULL);
    assert_refused(f, 6, "there is no parked entry with LSN 18446744073709551615");
}

static void test_cli__a_wrong_password_ends_reconcile_at_once_and_is_not_shown(void **state)
{
    static const char *const args[] = {"--requirepass", "right", NULL};
    struct tool *f = *state;
    char address[160];
    int64_t start_ms;

    start_server(f, args);
    unsetenv("HOLDFAST_REDIS");
    run(f, "set", "k", "v", NULL);
    put_file("password", "hunter2-CANARY\n", 15);
    assert_int_equal(chmod("password", 0600), 0);
    snprintf(address, sizeof(address), "{\"redis\": {\"address\": \"%s\", \"password_file\": \"password\"}}",
             f->server.address);
    put_file("c.json", address, strlen(address));
    start_ms = wall_ms();
    run(f, "--config", "c.json", "reconcile", NULL);
    assert_status(f, 3);
    assert_true(wall_ms() - start_ms < 10000);
    assert_null(strstr(f->err, "CANARY"));
    assert_null(strstr(f->out, "CANARY"));
    put_file("password", "right\n", 6);
    run(f, "--config", "c.json", "reconcile", NULL);
    assert_status(f, 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, tool_set_up, tool_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_cli__set_and_get_give_back_the_bytes),
        CASE(test_cli__get_ends_the_line_on_a_terminal_only),
        CASE(test_cli__dashes_are_options_only_before_a_double_dash),
        CASE(test_cli__json_tells_text_from_bytes),
        CASE(test_cli__get_meta_keeps_the_value_alone_on_stdout),
        CASE(test_cli__missing_keys_have_their_own_status),
        CASE(test_cli__incr_prints_the_new_value),
        CASE(test_cli__ttl_is_set_shown_and_taken_away),
        CASE(test_cli__scan_lists_keys_in_order),
        CASE(test_cli__export_and_import_carry_everything),
        CASE(test_cli__import_takes_a_ttl_and_passes_what_is_dead),
        CASE(test_cli__import_names_the_line_that_is_wrong),
        CASE(test_cli__import_goes_on_when_told_so),
        CASE(test_cli__import_acknowledges_every_key),
        CASE(test_cli__status_json_has_what_operators_ask_for),
        CASE(test_cli__journal_is_listed_and_verified),
        CASE(test_cli__damage_in_the_journal_is_named),
        CASE(test_cli__unknown_format_version_is_named),
        CASE(test_cli__beside_an_owner_reading_works_and_writing_names_it),
        CASE(test_cli__what_only_reads_or_fails_makes_no_store),
        CASE(test_cli__wrong_usage_is_one_sentence_and_status_4),
        CASE(test_cli__limits_are_named_and_nothing_is_changed),
        CASE(test_cli__a_file_or_a_foreign_directory_is_refused),
        CASE(test_cli__a_disk_that_cannot_be_written_is_named),
        CASE(test_cli__help_asked_for_is_output_and_otherwise_an_error),
        CASE(test_cli__every_argument_is_explained_and_documented),
        CASE(test_cli__output_that_cannot_be_written_is_a_failure),
        CASE(test_cli__configuration_gives_directory_and_namespaces),
        CASE(test_cli__passwords_do_not_stay_in_the_process_list),
        CASE(test_cli__with_redis_a_write_is_shared_and_a_read_asks),
        CASE(test_cli__without_redis_a_write_is_pending_until_reconcile),
        CASE(test_cli__what_redis_refuses_is_parked_and_status_2),
        CASE(test_cli__parked_entries_are_listed_and_shown),
        CASE(test_cli__a_wrong_password_ends_reconcile_at_once_and_is_not_shown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
