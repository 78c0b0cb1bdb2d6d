/* Replies as bytes, RESP2 or RESP3. After a failed allocation a reply ignores what follows and keeps `failed`. */
#ifndef SIDECAR_REPLY_H
#define SIDECAR_REPLY_H

#include "bytes.h"

struct reply {
    struct hf_bytes bytes;
    int proto;   /* 2 or 3 */
    bool failed; /* there was no memory: the client is closed, as it cannot be told */
};

void reply_status(struct reply *reply, const char *text); /* "OK" */
/* `prefix` and a sentence: "ERR value is not an integer or out of range". Line ends in it become spaces. */
void reply_error(struct reply *reply, const char *format, ...) __attribute__((format(printf, 2, 3)));
void reply_integer(struct reply *reply, int64_t number);
void reply_bulk(struct reply *reply, struct hf_slice bytes);
void reply_text(struct reply *reply, const char *text); /* a bulk string */
void reply_null(struct reply *reply);                   /* "$-1", "_" */
void reply_null_array(struct reply *reply);             /* "*-1", "_" */
void reply_bool(struct reply *reply, bool yes);         /* RESP2: 1 or 0 */
void reply_double(struct reply *reply, double number);  /* RESP2: a bulk string, with 17 digits as Redis */
void reply_array(struct reply *reply, size_t n);        /* `n` elements follow */
void reply_map(struct reply *reply, size_t n);          /* `n` pairs follow; RESP2: an array of 2n */
void reply_set(struct reply *reply, size_t n);          /* RESP2: an array */
void reply_push(struct reply *reply, size_t n);         /* RESP2: an array */
/* A string with a format, as INFO has it: "txt". RESP2: a bulk string. */
void reply_verbatim(struct reply *reply, struct hf_slice text);
void reply_raw(struct reply *reply, const void *bytes, size_t len); /* what is RESP already */
void reply_add(struct reply *reply, const struct reply *other);     /* what another one holds; it fails with it */

/* A bulk string of `len` bytes to be filled in; NULL without memory. Valid until the next call. */
void *reply_bulk_reserve(struct reply *reply, size_t len);

void reply_release(struct reply *reply);

#endif
