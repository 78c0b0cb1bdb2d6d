/* Generations of skip lists, for those who go in order, and of hash tables, for those who look for a key: lock-free for readers,
 * one writer. See overlay.h for the rules. */
#include "overlay.h"

#include "fail.h"

#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define HEIGHT_MAX 16      /* 4^16 nodes at a branching of 4 */
#define CHUNK_BYTES 262144 /* of the arena */
#define INDEX_MIN 64u      /* slots of the first index; a power of two, as of all */

struct chunk {
    struct chunk *older;
    size_t used, size;
    uint8_t bytes[];
};

/* The nodes by the hash of their keys: open addressing, at most half full. A larger one takes the place of one that is full;
 * who still looks into that one misses only what has been added since. */
struct slot {
    _Atomic(struct hf_node *) node; /* NULL: free, and the end of a search */
    uint64_t hash;                  /* fixed before the node is there */
};
struct index {
    size_t n_slots;
    struct slot slots[];
};

struct hf_generation {
    struct chunk *chunks;
    struct hf_node *head; /* no key, full height */
    _Atomic(struct index *) index;
    size_t n_nodes;                  /* made, inserted or not; the writer's own */
    _Atomic(struct hf_node *) fresh; /* inserted, and not yet in the skip list: the newest first */
    pthread_mutex_t order;           /* held by who puts them there */
    _Atomic size_t bytes, keys;
    struct hf_waiting waiting;
    _Atomic uint8_t height; /* of the tallest node: levels above are empty */
    unsigned pins;          /* overlay.mutex */
    uint64_t random;        /* xorshift state for heights */
};

/* ---- arena ---- */

static void *arena_alloc(struct hf_generation *g, size_t size)
{
    struct chunk *c = g->chunks;
    void *p;

    size = (size + 15) & ~(size_t)15;
    if (!c || c->size - c->used < size) {
        size_t need = size > CHUNK_BYTES / 4 ? size : CHUNK_BYTES - sizeof(*c);
        struct chunk *fresh = malloc(sizeof(*fresh) + need);
        if (!fresh)
            return NULL;
        fresh->size = need;
        fresh->used = 0;
        if (c && need == size) { /* a large one goes behind the current chunk, which still has room */
            fresh->older = c->older;
            c->older = fresh;
        } else {
            fresh->older = c;
            g->chunks = fresh;
        }
        c = fresh;
    }
    p = c->bytes + c->used;
    c->used += size;
    atomic_fetch_add_explicit(&g->bytes, size, memory_order_relaxed);
    return p;
}

/* ---- generations ---- */

static struct hf_node *node_new(struct hf_generation *g, struct hf_slice key, uint8_t height)
{
    size_t head = sizeof(struct hf_node) + height * sizeof(_Atomic(struct hf_node *));
    struct hf_node *node = arena_alloc(g, head + key.len);

    if (!node)
        return NULL;
    node->key = hf__slice((uint8_t *)node + head, key.len);
    if (key.len > 0)
        memcpy((uint8_t *)node + head, key.data, key.len);
    atomic_init(&node->head, NULL);
    atomic_init(&node->waiting_bytes, 0);
    node->height = height;
    for (uint8_t i = 0; i < height; i++)
        atomic_init(&node->next[i], NULL);
    return node;
}

static void generation_free(struct hf_generation *g)
{
    if (!g)
        return;
    pthread_mutex_destroy(&g->order);
    for (struct chunk *c = g->chunks, *older; c; c = older) {
        older = c->older;
        free(c);
    }
    free(g);
}

static struct index *index_new(struct hf_generation *g, size_t n_slots)
{
    size_t bytes = sizeof(struct index) + n_slots * sizeof(struct slot);
    struct index *index = arena_alloc(g, bytes);

    if (!index)
        return NULL;
    memset(index, 0, bytes);
    index->n_slots = n_slots;
    return index;
}

static struct hf_generation *generation_new(void)
{
    struct hf_generation *g = calloc(1, sizeof(*g));

    if (!g)
        return NULL;
    pthread_mutex_init(&g->order, NULL);
    g->random = 0x9e3779b97f4a7c15u;
    g->head = node_new(g, hf__slice(NULL, 0), HEIGHT_MAX);
    atomic_init(&g->index, index_new(g, INDEX_MIN));
    if (!g->head || !g->index) {
        generation_free(g);
        return NULL;
    }
    atomic_store(&g->bytes, 0);
    return g;
}

struct hf_waiting *hf__generation_waiting(struct hf_generation *g)
{
    return &g->waiting;
}

size_t hf__generation_bytes(const struct hf_generation *g)
{
    return atomic_load_explicit(&g->bytes, memory_order_relaxed);
}

size_t hf__generation_keys(const struct hf_generation *g)
{
    return atomic_load_explicit(&g->keys, memory_order_relaxed);
}

