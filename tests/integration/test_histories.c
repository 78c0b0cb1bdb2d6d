/* Sequences that broke an earlier draft of the design, played on the real parts. Each has a mutant (mutants.cmake): the
 * same test with the defence taken out must fail. */
#include "redis_server.h"
#include "scratch.h"

#include "file_layer.h"
#include "store.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define BOUND_MS 10000

struct fixture {
    struct scratch scratch;
    struct redis_server redis;
    struct hf_options opts;
    struct hf_namespace namespaces[1];
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    scratch_make(&f->scratch);
    f->namespaces[0] = (struct hf_namespace){.prefix = "nolog:", .change_log_off = true};
    f->opts = (struct hf_options){.segment_bytes = 256 << 10,
                                  .max_disk_bytes = 64 << 20,
                                  .redis_timeout_ms = 1000,
                                  .redis_backoff_max_ms = 60,
                                  .namespaces = f->namespaces,
                                  .n_namespaces = 1};
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    redis_server_stop(&f->redis);
    scratch_remove(&f->scratch);
    free(f);
    return 0;
}

/* Run `body` in a process of its own until it says that it is done, then kill it without warning. */
static void run_and_kill(struct fixture *f, void (*body)(struct hf *store))
{
    int fds[2], status;
    char byte;
    pid_t pid;

    assert_int_equal(pipe(fds), 0);
    pid = fork();
    if (pid == 0) {
        struct hf *store;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (hf_open(f->scratch.store, &f->opts, &store) != 0 || !wait_link(store, HF_LINK_ONLINE, BOUND_MS))
            _exit(1);
        body(store);
        (void)!write(fds[1], "", 1);
        pause();
        _exit(0);
    }
    close(fds[1]);
    assert_int_equal(read(fds[0], &byte, 1), 1);
    close(fds[0]);
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
}

static void open_and_drain(struct fixture *f, struct hf **ret_store)
{
    assert_ok(hf_open(f->scratch.store, &f->opts, ret_store));
    assert_ok(hf_drain(*ret_store, BOUND_MS));
}

/* ---- 8: a restart must not send again what was acknowledged ---- */

static void set_one(struct hf *store)
{
    struct hf_result r;

    if (hf_set(store, s_("k"), s_("ours"), NULL, &r) != 0 || !r.shared)
        _exit(2);
}

static void test_histories__8_our_own_change_log_entries_settle_what_was_acknowledged(void **state)
{
    struct fixture *f = *state;
    struct hf_status status;
    struct hf *store;
    char text[64];

    assert_int_equal(redis_server_start(&f->redis, NULL), 0);
    f->opts.redis = f->redis.address;
    f->opts.checkpoint_interval_ms = 600000;
    run_and_kill(f, set_one);
    redis_server_text(&f->redis, text, sizeof(text), "SET k theirs");
    open_and_drain(f, &store);
    assert_string_equal(redis_server_text(&f->redis, text, sizeof(text), "GET k"), "theirs");
    assert_ok(hf_status(store, &status));
    assert_int_equal(status.settled_by_log, 1);
    assert_ok(hf_close(store));
}

static void set_some(struct hf *store)
{
    char key[24];

    for (int i = 0; i < 20; i++) {
        snprintf(key, sizeof(key), "nolog:%d", i);
        if (hf_set(store, s_(key), s_("ours"), NULL, NULL) != 0)
            _exit(2);
    }
    /* The next group says what was acknowledged before it. */
    if (hf_drain(store, BOUND_MS) != 0 || hf_set(store, s_("nolog:last"), s_("ours"), NULL, NULL) != 0)
        _exit(3);
}

static void test_histories__8_group_headers_remember_what_was_acknowledged(void **state)
{
    struct fixture *f = *state;
    struct hf *store;
    char text[64];

    assert_int_equal(redis_server_start(&f->redis, NULL), 0);
    f->opts.redis = f->redis.address;
    f->opts.checkpoint_interval_ms = 600000;
    run_and_kill(f, set_some);
    redis_server_text(&f->redis, text, sizeof(text), "SET nolog:0 theirs");
    open_and_drain(f, &store);
    assert_string_equal(redis_server_text(&f->redis, text, sizeof(text), "GET nolog:0"), "theirs");
    assert_ok(hf_close(store));
}

/* ---- 18: readers never go back in time ---- */

#define WRITES 24000
#define READERS 3
#define VALUE_BYTES 6000 /* so that segments are used again all the time */

/* Shared with the reader: the last number whose write was acknowledged. */
struct progress {
    _Atomic bool started; /* the store is there */
    _Atomic long long acknowledged;
    _Atomic bool finished;
    _Atomic long long reads;
};

