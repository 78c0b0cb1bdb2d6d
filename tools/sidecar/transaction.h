/* MULTI, WATCH and EXEC: what a client has queued, what it watches, and what a transaction under way has written.
 *
 *   MULTI ──► queue ──► EXEC ─┬─ a command of another type, or one that Redis must decide, or keys watched there:
 *                             │      everything is passed on as one piece
 *                             └─ else it runs here, on the loop: each command sees what those before it wrote (the
 *                                    *view*), and at the end all of it is one batch for each namespace
 *
 * So nothing of a transaction is written before it is known that all of it can run here. */
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
/* Keep the operations for the end, and reply with `answer`, whose bytes are taken over. */
void transaction_write(struct call *call, const struct hf_op *ops, size_t n, struct reply *answer);
/* Something cannot be told here without waiting. */
void transaction_leave_to_redis(struct transaction *transaction);

#endif
