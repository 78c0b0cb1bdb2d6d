/* From versions in the overlay to a record, a pending row and lane entries (docs/replay.md). */
#include "drain.h"

#include "digest.h"
#include "lookup.h"
#include "settle.h"

#define AT_ONCE_MS 1000

/* What is to be written for one key. */
struct drained {
    struct hf_slice key;
    struct hf_version *head;
    bool has_old;              /* the local tier holds a record */
    struct hf_record old;      /* its value copied to scratch */
    struct hf_found state;     /* what the key is now, expiry left aside */
    struct hf_version *base;   /* the newest settled version below the unsettled ones */
    struct hf_version *oldest; /* the oldest unsettled plain version */
    uint32_t n_plain;          /* unsettled plain versions that fold */
    bool has_lane;
    bool undecided;                 /* hf__intent_is_left */
    bool old_parked;                /* so the record's change has ended, which the record does not say yet */
    bool only_ttl;                  /* the unsettled plain ones change only the deadline */
    const struct hf_version *value; /* the newest of them that does more; NULL: none */
};

static bool is_ttl_op(const struct hf_version *v)
{
    return v->op == HF_ENTRY_EXPIRE || v->op == HF_ENTRY_PERSIST;
}

/* Sort the versions. Below a settled version everything is settled or superseded; plain writes below an unsettled
 * lane entry were carried into the lane when the key joined it. */
static void classify(struct drained *d)
{
    d->only_ttl = true;
    for (struct hf_version *v = d->head; v; v = v->older) {
        if (hf__version_is_settled(v)) {
            d->base = v;
            return;
        }
        if (v->flags & HF_ENTRY_LANE) {
            d->has_lane = true;
        } else if (!d->has_lane) {
            d->n_plain++;
            d->oldest = v;
            d->only_ttl &= is_ttl_op(v);
            if (!d->value && !is_ttl_op(v))
                d->value = v;
        }
    }
}

static int load_old(struct hf_local_txn *txn, const struct hf_local_ops *ops, struct drained *d,
                    struct hf_bytes *scratch)
{
    int rc = ops->get(ops->txn_snap(txn), d->key, &d->old);

    if (rc == HF_NOT_FOUND)
        return 0;
    if (rc != 0)
        return rc;
    hf__bytes_reset(scratch);
    rc = hf__bytes_append(scratch, d->old.value.data, d->old.value.len);
    d->old.value = hf__slice(scratch->bytes, d->old.value.len);
    d->has_old = rc == 0;
    return rc;
}

/* The version that these change the life of; NULL: the record's. */
static const struct hf_version *below_ttl_ops(const struct hf_version *v)
{
    while (v && is_ttl_op(v))
        v = v->older;
    return v;
}

static bool old_is_unshared(const struct drained *d)
{
    return d->old_parked || (d->old.flags & HF_RECORD_UNSHARED);
}

/* Redis has acknowledged the record: it is asked only where no row, or a void one, stands for it. */
static bool old_is_acknowledged(const struct drained *d)
{
    return d->has_old && !old_is_unshared(d);
}

/* What came since changes only the life of a value that Redis does not hold, and tells of that alone. */
static bool is_life_of_unshared(const struct drained *d)
{
    const struct hf_version *v = below_ttl_ops(d->head);

    if (v == d->head)
        return false;
    return v ? hf__version_is_unshared(v) : d->has_old && old_is_unshared(d);
}

/* Of the record below: whether a plain change of ours made its value. */
static uint8_t old_value_flags(const struct drained *d)
{
    uint8_t flags = d->old.flags & (HF_RECORD_COUNTED | HF_RECORD_LANE | HF_RECORD_LIFE);

    return d->has_old && (flags || d->old.lsn == 0) ? flags | HF_RECORD_LIFE : 0;
}

