/* The journal's tail on its way into the overlay. */
#include "recovered.h"

#include "drain.h"
#include "settle.h"
#include "unlist.h"

/* Redis's change log names the intent. */
static void decided(struct hf *store, const struct hf_entry *entry)
{
    hf__ns_note_acked(hf__ns_of(&store->namespaces, entry->key), (uint64_t)entry->delta, "");
    if (entry->op == HF_ENTRY_DELETE && !store->read_only)
        hf__settle_retain_delete(store, entry->key, (uint64_t)entry->delta, entry->made_ms);
    hf__intent_recovered_outcome(store, (uint64_t)entry->delta);
}

int hf__recovered_entry(void *ctx, const struct hf_entry *entry)
{
    struct hf *store = ctx;
    bool never_shared =
        (entry->flags & (HF_ENTRY_LOCAL | HF_ENTRY_DECIDED)) || entry->op == HF_ENTRY_RESULT || !store->sharing;
    struct hf_staged staged;
    int rc;

    if (entry->op == HF_ENTRY_INTENT)
        return store->read_only ? 0 : hf__intent_recovered(store, entry->lsn, entry->key);

    if (hf__is_unlist_entry(entry))
        return hf__unlist_recovered(store, entry);
    rc = hf__overlay_stage(&store->overlay, entry, never_shared ? HF_VERSION_SETTLED : HF_VERSION_UNSETTLED,
                           &staged);
    if (rc != 0)
        return rc;
    /* What was sent before the crash is not known: for a lane the mark tells, and without it, it is in doubt. */
    atomic_store(&staged.version->sent, !never_shared);
    hf__overlay_insert(&store->overlay, &staged, entry->lsn);
    if (entry->flags & HF_ENTRY_DECIDED)
        decided(store, entry);
    return 0;
}

static void note_acknowledged_in_lane(struct hf *store, struct hf_ns *ns, struct hf_slice key,
                                      const struct hf_version *v)
{
    struct hf_lane_entry entry = hf__lane_entry(key, v);

    entry.flags &= (uint8_t)~HF_LANE_PLAIN; /* its mark tells of it */
    if (v->lsn > ns->recovered_mark)
        ns->recovered_mark = v->lsn;
    hf__settle_retain(store, &entry);
}

/* No cursor knows of it yet, nor is it among the retained entries: a rollback may have taken it since. */
static void note_acknowledged(struct hf *store, struct hf_slice key, const struct hf_version *v)
{
    struct hf_ns *ns = hf__ns_of(&store->namespaces, key);

    if (store->read_only)
        return;
    if (v->flags & HF_ENTRY_LANE) {
        note_acknowledged_in_lane(store, ns, key, v);
        return;
    }
    hf__ns_note_acked(ns, v->lsn, "");
    if (v->op == HF_ENTRY_DELETE)
        hf__settle_retain_delete(store, key, v->lsn, v->made_ms);
}

static void settle_shared(struct hf *store, const struct hf_node *node, struct hf_version *v)
{
    if (!hf__version_is_settled(v))
        note_acknowledged(store, node->key, v);
    atomic_store(&v->state, HF_VERSION_SETTLED);
}

void hf__recovered_settle(struct hf *store, const struct hf_recovery *recovery)
{
    struct hf_node *node = hf__generation_seek(store->overlay.view.active, hf__slice(NULL, 0));

    for (; node; node = hf__node_next(node)) {
        bool answered = false; /* increments below an answer of Redis's */

        for (struct hf_version *v = atomic_load(&node->head); v; v = v->older) {
            answered |= v->op == HF_ENTRY_RESULT;
            if (hf__recovery_is_shared(recovery, v->lsn) || (answered && (v->flags & HF_ENTRY_LANE)))
                settle_shared(store, node, v);
            else if (atomic_load(&v->state) == HF_VERSION_UNSETTLED && (v->flags & HF_ENTRY_LANE))
                atomic_fetch_add(&store->lane_open, 1);
        }
    }
}
