/* The first shared tier of a store that lived without one: everything it holds becomes pending, once. */
#ifndef HF_SEED_H
#define HF_SEED_H

#include "store.h"

/* Give every record of a shared namespace a pending row, and remember that this store shares. While opening. */
int hf__seed(struct hf *store);

#endif
