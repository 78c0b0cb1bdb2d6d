/* What the two halves of the turns share: the table of threads (turns.c) and the functions that stand in for the
 * system's (turns_wrap.c). */
#ifndef SIM_TURNS_INSIDE_H
#define SIM_TURNS_INSIDE_H

#include "turns.h"

#include <pthread.h>
#include <semaphore.h>

#define TURNS_MAX 256u     /* threads that live at once */
#define TURNS_PLACE_NS 300 /* that pass at each place, so that who polls the clock gets on */

enum turn_state {
    TURN_RUNS = 0,
    TURN_LOCKS,
    TURN_WAITS,
    TURN_SLEEPS,
    TURN_JOINS,
    TURN_ENDED,
    TURN_KILLED,
};

struct turn {
    sem_t turn;
    pthread_t thread;
    unsigned life;
    char name[24];
    enum turn_state state;
    const void *on;   /* the mutex, condition or thread that is waited for */
    const void *from; /* the code that called last */
    int64_t until_ns; /* INT64_MAX: no deadline */
    bool timed_out;
    bool joined;
    unsigned holds_world; /* the world's mutexes */
    void *(*body)(void *arg);
    void *arg;
};

struct turns {
    struct turn *all[TURNS_MAX];
    unsigned n;
    int64_t now_ns, limit_ns;
    uint64_t random; /* of the choices */
    uint64_t chance; /* of getrandom */
    uint64_t taken;
    unsigned one_in;
    FILE *tell;
};
extern struct turns turns;
extern _Thread_local struct turn
    *turns_me; /* NULL: a thread that takes no turns, which has the system's functions */

void turns_pass_ns(int64_t ns);
/* Choose who runs next; returns when it is the caller. */
void turns_yield(void);
/* A place where the turn may change hands. */
void turns_place(const void *from);
/* Wait until woken; true: the deadline came first. */
bool turns_wait(enum turn_state state, const void *on, int64_t until_ns);
/* Of those who wait for this in this way, all or any one. */
void turns_wake(enum turn_state state, const void *on, bool all);
struct turn *turns_new(unsigned life, const char *name);
void *turns_main(void *arg);
int turns_real_create(pthread_t *thread, void *(*body)(void *arg), void *arg);

#endif
