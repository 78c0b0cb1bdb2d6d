/* SQLite in WAL mode with synchronous=FULL: each set a transaction of its own. */
#include "sides.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define BUSY_TIMEOUT_MS 30000 /* longer than any turn: a thread that waits for its turn does not fail */

struct connection {
    sqlite3 *db;
    sqlite3_stmt *insert;
};

struct sqlite {
    const struct bench *bench;
    char *dir;
    unsigned n_threads;
    struct connection *connections; /* one per thread */
};

static int sqlite_fail(sqlite3 *db, const char *what)
{
    return bench_fail("SQLite cannot %s: %s", what, db ? sqlite3_errmsg(db) : "out of memory");
}

static void sqlite_close(void *state)
{
    struct sqlite *s = state;

    for (unsigned i = 0; s->connections && i < s->n_threads; i++) {
        sqlite3_finalize(s->connections[i].insert);
        sqlite3_close(s->connections[i].db);
    }
    if (s->dir)
        bench_area_remove(s->dir);
    free(s->dir);
    free(s->connections);
    free(s);
}

static int connect_db(const char *path, struct connection *c)
{
    static const char set_up[] = "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
                                 "CREATE TABLE IF NOT EXISTS kv(key BLOB PRIMARY KEY, value BLOB) WITHOUT ROWID;";
    static const char insert[] = "INSERT OR REPLACE INTO kv(key, value) VALUES(?1, ?2)";

    if (sqlite3_open(path, &c->db) != SQLITE_OK)
        return sqlite_fail(c->db, "open the database");
    sqlite3_busy_timeout(c->db, BUSY_TIMEOUT_MS);
    if (sqlite3_exec(c->db, set_up, NULL, NULL, NULL) != SQLITE_OK)
        return sqlite_fail(c->db, "set up the database");
    if (sqlite3_prepare_v3(c->db, insert, sizeof(insert), SQLITE_PREPARE_PERSISTENT, &c->insert, NULL) != SQLITE_OK)
        return sqlite_fail(c->db, "prepare the statement");
    return 0;
}

static int insert_op(void *state, unsigned thread, uint64_t random)
{
    struct sqlite *s = state;
    struct connection *c = &s->connections[thread];

    sqlite3_bind_blob(c->insert, 1, s->bench->keys[random % s->bench->n_written_keys], BENCH_KEY_BYTES,
                      SQLITE_STATIC);
    sqlite3_bind_blob(c->insert, 2, bench_value(s->bench, random), (int)s->bench->value_bytes, SQLITE_STATIC);
    if (sqlite3_step(c->insert) != SQLITE_DONE)
        return sqlite_fail(c->db, "set a value");
    sqlite3_reset(c->insert);
    return 0;
}

static int insert_turn(void *state, struct score *ret_score)
{
    struct sqlite *s = state;
    struct tally tally;
    int rc = bench_threads(s->bench, s->n_threads, 1, insert_op, s, &tally);

    if (rc != 0)
        return rc;
    ret_score->value = tally.rate;
    ret_score->done = tally.done;
    return 0;
}

static int connect_all(struct sqlite *s)
{
    char *path = NULL;
    int rc = 0;

    if (mkdir(s->dir, 0700) != 0)
        return bench_fail("cannot make '%s': %s", s->dir, strerror(errno));
    if (asprintf(&path, "%s/db", s->dir) < 0)
        return bench_fail("out of memory");
    for (unsigned i = 0; i < s->n_threads && rc == 0; i++)
        rc = connect_db(path, &s->connections[i]);
    free(path);
    return rc;
}

int sqlite_set(const struct bench *bench, unsigned n_threads, struct side *ret_side)
{
    struct sqlite *s = calloc(1, sizeof(*s));

    if (!s)
        return bench_fail("out of memory");
    s->bench = bench;
    s->n_threads = n_threads;
    *ret_side = (struct side){
        .name = "SQLite WAL synchronous=FULL", .turn = insert_turn, .close = sqlite_close, .state = s};
    s->connections = calloc(n_threads, sizeof(*s->connections));
    s->dir = bench_path(bench, "sqlite");
    return s->connections && s->dir ? connect_all(s) : bench_fail("out of memory");
}
