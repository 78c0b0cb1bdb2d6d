/* Reading hiredis replies: numbers and strings out of them, whatever the server sent. */
#ifndef HF_REDIS_REPLY_H
#define HF_REDIS_REPLY_H

#include "bytes.h"
#include "errors.h"

#include <hiredis/hiredis.h>

/* All accept any reply, also NULL. */
bool hf__reply_is_error(const redisReply *reply);
bool hf__reply_is_nil(const redisReply *reply);
/* A status or string of exactly this text. */
bool hf__reply_is_text(const redisReply *reply, const char *text);
/* An aggregate (array, set, map) with at least `n` elements. */
bool hf__reply_is_array(const redisReply *reply, size_t n);

/* The bytes of a string, status or verbatim reply, borrowed from it; else empty with data NULL. */
struct hf_slice hf__reply_text(const redisReply *reply);

/* If it is an error reply, classify it into `error` and return true. */
bool hf__reply_error(const redisReply *reply, struct hf_shared_error *error);

/* Whole canonical decimals, as an integer reply or as text. Return false for anything else. */
bool hf__reply_i64(const redisReply *reply, int64_t *ret_number);
bool hf__parse_u64(struct hf_slice text, uint64_t *ret_number);
bool hf__parse_i64(struct hf_slice text, int64_t *ret_number);

/* An answer to TIME, in milliseconds since 1970. */
bool hf__reply_time_ms(const redisReply *reply, int64_t *ret_ms);

/* Copy a short text reply as a string; false (and "" in `text`) when it is none, holds a NUL or does not fit. */
bool hf__reply_copy(const redisReply *reply, char *text, size_t size);

#endif
