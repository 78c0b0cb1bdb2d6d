/* Opening and closing a store: directory, lock, tiers, journal, threads, in this order, and back. */
#include "store.h"

#include "checkpoint.h"
#include "clock_meta.h"
#include "control.h"
#include "deadline.h"
#include "done.h"
#include "durable.h"
#include "fail.h"
#include "link.h"
#include "lock.h"
#include "owner.h"
#include "pending_bounds.h"
#include "recovered.h"
#include "renew.h"
#include "seed.h"
#include "settle.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define JOURNAL_NAME "journal"
#define QUARANTINE_NAME "quarantine"
#define SEGMENT_MIN (64u << 10)
#define MAX_DISK_MAX (16ull << 40) /* the map is reserved in the address space, which has 47 bits */

/* ---- fork ---- */

static _Atomic unsigned fork_count;
static pthread_mutex_t owners_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct hf *owners; /* the handles that own a store */

static void before_fork(void)
{
    pthread_mutex_lock(&owners_mutex);
}

static void after_fork(void)
{
    pthread_mutex_unlock(&owners_mutex);
}

/* A lock belongs to the open file: as long as a child has it open, too, an owner that was killed would go on owning. */
static void after_fork_in_child(void)
{
    for (struct hf *store = owners; store; store = store->next_owner)
        close(store->lock_fd);
    owners = NULL;
    atomic_fetch_add(&fork_count, 1);
    pthread_mutex_unlock(&owners_mutex);
}

static void watch_forks(void)
{
    pthread_atfork(before_fork, after_fork, after_fork_in_child);
}

static void list_owner(struct hf *store)
{
    pthread_mutex_lock(&owners_mutex);
    store->next_owner = owners;
    owners = store;
    pthread_mutex_unlock(&owners_mutex);
}

static void unlist_owner(struct hf *store)
{
    struct hf **at = &owners;

    pthread_mutex_lock(&owners_mutex);
    while (*at && *at != store)
        at = &(*at)->next_owner;
    if (*at) {
        *at = store->next_owner;
        hf__lock_give_back(store->lock_fd);
    }
    pthread_mutex_unlock(&owners_mutex);
}

int hf__check_handle(const struct hf *store, bool writing)
{
    if (store->fork_count != atomic_load_explicit(&fork_count, memory_order_relaxed))
        return hf__fail(HF_EFORK, "a store handle cannot be used in a child process; open the store there again");
    if (atomic_load_explicit(&store->closing, memory_order_relaxed))
        return hf__fail(HF_ECLOSED, "the store is closing");
    if (writing && store->read_only)
        return hf__fail(HF_EREADONLY, "the store '%s' was opened for reading only", store->dir);
    return 0;
}

int hf__check_key(struct hf_slice key)
{
    if (key.len < 1 || key.len > HF_KEY_MAX)
        return hf__fail(HF_EINVAL, "a key of %zu bytes; expected 1 to %d", key.len, HF_KEY_MAX);
    if (key.len >= 4 && memcmp(key.data, "_hf:", 4) == 0)
        return hf__fail(HF_EINVAL, "keys that begin with '_hf:' are reserved for bookkeeping");
    return 0;
}

/* ---- options ---- */

