/* Plain changes in groups: live writes as they come, rows of the pending table in order of their first LSN. */
#include "link_state.h"

#include "fail.h"
#include "lookup.h"
#include "settle.h"

#include <stdio.h>
#include <stdlib.h>

/* Of one group. The entries bound the size of a change-log entry, the bytes the time that Redis is held up. */
#define LIVE_MAX 4096u
#define ROWS_MAX 512u
#define ROWS_MIN 16u
#define BYTES_MAX (1u << 20)

/* ---- the list of what goes into a group ---- */

static bool list_full(const struct hf_send_list *list, size_t max)
{
    return list->n >= max || list->bytes >= BYTES_MAX;
}

/* Room for one more; NULL without memory. */
static struct hf_send *list_add(struct hf_send_list *list)
{
    if (list->n == list->capacity) {
        size_t capacity = list->capacity ? 2 * list->capacity : 64;
        struct hf_send *grown = realloc(list->sends, capacity * sizeof(*grown));
        if (!grown)
            return NULL;
        list->sends = grown;
        list->capacity = capacity;
    }
    list->sends[list->n] = (struct hf_send){0};
    return &list->sends[list->n++];
}

static void list_clear(struct hf_send_list *list)
{
    for (size_t i = 0; i < list->n; i++) {
        hf_buf_release(&list->sends[i].key);
        hf_buf_release(&list->sends[i].value);
    }
    list->n = 0;
    list->bytes = 0;
}

static struct hf_slice send_key(const struct hf_send *s)
{
    return s->live ? s->live->key : hf__slice(s->key.data, s->key.len);
}

static struct hf_slice send_value(const struct hf_send *s)
{
    return s->live ? s->live->version->value : hf__slice(s->value.data, s->value.len);
}

/* ---- pacing ---- */

#define SLOW_MS 100 /* an answer that takes longer says that Redis has enough to do */

void hf__link_restart_pacing(struct hf_link *link)
{
    link->rows_budget = ROWS_MIN;
}

/* Replay ramps up from a few rows and halves when answers take long; live traffic has every other turn in any case. */
static void pace(struct hf_link *link)
{
    int64_t took_ms = hf__now_ms(link->store) - link->rows_sent_ms;

    if (took_ms > SLOW_MS)
        link->rows_budget = link->rows_budget / 2 > ROWS_MIN ? link->rows_budget / 2 : ROWS_MIN;
    else
        link->rows_budget = 2 * link->rows_budget < ROWS_MAX ? 2 * link->rows_budget : ROWS_MAX;
}

/* ---- results ---- */

static struct hf_lane_entry parked_entry(const struct hf_send *s)
{
    static const uint8_t ops[] = {[HF_SHARED_SET] = HF_LANE_SET,
                                  [HF_SHARED_DELETE] = HF_LANE_DELETE,
                                  [HF_SHARED_EXPIRE] = HF_LANE_EXPIRE,
                                  [HF_SHARED_PERSIST] = HF_LANE_PERSIST};

    return (struct hf_lane_entry){
        .lsn = s->lsn,
        .op = ops[s->op],
        .made_ms = s->made_ms,
        .deadline_ms = s->deadline_ms,
        .key = send_key(s),
        .value = s->op == HF_SHARED_SET ? send_value(s) : hf__slice(NULL, 0),
    };
}

static void finish_live(struct hf_link *link, struct hf_send *s, enum hf_share share, const char *reason)
{
    if (s->live)
        hf__live_finish(link, s->live, share, reason);
    s->live = NULL;
}

static void applied(struct hf_link *link, struct hf_send *s)
{
    hf__settle_key(link->store, send_key(s), s->lsn);
    atomic_fetch_add(&link->store->shared_ops, 1);
    if (s->replayed)
        atomic_fetch_add(&link->store->replayed_ops, 1);
    finish_live(link, s, HF_SHARE_DONE, "");
}

static void park(struct hf_link *link, struct hf_send *s, const char *reason)
{
    struct hf_lane_entry entry = parked_entry(s);

    hf__settle_park(link->store, &entry, false, false, reason);
    finish_live(link, s, HF_SHARE_REFUSED, reason);
}

/* Live writes that were not applied become pending; rows stay as they are and are looked at again. */
static void leave_pending(struct hf_link *link, struct hf_send *s)
{
    if (s->live)
        hf__link_note_overflow(link);
    link->again = true;
    finish_live(link, s, HF_SHARE_PENDING, "");
}

static void take_result(struct hf_link *link, struct hf_send *s, const struct hf_shared_error *error)
{
    if (error->class == HF_SHARED_OK)
        applied(link, s);
    else if (error->class == HF_SHARED_ENTRY)
        park(link, s, error->reason);
    else
        leave_pending(link, s);
}

