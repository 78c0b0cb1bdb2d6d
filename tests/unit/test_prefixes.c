/* The prefixes that are tracked: as few as cover all namespaces, none inside another. */
#include "scratch.h"
#include "tracking.h"

#include <stdio.h>

#define PREFIXES_MAX 6

struct row {
    const char *given[PREFIXES_MAX];
    const char *left[PREFIXES_MAX]; /* in byte order */
};

static const struct row rows[] = {
    {{NULL}, {NULL}},
    {{"", NULL}, {"", NULL}},
    {{"a:", NULL}, {"a:", NULL}},
    {{"b:", "a:", NULL}, {"a:", "b:", NULL}},
    {{"a:", "", "b:", NULL}, {"", NULL}},
    {{"a:b:", "a:", NULL}, {"a:", NULL}},
    {{"a:", "a:b:c:", "a:b:", "a;", NULL}, {"a:", "a;", NULL}},
    {{"a", "ab", "b", "abc", "ba", NULL}, {"a", "b", NULL}},
    {{"a:", "a:", NULL}, {"a:", NULL}},
    {{"a:1", "a:", "a9", "a:9", "a", NULL}, {"a", NULL}},
    {{"a:x", "a", "a-y", "b", NULL}, {"a", "b", NULL}},
};

static void test_prefixes__the_cover_is_minimal_and_never_overlaps(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct hf_slice prefixes[PREFIXES_MAX];
        size_t n = 0, left = 0;

        for (; rows[i].given[n]; n++)
            prefixes[n] = s_(rows[i].given[n]);
        n = hf__tracking_cover(prefixes, n);
        for (; rows[i].left[left]; left++) {
            if (left >= n || !hf__slice_eq(prefixes[left], s_(rows[i].left[left])))
                fail_msg("row %zu: '%s' is not left as number %zu", i, rows[i].left[left], left);
        }
        assert_int_equal(n, left);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_prefixes__the_cover_is_minimal_and_never_overlaps),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
