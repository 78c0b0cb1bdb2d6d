/* The judge against the tables of docs/reconcile.md: every combination of what is ours, what is found, what it was based on
 * and what the change log names. The expectation is written from the document, not from the code. */
#include "judge.h"

#include "digest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NOW 1000000
#define CLOCK_UNCERTAINTY 5
#define SLACK (HF_JUDGE_DEADLINE_SLACK_MS + 2 * CLOCK_UNCERTAINTY)
#define OURS_MADE 900000
#define OURS_UNCERTAINTY 30
#define THEIRS_UNCERTAINTY 20
#define ROUNDS_MAX 3 /* examinations of one key */

/* ---- a cell of the table ---- */

enum ours {
    OURS_SET,
    OURS_DELETE,
    OURS_TTL,
    OURS_DEAD,
    OURS_TENTATIVE,
    OURS_TENTATIVE_DELETE,
    OURS_TENTATIVE_DEAD,
    OURS_RESEED,
    OURS_RESEED_DEAD,
    OURS_RESEND,
    N_OURS
};
enum found { FOUND_ABSENT, FOUND_BASE, FOUND_OWN, FOUND_OURS, FOUND_CHANGED, FOUND_OTHER, N_FOUND };
enum base { BASE_UNKNOWN, BASE_ABSENT, BASE_FOREVER, BASE_ALIVE, BASE_PASSED, N_BASES };
enum own { OWN_NONE, OWN_VALUE, OWN_ABSENT, N_OWN };
enum life { LIFE_NONE, LIFE_AS_OURS, LIFE_AS_BASE, LIFE_SHORTER, LIFE_LONGER, N_LIVES };
enum when { EARLIER, WITHIN, LATER, N_WHEN };

struct cell {
    enum ours ours;
    enum found found;
    enum base base;
    enum own own;
    enum life life;
    bool ours_forever;
    enum hf_shared_op foreign;
    enum when when;
    enum hf_conflict_policy policy;
    bool keep;
};

struct expected {
    enum hf_shared_op send;
    int64_t deadline_ms;
    enum hf_outcome outcome;
    uint8_t rule;
    enum hf_winner winner;
    bool take_theirs, refresh, ask;
};

/* Values whose digests are known once; `greater` is whether ours is the greater of the two. */
static struct hf_version_id base_id, own_id, ours_id, changed_id;

static bool has_value(const struct cell *x)
{
    return x->ours == OURS_SET || x->ours == OURS_TTL || x->ours == OURS_TENTATIVE || x->ours == OURS_RESEED ||
           x->ours == OURS_RESEND;
}

static bool is_dead(const struct cell *x)
{
    return x->ours == OURS_DEAD || x->ours == OURS_TENTATIVE_DEAD || x->ours == OURS_RESEED_DEAD;
}

static bool is_tentative(const struct cell *x)
{
    return x->ours == OURS_TENTATIVE || x->ours == OURS_TENTATIVE_DELETE || x->ours == OURS_TENTATIVE_DEAD;
}

static bool base_has_value(const struct cell *x)
{
    return x->base == BASE_FOREVER || x->base == BASE_ALIVE || x->base == BASE_PASSED;
}

/* A TTL change leaves the value what it was. */
static bool ours_is_base(const struct cell *x)
{
    return x->ours == OURS_TTL && base_has_value(x);
}

static bool found_is_value(const struct cell *x)
{
    return x->found != FOUND_ABSENT && x->found != FOUND_OTHER;
}

/* Another cell says the same, or nothing can be so. */
static bool is_possible(const struct cell *x)
{
    if (x->found == FOUND_BASE && !base_has_value(x))
        return false;
    if (x->found == FOUND_OWN && x->own != OWN_VALUE)
        return false;
    if (x->found == FOUND_OURS && (!has_value(x) || ours_is_base(x)))
        return false;
    if (!found_is_value(x) && x->life != LIFE_NONE)
        return false;
    return x->foreign != 0 || x->when == EARLIER;
}

static int64_t ours_deadline(const struct cell *x)
{
    return has_value(x) && !x->ours_forever ? NOW + 60000 : 0;
}

static int64_t base_deadline(const struct cell *x)
{
    if (x->base == BASE_ALIVE)
        return NOW + 30000;
    return x->base == BASE_PASSED ? NOW - 1 : 0;
}

static int64_t found_deadline(const struct cell *x)
{
    switch (x->life) {
    case LIFE_AS_OURS: return ours_deadline(x);
    case LIFE_AS_BASE: return base_deadline(x);
    case LIFE_SHORTER: return NOW + 10000;
    case LIFE_LONGER: return NOW + 90000;
    default: return 0;
    }
}

