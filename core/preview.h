/* A preview under way: what its files share. Everything is its caller's thread's, which waits while the link thread
 * fills in an answer. */
#ifndef HF_PREVIEW_H
#define HF_PREVIEW_H

#include "link_state.h"

#define HF_PREVIEW_KEYS 100u /* examined in one request */

/* A namespace as the replay would find it. */
struct hf_preview_ns {
    struct hf_ns *ns;
    char epoch[33];
    char log_id[HF_STREAM_ID_MAX]; /* what is behind this is read */
    struct hf_buf log_key;
    uint64_t mark;       /* that the lane goes on from */
    uint64_t found_mark; /* that Redis holds */
    uint64_t known_mark; /* that Redis had, as we know */
    bool fresh;          /* this epoch began without us */
    enum hf_evidence evidence;
};

struct hf_preview_run {
    struct hf *store;
    struct hf_turn turn; /* on one side at a time: the caller's thread, or the link's while it waits */
    int (*each)(void *ctx, const struct hf_preview *preview);
    void *ctx;
    struct hf_preview_ns *namespaces; /* as those of the store */
    bool caught_up;                   /* the link has believed these marks and epochs already */
    bool no_scripts;
    enum hf_server_life life;
    uint64_t sent_lsn, maybe_sent_lsn;
    struct hf_notes foreign;            /* what other nodes did, by the link's notes and the logs */
    struct hf_notes own;                /* what Redis has of ours, by the logs */
    int rc;                             /* of what failed on the link thread */
    uint64_t conflicts, conflict_bytes; /* that the replay would have recorded by now */
    struct hf_send_list sends;
    struct hf_shared_seen seen[HF_PREVIEW_KEYS];
};

/* Examine the first `n` of run->seen; `take` gets each on the link thread, while its value is borrowed. */
int hf__preview_examine(struct hf_preview_run *run, size_t n,
                        void (*take)(struct hf_preview_run *run, const struct hf_shared_seen *seen));

/* What was seen of a key goes into its trial: without memory for a value this ends the preview. */
void hf__preview_check_value(struct hf_preview_run *run, const struct hf_trial *trial,
                             const struct hf_shared_seen *seen);
/* Whether the conflict log would still take a row; then that it has taken it. */
bool hf__preview_has_conflict_room(const struct hf_preview_run *run, uint64_t bytes);
void hf__preview_note_conflict(struct hf_preview_run *run, uint64_t bytes);

/* preview_lane.c: the same for the entries of the lanes. */
int hf__preview_lanes(struct hf_preview_run *run);

#endif
