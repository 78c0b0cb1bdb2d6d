/* What the shared tier's answers mean for the overlay and the pending table. */
#include "settle.h"

#include "checkpoint.h"
#include "fail.h"
#include "pending_bounds.h"

#include <stdlib.h>

/* Each says whether it changed the version. */
typedef bool mark_fn(struct hf *store, struct hf_version *v, uint64_t lsn);

static bool change_state(struct hf *store, struct hf_version *v, enum hf_version_state state)
{
    bool changed = atomic_exchange(&v->state, (uint8_t)state) == HF_VERSION_UNSETTLED;

    if (changed && (v->flags & HF_ENTRY_LANE))
        atomic_fetch_sub(&store->lane_open, 1);
    return changed;
}

static bool mark_settled(struct hf *store, struct hf_version *v, uint64_t lsn)
{
    (void)lsn;
    return !hf__version_is_settled(v) && change_state(store, v, HF_VERSION_SETTLED);
}

/* The entries of a lane end by their mark, which retains them as well. */
static bool mark_plain_settled(struct hf *store, struct hf_version *v, uint64_t lsn)
{
    return !(v->flags & HF_ENTRY_LANE) && mark_settled(store, v, lsn);
}

static bool mark_settled_exactly(struct hf *store, struct hf_version *v, uint64_t lsn)
{
    return v->lsn == lsn && mark_settled(store, v, lsn);
}

static bool mark_parked(struct hf *store, struct hf_version *v, uint64_t lsn)
{
    (void)lsn;
    return !hf__version_is_settled(v) && change_state(store, v, HF_VERSION_PARKED);
}

static bool mark_parked_exactly(struct hf *store, struct hf_version *v, uint64_t lsn)
{
    return v->lsn == lsn && mark_parked(store, v, lsn);
}

static bool look_only(struct hf *store, struct hf_version *v, uint64_t lsn)
{
    (void)store;
    (void)v;
    (void)lsn;
    return false;
}

static bool mark_sent(struct hf *store, struct hf_version *v, uint64_t lsn)
{
    (void)store;
    (void)lsn;
    atomic_store(&v->sent, 1);
    return false;
}

/* Call `mark` for the key's versions up to `lsn` in one generation. Returns how many it changed; `*any` is set when
 * there were such versions. */
static unsigned each_version(struct hf *store, struct hf_generation *g, struct hf_slice key, uint64_t lsn,
                             mark_fn *mark, bool *any)
{
    struct hf_node *node = g ? hf__generation_find(g, key) : NULL;
    unsigned changed = 0;

    for (struct hf_version *v = node ? atomic_load(&node->head) : NULL; v; v = v->older) {
        if (v->lsn > lsn)
            continue;
        changed += mark(store, v, lsn);
        *any = true;
    }
    if (changed > 0)
        hf__pending_settled(store, g, node);
    return changed;
}

/* ---- which rows are void, until a commit clears them ---- */

/* By the key's hash alone: 64 bits of it do not meet by chance in a table of some ten thousand. */
struct hf_acked {
    uint64_t hash; /* 0: a free place */
    uint64_t lsn;
    bool value_ended; /* a change of its value is among them, not of its life alone */
    bool parked;      /* so the last change of its value has ended */
};

static uint64_t hash_of(struct hf_slice key)
{
    uint64_t h = hf__slice_hash(key);

    return h ? h : 1;
}

static struct hf_acked *place_of(const struct hf_acked_table *table, uint64_t hash)
{
    size_t i = (hash ^ hash >> 29) & (table->capacity - 1);

    while (table->places[i].hash != 0 && table->places[i].hash != hash)
        i = (i + 1) & (table->capacity - 1);
    return &table->places[i];
}

/* Room for `n` more. With checkpoint.mutex. */
static bool reserve_acked(struct hf_acked_table *table, size_t n)
{
    struct hf_acked_table grown = {.n = table->n, .capacity = table->capacity ? table->capacity : 256};

    while (4 * (table->n + n) > 3 * grown.capacity)
        grown.capacity *= 2;
    if (grown.capacity == table->capacity)
        return true;
    grown.places = calloc(grown.capacity, sizeof(*grown.places));
    if (!grown.places)
        return false;
    for (size_t i = 0; i < table->capacity; i++) {
        if (table->places[i].hash != 0)
            *place_of(&grown, table->places[i].hash) = table->places[i];
    }
    free(table->places);
    *table = grown;
    return true;
}

