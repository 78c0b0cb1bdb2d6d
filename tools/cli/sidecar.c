/* Having a sidecar run the command.
 *
 * It is asked in RESP2, and answers each question with what the command has said since the last one, and what it is at:
 *
 *     HOLDFAST.TOOL OPEN version [address]           OK
 *     HOLDFAST.TOOL RUN terminals bytes argument...  [standard output, standard error, "more", "input" or the status]
 *     HOLDFAST.TOOL NEXT                             the same
 *     HOLDFAST.TOOL INPUT error bytes                the same; no bytes: the end
 *
 * Until RUN is sent nothing was done. Behind it, a connection that breaks leaves in doubt what was. */
#include "sidecar.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define SOCKET_NAME "holdfastd.sock"
#define ANSWER_S 10 /* a sidecar that is there says something every second */
#define INPUT_BYTES (256u * 1024u)
#define LINE_BYTES 2048
#define PART_BYTES_MAX (1u << 20) /* of what is said at once: a sidecar says far less */

struct part {
    char *bytes;
    size_t len;
};

struct cli_sidecar {
    struct cli *cli;
    FILE *to, *from;
    char error[LINE_BYTES]; /* what the sidecar refused with; "" when the connection broke */
    struct part out, err, at;
};

/* ---- the connection ---- */

static int connect_to(const char *dir)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const struct timeval patience = {.tv_sec = ANSWER_S};
    int len = snprintf(address.sun_path, sizeof(address.sun_path), "%s/" SOCKET_NAME, dir);
    int fd = -1;

    if (len > 0 && (size_t)len < sizeof(address.sun_path))
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) == 0 &&
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) == 0 &&
        connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    close(fd);
    return -1;
}

/* Takes over the descriptor. */
static FILE *open_stream(int fd, const char *mode)
{
    FILE *file = fd >= 0 ? fdopen(fd, mode) : NULL;

    if (!file && fd >= 0)
        close(fd);
    return file;
}

/* NULL: no memory. */
static struct cli_sidecar *new_connection(struct cli *cli, int fd)
{
    struct cli_sidecar *x = calloc(1, sizeof(*x));

    if (!x) {
        close(fd);
        return NULL;
    }
    x->cli = cli;
    x->to = open_stream(dup(fd), "w");
    x->from = open_stream(fd, "r");
    if (x->to && x->from)
        return x;
    cli_sidecar_close(x);
    return NULL;
}

void cli_sidecar_close(struct cli_sidecar *x)
{
    if (!x)
        return;
    if (x->to)
        fclose(x->to);
    if (x->from)
        fclose(x->from);
    free(x->out.bytes);
    free(x->err.bytes);
    free(x->at.bytes);
    free(x);
}

/* ---- asking ---- */

static void put_bytes(struct cli_sidecar *x, const void *bytes, size_t len)
{
    fprintf(x->to, "$%zu\r\n", len);
    fwrite(bytes, 1, len, x->to);
    fputs("\r\n", x->to);
}

static void put_text(struct cli_sidecar *x, const char *text)
{
    put_bytes(x, text, strlen(text));
}

static void put_number(struct cli_sidecar *x, uint64_t number)
{
    char text[24];

    snprintf(text, sizeof(text), "%" PRIu64, number);
    put_text(x, text);
}

/* The beginning of a question with so many words behind the verb. */
static void ask(struct cli_sidecar *x, const char *verb, int n)
{
    fprintf(x->to, "*%d\r\n", n + 2);
    put_text(x, "HOLDFAST.TOOL");
    put_text(x, verb);
}

/* ---- being answered ---- */

/* A line without its end; false when the connection broke. */
static bool read_line(struct cli_sidecar *x, char line[LINE_BYTES])
{
    errno = 0;
    if (fflush(x->to) != 0 || !fgets(line, LINE_BYTES, x->from))
        return false;
    line[strcspn(line, "\r\n")] = '\0';
    return true;
}

static bool refused(struct cli_sidecar *x, const char *line)
{
    if (line[0] == '-')
        snprintf(x->error, sizeof(x->error), "%s", line + 1);
    return line[0] == '-';
}

static bool read_part(struct cli_sidecar *x, struct part *part)
{
    char line[LINE_BYTES], end[2];
    unsigned long len;
    char *bytes;

    if (!read_line(x, line) || line[0] != '$')
        return false;
    len = strtoul(line + 1, NULL, 10);
    bytes = len <= PART_BYTES_MAX ? realloc(part->bytes, len + 1) : NULL;
    if (!bytes)
        return false;
    part->bytes = bytes;
    part->len = len;
    bytes[len] = '\0';
    return fread(bytes, 1, len, x->from) == len && fread(end, 1, sizeof(end), x->from) == sizeof(end);
}

static bool read_answer(struct cli_sidecar *x)
{
    char line[LINE_BYTES];

    return read_line(x, line) && !refused(x, line) && strcmp(line, "*3") == 0 && read_part(x, &x->out) &&
           read_part(x, &x->err) && read_part(x, &x->at);
}

/* ---- how it failed ---- */

