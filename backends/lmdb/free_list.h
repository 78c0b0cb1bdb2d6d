/* LMDB's list of free pages. */
#ifndef HF_LMDB_FREE_LIST_H
#define HF_LMDB_FREE_LIST_H

#include "internal.h"

/* What the free list holds for a write transaction that begins now. */
struct hf__lmdb_free {
    uint64_t obtainable; /* freed before the last commit, and before the snapshot of the oldest reader */
    uint64_t last;       /* freed by the last commit: obtainable after one more */
};
/* `mdb` is a read transaction on the last committed state. Returns 0, HF_ECORRUPT, HF_EIO. */
int hf__lmdb_free_pages(const struct hf__lmdb_env *env, MDB_txn *mdb, struct hf__lmdb_free *ret_free);

/* The number of free pages that are `first_page` or behind it. */
int hf__lmdb_free_beyond(const struct hf__lmdb_env *env, MDB_txn *mdb, uint64_t first_page, uint64_t *ret_pages);

#endif
