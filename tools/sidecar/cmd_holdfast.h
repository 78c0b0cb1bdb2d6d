/* The verbs of HOLDFAST, in a few files: cmd_holdfast.c has the table. docs/sidecar-holdfast.md lists the replies. */
#ifndef SIDECAR_CMD_HOLDFAST_H
#define SIDECAR_CMD_HOLDFAST_H

#include "call.h"

/* Run on a worker: call->argv[2] is the first argument behind the verb. */
void holdfast_conflicts(struct call *call);
void holdfast_parked(struct call *call);
void holdfast_status(struct call *call);
void holdfast_reconcile(struct call *call);

/* A decimal number up to `max`; false: an error was replied, which names `what`. */
bool holdfast_number(struct call *call, const char *what, struct hf_slice text, uint64_t max, uint64_t *ret_number);
/* argv[*at] is an option `name` with a number behind it: takes both, and returns true. After a failure *at is past the end. */
bool holdfast_option(struct call *call, size_t *at, const char *name, uint64_t max, uint64_t *ret_number);
/* "ERR syntax error ..." */
void holdfast_syntax(struct call *call);

/* A member of a map. */
void holdfast_add_text(struct reply *reply, const char *name, const char *text);
void holdfast_add_bytes(struct reply *reply, const char *name, struct hf_slice bytes);
void holdfast_add_unsigned(struct reply *reply, const char *name, uint64_t number);
void holdfast_add_integer(struct reply *reply, const char *name, int64_t number);
void holdfast_add_bool(struct reply *reply, const char *name, bool yes);
void holdfast_add_outcomes(struct reply *reply, const char *name, const uint64_t counts[HF_N_OUTCOMES]);
#define HOLDFAST_WRITTEN_MEMBERS 3
void holdfast_add_written(struct reply *reply, const struct hf_result *result);

const char *holdfast_kind_text(enum hf_op_kind kind);

#endif
