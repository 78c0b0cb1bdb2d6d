/* The link's own struct: what its files share. Everything here belongs to the link thread unless it says `mutex`. */
#ifndef HF_LINK_STATE_H
#define HF_LINK_STATE_H

#include "evidence.h"
#include "judge.h"
#include "link.h"
#include "link_ask.h"
#include "lookup.h"
#include "turn.h"
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
    const struct hf_seen *seen;
    struct hf_shared_fetch request;
    struct hf *store;
    int64_t asked_ms;
    bool out, done;
    int rc;
    char reason[HF_SHARED_REASON_MAX];
    struct hf_fetched fetched;
};

/* A pending row before its judge (judge.h). */
struct hf_trial {
    struct hf_pending_row row; /* its slices point to `base_value` and to the key of the send */
    struct hf_case c;
    struct hf_judgement verdict;
    bool own_value;  /* as hf_found says */
    bool uncompared; /* with what Redis holds: only another type is not replaced */
    bool guarded;    /* at first by the script that changes it, if the key holds what one of the guards says */
    struct hf_shared_guard guards[HF_PENDING_OWN_MAX + 2];
    size_t n_guards;
    bool in_turn; /* in the examination under way, and in the group that follows it */
    bool judged;
    uint8_t want; /* HF_WANT_*: of the next examination */
    struct hf_buf base_value, theirs, merged;
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
    struct hf_live *live;   /* NULL: a row */
    struct hf_trial *trial; /* of a row; owned */
    struct hf_ns *ns;
    struct hf_buf key, value;
    bool in_group;        /* the group under way is about it */
    enum hf_shared_op op; /* 0: nothing is to be sent */
    uint64_t lsn;         /* an acknowledgement settles the key up to here */
    int64_t deadline_ms;  /* timeline */
    int64_t made_ms;
    bool replayed;
    uint64_t absorbed_lsn; /* of a live write that goes as this row; 0: none */
};
struct hf_send_list {
    struct hf_send *sends;
    size_t n, capacity;
    size_t bytes;
    struct hf_local_cursor from; /* where the walk over the rows stood before these */
};

/* What other nodes did to keys that are owed here, until the rows say so themselves; and how often a resolver has failed. */
struct hf_note {
    struct hf_buf key; /* NULL: a free place */
    struct hf_foreign foreign;
    bool doubted;                 /* its copy was told to be old while it was owed */
    struct hf_version_id *stored; /* by this pass, and its row knows nothing of it; owned, or NULL */
    unsigned failures;
    uint64_t
        number; /* the LSN of our own change that the log names (a preview's, a rollback's); where a lane's key is kept;
                        whether another has changed a copy that may not be fetched */
};
struct hf_notes {
    struct hf_note *places; /* open addressing */
    size_t n, capacity;
};

/* One lane entry to be sent; copies. */
struct hf_lane_send {
    struct hf_live *live; /* NULL: from the local tier */
    struct hf_lane_entry entry;
    struct hf_buf key, value;
    struct hf_trial *trial; /* of one that is compared with what Redis holds, else NULL; owned */
    bool gone;              /* it is not sent: it has ended */
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
    uint64_t mark, ended_mark;
    char mark_id[HF_STREAM_ID_MAX];
    uint64_t acked_lsn;
    char acked_id[HF_STREAM_ID_MAX];
};

/* Keys held here that the change log or a push names: their copies are fetched again, one at a time. */
struct hf_stale {
    struct hf_buf key;
    bool by_others; /* for certain: a push does not tell the writes of our own scripts apart */
};
struct hf_refresh {
    struct hf_stale *keys;
    size_t n, next, capacity;
    struct hf_notes
        denied; /* this user may not read them; they are asked for again after a while, and with the next catch-up */
    int64_t denied_until_ms;
    bool out;
    int64_t asked_ms;
    struct hf_seen seen;
    struct hf_shared_fetch request;
};

/* Replays that a rollback may have taken, or a part of them. */
#define HF_PAST_REPLAYS 16u
struct hf_past {
    uint64_t acked_below_lsn; /* when the link was last online, Redis had all from before this */
    size_t n;
    struct hf_past_replay {
        int64_t to_ms;          /* its end, on the timeline; INT64_MAX: it goes on */
        uint64_t first_lsn;     /* nothing older was sent */
    } replays[HF_PAST_REPLAYS]; /* oldest first */
};