/* ---- the expectation: docs/reconcile.md, row by row ---- */

static bool same_value(const struct cell *x)
{
    return x->found == FOUND_OURS || (x->found == FOUND_BASE && ours_is_base(x));
}

static bool unchanged(const struct cell *x)
{
    if (x->found == FOUND_ABSENT)
        return x->base == BASE_ABSENT || x->base == BASE_PASSED || x->own == OWN_ABSENT;
    return x->found == FOUND_BASE || x->found == FOUND_OWN;
}

/* The log names what explains the value, or the absence, that was found. */
static bool time_is_known(const struct cell *x)
{
    if (x->found == FOUND_ABSENT)
        return x->foreign == HF_SHARED_DELETE;
    return x->foreign == HF_SHARED_SET || x->foreign == HF_SHARED_INCR;
}

static bool names_later(const struct cell *x)
{
    return time_is_known(x) && x->when == LATER;
}

static struct expected ours_stands(const struct cell *x, enum hf_outcome outcome)
{
    return (struct expected){.send = has_value(x) ? HF_SHARED_SET : HF_SHARED_DELETE,
                             .deadline_ms = ours_deadline(x),
                             .outcome = outcome};
}

static struct expected ours_wins(const struct cell *x, uint8_t rule)
{
    struct expected e = ours_stands(x, HF_OUTCOME_WON);

    e.rule = rule;
    e.winner = HF_WINNER_OURS;
    return e;
}

static struct expected theirs_wins(uint8_t rule)
{
    return (struct expected){.outcome = rule == HF_RULE_OVERTURNED ? HF_OUTCOME_OVERTURNED : HF_OUTCOME_LOST,
                             .rule = rule,
                             .winner = HF_WINNER_THEIRS,
                             .take_theirs = true};
}

static struct expected newest(const struct cell *x)
{
    bool ours_is_greater = memcmp(ours_id.digest, changed_id.digest, HF_DIGEST_BYTES) > 0;

    if (!time_is_known(x))
        return theirs_wins(HF_RULE_UNKNOWN);
    if (x->when == LATER)
        return theirs_wins(HF_RULE_NEWEST);
    if (x->when == EARLIER)
        return ours_wins(x, HF_RULE_NEWEST);
    if (x->found == FOUND_ABSENT || (has_value(x) && ours_is_greater))
        return ours_wins(x, HF_RULE_AMBIGUOUS);
    return theirs_wins(HF_RULE_AMBIGUOUS);
}

static struct expected by_policy(const struct cell *x)
{
    switch (x->policy) {
    case HF_CONFLICT_REMOTE: return theirs_wins(HF_RULE_REMOTE);
    case HF_CONFLICT_LOCAL: return ours_wins(x, HF_RULE_LOCAL);
    case HF_CONFLICT_PARK: return (struct expected){.outcome = HF_OUTCOME_PARKED};
    case HF_CONFLICT_MERGE_JSON:
    case HF_CONFLICT_CALLBACK: return (struct expected){.ask = true};
    default: return newest(x);
    }
}

/* The TTL rule. */
static int64_t ruled_deadline(const struct cell *x)
{
    int64_t ours = ours_deadline(x), theirs = found_deadline(x);

    if (!base_has_value(x) || theirs == base_deadline(x))
        return ours;
    if (ours == 0 || theirs == 0)
        return 0;
    return ours > theirs ? ours : theirs;
}

static struct expected only_the_deadline(const struct cell *x, bool ttl_change)
{
    struct expected e = {.deadline_ms = ruled_deadline(x), .outcome = HF_OUTCOME_ALREADY};

    if (e.deadline_ms != found_deadline(x)) {
        e.send = e.deadline_ms ? HF_SHARED_EXPIRE : HF_SHARED_PERSIST;
        e.outcome = ttl_change ? HF_OUTCOME_APPLIED : HF_OUTCOME_ALREADY;
    } else if (ttl_change && e.deadline_ms != ours_deadline(x)) {
        e.outcome = HF_OUTCOME_SUPERSEDED;
    }
    e.refresh = ttl_change && !same_value(x);
    return e;
}

/* And has ended, where nothing is. */
static bool written_later(const struct cell *x)
{
    return x->when == LATER && x->foreign != 0 && x->foreign != HF_SHARED_EXPIRE;
}

static struct expected give_back(const struct cell *x)
{
    if (x->ours == OURS_RESEED_DEAD)
        return (struct expected){.outcome = HF_OUTCOME_EXPIRED};
    if (x->found == FOUND_ABSENT ? !written_later(x) : time_is_known(x) && x->when == EARLIER)
        return ours_stands(x, HF_OUTCOME_APPLIED);
    return (struct expected){.outcome = HF_OUTCOME_SUPERSEDED, .take_theirs = true};
}

