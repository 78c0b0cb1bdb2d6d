/* Fuzz target: what `holdfast import` reads: a stream that arrives in pieces is cut into lines, and each line is a record or is refused with
 * a sentence. A record, written as export writes it, is read the same. */
#include "base64.h"
#include "cli.h"
#include "fuzz.h"
#include "input.h"
#include "json.h"
#include "record.h"
#include "utf8.h"

#include <errno.h>

/* ---- the input, in pieces ---- */

struct stream {
    struct fuzz_input in;
    size_t piece;
};

static ssize_t read_piece(void *ctx, void *buffer, size_t size)
{
    struct stream *stream = ctx;
    struct hf_slice piece = fuzz_piece(&stream->in, size < stream->piece ? size : stream->piece);

    if (piece.len > 0)
        memcpy(buffer, piece.data, piece.len);
    return (ssize_t)piece.len;
}

static bool has_input(void *ctx)
{
    (void)ctx;
    return true;
}

static bool is_wanted(void *ctx)
{
    (void)ctx;
    return true;
}

/* ---- a record ---- */

static void check_again(const struct cli_record *record)
{
    struct cli_record again;
    char problem[256], *text = NULL;
    size_t len = 0;
    FILE *file = open_memstream(&text, &len);
    struct cli_json json = {.file = file};

    if (!file)
        abort();
    cli_json_begin(&json, NULL);
    cli_json_record(&json, record->key, &record->value, record->deadline_ms);
    if (record->ttl_ms != 0)
        cli_json_int(&json, "ttl_ms", record->ttl_ms);
    cli_json_end_line(&json);
    fclose(file);
    text[--len] = '\0';
    FUZZ_REQUIRE(cli_record_parse(text, len, &again, problem, sizeof(problem)));
    FUZZ_REQUIRE(hf__slice_eq(record->key, again.key) && hf__slice_eq(record->value, again.value));
    FUZZ_REQUIRE(record->deadline_ms == again.deadline_ms && record->ttl_ms == again.ttl_ms);
    cli_record_release(&again);
    free(text);
}

/* The problem as the tool says it: one line, whatever the names in it are. */
static void check_said(const char *problem)
{
    char *text = NULL;
    size_t len = 0;
    struct cli cli = {.err = open_memstream(&text, &len)};

    if (!cli.err)
        abort();
    (void)cli_fail(&cli, CLI_USAGE, "input: line 1: %s", problem);
    fclose(cli.err);
    FUZZ_REQUIRE(len > 0 && text[len - 1] == '\n');
    text[len - 1] = '\0';
    fuzz_require_sentence(text);
    free(text);
}

static void check_line(const char *line, size_t len)
{
    char *copy = fuzz_text(line, len), problem[256] = "";
    struct cli_record record;

    if (cli_record_parse(copy, len, &record, problem, sizeof(problem))) {
        FUZZ_REQUIRE(record.deadline_ms >= 0 && record.ttl_ms >= 0 && !(record.deadline_ms && record.ttl_ms));
        check_again(&record);
        cli_record_release(&record);
    } else {
        check_said(problem);
    }
    free(copy);
}

static void check_lines(const uint8_t *data, size_t size, size_t piece)
{
    struct stream stream = {.in = {data, size}, .piece = piece};
    struct cli_loan loan = {.read = read_piece, .has_input = has_input, .is_wanted = is_wanted, .ctx = &stream};
    struct cli cli = {.loan = &loan};
    struct cli_lines lines = {.cli = &cli};
    struct fuzz_input in = {data, size};
    size_t len;
    char *line;

    while (in.left > 0) {
        struct hf_slice expected = fuzz_until(&in, '\n');

        FUZZ_REQUIRE(cli_lines_next(&lines, &line, &len) == 0);
        FUZZ_REQUIRE(hf__slice_eq(expected, hf__slice(line, len)) && line[len] == '\0');
        check_line(line, len);
    }
    FUZZ_REQUIRE(cli_lines_next(&lines, &line, &len) == 1 && lines.bytes == size);
    cli_lines_release(&lines);
}

/* ---- base64 ---- */

static void check_base64(const uint8_t *data, size_t size)
{
    uint8_t *bytes = malloc(cli_base64_room(size) + 1);
    char *text = NULL, *given = fuzz_text(data, size);
    size_t len, text_len = 0;
    FILE *file;

    if (cli_base64_read(given, size, bytes, &len)) {
        FUZZ_REQUIRE(len <= cli_base64_room(size));
        file = open_memstream(&text, &text_len);
        cli_base64_write(file, hf__slice(bytes, len));
        fclose(file);
        FUZZ_REQUIRE(text_len == size && memcmp(text, data, size) == 0);
    }
    free(text);
    free(given);
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    check_base64(data + 1, size - 1);
    check_lines(data + 1, size - 1, 1 + data[0] % 64);
    return 0;
}
