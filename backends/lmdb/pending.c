/* The pending table: a row for each key that owes the shared tier something, and their order by first LSN. */
#include "ops.h"
#include "room.h"
#include "row.h"
#include "seal.h"
#include "state.h"
#include "table.h"
#include "fail.h"

#include <assert.h>
#include <stdlib.h>

static uint64_t bytes_of(const struct hf_pending_row *row)
{
    return row->key.len + row->value_len + (row->has_base_value ? row->base_value.len : 0);
}

static int row_at(struct hf_local_snap *snap, const struct hf__lmdb_ref *ref, struct hf_pending_row *ret_row)
{
    struct hf_slice stored;
    int rc = hf__lmdb_get(snap, HF__LMDB_PENDING, hf__lmdb_ref_slice(ref), &stored);

    return rc == 0 ? hf__lmdb_row_decode(hf__lmdb_ref_slice(ref), stored, ret_row) : rc;
}

static int get(struct hf_local_snap *snap, struct hf_slice key, struct hf__lmdb_ref *ret_ref,
               struct hf_pending_row *ret_row)
{
    struct hf_pending_row row;
    char text[160];
    int rc = hf__lmdb_ref_find(snap, key, HF__LMDB_USE_PENDING, ret_ref);

    if (rc == 0)
        rc = row_at(snap, ret_ref, &row);
    if (rc != 0)
        return rc;
    if (!hf__slice_eq(row.key, key))
        return hf__fail(HF_ECORRUPT, "the local tier's pending row of key \"%s\" is stored under another key",
                        hf__printable(key, text, sizeof(text)));
    *ret_row = row;
    return 0;
}

int hf__lmdb_pending_get(struct hf_local_snap *snap, struct hf_slice key, struct hf_pending_row *ret_row)
{
    struct hf__lmdb_ref ref;

    return get(snap, key, &ref, ret_row);
}

/* ---- places in the order ---- */

static int leave_place(struct hf_local_txn *txn, uint64_t first_lsn)
{
    struct hf__lmdb_places *left = &txn->left_places;

    if (left->n == left->capacity) {
        size_t capacity = left->capacity ? 2 * left->capacity : 256;
        uint64_t *grown = realloc(left->lsns, capacity * sizeof(*grown));
        if (!grown)
            return hf__fail(HF_ENOMEM, "out of memory: removing a pending row");
        left->lsns = grown;
        left->capacity = capacity;
    }
    left->lsns[left->n++] = first_lsn;
    hf__lmdb_room_note_del(txn, HF__LMDB_PENDING_ORDER); /* that a page will be taken is known from now on */
    return 0;
}

