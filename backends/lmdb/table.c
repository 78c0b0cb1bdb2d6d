/* Reading and changing one table of the environment. */
#include "table.h"

#include "lmdb_fail.h"
#include "room.h"
#include "fail.h"

static MDB_val val_of(struct hf_slice s)
{
    return (MDB_val){.mv_data = (void *)s.data, .mv_size = s.len};
}

static struct hf_slice slice_of(MDB_val v)
{
    return hf__slice(v.mv_data, v.mv_size);
}

static int read_result(struct hf_local_snap *snap, int rc)
{
    if (rc == 0)
        return 0;
    return rc == MDB_NOTFOUND ? HF_NOT_FOUND : hf__lmdb_fail(&snap->tier->env, rc, "reading");
}

static int condemn(struct hf_local_txn *txn, int rc, const char *doing)
{
    txn->failed = hf__lmdb_fail(&txn->snap.tier->env, rc, doing);
    if (txn->failed == HF_EFULL)
        txn->snap.tier->was_full = true;
    return txn->failed;
}

/* The table's cursor. A checkpoint goes through the keys in their order, and looks at a key several times, and so does the
 * replay: a cursor that stands in the right page need not come down the tree again. */
static int own_cursor(struct hf_local_snap *snap, enum hf__lmdb_table table, MDB_cursor **ret_cursor)
{
    uint32_t bit = UINT32_C(1) << table;
    int rc = 0;

    if (!snap->cursors[table])
        rc = mdb_cursor_open(snap->mdb, snap->tier->env.dbi[table], &snap->cursors[table]);
    else if (!(snap->renewed & bit))
        rc = mdb_cursor_renew(snap->mdb, snap->cursors[table]);
    if (rc == 0)
        snap->renewed |= bit;
    *ret_cursor = snap->cursors[table];
    return rc;
}

int hf__lmdb_get(struct hf_local_snap *snap, enum hf__lmdb_table table, struct hf_slice key,
                 struct hf_slice *ret_value)
{
    MDB_val k = val_of(key);
    MDB_val value;
    MDB_cursor *cursor;
    int rc = own_cursor(snap, table, &cursor);

    if (rc == 0)
        rc = mdb_cursor_get(cursor, &k, &value, MDB_SET);
    if (rc == 0)
        *ret_value = slice_of(value);
    return read_result(snap, rc);
}

int hf__lmdb_seek(struct hf_local_snap *snap, enum hf__lmdb_table table, struct hf_slice from,
                  struct hf_slice *ret_key, struct hf_slice *ret_value)
{
    MDB_cursor *cursor;
    int rc = own_cursor(snap, table, &cursor);

    if (rc != 0)
        return hf__lmdb_fail(&snap->tier->env, rc, "beginning a walk");
    return hf__lmdb_cursor_seek(snap, cursor, from, ret_key, ret_value);
}

int hf__lmdb_reserve(struct hf_local_txn *txn, enum hf__lmdb_table table, struct hf_slice key, size_t len,
                     void **ret_value)
{
    MDB_val k = val_of(key);
    MDB_val value = {.mv_size = len};
    MDB_cursor *cursor;
    int rc = own_cursor(&txn->snap, table, &cursor);

    if (rc == 0)
        rc = mdb_cursor_put(cursor, &k, &value, MDB_RESERVE);
    if (rc != 0)
        return condemn(txn, rc, "storing");
    hf__lmdb_room_note_put(txn, table, value.mv_data, key.len + len);
    *ret_value = value.mv_data;
    return 0;
}

int hf__lmdb_put(struct hf_local_txn *txn, enum hf__lmdb_table table, struct hf_slice key, struct hf_slice value)
{
    void *to;
    int rc = hf__lmdb_reserve(txn, table, key, value.len, &to);

    if (rc == 0 && value.len > 0)
        memcpy(to, value.data, value.len);
    return rc;
}

int hf__lmdb_del(struct hf_local_txn *txn, enum hf__lmdb_table table, struct hf_slice key)
{
    MDB_val k = val_of(key);
    MDB_val value;
    MDB_cursor *cursor;
    int rc = own_cursor(&txn->snap, table, &cursor);

    if (rc == 0)
        rc = mdb_cursor_get(cursor, &k, &value, MDB_SET);
    if (rc == 0)
        rc = mdb_cursor_del(cursor, 0);
    if (rc == MDB_NOTFOUND)
        return HF_NOT_FOUND;
    if (rc != 0)
        return condemn(txn, rc, "removing");
    hf__lmdb_room_note_del(txn, table);
    return 0;
}

int hf__lmdb_empty(struct hf_local_txn *txn, enum hf__lmdb_table table)
{
    int rc = mdb_drop(txn->snap.mdb, txn->snap.tier->env.dbi[table], 0);

    return rc == 0 ? 0 : condemn(txn, rc, "removing");
}

int hf__lmdb_cursor_open(struct hf_local_snap *snap, enum hf__lmdb_table table, MDB_cursor **ret_cursor)
{
    int rc = mdb_cursor_open(snap->mdb, snap->tier->env.dbi[table], ret_cursor);

    return rc == 0 ? 0 : hf__lmdb_fail(&snap->tier->env, rc, "beginning a walk");
}

static int cursor_get(struct hf_local_snap *snap, MDB_cursor *cursor, MDB_val *key, MDB_cursor_op op,
                      struct hf_slice *ret_key, struct hf_slice *ret_value)
{
    MDB_val value;
    int rc = mdb_cursor_get(cursor, key, &value, op);

    if (rc == 0) {
        *ret_key = slice_of(*key);
        *ret_value = slice_of(value);
    }
    return read_result(snap, rc);
}

int hf__lmdb_cursor_next(struct hf_local_snap *snap, MDB_cursor *cursor, struct hf_slice *ret_key,
                         struct hf_slice *ret_value)
{
    MDB_val key;

    return cursor_get(snap, cursor, &key, MDB_NEXT, ret_key, ret_value);
}

int hf__lmdb_cursor_seek(struct hf_local_snap *snap, MDB_cursor *cursor, struct hf_slice from,
                         struct hf_slice *ret_key, struct hf_slice *ret_value)
{
    MDB_val key = val_of(from);

    return cursor_get(snap, cursor, &key, from.len > 0 ? MDB_SET_RANGE : MDB_FIRST, ret_key, ret_value);
}

int hf__lmdb_table_stat(struct hf_local_snap *snap, enum hf__lmdb_table table, MDB_stat *ret_stat)
{
    int rc = mdb_stat(snap->mdb, snap->tier->env.dbi[table], ret_stat);

    return rc == 0 ? 0 : hf__lmdb_fail(&snap->tier->env, rc, "asking for the size of a table");
}
