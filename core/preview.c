/* What the replay would do, told without doing it (docs/reconcile.md, "Looking first").
 *
 *   what the link knows, epochs, marks ──► checkpoint ──► change logs ──► rows, a batch at a time ──► lane entries
 *
 * The link's cursors and notes are copied before the checkpoint, so that what it has noted of other nodes until then is known
 * here, and what it notes later is read here as well. The rows are judged as the replay judges them (trial.c); what differs is
 * that no key is watched, and that nobody is asked who decides. */
#include "preview.h"

#include "checkpoint.h"
#include "fail.h"
#include "settle.h"

#include <stdio.h>
#include <stdlib.h>

#define BYTES_MAX (1u << 20) /* of keys and values in a batch, of which one may be longer */
#define LOG_ENTRIES 1000u    /* in one answer */

/* ---- examining ---- */

struct batch {
    struct hf_preview_run *run;
    void (*take)(struct hf_preview_run *run, const struct hf_shared_seen *seen);
};

static void take_batch(void *ctx, const struct hf_shared_examine *examine)
{
    struct batch *batch = ctx;

    for (size_t i = 0; i < examine->n_keys; i++)
        batch->take(batch->run, &examine->keys[i]);
}

int hf__preview_examine(struct hf_preview_run *run, size_t n,
                        void (*take)(struct hf_preview_run *run, const struct hf_shared_seen *seen))
{
    struct batch batch = {run, take};
    struct hf_ask_examine ask = {.examine = {.keys = run->seen, .n_keys = n}, .ctx = &batch, .take = take_batch};
    int rc;

    hf__turn_begin(run->store, &run->turn);
    rc = hf__ask_examine(run->store, &ask);
    return rc == 0 ? run->rc : rc;
}

/* ---- where the replay would begin ---- */

/* The bookkeeping keys of all namespaces: epoch and mark in turn. */
struct bookkeeping {
    struct hf_preview_run *run;
    struct hf_shared_seen *seen;
    struct hf_buf *epoch_keys;
    size_t n;
};

/* What the link has heard of others stands in rows, but of a lane only in its notes. */
static void copy_notes(struct hf_preview_run *run, const struct hf_notes *notes)
{
    for (size_t i = 0; i < notes->capacity; i++) {
        const struct hf_note *note = &notes->places[i];
        struct hf_slice key = hf__slice(note->key.data, note->key.len);
        if (note->key.data && note->foreign.op != 0 && !hf__notes_foreign(&run->foreign, key, &note->foreign))
            run->rc = HF_ENOMEM;
    }
}

static void copy_cursors(void *ctx, struct hf_link *link)
{
    struct bookkeeping *b = ctx;

    for (size_t i = 0; i < b->n; i++) {
        struct hf_preview_ns *p = &b->run->namespaces[i];
        memcpy(p->epoch, p->ns->epoch, sizeof(p->epoch));
        memcpy(p->log_id, p->ns->log_id, sizeof(p->log_id));
        p->mark = p->ns->mark;
        p->known_mark = hf__ns_known_mark(p->ns);
        p->fresh = p->ns->fresh;
    }
    copy_notes(b->run, &link->notes);
    b->run->caught_up = link->state == HF_LINK_REPLAYING || link->state == HF_LINK_ONLINE;
    b->run->no_scripts = link->no_scripts;
    b->run->sent_lsn = link->sent_lsn;
    b->run->maybe_sent_lsn = link->maybe_sent_lsn;
}

static uint64_t number_of(const struct hf_shared_seen *seen)
{
    int64_t number;

    return seen->kind == HF_SHARED_STRING && hf__parse_counter(seen->value, &number) && number > 0
               ? (uint64_t)number
               : 0;
}

/* By epoch and mark; the logs are read later, and only for what they name. */
static enum hf_evidence evidence_of(const struct hf_preview_run *run, const struct hf_preview_ns *p,
                                    const char *found_epoch)
{
    struct hf_history known = {.epoch = p->epoch, .log_id = "", .mark = p->known_mark};
    struct hf_history found = {.epoch = found_epoch, .log_id = "", .mark = p->found_mark};

    return hf__evidence(&known, &found, false, run->life);
}

