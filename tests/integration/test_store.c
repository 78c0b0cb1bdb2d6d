/* A store without a shared tier: every operation of the public interface on the real disk. */
#include "ignore.h"
#include "scratch.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct fixture {
    struct scratch scratch;
    struct hf_options opts;
    struct hf *store;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    scratch_make(&f->scratch);
    f->opts.segment_bytes = 1 << 20;
    f->opts.max_disk_bytes = 256 << 20;
    assert_ok(hf_open(f->scratch.store, &f->opts, &f->store));
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    assert_ok(hf_close(f->store));
    scratch_remove(&f->scratch);
    free(f);
    return 0;
}

static void reopen(struct fixture *f)
{
    assert_ok(hf_close(f->store));
    f->store = NULL;
    assert_ok(hf_open(f->scratch.store, &f->opts, &f->store));
}

static uint64_t count(struct hf *store)
{
    struct hf_status status;

    assert_ok(hf_status(store, &status));
    return status.keys;
}

/* Keys of a scan, joined by commas. */
static void assert_scan(struct hf *store, const char *prefix, const char *after, const char *expected)
{
    struct hf_slice key, value;
    struct hf_scan *scan;
    char got[4096] = "";
    int rc;

    assert_ok(hf_scan_open(store, s_(prefix), s_(after), &scan));
    while ((rc = hf_scan_next(scan, &key, &value, NULL)) == 0)
        snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s%.*s", got[0] ? "," : "", (int)key.len,
                 (const char *)key.data);
    assert_int_equal(rc, HF_NOT_FOUND);
    hf_scan_close(scan);
    assert_string_equal(got, expected);
}

/* ---- values ---- */

static void test_store__a_value_is_read_back_from_overlay_local_tier_and_after_reopening(void **state)
{
    struct fixture *f = *state;
    struct hf_result r;
    struct hf_buf value;

    assert_ok(hf_set(f->store, s_("k"), s_("v"), NULL, &r));
    assert_true(r.durable && r.shared && !r.pending && r.lsn > 0);
    assert_value(f->store, "k", "v");
    assert_ok(hf_checkpoint(f->store));
    assert_value(f->store, "k", "v");
    reopen(f);
    assert_ok(hf_get(f->store, s_("k"), &value, &r));
    assert_int_equal(r.origin, HF_ORIGIN_LOCAL_VERIFIED);
    hf_buf_release(&value);
}

static void test_store__keys_and_values_are_any_bytes(void **state)
{
    struct fixture *f = *state;
    const struct hf_slice key = {"\0\n\xff key", 7}, value = {"\0\r\n\0\x80", 5};
    struct hf_buf got;

    for (int i = 0; i < 2; i++) {
        assert_ok(hf_set(f->store, key, value, NULL, NULL));
        assert_ok(hf_get(f->store, key, &got, NULL));
        assert_int_equal(got.len, 5);
        assert_memory_equal(got.data, value.data, 5);
        hf_buf_release(&got);
        assert_ok(hf_set(f->store, s_("empty"), s_(""), NULL, NULL));
        assert_ok(hf_get(f->store, s_("empty"), &got, NULL));
        assert_int_equal(got.len, 0);
        hf_buf_release(&got);
        assert_ok(hf_checkpoint(f->store));
    }
}

static void test_store__a_large_value_and_a_long_key_survive_reopening(void **state)
{
    struct fixture *f = *state;
    size_t n = 5 << 20;
    char *big = malloc(n), long_key[HF_KEY_MAX];
    struct hf_buf got;

    for (size_t i = 0; i < n; i++)
        big[i] = (char)(i * 31 + i / 251);
    memset(long_key, 'L', sizeof(long_key));
    assert_ok(hf_set(f->store, hf__slice(long_key, sizeof(long_key)), hf__slice(big, n), NULL, NULL));
    reopen(f);
    assert_ok(hf_get(f->store, hf__slice(long_key, sizeof(long_key)), &got, NULL));
    assert_int_equal(got.len, n);
    assert_memory_equal(got.data, big, n);
    hf_buf_release(&got);
    free(big);
}

