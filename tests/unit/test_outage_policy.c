/* Outage policies of namespaces: what is refused, what is taken for this node alone, and what is left for the reconcile. */
#include "fake_tier.h"
#include "scratch.h"

#include "checkpoint.h"
#include "file_layer.h"
#include "outage.h"
#include "store.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SOON_MS 5000
#define NEVER_MS 60000
#define TIMEOUT_MS 200

static const struct hf_namespace namespaces[] = {
    {.prefix = "tok:", .outage = HF_OUTAGE_REFUSE},
    {.prefix = "loc:", .outage = HF_OUTAGE_LOCAL},
};

/* What the application was told of settlements. */
static struct {
    atomic_uint by[HF_N_OUTCOMES];
} told;

static void tell(void *ctx, const struct hf_settlement *settlement)
{
    (void)ctx;
    atomic_fetch_add(&told.by[settlement->outcome], 1);
}

struct fixture {
    struct scratch scratch;
    struct hf_options opts;
    struct hf *store;     /* NULL while closed */
    uint64_t link_losses; /* that a test knows of */
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    if (!f)
        return -1;
    scratch_make(&f->scratch);
    f->opts = (struct hf_options){
        .redis = "fake",
        .redis_timeout_ms = TIMEOUT_MS,
        .redis_backoff_max_ms = 50,
        .checkpoint_interval_ms = NEVER_MS,
        .max_disk_bytes = 1u << 30,
        .namespaces = namespaces,
        .n_namespaces = sizeof(namespaces) / sizeof(*namespaces),
        .settled = tell,
    };
    for (int i = 0; i < HF_N_OUTCOMES; i++)
        atomic_store(&told.by[i], 0);
    fake_redis_start();
    *state = f;
    return 0;
}

static void open_store(struct fixture *f)
{
    struct hf_parts parts = {hf__file_layer_real(), hf__clock_real(), fake_local_open, fake_redis_open};

    f->opts.namespaces = namespaces;
    assert_ok(hf__store_open(f->scratch.store, &f->opts, &parts, &f->store));
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

    for (int kind = 0; kind < FAKE_REQUESTS; kind++)
        fake_redis_thaw((enum fake_request)kind);
    (void)hf_close(f->store); /* open only after a failure, which has been told */
    fake_redis_stop();
    scratch_remove(&f->scratch);
    free(f);
    return 0;
}

static void come_online(struct fixture *f)
{
    fake_redis_set_away(false);
    if (!wait_link(f->store, HF_LINK_ONLINE, SOON_MS))
        fail_msg("the link does not come online");
}

static bool is_offline(void *ctx)
{
    return hf__reach(ctx) == HF_REACH_AWAY;
}

static void go_away(struct fixture *f)
{
    fake_redis_set_away(true);
    assert_true(wait_until(is_offline, f->store, SOON_MS));
}

static struct hf_status status_of(struct hf *store)
{
    struct hf_status status;

    assert_ok(hf_status(store, &status));
    return status;
}

static int64_t now_us(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000000LL + ts.tv_nsec / 1000;
}

/* The reason of the key's gap; 0: there is none. */
static uint8_t gap_of(struct hf *store, const char *key)
{
    const struct hf_local_ops *ops = store->local->ops;
    struct hf_local_snap *snap;
    struct hf_gap gap;
    uint8_t reason = 0;

    assert_ok(ops->snap_begin(store->local, &snap));
    if (ops->gap_next(snap, s_(key), &gap) == 0 && hf__slice_eq(gap.key, s_(key)))
        reason = gap.reason;
    ops->snap_end(snap);
    return reason;
}

/* ---- refuse ---- */

enum call { SET, DELETE, EXPIRE, PERSIST, INCR, BATCH, SUBMIT, GET, EXISTS, TTL, SCAN, CALLS };

