/* A preview of the lanes: entries in LSN order, in batches as the link sends them. What the script would do is done here
 * with numbers in memory: the mark first, then unit by unit against what Redis holds under the keys. */
#include "preview.h"

#include "fail.h"
#include "write.h"

#include <stdlib.h>

/* What a key would hold in the course of the replay, as far as a script cares. */
enum key_state { KEY_ABSENT = 0, KEY_NUMBER, KEY_TEXT, KEY_OTHER };
struct value {
    enum key_state state;
    int64_t number;
};
struct lane_key {
    struct hf_buf key;
    uint8_t kind; /* enum hf_shared_kind: of what is there now ... */
    uint64_t len;
    int64_t deadline_ms; /* timeline */
    struct value value;  /* ... and of what would be there by now */
};

/* A copy of an entry without its value. */
struct lane_item {
    struct hf_lane_entry entry;
    uint64_t value_len;
    struct value value; /* of a set */
    size_t key;
    struct value before; /* of its key: to take back a unit that cannot be applied */
    bool told_by_mark;
    enum hf_outcome outcome;
};

struct lane_batch {
    struct hf_preview_run *run;
    struct hf_preview_ns *ns;
    struct lane_item *items;
    size_t n, capacity, bytes;
    struct lane_key *keys; /* of all batches: a later one finds what an earlier one would have stored */
    size_t n_keys, keys_capacity;
    struct hf_notes index; /* of the keys: their places, from 1 */
};

static void release(struct lane_batch *batch)
{
    for (size_t i = 0; i < batch->n_keys; i++)
        hf_buf_release(&batch->keys[i].key);
    hf__notes_release(&batch->index);
    free(batch->items);
    free(batch->keys);
}

/* ---- collecting ---- */

static struct value value_of(struct hf_slice text)
{
    struct value value = {.state = KEY_TEXT};

    if (hf__parse_counter(text, &value.number))
        value.state = KEY_NUMBER;
    return value;
}

/* Room for one more of `size` bytes each. */
static int grow(void **array, size_t n, size_t *capacity, size_t size)
{
    size_t more = *capacity ? 2 * *capacity : 64;
    void *grown;

    if (n < *capacity)
        return 0;
    grown = realloc(*array, more * size);
    if (!grown)
        return hf__fail(HF_ENOMEM, "out of memory: %zu entries of a lane", more);
    *array = grown;
    *capacity = more;
    return 0;
}

static int add_key(struct lane_batch *batch, struct hf_slice name, size_t *ret_place)
{
    struct hf_note *note = hf__notes_of(&batch->index, name);
    int rc = note ? 0 : HF_ENOMEM;

    if (rc == 0 && note->number == 0) {
        rc = grow((void **)&batch->keys, batch->n_keys, &batch->keys_capacity, sizeof(*batch->keys));
        if (rc == 0) {
            batch->keys[batch->n_keys] = (struct lane_key){0};
            rc = hf__buf_copy(name, &batch->keys[batch->n_keys].key);
        }
        if (rc == 0)
            note->number = ++batch->n_keys;
    }
    if (rc == 0)
        *ret_place = note->number - 1;
    return rc;
}

static int add_item(struct lane_batch *batch, const struct hf_lane_entry *entry)
{
    struct lane_item item = {.entry = *entry, .value_len = entry->value.len};
    int rc = grow((void **)&batch->items, batch->n, &batch->capacity, sizeof(*batch->items));

    if (rc == 0)
        rc = add_key(batch, entry->key, &item.key);
    if (rc != 0)
        return rc;
    item.entry.key = hf__slice(batch->keys[item.key].key.data, batch->keys[item.key].key.len);
    item.value = value_of(entry->value);
    item.entry.value = hf__slice(NULL, 0);
    if (entry->lsn <= batch->run->maybe_sent_lsn)
        item.entry.flags |= HF_LANE_SENT;
    if (batch->ns->fresh)
        item.entry.flags &= (uint8_t)~HF_LANE_SENT; /* whatever was sent is gone with the old epoch */
    batch->bytes += entry->key.len + entry->value.len;
    batch->items[batch->n++] = item;
    return 0;
}

static bool is_full(const struct lane_batch *batch)
{
    if (batch->n == 0 || (batch->items[batch->n - 1].entry.flags & HF_LANE_MORE))
        return false;
    return batch->n >= HF_LINK_LANE_MAX || batch->bytes >= HF_LINK_LANE_BYTES_MAX;
}

