/* Waiting until everything up to an LSN has ended, while newer changes are still on their way. */
#include "link_state.h"

#include "checkpoint.h"
#include "deadline.h"
#include "fail.h"

#include <errno.h>
#include <stdlib.h>

/* What has ended stays so, and what is written meanwhile is newer: the overlay is walked once, and the walk stands
 * still at a key that is waited for. */
struct wait {
    struct hf *store;
    uint64_t lsn;
    struct hf_buf at; /* keys before this one owe nothing in the overlay */
    bool overlay_is_clear;
    uint64_t asked; /* the checkpoint that was asked for while online; 0: none */
};

/* ---- the overlay ---- */

enum owes { OWES_NOTHING, OWES, OWES_IF_OLDER };

/* As for a checkpoint (drain.c): nothing below a settled version counts, nor plain ones below the lane's. */
static enum owes versions_owe(const struct hf_node *node, uint64_t lsn)
{
    bool lane = false;

    for (const struct hf_version *v = atomic_load(&node->head); v; v = v->older) {
        if (hf__version_is_settled(v))
            return OWES_NOTHING;
        lane |= (v->flags & HF_ENTRY_LANE) != 0;
        if (v->lsn > lsn || (lane && !(v->flags & HF_ENTRY_LANE)))
            continue;
        if (atomic_load(&v->state) == HF_VERSION_UNSETTLED)
            return OWES;
    }
    return lane ? OWES_NOTHING : OWES_IF_OLDER;
}

static bool key_owes(const struct hf_node *active, const struct hf_node *frozen, uint64_t lsn)
{
    enum owes owes = active ? versions_owe(active, lsn) : OWES_IF_OLDER;

    if (owes == OWES_IF_OLDER && frozen)
        owes = versions_owe(frozen, lsn);
    return owes == OWES;
}

/* Remember where the walk stands; without memory it begins there again, which costs only time. */
static void stand_at(struct wait *w, struct hf_slice key)
{
    struct hf_buf at;

    if (hf__slice_eq(key, hf__slice(w->at.data, w->at.len)) || hf__buf_copy(key, &at) != 0)
        return;
    hf_buf_release(&w->at);
    w->at = at;
}

static void walk_overlay(struct wait *w, const struct hf_view *view)
{
    struct hf_slice from = hf__slice(w->at.data, w->at.len);
    struct hf_node *active = hf__generation_seek(view->active, from);
    struct hf_node *frozen = view->frozen ? hf__generation_seek(view->frozen, from) : NULL;

    while (active || frozen) {
        int order = !active ? 1 : !frozen ? -1 : hf__slice_cmp(active->key, frozen->key);
        if (key_owes(order <= 0 ? active : NULL, order >= 0 ? frozen : NULL, w->lsn)) {
            stand_at(w, order <= 0 ? active->key : frozen->key);
            return;
        }
        if (order <= 0)
            active = hf__node_next(active);
        if (order >= 0)
            frozen = hf__node_next(frozen);
    }
    w->overlay_is_clear = true;
}

/* ---- the local tier ---- */

/* 1 when neither a row nor a lane entry is left, 0, or an error. */
static int tables_are_clear(const struct wait *w)
{
    const struct hf_local_ops *ops = w->store->local->ops;
    struct hf_lane_entry entry;
    struct hf_pending_row row;
    struct hf_local_snap *snap;
    bool clear = false;
    int rc = ops->snap_begin(w->store->local, &snap);

    if (rc != 0)
        return rc;
    rc = ops->pending_next(snap, 0, &row);
    if (rc == HF_NOT_FOUND || (rc == 0 && row.first_lsn > w->lsn)) {
        rc = ops->lane_next(snap, 0, &entry);
        clear = rc == HF_NOT_FOUND || (rc == 0 && entry.lsn > w->lsn);
    }
    ops->snap_end(snap);
    return rc < 0 ? rc : clear;
}

/* The overlay first: what leaves it meanwhile is in the snapshot that is taken then. */
static int has_ended(struct wait *w)
{
    struct hf_view view;

    if (!w->overlay_is_clear) {
        hf__view_pin(&w->store->overlay, &view);
        walk_overlay(w, &view);
        hf__view_unpin(&w->store->overlay, &view);
    }
    return w->overlay_is_clear ? tables_are_clear(w) : 0;
}

/* Online, what is left in the tables was acknowledged, or is live: a checkpoint clears it. During a replay the checkpoints
 * come at their interval and at the end of each pass. */
static void ask_for_checkpoint(struct wait *w, enum hf_link_state state)
{
    if (state != HF_LINK_ONLINE || !w->overlay_is_clear ||
        (w->asked != 0 && !hf__checkpoint_ended(w->store, w->asked)))
        return;
    w->asked = hf__checkpoint_ticket(w->store);
}

/* ---- waiting ---- */

/* Until something may have changed since `moved`. 0 or ETIMEDOUT. */
static int wait_for_move(struct hf_link *link, uint64_t moved, const struct timespec *deadline)
{
    int rc = 0;

    pthread_mutex_lock(&link->mutex);
    while (link->moved == moved && rc == 0) {
        if (!deadline)
            pthread_cond_wait(&link->changed, &link->mutex);
        else
            rc = pthread_cond_timedwait(&link->changed, &link->mutex, deadline);
    }
    pthread_mutex_unlock(&link->mutex);
    return rc;
}

static enum hf_link_state state_now(struct hf_link *link, uint64_t *ret_moved)
{
    enum hf_link_state state;

    pthread_mutex_lock(&link->mutex);
    *ret_moved = link->moved;
    state = link->state;
    pthread_mutex_unlock(&link->mutex);
    return state;
}

static int not_ended(struct hf *store, uint64_t lsn, int timeout_ms)
{
    struct hf_link_status status;

    hf__link_status(store, &status);
    if (status.state == HF_LINK_HELD)
        return hf__fail(HF_EOFFLINE, "the shared tier is held: %s", status.reason);
    return hf__fail(HF_ETIMEOUT, "not every change up to %llu has ended within %d ms; the shared tier is %s%s%s",
                    (unsigned long long)lsn, timeout_ms, hf_link_text(status.state), status.reason[0] ? ": " : "",
                    status.reason);
}

int hf__link_wait_shared(struct hf *store, uint64_t lsn, int timeout_ms)
{
    struct wait w = {.store = store, .lsn = lsn};
    struct timespec deadline;
    uint64_t moved;
    int ended = 0, rc = 0;

    hf__deadline_in(&deadline, timeout_ms > 0 ? timeout_ms : 0);
    while (rc == 0) {
        enum hf_link_state state = state_now(store->link, &moved);
        ended = has_ended(&w);
        if (ended != 0 || state == HF_LINK_HELD)
            break;
        ask_for_checkpoint(&w, state);
        rc = wait_for_move(store->link, moved, timeout_ms < 0 ? NULL : &deadline);
    }
    if (ended == 0 && rc != 0)
        ended = has_ended(&w); /* the last word, when the time ran out */
    hf_buf_release(&w.at);
    if (ended < 0)
        return ended;
    return ended > 0 ? 0 : not_ended(store, lsn, timeout_ms);
}
