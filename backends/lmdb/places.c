/* Places of keys: a hash table in buckets of a cache line, where what is new takes the place of what is old. */
#include "places.h"

#include "bytes.h"

#include <assert.h>
#include <sys/mman.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define WAYS 4u
#define LINE 64u       /* bytes of a cache line */
#define WORTH_IT 1024u /* looks after which a snapshot gets a table: fewer are not worth it */
#define CROWDED 32     /* a table grows where more than one look in so many, and one, displaces a place */

/* Buckets. The first table takes 256 KiB, and one grows to 16 MiB. */
#define BUCKETS_MIN (1u << 12)
#define BUCKETS_MAX (1u << 18)
#define BUCKETS_OF_TIER (BUCKETS_MAX + BUCKETS_MAX / 2)
#define BUCKETS_GROWN (BUCKETS_MAX + BUCKETS_MAX / 4) /* what is left is for the first tables of others */

struct place {
    const uint8_t *stored;
    uint16_t len;
    uint16_t key_len : 9, tag : 7; /* the tag: bits of the key's hash */
    uint32_t commit;               /* the lower bits of its number */
};
static_assert(sizeof(struct place) * WAYS == LINE, "a bucket is a cache line");
static_assert(HF__LMDB_SHORT_MAX < 1u << 9, "nine bits hold the length of a key");

/* Mapped for the largest table at once: memory is taken by the buckets that are used. */
struct hf__lmdb_places {
    uint32_t n_buckets; /* a power of two */
    uint32_t pressure;  /* looks that displaced a place, CROWDED times each, less those that found theirs */
    _Alignas(LINE) struct place at[BUCKETS_MAX][WAYS];
};

/* False: with them the tier's tables would have more than `max` together. */
static bool take_buckets(struct hf__lmdb_tier *tier, uint32_t n, uint32_t max)
{
    uint32_t taken = atomic_load(&tier->n_place_buckets);

    while (taken + n <= max) {
        if (atomic_compare_exchange_weak(&tier->n_place_buckets, &taken, taken + n))
            return true;
    }
    return false;
}

static struct hf__lmdb_places *make(struct hf_local_snap *snap)
{
    struct hf__lmdb_places *places;

    if (snap->writes || snap->tier->env.read_only || ++snap->n_looks % WORTH_IT != 0 ||
        !take_buckets(snap->tier, BUCKETS_MIN, BUCKETS_OF_TIER))
        return NULL;
    places =
        mmap(NULL, sizeof(*places), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (places == MAP_FAILED) {
        atomic_fetch_sub(&snap->tier->n_place_buckets, BUCKETS_MIN);
        return NULL;
    }
    (void)madvise(places, sizeof(*places), MADV_NOHUGEPAGE); /* of which the first would take eight times as much */
    places->n_buckets = BUCKETS_MIN;
    snap->places = places;
    return places;
}

void hf__lmdb_places_free(struct hf_local_snap *snap)
{
    if (!snap->places)
        return;
    atomic_fetch_sub(&snap->tier->n_place_buckets, snap->places->n_buckets);
    munmap(snap->places, sizeof(*snap->places));
}

/* It begins empty: half of the places would lie in the wrong bucket, and be in the way there. */
static void grow(struct hf_local_snap *snap)
{
    struct hf__lmdb_places *places = snap->places;

    places->pressure = 0;
    if (places->n_buckets == BUCKETS_MAX || !take_buckets(snap->tier, places->n_buckets, BUCKETS_GROWN))
        return;
    memset(places->at, 0, (size_t)places->n_buckets * LINE);
    places->n_buckets *= 2;
}

static struct place *bucket_of(struct hf__lmdb_places *places, uint64_t hash)
{
    return places->at[hash & (places->n_buckets - 1)];
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
            snap->places->pressure -= snap->places->pressure > 0;
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
    places->pressure += CROWDED;
    return &bucket[hash >> 32 & (WAYS - 1)];
}

void hf__lmdb_place_note(struct hf_local_snap *snap, struct hf_slice key, struct hf_slice stored)
{
    const uint8_t *at = stored.data;
    uint64_t hash;

    if ((!snap->places && !make(snap)) || stored.len > UINT16_MAX || memcmp(at - key.len, key.data, key.len) != 0)
        return;
    if (snap->places->pressure > snap->places->n_buckets * WAYS)
        grow(snap);
    hash = XXH3_64bits(key.data, key.len);
    *place_for(snap->places, hash, commit_of(snap)) = (struct place){.stored = at,
                                                                     .len = (uint16_t)stored.len,
                                                                     .key_len = key.len,
                                                                     .tag = tag_of(hash),
                                                                     .commit = commit_of(snap)};
}
