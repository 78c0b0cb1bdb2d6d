/* One pending row on its way to a verdict: what is known of it here, what was seen of it there, and the judge's word.
 * Nothing is sent, settled or noted. On the link thread for the replay; on a caller's own for a preview. */
#include "link_state.h"

#include "drain.h"
#include "fail.h"

#include <stdlib.h>

#define AHEAD_MS 1000 /* a turn may have begun so long before what is read in it was written */

void hf__trial_free(struct hf_trial *trial)
{
    if (!trial)
        return;
    hf_buf_release(&trial->base_value);
    hf_buf_release(&trial->theirs);
    hf_buf_release(&trial->merged);
    free(trial);
}

/* ---- what is known here ---- */

static int copy_row(struct hf_send *s, const struct hf_pending_row *row)
{
    struct hf_trial *trial = calloc(1, sizeof(*trial));

    s->trial = trial;
    if (!trial || hf__buf_copy(row->key, &s->key) != 0)
        return HF_ENOMEM;
    trial->row = *row;
    trial->row.key = hf__slice(s->key.data, s->key.len);
    if (!row->has_base_value)
        return 0;
    if (hf__buf_copy(row->base_value, &trial->base_value) != 0)
        return HF_ENOMEM;
    trial->row.base_value = hf__slice(trial->base_value.data, trial->base_value.len);
    return 0;
}

int hf__trial_fill(struct hf *store, struct hf_send *s, const struct hf_pending_row *row,
                   const struct hf_found *found)
{
    int rc = copy_row(s, row);

    s->ns = hf__ns_of(&store->namespaces, row->key);
    s->lsn = found->lsn > row->last_lsn ? found->lsn : row->last_lsn;
    s->replayed = true;
    s->made_ms = found->held && found->made_ms ? found->made_ms : row->made_ms;
    if (rc == 0 && found->live)
        rc = hf__buf_copy(found->value, &s->value);
    return rc;
}

/* A time still to come is none: Redis's clock was set back since, and goes on giving ids of the old time to its log. */
static bool is_to_come(const struct hf_turn *turn, int64_t made_ms)
{
    return made_ms - turn->now_ms > AHEAD_MS + turn->uncertainty_ms;
}

/* The later of what the row and this pass know. */
static struct hf_foreign known_foreign(const struct hf_turn *turn, const struct hf_notes *notes,
                                       const struct hf_trial *trial)
{
    const struct hf_note *note = hf__notes_find(notes, trial->row.key);
    struct hf_foreign foreign = trial->row.foreign;

    if (note && hf__foreign_replaces(&note->foreign, &foreign))
        foreign = note->foreign;
    foreign.made_ms = hf__turn_from_redis_ms(turn, foreign.made_ms);
    if (is_to_come(turn, foreign.made_ms))
        foreign.uncertainty_ms = HF_TIME_UNCERTAIN_MS;
    return foreign;
}

static void add_guard(struct hf_trial *trial, const struct hf_version_id *version)
{
    struct hf_shared_guard *guard = &trial->guards[trial->n_guards];

    if (version->kind == HF_VERSION_UNKNOWN)
        return;
    *guard = (struct hf_shared_guard){.absent = version->kind == HF_VERSION_ABSENT, .len = version->len};
    memcpy(guard->digest, version->digest, sizeof(guard->digest));
    trial->n_guards++;
}

/* The cases that need no more than a look: Redis holds what the change was based on, or a version of ours, or nothing
 * although nobody has told of a delete. False: examine. */
static bool set_guards(struct hf_trial *trial)
{
    static const struct hf_version_id absent = {.kind = HF_VERSION_ABSENT};
    const struct hf_case *c = &trial->c;
    bool known = c->base->kind != HF_VERSION_UNKNOWN;

    if (c->foreign.op != 0 || (c->live && c->op == HF_PENDING_TTL) || (!c->live && !c->dead && !known))
        return false;
    if (c->why == HF_PENDING_RESEED) {
        add_guard(trial, &absent);
        return c->live;
    }
    add_guard(trial, c->base);
    for (size_t i = 0; i < c->n_own; i++)
        add_guard(trial, &c->own[i]);
    if (c->why != HF_PENDING_TENTATIVE && c->base->kind != HF_VERSION_ABSENT && (c->live || c->dead))
        add_guard(trial, &absent);
    return trial->n_guards > 0;
}

/* The row's reason, unless something has been written since. */
static uint8_t why_of(const struct hf_trial *trial, const struct hf_found *found)
{
    const struct hf_version *v = found->of_value;

    if (!v || v->lsn <= trial->row.last_lsn)
        return trial->row.why;
    return hf__pending_why(v, &trial->row.base);
}

/* The value is older than what is there, or nobody knows. */
static bool is_life_of_unknown(const struct hf_case *c)
{
    return c->op == HF_PENDING_TTL && c->base->kind == HF_VERSION_UNKNOWN;
}

