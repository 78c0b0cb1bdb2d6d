/* The growing buffer and the printable form of keys. */
#include "bytes.h"

#include "fail.h"

#include <stdio.h>
#include <stdlib.h>

int hf__bytes_grow(struct hf_bytes *b, size_t extra)
{
    size_t capacity = b->capacity ? b->capacity : 256;
    uint8_t *bytes;

    if (extra > SIZE_MAX - b->len)
        return hf__fail(HF_ENOMEM, "out of memory: a buffer of %zu + %zu bytes", b->len, extra);
    while (capacity < b->len + extra) {
        if (capacity > SIZE_MAX / 2) {
            capacity = b->len + extra;
            break;
        }
        capacity *= 2;
    }
    bytes = realloc(b->bytes, capacity);
    if (!bytes)
        return hf__fail(HF_ENOMEM, "out of memory: a buffer of %zu bytes", capacity);
    b->bytes = bytes;
    b->capacity = capacity;
    return 0;
}

int hf__bytes_append(struct hf_bytes *b, const void *data, size_t len)
{
    int rc = hf__bytes_reserve(b, len);

    if (rc != 0)
        return rc;
    if (len > 0)
        memcpy(b->bytes + b->len, data, len);
    b->len += len;
    return 0;
}

void hf__bytes_release(struct hf_bytes *b)
{
    free(b->bytes);
    *b = (struct hf_bytes){0};
}

struct hf_buf hf__bytes_detach(struct hf_bytes *b)
{
    struct hf_buf buf = {.data = b->bytes, .len = b->len};

    *b = (struct hf_bytes){0};
    return buf;
}

int hf__buf_copy(struct hf_slice s, struct hf_buf *ret_buf)
{
    char *data = malloc(s.len + 1);

    if (!data)
        return hf__fail(HF_ENOMEM, "out of memory: a copy of %zu bytes", s.len);
    if (s.len > 0)
        memcpy(data, s.data, s.len);
    data[s.len] = '\0';
    *ret_buf = (struct hf_buf){.data = data, .len = s.len};
    return 0;
}

void hf_buf_release(struct hf_buf *buf)
{
    free(buf->data);
    *buf = (struct hf_buf){0};
}

const char *hf__printable(struct hf_slice s, char *text, size_t size)
{
    const uint8_t *bytes = s.data;
    size_t at = 0;

    for (size_t i = 0; i < s.len; i++) {
        if (at + 8 > size) {
            at += (size_t)snprintf(text + at, size - at, "...");
            break;
        }
        if (bytes[i] >= 0x20 && bytes[i] < 0x7f && bytes[i] != '\\')
            text[at++] = (char)bytes[i];
        else
            at += (size_t)snprintf(text + at, size - at, "\\x%02x", bytes[i]);
    }
    text[at < size ? at : size - 1] = '\0';
    return text;
}
