/* The keys and values that every side writes and reads. */
#include "bench.h"

#include <stdlib.h>
#include <string.h>

static size_t max_size(size_t a, size_t b)
{
    return a > b ? a : b;
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

int bench_make_keys(struct bench *bench)
{
    size_t n = max_size(max_size(bench->n_keys, bench->n_written_keys),
                        max_size(bench->n_reopened_keys, bench->n_replayed_keys));

    bench->keys = malloc(n * sizeof(*bench->keys));
    if (!bench->keys)
        return bench_fail("out of memory: %zu keys", n);
    for (size_t i = 0; i < n; i++)
        make_key(i, bench->keys[i]);
    return 0;
}

void bench_value(uint64_t n, uint8_t value[BENCH_VALUE_BYTES])
{
    memset(value, 'v', BENCH_VALUE_BYTES);
    memcpy(value, &n, sizeof(n));
}

uint64_t bench_take(uint8_t out[BENCH_KEY_BYTES + BENCH_VALUE_BYTES], const void *key, size_t key_len,
                    const void *value, size_t value_len)
{
    uint64_t number;

    if (key_len != BENCH_KEY_BYTES || value_len != BENCH_VALUE_BYTES)
        return UINT64_MAX;
    memcpy(out, key, BENCH_KEY_BYTES);
    memcpy(out + BENCH_KEY_BYTES, value, BENCH_VALUE_BYTES);
    memcpy(&number, out + BENCH_KEY_BYTES, sizeof(number));
    return number;
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
