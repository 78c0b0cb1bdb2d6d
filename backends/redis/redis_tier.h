/* The shared tier over Redis: the seam in shared_tier.h, spoken to a real server. */
#ifndef HF_REDIS_TIER_H
#define HF_REDIS_TIER_H

#include "clock.h"
#include "shared_tier.h"

/* Zeroed means default, except `address` and `node`, which are needed. Everything is copied. */
struct hf_redis_options {
    const char *address;             /* as in struct hf_options */
    const char *user;                /* overrides the address's; NULL or "": as there */
    const char *password;            /* likewise; wiped when the tier is freed */
    const char *ca_file;             /* for rediss://; NULL or "": the system's authorities */
    const char *node;                /* 32 hexadecimal digits */
    const struct hf_slice *prefixes; /* of the keys whose changes by others are told; none: nothing is tracked */
    size_t n_prefixes;
    int connect_timeout_ms; /* from the first packet to our token; 0: HF_REDIS_CONNECT_TIMEOUT_DEFAULT_MS */
    int reply_timeout_ms;   /* for a whole answer, plus 1 s per 8 MiB; 0: HF_REDIS_TIMEOUT_DEFAULT_MS */
    int heartbeat_ms;       /* an idle link is probed this often; 0: HF_REDIS_HEARTBEAT_DEFAULT_MS */
};

/* Make the tier without connecting or starting anything; `clock` must outlive it. Freed by its `stop`.
 * Returns 0, HF_ECONFIG (address, authorities) with a sentence that holds no secret, HF_EINVAL, or HF_ENOMEM. */
int hf__redis_new(const struct hf_redis_options *opts, struct hf_clock *clock, struct hf_shared_tier **ret_tier);

#endif
