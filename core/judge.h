/* The verdict on one pending change: what was found in Redis against what it was based on, and the namespace's policy
 * (docs/reconcile.md). No I/O, no clock: everything is in the case. All times are on the store's timeline. */
#ifndef HF_JUDGE_H
#define HF_JUDGE_H

#include "local_tier.h"
#include "shared_tier.h"

/* A deadline that was converted back and forth between two clocks is the same within their uncertainty and this. */
#define HF_JUDGE_DEADLINE_SLACK_MS 10

struct hf_case {
    /* Ours: the row, and the key's state of now. */
    uint8_t op;  /* enum hf_pending_op of the row */
    uint8_t why; /* enum hf_pending_why */
    bool live;   /* there is a value; else it was deleted, or died while it waited: */
    bool dead;
    struct hf_slice value;
    int64_t deadline_ms, made_ms, uncertainty_ms;
    const struct hf_version_id *base, *own;
    size_t n_own;
    struct hf_foreign foreign; /* made_ms on the timeline */
    /* The rules. */
    enum hf_conflict_policy policy;
    bool keep_replaced;
    int64_t now_ms, clock_uncertainty_ms;
    /* Theirs, as examined. */
    uint8_t kind; /* enum hf_shared_kind */
    uint64_t len;
    bool has_digest, has_deadline, has_value;
    uint8_t digest[HF_DIGEST_BYTES];
    int64_t found_deadline_ms; /* 0: none */
};

struct hf_judgement {
    uint8_t want;           /* HF_WANT_*: examine this first, then judge again; nothing else is set */
    bool ask;               /* a resolver is asked; then hf__judge_answer */
    enum hf_shared_op send; /* 0: nothing is sent */
    int64_t deadline_ms;    /* of what is sent, and of the copy here, unless theirs is taken */
    enum hf_outcome outcome;
    uint8_t rule;          /* enum hf_conflict_rule of the row for the conflict log; 0: none */
    enum hf_winner winner; /* with a rule */
    bool take_theirs;      /* the copy here becomes what was found */
    bool refresh;          /* the copy here becomes the value found, with deadline_ms: only its life is ours */
    const char *reason;    /* parked: why */
};

/* Which of two changes that the log names of one key is to be remembered: the later one; but one of its life only beside no
 * change of its value. An `op` of 0 is none. */
bool hf__foreign_replaces(const struct hf_foreign *change, const struct hf_foreign *known);

void hf__judge(const struct hf_case *c, struct hf_judgement *ret);

/* What a resolver's answer means. For HF_WINNER_MERGED the caller sends the merged value instead of ours. */
void hf__judge_answer(const struct hf_case *c, enum hf_winner winner, uint8_t rule, struct hf_judgement *ret);
/* The verdict by `newest`, for a merge that cannot be had. */
void hf__judge_newest(const struct hf_case *c, struct hf_judgement *ret);

/* What should be examined at first. */
uint8_t hf__judge_first_want(const struct hf_case *c);

/* Whether two deadlines on the timeline, one of which was converted from Redis's clock, are the same; 0: none. */
bool hf__judge_same_deadline(int64_t a_ms, int64_t b_ms, int64_t clock_uncertainty_ms);

/* "newest", "remote", ...: for people. What else there is to say of `newest`, that theirs has no known time or that the two
 * are ambiguous, the row says itself. */
const char *hf__rule_text(uint8_t rule);

#endif