static bool ends_what_is_owed(const struct hf_settled *settled)
{
    return settled->what & (HF_LEFT_ROW | HF_LEFT_LANE);
}

/* After reserve_acked(). */
static void index_ended(struct hf_acked_table *table, const struct hf_settled *settled)
{
    uint64_t hash = hash_of(hf__slice(settled->key.data, settled->key.len));
    struct hf_acked *at = place_of(table, hash);

    table->n += at->hash == 0;
    at->hash = hash;
    if (settled->lsn < at->lsn)
        return;
    at->lsn = settled->lsn;
    if (settled->what & HF_LEFT_LIFE)
        return;
    at->parked = settled->what & HF_LEFT_PARKED;
    at->value_ended = true;
}

static const struct hf_acked *find_acked(const struct hf_acked_table *table, uint64_t hash)
{
    const struct hf_acked *at = table->n > 0 ? place_of(table, hash) : NULL;

    return at && at->hash != 0 ? at : NULL;
}

/* A life says nothing of its value: what was known of that before is known still. */
static void inherit_parked(struct hf_checkpointer *cp, uint64_t hash)
{
    const struct hf_acked *before = find_acked(&cp->acked_before, hash);
    struct hf_acked *at = place_of(&cp->acked, hash);

    if (before && before->parked)
        at->parked |= !at->value_ended;
}

static void index_next(struct hf_checkpointer *cp, const struct hf_settled *settled)
{
    if (!ends_what_is_owed(settled))
        return;
    index_ended(&cp->acked, settled);
    if (settled->what & HF_LEFT_LIFE)
        inherit_parked(cp, hash_of(hf__slice(settled->key.data, settled->key.len)));
    if (!(settled->what & HF_LEFT_PARKED))
        return;
    cp->n_parked_now++;
    atomic_fetch_add(&cp->n_parked, 1);
}

/* What the last commit cleared stays for one more: a look that began before it still sees the row. */
void hf__settle_index_again(struct hf_checkpointer *cp)
{
    free(cp->acked_before.places);
    cp->acked_before = cp->acked;
    cp->acked = (struct hf_acked_table){0};
    atomic_store(&cp->n_parked, cp->n_parked_now);
    cp->n_parked_now = 0;
    for (size_t i = 0; i < cp->n_settled && reserve_acked(&cp->acked, 1); i++)
        index_next(cp, &cp->settled[i]);
}

static uint64_t acked_lsn(const struct hf_acked_table *table, uint64_t hash)
{
    return table->n > 0 ? place_of(table, hash)->lsn : 0;
}

uint64_t hf__settle_acked_lsn(struct hf *store, struct hf_slice key)
{
    struct hf_checkpointer *cp = &store->checkpoint;
    uint64_t hash = hash_of(key), now, before;

    pthread_mutex_lock(&cp->mutex);
    now = acked_lsn(&cp->acked, hash);
    before = acked_lsn(&cp->acked_before, hash);
    pthread_mutex_unlock(&cp->mutex);
    return now > before ? now : before;
}

bool hf__settle_is_parked(struct hf *store, struct hf_slice key, uint64_t lsn)
{
    struct hf_checkpointer *cp = &store->checkpoint;
    const struct hf_acked *at;
    bool parked;

    if (atomic_load_explicit(&cp->n_parked, memory_order_acquire) == 0)
        return false;
    pthread_mutex_lock(&cp->mutex);
    at = find_acked(&cp->acked, hash_of(key));
    if (!at)
        at = find_acked(&cp->acked_before, hash_of(key));
    parked = at && at->parked && at->lsn >= lsn;
    pthread_mutex_unlock(&cp->mutex);
    return parked;
}

/* Room in the list for `n` more, before anything is marked. With checkpoint.mutex. */
static bool reserve(struct hf_checkpointer *cp, size_t n)
{
    size_t capacity = cp->settled_capacity ? cp->settled_capacity : 64;
    struct hf_settled *grown;

    if (!reserve_acked(&cp->acked, n))
        return false;
    while (capacity < cp->n_settled + n)
        capacity *= 2;
    if (cp->settled && capacity == cp->settled_capacity)
        return true;
    grown = realloc(cp->settled, capacity * sizeof(*grown));
    if (!grown)
        return false;
    cp->settled = grown;
    cp->settled_capacity = capacity;
    return true;
}

