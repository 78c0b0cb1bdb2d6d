/* The link against a scripted Redis and a local tier whose commits fail: what must not be lost, sent twice or torn. */
#include "fake_tier.h"
#include "scratch.h"

#include "checkpoint.h"
#include "file_layer.h"
#include "settle.h"
#include "store.h"

#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define SOON_MS 5000   /* a bound, not a pause: what is waited for happens long before */
#define NEVER_MS 60000 /* a time that a test must not reach */
#define ALWAYS (-1)
#define MIB (1u << 20)

/* What the completion thread said. */
struct heard {
    atomic_uint n;
    int code;
    bool pending, shared;
};

#define SUBMISSIONS 20

/* ---- fixture: a fake Redis, a directory, at most one open store ---- */

struct fixture {
    struct scratch scratch;
    char copy[96]; /* where a crash leaves the directory */
    struct hf_options opts;
    struct hf *store;                /* NULL while closed */
    uint64_t answered_lsn;           /* of the newest entry before an answer of Redis's */
    struct heard heard[SUBMISSIONS]; /* here, because a failed test leaves its frame before they are heard */
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    if (!f)
        return -1;
    scratch_make(&f->scratch);
    snprintf(f->copy, sizeof(f->copy), "%s/copy", f->scratch.dir);
    /* Nothing happens by the clock: a checkpoint comes when it is asked for, a write is pending after a moment. */
    f->opts = (struct hf_options){
        .redis = "fake",
        .redis_timeout_ms = 500,
        .redis_backoff_max_ms = 50,
        .checkpoint_interval_ms = NEVER_MS,
        .max_disk_bytes = 1u << 30,
    };
    fake_redis_start();
    *state = f;
    return 0;
}

static void open_dir(struct fixture *f, const char *dir)
{
    struct hf_parts parts = {hf__file_layer_real(), hf__clock_real(), fake_local_open, fake_redis_open};

    assert_ok(hf__store_open(dir, &f->opts, &parts, &f->store));
}

static void open_store(struct fixture *f)
{
    open_dir(f, f->scratch.store);
}

static void close_store(struct fixture *f)
{
    struct hf *store = f->store;

    f->store = NULL;
    assert_ok(hf_close(store));
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    fake_local_hold_commits(false);
    fake_local_fail_commits(0);
    for (int kind = 0; kind < FAKE_REQUESTS; kind++)
        fake_redis_thaw((enum fake_request)kind);
    (void)hf_close(f->store); /* open only after a failure, which has been told */
    fake_redis_stop();
    scratch_remove(&f->scratch);
    free(f);
    return 0;
}

/* ---- waiting ---- */

struct count_wait {
    enum fake_request kind;
    unsigned n;
};

static bool was_asked(void *ctx)
{
    struct count_wait *w = ctx;

    return fake_redis_asked(w->kind) >= w->n;
}

/* Until the transport has been handed n requests of this kind. */
static void wait_asked(enum fake_request kind, unsigned n)
{
    struct count_wait w = {.kind = kind, .n = n};

    if (!wait_until(was_asked, &w, SOON_MS))
        fail_msg("%u requests of kind %d were sent; expected %u", fake_redis_asked(kind), (int)kind, n);
}

/* Another program writes "k", and its copy is asked for and does not come before the thaw. */
static void freeze_the_fetch_of_k(void)
{
    unsigned asked = fake_redis_asked(FAKE_FETCH);

    fake_redis_freeze(FAKE_FETCH);
    fake_redis_foreign_set("k", "theirs", 0);
    wait_asked(FAKE_FETCH, asked + 1);
}

static void wait_state(struct hf *store, enum hf_link_state state)
{
    struct hf_status status;

    if (wait_link(store, state, SOON_MS))
        return;
    assert_ok(hf_status(store, &status));
    fail_msg("the link is %s (%s); expected %s", hf_link_text(status.link), status.link_reason,
             hf_link_text(state));
}

static bool commit_is_held(void *ctx)
{
    (void)ctx;
    return fake_local_held_commits() > 0;
}

static bool checkpoint_is_asked_for(void *ctx)
{
    struct hf_checkpointer *cp = &((struct hf *)ctx)->checkpoint;
    bool requested;

    pthread_mutex_lock(&cp->mutex);
    requested = cp->requested;
    pthread_mutex_unlock(&cp->mutex);
    return requested;
}

static bool something_is_parked(void *ctx)
{
    return atomic_load(&((struct hf *)ctx)->parked_left) > 0;
}

struct lsn_wait {
    struct hf *store;
    uint64_t lsn;
};

static bool is_covered(void *ctx)
{
    struct lsn_wait *w = ctx;

    return atomic_load(&w->store->covered_lsn) >= w->lsn;
}

/* ---- writing without waiting ---- */

static void hear(void *ctx, const struct hf_result *result)
{
    struct heard *heard = ctx;

    heard->code = result->code;
    heard->pending = result->pending;
    heard->shared = result->shared;
    atomic_fetch_add(&heard->n, 1);
}

static bool has_heard(void *ctx)
{
    return atomic_load(&((struct heard *)ctx)->n) > 0;
}

static void ignore(void *ctx, const struct hf_result *result)
{
    (void)ctx;
    (void)result;
}

static void submit(struct hf *store, const struct hf_op *op)
{
    assert_ok(hf_submit(store, op, ignore, NULL));
}

static void submit_set(struct hf *store, const char *key, struct hf_slice value)
{
    submit(store, &(struct hf_op){.kind = HF_OP_SET, .key = s_(key), .value = value});
}

static void incr(struct hf *store, const char *key)
{
    int64_t number;

    assert_ok(hf_incr(store, s_(key), 1, &number, NULL));
}

static struct hf_status status_of(struct hf *store)
{
    struct hf_status status;

    assert_ok(hf_status(store, &status));
    return status;
}

static struct hf_result read_of(struct hf *store, const char *key)
{
    struct hf_result result;

    assert_ok(hf_exists(store, s_(key), &result));
    return result;
}

static bool nothing_is_pending(void *ctx)
{
    return !read_of(ctx, "k").pending;
}

static void assert_redis_holds(const char *key, const char *value)
{
    if (!fake_redis_holds(key, value))
        fail_msg("Redis does not hold '%s' under '%s'", value ? value : "nothing", key);
}

/* ---- crashing: the directory as it is now, while its owner goes on ---- */

static const char *copy_from, *copy_to; /* nftw has no context */

static int copy_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    char to[256], bytes[65536];
    ssize_t n = 0;
    int in, out;

    (void)ftw;
    snprintf(to, sizeof(to), "%s%s", copy_to, path + strlen(copy_from));
    if (type == FTW_D)
        return mkdir(to, 0700);
    if (type != FTW_F)
        return -1;
    in = open(path, O_RDONLY | O_CLOEXEC);
    out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, st->st_mode & 0777);
    while (in >= 0 && out >= 0 && (n = read(in, bytes, sizeof(bytes))) > 0 && write(out, bytes, (size_t)n) == n)
        ;
    if (in >= 0)
        close(in);
    if (out >= 0)
        close(out);
    return in < 0 || out < 0 || n != 0 ? -1 : 0;
}

static void copy_dir(const char *from, const char *to)
{
    copy_from = from;
    copy_to = to;
    assert_int_equal(nftw(from, copy_one, 16, FTW_PHYS), 0);
}

/* What the owner does from now on does not count, and Redis does not see it. */
static void close_the_crashed(struct fixture *f)
{
    fake_redis_set_away(true);
    fake_local_fail_commits(0);
    close_store(f);
}

static void crash(struct fixture *f)
{
    copy_dir(f->scratch.store, f->copy);
    close_the_crashed(f);
}

/* ---- checkpoints that fail ---- */

/* A generation is frozen and cannot be stored. */
static void fail_a_checkpoint(struct fixture *f)
{
    put(f->store, "z", "1");
    fake_local_fail_commits(ALWAYS);
    assert_code(HF_EFULL, hf_checkpoint(f->store));
}

