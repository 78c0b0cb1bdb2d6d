/* Cursors: per namespace, what is known of Redis's history, kept in each checkpoint for the next opening
 * (docs/reconcile.md, "Evidence of loss"). */
#include "link_state.h"

#include "checkpoint.h"
#include "fail.h"

#include <stdlib.h>

/* Only a gap has the copies compared that nobody but Holdfast writes; until they are, the log is as unread as before it. */
static bool is_behind_a_gap(const struct hf_ns *ns, const struct hf_cursor *cursor)
{
    return ns->sweep && ns->writers != HF_WRITERS_ANY && strcmp(cursor->epoch, ns->epoch) == 0;
}

void hf__link_publish_cursor(struct hf_link *link, const struct hf_ns *ns)
{
    struct hf_cursor *cursor = &link->published[ns - link->store->namespaces.all];
    /* Otherwise a crash must find the log where these keys are named, or the gap in it again. */
    bool refreshed = hf__refresh_is_done(link) && !is_behind_a_gap(ns, cursor);

    /* Until the records of a loss are made, the next connection must find it again. */
    if (ns->losing || atomic_load(&ns->adopt))
        return;
    pthread_mutex_lock(&link->mutex);
    if (refreshed) {
        memcpy(cursor->epoch, ns->epoch, sizeof(cursor->epoch));
        memcpy(cursor->log_id, ns->log_id, sizeof(cursor->log_id));
        cursor->ended_mark = ns->ended_mark;
    } else if (!cursor->epoch[0]) { /* the first one, of a log that is to be read from its beginning */
        memcpy(cursor->epoch, ns->epoch, sizeof(cursor->epoch));
    }
    if (strcmp(cursor->epoch, ns->epoch) == 0) { /* or a crash would forget what was acknowledged meanwhile */
        cursor->mark = ns->mark;
        memcpy(cursor->mark_id, ns->mark_id, sizeof(cursor->mark_id));
        cursor->acked_lsn = ns->acked_lsn;
        memcpy(cursor->acked_id, ns->acked_id, sizeof(cursor->acked_id));
    }
    pthread_mutex_unlock(&link->mutex);
}

void hf__link_save_cursors(struct hf *store)
{
    pthread_mutex_lock(&store->link->mutex);
    memcpy(store->link->saved, store->link->published, store->namespaces.n * sizeof(struct hf_cursor));
    memcpy(store->link->saved_run_id, store->link->run_id, sizeof(store->link->run_id));
    store->link->saved_past = store->link->past;
    pthread_mutex_unlock(&store->link->mutex);
}

/* docs/local-tier-format.md, "The engine's named values". */
#define CURSOR_BYTES (32 + 3 * 8 + 3 * HF_STREAM_ID_MAX)

static void encode_cursor(const struct hf_cursor *cursor, uint8_t bytes[CURSOR_BYTES])
{
    memcpy(bytes, cursor->epoch, 32);
    hf__put64(bytes + 32, cursor->mark);
    memcpy(bytes + 40, cursor->log_id, HF_STREAM_ID_MAX);
    hf__put64(bytes + 40 + HF_STREAM_ID_MAX, cursor->ended_mark);
    memcpy(bytes + 48 + HF_STREAM_ID_MAX, cursor->mark_id, HF_STREAM_ID_MAX);
    hf__put64(bytes + 48 + 2 * HF_STREAM_ID_MAX, cursor->acked_lsn);
    memcpy(bytes + 56 + 2 * HF_STREAM_ID_MAX, cursor->acked_id, HF_STREAM_ID_MAX);
}

int hf__link_store_cursors(struct hf *store, struct hf_local_txn *txn)
{
    int rc = 0;

    if (store->link->saved_run_id[0])
        rc = store->local->ops->meta_put(txn, hf__slice_str(HF_META_SERVER),
                                         hf__slice_str(store->link->saved_run_id));
    if (rc == 0)
        rc = hf__past_store(store, txn, &store->link->saved_past);
    for (size_t i = 0; i < store->namespaces.n && rc == 0; i++) {
        const struct hf_cursor *cursor = &store->link->saved[i];
        uint8_t bytes[CURSOR_BYTES], name[HF_META_NAME_MAX];
        if (!cursor->epoch[0])
            continue;
        encode_cursor(cursor, bytes);
        rc = store->local->ops->meta_put(txn, hf__meta_name(HF_META_CURSOR, &store->namespaces.all[i], name),
                                         hf__slice(bytes, sizeof(bytes)));
    }
    return rc;
}

/* What an earlier node's mark covered is in the values; this one's lane begins behind it, with a mark of its own. */
static void begin_lane_behind(struct hf_ns *ns, uint64_t inherited_lsn)
{
    if (ns->mark <= inherited_lsn) {
        ns->mark = 0;
        ns->mark_id[0] = '\0';
    }
    if (ns->ended_mark < inherited_lsn)
        ns->ended_mark = inherited_lsn;
    if (ns->acked_lsn <= inherited_lsn)
        hf__ns_forget_acked(ns);
}

