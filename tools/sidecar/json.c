/* JSON being written. */
#include "json.h"

#include "utf8.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static void add(struct json *json, const void *bytes, size_t len)
{
    if (!json->failed && hf__bytes_append(&json->text, bytes, len) != 0)
        json->failed = true;
}

/* What every value begins with. */
static void step(struct json *json)
{
    if (json->comes_next)
        add(json, ",", 1);
    json->comes_next = true;
}

void json_begin(struct json *json, char bracket)
{
    step(json);
    add(json, &bracket, 1);
    json->comes_next = false;
}

void json_end(struct json *json, char bracket)
{
    add(json, &bracket, 1);
    json->comes_next = true;
}

/* ---- numbers and words ---- */

static void add_word(struct json *json, const char *word)
{
    step(json);
    add(json, word, strlen(word));
}

void json_integer(struct json *json, int64_t number)
{
    char text[24];

    snprintf(text, sizeof(text), "%" PRId64, number);
    add_word(json, text);
}

void json_unsigned(struct json *json, uint64_t number)
{
    char text[24];

    snprintf(text, sizeof(text), "%" PRIu64, number);
    add_word(json, text);
}

void json_bool(struct json *json, bool yes)
{
    add_word(json, yes ? "true" : "false");
}

void json_null(struct json *json)
{
    add_word(json, "null");
}

/* ---- strings ---- */

/* '<' is escaped, too, so that no reader can take the text for markup. */
static void add_string(struct json *json, struct hf_slice text)
{
    const uint8_t *p = text.data;
    char escaped[8];

    add(json, "\"", 1);
    for (size_t i = 0; i < text.len; i++) {
        if (p[i] < 0x20 || p[i] == 0x7f || p[i] == '"' || p[i] == '\\' || p[i] == '<')
            add(json, escaped, (size_t)snprintf(escaped, sizeof(escaped), "\\u%04x", p[i]));
        else
            add(json, &p[i], 1);
    }
    add(json, "\"", 1);
}

static void add_hex(struct json *json, struct hf_slice bytes)
{
    const uint8_t *p = bytes.data;
    char digits[4];

    add(json, "{\"hex\":\"", 8);
    for (size_t i = 0; i < bytes.len; i++)
        add(json, digits, (size_t)snprintf(digits, sizeof(digits), "%02x", p[i]));
    add(json, "\"}", 2);
}

static bool is_utf8(struct hf_slice bytes)
{
    const char *p = bytes.data;
    size_t at = 0, n = 1;

    for (; at < bytes.len && n > 0; at += n)
        n = cli_utf8_length(p + at, bytes.len - at);
    return n > 0;
}

void json_bytes(struct json *json, struct hf_slice bytes)
{
    step(json);
    if (is_utf8(bytes))
        add_string(json, bytes);
    else
        add_hex(json, bytes);
}

void json_text(struct json *json, const char *text)
{
    json_bytes(json, hf__slice_str(text));
}

/* ---- members ---- */

void json_name(struct json *json, const char *name)
{
    json_text(json, name);
    add(json, ":", 1);
    json->comes_next = false;
}

void json_add_integer(struct json *json, const char *name, int64_t number)
{
    json_name(json, name);
    json_integer(json, number);
}

void json_add_unsigned(struct json *json, const char *name, uint64_t number)
{
    json_name(json, name);
    json_unsigned(json, number);
}

void json_add_bool(struct json *json, const char *name, bool yes)
{
    json_name(json, name);
    json_bool(json, yes);
}

void json_add_text(struct json *json, const char *name, const char *text)
{
    json_name(json, name);
    json_text(json, text);
}

void json_add_bytes(struct json *json, const char *name, struct hf_slice bytes)
{
    json_name(json, name);
    json_bytes(json, bytes);
}

/* ---- replies ---- */

/* The line behind the type; what follows begins at `*at`. */
static struct hf_slice take_line(struct hf_slice reply, size_t *at)
{
    const char *begin = (const char *)reply.data + *at + 1;
    const char *end = memchr(begin, '\r', reply.len - *at - 1);

    *at = (size_t)(end - (const char *)reply.data) + 2;
    return hf__slice(begin, (size_t)(end - begin));
}

static size_t elements(struct json *json, struct hf_slice reply, size_t at, long long n)
{
    for (long long i = 0; i < n; i++)
        at += json_reply(json, hf__slice((const char *)reply.data + at, reply.len - at));
    return at;
}

/* Names are texts. */
static size_t map(struct json *json, struct hf_slice reply, size_t at, long long n)
{
    json_begin(json, '{');
    for (long long i = 0; i < n; i++) {
        at = elements(json, reply, at, 1);
        add(json, ":", 1);
        json->comes_next = false;
        at = elements(json, reply, at, 1);
    }
    json_end(json, '}');
    return at;
}

static size_t array(struct json *json, struct hf_slice reply, size_t at, long long n)
{
    json_begin(json, '[');
    at = elements(json, reply, at, n);
    json_end(json, ']');
    return at;
}

size_t json_reply(struct json *json, struct hf_slice reply)
{
    size_t at = 0;
    struct hf_slice line = take_line(reply, &at);
    long long n = strtoll(line.data, NULL, 10); /* ends at the line's end */

    switch (*(const char *)reply.data) {
    case '%': return map(json, reply, at, n);
    case '*': return array(json, reply, at, n);
    case '$': json_bytes(json, hf__slice((const char *)reply.data + at, (size_t)n)); return at + (size_t)n + 2;
    case ':': json_integer(json, n); return at;
    case '#': json_bool(json, *(const char *)line.data == 't'); return at;
    case '_': json_null(json); return at;
    default: json_bytes(json, line); return at;
    }
}

void json_release(struct json *json)
{
    hf__bytes_release(&json->text);
}
