/* The operator's settings: replaced as a whole, judged when read, and changed by several processes without loss. */
#include "fake_tier.h"
#include "scratch.h"

#include "file_layer.h"
#include "link_state.h"

#include <cjson/cJSON.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* ---- fixture: a directory, and as much of a store as the settings need: no threads, so that tests may fork ---- */

struct fixture {
    struct scratch scratch;
    struct hf store;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    if (!f)
        return -1;
    scratch_make(&f->scratch);
    f->store.dir_fd = open(f->scratch.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(f->store.dir_fd >= 0);
    hf__timeline_start(&f->store.time, hf__clock_real(), &(struct hf_timeline_saved){0});
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    hf__timeline_release(&f->store.time);
    close(f->store.dir_fd);
    scratch_remove(&f->scratch);
    free(f);
    return 0;
}

/* ---- vocabulary ---- */

static void write_file(struct fixture *f, const char *bytes, size_t len)
{
    int fd = openat(f->store.dir_fd, "operator.json", O_WRONLY | O_CREAT | O_TRUNC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, len), len);
    close(fd);
}

static void assert_set(struct hf *store, bool paused, bool throttled, uint64_t ops, uint64_t bytes)
{
    struct hf_operator got;

    memset(&got, 0xff, sizeof(got));
    assert_ok(hf__operator_load(store, &got));
    assert_int_equal(got.paused, paused);
    assert_int_equal(got.throttled, throttled);
    assert_int_equal(got.replay_ops_per_s, ops);
    assert_int_equal(got.replay_bytes_per_s, bytes);
}

/* What was read before stays. */
static void load_refused(struct fixture *f, int code, const char *sentence)
{
    struct hf_operator got = {.replay_ops_per_s = 77};

    assert_code(code, hf__operator_load(&f->store, &got));
    if (sentence)
        assert_string_equal(hf_errmsg(), sentence);
    assert_int_equal(got.replay_ops_per_s, 77);
}

