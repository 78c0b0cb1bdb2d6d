/* The Prometheus text format, a line at a time. */
#include "exposition.h"

#include "utf8.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#define NUMBER_ROOM 40

static void add(struct exposition *e, const void *bytes, size_t len)
{
    if (!e->failed && hf__bytes_append(&e->text, bytes, len) != 0)
        e->failed = true;
}

static void add_text(struct exposition *e, const char *text)
{
    add(e, text, strlen(text));
}

/* HELP escapes the backslash and the line end; a label's value the quote, too. */
static void add_escaped(struct exposition *e, char c, bool in_label)
{
    if (c == '\n')
        add(e, "\\n", 2);
    else if (c == '\\')
        add(e, "\\\\", 2);
    else if (c == '"' && in_label)
        add(e, "\\\"", 2);
    else
        add(e, &c, 1);
}

void exposition_family(struct exposition *e, const char *name, const char *type, const char *help)
{
    e->family = name;
    add_text(e, "# HELP ");
    add_text(e, name);
    add_text(e, " ");
    for (; *help; help++)
        add_escaped(e, *help, false);
    add_text(e, "\n# TYPE ");
    add_text(e, name);
    add_text(e, " ");
    add_text(e, type);
    add_text(e, "\n");
}

/* ---- labels ---- */

/* Length of the UTF-8 sequence at the start of `bytes`; 0: there is none. Control characters but the line end count as none: nobody
 * could read them on a dashboard. */
static size_t sequence(struct hf_slice bytes)
{
    uint8_t first = *(const uint8_t *)bytes.data;

    return (first < 0x20 && first != '\n') || first == 0x7f ? 0 : cli_utf8_length(bytes.data, bytes.len);
}

static void add_value(struct exposition *e, struct hf_slice value)
{
    const uint8_t *p = value.data, *end = p + value.len;
    char hex[8];
    size_t n;

    while (p < end) {
        n = sequence(hf__slice(p, (size_t)(end - p)));
        if (n == 1) {
            add_escaped(e, (char)*p, true);
        } else if (n > 1) {
            add(e, p, n);
        } else {
            snprintf(hex, sizeof(hex), "\\\\x%02x", *p);
            add_text(e, hex);
            n = 1;
        }
        p += n;
    }
}

static void add_labels(struct exposition *e, const struct exposition_label *labels)
{
    const char *before = "{";

    for (; labels && labels->name; labels++, before = ",") {
        add_text(e, before);
        add_text(e, labels->name);
        add_text(e, "=\"");
        add_value(e, labels->value);
        add_text(e, "\"");
    }
    if (*before == ',')
        add_text(e, "}");
}

/* ---- samples ---- */

static void add_sample(struct exposition *e, const char *suffix, const struct exposition_label *labels,
                       const char *number)
{
    add_text(e, e->family);
    add_text(e, suffix);
    add_labels(e, labels);
    add_text(e, " ");
    add_text(e, number);
    add_text(e, "\n");
}

void exposition_integer(struct exposition *e, const char *suffix, const struct exposition_label *labels,
                        int64_t value)
{
    char number[NUMBER_ROOM];

    snprintf(number, sizeof(number), "%" PRId64, value);
    add_sample(e, suffix, labels, number);
}

void exposition_unsigned(struct exposition *e, const char *suffix, const struct exposition_label *labels,
                         uint64_t value)
{
    char number[NUMBER_ROOM];

    snprintf(number, sizeof(number), "%" PRIu64, value);
    add_sample(e, suffix, labels, number);
}

/* The format's own words for what C prints as "nan" and "inf". */
void exposition_double(struct exposition *e, const char *suffix, const struct exposition_label *labels,
                       double value)
{
    char number[NUMBER_ROOM];

    snprintf(number, sizeof(number), "%.17g", value);
    if (isnan(value))
        add_sample(e, suffix, labels, "NaN");
    else if (isinf(value))
        add_sample(e, suffix, labels, value > 0 ? "+Inf" : "-Inf");
    else
        add_sample(e, suffix, labels, number);
}

static void add_seconds(struct exposition *e, const char *suffix, const struct exposition_label *labels,
                        bool negative, uint64_t number, uint64_t per_second, int digits)
{
    char text[2 * NUMBER_ROOM];

    snprintf(text, sizeof(text), "%s%" PRIu64 ".%0*" PRIu64, negative ? "-" : "", number / per_second, digits,
             number % per_second);
    add_sample(e, suffix, labels, text);
}

void exposition_ms(struct exposition *e, const char *suffix, const struct exposition_label *labels, int64_t ms)
{
    add_seconds(e, suffix, labels, ms < 0, ms < 0 ? 0 - (uint64_t)ms : (uint64_t)ms, 1000, 3);
}

void exposition_ns(struct exposition *e, const char *suffix, const struct exposition_label *labels, uint64_t ns)
{
    add_seconds(e, suffix, labels, false, ns, 1000000000u, 9);
}

void exposition_release(struct exposition *e)
{
    hf__bytes_release(&e->text);
}
