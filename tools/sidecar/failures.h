/* Wrong passwords, by the address they come from: an address may have FAILURES_MAX of them at once, and then one every
 * FAILURES_EVERY_MS. */
#ifndef SIDECAR_FAILURES_H
#define SIDECAR_FAILURES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define FAILURES_MAX 10
#define FAILURES_EVERY_MS 6000
#define FAILURES_ADDRESSES 256u /* the one that may soonest try again makes room for a new one */

/* Zeroed is empty. Not locked. */
struct failures {
    struct failures_of {
        uint8_t
            address[16];  /* IPv4 as it is mapped into IPv6; of IPv6 the first half, which one host has to itself */
        int64_t until_ms; /* when all that it owes is paid; 0: a free place */
    } all[FAILURES_ADDRESSES];
};

/* A password is about to be looked at: it counts as wrong until it is taken back. False: the address has to wait, and nothing is
 * counted. `now_ms` is any clock that does not step. */
bool failures_count(struct failures *failures, const struct sockaddr *from, int64_t now_ms);
void failures_take_back(struct failures *failures, const struct sockaddr *from);

#endif
