/* A disk in memory that forgets, reorders and tears what was not synced; see sim_disk.h for the model. */
#include "sim_disk.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DIRS_MAX 8
#define NAME_BYTES 128
#define FIRST_FD 1000 /* so that a descriptor of the operating system is never taken for one of ours */

/* One sector as a write left it. */
struct version {
    uint64_t sector;
    uint8_t bytes[SIM_SECTOR_BYTES];
};

struct inode {
    unsigned id;
    unsigned links; /* names, pending changes of names, and descriptors that hold it */
    bool is_directory;
    uint8_t *cache, *disk; /* both of `capacity` bytes, whole sectors, zero behind their sizes */
    size_t capacity;
    uint64_t size, disk_size;
    struct version *pending; /* in the order written */
    size_t n_pending, pending_capacity;
};

struct name {
    unsigned dir;
    char text[NAME_BYTES];
    struct inode *inode;
};

struct names {
    struct name *list;
    size_t n, capacity;
};

/* A change of names not yet synced. */
struct change {
    enum sim_call kind; /* SIM_CREATE, SIM_RENAME or SIM_UNLINK */
    unsigned dir;
    char from[NAME_BYTES], to[NAME_BYTES];
    struct inode *inode;
};

struct descriptor {
    bool used, writable;
    unsigned dir;
    struct inode *inode; /* NULL: a directory */
};

struct sim_disk {
    struct hf_file_layer layer; /* first: a layer's address is its disk's */
    pthread_mutex_t mutex;      /* everything below */
    char dirs[DIRS_MAX][NAME_BYTES];
    unsigned n_dirs;
    struct names now, durable;
    struct change *changes;
    size_t n_changes, changes_capacity;
    struct descriptor *descriptors;
    size_t n_descriptors;
    struct descriptor outside; /* of the call under way, when its descriptor is none of ours */
    unsigned next_inode;
    uint64_t random; /* which part of a failed sync reaches the disk */

    struct sim_fault fault;
    bool armed;
    unsigned seen, failed;
    unsigned counts[SIM_CALLS];
    uint64_t bytes_read;
    sim_hook_fn *hook;
    void *hook_ctx;
};

static const char *const call_names[SIM_CALLS + 1] = {
    "open_dir", "sync_dir", "list", "open",       "create", "close",  "size",   "read",
    "write",    "allocate", "sync", "drop_cache", "rename", "unlink", "change",
};

const char *sim_call_name(enum sim_call kind)
{
    return call_names[kind];
}

