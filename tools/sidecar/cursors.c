#include "cursors.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

#define SLOT_BITS 12
static_assert(CURSORS_MAX == 1 << SLOT_BITS, "a number holds its slot in its lowest bits");

struct cursor {
    uint64_t number; /* 0: free */
    uint64_t used;   /* when, by `turn` */
    bool followed;   /* its client has been given the next one, or should have been */
    struct hf_buf place;
};

struct cursors {
    pthread_mutex_t mutex;
    uint64_t serial; /* above the slot in a number */
    uint64_t turn;
    struct cursor slots[CURSORS_MAX];
};

struct cursors *cursors_new(uint64_t seed)
{
    struct cursors *cursors = calloc(1, sizeof(*cursors));

    if (!cursors)
        return NULL;
    pthread_mutex_init(&cursors->mutex, NULL);
    cursors->serial =
        seed & 0xffffffff; /* numbers stay below 2^53 for a long time: some clients keep them in doubles */
    return cursors;
}

void cursors_free(struct cursors *cursors)
{
    if (!cursors)
        return;
    for (size_t i = 0; i < CURSORS_MAX; i++)
        hf_buf_release(&cursors->slots[i].place);
    pthread_mutex_destroy(&cursors->mutex);
    free(cursors);
}

static bool goes_before(const struct cursor *a, const struct cursor *b)
{
    if ((a->number == 0) != (b->number == 0))
        return a->number == 0;
    if (a->followed != b->followed)
        return a->followed;
    return a->used < b->used;
}

static struct cursor *victim(struct cursors *cursors)
{
    struct cursor *first = &cursors->slots[0];

    for (size_t i = 1; i < CURSORS_MAX; i++) {
        if (goes_before(&cursors->slots[i], first))
            first = &cursors->slots[i];
    }
    return first;
}

int cursors_put(struct cursors *cursors, struct hf_slice place, uint64_t *ret_number)
{
    struct hf_buf copy = {0};
    struct cursor *cursor;

    if (hf__buf_copy(place, &copy) != 0)
        return HF_ENOMEM;
    pthread_mutex_lock(&cursors->mutex);
    cursor = victim(cursors);
    hf_buf_release(&cursor->place);
    *cursor = (struct cursor){.place = copy, .used = ++cursors->turn};
    cursor->number = ++cursors->serial << SLOT_BITS | (uint64_t)(cursor - cursors->slots);
    *ret_number = cursor->number;
    pthread_mutex_unlock(&cursors->mutex);
    return 0;
}

int cursors_take(struct cursors *cursors, uint64_t number, struct hf_buf *ret_place)
{
    struct cursor *cursor = &cursors->slots[number & (CURSORS_MAX - 1)];
    struct hf_slice place = {0};
    int rc;

    pthread_mutex_lock(&cursors->mutex);
    if (number != 0 && cursor->number == number) {
        place = hf__slice(cursor->place.data, cursor->place.len);
        cursor->used = ++cursors->turn;
        cursor->followed = true;
    }
    rc = hf__buf_copy(place, ret_place);
    pthread_mutex_unlock(&cursors->mutex);
    return rc;
}