static void fill_defaults(struct hf_options *o)
{
    if (o->redis_timeout_ms == 0)
        o->redis_timeout_ms = HF_REDIS_TIMEOUT_DEFAULT_MS;
    if (o->redis_connect_timeout_ms == 0)
        o->redis_connect_timeout_ms = HF_REDIS_CONNECT_TIMEOUT_DEFAULT_MS;
    if (o->redis_heartbeat_ms == 0)
        o->redis_heartbeat_ms = HF_REDIS_HEARTBEAT_DEFAULT_MS;
    if (o->redis_backoff_max_ms == 0)
        o->redis_backoff_max_ms = HF_REDIS_BACKOFF_MAX_DEFAULT_MS;
    if (o->sync_interval_ms == 0)
        o->sync_interval_ms = HF_SYNC_INTERVAL_DEFAULT_MS;
    if (o->max_disk_bytes == 0)
        o->max_disk_bytes = HF_MAX_DISK_DEFAULT;
    if (o->max_value_bytes == 0)
        o->max_value_bytes = HF_MAX_VALUE_DEFAULT;
    if (o->segment_bytes == 0)
        o->segment_bytes = HF_SEGMENT_DEFAULT;
    if (o->checkpoint_bytes == 0)
        o->checkpoint_bytes = HF_CHECKPOINT_BYTES_DEFAULT;
    if (o->checkpoint_interval_ms == 0)
        o->checkpoint_interval_ms = HF_CHECKPOINT_INTERVAL_DEFAULT_MS;
    if (o->pending_max == 0)
        o->pending_max = HF_PENDING_MAX_DEFAULT;
    if (o->pending_max_bytes == 0)
        o->pending_max_bytes = o->max_disk_bytes / 2;
    if (o->conflict_log_max == 0)
        o->conflict_log_max = HF_CONFLICT_LOG_MAX_DEFAULT;
    if (o->conflict_log_max_bytes == 0)
        o->conflict_log_max_bytes = o->max_disk_bytes / 4;
    if (o->parked_max == 0)
        o->parked_max = HF_PARKED_MAX_DEFAULT;
}

static int check_positive(int value, const char *name)
{
    return value > 0 ? 0 : hf__fail(HF_EINVAL, "%s is %d ms; expected a positive time", name, value);
}

static int check_sharing(const struct hf_options *o)
{
    if (o->pending_max_age_ms < 0)
        return hf__fail(HF_EINVAL, "pending_max_age_ms is %" PRId64 " ms; expected 0 or more",
                        o->pending_max_age_ms);
    if ((unsigned)o->pending_policy > HF_PENDING_DROP_OLDEST)
        return hf__fail(HF_EINVAL, "pending_policy is %u; expected a value of its enum, 0 to %u",
                        (unsigned)o->pending_policy, (unsigned)HF_PENDING_DROP_OLDEST);
    if (o->replay_delay_max_ms < 0)
        return hf__fail(HF_EINVAL, "replay_delay_max_ms is %d ms; expected 0 or more", o->replay_delay_max_ms);
    return 0;
}

/* A handle that only looks never asks a resolver. */
static int check_resolver(const struct hf_options *o)
{
    bool may_ask = !o->read_only && !o->look_only;

    for (size_t i = 0; i < o->n_namespaces && may_ask && !o->resolve; i++) {
        if (o->namespaces[i].conflict == HF_CONFLICT_CALLBACK)
            return hf__fail(HF_EINVAL,
                            "namespace '%s' has conflict policy 'callback' and the options have no resolve "
                            "function; expected one to ask",
                            o->namespaces[i].prefix ? o->namespaces[i].prefix : "");
    }
    return 0;
}

static int check_options(const struct hf_options *o)
{
    int rc = check_positive(o->redis_timeout_ms, "redis_timeout_ms");

    if (rc == 0)
        rc = check_positive(o->redis_connect_timeout_ms, "redis_connect_timeout_ms");
    if (rc == 0)
        rc = check_positive(o->redis_heartbeat_ms, "redis_heartbeat_ms");
    if (rc == 0)
        rc = check_positive(o->redis_backoff_max_ms, "redis_backoff_max_ms");
    if (rc == 0)
        rc = check_positive(o->sync_interval_ms, "sync_interval_ms");
    if (rc == 0)
        rc = check_positive(o->checkpoint_interval_ms, "checkpoint_interval_ms");
    if (rc != 0)
        return rc;
    if (o->max_value_bytes > HF_VALUE_MAX)
        return hf__fail(HF_EINVAL, "max_value is %" PRIu64 " bytes; at most %u are possible", o->max_value_bytes,
                        HF_VALUE_MAX);
    if (o->segment_bytes < SEGMENT_MIN || o->segment_bytes > (1u << 30) || o->segment_bytes % 4096 != 0)
        return hf__fail(HF_EINVAL, "segment_bytes is %" PRIu64 "; expected a multiple of 4096 from %u to 1 GiB",
                        o->segment_bytes, SEGMENT_MIN);
    if (o->max_disk_bytes < (1u << 20) || o->max_disk_bytes > MAX_DISK_MAX)
        return hf__fail(HF_EINVAL, "max_disk is %" PRIu64 " bytes; expected 1 MiB to 16 TiB", o->max_disk_bytes);
    rc = check_sharing(o);
    return rc == 0 ? check_resolver(o) : rc;
}

