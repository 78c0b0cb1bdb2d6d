/* LMDB used directly, with its default flags: durable transactions with an outbox, and reads. */
#include "sides.h"

#include <errno.h>
#include <lmdb.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MAP_BYTES ((size_t)4 << 30)
#define LOAD_KEYS 10000 /* in one transaction */

struct lmdb {
    const struct bench *bench;
    char *dir;
    unsigned n_threads;
    MDB_env *env;
    MDB_dbi values, outbox;
    _Atomic uint64_t next; /* number of the next outbox entry */
    MDB_txn *reader;       /* get and scan: open all the time */
    uint32_t *order;       /* get */
};

static int lmdb_fail(int rc, const char *what)
{
    return rc == 0 ? 0 : bench_fail("LMDB cannot %s: %s", what, mdb_strerror(rc));
}

static void lmdb_close(void *state)
{
    struct lmdb *l = state;

    mdb_txn_abort(l->reader);
    if (l->env)
        mdb_env_close(l->env);
    if (l->dir)
        bench_area_remove(l->dir);
    free(l->dir);
    free(l->order);
    free(l);
}

static MDB_val key_val(const struct bench *bench, size_t n)
{
    return (MDB_val){BENCH_KEY_BYTES, bench->keys[n]};
}

static MDB_val value_val(const struct bench *bench, uint64_t n)
{
    return (MDB_val){bench->value_bytes, (void *)bench_value(bench, n)}; /* which LMDB only reads */
}

/* ---- opening ---- */

static int open_tables(struct lmdb *l)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(l->env, NULL, 0, &txn);

    if (rc != 0)
        return rc;
    rc = mdb_dbi_open(txn, "values", MDB_CREATE, &l->values);
    if (rc == 0)
        rc = mdb_dbi_open(txn, "outbox", MDB_CREATE | MDB_INTEGERKEY, &l->outbox);
    if (rc == 0)
        return mdb_txn_commit(txn);
    mdb_txn_abort(txn);
    return rc;
}

static int open_env(struct lmdb *l)
{
    int rc = mdb_env_create(&l->env);

    if (rc == 0)
        rc = mdb_env_set_mapsize(l->env, MAP_BYTES);
    if (rc == 0)
        rc = mdb_env_set_maxdbs(l->env, 2);
    if (rc == 0)
        rc = mkdir(l->dir, 0700) == 0 ? 0 : errno;
    if (rc == 0)
        rc = mdb_env_open(l->env, l->dir, 0, 0600);
    if (rc == 0)
        rc = open_tables(l);
    return lmdb_fail(rc, "open an environment");
}

static int lmdb_new(const struct bench *bench, const char *name, struct side *ret_side, struct lmdb **ret_lmdb)
{
    struct lmdb *l = calloc(1, sizeof(*l));

    if (!l)
        return bench_fail("out of memory");
    l->bench = bench;
    *ret_side = (struct side){.name = name, .close = lmdb_close, .state = l};
    *ret_lmdb = l;
    l->dir = bench_path(bench, "lmdb");
    return l->dir ? open_env(l) : -1;
}

/* ---- durable sets ---- */

static int put_both(struct lmdb *l, MDB_txn *txn, uint64_t random)
{
    size_t number = atomic_fetch_add(&l->next, 1);
    MDB_val k = key_val(l->bench, random % l->bench->n_written_keys), v = value_val(l->bench, random);
    MDB_val outbox_key = {sizeof(number), &number};
    int rc = mdb_put(txn, l->values, &k, &v, 0);

    return rc == 0 ? mdb_put(txn, l->outbox, &outbox_key, &k, 0) : rc;
}

static int outbox_op(void *state, unsigned thread, uint64_t random)
{
    struct lmdb *l = state;
    MDB_txn *txn;
    int rc = mdb_txn_begin(l->env, NULL, 0, &txn);

    (void)thread;
    if (rc == 0) {
        rc = put_both(l, txn, random);
        if (rc == 0)
            rc = mdb_txn_commit(txn);
        else
            mdb_txn_abort(txn);
    }
    return lmdb_fail(rc, "set a value");
}

/* Somebody has sent what is in the outbox. */
static int empty_outbox(struct lmdb *l)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(l->env, NULL, 0, &txn);

    if (rc == 0) {
        rc = mdb_drop(txn, l->outbox, 0);
        if (rc == 0)
            rc = mdb_txn_commit(txn);
        else
            mdb_txn_abort(txn);
    }
    return lmdb_fail(rc, "empty the outbox");
}

