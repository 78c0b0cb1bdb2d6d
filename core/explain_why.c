/* The sentence of an explanation. The first of the cases that holds is told: what waits, what is kept for the operator, how a
 * conflict ended, and at last what the two tiers hold. */
#include "explain.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define TIME_CHARS 48

/* "12:00:01 UTC of 2024-05-06" */
static const char *time_text(int64_t ms, char *text)
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm tm;

    if (ms == 0 || !gmtime_r(&seconds, &tm))
        return "an unknown time";
    strftime(text, TIME_CHARS, "%H:%M:%S UTC of %Y-%m-%d", &tm);
    return text;
}

/* What Redis holds, against what is held here. */
static void describe_theirs(const struct hf_why *why, char *text, size_t size)
{
    const struct hf_explanation *e = why->e;

    if (!e->shared_present)
        snprintf(text, size, "nothing under this key");
    else if (strcmp(e->shared_type, "string") != 0)
        snprintf(text, size, "a value of type %s, which is never overwritten", e->shared_type);
    else if (e->same)
        snprintf(text, size, "the same already");
    else if (!e->live)
        snprintf(text, size, "a value of %zu bytes", e->shared_value.len);
    else
        snprintf(text, size, why->other_value ? "another value" : "the same value with another deadline");
}

static bool is_owed(const struct hf_explanation *e)
{
    return strcmp(e->owed, "nothing") != 0;
}

static void tell_owed(const struct hf_why *why, char *text)
{
    const struct hf_explanation *e = why->e;
    bool lane = strcmp(e->owed, "lane entries") == 0;
    char made[TIME_CHARS], theirs[96];
    int n = snprintf(text, HF_WHY_MAX,
                     lane ? "our increments or batches, the latest of %s, wait in their lane for Redis"
                          : "our change of %s waits for Redis",
                     time_text(e->made_ms, made));

    describe_theirs(why, theirs, sizeof(theirs));
    if (e->shared_known)
        snprintf(text + n, HF_WHY_MAX - (size_t)n, ", which holds %s", theirs);
    else
        snprintf(text + n, HF_WHY_MAX - (size_t)n, ", which could not be asked: %s", why->not_asked);
}

static bool is_parked(const struct hf_why *why)
{
    const struct hf_explanation *e = why->e;

    return why->parked_reason[0] && (e->outcome == HF_OUTCOME_PARKED || e->outcome == HF_OUTCOME_IN_DOUBT);
}

static void tell_parked(const struct hf_why *why, char *text)
{
    const char *how = why->e->outcome == HF_OUTCOME_IN_DOUBT ? "in doubt" : "parked";

    snprintf(text, HF_WHY_MAX, "our latest change is %s, kept for the operator: %s", how, why->parked_reason);
}

/* The conflict is the latest thing that happened to the key here. */
static bool is_decided(const struct hf_why *why)
{
    return why->conflict_id != 0 && why->conflict_id >= why->e->lsn;
}

static void tell_conflict(const struct hf_why *why, char *text)
{
    static const char *const ends[] = {[HF_WINNER_OURS] = "our change won",
                                       [HF_WINNER_THEIRS] = "our change lost",
                                       [HF_WINNER_MERGED] = "both sides were merged in"};
    char decided[TIME_CHARS];

    snprintf(text, HF_WHY_MAX, "%s the conflict %" PRIu64 " by rule %s at %s", ends[why->winner], why->conflict_id,
             why->rule, time_text(why->decided_ms, decided));
}

static void tell_dropped(const struct hf_why *why, char *text)
{
    char theirs[96];
    int n = snprintf(text, HF_WHY_MAX, "our latest change was dropped, by the operator or at a bound: ");

    describe_theirs(why, theirs, sizeof(theirs));
    if (why->e->shared_known)
        snprintf(text + n, HF_WHY_MAX - (size_t)n, "Redis holds %s", theirs);
    else
        snprintf(text + n, HF_WHY_MAX - (size_t)n, "what Redis holds is not known: %s", why->not_asked);
}

static void tell_unasked(const struct hf_why *why, char *text)
{
    const struct hf_explanation *e = why->e;
    char made[TIME_CHARS];

    if (e->live)
        snprintf(text, HF_WHY_MAX, "it is held here since %s; what Redis holds is not known: %s",
                 time_text(e->made_ms, made), why->not_asked);
    else
        snprintf(text, HF_WHY_MAX, "it is not held here; what Redis holds is not known: %s", why->not_asked);
}

static void tell_difference(const struct hf_why *why, char *text)
{
    const struct hf_explanation *e = why->e;
    char theirs[96];

    describe_theirs(why, theirs, sizeof(theirs));
    if (!e->live)
        snprintf(text, HF_WHY_MAX, "it is not held here, and Redis holds %s: a read fetches it", theirs);
    else
        snprintf(text, HF_WHY_MAX,
                 "nothing of ours waits, and Redis holds %s: others have changed it there since the copy here was "
                 "compared",
                 theirs);
}

static void tell_tiers(const struct hf_why *why, char *text)
{
    const struct hf_explanation *e = why->e;
    char made[TIME_CHARS];

    if (!e->shared_known)
        tell_unasked(why, text);
    else if (!e->same)
        tell_difference(why, text);
    else if (!e->live)
        snprintf(text, HF_WHY_MAX, "neither tier holds it");
    else
        snprintf(text, HF_WHY_MAX, "both tiers hold the same, since %s", time_text(e->made_ms, made));
}

static void tell_unshared(const struct hf_why *why, char *text)
{
    char made[TIME_CHARS];

    if (why->e->live)
        snprintf(text, HF_WHY_MAX, "it is held here since %s, and never shared", time_text(why->e->made_ms, made));
    else
        snprintf(text, HF_WHY_MAX, "it is not held here, and never shared");
}

void hf__explain_why(const struct hf_why *why, char *text)
{
    if (why->never_shared)
        tell_unshared(why, text);
    else if (is_owed(why->e))
        tell_owed(why, text);
    else if (is_parked(why))
        tell_parked(why, text);
    else if (is_decided(why))
        tell_conflict(why, text);
    else if (why->e->outcome == HF_OUTCOME_DROPPED)
        tell_dropped(why, text);
    else
        tell_tiers(why, text);
}
