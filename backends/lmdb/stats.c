/* Figures about the local tier, each without looking at more than a few entries. */
#include "lmdb_fail.h"
#include "ops.h"
#include "state.h"
#include "table.h"
#include "fail.h"

#define META_PAGES 2u
#define N_CORE_TABLES 2u /* LMDB's free list and its table of tables, handles 0 and 1 */

static uint64_t pages_of(const MDB_stat *stat)
{
    return stat->ms_branch_pages + stat->ms_leaf_pages + stat->ms_overflow_pages;
}

static int core_pages(struct hf_local_snap *snap, uint64_t *pages)
{
    for (MDB_dbi dbi = 0; dbi < N_CORE_TABLES; dbi++) {
        MDB_stat stat;
        int rc = mdb_stat(snap->mdb, dbi, &stat);

        if (rc != 0)
            return hf__lmdb_fail(&snap->tier->env, rc, "asking for the size of LMDB's own tables");
        *pages += pages_of(&stat);
    }
    return 0;
}

static int count(struct hf_local_snap *snap, struct hf_local_stats *stats)
{
    uint64_t entries[HF__LMDB_TABLES];
    uint64_t pages = META_PAGES;
    int rc = core_pages(snap, &pages);

    for (int i = 0; i < HF__LMDB_TABLES && rc == 0; i++) {
        MDB_stat stat = {0};

        rc = hf__lmdb_table_stat(snap, (enum hf__lmdb_table)i, &stat);
        pages += pages_of(&stat);
        entries[i] = stat.ms_entries;
    }
    if (rc != 0)
        return rc;
    stats->records = entries[HF__LMDB_DATA] + entries[HF__LMDB_LONG];
    stats->pending_rows = entries[HF__LMDB_PENDING];
    stats->lane_entries = entries[HF__LMDB_LANE];
    stats->lane_keys = entries[HF__LMDB_LANE_KEYS];
    stats->parked = entries[HF__LMDB_PARKED];
    stats->conflicts = entries[HF__LMDB_CONFLICTS];
    stats->gaps = entries[HF__LMDB_GAPS];
    stats->retained = entries[HF__LMDB_RETAINED];
    stats->used_bytes = pages * snap->tier->env.page_bytes;
    stats->max_bytes = snap->tier->env.map_pages * snap->tier->env.page_bytes;
    return 0;
}

/* The older one of two times, of which 0 means none. */
static int64_t older(int64_t a_ms, int64_t b_ms)
{
    if (a_ms == 0 || b_ms == 0)
        return a_ms + b_ms;
    return a_ms < b_ms ? a_ms : b_ms;
}

/* A time of 0: there is none. What is damaged has no time, and who reads it will say so: it must not keep the others from being
 * counted. */
static int find_oldest_row(struct hf_local_snap *snap, int64_t *ret_made_ms)
{
    struct hf_pending_row row = {0};
    int rc = hf__lmdb_pending_next(snap, 0, &row);

    while (rc == HF_ECORRUPT && row.first_lsn < UINT64_MAX)
        rc = hf__lmdb_pending_next(snap, row.first_lsn + 1, &row);
    *ret_made_ms = rc == 0 ? row.first_made_ms : 0;
    return rc == HF_NOT_FOUND || rc == HF_ECORRUPT ? 0 : rc;
}

static int find_oldest_of_lane(struct hf_local_snap *snap, int64_t *ret_made_ms)
{
    struct hf_lane_entry entry = {0};
    int rc = hf__lmdb_lane_next(snap, 0, &entry);

    while (rc == HF_ECORRUPT && entry.lsn < UINT64_MAX)
        rc = hf__lmdb_lane_next(snap, entry.lsn + 1, &entry);
    *ret_made_ms = rc == 0 ? entry.made_ms : 0;
    return rc == HF_NOT_FOUND || rc == HF_ECORRUPT ? 0 : rc;
}

static int find_oldest(struct hf_local_snap *snap, int64_t *ret_made_ms)
{
    int64_t row_ms, entry_ms;
    int rc = find_oldest_row(snap, &row_ms);

    if (rc == 0)
        rc = find_oldest_of_lane(snap, &entry_ms);
    if (rc == 0)
        *ret_made_ms = older(row_ms, entry_ms);
    return rc;
}

int hf__lmdb_stats(struct hf_local_snap *snap, struct hf_local_stats *ret_stats)
{
    struct hf_local_stats stats = {0};
    int rc = hf__lmdb_state_load(snap);

    if (rc == 0)
        rc = count(snap, &stats);
    if (rc == 0)
        rc = find_oldest(snap, &stats.oldest_pending_made_ms);
    if (rc == 0)
        rc = hf__lmdb_first_deadline(snap, &stats.first_deadline_ms);
    if (rc != 0)
        return rc;
    stats.pending_bytes = snap->state.pending_bytes;
    stats.in_doubt = snap->state.in_doubt;
    stats.parked_bytes = snap->state.parked_bytes;
    stats.conflict_bytes = snap->state.conflict_bytes;
    stats.blind_conflicts = snap->state.blind_conflicts;
    *ret_stats = stats;
    return 0;
}
