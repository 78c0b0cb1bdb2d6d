/* Durable sets: by one thread, by several, and asynchronous ones. */
#include "redis.h"
#include "sides.h"

static int compare_sets(const struct bench *bench, const char *name, struct side *sides, size_t n_sides)
{
    struct comparison c = {.name = name, .unit = "sets/s", .direction = HIGHER_IS_BETTER};

    return bench_compare(bench, &c, sides, n_sides);
}

#define N_WRITERS 5 /* sides */

/* Ours and its peers, each with so many writers; the raw file gets them in groups of as many. */
static int compare_writers(const struct bench *bench, const char *name, unsigned n_threads)
{
    struct side sides[N_WRITERS] = {0};
    struct redis *redis = NULL;
    int rc = ours_set(bench, n_threads, NULL, &sides[0]);

    if (rc == 0)
        rc = raw_append(bench, n_threads, &sides[1]);
    if (rc == 0)
        rc = lmdb_outbox(bench, n_threads, &sides[2]);
    if (rc == 0)
        rc = sqlite_set(bench, n_threads, &sides[3]);
    if (rc == 0)
        rc = redis_start_with(bench, "always", 0, &redis);
    if (rc == 0)
        rc = redis_set(bench, redis_socket(redis), n_threads, "redis-server appendfsync always", &sides[4]);
    if (rc == 0)
        rc = compare_sets(bench, name, sides, N_WRITERS);
    bench_close(sides, N_WRITERS);
    redis_stop(redis);
    return rc;
}

int case_set_1_thread(const struct bench *bench, const char *name)
{
    return compare_writers(bench, name, 1);
}

int case_set_2_threads(const struct bench *bench, const char *name)
{
    return compare_writers(bench, name, 2);
}

int case_set_4_threads(const struct bench *bench, const char *name)
{
    return compare_writers(bench, name, 4);
}

int case_set_16_threads(const struct bench *bench, const char *name)
{
    return compare_writers(bench, name, 16);
}

int case_set_async(const struct bench *bench, const char *name)
{
    struct side sides[2] = {0};
    int rc = ours_async(bench, 1024, NULL, &sides[0]);

    if (rc == 0)
        rc = raw_append(bench, 64, &sides[1]);
    if (rc == 0)
        rc = compare_sets(bench, name, sides, 2);
    bench_close(sides, 2);
    return rc;
}

/* Neither side waits for the disk. */
int case_set_interval(const struct bench *bench, const char *name)
{
    struct hf_options interval = {.durability = HF_DURABILITY_INTERVAL};
    struct side sides[2] = {0};
    struct redis *redis = NULL;
    int rc = ours_set(bench, 1, &interval, &sides[0]);

    if (rc == 0)
        rc = redis_start_with(bench, "everysec", 0, &redis);
    if (rc == 0)
        rc = redis_set(bench, redis_socket(redis), 1, "redis-server appendfsync everysec", &sides[1]);
    if (rc == 0)
        rc = compare_sets(bench, name, sides, 2);
    bench_close(sides, 2);
    redis_stop(redis);
    return rc;
}

/* ---- values of other sizes ---- */

static int compare_values(const struct bench *bench, const char *name, size_t value_bytes)
{
    struct bench other = bench_with_values(bench, value_bytes);

    return compare_writers(&other, name, 1);
}

int case_set_value_16(const struct bench *bench, const char *name)
{
    return compare_values(bench, name, 16);
}

int case_set_value_4k(const struct bench *bench, const char *name)
{
    return compare_values(bench, name, 4u << 10);
}

int case_set_value_256k(const struct bench *bench, const char *name)
{
    return compare_values(bench, name, 256u << 10);
}
