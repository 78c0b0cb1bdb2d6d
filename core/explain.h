/* Why a key is as it is, in one sentence: decided by plain code over what was gathered. No I/O. */
#ifndef HF_EXPLAIN_H
#define HF_EXPLAIN_H

#include <holdfast.h>

/* What an explanation does not tell by itself. */
struct hf_why {
    const struct hf_explanation *e;
    bool never_shared;         /* by the namespace, or because there is no shared tier */
    const char *not_asked;     /* why Redis was not; "" */
    bool other_value;          /* both hold a string, and not the same; else it is the deadline */
    uint64_t conflict_id;      /* of the key's latest one in the log; 0: none */
    enum hf_winner winner;     /* of it */
    const char *rule;          /* of it, in words */
    int64_t decided_ms;        /* timeline */
    const char *parked_reason; /* of the key's latest parked entry; "": there is none */
};

#define HF_WHY_MAX 512

/* Write the sentence into `text`, of HF_WHY_MAX bytes. */
void hf__explain_why(const struct hf_why *why, char *text);

#endif
