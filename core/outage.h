/* What a namespace does while the shared tier is away (enum hf_outage_policy; docs/reconcile.md, "Outage policies"). */
#ifndef HF_OUTAGE_H
#define HF_OUTAGE_H

#include "store.h"

/* Whether what is asked or written now reaches the shared tier. */
enum hf_reach {
    HF_REACH_AWAY = 0, /* no connection, one that is held or paused, or a handle without an address */
    HF_REACH_SOON,     /* the first attempt to connect is under way, or what changed meanwhile is being learned */
    HF_REACH_THERE,
};
/* Any thread. With the write lock, AWAY and THERE hold for writes until it is given up, but for a connection that breaks. */
enum hf_reach hf__reach(struct hf *store);

/* Nothing waits but for the replies under way: online, with no row and no overflow. */
bool hf__reach_is_healthy(struct hf *store);
/* Nothing that waits is on its way to the shared tier, nor will it be before a checkpoint that begins later has ended. */
bool hf__reach_sends_nothing(struct hf *store);

/* The namespace answers only with the shared tier. */
bool hf__outage_refuses(const struct hf *store, const struct hf_ns *ns);
/* For such a namespace: 0 when the shared tier is there, else HF_EOFFLINE; at once when it is away, after at most
 * redis_timeout_ms when it may be there soon and `waits` is set. 0 for any other namespace. */
int hf__outage_check(struct hf *store, const struct hf_ns *ns, struct hf_slice key, bool waits);

/* What is written now is for this node alone, if its key owes nothing. With the write lock. */
bool hf__outage_is_local(struct hf *store, const struct hf_ns *ns);

#endif
