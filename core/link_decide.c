/* Decisions on their way to Redis and back.
 *
 * A key's own earlier changes go first: a decision waits until nothing of its key is owed, and from then on until its
 * answer nobody writes the key here (intent.h). So the order in the journal is the order in Redis. */
#include "link_state.h"

#include "checkpoint.h"
#include "deadline.h"
#include "decide.h"
#include "fail.h"
#include "lookup.h"

#include <errno.h>
#include <stdio.h>

bool hf__link_is_accepting(struct hf *store)
{
    struct hf_link *link = store->link;
    bool accepting;

    if (!link)
        return false;
    pthread_mutex_lock(&link->mutex);
    accepting = link->accepting;
    pthread_mutex_unlock(&link->mutex);
    return accepting;
}

/* ---- the queue; with the mutex ---- */

static void append(struct hf_link *link, struct hf_decide_wait *wait)
{
    struct hf_decide_wait **at = &link->decides;

    while (*at)
        at = &(*at)->next;
    *at = wait;
}

static void finish(struct hf_link *link, struct hf_decide_wait *wait, int rc, const char *reason)
{
    struct hf_decide_wait **at = &link->decides;

    while (*at != wait)
        at = &(*at)->next;
    *at = wait->next;
    wait->rc = rc;
    snprintf(wait->reason, sizeof(wait->reason), "%s", reason);
    wait->out = false;
    wait->done = true;
    pthread_cond_broadcast(&link->changed);
}

void hf__decide_fail_all(struct hf_link *link, const char *reason)
{
    pthread_mutex_lock(&link->mutex);
    while (link->decides)
        finish(link, link->decides, HF_EOFFLINE, reason);
    pthread_mutex_unlock(&link->mutex);
}

/* ---- the answer ---- */

static int code_of(const struct hf_shared_error *error)
{
    switch (error->class) {
    case HF_SHARED_OK: return 0;
    case HF_SHARED_LINK: return HF_EUNKNOWN;
    case HF_SHARED_AUTH: return HF_EAUTH;
    case HF_SHARED_ENTRY: return strncmp(error->reason, "WRONGTYPE", 9) == 0 ? HF_EWRONGTYPE : HF_EREFUSED;
    default: return HF_EOFFLINE; /* not applied, and Redis cannot decide now */
    }
}

/* What becomes of the intent, and of the copy. */
static void take_answer(struct hf_link *link, struct hf_decide_wait *wait)
{
    struct hf *store = link->store;
    struct hf_decision *d = wait->decision;

    if (wait->request.error.class == HF_SHARED_OK) {
        hf__decision_answered(store, d, &wait->request, wait->asked_ms);
    } else if (wait->request.error.class == HF_SHARED_LINK) {
        hf__intent_leave(store, d->intent);
        d->intent = NULL;
    } else {
        pthread_mutex_lock(&store->write_mutex);
        hf__intent_come_back(store, d->intent);
        pthread_mutex_unlock(&store->write_mutex);
    }
}

/* Before the copy says so: see take_acks in link_send.c. */
static void take_ack(struct hf_link *link, struct hf_ns *ns, const struct hf_shared_decide *request)
{
    if (request->log.missing)
        hf__ns_forget_log(ns);
    if (request->error.class != HF_SHARED_OK || !request->log.last_id[0])
        return;
    hf__ns_note_acked(ns, request->lsn, request->log.last_id);
    hf__link_publish_cursor(link, ns);
}

static void take_log(struct hf_link *link, struct hf_ns *ns, const struct hf_shared_log *log)
{
    if (log->last_id[0] && !ns->log_unread)
        snprintf(ns->log_id, sizeof(ns->log_id), "%s", log->last_id);
    hf__link_publish_cursor(link, ns);
}