static void test_store__get_into_tells_the_whole_length(void **state)
{
    struct fixture *f = *state;
    char buffer[4] = "....";
    size_t len;

    put(f->store, "k", "value");
    assert_ok(hf_get_into(f->store, s_("k"), buffer, 3, &len, NULL));
    assert_int_equal(len, 5);
    assert_memory_equal(buffer, "val.", 4);
}

static void test_store__delete_and_exists_agree(void **state)
{
    struct fixture *f = *state;

    assert_code(HF_NOT_FOUND, hf_delete(f->store, s_("k"), NULL));
    put(f->store, "k", "v");
    assert_ok(hf_exists(f->store, s_("k"), NULL));
    assert_ok(hf_checkpoint(f->store));
    assert_ok(hf_delete(f->store, s_("k"), NULL));
    assert_code(HF_NOT_FOUND, hf_exists(f->store, s_("k"), NULL));
    assert_code(HF_NOT_FOUND, hf_delete(f->store, s_("k"), NULL));
    assert_int_equal(count(f->store), 0);
    reopen(f);
    assert_value(f->store, "k", NULL);
}

/* ---- TTL ---- */

static bool is_gone(void *ctx)
{
    struct fixture *f = ctx;

    return hf_exists(f->store, s_("short"), NULL) == HF_NOT_FOUND;
}

static void test_store__a_dead_key_is_gone_from_get_exists_scan_and_counts_alike(void **state)
{
    struct fixture *f = *state;
    int64_t ttl;

    for (int checkpointed = 0; checkpointed < 2; checkpointed++) {
        assert_ok(hf_set(f->store, s_("short"), s_("v"), &(struct hf_set_options){.ttl_ms = 60}, NULL));
        put(f->store, "stays", "v");
        if (checkpointed)
            assert_ok(hf_checkpoint(f->store));
        assert_true(wait_until(is_gone, f, 2000));
        assert_value(f->store, "short", NULL);
        assert_code(HF_NOT_FOUND, hf_ttl(f->store, s_("short"), &ttl, NULL));
        assert_code(HF_NOT_FOUND, hf_persist(f->store, s_("short"), NULL));
        assert_scan(f->store, "", "", "stays");
        assert_int_equal(count(f->store), 1);
    }
}

static void test_store__ttl_expire_persist_and_keep_ttl_follow_redis(void **state)
{
    struct fixture *f = *state;
    int64_t ttl;

    assert_ok(hf_set(f->store, s_("k"), s_("1"), &(struct hf_set_options){.ttl_ms = 50000}, NULL));
    assert_ok(hf_ttl(f->store, s_("k"), &ttl, NULL));
    assert_in_range(ttl, 49000, 50000);
    assert_ok(hf_set(f->store, s_("k"), s_("2"), &(struct hf_set_options){.keep_ttl = true}, NULL));
    assert_ok(hf_ttl(f->store, s_("k"), &ttl, NULL));
    assert_in_range(ttl, 49000, 50000);
    assert_ok(hf_persist(f->store, s_("k"), NULL));
    assert_ok(hf_ttl(f->store, s_("k"), &ttl, NULL));
    assert_int_equal(ttl, -1);
    assert_value(f->store, "k", "2");
    assert_ok(hf_expire(f->store, s_("k"), 70000, NULL));
    assert_ok(hf_checkpoint(f->store));
    assert_ok(hf_expire(f->store, s_("k"), 90000, NULL));
    assert_value(f->store, "k", "2");
    reopen(f);
    assert_ok(hf_ttl(f->store, s_("k"), &ttl, NULL));
    assert_in_range(ttl, 80000, 90000);
    put(f->store, "k", "3");
    assert_ok(hf_ttl(f->store, s_("k"), &ttl, NULL));
    assert_int_equal(ttl, -1);
}

static void test_store__a_deadline_in_the_past_deletes(void **state)
{
    struct fixture *f = *state;

    put(f->store, "a", "v");
    put(f->store, "b", "v");
    assert_ok(hf_expire_at(f->store, s_("a"), 1000, NULL));
    assert_value(f->store, "a", NULL);
    assert_ok(hf_set(f->store, s_("b"), s_("w"), &(struct hf_set_options){.deadline_ms = 1000}, NULL));
    assert_value(f->store, "b", NULL);
}

