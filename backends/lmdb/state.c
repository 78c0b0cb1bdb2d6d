/* What `meta` keeps under "state". */
#include "state.h"

#include "seal.h"
#include "table.h"
#include "fail.h"

static struct hf_slice state_name(void)
{
    return hf__slice_str(HF__LMDB_STATE_NAME);
}

void hf__lmdb_state_encode(const struct hf__lmdb_state *state, uint8_t *to)
{
    hf__put64(to + 8, state->covered_lsn);
    hf__put64(to + 16, state->next_node);
    hf__put64(to + 24, state->pending_bytes);
    hf__put64(to + 32, state->in_doubt);
    hf__put64(to + 40, state->parked_bytes);
    hf__put64(to + 48, state->conflict_bytes);
    hf__put64(to + 56, state->blind_conflicts);
    hf__lmdb_seal(state_name(), to, HF__LMDB_STATE_BYTES);
}

int hf__lmdb_state_load(struct hf_local_snap *snap)
{
    struct hf_slice stored;
    const uint8_t *at;
    int rc;

    if (snap->state_known)
        return 0;
    rc = hf__lmdb_get(snap, HF__LMDB_META, state_name(), &stored);
    if (rc < 0)
        return rc;
    if (rc == HF_NOT_FOUND || stored.len != HF__LMDB_STATE_BYTES || !hf__lmdb_sealed(state_name(), stored))
        return hf__fail(HF_ECORRUPT, "local tier %s: its state entry is damaged", snap->tier->env.path);
    at = stored.data;
    snap->state = (struct hf__lmdb_state){
        .covered_lsn = hf__get64(at + 8),
        .next_node = hf__get64(at + 16),
        .pending_bytes = hf__get64(at + 24),
        .in_doubt = hf__get64(at + 32),
        .parked_bytes = hf__get64(at + 40),
        .conflict_bytes = hf__get64(at + 48),
        .blind_conflicts = hf__get64(at + 56),
    };
    snap->state_known = true;
    return 0;
}

int hf__lmdb_state_store(struct hf_local_txn *txn)
{
    uint8_t bytes[HF__LMDB_STATE_BYTES];

    hf__lmdb_state_encode(&txn->snap.state, bytes);
    return hf__lmdb_put(txn, HF__LMDB_META, state_name(), hf__slice(bytes, sizeof(bytes)));
}
