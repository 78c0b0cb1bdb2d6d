/* Catching up after a connect: whose history Redis holds, and what of ours it already has. Our own change-log entries are
 * settled before anything is replayed, so that what was acknowledged, or applied without our hearing of it, is not sent
 * again. */
#include "link_state.h"

#include "checkpoint.h"
#include "done.h"
#include "fail.h"
#include "lookup.h"
#include "settle.h"

#include <stdio.h>
#include <stdlib.h>

#define PAGE_ENTRIES 1000u /* of the change log in one answer */
#define ROLLBACK_SLACK_MS                                                                                          \
    1000 /* what was made so shortly before the surviving entry may not have been sent by then */

static struct hf_ns *current_ns(struct hf_link *link)
{
    return &link->store->namespaces.all[link->ns_index];
}

void hf__link_restart_catch_up(struct hf_link *link)
{
    link->catch_up = HF_CATCH_UP_SERVER;
    link->history_lost = link->refresh_failed = false;
    link->ns_index = 0;
    link->checkpoint_ticket = 0;
    hf__refresh_ask_again(link);
    hf__resend_release(link);
}

/* On with the next namespace, or with the rows. */
static void next_ns(struct hf_link *link)
{
    current_ns(link)->losing = false;
    current_ns(link)->recovered_mark = 0;
    hf__link_publish_cursor(link, current_ns(link));
    link->ns_index++;
    link->catch_up = link->ns_index < link->store->namespaces.n ? HF_CATCH_UP_EPOCH : HF_CATCH_UP_ROWS;
}

/* Redis has seen LSNs of ours that we have not sent: this directory is older than what it shared, or a copy. Neither
 * the mark nor the log can be trusted to speak of our entries: nothing is sent before an operator decides. */
static void hold_lost_history(struct hf_link *link)
{
    struct hf_shared_error error = {.class = HF_SHARED_AUTH,
                                    .reason = "Redis holds later writes of this node than this store knows: its "
                                              "directory is an old copy; decide with "
                                              "`holdfast reconcile --new-node`"};

    hf__link_fail(link, &error);
}

static void hold_for_decision(struct hf_link *link)
{
    struct hf_ns *ns = current_ns(link);
    struct hf_shared_error error = {.class = HF_SHARED_AUTH};

    snprintf(error.reason, sizeof(error.reason),
             "%s, namespace '%.40s': decide with `holdfast reconcile --on-loss reseed` or `adopt`",
             hf__evidence_text(link->evidence), (const char *)ns->prefix.data);
    pthread_mutex_lock(&link->mutex);
    ns->awaits_decision = true;
    pthread_mutex_unlock(&link->mutex);
    hf__link_fail(link, &error);
}

static void request_failed(struct hf_link *link, const struct hf_shared_error *error)
{
    if (error->class != HF_SHARED_LINK) /* otherwise `lost` follows */
        hf__link_fail(link, error);
}

static void no_memory(struct hf_link *link)
{
    struct hf_shared_error error = {.class = HF_SHARED_STATE, .reason = "out of memory"};

    hf__link_fail(link, &error);
}

/* ---- the server ---- */

enum hf_server_life hf__link_life_of(const struct hf_link *link, const struct hf_shared_facts *facts)
{
    if (facts->error.class != HF_SHARED_OK || !facts->has_info || !link->run_id[0])
        return HF_SERVER_UNKNOWN;
    return strcmp(link->run_id, facts->run_id) == 0 ? HF_SERVER_SAME : HF_SERVER_RESTARTED;
}

static void facts_done(void *ctx, struct hf_shared_facts *facts)
{
    struct hf_link *link = ctx;

    hf__turn_begin(link->store, &link->turn);
    hf__link_out(link, false);
    if (facts->error.class == HF_SHARED_LINK)
        return;
    if (facts->track != HF_TRACK_AS_IS)
        link->tracking = facts->tracking;
    link->life = hf__link_life_of(link, facts); /* what this user may not read only makes it unknown */
    link->catch_up = HF_CATCH_UP_EPOCH;
    hf__link_pump(link);
}

