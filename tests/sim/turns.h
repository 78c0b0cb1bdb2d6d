/* Turns: real threads of which one runs at a time, in an order that follows from a seed, under a clock that is not the
 * machine's.
 *
 * An executable that is linked with the wrapped functions (turns_wrap.c says which) takes its mutexes, conditions, clocks
 * and random bytes from here. After turns_begin, the thread that holds the turn is the only one that runs. It gives
 * the turn away where it must wait, and now and then, by the seed, where it takes or frees a mutex or wakes another.
 * What happens between two such places is one step for all others, so atomic variables need no places of their own.
 *
 * The clock stands still while there is somebody who can run, but for some nanoseconds at each place; when all wait, it
 * jumps to the earliest deadline. When all wait and there is no deadline, nobody would ever run again: that is told, with what each
 * one waits for, and the process ends.
 *
 * A thread belongs to the *life* of the one that made it. A life can be killed: its threads never run again. Locks
 * that were made outside of all lives are the world's: whoever holds one is not interrupted, so no life is ever killed
 * with one in its hands. */
#ifndef SIM_TURNS_H
#define SIM_TURNS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define TURNS_WORLD 0u /* the life of whoever calls turns_begin */

/* What the process ends with: another status than that of a failed check. */
#define TURNS_STUCK 64   /* all wait, and nothing will wake them */
#define TURNS_ENDLESS 65 /* the clock has passed its limit */

/* The calling thread holds the first turn. `limit_s`: of the clock. */
void turns_begin(uint64_t seed, int64_t limit_s, FILE *tell);
/* The choices from here on follow from this seed. `one_in`: a switch at one place in so many. */
void turns_reseed(uint64_t seed, unsigned one_in);

int64_t turns_now_us(void); /* since turns_begin */
void turns_sleep_us(int64_t us);
/* Wait until somebody rouses those who wait for this. */
void turns_await(const void *what);
void turns_rouse(const void *what);
/* Number of times that the turn has changed hands. */
uint64_t turns_taken(void);

/* A thread of another life; it is never joined. */
void turns_spawn(unsigned life, const char *name, void *(*body)(void *arg), void *arg);
/* Not one's own. */
void turns_kill(unsigned life);
/* What every thread does, to `tell`. */
void turns_tell_all(void);

#endif
