/* Writing the Prometheus text format 0.0.4: families with HELP and TYPE, samples with labels. Knows no metric.
 * https://prometheus.io/docs/instrumenting/exposition_formats/
 *
 * Call exposition_family() once for each name, and then all samples of that family. */
#ifndef SIDECAR_EXPOSITION_H
#define SIDECAR_EXPOSITION_H

#include "bytes.h"

#define EXPOSITION_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

struct exposition {
    struct hf_bytes text;
    bool failed;        /* there was no memory: the text is not whole */
    const char *family; /* under way */
};

/* A label; `value` may hold any bytes: what is no UTF-8 is shown as \xNN. A row without name ends a list of them. */
struct exposition_label {
    const char *name;
    struct hf_slice value;
};

/* `type`: "counter", "gauge" or "histogram". `name` and `help` stay until the end of the family. */
void exposition_family(struct exposition *e, const char *name, const char *type, const char *help);
/* A sample of the family under way. `suffix`: "", or "_bucket", "_sum", "_count" of a histogram. `labels` may be NULL. */
void exposition_integer(struct exposition *e, const char *suffix, const struct exposition_label *labels,
                        int64_t value);
void exposition_unsigned(struct exposition *e, const char *suffix, const struct exposition_label *labels,
                         uint64_t value);
/* NaN says that the value is not known. */
void exposition_double(struct exposition *e, const char *suffix, const struct exposition_label *labels,
                       double value);
/* Milliseconds or nanoseconds, written exactly as seconds. */
void exposition_ms(struct exposition *e, const char *suffix, const struct exposition_label *labels, int64_t ms);
void exposition_ns(struct exposition *e, const char *suffix, const struct exposition_label *labels, uint64_t ns);

void exposition_release(struct exposition *e);

#endif
