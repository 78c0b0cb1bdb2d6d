#include "glob.h"

static uint8_t byte_at(struct hf_slice s, size_t i)
{
    return ((const uint8_t *)s.data)[i];
}

/* One byte of a class, '\' and all. Moves `*at` behind it. */
static uint8_t class_byte(struct hf_slice pattern, size_t *at)
{
    if (byte_at(pattern, *at) == '\\' && *at + 1 < pattern.len)
        (*at)++;
    return byte_at(pattern, (*at)++);
}

/* A range "a-c" begins here: its other end may be anything, also ']'. */
static bool is_range(struct hf_slice pattern, size_t at)
{
    return byte_at(pattern, at) != '\\' && at + 2 < pattern.len && byte_at(pattern, at + 1) == '-';
}

/* One member of a class: a byte, or a range in either order. Moves `*at` behind it. */
static bool member_has(struct hf_slice pattern, size_t *at, uint8_t byte)
{
    uint8_t from, to;

    if (!is_range(pattern, *at))
        return class_byte(pattern, at) == byte;
    from = byte_at(pattern, *at);
    to = byte_at(pattern, *at + 2);
    *at += 3;
    return from <= to ? from <= byte && byte <= to : to <= byte && byte <= from;
}

/* Does the class that begins at `*at` (a '[') have the byte? A class without ']' ends with the pattern. */
static bool class_has(struct hf_slice pattern, size_t *at, uint8_t byte)
{
    size_t i = *at + 1;
    bool negated = i < pattern.len && byte_at(pattern, i) == '^';
    bool found = false;

    i += negated;
    while (i < pattern.len && byte_at(pattern, i) != ']')
        found |= member_has(pattern, &i, byte);
    *at = i < pattern.len ? i + 1 : i;
    return found != negated;
}

/* Does the one element at `*at`, which is no '*', have the byte? Moves `*at` behind it. */
static bool element_has(struct hf_slice pattern, size_t *at, uint8_t byte)
{
    switch (byte_at(pattern, *at)) {
    case '?': (*at)++; return true;
    case '[': return class_has(pattern, at, byte);
    default: return class_byte(pattern, at) == byte;
    }
}

bool glob_match(struct hf_slice pattern, struct hf_slice text)
{
    size_t p = 0, t = 0, star = SIZE_MAX, star_text = 0;

    while (t < text.len) {
        size_t next = p;
        if (p < pattern.len && byte_at(pattern, p) == '*') {
            star = ++p;
            star_text = t;
        } else if (p < pattern.len && element_has(pattern, &next, byte_at(text, t))) {
            p = next;
            t++;
        } else if (star != SIZE_MAX) { /* the last star takes one byte more: an earlier one need not */
            p = star;
            t = ++star_text;
        } else {
            return false;
        }
    }
    while (p < pattern.len && byte_at(pattern, p) == '*')
        p++;
    return p == pattern.len;
}

struct hf_slice glob_prefix(struct hf_slice pattern)
{
    size_t n = 0;

    while (n < pattern.len && !memchr("*?[\\", byte_at(pattern, n), 4))
        n++;
    return hf__slice(pattern.data, n);
}
