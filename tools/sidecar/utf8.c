/* Telling text from other bytes. */
#include "utf8.h"

size_t utf8_sequence(struct hf_slice bytes)
{
    const uint8_t *p = bytes.data;
    uint8_t low = p[0] == 0xe0 ? 0xa0 : p[0] == 0xf0 ? 0x90 : 0x80;
    uint8_t high = p[0] == 0xed ? 0x9f : p[0] == 0xf4 ? 0x8f : 0xbf;
    size_t n = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;

    if (p[0] < 0x80)
        return 1;
    if (p[0] < 0xc2 || p[0] > 0xf4 || bytes.len < n || p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < n; i++) {
        if (p[i] < 0x80 || p[i] > 0xbf)
            return 0;
    }
    return n;
}

bool utf8_is_text(struct hf_slice bytes)
{
    const uint8_t *p = bytes.data;
    size_t at = 0, n = 1;

    for (; at < bytes.len && n > 0; at += n)
        n = utf8_sequence(hf__slice(p + at, bytes.len - at));
    return n > 0;
}
