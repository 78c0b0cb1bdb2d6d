/* The link's state machine: connecting, losing, taking turns, and what others see of it. */
#include "link_state.h"

#include "checkpoint.h"
#include "deadline.h"
#include "fail.h"
#include "settle.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define BACKOFF_FIRST_MS 20 /* a restarted Redis answers again within some tens of milliseconds */
#define PAUSE_MS 250        /* after a refusal by the server's state */
#define UNREADABLE_MS 1000  /* between looks at a row that is damaged */

/* ---- state ---- */

/* allowed[from] has a bit for each state that may follow. */
#define TO(state) (1u << (state))
static const unsigned allowed[] = {
    [HF_LINK_DISABLED] = TO(HF_LINK_CONNECTING),
    [HF_LINK_CONNECTING] = TO(HF_LINK_CATCHING_UP) | TO(HF_LINK_OFFLINE) | TO(HF_LINK_HELD),
    [HF_LINK_CATCHING_UP] = TO(HF_LINK_REPLAYING) | TO(HF_LINK_OFFLINE) | TO(HF_LINK_HELD),
    [HF_LINK_REPLAYING] = TO(HF_LINK_ONLINE) | TO(HF_LINK_CATCHING_UP) | TO(HF_LINK_OFFLINE) | TO(HF_LINK_HELD),
    [HF_LINK_ONLINE] = TO(HF_LINK_CATCHING_UP) | TO(HF_LINK_OFFLINE) | TO(HF_LINK_HELD),
    [HF_LINK_OFFLINE] = TO(HF_LINK_CONNECTING) | TO(HF_LINK_HELD),
    [HF_LINK_HELD] = TO(HF_LINK_CONNECTING) | TO(HF_LINK_OFFLINE) | TO(HF_LINK_CATCHING_UP),
};

/* With the mutex. */
static void tell_moved(struct hf_link *link)
{
    link->moved++;
    pthread_cond_broadcast(&link->changed);
}

/* With the mutex. Another reason for the state at hand is no change. */
static void keep_change(struct hf_link *link, enum hf_link_state state, const char *reason)
{
    struct hf_link_change *change;

    if (link->state == state)
        return;
    change = &link->changes_kept[++link->n_changes % HF_LINK_CHANGES_KEPT];
    *change = (struct hf_link_change){
        .number = link->n_changes, .at_ms = hf__now_ms(link->store), .from = link->state, .link = state};
    snprintf(change->reason, sizeof(change->reason), "%s", reason);
}

/* A loss is counted with the state that tells it: whoever sees the one sees the other. */
static void move(struct hf_link *link, enum hf_link_state state, const char *reason, bool is_loss)
{
    pthread_mutex_lock(&link->mutex);
    assert((link->state == state || (allowed[link->state] & TO(state))) && "a move that the drawing does not have");
    keep_change(link, state, reason);
    link->state = state;
    atomic_fetch_add(&link->store->link_losses, is_loss);
    snprintf(link->reason, sizeof(link->reason), "%s", reason);
    tell_moved(link);
    pthread_mutex_unlock(&link->mutex);
}

void hf__link_set_state(struct hf_link *link, enum hf_link_state state, const char *reason)
{
    move(link, state, reason, false);
}

const char *hf_link_text(enum hf_link_state state)
{
    switch (state) {
#define X(name, text)                                                                                              \
    case name: return text;
        HF_LINK_MAP(X)
#undef X
    }
    return "unknown";
}

void hf__link_out(struct hf_link *link, bool out)
{
    pthread_mutex_lock(&link->mutex);
    link->out = out;
    link->busy = out;
    /* Rows end with the checkpoint that clears them; it tells. Waking those who wait for each group would slow it down. */
    if (!out && !(link->state == HF_LINK_REPLAYING && link->rows_from_cursor))
        tell_moved(link);
    pthread_mutex_unlock(&link->mutex);
}

/* ---- looking at the operator's file ---- */

#define LOOK_MS 500                /* apart at least */
#define LOOK_HEARTBEAT_MAX_MS 1000 /* with rarer ones the checkpoint thread looks by itself */

bool hf__link_looks(const struct hf *store)
{
    return store->link && atomic_load(&store->link->looks);
}