/* What Redis has lost, on its way back. */
enum hf_resend_stage {
    HF_RESEND_LANES, /* a rollback: what is retained of lanes goes back to them */
    HF_RESEND_DELETES, /* then what is retained of deletes: one that came behind a lane's change of its key joins it */
    HF_RESEND_COPIES, /* what is held, but for what owes a change of its lane by then */
    HF_RESEND_BELOW,  /* what that came upon */
    HF_RESEND_ROWS,   /* a rollback: what waits, and stands on what is lost */
    HF_RESEND_DONE,
};

struct hf_resend {
    struct hf_ns *ns;
    uint32_t why;          /* HF_ENTRY_RESEED or HF_ENTRY_RESEND */
    uint64_t above_lsn;    /* a rollback: what we wrote after this ... */
    int64_t above_made_ms; /* ... or made since then, but for what the log names */
    uint64_t mark;         /* the lane's, as it was found; at least the last of an epoch before */
    bool adopt;      /* what is there counts: only increments that may be counted in it already are looked after */
    bool in_doubt;   /* nobody can know what came after the mark: it is parked, and nothing is sent again */
    uint64_t ticket; /* of the checkpoint that is awaited */
    enum hf_resend_stage stage;
    uint64_t retained_from;     /* cursor */
    struct hf_buf after;        /* cursor: the last key looked at */
    struct hf_local_cursor row; /* cursor */
    struct hf_notes survived;   /* a rollback: the highest LSN of ours that the log names of a key */
    struct hf_notes
        changed; /* keys whose copies others had changed before the loss, and that were not fetched since */
    struct hf_before *before; /* link_before.c */
};

/* Copies that are compared with Redis. */
#define HF_SWEEP_KEYS 512u
struct hf_copy {
    struct hf_buf key;
    struct hf_version_id id; /* what is held here */
    uint64_t lsn;
    int64_t made_ms;
    bool held, is_gap, compared;
};
struct hf_sweep {
    bool active, gaps_done;
    bool out, failed;
    bool awaits_refresh;   /* the batch is compared; what differed is being fetched */
    uint64_t ticket;       /* of the checkpoint that is awaited */
    size_t ns_index;       /* after the gaps: the namespace that is swept ... */
    struct hf_buf after;   /* ... behind this key ... */
    unsigned n_distrusts;  /* ... and what it said when that began */
    int64_t not_before_ms; /* the pace */
    size_t n;
    struct hf_copy copies[HF_SWEEP_KEYS];
    struct hf_shared_seen seen[HF_SWEEP_KEYS];
    struct hf_shared_examine request;
};

enum hf_catch_up {
    HF_CATCH_UP_SERVER = 0, /* once: is it the same life of the same server? */
    HF_CATCH_UP_EPOCH,      /* from here to RESEND: for each namespace */
    HF_CATCH_UP_MARK,       /* it is gone: has Redis lost what it covered? */
    HF_CATCH_UP_LOG,
    HF_CATCH_UP_RESEND,
    HF_CATCH_UP_ROWS
};

struct hf_link {
    struct hf *store;
    struct hf_shared_tier *tier;
    pthread_mutex_t operator_mutex; /* one look at the operator's file at a time; never within `mutex` */
    pthread_mutex_t mutex;
    pthread_cond_t changed; /* state, queues */

