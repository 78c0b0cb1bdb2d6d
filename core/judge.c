/* The verdict on one pending change. The order of the questions is the table of docs/reconcile.md. */
#include "judge.h"

#include "digest.h"
#include "timeline.h"

#include <string.h>

/* ---- sameness ---- */

enum sameness { DIFFERENT = 0, SAME, NOT_KNOWN };

/* Is what was found this version's value? The deadline is another question. */
static enum sameness found_is(const struct hf_case *c, const struct hf_version_id *version)
{
    if (version->kind == HF_VERSION_ABSENT)
        return c->kind == HF_SHARED_ABSENT ? SAME : DIFFERENT;
    if (version->kind != HF_VERSION_DIGEST || c->kind != HF_SHARED_STRING || c->len != version->len)
        return DIFFERENT;
    if (!c->has_digest)
        return NOT_KNOWN;
    return memcmp(c->digest, version->digest, HF_DIGEST_BYTES) == 0 ? SAME : DIFFERENT;
}

static enum sameness found_is_ours(const struct hf_case *c)
{
    struct hf_version_id ours;

    if (!c->live || c->kind != HF_SHARED_STRING || c->len != c->value.len)
        return DIFFERENT;
    ours = hf__version_id(c->value, 0);
    return found_is(c, &ours);
}

/* Redis still holds what the change was based on, or a version of ours that was sent since. */
static enum sameness is_unchanged(const struct hf_case *c)
{
    enum sameness same = found_is(c, c->base);

    for (size_t i = 0; i < c->n_own && same == DIFFERENT; i++)
        same = found_is(c, &c->own[i]);
    if (same == DIFFERENT && c->kind == HF_SHARED_ABSENT && c->base->kind == HF_VERSION_DIGEST &&
        hf__is_expired(c->base->deadline_ms, c->now_ms))
        return SAME; /* it has died of itself */
    return same;
}

/* ---- times ---- */

static bool is_of_life_only(const struct hf_foreign *change)
{
    return change->op == HF_SHARED_EXPIRE || change->op == HF_SHARED_PERSIST;
}

bool hf__foreign_replaces(const struct hf_foreign *change, const struct hf_foreign *known)
{
    if (change->op == 0 || known->op == 0)
        return known->op == 0;
    if (is_of_life_only(change) != is_of_life_only(known))
        return is_of_life_only(known);
    return change->made_ms >= known->made_ms;
}

/* The log names a change that explains what was found. */
static bool theirs_time_is_known(const struct hf_case *c)
{
    if (c->kind == HF_SHARED_ABSENT)
        return c->foreign.op == HF_SHARED_DELETE;
    return c->foreign.op == HF_SHARED_SET || c->foreign.op == HF_SHARED_INCR;
}

/* Positive: theirs was made later; 0: the times are nearer than their uncertainties. */
static int compare_times(const struct hf_case *c)
{
    int64_t difference = c->foreign.made_ms - c->made_ms;
    int64_t uncertainty = c->foreign.uncertainty_ms + c->uncertainty_ms;

    if (difference > uncertainty)
        return 1;
    return difference < -uncertainty ? -1 : 0;
}

static bool theirs_is_later(const struct hf_case *c)
{
    return theirs_time_is_known(c) && compare_times(c) > 0;
}

/* ---- deadlines ---- */

bool hf__judge_same_deadline(int64_t a_ms, int64_t b_ms, int64_t clock_uncertainty_ms)
{
    int64_t slack = HF_JUDGE_DEADLINE_SLACK_MS + 2 * clock_uncertainty_ms;

    if (a_ms == 0 || b_ms == 0)
        return a_ms == b_ms;
    return a_ms - b_ms <= slack && b_ms - a_ms <= slack;
}

static bool same_deadline(const struct hf_case *c, int64_t a, int64_t b)
{
    return hf__judge_same_deadline(a, b, c->clock_uncertainty_ms);
}

/* The longer life; none is the longest. */
static int64_t longer(int64_t a, int64_t b)
{
    if (a == 0 || b == 0)
        return 0;
    return a > b ? a : b;
}

