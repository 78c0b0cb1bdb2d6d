/* Fuzz target: what a command touches. The words of a command, one a line: its keys are among its words, and as many as it says; rights and
 * busy keys go by them. */
#include "command.h"
#include "fuzz.h"

#define WORDS_MAX 64u
#define KEYS_MAX 8u

static bool is_a_word(struct hf_slice key, const struct hf_slice *words, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        if (words[i].data == key.data && words[i].len == key.len)
            return true;
    }
    return false;
}

static void check(const struct command *command, const struct hf_slice *words, size_t n)
{
    struct hf_slice keys[KEYS_MAX] = {{0}}, more[2 * WORDS_MAX] = {{0}};
    size_t found = command_keys(command, n, words, keys, KEYS_MAX);
    size_t again = command_keys(command, n, words, more, sizeof(more) / sizeof(more[0]));

    FUZZ_REQUIRE(found == again && command_keys(command, n, words, NULL, 0) == found);
    if (found == KEYS_UNKNOWN)
        return;
    FUZZ_REQUIRE(found < n);
    for (size_t i = 0; i < found; i++) {
        FUZZ_REQUIRE(is_a_word(more[i], words, n));
        FUZZ_REQUIRE(i >= KEYS_MAX || (keys[i].data == more[i].data && keys[i].len == more[i].len));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = fuzz_copy(data, size);
    struct fuzz_input in = {copy, size};
    struct hf_slice words[WORDS_MAX];
    const struct command *command;
    size_t n = 0;

    while (in.left > 0 && n < WORDS_MAX)
        words[n++] = fuzz_until(&in, '\n');
    command = n > 0 ? command_find(words[0]) : NULL;
    if (command)
        check(command, words, n);
    free(copy);
    return 0;
}
