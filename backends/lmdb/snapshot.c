/* Read snapshots: a pool of read transactions. */
#include "snapshot.h"

#include "env.h"
#include "lmdb_fail.h"
#include "places.h"
#include "state.h"
#include "fail.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#define REMAP_WAIT_S 1 /* how long a reader waits for its other snapshots to end when the map has grown */

int hf__lmdb_pool_init(struct hf__lmdb_tier *tier)
{
    unsigned max_readers = HF_LMDB_MAX_READERS_DEFAULT;

    (void)mdb_env_get_maxreaders(tier->env.mdb, &max_readers); /* fails only for NULL arguments */
    /* A transaction at rest keeps its reader slot: leave most of them to other processes. */
    tier->n_slots = max_readers / 4;
    if (tier->n_slots == 0)
        tier->n_slots = 1;
    if (tier->n_slots > HF__LMDB_POOL_SLOTS)
        tier->n_slots = HF__LMDB_POOL_SLOTS;
    if (pthread_mutex_init(&tier->lock, NULL) != 0)
        return hf__fail(HF_ENOMEM, "out of memory: a lock");
    if (pthread_cond_init(&tier->closed, NULL) != 0) {
        pthread_mutex_destroy(&tier->lock);
        return hf__fail(HF_ENOMEM, "out of memory: a condition");
    }
    return 0;
}

static void snap_free(struct hf_local_snap *snap)
{
    if (!snap)
        return;
    for (int i = 0; i < HF__LMDB_TABLES; i++)
        mdb_cursor_close(snap->cursors[i]); /* accepts NULL */
    if (snap->mdb)
        mdb_txn_abort(snap->mdb);
    hf__lmdb_places_free(snap);
    free(snap);
}

void hf__lmdb_pool_release(struct hf__lmdb_tier *tier)
{
    for (unsigned i = 0; i < tier->n_slots; i++)
        snap_free(atomic_exchange(&tier->pool[i].snap, NULL));
    pthread_cond_destroy(&tier->closed);
    pthread_mutex_destroy(&tier->lock);
}

/* ---- the pool ---- */

static unsigned own_slot(const struct hf__lmdb_tier *tier)
{
    static atomic_uint next;
    static _Thread_local unsigned own; /* 0: none yet */

    if (own == 0)
        own = atomic_fetch_add(&next, 1) % 0x40000000u + 1;
    return own % tier->n_slots;
}

static struct hf_local_snap *pool_take(struct hf__lmdb_tier *tier)
{
    unsigned own = own_slot(tier);

    for (unsigned i = 0; i < tier->n_slots; i++) {
        struct hf__lmdb_slot *slot = &tier->pool[(own + i) % tier->n_slots];

        if (atomic_load_explicit(&slot->snap, memory_order_relaxed)) {
            struct hf_local_snap *snap = atomic_exchange_explicit(&slot->snap, NULL, memory_order_acquire);

            if (snap)
                return snap;
        }
    }
    return NULL;
}

static bool pool_give(struct hf__lmdb_tier *tier, struct hf_local_snap *snap)
{
    unsigned own = own_slot(tier);

    for (unsigned i = 0; i < tier->n_slots; i++) {
        struct hf__lmdb_slot *slot = &tier->pool[(own + i) % tier->n_slots];
        struct hf_local_snap *empty = NULL;

        if (atomic_compare_exchange_strong_explicit(&slot->snap, &empty, snap, memory_order_release,
                                                    memory_order_relaxed))
            return true;
    }
    return false;
}

/* ---- begin and end ---- */

static bool is_current(const struct hf_local_snap *snap)
{
    return snap->is_live && snap->n_commits == atomic_load(&snap->tier->n_commits);
}

static void rest(struct hf_local_snap *snap)
{
    if (snap->is_live)
        mdb_txn_reset(snap->mdb);
    snap->is_live = false;
}

static struct hf_local_snap *snap_new(struct hf__lmdb_tier *tier)
{
    struct hf_local_snap *snap = calloc(1, sizeof(*snap));

    if (snap)
        snap->tier = tier;
    return snap;
}