/* As at catch-up: Redis's own word on the mark holds, but for one that is gone while its history is there. */
static void take_bookkeeping(struct hf_preview_run *run, struct hf_preview_ns *p,
                             const struct hf_shared_seen *epoch, const struct hf_shared_seen *mark)
{
    char found[33] = "";
    bool same;

    if (epoch->kind == HF_SHARED_STRING && epoch->value.len < sizeof(found))
        memcpy(found, epoch->value.data, epoch->value.len);
    p->found_mark = number_of(mark);
    p->evidence = evidence_of(run, p, found);
    same = found[0] && strcmp(found, p->epoch) == 0;
    if (run->caught_up && same)
        return;
    if (p->found_mark != 0 || !same)
        p->mark = p->found_mark;
    p->fresh = !same;
    if (!same)
        p->log_id[0] = '\0';
    memcpy(p->epoch, found, sizeof(found));
}

static void take_all_bookkeeping(void *ctx, const struct hf_shared_examine *examine)
{
    struct bookkeeping *b = ctx;

    for (size_t i = 0; i < b->n; i++)
        take_bookkeeping(b->run, &b->run->namespaces[i], &examine->keys[2 * i], &examine->keys[2 * i + 1]);
}

static int name_bookkeeping(struct bookkeeping *b)
{
    int rc = b->seen && b->epoch_keys ? 0 : hf__fail(HF_ENOMEM, "out of memory: %zu namespaces", b->n);

    for (size_t i = 0; i < b->n && rc == 0; i++) {
        const struct hf_ns *ns = b->run->namespaces[i].ns;
        rc = hf__ns_key(ns, ":epoch", "", &b->epoch_keys[i]);
        b->seen[2 * i] = (struct hf_shared_seen){.key = hf__slice(b->epoch_keys[i].data, b->epoch_keys[i].len),
                                                 .want = HF_WANT_VALUE};
        b->seen[2 * i + 1] =
            (struct hf_shared_seen){.key = hf__slice(ns->mark_key.data, ns->mark_key.len), .want = HF_WANT_VALUE};
    }
    return rc;
}

/* A directory that is older than what it shared is held, and nothing is replayed. */
static int check_history(const struct hf_preview_run *run)
{
    for (size_t i = 0; i < run->store->namespaces.n; i++) {
        if (run->namespaces[i].found_mark > run->sent_lsn)
            return hf__fail(HF_EOFFLINE, "Redis holds later writes of this node than this store knows: its "
                                         "directory is an old copy, and nothing of it would be replayed");
    }
    return 0;
}

static int read_bookkeeping(struct hf_preview_run *run)
{
    size_t n = run->store->namespaces.n;
    struct bookkeeping b = {run, calloc(2 * n, sizeof(*b.seen)), calloc(n, sizeof(*b.epoch_keys)), n};
    struct hf_ask_examine ask = {.examine = {.keys = b.seen, .n_keys = 2 * n},
                                 .ctx = &b,
                                 .before = copy_cursors,
                                 .take = take_all_bookkeeping};
    int rc = name_bookkeeping(&b);

    if (rc == 0)
        rc = hf__ask_examine(run->store, &ask);
    if (rc == 0 && run->rc != 0)
        rc = hf__fail(run->rc, "out of memory: what the link has heard of others");
    for (size_t i = 0; b.epoch_keys && i < n; i++)
        hf_buf_release(&b.epoch_keys[i]);
    free(b.epoch_keys);
    free(b.seen);
    return rc == 0 ? check_history(run) : rc;
}

static int begin(struct hf_preview_run *run)
{
    struct hf_ns_table *table = &run->store->namespaces;

    run->namespaces = calloc(table->n, sizeof(*run->namespaces));
    if (!run->namespaces)
        return hf__fail(HF_ENOMEM, "out of memory: %zu namespaces", table->n);
    for (size_t i = 0; i < table->n; i++)
        run->namespaces[i].ns = &table->all[i];
    return read_bookkeeping(run);
}

/* ---- what the change logs tell ---- */

