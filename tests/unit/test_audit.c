/* The audit log: each line is whole, durable before the verb, and readable whatever the key's bytes are. */
#include "scratch.h"

#include "audit.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))
#define NOW_MS 1795249577123LL /* 2026-11-21T08:26:17.123Z */

/* ---- fixture: a directory, and as much of a store as the log needs: no threads, so that tests may fork ---- */

struct fixture {
    struct scratch scratch;
    struct hf store;
    struct hf_ns ns;
};

static int64_t fixed_ms(struct hf_clock *clock)
{
    (void)clock;
    return NOW_MS;
}

static struct hf_clock fixed_clock = {.wall_ms = fixed_ms, .boot_ms = fixed_ms};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    if (!f)
        return -1;
    scratch_make(&f->scratch);
    f->store.dir_fd = open(f->scratch.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(f->store.dir_fd >= 0);
    hf__timeline_start(&f->store.time, &fixed_clock, &(struct hf_timeline_saved){0});
    assert_ok(hf__buf_copy(s_("session:"), &f->ns.prefix));
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    hf__timeline_release(&f->store.time);
    close(f->store.dir_fd);
    hf_buf_release(&f->ns.prefix);
    scratch_remove(&f->scratch);
    free(f);
    return 0;
}

/* ---- vocabulary ---- */

/* The lines of the log, parsed; every one of them must be an object. */
struct lines {
    cJSON *all;      /* an array */
    char text[4096]; /* the last one as it stands there, cut */
};

static int keep_line(void *ctx, const char *line)
{
    struct lines *lines = ctx;
    cJSON *object = cJSON_Parse(line);

    if (!cJSON_IsObject(object))
        fail_msg("a line of the log is no JSON object: %.200s", line);
    assert_null(strchr(line, '\n'));
    snprintf(lines->text, sizeof(lines->text), "%.4000s", line);
    assert_true(cJSON_AddItemToArray(lines->all, object));
    return 0;
}

static int list(struct fixture *f, struct lines *lines)
{
    *lines = (struct lines){.all = cJSON_CreateArray()};
    assert_ok(hf_audit_list(&f->store, keep_line, lines));
    return cJSON_GetArraySize(lines->all);
}

static double number(const cJSON *line, const char *name)
{
    const cJSON *member = cJSON_GetObjectItemCaseSensitive(line, name);

    assert_true(cJSON_IsNumber(member));
    return member->valuedouble;
}

static const char *text(const cJSON *line, const char *name)
{
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(line, name));
}

static void audit_key(struct fixture *f, struct hf_slice key, uint64_t lsn)
{
    const struct hf_audit_entry entry = {.verb = "test", .key = key, .lsn = lsn};

    assert_ok(hf__audit(&f->store, &entry));
}

static off_t size_of(struct fixture *f, const char *name)
{
    struct stat st;

    return fstatat(f->store.dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 ? st.st_size : -1;
}

static void append_raw(struct fixture *f, const char *bytes)
{
    int fd = openat(f->store.dir_fd, "audit.log", O_WRONLY | O_APPEND);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, strlen(bytes)), strlen(bytes));
    close(fd);
}

/* ---- what a line says ---- */

static void test_audit__a_line_says_when_who_what_and_which(void **state)
{
    struct fixture *f = *state;
    const struct hf_audit_entry entry = {.verb = "conflict-restore",
                                         .ns = &f->ns,
                                         .key = s_("session:\"7\"\n"),
                                         .conflict_id = 12,
                                         .lsn = UINT64_MAX,
                                         .detail = "theirs had won by rule newest"};
    const struct passwd *user = getpwuid(getuid());
    struct lines lines;
    const cJSON *line;

    assert_ok(hf__audit(&f->store, &entry));
    assert_int_equal(list(f, &lines), 1);
    line = cJSON_GetArrayItem(lines.all, 0);
    assert_string_equal(text(line, "time"), "2026-11-21T08:26:17.123Z");
    assert_true(number(line, "time_ms") == (double)NOW_MS);
    assert_int_equal(number(line, "uid"), getuid());
    if (user)
        assert_string_equal(text(line, "user"), user->pw_name);
    assert_int_equal(number(line, "pid"), getpid());
    assert_string_equal(text(line, "verb"), "conflict-restore");
    assert_string_equal(text(line, "namespace"), "session:");
    assert_string_equal(text(line, "key"), "session:\"7\"\n");
    assert_int_equal(number(line, "conflict"), 12);
    assert_non_null(strstr(lines.text, "\"lsn\":18446744073709551615,"));
    assert_string_equal(text(line, "detail"), "theirs had won by rule newest");
    assert_int_equal(cJSON_GetArraySize(line), user ? 11 : 10);
    cJSON_Delete(lines.all);
}

