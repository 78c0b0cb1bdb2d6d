/* What a namespace's bookkeeping says of Redis's history, against what this store knew of it. No I/O
 * (docs/reconcile.md, "Evidence of loss"). */
#ifndef HF_EVIDENCE_H
#define HF_EVIDENCE_H

#include <holdfast.h>
#include <stdbool.h>

enum hf_evidence {
    HF_EVIDENCE_AS_KNOWN = 0, /* or never seen before: there is nothing to compare with */
    HF_EVIDENCE_EMPTIED,      /* the server was restarted, and the epoch is gone or another */
    HF_EVIDENCE_FLUSHED,      /* the epoch is gone or another, and a restart does not explain it */
    HF_EVIDENCE_ROLLED_BACK,  /* an older copy: a restored file, or a failover with a lost tail */
    HF_EVIDENCE_TRIMMED,      /* the log begins behind what we know */
    HF_EVIDENCE_LOG_LOST,     /* the epoch is there, its log is not */
};

struct hf_history {
    const char *epoch;  /* "" : none */
    const char *log_id; /* of the last entry known, or there; "": none */
    uint64_t mark;      /* 0: none */
};

enum hf_server_life { HF_SERVER_UNKNOWN = 0, HF_SERVER_SAME, HF_SERVER_RESTARTED };

/* Judge by epoch, mark and the log's newest id. */
enum hf_evidence hf__evidence(const struct hf_history *known, const struct hf_history *found, bool log_missing,
                              enum hf_server_life life);

/* Something that Redis had is gone. */
bool hf__evidence_is_loss(enum hf_evidence evidence);

/* A namespace's policy for a loss, or what the evidence asks for. */
enum hf_loss_policy hf__evidence_policy(enum hf_evidence evidence, enum hf_loss_policy policy);

/* Stream ids: negative, 0 or positive as `a` is before, at or behind `b`; "" is before all. */
int hf__stream_id_compare(const char *a, const char *b);
/* The milliseconds of a stream id; 0 for none. */
int64_t hf__stream_id_ms(const char *id);

const char *hf__evidence_text(enum hf_evidence evidence);

#endif
