/* Doing a plan's operations through the library, many in flight. */
#ifndef MAINJOB_APPLY_H
#define MAINJOB_APPLY_H

#include "plan.h"

#define APPLY_WINDOW 256 /* operations in flight */

/* `begin` runs before an operation is handed to the library, `done` when its outcome is known; both get the
 * operation's number in the plan. `done` runs on the library's thread, or on the caller's when nothing was to do.
 */
struct apply_hooks {
    void (*begin)(void *ctx, size_t number);
    void (*done)(void *ctx, size_t number, const struct hf_result *result);
    void *ctx;
};

/* Do the operations of the given numbers, and wait for all of them. 0, or -1 with the reason told. */
int apply(struct hf *store, const struct plan *plan, const size_t *numbers, size_t n,
          const struct apply_hooks *hooks);

#endif
