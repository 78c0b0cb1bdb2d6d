/* Counting what is pending, and what a write meets at a bound. */
#include "pending_bounds.h"

#include "checkpoint.h"
#include "fail.h"
#include "outage.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

/* ---- counting ---- */

static bool changes_only_ttl(const struct hf_version *v)
{
    return v->op == HF_ENTRY_EXPIRE || v->op == HF_ENTRY_PERSIST;
}

/* Its newest change is a plain one that waits. */
static bool waits(const struct hf_node *node)
{
    const struct hf_version *v = atomic_load(&node->head);

    return v && !(v->flags & HF_ENTRY_LANE) && !hf__version_is_settled(v);
}

static void add(struct hf_generation *g, int64_t keys, int64_t bytes)
{
    struct hf_waiting *waiting = hf__generation_waiting(g);

    atomic_fetch_add(&waiting->keys, keys);
    atomic_fetch_add(&waiting->bytes, bytes);
}

static void count(struct hf_generation *g, struct hf_node *node, uint64_t bytes)
{
    uint64_t before = atomic_exchange(&node->waiting_bytes, bytes);

    add(g, before == 0, (int64_t)bytes - (int64_t)before);
}

/* Returns the bytes that the node was counted with; 0: it was not. */
static uint64_t uncount(struct hf_generation *g, struct hf_node *node)
{
    uint64_t before = atomic_exchange(&node->waiting_bytes, 0);

    if (before != 0)
        add(g, -1, -(int64_t)before);
    return before;
}

/* The bytes of a key that counts already, in the generation (NULL: none) or by its row; 0: it does not. */
static int counted_bytes(struct hf_look *look, struct hf_slice key, const struct hf_generation *g,
                         uint64_t *ret_bytes)
{
    struct hf *store = look->store;
    const struct hf_node *node = g ? hf__generation_find(g, key) : NULL;
    struct hf_local_snap *snap;
    struct hf_pending_row row;
    int rc;

    *ret_bytes = node ? atomic_load(&node->waiting_bytes) : 0;
    if (*ret_bytes != 0 || atomic_load(&store->pending_rows) == 0)
        return 0;
    rc = hf__look_snap(look, &snap);
    if (rc == 0)
        rc = store->local->ops->pending_get(snap, key, &row);
    if (rc == 0)
        *ret_bytes = key.len + row.value_len;
    return rc == HF_NOT_FOUND || rc == HF_ECORRUPT ? 0 : rc; /* a row that cannot be read does not count */
}

int hf__pending_is_counted(struct hf_look *look, struct hf_slice key, bool *ret_counted)
{
    uint64_t bytes;
    int rc = counted_bytes(look, key, look->view.frozen, &bytes);

    if (rc == 0)
        *ret_counted = bytes != 0;
    return rc;
}

void hf__pending_inserted(struct hf *store, const struct hf_staged *staged, bool counted)
{
    struct hf_generation *active = store->overlay.view.active;
    const struct hf_version *v = staged->version;
    uint64_t before = atomic_load(&staged->node->waiting_bytes), bytes = staged->node->key.len + v->value.len;

    if (v->flags & HF_ENTRY_LANE)
        (void)uncount(active, staged->node); /* what it owed has joined the lane */
    else if (!counted)
        count(active, staged->node, changes_only_ttl(v) && before != 0 ? before : bytes);
}

/* A change may be inserted meanwhile by a writer who still saw the count: it is given back then. */
void hf__pending_settled(struct hf *store, struct hf_generation *g, struct hf_node *node)
{
    uint64_t before, none = 0;

    if (waits(node))
        return;
    before = uncount(g, node);
    if (before != 0 && waits(node) && atomic_compare_exchange_strong(&node->waiting_bytes, &none, before))
        add(g, 1, (int64_t)before);
    hf__pending_signal(store);
}

/* A row that cannot be read does not keep its key from being counted. */
static void count_recovered(struct hf *store, struct hf_local_snap *snap)
{
    struct hf_generation *active = store->overlay.view.active;
    struct hf_node *node = hf__generation_seek(active, hf__slice(NULL, 0));
    struct hf_pending_row row;

    for (; node; node = hf__node_next(node)) {
        if (waits(node) && store->local->ops->pending_get(snap, node->key, &row) != 0)
            count(active, node, node->key.len + atomic_load(&node->head)->value.len);
    }
}

int hf__pending_recovered(struct hf *store)
{
    struct hf_local_snap *snap;
    int rc = store->local->ops->snap_begin(store->local, &snap);

    if (rc != 0)
        return rc;
    count_recovered(store, snap);
    store->local->ops->snap_end(snap);
    return 0;
}

/* ---- sums ---- */

static uint64_t at_least_0(int64_t n)
{
    return n > 0 ? (uint64_t)n : 0;
}

static uint64_t stored_keys(const struct hf *store)
{
    return atomic_load(&store->pending_rows) + atomic_load(&store->lane_entries);
}

static uint64_t sum_keys(const struct hf *store, const struct hf_view *view)
{
    int64_t n = atomic_load(&hf__generation_waiting(view->active)->keys);

    if (view->frozen)
        n += atomic_load(&hf__generation_waiting(view->frozen)->keys);
    return stored_keys(store) + at_least_0(n) + at_least_0(atomic_load(&store->lane_open));
}

static uint64_t sum_bytes(const struct hf *store, const struct hf_view *view)
{
    int64_t n = atomic_load(&hf__generation_waiting(view->active)->bytes);

    if (view->frozen)
        n += atomic_load(&hf__generation_waiting(view->frozen)->bytes);
    return atomic_load(&store->pending.stored_bytes) + at_least_0(n);
}

