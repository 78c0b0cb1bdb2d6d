/* Gets and scans. */
#include "sides.h"

static int compare_gets(const struct bench *bench, const char *name, bool in_overlay)
{
    struct comparison c = {.name = name, .unit = "gets/s", .direction = HIGHER_IS_BETTER};
    struct side sides[2] = {0};
    int rc = ours_get(bench, in_overlay, &sides[0]);

    if (rc == 0)
        rc = lmdb_get(bench, &sides[1]);
    if (rc == 0)
        rc = bench_compare(bench, &c, sides, 2);
    bench_close(sides, 2);
    return rc;
}

int case_get_hit(const struct bench *bench, const char *name)
{
    return compare_gets(bench, name, false);
}

int case_get_hit_overlay(const struct bench *bench, const char *name)
{
    return compare_gets(bench, name, true);
}

int case_scan(const struct bench *bench, const char *name)
{
    struct comparison c = {.name = name, .unit = "keys/s", .direction = HIGHER_IS_BETTER};
    struct side sides[2] = {0};
    int rc = ours_scan(bench, &sides[0]);

    if (rc == 0)
        rc = lmdb_scan(bench, &sides[1]);
    if (rc == 0)
        rc = bench_compare(bench, &c, sides, 2);
    bench_close(sides, 2);
    return rc;
}
