/* Intents: questions that Redis was or will be asked to decide, from the journal entry that says so until what it
 * decided is known here.
 *
 *   open ──(the link sends it)──► out ──answered──► ended, in the same breath as its outcome enters the journal
 *     │                            └──connection lost, or a crash──► left: its key is fetched again, then it is ended
 *     └──(nobody was asked)──► ended
 *
 * While one is out nobody writes its key here: what Redis decides comes before all that is written later, and behind
 * all that was sent before. The list is stored with each checkpoint, for the journal forgets. Everything here is
 * guarded by the store's write_mutex; what is atomic may be read without it. */
#ifndef HF_INTENT_H
#define HF_INTENT_H

#include "bytes.h"
#include "local_tier.h"

#include <pthread.h>
#include <stdatomic.h>

struct hf;

struct hf_intent {
    struct hf_intent *next;
    uint64_t lsn;
    struct hf_buf key;
    bool out;   /* Redis may be deciding */
    bool left;  /* nobody will hear the answer */
    bool noted; /* ... and the link is fetching the key */
};

/* Keys meet in one place by chance: then a reader that never waits gives way once too often. */
#define HF_INTENT_PLACES 256u

struct hf_intents {
    struct hf_intent *first;
    _Atomic size_t n_out;
    _Atomic unsigned out_at[HF_INTENT_PLACES]; /* of them, by the hash of their keys */
    _Atomic size_t n_left;
    pthread_cond_t answered; /* one is no longer out */
    struct hf_bytes saved;   /* the list as of the last freeze */
    bool stored;             /* the local tier holds a list */
};

void hf__intents_init(struct hf *store);
void hf__intents_release(struct hf *store);

/* Journal the intent and wait until it is synced; takes the lock itself. The intent is ended by hf__intent_end or left. */
int hf__intent_begin(struct hf *store, struct hf_slice key, struct hf_intent **ret_intent);
/* These take the lock themselves. The first ends one that is not out; accepts NULL. */
void hf__intent_drop(struct hf *store, struct hf_intent *intent);
void hf__intent_leave(struct hf *store, struct hf_intent *intent);
/* Whether a decision on this key was not heard, and the key not fetched since: what Redis holds is not known. */
bool hf__intent_is_left(struct hf *store, struct hf_slice key);

/* Whether Redis may be deciding on this key. Any thread, without the lock; now and then true of another key's decision. */
bool hf__intent_may_be_out(const struct hf *store, struct hf_slice key);

/* With the lock. */
void hf__intent_go_out(struct hf *store, struct hf_intent *intent);
void hf__intent_come_back(struct hf *store, struct hf_intent *intent);
void hf__intent_end(struct hf *store, struct hf_intent *intent);
/* Whether one of the keys of these operations has an intent out. */
bool hf__intent_is_out(const struct hf *store, const struct hf_op *ops, size_t n);
/* Wait, giving up the lock meanwhile, until none of the keys of these operations has an intent out. */
void hf__intent_await(struct hf *store, const struct hf_op *ops, size_t n);

/* At open, before the journal is replayed; then for each entry that it holds. Whatever is not ended by then is left. */
int hf__intents_load(struct hf *store);
int hf__intent_recovered(struct hf *store, uint64_t lsn, struct hf_slice key);
void hf__intent_recovered_outcome(struct hf *store, uint64_t intent_lsn);

/* When a checkpoint freezes, with the lock; then into its transaction. */
int hf__intents_save(struct hf *store);
int hf__intents_store(struct hf *store, struct hf_local_txn *txn);

#endif