static struct expected blindly(const struct cell *x)
{
    struct expected e = ours_stands(x, is_dead(x) ? HF_OUTCOME_EXPIRED : HF_OUTCOME_APPLIED);

    if (found_is_value(x) && x->keep) {
        e.rule = HF_RULE_BLIND;
        e.winner = HF_WINNER_OURS;
    }
    return e;
}

static struct expected expect(const struct cell *x)
{
    enum hf_outcome done = is_dead(x) ? HF_OUTCOME_EXPIRED : HF_OUTCOME_APPLIED;

    if (x->found == FOUND_OTHER)
        return (struct expected){.outcome = HF_OUTCOME_PARKED};
    if (x->ours == OURS_RESEED || x->ours == OURS_RESEED_DEAD)
        return give_back(x);
    if (is_tentative(x) && !same_value(x) && !unchanged(x))
        return theirs_wins(HF_RULE_OVERTURNED);
    if (x->ours == OURS_TTL && x->found != FOUND_ABSENT)
        return only_the_deadline(x, true);
    if (same_value(x))
        return only_the_deadline(x, false);
    if (x->found == FOUND_ABSENT && !has_value(x))
        return (struct expected){.outcome = is_dead(x) ? HF_OUTCOME_EXPIRED : HF_OUTCOME_ALREADY};
    if (unchanged(x) || (x->found == FOUND_ABSENT && !time_is_known(x)))
        return ours_stands(x, done);
    if (x->base == BASE_UNKNOWN && !names_later(x))
        return blindly(x);
    if (is_dead(x))
        return (struct expected){.outcome = HF_OUTCOME_EXPIRED, .take_theirs = true};
    return by_policy(x);
}

/* ---- playing a cell ---- */

static struct hf_slice slice(const char *text)
{
    return (struct hf_slice){text, strlen(text)};
}

/* What Redis holds; the case learns of it only what was asked for. */
struct there {
    uint8_t kind;
    struct hf_version_id id;
    int64_t deadline_ms;
};

static struct hf_version_id with_deadline(struct hf_version_id id, int64_t deadline_ms)
{
    id.deadline_ms = deadline_ms;
    return id;
}

static struct hf_version_id base_of(const struct cell *x)
{
    if (base_has_value(x))
        return with_deadline(base_id, base_deadline(x));
    return (struct hf_version_id){.kind = x->base == BASE_ABSENT ? HF_VERSION_ABSENT : HF_VERSION_UNKNOWN};
}

static struct there there_of(const struct cell *x)
{
    static const uint8_t kinds[N_FOUND] = {
        [FOUND_ABSENT] = HF_SHARED_ABSENT, [FOUND_BASE] = HF_SHARED_STRING,    [FOUND_OWN] = HF_SHARED_STRING,
        [FOUND_OURS] = HF_SHARED_STRING,   [FOUND_CHANGED] = HF_SHARED_STRING, [FOUND_OTHER] = HF_SHARED_OTHER};
    const struct hf_version_id *ids[N_FOUND] = {
        [FOUND_BASE] = &base_id, [FOUND_OWN] = &own_id, [FOUND_OURS] = &ours_id, [FOUND_CHANGED] = &changed_id};
    struct there t = {.kind = kinds[x->found], .deadline_ms = found_deadline(x)};

    if (ids[x->found])
        t.id = *ids[x->found];
    return t;
}

static struct hf_case case_of(const struct cell *x, const struct hf_version_id *base,
                              const struct hf_version_id *own)
{
    static const int64_t apart[N_WHEN] = {-(OURS_UNCERTAINTY + THEIRS_UNCERTAINTY) - 1,
                                          OURS_UNCERTAINTY + THEIRS_UNCERTAINTY,
                                          OURS_UNCERTAINTY + THEIRS_UNCERTAINTY + 1};
    static const uint8_t whys[N_OURS] = {
        [OURS_TENTATIVE] = HF_PENDING_TENTATIVE,      [OURS_TENTATIVE_DELETE] = HF_PENDING_TENTATIVE,
        [OURS_TENTATIVE_DEAD] = HF_PENDING_TENTATIVE, [OURS_RESEED] = HF_PENDING_RESEED,
        [OURS_RESEED_DEAD] = HF_PENDING_RESEED,       [OURS_RESEND] = HF_PENDING_RESEND};
    bool deleted = x->ours == OURS_DELETE || x->ours == OURS_TENTATIVE_DELETE;

    return (struct hf_case){
        .op = x->ours == OURS_TTL ? HF_PENDING_TTL
              : deleted           ? HF_PENDING_DELETE
                                  : HF_PENDING_SET,
        .why = whys[x->ours],
        .live = has_value(x),
        .dead = is_dead(x),
        .value = has_value(x) ? slice(ours_is_base(x) ? "base" : "ours") : slice(""),
        .deadline_ms = ours_deadline(x),
        .made_ms = OURS_MADE,
        .uncertainty_ms = OURS_UNCERTAINTY,
        .base = base,
        .own = own,
        .n_own = x->own == OWN_NONE ? 0 : 1,
        .foreign = {.op = (uint8_t)x->foreign,
                    .made_ms = OURS_MADE + apart[x->when],
                    .uncertainty_ms = THEIRS_UNCERTAINTY},
        .policy = x->policy,
        .keep_replaced = x->keep,
        .now_ms = NOW,
        .clock_uncertainty_ms = CLOCK_UNCERTAINTY,
    };
}

