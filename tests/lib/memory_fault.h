/* Allocations that fail, for a test that is linked as test_memory is (tests/CMakeLists.txt): they lead every
 * malloc, calloc, realloc, aligned_alloc, strdup and strndup of the library, and of a hiredis that it carries, through here. cJSON's
 * come through its hooks. LMDB, libuv and OpenSSL have their own. */
#ifndef TEST_MEMORY_FAULT_H
#define TEST_MEMORY_FAULT_H

#include <stdbool.h>

/* From now on allocations of all threads are counted, and the `nth` fails; `forever`: and all after it. 0: none does. */
void memory_fault_arm(unsigned long nth, bool forever);
/* All succeed again. Returns how many were counted. */
unsigned long memory_fault_disarm(void);
/* How many have failed since it was armed. */
unsigned long memory_fault_failed(void);
/* The calls that led to the first of them, on stderr; for addr2line. */
void memory_fault_tell(void);

#endif
