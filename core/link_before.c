/* Giving back what keys held before their lane, when Redis has restarted empty: the increments that wait are added to what
 * Redis had acknowledged, not to nothing (docs/reconcile.md, "Evidence of loss").
 *
 *   one walk over the lane ──► per key: what is held here less the increments that wait ──► groups of SET NX ──► the lane
 *                                                                                               │
 *                  something else is there: increments that may have been sent are in doubt ◄───┘
 *
 * Redis may have applied such an increment before it lost it, and another node have read the counter meanwhile and given
 * that value back. Where Redis's view is adopted, such a counter begins with 0, by the same groups and for this reason alone.
 *
 * Nothing of it is stored. Until the namespace's cursor says that the loss is made good, it is worked out again after
 * each loss of the connection and each crash, and what is there by then stays. */
#include "link_state.h"

#include "digest.h"
#include "drain.h"
#include "fail.h"
#include "write.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define KEYS_A_GROUP 256u
#define BYTES_A_GROUP (1u << 20)

/* A key that owes lane entries. */
struct before {
    struct hf_buf key;
    struct hf_version_id seen; /* without counting: the value when it was looked at */
    uint64_t first_lsn; /* of its entries; at first their deadline, if it is an increment, is that of the key */
    int64_t made_ms;
    int64_t deadline_ms;
    int64_t number; /* the sum of the increments, then what was there before them */
    bool by_increment, counts, needless;
    bool sent;   /* one of the increments may have been sent */
    bool theirs; /* what is there now is not what it was before them */
    struct hf_shared_guard guards[2];
};

struct hf_before {
    struct before *all;
    size_t n, capacity, next;
    struct hf_notes places; /* per key, from 1 */
    bool any_theirs;
    bool anew; /* a key that goes by its value has another one by now */
    struct hf_shared_item items[KEYS_A_GROUP];
    struct hf_buf values[KEYS_A_GROUP];
    struct hf_shared_log log;
    struct hf_shared_group group;
};

static void release_values(struct hf_before *b)
{
    for (size_t i = 0; i < b->group.n_items; i++)
        hf_buf_release(&b->values[i]);
    b->group.n_items = 0;
}

void hf__before_free(struct hf_before *b)
{
    if (!b)
        return;
    release_values(b);
    for (size_t i = 0; i < b->n; i++)
        hf_buf_release(&b->all[i].key);
    hf__notes_release(&b->places);
    free(b->all);
    free(b);
}

static struct hf_slice key_of(const struct before *before)
{
    return hf__slice(before->key.data, before->key.len);
}

/* ---- the lane, summed up by key ---- */

static struct before *add_key(struct hf_before *b, struct hf_slice key)
{
    size_t capacity = b->capacity ? 2 * b->capacity : 64;
    struct before *grown = b->all;

    if (b->n == b->capacity)
        grown = realloc(b->all, capacity * sizeof(*grown));
    if (!grown)
        return NULL;
    if (b->n == b->capacity)
        b->capacity = capacity;
    b->all = grown;
    b->all[b->n] = (struct before){.first_lsn = UINT64_MAX};
    return hf__buf_copy(key, &b->all[b->n].key) == 0 ? &b->all[b->n++] : NULL;
}

static struct before *find_or_add(struct hf_before *b, struct hf_slice key)
{
    struct hf_note *note = hf__notes_of(&b->places, key);
    struct before *before;

    if (!note)
        return NULL;
    if (note->number != 0)
        return &b->all[note->number - 1];
    before = add_key(b, key);
    if (before)
        note->number = b->n;
    return before;
}

/* Entries come in any order. A value or a delete among them takes the place of what was there. */
static int sum_up(struct hf_before *b, const struct hf_lane_entry *entry)
{
    struct before *before = find_or_add(b, entry->key);

    if (!before)
        return hf__fail(HF_ENOMEM, "out of memory: %zu keys of a lane", b->n);
    before->needless |= entry->op == HF_LANE_SET || entry->op == HF_LANE_DELETE ||
                        __builtin_add_overflow(before->number, entry->delta, &before->number);
    before->counts |= entry->op == HF_LANE_INCR;
    before->sent |= entry->op == HF_LANE_INCR && (entry->flags & HF_LANE_SENT);
    if (entry->lsn > before->first_lsn)
        return 0;
    before->first_lsn = entry->lsn;
    before->made_ms = entry->made_ms;
    before->by_increment = entry->op == HF_LANE_INCR;
    before->deadline_ms = entry->deadline_ms;
    return 0;
}

