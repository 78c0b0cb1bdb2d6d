/* A walk over the long keys that a use refers to, in exact byte order, with at most nine levels in memory. */
#ifndef HF_LMDB_LONG_WALK_H
#define HF_LMDB_LONG_WALK_H

#include "long_keys.h"

struct hf__lmdb_long_walk {
    struct hf_local_snap *snap;
    MDB_cursor *cursor;
    enum hf__lmdb_use use;
    bool placed;                           /* there is a current node */
    bool yielded;                          /* its key was handed out */
    bool at_cursor;                        /* the cursor stands at the current node */
    size_t level;                          /* of the current node */
    size_t key_len;                        /* of the bytes from the root to the current node, */
    uint8_t key[HF_KEY_MAX];               /* which are these */
    uint64_t parents[HF__LMDB_LEVELS + 1]; /* parents[i]: id of the parent of level i */
    struct hf__lmdb_node node;             /* the current one */
};

/* Place the walk before the first long key of `use` that is `from` or greater; `from` has at most HF_KEY_MAX + 1 bytes.
 * The walk is released in any case. */
int hf__lmdb_long_walk_open(struct hf__lmdb_long_walk *walk, struct hf_local_snap *snap, enum hf__lmdb_use use,
                            struct hf_slice from);

/* 0 with the next key's node id and its bytes (borrowed until the next call); HF_NOT_FOUND at the end. */
int hf__lmdb_long_walk_next(struct hf__lmdb_long_walk *walk, uint64_t *ret_id, struct hf_slice *ret_key);

void hf__lmdb_long_walk_release(struct hf__lmdb_long_walk *walk);

#endif
