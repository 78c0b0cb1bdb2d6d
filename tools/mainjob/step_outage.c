/* Step 3: Redis is away; programs go on writing and are killed. */
#include "check.h"
#include "run.h"
#include "steps.h"
#include "store.h"
#include "story.h"

#include <inttypes.h>

/* Open the store as the next program would, and look. */
static int look(const struct job *job, const struct run *run)
{
    struct hf *store = store_open(job, job->server.address, "after the kill");

    if (!store)
        return -1;
    run_check(run, store, &job->model);
    story_claim("   every acknowledged change is there, every other one is whole or absent");
    return store_close(store);
}

/* A plan by two writers, the first of which is killed half-way. */
static int carry_out(struct job *job, struct run *run)
{
    int64_t start_ms = story_clock_ms();
    struct hf *store;
    int rc = run_writer(run, job->self, job->store, job->server.address, run->plan.n / 2);

    if (rc != 0)
        return rc;
    story_say("   killed a writer with SIGKILL after %zu of %zu acknowledgements (%" PRId64 " ms)", run->n_acked,
              run->plan.n, story_clock_ms() - start_ms);
    rc = look(job, run);
    if (rc == 0)
        rc = run_writer(run, job->self, job->store, job->server.address, 0);
    if (rc != 0)
        return rc;
    story_say("   the next writer did the rest; %zu increments were begun by the killed one and not acknowledged",
              run->n_unsure);
    store = store_open_reader(job);
    if (!store)
        return -1;
    rc = run_finish(run, store, &job->model);
    if (rc == 0)
        check_store(store, &job->model);
    story_claim("   the store holds exactly what it must");
    return store_close(store) == 0 ? rc : -1;
}

static int do_part(struct job *job, enum plan_part part)
{
    struct run run = {0};
    int rc = run_init(&run, part, &job->records, story_unix_ms());

    if (rc == 0 && part == PLAN_OUTAGE)
        job->short_end_ms = run.start_ms + PLAN_SHORT_MS;
    if (rc == 0)
        rc = carry_out(job, &run);
    run_release(&run);
    return rc;
}

static int tell_status(const struct job *job)
{
    struct hf *store = store_open_reader(job);
    struct hf_status status;

    if (!store)
        return -1;
    if (hf_status(store, &status) != 0)
        story_wrong("status: %s", hf_errmsg());
    else
        story_say("   pending: %" PRIu64 " keys and %" PRIu64 " operations, %" PRIu64
                  " bytes, the oldest for %" PRId64 " ms",
                  status.pending_keys, status.pending_ops, status.pending_bytes, status.oldest_pending_ms);
    return store_close(store);
}

int step_outage(struct job *job)
{
    int rc;

    story_say("3. Outage: Redis is stopped, and writing goes on: new keys, overwrites, deletes, short TTLs, "
              "increments");
    rc = server_stop(&job->server);
    if (rc == 0)
        rc = do_part(job, PLAN_OUTAGE);
    if (rc == 0)
        rc = do_part(job, PLAN_OUTAGE2);
    if (rc == 0)
        rc = tell_status(job);
    return rc;
}
