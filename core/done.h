/* Completions of asynchronous submissions: one thread, in order of LSN, with no lock held. */
#ifndef HF_DONE_H
#define HF_DONE_H

#include "link.h"

/* Start and end the completion thread ("hf-done"). The end waits for every submission; settlements are taken on. */
int hf__done_start(struct hf *store);
void hf__done_stop(struct hf *store);
/* Tell the last settlements, on this thread. No other thread of the store runs any more. */
void hf__done_free(struct hf *store);

/* A submission waits for its entry to be safe and, with a ticket, for its share. Takes over the ticket's reference
 * and the memory of the submission. */
struct hf_submission {
    struct hf_submission *next;
    struct hf_result result;
    struct hf_ticket *ticket; /* NULL: nothing to share, or nobody waits for it */
    bool may_share;           /* the change is owed to the shared tier */
    bool must_share;          /* not known to be there, its outcome is unknown */
    bool alone;               /* it is for this node alone: the ticket is nobody's */
    struct timespec deadline; /* of the ticket: then the change counts as pending */
    hf_done_fn *done;
    void *ctx;
};
/* With the write lock, so that the order is that of the LSNs. */
void hf__done_submit(struct hf *store, struct hf_submission *submission);

/* A change has found its end on the shared tier: it is counted, and the application's callback is called. Copied. The link
 * thread, also after the completion thread's end. */
void hf__done_settled(struct hf *store, const struct hf_settlement *settlement);

/* The sentence for a change that a namespace with outage policy `refuse` had accepted, and that was not answered. */
#define HF_UNANSWERED                                                                                              \
    "the shared tier did not answer in time: the change may have been done there, and is judged at the next "      \
    "reconcile"

/* The journal has moved on, or a ticket was answered; any thread, any lock but the queue's own. */
void hf__done_poke(struct hf *store);

#endif
