/* One operation of a lane on its way to a verdict: whether it is compared with what Redis holds, its case, and what that means
 * for its unit. Nothing is sent, settled or noted. On the link thread for the lane; on a caller's own for a preview. */
#include "link_state.h"

#include "drain.h"

#include <stdlib.h>

/* ---- what is known here ---- */

static bool is_examined(const struct hf_note *note, const struct hf_ns *ns, const struct hf_lane_entry *entry)
{
    if (entry->flags & HF_LANE_PLAIN) /* a rollback took it */
        return note && note->foreign.op != 0 && (entry->op == HF_LANE_SET || entry->op == HF_LANE_DELETE);
    if (entry->base.kind == HF_VERSION_UNKNOWN)
        return false;
    return ns->writers == HF_WRITERS_ANY || (ns->writers == HF_WRITERS_HOLDFAST && note && note->foreign.op != 0);
}

static bool is_dead(const struct hf_turn *turn, const struct hf_lane_entry *entry)
{
    return entry->op == HF_LANE_SET && hf__is_expired(entry->deadline_ms, turn->now_ms);
}

/* One version; nothing, where it has died of itself, or where there is nothing to be stored. */
static void guard_by(const struct hf_turn *turn, const struct hf_lane_entry *entry,
                     const struct hf_version_id *version, struct hf_trial *trial)
{
    static const struct hf_shared_guard absent = {.absent = true};
    struct hf_shared_guard known = {.absent = version->kind == HF_VERSION_ABSENT, .len = version->len};

    memcpy(known.digest, version->digest, sizeof(known.digest));
    trial->guards[trial->n_guards++] = known;
    if (!known.absent && (is_dead(turn, entry) || hf__is_expired(version->deadline_ms, turn->now_ms)))
        trial->guards[trial->n_guards++] = absent;
}

int hf__unit_trial(const struct hf_turn *turn, const struct hf_notes *notes, const struct hf_ns *ns,
                   const struct hf_lane_entry *entry, struct hf_trial **ret_trial)
{
    const struct hf_note *note = hf__notes_find(notes, entry->key);
    struct hf_trial *trial;

    *ret_trial = NULL;
    if (!is_examined(note, ns, entry))
        return 0;
    trial = calloc(1, sizeof(*trial));
    if (!trial)
        return HF_ENOMEM;
    trial->row = (struct hf_pending_row){.key = entry->key, .base = entry->base};
    guard_by(turn, entry, &entry->base, trial);
    if (note && note->stored) {
        hf__pending_add_own(&trial->row, note->stored);
        guard_by(turn, entry, note->stored, trial);
    }
    *ret_trial = trial;
    return 0;
}

/* A lane asks no resolver: it would be asked for a part of a unit. */
static enum hf_conflict_policy policy_of(const struct hf_ns *ns)
{
    return ns->conflict == HF_CONFLICT_MERGE_JSON || ns->conflict == HF_CONFLICT_CALLBACK ? HF_CONFLICT_NEWEST
                                                                                          : ns->conflict;
}

void hf__unit_begin_case(struct hf_turn *turn, const struct hf_ns *ns, const struct hf_lane_entry *entry,
                         struct hf_trial *trial)
{
    bool dead = is_dead(turn, entry);

    hf_buf_release(&trial->theirs);
    trial->judged = false;
    trial->want = 0;
    trial->c = (struct hf_case){
        .op = entry->op == HF_LANE_DELETE ? HF_PENDING_DELETE : HF_PENDING_SET,
        .why = HF_PENDING_WRITE,
        .live = entry->op == HF_LANE_SET && !dead,
        .dead = dead,
        .value = entry->value,
        .deadline_ms = entry->deadline_ms,
        .made_ms = entry->made_ms,
        .uncertainty_ms = hf__turn_uncertainty_ms(turn, entry->made_ms),
        .base = &trial->row.base,
        .own = trial->row.own,
        .n_own = trial->row.n_own,
        .policy = policy_of(ns),
        .now_ms = turn->now_ms,
        .clock_uncertainty_ms = hf__turn_uncertainty_ms(turn, turn->now_ms),
    };
}

/* ---- what was seen there ---- */

void hf__unit_judge(const struct hf_turn *turn, const struct hf_notes *notes, struct hf_trial *trial,
                    const struct hf_shared_seen *seen)
{
    hf__trial_take(turn, trial, seen);
    if (seen->error.class == HF_SHARED_OK)
        trial->judged = hf__trial_judge(turn, notes, trial);
    else
        hf__trial_park(trial, seen->error.reason);
}

/* ---- the unit ---- */

static bool is_lost(const struct hf_trial *trial)
{
    return trial->verdict.take_theirs && !trial->c.dead;
}

const char *hf__unit_why_not(const struct hf_trial *trial, bool alone)
{
    if (!trial)
        return NULL;
    if (trial->verdict.outcome == HF_OUTCOME_PARKED)
        return trial->verdict.reason;
    if (is_lost(trial) && !alone)
        return "it was changed here and there, and theirs wins: a batch is applied as a whole or not at all";
    return NULL;
}