/* Who stands for the value, whatever has changed its life since. */
static uint8_t value_flags(const struct drained *d)
{
    const struct hf_version *v = d->head;
    uint8_t flags = 0;

    while (v && is_ttl_op(v) && !(v->flags & HF_ENTRY_LANE))
        v = v->older;
    if (!v)
        return old_value_flags(d);
    if (hf__version_is_counted(v))
        flags = HF_RECORD_COUNTED;
    else if (v->flags & HF_ENTRY_LANE)
        flags = HF_RECORD_LANE;
    return v != d->head && (flags || v->lsn == 0) ? flags | HF_RECORD_LIFE : flags;
}

static bool ends_before(int64_t deadline_ms, int64_t other_ms)
{
    return other_ms == 0 || other_ms > deadline_ms;
}

/* An acknowledged delete is retained by itself. */
static bool is_retained_delete(const struct hf_version *v)
{
    return v->op == HF_ENTRY_DELETE && atomic_load(&v->state) == HF_VERSION_SETTLED && v->lsn != 0 &&
           !(v->flags & HF_ENTRY_LOCAL);
}

/* The record below, or what it was before a change that waits. */
static bool old_outlives(const struct hf *store, struct hf_local_txn *txn, const struct hf_local_ops *ops,
                         const struct drained *d)
{
    struct hf_pending_row row;

    if (d->has_old)
        return (d->old.flags & HF_RECORD_OUTLIVED) || ends_before(d->state.deadline_ms, d->old.deadline_ms);
    return atomic_load(&store->pending_rows) > 0 &&
           ops->pending_get(ops->txn_snap(txn), d->key, &row) != HF_NOT_FOUND;
}

/* A rollback could bring back what lives longer than the key is to. A value and a life that it was given at once count as one:
 * between the two no copy of Redis is likely to have been made. */
static bool is_outlived(const struct hf *store, struct hf_local_txn *txn, const struct hf_local_ops *ops,
                        const struct drained *d)
{
    const struct hf_version *v = d->head;
    bool is_own = true; /* of the value whose life this is */

    if (d->state.deadline_ms == 0)
        return false;
    for (; v && !is_retained_delete(v); v = v->older) {
        is_own = is_own && d->head->made_ms - v->made_ms <= AT_ONCE_MS;
        if (v->op != HF_ENTRY_DELETE && !is_own && ends_before(d->state.deadline_ms, v->deadline_ms))
            return true;
        is_own = is_own && is_ttl_op(v);
    }
    if (v)
        return false;
    if (is_own && d->has_old && d->head->made_ms - d->old.made_ms <= AT_ONCE_MS)
        return d->old.flags & HF_RECORD_OUTLIVED;
    return old_outlives(store, txn, ops, d);
}

static uint8_t record_flags(const struct drained *d)
{
    const struct hf_version *v = d->head;

    if (hf__version_is_unshared(v))
        return HF_RECORD_UNSHARED;
    if (is_life_of_unshared(d))
        return HF_RECORD_UNSHARED | HF_RECORD_SHARED;
    return (atomic_load(&v->state) == HF_VERSION_SETTLED ? HF_RECORD_SHARED : 0) | value_flags(d);
}

static int write_record(const struct hf *store, struct hf_local_txn *txn, const struct hf_local_ops *ops,
                        const struct drained *d)
{
    struct hf_record record = {
        .value = d->state.value,
        .deadline_ms = d->state.deadline_ms,
        .made_ms = d->head->made_ms,
        .lsn = d->head->lsn,
        .type = d->state.type ? d->state.type : HF_TYPE_STRING,
        .flags = record_flags(d),
    };

    if (!d->state.live)
        return ops->remove(txn, d->key);
    if (is_outlived(store, txn, ops, d))
        record.flags |= HF_RECORD_OUTLIVED;
    return ops->put(txn, d->key, &record);
}

/* A change that the shared tier was never told of: what it holds is not known. */
static bool is_local(const struct hf_version *v)
{
    return v && (v->flags & HF_ENTRY_LOCAL);
}

/* What the shared tier held before the unsettled writes. */
static struct hf_version_id base_id(const struct drained *d)
{
    struct hf_version *v = d->base;
    int64_t deadline_ms = v ? v->deadline_ms : 0;
    bool local = is_local(v);

