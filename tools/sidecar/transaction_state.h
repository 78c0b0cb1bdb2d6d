/* The state behind transaction.h: for transaction.c and cmd_transaction.c. */
#ifndef SIDECAR_TRANSACTION_STATE_H
#define SIDECAR_TRANSACTION_STATE_H

#include "transaction.h"
#include "view.h"

struct queued {
    const struct command *command; /* NULL: not known here */
    size_t argc;
    struct hf_slice *words;
};

/* A key and what it was when it was watched. */
struct watched {
    struct hf_buf key;
    bool live;
    uint64_t lsn;
};

struct transaction {
    struct queued *queued;
    size_t n_queued, queue_capacity, queued_bytes;
    struct watched *watched; /* here; what Redis watches is upstream.c's */
    size_t n_watched, watch_capacity;
    struct view view;  /* EXEC under way ... */
    bool is_for_redis; /* ... which cannot run here */
};

/* The client's, made if need be. NULL without memory. */
struct transaction *transaction_of(struct client *client);

/* Keep a command for EXEC. HF_EBUSY: a bound is reached. HF_ENOMEM. */
int transaction_queue(struct transaction *transaction, const struct call *call);
void transaction_forget_queue(struct transaction *transaction);

/* Watch a key that was looked at. HF_EBUSY: a bound is reached. HF_ENOMEM. */
int transaction_watch(struct transaction *transaction, struct hf_slice key, const struct value *value);
bool transaction_has_changed(const struct watched *watched, const struct value *value);
void transaction_forget_watches(struct transaction *transaction);

#endif
