/* Child processes: started with pipes, never outliving us, ended by their number alone. */
#ifndef MAINJOB_CHILD_H
#define MAINJOB_CHILD_H

#include <stdbool.h>
#include <sys/types.h>

struct child {
    pid_t pid;  /* 0: none */
    int input;  /* we write, it reads; -1: it reads /dev/null */
    int output; /* it writes, we read; -1: its output is ours */
};

/* Start a program, which dies with this thread. 0, or -1 with the reason told. */
int child_start(struct child *ret_child, char *const argv[], bool with_input, bool with_output);

void child_signal(const struct child *child, int signal);

/* Wait for its end, at most `timeout_ms`, and close the pipes. Its exit status, 128 + the signal that ended it,
 * or -1 when it went on for too long and was killed. */
int child_wait(struct child *child, int timeout_ms);

/* True when it has ended, which child_wait() then tells at once. */
bool child_has_ended(const struct child *child);

/* Kill and reap it, if there is one. */
void child_destroy(struct child *child);

#endif
