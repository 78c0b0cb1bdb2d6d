/* What one would use instead of a replay: the same sets, prepared as commands, sent by redis-cli --pipe. */
#include "redis.h"
#include "sides.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct piped {
    const struct bench *bench;
    struct redis *redis;
    bool known;
    char *file;
};

static void piped_close(void *state)
{
    struct piped *p = state;

    if (p->file)
        (void)remove(p->file); /* else it goes with the directory */
    free(p->file);
    free(p);
}

static int put_set(FILE *file, const struct bench *bench, size_t key)
{
    fprintf(file, "*3\r\n$3\r\nSET\r\n$%d\r\n%.*s\r\n$%zu\r\n", BENCH_KEY_BYTES, BENCH_KEY_BYTES, bench->keys[key],
            bench->value_bytes);
    fwrite(bench_value(bench, key), 1, bench->value_bytes, file);
    fputs("\r\n", file);
    return ferror(file) ? -1 : 0;
}

/* In the same random order in which our keys are written. */
static int write_commands(const struct piped *p)
{
    uint32_t *order = bench_shuffled(p->bench->n_replayed_keys);
    FILE *file = fopen(p->file, "wx");
    int rc = order && file ? 0 : -1;

    for (size_t i = 0; i < p->bench->n_replayed_keys && rc == 0; i++)
        rc = put_set(file, p->bench, order[i]);
    if (file && fclose(file) != 0)
        rc = -1;
    free(order);
    return rc == 0 ? 0 : bench_fail("cannot write the commands to '%s': %s", p->file, strerror(errno));
}

static int piped_turn(void *state, struct score *ret_score)
{
    struct piped *p = state;
    double started_s, seconds;
    int rc = redis_flush(p->redis);

    if (rc == 0 && p->known)
        rc = redis_cli_pipe(p->redis, p->file);
    started_s = bench_now_s();
    if (rc == 0)
        rc = redis_cli_pipe(p->redis, p->file);
    seconds = bench_now_s() - started_s;
    if (rc != 0)
        return rc;
    ret_score->value = (double)p->bench->n_replayed_keys / seconds;
    return redis_expect_keys(p->redis, p->bench->n_replayed_keys);
}

int redis_pipe(const struct bench *bench, struct redis *redis, bool known, struct side *ret_side)
{
    struct piped *p = calloc(1, sizeof(*p));

    if (!p)
        return bench_fail("out of memory");
    p->bench = bench;
    p->redis = redis;
    p->known = known;
    *ret_side = (struct side){.name = "redis-cli --pipe", .turn = piped_turn, .close = piped_close, .state = p};
    p->file = bench_path(bench, "commands");
    return p->file ? write_commands(p) : -1;
}