    while (v && is_ttl_op(v)) {
        v = v->older;
        local |= is_local(v);
    }
    if (local || (v && hf__version_is_unshared(v)))
        return (struct hf_version_id){.kind = HF_VERSION_UNKNOWN};
    if (v)
        return v->op == HF_ENTRY_DELETE ? (struct hf_version_id){.kind = HF_VERSION_ABSENT}
                                        : hf__version_id(v->value, deadline_ms);
    if (old_is_acknowledged(d))
        return hf__version_id(d->old.value, d->base ? deadline_ms : d->old.deadline_ms);
    return (struct hf_version_id){.kind = HF_VERSION_UNKNOWN};
}

/* What a tentative decision saw: the copy, whether Redis is known to hold it or not, and no copy as an absent key. */
static struct hf_version_id seen_id(const struct drained *d)
{
    struct hf_version_id id = base_id(d);

    if (id.kind != HF_VERSION_UNKNOWN)
        return id;
    return d->has_old ? hf__version_id(d->old.value, d->base ? d->base->deadline_ms : d->old.deadline_ms)
                      : (struct hf_version_id){.kind = HF_VERSION_ABSENT};
}

/* A decision that nobody heard may have changed what Redis held. */
static struct hf_version_id first_base(const struct drained *d)
{
    if (d->oldest->flags & HF_ENTRY_TENTATIVE)
        return seen_id(d);
    return d->undecided || d->oldest->flags & HF_ENTRY_RESEND ? (struct hf_version_id){.kind = HF_VERSION_UNKNOWN}
                                                              : base_id(d);
}

/* What is owed is the last value written. A plain write depends on nothing and takes the place of what was decided here;
 * a decision on top of a write that did not know what it replaces has nothing else to hang on. */
uint8_t hf__pending_why(const struct hf_version *value, const struct hf_version_id *base)
{
    if (value->flags & HF_ENTRY_RESEED)
        return HF_PENDING_RESEED;
    if (value->flags & HF_ENTRY_RESEND)
        return HF_PENDING_RESEND;
    return value->flags & HF_ENTRY_TENTATIVE && base->kind != HF_VERSION_UNKNOWN ? HF_PENDING_TENTATIVE
                                                                                 : HF_PENDING_WRITE;
}

/* The value that the base's digest is of, where it is at hand. */
static bool base_value(const struct drained *d, struct hf_slice *ret_value)
{
    const struct hf_version *v = below_ttl_ops(d->base);

    if (v && v->op == HF_ENTRY_DELETE)
        return false;
    if (!v && !old_is_acknowledged(d))
        return false;
    *ret_value = v ? v->value : d->old.value;
    return true;
}

static bool keeps_base_value(const struct hf *store, struct hf_slice key)
{
    enum hf_conflict_policy policy = hf__ns_of(&store->namespaces, key)->conflict;

    return policy == HF_CONFLICT_MERGE_JSON || policy == HF_CONFLICT_CALLBACK;
}

/* A rollback may have taken it. What a lane had made is brought back by the lane, and what others had, by them. */
static void note_base_made(const struct drained *d, struct hf_pending_row *row)
{
    const uint8_t not_ours = HF_RECORD_COUNTED | HF_RECORD_LANE | HF_RECORD_LIFE;
    const struct hf_version *value = below_ttl_ops(d->base);
    bool plain = value ? value->lsn != 0 && !(value->flags & HF_ENTRY_LANE) && !hf__version_is_counted(value) &&
                             !hf__version_is_unshared(value) && !hf__version_is_unshared(d->base)
                       : old_is_acknowledged(d) && d->old.lsn != 0 && !(d->old.flags & not_ours);

    if (plain) {
        row->base_lsn = d->base ? d->base->lsn : d->old.lsn;
        row->base_made_ms = d->base ? d->base->made_ms : d->old.made_ms;
    }
}

