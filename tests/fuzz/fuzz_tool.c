/* Fuzz target: what the `holdfast` tool hears from a sidecar that runs its command. The bytes are all that the sidecar ever says; whatever they
 * are, the tool ends with a status, and shows one sentence of its own when they make no sense. */
#include "cli.h"
#include "fuzz.h"
#include "sidecar.h"

#include <sys/socket.h>
#include <unistd.h>

int __wrap_connect(int fd, const struct sockaddr *address, socklen_t len);

static struct hf_slice said;
static int sidecar = -1;

/* The other end has said everything already. */
int __wrap_connect(int fd, const struct sockaddr *address, socklen_t len)
{
    int ends[2];

    (void)address, (void)len;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0 || dup2(ends[0], fd) < 0)
        abort();
    close(ends[0]);
    sidecar = ends[1];
    if (said.len > 0 && write(sidecar, said.data, said.len) != (ssize_t)said.len)
        abort();
    shutdown(sidecar, SHUT_WR);
    return 0;
}

static ssize_t no_input(void *ctx, void *buffer, size_t size)
{
    (void)ctx, (void)buffer, (void)size;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct hf_options options = {.redis = "redis://u:hunter2@[::1]:6379/3"};
    static const struct cli_loan loan = {.read = no_input, .options = &options};
    char *argv[] = {"get", "key", NULL}, *out = NULL, *err = NULL;
    size_t out_len = 0, err_len = 0;
    struct cli cli = {.out = open_memstream(&out, &out_len),
                      .err = open_memstream(&err, &err_len),
                      .loan = &loan,
                      .needs = size % 2 ? CLI_LOOKS : CLI_OWNS};
    int status;

    said = hf__slice(data, size);
    status = cli_sidecar_ask(&cli, "/none");
    FUZZ_REQUIRE(status == CLI_ELSEWHERE || status == CLI_OK || status == CLI_STORE || status == CLI_USAGE);
    if (status == CLI_ELSEWHERE)
        (void)cli_sidecar_run(&cli, 2, argv); /* the status is the sidecar's word */
    cli_sidecar_close(cli.sidecar);
    close(sidecar);
    fclose(cli.out);
    fclose(cli.err);
    FUZZ_REQUIRE(status == CLI_ELSEWHERE || (out_len == 0 && (err_len > 0) == (status != CLI_OK)));
    free(out);
    free(err);
    return 0;
}
