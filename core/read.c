/* Reading single keys: overlay, local tier, and Redis for what is not held here. */
#include "fail.h"
#include "link.h"
#include "lookup.h"
#include "outage.h"
#include "write.h"

#include <stdlib.h>

/* Where a read puts the value. */
enum read_into { READ_NO_VALUE, READ_NEW_BUFFER, READ_CALLERS_BUFFER };

/* What a read found, copied out of the look. */
struct read {
    enum read_into into;
    bool believed_only;   /* a copy that may be old is not enough while Redis can be asked */
    bool never_waits;     /* for Redis or for a sync */
    struct hf_buf value;  /* READ_NEW_BUFFER */
    void *buffer;         /* READ_CALLERS_BUFFER ... */
    size_t capacity, len; /* ... and the value's whole length */
    bool live;
    struct hf_result result;
};

static int take_value(struct read *r, struct hf_slice value)
{
    if (r->into == READ_NEW_BUFFER)
        return hf__buf_copy(value, &r->value);
    r->len = value.len;
    if (r->into == READ_CALLERS_BUFFER && value.len > 0)
        memcpy(r->buffer, value.data, value.len < r->capacity ? value.len : r->capacity);
    return 0;
}

/* It may be dead, and the namespace does not show such keys: as if it was not held, but for what it still owes. */
static void hide(struct hf_found *found, struct hf_result *r)
{
    found->live = false;
    *r = (struct hf_result){.lsn = found->lsn, .origin = HF_ORIGIN_NONE, .pending = r->pending};
}

/* Nothing is shown that a crash could take back; who never waits is told instead that it is not durable yet. */
static int wait_until_shown(struct hf *store, const struct read *r)
{
    if (r->never_waits && !hf__journal_stopped(store->journal))
        return 0;
    return hf__wait_readable(store, r->result.lsn);
}

/* What this store holds. */
static int read_local(struct hf *store, struct hf_slice key, struct read *r)
{
    struct hf_found found;
    struct hf_look look;
    int rc = hf__look_begin(store, &look);

    if (rc == 0)
        rc = hf__look_up(&look, key, &found);
    if (rc == 0)
        rc = hf__look_describe(&look, key, &found, &r->result);
    if (rc == 0) {
        if (hf__look_hides(&look, key, &found))
            hide(&found, &r->result);
        r->live = found.live;
    }
    if (rc == 0 && found.live)
        rc = take_value(r, found.value);
    hf__look_end(&look);
    if (rc == 0)
        rc = wait_until_shown(store, r);
    if (rc != 0) {
        hf_buf_release(&r->value);
        return rc;
    }
    r->result.durable = hf__is_durable(store, r->result.lsn);
    return 0;
}

/* Ask Redis, which leaves a clean copy; what was found here is replaced. On failure it stays. */
static int read_shared(struct hf *store, struct hf_slice key, struct read *r)
{
    struct hf_seen seen = {
        .held = r->result.existed, .lsn = r->result.lsn, .last_lsn = hf__journal_last_lsn(store->journal)};
    struct hf_fetched fetched = {0};
    int rc = hf__link_fetch(store, key, &seen, &fetched);

    if (rc != 0)
        return rc;
    hf_buf_release(&r->value);
    if (fetched.found)
        rc = take_value(r, hf__slice(fetched.value.data, fetched.value.len));
    hf_buf_release(&fetched.value);
    r->live = fetched.found;
    r->result = (struct hf_result){.origin = HF_ORIGIN_SHARED,
                                   .shared = true,
                                   .durable = true,
                                   .deadline_ms = fetched.deadline_ms,
                                   .existed = fetched.found};
    return rc;
}

static bool asks_shared(struct hf *store, struct hf_slice key, const struct read *r)
{
    struct hf_ns *ns = hf__ns_of(&store->namespaces, key);

    if (hf__outage_refuses(store, ns)) /* no copy will do; what our own unanswered change denies is denied */
        return r->live || !r->result.pending;
    if (!store->link || ns->write_mode == HF_WRITE_LOCAL || r->result.pending)
        return false;
    if (r->believed_only && r->result.origin == HF_ORIGIN_LOCAL_UNVERIFIED)
        return true;
    return ns->read_mode == HF_READ_SHARED || !r->result.existed;
}

