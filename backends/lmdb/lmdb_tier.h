/* The local tier on LMDB: how the wiring opens it. Everything else goes through the seam (local_tier.h); what lies
 * on the disk is described in docs/local-tier-format.md. */
#ifndef HF_LMDB_TIER_H
#define HF_LMDB_TIER_H

#include "local_tier.h"

#define HF_LMDB_MAX_READERS_DEFAULT 256u
#define HF_LMDB_MAP_MIN (1ull << 20) /* below it, the reserve for removals would be most of the map */

/* Zeroed means default everywhere. */
struct hf_lmdb_options {
    uint64_t map_bytes;   /* size of the map, at least HF_LMDB_MAP_MIN; 0: HF_MAX_DISK_DEFAULT; not for readers */
    unsigned max_readers; /* snapshots open at once, over all processes; 0: HF_LMDB_MAX_READERS_DEFAULT. Takes
                             effect when no other process has the environment open */
    bool read_only;       /* read beside an owner, in a process of its own */
};

/* Open the local tier in the subdirectory `lmdb` of `dir`, creating it (durably, all or nothing) unless read_only
 * is set. `opts` may be NULL. The tier is closed by its `close` operation. A process may have a directory open
 * once. That there is one owner is for the caller to see to: LMDB's writer lock waits for ever.
 *
 * Beyond what the seam says:
 *  - A failed `put` or other write that says HF_EFULL before it reached LMDB leaves the transaction usable; after
 *    any failure inside LMDB, `txn_commit` fails with the same code.
 *  - An iterator that reported HF_ECORRUPT for a record may be moved on.
 *  - `snap_begin` fails with HF_EBUSY when all reader slots are taken.
 *
 * Returns 0, HF_NOT_FOUND (read_only, and nothing there), HF_EVERSION, HF_ECORRUPT, HF_EINVAL, HF_EIO, HF_EFULL,
 * HF_ENOMEM; `*ret_tier` is set only on 0. */
int hf__lmdb_open(const char *dir, const struct hf_lmdb_options *opts, struct hf_local_tier **ret_tier);

#endif