/* The deadline that the key shall have, when the value stays as it is found. */
static int64_t ruled_deadline(const struct hf_case *c)
{
    bool theirs_changed = c->base->kind == HF_VERSION_DIGEST &&
                          !same_deadline(c, c->found_deadline_ms, c->base->deadline_ms) &&
                          !same_deadline(c, c->found_deadline_ms, c->deadline_ms);

    return theirs_changed ? longer(c->found_deadline_ms, c->deadline_ms) : c->deadline_ms;
}

static void set_deadline(const struct hf_case *c, enum hf_outcome otherwise, struct hf_judgement *ret)
{
    if (!c->has_deadline) {
        ret->want = HF_WANT_DEADLINE;
        return;
    }
    ret->deadline_ms = ruled_deadline(c);
    ret->outcome = otherwise;
    if (same_deadline(c, ret->deadline_ms, c->found_deadline_ms)) {
        ret->deadline_ms = c->found_deadline_ms;
        return;
    }
    ret->send = ret->deadline_ms ? HF_SHARED_EXPIRE : HF_SHARED_PERSIST;
}

/* ---- conflicts ---- */

/* What the copy here, or a resolver, needs of theirs. */
static uint8_t wants_theirs(const struct hf_case *c)
{
    if (c->kind != HF_SHARED_STRING)
        return 0;
    return (uint8_t)((c->has_value ? 0 : HF_WANT_VALUE) | (c->has_deadline ? 0 : HF_WANT_DEADLINE));
}

/* What the row for the conflict log needs of it: of a value that the log does not take, the digest. */
static uint8_t wants_record_of_theirs(const struct hf_case *c)
{
    if (c->kind != HF_SHARED_STRING || c->len <= HF_CONFLICT_VALUE_MAX)
        return wants_theirs(c);
    return (uint8_t)((c->has_digest ? 0 : HF_WANT_DIGEST) | (c->has_deadline ? 0 : HF_WANT_DEADLINE));
}

/* Both: a resolver is asked once, and what it answers is recorded. */
static uint8_t wants_all_of_theirs(const struct hf_case *c)
{
    return wants_theirs(c) | wants_record_of_theirs(c);
}

static void ours_wins(const struct hf_case *c, uint8_t rule, struct hf_judgement *ret)
{
    *ret = (struct hf_judgement){.want = wants_record_of_theirs(c),
                                 .send = c->live ? HF_SHARED_SET : HF_SHARED_DELETE,
                                 .deadline_ms = c->live ? c->deadline_ms : 0,
                                 .outcome = HF_OUTCOME_WON,
                                 .rule = rule,
                                 .winner = HF_WINNER_OURS};
}

static void theirs_wins(const struct hf_case *c, uint8_t rule, struct hf_judgement *ret)
{
    *ret = (struct hf_judgement){.want = wants_all_of_theirs(c),
                                 .outcome = rule == HF_RULE_OVERTURNED ? HF_OUTCOME_OVERTURNED : HF_OUTCOME_LOST,
                                 .rule = rule,
                                 .winner = HF_WINNER_THEIRS,
                                 .take_theirs = true};
}

/* The same on every node, whoever comes first: the greater digest; an absence is the smallest. */
static void greater_wins(const struct hf_case *c, struct hf_judgement *ret)
{
    struct hf_version_id ours = hf__version_id(c->value, 0);

    if (c->kind == HF_SHARED_STRING && c->live && !c->has_digest)
        *ret = (struct hf_judgement){.want = HF_WANT_DIGEST};
    else if (c->kind != HF_SHARED_STRING || (c->live && memcmp(ours.digest, c->digest, HF_DIGEST_BYTES) > 0))
        ours_wins(c, HF_RULE_AMBIGUOUS, ret);
    else
        theirs_wins(c, HF_RULE_AMBIGUOUS, ret);
}

void hf__judge_newest(const struct hf_case *c, struct hf_judgement *ret)
{
    if (!theirs_time_is_known(c))
        theirs_wins(c, HF_RULE_UNKNOWN, ret);
    else if (compare_times(c) == 0)
        greater_wins(c, ret);
    else if (compare_times(c) > 0)
        theirs_wins(c, HF_RULE_NEWEST, ret);
    else
        ours_wins(c, HF_RULE_NEWEST, ret);
}

static void park(const char *reason, struct hf_judgement *ret)
{
    *ret = (struct hf_judgement){.outcome = HF_OUTCOME_PARKED, .reason = reason};
}

