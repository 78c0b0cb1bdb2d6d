/* Reopening a store: the time must depend on the journal's tail alone, so the peer is a store with few keys. */
#include "sides.h"

#define FEW_KEYS 10000
#define GOAL_MS 10.0
#define ENTRY_BYTES 160 /* in the journal */
#define GOAL_BYTES_PER_MS 500e3

/* A fixed time, and what reading the tail takes at 500 MB/s. */
static double goal_ms(const struct bench *bench, bool killed)
{
    return GOAL_MS + (killed ? (double)bench->n_tail_entries * ENTRY_BYTES / GOAL_BYTES_PER_MS : 0);
}

static int compare_sizes(const struct bench *bench, const char *name, bool killed)
{
    struct comparison c = {.name = name, .unit = "ms", .direction = LOWER_IS_BETTER};
    struct side sides[3] = {0};
    double goal = goal_ms(bench, killed);
    int rc = ours_reopen(bench, "many keys", bench->n_reopened_keys, killed, &sides[0]);

    if (rc == 0)
        rc = ours_reopen(bench, "the same with 10,000 keys", FEW_KEYS, killed, &sides[1]);
    sides[2] = bench_goal("the goal: 10 ms, and the journal at 500 MB/s", &goal);
    if (rc == 0)
        rc = bench_compare(bench, &c, sides, 3);
    bench_close(sides, 3);
    return rc;
}

int case_reopen_clean(const struct bench *bench, const char *name)
{
    return compare_sizes(bench, name, false);
}

int case_reopen_killed(const struct bench *bench, const char *name)
{
    return compare_sizes(bench, name, true);
}
