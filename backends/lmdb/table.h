/* Reading and changing one table of the environment. Keys have 1 to HF__LMDB_KEY_MAX bytes. */
#ifndef HF_LMDB_TABLE_H
#define HF_LMDB_TABLE_H

#include "internal.h"
#include "bytes.h"

/* 0 and the value, borrowed until the snapshot ends or its transaction writes; HF_NOT_FOUND; or an error. */
int hf__lmdb_get(struct hf_local_snap *snap, enum hf__lmdb_table table, struct hf_slice key,
                 struct hf_slice *ret_value);

/* The first pair whose key is `from` or greater (an empty `from`: the first one). Both results are borrowed. */
int hf__lmdb_seek(struct hf_local_snap *snap, enum hf__lmdb_table table, struct hf_slice from,
                  struct hf_slice *ret_key, struct hf_slice *ret_value);

/* Make room for a value of `len` bytes under `key`, replacing the old one. The caller fills `*ret_value` before its
 * next call. A failure here and below condemns the transaction (hf_local_txn.failed). */
int hf__lmdb_reserve(struct hf_local_txn *txn, enum hf__lmdb_table table, struct hf_slice key, size_t len,
                     void **ret_value);
int hf__lmdb_put(struct hf_local_txn *txn, enum hf__lmdb_table table, struct hf_slice key, struct hf_slice value);

/* 0, or HF_NOT_FOUND when there was nothing to remove. */
int hf__lmdb_del(struct hf_local_txn *txn, enum hf__lmdb_table table, struct hf_slice key);

/* Remove all. */
int hf__lmdb_empty(struct hf_local_txn *txn, enum hf__lmdb_table table);

/* Cursors, for walks. `cursor` is closed by mdb_cursor_close. */
int hf__lmdb_cursor_open(struct hf_local_snap *snap, enum hf__lmdb_table table, MDB_cursor **ret_cursor);
/* Move and read: MDB_NEXT, or MDB_SET_RANGE with `from` (empty: MDB_FIRST). Returns as hf__lmdb_get does. */
int hf__lmdb_cursor_next(struct hf_local_snap *snap, MDB_cursor *cursor, struct hf_slice *ret_key,
                         struct hf_slice *ret_value);
int hf__lmdb_cursor_seek(struct hf_local_snap *snap, MDB_cursor *cursor, struct hf_slice from,
                         struct hf_slice *ret_key, struct hf_slice *ret_value);

/* Number of entries and of pages in use by a table. */
int hf__lmdb_table_stat(struct hf_local_snap *snap, enum hf__lmdb_table table, MDB_stat *ret_stat);

#endif