    /* mutex */
    enum hf_link_state state;
    char reason[HF_SHARED_REASON_MAX];
    struct hf_link_change changes_kept[HF_LINK_CHANGES_KEPT]; /* a ring: number n is at n % HF_LINK_CHANGES_KEPT */
    uint64_t n_changes;                                       /* since open */
    bool accepting;                                           /* writes go to the live queue */
    bool busy;          /* a request is out, or the link is about to look: no wake needed */
    bool stopping;      /* the transport is going away: no more wakes */
    bool picking;       /* the link thread is choosing what to send: it may hold what no queue shows */
    bool overflowed;    /* writes since live_from were left pending: another pass is needed */
    uint64_t moved;     /* counts what may have ended changes: answers, states, checkpoints */
    uint64_t live_from; /* LSNs from here on went to the live queue, if accepting */
    uint64_t last_enqueued;
    struct hf_live_queue plain, lane;
    size_t queued_bytes;
    struct hf_fetch_wait *fetches;
    struct hf_ask *asks;               /* link_ask.h */
    bool asking;                       /* the connection stands: questions are taken */
    struct hf_decide_wait *decides;    /* oldest first */
    struct hf_cursor *published;       /* per namespace: after what they speak of was settled */
    struct hf_cursor *saved;           /* ... and as of the last freeze */
    char run_id[48], saved_run_id[48]; /* of the server that they speak of; "": not known */
    struct hf_operator by_operator;    /* what the operator has set */

    /* what the request out consists of; the live ones also count as outstanding (mutex) */
    bool out; /* written by the link thread, with the mutex */
    struct hf_send_list sends;
    struct hf_send_list ahead;    /* rows that come next: collected while those before them are out */
    uint64_t ahead_covered_lsn;   /* what the local tier held by then */
    struct hf_send_list settling; /* room for rows that were stored, while those after them are on their way */
    struct hf_lane_list lane_sends;
    struct hf_shared_group group;
    struct hf_shared_lane lane_request;
    struct hf_shared_item *items;
    struct hf_shared_log *logs;
    struct hf_shared_lane_op *lane_ops;
    struct hf_shared_epoch epoch;
    struct hf_shared_log_page page;
    struct hf_shared_examine examine;
    struct hf_shared_seen *seen;
    struct hf_shared_log_page *log_pages; /* of the examination: one per namespace in it ... */
    struct hf_ns **log_namespaces;        /* ... which is this one */

    /* connecting */
    int backoff_ms;
    uint64_t random;
    bool begun;            /* the first attempt to connect was made */
    bool taking_from_open; /* live writes have been taken since the store was opened, not since a connect */
    bool connected;
    /* The first answer on this connection was not believed: nothing is sent before the second; or, with nothing known, before one is. */
    bool asks_time;
    _Atomic bool looks;          /* heartbeats come by often enough to look in the checkpoint thread's place ... */
    int64_t looked_ms;           /* ... and this was the last time; timeline */
    _Atomic bool waits_for_sync; /* the head of a queue is not durable yet: wake when the journal moves on */

    struct hf_turn turn; /* begun with each event of the transport */

    /* catching up */
    enum hf_catch_up catch_up;
    struct hf_shared_facts facts;
    enum hf_server_life life;  /* against that */
    enum hf_evidence evidence; /* of the namespace that is caught up with */
    uint64_t sought_lsn;       /* of the mark that is gone: does the log name it? */
    bool sought_found;
    uint64_t surviving_lsn;   /* the highest LSN of ours that the log has named; 0: none */
    int64_t surviving_ms;     /* after a rollback: of the newest entry that has survived, a second less; timeline */
    struct hf_notes survived; /* for resend.survived, while the log is read after a rollback */
    struct hf_past past;      /* mutex, but for this thread's own reading */
    struct hf_past saved_past;      /* for the checkpoint under way */
    uint64_t must_name_lsn;         /* acknowledged: the log, read to its end, names it or a newer one; 0: none */
    char lost_id[HF_STREAM_ID_MAX]; /* the newest entry of the log that was known at the connect; "": none */
    struct hf_resend resend;
    size_t ns_index;
    uint64_t checkpoint_ticket;

