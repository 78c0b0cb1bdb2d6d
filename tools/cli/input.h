/* Reading the input: all of it, or line by line, with bounded memory. */
#ifndef CLI_INPUT_H
#define CLI_INPUT_H

#include "cli.h"

/* Have cli_read() read the file `name`, or standard input for "-", until cli_close(). A sidecar's input is the tool's in any
 * case. CLI_OK, or CLI_USAGE with the sentence said. */
int cli_input_open(struct cli *cli, const char *name);

/* Read everything, at most `max` bytes; `*ret_data` is the caller's to free(). CLI_OK, or a status with the
 * sentence said, in which `name` is the input's. */
int cli_read_all(struct cli *cli, const char *name, size_t max, char **ret_data, size_t *ret_len);

/* The longest line: base64 of the largest value and key, and what surrounds them. A value of many characters that
 * JSON escapes may have to be sent as value_b64. */
#define CLI_LINE_MAX (4 * (((size_t)HF_VALUE_MAX + HF_KEY_MAX) / 3 + 2) + 1024)

struct cli_lines {
    struct cli *cli;
    char *data;
    size_t start, len, capacity; /* of what was read and not handed out: data[start..len) */
    size_t searched;             /* no line end before here */
    bool ended;
    uint64_t line;  /* number of the line handed out last, from 1 */
    uint64_t bytes; /* handed out so far */
};

/* The next line without its end, with a NUL behind it, borrowed until the next call. Returns 0; 1 at the end of the
 * input; or a negative errno, -EFBIG for a line longer than CLI_LINE_MAX. */
int cli_lines_next(struct cli_lines *lines, char **ret_line, size_t *ret_len);
/* False when cli_lines_next() might wait for more to come. */
bool cli_lines_ready(const struct cli_lines *lines);
void cli_lines_release(struct cli_lines *lines);

#endif
