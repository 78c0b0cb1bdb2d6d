/* The simulator: stores as they are, on a simulated disk, clock and Redis, in one process, under turns that follow from a
 * seed (docs/simulation.md).
 *
 *   turns.c, turns_wrap.c   who runs, and what time it is
 *   plan.c     the steps of a history, by the seed
 *   steps.c    what each kind of step does, and how its effect ends
 *   life.c     a store from its opening to its end; kills and power cuts
 *   files.c    the simulated disk behind the file layer of one store
 *   there.c    the modelled Redis: what it did, what it holds, a plain client
 *   watch.c    what must hold after every step
 *   history.c  one history from beginning to end
 *   shrink.c   the shortest plan that still fails
 *   main.c     the command
 *
 * What stores do to their keys, what is recorded of it and how it is judged in the end is the storm's (tests/lib/storm.h). */
#ifndef SIM_SIM_H
#define SIM_SIM_H

#include "files.h"
#include "turns.h"

#include <clock.h>
#include <fake_tier.h>
#include <sim_disk.h>
#include <storm.h>
#include <sys/types.h>

#define SIM_NODES_MAX 3u
#define SIM_WORKERS 2u /* of a store: operations that may be under way at once */
#define SIM_STEPS_MAX 4096u
#define SIM_FAVOURITES_MAX 8u

/* ---- the plan ---- */

/* kind, its name, how often it is chosen in the average: out of the sum of all */
#define SIM_STEP_MAP(X)                                                                                            \
    X(STEP_OPERATE, "operate", 400)                                                                                \
    X(STEP_READ, "read", 90)                                                                                       \
    X(STEP_SCAN, "scan", 15)                                                                                       \
    X(STEP_LOCK, "lock", 25)                                                                                       \
    X(STEP_CHECKPOINT, "checkpoint", 12)                                                                           \
    X(STEP_VERIFY, "verify", 6)                                                                                    \
    X(STEP_DRAIN, "drain", 6)                                                                                      \
    X(STEP_CLIENT, "client", 60)                                                                                   \
    X(STEP_KILL, "kill", 12)                                                                                       \
    X(STEP_POWER_CUT, "power-cut", 10)                                                                             \
    X(STEP_REOPEN, "reopen", 5)                                                                                    \
    X(STEP_AWAY, "away", 16)                                                                                       \
    X(STEP_FREEZE, "freeze", 12)                                                                                   \
    X(STEP_ANSWER, "answer", 30)                                                                                   \
    X(STEP_SILENCE, "silence", 6)                                                                                  \
    X(STEP_HALT, "halt", 8)                                                                                        \
    X(STEP_LATE, "late", 8)                                                                                        \
    X(STEP_SLOW, "slow", 8)                                                                                        \
    X(STEP_TROUBLE, "trouble", 12)                                                                                 \
    X(STEP_MEMORY, "memory", 4)                                                                                    \
    X(STEP_LOSE_TOKENS, "lose-tokens", 4)                                                                          \
    X(STEP_EXPIRE, "expire", 30)                                                                                   \
    X(STEP_EVICT, "evict", 6)                                                                                      \
    X(STEP_RESTART, "restart", 8)                                                                                  \
    X(STEP_TRIM, "trim", 3)                                                                                        \
    X(STEP_LOSE_LOG, "lose-log", 2)                                                                                \
    X(STEP_LOSE_DATA, "lose-data", 4)                                                                              \
    X(STEP_DISK, "disk", 8)                                                                                        \
    X(STEP_COMMIT, "commit", 6)                                                                                    \
    X(STEP_WALL, "wall", 4)                                                                                        \
    X(STEP_QUIET, "quiet", 8)                                                                                      \
    X(STEP_HEAL, "heal", 0)

enum sim_kind {
#define X(kind, name, weight) kind,
    SIM_STEP_MAP(X)
#undef X
        SIM_STEP_KINDS
};

struct sim_step {
    enum sim_kind kind;
    unsigned number; /* in the whole plan, from 1 */
    unsigned node;
    int64_t gap_us;   /* before it */
    int64_t lasts_us; /* of what ends by itself */
    uint64_t random;  /* what else is chosen */
    uint64_t key;     /* which key it is about */
};

struct sim_plan {
    struct storm_options options;
    bool data_losses, disk_faults;
    unsigned weights[SIM_STEP_KINDS];
    uint64_t favourites[SIM_FAVOURITES_MAX]; /* keys that most steps are about */
    unsigned n_favourites;                   /* 0: all alike */
    struct sim_step *steps;
    unsigned n;
};

/* All that follows from the seed; many steps of the kinds whose bits are set in `often`, also where its seed would have none. */
void sim_plan_make(uint64_t seed, unsigned n_steps, uint64_t often, struct sim_plan *ret_plan);
void sim_plan_release(struct sim_plan *plan);
/* Leave only steps with these numbers: "1,4-6". Returns -1 when the text is something else. */
int sim_plan_only(struct sim_plan *plan, const char *numbers);
/* "1,4-6"; in a text of its own. */
char *sim_plan_numbers(const struct sim_plan *plan);
void sim_step_tell(const struct sim_step *step, FILE *out);
const char *sim_kind_name(enum sim_kind kind);

/* ---- the world ---- */

/* One store, through its lives. */
enum sim_state { SIM_OPENING, SIM_UP, SIM_CLOSING, SIM_FAILED };

struct sim_clock {
    struct hf_clock base; /* first */
    int64_t boot_from_us, wall_ahead_ms;
    char boot_id[HF_BOOT_ID_MAX];
    char opened_in[HF_BOOT_ID_MAX]; /* the boot of the last life */
    int64_t opened_us;              /* when that one began */
};

struct sim_world;

