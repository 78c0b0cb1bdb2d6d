/* Pictures of a store at each point at which it may crash; see camera.h. */
#include "camera.h"

#include "lmdb_tier.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A test that runs out of memory, or of files, has nothing to say. */
static void *must(void *p)
{
    if (!p) {
        perror("camera");
        abort();
    }
    return p;
}

/* ---- pictures ---- */

static struct image *image_link(struct image *image)
{
    if (image)
        atomic_fetch_add(&image->refs, 1);
    return image;
}

static void image_unlink(struct image *image)
{
    if (image && atomic_fetch_sub(&image->refs, 1) == 1)
        free(image);
}

static struct image *image_read(const char *dir)
{
    struct image *image;
    char path[128];
    struct stat st;
    FILE *file;

    snprintf(path, sizeof(path), "%s/lmdb/data.mdb", dir);
    file = must(fopen(path, "r"));
    must(fstat(fileno(file), &st) == 0 ? file : NULL);
    image = must(malloc(sizeof(*image) + (size_t)st.st_size));
    atomic_init(&image->refs, 1);
    image->len = (size_t)st.st_size;
    must(fread(image->bytes, 1, image->len, file) == image->len ? file : NULL);
    fclose(file);
    return image;
}

void picture_release(struct picture *p)
{
    sim_disk_free(p->disk);
    image_unlink(p->local);
    *p = (struct picture){.disk = NULL};
}

void picture_lay_out(const struct picture *p, const char *dir)
{
    char path[128];
    FILE *file;

    (void)mkdir(dir, 0700); /* it may be there, from the one before */
    snprintf(path, sizeof(path), "%s/lmdb", dir);
    (void)mkdir(path, 0700);
    snprintf(path, sizeof(path), "%s/lmdb/lock.mdb", dir);
    (void)unlink(path);
    snprintf(path, sizeof(path), "%s/lmdb/data.mdb", dir);
    file = must(fopen(path, "w"));
    must(fwrite(p->local->bytes, 1, p->local->len, file) == p->local->len ? file : NULL);
    must(fflush(file) == 0 ? file : NULL);
    fclose(file);
}

const char *picture_kind_name(enum sim_call kind)
{
    return kind == SIM_CALLS ? "checkpoint" : sim_call_name(kind);
}

/* ---- taking them ---- */

static void keep(struct camera *c, const struct picture *p)
{
    if (c->n == c->capacity) {
        c->capacity = c->capacity ? 2 * c->capacity : 64;
        c->pictures = must(realloc(c->pictures, c->capacity * sizeof(*c->pictures)));
    }
    c->pictures[c->n++] = *p;
}

/* What was acknowledged is asked before the disk is copied, what was begun afterwards: both bounds hold for the copy. */
static void take_picture(struct camera *c, enum sim_call kind)
{
    struct picture p = {.kind = kind, .synced = atomic_load(c->synced), .acked = atomic_load(&c->ledger->acked)};

    pthread_mutex_lock(&c->mutex);
    p.disk = sim_disk_clone(c->disk);
    p.local = image_link(c->local);
    if (c->store)
        c->last_lsn = hf__journal_last_lsn(c->store->journal);
    p.last_lsn = c->last_lsn;
    p.begun = atomic_load(&c->ledger->begun);
    keep(c, &p);
    pthread_mutex_unlock(&c->mutex);
}

static void before_call(void *ctx, enum sim_call kind)
{
    if (sim_call_changes(kind))
        take_picture(ctx, kind);
}

static void change_local(struct camera *c)
{
    pthread_mutex_lock(&c->mutex);
    image_unlink(c->local);
    c->local = image_read(c->dir);
    pthread_mutex_unlock(&c->mutex);
}

/* ---- the local tier between its commits ---- */

static pthread_mutex_t cameras_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct camera *cameras; /* cameras_mutex */
static struct hf_local_ops filmed_ops;
static const struct hf_local_ops *real_ops;
static _Thread_local struct camera *opening;    /* whose store this thread opens */
static _Thread_local struct camera *committing; /* in whose tier this thread has a transaction */

static int filmed_begin(struct hf_local_tier *tier, uint64_t covered_lsn, struct hf_local_txn **ret_txn)
{
    pthread_mutex_lock(&cameras_mutex);
    committing = cameras;
    while (committing && committing->tier != tier)
        committing = committing->next;
    pthread_mutex_unlock(&cameras_mutex);
    return real_ops->txn_begin(tier, covered_lsn, ret_txn);
}

static int filmed_commit(struct hf_local_txn *txn)
{
    struct camera *c = must(committing);
    int rc;

    take_picture(c, SIM_CALLS);
    rc = real_ops->txn_commit(txn);
    change_local(c);
    take_picture(c, SIM_CALLS);
    return rc;
}

