/* What one checkpoint writes for one key: record, pending row, lane entries. */
#ifndef HF_DRAIN_H
#define HF_DRAIN_H

#include "store.h"

/* Write the state of a frozen node into the transaction. `scratch` is reused between calls. */
int hf__drain_node(struct hf *store, struct hf_local_txn *txn, const struct hf_node *node,
                   struct hf_bytes *scratch);

#endif
