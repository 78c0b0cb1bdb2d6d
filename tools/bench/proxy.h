/* A way to a server that takes time, as one to another place does. */
#ifndef BENCH_PROXY_H
#define BENCH_PROXY_H

#include "bench.h"

struct proxy;

/* Listen on a unix socket in the directory of the run, on a thread of its own, and pass on what comes, in both directions, half of
 * `round_trip_ms` later; however much is on its way. proxy_stop frees it, whatever this returns. */
int proxy_start(const struct bench *bench, const char *server_socket, double round_trip_ms,
                struct proxy **ret_proxy);
/* Accepts NULL and one that did not start. Connections that are still there are closed. */
void proxy_stop(struct proxy *proxy);
/* "unix://...", and the path of the socket; borrowed. */
const char *proxy_address(const struct proxy *proxy);
const char *proxy_socket(const struct proxy *proxy);

#endif
