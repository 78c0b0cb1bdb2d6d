/* redis-benchmark against a server: what it says is the score. */
#include "program.h"
#include "sides.h"

#include <stdio.h>
#include <stdlib.h>

#define LOAD_S 300

struct loaded {
    const struct bench *bench;
    struct load load;
    char *output;
};

static void loaded_close(void *state)
{
    struct loaded *l = state;

    free(l->output);
    free(l);
}

/* The second line of its CSV: "SET","12345.67",... */
static int read_rate(const char *file, double *ret_rate)
{
    char line[512];
    FILE *csv = fopen(file, "r");
    int found = 0;

    while (csv && found != 1 && fgets(line, sizeof(line), csv))
        found = sscanf(line, "\"%*[A-Z]\",\"%lf\"", ret_rate);
    if (csv)
        fclose(csv);
    return found == 1 ? 0 : bench_fail("redis-benchmark told no rate in '%s'", file);
}

static int run_load(const struct loaded *l, const char *test, unsigned pipeline, size_t n)
{
    char port[8], depth[8], number[24], keys[24], bytes[24];
    char *argv[] = {"redis-benchmark",
                    "-p",
                    port,
                    "-t",
                    (char *)test,
                    "-c",
                    "50",
                    "-P",
                    depth,
                    "-n",
                    number,
                    "-r",
                    keys,
                    "-d",
                    bytes,
                    "--csv",
                    NULL};
    pid_t pid;
    int status;

    snprintf(port, sizeof(port), "%d", l->load.port);
    snprintf(depth, sizeof(depth), "%u", pipeline);
    snprintf(number, sizeof(number), "%zu", n);
    snprintf(keys, sizeof(keys), "%zu", l->bench->n_keys);
    snprintf(bytes, sizeof(bytes), "%zu", l->bench->value_bytes);
    if (program_start(argv, NULL, l->output, &pid) != 0)
        return -1;
    status = program_wait(pid, LOAD_S);
    return status == 0 ? 0 : bench_fail("redis-benchmark ended with status %d", status);
}

static int loaded_turn(void *state, struct score *ret_score)
{
    struct loaded *l = state;
    int rc = run_load(l, l->load.test, l->load.pipeline, l->load.n);

    return rc == 0 ? read_rate(l->output, &ret_score->value) : rc;
}

int redis_load(const struct bench *bench, const struct load *load, const char *name, struct side *ret_side)
{
    struct loaded *l = calloc(1, sizeof(*l));

    if (!l)
        return bench_fail("out of memory");
    l->bench = bench;
    l->load = *load;
    *ret_side = (struct side){.name = name, .turn = loaded_turn, .close = loaded_close, .state = l};
    l->output = bench_path(bench, "redis-benchmark");
    return l->output ? run_load(l, "set", 16, 4 * bench->n_keys) : -1; /* nearly every key is there then */
}
