/* Durable sets by one thread for a long time, with the checkpoints that they bring about. */
#include "ours.h"
#include "series.h"
#include "sides.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

/* LMDB's file is written by checkpoints alone: when it was written last tells where they were, and costs little. */
struct watch {
    char *file;
    double offset_s; /* of the wall clock from ours */
    struct timespec written;
};

static double seconds_of(struct timespec ts)
{
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int watch_init(struct watch *watch, const struct ours *o)
{
    struct timespec wall;

    clock_gettime(CLOCK_REALTIME, &wall);
    *watch = (struct watch){.offset_s = seconds_of(wall) - bench_now_s()};
    if (asprintf(&watch->file, "%s/lmdb/data.mdb", o->dir) < 0)
        watch->file = NULL;
    return watch->file ? 0 : bench_fail("out of memory");
}

static void watch_look(struct watch *watch, struct series *series, double began_s)
{
    struct stat st;

    if (stat(watch->file, &st) != 0)
        return;
    if (st.st_mtim.tv_sec == watch->written.tv_sec && st.st_mtim.tv_nsec == watch->written.tv_nsec)
        return;
    watch->written = st.st_mtim;
    if (seconds_of(st.st_mtim) - watch->offset_s >= began_s)
        series_checkpoint(series, seconds_of(st.st_mtim) - watch->offset_s - began_s);
}

static int write_on(struct ours *o, struct watch *watch, double seconds, struct series *series)
{
    double began_s = bench_now_s(), started_s = began_s, ended_s, look_s = began_s;
    uint64_t random = 0x9e3779b97f4a7c15u;

    do {
        if (set_op(o, 0, bench_random(&random)) != 0)
            return -1;
        ended_s = bench_now_s();
        series_add(series, ended_s - began_s, (ended_s - started_s) * 1e6);
        if (ended_s >= look_s) {
            watch_look(watch, series, began_s);
            look_s += SERIES_INTERVAL_MS / 1000.0;
        }
        started_s = ended_s;
    } while (ended_s - began_s < seconds && !bench_is_stopped());
    return bench_is_stopped() ? bench_fail("stopped by a signal") : 0;
}

int ours_sustain(struct side *side, double seconds, struct series *series)
{
    struct ours *o = side->state;
    struct watch watch;
    int rc = watch_init(&watch, o);

    if (rc == 0)
        rc = write_on(o, &watch, seconds, series);
    free(watch.file);
    return rc;
}

int ours_sustained(const struct bench *bench, struct side *ret_side)
{
    struct ours *o = NULL;
    int rc = ours_set(bench, 1, NULL, ret_side);

    if (rc != 0)
        return rc;
    o = ret_side->state;
    rc = load(o, bench->n_written_keys, 0);
    return rc == 0 ? checkpoint(o) : rc;
}
