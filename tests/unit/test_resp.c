/* The parser of what clients send: a table of streams, honest and hostile, each given in every way in which reads can cut it, and
 * random ones. */
#include "resp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

/* ---- vocabulary ---- */

/* A stream, and what comes out: commands as "[a|b][c]", then "!sentence" for a protocol error or "..." for the beginning of a
 * command. Bytes that are not printable are shown as \xNN. */
struct stream {
    const char *bytes;
    size_t len;
    const char *outcome;
};
#define S(bytes_, outcome_)                                                                                        \
    {                                                                                                              \
        .bytes = bytes_, .len = sizeof(bytes_) - 1, .outcome = outcome_                                            \
    }

struct run {
    struct resp_reader reader;
    size_t used; /* of the stream, by whole commands */
    bool broken;
    char *text;
    size_t text_len, text_size;
};

static void say(struct run *r, const char *text)
{
    size_t len = strlen(text);

    if (r->text_len + len + 1 > r->text_size) {
        r->text_size = 2 * (r->text_len + len + 1);
        r->text = realloc(r->text, r->text_size);
        assert_non_null(r->text);
    }
    memcpy(r->text + r->text_len, text, len + 1);
    r->text_len += len;
}

static void say_command(struct run *r, const struct resp_command *command)
{
    char text[512];

    say(r, "[");
    for (size_t i = 0; i < command->argc; i++) {
        say(r, i == 0 ? "" : "|");
        say(r, hf__printable(command->argv[i], text, sizeof(text)));
    }
    say(r, "]");
}

/* Parse what there is of the stream. It lies in memory of just its size, so that a sanitizer sees a byte too far. */
static void feed(struct run *r, const char *bytes, size_t len)
{
    char *copy = malloc(len - r->used);
    struct resp_command command;
    size_t at = 0, left = len - r->used;
    int64_t n = 1;

    assert_non_null(copy);
    memcpy(copy, bytes + r->used, left);
    while (!r->broken && n > 0 && at < left) {
        n = resp_next(&r->reader, copy + at, left - at, &command);
        assert_true(n <= (int64_t)(left - at));
        if (n > 0 && command.argc > 0)
            say_command(r, &command);
        r->broken = n < 0;
        at += n > 0 ? (size_t)n : 0;
    }
    if (r->broken) {
        say(r, "!");
        say(r, r->reader.error);
    }
    r->used += at;
    free(copy);
}

static void finish(struct run *r, size_t len)
{
    if (!r->broken && r->used < len)
        say(r, "...");
    resp_release(&r->reader);
}

static void assert_outcome(struct run *r, const struct stream *stream, const char *how, size_t where)
{
    char shown[128];

    if (strcmp(r->text ? r->text : "", stream->outcome) != 0)
        fail_msg("%s (%s, %zu) gave\n  %.300s\nexpected\n  %.300s",
                 hf__printable(hf__slice(stream->bytes, stream->len), shown, sizeof(shown)), how, where,
                 r->text ? r->text : "", stream->outcome);
    free(r->text);
}

static void check_whole(const struct stream *stream)
{
    struct run r = {0};

    if (stream->len > 0)
        feed(&r, stream->bytes, stream->len);
    finish(&r, stream->len);
    assert_outcome(&r, stream, "whole", 0);
}

static void check_cut_at(const struct stream *stream, size_t cut)
{
    struct run r = {0};

    if (cut > 0)
        feed(&r, stream->bytes, cut);
    if (!r.broken && cut < stream->len)
        feed(&r, stream->bytes, stream->len);
    finish(&r, stream->len);
    assert_outcome(&r, stream, "cut at", cut);
}

static void check_steps(const struct stream *stream, size_t step)
{
    struct run r = {0};

    for (size_t len = step; !r.broken && len < stream->len; len += step)
        feed(&r, stream->bytes, len);
    if (!r.broken && stream->len > 0)
        feed(&r, stream->bytes, stream->len);
    finish(&r, stream->len);
    assert_outcome(&r, stream, "in steps of", step);
}

static void check_every_way(const struct stream *stream)
{
    check_whole(stream);
    for (size_t cut = 0; cut <= stream->len; cut++)
        check_cut_at(stream, cut);
    for (size_t step = 1; step <= 7; step++)
        check_steps(stream, step);
}