#define TRACK_LATER_ROWS 10000u

/* Copies that are trusted, or being compared, are so only as long as pushes tell of changes. */
static bool trusts_pushes(const struct hf_link *link)
{
    bool trusts = link->sweep.active;

    for (size_t i = 0; i < link->store->namespaces.n; i++)
        trusts |= atomic_load(&link->store->namespaces.all[i].verified);
    return trusts;
}

/* What scripts write is told to their own caller, up to Redis 7.0 at least: of each row of a long replay Redis would make
 * a name, and we would read it. Until the last one is gone nobody needs to be told, unless copies are trusted by then: the
 * logs are read afterwards, and the copies compared. */
static enum hf_shared_track wanted_tracking(struct hf_link *link)
{
    bool was_later = link->track_later;

    link->track_later = atomic_load(&link->store->pending_rows) >= TRACK_LATER_ROWS && !trusts_pushes(link);
    if (link->track_later)
        return HF_TRACK_OFF;
    return was_later ? HF_TRACK_ON : HF_TRACK_AS_IS;
}

static bool send_facts(struct hf_link *link)
{
    link->facts = (struct hf_shared_facts){.track = wanted_tracking(link), .done = facts_done, .ctx = link};
    return link->tier->ops->send_facts(link->tier, &link->facts) == 0;
}

/* What the cursors say from now on, they say of this server. */
static void note_server(struct hf_link *link)
{
    pthread_mutex_lock(&link->mutex);
    if (link->facts.has_info)
        memcpy(link->run_id, link->facts.run_id, sizeof(link->run_id));
    pthread_mutex_unlock(&link->mutex);
}

/* ---- the change log ---- */

/* Without memory the page is read again after a new connection. */
static void refresh(struct hf_link *link, struct hf_slice key)
{
    link->refresh_failed |= hf__refresh_add(link, key, false) != 0;
}

/* The mark was set with what the log names: one that is behind it, or gone, was taken away since. With the one that we know
 * the script refuses; without it, an increment whose answer was lost would be added once more. */
static void know_mark(struct hf_link *link, const struct hf_shared_change *change)
{
    struct hf_ns *ns = hf__ns_of(&link->store->namespaces, change->key);

    if (change->op != HF_SHARED_INCR || change->last_lsn <= ns->mark)
        return;
    ns->mark = change->last_lsn;
    snprintf(ns->mark_id, sizeof(ns->mark_id), "%s", change->id);
}

static bool find_owed(struct hf_link *link, const struct hf_shared_change *change, struct hf_owed_range *ret_owed)
{
    struct hf_look look;
    bool found = hf__look_begin(link->store, &look) == 0 &&
                 hf__look_owed_until(&look, change->key, change->lsn, ret_owed) == 0;

    hf__look_end(&look);
    return found;
}

/* They are older than the named change where a crash took that one here, or where it is in a lane. */
static void owed_has_ended(struct hf_link *link, const struct hf_shared_change *change,
                           const struct hf_owed_range *owed)
{
    bool named = owed->last_lsn == change->lsn;
    struct hf_settlement settlement = {
        .key = change->key,
        .first_lsn = owed->first_lsn,
        .last_lsn = owed->last_lsn,
        .outcome = named ? HF_OUTCOME_ALREADY : HF_OUTCOME_SUPERSEDED,
        .reason = "",
    };

    atomic_fetch_add(&link->store->settled_by_log, 1);
    if (named && change->op == HF_SHARED_DELETE) /* no copy here tells of it after a rollback */
        hf__settle_retain_delete(link->store, change->key, change->lsn,
                                 hf__turn_from_redis_ms(&link->turn, change->made_ms));
    hf__done_settled(link->store, &settlement);
}