static void begin_row(const struct hf *store, const struct drained *d, struct hf_pending_row *row)
{
    *row = (struct hf_pending_row){
        .first_lsn = d->oldest->lsn, .first_made_ms = d->oldest->made_ms, .op = HF_PENDING_TTL};
    row->base = first_base(d);
    note_base_made(d, row);
    if (row->base.kind == HF_VERSION_DIGEST && keeps_base_value(store, d->key))
        row->has_base_value = base_value(d, &row->base_value);
}

static bool is_same(const struct hf_version_id *a, const struct hf_version_id *b)
{
    return a->kind == b->kind && a->len == b->len && a->deadline_ms == b->deadline_ms &&
           memcmp(a->digest, b->digest, sizeof(a->digest)) == 0;
}

void hf__pending_add_own(struct hf_pending_row *row, const struct hf_version_id *version)
{
    for (size_t i = 0; i < row->n_own; i++) {
        if (is_same(&row->own[i], version))
            return;
    }
    if (row->n_own == HF_PENDING_OWN_MAX) { /* the oldest is the least likely to be there still */
        memmove(&row->own[0], &row->own[1], sizeof(row->own[0]) * (HF_PENDING_OWN_MAX - 1));
        row->n_own--;
    }
    row->own[row->n_own++] = *version;
}

static void add_version(struct hf_pending_row *row, const struct hf_version *v)
{
    struct hf_version_id id = {.kind = HF_VERSION_ABSENT};

    if (v->op != HF_ENTRY_DELETE)
        id = hf__version_id(v->value, v->deadline_ms);
    hf__pending_add_own(row, &id);
}

/* What a row of an earlier life stood for until now: nobody remembers whether it was sent and not answered. */
static void add_record(struct hf_pending_row *row, const struct drained *d)
{
    struct hf_version_id id = {.kind = HF_VERSION_ABSENT};

    if (d->has_old)
        id = hf__version_id(d->old.value, d->old.deadline_ms);
    hf__pending_add_own(row, &id);
}

static void fill_row(const struct hf *store, const struct drained *d, bool is_new, struct hf_pending_row *row)
{
    if (is_new)
        begin_row(store, d, row);
    else if (row->last_lsn <= store->opened_lsn && row->op != HF_PENDING_TTL)
        add_record(row, d);
    row->key = d->key;
    row->n_folded += d->n_plain;
    row->last_lsn = d->head->lsn;
    row->made_ms = d->head->made_ms;
    row->deadline_ms = d->state.deadline_ms;
    row->value_len = d->state.live ? d->state.value.len : 0;
    if (!d->state.live)
        row->op = HF_PENDING_DELETE;
    else if (!d->only_ttl || row->op == HF_PENDING_DELETE)
        row->op = HF_PENDING_SET;
    if (d->value) { /* a change of the TTL keeps the value, and what it hangs on */
        row->why = hf__pending_why(d->value, &row->base);
        row->value_lsn = d->value->lsn;
    }
    for (const struct hf_version *v = d->head; v != d->base; v = v->older) {
        if (atomic_load(&v->sent) && !is_ttl_op(v))
            add_version(row, v);
    }
}

/* What the row said is not known any more, but it was older than what is written now, whose base is not known therefore. */
static void begin_anew(struct hf_pending_row *row)
{
    row->base = (struct hf_version_id){.kind = HF_VERSION_UNKNOWN};
    row->base_lsn = 0;
    row->has_base_value = false;
    row->why = row->why == HF_PENDING_TENTATIVE ? HF_PENDING_WRITE : row->why;
    if (row->op == HF_PENDING_TTL) /* the value may be owed */
        row->op = HF_PENDING_SET;
}

/* All that the row is about has ended: what is written now begins a row of its own, based on how that ended. */
static bool is_void(struct hf *store, const struct drained *d, const struct hf_pending_row *row)
{
    return (d->base && d->base->lsn >= row->last_lsn) || hf__settle_acked_lsn(store, d->key) >= row->last_lsn;
}

