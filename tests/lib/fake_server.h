/* What the fake Redis holds: keys, one change log, an epoch, marks (keys like others) and a snapshot of all that; and
 * its connections.
 *
 * Everything here takes fake_server.mutex for granted. */
#ifndef HF_FAKE_SERVER_H
#define HF_FAKE_SERVER_H

#include "bytes.h"
#include "fake_tier.h"

#include <pthread.h>

struct fake_key {
    struct fake_key *next;
    struct hf_buf key, value;
    bool live;
    char type[24]; /* "": a string */
    int64_t deadline_ms;
    uint64_t touched; /* by which change of all, counted from 1 */
    uint64_t fence;   /* the number of the holder of this lock */
    unsigned applied;
};

/* One name in the change log, in an entry of its own. Without a key: the entry that begins a log. */
struct fake_change {
    uint64_t id; /* rises, also over a restored snapshot: as the time in a stream id */
    char node[33];
    enum hf_shared_op op;
    struct hf_buf key;
    uint64_t lsn, last_lsn; /* last_lsn: of the request; 0: the same */
    int64_t made_ms, uncertainty_ms;
};

/* What a snapshot keeps. */
struct fake_data {
    struct fake_key *keys;
    struct fake_change *log;
    size_t n_log, log_capacity;
    bool log_there;
    char epoch[33]; /* "": none */
};

/* How requests of one kind are answered. */
struct fake_script {
    enum fake_outcome outcome;
    unsigned n;    /* of the next requests that end with this outcome */
    bool frozen;   /* no answers ... */
    unsigned lets; /* ... but for these */
    unsigned asked;
};

/* A key that the next group must find untouched. */
struct fake_watch {
    struct hf_buf key;
    uint64_t touched;
};

#define FAKE_SIDE_MAX 64u /* requests of one kind that run beside others */

/* One connection. Its thread is the link thread of the seam. */
struct fake_tier {
    struct hf_shared_tier base; /* first */
    pthread_t thread;
    const struct hf_shared_handler *handler;
    void *ctx;
    struct hf_clock *clock;
    char node[33];
    struct fake_tier *next;
    bool started, stopping, woken, connecting, connected, has_timer;
    bool untracked;
    bool cut; /* the connection is dead, although Redis is there */
    unsigned
        wipes; /* of the server when this connection was made: it has lost our token since, if there are more */
    struct timespec timer;
    unsigned told; /* of the server's `tell`: with less, an answer to TIME is owed */
    bool watching;
    struct fake_watch *watches;
    size_t n_watches;
    struct hf_buf *pushes; /* keys that others changed */
    size_t n_pushes;
    bool push_all;
    struct hf_shared_group *group;
    struct hf_shared_lane *lane;
    struct hf_shared_epoch *epoch;
    struct hf_shared_log_page *page;
    struct hf_shared_decide *decide;
    struct hf_shared_facts *facts;
    struct hf_shared_fetch *fetches[FAKE_SIDE_MAX];
    struct hf_shared_examine *examines[FAKE_SIDE_MAX];
    size_t n_fetches, n_examines;
};

struct fake_server {
    pthread_mutex_t mutex;
    pthread_cond_t changed; /* whatever a connection's thread looks at */
    bool away, no_tracking;
    struct fake_data data, snapshot;
    struct fake_tier *tiers; /* of all stores that are open */
    struct fake_script scripts[FAKE_REQUESTS];
    uint64_t touches, next_id, fence;
    unsigned epochs, wipes, runs;
    int64_t uptime_base_s, uptime_from_ms; /* uptime_from_ms: 0 until somebody asks */
    unsigned torn_units;
    struct hf_clock *clock; /* NULL: the wall clock of the first store */
    int64_t ahead_ms;       /* Redis's clock minus the boot clock of `clock` */
    int64_t wrong_ms;       /* of the next answer to TIME */
    unsigned tell, told;    /* answers to TIME that were asked for, and taken */
};
extern struct fake_server fake_server;

/* The fake's own memory is not what is tested. */
void *fake_need(void *memory);
struct hf_buf fake_copy(struct hf_slice s);
static inline struct hf_slice fake_slice(const struct hf_buf *buf)
{
    return hf__slice(buf->data, buf->len);
}

/* NULL: never heard of. One that is not `live` is not there for clients. */
struct fake_key *fake_find(struct hf_slice name);
struct fake_key *fake_find_or_make(struct hf_slice name);
struct fake_key *fake_find_live(struct hf_slice name);
bool fake_is_string(const struct fake_key *key); /* NULL: false */

void fake_change_key(struct fake_key *key, enum hf_shared_op op, struct hf_slice value, int64_t deadline_ms);
int64_t fake_add(struct fake_key *key, int64_t delta, int64_t deadline_ms);
uint64_t fake_number(struct hf_slice name); /* 0: no such key */

/* Append an entry; `change` is copied, its id chosen. Returns false when there is no log. */
bool fake_append_log(const struct fake_change *change);
void fake_begin_log(const char *node);
void fake_trim_log(size_t n_left);
void fake_clear_log(void);
uint64_t fake_last_id(void);
/* This is the log's name in the epoch in force, and it is there. */
bool fake_is_log(struct hf_slice name);

struct fake_data fake_copy_data(const struct fake_data *data);
void fake_release_data(struct fake_data *data);

/* ---- connections ---- */

/* Wake all connections' threads to look. */
static inline void fake_changed(void)
{
    pthread_cond_broadcast(&fake_server.changed);
}
/* On Redis's clock. */
int64_t fake_now_ms(void);
/* An answer to TIME. */
int64_t fake_tell_time_ms(void);
/* Tell all connections but `by` (NULL: none) that this key was changed; NULL: that all may have been. */
void fake_invalidate(const struct fake_tier *by, const struct hf_slice *key);
void fake_forget_watches(struct fake_tier *tier);
void fake_forget_pushes(struct fake_tier *tier);

#endif
