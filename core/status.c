/* What the store knows about itself. */
#include "checkpoint.h"
#include "control.h"
#include "fail.h"
#include "link.h"
#include "lock.h"
#include "lookup.h"
#include "pending_bounds.h"

#include <stdio.h>
#include <unistd.h>

/* What the overlay adds to the local tier's counts. */
struct tally {
    struct hf_look look;
    struct hf_local_snap *snap;
    int64_t keys;
    uint64_t pending_keys, pending_bytes, pending_ops;
    int64_t oldest_made_ms;
};

static bool record_is_live(const struct tally *t, const struct hf_record *record)
{
    return !hf__is_expired(record->deadline_ms, t->look.now_ms);
}

static void tally_pending(struct tally *t, const struct hf_node *node, const struct hf_found *found)
{
    const struct hf_local_ops *ops = t->look.store->local->ops;
    struct hf_pending_row row;
    uint64_t lsn;

    for (struct hf_version *v = atomic_load(&node->head); v; v = v->older)
        t->pending_ops += (v->flags & HF_ENTRY_LANE) && atomic_load(&v->state) == HF_VERSION_UNSETTLED;
    if (!found->top || hf__version_is_settled(found->top))
        return;
    if (ops->pending_get(t->snap, node->key, &row) == 0 || ops->lane_last(t->snap, node->key, &lsn) == 0)
        return; /* the local tier counts it */
    t->pending_keys++;
    t->pending_bytes += node->key.len + (found->live ? found->value.len : 0);
    if (t->oldest_made_ms == 0 || found->top->made_ms < t->oldest_made_ms)
        t->oldest_made_ms = found->top->made_ms;
}

static int tally_node(struct tally *t, const struct hf_node *active, const struct hf_node *frozen)
{
    const struct hf_local_ops *ops = t->look.store->local->ops;
    const struct hf_node *node = active ? active : frozen;
    struct hf_record record;
    struct hf_found found;
    int rc = ops->get(t->snap, node->key, &record);

    if (rc != 0 && rc != HF_NOT_FOUND)
        return rc;
    hf__look_resolve(&t->look, active, frozen, rc == 0 ? &record : NULL, &found);
    t->keys += found.live - (rc == 0 && record_is_live(t, &record));
    tally_pending(t, node, &found);
    return 0;
}

static int tally_overlay(struct tally *t)
{
    struct hf_generation *frozen = t->look.view.frozen;
    struct hf_node *node = hf__generation_seek(t->look.view.active, hf__slice(NULL, 0));
    int rc = 0;

    for (; node && rc == 0; node = hf__node_next(node))
        rc = tally_node(t, node, frozen ? hf__generation_find(frozen, node->key) : NULL);
    for (node = frozen ? hf__generation_seek(frozen, hf__slice(NULL, 0)) : NULL; node && rc == 0;
         node = hf__node_next(node)) {
        if (!hf__generation_find(t->look.view.active, node->key))
            rc = tally_node(t, NULL, node);
    }
    return rc;
}

static int64_t older(int64_t a, int64_t b)
{
    if (a == 0 || b == 0)
        return a ? a : b;
    return a < b ? a : b;
}

static int tally_all(struct hf *store, struct hf_status *s)
{
    struct tally t = {0};
    struct hf_local_stats stats;
    uint64_t expired = 0;
    int64_t oldest;
    int rc = hf__look_begin(store, &t.look);

    if (rc == 0)
        rc = hf__look_snap(&t.look, &t.snap);
    if (rc == 0)
        rc = store->local->ops->stats(t.snap, &stats);
    if (rc == 0)
        rc = store->local->ops->count_expired(t.snap, t.look.now_ms, &expired);
    if (rc == 0)
        rc = tally_overlay(&t);
    if (rc == 0) {
        oldest = older(t.oldest_made_ms, stats.oldest_pending_made_ms);
        s->keys = (uint64_t)((int64_t)(stats.records - expired) + t.keys);
        s->pending_keys = stats.pending_rows + stats.lane_keys + t.pending_keys;
        s->pending_bytes = stats.pending_bytes + t.pending_bytes;
        s->pending_ops = stats.lane_entries + t.pending_ops;
        s->oldest_pending_ms = oldest == 0 ? 0 : t.look.now_ms > oldest ? t.look.now_ms - oldest : 1;
        s->conflicts = stats.conflicts - stats.blind_conflicts;
        s->blind_conflicts = stats.blind_conflicts;
        s->gaps = stats.gaps;
        s->parked = stats.parked;
        s->in_doubt = stats.in_doubt;
        s->disk_used_bytes = stats.used_bytes;
        s->max_disk_bytes = stats.max_bytes;
    }
    hf__look_end(&t.look);
    return rc;
}

