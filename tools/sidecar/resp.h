/* The parser of what clients send (RESP arrays of bulk strings, and inline commands). Knows no socket; protocol:
 * https://redis.io/docs/latest/develop/reference/protocol-spec/ */
#ifndef SIDECAR_RESP_H
#define SIDECAR_RESP_H

#include "bytes.h"

#define RESP_INLINE_MAX (64u * 1024)       /* bytes of an inline command, and of a line that tells a length */
#define RESP_ARGS_MAX (1024u * 1024)       /* arguments of a command */
#define RESP_BULK_MAX (512u * 1024 * 1024) /* bytes of an argument, at the most */

struct resp_limits {
    size_t args_max; /* 0: RESP_ARGS_MAX */
    size_t bulk_max; /* 0: RESP_BULK_MAX */
};

/* One command that is complete. The arguments are borrowed from the bytes that were parsed, but for those of an inline command
 * with quotes, which are the reader's until its next call. */
struct resp_command {
    size_t argc; /* 0: an empty line or array, to be ignored */
    const struct hf_slice *argv;
};

/* The state of one stream. Zeroed is the start of one. */
struct resp_reader {
    struct resp_limits limits;
    char error[96];            /* after a protocol error: the sentence behind "ERR Protocol error: " */
    size_t at;                 /* of the command under way: how much of it has been parsed */
    size_t n_args, n_expected; /* arguments that are complete, and that the command has */
    size_t bulk_len;           /* of the argument under way */
    bool in_array, in_bulk;
    struct resp_place {
        size_t at, len;
    } * places; /* of the arguments, from the command's first byte on */
    struct hf_slice *argv;
    size_t capacity;
    struct hf_bytes unquoted; /* arguments of an inline command */
};

/* Parse the command that begins at `bytes`. Returns how many bytes it takes, with `*ret_command` set; 0 when it is not
 * complete: call again with the same bytes and more behind them (they may have moved), and what was parsed before is not parsed
 * again; -1 on a protocol error, which ends the stream; or HF_ENOMEM. No more is allocated than what has arrived calls for. */
int64_t resp_next(struct resp_reader *reader, const void *bytes, size_t len, struct resp_command *ret_command);

/* How many bytes, beyond the `len` that are there, the argument under way still needs; 0: not known, or none. For reading a large
 * argument into a buffer of the right size at once. */
size_t resp_wants(const struct resp_reader *reader, size_t len);

/* The last command was run: give back what it needed, but for the places of a few arguments. */
void resp_rest(struct resp_reader *reader);
void resp_release(struct resp_reader *reader);

#endif
