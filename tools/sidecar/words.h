/* Words among a command's arguments. */
#ifndef SIDECAR_WORDS_H
#define SIDECAR_WORDS_H

#include "bytes.h"

#include <strings.h>

/* Whether an argument is this word, in any case. */
static inline bool word_is(struct hf_slice argument, const char *word)
{
    return argument.len == strlen(word) && strncasecmp(argument.data, word, argument.len) == 0;
}

#endif
