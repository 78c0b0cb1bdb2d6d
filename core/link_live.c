/* Live writes on their way to the link thread, the tickets of those who wait for them, and fetches. */
#include "link_state.h"

#include "checkpoint.h"
#include "deadline.h"
#include "done.h"
#include "fail.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* Bounds of the live queue. Beyond them a write is pending at once and replayed from its row. */
#define QUEUE_MAX 65536u
#define QUEUE_BYTES_MAX (64u << 20)

/* ---- tickets ---- */

struct hf_ticket *hf__ticket_new(pthread_cond_t *cond)
{
    struct hf_ticket *ticket = calloc(1, sizeof(*ticket));

    if (!ticket) {
        hf__fail(HF_ENOMEM, "out of memory: a ticket");
        return NULL;
    }
    ticket->refs = 1;
    ticket->cond = cond;
    return ticket;
}

/* With the mutex. */
static void ticket_unref(struct hf_ticket *ticket)
{
    if (ticket && --ticket->refs == 0)
        free(ticket);
}

void hf__ticket_release_ref(struct hf *store, struct hf_ticket *ticket)
{
    if (!ticket)
        return;
    if (!store->link) {
        free(ticket);
        return;
    }
    pthread_mutex_lock(&store->link->mutex);
    ticket_unref(ticket);
    pthread_mutex_unlock(&store->link->mutex);
}

/* With the mutex. One entry of the ticket's write is answered. */
static void ticket_answer(struct hf *store, struct hf_ticket *ticket, enum hf_share share, const char *reason)
{
    if (!ticket)
        return;
    ticket->left--;
    if (ticket->share != HF_SHARE_WAITING || (share == HF_SHARE_DONE && ticket->left > 0))
        return;
    ticket->share = share;
    snprintf(ticket->reason, sizeof(ticket->reason), "%s", reason);
    if (ticket->cond)
        pthread_cond_signal(ticket->cond);
    else
        hf__done_poke(store);
}

enum hf_share hf__ticket_wait(struct hf *store, struct hf_ticket *ticket, const struct timespec *deadline)
{
    struct hf_link *link = store->link;
    enum hf_share share;
    int rc = 0;

    pthread_mutex_lock(&link->mutex);
    while (ticket->share == HF_SHARE_WAITING && rc != ETIMEDOUT)
        rc = pthread_cond_timedwait(ticket->cond, &link->mutex, deadline);
    share = ticket->share == HF_SHARE_WAITING ? HF_SHARE_PENDING : ticket->share;
    ticket->cond = NULL; /* it is on the caller's stack */
    ticket->share = share;
    pthread_mutex_unlock(&link->mutex);
    return share;
}

enum hf_share hf__ticket_share(struct hf *store, struct hf_ticket *ticket, bool give_up)
{
    enum hf_share share;

    pthread_mutex_lock(&store->link->mutex);
    if (give_up && ticket->share == HF_SHARE_WAITING)
        ticket->share = HF_SHARE_PENDING;
    share = ticket->share;
    pthread_mutex_unlock(&store->link->mutex);
    return share;
}

/* ---- the queues ---- */

static void queue_append(struct hf_live_queue *queue, struct hf_live *live)
{
    live->next = NULL;
    if (queue->last)
        queue->last->next = live;
    else
        queue->first = live;
    queue->last = live;
    queue->n++;
}

static size_t live_bytes(const struct hf_live *live)
{
    return live->key.len + live->version->value.len;
}

struct hf_live *hf__live_peek(struct hf_link *link, struct hf_live_queue *queue)
{
    struct hf_live *live;

    pthread_mutex_lock(&link->mutex);
    live = queue->first;
    pthread_mutex_unlock(&link->mutex);
    return live;
}

struct hf_live *hf__live_pop(struct hf_link *link, struct hf_live_queue *queue)
{
    struct hf_live *live;

    pthread_mutex_lock(&link->mutex);
    live = queue->first;
    if (live) {
        queue->first = live->next;
        if (!queue->first)
            queue->last = NULL;
        queue->n--;
        link->queued_bytes -= live_bytes(live);
    }
    pthread_mutex_unlock(&link->mutex);
    return live;
}

void hf__live_push_front(struct hf_link *link, struct hf_live_queue *queue, struct hf_live *live)
{
    pthread_mutex_lock(&link->mutex);
    live->next = queue->first;
    queue->first = live;
    if (!queue->last)
        queue->last = live;
    queue->n++;
    link->queued_bytes += live_bytes(live);
    pthread_mutex_unlock(&link->mutex);
}