void hf__trial_begin(struct hf_turn *turn, const struct hf_notes *notes, struct hf_send *s,
                     const struct hf_found *found)
{
    struct hf_trial *trial = s->trial;
    const struct hf_note *note = hf__notes_find(notes, trial->row.key);
    bool only_ttl = trial->row.op == HF_PENDING_TTL && (!found->top || found->only_ttl);
    bool deleted = found->top ? found->top->op == HF_ENTRY_DELETE : trial->row.op == HF_PENDING_DELETE;

    trial->own_value = found->own_value;
    if (note && note->stored)
        hf__pending_add_own(&trial->row, note->stored);
    trial->c = (struct hf_case){
        .op = only_ttl  ? HF_PENDING_TTL
              : deleted ? HF_PENDING_DELETE
                        : HF_PENDING_SET,
        .why = why_of(trial, found),
        .live = found->live,
        .dead = !found->live && !deleted,
        .value = hf__slice(s->value.data, s->value.len),
        .deadline_ms = found->live ? found->deadline_ms : 0,
        .made_ms = s->made_ms,
        .uncertainty_ms = hf__turn_uncertainty_ms(turn, s->made_ms),
        .base = &trial->row.base,
        .own = trial->row.own,
        .n_own = trial->row.n_own,
        .foreign = known_foreign(turn, notes, trial),
        .policy = s->ns->conflict,
        .keep_replaced = s->ns->keep_replaced,
        .now_ms = turn->now_ms,
        .clock_uncertainty_ms = hf__turn_uncertainty_ms(turn, turn->now_ms),
    };
    trial->uncompared = s->ns->writers != HF_WRITERS_ANY && trial->c.foreign.op == 0 &&
                        trial->c.why == HF_PENDING_WRITE && !is_life_of_unknown(&trial->c);
    trial->want = trial->uncompared ? 0 : hf__judge_first_want(&trial->c);
    /* A look at its kind is enough, but only a script deletes where Redis is out of memory. */
    trial->guarded = trial->uncompared ? !found->live : set_guards(trial);
}

/* ---- what was seen there ---- */

void hf__trial_take(const struct hf_turn *turn, struct hf_trial *trial, const struct hf_shared_seen *seen)
{
    struct hf_case *c = &trial->c;

    c->kind = seen->kind;
    c->len = seen->len;
    c->has_digest |= seen->has_digest;
    if (seen->has_digest)
        memcpy(c->digest, seen->digest, sizeof(c->digest));
    if (seen->left_out)
        return;
    if (seen->want & HF_WANT_DEADLINE) {
        c->has_deadline = true;
        c->found_deadline_ms = hf__turn_from_redis_ms(turn, seen->deadline_ms);
    }
    if ((seen->want & HF_WANT_VALUE) && seen->kind == HF_SHARED_STRING && !trial->theirs.data)
        c->has_value = hf__buf_copy(seen->value, &trial->theirs) == 0; /* without memory it is asked for again */
}

struct hf_slice hf__trial_theirs(const struct hf_trial *trial)
{
    return hf__slice(trial->theirs.data, trial->theirs.len);
}

/* ---- verdicts ---- */

/* What had no deadline is there. What had one may have died by now, and then only the value gives it the new life. */
static bool stays_there(const struct hf_version_id *base)
{
    return base->kind == HF_VERSION_DIGEST && base->deadline_ms == 0;
}

/* Without a look at it nobody knows whether the key is there still: the value goes with its new life. */
void hf__trial_judge_unexamined(struct hf_trial *trial)
{
    const struct hf_case *c = &trial->c;

    trial->verdict = (struct hf_judgement){.send = c->live ? HF_SHARED_SET : HF_SHARED_DELETE,
                                           .deadline_ms = c->deadline_ms,
                                           .outcome = c->dead ? HF_OUTCOME_EXPIRED : HF_OUTCOME_APPLIED};
    trial->judged = true;
}

static void judge_uncompared(struct hf_trial *trial)
{
    const struct hf_case *c = &trial->c;

    hf__trial_judge_unexamined(trial);
    if (c->live && c->op == HF_PENDING_TTL && c->kind == HF_SHARED_STRING && stays_there(c->base))
        trial->verdict.send = c->deadline_ms ? HF_SHARED_EXPIRE : HF_SHARED_PERSIST;
}

bool hf__trial_judge(const struct hf_turn *turn, const struct hf_notes *notes, struct hf_trial *trial)
{
    trial->c.foreign = known_foreign(turn, notes, trial);
    if (trial->uncompared && trial->c.foreign.op == 0 && trial->c.kind != HF_SHARED_OTHER) {
        judge_uncompared(trial);
        return true;
    }
    hf__judge(&trial->c, &trial->verdict);
    trial->want = trial->verdict.want;
    return trial->want == 0;
}

/* They outlive the examination where theirs would have been. */
void hf__trial_park(struct hf_trial *trial, const char *reason)
{
    hf_buf_release(&trial->theirs);
    if (hf__buf_copy(hf__slice(reason, strlen(reason) + 1), &trial->theirs) == 0)
        reason = trial->theirs.data;
    else
        reason = "Redis does not let this user look at it";
    trial->verdict = (struct hf_judgement){.outcome = HF_OUTCOME_PARKED, .reason = reason};
    trial->want = 0;
    trial->judged = true;
}

bool hf__trial_merge_json(struct hf_send *s)
{
    struct hf_trial *trial = s->trial;
    struct hf_judgement newest;
    struct hf_slice base = trial->row.base_value;
    int rc = HF_EINVAL;

    hf__judge_newest(&trial->c, &newest);
    if (newest.want == 0 && trial->c.live && trial->c.kind == HF_SHARED_STRING)
        rc = hf_merge_json(trial->row.has_base_value ? &base : NULL, trial->c.value, hf__trial_theirs(trial),
                           newest.winner, &trial->merged);
    if (rc == 0)
        hf__judge_answer(&trial->c, HF_WINNER_MERGED, HF_RULE_MERGED, &trial->verdict);
    else
        trial->verdict = newest;
    return rc != HF_ENOMEM;
}
