/* Little-endian access, slices and a growing buffer: the only way bytes of a format are read and written. */
#ifndef HF_BYTES_H
#define HF_BYTES_H

#include <holdfast.h>

#include <string.h>

static inline void hf__put16(void *p, uint16_t v)
{
    uint8_t *b = p;
    b[0] = (uint8_t)v;
    b[1] = (uint8_t)(v >> 8);
}

static inline void hf__put32(void *p, uint32_t v)
{
    hf__put16(p, (uint16_t)v);
    hf__put16((uint8_t *)p + 2, (uint16_t)(v >> 16));
}

static inline void hf__put64(void *p, uint64_t v)
{
    hf__put32(p, (uint32_t)v);
    hf__put32((uint8_t *)p + 4, (uint32_t)(v >> 32));
}

static inline uint16_t hf__get16(const void *p)
{
    const uint8_t *b = p;
    return (uint16_t)(b[0] | b[1] << 8);
}

static inline uint32_t hf__get32(const void *p)
{
    return hf__get16(p) | (uint32_t)hf__get16((const uint8_t *)p + 2) << 16;
}

static inline uint64_t hf__get64(const void *p)
{
    return hf__get32(p) | (uint64_t)hf__get32((const uint8_t *)p + 4) << 32;
}

/* Big-endian, for keys of ordered tables: byte order is number order. */
static inline void hf__put64be(void *p, uint64_t v)
{
    uint8_t *b = p;
    for (int i = 0; i < 8; i++)
        b[i] = (uint8_t)(v >> (56 - 8 * i));
}

static inline uint64_t hf__get64be(const void *p)
{
    const uint8_t *b = p;
    uint64_t v = 0;
    for (int i = 0; i < 8; i++)
        v = v << 8 | b[i];
    return v;
}

/* ---- slices ---- */

static inline struct hf_slice hf__slice(const void *data, size_t len)
{
    return (struct hf_slice){.data = data, .len = len};
}

static inline struct hf_slice hf__slice_str(const char *text)
{
    return hf__slice(text, strlen(text));
}

/* Byte order, a prefix before what extends it: the order of keys everywhere. */
static inline int hf__slice_cmp(struct hf_slice a, struct hf_slice b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    int cmp = n ? memcmp(a.data, b.data, n) : 0;

    if (cmp != 0)
        return cmp;
    return (a.len > b.len) - (a.len < b.len);
}

static inline bool hf__slice_eq(struct hf_slice a, struct hf_slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/* FNV-1a: for tables in memory, never on disk. */
static inline uint64_t hf__slice_hash(struct hf_slice s)
{
    const uint8_t *bytes = s.data;
    uint64_t h = 14695981039346656037u;

    for (size_t i = 0; i < s.len; i++)
        h = (h ^ bytes[i]) * 1099511628211u;
    return h;
}

static inline bool hf__slice_starts_with(struct hf_slice s, struct hf_slice prefix)
{
    return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.data, prefix.data, prefix.len) == 0);
}

/* ---- a buffer that grows ---- */

/* Zeroed is empty. `bytes` stays valid until the next append. */
struct hf_bytes {
    uint8_t *bytes;
    size_t len;
    size_t capacity;
};

int hf__bytes_grow(struct hf_bytes *b, size_t extra); /* hf__bytes_reserve's, where there is no room */
/* Make room for `extra` more bytes. Returns 0 or HF_ENOMEM. */
static inline int hf__bytes_reserve(struct hf_bytes *b, size_t extra)
{
    return extra <= b->capacity - b->len ? 0 : hf__bytes_grow(b, extra);
}
int hf__bytes_append(struct hf_bytes *b, const void *data, size_t len);
/* Empty it, keeping the memory. */
static inline void hf__bytes_reset(struct hf_bytes *b)
{
    b->len = 0;
}
void hf__bytes_release(struct hf_bytes *b);
/* Hand the contents to the caller as an owned buffer; `b` is empty afterwards. */
struct hf_buf hf__bytes_detach(struct hf_bytes *b);

/* A copy of `s`, never NULL on success, with a NUL behind it that is not counted. Returns 0 or HF_ENOMEM. */
int hf__buf_copy(struct hf_slice s, struct hf_buf *ret_buf);

/* Write `s` into `text` for a message: printable ASCII as is, other bytes as \xNN, cut with "..." if too long. */
const char *hf__printable(struct hf_slice s, char *text, size_t size);

#endif