/* Leave it for the next checkpoint. With checkpoint.mutex, after reserve(). */
static void leave(struct hf *store, const struct hf_settled *settled)
{
    store->checkpoint.settled[store->checkpoint.n_settled++] = *settled;
    if (settled->what & HF_LEFT_LISTS)
        atomic_fetch_add(&store->unsaved, 1);
    index_next(&store->checkpoint, settled);
    if (settled->what & HF_LEFT_PARKED)
        atomic_fetch_add(&store->parked_left, 1);
    if (settled->what & HF_LEFT_CONFLICT) {
        atomic_fetch_add(&store->conflicts_left, 1);
        atomic_fetch_add(&store->conflict_bytes_left, settled->more->bytes.len);
    }
    hf__checkpoint_note_settled(store);
}

static bool rows_possible(struct hf *store, bool in_active)
{
    return !in_active || hf__checkpoint_is_draining(store) || atomic_load(&store->pending_rows) > 0;
}

/* Without memory nothing is marked: the change stays pending and is sent again, which the row's own-version digests and
 * the lane's mark make harmless. */
static bool settle_key(struct hf *store, struct hf_slice key, uint64_t lsn, unsigned what)
{
    struct hf_settled settled = {.lsn = lsn, .what = what};
    struct hf_view view;
    bool in_active = false, in_frozen = false, done;

    hf__view_pin(&store->overlay, &view);
    pthread_mutex_lock(&store->checkpoint.mutex);
    (void)each_version(store, view.active, key, lsn, look_only, &in_active);
    done = !rows_possible(store, in_active) ||
           (reserve(&store->checkpoint, 1) && hf__buf_copy(key, &settled.key) == 0);
    if (done) {
        (void)each_version(store, view.active, key, lsn, mark_plain_settled, &in_active);
        (void)each_version(store, view.frozen, key, lsn, mark_plain_settled, &in_frozen);
        if (settled.key.data)
            leave(store, &settled);
    }
    pthread_mutex_unlock(&store->checkpoint.mutex);
    hf__view_unpin(&store->overlay, &view);
    return done;
}

bool hf__settle_key(struct hf *store, struct hf_slice key, uint64_t lsn)
{
    return settle_key(store, key, lsn, HF_LEFT_ROW);
}

bool hf__settle_life(struct hf *store, struct hf_slice key, uint64_t lsn)
{
    return settle_key(store, key, lsn, HF_LEFT_ROW | HF_LEFT_LIFE);
}

/* Mark a key's versions and leave `settled` for the checkpoint; false without memory. */
static bool settle_and_leave(struct hf *store, struct hf_slice key, const struct hf_settled *settled, mark_fn *mark)
{
    struct hf_view view;
    bool any = false, reserved;

    hf__view_pin(&store->overlay, &view);
    pthread_mutex_lock(&store->checkpoint.mutex);
    reserved = reserve(&store->checkpoint, 1);
    if (reserved) {
        (void)each_version(store, view.active, key, settled->lsn, mark, &any);
        (void)each_version(store, view.frozen, key, settled->lsn, mark, &any);
        leave(store, settled);
    }
    pthread_mutex_unlock(&store->checkpoint.mutex);
    hf__view_unpin(&store->overlay, &view);
    return reserved;
}

/* ---- with more than an acknowledgement ---- */

/* Copy `from` behind what is there, keeping its place: the slice is set when all is copied. */
static int append(struct hf_bytes *bytes, struct hf_slice from, size_t *ret_at)
{
    *ret_at = bytes->len;
    return hf__bytes_append(bytes, from.data, from.len);
}

static struct hf_slice at(const struct hf_bytes *bytes, size_t from, size_t len)
{
    return hf__slice(bytes->bytes + from, len);
}

static int copy_parked(struct hf_settled_more *more, const struct hf_lane_entry *entry, bool in_doubt,
                       const char *reason)
{
    size_t key, value, why;
    int rc = append(&more->bytes, entry->key, &key);

    if (rc == 0)
        rc = append(&more->bytes, entry->value, &value);
    if (rc == 0)
        rc = append(&more->bytes, hf__slice_str(reason), &why);
    if (rc != 0)
        return rc;
    more->parked = (struct hf_parked_row){.entry = *entry, .in_doubt = in_doubt};
    more->parked.entry.key = at(&more->bytes, key, entry->key.len);
    more->parked.entry.value = at(&more->bytes, value, entry->value.len);
    more->parked.reason = at(&more->bytes, why, strlen(reason));
    return 0;
}

