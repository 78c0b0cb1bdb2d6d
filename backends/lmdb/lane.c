/* Lanes: the operations that do not fold, in LSN order, and per key the highest LSN and how many there are. */
#include "ops.h"
#include "room.h"
#include "seal.h"
#include "table.h"
#include "fail.h"

#define COUNT_BYTES 20u /* seal, highest LSN, number */

/* What `lane_keys` says about one key. */
struct lane_count {
    uint64_t last_lsn;
    uint32_t n;
};

/* ---- lane_keys ---- */

static int count_get(struct hf_local_snap *snap, const struct hf__lmdb_ref *ref, struct lane_count *ret_count)
{
    struct hf_slice stored;
    int rc = hf__lmdb_get(snap, HF__LMDB_LANE_KEYS, hf__lmdb_ref_slice(ref), &stored);

    if (rc != 0)
        return rc;
    if (stored.len != COUNT_BYTES || !hf__lmdb_sealed(hf__lmdb_ref_slice(ref), stored))
        return hf__fail(HF_ECORRUPT, "an entry of the local tier's lane keys is damaged");
    ret_count->last_lsn = hf__get64((const uint8_t *)stored.data + 8);
    ret_count->n = hf__get32((const uint8_t *)stored.data + 16);
    return 0;
}

static int count_put(struct hf_local_txn *txn, const struct hf__lmdb_ref *ref, const struct lane_count *count)
{
    uint8_t bytes[COUNT_BYTES];

    hf__put64(bytes + 8, count->last_lsn);
    hf__put32(bytes + 16, count->n);
    hf__lmdb_seal(hf__lmdb_ref_slice(ref), bytes, sizeof(bytes));
    return hf__lmdb_put(txn, HF__LMDB_LANE_KEYS, hf__lmdb_ref_slice(ref), hf__slice(bytes, sizeof(bytes)));
}

static int find_count(struct hf_local_snap *snap, struct hf_slice key, struct hf__lmdb_ref *ret_ref,
                      struct lane_count *ret_count)
{
    int rc = hf__lmdb_ref_find(snap, key, HF__LMDB_USE_LANE, ret_ref);

    return rc == 0 ? count_get(snap, ret_ref, ret_count) : rc;
}

int hf__lmdb_lane_last(struct hf_local_snap *snap, struct hf_slice key, uint64_t *ret_lsn)
{
    struct hf__lmdb_ref ref;
    struct lane_count count;
    int rc = find_count(snap, key, &ref, &count);

    if (rc == 0)
        *ret_lsn = count.last_lsn;
    return rc;
}

/* ---- lane ---- */

int hf__lmdb_lane_next(struct hf_local_snap *snap, uint64_t from_lsn, struct hf_lane_entry *ret_entry)
{
    struct hf_parked_row row;
    int rc = hf__lmdb_entry_next(snap, HF__LMDB_LANE, from_lsn, &row);

    if (rc == 0)
        *ret_entry = row.entry;
    if (rc == HF_ECORRUPT)
        ret_entry->lsn = row.entry.lsn;
    return rc;
}

static int insert(struct hf_local_txn *txn, const struct hf_parked_row *row)
{
    struct hf__lmdb_ref ref;
    struct lane_count count = {0};
    uint64_t lsn = row->entry.lsn;
    int rc = find_count(&txn->snap, row->entry.key, &ref, &count);

    if (rc >= 0)
        rc = hf__lmdb_room_check(txn, HF__LMDB_KEEP_HALF, row->entry.key.len + row->entry.value.len);
    if (rc == 0)
        rc = hf__lmdb_ref_hold(txn, row->entry.key, HF__LMDB_USE_LANE, &ref);
    if (rc != 0)
        return rc;
    count.n++;
    count.last_lsn = lsn > count.last_lsn ? lsn : count.last_lsn;
    rc = count_put(txn, &ref, &count);
    return rc == 0 ? hf__lmdb_entry_put(txn, HF__LMDB_LANE, row) : rc;
}

int hf__lmdb_lane_put(struct hf_local_txn *txn, const struct hf_lane_entry *entry)
{
    struct hf_parked_row row = {.entry = *entry};
    struct hf_parked_row old;
    int rc = hf__lmdb_entry_check(&row);

    if (rc == 0)
        rc = hf__lmdb_entry_get(&txn->snap, HF__LMDB_LANE, entry->lsn, &old);
    if (rc == HF_NOT_FOUND)
        return insert(txn, &row);
    if (rc != 0)
        return rc;
    if (!hf__slice_eq(old.entry.key, entry->key))
        return hf__fail(HF_EINVAL, "local tier: the lane entry of LSN %llu belongs to another key",
                        (unsigned long long)entry->lsn);
    return hf__lmdb_entry_put(txn, HF__LMDB_LANE, &row);
}

/* Replace *lsn, the highest LSN of `key`, whose entry is about to go, by the next lower one. Lanes are worked off
 * in order, so this search downwards is for the rare entry that is taken out of the middle. */
static int find_lower(struct hf_local_snap *snap, struct hf_slice key, uint64_t *lsn)
{
    struct hf_parked_row row;
    uint64_t from = 0;
    uint64_t lower = 0;
    int rc;

    while ((rc = hf__lmdb_entry_next(snap, HF__LMDB_LANE, from, &row)) == 0 && row.entry.lsn < *lsn) {
        if (hf__slice_eq(row.entry.key, key))
            lower = row.entry.lsn;
        from = row.entry.lsn + 1;
    }
    if (rc < 0)
        return rc;
    *lsn = lower;
    return 0;
}

/* Take the entry of `lsn` out of its key's count. */
static int uncount(struct hf_local_txn *txn, struct hf_slice key, uint64_t lsn)
{
    struct hf__lmdb_ref ref;
    struct lane_count count;
    int rc = find_count(&txn->snap, key, &ref, &count);

    if (rc == HF_NOT_FOUND || (rc == 0 && count.n == 0))
        return hf__fail(HF_ECORRUPT, "the local tier's lane keys lack the entry of LSN %llu",
                        (unsigned long long)lsn);
    if (rc != 0)
        return rc;
    if (--count.n > 0) {
        if (count.last_lsn == lsn)
            rc = find_lower(&txn->snap, key, &count.last_lsn);
        return rc == 0 ? count_put(txn, &ref, &count) : rc;
    }
    rc = hf__lmdb_del(txn, HF__LMDB_LANE_KEYS, hf__lmdb_ref_slice(&ref));
    return rc >= 0 ? hf__lmdb_ref_drop(txn, key, HF__LMDB_USE_LANE) : rc;
}

int hf__lmdb_lane_remove(struct hf_local_txn *txn, uint64_t lsn)
{
    uint8_t key[HF_KEY_MAX];
    struct hf_parked_row row;
    size_t key_len;
    int rc = hf__lmdb_entry_get(&txn->snap, HF__LMDB_LANE, lsn, &row);

    if (rc != 0)
        return rc < 0 ? rc : 0;
    key_len = row.entry.key.len; /* what LMDB lends does not outlast the first write */
    memcpy(key, row.entry.key.data, key_len);
    rc = uncount(txn, hf__slice(key, key_len), lsn);
    if (rc == 0)
        rc = hf__lmdb_entry_del(txn, HF__LMDB_LANE, lsn);
    return rc < 0 ? rc : 0;
}