/* LMDB's code. The commits are counted first: one that ends meanwhile makes the snapshot older than it is. */
static int start(struct hf_local_snap *snap)
{
    int rc;

    rest(snap);
    snap->n_commits = atomic_load(&snap->tier->n_commits);
    if (snap->mdb)
        rc = mdb_txn_renew(snap->mdb);
    else
        rc = mdb_txn_begin(snap->tier->env.mdb, NULL, MDB_RDONLY, &snap->mdb);
    if (rc != 0)
        return rc;
    snap->is_live = true;
    snap->state_known = false;
    snap->renewed = 0;
    return 0;
}

/* LMDB's code. `*ret_snap` is set only on 0. */
static int renew(struct hf__lmdb_tier *tier, struct hf_local_snap **ret_snap)
{
    struct hf_local_snap *snap = pool_take(tier);
    int rc = 0;

    if (!snap && !(snap = snap_new(tier)))
        return ENOMEM;
    if (!is_current(snap))
        rc = start(snap);
    if (rc == 0)
        *ret_snap = snap;
    else
        snap_free(snap);
    return rc;
}

static int begin(struct hf__lmdb_tier *tier, struct hf_local_snap **ret_snap)
{
    int rc = renew(tier, ret_snap);

    if (rc == MDB_READERS_FULL) {
        hf__lmdb_env_clear_dead(&tier->env);
        rc = renew(tier, ret_snap);
    }
    return rc;
}

/* Wait until no snapshot is open, then map the grown file. The lock is held. */
static int remap(struct hf__lmdb_tier *tier)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += REMAP_WAIT_S;
    while (tier->n_open > 0) {
        if (pthread_cond_timedwait(&tier->closed, &tier->lock, &until) != 0)
            return hf__fail(HF_EBUSY, "local tier %s has grown: it can be mapped when %u open snapshots have ended",
                            tier->env.path, tier->n_open);
    }
    return hf__lmdb_env_remap(&tier->env);
}

/* A reader's snapshots are counted, because a map that its owner made larger can be moved only between them. */
static int begin_reader(struct hf__lmdb_tier *tier, struct hf_local_snap **ret_snap)
{
    int rc;

    pthread_mutex_lock(&tier->lock);
    rc = begin(tier, ret_snap);
    if (rc == MDB_MAP_RESIZED) {
        rc = remap(tier);
        if (rc != 0)
            goto done;
        rc = begin(tier, ret_snap);
    }
    if (rc == 0)
        tier->n_open++;
    else
        rc = hf__lmdb_fail(&tier->env, rc, "beginning a snapshot");
done:
    pthread_mutex_unlock(&tier->lock);
    return rc;
}

int hf__lmdb_snap_begin(struct hf_local_tier *handle, struct hf_local_snap **ret_snap)
{
    struct hf__lmdb_tier *tier = (struct hf__lmdb_tier *)handle;
    int rc;

    if (tier->env.read_only)
        return begin_reader(tier, ret_snap);
    rc = begin(tier, ret_snap);
    return rc == 0 ? 0 : hf__lmdb_fail(&tier->env, rc, "beginning a snapshot");
}

static void note_closed(struct hf__lmdb_tier *tier)
{
    pthread_mutex_lock(&tier->lock);
    tier->n_open--;
    pthread_cond_signal(&tier->closed);
    pthread_mutex_unlock(&tier->lock);
}

void hf__lmdb_snap_end(struct hf_local_snap *snap)
{
    struct hf__lmdb_tier *tier;

    if (!snap)
        return;
    tier = snap->tier;
    if (tier->env.read_only || !is_current(snap))
        rest(snap);
    if (!pool_give(tier, snap))
        snap_free(snap);
    if (tier->env.read_only)
        note_closed(tier);
}

void hf__lmdb_pool_reset_old(struct hf__lmdb_tier *tier)
{
    struct hf_local_snap *snap;

    for (unsigned i = 0; i < tier->n_slots; i++) {
        if (!atomic_load_explicit(&tier->pool[i].snap, memory_order_relaxed))
            continue;
        snap = atomic_exchange_explicit(&tier->pool[i].snap, NULL, memory_order_acquire);
        if (snap && !is_current(snap))
            rest(snap);
        if (snap && !pool_give(tier, snap))
            snap_free(snap);
    }
}

uint64_t hf__lmdb_snap_covered_lsn(struct hf_local_snap *snap)
{
    return hf__lmdb_state_load(snap) == 0 ? snap->state.covered_lsn : 0;
}