/* What was acknowledged is named as well, and has ended before. What cannot be looked up, or marked, stays pending: it is
 * compared when its turn comes. */
static void settle(struct hf_link *link, const struct hf_shared_change *change)
{
    struct hf_owed_range owed;

    if (find_owed(link, change, &owed) && hf__settle_key(link->store, change->key, change->lsn) &&
        owed.last_lsn != 0)
        owed_has_ended(link, change, &owed);
}

/* It was sent, and then a crash took it from our journal: what is held is older, or was fetched, nobody knows when. The numbers
 * alone do not tell: those that later lives have given are higher. */
static bool is_lost_here(struct hf_link *link, const struct hf_shared_change *change)
{
    bool lost = true; /* also when it cannot be read: a fetch too many does no harm */
    struct hf_found found;
    struct hf_look look;

    if (hf__look_begin(link->store, &look) != 0)
        return lost;
    if (hf__look_up(&look, change->key, &found) == 0)
        lost = found.held && found.lsn < change->lsn;
    hf__look_end(&look);
    return lost;
}

/* One of the life before, lost for certain: what was written here since does not know it, and loses to nobody by that. Without
 * memory the page is read again after a new connection. */
static void note_lost(struct hf_link *link, const struct hf_shared_change *change)
{
    struct hf *store = link->store;
    bool of_value = change->op == HF_SHARED_SET || change->op == HF_SHARED_DELETE;

    if (change->lsn > store->recovered_lsn && change->lsn <= store->opened_lsn)
        link->refresh_failed |= !hf__settle_own_lost(store, change->key, of_value ? change->lsn : 0);
}

/* Redis has it still. */
static void note_survived(struct hf_link *link, const struct hf_shared_change *change)
{
    struct hf_note *note = hf__notes_of(&link->survived, change->key);

    if (note && change->lsn > note->number)
        note->number = change->lsn;
    link->refresh_failed |= !note; /* without memory the page is read again after a new connection */
}

static void own_change(struct hf_link *link, const struct hf_shared_change *change)
{
    if (link->evidence == HF_EVIDENCE_ROLLED_BACK)
        note_survived(link, change);
    if (change->lsn > link->surviving_lsn)
        link->surviving_lsn = change->lsn;
    if (is_lost_here(link, change))
        refresh(link, change->key);
    note_lost(link, change);
    link->history_lost |= change->lsn > link->sent_lsn;
    if (!link->history_lost)
        know_mark(link, change);
    /* A deadline says nothing of the value before it, and is sent again without harm; lanes have their mark. */
    if ((change->op == HF_SHARED_SET || change->op == HF_SHARED_DELETE) && !link->history_lost)
        settle(link, change);
}

static int64_t surviving_ms(const struct hf_link *link, const char *id)
{
    return hf__turn_from_redis_ms(&link->turn, hf__stream_id_ms(id)) - ROLLBACK_SLACK_MS;
}

/* The older copy cannot name what came after the newest entry that it has lost: that is of others who wrote since. */
static void note_surviving(struct hf_link *link, const struct hf_shared_change *change, bool own)
{
    if (own || (link->lost_id[0] && hf__stream_id_compare(change->id, link->lost_id) < 0))
        link->surviving_ms = surviving_ms(link, change->id);
}

static void on_change(void *ctx, const struct hf_shared_change *change)
{
    struct hf_link *link = ctx;
    bool own = strcmp(change->node, link->store->node) == 0;

    if (link->evidence == HF_EVIDENCE_ROLLED_BACK)
        note_surviving(link, change, own);
    if (!own) {
        hf__link_foreign_change(link, change);
        return;
    }
    own_change(link, change);
}

static void take_mark(struct hf_ns *ns, const struct hf_shared_epoch *epoch)
{
    ns->mark = epoch->mark;
    snprintf(ns->mark_id, sizeof(ns->mark_id), "%s", epoch->mark != 0 && ns->with_log ? epoch->log_last_id : "");
}

