/* Hearing of changes by others: client tracking on the connection that writes, so that what is told is in order with
 * the answers. */
#ifndef HF_REDIS_TRACKING_H
#define HF_REDIS_TRACKING_H

#include "connection.h"

/* Leave only what is needed to cover all of these prefixes, in byte order: Redis refuses overlapping ones. Returns how
 * many are left; "" covers everything. */
size_t hf__tracking_cover(struct hf_slice *prefixes, size_t n);

/* Somebody listens, and there is something to track. */
bool hf__tracking_wanted(const struct hf__conn *conn);
/* Write the command. */
void hf__tracking_ask(const struct hf__conn *conn, struct hf__command_writer *w);
void hf__tracking_end(struct hf__command_writer *w);
/* Its answer; a refusal (no right, a proxy that knows no such thing) only leaves tracking off. */
bool hf__tracking_accepted(const redisReply *reply);
/* A push frame has come. May end the connection. */
void hf__tracking_push(struct hf__conn *conn, const redisReply *push);

#endif
