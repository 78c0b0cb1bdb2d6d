/* A FUSE file that notes what is written and flushed, and loop mounts; see block_log.h. Speaks to /dev/fuse by itself: a mount
 * whose root is a regular file needs a handful of requests. */
#include "block_log.h"

#include "fail.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <linux/loop.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define RECORDS_MAX (1u << 20)
#define DATA_MAX (1ull << 31)  /* address space; the system gives memory for what is used */
#define WRITE_MAX (128u << 10) /* bytes in one request */
#define REQUEST_MAX (WRITE_MAX + 4096u)
#define PROTOCOL_MINOR 31 /* of FUSE 7 */

struct block_log {
    char path[128];
    int fuse;
    pid_t server;
    const struct ledger *ledger;
    uint8_t *disk; /* what a read sees */
    uint64_t disk_bytes;
    uint8_t *data;
    uint64_t n_data;
    _Atomic size_t n;
    struct block_record records[RECORDS_MAX];
};

static int refused(const char *what)
{
    hf__fail_errno(HF_EIO, errno, "this machine refuses %s", what);
    return -1;
}

static void *share(size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    return p == MAP_FAILED ? NULL : p;
}

/* ---- the log ---- */

static struct block_record *note(struct block_log *log, bool flush)
{
    struct block_record *record = &log->records[log->n];

    *record = (struct block_record){
        .flush = flush, .acked = atomic_load(&log->ledger->acked), .begun = atomic_load(&log->ledger->begun)};
    return record;
}

static int note_write(struct block_log *log, uint64_t offset, const void *bytes, uint32_t len)
{
    struct block_record *record;

    if (log->n == RECORDS_MAX || log->n_data + len > DATA_MAX || offset + len > log->disk_bytes)
        return -ENOSPC;
    record = note(log, false);
    record->offset = offset;
    record->len = len;
    record->data = log->n_data;
    memcpy(log->data + log->n_data, bytes, len);
    memcpy(log->disk + offset, bytes, len);
    log->n_data += len;
    log->n++;
    return 0;
}

static int note_flush(struct block_log *log)
{
    if (log->n == RECORDS_MAX)
        return -ENOSPC;
    note(log, true);
    log->n++;
    return 0;
}

size_t block_log_n(const struct block_log *log)
{
    return log->n;
}

const struct block_record *block_log_record(const struct block_log *log, size_t i)
{
    return &log->records[i];
}

const uint8_t *block_log_bytes(const struct block_log *log, const struct block_record *record)
{
    return log->data + record->data;
}

/* ---- serving ---- */

static void answer(struct block_log *log, uint64_t unique, int error, const void *body, size_t len)
{
    static uint8_t reply[sizeof(struct fuse_out_header) + WRITE_MAX];
    struct fuse_out_header header = {
        .len = (uint32_t)(sizeof(header) + (error ? 0 : len)), .error = error, .unique = unique};

    memcpy(reply, &header, sizeof(header));
    if (!error && len > 0)
        memcpy(reply + sizeof(header), body, len);
    (void)write(log->fuse, reply, header.len); /* fails when the asker has gone */
}

static void answer_init(struct block_log *log, uint64_t unique)
{
    struct fuse_init_out init = {.major = FUSE_KERNEL_VERSION,
                                 .minor = PROTOCOL_MINOR,
                                 .max_readahead = WRITE_MAX,
                                 .flags = FUSE_BIG_WRITES,
                                 .max_background = 16,
                                 .congestion_threshold = 12,
                                 .max_write = WRITE_MAX,
                                 .time_gran = 1};

    answer(log, unique, 0, &init, sizeof(init));
}

static void answer_attributes(struct block_log *log, uint64_t unique)
{
    struct fuse_attr_out out = {.attr_valid = 3600,
                                .attr = {.ino = FUSE_ROOT_ID,
                                         .size = log->disk_bytes,
                                         .blocks = log->disk_bytes / 512,
                                         .mode = S_IFREG | 0600,
                                         .nlink = 1,
                                         .blksize = 4096}};

    answer(log, unique, 0, &out, sizeof(out));
}

static void answer_read(struct block_log *log, uint64_t unique, const struct fuse_read_in *in)
{
    uint64_t left = in->offset < log->disk_bytes ? log->disk_bytes - in->offset : 0;
    size_t len = in->size < left ? in->size : (size_t)left;

    answer(log, unique, 0, log->disk + in->offset, len);
}

static void answer_write(struct block_log *log, uint64_t unique, const struct fuse_write_in *in)
{
    struct fuse_write_out out = {.size = in->size};
    int error = note_write(log, in->offset, in + 1, in->size);

    answer(log, unique, error, &out, sizeof(out));
}

static void serve_one(struct block_log *log, const uint8_t *request)
{
    const struct fuse_in_header *in = (const void *)request;
    const void *body = in + 1;

    switch (in->opcode) {
    case FUSE_INIT: answer_init(log, in->unique); break;
    case FUSE_GETATTR: answer_attributes(log, in->unique); break;
    case FUSE_OPEN: answer(log, in->unique, 0, &(struct fuse_open_out){0}, sizeof(struct fuse_open_out)); break;
    case FUSE_READ: answer_read(log, in->unique, body); break;
    case FUSE_WRITE: answer_write(log, in->unique, body); break;
    case FUSE_FSYNC: answer(log, in->unique, note_flush(log), NULL, 0); break;
    case FUSE_RELEASE:
    case FUSE_DESTROY: answer(log, in->unique, 0, NULL, 0); break;
    case FUSE_FORGET:
    case FUSE_BATCH_FORGET:
    case FUSE_INTERRUPT: break; /* no answer is expected */
    default: answer(log, in->unique, -ENOSYS, NULL, 0);
    }
}

