/* Long keys as chains of chunks: from the key to the node where it ends, and the care of the chain.
 *
 * A long key is cut into chunks of HF__LMDB_SHORT_MAX bytes, the last one shorter or equal. The table `chunks`
 * (`gap_chunks` for gaps) maps (id of the parent node, chunk) to a node; only a node with a full chunk has children. A node is there as long as
 * a key ends there that something refers to, or as it has children. */
#ifndef HF_LMDB_LONG_KEYS_H
#define HF_LMDB_LONG_KEYS_H

#include "internal.h"
#include "bytes.h"

#define HF__LMDB_CHUNK HF__LMDB_SHORT_MAX
#define HF__LMDB_LEVELS ((HF_KEY_MAX + HF__LMDB_CHUNK - 1) / HF__LMDB_CHUNK)
#define HF__LMDB_ROOT 0u

/* Who refers to the key that ends at a node. */
enum hf__lmdb_use {
    HF__LMDB_USE_RECORD = 1,
    HF__LMDB_USE_PENDING = 2,
    HF__LMDB_USE_LANE = 4,
    HF__LMDB_USE_GAP = 8
};

/* The table of the chains for a use. Gaps have chains of their own: a walk over them meets no other keys. */
static inline enum hf__lmdb_table hf__lmdb_chunks_of(enum hf__lmdb_use use)
{
    return use == HF__LMDB_USE_GAP ? HF__LMDB_GAP_CHUNKS : HF__LMDB_CHUNKS;
}

struct hf__lmdb_node {
    uint64_t id;
    uint8_t uses; /* enum hf__lmdb_use, or-ed */
};

/* The key of a node in its table. */
struct hf__lmdb_link {
    uint8_t bytes[8 + HF__LMDB_CHUNK];
    size_t len;
};
void hf__lmdb_link_init(struct hf__lmdb_link *link, uint64_t parent, struct hf_slice chunk);

/* Check and read an entry of such a table. Returns 0 or HF_ECORRUPT. */
int hf__lmdb_node_decode(struct hf_slice link, struct hf_slice stored, struct hf__lmdb_node *ret_node);

/* The id of the node where `key` ends, if `use` refers to it; else HF_NOT_FOUND. */
int hf__lmdb_long_find(struct hf_local_snap *snap, struct hf_slice key, enum hf__lmdb_use use, uint64_t *ret_id);

/* Note that `use` refers to `key`, making the chain as far as it is missing. */
int hf__lmdb_long_hold(struct hf_local_txn *txn, struct hf_slice key, enum hf__lmdb_use use, uint64_t *ret_id);

/* Note that `use` no longer refers to `key`, and remove what nobody needs. 0 also when it did not. */
int hf__lmdb_long_drop(struct hf_local_txn *txn, struct hf_slice key, enum hf__lmdb_use use);

#endif
