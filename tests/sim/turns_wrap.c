/* The functions that stand in for the system's: the linker sends the engine's calls here (--wrap).
 *
 * A mutex and a condition are bytes in which the system's functions would keep their state; here they hold these words.
 * All zero, as the static initialisers leave them, is a free mutex of the world, and a condition on the wall clock. */
#include "turns_inside.h"

#include "sim_disk.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#define MONOTONIC_BASE_NS INT64_C(1000000000000)      /* an hour or so after booting */
#define REALTIME_BASE_NS INT64_C(1800000000000000000) /* in January 2027 */

struct mutex_words {
    uint32_t locked;
    uint32_t made_in; /* a life; 0: the world's */
};

struct cond_words {
    uint32_t clock; /* plus 1 */
};

static struct mutex_words *words_of(pthread_mutex_t *mutex)
{
    return (struct mutex_words *)mutex;
}

/* The system's function, and the one that stands in for it. */
#define STAND_IN(type, name, ...)                                                                                  \
    type __real_##name(__VA_ARGS__);                                                                               \
    type __wrap_##name(__VA_ARGS__)
STAND_IN(int, pthread_create, pthread_t *thread, const pthread_attr_t *attr, void *(*body)(void *), void *arg);
STAND_IN(int, pthread_join, pthread_t thread, void **ret);
STAND_IN(int, pthread_setname_np, pthread_t thread, const char *name);
STAND_IN(int, pthread_mutex_init, pthread_mutex_t *mutex, const pthread_mutexattr_t *attr);
STAND_IN(int, pthread_mutex_destroy, pthread_mutex_t *mutex);
STAND_IN(int, pthread_mutex_lock, pthread_mutex_t *mutex);
STAND_IN(int, pthread_mutex_trylock, pthread_mutex_t *mutex);
STAND_IN(int, pthread_mutex_unlock, pthread_mutex_t *mutex);
STAND_IN(int, pthread_cond_init, pthread_cond_t *cond, const pthread_condattr_t *attr);
STAND_IN(int, pthread_cond_destroy, pthread_cond_t *cond);
STAND_IN(int, pthread_cond_wait, pthread_cond_t *cond, pthread_mutex_t *mutex);
STAND_IN(int, pthread_cond_timedwait, pthread_cond_t *cond, pthread_mutex_t *mutex, const struct timespec *until);
STAND_IN(int, pthread_cond_signal, pthread_cond_t *cond);
STAND_IN(int, pthread_cond_broadcast, pthread_cond_t *cond);
STAND_IN(int, clock_gettime, clockid_t id, struct timespec *now);
STAND_IN(int, nanosleep, const struct timespec *time, struct timespec *left);
STAND_IN(int, poll, struct pollfd *fds, nfds_t n, int timeout_ms);
STAND_IN(time_t, time, time_t *ret);
STAND_IN(ssize_t, getrandom, void *bytes, size_t len, unsigned flags);

/* ---- mutexes ---- */

int __wrap_pthread_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attr)
{
    if (!turns_me)
        return __real_pthread_mutex_init(mutex, attr);
    memset(mutex, 0, sizeof(*mutex));
    words_of(mutex)->made_in = turns_me->life;
    return 0;
}

int __wrap_pthread_mutex_destroy(pthread_mutex_t *mutex)
{
    return turns_me ? 0 : __real_pthread_mutex_destroy(mutex);
}

static void take(pthread_mutex_t *mutex)
{
    words_of(mutex)->locked = 1;
    turns_me->holds_world += words_of(mutex)->made_in == TURNS_WORLD;
}

static void await_mutex(pthread_mutex_t *mutex)
{
    while (words_of(mutex)->locked)
        (void)turns_wait(TURN_LOCKS, mutex, INT64_MAX);
    take(mutex);
}

int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex)
{
    if (!turns_me)
        return __real_pthread_mutex_lock(mutex);
    turns_place(__builtin_return_address(0));
    await_mutex(mutex);
    return 0;
}

int __wrap_pthread_mutex_trylock(pthread_mutex_t *mutex)
{
    if (!turns_me)
        return __real_pthread_mutex_trylock(mutex);
    turns_place(__builtin_return_address(0));
    if (words_of(mutex)->locked)
        return EBUSY;
    take(mutex);
    return 0;
}

static void let_go(pthread_mutex_t *mutex)
{
    words_of(mutex)->locked = 0;
    turns_me->holds_world -= words_of(mutex)->made_in == TURNS_WORLD;
    turns_wake(TURN_LOCKS, mutex, true);
}

int __wrap_pthread_mutex_unlock(pthread_mutex_t *mutex)
{
    if (!turns_me)
        return __real_pthread_mutex_unlock(mutex);
    let_go(mutex);
    turns_place(__builtin_return_address(0));
    return 0;
}

/* ---- conditions ---- */

int __wrap_pthread_cond_init(pthread_cond_t *cond, const pthread_condattr_t *attr)
{
    clockid_t id = CLOCK_REALTIME;

    if (!turns_me)
        return __real_pthread_cond_init(cond, attr);
    if (attr)
        pthread_condattr_getclock(attr, &id);
    memset(cond, 0, sizeof(*cond));
    ((struct cond_words *)cond)->clock = (uint32_t)id + 1;
    return 0;
}

