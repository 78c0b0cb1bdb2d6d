/* Directories by name, syncs that take time; the rest is handed on. */
#include "files.h"

#include "turns.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SYNC_MIN_US 20
#define SYNC_MAX_US 2000

static struct sim_files *files_of(struct hf_file_layer *fs)
{
    return (struct sim_files *)fs;
}

static struct hf_file_layer *disk_of(struct hf_file_layer *fs)
{
    return sim_disk_layer(files_of(fs)->disk);
}

/* The disk's descriptor for a directory that the store has opened; the caller closes it. */
static int open_like(struct hf_file_layer *fs, int dir)
{
    char link[64], path[512];
    const char *name;
    ssize_t n;

    snprintf(link, sizeof(link), "/proc/self/fd/%d", dir);
    n = readlink(link, path, sizeof(path) - 1);
    if (n < 0)
        return -1;
    path[n] = '\0';
    name = strrchr(path, '/');
    return disk_of(fs)->open_dir(disk_of(fs), name ? name + 1 : path);
}

static int with_dir(struct hf_file_layer *fs, int at, int rc)
{
    (void)disk_of(fs)->close(disk_of(fs), at);
    return rc;
}

static int files_open_dir(struct hf_file_layer *fs, const char *path)
{
    const char *name = strrchr(path, '/');

    return disk_of(fs)->open_dir(disk_of(fs), name ? name + 1 : path);
}

static int files_sync_dir(struct hf_file_layer *fs, int dir)
{
    int at = open_like(fs, dir);

    return at < 0 ? at : with_dir(fs, at, disk_of(fs)->sync_dir(disk_of(fs), at));
}

static int files_list(struct hf_file_layer *fs, int dir, hf_file_name_fn *each, void *ctx)
{
    int at = open_like(fs, dir);

    return at < 0 ? at : with_dir(fs, at, disk_of(fs)->list(disk_of(fs), at, each, ctx));
}

static int files_open(struct hf_file_layer *fs, int dir, const char *name, bool write, bool create)
{
    int at = open_like(fs, dir);

    return at < 0 ? at : with_dir(fs, at, disk_of(fs)->open(disk_of(fs), at, name, write, create));
}

static int files_rename(struct hf_file_layer *fs, int dir, const char *from, const char *to)
{
    int at = open_like(fs, dir);

    return at < 0 ? at : with_dir(fs, at, disk_of(fs)->rename(disk_of(fs), at, from, to));
}

static int files_unlink(struct hf_file_layer *fs, int dir, const char *name)
{
    int at = open_like(fs, dir);

    return at < 0 ? at : with_dir(fs, at, disk_of(fs)->unlink(disk_of(fs), at, name));
}

/* ---- by descriptors of the disk ---- */

static int files_close(struct hf_file_layer *fs, int fd)
{
    return disk_of(fs)->close(disk_of(fs), fd);
}

static int files_size(struct hf_file_layer *fs, int fd, uint64_t *ret_bytes)
{
    return disk_of(fs)->size(disk_of(fs), fd, ret_bytes);
}

static ssize_t files_read(struct hf_file_layer *fs, int fd, void *buffer, size_t len, uint64_t offset)
{
    return disk_of(fs)->read(disk_of(fs), fd, buffer, len, offset);
}

static int files_write(struct hf_file_layer *fs, int fd, const void *data, size_t len, uint64_t offset)
{
    return disk_of(fs)->write(disk_of(fs), fd, data, len, offset);
}

static int files_allocate(struct hf_file_layer *fs, int fd, uint64_t bytes)
{
    return disk_of(fs)->allocate(disk_of(fs), fd, bytes);
}

static void take_time(struct sim_files *files)
{
    turns_sleep_us(SYNC_MIN_US + (int64_t)(sim_random(&files->random) % (SYNC_MAX_US - SYNC_MIN_US)));
}

/* Others run before it is done, and before its caller knows. */
static int files_sync(struct hf_file_layer *fs, int fd)
{
    int rc;

    take_time(files_of(fs));
    rc = disk_of(fs)->sync(disk_of(fs), fd);
    take_time(files_of(fs));
    return rc;
}

static void files_drop_cache(struct hf_file_layer *fs, int fd)
{
    disk_of(fs)->drop_cache(disk_of(fs), fd);
}

void sim_files_init(struct sim_files *files, struct sim_disk *disk, uint64_t seed)
{
    *files = (struct sim_files){
        .layer =
            {
                .open_dir = files_open_dir,
                .sync_dir = files_sync_dir,
                .list = files_list,
                .open = files_open,
                .close = files_close,
                .size = files_size,
                .read = files_read,
                .write = files_write,
                .allocate = files_allocate,
                .sync = files_sync,
                .drop_cache = files_drop_cache,
                .rename = files_rename,
                .unlink = files_unlink,
            },
        .disk = disk,
        .random = seed,
    };
}
