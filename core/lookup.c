/* Looking a key up. */
#include "lookup.h"

#include "fail.h"
#include "reader.h"
#include "settle.h"

int hf__look_begin(struct hf *store, struct hf_look *ret_look)
{
    *ret_look = (struct hf_look){.store = store, .time_unknown = hf__time_is_unknown(store)};
    ret_look->trusted = atomic_load(&store->trusted);
    ret_look->now_ms = hf__now_ms(store);
    if (store->read_only)
        return hf__reader_look(ret_look);
    ret_look->visible_lsn = atomic_load_explicit(&store->visible_lsn, memory_order_acquire);
    hf__view_pin(&store->overlay, &ret_look->view);
    return 0;
}

void hf__look_end(struct hf_look *look)
{
    if (!look->store)
        return;
    look->store->local->ops->snap_end(look->snap);
    if (look->view.active)
        hf__view_unpin(&look->store->overlay, &look->view);
    *look = (struct hf_look){0};
}

int hf__look_snap(struct hf_look *look, struct hf_local_snap **ret_snap)
{
    int rc = 0;

    if (!look->snap)
        rc = look->store->local->ops->snap_begin(look->store->local, &look->snap);
    if (rc == 0)
        *ret_snap = look->snap;
    return rc;
}

static bool changes_only_ttl(const struct hf_version *v)
{
    return v->op == HF_ENTRY_EXPIRE || v->op == HF_ENTRY_PERSIST;
}

/* Walk a node's versions: note the newest one and the newest deadline; the first one with a value ends it. */
static struct hf_version *walk_versions(struct hf_version *v, struct hf_version **top, struct hf_version **ttl)
{
    for (; v; v = v->older) {
        if (!*top)
            *top = v;
        if (!changes_only_ttl(v))
            return v;
        if (!*ttl)
            *ttl = v;
    }
    return NULL;
}

static struct hf_version *visible(const struct hf_look *look, const struct hf_node *node)
{
    return node ? hf__node_visible(node, look->visible_lsn) : NULL;
}

/* The overlay's part of the answer; true when the local tier is not needed. */
static bool resolve_overlay(const struct hf_look *look, const struct hf_node *active, const struct hf_node *frozen,
                            struct hf_found *found, struct hf_version **ttl)
{
    struct hf_version *v = walk_versions(visible(look, active), &found->top, ttl);

    if (!v)
        v = walk_versions(visible(look, frozen), &found->top, ttl);
    if (found->top)
        found->lsn = found->top->lsn;
    if (!v)
        return false;
    found->of_value = v;
    found->held = true;
    found->live = v->op != HF_ENTRY_DELETE;
    found->own_value = v->lsn != 0 && !hf__version_is_counted(v) && !(v->flags & HF_ENTRY_LANE);
    found->value = v->value;
    found->type = v->type;
    found->deadline_ms = v->deadline_ms;
    found->made_ms = found->top->made_ms;
    return true;
}

static void finish(const struct hf_look *look, const struct hf_version *ttl, struct hf_found *found)
{
    if (ttl)
        found->deadline_ms = ttl->deadline_ms;
    if (hf__is_expired(found->deadline_ms, look->now_ms))
        found->live = false;
    found->time_unknown = found->live && found->deadline_ms != 0 && look->time_unknown;
}

static void take_record(const struct hf_record *record, struct hf_found *found)
{
    found->held = true;
    found->live = true;
    found->value = record->value;
    found->type = record->type;
    found->deadline_ms = record->deadline_ms;
    found->made_ms = found->top ? found->top->made_ms : record->made_ms;
    found->only_ttl = found->top != NULL;
    found->record_shared = !(record->flags & HF_RECORD_UNSHARED);
    found->life_shared = !found->record_shared && (record->flags & HF_RECORD_SHARED);
    found->own_value = record->lsn != 0 && !(record->flags & (HF_RECORD_COUNTED | HF_RECORD_LANE | HF_RECORD_LIFE));
    found->only_life_ours = !found->top && (record->flags & HF_RECORD_LIFE);
    if (!found->top)
        found->lsn = record->lsn;
}

