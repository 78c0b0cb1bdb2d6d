/* What the fake Redis holds: two databases of keys and streams, of which stores see the first, and a snapshot; its state; and
 * its connections.
 *
 * Everything here takes fake_server.mutex for granted. */
#ifndef HF_FAKE_SERVER_H
#define HF_FAKE_SERVER_H

#include "bytes.h"
#include "fake_tier.h"

#include <pthread.h>

/* ---- streams: the change logs ---- */

struct fake_id {
    uint64_t ms, seq;
};
#define FAKE_ID_MAX 48 /* characters, with the NUL */

/* One name in an entry of a change log. */
struct fake_name {
    enum hf_shared_op op;
    struct hf_buf key;
    uint64_t lsn;
    int64_t made_ms; /* 0: when the entry came */
    int64_t uncertainty_ms;
};

struct fake_entry {
    struct fake_id id;
    bool opens_node; /* streams are trimmed by whole nodes */
    char node[33];   /* "": of somebody who writes something else there */
    uint64_t last_lsn;
    struct fake_name *names;
    size_t n_names;
};

struct fake_stream {
    struct fake_entry *entries;
    size_t n, capacity;
    struct fake_id last; /* the newest that was ever there */
};

/* ---- keys ---- */

struct fake_key {
    struct fake_key *next; /* of its bucket */
    struct hf_buf key, value;
    bool live;
    char type[24]; /* "": a string */
    struct fake_stream stream;
    int64_t deadline_ms;
    unsigned applied;
};

#define FAKE_STREAM "stream" /* a type */
#define FAKE_VERSION "7.0.0"
#define FAKE_TIME_EVERY_MS 60000 /* as backends/redis asks, whatever comes */
#define FAKE_BUCKETS 256u

/* A database, which a snapshot keeps. */
struct fake_data {
    struct fake_key *buckets[FAKE_BUCKETS];
};

/* ---- connections ---- */

/* How requests of one kind are answered. */
struct fake_script {
    enum fake_outcome outcome;
    unsigned n;    /* of the next requests that end with this outcome */
    bool frozen;   /* no answers ... */
    unsigned lets; /* ... but for these */
    bool newest;   /* the next one is the one that was asked last */
    unsigned asked;
};

/* A key that the next group must find untouched. */
struct fake_watch {
    struct hf_buf key;
    bool was_dead; /* already then: its end is no change */
};

/* What others know a connection by: also one that has ended, whose requests Redis has yet to get. */
struct fake_session {
    char node[33];
    char key[48];   /* _hf:session:<node> */
    char token[33]; /* "": it has none */
    struct fake_watch *watches;
    size_t n_watches;
    bool touched; /* what it watches was */
};

/* What a connection is about to hear: the answer to a request, or else which keys others have changed; `all` is without keys.
 * What was lent to an answer is kept until it is heard. */
struct fake_heard {
    struct fake_heard *next;
    int64_t due_ns;
    struct fake_request_out *answered; /* NULL: a push */
    struct hf_buf *keys;
    size_t n_keys;
    bool all;
};

/* Somewhere between the link and its `done`. */
struct fake_request_out {
    struct fake_request_out *next;
    enum fake_request kind;
    bool beside; /* others may be out with it */
    void *request;
    int64_t due_ns;  /* it reaches Redis */
    int64_t late_ns; /* it is given up; 0: never */
    int64_t asked_ms;
    int64_t redis_ms;      /* the answer to TIME */
    struct hf_buf *values; /* copies of what an answer lends */
    size_t n_values;
    struct fake_page *pages; /* likewise; see fake_answers.h */
    size_t n_pages;
};

/* One connection and what uses it. Its thread is the link thread of the seam. */
struct fake_tier {
    struct hf_shared_tier base; /* first */
    pthread_t thread;
    const struct hf_shared_handler *handler;
    void *ctx;
    struct hf_clock *clock;
    const struct hf_shared_owner *owner; /* NULL: every token may be ours */
    struct hf_buf *prefixes;             /* to be tracked */
    size_t n_prefixes;
    int connect_timeout_ms, reply_timeout_ms, heartbeat_ms;
    struct fake_tier *next;
    bool started, stopping, woken, connecting, greeted, connected, master, has_timer;
    struct hf_shared_hello hello; /* of the connection that is being made */
    bool tracks, hears;           /* it is told, and listens */
    bool cut;                     /* the connection is dead, although Redis is there */
    bool mute, deaf;              /* what it sends goes nowhere; what it is sent does not come */
    uint64_t attempt;             /* changes with each begin and end */
    int64_t timer_ns;             /* when the timer of the seam has run out */
    int64_t begun_ns;             /* connecting: Redis is reached */
    int64_t late_ns;              /* connecting: it is given up; 0: never */
    int64_t idle_ns;              /* the next heartbeat, when nothing else comes ... */
    int64_t minute_ns;            /* ... and whatever comes; both 0: none */
    unsigned told;                /* of the server's `tell`: with less, an answer to TIME is owed */
    bool watching;                /* an examination that watches was sent: a group follows */
    struct fake_session session;
    struct fake_request_out *out, **out_end; /* those that Redis has not got, in order */
    struct fake_heard *heard, **heard_end;   /* in order */
};

