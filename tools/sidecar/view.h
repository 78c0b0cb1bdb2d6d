/* What a transaction under way has written: the operations in order, and what each key is by now. */
#ifndef SIDECAR_VIEW_H
#define SIDECAR_VIEW_H

#include "bytes.h"

/* A key that was written. */
struct view_key {
    struct view_key *next; /* of its bucket */
    struct hf_slice key, value;
    bool live;
    bool has_value;      /* else the value is the store's, and only its life was changed */
    bool made_here;      /* nothing of what it is comes from what was there before */
    bool other_type;     /* no string */
    int64_t deadline_ms; /* 0: none */
};

/* Zeroed is empty. */
struct view {
    struct hf_op *ops; /* their keys and values are the view's */
    size_t n, capacity;
    struct view_key **buckets;
    size_t n_buckets, n_keys;
    struct view_block *blocks; /* of memory */
};

/* NULL: not written. Borrowed until the next call. */
struct view_key *view_find(const struct view *view, struct hf_slice key);
/* Add an operation; what it refers to is copied. Then the key is `now` (value and key are filled in by the operation, where it has
 * some; has_value stays as it was for a change of life). Returns 0 or HF_ENOMEM. */
int view_add(struct view *view, const struct hf_op *op, const struct view_key *now);
/* Say what a key is, without an operation. Key and value are copied. Returns 0 or HF_ENOMEM. */
int view_note(struct view *view, struct hf_slice key, const struct view_key *now);
void view_release(struct view *view);

#endif
