/* Records: get, put, remove, with the expiry index in step. */
#include "ops.h"
#include "places.h"
#include "record.h"
#include "room.h"
#include "table.h"
#include "fail.h"

int hf__lmdb_wrong_key(struct hf_slice key)
{
    char text[160];

    return hf__fail(HF_ECORRUPT, "the local tier's record of key \"%s\" is stored under another key",
                    hf__printable(key, text, sizeof(text)));
}

int hf__lmdb_record_at(struct hf_local_snap *snap, const struct hf__lmdb_ref *ref, struct hf_slice *ret_key,
                       struct hf_record *ret_record)
{
    struct hf_slice table_key = hf__lmdb_ref_key(ref);
    struct hf_record record;
    struct hf_slice stored;
    struct hf_slice long_key;
    bool is_short = hf__lmdb_ref_table(ref) == HF__LMDB_DATA;
    int rc = hf__lmdb_get(snap, hf__lmdb_ref_table(ref), table_key, &stored);

    if (rc == 0)
        rc = hf__lmdb_record_decode(table_key, is_short ? table_key : hf__slice_str("(a long key)"), stored,
                                    &long_key, &record);
    if (rc != 0)
        return rc;
    if (is_short != (long_key.len == 0))
        return hf__lmdb_wrong_key(is_short ? table_key : long_key);
    *ret_key = is_short ? table_key : long_key;
    *ret_record = record;
    return 0;
}

static int long_get(struct hf_local_snap *snap, struct hf_slice key, struct hf_record *ret_record)
{
    struct hf__lmdb_ref ref;
    struct hf_slice stored;
    struct hf_slice long_key;
    struct hf_record record;
    int rc = hf__lmdb_ref_find(snap, key, HF__LMDB_USE_RECORD, &ref);

    if (rc != 0)
        return rc;
    rc = hf__lmdb_get(snap, HF__LMDB_LONG, hf__lmdb_ref_key(&ref), &stored);
    if (rc == HF_NOT_FOUND)
        return hf__lmdb_wrong_key(key);
    if (rc == 0)
        rc = hf__lmdb_record_decode(hf__lmdb_ref_key(&ref), key, stored, &long_key, &record);
    if (rc != 0)
        return rc;
    if (!hf__slice_eq(long_key, key))
        return hf__lmdb_wrong_key(key);
    *ret_record = record;
    return 0;
}

static int data_get(struct hf_local_snap *snap, struct hf_slice key, struct hf_slice *ret_stored)
{
    int rc;

    if (hf__lmdb_place_find(snap, key, ret_stored))
        return 0;
    rc = hf__lmdb_get(snap, HF__LMDB_DATA, key, ret_stored);
    if (rc == 0)
        hf__lmdb_place_note(snap, key, *ret_stored);
    return rc;
}

int hf__lmdb_record_get(struct hf_local_snap *snap, struct hf_slice key, struct hf_record *ret_record)
{
    struct hf_slice stored;
    struct hf_slice no_key;
    int rc = hf__lmdb_check_key(key);

    if (rc != 0)
        return rc;
    if (key.len > HF__LMDB_SHORT_MAX)
        return long_get(snap, key, ret_record);
    rc = data_get(snap, key, &stored);
    return rc == 0 ? hf__lmdb_record_decode(key, key, stored, &no_key, ret_record) : rc;
}

/* The deadline under which the key stands in the index, 0 when there is no record. It is taken as claimed: a
 * damaged record can be replaced and removed, and the index forgives a stale entry. */
static int indexed_deadline(struct hf_local_snap *snap, const struct hf__lmdb_ref *ref, int64_t *ret_deadline_ms)
{
    struct hf_slice stored;
    int rc = hf__lmdb_get(snap, hf__lmdb_ref_table(ref), hf__lmdb_ref_key(ref), &stored);

    if (rc < 0)
        return rc;
    *ret_deadline_ms = rc == 0 ? hf__lmdb_record_claimed_deadline(stored) : 0;
    return 0;
}

static int check_record(struct hf_slice key, const struct hf_record *record)
{
    if (record->value.len > HF_VALUE_MAX)
        return hf__fail(HF_EINVAL, "local tier: a value of %zu bytes, where at most %u are allowed",
                        record->value.len, HF_VALUE_MAX);
    if (record->deadline_ms < 0)
        return hf__fail(HF_EINVAL, "local tier: a deadline of %lld ms, before the beginning of time",
                        (long long)record->deadline_ms);
    return hf__lmdb_check_key(key);
}

int hf__lmdb_record_put(struct hf_local_txn *txn, struct hf_slice key, const struct hf_record *record)
{
    struct hf_slice long_key = key.len > HF__LMDB_SHORT_MAX ? key : hf__slice(NULL, 0);
    struct hf__lmdb_ref ref;
    int64_t old_deadline_ms;
    void *to;
    int rc = check_record(key, record);

    if (rc == 0)
        rc = hf__lmdb_room_check(txn, HF__LMDB_KEEP_RESERVE, key.len + record->value.len);
    if (rc == 0)
        rc = hf__lmdb_ref_hold(txn, key, HF__LMDB_USE_RECORD, &ref);
    if (rc == 0)
        rc = indexed_deadline(&txn->snap, &ref, &old_deadline_ms);
    if (rc == 0)
        rc = hf__lmdb_expiry_move(txn, &ref, old_deadline_ms, record->deadline_ms);
    if (rc == 0)
        rc = hf__lmdb_reserve(txn, hf__lmdb_ref_table(&ref), hf__lmdb_ref_key(&ref),
                              hf__lmdb_record_size(long_key, record), &to);
    if (rc == 0)
        hf__lmdb_record_encode(hf__lmdb_ref_key(&ref), long_key, record, to);
    return rc;
}

int hf__lmdb_record_remove(struct hf_local_txn *txn, struct hf_slice key)
{
    struct hf__lmdb_ref ref;
    int64_t deadline_ms;
    int rc = hf__lmdb_ref_find(&txn->snap, key, HF__LMDB_USE_RECORD, &ref);

    if (rc == 0)
        rc = indexed_deadline(&txn->snap, &ref, &deadline_ms);
    if (rc == 0)
        rc = hf__lmdb_expiry_move(txn, &ref, deadline_ms, 0);
    if (rc == 0)
        rc = hf__lmdb_del(txn, hf__lmdb_ref_table(&ref), hf__lmdb_ref_key(&ref));
    if (rc >= 0)
        rc = hf__lmdb_ref_drop(txn, key, HF__LMDB_USE_RECORD);
    return rc;
}
