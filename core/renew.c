/* A copied directory becomes a node of its own. Its id is new, and so are the mark and the numbers that go with it; what it
 * inherited stays.
 *
 *   checkpoint ──► increments and batches that wait are in doubt ──► checkpoint: with them the new id, in one commit
 *
 * The other directory may have sent such an entry, or another one under the same LSN: no mark can tell. Changes in rows are
 * compared with what Redis holds, whoever wrote it, and need no mark. */
#include "renew.h"

#include "audit.h"
#include "checkpoint.h"
#include "fail.h"
#include "settle.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

int hf__node_id(char ret_node[33])
{
    uint8_t bytes[16];

    if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
        return hf__fail_errno(HF_EIO, errno, "cannot make a node id");
    for (size_t i = 0; i < sizeof(bytes); i++)
        snprintf(ret_node + 2 * i, 3, "%02x", bytes[i]);
    return 0;
}

int hf__renew_store(struct hf *store, struct hf_local_txn *txn)
{
    const struct hf_renewal *renewal = &store->renewal;
    uint8_t lsn[8];
    int rc;

    if (!atomic_load(&renewal->is_due))
        return 0;
    hf__put64(lsn, renewal->inherited_lsn);
    rc = store->local->ops->meta_put(txn, hf__slice_str(HF_META_NODE), hf__slice_str(renewal->node));
    if (rc == 0)
        rc = store->local->ops->meta_put(txn, hf__slice_str(HF_META_INHERITED), hf__slice(lsn, sizeof(lsn)));
    if (rc == 0) { /* what was sent until now is the other's to send again */
        hf__put64(lsn, renewal->inherited_lsn + 1);
        rc = store->local->ops->meta_put(txn, hf__slice_str(HF_META_REPLAYS), hf__slice(lsn, sizeof(lsn)));
    }
    return rc;
}

/* ---- what waits in lanes ---- */

/* Borrowed from the snapshot. */
struct lane {
    struct hf_lane_entry *entries;
    size_t n, capacity;
};

static int add(struct lane *lane, const struct hf_lane_entry *entry)
{
    size_t capacity = lane->capacity ? 2 * lane->capacity : 64;
    struct hf_lane_entry *grown = lane->entries;

    if (lane->n == lane->capacity)
        grown = realloc(lane->entries, capacity * sizeof(*grown));
    if (!grown)
        return hf__fail(HF_ENOMEM, "out of memory: %zu entries of a lane", capacity);
    if (lane->n == lane->capacity)
        lane->capacity = capacity;
    lane->entries = grown;
    lane->entries[lane->n++] = *entry;
    return 0;
}

static int read_lane(struct hf *store, struct hf_local_snap *snap, struct lane *lane)
{
    struct hf_lane_entry entry = {.lsn = 0};
    int rc = 0;

    while (rc == 0) {
        rc = store->local->ops->lane_next(snap, entry.lsn + 1, &entry);
        if (rc == 0)
            rc = add(lane, &entry);
    }
    return rc == HF_NOT_FOUND ? 0 : rc;
}

static int park(struct hf *store, const struct lane *lane)
{
    struct hf_parking how = {.in_doubt = true,
                             .from_lane = true,
                             .reason =
                                 "it waited when this directory became a node of its own, and the one that it "
                                 "was copied from may have sent it"};

    if (lane->n == 0)
        return 0;
    if (!hf__settle_may_park(store, lane->n))
        return hf__fail(
            HF_EFULL,
            "the parked list has no room for the %zu increments and changes of batches that wait: requeue or "
            "drop entries, or raise parked_max",
            lane->n);
    return hf__settle_park(store, lane->entries, lane->n, &how)
               ? 0
               : hf__fail(HF_ENOMEM, "out of memory: parked entries");
}

static int park_lane(struct hf *store)
{
    struct hf_local_snap *snap;
    struct lane lane = {0};
    int rc = store->local->ops->snap_begin(store->local, &snap);

    if (rc != 0)
        return rc;
    store->renewal.inherited_lsn = store->local->ops->snap_covered_lsn(snap);
    rc = read_lane(store, snap, &lane);
    if (rc == 0)
        rc = park(store, &lane);
    store->local->ops->snap_end(snap);
    free(lane.entries);
    return rc;
}

/* ---- all of it ---- */

int hf_renew_node(struct hf *store)
{
    struct hf_audit_entry audit = {.verb = "renew-node"};
    int rc = hf__check_handle(store, true);

    if (rc == 0 && store->link)
        rc = hf__fail(HF_EINVAL, "a store gets a new node id only while it is open without its shared tier");
    if (rc != 0)
        return rc;
    audit.detail = store->node;
    rc = hf__audit(store, &audit);
    if (rc == 0)
        rc = hf_checkpoint(store);
    if (rc == 0)
        rc = hf__node_id(store->renewal.node);
    if (rc == 0)
        rc = park_lane(store);
    if (rc != 0)
        return rc;
    atomic_store(&store->renewal.is_due, true);
    return hf_checkpoint(store);
}