/* What came after what has survived. Where that is of a replay, older changes may have come behind it. */
static void begin_resend(struct hf_link *link)
{
    struct hf_ns *ns = current_ns(link);
    uint64_t replayed_lsn = hf__past_first_lsn(link, link->surviving_ms);
    struct hf_resend what = {.ns = ns,
                             .why = HF_ENTRY_RESEND,
                             .above_lsn = link->surviving_lsn ? link->surviving_lsn : UINT64_MAX,
                             .above_made_ms = link->surviving_ms,
                             .mark = ns->mark > ns->ended_mark ? ns->mark : ns->ended_mark,
                             .survived = link->survived};

    link->survived = (struct hf_notes){0};
    if (replayed_lsn <= what.above_lsn)
        what.above_lsn = replayed_lsn > 0 ? replayed_lsn - 1 : 0;
    link->catch_up = HF_CATCH_UP_RESEND;
    if (hf__resend_begin(link, &what) != 0)
        no_memory(link);
}

/* From the log's beginning: which of our entries have survived? A mark that is gone is none by then. Where no entry is known
 * that was lost, the log's last one may be the older copy's. What others have lost is named nowhere: copies are compared. */
static void begin_rollback(struct hf_link *link)
{
    struct hf_ns *ns = current_ns(link);

    link->evidence = HF_EVIDENCE_ROLLED_BACK;
    link->surviving_ms = link->lost_id[0] ? 1 : surviving_ms(link, link->epoch.log_last_id);
    link->surviving_lsn = link->must_name_lsn = 0;
    hf__notes_release(&link->survived);
    take_mark(ns, &link->epoch);
    hf__ns_forget_acked(ns);
    ns->losing = true;
    atomic_fetch_add(&link->store->rollbacks, 1);
    hf__link_distrust_namespace(ns);
    ns->log_id[0] = '\0';
    if (ns->with_log)
        link->catch_up = HF_CATCH_UP_LOG;
    else
        begin_resend(link);
}

/* The log is read to its end. */
static void log_read(struct hf_link *link)
{
    struct hf_ns *ns = current_ns(link);

    ns->log_unread = !link->tracking;
    if (link->surviving_lsn < link->must_name_lsn) {
        begin_rollback(link);
    } else if (link->evidence == HF_EVIDENCE_ROLLED_BACK) {
        begin_resend(link);
    } else {
        if (link->must_name_lsn != 0)
            memcpy(ns->acked_id, ns->log_id, sizeof(ns->acked_id));
        next_ns(link);
    }
}

static void page_done(void *ctx, struct hf_shared_log_page *page)
{
    struct hf_link *link = ctx;
    struct hf_ns *ns = current_ns(link);

    hf__turn_begin(link->store, &link->turn);
    hf__link_out(link, false);
    if (page->error.class != HF_SHARED_OK) {
        request_failed(link, &page->error);
        return;
    }
    if (link->refresh_failed || link->history_lost) {
        link->refresh_failed ? no_memory(link) : hold_lost_history(link);
        return;
    }
    if (page->missing) {
        begin_rollback(link);
        hf__link_pump(link);
        return;
    }
    if (page->gap) {
        link->must_name_lsn = 0;
        hf__link_distrust_namespace(ns);
    }
    snprintf(ns->log_id, HF_STREAM_ID_MAX, "%s", page->after_id);
    if (page->n_entries < PAGE_ENTRIES)
        log_read(link);
    hf__link_pump(link);
}

static bool send_page(struct hf_link *link)
{
    struct hf_ns *ns = current_ns(link);

    link->page = (struct hf_shared_log_page){
        .log_key = hf__slice(ns->log_key.data, ns->log_key.len),
        .count = PAGE_ENTRIES,
        .each = on_change,
        .done = page_done,
        .ctx = link,
    };
    snprintf(link->page.after_id, sizeof(link->page.after_id), "%s", ns->log_id);
    return link->tier->ops->send_log_page(link->tier, &link->page) == 0;
}