static void note_own(struct hf_preview_run *run, const struct hf_shared_change *change)
{
    struct hf_note *note;

    if (change->op != HF_SHARED_SET && change->op != HF_SHARED_DELETE)
        return;
    note = hf__notes_of(&run->own, change->key);
    if (!note)
        run->rc = HF_ENOMEM;
    else if (change->lsn > note->number)
        note->number = change->lsn;
}

/* As at catch-up: what the log names of a lane was applied, whatever became of the mark since. */
static void know_mark(struct hf_preview_run *run, const struct hf_shared_change *change)
{
    const struct hf_ns_table *table = &run->store->namespaces;
    struct hf_preview_ns *p = &run->namespaces[hf__ns_of(table, change->key) - table->all];

    if (change->op == HF_SHARED_INCR && change->last_lsn > p->mark)
        p->mark = change->last_lsn;
}

static void on_change(void *ctx, const struct hf_shared_change *change)
{
    struct hf_preview_run *run = ctx;
    struct hf_foreign foreign = {
        .op = (uint8_t)change->op, .made_ms = change->made_ms, .uncertainty_ms = change->uncertainty_ms};

    if (strcmp(change->node, run->store->node) == 0) {
        know_mark(run, change);
        note_own(run, change);
    } else if (!hf__notes_foreign(&run->foreign, change->key, &foreign)) {
        run->rc = HF_ENOMEM;
    }
}

/* A log that knows nothing of the place where we stopped is read from its beginning, as at catch-up. */
static int read_page(struct hf_preview_run *run, struct hf_preview_ns *p, bool *ret_end)
{
    struct hf_shared_log_page page = {
        .log_key = hf__slice(p->log_key.data, p->log_key.len), .count = LOG_ENTRIES, .each = on_change, .ctx = run};
    struct hf_ask_examine ask = {.examine = {.logs = &page, .n_logs = 1}};
    int rc;

    memcpy(page.after_id, p->log_id, sizeof(page.after_id));
    rc = hf__ask_examine(run->store, &ask);
    if (rc != 0 || run->rc != 0)
        return rc != 0 ? rc : hf__fail(run->rc, "out of memory: what the change log names");
    *ret_end = !page.missing && page.n_entries < LOG_ENTRIES;
    memcpy(p->log_id, page.after_id, sizeof(p->log_id));
    if (page.missing)
        p->log_id[0] = '\0';
    return 0;
}

static int read_log(struct hf_preview_run *run, struct hf_preview_ns *p)
{
    bool end = false;
    int rc = hf__ns_key(p->ns, ":log:", p->epoch, &p->log_key);

    while (rc == 0 && !end)
        rc = read_page(run, p, &end);
    return rc;
}

static int read_logs(struct hf_preview_run *run)
{
    int rc = 0;

    for (size_t i = 0; i < run->store->namespaces.n && rc == 0; i++) {
        struct hf_preview_ns *p = &run->namespaces[i];
        if (p->ns->with_log && p->ns->write_mode != HF_WRITE_LOCAL && p->epoch[0])
            rc = read_log(run, p);
    }
    return rc;
}

/* ---- rows: collecting ---- */

/* An answer was lost, or came in another life: the log has it. */
static void take_own(struct hf_preview_run *run, struct hf_send *s)
{
    const struct hf_note *own = hf__notes_find(&run->own, hf__send_key(s));

    if (!own || own->number < s->lsn)
        return;
    s->trial->verdict = (struct hf_judgement){.outcome = HF_OUTCOME_ALREADY};
    s->trial->judged = true;
}

static bool is_owed(struct hf *store, const struct hf_pending_row *row, const struct hf_found *found)
{
    if (hf__settle_acked_lsn(store, row->key) >= row->last_lsn)
        return false;
    return !found->top || (!hf__version_is_settled(found->top) && !(found->top->flags & HF_ENTRY_LANE));
}

