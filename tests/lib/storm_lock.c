/* Locks in the storm: stores take the same few by name, hold, extend and give them back; afterwards no two may have held one
 * at once, and the fencing numbers must have risen. */
#include "storm.h"

#include "scratch.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TTL_MIN_MS 100
#define TTL_MAX_MS 700
#define WAIT_MAX_MS 40
#define PAUSE_MAX_US 30000 /* by the clock: most operations are done while Redis is away, where they are quick */

/* ---- a store's side ---- */

static int64_t now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}

/* Until when it is certainly held: looked at after the clock, so never too late. */
static int64_t safe_until_us(const struct hf_lock *lock)
{
    int64_t now = now_us();
    struct hf_lock_info info;

    hf_lock_info(lock, &info);
    return now + 1000 * info.safe_ms;
}

static void record_lock(struct storm_locks *l, char op, unsigned i, int rc, int64_t asked_us)
{
    struct storm_record r = {.writer = l->writer, .life = l->life, .what = STORM_LOCK, .op = op, .rc = rc};
    struct hf_lock_info info = {0};

    if (l->held[i])
        hf_lock_info(l->held[i], &info);
    snprintf(r.key, sizeof(r.key), "lock:%u", i);
    r.number = asked_us;
    r.lsn = info.fence;
    r.lsn2 = l->held[i] ? (uint64_t)safe_until_us(l->held[i]) : 0;
    storm_record_put(l->log, &r);
}

static bool is_expected(int rc)
{
    return rc == 0 || rc == HF_NOT_DONE || rc == HF_EOFFLINE || rc == HF_EUNKNOWN;
}

static int64_t some_ttl(struct storm_locks *l)
{
    return TTL_MIN_MS + (int64_t)storm_random(&l->random, TTL_MAX_MS - TTL_MIN_MS);
}

static int take(struct storm_locks *l, struct hf *store, unsigned i)
{
    int64_t wait_ms = storm_random(&l->random, 2) ? (int64_t)storm_random(&l->random, WAIT_MAX_MS) : 0;
    int64_t asked_us = now_us(), ttl_ms = some_ttl(l);
    char name[STORM_KEY_MAX];
    int rc;

    snprintf(name, sizeof(name), "lock:%u", i);
    rc = hf_lock_acquire(store, s_(name), ttl_ms, wait_ms, &l->held[i]);
    record_lock(l, rc == 0 ? 'a' : 'f', i, rc, asked_us);
    return rc;
}

/* A shorter life may be in force before its answer comes, or a kill instead of it: it is recorded before it is asked for. */
static int extend(struct storm_locks *l, unsigned i)
{
    int64_t asked_us = now_us(), ttl_ms = some_ttl(l);
    int rc;

    record_lock(l, 'y', i, 0, asked_us + 1000 * ttl_ms);
    rc = hf_lock_extend(l->held[i], ttl_ms);
    record_lock(l, 'x', i, rc, asked_us);
    return rc;
}

/* It counts as given back from before it is asked for. */
static int give_back(struct storm_locks *l, unsigned i)
{
    struct hf_lock *lock = l->held[i];

    record_lock(l, 'r', i, 0, now_us());
    l->held[i] = NULL;
    return hf_lock_release(lock);
}

int storm_locks_step(struct storm_locks *l, struct hf *store)
{
    unsigned i = (unsigned)storm_random(&l->random, STORM_LOCKS);
    int rc;

    if (now_us() < l->due_us)
        return 0;
    l->due_us = now_us() + (int64_t)storm_random(&l->random, PAUSE_MAX_US);
    if (!l->held[i])
        rc = take(l, store, i);
    else if (storm_random(&l->random, 3) == 0)
        rc = extend(l, i);
    else
        rc = give_back(l, i);
    return is_expected(rc) ? 0 : rc;
}

void storm_locks_end(struct storm_locks *l)
{
    for (unsigned i = 0; i < STORM_LOCKS; i++) {
        if (l->held[i])
            (void)give_back(l, i);
    }
}

/* ---- the sceptic's side ---- */

/* One who held a lock, from when it was told so to when it could no longer be sure. */
struct holding {
    unsigned writer, life;
    uint64_t fence;
    int64_t asked_us, from_us, until_us;
};

struct holdings {
    struct holding *all;
    size_t n;
};

