/* HOLDFAST_TEST_FILTER=pattern runs only the tests of a binary whose names match (with * and ?), HOLDFAST_TEST_SKIP only the others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>

__attribute__((constructor)) static void set_filter(void)
{
    const char *pattern = getenv("HOLDFAST_TEST_FILTER"), *others = getenv("HOLDFAST_TEST_SKIP");

    if (pattern)
        cmocka_set_test_filter(pattern);
    if (others)
        cmocka_set_skip_filter(others);
}