static int compare_lsns(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

int hf__lmdb_pending_clear_places(struct hf_local_txn *txn)
{
    struct hf__lmdb_places *left = &txn->left_places;
    uint8_t place[8];
    int rc = 0;

    if (left->n > 0)
        qsort(left->lsns, left->n, sizeof(*left->lsns), compare_lsns);
    for (size_t i = 0; i < left->n && rc >= 0; i++) {
        hf__put64be(place, left->lsns[i]);
        rc = hf__lmdb_del(txn, HF__LMDB_PENDING_ORDER, hf__slice(place, sizeof(place)));
    }
    left->n = 0;
    return rc < 0 ? rc : 0;
}

/* A transaction that looks at the order sees it as it is. */
static int settle_places(struct hf_local_snap *snap)
{
    return snap->writes ? hf__lmdb_pending_clear_places((struct hf_local_txn *)snap) : 0;
}

int hf__lmdb_pending_next(struct hf_local_snap *snap, uint64_t from_lsn, struct hf_pending_row *ret_row)
{
    struct hf_pending_row row;
    struct hf__lmdb_ref ref;
    struct hf_slice order;
    struct hf_slice stored;
    uint8_t from[8];
    int rc;

    hf__put64be(from, from_lsn);
    rc = settle_places(snap);
    if (rc == 0)
        rc = hf__lmdb_seek(snap, HF__LMDB_PENDING_ORDER, hf__slice(from, sizeof(from)), &order, &stored);
    if (rc == 0)
        rc = hf__lmdb_ref_parse(stored, &ref);
    if (rc != 0)
        return rc;
    rc = row_at(snap, &ref, &row);
    if (rc < 0)
        return rc;
    if (rc == HF_NOT_FOUND || order.len != 8 || hf__get64be(order.data) != row.first_lsn)
        return hf__fail(HF_ECORRUPT, "the order of the local tier's pending table names a row that is not there");
    *ret_row = row;
    return 0;
}

static_assert(HF__LMDB_REF_MAX + 1 <= sizeof(((struct hf_local_cursor *)0)->at),
              "a reference and a byte fit into a cursor");

int hf__lmdb_pending_walk(struct hf_local_snap *snap, struct hf_local_cursor *cursor,
                          struct hf_pending_row *ret_row)
{
    struct hf_pending_row row;
    struct hf_slice ref;
    struct hf_slice stored;
    int rc = hf__lmdb_seek(snap, HF__LMDB_PENDING, hf__slice(cursor->at, cursor->len), &ref, &stored);

    if (rc == 0)
        rc = hf__lmdb_row_decode(ref, stored, &row);
    if (rc != 0)
        return rc;
    memcpy(cursor->at, ref.data, ref.len);
    cursor->at[ref.len] = 0; /* the first that could come behind it */
    cursor->len = (uint16_t)(ref.len + 1);
    *ret_row = row;
    return 0;
}

static int check_row(const struct hf_pending_row *row)
{
    if (row->n_own > HF_PENDING_OWN_MAX)
        return hf__fail(HF_EINVAL, "local tier: a pending row with %u own versions, where at most %d are allowed",
                        row->n_own, HF_PENDING_OWN_MAX);
    if (row->has_base_value && row->base_value.len > HF_VALUE_MAX)
        return hf__fail(HF_EINVAL, "local tier: a base value of %zu bytes, where at most %u are allowed",
                        row->base_value.len, HF_VALUE_MAX);
    return hf__lmdb_check_key(row->key);
}

/* A new row takes a place in the order that nobody has. */
static int insert(struct hf_local_txn *txn, const struct hf_pending_row *row, struct hf__lmdb_ref *ret_ref)
{
    uint8_t order[8];
    struct hf_slice place;
    struct hf_slice taken;
    int rc;

    hf__put64be(order, row->first_lsn);
    place = hf__slice(order, sizeof(order));
    rc = hf__lmdb_pending_clear_places(txn);
    if (rc == 0)
        rc = hf__lmdb_get(&txn->snap, HF__LMDB_PENDING_ORDER, place, &taken);
    if (rc == 0)
        return hf__fail(HF_EINVAL, "local tier: another pending row already begins with LSN %llu",
                        (unsigned long long)row->first_lsn);
    if (rc == HF_NOT_FOUND)
        rc = hf__lmdb_room_check(txn, HF__LMDB_KEEP_HALF, hf__lmdb_row_size(row));
    if (rc == 0)
        rc = hf__lmdb_ref_hold(txn, row->key, HF__LMDB_USE_PENDING, ret_ref);
    if (rc == 0)
        rc = hf__lmdb_put(txn, HF__LMDB_PENDING_ORDER, place, hf__lmdb_ref_slice(ret_ref));
    return rc;
}

/* A row that is there may grow only by a base value, and only that needs room. */
static int check_growth(struct hf_local_txn *txn, const struct hf_pending_row *row,
                        const struct hf_pending_row *old)
{
    if (!row->has_base_value || row->base_value.len <= old->base_value.len)
        return 0;
    return hf__lmdb_room_check(txn, HF__LMDB_KEEP_HALF, hf__lmdb_row_size(row));
}

/* Store the encoded row, giving it a place if it has none. `old` is the row that is there, NULL: none. */
static int store(struct hf_local_txn *txn, const struct hf_pending_row *row, const struct hf_pending_row *old,
                 struct hf__lmdb_ref *ref, uint8_t *bytes)
{
    size_t len = hf__lmdb_row_size(row);
    int rc = old ? check_growth(txn, row, old) : insert(txn, row, ref);

    if (rc != 0)
        return rc;
    hf__lmdb_seal(hf__lmdb_ref_slice(ref), bytes, len);
    rc = hf__lmdb_put(txn, HF__LMDB_PENDING, hf__lmdb_ref_slice(ref), hf__slice(bytes, len));
    if (rc == 0)
        txn->snap.state.pending_bytes += bytes_of(row) - (old ? bytes_of(old) : 0);
    return rc;
}

int hf__lmdb_pending_put(struct hf_local_txn *txn, const struct hf_pending_row *row)
{
    struct hf_pending_row fresh = *row;
    struct hf_pending_row old;
    struct hf__lmdb_ref ref;
    uint8_t *bytes;
    bool is_new;
    int rc = check_row(row);

    if (rc == 0)
        rc = get(&txn->snap, row->key, &ref, &old);
    if (rc < 0)
        return rc;
    is_new = rc == HF_NOT_FOUND;
    if (!is_new)
        fresh.first_lsn = old.first_lsn;
    bytes = malloc(hf__lmdb_row_size(&fresh));
    if (!bytes)
        return hf__fail(HF_ENOMEM, "out of memory: a pending row of %zu bytes", hf__lmdb_row_size(&fresh));
    /* First of all: a row that was read, changed and is put back points into what LMDB is about to change. */
    hf__lmdb_row_encode(&fresh, bytes);
    rc = store(txn, &fresh, is_new ? NULL : &old, &ref, bytes);
    free(bytes);
    return rc;
}

int hf__lmdb_pending_remove(struct hf_local_txn *txn, struct hf_slice key)
{
    struct hf_pending_row row;
    struct hf__lmdb_ref ref;
    uint64_t bytes;
    int rc = get(&txn->snap, key, &ref, &row);

    if (rc != 0)
        return rc < 0 ? rc : 0;
    bytes = bytes_of(&row);
    rc = leave_place(txn, row.first_lsn);
    if (rc == 0)
        rc = hf__lmdb_del(txn, HF__LMDB_PENDING, hf__lmdb_ref_slice(&ref));
    if (rc >= 0)
        rc = hf__lmdb_ref_drop(txn, key, HF__LMDB_USE_PENDING);
    if (rc == 0)
        txn->snap.state.pending_bytes -= bytes;
    return rc;
}