/* What an examination answers: a small value's digest in any case, otherwise what was wanted. */
static void examine(struct hf_case *c, const struct there *there, uint8_t want)
{
    c->kind = there->kind;
    if (there->kind != HF_SHARED_STRING)
        c->has_deadline |= (want & HF_WANT_DEADLINE) != 0;
    if (there->kind != HF_SHARED_STRING)
        return;
    c->len = there->id.len;
    if ((want & HF_WANT_DIGEST) || there->id.len <= HF_EXAMINE_SMALL) {
        c->has_digest = true;
        memcpy(c->digest, there->id.digest, HF_DIGEST_BYTES);
    }
    c->has_value |= (want & HF_WANT_VALUE) != 0;
    if (want & HF_WANT_DEADLINE) {
        c->has_deadline = true;
        c->found_deadline_ms = there->deadline_ms;
    }
}

/* Of what is known already nothing is wanted again. */
static bool wants_more(const struct hf_case *c, uint8_t want)
{
    return (want & HF_WANT_DIGEST && !c->has_digest) || (want & HF_WANT_VALUE && !c->has_value) ||
           (want & HF_WANT_DEADLINE && !c->has_deadline);
}

/* Examine and judge until there is a verdict. Returns the number of examinations; ROUNDS_MAX + 1: it does not end. */
static int judge(struct hf_case *c, const struct there *there,
                 void (*decide)(struct hf_case *, struct hf_judgement *), struct hf_judgement *j)
{
    uint8_t want = hf__judge_first_want(c);

    for (int round = 1; round <= ROUNDS_MAX; round++) {
        examine(c, there, want);
        decide(c, j);
        if (j->want == 0)
            return round;
        if (!wants_more(c, j->want))
            break;
        want = j->want;
    }
    return ROUNDS_MAX + 1;
}

static void decide_alone(struct hf_case *c, struct hf_judgement *j)
{
    hf__judge(c, j);
}

/* ---- the table ---- */

static void describe(const struct cell *x, char *text, size_t size)
{
    static const char *const ours[] = {
        "set",    "delete",      "ttl",   "dead", "tentative set", "tentative delete", "tentative dead",
        "reseed", "reseed dead", "resend"};
    static const char *const found[] = {"absent", "as base", "as own", "as ours", "changed", "other type"};
    static const char *const bases[] = {"unknown", "absent", "forever", "alive", "passed"};
    static const char *const lives[] = {"none", "as ours", "as base", "shorter", "longer"};

    snprintf(text, size, "ours %s%s, found %s with life %s, base %s, own %d, foreign op %d %s, policy %d, keep %d",
             ours[x->ours], x->ours_forever ? " for ever" : "", found[x->found], lives[x->life], bases[x->base],
             x->own, x->foreign,
             x->when == EARLIER  ? "earlier"
             : x->when == WITHIN ? "within"
                                 : "later",
             x->policy, x->keep);
}

static bool is_as_expected(const struct hf_judgement *j, const struct expected *e)
{
    if (j->ask || e->ask)
        return j->ask == e->ask;
    return j->send == e->send && j->deadline_ms == e->deadline_ms && j->outcome == e->outcome &&
           j->rule == e->rule && (e->rule == 0 || j->winner == e->winner) && j->take_theirs == e->take_theirs &&
           j->refresh == e->refresh && (j->reason != NULL) == (e->outcome == HF_OUTCOME_PARKED);
}

