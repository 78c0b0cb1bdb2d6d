/* The tables of a local tier, behind its back: as damage, or another program, would change them. */
#ifndef HF_RAW_TIER_H
#define HF_RAW_TIER_H

#include <lmdb.h>
#include <stddef.h>

struct raw_tier {
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;
};

/* One table of the tier in `dir`, in a write transaction. The tier must be closed. */
struct raw_tier raw_open(const char *dir, const char *table);
/* Commits. */
void raw_close(struct raw_tier *raw);

size_t raw_entries(const char *dir, const char *table);

#endif
