/* The Prometheus text format, byte by byte. */
#include "exposition.h"
#include "scratch.h"

#include <math.h>
#include <stdio.h>

static void assert_text(struct exposition *e, const char *text)
{
    assert_false(e->failed);
    assert_int_equal(hf__bytes_append(&e->text, "", 1), 0);
    assert_string_equal((const char *)e->text.bytes, text);
    exposition_release(e);
}

static void test_exposition__a_family_has_help_type_and_samples(void **state)
{
    const struct exposition_label labels[] = {{"a", s_("x")}, {"le", s_("+Inf")}, {0}};
    struct exposition e = {0};

    (void)state;
    exposition_family(&e, "m", "histogram", "One \\ two\nthree \"four\".");
    exposition_unsigned(&e, "_bucket", labels, UINT64_MAX);
    exposition_integer(&e, "_count", NULL, INT64_MIN);
    assert_text(&e, "# HELP m One \\\\ two\\nthree \"four\".\n# TYPE m histogram\n"
                    "m_bucket{a=\"x\",le=\"+Inf\"} 18446744073709551615\nm_count -9223372036854775808\n");
}

static void test_exposition__numbers_are_written_as_the_format_has_them(void **state)
{
    struct exposition e = {0};

    (void)state;
    exposition_family(&e, "m", "gauge", "");
    exposition_double(&e, "", NULL, (double)NAN);
    exposition_double(&e, "", NULL, (double)INFINITY);
    exposition_double(&e, "", NULL, -(double)INFINITY);
    exposition_double(&e, "", NULL, 0.5);
    exposition_ms(&e, "", NULL, 0);
    exposition_ms(&e, "", NULL, 1);
    exposition_ms(&e, "", NULL, -1);
    exposition_ms(&e, "", NULL, -61001);
    exposition_ms(&e, "", NULL, INT64_MIN);
    exposition_ns(&e, "", NULL, 1);
    exposition_ns(&e, "", NULL, UINT64_MAX);
    assert_text(&e,
                "# HELP m \n# TYPE m gauge\nm NaN\nm +Inf\nm -Inf\nm 0.5\nm 0.000\nm 0.001\nm -0.001\nm -61.001\n"
                "m -9223372036854775.808\nm 0.000000001\nm 18446744073.709551615\n");
}

/* What a label shows of these bytes. */
static void assert_shown(const char *bytes, size_t len, const char *shown)
{
    const struct exposition_label labels[] = {{"l", hf__slice(bytes, len)}, {0}};
    struct exposition e = {.family = "m"};
    char expected[128];

    exposition_unsigned(&e, "", labels, 1);
    snprintf(expected, sizeof(expected), "m{l=\"%s\"} 1\n", shown);
    assert_text(&e, expected);
}

static void test_exposition__labels_show_text_as_it_is_and_other_bytes_in_hexadecimal(void **state)
{
    static const struct {
        const char *bytes, *shown;
    } rows[] = {
        {"", ""},
        {"app:", "app:"},
        {"a\"b\\c\nd", "a\\\"b\\\\c\\nd"},
        {"\t\r\x1f\x7f", "\\\\x09\\\\x0d\\\\x1f\\\\x7f"},
        {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"},
        {"\x80", "\\\\x80"},                                              /* a sequence without beginning */
        {"\xc3", "\\\\xc3"},                                              /* cut off */
        {"\xe2\x82", "\\\\xe2\\\\x82"},                                   /* cut off */
        {"\xc3\xc3\xa9", "\\\\xc3\xc3\xa9"},                              /* begun again */
        {"\xc0\x80", "\\\\xc0\\\\x80"},                                   /* overlong */
        {"\xc1\xbf", "\\\\xc1\\\\xbf"},                                   /* overlong */
        {"\xe0\x9f\xbf", "\\\\xe0\\\\x9f\\\\xbf"},                        /* overlong */
        {"\xf0\x8f\xbf\xbf", "\\\\xf0\\\\x8f\\\\xbf\\\\xbf"},             /* overlong */
        {"\xed\xa0\x80", "\\\\xed\\\\xa0\\\\x80"},                        /* a surrogate */
        {"\xf4\x90\x80\x80", "\\\\xf4\\\\x90\\\\x80\\\\x80"},             /* beyond U+10FFFF */
        {"\xf5\x80\x80\x80", "\\\\xf5\\\\x80\\\\x80\\\\x80"},             /* beyond U+10FFFF */
        {"\xf4\x8f\xbf\xbf\xee\x80\x80", "\xf4\x8f\xbf\xbf\xee\x80\x80"}, /* the last one, and private use */
        {"\xff\xfe", "\\\\xff\\\\xfe"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_shown(rows[i].bytes, strlen(rows[i].bytes), rows[i].shown);
    assert_shown("a\0b", 3, "a\\\\x00b");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exposition__a_family_has_help_type_and_samples),
        cmocka_unit_test(test_exposition__numbers_are_written_as_the_format_has_them),
        cmocka_unit_test(test_exposition__labels_show_text_as_it_is_and_other_bytes_in_hexadecimal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