/* Holds of every verdict. */
static const char *broken_rule(const struct hf_case *c, const struct hf_judgement *j)
{
    bool is_long = c->len > HF_CONFLICT_VALUE_MAX;

    if (j->send && j->take_theirs)
        return "it sends, and takes theirs";
    if (j->rule && j->winner == 0)
        return "a rule without a winner";
    if (j->rule && c->kind == HF_SHARED_STRING && !c->has_deadline)
        return "the conflict log lacks their deadline";
    if (j->rule && c->kind == HF_SHARED_STRING && !(is_long ? c->has_digest : c->has_value))
        return "the conflict log lacks their value";
    if ((j->take_theirs || j->refresh || j->ask) && c->kind == HF_SHARED_STRING &&
        !(c->has_value && c->has_deadline))
        return "theirs is taken without being known";
    if (j->take_theirs && j->refresh)
        return "theirs is taken and fetched";
    return NULL;
}

static void play(const struct cell *x)
{
    struct hf_version_id base = base_of(x);
    struct hf_version_id own = x->own == OWN_VALUE ? own_id : (struct hf_version_id){.kind = HF_VERSION_ABSENT};
    struct hf_case c = case_of(x, &base, &own);
    struct there there = there_of(x);
    struct expected e = expect(x);
    struct hf_judgement j;
    char text[400];
    const char *broken;
    int rounds;

    rounds = judge(&c, &there, decide_alone, &j);
    broken = rounds > ROUNDS_MAX ? "it wants more for ever" : broken_rule(&c, &j);
    if (!broken && is_as_expected(&j, &e))
        return;
    describe(x, text, sizeof(text));
    fail_msg(
        "%s: %s; send %d deadline %lld outcome %d rule %d winner %d take %d refresh %d ask %d, expected %d %lld %d "
        "%d %d %d %d %d",
        text, broken ? broken : "another verdict", j.send, (long long)j.deadline_ms, j.outcome, j.rule, j.winner,
        j.take_theirs, j.refresh, j.ask, e.send, (long long)e.deadline_ms, e.outcome, e.rule, e.winner,
        e.take_theirs, e.refresh, e.ask);
}

/* The n-th cell, by a number whose digits are the dimensions. False behind the last. */
static bool cell_of(unsigned long n, struct cell *x)
{
    static const enum hf_shared_op ops[] = {0, HF_SHARED_SET, HF_SHARED_DELETE, HF_SHARED_INCR, HF_SHARED_EXPIRE};
#define DIGIT(size) (digit = n % (size), n /= (size), digit)
    unsigned long digit;

    x->keep = DIGIT(2);
    x->policy = (enum hf_conflict_policy)DIGIT(HF_CONFLICT_CALLBACK + 1);
    x->when = (enum when)DIGIT(N_WHEN);
    x->foreign = ops[DIGIT(5)];
    x->ours_forever = DIGIT(2);
    x->life = (enum life)DIGIT(N_LIVES);
    x->own = (enum own)DIGIT(N_OWN);
    x->base = (enum base)DIGIT(N_BASES);
    x->found = (enum found)DIGIT(N_FOUND);
    x->ours = (enum ours)DIGIT(N_OURS);
    return n == 0;
#undef DIGIT
}

static void test_judge__every_cell_is_decided_as_the_document_says(void **state)
{
    unsigned long played = 0;
    struct cell x;

    (void)state;
    for (unsigned long n = 0; cell_of(n, &x); n++) {
        if (!is_possible(&x))
            continue;
        play(&x);
        played++;
    }
    print_message("%lu cells\n", played);
    assert_in_range(played, 100000, 10000000);
}

/* ---- what resolvers answer ---- */

static void test_judge__a_resolvers_answer_is_applied_as_it_says(void **state)
{
    struct cell x = {.ours = OURS_SET, .found = FOUND_CHANGED, .base = BASE_FOREVER, .life = LIFE_SHORTER};
    struct hf_version_id base;
    struct hf_judgement j;
    struct there there;
    struct hf_case c;

    (void)state;
    x.policy = HF_CONFLICT_CALLBACK;
    base = base_of(&x);
    c = case_of(&x, &base, NULL);
    there = there_of(&x);
    assert_in_range(judge(&c, &there, decide_alone, &j), 1, ROUNDS_MAX);
    assert_true(j.ask);
    hf__judge_answer(&c, HF_WINNER_THEIRS, HF_RULE_CALLBACK, &j);
    assert_true(j.take_theirs && j.outcome == HF_OUTCOME_LOST && j.rule == HF_RULE_CALLBACK && j.send == 0);
    hf__judge_answer(&c, HF_WINNER_OURS, HF_RULE_CALLBACK, &j);
    assert_true(!j.take_theirs && j.outcome == HF_OUTCOME_WON && j.send == HF_SHARED_SET);
    assert_int_equal(j.deadline_ms, NOW + 60000);
    hf__judge_answer(&c, HF_WINNER_MERGED, HF_RULE_MERGED, &j);
    assert_true(!j.take_theirs && j.outcome == HF_OUTCOME_MERGED && j.send == HF_SHARED_SET &&
                j.winner == HF_WINNER_MERGED);
}

