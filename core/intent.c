/* The list of intents. It is as long as callers wait for decisions, and a little longer after lost connections. */
#include "intent.h"

#include "checkpoint.h"
#include "fail.h"
#include "store.h"

#include <stdlib.h>

#define SAVED_HEADER 10 /* of one intent: u64 LSN, u16 length of the key */

void hf__intents_init(struct hf *store)
{
    pthread_cond_init(&store->intents.answered, NULL);
}

static void intent_free(struct hf_intent *intent)
{
    hf_buf_release(&intent->key);
    free(intent);
}

void hf__intents_release(struct hf *store)
{
    for (struct hf_intent *intent = store->intents.first, *next; intent; intent = next) {
        next = intent->next;
        intent_free(intent);
    }
    hf__bytes_release(&store->intents.saved);
    pthread_cond_destroy(&store->intents.answered);
}

static size_t place_of(struct hf_slice key)
{
    return hf__slice_hash(key) % HF_INTENT_PLACES;
}

static struct hf_slice key_of(const struct hf_intent *intent)
{
    return hf__slice(intent->key.data, intent->key.len);
}

static int intent_new(uint64_t lsn, struct hf_slice key, struct hf_intent **ret_intent)
{
    struct hf_intent *intent = calloc(1, sizeof(*intent));

    if (!intent || hf__buf_copy(key, &intent->key) != 0) {
        free(intent);
        return hf__fail(HF_ENOMEM, "out of memory: an intent");
    }
    intent->lsn = lsn;
    *ret_intent = intent;
    return 0;
}

static void add(struct hf *store, struct hf_intent *intent)
{
    intent->next = store->intents.first;
    store->intents.first = intent;
}

/* ---- one decision's ---- */

int hf__intent_begin(struct hf *store, struct hf_slice key, struct hf_intent **ret_intent)
{
    struct hf_entry entry = {
        .op = HF_ENTRY_INTENT, .type = HF_TYPE_STRING, .made_ms = hf__now_ms(store), .key = key};
    struct hf_intent *intent;
    int rc = intent_new(0, key, &intent);

    if (rc != 0)
        return rc;
    pthread_mutex_lock(&store->write_mutex);
    rc = hf__journal_append(store->journal, &entry, 1);
    if (rc == 0) {
        intent->lsn = entry.lsn;
        add(store, intent);
    }
    pthread_mutex_unlock(&store->write_mutex);
    if (rc != 0) {
        intent_free(intent);
        return rc;
    }
    hf__checkpoint_note_write(store);
    rc = hf__journal_sync(store->journal, entry.lsn);
    if (rc != 0)
        hf__intent_drop(store, intent);
    else
        *ret_intent = intent;
    return rc;
}

void hf__intent_drop(struct hf *store, struct hf_intent *intent)
{
    if (!intent)
        return;
    pthread_mutex_lock(&store->write_mutex);
    hf__intent_end(store, intent);
    pthread_mutex_unlock(&store->write_mutex);
}

void hf__intent_leave(struct hf *store, struct hf_intent *intent)
{
    pthread_mutex_lock(&store->write_mutex);
    hf__intent_come_back(store, intent);
    intent->left = true;
    atomic_fetch_add(&store->intents.n_left, 1);
    pthread_mutex_unlock(&store->write_mutex);
}

bool hf__intent_is_left(struct hf *store, struct hf_slice key)
{
    const struct hf_intent *intent;

    if (atomic_load(&store->intents.n_left) == 0)
        return false;
    pthread_mutex_lock(&store->write_mutex);
    intent = store->intents.first;
    while (intent && !(intent->left && hf__slice_eq(key, key_of(intent))))
        intent = intent->next;
    pthread_mutex_unlock(&store->write_mutex);
    return intent != NULL;
}

bool hf__intent_may_be_out(const struct hf *store, struct hf_slice key)
{
    return atomic_load(&store->intents.n_out) > 0 && atomic_load(&store->intents.out_at[place_of(key)]) > 0;
}

void hf__intent_go_out(struct hf *store, struct hf_intent *intent)
{
    intent->out = true;
    atomic_fetch_add(&store->intents.out_at[place_of(key_of(intent))], 1);
    atomic_fetch_add(&store->intents.n_out, 1);
}