/* ---- the table ---- */

#define BAD_COUNT "!invalid multibulk length"
#define BAD_LENGTH "!invalid bulk length"
#define BAD_LINE "!expected a line feed behind a carriage return"
#define BAD_END "!expected a line end behind an argument"
#define BAD_QUOTES "!unbalanced quotes in request"

static const struct stream streams[] = {
    /* arrays */
    S("", ""),
    S("*1\r\n$4\r\nPING\r\n", "[PING]"),
    S("*2\r\n$4\r\nECHO\r\n$0\r\n\r\n", "[ECHO|]"),
    S("*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nping\r\n", "[PING][ping]"),
    S("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$8\r\na\r\n*1\r\nb\r\n", "[SET|k|a\\x0d\\x0a*1\\x0d\\x0ab]"),
    S("*2\r\n$3\r\nGET\r\n$4\r\n\0\xff\x1b[\r\n", "[GET|\\x00\\xff\\x1b[]"),
    S("*0\r\n", ""),
    S("*-1\r\n", ""),
    S("*-10\r\n*1\r\n$1\r\na\r\n", "[a]"),
    S("*1\r\n$1\r\na\r\nb\r\n", "[a][b]"),
    /* beginnings */
    S("*", "..."),
    S("*1", "..."),
    S("*1\r", "..."),
    S("*3\r\n", "..."),
    S("*1\r\n$", "..."),
    S("*1\r\n$5\r\nPIN", "..."),
    S("*1\r\n$4\r\nPING", "..."),
    S("*1\r\n$4\r\nPING\r", "..."),
    S("*1\r\n$536870912\r\n", "..."),
    S("*1048576\r\n", "..."),
    S("*3\n$3", "..."), /* no carriage return has come */
    /* counts */
    S("*1048577\r\n", BAD_COUNT),
    S("*3000000000\r\n", BAD_COUNT),
    S("*2147483647\r\n", BAD_COUNT),
    S("*2147483648\r\n", BAD_COUNT),
    S("*4294967295\r\n", BAD_COUNT),
    S("*4294967296\r\n", BAD_COUNT),
    S("*9223372036854775807\r\n", BAD_COUNT),
    S("*9223372036854775808\r\n", BAD_COUNT),
    S("*18446744073709551616\r\n", BAD_COUNT),
    S("*99999999999999999999\r\n", BAD_COUNT),
    S("*\r\n", BAD_COUNT),
    S("*-\r\n", BAD_COUNT),
    S("*-0\r\n", BAD_COUNT),
    S("*+3\r\n", BAD_COUNT),
    S("*03\r\n", BAD_COUNT),
    S("* 3\r\n", BAD_COUNT),
    S("*3 \r\n", BAD_COUNT),
    S("*1\0\r\n", BAD_COUNT),
    S("*abc\r\n", BAD_COUNT),
    S("*?\r\n", BAD_COUNT),
    S("*3\n$3\r\nGET\r\n", BAD_COUNT),
    S("*3\r", "..."),
    S("*3\rx", BAD_LINE),
    S("*3\r\r\n", BAD_LINE),
    /* lengths */
    S("*1\r\n$-1\r\n", BAD_LENGTH),
    S("*1\r\n$-10\r\n", BAD_LENGTH),
    S("*1\r\n$-0\r\n", BAD_LENGTH),
    S("*1\r\n$+1\r\n", BAD_LENGTH),
    S("*1\r\n$04\r\n", BAD_LENGTH),
    S("*1\r\n$\r\n", BAD_LENGTH),
    S("*1\r\n$blabla\r\n", BAD_LENGTH),
    S("*1\r\n$?\r\n", BAD_LENGTH),
    S("*1\r\n$4\0\r\n", BAD_LENGTH),
    S("*1\r\n$536870913\r\n", BAD_LENGTH),
    S("*1\r\n$2000000000\r\n", BAD_LENGTH),
    S("*1\r\n$2147483647\r\n", BAD_LENGTH),
    S("*1\r\n$2147483648\r\n", BAD_LENGTH),
    S("*1\r\n$4294967295\r\n", BAD_LENGTH),
    S("*1\r\n$4294967296\r\n", BAD_LENGTH),
    S("*1\r\n$9223372036854775807\r\n", BAD_LENGTH),
    S("*1\r\n$9223372036854775808\r\n", BAD_LENGTH),
    S("*1\r\n$18446744073709551616\r\n", BAD_LENGTH),
    S("*2\r\n$3\r\nGET\r\n$-1\r\n", BAD_LENGTH),
    S("*1\r\n$4\rx", BAD_LINE),
    S("*1\r\n$5\r\nPING\r\n", "..."),
    S("*1\r\n$5\r\nPING\r\nx", BAD_END),
    S("*1\r\n$5\r\nfour\r\n*1\r\n", BAD_END),
    S("*1\r\n$5\r\nsixsix\r\n", BAD_END),
    S("*1\r\n$4\r\nPING\rx", BAD_END),
    S("*1\r\n$4\r\nPINGxx", BAD_END),
    /* types that no request has */
    S("*1\r\nfooz\r\n", "!expected '$', got 'f'"),
    S("*1\r\n:1\r\n", "!expected '$', got ':'"),
    S("*1\r\n*1\r\n$4\r\nPING\r\n", "!expected '$', got '*'"),
    S("*1\r\n%1\r\n", "!expected '$', got '%'"),
    S("*1\r\n~1\r\n", "!expected '$', got '~'"),
    S("*1\r\n>1\r\n", "!expected '$', got '>'"),
    S("*1\r\n|1\r\n", "!expected '$', got '|'"),
    S("*1\r\n(1\r\n", "!expected '$', got '('"),
    S("*1\r\n,1\r\n", "!expected '$', got ','"),
    S("*1\r\n#t\r\n", "!expected '$', got '#'"),
    S("*1\r\n_\r\n", "!expected '$', got '_'"),
    S("*1\r\n=4\r\n", "!expected '$', got '='"),
    S("*1\r\n!4\r\n", "!expected '$', got '!'"),
    S("*1\r\n\r\n", "!expected '$', got '\\x0d'"),
    S("*1\r\n\0", "!expected '$', got '\\x00'"),
    S("*1\r\n\xff", "!expected '$', got '\\xff'"),
    S("*1\r\n $4\r\n", "!expected '$', got ' '"),
    /* inline commands */
    S("\r\n", ""),
    S("\n", ""),
    S("\n\n\r\nPING\n", "[PING]"),
    S("\r", "..."),
    S("\rPING\n", "[PING]"),
    S("PING\r\n", "[PING]"),
    S("PING\n", "[PING]"),
    S("PING", "..."),
    S("  \t GET \t key \r\n", "[GET|key]"),
    S("SET k \"a b\"\r\n", "[SET|k|a b]"),
    S("SET k 'a b'\n", "[SET|k|a b]"),
    S("SET k \"\"\n", "[SET|k|]"),
    S("SET k ''\n", "[SET|k|]"),
    S("SET k \"\\x00\\xfF\\n\\r\\t\\b\\a\\q\\\"\"\n", "[SET|k|\\x00\\xff\\x0a\\x0d\\x09\\x08\\x07q\"]"),
    S("SET k \"\\xg1\"\n", "[SET|k|xg1]"),
    S("SET k 'it\\'s \\x41'\n", "[SET|k|it's \\x5cx41]"),
    S("SET k a\"b\"\n", "[SET|k|ab]"),
    S("SET k \"a\n", BAD_QUOTES),
    S("SET k 'a\n", BAD_QUOTES),
    S("SET k \"a\"b\n", BAD_QUOTES),
    S("SET k \"a\\\"\n", BAD_QUOTES),
    S("SET k \"a\\\n", BAD_QUOTES),
    S("SET k '\\'\n", BAD_QUOTES),
    S("\"\n", BAD_QUOTES),
    S("G\0T k\n", "[G\\x00T|k]"),
    S("\0\n", "[\\x00]"),
    S("$5\r\n", "[$5]"),
    S(":1\r\n", "[:1]"),
    S("PING\n*1\r\n$4\r\nPING\r\nPING\r\n", "[PING][PING][PING]"),
    S(" *1\r\n", "[*1]"),
    /* those who took the wrong door */
    S("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "[GET|/|HTTP/1.1][Host:|a]"),
    S("POST / HTTP/1.1\r\n", "[POST|/|HTTP/1.1]"),
    S("EHLO localhost\r\n", "[EHLO|localhost]"),
    S("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "..."),
};

static void test_resp__every_stream_gives_the_same_however_it_is_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(streams) / sizeof(streams[0]); i++)
        check_every_way(&streams[i]);
}

