/* Who waits for the link: the time is up, and before the mutex is taken again somebody else ends the wait. It has ended once,
 * and as it was ended first. */
#include "fake_tier.h"
#include "scratch.h"

#include "file_layer.h"
#include "link_state.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#define SOON_MS 5000   /* a bound, not a pause: what is waited for happens long before */
#define NEVER_MS 60000 /* a time that a test must not reach */

/* ---- fixture: a fake Redis, a directory, an open store that is online ---- */

struct fixture {
    struct scratch scratch;
    struct hf_namespace ns; /* of all keys */
    struct hf *store;
    bool held_up; /* the link thread is between the loss and the end of all waits */
};

/* Set: the next timed wait of this thread for the link finds that its time is up, and the link is lost meanwhile. */
static _Thread_local struct fixture *time_is_up;

static int setup(void **state)
{
    struct hf_parts parts = {hf__file_layer_real(), hf__clock_real(), fake_local_open, fake_redis_open};
    struct fixture *f = calloc(1, sizeof(*f));
    struct hf_options opts = {
        .redis = "fake", .redis_timeout_ms = NEVER_MS, .checkpoint_interval_ms = NEVER_MS, .n_namespaces = 1};

    if (!f)
        return -1;
    scratch_make(&f->scratch);
    f->ns =
        (struct hf_namespace){.prefix = "", .outage = HF_OUTAGE_REFUSE}; /* a read tells how its fetch has ended */
    opts.namespaces = &f->ns;
    fake_redis_start();
    assert_ok(hf__store_open(f->scratch.store, &opts, &parts, &f->store));
    assert_true(wait_link(f->store, HF_LINK_ONLINE, SOON_MS));
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    time_is_up = NULL;
    (void)hf_close(f->store);
    fake_redis_stop();
    scratch_remove(&f->scratch);
    free(f);
    return 0;
}

/* ---- losing the link while a wait runs out ---- */

static bool is_lost(void *ctx)
{
    struct fixture *f = ctx;

    return !hf__link_looks(f->store);
}

/* The link thread has noticed the loss, asks nothing any more, and has not ended who waits: that comes behind the lock. */
static void lose_link_so_far(struct fixture *f)
{
    pthread_mutex_lock(&f->store->write_mutex);
    atomic_store(&f->store->link->looks, true); /* the first thing that ends with the connection */
    fake_redis_set_away(true);
    f->held_up = wait_until(is_lost, f, SOON_MS);
    if (!f->held_up)
        pthread_mutex_unlock(&f->store->write_mutex);
    assert_true(f->held_up);
}

/* All that waited has ended. */
static void lose_link(struct fixture *f)
{
    fake_redis_set_away(true);
    if (f->held_up)
        pthread_mutex_unlock(&f->store->write_mutex);
    f->held_up = false;
    (void)wait_link(f->store, HF_LINK_OFFLINE, SOON_MS);
}

int __real_pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex, const struct timespec *deadline);
int __wrap_pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex, const struct timespec *deadline);

int __wrap_pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex, const struct timespec *deadline)
{
    struct fixture *f = time_is_up;

    if (!f || cond != &f->store->link->changed)
        return __real_pthread_cond_timedwait(cond, mutex, deadline);
    time_is_up = NULL;
    pthread_mutex_unlock(mutex);
    lose_link(f);
    pthread_mutex_lock(mutex);
    return ETIMEDOUT;
}

/* ---- the waits ---- */

static void ignore(void *ctx, const struct hf_result *result)
{
    (void)ctx;
    (void)result;
}

static void test_link_waits__a_fetch_that_has_ended_is_not_ended_again(void **state)
{
    struct fixture *f = *state;
    struct hf_buf value;

    lose_link_so_far(f);
    time_is_up = f;
    assert_code(HF_EOFFLINE, hf_get(f->store, s_("k"), &value, NULL));
    assert_sentence("cannot fetch 'k': the connection is gone");
    assert_null(time_is_up);
}

static void test_link_waits__a_question_that_has_ended_is_not_ended_again(void **state)
{
    struct fixture *f = *state;

    lose_link_so_far(f);
    time_is_up = f;
    assert_code(HF_EOFFLINE, hf_hear(f->store, NEVER_MS));
    assert_sentence("cannot ask the shared tier: the connection is gone");
    assert_null(time_is_up);
}

static void test_link_waits__a_decision_that_has_ended_is_not_ended_again(void **state)
{
    struct hf_op set = {.kind = HF_OP_SET, .key = s_("k"), .value = s_("v")};
    struct fixture *f = *state;

    (void)signal(SIGSEGV, SIG_DFL); /* cmocka would go on, with the mutex of the link */
    fake_redis_freeze(FAKE_GROUP);
    assert_ok(hf_submit(f->store, &set, ignore, NULL)); /* the key's own changes go first */
    time_is_up = f;
    assert_code(HF_EOFFLINE, hf_compare_and_delete(f->store, s_("k"), s_("v"), NULL));
    assert_sentence("Redis could not decide on 'k': the connection is gone");
    assert_null(time_is_up);
}

/* ---- the tests ---- */

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_link_waits__a_fetch_that_has_ended_is_not_ended_again),
        TEST(test_link_waits__a_question_that_has_ended_is_not_ended_again),
        TEST(test_link_waits__a_decision_that_has_ended_is_not_ended_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
