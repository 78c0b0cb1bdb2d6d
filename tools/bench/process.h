/* What this process costs the system, as /proc tells it. Each is 0 when that cannot be told. */
#ifndef BENCH_PROCESS_H
#define BENCH_PROCESS_H

#include <stdint.h>

/* Memory beyond the pages of files that it maps: LMDB's file is one. */
double process_anonymous_mib(void);
/* Bytes that the disk below `dir` was given, by anybody. Where it has no counter of its own, those that this process made dirty:
 * these are whole pieces of the page cache, which for a file that was written in one go are as large as 2 MiB. */
uint64_t process_written_bytes(const char *dir);
/* How often its threads have gone to sleep, each of which is a wake-up. Those that have ended do not count. */
uint64_t process_sleeps(void);

#endif
