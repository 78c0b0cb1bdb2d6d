/* The control page in shared memory. */
#include "control.h"

#include "bytes.h"
#include "fail.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONTROL_NAME "control"
#define CONTROL_BYTES 4096
#define CONTROL_VERSION 1

static const char control_magic[8] = {'H', 'F', 'C', 'O', 'N', 'T', 'R', 'L'};

/* The page as it lies in memory; little-endian machines only, as the static assert below demands. */
struct hf_control {
    char magic[8];
    uint32_t version;
    uint32_t reserved;
    _Atomic uint64_t owner_pid;
    _Atomic uint64_t durable_lsn;
    _Atomic uint64_t oldest_lsn;
    _Atomic uint64_t last_lsn;
};
static_assert(sizeof(struct hf_control) == 48, "the layout is documented");
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the page is shared as it lies in memory");

/* A page that the disk has no room for would end the process when it is written to. */
static int reserve_page(int fd)
{
    int rc = posix_fallocate(fd, 0, CONTROL_BYTES);

    if (rc != 0)
        return hf__fail_errno(hf__code_of_errno(rc), rc, "cannot make the control page");
    return 0;
}

static int open_file(int dir_fd, bool writable, int *ret_fd)
{
    struct stat st;
    int rc,
        fd = openat(dir_fd, CONTROL_NAME, (writable ? O_RDWR | O_CREAT : O_RDONLY) | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0 && errno == ENOENT)
        return HF_NOT_FOUND;
    if (fd < 0)
        return hf__fail_errno(hf__code_of_errno(errno), errno, "cannot open the control page");
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || (writable && ftruncate(fd, CONTROL_BYTES) != 0) ||
        (!writable && st.st_size < CONTROL_BYTES)) {
        close(fd);
        return hf__fail(HF_EIO, "the control page is not a file of %d bytes", CONTROL_BYTES);
    }
    rc = writable ? reserve_page(fd) : 0;
    if (rc != 0) {
        close(fd);
        return rc;
    }
    *ret_fd = fd;
    return 0;
}

int hf__control_open(int dir_fd, bool writable, struct hf_control **ret_control)
{
    struct hf_control *page;
    int fd = -1;
    int rc = open_file(dir_fd, writable, &fd);

    if (rc != 0)
        return rc;
    page = mmap(NULL, CONTROL_BYTES, PROT_READ | (writable ? PROT_WRITE : 0), MAP_SHARED, fd, 0);
    close(fd);
    if (page == MAP_FAILED)
        return hf__fail_errno(HF_EIO, errno, "cannot map the control page");
    if (!writable &&
        (memcmp(page->magic, control_magic, sizeof(control_magic)) != 0 || page->version != CONTROL_VERSION)) {
        munmap(page, CONTROL_BYTES);
        return HF_NOT_FOUND;
    }
    *ret_control = page;
    return 0;
}

void hf__control_close(struct hf_control *control)
{
    if (control)
        munmap(control, CONTROL_BYTES);
}

void hf__control_start(struct hf_control *control, uint64_t pid, uint64_t durable_lsn, uint64_t oldest_lsn)
{
    memcpy(control->magic, control_magic, sizeof(control_magic));
    control->version = CONTROL_VERSION;
    atomic_store(&control->durable_lsn, durable_lsn);
    atomic_store(&control->last_lsn, durable_lsn);
    atomic_store(&control->oldest_lsn, oldest_lsn);
    atomic_store(&control->owner_pid, pid);
}

void hf__control_note_durable(struct hf_control *control, uint64_t durable_lsn, uint64_t last_lsn)
{
    atomic_store_explicit(&control->last_lsn, last_lsn, memory_order_relaxed);
    atomic_store_explicit(&control->durable_lsn, durable_lsn, memory_order_release);
}

void hf__control_note_oldest(struct hf_control *control, uint64_t oldest_lsn)
{
    atomic_store(&control->oldest_lsn, oldest_lsn);
}

void hf__control_stop(struct hf_control *control)
{
    atomic_store(&control->owner_pid, 0);
}

uint64_t hf__control_durable_lsn(const struct hf_control *control)
{
    return atomic_load(&((struct hf_control *)control)->durable_lsn);
}

uint64_t hf__control_oldest_lsn(const struct hf_control *control)
{
    return atomic_load(&((struct hf_control *)control)->oldest_lsn);
}
