/* Programs that a case starts. They are ended by the number held, and die with us. */
#include "program.h"

#include "bench.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOOK_EVERY_MS 1

/* In the child. A group of its own keeps the terminal's signals away: we decide when it ends. */
static void become(char *const argv[], pid_t parent, const char *input, const char *output)
{
    int in = open(input ? input : "/dev/null", O_RDONLY);
    int out = output ? open(output, O_WRONLY | O_CREAT | O_TRUNC, 0600) : open("/dev/null", O_WRONLY);

    signal(SIGPIPE, SIG_DFL);
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() == parent && dup2(in, STDIN_FILENO) >= 0 && dup2(out, STDOUT_FILENO) >= 0)
        execvp(argv[0], argv);
    _exit(127);
}

int program_start(char *const argv[], const char *input, const char *output, pid_t *ret_pid)
{
    pid_t parent = getpid(), pid = fork();

    if (pid == 0)
        become(argv, parent, input, output);
    if (pid < 0)
        return bench_fail("cannot start %s: %s", argv[0], strerror(errno));
    *ret_pid = pid;
    return 0;
}

bool program_has_ended(pid_t pid)
{
    siginfo_t info = {0};

    return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid != 0;
}

int program_wait(pid_t pid, double timeout_s)
{
    double end_s = bench_now_s() + timeout_s;
    bool in_time = true;
    int status = 0;

    while (!program_has_ended(pid) && (in_time = bench_now_s() < end_s))
        (void)poll(NULL, 0, LOOK_EVERY_MS);
    if (!in_time)
        kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (!in_time)
        return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int bound_port(int fd)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);

    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &len) != 0)
        return bench_fail("there is no free port on 127.0.0.1: %s", strerror(errno));
    return ntohs(address.sin_port);
}

int program_free_port(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), port;

    if (fd < 0)
        return bench_fail("cannot make a socket: %s", strerror(errno));
    port = bound_port(fd);
    close(fd);
    return port;
}

double program_resident_mib(pid_t pid)
{
    char path[32], line[128];
    unsigned long kib = 0;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    file = fopen(path, "r");
    while (file && fgets(line, sizeof(line), file) && sscanf(line, "VmRSS: %lu kB", &kib) != 1)
        ;
    if (file)
        fclose(file);
    return (double)kib / 1024;
}