/* The deadline of a merged value for these deadlines of the two sides; negative: the side is absent. */
static int64_t merged_deadline(int64_t ours, int64_t theirs)
{
    struct hf_version_id base = base_id;
    struct hf_case c = {.op = ours < 0 ? HF_PENDING_DELETE : HF_PENDING_SET,
                        .live = ours >= 0,
                        .value = slice("ours"),
                        .deadline_ms = ours < 0 ? 0 : ours,
                        .base = &base,
                        .now_ms = NOW,
                        .kind = theirs < 0 ? HF_SHARED_ABSENT : HF_SHARED_STRING,
                        .has_digest = true,
                        .has_value = true,
                        .has_deadline = true,
                        .found_deadline_ms = theirs < 0 ? 0 : theirs};
    struct hf_judgement j;

    hf__judge_answer(&c, HF_WINNER_MERGED, HF_RULE_CALLBACK, &j);
    assert_int_equal(j.want, 0);
    return j.deadline_ms;
}

static void test_judge__a_merged_value_has_the_longer_life_of_the_sides_that_are_there(void **state)
{
    (void)state;
    assert_int_equal(merged_deadline(NOW + 5, NOW + 9), NOW + 9);
    assert_int_equal(merged_deadline(NOW + 9, NOW + 5), NOW + 9);
    assert_int_equal(merged_deadline(NOW + 9, 0), 0);
    assert_int_equal(merged_deadline(0, NOW + 9), 0);
    assert_int_equal(merged_deadline(-1, NOW + 9), NOW + 9);
    assert_int_equal(merged_deadline(-1, 0), 0);
    assert_int_equal(merged_deadline(NOW + 9, -1), NOW + 9);
    assert_int_equal(merged_deadline(0, -1), 0);
}

/* ---- deadlines near each other ---- */

/* A TTL change to `ours` of a value based on `base`, with `found` there. */
static struct hf_judgement judge_lives(int64_t base_ms, int64_t ours_ms, int64_t found_ms)
{
    struct hf_version_id base = with_deadline(base_id, base_ms);
    struct there there = {.kind = HF_SHARED_STRING, .id = base_id, .deadline_ms = found_ms};
    struct hf_case c = {.op = HF_PENDING_TTL,
                        .live = true,
                        .value = slice("base"),
                        .deadline_ms = ours_ms,
                        .base = &base,
                        .now_ms = NOW,
                        .clock_uncertainty_ms = CLOCK_UNCERTAINTY};
    struct hf_judgement j;

    assert_in_range(judge(&c, &there, decide_alone, &j), 1, ROUNDS_MAX);
    return j;
}

static void test_judge__deadlines_are_the_same_within_the_clocks_uncertainty(void **state)
{
    struct hf_judgement j;

    (void)state;
    for (int side = -1; side <= 1; side += 2) {
        /* what is there is the base's: ours holds */
        j = judge_lives(NOW + 50000, NOW + 9000, NOW + 50000 + side * SLACK);
        assert_true(j.send == HF_SHARED_EXPIRE && j.deadline_ms == NOW + 9000);
        /* what is there was changed, and is longer than ours */
        j = judge_lives(NOW + 50000, NOW + 9000, NOW + 50000 + side * (SLACK + 1));
        assert_true(j.send == 0 && j.outcome == HF_OUTCOME_SUPERSEDED);
        /* what is there is ours already: its own text counts from now on */
        j = judge_lives(NOW + 50000, NOW + 9000, NOW + 9000 + side * SLACK);
        assert_true(j.send == 0 && j.outcome == HF_OUTCOME_ALREADY && j.deadline_ms == NOW + 9000 + side * SLACK);
    }
}

/* ---- the same on every node ---- */

struct write {
    const char *value; /* NULL: a delete */
    int64_t made_ms;
};

/* `second` comes back while Redis holds what `first` left. The value that stays, NULL for none. */
static const char *replay_both(struct write first, struct write second)
{
    struct hf_version_id base = base_id;
    struct there there = {.kind = first.value ? HF_SHARED_STRING : HF_SHARED_ABSENT};
    struct hf_case c = {.op = second.value ? HF_PENDING_SET : HF_PENDING_DELETE,
                        .live = second.value != NULL,
                        .value = slice(second.value ? second.value : ""),
                        .made_ms = second.made_ms,
                        .uncertainty_ms = 10,
                        .base = &base,
                        .foreign = {.op = first.value ? HF_SHARED_SET : HF_SHARED_DELETE,
                                    .made_ms = first.made_ms,
                                    .uncertainty_ms = 10},
                        .now_ms = NOW};
    struct hf_judgement j;

    if (first.value)
        there.id = hf__version_id(slice(first.value), 0);
    assert_in_range(judge(&c, &there, decide_alone, &j), 1, ROUNDS_MAX);
    if (j.send)
        return j.send == HF_SHARED_SET ? second.value : NULL;
    return first.value;
}

