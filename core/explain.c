/* What each tier holds of a key, and why. The overlay and the tables are looked at as they are; Redis is asked once. */
#include "explain.h"

#include "digest.h"
#include "fail.h"
#include "link_state.h"
#include "unlist.h"

#include <stdio.h>
#include <stdlib.h>

/* What an explanation's slices and sentence point into. */
struct memory {
    struct hf_buf value, shared_value;
    char why[HF_WHY_MAX];
};

struct explain {
    struct hf *store;
    struct hf_slice key;
    struct hf_ns *ns;
    struct hf_explanation e;
    struct memory *memory;
    struct hf_version_id here;
    unsigned differs;
    int rc; /* of what failed on the link thread */
    struct hf_why why;
    char parked_reason[HF_SHARED_REASON_MAX], not_asked[HF_ERRMSG_MAX];
};

/* ---- here ---- */

static int take_found(struct explain *x, const struct hf_found *found)
{
    struct hf_explanation *e = &x->e;
    int rc = 0;

    e->held = found->held;
    e->live = found->live;
    e->deadline_ms = found->live ? found->deadline_ms : 0;
    e->made_ms = found->made_ms;
    e->lsn = found->lsn;
    e->in_overlay = found->top && !x->store->read_only;
    e->in_journal_only = found->top && x->store->read_only; /* a reader's overlay is what the journal has */
    x->here = (struct hf_version_id){.kind = HF_VERSION_ABSENT};
    if (found->live) {
        rc = hf__buf_copy(found->value, &x->memory->value);
        e->value = hf__slice(x->memory->value.data, found->value.len);
        x->here = hf__version_id(found->value, found->deadline_ms);
    }
    return rc;
}

static void add_change(struct hf_explanation *e, uint64_t lsn, uint64_t n)
{
    if (e->pending_first_lsn == 0 || lsn < e->pending_first_lsn)
        e->pending_first_lsn = lsn;
    if (lsn > e->pending_last_lsn)
        e->pending_last_lsn = lsn;
    e->pending_folded += n;
}

static int add_row(struct explain *x, struct hf_local_snap *snap)
{
    struct hf_pending_row row;
    int rc = x->store->local->ops->pending_get(snap, x->key, &row);

    if (rc != 0)
        return rc == HF_NOT_FOUND ? 0 : rc;
    add_change(&x->e, row.first_lsn, row.n_folded);
    add_change(&x->e, row.last_lsn, 0);
    if (x->e.made_ms == 0) /* a delete that waits leaves no record */
        x->e.made_ms = row.made_ms;
    return 0;
}

static int add_lane(struct explain *x, struct hf_local_snap *snap)
{
    const struct hf_local_ops *ops = x->store->local->ops;
    struct hf_lane_entry entry;
    uint64_t last = 0, from = 0;
    int rc = ops->lane_last(snap, x->key, &last);

    while (rc == 0 && from <= last && (rc = ops->lane_next(snap, from, &entry)) == 0) {
        if (hf__slice_eq(entry.key, x->key))
            add_change(&x->e, entry.lsn, 1);
        from = entry.lsn + 1;
    }
    return rc == HF_NOT_FOUND ? 0 : rc;
}

/* Versions that no table stands for yet. */
static void add_versions(struct explain *x, const struct hf_node *node, uint64_t visible_lsn, uint64_t stored_lsn)
{
    for (const struct hf_version *v = node ? hf__node_visible(node, visible_lsn) : NULL; v; v = v->older) {
        if (atomic_load(&v->state) == HF_VERSION_UNSETTLED && v->lsn > stored_lsn)
            add_change(&x->e, v->lsn, 1);
    }
}

static int add_owed(struct explain *x, struct hf_look *look, enum hf_owed owed)
{
    struct hf_local_snap *snap = NULL;
    uint64_t stored_lsn;
    int rc = hf__look_snap(look, &snap);

    x->e.owed = owed == HF_OWED_LANE ? "lane entries" : "a pending row";
    if (rc == 0)
        rc = owed == HF_OWED_LANE ? add_lane(x, snap) : add_row(x, snap);
    if (rc != 0)
        return rc;
    stored_lsn = x->e.pending_last_lsn;
    add_versions(x, hf__generation_find(look->view.active, x->key), look->visible_lsn, stored_lsn);
    if (look->view.frozen)
        add_versions(x, hf__generation_find(look->view.frozen, x->key), look->visible_lsn, stored_lsn);
    return 0;
}

static int look_here(struct explain *x)
{
    enum hf_owed owed = HF_OWED_NOTHING;
    struct hf_found found;
    struct hf_look look;
    int rc = hf__look_begin(x->store, &look);

    if (rc == 0)
        rc = hf__look_up(&look, x->key, &found);
    if (rc == 0 && x->store->sharing)
        rc = hf__look_owed(&look, x->key, &found, &owed);
    if (rc == 0)
        rc = take_found(x, &found);
    if (rc == 0)
        x->e.origin = hf__look_origin(&look, x->key, &found, owed);
    if (rc == 0 && owed != HF_OWED_NOTHING)
        rc = add_owed(x, &look, owed);
    hf__look_end(&look);
    return rc == 0 ? hf__wait_readable(x->store, x->e.lsn) : rc;
}

/* ---- the lists ---- */

static int count_conflicts(struct explain *x, struct hf_local_snap *snap)
{
    struct hf_conflict_row row;
    uint64_t from = 0;
    int rc;

    while ((rc = x->store->local->ops->conflict_next(snap, from, &row)) == 0) {
        from = row.id + 1;
        if (!hf__slice_eq(row.key, x->key))
            continue;
        x->e.conflicts++;
        x->why.conflict_id = row.id;
        x->why.winner = (enum hf_winner)row.winner;
        x->why.rule = hf__rule_text(row.rule);
        x->why.decided_ms = row.decided_ms;
    }
    return rc == HF_NOT_FOUND ? 0 : rc;
}

