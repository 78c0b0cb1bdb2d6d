/* Durable sets for a minute: what is slow now and then is not seen in a turn of 0.2 s. */
#include "series.h"
#include "sides.h"

#include <stdlib.h>

#define SECONDS 60
#define SECONDS_QUICK 2
#define TIMES_P50 20   /* what the 99.9th percentile may be of the median */
#define STALL_MS 250.0 /* the longest that may be */
#define PART (1.0 / 6) /* ten seconds of the minute */

/* The scores of all rounds, by comparison. */
struct sustained {
    struct score p999[BENCH_ROUNDS_MAX], times_p50[BENCH_ROUNDS_MAX];
    struct score longest[BENCH_ROUNDS_MAX], stall[BENCH_ROUNDS_MAX];
    struct score last[BENCH_ROUNDS_MAX], first[BENCH_ROUNDS_MAX];
};

static void score_round(const struct series *series, unsigned round, struct sustained *s)
{
    s->p999[round].value = latencies_quantile_us(&series->latencies, 0.999);
    s->times_p50[round].value = TIMES_P50 * latencies_quantile_us(&series->latencies, 0.5);
    s->longest[round].value = series->latencies.longest_us / 1000;
    s->stall[round].value = STALL_MS;
    s->first[round].value = series_rate(series, 0, PART);
    s->last[round].value = series_rate(series, 1 - PART, 1);
}

static int run_round(const struct bench *bench, const char *name, unsigned round, struct side *side,
                     struct sustained *s)
{
    double seconds = bench->quick ? SECONDS_QUICK : SECONDS;
    struct series series;
    int rc = series_init(&series, seconds);

    bench_settle(bench);
    if (rc == 0)
        rc = ours_sustain(side, seconds, &series);
    if (rc == 0)
        rc = series_plot(&series, bench, name, round);
    if (rc == 0)
        score_round(&series, round, s);
    series_release(&series);
    return rc;
}

static int report_all(const struct bench *bench, const char *name, const struct sustained *s)
{
    struct comparison tail = {.name = name, .unit = "us", .direction = LOWER_IS_BETTER};
    struct comparison stall = {.name = name, .unit = "ms", .direction = LOWER_IS_BETTER};
    struct comparison rate = {.name = name, .unit = "sets/s", .direction = HIGHER_IS_BETTER};
    int rc = bench_report(bench, &tail, "p99.9: the goal is 20 x p50", s->p999, s->times_p50);

    if (rc == 0)
        rc = bench_report(bench, &stall, "the longest: the goal is 250 ms", s->longest, s->stall);
    if (rc == 0)
        rc = bench_report(bench, &rate, "the last sixth of the time: the first", s->last, s->first);
    return rc;
}

int case_set_sustained(const struct bench *bench, const char *name)
{
    struct bench many = *bench;
    struct sustained *s = calloc(1, sizeof(*s));
    struct side side = {0};
    int rc = s ? 0 : bench_fail("out of memory");

    many.n_written_keys = bench->n_reopened_keys;
    if (rc == 0)
        rc = ours_sustained(&many, &side);
    for (unsigned i = 0; i < bench->rounds && rc == 0; i++)
        rc = run_round(bench, name, i, &side, s);
    if (rc == 0)
        rc = report_all(bench, name, s);
    bench_close(&side, 1);
    free(s);
    return rc;
}
