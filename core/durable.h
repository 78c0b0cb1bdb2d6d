/* Waiting for the disk without waiting: who has synced tells those who stand in line. */
#ifndef HF_DURABLE_H
#define HF_DURABLE_H

#include "store.h"

void hf__durable_init(struct hf *store);
/* After the journal is closed. */
void hf__durable_free(struct hf *store);
/* The journal has moved on, or has stopped: tell those for whom that is enough. Any thread, no lock held that a callback of
 * hf_when_durable could want. */
void hf__durable_tell(struct hf *store);

#endif
