/* Step 4: Redis is back; the tool reconciles, and everything is compared in both tiers. */
#include "check.h"
#include "steps.h"
#include "store.h"
#include "story.h"

#include <inttypes.h>
#include <poll.h>

/* The short deadlines must have passed while Redis was away. */
static void wait_for_short_deadlines(const struct job *job)
{
    int64_t left_ms;

    while ((left_ms = job->short_end_ms - story_unix_ms()) > 0)
        (void)poll(NULL, 0, (int)left_ms + 1);
}

static int reconcile(const struct job *job)
{
    int64_t start_ms = story_clock_ms();
    int status;

    story_say("   holdfast reconcile:");
    status = store_run_tool(job, "--redis", job->server.address, "reconcile", "--timeout", "30s", NULL);
    if (status != 0)
        return story_wrong("holdfast reconcile ended with status %d", status);
    story_say("   reconciled (%" PRId64 " ms with start and end)", story_clock_ms() - start_ms);
    return 0;
}

static void check_nothing_is_left(struct hf *store)
{
    struct hf_status s;

    if (hf_status(store, &s) != 0)
        story_wrong("status: %s", hf_errmsg());
    else if (s.pending_keys + s.pending_ops + s.parked + s.conflicts > 0)
        story_wrong("%" PRIu64 " keys and %" PRIu64 " operations are still pending, %" PRIu64 " parked, %" PRIu64
                    " conflicts",
                    s.pending_keys, s.pending_ops, s.parked, s.conflicts);
}

static int compare(struct job *job)
{
    struct hf *store = store_open_reader(job);
    int64_t start_ms = story_clock_ms();

    if (!store)
        return -1;
    check_nothing_is_left(store);
    check_store(store, &job->model);
    check_redis(&job->server, &job->model);
    story_claim(
        "   compared %zu keys ever written, %zu of them alive, in both tiers: key, value, deadline (%" PRId64
        " ms)",
        job->model.n, model_count_live(&job->model, story_unix_ms()), story_clock_ms() - start_ms);
    return store_close(store);
}

int step_return(struct job *job)
{
    int rc;

    story_say("4. Return: Redis is started again");
    wait_for_short_deadlines(job);
    rc = server_start(&job->server);
    if (rc == 0)
        rc = reconcile(job);
    if (rc == 0)
        rc = compare(job);
    return rc;
}
