/* HOLDFAST STATUS and RECONCILE. */
#include "cmd_holdfast.h"

#include "server.h"
#include "words.h"

#include <time.h>

#define TIMEOUT_DEFAULT_MS 30000
#define TIMEOUT_MAX_MS 60000 /* a worker is held so long */
#define PREVIEW_DEFAULT 100
#define PREVIEW_MAX 10000

/* ---- status ---- */

void holdfast_add_outcomes(struct reply *reply, const char *name, const uint64_t counts[HF_N_OUTCOMES])
{
    reply_text(reply, name);
    reply_map(reply, HF_N_OUTCOMES - 1);
    for (int i = HF_OUTCOME_PENDING + 1; i < HF_N_OUTCOMES; i++)
        holdfast_add_unsigned(reply, hf_outcome_text(i), counts[i]);
}

#define JOURNAL_MEMBERS 6

static void add_journal(struct reply *reply, const struct hf_status *s)
{
    holdfast_add_unsigned(reply, "last_lsn", s->last_lsn);
    holdfast_add_unsigned(reply, "durable_lsn", s->durable_lsn);
    holdfast_add_unsigned(reply, "checkpoint_lsn", s->checkpoint_lsn);
    holdfast_add_unsigned(reply, "journal_bytes", s->journal_bytes);
    holdfast_add_unsigned(reply, "journal_segments", s->journal_segments);
    holdfast_add_unsigned(reply, "journal_quarantined", s->quarantined);
}

#define PENDING_MEMBERS 10

static void add_pending(struct reply *reply, const struct hf_status *s)
{
    holdfast_add_unsigned(reply, "keys", s->keys);
    holdfast_add_unsigned(reply, "pending_keys", s->pending_keys);
    holdfast_add_unsigned(reply, "pending_bytes", s->pending_bytes);
    holdfast_add_unsigned(reply, "pending_ops", s->pending_ops);
    holdfast_add_integer(reply, "oldest_pending_ms", s->oldest_pending_ms);
    holdfast_add_unsigned(reply, "conflicts", s->conflicts);
    holdfast_add_unsigned(reply, "blind_conflicts", s->blind_conflicts);
    holdfast_add_unsigned(reply, "gaps", s->gaps);
    holdfast_add_unsigned(reply, "parked", s->parked);
    holdfast_add_unsigned(reply, "in_doubt", s->in_doubt);
}

#define STATE_MEMBERS 12

static void add_state(struct reply *reply, const struct hf_status *s)
{
    holdfast_add_text(reply, "link", hf_link_text(s->link));
    holdfast_add_text(reply, "link_reason", s->link_reason);
    holdfast_add_text(reply, "node", s->node);
    holdfast_add_integer(reply, "owner_pid", s->owner_pid);
    holdfast_add_bool(reply, "paused", s->paused);
    holdfast_add_bool(reply, "adopting", s->adopting);
    holdfast_add_bool(reply, "stopped", s->stopped);
    holdfast_add_bool(reply, "time_unknown", s->time_unknown);
    holdfast_add_unsigned(reply, "disk_used_bytes", s->disk_used_bytes);
    holdfast_add_unsigned(reply, "max_disk_bytes", s->max_disk_bytes);
    holdfast_add_unsigned(reply, "replay_ops_per_s", s->replay_ops_per_s);
    holdfast_add_unsigned(reply, "replay_bytes_per_s", s->replay_bytes_per_s);
}

#define CLOCK_MEMBERS 4

static void add_clock(struct reply *reply, const struct hf_status *s)
{
    holdfast_add_bool(reply, "clock_known", s->clock_known);
    holdfast_add_integer(reply, "clock_offset_ms", s->clock_offset_ms);
    holdfast_add_integer(reply, "clock_uncertainty_ms", s->clock_uncertainty_ms);
    holdfast_add_unsigned(reply, "clock_jumps", s->clock_jumps);
}

#define SINCE_OPEN_MEMBERS 13

static void add_since_open(struct reply *reply, const struct hf_status *s)
{
    holdfast_add_unsigned(reply, "shared_ops", s->shared_ops);
    holdfast_add_unsigned(reply, "replayed_ops", s->replayed_ops);
    holdfast_add_unsigned(reply, "settled_by_log", s->settled_by_log);
    holdfast_add_unsigned(reply, "expired_in_queue", s->expired_in_queue);
    holdfast_add_unsigned(reply, "refreshed", s->refreshed);
    holdfast_add_unsigned(reply, "revalidated", s->revalidated);
    holdfast_add_unsigned(reply, "link_losses", s->link_losses);
    holdfast_add_unsigned(reply, "losses", s->losses);
    holdfast_add_unsigned(reply, "rollbacks", s->rollbacks);
    holdfast_add_unsigned(reply, "resent", s->resent);
    holdfast_add_unsigned(reply, "dropped", s->dropped);
    holdfast_add_unsigned(reply, "lost_conflicts", s->lost_conflicts);
    holdfast_add_outcomes(reply, "settled_by", s->settled_by);
}