    /* replaying */
    struct hf_local_cursor row_cursor; /* rows from here on are still to be looked at in this pass */
    uint64_t lane_cursor;
    bool rows_done, lanes_done; /* in this pass */
    bool again;                 /* something of this pass has to be sent again */
    bool unreadable;            /* in this pass there was a row that is damaged */
    bool lane_again;            /* lane entries were left: the rest of the lane waits for the next pass */
    struct hf_shared_error
        refused;      /* why, when this user may not send them: the link is held when the pass is through */
    bool decide_turn; /* decisions, or all else */
    bool rows_alone;  /* rows that were answered are not settled yet: nothing goes that may be about their keys */
    bool live_turn;   /* whose turn it is when both have work */
    bool checking;    /* the pass is through; the checkpoint that clears its rows is awaited */
    unsigned rows_budget; /* rows in the next group of the replay */
    unsigned contended;   /* times in a row that a single row was touched between examination and store */
    unsigned keys_turns;  /* groups of what is not compared whose keys are to be watched, not the logs */
    bool watches_logs;    /* for the group that is on its way */
    int64_t rows_sent_ms;
    int64_t rows_not_before_ms; /* the throttle, and the random delay: timeline */
    int64_t wake_due_ms;        /* of the timer, while connected and not paused: timeline; 0: not set */
    struct hf_ns *log_read;     /* whose log the page under way is of, while online */
    bool held_back;             /* connected, and nothing is sent: the operator's will */
    bool decided;               /* what a held link waits for; mutex */
    bool no_scripts;            /* this user may run none: rows are examined by single commands */
    bool rows_from_cursor;  /* the rows that are out came from the cursor, which goes back to the first of them */
    bool ended_out_of_turn; /* in this pass rows have ended that the cursor may still meet */
    bool log_behind;        /* an examination found more in a change log than it reads: catch up first */
    bool full_log;          /* in this pass the conflict log had no room */
    _Atomic bool tracking;  /* Redis tells what others change, this change log included; any thread may read it */
    bool track_later;       /* it is to do so once the many rows that are owed have gone */
    struct hf_notes notes;
    bool out_of_memory; /* in this pass Redis has refused for want of memory */
    bool only_deletes;  /* in this pass nothing else is sent */
    bool paused;        /* until the timer: after a refusal by the server's state */

    uint64_t maybe_sent_lsn; /* stored lane entries up to here may have been sent: before this process, or lost */
    struct hf_refresh refresh;
    struct hf_sweep sweep;
    uint64_t sent_lsn;   /* the last LSN at open, or the highest handed to Redis since: it cannot know later ones */
    bool refresh_failed; /* a key could not be noted */
    bool history_lost;   /* Redis knows of writes of ours that this store does not */

    /* an entry that kills the link */
    uint64_t suspect_lsn;
    unsigned suspect_losses;

    /* a lane operation whose key others change each time */
    uint64_t changed_lsn;
    unsigned changes;
};

#define HF_LINK_LANE_MAX 256u /* operations in one script: it holds Redis up as a whole */
#define HF_LINK_LANE_BYTES_MAX (1u << 20)
#define HF_LINK_SUSPECT_LOSSES 3
#define HF_LINK_CONTENDED_MAX 16 /* and of a resolver's failures */

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
/* Entries up to this LSN are about to be handed to Redis. */
void hf__link_note_sent(struct hf_link *link, uint64_t lsn);
/* Live writes were left pending: a further pass is needed. */
void hf__link_note_overflow(struct hf_link *link);
/* Redis is out of memory: end the pass, pause, and begin one that sends only deletes. */
void hf__link_note_out_of_memory(struct hf_link *link, const struct hf_shared_error *error);
bool hf__link_has_conflict_room(const struct hf_link *link, uint64_t bytes);
/* The conflict log has no room: a change stays pending. */
void hf__link_note_full_log(struct hf_link *link);
/* Whether the parked list takes so many more; if not, the status says why they stay pending. */
bool hf__link_may_park(struct hf_link *link, size_t n);
/* Note what the journal's headers should say of sharing. */
void hf__link_note_shared(struct hf_link *link);

/* Live writes begin anew behind what was written so far; what is queued becomes pending. */
void hf__link_restart_live(struct hf_link *link);

/* link_resend.c */
int hf__resend_begin(struct hf_link *link, const struct hf_resend *what); /* HF_ENOMEM */
bool hf__resend_step(
    struct hf_link *link); /* true when all is noted; otherwise the link is woken for the next step */
void hf__resend_release(struct hf_link *link);

