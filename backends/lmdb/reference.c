/* References: how the other tables name a key. */
#include "reference.h"
#include "fail.h"

int hf__lmdb_check_key(struct hf_slice key)
{
    if (key.len >= 1 && key.len <= HF_KEY_MAX)
        return 0;
    return hf__fail(HF_EINVAL, "local tier: a key of %zu bytes, where 1 to %d are allowed", key.len, HF_KEY_MAX);
}

static bool is_short(struct hf_slice key)
{
    return key.len <= HF__LMDB_SHORT_MAX;
}

static void set_short(struct hf__lmdb_ref *ref, struct hf_slice key)
{
    ref->bytes[0] = HF__LMDB_REF_SHORT;
    memcpy(ref->bytes + 1, key.data, key.len);
    ref->len = (uint16_t)(1 + key.len);
}

static void set_long(struct hf__lmdb_ref *ref, uint64_t id)
{
    ref->bytes[0] = HF__LMDB_REF_LONG;
    hf__put64be(ref->bytes + 1, id);
    ref->len = 9;
}

int hf__lmdb_ref_find(struct hf_local_snap *snap, struct hf_slice key, enum hf__lmdb_use use,
                      struct hf__lmdb_ref *ret_ref)
{
    uint64_t id;
    int rc = hf__lmdb_check_key(key);

    if (rc != 0)
        return rc;
    if (is_short(key)) {
        set_short(ret_ref, key);
        return 0;
    }
    rc = hf__lmdb_long_find(snap, key, use, &id);
    if (rc == 0)
        set_long(ret_ref, id);
    return rc;
}

int hf__lmdb_ref_hold(struct hf_local_txn *txn, struct hf_slice key, enum hf__lmdb_use use,
                      struct hf__lmdb_ref *ret_ref)
{
    uint64_t id;
    int rc;

    if (is_short(key)) {
        set_short(ret_ref, key);
        return 0;
    }
    rc = hf__lmdb_long_hold(txn, key, use, &id);
    if (rc == 0)
        set_long(ret_ref, id);
    return rc;
}

int hf__lmdb_ref_drop(struct hf_local_txn *txn, struct hf_slice key, enum hf__lmdb_use use)
{
    return is_short(key) ? 0 : hf__lmdb_long_drop(txn, key, use);
}

int hf__lmdb_ref_parse(struct hf_slice stored, struct hf__lmdb_ref *ret_ref)
{
    const uint8_t *at = stored.data;
    bool ok = stored.len >= 2 && stored.len <= HF__LMDB_REF_MAX &&
              (at[0] == HF__LMDB_REF_SHORT || (at[0] == HF__LMDB_REF_LONG && stored.len == 9));

    if (!ok)
        return hf__fail(HF_ECORRUPT, "a key reference of %zu bytes in the local tier is damaged", stored.len);
    memcpy(ret_ref->bytes, at, stored.len);
    ret_ref->len = (uint16_t)stored.len;
    return 0;
}
