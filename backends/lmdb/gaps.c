/* Gaps: one for a key, found in exact key order.
 *
 * Rows stand under the key's reference, so short keys are in order by themselves. Long ones are found by a walk over
 * their chains, which are apart from those of the records: a gap is found without passing keys that have none. */
#include "gap.h"
#include "long_walk.h"
#include "ops.h"
#include "room.h"
#include "seal.h"
#include "table.h"
#include "fail.h"

static int stored_elsewhere(struct hf_slice key)
{
    char text[160];

    return hf__fail(HF_ECORRUPT, "the local tier's gap of key \"%s\" is stored under another key",
                    hf__printable(key, text, sizeof(text)));
}

/* Read the gap that must be there under `ref`, and must be that of `key`. */
static int gap_at(struct hf_local_snap *snap, struct hf_slice ref, struct hf_slice key, struct hf_gap *ret_gap)
{
    struct hf_slice stored;
    struct hf_gap gap;
    int rc = hf__lmdb_get(snap, HF__LMDB_GAPS, ref, &stored);

    if (rc == HF_NOT_FOUND)
        return stored_elsewhere(key);
    if (rc == 0)
        rc = hf__lmdb_gap_decode(ref, stored, &gap);
    if (rc != 0)
        return rc;
    if (!hf__slice_eq(gap.key, key))
        return stored_elsewhere(key);
    *ret_gap = gap;
    return 0;
}

/* ---- the next one ---- */

static int next_short(struct hf_local_snap *snap, struct hf_slice from, struct hf_gap *ret_gap)
{
    uint8_t bytes[HF__LMDB_REF_MAX + 1];
    /* Only the first bytes decide where a short key stands against a long one; no short key is as long as this. */
    size_t len = from.len > HF__LMDB_SHORT_MAX ? HF__LMDB_SHORT_MAX + 1 : from.len;
    struct hf__lmdb_ref ref;
    struct hf_slice found;
    struct hf_slice stored;
    int rc;

    bytes[0] = HF__LMDB_REF_SHORT;
    if (len > 0)
        memcpy(bytes + 1, from.data, len);
    rc = hf__lmdb_seek(snap, HF__LMDB_GAPS, hf__slice(bytes, 1 + len), &found, &stored);
    if (rc == 0)
        rc = hf__lmdb_ref_parse(found, &ref);
    if (rc != 0)
        return rc;
    if (ref.bytes[0] != HF__LMDB_REF_SHORT) /* all long ones stand behind the short ones */
        return HF_NOT_FOUND;
    return gap_at(snap, found, hf__lmdb_ref_key(&ref), ret_gap);
}

static int next_long(struct hf_local_snap *snap, struct hf_slice from, struct hf_gap *ret_gap)
{
    struct hf__lmdb_long_walk walk;
    struct hf__lmdb_ref ref;
    struct hf_slice key;
    uint64_t id;
    int rc = hf__lmdb_long_walk_open(&walk, snap, HF__LMDB_USE_GAP, from);

    if (rc == 0)
        rc = hf__lmdb_long_walk_next(&walk, &id, &key);
    if (rc == 0)
        rc = hf__lmdb_ref_find(snap, key, HF__LMDB_USE_GAP, &ref);
    if (rc == 0)
        rc = gap_at(snap, hf__lmdb_ref_slice(&ref), key, ret_gap);
    hf__lmdb_long_walk_release(&walk);
    return rc;
}

int hf__lmdb_gap_next(struct hf_local_snap *snap, struct hf_slice from, struct hf_gap *ret_gap)
{
    struct hf_gap a;
    struct hf_gap b;
    int rc_a;
    int rc_b;

    if (from.len > HF_KEY_MAX + 1)
        return hf__fail(HF_EINVAL, "local tier: gaps from a key of %zu bytes, where at most %d are allowed",
                        from.len, HF_KEY_MAX + 1);
    rc_a = next_short(snap, from, &a);
    if (rc_a < 0)
        return rc_a;
    rc_b = next_long(snap, from, &b);
    if (rc_b < 0)
        return rc_b;
    if (rc_a == HF_NOT_FOUND && rc_b == HF_NOT_FOUND)
        return HF_NOT_FOUND;
    if (rc_b == HF_NOT_FOUND || (rc_a == 0 && hf__slice_cmp(a.key, b.key) < 0))
        *ret_gap = a;
    else
        *ret_gap = b;
    return 0;
}

/* ---- changes ---- */

/* Whether the key has a gap, and its reference if so. The row is not looked at: a damaged one can be replaced and removed,
 * for there is no total that it could spoil. */
static int find(struct hf_local_snap *snap, struct hf_slice key, struct hf__lmdb_ref *ret_ref)
{
    struct hf_slice stored;
    int rc = hf__lmdb_ref_find(snap, key, HF__LMDB_USE_GAP, ret_ref);

    return rc == 0 ? hf__lmdb_get(snap, HF__LMDB_GAPS, hf__lmdb_ref_slice(ret_ref), &stored) : rc;
}

static int hold_new(struct hf_local_txn *txn, struct hf_slice key, struct hf__lmdb_ref *ret_ref)
{
    int rc = hf__lmdb_room_check(txn, HF__LMDB_KEEP_HALF, HF__LMDB_GAP_HEAD + key.len);

    return rc == 0 ? hf__lmdb_ref_hold(txn, key, HF__LMDB_USE_GAP, ret_ref) : rc;
}

/* The bytes are made before LMDB changes anything: the key may be borrowed from this transaction. */
int hf__lmdb_gap_put(struct hf_local_txn *txn, const struct hf_gap *gap)
{
    uint8_t bytes[HF__LMDB_GAP_MAX];
    struct hf__lmdb_ref ref;
    struct hf_slice key;
    size_t len;
    int rc = hf__lmdb_check_key(gap->key);

    if (rc != 0)
        return rc;
    len = hf__lmdb_gap_encode(gap, bytes);
    key = hf__slice(bytes + HF__LMDB_GAP_HEAD, gap->key.len);
    rc = find(&txn->snap, key, &ref);
    if (rc == HF_NOT_FOUND)
        rc = hold_new(txn, key, &ref);
    if (rc != 0)
        return rc;
    hf__lmdb_seal(hf__lmdb_ref_slice(&ref), bytes, len);
    return hf__lmdb_put(txn, HF__LMDB_GAPS, hf__lmdb_ref_slice(&ref), hf__slice(bytes, len));
}

static int remove_held(struct hf_local_txn *txn, struct hf_slice key, const struct hf__lmdb_ref *ref)
{
    int rc = hf__lmdb_del(txn, HF__LMDB_GAPS, hf__lmdb_ref_slice(ref));

    return rc >= 0 ? hf__lmdb_ref_drop(txn, key, HF__LMDB_USE_GAP) : rc;
}

int hf__lmdb_gap_remove(struct hf_local_txn *txn, struct hf_slice key)
{
    uint8_t bytes[HF_KEY_MAX];
    struct hf__lmdb_ref ref;
    int rc = find(&txn->snap, key, &ref);

    if (rc != 0)
        return rc < 0 ? rc : 0;
    memcpy(bytes, key.data, key.len); /* a gap is often removed by the key that gap_next lent */
    return remove_held(txn, hf__slice(bytes, key.len), &ref);
}