/* link_past.c */
void hf__past_begin(struct hf_link *link); /* before the checkpoint that is awaited before it sends anything */
void hf__past_end(struct hf_link *link);   /* the link is online */
/* The oldest LSN that a replay which ended since about that time may have sent, in any order; UINT64_MAX: none. */
uint64_t hf__past_first_lsn(const struct hf_link *link, int64_t at_ms);
int hf__past_store(struct hf *store, struct hf_local_txn *txn, const struct hf_past *past);
int hf__past_load(struct hf *store, struct hf_local_snap *snap);

/* link_before.c: what keys held before their lane, on its way back to a Redis that has lost it. A request goes out, or all is
 * done. */
int hf__before_step(struct hf_link *link, bool *ret_done);
void hf__before_free(struct hf_before *before); /* accepts NULL */

/* link_sweep.c */
void hf__sweep_begin(struct hf_link *link); /* gaps, and the namespaces that are marked */
void hf__sweep_send(struct hf_link *link);  /* the next batch, if it is time; runs beside other requests */
void hf__sweep_release(struct hf_link *link);
/* A read comes before the sweep: if the namespace adopts what Redis has, and that (NULL: nothing) is not the copy that was seen, that
 * goes to the conflict log. False without memory or room: it has to stay. */
bool hf__sweep_adopt_fetched(struct hf_link *link, struct hf_slice key, const struct hf_seen *seen,
                             const struct hf_slice *theirs, int64_t deadline_ms);

/* link_copies.c */
void hf__link_distrust_copies(struct hf_link *link); /* the link is lost, or all may have been changed */
/* Its copies are to be compared before they are believed again. */
void hf__link_distrust_namespace(struct hf_ns *ns);
/* From now on the copies of the namespace count as verified, or do not. */
void hf__link_trust_copies(struct hf_link *link, struct hf_ns *ns, bool trusted);
/* Whether what Redis holds, or does not hold, may take a copy's place: not while it may have been flushed, or come back without data
 * or with older, and nobody has looked at its history yet. Then the copy may be the last one. */
bool hf__link_history_is_known(const struct hf_link *link);
void hf__link_swept(struct hf_link *link);                                   /* all copies are compared */
void hf__link_invalidated(void *ctx, const struct hf_slice *keys, size_t n); /* of the transport's handler */
bool hf__link_read_log(struct hf_link *link); /* while online, if it is time: true when a request went out */

/* link_operator.c */
/* Whether nothing may be sent, by the operator's will; goes into that state and out of it between two requests. */
bool hf__link_is_held_back(struct hf_link *link);
void hf__link_delay_replay(struct hf_link *link); /* a new connection: not all nodes at once */
/* Rows that may be sent now; 0: the link will be woken when it is time. */
unsigned hf__link_rows_allowed(struct hf_link *link);
void hf__link_spend(struct hf_link *link, size_t n_ops, size_t n_bytes);
/* The operator has decided what a held link waits for. */
bool hf__link_take_decision(struct hf_link *link);

/* A random part of it, at least half. */
int hf__link_jittered(struct hf_link *link, int ms);
/* Live writes become pending at once; what is queued does, too. */
void hf__link_leave_live(struct hf_link *link);
/* Come back in so many milliseconds, if nothing else does before. */
void hf__link_wake_in(struct hf_link *link, int ms);

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
int hf__refresh_add(struct hf_link *link, struct hf_slice key, bool by_others);
void hf__refresh_send(struct hf_link *link);
bool hf__refresh_is_asked(const struct hf_link *link); /* nothing is left to ask for */
bool hf__refresh_is_done(const struct hf_link *link);  /* ... and all that was has been fetched */
void hf__refresh_ask_again(struct hf_link *link);      /* for what this user might not read before */
void hf__refresh_release(struct hf_link *link);

/* link_notes.c */
/* Room for one more; NULL without memory. The note of the key, made when there is none. */
struct hf_note *hf__notes_of(struct hf_notes *notes, struct hf_slice key);
const struct hf_note *hf__notes_find(const struct hf_notes *notes, struct hf_slice key); /* or NULL */
void hf__notes_release(struct hf_notes *notes);
/* The latest change by another node stays. False without memory. */
bool hf__notes_foreign(struct hf_notes *notes, struct hf_slice key, const struct hf_foreign *foreign);
/* A copy that others may have changed is fetched again, unless it owes anything or is not held. */
void hf__link_doubt_copy(struct hf_link *link, struct hf_slice key);
/* Another node's change, from the log: noted where it is owed, else its copy is refreshed. */
void hf__link_foreign_change(struct hf_link *link, const struct hf_shared_change *change);

