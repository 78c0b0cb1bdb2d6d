/* The vocabulary of holdfast-bench: a bench, the sides that compete in a case, and how they are measured.
 *
 * To add a case: write a side per competitor (ours*.c, peers_*.c), write a function in a cases_*.c that opens them
 * and calls bench_compare, and add it to the table in main.c.
 * To add a peer to a case: write its side and put it into that case's array.
 *
 * Functions that return int return 0, or -1 after bench_fail has told why. */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BENCH_KEY_BYTES 16
#define BENCH_VALUE_BYTES 100 /* but for the cases of other sizes */
#define BENCH_VALUE_MAX (256u << 10)
#define BENCH_VALUES 8192u /* so many differ */

#define BENCH_ROUNDS_MAX 1000

/* One run of the program; fixed once the cases begin. */
struct bench {
    const char *dir;      /* a directory of our own on the disk under test; removed at the end */
    char fs[24];          /* its file system */
    const char *plot_dir; /* where pictures go; NULL: nowhere */
    bool quick;           /* small sizes, short rounds: says that everything works, not how fast it is */
    unsigned rounds;
    unsigned turns;         /* of each side in a round */
    double turn_s;          /* how long a side that is measured by its rate works in a turn */
    size_t n_keys;          /* get and scan */
    size_t n_written_keys;  /* the keys that sets choose from */
    size_t n_reopened_keys; /* the large store of the reopen cases; the small one has 10,000 keys */
    size_t n_tail_entries;  /* the journal tail of the killed store */
    size_t n_updates;       /* made offline to a few keys */
    size_t n_replayed_keys; /* written while Redis is away */
    size_t value_bytes;
    char (*keys)[BENCH_KEY_BYTES]; /* as many as the largest of these numbers, in ascending order */
    uint64_t *words;               /* 0, 1, 2, ...: the values lie in them */
};

/* ---- sides ---- */

struct score {
    double value;        /* what is compared: a rate, or a time */
    double acknowledged; /* sets: the rate before the closing checkpoint; 0: there is no such thing */
    double memory_mib;   /* the most that was used; the highest of all turns is printed; 0: not measured */
    uint64_t done;       /* sets: how many; not printed */
};

/* One competitor in one case. */
struct side {
    const char *name; /* as it is printed */
    int (*turn)(void *state, struct score *ret_score);
    void (*close)(void *state); /* accepts a half-built state, which is freed */
    void *state;                /* NULL: not open, and bench_close does nothing */
};

enum direction { HIGHER_IS_BETTER, LOWER_IS_BETTER };

struct comparison {
    const char *name; /* of the case */
    const char *unit;
    enum direction direction;
};

/* Let the sides take turns (sides[0] is ours: A B C A B C ...) and print one JSON line per peer. The figure of a
 * round is the mean of its turns, and its ratio is formed from the two figures of that round; printed are the medians
 * over all rounds, and the spread of the ratios. Short turns, because the speed of a disk changes within seconds. */
int bench_compare(const struct bench *bench, const struct comparison *comparison, struct side *sides,
                  size_t n_sides);
/* The line alone, for a case that makes its rounds itself: bench->rounds scores of each side. */
int bench_report(const struct bench *bench, const struct comparison *comparison, const char *peer,
                 const struct score *ours, const struct score *theirs);
/* A figure that is to be reached, as a side. `value` is the case's, and may change with the turns of the sides before it. */
struct side bench_goal(const char *name, double *value);
void bench_close(struct side *sides, size_t n);

/* ---- cases ---- */