static int commit_batch(struct hf *store, const char *key)
{
    struct hf_batch *batch;
    int rc;

    assert_ok(hf_batch_new(store, &batch));
    assert_ok(hf_batch_set(batch, s_(key), s_("x"), NULL));
    assert_ok(hf_batch_set(batch, s_("tok:other"), s_("x"), NULL));
    rc = hf_batch_commit(batch, NULL);
    hf_batch_free(batch);
    return rc;
}

static void never(void *ctx, const struct hf_result *result)
{
    (void)ctx;
    fail_msg("a refused submission was completed with %d", result->code);
}

static int scan_one(struct hf *store, const char *prefix)
{
    struct hf_slice key;
    struct hf_scan *scan;
    int rc;

    assert_ok(hf_scan_open(store, s_(prefix), s_(""), &scan));
    rc = hf_scan_next(scan, &key, NULL, NULL);
    hf_scan_close(scan);
    return rc;
}

static int call(struct hf *store, enum call what, const char *key)
{
    struct hf_op op = {.kind = HF_OP_SET, .key = s_(key), .value = s_("x")};
    struct hf_buf value = {0};
    int64_t number;
    int rc;

    switch (what) {
    case SET: return hf_set(store, s_(key), s_("x"), NULL, NULL);
    case DELETE: return hf_delete(store, s_(key), NULL);
    case EXPIRE: return hf_expire(store, s_(key), 1000, NULL);
    case PERSIST: return hf_persist(store, s_(key), NULL);
    case INCR: return hf_incr(store, s_(key), 1, &number, NULL);
    case BATCH: return commit_batch(store, key);
    case SUBMIT: return hf_submit(store, &op, never, NULL);
    case EXISTS: return hf_exists(store, s_(key), NULL);
    case TTL: return hf_ttl(store, s_(key), &number, NULL);
    case SCAN: return scan_one(store, "tok:");
    default: break;
    }
    rc = hf_get(store, s_(key), &value, NULL);
    hf_buf_release(&value);
    return rc;
}

static void test_outage_policy__refuse_fails_every_call_at_once_and_changes_nothing(void **state)
{
    struct fixture *f = *state;
    uint64_t last_lsn;

    open_store(f);
    come_online(f);
    put(f->store, "tok:a", "1");
    go_away(f);
    last_lsn = status_of(f->store).last_lsn;
    for (int what = 0; what < CALLS; what++) {
        int64_t best_us = INT64_MAX; /* of several: the machine may be busy */
        for (int i = 0; i < 20; i++) {
            int64_t from = now_us();
            assert_code(HF_EOFFLINE, call(f->store, (enum call)what, "tok:a"));
            if (now_us() - from < best_us)
                best_us = now_us() - from;
        }
        assert_true(best_us < 1000);
        assert_sentence("namespace 'tok:'");
    }
    assert_int_equal(status_of(f->store).last_lsn, last_lsn);
    assert_int_equal(status_of(f->store).pending_keys, 0);
    come_online(f);
    assert_value(f->store, "tok:a", "1");
    assert_int_equal(fake_redis_applied("tok:a"), 1);
    close_store(f);
}

static void test_outage_policy__refuse_leaves_other_namespaces_alone(void **state)
{
    struct fixture *f = *state;
    struct hf_result result;

    open_store(f);
    come_online(f);
    go_away(f);
    assert_ok(hf_set(f->store, s_("a"), s_("1"), NULL, &result));
    assert_true(result.pending);
    assert_value(f->store, "a", "1");
    close_store(f);
}