/* Entries of one namespace. */
static int collect_from(struct lane_batch *batch, struct hf_local_snap *snap, uint64_t *from_lsn)
{
    struct hf *store = batch->run->store;
    struct hf_lane_entry entry;
    struct hf_preview_ns *ns;
    int rc = 0;

    while (rc == 0 && !is_full(batch)) {
        rc = store->local->ops->lane_next(snap, *from_lsn, &entry);
        if (rc != 0)
            break;
        ns = &batch->run->namespaces[hf__ns_of(&store->namespaces, entry.key) - store->namespaces.all];
        if (batch->ns && batch->ns != ns)
            return 0;
        batch->ns = ns;
        *from_lsn = entry.lsn + 1;
        rc = add_item(batch, &entry);
    }
    return rc == HF_NOT_FOUND ? 0 : rc;
}

static int collect(struct lane_batch *batch, uint64_t *from_lsn)
{
    const struct hf_local_ops *ops = batch->run->store->local->ops;
    struct hf_local_snap *snap;
    int rc = ops->snap_begin(batch->run->store->local, &snap);

    if (rc != 0)
        return rc;
    rc = collect_from(batch, snap, from_lsn);
    ops->snap_end(snap);
    return rc;
}

/* ---- looking ---- */

#define NUMBER_CHARS 20u /* in the longest number of 64 bits */

static void take_seen(struct hf_preview_run *run, const struct hf_shared_seen *seen)
{
    struct lane_key *key = seen->owner;

    (void)run;
    key->kind = seen->kind;
    key->len = seen->len;
    key->deadline_ms = hf__turn_from_redis_ms(&run->turn, seen->deadline_ms);
    if (seen->kind == HF_SHARED_OTHER || seen->error.class != HF_SHARED_OK)
        key->value.state = KEY_OTHER;
    else if (seen->kind == HF_SHARED_STRING)
        key->value = seen->want & HF_WANT_VALUE ? value_of(seen->value) : (struct value){.state = KEY_TEXT};
}

static bool wants_value(const struct lane_key *key)
{
    return key->value.state == KEY_TEXT && key->len <= NUMBER_CHARS;
}

/* The keys that this batch names first, or of them those whose value may be a number. */
static int look(struct lane_batch *batch, size_t from, bool values)
{
    size_t n = 0;
    int rc = 0;

    for (size_t i = from; i < batch->n_keys && rc == 0; i++) {
        struct lane_key *key = &batch->keys[i];
        if (values && !wants_value(key))
            continue;
        batch->run->seen[n++] = (struct hf_shared_seen){.key = hf__slice(key->key.data, key->key.len),
                                                        .want = HF_WANT_DEADLINE | (values ? HF_WANT_VALUE : 0),
                                                        .owner = key};
        if (n == HF_PREVIEW_KEYS) {
            rc = hf__preview_examine(batch->run, n, take_seen);
            n = 0;
        }
    }
    return rc == 0 && n > 0 ? hf__preview_examine(batch->run, n, take_seen) : rc;
}

/* ---- the mark ---- */

static size_t unit_end(const struct lane_batch *batch, size_t i)
{
    while (i + 1 < batch->n && (batch->items[i].entry.flags & HF_LANE_MORE))
        i++;
    return i + 1;
}

static void tell_by_mark(struct lane_batch *batch, size_t from, size_t to, enum hf_outcome outcome)
{
    for (size_t i = from; i < to; i++) {
        batch->items[i].told_by_mark = true;
        batch->items[i].outcome = outcome;
    }
}

static bool may_be_sent(const struct lane_batch *batch, size_t from, size_t to)
{
    bool sent = false;

    for (size_t i = from; i < to; i++)
        sent |= (batch->items[i].entry.flags & HF_LANE_SENT) != 0;
    return sent;
}

static void doubt_from(struct lane_batch *batch, size_t i)
{
    for (size_t to; i < batch->n; i = to) {
        to = unit_end(batch, i);
        if (may_be_sent(batch, i, to))
            tell_by_mark(batch, i, to, HF_OUTCOME_IN_DOUBT);
    }
}

static size_t covered_by(const struct lane_batch *batch, uint64_t mark)
{
    size_t n = 0;

    while (n < batch->n && batch->items[n].entry.lsn <= mark)
        n++;
    return n;
}

/* What the mark covers was applied before; with one that is not where the lane goes on, what may have been sent is in doubt,
 * unless it lies among these entries. */
static void judge_by_mark(struct lane_batch *batch)
{
    struct hf_preview_ns *ns = batch->ns;
    size_t known = covered_by(batch, ns->mark), found = covered_by(batch, ns->found_mark);

    tell_by_mark(batch, 0, known, HF_OUTCOME_ALREADY);
    if (known == batch->n)
        return;
    if (ns->found_mark != ns->mark && found > known && ns->found_mark <= batch->items[batch->n - 1].entry.lsn)
        tell_by_mark(batch, known, found, HF_OUTCOME_ALREADY);
    else if (ns->found_mark != ns->mark)
        doubt_from(batch, known);
    ns->mark = ns->found_mark = batch->items[batch->n - 1].entry.lsn;
}

/* ---- the units ---- */