static void test_link__increments_made_while_checkpoints_fail_are_applied_once(void **state)
{
    struct fixture *f = *state;

    fake_redis_set_away(true);
    open_store(f);
    fail_a_checkpoint(f);
    for (int i = 0; i < 3; i++)
        incr(f->store, "n");
    fake_redis_set_away(false);
    wait_asked(FAKE_LOG_PAGE, 1); /* from here on writes are live, and wait for a checkpoint */
    incr(f->store, "n");
    fake_local_fail_commits(0);
    wait_state(f->store, HF_LINK_ONLINE);
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_redis_holds("n", "4");
    assert_int_equal(fake_redis_applied("n"), 4);
    assert_value(f->store, "n", "4");
    close_store(f);
}

static void test_link__a_checkpoint_after_a_failed_one_covers_the_callers_write(void **state)
{
    struct fixture *f = *state;
    struct hf_result result;

    f->opts.redis = NULL;
    open_store(f);
    fail_a_checkpoint(f);
    assert_ok(hf_set(f->store, s_("a"), s_("1"), NULL, &result));
    fake_local_fail_commits(0);
    assert_ok(hf_checkpoint(f->store));
    assert_true(status_of(f->store).checkpoint_lsn >= result.lsn);
    close_store(f);
}

/* ---- refusals ---- */

static void test_link__a_ttl_behind_a_refused_set_does_not_settle_it(void **state)
{
    struct fixture *f = *state;
    int64_t deadline_ms = wall_ms() + 3600000;

    open_store(f);
    wait_state(f->store, HF_LINK_ONLINE);
    fake_redis_freeze(FAKE_GROUP);
    submit_set(f->store, "k", s_("new"));
    wait_asked(FAKE_GROUP, 1);
    submit(f->store, &(struct hf_op){.kind = HF_OP_EXPIRE_AT, .key = s_("k"), .deadline_ms = deadline_ms});
    fake_redis_script(FAKE_GROUP, FAKE_OOM, 1);
    fake_redis_thaw(FAKE_GROUP);
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_redis_holds("k", "new");
    assert_in_range(fake_redis_deadline_ms("k"), deadline_ms - 10000, deadline_ms + 10000);
    assert_int_equal(status_of(f->store).pending_keys, 0);
    close_store(f);
}

/* ---- batches ---- */

/* Values of 63 MiB wait behind one that is out; with `q`, 200 kB are left below the queue's bound of 64 MiB. */
static void fill_queue(struct hf *store, char *text)
{
    char key[8];

    fake_redis_freeze(FAKE_GROUP);
    for (unsigned i = 0; i < 64; i++) {
        snprintf(key, sizeof(key), "p%u", i);
        submit_set(store, key, (struct hf_slice){text, MIB - 1});
        if (i == 0)
            wait_asked(FAKE_GROUP, 1);
    }
    submit_set(store, "q", (struct hf_slice){text, 900000});
}

static void test_link__a_batch_is_not_torn_at_the_bound_of_the_queue(void **state)
{
    struct fixture *f = *state;
    char *text = malloc(MIB);
    struct hf_batch *batch;

    assert_non_null(text);
    memset(text, 'x', MIB);
    open_store(f);
    wait_state(f->store, HF_LINK_ONLINE);
    fill_queue(f->store, text);
    assert_ok(hf_batch_new(f->store, &batch));
    for (unsigned i = 0; i < 3; i++)
        assert_ok(hf_batch_set(batch, s_((const char *[]){"b1", "b2", "b3"}[i]), hf__slice(text, 200000), NULL));
    assert_ok(hf_batch_commit(batch, NULL));
    hf_batch_free(batch);
    fake_redis_thaw(FAKE_GROUP);
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_int_equal(fake_redis_torn_units(), 0);
    text[200000] = '\0';
    assert_redis_holds("b1", text);
    assert_redis_holds("b2", text);
    assert_redis_holds("b3", text);
    assert_int_equal(fake_redis_asked(FAKE_LANE), 1);
    close_store(f);
    free(text);
}

/* ---- crashes ---- */

/* Rows of "big", which fills a group of its own, and of "k". */
static void leave_two_rows(struct fixture *f)
{
    char *text = malloc(MIB + 1);

    assert_non_null(text);
    memset(text, 'x', MIB);
    text[MIB] = '\0';
    put(f->store, "big", text);
    put(f->store, "k", "old");
    assert_ok(hf_checkpoint(f->store));
    free(text);
}

static void test_link__a_write_that_went_as_its_row_is_replayed_after_a_crash(void **state)
{
    struct fixture *f = *state;

    fake_redis_set_away(true);
    open_store(f);
    leave_two_rows(f);
    fake_redis_freeze(FAKE_GROUP);
    fake_redis_set_away(false);
    wait_asked(FAKE_GROUP, 1); /* "big" is out */
    fake_local_fail_commits(ALWAYS);
    put(f->store, "k", "NEW");
    fake_redis_let(FAKE_GROUP, 1);
    wait_asked(FAKE_GROUP, 2); /* "k" is out as its row, and is never answered */
    for (int i = 0; i < 3; i++)
        put(f->store, "other", "1"); /* their headers say what is shared */
    crash(f);

    fake_redis_thaw(FAKE_GROUP);
    fake_redis_set_away(false);
    assert_redis_holds("k", NULL);
    open_dir(f, f->copy);
    wait_state(f->store, HF_LINK_ONLINE);
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_redis_holds("k", "NEW");
    assert_redis_holds("other", "1");
    close_store(f);
}

/* The row is applied, unheard, in a life that ends before a checkpoint has noted that it was sent. */
static void crash_behind_a_lost_answer(struct fixture *f)
{
    unsigned sent;

    open_store(f);
    wait_state(f->store, HF_LINK_ONLINE);
    put(f->store, "k", "base");
    fake_redis_set_away(true);
    wait_state(f->store, HF_LINK_OFFLINE);
    put(f->store, "k", "older");
    assert_ok(hf_checkpoint(f->store));
    sent = fake_redis_asked(FAKE_GROUP);
    fake_redis_script(FAKE_GROUP, FAKE_LOSE_ANSWER, 1);
    fake_redis_set_away(false);
    wait_asked(FAKE_GROUP, sent + 1);
    wait_state(f->store, HF_LINK_OFFLINE);
    assert_redis_holds("k", "older");
    crash(f);
}

/* The journal alone remembers it, and not whether Redis has it. */
static void test_link__a_live_write_from_before_a_crash_is_no_conflict_for_the_next(void **state)
{
    struct fixture *f = *state;

    f->opts.checkpoint_interval_ms = 60000;
    open_store(f);
    wait_state(f->store, HF_LINK_ONLINE);
    put(f->store, "k", "base");
    assert_ok(hf_checkpoint(f->store));
    fake_redis_script(FAKE_GROUP, FAKE_LOSE_ANSWER, 1);
    put(f->store, "k", "older");
    wait_state(f->store, HF_LINK_OFFLINE);
    crash(f);

    open_dir(f, f->copy);
    put(f->store, "k", "newer");
    assert_ok(hf_checkpoint(f->store));
    fake_redis_set_away(false);
    wait_state(f->store, HF_LINK_ONLINE);
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_redis_holds("k", "newer");
    assert_int_equal(status_of(f->store).conflicts, 0);
    close_store(f);
}

static void test_link__an_older_value_of_ours_from_before_a_crash_is_no_conflict(void **state)
{
    struct fixture *f = *state;

    crash_behind_a_lost_answer(f);
    open_dir(f, f->copy);
    put(f->store, "k", "newer");
    assert_ok(hf_checkpoint(f->store)); /* the row is about both now */
    fake_redis_set_away(false);
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_redis_holds("k", "newer");
    assert_value(f->store, "k", "newer");
    assert_ok(hf_checkpoint(f->store));
    assert_int_equal(status_of(f->store).conflicts, 0);
    close_store(f);
}

static void test_link__a_parked_entry_survives_a_crash_before_the_checkpoint(void **state)
{
    struct fixture *f = *state;
    struct hf_status status;

    open_store(f);
    wait_state(f->store, HF_LINK_ONLINE);
    fake_local_fail_commits(ALWAYS);
    fake_redis_script(FAKE_GROUP, FAKE_REFUSE, 1);
    assert_code(HF_EREFUSED, hf_set(f->store, s_("k"), s_("v"), NULL, NULL));
    for (int i = 0; i < 3; i++)
        put(f->store, "other", "1"); /* their headers say what is shared */
    crash(f);

    open_dir(f, f->copy);
    assert_ok(hf_checkpoint(f->store));
    status = status_of(f->store);
    assert_int_equal(status.parked + read_of(f->store, "k").pending, 1);
    assert_false(read_of(f->store, "k").shared);
    close_store(f);
}