static void stop_looking(struct hf_link *link)
{
    if (atomic_exchange(&link->looks, false))
        hf__checkpoint_wake(link->store);
}

static void look(struct hf_link *link)
{
    if (!atomic_load(&link->looks) || link->turn.now_ms - link->looked_ms < LOOK_MS)
        return;
    hf__link_check_operator(link->store);
    link->looked_ms = link->turn.now_ms;
}

/* ---- losing the connection, and coming back ---- */

int hf__link_jittered(struct hf_link *link, int ms)
{
    link->random = link->random * 6364136223846793005u + 1442695040888963407u;
    return ms / 2 + (int)((link->random >> 33) % (uint64_t)(ms / 2 + 1));
}

static void schedule_connect(struct hf_link *link, bool refused)
{
    int max = link->store->opts.redis_backoff_max_ms;
    int ms = refused ? max : link->backoff_ms;

    link->backoff_ms = link->backoff_ms * 2 < max ? link->backoff_ms * 2 : max;
    link->tier->ops->set_timer(link->tier, hf__link_jittered(link, ms));
}

/* Writes are pending at once from now on. With the write lock, so that no write is between its LSN and the queue. */
void hf__link_leave_live(struct hf_link *link)
{
    pthread_mutex_lock(&link->store->write_mutex);
    pthread_mutex_lock(&link->mutex);
    link->accepting = false;
    pthread_mutex_unlock(&link->mutex);
    pthread_mutex_unlock(&link->store->write_mutex);
    hf__live_drop_all(link);
}

void hf__link_stop_accepting(struct hf *store)
{
    if (store->link)
        hf__link_leave_live(store->link);
}

static void gone(struct hf_link *link, const struct hf_shared_error *error)
{
    bool refused = error->class == HF_SHARED_AUTH, is_loss = link->connected;

    link->connected = link->taking_from_open = false;
    stop_looking(link);
    link->paused = link->asks_time = link->held_back = false;
    hf__send_list_clear(&link->ahead);
    hf__sweep_release(link);
    hf__link_distrust_copies(link);
    hf__link_out(link, false);
    hf__link_leave_live(link);
    hf__fetch_fail_all(link, error->reason);
    hf__ask_fail_all(link, error->reason);
    hf__decide_fail_all(link, error->reason);
    move(link, refused ? HF_LINK_HELD : HF_LINK_OFFLINE, error->reason, is_loss);
    schedule_connect(link, refused);
}

void hf__link_fail(struct hf_link *link, const struct hf_shared_error *error)
{
    struct hf_shared_error copy = *error; /* disconnecting answers what is out, which may hold `error` */

    link->tier->ops->disconnect(link->tier);
    gone(link, &copy);
}

void hf__link_note_out_of_memory(struct hf_link *link, const struct hf_shared_error *error)
{
    link->out_of_memory = true;
    link->rows_done = true; /* the rest of this pass would be refused as well */
    link->again = true;
    hf__link_pause(link, error);
}

void hf__link_pause(struct hf_link *link, const struct hf_shared_error *error)
{
    link->paused = true;
    link->wake_due_ms = 0;
    pthread_mutex_lock(&link->mutex);
    snprintf(link->reason, sizeof(link->reason), "%s", error->reason);
    pthread_mutex_unlock(&link->mutex);
    link->tier->ops->set_timer(link->tier, hf__link_jittered(link, PAUSE_MS));
}

/* ---- passes over what is pending ---- */

/* New writes belong to the live queue from here on; older unsettled ones get their rows by the next checkpoint. */
static void start_live(struct hf_link *link)
{
    struct hf *store = link->store;

    pthread_mutex_lock(&store->write_mutex);
    pthread_mutex_lock(&link->mutex);
    link->accepting = true;
    link->overflowed = false;
    link->live_from = hf__journal_last_lsn(store->journal) + 1;
    link->last_enqueued = link->live_from - 1;
    pthread_mutex_unlock(&link->mutex);
    pthread_mutex_unlock(&store->write_mutex);
}

void hf__link_begin_pass(struct hf_link *link)
{
    hf__send_list_clear(&link->ahead);
    link->row_cursor = (struct hf_local_cursor){0};
    link->lane_cursor = 0;
    link->rows_done = false;
    link->ended_out_of_turn = false;
    link->lanes_done = false;
    link->again = link->unreadable = false;
    link->lane_again = false;
    link->refused = (struct hf_shared_error){0};
    link->checking = false;
    link->only_deletes = link->out_of_memory; /* they free memory; the pass after it tries everything again */
    link->out_of_memory = false;
}

