/* What an error text of Redis says about whom. */
#ifndef HF_REDIS_ERRORS_H
#define HF_REDIS_ERRORS_H

#include "shared_tier.h"

/* Fill in `error` from the text of a Redis error reply: its class, whether it is OOM, and the text without what
 * Redis echoes of a command's arguments. An error raised inside a script or at EXEC is judged by its cause. */
void hf__redis_classify(struct hf_slice text, struct hf_shared_error *error);

/* Set `error` to a sentence of our own. */
void hf__redis_error(struct hf_shared_error *error, enum hf_shared_class class, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* True for the reply to a command the server does not know, and to a script it does not hold. */
bool hf__redis_is_unknown_command(struct hf_slice text);
bool hf__redis_is_noscript(struct hf_slice text);

/* The graver of two classes, as the verdict over a whole group. */
enum hf_shared_class hf__redis_worse(enum hf_shared_class a, enum hf_shared_class b);

#endif