/* After `finish` the request is the caller's, and perhaps gone. A user who may not decide may still do all else. */
static void decide_done(void *ctx, struct hf_shared_decide *request)
{
    struct hf_decide_wait *wait = ctx;
    struct hf_link *link = wait->store->link;
    struct hf_shared_error error = request->error;
    bool log_missing = request->log.missing;

    take_ack(link, wait->ns, request);
    take_answer(link, wait);
    if (error.class == HF_SHARED_OK)
        take_log(link, wait->ns, &request->log);
    pthread_mutex_lock(&link->mutex);
    finish(link, wait, code_of(&error), error.reason);
    pthread_mutex_unlock(&link->mutex);
    hf__link_out(link, false);
    if (error.class == HF_SHARED_LINK)
        return; /* `lost` follows */
    if (error.class == HF_SHARED_FENCE || (error.class == HF_SHARED_STATE && !error.oom)) {
        hf__link_fail(link, &error);
        return;
    }
    if (log_missing) {
        hf__link_set_state(link, HF_LINK_CATCHING_UP, "the change log is gone");
        hf__link_restart_catch_up(link);
    }
    hf__link_pump(link);
}

/* ---- sending ---- */

static bool is_free(struct hf_look *look, struct hf_slice key)
{
    struct hf_found found;
    enum hf_owed owed;

    return hf__look_up(look, key, &found) == 0 && hf__look_owed(look, key, &found, &owed) == 0 &&
           owed == HF_OWED_NOTHING;
}

/* With the write lock and the mutex: the oldest one whose key owes nothing. */
static struct hf_decide_wait *choose(struct hf_link *link)
{
    struct hf_decide_wait *wait;
    struct hf_look look;

    if (hf__look_begin(link->store, &look) != 0)
        return NULL;
    for (wait = link->decides; wait; wait = wait->next) {
        if (is_free(&look, wait->decision->key))
            break;
    }
    hf__look_end(&look);
    if (wait) {
        wait->out = true;
        hf__intent_go_out(link->store, wait->decision->intent);
    }
    return wait;
}

static struct hf_decide_wait *take_next(struct hf_link *link)
{
    struct hf_decide_wait *wait;

    pthread_mutex_lock(&link->mutex);
    wait = link->decides;
    pthread_mutex_unlock(&link->mutex);
    if (!wait)
        return NULL;
    pthread_mutex_lock(&link->store->write_mutex);
    pthread_mutex_lock(&link->mutex);
    wait = choose(link);
    pthread_mutex_unlock(&link->mutex);
    pthread_mutex_unlock(&link->store->write_mutex);
    return wait;
}

static void fill_request(struct hf_link *link, struct hf_decide_wait *wait)
{
    const struct hf_decision *d = wait->decision;
    struct hf_ns *ns = wait->ns;

    wait->request = (struct hf_shared_decide){
        .op = d->op,
        .key = d->key,
        .expected = d->expected,
        .value = d->value,
        .ttl_ms = hf__decision_ttl_ms(link->store, d),
        .fence_key = hf__slice(ns->fence_key.data, ns->fence_key.len),
        .lsn = d->intent->lsn,
        .done = decide_done,
        .ctx = wait,
    };
    if (ns->with_log)
        wait->request.log =
            (struct hf_shared_log){.key = hf__slice(ns->log_key.data, ns->log_key.len), .max_entries = ns->log_max};
    wait->asked_ms = hf__now_ms(link->store);
}

bool hf__link_send_decide(struct hf_link *link)
{
    struct hf_decide_wait *wait;
    struct hf *store = link->store;

    if (link->state != HF_LINK_REPLAYING && link->state != HF_LINK_ONLINE)
        return false;
    wait = take_next(link);
    if (!wait)
        return false;
    fill_request(link, wait);
    wait->decision->asked_boot_ms = store->parts.clock->boot_ms(store->parts.clock);
    hf__link_note_sent(link, wait->request.lsn);
    hf__link_out(link, true);
    if (link->tier->ops->send_decide(link->tier, &wait->request) == 0)
        return true;
    wait->request.error = (struct hf_shared_error){.class = HF_SHARED_STATE};
    take_answer(link, wait);
    pthread_mutex_lock(&link->mutex);
    finish(link, wait, HF_EOFFLINE, "the request could not be sent");
    pthread_mutex_unlock(&link->mutex);
    hf__link_out(link, false);
    return false;
}

/* ---- what nobody heard ---- */

/* A key that owes something is fetched when that is shared: only then is what Redis holds the whole truth. */
static bool may_fetch(struct hf_link *link, struct hf_slice key)
{
    struct hf_look look;
    bool may = hf__look_begin(link->store, &look) == 0 && is_free(&look, key);

    hf__look_end(&look);
    return may;
}

