/* kill -9 in a loop: whatever a process had acknowledged before it died is there when the store is opened again. */
#include "redis_server.h"
#include "scratch.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define KEYS 64 /* a process writes to these, so that overwriting and deleting happen often */
#define ROUNDS 25
#define KILL_AFTER_MIN 20 /* acknowledged writes before the kill; the exact moment is the scheduler's */
#define KILL_AFTER_MAX 400

struct fixture {
    struct scratch scratch;
    struct redis_server redis;
    struct hf_options opts;
    unsigned seed;
    long long state[KEYS]; /* last acknowledged number of each key; negative: deleted by write -n; 0: never */
    long long next;        /* the last number that was begun */
    long long incremented; /* acknowledged increments */
};

/* An acknowledged write, as the child reports it. */
struct ack {
    long long number;
    int key; /* KEYS: the counter */
    int deleted;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    const char *seed = getenv("HOLDFAST_SEED");

    assert_non_null(f);
    scratch_make(&f->scratch);
    f->opts = (struct hf_options){.segment_bytes = 256 << 10,
                                  .max_disk_bytes = 64 << 20,
                                  .checkpoint_bytes = 64 << 10,
                                  .checkpoint_interval_ms = 20,
                                  .redis_timeout_ms = 300,
                                  .redis_backoff_max_ms = 50};
    f->seed = seed ? (unsigned)strtoul(seed, NULL, 10) : (unsigned)getpid();
    print_message("HOLDFAST_SEED=%u\n", f->seed);
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

/* ---- the process that will be killed ---- */

static void write_one(struct hf *store, long long number, unsigned *seed, struct ack *ack)
{
    char key[16], value[32];
    int64_t n;
    int what = rand_r(seed) % 10;

    *ack = (struct ack){.number = number, .key = rand_r(seed) % KEYS, .deleted = what == 0};
    snprintf(key, sizeof(key), "k%d", ack->key);
    snprintf(value, sizeof(value), "%lld", number);
    if (what == 0) {
        if (hf_delete(store, s_(key), NULL) < 0)
            _exit(2);
    } else if (what == 1) {
        ack->key = KEYS;
        if (hf_incr(store, s_("counter"), 1, &n, NULL) != 0)
            _exit(3);
    } else if (hf_set(store, s_(key), s_(value), NULL, NULL) != 0) {
        _exit(4);
    }
}

static void child_main(struct fixture *f, int out)
{
    struct hf *store;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (hf_open(f->scratch.store, &f->opts, &store) != 0) {
        fprintf(stderr, "child: %s\n", hf_errmsg());
        _exit(1);
    }
    for (long long number = f->next + 1;; number++) {
        struct ack ack;
        if (write(out, &(struct ack){.number = number, .key = -1}, sizeof(ack)) != sizeof(ack)) /* begun */
            _exit(5);
        write_one(store, number, &f->seed, &ack);
        if (write(out, &ack, sizeof(ack)) != sizeof(ack))
            _exit(5);
    }
}

/* ---- the one that kills it ---- */

static void take_ack(struct fixture *f, const struct ack *ack, int *n_acked)
{
    f->next = ack->number;
    if (ack->key < 0)
        return;
    ++*n_acked;
    if (ack->key == KEYS)
        f->incremented++;
    else
        f->state[ack->key] = ack->deleted ? -ack->number : ack->number;
}

/* Run a child until `kill_after` writes are acknowledged, kill it, and read what it had still reported. */
static int run_and_kill(struct fixture *f, int kill_after)
{
    int fds[2], n_acked = 0, status;
    struct ack ack;
    pid_t pid;

    assert_int_equal(pipe(fds), 0);
    pid = fork();
    if (pid == 0) {
        close(fds[0]);
        child_main(f, fds[1]);
    }
    close(fds[1]);
    for (;;) {
        struct pollfd p = {.fd = fds[0], .events = POLLIN};
        assert_true(poll(&p, 1, 20000) > 0);
        if (read(fds[0], &ack, sizeof(ack)) != sizeof(ack))
            break;
        take_ack(f, &ack, &n_acked);
        if (n_acked == kill_after)
            kill(pid, SIGKILL);
    }
    close(fds[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (!WIFSIGNALED(status))
        fail_msg("the child exited with %d after %d writes (HOLDFAST_SEED=%u)", WEXITSTATUS(status), n_acked,
                 f->seed);
    return n_acked;
}

/* A key holds its last acknowledged write, or a later one that was begun and not acknowledged. */
static void check_key(struct fixture *f, struct hf *store, int i)
{
    char key[16], text[32] = "";
    struct hf_buf value;
    long long number;
    int rc;

    snprintf(key, sizeof(key), "k%d", i);
    rc = hf_get(store, s_(key), &value, NULL);
    if (rc == HF_NOT_FOUND) {
        if (f->state[i] > 0)
            f->state[i] = -f->next; /* only the last write can have deleted it: count_missing() */
        return;
    }
    assert_ok(rc);
    snprintf(text, sizeof(text), "%.*s", (int)value.len, (char *)value.data);
    hf_buf_release(&value);
    number = strtoll(text, NULL, 10);
    if (number != f->state[i] && number != f->next)
        fail_msg("'%s' is %lld; acknowledged was %lld, begun %lld (HOLDFAST_SEED=%u)", key, number, f->state[i],
                 f->next, f->seed);
    f->state[i] = number;
}

static int count_missing(struct fixture *f, struct hf *store)
{
    int missing = 0;
    char key[16];

    for (int i = 0; i < KEYS; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        missing += f->state[i] > 0 && hf_exists(store, s_(key), NULL) == HF_NOT_FOUND;
    }
    return missing;
}

static void check_counter(struct fixture *f, struct hf *store)
{
    struct hf_buf value = {0};
    long long n = 0;
    int rc = hf_get(store, s_("counter"), &value, NULL);

    if (rc == 0)
        n = strtoll((char *)value.data, NULL, 10);
    hf_buf_release(&value);
    if (n != f->incremented && n != f->incremented + 1)
        fail_msg("the counter is %lld; %lld increments were acknowledged (HOLDFAST_SEED=%u)", n, f->incremented,
                 f->seed);
    f->incremented = n;
}

static void check_all(struct fixture *f, bool drain)
{
    struct hf *store;

    assert_ok(hf_open(f->scratch.store, &f->opts, &store));
    if (drain)
        assert_ok(hf_drain(store, 10000));
    assert_in_range(count_missing(f, store), 0, 1);
    for (int i = 0; i < KEYS; i++)
        check_key(f, store, i);
    check_counter(f, store);
    assert_ok(hf_close(store));
}

static int kill_after(struct fixture *f)
{
    return KILL_AFTER_MIN + rand_r(&f->seed) % (KILL_AFTER_MAX - KILL_AFTER_MIN);
}

static void test_crash__no_acknowledged_write_is_lost_by_kill_9(void **state)
{
    struct fixture *f = *state;
    int acked = 0;

    for (int round = 0; round < ROUNDS; round++) {
        acked += run_and_kill(f, kill_after(f));
        check_all(f, false);
    }
    print_message("%d kills, %d acknowledged writes, 0 lost\n", ROUNDS, acked);
}

static void test_crash__kills_and_outages_together_lose_nothing_and_count_once(void **state)
{
    static const char *const keep[] = {"--appendonly", "yes", "--appendfsync", "always", NULL};
    struct fixture *f = *state;
    char text[32], expected[32];
    int acked = 0;

    assert_int_equal(redis_server_start(&f->redis, keep), 0);
    f->opts.redis = f->redis.address;
    for (int round = 0; round < ROUNDS; round++) {
        if (round % 3 == 1)
            redis_server_kill(&f->redis);
        acked += run_and_kill(f, kill_after(f) / 4 + 1);
        if (round % 3 == 2)
            assert_int_equal(redis_server_restart(&f->redis), 0);
        check_all(f, round % 3 == 2);
        if (round % 3 != 2)
            continue;
        snprintf(expected, sizeof(expected), "%lld", f->incremented);
        if (f->incremented > 0)
            assert_string_equal(redis_server_text(&f->redis, text, sizeof(text), "GET counter"), expected);
        for (int i = 0; i < KEYS; i++) {
            snprintf(expected, sizeof(expected), "%lld", f->state[i]);
            redis_server_text(&f->redis, text, sizeof(text), "GET k%d", i);
            if (strcmp(text, f->state[i] > 0 ? expected : "(nil)") != 0)
                fail_msg("k%d is %s in Redis, %s here (HOLDFAST_SEED=%u)", i, text, expected, f->seed);
        }
    }
    print_message("%d kills, %d acknowledged writes, 0 lost, counter exact\n", ROUNDS, acked);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(test_crash__##name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(no_acknowledged_write_is_lost_by_kill_9),
        T(kills_and_outages_together_lose_nothing_and_count_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