/* Who carries out a store's steps. A key has one worker, so that its operations come one after the other. */
struct sim_worker {
    struct storm_node storm; /* first */
    struct sim_node *node;
    struct sim_step queue[16];
    unsigned n;
    bool busy;
};

struct sim_node {
    struct sim_world *world;
    unsigned number, life; /* life 0: none yet */
    char dir[96];          /* of this life */
    struct sim_disk *disk;
    struct sim_files files;
    struct sim_clock clock;
    enum sim_state state;
    bool troubled;     /* its disk has failed in this life: it may refuse what it likes */
    bool stopped;      /* it must be opened again */
    int64_t down_us;   /* how long it is away before it opens */
    uint64_t last_lsn; /* of all lives */
    unsigned restarts; /* of the machine */
    struct hf *store;
    struct sim_worker *workers; /* of this life */
};

struct sim_world {
    const struct sim_plan *plan;
    struct storm_plan keys; /* as the plain client sees them */
    struct sim_node nodes[SIM_NODES_MAX];
    struct sim_clock redis_clock;
    struct storm_book applied; /* what Redis did */
    unsigned group;
    bool kept, lost;                 /* a copy of Redis's data; it */
    bool log_lost;                   /* with it, or later, before all stores were back, its change log */
    int64_t names_lost_us;           /* when the log was last lost or trimmed while a store was away */
    size_t kept_applied;             /* how much of that its last snapshot holds */
    int64_t ends_us[SIM_STEP_KINDS]; /* when the effect of the last such step ends; 0: it is over */
    int64_t commits_failed_us;       /* when a commit of the local tiers could fail last */
    int delay_min_ms, delay_max_ms;  /* of Redis's usual line */
    int64_t clock_error_ms;          /* the most that a wall clock was wrong by when a node booted */
    unsigned restarts;               /* the most of a node's */
    unsigned client_id;
    bool calm;
    const char *dir;
    int log;
    unsigned failures;
};

/* Told, counted, and the history goes on. */
void sim_fail(struct sim_world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A line of the history. */
void sim_say(struct sim_world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- lives ---- */

void sim_node_init(struct sim_world *w, unsigned number);
/* Begin the next life, after node->down_us. */
void sim_life_begin(struct sim_node *node);
/* kill -9, or the power fails: what was not synced may be lost. */
void sim_life_kill(struct sim_node *node, bool power_cut, uint64_t random);
/* Closed in order, and opened again; false: it has too much to do. */
bool sim_life_reopen(struct sim_node *node);
/* Hand a step to the worker of the key that it chooses. */
void sim_life_hand(struct sim_node *node, const struct sim_step *step);
/* All workers wait for steps, or the store is not up. */
bool sim_life_is_idle(const struct sim_node *node);
/* The key that a step is about. */
const struct storm_key *sim_key_of(const struct storm_plan *plan, const struct sim_step *step);

/* ---- steps ---- */

/* On the world's thread. */
void sim_step_do(struct sim_world *w, const struct sim_step *step);
/* On a worker's. */
void sim_step_work(struct sim_worker *worker, const struct sim_step *step);
/* Let so much time pass, ending what is to end meanwhile. */
void sim_steps_wait(struct sim_world *w, int64_t us);
/* End what is to end by now; with `all`, everything. Returns when the next one ends, or INT64_MAX. */
int64_t sim_steps_end(struct sim_world *w, bool all);

/* ---- the modelled Redis ---- */

void sim_there_begin(struct sim_world *w);
struct storm_there sim_there_look(const void *world, const char *key);
/* The connection of a store that was killed; what it had asked may come late. */
void sim_there_forget(struct sim_node *node, bool comes_late);
/* Keep a copy; false: there is nothing to go back to yet. */
bool sim_there_keep(struct sim_world *w);
void sim_there_lose(struct sim_world *w, bool all, uint64_t random);
void sim_there_lose_log(struct sim_world *w);
void sim_there_trim_log(struct sim_world *w, size_t n_left);
/* Redis takes this key away, and tells nobody why. */
void sim_there_evict(struct sim_world *w, const struct storm_key *key);
/* A plain client changes this key. */
void sim_there_client(struct sim_world *w, const struct storm_key *key, uint64_t random);

/* ---- watching ---- */

/* After every step, on the world's thread: what may be seen at any moment. */
void sim_watch(struct sim_world *w);
/* What a worker has read. */
void sim_watch_read(struct sim_worker *worker, const struct storm_key *key, int rc, const struct hf_buf *value,
                    const struct hf_result *result, int64_t now_ms);

/* ---- histories ---- */

struct sim_result {
    unsigned failures;
    uint64_t digest; /* of everything that was recorded */
    int64_t simulated_us;
    uint64_t turns;
    size_t records;
};

/* A place where histories are played, one after the other, each in a process of its own. */
struct sim_history {
    char dir[96]; /* made, and emptied before each */
    unsigned processor;
    pid_t pid;           /* 0: none runs */
    char tell_path[112]; /* what it told */
    struct sim_result *result;
    int ended_by; /* the signal, or minus the exit status, of one that did not end well */
};

/* Returns 0, or -1. With `tell_all`, everything that was recorded is told. */
int sim_history_begin(struct sim_history *h, const struct sim_plan *plan, bool tell_all);
/* It has ended with this status of waitpid. Returns 0 when all held, or 1. */
int sim_history_end(struct sim_history *h, int status);
/* Both; 0, 1, or -1 when no process could be made. */
int sim_history_play(struct sim_history *h, const struct sim_plan *plan, bool tell_all);
/* Remove the directory. */
void sim_history_release(struct sim_history *h);

/* Drop steps as long as it still fails, in at most `tries` histories. Returns how many were played. */
unsigned sim_shrink(struct sim_history *h, struct sim_plan *plan, unsigned tries);

#endif
