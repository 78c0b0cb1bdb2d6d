/* Writing JSON. */
#include "json.h"

#include "base64.h"
#include "utf8.h"

#include <inttypes.h>
#include <string.h>

void cli_json_string(FILE *file, struct hf_slice text)
{
    const char *p = text.data, *end = p + text.len, *plain;

    putc('"', file);
    while (p < end) {
        for (plain = p; p < end && (unsigned char)*p >= 0x20 && *p != '"' && *p != '\\'; p++)
            ;
        if (p > plain)
            fwrite(plain, 1, (size_t)(p - plain), file);
        if (p == end)
            break;
        if (*p == '"' || *p == '\\')
            fprintf(file, "\\%c", *p);
        else
            fprintf(file, "\\u%04x", (unsigned)*p);
        p++;
    }
    putc('"', file);
}

static void begin_member(struct cli_json *json, const char *name, const char *suffix)
{
    if (json->has_member)
        putc(',', json->file);
    json->has_member = true;
    if (name)
        fprintf(json->file, "\"%s%s\":", name, suffix);
}

static void begin(struct cli_json *json, const char *name, char bracket)
{
    begin_member(json, name, "");
    putc(bracket, json->file);
    json->has_member = false;
}

static void end(struct cli_json *json, char bracket)
{
    putc(bracket, json->file);
    json->has_member = true;
}

void cli_json_begin(struct cli_json *json, const char *name)
{
    begin(json, name, '{');
}

void cli_json_end(struct cli_json *json)
{
    end(json, '}');
}

void cli_json_begin_array(struct cli_json *json, const char *name)
{
    begin(json, name, '[');
}

void cli_json_end_array(struct cli_json *json)
{
    end(json, ']');
}

void cli_json_end_line(struct cli_json *json)
{
    end(json, '}');
    putc('\n', json->file);
    json->has_member = false;
}

void cli_json_null(struct cli_json *json, const char *name)
{
    begin_member(json, name, "");
    fputs("null", json->file);
}

void cli_json_bool(struct cli_json *json, const char *name, bool value)
{
    begin_member(json, name, "");
    fputs(value ? "true" : "false", json->file);
}

void cli_json_int(struct cli_json *json, const char *name, int64_t value)
{
    begin_member(json, name, "");
    fprintf(json->file, "%" PRId64, value);
}

void cli_json_uint(struct cli_json *json, const char *name, uint64_t value)
{
    begin_member(json, name, "");
    fprintf(json->file, "%" PRIu64, value);
}

void cli_json_text(struct cli_json *json, const char *name, const char *value)
{
    cli_json_bytes(json, name, (struct hf_slice){.data = value, .len = strlen(value)});
}

void cli_json_bytes(struct cli_json *json, const char *name, struct hf_slice value)
{
    bool is_text = cli_is_text(value);

    begin_member(json, name, is_text ? "" : "_b64");
    if (is_text) {
        cli_json_string(json->file, value);
        return;
    }
    putc('"', json->file);
    cli_base64_write(json->file, value);
    putc('"', json->file);
}

void cli_json_record(struct cli_json *json, struct hf_slice key, const struct hf_slice *value, int64_t deadline_ms)
{
    cli_json_bytes(json, "key", key);
    if (value)
        cli_json_bytes(json, "value", *value);
    if (deadline_ms != 0)
        cli_json_int(json, "expires_at_ms", deadline_ms);
}

static void known(struct cli_json *json, const struct hf_result *result)
{
    cli_json_uint(json, "lsn", result->lsn);
    cli_json_bool(json, "durable", result->durable);
    cli_json_bool(json, "shared", result->shared);
    cli_json_bool(json, "pending", result->pending);
}

void cli_json_written(struct cli_json *json, const struct hf_result *result)
{
    known(json, result);
    cli_json_bool(json, "existed", result->existed);
}

const char *cli_origin_text(enum hf_origin origin)
{
    switch (origin) {
    case HF_ORIGIN_SHARED: return "shared";
    case HF_ORIGIN_LOCAL_VERIFIED: return "local verified";
    case HF_ORIGIN_LOCAL_UNVERIFIED: return "local unverified";
    case HF_ORIGIN_PENDING: return "pending";
    case HF_ORIGIN_NONE: break;
    }
    return "none";
}

void cli_json_origin(struct cli_json *json, const struct hf_result *result)
{
    cli_json_text(json, "origin", cli_origin_text(result->origin));
    known(json, result);
}