uint64_t hf__pending_keys(struct hf *store)
{
    struct hf_view view;
    uint64_t n;

    hf__view_pin(&store->overlay, &view);
    n = sum_keys(store, &view);
    hf__view_unpin(&store->overlay, &view);
    return n;
}

uint64_t hf__pending_bytes(struct hf *store)
{
    struct hf_view view;
    uint64_t n;

    hf__view_pin(&store->overlay, &view);
    n = sum_bytes(store, &view);
    hf__view_unpin(&store->overlay, &view);
    return n;
}

/* ---- at the bound ---- */

/* What a claim adds. */
struct demand {
    uint64_t keys, bytes;
};

static bool only_deletes(const struct hf_pending_claim *claim)
{
    for (size_t i = 0; i < claim->n; i++) {
        if (claim->entries[i].op != HF_ENTRY_DELETE)
            return false;
    }
    return true;
}

/* A key that waits already costs what its value grows by. */
static int demand_of(struct hf_look *look, const struct hf_pending_claim *claim, struct demand *ret_demand)
{
    const struct hf_entry *e = &claim->entries[claim->n - 1];
    uint64_t bytes = e->key.len + e->value.len, held = 0;
    int rc;

    if (claim->lane) {
        *ret_demand = (struct demand){.keys = claim->n - claim->n_void};
        return 0;
    }
    rc = counted_bytes(look, e->key, look->view.active, &held);
    if (rc == 0 && held == 0)
        rc = counted_bytes(look, e->key, look->view.frozen, &held);
    if (rc == 0)
        *ret_demand = (struct demand){.keys = held == 0, .bytes = bytes > held ? bytes - held : 0};
    return rc;
}

/* The next checkpoint gives up what is too much, unless the last one has not been able to. */
static bool can_be_dropped(struct hf *store)
{
    return stored_keys(store) <= store->opts.pending_max &&
           atomic_load(&store->pending.stored_bytes) <= store->opts.pending_max_bytes;
}

static bool is_too_old(const struct hf *store)
{
    int64_t oldest_ms = atomic_load(&store->pending.stored_oldest_ms);

    return store->opts.pending_max_age_ms > 0 && oldest_ms != 0 &&
           hf__now_ms(store) - oldest_ms > store->opts.pending_max_age_ms;
}

/* The bound that the demand would break, as a sentence, or 0. */
static int check_bounds(const struct hf_look *look, const struct demand *d)
{
    const struct hf_options *o = &look->store->opts;
    uint64_t keys = sum_keys(look->store, &look->view), bytes = sum_bytes(look->store, &look->view);

    if (d->keys > 0 && keys + d->keys > o->pending_max)
        return hf__fail(HF_EBUSY,
                        "%" PRIu64 " keys and lane entries wait for the shared tier, and %" PRIu64
                        " more would pass pending_max, which is %" PRIu64,
                        keys, d->keys, o->pending_max);
    if (d->bytes > 0 && bytes + d->bytes > o->pending_max_bytes)
        return hf__fail(HF_EBUSY,
                        "%" PRIu64 " bytes wait for the shared tier, and %" PRIu64
                        " more would pass pending_max_bytes, which is %" PRIu64,
                        bytes, d->bytes, o->pending_max_bytes);
    if (d->keys > 0 && is_too_old(look->store))
        return hf__fail(HF_EBUSY,
                        "a change has waited for the shared tier for longer than pending_max_age, which is %" PRId64
                        " ms",
                        o->pending_max_age_ms);
    return 0;
}

/* Who gives way at the bound. `rc` is its sentence. */
static int apply_policy(struct hf *store, struct hf_pending_claim *claim, int rc)
{
    switch (store->opts.pending_policy) {
    case HF_PENDING_BLOCK: claim->may_wait = true; return rc;
    case HF_PENDING_DROP_OLDEST:
        if (can_be_dropped(store))
            return 0;
        hf__checkpoint_request(store);
        return rc;
    default: return rc;
    }
}

int hf__pending_admit(struct hf_look *look, struct hf_pending_claim *claim)
{
    struct hf *store = look->store;
    struct demand demand = {0};
    int rc;

    claim->may_wait = false;
    claim->cleared = atomic_load(&store->pending.cleared);
    if (only_deletes(claim))
        return 0;
    rc = demand_of(look, claim, &demand);
    if (rc == 0)
        rc = check_bounds(look, &demand);
    if (rc != HF_EBUSY || hf__reach_is_healthy(store))
        return rc == HF_EBUSY ? 0 : rc;
    return apply_policy(store, claim, rc);
}

bool hf__pending_await(struct hf *store, const struct hf_pending_claim *claim, const struct timespec *deadline)
{
    struct hf_checkpointer *cp = &store->checkpoint;
    bool settled;
    int rc = 0;

    pthread_mutex_lock(&cp->mutex);
    settled = cp->n_settled > 0;
    pthread_mutex_unlock(&cp->mutex);
    if (settled) /* rows that have ended are cleared by a commit */
        hf__checkpoint_request(store);
    pthread_mutex_lock(&cp->mutex);
    while (atomic_load(&store->pending.cleared) == claim->cleared && rc != ETIMEDOUT)
        rc = pthread_cond_timedwait(&store->pending.room, &cp->mutex, deadline);
    pthread_mutex_unlock(&cp->mutex);
    return rc != ETIMEDOUT;
}

void hf__pending_signal(struct hf *store)
{
    atomic_fetch_add(&store->pending.cleared, 1);
    pthread_cond_broadcast(&store->pending.room);
}