static void owner_part(struct hf *store, struct hf_status *s)
{
    struct hf_journal_stats js;

    hf__journal_stats(store->journal, &js);
    s->owner_pid = getpid();
    s->durable_lsn = js.durable_lsn;
    s->last_lsn = js.last_lsn;
    s->journal_first_lsn = js.first_lsn <= js.last_lsn ? js.first_lsn : 0;
    s->journal_bytes = js.bytes;
    s->journal_segments = js.segments;
    s->stopped = hf__journal_stopped(store->journal);
    s->checkpoint_lsn = atomic_load(&store->covered_lsn);
    s->shared_ops = atomic_load(&store->shared_ops);
    s->replayed_ops = atomic_load(&store->replayed_ops);
    s->settled_by_log = atomic_load(&store->settled_by_log);
    s->expired_in_queue = atomic_load(&store->expired_in_queue);
    s->refreshed = atomic_load(&store->refreshed);
    s->link_losses = atomic_load(&store->link_losses);
    s->losses = atomic_load(&store->losses);
    s->rollbacks = atomic_load(&store->rollbacks);
    s->resent = atomic_load(&store->resent);
    for (int i = 0; i < HF_N_OUTCOMES; i++)
        s->settled_by[i] = atomic_load(&store->settled_by[i]);
    s->dropped = atomic_load(&store->dropped);
    s->lost_conflicts = atomic_load(&store->lost_conflicts);
    s->revalidated = atomic_load(&store->revalidated);
}

static int reader_part(struct hf *store, struct hf_status *s)
{
    struct hf_segment_list list;
    int rc = hf__segment_list(store->parts.fs, store->journal_fd, &list);

    if (rc != 0)
        return rc;
    for (size_t i = 0; i < list.n; i++) {
        s->journal_bytes += list.segments[i].file_bytes;
        if (list.segments[i].verdict == HF_SEGMENT_VALID && s->journal_first_lsn == 0)
            s->journal_first_lsn = list.segments[i].header.first_lsn;
    }
    s->journal_segments = list.n;
    hf__segment_list_release(&list);
    s->owner_pid = hf__lock_owner(store->lock_fd);
    s->read_only = true;
    s->checkpoint_lsn = store->read_covered_lsn;
    s->last_lsn = s->durable_lsn = store->control ? hf__control_durable_lsn(store->control) : s->checkpoint_lsn;
    if (s->journal_first_lsn > s->last_lsn)
        s->journal_first_lsn = 0; /* the last segment holds no entry yet */
    return 0;
}

/* What the operator has set, as the link has it; without a link, as it is stored. */
static int operator_part(struct hf *store, const struct hf_link_status *link, struct hf_status *s)
{
    struct hf_operator set = link->by_operator;
    int rc = store->link ? 0 : hf__operator_load(store, &set);

    if (rc != 0)
        return rc;
    s->paused = set.paused;
    s->replay_ops_per_s = set.throttled ? set.replay_ops_per_s : store->opts.replay_ops_per_s;
    s->replay_bytes_per_s = set.throttled ? set.replay_bytes_per_s : store->opts.replay_bytes_per_s;
    return 0;
}

static bool is_adopting(const struct hf *store)
{
    bool adopting = false;

    for (size_t i = 0; i < store->namespaces.n; i++)
        adopting |= atomic_load(&store->namespaces.all[i].adopt);
    return adopting;
}

int hf_status(struct hf *store, struct hf_status *ret_status)
{
    struct hf_status s = {0};
    struct hf_link_status link;
    int rc = hf__check_handle(store, false);

    if (rc == 0)
        rc = tally_all(store, &s);
    if (rc == 0 && store->read_only)
        rc = reader_part(store, &s);
    if (rc != 0)
        return rc;
    if (!store->read_only)
        owner_part(store, &s);
    hf__link_status(store, &link);
    rc = operator_part(store, &link, &s);
    if (rc != 0)
        return rc;
    s.adopting = is_adopting(store);
    s.look_only = store->opts.look_only;
    s.link = link.state;
    snprintf(s.link_reason, sizeof(s.link_reason), "%s", link.reason);
    s.time_unknown = hf__time_is_unknown(store);
    s.clock_known = hf__timeline_shared(&store->time, &s.clock_offset_ms, &s.clock_uncertainty_ms);
    s.clock_jumps = hf__timeline_jumps(&store->time);
    memcpy(s.node, store->node, sizeof(s.node));
    s.quarantined = store->n_quarantined;
    *ret_status = s;
    return 0;
}

int hf_pulse(struct hf *store, struct hf_pulse *ret_pulse)
{
    struct hf_link_status link;
    int rc = hf__check_handle(store, false);

    if (rc != 0)
        return rc;
    hf__link_status(store, &link);
    *ret_pulse = (struct hf_pulse){
        .link = link.state,
        .pending = hf__pending_keys(store),
        .shared_ops = atomic_load(&store->shared_ops),
        .replayed_ops = atomic_load(&store->replayed_ops),
    };
    return 0;
}

int64_t hf_now_ms(const struct hf *store)
{
    return hf__now_ms(store);
}

bool hf_is_online(struct hf *store)
{
    return hf__link_is_accepting(store);
}
