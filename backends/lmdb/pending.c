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

/* ---- places in the order ----
 *
 * A place counts while the row that it names begins with its LSN. It may outlive its row: rows end in the order of their
 * keys, and each would touch another page of this table. What was left behind is cleared from the oldest on, by the rows
 * that come, and all at once when no row is left. */

#define TIDY_PLACES 2 /* for each new row: what was left behind is passed over faster than it grows */

struct place {
    uint8_t bytes[8]; /* the first LSN */
    struct hf__lmdb_ref ref;
};

static struct hf_slice place_slice(const struct place *place)
{
    return hf__slice(place->bytes, sizeof(place->bytes));
}

/* The first place at `from_lsn` or behind it. Of a damaged one the LSN is told all the same: the highest, where there is no
 * going on behind it. */
static int next_place(struct hf_local_snap *snap, uint64_t from_lsn, struct place *ret_place)
{
    struct hf_slice order;
    struct hf_slice stored;
    int rc;

    hf__put64be(ret_place->bytes, from_lsn);
    rc = hf__lmdb_seek(snap, HF__LMDB_PENDING_ORDER, place_slice(ret_place), &order, &stored);
    if (rc != 0 || order.len != sizeof(ret_place->bytes))
        hf__put64be(ret_place->bytes, UINT64_MAX);
    if (rc == 0 && order.len != sizeof(ret_place->bytes))
        return hf__fail(HF_ECORRUPT, "the order of the local tier's pending table has a place of %zu bytes",
                        order.len);
    if (rc != 0)
        return rc;
    memcpy(ret_place->bytes, order.data, order.len);
    if (!hf__lmdb_sealed(order, stored))
        return hf__fail(HF_ECORRUPT, "a place in the order of the local tier's pending table is damaged");
    return hf__lmdb_ref_parse(
        hf__slice((const uint8_t *)stored.data + HF__LMDB_SEAL_BYTES, stored.len - HF__LMDB_SEAL_BYTES),
        &ret_place->ref);
}

static int put_place(struct hf_local_txn *txn, const struct place *place)
{
    uint8_t value[HF__LMDB_SEAL_BYTES + HF__LMDB_REF_MAX];
    size_t len = HF__LMDB_SEAL_BYTES + place->ref.len;

    memcpy(value + HF__LMDB_SEAL_BYTES, place->ref.bytes, place->ref.len);
    hf__lmdb_seal(place_slice(place), value, len);
    return hf__lmdb_put(txn, HF__LMDB_PENDING_ORDER, place_slice(place), hf__slice(value, len));
}

/* HF_NOT_FOUND: the place was left behind. */
static int row_of_place(struct hf_local_snap *snap, const struct place *place, struct hf_pending_row *ret_row)
{
    int rc = row_at(snap, &place->ref, ret_row);

    return rc == 0 && ret_row->first_lsn != hf__get64be(place->bytes) ? HF_NOT_FOUND : rc;
}

static int count_left_behind(struct hf_local_txn *txn, size_t *ret_rows, size_t *ret_left)
{
    MDB_stat rows;
    MDB_stat places;
    int rc = hf__lmdb_table_stat(&txn->snap, HF__LMDB_PENDING, &rows);

    if (rc == 0)
        rc = hf__lmdb_table_stat(&txn->snap, HF__LMDB_PENDING_ORDER, &places);
    if (rc != 0)
        return rc;
    *ret_rows = rows.ms_entries;
    *ret_left = places.ms_entries > rows.ms_entries ? places.ms_entries - rows.ms_entries : 0;
    return 0;
}

/* The place at `from_lsn` or behind it is removed if it was left behind; HF_NOT_FOUND: there is none. What is damaged stays, and
 * counts: who reads it will say so. */
static int tidy_place(struct hf_local_txn *txn, uint64_t from_lsn, struct place *ret_place, bool *ret_counts)
{
    struct hf_pending_row row;
    int rc = next_place(&txn->snap, from_lsn, ret_place);

    *ret_counts = true;
    if (rc == 0) {
        rc = row_of_place(&txn->snap, ret_place, &row);
        *ret_counts = rc != HF_NOT_FOUND;
        if (rc == HF_NOT_FOUND)
            rc = hf__lmdb_del(txn, HF__LMDB_PENDING_ORDER, place_slice(ret_place));
    }
    return rc == HF_ECORRUPT ? 0 : rc;
}

/* Go on where the last new row stopped. */
static int tidy_some(struct hf_local_txn *txn)
{
    struct hf__lmdb_tier *tier = txn->snap.tier;
    struct place place;
    size_t rows, left;
    bool counts;
    int rc = count_left_behind(txn, &rows, &left);

    for (int i = 0; i < TIDY_PLACES && rc == 0 && left > 0; i++) {
        rc = tidy_place(txn, tier->tidy_lsn, &place, &counts);
        tier->tidy_lsn = rc == 0 ? hf__get64be(place.bytes) + 1 : 0;
    }
    return rc < 0 ? rc : 0;
}

