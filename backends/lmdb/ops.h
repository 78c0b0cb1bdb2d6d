/* The operations of the seam (local_tier.h describes them), by the file that holds them; and what these files ask
 * of each other. */
#ifndef HF_LMDB_OPS_H
#define HF_LMDB_OPS_H

#include "internal.h"
#include "reference.h"

/* ---- records.c ---- */
int hf__lmdb_record_get(struct hf_local_snap *snap, struct hf_slice key, struct hf_record *ret_record);
int hf__lmdb_record_put(struct hf_local_txn *txn, struct hf_slice key, const struct hf_record *record);
int hf__lmdb_record_remove(struct hf_local_txn *txn, struct hf_slice key);

/* The record that a reference leads to, and its whole key; both borrowed, the key of a short one from `ref`. */
int hf__lmdb_record_at(struct hf_local_snap *snap, const struct hf__lmdb_ref *ref, struct hf_slice *ret_key,
                       struct hf_record *ret_record);

/* Fail with HF_ECORRUPT: what is stored for `key` is the record of another one. A record of a long key holds that
 * key, one of a short key holds none. */
int hf__lmdb_wrong_key(struct hf_slice key);

/* ---- expiry.c ---- */
int hf__lmdb_count_expired(struct hf_local_snap *snap, int64_t now_ms, uint64_t *ret_count);
int hf__lmdb_first_deadline(struct hf_local_snap *snap, int64_t *ret_deadline_ms);
int hf__lmdb_expired_next(struct hf_local_txn *txn, int64_t now_ms, struct hf_local_cursor *cursor, void *ret_key,
                          size_t *ret_key_len);

/* Move the index entry of a key from one deadline to another; 0: none. */
int hf__lmdb_expiry_move(struct hf_local_txn *txn, const struct hf__lmdb_ref *ref, int64_t old_deadline_ms,
                         int64_t deadline_ms);

/* ---- iterator.c ---- */
int hf__lmdb_iter_open(struct hf_local_snap *snap, struct hf_slice from, struct hf_local_iter **ret_iter);
int hf__lmdb_iter_next(struct hf_local_iter *iter, struct hf_slice *ret_key, struct hf_record *ret_record);
void hf__lmdb_iter_close(struct hf_local_iter *iter);

/* ---- pending.c ---- */
int hf__lmdb_pending_get(struct hf_local_snap *snap, struct hf_slice key, struct hf_pending_row *ret_row);
/* Before the transaction ends: the order begins with a place that counts. */
int hf__lmdb_pending_tidy(struct hf_local_txn *txn);
int hf__lmdb_pending_next(struct hf_local_snap *snap, uint64_t from_lsn, struct hf_pending_row *ret_row);
int hf__lmdb_pending_walk(struct hf_local_snap *snap, struct hf_local_cursor *cursor,
                          struct hf_pending_row *ret_row);
int hf__lmdb_pending_put(struct hf_local_txn *txn, const struct hf_pending_row *row);
int hf__lmdb_pending_remove(struct hf_local_txn *txn, struct hf_slice key, uint64_t upto_lsn);

/* ---- lane.c ---- */
int hf__lmdb_lane_next(struct hf_local_snap *snap, uint64_t from_lsn, struct hf_lane_entry *ret_entry);
int hf__lmdb_lane_last(struct hf_local_snap *snap, struct hf_slice key, uint64_t *ret_lsn);
int hf__lmdb_lane_put(struct hf_local_txn *txn, const struct hf_lane_entry *entry);
int hf__lmdb_lane_remove(struct hf_local_txn *txn, uint64_t lsn);

/* ---- parked.c ---- */
int hf__lmdb_parked_next(struct hf_local_snap *snap, uint64_t from_lsn, struct hf_parked_row *ret_row);
int hf__lmdb_parked_put(struct hf_local_txn *txn, const struct hf_parked_row *row);
int hf__lmdb_parked_remove(struct hf_local_txn *txn, uint64_t lsn);

/* ---- retained.c ---- */
int hf__lmdb_retained_next(struct hf_local_snap *snap, uint64_t from_lsn, struct hf_lane_entry *ret_entry);
int hf__lmdb_retained_put(struct hf_local_txn *txn, const struct hf_lane_entry *entry);
int hf__lmdb_retained_remove(struct hf_local_txn *txn, uint64_t lsn);

/* ---- conflicts.c ---- */
int hf__lmdb_conflict_next(struct hf_local_snap *snap, uint64_t from_id, struct hf_conflict_row *ret_row);
int hf__lmdb_conflict_put(struct hf_local_txn *txn, const struct hf_conflict_row *row);
int hf__lmdb_conflict_remove(struct hf_local_txn *txn, uint64_t id);

/* ---- gaps.c ---- */
int hf__lmdb_gap_next(struct hf_local_snap *snap, struct hf_slice from, struct hf_gap *ret_gap);
int hf__lmdb_gap_put(struct hf_local_txn *txn, const struct hf_gap *gap);
int hf__lmdb_gap_remove(struct hf_local_txn *txn, struct hf_slice key);

/* ---- entries.c: what lane, parked list and retained entries have in common, `table` being one of the three ---- */
int hf__lmdb_entry_check(const struct hf_parked_row *row); /* 0, or HF_EINVAL for lengths out of bounds */
int hf__lmdb_entry_get(struct hf_local_snap *snap, enum hf__lmdb_table table, uint64_t lsn,
                       struct hf_parked_row *ret_row);
int hf__lmdb_entry_next(struct hf_local_snap *snap, enum hf__lmdb_table table, uint64_t from_lsn,
                        struct hf_parked_row *ret_row);
int hf__lmdb_entry_put(struct hf_local_txn *txn, enum hf__lmdb_table table, const struct hf_parked_row *row);
int hf__lmdb_entry_del(struct hf_local_txn *txn, enum hf__lmdb_table table, uint64_t lsn);

/* ---- meta.c ---- */
int hf__lmdb_meta_get(struct hf_local_snap *snap, struct hf_slice name, struct hf_slice *ret_value);
int hf__lmdb_meta_put(struct hf_local_txn *txn, struct hf_slice name, struct hf_slice value);

/* ---- stats.c ---- */
int hf__lmdb_stats(struct hf_local_snap *snap, struct hf_local_stats *ret_stats);

#endif