/* ---- epoch and mark ---- */

/* Another history begins: nothing of ours is in it but what the mark found there says. */
static int take_epoch(struct hf_ns *ns, const struct hf_shared_epoch *epoch)
{
    bool same = strcmp(ns->epoch, epoch->epoch) == 0;

    /* Redis's own word on the mark holds, but for one that is gone while its history is there: then the known one stays,
     * the script refuses, and entries that may have been applied become in doubt. */
    if (!same && ns->epoch[0] && hf__ns_known_mark(ns) > ns->ended_mark)
        ns->ended_mark = hf__ns_known_mark(ns);
    if (epoch->mark != 0 || !same)
        take_mark(ns, epoch);
    if (!same && ns->epoch[0])
        hf__ns_forget_acked(ns);
    ns->fresh = !same;
    return hf__ns_set_epoch(ns, epoch->epoch);
}

/* Behind what is known of it stands what Redis has acknowledged since, unless that part was trimmed. */
static void read_log(struct hf_link *link)
{
    struct hf_ns *ns = current_ns(link);

    link->must_name_lsn =
        hf__stream_id_compare(ns->acked_id, ns->log_id) > 0 || !ns->acked_id[0] ? ns->acked_lsn : 0;
    if (ns->with_log)
        link->catch_up = HF_CATCH_UP_LOG;
    else
        next_ns(link);
}

/* ---- a mark that is gone ---- */

/* Nobody can know whether Redis still has what the mark covered. The known one stays: with it the script refuses, and what
 * may have been sent is in doubt as well. */
static void doubt_mark(struct hf_link *link)
{
    struct hf_ns *ns = current_ns(link);
    struct hf_resend what = {.ns = ns, .why = HF_ENTRY_RESEND, .mark = ns->ended_mark, .in_doubt = true};

    if (ns->recovered_mark > ns->mark)
        ns->mark = ns->recovered_mark;
    ns->losing = true;
    link->catch_up = HF_CATCH_UP_RESEND;
    if (hf__resend_begin(link, &what) != 0)
        no_memory(link);
}

static void on_sought(void *ctx, const struct hf_shared_change *change)
{
    struct hf_link *link = ctx;

    link->sought_found |= strcmp(change->node, link->store->node) == 0 && change->lsn == link->sought_lsn;
}

/* The known entry is there since the mark was; or, where none is known, the mark's own one must be named behind what was read
 * before there was a mark. */
static void mark_page_done(void *ctx, struct hf_shared_log_page *page)
{
    struct hf_link *link = ctx;
    struct hf_ns *ns = current_ns(link);
    bool by_id = ns->mark_id[0] != '\0', whole = by_id || (ns->mark == 0 && ns->log_id[0]);

    hf__turn_begin(link->store, &link->turn);
    hf__link_out(link, false);
    if (page->error.class != HF_SHARED_OK) {
        request_failed(link, &page->error);
        return;
    }
    if (page->missing)
        begin_rollback(link);
    else if (link->sought_found || (by_id && !page->gap))
        read_log(link); /* it was removed alone */
    else if (page->gap || !whole)
        doubt_mark(link);
    else if (page->n_entries < PAGE_ENTRIES)
        begin_rollback(link);
    hf__link_pump(link);
}

static bool send_mark_page(struct hf_link *link)
{
    struct hf_ns *ns = current_ns(link);

    link->page.log_key = hf__slice(ns->log_key.data, ns->log_key.len);
    link->page.count = PAGE_ENTRIES;
    link->page.each = on_sought;
    link->page.done = mark_page_done;
    link->page.ctx = link;
    return link->tier->ops->send_log_page(link->tier, &link->page) == 0;
}

