/* A disk that remembers: a file that notes every write and every flush it is given, so that its power can be cut
 * afterwards, before any of them, with any part of what was not flushed.
 *
 * The file is served by a process of its own over FUSE, and stands behind a loop device, so that a real file system can live
 * on it. What has been begun and acknowledged (ledger.h) is noted beside each record. Mounts are made in a namespace of the
 * process's own: whatever happens to it, they go with it, and the loop device with them.
 *
 * All functions return 0, or -1 with hf_errmsg() saying what the machine refused. */
#ifndef HF_BLOCK_LOG_H
#define HF_BLOCK_LOG_H

#include "ledger.h"

#define BLOCK_SECTOR_BYTES 512u

struct block_record {
    bool flush; /* everything before it became durable; else a write: */
    uint64_t offset;
    uint32_t len;
    uint64_t data;         /* where its bytes lie in the log */
    uint64_t acked, begun; /* when it arrived */
};

struct block_log; /* in memory that processes share */

/* Leave the mount namespace of the others. */
int block_log_own_mounts(void);

/* Serve the bytes of `image` as the file `path`, which is there and empty. The ledger is in shared memory. */
int block_log_start(const char *path, const char *image, const struct ledger *ledger, struct block_log **ret_log);
/* End the serving; the log can be read on. Accepts NULL. */
void block_log_stop(struct block_log *log);
void block_log_free(struct block_log *log); /* accepts NULL */

size_t block_log_n(const struct block_log *log);
const struct block_record *block_log_record(const struct block_log *log, size_t i);
const uint8_t *block_log_bytes(const struct block_log *log, const struct block_record *record);

/* Mount the ext4 in a file at `dir`, through a loop device that goes with the mount. */
int block_mount(const char *file, const char *dir);
int block_unmount(const char *dir);

#endif
