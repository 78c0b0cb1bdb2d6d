/* What a long run leaves behind. */
#include "series.h"

#include "plot.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- latencies ---- */

#define N_STEPS (LATENCIES_PER_OCTAVE * LATENCIES_OCTAVES)

static double step_end_us(size_t step)
{
    return exp2((double)(step + 1) / LATENCIES_PER_OCTAVE) / 1000;
}

void latencies_add(struct latencies *l, double us)
{
    double step = us > 0.001 ? log2(us * 1000) * LATENCIES_PER_OCTAVE : 0;

    l->counts[step < N_STEPS ? (size_t)step : N_STEPS - 1]++;
    l->n++;
    l->longest_us = us > l->longest_us ? us : l->longest_us;
}

double latencies_quantile_us(const struct latencies *l, double q)
{
    uint64_t seen = 0;

    for (size_t i = 0; i < N_STEPS; i++) {
        seen += l->counts[i];
        if ((double)seen >= q * (double)l->n)
            return step_end_us(i);
    }
    return l->longest_us;
}

/* ---- over time ---- */

int series_init(struct series *series, double seconds)
{
    *series = (struct series){.n_max = (size_t)(seconds * 1000 / SERIES_INTERVAL_MS)};
    series->intervals = calloc(series->n_max, sizeof(*series->intervals));
    return series->intervals ? 0 : bench_fail("out of memory");
}

void series_release(struct series *series)
{
    free(series->intervals);
    *series = (struct series){0};
}

/* What comes late belongs to the last one. */
static struct interval *interval_at(struct series *series, double at_s)
{
    size_t i = at_s > 0 ? (size_t)(at_s * 1000 / SERIES_INTERVAL_MS) : 0;

    return &series->intervals[i < series->n_max ? i : series->n_max - 1];
}

void series_add(struct series *series, double at_s, double us)
{
    struct interval *interval = interval_at(series, at_s);

    interval->n++;
    interval->longest_us = us > interval->longest_us ? us : interval->longest_us;
    latencies_add(&series->latencies, us);
}

void series_checkpoint(struct series *series, double at_s)
{
    interval_at(series, at_s)->checkpoint = true;
}

double series_rate(const struct series *series, double from, double to)
{
    size_t first = (size_t)(from * (double)series->n_max), end = (size_t)(to * (double)series->n_max);
    uint64_t n = 0;

    for (size_t i = first; i < end; i++)
        n += series->intervals[i].n;
    return end > first ? (double)n * 1000 / SERIES_INTERVAL_MS / (double)(end - first) : 0;
}

/* ---- files ---- */

static int write_intervals(const struct series *series, const struct bench *bench, const char *file_name)
{
    FILE *file = plot_open(bench, file_name, "w");

    if (!file)
        return -1;
    fputs("ms,operations,longest_us,checkpoint\n", file);
    for (size_t i = 0; i < series->n_max; i++) {
        const struct interval *interval = &series->intervals[i];
        fprintf(file, "%zu,%" PRIu64 ",%.1f,%d\n", i * SERIES_INTERVAL_MS, interval->n, interval->longest_us,
                interval->checkpoint);
    }
    return plot_close(bench, file);
}

static int write_latencies(const struct series *series, const struct bench *bench, const char *file_name)
{
    FILE *file = plot_open(bench, file_name, "w");

    if (!file)
        return -1;
    fputs("up_to_us,operations\n", file);
    for (size_t i = 0; i < N_STEPS; i++) {
        if (series->latencies.counts[i] > 0)
            fprintf(file, "%.3f,%" PRIu64 "\n", step_end_us(i), series->latencies.counts[i]);
    }
    return plot_close(bench, file);
}

int series_plot(const struct series *series, const struct bench *bench, const char *name, unsigned round)
{
    char intervals[128], latencies[128], picture[128];

    if (!bench->plot_dir)
        return 0;
    snprintf(picture, sizeof(picture), "%s-%u", name, round + 1);
    snprintf(intervals, sizeof(intervals), "%s-%u.csv", name, round + 1);
    snprintf(latencies, sizeof(latencies), "%s-%u-latencies.csv", name, round + 1);
    if (write_intervals(series, bench, intervals) != 0 || write_latencies(series, bench, latencies) != 0)
        return -1;
    return plot_series(bench, picture);
}
