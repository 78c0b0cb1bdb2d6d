/* What must be there. */
#include "model.h"

#include "story.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t hash(const char *key, size_t len)
{
    uint64_t h = 14695981039346656037u; /* FNV-1a */

    for (size_t i = 0; i < len; i++)
        h = (h ^ (unsigned char)key[i]) * 1099511628211u;
    return (size_t)h;
}

/* The slot that holds the key, or the free one where it belongs. */
static size_t *slot_of(const struct model *model, const char *key, size_t len)
{
    for (size_t at = hash(key, len);; at++) {
        size_t *slot = &model->slots[at % model->n_slots];
        const char *found = *slot ? model->entries[*slot - 1].key : NULL;
        if (!found || (strlen(found) == len && memcmp(found, key, len) == 0))
            return slot;
    }
}

const struct model_entry *model_find(const struct model *model, const char *key, size_t len)
{
    size_t slot = model->n_slots ? *slot_of(model, key, len) : 0;

    return slot ? &model->entries[slot - 1] : NULL;
}

/* Twice the room, at most half of the slots in use. */
static int grow(struct model *model)
{
    size_t capacity = model->capacity ? 2 * model->capacity : 1024;
    struct model_entry *entries = realloc(model->entries, capacity * sizeof(*entries));
    size_t *slots = calloc(2 * capacity, sizeof(*slots));

    if (entries)
        model->entries = entries;
    if (!entries || !slots) {
        free(slots);
        return story_wrong("out of memory");
    }
    free(model->slots);
    model->slots = slots;
    model->n_slots = 2 * capacity;
    model->capacity = capacity;
    for (size_t i = 0; i < model->n; i++)
        *slot_of(model, entries[i].key, strlen(entries[i].key)) = i + 1;
    return 0;
}

static struct model_entry *obtain(struct model *model, const char *key)
{
    char *copy;
    size_t *slot;

    if (model->n == model->capacity && grow(model) != 0)
        return NULL;
    slot = slot_of(model, key, strlen(key));
    if (*slot)
        return &model->entries[*slot - 1];
    copy = strdup(key);
    if (!copy)
        return NULL;
    model->entries[model->n++] = (struct model_entry){.key = copy};
    *slot = model->n;
    return &model->entries[model->n - 1];
}

static int set_value(struct model_entry *entry, const char *value)
{
    char *copy = strdup(value);

    if (!copy)
        return story_wrong("out of memory");
    free(entry->value);
    entry->value = copy;
    return 0;
}

int64_t model_counter(const struct model *model, const char *key)
{
    const struct model_entry *entry = model_find(model, key, strlen(key));

    return entry && entry->value ? strtoll(entry->value, NULL, 10) : 0;
}

int model_set_counter(struct model *model, const char *key, int64_t number)
{
    struct model_entry *entry = obtain(model, key);
    char text[32];

    snprintf(text, sizeof(text), "%" PRId64, number);
    return entry ? set_value(entry, text) : -1;
}

int model_apply(struct model *model, const struct plan_op *op)
{
    struct model_entry *entry = obtain(model, op->key);

    if (!entry)
        return story_wrong("out of memory");
    switch (op->kind) {
    case HF_OP_SET: entry->deadline_ms = op->deadline_ms; return set_value(entry, op->value);
    case HF_OP_DELETE:
        free(entry->value);
        entry->value = NULL;
        entry->deadline_ms = 0;
        return 0;
    case HF_OP_EXPIRE_AT:
    case HF_OP_PERSIST: entry->deadline_ms = op->deadline_ms; return 0;
    case HF_OP_INCR: return model_set_counter(model, op->key, model_counter(model, op->key) + op->delta);
    }
    return -1;
}

size_t model_count_live(const struct model *model, int64_t now_ms)
{
    size_t n = 0;

    for (size_t i = 0; i < model->n; i++)
        n += model_is_live(&model->entries[i], now_ms);
    return n;
}

void model_release(struct model *model)
{
    for (size_t i = 0; i < model->n; i++) {
        free(model->entries[i].key);
        free(model->entries[i].value);
    }
    free(model->entries);
    free(model->slots);
    *model = (struct model){0};
}