void hf__look_resolve(const struct hf_look *look, const struct hf_node *active, const struct hf_node *frozen,
                      const struct hf_record *record, struct hf_found *ret_found)
{
    struct hf_version *ttl = NULL;
    bool in_overlay;

    *ret_found = (struct hf_found){0};
    in_overlay = (active || frozen) && resolve_overlay(look, active, frozen, ret_found, &ttl);
    if (!in_overlay && record)
        take_record(record, ret_found);
    finish(look, ttl, ret_found);
}

int hf__look_up(struct hf_look *look, struct hf_slice key, struct hf_found *ret_found)
{
    const struct hf_generation *frozen = look->view.frozen;
    struct hf_found found = {0};
    struct hf_version *ttl = NULL;
    struct hf_local_snap *snap = NULL;
    struct hf_record record;
    int rc = 0;

    if (!resolve_overlay(look, hf__generation_find(look->view.active, key),
                         frozen ? hf__generation_find(frozen, key) : NULL, &found, &ttl)) {
        rc = hf__look_snap(look, &snap);
        if (rc == 0)
            rc = look->store->local->ops->get(snap, key, &record);
        if (rc == 0)
            take_record(&record, &found);
        else if (rc != HF_NOT_FOUND)
            return rc;
        if (rc == 0 && record.lsn != 0 && hf__settle_is_parked(look->store, key, record.lsn))
            found.record_shared = false; /* which the record does not say yet */
    }
    finish(look, ttl, &found);
    *ret_found = found;
    return 0;
}

bool hf__look_hides(const struct hf_look *look, struct hf_slice key, const struct hf_found *found)
{
    return found->time_unknown && hf__ns_of(&look->store->namespaces, key)->unknown_time == HF_UNKNOWN_TIME_HIDE;
}

/* It only waits for a checkpoint to clear it: what others change now concerns the copy. */
static bool has_ended(struct hf *store, struct hf_slice key, uint64_t lsn)
{
    return !store->read_only && hf__settle_acked_lsn(store, key) >= lsn;
}

/* Of a damaged row it is known that there is one: the key can be read, and written, which takes the row's place. */
static int look_for_row(struct hf_look *look, struct hf_local_snap *snap, struct hf_slice key,
                        enum hf_owed *ret_owed)
{
    struct hf_pending_row row;
    int rc = look->store->local->ops->pending_get(snap, key, &row);

    if (rc == HF_ECORRUPT || (rc == 0 && !has_ended(look->store, key, row.last_lsn)))
        *ret_owed = HF_OWED_ROW;
    return rc == HF_ECORRUPT ? 0 : rc;
}

int hf__look_owed(struct hf_look *look, struct hf_slice key, const struct hf_found *found, enum hf_owed *ret_owed)
{
    struct hf_local_snap *snap = NULL;
    uint64_t lsn;
    int rc = 0;

    *ret_owed = HF_OWED_NOTHING;
    if (found->top) {
        if (!hf__version_is_settled(found->top))
            *ret_owed = found->top->flags & HF_ENTRY_LANE ? HF_OWED_LANE : HF_OWED_ROW;
        return 0;
    }
    if (!look->store->read_only && atomic_load(&look->store->lane_entries) == 0 &&
        atomic_load(&look->store->pending_rows) == 0)
        return 0;
    rc = hf__look_snap(look, &snap);
    if (rc == 0 && (rc = look->store->local->ops->lane_last(snap, key, &lsn)) == 0 &&
        !has_ended(look->store, key, lsn))
        *ret_owed = HF_OWED_LANE;
    else if (rc == 0 || rc == HF_NOT_FOUND)
        rc = look_for_row(look, snap, key, ret_owed);
    return rc == HF_NOT_FOUND ? 0 : rc;
}

