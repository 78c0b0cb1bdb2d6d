/* The link's own struct: what its files share. Everything here belongs to the link thread unless it says `mutex`. */
#ifndef HF_LINK_STATE_H
#define HF_LINK_STATE_H

#include "link.h"
#include "write.h"

/* A live write that waits to be sent, or is out. */
struct hf_live {
    struct hf_live *next;
    struct hf_slice key; /* in the pinned generation */
    const struct hf_version *version;
    struct hf_generation *generation; /* pinned */
    struct hf_ns *ns;
    struct hf_ticket *ticket; /* one reference, or NULL */
};
struct hf_live_queue {
    struct hf_live *first, *last;
    size_t n;
};

/* A caller that waits for a fetched key; on the caller's stack. */
struct hf_fetch_wait {
    struct hf_fetch_wait *next;
    struct hf_slice key;
    struct hf_shared_fetch request;
    struct hf *store;
    int64_t asked_ms;
    bool out, done;
    int rc;
    char reason[HF_SHARED_REASON_MAX];
    struct hf_fetched fetched;
};

/* A caller that waits for a decision; on the caller's stack. */
struct hf_decide_wait {
    struct hf_decide_wait *next;
    struct hf *store;
    struct hf_ns *ns;
    struct hf_decision *decision;
    struct hf_shared_decide request;
    int64_t asked_ms; /* timeline */
    bool out, done;
    int rc;
    char reason[HF_SHARED_REASON_MAX];
};

/* Something to be sent in a group: a live write, or a replayed row with copies of its key and value. */
struct hf_send {
    struct hf_live *live; /* NULL: a row */
    struct hf_ns *ns;
    struct hf_buf key, value;
    enum hf_shared_op op;
    uint64_t lsn;        /* an acknowledgement settles the key up to here */
    int64_t deadline_ms; /* timeline */
    int64_t made_ms;
    bool replayed;
    uint64_t absorbed_lsn; /* of a live write that goes as this row; 0: none */
};
struct hf_send_list {
    struct hf_send *sends;
    size_t n, capacity;
    size_t bytes;
};

/* One lane entry to be sent; copies. */
struct hf_lane_send {
    struct hf_live *live; /* NULL: from the local tier */
    struct hf_lane_entry entry;
    struct hf_buf key, value;
};
struct hf_lane_list {
    struct hf_lane_send *sends;
    size_t n, capacity;
    size_t bytes;
};

/* What a namespace knows of Redis, as others may see it. */
struct hf_cursor {
    char epoch[33];
    char log_id[HF_STREAM_ID_MAX];
    uint64_t mark;
};

/* Keys held here that the change log names: their copies are fetched again, one at a time. */
struct hf_refresh {
    struct hf_buf *keys;
    size_t n, next, capacity;
    bool out;
    int64_t asked_ms;
    struct hf_seen seen;
    struct hf_shared_fetch request;
};

enum hf_catch_up { HF_CATCH_UP_EPOCH = 0, HF_CATCH_UP_LOG, HF_CATCH_UP_ROWS };

struct hf_link {
    struct hf *store;
    struct hf_shared_tier *tier;
    pthread_mutex_t mutex;
    pthread_cond_t changed; /* state, queues */

    /* mutex */
    enum hf_link_state state;
    char reason[HF_SHARED_REASON_MAX];
    bool accepting;     /* writes go to the live queue */
    bool busy;          /* a request is out, or the link is about to look: no wake needed */
    bool stopping;      /* the transport is going away: no more wakes */
    bool picking;       /* the link thread is choosing what to send: it may hold what no queue shows */
    bool overflowed;    /* writes since live_from were left pending: another pass is needed */
    uint64_t live_from; /* LSNs from here on went to the live queue, if accepting */
    uint64_t last_enqueued;
    struct hf_live_queue plain, lane;
    size_t queued_bytes;
    struct hf_fetch_wait *fetches;
    struct hf_decide_wait *decides;    /* oldest first */
    struct hf_cursor *published;       /* per namespace: after what they speak of was settled */
    struct hf_cursor *saved;           /* ... and as of the last freeze */
    int64_t offset_ms, uncertainty_ms; /* Redis's clock minus the timeline */

    /* what the request out consists of; the live ones also count as outstanding (mutex) */
    bool out; /* written by the link thread, with the mutex */
    struct hf_send_list sends;
    struct hf_lane_list lane_sends;
    struct hf_shared_group group;
    struct hf_shared_lane lane_request;
    struct hf_shared_item *items;
    struct hf_shared_log *logs;
    struct hf_shared_lane_op *lane_ops;
    struct hf_shared_epoch epoch;
    struct hf_shared_log_page page;