/* ---- the directory ---- */

static int check_dir(const struct hf *store)
{
    struct stat st;

    if (fstat(store->dir_fd, &st) != 0)
        return hf__fail_errno(HF_EIO, errno, "cannot examine '%s'", store->dir);
    if (st.st_uid != geteuid())
        return hf__fail(HF_EIO, "the directory '%s' belongs to user %u, not to us (user %u)", store->dir,
                        (unsigned)st.st_uid, (unsigned)geteuid());
    if (st.st_mode & 022)
        return hf__fail(HF_EIO, "the directory '%s' can be written by others (mode %04o); expected 0700",
                        store->dir, (unsigned)st.st_mode & 07777);
    return 0;
}

static int open_dir(struct hf *store)
{
    int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;

    store->dir_fd = open(store->dir, flags);
    if (store->dir_fd < 0 && errno == ENOENT && !store->read_only && !store->opts.must_exist) {
        if (mkdir(store->dir, 0700) != 0 && errno != EEXIST)
            return hf__fail_errno(hf__code_of_errno(errno), errno, "cannot make the directory '%s'", store->dir);
        store->dir_fd = open(store->dir, flags);
    }
    if (store->dir_fd < 0 && errno == ENOENT)
        return hf__fail(HF_NOT_FOUND, "there is no store in '%s'", store->dir);
    if (store->dir_fd < 0 && errno == ENOTDIR)
        return hf__fail(HF_EIO, "'%s' is a file; expected a directory", store->dir);
    if (store->dir_fd < 0)
        return hf__fail_errno(HF_EIO, errno, "cannot open the directory '%s'", store->dir);
    return check_dir(store);
}

/* Open a directory inside the store, making it for an owner. */
static int open_subdir(struct hf *store, const char *name, int *ret_fd)
{
    int fd;

    if (!store->read_only && mkdirat(store->dir_fd, name, 0700) != 0 && errno != EEXIST)
        return hf__fail_errno(hf__code_of_errno(errno), errno, "cannot make '%s/%s'", store->dir, name);
    fd = openat(store->dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT)
        return hf__fail(HF_NOT_FOUND, "there is no store in '%s'", store->dir);
    if (fd < 0)
        return hf__fail_errno(HF_EIO, errno, "cannot open '%s/%s'", store->dir, name);
    *ret_fd = fd;
    return 0;
}

static int take_lock(struct hf *store)
{
    int rc = hf__lock_open(store->dir_fd, !store->read_only, &store->lock_fd);

    if (rc == HF_NOT_FOUND)
        return hf__fail(HF_NOT_FOUND, "there is no store in '%s'", store->dir);
    if (rc != 0)
        return hf__fail_prefix(rc, "open store '%s'", store->dir);
    if (store->read_only)
        return 0;
    rc = hf__lock_take(store->lock_fd, store->dir);
    if (rc == 0)
        list_owner(store);
    return rc;
}

static int count_name(void *ctx, const char *name)
{
    (void)name;
    ++*(uint64_t *)ctx;
    return 0;
}