static bool has_passed(const struct lane_batch *batch, const struct hf_lane_entry *entry)
{
    return hf__is_expired(entry->deadline_ms, hf__now_ms(batch->run->store));
}

static bool increment(struct value *value, int64_t delta)
{
    if (value->state == KEY_ABSENT)
        *value = (struct value){.state = KEY_NUMBER};
    return value->state == KEY_NUMBER && !__builtin_add_overflow(value->number, delta, &value->number);
}

/* False: the script refuses it. */
static bool apply(struct lane_batch *batch, struct lane_item *item)
{
    struct value *value = &batch->keys[item->key].value;
    bool passed = has_passed(batch, &item->entry);

    item->before = *value;
    item->outcome = HF_OUTCOME_APPLIED;
    if (value->state == KEY_OTHER)
        return false;
    switch (item->entry.op) {
    case HF_LANE_SET:
        *value = passed ? (struct value){0} : item->value;
        item->outcome = passed ? HF_OUTCOME_EXPIRED : HF_OUTCOME_APPLIED;
        return true;
    case HF_LANE_INCR:
        item->outcome = passed ? HF_OUTCOME_EXPIRED : HF_OUTCOME_APPLIED;
        return passed || increment(value, item->entry.delta);
    case HF_LANE_DELETE: *value = (struct value){0}; return true;
    case HF_LANE_EXPIRE:
        if (passed)
            *value = (struct value){0};
        return true;
    default: return true;
    }
}

/* As if it had never been: what follows finds the keys as they were. */
static void park_unit(struct lane_batch *batch, size_t from, size_t failed, size_t to)
{
    for (size_t i = failed + 1; i > from; i--)
        batch->keys[batch->items[i - 1].key].value = batch->items[i - 1].before;
    for (size_t i = from; i < to; i++)
        batch->items[i].outcome = HF_OUTCOME_PARKED;
}

static void apply_unit(struct lane_batch *batch, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        if (!apply(batch, &batch->items[i])) {
            park_unit(batch, from, i, to);
            return;
        }
    }
}

static void apply_units(struct lane_batch *batch)
{
    for (size_t i = 0, to; i < batch->n; i = to) {
        to = unit_end(batch, i);
        if (!batch->items[i].told_by_mark)
            apply_unit(batch, i, to);
    }
}

/* ---- telling ---- */

static enum hf_op_kind kind_of(uint8_t op)
{
    switch (op) {
    case HF_LANE_DELETE: return HF_OP_DELETE;
    case HF_LANE_EXPIRE: return HF_OP_EXPIRE_AT;
    case HF_LANE_PERSIST: return HF_OP_PERSIST;
    case HF_LANE_INCR: return HF_OP_INCR;
    default: return HF_OP_SET;
    }
}

static int tell(const struct lane_batch *batch, const struct lane_item *item)
{
    const struct hf_lane_entry *entry = &item->entry;
    const struct lane_key *key = &batch->keys[item->key];
    struct hf_preview preview = {
        .key = entry->key,
        .kind = kind_of(entry->op),
        .outcome = item->outcome,
        .rule = "",
        .first_lsn = entry->lsn,
        .last_lsn = entry->lsn,
        .ours = {.present = entry->op != HF_LANE_DELETE,
                 .value = hf__slice(NULL, item->value_len),
                 .deadline_ms = entry->deadline_ms,
                 .made_ms = entry->made_ms,
                 .uncertainty_ms = hf__turn_uncertainty_ms(&batch->run->turn, entry->made_ms)},
        .theirs = {.present = key->kind != HF_SHARED_ABSENT,
                   .value = hf__slice(NULL, key->kind == HF_SHARED_STRING ? key->len : 0),
                   .deadline_ms = key->deadline_ms},
    };

    return batch->run->each(batch->run->ctx, &preview);
}

/* ---- a batch ---- */

/* `known`: keys that earlier batches have named. */
static int preview_batch(struct lane_batch *batch, size_t known)
{
    int rc = look(batch, known, false);

    if (rc == 0)
        rc = look(batch, known, true);
    if (rc != 0)
        return rc;
    judge_by_mark(batch);
    apply_units(batch);
    for (size_t i = 0; i < batch->n && rc == 0; i++)
        rc = tell(batch, &batch->items[i]);
    return rc;
}

int hf__preview_lanes(struct hf_preview_run *run)
{
    struct lane_batch batch = {.run = run};
    uint64_t from_lsn = 0;
    int rc;

    do {
        size_t known = batch.n_keys;
        batch.n = batch.bytes = 0;
        batch.ns = NULL;
        rc = collect(&batch, &from_lsn);
        if (rc == 0 && batch.n > 0)
            rc = preview_batch(&batch, known);
    } while (rc == 0 && batch.n > 0);
    release(&batch);
    return rc;
}