static bool has_prefix(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* What the connection came to, behind "the sidecar that owns the store". */
static const char *how_it_failed(const struct cli_sidecar *x, char *text, size_t size)
{
    const char *why = x->error + (has_prefix(x->error, "ERR ") ? strlen("ERR ") : 0);

    if (*x->error)
        snprintf(text, size, "does not run this: %s", why);
    else
        snprintf(text, size, "%s", errno == EAGAIN || errno == EWOULDBLOCK ? "does not answer" : "has gone");
    return text;
}

/* Nothing was done. What works beside any owner works beside this one. */
static int fail_to_open(const struct cli_sidecar *x)
{
    const struct cli *cli = x->cli;
    char how[LINE_BYTES + 32];

    if (has_prefix(x->error, "USAGE "))
        return cli_fail(cli, CLI_USAGE, "%s", x->error + strlen("USAGE "));
    how_it_failed(x, how, sizeof(how));
    if (cli->needs >= CLI_LOOKS)
        return cli_fail(cli, CLI_STORE, "the sidecar that owns the store %s", how);
    cli_note(cli, "the sidecar that owns the store %s; this is done beside it", how);
    return CLI_OK;
}

static bool changes_something(enum cli_needs needs)
{
    return needs == CLI_STEERS || needs >= CLI_OWNS;
}

static int fail_to_follow(const struct cli_sidecar *x)
{
    bool in_doubt = !*x->error && changes_something(x->cli->needs);
    char how[LINE_BYTES + 32];

    return cli_fail(x->cli, in_doubt ? CLI_PARKED : CLI_STORE, "the sidecar that owns the store %s%s",
                    how_it_failed(x, how, sizeof(how)),
                    in_doubt ? ": the command may have been done, wholly or in part" : "");
}

/* ---- the exchange ---- */

/* Who it is and which shared tier is meant are no secrets; a password would be one, and is not needed. */
static void put_address(struct cli_sidecar *x, const char *address)
{
    const char *scheme_end = strstr(address, "://"), *at = strrchr(address, '@');
    char text[LINE_BYTES];

    if (!scheme_end || !at || at < scheme_end || has_prefix(address, "unix:"))
        snprintf(text, sizeof(text), "%s", address);
    else
        snprintf(text, sizeof(text), "%.*s%s", (int)(scheme_end + 3 - address), address, at + 1);
    put_text(x, text);
}

static bool is_welcome(struct cli_sidecar *x)
{
    const char *address = cli_options(x->cli).redis;
    char line[LINE_BYTES];

    ask(x, "OPEN", address ? 2 : 1);
    put_text(x, hf_version());
    if (address)
        put_address(x, address);
    return read_line(x, line) && !refused(x, line) && strcmp(line, "+OK") == 0;
}

int cli_sidecar_ask(struct cli *cli, const char *dir)
{
    int fd = connect_to(dir);

    if (fd < 0)
        return CLI_OK;
    cli->sidecar = new_connection(cli, fd);
    if (!cli->sidecar)
        return cli_fail(cli, CLI_STORE, "out of memory: the connection to the sidecar");
    return is_welcome(cli->sidecar) ? CLI_ELSEWHERE : fail_to_open(cli->sidecar);
}

static void begin(struct cli_sidecar *x, int argc, char **argv)
{
    const struct cli *cli = x->cli;

    ask(x, "RUN", argc + 2);
    put_number(x, (cli->out_is_terminal ? 1 : 0) + (cli->err_is_terminal ? 2 : 0));
    put_number(x, cli->input_bytes);
    for (int i = 0; i < argc; i++)
        put_text(x, argv[i]);
}

static void show(const struct cli_sidecar *x)
{
    fwrite(x->out.bytes, 1, x->out.len, x->cli->out);
    if (x->out.len > 0)
        fflush(x->cli->out); /* that it failed is found at the end */
    fwrite(x->err.bytes, 1, x->err.len, x->cli->err);
}

static void give_input(struct cli_sidecar *x, char *buffer)
{
    ssize_t n = cli_read(x->cli, buffer, INPUT_BYTES);

    ask(x, "INPUT", 2);
    put_number(x, n < 0 ? (uint64_t)-n : 0);
    put_bytes(x, buffer, n > 0 ? (size_t)n : 0);
}

static int follow(struct cli_sidecar *x, char *buffer)
{
    while (read_answer(x)) {
        show(x);
        if (strcmp(x->at.bytes, "input") == 0)
            give_input(x, buffer);
        else if (strcmp(x->at.bytes, "more") == 0)
            ask(x, "NEXT", 0);
        else
            return atoi(x->at.bytes);
    }
    return fail_to_follow(x);
}

int cli_sidecar_run(struct cli *cli, int argc, char **argv)
{
    char *buffer = malloc(INPUT_BYTES);
    int status;

    if (!buffer)
        return cli_fail(cli, CLI_STORE, "out of memory: input for the sidecar");
    begin(cli->sidecar, argc, argv);
    status = follow(cli->sidecar, buffer);
    free(buffer);
    return status;
}
