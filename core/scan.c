/* Ordered scans: overlay and local tier merged in key order, a bounded step at a time. No snapshot, pin or lock is held
 * between steps, so a reader that stops in the middle holds nothing up. */
#include "fail.h"
#include "link.h"
#include "lookup.h"
#include "outage.h"

#include <stdlib.h>

#define STEP_KEYS 256
#define STEP_BYTES (256u << 10)

/* One key of a step, as offsets into the step's bytes. */
struct item {
    size_t key_at, key_len, value_at, value_len;
    struct hf_result result;
};

struct hf_scan {
    struct hf *store;
    struct hf_buf prefix;
    struct hf_bytes after; /* the last key of the step */
    bool inclusive;        /* `after` itself has not been looked at */
    bool at_end;
    struct hf_bytes bytes;
    struct item items[STEP_KEYS];
    size_t n, next;
    uint64_t max_lsn; /* newest entry met in the step */
};

/* The three sorted sources of a merge; each at its next key, or NULL / !has_record. */
struct merge {
    struct hf_look look;
    struct hf_local_iter *iter;
    struct hf_node *active, *frozen;
    struct hf_slice record_key;
    struct hf_record record;
    bool has_record;
};

int hf_scan_open(struct hf *store, struct hf_slice prefix, struct hf_slice after, struct hf_scan **ret_scan)
{
    struct hf_scan *scan;
    int rc = hf__check_handle(store, false);

    if (rc == 0 && (prefix.len > HF_KEY_MAX || after.len > HF_KEY_MAX))
        rc = hf__fail(HF_EINVAL, "a prefix or starting key of %zu bytes; at most %d are possible",
                      prefix.len > after.len ? prefix.len : after.len, HF_KEY_MAX);
    if (rc != 0)
        return rc;
    scan = calloc(1, sizeof(*scan));
    if (!scan)
        return hf__fail(HF_ENOMEM, "out of memory: a scan");
    scan->store = store;
    scan->inclusive = hf__slice_cmp(after, prefix) < 0;
    rc = hf__buf_copy(prefix, &scan->prefix);
    if (rc == 0)
        rc = hf__bytes_append(&scan->after, scan->inclusive ? prefix.data : after.data,
                              scan->inclusive ? prefix.len : after.len);
    if (rc != 0) {
        hf_scan_close(scan);
        return rc;
    }
    *ret_scan = scan;
    return 0;
}

void hf_scan_close(struct hf_scan *scan)
{
    if (!scan)
        return;
    hf_buf_release(&scan->prefix);
    hf__bytes_release(&scan->after);
    hf__bytes_release(&scan->bytes);
    free(scan);
}

/* ---- the merge ---- */

static int next_record(struct merge *m)
{
    int rc = m->look.store->local->ops->iter_next(m->iter, &m->record_key, &m->record);

    m->has_record = rc == 0;
    return rc == HF_NOT_FOUND ? 0 : rc;
}

static int merge_begin(struct merge *m, struct hf *store, struct hf_slice from)
{
    struct hf_local_snap *snap;
    int rc = hf__look_begin(store, &m->look);

    if (rc == 0)
        rc = hf__look_snap(&m->look, &snap);
    if (rc == 0)
        rc = store->local->ops->iter_open(snap, from, &m->iter);
    if (rc != 0)
        return rc;
    m->active = hf__generation_seek(m->look.view.active, from);
    m->frozen = m->look.view.frozen ? hf__generation_seek(m->look.view.frozen, from) : NULL;
    return next_record(m);
}

static void merge_end(struct merge *m)
{
    if (m->look.store)
        m->look.store->local->ops->iter_close(m->iter);
    hf__look_end(&m->look);
}

/* The lowest key of the three; NULL at the end of all. */
static const struct hf_slice *merge_key(const struct merge *m)
{
    const struct hf_slice *lowest = NULL;

    if (m->active)
        lowest = &m->active->key;
    if (m->frozen && (!lowest || hf__slice_cmp(m->frozen->key, *lowest) < 0))
        lowest = &m->frozen->key;
    if (m->has_record && (!lowest || hf__slice_cmp(m->record_key, *lowest) < 0))
        lowest = &m->record_key;
    return lowest;
}

/* What the sources hold of a key: each compared once. */
struct met {
    struct hf_slice key; /* of one of them */
    struct hf_node *active, *frozen;
    const struct hf_record *record;
};

static bool is_at(const struct hf_slice *next, const struct hf_slice *lowest)
{
    return next == lowest || hf__slice_eq(*next, *lowest);
}