/* ---- submissions ---- */

static void submit_and_hear(struct hf *store, struct heard *heard)
{
    struct hf_op op = {.kind = HF_OP_SET, .key = s_("k"), .value = s_("v")};

    assert_ok(hf_submit(store, &op, hear, heard));
}

static void test_link__close_ends_while_checkpoints_fail_and_submissions_wait(void **state)
{
    struct fixture *f = *state;
    struct heard *heard = f->heard;
    struct hf *store;
    int64_t begun_ms;

    f->opts.redis_timeout_ms = NEVER_MS; /* the timeout is not what ends it */
    fake_redis_set_away(true);
    open_store(f);
    fail_a_checkpoint(f);
    fake_redis_set_away(false);
    wait_asked(FAKE_LOG_PAGE, 1);
    for (size_t i = 0; i < SUBMISSIONS; i++)
        submit_and_hear(f->store, &heard[i]);
    begun_ms = wall_ms();
    store = f->store;
    f->store = NULL;
    assert_code(HF_EFULL, hf_close(store));
    assert_true(wall_ms() - begun_ms < SOON_MS);
    for (size_t i = 0; i < SUBMISSIONS; i++) {
        assert_int_equal(atomic_load(&heard[i].n), 1);
        assert_int_equal(heard[i].code, 0);
        assert_true(heard[i].pending);
    }
    fake_local_fail_commits(0);
    open_store(f);
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_redis_holds("k", "v");
    close_store(f);
}

static void test_link__a_submission_is_pending_after_the_timeout_when_redis_is_frozen(void **state)
{
    struct fixture *f = *state;
    struct heard *heard = &f->heard[0];

    open_store(f);
    wait_state(f->store, HF_LINK_ONLINE);
    fake_redis_freeze(FAKE_GROUP);
    submit_and_hear(f->store, heard);
    assert_true(wait_until(has_heard, heard, SOON_MS));
    assert_int_equal(heard->code, 0);
    assert_true(heard->pending);
    assert_false(heard->shared);
    fake_redis_thaw(FAKE_GROUP);
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_redis_holds("k", "v");
    close_store(f);
    assert_int_equal(atomic_load(&heard->n), 1);
}

/* The mark alone tells. */
static const struct hf_namespace no_log = {.prefix = "", .change_log_off = true};

/* ---- old copies of the directory ---- */

/* The link comes back again and again, and each time nothing but the epoch and the log is asked for. */
static void assert_held_and_silent(struct fixture *f)
{
    unsigned groups = fake_redis_asked(FAKE_GROUP), lanes = fake_redis_asked(FAKE_LANE);

    wait_state(f->store, HF_LINK_HELD);
    assert_non_null(strstr(status_of(f->store).link_reason, "old copy"));
    put(f->store, "new", "1");
    wait_asked(FAKE_EPOCH, fake_redis_asked(FAKE_EPOCH) + 3);
    assert_int_equal(fake_redis_asked(FAKE_GROUP), groups);
    assert_int_equal(fake_redis_asked(FAKE_LANE), lanes);
    assert_int_equal(status_of(f->store).settled_by_log, 0);
    assert_true(read_of(f->store, "new").pending);
}

static void test_link__a_store_older_than_its_mark_is_held(void **state)
{
    struct fixture *f = *state;

    f->opts.namespaces = &no_log;
    f->opts.n_namespaces = 1;
    fake_redis_set_away(true);
    open_store(f);
    put(f->store, "k", "v");
    incr(f->store, "n");
    close_store(f);
    copy_dir(f->scratch.store, f->copy);
    fake_redis_set_away(false);
    open_store(f);
    wait_state(f->store, HF_LINK_ONLINE);
    incr(f->store, "n");
    close_store(f);

    fake_redis_lose_tokens(); /* which tell of a copy first */
    open_dir(f, f->copy);
    assert_held_and_silent(f);
    assert_true(read_of(f->store, "k").pending);
    assert_true(read_of(f->store, "n").pending);
    assert_redis_holds("n", "2");
    close_store(f);
}

static void test_link__a_store_older_than_its_log_is_held(void **state)
{
    struct fixture *f = *state;

    open_store(f);
    wait_state(f->store, HF_LINK_ONLINE);
    close_store(f);
    copy_dir(f->scratch.store, f->copy);
    open_store(f);
    wait_state(f->store, HF_LINK_ONLINE);
    put(f->store, "k", "v");
    close_store(f);

    fake_redis_lose_tokens();
    open_dir(f, f->copy);
    assert_held_and_silent(f);
    close_store(f);
}

/* ---- doubt ---- */

/* Stored, sent, and then its mark is gone. */
static void lose_answer_and_mark(struct fixture *f, unsigned in_doubt)
{
    struct hf_status status;

    open_store(f);
    wait_state(f->store, HF_LINK_ONLINE);
    incr(f->store, "n"); /* the mark is known */
    fake_redis_set_away(true);
    wait_state(f->store, HF_LINK_OFFLINE);
    incr(f->store, "n");
    assert_ok(hf_checkpoint(f->store)); /* stored before it is sent */
    fake_redis_script(FAKE_LANE, FAKE_LOSE_ANSWER, 1);
    fake_redis_set_away(false);
    wait_asked(FAKE_LANE, 2);
    wait_state(f->store, HF_LINK_OFFLINE);
    fake_redis_set_mark(0);
    incr(f->store, "n"); /* never sent */
    fake_redis_set_away(false);
    wait_state(f->store, HF_LINK_ONLINE);
    assert_ok(hf_drain(f->store, SOON_MS));
    status = status_of(f->store);
    assert_int_equal(status.in_doubt, in_doubt);
    assert_int_equal(status.parked, in_doubt);
    assert_int_equal(status.pending_ops, 0);
    assert_redis_holds("n", "3");
    assert_int_equal(fake_redis_applied("n"), 3);
    close_store(f);
}

/* And with it the one that had been acknowledged. */
static void test_link__a_lane_entry_that_may_have_been_sent_is_in_doubt_without_mark_and_log(void **state)
{
    struct fixture *f = *state;

    f->opts.namespaces = &no_log;
    f->opts.n_namespaces = 1;
    lose_answer_and_mark(f, 2);
}

static void test_link__a_lane_entry_that_the_log_names_has_ended_without_the_mark(void **state)
{
    lose_answer_and_mark(*state, 0);
}

/* From what the crash has left. */
static void come_back_as_it_was(struct fixture *f)
{
    fake_redis_set_away(false);
    open_dir(f, f->copy);
    wait_state(f->store, HF_LINK_ONLINE);
    assert_ok(hf_drain(f->store, SOON_MS));
}

static void test_link__a_lane_entry_sent_before_a_crash_is_in_doubt_without_mark_and_log(void **state)
{
    struct fixture *f = *state;

    f->opts.namespaces = &no_log;
    f->opts.n_namespaces = 1;
    open_store(f);
    wait_state(f->store, HF_LINK_ONLINE);
    incr(f->store, "n");
    assert_ok(hf_checkpoint(f->store)); /* the mark is known to the next process */
    fake_redis_set_away(true);
    wait_state(f->store, HF_LINK_OFFLINE);
    incr(f->store, "n");
    assert_ok(hf_checkpoint(f->store));
    fake_redis_script(FAKE_LANE, FAKE_LOSE_ANSWER, 1);
    fake_redis_set_away(false);
    wait_asked(FAKE_LANE, 2);
    wait_state(f->store, HF_LINK_OFFLINE);
    crash(f);

    fake_redis_set_mark(0);
    come_back_as_it_was(f);
    assert_int_equal(status_of(f->store).in_doubt, 2);
    assert_redis_holds("n", "2");
    assert_int_equal(fake_redis_applied("n"), 2);
    close_store(f);
}

/* Redis goes back to a moment behind the last checkpoint, so that nothing in the cursors says so. */
static void test_link__an_increment_in_the_journal_that_redis_has_lost_is_sent_again(void **state)
{
    struct fixture *f = *state;

    open_store(f);
    wait_state(f->store, HF_LINK_ONLINE);
    incr(f->store, "n");
    assert_ok(hf_checkpoint(f->store));
    incr(f->store, "n");
    fake_redis_snapshot();
    incr(f->store, "n");
    assert_ok(hf_drain(f->store, SOON_MS));
    put(f->store, "k", "v"); /* the journal says that the increments before it were acknowledged */
    crash(f);

    fake_redis_restore();
    come_back_as_it_was(f);
    assert_redis_holds("n", "3");
    assert_value(f->store, "n", "3");
    assert_int_equal(status_of(f->store).in_doubt, 0);
    close_store(f);
}

