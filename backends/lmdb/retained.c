/* Retained entries: acknowledged, and kept for a while in case Redis is rolled back. */
#include "entry.h"
#include "ops.h"
#include "room.h"

int hf__lmdb_retained_next(struct hf_local_snap *snap, uint64_t from_lsn, struct hf_lane_entry *ret_entry)
{
    struct hf_parked_row row;
    int rc = hf__lmdb_entry_next(snap, HF__LMDB_RETAINED, from_lsn, &row);

    if (rc == 0)
        *ret_entry = row.entry;
    return rc;
}

/* What was acknowledged must not take the room that is kept for what is owed: it counts as a record does. */
int hf__lmdb_retained_put(struct hf_local_txn *txn, const struct hf_lane_entry *entry)
{
    struct hf_parked_row row = {.entry = *entry};
    int rc = hf__lmdb_entry_check(&row);

    if (rc == 0)
        rc = hf__lmdb_room_check(txn, HF__LMDB_KEEP_RESERVE, hf__lmdb_entry_size(&row));
    return rc == 0 ? hf__lmdb_entry_put(txn, HF__LMDB_RETAINED, &row) : rc;
}

int hf__lmdb_retained_remove(struct hf_local_txn *txn, uint64_t lsn)
{
    int rc = hf__lmdb_entry_del(txn, HF__LMDB_RETAINED, lsn);

    return rc < 0 ? rc : 0;
}
