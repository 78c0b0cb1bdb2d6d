/* The completion thread. */
#include "done.h"

#include "deadline.h"
#include "fail.h"

#include <stdlib.h>

/* A settlement to be told, with its key and reason behind it. */
struct told {
    struct told *next;
    struct hf_settlement settlement;
    char bytes[];
};

struct hf_done_queue {
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    bool closing, poked;
    _Atomic bool waiting; /* there are some: pokes matter */
    struct hf_submission *first, *last;
    struct told *told_first, *told_last;
};

/* Whether it can be completed now; its result is filled in then. Without the queue's lock. */
static bool complete(struct hf *store, struct hf_submission *s)
{
    struct hf_result *r = &s->result;
    bool stopped = hf__journal_stopped(store->journal);
    enum hf_share share = HF_SHARE_PENDING;

    if (hf__journal_safe_lsn(store->journal) < r->lsn) {
        if (!stopped)
            return false;
        r->code = HF_EUNKNOWN;
        r->error = "the journal could not write or sync the entry, and has stopped";
        return true;
    }
    r->durable = hf__journal_durable_lsn(store->journal) >= r->lsn;
    if (s->ticket && !s->alone)
        share = hf__ticket_share(store, s->ticket, hf__deadline_passed(&s->deadline));
    if (share == HF_SHARE_WAITING)
        return false;
    r->shared = (!s->may_share && !s->alone) || share == HF_SHARE_DONE;
    r->pending = s->may_share && share == HF_SHARE_PENDING;
    if (share == HF_SHARE_DONE && s->ticket->has_number) {
        r->number = s->ticket->number;
        r->tentative = false;
    }
    if (share == HF_SHARE_REFUSED) {
        r->code = HF_EREFUSED;
        r->error = s->ticket->reason;
    }
    if (s->must_share && share == HF_SHARE_PENDING) {
        r->code = HF_EUNKNOWN;
        r->error = HF_UNANSWERED;
    }
    return true;
}

static void finish(struct hf *store, struct hf_submission *s)
{
    s->done(s->ctx, &s->result);
    hf__ticket_release_ref(store, s->ticket);
    free(s);
}

static struct hf_submission *first_of(struct hf_done_queue *q)
{
    struct hf_submission *first;

    pthread_mutex_lock(&q->mutex);
    first = q->first;
    pthread_mutex_unlock(&q->mutex);
    return first;
}

/* Take the first one off the line. */
static void pop(struct hf_done_queue *q)
{
    pthread_mutex_lock(&q->mutex);
    q->first = q->first->next;
    if (!q->first)
        q->last = NULL;
    atomic_store(&q->waiting, q->first != NULL);
    pthread_mutex_unlock(&q->mutex);
}

/* Sleep until there is a submission or a poke, or the first submission has waited long enough. With the lock. */
static void sleep_until_poked(struct hf_done_queue *q)
{
    const struct hf_submission *first = q->first;

    if (first && first->ticket)
        (void)pthread_cond_timedwait(&q->wake, &q->mutex, &first->deadline); /* the caller looks in any case */
    else
        pthread_cond_wait(&q->wake, &q->mutex);
}

static bool first_has_waited(const struct hf_done_queue *q)
{
    const struct hf_submission *first = q->first;

    return first && first->ticket && hf__deadline_passed(&first->deadline);
}

/* Wait for something to do; `stuck`: the first one could not be completed a moment ago. False: there is nothing, and nothing will
 * come. */
static bool wait_for_something(struct hf_done_queue *q, bool stuck)
{
    bool there_is;

    pthread_mutex_lock(&q->mutex);
    while (!q->poked && (q->first ? stuck : !q->closing)) {
        sleep_until_poked(q);
        stuck = stuck && !first_has_waited(q);
    }
    q->poked = false;
    there_is = q->first || !q->closing;
    pthread_mutex_unlock(&q->mutex);
    return there_is;
}

/* ---- settlements ---- */

static struct told *told_new(const struct hf_settlement *settlement)
{
    size_t key = settlement->key.len, reason = strlen(settlement->reason) + 1;
    struct told *told = malloc(sizeof(*told) + key + reason);

    if (!told)
        return NULL;
    told->next = NULL;
    told->settlement = *settlement;
    memcpy(told->bytes, settlement->key.data, key);
    memcpy(told->bytes + key, settlement->reason, reason);
    told->settlement.key = hf__slice(told->bytes, key);
    told->settlement.reason = told->bytes + key;
    return told;
}

