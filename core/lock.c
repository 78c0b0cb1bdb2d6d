/* Ownership by an open-file-description lock: it goes with the process, also at kill -9, and it keeps a second handle
 * of the same process out, which LMDB would not notice. */
#include "lock.h"

#include "fail.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define LOCK_NAME "lock"

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
    int n;

    if (fcntl(lock_fd, F_OFD_SETLK, &lock) != 0) {
        if (errno != EAGAIN && errno != EACCES)
            return hf__fail_errno(HF_EIO, errno, "cannot lock the store '%s'", dir);
        return hf__fail(HF_ELOCKED, "the store '%s' is in use by process %" PRId64, dir, hf__lock_owner(lock_fd));
    }
    n = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
    if (ftruncate(lock_fd, 0) != 0 || pwrite(lock_fd, text, (size_t)n, 0) != n)
        return hf__fail_errno(errno == ENOSPC ? HF_EFULL : HF_EIO, errno, "cannot write the lock file of '%s'",
                              dir);
    return 0;
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
