/* The state behind transaction.h: for transaction.c and cmd_transaction.c. */
#ifndef SIDECAR_TRANSACTION_STATE_H
#define SIDECAR_TRANSACTION_STATE_H

#include "transaction.h"
#include "view.h"

struct queued {
    const struct command *command; /* NULL: not known here */
    size_t argc;
    struct hf_slice *words;
    bool asks; /* it has to be told what its keys are */
};

/* A key and what it was when it was watched. */
struct watched {
    struct hf_buf key;
    bool live;
    uint64_t lsn;
};

/* Where an EXEC under way can run. */
enum transaction_place {
    TRANSACTION_HERE,
    TRANSACTION_WAITS, /* here, when it was told what its keys are */
    TRANSACTION_REDIS,
};

struct transaction {
    struct queued *queued;
    size_t n_queued, queue_capacity, queued_bytes;
    struct watched *watched; /* here; what Redis watches is upstream.c's */
    size_t n_watched, watch_capacity;
    /* EXEC under way: */
    struct view view;
    enum transaction_place place;
    bool reads, writes; /* shared keys, while Redis is online */
    bool owes_sum;      /* of an increment that only Redis can tell; */
    size_t sum_at;      /* where it belongs in the reply */
    struct view told;   /* what a worker has asked for */
    bool was_told;
};

/* The client's, made if need be. NULL without memory. */
struct transaction *transaction_of(struct client *client);
/* It outlives the client from now on. */
void transaction_detach(struct client *client);
void transaction_free(struct transaction *transaction);

/* Begin to run it, from its beginning. */
void transaction_begin(struct transaction *transaction);
/* On a worker: ask for the keys of the commands that have to be told. Touches the store and the transaction. */
void transaction_ask(struct transaction *transaction, struct hf *store);

/* Keep a command for EXEC. HF_EBUSY: a bound is reached. HF_ENOMEM. */
int transaction_queue(struct transaction *transaction, const struct call *call);
void transaction_forget_queue(struct transaction *transaction);

/* Watch a key that was looked at. HF_EBUSY: a bound is reached. HF_ENOMEM. */
int transaction_watch(struct transaction *transaction, struct hf_slice key, const struct value *value);
bool transaction_has_changed(const struct watched *watched, const struct value *value);
void transaction_forget_watches(struct transaction *transaction);

#endif
