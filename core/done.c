/* The completion thread. */
#include "done.h"

#include "deadline.h"
#include "fail.h"

#include <stdlib.h>

struct hf_done_queue {
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    bool closing, poked;
    _Atomic bool waiting; /* there are submissions: pokes matter */
    struct hf_submission *first, *last;
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
    if (s->ticket)
        share = hf__ticket_share(store, s->ticket, hf__deadline_passed(&s->deadline));
    if (share == HF_SHARE_WAITING)
        return false;
    r->durable = hf__journal_durable_lsn(store->journal) >= r->lsn;
    r->shared = !s->may_share || share == HF_SHARE_DONE;
    r->pending = s->may_share && share == HF_SHARE_PENDING;
    if (share == HF_SHARE_DONE && s->ticket->has_number) {
        r->number = s->ticket->number;
        r->tentative = false;
    }
    if (share == HF_SHARE_REFUSED) {
        r->code = HF_EREFUSED;
        r->error = s->ticket->reason;
    }
    return true;
}

static void finish(struct hf *store, struct hf_submission *s)
{
    s->done(s->ctx, &s->result);
    hf__ticket_release_ref(store, s->ticket);
    free(s);
}

/* Take the first submission off the queue. */
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
    if (q->first && q->first->ticket)
        (void)pthread_cond_timedwait(&q->wake, &q->mutex, &q->first->deadline); /* the caller looks in any case */
    else
        pthread_cond_wait(&q->wake, &q->mutex);
}

/* The first submission; `stuck`: it could not be completed a moment ago. NULL when closing and empty. */
static struct hf_submission *wait_for_first(struct hf_done_queue *q, bool stuck)
{
    struct hf_submission *first;

    pthread_mutex_lock(&q->mutex);
    while (!q->poked && (q->first ? stuck : !q->closing)) {
        sleep_until_poked(q);
        stuck = stuck && !(q->first && q->first->ticket && hf__deadline_passed(&q->first->deadline));
    }
    q->poked = false;
    while (!q->first && !q->closing)
        pthread_cond_wait(&q->wake, &q->mutex);
    first = q->first;
    pthread_mutex_unlock(&q->mutex);
    return first;
}

static void *done_main(void *arg)
{
    struct hf *store = arg;
    struct hf_done_queue *q = store->done;
    struct hf_submission *s;
    bool stuck = false;

    pthread_setname_np(pthread_self(), "hf-done");
    while ((s = wait_for_first(q, stuck))) {
        stuck = !complete(store, s);
        if (!stuck) {
            pop(q);
            finish(store, s);
        }
    }
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
    pthread_mutex_destroy(&q->mutex);
    pthread_cond_destroy(&q->wake);
    free(q);
    store->done = NULL;
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
    if (q->first == submission) { /* behind another one, that one's end leads here */
        q->poked = true;
        pthread_cond_signal(&q->wake);
    }
    q->last = submission;
    atomic_store(&q->waiting, true);
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