static void widen(struct hf_owed_range *range, uint64_t first_lsn, uint64_t last_lsn)
{
    if (range->first_lsn == 0 || first_lsn < range->first_lsn)
        range->first_lsn = first_lsn;
    if (last_lsn > range->last_lsn)
        range->last_lsn = last_lsn;
}

static void add_unsettled(const struct hf_generation *g, struct hf_slice key, uint64_t lsn,
                          struct hf_owed_range *range)
{
    const struct hf_node *node = g ? hf__generation_find(g, key) : NULL;

    for (const struct hf_version *v = node ? atomic_load(&node->head) : NULL; v; v = v->older) {
        if (v->lsn <= lsn && !(v->flags & HF_ENTRY_LANE) && !hf__version_is_settled(v))
            widen(range, v->lsn, v->lsn);
    }
}

/* One that stands for a later change, too, ends with that. */
static void add_row(struct hf *store, struct hf_slice key, uint64_t lsn, const struct hf_pending_row *row,
                    struct hf_owed_range *range)
{
    if (has_ended(store, key, row->last_lsn))
        return;
    if (row->last_lsn > lsn)
        *range = (struct hf_owed_range){0};
    else
        widen(range, row->first_lsn, row->last_lsn);
}

int hf__look_owed_until(struct hf_look *look, struct hf_slice key, uint64_t lsn, struct hf_owed_range *ret_range)
{
    struct hf_owed_range range = {0};
    struct hf_local_snap *snap = NULL;
    struct hf_pending_row row;
    int rc = hf__look_snap(look, &snap);

    if (rc == 0)
        rc = look->store->local->ops->pending_get(snap, key, &row);
    if (rc != 0 && rc != HF_NOT_FOUND && rc != HF_ECORRUPT)
        return rc;
    add_unsettled(look->view.active, key, lsn, &range);
    add_unsettled(look->view.frozen, key, lsn, &range);
    if (rc == 0)
        add_row(look->store, key, lsn, &row, &range);
    *ret_range = range;
    return 0;
}

int hf__look_parked(struct hf_look *look, struct hf_slice key, const struct hf_found *found, bool *ret_parked)
{
    struct hf_local_snap *snap = NULL;
    struct hf_parked_row row;
    int rc;

    *ret_parked = found->top && atomic_load(&found->top->state) == HF_VERSION_PARKED;
    if (found->top || !found->held || found->record_shared)
        return 0;
    *ret_parked = hf__settle_is_parked(look->store, key, found->lsn);
    if (*ret_parked)
        return 0;
    rc = hf__look_snap(look, &snap);
    if (rc == 0)
        rc = look->store->local->ops->parked_next(snap, found->lsn, &row);
    *ret_parked = rc == 0 && row.entry.lsn == found->lsn && hf__slice_eq(row.entry.key, key);
    return rc == HF_NOT_FOUND ? 0 : rc;
}

/* A change of its life alone says nothing of the value. */
static bool is_life_of_unshared(const struct hf_found *found)
{
    if (found->only_ttl)
        return !found->record_shared;
    return found->of_value && found->of_value != found->top && hf__version_is_unshared(found->of_value);
}

bool hf__look_is_acknowledged(const struct hf_found *found)
{
    if (!found->top)
        return found->record_shared;
    if (is_life_of_unshared(found))
        return false;
    return atomic_load(&found->top->state) == HF_VERSION_SETTLED && !(found->top->flags & HF_ENTRY_LOCAL);
}

/* The count is read last: behind it, what has made the copies good again may have come after the look. */
static bool is_verified(const struct hf_look *look, const struct hf_ns *ns)
{
    const struct hf *store = look->store;

    return atomic_load(&ns->verified) && !atomic_load(&store->refreshing) &&
           atomic_load(&store->trusted) == look->trusted;
}

