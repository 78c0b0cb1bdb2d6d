/* Seeding a first shared tier. A store without one owes nobody anything and keeps no pending rows; when it is opened
 * with an address for the first time, its records become rows. Interrupted, it is done again: rows are put by key. */
#include "seed.h"

#include "checkpoint.h"
#include "fail.h"

#define ROWS_PER_TXN 20000 /* bounds the dirty pages of one LMDB transaction */

struct seed {
    struct hf *store;
    const struct hf_local_ops *ops;
    struct hf_local_snap *snap;
    struct hf_local_iter *iter;
    bool done;
};

static bool is_owed(const struct seed *seed, struct hf_slice key, const struct hf_record *record)
{
    return !(record->flags & HF_RECORD_SHARED) && record->lsn != 0 &&
           hf__ns_of(&seed->store->namespaces, key)->write_mode != HF_WRITE_LOCAL;
}

static int put_row(struct seed *seed, struct hf_local_txn *txn, struct hf_slice key, const struct hf_record *record)
{
    struct hf_pending_row row = {
        .key = key,
        .op = HF_PENDING_SET,
        .n_folded = 1,
        .first_lsn = record->lsn,
        .last_lsn = record->lsn,
        .first_made_ms = record->made_ms,
        .made_ms = record->made_ms,
        .deadline_ms = record->deadline_ms,
        .value_len = record->value.len,
    };

    return seed->ops->pending_put(txn, &row);
}

static int put_some(struct seed *seed, struct hf_local_txn *txn)
{
    struct hf_record record;
    struct hf_slice key;
    int rc = 0;

    for (size_t n = 0; n < ROWS_PER_TXN && rc == 0; n++) {
        rc = seed->ops->iter_next(seed->iter, &key, &record);
        if (rc == 0 && is_owed(seed, key, &record))
            rc = put_row(seed, txn, key, &record);
    }
    if (rc != HF_NOT_FOUND)
        return rc;
    seed->done = true;
    return 0;
}

static int mark_shared(struct seed *seed, struct hf_local_txn *txn)
{
    uint8_t one[8];

    hf__put64(one, 1);
    return seed->ops->meta_put(txn, hf__slice_str(HF_META_SHARED), hf__slice(one, sizeof(one)));
}

static int one_txn(struct seed *seed)
{
    struct hf_local_txn *txn;
    int rc = seed->ops->txn_begin(seed->store->local, atomic_load(&seed->store->covered_lsn), &txn);

    if (rc != 0)
        return rc;
    rc = put_some(seed, txn);
    if (rc == 0 && seed->done)
        rc = mark_shared(seed, txn);
    if (rc == 0)
        return seed->ops->txn_commit(txn);
    seed->ops->txn_abort(txn);
    return rc;
}

int hf__seed(struct hf *store)
{
    struct seed seed = {.store = store, .ops = store->local->ops};
    int rc = hf__checkpoint_run(store); /* the journal's tail, too, becomes records */

    if (rc == 0)
        rc = seed.ops->snap_begin(store->local, &seed.snap);
    if (rc == 0)
        rc = seed.ops->iter_open(seed.snap, hf__slice(NULL, 0), &seed.iter);
    while (rc == 0 && !seed.done)
        rc = one_txn(&seed);
    seed.ops->iter_close(seed.iter);
    seed.ops->snap_end(seed.snap);
    store->sharing = rc == 0;
    return rc == 0 ? 0 : hf__fail_prefix(rc, "prepare for the first shared tier");
}