static bool is_of(const struct hf_link *link, struct hf_slice key)
{
    return hf__ns_of(&link->store->namespaces, key) == link->resend.ns;
}

/* The first entry of the namespace's lane behind `*lsn`, which moves on to it; with the flag where it may have been sent. */
static int next_stored(struct hf_link *link, struct hf_local_snap *snap, uint64_t *lsn,
                       struct hf_lane_entry *ret_entry)
{
    int rc;

    do {
        rc = link->store->local->ops->lane_next(snap, *lsn + 1, ret_entry);
        if (rc == 0)
            *lsn = ret_entry->lsn;
    } while (rc == 0 && !is_of(link, ret_entry->key));
    if (rc == 0 && *lsn <= link->maybe_sent_lsn)
        ret_entry->flags |= HF_LANE_SENT;
    return rc;
}

/* What the mark covers is there already. */
static int sum_up_stored(struct hf_link *link, struct hf_local_snap *snap)
{
    uint64_t lsn = link->resend.ns->mark;
    struct hf_lane_entry entry;
    int rc = 0;

    while (rc == 0) {
        rc = next_stored(link, snap, &lsn, &entry);
        if (rc == 0)
            rc = sum_up(link->resend.before, &entry);
    }
    return rc == HF_NOT_FOUND ? 0 : rc;
}

/* What is here came behind the checkpoint that was awaited, on this connection, and was not sent yet: what may have been sent
 * is stored. */
static int sum_up_node(struct hf_link *link, const struct hf_look *look, const struct hf_node *node,
                       uint64_t covered_lsn)
{
    int rc = 0;

    for (const struct hf_version *v = hf__node_visible(node, look->visible_lsn); v && rc == 0; v = v->older) {
        struct hf_lane_entry entry = hf__lane_entry(node->key, v);

        if ((v->flags & HF_ENTRY_LANE) && v->lsn > covered_lsn && !hf__version_is_settled(v))
            rc = sum_up(link->resend.before, &entry);
    }
    return rc;
}

static int sum_up_overlay(struct hf_link *link, const struct hf_look *look, struct hf_local_snap *snap)
{
    struct hf_generation *generations[] = {look->view.frozen, look->view.active};
    uint64_t covered_lsn = link->store->local->ops->snap_covered_lsn(snap);
    int rc = 0;

    for (size_t i = 0; i < 2 && rc == 0; i++) {
        const struct hf_node *node =
            generations[i] ? hf__generation_seek(generations[i], hf__slice(NULL, 0)) : NULL;
        for (; node && rc == 0; node = hf__node_next(node)) {
            if (is_of(link, node->key))
                rc = sum_up_node(link, look, node, covered_lsn);
        }
    }
    return rc;
}

/* ---- what was there before ---- */

/* A counter that was not there before needs nothing, because an increment begins with 0 by itself; unless it is to be seen
 * whether others have given it back. */
static bool subtract(const struct hf_resend *r, const struct hf_found *found, struct before *before)
{
    int64_t now;

    if (r->adopt) {
        before->number = 0;
        return before->sent;
    }
    if (!before->counts)
        return true;
    return hf__parse_counter(found->value, &now) && !__builtin_sub_overflow(now, before->number, &before->number) &&
           (before->number != 0 || !before->by_increment || before->sent);
}

/* What cannot be read says nothing, and is left out. */
static void work_out(struct hf_link *link, struct hf_look *look, struct before *before)
{
    struct hf_found found;

    if (before->needless || hf__look_up(look, key_of(before), &found) != 0 || !found.live ||
        !subtract(&link->resend, &found, before)) {
        before->needless = true;
        return;
    }
    if (!before->counts)
        before->seen = hf__version_id(found.value, 0);
    if (!before->by_increment)
        before->deadline_ms = found.deadline_ms;
    before->needless = hf__is_expired(before->deadline_ms, link->turn.now_ms);
}