/* link_send.c */
struct hf_send *hf__send_add(struct hf_send_list *list); /* NULL without memory */
void hf__send_drop_last(struct hf_send_list *list);
bool hf__send_list_full(const struct hf_link *link, const struct hf_send_list *list, size_t max);
void hf__send_list_clear(struct hf_send_list *list);
struct hf_slice hf__send_key(const struct hf_send *s);
struct hf_slice hf__send_value(const struct hf_send *s);
/* Send those of the list that are marked `in_group`. Without memory nothing goes out, and everything is looked at again after
 * a pause. */
enum hf_group_kind { HF_GROUP_PLAIN = 0, HF_GROUP_GUARDED, HF_GROUP_WATCHED };
bool hf__send_group(struct hf_link *link, enum hf_group_kind kind);
/* The connection died with what is in the list. */
void hf__send_lost(struct hf_link *link, const struct hf_shared_error *error);
/* Why the connection broke each time with an entry, whose longest value has so many bytes. True: for sure, and Redis has not
 * taken it. */
bool hf__link_blame(const struct hf_link *link, size_t longest, const struct hf_shared_error *last,
                    char reason[HF_SHARED_REASON_MAX]);
/* It was not sent: a live write becomes pending, a row is looked at again. */
void hf__send_leave(struct hf_link *link, struct hf_send *s);
/* Redis has it, and its key was written meanwhile: the newer change is judged with this one known as ours. */
void hf__send_note_stored(struct hf_link *link, const struct hf_send *s);
/* The same, and its verdict is void: the conflict is kept, and the row stays. */
void hf__send_written_again(struct hf_link *link, struct hf_send *s);
/* It is refused for good. */
void hf__send_park(struct hf_link *link, struct hf_send *s, const char *reason);
/* It has ended: counted, its waiter and the application told. */
void hf__send_ended(struct hf_link *link, struct hf_send *s, enum hf_outcome outcome, const char *reason);

/* link_replay.c */
void hf__link_restart_pacing(struct hf_link *link); /* a new connection: begin with a few rows */
/* An answer to rows has come after `took_ms`; `touched`: some key was changed between examination and store. */
void hf__link_pace(struct hf_link *link, bool touched);
bool hf__link_send_rows(struct hf_link *link); /* true when a request went out */
/* Add one row to the list and begin its trial. */
int hf__replay_add_row(struct hf_link *link, struct hf_send_list *list, struct hf_look *look,
                       const struct hf_pending_row *row);
/* While rows are out: collect those that come next. */
void hf__replay_prepare(struct hf_link *link);
/* The next step for the rows in the list. True when a request went out. */
bool hf__replay_try(struct hf_link *link);
/* A guarded group was answered: this row's key holds something else than was known, or no script may run. */
void hf__replay_not_as_guarded(struct hf_link *link, struct hf_send *s);
/* The row for the conflict log. `ours`: room for our digest, which lives as long as the row. */
void hf__replay_fill_conflict(const struct hf_send *s, struct hf_version_id *ours, struct hf_conflict_row *row);
/* The group with this row was answered, and this row's part is done. */
void hf__replay_applied(struct hf_link *link, struct hf_send *s);

/* trial.c: one row, from what is known of it to its verdict. */
/* Copy the row, with the key's state of now, into `s`; then begin its case. `notes`: what other nodes did. */
int hf__trial_fill(struct hf *store, struct hf_send *s, const struct hf_pending_row *row,
                   const struct hf_found *found);
void hf__trial_begin(struct hf_turn *turn, const struct hf_notes *notes, struct hf_send *s,
                     const struct hf_found *found);
