/* Base64 (RFC 4648, with padding), for bytes that are no text. */
#ifndef CLI_BASE64_H
#define CLI_BASE64_H

#include <holdfast.h>

#include <stdio.h>

void cli_base64_write(FILE *file, struct hf_slice bytes);

/* Bytes that `len` characters hold at the most. */
static inline size_t cli_base64_room(size_t len)
{
    return len / 4 * 3;
}

/* Decode into `ret_bytes`, which has room for cli_base64_room(len). False when the text is not exactly base64. */
bool cli_base64_read(const char *text, size_t len, void *ret_bytes, size_t *ret_len);

#endif
