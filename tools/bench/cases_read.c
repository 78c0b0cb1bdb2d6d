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

/* As many as a large store has. */
static struct bench with_many_keys(const struct bench *bench)
{
    struct bench many = *bench;

    many.n_keys = bench->n_reopened_keys;
    return many;
}

int case_get_hit_1m(const struct bench *bench, const char *name)
{
    struct bench many = with_many_keys(bench);

    return compare_gets(&many, name, false);
}

int case_get_hit_overlay_1m(const struct bench *bench, const char *name)
{
    struct bench many = with_many_keys(bench);

    return compare_gets(&many, name, true);
}

static int compare_values(const struct bench *bench, const char *name, size_t value_bytes)
{
    struct bench other = bench_with_values(bench, value_bytes);

    return compare_gets(&other, name, false);
}

int case_get_value_16(const struct bench *bench, const char *name)
{
    return compare_values(bench, name, 16);
}

int case_get_value_4k(const struct bench *bench, const char *name)
{
    return compare_values(bench, name, 4u << 10);
}

int case_get_value_256k(const struct bench *bench, const char *name)
{
    return compare_values(bench, name, 256u << 10);
}

/* ---- beside a writer ---- */

/* Ours beside itself with fewer readers. */
static int compare_readers(const struct bench *bench, const struct comparison *c, unsigned n_fewer, bool of_writer,
                           const char *fewer_name)
{
    struct side sides[2] = {0}, store = {0};
    int rc = ours_get(bench, false, &store);

    if (rc == 0)
        rc = ours_readers(&store, 2, of_writer, "two readers", &sides[0]);
    if (rc == 0)
        rc = ours_readers(&store, n_fewer, of_writer, fewer_name, &sides[1]);
    if (rc == 0)
        rc = bench_compare(bench, c, sides, 2);
    bench_close(sides, 2);
    bench_close(&store, 1);
    return rc;
}

int case_get_2_threads(const struct bench *bench, const char *name)
{
    struct comparison c = {.name = name, .unit = "gets/s", .direction = HIGHER_IS_BETTER};

    return compare_readers(bench, &c, 1, false, "one reader");
}

int case_get_2_threads_writer(const struct bench *bench, const char *name)
{
    struct comparison c = {.name = name, .unit = "sets/s", .direction = HIGHER_IS_BETTER};

    return compare_readers(bench, &c, 0, true, "no reader");
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