int __wrap_pthread_cond_destroy(pthread_cond_t *cond)
{
    return turns_me ? 0 : __real_pthread_cond_destroy(cond);
}

static int await_cond(pthread_cond_t *cond, pthread_mutex_t *mutex, int64_t until_ns)
{
    bool timed_out;

    let_go(mutex);
    timed_out = turns_wait(TURN_WAITS, cond, until_ns);
    await_mutex(mutex);
    return timed_out ? ETIMEDOUT : 0;
}

int __wrap_pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex)
{
    if (!turns_me)
        return __real_pthread_cond_wait(cond, mutex);
    turns_me->from = __builtin_return_address(0);
    return await_cond(cond, mutex, INT64_MAX);
}

static int64_t base_of(clockid_t id)
{
    return id == CLOCK_REALTIME ? REALTIME_BASE_NS : MONOTONIC_BASE_NS;
}

int __wrap_pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex, const struct timespec *until)
{
    uint32_t clock = ((struct cond_words *)cond)->clock;

    if (!turns_me)
        return __real_pthread_cond_timedwait(cond, mutex, until);
    turns_me->from = __builtin_return_address(0);
    return await_cond(cond, mutex,
                      until->tv_sec * INT64_C(1000000000) + until->tv_nsec -
                          base_of(clock == 0 ? CLOCK_REALTIME : (clockid_t)(clock - 1)));
}

int __wrap_pthread_cond_signal(pthread_cond_t *cond)
{
    if (!turns_me)
        return __real_pthread_cond_signal(cond);
    turns_wake(TURN_WAITS, cond, false);
    turns_place(__builtin_return_address(0));
    return 0;
}

int __wrap_pthread_cond_broadcast(pthread_cond_t *cond)
{
    if (!turns_me)
        return __real_pthread_cond_broadcast(cond);
    turns_wake(TURN_WAITS, cond, true);
    turns_place(__builtin_return_address(0));
    return 0;
}

/* ---- threads ---- */

int turns_real_create(pthread_t *thread, void *(*body)(void *arg), void *arg)
{
    return __real_pthread_create(thread, NULL, body, arg);
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*body)(void *), void *arg)
{
    struct turn *t;
    int rc;

    if (!turns_me)
        return __real_pthread_create(thread, attr, body, arg);
    t = turns_new(turns_me->life, "thread");
    t->body = body;
    t->arg = arg;
    rc = turns_real_create(&t->thread, turns_main, t);
    if (rc != 0)
        return rc;
    *thread = t->thread;
    turns_place(__builtin_return_address(0));
    return 0;
}

static struct turn *turn_of(pthread_t thread)
{
    for (unsigned i = 0; i < turns.n; i++) {
        struct turn *t = turns.all[i];
        if (!t->joined && t->state != TURN_KILLED && pthread_equal(t->thread, thread))
            return t;
    }
    return NULL;
}

int __wrap_pthread_join(pthread_t thread, void **ret)
{
    struct turn *t = turns_me ? turn_of(thread) : NULL;

    if (!t)
        return __real_pthread_join(thread, ret);
    turns_me->from = __builtin_return_address(0);
    while (t->state != TURN_ENDED)
        (void)turns_wait(TURN_JOINS, t, INT64_MAX);
    t->joined = true;
    return __real_pthread_join(thread, ret);
}

int __wrap_pthread_setname_np(pthread_t thread, const char *name)
{
    if (turns_me && pthread_equal(thread, pthread_self()))
        snprintf(turns_me->name, sizeof(turns_me->name), "%s", name);
    return __real_pthread_setname_np(thread, name);
}

/* ---- time ---- */

int __wrap_clock_gettime(clockid_t id, struct timespec *now)
{
    int64_t ns;

    if (!turns_me)
        return __real_clock_gettime(id, now);
    turns_pass_ns(TURNS_PLACE_NS);
    ns = base_of(id) + turns.now_ns;
    *now = (struct timespec){.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
    return 0;
}

time_t __wrap_time(time_t *ret)
{
    struct timespec now;

    if (!turns_me)
        return __real_time(ret);
    (void)__wrap_clock_gettime(CLOCK_REALTIME, &now);
    if (ret)
        *ret = now.tv_sec;
    return now.tv_sec;
}

int __wrap_nanosleep(const struct timespec *time, struct timespec *left)
{
    if (!turns_me)
        return __real_nanosleep(time, left);
    turns_me->from = __builtin_return_address(0);
    (void)turns_wait(TURN_SLEEPS, NULL, turns.now_ns + time->tv_sec * INT64_C(1000000000) + time->tv_nsec);
    return 0;
}

/* Without descriptors it is a sleep. */
int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout_ms)
{
    if (!turns_me || n > 0)
        return __real_poll(fds, n, timeout_ms);
    turns_me->from = __builtin_return_address(0);
    (void)turns_wait(TURN_SLEEPS, NULL, turns.now_ns + timeout_ms * INT64_C(1000000));
    return 0;
}

/* ---- chance ---- */

ssize_t __wrap_getrandom(void *bytes, size_t len, unsigned flags)
{
    if (!turns_me)
        return __real_getrandom(bytes, len, flags);
    for (size_t i = 0; i < len; i++)
        ((uint8_t *)bytes)[i] = (uint8_t)(sim_random(&turns.chance) >> 24);
    return (ssize_t)len;
}
