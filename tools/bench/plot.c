/* The figures of a run as pictures. The scripts stay beside them, so that a picture can be drawn otherwise. */
#include "plot.h"

#include "program.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GNUPLOT_S 60
#define RATIOS_SCRIPT "ratios.gnuplot"
#define SERIES_SCRIPT "series.gnuplot"

/* gnuplot -c SCRIPT DIR. A bar begins at 1, where both are as fast. */
static const char ratios_script[] =
    "set datafile separator ','\n"
    "csv = ARG1.'/ratios.csv'\n"
    "stats csv using 3:4 skip 1 nooutput\n"
    "set terminal svg size 900,90+22*STATS_records noenhanced font 'sans-serif,12' background 'white'\n"
    "set output ARG1.'/ratios.svg'\n"
    "set tmargin 3\n"
    "set label 'Holdfast / the other: above 1 Holdfast is better, or has reached the goal' at screen 0.5,graph 1 "
    "center offset 0,1\n"
    "set logscale x 2\n"
    "set xlabel 'ratio, median of the rounds; the line is their spread'\n"
    "set xrange [(STATS_min_x < 0.5 ? STATS_min_x : 0.5)/1.2:(STATS_max_y > 2 ? STATS_max_y : 2)*2]\n"
    "set yrange [-STATS_records:1]\n"
    "set ytics nomirror scale 0\n"
    "set grid xtics\n"
    "set arrow from 1,graph 0 to 1,graph 1 nohead lc rgb '#333333' lw 1.5\n"
    "unset key\n"
    "plot csv using (1):(-$0):(1):2:(-$0-0.35):(-$0+0.35):($2 < 1 ? 0xd9822b : 0x2b6cb0):ytic(1) skip 1 \\\n"
    "         with boxxyerror fs solid 0.75 noborder lc rgb variable, \\\n"
    "     csv using 2:(-$0):3:4 skip 1 with xerrorbars pt 0 lc rgb '#333333', \\\n"
    "     csv using ($4 > 1 ? $4 : 1):(-$0):(sprintf('%.2f', $2)) skip 1 with labels left offset 0.8,0\n";

/* gnuplot -c SCRIPT DIR SERIES */
static const char series_script[] =
    "set datafile separator ','\n"
    "csv = ARG1.'/'.ARG2.'.csv'\n"
    "set terminal svg size 900,520 noenhanced font 'sans-serif,12' background 'white'\n"
    "set output ARG1.'/'.ARG2.'.svg'\n"
    "set multiplot layout 2,1\n"
    "set grid\n"
    "set lmargin 12\n"
    "set xlabel 's'\n"
    "stats csv using ($1/1000) skip 1 nooutput\n"
    "set xrange [0:STATS_max]\n"
    "set yrange [0:*]\n"
    "set key outside top right horizontal\n"
    "set ylabel 'thousand sets/s'\n"
    "plot csv using ($1/1000):($2/100) skip 1 with lines lc rgb '#2b6cb0' title 'durable sets', \\\n"
    "     csv using ($4 > 0 ? $1/1000 : NaN):(0) skip 1 with points pt 9 ps 0.8 lc rgb '#d9822b' title "
    "'checkpoint'\n"
    "set ylabel 'the longest, ms'\n"
    "plot csv using ($1/1000):($3/1000) skip 1 with impulses lc rgb '#2b6cb0' notitle, \\\n"
    "     csv using ($4 > 0 ? $1/1000 : NaN):(0) skip 1 with points pt 9 ps 0.8 lc rgb '#d9822b' notitle\n"
    "unset multiplot\n"
    "reset\n"
    "set datafile separator ','\n"
    "set terminal svg size 900,340 noenhanced font 'sans-serif,12' background 'white'\n"
    "set output ARG1.'/'.ARG2.'-latencies.svg'\n"
    "set grid\n"
    "set logscale xy\n"
    "set xlabel 'µs until a set was durable'\n"
    "set ylabel 'sets'\n"
    "set yrange [0.7:*]\n"
    "unset key\n"
    "plot ARG1.'/'.ARG2.'-latencies.csv' using 1:2 skip 1 with impulses lc rgb '#2b6cb0'\n";

/* ---- files ---- */

FILE *plot_open(const struct bench *bench, const char *name, const char *mode)
{
    char *path = NULL;
    FILE *file = NULL;

    if (asprintf(&path, "%s/%s", bench->plot_dir, name) >= 0) {
        file = fopen(path, mode);
        free(path);
    }
    if (!file)
        bench_fail("cannot write '%s' in '%s': %s", name, bench->plot_dir, strerror(errno));
    return file;
}

int plot_close(const struct bench *bench, FILE *file)
{
    bool failed = ferror(file) != 0;

    if (fclose(file) == 0 && !failed)
        return 0;
    return bench_fail("cannot write a plot to '%s': %s", bench->plot_dir, strerror(errno));
}

static int write_file(const struct bench *bench, const char *name, const char *text)
{
    FILE *file = plot_open(bench, name, "w");

    if (!file)
        return -1;
    fputs(text, file);
    return plot_close(bench, file);
}

/* ---- gnuplot ---- */

static int run_gnuplot(char *const argv[])
{
    pid_t pid;
    int status;

    if (program_start(argv, NULL, NULL, &pid) != 0)
        return -1;
    status = program_wait(pid, GNUPLOT_S);
    if (status == 0)
        return 0;
    return status == 127 ? bench_fail("--plot needs gnuplot, which is not there")
                         : bench_fail("gnuplot ended with status %d", status);
}

static int draw(const struct bench *bench, const char *script, const char *series)
{
    char *path = NULL;
    int rc;

    if (asprintf(&path, "%s/%s", bench->plot_dir, script) < 0)
        return bench_fail("out of memory");
    rc = run_gnuplot((char *[]){"gnuplot", "-c", path, (char *)bench->plot_dir, (char *)series, NULL});
    free(path);
    return rc;
}

/* ---- what is drawn ---- */

int plot_begin(const struct bench *bench)
{
    if (!bench->plot_dir)
        return 0;
    if (run_gnuplot((char *[]){"gnuplot", "--version", NULL}) != 0 ||
        write_file(bench, RATIOS_SCRIPT, ratios_script) != 0 ||
        write_file(bench, SERIES_SCRIPT, series_script) != 0)
        return -1;
    return write_file(bench, "ratios.csv", "comparison,ratio,lowest,highest\n");
}

int plot_ratio(const struct bench *bench, const char *name, const char *peer, double median, double min, double max)
{
    FILE *file = bench->plot_dir ? plot_open(bench, "ratios.csv", "a") : NULL;

    if (!file)
        return bench->plot_dir ? -1 : 0;
    fprintf(file, "\"%s / %s\",%g,%g,%g\n", name, peer, median, min, max);
    return plot_close(bench, file);
}

int plot_ratios(const struct bench *bench)
{
    return bench->plot_dir ? draw(bench, RATIOS_SCRIPT, "") : 0;
}

int plot_series(const struct bench *bench, const char *series)
{
    return bench->plot_dir ? draw(bench, SERIES_SCRIPT, series) : 0;
}