static void decode_id(const uint8_t *bytes, char id[HF_STREAM_ID_MAX])
{
    memcpy(id, bytes, HF_STREAM_ID_MAX);
    id[HF_STREAM_ID_MAX - 1] = '\0';
}

/* What the journal tells of acknowledgements is newer. */
static void decode_cursor(const uint8_t *bytes, struct hf_ns *ns)
{
    char acked_id[HF_STREAM_ID_MAX];

    ns->mark = hf__get64(bytes + 32);
    decode_id(bytes + 40, ns->log_id);
    ns->ended_mark = hf__get64(bytes + 40 + HF_STREAM_ID_MAX);
    decode_id(bytes + 48 + HF_STREAM_ID_MAX, ns->mark_id);
    decode_id(bytes + 56 + 2 * HF_STREAM_ID_MAX, acked_id);
    hf__ns_note_acked(ns, hf__get64(bytes + 48 + 2 * HF_STREAM_ID_MAX), acked_id);
}

static int load_cursor(struct hf *store, struct hf_local_snap *snap, struct hf_ns *ns)
{
    uint8_t name[HF_META_NAME_MAX];
    struct hf_slice value;
    char epoch[33] = "";
    int rc = store->local->ops->meta_get(snap, hf__meta_name(HF_META_CURSOR, ns, name), &value);

    if (rc != 0)
        return rc == HF_NOT_FOUND ? 0 : rc;
    if (value.len != CURSOR_BYTES)
        return hf__fail(HF_ECORRUPT, "the cursor of namespace '%.40s' has %zu bytes; expected %d",
                        (const char *)ns->prefix.data, value.len, CURSOR_BYTES);
    memcpy(epoch, value.data, 32);
    rc = hf__ns_set_epoch(ns, epoch);
    decode_cursor(value.data, ns);
    return rc;
}

static int load_inherited(struct hf *store, struct hf_local_snap *snap, uint64_t *ret_lsn)
{
    struct hf_slice value;
    int rc = store->local->ops->meta_get(snap, hf__slice_str(HF_META_INHERITED), &value);

    if (rc == 0 && value.len == 8)
        *ret_lsn = hf__get64(value.data);
    return rc == HF_NOT_FOUND ? 0 : rc;
}

static int load_server(struct hf *store, struct hf_local_snap *snap)
{
    struct hf_slice id;
    int rc = store->local->ops->meta_get(snap, hf__slice_str(HF_META_SERVER), &id);

    if (rc == 0 && id.len < sizeof(store->link->run_id))
        memcpy(store->link->run_id, id.data, id.len);
    return rc == HF_NOT_FOUND ? 0 : rc;
}

/* The commit that retained an entry may hold the mark of the one before. */
static int raise_mark_by_retained(struct hf *store, struct hf_local_snap *snap)
{
    struct hf_lane_entry entry = {.lsn = 0};
    struct hf_ns *ns;
    int rc = 0;

    while (rc == 0) {
        rc = store->local->ops->retained_next(snap, entry.lsn + 1, &entry);
        if (rc != 0 || (entry.flags & HF_LANE_PLAIN))
            continue;
        ns = hf__ns_of(&store->namespaces, entry.key);
        if (entry.lsn > ns->mark && entry.lsn > ns->ended_mark)
            ns->recovered_mark = entry.lsn;
    }
    return rc == HF_NOT_FOUND ? 0 : rc;
}

int hf__link_load_cursors(struct hf *store)
{
    struct hf_link *link = store->link;
    struct hf_local_snap *snap;
    uint64_t inherited_lsn = 0;
    int rc;

    link->published = calloc(store->namespaces.n, sizeof(*link->published));
    link->saved = calloc(store->namespaces.n, sizeof(*link->saved));
    if (!link->published || !link->saved)
        return hf__fail(HF_ENOMEM, "out of memory: the cursors of %zu namespaces", store->namespaces.n);
    rc = store->local->ops->snap_begin(store->local, &snap);
    if (rc != 0)
        return rc;
    rc = load_server(store, snap);
    if (rc == 0)
        rc = load_inherited(store, snap, &inherited_lsn);
    if (rc == 0)
        rc = hf__past_load(store, snap);
    for (size_t i = 0; i < store->namespaces.n && rc == 0; i++) {
        rc = load_cursor(store, snap, &store->namespaces.all[i]);
        begin_lane_behind(&store->namespaces.all[i], inherited_lsn);
        hf__link_publish_cursor(link, &store->namespaces.all[i]);
    }
    if (rc == 0)
        rc = raise_mark_by_retained(store, snap);
    store->local->ops->snap_end(snap);
    return rc;
}