/* The answer to it is all that the journal says of its end. */
static bool is_answered(void *ctx)
{
    struct fixture *f = ctx;

    return hf__journal_last_lsn(f->store->journal) > f->answered_lsn;
}

/* Nothing else says that it was acknowledged: the crash comes between the answer's entry and the end of what it answers. */
static void test_link__an_increment_whose_answer_the_journal_has_is_sent_again(void **state)
{
    struct fixture *f = *state;
    unsigned asked;

    open_store(f);
    wait_state(f->store, HF_LINK_ONLINE);
    incr(f->store, "n");
    assert_ok(hf_checkpoint(f->store));
    fake_redis_freeze(FAKE_FETCH);
    fake_redis_foreign_set("n", "10", 0);
    fake_redis_snapshot();
    asked = fake_redis_asked(FAKE_LANE);
    fake_redis_freeze(FAKE_LANE);
    submit(f->store, &(struct hf_op){.kind = HF_OP_INCR, .key = s_("n"), .delta = 1});
    wait_asked(FAKE_LANE, asked + 1);
    f->answered_lsn = hf__journal_last_lsn(f->store->journal);
    pthread_mutex_lock(&f->store->checkpoint.mutex); /* without it nothing ends */
    fake_redis_thaw(FAKE_LANE);
    assert_true(wait_until(is_answered, f, SOON_MS));
    assert_ok(hf_wait_durable(f->store, hf__journal_last_lsn(f->store->journal)));
    copy_dir(f->scratch.store, f->copy);
    pthread_mutex_unlock(&f->store->checkpoint.mutex);
    close_the_crashed(f);

    fake_redis_thaw(FAKE_FETCH);
    fake_redis_restore();
    come_back_as_it_was(f);
    assert_redis_holds("n", "11");
    assert_int_equal(status_of(f->store).in_doubt, 0);
    close_store(f);
}

/* What was acknowledged since the last checkpoint, and is known from the journal alone: `k`, and that `gone` is. */
static void acknowledge_and_crash(struct fixture *f)
{
    open_store(f);
    wait_state(f->store, HF_LINK_ONLINE);
    put(f->store, "k", "1");
    put(f->store, "gone", "1");
    assert_ok(hf_checkpoint(f->store));
    put(f->store, "k", "2");
    fake_redis_snapshot();
    put(f->store, "k", "3");
    assert_ok(hf_delete(f->store, s_("gone"), NULL));
    assert_ok(hf_drain(f->store, SOON_MS));
    put(f->store, "last", "1"); /* its group's header says that the others were acknowledged */
    assert_ok(hf_drain(f->store, SOON_MS));
    crash(f);
}

static void assert_given_back(struct fixture *f, bool rolled_back)
{
    come_back_as_it_was(f);
    assert_redis_holds("k", "3");
    assert_redis_holds("gone", NULL);
    assert_redis_holds("last", "1");
    assert_value(f->store, "k", "3");
    assert_int_equal(status_of(f->store).rollbacks > 0, rolled_back);
    close_store(f);
}

static void test_link__a_change_in_the_journal_that_redis_has_lost_is_sent_again(void **state)
{
    struct fixture *f = *state;

    acknowledge_and_crash(f);
    fake_redis_restore();
    assert_given_back(f, true);
}

static void test_link__a_change_in_the_journal_that_redis_holds_is_no_rollback(void **state)
{
    struct fixture *f = *state;

    acknowledge_and_crash(f);
    assert_given_back(f, false);
}

/* By the second opening no journal tells of it any more. */
static void test_link__a_change_that_redis_has_lost_is_known_over_two_crashes(void **state)
{
    struct fixture *f = *state;

    acknowledge_and_crash(f);
    open_dir(f, f->copy);
    assert_ok(hf_checkpoint(f->store));
    close_store(f);
    fake_redis_restore();
    assert_given_back(f, true);
}

/* A copy that is still to be fetched keeps the cursor in the log, not what was acknowledged. */
static void test_link__a_rollback_of_a_change_is_found_after_a_crash_while_a_copy_was_fetched(void **state)
{
    struct fixture *f = *state;

    open_store(f);
    wait_state(f->store, HF_LINK_ONLINE);
    put(f->store, "k", "v");
    freeze_the_fetch_of_k();
    fake_redis_snapshot();
    put(f->store, "other", "v");
    assert_ok(hf_checkpoint(f->store));
    crash(f);

    fake_redis_thaw(FAKE_FETCH);
    fake_redis_restore();
    for (int i = 0; i < 8; i++)
        fake_redis_other_node("third", "theirs", 0, 0);
    come_back_as_it_was(f);
    assert_redis_holds("other", "v");
    close_store(f);
}

/* A copy that is still to be fetched keeps the cursor in the log, not the mark. */
static void test_link__a_rollback_is_found_after_a_crash_while_a_copy_was_fetched(void **state)
{
    struct fixture *f = *state;

    open_store(f);
    wait_state(f->store, HF_LINK_ONLINE);
    put(f->store, "k", "v");
    incr(f->store, "n");
    /* What a script writes is told to its own caller, too, and fetched: that is not what is to be frozen. */
    assert_ok(hf_hear(f->store, SOON_MS));
    assert_ok(hf_drain(f->store, SOON_MS));
    freeze_the_fetch_of_k();
    incr(f->store, "n");
    fake_redis_snapshot();
    incr(f->store, "n");
    assert_ok(hf_checkpoint(f->store));
    crash(f);

    fake_redis_thaw(FAKE_FETCH);
    fake_redis_restore();
    come_back_as_it_was(f);
    assert_redis_holds("n", "3");
    close_store(f);
}

/* The older copy has no mark of ours at all, and others have written to its log. Which place in the log is known here, a copy
 * that is still to be fetched has kept back. */
static void test_link__a_rollback_to_before_our_first_increment_is_found_after_a_crash(void **state)
{
    struct fixture *f = *state;

    open_store(f);
    wait_state(f->store, HF_LINK_ONLINE);
    put(f->store, "k", "v");
    put(f->store, "n", "0");
    freeze_the_fetch_of_k();
    fake_redis_snapshot();
    incr(f->store, "n");
    incr(f->store, "n");
    assert_ok(hf_checkpoint(f->store));
    crash(f);

    fake_redis_thaw(FAKE_FETCH);
    fake_redis_restore();
    for (int i = 0; i < 8; i++)
        fake_redis_other_node("other", "theirs", 0, 0);
    fake_redis_set_away(false);
    open_dir(f, f->copy);
    wait_state(f->store, HF_LINK_ONLINE);
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_redis_holds("n", "2");
    assert_int_equal(status_of(f->store).in_doubt, 0);
    close_store(f);
}

/* Somebody takes the mark away, while Redis has what it covers; `n_left` entries of the log stay. */
static void lose_the_mark(struct fixture *f, void (*lose_log)(void), unsigned in_doubt)
{
    char mark[64];

    open_store(f);
    wait_state(f->store, HF_LINK_ONLINE);
    incr(f->store, "n");
    incr(f->store, "n");
    snprintf(mark, sizeof(mark), "_hf::mark:%s", status_of(f->store).node);
    fake_redis_set_away(true);
    wait_state(f->store, HF_LINK_OFFLINE);
    fake_redis_foreign_set(mark, "0", 0);
    for (int i = 0; i < 8; i++)
        fake_redis_other_node("other", "theirs", 0, 0);
    lose_log();
    fake_redis_set_away(false);
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_redis_holds("n", "2");
    incr(f->store, "n");
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_ok(hf_checkpoint(f->store));
    assert_redis_holds("n", "3");
    assert_int_equal(status_of(f->store).in_doubt, in_doubt);
    close_store(f);
}

static void lose_no_log(void)
{
}

static void lose_our_entries(void)
{
    fake_redis_trim_log(4);
}

static void test_link__a_mark_that_is_gone_alone_is_no_rollback(void **state)
{
    lose_the_mark(*state, lose_no_log, 0);
}

