/* Fuzz target: "PATTERN\nTEXT": a glob pattern matches exactly when a plain recursive matcher
 * says so, and a match begins with what stands before the first special byte. */
#include "fuzz.h"
#include "glob.h"

#define BOTH_MAX 20u /* bytes, of the recursive one, whose time doubles with each star */

static uint8_t first(struct hf_slice s)
{
    return *(const uint8_t *)s.data;
}

static struct hf_slice behind(struct hf_slice s, size_t n)
{
    return hf__slice((const uint8_t *)s.data + n, s.len - n);
}

/* The class at the beginning of `p`, by the rules of Redis. Returns its length. */
static size_t class_length(struct hf_slice p, uint8_t byte, bool *ret_has)
{
    const uint8_t *c = p.data;
    size_t i = 1;
    bool negated = p.len > 1 && c[1] == '^', has = false;

    for (i += negated; i < p.len && c[i] != ']'; i++) {
        if (c[i] == '\\' && i + 1 < p.len) {
            has |= c[++i] == byte;
        } else if (i + 2 < p.len && c[i + 1] == '-') {
            uint8_t low = c[i] < c[i + 2] ? c[i] : c[i + 2], high = c[i] < c[i + 2] ? c[i + 2] : c[i];

            has |= c[i] != '\\' && byte >= low && byte <= high;
            i += 2;
        } else {
            has |= c[i] == byte;
        }
    }
    *ret_has = has != negated;
    return i < p.len ? i + 1 : i;
}

static bool matches(struct hf_slice p, struct hf_slice t)
{
    bool has;
    size_t n;

    if (p.len == 0)
        return t.len == 0;
    if (first(p) == '*')
        return matches(behind(p, 1), t) || (t.len > 0 && matches(p, behind(t, 1)));
    if (t.len == 0)
        return false;
    if (first(p) == '?')
        return matches(behind(p, 1), behind(t, 1));
    if (first(p) == '[') {
        n = class_length(p, first(t), &has);
        return has && matches(behind(p, n), behind(t, 1));
    }
    n = first(p) == '\\' && p.len > 1 ? 1 : 0;
    return ((const uint8_t *)p.data)[n] == first(t) && matches(behind(p, n + 1), behind(t, 1));
}

static void check_glob(struct hf_slice pattern, struct hf_slice text)
{
    struct hf_slice prefix = glob_prefix(pattern);
    bool match = glob_match(pattern, text);

    FUZZ_REQUIRE(!match || hf__slice_starts_with(text, prefix));
    FUZZ_REQUIRE(glob_match(hf__slice_str("*"), text));
    if (pattern.len + text.len <= BOTH_MAX)
        FUZZ_REQUIRE(match == matches(pattern, text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {data, size};
    struct hf_slice p = fuzz_until(&in, '\n'), t = fuzz_until(&in, '\n');
    uint8_t *pattern = fuzz_copy(p.data, p.len), *text = fuzz_copy(t.data, t.len);

    check_glob(hf__slice(pattern, p.len), hf__slice(text, t.len));
    free(pattern);
    free(text);
    return 0;
}
