/* Redis commands as bytes (RESP arrays of bulk strings), appended to a buffer. */
#ifndef HF_REDIS_COMMAND_H
#define HF_REDIS_COMMAND_H

#include "bytes.h"

/* Room enough for a decimal 64-bit number with sign and NUL. */
#define HF__DECIMAL_MAX 24

/* Writes commands one after the other; after a failed allocation it ignores what follows and keeps `rc`. */
struct hf__command_writer {
    struct hf_bytes *out;
    size_t n_commands;
    int rc; /* 0 or HF_ENOMEM */
};

/* Decimal digits of `number` without a NUL, at most HF__DECIMAL_MAX; returns how many. */
size_t hf__put_decimal(char *text, uint64_t number);

/* Begin a command of `n_args` arguments, the name included; exactly so many arguments must follow. */
void hf__command(struct hf__command_writer *w, size_t n_args, const char *name);
void hf__arg(struct hf__command_writer *w, struct hf_slice arg);
void hf__arg_str(struct hf__command_writer *w, const char *text);
void hf__arg_i64(struct hf__command_writer *w, int64_t number);
void hf__arg_u64(struct hf__command_writer *w, uint64_t number);

#endif
