/* Telling text from other bytes. */
#ifndef SIDECAR_UTF8_H
#define SIDECAR_UTF8_H

#include "bytes.h"

/* Length of the UTF-8 sequence (RFC 3629) at the start of `bytes`, which are not empty; 0: there is none. */
size_t utf8_sequence(struct hf_slice bytes);

/* Whether all of it is UTF-8. */
bool utf8_is_text(struct hf_slice bytes);

#endif