static void conflict(const struct hf_case *c, struct hf_judgement *ret)
{
    switch (c->policy) {
    case HF_CONFLICT_REMOTE: theirs_wins(c, HF_RULE_REMOTE, ret); break;
    case HF_CONFLICT_LOCAL: ours_wins(c, HF_RULE_LOCAL, ret); break;
    case HF_CONFLICT_PARK: park("it was changed here and there, and the namespace's policy is to park", ret); break;
    case HF_CONFLICT_MERGE_JSON:
    case HF_CONFLICT_CALLBACK: *ret = (struct hf_judgement){.want = wants_all_of_theirs(c), .ask = true}; break;
    default: hf__judge_newest(c, ret); break;
    }
}

/* The longer life of the sides that are there. */
static int64_t merged_deadline(const struct hf_case *c)
{
    if (!c->live || c->kind != HF_SHARED_STRING)
        return c->live ? c->deadline_ms : c->found_deadline_ms;
    return longer(c->deadline_ms, c->found_deadline_ms);
}

void hf__judge_answer(const struct hf_case *c, enum hf_winner winner, uint8_t rule, struct hf_judgement *ret)
{
    if (winner == HF_WINNER_THEIRS) {
        theirs_wins(c, rule, ret);
        return;
    }
    ours_wins(c, rule, ret);
    ret->winner = winner;
    if (winner == HF_WINNER_MERGED) {
        ret->outcome = HF_OUTCOME_MERGED;
        ret->send = HF_SHARED_SET;
        ret->deadline_ms = merged_deadline(c);
    }
}

/* ---- what ours is ---- */

/* It replaces what it did not know: applied, and what was there is kept. */
static void apply_blindly(const struct hf_case *c, struct hf_judgement *ret)
{
    if (c->kind != HF_SHARED_STRING || !c->keep_replaced)
        return;
    ret->want = wants_record_of_theirs(c);
    ret->rule = HF_RULE_BLIND;
    ret->winner = HF_WINNER_OURS;
}

static bool is_blind(const struct hf_case *c)
{
    return c->base->kind == HF_VERSION_UNKNOWN;
}

static void judge_value(const struct hf_case *c, struct hf_judgement *ret)
{
    enum sameness ours = found_is_ours(c), unchanged = is_unchanged(c);

    *ret =
        (struct hf_judgement){.send = HF_SHARED_SET, .deadline_ms = c->deadline_ms, .outcome = HF_OUTCOME_APPLIED};
    if (ours == NOT_KNOWN || unchanged == NOT_KNOWN) {
        ret->want = HF_WANT_DIGEST;
    } else if (ours == SAME) {
        ret->send = 0;
        set_deadline(c, HF_OUTCOME_ALREADY, ret);
    } else if (unchanged == SAME || (c->kind == HF_SHARED_ABSENT && !theirs_time_is_known(c))) {
        return;
    } else if (is_blind(c) && !theirs_is_later(c)) {
        apply_blindly(c, ret);
    } else {
        conflict(c, ret);
    }
}

/* A delete, or a value that died while it waited: it still removes what it had replaced. */
static void judge_removal(const struct hf_case *c, struct hf_judgement *ret)
{
    enum sameness unchanged = is_unchanged(c);

    *ret = (struct hf_judgement){.send = HF_SHARED_DELETE,
                                 .outcome = c->dead ? HF_OUTCOME_EXPIRED : HF_OUTCOME_APPLIED};
    if (c->kind == HF_SHARED_ABSENT) {
        ret->send = 0;
        if (!c->dead)
            ret->outcome = HF_OUTCOME_ALREADY;
    } else if (unchanged == NOT_KNOWN) {
        ret->want = HF_WANT_DIGEST;
    } else if (unchanged == SAME) {
        return;
    } else if (is_blind(c) && !theirs_is_later(c)) {
        apply_blindly(c, ret);
    } else if (c->dead) {
        *ret = (struct hf_judgement){.want = wants_theirs(c), .outcome = HF_OUTCOME_EXPIRED, .take_theirs = true};
    } else {
        conflict(c, ret);
    }
}

