/* The reserve: how much of the map a transaction may take.
 *
 * LMDB copies each page before it changes it, and what it frees can be taken again two transactions later at the
 * earliest. So a transaction lives on the pages behind the end and on the older part of the free list. LMDB does
 * not tell how much of them it has used; it is estimated here from the changes:
 *  - Changes whose values lie within one page's distance went to one leaf page. Keys come sorted, so the number of
 *    such runs is close to the number of leaf pages copied; it is never less.
 *  - A table has no more leaf and branch pages to copy than it has at all.
 *  - A large value takes pages of its own.
 * If the estimate is ever too low, LMDB's own limit fails the transaction as a whole. */
#include "room.h"

#include "env.h"
#include "free_list.h"
#include "snapshot.h"
#include "table.h"
#include "fail.h"

#define RESERVE_PAGES_MIN 64u
#define RESERVE_BYTES_MAX (8u << 20)
#define PAIR_OVERHEAD 32u    /* what LMDB adds to a pair and to half a page, rounded up */
#define TREE_DEPTH_MAX 8u    /* pages on one way down, of a tree of far more than 2^40 entries */
#define CHANGES_PER_WRITE 6u /* tables that one write of the seam changes at most, with their neighbours */

static uint64_t reserve_pages(const struct hf__lmdb_env *env)
{
    uint64_t pages = env->map_pages / 16;

    if (pages > RESERVE_BYTES_MAX / env->page_bytes)
        pages = RESERVE_BYTES_MAX / env->page_bytes;
    return pages > RESERVE_PAGES_MIN ? pages : RESERVE_PAGES_MIN;
}

static uint64_t pages_of(const struct hf__lmdb_env *env, uint64_t bytes)
{
    return bytes / env->page_bytes + 1;
}

void hf__lmdb_room_init(struct hf_local_txn *txn)
{
    txn->room = (struct hf__lmdb_room){.obtainable = hf__lmdb_env_end_pages(&txn->snap.tier->env)};
}

void hf__lmdb_room_note_put(struct hf_local_txn *txn, enum hf__lmdb_table table, const void *value,
                            size_t pair_bytes)
{
    struct hf__lmdb_room *room = &txn->room;
    const struct hf__lmdb_env *env = &txn->snap.tier->env;
    uintptr_t at = (uintptr_t)value;

    if (pair_bytes + PAIR_OVERHEAD > env->page_bytes / 2) { /* a leaf page holds at least two pairs */
        room->overflow += pages_of(env, pair_bytes);
        at = 0;
    }
    if (at != 0 && at - room->last[table] + env->page_bytes < 2 * env->page_bytes)
        return;
    room->last[table] = at;
    room->touched[table]++;
    room->n_touches++;
}

void hf__lmdb_room_note_del(struct hf_local_txn *txn, enum hf__lmdb_table table)
{
    txn->room.last[table] = 0;
    txn->room.touched[table]++;
    txn->room.n_touches++;
}

static uint64_t min(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* The pages that this transaction has taken, from the sizes of its tables. */
static int estimate(struct hf_local_txn *txn, uint64_t *ret_pages)
{
    uint64_t pages = txn->room.overflow;

    for (int i = 0; i < HF__LMDB_TABLES; i++) {
        uint64_t touched = txn->room.touched[i];
        MDB_stat stat;
        int rc = hf__lmdb_table_stat(&txn->snap, (enum hf__lmdb_table)i, &stat);

        if (rc != 0)
            return rc;
        pages += min(touched, stat.ms_leaf_pages) + min(touched * TREE_DEPTH_MAX, stat.ms_branch_pages);
    }
    *ret_pages = pages + pages / 256 + TREE_DEPTH_MAX; /* LMDB notes each page it freed, in 8 bytes */
    return 0;
}

static int count_free(struct hf__lmdb_tier *tier, struct hf__lmdb_free *ret_free)
{
    struct hf_local_snap *snap;
    int rc = hf__lmdb_snap_begin(&tier->tier, &snap);

    if (rc != 0)
        return rc;
    hf__lmdb_env_clear_dead(&tier->env);
    rc = hf__lmdb_free_pages(&tier->env, snap->mdb, ret_free);
    hf__lmdb_snap_end(snap);
    return rc;
}

bool hf__lmdb_room_is_behind(struct hf__lmdb_tier *tier)
{
    uint64_t end = hf__lmdb_env_end_pages(&tier->env);
    struct hf__lmdb_free free;

    if (end > tier->env.map_pages / 8 || count_free(tier, &free) != 0)
        return false;
    return free.last > free.obtainable + end;
}

/* Whether `pages` can still be had: with the pages behind the end, else with the free list too. */
static int has_room(struct hf_local_txn *txn, uint64_t pages, bool *ret_has)
{
    if (txn->room.obtainable < pages && !txn->room.counted) {
        struct hf__lmdb_free free;
        int rc = count_free(txn->snap.tier, &free);

        if (rc != 0)
            return rc;
        txn->room.obtainable += free.obtainable;
        txn->room.counted = true;
    }
    *ret_has = txn->room.obtainable >= pages;
    return 0;
}

int hf__lmdb_room_check(struct hf_local_txn *txn, enum hf__lmdb_keep keep, uint64_t bytes)
{
    struct hf__lmdb_tier *tier = txn->snap.tier;
    uint64_t reserve = reserve_pages(&tier->env) / (keep == HF__LMDB_KEEP_HALF ? 2 : 1);
    uint64_t need = reserve + pages_of(&tier->env, bytes) + CHANGES_PER_WRITE;
    uint64_t taken;
    bool has;
    int rc = has_room(txn, need + txn->room.n_touches * TREE_DEPTH_MAX + txn->room.overflow, &has);

    if (rc != 0 || has)
        return rc;
    rc = estimate(txn, &taken);
    if (rc == 0)
        rc = has_room(txn, need + taken, &has);
    if (rc != 0 || has)
        return rc;
    tier->was_full = true;
    return hf__fail(HF_EFULL, "local tier %s is full: less than the reserve of %llu KiB would be left of %llu MiB",
                    tier->env.path, (unsigned long long)(reserve * tier->env.page_bytes >> 10),
                    (unsigned long long)(tier->env.map_pages * tier->env.page_bytes >> 20));
}
