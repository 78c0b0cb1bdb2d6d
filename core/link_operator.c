/* What an operator has said to the link: hold back, go slower, what to do about a loss. */
#include "link_state.h"

#include "audit.h"
#include "fail.h"

#include <stdio.h>

/* ---- holding back ---- */

static const char *why_held_back(struct hf_link *link)
{
    bool paused;

    pthread_mutex_lock(&link->mutex);
    paused = link->by_operator.paused;
    pthread_mutex_unlock(&link->mutex);
    if (link->store->opts.look_only)
        return "opened only to look: nothing is sent";
    return paused ? "paused by the operator: `holdfast resume` lets it go on" : NULL;
}

/* With no request out: what is queued becomes pending. */
static void hold_back(struct hf_link *link, const char *why)
{
    link->held_back = true;
    hf__sweep_release(link);
    hf__link_distrust_copies(link);
    hf__link_leave_live(link);
    hf__link_set_state(link, HF_LINK_HELD, why);
}

static void let_go(struct hf_link *link)
{
    link->held_back = false;
    hf__link_set_state(link, HF_LINK_CATCHING_UP, "");
    hf__link_restart_catch_up(link);
    hf__link_restart_live(link);
}

bool hf__link_is_held_back(struct hf_link *link)
{
    const char *why = why_held_back(link);

    if (why && !link->held_back && !link->out && !link->sweep.out)
        hold_back(link, why);
    else if (!why && link->held_back)
        let_go(link);
    return why != NULL; /* nothing more is sent, also while the answers to what is out are awaited */
}

void hf__link_operator(struct hf *store, const struct hf_operator *settings)
{
    struct hf_link *link = store->link;

    if (!link)
        return;
    pthread_mutex_lock(&link->mutex);
    link->by_operator = *settings;
    pthread_mutex_unlock(&link->mutex);
    hf__link_wake(store);
}

/* A file that cannot be read says nothing new: what was set stays, and whoever looks at it next is told. */
void hf__link_check_operator(struct hf *store)
{
    struct hf_link *link = store->link;
    struct hf_operator settings;

    if (!link)
        return;
    pthread_mutex_lock(&link->operator_mutex);
    if (hf__operator_changed(store) && hf__operator_load(store, &settings) == 0)
        hf__link_operator(store, &settings);
    pthread_mutex_unlock(&link->operator_mutex);
}

/* ---- the pace ---- */

static void bounds(struct hf_link *link, uint64_t *ops_per_s, uint64_t *bytes_per_s)
{
    struct hf_operator set;

    pthread_mutex_lock(&link->mutex);
    set = link->by_operator;
    pthread_mutex_unlock(&link->mutex);
    *ops_per_s = set.throttled ? set.replay_ops_per_s : link->store->opts.replay_ops_per_s;
    *bytes_per_s = set.throttled ? set.replay_bytes_per_s : link->store->opts.replay_bytes_per_s;
}

void hf__link_delay_replay(struct hf_link *link)
{
    int max_ms = link->store->opts.replay_delay_max_ms;

    link->rows_not_before_ms = max_ms > 0 ? link->turn.now_ms + hf__link_jittered(link, max_ms) : 0;
}

#define TENTHS 10u /* a throttled replay goes in bursts of a tenth of a second */

unsigned hf__link_rows_allowed(struct hf_link *link)
{
    int64_t wait_ms = link->rows_not_before_ms - link->turn.now_ms;
    uint64_t ops_per_s, bytes_per_s;

    if (wait_ms > 0) {
        hf__link_wake_in(link, (int)wait_ms);
        return 0;
    }
    bounds(link, &ops_per_s, &bytes_per_s);
    if (ops_per_s == 0 || ops_per_s / TENTHS >= link->rows_budget)
        return link->rows_budget;
    return ops_per_s < TENTHS ? 1 : (unsigned)(ops_per_s / TENTHS);
}

void hf__link_spend(struct hf_link *link, size_t n_ops, size_t n_bytes)
{
    uint64_t ops_per_s, bytes_per_s, by_ops_ms = 0, by_bytes_ms = 0;

    bounds(link, &ops_per_s, &bytes_per_s);
    if (ops_per_s > 0)
        by_ops_ms = n_ops * 1000u / ops_per_s;
    if (bytes_per_s > 0)
        by_bytes_ms = n_bytes * 1000u / bytes_per_s;
    link->rows_not_before_ms = link->turn.now_ms + (int64_t)(by_ops_ms > by_bytes_ms ? by_ops_ms : by_bytes_ms);
}

/* ---- what to do about a loss ---- */

static struct hf_ns *find_ns(struct hf *store, struct hf_slice prefix)
{
    for (size_t i = 0; i < store->namespaces.n; i++) {
        struct hf_ns *ns = &store->namespaces.all[i];
        if (hf__slice_eq(prefix, hf__slice(ns->prefix.data, ns->prefix.len)))
            return ns;
    }
    return NULL;
}

static bool awaits_decision(struct hf_link *link, const struct hf_ns *ns)
{
    bool awaits;

    pthread_mutex_lock(&link->mutex);
    awaits = ns->awaits_decision;
    pthread_mutex_unlock(&link->mutex);
    return awaits;
}

static int check_decision(struct hf *store, struct hf_slice prefix, enum hf_loss_policy policy,
                          struct hf_ns **ret_ns)
{
    char shown[80];
    int rc = hf__check_handle(store, true);

    if (rc != 0)
        return rc;
    if (policy != HF_LOSS_RESEED && policy != HF_LOSS_ADOPT)
        return hf__fail(HF_EINVAL, "a loss can be decided by reseed or adopt; found policy %d", (int)policy);
    *ret_ns = find_ns(store, prefix);
    if (!*ret_ns)
        return hf__fail(HF_EINVAL, "there is no namespace '%s'", hf__printable(prefix, shown, sizeof(shown)));
    if (!store->link || !awaits_decision(store->link, *ret_ns))
        return hf__fail(HF_EINVAL, "the namespace '%s' is not held for a loss",
                        hf__printable(prefix, shown, sizeof(shown)));
    return 0;
}

int hf_decide_loss(struct hf *store, struct hf_slice prefix, enum hf_loss_policy policy)
{
    struct hf_audit_entry audit = {.verb = "decide-loss", .detail = policy == HF_LOSS_RESEED ? "reseed" : "adopt"};
    struct hf_ns *ns = NULL;
    int rc = check_decision(store, prefix, policy, &ns);

    audit.ns = rc == 0 ? ns : NULL;
    if (rc == 0)
        rc = hf__audit(store, &audit);
    if (rc != 0)
        return rc;
    pthread_mutex_lock(&store->link->mutex);
    ns->decided = policy;
    ns->awaits_decision = false;
    store->link->decided = true;
    pthread_mutex_unlock(&store->link->mutex);
    hf__link_wake(store);
    return 0;
}

bool hf__link_take_decision(struct hf_link *link)
{
    bool decided;

    pthread_mutex_lock(&link->mutex);
    decided = link->decided;
    link->decided = false;
    pthread_mutex_unlock(&link->mutex);
    return decided && link->state == HF_LINK_HELD;
}
