/* The parser of what clients send.
 *
 *     command := '*' number CRLF argument{number}  |  inline
 *     argument := '$' number CRLF byte{number} CRLF
 *     inline := words, quoted or not, LF
 *
 * Numbers are decimal, without '+' and leading zeros. The outcome does not depend on where the reads cut the stream: every limit
 * is one on the bytes from a line's beginning, whether its end has arrived or not. */
#include "resp.h"

#include "fail.h"

#include <stdio.h>
#include <stdlib.h>

#define PLACES_KEPT 64u      /* from one command to the next; more are given back */
#define NUMBER_DIGITS_MAX 19 /* of INT64_MAX */

struct line {
    const char *text;
    size_t len;  /* without its end */
    size_t next; /* where the next one begins, from the command's first byte on */
};

static int protocol_error(struct resp_reader *reader, const char *sentence)
{
    snprintf(reader->error, sizeof(reader->error), "%s", sentence);
    return -1;
}

/* ---- places ---- */

static int grow_places(struct resp_reader *reader)
{
    size_t capacity = reader->capacity ? 2 * reader->capacity : 8;
    struct resp_place *places = realloc(reader->places, capacity * sizeof(*places));
    struct hf_slice *argv;

    if (!places)
        return hf__fail(HF_ENOMEM, "out of memory: the places of %zu arguments", capacity);
    reader->places = places;
    argv = realloc(reader->argv, capacity * sizeof(*argv));
    if (!argv)
        return hf__fail(HF_ENOMEM, "out of memory: %zu arguments", capacity);
    reader->argv = argv;
    reader->capacity = capacity;
    return 0;
}

static int add_place(struct resp_reader *reader, size_t at, size_t len)
{
    int rc = reader->n_args < reader->capacity ? 0 : grow_places(reader);

    if (rc == 0)
        reader->places[reader->n_args++] = (struct resp_place){.at = at, .len = len};
    return rc;
}

static void forget_places(struct resp_reader *reader)
{
    free(reader->places);
    free(reader->argv);
    reader->places = NULL;
    reader->argv = NULL;
    reader->capacity = 0;
}

/* ---- the beginning and the end of a command ---- */

void resp_rest(struct resp_reader *reader)
{
    if (reader->at > 0)
        return;
    if (reader->capacity > PLACES_KEPT)
        forget_places(reader);
    if (reader->unquoted.capacity > 0)
        hf__bytes_release(&reader->unquoted);
}

/* The command takes `len` bytes; its arguments lie in `base`. */
static int64_t complete(struct resp_reader *reader, const void *base, size_t len, struct resp_command *ret_command)
{
    for (size_t i = 0; i < reader->n_args; i++)
        reader->argv[i] = hf__slice((const char *)base + reader->places[i].at, reader->places[i].len);
    *ret_command = (struct resp_command){.argc = reader->n_args, .argv = reader->argv};
    reader->at = 0;
    reader->n_args = 0;
    reader->in_array = false;
    return (int64_t)len;
}

/* ---- lines and numbers ---- */

/* The line from `reader->at` on, which ends with CRLF. Returns 1, 0 when its end has not arrived, or -1. */
static int next_line(struct resp_reader *reader, const char *bytes, size_t len, const char *too_long,
                     struct line *ret_line)
{
    const char *text = bytes + reader->at;
    size_t left = len - reader->at;
    const char *end = memchr(text, '\r', left < RESP_INLINE_MAX ? left : RESP_INLINE_MAX);

    if (!end)
        return left < RESP_INLINE_MAX ? 0 : protocol_error(reader, too_long);
    if ((size_t)(end - text) + 1 == left)
        return 0;
    if (end[1] != '\n')
        return protocol_error(reader, "expected a line feed behind a carriage return");
    ret_line->text = text;
    ret_line->len = (size_t)(end - text);
    ret_line->next = reader->at + ret_line->len + 2;
    return 1;
}

static bool read_number(const char *text, size_t len, int64_t *ret_number)
{
    bool negative = len > 0 && text[0] == '-';
    int64_t number = 0;

    text += negative;
    len -= negative;
    if (len == 0 || len > NUMBER_DIGITS_MAX || (text[0] == '0' && (len > 1 || negative)))
        return false;
    for (size_t i = 0; i < len; i++) {
        int digit = text[i] - '0';

        if (digit < 0 || digit > 9 || number > (INT64_MAX - digit) / 10)
            return false;
        number = 10 * number + digit;
    }
    *ret_number = negative ? -number : number;
    return true;
}

/* ---- arrays ---- */

/* "*3": 1 with n_expected set. */
static int read_count(struct resp_reader *reader, const char *bytes, size_t len)
{
    size_t max = reader->limits.args_max ? reader->limits.args_max : RESP_ARGS_MAX;
    struct line line;
    int64_t number;
    int rc = next_line(reader, bytes, len, "too big mbulk count string", &line);

    if (rc <= 0)
        return rc;
    if (!read_number(line.text + 1, line.len - 1, &number) || number > (int64_t)max)
        return protocol_error(reader, "invalid multibulk length");
    reader->n_expected = number > 0 ? (size_t)number : 0;
    reader->at = line.next;
    reader->in_array = true;
    return 1;
}

static int expected_dollar(struct resp_reader *reader, char found)
{
    char text[16];

    snprintf(reader->error, sizeof(reader->error), "expected '$', got '%s'",
             hf__printable(hf__slice(&found, 1), text, sizeof(text)));
    return -1;
}

