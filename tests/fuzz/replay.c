/* Runs a fuzz target without a fuzzer: every file of a corpus and every seed of the target as it is, and then random mutations of them
 * for a number of rounds.
 *
 * Usage: replay_x CORPUS ROUNDS. HOLDFAST_TEST_SEED is another run than that of seed 1.
 *        replay_x --seeds DIR     write the target's own seeds there, for a fuzzer. */
#include "fuzz.h"

#include <dirent.h>
#include <stdio.h>

#define INPUTS_MAX 256
#define INPUT_BYTES_MAX 4096u
#define MUTATIONS_MAX 8u

__attribute__((weak)) size_t fuzz_seed(unsigned i, uint8_t *to, size_t room)
{
    (void)i, (void)to, (void)room;
    return 0;
}

struct input {
    uint8_t bytes[INPUT_BYTES_MAX];
    size_t len;
};

struct corpus {
    struct input inputs[INPUTS_MAX];
    size_t n;
};

static void load(struct corpus *corpus, const char *dir, const char *name)
{
    struct input *input = &corpus->inputs[corpus->n];
    char path[512];
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    file = fopen(path, "re");
    if (!file)
        return;
    input->len = fread(input->bytes, 1, sizeof(input->bytes), file);
    corpus->n++;
    fclose(file);
}

static void load_all(struct corpus *corpus, const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *entry;

    while (dir && corpus->n < INPUTS_MAX && (entry = readdir(dir))) {
        if (entry->d_name[0] != '.')
            load(corpus, path, entry->d_name);
    }
    if (dir)
        closedir(dir);
}

static void load_seeds(struct corpus *corpus)
{
    struct input *input = &corpus->inputs[corpus->n];
    unsigned i = 0;

    while (corpus->n < INPUTS_MAX && (input->len = fuzz_seed(i++, input->bytes, sizeof(input->bytes))) > 0)
        input = &corpus->inputs[++corpus->n];
}

static int write_seeds(const char *dir)
{
    uint8_t bytes[INPUT_BYTES_MAX];
    char path[512];
    bool ok = true;
    size_t len;

    for (unsigned i = 0; ok && (len = fuzz_seed(i, bytes, sizeof(bytes))) > 0; i++) {
        FILE *file;

        snprintf(path, sizeof(path), "%s/seed-%u", dir, i);
        file = fopen(path, "we");
        ok = file && fwrite(bytes, 1, len, file) == len;
        ok = file && fclose(file) == 0 && ok;
    }
    if (!ok)
        perror(path);
    return !ok;
}

static uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static void insert(struct input *input, size_t at, const uint8_t *bytes, size_t len)
{
    if (len > sizeof(input->bytes) - input->len)
        return;
    memmove(input->bytes + at + len, input->bytes + at, input->len - at);
    memcpy(input->bytes + at, bytes, len);
    input->len += len;
}

/* Change a byte, flip a bit, take a piece out, or put a piece of another input in. */
static void mutate(const struct corpus *corpus, struct input *input, uint64_t *seed)
{
    const struct input *other = &corpus->inputs[next_random(seed) % corpus->n];
    size_t at = input->len ? next_random(seed) % input->len : 0;
    size_t from = other->len ? next_random(seed) % other->len : 0;
    size_t len = 1 + next_random(seed) % 16;

    switch (next_random(seed) % 4) {
    case 0: input->bytes[at] = (uint8_t)next_random(seed); break;
    case 1: input->bytes[at] ^= (uint8_t)(1u << next_random(seed) % 8); break;
    case 2:
        len = len < input->len - at ? len : input->len - at;
        memmove(input->bytes + at, input->bytes + at + len, input->len - at - len);
        input->len -= len;
        break;
    default: insert(input, at, other->bytes + from, len < other->len - from ? len : other->len - from);
    }
}

int main(int argc, char **argv)
{
    static struct corpus corpus;
    static struct input input;
    const char *given = getenv("HOLDFAST_TEST_SEED");
    uint64_t number = given ? strtoull(given, NULL, 10) : 1, seed = number * 2654435761u + 1;
    long rounds = argc == 3 ? strtol(argv[2], NULL, 10) : 0;

    if (argc != 3) {
        fprintf(stderr, "usage: %s CORPUS ROUNDS | --seeds DIR\n", argv[0]);
        return 4;
    }
    if (strcmp(argv[1], "--seeds") == 0)
        return write_seeds(argv[2]);
    load_all(&corpus, argv[1]);
    load_seeds(&corpus);
    printf("%zu inputs, %ld rounds, seed %llu (HOLDFAST_TEST_SEED)\n", corpus.n, rounds,
           (unsigned long long)number);
    fflush(stdout);
    if (corpus.n == 0)
        return 1;
    for (size_t i = 0; i < corpus.n; i++)
        (void)LLVMFuzzerTestOneInput(corpus.inputs[i].bytes, corpus.inputs[i].len);
    for (long round = 0; round < rounds; round++) {
        input = corpus.inputs[next_random(&seed) % corpus.n];
        for (uint64_t n = 1 + next_random(&seed) % MUTATIONS_MAX; n > 0; n--)
            mutate(&corpus, &input, &seed);
        (void)LLVMFuzzerTestOneInput(input.bytes, input.len);
    }
    return 0;
}
