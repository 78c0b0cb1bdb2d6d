/* What a store costs beside time: memory, bytes on the disk, wake-ups. Most have no peer, but a figure that is to be reached. */
#include "process.h"
#include "redis.h"
#include "sides.h"

#define MIB (1024.0 * 1024)
#define MEMORY_GOAL_MIB 32
#define WAKEUPS_GOAL 2
#define BYTES_TURN_S 2
#define N_BYTES_SIDES 4

static struct bench one_turn_a_round(const struct bench *bench)
{
    struct bench other = *bench;

    other.turns = 1;
    return other;
}

/* Ours, which is opened, beside the goal. */
static int compare_to_goal(const struct bench *bench, const struct comparison *c, struct side *ours,
                           const char *goal_name, double goal)
{
    struct side sides[2] = {*ours, bench_goal(goal_name, &goal)};

    return bench_compare(bench, c, sides, 2);
}

static int compare_memory(const struct bench *bench, const char *name, bool reopened)
{
    struct comparison c = {.name = name, .unit = "MiB", .direction = LOWER_IS_BETTER};
    struct bench whole = one_turn_a_round(bench);
    struct side side = {0};
    int rc = ours_pending(&whole, reopened, &side);

    if (rc == 0)
        rc = compare_to_goal(&whole, &c, &side, "the goal: 32 MiB", MEMORY_GOAL_MIB);
    bench_close(&side, 1);
    return rc;
}

int case_memory(const struct bench *bench, const char *name)
{
    return compare_memory(bench, name, true);
}

int case_memory_written(const struct bench *bench, const char *name)
{
    return compare_memory(bench, name, false);
}

/* The journal may hold as much as the overlay does, and two segments more (docs/limits.md). */
static double disk_goal_mib(const struct bench *bench)
{
    double live = (double)OURS_FEW_KEYS * (double)(BENCH_KEY_BYTES + bench->value_bytes);

    return (3 * live + HF_CHECKPOINT_BYTES_DEFAULT + 2.0 * HF_SEGMENT_DEFAULT) / MIB;
}

int case_offline_updates(const struct bench *bench, const char *name)
{
    struct comparison c = {.name = name, .unit = "MiB", .direction = LOWER_IS_BETTER};
    struct bench whole = one_turn_a_round(bench);
    struct side side = {0};
    int rc = ours_offline(&whole, &side);

    if (rc == 0)
        rc = compare_to_goal(&whole, &c, &side, "the goal: 3 x the live data and the journal",
                             disk_goal_mib(&whole));
    bench_close(&side, 1);
    return rc;
}

int case_idle(const struct bench *bench, const char *name)
{
    struct comparison c = {.name = name, .unit = "wake-ups/s", .direction = LOWER_IS_BETTER};
    struct bench whole = one_turn_a_round(bench);
    struct side side = {0};
    struct redis *redis = NULL;
    int rc = redis_start(&whole, &redis);

    if (rc == 0)
        rc = ours_idle(&whole, redis, &side);
    if (rc == 0)
        rc = compare_to_goal(&whole, &c, &side, "the goal: 2 a second", WAKEUPS_GOAL);
    bench_close(&side, 1);
    redis_stop(redis);
    return rc;
}

/* ---- bytes written ---- */

/* A side that sets. */
struct setter {
    const struct bench *bench;
    struct side side;
};

/* Not its rate counts, but what it writes for each set. */
static int bytes_turn(void *state, struct score *ret_score)
{
    struct setter *s = state;
    struct score score = {0};
    uint64_t before;
    int rc;

    bench_forget_pages(s->bench);
    before = process_written_bytes();
    rc = s->side.turn(s->side.state, &score);
    if (rc == 0)
        ret_score->value = (double)(process_written_bytes() - before) / (double)score.done;
    return rc;
}

static void bytes_close(void *state)
{
    struct setter *s = state;

    bench_close(&s->side, 1);
}

static int open_setters(const struct bench *bench, struct setter *setters)
{
    int rc = ours_set(bench, 1, &(struct hf_options){.redis = OURS_AWAY}, &setters[0].side);

    if (rc == 0)
        rc = lmdb_outbox(bench, 1, &setters[1].side);
    if (rc == 0)
        rc = sqlite_set(bench, 1, &setters[2].side);
    if (rc == 0)
        rc = raw_append(bench, 1, &setters[3].side);
    return rc;
}

int case_disk_bytes(const struct bench *bench, const char *name)
{
    struct comparison c = {.name = name, .unit = "bytes/set", .direction = LOWER_IS_BETTER};
    struct bench longer = one_turn_a_round(bench);
    struct setter setters[N_BYTES_SIDES] = {0};
    struct side sides[N_BYTES_SIDES];
    int rc;

    if (!bench->quick)
        longer.turn_s = BYTES_TURN_S;
    rc = open_setters(&longer, setters);
    for (int i = 0; i < N_BYTES_SIDES; i++) {
        setters[i].bench = &longer;
        sides[i] = (struct side){
            .name = setters[i].side.name, .turn = bytes_turn, .close = bytes_close, .state = &setters[i]};
    }
    if (rc == 0)
        rc = bench_compare(&longer, &c, sides, N_BYTES_SIDES);
    bench_close(sides, N_BYTES_SIDES);
    return rc;
}
