/* The parked list: entries refused by the shared tier or in doubt, kept for the operator. */
#include "ops.h"
#include "room.h"
#include "state.h"
#include "fail.h"

static uint64_t bytes_of(const struct hf_parked_row *row)
{
    return row->entry.key.len + row->entry.value.len;
}

int hf__lmdb_parked_next(struct hf_local_snap *snap, uint64_t from_lsn, struct hf_parked_row *ret_row)
{
    return hf__lmdb_entry_next(snap, HF__LMDB_PARKED, from_lsn, ret_row);
}

int hf__lmdb_parked_put(struct hf_local_txn *txn, const struct hf_parked_row *row)
{
    struct hf_parked_row old = {0};
    int rc = hf__lmdb_entry_check(row);

    if (rc == 0)
        rc = hf__lmdb_entry_get(&txn->snap, HF__LMDB_PARKED, row->entry.lsn, &old);
    if (rc == HF_NOT_FOUND)
        rc = hf__lmdb_room_check(txn, HF__LMDB_KEEP_HALF,
                                 row->entry.key.len + row->entry.value.len + row->reason.len);
    if (rc != 0)
        return rc;
    rc = hf__lmdb_entry_put(txn, HF__LMDB_PARKED, row);
    if (rc != 0)
        return rc;
    txn->snap.state.in_doubt += (uint64_t)row->in_doubt - (uint64_t)old.in_doubt;
    txn->snap.state.parked_bytes += bytes_of(row) - bytes_of(&old);
    return 0;
}

int hf__lmdb_parked_remove(struct hf_local_txn *txn, uint64_t lsn)
{
    struct hf_parked_row old;
    int rc = hf__lmdb_entry_get(&txn->snap, HF__LMDB_PARKED, lsn, &old);

    if (rc != 0)
        return rc < 0 ? rc : 0;
    rc = hf__lmdb_entry_del(txn, HF__LMDB_PARKED, lsn);
    if (rc < 0)
        return rc;
    txn->snap.state.in_doubt -= old.in_doubt;
    txn->snap.state.parked_bytes -= bytes_of(&old);
    return 0;
}