/* Who never waits is turned away where the answer could be another's: a refusing namespace has Redis answer, what Redis
 * decides changes the key, and a reader's look may wait for the disk. */
static bool must_wait(const struct hf *store, const struct hf_ns *ns, struct hf_slice key)
{
    return store->read_only || hf__outage_refuses(store, ns) || hf__intent_may_be_out(store, key);
}

/* Where Redis cannot answer, what is held here holds. */
static int ask_shared(struct hf *store, const struct hf_ns *ns, struct hf_slice key, struct read *r)
{
    int rc;

    if (r->never_waits)
        return hf__link_is_accepting(store) ? HF_NOT_DONE : 0;
    rc = read_shared(store, key, r);
    return rc == HF_EWRONGTYPE || rc == HF_ENOMEM || hf__outage_refuses(store, ns) ? rc : 0;
}

/* Read a key as `r->into` says. The result is given also for HF_NOT_FOUND. */
static int read_key(struct hf *store, struct hf_slice key, struct read *r, struct hf_result *ret_result)
{
    const struct hf_ns *ns = NULL;
    int rc = hf__check_handle(store, false);

    if (rc == 0)
        rc = hf__check_key(key);
    if (rc == 0) {
        ns = hf__ns_of(&store->namespaces, key);
        rc = r->never_waits && must_wait(store, ns, key) ? HF_NOT_DONE : hf__outage_check(store, ns, key, true);
    }
    if (rc == 0)
        rc = read_local(store, key, r);
    if (rc == 0 && asks_shared(store, key, r))
        rc = ask_shared(store, ns, key, r);
    if (rc != 0) {
        hf_buf_release(&r->value);
        return rc;
    }
    r->result.code = r->live ? 0 : HF_NOT_FOUND;
    if (ret_result)
        *ret_result = r->result;
    return r->result.code;
}

int hf_get(struct hf *store, struct hf_slice key, struct hf_buf *ret_value, struct hf_result *ret_result)
{
    struct read r = {.into = READ_NEW_BUFFER};
    int rc = read_key(store, key, &r, ret_result);

    if (rc == 0)
        *ret_value = r.value;
    return rc;
}

int hf_get_into(struct hf *store, struct hf_slice key, void *buffer, size_t capacity, size_t *ret_len,
                struct hf_result *ret_result)
{
    struct read r = {.into = READ_CALLERS_BUFFER, .buffer = buffer, .capacity = capacity};
    int rc = read_key(store, key, &r, ret_result);

    if (rc == 0)
        *ret_len = r.len;
    return rc;
}

int hf_try_get_into(struct hf *store, struct hf_slice key, void *buffer, size_t capacity, size_t *ret_len,
                    struct hf_result *ret_result)
{
    struct read r = {.into = READ_CALLERS_BUFFER,
                     .believed_only = true,
                     .never_waits = true,
                     .buffer = buffer,
                     .capacity = capacity};
    int rc = read_key(store, key, &r, ret_result);

    if (rc == 0)
        *ret_len = r.len;
    return rc;
}

int hf_ask_into(struct hf *store, struct hf_slice key, void *buffer, size_t capacity, size_t *ret_len,
                struct hf_result *ret_result)
{
    struct read r = {.into = READ_CALLERS_BUFFER, .believed_only = true, .buffer = buffer, .capacity = capacity};
    int rc = read_key(store, key, &r, ret_result);

    if (rc == 0)
        *ret_len = r.len;
    return rc;
}

int hf_exists(struct hf *store, struct hf_slice key, struct hf_result *ret_result)
{
    struct read r = {.into = READ_NO_VALUE};

    return read_key(store, key, &r, ret_result);
}

int hf_ttl(struct hf *store, struct hf_slice key, int64_t *ret_ttl_ms, struct hf_result *ret_result)
{
    struct read r = {.into = READ_NO_VALUE};
    int rc = read_key(store, key, &r, ret_result);

    if (rc == 0) {
        int64_t left = r.result.deadline_ms - hf__now_ms(store);
        *ret_ttl_ms = r.result.deadline_ms == 0 ? -1 : left > 0 ? left : 1;
    }
    return rc;
}