int case_set_1_thread(const struct bench *bench, const char *name);
int case_set_2_threads(const struct bench *bench, const char *name);
int case_set_4_threads(const struct bench *bench, const char *name);
int case_set_16_threads(const struct bench *bench, const char *name);
int case_set_interval(const struct bench *bench, const char *name);
int case_set_async(const struct bench *bench, const char *name);
int case_set_value_16(const struct bench *bench, const char *name);
int case_set_value_4k(const struct bench *bench, const char *name);
int case_set_value_256k(const struct bench *bench, const char *name);
int case_set_sustained(const struct bench *bench, const char *name);
int case_get_hit(const struct bench *bench, const char *name);
int case_get_hit_overlay(const struct bench *bench, const char *name);
int case_get_hit_1m(const struct bench *bench, const char *name);
int case_get_hit_overlay_1m(const struct bench *bench, const char *name);
int case_get_value_16(const struct bench *bench, const char *name);
int case_get_value_4k(const struct bench *bench, const char *name);
int case_get_value_256k(const struct bench *bench, const char *name);
int case_get_2_threads(const struct bench *bench, const char *name);
int case_get_2_threads_writer(const struct bench *bench, const char *name);
int case_scan(const struct bench *bench, const char *name);
int case_through_async(const struct bench *bench, const char *name);
int case_through_1ms(const struct bench *bench, const char *name);
int case_through_20ms(const struct bench *bench, const char *name);
int case_reopen_clean(const struct bench *bench, const char *name);
int case_reopen_killed(const struct bench *bench, const char *name);
int case_replay_new(const struct bench *bench, const char *name);
int case_replay_known(const struct bench *bench, const char *name);
int case_replay_holdfast_new(const struct bench *bench, const char *name);
int case_replay_holdfast_known(const struct bench *bench, const char *name);
int case_replay_this_node_new(const struct bench *bench, const char *name);
int case_replay_this_node_known(const struct bench *bench, const char *name);
int case_replay_live(const struct bench *bench, const char *name);
int case_memory(const struct bench *bench, const char *name);
int case_memory_written(const struct bench *bench, const char *name);
int case_disk_bytes(const struct bench *bench, const char *name);
int case_offline_updates(const struct bench *bench, const char *name);
int case_idle(const struct bench *bench, const char *name);
int case_sidecar_get(const struct bench *bench, const char *name);
int case_sidecar_set(const struct bench *bench, const char *name);
int case_sidecar_set_pipelined(const struct bench *bench, const char *name);
int case_sidecar_idle(const struct bench *bench, const char *name);

/* ---- errors and time ---- */

/* Print a sentence on standard error and return -1. */
int bench_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Seconds on a clock that is never set. */
double bench_now_s(void);
/* A signal has asked for the end: set by the handler, looked at between turns. */
bool bench_is_stopped(void);
void bench_stop(void);

/* ---- work for some time ---- */

/* One operation; `random` is the thread's own and never repeats the sequence of another one. */
typedef int bench_op(void *state, unsigned thread, uint64_t random);

/* What came of it. The rate, per second, is the sum of the threads' own, each up to the end of its last operation:
 * one that comes late does not spoil the others'. */
struct tally {
    uint64_t done;
    double rate;
};

/* `n_threads` threads repeat `op`, which does `per_op` things at once, for bench->turn_s. */
int bench_threads(const struct bench *bench, unsigned n_threads, unsigned per_op, bench_op *op, void *state,
                  struct tally *ret_tally);

/* The next number of a xorshift sequence. */
uint64_t bench_random(uint64_t *state);

/* ---- keys and values ---- */

/* Fill in bench->keys and bench->words; free them, also when that failed. */
int bench_make_payload(struct bench *bench);
void bench_free_payload(struct bench *bench);
/* The same with other values, and fewer keys where these are large. */
struct bench bench_with_values(const struct bench *bench, size_t value_bytes);
/* The value of the n-th write, bench->value_bytes long: the same for every side. Nobody makes or copies it, so that the cost of
 * that is in no figure. */
const void *bench_value(const struct bench *bench, uint64_t n);
/* `value` begins like the n-th write's. */
bool bench_is_value(uint64_t n, const void *value);
/* Copy what a scan gave into `out`, key first; false: it is not as long as a key and its value, or not the n-th value. */
bool bench_take(uint64_t n, uint8_t out[BENCH_KEY_BYTES + BENCH_VALUE_BYTES], const void *key, size_t key_len,
                const void *value, size_t value_len);
/* The numbers 0 to n-1 in an order that is random and the same each time. The caller frees it; NULL: no memory. */
uint32_t *bench_shuffled(size_t n);

/* ---- files ---- */

/* A fresh directory under `parent`; NULL: under TMPDIR or /var/tmp, whichever comes first and is a real disk.
 * The path is the caller's to free. */
int bench_area_make(const char *parent, char **ret_dir, char *ret_fs, size_t fs_capacity);
/* Remove a directory and everything in it; accepts one that is not there. */
void bench_area_remove(const char *dir);
/* "dir/name", the caller's to free; NULL after bench_fail. */
char *bench_path(const struct bench *bench, const char *name);
/* What a directory and everything in it take of the disk. */
double bench_area_mib(const char *dir);
/* What is on the disk already goes from the page cache, but for pages that are mapped: what is written next is written to new pages. */
void bench_forget_pages(const struct bench *bench);
/* Write back what earlier work left dirty, so that it is not charged to the next turn. */
void bench_settle(const struct bench *bench);

#endif