static bool nothing_stored(void *ctx)
{
    struct fixture *f = ctx;
    struct hf_status status;

    assert_ok(hf_status(f->store, &status));
    return status.keys == 0 && status.disk_used_bytes > 0;
}

static void test_store__the_sweeper_removes_what_is_dead_without_a_reader(void **state)
{
    struct fixture *f = *state;
    char key[32];

    for (int i = 0; i < 200; i++) {
        snprintf(key, sizeof(key), "dies-%d", i);
        assert_ok(hf_set(f->store, s_(key), s_("v"), &(struct hf_set_options){.ttl_ms = 30}, NULL));
    }
    assert_true(wait_until(nothing_stored, f, 3000));
}

/* ---- counters and batches ---- */

static void test_store__increments_count_and_keep_the_deadline(void **state)
{
    struct fixture *f = *state;
    int64_t n, ttl;

    assert_ok(hf_incr(f->store, s_("n"), 5, &n, NULL));
    assert_int_equal(n, 5);
    assert_ok(hf_expire(f->store, s_("n"), 60000, NULL));
    assert_ok(hf_checkpoint(f->store));
    assert_ok(hf_incr(f->store, s_("n"), -7, &n, NULL));
    assert_int_equal(n, -2);
    assert_ok(hf_ttl(f->store, s_("n"), &ttl, NULL));
    assert_in_range(ttl, 50000, 60000);
    reopen(f);
    assert_value(f->store, "n", "-2");
}

static void test_store__an_increment_of_no_integer_or_past_64_bits_is_refused(void **state)
{
    static const char *const bad[] = {"", "abc", "1.5", " 1", "+1", "01", "-0", "9223372036854775808", "1e3"};
    struct fixture *f = *state;
    int64_t n;

    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        put(f->store, "n", bad[i]);
        assert_code(HF_ENOTINT, hf_incr(f->store, s_("n"), 1, &n, NULL));
        assert_value(f->store, "n", bad[i]);
    }
    put(f->store, "n", "9223372036854775807");
    assert_code(HF_ENOTINT, hf_incr(f->store, s_("n"), 1, &n, NULL));
    assert_ok(hf_incr(f->store, s_("n"), -1, &n, NULL));
    put(f->store, "n", "-9223372036854775808");
    assert_code(HF_ENOTINT, hf_incr(f->store, s_("n"), -1, &n, NULL));
}

static void test_store__a_batch_is_applied_as_a_whole_or_not_at_all(void **state)
{
    struct fixture *f = *state;
    struct hf_batch *batch;
    struct hf_result r;

    put(f->store, "gone", "v");
    put(f->store, "text", "abc");
    assert_ok(hf_batch_new(f->store, &batch));
    assert_ok(hf_batch_set(batch, s_("a"), s_("1"), NULL));
    assert_ok(hf_batch_incr(batch, s_("a"), 4));
    assert_ok(hf_batch_delete(batch, s_("gone")));
    assert_ok(hf_batch_commit(batch, &r));
    assert_value(f->store, "a", "5");
    assert_value(f->store, "gone", NULL);
    assert_ok(hf_batch_set(batch, s_("b"), s_("1"), NULL));
    assert_ok(hf_batch_incr(batch, s_("text"), 1));
    assert_code(HF_ENOTINT, hf_batch_commit(batch, NULL));
    assert_value(f->store, "b", NULL);
    hf_batch_free(batch);
    reopen(f);
    assert_value(f->store, "a", "5");
}

/* ---- scans ---- */