static void test_link__what_a_mark_covered_that_is_gone_is_in_doubt_where_the_log_was_trimmed(void **state)
{
    lose_the_mark(*state, lose_our_entries, 2);
}

static void test_link__what_a_mark_covered_that_is_gone_with_the_log_is_in_doubt(void **state)
{
    lose_the_mark(*state, fake_redis_lose_log, 2);
}

static void test_link__lane_entries_of_a_store_that_never_met_redis_are_applied(void **state)
{
    struct fixture *f = *state;

    fake_redis_set_away(true);
    open_store(f);
    incr(f->store, "n");
    assert_ok(hf_checkpoint(f->store));
    incr(f->store, "n");
    close_store(f);
    open_store(f);
    incr(f->store, "n");
    fake_redis_set_away(false);
    wait_state(f->store, HF_LINK_ONLINE);
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_int_equal(status_of(f->store).parked, 0);
    assert_redis_holds("n", "3");
    assert_int_equal(fake_redis_applied("n"), 3);
    close_store(f);
}

/* ---- what a power cut took from us ---- */

static const struct hf_namespace by_log = {.prefix = "", .writers = HF_WRITERS_HOLDFAST};

/* Redis was faster than the disk: it has a write that this store has lost, and others may have read it. */
static void lose_the_tail(struct fixture *f)
{
    open_store(f);
    wait_state(f->store, HF_LINK_ONLINE);
    put(f->store, "k", "old");
    assert_ok(hf_checkpoint(f->store));
    copy_dir(f->scratch.store, f->copy); /* what the disk had */
    put(f->store, "k", "new");
    fake_redis_set_away(true);
    close_store(f);
}

static void test_link__A9_what_a_power_cut_took_comes_back_from_redis(void **state)
{
    struct fixture *f = *state;

    f->opts.namespaces = &by_log; /* nothing else would be compared */
    f->opts.n_namespaces = 1;
    lose_the_tail(f);
    come_back_as_it_was(f);
    assert_value(f->store, "k", "new");
    close_store(f);
}

static void test_link__what_a_power_cut_took_supersedes_the_row_that_it_left(void **state)
{
    struct fixture *f = *state;

    open_store(f);
    wait_state(f->store, HF_LINK_ONLINE);
    put(f->store, "k", "base");
    fake_redis_set_away(true);
    wait_state(f->store, HF_LINK_OFFLINE);
    put(f->store, "k", "old");
    assert_ok(hf_checkpoint(f->store));
    copy_dir(f->scratch.store, f->copy); /* what the disk had */
    put(f->store, "k", "new");
    fake_redis_set_away(false);
    assert_ok(hf_drain(f->store, SOON_MS));
    fake_redis_set_away(true);
    close_store(f);
    come_back_as_it_was(f);
    assert_value(f->store, "k", "new");
    assert_redis_holds("k", "new");
    assert_int_equal(status_of(f->store).settled_by[HF_OUTCOME_SUPERSEDED], 1);
    assert_int_equal(status_of(f->store).settled_by_log, 1);
    close_store(f);
}

/* What the next life writes has higher numbers: they say nothing of those before them. */
static void test_link__A9_what_a_power_cut_took_comes_back_after_another_life(void **state)
{
    struct fixture *f = *state;

    f->opts.namespaces = &by_log;
    f->opts.n_namespaces = 1;
    lose_the_tail(f);
    open_dir(f, f->copy);
    put(f->store, "other", "v");
    close_store(f);
    come_back_as_it_was(f);
    assert_value(f->store, "k", "new");
    close_store(f);
}

/* A write of this life is based on what was before the lost one, and Redis holds that. */
static void test_link__A7_what_a_power_cut_took_is_no_conflict_with_what_comes_after(void **state)
{
    struct fixture *f = *state;

    lose_the_tail(f);
    open_dir(f, f->copy);
    put(f->store, "k", "newer");
    fake_redis_set_away(false);
    wait_state(f->store, HF_LINK_ONLINE);
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_ok(hf_checkpoint(f->store));
    assert_redis_holds("k", "newer");
    assert_value(f->store, "k", "newer");
    assert_int_equal(status_of(f->store).conflicts, 0);
    close_store(f);
}

/* The row's value is older than the lost one, whatever number its life has. */
static void change_the_life_of_an_older_value(struct fixture *f)
{
    struct hf_result result;

    open_store(f);
    wait_state(f->store, HF_LINK_ONLINE);
    fake_redis_set_away(true);
    wait_state(f->store, HF_LINK_OFFLINE);
    put(f->store, "k", "old");
    assert_ok(hf_checkpoint(f->store));
    copy_dir(f->scratch.store, f->copy); /* what the disk had */
    put(f->store, "k", "new");
    fake_redis_set_away(false);
    assert_ok(hf_drain(f->store, SOON_MS));
    fake_redis_set_away(true);
    close_store(f);
    open_dir(f, f->copy);
    assert_ok(hf_expire(f->store, s_("k"), 100000, &result));
    assert_ok(hf_checkpoint(f->store));
    fake_redis_set_away(false);
    wait_state(f->store, HF_LINK_ONLINE);
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_redis_holds("k", "new");
    assert_true(fake_redis_deadline_ms("k") > 0);
    assert_value(f->store, "k", "new");
    assert_int_equal(status_of(f->store).conflicts, 0);
    close_store(f);
}

static void test_link__what_a_power_cut_took_is_not_undone_by_a_change_of_an_older_values_life(void **state)
{
    change_the_life_of_an_older_value(*state);
}

/* Nothing is compared there that the log names nobody for. */
static void
test_link__in_a_log_what_a_power_cut_took_is_not_undone_by_a_change_of_an_older_values_life(void **state)
{
    struct fixture *f = *state;

    f->opts.namespaces = &by_log;
    f->opts.n_namespaces = 1;
    change_the_life_of_an_older_value(f);
}

static bool is_gone(void *ctx)
{
    struct hf_result result;

    return hf_exists(ctx, s_("k"), &result) == HF_NOT_FOUND;
}

/* The copies have not been compared yet: where the log was read to by then says nothing. */
static void test_link__a_gap_in_the_log_is_met_again_after_a_crash_before_the_copies_are_compared(void **state)
{
    struct fixture *f = *state;
    unsigned asked;

    f->opts.namespaces = &by_log;
    f->opts.n_namespaces = 1;
    open_store(f);
    wait_state(f->store, HF_LINK_ONLINE);
    put(f->store, "k", "old");
    assert_ok(hf_drain(f->store, SOON_MS));
    close_store(f);
    fake_redis_foreign_delete("k"); /* by a node whose entry has been trimmed */
    fake_redis_other_node("another", "v", 0, 0);
    fake_redis_other_node("another", "w", 0, 0);
    fake_redis_trim_log(1);
    fake_redis_freeze(FAKE_EXAMINE);
    asked = fake_redis_asked(FAKE_EXAMINE);
    open_store(f);
    wait_asked(FAKE_EXAMINE, asked + 1);
    assert_ok(hf_checkpoint(f->store));
    crash(f);
    fake_redis_thaw(FAKE_EXAMINE);
    fake_redis_set_away(false);
    open_dir(f, f->copy);
    wait_state(f->store, HF_LINK_ONLINE);
    assert_true(wait_until(is_gone, f->store, SOON_MS));
    close_store(f);
}

static bool is_given_back(void *ctx)
{
    (void)ctx;
    return fake_redis_holds("k", "v");
}

/* The copy was being asked for again when all was flushed. */
static void test_link__what_a_flushed_redis_does_not_hold_is_no_reason_to_drop_the_copy(void **state)
{
    static const struct hf_namespace reseeding = {.prefix = "", .on_loss = HF_LOSS_RESEED};
    struct fixture *f = *state;
    unsigned asked;

    f->opts.namespaces = &reseeding;
    f->opts.n_namespaces = 1;
    open_store(f);
    wait_state(f->store, HF_LINK_ONLINE);
    put(f->store, "k", "v");
    assert_ok(hf_drain(f->store, SOON_MS));
    fake_redis_freeze(FAKE_FETCH);
    asked = fake_redis_asked(FAKE_FETCH);
    fake_redis_foreign_set("k", "v", 0); /* it is told, and fetched */
    wait_asked(FAKE_FETCH, asked + 1);
    fake_redis_wipe();
    fake_redis_thaw(FAKE_FETCH);
    assert_true(wait_until(is_given_back, NULL, SOON_MS));
    assert_value(f->store, "k", "v");
    close_store(f);
}

