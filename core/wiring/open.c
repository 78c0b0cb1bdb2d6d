/* The one place where the engine meets the real parts: files, clock, LMDB, Redis. */
#include "bytes.h"
#include "fail.h"
#include "lmdb_tier.h"
#include "redis_tier.h"
#include "store.h"

#include <stdio.h>
#include <stdlib.h>

static int open_local(const char *dir, const struct hf_options *opts, struct hf_local_tier **ret_tier)
{
    struct hf_lmdb_options lmdb = {.map_bytes = opts->max_disk_bytes, .read_only = opts->read_only};

    return hf__lmdb_open(dir, &lmdb, ret_tier);
}

#define LOG_PREFIX_MAX 272 /* "_hf:", a namespace's prefix, ":log:" */

/* What tracking is to tell of: the namespaces that are shared and their change logs. "" is a namespace in any case, and covers
 * the rest. `text` has room for LOG_PREFIX_MAX bytes per namespace. Returns how many. */
static size_t shared_prefixes(const struct hf_options *opts, struct hf_slice *prefixes, char *text)
{
    bool named = false;
    size_t n = 0;

    for (size_t i = 0; i < opts->n_namespaces; i++) {
        const struct hf_namespace *ns = &opts->namespaces[i];
        struct hf_slice prefix = hf__slice_str(ns->prefix ? ns->prefix : "");
        named |= prefix.len == 0;
        if (ns->write_mode == HF_WRITE_LOCAL || prefix.len > 256)
            continue;
        prefixes[n++] = prefix;
        snprintf(text, LOG_PREFIX_MAX, "_hf:%s:log:", (const char *)prefix.data);
        prefixes[n++] = hf__slice_str(text);
        text += LOG_PREFIX_MAX;
    }
    if (!named)
        prefixes[n++] = hf__slice_str("");
    return n;
}

static int open_shared(const struct hf_options *opts, const char *node, struct hf_clock *clock,
                       struct hf_shared_tier **ret_tier)
{
    struct hf_slice *prefixes = calloc(2 * opts->n_namespaces + 1, sizeof(*prefixes));
    char *text = calloc(opts->n_namespaces + 1, LOG_PREFIX_MAX);
    struct hf_redis_options redis = {
        .address = opts->redis,
        .user = opts->redis_user,
        .password = opts->redis_password,
        .ca_file = opts->redis_ca_file,
        .node = node,
        .prefixes = prefixes,
        .n_prefixes = prefixes && text ? shared_prefixes(opts, prefixes, text) : 0,
        .connect_timeout_ms = opts->redis_connect_timeout_ms,
        .reply_timeout_ms = opts->redis_timeout_ms,
        .heartbeat_ms = opts->redis_heartbeat_ms,
    };
    int rc = prefixes && text ? hf__redis_new(&redis, clock, ret_tier)
                              : hf__fail(HF_ENOMEM, "out of memory: %zu namespaces", opts->n_namespaces);

    free(prefixes);
    free(text);
    return rc;
}

/* A bad address or unreadable authorities are told before a directory is made. */
static int check_shared(const struct hf_options *opts, struct hf_clock *clock)
{
    struct hf_shared_tier *tier;
    int rc;

    if (!opts || !opts->redis || !opts->redis[0] || opts->read_only)
        return 0;
    rc = open_shared(opts, "00000000000000000000000000000000", clock, &tier);
    if (rc == 0)
        tier->ops->stop(tier);
    return rc;
}

int hf_open(const char *dir, const struct hf_options *opts, struct hf **ret_store)
{
    struct hf_parts parts = {
        .fs = hf__file_layer_real(),
        .clock = hf__clock_real(),
        .open_local = open_local,
        .open_shared = open_shared,
    };

    int rc = check_shared(opts, parts.clock);

    return rc == 0 ? hf__store_open(dir, opts, &parts, ret_store) : rc;
}
