/* Reopening a store: the time must depend on the journal's tail alone, so the peer is a store with few keys. */
#include "sides.h"

#define FEW_KEYS 10000

static int compare_sizes(const struct bench *bench, const char *name, bool killed)
{
    struct comparison c = {.name = name, .unit = "ms", .direction = LOWER_IS_BETTER};
    struct side sides[2] = {0};
    int rc = ours_reopen(bench, "many keys", bench->n_reopened_keys, killed, &sides[0]);

    if (rc == 0)
        rc = ours_reopen(bench, "the same with 10,000 keys", FEW_KEYS, killed, &sides[1]);
    if (rc == 0)
        rc = bench_compare(bench, &c, sides, 2);
    bench_close(sides, 2);
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
