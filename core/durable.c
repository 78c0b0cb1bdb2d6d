/* Waiting for the disk without waiting: for callers that may not stand still. */
#include "done.h"
#include "fail.h"

#include <inttypes.h>
#include <stdlib.h>

bool hf_is_durable(struct hf *store, uint64_t lsn)
{
    return store->read_only || lsn <= hf__journal_safe_lsn(store->journal);
}

static int check_wait(const struct hf *store, uint64_t lsn, hf_done_fn *done)
{
    int rc = hf__check_handle(store, true);

    if (rc != 0)
        return rc;
    if (!done)
        return hf__fail(HF_EINVAL, "a wait for durability needs a callback");
    if (lsn > hf__journal_last_lsn(store->journal))
        return hf__fail(HF_EINVAL, "a wait for entry %" PRIu64 "; the last one has the number %" PRIu64, lsn,
                        hf__journal_last_lsn(store->journal));
    return 0;
}

int hf_when_durable(struct hf *store, uint64_t lsn, hf_done_fn *done, void *ctx)
{
    int rc = check_wait(store, lsn, done);
    struct hf_submission *s = rc == 0 ? calloc(1, sizeof(*s)) : NULL;

    if (rc != 0)
        return rc;
    if (!s)
        return hf__fail(HF_ENOMEM, "out of memory: a wait for durability");
    s->result.lsn = lsn;
    s->only_durable = true;
    s->done = done;
    s->ctx = ctx;
    hf__done_submit(store, s);
    hf__journal_push(store->journal);
    return 0;
}