static int count_segment(void *ctx, const char *name)
{
    size_t n = strlen(name), suffix = strlen(HF_SEGMENT_SUFFIX);

    *(uint64_t *)ctx += n > suffix && strcmp(name + n - suffix, HF_SEGMENT_SUFFIX) == 0;
    return 0;
}

/* The local tier is made before the first segment: a journal without it is what is left of a store. */
static int check_local_tier_is_there(struct hf *store)
{
    uint64_t n = 0;
    int rc = store->parts.fs->list(store->parts.fs, store->journal_fd, count_segment, &n);

    if (rc < 0)
        return hf__fail_errno(HF_EIO, -rc, "cannot list '%s/%s'", store->dir, JOURNAL_NAME);
    if (n > 0 && faccessat(store->dir_fd, "lmdb", F_OK, 0) != 0)
        return hf__fail(HF_ECORRUPT,
                        "the store '%s' has a journal and no local tier: its directory 'lmdb' is missing",
                        store->dir);
    return 0;
}

/* A new store's own name, which lies in the directory above; it is new as long as there is no local tier. */
static int sync_name(const struct hf *store)
{
    int rc, fd = -1;

    if (faccessat(store->dir_fd, "lmdb", F_OK, 0) == 0)
        return 0;
    fd = openat(store->dir_fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 && errno == EACCES)
        return 0; /* whoever may not look in there has been given the directory by somebody who may */
    rc = fd >= 0 ? fsync(fd) : -1;
    if (rc != 0)
        rc = hf__fail_errno(HF_EIO, errno, "cannot sync the directory above '%s'", store->dir);
    if (fd >= 0)
        close(fd);
    return rc;
}

static int open_files(struct hf *store)
{
    int rc = open_dir(store);

    if (rc == 0 && store->opts.must_exist && !store->read_only && faccessat(store->dir_fd, "lock", F_OK, 0) != 0)
        rc = hf__fail(HF_NOT_FOUND, "there is no store in '%s'", store->dir);
    if (rc == 0)
        rc = take_lock(store);
    if (rc == 0)
        rc = open_subdir(store, JOURNAL_NAME, &store->journal_fd);
    if (rc == 0)
        rc = open_subdir(store, QUARANTINE_NAME, &store->quarantine_fd);
    if (rc == 0 && !store->read_only)
        rc = check_local_tier_is_there(store);
    if (rc == 0 && !store->read_only)
        rc = sync_name(store);
    if (rc == 0 && !store->read_only && fsync(store->dir_fd) != 0)
        rc = hf__fail_errno(HF_EIO, errno, "cannot sync the directory '%s'", store->dir);
    if (rc == 0)
        (void)store->parts.fs->list(store->parts.fs, store->quarantine_fd, count_name, &store->n_quarantined);
    return rc;
}

/* ---- what the local tier remembers ---- */

struct remembered {
    uint64_t covered_lsn, reserved_lsn;
    struct hf_timeline_saved time;
    bool shared; /* has ever had a shared tier */
};

/* A number of the meta table; 0 when it is not there. */
static int meta_number(struct hf *store, struct hf_local_snap *snap, const char *name, uint64_t *ret_number)
{
    struct hf_slice value;
    int rc = store->local->ops->meta_get(snap, hf__slice_str(name), &value);

    *ret_number = 0;
    if (rc == HF_NOT_FOUND)
        return 0;
    if (rc == 0 && value.len != 8)
        rc = hf__fail(HF_ECORRUPT, "the local tier's '%s' has %zu bytes; expected 8", name, value.len);
    if (rc == 0)
        *ret_number = hf__get64(value.data);
    return rc;
}