/* ---- exactly once ---- */

static void incr_with(struct fixture *f, enum fake_outcome outcome)
{
    unsigned asked = fake_redis_asked(FAKE_LANE);

    wait_state(f->store, HF_LINK_ONLINE);
    fake_redis_script(FAKE_LANE, outcome, 1);
    incr(f->store, "n");
    wait_asked(FAKE_LANE, asked + 1);
    if (outcome == FAKE_LOSE || outcome == FAKE_LOSE_ANSWER)
        wait_state(f->store, HF_LINK_OFFLINE);
    fake_redis_set_away(false);
    assert_ok(hf_drain(f->store, SOON_MS));
}

static void test_link__an_increment_is_applied_once_whatever_becomes_of_its_request(void **state)
{
    static const enum fake_outcome outcomes[] = {FAKE_APPLY, FAKE_OOM, FAKE_RETRY, FAKE_LOSE, FAKE_LOSE_ANSWER};
    size_t n = sizeof(outcomes) / sizeof(*outcomes);
    struct fixture *f = *state;

    open_store(f);
    for (size_t i = 0; i < n; i++) {
        incr_with(f, outcomes[i]);
        assert_int_equal(fake_redis_applied("n"), i + 1);
    }
    assert_redis_holds("n", "5");
    assert_value(f->store, "n", "5");
    close_store(f);
}

/* ---- what reads say ---- */

static void test_link__a_reader_says_that_a_row_is_pending(void **state)
{
    struct fixture *f = *state;
    struct hf_result result;

    fake_redis_set_away(true);
    open_store(f);
    put(f->store, "k", "v");
    close_store(f);
    f->opts.redis = NULL;
    f->opts.read_only = true;
    open_store(f);
    result = read_of(f->store, "k");
    assert_true(result.pending);
    assert_false(result.shared);
    assert_int_equal(result.origin, HF_ORIGIN_PENDING);
    close_store(f);
}

static void test_link__what_was_refused_is_neither_shared_nor_pending(void **state)
{
    struct fixture *f = *state;
    struct hf_result result;

    open_store(f);
    wait_state(f->store, HF_LINK_ONLINE);
    fake_redis_script(FAKE_GROUP, FAKE_REFUSE, 1);
    assert_code(HF_EREFUSED, hf_set(f->store, s_("k"), s_("v"), NULL, NULL));
    result = read_of(f->store, "k");
    assert_false(result.shared);
    assert_false(result.pending);
    assert_ok(hf_checkpoint(f->store));
    result = read_of(f->store, "k");
    assert_false(result.shared);
    assert_false(result.pending);
    assert_int_equal(status_of(f->store).parked, 1);
    close_store(f);
}

struct checkpoint {
    struct hf *store;
    uint64_t number;
};

static bool has_ended(void *ctx)
{
    struct checkpoint *checkpoint = ctx;

    return hf__checkpoint_ended(checkpoint->store, checkpoint->number);
}

static bool a_commit_is_held(void *ctx)
{
    (void)ctx;
    return fake_local_held_commits() > 0;
}

static bool is_refused(void *ctx)
{
    return !read_of(ctx, "k").pending;
}

static bool other_is_theirs(void *ctx)
{
    struct hf_buf value = {0};
    bool is_theirs;

    assert_ok(hf_get(ctx, s_("other"), &value, NULL));
    is_theirs = hf__slice_eq(hf__slice(value.data, value.len), s_("theirs"));
    hf_buf_release(&value);
    return is_theirs;
}

/* A checkpoint has stored it as pending, and the next one, which is to say that it was refused, waits. */
static void refuse_what_is_stored(struct fixture *f)
{
    unsigned asked = fake_redis_asked(FAKE_GROUP);

    fake_redis_freeze(FAKE_GROUP);
    submit_set(f->store, "k", s_("refused"));
    wait_asked(FAKE_GROUP, asked + 1);
    assert_ok(hf_checkpoint(f->store));
    fake_local_hold_commits(true);
    fake_redis_script(FAKE_GROUP, FAKE_REFUSE, 1);
    fake_redis_thaw(FAKE_GROUP);
    assert_true(wait_until(is_refused, f->store, SOON_MS));
}

static void test_link__what_was_refused_as_stored_stays_and_is_not_shared(void **state)
{
    struct fixture *f = *state;
    unsigned asked;

    open_store(f);
    wait_state(f->store, HF_LINK_ONLINE);
    put(f->store, "other", "v");
    refuse_what_is_stored(f);
    assert_false(read_of(f->store, "k").shared);
    asked = fake_redis_asked(FAKE_FETCH);
    fake_redis_foreign_set("k", "theirs", 0);
    fake_redis_foreign_set("other", "theirs", 0); /* which is told behind it */
    assert_true(wait_until(other_is_theirs, f->store, SOON_MS));
    assert_value(f->store, "k", "refused");
    assert_int_equal(fake_redis_asked(FAKE_FETCH), asked + 1);
    fake_local_hold_commits(false);
    assert_ok(hf_checkpoint(f->store));
    assert_value(f->store, "k", "refused");
    assert_false(read_of(f->store, "k").shared);
    close_store(f);
}

/* The commit that stores the refusal is under way; a look that began before it needs it still. */
static void test_link__what_was_refused_as_stored_is_known_behind_a_life(void **state)
{
    struct fixture *f = *state;
    struct checkpoint held;
    struct hf_result refused, life;

    open_store(f);
    wait_state(f->store, HF_LINK_ONLINE);
    put(f->store, "k", "old");
    refuse_what_is_stored(f);
    refused = read_of(f->store, "k");
    assert_true(wait_until(a_commit_is_held, NULL, SOON_MS));
    held = (struct checkpoint){.store = f->store, .number = hf__checkpoint_ticket(f->store) - 1};
    assert_ok(hf_expire(f->store, s_("k"), 3600000, &life));
    assert_true(life.shared);
    fake_local_pass_commit();
    assert_true(wait_until(has_ended, &held, SOON_MS));
    assert_true(hf__settle_is_parked(f->store, s_("k"), refused.lsn));
    fake_local_hold_commits(false);
    close_store(f);
}

/* Redis holds an older value than the refused one, and the key is written again before anybody has looked at it. */
static void assert_written_again_without_a_conflict(struct fixture *f)
{
    put(f->store, "k", "newer");
    assert_ok(hf_checkpoint(f->store));
    fake_redis_thaw(FAKE_FETCH);
    fake_redis_set_away(false);
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_redis_holds("k", "newer");
    assert_value(f->store, "k", "newer");
    assert_int_equal(status_of(f->store).conflicts, 0);
}

static void change_a_life_over_what_was_refused(struct fixture *f, bool stored_before)
{
    enum hf_outcome outcome;
    struct hf_result result;

    open_store(f);
    wait_state(f->store, HF_LINK_ONLINE);
    put(f->store, "k", "old");
    fake_redis_script(FAKE_GROUP, FAKE_REFUSE, 1);
    assert_code(HF_EREFUSED, hf_set(f->store, s_("k"), s_("refused"), NULL, NULL));
    if (stored_before)
        assert_ok(hf_checkpoint(f->store));
    fake_redis_freeze(FAKE_FETCH); /* of the copy, which is asked for then */
    assert_ok(hf_expire(f->store, s_("k"), 3600000, &result));
    assert_true(result.shared);
    fake_redis_set_away(true);
    wait_state(f->store, HF_LINK_OFFLINE);
    assert_false(read_of(f->store, "k").shared);
    assert_ok(hf_checkpoint(f->store));
    assert_false(read_of(f->store, "k").shared);
    assert_ok(hf_outcome(f->store, s_("k"), result.lsn, &outcome));
    assert_int_equal(outcome, HF_OUTCOME_APPLIED);
}

static void test_link__a_life_of_what_was_refused_makes_no_base_of_it(void **state)
{
    struct fixture *f = *state;

    change_a_life_over_what_was_refused(f, false);
    assert_written_again_without_a_conflict(f);
    close_store(f);
}

static void test_link__a_life_of_what_was_refused_and_stored_makes_no_base_of_it(void **state)
{
    struct fixture *f = *state;

    change_a_life_over_what_was_refused(f, true);
    assert_written_again_without_a_conflict(f);
    close_store(f);
}