static int add_row(struct hf_preview_run *run, struct hf_look *look, const struct hf_pending_row *row)
{
    struct hf_found found;
    struct hf_send *s;
    int rc = hf__look_up(look, row->key, &found);

    if (rc == HF_ECORRUPT) /* the replay leaves it where it is */
        return 0;
    if (rc != 0 || !is_owed(run->store, row, &found))
        return rc;
    s = hf__send_add(&run->sends);
    rc = s ? hf__trial_fill(run->store, s, row, &found) : HF_ENOMEM;
    if (rc != 0)
        return hf__fail(rc, "out of memory: a pending change");
    hf__trial_begin(&run->turn, &run->foreign, s, &found);
    s->trial->guarded = s->trial->guarded && !run->no_scripts;
    take_own(run, s);
    run->sends.bytes += s->key.len + s->value.len;
    return 0;
}

static int collect_from(struct hf_preview_run *run, struct hf_look *look, uint64_t *from_lsn, bool *ret_end)
{
    struct hf_local_snap *snap;
    struct hf_pending_row row;
    int rc = hf__look_snap(look, &snap);

    while (rc == 0 && run->sends.n < HF_PREVIEW_KEYS && run->sends.bytes < BYTES_MAX) {
        rc = run->store->local->ops->pending_next(snap, *from_lsn, &row);
        *ret_end = rc == HF_NOT_FOUND || (rc == HF_ECORRUPT && row.first_lsn == UINT64_MAX);
        if (*ret_end)
            return 0;
        if (rc == 0 || rc == HF_ECORRUPT)
            *from_lsn = row.first_lsn + 1;
        rc = rc == 0             ? add_row(run, look, &row)
             : rc == HF_ECORRUPT ? 0
                                 : rc; /* the replay passes by what is damaged */
    }
    return rc;
}

static int collect(struct hf_preview_run *run, uint64_t *from_lsn, bool *ret_end)
{
    struct hf_look look;
    int rc = hf__look_begin(run->store, &look);

    if (rc == 0)
        rc = collect_from(run, &look, from_lsn, ret_end);
    hf__look_end(&look);
    return rc;
}

/* ---- rows: judging ---- */

static void park(struct hf_trial *trial)
{
    trial->verdict =
        (struct hf_judgement){.outcome = HF_OUTCOME_PARKED, .reason = "Redis does not let this user look at it"};
    trial->judged = true;
}

/* Does the script that looks before it stores find what it may store over? False also when a digest is missing: wanted. */
static bool guards_hold(struct hf_trial *trial)
{
    const struct hf_case *c = &trial->c;

    for (size_t i = 0; i < trial->n_guards; i++) {
        const struct hf_shared_guard *guard = &trial->guards[i];
        if (guard->absent && c->kind == HF_SHARED_ABSENT)
            return true;
        if (guard->absent || c->kind != HF_SHARED_STRING || c->len != guard->len)
            continue;
        if (!c->has_digest) {
            trial->want = HF_WANT_DIGEST;
            return false;
        }
        if (memcmp(c->digest, guard->digest, sizeof(guard->digest)) == 0)
            return true;
    }
    return false;
}

bool hf__preview_has_conflict_room(const struct hf_preview_run *run, uint64_t bytes)
{
    struct hf *store = run->store;
    uint64_t n = atomic_load(&store->conflicts) + atomic_load(&store->conflicts_left) + run->conflicts;

    bytes += atomic_load(&store->conflict_bytes) + atomic_load(&store->conflict_bytes_left) + run->conflict_bytes;
    return n < store->opts.conflict_log_max && bytes <= store->opts.conflict_log_max_bytes;
}

void hf__preview_note_conflict(struct hf_preview_run *run, uint64_t bytes)
{
    run->conflicts++;
    run->conflict_bytes += bytes;
}

/* A full conflict log keeps no blind rows, and leaves other changes pending. */
static void check_conflict_room(struct hf_preview_run *run, const struct hf_send *s)
{
    struct hf_judgement *verdict = &s->trial->verdict;
    uint64_t bytes = s->key.len + s->value.len + s->trial->theirs.len;

    if (verdict->rule == 0)
        return;
    if (hf__preview_has_conflict_room(run, bytes))
        hf__preview_note_conflict(run, bytes);
    else if (verdict->rule == HF_RULE_BLIND)
        verdict->rule = 0;
    else
        *verdict = (struct hf_judgement){.outcome = HF_OUTCOME_PENDING};
}

