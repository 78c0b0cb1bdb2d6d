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

/* As many keys as the argument at `count` says stand behind it. */
static bool add_counted(struct found *found, size_t argc, const struct hf_slice *argv, size_t count)
{
    int64_t n;

    if (count >= argc || !number_parse(argv[count], &n) || n < 0 || (uint64_t)n > argc - count - 1)
        return false;
    for (size_t i = 0; i < (size_t)n; i++)
        add(found, argv[count + 1 + i]);
    return true;
}

/* numkeys key ... */
static bool counted_first(struct found *found, size_t argc, const struct hf_slice *argv)
{
    return add_counted(found, argc, argv, 1);
}

/* timeout numkeys key ..., script numkeys key ... */
static bool counted_second(struct found *found, size_t argc, const struct hf_slice *argv)
{
    return add_counted(found, argc, argv, 2);
}

/* destination numkeys key ... */
static bool stored_and_counted(struct found *found, size_t argc, const struct hf_slice *argv)
{
    add(found, argv[1]);
    return add_counted(found, argc, argv, 2);
}

/* ... STREAMS key ... id ...: half of what follows are keys, the other half are ids. */
static bool streams(struct found *found, size_t argc, const struct hf_slice *argv)
{
    size_t first = 1, n;

    while (first < argc && !word_is(argv[first], "STREAMS"))
        first++;
    n = first < argc ? argc - first - 1 : 0;
    for (size_t i = 0; i < n / 2; i++)
        add(found, argv[first + 1 + i]);
    return n > 0 && n % 2 == 0;
}

/* Whether BY or GET reads the keys that this pattern makes. */
static bool reads_others(struct hf_slice word, struct hf_slice pattern)
{
    if (word_is(word, "BY"))
        return memchr(pattern.data, '*', pattern.len) != NULL;
    return word_is(word, "GET") && !word_is(pattern, "#");
}

/* key ... [STORE destination] */
static bool sorted(struct found *found, size_t argc, const struct hf_slice *argv)
{
    add(found, argv[1]);
    for (size_t i = 2; i + 1 < argc; i++) {
        if (reads_others(argv[i], argv[i + 1]))
            return false;
        if (word_is(argv[i], "LIMIT"))
            i += 2;
        else if (word_is(argv[i], "BY") || word_is(argv[i], "GET"))
            i++;
        else if (word_is(argv[i], "STORE"))
            add(found, argv[++i]);
    }
    return true;
}

/* key ... [STORE key | STOREDIST key] */
static bool radius(struct found *found, size_t argc, const struct hf_slice *argv)
{
    add(found, argv[1]);
    for (size_t i = 5; i + 1 < argc; i++) {
        if (word_is(argv[i], "STORE") || word_is(argv[i], "STOREDIST"))
            add(found, argv[++i]);
    }
    return true;
}

/* subcommand key ... */
static bool behind_subcommand(struct found *found, size_t argc, const struct hf_slice *argv)
{
    if (argc > 2)
        add(found, argv[2]);
    return true;
}

/* ---- by name ---- */

static const struct {
    const char *name;
    bool (*find)(struct found *found, size_t argc, const struct hf_slice *argv); /* false: they cannot be told */
} rules[] = {
    {"blmpop", counted_second},
    {"bzmpop", counted_second},
    {"eval", counted_second},
    {"eval_ro", counted_second},
    {"evalsha", counted_second},
    {"evalsha_ro", counted_second},
    {"fcall", counted_second},
    {"fcall_ro", counted_second},
    {"georadius", radius},
    {"georadiusbymember", radius},
    {"lmpop", counted_first},
    {"sintercard", counted_first},
    {"sort", sorted},
    {"sort_ro", sorted},
    {"xgroup", behind_subcommand},
    {"xinfo", behind_subcommand},
    {"xread", streams},
    {"xreadgroup", streams},
    {"zdiff", counted_first},
    {"zdiffstore", stored_and_counted},
    {"zinter", counted_first},
    {"zintercard", counted_first},
    {"zinterstore", stored_and_counted},
    {"zmpop", counted_first},
    {"zunion", counted_first},
    {"zunionstore", stored_and_counted},
};

size_t movable_keys(const struct command *command, size_t argc, const struct hf_slice *argv, struct hf_slice *keys,
                    size_t capacity)
{
    struct found found = {keys, capacity, 0};

    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]) && argc > 1; i++) {
        if (strcmp(rules[i].name, command->name) == 0)
            return rules[i].find(&found, argc, argv) ? found.n : KEYS_UNKNOWN;
    }
    return KEYS_UNKNOWN;
}