static struct hf_intent *next_left(struct hf_intent *intent)
{
    while (intent && !intent->left)
        intent = intent->next;
    return intent;
}

/* With the write lock. Those whose keys were fetched since are ended, others are put on the list. A key that was
 * written again before its turn came was passed over: it gets another one. */
static void note_left(struct hf_link *link)
{
    bool asked = hf__refresh_is_asked(link);

    for (struct hf_intent *intent = next_left(link->store->intents.first), *next; intent; intent = next) {
        struct hf_slice key = hf__slice(intent->key.data, intent->key.len);
        next = next_left(intent->next);
        if (intent->noted && (!asked || hf__notes_find(&link->refresh.denied, key)))
            continue;
        if (!may_fetch(link, key))
            intent->noted = false;
        else if (intent->noted)
            hf__intent_end(link->store, intent);
        else
            intent->noted = hf__refresh_add(link, key, false) == 0; /* without memory it is met again */
    }
}

void hf__decide_note_left(struct hf_link *link)
{
    if (atomic_load(&link->store->intents.n_left) == 0)
        return;
    pthread_mutex_lock(&link->store->write_mutex);
    note_left(link);
    pthread_mutex_unlock(&link->store->write_mutex);
}

/* ---- the caller's side ---- */

/* With the mutex. A request that is out cannot be taken back: its answer, or the loss of the link, which the
 * transport's own deadline bounds, ends the wait. */
static void wait_for(struct hf_link *link, struct hf_decide_wait *wait, const struct timespec *deadline)
{
    while (!wait->done) {
        if (wait->out)
            pthread_cond_wait(&link->changed, &link->mutex);
        else if (pthread_cond_timedwait(&link->changed, &link->mutex, deadline) == ETIMEDOUT && !wait->out &&
                 !wait->done) /* it may have ended while the mutex was taken again */
            finish(link, wait, HF_EOFFLINE, "its older changes, or the link, took too long");
    }
}

static int fail_with(const struct hf_decide_wait *wait)
{
    char shown[80];

    if (wait->rc == HF_EUNKNOWN)
        return hf__fail(wait->rc, "the connection broke before Redis told what it decided on '%s': %s",
                        hf__printable(wait->decision->key, shown, sizeof(shown)), wait->reason);
    return hf__fail(wait->rc, "Redis could not decide on '%s': %s",
                    hf__printable(wait->decision->key, shown, sizeof(shown)), wait->reason);
}

static int refuse(struct hf_link *link, struct hf_slice key)
{
    char shown[80];
    int rc = 0;

    pthread_mutex_lock(&link->mutex);
    if (!link->accepting)
        rc = hf__fail(HF_EOFFLINE, "the shared tier is %s: nobody can decide on '%s'", hf_link_text(link->state),
                      hf__printable(key, shown, sizeof(shown)));
    pthread_mutex_unlock(&link->mutex);
    return rc;
}

int hf__link_decide(struct hf *store, struct hf_decision *d)
{
    struct hf_link *link = store->link;
    struct hf_decide_wait wait = {.store = store, .ns = hf__ns_of(&store->namespaces, d->key), .decision = d};
    struct timespec deadline;
    int rc = refuse(link, d->key);

    if (rc == 0)
        rc = hf__checkpoint_throttle(store);
    if (rc == 0 && !d->intent)
        rc = hf__intent_begin(store, d->key, &d->intent);
    if (rc != 0)
        return rc;
    hf__deadline_in(&deadline, store->opts.redis_timeout_ms); /* a slow disk here is not Redis's time */
    pthread_mutex_lock(&link->mutex);
    append(link, &wait);
    if (!link->accepting)
        finish(link, &wait, HF_EOFFLINE, "the shared tier has gone away");
    pthread_mutex_unlock(&link->mutex);
    hf__link_wake(store);
    pthread_mutex_lock(&link->mutex);
    wait_for(link, &wait, &deadline);
    pthread_mutex_unlock(&link->mutex);
    return wait.rc == 0 ? 0 : fail_with(&wait);
}
