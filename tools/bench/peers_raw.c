/* The raw limit: append to a file that is allocated and written before, and fdatasync. */
#include "sides.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_BYTES (16u << 20) /* as one segment of our journal; used again from the beginning when it is full */

struct raw {
    const struct bench *bench;
    unsigned group;
    size_t entry_bytes;
    int fd;
    size_t offset;
    char name[48];
    uint8_t *buffer; /* of one group */
};

static void raw_close(void *state)
{
    struct raw *raw = state;

    if (raw->fd >= 0)
        close(raw->fd);
    free(raw->buffer);
    free(raw);
}

static int write_group(struct raw *raw)
{
    size_t bytes = raw->group * raw->entry_bytes;

    if (raw->offset + bytes > FILE_BYTES)
        raw->offset = 0;
    if (pwrite(raw->fd, raw->buffer, bytes, (off_t)raw->offset) != (ssize_t)bytes)
        return bench_fail("cannot write the raw file: %s", strerror(errno));
    if (fdatasync(raw->fd) != 0)
        return bench_fail("cannot sync the raw file: %s", strerror(errno));
    raw->offset += bytes;
    return 0;
}

static int append_op(void *state, unsigned thread, uint64_t random)
{
    struct raw *raw = state;

    (void)thread;
    for (unsigned i = 0; i < raw->group; i++) {
        uint8_t *entry = raw->buffer + i * raw->entry_bytes;
        memcpy(entry, raw->bench->keys[(random + i) % raw->bench->n_written_keys], BENCH_KEY_BYTES);
        memcpy(entry + BENCH_KEY_BYTES, bench_value(raw->bench, random + i), raw->bench->value_bytes);
    }
    return write_group(raw);
}

static int append_turn(void *state, struct score *ret_score)
{
    struct raw *raw = state;
    struct tally tally;
    int rc = bench_threads(raw->bench, 1, raw->group, append_op, raw, &tally);

    if (rc != 0)
        return rc;
    ret_score->value = tally.rate;
    ret_score->done = tally.done;
    return 0;
}

/* Fill it with zeros: then appending changes no metadata. */
static int preallocate(int fd)
{
    size_t chunk = 1u << 20;
    uint8_t *zeros = calloc(1, chunk);
    int rc = zeros ? 0 : bench_fail("out of memory");

    for (size_t at = 0; at < FILE_BYTES && rc == 0; at += chunk) {
        if (pwrite(fd, zeros, chunk, (off_t)at) != (ssize_t)chunk)
            rc = bench_fail("cannot fill the raw file: %s", strerror(errno));
    }
    free(zeros);
    if (rc == 0 && fsync(fd) != 0)
        rc = bench_fail("cannot sync the raw file: %s", strerror(errno));
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED); /* as bench_forget_pages, which does not find it any more */
    return rc;
}

/* The file goes when it is closed. */
static int open_file(const struct bench *bench, int *ret_fd)
{
    char *path = bench_path(bench, "raw");
    int fd;

    if (!path)
        return -1;
    fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        bench_fail("cannot make '%s': %s", path, strerror(errno));
    else
        (void)unlink(path); /* else it goes with the directory */
    free(path);
    *ret_fd = fd;
    return fd < 0 ? -1 : 0;
}

int raw_append(const struct bench *bench, unsigned group, struct side *ret_side)
{
    struct raw *raw = calloc(1, sizeof(*raw));

    if (!raw)
        return bench_fail("out of memory");
    raw->bench = bench;
    raw->group = group;
    raw->entry_bytes = BENCH_KEY_BYTES + bench->value_bytes;
    raw->fd = -1;
    snprintf(raw->name, sizeof(raw->name), group == 1 ? "raw append" : "raw append, groups of %u", group);
    *ret_side = (struct side){.name = raw->name, .turn = append_turn, .close = raw_close, .state = raw};
    raw->buffer = malloc(group * raw->entry_bytes);
    if (!raw->buffer)
        return bench_fail("out of memory");
    return open_file(bench, &raw->fd) == 0 ? preallocate(raw->fd) : -1;
}
