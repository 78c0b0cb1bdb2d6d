/* Numbers in text, by Redis's rules. */
#include "number.h"
#include "scratch.h"

#include <math.h>
#include <string.h>

static void test_an_integer_is_what_would_be_printed(void **state)
{
    static const struct {
        const char *text;
        bool is;
        int64_t number;
    } table[] = {
        {"0", true, 0},
        {"-1", true, -1},
        {"42", true, 42},
        {"9223372036854775807", true, INT64_MAX},
        {"-9223372036854775808", true, INT64_MIN},
        {"9223372036854775808", false, 0},
        {"-9223372036854775809", false, 0},
        {"18446744073709551616", false, 0},
        {"", false, 0},
        {"-", false, 0},
        {"-0", false, 0},
        {"+1", false, 0},
        {"01", false, 0},
        {"-01", false, 0},
        {" 1", false, 0},
        {"1 ", false, 0},
        {"1.0", false, 0},
        {"0x1", false, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        int64_t number = 0;
        if (number_parse(s_(table[i].text), &number) != table[i].is || number != table[i].number)
            fail_msg("'%s'", table[i].text);
    }
}

static void test_a_float_has_no_space_and_is_a_number(void **state)
{
    static const char *const bad[] = {"", " 1", "1 ", "nan", "1e5000", "1x", "--1"};
    long double number;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(number_parse_float(s_(bad[i]), &number));
    assert_true(number_parse_float(s_("3.0e3"), &number) && number == 3000);
    assert_true(number_parse_float(s_("inf"), &number) && isinf(number));
    assert_false(number_parse_float(hf__slice("1\0002", 3), &number));
}

static void test_a_float_is_printed_without_zeros_at_its_end(void **state)
{
    static const struct {
        long double number;
        const char *text;
    } table[] = {{0, "0"},
                 {-0.0L, "0"},
                 {3, "3"},
                 {-1.5L, "-1.5"},
                 {100, "100"},
                 {0.1L, "0.1"},
                 {1e17L, "100000000000000000"},
                 {1e-17L, "0.00000000000000001"},
                 {1e-20L, "0"}};
    char text[NUMBER_FLOAT_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        assert_int_equal(number_print_float(table[i].number, text), strlen(table[i].text));
        assert_string_equal(text, table[i].text);
    }
    assert_true(number_print_float(1e4000L, text) >= 4000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_integer_is_what_would_be_printed),
        cmocka_unit_test(test_a_float_has_no_space_and_is_a_number),
        cmocka_unit_test(test_a_float_is_printed_without_zeros_at_its_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