/* Read until the writer has finished: 0, or 1 when a value was older than what had been acknowledged before. */
static int read_along(struct hf *store, struct progress *p)
{
    do {
        long long before = atomic_load(&p->acknowledged), got;
        struct hf_buf value;
        int rc = hf_get(store, s_("k"), &value, NULL);
        if (rc == HF_NOT_FOUND && before == 0)
            continue;
        if (rc != 0) {
            fprintf(stderr, "reader: %d %s\n", rc, hf_errmsg());
            return 1;
        }
        got = strtoll(value.data, NULL, 10);
        hf_buf_release(&value);
        if (got < before) {
            fprintf(stderr, "reader: saw %lld after %lld was acknowledged\n", got, before);
            return 1;
        }
        atomic_fetch_add(&p->reads, 1);
    } while (!atomic_load(&p->finished));
    return 0;
}

static void write_along(struct hf *store, struct progress *p)
{
    char text[VALUE_BYTES] = "";

    for (long long n = 1; n <= WRITES; n++) {
        snprintf(text, sizeof(text), "%lld", n);
        assert_ok(hf_set(store, s_("k"), hf__slice(text, sizeof(text)), NULL, NULL));
        atomic_store(&p->acknowledged, n);
        if (n % 8 == 0)
            assert_ok(hf_checkpoint(store));
    }
    atomic_store(&p->finished, true);
}

struct reader {
    struct hf *store;
    struct progress *progress;
};

static void *reader_main(void *arg)
{
    struct reader *r = arg;

    return (void *)(intptr_t)read_along(r->store, r->progress);
}

static void test_histories__18_a_reader_in_the_process_never_sees_an_older_value(void **state)
{
    struct fixture *f = *state;
    struct progress p = {0};
    struct reader r = {.progress = &p};
    pthread_t thread;
    void *result;

    f->opts.durability = HF_DURABILITY_NONE;
    assert_ok(hf_open(f->scratch.store, &f->opts, &r.store));
    assert_int_equal(pthread_create(&thread, NULL, reader_main, &r), 0);
    write_along(r.store, &p);
    pthread_join(thread, &result);
    assert_int_equal((intptr_t)result, 0);
    assert_true(p.reads > 0);
    assert_ok(hf_close(r.store));
}

