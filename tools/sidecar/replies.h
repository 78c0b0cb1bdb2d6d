/* Replies that several commands give. */
#ifndef SIDECAR_REPLIES_H
#define SIDECAR_REPLIES_H

#include "space.h"

static inline void reply_not_an_integer(struct reply *reply)
{
    reply_error(reply, "ERR value is not an integer or out of range");
}

static inline void reply_syntax_error(struct reply *reply)
{
    reply_error(reply, "ERR syntax error");
}

static inline void reply_wrong_type(struct reply *reply)
{
    reply_error(reply, "WRONGTYPE Operation against a key holding the wrong kind of value");
}

static inline void reply_too_long(struct reply *reply)
{
    reply_error(reply, "ERR string exceeds maximum allowed size (proto-max-bulk-len)");
}

/* The value, or nil. */
static inline void reply_value(struct reply *reply, const struct value *value)
{
    if (value->live)
        reply_bulk(reply, value->bytes);
    else
        reply_null(reply);
}

#endif