/* The connection died with this group: nobody knows whether it was applied. */
static void take_loss(struct hf_link *link)
{
    struct hf_send_list *list = &link->sends;
    uint64_t head = list->sends[0].lsn;

    link->suspect_losses = link->suspect_lsn == head ? link->suspect_losses + 1 : 1;
    link->suspect_lsn = head;
    if (list->n == 1 && link->suspect_losses >= HF_LINK_SUSPECT_LOSSES) {
        park(link, &list->sends[0], "the connection broke each time that this entry was sent");
        return;
    }
    for (size_t i = 0; i < list->n; i++) {
        struct hf_send *s = &list->sends[i];
        hf__settle_mark_sent(link->store, send_key(s), s->lsn);
        finish_live(link, s, HF_SHARE_PENDING, "");
    }
}

/* Items of the group are sorted by namespace; `owner` leads back. */
static void take_results(struct hf_link *link, struct hf_shared_group *group)
{
    for (size_t i = 0; i < group->n_items; i++)
        take_result(link, group->items[i].owner, &group->items[i].error);
    for (size_t i = 0; i < group->n_logs; i++) {
        struct hf_ns *ns = ((struct hf_send *)group->items[group->logs[i].first_item].owner)->ns;
        if (group->logs[i].last_id[0])
            snprintf(ns->log_id, sizeof(ns->log_id), "%s", group->logs[i].last_id);
        hf__link_publish_cursor(link, ns);
    }
    link->suspect_losses = 0;
}

static bool a_log_is_missing(const struct hf_shared_group *group)
{
    for (size_t i = 0; i < group->n_logs; i++) {
        if (group->logs[i].missing)
            return true;
    }
    return false;
}

static void group_done(void *ctx, struct hf_shared_group *group)
{
    struct hf_link *link = ctx;
    struct hf_shared_error error = group->error;
    bool log_missing = a_log_is_missing(group);

    if (error.class == HF_SHARED_LINK) {
        take_loss(link);
        list_clear(&link->sends);
        hf__link_out(link, false);
        return; /* `lost` follows */
    }
    if (group->check_type) /* rows */
        pace(link);
    take_results(link, group);
    list_clear(&link->sends);
    hf__link_out(link, false);
    if (error.class == HF_SHARED_FENCE || error.class == HF_SHARED_AUTH ||
        (error.class == HF_SHARED_STATE && !error.oom)) {
        hf__link_fail(link, &error);
    } else if (log_missing) {
        hf__link_set_state(link, HF_LINK_CATCHING_UP, "the change log is gone");
        hf__link_restart_catch_up(link);
        hf__link_pump(link);
    } else {
        if (error.class == HF_SHARED_STATE)
            hf__link_note_out_of_memory(link, &error);
        hf__link_pump(link);
    }
}

/* ---- sending ---- */

static int grow_request(struct hf_link *link)
{
    size_t n = link->sends.n, logs = link->store->namespaces.n;
    struct hf_shared_item *items = realloc(link->items, n * sizeof(*items));
    struct hf_shared_log *all_logs;

    if (!items)
        return HF_ENOMEM;
    link->items = items;
    all_logs = realloc(link->logs, logs * sizeof(*all_logs));
    if (!all_logs)
        return HF_ENOMEM;
    link->logs = all_logs;
    return 0;
}

static struct hf_shared_item make_item(const struct hf_link *link, struct hf_send *s)
{
    return (struct hf_shared_item){
        .op = s->op,
        .key = send_key(s),
        .value = s->op == HF_SHARED_SET ? send_value(s) : hf__slice(NULL, 0),
        .deadline_ms = hf__link_to_redis_ms(link, s->deadline_ms),
        .lsn = s->lsn,
        .made_ms = s->replayed ? hf__link_to_redis_ms(link, s->made_ms) : 0,
        .owner = s,
    };
}

/* Items in runs by namespace, each run with its log. */
static void fill_request(struct hf_link *link)
{
    struct hf_ns_table *table = &link->store->namespaces;
    struct hf_shared_group *group = &link->group;

    group->n_items = group->n_logs = 0;
    for (size_t k = 0; k < table->n; k++) {
        struct hf_ns *ns = &table->all[k];
        size_t first = group->n_items;
        for (size_t i = 0; i < link->sends.n; i++) {
            if (link->sends.sends[i].ns == ns)
                group->items[group->n_items++] = make_item(link, &link->sends.sends[i]);
        }
        if (group->n_items > first && ns->with_log)
            group->logs[group->n_logs++] = (struct hf_shared_log){
                .key = hf__slice(ns->log_key.data, ns->log_key.len),
                .max_entries = ns->log_max,
                .first_item = first,
                .n_items = group->n_items - first,
            };
    }
}

