/* A copied directory becomes a node of its own (hf_renew_node). */
#ifndef HF_RENEW_H
#define HF_RENEW_H

#include "store.h"

/* A random node id. */
int hf__node_id(char ret_node[33]);

/* For the checkpoint: the new id, and up to where LSNs were given under another one. */
int hf__renew_store(struct hf *store, struct hf_local_txn *txn);

#endif
