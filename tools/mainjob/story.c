/* The story as it is told. */
#include "story.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#define WRONGS_TOLD 20

static unsigned wrongs;

static void say(const char *format, va_list args) __attribute__((format(printf, 1, 0)));

static void say(const char *format, va_list args)
{
    vprintf(format, args);
    putchar('\n');
    fflush(stdout);
}

void story_say(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    say(format, args);
    va_end(args);
}

void story_claim(const char *format, ...)
{
    va_list args;

    if (wrongs > 0)
        return;
    va_start(args, format);
    say(format, args);
    va_end(args);
}

int story_wrong(const char *format, ...)
{
    va_list args;

    if (++wrongs > WRONGS_TOLD)
        return -1;
    printf("   WRONG: ");
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    puts(wrongs == WRONGS_TOLD ? " (no more are shown)" : "");
    fflush(stdout);
    return -1;
}

unsigned story_wrongs(void)
{
    return wrongs;
}

static int64_t read_ms(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t story_clock_ms(void)
{
    return read_ms(CLOCK_MONOTONIC);
}

int64_t story_unix_ms(void)
{
    return read_ms(CLOCK_REALTIME);
}