void holdfast_status(struct call *call)
{
    struct hf_status s;
    int rc = hf_status(call->server->store, &s);

    if (rc != 0) {
        call_fail(call, rc);
        return;
    }
    reply_map(call->reply, STATE_MEMBERS + PENDING_MEMBERS + JOURNAL_MEMBERS + CLOCK_MEMBERS + SINCE_OPEN_MEMBERS);
    add_state(call->reply, &s);
    add_pending(call->reply, &s);
    add_journal(call->reply, &s);
    add_clock(call->reply, &s);
    add_since_open(call->reply, &s);
}

/* ---- reconcile ---- */

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void report(struct call *call, const struct hf_status *before, const struct hf_status *after, bool shared,
                   int64_t took_ms)
{
    uint64_t ended[HF_N_OUTCOMES];

    for (int i = 0; i < HF_N_OUTCOMES; i++)
        ended[i] = after->settled_by[i] - before->settled_by[i];
    reply_map(call->reply, 7);
    holdfast_add_bool(call->reply, "shared", shared);
    holdfast_add_integer(call->reply, "took_ms", took_ms);
    holdfast_add_unsigned(call->reply, "pending_before", before->pending_keys);
    holdfast_add_unsigned(call->reply, "pending_keys", after->pending_keys);
    holdfast_add_unsigned(call->reply, "conflicts", after->conflicts);
    holdfast_add_unsigned(call->reply, "parked", after->parked);
    holdfast_add_outcomes(call->reply, "settled_by", ended);
}

/* The link reconciles by itself whenever it can: this waits for that, and tells. */
static void wait_for_all(struct call *call, int timeout_ms)
{
    struct hf *store = call->server->store;
    struct hf_status before, after;
    int64_t start = now_ms();
    int drained = 0, rc = hf_status(store, &before);

    if (rc == 0)
        drained = hf_drain(store, timeout_ms);
    if (rc == 0 && drained != HF_ETIMEOUT)
        rc = drained;
    if (rc == 0)
        rc = hf_status(store, &after);
    if (rc != 0)
        call_fail(call, rc);
    else
        report(call, &before, &after, drained == 0, now_ms() - start);
}

static void decide(struct call *call)
{
    bool reseed = word_is(call->argv[3], "reseed");
    int rc;

    if (!reseed && !word_is(call->argv[3], "adopt")) {
        holdfast_syntax(call);
        return;
    }
    rc = hf_decide_loss(call->server->store, call->argv[4], reseed ? HF_LOSS_RESEED : HF_LOSS_ADOPT);
    if (rc == 0)
        reply_status(call->reply, "OK");
    else
        call_fail(call, rc);
}

/* ---- preview ---- */

struct previews {
    struct reply rows;
    uint64_t n, limit;
};

static int preview_one(void *ctx, const struct hf_preview *preview)
{
    struct previews *p = ctx;

    if (p->n == p->limit)
        return 1;
    p->n++;
    reply_map(&p->rows, 7);
    holdfast_add_bytes(&p->rows, "key", preview->key);
    holdfast_add_text(&p->rows, "kind", holdfast_kind_text(preview->kind));
    holdfast_add_text(&p->rows, "outcome", hf_outcome_text(preview->outcome));
    holdfast_add_text(&p->rows, "rule", preview->rule);
    holdfast_add_text(&p->rows, "reason", preview->reason);
    holdfast_add_unsigned(&p->rows, "first_lsn", preview->first_lsn);
    holdfast_add_unsigned(&p->rows, "last_lsn", preview->last_lsn);
    return 0;
}

static void preview(struct call *call)
{
    struct previews p = {.rows = {.proto = call->reply->proto}, .limit = PREVIEW_DEFAULT};
    size_t at = 3;
    int rc;

    if (at < call->argc && !holdfast_option(call, &at, "limit", PREVIEW_MAX, &p.limit)) {
        holdfast_syntax(call);
        return;
    }
    if (at > call->argc)
        return;
    rc = hf_preview(call->server->store, preview_one, &p);
    if (rc < 0) {
        call_fail(call, rc);
    } else {
        reply_array(call->reply, p.n);
        reply_add(call->reply, &p.rows);
    }
    reply_release(&p.rows);
}

void holdfast_reconcile(struct call *call)
{
    uint64_t timeout_ms = TIMEOUT_DEFAULT_MS;
    size_t at = 2;

    if (call->argc > 2 && word_is(call->argv[2], "preview") && call->argc != 4)
        preview(call);
    else if (call->argc == 5 && word_is(call->argv[2], "decide"))
        decide(call);
    else if (call->argc == 2 ||
             (call->argc == 4 && holdfast_option(call, &at, "timeout", TIMEOUT_MAX_MS, &timeout_ms))) {
        if (at <= call->argc)
            wait_for_all(call, (int)timeout_ms);
    } else
        holdfast_syntax(call);
}
