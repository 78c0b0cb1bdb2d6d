/* Holdfast through its public header: default options unless a case says otherwise, no shared tier. */
#include "ours.h"
#include "sides.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Everything stays in the overlay and the journal until a checkpoint is asked for. */
static const struct hf_options no_checkpoints = {.checkpoint_bytes = 1u << 30, .checkpoint_interval_ms = 3600000};

/* ---- durable sets ---- */

int set_op(void *state, unsigned thread, uint64_t random)
{
    struct ours *o = state;
    struct hf_slice key = key_slice(o->bench, random % o->bench->n_written_keys);

    (void)thread;
    if (hf_set(o->store, key, value_slice(o->bench, random), NULL, NULL) != 0)
        return hf_fail("set a value");
    return 0;
}

/* Every write also has to reach the local tier, and what is left over would fall into the next side's turn: the
 * figure that is compared includes a checkpoint of all of them. `drain_s`: until the last one was acknowledged. */
static int score_writes(struct ours *o, const struct tally *tally, double drain_s, struct score *ret_score)
{
    double seconds = (double)tally->done / tally->rate + drain_s, started_s = bench_now_s();

    if (checkpoint(o) != 0)
        return -1;
    ret_score->acknowledged = (double)tally->done / seconds;
    ret_score->value = (double)tally->done / (seconds + bench_now_s() - started_s);
    ret_score->done = tally->done;
    return 0;
}

static int set_turn(void *state, struct score *ret_score)
{
    struct ours *o = state;
    struct tally tally;
    int rc = bench_threads(o->bench, o->n_threads, 1, set_op, o, &tally);

    return rc == 0 ? score_writes(o, &tally, 0, ret_score) : rc;
}

int ours_set(const struct bench *bench, unsigned n_threads, const struct hf_options *opts, struct side *ret_side)
{
    struct ours *o = NULL;
    int rc = ours_new(bench, "hf_set", "ours", ret_side, &o);

    if (rc != 0)
        return rc;
    o->n_threads = n_threads;
    ret_side->turn = set_turn;
    return open_store(o, opts);
}

static int submit_op(void *state, unsigned thread, uint64_t random)
{
    struct ours *o = state;

    (void)thread;
    return submit_set(o, random % o->bench->n_written_keys, random);
}

int async_turn(void *state, struct score *ret_score)
{
    struct ours *o = state;
    struct tally tally;
    double ended_s;
    int rc = bench_threads(o->bench, 1, 1, submit_op, o, &tally);

    ended_s = bench_now_s();
    if (window_finish(&o->window) != 0)
        rc = -1;
    return rc == 0 ? score_writes(o, &tally, bench_now_s() - ended_s, ret_score) : rc;
}

int ours_async(const struct bench *bench, unsigned window, const struct hf_options *opts, struct side *ret_side)
{
    struct ours *o = NULL;
    int rc = ours_new(bench, "hf_submit", "ours", ret_side, &o);

    if (rc != 0)
        return rc;
    o->window.size = window;
    ret_side->turn = async_turn;
    return open_store(o, opts);
}

/* ---- reads ---- */

static int get_all(struct ours *o)
{
    uint8_t value[BENCH_VALUE_MAX];
    size_t len;

    for (size_t i = 0; i < o->bench->n_keys; i++) {
        uint64_t number = o->order[i];
        if (hf_get_into(o->store, key_slice(o->bench, number), value, sizeof(value), &len, NULL) != 0)
            return hf_fail("get a value");
        if (len != o->bench->value_bytes || !bench_is_value(number, value))
            return bench_fail("Holdfast returned a wrong value");
    }
    return 0;
}

/* The consumer copies key and value out, as an export does. */
static int scan_all(struct ours *o)
{
    uint8_t out[BENCH_KEY_BYTES + BENCH_VALUE_BYTES];
    struct hf_scan *scan;
    struct hf_slice key, value;
    uint64_t n = 0;
    int rc = hf_scan_open(o->store, (struct hf_slice){0}, (struct hf_slice){0}, &scan);

    if (rc != 0)
        return hf_fail("open a scan");
    for (rc = hf_scan_next(scan, &key, &value, NULL); rc == 0; n++) {
        if (!bench_take(n, out, key.data, key.len, value.data, value.len))
            break;
        rc = hf_scan_next(scan, &key, &value, NULL);
    }
    hf_scan_close(scan);
    if (rc < 0)
        return hf_fail("scan");
    return rc == HF_NOT_FOUND && n == o->bench->n_keys ? 0 : bench_fail("Holdfast's scan ended early");
}