/* What comes next; false at the end of all. */
static bool merge_meet(const struct merge *m, struct met *ret_met)
{
    const struct hf_slice *key = merge_key(m);

    if (!key)
        return false;
    *ret_met = (struct met){
        .key = *key,
        .active = m->active && is_at(&m->active->key, key) ? m->active : NULL,
        .frozen = m->frozen && is_at(&m->frozen->key, key) ? m->frozen : NULL,
        .record = m->has_record && is_at(&m->record_key, key) ? &m->record : NULL,
    };
    return true;
}

/* Leave the key behind in all sources. */
static int merge_advance(struct merge *m, const struct met *met)
{
    if (met->active)
        m->active = hf__node_next(met->active);
    if (met->frozen)
        m->frozen = hf__node_next(met->frozen);
    return met->record ? next_record(m) : 0;
}

/* ---- a step ---- */

/* There is room. Returns where they are. */
static size_t add(struct hf_bytes *bytes, struct hf_slice s)
{
    size_t at = bytes->len;

    if (s.len > 0)
        memcpy(bytes->bytes + at, s.data, s.len);
    bytes->len += s.len;
    return at;
}

static int keep(struct hf_scan *scan, struct merge *m, struct hf_slice key, const struct hf_found *found)
{
    struct item *item = &scan->items[scan->n];
    int rc = hf__outage_check(scan->store, hf__ns_of(&scan->store->namespaces, key), key, false);

    if (rc == 0)
        rc = hf__look_describe(&m->look, key, found, &item->result);
    if (rc == 0)
        rc = hf__bytes_reserve(&scan->bytes, key.len + found->value.len);
    if (rc != 0)
        return rc;
    item->key_len = key.len;
    item->key_at = add(&scan->bytes, key);
    item->value_len = found->value.len;
    item->value_at = add(&scan->bytes, found->value);
    scan->n++;
    return 0;
}

static int fill(struct hf_scan *scan, struct merge *m)
{
    struct met met;
    int rc = 0;

    while (rc == 0 && scan->n < STEP_KEYS && scan->bytes.len < STEP_BYTES) {
        struct hf_found found;
        if (!merge_meet(m, &met) ||
            !hf__slice_starts_with(met.key, hf__slice(scan->prefix.data, scan->prefix.len))) {
            scan->at_end = true;
            return 0;
        }
        hf__look_resolve(&m->look, met.active, met.frozen, met.record, &found);
        if (found.lsn > scan->max_lsn)
            scan->max_lsn = found.lsn;
        if (found.live && !hf__look_hides(&m->look, met.key, &found) &&
            (scan->inclusive || hf__slice_cmp(met.key, hf__slice(scan->after.bytes, scan->after.len)) > 0))
            rc = keep(scan, m, met.key, &found);
        if (rc == 0)
            rc = merge_advance(m, &met);
    }
    return rc;
}

/* Where the next step begins: behind the last key looked at. */
static int move_on(struct hf_scan *scan, const struct merge *m)
{
    const struct hf_slice *key = scan->at_end ? NULL : merge_key(m);

    if (!key) {
        scan->at_end = true;
        return 0;
    }
    hf__bytes_reset(&scan->after);
    scan->inclusive = true; /* the next key itself has not been looked at */
    return hf__bytes_append(&scan->after, key->data, key->len);
}

static int step(struct hf_scan *scan)
{
    struct merge m = {0};
    int rc;

    scan->n = scan->next = 0;
    scan->max_lsn = 0;
    hf__bytes_reset(&scan->bytes);
    rc = merge_begin(&m, scan->store, hf__slice(scan->after.bytes, scan->after.len));
    if (rc == 0)
        rc = fill(scan, &m);
    if (rc == 0)
        rc = move_on(scan, &m);
    merge_end(&m);
    return rc == 0 ? hf__wait_readable(scan->store, scan->max_lsn) : rc;
}

int hf_scan_next(struct hf_scan *scan, struct hf_slice *ret_key, struct hf_slice *ret_value,
                 struct hf_result *ret_result)
{
    const struct item *item;
    int rc = hf__check_handle(scan->store, false);

    while (rc == 0 && scan->next == scan->n) {
        if (scan->at_end)
            return HF_NOT_FOUND;
        rc = step(scan);
    }
    if (rc != 0)
        return rc;
    item = &scan->items[scan->next++];
    *ret_key = hf__slice(scan->bytes.bytes + item->key_at, item->key_len);
    if (ret_value)
        *ret_value = hf__slice(scan->bytes.bytes + item->value_at, item->value_len);
    if (ret_result) {
        *ret_result = item->result;
        ret_result->durable = hf__is_durable(scan->store, item->result.lsn);
    }
    return 0;
}