int hf__lmdb_pending_tidy(struct hf_local_txn *txn)
{
    struct place place;
    size_t rows, left;
    bool counts = false;
    int rc = count_left_behind(txn, &rows, &left);

    if (rc == 0 && rows == 0)
        txn->snap.state.pending_bytes = 0; /* a damaged row could not tell how many it had */
    if (rc != 0 || left == 0)
        return rc;
    if (rows == 0)
        return hf__lmdb_empty(txn, HF__LMDB_PENDING_ORDER);
    while (rc == 0 && !counts)
        rc = tidy_place(txn, 0, &place, &counts);
    return rc < 0 ? rc : 0;
}

int hf__lmdb_pending_next(struct hf_local_snap *snap, uint64_t from_lsn, struct hf_pending_row *ret_row)
{
    struct place place;
    int rc = next_place(snap, from_lsn, &place);

    while (rc == 0) {
        rc = row_of_place(snap, &place, ret_row);
        if (rc != HF_NOT_FOUND)
            break;
        rc = next_place(snap, hf__get64be(place.bytes) + 1, &place);
    }
    if (rc == HF_ECORRUPT)
        ret_row->first_lsn = hf__get64be(place.bytes);
    return rc;
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

    if (rc == 0 && ref.len >= sizeof(cursor->at))
        rc = hf__fail(HF_ECORRUPT, "a name in the local tier's pending table has %zu bytes", ref.len);
    if (rc != 0)
        return rc == HF_ECORRUPT ? HF_EIO : rc; /* the walk cannot go on behind this */
    rc = hf__lmdb_row_decode(ref, stored, &row);
    if (rc != 0 && rc != HF_ECORRUPT)
        return rc;
    memcpy(cursor->at, ref.data, ref.len);
    cursor->at[ref.len] = 0; /* the first that could come behind it */
    cursor->len = (uint16_t)(ref.len + 1);
    if (rc == 0)
        *ret_row = row;
    return rc;
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

/* Two rows never begin with the same LSN. */
static int check_place(struct hf_local_snap *snap, uint64_t first_lsn)
{
    struct hf_pending_row row;
    struct place place;
    int rc = next_place(snap, first_lsn, &place);

    if (rc == 0 && hf__get64be(place.bytes) == first_lsn && row_of_place(snap, &place, &row) == 0)
        return hf__fail(HF_EINVAL, "local tier: another pending row already begins with LSN %llu",
                        (unsigned long long)first_lsn);
    return rc < 0 && rc != HF_ECORRUPT ? rc : 0;
}

/* A new row takes a place in the order that no other has. */
static int insert(struct hf_local_txn *txn, const struct hf_pending_row *row, struct hf__lmdb_ref *ret_ref)
{
    struct place place;
    int rc = check_place(&txn->snap, row->first_lsn);

    if (rc == 0)
        rc = tidy_some(txn);
    if (rc == 0)
        rc = hf__lmdb_room_check(txn, HF__LMDB_KEEP_HALF, hf__lmdb_row_size(row));
    if (rc == 0)
        rc = hf__lmdb_ref_hold(txn, row->key, HF__LMDB_USE_PENDING, ret_ref);
    if (rc != 0)
        return rc;
    hf__put64be(place.bytes, row->first_lsn);
    place.ref = *ret_ref;
    return put_place(txn, &place);
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

/* What a damaged row says does not matter to one who removes it whatever it says. */
static int get_to_remove(struct hf_local_snap *snap, struct hf_slice key, uint64_t upto_lsn,
                         struct hf__lmdb_ref *ret_ref, struct hf_pending_row *ret_row)
{
    int rc = get(snap, key, ret_ref, ret_row);

    if (rc != HF_ECORRUPT || upto_lsn < UINT64_MAX)
        return rc;
    *ret_row = (struct hf_pending_row){.op = HF_PENDING_SET};
    return hf__lmdb_ref_find(snap, key, HF__LMDB_USE_PENDING, ret_ref);
}

int hf__lmdb_pending_remove(struct hf_local_txn *txn, struct hf_slice key, uint64_t upto_lsn)
{
    struct hf_pending_row row;
    struct hf__lmdb_ref ref;
    uint64_t bytes;
    int rc = get_to_remove(&txn->snap, key, upto_lsn, &ref, &row);

    if (rc != 0)
        return rc;
    if (row.last_lsn > upto_lsn)
        return HF_NOT_FOUND;
    bytes = bytes_of(&row);
    rc = hf__lmdb_del(txn, HF__LMDB_PENDING, hf__lmdb_ref_slice(&ref)); /* its place stays behind */
    if (rc == 0)
        rc = hf__lmdb_ref_drop(txn, key, HF__LMDB_USE_PENDING);
    if (rc == 0)
        txn->snap.state.pending_bytes -= bytes;
    return rc;
}