    /* connecting */
    int backoff_ms;
    uint64_t random;
    bool begun;            /* the first attempt to connect was made */
    bool taking_from_open; /* live writes have been taken since the store was opened, not since a connect */
    bool connected;
    _Atomic bool waits_for_sync; /* the head of a queue is not durable yet: wake when the journal moves on */

    /* catching up */
    enum hf_catch_up catch_up;
    size_t ns_index;
    uint64_t checkpoint_ticket;

    /* replaying */
    uint64_t row_cursor; /* rows with first_lsn from here on are still to be looked at in this pass */
    uint64_t lane_cursor;
    bool rows_done, lanes_done; /* in this pass */
    bool again;                 /* something of this pass has to be sent again */
    bool lane_again;            /* lane entries were left: the rest of the lane waits for the next pass */
    bool decide_turn;           /* decisions, or all else */
    bool live_turn;             /* whose turn it is when both have work */
    bool checking;              /* the pass is through; the checkpoint that clears its rows is awaited */
    unsigned rows_budget;       /* rows in the next group of the replay */
    int64_t rows_sent_ms;
    bool out_of_memory; /* in this pass Redis has refused for want of memory */
    bool only_deletes;  /* in this pass nothing else is sent */
    bool paused;        /* until the timer: after a refusal by the server's state */

    uint64_t maybe_sent_lsn; /* stored lane entries up to here may have been sent: before this process, or lost */
    struct hf_refresh refresh;
    uint64_t sent_lsn; /* the last LSN at open, or the highest handed to Redis since: it cannot know later ones */
    uint64_t recovered_lsn; /* the last LSN of the journal at open: ours above it were lost in a crash */
    bool refresh_failed;    /* a key could not be noted */
    bool history_lost;      /* Redis knows of writes of ours that this store does not */

    /* an entry that kills the link */
    uint64_t suspect_lsn;
    unsigned suspect_losses;
};

#define HF_LINK_SUSPECT_LOSSES 3

/* link.c */
void hf__link_pump(struct hf_link *link);
void hf__link_set_state(struct hf_link *link, enum hf_link_state state, const char *reason);
/* Leave the connection because of this error and come back later. */
void hf__link_fail(struct hf_link *link, const struct hf_shared_error *error);
void hf__link_begin_pass(struct hf_link *link);
/* A request is out / has been answered. */
void hf__link_out(struct hf_link *link, bool out);
/* Pause sending for a while because of the server's state, keeping the connection. */
void hf__link_pause(struct hf_link *link, const struct hf_shared_error *error);
int64_t hf__link_to_redis_ms(const struct hf_link *link, int64_t timeline_ms);
/* Entries up to this LSN are about to be handed to Redis. */
void hf__link_note_sent(struct hf_link *link, uint64_t lsn);
/* Live writes were left pending: a further pass is needed. */
void hf__link_note_overflow(struct hf_link *link);
/* Redis is out of memory: end the pass, pause, and begin one that sends only deletes. */
void hf__link_note_out_of_memory(struct hf_link *link, const struct hf_shared_error *error);
/* Note what the journal's headers should say of sharing. */
void hf__link_note_shared(struct hf_link *link);

/* link_live.c */
struct hf_live *hf__live_peek(struct hf_link *link, struct hf_live_queue *queue); /* these take the mutex */
struct hf_live *hf__live_pop(struct hf_link *link, struct hf_live_queue *queue);
void hf__live_push_front(struct hf_link *link, struct hf_live_queue *queue, struct hf_live *live);
void hf__live_finish(struct hf_link *link, struct hf_live *live, enum hf_share share, const char *reason);
void hf__live_drop_all(struct hf_link *link);
void hf__fetch_send_all(struct hf_link *link);
void hf__fetch_fail_all(struct hf_link *link, const char *reason);

/* link_decide.c */
bool hf__link_send_decide(struct hf_link *link);
void hf__decide_fail_all(struct hf_link *link, const char *reason);
void hf__decide_note_left(struct hf_link *link); /* keys whose decision nobody heard are fetched again */

/* link_refresh.c */
int hf__refresh_add(struct hf_link *link, struct hf_slice key);
void hf__refresh_send(struct hf_link *link);
bool hf__refresh_is_done(const struct hf_link *link);
void hf__refresh_release(struct hf_link *link);

/* link_group.c */
void hf__link_restart_pacing(struct hf_link *link); /* a new connection: begin with a few rows */
/* ... and true when a request went out */
bool hf__link_send_live(struct hf_link *link);
bool hf__link_send_rows(struct hf_link *link);
/* link_lane.c */
bool hf__link_send_live_lane(struct hf_link *link);
bool hf__link_send_lane_rows(struct hf_link *link);
/* link_catchup.c */
void hf__link_publish_cursor(struct hf_link *link, const struct hf_ns *ns);
void hf__link_restart_catch_up(struct hf_link *link);
void hf__link_catch_up(struct hf_link *link);

#endif
