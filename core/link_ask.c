/* The queue of questions from other threads. */
#include "link_ask.h"

#include "deadline.h"
#include "fail.h"
#include "link_state.h"

#include <errno.h>
#include <stdio.h>

static void ask_unlink(struct hf_link *link, struct hf_ask *ask)
{
    for (struct hf_ask **at = &link->asks; *at; at = &(*at)->next) {
        if (*at == ask) {
            *at = ask->next;
            return;
        }
    }
}

/* With the mutex. */
static void ask_finish(struct hf_link *link, struct hf_ask *ask, int rc, const char *reason)
{
    ask->rc = rc;
    snprintf(ask->reason, sizeof(ask->reason), "%s", reason);
    ask->out = false;
    ask->done = true;
    ask_unlink(link, ask);
    pthread_cond_broadcast(&link->changed);
}

static int code_of(const struct hf_shared_error *error)
{
    switch (error->class) {
    case HF_SHARED_OK: return 0;
    case HF_SHARED_ENTRY: return HF_EREFUSED;
    case HF_SHARED_AUTH: return HF_EAUTH;
    default: return HF_EOFFLINE;
    }
}

void hf__ask_done(struct hf_ask *ask, const struct hf_shared_error *error)
{
    struct hf_link *link = ask->link; /* the asker's stack may be gone as soon as the mutex is free */

    pthread_mutex_lock(&link->mutex);
    ask_finish(link, ask, code_of(error), error->reason);
    pthread_mutex_unlock(&link->mutex);
}

void hf__ask_send_all(struct hf_link *link)
{
    pthread_mutex_lock(&link->mutex);
    link->asking = true;
    for (struct hf_ask *ask = link->asks, *next; ask; ask = next) {
        next = ask->next;
        if (ask->out)
            continue;
        ask->out = true;
        if (ask->send(ask, link->tier) != 0)
            ask_finish(link, ask, HF_EOFFLINE, hf_errmsg());
    }
    pthread_mutex_unlock(&link->mutex);
}

void hf__ask_fail_all(struct hf_link *link, const char *reason)
{
    pthread_mutex_lock(&link->mutex);
    link->asking = false;
    while (link->asks)
        ask_finish(link, link->asks, HF_EOFFLINE, reason);
    pthread_mutex_unlock(&link->mutex);
}

/* With the mutex. What is out cannot be taken back: its answer, or the loss of the link, ends the wait. */
static void ask_wait(struct hf_link *link, struct hf_ask *ask, const struct timespec *deadline)
{
    while (!ask->done) {
        if (ask->out)
            pthread_cond_wait(&link->changed, &link->mutex);
        else if (pthread_cond_timedwait(&link->changed, &link->mutex, deadline) == ETIMEDOUT && !ask->out &&
                 !ask->done) /* it may have ended while the mutex was taken again */
            ask_finish(link, ask, HF_ETIMEOUT, "the link did not come to ask in time");
    }
}

/* Returns false when nobody would answer. */
static bool enqueue(struct hf_link *link, struct hf_ask *ask)
{
    bool asking;

    pthread_mutex_lock(&link->mutex);
    asking = link->asking;
    if (asking) {
        ask->next = link->asks;
        link->asks = ask;
    } else {
        hf__fail(HF_EOFFLINE, "the shared tier is %s%s%s", hf_link_text(link->state), link->reason[0] ? ": " : "",
                 link->reason);
    }
    pthread_mutex_unlock(&link->mutex);
    return asking;
}

int hf__link_ask_within(struct hf *store, struct hf_ask *ask, int timeout_ms)
{
    struct hf_link *link = store->link;
    struct timespec deadline;

    if (!link)
        return hf__fail(HF_EOFFLINE, "the store was opened without a shared tier: there is nobody to ask");
    ask->link = link;
    ask->out = ask->done = false;
    hf__deadline_in(&deadline, timeout_ms);
    if (!enqueue(link, ask))
        return HF_EOFFLINE;
    hf__link_wake(store);
    pthread_mutex_lock(&link->mutex);
    ask_wait(link, ask, &deadline);
    pthread_mutex_unlock(&link->mutex);
    return ask->rc == 0 ? 0 : hf__fail(ask->rc, "cannot ask the shared tier: %s", ask->reason);
}

int hf__link_ask(struct hf *store, struct hf_ask *ask)
{
    return hf__link_ask_within(store, ask, store->opts.redis_timeout_ms);
}

/* ---- examinations ---- */

static void examined(void *ctx, struct hf_shared_examine *examine)
{
    struct hf_ask_examine *ask = ctx;
    struct hf_shared_error error = examine->error;

    if (error.class == HF_SHARED_OK && ask->take)
        ask->take(ask->ctx, examine);
    hf__ask_done(&ask->ask, &error);
}

static int send_examine(struct hf_ask *base, struct hf_shared_tier *tier)
{
    struct hf_ask_examine *ask = (struct hf_ask_examine *)base;

    if (ask->before)
        ask->before(ask->ctx, base->link);
    return tier->ops->send_examine(tier, &ask->examine);
}

int hf__ask_examine(struct hf *store, struct hf_ask_examine *ask)
{
    ask->ask = (struct hf_ask){.send = send_examine};
    ask->examine.done = examined;
    ask->examine.ctx = ask;
    return hf__link_ask(store, &ask->ask);
}

/* ---- facts ---- */

struct facts_ask {
    struct hf_ask ask; /* first */
    struct hf_shared_facts facts;
};

static void facts_done(void *ctx, struct hf_shared_facts *facts)
{
    hf__ask_done(ctx, &facts->error);
}

static int send_facts(struct hf_ask *ask, struct hf_shared_tier *tier)
{
    struct facts_ask *a = (struct facts_ask *)ask;

    return tier->ops->send_facts(tier, &a->facts);
}

int hf__ask_facts(struct hf *store, struct hf_shared_facts *ret_facts)
{
    struct facts_ask a = {.ask = {.send = send_facts}, .facts = {.done = facts_done}};
    int rc;

    a.facts.ctx = &a.ask;
    rc = hf__link_ask(store, &a.ask);
    if (rc == 0)
        *ret_facts = a.facts;
    return rc;
}