static int read_remembered(struct hf *store, struct hf_local_snap *snap, struct remembered *ret)
{
    struct hf_slice node;
    uint64_t shared = 0;
    int rc;

    ret->covered_lsn = store->local->ops->snap_covered_lsn(snap);
    rc = meta_number(store, snap, HF_META_RESERVED, &ret->reserved_lsn);
    if (rc == 0)
        rc = hf__clock_meta_read(store->local, snap, &ret->time);
    if (rc == 0)
        rc = meta_number(store, snap, HF_META_SHARED, &shared);
    ret->shared = shared != 0;
    if (rc != 0)
        return rc;
    rc = store->local->ops->meta_get(snap, hf__slice_str(HF_META_NODE), &node);
    if (rc == 0 && node.len == 32)
        memcpy(store->node, node.data, 32);
    return rc == HF_NOT_FOUND ? 0 : rc;
}

static int remember(struct hf *store, struct remembered *ret)
{
    struct hf_local_snap *snap;
    int rc = store->local->ops->snap_begin(store->local, &snap);

    if (rc != 0)
        return rc;
    rc = read_remembered(store, snap, ret);
    store->local->ops->snap_end(snap);
    return rc;
}

/* A new store's identity. */
static int make_node(struct hf *store)
{
    struct hf_local_txn *txn;
    int rc;

    if (store->node[0])
        return 0;
    rc = hf__node_id(store->node);
    if (rc == 0)
        rc = store->local->ops->txn_begin(store->local, 0, &txn);
    if (rc != 0)
        return rc;
    rc = store->local->ops->meta_put(txn, hf__slice_str(HF_META_NODE), hf__slice(store->node, 32));
    if (rc == 0)
        return store->local->ops->txn_commit(txn);
    store->local->ops->txn_abort(txn);
    return rc;
}

/* ---- the journal ---- */

static int64_t journal_now(void *ctx)
{
    return hf__now_ms(ctx);
}

static void journal_progress(void *ctx)
{
    struct hf *store = ctx;

    if (store->control) /* NULL while opening */
        hf__control_note_durable(store->control, hf__journal_safe_lsn(store->journal),
                                 hf__journal_last_lsn(store->journal));
    hf__durable_tell(store);
    hf__done_poke(store);
    hf__link_note_durable(store);
}

/* A store that has taken a checkpoint has had a segment ever since. */
static int check_journal_is_there(struct hf *store, const struct remembered *was)
{
    struct hf_segment_list list;
    size_t n;
    int rc = hf__segment_list(store->parts.fs, store->journal_fd, &list);

    if (rc != 0)
        return hf__fail_prefix(rc, "open journal");
    n = list.n;
    hf__segment_list_release(&list);
    if (n == 0 && was->reserved_lsn > 0)
        return hf__fail(HF_ECORRUPT,
                        "the store '%s' has a local tier and no journal: the segments in '%s' are missing",
                        store->dir, JOURNAL_NAME);
    return 0;
}

static int open_journal(struct hf *store, const struct remembered *was)
{
    struct hf_journal_options opts = {
        .fs = store->parts.fs,
        .dir = store->journal_fd,
        .quarantine_dir = store->quarantine_fd,
        .segment_bytes = store->opts.segment_bytes,
        .durability = store->opts.durability,
        .sync_interval_ms = store->opts.sync_interval_ms,
        .covered_lsn = was->covered_lsn,
        .reserved_lsn = was->reserved_lsn,
        .now_ms = journal_now,
        .progress = journal_progress,
        .ctx = store,
    };
    struct hf_recovery r;
    int rc = check_journal_is_there(store, was);

    if (rc == 0)
        rc = hf__journal_open(&opts, hf__recovered_entry, store, &r, &store->journal);

    if (rc != 0)
        return rc;
    hf__timeline_note_recorded(&store->time, r.written_ms);
    hf__recovered_settle(store, &r);
    rc = hf__pending_recovered(store);
    store->recovered_lsn = r.last_lsn;
    store->opened_lsn = hf__journal_last_lsn(store->journal);
    store->n_quarantined += r.n_damage > 0;
    atomic_store(&store->visible_lsn, hf__journal_last_lsn(store->journal));
    hf__recovery_release(&r);
    return rc;
}