static int outbox_turn(void *state, struct score *ret_score)
{
    struct lmdb *l = state;
    struct tally tally;
    int rc = bench_threads(l->bench, l->n_threads, 1, outbox_op, l, &tally);

    if (rc != 0)
        return rc;
    ret_score->value = tally.rate;
    ret_score->done = tally.done;
    return empty_outbox(l);
}

int lmdb_outbox(const struct bench *bench, unsigned n_threads, struct side *ret_side)
{
    struct lmdb *l = NULL;
    int rc = lmdb_new(bench, "LMDB transaction, value and outbox", ret_side, &l);

    if (rc != 0)
        return rc;
    l->n_threads = n_threads;
    ret_side->turn = outbox_turn;
    return 0;
}

/* ---- reads ---- */

static int load_some(struct lmdb *l, size_t from, size_t to)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(l->env, NULL, 0, &txn);

    if (rc != 0)
        return rc;
    for (size_t i = from; i < to && rc == 0; i++) {
        MDB_val k = key_val(l->bench, i), v = value_val(l->bench, i);
        rc = mdb_put(txn, l->values, &k, &v, 0);
    }
    if (rc == 0)
        return mdb_txn_commit(txn);
    mdb_txn_abort(txn);
    return rc;
}

/* In ascending order, the best layout that a cursor can meet. */
static int load(struct lmdb *l)
{
    size_t n = l->bench->n_keys;
    int rc = 0;

    for (size_t at = 0; at < n && rc == 0; at += LOAD_KEYS)
        rc = load_some(l, at, n - at < LOAD_KEYS ? n : at + LOAD_KEYS);
    if (rc == 0)
        rc = mdb_txn_begin(l->env, NULL, MDB_RDONLY, &l->reader);
    return lmdb_fail(rc, "load the keys");
}

static int get_all(struct lmdb *l)
{
    uint8_t value[BENCH_VALUE_MAX];

    for (size_t i = 0; i < l->bench->n_keys; i++) {
        MDB_val k = key_val(l->bench, l->order[i]), v;
        int rc = mdb_get(l->reader, l->values, &k, &v);
        if (rc != 0)
            return lmdb_fail(rc, "get a value");
        memcpy(value, v.mv_data, v.mv_size < sizeof(value) ? v.mv_size : sizeof(value));
        if (v.mv_size != l->bench->value_bytes || !bench_is_value(l->order[i], value))
            return bench_fail("LMDB returned a wrong value");
    }
    return 0;
}

/* The consumer copies key and value out, as ours does. */
static int scan_all(struct lmdb *l)
{
    uint8_t out[BENCH_KEY_BYTES + BENCH_VALUE_BYTES];
    uint64_t n = 0;
    MDB_cursor *cursor;
    MDB_val k, v;
    int rc = mdb_cursor_open(l->reader, l->values, &cursor);

    if (rc != 0)
        return lmdb_fail(rc, "open a cursor");
    for (rc = mdb_cursor_get(cursor, &k, &v, MDB_FIRST); rc == 0; n++) {
        if (!bench_take(n, out, k.mv_data, k.mv_size, v.mv_data, v.mv_size))
            break;
        rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND && n == l->bench->n_keys ? 0 : bench_fail("LMDB's scan ended early");
}

/* Whole passes over the keys until the time is up. */
static int read_turn(struct lmdb *l, int (*pass)(struct lmdb *l), struct score *ret_score)
{
    double started_s = bench_now_s(), seconds;
    uint64_t done = 0;

    do {
        int rc = pass(l);
        if (rc != 0)
            return rc;
        done += l->bench->n_keys;
        seconds = bench_now_s() - started_s;
    } while (seconds < l->bench->turn_s);
    ret_score->value = (double)done / seconds;
    return 0;
}

static int get_turn(void *state, struct score *ret_score)
{
    return read_turn(state, get_all, ret_score);
}

static int scan_turn(void *state, struct score *ret_score)
{
    return read_turn(state, scan_all, ret_score);
}

int lmdb_get(const struct bench *bench, struct side *ret_side)
{
    struct lmdb *l = NULL;
    int rc = lmdb_new(bench, "mdb_get in an open transaction", ret_side, &l);

    if (rc != 0)
        return rc;
    ret_side->turn = get_turn;
    l->order = bench_shuffled(bench->n_keys);
    return l->order ? load(l) : bench_fail("out of memory");
}

int lmdb_scan(const struct bench *bench, struct side *ret_side)
{
    struct lmdb *l = NULL;
    int rc = lmdb_new(bench, "LMDB cursor", ret_side, &l);

    if (rc != 0)
        return rc;
    ret_side->turn = scan_turn;
    return load(l);
}