/* A damaged place in their order hides no row: the pass has walked over the rows themselves. */
static int next_row(struct hf_link *link, struct hf_local_snap *snap, struct hf_pending_row *row)
{
    const struct hf_local_ops *ops = link->store->local->ops;
    int rc = ops->pending_next(snap, 0, row);

    while (rc == HF_ECORRUPT && row->first_lsn < UINT64_MAX)
        rc = ops->pending_next(snap, row->first_lsn + 1, row);
    return rc;
}

/* Whether the local tier still has rows or lane entries from before live_from. */
static bool anything_left(struct hf_link *link)
{
    const struct hf_local_ops *ops = link->store->local->ops;
    struct hf_local_snap *snap;
    struct hf_pending_row row;
    struct hf_lane_entry entry;
    int row_rc, lane_rc;

    if (ops->snap_begin(link->store->local, &snap) != 0)
        return true; /* also when it cannot be read */
    row_rc = next_row(link, snap, &row);
    lane_rc = ops->lane_next(snap, 0, &entry);
    ops->snap_end(snap);
    return link->unreadable || (row_rc == 0 && row.first_lsn < link->live_from) ||
           (lane_rc == 0 && entry.lsn < link->live_from);
}

/* A pass is through: have its acknowledgements stored, then look whether anything is left. */
static void end_pass(struct hf_link *link)
{
    if (!link->checking) {
        link->checking = true;
        link->checkpoint_ticket = hf__checkpoint_ticket(link->store);
    } else if (hf__checkpoint_ended(link->store, link->checkpoint_ticket)) {
        bool left = anything_left(link);
        bool again = link->again || link->lane_again, unreadable = link->unreadable;
        struct hf_shared_error refused = link->refused;
        hf__link_begin_pass(link);
        if (left && refused.class != HF_SHARED_OK) {
            hf__link_fail(link, &refused);
        } else if (!left && link->track_later) {
            link->log_behind = true; /* once more from the start, and with tracking */
            hf__link_wake(link->store);
        } else if (!left) {
            link->rows_done = link->lanes_done = true;
            hf__notes_release(&link->notes);
            if (!link->sweep.active)
                hf__sweep_begin(link);
            link->backoff_ms = BACKOFF_FIRST_MS;
            hf__past_end(link);
            hf__link_set_state(link, HF_LINK_ONLINE, "");
        } else if (again) {
            link->paused = true;
            link->tier->ops->set_timer(link->tier, hf__link_jittered(link, PAUSE_MS));
        } else {
            if (unreadable) /* until somebody writes the key anew: nothing else waits for that */
                link->rows_not_before_ms = link->turn.now_ms + UNREADABLE_MS;
            hf__link_wake(link->store); /* another pass, now */
        }
    }
}

void hf__link_note_sent(struct hf_link *link, uint64_t lsn)
{
    if (lsn > link->sent_lsn)
        link->sent_lsn = lsn;
}

void hf__link_note_overflow(struct hf_link *link)
{
    pthread_mutex_lock(&link->mutex);
    link->overflowed = true;
    pthread_mutex_unlock(&link->mutex);
}

bool hf__link_has_conflict_room(const struct hf_link *link, uint64_t bytes)
{
    struct hf *store = link->store;

    return atomic_load(&store->conflicts) + atomic_load(&store->conflicts_left) < store->opts.conflict_log_max &&
           atomic_load(&store->conflict_bytes) + atomic_load(&store->conflict_bytes_left) + bytes <=
               store->opts.conflict_log_max_bytes;
}

void hf__link_note_full_log(struct hf_link *link)
{
    link->full_log = true;
    pthread_mutex_lock(&link->mutex);
    snprintf(link->reason, sizeof(link->reason),
             "the conflict log is full: resolve conflicts, or raise conflict_log_max");
    pthread_mutex_unlock(&link->mutex);
}