/* ---- opening ---- */

static void init_locks(struct hf *store)
{
    pthread_mutex_init(&store->write_mutex, NULL);
    hf__durable_init(store);
    pthread_mutex_init(&store->checkpoint.mutex, NULL);
    hf__cond_init(&store->checkpoint.wake);
    hf__cond_init(&store->pending.room);
    pthread_cond_init(&store->checkpoint.finished, NULL);
    hf__intents_init(store);
}

static struct hf *store_new(const char *dir, const struct hf_options *opts, const struct hf_parts *parts)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct hf *store = calloc(1, sizeof(*store));

    pthread_once(&once, watch_forks);
    if (!store)
        return NULL;
    store->dir = strdup(dir);
    if (opts)
        store->opts = *opts;
    store->redis = strdup(store->opts.redis ? store->opts.redis : "");
    if (!store->dir || !store->redis) {
        free(store->dir);
        free(store->redis);
        free(store);
        return NULL;
    }
    store->parts = *parts;
    store->read_only = store->opts.read_only;
    store->fork_count = atomic_load(&fork_count);
    store->dir_fd = store->journal_fd = store->quarantine_fd = store->lock_fd = -1;
    init_locks(store);
    fill_defaults(&store->opts);
    return store;
}

static int open_tiers(struct hf *store, struct remembered *was)
{
    int rc = store->parts.open_local(store->dir, &store->opts, &store->local);

    if (rc == HF_NOT_FOUND)
        return hf__fail(HF_NOT_FOUND, "there is no store in '%s'", store->dir);
    if (rc == 0)
        rc = remember(store, was);
    if (rc == 0 && !store->read_only)
        rc = make_node(store);
    if (rc == 0)
        rc = hf__ns_table_init(&store->namespaces, store->opts.namespaces, store->opts.n_namespaces, store->node);
    if (rc == 0)
        rc = hf__overlay_init(&store->overlay);
    hf__timeline_start(&store->time, store->parts.clock, &was->time);
    return rc;
}

static int open_reader(struct hf *store, const struct remembered *was)
{
    int rc = hf__control_open(store->dir_fd, false, &store->control);

    store->sharing = was->shared;
    atomic_store(&store->covered_lsn, was->covered_lsn);
    return rc == HF_NOT_FOUND ? 0 : rc; /* never opened since it was copied: then nobody owns it either */
}

static int start_link(struct hf *store)
{
    struct hf_shared_tier *tier;
    int rc;

    if (!store->redis[0])
        return 0;
    rc = hf__owner_begin(store);
    if (rc == 0)
        rc = store->parts.open_shared(&store->opts, store->node, store->parts.clock, &tier);
    if (rc != 0)
        return rc;
    tier->ops->identify(tier, &store->owner);
    return hf__link_start(store, tier);
}

/* In another boot than the last one: from here on this boot's clock is what counts, also after a crash. */
static void save_time(struct hf *store)
{
    const struct hf_local_ops *ops = store->local->ops;
    struct hf_local_txn *txn;

    if (!atomic_load(&store->time.unsaved) ||
        ops->txn_begin(store->local, atomic_load(&store->covered_lsn), &txn) != 0)
        return;
    if (hf__clock_meta_write(store->local, txn, &store->time) == 0)
        (void)ops->txn_commit(txn); /* an error shows at the next checkpoint, which saves it, too */
    else
        ops->txn_abort(txn);
}