/* Until the file is unmounted. */
static void serve(struct block_log *log)
{
    static _Alignas(8) uint8_t request[REQUEST_MAX];

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) {
        ssize_t n = read(log->fuse, request, sizeof(request));
        if (n < 0 && (errno == EINTR || errno == EAGAIN || errno == ENOENT))
            continue;
        if (n < (ssize_t)sizeof(struct fuse_in_header))
            _exit(0);
        serve_one(log, request);
    }
}

/* ---- starting and ending ---- */

int block_log_own_mounts(void)
{
    if (unshare(CLONE_NEWNS) != 0 || mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        return refused("a mount namespace of one's own");
    return 0;
}

static int load(struct block_log *log, const char *image)
{
    int fd = open(image, O_RDONLY | O_CLOEXEC);
    struct stat st = {0};
    ssize_t n = -1;

    if (fd >= 0 && fstat(fd, &st) == 0)
        log->disk = share((size_t)st.st_size);
    log->disk_bytes = (uint64_t)st.st_size;
    if (log->disk)
        n = read(fd, log->disk, (size_t)st.st_size);
    if (fd >= 0)
        close(fd);
    return n == st.st_size ? 0 : refused("to read an image into memory");
}

static int mount_fuse(struct block_log *log)
{
    char options[96];

    log->fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    if (log->fuse < 0)
        return refused("to open /dev/fuse");
    snprintf(options, sizeof(options), "fd=%d,rootmode=100600,user_id=0,group_id=0", log->fuse);
    if (mount("block_log", log->path, "fuse", MS_NOSUID | MS_NODEV, options) != 0)
        return refused("to mount FUSE");
    log->server = fork();
    if (log->server == 0)
        serve(log);
    return log->server > 0 ? 0 : refused("a process");
}

int block_log_start(const char *path, const char *image, const struct ledger *ledger, struct block_log **ret_log)
{
    struct block_log *log = share(sizeof(*log));

    if (!log)
        return refused("memory");
    snprintf(log->path, sizeof(log->path), "%s", path);
    log->fuse = -1;
    log->ledger = ledger;
    log->data = share(DATA_MAX);
    if (!log->data || load(log, image) != 0 || mount_fuse(log) != 0) {
        block_log_stop(log);
        block_log_free(log);
        return -1;
    }
    *ret_log = log;
    return 0;
}

void block_log_stop(struct block_log *log)
{
    if (!log)
        return;
    (void)umount2(log->path, MNT_DETACH); /* it may not be mounted */
    if (log->fuse >= 0)
        close(log->fuse);
    if (log->server > 0) {
        kill(log->server, SIGKILL); /* whoever still holds the file is served no more */
        waitpid(log->server, NULL, 0);
    }
    log->fuse = -1;
    log->server = 0;
}

void block_log_free(struct block_log *log)
{
    if (!log)
        return;
    if (log->data)
        munmap(log->data, DATA_MAX);
    if (log->disk)
        munmap(log->disk, log->disk_bytes);
    munmap(log, sizeof(*log));
}

/* ---- loop devices ---- */

/* A device over the file, which goes when the last one has closed it. Returns its descriptor. */
static int loop_attach(const char *file, char device[static 32])
{
    int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    int backing = open(file, O_RDWR | O_CLOEXEC), fd = -1;
    struct loop_info64 info = {.lo_flags = LO_FLAGS_AUTOCLEAR};

    for (int tries = 0; fd < 0 && control >= 0 && backing >= 0 && tries < 16;
         tries++) { /* others look for one, too */
        int number = ioctl(control, LOOP_CTL_GET_FREE);
        if (number < 0)
            break;
        snprintf(device, 32, "/dev/loop%d", number);
        fd = open(device, O_RDWR | O_CLOEXEC);
        if (fd >= 0 && ioctl(fd, LOOP_SET_FD, backing) != 0) {
            close(fd);
            fd = -1;
        }
    }
    if (control >= 0)
        close(control);
    if (backing >= 0)
        close(backing);
    if (fd >= 0 && ioctl(fd, LOOP_SET_STATUS64, &info) != 0) {
        (void)ioctl(fd, LOOP_CLR_FD);
        close(fd);
        fd = -1;
    }
    return fd >= 0 ? fd : refused("a loop device");
}

int block_mount(const char *file, const char *dir)
{
    char device[32];
    int rc, fd = loop_attach(file, device);

    if (fd < 0)
        return -1;
    rc = mount(device, dir, "ext4", MS_NOSUID | MS_NODEV | MS_NOATIME, NULL);
    close(fd); /* the mount holds the device */
    return rc == 0 ? 0 : refused("to mount ext4");
}

int block_unmount(const char *dir)
{
    return umount(dir) == 0 ? 0 : refused("to unmount");
}