/* ---- limits ---- */

/* `len` times 'x' between two texts. */
static struct stream filled(const char *before, size_t len, const char *behind, const char *outcome)
{
    size_t n_before = strlen(before), n_behind = strlen(behind);
    char *bytes = malloc(n_before + len + n_behind);

    assert_non_null(bytes);
    memcpy(bytes, before, n_before);
    memset(bytes + n_before, 'x', len);
    memcpy(bytes + n_before + len, behind, n_behind);
    return (struct stream){.bytes = bytes, .len = n_before + len + n_behind, .outcome = outcome};
}

static void check_filled(struct stream stream)
{
    static const size_t steps[] = {1, 2, 1000, 4096, 65535, 65536, 65537};

    check_whole(&stream);
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
        check_steps(&stream, steps[i]);
    free((void *)stream.bytes);
}

static void test_resp__an_inline_command_may_have_64_kib_and_no_byte_more(void **state)
{
    (void)state;
    check_filled(filled("", RESP_INLINE_MAX - 1, "", "..."));
    check_filled(filled("", RESP_INLINE_MAX, "", "..."));
    check_filled(filled("#", 3, "\n", "[#xxx]"));
    check_filled(filled("", RESP_INLINE_MAX + 1, "", "!too big inline request"));
    check_filled(filled("", RESP_INLINE_MAX + 1, "\n", "!too big inline request"));
}

