/* What the fuzz targets share. */
#include "fuzz.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

void fuzz_fail(const char *file, int line, const char *what)
{
    fprintf(stderr, "%s:%d: it does not hold that %s (the last sentence: \"%s\")\n", file, line, what, hf_errmsg());
    abort();
}

/* Told in one line: no control characters, and something at both ends. */
void fuzz_require_sentence(const char *text)
{
    size_t len = strlen(text);

    FUZZ_REQUIRE(len > 0 && text[0] != ' ' && text[len - 1] != ' ' && text[len - 1] != '.');
    for (size_t i = 0; i < len; i++)
        FUZZ_REQUIRE((unsigned char)text[i] >= ' ' && text[i] != 0x7f);
}

uint8_t *fuzz_copy(const void *data, size_t len)
{
    uint8_t *copy = malloc(len ? len : 1);

    if (!copy)
        abort();
    if (len > 0)
        memcpy(copy, data, len);
    return copy;
}

char *fuzz_text(const void *data, size_t len)
{
    char *copy = malloc(len + 1);

    if (!copy)
        abort();
    if (len > 0)
        memcpy(copy, data, len);
    copy[len] = '\0';
    return copy;
}

bool fuzz_lies_in(struct hf_slice inner, struct hf_slice outer)
{
    const uint8_t *from = inner.data, *begin = outer.data;

    return inner.len == 0 || (from >= begin && inner.len <= outer.len && from + inner.len <= begin + outer.len);
}

/* In memory: a parser that reads files is fuzzed by the million. */
const char *fuzz_file(const void *data, size_t len)
{
    static int fd = -1;
    static char path[32];

    if (fd < 0) {
        fd = memfd_create("fuzz", MFD_CLOEXEC);
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    }
    if (fd < 0 || ftruncate(fd, 0) != 0 || (len > 0 && pwrite(fd, data, len, 0) != (ssize_t)len))
        abort();
    return path;
}

uint64_t fuzz_number(struct fuzz_input *in, unsigned n_bytes)
{
    struct hf_slice piece = fuzz_piece(in, n_bytes);
    uint64_t number = 0;

    for (size_t i = 0; i < piece.len; i++)
        number |= (uint64_t)((const uint8_t *)piece.data)[i] << 8 * i;
    return number;
}

struct hf_slice fuzz_piece(struct fuzz_input *in, size_t len)
{
    struct hf_slice piece = hf__slice(in->p, len < in->left ? len : in->left);

    in->p += piece.len;
    in->left -= piece.len;
    return piece;
}

struct hf_slice fuzz_until(struct fuzz_input *in, char mark)
{
    const uint8_t *at = in->left > 0 ? memchr(in->p, mark, in->left) : NULL;
    struct hf_slice piece = fuzz_piece(in, at ? (size_t)(at - in->p) : in->left);

    if (at)
        (void)fuzz_piece(in, 1);
    return piece;
}