static int write_row(struct hf *store, struct hf_local_txn *txn, const struct hf_local_ops *ops,
                     const struct drained *d)
{
    struct hf_pending_row row;
    int rc = ops->pending_get(ops->txn_snap(txn), d->key, &row);
    bool is_damaged = rc == HF_ECORRUPT;

    if (is_damaged && d->head->lsn == 0)
        return 0; /* a fetched copy takes no change's place */
    if (is_damaged || (rc == 0 && is_void(store, d, &row))) {
        rc = ops->pending_remove(txn, d->key, UINT64_MAX);
        rc = rc == 0 ? HF_NOT_FOUND : rc;
    }
    if (rc != 0 && rc != HF_NOT_FOUND)
        return rc;
    if (d->n_plain > 0 && !d->has_lane) {
        fill_row(store, d, rc == HF_NOT_FOUND, &row);
        if (is_damaged)
            begin_anew(&row);
        return ops->pending_put(txn, &row);
    }
    if (rc == 0 && (d->has_lane || d->head->lsn >= row.last_lsn))
        return ops->pending_remove(txn, d->key, UINT64_MAX);
    return 0;
}

static uint8_t lane_op(const struct hf_version *v)
{
    switch (v->op) {
    case HF_ENTRY_DELETE: return HF_LANE_DELETE;
    case HF_ENTRY_EXPIRE: return HF_LANE_EXPIRE;
    case HF_ENTRY_PERSIST: return HF_LANE_PERSIST;
    case HF_ENTRY_INCR: return HF_LANE_INCR;
    default: return HF_LANE_SET;
    }
}

struct hf_lane_entry hf__lane_entry(struct hf_slice key, const struct hf_version *v)
{
    return (struct hf_lane_entry){
        .lsn = v->lsn,
        .op = lane_op(v),
        .flags = (v->flags & HF_ENTRY_MORE ? HF_LANE_MORE : 0) | (v->flags & HF_ENTRY_RESEND ? HF_LANE_PLAIN : 0),
        .delta = v->delta,
        .made_ms = v->made_ms,
        .deadline_ms = v->deadline_ms,
        .key = key,
        .value = v->op == HF_ENTRY_SET ? v->value : hf__slice(NULL, 0),
        .base.kind = v->flags & HF_ENTRY_RESEED ? HF_VERSION_ABSENT : HF_VERSION_UNKNOWN,
    };
}

struct hf_version_id hf__row_lane_base(const struct hf_pending_row *row)
{
    bool known = row->n_own == 0 && row->why == HF_PENDING_WRITE;

    return known ? row->base : (struct hf_version_id){.kind = HF_VERSION_UNKNOWN};
}

/* Nothing else is known of what the shared tier may hold: it was not decided here, not lost there, and not sent yet. */
static bool is_first_of_its_kind(const struct hf_version *v)
{
    return !(v->flags & (HF_ENTRY_TENTATIVE | HF_ENTRY_RESEED | HF_ENTRY_RESEND)) && !atomic_load(&v->sent);
}

/* What the shared tier held before the lane's first change of the key; plain ones below it were carried into it, and so was
 * the row. */
static int lane_base(struct hf *store, struct hf_local_txn *txn, const struct drained *d,
                     struct hf_version_id *ret_base)
{
    struct hf_local_snap *snap = store->local->ops->txn_snap(txn);
    struct hf_pending_row row;
    uint64_t lsn;
    int rc = store->local->ops->lane_last(snap, d->key, &lsn);

    *ret_base = (struct hf_version_id){.kind = HF_VERSION_UNKNOWN};
    if (rc == 0 && hf__settle_acked_lsn(store, d->key) < lsn)
        return 0;
    for (const struct hf_version *v = d->head; v && v != d->base; v = v->older) {
        if (!is_first_of_its_kind(v))
            return 0;
    }
    if (rc == 0 || rc == HF_NOT_FOUND)
        rc = store->local->ops->pending_get(snap, d->key, &row);
    if (rc == HF_NOT_FOUND || (rc == 0 && is_void(store, d, &row)))
        *ret_base = d->undecided ? *ret_base : base_id(d);
    else if (rc == 0)
        *ret_base = hf__row_lane_base(&row);
    return rc == HF_NOT_FOUND || rc == HF_ECORRUPT ? 0 : rc; /* of a damaged row nothing is known */
}