void hf__live_finish(struct hf_link *link, struct hf_live *live, enum hf_share share, const char *reason)
{
    pthread_mutex_lock(&link->mutex);
    ticket_answer(link->store, live->ticket, share, reason);
    ticket_unref(live->ticket);
    pthread_mutex_unlock(&link->mutex);
    hf__generation_release_ref(&link->store->overlay, live->generation);
    free(live);
}

void hf__live_drop_all(struct hf_link *link)
{
    struct hf_live *live;

    while ((live = hf__live_pop(link, &link->plain)))
        hf__live_finish(link, live, HF_SHARE_PENDING, "");
    while ((live = hf__live_pop(link, &link->lane)))
        hf__live_finish(link, live, HF_SHARE_PENDING, "");
}

/* What waited in a row ends in its own way, of which no caller is told. */
static struct hf_ticket *ticket_of(const struct hf_staged *staged, struct hf_ticket *ticket)
{
    return staged->version->flags & HF_ENTRY_ROW ? NULL : ticket;
}

/* With the mutex. */
static struct hf_live *live_new(struct hf_link *link, struct hf_ns *ns, const struct hf_staged *staged,
                                struct hf_ticket *ticket)
{
    struct hf_live *live = malloc(sizeof(*live));

    if (!live)
        return NULL;
    *live = (struct hf_live){
        .key = staged->node->key,
        .version = staged->version,
        .generation = link->store->overlay.view.active,
        .ns = ns,
        .ticket = ticket_of(staged, ticket),
    };
    return live;
}

/* All of a write or nothing: a unit is sent whole. With the mutex. */
static struct hf_live *all_live(struct hf_link *link, struct hf_ns *ns, const struct hf_staged *staged, size_t n,
                                struct hf_ticket *ticket)
{
    struct hf_live *first = NULL, *live;

    if (!link->accepting || link->overflowed || link->plain.n + link->lane.n + n > QUEUE_MAX ||
        link->queued_bytes > QUEUE_BYTES_MAX)
        return NULL;
    for (size_t i = n; i-- > 0;) {
        live = live_new(link, ns, &staged[i], ticket);
        if (!live)
            break;
        live->next = first;
        first = live;
        if (i == 0)
            return first;
    }
    for (; first; first = live) {
        live = first->next;
        free(first);
    }
    return NULL;
}

/* With the mutex. */
static void queue_all(struct hf_link *link, struct hf_live *first)
{
    for (struct hf_live *live = first, *next; live; live = next) {
        next = live->next;
        hf__generation_retain(&link->store->overlay, live->generation);
        if (live->ticket)
            live->ticket->refs++;
        queue_append(live->version->flags & HF_ENTRY_LANE ? &link->lane : &link->plain, live);
        link->queued_bytes += live_bytes(live);
        link->last_enqueued = live->version->lsn;
    }
}

uint64_t hf__link_replay_before(struct hf *store)
{
    struct hf_link *link = store->link;
    uint64_t lsn;

    if (!link)
        return 0;
    pthread_mutex_lock(&link->mutex);
    lsn = link->accepting && link->state != HF_LINK_ONLINE ? link->live_from : 0;
    pthread_mutex_unlock(&link->mutex);
    return lsn;
}

void hf__link_enqueue(struct hf *store, struct hf_ns *ns, const struct hf_staged *staged, size_t n, bool judged,
                      struct hf_ticket *ticket)
{
    struct hf_link *link = store->link;
    struct hf_live *first;
    bool wake;

    pthread_mutex_lock(&link->mutex);
    for (size_t i = 0; ticket && i < n; i++)
        ticket->left += ticket_of(&staged[i], ticket) != NULL;
    first = judged ? NULL : all_live(link, ns, staged, n, ticket);
    wake = !link->busy && (first || (link->accepting && !link->overflowed));
    if (first) {
        queue_all(link, first);
    } else {
        link->overflowed |= link->accepting;
        ticket_answer(store, ticket, HF_SHARE_PENDING, "");
    }
    pthread_mutex_unlock(&link->mutex);
    if (wake)
        hf__link_wake(store);
}

/* ---- fetches ---- */

static void fetch_unlink(struct hf_link *link, struct hf_fetch_wait *wait)
{
    for (struct hf_fetch_wait **at = &link->fetches; *at; at = &(*at)->next) {
        if (*at == wait) {
            *at = wait->next;
            return;
        }
    }
}

/* With the mutex. */
static void fetch_finish(struct hf_link *link, struct hf_fetch_wait *wait, int rc, const char *reason)
{
    wait->rc = rc;
    snprintf(wait->reason, sizeof(wait->reason), "%s", reason);
    wait->out = false;
    wait->done = true;
    fetch_unlink(link, wait);
    pthread_cond_broadcast(&link->changed);
}

