/* Fuzz target: the parser of what clients send. The first byte says in which pieces the rest arrives; the outcome must be the same as
 * in one piece, and every argument must lie within what was given. */
#include "fuzz.h"
#include "resp.h"

/* What came out, in short: the commands as a digest, how far it got, and how it ended. */
struct outcome {
    uint64_t digest, n_commands;
    size_t used;
    int64_t end; /* 0: more is wanted; -1: protocol error */
};

static uint64_t digest_of(uint64_t digest, const void *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        digest = (digest ^ ((const uint8_t *)bytes)[i]) * 1099511628211u;
    return (digest ^ len) * 1099511628211u;
}

static void take(struct outcome *o, const struct resp_command *command)
{
    for (size_t i = 0; i < command->argc; i++)
        o->digest = digest_of(o->digest, command->argv[i].data, command->argv[i].len);
    o->digest = digest_of(o->digest, &command->argc, sizeof(command->argc));
    o->n_commands++;
}

/* Parse `left` bytes, which lie in memory of just that size, so that a sanitizer sees a byte too far. */
static void parse(struct resp_reader *reader, const uint8_t *bytes, size_t left, struct outcome *o)
{
    uint8_t *copy = fuzz_copy(bytes, left);
    struct resp_command command;
    size_t at = 0;
    int64_t n = 1;

    while (n > 0 && at < left) {
        n = resp_next(reader, copy + at, left - at, &command);
        FUZZ_REQUIRE(n <= (int64_t)(left - at));
        if (n > 0)
            take(o, &command);
        at += n > 0 ? (size_t)n : 0;
    }
    if (n == -1)
        fuzz_require_sentence(reader->error);
    o->used += at;
    o->end = n > 0 ? 0 : n;
    free(copy);
}

static struct outcome run(const uint8_t *data, size_t size, size_t piece)
{
    struct resp_reader reader = {0};
    struct outcome o = {0};
    size_t arrived = 0;

    while (o.end == 0 && arrived < size) {
        arrived = size - arrived > piece ? arrived + piece : size;
        parse(&reader, data + o.used, arrived - o.used, &o);
    }
    resp_release(&reader);
    return o;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct outcome whole, pieces;

    if (size < 1)
        return 0;
    whole = run(data + 1, size - 1, size);
    pieces = run(data + 1, size - 1, 1 + data[0] % 64);
    FUZZ_REQUIRE(memcmp(&whole, &pieces, sizeof(whole)) == 0);
    return 0;
}
