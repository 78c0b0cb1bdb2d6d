/* Who runs, and what time it is. All of this belongs to whoever holds the turn. */
#include "turns_inside.h"

#include "sim_disk.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct turns turns;
_Thread_local struct turn *turns_me;

extern const char __executable_start[];

/* ---- the clock ---- */

int64_t turns_now_us(void)
{
    return turns.now_ns / 1000;
}

uint64_t turns_taken(void)
{
    return turns.taken;
}

static void check_limit(void)
{
    if (turns.now_ns <= turns.limit_ns)
        return;
    fprintf(turns.tell, "endless: %lld s have passed\n", (long long)(turns.now_ns / 1000000000));
    turns_tell_all();
    fflush(NULL);
    _exit(TURNS_ENDLESS);
}

void turns_pass_ns(int64_t ns)
{
    turns.now_ns += ns;
    check_limit();
}

/* ---- who waits for what ---- */

static const char *const wait_texts[] = {"runs",      "waits for a mutex",  "waits for a condition",
                                         "sleeps",    "waits for a thread", "has ended",
                                         "was killed"};

void turns_tell_all(void)
{
    for (unsigned i = 0; i < turns.n; i++) {
        const struct turn *t = turns.all[i];
        if (t->state == TURN_ENDED || t->state == TURN_KILLED)
            continue;
        fprintf(turns.tell, "  %s of life %u %s", t->name, t->life, wait_texts[t->state]);
        if (t->until_ns != INT64_MAX)
            fprintf(turns.tell, " until %.6f s", (double)t->until_ns / 1e9);
        fprintf(turns.tell, ", called from %#lx\n", (unsigned long)((const char *)t->from - __executable_start));
    }
}

static void stuck(void)
{
    fprintf(turns.tell, "stuck: at %.6f s all threads wait, and nothing will wake them\n",
            (double)turns.now_ns / 1e9);
    turns_tell_all();
    fflush(NULL);
    _exit(TURNS_STUCK);
}

/* ---- choosing ---- */

static bool is_waiting(const struct turn *t)
{
    return t->state != TURN_RUNS && t->state != TURN_ENDED && t->state != TURN_KILLED;
}

/* Whoever's deadline has come runs again. Returns the earliest one of the others. */
static int64_t end_waits(void)
{
    int64_t earliest = INT64_MAX;

    for (unsigned i = 0; i < turns.n; i++) {
        struct turn *t = turns.all[i];
        if (!is_waiting(t))
            continue;
        if (t->until_ns <= turns.now_ns) {
            t->timed_out = true;
            t->state = TURN_RUNS;
            t->until_ns = INT64_MAX;
        } else if (t->until_ns < earliest) {
            earliest = t->until_ns;
        }
    }
    return earliest;
}

static unsigned count_runners(void)
{
    unsigned n = 0;

    for (unsigned i = 0; i < turns.n; i++)
        n += turns.all[i]->state == TURN_RUNS;
    return n;
}

static struct turn *nth_runner(uint64_t n)
{
    unsigned i = 0;

    for (;; i++) {
        if (turns.all[i]->state == TURN_RUNS && n-- == 0)
            return turns.all[i];
    }
}

static struct turn *choose(void)
{
    int64_t earliest = end_waits();
    unsigned n = count_runners();

    if (n == 0 && earliest == INT64_MAX)
        stuck();
    if (n == 0) {
        turns.now_ns = earliest;
        check_limit();
        (void)end_waits();
        n = count_runners();
    }
    return nth_runner(sim_random(&turns.random) % n);
}

/* ---- giving the turn away ---- */

static void hand_to(struct turn *next)
{
    turns.taken++;
    sem_post(&next->turn);
}

static void await_turn(struct turn *me)
{
    while (sem_wait(&me->turn) != 0) {
        /* a signal */
    }
}

void turns_yield(void)
{
    struct turn *next = choose();

    if (next == turns_me)
        return;
    hand_to(next);
    await_turn(turns_me);
}

