/* The keys and values that every side writes and reads. */
#include "bench.h"

#include <stdlib.h>
#include <string.h>

#define VALUES_BYTES (64u << 20) /* all values of a case, unless they have the usual size */
#define VALUES_BYTES_QUICK (8u << 20)

static size_t max_size(size_t a, size_t b)
{
    return a > b ? a : b;
}

static size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* "key:000000001234" */
static void make_key(size_t n, char key[BENCH_KEY_BYTES])
{
    memcpy(key, "key:", 4);
    for (int i = BENCH_KEY_BYTES - 1; i >= 4; i--) {
        key[i] = (char)('0' + n % 10);
        n /= 10;
    }
}

int bench_make_payload(struct bench *bench)
{
    size_t n_words = BENCH_VALUES + BENCH_VALUE_MAX / sizeof(uint64_t);
    size_t n = max_size(max_size(bench->n_keys, bench->n_written_keys),
                        max_size(bench->n_reopened_keys, bench->n_replayed_keys));

    bench->keys = malloc(n * sizeof(*bench->keys));
    bench->words = malloc(n_words * sizeof(*bench->words));
    if (!bench->keys || !bench->words)
        return bench_fail("out of memory: %zu keys", n);
    for (size_t i = 0; i < n; i++)
        make_key(i, bench->keys[i]);
    for (size_t i = 0; i < n_words; i++)
        bench->words[i] = i;
    return 0;
}

void bench_free_payload(struct bench *bench)
{
    free(bench->keys);
    free(bench->words);
}

struct bench bench_with_values(const struct bench *bench, size_t value_bytes)
{
    struct bench other = *bench;
    size_t n_max = (bench->quick ? VALUES_BYTES_QUICK : VALUES_BYTES) / value_bytes;

    other.value_bytes = value_bytes;
    other.n_keys = min_size(bench->n_keys, n_max);
    other.n_written_keys = min_size(bench->n_written_keys, n_max);
    return other;
}

const void *bench_value(const struct bench *bench, uint64_t n)
{
    return &bench->words[n % BENCH_VALUES];
}

bool bench_is_value(uint64_t n, const void *value)
{
    uint64_t number;

    memcpy(&number, value, sizeof(number));
    return number == n % BENCH_VALUES;
}

bool bench_take(uint64_t n, uint8_t out[BENCH_KEY_BYTES + BENCH_VALUE_BYTES], const void *key, size_t key_len,
                const void *value, size_t value_len)
{
    if (key_len != BENCH_KEY_BYTES || value_len != BENCH_VALUE_BYTES)
        return false;
    memcpy(out, key, BENCH_KEY_BYTES);
    memcpy(out + BENCH_KEY_BYTES, value, BENCH_VALUE_BYTES);
    return bench_is_value(n, out + BENCH_KEY_BYTES);
}

uint32_t *bench_shuffled(size_t n)
{
    uint32_t *order = malloc(n * sizeof(*order));
    uint64_t random = 0x2545f4914f6cdd1du;

    if (!order)
        return NULL;
    for (size_t i = 0; i < n; i++)
        order[i] = (uint32_t)i;
    for (size_t i = n; i > 1; i--) {
        size_t j = bench_random(&random) % i;
        uint32_t moved = order[i - 1];
        order[i - 1] = order[j];
        order[j] = moved;
    }
    return order;
}
