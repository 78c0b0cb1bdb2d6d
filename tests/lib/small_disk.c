/* Mounts of the test's own, and a file that takes their room. */
#include "small_disk.h"

#include "scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <unistd.h>

static bool refused(const char *what)
{
    print_message("%s is not permitted here: %s\n", what, strerror(errno));
    return false;
}

/* Mounts are ours alone from now on, and gone with us. */
static bool hide_mounts(void)
{
    static bool hidden;

    hidden = hidden || (unshare(CLONE_NEWNS) == 0 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
    return hidden || refused("a mount namespace");
}

static bool mount_image(const struct small_disk *disk, uint64_t bytes)
{
    char command[512];

    snprintf(command, sizeof(command),
             "PATH=$PATH:/sbin:/usr/sbin; truncate -s %llu '%s.img' && mkfs.ext4 -q -F -m 0 -O ^has_journal "
             "'%s.img' && mount -o loop '%s.img' "
             "'%s' && "
             "rm '%s.img'",
             (unsigned long long)bytes, disk->dir, disk->dir, disk->dir, disk->dir, disk->dir);
    return system(command) == 0;
}

static bool mount_memory(const struct small_disk *disk, uint64_t bytes)
{
    char options[64];

    snprintf(options, sizeof(options), "size=%llu,mode=0700", (unsigned long long)bytes);
    return mount("none", disk->dir, "tmpfs", 0, options) == 0;
}

bool small_disk_make(struct small_disk *disk, const char *kind, uint64_t bytes)
{
    *disk = (struct small_disk){.dir = "/tmp/hf-disk-XXXXXX"};
    if (!hide_mounts())
        return false;
    assert_non_null(mkdtemp(disk->dir));
    disk->mounted = strcmp(kind, "ext4") == 0 ? mount_image(disk, bytes) : mount_memory(disk, bytes);
    return disk->mounted || refused(kind);
}

void small_disk_remove(struct small_disk *disk)
{
    if (disk->mounted)
        (void)umount2(disk->dir, MNT_DETACH);
    if (disk->dir[0])
        (void)rmdir(disk->dir);
    *disk = (struct small_disk){0};
}

uint64_t small_disk_left(const struct small_disk *disk)
{
    struct statvfs fs;

    assert_int_equal(statvfs(disk->dir, &fs), 0);
    return (uint64_t)fs.f_bavail * fs.f_frsize;
}

static int open_ballast(const struct small_disk *disk)
{
    char path[96];
    int fd;

    snprintf(path, sizeof(path), "%s/ballast", disk->dir);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    return fd;
}

void small_disk_fill(const struct small_disk *disk, uint64_t left)
{
    int fd = open_ballast(disk);
    off_t size = lseek(fd, 0, SEEK_END);

    while (small_disk_left(disk) > left) {
        uint64_t over = small_disk_left(disk) - left, step = over > 65536 ? over / 2 & ~4095ull : 4096;
        if (posix_fallocate(fd, size, (off_t)step) != 0)
            break;
        size += (off_t)step;
    }
    close(fd);
}

void small_disk_empty(const struct small_disk *disk)
{
    int fd = open_ballast(disk);

    assert_int_equal(ftruncate(fd, 0), 0);
    close(fd);
}
