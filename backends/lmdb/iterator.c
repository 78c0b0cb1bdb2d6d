/* The walk over all records in key order: short and long keys, merged. */
#include "long_walk.h"
#include "ops.h"
#include "record.h"
#include "table.h"
#include "fail.h"

#include <stdlib.h>

#define LINE 64 /* bytes of a cache line */

/* One side of the merge: the record that comes next on it. */
struct side {
    bool ready; /* the fields below hold the next record */
    bool ended;
    struct hf_slice key;
    struct hf_slice table_key;
    struct hf_slice stored;
};

struct hf_local_iter {
    struct hf_local_snap *snap;
    MDB_cursor *cursor;             /* over the short keys */
    struct hf__lmdb_long_walk walk; /* over the long keys */
    uint8_t id[8];                  /* table key of the next long one */
    struct side shorts;
    struct side longs;
    int failed; /* a walk failed and with it the order */
};

static int open_shorts(struct hf_local_iter *iter, struct hf_slice from)
{
    struct side *side = &iter->shorts;
    /* Only the first bytes decide where a short key stands against a long one; no short key is as long as this. */
    struct hf_slice cut = hf__slice(from.data, from.len > HF__LMDB_SHORT_MAX ? HF__LMDB_SHORT_MAX + 1 : from.len);
    int rc = hf__lmdb_cursor_open(iter->snap, HF__LMDB_DATA, &iter->cursor);

    if (rc != 0)
        return rc;
    rc = hf__lmdb_cursor_seek(iter->snap, iter->cursor, cut, &side->key, &side->stored);
    side->table_key = side->key;
    side->ready = rc == 0;
    side->ended = rc == HF_NOT_FOUND;
    return rc < 0 ? rc : 0;
}

int hf__lmdb_iter_open(struct hf_local_snap *snap, struct hf_slice from, struct hf_local_iter **ret_iter)
{
    struct hf_local_iter *iter;
    int rc;

    if (from.len > HF_KEY_MAX)
        return hf__fail(HF_EINVAL, "local tier: a walk from a key of %zu bytes, where at most %d are allowed",
                        from.len, HF_KEY_MAX);
    iter = calloc(1, sizeof(*iter));
    if (!iter)
        return hf__fail(HF_ENOMEM, "out of memory: a walk");
    iter->snap = snap;
    rc = open_shorts(iter, from);
    if (rc == 0)
        rc = hf__lmdb_long_walk_open(&iter->walk, snap, HF__LMDB_USE_RECORD, from);
    if (rc != 0) {
        hf__lmdb_iter_close(iter);
        return rc;
    }
    *ret_iter = iter;
    return 0;
}

void hf__lmdb_iter_close(struct hf_local_iter *iter)
{
    if (!iter)
        return;
    if (iter->cursor)
        mdb_cursor_close(iter->cursor);
    hf__lmdb_long_walk_release(&iter->walk);
    free(iter);
}

/* 0 also at the end of the side. */
static int settle(struct side *side, int rc)
{
    side->ready = rc == 0;
    side->ended = rc == HF_NOT_FOUND;
    return rc < 0 ? rc : 0;
}

static int advance_shorts(struct hf_local_iter *iter)
{
    struct side *side = &iter->shorts;
    int rc = hf__lmdb_cursor_next(iter->snap, iter->cursor, &side->key, &side->stored);

    side->table_key = side->key;
    return settle(side, rc);
}

static int advance_longs(struct hf_local_iter *iter)
{
    struct side *side = &iter->longs;
    uint64_t id;
    int rc = hf__lmdb_long_walk_next(&iter->walk, &id, &side->key);

    if (rc == 0) {
        hf__put64be(iter->id, id);
        side->table_key = hf__slice(iter->id, sizeof(iter->id));
        rc = hf__lmdb_get(iter->snap, HF__LMDB_LONG, side->table_key, &side->stored);
        if (rc == HF_NOT_FOUND) {
            rc = 0; /* a link without its record: an empty one fails to decode, when its turn comes */
            side->stored = hf__slice(NULL, 0);
        }
    }
    return settle(side, rc);
}

static int fill(struct hf_local_iter *iter)
{
    int rc = 0;

    if (!iter->shorts.ready && !iter->shorts.ended)
        rc = advance_shorts(iter);
    if (rc == 0 && !iter->longs.ready && !iter->longs.ended)
        rc = advance_longs(iter);
    return rc;
}

/* The side whose key comes first; NULL at the end. */
static struct side *first(struct hf_local_iter *iter)
{
    struct side *a = &iter->shorts;
    struct side *b = &iter->longs;

    if (!a->ready || !b->ready)
        return a->ready ? a : b->ready ? b : NULL;
    return hf__slice_cmp(a->key, b->key) < 0 ? a : b;
}

/* While the caller is busy with one record, the next one comes from memory: else its checksum has to wait. Of a longer one the
 * processor fetches the rest by itself, and asking for what lies behind a shorter one does no harm. */
static void look_ahead(struct hf_local_iter *iter)
{
    const uint8_t *stored;

    iter->failed = advance_shorts(iter);
    if (!iter->shorts.ready)
        return;
    stored = iter->shorts.stored.data;
    __builtin_prefetch(stored);
    __builtin_prefetch(stored + LINE);
    __builtin_prefetch(stored + 2 * LINE);
}

int hf__lmdb_iter_next(struct hf_local_iter *iter, struct hf_slice *ret_key, struct hf_record *ret_record)
{
    struct side *side;
    struct hf_slice long_key;
    struct hf_record record;
    int rc;

    if (iter->failed == 0)
        iter->failed = fill(iter);
    if (iter->failed != 0)
        return iter->failed;
    side = first(iter);
    if (!side)
        return HF_NOT_FOUND;
    side->ready = false;
    rc = hf__lmdb_record_decode(side->table_key, side->key, side->stored, &long_key, &record);
    if (rc != 0)
        return rc;
    if (!hf__slice_eq(long_key, side == &iter->longs ? side->key : hf__slice(NULL, 0)))
        return hf__lmdb_wrong_key(side->key);
    *ret_key = side->key;
    *ret_record = record;
    if (side == &iter->shorts)
        look_ahead(iter);
    return 0;
}
