/* The expiry index: deadline and reference of every record that has a deadline. */
#include "ops.h"
#include "record.h"
#include "table.h"
#include "fail.h"

#include <assert.h>

#define EXPIRY_KEY_MAX (8 + HF__LMDB_REF_MAX)

static_assert(EXPIRY_KEY_MAX <= HF__LMDB_KEY_MAX, "an index entry fits into a key");
static_assert(EXPIRY_KEY_MAX <= sizeof(((struct hf_local_cursor *)0)->at), "an index entry fits into a cursor");

static struct hf_slice expiry_key(int64_t deadline_ms, const struct hf__lmdb_ref *ref, uint8_t *to)
{
    hf__put64be(to, (uint64_t)deadline_ms);
    memcpy(to + 8, ref->bytes, ref->len);
    return hf__slice(to, 8u + ref->len);
}

int hf__lmdb_expiry_move(struct hf_local_txn *txn, const struct hf__lmdb_ref *ref, int64_t old_deadline_ms,
                         int64_t deadline_ms)
{
    uint8_t key[EXPIRY_KEY_MAX];

    if (old_deadline_ms == deadline_ms)
        return 0;
    if (old_deadline_ms != 0) {
        int rc = hf__lmdb_del(txn, HF__LMDB_EXPIRY, expiry_key(old_deadline_ms, ref, key));

        if (rc < 0)
            return rc;
    }
    if (deadline_ms == 0)
        return 0;
    return hf__lmdb_put(txn, HF__LMDB_EXPIRY, expiry_key(deadline_ms, ref, key), hf__slice(NULL, 0));
}

/* Split an index entry. Returns 0, HF_NOT_FOUND when its deadline is after now_ms, or HF_ECORRUPT. */
static int split(struct hf_slice entry, int64_t now_ms, int64_t *ret_deadline_ms, struct hf__lmdb_ref *ret_ref)
{
    if (entry.len <= 8)
        return hf__fail(HF_ECORRUPT, "an entry of the local tier's expiry index has %zu bytes", entry.len);
    *ret_deadline_ms = (int64_t)hf__get64be(entry.data);
    if (*ret_deadline_ms > now_ms)
        return HF_NOT_FOUND;
    return hf__lmdb_ref_parse(hf__slice((const uint8_t *)entry.data + 8, entry.len - 8), ret_ref);
}

int hf__lmdb_count_expired(struct hf_local_snap *snap, int64_t now_ms, uint64_t *ret_count)
{
    struct hf_slice entry = {0};
    struct hf_slice empty;
    MDB_cursor *cursor;
    uint64_t count = 0;
    int rc = hf__lmdb_cursor_open(snap, HF__LMDB_EXPIRY, &cursor);

    if (rc != 0)
        return rc;
    while ((rc = hf__lmdb_cursor_next(snap, cursor, &entry, &empty)) == 0) {
        if (entry.len >= 8 && (int64_t)hf__get64be(entry.data) > now_ms)
            break;
        count++;
    }
    mdb_cursor_close(cursor);
    if (rc < 0)
        return rc;
    *ret_count = count;
    return 0;
}

/* The next entry of the index behind the cursor, copied into it. */
static int next_entry(struct hf_local_snap *snap, struct hf_local_cursor *cursor)
{
    struct hf_slice at = hf__slice(cursor->at, cursor->len);
    struct hf_slice entry;
    struct hf_slice empty;
    MDB_cursor *mdb;
    int rc = hf__lmdb_cursor_open(snap, HF__LMDB_EXPIRY, &mdb);

    if (rc != 0)
        return rc;
    rc = hf__lmdb_cursor_seek(snap, mdb, at, &entry, &empty);
    if (rc == 0 && hf__slice_eq(entry, at))
        rc = hf__lmdb_cursor_next(snap, mdb, &entry, &empty);
    if (rc == 0 && entry.len > sizeof(cursor->at))
        rc = hf__fail(HF_ECORRUPT, "an entry of the local tier's expiry index has %zu bytes", entry.len);
    if (rc == 0) {
        memcpy(cursor->at, entry.data, entry.len);
        cursor->len = (uint16_t)entry.len;
    }
    mdb_cursor_close(mdb);
    return rc;
}

/* Of a damaged entry 1, which has passed: the next walk reports it. */
int hf__lmdb_first_deadline(struct hf_local_snap *snap, int64_t *ret_deadline_ms)
{
    struct hf_slice entry, empty;
    int64_t deadline_ms = 0;
    int rc = hf__lmdb_seek(snap, HF__LMDB_EXPIRY, hf__slice(NULL, 0), &entry, &empty);

    if (rc == 0 && entry.len >= 8)
        deadline_ms = (int64_t)hf__get64be(entry.data);
    if (rc == 0)
        *ret_deadline_ms = deadline_ms > 0 ? deadline_ms : 1;
    return rc == HF_NOT_FOUND ? 0 : rc;
}

enum finding { DUE, STALE, UNREADABLE };

/* What the entry's record says about it. */
static int examine(struct hf_local_snap *snap, const struct hf__lmdb_ref *ref, int64_t deadline_ms,
                   struct hf_slice *ret_key, enum finding *ret_finding)
{
    struct hf_record record;
    int rc = hf__lmdb_record_at(snap, ref, ret_key, &record);

    if (rc == HF_ECORRUPT || rc == HF_EVERSION)
        *ret_finding = UNREADABLE;
    else if (rc == HF_NOT_FOUND || (rc == 0 && record.deadline_ms != deadline_ms))
        *ret_finding = STALE;
    else if (rc == 0)
        *ret_finding = DUE;
    else
        return rc;
    return 0;
}

/* An entry whose record is damaged is left alone: reading that record reports the damage. A stale entry, which only
 * damage can have left behind, is removed. */
int hf__lmdb_expired_next(struct hf_local_txn *txn, int64_t now_ms, struct hf_local_cursor *cursor, void *ret_key,
                          size_t *ret_key_len)
{
    for (;;) {
        struct hf_local_cursor next = *cursor;
        struct hf__lmdb_ref ref;
        enum finding finding;
        struct hf_slice key;
        int64_t deadline_ms = 0;
        int rc = next_entry(&txn->snap, &next);

        if (rc == 0)
            rc = split(hf__slice(next.at, next.len), now_ms, &deadline_ms, &ref);
        if (rc == 0)
            rc = examine(&txn->snap, &ref, deadline_ms, &key, &finding);
        if (rc != 0)
            return rc;
        *cursor = next;
        if (finding == DUE) {
            memcpy(ret_key, key.data, key.len);
            *ret_key_len = key.len;
            return 0;
        }
        if (finding == STALE) {
            rc = hf__lmdb_del(txn, HF__LMDB_EXPIRY, hf__slice(next.at, next.len));
            if (rc < 0)
                return rc;
        }
    }
}