static void look_for_mark(struct hf_link *link)
{
    struct hf_ns *ns = current_ns(link);

    if (!ns->with_log) {
        doubt_mark(link);
        return;
    }
    link->catch_up = HF_CATCH_UP_MARK;
    link->sought_lsn = hf__ns_known_mark(ns);
    link->sought_found = false;
    link->page = (struct hf_shared_log_page){0};
    snprintf(link->page.after_id, sizeof(link->page.after_id), "%s", ns->mark_id[0] ? ns->mark_id : ns->log_id);
}

/* The namespace's data is gone: give it back, or take what is there, or wait for the operator. */
static void take_loss(struct hf_link *link)
{
    struct hf_ns *ns = current_ns(link);
    struct hf_resend what = {.ns = ns, .why = HF_ENTRY_RESEED};
    enum hf_loss_policy policy = hf__evidence_policy(link->evidence, ns->on_loss);

    if (ns->decided != HF_LOSS_BY_EVIDENCE)
        policy = ns->decided;
    if (policy == HF_LOSS_HOLD) {
        hold_for_decision(link);
        return;
    }
    if (take_epoch(ns, &link->epoch) != 0) {
        no_memory(link);
        return;
    }
    atomic_fetch_add(&link->store->losses, 1);
    hf__link_distrust_namespace(ns);
    what.adopt = policy == HF_LOSS_ADOPT;
    atomic_store(&ns->adopt, what.adopt);
    link->catch_up = HF_CATCH_UP_RESEND;
    if (hf__resend_begin(link, &what) != 0)
        no_memory(link);
}

/* The connection broke before a loss was made good: what was known before it is what was published. */
static int know_as_before(struct hf_link *link, struct hf_ns *ns)
{
    const struct hf_cursor *cursor = &link->published[link->ns_index];

    if (!ns->losing)
        return 0;
    ns->mark = cursor->mark;
    ns->ended_mark = cursor->ended_mark;
    memcpy(ns->log_id, cursor->log_id, sizeof(ns->log_id));
    memcpy(ns->mark_id, cursor->mark_id, sizeof(ns->mark_id));
    ns->acked_lsn = cursor->acked_lsn;
    memcpy(ns->acked_id, cursor->acked_id, sizeof(ns->acked_id));
    return hf__ns_set_epoch(ns, cursor->epoch);
}

/* A copy that is still to be fetched keeps back the one, not the other. */
static const char *newest_id(const struct hf_ns *ns)
{
    const char *newest = hf__stream_id_compare(ns->mark_id, ns->log_id) > 0 ? ns->mark_id : ns->log_id;

    return hf__stream_id_compare(ns->acked_id, newest) > 0 ? ns->acked_id : newest;
}

static void judge_epoch(struct hf_link *link, const struct hf_shared_epoch *epoch)
{
    struct hf_ns *ns = current_ns(link);
    struct hf_history known = {.epoch = ns->epoch, .log_id = link->lost_id, .mark = hf__ns_known_mark(ns)};
    struct hf_history found = {.epoch = epoch->epoch, .log_id = epoch->log_last_id, .mark = epoch->mark};
    bool mark_is_gone = epoch->mark == 0 && known.mark != 0;

    snprintf(link->lost_id, sizeof(link->lost_id), "%s", ns->with_log ? newest_id(ns) : "");
    link->evidence = hf__evidence(&known, &found, epoch->log_missing, link->life);
    ns->losing = hf__evidence_is_loss(link->evidence);
    if (link->evidence == HF_EVIDENCE_EMPTIED || link->evidence == HF_EVIDENCE_FLUSHED) {
        take_loss(link);
        return;
    }
    if (take_epoch(ns, epoch) != 0) {
        no_memory(link);
    } else if (link->evidence == HF_EVIDENCE_ROLLED_BACK) {
        begin_rollback(link);
    } else if (link->evidence == HF_EVIDENCE_AS_KNOWN && mark_is_gone) {
        look_for_mark(link);
    } else {
        if (link->evidence == HF_EVIDENCE_LOG_LOST)
            hf__ns_forget_log(ns);
        if (ns->with_log && !ns->fresh && !ns->log_id[0]) /* what was trimmed since is not named */
            hf__link_distrust_namespace(ns);
        if (mark_is_gone) /* and the log with it */
            doubt_mark(link);
        else
            read_log(link);
    }
}