static void test_store__a_scan_merges_overlay_and_local_tier_in_order(void **state)
{
    struct fixture *f = *state;

    put(f->store, "b", "old");
    put(f->store, "d", "old");
    put(f->store, "e", "old");
    assert_ok(hf_checkpoint(f->store));
    put(f->store, "a", "new");
    put(f->store, "b", "new");
    put(f->store, "c", "new");
    assert_ok(hf_delete(f->store, s_("d"), NULL));
    put(f->store, "p:1", "x");
    put(f->store, "p:2", "x");
    assert_scan(f->store, "", "", "a,b,c,e,p:1,p:2");
    assert_scan(f->store, "", "b", "c,e,p:1,p:2");
    assert_scan(f->store, "p:", "", "p:1,p:2");
    assert_scan(f->store, "p:", "p:1", "p:2");
    assert_scan(f->store, "q", "", "");
    assert_int_equal(count(f->store), 6);
}

static void test_store__a_long_scan_sees_every_key_once_while_checkpoints_run(void **state)
{
    struct fixture *f = *state;
    struct hf_slice key, value;
    struct hf_scan *scan;
    char name[32], last[32] = "";
    int n = 0, rc;

    for (int i = 0; i < 3000; i++) {
        snprintf(name, sizeof(name), "key-%06d", i);
        assert_ok(hf_submit(f->store, &(struct hf_op){.kind = HF_OP_SET, .key = s_(name), .value = s_("v")},
                            ignore_result, NULL));
    }
    assert_ok(hf_scan_open(f->store, s_("key-"), s_(""), &scan));
    while ((rc = hf_scan_next(scan, &key, &value, NULL)) == 0) {
        snprintf(name, sizeof(name), "%.*s", (int)key.len, (const char *)key.data);
        assert_true(strcmp(name, last) > 0);
        memcpy(last, name, sizeof(last));
        if (++n % 700 == 0)
            assert_ok(hf_checkpoint(f->store));
    }
    assert_int_equal(rc, HF_NOT_FOUND);
    hf_scan_close(scan);
    assert_int_equal(n, 3000);
}

/* ---- asynchronous submission ---- */

struct completions {
    _Atomic int n, failed;
    uint64_t last_lsn;
    bool in_order;
    int target;
};

static void on_done(void *ctx, const struct hf_result *result)
{
    struct completions *c = ctx;

    c->in_order &= result->lsn > c->last_lsn;
    c->last_lsn = result->lsn;
    c->failed += result->code != 0 || !result->durable;
    c->n++;
}

static bool all_done(void *ctx)
{
    struct completions *c = ctx;

    return c->n == c->target;
}

static void test_store__submissions_complete_in_order_and_durable(void **state)
{
    struct fixture *f = *state;
    struct completions c = {.in_order = true, .target = 5000};
    char name[32];

    for (int i = 0; i < c.target; i++) {
        snprintf(name, sizeof(name), "async-%d", i % 100);
        assert_ok(hf_submit(f->store, &(struct hf_op){.kind = HF_OP_SET, .key = s_(name), .value = s_(name)},
                            on_done, &c));
    }
    assert_true(wait_until(all_done, &c, 20000));
    assert_true(c.in_order);
    assert_int_equal(c.failed, 0);
    assert_int_equal(count(f->store), 100);
}

static void test_store__a_refused_submission_never_calls_back(void **state)
{
    struct fixture *f = *state;
    struct completions c = {0};

    assert_code(HF_EINVAL, hf_submit(f->store, &(struct hf_op){.kind = HF_OP_SET, .key = s_("")}, on_done, &c));
    put(f->store, "t", "x");
    assert_code(HF_ENOTINT,
                hf_submit(f->store, &(struct hf_op){.kind = HF_OP_INCR, .key = s_("t"), .delta = 1}, on_done, &c));
    reopen(f); /* closing completes what was accepted */
    assert_int_equal(c.n, 0);
}

/* ---- limits and bad input ---- */