static bool same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static void test_judge__two_nodes_end_alike_whoever_comes_first(void **state)
{
    static const char *const values[] = {NULL, "a", "b", "c", "", "{\"x\":1}"};
    size_t n = sizeof(values) / sizeof(values[0]);

    (void)state;
    for (size_t i = 0; i < n * n; i++) {
        for (int64_t apart = -21; apart <= 21; apart++) {
            struct write a = {values[i / n], OURS_MADE}, b = {values[i % n], OURS_MADE + apart};
            if (!same_text(replay_both(a, b), replay_both(b, a)))
                fail_msg("'%s' and '%s', %lld ms apart, end differently", a.value ? a.value : "delete",
                         b.value ? b.value : "delete", (long long)apart);
        }
    }
}

/* ---- lengths ---- */

static enum hf_winner answer;

/* As the replay does: a resolver's answer, or `newest` where there is no merge to be had. */
static void decide_with_resolver(struct hf_case *c, struct hf_judgement *j)
{
    hf__judge(c, j);
    if (j->want != 0 || !j->ask)
        return;
    if (c->policy == HF_CONFLICT_MERGE_JSON) {
        hf__judge_newest(c, j);
        if (j->want != 0 || answer != HF_WINNER_MERGED)
            return;
    }
    hf__judge_answer(c, answer, HF_RULE_CALLBACK, j);
    assert_int_equal(j->want, 0); /* or the resolver would be asked twice */
}

static void play_lengths(struct cell x, size_t ours_len, size_t found_len, const char *bytes)
{
    struct hf_version_id base = base_of(&x);
    struct hf_case c = case_of(&x, &base, NULL);
    struct there there = there_of(&x);
    struct hf_judgement j;
    const char *broken;
    int rounds;

    c.value = (struct hf_slice){bytes, has_value(&x) ? ours_len : 0};
    base.len = found_len; /* of the same length, so that its digest is needed */
    there.id.len = found_len;
    if (x.found == FOUND_OURS && ours_len == found_len)
        there.id = hf__version_id(c.value, 0);
    rounds = judge(&c, &there, decide_with_resolver, &j);
    broken = rounds > ROUNDS_MAX ? "it wants more for ever" : broken_rule(&c, &j);
    if (broken)
        fail_msg("ours %d of %zu bytes, found %d of %zu bytes, base %d, policy %d, answer %d: %s", x.ours, ours_len,
                 x.found, found_len, x.base, x.policy, answer, broken);
}

static void test_judge__a_verdict_is_reached_in_three_examinations_whatever_the_lengths(void **state)
{
    static const size_t lengths[] = {0,
                                     HF_EXAMINE_SMALL - 1,
                                     HF_EXAMINE_SMALL,
                                     HF_EXAMINE_SMALL + 1,
                                     HF_CONFLICT_VALUE_MAX - 1,
                                     HF_CONFLICT_VALUE_MAX,
                                     HF_CONFLICT_VALUE_MAX + 1};
    static const enum found founds[] = {FOUND_OURS, FOUND_CHANGED};
    size_t n = sizeof(lengths) / sizeof(lengths[0]);
    char *bytes = calloc(1, HF_CONFLICT_VALUE_MAX + 1);
    unsigned long played = 0;
    struct cell x;

    (void)state;
    assert_non_null(bytes);
    for (unsigned long i = 0; cell_of(i, &x); i++) {
        bool same_life = x.life == LIFE_NONE && !x.ours_forever && x.own == OWN_NONE && x.when == WITHIN;
        if (!same_life || (x.foreign != 0 && x.foreign != HF_SHARED_SET) || x.base == BASE_PASSED ||
            (x.found != founds[0] && x.found != founds[1]))
            continue;
        for (size_t k = 0; k < n * n; k++) {
            size_t ours_len = lengths[k / n], found_len = lengths[k % n];
            if (ours_len == found_len && ours_len > HF_EXAMINE_SMALL + 1 && (x.keep || x.base == BASE_ALIVE))
                continue; /* hashing takes its time, and the others tell */
            answer = (enum hf_winner)(1 + played % 3);
            play_lengths(x, ours_len, found_len, bytes);
            played++;
        }
    }
    free(bytes);
    print_message("%lu cells\n", played);
    assert_in_range(played, 10000, 10000000);
}

