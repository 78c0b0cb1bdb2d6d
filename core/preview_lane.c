/* A preview of the lanes: entries in LSN order, in batches as the link sends them. What the script would do is done here
 * with numbers in memory: the mark first, then unit by unit against what Redis holds under the keys. What knows its base is
 * judged as the link judges it (unit.c), whether the script would have met the base or not: where it would, the verdict says
 * no more than that it is applied. */
#include "preview.h"

#include "fail.h"
#include "write.h"

#include <stdio.h>
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

/* A copy of an entry, without its value but where that is judged. */
struct lane_item {
    struct hf_lane_entry entry;
    uint64_t value_len;
    struct value value; /* of a set */
    struct hf_buf text;
    struct hf_trial *trial; /* of one that is compared with what Redis holds; owned */
    size_t key;
    struct value before; /* of its key: to take back a unit that cannot be applied */
    bool ended;          /* by the mark, by its verdict, or with its unit; else it is sent */
    enum hf_outcome outcome;
    const char *reason; /* parked: why, ... */
    size_t culprit;     /* ... and the item that is to blame */
};

struct lane_batch {
    struct hf_preview_run *run;
    struct hf_preview_ns *ns;
    struct lane_item *items;
    size_t n, capacity, bytes;
    struct lane_key *keys; /* of all batches: a later one finds what an earlier one would have stored */
    size_t n_keys, keys_capacity;
    struct hf_notes index; /* of the keys: their places, from 1 */
    bool stays;            /* the conflict log is full: this and all behind it is left */
};

static void clear(struct lane_batch *batch)
{
    for (size_t i = 0; i < batch->n; i++) {
        hf_buf_release(&batch->items[i].text);
        hf__trial_free(batch->items[i].trial);
    }
    batch->n = batch->bytes = 0;
    batch->ns = NULL;
}

