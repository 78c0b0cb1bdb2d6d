/* The conflict log, by id. */
#include "conflict.h"
#include "ops.h"
#include "room.h"
#include "state.h"
#include "table.h"
#include "fail.h"

#include <stdlib.h>

struct id_key {
    uint8_t bytes[8];
};

static struct hf_slice id_key(uint64_t id, struct id_key *key)
{
    hf__put64be(key->bytes, id);
    return hf__slice(key->bytes, sizeof(key->bytes));
}

static uint64_t bytes_of(const struct hf_conflict_row *row)
{
    return row->key.len + row->ours.value.len + row->theirs.value.len;
}

static int get(struct hf_local_snap *snap, struct hf_slice id, struct hf_conflict_row *ret_row)
{
    struct hf_slice stored;
    int rc = hf__lmdb_get(snap, HF__LMDB_CONFLICTS, id, &stored);

    return rc == 0 ? hf__lmdb_conflict_decode(id, stored, ret_row) : rc;
}

int hf__lmdb_conflict_next(struct hf_local_snap *snap, uint64_t from_id, struct hf_conflict_row *ret_row)
{
    struct id_key bytes;
    struct hf_slice id;
    struct hf_slice stored;
    int rc = hf__lmdb_seek(snap, HF__LMDB_CONFLICTS, id_key(from_id, &bytes), &id, &stored);

    return rc == 0 ? hf__lmdb_conflict_decode(id, stored, ret_row) : rc;
}

static int check_side(const struct hf_conflict_side *side)
{
    if (side->value.len <= HF_CONFLICT_VALUE_MAX)
        return 0;
    return hf__fail(HF_EINVAL, "local tier: a value of %zu bytes in a conflict, where at most %u are kept",
                    side->value.len, HF_CONFLICT_VALUE_MAX);
}

static int check_row(const struct hf_conflict_row *row)
{
    int rc = check_side(&row->ours);

    if (rc == 0)
        rc = check_side(&row->theirs);
    return rc == 0 ? hf__lmdb_check_key(row->key) : rc;
}

/* The bytes are made before LMDB changes anything: what the row points to may be borrowed from this transaction. */
static int store(struct hf_local_txn *txn, struct hf_slice id, const struct hf_conflict_row *row)
{
    size_t len = hf__lmdb_conflict_size(row);
    uint8_t *bytes = malloc(len);
    int rc;

    if (!bytes)
        return hf__fail(HF_ENOMEM, "out of memory: a conflict of %zu bytes", len);
    hf__lmdb_conflict_encode(id, row, bytes);
    rc = hf__lmdb_put(txn, HF__LMDB_CONFLICTS, id, hf__slice(bytes, len));
    free(bytes);
    return rc;
}

/* Room is needed for what is new, and for a row that grows. */
int hf__lmdb_conflict_put(struct hf_local_txn *txn, const struct hf_conflict_row *row)
{
    struct id_key bytes;
    struct hf_slice id = id_key(row->id, &bytes);
    struct hf_conflict_row old = {0};
    int rc = check_row(row);

    if (rc == 0)
        rc = get(&txn->snap, id, &old);
    if (rc >= 0 && (rc == HF_NOT_FOUND || bytes_of(row) > bytes_of(&old)))
        rc = hf__lmdb_room_check(txn, HF__LMDB_KEEP_HALF, hf__lmdb_conflict_size(row));
    if (rc == 0)
        rc = store(txn, id, row);
    if (rc != 0)
        return rc;
    txn->snap.state.conflict_bytes += bytes_of(row) - bytes_of(&old);
    txn->snap.state.blind_conflicts +=
        (uint64_t)(row->rule == HF_RULE_BLIND) - (uint64_t)(old.rule == HF_RULE_BLIND);
    return 0;
}

int hf__lmdb_conflict_remove(struct hf_local_txn *txn, uint64_t id)
{
    struct id_key bytes;
    struct hf_slice key = id_key(id, &bytes);
    struct hf_conflict_row old;
    int rc = get(&txn->snap, key, &old);

    if (rc != 0)
        return rc < 0 ? rc : 0;
    rc = hf__lmdb_del(txn, HF__LMDB_CONFLICTS, key);
    if (rc < 0)
        return rc;
    txn->snap.state.conflict_bytes -= bytes_of(&old);
    txn->snap.state.blind_conflicts -= old.rule == HF_RULE_BLIND;
    return 0;
}