/* At one moment: the sums belong to the values. */
static int look_at_lane(struct hf_link *link)
{
    struct hf_before *b = link->resend.before;
    struct hf_local_snap *snap;
    struct hf_look look;
    int rc = hf__look_begin(link->store, &look);

    if (rc == 0)
        rc = hf__look_snap(&look, &snap);
    if (rc == 0)
        rc = sum_up_stored(link, snap);
    if (rc == 0)
        rc = sum_up_overlay(link, &look, snap);
    for (size_t i = 0; rc == 0 && i < b->n; i++)
        work_out(link, &look, &b->all[i]);
    hf__look_end(&look);
    return rc;
}

/* ---- the groups ---- */

/* A key that only gets another life keeps its value, which is looked up when it is sent: it may be long. HF_NOT_DONE: it has been
 * changed since, perhaps by an increment. */
static int copy_value(struct hf_look *look, const struct before *before, struct hf_buf *ret_value)
{
    struct hf_version_id now;
    struct hf_found found;
    char text[24];
    int rc;

    if (before->counts)
        return hf__buf_copy(hf__slice(text, (size_t)snprintf(text, sizeof(text), "%" PRId64, before->number)),
                            ret_value);
    rc = hf__look_up(look, key_of(before), &found);
    if (rc == 0 && !found.live)
        return HF_NOT_FOUND;
    if (rc == 0) {
        now = hf__version_id(found.value, 0);
        if (now.len != before->seen.len || memcmp(now.digest, before->seen.digest, sizeof(now.digest)) != 0)
            return HF_NOT_DONE;
    }
    return rc == 0 ? hf__buf_copy(found.value, ret_value) : rc;
}

/* Nothing; or, so that our own attempt before a loss of the connection is no surprise, the same value. */
static void make_guards(struct before *before, struct hf_slice value)
{
    struct hf_version_id id = hf__version_id(value, 0);

    before->guards[0] = (struct hf_shared_guard){.absent = true};
    before->guards[1] = (struct hf_shared_guard){.len = value.len};
    memcpy(before->guards[1].digest, id.digest, sizeof(id.digest));
}

static int add_item(struct hf_link *link, struct hf_look *look, struct before *before)
{
    struct hf_before *b = link->resend.before;
    size_t i = b->group.n_items;
    int rc = copy_value(look, before, &b->values[i]);

    b->anew |= rc == HF_NOT_DONE;
    if (rc != 0)
        return rc == HF_NOT_FOUND || rc == HF_NOT_DONE ? 0 : rc;
    make_guards(before, hf__slice(b->values[i].data, b->values[i].len));
    b->items[i] = (struct hf_shared_item){
        .op = HF_SHARED_SET,
        .key = key_of(before),
        .value = hf__slice(b->values[i].data, b->values[i].len),
        .deadline_ms = hf__turn_to_redis_ms(&link->turn, before->deadline_ms),
        .lsn = before->first_lsn - 1,
        .made_ms = hf__turn_to_redis_ms(&link->turn, before->made_ms),
        .uncertainty_ms = hf__turn_uncertainty_ms(&link->turn, before->made_ms),
        .guards = before->guards,
        .n_guards = before->sent ? 2 : 1,
        .owner = before,
    };
    hf__link_note_sent(link, b->items[i].lsn);
    b->group.n_items++;
    return 0;
}

static int fill_group(struct hf_link *link)
{
    struct hf_before *b = link->resend.before;
    struct hf_look look;
    size_t bytes = 0;
    int rc = hf__look_begin(link->store, &look);

    while (rc == 0 && b->next < b->n && b->group.n_items < KEYS_A_GROUP && bytes < BYTES_A_GROUP) {
        struct before *before = &b->all[b->next++];
        if (before->needless)
            continue;
        rc = add_item(link, &look, before);
        bytes += before->key.len + (b->group.n_items > 0 ? b->values[b->group.n_items - 1].len : 0);
    }
    hf__look_end(&look);
    return rc;
}

static void note_theirs(struct hf_before *b)
{
    for (size_t i = 0; i < b->group.n_items; i++) {
        struct before *before = b->items[i].owner;
        before->theirs = before->sent && b->items[i].error.class != HF_SHARED_OK;
        b->any_theirs |= before->theirs;
    }
}

/* One key that may not be written is met again by its lane. */
static void group_done(void *ctx, struct hf_shared_group *group)
{
    struct hf_link *link = ctx;
    struct hf_shared_error error = group->error;

    hf__turn_begin(link->store, &link->turn);
    hf__link_out(link, false);
    note_theirs(link->resend.before);
    release_values(link->resend.before);
    if (error.class == HF_SHARED_LINK)
        return; /* `lost` follows, and the next connection begins anew */
    if (error.class != HF_SHARED_OK && error.class != HF_SHARED_ENTRY)
        hf__link_fail(link, &error);
    else if (link->resend.before->log.missing)
        hf__link_log_is_gone(link);
    else
        hf__link_pump(link);
}