static bool make_parked(struct hf_settled *settled, const struct hf_lane_entry *entry, const struct hf_parking *how)
{
    settled->lsn = entry->lsn;
    settled->what = HF_LEFT_PARKED | (how->from_lane       ? HF_LEFT_LANE
                                      : how->from_retained ? HF_LEFT_FORGET
                                                           : HF_LEFT_ROW);
    settled->more = calloc(1, sizeof(*settled->more));
    return settled->more && copy_parked(settled->more, entry, how->in_doubt, how->reason) == 0 &&
           hf__buf_copy(entry->key, &settled->key) == 0;
}

/* Mark and leave all of them, or none. */
static bool park_all(struct hf *store, const struct hf_settled *settled, size_t n, mark_fn *mark)
{
    struct hf_view view;
    bool any = false, reserved;

    hf__view_pin(&store->overlay, &view);
    pthread_mutex_lock(&store->checkpoint.mutex);
    reserved = reserve(&store->checkpoint, n);
    for (size_t i = 0; i < n && reserved; i++) {
        struct hf_slice key = hf__slice(settled[i].key.data, settled[i].key.len);
        (void)each_version(store, view.active, key, settled[i].lsn, mark, &any);
        (void)each_version(store, view.frozen, key, settled[i].lsn, mark, &any);
        leave(store, &settled[i]);
    }
    pthread_mutex_unlock(&store->checkpoint.mutex);
    hf__view_unpin(&store->overlay, &view);
    return reserved;
}

static mark_fn *mark_of(const struct hf_parking *how)
{
    if (how->from_retained)
        return look_only;
    return how->from_lane ? mark_parked_exactly : mark_parked;
}

bool hf__settle_park(struct hf *store, const struct hf_lane_entry *entries, size_t n, const struct hf_parking *how)
{
    struct hf_settled *settled = calloc(n, sizeof(*settled));
    bool done = settled != NULL;

    for (size_t i = 0; i < n && done; i++)
        done = make_parked(&settled[i], &entries[i], how);
    done = done && park_all(store, settled, n, mark_of(how));
    for (size_t i = 0; i < n && settled && !done; i++)
        hf__settled_release(&settled[i]);
    free(settled);
    hf__checkpoint_request(store);
    return done;
}

bool hf__settle_may_park(struct hf *store, size_t n)
{
    return atomic_load(&store->parked) + atomic_load(&store->parked_left) + n <= store->opts.parked_max;
}

static bool copy_retained(struct hf_settled *settled, const struct hf_lane_entry *entry)
{
    size_t key, value;

    settled->more = calloc(1, sizeof(*settled->more));
    if (!settled->more || append(&settled->more->bytes, entry->key, &key) != 0 ||
        append(&settled->more->bytes, entry->value, &value) != 0)
        return false;
    settled->more->retained = *entry;
    settled->more->retained.key = at(&settled->more->bytes, key, entry->key.len);
    settled->more->retained.value = at(&settled->more->bytes, value, entry->value.len);
    return true;
}

/* Without memory it is not retained, or the mark tells again that it was applied: neither does harm by itself. */
static void settle_lane(struct hf *store, const struct hf_lane_entry *entry, bool retain)
{
    struct hf_settled settled = {.lsn = entry->lsn, .what = HF_LEFT_LANE};

    if (retain && copy_retained(&settled, entry)) {
        settled.what |= HF_LEFT_RETAIN;
        settled.more->retained.flags &= (uint8_t)~HF_LANE_PLAIN; /* its mark tells of it from now on */
    }
    if (hf__buf_copy(entry->key, &settled.key) != 0 ||
        !settle_and_leave(store, entry->key, &settled, mark_settled_exactly))
        hf__settled_release(&settled);
}

void hf__settle_lane(struct hf *store, const struct hf_lane_entry *entry)
{
    settle_lane(store, entry, true);
}

void hf__settle_lane_lost(struct hf *store, const struct hf_lane_entry *entry)
{
    settle_lane(store, entry, false);
}

