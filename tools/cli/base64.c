/* Base64 (RFC 4648, with padding). */
#include "base64.h"

#include <string.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void cli_base64_write(FILE *file, struct hf_slice bytes)
{
    const unsigned char *p = bytes.data;

    for (size_t left = bytes.len; left > 0; p += 3) {
        size_t n = left < 3 ? left : 3;
        unsigned group = (unsigned)p[0] << 16 | (n > 1 ? (unsigned)p[1] << 8 : 0) | (n > 2 ? p[2] : 0u);
        const char quad[4] = {digits[group >> 18], digits[group >> 12 & 63], n > 1 ? digits[group >> 6 & 63] : '=',
                              n > 2 ? digits[group & 63] : '='};

        fwrite(quad, 1, sizeof(quad), file);
        left -= n;
    }
}

static int value_of(char c)
{
    const char *at = c ? strchr(digits, c) : NULL;

    return at ? (int)(at - digits) : -1;
}

/* Four characters, of which the last `padding` are '='. False when one is no digit or unused bits are set. */
static bool read_group(const char *text, unsigned padding, unsigned char *bytes)
{
    unsigned group = 0;
    int value;

    for (unsigned i = 0; i < 4; i++) {
        value = i < 4 - padding ? value_of(text[i]) : 0;
        if (value < 0)
            return false;
        group = group << 6 | (unsigned)value;
    }
    if (padding > 0 && (group & (padding == 2 ? 0xffffu : 0xffu)) != 0)
        return false;
    bytes[0] = (unsigned char)(group >> 16);
    if (padding < 2)
        bytes[1] = (unsigned char)(group >> 8);
    if (padding < 1)
        bytes[2] = (unsigned char)group;
    return true;
}

bool cli_base64_read(const char *text, size_t len, void *ret_bytes, size_t *ret_len)
{
    unsigned char *bytes = ret_bytes;
    unsigned padding = 0;

    if (len % 4 != 0)
        return false;
    if (len > 0)
        padding = text[len - 1] != '=' ? 0 : text[len - 2] != '=' ? 1 : 2;
    for (size_t i = 0; i < len; i += 4) {
        if (!read_group(text + i, i + 4 == len ? padding : 0, bytes + i / 4 * 3))
            return false;
    }
    *ret_len = cli_base64_room(len) - padding;
    return true;
}
