/* Replies as bytes. */
#include "reply.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#define NUMBER_MAX 24       /* characters of a 64-bit number with its sign */
#define ERROR_LINE_MAX 1024 /* bytes of an error; what is longer is cut */

void reply_raw(struct reply *reply, const void *bytes, size_t len)
{
    if (!reply->failed && hf__bytes_append(&reply->bytes, bytes, len) != 0)
        reply->failed = true;
}

void reply_add(struct reply *reply, const struct reply *other)
{
    reply_raw(reply, other->bytes.bytes, other->bytes.len);
    reply->failed |= other->failed;
}

/* ---- lines ---- */

static size_t write_number(char *text, int64_t number)
{
    uint64_t left = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
    char digits[NUMBER_MAX];
    size_t n = 0, at = 0;

    do {
        digits[n++] = (char)('0' + left % 10);
        left /= 10;
    } while (left > 0);
    if (number < 0)
        text[at++] = '-';
    while (n > 0)
        text[at++] = digits[--n];
    return at;
}

/* A type, a number, and the line's end. */
static void number_line(struct reply *reply, char type, int64_t number)
{
    char line[NUMBER_MAX + 4];
    size_t len = 1;

    line[0] = type;
    len += write_number(line + 1, number);
    line[len++] = '\r';
    line[len++] = '\n';
    reply_raw(reply, line, len);
}

void reply_status(struct reply *reply, const char *text)
{
    reply_raw(reply, "+", 1);
    reply_raw(reply, text, strlen(text));
    reply_raw(reply, "\r\n", 2);
}

void reply_error(struct reply *reply, const char *format, ...)
{
    char line[ERROR_LINE_MAX];
    va_list args;

    va_start(args, format);
    vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    for (char *c = line; *c; c++)
        *c = *c == '\r' || *c == '\n' ? ' ' : *c;
    reply_raw(reply, "-", 1);
    reply_raw(reply, line, strlen(line));
    reply_raw(reply, "\r\n", 2);
}

void reply_integer(struct reply *reply, int64_t number)
{
    number_line(reply, ':', number);
}

/* ---- strings ---- */

void *reply_bulk_reserve(struct reply *reply, size_t len)
{
    uint8_t *place;

    number_line(reply, '$', (int64_t)len);
    if (!reply->failed && (len > SIZE_MAX - 2 || hf__bytes_reserve(&reply->bytes, len + 2) != 0))
        reply->failed = true;
    if (reply->failed)
        return NULL;
    place = reply->bytes.bytes + reply->bytes.len;
    memcpy(place + len, "\r\n", 2);
    reply->bytes.len += len + 2;
    return place;
}

void reply_bulk(struct reply *reply, struct hf_slice bytes)
{
    void *place = reply_bulk_reserve(reply, bytes.len);

    if (place && bytes.len > 0)
        memcpy(place, bytes.data, bytes.len);
}

void reply_text(struct reply *reply, const char *text)
{
    reply_bulk(reply, hf__slice_str(text));
}

void reply_verbatim(struct reply *reply, struct hf_slice text)
{
    if (reply->proto < 3) {
        reply_bulk(reply, text);
        return;
    }
    number_line(reply, '=', (int64_t)text.len + 4);
    reply_raw(reply, "txt:", 4);
    reply_raw(reply, text.data, text.len);
    reply_raw(reply, "\r\n", 2);
}

void reply_null(struct reply *reply)
{
    if (reply->proto < 3)
        reply_raw(reply, "$-1\r\n", 5);
    else
        reply_raw(reply, "_\r\n", 3);
}

void reply_null_array(struct reply *reply)
{
    if (reply->proto < 3)
        reply_raw(reply, "*-1\r\n", 5);
    else
        reply_raw(reply, "_\r\n", 3);
}

/* ---- other scalars ---- */

void reply_bool(struct reply *reply, bool yes)
{
    if (reply->proto < 3)
        reply_integer(reply, yes);
    else
        reply_raw(reply, yes ? "#t\r\n" : "#f\r\n", 4);
}

static const char *double_text(double number, char *text, size_t size)
{
    if (isnan(number))
        return "nan";
    if (isinf(number))
        return number > 0 ? "inf" : "-inf";
    snprintf(text, size, "%.17g", number);
    return text;
}

void reply_double(struct reply *reply, double number)
{
    char buffer[64];
    const char *text = double_text(number, buffer, sizeof(buffer));

    if (reply->proto < 3) {
        reply_text(reply, text);
        return;
    }
    reply_raw(reply, ",", 1);
    reply_raw(reply, text, strlen(text));
    reply_raw(reply, "\r\n", 2);
}

/* ---- collections ---- */

void reply_array(struct reply *reply, size_t n)
{
    number_line(reply, '*', (int64_t)n);
}

void reply_map(struct reply *reply, size_t n)
{
    if (reply->proto < 3)
        number_line(reply, '*', 2 * (int64_t)n);
    else
        number_line(reply, '%', (int64_t)n);
}

void reply_set(struct reply *reply, size_t n)
{
    number_line(reply, reply->proto < 3 ? '*' : '~', (int64_t)n);
}

void reply_push(struct reply *reply, size_t n)
{
    number_line(reply, reply->proto < 3 ? '*' : '>', (int64_t)n);
}

void reply_release(struct reply *reply)
{
    hf__bytes_release(&reply->bytes);
}
