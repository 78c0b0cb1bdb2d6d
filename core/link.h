/* The link: what the store wants from the shared tier, seen from the store's other threads.
 *
 *            ┌────────────────────────────── lost ──────────────────────────────┐
 *            ▼                                                                  │
 *  connecting ──connected──► catching up ──rows stored──► replaying ──none left──► online
 *      ▲  └─lost─► offline ◄──lost──┘                          ▲──queue overflowed──┘
 *      └──timer─────┘   └─ refused: held, the same with another name and the longest pause
 *
 * A write is put on the live queue when the link is at least catching up; otherwise it is pending: it stays unsettled
 * in the overlay, and the next checkpoint gives it a pending row. On (re)connect the link notes the first LSN that
 * belongs to the live queue (`live_from`), learns what Redis already has, waits for a checkpoint that gives every
 * older unsettled change its row, and replays rows and lanes in order of their first LSN, taking turns with live
 * traffic. A row is replayed with the key's state of that moment, so a newer local write is never overtaken.
 *
 * One request is out at a time (the shared tier's fence needs it), so order per key is order of sending. */
#ifndef HF_LINK_H
#define HF_LINK_H

#include "store.h"

/* Start the link of a store that has an address; takes over `tier`. */
int hf__link_start(struct hf *store, struct hf_shared_tier *tier);
/* Take no more live writes; what is queued is answered as pending. */
void hf__link_stop_accepting(struct hf *store);
/* Stop its thread. What was not acknowledged stays pending; the last checkpoint still asks for the cursors. */
void hf__link_stop(struct hf *store);
void hf__link_free(struct hf *store);

/* Look whether another process has changed the operator's settings; any thread. */
void hf__link_check_operator(struct hf *store);
/* Whether the link's thread, which its heartbeats wake in any case, does so; any thread. */
bool hf__link_looks(const struct hf *store);
/* Have the link look for work; any thread. */
void hf__link_wake(struct hf *store);
/* A checkpoint has ended, well or not. */
void hf__link_note_checkpoint(struct hf *store);
/* The journal has moved on: lanes wait for durable entries. */
void hf__link_note_durable(struct hf *store);

/* What the operator has set from now on: take it over and look whether it changes what is to be done. Any thread. */
void hf__link_operator(struct hf *store, const struct hf_operator *settings);

/* ---- live writes ---- */

enum hf_share { HF_SHARE_WAITING = 0, HF_SHARE_DONE, HF_SHARE_PENDING, HF_SHARE_REFUSED };

/* The fate of one write on the shared tier. Shared by the caller and the link; link.mutex guards it. */
struct hf_ticket {
    unsigned refs;
    unsigned left; /* entries of the write that the link has not answered */
    enum hf_share share;
    bool has_number;
    int64_t number; /* an increment's value in Redis */
    char reason[HF_SHARED_REASON_MAX];
    pthread_cond_t *cond; /* signalled when share leaves HF_SHARE_WAITING; NULL: the completion thread is told */
};
struct hf_ticket *hf__ticket_new(pthread_cond_t *cond);
void hf__ticket_release_ref(struct hf *store, struct hf_ticket *ticket); /* accepts NULL */

/* Older changes than this wait for the replay that is under way, while newer ones are sent live; 0: there is none. With the
 * write lock. */
uint64_t hf__link_replay_before(struct hf *store);
/* Put entries that have just been inserted on the queue, with the write lock. Sets the ticket to HF_SHARE_PENDING
 * when the link is not taking live writes. `ticket` may be NULL. `judged`: the change is not sent live, which would store it
 * whatever Redis holds, but judged as one that waited. */
void hf__link_enqueue(struct hf *store, struct hf_ns *ns, const struct hf_staged *staged, size_t n, bool judged,
                      struct hf_ticket *ticket);
/* Wait for the ticket, at most until `deadline` (CLOCK_MONOTONIC); then it counts as pending. */
enum hf_share hf__ticket_wait(struct hf *store, struct hf_ticket *ticket, const struct timespec *deadline);
/* The same without waiting; `give_up`: a ticket that is still waiting counts as pending from now on. */
enum hf_share hf__ticket_share(struct hf *store, struct hf_ticket *ticket, bool give_up);

/* ---- reading through ---- */

struct hf_fetched {
    bool found;
    struct hf_buf value;
    int64_t deadline_ms; /* on the store's timeline; 0: none */
};
struct hf_seen;
/* Ask Redis for one key; what it holds has become our copy when this returns, unless the key is not as it was `seen`. HF_EOFFLINE
 * at once when the link is down, HF_ETIMEOUT, HF_EWRONGTYPE. */
int hf__link_fetch(struct hf *store, struct hf_slice key, const struct hf_seen *seen,
                   struct hf_fetched *ret_fetched);

/* ---- deciding ---- */

struct hf_decision;
/* Have Redis decide, with its outcome in the journal (not waited for) and in the copy when this returns; see decide.h.
 * HF_EOFFLINE: nobody was asked, or the key's older changes could not be shared in time. HF_EUNKNOWN. */
int hf__link_decide(struct hf *store, struct hf_decision *decision);
/* Whether what is written now goes to Redis. With the write lock the answer holds until it is given up. */
bool hf__link_is_accepting(struct hf *store);

/* ---- state ---- */

int64_t hf__link_online_since_ms(struct hf *store); /* INT64_MAX: it is not, or there is no link */

struct hf_link_status {
    enum hf_link_state state;
    char reason[HF_SHARED_REASON_MAX];
    struct hf_operator by_operator;
};
void hf__link_status(struct hf *store, struct hf_link_status *ret_status);
/* Wait until everything up to `lsn` is shared, expired or parked, and the link is online. */
int hf__link_drain(struct hf *store, uint64_t lsn, int timeout_ms);
/* Wait until everything up to `lsn` has ended, whatever is still to be done about newer changes. */
int hf__link_wait_shared(struct hf *store, uint64_t lsn, int timeout_ms);

/* ---- cursors: what each namespace knows of Redis, kept with the checkpoint that holds what they speak of ---- */

void hf__link_save_cursors(struct hf *store); /* when a checkpoint freezes, with the write lock */
int hf__link_store_cursors(struct hf *store, struct hf_local_txn *txn);
int hf__link_load_cursors(struct hf *store);

#endif
