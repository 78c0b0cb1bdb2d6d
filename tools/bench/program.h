/* Programs that a case starts. */
#ifndef BENCH_PROGRAM_H
#define BENCH_PROGRAM_H

#include <stdbool.h>
#include <sys/types.h>

/* `input` and `output` are files, or NULL for none; errors go to ours. */
int program_start(char *const argv[], const char *input, const char *output, pid_t *ret_pid);
bool program_has_ended(pid_t pid);
/* Its exit status, 128 + the signal that ended it, or -1 when it went on for too long and was killed. */
int program_wait(pid_t pid, double timeout_s);

/* A port of 127.0.0.1 that nobody listens on, or -1. */
int program_free_port(void);
/* What a process has in memory; 0 when that cannot be told. */
double program_resident_mib(pid_t pid);

#endif
