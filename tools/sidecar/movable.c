/* Finds keys that stand behind their number, or behind a word. */
#include "movable.h"

#include "number.h"
#include "words.h"

/* Keys found so far. */
struct found {
    struct hf_slice *keys;
    size_t capacity, n;
};

static void add(struct found *found, struct hf_slice key)
{
    if (found->n < found->capacity)
        found->keys[found->n] = key;
    found->n++;
}

/* As many keys from `first` on as the argument at `count` says. */
static bool add_counted(struct found *found, size_t argc, const struct hf_slice *argv, size_t count, size_t first)
{
    int64_t n;

    if (count >= argc || !number_parse(argv[count], &n) || n < 0 || first > argc || (uint64_t)n > argc - first)
        return false;
    for (size_t i = 0; i < (size_t)n; i++)
        add(found, argv[first + i]);
    return true;
}

static size_t counted(size_t argc, const struct hf_slice *argv, size_t count, struct found found)
{
    return add_counted(&found, argc, argv, count, count + 1) ? found.n : KEYS_UNKNOWN;
}

size_t keys_counted_first(size_t argc, const struct hf_slice *argv, struct hf_slice *keys, size_t capacity)
{
    return counted(argc, argv, 1, (struct found){keys, capacity, 0});
}

size_t keys_counted_second(size_t argc, const struct hf_slice *argv, struct hf_slice *keys, size_t capacity)
{
    return counted(argc, argv, 2, (struct found){keys, capacity, 0});
}

size_t keys_of_script(size_t argc, const struct hf_slice *argv, struct hf_slice *keys, size_t capacity)
{
    return counted(argc, argv, 2, (struct found){keys, capacity, 0});
}

size_t keys_stored_and_counted(size_t argc, const struct hf_slice *argv, struct hf_slice *keys, size_t capacity)
{
    struct found found = {keys, capacity, 0};

    if (argc < 3)
        return KEYS_UNKNOWN;
    add(&found, argv[1]);
    return counted(argc, argv, 2, found);
}

/* Half of what follows STREAMS are keys, the other half are ids. */
size_t keys_of_streams(size_t argc, const struct hf_slice *argv, struct hf_slice *keys, size_t capacity)
{
    struct found found = {keys, capacity, 0};
    size_t first = 1, n;

    while (first < argc && !word_is(argv[first], "STREAMS"))
        first++;
    n = first < argc ? argc - first - 1 : 0;
    if (n == 0 || n % 2 != 0)
        return KEYS_UNKNOWN;
    for (size_t i = 0; i < n / 2; i++)
        add(&found, argv[first + 1 + i]);
    return found.n;
}

/* Whether BY or GET reads the keys that this pattern makes. */
static bool reads_others(struct hf_slice word, struct hf_slice pattern)
{
    if (word_is(word, "BY"))
        return memchr(pattern.data, '*', pattern.len) != NULL;
    return word_is(word, "GET") && !word_is(pattern, "#");
}

size_t keys_of_sort(size_t argc, const struct hf_slice *argv, struct hf_slice *keys, size_t capacity)
{
    struct found found = {keys, capacity, 0};

    if (argc < 2)
        return KEYS_UNKNOWN;
    add(&found, argv[1]);
    for (size_t i = 2; i + 1 < argc; i++) {
        if (reads_others(argv[i], argv[i + 1]))
            return KEYS_UNKNOWN;
        if (word_is(argv[i], "LIMIT"))
            i += 2;
        else if (word_is(argv[i], "BY") || word_is(argv[i], "GET"))
            i++;
        else if (word_is(argv[i], "STORE"))
            add(&found, argv[++i]);
    }
    return found.n;
}

size_t keys_of_radius(size_t argc, const struct hf_slice *argv, struct hf_slice *keys, size_t capacity)
{
    struct found found = {keys, capacity, 0};

    if (argc < 2)
        return KEYS_UNKNOWN;
    add(&found, argv[1]);
    for (size_t i = 5; i + 1 < argc; i++) {
        if (word_is(argv[i], "STORE") || word_is(argv[i], "STOREDIST"))
            add(&found, argv[++i]);
    }
    return found.n;
}

size_t key_of_subcommand(size_t argc, const struct hf_slice *argv, struct hf_slice *keys, size_t capacity)
{
    struct found found = {keys, capacity, 0};

    if (argc > 2)
        add(&found, argv[2]);
    return found.n;
}