static void test_histories__18_a_reader_in_another_process_never_sees_an_older_value(void **state)
{
    struct fixture *f = *state;
    struct progress *p = mmap(NULL, sizeof(*p), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct hf *store;
    pid_t pids[READERS];

    assert_true(p != MAP_FAILED);
    f->opts.durability = HF_DURABILITY_NONE;
    f->opts.segment_bytes = 64 << 10;
    for (int i = 0; i < READERS; i++) { /* before this process has threads */
        pids[i] = fork();
        if (pids[i] == 0) {
            struct hf_options reading = {.read_only = true};
            struct hf *reader;
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            while (!atomic_load(&p->started))
                (void)poll(NULL, 0, 1);
            _exit(hf_open(f->scratch.store, &reading, &reader) != 0 ? 2 : read_along(reader, p));
        }
    }
    assert_ok(hf_open(f->scratch.store, &f->opts, &store));
    atomic_store(&p->started, true);
    write_along(store, p);
    for (int i = 0; i < READERS; i++) {
        int status;
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
    }
    assert_true(atomic_load(&p->reads) > 0);
    assert_ok(hf_close(store));
    munmap(p, sizeof(*p));
}

/* A checkpoint behind a reader's look at the local tier: harmless, if it looked at the overlay before. */
static struct {
    const struct hf_local_ops *real;
    struct hf *store;
    bool armed;
} between;

static void *checkpoint_main(void *arg)
{
    return (void *)(intptr_t)hf_checkpoint(arg);
}

static int begin_then_checkpoint(struct hf_local_tier *tier, struct hf_local_snap **ret_snap)
{
    int rc = between.real->snap_begin(tier, ret_snap);
    pthread_t thread;
    void *result;

    if (rc != 0 || !between.armed)
        return rc;
    between.armed = false;
    assert_int_equal(pthread_create(&thread, NULL, checkpoint_main, between.store), 0);
    pthread_join(thread, &result);
    assert_int_equal((intptr_t)result, 0);
    return 0;
}

static void test_histories__18_a_checkpoint_between_the_two_looks_hides_nothing(void **state)
{
    struct fixture *f = *state;
    struct hf_local_ops ops;
    struct hf_buf value;

    assert_ok(hf_open(f->scratch.store, &f->opts, &between.store));
    between.real = between.store->local->ops;
    ops = *between.real;
    ops.snap_begin = begin_then_checkpoint;
    between.store->local->ops = &ops;
    put(between.store, "k", "old");
    assert_ok(hf_checkpoint(between.store));
    put(between.store, "k", "new");
    between.armed = true;
    assert_ok(hf_get(between.store, s_("k"), &value, NULL));
    assert_string_equal(value.data, "new");
    hf_buf_release(&value);
    between.store->local->ops = between.real;
    assert_ok(hf_close(between.store));
}

/* Between the reader's snapshot and its look at the journal, the owner covers and drops what the reader would find there. */
static struct {
    _Atomic bool looking, dropped;
} * meeting;

static int (*real_list)(struct hf_file_layer *fs, int dir, hf_file_name_fn *each, void *ctx);

static int list_when_dropped(struct hf_file_layer *fs, int dir, hf_file_name_fn *each, void *ctx)
{
    atomic_store(&meeting->looking, true);
    while (!atomic_load(&meeting->dropped))
        (void)poll(NULL, 0, 1);
    return real_list(fs, dir, each, ctx);
}

static int read_what_was_dropped(const char *dir)
{
    struct hf_options reading = {.read_only = true};
    struct hf_buf value;
    struct hf *reader;

    if (hf_open(dir, &reading, &reader) != 0)
        return 2;
    real_list = hf__file_layer_real()->list;
    hf__file_layer_real()->list = list_when_dropped;
    if (hf_get(reader, s_("k"), &value, NULL) != 0)
        return 3;
    return strcmp(value.data, "new") == 0 ? 0 : 1;
}

static void test_histories__18_what_was_dropped_under_a_reader_is_looked_for_again(void **state)
{
    struct fixture *f = *state;
    char filler[VALUE_BYTES] = "";
    struct hf *store;
    int status, waited = 0;
    pid_t pid, parent = getpid();
    int go[2];

    meeting = mmap(NULL, sizeof(*meeting), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(meeting != MAP_FAILED);
    assert_int_equal(pipe(go), 0);
    pid = fork(); /* before this process has threads */
    if (pid == 0) {
        char byte;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        _exit(getppid() == parent && read(go[0], &byte, 1) == 1 ? read_what_was_dropped(f->scratch.store) : 4);
    }
    f->opts.segment_bytes = 64 << 10;
    assert_ok(hf_open(f->scratch.store, &f->opts, &store));
    put(store, "k", "old");
    assert_ok(hf_checkpoint(store));
    put(store, "k", "new");
    assert_int_equal(write(go[1], "", 1), 1);
    while (!atomic_load(&meeting->looking) && waited++ < BOUND_MS)
        (void)poll(NULL, 0, 1);
    for (int i = 0; i < 40; i++) {
        assert_ok(hf_set(store, s_("filler"), hf__slice(filler, sizeof(filler)), NULL, NULL));
        assert_ok(hf_checkpoint(store));
    }
    atomic_store(&meeting->dropped, true);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_ok(hf_close(store));
    close(go[0]);
    close(go[1]);
    munmap(meeting, sizeof(*meeting));
}

/* ---- 21: an entry that kills the link must not block the others for ever ---- */

static void test_histories__21_an_entry_that_kills_the_link_is_isolated_and_parked(void **state)
{
    static const char *const small_bulk[] = {"--proto-max-bulk-len", "1mb", NULL};
    struct fixture *f = *state;
    size_t n = 2 << 20;
    char *big = calloc(1, n), key[16], text[32];
    struct hf_status status;
    struct hf *store;

    assert_int_equal(redis_server_start(&f->redis, small_bulk), 0);
    redis_server_kill(&f->redis);
    f->opts.redis = f->redis.address;
    assert_ok(hf_open(f->scratch.store, &f->opts, &store));
    for (int i = 0; i < 20; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        put(store, key, "v");
        if (i == 10)
            assert_ok(hf_set(store, s_("k10 is too big"), hf__slice(big, n), NULL, NULL));
    }
    assert_int_equal(redis_server_restart(&f->redis), 0);
    assert_ok(hf_drain(store, BOUND_MS));
    assert_ok(hf_status(store, &status));
    assert_int_equal(status.parked, 1);
    assert_int_equal(status.pending_keys, 0);
    for (int i = 0; i < 20; i++)
        assert_string_equal(redis_server_text(&f->redis, text, sizeof(text), "GET k%d", i), "v");
    assert_ok(hf_close(store));
    free(big);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(test_histories__##name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(8_our_own_change_log_entries_settle_what_was_acknowledged),
        T(8_group_headers_remember_what_was_acknowledged),
        T(18_a_reader_in_the_process_never_sees_an_older_value),
        T(18_a_reader_in_another_process_never_sees_an_older_value),
        T(18_a_checkpoint_between_the_two_looks_hides_nothing),
        T(18_what_was_dropped_under_a_reader_is_looked_for_again),
        T(21_an_entry_that_kills_the_link_is_isolated_and_parked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