void hf__done_settled(struct hf *store, const struct hf_settlement *settlement)
{
    struct hf_done_queue *q = store->done;
    struct told *told;

    atomic_fetch_add(&store->settled_by[settlement->outcome], 1);
    told = store->opts.settled ? told_new(settlement) : NULL; /* without memory it is counted and not told */
    if (!told)
        return;
    pthread_mutex_lock(&q->mutex);
    if (q->told_last)
        q->told_last->next = told;
    else
        q->told_first = told;
    q->told_last = told;
    q->poked = true;
    pthread_cond_signal(&q->wake);
    pthread_mutex_unlock(&q->mutex);
}

/* Collected first, then called, with no lock held. */
static void tell_all(struct hf *store)
{
    struct hf_done_queue *q = store->done;
    struct told *told, *next;

    pthread_mutex_lock(&q->mutex);
    told = q->told_first;
    q->told_first = q->told_last = NULL;
    pthread_mutex_unlock(&q->mutex);
    for (; told; told = next) {
        next = told->next;
        store->opts.settled(store->opts.settled_ctx, &told->settlement);
        free(told);
    }
}

/* False: there is none, or the first one cannot be completed yet. */
static bool complete_first(struct hf *store)
{
    struct hf_submission *s = first_of(store->done);

    if (!s || !complete(store, s))
        return false;
    pop(store->done);
    finish(store, s);
    return true;
}

static void *done_main(void *arg)
{
    struct hf *store = arg;
    struct hf_done_queue *q = store->done;
    bool stuck = false;

    pthread_setname_np(pthread_self(), "hf-done");
    while (wait_for_something(q, stuck)) {
        tell_all(store);
        stuck = !complete_first(store);
    }
    tell_all(store);
    return NULL;
}

int hf__done_start(struct hf *store)
{
    struct hf_done_queue *q = calloc(1, sizeof(*q));
    int rc;

    if (!q)
        return hf__fail(HF_ENOMEM, "out of memory: the completion queue");
    pthread_mutex_init(&q->mutex, NULL);
    hf__cond_init(&q->wake);
    store->done = q;
    rc = pthread_create(&q->thread, NULL, done_main, store);
    if (rc != 0) {
        store->done = NULL;
        free(q);
        return hf__fail_errno(HF_ENOMEM, rc, "cannot start the completion thread");
    }
    return 0;
}

void hf__done_stop(struct hf *store)
{
    struct hf_done_queue *q = store->done;

    if (!q)
        return;
    pthread_mutex_lock(&q->mutex);
    q->closing = true;
    q->poked = true;
    pthread_cond_signal(&q->wake);
    pthread_mutex_unlock(&q->mutex);
    pthread_join(q->thread, NULL);
}

void hf__done_free(struct hf *store)
{
    struct hf_done_queue *q = store->done;

    if (!q)
        return;
    tell_all(store);
    pthread_mutex_destroy(&q->mutex);
    pthread_cond_destroy(&q->wake);
    free(q);
    store->done = NULL;
}

/* The sync that it waits for is still to come, and pokes when it has ended. `waiting` is set: a sync that ends meanwhile sees it. */
static bool comes_with_a_sync(struct hf *store, const struct hf_submission *s)
{
    return !s->ticket && hf__journal_safe_lsn(store->journal) < s->result.lsn &&
           !hf__journal_stopped(store->journal);
}

void hf__done_submit(struct hf *store, struct hf_submission *submission)
{
    struct hf_done_queue *q = store->done;

    submission->next = NULL;
    pthread_mutex_lock(&q->mutex);
    if (q->last)
        q->last->next = submission;
    else
        q->first = submission;
    q->last = submission;
    atomic_store(&q->waiting, true);
    if (q->first == submission &&
        !comes_with_a_sync(store, submission)) { /* behind another one, that one's end leads here */
        q->poked = true;
        pthread_cond_signal(&q->wake);
    }
    pthread_mutex_unlock(&q->mutex);
}

void hf__done_poke(struct hf *store)
{
    struct hf_done_queue *q = store->done;

    if (!q || !atomic_load(&q->waiting))
        return;
    pthread_mutex_lock(&q->mutex);
    q->poked = true;
    pthread_cond_signal(&q->wake);
    pthread_mutex_unlock(&q->mutex);
}
