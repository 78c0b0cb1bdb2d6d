/* The wrappers that --wrap puts before the allocator. */
#include "memory_fault.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <execinfo.h>
#include <stdatomic.h>
#include <stdlib.h>

#define PLACE_MAX 24

static atomic_bool armed, always;
static atomic_ulong seen, failed, which;
static void *place[PLACE_MAX];
static int n_place;

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *old, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t n);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t n);

static bool fails(void)
{
    unsigned long n, nth = atomic_load(&which);

    if (!atomic_load(&armed))
        return false;
    n = atomic_fetch_add(&seen, 1) + 1;
    if (nth == 0 || n < nth || (n > nth && !atomic_load(&always)))
        return false;
    if (n == nth)
        n_place = backtrace(place, PLACE_MAX);
    atomic_fetch_add(&failed, 1);
    errno = ENOMEM;
    return true;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return fails() ? NULL : __real_realloc(old, size);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    return fails() ? NULL : __real_aligned_alloc(alignment, size);
}

char *__wrap_strdup(const char *text)
{
    return fails() ? NULL : __real_strdup(text);
}

char *__wrap_strndup(const char *text, size_t n)
{
    return fails() ? NULL : __real_strndup(text, n);
}

void memory_fault_arm(unsigned long nth, bool forever)
{
    cJSON_Hooks hooks = {.malloc_fn = __wrap_malloc, .free_fn = free};
    void *one;

    (void)backtrace(&one, 1); /* its first call allocates */
    cJSON_InitHooks(&hooks);
    atomic_store(&seen, 0);
    atomic_store(&failed, 0);
    atomic_store(&which, nth);
    atomic_store(&always, forever);
    atomic_store(&armed, true);
}

unsigned long memory_fault_disarm(void)
{
    atomic_store(&armed, false);
    return atomic_load(&seen);
}

unsigned long memory_fault_failed(void)
{
    return atomic_load(&failed);
}

void memory_fault_tell(void)
{
    backtrace_symbols_fd(place, n_place, 2);
}
