/* The return after an outage: how fast pending keys are replayed, and what a live write meets meanwhile. */
#include "redis.h"
#include "sides.h"

/* A turn is a whole replay, so that one of each side makes a round. */
static struct bench whole_turns(const struct bench *bench)
{
    struct bench whole = *bench;

    whole.turns = 1;
    return whole;
}

static int compare_replays(const struct bench *bench, const char *name, enum hf_writers writers, bool known)
{
    struct comparison c = {.name = name, .unit = "keys/s", .direction = HIGHER_IS_BETTER};
    struct bench whole = whole_turns(bench);
    struct side sides[2] = {0};
    struct redis *redis = NULL;
    int rc = redis_start(&whole, &redis);

    if (rc == 0)
        rc = ours_replay(&whole, redis, writers, known, &sides[0]);
    if (rc == 0)
        rc = redis_pipe(&whole, redis, known, &sides[1]);
    if (rc == 0)
        rc = bench_compare(&whole, &c, sides, 2);
    bench_close(sides, 2);
    redis_stop(redis);
    return rc;
}

int case_replay_new(const struct bench *bench, const char *name)
{
    return compare_replays(bench, name, HF_WRITERS_ANY, false);
}

int case_replay_known(const struct bench *bench, const char *name)
{
    return compare_replays(bench, name, HF_WRITERS_ANY, true);
}

int case_replay_holdfast_new(const struct bench *bench, const char *name)
{
    return compare_replays(bench, name, HF_WRITERS_HOLDFAST, false);
}

int case_replay_holdfast_known(const struct bench *bench, const char *name)
{
    return compare_replays(bench, name, HF_WRITERS_HOLDFAST, true);
}

int case_replay_this_node_new(const struct bench *bench, const char *name)
{
    return compare_replays(bench, name, HF_WRITERS_THIS_NODE, false);
}

int case_replay_this_node_known(const struct bench *bench, const char *name)
{
    return compare_replays(bench, name, HF_WRITERS_THIS_NODE, true);
}

int case_replay_live(const struct bench *bench, const char *name)
{
    struct comparison c = {.name = name, .unit = "us", .direction = LOWER_IS_BETTER};
    struct bench whole = whole_turns(bench);
    struct side sides[2] = {0};
    struct redis *redis = NULL;
    int rc = redis_start(&whole, &redis);

    if (rc == 0)
        rc = ours_live(&whole, redis, &sides[0], &sides[1]);
    if (rc == 0)
        rc = bench_compare(&whole, &c, sides, 2);
    bench_close(sides, 2);
    redis_stop(redis);
    return rc;
}