/* A request whose connection has ended before Redis got it. */
struct fake_late {
    struct fake_late *next;
    struct fake_session *session; /* shared with those behind it, of the same connection */
    enum fake_request kind;
    void *request; /* a copy */
};

/* A key that was changed in this turn of the server, and by whom last. NULL: by somebody who tracks nothing, or by a script. */
struct fake_turned {
    struct hf_buf key;
    const struct fake_tier *by;
};

struct fake_server {
    pthread_mutex_t mutex;
    pthread_cond_t changed; /* whatever a connection's thread looks at */
    struct fake_data data, other, snapshot;
    struct fake_tier *tiers; /* of all stores that are open */
    struct fake_late *late, **late_end;
    struct fake_script scripts[FAKE_REQUESTS];

    /* its state */
    bool away, refusing, stopped, keeps_time, no_tracking;
    bool troubles[FAKE_TROUBLES];
    uint64_t max_bytes; /* 0: no limit */
    bool evicts;
    uint64_t n_evicted;
    unsigned runs;                         /* lives of the server */
    int64_t uptime_base_s, uptime_from_ms; /* uptime_from_ms: 0 until somebody asks */
    int64_t died_ms;                       /* of its last life, on its clock */
    uint64_t random;
    int delay_min_ms, delay_max_ms;

    /* this turn */
    struct fake_turned *turned;
    size_t n_turned;
    bool holds_turn;

    /* its clock */
    struct hf_clock *clock; /* NULL: the wall clock of the first store */
    int64_t ahead_ms;       /* Redis's clock minus the boot clock of `clock` */
    int64_t wrong_ms;       /* of the next answer to TIME */
    unsigned tell, told;    /* answers to TIME that were asked for, and taken */

    unsigned torn_units, other_lsn, n_changes;
};
extern struct fake_server fake_server;

/* ---- memory: the fake's own is not what is tested ---- */

void *fake_need(void *memory);
struct hf_buf fake_copy(struct hf_slice s);
static inline struct hf_slice fake_slice(const struct hf_buf *buf)
{
    return hf__slice(buf->data, buf->len);
}

/* ---- keys, as they are held: nothing expires here ---- */

/* NULL: never heard of. One that is not `live` is not there for clients. */
struct fake_key *fake_find(struct hf_slice name);
struct fake_key *fake_find_or_make(struct hf_slice name);
/* Its life is over, whether it was taken away or not. */
bool fake_is_dead(const struct fake_key *key);
/* NULL, one that is not live, or one that is dead: false. */
bool fake_is_there(const struct fake_key *key);
/* NULL or not there: false. */
bool fake_is_string(const struct fake_key *key);
/* Take it away, its stream, too. */
void fake_clear_key(struct fake_key *key);
/* Call `each` for all that are live. */
void fake_each_key(const struct fake_data *data, void (*each)(struct fake_key *key, void *ctx), void *ctx);

void fake_copy_data(const struct fake_data *from, struct fake_data *to);
void fake_release_data(struct fake_data *data);

/* ---- streams ---- */

/* Append an entry; the names' keys are copied, the id is chosen and given. `max` > 0: trim as MAXLEN ~ does. */
struct fake_id fake_append(struct fake_stream *stream, const struct fake_entry *entry, uint64_t max);
/* Append a copy of one that has its id. */
void fake_keep_entry(struct fake_stream *stream, const struct fake_entry *entry);
/* Leave only the newest. */
void fake_trim(struct fake_stream *stream, size_t n_left);
void fake_release_stream(struct fake_stream *stream);
struct fake_stream fake_copy_stream(const struct fake_stream *stream);

/* "5-1"; "": 0-0. */
struct fake_id fake_parse_id(const char *text);
void fake_format_id(struct fake_id id, char text[FAKE_ID_MAX]);
int fake_compare_ids(struct fake_id a, struct fake_id b);

/* The change log that names this key: of the namespace with the longest prefix that has one; NULL: there is none. */
struct fake_key *fake_log_of(struct hf_slice key);
bool fake_is_log(const struct fake_key *key);

/* ---- time and chance ---- */

/* On Redis's clock. */
int64_t fake_now_ms(void);
/* An answer to TIME. */
int64_t fake_tell_time_ms(void);
/* On the clock of timed waits. */
int64_t fake_mono_ns(void);
#define FAKE_NS_PER_MS 1000000
/* The next number of the seed. */
uint64_t fake_random(void);
void fake_random_hex(char *text, size_t n_digits);
/* How long something is on its way. */
int64_t fake_draw_delay_ns(void);

/* ---- who is told ---- */

/* All connections are dead; `away`: and none can be made. */
void fake_cut_all(bool away);
/* Wake all connections' threads to look. */
static inline void fake_changed(void)
{
    pthread_cond_broadcast(&fake_server.changed);
}
/* This key was changed: who watches it must not store, and at the end of the turn it is told to all that track it but `by`. */
void fake_signal(const struct fake_tier *by, struct hf_slice key);
/* All keys were. */
void fake_signal_all(void);
/* Unless turns are held: tell what was changed. */
void fake_end_turn(void);
void fake_watch(struct fake_session *session, struct hf_slice key);
void fake_forget_watches(struct fake_session *session);
/* A watched key was touched, or has died. */
bool fake_was_touched(const struct fake_session *session);
/* All that these hold are touched; once others, or none, are in their place. */
void fake_touch_all(const struct fake_data *data);

#endif
