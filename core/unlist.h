/* Taking a parked entry off its list, or a conflict off the log: alone, or together with the change that takes its place. */
#ifndef HF_UNLIST_H
#define HF_UNLIST_H

#include "store.h"

struct hf_unlist {
    unsigned what;   /* HF_LEFT_UNPARK or HF_LEFT_RESOLVE */
    uint64_t listed; /* the parked entry's LSN, the conflict's id */
    struct hf_slice key;
};

/* Store what was left for the two lists, where this handle may. */
int hf__unlist_prepare(struct hf *store);

/* By itself, durably, and audited as `verb`. HF_NOT_FOUND. When the checkpoint fails it stays listed. */
int hf__unlist_alone(struct hf *store, const struct hf_unlist *unlist, const char *verb);
/* The line for the audit log, before a verb takes effect. */
int hf__unlist_audit(struct hf *store, const struct hf_unlist *unlist, const char *verb);

/* Whether it is listed, and nobody is taking it off. 0 or HF_NOT_FOUND; final with the write lock. */
int hf__unlist_check(struct hf *store, const struct hf_unlist *unlist);
int hf__unlist_missing(const struct hf_unlist *unlist); /* HF_NOT_FOUND, and the sentence */
/* The journal entry that goes with the change that takes its place, in one group: both are recovered, or neither. */
struct hf_entry hf__unlist_entry(const struct hf *store, const struct hf_unlist *unlist);
bool hf__is_unlist_entry(const struct hf_entry *entry);
/* Recovery has met such an entry. */
int hf__unlist_recovered(struct hf *store, const struct hf_entry *entry);

#endif
