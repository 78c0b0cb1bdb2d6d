/* Durations and sizes in words: "10s", "64MiB". */
#include "bytes.h"
#include "fail.h"

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit durations[] = {
    {"", 1}, {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}, {NULL, 0},
};

static const struct unit sizes[] = {
    {"", 1},   {"B", 1}, {"KiB", 1ull << 10}, {"MiB", 1ull << 20}, {"GiB", 1ull << 30}, {"TiB", 1ull << 40},
    {NULL, 0},
};

static const struct unit *find_unit(const struct unit *units, const char *name)
{
    while (units->name && strcmp(units->name, name) != 0)
        units++;
    return units->name ? units : NULL;
}

/* Digits, perhaps blanks, perhaps a unit. False when it is nothing of the kind or passes `max`. */
static bool parse(const char *text, const struct unit *units, uint64_t max, uint64_t *ret_value)
{
    const struct unit *unit;
    uint64_t value = 0;
    const char *p = text;

    for (; *p >= '0' && *p <= '9'; p++) {
        uint64_t digit = (uint64_t)(*p - '0');
        if (value > (max - digit) / 10)
            return false;
        value = 10 * value + digit;
    }
    if (p == text)
        return false;
    while (*p == ' ')
        p++;
    unit = find_unit(units, p);
    if (!unit || value > max / unit->factor)
        return false;
    *ret_value = value * unit->factor;
    return true;
}

static int refuse(const char *text, const char *expected)
{
    char found[64];

    return hf__fail(HF_EINVAL, "found \"%s\", expected %s",
                    hf__printable(hf__slice_str(text), found, sizeof(found)), expected);
}

int hf_parse_duration(const char *text, int64_t *ret_ms)
{
    uint64_t value;

    if (!text || !parse(text, durations, INT64_MAX, &value))
        return refuse(text ? text : "",
                      "a duration such as \"10s\" (ms, s, m, h or d) or a number of milliseconds");
    *ret_ms = (int64_t)value;
    return 0;
}

int hf_parse_size(const char *text, uint64_t *ret_bytes)
{
    uint64_t value;

    if (!text || !parse(text, sizes, UINT64_MAX, &value))
        return refuse(text ? text : "", "a size such as \"64MiB\" (B, KiB, MiB, GiB or TiB) or a number of bytes");
    *ret_bytes = value;
    return 0;
}
