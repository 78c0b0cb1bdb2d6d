/* The one place where the engine meets the real parts: files, clock, LMDB, Redis. */
#include "fail.h"
#include "lmdb_tier.h"
#include "redis_tier.h"
#include "store.h"

static int open_local(const char *dir, const struct hf_options *opts, struct hf_local_tier **ret_tier)
{
    struct hf_lmdb_options lmdb = {.map_bytes = opts->max_disk_bytes, .read_only = opts->read_only};

    return hf__lmdb_open(dir, &lmdb, ret_tier);
}

static int open_shared(const struct hf_options *opts, const char *node, struct hf_clock *clock,
                       struct hf_shared_tier **ret_tier)
{
    struct hf_redis_options redis = {
        .address = opts->redis,
        .user = opts->redis_user,
        .password = opts->redis_password,
        .ca_file = opts->redis_ca_file,
        .node = node,
        .connect_timeout_ms = opts->redis_connect_timeout_ms,
        .reply_timeout_ms = opts->redis_timeout_ms,
        .heartbeat_ms = opts->redis_heartbeat_ms,
    };

    return hf__redis_new(&redis, clock, ret_tier);
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
