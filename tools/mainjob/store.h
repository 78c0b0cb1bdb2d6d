/* The job's own use of its store and of the tool. */
#ifndef MAINJOB_STORE_H
#define MAINJOB_STORE_H

#include "steps.h"

#include <holdfast.h>

/* Open the store as its owner; `address` NULL: without Redis. Tells how long it took. NULL with the reason told. */
struct hf *store_open(const struct job *job, const char *address, const char *why);
/* The same, read-only, beside nobody. */
struct hf *store_open_reader(const struct job *job);
/* 0, or -1 with the reason told. */
int store_close(struct hf *store);

/* Run the tool on the store with the arguments given, NULL at the end, and retell its output, indented. Its exit
 * status, or -1. */
int store_run_tool(const struct job *job, ...) __attribute__((sentinel));

#endif
