/* The competitors. Each function opens one; whatever it returns, bench_close may be called for the side. */
#ifndef BENCH_SIDES_H
#define BENCH_SIDES_H

#include "bench.h"

#include <holdfast.h>

struct redis;
struct series;

/* ---- Holdfast ---- */

#define OURS_AWAY "unix:///nonexistent/redis.sock" /* of a Redis that is never there */

/* hf_set by so many threads. The clock includes the checkpoint that moves what was written into the local tier. */
int ours_set(const struct bench *bench, unsigned n_threads, const struct hf_options *opts, struct side *ret_side);
/* hf_submit, at most `window` under way; the clock as above. */
int ours_async(const struct bench *bench, unsigned window, const struct hf_options *opts, struct side *ret_side);
/* For ours_sustain: hf_set by one thread in a store that holds bench->n_written_keys keys already. */
int ours_sustained(const struct bench *bench, struct side *ret_side);
/* Go on for so long, and add it to the series. */
int ours_sustain(struct side *side, double seconds, struct series *series);
/* As ours_async, with the Redis at `address`, from when it is there: a set is complete when both tiers have it. */
int ours_through(const struct bench *bench, const char *address, unsigned window, struct side *ret_side);
/* What one hf_set takes there, in milliseconds, without the checkpoint. */
int ours_through_blocking(const struct bench *bench, const char *address, struct side *ret_side);
/* hf_get_into of bench->n_keys keys in random order. `in_overlay`: no checkpoint has moved them yet. */
int ours_get(const struct bench *bench, bool in_overlay, struct side *ret_side);
/* In a store that ours_get has opened, and which outlives the side: one thread sets, and so many others (at most two) get, both of
 * keys at random. The score is the rate of the gets together, or that of the sets. */
int ours_readers(struct side *store, unsigned n_readers, bool scores_writer, const char *name,
                 struct side *ret_side);
/* hf_scan_next over all of them. */
int ours_scan(const struct bench *bench, struct side *ret_side);
/* hf_open and one get of a store with `n_keys` keys, in milliseconds. `killed`: before each time, a child writes a
 * journal tail and kills itself. `name` distinguishes the two. */
int ours_reopen(const struct bench *bench, const char *name, size_t n_keys, bool killed, struct side *ret_side);
/* From hf_open until all keys that were written without Redis are shared, in a fresh store each time. `known`: each key
 * was shared before, and where others may have written it is compared with what Redis held then. `redis` outlives the side. */
int ours_replay(const struct bench *bench, struct redis *redis, enum hf_writers writers, bool known,
                struct side *ret_side);
/* The 99th percentile of hf_set, acknowledged by Redis, in microseconds: beside such a replay, and in the same store
 * afterwards. The quiet side belongs to the busy one and is closed after it or before. */
int ours_live(const struct bench *bench, struct redis *redis, struct side *ret_busy, struct side *ret_quiet);

/* Memory of this process that is not LMDB's mapped file, in MiB, with bench->n_replayed_keys keys stored and pending. `reopened`:
 * behind reading all of them; otherwise behind writing them, and the most meanwhile. */
int ours_pending(const struct bench *bench, bool reopened, struct side *ret_side);
/* What the store takes of the disk, in MiB, after bench->n_updates sets of so few keys while Redis is away. */
#define OURS_FEW_KEYS 10000
int ours_offline(const struct bench *bench, struct side *ret_side);
/* Wake-ups a second of all threads of a store that is connected and does nothing. `redis` outlives the side. */
int ours_idle(const struct bench *bench, struct redis *redis, struct side *ret_side);

/* ---- peers ---- */

/* Groups of so many keys and values, each one pwrite into a preallocated file, and fdatasync. One thread. */
int raw_append(const struct bench *bench, unsigned group, struct side *ret_side);
/* One LMDB transaction per set, holding the value and an outbox entry; default flags. */
int lmdb_outbox(const struct bench *bench, unsigned n_threads, struct side *ret_side);
/* mdb_get in one open read transaction, the value copied. */
int lmdb_get(const struct bench *bench, struct side *ret_side);
/* An LMDB cursor from the first key to the last. */
int lmdb_scan(const struct bench *bench, struct side *ret_side);
/* INSERT OR REPLACE in WAL mode with synchronous=FULL, one connection per thread. */
int sqlite_set(const struct bench *bench, unsigned n_threads, struct side *ret_side);
/* Plain sets of all keys by redis-cli --pipe, from a file. `known`: overwriting. `redis` outlives the side. */
int redis_pipe(const struct bench *bench, struct redis *redis, bool known, struct side *ret_side);

/* SET over the socket of a redis-server, by so many threads, each with a connection and waiting for its answers. */
int redis_set(const struct bench *bench, const char *socket, unsigned n_threads, const char *name,
              struct side *ret_side);
/* SET by one thread, at most `window` on their way. */
int redis_pipelined(const struct bench *bench, const char *socket, unsigned window, struct side *ret_side);

/* ---- servers ---- */

/* What redis-benchmark is to do with a server on 127.0.0.1: 50 clients, bench->n_keys keys, values of bench->value_bytes. */
struct load {
    const char *test; /* as its option -t has it */
    unsigned pipeline;
    size_t n; /* requests of a turn */
    int port;
};
/* The rate that it tells, after the keys were set. */
int redis_load(const struct bench *bench, const struct load *load, const char *name, struct side *ret_side);

#endif