static void film_tier(struct camera *c, struct hf_local_tier *tier)
{
    pthread_mutex_lock(&cameras_mutex);
    if (!real_ops) {
        real_ops = tier->ops;
        filmed_ops = *real_ops;
        filmed_ops.txn_begin = filmed_begin;
        filmed_ops.txn_commit = filmed_commit;
    }
    c->tier = tier;
    c->next = cameras;
    cameras = c;
    pthread_mutex_unlock(&cameras_mutex);
    tier->ops = &filmed_ops;
}

static void leave_tier(struct camera *c)
{
    struct camera **at = &cameras;

    pthread_mutex_lock(&cameras_mutex);
    while (*at && *at != c)
        at = &(*at)->next;
    if (*at)
        *at = c->next;
    c->tier = NULL;
    pthread_mutex_unlock(&cameras_mutex);
}

static int open_filmed(const char *dir, const struct hf_options *opts, struct hf_local_tier **ret_tier)
{
    struct hf_lmdb_options lmdb = {.map_bytes = opts->max_disk_bytes};
    int rc = hf__lmdb_open(dir, &lmdb, ret_tier);

    if (rc != 0)
        return rc;
    film_tier(opening, *ret_tier);
    change_local(opening);
    return 0;
}

/* ---- a store's life ---- */

void camera_init(struct camera *c, const char *dir, struct ledger *ledger, const _Atomic uint64_t *synced,
                 const struct picture *picture)
{
    *c = (struct camera){.dir = dir, .ledger = ledger, .synced = synced};
    pthread_mutex_init(&c->mutex, NULL);
    c->disk = picture ? sim_disk_clone(picture->disk) : sim_disk_new();
    if (picture) {
        c->local = image_link(picture->local);
        c->last_lsn = picture->last_lsn;
    }
}

void camera_release(struct camera *c)
{
    camera_drop(c);
    free(c->pictures);
    sim_disk_free(c->disk);
    image_unlink(c->local);
    pthread_mutex_destroy(&c->mutex);
    *c = (struct camera){.dir = NULL};
}

int camera_open(struct camera *c, const struct hf_options *opts,
                int (*open_shared)(const struct hf_options *opts, const char *node, struct hf_clock *clock,
                                   struct hf_shared_tier **ret_tier))
{
    struct hf_parts parts = {.fs = sim_disk_layer(c->disk),
                             .clock = hf__clock_real(),
                             .open_local = open_filmed,
                             .open_shared = open_shared};
    struct hf *store;
    int rc;

    opening = c;
    sim_disk_set_hook(c->disk, before_call, c);
    rc = hf__store_open(c->dir, opts, &parts, &store);
    if (rc != 0) {
        leave_tier(c);
        return rc;
    }
    pthread_mutex_lock(&c->mutex);
    c->store = store;
    pthread_mutex_unlock(&c->mutex);
    return 0;
}

int camera_close(struct camera *c)
{
    struct hf *store = c->store;
    int rc;

    if (!store)
        return 0;
    pthread_mutex_lock(&c->mutex);
    c->last_lsn = hf__journal_last_lsn(store->journal);
    c->store = NULL;
    pthread_mutex_unlock(&c->mutex);
    rc = hf_close(store);
    leave_tier(c);
    sim_disk_set_hook(c->disk, NULL, NULL);
    return rc;
}

/* ---- looking at them ---- */

bool camera_picture(struct camera *c, size_t i, struct picture *ret_picture)
{
    bool there;

    pthread_mutex_lock(&c->mutex);
    there = i < c->n;
    if (there)
        *ret_picture = c->pictures[i];
    pthread_mutex_unlock(&c->mutex);
    return there;
}

bool camera_take_out(struct camera *c, uint64_t random, struct picture *ret_picture)
{
    bool there;

    pthread_mutex_lock(&c->mutex);
    there = c->n > 0;
    if (there) {
        size_t i = random % c->n;
        *ret_picture = c->pictures[i];
        c->pictures[i] = c->pictures[--c->n];
    }
    pthread_mutex_unlock(&c->mutex);
    return there;
}

struct picture camera_now(struct camera *c)
{
    struct picture now = {.kind = SIM_CALLS, .last_lsn = hf__journal_last_lsn(c->store->journal)};

    pthread_mutex_lock(&c->mutex);
    now.disk = sim_disk_clone(c->disk);
    now.local = image_link(c->local);
    pthread_mutex_unlock(&c->mutex);
    return now;
}

void camera_drop(struct camera *c)
{
    pthread_mutex_lock(&c->mutex);
    for (size_t i = 0; i < c->n; i++)
        picture_release(&c->pictures[i]);
    c->n = 0;
    pthread_mutex_unlock(&c->mutex);
}