static struct holding *holding_of(struct holdings *h, const struct storm_record *r)
{
    for (size_t i = h->n; i-- > 0;) {
        struct holding *holding = &h->all[i];
        if (holding->writer == r->writer && holding->life == r->life && holding->fence == r->lsn)
            return holding;
    }
    return NULL;
}

static void begin_holding(struct holdings *h, const struct storm_record *r)
{
    h->all[h->n++] = (struct holding){.writer = r->writer,
                                      .life = r->life,
                                      .fence = r->lsn,
                                      .asked_us = r->number,
                                      .from_us = r->at_us,
                                      .until_us = (int64_t)r->lsn2};
}

static void end_holding(struct holding *holding, int64_t at_us)
{
    if (holding->until_us > at_us)
        holding->until_us = at_us;
}

/* Redis had lost data by then, and with it perhaps who held what. Stores may give back what they held, too: nobody can be
 * sure of a lock from then on, only of its number. */
static bool was_lost(const struct storm_book *book, int64_t at_us)
{
    for (size_t i = 0; i < book->n_records && book->records[i].at_us <= at_us; i++) {
        const struct storm_record *r = &book->records[i];
        if (r->what == STORM_WEATHER && strncmp(r->text, "lose.", 5) == 0)
            return true;
    }
    return false;
}

static void play_extension(struct storm_sceptic *s, struct holding *holding, const struct storm_record *r)
{
    if (r->rc == HF_NOT_DONE && holding->until_us > r->at_us && !was_lost(&s->book, r->at_us))
        storm_doubt(s, r->key, "node %u.%u held %s with %llu for %lld us more when Redis said that it did not",
                    r->writer, r->life, r->key, (unsigned long long)r->lsn,
                    (long long)(holding->until_us - r->at_us));
    if (r->rc == 0)
        holding->until_us = (int64_t)r->lsn2;
    else
        end_holding(holding, r->rc == HF_NOT_DONE ? r->number : (int64_t)r->lsn2);
}

static void play_lock(struct storm_sceptic *s, struct holdings *h, const struct storm_record *r)
{
    struct holding *holding = holding_of(h, r);

    if (r->op == 'a')
        begin_holding(h, r);
    else if (holding && r->op == 'y')
        end_holding(holding, r->number);
    else if (holding && r->op == 'x')
        play_extension(s, holding, r);
    else if (holding)
        end_holding(holding, r->at_us);
}

/* One whose safe time was over when its holder was told, because the answer came late, was never held. */
static bool is_held(const struct holding *holding)
{
    return holding->from_us < holding->until_us;
}

static bool are_at_once(const struct holding *a, const struct holding *b)
{
    return is_held(a) && is_held(b) && a->from_us < b->until_us && b->from_us < a->until_us;
}

static void compare_holdings(struct storm_sceptic *s, const char *lock, const struct holding *a,
                             const struct holding *b)
{
    if (a->from_us < b->asked_us && a->fence >= b->fence)
        storm_doubt(s, lock, "%s was given to node %u.%u with %llu, and later to node %u.%u with %llu", lock,
                    a->writer, a->life, (unsigned long long)a->fence, b->writer, b->life,
                    (unsigned long long)b->fence);
    if (are_at_once(a, b) && !was_lost(&s->book, b->from_us))
        storm_doubt(s, lock, "%s was held by node %u.%u with %llu and by node %u.%u with %llu at once", lock,
                    a->writer, a->life, (unsigned long long)a->fence, b->writer, b->life,
                    (unsigned long long)b->fence);
}

static void check_lock(struct storm_sceptic *s, const char *lock)
{
    struct holdings h = {.all = calloc(s->book.n_records + 1, sizeof(*h.all))};

    for (size_t i = 0; h.all && i < s->book.n_records; i++) {
        if (s->book.records[i].what == STORM_LOCK && strcmp(s->book.records[i].key, lock) == 0)
            play_lock(s, &h, &s->book.records[i]);
    }
    for (size_t i = 0; i < h.n; i++) {
        for (size_t k = i + 1; k < h.n; k++)
            compare_holdings(s, lock, &h.all[i], &h.all[k]);
    }
    s->sums.holdings += h.n;
    free(h.all);
}

void storm_check_locks(struct storm_sceptic *s)
{
    for (unsigned i = 0; i < STORM_LOCKS; i++) {
        char lock[STORM_KEY_MAX];
        snprintf(lock, sizeof(lock), "lock:%u", i);
        check_lock(s, lock);
    }
}