static int send_group(struct hf_link *link)
{
    struct hf_before *b = link->resend.before;
    const struct hf_ns *ns = link->resend.ns;

    b->log = (struct hf_shared_log){.key = hf__slice(ns->log_key.data, ns->log_key.len),
                                    .max_entries = ns->log_max,
                                    .n_items = b->group.n_items};
    b->group = (struct hf_shared_group){.items = b->items,
                                        .n_items = b->group.n_items,
                                        .logs = &b->log,
                                        .n_logs = ns->with_log,
                                        .guarded = true,
                                        .done = group_done,
                                        .ctx = link};
    hf__link_out(link, true);
    if (link->tier->ops->send_group(link->tier, &b->group) == 0)
        return 0;
    hf__link_out(link, false);
    return HF_ENOMEM;
}

/* ---- increments that may count twice ---- */

/* Entries that go as a whole; borrowed from the snapshot. */
struct unit {
    struct hf_lane_entry *entries;
    size_t n, capacity;
    bool in_doubt;
};

static int add_to_unit(struct hf_link *link, struct unit *unit, const struct hf_lane_entry *entry)
{
    struct hf_before *b = link->resend.before;
    const struct hf_note *note = hf__notes_find(&b->places, entry->key);
    size_t capacity = unit->capacity ? 2 * unit->capacity : 16;
    struct hf_lane_entry *grown = unit->entries;

    if (unit->n == unit->capacity)
        grown = realloc(unit->entries, capacity * sizeof(*grown));
    if (!grown)
        return hf__fail(HF_ENOMEM, "out of memory: %zu entries of a lane", capacity);
    if (unit->n == unit->capacity)
        unit->capacity = capacity;
    unit->entries = grown;
    unit->entries[unit->n++] = *entry;
    unit->in_doubt |=
        (entry->flags & HF_LANE_SENT) && entry->op == HF_LANE_INCR && note && b->all[note->number - 1].theirs;
    return 0;
}

static int end_unit(struct hf_link *link, struct unit *unit)
{
    bool done =
        !unit->in_doubt ||
        hf__lane_park_in_doubt(link, unit->entries, unit->n,
                               "Redis has lost it, and what another has put there since may count it already");

    unit->n = 0;
    unit->in_doubt = false;
    return done ? 0 : hf__fail(HF_EFULL, "the parked list is full: requeue or drop entries, or raise parked_max");
}

/* They leave the lane with the checkpoint behind which it is sent. */
static int park_what_may_count_twice(struct hf_link *link)
{
    const struct hf_local_ops *ops = link->store->local->ops;
    uint64_t lsn = link->resend.ns->mark;
    struct unit unit = {0};
    struct hf_lane_entry entry;
    struct hf_local_snap *snap;
    int rc = ops->snap_begin(link->store->local, &snap);

    if (rc != 0)
        return rc;
    while (rc == 0) {
        rc = next_stored(link, snap, &lsn, &entry);
        if (rc == 0)
            rc = add_to_unit(link, &unit, &entry);
        if (rc == 0 && !(entry.flags & HF_LANE_MORE))
            rc = end_unit(link, &unit);
    }
    ops->snap_end(snap);
    free(unit.entries);
    return rc == HF_NOT_FOUND ? 0 : rc;
}

int hf__before_step(struct hf_link *link, bool *ret_done)
{
    struct hf_before *b = link->resend.before;
    int rc = 0;

    *ret_done = false;
    if (!b) {
        b = link->resend.before = calloc(1, sizeof(*b));
        rc = b ? look_at_lane(link) : hf__fail(HF_ENOMEM, "out of memory: the keys of a lane");
    }
    if (rc == 0)
        rc = fill_group(link);
    if (rc == 0 && b->group.n_items > 0)
        return send_group(link);
    if (rc == 0 && b->anew) {
        hf__before_free(b);
        link->resend.before = NULL;
        return 0;
    }
    if (rc == 0 && b->any_theirs)
        rc = park_what_may_count_twice(link);
    *ret_done = rc == 0;
    return rc;
}
