/* What a long run leaves behind: how long each operation took, and how many there were in each tenth of a second. */
#ifndef BENCH_SERIES_H
#define BENCH_SERIES_H

#include "bench.h"

/* ---- latencies ---- */

#define LATENCIES_PER_OCTAVE 64 /* 1.1 % wide */
#define LATENCIES_OCTAVES 36    /* from 1 ns to a minute */

/* A histogram with logarithmic steps. Zeroed, it is empty. */
struct latencies {
    uint64_t counts[LATENCIES_PER_OCTAVE * LATENCIES_OCTAVES];
    uint64_t n;
    double longest_us;
};

void latencies_add(struct latencies *l, double us);
/* The upper end of the step in which the fraction q lies: 0.999 is the latency that one of a thousand exceeds. */
double latencies_quantile_us(const struct latencies *l, double q);

/* ---- over time ---- */

#define SERIES_INTERVAL_MS 100

struct interval {
    uint64_t n;
    double longest_us;
    bool checkpoint; /* the local tier was written in it */
};

struct series {
    struct interval *intervals;
    size_t n_max;
    struct latencies latencies;
};

/* For so many seconds; series_release frees it, also when this failed. */
int series_init(struct series *series, double seconds);
void series_release(struct series *series);
/* An operation that took so long and ended so long after the beginning. */
void series_add(struct series *series, double at_s, double us);
void series_checkpoint(struct series *series, double at_s);
/* The rate of the intervals in a part of the series, both given as fractions of it. */
double series_rate(const struct series *series, double from, double to);
/* NAME-ROUND and NAME-ROUND-latencies, .csv and .svg, in bench->plot_dir; nothing where that is NULL. */
int series_plot(const struct series *series, const struct bench *bench, const char *name, unsigned round);

#endif
