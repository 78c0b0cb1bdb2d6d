/* What lanes, the parked list and the retained entries have in common: tables of entries, ordered by LSN. */
#include "entry.h"
#include "ops.h"
#include "table.h"
#include "fail.h"

#include <stdlib.h>

struct lsn_key {
    uint8_t bytes[8];
};

static struct hf_slice lsn_key(uint64_t lsn, struct lsn_key *key)
{
    hf__put64be(key->bytes, lsn);
    return hf__slice(key->bytes, sizeof(key->bytes));
}

int hf__lmdb_entry_check(const struct hf_parked_row *row)
{
    if (row->reason.len > HF__LMDB_REASON_MAX)
        return hf__fail(HF_EINVAL, "local tier: a reason of %zu bytes, where at most %u are allowed",
                        row->reason.len, HF__LMDB_REASON_MAX);
    if (row->entry.value.len > HF_VALUE_MAX)
        return hf__fail(HF_EINVAL, "local tier: a value of %zu bytes, where at most %u are allowed",
                        row->entry.value.len, HF_VALUE_MAX);
    return hf__lmdb_check_key(row->entry.key);
}

int hf__lmdb_entry_get(struct hf_local_snap *snap, enum hf__lmdb_table table, uint64_t lsn,
                       struct hf_parked_row *ret_row)
{
    struct lsn_key bytes;
    struct hf_slice key = lsn_key(lsn, &bytes);
    struct hf_slice stored;
    int rc = hf__lmdb_get(snap, table, key, &stored);

    return rc == 0 ? hf__lmdb_entry_decode(key, stored, ret_row) : rc;
}

int hf__lmdb_entry_next(struct hf_local_snap *snap, enum hf__lmdb_table table, uint64_t from_lsn,
                        struct hf_parked_row *ret_row)
{
    struct lsn_key bytes;
    struct hf_slice key;
    struct hf_slice stored;
    int rc = hf__lmdb_seek(snap, table, lsn_key(from_lsn, &bytes), &key, &stored);

    bool has_lsn = rc == 0 && key.len == sizeof(bytes);

    if (rc == 0)
        rc = hf__lmdb_entry_decode(key, stored, ret_row);
    if (rc == HF_ECORRUPT) /* who goes on behind it passes it by, where that is possible */
        ret_row->entry.lsn = has_lsn ? hf__get64be(key.data) : UINT64_MAX;
    return rc;
}

/* The bytes are made before LMDB changes anything: what the row points to may be borrowed from this transaction. */
int hf__lmdb_entry_put(struct hf_local_txn *txn, enum hf__lmdb_table table, const struct hf_parked_row *row)
{
    struct lsn_key lsn;
    struct hf_slice key = lsn_key(row->entry.lsn, &lsn);
    size_t len = hf__lmdb_entry_size(row);
    void *bytes = malloc(len);
    int rc;

    if (!bytes)
        return hf__fail(HF_ENOMEM, "out of memory: an entry of %zu bytes", len);
    hf__lmdb_entry_encode(key, row, bytes);
    rc = hf__lmdb_put(txn, table, key, hf__slice(bytes, len));
    free(bytes);
    return rc;
}

int hf__lmdb_entry_del(struct hf_local_txn *txn, enum hf__lmdb_table table, uint64_t lsn)
{
    struct lsn_key bytes;

    return hf__lmdb_del(txn, table, lsn_key(lsn, &bytes));
}