static void test_resp__an_inline_command_of_64_kib_is_run(void **state)
{
    struct stream stream = filled("", RESP_INLINE_MAX, "\n", "");
    struct resp_reader reader = {0};
    struct resp_command command;

    (void)state;
    assert_int_equal(resp_next(&reader, stream.bytes, stream.len, &command), (int64_t)stream.len);
    assert_int_equal(command.argv[0].len, RESP_INLINE_MAX);
    resp_release(&reader);
    free((void *)stream.bytes);
}

static void test_resp__a_line_that_tells_a_number_may_have_64_kib_and_no_byte_more(void **state)
{
    (void)state;
    check_filled(filled("*", RESP_INLINE_MAX - 2, "", "..."));
    check_filled(filled("*", RESP_INLINE_MAX - 2, "\r\n", BAD_COUNT));
    check_filled(filled("*", RESP_INLINE_MAX - 1, "\r\n", "!too big mbulk count string"));
    check_filled(filled("*1\r\n$", RESP_INLINE_MAX - 2, "\r\n", BAD_LENGTH));
    check_filled(filled("*1\r\n$", RESP_INLINE_MAX - 1, "", "!too big bulk count string"));
}

static int64_t parse(struct resp_reader *reader, const char *text)
{
    struct resp_command command;

    return resp_next(reader, text, strlen(text), &command);
}

