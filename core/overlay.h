/* The overlay: what is in the journal and not yet in the local tier, in memory, in key order.
 *
 * It consists of generations. Writes go to the *active* one; a checkpoint freezes it, drains it into the local tier
 * and drops it, while writes go to the next. A generation is a skip list and an index by hash in an arena: one writer at a time
 * (the store's write lock), readers without any lock. A key has one node; each write adds a version in front of the
 * node's older ones, and nothing is ever changed or freed before the whole generation goes.
 *
 * Order matters to readers: pin the view FIRST, then take a snapshot of the local tier. Then whatever leaves the
 * overlay in between is still in the pinned view or already in the snapshot. */
#ifndef HF_OVERLAY_H
#define HF_OVERLAY_H

#include "format.h"

#include <pthread.h>
#include <stdatomic.h>

enum hf_version_state {
    HF_VERSION_UNSETTLED = 0, /* Redis has not acknowledged it */
    HF_VERSION_SETTLED = 1,   /* acknowledged, superseded there, fetched from there, or never to be shared */
    HF_VERSION_STORED = 2,    /* an unsettled lane entry that the local tier keeps from now on */
    HF_VERSION_PARKED = 3,    /* refused or in doubt, and kept in the parked list: not owed, and not shared */
};

/* One write of one key. Everything but `state` and `sent` is fixed once it is reachable. */
struct hf_version {
    struct hf_version *older; /* in the same generation */
    uint64_t lsn;             /* 0: a copy of what others have written */
    uint8_t op;               /* enum hf_entry_op; a fetched copy is a set */
    uint8_t type;
    uint32_t flags; /* enum of format.h: HF_ENTRY_LANE, ... */
    int64_t deadline_ms, made_ms, delta;
    struct hf_slice value;
    _Atomic uint8_t state; /* enum hf_version_state */
    _Atomic uint8_t sent;  /* handed to the shared tier and not answered */
};

/* Nothing of it is owed to the shared tier any more. */
static inline bool hf__version_is_settled(const struct hf_version *v)
{
    uint8_t state = atomic_load(&v->state);

    return state == HF_VERSION_SETTLED || state == HF_VERSION_PARKED;
}

/* An increment, or Redis's answer to one. */
static inline bool hf__version_is_counted(const struct hf_version *v)
{
    return v->op == HF_ENTRY_INCR || v->op == HF_ENTRY_RESULT;
}

/* Nobody owes it to Redis, and Redis does not hold it. */
static inline bool hf__version_is_unshared(const struct hf_version *v)
{
    return (v->flags & HF_ENTRY_LOCAL) || atomic_load(&v->state) == HF_VERSION_PARKED;
}

struct hf_node {
    struct hf_slice key;
    _Atomic(struct hf_version *) head;
    _Atomic uint64_t
        waiting_bytes;     /* with which its generation counts it as waiting (pending_bounds.h); 0: it does not */
    struct hf_node *fresh; /* overlay.c's */
    uint8_t height;
    _Atomic(struct hf_node *) next[];
};

struct hf_generation;

/* What readers look at: the active generation and, during a checkpoint, the frozen one. */
struct hf_view {
    struct hf_generation *active;
    struct hf_generation *frozen; /* NULL: none */
};

struct hf_overlay {
    pthread_mutex_t mutex; /* the view and the pin counts: held for a few instructions */
    struct hf_view view;
};

int hf__overlay_init(struct hf_overlay *overlay);
/* No view may be pinned. */
void hf__overlay_release(struct hf_overlay *overlay);

/* Keep both generations of the view alive until hf__view_unpin. */
void hf__view_pin(struct hf_overlay *overlay, struct hf_view *ret_view);
void hf__view_unpin(struct hf_overlay *overlay, struct hf_view *view);
/* One more pin on one generation, and its end. */
void hf__generation_retain(struct hf_overlay *overlay, struct hf_generation *generation);
void hf__generation_release_ref(struct hf_overlay *overlay, struct hf_generation *generation);

/* The active generation becomes the frozen one. With the write lock held; there must be no frozen one. */
int hf__overlay_freeze(struct hf_overlay *overlay);
/* The frozen generation is in the local tier: readers do not need it any more. */
void hf__overlay_drop_frozen(struct hf_overlay *overlay);

/* Keys that wait for the shared tier, and their bytes (pending_bounds.h). */
struct hf_waiting {
    _Atomic int64_t keys, bytes;
};
struct hf_waiting *hf__generation_waiting(struct hf_generation *generation);

/* Bytes held by a generation; its number of keys. Any thread. */
size_t hf__generation_bytes(const struct hf_generation *generation);
size_t hf__generation_keys(const struct hf_generation *generation);

/* The node of a key, or NULL. Any thread that has pinned the generation. */
struct hf_node *hf__generation_find(const struct hf_generation *generation, struct hf_slice key);
/* The first node with a key >= `key` (empty: the very first), or NULL; the node behind a node, or NULL. */
struct hf_node *hf__generation_seek(struct hf_generation *generation, struct hf_slice key);
struct hf_node *hf__node_next(const struct hf_node *node);
/* The newest version that readers may see. */
struct hf_version *hf__node_visible(const struct hf_node *node, uint64_t visible_lsn);

/* Writing, with the write lock held, in two steps, so that nothing can fail once the journal has the entry:
 * stage copies key and value into the arena; insert links them. A staged version that is not inserted only wastes
 * its bytes until the generation goes. */
struct hf_staged {
    struct hf_node *node; /* new or existing */
    bool is_new;
    struct hf_version *version;
};
int hf__overlay_stage(struct hf_overlay *overlay, const struct hf_entry *entry, enum hf_version_state state,
                      struct hf_staged *ret_staged);
void hf__overlay_insert(struct hf_overlay *overlay, struct hf_staged *staged, uint64_t lsn);

#endif
