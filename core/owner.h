/* The openings of a store, as Redis sees them: each has an id, which its session tokens begin with. A token that no opening
 * of this directory has made was made by a copy of it. */
#ifndef HF_OWNER_H
#define HF_OWNER_H

#include "store.h"

/* Give this opening an id, durably before Redis hears of it. */
int hf__owner_begin(struct hf *store);
/* For the checkpoint: once Redis has had our token, this opening is the last to be forgotten. */
int hf__owner_store(struct hf *store, struct hf_local_txn *txn);

#endif