/* Send the list. Without memory nothing goes out, and everything is looked at again after a pause. */
static bool send_list(struct hf_link *link, bool check_type)
{
    struct hf_shared_error no_memory = {.class = HF_SHARED_STATE, .reason = "out of memory"};

    if (grow_request(link) == 0) {
        link->group = (struct hf_shared_group){
            .items = link->items, .logs = link->logs, .check_type = check_type, .done = group_done, .ctx = link};
        fill_request(link);
        for (size_t i = 0; i < link->sends.n; i++)
            hf__link_note_sent(link, link->sends.sends[i].lsn);
        hf__link_out(link, true);
        if (link->tier->ops->send_group(link->tier, &link->group) == 0)
            return true;
        hf__link_out(link, false);
    }
    for (size_t i = 0; i < link->sends.n; i++)
        leave_pending(link, &link->sends.sends[i]);
    list_clear(&link->sends);
    hf__link_pause(link, &no_memory);
    return true;
}

/* ---- rows ---- */

/* After losses with the same head, entries go one by one, so that the one that kills the link is found. */
static size_t group_max(const struct hf_link *link, size_t max)
{
    return link->suspect_losses > 1 ? 1 : max;
}

/* Fill in what a key's state of now means for the shared tier. False without memory. What died while it was queued
 * still removes the older shared value that it replaced. */
static bool send_from_state(struct hf_link *link, struct hf_send *s, const struct hf_pending_row *row,
                            const struct hf_found *found)
{
    s->deadline_ms = found->deadline_ms;
    s->made_ms = found->made_ms;
    if (hf__buf_copy(row->key, &s->key) != 0)
        return false;
    if (!found->live) {
        if (row->op != HF_PENDING_DELETE && (!found->top || found->top->op != HF_ENTRY_DELETE))
            atomic_fetch_add(&link->store->expired_in_queue, 1);
        s->op = HF_SHARED_DELETE;
        return true;
    }
    if (row->op == HF_PENDING_TTL && (!found->top || found->only_ttl)) {
        s->op = found->deadline_ms ? HF_SHARED_EXPIRE : HF_SHARED_PERSIST;
        return true;
    }
    s->op = HF_SHARED_SET;
    return hf__buf_copy(found->value, &s->value) == 0;
}

/* A row that was acknowledged, or whose key has joined its lane, only waits for a checkpoint to clear it. */
static bool row_is_owed(struct hf_link *link, const struct hf_pending_row *row, const struct hf_found *found)
{
    if (!found->top)
        return true;
    if (hf__version_is_settled(found->top)) {
        hf__settle_key(link->store, row->key, found->top->lsn);
        return false;
    }
    return !(found->top->flags & HF_ENTRY_LANE);
}

static int add_row(struct hf_link *link, struct hf_look *look, const struct hf_pending_row *row)
{
    struct hf_found found;
    struct hf_send *s;
    int rc = hf__look_up(look, row->key, &found);

    if (rc == HF_ECORRUPT) { /* the copy is damaged: nothing true can be sent; the row stays, and says so */
        link->again = true;
        return 0;
    }
    if (rc != 0 || !row_is_owed(link, row, &found))
        return rc;
    s = list_add(&link->sends);
    if (!s)
        return HF_ENOMEM;
    s->ns = hf__ns_of(&link->store->namespaces, row->key);
    s->lsn = found.lsn > row->last_lsn ? found.lsn : row->last_lsn;
    s->replayed = true;
    if (!send_from_state(link, s, row, &found))
        return HF_ENOMEM;
    if ((link->only_deletes && s->op != HF_SHARED_DELETE) ||
        (!s->ns->with_log && s->lsn > hf__journal_durable_lsn(link->store->journal))) {
        link->again = true;
        hf_buf_release(&s->key);
        hf_buf_release(&s->value);
        link->sends.n--;
        return 0;
    }
    link->sends.bytes += s->key.len + s->value.len;
    return 0;
}

static int collect_rows(struct hf_link *link, struct hf_look *look)
{
    const struct hf_local_ops *ops = link->store->local->ops;
    struct hf_local_snap *snap;
    struct hf_pending_row row;
    int rc = hf__look_snap(look, &snap);

    while (rc == 0 && !list_full(&link->sends, group_max(link, link->rows_budget))) {
        rc = ops->pending_next(snap, link->row_cursor, &row);
        if (rc == HF_NOT_FOUND || (rc == 0 && row.first_lsn >= link->live_from)) {
            link->rows_done = true;
            return 0;
        }
        if (rc == 0) {
            link->row_cursor = row.first_lsn + 1;
            rc = add_row(link, look, &row);
        }
    }
    return rc;
}