/* Another client revokes it with a plain command: this store's copy says otherwise. */
static void test_outage_policy__a_revoked_token_is_never_accepted_from_a_copy(void **state)
{
    struct fixture *f = *state;
    struct hf_buf value;

    fake_redis_refuse_tracking(true); /* neither a push ... */
    fake_redis_freeze(FAKE_EXAMINE);  /* ... nor a sweep takes the copies away */
    open_store(f);
    come_online(f);
    put(f->store, "tok:a", "1");
    fake_redis_foreign_delete("tok:a");
    assert_code(HF_NOT_FOUND, hf_get(f->store, s_("tok:a"), &value, NULL));
    put(f->store, "tok:b", "1");
    go_away(f);
    fake_redis_foreign_delete("tok:b");
    assert_code(HF_EOFFLINE, hf_get(f->store, s_("tok:b"), &value, NULL));
    fake_redis_freeze(FAKE_LOG_PAGE);
    fake_redis_set_away(false); /* connected, and not caught up: not there yet */
    assert_code(HF_EOFFLINE, hf_get(f->store, s_("tok:b"), &value, NULL));
    fake_redis_thaw(FAKE_LOG_PAGE);
    come_online(f);
    assert_code(HF_NOT_FOUND, hf_get(f->store, s_("tok:b"), &value, NULL));
    close_store(f);
}

static void test_outage_policy__refuse_without_an_answer_to_a_read_is_an_error(void **state)
{
    struct fixture *f = *state;
    struct hf_buf value;

    open_store(f);
    come_online(f);
    put(f->store, "tok:a", "1");
    fake_redis_script(FAKE_FETCH, FAKE_LOSE, 1);
    assert_code(HF_EOFFLINE, hf_get(f->store, s_("tok:a"), &value, NULL));
    close_store(f);
}

/* A process that opens a store, writes and closes it is served as well. */
static void test_outage_policy__refuse_waits_for_the_first_connection(void **state)
{
    struct fixture *f = *state;

    f->opts.redis_timeout_ms = SOON_MS;
    open_store(f);
    put(f->store, "tok:a", "1");
    assert_true(fake_redis_holds("tok:a", "1"));
    close_store(f);
}

static void test_outage_policy__a_submission_is_not_held_up_by_the_first_connection(void **state)
{
    struct fixture *f = *state;
    int64_t from;

    fake_redis_freeze(FAKE_EPOCH);
    f->opts.redis_timeout_ms = SOON_MS;
    open_store(f);
    from = now_us();
    assert_code(HF_EOFFLINE, call(f->store, SUBMIT, "tok:a"));
    assert_true(now_us() - from < SOON_MS * 1000LL / 2);
    fake_redis_thaw(FAKE_EPOCH);
    come_online(f);
    close_store(f);
}

struct heard {
    atomic_uint n;
    int code;
    bool pending;
};

static void hear(void *ctx, const struct hf_result *result)
{
    struct heard *heard = ctx;

    heard->code = result->code;
    heard->pending = result->pending;
    atomic_fetch_add(&heard->n, 1);
}

static bool has_heard(void *ctx)
{
    return atomic_load(&((struct heard *)ctx)->n) > 0;
}

/* The answer is late, or lost before or after Redis has seen the write: the caller is told that nobody knows, and the
 * reconcile judges it. */
static bool has_lost_the_link(void *arg)
{
    struct fixture *f = arg;

    return status_of(f->store).link_losses > f->link_losses;
}

static void test_outage_policy__refuse_without_an_answer_to_a_write_is_unknown_and_judged_later(void **state)
{
    static const enum fake_outcome outcomes[] = {FAKE_APPLY, FAKE_LOSE, FAKE_LOSE_ANSWER};
    struct fixture *f = *state;
    struct hf_result result = {0};
    char key[16];

    open_store(f);
    come_online(f);
    for (unsigned i = 0; i < sizeof(outcomes) / sizeof(*outcomes); i++) {
        snprintf(key, sizeof(key), "tok:%u", i);
        if (outcomes[i] == FAKE_APPLY)
            fake_redis_freeze(FAKE_GROUP);
        else
            fake_redis_script(FAKE_GROUP, outcomes[i], 1);
        assert_code(HF_EUNKNOWN, hf_set(f->store, s_(key), s_("new"), NULL, &result));
        assert_true(result.pending);
        assert_false(result.shared);
        fake_redis_thaw(FAKE_GROUP);
        if (outcomes[i] != FAKE_APPLY)
            assert_true(
                wait_until(has_lost_the_link, f, SOON_MS)); /* the caller hears of it before the state changes */
        f->link_losses = status_of(f->store).link_losses;
        come_online(f);
        assert_ok(hf_drain(f->store, SOON_MS));
        assert_value(f->store, key, "new");
        assert_true(fake_redis_holds(key, "new"));
        assert_int_equal(status_of(f->store).pending_keys, 0);
    }
    close_store(f);
}