bool hf__link_may_park(struct hf_link *link, size_t n)
{
    if (hf__settle_may_park(link->store, n))
        return true;
    pthread_mutex_lock(&link->mutex);
    snprintf(link->reason, sizeof(link->reason),
             "the parked list is full: requeue or drop entries, or raise parked_max");
    pthread_mutex_unlock(&link->mutex);
    return false;
}

static bool has_overflowed(struct hf_link *link)
{
    bool overflowed;

    pthread_mutex_lock(&link->mutex);
    overflowed = link->overflowed;
    pthread_mutex_unlock(&link->mutex);
    return overflowed;
}

void hf__link_restart_live(struct hf_link *link)
{
    hf__live_drop_all(link);
    start_live(link);
}

/* Live writes were left pending while connected: give them rows and make a pass over them. */
static void restart_pass(struct hf_link *link)
{
    hf__link_set_state(link, HF_LINK_CATCHING_UP, "live writes were left pending");
    hf__link_restart_live(link);
    link->catch_up = HF_CATCH_UP_ROWS;
    link->checkpoint_ticket = 0;
}

void hf__link_wake_in(struct hf_link *link, int ms)
{
    int64_t now_ms = hf__now_ms(link->store), due_ms = now_ms + (ms > 0 ? ms : 1);

    if (link->paused || !link->connected ||
        (link->wake_due_ms > now_ms && link->wake_due_ms <= due_ms)) /* something wakes it before */
        return;
    link->wake_due_ms = due_ms;
    link->tier->ops->set_timer(link->tier, (int)(due_ms - now_ms));
}

/* ---- whose turn it is ---- */

static void set_picking(struct hf_link *link, bool picking)
{
    pthread_mutex_lock(&link->mutex);
    link->picking = picking;
    if (!picking && link->state == HF_LINK_ONLINE)
        tell_moved(link);
    pthread_mutex_unlock(&link->mutex);
}

static bool send_in_turn(struct hf_link *link)
{
    bool live_first = link->live_turn;

    link->live_turn = !live_first;
    if (live_first)
        return hf__link_send_live(link) || hf__link_send_live_lane(link) || hf__link_send_rows(link) ||
               hf__link_send_lane_rows(link);
    return hf__link_send_rows(link) || hf__link_send_lane_rows(link) || hf__link_send_live(link) ||
           hf__link_send_live_lane(link);
}

static bool send_something(struct hf_link *link)
{
    bool sent;

    set_picking(link, true);
    sent = send_in_turn(link);
    set_picking(link, false);
    return sent;
}

static void send_next(struct hf_link *link)
{
    if (link->paused)
        return;
    if (link->rows_alone) {
        (void)hf__link_send_rows(link);
        return;
    }
    if (link->log_behind) {
        link->log_behind = false;
        hf__link_set_state(link, HF_LINK_CATCHING_UP, "reading the change log");
        hf__link_restart_catch_up(link);
        hf__link_catch_up(link);
        return;
    }
    if (has_overflowed(link)) { /* nothing newer goes before what was left has its row */
        restart_pass(link);
        hf__link_catch_up(link);
        return;
    }
    link->decide_turn = !link->decide_turn;
    if ((link->decide_turn && hf__link_send_decide(link)) || send_something(link) || hf__link_send_decide(link) ||
        hf__link_read_log(link))
        return;
    if (link->state == HF_LINK_REPLAYING && link->rows_done && link->ahead.n == 0 &&
        (link->lanes_done || link->lane_again))
        end_pass(link);
}

/* Deadlines would be converted wrongly, and the living be taken for dead: the next answer to TIME decides. */
static bool waits_for_time(struct hf_link *link)
{
    return link->asks_time || hf__time_is_unknown(link->store);
}

void hf__link_pump(struct hf_link *link)
{
    if (!link->connected)
        return;
    hf__turn_begin(link->store, &link->turn);
    look(link);
    hf__fetch_send_all(link);
    hf__ask_send_all(link);
    if (waits_for_time(link) || hf__link_is_held_back(link))
        return;
    if (link->state == HF_LINK_REPLAYING || link->state == HF_LINK_ONLINE)
        hf__decide_note_left(link);
    if (hf__link_history_is_known(link)) {
        hf__refresh_send(link);
        hf__sweep_send(link);
    }
    if (link->out) {
        hf__replay_prepare(link);
        return;
    }
    if (link->state == HF_LINK_CATCHING_UP)
        hf__link_catch_up(link);
    else
        send_next(link);
    hf__link_note_shared(link);
}