bool hf__link_send_rows(struct hf_link *link)
{
    struct hf_look look;
    int rc;

    if (link->rows_done)
        return false;
    rc = hf__look_begin(link->store, &look);
    if (rc == 0) {
        rc = collect_rows(link, &look);
        hf__look_end(&look);
    }
    if (rc != 0) {
        struct hf_shared_error error = {.class = HF_SHARED_STATE};
        snprintf(error.reason, sizeof(error.reason), "the local tier cannot be read: %.100s", hf_errmsg());
        list_clear(&link->sends);
        link->again = true;
        hf__link_pause(link, &error);
        return true;
    }
    link->rows_sent_ms = hf__now_ms(link->store);
    return link->sends.n > 0 && send_list(link, true);
}

/* ---- live writes ---- */

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

/* A live write whose key has an older pending row goes as that row does, once for both. */
static enum live_verdict judge(struct hf_link *link, struct hf_look *look, const struct hf_live *live,
                               struct hf_pending_row *row, struct hf_found *found)
{
    struct hf *store = link->store;
    struct hf_local_snap *snap;

    if (hf__version_is_settled(live->version))
        return LIVE_DROP;
    if (!live->ns->with_log && live->version->lsn > hf__journal_durable_lsn(store->journal))
        return LIVE_WAIT;
    if (atomic_load(&store->lane_open) > 0 || atomic_load(&store->lane_entries) > 0) {
        if (hf__look_up(look, live->key, found) == 0 && found->top && (found->top->flags & HF_ENTRY_LANE) &&
            !hf__version_is_settled(found->top))
            return LIVE_DROP; /* the lane carries the key's state */
    }
    if (link->state == HF_LINK_ONLINE || hf__look_snap(look, &snap) != 0 ||
        store->local->ops->pending_get(snap, live->key, row) != 0 || row->first_lsn >= link->live_from)
        return LIVE_SEND;
    return hf__look_up(look, live->key, found) == 0 ? LIVE_AS_ROW : LIVE_WAIT;
}

/* A settled write is done; one that the lane carries on is pending with it. */
static void drop_live(struct hf_link *link, struct hf_live *live)
{
    bool settled = hf__version_is_settled(live->version);

    hf__live_finish(link, live, settled ? HF_SHARE_DONE : HF_SHARE_PENDING, "");
}

static bool add_live(struct hf_link *link, struct hf_live *live, int64_t now_ms)
{
    struct hf_send *s = list_add(&link->sends);

    if (!s)
        return false;
    s->live = live;
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
    int rc = add_row(link, look, row);

    if (link->sends.n > before)
        link->sends.sends[before].absorbed_lsn = live->version->lsn;
    else if (!hf__version_is_settled(live->version))
        hf__link_note_overflow(link); /* it was not sent: a further pass is needed */
    hf__live_finish(link, live, HF_SHARE_PENDING, "");
    return rc == 0;
}

/* Take live writes off the queue into the list; `*check_type` when the list is a row. */
static void collect_live(struct hf_link *link, struct hf_look *look, bool *check_type)
{
    struct hf_pending_row row;
    struct hf_found found;
    struct hf_live *live;

    while (!list_full(&link->sends, group_max(link, LIVE_MAX)) && (live = hf__live_pop(link, &link->plain))) {
        enum live_verdict verdict = judge(link, look, live, &row, &found);
        if (verdict == LIVE_DROP) {
            drop_live(link, live);
        } else if (verdict == LIVE_WAIT || (verdict == LIVE_AS_ROW && link->sends.n > 0)) {
            hf__live_push_front(link, &link->plain, live);
            if (verdict == LIVE_WAIT)
                wait_for_sync(link, live);
            return;
        } else if (verdict == LIVE_AS_ROW) {
            *check_type = true;
            (void)add_live_as_row(link, look, live, &row); /* without memory the row is met again in its turn */
            if (link->sends.n > 0)
                return;
            *check_type = false;
        } else if (!add_live(link, live, look->now_ms)) {
            hf__live_push_front(link, &link->plain, live);
            return;
        }
    }
}

bool hf__link_send_live(struct hf_link *link)
{
    struct hf_look look;
    bool check_type = false;

    if (!hf__live_peek(link, &link->plain) || hf__look_begin(link->store, &look) != 0)
        return false;
    collect_live(link, &look, &check_type);
    hf__look_end(&look);
    return link->sends.n > 0 && send_list(link, check_type);
}
