/* Reading input. */
#include "input.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_BYTES (256u * 1024u)

/* ---- where it comes from ---- */

int cli_input_open(struct cli *cli, const char *name)
{
    bool is_standard = strcmp(name, "-") == 0;
    struct stat st = {0};
    int fd;

    if (cli->loan)
        return CLI_OK;
    fd = is_standard ? STDIN_FILENO : open(name, O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
        if (!is_standard)
            close(fd);
        fd = -1;
        errno = EISDIR;
    }
    if (fd < 0)
        return cli_fail(cli, CLI_USAGE, "cannot read %s: %s", name, strerror(errno));
    cli->input = fd;
    cli->input_bytes = S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
    return CLI_OK;
}

static bool is_ready(const struct cli *cli)
{
    struct pollfd input = {.fd = cli->input, .events = POLLIN};

    return cli->loan ? cli->loan->has_input(cli->loan->ctx) : poll(&input, 1, 0) != 0;
}

ssize_t cli_read(struct cli *cli, void *buffer, size_t size)
{
    ssize_t n;

    if (cli->loan)
        return cli->loan->read(cli->loan->ctx, buffer, size);
    do
        n = read(cli->input, buffer, size);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

/* ---- all of it ---- */

/* Make room for READ_BYTES and one more at data + len. 0 or -ENOMEM. */
static int make_room(char **data, size_t len, size_t *capacity)
{
    size_t wanted = *capacity ? *capacity : READ_BYTES + 1;
    char *grown;

    if (*data && *capacity - len > READ_BYTES)
        return 0;
    while (wanted - len <= READ_BYTES)
        wanted *= 2;
    grown = realloc(*data, wanted);
    if (!grown)
        return -ENOMEM;
    *data = grown;
    *capacity = wanted;
    return 0;
}

int cli_read_all(struct cli *cli, const char *name, size_t max, char **ret_data, size_t *ret_len)
{
    size_t len = 0, capacity = 0;
    char *data = NULL;
    ssize_t n;

    do {
        n = make_room(&data, len, &capacity);
        if (n == 0)
            n = cli_read(cli, data + len, READ_BYTES);
        len += n > 0 ? (size_t)n : 0;
    } while (n > 0 && len <= max);
    if (n >= 0 && len <= max) {
        *ret_data = data;
        *ret_len = len;
        return CLI_OK;
    }
    free(data);
    if (n < 0)
        return cli_fail(cli, CLI_USAGE, "cannot read %s: %s", name, strerror((int)-n));
    return cli_fail(cli, CLI_USAGE, "%s: found more than %zu bytes, which is the limit of a value", name, max);
}

/* ---- line by line ---- */

/* Move what is left to the front and read on. Positive: there is more; 0: the end; or a negative errno. */
static ssize_t read_on(struct cli_lines *lines)
{
    ssize_t n;

    lines->len -= lines->start;
    lines->searched -= lines->start;
    if (lines->start > 0)
        memmove(lines->data, lines->data + lines->start, lines->len);
    lines->start = 0;
    if (lines->len > CLI_LINE_MAX)
        return -EFBIG;
    n = make_room(&lines->data, lines->len, &lines->capacity);
    if (n == 0)
        n = cli_read(lines->cli, lines->data + lines->len, READ_BYTES);
    lines->len += n > 0 ? (size_t)n : 0;
    return n;
}

static int hand_out(struct cli_lines *lines, size_t end, size_t next, char **ret_line, size_t *ret_len)
{
    *ret_line = lines->data + lines->start;
    *ret_len = end - lines->start;
    lines->data[end] = '\0'; /* make_room() keeps one byte free */
    lines->bytes += next - lines->start;
    lines->line++;
    lines->start = lines->searched = next;
    return 0;
}

bool cli_lines_ready(const struct cli_lines *lines)
{
    size_t left = lines->len - lines->searched;

    return lines->ended || (left > 0 && memchr(lines->data + lines->searched, '\n', left)) || is_ready(lines->cli);
}

int cli_lines_next(struct cli_lines *lines, char **ret_line, size_t *ret_len)
{
    const char *newline;
    ssize_t n;

    for (;;) {
        size_t left = lines->len - lines->searched;
        newline = left > 0 ? memchr(lines->data + lines->searched, '\n', left) : NULL;
        if (newline)
            return hand_out(lines, (size_t)(newline - lines->data), (size_t)(newline - lines->data) + 1, ret_line,
                            ret_len);
        lines->searched = lines->len;
        if (lines->ended)
            break;
        n = read_on(lines);
        if (n < 0)
            return (int)n;
        lines->ended = n == 0;
    }
    if (lines->start == lines->len)
        return 1;
    return hand_out(lines, lines->len, lines->len, ret_line, ret_len);
}

void cli_lines_release(struct cli_lines *lines)
{
    free(lines->data);
    lines->data = NULL;
}
