/* The public writing calls: thin forms of the one write path, and batches. */
#include "checkpoint.h"
#include "fail.h"
#include "link.h"
#include "write.h"

#include <stdlib.h>

#define STRINGIFY(x) #x
#define TEXT_OF(x) STRINGIFY(x)

const char *hf_version(void)
{
    return TEXT_OF(HF_VERSION_MAJOR) "." TEXT_OF(HF_VERSION_MINOR) "." TEXT_OF(HF_VERSION_PATCH);
}

/* A change of a key that is not held here but may be in Redis is made to the value that is there. */
static int hold(struct hf *store, struct hf_slice key)
{
    int rc;

    if (!store->link)
        return 0;
    rc = hf_exists(store, key, NULL);
    return rc == HF_NOT_FOUND || rc == HF_EOFFLINE ? 0 : rc;
}

int hf_set(struct hf *store, struct hf_slice key, struct hf_slice value, const struct hf_set_options *opts,
           struct hf_result *ret_result)
{
    struct hf_op op = {.kind = HF_OP_SET, .key = key, .value = value};
    int rc = 0;

    if (opts)
        op.set = *opts;
    if (op.set.keep_ttl && hf__check_handle(store, true) == 0)
        rc = hold(store, key);
    return rc == 0 ? hf__write(store, &op, 1, ret_result) : rc;
}

int hf_delete(struct hf *store, struct hf_slice key, struct hf_result *ret_result)
{
    struct hf_op op = {.kind = HF_OP_DELETE, .key = key};
    struct hf_result result = {0};
    int rc = hf__write(store, &op, 1, &result);

    if (rc == 0 && !result.existed)
        rc = HF_NOT_FOUND;
    if (ret_result && rc >= 0) {
        *ret_result = result;
        ret_result->code = rc;
    }
    return rc;
}

int hf_expire(struct hf *store, struct hf_slice key, int64_t ttl_ms, struct hf_result *ret_result)
{
    if (ttl_ms < 1 || ttl_ms > HF_TTL_MAX_MS)
        return hf__fail(HF_EINVAL, "a TTL of %lld ms; expected 1 to %lld", (long long)ttl_ms, HF_TTL_MAX_MS);
    return hf_expire_at(store, key, hf__now_ms(store) + ttl_ms, ret_result);
}

static int check_not_0(int64_t deadline_ms)
{
    return deadline_ms != 0 ? 0 : hf__fail(HF_EINVAL, "a deadline of 0 ms; expected milliseconds since 1970");
}

int hf_expire_at(struct hf *store, struct hf_slice key, int64_t deadline_ms, struct hf_result *ret_result)
{
    struct hf_op op = {.kind = HF_OP_EXPIRE_AT, .key = key, .deadline_ms = deadline_ms};
    int rc = hold(store, key);

    if (rc == 0)
        rc = check_not_0(deadline_ms);
    return rc == 0 ? hf__write(store, &op, 1, ret_result) : rc;
}

int hf_persist(struct hf *store, struct hf_slice key, struct hf_result *ret_result)
{
    struct hf_op op = {.kind = HF_OP_PERSIST, .key = key};
    int rc = hold(store, key);

    return rc == 0 ? hf__write(store, &op, 1, ret_result) : rc;
}

int hf_incr(struct hf *store, struct hf_slice key, int64_t delta, int64_t *ret_value, struct hf_result *ret_result)
{
    struct hf_op op = {.kind = HF_OP_INCR, .key = key, .delta = delta};
    struct hf_result result = {0};
    int rc = hold(store, key);

    if (rc == 0)
        rc = hf__write(store, &op, 1, &result);
    if (rc == 0)
        *ret_value = result.number;
    if (ret_result && (rc == 0 || rc == HF_EREFUSED))
        *ret_result = result;
    return rc;
}

static int submit(struct hf *store, const struct hf_op *ops, size_t n, hf_done_fn *done, void *ctx)
{
    int rc = hf__check_handle(store, true);

    if (rc == 0 && !done)
        rc = hf__fail(HF_EINVAL, "a submission needs a callback");
    return rc == 0 ? hf__write_async(store, ops, n, done, ctx) : rc;
}

int hf_try_write(struct hf *store, const struct hf_op *op, struct hf_result *ret_result)
{
    int rc = hf__check_handle(store, true);

    return rc == 0 ? hf__write_try(store, op, ret_result) : rc;
}

int hf_submit(struct hf *store, const struct hf_op *op, hf_done_fn *done, void *ctx)
{
    return submit(store, op, 1, done, ctx);
}

int hf_checkpoint(struct hf *store)
{
    int rc = hf__check_handle(store, true);

    return rc == 0 ? hf__checkpoint_wait(store) : rc;
}