/* Only what sets or deletes is compared with it. */
static bool takes_base(const struct hf_version *v, const struct hf_version *first)
{
    return v == first && (v->op == HF_ENTRY_SET || v->op == HF_ENTRY_DELETE);
}

static const struct hf_version *first_of_lane(const struct drained *d)
{
    const struct hf_version *first = NULL;

    for (const struct hf_version *v = d->head; v && v != d->base; v = v->older) {
        if ((v->flags & HF_ENTRY_LANE) && !hf__version_is_settled(v))
            first = v;
    }
    return first;
}

static int write_lane(struct hf_local_txn *txn, const struct hf_local_ops *ops, const struct drained *d,
                      const struct hf_version_id *base)
{
    const struct hf_version *first = first_of_lane(d);
    int rc = 0;

    for (const struct hf_version *v = d->head; v && v != d->base && rc == 0; v = v->older) {
        struct hf_lane_entry entry = hf__lane_entry(d->key, v);

        if (atomic_load(&v->sent))
            entry.flags |= HF_LANE_SENT;
        if (takes_base(v, first) && base->kind != HF_VERSION_UNKNOWN)
            entry.base = *base;
        if ((v->flags & HF_ENTRY_LANE) && !hf__version_is_settled(v))
            rc = ops->lane_put(txn, &entry);
    }
    return rc;
}

static int retain_plain(struct hf_local_txn *txn, const struct hf_local_ops *ops, struct hf_lane_entry entry)
{
    int rc;

    entry.flags = HF_LANE_PLAIN;
    rc = ops->retained_put(txn, &entry);
    return rc == HF_EFULL ? 0 : rc; /* what is owed needs the room more */
}

int hf__record_retain(const struct hf_local_ops *ops, struct hf_local_txn *txn, struct hf_slice key,
                      const struct hf_record *record)
{
    bool plain = record->lsn != 0 && !(record->flags & (HF_RECORD_COUNTED | HF_RECORD_LANE));
    bool life = record->flags & HF_RECORD_LIFE; /* its value alone is not plain */
    uint8_t life_op = record->deadline_ms ? HF_LANE_EXPIRE : HF_LANE_PERSIST;

    if ((record->flags & HF_RECORD_UNSHARED) || !(plain || life))
        return 0;
    return retain_plain(txn, ops,
                        (struct hf_lane_entry){.lsn = record->lsn,
                                               .op = life ? life_op : HF_LANE_SET,
                                               .made_ms = record->made_ms,
                                               .deadline_ms = record->deadline_ms,
                                               .key = key,
                                               .value = life ? hf__slice(NULL, 0) : record->value});
}

/* A counter that its lane brings back is to die again. What a plain change made does not come back, but what it replaced. */
int hf__record_retain_end(const struct hf_local_ops *ops, struct hf_local_txn *txn, struct hf_slice key,
                          const struct hf_record *record)
{
    bool of_lane = record->flags & (HF_RECORD_COUNTED | HF_RECORD_LANE);
    struct hf_pending_row row;

    if (!(record->flags & (of_lane ? HF_RECORD_LIFE : HF_RECORD_OUTLIVED)) ||
        (record->flags & HF_RECORD_UNSHARED) || record->lsn == 0 ||
        ops->pending_get(ops->txn_snap(txn), key, &row) != HF_NOT_FOUND) /* which removes it */
        return 0;
    if (of_lane)
        return hf__record_retain(ops, txn, key, record);
    return retain_plain(
        txn, ops,
        (struct hf_lane_entry){.lsn = record->lsn, .op = HF_LANE_DELETE, .made_ms = record->made_ms, .key = key});
}

/* What plain changes have made, and a lane's change came upon, is in no record any more: a rollback may take both. Deletes are
 * retained in any case. */