static uint8_t random_height(struct hf_generation *g)
{
    uint8_t height = 1;
    uint64_t x = g->random;

    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    g->random = x;
    for (; height < HEIGHT_MAX && (x & 3) == 0; height++)
        x >>= 2;
    return height;
}

/* ---- searching ---- */

/* The first node >= key; `before[i]`, when wanted, is the last node < key on level i. */
static struct hf_node *search(const struct hf_generation *g, struct hf_slice key, struct hf_node **before)
{
    struct hf_node *node = g->head, *next = NULL, *known = NULL;

    for (int level = atomic_load_explicit(&g->height, memory_order_acquire) - 1; level >= 0; level--) {
        for (;;) {
            next = atomic_load_explicit(&node->next[level], memory_order_acquire);
            if (!next || next == known || hf__slice_cmp(next->key, key) >= 0)
                break;
            node = next;
        }
        known = next; /* already compared: not again one level below */
        if (before)
            before[level] = node;
    }
    return next;
}

static void link_node(struct hf_generation *g, struct hf_node *node)
{
    struct hf_node *before[HEIGHT_MAX];

    if (node->height > atomic_load_explicit(&g->height, memory_order_relaxed))
        atomic_store_explicit(&g->height, node->height, memory_order_release);
    search(g, node->key, before);
    for (uint8_t level = 0; level < node->height; level++) {
        struct hf_node *next = atomic_load_explicit(&before[level]->next[level], memory_order_relaxed);
        atomic_store_explicit(&node->next[level], next, memory_order_relaxed);
        atomic_store_explicit(&before[level]->next[level], node, memory_order_release);
    }
}

/* Most generations are walked once, by their checkpoint: it, and not the writer, finds the nodes' places in the order. Who comes
 * while another does waits, for it has to see them, too. */
static void put_in_order(struct hf_generation *g)
{
    struct hf_node *node;

    pthread_mutex_lock(&g->order);
    for (node = atomic_exchange_explicit(&g->fresh, NULL, memory_order_acquire); node; node = node->fresh)
        link_node(g, node);
    pthread_mutex_unlock(&g->order);
}

struct hf_node *hf__generation_seek(struct hf_generation *g, struct hf_slice key)
{
    put_in_order(g);
    return search(g, key, NULL);
}

static uint64_t hash_of(struct hf_slice key)
{
    return XXH3_64bits(key.data, key.len);
}

struct hf_node *hf__generation_find(const struct hf_generation *g, struct hf_slice key)
{
    const struct index *index = atomic_load_explicit(&g->index, memory_order_acquire);
    uint64_t hash;

    if (hf__generation_keys(g) == 0)
        return NULL;
    hash = hash_of(key);
    for (size_t at = hash;; at++) {
        const struct slot *slot = &index->slots[at & (index->n_slots - 1)];
        struct hf_node *node = atomic_load_explicit(&slot->node, memory_order_acquire);

        if (!node || (slot->hash == hash && hf__slice_eq(node->key, key)))
            return node;
    }
}

struct hf_node *hf__node_next(const struct hf_node *node)
{
    return atomic_load_explicit(&node->next[0], memory_order_acquire);
}

struct hf_version *hf__node_visible(const struct hf_node *node, uint64_t visible_lsn)
{
    struct hf_version *v = atomic_load_explicit(&node->head, memory_order_acquire);

    while (v && v->lsn > visible_lsn)
        v = v->older;
    return v;
}

/* ---- the view ---- */

int hf__overlay_init(struct hf_overlay *overlay)
{
    *overlay = (struct hf_overlay){.view.active = generation_new()};
    if (!overlay->view.active)
        return hf__fail(HF_ENOMEM, "out of memory: the overlay");
    overlay->view.active->pins = 1;
    pthread_mutex_init(&overlay->mutex, NULL);
    return 0;
}

void hf__overlay_release(struct hf_overlay *overlay)
{
    if (!overlay->view.active)
        return;
    generation_free(overlay->view.active);
    generation_free(overlay->view.frozen);
    pthread_mutex_destroy(&overlay->mutex);
    *overlay = (struct hf_overlay){0};
}

/* With the mutex. Returns the generation if this was its last pin. */
static struct hf_generation *unpin(struct hf_generation *g)
{
    return g && --g->pins == 0 ? g : NULL;
}

void hf__view_pin(struct hf_overlay *overlay, struct hf_view *ret_view)
{
    pthread_mutex_lock(&overlay->mutex);
    *ret_view = overlay->view;
    ret_view->active->pins++;
    if (ret_view->frozen)
        ret_view->frozen->pins++;
    pthread_mutex_unlock(&overlay->mutex);
}

void hf__view_unpin(struct hf_overlay *overlay, struct hf_view *view)
{
    struct hf_generation *a, *b;

    pthread_mutex_lock(&overlay->mutex);
    a = unpin(view->active);
    b = unpin(view->frozen);
    pthread_mutex_unlock(&overlay->mutex);
    generation_free(a);
    generation_free(b);
    *view = (struct hf_view){0};
}