/* A checkpoint gives the change a row while its answer is awaited. */
static void test_link__a_life_that_was_a_row_makes_no_base_of_what_was_refused(void **state)
{
    struct fixture *f = *state;
    unsigned asked;

    open_store(f);
    wait_state(f->store, HF_LINK_ONLINE);
    put(f->store, "k", "old");
    fake_redis_script(FAKE_GROUP, FAKE_REFUSE, 1);
    assert_code(HF_EREFUSED, hf_set(f->store, s_("k"), s_("refused"), NULL, NULL));
    fake_redis_freeze(FAKE_FETCH);
    fake_redis_freeze(FAKE_GROUP);
    asked = fake_redis_asked(FAKE_GROUP);
    submit(f->store, &(struct hf_op){.kind = HF_OP_PERSIST, .key = s_("k")});
    wait_asked(FAKE_GROUP, asked + 1);
    assert_ok(hf_checkpoint(f->store));
    fake_redis_thaw(FAKE_GROUP);
    assert_true(wait_until(nothing_is_pending, f->store, SOON_MS));
    fake_redis_set_away(true);
    wait_state(f->store, HF_LINK_OFFLINE);
    assert_ok(hf_checkpoint(f->store));
    assert_written_again_without_a_conflict(f);
    close_store(f);
}

static void note_code(void *ctx, const struct hf_result *result)
{
    atomic_store((atomic_int *)ctx, result->code);
}

static bool was_told(void *ctx)
{
    return atomic_load((atomic_int *)ctx) != 1;
}

/* Two writes wait behind a row of their key, which is sent as it is now: with both of them. */
static void test_link__a_write_that_is_parked_with_its_row_is_told_so(void **state)
{
    static char large[(1 << 20) + 1];
    const struct hf_op op = {.kind = HF_OP_SET, .key = s_("k"), .value = s_("newest")};
    atomic_int code = 1;
    struct fixture *f = *state;
    unsigned asked;

    open_store(f);
    wait_state(f->store, HF_LINK_ONLINE);
    fake_redis_set_away(true);
    wait_state(f->store, HF_LINK_OFFLINE);
    assert_ok(hf_set(f->store, s_("a"), hf__slice(large, sizeof(large)), NULL, NULL)); /* a group by itself */
    put(f->store, "k", "row");
    assert_ok(hf_checkpoint(f->store));
    fake_redis_other_type("k", "list");
    fake_redis_freeze(FAKE_GROUP);
    asked = fake_redis_asked(FAKE_GROUP);
    fake_redis_set_away(false);
    wait_asked(FAKE_GROUP, asked + 1);
    submit_set(f->store, "k", s_("newer"));
    assert_ok(hf_submit(f->store, &op, note_code, &code));
    fake_redis_thaw(FAKE_GROUP);
    assert_true(wait_until(was_told, &code, SOON_MS));
    assert_int_equal(atomic_load(&code), HF_EREFUSED);
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_int_equal(status_of(f->store).parked, 1);
    close_store(f);
}

/* The row is refused while a checkpoint is under way that does not know of it yet; the key is left as it is then. */
static void refuse_a_row_that_no_commit_knows(struct fixture *f)
{
    unsigned asked;

    open_store(f);
    wait_state(f->store, HF_LINK_ONLINE);
    put(f->store, "k", "old");
    fake_redis_set_away(true);
    wait_state(f->store, HF_LINK_OFFLINE);
    put(f->store, "k", "refused");
    assert_ok(hf_checkpoint(f->store));
    fake_redis_freeze(FAKE_FETCH);
    fake_redis_freeze(FAKE_GROUP);
    asked = fake_redis_asked(FAKE_GROUP);
    fake_redis_script(FAKE_GROUP, FAKE_REFUSE, 1);
    fake_redis_set_away(false);
    wait_asked(FAKE_GROUP, asked + 1);
    fake_local_hold_commits(true);
    hf__checkpoint_request(f->store);
    assert_true(wait_until(commit_is_held, NULL, SOON_MS));
    fake_redis_thaw(FAKE_GROUP);
    assert_true(wait_until(something_is_parked, f->store, SOON_MS));
}

static void test_link__a_row_that_was_just_refused_is_no_base(void **state)
{
    struct fixture *f = *state;

    refuse_a_row_that_no_commit_knows(f);
    fake_redis_set_away(true);
    wait_state(f->store, HF_LINK_OFFLINE);
    put(f->store, "k", "between");
    fake_local_hold_commits(false);
    assert_written_again_without_a_conflict(f);
    close_store(f);
}

static void test_link__a_life_of_a_row_that_was_just_refused_makes_no_base_of_it(void **state)
{
    struct fixture *f = *state;
    struct hf_result result;

    refuse_a_row_that_no_commit_knows(f);
    assert_ok(hf_expire(f->store, s_("k"), 3600000, &result));
    assert_true(result.shared);
    fake_redis_set_away(true);
    wait_state(f->store, HF_LINK_OFFLINE);
    fake_local_hold_commits(false);
    assert_ok(hf_checkpoint(f->store));
    assert_written_again_without_a_conflict(f);
    close_store(f);
}

static void test_link__the_lane_goes_on_behind_a_request_that_was_refused_as_a_whole(void **state)
{
    struct fixture *f = *state;
    struct hf_result result;
    int64_t number;

    open_store(f);
    wait_state(f->store, HF_LINK_ONLINE);
    fake_redis_script(FAKE_LANE, FAKE_REFUSE, 1);
    assert_code(HF_EREFUSED, hf_incr(f->store, s_("refused"), 1, &number, NULL));
    assert_ok(hf_incr(f->store, s_("n"), 5, &number, &result));
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_true(fake_redis_holds("n", "5"));
    assert_ok(hf_checkpoint(f->store));
    assert_int_equal(status_of(f->store).parked, 1);
    close_store(f);
}

/* Its old life has ended there meanwhile: nobody else writes, so nothing is compared, and the new life alone would change
 * nothing. */
static void test_link__a_life_made_longer_while_away_keeps_the_value_where_nothing_is_compared(void **state)
{
    static const struct hf_set_options minute = {.ttl_ms = 60000};
    static const enum hf_writers writers[] = {HF_WRITERS_ANY, HF_WRITERS_HOLDFAST, HF_WRITERS_THIS_NODE};
    struct fixture *f = *state;

    for (size_t i = 0; i < 3; i++) {
        char dir[96], persisted[16], extended[16];
        struct hf_namespace ns = {
            .prefix = "", .writers = writers[i], .change_log_off = writers[i] == HF_WRITERS_THIS_NODE};

        f->opts.namespaces = &ns;
        f->opts.n_namespaces = 1;
        snprintf(dir, sizeof(dir), "%s%zu", f->scratch.store, i);
        snprintf(persisted, sizeof(persisted), "p%zu", i);
        snprintf(extended, sizeof(extended), "e%zu", i);
        open_dir(f, dir);
        wait_state(f->store, HF_LINK_ONLINE);
        assert_ok(hf_set(f->store, s_(persisted), s_("v"), &minute, NULL));
        assert_ok(hf_set(f->store, s_(extended), s_("v"), &minute, NULL));
        assert_ok(hf_drain(f->store, SOON_MS));
        fake_redis_set_away(true);
        wait_state(f->store, HF_LINK_OFFLINE);
        assert_ok(hf_persist(f->store, s_(persisted), NULL));
        assert_ok(hf_expire(f->store, s_(extended), 600000, NULL));
        fake_redis_foreign_delete(persisted); /* as it dies: named in no log */
        fake_redis_foreign_delete(extended);
        fake_redis_set_away(false);
        assert_ok(hf_drain(f->store, SOON_MS));
        assert_true(fake_redis_holds(persisted, "v"));
        assert_true(fake_redis_holds(extended, "v"));
        assert_int_equal(fake_redis_deadline_ms(persisted), 0);
        assert_true(fake_redis_deadline_ms(extended) > 0);
        close_store(f);
    }
}

