/* The sidecar beside a redis-server that syncs as well, and one that keeps nothing on disk: the limit of sockets and client.
 * All under redis-benchmark with 50 clients. */
#include "program.h"
#include "redis.h"
#include "sidecar.h"
#include "sides.h"

/* The servers of a case. */
struct servers {
    struct sidecar *sidecar;
    struct redis *durable, *diskless;
    int ports[3]; /* in this order */
};

static int start_servers(const struct bench *bench, struct servers *servers)
{
    int rc = 0;

    *servers = (struct servers){0};
    for (size_t i = 0; i < 3 && rc == 0; i++) {
        servers->ports[i] = program_free_port();
        rc = servers->ports[i] > 0 ? 0 : -1;
        if (rc == 0 && i == 0)
            rc = sidecar_start(bench, servers->ports[0], &servers->sidecar);
        else if (rc == 0)
            rc = redis_start_with(bench, i == 1 ? "always" : NULL, servers->ports[i],
                                  i == 1 ? &servers->durable : &servers->diskless);
    }
    return rc;
}

static void stop_servers(struct servers *servers)
{
    sidecar_stop(servers->sidecar);
    redis_stop(servers->durable);
    redis_stop(servers->diskless);
}

static int compare_loads(const struct bench *bench, const char *name, struct load load)
{
    static const char *const names[3] = {"holdfastd", "redis-server", "redis-server without disk"};
    struct comparison c = {.name = name, .unit = "requests/s", .direction = HIGHER_IS_BETTER};
    struct side sides[3] = {0};
    struct servers servers;
    int rc = start_servers(bench, &servers);

    load.n = bench->quick ? load.n / 20 : load.n;
    for (size_t i = 0; i < 3 && rc == 0; i++) {
        load.port = servers.ports[i];
        rc = redis_load(bench, &load, names[i], &sides[i]);
    }
    if (rc == 0)
        rc = bench_compare(bench, &c, sides, 3);
    bench_close(sides, 3);
    stop_servers(&servers);
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
    struct servers servers;
    int rc = start_servers(bench, &servers);
    pid_t pids[2] = {servers.sidecar ? sidecar_pid(servers.sidecar) : 0,
                     servers.durable ? redis_pid(servers.durable) : 0};
    struct side sides[2] = {
        {.name = "holdfastd", .turn = resident_turn, .close = nothing_to_close, .state = &pids[0]},
        {.name = "redis-server", .turn = resident_turn, .close = nothing_to_close, .state = &pids[1]},
    };

    if (rc == 0)
        rc = bench_compare(bench, &c, sides, 2);
    stop_servers(&servers);
    return rc;
}
