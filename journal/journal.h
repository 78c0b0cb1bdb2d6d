/* The journal: append, group commit, recycling. Every write of a store enters here first.
 *
 * Appending only fills a buffer. The first thread that needs its entry on disk becomes the *leader*: it takes the
 * whole buffer, writes it as one group, syncs once for everybody in it, and wakes those who waited; what arrived
 * meanwhile is the next leader's. Where only a few threads write, the leader first waits a little for as many as were in the
 * group before, for half of the time that it took. The journal's own thread leads for submissions that nobody waits for, syncs at the
 * interval of durability `interval`, and prepares the next segment.
 *
 * Failure modes:
 *  - no room for the next segment: append refuses with HF_EFULL and nothing has changed;
 *  - a write or sync fails: the journal stops for good (HF_ESTOPPED); waiters of what was under way get HF_EUNKNOWN.
 *
 * All functions may be called from any thread. Lock order: the engine's locks, then the journal's. */
#ifndef HF_JOURNAL_H
#define HF_JOURNAL_H

#include "recover.h"

struct hf_journal;

struct hf_journal_options {
    struct hf_file_layer *fs;
    int dir;            /* descriptor of the journal directory; stays the caller's */
    int quarantine_dir; /* where damaged segments are copied */
    uint64_t segment_bytes;
    enum hf_durability durability;
    int sync_interval_ms;
    uint64_t covered_lsn;         /* what the local tier holds */
    uint64_t reserved_lsn;        /* highest reservation that the local tier knows of */
    int64_t (*now_ms)(void *ctx); /* the store's timeline */
    /* After each group, on the leader's thread with no lock of the journal held: written and durable moved on. */
    void (*progress)(void *ctx);
    void *ctx;
};

/* Recover (every entry behind covered_lsn goes to `replay`), start a new segment, start the thread.
 * `*ret_recovery` tells what was found; the caller releases it. */
int hf__journal_open(const struct hf_journal_options *opts, hf_entry_fn *replay, void *replay_ctx,
                     struct hf_recovery *ret_recovery, struct hf_journal **ret_journal);

/* Write and sync what is buffered, end the thread, keep spare segments. Accepts NULL. */
int hf__journal_close(struct hf_journal *journal);

/* Give `n` entries consecutive LSNs and put them into one group, all or none; their bytes are copied. May wait for
 * the disk when the buffer or the segment is full. HF_EFULL, HF_ESTOPPED, HF_ENOMEM: nothing has changed. */
int hf__journal_append(struct hf_journal *journal, struct hf_entry *entries, size_t n);

/* Wait until the entry has the durability of the store: synced for `always`, else written.
 * HF_EUNKNOWN when that failed. */
int hf__journal_wait(struct hf_journal *journal, uint64_t lsn);
/* Wait until it is synced, whatever the durability of the store. */
int hf__journal_sync(struct hf_journal *journal, uint64_t lsn);
/* Have the journal's thread do what hf__journal_wait does, and call `progress`. */
void hf__journal_push(struct hf_journal *journal);

/* Everything at or below has the durability of the store / is synced / has been given out. One atomic load each. */
uint64_t hf__journal_safe_lsn(const struct hf_journal *journal);
uint64_t hf__journal_durable_lsn(const struct hf_journal *journal);
uint64_t hf__journal_last_lsn(const struct hf_journal *journal);
/* Reservation to store beside covered_lsn at a checkpoint. */
uint64_t hf__journal_reserved_lsn(struct hf_journal *journal);
/* Non-zero once a write or sync has failed. */
bool hf__journal_stopped(const struct hf_journal *journal);

/* What the next groups' headers say of sharing. */
void hf__journal_note_shared(struct hf_journal *journal, uint64_t shared_lsn, const uint64_t *exceptions,
                             uint32_t n_exceptions);

/* The local tier durably holds everything up to covered_lsn: recycle. */
void hf__journal_release(struct hf_journal *journal, uint64_t covered_lsn);

struct hf_journal_stats {
    uint64_t first_lsn; /* lowest LSN that may still stand in a live segment */
    uint64_t last_lsn, durable_lsn;
    uint64_t bytes, segments;
    uint64_t groups, syncs; /* since open */
};
void hf__journal_stats(struct hf_journal *journal, struct hf_journal_stats *ret_stats);

#endif
