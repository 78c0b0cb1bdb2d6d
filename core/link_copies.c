/* How far copies can be trusted: what tracking and the change log tell while the link stands, and what its loss takes away
 * (docs/reconcile.md, "Copies"). */
#include "link_state.h"

#include <stdio.h>

/* Nothing is verified any more: others may write what nobody tells us. */
void hf__link_distrust_copies(struct hf_link *link)
{
    for (size_t i = 0; i < link->store->namespaces.n; i++) {
        struct hf_ns *ns = &link->store->namespaces.all[i];
        atomic_store(&ns->verified, false);
        ns->log_unread = true;
        ns->n_distrusts++;
        ns->sweep |= ns->writers == HF_WRITERS_ANY && ns->write_mode != HF_WRITE_LOCAL;
    }
}

/* Counted before: who has looked a copy up until then may hold an older one. */
void hf__link_trust_copies(struct hf_link *link, struct hf_ns *ns, bool trusted)
{
    if (trusted && !atomic_load(&ns->verified))
        atomic_fetch_add(&link->store->trusted, 1);
    atomic_store(&ns->verified, trusted);
}

void hf__link_distrust_namespace(struct hf_ns *ns)
{
    atomic_store(&ns->verified, false);
    ns->n_distrusts++;
    ns->sweep = true;
}

/* Who else writes is told by the log, or there is nobody. */
static void trust_by_log(struct hf_link *link)
{
    for (size_t i = 0; i < link->store->namespaces.n; i++) {
        struct hf_ns *ns = &link->store->namespaces.all[i];
        if (!ns->sweep && (ns->writers == HF_WRITERS_THIS_NODE || link->tracking))
            hf__link_trust_copies(link, ns, ns->write_mode != HF_WRITE_LOCAL);
    }
}

void hf__link_swept(struct hf_link *link)
{
    trust_by_log(link);
    pthread_mutex_lock(&link->mutex);
    pthread_cond_broadcast(&link->changed);
    pthread_mutex_unlock(&link->mutex);
}

/* ---- what is told ---- */

/* A copy that is compared in any case needs no telling: the sweep has not begun, or its row's judge looks. */
static bool is_of_use(const struct hf_link *link, const struct hf_ns *ns)
{
    return ns->writers != HF_WRITERS_THIS_NODE && ns->write_mode != HF_WRITE_LOCAL &&
           (!ns->sweep || link->sweep.active);
}

static bool note_log(struct hf_link *link, struct hf_slice key)
{
    struct hf_ns_table *table = &link->store->namespaces;

    for (size_t i = 0; i < table->n; i++) {
        struct hf_ns *ns = &table->all[i];
        if (!hf__slice_eq(key, hf__slice(ns->log_key.data, ns->log_key.len)))
            continue;
        ns->log_unread = true;
        return true;
    }
    return hf__slice_starts_with(key, hf__slice_str("_hf:"));
}

/* Everything may have been changed: flushed, for one. The bookkeeping tells. */
static void all_invalidated(struct hf_link *link)
{
    hf__link_distrust_copies(link);
    link->log_behind = true;
}

bool hf__link_history_is_known(const struct hf_link *link)
{
    return !link->log_behind && (link->state == HF_LINK_REPLAYING || link->state == HF_LINK_ONLINE);
}

void hf__link_invalidated(void *ctx, const struct hf_slice *keys, size_t n)
{
    struct hf_link *link = ctx;

    if (n == 0)
        all_invalidated(link);
    for (size_t i = 0; i < n; i++) {
        if (!note_log(link, keys[i]) && is_of_use(link, hf__ns_of(&link->store->namespaces, keys[i])))
            hf__link_doubt_copy(link, keys[i]);
    }
    if (!link->out)
        hf__link_wake(link->store);
}

/* ---- the log while online ---- */

#define PAGE_ENTRIES 1000u
#define EVERY_MS 100            /* at the most, when others have written to it */
#define UNTRACKED_EVERY_MS 1000 /* when nobody tells whether they have */

static void on_change(void *ctx, const struct hf_shared_change *change)
{
    struct hf_link *link = ctx;

    if (strcmp(change->node, link->store->node) != 0)
        hf__link_foreign_change(link, change);
}

/* A log that is no longer as it was is looked at as after a connect. */
static void page_done(void *ctx, struct hf_shared_log_page *page)
{
    struct hf_link *link = ctx;
    struct hf_ns *ns = link->log_read;
    struct hf_shared_error error = page->error;

    hf__turn_begin(link->store, &link->turn);
    hf__link_out(link, false);
    if (error.class == HF_SHARED_LINK)
        return;
    if (error.class != HF_SHARED_OK) {
        hf__link_fail(link, &error);
        return;
    }
    if (page->gap || page->missing || link->refresh_failed) {
        link->log_behind = true;
    } else {
        snprintf(ns->log_id, sizeof(ns->log_id), "%s", page->after_id);
        ns->log_unread = !link->tracking || page->n_entries >= PAGE_ENTRIES;
        ns->log_due_ms = link->turn.now_ms + (page->n_entries >= PAGE_ENTRIES ? 0
                                              : link->tracking                ? EVERY_MS
                                                                              : UNTRACKED_EVERY_MS);
        hf__link_publish_cursor(link, ns);
    }
    hf__link_pump(link);
}

static bool read_log_of(struct hf_link *link, struct hf_ns *ns)
{
    link->log_read = ns;
    link->page = (struct hf_shared_log_page){
        .log_key = hf__slice(ns->log_key.data, ns->log_key.len),
        .count = PAGE_ENTRIES,
        .each = on_change,
        .done = page_done,
        .ctx = link,
    };
    snprintf(link->page.after_id, sizeof(link->page.after_id), "%s", ns->log_id);
    hf__link_out(link, true);
    if (link->tier->ops->send_log_page(link->tier, &link->page) == 0)
        return true;
    hf__link_out(link, false);
    return false;
}

bool hf__link_read_log(struct hf_link *link)
{
    int64_t now_ms = link->turn.now_ms;

    if (link->state != HF_LINK_ONLINE)
        return false;
    for (size_t i = 0; i < link->store->namespaces.n; i++) {
        struct hf_ns *ns = &link->store->namespaces.all[i];
        if (!ns->with_log || !ns->log_unread || ns->write_mode == HF_WRITE_LOCAL)
            continue;
        if (now_ms >= ns->log_due_ms)
            return read_log_of(link, ns);
        hf__link_wake_in(link, (int)(ns->log_due_ms - now_ms));
    }
    return false;
}
