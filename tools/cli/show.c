/* Keys, values and times for the eye. */
#include "show.h"

#include "cli.h"
#include "utf8.h"

#include <inttypes.h>
#include <time.h>

#define DOTS 3 /* columns of "..." */

/* ---- bytes ---- */

/* What is shown for the next byte or character of some bytes. */
struct piece {
    char text[8];
    size_t len;     /* of text */
    size_t took;    /* bytes of the input */
    size_t columns; /* a character counts as one */
};

static struct piece next_piece(const unsigned char *p, size_t left)
{
    struct piece piece = {.columns = 1};
    size_t len = cli_utf8_length(p, left);
    bool control = len == 1 ? *p < 0x20 || *p == 0x7f : len == 2 && p[0] == 0xc2 && p[1] < 0xa0;

    if (len == 0 || control) {
        piece.len = piece.columns = (size_t)snprintf(piece.text, sizeof(piece.text), "\\x%02x", *p);
        piece.took = 1;
        return piece;
    }
    memcpy(piece.text, p, len);
    piece.len = piece.took = len;
    return piece;
}

/* Put what fits into `width` columns. `*ret_took` bytes were used; returns the columns used. `file` NULL: only count. */
static size_t put(FILE *file, struct hf_slice bytes, size_t width, size_t *ret_took)
{
    const unsigned char *p = bytes.data;
    size_t at = 0, columns = 0;

    while (at < bytes.len) {
        struct piece piece = next_piece(p + at, bytes.len - at);
        if (columns + piece.columns > width)
            break;
        if (file)
            fwrite(piece.text, 1, piece.len, file);
        at += piece.took;
        columns += piece.columns;
    }
    *ret_took = at;
    return columns;
}

void cli_put_visible(FILE *file, struct hf_slice bytes)
{
    size_t took;

    (void)put(file, bytes, SIZE_MAX, &took);
}

size_t cli_put_cut(FILE *file, struct hf_slice bytes, size_t width)
{
    size_t took;

    (void)put(NULL, bytes, width, &took);
    if (took == bytes.len)
        return put(file, bytes, width, &took);
    width = put(file, bytes, width - DOTS, &took);
    fputs("...", file);
    return width + DOTS;
}

void cli_pad(FILE *file, size_t used, size_t width)
{
    fprintf(file, "%*s", (int)(width - used), "");
}

void cli_put_cell(FILE *file, struct hf_slice bytes, size_t width)
{
    cli_pad(file, cli_put_cut(file, bytes, width), width);
}

/* ---- times ---- */

const char *cli_time(char *text, int64_t ms)
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm tm;
    size_t len = 0;

    if (ms > 0 && gmtime_r(&seconds, &tm))
        len = strftime(text, CLI_TIME_ROOM, "%Y-%m-%dT%H:%M:%S", &tm);
    if (len == 0)
        snprintf(text, CLI_TIME_ROOM, "unknown");
    else
        snprintf(text + len, CLI_TIME_ROOM - len, ".%03dZ", (int)(ms % 1000));
    return text;
}

const char *cli_time_about(char *text, int64_t ms, int64_t uncertainty_ms)
{
    size_t len = strlen(cli_time(text, ms));

    if (ms > 0)
        snprintf(text + len, CLI_TIME_ROOM - len, " +-%" PRId64 " ms", uncertainty_ms);
    return text;
}

/* ---- sides ---- */

size_t cli_put_side_cut(FILE *file, const struct hf_side *side, size_t width)
{
    char text[64];

    if (side->present && !side->too_long)
        return cli_put_cut(file, side->value, width);
    snprintf(text, sizeof(text), "(%zu bytes, not kept)", side->value.len);
    return cli_put_cut(file, cli_slice(side->present ? text : "(absent)"), width);
}

void cli_put_side(FILE *file, const struct hf_side *side)
{
    char made[CLI_TIME_ROOM], deadline[CLI_TIME_ROOM];

    cli_time_about(made, side->made_ms, side->uncertainty_ms);
    if (!side->present) {
        fprintf(file, "absent, made %s", made);
        return;
    }
    fprintf(file, "%zu byte%s%s, made %s, ", side->value.len, cli_plural(side->value.len, "", "s"),
            side->too_long ? " (not kept)" : "", made);
    if (side->deadline_ms != 0)
        fprintf(file, "expires %s", cli_time(deadline, side->deadline_ms));
    else
        fputs("no TTL", file);
}

/* ---- JSON ---- */

void cli_json_time(struct cli_json *json, const char *name, int64_t ms)
{
    if (ms != 0)
        cli_json_int(json, name, ms);
    else
        cli_json_null(json, name);
}

void cli_json_side(struct cli_json *json, const char *name, const struct hf_side *side, bool with_value)
{
    cli_json_begin(json, name);
    cli_json_bool(json, "present", side->present);
    cli_json_uint(json, "bytes", side->value.len);
    if (with_value)
        cli_json_bool(json, "too_long", side->too_long);
    if (with_value && side->present && !side->too_long)
        cli_json_bytes(json, "value", side->value);
    cli_json_time(json, "made_at_ms", side->made_ms);
    if (side->made_ms != 0)
        cli_json_int(json, "uncertainty_ms", side->uncertainty_ms);
    cli_json_time(json, "expires_at_ms", side->deadline_ms);
    cli_json_end(json);
}

/* "already applied" as "already_applied". */
static const char *outcome_name(char *name, size_t size, enum hf_outcome outcome)
{
    snprintf(name, size, "%s", hf_outcome_text(outcome));
    for (char *p = name; *p; p++) {
        if (*p == ' ')
            *p = '_';
    }
    return name;
}

void cli_json_outcome(struct cli_json *json, const char *name, enum hf_outcome outcome)
{
    char text[64];

    cli_json_text(json, name, outcome_name(text, sizeof(text), outcome));
}

void cli_json_outcomes(struct cli_json *json, const char *name, const uint64_t counts[HF_N_OUTCOMES])
{
    char text[64];

    cli_json_begin(json, name);
    for (int i = HF_OUTCOME_PENDING + 1; i < HF_N_OUTCOMES; i++)
        cli_json_uint(json, outcome_name(text, sizeof(text), (enum hf_outcome)i), counts[i]);
    cli_json_end(json);
}

/* ---- words ---- */

const char *cli_kind_text(enum hf_op_kind kind)
{
    switch (kind) {
    case HF_OP_SET: return "set";
    case HF_OP_DELETE: return "delete";
    case HF_OP_EXPIRE_AT: return "expire";
    case HF_OP_PERSIST: return "persist";
    case HF_OP_INCR: return "incr";
    }
    return "unknown";
}

const char *cli_winner_text(enum hf_winner winner)
{
    switch (winner) {
    case HF_WINNER_OURS: return "ours";
    case HF_WINNER_THEIRS: return "theirs";
    case HF_WINNER_MERGED: return "merged";
    }
    return "nobody";
}
