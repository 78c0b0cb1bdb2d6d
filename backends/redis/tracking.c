/* CLIENT TRACKING ON BCAST NOLOOP PREFIX p ..., and the push frames that follow from it:
 *
 *   > 2  "invalidate"  * n key ...     these keys were changed by others
 *   > 2  "invalidate"  null            FLUSHDB or FLUSHALL: all were
 *
 * Redis collects the names of one turn of its event loop and sends them at its end. For each key it knows only who
 * changed it last in that turn: with NOLOOP nothing is told where that was this connection. A script's writes are its
 * caller's. A key is told whatever database it was changed in: then the copy is compared for nothing. */
#include "tracking.h"

#include <stdlib.h>
#include <string.h>

#define TOLD_AT_ONCE 64u /* keys in one call of the handler */

/* ---- what to track ---- */

static int compare(const void *a, const void *b)
{
    return hf__slice_cmp(*(const struct hf_slice *)a, *(const struct hf_slice *)b);
}

size_t hf__tracking_cover(struct hf_slice *prefixes, size_t n)
{
    size_t n_left = 0;

    if (n > 0)
        qsort(prefixes, n, sizeof(*prefixes), compare);
    /* Whatever begins with a prefix follows it directly. */
    for (size_t i = 0; i < n; i++) {
        if (n_left == 0 || !hf__slice_starts_with(prefixes[i], prefixes[n_left - 1]))
            prefixes[n_left++] = prefixes[i];
    }
    return n_left;
}

bool hf__tracking_wanted(const struct hf__conn *conn)
{
    return conn->settings->track && conn->settings->n_prefixes > 0;
}

void hf__tracking_ask(const struct hf__conn *conn, struct hf__command_writer *w)
{
    const struct hf__conn_settings *settings = conn->settings;

    hf__command(w, 5 + 2 * settings->n_prefixes, "CLIENT");
    hf__arg_str(w, "TRACKING");
    hf__arg_str(w, "ON");
    hf__arg_str(w, "BCAST");
    hf__arg_str(w, "NOLOOP");
    for (size_t i = 0; i < settings->n_prefixes; i++) {
        hf__arg_str(w, "PREFIX");
        hf__arg(w, hf__slice(settings->prefixes[i].data, settings->prefixes[i].len));
    }
}

void hf__tracking_end(struct hf__command_writer *w)
{
    hf__command(w, 3, "CLIENT");
    hf__arg_str(w, "TRACKING");
    hf__arg_str(w, "OFF");
}

bool hf__tracking_accepted(const redisReply *reply)
{
    return hf__reply_is_text(reply, "OK");
}

/* ---- what is told ---- */

/* Of bookkeeping only the change logs are of use: that others have written to them. */
static bool is_of_no_use(struct hf_slice key)
{
    static const char log[] = ":log:";

    return hf__slice_starts_with(key, hf__slice_str("_hf:")) && !memmem(key.data, key.len, log, sizeof(log) - 1);
}

/* Keys from *at on, as many as are told at once; names of no use are passed over. */
static size_t next_keys(const redisReply *list, size_t *at, struct hf_slice *keys)
{
    size_t n = 0;

    for (; *at < list->elements && n < TOLD_AT_ONCE; (*at)++) {
        struct hf_slice key = hf__reply_text(list->element[*at]);
        if (key.len > 0 && !is_of_no_use(key))
            keys[n++] = key;
    }
    return n;
}

/* None left is not told: that would mean all. */
static void tell_keys(struct hf__conn *conn, const redisReply *list)
{
    uint64_t attempt = conn->attempt;
    struct hf_slice keys[TOLD_AT_ONCE];
    size_t at = 0, n;

    while (attempt == conn->attempt && (n = next_keys(list, &at, keys)) > 0)
        conn->events->invalidated(conn->ctx, keys, n);
}

/* Before `ready` nobody holds a copy as verified on this connection. What does not read as a list of keys is taken for
 * all of them. */
void hf__tracking_push(struct hf__conn *conn, const redisReply *push)
{
    bool invalidates = hf__reply_is_text(push->elements > 0 ? push->element[0] : NULL, "invalidate");
    const redisReply *list = push->elements > 1 ? push->element[1] : NULL;

    if (!invalidates || !conn->hello.tracking || conn->state != HF__CONN_READY)
        return;
    if (hf__reply_is_array(list, 0))
        tell_keys(conn, list);
    else
        conn->events->invalidated(conn->ctx, NULL, 0);
}