static void test_outage_policy__a_submission_without_an_answer_is_unknown(void **state)
{
    struct fixture *f = *state;
    struct heard heard = {0};
    struct hf_op op = {.kind = HF_OP_SET, .key = s_("tok:a"), .value = s_("x")};

    open_store(f);
    come_online(f);
    fake_redis_freeze(FAKE_GROUP);
    assert_ok(hf_submit(f->store, &op, hear, &heard));
    assert_true(wait_until(has_heard, &heard, SOON_MS));
    assert_int_equal(heard.code, HF_EUNKNOWN);
    assert_true(heard.pending);
    fake_redis_thaw(FAKE_GROUP);
    come_online(f);
    close_store(f);
}

/* What the local tombstone denies is denied, although Redis has not heard of it. */
static void test_outage_policy__an_unanswered_revocation_is_denied_here(void **state)
{
    struct fixture *f = *state;
    struct hf_buf value;

    open_store(f);
    come_online(f);
    put(f->store, "tok:a", "1");
    fake_redis_freeze(FAKE_GROUP);
    assert_code(HF_EUNKNOWN, hf_delete(f->store, s_("tok:a"), NULL));
    assert_true(fake_redis_holds("tok:a", "1"));
    assert_code(HF_NOT_FOUND, hf_get(f->store, s_("tok:a"), &value, NULL));
    fake_redis_thaw(FAKE_GROUP);
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_true(fake_redis_holds("tok:a", NULL));
    close_store(f);
}

static void test_outage_policy__a_handle_without_an_address_refuses_what_was_shared(void **state)
{
    struct fixture *f = *state;

    open_store(f);
    come_online(f);
    put(f->store, "tok:a", "1");
    close_store(f);
    f->opts.redis = NULL;
    open_store(f);
    for (int what = 0; what < CALLS; what++)
        assert_code(HF_EOFFLINE, call(f->store, (enum call)what, "tok:a"));
    close_store(f);
}

static void test_outage_policy__a_store_that_was_never_shared_refuses_nothing(void **state)
{
    struct fixture *f = *state;

    f->opts.redis = NULL;
    open_store(f);
    put(f->store, "tok:a", "1");
    assert_value(f->store, "tok:a", "1");
    put(f->store, "loc:a", "1");
    assert_ok(hf_checkpoint(f->store));
    assert_int_equal(status_of(f->store).gaps, 0);
    close_store(f);
}

/* ---- local ---- */

static void test_outage_policy__local_takes_a_write_for_this_node_and_leaves_a_gap(void **state)
{
    struct fixture *f = *state;
    struct hf_result result;
    int64_t number;

    open_store(f);
    come_online(f);
    put(f->store, "loc:a", "shared");
    put(f->store, "loc:b", "shared");
    go_away(f);
    assert_ok(hf_set(f->store, s_("loc:a"), s_("mine"), NULL, &result));
    assert_false(result.pending);
    assert_false(result.shared);
    assert_true(result.durable);
    assert_ok(hf_incr(f->store, s_("loc:n"), 5, &number, &result));
    assert_int_equal(number, 5);
    assert_true(result.tentative);
    assert_ok(hf_delete(f->store, s_("loc:b"), NULL));
    assert_int_equal(status_of(f->store).pending_keys, 0);
    assert_ok(hf_exists(f->store, s_("loc:a"), &result));
    assert_int_equal(result.origin, HF_ORIGIN_LOCAL_UNVERIFIED);
    assert_false(result.shared);
    assert_ok(hf_checkpoint(f->store));
    assert_int_equal(status_of(f->store).pending_keys, 0);
    assert_int_equal(status_of(f->store).gaps, 3);
    assert_int_equal(gap_of(f->store, "loc:a"), HF_GAP_LOCAL);
    assert_int_equal(gap_of(f->store, "loc:b"), HF_GAP_LOCAL);
    assert_int_equal(gap_of(f->store, "loc:n"), HF_GAP_LOCAL);
    assert_ok(hf_exists(f->store, s_("loc:a"), &result));
    assert_int_equal(result.origin, HF_ORIGIN_LOCAL_UNVERIFIED);
    assert_false(result.shared);
    assert_value(f->store, "loc:a", "mine");
    assert_value(f->store, "loc:b", NULL);
    come_online(f);
    assert_true(fake_redis_holds("loc:a", "shared"));
    assert_true(fake_redis_holds("loc:n", NULL));
    close_store(f);
    assert_int_equal(atomic_load(&told.by[HF_OUTCOME_LOCAL]), 3);
}

