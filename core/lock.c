/* Ownership by an open-file-description lock: it goes with the process, also at kill -9, and it keeps a second handle
 * of the same process out, which LMDB would not notice. */
#include "lock.h"

#include "fail.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOCK_NAME "lock"
#define FILE_LOCK_TRIES 2500 /* with a pause of 2 ms: five seconds, for what takes the time of a sync or two */
#define FILE_LOCK_PAUSE_MS 2

int hf__lock_open(int dir_fd, bool create, int *ret_fd)
{
    int flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | (create ? O_CREAT : 0);
    int fd = openat(dir_fd, LOCK_NAME, flags, 0600);

    if (fd < 0 && !create && (errno == EACCES || errno == EROFS))
        fd = openat(dir_fd, LOCK_NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 && errno == ENOENT)
        return HF_NOT_FOUND;
    if (fd < 0)
        return hf__fail_errno(HF_EIO, errno, "cannot open the store's lock file");
    *ret_fd = fd;
    return 0;
}

static struct flock whole_file(short type)
{
    return (struct flock){.l_type = type, .l_whence = SEEK_SET};
}

int hf__lock_take(int lock_fd, const char *dir)
{
    struct flock lock = whole_file(F_WRLCK);
    char text[32];
    ssize_t written;
    int n;

    if (fcntl(lock_fd, F_OFD_SETLK, &lock) != 0) {
        if (errno != EAGAIN && errno != EACCES)
            return hf__fail_errno(HF_EIO, errno, "cannot lock the store '%s'", dir);
        return hf__fail(HF_ELOCKED, "the store '%s' is in use by process %" PRId64, dir, hf__lock_owner(lock_fd));
    }
    n = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
    written = ftruncate(lock_fd, 0) == 0 ? pwrite(lock_fd, text, (size_t)n, 0) : -1;
    if (written >= 0 && written < n)
        errno = ENOSPC; /* nothing else stops a short write to a regular file in the middle */
    if (written != n)
        return hf__fail_errno(hf__code_of_errno(errno), errno, "cannot write the lock file of '%s'", dir);
    return 0;
}

void hf__lock_give_back(int lock_fd)
{
    struct flock lock = whole_file(F_UNLCK);

    (void)fcntl(lock_fd, F_OFD_SETLK, &lock); /* without a lock there is nothing to give back */
}

int64_t hf__lock_owner(int lock_fd)
{
    struct flock lock = whole_file(F_WRLCK);
    char text[32] = "";
    long pid;

    if (fcntl(lock_fd, F_OFD_GETLK, &lock) != 0 || lock.l_type == F_UNLCK)
        return 0;
    if (pread(lock_fd, text, sizeof(text) - 1, 0) <= 0)
        return -1;
    pid = strtol(text, NULL, 10);
    return pid > 0 ? pid : -1;
}

/* ---- files that several processes change ---- */

static int open_regular(int dir_fd, const char *name, int *ret_fd)
{
    int flags = O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
    int fd = openat(dir_fd, name, flags, 0600);
    struct stat st;

    if (fd < 0)
        return hf__fail_errno(hf__code_of_errno(errno), errno, "cannot open the store's file '%s'", name);
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        close(fd);
        return hf__fail(HF_EIO, "the store's '%s' is no regular file", name);
    }
    *ret_fd = fd;
    return 0;
}

/* Whoever held the lock before us may have renamed the file. */
static bool is_still_named(int dir_fd, const char *name, int fd)
{
    struct stat ours, there;

    return fstat(fd, &ours) == 0 && fstatat(dir_fd, name, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
           ours.st_ino == there.st_ino && ours.st_dev == there.st_dev;
}

int hf__lock_file(int dir_fd, const char *name, int *ret_fd)
{
    struct flock lock = whole_file(F_WRLCK);
    int fd = -1, rc;

    for (unsigned i = 0; i < FILE_LOCK_TRIES; i++) {
        rc = open_regular(dir_fd, name, &fd);
        if (rc != 0)
            return rc;
        if (fcntl(fd, F_OFD_SETLK, &lock) == 0 && is_still_named(dir_fd, name, fd)) {
            *ret_fd = fd;
            return 0;
        }
        close(fd);
        (void)poll(NULL, 0, FILE_LOCK_PAUSE_MS);
    }
    return hf__fail(HF_EBUSY, "the store's file '%s' stays locked by another process", name);
}