static void test_judge__a_delete_is_not_the_same_as_an_empty_value(void **state)
{
    struct cell x = {.ours = OURS_TENTATIVE_DELETE, .found = FOUND_CHANGED, .base = BASE_FOREVER};
    struct hf_version_id base = base_of(&x);
    struct hf_case c = case_of(&x, &base, NULL);
    struct there there = {.kind = HF_SHARED_STRING, .id = hf__version_id(slice(""), 0)};
    struct hf_judgement j;

    (void)state;
    assert_in_range(judge(&c, &there, decide_alone, &j), 1, ROUNDS_MAX);
    assert_int_equal(j.outcome, HF_OUTCOME_OVERTURNED);
}

/* ---- which change of the log is remembered ---- */

static bool replaces(enum hf_shared_op op, int64_t made_ms, enum hf_shared_op known, int64_t known_ms)
{
    struct hf_foreign change = {.op = (uint8_t)op, .made_ms = made_ms},
                      before = {.op = (uint8_t)known, .made_ms = known_ms};

    return hf__foreign_replaces(&change, &before);
}

static void test_judge__the_latest_change_of_the_value_is_remembered(void **state)
{
    static const enum hf_shared_op of_value[] = {HF_SHARED_SET, HF_SHARED_DELETE, HF_SHARED_INCR};
    static const enum hf_shared_op of_life[] = {HF_SHARED_EXPIRE, HF_SHARED_PERSIST};

    (void)state;
    for (int i = 0; i < 3; i++) {
        assert_true(replaces(of_value[i], 5, 0, 9));
        assert_false(replaces(0, 9, of_value[i], 5));
        for (int k = 0; k < 3; k++) {
            assert_true(replaces(of_value[i], 5, of_value[k], 5));
            assert_false(replaces(of_value[i], 4, of_value[k], 5));
        }
        for (int k = 0; k < 2; k++) {
            assert_true(replaces(of_value[i], 4, of_life[k], 5));
            assert_false(replaces(of_life[k], 5, of_value[i], 4));
        }
    }
    assert_true(replaces(HF_SHARED_EXPIRE, 5, HF_SHARED_PERSIST, 4));
    assert_false(replaces(HF_SHARED_EXPIRE, 3, HF_SHARED_PERSIST, 4));
    assert_true(replaces(0, 0, 0, 0));
}

/* ---- the first examination ---- */

static void test_judge__a_blind_write_asks_for_what_it_replaces_at_once(void **state)
{
    struct hf_version_id unknown = {.kind = HF_VERSION_UNKNOWN}, known = base_id;
    struct hf_case c = {.op = HF_PENDING_SET, .base = &unknown, .keep_replaced = true};

    (void)state;
    assert_int_equal(hf__judge_first_want(&c), HF_WANT_VALUE | HF_WANT_DEADLINE);
    c.keep_replaced = false;
    assert_int_equal(hf__judge_first_want(&c), 0);
    c.keep_replaced = true;
    c.base = &known;
    assert_int_equal(hf__judge_first_want(&c), 0);
    c.op = HF_PENDING_TTL;
    assert_int_equal(hf__judge_first_want(&c), HF_WANT_DEADLINE);
}

static void test_judge__every_rule_has_a_text(void **state)
{
    (void)state;
    for (uint8_t rule = HF_RULE_NEWEST; rule <= HF_RULE_DROPPED; rule++)
        assert_true(hf__rule_text(rule)[0] != '\0');
    assert_string_equal(hf__rule_text(0), "");
    assert_string_equal(hf__rule_text(200), "");
}

static int set_up(void **state)
{
    (void)state;
    base_id = hf__version_id(slice("base"), 0);
    own_id = hf__version_id(slice("sent"), 0);
    ours_id = hf__version_id(slice("ours"), 0);
    changed_id = hf__version_id(slice("them"), 0);
    return 0;
}

int main(void)
{
#define T(name) cmocka_unit_test(test_judge__##name)
    const struct CMUnitTest tests[] = {
        T(every_cell_is_decided_as_the_document_says),
        T(a_resolvers_answer_is_applied_as_it_says),
        T(a_merged_value_has_the_longer_life_of_the_sides_that_are_there),
        T(deadlines_are_the_same_within_the_clocks_uncertainty),
        T(two_nodes_end_alike_whoever_comes_first),
        T(a_verdict_is_reached_in_three_examinations_whatever_the_lengths),
        T(a_delete_is_not_the_same_as_an_empty_value),
        T(the_latest_change_of_the_value_is_remembered),
        T(a_blind_write_asks_for_what_it_replaces_at_once),
        T(every_rule_has_a_text),
    };

    return cmocka_run_group_tests(tests, set_up, NULL);
}