/* "$5": 1 with bulk_len set. */
static int read_bulk_len(struct resp_reader *reader, const char *bytes, size_t len)
{
    size_t max = reader->limits.bulk_max ? reader->limits.bulk_max : RESP_BULK_MAX;
    struct line line;
    int64_t number;
    int rc;

    if (reader->at == len)
        return 0;
    if (bytes[reader->at] != '$')
        return expected_dollar(reader, bytes[reader->at]);
    rc = next_line(reader, bytes, len, "too big bulk count string", &line);
    if (rc <= 0)
        return rc;
    if (!read_number(line.text + 1, line.len - 1, &number) || number < 0 || number > (int64_t)max)
        return protocol_error(reader, "invalid bulk length");
    reader->bulk_len = (size_t)number;
    reader->at = line.next;
    reader->in_bulk = true;
    return 1;
}

/* The bytes and the line end behind them. */
static int read_bulk(struct resp_reader *reader, const char *bytes, size_t len)
{
    const char *end = bytes + reader->at + reader->bulk_len;
    int rc;

    if (len - reader->at < reader->bulk_len + 2)
        return 0;
    if (end[0] != '\r' || end[1] != '\n')
        return protocol_error(reader, "expected a line end behind an argument");
    rc = add_place(reader, reader->at, reader->bulk_len);
    if (rc != 0)
        return rc;
    reader->at += reader->bulk_len + 2;
    reader->in_bulk = false;
    return 1;
}

static int64_t next_of_array(struct resp_reader *reader, const char *bytes, size_t len,
                             struct resp_command *ret_command)
{
    int rc = reader->in_array ? 1 : read_count(reader, bytes, len);

    while (rc > 0 && reader->n_args < reader->n_expected) {
        if (!reader->in_bulk)
            rc = read_bulk_len(reader, bytes, len);
        if (rc > 0)
            rc = read_bulk(reader, bytes, len);
    }
    return rc > 0 ? complete(reader, bytes, reader->at, ret_command) : rc;
}

/* ---- inline commands ---- */

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

static char escaped(char c)
{
    static const char names[] = "nrtba", meanings[] = "\n\r\t\b\a";
    const char *name = c ? strchr(names, c) : NULL;

    return name ? meanings[name - names] : c;
}

/* One character of a quoted word, `*at` behind it afterwards. The line goes on behind `*at`. */
static char unquote_one(const char *text, size_t len, char quote, size_t *at)
{
    size_t i = *at;

    *at = i + 1;
    if (text[i] != '\\' || i + 1 >= len)
        return text[i];
    if (quote == '"' && text[i + 1] == 'x' && i + 3 < len && hex_digit(text[i + 2]) >= 0 &&
        hex_digit(text[i + 3]) >= 0) {
        *at = i + 4;
        return (char)(16 * hex_digit(text[i + 2]) + hex_digit(text[i + 3]));
    }
    if (quote == '\'' && text[i + 1] != '\'')
        return text[i];
    *at = i + 2;
    return quote == '\'' ? '\'' : escaped(text[i + 1]);
}

/* The rest of a word behind its opening quote: false when that is not closed, or closed within a word. */
static bool unquote(struct hf_bytes *out, const char *text, size_t len, size_t *at)
{
    char quote = text[*at];
    size_t i = *at + 1;

    while (i < len && text[i] != quote)
        out->bytes[out->len++] = (uint8_t)unquote_one(text, len, quote, &i);
    *at = i + 1;
    return i < len && (i + 1 == len || is_space(text[i + 1]));
}

/* Split a line into words, which go into reader->unquoted: there is room for the whole line, and no word grows. */
static int split(struct resp_reader *reader, const char *text, size_t len)
{
    struct hf_bytes *out = &reader->unquoted;
    size_t i = 0, start;
    int rc = hf__bytes_reserve(out, len);

    while (rc == 0) {
        while (i < len && is_space(text[i]))
            i++;
        if (i == len)
            break;
        start = out->len;
        while (i < len && !is_space(text[i])) {
            if (text[i] != '"' && text[i] != '\'')
                out->bytes[out->len++] = (uint8_t)text[i++];
            else if (!unquote(out, text, len, &i))
                return protocol_error(reader, "unbalanced quotes in request");
        }
        rc = add_place(reader, start, out->len - start);
    }
    return rc;
}

/* While no line feed has come, reader->at is how far it was looked for. */
static int64_t next_inline(struct resp_reader *reader, const char *bytes, size_t len,
                           struct resp_command *ret_command)
{
    size_t limit = len < RESP_INLINE_MAX + 1 ? len : RESP_INLINE_MAX + 1;
    const char *end = memchr(bytes + reader->at, '\n', limit - reader->at);
    int rc;

    if (!end) {
        reader->at = limit;
        return limit <= RESP_INLINE_MAX ? 0 : protocol_error(reader, "too big inline request");
    }
    rc = split(reader, bytes, (size_t)(end - bytes));
    return rc == 0 ? complete(reader, reader->unquoted.bytes, (size_t)(end - bytes) + 1, ret_command) : rc;
}

/* ---- the interface ---- */

int64_t resp_next(struct resp_reader *reader, const void *bytes, size_t len, struct resp_command *ret_command)
{
    const char *text = bytes;

    if (len == 0)
        return 0;
    resp_rest(reader);
    return text[0] == '*' ? next_of_array(reader, text, len, ret_command)
                          : next_inline(reader, text, len, ret_command);
}

size_t resp_wants(const struct resp_reader *reader, size_t len)
{
    size_t end = reader->at + reader->bulk_len + 2;

    return reader->in_bulk && end > len ? end - len : 0;
}

void resp_release(struct resp_reader *reader)
{
    forget_places(reader);
    hf__bytes_release(&reader->unquoted);
}
