/* The `holdfast` tool as its users meet it: the built program, its output, its sentences and its exit statuses.
 * HOLDFAST_BIN names the program. */
#include "redis_server.h"
#include "scratch.h"

#include <cjson/cJSON.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xxhash.h>

#define RUN_MS 30000
#define ARGUMENTS_MAX 16

/* ---- fixture: a directory, and the last run of the tool in it ---- */

struct fixture {
    struct scratch scratch;
    char in[96], out_path[96], err_path[96];
    bool read_only_disk; /* the tool sees the directory mounted read-only */
    int out_fd;          /* instead of a file; -1: a file; -2: closed */
    int status;
    char *out, *err; /* of the last run, with a NUL behind them */
    size_t out_len;
    struct redis_server server;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    scratch_make(&f->scratch);
    f->out_fd = -1;
    snprintf(f->in, sizeof(f->in), "%s/in", f->scratch.dir);
    snprintf(f->out_path, sizeof(f->out_path), "%s/out", f->scratch.dir);
    snprintf(f->err_path, sizeof(f->err_path), "%s/err", f->scratch.dir);
    unsetenv("HOLDFAST_DIR");
    unsetenv("HOLDFAST_REDIS");
    assert_int_equal(chdir(f->scratch.dir), 0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    if (f->server.dir[0])
        redis_server_stop(&f->server);
    scratch_remove(&f->scratch);
    free(f->out);
    free(f->err);
    free(f);
    return 0;
}

static void put_file(const char *path, const void *data, size_t len)
{
    FILE *file = fopen(path, "we");

    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
}

static char *take_file(const char *path, size_t *ret_len)
{
    FILE *file = fopen(path, "re");
    struct stat st;
    char *data;

    assert_non_null(file);
    assert_int_equal(fstat(fileno(file), &st), 0);
    data = calloc(1, (size_t)st.st_size + 1);
    assert_non_null(data);
    *ret_len = fread(data, 1, (size_t)st.st_size, file);
    fclose(file);
    return data;
}

/* ---- running the tool ---- */

static const char *tool(void)
{
    const char *path = getenv("HOLDFAST_BIN");

    if (!path || access(path, X_OK) != 0)
        fail_msg("HOLDFAST_BIN does not name the tool");
    return path;
}

/* A mount of our own makes the directory read-only for root, too. */
static void make_disk_read_only(const char *dir)
{
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount(dir, dir, NULL, MS_BIND, NULL) != 0 ||
        mount(dir, dir, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL) != 0)
        _exit(99);
    if (chdir(dir) != 0)
        _exit(99);
}

