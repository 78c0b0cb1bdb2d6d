/* Telling text from bytes. */
#include "utf8.h"

/* What the first byte says: the length, and the range of the second byte, which keeps out overlong forms,
 * surrogates and what lies beyond U+10FFFF. */
static size_t by_first_byte(unsigned char first, unsigned char *ret_low, unsigned char *ret_high)
{
    *ret_low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    *ret_high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    if (first < 0x80)
        return 1;
    if (first >= 0xc2 && first <= 0xdf)
        return 2;
    if (first >= 0xe0 && first <= 0xef)
        return 3;
    return first >= 0xf0 && first <= 0xf4 ? 4 : 0;
}

size_t cli_utf8_length(const void *bytes, size_t len)
{
    const unsigned char *p = bytes;
    unsigned char low, high;
    size_t n;

    if (len == 0)
        return 0;
    n = by_first_byte(p[0], &low, &high);
    if (n == 0 || n > len || (n > 1 && (p[1] < low || p[1] > high)))
        return 0;
    for (size_t i = 2; i < n; i++) {
        if (p[i] < 0x80 || p[i] > 0xbf)
            return 0;
    }
    return n;
}

bool cli_is_text(struct hf_slice bytes)
{
    const unsigned char *p = bytes.data;
    size_t at = 0, n;

    while (at < bytes.len) {
        n = p[at] == '\0' ? 0 : cli_utf8_length(p + at, bytes.len - at);
        if (n == 0)
            return false;
        at += n;
    }
    return true;
}
