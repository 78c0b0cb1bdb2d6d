/* Reading single keys: overlay, local tier, and Redis for what is not held here. */
#include "fail.h"
#include "link.h"
#include "lookup.h"
#include "write.h"

#include <stdlib.h>

/* What a read found, copied out of the look. */
struct read {
    struct hf_buf value;
    bool live;
    struct hf_result result;
};

static enum hf_origin origin_of(struct hf *store, const struct hf_found *found, enum hf_owed owed, struct hf_ns *ns)
{
    if (owed != HF_OWED_NOTHING)
        return HF_ORIGIN_PENDING;
    if (!store->sharing || ns->write_mode == HF_WRITE_LOCAL)
        return HF_ORIGIN_LOCAL_VERIFIED;
    return found->held ? HF_ORIGIN_LOCAL_UNVERIFIED : HF_ORIGIN_NONE;
}

static void describe(struct hf *store, struct hf_slice key, const struct hf_found *found, enum hf_owed owed,
                     struct hf_result *r)
{
    struct hf_ns *ns = hf__ns_of(&store->namespaces, key);

    *r = (struct hf_result){
        .lsn = found->lsn,
        .origin = origin_of(store, found, owed, ns),
        .pending = owed != HF_OWED_NOTHING,
        .shared = owed == HF_OWED_NOTHING,
        .deadline_ms = found->live ? found->deadline_ms : 0,
        .tentative = owed == HF_OWED_LANE && found->top && found->top->op == HF_ENTRY_INCR,
        .existed = found->held,
    };
}

/* What this store holds, with nothing shown that a crash could take back. `with_value`: copy it. */
static int read_local(struct hf *store, struct hf_slice key, bool with_value, struct read *ret_read)
{
    struct read out = {0};
    struct hf_found found;
    struct hf_look look;
    enum hf_owed owed = HF_OWED_NOTHING;
    int rc = hf__look_begin(store, &look);

    if (rc == 0)
        rc = hf__look_up(&look, key, &found);
    if (rc == 0 && store->sharing)
        rc = hf__look_owed(&look, key, &found, &owed);
    if (rc == 0) {
        describe(store, key, &found, owed, &out.result);
        out.live = found.live;
    }
    if (rc == 0 && found.live && with_value)
        rc = hf__buf_copy(found.value, &out.value);
    hf__look_end(&look);
    if (rc == 0)
        rc = hf__wait_readable(store, out.result.lsn);
    if (rc != 0) {
        hf_buf_release(&out.value);
        return rc;
    }
    out.result.durable = store->read_only || out.result.lsn <= hf__journal_durable_lsn(store->journal);
    *ret_read = out;
    return 0;
}

/* Ask Redis, and keep a clean copy. */
static int read_shared(struct hf *store, struct hf_slice key, const struct read *local, struct read *ret_read)
{
    struct hf_fetched fetched = {0};
    int rc = hf__link_fetch(store, key, &fetched);

    if (rc != 0)
        return rc;
    *ret_read = (struct read){.live = fetched.found, .value = fetched.value};
    ret_read->result = (struct hf_result){.origin = HF_ORIGIN_SHARED,
                                          .shared = true,
                                          .durable = true,
                                          .deadline_ms = fetched.deadline_ms,
                                          .existed = fetched.found};
    if (fetched.found)
        hf__write_fetched(store, key, hf__slice(fetched.value.data, fetched.value.len), fetched.deadline_ms,
                          local->result.lsn, local->result.existed);
    return 0;
}

static bool asks_shared(struct hf *store, struct hf_slice key, const struct read *local)
{
    struct hf_ns *ns = hf__ns_of(&store->namespaces, key);

    if (!store->link || ns->write_mode == HF_WRITE_LOCAL || local->result.pending)
        return false;
    return ns->read_mode == HF_READ_SHARED || !local->result.existed;
}

static int read_key(struct hf *store, struct hf_slice key, bool with_value, struct read *ret_read)
{
    struct read local, shared;
    int rc = hf__check_handle(store, false);

    if (rc == 0)
        rc = hf__check_key(key);
    if (rc == 0)
        rc = read_local(store, key, with_value, &local);
    if (rc != 0)
        return rc;
    if (asks_shared(store, key, &local)) {
        rc = read_shared(store, key, &local, &shared);
        if (rc == 0 || rc == HF_EWRONGTYPE) {
            hf_buf_release(&local.value);
            if (rc != 0)
                return rc;
            local = shared;
        } /* otherwise Redis cannot answer: what is held here holds */
    }
    *ret_read = local;
    return local.live ? 0 : HF_NOT_FOUND;
}

static void give_result(const struct read *r, int rc, struct hf_result *ret_result)
{
    if (!ret_result)
        return;
    *ret_result = r->result;
    ret_result->code = rc;
}

int hf_get(struct hf *store, struct hf_slice key, struct hf_buf *ret_value, struct hf_result *ret_result)
{
    struct read r = {0};
    int rc = read_key(store, key, true, &r);

    if (rc == 0)
        *ret_value = r.value;
    else
        hf_buf_release(&r.value);
    if (rc >= 0)
        give_result(&r, rc, ret_result);
    return rc;
}

int hf_get_into(struct hf *store, struct hf_slice key, void *buffer, size_t capacity, size_t *ret_len,
                struct hf_result *ret_result)
{
    struct read r = {0};
    int rc = read_key(store, key, true, &r);

    if (rc == 0) {
        size_t n = r.value.len < capacity ? r.value.len : capacity;
        if (n > 0)
            memcpy(buffer, r.value.data, n);
        *ret_len = r.value.len;
    }
    hf_buf_release(&r.value);
    if (rc >= 0)
        give_result(&r, rc, ret_result);
    return rc;
}

int hf_exists(struct hf *store, struct hf_slice key, struct hf_result *ret_result)
{
    struct read r = {0};
    int rc = read_key(store, key, false, &r);

    hf_buf_release(&r.value);
    if (rc >= 0)
        give_result(&r, rc, ret_result);
    return rc;
}

int hf_ttl(struct hf *store, struct hf_slice key, int64_t *ret_ttl_ms, struct hf_result *ret_result)
{
    struct read r = {0};
    int rc = read_key(store, key, false, &r);

    hf_buf_release(&r.value);
    if (rc == 0) {
        int64_t left = r.result.deadline_ms - hf__now_ms(store);
        *ret_ttl_ms = r.result.deadline_ms == 0 ? -1 : left > 0 ? left : 1;
    }
    if (rc >= 0)
        give_result(&r, rc, ret_result);
    return rc;
}
