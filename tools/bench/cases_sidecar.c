/* The sidecar beside a redis-server that syncs as well, both under redis-benchmark with 50 clients. */
#include "program.h"
#include "redis.h"
#include "sidecar.h"
#include "sides.h"

/* Both servers of a case. */
struct pair {
    struct redis *redis;
    struct sidecar *sidecar;
    int ports[2]; /* ours, theirs */
};

static int start_pair(const struct bench *bench, struct pair *pair)
{
    int rc = 0;

    *pair = (struct pair){0};
    for (int i = 0; i < 2 && rc == 0; i++) {
        pair->ports[i] = program_free_port();
        rc = pair->ports[i] > 0 ? 0 : -1;
        if (rc == 0)
            rc = i == 0 ? sidecar_start(bench, pair->ports[0], &pair->sidecar)
                        : redis_start_durable(bench, "always", pair->ports[1], &pair->redis);
    }
    return rc;
}

static void stop_pair(struct pair *pair)
{
    sidecar_stop(pair->sidecar);
    redis_stop(pair->redis);
}

static int compare_loads(const struct bench *bench, const char *name, struct load load)
{
    struct comparison c = {.name = name, .unit = "requests/s", .direction = HIGHER_IS_BETTER};
    struct side sides[2] = {0};
    struct pair pair;
    int rc = start_pair(bench, &pair);

    load.n = bench->quick ? load.n / 20 : load.n;
    load.port = pair.ports[0];
    if (rc == 0)
        rc = redis_load(bench, &load, "holdfastd", &sides[0]);
    load.port = pair.ports[1];
    if (rc == 0)
        rc = redis_load(bench, &load, "redis-server", &sides[1]);
    if (rc == 0)
        rc = bench_compare(bench, &c, sides, 2);
    bench_close(sides, 2);
    stop_pair(&pair);
    return rc;
}

int case_sidecar_get(const struct bench *bench, const char *name)
{
    return compare_loads(bench, name, (struct load){.test = "get", .pipeline = 16, .n = 400000});
}

int case_sidecar_set(const struct bench *bench, const char *name)
{
    return compare_loads(bench, name, (struct load){.test = "set", .pipeline = 1, .n = 40000});
}

int case_sidecar_set_pipelined(const struct bench *bench, const char *name)
{
    return compare_loads(bench, name, (struct load){.test = "set", .pipeline = 16, .n = 200000});
}

/* ---- idle ---- */

static int resident_turn(void *state, struct score *ret_score)
{
    ret_score->value = program_resident_mib(*(const pid_t *)state);
    return 0;
}

static void nothing_to_close(void *state)
{
    (void)state;
}

int case_sidecar_idle(const struct bench *bench, const char *name)
{
    struct comparison c = {.name = name, .unit = "MiB", .direction = LOWER_IS_BETTER};
    struct pair pair;
    int rc = start_pair(bench, &pair);
    pid_t pids[2] = {pair.sidecar ? sidecar_pid(pair.sidecar) : 0, pair.redis ? redis_pid(pair.redis) : 0};
    struct side sides[2] = {
        {.name = "holdfastd", .turn = resident_turn, .close = nothing_to_close, .state = &pids[0]},
        {.name = "redis-server", .turn = resident_turn, .close = nothing_to_close, .state = &pids[1]},
    };

    if (rc == 0)
        rc = bench_compare(bench, &c, sides, 2);
    stop_pair(&pair);
    return rc;
}
