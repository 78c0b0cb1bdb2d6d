/* Patterns: every combination of short ones against an obvious matcher, and those that make a careless one take for ever. */
#include "glob.h"
#include "scratch.h"

#include <string.h>
#include <time.h>

/* ---- the obvious matcher: tries everything ---- */

static bool class_has(const char **pattern, char byte)
{
    const char *p = *pattern + 1;
    bool negated = *p == '^', found = false;

    p += negated;
    for (; *p && *p != ']'; p++) {
        if (*p == '\\' && p[1]) {
            p++;
            found |= *p == byte;
        } else if (p[1] == '-' && p[2]) {
            char low = p[0] < p[2] ? p[0] : p[2], high = p[0] < p[2] ? p[2] : p[0];
            found |= low <= byte && byte <= high;
            p += 2;
        } else {
            found |= *p == byte;
        }
    }
    *pattern = *p ? p + 1 : p;
    return found != negated;
}

static bool matches(const char *p, const char *t)
{
    if (!*p)
        return !*t;
    if (*p == '*')
        return matches(p + 1, t) || (*t && matches(p, t + 1));
    if (!*t)
        return false;
    if (*p == '[')
        return class_has(&p, *t) && matches(p, t + 1);
    if (*p == '\\' && p[1])
        p++;
    else if (*p == '?')
        return matches(p + 1, t + 1);
    return *p == *t && matches(p + 1, t + 1);
}

/* The number as digits in this alphabet, without those that stand for nothing. */
static void spell(unsigned number, const char *alphabet, char *text)
{
    size_t n = strlen(alphabet) + 1;

    for (; number > 0; number /= (unsigned)n) {
        if (number % n > 0)
            *text++ = alphabet[number % n - 1];
    }
    *text = '\0';
}

static void test_every_short_pattern_matches_what_trying_everything_finds(void **state)
{
    static const char *const texts[] = {"",    "a",   "b",    "-", "]",  "ab", "ba", "aa",
                                        "aab", "a-b", "abab", "^", "\\", "[",  "b]"};
    char pattern[16];

    (void)state;
    for (unsigned number = 0; number < 9u * 9 * 9 * 9 * 9 * 9; number++) {
        spell(number, "ab*?[]^-", pattern);
        for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
            if (glob_match(s_(pattern), s_(texts[i])) != matches(pattern, texts[i]))
                fail_msg("'%s' and '%s': expected %d", pattern, texts[i], matches(pattern, texts[i]));
        }
    }
}

static void test_a_backslash_takes_the_next_byte_as_it_is(void **state)
{
    (void)state;
    assert_true(glob_match(s_("\\*"), s_("*")));
    assert_false(glob_match(s_("\\*"), s_("a")));
    assert_true(glob_match(s_("[\\]a]"), s_("]")));
    assert_true(glob_match(s_("a\\"), s_("a\\")));
    assert_true(glob_match(hf__slice("a\0*", 3), hf__slice("a\0b", 3)));
}

static void test_a_pattern_of_many_stars_takes_no_longer_than_its_length_times_the_texts(void **state)
{
    static char pattern[2048], text[20000];
    clock_t began = clock();

    (void)state;
    for (size_t i = 0; i < sizeof(pattern); i++)
        pattern[i] = i % 2 == 0 ? '*' : 'a';
    pattern[sizeof(pattern) - 1] = 'b';
    memset(text, 'a', sizeof(text));
    assert_false(glob_match(hf__slice(pattern, sizeof(pattern)), hf__slice(text, sizeof(text))));
    assert_true(clock() - began < 5 * CLOCKS_PER_SEC);
}

static void test_the_prefix_ends_before_the_first_special_byte(void **state)
{
    (void)state;
    assert_int_equal(glob_prefix(s_("user:*")).len, 5);
    assert_int_equal(glob_prefix(s_("user:1")).len, 6);
    assert_int_equal(glob_prefix(s_("us[e]r")).len, 2);
    assert_int_equal(glob_prefix(s_("us\\er")).len, 2);
    assert_int_equal(glob_prefix(s_("?x")).len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_short_pattern_matches_what_trying_everything_finds),
        cmocka_unit_test(test_a_backslash_takes_the_next_byte_as_it_is),
        cmocka_unit_test(test_a_pattern_of_many_stars_takes_no_longer_than_its_length_times_the_texts),
        cmocka_unit_test(test_the_prefix_ends_before_the_first_special_byte),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
