/* Classifies Redis error texts by a table of their first words. */
#include "errors.h"

#include "bytes.h"

#include <stdarg.h>
#include <stdio.h>
#include <strings.h>

/* The first row whose text begins the error wins; anything else concerns the entry. */
static const struct row {
    const char *text;
    enum hf_shared_class class;
} rows[] = {
    {"LOADING", HF_SHARED_STATE},  /* the dataset is being read at start */
    {"BUSY ", HF_SHARED_STATE},    /* another's script runs; not BUSYKEY, BUSYGROUP */
    {"OOM", HF_SHARED_STATE},      /* maxmemory */
    {"READONLY", HF_SHARED_STATE}, /* a replica, after a failover */
    {"MISCONF", HF_SHARED_STATE},  /* it cannot persist */
    {"MASTERDOWN", HF_SHARED_STATE},
    {"CLUSTERDOWN", HF_SHARED_STATE},
    {"TRYAGAIN", HF_SHARED_STATE},
    {"NOREPLICAS", HF_SHARED_STATE},
    {"UNBLOCKED", HF_SHARED_STATE}, /* role changed under a waiting client */
    {"ERR max number of clients", HF_SHARED_STATE},
    {"ERR unknown command", HF_SHARED_STATE}, /* too old, or renamed: nothing is wrong with the entry */
    {"EXECABORT", HF_SHARED_RETRY},           /* a neighbour was refused when it was queued */
    {"NOAUTH", HF_SHARED_AUTH},
    {"WRONGPASS", HF_SHARED_AUTH},
    {"NOPERM", HF_SHARED_AUTH},
    {"ERR The user executing the script can't run", HF_SHARED_AUTH}, /* NOPERM from inside a script, in 7.0 */
    {"DENIED", HF_SHARED_AUTH},                                      /* protected mode */
    {"ERR AUTH", HF_SHARED_AUTH},                                    /* a password was sent and none is set */
    {"ERR invalid password", HF_SHARED_AUTH},
    {"ERR Protocol error", HF_SHARED_LINK},
    {"Protocol error", HF_SHARED_LINK},
    {"WRONGTYPE", HF_SHARED_ENTRY},
    {"ERR value is not an integer", HF_SHARED_ENTRY},
    {"ERR increment or decrement would overflow", HF_SHARED_ENTRY},
    {"ERR string exceeds maximum allowed size", HF_SHARED_ENTRY},
    {"ERR invalid expire time", HF_SHARED_ENTRY},
};

static bool begins(struct hf_slice s, const char *text)
{
    size_t n = strlen(text);

    return s.len >= n && strncasecmp(s.data, text, n) == 0;
}

/* What follows `mark` in `s`, or `s`. */
static struct hf_slice after(struct hf_slice s, const char *mark)
{
    const char *p = memmem(s.data, s.len, mark, strlen(mark));

    if (!p)
        return s;
    p += strlen(mark);
    return hf__slice(p, s.len - (size_t)(p - (const char *)s.data));
}

/* The error that made a script (Redis 6.2) or a transaction fail. */
static struct hf_slice cause(struct hf_slice s)
{
    if (begins(s, "ERR Error running script")) {
        struct hf_slice from, next = after(s, "): ");

        do {
            from = next;
            next = after(from, "@user_script: ");
        } while (next.len < from.len);
        from = after(from, ": ");
        return begins(from, "-") ? hf__slice((const char *)from.data + 1, from.len - 1) : from;
    }
    if (begins(s, "EXECABORT"))
        return after(s, "because of: ");
    return s;
}

static enum hf_shared_class class_of(struct hf_slice text)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (begins(text, rows[i].text))
            return rows[i].class;
    }
    return HF_SHARED_ENTRY;
}

/* Redis quotes arguments in some errors; they may be values or secrets. */
static size_t length_without_arguments(struct hf_slice text)
{
    const char *p = memmem(text.data, text.len, ", with args", 11);

    return p ? (size_t)(p - (const char *)text.data) : text.len;
}

void hf__redis_classify(struct hf_slice text, struct hf_shared_error *error)
{
    struct hf_slice why = cause(text);

    text.len = length_without_arguments(text);
    error->class = class_of(why);
    error->oom = begins(why, "OOM");
    if (text.len > 0)
        hf__printable(text, error->reason, sizeof(error->reason));
    else
        snprintf(error->reason, sizeof(error->reason), "an error without a text");
}

void hf__redis_error(struct hf_shared_error *error, enum hf_shared_class class, const char *format, ...)
{
    va_list args;

    error->class = class;
    error->oom = false;
    va_start(args, format);
    vsnprintf(error->reason, sizeof(error->reason), format, args);
    va_end(args);
}

bool hf__redis_is_unknown_command(struct hf_slice text)
{
    return begins(text, "ERR unknown command") || begins(text, "ERR unknown subcommand");
}

bool hf__redis_is_noscript(struct hf_slice text)
{
    return begins(text, "NOSCRIPT");
}

enum hf_shared_class hf__redis_worse(enum hf_shared_class a, enum hf_shared_class b)
{
    static const int gravity[] = {
        [HF_SHARED_OK] = 0,   [HF_SHARED_RETRY] = 1, [HF_SHARED_ENTRY] = 2, [HF_SHARED_STATE] = 3,
        [HF_SHARED_AUTH] = 4, [HF_SHARED_FENCE] = 5, [HF_SHARED_LINK] = 6,  [HF_SHARED_CHANGED] = 1,
    };

    return gravity[a] >= gravity[b] ? a : b;
}
