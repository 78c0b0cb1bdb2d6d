/* Fuzz target: numbers, durations and sizes in words. Each parser takes exactly what its document says: what it accepts prints as the same
 * text again, or agrees with the C library's parser where that one is exact. */
#include "fuzz.h"
#include "number.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

static void check_integers(struct hf_slice text)
{
    int64_t number = 0;
    uint64_t cursor = 0;
    char printed[32];
    bool is = number_parse(text, &number), is_cursor = number_parse_unsigned(text, &cursor);

    snprintf(printed, sizeof(printed), "%" PRId64, number);
    if (is)
        FUZZ_REQUIRE(hf__slice_eq(text, hf__slice_str(printed)));
    if (is && number >= 0)
        FUZZ_REQUIRE(is_cursor && cursor == (uint64_t)number);
    snprintf(printed, sizeof(printed), "%" PRIu64, cursor);
    if (is_cursor) /* which may have leading zeros */
        FUZZ_REQUIRE(text.len >= strlen(printed) &&
                     memcmp((const char *)text.data + text.len - strlen(printed), printed, strlen(printed)) == 0);
}

static void check_float(struct hf_slice text)
{
    char printed[NUMBER_FLOAT_MAX];
    long double number, again;
    size_t len;

    if (!number_parse_float(text, &number) || isinf(number))
        return;
    len = number_print_float(number, printed);
    FUZZ_REQUIRE(len > 0 && len == strlen(printed));
    FUZZ_REQUIRE(number_parse_float(hf__slice(printed, len), &again));
    FUZZ_REQUIRE(fabsl(again - number) <= fabsl(number) * 1e-17L + 1e-17L);
}

/* Digits, blanks, a unit: by hand. */
static bool expected(const char *text, const char *const *names, const uint64_t *factors, uint64_t max,
                     uint64_t *ret_value)
{
    size_t n_digits = strspn(text, "0123456789"), n_blanks = strspn(text + n_digits, " ");
    bool fits = n_digits > 0;
    uint64_t value = 0;

    for (size_t i = 0; i < n_digits; i++) {
        fits &= !__builtin_mul_overflow(value, 10, &value);
        fits &= !__builtin_add_overflow(value, (uint64_t)(text[i] - '0'), &value);
    }
    while (*names && strcmp(text + n_digits + n_blanks, *names) != 0) {
        names++;
        factors++;
    }
    return fits && *names && !__builtin_mul_overflow(value, *factors, ret_value) && *ret_value <= max;
}

static void check_units(const char *text)
{
    static const char *const durations[] = {"", "ms", "s", "m", "h", "d", NULL};
    static const uint64_t ms[] = {1, 1, 1000, 60000, 3600000, 86400000};
    static const char *const sizes[] = {"", "B", "KiB", "MiB", "GiB", "TiB", NULL};
    static const uint64_t bytes[] = {1, 1, 1u << 10, 1u << 20, 1u << 30, 1ull << 40};
    uint64_t value = 0, size = 0;
    int64_t duration = 0;
    bool is = expected(text, durations, ms, INT64_MAX, &value);

    FUZZ_REQUIRE((hf_parse_duration(text, &duration) == 0) == is);
    FUZZ_REQUIRE(!is || (uint64_t)duration == value);
    if (!is)
        fuzz_require_sentence(hf_errmsg());
    is = expected(text, sizes, bytes, UINT64_MAX, &value);
    FUZZ_REQUIRE((hf_parse_size(text, &size) == 0) == is);
    FUZZ_REQUIRE(!is || size == value);
    if (!is)
        fuzz_require_sentence(hf_errmsg());
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *bytes = fuzz_copy(data, size);
    char *text = fuzz_text(data, size);

    check_integers(hf__slice(bytes, size));
    check_float(hf__slice(bytes, size));
    check_units(text);
    free(bytes);
    free(text);
    return 0;
}
