/* Where a snapshot has found keys, so that the next look for one of them need not come down LMDB's tree: most of a
 * get's time goes into the cache lines that lie on that way.
 *
 * A place is good as long as the snapshot sees the same commit, for LMDB changes no page that a commit has written
 * while somebody may read it. Each place says of which commit it is, so the next one makes all of them void at once.
 *
 * Only for the table `data`, values that lie in a page behind their key (LMDB lays large ones elsewhere), and tiers that
 * own their directory: the map of a reader may move. Belongs to one snapshot, and so to one thread at a time. */
#ifndef HF_LMDB_PLACES_H
#define HF_LMDB_PLACES_H

#include "internal.h"

/* False: it is not known; look in the table. */
bool hf__lmdb_place_find(struct hf_local_snap *snap, struct hf_slice key, struct hf_slice *ret_stored);
/* `stored` is what the table holds under `key`. */
void hf__lmdb_place_note(struct hf_local_snap *snap, struct hf_slice key, struct hf_slice stored);
/* With the snapshot itself. */
void hf__lmdb_places_free(struct hf_local_snap *snap);

#endif
