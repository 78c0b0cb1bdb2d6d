/* The two tiers for tests of the link: an in-memory Redis that answers as scripted, and LMDB whose commits can fail.
 *
 * There is one fake Redis in a process. It outlives the stores that share through it, so that what a crash or a lost
 * answer left in it is still there for the next one. It has one epoch and one change log for all namespaces, and its
 * fence knows only wipes: two stores that use it at once are both served. Keys in it never expire: a test that wants
 * one gone deletes it. A connection begins with two answers to TIME, of which the second is a request that can be
 * frozen. It is handed to a store by these parts:
 *
 *     struct hf_parts parts = {hf__file_layer_real(), hf__clock_real(), fake_local_open, fake_redis_open};
 *
 * All functions may be called from any thread. */
#ifndef HF_FAKE_TIER_H
#define HF_FAKE_TIER_H

#include <clock.h>
#include <local_tier.h>
#include <shared_tier.h>

/* ---- Redis ---- */

enum fake_request {
    FAKE_GROUP,
    FAKE_LANE,
    FAKE_EPOCH,
    FAKE_LOG_PAGE,
    FAKE_FETCH,
    FAKE_EXAMINE,
    FAKE_DECIDE,
    FAKE_FACTS,
    FAKE_TIME,
    FAKE_REQUESTS
};

/* What becomes of a request. Epochs, pages, fetches and TIME know only the losses, facts and examinations no RETRY. */
enum fake_outcome {
    FAKE_APPLY = 0,
    FAKE_OOM,         /* nothing is stored for want of memory; what needs none is done */
    FAKE_REFUSE,      /* groups: every item has the wrong type; lanes: the first operation cannot be applied;
                         decisions: the key has the wrong type; examinations, facts: this user may not look */
    FAKE_RETRY,       /* a racing writer: nothing is done */
    FAKE_LOSE,        /* the connection breaks before Redis sees the request; Redis is away from then on */
    FAKE_LOSE_ANSWER, /* it is applied, then the connection breaks; Redis is away from then on */
};

/* An empty Redis that is there, and does what it is asked. */
void fake_redis_start(void);
/* After the last store is closed. */
void fake_redis_stop(void);

/* Of struct hf_parts. */
int fake_redis_open(const struct hf_options *opts, const char *node, struct hf_clock *clock,
                    struct hf_shared_tier **ret_tier);

/* While away, connections break and none can be made. */
void fake_redis_set_away(bool away);
/* The next n requests of this kind that are answered end like this; those after them are applied. */
void fake_redis_script(enum fake_request kind, enum fake_outcome outcome, unsigned n);
/* Requests of this kind are not answered ... */
void fake_redis_freeze(enum fake_request kind);
/* ... but for n of them ... */
void fake_redis_let(enum fake_request kind, unsigned n);
/* ... until now. */
void fake_redis_thaw(enum fake_request kind);
/* Of all nodes that have one; 0: it is gone. */
void fake_redis_set_mark(uint64_t mark);

/* Redis's clock says this now, and goes on with this boot clock. Before, it is the wall clock of the first store. */
void fake_redis_set_clock(struct hf_clock *clock, int64_t redis_ms);
/* The next answer to TIME is wrong by this. */
void fake_redis_lie_once(int64_t wrong_ms);
/* Redis answers TIME: once more than the answers that a connection begins with. Does not wait; see the next one. */
void fake_redis_tell_time(void);
/* Answers to TIME that stores have taken. */
unsigned fake_redis_times_told(void);

/* Another life of the server: run id and uptime begin anew, and all connections break. */
void fake_redis_restart(void);
/* FLUSHALL: keys, log, marks and epoch are gone, and so are the session tokens; connections stay, and are told. */
void fake_redis_wipe(void);
/* Keep keys, marks, log and epoch as they are ... */
void fake_redis_snapshot(void);
/* ... and go back to them, as a server that restarts from an old file. */
void fake_redis_restore(void);
/* Leave only the newest entries. */
void fake_redis_trim_log(size_t n_left);
/* The log is gone, the epoch is there. */
void fake_redis_lose_log(void);
/* Of connections made from now on. */
void fake_redis_refuse_tracking(bool refuse);

/* ---- other writers: each touches the key for those who watch it, and is told to those who track ---- */

/* A plain client, which names nothing in the log. Deadlines: 0 is none. */
void fake_redis_foreign_set(const char *key, const char *value, int64_t deadline_ms);
void fake_redis_foreign_delete(const char *key);
void fake_redis_foreign_expire(const char *key, int64_t deadline_ms);
/* "hash", "list", ... */
void fake_redis_other_type(const char *key, const char *type);
/* Another node, which does. A NULL value deletes; made_ms is on Redis's clock, 0: just now. */
void fake_redis_other_node(const char *key, const char *value, int64_t made_ms, int64_t uncertainty_ms);

/* ---- asking ---- */

/* Requests of this kind that were handed to the transport. */
unsigned fake_redis_asked(enum fake_request kind);
/* The key holds this text; NULL: it is not there. */
bool fake_redis_holds(const char *key, const char *value);
/* 0: none, or no such key. */
int64_t fake_redis_deadline_ms(const char *key);
/* Times that a change of the key was applied. */
unsigned fake_redis_applied(const char *key);
/* Lane requests that ended inside a unit. */
unsigned fake_redis_torn_units(void);

/* ---- the local tier ---- */

/* LMDB behind a wrapper. Of struct hf_parts. */
int fake_local_open(const char *dir, const struct hf_options *opts, struct hf_local_tier **ret_tier);
/* The next n commits fail with HF_EFULL; negative: until it is set to 0. */
void fake_local_fail_commits(int n);
/* Commits wait until they are let go. */
void fake_local_hold_commits(bool hold);
/* Commits that wait. */
unsigned fake_local_held_commits(void);

#endif
