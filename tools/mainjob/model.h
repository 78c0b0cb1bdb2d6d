/* What must be there: every key the job ever touched, with its value and deadline, or gone. */
#ifndef MAINJOB_MODEL_H
#define MAINJOB_MODEL_H

#include "plan.h"

struct model_entry {
    char *key;
    char *value;         /* NULL: deleted, or never there */
    int64_t deadline_ms; /* 0: none */
};

struct model {
    struct model_entry *entries;
    size_t n, capacity;
    size_t *slots; /* open addressing; entry number + 1, 0: free */
    size_t n_slots;
};

/* NULL: never touched. Borrowed until the next model_apply(). */
const struct model_entry *model_find(const struct model *model, const char *key, size_t len);

/* The outcome of an operation, done to the model. 0, or -1 out of memory. */
int model_apply(struct model *model, const struct plan_op *op);

/* Set a counter to what was found. 0, or -1 out of memory. */
int model_set_counter(struct model *model, const char *key, int64_t number);

/* A counter's value; 0 when it is not there. */
int64_t model_counter(const struct model *model, const char *key);

/* The entry has a value that is still alive at `now_ms`. */
static inline bool model_is_live(const struct model_entry *entry, int64_t now_ms)
{
    return entry && entry->value && (entry->deadline_ms == 0 || entry->deadline_ms > now_ms);
}

/* Entries that are alive at `now_ms`. */
size_t model_count_live(const struct model *model, int64_t now_ms);

void model_release(struct model *model);

#endif
