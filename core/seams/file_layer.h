/* The seam to the disk, for the journal: every write, sync, rename and unlink goes through this table, so that a
 * simulated disk can forget, reorder and tear what was not synced.
 *
 * Functions return 0 (or a count where stated) or a negative errno value. EINTR is handled inside; a short write is
 * continued inside and ends in an error if the rest cannot be written. */
#ifndef HF_FILE_LAYER_H
#define HF_FILE_LAYER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct hf_file_layer;

/* Called for each name in a directory, without "." and ".."; non-zero ends the listing and is returned. */
typedef int hf_file_name_fn(void *ctx, const char *name);

struct hf_file_layer {
    /* A directory's descriptor: names below are relative to it and hold no '/'. */
    int (*open_dir)(struct hf_file_layer *fs, const char *path);
    int (*sync_dir)(struct hf_file_layer *fs, int dir);
    int (*list)(struct hf_file_layer *fs, int dir, hf_file_name_fn *each, void *ctx);

    /* Open a regular file (0600, never through a link, never blocking on a FIFO); returns the descriptor.
     * `create`: make it, and fail when it is there. */
    int (*open)(struct hf_file_layer *fs, int dir, const char *name, bool write, bool create);
    int (*close)(struct hf_file_layer *fs, int fd);
    int (*size)(struct hf_file_layer *fs, int fd, uint64_t *ret_bytes);
    /* Read up to `len` bytes; returns the count, less only at the end of the file. */
    ssize_t (*read)(struct hf_file_layer *fs, int fd, void *buffer, size_t len, uint64_t offset);
    int (*write)(struct hf_file_layer *fs, int fd, const void *data, size_t len, uint64_t offset);
    /* Fill [0, bytes) with zeros that are really allocated, so that later writes change no metadata. */
    int (*allocate)(struct hf_file_layer *fs, int fd, uint64_t bytes);
    /* fdatasync. After a failure the file must not be trusted or synced again. */
    int (*sync)(struct hf_file_layer *fs, int fd);
    /* Forget cached pages, so that the next read comes from the disk. Best effort. */
    void (*drop_cache)(struct hf_file_layer *fs, int fd);
    int (*rename)(struct hf_file_layer *fs, int dir, const char *from, const char *to);
    int (*unlink)(struct hf_file_layer *fs, int dir, const char *name);
};

/* The operating system's files (journal/fs.c); never freed. */
struct hf_file_layer *hf__file_layer_real(void);

#endif