uint64_t sim_random(uint64_t *state)
{
    uint64_t x = *state += 0x9e3779b97f4a7c15u; /* splitmix64: good also for neighbouring seeds */

    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* A test that runs out of memory has nothing to say. */
static void *must(void *p)
{
    if (!p) {
        fprintf(stderr, "sim_disk: out of memory\n");
        abort();
    }
    return p;
}

static void *grow(void *list, size_t n, size_t *capacity, size_t size)
{
    if (n < *capacity)
        return list;
    *capacity = *capacity ? 2 * *capacity : 16;
    return must(realloc(list, *capacity * size));
}

/* ---- inodes ---- */

static struct inode *inode_new(struct sim_disk *d)
{
    struct inode *inode = must(calloc(1, sizeof(*inode)));

    inode->id = d->next_inode++;
    return inode;
}

static void inode_unlink(struct inode *inode)
{
    if (!inode || --inode->links > 0)
        return;
    free(inode->cache);
    free(inode->disk);
    free(inode->pending);
    free(inode);
}

static struct inode *inode_link(struct inode *inode)
{
    inode->links++;
    return inode;
}

static void inode_reach(struct inode *inode, uint64_t size)
{
    size_t capacity = (size_t)(size + SIM_SECTOR_BYTES - 1) / SIM_SECTOR_BYTES * SIM_SECTOR_BYTES;

    if (capacity <= inode->capacity)
        return;
    if (capacity < 2 * inode->capacity)
        capacity = 2 * inode->capacity;
    inode->cache = must(realloc(inode->cache, capacity));
    inode->disk = must(realloc(inode->disk, capacity));
    memset(inode->cache + inode->capacity, 0, capacity - inode->capacity);
    memset(inode->disk + inode->capacity, 0, capacity - inode->capacity);
    inode->capacity = capacity;
}

static void inode_write(struct inode *inode, const uint8_t *data, size_t len, uint64_t offset)
{
    if (len == 0)
        return;
    inode_reach(inode, offset + len);
    memcpy(inode->cache + offset, data, len);
    if (offset + len > inode->size)
        inode->size = offset + len;
    for (uint64_t s = offset / SIM_SECTOR_BYTES; s <= (offset + len - 1) / SIM_SECTOR_BYTES; s++) {
        struct version *v;
        inode->pending = grow(inode->pending, inode->n_pending, &inode->pending_capacity, sizeof(*v));
        v = &inode->pending[inode->n_pending++];
        v->sector = s;
        memcpy(v->bytes, inode->cache + s * SIM_SECTOR_BYTES, SIM_SECTOR_BYTES);
    }
}

static void inode_truncate(struct inode *inode, uint64_t size)
{
    inode_reach(inode, size);
    if (size < inode->size)
        memset(inode->cache + size, 0, inode->capacity - size);
    inode->size = size;
}

static void persist(struct inode *inode, const struct version *v)
{
    memcpy(inode->disk + v->sector * SIM_SECTOR_BYTES, v->bytes, SIM_SECTOR_BYTES);
}

static void inode_sync(struct inode *inode)
{
    for (size_t i = 0; i < inode->n_pending; i++)
        persist(inode, &inode->pending[i]);
    inode->n_pending = 0;
    if (inode->size < inode->disk_size)
        memset(inode->disk + inode->size, 0, inode->capacity - inode->size);
    inode->disk_size = inode->size;
}

static int by_sector(const void *a, const void *b)
{
    const struct version *x = *(const struct version *const *)a, *y = *(const struct version *const *)b;

    if (x->sector != y->sector)
        return x->sector < y->sector ? -1 : 1;
    return (x > y) - (x < y); /* in the order written */
}

/* Each sector becomes durable in one of its versions, or not at all. */
static void inode_tear(struct inode *inode, uint64_t *random)
{
    const struct version **order = must(malloc((inode->n_pending + 1) * sizeof(*order)));

    for (size_t i = 0; i < inode->n_pending; i++)
        order[i] = &inode->pending[i];
    qsort(order, inode->n_pending, sizeof(*order), by_sector);
    for (size_t i = 0, n; i < inode->n_pending; i += n) {
        uint64_t chosen;
        for (n = 1; i + n < inode->n_pending && order[i + n]->sector == order[i]->sector; n++)
            continue;
        chosen = sim_random(random) % (n + 1);
        if (chosen > 0)
            persist(inode, order[i + chosen - 1]);
    }
    free(order);
    inode->n_pending = 0;
}

static void inode_power_cut(struct inode *inode, uint64_t *random)
{
    uint64_t low = inode->size < inode->disk_size ? inode->size : inode->disk_size;
    uint64_t high = inode->size < inode->disk_size ? inode->disk_size : inode->size;

    if (random) {
        inode_tear(inode, random);
        switch (sim_random(random) % 3) {
        case 0: inode->disk_size = low; break;
        case 1: inode->disk_size = high; break;
        default: inode->disk_size = low + sim_random(random) % (high - low + 1);
        }
    }
    inode->n_pending = 0;
    if (inode->capacity > 0) {
        memset(inode->disk + inode->disk_size, 0, inode->capacity - inode->disk_size);
        memcpy(inode->cache, inode->disk, inode->capacity);
    }
    inode->size = inode->disk_size;
}

/* ---- names ---- */

static unsigned dir_of(struct sim_disk *d, const char *path)
{
    unsigned i = 0;

    while (i < d->n_dirs && strcmp(d->dirs[i], path) != 0)
        i++;
    if (i == d->n_dirs) {
        if (i == DIRS_MAX)
            abort();
        snprintf(d->dirs[d->n_dirs++], NAME_BYTES, "%s", path);
    }
    return i;
}

static struct name *names_find(struct names *names, unsigned dir, const char *text)
{
    for (size_t i = 0; i < names->n; i++) {
        if (names->list[i].dir == dir && strcmp(names->list[i].text, text) == 0)
            return &names->list[i];
    }
    return NULL;
}

static void names_remove(struct names *names, unsigned dir, const char *text)
{
    struct name *name = names_find(names, dir, text);

    if (!name)
        return;
    inode_unlink(name->inode);
    memmove(name, name + 1, (size_t)(names->list + --names->n - name) * sizeof(*name));
}

static void names_put(struct names *names, unsigned dir, const char *text, struct inode *inode)
{
    inode_link(inode);
    names_remove(names, dir, text);
    names->list = grow(names->list, names->n, &names->capacity, sizeof(*names->list));
    names->list[names->n] = (struct name){.dir = dir, .inode = inode};
    snprintf(names->list[names->n++].text, NAME_BYTES, "%s", text);
}

static void names_apply(struct names *names, const struct change *c)
{
    if (c->kind == SIM_CREATE) {
        names_put(names, c->dir, c->from, c->inode);
    } else if (c->kind == SIM_RENAME) {
        names_put(names, c->dir, c->to, c->inode);
        names_remove(names, c->dir, c->from);
    } else {
        names_remove(names, c->dir, c->from);
    }
}

static void names_release(struct names *names)
{
    for (size_t i = 0; i < names->n; i++)
        inode_unlink(names->list[i].inode);
    free(names->list);
    *names = (struct names){0};
}

static void names_copy(struct names *to, const struct names *from)
{
    names_release(to);
    for (size_t i = 0; i < from->n; i++)
        names_put(to, from->list[i].dir, from->list[i].text, from->list[i].inode);
}

static void change(struct sim_disk *d, enum sim_call kind, unsigned dir, const char *from, const char *to,
                   struct inode *inode)
{
    struct change *c;

    d->changes = grow(d->changes, d->n_changes, &d->changes_capacity, sizeof(*d->changes));
    c = &d->changes[d->n_changes++];
    *c = (struct change){.kind = kind, .dir = dir, .inode = inode_link(inode)};
    snprintf(c->from, sizeof(c->from), "%s", from);
    snprintf(c->to, sizeof(c->to), "%s", to);
    names_apply(&d->now, c);
}

/* Settle the pending changes of one directory (or all: DIRS_MAX): kept, or by chance when `random` is given. */
static void settle_changes(struct sim_disk *d, unsigned dir, uint64_t *random, bool keep)
{
    size_t left = 0;

    for (size_t i = 0; i < d->n_changes; i++) {
        if (dir != DIRS_MAX && d->changes[i].dir != dir) {
            d->changes[left++] = d->changes[i];
            continue;
        }
        if (random ? sim_random(random) & 1 : keep)
            names_apply(&d->durable, &d->changes[i]);
        inode_unlink(d->changes[i].inode);
    }
    d->n_changes = left;
}

/* ---- calls and faults ---- */

bool sim_call_changes(enum sim_call kind)
{
    return kind == SIM_SYNC_DIR || kind == SIM_CREATE || (kind >= SIM_WRITE && kind <= SIM_SYNC) ||
           kind == SIM_RENAME || kind == SIM_UNLINK;
}

/* The directory that a descriptor of the operating system's stands for, or NULL. With the mutex. */
static struct descriptor *outside_at(struct sim_disk *d, int fd)
{
    char link[32], path[256];
    ssize_t n;

    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    n = readlink(link, path, sizeof(path) - 1);
    if (n <= 0 || path[0] != '/')
        return NULL;
    path[n] = '\0';
    d->outside = (struct descriptor){.used = true, .dir = dir_of(d, strrchr(path, '/') + 1)};
    return &d->outside;
}

static struct descriptor *descriptor_at(struct sim_disk *d, int fd)
{
    size_t i = (size_t)fd - FIRST_FD;

    if (fd >= 0 && fd < FIRST_FD)
        return outside_at(d, fd);
    return fd >= FIRST_FD && i < d->n_descriptors && d->descriptors[i].used ? &d->descriptors[i] : NULL;
}

/* The head of every call; returns with the mutex. 0, or the negative errno that the fault asks for. */
static int begin(struct sim_disk *d, enum sim_call kind, int fd)
{
    const struct sim_fault *f = &d->fault;
    struct descriptor *at;
    sim_hook_fn *hook;
    void *ctx;

    pthread_mutex_lock(&d->mutex);
    hook = d->hook;
    ctx = d->hook_ctx;
    if (hook) {
        pthread_mutex_unlock(&d->mutex);
        hook(ctx, kind);
        pthread_mutex_lock(&d->mutex);
    }
    d->counts[kind]++;
    at = descriptor_at(d, fd);
    if (!d->armed || (f->kind == SIM_CALLS ? !sim_call_changes(kind) : f->kind != kind) ||
        (f->dir && (!at || strcmp(d->dirs[at->dir], f->dir) != 0)))
        return 0;
    d->seen++;
    if (d->seen != f->nth && !(f->forever && d->seen > f->nth))
        return 0;
    d->failed++;
    return -f->error;
}

static int end(struct sim_disk *d, int rc)
{
    pthread_mutex_unlock(&d->mutex);
    return rc;
}

static int descriptor_new(struct sim_disk *d, unsigned dir, struct inode *inode, bool writable)
{
    size_t i = 0;

    while (i < d->n_descriptors && d->descriptors[i].used)
        i++;
    if (i == d->n_descriptors) {
        d->n_descriptors++;
        d->descriptors = must(realloc(d->descriptors, d->n_descriptors * sizeof(*d->descriptors)));
    }
    d->descriptors[i] = (struct descriptor){.used = true, .dir = dir, .inode = inode, .writable = writable};
    if (inode)
        inode_link(inode);
    return (int)i + FIRST_FD;
}

/* ---- the layer ---- */

static struct sim_disk *disk_of(struct hf_file_layer *fs)
{
    return (struct sim_disk *)fs;
}

static int sim_open_dir(struct hf_file_layer *fs, const char *path)
{
    struct sim_disk *d = disk_of(fs);
    int rc = begin(d, SIM_OPEN_DIR, -1);

    return end(d, rc != 0 ? rc : descriptor_new(d, dir_of(d, path), NULL, false));
}

static int sim_sync_dir(struct hf_file_layer *fs, int dir)
{
    struct sim_disk *d = disk_of(fs);
    int rc = begin(d, SIM_SYNC_DIR, dir);
    struct descriptor *at = descriptor_at(d, dir);

    if (!at)
        return end(d, -EBADF);
    if (rc == 0)
        settle_changes(d, at->dir, NULL, true);
    return end(d, rc);
}

static int sim_list(struct hf_file_layer *fs, int dir, hf_file_name_fn *each, void *ctx)
{
    struct sim_disk *d = disk_of(fs);
    int rc = begin(d, SIM_LIST, dir);
    struct descriptor *at = descriptor_at(d, dir);
    char(*copy)[NAME_BYTES] = must(malloc((d->now.n + 1) * sizeof(*copy)));
    size_t n = 0;

    for (size_t i = 0; at && i < d->now.n; i++) {
        if (d->now.list[i].dir == at->dir)
            memcpy(copy[n++], d->now.list[i].text, NAME_BYTES);
    }
    end(d, 0);
    if (!at)
        rc = -EBADF;
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = each(ctx, copy[i]);
    free(copy);
    return rc;
}

static int sim_open(struct hf_file_layer *fs, int dir, const char *name, bool write, bool create)
{
    struct sim_disk *d = disk_of(fs);
    int rc = begin(d, create ? SIM_CREATE : SIM_OPEN, dir);
    struct descriptor *at = descriptor_at(d, dir);
    struct name *there;

    if (rc != 0)
        return end(d, rc);
    if (!at || strchr(name, '/') || strlen(name) >= NAME_BYTES)
        return end(d, at ? -EINVAL : -EBADF);
    there = names_find(&d->now, at->dir, name);
    if (create && there)
        return end(d, -EEXIST);
    if (!create && (!there || there->inode->is_directory))
        return end(d, there ? (write ? -EISDIR : -EINVAL) : -ENOENT);
    if (create) {
        change(d, SIM_CREATE, at->dir, name, "", inode_new(d));
        there = names_find(&d->now, at->dir, name);
    }
    return end(d, descriptor_new(d, at->dir, there->inode, write));
}

static int sim_close(struct hf_file_layer *fs, int fd)
{
    struct sim_disk *d = disk_of(fs);
    int rc = begin(d, SIM_CLOSE, fd);
    struct descriptor *at = descriptor_at(d, fd);

    if (!at)
        return end(d, -EBADF);
    inode_unlink(at->inode);
    *at = (struct descriptor){0};
    return end(d, rc);
}

/* The file behind a descriptor, or NULL. */
static struct inode *file_at(struct sim_disk *d, int fd, bool write)
{
    struct descriptor *at = descriptor_at(d, fd);

    return at && (at->writable || !write) ? at->inode : NULL;
}

static int sim_size(struct hf_file_layer *fs, int fd, uint64_t *ret_bytes)
{
    struct sim_disk *d = disk_of(fs);
    int rc = begin(d, SIM_SIZE, fd);
    struct inode *inode = file_at(d, fd, false);

    if (!inode)
        return end(d, -EBADF);
    if (rc == 0)
        *ret_bytes = inode->size;
    return end(d, rc);
}

static ssize_t sim_read(struct hf_file_layer *fs, int fd, void *buffer, size_t len, uint64_t offset)
{
    struct sim_disk *d = disk_of(fs);
    int rc = begin(d, SIM_READ, fd);
    struct inode *inode = file_at(d, fd, false);

    if (!inode || rc != 0)
        return end(d, inode ? rc : -EBADF);
    if (offset >= inode->size)
        len = 0;
    else if (len > inode->size - offset)
        len = (size_t)(inode->size - offset);
    if (len > 0)
        memcpy(buffer, inode->cache + offset, len);
    d->bytes_read += len;
    end(d, 0);
    return (ssize_t)len;
}

static int sim_write(struct hf_file_layer *fs, int fd, const void *data, size_t len, uint64_t offset)
{
    struct sim_disk *d = disk_of(fs);
    int rc = begin(d, SIM_WRITE, fd);
    struct inode *inode = file_at(d, fd, true);

    if (!inode)
        return end(d, -EBADF);
    if (rc != 0 && d->fault.short_bytes < len) /* what lies in one sector is written as a whole, or not at all */
        len = len > SIM_SECTOR_BYTES ? d->fault.short_bytes : 0;
    inode_write(inode, data, len, offset);
    return end(d, rc);
}

static int sim_allocate(struct hf_file_layer *fs, int fd, uint64_t bytes)
{
    struct sim_disk *d = disk_of(fs);
    int rc = begin(d, SIM_ALLOCATE, fd);
    struct inode *inode = file_at(d, fd, true);
    uint8_t *zeros;

    if (!inode)
        return end(d, -EBADF);
    if (rc != 0) /* a full disk may have given half of it */
        bytes /= 2;
    zeros = must(calloc(1, (size_t)inode->size + 1));
    inode_write(inode, zeros, (size_t)(inode->size < bytes ? inode->size : bytes), 0);
    free(zeros);
    if (inode->size < bytes) /* fresh sectors are zero on the disk, too: no version of them can differ */
        inode_truncate(inode, bytes);
    return end(d, rc);
}

static int sim_sync(struct hf_file_layer *fs, int fd)
{
    struct sim_disk *d = disk_of(fs);
    int rc = begin(d, SIM_SYNC, fd);
    struct inode *inode = file_at(d, fd, false);

    if (!inode)
        return end(d, -EBADF);
    if (rc == 0)
        inode_sync(inode);
    else
        inode_tear(inode, &d->random);
    return end(d, rc);
}

static void sim_drop_cache(struct hf_file_layer *fs, int fd)
{
    struct sim_disk *d = disk_of(fs);
    int rc = begin(d, SIM_DROP_CACHE, fd);
    struct inode *inode = file_at(d, fd, false);

    if (inode && rc == 0 && inode->capacity > 0) {
        memcpy(inode->cache, inode->disk, inode->capacity);
        for (size_t i = 0; i < inode->n_pending; i++) /* dirty pages stay */
            memcpy(inode->cache + inode->pending[i].sector * SIM_SECTOR_BYTES, inode->pending[i].bytes,
                   SIM_SECTOR_BYTES);
    }
    end(d, 0);
}

static int sim_rename(struct hf_file_layer *fs, int dir, const char *from, const char *to)
{
    struct sim_disk *d = disk_of(fs);
    int rc = begin(d, SIM_RENAME, dir);
    struct descriptor *at = descriptor_at(d, dir);
    struct name *there = at ? names_find(&d->now, at->dir, from) : NULL;

    if (!there)
        return end(d, at ? -ENOENT : -EBADF);
    if (rc == 0)
        change(d, SIM_RENAME, at->dir, from, to, there->inode);
    return end(d, rc);
}

static int sim_unlink(struct hf_file_layer *fs, int dir, const char *name)
{
    struct sim_disk *d = disk_of(fs);
    int rc = begin(d, SIM_UNLINK, dir);
    struct descriptor *at = descriptor_at(d, dir);
    struct name *there = at ? names_find(&d->now, at->dir, name) : NULL;

    if (!there)
        return end(d, at ? -ENOENT : -EBADF);
    if (rc == 0)
        change(d, SIM_UNLINK, at->dir, name, "", there->inode);
    return end(d, rc);
}

/* ---- the disk ---- */

struct sim_disk *sim_disk_new(void)
{
    struct sim_disk *d = must(calloc(1, sizeof(*d)));

    d->layer = (struct hf_file_layer){
        .open_dir = sim_open_dir,
        .sync_dir = sim_sync_dir,
        .list = sim_list,
        .open = sim_open,
        .close = sim_close,
        .size = sim_size,
        .read = sim_read,
        .write = sim_write,
        .allocate = sim_allocate,
        .sync = sim_sync,
        .drop_cache = sim_drop_cache,
        .rename = sim_rename,
        .unlink = sim_unlink,
    };
    d->random = 1;
    pthread_mutex_init(&d->mutex, NULL);
    return d;
}

static void close_descriptors(struct sim_disk *d)
{
    for (size_t i = 0; i < d->n_descriptors; i++) {
        if (d->descriptors[i].used)
            inode_unlink(d->descriptors[i].inode);
    }
    free(d->descriptors);
    d->descriptors = NULL;
    d->n_descriptors = 0;
}

void sim_disk_free(struct sim_disk *d)
{
    if (!d)
        return;
    close_descriptors(d);
    settle_changes(d, DIRS_MAX, NULL, false);
    names_release(&d->now);
    names_release(&d->durable);
    free(d->changes);
    pthread_mutex_destroy(&d->mutex);
    free(d);
}

struct hf_file_layer *sim_disk_layer(struct sim_disk *d)
{
    return &d->layer;
}

/* The copy of an inode on another disk, made when it is first met. */
static struct inode *inode_copy(struct sim_disk *to, struct inode **copies, const struct inode *from)
{
    struct inode *copy = copies[from->id];

    if (copy)
        return copy;
    copy = copies[from->id] = must(calloc(1, sizeof(*copy)));
    copy->id = to->next_inode++;
    copy->is_directory = from->is_directory;
    inode_reach(copy, from->capacity);
    if (from->capacity > 0) {
        memcpy(copy->cache, from->cache, from->capacity);
        memcpy(copy->disk, from->disk, from->capacity);
    }
    copy->size = from->size;
    copy->disk_size = from->disk_size;
    copy->pending = must(malloc((from->n_pending + 1) * sizeof(*copy->pending)));
    if (from->n_pending > 0)
        memcpy(copy->pending, from->pending, from->n_pending * sizeof(*copy->pending));
    copy->n_pending = copy->pending_capacity = from->n_pending;
    return copy;
}

struct sim_disk *sim_disk_clone(struct sim_disk *d)
{
    struct sim_disk *clone = sim_disk_new();
    struct inode **copies;

    pthread_mutex_lock(&d->mutex);
    copies = must(calloc(d->next_inode + 1, sizeof(struct inode *)));
    memcpy(clone->dirs, d->dirs, sizeof(d->dirs));
    clone->n_dirs = d->n_dirs;
    for (size_t i = 0; i < d->now.n; i++)
        names_put(&clone->now, d->now.list[i].dir, d->now.list[i].text,
                  inode_copy(clone, copies, d->now.list[i].inode));
    for (size_t i = 0; i < d->durable.n; i++)
        names_put(&clone->durable, d->durable.list[i].dir, d->durable.list[i].text,
                  inode_copy(clone, copies, d->durable.list[i].inode));
    clone->changes = must(calloc(d->n_changes + 1, sizeof(*clone->changes)));
    for (size_t i = 0; i < d->n_changes; i++) {
        clone->changes[i] = d->changes[i];
        clone->changes[i].inode = inode_link(inode_copy(clone, copies, d->changes[i].inode));
    }
    clone->n_changes = clone->changes_capacity = d->n_changes;
    clone->random = d->random;
    pthread_mutex_unlock(&d->mutex);
    free(copies);
    return clone;
}

static void disarm(struct sim_disk *d)
{
    close_descriptors(d);
    d->armed = false;
    d->hook = NULL;
}

static void power_cut(struct sim_disk *d, uint64_t *random)
{
    pthread_mutex_lock(&d->mutex);
    disarm(d);
    settle_changes(d, DIRS_MAX, random, false);
    names_copy(&d->now, &d->durable);
    for (size_t i = 0; i < d->now.n; i++)
        inode_power_cut(d->now.list[i].inode, random);
    pthread_mutex_unlock(&d->mutex);
}

void sim_disk_power_cut(struct sim_disk *d, uint64_t seed)
{
    power_cut(d, &seed);
}

void sim_disk_power_cut_all(struct sim_disk *d)
{
    power_cut(d, NULL);
}

void sim_disk_kill(struct sim_disk *d)
{
    pthread_mutex_lock(&d->mutex);
    disarm(d);
    pthread_mutex_unlock(&d->mutex);
}

void sim_disk_fail(struct sim_disk *d, struct sim_fault fault)
{
    pthread_mutex_lock(&d->mutex);
    d->fault = fault;
    d->armed = true;
    d->seen = d->failed = 0;
    pthread_mutex_unlock(&d->mutex);
}

void sim_disk_heal(struct sim_disk *d)
{
    pthread_mutex_lock(&d->mutex);
    d->armed = false;
    pthread_mutex_unlock(&d->mutex);
}

unsigned sim_disk_failed(struct sim_disk *d)
{
    unsigned failed;

    pthread_mutex_lock(&d->mutex);
    failed = d->failed;
    pthread_mutex_unlock(&d->mutex);
    return failed;
}

void sim_disk_set_hook(struct sim_disk *d, sim_hook_fn *hook, void *ctx)
{
    pthread_mutex_lock(&d->mutex);
    d->hook = hook;
    d->hook_ctx = ctx;
    pthread_mutex_unlock(&d->mutex);
}

unsigned sim_disk_count(struct sim_disk *d, enum sim_call kind)
{
    unsigned count;

    pthread_mutex_lock(&d->mutex);
    count = d->counts[kind];
    pthread_mutex_unlock(&d->mutex);
    return count;
}

uint64_t sim_disk_bytes_read(struct sim_disk *d)
{
    uint64_t bytes;

    pthread_mutex_lock(&d->mutex);
    bytes = d->bytes_read;
    pthread_mutex_unlock(&d->mutex);
    return bytes;
}

unsigned sim_disk_descriptors(struct sim_disk *d)
{
    unsigned n = 0;

    pthread_mutex_lock(&d->mutex);
    for (size_t i = 0; i < d->n_descriptors; i++)
        n += d->descriptors[i].used;
    pthread_mutex_unlock(&d->mutex);
    return n;
}

unsigned sim_disk_n_files(struct sim_disk *d, const char *dir)
{
    unsigned n = 0, at;

    pthread_mutex_lock(&d->mutex);
    at = dir_of(d, dir);
    for (size_t i = 0; i < d->now.n; i++)
        n += d->now.list[i].dir == at;
    pthread_mutex_unlock(&d->mutex);
    return n;
}

const char *sim_disk_name(struct sim_disk *d, const char *dir, unsigned i)
{
    const char *text = NULL;
    unsigned at;

    pthread_mutex_lock(&d->mutex);
    at = dir_of(d, dir);
    for (size_t k = 0; k < d->now.n && !text; k++) {
        if (d->now.list[k].dir == at && i-- == 0)
            text = d->now.list[k].text;
    }
    pthread_mutex_unlock(&d->mutex);
    return text;
}

uint8_t *sim_disk_contents(struct sim_disk *d, const char *dir, const char *name, size_t *ret_len)
{
    uint8_t *copy = NULL;
    struct name *there;

    pthread_mutex_lock(&d->mutex);
    there = names_find(&d->now, dir_of(d, dir), name);
    if (there) {
        copy = must(malloc((size_t)there->inode->size + 1));
        if (there->inode->size > 0)
            memcpy(copy, there->inode->cache, (size_t)there->inode->size);
        *ret_len = (size_t)there->inode->size;
    }
    pthread_mutex_unlock(&d->mutex);
    return copy;
}

static struct inode *put_inode(struct sim_disk *d, const char *dir, const char *name)
{
    struct inode *inode = inode_new(d);
    unsigned at = dir_of(d, dir);

    settle_changes(d, at, NULL, true);
    names_put(&d->now, at, name, inode);
    names_put(&d->durable, at, name, inode);
    return inode;
}

void sim_disk_put(struct sim_disk *d, const char *dir, const char *name, const void *data, size_t len)
{
    struct inode *inode;

    pthread_mutex_lock(&d->mutex);
    inode = put_inode(d, dir, name);
    inode_write(inode, data, len, 0);
    inode_sync(inode);
    pthread_mutex_unlock(&d->mutex);
}

void sim_disk_put_directory(struct sim_disk *d, const char *dir, const char *name)
{
    pthread_mutex_lock(&d->mutex);
    put_inode(d, dir, name)->is_directory = true;
    pthread_mutex_unlock(&d->mutex);
}

void sim_disk_remove(struct sim_disk *d, const char *dir, const char *name)
{
    unsigned at;

    pthread_mutex_lock(&d->mutex);
    at = dir_of(d, dir);
    settle_changes(d, at, NULL, true);
    names_remove(&d->now, at, name);
    names_remove(&d->durable, at, name);
    pthread_mutex_unlock(&d->mutex);
}

/* The inode of a name that must be there. With the mutex. */
static struct inode *named(struct sim_disk *d, const char *dir, const char *name)
{
    struct name *there = names_find(&d->now, dir_of(d, dir), name);

    if (!there) {
        fprintf(stderr, "sim_disk: no file %s/%s\n", dir, name);
        abort();
    }
    return there->inode;
}

void sim_disk_flip_bit(struct sim_disk *d, const char *dir, const char *name, uint64_t offset, unsigned bit)
{
    struct inode *inode;
    uint8_t mask = (uint8_t)(1u << (bit & 7));

    pthread_mutex_lock(&d->mutex);
    inode = named(d, dir, name);
    if (offset >= inode->size)
        abort();
    inode->cache[offset] ^= mask;
    inode->disk[offset] ^= mask;
    for (size_t i = 0; i < inode->n_pending; i++) {
        if (inode->pending[i].sector == offset / SIM_SECTOR_BYTES)
            inode->pending[i].bytes[offset % SIM_SECTOR_BYTES] ^= mask;
    }
    pthread_mutex_unlock(&d->mutex);
}

void sim_disk_cut(struct sim_disk *d, const char *dir, const char *name, uint64_t bytes)
{
    struct inode *inode;

    pthread_mutex_lock(&d->mutex);
    inode = named(d, dir, name);
    inode_sync(inode);
    inode_truncate(inode, bytes);
    inode_sync(inode);
    pthread_mutex_unlock(&d->mutex);
}
