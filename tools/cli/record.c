/* A record as a JSON line. */
#include "record.h"

#include "base64.h"
#include "utf8.h"

#include <cjson/cJSON.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define EXACT_DOUBLE_MAX 9007199254740992.0 /* 2^53: JSON numbers are doubles, whole ones are exact up to here */

struct problem {
    char *text;
    size_t size;
};

static bool refuse(struct problem *problem, const char *format, ...) __attribute__((format(printf, 2, 3)));

static bool refuse(struct problem *problem, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(problem->text, problem->size, format, args);
    va_end(args);
    return false;
}

/* ---- the line ---- */

/* "\u0000" as an escape, not as the text behind an escaped backslash. */
static bool has_nul_escape(const char *line)
{
    const char *p = line;

    while ((p = strchr(p, '\\')) != NULL) {
        if (strncmp(p + 1, "u0000", 5) == 0)
            return true;
        p += p[1] ? 2 : 1;
    }
    return false;
}

static bool parse_line(struct problem *problem, const char *line, size_t len, cJSON **ret_json)
{
    static const char hint[] = "bytes that are no text go into key_b64 and value_b64";
    const char *end = line;

    if (memchr(line, '\0', len) || has_nul_escape(line))
        return refuse(problem, "a JSON string cannot hold a NUL here: %s", hint);
    if (!cli_is_text((struct hf_slice){line, len}))
        return refuse(problem, "not valid UTF-8: %s", hint);
    *ret_json = cJSON_ParseWithLengthOpts(line, len + 1, &end, true);
    if (!*ret_json)
        return refuse(problem, "not valid JSON from column %zu on", (size_t)(end - line) + 1);
    if (!cJSON_IsObject(*ret_json))
        return refuse(problem, "expected a JSON object");
    return true;
}

/* ---- members ---- */

static bool take_string(struct problem *problem, const cJSON *value, struct hf_slice *into)
{
    if (into->data)
        return refuse(problem, "%s: given twice", value->string);
    if (!cJSON_IsString(value))
        return refuse(problem, "%s: expected a string", value->string);
    *into = (struct hf_slice){value->valuestring, strlen(value->valuestring)};
    return true;
}

static bool take_base64(struct problem *problem, const cJSON *value, struct hf_slice *into, void **bytes)
{
    struct hf_slice text = {0};
    size_t len;

    if (into->data)
        return refuse(problem, "%s: given twice", value->string);
    if (!take_string(problem, value, &text))
        return false;
    *bytes = malloc(cli_base64_room(text.len) + 1);
    if (!*bytes)
        return refuse(problem, "out of memory");
    if (!cli_base64_read(text.data, text.len, *bytes, &len))
        return refuse(problem, "%s: expected base64 with padding", value->string);
    *into = (struct hf_slice){*bytes, len};
    return true;
}

static bool take_ms(struct problem *problem, const cJSON *value, int64_t *into)
{
    double d = cJSON_IsNumber(value) ? value->valuedouble : 0;

    if (*into != 0)
        return refuse(problem, "%s: given twice", value->string);
    if (!(d >= 1 && d <= EXACT_DOUBLE_MAX) || d != (double)(int64_t)d)
        return refuse(problem, "%s: expected a whole number of milliseconds from 1 on", value->string);
    *into = (int64_t)d;
    return true;
}

static bool take_member(struct problem *problem, const cJSON *value, struct cli_record *record)
{
    const char *name = value->string;

    if (strcmp(name, "key") == 0)
        return take_string(problem, value, &record->key);
    if (strcmp(name, "key_b64") == 0)
        return take_base64(problem, value, &record->key, &record->key_bytes);
    if (strcmp(name, "value") == 0)
        return take_string(problem, value, &record->value);
    if (strcmp(name, "value_b64") == 0)
        return take_base64(problem, value, &record->value, &record->value_bytes);
    if (strcmp(name, "expires_at_ms") == 0)
        return take_ms(problem, value, &record->deadline_ms);
    if (strcmp(name, "ttl_ms") == 0)
        return take_ms(problem, value, &record->ttl_ms);
    return refuse(problem, "%.40s: unknown, expected key, key_b64, value, value_b64, expires_at_ms or ttl_ms",
                  name);
}

static bool take_all(struct problem *problem, struct cli_record *record)
{
    const cJSON *value;

    cJSON_ArrayForEach(value, record->json)
    {
        if (!take_member(problem, value, record))
            return false;
    }
    if (!record->key.data)
        return refuse(problem, "key: missing");
    if (!record->value.data)
        return refuse(problem, "value: missing");
    if (record->deadline_ms != 0 && record->ttl_ms != 0)
        return refuse(problem, "expires_at_ms and ttl_ms: expected only one of them");
    return true;
}

bool cli_record_parse(const char *line, size_t len, struct cli_record *ret_record, char *problem, size_t size)
{
    struct problem p = {.text = problem, .size = size};
    struct cli_record record = {0};

    if (!parse_line(&p, line, len, &record.json) || !take_all(&p, &record)) {
        cli_record_release(&record);
        return false;
    }
    *ret_record = record;
    return true;
}

void cli_record_release(struct cli_record *record)
{
    cJSON_Delete(record->json);
    free(record->key_bytes);
    free(record->value_bytes);
    *record = (struct cli_record){0};
}
