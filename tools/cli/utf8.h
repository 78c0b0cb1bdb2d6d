/* Telling text from bytes. */
#ifndef CLI_UTF8_H
#define CLI_UTF8_H

#include <holdfast.h>

/* Length of the UTF-8 sequence at `bytes`, which has `len` bytes left; 0 when it is none (RFC 3629). */
size_t cli_utf8_length(const void *bytes, size_t len);

/* All of it is UTF-8, and no NUL: what a JSON string of ours may hold. */
bool cli_is_text(struct hf_slice bytes);

#endif