/* What the replay asks of a resolver, this does not. */
static void resolve(struct hf_send *s)
{
    if (s->trial->c.policy != HF_CONFLICT_MERGE_JSON || !hf__trial_merge_json(s))
        s->trial->verdict = (struct hf_judgement){.outcome = HF_OUTCOME_PENDING};
}

static void judge(struct hf_preview_run *run, struct hf_send *s)
{
    struct hf_trial *trial = s->trial;

    trial->want = 0;
    if (trial->guarded && guards_hold(trial)) { /* the first request of the replay settles it */
        hf__trial_judge_unexamined(trial);
        return;
    }
    if (trial->want != 0 || !hf__trial_judge(&run->turn, &run->foreign, trial))
        return;
    if (trial->verdict.ask)
        resolve(s);
    trial->want = trial->verdict.want;
    if (trial->want != 0)
        return;
    check_conflict_room(run, s);
    trial->judged = true;
}

void hf__preview_check_value(struct hf_preview_run *run, const struct hf_trial *trial,
                             const struct hf_shared_seen *seen)
{
    if ((seen->want & HF_WANT_VALUE) && seen->kind == HF_SHARED_STRING && !seen->left_out && !trial->c.has_value)
        run->rc = HF_ENOMEM;
}

static void take_seen(struct hf_preview_run *run, const struct hf_shared_seen *seen)
{
    struct hf_trial *trial = ((struct hf_send *)seen->owner)->trial;

    hf__trial_take(&run->turn, trial, seen);
    if (seen->error.class != HF_SHARED_OK && !trial->judged)
        park(trial);
    hf__preview_check_value(run, trial, seen);
}

/* What is told of theirs is asked for along with what the judge wants. */
static int look_first(struct hf_preview_run *run)
{
    for (size_t i = 0; i < run->sends.n; i++) {
        struct hf_send *s = &run->sends.sends[i];
        run->seen[i] =
            (struct hf_shared_seen){.key = hf__send_key(s), .want = s->trial->want | HF_WANT_DEADLINE, .owner = s};
    }
    return hf__preview_examine(run, run->sends.n, take_seen);
}

/* Judge what is not; those that want more are put into the next examination. Returns their number. */
static size_t judge_all(struct hf_preview_run *run)
{
    size_t n = 0;

    for (size_t i = 0; i < run->sends.n; i++) {
        struct hf_send *s = &run->sends.sends[i];
        if (!s->trial->judged)
            judge(run, s);
        if (!s->trial->judged)
            run->seen[n++] = (struct hf_shared_seen){.key = hf__send_key(s), .want = s->trial->want, .owner = s};
    }
    return n;
}

static int judge_rows(struct hf_preview_run *run)
{
    size_t n;
    int rc = look_first(run);

    while (rc == 0 && (n = judge_all(run)) > 0)
        rc = hf__preview_examine(run, n, take_seen);
    return rc;
}

/* ---- rows: telling ---- */

static enum hf_op_kind kind_of(const struct hf_case *c)
{
    if (c->op == HF_PENDING_TTL)
        return c->deadline_ms ? HF_OP_EXPIRE_AT : HF_OP_PERSIST;
    return c->op == HF_PENDING_DELETE ? HF_OP_DELETE : HF_OP_SET;
}

static int tell(struct hf_preview_run *run, const struct hf_send *s)
{
    const struct hf_trial *trial = s->trial;
    const struct hf_case *c = &trial->c;
    struct hf_preview preview = {
        .key = hf__send_key(s),
        .kind = kind_of(c),
        .outcome = trial->verdict.outcome,
        .rule = hf__rule_text(trial->verdict.rule),
        .reason = trial->verdict.reason ? trial->verdict.reason : "",
        .first_lsn = trial->row.first_lsn,
        .last_lsn = s->lsn,
        .ours = {.present = c->live,
                 .value = hf__slice(NULL, c->value.len),
                 .deadline_ms = c->deadline_ms,
                 .made_ms = c->made_ms,
                 .uncertainty_ms = c->uncertainty_ms},
        .theirs = {.present = c->kind != HF_SHARED_ABSENT,
                   .value = hf__slice(NULL, c->kind == HF_SHARED_STRING ? c->len : 0),
                   .deadline_ms = c->found_deadline_ms,
                   .made_ms = c->foreign.op ? c->foreign.made_ms : 0,
                   .uncertainty_ms = c->foreign.uncertainty_ms},
    };

    return run->each(run->ctx, &preview);
}