static void test_resp__the_limits_of_a_reader_hold_at_their_edges(void **state)
{
    static const struct {
        const char *text;
        bool fits;
    } cases[] = {
        {"*9\r\n", true},        {"*10\r\n", true},        {"*11\r\n", false},
        {"*1\r\n$99\r\n", true}, {"*1\r\n$100\r\n", true}, {"*1\r\n$101\r\n", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct resp_reader reader = {.limits = {.args_max = 10, .bulk_max = 100}};

        assert_int_equal(parse(&reader, cases[i].text), cases[i].fits ? 0 : -1);
        resp_release(&reader);
    }
}

static void test_resp__a_claimed_length_allocates_nothing(void **state)
{
    struct resp_reader reader = {0};

    (void)state;
    assert_int_equal(parse(&reader, "*1048576\r\n$536870912\r\n"), 0);
    assert_int_equal(reader.capacity, 0);
    resp_release(&reader);
}

static void test_resp__what_an_argument_still_needs_is_known(void **state)
{
    const char *text = "*1\r\n$1000\r\nabc";
    struct resp_reader reader = {0};

    (void)state;
    assert_int_equal(parse(&reader, "*1\r\n$10"), 0);
    assert_int_equal(resp_wants(&reader, 7), 0);
    assert_int_equal(parse(&reader, text), 0);
    assert_int_equal(resp_wants(&reader, strlen(text)), 1000 + 2 - 3);
    resp_release(&reader);
}

static void test_resp__a_command_of_the_most_arguments_is_read_and_its_memory_given_back(void **state)
{
    size_t len = 0, size = 32 + 7 * (size_t)RESP_ARGS_MAX;
    char *text = malloc(size);
    struct resp_reader reader = {0};
    struct resp_command command;

    (void)state;
    assert_non_null(text);
    len = (size_t)snprintf(text, size, "*%u\r\n", RESP_ARGS_MAX);
    for (size_t i = 0; i < RESP_ARGS_MAX; i++, len += 7)
        memcpy(text + len, "$1\r\na\r\n", 7);
    assert_int_equal(resp_next(&reader, text, len, &command), (int64_t)len);
    assert_int_equal(command.argc, RESP_ARGS_MAX);
    resp_rest(&reader);
    assert_in_range(reader.capacity, 0, 64);
    assert_int_equal(parse(&reader, "*1\r\n$1\r\na\r\n"), 11);
    resp_release(&reader);
    free(text);
}

/* ---- random streams ---- */

static uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static size_t random_stream(uint64_t *seed, char *bytes, size_t max)
{
    static const char *const pieces[] = {"*1\r\n", "*2\r\n", "$1\r\n", "$3\r\n", "\r\n",   "\n",    "\r", "a",
                                         "abc",    "*",      "$",      "-1",     "0",      "99999", "\"", "'",
                                         " ",      "\\x4",   "PING",   "*0\r\n", "$0\r\n", "\t",    ":",  "_"};
    size_t n = next_random(seed) % 12, len = 0, piece_len;
    const char *piece;

    for (size_t i = 0; i < n; i++) {
        piece = pieces[next_random(seed) % (sizeof(pieces) / sizeof(pieces[0]))];
        piece_len = strlen(piece);
        if (len + piece_len > max)
            break;
        memcpy(bytes + len, piece, piece_len);
        len += piece_len;
    }
    if (len > 0 && next_random(seed) % 4 == 0)
        bytes[next_random(seed) % len] = (char)next_random(seed);
    return len;
}

/* Whatever the bytes are, the cuts make no difference. */
static void test_resp__random_streams_give_the_same_however_they_are_cut(void **state)
{
    const char *given = getenv("HOLDFAST_TEST_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL) * 2654435761u + 1, first = seed;
    struct stream stream;
    struct run r;
    char bytes[128];

    (void)state;
    print_message("seed %llu (HOLDFAST_TEST_SEED)\n", (unsigned long long)first);
    for (int i = 0; i < 20000; i++) {
        r = (struct run){0};
        stream = (struct stream){.bytes = bytes, .len = random_stream(&seed, bytes, sizeof(bytes))};
        if (stream.len > 0)
            feed(&r, bytes, stream.len);
        finish(&r, stream.len);
        stream.outcome = r.text ? r.text : "";
        check_steps(&stream, 1);
        check_cut_at(&stream, stream.len ? next_random(&seed) % stream.len : 0);
        free(r.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resp__every_stream_gives_the_same_however_it_is_cut),
        cmocka_unit_test(test_resp__an_inline_command_may_have_64_kib_and_no_byte_more),
        cmocka_unit_test(test_resp__an_inline_command_of_64_kib_is_run),
        cmocka_unit_test(test_resp__a_line_that_tells_a_number_may_have_64_kib_and_no_byte_more),
        cmocka_unit_test(test_resp__the_limits_of_a_reader_hold_at_their_edges),
        cmocka_unit_test(test_resp__a_claimed_length_allocates_nothing),
        cmocka_unit_test(test_resp__what_an_argument_still_needs_is_known),
        cmocka_unit_test(test_resp__a_command_of_the_most_arguments_is_read_and_its_memory_given_back),
        cmocka_unit_test(test_resp__random_streams_give_the_same_however_they_are_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