void turns_place(const void *from)
{
    turns_me->from = from;
    turns_pass_ns(TURNS_PLACE_NS);
    if (turns_me->holds_world == 0 && sim_random(&turns.random) % turns.one_in == 0)
        turns_yield();
}

bool turns_wait(enum turn_state state, const void *on, int64_t until_ns)
{
    turns_me->state = state;
    turns_me->on = on;
    turns_me->until_ns = until_ns;
    turns_me->timed_out = false;
    turns_yield();
    turns_me->on = NULL;
    turns_me->until_ns = INT64_MAX;
    return turns_me->timed_out;
}

void turns_sleep_us(int64_t us)
{
    turns_me->from = __builtin_return_address(0);
    (void)turns_wait(TURN_SLEEPS, NULL, turns.now_ns + us * 1000);
}

void turns_wake(enum turn_state state, const void *on, bool all)
{
    struct turn *found[TURNS_MAX];
    unsigned n = 0;

    for (unsigned i = 0; i < turns.n; i++) {
        if (turns.all[i]->state == state && turns.all[i]->on == on)
            found[n++] = turns.all[i];
    }
    if (!all && n > 1) {
        found[0] = found[sim_random(&turns.random) % n];
        n = 1;
    }
    for (unsigned i = 0; i < n; i++) {
        found[i]->state = TURN_RUNS;
        found[i]->until_ns = INT64_MAX;
    }
}

void turns_await(const void *what)
{
    turns_me->from = __builtin_return_address(0);
    (void)turns_wait(TURN_WAITS, what, INT64_MAX);
}

void turns_rouse(const void *what)
{
    turns_wake(TURN_WAITS, what, true);
}

/* ---- threads ---- */

/* The place of one that is gone is used again, so that many lives fit. */
static struct turn **free_place(void)
{
    for (unsigned i = 0; i < turns.n; i++) {
        if (turns.all[i]->state == TURN_KILLED || (turns.all[i]->state == TURN_ENDED && turns.all[i]->joined))
            return &turns.all[i];
    }
    if (turns.n == TURNS_MAX)
        abort();
    return &turns.all[turns.n++];
}

struct turn *turns_new(unsigned life, const char *name)
{
    struct turn *t = calloc(1, sizeof(*t));

    if (!t)
        abort();
    t->life = life;
    t->until_ns = INT64_MAX;
    snprintf(t->name, sizeof(t->name), "%s", name);
    sem_init(&t->turn, 0, 0);
    *free_place() = t;
    return t;
}

void *turns_main(void *arg)
{
    struct turn *me = turns_me = arg;
    void *ret;

    await_turn(me);
    ret = me->body(me->arg);
    me->state = TURN_ENDED;
    turns_wake(TURN_JOINS, me, true);
    hand_to(choose());
    return ret;
}

void turns_spawn(unsigned life, const char *name, void *(*body)(void *arg), void *arg)
{
    struct turn *t = turns_new(life, name);

    t->body = body;
    t->arg = arg;
    t->joined = true; /* nobody will */
    if (turns_real_create(&t->thread, turns_main, t) != 0)
        abort();
}

void turns_kill(unsigned life)
{
    for (unsigned i = 0; i < turns.n; i++) {
        if (turns.all[i]->life == life && turns.all[i]->state != TURN_ENDED)
            turns.all[i]->state = TURN_KILLED;
    }
}

/* ---- beginning ---- */

void turns_reseed(uint64_t seed, unsigned one_in)
{
    turns.random = seed;
    turns.one_in = one_in;
}

void turns_begin(uint64_t seed, int64_t limit_s, FILE *tell)
{
    turns = (struct turns){.limit_ns = limit_s * 1000000000, .chance = seed ^ 0x5eed, .tell = tell};
    turns_reseed(seed, 8);
    turns_me = turns_new(TURNS_WORLD, "world");
}
