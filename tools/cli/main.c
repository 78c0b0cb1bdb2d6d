/* The `holdfast` tool: the way in and out. */
#include "cli.h"
#include "sidecar.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

/* A closed descriptor must not become a file of the store: take its number with one on which every use fails. */
static void occupy_standard_descriptors(void)
{
    for (int fd = 0; fd <= 2; fd++) {
        if (fcntl(fd, F_GETFD) == -1)
            (void)open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY);
    }
}

/* The arguments as they were given, for whoever is to run them again: a command takes its own apart. */
static int run(struct cli *cli, int argc, char **argv)
{
    char **given = calloc((size_t)argc + 1, sizeof(*given));
    int status;

    if (!given)
        return cli_fail(cli, CLI_STORE, "out of memory: the arguments");
    memcpy(given, argv, (size_t)argc * sizeof(*given));
    status = cli_run(cli, argc, argv);
    if (status == CLI_ELSEWHERE)
        status = cli_sidecar_run(cli, argc, given);
    free(given);
    return status;
}

int main(int argc, char **argv)
{
    struct cli cli = {.out = stdout, .err = stderr, .input = STDIN_FILENO};

    occupy_standard_descriptors();
    signal(SIGPIPE, SIG_IGN); /* a reader that goes away is an error of writing, reported as one; */
    signal(SIGXFSZ, SIG_IGN); /* so is a limit on the size of files */
    cli.out_is_terminal = isatty(STDOUT_FILENO);
    cli.err_is_terminal = isatty(STDERR_FILENO);
    return cli_finish_output(&cli, cli_close(&cli, run(&cli, argc - 1, argv + 1)));
}
