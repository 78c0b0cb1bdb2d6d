/* MULTI, WATCH and EXEC: what a client has queued, what it watches, and what a transaction under way has written.
 *
 *   MULTI ──► queue ──► EXEC ─┬─ a command of another type, or one that Redis must decide, or keys watched there, or
 *                             │      shared keys that are read beside others that are written:
 *                             │      everything is passed on as one piece
 *                             └─ else it runs here, on the loop: each command sees what those before it wrote (the
 *                                    *view*), and at the end all of it is one batch for each namespace
 *
 * So nothing of a transaction is written before it is known that all of it can run here. What a write has to know of a key
 * that is not known here (DEL: whether it is there; INCR: whether it is a number) is asked for by a worker, once; then the
 * transaction runs from its beginning. */
#ifndef SIDECAR_TRANSACTION_H
#define SIDECAR_TRANSACTION_H

#include "space.h"

#define TRANSACTION_COMMANDS_MAX (1024u * 1024)
#define TRANSACTION_BYTES_MAX (64u << 20)
#define TRANSACTION_WATCHED_MAX 65536u

struct transaction;

/* ---- for space.c: the view ---- */

/* The transaction itself has made the key what it is: `*ret_value` is set. */
bool transaction_shows(const struct transaction *transaction, struct hf_slice key, struct value *ret_value);
/* It has changed the life of a key whose value comes from the store. */
void transaction_adjusts(const struct transaction *transaction, struct hf_slice key, struct value *value);
/* What was asked for before it ran: 0 with `*ret_value` set, HF_EWRONGTYPE, or HF_NOT_DONE: it was not. */
int transaction_was_told(const struct transaction *transaction, struct hf_slice key, struct value *ret_value);
/* A command looks at the key. */
void transaction_reads(struct call *call, struct hf_slice key);
/* Keep the operations for the end, and reply with `answer`, whose bytes are taken over. */
void transaction_write(struct call *call, const struct hf_op *ops, size_t n, struct reply *answer);
/* The same for an increment. Where the sum depends on what Redis holds, it is told when the batch has ended. */
void transaction_add(struct call *call, const struct hf_op *op, int64_t sum);
/* Something cannot be told here without waiting: the transaction is Redis's, or has to be told first what its keys are. */
void transaction_leave_to_redis(struct transaction *transaction);
void transaction_wait(struct transaction *transaction);

#endif