static void *audit_on_a_thread_of_its_own(void *ctx)
{
    audit_key(ctx, s_("k"), 3);
    return NULL;
}

/* Whom a thread acts for is nobody else's matter, and ends when it says so. */
static void test_audit__a_thread_may_act_for_another_process(void **state)
{
    struct fixture *f = *state;
    struct lines lines;
    pthread_t thread;

    hf_audit_as(4294967294u, 4711);
    audit_key(f, s_("k"), 1);
    assert_int_equal(pthread_create(&thread, NULL, audit_on_a_thread_of_its_own, f), 0);
    pthread_join(thread, NULL);
    hf_audit_as(0, 0);
    audit_key(f, s_("k"), 2);
    assert_int_equal(list(f, &lines), 3);
    assert_true(number(cJSON_GetArrayItem(lines.all, 0), "uid") == 4294967294.0);
    assert_true(number(cJSON_GetArrayItem(lines.all, 0), "pid") == 4711);
    for (int i = 1; i < 3; i++) {
        assert_true(number(cJSON_GetArrayItem(lines.all, i), "uid") == (double)getuid());
        assert_true(number(cJSON_GetArrayItem(lines.all, i), "pid") == (double)getpid());
    }
    cJSON_Delete(lines.all);
}

static void test_audit__what_does_not_apply_is_left_out(void **state)
{
    static const char *const left_out[] = {"namespace", "key", "key_b64", "conflict", "lsn", "detail"};
    const struct hf_audit_entry entry = {.verb = "pause"};
    struct fixture *f = *state;
    struct lines lines;

    assert_ok(hf__audit(&f->store, &entry));
    assert_int_equal(list(f, &lines), 1);
    for (size_t i = 0; i < LENGTH(left_out); i++)
        assert_false(cJSON_HasObjectItem(cJSON_GetArrayItem(lines.all, 0), left_out[i]));
    cJSON_Delete(lines.all);
}

static void test_audit__keys_that_are_no_text_stand_in_base64(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        const char *base64; /* NULL: it is text */
    } keys[] = {
        {"a", 1, NULL},
        {"\x01\x1b[31m\x7f\\", 8, NULL},
        {"\xc2\x80", 2, NULL},
        {"\xdf\xbf\xe0\xa0\x80", 5, NULL},
        {"\xed\x9f\xbf\xee\x80\x80", 6, NULL},
        {"\xf0\x90\x80\x80\xf4\x8f\xbf\xbf", 8, NULL},
        {"\0", 1, "AA=="},
        {"a\0b", 3, "YQBi"},
        {"\xff", 1, "/w=="},
        {"b\xff", 2, "Yv8="},
        {"\x80", 1, "gA=="},
        {"\xc0\x80", 2, "wIA="},             /* overlong */
        {"\xe0\x9f\xbf", 3, "4J+/"},         /* overlong */
        {"\xf0\x8f\xbf\xbf", 4, "8I+/vw=="}, /* overlong */
        {"\xed\xa0\x80", 3, "7aCA"},         /* a surrogate */
        {"\xf4\x90\x80\x80", 4, "9JCAgA=="}, /* beyond U+10FFFF */
        {"\xf5\x80\x80\x80", 4, "9YCAgA=="},
        {"\xe2\x82", 2, "4oI="}, /* cut */
        {"\xe2\x82\x41", 3, "4oJB"},
        {"\xc3", 1, "ww=="},
    };
    struct fixture *f = *state;
    struct lines lines;
    const cJSON *line;

    for (size_t i = 0; i < LENGTH(keys); i++)
        audit_key(f, hf__slice(keys[i].bytes, keys[i].len), i + 1);
    assert_int_equal(list(f, &lines), LENGTH(keys));
    for (size_t i = 0; i < LENGTH(keys); i++) {
        line = cJSON_GetArrayItem(lines.all, (int)i);
        assert_int_equal(number(line, "lsn"), i + 1);
        assert_true(cJSON_HasObjectItem(line, "key") == !keys[i].base64);
        assert_true(cJSON_HasObjectItem(line, "key_b64") == !!keys[i].base64);
        assert_string_equal(keys[i].base64 ? text(line, "key_b64") : text(line, "key"),
                            keys[i].base64 ? keys[i].base64 : keys[i].bytes);
    }
    cJSON_Delete(lines.all);
}