/* Leave it without marking any version. */
static bool leave_only(struct hf *store, struct hf_settled *settled)
{
    bool done;

    pthread_mutex_lock(&store->checkpoint.mutex);
    done = reserve(&store->checkpoint, 1);
    if (settled->what & (HF_LEFT_FOREIGN | HF_LEFT_GAP | HF_LEFT_UNPARK | HF_LEFT_RESOLVE | HF_LEFT_OWN_LOST))
        settled->not_before = store->checkpoint.started + 1; /* one under way may have frozen already */
    if (done)
        leave(store, settled);
    pthread_mutex_unlock(&store->checkpoint.mutex);
    return done;
}

static bool leave_of_key(struct hf *store, struct hf_slice key, struct hf_settled settled)
{
    bool done = hf__buf_copy(key, &settled.key) == 0 && leave_only(store, &settled);

    if (!done)
        hf__settled_release(&settled);
    return done;
}

void hf__settle_gap(struct hf *store, struct hf_slice key)
{
    (void)leave_of_key(store, key,
                       (struct hf_settled){.what = HF_LEFT_GAP}); /* otherwise it is compared once more */
}

void hf__settle_retain(struct hf *store, const struct hf_lane_entry *entry)
{
    struct hf_settled settled = {.lsn = entry->lsn, .what = HF_LEFT_RETAIN};

    if (!copy_retained(&settled, entry) || !leave_only(store, &settled))
        hf__settled_release(&settled);
}

void hf__settle_retain_delete(struct hf *store, struct hf_slice key, uint64_t lsn, int64_t made_ms)
{
    struct hf_lane_entry entry = {
        .lsn = lsn, .op = HF_LANE_DELETE, .flags = HF_LANE_PLAIN, .made_ms = made_ms, .key = key};

    hf__settle_retain(store, &entry);
}

bool hf__settle_relane(struct hf *store, const struct hf_lane_entry *entry)
{
    struct hf_settled settled = {.lsn = entry->lsn, .what = HF_LEFT_RELANE};
    bool done = copy_retained(&settled, entry) && leave_only(store, &settled);

    if (!done)
        hf__settled_release(&settled);
    return done;
}

static int copy_verdict(struct hf_settled_more *more, struct hf_slice key, const struct hf_verdict *verdict)
{
    static const struct hf_conflict_row none = {0};
    const struct hf_conflict_row *row = verdict->conflict ? verdict->conflict : &none;
    struct hf_slice theirs = verdict->theirs ? *verdict->theirs : hf__slice(NULL, 0);
    size_t key_at, ours_at, row_theirs_at, theirs_at;
    int rc = append(&more->bytes, key, &key_at);

    if (rc == 0)
        rc = append(&more->bytes, row->ours.value, &ours_at);
    if (rc == 0)
        rc = append(&more->bytes, row->theirs.value, &row_theirs_at);
    if (rc == 0)
        rc = append(&more->bytes, theirs, &theirs_at);
    if (rc != 0)
        return rc;
    more->conflict = *row;
    more->conflict.key = at(&more->bytes, key_at, key.len);
    more->conflict.ours.value = at(&more->bytes, ours_at, row->ours.value.len);
    more->conflict.theirs.value = at(&more->bytes, row_theirs_at, row->theirs.value.len);
    more->theirs_present = verdict->theirs != NULL;
    more->theirs = (struct hf_record){.value = at(&more->bytes, theirs_at, theirs.len),
                                      .deadline_ms = verdict->theirs_deadline_ms,
                                      .made_ms = verdict->ours_made_ms,
                                      .type = HF_TYPE_STRING,
                                      .flags = HF_RECORD_SHARED};
    return 0;
}

bool hf__settle_verdict(struct hf *store, struct hf_slice key, uint64_t lsn, const struct hf_verdict *verdict)
{
    struct hf_settled settled = {.lsn = lsn,
                                 .what = HF_LEFT_ROW | (verdict->conflict ? HF_LEFT_CONFLICT : 0) |
                                         (verdict->take_theirs ? HF_LEFT_THEIRS : 0),
                                 .more = calloc(1, sizeof(*settled.more))};
    bool done =
        settled.more && copy_verdict(settled.more, key, verdict) == 0 && hf__buf_copy(key, &settled.key) == 0;

    if (done) {
        settled.more->theirs_frozen = store->checkpoint.frozen;
        done = settle_and_leave(store, key, &settled, mark_settled);
    }
    if (!done)
        hf__settled_release(&settled);
    return done;
}