static int count_parked(struct explain *x, struct hf_local_snap *snap)
{
    struct hf_parked_row row;
    uint64_t from = 0;
    int rc;

    while ((rc = x->store->local->ops->parked_next(snap, from, &row)) == 0) {
        from = row.entry.lsn + 1;
        if (!hf__slice_eq(row.entry.key, x->key))
            continue;
        x->e.parked++;
        snprintf(x->parked_reason, sizeof(x->parked_reason), "%.*s", (int)row.reason.len,
                 (const char *)row.reason.data);
    }
    return rc == HF_NOT_FOUND ? 0 : rc;
}

static int count_lists(struct explain *x)
{
    const struct hf_local_ops *ops = x->store->local->ops;
    struct hf_local_snap *snap;
    int rc = hf__unlist_prepare(x->store);

    if (rc == 0)
        rc = ops->snap_begin(x->store->local, &snap);
    if (rc != 0)
        return rc;
    rc = count_conflicts(x, snap);
    if (rc == 0)
        rc = count_parked(x, snap);
    ops->snap_end(snap);
    return rc;
}

/* A key that was never written here has no change whose end could be told. */
static int find_outcome(struct explain *x)
{
    uint64_t lsn = x->e.pending_last_lsn > x->e.lsn ? x->e.pending_last_lsn : x->e.lsn;
    int rc = lsn != 0 ? hf_outcome(x->store, x->key, lsn, &x->e.outcome) : 0;

    return rc == HF_NOT_FOUND ? 0 : rc;
}

/* ---- there ---- */

static void take_seen(void *ctx, const struct hf_shared_examine *examine)
{
    const struct hf_shared_seen *seen = &examine->keys[0];
    struct explain *x = ctx;
    struct hf_explanation *e = &x->e;
    struct hf_turn turn;

    if (seen->error.class != HF_SHARED_OK) {
        snprintf(x->not_asked, sizeof(x->not_asked), "%s", seen->error.reason);
        return;
    }
    hf__turn_begin(x->store, &turn);
    e->shared_known = true;
    e->shared_present = seen->kind != HF_SHARED_ABSENT;
    e->shared_deadline_ms = hf__turn_from_redis_ms(&turn, seen->deadline_ms);
    if (e->shared_present)
        snprintf(e->shared_type, sizeof(e->shared_type), "%s",
                 seen->kind == HF_SHARED_STRING ? "string" : seen->type);
    if (seen->kind == HF_SHARED_STRING) {
        x->rc = hf__buf_copy(seen->value, &x->memory->shared_value);
        e->shared_value = hf__slice(x->memory->shared_value.data, x->rc == 0 ? seen->value.len : 0);
    }
    x->differs = hf__compare(&turn, &x->here, seen);
    e->same = x->differs == 0;
}

/* Redis that cannot be asked is told, and no failure. */
static int look_there(struct explain *x)
{
    struct hf_shared_seen seen = {.key = x->key, .want = HF_WANT_VALUE | HF_WANT_DIGEST | HF_WANT_DEADLINE};
    struct hf_ask_examine ask = {.examine = {.keys = &seen, .n_keys = 1}, .ctx = x, .take = take_seen};

    if (x->why.never_shared)
        return 0;
    if (hf__ask_examine(x->store, &ask) != 0)
        snprintf(x->not_asked, sizeof(x->not_asked), "%s", hf_errmsg());
    return x->rc == 0 ? 0 : hf__fail(x->rc, "out of memory: the value in Redis");
}

/* ---- all of it ---- */

static void begin(struct explain *x)
{
    x->ns = hf__ns_of(&x->store->namespaces, x->key);
    x->e.owed = "nothing";
    x->e.outcome = HF_OUTCOME_PENDING;
    snprintf(x->e.prefix, sizeof(x->e.prefix), "%.*s", (int)x->ns->prefix.len, (const char *)x->ns->prefix.data);
    x->why = (struct hf_why){.e = &x->e,
                             .never_shared = !x->store->sharing || x->ns->write_mode == HF_WRITE_LOCAL,
                             .not_asked = x->not_asked,
                             .parked_reason = x->parked_reason,
                             .rule = ""};
}

static int gather(struct explain *x)
{
    int rc = look_here(x);

    if (rc == 0)
        rc = count_lists(x);
    if (rc == 0)
        rc = find_outcome(x);
    if (rc == 0)
        rc = look_there(x);
    if (rc != 0)
        return rc;
    x->why.other_value = x->differs & HF_DIFFERS_VALUE;
    hf__explain_why(&x->why, x->memory->why);
    x->e.why = x->memory->why;
    x->e.memory = x->memory;
    return 0;
}

static void free_memory(struct memory *memory)
{
    if (!memory)
        return;
    hf_buf_release(&memory->value);
    hf_buf_release(&memory->shared_value);
    free(memory);
}

int hf_explain(struct hf *store, struct hf_slice key, struct hf_explanation *ret_explanation)
{
    struct explain x = {.store = store, .key = key};
    int rc = hf__check_handle(store, false);

    if (rc == 0)
        rc = hf__check_key(key);
    if (rc != 0)
        return rc;
    x.memory = calloc(1, sizeof(*x.memory));
    if (!x.memory)
        return hf__fail(HF_ENOMEM, "out of memory: an explanation");
    begin(&x);
    rc = gather(&x);
    if (rc == 0)
        *ret_explanation = x.e;
    else
        free_memory(x.memory);
    return rc;
}

void hf_explanation_release(struct hf_explanation *explanation)
{
    free_memory(explanation->memory);
    *explanation = (struct hf_explanation){0};
}