static int open_owner(struct hf *store, const struct remembered *was)
{
    int rc;

    store->sharing = was->shared; /* what the journal's tail owes; a first shared tier is seeded below */
    atomic_store(&store->covered_lsn, was->covered_lsn);
    rc = hf__intents_load(store);
    if (rc == 0)
        rc = open_journal(store, was); /* a journal that is refused leaves everything as it was */
    if (rc == 0)
        rc = hf__control_open(store->dir_fd, true, &store->control);
    if (rc != 0)
        return rc;
    save_time(store);
    hf__control_start(store->control, (uint64_t)getpid(), hf__journal_safe_lsn(store->journal),
                      was->covered_lsn + 1);
    rc = hf__done_start(store);
    if (rc == 0 && store->redis[0] && !was->shared)
        rc = hf__seed(store);
    if (rc == 0)
        rc = hf__checkpoint_count(store);
    if (rc == 0)
        rc = start_link(store);
    if (rc == 0)
        rc = hf__checkpoint_start(store); /* whose thread looks at the link */
    return rc;
}

/* Free what is there; in the order in which parts use one another. */
static int store_free(struct hf *store)
{
    int rc, checkpoint_rc;

    atomic_store(&store->closing, true);
    hf__link_stop_accepting(store); /* whoever waits for Redis hears that it is pending */
    hf__done_stop(store);
    if (store->link)
        hf__link_stop(store);
    checkpoint_rc = hf__checkpoint_stop(store);
    rc = hf__journal_close(store->journal);
    hf__durable_free(store);
    hf__link_free(store);
    hf__done_free(store);
    if (store->local)
        store->local->ops->close(store->local);
    for (size_t i = 0; i < store->checkpoint.n_settled; i++)
        hf__settled_release(&store->checkpoint.settled[i]);
    free(store->checkpoint.settled);
    free(store->checkpoint.acked.places);
    free(store->checkpoint.acked_before.places);
    hf__intents_release(store);
    hf__overlay_release(&store->overlay);
    hf__ns_table_release(&store->namespaces);
    if (store->control && !store->read_only)
        hf__control_stop(store->control);
    hf__control_close(store->control);
    unlist_owner(store);
    for (size_t i = 0; i < 4; i++) {
        int fd = (int[]){store->quarantine_fd, store->journal_fd, store->lock_fd, store->dir_fd}[i];
        if (fd >= 0)
            close(fd);
    }
    hf__timeline_release(&store->time);
    pthread_mutex_destroy(&store->write_mutex);
    pthread_mutex_destroy(&store->checkpoint.mutex);
    pthread_cond_destroy(&store->checkpoint.wake);
    pthread_cond_destroy(&store->checkpoint.finished);
    pthread_cond_destroy(&store->pending.room);
    explicit_bzero(store->redis, strlen(store->redis)); /* it may hold a password */
    free(store->redis);
    free(store->dir);
    free(store);
    return rc != 0 ? rc : checkpoint_rc;
}

int hf__store_open(const char *dir, const struct hf_options *opts, const struct hf_parts *parts,
                   struct hf **ret_store)
{
    struct remembered was = {0};
    struct hf *store;
    int rc;

    if (!dir || !dir[0])
        return hf__fail(HF_EINVAL, "a store needs a directory");
    store = store_new(dir, opts, parts);
    if (!store)
        return hf__fail(HF_ENOMEM, "out of memory: a store handle");
    rc = check_options(&store->opts);
    if (rc == 0)
        rc = open_files(store);
    if (rc == 0)
        rc = open_tiers(store, &was);
    if (rc == 0)
        rc = store->read_only ? open_reader(store, &was) : open_owner(store, &was);
    if (rc != 0) {
        char sentence[HF_ERRMSG_MAX];
        snprintf(sentence, sizeof(sentence), "%s", hf_errmsg());
        (void)store_free(store); /* the first error is the one to report */
        return hf__fail(rc, "%s", sentence);
    }
    store->opts.redis = store->opts.redis_user = store->opts.redis_password = store->opts.redis_ca_file = NULL;
    store->opts.namespaces = NULL;
    *ret_store = store;
    return 0;
}

int hf_close(struct hf *store)
{
    if (!store)
        return 0;
    if (store->fork_count != atomic_load(&fork_count))
        return hf__fail(HF_EFORK, "a store handle cannot be closed in a child process");
    return store_free(store);
}