static void test_outage_policy__local_applies_to_batches_as_a_whole(void **state)
{
    struct fixture *f = *state;
    struct hf_batch *batch;
    struct hf_result result;

    open_store(f);
    come_online(f);
    go_away(f);
    assert_ok(hf_batch_new(f->store, &batch));
    assert_ok(hf_batch_set(batch, s_("loc:a"), s_("1"), NULL));
    assert_ok(hf_batch_incr(batch, s_("loc:n"), 2));
    assert_ok(hf_batch_commit(batch, &result));
    assert_false(result.pending);
    assert_false(result.shared);
    hf_batch_free(batch);
    assert_ok(hf_checkpoint(f->store));
    assert_int_equal(status_of(f->store).gaps, 2);
    assert_int_equal(status_of(f->store).pending_ops, 0);
    close_store(f);
}

/* The write before was under way when the connection broke: what is written behind it is owed as well. */
static void test_outage_policy__local_joins_what_the_key_owes(void **state)
{
    struct fixture *f = *state;
    struct hf_result result;
    int64_t number;

    open_store(f);
    come_online(f);
    fake_redis_script(FAKE_GROUP, FAKE_LOSE, 1);
    assert_ok(hf_set(f->store, s_("loc:a"), s_("1"), NULL, &result));
    assert_true(result.pending);
    assert_true(wait_until(is_offline, f->store, SOON_MS));
    assert_ok(hf_set(f->store, s_("loc:a"), s_("2"), NULL, &result)); /* in the overlay */
    assert_true(result.pending);
    assert_ok(hf_checkpoint(f->store));
    assert_ok(hf_set(f->store, s_("loc:a"), s_("3"), NULL, &result)); /* with a row */
    assert_true(result.pending);
    assert_ok(hf_incr(f->store, s_("loc:a"), 1, &number, &result)); /* in the lane */
    assert_true(result.pending);
    assert_ok(hf_set(f->store, s_("loc:b"), s_("mine"), NULL, &result));
    assert_false(result.pending);
    come_online(f);
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_true(fake_redis_holds("loc:a", "4"));
    assert_true(fake_redis_holds("loc:b", NULL));
    close_store(f);
}

static bool was_asked_for_an_epoch(void *ctx)
{
    return fake_redis_asked(FAKE_EPOCH) > *(unsigned *)ctx;
}

/* The row of what is written next must not take the local value for what Redis held, also when both wait for the same
 * checkpoint: the write was made while the shared tier was coming back, and it went again. */
