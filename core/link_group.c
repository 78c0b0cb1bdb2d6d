/* Live writes in groups, as they come. */
#include "link_state.h"

#include "lookup.h"
#include "settle.h"

#define LIVE_MAX 4096u /* in one group: bounds the size of a change-log entry */

static enum hf_shared_op live_op(const struct hf_live *live, int64_t now_ms)
{
    const struct hf_version *v = live->version;

    if (v->op == HF_ENTRY_DELETE || hf__is_expired(v->deadline_ms, now_ms))
        return HF_SHARED_DELETE;
    if (v->op == HF_ENTRY_EXPIRE)
        return HF_SHARED_EXPIRE;
    return v->op == HF_ENTRY_PERSIST ? HF_SHARED_PERSIST : HF_SHARED_SET;
}

enum live_verdict { LIVE_SEND, LIVE_DROP, LIVE_WAIT, LIVE_AS_ROW };

/* Be woken when the journal has moved on. It may have done so before it could see the flag. */
static void wait_for_sync(struct hf_link *link, const struct hf_live *live)
{
    atomic_store(&link->waits_for_sync, true);
    if (live->version->lsn <= hf__journal_durable_lsn(link->store->journal))
        hf__link_wake(link->store);
}

/* A checkpoint gave it a row while it waited in the queue, and the row has found its end: nobody marked the version, which
 * no view shows any more. */
static bool has_ended_as_row(struct hf *store, struct hf_look *look, const struct hf_live *live)
{
    struct hf_local_snap *snap;
    struct hf_pending_row row;
    int rc;

    if (live->generation == look->view.active || live->generation == look->view.frozen)
        return false;
    if (hf__settle_acked_lsn(store, live->key) >= live->version->lsn)
        return true;
    if (hf__look_snap(look, &snap) != 0)
        return false;
    rc = store->local->ops->pending_get(snap, live->key, &row);
    return rc == HF_NOT_FOUND ||
           (rc == 0 && row.first_lsn > live->version->lsn); /* that one is of a later change */
}

/* A live write whose key has an older pending row goes as that row does, once for both. */
static enum live_verdict judge(struct hf_link *link, struct hf_look *look, const struct hf_live *live,
                               struct hf_pending_row *row, struct hf_found *found)
{
    struct hf *store = link->store;
    struct hf_local_snap *snap;

    if (hf__version_is_settled(live->version) || has_ended_as_row(store, look, live))
        return LIVE_DROP;
    if (!live->ns->with_log && live->version->lsn > hf__journal_durable_lsn(store->journal))
        return LIVE_WAIT;
    if (atomic_load(&store->lane_open) > 0 || atomic_load(&store->lane_entries) > 0) {
        if (hf__look_up(look, live->key, found) == 0 && found->top && (found->top->flags & HF_ENTRY_LANE) &&
            !hf__version_is_settled(found->top))
            return LIVE_DROP; /* the lane carries the key's state */
    }
    if (link->state == HF_LINK_ONLINE || hf__look_snap(look, &snap) != 0 ||
        store->local->ops->pending_get(snap, live->key, row) != 0 || row->first_lsn >= link->live_from ||
        hf__settle_acked_lsn(store, live->key) >= row->last_lsn)
        return LIVE_SEND;
    return hf__look_up(look, live->key, found) == 0 ? LIVE_AS_ROW : LIVE_WAIT;
}

/* With the row that it was part of. */
static bool was_parked(struct hf *store, const struct hf_live *live)
{
    uint8_t state = atomic_load(&live->version->state);

    return state == HF_VERSION_PARKED ||
           (state != HF_VERSION_SETTLED && hf__settle_is_parked(store, live->key, live->version->lsn));
}

/* A settled write is done, or was refused with its row; one that the lane carries on is pending with it. */
static void drop_live(struct hf_link *link, struct hf_live *live)
{
    bool settled =
        hf__version_is_settled(live->version) || live->version->lsn <= atomic_load(&link->store->covered_lsn);

    if (settled && was_parked(link->store, live))
        hf__live_finish(link, live, HF_SHARE_REFUSED, "it was parked with what waited of the key");
    else
        hf__live_finish(link, live, settled ? HF_SHARE_DONE : HF_SHARE_PENDING, "");
}

static bool add_live(struct hf_link *link, struct hf_live *live, int64_t now_ms)
{
    struct hf_send *s = hf__send_add(&link->sends);

    if (!s)
        return false;
    s->live = live;
    s->in_group = true;
    s->ns = live->ns;
    s->op = live_op(live, now_ms);
    s->lsn = live->version->lsn;
    s->deadline_ms = live->version->deadline_ms;
    s->made_ms = live->version->made_ms;
    link->sends.bytes += live->key.len + live->version->value.len;
    return true;
}

/* The row's state of now, which includes the live write; its waiter hears "pending", which is true until then. */
static bool add_live_as_row(struct hf_link *link, struct hf_look *look, struct hf_live *live,
                            const struct hf_pending_row *row)
{
    size_t before = link->sends.n;
    int rc = hf__replay_add_row(link, &link->sends, look, row);

    if (link->sends.n > before)
        link->sends.sends[before].absorbed_lsn = live->version->lsn;
    else if (!hf__version_is_settled(live->version))
        hf__link_note_overflow(link); /* it was not sent: a further pass is needed */
    hf__live_finish(link, live, HF_SHARE_PENDING, "");
    return rc == 0;
}

/* Take live writes off the queue into the list; `*is_row` when the list is a row. */
static void collect_live(struct hf_link *link, struct hf_look *look, bool *is_row)
{
    struct hf_pending_row row;
    struct hf_found found;
    struct hf_live *live;

    while (!hf__send_list_full(link, &link->sends, LIVE_MAX) && (live = hf__live_pop(link, &link->plain))) {
        enum live_verdict verdict;

        if (live->version->lsn > look->visible_lsn) { /* it came behind this look, which knows nothing of it */
            hf__live_push_front(link, &link->plain, live);
            hf__link_wake(link->store);
            return;
        }
        verdict = judge(link, look, live, &row, &found);
        if (verdict == LIVE_DROP) {
            drop_live(link, live);
        } else if (verdict == LIVE_WAIT || (verdict == LIVE_AS_ROW && link->sends.n > 0)) {
            hf__live_push_front(link, &link->plain, live);
            if (verdict == LIVE_WAIT)
                wait_for_sync(link, live);
            return;
        } else if (verdict == LIVE_AS_ROW) {
            *is_row = true;
            (void)add_live_as_row(link, look, live, &row); /* without memory the row is met again in its turn */
            if (link->sends.n > 0)
                return;
            *is_row = false;
        } else if (!add_live(link, live, look->now_ms)) {
            hf__live_push_front(link, &link->plain, live);
            return;
        }
    }
}

bool hf__link_send_live(struct hf_link *link)
{
    struct hf_look look;
    bool is_row = false;

    if (!hf__live_peek(link, &link->plain) || hf__look_begin(link->store, &look) != 0)
        return false;
    collect_live(link, &look, &is_row);
    hf__look_end(&look);
    if (link->sends.n == 0)
        return false;
    link->rows_from_cursor = false;
    link->ended_out_of_turn |= is_row;
    return is_row ? hf__replay_try(link) : hf__send_group(link, HF_GROUP_PLAIN);
}
