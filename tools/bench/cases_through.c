/* Writing through: Holdfast with a Redis that is near, or some way off. */
#include "proxy.h"
#include "redis.h"
#include "sides.h"

#define WINDOW 4096 /* of both sides */

int case_through_async(const struct bench *bench, const char *name)
{
    struct comparison c = {.name = name, .unit = "sets/s", .direction = HIGHER_IS_BETTER};
    struct side sides[2] = {0};
    struct redis *redis = NULL;
    int rc = redis_start(bench, &redis);

    if (rc == 0)
        rc = ours_through(bench, redis_address(redis), WINDOW, &sides[0]);
    if (rc == 0)
        rc = redis_pipelined(bench, redis_socket(redis), WINDOW, &sides[1]);
    if (rc == 0)
        rc = bench_compare(bench, &c, sides, 2);
    bench_close(sides, 2);
    redis_stop(redis);
    return rc;
}

/* ---- with a distance ---- */

/* Nothing that is durable here and acknowledged there can take less than the slower of the two does by itself. */
struct limit {
    struct side sides[2]; /* raw append, SET over the same way */
};

static int limit_turn(void *state, struct score *ret_score)
{
    struct limit *limit = state;
    double slowest_ms = 0;

    for (int i = 0; i < 2; i++) {
        struct score score = {0};
        if (limit->sides[i].turn(limit->sides[i].state, &score) != 0)
            return -1;
        slowest_ms = 1000 / score.value > slowest_ms ? 1000 / score.value : slowest_ms;
    }
    ret_score->value = slowest_ms;
    return 0;
}

static void limit_close(void *state)
{
    struct limit *limit = state;

    bench_close(limit->sides, 2);
}

static int open_limit(const struct bench *bench, const struct proxy *proxy, struct limit *limit,
                      struct side *ret_side)
{
    int rc = raw_append(bench, 1, &limit->sides[0]);

    *ret_side = (struct side){
        .name = "the slower of raw append and SET", .turn = limit_turn, .close = limit_close, .state = limit};
    return rc == 0 ? redis_set(bench, proxy_socket(proxy), 1, "SET", &limit->sides[1]) : rc;
}

static int compare_at_distance(const struct bench *bench, const char *name, double round_trip_ms)
{
    struct comparison c = {.name = name, .unit = "ms", .direction = LOWER_IS_BETTER};
    struct side sides[2] = {0};
    struct limit limit = {0};
    struct redis *redis = NULL;
    struct proxy *proxy = NULL;
    int rc = redis_start(bench, &redis);

    if (rc == 0)
        rc = proxy_start(bench, redis_socket(redis), round_trip_ms, &proxy);
    if (rc == 0)
        rc = ours_through_blocking(bench, proxy_address(proxy), &sides[0]);
    if (rc == 0)
        rc = open_limit(bench, proxy, &limit, &sides[1]);
    if (rc == 0)
        rc = bench_compare(bench, &c, sides, 2);
    bench_close(sides, 2);
    proxy_stop(proxy);
    redis_stop(redis);
    return rc;
}

int case_through_1ms(const struct bench *bench, const char *name)
{
    return compare_at_distance(bench, name, 1);
}

int case_through_20ms(const struct bench *bench, const char *name)
{
    return compare_at_distance(bench, name, 20);
}