enum hf_origin hf__look_origin(const struct hf_look *look, struct hf_slice key, const struct hf_found *found,
                               enum hf_owed owed)
{
    struct hf *store = look->store;
    const struct hf_ns *ns = hf__ns_of(&store->namespaces, key);

    if (owed != HF_OWED_NOTHING)
        return HF_ORIGIN_PENDING;
    if (!store->sharing || ns->write_mode == HF_WRITE_LOCAL)
        return HF_ORIGIN_LOCAL_VERIFIED;
    if (!found->held)
        return HF_ORIGIN_NONE;
    return is_verified(look, ns) && hf__look_is_acknowledged(found) ? HF_ORIGIN_LOCAL_VERIFIED
                                                                    : HF_ORIGIN_LOCAL_UNVERIFIED;
}

/* 1 or 0, as the newest value says; -1: there is none in this generation. */
static int tentative_value(const struct hf_version *v)
{
    for (; v; v = v->older) {
        if (!changes_only_ttl(v))
            return (v->flags & HF_ENTRY_TENTATIVE) != 0;
    }
    return -1;
}

/* Whether a key that owes a row was decided here in the shared tier's stead. */
static int was_decided_here(struct hf_look *look, struct hf_slice key, const struct hf_found *found,
                            bool *ret_tentative)
{
    struct hf_node *frozen = look->view.frozen ? hf__generation_find(look->view.frozen, key) : NULL;
    struct hf_local_snap *snap = NULL;
    struct hf_pending_row row;
    int rc, tentative = tentative_value(found->top);

    if (tentative < 0)
        tentative = tentative_value(visible(look, frozen));
    *ret_tentative = tentative == 1;
    if (tentative >= 0)
        return 0;
    rc = hf__look_snap(look, &snap);
    if (rc == 0)
        rc = look->store->local->ops->pending_get(snap, key, &row);
    *ret_tentative = rc == 0 && row.why == HF_PENDING_TENTATIVE;
    return rc == HF_NOT_FOUND || rc == HF_ECORRUPT ? 0 : rc;
}

/* Redis has this value, or nobody is owed it. A parked one is neither pending nor shared. */
static bool is_shared(struct hf *store, struct hf_slice key, const struct hf_found *found, enum hf_owed owed)
{
    if (!store->sharing || hf__ns_of(&store->namespaces, key)->write_mode == HF_WRITE_LOCAL)
        return true;
    return owed == HF_OWED_NOTHING && hf__look_is_acknowledged(found);
}

int hf__look_describe(struct hf_look *look, struct hf_slice key, const struct hf_found *found,
                      struct hf_result *ret_result)
{
    struct hf *store = look->store;
    enum hf_owed owed = HF_OWED_NOTHING;
    int rc = store->sharing ? hf__look_owed(look, key, found, &owed) : 0;

    *ret_result = (struct hf_result){
        .lsn = found->lsn,
        .origin = hf__look_origin(look, key, found, owed),
        .pending = owed != HF_OWED_NOTHING,
        .shared = is_shared(store, key, found, owed),
        .time_unknown = found->time_unknown,
        .deadline_ms = found->live ? found->deadline_ms : 0,
        .tentative = owed == HF_OWED_LANE && found->top && found->top->op == HF_ENTRY_INCR,
        .existed = found->held,
    };
    if (rc == 0 && owed == HF_OWED_ROW)
        rc = was_decided_here(look, key, found, &ret_result->tentative);
    return rc;
}

bool hf__is_durable(struct hf *store, uint64_t lsn)
{
    return store->read_only || lsn <= hf__journal_durable_lsn(store->journal);
}

int hf__wait_readable(struct hf *store, uint64_t lsn)
{
    int rc;

    if (store->read_only || lsn <= hf__journal_safe_lsn(store->journal))
        return 0;
    rc = hf__journal_wait(store->journal, lsn);
    return rc == HF_EUNKNOWN ? HF_ESTOPPED : rc;
}
