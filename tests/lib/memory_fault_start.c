/* For a program that is linked as test_memory is: HOLDFAST_MEMORY_FAULT=n, or n,forever, arms the fault before main(). */
#include "memory_fault.h"

#include <stdlib.h>
#include <string.h>

__attribute__((constructor)) static void arm(void)
{
    const char *text = getenv("HOLDFAST_MEMORY_FAULT");

    if (text)
        memory_fault_arm(strtoul(text, NULL, 10), strstr(text, ",forever") != NULL);
}

/* Whether it was met, for the test to know when it has seen all. */
__attribute__((destructor)) static void tell(void)
{
    if (getenv("HOLDFAST_MEMORY_FAULT") && memory_fault_failed() == 0)
        _Exit(77);
}
