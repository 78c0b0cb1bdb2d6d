/* The keys of the store, as commands see them: reads and writes of one call, inside EXEC or not.
 *
 * A handler asks first: space_read() tells whether the value can be had without waiting. If not (Redis must be asked, or
 * decides), the handler hands itself to a worker, where the same functions wait. So a handler is written once:
 *
 *     static void get(struct call *call)
 *     {
 *         struct value value;
 *
 *         if (space_read(call, call->argv[1], &value))
 *             value_reply(call->reply, &value);
 *     }
 *
 * space_read() returning false means that the call is answered, or is a worker's by now. */
#ifndef SIDECAR_SPACE_H
#define SIDECAR_SPACE_H

#include "call.h"

struct value {
    bool live;
    struct hf_slice bytes; /* borrowed until the next call of space_*; not filled in by space_look() */
    size_t len;
    int64_t deadline_ms; /* the store's timeline; 0: none */
    struct hf_result result;
};

bool space_read(struct call *call, struct hf_slice key, struct value *ret_value);
/* Length, deadline and whether it lives, without the bytes. */
bool space_look(struct call *call, struct hf_slice key, struct value *ret_value);

#endif
