/* A disk in memory behind the file layer, which forgets, reorders and tears what was not synced.
 *
 * A file is made of sectors of 512 bytes. A write changes the cached sectors and leaves a version of each one
 * pending; sync makes the pending ones durable. A power cut chooses for every sector, by a seed, between what was
 * durable and each version that was pending, and the same for sizes and for changes of names since sync_dir.
 *
 * A failed sync does what Linux does: an arbitrary part reached the disk, the rest is no longer pending but still
 * in the cache. So the next sync succeeds without it, reads go on to show it, and drop_cache brings out the truth.
 *
 * Thread-safe: one mutex. Paths of directories are compared as text; names in them follow file_layer.h. */
#ifndef SIM_DISK_H
#define SIM_DISK_H

#include "file_layer.h"

#define SIM_SECTOR_BYTES 512u

struct sim_disk;

enum sim_call {
    SIM_OPEN_DIR,
    SIM_SYNC_DIR,
    SIM_LIST,
    SIM_OPEN,   /* of a file that is there */
    SIM_CREATE, /* open with `create` */
    SIM_CLOSE,
    SIM_SIZE,
    SIM_READ,
    SIM_WRITE,
    SIM_ALLOCATE,
    SIM_SYNC,
    SIM_DROP_CACHE,
    SIM_RENAME,
    SIM_UNLINK,
    SIM_CALLS, /* their number; as a kind: any call that changes something */
};
const char *sim_call_name(enum sim_call kind);
/* Whether such a call changes what a crash may leave. */
bool sim_call_changes(enum sim_call kind);

struct sim_disk *sim_disk_new(void);
void sim_disk_free(struct sim_disk *disk); /* accepts NULL */
/* Borrowed until sim_disk_free. A descriptor of the operating system's, as a store has one of each of its directories,
 * stands for the directory here that bears the last name of its path: "journal". */
struct hf_file_layer *sim_disk_layer(struct sim_disk *disk);

/* A disk in the same state, pending versions included, without open descriptors, faults, hook and counts. */
struct sim_disk *sim_disk_clone(struct sim_disk *disk);
/* Power off and on. Every descriptor is closed, faults and hook are gone. */
void sim_disk_power_cut(struct sim_disk *disk, uint64_t seed);
/* The worst power cut: nothing survives but what was synced. */
void sim_disk_power_cut_all(struct sim_disk *disk);
/* kill -9: the same, but all that was written stays, and stays unsynced. */
void sim_disk_kill(struct sim_disk *disk);

/* ---- faults ---- */

struct sim_fault {
    enum sim_call kind;
    unsigned nth;       /* the 1st, 2nd, ... call from now on fails */
    int error;          /* errno value */
    bool forever;       /* ... and all calls of the kind after it */
    size_t short_bytes; /* of a write: so much is written all the same (nothing, if it
                           fits into a sector); SIZE_MAX: everything */
    const char *dir;    /* only in this directory (borrowed); NULL: everywhere */
};
/* One fault at a time; this one replaces an earlier one. */
void sim_disk_fail(struct sim_disk *disk, struct sim_fault fault);
void sim_disk_heal(struct sim_disk *disk);
/* How many calls have failed by the present fault. */
unsigned sim_disk_failed(struct sim_disk *disk);

/* Called before each call, without the disk's mutex, on the thread that makes the call. NULL: none. */
typedef void sim_hook_fn(void *ctx, enum sim_call kind);
void sim_disk_set_hook(struct sim_disk *disk, sim_hook_fn *hook, void *ctx);

/* ---- looking and meddling ---- */

/* Calls of a kind since the disk was made; bytes read. */
unsigned sim_disk_count(struct sim_disk *disk, enum sim_call kind);
uint64_t sim_disk_bytes_read(struct sim_disk *disk);
/* Open descriptors: what is left of them after a close is a leak. */
unsigned sim_disk_descriptors(struct sim_disk *disk);

unsigned sim_disk_n_files(struct sim_disk *disk, const char *dir);
/* The i-th name; the text is valid until names change. */
const char *sim_disk_name(struct sim_disk *disk, const char *dir, unsigned i);
/* What a read would see, as a copy that the caller frees; NULL: no such file. */
uint8_t *sim_disk_contents(struct sim_disk *disk, const char *dir, const char *name, size_t *ret_len);
/* Make or replace a file, durable at once. */
void sim_disk_put(struct sim_disk *disk, const char *dir, const char *name, const void *data, size_t len);
/* A name that is there and is no regular file. */
void sim_disk_put_directory(struct sim_disk *disk, const char *dir, const char *name);
void sim_disk_remove(struct sim_disk *disk, const char *dir, const char *name);
/* Damage, in the cache and on the disk. */
void sim_disk_flip_bit(struct sim_disk *disk, const char *dir, const char *name, uint64_t offset, unsigned bit);
void sim_disk_cut(struct sim_disk *disk, const char *dir, const char *name, uint64_t bytes);

/* The tests' random numbers: the same seed, the same run. */
uint64_t sim_random(uint64_t *state);

#endif
