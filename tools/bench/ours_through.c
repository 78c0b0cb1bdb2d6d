/* Holdfast with a Redis that is there: every write goes to both tiers. */
#include "ours.h"
#include "sides.h"

#define WARM_KEYS 1000
#define PATIENCE_MS 10000 /* a machine that is busy is no outage */

static int go_online(struct ours *o)
{
    int rc = load(o, WARM_KEYS, 0);

    return rc == 0 ? wait_online(o) : rc;
}

/* A score counts only if Redis acknowledged everything in time. */
static int check_shared(struct ours *o)
{
    struct hf_status status;

    if (hf_status(o->store, &status) != 0)
        return hf_fail("tell its status");
    if (status.pending_keys > 0 || status.link_losses > 0)
        return bench_fail("Redis did not acknowledge all that was written, or the link was lost");
    return 0;
}

static int through_turn(void *state, struct score *ret_score)
{
    int rc = async_turn(state, ret_score);

    return rc == 0 ? check_shared(state) : rc;
}

int ours_through(const struct bench *bench, const char *address, unsigned window, struct side *ret_side)
{
    int rc = ours_async(bench, window, &(struct hf_options){.redis = address, .redis_timeout_ms = PATIENCE_MS},
                        ret_side);

    ret_side->turn = through_turn;
    return rc == 0 ? go_online(ret_side->state) : rc;
}

/* The checkpoint stands outside: what one set takes is asked. */
static int blocking_turn(void *state, struct score *ret_score)
{
    struct ours *o = state;
    struct tally tally;
    int rc = bench_threads(o->bench, 1, 1, set_op, o, &tally);

    if (rc == 0)
        rc = check_shared(o);
    if (rc != 0)
        return rc;
    ret_score->value = 1000 / tally.rate;
    return checkpoint(o);
}

int ours_through_blocking(const struct bench *bench, const char *address, struct side *ret_side)
{
    int rc = ours_set(bench, 1, &(struct hf_options){.redis = address, .redis_timeout_ms = PATIENCE_MS}, ret_side);

    ret_side->turn = blocking_turn;
    return rc == 0 ? go_online(ret_side->state) : rc;
}
