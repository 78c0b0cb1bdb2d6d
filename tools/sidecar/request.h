/* Commands for Redis as bytes. */
#ifndef SIDECAR_REQUEST_H
#define SIDECAR_REQUEST_H

#include "bytes.h"

/* Append a command: an array of bulk strings. 0 or HF_ENOMEM; then `bytes` may hold a part of it. */
int request_add(struct hf_bytes *bytes, size_t argc, const struct hf_slice *argv);
/* One of a single word. */
int request_add_word(struct hf_bytes *bytes, const char *word);

#endif
