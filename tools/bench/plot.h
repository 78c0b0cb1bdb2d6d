/* The figures of a run as pictures: CSV files, and SVG that gnuplot draws from them. Everything here does nothing, and returns 0,
 * where bench->plot_dir is NULL. */
#ifndef BENCH_PLOT_H
#define BENCH_PLOT_H

#include "bench.h"

#include <stdio.h>

/* Leave the scripts for gnuplot, and an empty ratios.csv, in plot_dir. Fails where gnuplot is not there. */
int plot_begin(const struct bench *bench);
/* One comparison for the bars: the median of its ratios, and their spread. */
int plot_ratio(const struct bench *bench, const char *name, const char *peer, double median, double min,
               double max);
/* Draw ratios.svg: the bars of all comparisons so far. */
int plot_ratios(const struct bench *bench);
/* Draw SERIES.svg and SERIES-latencies.svg of the CSV files of these names. */
int plot_series(const struct bench *bench, const char *series);
/* A file in plot_dir, opened as fopen does; NULL after bench_fail. The caller closes it with plot_close. */
FILE *plot_open(const struct bench *bench, const char *name, const char *mode);
int plot_close(const struct bench *bench, FILE *file);

#endif