static void test_outage_policy__what_follows_a_local_write_knows_no_base(void **state)
{
    static const enum hf_op_kind kinds[] = {HF_OP_SET, HF_OP_EXPIRE_AT}; /* of the local write */
    struct fixture *f = *state;
    struct hf_local_snap *snap;
    struct hf_pending_row row;
    struct hf_result result;
    unsigned asked;

    open_store(f);
    for (unsigned i = 0; i < 2; i++) {
        come_online(f);
        put(f->store, "loc:a", "shared");
        go_away(f);
        if (kinds[i] == HF_OP_SET)
            put(f->store, "loc:a", "mine");
        else
            assert_ok(hf_expire(f->store, s_("loc:a"), NEVER_MS, NULL));
        asked = fake_redis_asked(FAKE_EPOCH);
        fake_redis_freeze(FAKE_EPOCH);
        fake_redis_set_away(false);
        assert_true(wait_until(was_asked_for_an_epoch, &asked, SOON_MS));
        assert_ok(hf_set(f->store, s_("loc:a"), s_("next"), NULL, &result));
        assert_true(result.pending);
        go_away(f);
        fake_redis_thaw(FAKE_EPOCH);
        assert_ok(hf_checkpoint(f->store));
        assert_ok(f->store->local->ops->snap_begin(f->store->local, &snap));
        assert_ok(f->store->local->ops->pending_get(snap, s_("loc:a"), &row));
        assert_int_equal(row.base.kind, HF_VERSION_UNKNOWN);
        f->store->local->ops->snap_end(snap);
    }
    close_store(f);
}

/* ---- kill -9 ---- */

static void child_main(struct fixture *f, int out)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    fake_redis_set_away(true);
    open_store(f);
    if (!wait_until(is_offline, f->store, SOON_MS))
        _exit(2);
    for (int i = 0; i < 10; i++) {
        char key[16];
        snprintf(key, sizeof(key), "loc:%d", i);
        if (hf_set(f->store, s_(key), s_("mine"), NULL, NULL) != 0)
            _exit(3);
        if (i == 4 && hf_checkpoint(f->store) != 0)
            _exit(4);
    }
    if (write(out, "x", 1) != 1)
        _exit(5);
    for (;;)
        pause();
}

/* Half of the writes are in the local tier, half only in the journal. */
static void test_outage_policy__gaps_of_local_writes_survive_a_kill(void **state)
{
    struct fixture *f = *state;
    int fds[2], status;
    char key[16], byte;
    struct pollfd p;
    pid_t pid;

    assert_int_equal(pipe(fds), 0);
    pid = fork();
    if (pid == 0)
        child_main(f, fds[1]);
    close(fds[1]);
    p = (struct pollfd){.fd = fds[0], .events = POLLIN};
    assert_int_equal(poll(&p, 1, 20000), 1);
    assert_int_equal(read(fds[0], &byte, 1), 1);
    close(fds[0]);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    fake_redis_set_away(true);
    open_store(f);
    assert_int_equal(status_of(f->store).pending_keys, 0);
    assert_ok(hf_checkpoint(f->store));
    assert_int_equal(status_of(f->store).gaps, 10);
    for (int i = 0; i < 10; i++) {
        snprintf(key, sizeof(key), "loc:%d", i);
        assert_int_equal(gap_of(f->store, key), HF_GAP_LOCAL);
        assert_value(f->store, key, "mine");
    }
    close_store(f);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_outage_policy__##name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(gaps_of_local_writes_survive_a_kill), /* first: it forks */
        TEST(refuse_fails_every_call_at_once_and_changes_nothing),
        TEST(refuse_leaves_other_namespaces_alone),
        TEST(a_revoked_token_is_never_accepted_from_a_copy),
        TEST(refuse_without_an_answer_to_a_read_is_an_error),
        TEST(refuse_waits_for_the_first_connection),
        TEST(a_submission_is_not_held_up_by_the_first_connection),
        TEST(refuse_without_an_answer_to_a_write_is_unknown_and_judged_later),
        TEST(a_submission_without_an_answer_is_unknown),
        TEST(an_unanswered_revocation_is_denied_here),
        TEST(a_handle_without_an_address_refuses_what_was_shared),
        TEST(a_store_that_was_never_shared_refuses_nothing),
        TEST(local_takes_a_write_for_this_node_and_leaves_a_gap),
        TEST(local_applies_to_batches_as_a_whole),
        TEST(local_joins_what_the_key_owes),
        TEST(what_follows_a_local_write_knows_no_base),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
