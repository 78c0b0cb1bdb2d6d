/* A redis-server behind backends/redis, and the model of one behind the same seam: each request is given to both, and what they
 * answer, tell and hold must be the same. What each of them draws by chance (epochs, tokens, fencing numbers) or reads from a
 * clock (ids) is compared by its order.
 *
 * Everything is called on the test's own thread. What differs fails the test, and is printed with what was asked. */
#ifndef TEST_MODEL_PAIR_H
#define TEST_MODEL_PAIR_H

#include "fake_tier.h"
#include "link_driver.h"
#include "redis_server.h"

enum { PAIR_REAL, PAIR_MODEL, PAIR_SIDES };

#define PAIR_CONNS 3u /* the first and the last are of the same node */
#define PAIR_SPACES 2u
#define PAIR_IDS_MAX 16384u /* of entries that a log ever had */

/* A namespace's log, as one side knows it. */
struct pair_log {
    char epoch[33]; /* as it was told last; "": never */
    char key[80];
    char (*ids)[48]; /* of all entries that were ever seen, in order */
    size_t n_ids;
};

/* What is told of an answer: words that must be the same, ids that must have the same place in their log, and times that must be
 * about the same. */
struct pair_words {
    char text[1 << 17];
    size_t len;
    struct {
        size_t space;
        char id[48];
    } ids[512];
    size_t n_ids;
    int64_t about_ms[2048];
    size_t n_about;
};

struct pair_side {
    struct link_driver conns[PAIR_CONNS];
    struct pair_log logs[PAIR_SPACES];
    struct pair_words words;
    char (*epochs)[33]; /* all that were ever told */
    size_t n_epochs;
    uint64_t fences[PAIR_SPACES]; /* the last ones that were drawn */
    char told[PAIR_CONNS][1 << 14];
};

struct pair {
    struct redis_server server;
    redisContext *plain, *busy; /* plain clients, of whom nothing is refused but by the server's state */
    struct pair_side sides[PAIR_SIDES];
    bool connected[PAIR_CONNS];
    bool is_busy;              /* the server answers nobody: logs are read later */
    char asked[256];           /* what was asked last */
    enum hf_lane_outcome lane; /* of the last one */
    uint64_t mark;             /* as it told */
    uint64_t seed;
    unsigned step;
    bool tells;           /* print what is asked */
    int reply_timeout_ms; /* before pair_start: how long an answer is waited for; 0: for as long as a test takes */
};

/* `pair` is zeroed, but for what is said to be set before. */
void pair_start(struct pair *pair, uint64_t seed);
void pair_stop(struct pair *pair);

/* ---- requests of a connection ---- */

/* A place in a log, instead of an id: the entries that were ever seen there are counted from 0. */
#define PAIR_NO_ID SIZE_MAX            /* NULL */
#define PAIR_FROM_START (SIZE_MAX - 1) /* "" */
size_t pair_places(const struct pair *pair, size_t space);

/* A log of a group: `at` is the place behind which others may not have written. */
struct pair_named {
    size_t space, first_item, n_items, at;
    uint32_t max_entries;
};

void pair_connect(struct pair *pair, size_t conn);
/* The same with a connection that is made for the first time; then nothing is out on it, either: it asks for the time once more,
 * and has been answered. */
void pair_connect_and_settle(struct pair *pair, size_t conn);
void pair_disconnect(struct pair *pair, size_t conn);
/* Those logs stand for the group's own. */
void pair_group(struct pair *pair, size_t conn, const struct hf_shared_group *group, const struct pair_named *logs,
                size_t n_logs);
/* The mark is the node's in this namespace; `max_entries` 0: no log. */
void pair_lane(struct pair *pair, size_t conn, size_t space, uint32_t max_entries, uint64_t prev,
               const struct hf_shared_lane_op *ops, size_t n_ops);
void pair_decide(struct pair *pair, size_t conn, size_t space, bool logged, const struct hf_shared_decide *decide);
void pair_epoch(struct pair *pair, size_t conn, size_t space, bool with_log, bool look_only);
void pair_page(struct pair *pair, size_t conn, size_t space, size_t at, uint32_t count, bool backwards);
void pair_fetch(struct pair *pair, size_t conn, const char *key);
/* `at`: the logs of all namespaces are read from there, too; PAIR_NO_ID: they are not. */
void pair_examine(struct pair *pair, size_t conn, const struct hf_shared_seen *keys, size_t n_keys,
                  enum hf_shared_watch watch, size_t at);
void pair_facts(struct pair *pair, size_t conn, enum hf_shared_track track);

/* ---- what is done to both; "log <space>" names a log ---- */

void pair_set(struct pair *pair, const char *key, const char *value, int64_t deadline_ms);
void pair_delete(struct pair *pair, const char *key);
void pair_expire(struct pair *pair, const char *key, int64_t deadline_ms); /* 0: none */
void pair_other_type(struct pair *pair, const char *key, bool hash);
void pair_trim(struct pair *pair, size_t n_left);
void pair_entry(struct pair *pair, size_t space);
void pair_take_away_dead(struct pair *pair);
void pair_wipe(struct pair *pair);
void pair_swap(struct pair *pair);
/* LOADING lasts for some seconds, or until it ends; whatever is watched is touched by it, and all is told to have changed. */
void pair_trouble(struct pair *pair, enum fake_trouble trouble, bool has);
/* SIGSTOP and SIGCONT; when it goes on, what it was sent before has been done. */
void pair_halt(struct pair *pair, bool halted);

/* On Redis's clock, of both. */
int64_t pair_now_ms(void);
/* Wait until it has come. */
void pair_wait_until(int64_t redis_ms);

/* ---- comparing ---- */

/* Everything that is held, by all names. */
void pair_compare_data(struct pair *pair);
/* What the connections were told since they were last looked at. */
void pair_compare_told(struct pair *pair);

#endif
