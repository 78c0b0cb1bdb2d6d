/* What this process costs the system, as /proc tells it. Each is 0 when that cannot be told. */
#ifndef BENCH_PROCESS_H
#define BENCH_PROCESS_H

#include <stdint.h>

/* Memory beyond the pages of files that it maps: LMDB's file is one. */
double process_anonymous_mib(void);
/* Bytes that it has had written to disks: whole pieces of the page cache, as they became dirty. A piece is a page, but as large as 2 MiB
 * where a file was written or read in one go: see bench_forget_pages. */
uint64_t process_written_bytes(void);
/* How often its threads have gone to sleep, each of which is a wake-up. Those that have ended do not count. */
uint64_t process_sleeps(void);

#endif
