/* The directory in which everything happens, and what kind of disk it is on. */
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

/* From statfs(2). */
static const struct {
    unsigned long magic;
    const char *name;
    bool in_memory; /* a sync costs nothing there, so that figures of writes say nothing */
} file_systems[] = {
    {0xef53, "ext4", false},         {0x58465342, "xfs", false},  {0x9123683e, "btrfs", false},
    {0xf2f52010, "f2fs", false},     {0x2fc12fc1, "zfs", false},  {0x794c7630, "overlay", false},
    {0x6969, "nfs", false},          {0x01021994, "tmpfs", true}, {0x858458f6, "ramfs", true},
    {0xca451a4e, "bcachefs", false}, {0x65735546, "fuse", false}, {0xff534d42, "cifs", false},
};

static int look_at_fs(const char *dir, char *ret_fs, size_t capacity, bool *ret_in_memory)
{
    struct statfs st;
    unsigned long magic;

    if (statfs(dir, &st) != 0)
        return -1;
    magic = (unsigned long)st.f_type & 0xffffffffu;
    *ret_in_memory = false;
    snprintf(ret_fs, capacity, "0x%lx", magic);
    for (size_t i = 0; i < sizeof(file_systems) / sizeof(*file_systems); i++) {
        if (file_systems[i].magic != magic)
            continue;
        snprintf(ret_fs, capacity, "%s", file_systems[i].name);
        *ret_in_memory = file_systems[i].in_memory;
    }
    return 0;
}

/* The first candidate that is a directory on a disk, else the last one. */
static const char *choose_parent(void)
{
    const char *candidates[] = {getenv("TMPDIR"), "/var/tmp"};
    char fs[24];
    bool in_memory;

    for (size_t i = 0; i < sizeof(candidates) / sizeof(*candidates); i++) {
        if (candidates[i] && candidates[i][0] && look_at_fs(candidates[i], fs, sizeof(fs), &in_memory) == 0 &&
            !in_memory)
            return candidates[i];
    }
    return "/var/tmp";
}

int bench_area_make(const char *parent, char **ret_dir, char *ret_fs, size_t fs_capacity)
{
    char *dir = NULL;
    bool in_memory = false;

    if (!parent)
        parent = choose_parent();
    if (asprintf(&dir, "%s/holdfast-bench.XXXXXX", parent) < 0)
        return bench_fail("out of memory");
    if (!mkdtemp(dir)) {
        bench_fail("cannot make a directory in '%s': %s", parent, strerror(errno));
        free(dir);
        return -1;
    }
    if (look_at_fs(dir, ret_fs, fs_capacity, &in_memory) != 0)
        snprintf(ret_fs, fs_capacity, "unknown");
    if (in_memory)
        fprintf(stderr, "holdfast-bench: '%s' is in memory (%s): the set cases measure no disk\n", parent, ret_fs);
    *ret_dir = dir;
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    (void)remove(path); /* what stays behind is seen when its directory cannot be removed */
    return 0;
}

void bench_area_remove(const char *dir)
{
    (void)nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS); /* what counts is the outcome */
    if (access(dir, F_OK) == 0)
        bench_fail("cannot remove '%s' altogether", dir);
}

static blkcnt_t blocks; /* of 512 bytes, in what nftw has walked */

static int add_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)path;
    (void)type;
    (void)ftw;
    blocks += st->st_blocks;
    return 0;
}

double bench_area_mib(const char *dir)
{
    blocks = 0;
    (void)nftw(dir, add_one, 16, FTW_PHYS); /* a walk that fails makes a case whose figure is none */
    return (double)blocks / 2048;
}

static int forget_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    int fd = type == FTW_F && S_ISREG(st->st_mode) ? open(path, O_RDONLY | O_CLOEXEC) : -1;

    (void)ftw;
    if (fd >= 0) {
        (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED); /* an advice */
        close(fd);
    }
    return 0;
}

void bench_forget_pages(const struct bench *bench)
{
    (void)nftw(bench->dir, forget_one, 16, FTW_PHYS);
}

char *bench_path(const struct bench *bench, const char *name)
{
    char *path = NULL;

    if (asprintf(&path, "%s/%s", bench->dir, name) < 0) {
        bench_fail("out of memory");
        return NULL;
    }
    return path;
}

void bench_settle(const struct bench *bench)
{
    int fd = open(bench->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return; /* the next side finds out */
    (void)syncfs(fd);
    close(fd);
}