static int preview_rows(struct hf_preview_run *run)
{
    uint64_t from_lsn = 0;
    bool end = false;
    int rc = 0;

    while (rc == 0 && !end) {
        rc = collect(run, &from_lsn, &end);
        if (rc == 0 && run->sends.n > 0)
            rc = judge_rows(run);
        for (size_t i = 0; i < run->sends.n && rc == 0; i++)
            rc = tell(run, &run->sends.sends[i]);
        hf__send_list_clear(&run->sends);
    }
    return rc;
}

/* ---- all of it ---- */

static void release(struct hf_preview_run *run)
{
    for (size_t i = 0; run->namespaces && i < run->store->namespaces.n; i++)
        hf_buf_release(&run->namespaces[i].log_key);
    free(run->namespaces);
    hf__notes_release(&run->foreign);
    hf__notes_release(&run->own);
    hf__send_list_clear(&run->sends);
    free(run->sends.sends);
}

int hf_preview(struct hf *store, int (*each)(void *ctx, const struct hf_preview *preview), void *ctx)
{
    struct hf_preview_run run = {.store = store, .each = each, .ctx = ctx};
    int rc = hf__check_handle(store, false);

    if (rc == 0 && !store->link)
        rc = hf__fail(HF_EOFFLINE, "the store was opened without a shared tier: there is nobody to replay to");
    hf__turn_begin(store, &run.turn);
    if (rc == 0)
        rc = begin(&run);
    if (rc == 0)
        rc = hf__checkpoint_wait(store); /* then every pending change has its row */
    if (rc == 0)
        rc = read_logs(&run);
    if (rc == 0)
        rc = preview_rows(&run);
    if (rc == 0)
        rc = hf__preview_lanes(&run);
    release(&run);
    return rc;
}

/* ---- losses ---- */

/* Without the right to ask it stays unknown, as at catch-up; not so without an answer. */
static int ask_life(struct hf_preview_run *run)
{
    struct hf_link *link = run->store->link;
    struct hf_shared_facts facts;
    int rc = hf__ask_facts(run->store, &facts);

    if (rc != 0)
        return rc;
    pthread_mutex_lock(&link->mutex);
    run->life = hf__link_life_of(link, &facts);
    pthread_mutex_unlock(&link->mutex);
    return 0;
}

static int tell_loss(const struct hf_preview_ns *p, int (*each)(void *ctx, const struct hf_loss *loss), void *ctx)
{
    struct hf_loss loss = {.prefix = hf__slice(p->ns->prefix.data, p->ns->prefix.len),
                           .found = hf__evidence_text(p->evidence),
                           .policy = p->evidence == HF_EVIDENCE_ROLLED_BACK
                                         ? HF_LOSS_BY_EVIDENCE
                                         : hf__evidence_policy(p->evidence, p->ns->on_loss)};

    return hf__evidence_is_loss(p->evidence) ? each(ctx, &loss) : 0;
}

int hf_preview_losses(struct hf *store, int (*each)(void *ctx, const struct hf_loss *loss), void *ctx)
{
    struct hf_preview_run run = {.store = store};
    int rc = hf__check_handle(store, false);

    if (rc == 0 && !store->link)
        rc = hf__fail(HF_EOFFLINE, "the store was opened without a shared tier: there is nothing to be lost");
    if (rc == 0)
        rc = ask_life(&run);
    if (rc == 0)
        rc = begin(&run);
    for (size_t i = 0; rc == 0 && i < store->namespaces.n; i++)
        rc = tell_loss(&run.namespaces[i], each, ctx);
    release(&run);
    return rc;
}
