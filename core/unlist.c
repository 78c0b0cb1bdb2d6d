/* Taking entries off the parked list and the conflict log. */
#include "unlist.h"

#include "audit.h"
#include "checkpoint.h"
#include "fail.h"
#include "settle.h"

#include <inttypes.h>

int hf__unlist_prepare(struct hf *store)
{
    return store->read_only || atomic_load(&store->unsaved) == 0 ? 0 : hf__checkpoint_wait(store);
}

static bool is_parked(const struct hf_unlist *unlist)
{
    return unlist->what == HF_LEFT_UNPARK;
}

static int find_in(struct hf_local_snap *snap, const struct hf_local_ops *ops, const struct hf_unlist *unlist)
{
    struct hf_conflict_row conflict;
    struct hf_parked_row parked;
    uint64_t found = 0;
    int rc;

    if (is_parked(unlist)) {
        rc = ops->parked_next(snap, unlist->listed, &parked);
        found = rc == 0 ? parked.entry.lsn : 0;
    } else {
        rc = ops->conflict_next(snap, unlist->listed, &conflict);
        found = rc == 0 ? conflict.id : 0;
    }
    return rc == 0 && found != unlist->listed ? HF_NOT_FOUND : rc;
}

int hf__unlist_missing(const struct hf_unlist *unlist)
{
    return hf__fail(HF_NOT_FOUND, "there is no %s with the number %" PRIu64,
                    is_parked(unlist) ? "parked entry" : "conflict", unlist->listed);
}

/* What was left for a commit is looked for first: then what is missing there is in the snapshot, or was never listed. */
int hf__unlist_check(struct hf *store, const struct hf_unlist *unlist)
{
    struct hf_local_snap *snap;
    int rc = HF_NOT_FOUND;

    if (!hf__settle_is_unlisted(store, unlist->what, unlist->listed)) {
        rc = store->local->ops->snap_begin(store->local, &snap);
        if (rc != 0)
            return rc;
        rc = find_in(snap, store->local->ops, unlist);
        store->local->ops->snap_end(snap);
    }
    return rc == HF_NOT_FOUND ? hf__unlist_missing(unlist) : rc;
}

int hf__unlist_audit(struct hf *store, const struct hf_unlist *unlist, const char *verb)
{
    struct hf_audit_entry entry = {.verb = verb, .key = unlist->key};

    if (is_parked(unlist))
        entry.lsn = unlist->listed;
    else
        entry.conflict_id = unlist->listed;
    return hf__audit(store, &entry);
}

/* Two threads may want the same: the write lock decides. */
static int leave(struct hf *store, const struct hf_unlist *unlist)
{
    int rc;

    pthread_mutex_lock(&store->write_mutex);
    rc = hf__unlist_check(store, unlist);
    if (rc == 0 && !hf__settle_unlist(store, unlist->what, unlist->listed))
        rc = hf__fail(HF_ENOMEM, "out of memory: the list of what the next checkpoint stores");
    pthread_mutex_unlock(&store->write_mutex);
    return rc;
}

int hf__unlist_alone(struct hf *store, const struct hf_unlist *unlist, const char *verb)
{
    int rc = hf__unlist_audit(store, unlist, verb);

    if (rc == 0)
        rc = leave(store, unlist);
    if (rc != 0)
        return rc;
    rc = hf__checkpoint_wait(store);
    if (rc != 0 && !hf__settle_keep_listed(store, unlist->what, unlist->listed, true))
        rc = 0; /* a later one has stored it */
    return rc;
}

/* ---- with a change ---- */

struct hf_entry hf__unlist_entry(const struct hf *store, const struct hf_unlist *unlist)
{
    return (struct hf_entry){.op = is_parked(unlist) ? HF_ENTRY_UNPARK : HF_ENTRY_RESOLVE,
                             .type = HF_TYPE_STRING,
                             .flags = HF_ENTRY_LOCAL,
                             .made_ms = hf__now_ms(store),
                             .delta = (int64_t)unlist->listed,
                             .key = unlist->key};
}

bool hf__is_unlist_entry(const struct hf_entry *entry)
{
    return entry->op == HF_ENTRY_UNPARK || entry->op == HF_ENTRY_RESOLVE;
}

/* A reader stores nothing: it shows the lists as they are stored. */
int hf__unlist_recovered(struct hf *store, const struct hf_entry *entry)
{
    unsigned what = entry->op == HF_ENTRY_UNPARK ? HF_LEFT_UNPARK : HF_LEFT_RESOLVE;

    if (store->read_only || hf__settle_unlist(store, what, (uint64_t)entry->delta))
        return 0;
    return hf__fail(HF_ENOMEM, "out of memory: the list of what the next checkpoint stores");
}
