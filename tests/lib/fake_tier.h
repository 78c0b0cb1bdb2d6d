/* The two tiers for tests: a model of a Redis, and LMDB whose commits can fail.
 *
 * There is one such Redis in a process. It outlives the stores that share through it, so that what a crash or a lost
 * answer left in it is still there for the next one. It holds and answers what a Redis 7 behind backends/redis would
 * (tests/integration/test_model.c compares the two): keys that expire on its clock, the bookkeeping of docs/redis-bookkeeping.md under
 * its names, a fence between connections of one node, pushes to those who track. Beside that its answers can be scripted by kinds of
 * requests, and all that can befall a Redis and the way to it can be done to it.
 *
 * It has no time and no chance of its own: what it does follows from the calls, from the seed, and from clocks: the seam's, and
 * CLOCK_MONOTONIC for delays and timers. A connection begins with two answers to TIME, of which the second is a request that can
 * be frozen. It is handed to a store by these parts:
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

/* What becomes of a request. Epochs, pages and TIME know only the losses, facts, fetches and examinations no RETRY.
 * After a loss Redis is away, after a cut it is there. */
enum fake_outcome {
    FAKE_APPLY = 0,
    FAKE_OOM,         /* nothing is stored for want of memory; what needs none is done */
    FAKE_REFUSE,      /* groups: every item has the wrong type; lanes: the first operation cannot be applied;
                         decisions: the key has the wrong type; examinations, fetches, facts: this user may not look */
    FAKE_RETRY,       /* a racing writer: nothing is done */
    FAKE_LOSE,        /* the connection breaks before Redis sees the request; Redis is away from then on */
    FAKE_LOSE_ANSWER, /* it is applied, then the connection breaks; Redis is away from then on */
    FAKE_CUT,         /* the connection breaks before Redis sees the request */
    FAKE_CUT_ANSWER,  /* it is applied, then the connection breaks */
    FAKE_CUT_LATE,    /* the connection breaks, and Redis sees the request when fake_redis_run_late is called */
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
/* ... or for the newest one, before those that wait ... */
void fake_redis_let_newest(enum fake_request kind);
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
/* Leave only the newest entries of each log. */
void fake_redis_trim_log(size_t n_left);
/* The logs are gone, the epochs are there. */
void fake_redis_lose_log(void);
/* The session tokens are gone. */
void fake_redis_lose_tokens(void);
/* Of connections made from now on. */
void fake_redis_refuse_tracking(bool refuse);

/* ---- faults ---- */

/* What a server is in. Each is refused as Redis 7 refuses it: when it is queued, inside a script, in the handshake. */
enum fake_trouble {
    FAKE_TROUBLE_LOADING,
    FAKE_TROUBLE_BUSY, /* another's script runs */
    FAKE_TROUBLE_OOM,
    FAKE_TROUBLE_MISCONF,
    FAKE_TROUBLE_READONLY, /* it has become a replica: connections made from now on are told so */
    FAKE_TROUBLE_NOPERM,   /* this user may touch no key */
    FAKE_TROUBLE_NOAUTH,   /* connections made from now on are refused */
    FAKE_TROUBLES
};
void fake_redis_trouble(enum fake_trouble trouble, bool has);
/* 0: no limit. Beyond it what grows is refused, or any keys are taken away until less is held, bookkeeping, too. */
void fake_redis_limit_memory(uint64_t max_bytes, bool evicts);

/* Of the delays, tokens, epochs and evictions from now on. */
void fake_redis_seed(uint64_t seed);
/* A request reaches Redis after a time between these, and so does its answer, or a push, the link; both 0: at once. */
void fake_redis_delay(int min_ms, int max_ms);
/* Connecting and answers have the deadlines of the options, and a connection its heartbeat, as in backends/redis. Not so
 * unless this is called: what is frozen waits for its thaw. */
void fake_redis_keep_time(bool keeps);
/* Connections break. */
void fake_redis_cut(void);
/* Connections stand, new ones are refused. */
void fake_redis_refuse_connections(bool refuse);
/* Half-open: what is sent on the connections that stand does not arrive, what they are sent neither, until they are dropped. */
void fake_redis_silence(bool requests, bool answers);
/* SIGSTOP, SIGCONT: it does nothing meanwhile. What was sent to it is done when it goes on, also if its connection is gone. */
void fake_redis_halt(bool halted);
/* Requests of dead connections that Redis has not got; and now it gets them. A life of the server ends with them. */
unsigned fake_redis_late(void);
void fake_redis_run_late(void);
/* All that is done until it is let go is done in one turn of the server's loop: of each key those who track it are told only
 * what was done last. */
void fake_redis_hold_turn(bool hold);
/* As restart, with no data. */
void fake_redis_restart_empty(void);
/* What the snapshot holds is the replica's: it is the master now. */
void fake_redis_failover(void);
/* SWAPDB: what the other database holds, at first nothing, is in the place of all this. */
void fake_redis_swap(void);
/* The cycle that takes away keys whose life is over, and tells of them; else who looks at one finds it gone. */
void fake_redis_expire(void);

/* ---- other writers: each touches the key for those who watch it, and is told to those who track ---- */

/* A plain client, which names nothing in the log. Deadlines: 0 is none. */
void fake_redis_foreign_set(const char *key, const char *value, int64_t deadline_ms);
void fake_redis_foreign_delete(const char *key);
void fake_redis_foreign_expire(const char *key, int64_t deadline_ms);
/* "hash", "list", ... */
void fake_redis_other_type(const char *key, const char *type);
/* Another node, which does. A NULL value deletes; made_ms is on Redis's clock, 0: just now. */
void fake_redis_other_node(const char *key, const char *value, int64_t made_ms, int64_t uncertainty_ms);

/* Something else than a change, in the log of this name. */
void fake_redis_foreign_entry(const char *log);

/* ---- asking ---- */

/* Requests of this kind that were handed to the transport. */
unsigned fake_redis_asked(enum fake_request kind);
/* The key holds this text; NULL: it is not there. */
bool fake_redis_holds(const char *key, const char *value);
/* 0: none, or no such key. */
int64_t fake_redis_deadline_ms(const char *key);
/* Times that a change of the key was applied. */
unsigned fake_redis_applied(const char *key);
/* Changes of all keys, whoever made them, but for session tokens and what was taken away. */
unsigned fake_redis_changes(void);
/* Lane requests that ended inside a unit. */
unsigned fake_redis_torn_units(void);

/* ---- the local tier ---- */

/* LMDB behind a wrapper. Of struct hf_parts. */
int fake_local_open(const char *dir, const struct hf_options *opts, struct hf_local_tier **ret_tier);
/* The next n commits fail with HF_EFULL; negative: until it is set to 0. */
void fake_local_fail_commits(int n);
/* Commits wait until they are let go. */
void fake_local_hold_commits(bool hold);
/* The next one goes on, which is awaited; the one behind it waits again. */
void fake_local_pass_commit(void);
/* Commits that wait. */
unsigned fake_local_held_commits(void);

#endif