static void test_store__what_is_outside_the_limits_gets_a_sentence_and_changes_nothing(void **state)
{
    struct fixture *f = *state;
    char key[HF_KEY_MAX + 1];
    int64_t ttl;

    memset(key, 'k', sizeof(key));
    assert_code(HF_EINVAL, hf_set(f->store, s_(""), s_("v"), NULL, NULL));
    assert_sentence("a key of 0 bytes; expected 1 to 4096");
    assert_code(HF_EINVAL, hf_set(f->store, hf__slice(key, sizeof(key)), s_("v"), NULL, NULL));
    assert_sentence("4097 bytes");
    assert_code(HF_EINVAL, hf_set(f->store, s_("_hf:x"), s_("v"), NULL, NULL));
    assert_sentence("reserved");
    assert_code(HF_EINVAL, hf_set(f->store, s_("k"), s_("v"), &(struct hf_set_options){.ttl_ms = -1}, NULL));
    assert_sentence("a TTL of -1 ms");
    assert_code(HF_EINVAL,
                hf_set(f->store, s_("k"), s_("v"), &(struct hf_set_options){.ttl_ms = HF_TTL_MAX_MS + 1}, NULL));
    assert_code(HF_EINVAL,
                hf_set(f->store, s_("k"), s_("v"), &(struct hf_set_options){.ttl_ms = 5, .keep_ttl = true}, NULL));
    assert_sentence("one of");
    assert_code(HF_EINVAL, hf_expire(f->store, s_("k"), 0, NULL));
    assert_code(HF_NOT_FOUND, hf_expire(f->store, s_("k"), 5, NULL));
    assert_code(HF_NOT_FOUND, hf_ttl(f->store, s_("k"), &ttl, NULL));
    assert_int_equal(count(f->store), 0);
}

static void assert_refused(int rc, int code, const char *sentence)
{
    assert_code(code, rc);
    assert_string_equal(hf_errmsg(), sentence);
}

static int no_loss(void *ctx, const struct hf_loss *loss)
{
    (void)ctx, (void)loss;
    return -1;
}

static void test_store__arguments_outside_their_range_are_named_with_it(void **state)
{
    static const char prefix[HF_KEY_MAX + 1];
    const struct hf_set_options too_late = {.deadline_ms = INT64_MAX};
    struct fixture *f = *state;
    struct hf_lock *lock = NULL;
    struct hf_scan *scan = NULL;

    assert_refused(hf_set(f->store, s_("k"), s_("v"), &too_late, NULL), HF_EINVAL,
                   "a deadline of 9223372036854775807 ms; expected one within 100 years from now");
    assert_refused(hf_lock_acquire(f->store, s_("k"), 0, 0, &lock), HF_EINVAL,
                   "a lock of 0 ms; expected 1 to 3155760000000");
    assert_refused(hf_lock_acquire(f->store, s_("k"), 1, -1, &lock), HF_EINVAL,
                   "a wait of -1 ms for a lock; expected at least 0");
    assert_refused(hf_scan_open(f->store, hf__slice(prefix, sizeof(prefix)), s_(""), &scan), HF_EINVAL,
                   "a prefix or starting key of 4097 bytes; at most 4096 are possible");
    assert_refused(hf_decide_loss(f->store, s_(""), HF_LOSS_HOLD), HF_EINVAL,
                   "a loss can be decided by reseed or adopt; found policy 3");
    assert_refused(hf_decide_loss(f->store, s_("no"), HF_LOSS_ADOPT), HF_EINVAL, "there is no namespace 'no'");
    assert_refused(hf_decide_loss(f->store, s_(""), HF_LOSS_ADOPT), HF_EINVAL,
                   "the namespace '' is not held for a loss");
    assert_refused(hf_preview_losses(f->store, no_loss, NULL), HF_EOFFLINE,
                   "the store was opened without a shared tier: there is nothing to be lost");
    assert_true(!lock && !scan);
}

static void test_store__a_value_beyond_max_value_is_refused(void **state)
{
    struct fixture *f = *state;
    char *value = calloc(1, 1001);

    f->opts.max_value_bytes = 1000;
    reopen(f);
    assert_ok(hf_set(f->store, s_("k"), hf__slice(value, 1000), NULL, NULL));
    assert_code(HF_EINVAL, hf_set(f->store, s_("k"), hf__slice(value, 1001), NULL, NULL));
    assert_sentence("max_value");
    free(value);
}

/* ---- one owner, other readers ---- */