/* Whole passes over the keys until the time is up. */
static int read_turn(struct ours *o, int (*pass)(struct ours *o), struct score *ret_score)
{
    double started_s = bench_now_s(), seconds;
    uint64_t done = 0;

    do {
        int rc = pass(o);
        if (rc != 0)
            return rc;
        done += o->bench->n_keys;
        seconds = bench_now_s() - started_s;
    } while (seconds < o->bench->turn_s);
    ret_score->value = (double)done / seconds;
    return 0;
}

static int get_turn(void *state, struct score *ret_score)
{
    return read_turn(state, get_all, ret_score);
}

static int scan_turn(void *state, struct score *ret_score)
{
    return read_turn(state, scan_all, ret_score);
}

int ours_get(const struct bench *bench, bool in_overlay, struct side *ret_side)
{
    struct ours *o = NULL;
    int rc = ours_new(bench, "hf_get_into", "ours", ret_side, &o);

    if (rc != 0)
        return rc;
    ret_side->turn = get_turn;
    o->order = bench_shuffled(bench->n_keys);
    if (!o->order)
        return bench_fail("out of memory");
    rc = open_store(o, in_overlay ? &no_checkpoints : NULL);
    if (rc == 0)
        rc = load(o, bench->n_keys, 0);
    return rc == 0 && !in_overlay ? checkpoint(o) : rc;
}

int ours_scan(const struct bench *bench, struct side *ret_side)
{
    struct ours *o = NULL;
    int rc = ours_new(bench, "hf_scan_next", "ours", ret_side, &o);

    if (rc != 0)
        return rc;
    ret_side->turn = scan_turn;
    rc = open_store(o, NULL);
    if (rc == 0)
        rc = load(o, bench->n_keys, 0);
    return rc == 0 ? checkpoint(o) : rc;
}

/* ---- reopening ---- */

/* In the child: write the tail, wait until all of it is durable, and die without closing. The tail's keys are the
 * same for every size of store, so that its cost is, too. */
static void write_tail_and_die(struct ours *o, size_t n_tail_keys)
{
    int rc = open_store(o, &no_checkpoints);

    for (size_t i = 0; i < o->bench->n_tail_entries && rc == 0; i++)
        rc = submit_set(o, i * 7919 % n_tail_keys, i);
    if (rc == 0 && window_finish(&o->window) == 0)
        kill(getpid(), SIGKILL);
    _exit(1);
}

static int leave_tail(struct ours *o)
{
    int status = 0;
    pid_t child = fork();

    if (child == 0)
        write_tail_and_die(o, 10000);
    if (child < 0)
        return bench_fail("cannot fork: %s", strerror(errno));
    while (waitpid(child, &status, 0) < 0) {
        if (errno != EINTR)
            return bench_fail("cannot wait for the child: %s", strerror(errno));
    }
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
        return bench_fail("the child did not write its journal tail");
    return 0;
}

static int time_open(struct ours *o, double *ret_seconds)
{
    uint8_t value[BENCH_VALUE_BYTES];
    double started_s = bench_now_s();
    size_t len;

    if (open_store(o, &(struct hf_options){.must_exist = true}) != 0)
        return -1;
    if (hf_get_into(o->store, key_slice(o->bench, o->n_keys / 2), value, sizeof(value), &len, NULL) != 0)
        return hf_fail("get a value after reopening");
    *ret_seconds = bench_now_s() - started_s;
    return 0;
}

static int reopen_turn(void *state, struct score *ret_score)
{
    struct ours *o = state;
    double seconds = 0;
    int rc = o->killed ? leave_tail(o) : 0;

    if (rc == 0)
        rc = time_open(o, &seconds);
    if (rc != 0)
        return rc;
    ret_score->value = seconds * 1000;
    return close_store(o);
}

int ours_reopen(const struct bench *bench, const char *name, size_t n_keys, bool killed, struct side *ret_side)
{
    struct ours *o = NULL;
    char dir[32];
    int rc;

    snprintf(dir, sizeof(dir), "ours-%zu", n_keys);
    rc = ours_new(bench, name, dir, ret_side, &o);
    if (rc != 0)
        return rc;
    o->n_keys = n_keys;
    o->killed = killed;
    ret_side->turn = reopen_turn;
    rc = open_store(o, NULL);
    if (rc == 0)
        rc = load(o, n_keys, 0);
    return rc == 0 ? close_store(o) : rc;
}
