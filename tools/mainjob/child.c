/* Child processes. */
#include "child.h"

#include "story.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOOK_EVERY_MS 2

/* In the child: only what is safe between fork and exec in a program with threads. */
static void become(char *const argv[], pid_t parent, int input, int output)
{
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() == parent && dup2(input, STDIN_FILENO) >= 0 && (output < 0 || dup2(output, STDOUT_FILENO) >= 0))
        execvp(argv[0], argv);
    _exit(127);
}

static void close_if_open(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

int child_start(struct child *ret_child, char *const argv[], bool with_input, bool with_output)
{
    int in[2] = {-1, -1}, out[2] = {-1, -1};
    pid_t parent = getpid(), pid = -1;

    if (with_input ? pipe2(in, O_CLOEXEC) != 0 : (in[0] = open("/dev/null", O_RDONLY | O_CLOEXEC)) < 0)
        goto done;
    if (with_output && pipe2(out, O_CLOEXEC) != 0)
        goto done;
    fflush(stdout);
    pid = fork();
    if (pid == 0)
        become(argv, parent, in[0], out[1]);
    if (pid < 0)
        goto done;
    *ret_child = (struct child){.pid = pid, .input = in[1], .output = out[0]};
    in[1] = out[0] = -1;
done:
    if (pid < 0)
        story_wrong("cannot start %s: %s", argv[0], strerror(errno));
    close_if_open(&in[0]);
    close_if_open(&in[1]);
    close_if_open(&out[0]);
    close_if_open(&out[1]);
    return pid < 0 ? -1 : 0;
}

void child_signal(const struct child *child, int signal)
{
    if (child->pid > 0)
        kill(child->pid, signal);
}

bool child_has_ended(const struct child *child)
{
    siginfo_t info = {0};

    return waitid(P_PID, (id_t)child->pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid != 0;
}

int child_wait(struct child *child, int timeout_ms)
{
    int64_t end_ms = story_clock_ms() + timeout_ms;
    bool in_time = true;
    int status = 0;

    close_if_open(&child->input);
    close_if_open(&child->output);
    while (!child_has_ended(child) && (in_time = story_clock_ms() < end_ms))
        (void)poll(NULL, 0, LOOK_EVERY_MS);
    if (!in_time)
        child_signal(child, SIGKILL);
    while (waitpid(child->pid, &status, 0) < 0 && errno == EINTR)
        ;
    child->pid = 0;
    if (!in_time)
        return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void child_destroy(struct child *child)
{
    if (child->pid == 0)
        return;
    child_signal(child, SIGKILL);
    (void)child_wait(child, 10000);
}