bool hf__settle_conflict(struct hf *store, const struct hf_conflict_row *row)
{
    struct hf_settled settled = {
        .lsn = row->id, .what = HF_LEFT_CONFLICT, .more = calloc(1, sizeof(*settled.more))};
    struct hf_verdict verdict = {.conflict = row};
    bool done = settled.more && copy_verdict(settled.more, row->key, &verdict) == 0 && leave_only(store, &settled);

    if (!done)
        hf__settled_release(&settled);
    return done;
}

bool hf__settle_note_foreign(struct hf *store, struct hf_slice key, const struct hf_foreign *foreign)
{
    struct hf_settled settled = {.what = HF_LEFT_FOREIGN, .more = calloc(1, sizeof(*settled.more))};
    bool done = settled.more && hf__buf_copy(key, &settled.key) == 0;

    if (done) {
        settled.more->foreign = *foreign;
        done = leave_only(store, &settled);
    }
    if (!done)
        hf__settled_release(&settled);
    return done;
}

void hf__settle_note_sent(struct hf *store, struct hf_slice key, uint64_t lsn, const struct hf_version_id *version,
                          bool stored)
{
    struct hf_settled settled = {.lsn = lsn, .what = HF_LEFT_SENT, .more = calloc(1, sizeof(*settled.more))};

    if (settled.more) {
        settled.more->sent = *version;
        settled.more->stored = stored;
    }
    if (!settled.more || hf__buf_copy(key, &settled.key) != 0 || !leave_only(store, &settled))
        hf__settled_release(&settled);
}

bool hf__settle_own_lost(struct hf *store, struct hf_slice key, uint64_t value_lsn)
{
    return leave_of_key(store, key, (struct hf_settled){.lsn = value_lsn, .what = HF_LEFT_OWN_LOST});
}

bool hf__settle_base_lost(struct hf *store, struct hf_slice key)
{
    return leave_of_key(store, key, (struct hf_settled){.what = HF_LEFT_BASE_LOST});
}

/* ---- off their lists ---- */

bool hf__settle_unlist(struct hf *store, unsigned what, uint64_t listed)
{
    struct hf_settled settled = {.what = what, .listed = listed};

    return leave_only(store, &settled);
}

/* With checkpoint.mutex. */
static struct hf_settled *find_unlist(struct hf_checkpointer *cp, unsigned what, uint64_t listed)
{
    for (size_t i = 0; i < cp->n_settled; i++) {
        if (cp->settled[i].what == what && cp->settled[i].listed == listed)
            return &cp->settled[i];
    }
    return NULL;
}

bool hf__settle_is_unlisted(struct hf *store, unsigned what, uint64_t listed)
{
    bool found;

    pthread_mutex_lock(&store->checkpoint.mutex);
    found = find_unlist(&store->checkpoint, what, listed) != NULL;
    pthread_mutex_unlock(&store->checkpoint.mutex);
    return found;
}

/* A commit under way counts the places of the list: this one stays, and says nothing. */
bool hf__settle_keep_listed(struct hf *store, unsigned what, uint64_t listed, bool wait)
{
    struct hf_checkpointer *cp = &store->checkpoint;
    struct hf_settled *settled;

    pthread_mutex_lock(&cp->mutex);
    while ((settled = find_unlist(cp, what, listed)) && wait && hf__checkpoint_is_draining(store))
        pthread_cond_wait(&cp->finished, &cp->mutex);
    if (settled) {
        settled->what = 0;
        atomic_fetch_sub(&store->unsaved, 1);
    }
    pthread_mutex_unlock(&cp->mutex);
    return settled != NULL;
}

void hf__settle_mark_sent(struct hf *store, struct hf_slice key, uint64_t lsn)
{
    struct hf_view view;
    bool any;

    hf__view_pin(&store->overlay, &view);
    (void)each_version(store, view.active, key, lsn, mark_sent, &any);
    (void)each_version(store, view.frozen, key, lsn, mark_sent, &any);
    hf__view_unpin(&store->overlay, &view);
}

void hf__settled_release(struct hf_settled *settled)
{
    hf_buf_release(&settled->key);
    if (settled->more)
        hf__bytes_release(&settled->more->bytes);
    free(settled->more);
    *settled = (struct hf_settled){0};
}