static int retain_below_lane(struct hf_local_txn *txn, const struct hf_local_ops *ops, const struct drained *d)
{
    bool below = false;
    int rc = 0;

    for (const struct hf_version *v = d->head; v && rc == 0; v = v->older) {
        if (v->flags & HF_ENTRY_LANE)
            below = true;
        else if (below && (atomic_load(&v->state) != HF_VERSION_SETTLED || is_local(v) || v->lsn == 0))
            return 0;
        else if (below && !hf__version_is_counted(v) && v->op != HF_ENTRY_DELETE)
            rc = retain_plain(txn, ops, hf__lane_entry(d->key, v));
        if (v->op == HF_ENTRY_SET || v->op == HF_ENTRY_DELETE)
            return rc;
    }
    return rc == 0 && below && d->has_old && !d->old_parked ? hf__record_retain(ops, txn, d->key, &d->old) : rc;
}

/* Written for this node alone, and not since for all: the key is to be compared with the shared tier. */
static const struct hf_version *written_alone(const struct drained *d)
{
    const struct hf_version *v = d->head;

    while (v && is_ttl_op(v) && !is_local(v))
        v = v->older;
    return is_local(v) ? v : NULL;
}

static int write_gap(struct hf *store, struct hf_local_txn *txn, const struct drained *d)
{
    const struct hf_version *v = written_alone(d);
    struct hf_gap gap = {.key = d->key, .reason = HF_GAP_LOCAL};

    if (!v || hf__ns_of(&store->namespaces, d->key)->write_mode == HF_WRITE_LOCAL)
        return 0;
    gap.lsn = v->lsn;
    gap.made_ms = v->made_ms;
    return store->local->ops->gap_put(txn, &gap);
}

int hf__drain_node(struct hf *store, struct hf_local_txn *txn, const struct hf_node *node, struct hf_bytes *scratch)
{
    const struct hf_local_ops *ops = store->local->ops;
    struct hf_look timeless = {.visible_lsn = UINT64_MAX, .now_ms = INT64_MIN}; /* nothing expires */
    struct hf_version_id base = {.kind = HF_VERSION_UNKNOWN};
    struct drained d = {
        .key = node->key, .head = atomic_load(&node->head), .undecided = hf__intent_is_left(store, node->key)};
    int rc = load_old(txn, ops, &d, scratch);

    if (rc != 0 || !d.head)
        return rc;
    d.old_parked = d.has_old && d.old.lsn != 0 && hf__settle_is_parked(store, node->key, d.old.lsn);
    hf__look_resolve(&timeless, node, NULL, d.has_old ? &d.old : NULL, &d.state);
    classify(&d);
    if (d.has_lane)
        rc = lane_base(store, txn, &d, &base); /* before the row goes */
    if (rc == 0)
        rc = write_record(store, txn, ops, &d);
    if (rc == 0 && store->sharing)
        rc = write_row(store, txn, ops, &d);
    if (rc == 0 && store->sharing)
        rc = write_gap(store, txn, &d);
    if (rc == 0 && store->sharing)
        rc = retain_below_lane(txn, ops, &d);
    if (rc == 0 && d.has_lane)
        rc = write_lane(txn, ops, &d, &base);
    return rc;
}

int hf__record_mark(const struct hf_local_ops *ops, struct hf_local_txn *txn, struct hf_slice key, uint64_t lsn,
                    bool unshared)
{
    struct hf_bytes value = {0};
    struct hf_record record;
    uint8_t flags;
    int rc = ops->get(ops->txn_snap(txn), key, &record);

    if (rc != 0 || record.lsn > lsn)
        return rc == HF_NOT_FOUND ? 0 : rc;
    flags = (uint8_t)(unshared ? (record.flags & ~HF_RECORD_SHARED) | HF_RECORD_UNSHARED
                               : record.flags & ~HF_RECORD_UNSHARED);
    if (flags == record.flags)
        return 0;
    rc = hf__bytes_append(&value, record.value.data, record.value.len); /* what is lent ends with the write */
    record.value = hf__slice(value.bytes, value.len);
    record.flags = flags;
    if (rc == 0)
        rc = ops->put(txn, key, &record);
    hf__bytes_release(&value);
    return rc;
}