static int fetch_code(const struct hf_shared_error *error)
{
    switch (error->class) {
    case HF_SHARED_OK: return 0;
    case HF_SHARED_ENTRY: return HF_EWRONGTYPE;
    case HF_SHARED_AUTH: return HF_EAUTH;
    default: return HF_EOFFLINE;
    }
}

/* The copy is made on this thread: what is told of the key behind the answer finds it. */
static void fetch_done(void *ctx, struct hf_shared_fetch *fetch)
{
    struct hf_fetch_wait *wait = ctx;
    struct hf_link *link = wait->store->link;
    /* Counted from before the question: the way back never lengthens a life. */
    int64_t deadline_ms = fetch->ttl_ms < 0 ? 0 : wait->asked_ms + fetch->ttl_ms;
    int rc = fetch_code(&fetch->error);
    bool found = rc == 0 && fetch->found;
    const struct hf_slice *value = found ? &fetch->value : NULL;
    bool counts = (found || (rc == 0 && wait->seen->held)) && hf__link_history_is_known(link);

    /* What is gone there goes here, too. */
    if (counts && hf__sweep_adopt_fetched(link, wait->key, wait->seen, value, deadline_ms))
        (void)hf__write_fetched(wait->store, wait->key, value, deadline_ms, wait->seen);
    pthread_mutex_lock(&link->mutex);
    wait->fetched.found = found;
    if (found) {
        rc = hf__buf_copy(fetch->value, &wait->fetched.value);
        wait->fetched.deadline_ms = deadline_ms;
    }
    fetch_finish(link, wait, rc, fetch->error.reason);
    pthread_mutex_unlock(&link->mutex);
}

void hf__fetch_send_all(struct hf_link *link)
{
    pthread_mutex_lock(&link->mutex);
    for (struct hf_fetch_wait *wait = link->fetches, *next; wait; wait = next) {
        next = wait->next;
        if (wait->out)
            continue;
        wait->request = (struct hf_shared_fetch){.key = wait->key, .done = fetch_done, .ctx = wait};
        wait->asked_ms = hf__now_ms(link->store);
        wait->out = true;
        if (link->tier->ops->send_fetch(link->tier, &wait->request) != 0)
            fetch_finish(link, wait, HF_EOFFLINE, "the request could not be sent");
    }
    pthread_mutex_unlock(&link->mutex);
}

void hf__fetch_fail_all(struct hf_link *link, const char *reason)
{
    pthread_mutex_lock(&link->mutex);
    while (link->fetches)
        fetch_finish(link, link->fetches, HF_EOFFLINE, reason);
    pthread_mutex_unlock(&link->mutex);
}

/* With the mutex. A request that is out cannot be taken back: its answer, or the loss of the link, which the
 * transport's own deadline bounds, ends the wait. */
static void fetch_wait(struct hf_link *link, struct hf_fetch_wait *wait, const struct timespec *deadline)
{
    while (!wait->done) {
        if (wait->out)
            pthread_cond_wait(&link->changed, &link->mutex);
        else if (pthread_cond_timedwait(&link->changed, &link->mutex, deadline) == ETIMEDOUT && !wait->out &&
                 !wait->done) /* it may have ended while the mutex was taken again */
            fetch_finish(link, wait, HF_ETIMEOUT, "no answer in time");
    }
}

int hf__link_fetch(struct hf *store, struct hf_slice key, const struct hf_seen *seen,
                   struct hf_fetched *ret_fetched)
{
    struct hf_link *link = store->link;
    struct hf_fetch_wait wait = {.key = key, .seen = seen, .store = store};
    struct timespec deadline;
    char shown[80];

    hf__deadline_in(&deadline, store->opts.redis_timeout_ms);
    pthread_mutex_lock(&link->mutex);
    if (!link->accepting) {
        hf__fail(HF_EOFFLINE, "the shared tier is %s: '%s' cannot be asked for", hf_link_text(link->state),
                 hf__printable(key, shown, sizeof(shown)));
        pthread_mutex_unlock(&link->mutex);
        return HF_EOFFLINE;
    }
    wait.next = link->fetches;
    link->fetches = &wait;
    pthread_mutex_unlock(&link->mutex);
    hf__link_wake(store);
    pthread_mutex_lock(&link->mutex);
    fetch_wait(link, &wait, &deadline);
    pthread_mutex_unlock(&link->mutex);
    if (wait.rc != 0)
        return hf__fail(wait.rc, "cannot fetch '%s': %s", hf__printable(key, shown, sizeof(shown)), wait.reason);
    *ret_fetched = wait.fetched;
    return 0;
}
