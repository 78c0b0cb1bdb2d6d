/* Words and numbers among a command's arguments. */
#ifndef SIDECAR_WORDS_H
#define SIDECAR_WORDS_H

#include "bytes.h"

#include <strings.h>

/* Whether an argument is this word, in any case. */
static inline bool word_is(struct hf_slice argument, const char *word)
{
    return argument.len == strlen(word) && strncasecmp(argument.data, word, argument.len) == 0;
}

/* A decimal integer as Redis takes it: no spaces, no '+', no leading zeros. */
static inline bool word_number(struct hf_slice argument, int64_t *ret_number)
{
    const char *text = argument.data;
    bool negative = argument.len > 0 && text[0] == '-';
    size_t i = negative;
    uint64_t number = 0, max = (uint64_t)INT64_MAX + negative;

    if (i == argument.len || (text[i] == '0' && argument.len > 1))
        return false;
    for (; i < argument.len; i++) {
        uint64_t digit = (uint64_t)(uint8_t)text[i] - '0';

        if (digit > 9 || number > (max - digit) / 10)
            return false;
        number = 10 * number + digit;
    }
    *ret_number = negative ? (int64_t)(0 - number) : (int64_t)number;
    return true;
}

#endif
