/* The private holdfastd of a case. */
#include "sidecar.h"

#include "program.h"

#include <hiredis/hiredis.h>

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define START_S 15
#define STOP_S 30
#define LOOK_EVERY_MS 1

struct sidecar {
    char *program, *dir;
    int port;
    pid_t pid; /* 0: not running */
};

/* It is installed and built beside us. */
static char *find_program(void)
{
    char self[4096], *slash, *program = NULL;
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

    if (n <= 0)
        return NULL;
    self[n] = '\0';
    slash = strrchr(self, '/');
    if (!slash || asprintf(&program, "%.*s/holdfastd", (int)(slash - self), self) < 0)
        return NULL;
    return program;
}

static bool answers(const struct sidecar *sidecar)
{
    redisContext *connection = redisConnectWithTimeout("127.0.0.1", sidecar->port, (struct timeval){.tv_sec = 1});
    bool is_there = connection && !connection->err;

    if (connection)
        redisFree(connection);
    return is_there;
}

static int wait_until_it_answers(struct sidecar *sidecar)
{
    double end_s = bench_now_s() + START_S;

    while (!answers(sidecar)) {
        if (program_has_ended(sidecar->pid))
            return bench_fail("%s has ended", sidecar->program);
        if (bench_is_stopped())
            return bench_fail("stopped by a signal");
        if (bench_now_s() > end_s)
            return bench_fail("%s did not answer within %d s", sidecar->program, START_S);
        (void)poll(NULL, 0, LOOK_EVERY_MS);
    }
    return 0;
}

int sidecar_start(const struct bench *bench, int port, struct sidecar **ret_sidecar)
{
    struct sidecar *sidecar = calloc(1, sizeof(*sidecar));
    char number[8];
    char *argv[] = {NULL, "--dir", NULL, "--port", number, NULL};

    if (!sidecar)
        return bench_fail("out of memory");
    *ret_sidecar = sidecar;
    sidecar->port = port;
    sidecar->program = argv[0] = find_program();
    sidecar->dir = argv[2] = bench_path(bench, "sidecar");
    snprintf(number, sizeof(number), "%d", port);
    if (!sidecar->program || !sidecar->dir)
        return bench_fail("cannot tell where holdfastd is");
    if (program_start(argv, NULL, NULL, &sidecar->pid) != 0)
        return -1;
    return wait_until_it_answers(sidecar);
}

void sidecar_stop(struct sidecar *sidecar)
{
    int status = 0;

    if (!sidecar)
        return;
    if (sidecar->pid > 0) {
        kill(sidecar->pid, SIGTERM);
        status = program_wait(sidecar->pid, STOP_S);
    }
    if (status != 0)
        bench_fail("%s ended with status %d", sidecar->program, status);
    if (sidecar->dir)
        bench_area_remove(sidecar->dir);
    free(sidecar->dir);
    free(sidecar->program);
    free(sidecar);
}

pid_t sidecar_pid(const struct sidecar *sidecar)
{
    return sidecar->pid;
}