void hf__generation_retain(struct hf_overlay *overlay, struct hf_generation *generation)
{
    pthread_mutex_lock(&overlay->mutex);
    generation->pins++;
    pthread_mutex_unlock(&overlay->mutex);
}

void hf__generation_release_ref(struct hf_overlay *overlay, struct hf_generation *generation)
{
    struct hf_generation *last;

    pthread_mutex_lock(&overlay->mutex);
    last = unpin(generation);
    pthread_mutex_unlock(&overlay->mutex);
    generation_free(last);
}

int hf__overlay_freeze(struct hf_overlay *overlay)
{
    struct hf_generation *fresh = generation_new();

    if (!fresh)
        return hf__fail(HF_ENOMEM, "out of memory: a generation of the overlay");
    fresh->pins = 1;
    pthread_mutex_lock(&overlay->mutex);
    overlay->view.frozen = overlay->view.active;
    overlay->view.active = fresh;
    pthread_mutex_unlock(&overlay->mutex);
    return 0;
}

void hf__overlay_drop_frozen(struct hf_overlay *overlay)
{
    struct hf_generation *last;

    pthread_mutex_lock(&overlay->mutex);
    last = unpin(overlay->view.frozen);
    overlay->view.frozen = NULL;
    pthread_mutex_unlock(&overlay->mutex);
    generation_free(last);
}

/* ---- writing ---- */

/* There is a free slot, and the key is not there yet. */
static void index_add(struct index *index, struct hf_node *node, uint64_t hash)
{
    size_t at = hash & (index->n_slots - 1);

    while (atomic_load_explicit(&index->slots[at].node, memory_order_relaxed))
        at = (at + 1) & (index->n_slots - 1);
    index->slots[at].hash = hash;
    atomic_store_explicit(&index->slots[at].node, node, memory_order_release);
}

/* Make room for all nodes that there are. */
static bool index_reserve(struct hf_generation *g)
{
    struct index *old = atomic_load_explicit(&g->index, memory_order_relaxed), *larger;

    if (2 * g->n_nodes <= old->n_slots)
        return true;
    larger = index_new(g, 2 * old->n_slots);
    if (!larger)
        return false;
    for (size_t i = 0; i < old->n_slots; i++) {
        struct hf_node *node = atomic_load_explicit(&old->slots[i].node, memory_order_relaxed);
        if (node)
            index_add(larger, node, old->slots[i].hash);
    }
    atomic_store_explicit(&g->index, larger, memory_order_release);
    return true;
}

int hf__overlay_stage(struct hf_overlay *overlay, const struct hf_entry *entry, enum hf_version_state state,
                      struct hf_staged *ret_staged)
{
    struct hf_generation *g = overlay->view.active; /* only the write lock's holder replaces it */
    struct hf_staged staged = {.node = hf__generation_find(g, entry->key)};
    uint8_t *value = NULL;

    if (!staged.node) {
        staged.node = node_new(g, entry->key, random_height(g));
        staged.is_new = true;
        g->n_nodes++;
    }
    staged.version = arena_alloc(g, sizeof(*staged.version) + entry->value.len);
    if (!staged.node || !staged.version || !index_reserve(g))
        return hf__fail(HF_ENOMEM, "out of memory: an entry of %zu bytes in the overlay",
                        entry->key.len + entry->value.len);
    value = (uint8_t *)(staged.version + 1);
    if (entry->value.len > 0)
        memcpy(value, entry->value.data, entry->value.len);
    *staged.version = (struct hf_version){
        .op = entry->op,
        .type = entry->type,
        .flags = entry->flags,
        .deadline_ms = entry->deadline_ms,
        .made_ms = entry->made_ms,
        .delta = entry->delta,
        .value = hf__slice(value, entry->value.len),
        .state = (uint8_t)state,
    };
    *ret_staged = staged;
    return 0;
}

static void add_node(struct hf_generation *g, struct hf_node *node)
{
    index_add(atomic_load_explicit(&g->index, memory_order_relaxed), node, hash_of(node->key));
    node->fresh = atomic_load_explicit(&g->fresh, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&g->fresh, &node->fresh, node, memory_order_release,
                                                  memory_order_relaxed))
        ;
    atomic_fetch_add_explicit(&g->keys, 1, memory_order_relaxed);
}

void hf__overlay_insert(struct hf_overlay *overlay, struct hf_staged *staged, uint64_t lsn)
{
    struct hf_generation *g = overlay->view.active;
    struct hf_node *node = staged->node;

    if (staged->is_new) { /* an earlier entry of the same batch may have brought the key meanwhile */
        struct hf_node *there = hf__generation_find(g, node->key);
        if (there)
            node = there;
    }
    staged->version->lsn = lsn;
    staged->version->older = atomic_load_explicit(&node->head, memory_order_relaxed);
    atomic_store_explicit(&node->head, staged->version, memory_order_release);
    if (node == staged->node && staged->is_new)
        add_node(g, node);
    staged->node = node;
}