static void test_store__a_second_owner_is_told_who_owns_it(void **state)
{
    struct fixture *f = *state;
    struct hf *second = NULL;
    char pid[32];

    snprintf(pid, sizeof(pid), "process %d", (int)getpid());
    assert_code(HF_ELOCKED, hf_open(f->scratch.store, NULL, &second));
    assert_sentence(pid);
    assert_null(second);
}

/* Run `body` in a child; its return value is the exit code. */
static int in_child(int (*body)(struct fixture *f), struct fixture *f)
{
    pid_t pid = fork();
    int status;

    if (pid == 0)
        _exit(body(f));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static int use_inherited_handle(struct fixture *f)
{
    return hf_set(f->store, s_("k"), s_("v"), NULL, NULL) == HF_EFORK ? 0 : 1;
}

static void test_store__a_handle_is_refused_in_a_child(void **state)
{
    assert_int_equal(in_child(use_inherited_handle, *state), 0);
}

static int read_everything(struct fixture *f)
{
    struct hf_options opts = {.read_only = true};
    struct hf_buf value;
    struct hf *reader;

    if (hf_open(f->scratch.store, &opts, &reader) != 0)
        return 1;
    if (hf_get(reader, s_("stored"), &value, NULL) != 0 || memcmp(value.data, "1", 1) != 0)
        return 2;
    hf_buf_release(&value);
    if (hf_get(reader, s_("in-journal"), &value, NULL) != 0 || memcmp(value.data, "2", 1) != 0)
        return 3;
    hf_buf_release(&value);
    if (hf_set(reader, s_("x"), s_("y"), NULL, NULL) != HF_EREADONLY)
        return 4;
    return hf_close(reader) == 0 ? 0 : 5;
}

static void test_store__another_process_reads_local_tier_and_journal_beside_the_owner(void **state)
{
    struct fixture *f = *state;
    int fds[2], status;
    char byte;
    pid_t pid;

    assert_ok(hf_close(f->store)); /* the process is made while this one has no threads */
    assert_int_equal(pipe(fds), 0);
    pid = fork();
    if (pid == 0)
        _exit(read(fds[0], &byte, 1) == 1 ? read_everything(f) : 9);
    assert_ok(hf_open(f->scratch.store, &f->opts, &f->store));
    put(f->store, "stored", "1");
    assert_ok(hf_checkpoint(f->store));
    put(f->store, "in-journal", "2");
    assert_int_equal(write(fds[1], "", 1), 1);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    close(fds[0]);
    close(fds[1]);
}

static void test_store__a_reader_of_a_store_that_is_not_there_makes_none(void **state)
{
    struct fixture *f = *state;
    struct hf_options opts = {.read_only = true};
    struct hf *reader;
    char path[128];

    snprintf(path, sizeof(path), "%s/nothing", f->scratch.dir);
    assert_code(HF_NOT_FOUND, hf_open(path, &opts, &reader));
    assert_sentence("there is no store");
    assert_int_equal(access(path, F_OK), -1);
    opts = (struct hf_options){.must_exist = true};
    assert_code(HF_NOT_FOUND, hf_open(path, &opts, &reader));
    assert_int_equal(access(path, F_OK), -1);
}

static void test_store__bad_options_are_told_before_anything_is_made(void **state)
{
    struct fixture *f = *state;
    struct hf_options bad[] = {{.redis = "foo"}, {.redis = "redis://h:99999"}, {.segment_bytes = 5}};
    struct hf *store;
    char path[128];

    snprintf(path, sizeof(path), "%s/nothing", f->scratch.dir);
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        assert_true(hf_open(path, &bad[i], &store) < 0);
        assert_int_equal(access(path, F_OK), -1);
    }
}

static void move(const struct fixture *f, const char *from, const char *to)
{
    char a[160], b[160];

    snprintf(a, sizeof(a), "%s/%s", f->scratch.store, from);
    snprintf(b, sizeof(b), "%s/%s", f->scratch.dir, to);
    assert_int_equal(rename(a, b), 0);
}

static void move_back(const struct fixture *f, const char *from, const char *to)
{
    char a[160], b[160];

    snprintf(a, sizeof(a), "%s/%s", f->scratch.dir, from);
    snprintf(b, sizeof(b), "%s/%s", f->scratch.store, to);
    (void)rmdir(b);
    assert_int_equal(rename(a, b), 0);
}

