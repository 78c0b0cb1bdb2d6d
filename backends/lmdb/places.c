/* Places of keys: a hash table of a fixed size, in buckets of a cache line, where what is new takes the place of what is old. */
#include "places.h"

#include "bytes.h"

#include <assert.h>
#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define BUCKETS (1u << 15)
#define WAYS 4u
#define LINE 64u       /* bytes of a cache line */
#define WORTH_IT 1024u /* looks after which a snapshot gets a table: few are not worth two MiB */
#define TABLES_MAX 4u /* of a tier: for the threads that have looked most, as nearly as the pool keeps them apart */

struct place {
    const uint8_t *stored;
    uint16_t len;
    uint16_t key_len : 9, tag : 7; /* the tag: bits of the key's hash */
    uint32_t commit;               /* the lower bits of its number */
};
static_assert(sizeof(struct place) * WAYS == LINE, "a bucket is a cache line");
static_assert(HF__LMDB_SHORT_MAX < 1u << 9, "nine bits hold the length of a key");

struct hf__lmdb_places {
    struct place at[BUCKETS][WAYS];
};

static struct hf__lmdb_places *make(struct hf_local_snap *snap)
{
    atomic_uint *n_tables = &snap->tier->n_places;
    struct hf__lmdb_places *places = NULL;

    if (snap->writes || snap->tier->env.read_only || snap->n_looks++ != WORTH_IT)
        return NULL;
    if (atomic_fetch_add(n_tables, 1) < TABLES_MAX)
        places = aligned_alloc(LINE, sizeof(*places));
    if (!places) {
        atomic_fetch_sub(n_tables, 1);
        return NULL;
    }
    memset(places, 0, sizeof(*places));
    snap->places = places;
    return places;
}

static struct place *bucket_of(struct hf__lmdb_places *places, uint64_t hash)
{
    return places->at[hash % BUCKETS];
}

static uint16_t tag_of(uint64_t hash)
{
    return hash >> (64 - 7);
}

static uint32_t commit_of(const struct hf_local_snap *snap)
{
    return (uint32_t)mdb_txn_id(snap->mdb);
}

bool hf__lmdb_place_find(struct hf_local_snap *snap, struct hf_slice key, struct hf_slice *ret_stored)
{
    uint64_t hash;
    const struct place *place;
    uint32_t commit;

    if (!snap->places)
        return false;
    hash = XXH3_64bits(key.data, key.len);
    commit = commit_of(snap);
    place = bucket_of(snap->places, hash);
    for (const struct place *end = place + WAYS; place < end; place++) {
        if (place->commit == commit && place->tag == tag_of(hash) && place->key_len == key.len &&
            memcmp(place->stored - key.len, key.data, key.len) == 0) {
            *ret_stored = hf__slice(place->stored, place->len);
            return true;
        }
    }
    return false;
}

/* One that an older commit has left, or else any, by the hash. */
static struct place *place_for(struct hf__lmdb_places *places, uint64_t hash, uint32_t commit)
{
    struct place *bucket = bucket_of(places, hash);

    for (unsigned i = 0; i < WAYS; i++) {
        if (bucket[i].commit != commit)
            return &bucket[i];
    }
    return &bucket[hash / BUCKETS % WAYS];
}

void hf__lmdb_place_note(struct hf_local_snap *snap, struct hf_slice key, struct hf_slice stored)
{
    const uint8_t *at = stored.data;
    uint64_t hash;

    if ((!snap->places && !make(snap)) || stored.len > UINT16_MAX || memcmp(at - key.len, key.data, key.len) != 0)
        return;
    hash = XXH3_64bits(key.data, key.len);
    *place_for(snap->places, hash, commit_of(snap)) = (struct place){.stored = at,
                                                                     .len = (uint16_t)stored.len,
                                                                     .key_len = key.len,
                                                                     .tag = tag_of(hash),
                                                                     .commit = commit_of(snap)};
}

void hf__lmdb_places_free(struct hf_local_snap *snap)
{
    if (snap->places)
        atomic_fetch_sub(&snap->tier->n_places, 1);
    free(snap->places);
}
