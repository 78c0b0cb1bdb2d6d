/* Threads that read beside one that writes. */
#include "ours.h"
#include "sides.h"

#include <stdlib.h>

#define READERS_MAX 2
#define READS_AT_ONCE 64 /* between two looks at the clock */

/* What one thread of a turn did, on a cache line of its own. */
struct lane {
    _Alignas(64) uint64_t done;
    double ended_s;
};

struct readers {
    struct lane lanes[1 + READERS_MAX]; /* the first is the writer's */
    struct ours *ours;
    unsigned n_readers;
    bool scores_writer;
};

static int read_some(struct ours *o, uint64_t random)
{
    uint8_t value[BENCH_VALUE_BYTES];
    size_t len;

    for (unsigned i = 0; i < READS_AT_ONCE; i++) {
        size_t n = bench_random(&random) % o->bench->n_keys;
        if (hf_get_into(o->store, key_slice(o->bench, n), value, sizeof(value), &len, NULL) != 0)
            return hf_fail("get a value");
    }
    return 0;
}

static int read_or_write(void *state, unsigned thread, uint64_t random)
{
    struct readers *r = state;
    struct lane *lane = &r->lanes[thread];
    int rc = thread == 0 ? set_op(r->ours, thread, random) : read_some(r->ours, random);

    lane->done += thread == 0 ? 1 : READS_AT_ONCE;
    lane->ended_s = bench_now_s();
    return rc;
}

static int readers_turn(void *state, struct score *ret_score)
{
    struct readers *r = state;
    unsigned first = r->scores_writer ? 0 : 1, end = r->scores_writer ? 1 : 1 + r->n_readers;
    double started_s = bench_now_s();
    struct tally tally;
    int rc;

    for (unsigned i = 0; i <= READERS_MAX; i++)
        r->lanes[i] = (struct lane){0};
    rc = bench_threads(r->ours->bench, 1 + r->n_readers, 1, read_or_write, r, &tally);
    for (unsigned i = first; i < end && rc == 0; i++)
        ret_score->value += (double)r->lanes[i].done / (r->lanes[i].ended_s - started_s);
    return rc == 0 ? checkpoint(r->ours) : rc;
}

int ours_readers(struct side *store, unsigned n_readers, bool scores_writer, const char *name,
                 struct side *ret_side)
{
    struct readers *r = aligned_alloc(_Alignof(struct readers), sizeof(*r));

    if (!r)
        return bench_fail("out of memory");
    *r = (struct readers){.ours = store->state, .n_readers = n_readers, .scores_writer = scores_writer};
    *ret_side = (struct side){.name = name, .turn = readers_turn, .close = free, .state = r};
    return 0;
}
