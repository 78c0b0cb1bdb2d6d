/* References: how the other tables name a key in few enough bytes. A reference also tells where its record is. */
#ifndef HF_LMDB_REFERENCE_H
#define HF_LMDB_REFERENCE_H

#include "internal.h"
#include "long_keys.h"
#include "bytes.h"

#define HF__LMDB_REF_MAX (1 + HF__LMDB_SHORT_MAX)

enum { HF__LMDB_REF_SHORT = 0, HF__LMDB_REF_LONG = 1 };

/* 0x00 and a short key, or 0x01 and the big-endian id of the node where a long key ends. */
struct hf__lmdb_ref {
    uint16_t len;
    uint8_t bytes[HF__LMDB_REF_MAX];
};

static inline struct hf_slice hf__lmdb_ref_slice(const struct hf__lmdb_ref *ref)
{
    return hf__slice(ref->bytes, ref->len);
}

/* The table and the table key of the record. */
static inline enum hf__lmdb_table hf__lmdb_ref_table(const struct hf__lmdb_ref *ref)
{
    return ref->bytes[0] == HF__LMDB_REF_SHORT ? HF__LMDB_DATA : HF__LMDB_LONG;
}

static inline struct hf_slice hf__lmdb_ref_key(const struct hf__lmdb_ref *ref)
{
    return hf__slice(ref->bytes + 1, ref->len - 1u);
}

/* 0, or HF_EINVAL when `key` has no length that a key can have. */
int hf__lmdb_check_key(struct hf_slice key);

/* The reference of `key` as far as `use` needs it: a long key to which `use` does not refer is HF_NOT_FOUND; a
 * short key is always found. HF_EINVAL for a length that no key can have. */
int hf__lmdb_ref_find(struct hf_local_snap *snap, struct hf_slice key, enum hf__lmdb_use use,
                      struct hf__lmdb_ref *ret_ref);

/* Note that `use` refers to `key`, or no longer does. */
int hf__lmdb_ref_hold(struct hf_local_txn *txn, struct hf_slice key, enum hf__lmdb_use use,
                      struct hf__lmdb_ref *ret_ref);
int hf__lmdb_ref_drop(struct hf_local_txn *txn, struct hf_slice key, enum hf__lmdb_use use);

/* Read a reference from the disk. Returns 0 or HF_ECORRUPT. */
int hf__lmdb_ref_parse(struct hf_slice stored, struct hf__lmdb_ref *ret_ref);

#endif
