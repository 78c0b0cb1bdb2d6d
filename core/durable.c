/* Waiting for the disk without waiting: for callers that may not stand still. */
#include "durable.h"

#include "fail.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

bool hf_is_durable(struct hf *store, uint64_t lsn)
{
    return store->read_only || lsn <= hf__journal_safe_lsn(store->journal);
}

static int check_wait(const struct hf *store, uint64_t lsn)
{
    int rc = hf__check_handle(store, true);

    if (rc == 0 && lsn > hf__journal_last_lsn(store->journal))
        rc = hf__fail(HF_EINVAL, "a wait for entry %" PRIu64 "; the last one has the number %" PRIu64, lsn,
                      hf__journal_last_lsn(store->journal));
    return rc;
}

int hf_wait_durable(struct hf *store, uint64_t lsn)
{
    int rc = check_wait(store, lsn);

    if (rc == 0 && hf__journal_wait(store->journal, lsn) != 0)
        rc = HF_ESTOPPED; /* its sentence is there */
    return rc;
}

/* ---- the line of those who wait ---- */

struct hf_durable_wait {
    struct hf_durable_wait *next;
    struct hf_result result; /* of which only code, error, lsn and durable say something */
    hf_done_fn *done;
    void *ctx;
};

void hf__durable_init(struct hf *store)
{
    pthread_mutex_init(&store->durable.mutex, NULL);
}

void hf__durable_free(struct hf *store)
{
    assert(!store->durable.first && "the journal has synced, or has stopped");
    pthread_mutex_destroy(&store->durable.mutex);
}

/* False: its sync is still to come. */
static bool has_ended(struct hf *store, struct hf_result *result)
{
    bool stopped = hf__journal_stopped(store->journal);

    if (hf__journal_safe_lsn(store->journal) >= result->lsn) {
        result->durable = hf__journal_durable_lsn(store->journal) >= result->lsn;
        return true;
    }
    if (stopped) {
        result->code = HF_ESTOPPED;
        result->error = "the journal could not write or sync the entry, and has stopped";
    }
    return stopped;
}

/* Under the lock, so that two who have synced do not overtake each other. */
void hf__durable_tell(struct hf *store)
{
    struct hf_durable_line *line = &store->durable;
    struct hf_durable_wait *first;

    if (!atomic_load(&line->first))
        return;
    pthread_mutex_lock(&line->mutex);
    while ((first = atomic_load(&line->first)) && has_ended(store, &first->result)) {
        atomic_store(&line->first, first->next);
        first->done(first->ctx, &first->result);
        free(first);
    }
    pthread_mutex_unlock(&line->mutex);
}

static void stand_in_line(struct hf_durable_line *line, struct hf_durable_wait *wait)
{
    pthread_mutex_lock(&line->mutex);
    if (atomic_load(&line->first))
        line->last->next = wait;
    else
        atomic_store(&line->first, wait);
    line->last = wait;
    pthread_mutex_unlock(&line->mutex);
}

/* A sync that ends before it stands in line has been noted by then, and is seen here. */
int hf_when_durable(struct hf *store, uint64_t lsn, hf_done_fn *done, void *ctx)
{
    int rc = done ? check_wait(store, lsn) : hf__fail(HF_EINVAL, "a wait for durability needs a callback");
    struct hf_durable_wait *wait = rc == 0 ? malloc(sizeof(*wait)) : NULL;

    if (rc != 0)
        return rc;
    if (!wait)
        return hf__fail(HF_ENOMEM, "out of memory: a wait for durability");
    *wait = (struct hf_durable_wait){.result.lsn = lsn, .done = done, .ctx = ctx};
    stand_in_line(&store->durable, wait);
    if (hf_is_durable(store, lsn) || hf__journal_stopped(store->journal))
        hf__durable_tell(store);
    else
        hf__journal_push(store->journal);
    return 0;
}
