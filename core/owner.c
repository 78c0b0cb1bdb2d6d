/* The openings of a store. Kept in the local tier: first the last one that has connected, then the others, newest first. */
#include "owner.h"

#include "checkpoint.h"
#include "fail.h"

#include <errno.h>
#include <stdio.h>
#include <sys/random.h>

static int load(struct hf *store)
{
    struct hf_shared_owner *owner = &store->owner;
    struct hf_local_snap *snap;
    struct hf_slice ids;
    int rc = store->local->ops->snap_begin(store->local, &snap);

    if (rc != 0)
        return rc;
    rc = store->local->ops->meta_get(snap, hf__slice_str(HF_META_OPENINGS), &ids);
    if (rc == 0 && ids.len % HF_OWNER_ID == 0 && ids.len <= sizeof(owner->known)) {
        memcpy(owner->known, ids.data, ids.len);
        owner->n_known = ids.len / HF_OWNER_ID;
    }
    store->local->ops->snap_end(snap);
    return rc == HF_NOT_FOUND ? 0 : rc;
}

static int make_id(struct hf_shared_owner *owner)
{
    uint8_t bytes[HF_OWNER_ID / 2];

    if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
        return hf__fail_errno(HF_EIO, errno, "cannot make an id for this opening of the store");
    for (size_t i = 0; i < sizeof(bytes); i++)
        snprintf(owner->id + 2 * i, 3, "%02x", bytes[i]);
    return 0;
}

/* Behind the last one that has connected: its token is what Redis will show. The oldest of too many is forgotten. */
static void add(struct hf_shared_owner *owner)
{
    size_t at = owner->n_known > 0 ? 1 : 0;

    if (owner->n_known == HF_OWNERS_MAX)
        owner->n_known--;
    memmove(owner->known[at + 1], owner->known[at], (owner->n_known - at) * HF_OWNER_ID);
    memcpy(owner->known[at], owner->id, HF_OWNER_ID);
    owner->n_known++;
}

static int put(struct hf *store, struct hf_local_txn *txn, char known[][HF_OWNER_ID])
{
    return store->local->ops->meta_put(txn, hf__slice_str(HF_META_OPENINGS),
                                       hf__slice(known, store->owner.n_known * HF_OWNER_ID));
}

int hf__owner_begin(struct hf *store)
{
    const struct hf_local_ops *ops = store->local->ops;
    struct hf_local_txn *txn;
    int rc = load(store);

    if (rc == 0)
        rc = make_id(&store->owner);
    if (rc != 0)
        return rc;
    add(&store->owner);
    rc = ops->txn_begin(store->local, atomic_load(&store->covered_lsn), &txn);
    if (rc != 0)
        return rc;
    rc = put(store, txn, store->owner.known);
    if (rc == 0)
        return ops->txn_commit(txn);
    ops->txn_abort(txn);
    return rc;
}

int hf__owner_store(struct hf *store, struct hf_local_txn *txn)
{
    char known[HF_OWNERS_MAX][HF_OWNER_ID];

    if (!atomic_load(&store->owner_connected) || store->owner.n_known < 2)
        return 0;
    memcpy(known, store->owner.known, sizeof(known));
    memcpy(known[0], store->owner.known[1], HF_OWNER_ID);
    memcpy(known[1], store->owner.known[0], HF_OWNER_ID);
    return put(store, txn, known);
}
