/* A store of ours: opening, closing, and loading keys through a window of submissions. */
#include "ours.h"

#include <poll.h>
#include <stdlib.h>

#define LOAD_WINDOW 4096 /* submissions under way while keys are loaded */
#define ONLINE_S 60

int hf_fail(const char *what)
{
    return bench_fail("Holdfast cannot %s: %s", what, hf_errmsg());
}

struct hf_slice key_slice(const struct bench *bench, size_t n)
{
    return (struct hf_slice){bench->keys[n], BENCH_KEY_BYTES};
}

struct hf_slice value_slice(const struct bench *bench, uint64_t n)
{
    return (struct hf_slice){bench_value(bench, n), bench->value_bytes};
}

/* ---- opening and closing ---- */

static void ours_close(void *state)
{
    struct ours *o = state;

    if (hf_close(o->store) != 0)
        hf_fail("close the store");
    if (o->dir)
        bench_area_remove(o->dir);           /* the next case starts from nothing */
    pthread_mutex_destroy(&o->window.mutex); /* after hf_close there are no completions */
    pthread_cond_destroy(&o->window.wake);
    free(o->dir);
    free(o->order);
    free(o->latencies_us);
    free(o);
}

int ours_new(const struct bench *bench, const char *name, const char *dir, struct side *ret_side,
             struct ours **ret_ours)
{
    struct ours *o = calloc(1, sizeof(*o));

    if (!o)
        return bench_fail("out of memory");
    o->bench = bench;
    o->window.size = LOAD_WINDOW;
    pthread_mutex_init(&o->window.mutex, NULL);
    pthread_cond_init(&o->window.wake, NULL);
    *ret_side = (struct side){.name = name, .close = ours_close, .state = o};
    *ret_ours = o;
    o->dir = bench_path(bench, dir);
    return o->dir ? 0 : -1;
}

int open_store(struct ours *o, const struct hf_options *opts)
{
    return hf_open(o->dir, opts, &o->store) == 0 ? 0 : hf_fail("open a store");
}

int close_store(struct ours *o)
{
    struct hf *store = o->store;

    o->store = NULL;
    return hf_close(store) == 0 ? 0 : hf_fail("close the store");
}

int wait_online(struct ours *o)
{
    double end_s = bench_now_s() + ONLINE_S;
    struct hf_pulse pulse;

    while (hf_pulse(o->store, &pulse) == 0) {
        if (pulse.link == HF_LINK_ONLINE && pulse.pending == 0)
            return 0;
        if (bench_is_stopped())
            return bench_fail("stopped by a signal");
        if (bench_now_s() > end_s)
            return bench_fail("Holdfast was not online within %d s", ONLINE_S);
        (void)poll(NULL, 0, 1);
    }
    return hf_fail("tell its pulse");
}

int checkpoint(struct ours *o)
{
    return hf_checkpoint(o->store) == 0 ? 0 : hf_fail("make a checkpoint");
}

/* ---- a window of submissions ---- */

static void completed(void *ctx, const struct hf_result *result)
{
    struct window *w = ctx;

    if (result->code < 0)
        atomic_store(&w->failed, result->code);
    if (atomic_fetch_sub(&w->under_way, 1) - 1 > atomic_load(&w->wake_at) || !atomic_load(&w->waiting))
        return;
    pthread_mutex_lock(&w->mutex);
    atomic_store(&w->waiting, false);
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->mutex);
}

/* Until at most `left` are under way. */
static void window_wait(struct window *w, unsigned left)
{
    pthread_mutex_lock(&w->mutex);
    atomic_store(&w->wake_at, left);
    while (atomic_load(&w->under_way) > left) {
        atomic_store(&w->waiting, true);
        if (atomic_load(&w->under_way) <= left) /* the one that would have woken us came before `waiting` */
            break;
        pthread_cond_wait(&w->wake, &w->mutex);
    }
    atomic_store(&w->waiting, false);
    pthread_mutex_unlock(&w->mutex);
}

int submit_set(struct ours *o, size_t key, uint64_t number)
{
    struct window *w = &o->window;
    struct hf_op op = {.kind = HF_OP_SET, .key = key_slice(o->bench, key), .value = value_slice(o->bench, number)};

    if (atomic_load(&w->under_way) >= w->size)
        window_wait(w, w->size / 2);
    atomic_fetch_add(&w->under_way, 1);
    if (hf_submit(o->store, &op, completed, w) == 0)
        return 0;
    atomic_fetch_sub(&w->under_way, 1);
    return hf_fail("submit a set");
}

int window_finish(struct window *w)
{
    window_wait(w, 0);
    if (atomic_load(&w->failed) != 0)
        return bench_fail("a submitted set failed: %s", hf_code_text(atomic_load(&w->failed)));
    return 0;
}

int load(struct ours *o, size_t n, uint64_t first_number)
{
    uint32_t *order = bench_shuffled(n);
    int rc = order ? 0 : bench_fail("out of memory");

    for (size_t i = 0; i < n && rc == 0; i++)
        rc = submit_set(o, order[i], order[i] + first_number);
    if (window_finish(&o->window) != 0)
        rc = -1;
    free(order);
    return rc;
}
