/* The reserve: how much of the map a transaction may take, so that removals stay possible when the map is full. */
#ifndef HF_LMDB_ROOM_H
#define HF_LMDB_ROOM_H

#include "internal.h"

/* What must be left after a change. */
enum hf__lmdb_keep {
    HF__LMDB_KEEP_RESERVE, /* records, retained entries */
    HF__LMDB_KEEP_HALF,    /* new rows of the pending table, lane entries, parked entries, conflicts, gaps */
};

/* Whether little is obtainable and the last commit freed more than that, which one more commit would release. */
bool hf__lmdb_room_is_behind(struct hf__lmdb_tier *tier);

/* Called when the transaction begins. */
void hf__lmdb_room_init(struct hf_local_txn *txn);

/* Whether a value of `bytes` more may be stored. Returns 0, HF_EFULL with nothing changed, or an error. */
int hf__lmdb_room_check(struct hf_local_txn *txn, enum hf__lmdb_keep keep, uint64_t bytes);

/* Count a change that was made: `value` is where LMDB put it, `pair_bytes` the length of key and value. */
void hf__lmdb_room_note_put(struct hf_local_txn *txn, enum hf__lmdb_table table, const void *value,
                            size_t pair_bytes);
void hf__lmdb_room_note_del(struct hf_local_txn *txn, enum hf__lmdb_table table);

#endif
