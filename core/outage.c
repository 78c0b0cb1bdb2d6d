/* Outage policies: who is refused, who waits, and who writes for this node alone. */
#include "outage.h"

#include "deadline.h"
#include "fail.h"
#include "link_state.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

/* With the mutex. An attempt to connect takes writes only when it is the first one since the store was opened. */
static enum hf_reach reach(const struct hf_link *link)
{
    if (!link->accepting || link->stopping || link->by_operator.paused)
        return HF_REACH_AWAY;
    switch (link->state) {
    case HF_LINK_REPLAYING:
    case HF_LINK_ONLINE: return HF_REACH_THERE;
    case HF_LINK_CONNECTING:
    case HF_LINK_CATCHING_UP: return HF_REACH_SOON;
    default: return HF_REACH_AWAY;
    }
}

enum hf_reach hf__reach(struct hf *store)
{
    struct hf_link *link = store->link;
    enum hf_reach now;

    if (!link)
        return HF_REACH_AWAY;
    pthread_mutex_lock(&link->mutex);
    now = reach(link);
    pthread_mutex_unlock(&link->mutex);
    return now;
}

bool hf__reach_is_healthy(struct hf *store)
{
    struct hf_link *link = store->link;
    bool healthy;

    if (!link)
        return false;
    pthread_mutex_lock(&link->mutex);
    healthy = reach(link) == HF_REACH_THERE && link->state == HF_LINK_ONLINE && !link->overflowed;
    pthread_mutex_unlock(&link->mutex);
    return healthy;
}

/* Once connected, rows are collected only after a checkpoint that began after that. */
bool hf__reach_sends_nothing(struct hf *store)
{
    struct hf_link *link = store->link;
    bool nothing;

    if (!link)
        return true;
    pthread_mutex_lock(&link->mutex);
    nothing = !link->accepting &&
              (link->state == HF_LINK_OFFLINE || link->state == HF_LINK_HELD || link->state == HF_LINK_CONNECTING);
    pthread_mutex_unlock(&link->mutex);
    return nothing;
}

/* ---- refuse ---- */

bool hf__outage_refuses(const struct hf *store, const struct hf_ns *ns)
{
    return ns->outage == HF_OUTAGE_REFUSE && store->sharing && ns->write_mode != HF_WRITE_LOCAL;
}

/* A short absence is waited out: it is told only when it lasts. */
static enum hf_reach await(struct hf *store)
{
    struct hf_link *link = store->link;
    struct timespec deadline;
    enum hf_reach now;
    int rc = 0;

    hf__deadline_in(&deadline, store->opts.redis_timeout_ms);
    pthread_mutex_lock(&link->mutex);
    while ((now = reach(link)) == HF_REACH_SOON && rc != ETIMEDOUT)
        rc = pthread_cond_timedwait(&link->changed, &link->mutex, &deadline);
    pthread_mutex_unlock(&link->mutex);
    return now;
}

int hf__outage_check(struct hf *store, const struct hf_ns *ns, struct hf_slice key, bool waits)
{
    struct hf_link_status link;
    enum hf_reach now;
    char shown[80];

    if (!hf__outage_refuses(store, ns))
        return 0;
    now = hf__reach(store);
    if (now == HF_REACH_SOON && waits)
        now = await(store);
    if (now == HF_REACH_THERE)
        return 0;
    hf__link_status(store, &link);
    return hf__fail(HF_EOFFLINE, "the shared tier is %s%s%s, and namespace '%.*s' refuses '%s' without it",
                    hf_link_text(link.state), link.reason[0] ? ": " : "", link.reason, (int)ns->prefix.len,
                    ns->prefix.len ? (const char *)ns->prefix.data : "", hf__printable(key, shown, sizeof(shown)));
}

/* ---- local ---- */

bool hf__outage_is_local(struct hf *store, const struct hf_ns *ns)
{
    return ns->outage == HF_OUTAGE_LOCAL && hf__reach(store) == HF_REACH_AWAY;
}
