/* Busy keys. Each key that is claimed has a queue of claims; the first of it may go on. */
#include "claims.h"

#include "fail.h"

#include <stdlib.h>

#define BUCKETS_FIRST 64u

struct claim {
    struct claim_set *set;
    struct claim_key *key;
    struct claim *next; /* behind this one, on the same key */
};

struct claim_key {
    struct claim_key *next; /* in the bucket */
    struct claim *first, *last;
    uint64_t hash;
    size_t len;
    char bytes[];
};

/* FNV-1a: few keys are busy at a time, and who can choose them to collide only slows down commands on them. */
static uint64_t hash_of(struct hf_slice key)
{
    const uint8_t *bytes = key.data;
    uint64_t hash = 14695981039346656037u;

    for (size_t i = 0; i < key.len; i++)
        hash = (hash ^ bytes[i]) * 1099511628211u;
    return hash;
}

/* Where the key is, or where its row is to be put. */
static struct claim_key **place_of(const struct claims *claims, struct hf_slice key, uint64_t hash)
{
    struct claim_key **place = &claims->buckets[hash & (claims->n_buckets - 1)];

    while (*place && ((*place)->hash != hash || !hf__slice_eq(hf__slice((*place)->bytes, (*place)->len), key)))
        place = &(*place)->next;
    return place;
}

bool claims_meet(const struct claims *claims, const struct hf_slice *keys, size_t n)
{
    if (claims->n_keys == 0)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (*place_of(claims, keys[i], hash_of(keys[i])))
            return true;
    }
    return false;
}

/* ---- rows ---- */

static int grow(struct claims *claims)
{
    struct claims larger = {.n_buckets = claims->n_buckets ? 2 * claims->n_buckets : BUCKETS_FIRST,
                            .n_keys = claims->n_keys};
    struct claim_key *key, *next;

    if (claims->n_keys < claims->n_buckets)
        return 0;
    larger.buckets = calloc(larger.n_buckets, sizeof(struct claim_key *));
    if (!larger.buckets)
        return hf__fail(HF_ENOMEM, "out of memory: %zu buckets for busy keys", larger.n_buckets);
    for (size_t i = 0; i < claims->n_buckets; i++) {
        for (key = claims->buckets[i]; key; key = next) {
            next = key->next;
            key->next = larger.buckets[key->hash & (larger.n_buckets - 1)];
            larger.buckets[key->hash & (larger.n_buckets - 1)] = key;
        }
    }
    free(claims->buckets);
    *claims = larger;
    return 0;
}

static struct claim_key *key_of(struct claims *claims, struct hf_slice bytes)
{
    uint64_t hash = hash_of(bytes);
    struct claim_key **place, *key;

    if (grow(claims) != 0)
        return NULL;
    place = place_of(claims, bytes, hash);
    if (*place)
        return *place;
    key = calloc(1, sizeof(*key) + bytes.len);
    if (!key)
        return NULL;
    key->hash = hash;
    key->len = bytes.len;
    if (bytes.len > 0)
        memcpy(key->bytes, bytes.data, bytes.len);
    *place = key;
    claims->n_keys++;
    return key;
}

static void forget_key(struct claims *claims, struct claim_key *key)
{
    struct claim_key **place = &claims->buckets[key->hash & (claims->n_buckets - 1)];

    while (*place != key)
        place = &(*place)->next;
    *place = key->next;
    claims->n_keys--;
    free(key);
}

/* ---- claims ---- */

/* The last claim on a key tells whether this set has one: no other set was added since. */
static void add_claim(struct claim_set *set, struct claim_key *key)
{
    struct claim *claim = &set->all[set->n];

    if (key->last && key->last->set == set)
        return;
    *claim = (struct claim){.set = set, .key = key};
    set->n++;
    if (key->last) {
        key->last->next = claim;
        set->n_behind++;
    } else {
        key->first = claim;
    }
    key->last = claim;
}

int claims_make(struct claims *claims, struct claim_set *set, const struct hf_slice *keys, size_t n,
                void (*first)(struct claim_set *set))
{
    struct claim_key *key;

    *set = (struct claim_set){.first = first, .all = calloc(n ? n : 1, sizeof(struct claim))};
    if (!set->all)
        return hf__fail(HF_ENOMEM, "out of memory: claims on %zu keys", n);
    for (size_t i = 0; i < n; i++) {
        key = key_of(claims, keys[i]);
        if (!key) {
            claims_drop(claims, set);
            return hf__fail(HF_ENOMEM, "out of memory: a claim on a key of %zu bytes", keys[i].len);
        }
        add_claim(set, key);
    }
    return 0;
}

/* Returns the set that has become the first on the key; NULL: none has. */
static struct claim_set *drop_one(struct claims *claims, struct claim *claim)
{
    struct claim_key *key = claim->key;
    struct claim **place = &key->first, *before = NULL;
    bool was_first = key->first == claim;

    while (*place != claim) {
        before = *place;
        place = &(*place)->next;
    }
    *place = claim->next;
    if (key->last == claim)
        key->last = before;
    if (!key->first) {
        forget_key(claims, key);
        return NULL;
    }
    return was_first ? key->first->set : NULL;
}

void claims_drop(struct claims *claims, struct claim_set *set)
{
    struct claim_set dropped = *set;
    struct claim_set *next;

    *set = (struct claim_set){0};
    for (size_t i = 0; i < dropped.n; i++) {
        next = drop_one(claims, &dropped.all[i]);
        if (next && --next->n_behind == 0)
            next->first(next);
    }
    free(dropped.all);
}

void claims_release(struct claims *claims)
{
    free(claims->buckets);
    *claims = (struct claims){0};
}