/* Each key that a scan shows, and how many those are. */
static size_t assert_scanned_as_read(struct hf *store)
{
    struct hf_slice key, value;
    struct hf_result scanned, read;
    struct hf_scan *scan;
    size_t n = 0;
    int rc;

    assert_ok(hf_scan_open(store, s_(""), s_(""), &scan));
    while ((rc = hf_scan_next(scan, &key, &value, &scanned)) == 0) {
        assert_ok(hf_exists(store, key, &read));
        assert_int_equal(scanned.origin, read.origin);
        assert_int_equal(scanned.lsn, read.lsn);
        assert_int_equal(scanned.deadline_ms, read.deadline_ms);
        assert_int_equal(scanned.durable, read.durable);
        assert_int_equal(scanned.shared, read.shared);
        assert_int_equal(scanned.pending, read.pending);
        assert_int_equal(scanned.tentative, read.tentative);
        assert_int_equal(scanned.existed, read.existed);
        n++;
    }
    hf_scan_close(scan);
    assert_code(HF_NOT_FOUND, rc);
    return n;
}

static bool is_verified(void *ctx)
{
    return read_of(ctx, "clean").origin == HF_ORIGIN_LOCAL_VERIFIED;
}

static void test_link__a_scan_says_of_each_key_what_a_read_says(void **state)
{
    static const struct hf_namespace namespaces[] = {{.prefix = ""},
                                                     {.prefix = "here:", .write_mode = HF_WRITE_LOCAL}};
    struct fixture *f = *state;

    f->opts.namespaces = namespaces;
    f->opts.n_namespaces = 2;
    open_store(f);
    wait_state(f->store, HF_LINK_ONLINE);
    put(f->store, "clean", "v");
    put(f->store, "here:k", "v");
    fake_redis_script(FAKE_GROUP, FAKE_REFUSE, 1);
    assert_code(HF_EREFUSED, hf_set(f->store, s_("parked"), s_("v"), NULL, NULL));
    assert_true(wait_until(is_verified, f->store, SOON_MS));
    assert_int_equal(assert_scanned_as_read(f->store), 3);
    assert_ok(hf_checkpoint(f->store));
    assert_int_equal(assert_scanned_as_read(f->store), 3);

    fake_redis_set_away(true);
    wait_state(f->store, HF_LINK_OFFLINE);
    put(f->store, "row", "v");
    incr(f->store, "n");
    assert_int_equal(assert_scanned_as_read(f->store), 5);
    assert_ok(hf_checkpoint(f->store));
    assert_int_equal(assert_scanned_as_read(f->store), 5);
    close_store(f);
}

/* ---- passes ---- */

/* The checkpoint that ends the pass finds a row that was written again after the pass had sent it. */
static void test_link__a_pass_that_leaves_a_row_is_followed_by_another(void **state)
{
    struct fixture *f = *state;
    struct lsn_wait newer;

    fake_redis_set_away(true);
    open_store(f);
    put(f->store, "k", "old");
    assert_ok(hf_checkpoint(f->store));
    fake_redis_freeze(FAKE_GROUP);
    fake_redis_set_away(false);
    wait_asked(FAKE_GROUP, 1); /* the row is out */
    fake_local_hold_commits(true);
    hf__checkpoint_request(f->store);
    assert_true(wait_until(commit_is_held, NULL, SOON_MS));
    fake_redis_let(FAKE_GROUP, 1); /* the pass is through, and waits for the next checkpoint */
    assert_true(wait_until(checkpoint_is_asked_for, f->store, SOON_MS));
    submit_set(f->store, "k", s_("new"));
    wait_asked(FAKE_GROUP, 2); /* the same row is out again */
    newer = (struct lsn_wait){.store = f->store, .lsn = status_of(f->store).last_lsn};
    fake_local_hold_commits(false);
    assert_true(wait_until(is_covered, &newer, SOON_MS));
    fake_redis_thaw(FAKE_GROUP);
    wait_state(f->store, HF_LINK_ONLINE);
    assert_redis_holds("k", "new");
    close_store(f);
}

/* ---- the tests ---- */

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_link__increments_made_while_checkpoints_fail_are_applied_once),
        TEST(test_link__a_checkpoint_after_a_failed_one_covers_the_callers_write),
        TEST(test_link__a_ttl_behind_a_refused_set_does_not_settle_it),
        TEST(test_link__a_batch_is_not_torn_at_the_bound_of_the_queue),
        TEST(test_link__a_write_that_went_as_its_row_is_replayed_after_a_crash),
        TEST(test_link__a_live_write_from_before_a_crash_is_no_conflict_for_the_next),
        TEST(test_link__an_older_value_of_ours_from_before_a_crash_is_no_conflict),
        TEST(test_link__a_parked_entry_survives_a_crash_before_the_checkpoint),
        TEST(test_link__close_ends_while_checkpoints_fail_and_submissions_wait),
        TEST(test_link__a_submission_is_pending_after_the_timeout_when_redis_is_frozen),
        TEST(test_link__a_store_older_than_its_mark_is_held),
        TEST(test_link__a_store_older_than_its_log_is_held),
        TEST(test_link__a_lane_entry_that_may_have_been_sent_is_in_doubt_without_mark_and_log),
        TEST(test_link__a_lane_entry_that_the_log_names_has_ended_without_the_mark),
        TEST(test_link__a_lane_entry_sent_before_a_crash_is_in_doubt_without_mark_and_log),
        TEST(test_link__a_change_in_the_journal_that_redis_has_lost_is_sent_again),
        TEST(test_link__a_change_in_the_journal_that_redis_holds_is_no_rollback),
        TEST(test_link__a_change_that_redis_has_lost_is_known_over_two_crashes),
        TEST(test_link__a_rollback_of_a_change_is_found_after_a_crash_while_a_copy_was_fetched),
        TEST(test_link__a_rollback_is_found_after_a_crash_while_a_copy_was_fetched),
        TEST(test_link__an_increment_in_the_journal_that_redis_has_lost_is_sent_again),
        TEST(test_link__an_increment_whose_answer_the_journal_has_is_sent_again),
        TEST(test_link__a_rollback_to_before_our_first_increment_is_found_after_a_crash),
        TEST(test_link__a_mark_that_is_gone_alone_is_no_rollback),
        TEST(test_link__what_a_mark_covered_that_is_gone_is_in_doubt_where_the_log_was_trimmed),
        TEST(test_link__what_a_mark_covered_that_is_gone_with_the_log_is_in_doubt),
        TEST(test_link__lane_entries_of_a_store_that_never_met_redis_are_applied),
        TEST(test_link__A9_what_a_power_cut_took_comes_back_from_redis),
        TEST(test_link__what_a_power_cut_took_supersedes_the_row_that_it_left),
        TEST(test_link__A9_what_a_power_cut_took_comes_back_after_another_life),
        TEST(test_link__A7_what_a_power_cut_took_is_no_conflict_with_what_comes_after),
        TEST(test_link__what_a_power_cut_took_is_not_undone_by_a_change_of_an_older_values_life),
        TEST(test_link__in_a_log_what_a_power_cut_took_is_not_undone_by_a_change_of_an_older_values_life),
        TEST(test_link__a_gap_in_the_log_is_met_again_after_a_crash_before_the_copies_are_compared),
        TEST(test_link__what_a_flushed_redis_does_not_hold_is_no_reason_to_drop_the_copy),
        TEST(test_link__an_increment_is_applied_once_whatever_becomes_of_its_request),
        TEST(test_link__a_reader_says_that_a_row_is_pending),
        TEST(test_link__what_was_refused_is_neither_shared_nor_pending),
        TEST(test_link__what_was_refused_as_stored_stays_and_is_not_shared),
        TEST(test_link__what_was_refused_as_stored_is_known_behind_a_life),
        TEST(test_link__a_life_of_what_was_refused_makes_no_base_of_it),
        TEST(test_link__a_life_of_what_was_refused_and_stored_makes_no_base_of_it),
        TEST(test_link__a_life_that_was_a_row_makes_no_base_of_what_was_refused),
        TEST(test_link__a_write_that_is_parked_with_its_row_is_told_so),
        TEST(test_link__a_row_that_was_just_refused_is_no_base),
        TEST(test_link__a_life_of_a_row_that_was_just_refused_makes_no_base_of_it),
        TEST(test_link__the_lane_goes_on_behind_a_request_that_was_refused_as_a_whole),
        TEST(test_link__a_life_made_longer_while_away_keeps_the_value_where_nothing_is_compared),
        TEST(test_link__a_scan_says_of_each_key_what_a_read_says),
        TEST(test_link__a_pass_that_leaves_a_row_is_followed_by_another),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
