/* Replies of Redis, written on for a client as they are read: what hiredis makes of each element is its bytes. So nothing is
 * lost in between: "$-1" and "*-1" stay different, and a number keeps its digits. */
#ifndef SIDECAR_RELAY_H
#define SIDECAR_RELAY_H

#include "reply.h"

#include <hiredis/read.h>

/* A reply that grows longer is given up, as one that there is no memory for. */
#define RELAY_MAX_BYTES ((size_t)HF_VALUE_MAX + (64u << 20))

/* What a reader of hiredis hands its elements to, as its `privdata`. Zeroed drops everything. */
struct relay {
    struct reply *to; /* NULL: what comes is dropped */
    int type;         /* REDIS_REPLY_...: of the outermost element */
    bool drops;       /* the element under way is a push, which nobody here has asked for */
};

/* For redisReader.fn. The objects mean nothing, and need not be freed. Needs a relay as privdata. */
extern redisReplyObjectFunctions relay_functions;

#endif
