/* A camera that films a store: at every call that changes the journal's disk, and before and after every commit of LMDB, it
 * takes a picture of what a crash at that instant would find, so that the crash can be played afterwards, in any way and as often
 * as wanted.
 *
 * The journal is on a simulated disk (sim_disk.h), LMDB is real, in the store's directory. */
#ifndef HF_CAMERA_H
#define HF_CAMERA_H

#include "ledger.h"
#include "sim_disk.h"

#include "store.h"

/* LMDB's file after a commit. */
struct image {
    _Atomic unsigned refs;
    size_t len;
    uint8_t bytes[];
};

struct picture {
    struct sim_disk *disk; /* with all that is not synced */
    struct image *local;   /* LMDB's file as of its last commit */
    enum sim_call kind;    /* of the call that it was taken before; SIM_CALLS: a boundary of a checkpoint */
    uint64_t synced;       /* operations that a power cut must leave */
    uint64_t acked, begun; /* that a kill must leave; that there can be */
    uint64_t last_lsn;     /* given out */
};
void picture_release(struct picture *picture);
/* A directory in which there is just LMDB's file, in the place of what was there before. */
void picture_lay_out(const struct picture *picture, const char *dir);
/* "write", "checkpoint" */
const char *picture_kind_name(enum sim_call kind);

struct camera {
    pthread_mutex_t mutex; /* everything below that changes */
    const char *dir;       /* of the store */
    struct ledger *ledger;
    const _Atomic uint64_t *synced; /* operations that are durable */
    struct sim_disk *disk;
    struct image *local;
    struct hf *store;  /* NULL: not open yet, or closing */
    uint64_t last_lsn; /* given out, as far as it was seen */
    struct picture *pictures;
    size_t n, capacity;
    struct hf_local_tier *tier;
    struct camera *next; /* of those whose stores are open */
};

/* A store that is to be opened in `dir`, on a copy of the picture's disk, or on a new one without a picture. */
void camera_init(struct camera *camera, const char *dir, struct ledger *ledger, const _Atomic uint64_t *synced,
                 const struct picture *picture);
void camera_release(struct camera *camera);

/* Open the store, filming. `open_shared` as in struct hf_parts. Returns what opening returns. */
int camera_open(struct camera *camera, const struct hf_options *opts,
                int (*open_shared)(const struct hf_options *opts, const char *node, struct hf_clock *clock,
                                   struct hf_shared_tier **ret_tier));
/* Close the store, which is filmed as well; 0 when it is not open. */
int camera_close(struct camera *camera);

/* The i-th picture, which stays the camera's; false when there is none. */
bool camera_picture(struct camera *camera, size_t i, struct picture *ret_picture);
/* Take out one picture by chance; false when there is none. */
bool camera_take_out(struct camera *camera, uint64_t random, struct picture *ret_picture);
/* A picture of now; the caller releases it. */
struct picture camera_now(struct camera *camera);
void camera_drop(struct camera *camera); /* all pictures */

#endif
