/* The private holdfastd of a case: in the directory of the run, without Redis behind it. */
#ifndef BENCH_SIDECAR_H
#define BENCH_SIDECAR_H

#include "bench.h"

#include <sys/types.h>

struct sidecar;

/* Start the holdfastd that lies beside this program, on a port of 127.0.0.1, and wait until it answers; sidecar_stop frees it,
 * whatever this returns. */
int sidecar_start(const struct bench *bench, int port, struct sidecar **ret_sidecar);
/* Accepts NULL and one that did not start. */
void sidecar_stop(struct sidecar *sidecar);
pid_t sidecar_pid(const struct sidecar *sidecar);

#endif