/* ---- what the headers of the journal say of sharing ---- */

struct outstanding {
    uint64_t lsns[HF_GROUP_EXCEPTIONS_MAX];
    uint32_t n;
    bool more;
    uint64_t lowest;
};

static void add_outstanding(struct outstanding *o, uint64_t lsn)
{
    if (lsn < o->lowest)
        o->lowest = lsn;
    if (o->n < HF_GROUP_EXCEPTIONS_MAX)
        o->lsns[o->n++] = lsn;
    else
        o->more = true;
}

static void add_queue(struct outstanding *o, const struct hf_live_queue *queue)
{
    for (const struct hf_live *live = queue->first; live && !o->more; live = live->next)
        add_outstanding(o, live->version->lsn);
    if (queue->first && queue->first->version->lsn < o->lowest)
        o->lowest = queue->first->version->lsn;
}

void hf__link_note_shared(struct hf_link *link)
{
    struct outstanding o = {.lowest = UINT64_MAX};
    uint64_t shared;
    bool tell;

    pthread_mutex_lock(&link->mutex);
    for (size_t i = 0; i < link->sends.n; i++) {
        if (link->sends.sends[i].live)
            add_outstanding(&o, link->sends.sends[i].live->version->lsn);
        else if (link->sends.sends[i].absorbed_lsn != 0)
            add_outstanding(&o, link->sends.sends[i].absorbed_lsn);
    }
    for (size_t i = 0; i < link->lane_sends.n; i++) {
        if (link->lane_sends.sends[i].live)
            add_outstanding(&o, link->lane_sends.sends[i].live->version->lsn);
    }
    add_queue(&o, &link->plain);
    add_queue(&o, &link->lane);
    shared = o.more ? o.lowest - 1 : link->last_enqueued;
    /* Before the replay the journal's tail may hold older changes that Redis lacks. */
    tell = !link->overflowed && link->accepting && atomic_load(&link->store->unsaved) == 0 &&
           (link->state == HF_LINK_REPLAYING || link->state == HF_LINK_ONLINE);
    pthread_mutex_unlock(&link->mutex);
    if (tell)
        hf__journal_note_shared(link->store->journal, shared, o.lsns, o.more ? 0 : o.n);
}

/* ---- the transport's events ---- */

static void on_connected(void *ctx, const struct hf_shared_hello *hello)
{
    struct hf_link *link = ctx;
    struct hf_shared_error replica = {.class = HF_SHARED_STATE,
                                      .reason = "the server is a replica; waiting for a master"};

    link->connected = true;
    if (!hello->master) {
        hf__link_fail(link, &replica);
        return;
    }
    atomic_store(&link->store->owner_connected, true);
    link->tracking = hello->tracking;
    link->track_later = false;
    link->asks_time =
        !hf__timeline_sample(&link->store->time, hello->redis_ms, hello->asked_ms, hello->answered_ms);
    hf__link_set_state(link, HF_LINK_CATCHING_UP,
                       waits_for_time(link) ? "waiting for another answer to TIME, which decides what time it is"
                                            : "");
    hf__link_restart_catch_up(link);
    link->out_of_memory = link->only_deletes = false;
    hf__link_restart_pacing(link);
    hf__link_delay_replay(link);
    if (!link->taking_from_open)
        start_live(link);
    link->taking_from_open = false;
    hf__link_pump(link);
}

static bool knows_redis_clock(struct hf_link *link)
{
    int64_t offset_ms, uncertainty_ms;

    return hf__timeline_shared(&link->store->time, &offset_ms, &uncertainty_ms);
}

static void on_clock(void *ctx, int64_t redis_ms, int64_t asked_ms, int64_t answered_ms)
{
    struct hf_link *link = ctx;

    if (redis_ms >= 0 &&
        (hf__timeline_sample(&link->store->time, redis_ms, asked_ms, answered_ms) || knows_redis_clock(link)))
        link->asks_time = false; /* by an answer that tells a time */
    /* The answers to heartbeats come by here. */
    atomic_store(&link->looks, link->connected && link->store->opts.redis_heartbeat_ms <= LOOK_HEARTBEAT_MAX_MS);
    hf__link_pump(link);
}