static void release(struct lane_batch *batch)
{
    clear(batch);
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

/* The value is the local tier's until the snapshot ends: what is to be judged keeps its own. */
static int add_trial(struct lane_batch *batch, struct lane_item *item, struct hf_slice value)
{
    struct hf_preview_run *run = batch->run;
    int rc = hf__unit_trial(&run->turn, &run->foreign, batch->ns->ns, &item->entry, &item->trial);

    if (rc == 0 && item->trial)
        rc = hf__buf_copy(value, &item->text);
    if (rc != 0)
        return hf__fail(rc, "out of memory: a lane's entry");
    item->entry.value = hf__slice(item->text.data, item->text.len);
    return 0;
}

static int add_item(struct lane_batch *batch, const struct hf_lane_entry *entry)
{
    struct lane_item *item;
    int rc = grow((void **)&batch->items, batch->n, &batch->capacity, sizeof(*batch->items));

    if (rc != 0)
        return rc;
    item = &batch->items[batch->n];
    *item = (struct lane_item){.entry = *entry, .value_len = entry->value.len, .value = value_of(entry->value)};
    rc = add_key(batch, entry->key, &item->key);
    if (rc != 0)
        return rc;
    item->entry.key = hf__slice(batch->keys[item->key].key.data, batch->keys[item->key].key.len);
    if (entry->lsn <= batch->run->maybe_sent_lsn)
        item->entry.flags |= HF_LANE_SENT;
    if (batch->ns->fresh)
        item->entry.flags &= (uint8_t)~HF_LANE_SENT; /* whatever was sent is gone with the old epoch */
    batch->bytes += entry->key.len + entry->value.len;
    batch->n++;
    return add_trial(batch, item, entry->value);
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
        batch->items[i].ended = true;
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

/* ---- judging ---- */

static void begin_cases(struct lane_batch *batch)
{
    for (size_t i = 0; i < batch->n; i++) {
        struct lane_item *item = &batch->items[i];
        if (item->trial)
            hf__unit_begin_case(&batch->run->turn, batch->ns->ns, &item->entry, item->trial);
    }
}

static void take_judged(struct hf_preview_run *run, const struct hf_shared_seen *seen)
{
    struct lane_item *item = seen->owner;

    hf__unit_judge(&run->turn, &run->foreign, item->trial, seen);
    if (seen->error.class == HF_SHARED_OK)
        hf__preview_check_value(run, item->trial, seen);
}

/* Into the next examination. Returns their number. */
static size_t name_unjudged(struct lane_batch *batch)
{
    size_t n = 0;

    for (size_t i = 0; i < batch->n && n < HF_PREVIEW_KEYS; i++) {
        struct lane_item *item = &batch->items[i];
        if (item->trial && !item->trial->judged && !item->ended)
            batch->run->seen[n++] =
                (struct hf_shared_seen){.key = item->entry.key, .want = item->trial->want, .owner = item};
    }
    return n;
}

static int judge_all(struct lane_batch *batch)
{
    size_t n;
    int rc = 0;

    begin_cases(batch);
    while (rc == 0 && (n = name_unjudged(batch)) > 0)
        rc = hf__preview_examine(batch->run, n, take_judged);
    return rc;
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

/* Why the script refuses it; NULL: it does not. */
static const char *apply(struct lane_batch *batch, struct lane_item *item)
{
    struct lane_key *key = &batch->keys[item->key];
    struct value *value = &key->value;
    bool passed = has_passed(batch, &item->entry);

    item->outcome = HF_OUTCOME_APPLIED;
    if (value->state == KEY_OTHER)
        return key->kind == HF_SHARED_OTHER ? "WRONGTYPE Redis holds another type under this key"
                                            : "Redis does not let this user look at it";
    switch (item->entry.op) {
    case HF_LANE_SET:
        *value = passed ? (struct value){0} : item->value;
        item->outcome = passed ? HF_OUTCOME_EXPIRED : HF_OUTCOME_APPLIED;
        return NULL;
    case HF_LANE_INCR:
        item->outcome = passed ? HF_OUTCOME_EXPIRED : HF_OUTCOME_APPLIED;
        return passed || increment(value, item->entry.delta)
                   ? NULL
                   : "the value is no integer, or the sum is out of range";
    case HF_LANE_DELETE: *value = (struct value){0}; return NULL;
    case HF_LANE_EXPIRE:
        if (passed)
            *value = (struct value){0};
        return NULL;
    default: return NULL;
    }
}

/* What loses leaves the lane: theirs stays, and what follows finds it. */
static const char *apply_or_drop(struct lane_batch *batch, struct lane_item *item)
{
    const struct hf_judgement *verdict = item->trial ? &item->trial->verdict : NULL;
    const char *why = NULL;

    item->before = batch->keys[item->key].value;
    item->ended = verdict && verdict->take_theirs;
    if (item->ended)
        item->outcome = verdict->outcome;
    else
        why = apply(batch, item);
    if (verdict && verdict->outcome == HF_OUTCOME_WON && item->outcome == HF_OUTCOME_APPLIED)
        item->outcome = HF_OUTCOME_WON;
    return why;
}

/* As if it had never been: what follows finds the keys as they were. */
static void take_back(struct lane_batch *batch, size_t from, size_t failed)
{
    for (size_t i = failed + 1; i > from; i--)
        batch->keys[batch->items[i - 1].key].value = batch->items[i - 1].before;
}

/* But for what has left it: dead values, which nobody misses. */
static void park_unit(struct lane_batch *batch, size_t from, size_t to, size_t culprit, const char *why)
{
    for (size_t i = from; i < to; i++) {
        struct lane_item *item = &batch->items[i];
        if (item->ended)
            continue;
        item->outcome = HF_OUTCOME_PARKED;
        item->reason = why;
        item->culprit = culprit;
        item->ended = true;
    }
}

static void apply_unit(struct lane_batch *batch, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        const char *why = apply_or_drop(batch, &batch->items[i]);
        if (!why)
            continue;
        take_back(batch, from, i);
        park_unit(batch, from, to, i, why);
        return;
    }
}

static const char *why_not(const struct lane_batch *batch, size_t from, size_t to, size_t *ret_culprit)
{
    const char *why = NULL;

    for (size_t i = from; i < to && !why; i++) {
        *ret_culprit = i;
        why = hf__unit_why_not(batch->items[i].trial, to - from == 1);
    }
    return why;
}

static uint64_t conflict_bytes(const struct lane_item *item)
{
    return item->entry.key.len + item->entry.value.len + item->trial->theirs.len;
}

static bool has_room_for(const struct lane_batch *batch, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        const struct lane_item *item = &batch->items[i];
        if (item->trial && item->trial->verdict.rule != 0 &&
            !hf__preview_has_conflict_room(batch->run, conflict_bytes(item)))
            return false;
    }
    return true;
}

/* Of a unit that is parked there is none. */
static uint8_t rule_of(const struct lane_item *item)
{
    return item->trial && item->trial->verdict.outcome == item->outcome ? item->trial->verdict.rule : 0;
}

static void note_conflicts(struct lane_batch *batch, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        if (rule_of(&batch->items[i]) != 0)
            hf__preview_note_conflict(batch->run, conflict_bytes(&batch->items[i]));
    }
}

