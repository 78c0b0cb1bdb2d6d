/* Turns, medians and the JSON line. */
#include "plot.h"

#include <cjson/cJSON.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- errors and time ---- */

static volatile sig_atomic_t stopped;
static unsigned turn_number; /* set between turns, when no worker runs */

int bench_fail(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fputs("holdfast-bench: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    return -1;
}

double bench_now_s(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

bool bench_is_stopped(void)
{
    return stopped;
}

void bench_stop(void)
{
    stopped = 1;
}

/* ---- threads ---- */

uint64_t bench_random(uint64_t *state)
{
    uint64_t x = *state;

    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return *state = x;
}

/* What all threads of one turn share. */
struct crew {
    const struct bench *bench;
    bench_op *op;
    void *state;
    pthread_barrier_t start;
    double until_s; /* set by the first thread behind the barrier */
};

struct worker {
    struct crew *crew;
    pthread_t thread;
    unsigned number;
    uint64_t done;
    double ended_s;
    int rc;
};

static void *work(void *arg)
{
    struct worker *w = arg;
    struct crew *crew = w->crew;
    uint64_t random = 0x9e3779b97f4a7c15u * (w->number + 1 + 1000ull * turn_number); /* the same for each side */

    pthread_barrier_wait(&crew->start); /* the starter sets until_s between the two */
    pthread_barrier_wait(&crew->start);
    do {
        w->rc = crew->op(crew->state, w->number, bench_random(&random));
        w->done += w->rc == 0;
        w->ended_s = bench_now_s();
    } while (w->rc == 0 && w->ended_s < crew->until_s);
    return NULL;
}

int bench_threads(const struct bench *bench, unsigned n_threads, unsigned per_op, bench_op *op, void *state,
                  struct tally *ret_tally)
{
    struct crew crew = {.bench = bench, .op = op, .state = state};
    struct worker *workers = calloc(n_threads, sizeof(*workers));
    struct tally tally = {0};
    double started_s;
    int rc = 0;

    if (!workers)
        return bench_fail("out of memory");
    pthread_barrier_init(&crew.start, NULL, n_threads + 1);
    for (unsigned i = 0; i < n_threads; i++) {
        workers[i] = (struct worker){.crew = &crew, .number = i};
        if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0)
            abort(); /* the others wait at the barrier for ever */
    }
    pthread_barrier_wait(&crew.start);
    started_s = bench_now_s();
    crew.until_s = started_s + bench->turn_s;
    pthread_barrier_wait(&crew.start);
    for (unsigned i = 0; i < n_threads; i++) {
        pthread_join(workers[i].thread, NULL);
        tally.done += workers[i].done * per_op;
        tally.rate += (double)workers[i].done * per_op / (workers[i].ended_s - started_s);
        rc |= workers[i].rc;
    }
    pthread_barrier_destroy(&crew.start);
    free(workers);
    *ret_tally = tally;
    return rc;
}

/* ---- figures ---- */

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Sorts `figures`. */
static double median(double *figures, size_t n)
{
    qsort(figures, n, sizeof(*figures), compare_doubles);
    return n % 2 ? figures[n / 2] : (figures[n / 2 - 1] + figures[n / 2]) / 2;
}

/* To four significant digits: what a measurement like this can bear. */
static double rounded(double figure)
{
    char text[32];

    snprintf(text, sizeof(text), "%.4g", figure);
    return strtod(text, NULL);
}

/* The column of one field of the scores of one side. */
static void take_column(const struct score *scores, unsigned rounds, bool acknowledged, double *ret_figures)
{
    for (unsigned i = 0; i < rounds; i++)
        ret_figures[i] = acknowledged ? scores[i].acknowledged : scores[i].value;
}

struct ratio {
    double median, min, max;
};

/* `scratch` has room for `rounds`. */
static struct ratio ratio_of(const struct score *ours, const struct score *theirs, unsigned rounds,
                             bool acknowledged, enum direction direction, double *scratch)
{
    struct ratio r;

    take_column(ours, rounds, acknowledged, scratch);
    for (unsigned i = 0; i < rounds; i++)
        scratch[i] = direction == HIGHER_IS_BETTER ? scratch[i] / theirs[i].value : theirs[i].value / scratch[i];
    r.median = median(scratch, rounds);
    r.min = scratch[0];
    r.max = scratch[rounds - 1];
    return r;
}

static double median_of(const struct score *scores, unsigned rounds, bool acknowledged, double *scratch)
{
    take_column(scores, rounds, acknowledged, scratch);
    return median(scratch, rounds);
}

static double highest_memory(const struct score *scores, unsigned rounds)
{
    double highest = 0;

    for (unsigned i = 0; i < rounds; i++)
        highest = scores[i].memory_mib > highest ? scores[i].memory_mib : highest;
    return highest;
}

/* ---- the line ---- */

static void add_spread(cJSON *line, const struct ratio *ratio)
{
    cJSON *spread = cJSON_AddArrayToObject(line, "spread");

    cJSON_AddItemToArray(spread, cJSON_CreateNumber(rounded(ratio->min)));
    cJSON_AddItemToArray(spread, cJSON_CreateNumber(rounded(ratio->max)));
}

static int print_line(cJSON *line)
{
    char *text = cJSON_PrintUnformatted(line);

    cJSON_Delete(line);
    if (!text)
        return bench_fail("out of memory");
    puts(text);
    cJSON_free(text);
    return fflush(stdout) == 0 ? 0 : bench_fail("cannot write to standard output");
}

int bench_report(const struct bench *bench, const struct comparison *c, const char *peer, const struct score *ours,
                 const struct score *theirs)
{
    unsigned n = bench->rounds;
    double scratch[BENCH_ROUNDS_MAX];
    struct ratio ratio = ratio_of(ours, theirs, n, false, c->direction, scratch);
    cJSON *line = cJSON_CreateObject();

    cJSON_AddStringToObject(line, "case", c->name);
    cJSON_AddNumberToObject(line, "ours", rounded(median_of(ours, n, false, scratch)));
    cJSON_AddStringToObject(line, "peer", peer);
    cJSON_AddNumberToObject(line, "theirs", rounded(median_of(theirs, n, false, scratch)));
    cJSON_AddNumberToObject(line, "ratio", rounded(ratio.median));
    cJSON_AddStringToObject(line, "unit", c->unit);
    cJSON_AddNumberToObject(line, "rounds", n);
    add_spread(line, &ratio);
    if (plot_ratio(bench, c->name, peer, ratio.median, ratio.min, ratio.max) != 0) {
        cJSON_Delete(line);
        return -1;
    }
    if (ours[0].acknowledged > 0) {
        ratio = ratio_of(ours, theirs, n, true, c->direction, scratch);
        cJSON_AddNumberToObject(line, "ours_acknowledged", rounded(median_of(ours, n, true, scratch)));
        cJSON_AddNumberToObject(line, "ratio_acknowledged", rounded(ratio.median));
    }
    if (highest_memory(ours, n) > 0)
        cJSON_AddNumberToObject(line, "ours_memory_mib", rounded(highest_memory(ours, n)));
    cJSON_AddStringToObject(line, "fs", bench->fs);
    if (bench->quick)
        cJSON_AddBoolToObject(line, "quick", true);
    return print_line(line);
}

/* ---- turns ---- */

/* Add the turn's share to the round's score. */
static int take_turn(const struct bench *bench, struct side *side, struct score *score)
{
    struct score turn = {0};

    if (bench_is_stopped())
        return bench_fail("stopped by a signal");
    bench_settle(bench);
    if (side->turn(side->state, &turn) != 0)
        return -1;
    if (!(turn.value > 0))
        return bench_fail("'%s' was too fast or too slow to be measured", side->name);
    score->value += turn.value / bench->turns;
    score->acknowledged += turn.acknowledged / bench->turns;
    if (turn.memory_mib > score->memory_mib)
        score->memory_mib = turn.memory_mib;
    return 0;
}

int bench_compare(const struct bench *bench, const struct comparison *c, struct side *sides, size_t n_sides)
{
    unsigned rounds = bench->rounds;
    struct score *scores = calloc(n_sides * rounds, sizeof(*scores)); /* all of sides[0], all of sides[1], ... */
    int rc = scores ? 0 : bench_fail("out of memory");

    for (unsigned i = 0; i < rounds * bench->turns && rc == 0; i++) {
        turn_number = i;
        for (size_t s = 0; s < n_sides && rc == 0; s++)
            rc = take_turn(bench, &sides[s], &scores[s * rounds + i / bench->turns]);
    }
    for (size_t s = 1; s < n_sides && rc == 0; s++)
        rc = bench_report(bench, c, sides[s].name, scores, &scores[s * rounds]);
    free(scores);
    return rc;
}

/* ---- goals ---- */

static int goal_turn(void *state, struct score *ret_score)
{
    ret_score->value = *(const double *)state;
    return 0;
}

static void goal_close(void *state)
{
    (void)state; /* the case's */
}

struct side bench_goal(const char *name, double *value)
{
    return (struct side){.name = name, .turn = goal_turn, .close = goal_close, .state = value};
}

void bench_close(struct side *sides, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (sides[i].state)
            sides[i].close(sides[i].state);
        sides[i] = (struct side){0};
    }
}