static void test_audit__the_file_is_private(void **state)
{
    struct fixture *f = *state;
    mode_t old = umask(0);
    struct stat st;

    audit_key(f, s_("k"), 1);
    umask(old);
    assert_int_equal(fstatat(f->store.dir_fd, "audit.log", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
}

/* ---- listing ---- */

static int stop_at_second(void *ctx, const char *line)
{
    (void)line;
    return ++*(int *)ctx == 2 ? 17 : 0;
}

static void test_audit__a_log_that_is_not_there_has_no_lines(void **state)
{
    struct fixture *f = *state;
    struct lines lines;

    assert_int_equal(list(f, &lines), 0);
    assert_int_equal(size_of(f, "audit.log"), -1);
    cJSON_Delete(lines.all);
}

static void test_audit__listing_ends_when_it_is_told_to(void **state)
{
    struct fixture *f = *state;
    int n = 0;

    for (uint64_t lsn = 1; lsn <= 3; lsn++)
        audit_key(f, s_("k"), lsn);
    assert_int_equal(hf_audit_list(&f->store, stop_at_second, &n), 17);
    assert_int_equal(n, 2);
}

/* ---- crashes and full disks ---- */

static void test_audit__a_line_cut_short_by_a_crash_is_not_told_and_cut_off(void **state)
{
    static const char *const torn[] = {"{", "{\"time\":\"2026-", "{\"verb\":\"drop\"}"};
    struct fixture *f = *state;
    struct lines lines;

    for (size_t i = 0; i < LENGTH(torn); i++) {
        audit_key(f, s_("k"), i + 1);
        append_raw(f, torn[i]);
        assert_int_equal(list(f, &lines), i + 1);
        cJSON_Delete(lines.all);
    }
    audit_key(f, s_("k"), LENGTH(torn) + 1);
    assert_int_equal(list(f, &lines), LENGTH(torn) + 1);
    for (size_t i = 0; i <= LENGTH(torn); i++)
        assert_int_equal(number(cJSON_GetArrayItem(lines.all, (int)i), "lsn"), i + 1);
    cJSON_Delete(lines.all);
}

/* A file may not grow beyond a size that ends at each byte of the line. */
static void test_audit__a_line_that_does_not_fit_leaves_nothing(void **state)
{
    struct fixture *f = *state;
    const struct hf_audit_entry entry = {.verb = "test", .key = s_("k"), .lsn = 2};
    struct rlimit was, limit;
    off_t size;
    int rc;

    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
    audit_key(f, s_("k"), 1);
    size = size_of(f, "audit.log");
    for (off_t room = 0; room < size; room++) {
        limit = (struct rlimit){.rlim_cur = (rlim_t)(size + room), .rlim_max = was.rlim_max};
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
        rc = hf__audit(&f->store, &entry);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
        assert_int_equal(rc, HF_EFULL);
        assert_string_equal(hf_errmsg(), "cannot write the audit log: File too large");
        assert_int_equal(size_of(f, "audit.log"), size);
    }
    assert_ok(hf__audit(&f->store, &entry)); /* the same length as the first */
    assert_int_equal(size_of(f, "audit.log"), 2 * size);
}

/* ---- what is no file of ours ---- */

static void refuse_both(struct fixture *f, const char *sentence)
{
    const struct hf_audit_entry entry = {.verb = "test"};
    struct lines lines = {0};

    assert_code(HF_EIO, hf__audit(&f->store, &entry));
    assert_sentence(sentence);
    assert_code(HF_EIO, hf_audit_list(&f->store, keep_line, &lines));
}

static void test_audit__links_and_devices_are_refused(void **state)
{
    struct fixture *f = *state;
    int dir = f->store.dir_fd, fd = openat(dir, "target", O_WRONLY | O_CREAT, 0600);

    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(symlinkat("target", dir, "audit.log"), 0);
    refuse_both(f, "cannot open the store's file 'audit.log': Too many levels of symbolic links");
    assert_int_equal(size_of(f, "target"), 0);
    assert_int_equal(unlinkat(dir, "audit.log", 0), 0);
    assert_int_equal(symlinkat("nowhere", dir, "audit.log"), 0);
    refuse_both(f, "Too many levels of symbolic links");
    assert_int_equal(size_of(f, "nowhere"), -1);
    assert_int_equal(unlinkat(dir, "audit.log", 0), 0);
    assert_int_equal(mkfifoat(dir, "audit.log", 0600), 0);
    refuse_both(f, "the store's 'audit.log' is no regular file");
    assert_int_equal(unlinkat(dir, "audit.log", 0), 0);
    assert_int_equal(mkdirat(dir, "audit.log", 0700), 0);
    refuse_both(f, "cannot open the store's file 'audit.log': Is a directory");
}

/* ---- rotation ---- */

static const char long_key[HF_KEY_MAX]; /* NULs: 5,464 characters in base64 */

/* The lines are numbered without a gap up to `last`. */
static void assert_tail(struct fixture *f, uint64_t last, size_t *ret_n)
{
    struct lines lines;
    size_t n = (size_t)list(f, &lines);
    uint64_t lsn = last - n + 1;
    const cJSON *line;

    cJSON_ArrayForEach(line, lines.all)
    {
        assert_int_equal(number(line, "lsn"), lsn);
        lsn++;
    }
    *ret_n = n;
    cJSON_Delete(lines.all);
}

static void test_audit__a_full_file_becomes_the_older_one(void **state)
{
    struct fixture *f = *state;
    unsigned rotations = 0;
    uint64_t lsn = 0;
    off_t size = 0;
    size_t n;

    while (rotations < 3) {
        audit_key(f, hf__slice(long_key, sizeof(long_key)), ++lsn);
        rotations += size_of(f, "audit.log") < size;
        size = size_of(f, "audit.log");
        assert_true(size <= HF_AUDIT_BYTES_MAX);
    }
    assert_in_range(size_of(f, "audit.log.1"), HF_AUDIT_BYTES_MAX - 6000, HF_AUDIT_BYTES_MAX);
    assert_tail(f, lsn, &n);
    assert_in_range(n, HF_AUDIT_BYTES_MAX / 6000, lsn - 1); /* the older one and a line; the oldest are gone */
    assert_int_equal(size_of(f, "audit.log.2"), -1);
}

#define WRITERS 4
#define WRITER_LINES 120 /* of all writers: two rotations and a half */

static void write_many(struct fixture *f, uint64_t writer)
{
    const struct hf_audit_entry entry = {.verb = "test", .key = hf__slice(long_key, sizeof(long_key))};
    struct hf_audit_entry numbered = entry;

    for (uint64_t i = 1; i <= WRITER_LINES; i++) {
        numbered.conflict_id = writer;
        numbered.lsn = i;
        if (hf__audit(&f->store, &numbered) != 0)
            _exit(1);
    }
    _exit(0);
}

static void await(pid_t pid)
{
    int status = -1;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_audit__processes_append_whole_lines_and_rotate_once(void **state)
{
    struct fixture *f = *state;
    uint64_t last[WRITERS + 1] = {0}, writer;
    struct lines lines;
    pid_t pids[WRITERS];
    const cJSON *line;

    for (size_t i = 0; i < WRITERS; i++) {
        pids[i] = fork();
        assert_true(pids[i] >= 0);
        if (pids[i] == 0)
            write_many(f, i + 1);
    }
    for (size_t i = 0; i < WRITERS; i++)
        await(pids[i]);
    assert_in_range(size_of(f, "audit.log.1"), HF_AUDIT_BYTES_MAX - 6000, HF_AUDIT_BYTES_MAX);
    (void)list(f, &lines);
    cJSON_ArrayForEach(line, lines.all)
    {
        writer = (uint64_t)number(line, "conflict");
        assert_true(last[writer] == 0 || number(line, "lsn") == (double)(last[writer] + 1));
        last[writer] = (uint64_t)number(line, "lsn");
    }
    for (size_t i = 1; i <= WRITERS; i++)
        assert_true(last[i] == WRITER_LINES || last[i] == 0); /* 0: an early one, rotated away */
    cJSON_Delete(lines.all);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_audit__a_line_says_when_who_what_and_which),
        CASE(test_audit__a_thread_may_act_for_another_process),
        CASE(test_audit__what_does_not_apply_is_left_out),
        CASE(test_audit__keys_that_are_no_text_stand_in_base64),
        CASE(test_audit__the_file_is_private),
        CASE(test_audit__a_log_that_is_not_there_has_no_lines),
        CASE(test_audit__listing_ends_when_it_is_told_to),
        CASE(test_audit__a_line_cut_short_by_a_crash_is_not_told_and_cut_off),
        CASE(test_audit__a_line_that_does_not_fit_leaves_nothing),
        CASE(test_audit__links_and_devices_are_refused),
        CASE(test_audit__a_full_file_becomes_the_older_one),
        CASE(test_audit__processes_append_whole_lines_and_rotate_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