static void decide_unit(struct lane_batch *batch, size_t from, size_t to)
{
    size_t culprit = from;
    const char *why = why_not(batch, from, to, &culprit);

    if (why) {
        park_unit(batch, from, to, culprit, why);
    } else if (has_room_for(batch, from, to)) {
        apply_unit(batch, from, to);
        note_conflicts(batch, from, to);
    } else {
        batch->stays = true;
    }
}

/* A request that meets a full log is not sent, and the lane does not go on behind it. */
static void leave(struct lane_batch *batch)
{
    for (size_t i = 0; i < batch->n; i++) {
        if (!batch->items[i].ended)
            batch->items[i].outcome = HF_OUTCOME_PENDING;
    }
}

static void decide_units(struct lane_batch *batch)
{
    for (size_t i = 0, to; i < batch->n && !batch->stays; i = to) {
        to = unit_end(batch, i);
        if (!batch->items[i].ended)
            decide_unit(batch, i, to);
    }
    if (batch->stays)
        leave(batch);
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

/* As the parked list would say it. */
static void write_reason(const struct lane_batch *batch, const struct lane_item *item, char *reason)
{
    char shown[48];
    struct hf_slice key = batch->items[item->culprit].entry.key;

    reason[0] = '\0';
    if (item->reason)
        snprintf(reason, HF_SHARED_REASON_MAX, "'%s': %s", hf__printable(key, shown, sizeof(shown)), item->reason);
}

static int tell(const struct lane_batch *batch, const struct lane_item *item)
{
    static const struct hf_foreign nobody = {0};
    const struct hf_lane_entry *entry = &item->entry;
    const struct lane_key *key = &batch->keys[item->key];
    const struct hf_foreign *foreign = item->trial ? &item->trial->c.foreign : &nobody;
    char reason[HF_SHARED_REASON_MAX];
    struct hf_preview preview = {
        .key = entry->key,
        .kind = kind_of(entry->op),
        .outcome = item->outcome,
        .rule = hf__rule_text(rule_of(item)),
        .reason = reason,
        .first_lsn = entry->lsn,
        .last_lsn = entry->lsn,
        .ours = {.present = entry->op != HF_LANE_DELETE,
                 .value = hf__slice(NULL, item->value_len),
                 .deadline_ms = entry->deadline_ms,
                 .made_ms = entry->made_ms,
                 .uncertainty_ms = hf__turn_uncertainty_ms(&batch->run->turn, entry->made_ms)},
        .theirs = {.present = key->kind != HF_SHARED_ABSENT,
                   .value = hf__slice(NULL, key->kind == HF_SHARED_STRING ? key->len : 0),
                   .deadline_ms = key->deadline_ms,
                   .made_ms = foreign->op ? foreign->made_ms : 0,
                   .uncertainty_ms = foreign->uncertainty_ms},
    };

    write_reason(batch, item, reason);
    return batch->run->each(batch->run->ctx, &preview);
}

/* ---- a batch ---- */

/* `known`: keys that earlier batches have named. */
static int decide_batch(struct lane_batch *batch, size_t known)
{
    int rc = look(batch, known, false);

    if (rc == 0)
        rc = look(batch, known, true);
    if (rc != 0)
        return rc;
    if (batch->stays) {
        leave(batch);
        return 0;
    }
    judge_by_mark(batch);
    rc = judge_all(batch);
    if (rc == 0)
        decide_units(batch);
    return rc;
}

static int preview_batch(struct lane_batch *batch, size_t known)
{
    int rc = decide_batch(batch, known);

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
        clear(&batch);
        rc = collect(&batch, &from_lsn);
        if (rc == 0 && batch.n > 0)
            rc = preview_batch(&batch, known);
    } while (rc == 0 && batch.n > 0);
    release(&batch);
    return rc;
}
