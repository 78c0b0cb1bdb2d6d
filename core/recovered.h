/* The journal's tail on its way into the overlay: of an owner that opens, and of a reader at each look. */
#ifndef HF_RECOVERED_H
#define HF_RECOVERED_H

#include "store.h"

/* An hf_entry_fn with the store as context: put the entry into the overlay's active generation. */
int hf__recovered_entry(void *ctx, const struct hf_entry *entry);
/* After the last entry: settle what the journal's headers say that Redis had acknowledged, and count open lanes. */
void hf__recovered_settle(struct hf *store, const struct hf_recovery *recovery);

#endif
