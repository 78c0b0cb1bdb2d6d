/* Commands that look at a value and write by it: APPEND, GETSET, SET NX, EXPIRE GT ...
 *
 * The command says what is to be done with the value it is shown; here it is done, so that nothing comes between. A key that is
 * ours is changed on the loop, where commands follow each other. One that is shared is changed by a worker, with Redis comparing:
 * when somebody else was faster, the command is asked again with the value that stands there now. While Redis is away
 * what is held here counts, unless the command wants a decision. */
#ifndef SIDECAR_UPDATE_H
#define SIDECAR_UPDATE_H

#include "space.h"

#define UPDATE_TRIES 1000 /* somebody else was faster every time: the client is told */

struct update {
    struct hf_op op;      /* `kind` 0: nothing is to be done. The key is filled in */
    struct hf_bytes made; /* for a value that had to be made */
    struct reply answer;  /* when it is done; empty: "OK" */
    bool decides;         /* it must not be done by what is held here alone, while Redis is away */
};

/* `old` is borrowed until this returns, but for what update->op refers to. */
typedef void update_fn(const struct call *call, const struct value *old, struct update *update);

void space_update(struct call *call, struct hf_slice key, update_fn *decide);
/* The same for SET and SETNX, to which a key of another type is one that is there: `old` shows it without bytes. */
void space_update_any(struct call *call, struct hf_slice key, update_fn *decide);

#endif
