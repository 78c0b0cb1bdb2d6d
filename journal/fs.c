/* The operating system's files behind the file layer: the one place of the journal that makes system calls. */
#include "file_layer.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int fs_open_dir(struct hf_file_layer *fs, const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

    (void)fs;
    return fd < 0 ? -errno : fd;
}

/* A sync that was interrupted has not failed: what it would have reported comes with the next one. */
static int until_done(int (*sync)(int fd), int fd)
{
    int rc;

    do {
        rc = sync(fd);
    } while (rc != 0 && errno == EINTR);
    return rc != 0 ? -errno : 0;
}

static int fs_sync_dir(struct hf_file_layer *fs, int dir)
{
    (void)fs;
    return until_done(fsync, dir);
}

static int fs_list(struct hf_file_layer *fs, int dir, hf_file_name_fn *each, void *ctx)
{
    int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct dirent *entry;
    DIR *stream;
    int rc = 0;

    (void)fs;
    if (fd < 0)
        return -errno;
    stream = fdopendir(fd);
    if (!stream) {
        rc = -errno;
        close(fd);
        return rc;
    }
    while (rc == 0 && (errno = 0, entry = readdir(stream))) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            rc = each(ctx, entry->d_name);
    }
    if (rc == 0 && errno != 0)
        rc = -errno;
    closedir(stream);
    return rc;
}

static int fs_open(struct hf_file_layer *fs, int dir, const char *name, bool write, bool create)
{
    int flags = O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | (write ? O_RDWR : O_RDONLY);
    struct stat st;
    int fd;

    (void)fs;
    if (create)
        flags |= O_CREAT | O_EXCL;
    do {
        fd = openat(dir, name, flags, 0600);
    } while (fd < 0 && errno == EINTR);
    if (fd < 0)
        return -errno;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        close(fd);
        return -EINVAL;
    }
    return fd;
}

static int fs_close(struct hf_file_layer *fs, int fd)
{
    (void)fs;
    return close(fd) != 0 ? -errno : 0;
}

static int fs_size(struct hf_file_layer *fs, int fd, uint64_t *ret_bytes)
{
    struct stat st;

    (void)fs;
    if (fstat(fd, &st) != 0)
        return -errno;
    *ret_bytes = (uint64_t)st.st_size;
    return 0;
}

static ssize_t fs_read(struct hf_file_layer *fs, int fd, void *buffer, size_t len, uint64_t offset)
{
    size_t done = 0;

    (void)fs;
    while (done < len) {
        ssize_t n = pread(fd, (char *)buffer + done, len - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        done += (size_t)n;
    }
    return (ssize_t)done;
}

static int fs_write(struct hf_file_layer *fs, int fd, const void *data, size_t len, uint64_t offset)
{
    size_t done = 0;

    (void)fs;
    while (done < len) {
        ssize_t n = pwrite(fd, (const char *)data + done, len - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        done += (size_t)n;
    }
    return 0;
}

static int fs_allocate(struct hf_file_layer *fs, int fd, uint64_t bytes)
{
    static const size_t chunk = 1u << 20;
    uint8_t *zeros = calloc(1, chunk);
    int rc = 0;

    if (!zeros)
        return -ENOMEM;
    /* Ask for the space first, so that a full disk is met before a megabyte is written. */
    if (posix_fallocate(fd, 0, (off_t)bytes) == ENOSPC)
        rc = -ENOSPC;
    for (uint64_t at = 0; rc == 0 && at < bytes; at += chunk)
        rc = fs_write(fs, fd, zeros, bytes - at < chunk ? (size_t)(bytes - at) : chunk, at);
    free(zeros);
    return rc;
}

static int fs_sync(struct hf_file_layer *fs, int fd)
{
    (void)fs;
    return until_done(fdatasync, fd);
}

static void fs_drop_cache(struct hf_file_layer *fs, int fd)
{
    (void)fs;
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED); /* best effort by contract */
}

static int fs_rename(struct hf_file_layer *fs, int dir, const char *from, const char *to)
{
    (void)fs;
    return renameat(dir, from, dir, to) != 0 ? -errno : 0;
}

static int fs_unlink(struct hf_file_layer *fs, int dir, const char *name)
{
    (void)fs;
    return unlinkat(dir, name, 0) != 0 ? -errno : 0;
}

struct hf_file_layer *hf__file_layer_real(void)
{
    static struct hf_file_layer real = {
        .open_dir = fs_open_dir,
        .sync_dir = fs_sync_dir,
        .list = fs_list,
        .open = fs_open,
        .close = fs_close,
        .size = fs_size,
        .read = fs_read,
        .write = fs_write,
        .allocate = fs_allocate,
        .sync = fs_sync,
        .drop_cache = fs_drop_cache,
        .rename = fs_rename,
        .unlink = fs_unlink,
    };

    return &real;
}