static void on_lost(void *ctx, const struct hf_shared_error *error)
{
    gone(ctx, error);
}

static void start_connecting(struct hf_link *link)
{
    hf__link_set_state(link, HF_LINK_CONNECTING, "");
    link->tier->ops->connect(link->tier);
}

static void on_woken(void *ctx)
{
    struct hf_link *link = ctx;

    if (!link->begun) {
        link->begun = true;
        start_connecting(link);
    } else if (!link->connected && hf__link_take_decision(link)) {
        start_connecting(link); /* no longer held: at once */
    } else {
        hf__link_pump(link);
    }
}

static void on_timer(void *ctx)
{
    struct hf_link *link = ctx;

    link->paused = false;
    link->wake_due_ms = 0;
    if (!link->connected && (link->state == HF_LINK_OFFLINE || link->state == HF_LINK_HELD))
        start_connecting(link);
    else
        hf__link_pump(link);
}

static const struct hf_shared_handler handler = {
    .connected = on_connected,
    .lost = on_lost,
    .woken = on_woken,
    .timer = on_timer,
    .invalidated = hf__link_invalidated,
    .clock = on_clock,
};

/* ---- starting and stopping ---- */

int hf__link_start(struct hf *store, struct hf_shared_tier *tier)
{
    struct hf_link *link = calloc(1, sizeof(*link));
    int rc;

    if (!link) {
        tier->ops->stop(tier);
        return hf__fail(HF_ENOMEM, "out of memory: the link");
    }
    link->store = store;
    link->tier = tier;
    link->state = HF_LINK_CONNECTING;
    link->backoff_ms = BACKOFF_FIRST_MS;
    link->random =
        (uint64_t)hf__now_ms(store) ^ strtoull(store->node + 16, NULL, 16); /* nodes differ, also at one time */
    pthread_mutex_init(&link->mutex, NULL);
    pthread_mutex_init(&link->operator_mutex, NULL);
    hf__cond_init(&link->changed);
    store->link = link;
    link->maybe_sent_lsn = link->sent_lsn = hf__journal_last_lsn(store->journal);
    rc = hf__link_load_cursors(store);
    hf__link_distrust_copies(link); /* others may have written while the store was closed */
    start_live(link);               /* what is written while the first attempt is under way waits for it */
    link->taking_from_open = true;
    if (hf__operator_changed(store)) /* one that cannot be read sets nothing */
        (void)hf__operator_load(store, &link->by_operator);
    if (rc == 0)
        rc = tier->ops->start(tier, &handler, link);
    if (rc != 0)
        hf__link_free(store);
    return rc;
}

void hf__link_stop(struct hf *store)
{
    struct hf_link *link = store->link;

    if (!link || !link->tier)
        return;
    pthread_mutex_lock(&link->mutex);
    link->stopping = true;
    pthread_mutex_unlock(&link->mutex);
    link->tier->ops->stop(link->tier);
    link->tier = NULL;
    hf__link_leave_live(link);
    hf__fetch_fail_all(link, "the store is closing");
    hf__ask_fail_all(link, "the store is closing");
    hf__decide_fail_all(link, "the store is closing");
}

void hf__link_free(struct hf *store)
{
    struct hf_link *link = store->link;

    if (!link)
        return;
    hf__link_stop(store);
    free(link->items);
    free(link->logs);
    free(link->lane_ops);
    free(link->seen);
    free(link->log_pages);
    free(link->log_namespaces);
    hf__notes_release(&link->notes);
    hf__resend_release(link);
    hf__notes_release(&link->survived);
    hf__sweep_release(link);
    hf__send_list_clear(&link->sends);
    hf__send_list_clear(&link->ahead);
    free(link->ahead.sends);
    free(link->settling.sends);
    free(link->sends.sends);
    free(link->lane_sends.sends);
    hf__refresh_release(link);
    free(link->published);
    free(link->saved);
    pthread_mutex_destroy(&link->mutex);
    pthread_mutex_destroy(&link->operator_mutex);
    pthread_cond_destroy(&link->changed);
    free(link);
    store->link = NULL;
}

/* ---- what others see ---- */

void hf__link_wake(struct hf *store)
{
    struct hf_link *link = store->link;

    if (!link)
        return;
    pthread_mutex_lock(&link->mutex);
    if (!link->stopping)
        link->tier->ops->wake(link->tier);
    pthread_mutex_unlock(&link->mutex);
}