void hf__intent_come_back(struct hf *store, struct hf_intent *intent)
{
    if (!intent->out)
        return;
    intent->out = false;
    atomic_fetch_sub(&store->intents.out_at[place_of(key_of(intent))], 1);
    atomic_fetch_sub(&store->intents.n_out, 1);
    pthread_cond_broadcast(&store->intents.answered);
}

void hf__intent_end(struct hf *store, struct hf_intent *intent)
{
    struct hf_intent **at = &store->intents.first;

    hf__intent_come_back(store, intent);
    while (*at != intent)
        at = &(*at)->next;
    *at = intent->next;
    if (intent->left)
        atomic_fetch_sub(&store->intents.n_left, 1);
    intent_free(intent);
}

bool hf__intent_is_out(const struct hf *store, const struct hf_op *ops, size_t n)
{
    if (atomic_load(&store->intents.n_out) == 0)
        return false;
    for (const struct hf_intent *intent = store->intents.first; intent; intent = intent->next) {
        for (size_t i = 0; i < n && intent->out; i++) {
            if (hf__slice_eq(ops[i].key, key_of(intent)))
                return true;
        }
    }
    return false;
}

void hf__intent_await(struct hf *store, const struct hf_op *ops, size_t n)
{
    while (hf__intent_is_out(store, ops, n))
        pthread_cond_wait(&store->intents.answered, &store->write_mutex);
}

/* ---- over restarts ---- */

int hf__intent_recovered(struct hf *store, uint64_t lsn, struct hf_slice key)
{
    struct hf_intent *intent;
    int rc = intent_new(lsn, key, &intent);

    if (rc != 0)
        return rc;
    intent->left = true;
    atomic_fetch_add(&store->intents.n_left, 1);
    add(store, intent);
    return 0;
}

void hf__intent_recovered_outcome(struct hf *store, uint64_t intent_lsn)
{
    for (struct hf_intent *intent = store->intents.first; intent; intent = intent->next) {
        if (intent->lsn == intent_lsn) {
            hf__intent_end(store, intent);
            return;
        }
    }
}

static int decode(struct hf *store, struct hf_slice list)
{
    const uint8_t *p = list.data;
    size_t left = list.len, key_len;
    int rc = 0;

    while (left > 0 && rc == 0) {
        key_len = left < SAVED_HEADER ? 0 : hf__get16(p + 8);
        if (key_len == 0 || key_len > left - SAVED_HEADER)
            return hf__fail(HF_ECORRUPT, "the local tier's '%s' ends within an intent", HF_META_INTENTS);
        rc = hf__intent_recovered(store, hf__get64(p), hf__slice(p + SAVED_HEADER, key_len));
        p += SAVED_HEADER + key_len;
        left -= SAVED_HEADER + key_len;
    }
    return rc;
}

int hf__intents_load(struct hf *store)
{
    struct hf_local_snap *snap;
    struct hf_slice list;
    int rc = store->local->ops->snap_begin(store->local, &snap);

    if (rc != 0)
        return rc;
    rc = store->local->ops->meta_get(snap, hf__slice_str(HF_META_INTENTS), &list);
    store->intents.stored = rc == 0;
    if (rc == 0)
        rc = decode(store, list);
    store->local->ops->snap_end(snap);
    return rc == HF_NOT_FOUND ? 0 : rc;
}

int hf__intents_save(struct hf *store)
{
    struct hf_bytes *saved = &store->intents.saved;
    int rc = 0;

    hf__bytes_reset(saved);
    for (const struct hf_intent *intent = store->intents.first; intent && rc == 0; intent = intent->next) {
        uint8_t header[SAVED_HEADER];
        hf__put64(header, intent->lsn);
        hf__put16(header + 8, (uint16_t)intent->key.len);
        rc = hf__bytes_append(saved, header, sizeof(header));
        if (rc == 0)
            rc = hf__bytes_append(saved, intent->key.data, intent->key.len);
    }
    return rc;
}

int hf__intents_store(struct hf *store, struct hf_local_txn *txn)
{
    const struct hf_bytes *saved = &store->intents.saved;
    int rc;

    if (saved->len == 0 && !store->intents.stored)
        return 0;
    rc = store->local->ops->meta_put(txn, hf__slice_str(HF_META_INTENTS), hf__slice(saved->bytes, saved->len));
    store->intents.stored |= rc == 0; /* for good: taking away what is not there costs nothing */
    return rc;
}
