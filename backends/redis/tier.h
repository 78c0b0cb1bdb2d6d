/* What the request files of the Redis tier share: the tier itself and the requests that are out. */
#ifndef HF_REDIS_TIER_PRIVATE_H
#define HF_REDIS_TIER_PRIVATE_H

#include "connection.h"
#include "redis_tier.h"

#include <pthread.h>
#include <stdatomic.h>

/* groups.c */
struct hf__group_run {
    struct hf__wave wave;
    struct hf_shared_group *group;
    int phase;
    size_t cursor;  /* the item whose answer comes next */
    size_t n_items; /* in MULTI ... */
    size_t n_sent;  /* ... in so many commands */
    size_t n_logs_sent;
    size_t n_results; /* of EXEC */
    bool singly;      /* a command for each item */
    bool vague;       /* a command for many was refused: whose fault it is is not known */
    bool no_multi;    /* MULTI was refused: the commands ran one by one */
    bool executed;    /* EXEC answered with results */
    bool refused;     /* EXEC answered nil: a watched key was touched */
    bool made;        /* MSETNX has stored all items */
    bool watched;     /* our session is watched again */
    bool whole_script;
    struct hf_shared_error abort;  /* why EXEC, or a log entry, was refused */
    struct hf_shared_error untold; /* why our token was not told */
};

/* lanes.c */
struct hf__lane_run {
    struct hf__wave wave;
    struct hf_shared_lane *lane;
    bool whole_script;
};

/* decide.c */
struct hf__decide_run {
    struct hf__wave wave;
    struct hf_shared_decide *decide;
    bool whole_script;
};

/* catchup.c */
struct hf__epoch_run {
    struct hf__wave wave;
    struct hf_shared_epoch *epoch;
    int step;
    bool whole_script;
    bool there; /* an epoch key was found */
    char fresh[33];
};

/* log_page.c */
struct hf__page_read {
    struct hf_shared_log_page *page;
    char after_id[48]; /* as asked: the page's own moves on */
    bool there;        /* an entry of this id was found */
};
struct hf__page_run {
    struct hf__wave wave;
    struct hf__page_read read;
};

struct hf__redis {
    struct hf_shared_tier base; /* first */
    struct hf__conn_settings settings;
    struct hf_clock *clock;

    /* set by start, constant until stop */
    const struct hf_shared_handler *handler;
    void *handler_ctx;
    pthread_t thread;
    bool started;

    atomic_bool wake_sent; /* any thread */
    atomic_bool stopping;  /* set once, by stop */

    /* the link thread's */
    uv_loop_t loop;
    uv_async_t waker;
    uv_timer_t timer;
    struct hf__conn conn;
    bool busy;       /* a request is out that nothing but fetches and unwatched examinations may run beside */
    bool no_scripts; /* this user may not run scripts that read: fetch and examine without */
    bool no_making;  /* this user may not all that making takes: guard by the script */
    bool singly;     /* many values at once were refused: perhaps this user may not do that at all */
    struct hf__group_run group;
    struct hf__lane_run lane;
    struct hf__decide_run decide;
    struct hf__epoch_run epoch;
    struct hf__page_run page;
};

static inline struct hf__redis *hf__redis_of(struct hf_shared_tier *tier)
{
    return (struct hf__redis *)tier;
}

/* 0 when a request that makes the tier busy may be sent now, else HF_EOFFLINE or HF_EBUSY.
 * `writes`: also refuse on a replica, where there is no fence. */
int hf__redis_may_send(const struct hf__redis *tier, bool writes);

/* After a request's `done`: if its error says that the connection is of no use (our token was gone, or what came
 * was no Redis), end it, unless `done` has seen to that; `attempt` is the connection's before `done`. */
void hf__redis_settle(struct hf__redis *tier, uint64_t attempt, const struct hf_shared_error *error);
#define HF__FENCED_TEXT "our session token was gone from Redis: nothing was applied"

/* A page of a change log, alone or behind an examination: check what is asked, begin, write the commands, and take
 * their answers, index 0 to HF__PAGE_REPLIES - 1. While the first is taken `each` runs and may end the connection:
 * whatever waited for the answers may be gone after it. */
#define HF__PAGE_REPLIES 3
int hf__page_check(const struct hf_shared_log_page *page);
void hf__page_begin(struct hf__page_read *read, struct hf_shared_log_page *page);
void hf__page_write(struct hf__command_writer *w, const struct hf__page_read *read);
void hf__page_answer(struct hf__redis *tier, struct hf__page_read *read, const redisReply *reply, size_t index);
/* The id of the first entry in a range, "" for an empty one; false for something else. */
bool hf__page_first_id(const redisReply *range, char *id, size_t size);
/* Instead, whether there is something to be read: behind the id, or because the log is gone or empty. So many replies. */
#define HF__PAGE_NEWS_REPLIES 2u
void hf__page_write_news(struct hf__command_writer *w, const struct hf__page_read *read);
bool hf__page_has_news(struct hf__page_read *read, const redisReply *reply, size_t index);

/* The operations of the seam, one file each. */
int hf__redis_send_group(struct hf_shared_tier *tier, struct hf_shared_group *group);
int hf__redis_send_lane(struct hf_shared_tier *tier, struct hf_shared_lane *lane);
int hf__redis_send_decide(struct hf_shared_tier *tier, struct hf_shared_decide *decide);
int hf__redis_send_epoch(struct hf_shared_tier *tier, struct hf_shared_epoch *epoch);
int hf__redis_send_log_page(struct hf_shared_tier *tier, struct hf_shared_log_page *page);
int hf__redis_send_fetch(struct hf_shared_tier *tier, struct hf_shared_fetch *fetch);
int hf__redis_send_facts(struct hf_shared_tier *tier, struct hf_shared_facts *facts);
int hf__redis_send_examine(struct hf_shared_tier *tier, struct hf_shared_examine *examine);

#endif