int hf_drain(struct hf *store, int timeout_ms)
{
    int rc = hf__check_handle(store, true);

    if (rc != 0)
        return rc;
    if (!store->link)
        return hf__fail(HF_EOFFLINE, "the store was opened without a shared tier: there is nothing to drain to");
    rc = hf__link_drain(store, hf__journal_last_lsn(store->journal), timeout_ms);
    if (rc == 0 && atomic_load(&store->pending_rows) + atomic_load(&store->lane_entries) > 0)
        rc = hf__checkpoint_wait(
            store); /* rows that were acknowledged since are cleared before anybody counts them */
    return rc;
}

/* ---- batches ---- */

struct hf_batch {
    struct hf *store;
    struct hf_op *ops; /* key and value are copies, owned through `bytes` */
    struct hf_buf *bytes;
    size_t n, capacity;
};

int hf_batch_new(struct hf *store, struct hf_batch **ret_batch)
{
    struct hf_batch *batch = calloc(1, sizeof(*batch));

    if (!batch)
        return hf__fail(HF_ENOMEM, "out of memory: a batch");
    batch->store = store;
    *ret_batch = batch;
    return 0;
}

static void batch_clear(struct hf_batch *batch)
{
    for (size_t i = 0; i < 2 * batch->n; i++)
        hf_buf_release(&batch->bytes[i]);
    batch->n = 0;
}

void hf_batch_free(struct hf_batch *batch)
{
    if (!batch)
        return;
    batch_clear(batch);
    free(batch->ops);
    free(batch->bytes);
    free(batch);
}

static int batch_grow(struct hf_batch *batch)
{
    size_t capacity = batch->capacity ? 2 * batch->capacity : 16;
    struct hf_op *ops = realloc(batch->ops, capacity * sizeof(*ops));
    struct hf_buf *bytes;

    if (!ops)
        return hf__fail(HF_ENOMEM, "out of memory: a batch of %zu operations", capacity);
    batch->ops = ops;
    bytes = realloc(batch->bytes, 2 * capacity * sizeof(*bytes));
    if (!bytes)
        return hf__fail(HF_ENOMEM, "out of memory: a batch of %zu operations", capacity);
    batch->bytes = bytes;
    batch->capacity = capacity;
    return 0;
}

static int batch_add(struct hf_batch *batch, struct hf_op op)
{
    struct hf_buf key, value;
    int rc = hf__check_key(op.key);

    if (rc == 0 && batch->n == batch->capacity)
        rc = batch_grow(batch);
    if (rc == 0)
        rc = hf__buf_copy(op.key, &key);
    if (rc != 0)
        return rc;
    rc = hf__buf_copy(op.value, &value);
    if (rc != 0) {
        hf_buf_release(&key);
        return rc;
    }
    op.key = hf__slice(key.data, key.len);
    op.value = hf__slice(value.data, value.len);
    batch->bytes[2 * batch->n] = key;
    batch->bytes[2 * batch->n + 1] = value;
    batch->ops[batch->n++] = op;
    return 0;
}

int hf_batch_set(struct hf_batch *batch, struct hf_slice key, struct hf_slice value,
                 const struct hf_set_options *opts)
{
    struct hf_op op = {.kind = HF_OP_SET, .key = key, .value = value};

    if (opts)
        op.set = *opts;
    return batch_add(batch, op);
}

int hf_batch_delete(struct hf_batch *batch, struct hf_slice key)
{
    return batch_add(batch, (struct hf_op){.kind = HF_OP_DELETE, .key = key});
}

int hf_batch_incr(struct hf_batch *batch, struct hf_slice key, int64_t delta)
{
    return batch_add(batch, (struct hf_op){.kind = HF_OP_INCR, .key = key, .delta = delta});
}

int hf_batch_expire_at(struct hf_batch *batch, struct hf_slice key, int64_t deadline_ms)
{
    int rc = check_not_0(deadline_ms);

    return rc == 0
               ? batch_add(batch, (struct hf_op){.kind = HF_OP_EXPIRE_AT, .key = key, .deadline_ms = deadline_ms})
               : rc;
}

int hf_batch_persist(struct hf_batch *batch, struct hf_slice key)
{
    return batch_add(batch, (struct hf_op){.kind = HF_OP_PERSIST, .key = key});
}

static int check_not_empty(const struct hf_batch *batch)
{
    return batch->n > 0 ? 0 : hf__fail(HF_EINVAL, "an empty batch; add at least one change");
}

int hf_batch_commit(struct hf_batch *batch, struct hf_result *ret_result)
{
    int rc = check_not_empty(batch);

    if (rc == 0)
        rc = hf__write(batch->store, batch->ops, batch->n, ret_result);
    batch_clear(batch);
    return rc;
}

int hf_batch_submit(struct hf_batch *batch, hf_done_fn *done, void *ctx)
{
    int rc = check_not_empty(batch);

    if (rc == 0)
        rc = submit(batch->store, batch->ops, batch->n, done, ctx);
    batch_clear(batch);
    return rc;
}
