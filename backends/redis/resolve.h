/* Host names to addresses, on a thread of its own, so that a hanging resolver holds up nobody. */
#ifndef HF_REDIS_RESOLVE_H
#define HF_REDIS_RESOLVE_H

#include <holdfast.h>

#include <netdb.h>
#include <uv.h>

struct hf__lookup; /* shared by the link thread and the resolver's; the last one to leave frees it */

/* Begin to look `host` up; `notify` is sent when the answer is there and must live until hf__lookup_abandon.
 * Returns 0, HF_ENOMEM or HF_EIO (no thread). */
int hf__lookup_start(const char *host, uint16_t port, uv_async_t *notify, struct hf__lookup **ret_lookup);

/* True once answered. Then `*ret_found` is the caller's to freeaddrinfo, or NULL with a text that says why. */
bool hf__lookup_take(struct hf__lookup *lookup, struct addrinfo **ret_found, const char **ret_problem);

/* Let go of it; `notify` is not used any more when this returns. Accepts NULL. */
void hf__lookup_abandon(struct hf__lookup *lookup);

/* At once and without a resolver: the address of an IP literal. Returns a getaddrinfo code. */
int hf__lookup_literal(const char *host, uint16_t port, struct addrinfo **ret_found);

#endif
