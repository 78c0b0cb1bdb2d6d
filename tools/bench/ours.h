/* A store of ours and the keys that are loaded into it: what the files ours*.c share. */
#ifndef BENCH_OURS_H
#define BENCH_OURS_H

#include "bench.h"

#include <holdfast.h>

#include <pthread.h>
#include <stdatomic.h>

/* One thread submits; completions come on another one. The submitter sleeps when `size` are under way and wakes when
 * half of them are done, so that the two do not wake each other for every single one. It lives as long as the store: the
 * last completion may still look at it when the submitter already knows that nothing is under way. */
struct window {
    unsigned size;
    _Atomic unsigned under_way;
    _Atomic unsigned wake_at;
    _Atomic bool waiting;
    _Atomic int failed; /* the first code below zero */
    pthread_mutex_t mutex;
    pthread_cond_t wake;
};

struct redis;

struct ours {
    const struct bench *bench;
    char *dir;
    struct hf *store;
    struct window window;
    unsigned n_threads;
    size_t n_keys; /* reopen */
    bool killed;
    uint32_t *order;     /* get */
    struct redis *redis; /* replay; borrowed */
    enum hf_writers writers;
    bool known;
    double *latencies_us; /* live writes; of the last series */
    size_t n_latencies;
    uint64_t n_live; /* keys that live writes have used */
};

/* bench_fail with the library's sentence. */
int hf_fail(const char *what);
struct hf_slice key_slice(const struct bench *bench, size_t n);
struct hf_slice value_slice(const struct bench *bench, uint64_t n);

/* `dir` is the name of the store's directory. Whatever it returns, bench_close may be called for the side. */
int ours_new(const struct bench *bench, const char *name, const char *dir, struct side *ret_side,
             struct ours **ret_ours);
int open_store(struct ours *o, const struct hf_options *opts);
int close_store(struct ours *o);
int checkpoint(struct ours *o);
/* Until it is connected, and nothing is to be replayed. */
int wait_online(struct ours *o);

/* One blocking set: a bench_op. */
int set_op(void *state, unsigned thread, uint64_t random);
/* The turn of ours_async. */
int async_turn(void *state, struct score *ret_score);

/* hf_submit, when fewer than the window's size are under way. */
int submit_set(struct ours *o, size_t key, uint64_t number);
/* Until none is under way; -1 when one has failed. */
int window_finish(struct window *w);
/* Set the first n keys, in random order, each to its number plus `first_number`. */
int load(struct ours *o, size_t n, uint64_t first_number);

#endif
