/* The story as it is told: what happened, what was wrong, and how long it took. */
#ifndef MAINJOB_STORY_H
#define MAINJOB_STORY_H

#include <stdbool.h>
#include <stdint.h>

/* A line of the story. */
void story_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The same for what was checked: not said once anything is wrong. */
void story_claim(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Something lost, wrong or resurrected. The first few are told, all are counted. Returns -1. */
int story_wrong(const char *format, ...) __attribute__((format(printf, 1, 2)));
unsigned story_wrongs(void);

/* Milliseconds on a clock that is never set, and since 1970. */
int64_t story_clock_ms(void);
int64_t story_unix_ms(void);

#endif