static void become_tool(const struct fixture *f, char *const argv[])
{
    int in = open(f->in, O_RDONLY | O_CREAT, 0600);
    int out = f->out_fd != -1 ? f->out_fd : open(f->out_path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    int err = open(f->err_path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    dup2(in, STDIN_FILENO);
    dup2(err, STDERR_FILENO);
    if (out == -2)
        close(STDOUT_FILENO);
    else
        dup2(out, STDOUT_FILENO);
    for (int fd = 3; fd < 64; fd++)
        close(fd);
    if (f->read_only_disk)
        make_disk_read_only(f->scratch.dir);
    execv(argv[0], argv);
    _exit(98);
}

static bool has_ended(void *ctx)
{
    const pid_t *pid = ctx;
    siginfo_t info = {0};

    return waitid(P_PID, (id_t)*pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid != 0;
}

static int end_of(pid_t pid)
{
    int status;

    if (!wait_until(has_ended, &pid, RUN_MS)) {
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        fail_msg("the tool did not end");
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void run_argv(struct fixture *f, char *const argv[])
{
    size_t len;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0)
        become_tool(f, argv);
    f->status = end_of(pid);
    free(f->out);
    free(f->err);
    f->out = f->out_fd == -1 ? take_file(f->out_path, &f->out_len) : calloc(1, 1);
    f->err = take_file(f->err_path, &len);
}

/* Arguments from a list that NULL ends; with `dir`, "--dir <store>" before them. */
static void run_va(struct fixture *f, bool dir, va_list args)
{
    char *argv[ARGUMENTS_MAX + 4] = {(char *)tool()};
    int n = 1;

    if (dir) {
        argv[n++] = "--dir";
        argv[n++] = f->scratch.store;
    }
    do {
        assert_in_range(n, 0, ARGUMENTS_MAX + 3);
        argv[n] = va_arg(args, char *);
    } while (argv[n++]);
    run_argv(f, argv);
}

static void run(struct fixture *f, ...) __attribute__((sentinel));
static void run_bare(struct fixture *f, ...) __attribute__((sentinel));

/* Run the tool on the test's store. */
static void run(struct fixture *f, ...)
{
    va_list args;

    va_start(args, f);
    run_va(f, true, args);
    va_end(args);
}

/* Run it without naming a store. */
static void run_bare(struct fixture *f, ...)
{
    va_list args;

    va_start(args, f);
    run_va(f, false, args);
    va_end(args);
}

/* ---- what it said ---- */

static void assert_status(const struct fixture *f, int status)
{
    if (f->status != status)
        fail_msg("status %d, expected %d; it said: %s%s", f->status, status, f->out, f->err);
}

static void assert_done(const struct fixture *f, const char *out)
{
    assert_status(f, 0);
    assert_string_equal(f->err, "");
    assert_string_equal(f->out, out);
}

/* One sentence on standard error that holds `part`, and nothing on standard output. */
static void assert_refused(const struct fixture *f, int status, const char *part)
{
    assert_status(f, status);
    assert_string_equal(f->out, "");
    if (strncmp(f->err, "holdfast: ", 10) != 0 || !strstr(f->err, part) ||
        strchr(f->err, '\n') != f->err + strlen(f->err) - 1)
        fail_msg("it said \"%s\"; expected one line with \"%s\"", f->err, part);
}

static cJSON *json_of(const struct fixture *f)
{
    cJSON *json;

    assert_status(f, 0);
    json = cJSON_Parse(f->out);
    if (!json)
        fail_msg("no JSON: %s", f->out);
    return json;
}

static const cJSON *member(const cJSON *json, const char *name)
{
    const cJSON *found = cJSON_GetObjectItemCaseSensitive(json, name);

    if (!found)
        fail_msg("no member '%s'", name);
    return found;
}

static bool exists(const char *path)
{
    struct stat st;

    return lstat(path, &st) == 0;
}

/* ---- values ---- */

static void test_cli__set_and_get_give_back_the_bytes(void **state)
{
    struct fixture *f = *state;
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
    struct fixture *f = *state;
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
    struct fixture *f = *state;

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
    struct fixture *f = *state;
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
    struct fixture *f = *state;

    run(f, "set", "k", "v", NULL);
    run(f, "get", "k", "--meta", NULL);
    assert_status(f, 0);
    assert_string_equal(f->out, "v");
    assert_non_null(strstr(f->err, "\"origin\":\"local verified\""));
}

static void test_cli__missing_keys_have_their_own_status(void **state)
{
    struct fixture *f = *state;

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
    struct fixture *f = *state;

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

static void assert_ttl(struct fixture *f, const char *key, long min, long max)
{
    run(f, "ttl", key, NULL);
    assert_status(f, 0);
    assert_in_range(strtol(f->out, NULL, 10), min, max);
}

static void test_cli__ttl_is_set_shown_and_taken_away(void **state)
{
    struct fixture *f = *state;

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
    struct fixture *f = *state;

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
    struct fixture *f = *state;
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
    struct fixture *f = *state;

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
    struct fixture *f = *state;
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
    struct fixture *f = *state;

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
    struct fixture *f = *state;
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
    static const char *const names[] = {
        "link",      "keys",        "pending_keys",   "pending_bytes",   "oldest_pending_ms",
        "conflicts", "parked",      "checkpoint_lsn", "journal",         "node",
        "owner_pid", "pending_ops", "in_doubt",       "disk_used_bytes", "max_disk_bytes",
        "since_open"};
    struct fixture *f = *state;
    cJSON *json;

    run(f, "set", "k", "v", NULL);
    run(f, "status", "--json", NULL);
    json = json_of(f);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        member(json, names[i]);
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
static void write_and_die(struct fixture *f, int n)
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

static void overwrite(const struct fixture *f, const char *name, off_t at, const void *bytes, size_t len)
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
static void make_version_99(const struct fixture *f, const char *name)
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
    struct fixture *f = *state;

    write_and_die(f, 3);
    run(f, "journal", "list", NULL);
    assert_status(f, 0);
    assert_non_null(strstr(f->out, "FIRST LSN"));
    assert_non_null(strstr(f->out, ".seg"));
    run(f, "journal", "verify", NULL);
    assert_status(f, 0);
    assert_non_null(strstr(f->out, "the journal is sound: 1 segment"));
    run(f, "journal", "verify", "--json", NULL);
    assert_non_null(strstr(f->out, "\"state\":"));
}

static void test_cli__damage_in_the_journal_is_named(void **state)
{
    struct fixture *f = *state;

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
    struct fixture *f = *state;

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
    struct fixture *f = *state;
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
    run(f, "journal", "verify", NULL);
    assert_status(f, 0);
    run(f, "--redis", "unix:///nowhere.sock", "get", "k", NULL);
    assert_done(f, "v");
    run(f, "set", "k", "w", NULL);
    assert_refused(f, 5, owner);
    run(f, "del", "k", NULL);
    assert_refused(f, 5, owner);
    run(f, "import", f->in, NULL);
    assert_refused(f, 5, owner);
    run(f, "--redis", "unix:///nowhere.sock", "reconcile", NULL);
    assert_refused(f, 5, owner);
    assert_value(store, "k", "v");
    assert_ok(hf_close(store));
}

static void test_cli__what_only_reads_or_fails_makes_no_store(void **state)
{
    static const char *const commands[][3] = {
        {"get", "k"}, {"ttl", "k"},          {"scan"},         {"export"},          {"status"},
        {"del", "k"}, {"expire", "k", "1s"}, {"persist", "k"}, {"journal", "list"}, {"journal", "verify"}};
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        run(f, commands[i][0], commands[i][1], commands[i][1] ? commands[i][2] : NULL, NULL);
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
        const char *arguments[5];
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
        {{"set", "_hf:x", "v"}, "reserved for bookkeeping"},
        {{"--redis", "localhost", "set", "k", "v"}, "redis://"},
        {{"--redis", "redis://h:0", "set", "k", "v"}, "port"},
        {{"--config", "nowhere.json", "scan"}, "cannot read configuration nowhere.json: No such file"},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *const *a = cases[i].arguments;
        run(f, a[0], a[1], a[1] ? a[2] : NULL, a[1] && a[2] ? a[3] : NULL, a[1] && a[2] && a[3] ? a[4] : NULL,
            NULL);
        assert_refused(f, 4, cases[i].expected);
    }
    run_bare(f, "get", "k", NULL);
    assert_refused(f, 4, "no store was named");
}

static void test_cli__limits_are_named_and_nothing_is_changed(void **state)
{
    struct fixture *f = *state;
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
    struct fixture *f = *state;

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
    struct fixture *f = *state;
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
    struct fixture *f = *state;

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

static void test_cli__output_that_cannot_be_written_is_a_failure(void **state)
{
    struct fixture *f = *state;
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
    struct fixture *f = *state;

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
    struct fixture *f = *state;
    char *argv[] = {(char *)tool(),
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
    blanked = wait_until(is_blanked, &look, RUN_MS);
    close(ends[1]);
    assert_int_equal(end_of(look.pid), 0);
    assert_true(blanked);
    assert_null(strstr(look.text, "CANARY"));
    assert_non_null(strstr(look.text, "@127.0.0.1:1/0"));
}

/* ---- the shared tier ---- */

static void start_server(struct fixture *f, const char *const *args)
{
    assert_int_equal(redis_server_start(&f->server, args), 0);
    setenv("HOLDFAST_REDIS", f->server.address, 1);
}

static const char *in_redis(struct fixture *f, const char *key)
{
    static char text[256];

    return redis_server_text(&f->server, text, sizeof(text), "GET %s", key);
}

static void test_cli__with_redis_a_write_is_shared_and_a_read_asks(void **state)
{
    struct fixture *f = *state;

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
    struct fixture *f = *state;
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
    struct fixture *f = *state;
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
    assert_status(f, 2);
    json = cJSON_Parse(f->out);
    assert_int_equal(cJSON_GetArraySize(member(json, "parked_entries")), 1);
    cJSON_Delete(json);
}

static void test_cli__a_wrong_password_ends_reconcile_at_once_and_is_not_shown(void **state)
{
    static const char *const args[] = {"--requirepass", "right", NULL};
    struct fixture *f = *state;
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

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

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
        CASE(test_cli__output_that_cannot_be_written_is_a_failure),
        CASE(test_cli__configuration_gives_directory_and_namespaces),
        CASE(test_cli__passwords_do_not_stay_in_the_process_list),
        CASE(test_cli__with_redis_a_write_is_shared_and_a_read_asks),
        CASE(test_cli__without_redis_a_write_is_pending_until_reconcile),
        CASE(test_cli__what_redis_refuses_is_parked_and_status_2),
        CASE(test_cli__a_wrong_password_ends_reconcile_at_once_and_is_not_shown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