void hf__link_note_checkpoint(struct hf *store)
{
    struct hf_link *link = store->link;

    if (!link)
        return;
    pthread_mutex_lock(&link->mutex);
    tell_moved(link);
    pthread_mutex_unlock(&link->mutex);
    hf__link_wake(store);
}

void hf__link_note_durable(struct hf *store)
{
    struct hf_link *link = store->link;

    if (link && atomic_exchange(&link->waits_for_sync, false))
        hf__link_wake(store);
}

int64_t hf__link_online_since_ms(struct hf *store)
{
    struct hf_link *link = store->link;
    int64_t since_ms = INT64_MAX;

    if (!link)
        return since_ms;
    pthread_mutex_lock(&link->mutex);
    if (link->state == HF_LINK_ONLINE) /* its last change */
        since_ms = link->changes_kept[link->n_changes % HF_LINK_CHANGES_KEPT].at_ms;
    pthread_mutex_unlock(&link->mutex);
    return since_ms;
}

void hf__link_status(struct hf *store, struct hf_link_status *ret_status)
{
    struct hf_link *link = store->link;

    *ret_status = (struct hf_link_status){.state = HF_LINK_DISABLED};
    if (!link)
        return;
    pthread_mutex_lock(&link->mutex);
    ret_status->state = link->state;
    ret_status->by_operator = link->by_operator;
    memcpy(ret_status->reason, link->reason, sizeof(ret_status->reason));
    pthread_mutex_unlock(&link->mutex);
}

/* A copy, so that nobody is called with the mutex. Returns false when there is no such change. */
static bool next_change(struct hf_link *link, uint64_t *number, struct hf_link_change *ret_change)
{
    uint64_t oldest;
    bool found;

    pthread_mutex_lock(&link->mutex);
    oldest = link->n_changes < HF_LINK_CHANGES_KEPT ? 1 : link->n_changes - HF_LINK_CHANGES_KEPT + 1;
    *number = *number < oldest ? oldest : *number;
    found = *number <= link->n_changes;
    if (found)
        *ret_change = link->changes_kept[*number % HF_LINK_CHANGES_KEPT];
    pthread_mutex_unlock(&link->mutex);
    return found;
}

int hf_link_changes(struct hf *store, uint64_t from, int (*each)(void *ctx, const struct hf_link_change *change),
                    void *ctx)
{
    struct hf_link_change change;
    int rc = hf__check_handle(store, false);

    for (; rc == 0 && store->link && next_change(store->link, &from, &change); from++)
        rc = each(ctx, &change);
    return rc;
}

/* With the mutex: nothing up to `lsn` is queued, out, or left pending. */
static bool drained(const struct hf_link *link, uint64_t lsn)
{
    if (link->state != HF_LINK_ONLINE || link->overflowed || link->out || link->picking ||
        !hf__refresh_is_asked(link))
        return false;
    return (!link->plain.first || link->plain.first->version->lsn > lsn) &&
           (!link->lane.first || link->lane.first->version->lsn > lsn);
}

int hf__link_drain(struct hf *store, uint64_t lsn, int timeout_ms)
{
    struct hf_link *link = store->link;
    struct timespec deadline;
    int rc = 0;

    hf__deadline_in(&deadline, timeout_ms > 0 ? timeout_ms : 0);
    pthread_mutex_lock(&link->mutex);
    while (!drained(link, lsn) && rc == 0 && link->state != HF_LINK_HELD) {
        if (timeout_ms < 0)
            pthread_cond_wait(&link->changed, &link->mutex);
        else
            rc = pthread_cond_timedwait(&link->changed, &link->mutex, &deadline);
    }
    if (drained(link, lsn))
        rc = 0;
    else if (link->state == HF_LINK_HELD)
        rc = hf__fail(HF_EOFFLINE, "the shared tier is held: %s", link->reason);
    else
        rc = hf__fail(HF_ETIMEOUT, "not everything was shared within %d ms; the shared tier is %s%s%s", timeout_ms,
                      hf_link_text(link->state), link->reason[0] ? ": " : "", link->reason);
    pthread_mutex_unlock(&link->mutex);
    return rc;
}