/* Only the life of a key that is there is to be changed. */
static void judge_ttl(const struct hf_case *c, struct hf_judgement *ret)
{
    enum sameness ours = found_is_ours(c);

    *ret = (struct hf_judgement){0};
    if (ours == NOT_KNOWN) {
        ret->want = HF_WANT_DIGEST;
        return;
    }
    set_deadline(c, HF_OUTCOME_APPLIED, ret);
    ret->refresh = ours == DIFFERENT;
    ret->want |= ret->refresh ? wants_theirs(c) : 0;
    if (ret->want == 0 && ret->send == 0)
        ret->outcome =
            same_deadline(c, ret->deadline_ms, c->deadline_ms) ? HF_OUTCOME_ALREADY : HF_OUTCOME_SUPERSEDED;
}

/* Decided here while nobody else could be asked: what it was based on must hold. */
static void judge_tentative(const struct hf_case *c, struct hf_judgement *ret)
{
    enum sameness ours = found_is_ours(c), unchanged = is_unchanged(c);

    if (ours == NOT_KNOWN || unchanged == NOT_KNOWN)
        *ret = (struct hf_judgement){.want = HF_WANT_DIGEST};
    else if (unchanged == DIFFERENT && ours == DIFFERENT)
        theirs_wins(c, HF_RULE_OVERTURNED, ret);
    else if (c->live)
        judge_value(c, ret);
    else
        judge_removal(c, ret);
}

/* Where nothing is, it may have been written since, and have died or been deleted. */
static bool theirs_has_ended(const struct hf_case *c)
{
    return c->kind == HF_SHARED_ABSENT && c->foreign.op != 0 && !is_of_life_only(&c->foreign) &&
           compare_times(c) > 0;
}

/* Given back to a Redis that lost it: where nothing is, or an older copy of another node, which came back first. */
static void judge_reseed(const struct hf_case *c, struct hf_judgement *ret)
{
    bool older = c->kind == HF_SHARED_ABSENT || (theirs_time_is_known(c) && compare_times(c) < 0);

    *ret =
        (struct hf_judgement){.send = HF_SHARED_SET, .deadline_ms = c->deadline_ms, .outcome = HF_OUTCOME_APPLIED};
    if (!c->live)
        *ret = (struct hf_judgement){.outcome = HF_OUTCOME_EXPIRED};
    else if (!older || theirs_has_ended(c))
        *ret =
            (struct hf_judgement){.want = wants_theirs(c), .outcome = HF_OUTCOME_SUPERSEDED, .take_theirs = true};
}

void hf__judge(const struct hf_case *c, struct hf_judgement *ret)
{
    if (c->kind == HF_SHARED_OTHER)
        park("WRONGTYPE Redis holds another type under this key, which a replay never overwrites", ret);
    else if (c->why == HF_PENDING_RESEED)
        judge_reseed(c, ret);
    else if (c->why == HF_PENDING_TENTATIVE)
        judge_tentative(c, ret);
    else if (!c->live)
        judge_removal(c, ret);
    else if (c->op == HF_PENDING_TTL && c->kind == HF_SHARED_STRING)
        judge_ttl(c, ret);
    else
        judge_value(c, ret);
}

uint8_t hf__judge_first_want(const struct hf_case *c)
{
    if (is_blind(c) && c->keep_replaced && c->why == HF_PENDING_WRITE)
        return HF_WANT_VALUE | HF_WANT_DEADLINE;
    return c->op == HF_PENDING_TTL ? HF_WANT_DEADLINE : 0;
}

const char *hf__rule_text(uint8_t rule)
{
    static const char *const texts[] = {
        [HF_RULE_NEWEST] = "newest",     [HF_RULE_UNKNOWN] = "newest",  [HF_RULE_AMBIGUOUS] = "newest",
        [HF_RULE_REMOTE] = "remote",     [HF_RULE_LOCAL] = "local",     [HF_RULE_CALLBACK] = "callback",
        [HF_RULE_MERGED] = "merge-json", [HF_RULE_BLIND] = "blind",     [HF_RULE_OVERTURNED] = "overturned",
        [HF_RULE_ADOPTED] = "adopted",   [HF_RULE_DROPPED] = "dropped",
    };

    return rule < sizeof(texts) / sizeof(texts[0]) && texts[rule] ? texts[rule] : "";
}
