/* The tables of a local tier, behind its back. */
#include "raw_tier.h"

#include "scratch.h"

#include <stdio.h>

struct raw_tier raw_open(const char *dir, const char *table)
{
    struct raw_tier raw;
    char path[128];

    snprintf(path, sizeof(path), "%s/lmdb", dir);
    assert_int_equal(mdb_env_create(&raw.env), 0);
    assert_int_equal(mdb_env_set_maxdbs(raw.env, 16), 0);
    assert_int_equal(mdb_env_open(raw.env, path, MDB_NOSYNC, 0600), 0);
    assert_int_equal(mdb_txn_begin(raw.env, NULL, 0, &raw.txn), 0);
    assert_int_equal(mdb_dbi_open(raw.txn, table, 0, &raw.dbi), 0);
    return raw;
}

void raw_close(struct raw_tier *raw)
{
    assert_int_equal(mdb_txn_commit(raw->txn), 0);
    mdb_env_close(raw->env);
}

size_t raw_entries(const char *dir, const char *table)
{
    struct raw_tier raw = raw_open(dir, table);
    MDB_stat stat;

    assert_int_equal(mdb_stat(raw.txn, raw.dbi, &stat), 0);
    raw_close(&raw);
    return stat.ms_entries;
}
