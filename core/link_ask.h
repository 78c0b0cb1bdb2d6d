/* Questions to the shared tier from other threads: run this request on the link thread, and wait for its end.
 *
 *  1. The asker embeds a struct hf_ask beside its request, sets `send`, and calls hf__link_ask.
 *  2. The link thread calls `send`, which hands the request to the tier.
 *  3. The request's `done`, on the link thread, keeps what it was told and calls hf__ask_done.
 *  4. hf__link_ask returns.
 *
 * Only for requests that may run beside others: facts, fetches, examinations that do not watch. They are served whenever the
 * connection stands, also while the link catches up or is held. */
#ifndef HF_LINK_ASK_H
#define HF_LINK_ASK_H

#include "store.h"

struct hf_ask {
    /* Hand the request to the tier. Called on the link thread with the link's mutex: it must not wait. Returns what the
     * tier's `send_*` returned; if that is not 0, `done` never runs and the question has failed. */
    int (*send)(struct hf_ask *ask, struct hf_shared_tier *tier);
    /* the queue's own */
    struct hf_ask *next;
    struct hf_link *link;
    bool out, done;
    int rc;
    char reason[HF_SHARED_REASON_MAX];
};

/* Ask and wait, not on the link thread. The ask and its request may lie on the caller's stack: both are free again when
 * this returns. HF_EOFFLINE at once when there is no connection; HF_ETIMEOUT when the link did not come to send it within
 * redis_timeout_ms (a request that is out is ended by the transport's own deadline); else by the class of the error given
 * to hf__ask_done: HF_EAUTH, HF_EREFUSED for HF_SHARED_ENTRY, HF_EOFFLINE for all others. */
int hf__link_ask(struct hf *store, struct hf_ask *ask);
/* The same, but the link must come to send it within timeout_ms. */
int hf__link_ask_within(struct hf *store, struct hf_ask *ask, int timeout_ms);

/* From the request's `done`; the ask may be gone when this returns. */
void hf__ask_done(struct hf_ask *ask, const struct hf_shared_error *error);

/* An examination that watches nothing, as a question. The request's `done` and `ctx` are the question's. */
struct hf_ask_examine {
    struct hf_ask ask; /* first */
    struct hf_shared_examine examine;
    void *ctx;
    /* On the link thread: before the request is sent (may be NULL; as hf_ask.send), and when it is answered without
     * error, while what it hands out is borrowed. */
    void (*before)(void *ctx, struct hf_link *link);
    void (*take)(void *ctx, const struct hf_shared_examine *examine);
};
int hf__ask_examine(struct hf *store, struct hf_ask_examine *ask);

/* What the server says of itself; what it refuses to say is left out. As hf__link_ask, and nothing is filled in then. */
int hf__ask_facts(struct hf *store, struct hf_shared_facts *ret_facts);

/* ---- the link's part ---- */

/* The connection stands: take questions, and send those that wait. */
void hf__ask_send_all(struct hf_link *link);
/* It does not: every question fails, and so do later ones. */
void hf__ask_fail_all(struct hf_link *link, const char *reason);

#endif