static void epoch_done(void *ctx, struct hf_shared_epoch *epoch)
{
    struct hf_link *link = ctx;

    hf__turn_begin(link->store, &link->turn);
    hf__link_out(link, false);
    if (epoch->error.class != HF_SHARED_OK) {
        request_failed(link, &epoch->error);
        return;
    }
    if (epoch->mark > link->sent_lsn) {
        hold_lost_history(link);
        return;
    }
    if (know_as_before(link, current_ns(link)) != 0) {
        no_memory(link);
        return;
    }
    judge_epoch(link, epoch);
    hf__link_pump(link);
}

static bool send_epoch(struct hf_link *link)
{
    struct hf_ns *ns = current_ns(link);

    link->surviving_lsn = 0;
    link->epoch = (struct hf_shared_epoch){
        .prefix = hf__slice(ns->prefix.data, ns->prefix.len),
        .with_log = ns->with_log,
        .done = epoch_done,
        .ctx = link,
    };
    return link->tier->ops->send_epoch(link->tier, &link->epoch) == 0;
}

/* ---- the steps ---- */

static void send_or_fail(struct hf_link *link, bool (*send)(struct hf_link *link))
{
    struct hf_shared_error error = {.class = HF_SHARED_STATE, .reason = "the request could not be sent"};

    hf__link_out(link, true);
    if (!send(link)) {
        hf__link_out(link, false);
        hf__link_fail(link, &error);
    }
}

/* What was given back was written after live_from, and is owed like anything older. */
static void resend(struct hf_link *link)
{
    struct hf_ns *ns = current_ns(link);

    if (!hf__resend_step(link))
        return;
    hf__link_restart_live(link);
    if (link->evidence == HF_EVIDENCE_ROLLED_BACK)
        next_ns(link);
    else
        read_log(link);
    if (!atomic_load(&ns->adopt)) /* the copies are still to be compared */
        ns->decided = HF_LOSS_BY_EVIDENCE;
    hf__link_pump(link);
}

/* Every change from before live_from must have its row before the replay looks at rows. */
static void await_rows(struct hf_link *link)
{
    if (link->checkpoint_ticket == 0) {
        note_server(link);
        hf__past_begin(link);
        link->checkpoint_ticket = hf__checkpoint_ticket(link->store);
    }
    if (!hf__checkpoint_ended(link->store, link->checkpoint_ticket))
        return; /* its end wakes the link */
    link->checkpoint_ticket = 0;
    hf__link_begin_pass(link);
    hf__link_set_state(link, HF_LINK_REPLAYING, "");
    hf__link_pump(link);
}

void hf__link_log_is_gone(struct hf_link *link)
{
    hf__link_set_state(link, HF_LINK_CATCHING_UP, "the change log is gone");
    hf__link_restart_catch_up(link);
    hf__link_pump(link);
}

void hf__link_catch_up(struct hf_link *link)
{
    while (link->catch_up == HF_CATCH_UP_EPOCH && current_ns(link)->write_mode == HF_WRITE_LOCAL)
        next_ns(link);
    switch (link->catch_up) {
    case HF_CATCH_UP_SERVER: send_or_fail(link, send_facts); break;
    case HF_CATCH_UP_EPOCH: send_or_fail(link, send_epoch); break;
    case HF_CATCH_UP_MARK: send_or_fail(link, send_mark_page); break;
    case HF_CATCH_UP_LOG: send_or_fail(link, send_page); break;
    case HF_CATCH_UP_RESEND: resend(link); break;
    case HF_CATCH_UP_ROWS: await_rows(link); break;
    }
}