static void test_store__a_missing_part_of_a_store_is_not_made_anew(void **state)
{
    struct fixture *f = *state;

    put(f->store, "k", "v");
    assert_ok(hf_close(f->store));
    move(f, "lmdb", "lmdb-away");
    assert_code(HF_ECORRUPT, hf_open(f->scratch.store, &f->opts, &f->store));
    assert_sentence("no local tier");
    move_back(f, "lmdb-away", "lmdb");
    move(f, "journal", "journal-away");
    assert_code(HF_ECORRUPT, hf_open(f->scratch.store, &f->opts, &f->store));
    assert_sentence("no journal");
    move_back(f, "journal-away", "journal");
    assert_ok(hf_open(f->scratch.store, &f->opts, &f->store));
    assert_value(f->store, "k", "v");
}

static void test_store__files_are_private_and_a_shared_directory_is_refused(void **state)
{
    struct fixture *f = *state;
    struct stat st;
    char path[128];

    assert_int_equal(stat(f->scratch.store, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    snprintf(path, sizeof(path), "%s/lmdb/data.mdb", f->scratch.store);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    snprintf(path, sizeof(path), "%s/open", f->scratch.dir);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(chmod(path, 0777), 0);
    struct hf *other;
    assert_code(HF_EIO, hf_open(path, NULL, &other));
    assert_sentence("written by others");
}

/* Directories that were synced, by their paths; the test is linked so that it hears of each fsync. */
static struct {
    char paths[32][128];
    unsigned n;
} synced;
static pthread_mutex_t synced_mutex = PTHREAD_MUTEX_INITIALIZER; /* the journal's thread syncs, too */

int __real_fsync(int fd);
int __wrap_fsync(int fd);

int __wrap_fsync(int fd)
{
    char link[32];
    ssize_t n;

    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    pthread_mutex_lock(&synced_mutex);
    n = readlink(link, synced.paths[synced.n % 32], sizeof(synced.paths[0]) - 1);
    if (n > 0)
        synced.paths[synced.n++ % 32][n] = '\0';
    pthread_mutex_unlock(&synced_mutex);
    return __real_fsync(fd);
}

static bool was_synced(const char *path)
{
    bool found = false;

    for (unsigned i = 0; i < synced.n && i < 32; i++)
        found |= strcmp(synced.paths[i], path) == 0;
    return found;
}

/* Whoever made the directory, the library or a process that was killed before it could sync the name. */
static void test_store__the_name_of_a_new_store_is_synced_before_it_can_be_written_to(void **state)
{
    struct fixture *f = *state;
    char dir[96];

    for (unsigned there = 0; there < 2; there++) {
        struct hf *store;
        snprintf(dir, sizeof(dir), "%s/new%u", f->scratch.dir, there);
        assert_true(!there || mkdir(dir, 0700) == 0);
        memset(&synced, 0, sizeof(synced));
        assert_ok(hf_open(dir, &f->opts, &store));
        assert_true(was_synced(f->scratch.dir));
        assert_true(was_synced(dir));
        assert_ok(hf_close(store));
    }
    memset(&synced, 0, sizeof(synced));
    reopen(f);
    assert_false(was_synced(f->scratch.dir)); /* an old store's name has been durable for long */
}

static void test_store__a_file_where_a_directory_should_be_is_named(void **state)
{
    struct fixture *f = *state;
    char path[128];
    struct hf *other;
    int fd;

    snprintf(path, sizeof(path), "%s/file", f->scratch.dir);
    fd = open(path, O_CREAT | O_WRONLY, 0600);
    close(fd);
    assert_code(HF_EIO, hf_open(path, NULL, &other));
    assert_sentence("is a file; expected a directory");
}

/* ---- the disk in the long run ---- */

static void test_store__overwriting_for_long_keeps_the_journal_small(void **state)
{
    struct fixture *f = *state;
    struct completions c = {.in_order = true, .target = 40000};
    struct hf_status status;
    char value[256];

    f->opts.checkpoint_bytes = 1 << 20;
    reopen(f);
    memset(value, 'v', sizeof(value));
    for (int i = 0; i < c.target; i++) {
        char key[16];
        snprintf(key, sizeof(key), "k%d", i % 50);
        assert_ok(hf_submit(
            f->store, &(struct hf_op){.kind = HF_OP_SET, .key = s_(key), .value = hf__slice(value, sizeof(value))},
            on_done, &c));
    }
    assert_true(wait_until(all_done, &c, 60000));
    assert_ok(hf_checkpoint(f->store));
    assert_ok(hf_status(f->store, &status));
    assert_int_equal(status.keys, 50);
    assert_true(status.journal_bytes <= 8u << 20); /* 12 MB were written */
    assert_true(status.disk_used_bytes <= 2u << 20);
}

static void test_store__a_full_store_refuses_writes_serves_reads_and_lets_deletes_through(void **state)
{
    struct fixture *f = *state;
    char value[2000], key[32];
    int n = 0, rc = 0;

    f->opts.max_disk_bytes = 8 << 20;
    f->opts.checkpoint_bytes = 1 << 20;
    snprintf(f->scratch.store, sizeof(f->scratch.store), "%s/small", f->scratch.dir);
    reopen(f);
    memset(value, 'v', sizeof(value));
    for (; rc == 0 && n < 10000; n += rc == 0) {
        snprintf(key, sizeof(key), "k%d", n);
        rc = hf_set(f->store, s_(key), hf__slice(value, sizeof(value)), NULL, NULL);
    }
    assert_int_equal(rc, HF_EFULL);
    assert_sentence("max_disk");
    assert_true(n > 500);
    assert_int_equal(count(f->store), n);
    for (int i = 0; i < n / 2; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        assert_ok(hf_exists(f->store, s_(key), NULL));
        assert_ok(hf_delete(f->store, s_(key), NULL));
    }
    assert_ok(hf_checkpoint(f->store));
    assert_ok(hf_set(f->store, s_("again"), hf__slice(value, sizeof(value)), NULL, NULL));
    reopen(f);
    assert_int_equal(count(f->store), n - n / 2 + 1);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(test_store__##name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(a_value_is_read_back_from_overlay_local_tier_and_after_reopening),
        T(keys_and_values_are_any_bytes),
        T(a_large_value_and_a_long_key_survive_reopening),
        T(get_into_tells_the_whole_length),
        T(delete_and_exists_agree),
        T(a_dead_key_is_gone_from_get_exists_scan_and_counts_alike),
        T(ttl_expire_persist_and_keep_ttl_follow_redis),
        T(a_deadline_in_the_past_deletes),
        T(the_sweeper_removes_what_is_dead_without_a_reader),
        T(increments_count_and_keep_the_deadline),
        T(an_increment_of_no_integer_or_past_64_bits_is_refused),
        T(a_batch_is_applied_as_a_whole_or_not_at_all),
        T(a_scan_merges_overlay_and_local_tier_in_order),
        T(a_long_scan_sees_every_key_once_while_checkpoints_run),
        T(submissions_complete_in_order_and_durable),
        T(a_refused_submission_never_calls_back),
        T(what_is_outside_the_limits_gets_a_sentence_and_changes_nothing),
        T(arguments_outside_their_range_are_named_with_it),
        T(a_value_beyond_max_value_is_refused),
        T(a_second_owner_is_told_who_owns_it),
        T(a_handle_is_refused_in_a_child),
        T(another_process_reads_local_tier_and_journal_beside_the_owner),
        T(a_reader_of_a_store_that_is_not_there_makes_none),
        T(bad_options_are_told_before_anything_is_made),
        T(a_missing_part_of_a_store_is_not_made_anew),
        T(files_are_private_and_a_shared_directory_is_refused),
        T(the_name_of_a_new_store_is_synced_before_it_can_be_written_to),
        T(a_file_where_a_directory_should_be_is_named),
        T(overwriting_for_long_keeps_the_journal_small),
        T(a_full_store_refuses_writes_serves_reads_and_lets_deletes_through),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
