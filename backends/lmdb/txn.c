/* The write transaction. */
#include "txn.h"

#include "env.h"
#include "file_length.h"
#include "lmdb_fail.h"
#include "ops.h"
#include "room.h"
#include "snapshot.h"
#include "state.h"
#include "fail.h"

#include <stdlib.h>

static int begin(struct hf__lmdb_tier *tier, struct hf_local_txn **ret_txn)
{
    struct hf_local_txn *txn = calloc(1, sizeof(*txn));
    int rc;

    if (!txn)
        return hf__fail(HF_ENOMEM, "out of memory: a write transaction");
    txn->snap.tier = tier;
    txn->snap.writes = true;
    hf__lmdb_pool_reset_old(tier);
    rc = mdb_txn_begin(tier->env.mdb, NULL, 0, &txn->snap.mdb);
    if (rc != 0) {
        free(txn);
        return hf__lmdb_fail(&tier->env, rc, "beginning a write transaction");
    }
    hf__lmdb_room_init(txn);
    rc = hf__lmdb_state_load(&txn->snap);
    if (rc != 0) {
        hf__lmdb_txn_abort(txn);
        return rc;
    }
    *ret_txn = txn;
    return 0;
}

/* Pages that the last commit freed can be taken only after one more commit. So if the limit was met or is near, commit
 * once for nothing: otherwise a large transaction could be refused for ever. */
static void release_freed(struct hf__lmdb_tier *tier)
{
    struct hf_local_txn *txn;

    tier->was_full = false;
    hf__lmdb_env_clear_dead(&tier->env);
    if (begin(tier, &txn) == 0)
        (void)hf__lmdb_txn_commit(txn); /* if there is no room even for this, the transaction proper will say so */
}

int hf__lmdb_txn_begin(struct hf_local_tier *handle, uint64_t covered_lsn, struct hf_local_txn **ret_txn)
{
    struct hf__lmdb_tier *tier = (struct hf__lmdb_tier *)handle;
    struct hf_local_txn *txn;
    int rc;

    if (tier->env.read_only)
        return hf__fail(HF_EREADONLY, "local tier %s is open for reading only", tier->env.path);
    if (tier->was_full || hf__lmdb_room_is_behind(tier))
        release_freed(tier);
    rc = begin(tier, &txn);
    if (rc != 0)
        return rc;
    txn->snap.state.covered_lsn = covered_lsn;
    *ret_txn = txn;
    return 0;
}

static int commit(struct hf_local_txn *txn)
{
    struct hf__lmdb_tier *tier = txn->snap.tier;
    int rc;

    if (txn->failed)
        return hf__fail(txn->failed, "local tier %s: not committed, because a change in it failed: %s",
                        tier->env.path, hf_code_text(txn->failed));
    rc = hf__lmdb_pending_tidy(txn);
    if (rc == 0)
        rc = hf__lmdb_state_store(txn);
    if (rc != 0)
        return rc;
    rc = mdb_txn_commit(txn->snap.mdb);
    txn->snap.mdb = NULL;
    if (rc == 0) {
        atomic_fetch_add(&tier->n_commits, 1);
        hf__lmdb_length_cover(&tier->env);
        return 0;
    }
    rc = hf__lmdb_fail(&tier->env, rc, "committing");
    tier->was_full = rc == HF_EFULL;
    return rc;
}

int hf__lmdb_txn_commit(struct hf_local_txn *txn)
{
    int rc = commit(txn);

    hf__lmdb_txn_abort(txn);
    return rc;
}

void hf__lmdb_txn_abort(struct hf_local_txn *txn)
{
    if (!txn)
        return;
    if (txn->snap.mdb)
        mdb_txn_abort(txn->snap.mdb);
    free(txn);
}

struct hf_local_snap *hf__lmdb_txn_snap(struct hf_local_txn *txn)
{
    return &txn->snap;
}