static bool is_there(struct fixture *f, const char *name)
{
    return faccessat(f->store.dir_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void await(pid_t pid)
{
    int status = -1;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* ---- the file ---- */

static void test_operator__nothing_set_is_all_zeros(void **state)
{
    struct fixture *f = *state;

    assert_set(&f->store, false, false, 0, 0);
    assert_false(hf__operator_changed(&f->store));
}

static void test_operator__what_was_saved_is_loaded(void **state)
{
    static const struct hf_operator all[] = {
        {.paused = true},
        {.throttled = true},
        {.throttled = true, .replay_ops_per_s = 1},
        {.throttled = true, .replay_bytes_per_s = 1ull << 53},
        {.paused = true, .throttled = true, .replay_ops_per_s = 1ull << 53, .replay_bytes_per_s = 1ull << 53},
        {0},
    };
    struct fixture *f = *state;
    struct stat st;

    for (size_t i = 0; i < LENGTH(all); i++) {
        assert_ok(hf__operator_save(&f->store, &all[i]));
        assert_set(&f->store, all[i].paused, all[i].throttled, all[i].replay_ops_per_s, all[i].replay_bytes_per_s);
        assert_int_equal(fstatat(f->store.dir_fd, "operator.json", &st, AT_SYMLINK_NOFOLLOW), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
        assert_false(is_there(f, "operator.json.next"));
    }
}

static const char whole[] = "{\"version\":1,\"paused\":true,\"throttled\":true,\"replay_ops_per_s\":250,"
                            "\"replay_bytes_per_s\":4096}\n";

static void test_operator__a_file_cut_anywhere_is_damage(void **state)
{
    struct fixture *f = *state;

    for (size_t len = 0; len < strlen(whole) - 1; len++) { /* without its line end it is whole */
        write_file(f, whole, len);
        load_refused(f, HF_ECORRUPT,
                     "the operator's settings in 'operator.json': found no JSON object, expected one; "
                     "remove the file to set none");
    }
    write_file(f, whole, strlen(whole));
    assert_set(&f->store, true, true, 250, 4096);
}

static void test_operator__a_wrong_member_is_named(void **state)
{
    static const char in[] = "the operator's settings in 'operator.json': found ";
    static const char boolean[] = ", expected true or false; remove the file to set none";
    static const char number[] =
        ", expected a whole number from 0 to 9007199254740992; remove the file to set none";
    static const struct {
        const char *text;
        const char *found;
        const char *expected;
    } cases[] = {
        {"{}", "no \"version\"", number},
        {"{\"version\":\"1\"}", "a wrong \"version\"", number},
        {"{\"version\":1}", "no \"paused\"", boolean},
        {"{\"version\":1,\"paused\":1}", "a wrong \"paused\"", boolean},
        {"{\"version\":1,\"paused\":\"true\"}", "a wrong \"paused\"", boolean},
        {"{\"version\":1,\"paused\":true}", "no \"throttled\"", boolean},
        {"{\"version\":1,\"paused\":true,\"throttled\":null}", "a wrong \"throttled\"", boolean},
        {"{\"version\":1,\"paused\":true,\"throttled\":true}", "no \"replay_ops_per_s\"", number},
        {"{\"version\":1,\"paused\":true,\"throttled\":true,\"replay_ops_per_s\":-1}",
         "a wrong \"replay_ops_per_s\"", number},
        {"{\"version\":1,\"paused\":true,\"throttled\":true,\"replay_ops_per_s\":0.5}",
         "a wrong \"replay_ops_per_s\"", number},
        {"{\"version\":1,\"paused\":true,\"throttled\":true,\"replay_ops_per_s\":1e300}",
         "a wrong \"replay_ops_per_s\"", number},
        {"{\"version\":1,\"paused\":true,\"throttled\":true,\"replay_ops_per_s\":1}", "no \"replay_bytes_per_s\"",
         number},
        {"{\"version\":1,\"paused\":true,\"throttled\":true,\"replay_ops_per_s\":1,\"replay_bytes_per_s\":[]}",
         "a wrong \"replay_bytes_per_s\"", number},
    };
    struct fixture *f = *state;
    char sentence[256];

    for (size_t i = 0; i < LENGTH(cases); i++) {
        write_file(f, cases[i].text, strlen(cases[i].text));
        snprintf(sentence, sizeof(sentence), "%s%s%s", in, cases[i].found, cases[i].expected);
        load_refused(f, HF_ECORRUPT, sentence);
    }
}

static void test_operator__garbage_is_damage(void **state)
{
    static const char *const garbage[] = {"null", "[]", "\"{}\"", "1", "{\"paused\":true}}", "\xff\xfe", "{} {}"};
    struct fixture *f = *state;
    char zeros[200] = {0}, large[5000];

    for (size_t i = 0; i < LENGTH(garbage); i++) {
        write_file(f, garbage[i], strlen(garbage[i]));
        load_refused(f, HF_ECORRUPT, NULL);
    }
    write_file(f, zeros, sizeof(zeros));
    load_refused(f, HF_ECORRUPT, NULL);
    memset(large, ' ', sizeof(large));
    memcpy(large, whole, strlen(whole));
    write_file(f, large, sizeof(large));
    load_refused(f, HF_ECORRUPT,
                 "the operator's settings in 'operator.json': found a long file, expected at most 4096 "
                 "bytes; remove the file to set none");
}

static void test_operator__another_version_is_not_guessed_at(void **state)
{
    struct fixture *f = *state;

    write_file(f, "{\"version\":2,\"mood\":\"calm\"}", 27);
    load_refused(f, HF_EVERSION, "the operator's settings in 'operator.json' have version 2; expected 1");
}

static void test_operator__links_and_directories_are_refused(void **state)
{
    const struct hf_operator paused = {.paused = true};
    struct fixture *f = *state;
    int dir = f->store.dir_fd;

    assert_int_equal(symlinkat("target", dir, "operator.json"), 0);
    load_refused(f, HF_EIO, "cannot open 'operator.json': Too many levels of symbolic links");
    assert_int_equal(unlinkat(dir, "operator.json", 0), 0);
    assert_int_equal(mkdirat(dir, "operator.json", 0700), 0);
    load_refused(f, HF_EIO, "the store's 'operator.json' is no regular file");
    assert_int_equal(unlinkat(dir, "operator.json", AT_REMOVEDIR), 0);
    assert_int_equal(symlinkat("target", dir, "operator.json.next"), 0);
    assert_code(HF_EIO, hf__operator_save(&f->store, &paused));
    assert_false(is_there(f, "target"));
    assert_set(&f->store, false, false, 0, 0);
}

static void test_operator__what_a_crash_left_is_written_over(void **state)
{
    const struct hf_operator paused = {.paused = true};
    struct fixture *f = *state;
    int fd = openat(f->store.dir_fd, "operator.json.next", O_WRONLY | O_CREAT, 0600);

    assert_true(fd >= 0);
    for (size_t i = 0; i < 10; i++)
        assert_int_equal(write(fd, whole, strlen(whole)), strlen(whole));
    close(fd);
    assert_set(&f->store, false, false, 0, 0);
    assert_ok(hf__operator_save(&f->store, &paused));
    assert_set(&f->store, true, false, 0, 0);
}

static void test_operator__a_change_is_told_once(void **state)
{
    struct hf_operator settings = {.throttled = true};
    struct fixture *f = *state;

    for (uint64_t i = 0; i < 200; i++) { /* of one size, and several within one tick of the system's clock */
        settings.replay_ops_per_s = 100 + i % 2;
        assert_ok(hf__operator_save(&f->store, &settings));
        assert_true(hf__operator_changed(&f->store));
        assert_false(hf__operator_changed(&f->store));
    }
    assert_int_equal(unlinkat(f->store.dir_fd, "operator.json", 0), 0);
    assert_true(hf__operator_changed(&f->store));
    assert_false(hf__operator_changed(&f->store));
}

/* The file's inode may be used again, and its size is the same: its time tells, if it is finer than the system's clock
 * of steps, which would put it before `before`. */
static void test_operator__each_file_has_a_time_of_its_own(void **state)
{
    const struct hf_operator settings = {.paused = true};
    struct fixture *f = *state;
    struct timespec before;
    struct stat st;

    for (size_t i = 0; i < 200; i++) {
        clock_gettime(CLOCK_REALTIME, &before);
        assert_ok(hf__operator_save(&f->store, &settings));
        assert_int_equal(fstatat(f->store.dir_fd, "operator.json", &st, 0), 0);
        assert_true(st.st_mtim.tv_sec > before.tv_sec ||
                    (st.st_mtim.tv_sec == before.tv_sec && st.st_mtim.tv_nsec > before.tv_nsec));
    }
}

/* ---- the verbs ---- */

static void test_operator__each_verb_sets_its_own_and_keeps_the_rest(void **state)
{
    struct fixture *f = *state;

    assert_ok(hf_pause(&f->store));
    assert_set(&f->store, true, false, 0, 0);
    assert_ok(hf_throttle(&f->store, 100, 2000));
    assert_set(&f->store, true, true, 100, 2000);
    assert_ok(hf_resume(&f->store));
    assert_set(&f->store, false, true, 100, 2000);
    assert_ok(hf_throttle(&f->store, 0, 0)); /* also no bound is one that the options' do not replace */
    assert_set(&f->store, false, true, 0, 0);
    assert_ok(hf_resume(&f->store));
    assert_set(&f->store, false, true, 0, 0);
}

struct told {
    char verbs[8][16];
    char details[8][80];
    size_t n;
};

static int keep_verb(void *ctx, const char *line)
{
    struct told *told = ctx;
    cJSON *object = cJSON_Parse(line);
    const char *detail = cJSON_GetStringValue(cJSON_GetObjectItem(object, "detail"));

    assert_true(told->n < LENGTH(told->verbs));
    snprintf(told->verbs[told->n], sizeof(told->verbs[0]), "%s",
             cJSON_GetStringValue(cJSON_GetObjectItem(object, "verb")));
    snprintf(told->details[told->n++], sizeof(told->details[0]), "%s", detail ? detail : "");
    cJSON_Delete(object);
    return 0;
}

static void test_operator__each_verb_leaves_a_line_in_the_audit_log(void **state)
{
    struct fixture *f = *state;
    struct told told = {0};

    assert_ok(hf_pause(&f->store));
    assert_ok(hf_throttle(&f->store, 100, 1ull << 53));
    assert_ok(hf_resume(&f->store));
    assert_ok(hf_audit_list(&f->store, keep_verb, &told));
    assert_int_equal(told.n, 3);
    assert_string_equal(told.verbs[0], "pause");
    assert_string_equal(told.verbs[1], "throttle");
    assert_string_equal(told.details[1], "100 operations and 9007199254740992 bytes a second");
    assert_string_equal(told.verbs[2], "resume");
}

static void test_operator__without_an_audit_line_nothing_is_set(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(symlinkat("nowhere", f->store.dir_fd, "audit.log"), 0);
    assert_code(HF_EIO, hf_pause(&f->store));
    assert_code(HF_EIO, hf_throttle(&f->store, 1, 1));
    assert_set(&f->store, false, false, 0, 0);
}

static void test_operator__damage_is_not_written_over_by_a_verb(void **state)
{
    struct fixture *f = *state;
    struct told told = {0};

    write_file(f, whole, 20);
    assert_code(HF_ECORRUPT, hf_pause(&f->store));
    assert_code(HF_ECORRUPT, hf_throttle(&f->store, 1, 1));
    load_refused(f, HF_ECORRUPT, NULL);
    assert_ok(hf_audit_list(&f->store, keep_verb, &told));
    assert_int_equal(told.n, 0);
}

static void test_operator__bounds_that_json_cannot_hold_are_refused(void **state)
{
    struct fixture *f = *state;

    assert_code(HF_EINVAL, hf_throttle(&f->store, 1, (1ull << 53) + 1));
    assert_string_equal(hf_errmsg(), "a bound of the replay is 9007199254740993 a second; expected at most "
                                     "9007199254740992");
    assert_code(HF_EINVAL, hf_throttle(&f->store, UINT64_MAX, 0));
    assert_false(is_there(f, "operator.json"));
}

/* ---- other processes ---- */

#define ROUNDS 50

static void change_often(struct fixture *f, bool pauses)
{
    int rc = 0;

    for (uint64_t i = 1; i <= ROUNDS && rc == 0; i++) {
        if (pauses)
            rc = i % 2 ? hf_resume(&f->store) : hf_pause(&f->store);
        else
            rc = hf_throttle(&f->store, i, 10 * i);
    }
    _exit(rc == 0 ? 0 : 1);
}

/* Reading, changing and replacing is one step: neither process takes back what the other one set. */
static void test_operator__two_processes_lose_nothing_of_each_other(void **state)
{
    struct fixture *f = *state;
    pid_t pids[2];

    for (int i = 0; i < 2; i++) {
        pids[i] = fork();
        assert_true(pids[i] >= 0);
        if (pids[i] == 0)
            change_often(f, i == 0);
    }
    await(pids[0]);
    await(pids[1]);
    assert_set(&f->store, true, true, ROUNDS, 10 * ROUNDS);
}

/* A reader's handle in another process, made before the owner has threads. */
static pid_t pause_from_another_process(const char *dir, int go)
{
    const struct hf_options reader = {.read_only = true};
    struct hf *store;
    char byte;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid > 0)
        return pid;
    if (read(go, &byte, 1) != 1 || hf_open(dir, &reader, &store) != 0)
        _exit(1);
    if (hf_set(store, s_("k"), s_("v"), NULL, NULL) != HF_EREADONLY)
        _exit(2);
    if (hf_pause(store) != 0 || hf_throttle(store, 5, 6) != 0)
        _exit(3);
    _exit(hf_close(store) == 0 ? 0 : 4);
}

static void test_operator__a_reader_sets_it_beside_the_owner_who_sees_it(void **state)
{
    struct fixture *f = *state;
    struct told told = {0};
    struct hf *owner;
    int go[2];
    pid_t pid;

    assert_int_equal(pipe(go), 0);
    pid = pause_from_another_process(f->scratch.store, go[0]);
    assert_ok(hf_open(f->scratch.store, NULL, &owner));
    assert_false(hf__operator_changed(owner));
    assert_int_equal(write(go[1], "g", 1), 1);
    await(pid);
    assert_true(hf__operator_changed(owner));
    assert_set(owner, true, true, 5, 6);
    assert_ok(hf_audit_list(owner, keep_verb, &told));
    assert_int_equal(told.n, 2);
    assert_ok(hf_close(owner));
    close(go[0]);
    close(go[1]);
}

static void test_operator__the_link_is_told_at_once(void **state)
{
    struct hf_parts parts = {hf__file_layer_real(), hf__clock_real(), fake_local_open, fake_redis_open};
    const struct hf_options opts = {.redis = "fake", .max_disk_bytes = 1u << 30};
    struct fixture *f = *state;
    struct hf_operator told;
    struct hf *store;

    fake_redis_start();
    assert_ok(hf__store_open(f->scratch.store, &opts, &parts, &store));
    assert_ok(hf_throttle(store, 7, 8));
    assert_ok(hf_pause(store));
    pthread_mutex_lock(&store->link->mutex);
    told = store->link->by_operator;
    pthread_mutex_unlock(&store->link->mutex);
    assert_ok(hf_close(store));
    fake_redis_stop();
    assert_true(told.paused && told.throttled);
    assert_int_equal(told.replay_ops_per_s, 7);
    assert_int_equal(told.replay_bytes_per_s, 8);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    /* Those that fork come before those that have threads. */
    const struct CMUnitTest tests[] = {
        CASE(test_operator__nothing_set_is_all_zeros),
        CASE(test_operator__what_was_saved_is_loaded),
        CASE(test_operator__a_file_cut_anywhere_is_damage),
        CASE(test_operator__a_wrong_member_is_named),
        CASE(test_operator__garbage_is_damage),
        CASE(test_operator__another_version_is_not_guessed_at),
        CASE(test_operator__links_and_directories_are_refused),
        CASE(test_operator__what_a_crash_left_is_written_over),
        CASE(test_operator__a_change_is_told_once),
        CASE(test_operator__each_file_has_a_time_of_its_own),
        CASE(test_operator__each_verb_sets_its_own_and_keeps_the_rest),
        CASE(test_operator__each_verb_leaves_a_line_in_the_audit_log),
        CASE(test_operator__without_an_audit_line_nothing_is_set),
        CASE(test_operator__damage_is_not_written_over_by_a_verb),
        CASE(test_operator__bounds_that_json_cannot_hold_are_refused),
        CASE(test_operator__two_processes_lose_nothing_of_each_other),
        CASE(test_operator__a_reader_sets_it_beside_the_owner_who_sees_it),
        CASE(test_operator__the_link_is_told_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
