/* Readers outside the owner (docs/journal-format.md, "The control page"). */
#include "reader.h"

#include "clock_meta.h"
#include "control.h"
#include "fail.h"
#include "lock.h"
#include "recovered.h"

#define TRIES_MAX 100 /* each needs a whole checkpoint of the owner to fail */

/* Up to where a reader may look: with an owner, what it says is durable; without one, what is on the disk after a
 * sync, because a process may have died between write and sync. */
static int read_limit(struct hf *store, bool *ret_owned, uint64_t *ret_limit)
{
    int64_t owner = hf__lock_owner(store->lock_fd);

    *ret_owned = owner != 0 && store->control;
    *ret_limit = *ret_owned ? hf__control_durable_lsn(store->control) : UINT64_MAX;
    return 0;
}

static int sync_segment(void *ctx, const char *name)
{
    struct hf *store = ctx;
    struct hf_file_layer *fs = store->parts.fs;
    int rc, fd = fs->open(fs, store->journal_fd, name, false, false);

    if (fd < 0)
        return 0; /* recycled or removed meanwhile, or not a file: recovery tells */
    rc = fs->sync(fs, fd);
    fs->close(fs, fd);
    return rc;
}

/* Replace the overlay by the journal between the two LSNs. With the write lock. */
static int load(struct hf *store, bool owned, uint64_t covered_lsn, uint64_t limit_lsn)
{
    struct hf_file_layer *fs = store->parts.fs;
    struct hf_recovery r;
    int rc = hf__overlay_freeze(&store->overlay);

    if (rc != 0)
        return rc;
    hf__overlay_drop_frozen(&store->overlay);
    store->read_limit_lsn = 0;
    if (!owned)
        rc = fs->list(fs, store->journal_fd, sync_segment, store);
    if (rc != 0)
        return hf__file_fail(rc, "cannot sync", "the journal");
    rc = hf__recover(fs, store->journal_fd, covered_lsn, limit_lsn, hf__recovered_entry, store, &r);
    if (rc != 0)
        return rc;
    if (r.n_damage > 0)
        rc = hf__fail(HF_ECORRUPT,
                      "the journal is damaged: %u ranges are lost, the first in segment %s; open the "
                      "store for writing to quarantine it",
                      r.n_damage, r.damage[0].segment);
    hf__recovered_settle(store, &r);
    hf__recovery_release(&r);
    store->read_covered_lsn = covered_lsn;
    store->read_limit_lsn = limit_lsn;
    return rc;
}

/* The owner may have learned the time by now; an error shows when the records are read. */
static void follow_time(struct hf_look *look)
{
    struct hf *store = look->store;
    struct hf_timeline_saved saved;

    if (hf__clock_meta_read(store->local, look->snap, &saved) == 0)
        hf__timeline_follow(&store->time, &saved);
    look->time_unknown = hf__time_is_unknown(store);
    look->now_ms = hf__now_ms(store);
}

/* One attempt: 0, 1 to start over, or an error. */
static int try_look(struct hf *store, struct hf_look *look)
{
    const struct hf_local_ops *ops = store->local->ops;
    uint64_t covered, limit;
    bool owned;
    int rc = read_limit(store, &owned, &limit);

    if (rc == 0)
        rc = ops->snap_begin(store->local, &look->snap);
    if (rc != 0)
        return rc;
    if (look->time_unknown)
        follow_time(look);
    covered = ops->snap_covered_lsn(look->snap);
    if (store->read_limit_lsn == 0 || covered != store->read_covered_lsn || limit != store->read_limit_lsn) {
        rc = load(store, owned, covered, limit);
        if (owned && (rc != 0 || hf__control_oldest_lsn(store->control) > covered + 1))
            rc = 1; /* the owner went on meanwhile */
        store->read_limit_lsn = rc == 0 ? limit : 0;
    }
    if (rc != 0) {
        ops->snap_end(look->snap);
        look->snap = NULL;
        return rc;
    }
    hf__view_pin(&store->overlay, &look->view);
    look->visible_lsn = UINT64_MAX;
    return 0;
}

int hf__reader_look(struct hf_look *look)
{
    struct hf *store = look->store;
    int rc = 1;

    pthread_mutex_lock(&store->write_mutex);
    for (int i = 0; i < TRIES_MAX && rc == 1; i++)
        rc = try_look(store, look);
    pthread_mutex_unlock(&store->write_mutex);
    return rc == 1 ? hf__fail_prefix(HF_EBUSY, "the journal could not be read beside its owner") : rc;
}
