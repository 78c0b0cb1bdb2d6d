#include "view.h"

#include <stdlib.h>

#define FIRST_BUCKETS 16

/* What was copied, freed together at the end. */
struct view_block {
    struct view_block *next;
    uint8_t bytes[];
};

static uint64_t hash_of(struct hf_slice key)
{
    const uint8_t *bytes = key.data;
    uint64_t hash = 14695981039346656037u;

    for (size_t i = 0; i < key.len; i++)
        hash = (hash ^ bytes[i]) * 1099511628211u;
    return hash ^ hash >> 32;
}

static struct view_key **place_of(const struct view *view, struct hf_slice key)
{
    struct view_key **place = &view->buckets[hash_of(key) & (view->n_buckets - 1)];

    while (*place && !hf__slice_eq((*place)->key, key))
        place = &(*place)->next;
    return place;
}

struct view_key *view_find(const struct view *view, struct hf_slice key)
{
    return view->n_keys == 0 ? NULL : *place_of(view, key);
}

/* ---- memory ---- */

static int copy(struct view *view, struct hf_slice from, struct hf_slice *ret_copy)
{
    struct view_block *block = malloc(sizeof(*block) + from.len);

    if (!block)
        return HF_ENOMEM;
    if (from.len > 0)
        memcpy(block->bytes, from.data, from.len);
    block->next = view->blocks;
    view->blocks = block;
    *ret_copy = hf__slice(block->bytes, from.len);
    return 0;
}

static int reserve_op(struct view *view)
{
    size_t capacity = view->capacity ? 2 * view->capacity : FIRST_BUCKETS;
    struct hf_op *ops;

    if (view->n < view->capacity)
        return 0;
    ops = realloc(view->ops, capacity * sizeof(*ops));
    if (!ops)
        return HF_ENOMEM;
    view->ops = ops;
    view->capacity = capacity;
    return 0;
}

static int reserve_bucket(struct view *view)
{
    struct view larger = {.n_buckets = view->n_buckets ? 2 * view->n_buckets : FIRST_BUCKETS};

    if (view->n_keys < view->n_buckets)
        return 0;
    larger.buckets = calloc(larger.n_buckets, sizeof(*larger.buckets));
    if (!larger.buckets)
        return HF_ENOMEM;
    for (size_t i = 0; i < view->n_buckets; i++) {
        for (struct view_key *key = view->buckets[i], *next; key; key = next) {
            struct view_key **place = place_of(&larger, key->key);
            next = key->next;
            key->next = NULL;
            *place = key;
        }
    }
    free(view->buckets);
    view->buckets = larger.buckets;
    view->n_buckets = larger.n_buckets;
    return 0;
}

void view_release(struct view *view)
{
    for (size_t i = 0; i < view->n_buckets; i++) {
        for (struct view_key *key = view->buckets[i], *next; key; key = next) {
            next = key->next;
            free(key);
        }
    }
    for (struct view_block *block = view->blocks, *next; block; block = next) {
        next = block->next;
        free(block);
    }
    free(view->buckets);
    free(view->ops);
    *view = (struct view){0};
}

/* ---- adding ---- */

/* The entry of a key, made if need be. `key` is the view's. */
static struct view_key *entry(struct view *view, struct hf_slice key)
{
    struct view_key **place;

    if (reserve_bucket(view) != 0)
        return NULL;
    place = place_of(view, key);
    if (!*place) {
        *place = calloc(1, sizeof(**place));
        if (!*place)
            return NULL;
        (*place)->key = key;
        view->n_keys++;
    }
    return *place;
}

/* `*ret_own` is the view's copy of what the key is now. */
static int note(struct view *view, struct hf_slice key, const struct view_key *now, struct view_key *ret_own)
{
    struct view_key own = *now, *there;
    int rc = copy(view, key, &own.key);

    if (rc == 0 && now->has_value)
        rc = copy(view, now->value, &own.value);
    there = rc == 0 ? entry(view, own.key) : NULL;
    if (!there)
        return HF_ENOMEM;
    if (!now->has_value) {
        own.has_value = there->has_value;
        own.value = there->value;
    }
    *ret_own = own;
    own.key = there->key;
    own.next = there->next;
    *there = own;
    return 0;
}

int view_note(struct view *view, struct hf_slice key, const struct view_key *now)
{
    struct view_key own;

    return note(view, key, now, &own);
}

int view_add(struct view *view, const struct hf_op *op, const struct view_key *now)
{
    struct view_key own;
    int rc = reserve_op(view);

    if (rc == 0)
        rc = note(view, op->key, now, &own);
    if (rc != 0)
        return rc;
    view->ops[view->n] = *op;
    view->ops[view->n].key = own.key;
    view->ops[view->n++].value = op->kind == HF_OP_SET ? own.value : hf__slice(NULL, 0);
    return 0;
}
