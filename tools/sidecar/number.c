#include "number.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* All of it digits, within 64 bits. */
static bool parse_digits(const char *p, size_t len, uint64_t *ret_number)
{
    uint64_t number = 0;

    for (size_t i = 0; i < len; i++) {
        if (p[i] < '0' || p[i] > '9' || __builtin_mul_overflow(number, 10, &number) ||
            __builtin_add_overflow(number, (uint64_t)(p[i] - '0'), &number))
            return false;
    }
    *ret_number = number;
    return len > 0;
}

bool number_parse(struct hf_slice text, int64_t *ret_number)
{
    const char *p = text.data;
    bool negative = text.len > 0 && p[0] == '-';
    uint64_t number, limit = (uint64_t)INT64_MAX + negative;

    if (text.len > 1 && p[negative] == '0')
        return false;
    if (!parse_digits(p + negative, text.len - negative, &number) || number > limit)
        return false;
    *ret_number = negative ? (int64_t)(0 - number) : (int64_t)number;
    return true;
}

bool number_parse_unsigned(struct hf_slice text, uint64_t *ret_number)
{
    return parse_digits(text.data, text.len, ret_number);
}

bool number_parse_float(struct hf_slice text, long double *ret_number)
{
    char copy[NUMBER_FLOAT_MAX], *end;
    long double number;

    if (text.len == 0 || text.len >= sizeof(copy))
        return false;
    memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    errno = 0;
    number = strtold(copy, &end);
    if (isspace((unsigned char)copy[0]) || end != copy + text.len || isnan(number))
        return false;
    if (errno == ERANGE && (isinf(number) || number == 0))
        return false;
    *ret_number = number;
    return true;
}

size_t number_print_float(long double number, char text[NUMBER_FLOAT_MAX])
{
    int len = snprintf(text, NUMBER_FLOAT_MAX, "%.17Lf", number);

    if (len < 0 || len >= NUMBER_FLOAT_MAX)
        return 0;
    while (text[len - 1] == '0')
        len--;
    if (text[len - 1] == '.')
        len--;
    text[len] = '\0';
    if (strcmp(text, "-0") == 0)
        return (size_t)snprintf(text, NUMBER_FLOAT_MAX, "0");
    return (size_t)len;
}
