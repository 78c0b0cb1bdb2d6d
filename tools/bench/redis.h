/* The private redis-server of a case, in the directory of the run. */
#ifndef BENCH_REDIS_H
#define BENCH_REDIS_H

#include "bench.h"

#include <sys/types.h>

struct redis;

/* Start it on a unix socket, nothing kept on disk, and wait until it answers; redis_stop frees it, whatever this returns. */
int redis_start(const struct bench *bench, struct redis **ret_redis);
/* The same on a port of 127.0.0.1, too, unless that is 0, with an append-only file; `appendfsync` as its option has it, or
 * NULL: no such file. */
int redis_start_with(const struct bench *bench, const char *appendfsync, int port, struct redis **ret_redis);
pid_t redis_pid(const struct redis *redis);
/* Stop it and remove what it left. Accepts NULL and one that did not start. */
void redis_stop(struct redis *redis);

/* "unix://...", and the path of the socket; borrowed. */
const char *redis_address(const struct redis *redis);
const char *redis_socket(const struct redis *redis);
/* FLUSHALL, and wait until it is done. */
int redis_flush(struct redis *redis);
/* Check that it holds at least so many keys. */
int redis_expect_keys(struct redis *redis, size_t n);
/* Check that each of the first n keys holds its value, the number of which is its own and `first_number`. */
int redis_expect_values(struct redis *redis, const struct bench *bench, size_t n, uint64_t first_number);
/* `redis-cli --pipe` with a file of commands, until every one is answered; an error answer is a failure. */
int redis_cli_pipe(struct redis *redis, const char *file);

#endif