void hf__trial_take(const struct hf_turn *turn, struct hf_trial *trial, const struct hf_shared_seen *seen);
struct hf_slice hf__trial_theirs(const struct hf_trial *trial);
/* Nobody else writes here, or the guards see to it: what it is now is what Redis shall hold. */
void hf__trial_judge_unexamined(struct hf_trial *trial);
/* False: `want` says what is to be examined before. A verdict may ask for a resolver. */
/* Its verdict: parked, for a reason in the server's words, which are copied. */
void hf__trial_park(struct hf_trial *trial, const char *reason);
bool hf__trial_judge(const struct hf_turn *turn, const struct hf_notes *notes, struct hf_trial *trial);
/* Where there is no merge to be had (a delete, no JSON object), it is as `newest` says. False: there was no memory for one. */
bool hf__trial_merge_json(struct hf_send *s);
void hf__trial_free(struct hf_trial *trial); /* accepts NULL */

/* unit.c: an operation of a lane that knows its base, from that to the verdict on it, and on its unit. */
/* `*ret_trial`: NULL where the key is not compared; else guarded by the base. It borrows the entry's key. */
int hf__unit_trial(const struct hf_turn *turn, const struct hf_notes *notes, const struct hf_ns *ns,
                   const struct hf_lane_entry *entry, struct hf_trial **ret_trial);
/* Before it is examined. The case borrows the entry's value. */
void hf__unit_begin_case(struct hf_turn *turn, const struct hf_ns *ns, const struct hf_lane_entry *entry,
                         struct hf_trial *trial);
/* `judged` is set unless `want` says what is to be examined before. */
void hf__unit_judge(const struct hf_turn *turn, const struct hf_notes *notes, struct hf_trial *trial,
                    const struct hf_shared_seen *seen);
/* Why an operation that was judged keeps its unit from being applied; NULL: it does not. `alone`: it is the unit. */
const char *hf__unit_why_not(const struct hf_trial *trial, bool alone); /* accepts NULL */

/* compare.c: what is held here (a digest, or absent) against what was seen; 0: the same. The deadline was examined. */
enum { HF_DIFFERS_PRESENCE = 1, HF_DIFFERS_TYPE = 2, HF_DIFFERS_VALUE = 4, HF_DIFFERS_DEADLINE = 8 };
unsigned hf__compare(struct hf_turn *turn, const struct hf_version_id *here, const struct hf_shared_seen *seen);
/* What was seen does not tell: examine the key again, with its digest. */
bool hf__compare_wants_more(const struct hf_version_id *here, const struct hf_shared_seen *seen);

/* link_group.c: true when a request went out */
bool hf__link_send_live(struct hf_link *link);
/* link_lane.c: the same */
bool hf__link_send_live_lane(struct hf_link *link);
bool hf__link_send_lane_rows(struct hf_link *link);
/* The request under way: send it, again; leave what is in it for the next pass. */
bool hf__lane_send(struct hf_link *link);
void hf__lane_leave_all(struct hf_link *link);
size_t hf__lane_unit_end(const struct hf_lane_list *list, size_t i);
bool hf__lane_park(struct hf_link *link, size_t from, size_t to, const char *reason); /* false: it stays */
/* A unit of the stored part, which the link has not taken up. False: it stays. */
bool hf__lane_park_in_doubt(struct hf_link *link, const struct hf_lane_entry *entries, size_t n,
                            const char *reason);
void hf__lane_tell(struct hf_link *link, const struct hf_lane_entry *entry, enum hf_outcome outcome);
void hf__lane_drop_gone(struct hf_link *link);

/* link_unit.c */
int hf__unit_begin(struct hf_link *link, struct hf_lane_send *s); /* a trial, where its key is to be compared */
void hf__unit_changed(struct hf_link *link);                      /* nothing was done: look, judge, and go on */
/* What the lane's operation has won over, or lost to. False without memory. */
bool hf__unit_keep_conflict(struct hf_link *link, const struct hf_lane_send *s);

/* link_catchup.c */
void hf__link_publish_cursor(struct hf_link *link, const struct hf_ns *ns);
void hf__link_restart_catch_up(struct hf_link *link);
void hf__link_catch_up(struct hf_link *link);
/* An entry could not be appended: look what is there instead. */
void hf__link_log_is_gone(struct hf_link *link);
/* Whether the server is the one that the cursors speak of. With the mutex held, or on the link thread. */
enum hf_server_life hf__link_life_of(const struct hf_link *link, const struct hf_shared_facts *facts);

#endif
