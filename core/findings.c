/* From facts to findings: one small function for each topic. What could not be learned is said to be unknown, never fine. */
#include "findings.h"

#include "bytes.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#define MEMORY_ADVICE_PERCENT 75
#define MEMORY_PROBLEM_PERCENT 90
#define OFFSET_ADVICE_MS 1000     /* machines that keep time by NTP are far nearer */
#define UNCERTAINTY_ADVICE_MS 100 /* half of a round trip that a local network never takes */
#define JUMP_ADVICE_MS 1000
#define PENDING_ADVICE_MS (60 * 60 * 1000)

/* The finding being put together. */
struct report {
    const struct hf_doctor_facts *facts;
    int (*each)(void *ctx, const struct hf_finding *finding);
    void *ctx;
    char found[256], advice[384];
};

static void found(struct report *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
static int tell(struct report *r, enum hf_finding_level level, const char *topic, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static void found(struct report *r, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(r->found, sizeof(r->found), format, args);
    va_end(args);
}

/* Hand out what was found, with this advice. */
static int tell(struct report *r, enum hf_finding_level level, const char *topic, const char *format, ...)
{
    struct hf_finding finding = {.level = level, .topic = topic, .found = r->found, .advice = r->advice};
    va_list args;

    va_start(args, format);
    vsnprintf(r->advice, sizeof(r->advice), format, args);
    va_end(args);
    return r->each(r->ctx, &finding);
}

static int tell_ok(struct report *r, const char *topic)
{
    return tell(r, HF_FINDING_OK, topic, "%s", "");
}

static int tell_unknown(struct report *r, const char *topic, const char *why)
{
    found(r, "%s", why);
    return tell(r, HF_FINDING_UNKNOWN, topic, "%s", "");
}

/* "1.5 GiB"; whole bytes below 1 KiB. */
static const char *size_text(uint64_t bytes, char text[24])
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = (double)bytes / 1024;
    size_t i = 0;

    if (bytes < 1024) {
        snprintf(text, 24, "%" PRIu64 " bytes", bytes);
        return text;
    }
    for (; value >= 1024 && i + 1 < sizeof(units) / sizeof(units[0]); i++)
        value /= 1024;
    snprintf(text, 24, "%.1f %s", value, units[i]);
    return text;
}

static const char *plural(uint64_t n)
{
    return n == 1 ? "" : "s";
}

/* ---- the link ---- */

static int link_finding(struct report *r)
{
    const struct hf_status *s = &r->facts->status;

    if (s->read_only)
        return tell_unknown(r, "shared tier", "the store was opened for reading only: Redis was not asked");
    if (!r->facts->has_shared_tier) {
        found(r, "none: this store shares nothing");
        return tell_ok(r, "shared tier");
    }
    if (s->link == HF_LINK_HELD && s->look_only &&
        r->facts->asked) { /* held by whoever looks, and by nothing else */
        found(r, "reached; opened only to look: nothing is sent");
        return tell_ok(r, "shared tier");
    }
    found(r, "%s%s%s", hf_link_text(s->link), s->link_reason[0] ? ": " : "", s->link_reason);
    switch (s->link) {
    case HF_LINK_HELD:
        return tell(r, HF_FINDING_PROBLEM, "shared tier",
                    "nothing is sent until the reason is gone; writes are kept here meanwhile");
    case HF_LINK_OFFLINE:
        return tell(r, HF_FINDING_PROBLEM, "shared tier",
                    "the server is tried again by itself; writes are kept here meanwhile");
    case HF_LINK_CONNECTING: return tell(r, HF_FINDING_UNKNOWN, "shared tier", "ask again in a second");
    default: return tell_ok(r, "shared tier");
    }
}

/* Server topics that need an answer say nothing more than this one when there was none. */
static int asked_finding(struct report *r)
{
    if (!r->facts->has_shared_tier || r->facts->asked)
        return 0;
    found(r, "not asked: %s", r->facts->why_not);
    return tell(r, HF_FINDING_UNKNOWN, "server", "ask again when the shared tier is reachable");
}

/* ---- the server ---- */

static int version_finding(struct report *r)
{
    const char *version = r->facts->shared.version;
    unsigned major, minor;

    found(r, "%s", version[0] ? version : "not told");
    if (sscanf(version, "%u.%u", &major, &minor) != 2)
        return tell(r, HF_FINDING_UNKNOWN, "server version", "Redis 6.2 or newer, or Valkey, is needed");
    if (major < 6 || (major == 6 && minor < 2))
        return tell(r, HF_FINDING_PROBLEM, "server version", "Redis 6.2 or newer, or Valkey, is needed");
    if (major == 7 && minor == 0)
        return tell_ok(r, "server version");
    return tell(r, HF_FINDING_ADVICE, "server version",
                "Holdfast's tests run with 7.0; run them with your version before you rely on it");
}

static int role_finding(struct report *r)
{
    const struct hf_shared_facts *s = &r->facts->shared;

    found(r, "%s", !s->has_info ? "master, by the handshake" : s->role);
    if (s->loading) {
        found(r, "%s, loading its data", s->role);
        return tell(r, HF_FINDING_ADVICE, "role", "wait until it has loaded");
    }
    if (s->has_info && strcmp(s->role, "master") != 0)
        return tell(r, HF_FINDING_PROBLEM, "role", "a replica takes no writes: connect to its master");
    return tell_ok(r, "role");
}

static const char no_info[] = "INFO was not answered";

static int eviction_finding(struct report *r)
{
    const struct hf_shared_facts *s = &r->facts->shared;
    bool all = strncmp(s->eviction_policy, "allkeys", 7) == 0;

    if (!s->has_info)
        return tell_unknown(r, "eviction policy", no_info);
    found(r, "%s%s, %" PRIu64 " key%s evicted since the server started", s->eviction_policy,
          s->max_memory_bytes == 0 ? " (without effect while maxmemory is 0)" : "", s->evicted_keys,
          plural(s->evicted_keys));
    if (strcmp(s->eviction_policy, "noeviction") == 0)
        return tell_ok(r, "eviction policy");
    return tell(r, all && s->max_memory_bytes > 0 ? HF_FINDING_PROBLEM : HF_FINDING_ADVICE, "eviction policy",
                "an evicted key that only Redis holds is gone%s: CONFIG SET maxmemory-policy noeviction",
                all ? ", and so is the bookkeeping by which losses are noticed" : "");
}

static int append_finding(struct report *r)
{
    const struct hf_shared_facts *s = &r->facts->shared;

    if (!s->has_config)
        return tell_unknown(r, "persistence", "append-only file; how it is synced was not told");
    if (strcmp(s->append_fsync, "always") == 0) {
        found(r, "append-only file, synced always: a crash of the server loses nothing acknowledged");
        return tell_ok(r, "persistence");
    }
    if (strcmp(s->append_fsync, "everysec") == 0) {
        found(r, "append-only file, synced every second: a power cut there can lose the last two seconds");
        return tell_ok(r, "persistence");
    }
    found(r, "append-only file, synced when the kernel likes: a power cut there can lose half a minute");
    return tell(r, HF_FINDING_ADVICE, "persistence", "CONFIG SET appendfsync everysec");
}

static int snapshots_finding(struct report *r)
{
    const struct hf_shared_facts *s = &r->facts->shared;

    if (!s->has_config) {
        found(r, "no append-only file; whether there are snapshots was not told");
        return tell(r, HF_FINDING_ADVICE, "persistence", "CONFIG SET appendonly yes, and appendfsync everysec");
    }
    if (s->save_points[0]) {
        found(r, "snapshots only (%s): a crash loses what came after the last one, %" PRId64 " changes now",
              s->save_points, s->rdb_changes_since_save);
        return tell(r, HF_FINDING_ADVICE, "persistence", "CONFIG SET appendonly yes, and appendfsync everysec");
    }
    found(r, "none: a restart loses everything");
    return tell(r, HF_FINDING_PROBLEM, "persistence", "CONFIG SET appendonly yes, and appendfsync everysec");
}

static int persistence_finding(struct report *r)
{
    const struct hf_shared_facts *s = &r->facts->shared;

    if (!s->has_info)
        return tell_unknown(r, "persistence", no_info);
    return s->aof_enabled ? append_finding(r) : snapshots_finding(r);
}

static int last_save_finding(struct report *r)
{
    const struct hf_shared_facts *s = &r->facts->shared;

    if (!s->has_info)
        return 0; /* said for persistence */
    found(r, "snapshot %s, append-only file %s", s->rdb_status, s->aof_status);
    if (strcmp(s->rdb_status, "ok") == 0 && strcmp(s->aof_status, "ok") == 0)
        return tell_ok(r, "last save");
    return tell(r, HF_FINDING_PROBLEM, "last save",
                "the server cannot write to its disk and may refuse writes: look at its log and its disk space");
}

static int replicas_finding(struct report *r)
{
    const struct hf_shared_facts *s = &r->facts->shared;

    if (!s->has_info)
        return tell_unknown(r, "replicas", no_info);
    found(r, "%" PRIu64 "%s", s->connected_replicas,
          s->connected_replicas > 0 ? "; a failover can lose the last writes, for replicas follow behind" : "");
    if (s->connected_replicas > 0)
        return tell_ok(r, "replicas");
    return tell(r, HF_FINDING_ADVICE, "replicas",
                "nothing takes over when this server is lost; a replica and Sentinel do");
}

static int memory_finding(struct report *r)
{
    const struct hf_shared_facts *s = &r->facts->shared;
    char used[24], max[24];
    double percent;

    if (!s->has_info)
        return tell_unknown(r, "memory", no_info);
    size_text(s->used_memory_bytes, used);
    if (s->max_memory_bytes == 0) {
        found(r, "%s used, no maxmemory", used);
        return tell(
            r, HF_FINDING_ADVICE, "memory",
            "set maxmemory below the machine's memory: a refused write waits here, a killed server does not");
    }
    percent = (double)s->used_memory_bytes * 100 / (double)s->max_memory_bytes;
    found(r, "%s used of %s (%.0f %%)", used, size_text(s->max_memory_bytes, max), percent);
    if (percent < MEMORY_ADVICE_PERCENT)
        return tell_ok(r, "memory");
    return tell(r, percent < MEMORY_PROBLEM_PERCENT ? HF_FINDING_ADVICE : HF_FINDING_PROBLEM, "memory",
                "writes are refused at maxmemory and wait here: raise it, or remove data");
}

static int value_size_finding(struct report *r)
{
    const struct hf_shared_facts *s = &r->facts->shared;
    char theirs[24], ours[24];

    if (!s->has_config)
        return tell_unknown(r, "value size", "CONFIG GET was not answered");
    found(r, "the server takes %s, the store %s", size_text(s->max_value_bytes, theirs),
          size_text(r->facts->max_value_bytes, ours));
    if (s->max_value_bytes >= r->facts->max_value_bytes)
        return tell_ok(r, "value size");
    return tell(r, HF_FINDING_PROBLEM, "value size",
                "the server breaks the connection at longer values: CONFIG SET proto-max-bulk-len %" PRIu64
                ", or a smaller max_value",
                r->facts->max_value_bytes);
}

/* ---- rights ---- */

static int right_finding(struct report *r, bool may, const char *topic, enum hf_finding_level level,
                         const char *rule, const char *why)
{
    const char *user = r->facts->shared.user;

    found(r, "%s", may ? "permitted" : "not permitted");
    if (may)
        return tell_ok(r, topic);
    return tell(r, level, topic, "%s: ACL SETUSER %s %s", why, user[0] ? user : "<user>", rule);
}

static int scripts_finding(struct report *r)
{
    return right_finding(
        r, r->facts->shared.may_run_scripts, "right to run scripts", HF_FINDING_PROBLEM, "+eval +evalsha",
        "increments, batches and what Redis decides need scripts, and comparing is faster with them");
}

static int tracking_finding(struct report *r)
{
    return right_finding(r, r->facts->shared.may_track, "right to track keys", HF_FINDING_ADVICE,
                         "+client|tracking", "without it changes by others are seen late");
}

static int info_finding(struct report *r)
{
    return right_finding(r, r->facts->shared.may_read_info, "right to read INFO", HF_FINDING_ADVICE, "+info",
                         "a restarted server cannot be told from a flushed one without it");
}

static int config_finding(struct report *r)
{
    return right_finding(r, r->facts->shared.may_read_config, "right to read settings", HF_FINDING_ADVICE,
                         "+config|get", "persistence and limits cannot be examined without it");
}

/* ---- time ---- */

static int time_finding(struct report *r)
{
    int64_t ahead = r->facts->wall_ahead_ms;

    if (r->facts->status.time_unknown) {
        found(r,
              "not known: the machine started with a clock behind what the store has seen, and Redis has not told");
        return tell(r, HF_FINDING_PROBLEM, "time",
                    "keys with a TTL are flagged or hidden, and nothing is shared, until Redis is reachable or the "
                    "machine's clock is set");
    }
    found(r, "the machine's clock is %" PRId64 " ms %s the store's", ahead < 0 ? -ahead : ahead,
          ahead < 0 ? "behind" : "ahead of");
    if (ahead > -JUMP_ADVICE_MS && ahead < JUMP_ADVICE_MS)
        return tell_ok(r, "time");
    return tell(r, HF_FINDING_ADVICE, "time",
                "it was set since the store was opened, or the store had seen a later time; TTLs are not affected");
}

static int redis_clock_finding(struct report *r)
{
    const struct hf_status *s = &r->facts->status;
    int64_t offset = s->clock_offset_ms;

    if (s->time_unknown)
        return 0; /* there is nothing to compare it with */
    if (!s->clock_known)
        return tell_unknown(r, "Redis's clock", "not measured yet");
    found(r, "%" PRId64 " ms %s the store's, known to %" PRId64 " ms", offset < 0 ? -offset : offset,
          offset < 0 ? "behind" : "ahead of", s->clock_uncertainty_ms);
    if (s->clock_uncertainty_ms > UNCERTAINTY_ADVICE_MS)
        return tell(r, HF_FINDING_ADVICE, "Redis's clock",
                    "writes of two nodes nearer than that are ambiguous: look for what delays answers");
    if (offset <= -OFFSET_ADVICE_MS || offset >= OFFSET_ADVICE_MS)
        return tell(r, HF_FINDING_ADVICE, "Redis's clock",
                    "the offset is reckoned with, but one of the clocks is wrong: keep both by NTP");
    if (s->clock_jumps == 0)
        return tell_ok(r, "Redis's clock");
    found(r, "stepped %" PRIu64 " time%s since the store was opened", s->clock_jumps, plural(s->clock_jumps));
    return tell(
        r, HF_FINDING_ADVICE, "Redis's clock",
        "times of writes from before and after a step do not compare, and TTLs there change with it: keep it "
        "by NTP, and see that the address leads to one server");
}

/* ---- the store ---- */

static int local_tier_finding(struct report *r)
{
    const struct hf_status *s = &r->facts->status;
    double percent = s->max_disk_bytes ? (double)s->disk_used_bytes * 100 / (double)s->max_disk_bytes : 0;
    char used[24], max[24];

    found(r, "%s used of max_disk %s (%.0f %%)", size_text(s->disk_used_bytes, used),
          size_text(s->max_disk_bytes, max), percent);
    if (percent < MEMORY_ADVICE_PERCENT)
        return tell_ok(r, "local tier");
    return tell(r, percent < MEMORY_PROBLEM_PERCENT ? HF_FINDING_ADVICE : HF_FINDING_PROBLEM, "local tier",
                "raise max_disk and open the store again");
}

/* What the store may still take: the rest of the map, and the journal growing by as much as it has now. */
static uint64_t disk_wanted(const struct hf_doctor_facts *facts)
{
    const struct hf_status *s = &facts->status;
    uint64_t rest = s->max_disk_bytes > s->disk_used_bytes ? s->max_disk_bytes - s->disk_used_bytes : 0;

    return rest + (s->journal_bytes > 2 * facts->segment_bytes ? s->journal_bytes : 2 * facts->segment_bytes);
}

static int disk_space_finding(struct report *r)
{
    uint64_t wanted = disk_wanted(r->facts);
    char free_text[24], wanted_text[24];

    if (!r->facts->disk_known)
        return tell_unknown(r, "disk space", "the file system did not tell");
    found(r, "%s free, the store may grow by %s", size_text(r->facts->free_bytes, free_text),
          size_text(wanted, wanted_text));
    if (r->facts->free_bytes >= wanted)
        return tell_ok(r, "disk space");
    if (r->facts->free_bytes < 2 * r->facts->segment_bytes)
        return tell(r, HF_FINDING_PROBLEM, "disk space",
                    "writes will be refused as soon as the journal needs a segment: make room");
    return tell(r, HF_FINDING_ADVICE, "disk space", "make room, or lower max_disk to what there is");
}

static int modes_finding(struct report *r)
{
    const struct hf_doctor_facts *f = r->facts;

    if (f->dir_mode == 0)
        return tell_unknown(r, "permissions", "the directory could not be examined");
    if (f->n_open_files > 0)
        found(r, "directory %04o, '%s' %04o, %" PRIu64 " such file%s", f->dir_mode, f->open_file, f->open_file_mode,
              f->n_open_files, plural(f->n_open_files));
    else
        found(r, "directory %04o, no file is open to others", f->dir_mode);
    if ((f->dir_mode & 077) == 0 && f->n_open_files == 0)
        return tell_ok(r, "permissions");
    return tell(r, HF_FINDING_ADVICE, "permissions",
                "others can read what the store holds: chmod 700 directories, chmod 600 files");
}

static int journal_finding(struct report *r)
{
    const struct hf_status *s = &r->facts->status;

    if (s->stopped) {
        found(r, "stopped: a sync failed, and nothing is acknowledged");
        return tell(r, HF_FINDING_PROBLEM, "journal", "examine the disk, then open the store again");
    }
    found(r, "%" PRIu64 " segment%s, %" PRIu64 " quarantined", s->journal_segments, plural(s->journal_segments),
          s->quarantined);
    if (s->quarantined == 0)
        return tell_ok(r, "journal");
    return tell(
        r, HF_FINDING_PROBLEM, "journal",
        "the disk damaged the journal: examine the disk, and look at `holdfast journal verify` and the files in "
        "'quarantine'");
}

static int durability_finding(struct report *r)
{
    if (r->facts->durability == HF_DURABILITY_ALWAYS) {
        found(r, "always");
        return tell_ok(r, "durability");
    }
    if (r->facts->durability == HF_DURABILITY_INTERVAL)
        found(r, "interval: a power cut may take the last %d ms", r->facts->sync_interval_ms);
    else
        found(r, "none: a power cut may take what came after the last checkpoint");
    return tell(r, HF_FINDING_ADVICE, "durability", "durability `always` keeps every acknowledged write");
}

/* ---- what waits for Redis, or for the operator ---- */

static int pending_finding(struct report *r)
{
    const struct hf_status *s = &r->facts->status;

    found(r, "%" PRIu64 " key%s", s->pending_keys, plural(s->pending_keys));
    if (s->pending_keys > 0)
        found(r, "%" PRIu64 " key%s, the oldest change %" PRId64 " s old", s->pending_keys, plural(s->pending_keys),
              s->oldest_pending_ms / 1000);
    if (s->paused)
        return tell(r, HF_FINDING_ADVICE, "pending", "sending was paused by an operator: resume it");
    if (s->pending_keys == 0 || s->oldest_pending_ms < PENDING_ADVICE_MS)
        return tell_ok(r, "pending");
    return tell(r, HF_FINDING_ADVICE, "pending", "Redis has lacked these for long: see the shared tier above");
}

static int parked_finding(struct report *r)
{
    const struct hf_status *s = &r->facts->status;

    found(r, "%" PRIu64 " %s, %" PRIu64 " of them in doubt", s->parked, s->parked == 1 ? "entry" : "entries",
          s->in_doubt);
    if (s->parked == 0)
        return tell_ok(r, "parked");
    return tell(r, HF_FINDING_PROBLEM, "parked",
                "`holdfast parked` lists them with the reason; each is to be sent again or dropped");
}

static int conflicts_finding(struct report *r)
{
    const struct hf_status *s = &r->facts->status;

    found(r, "%" PRIu64 " in the conflict log, and %" PRIu64 " kept for information", s->conflicts,
          s->blind_conflicts);
    if (s->conflicts == 0)
        return tell_ok(r, "conflicts");
    return tell(r, HF_FINDING_ADVICE, "conflicts",
                "`holdfast conflicts` lists them; each is to be resolved or restored");
}

static int dropped_finding(struct report *r)
{
    const struct hf_status *s = &r->facts->status;

    if (s->dropped == 0 && s->gaps == 0)
        return 0;
    found(r, "%" PRIu64 " change%s dropped at a bound since the store was opened, %" PRIu64 " key%s to be compared",
          s->dropped, plural(s->dropped), s->gaps, plural(s->gaps));
    if (s->dropped == 0)
        return tell(r, HF_FINDING_ADVICE, "dropped", "they are compared at the next reconcile");
    return tell(
        r, HF_FINDING_PROBLEM, "dropped",
        "they are compared at the next reconcile; raise pending_max, or choose another policy for a full table");
}

/* ---- all of them, in the order of telling ---- */

static const struct {
    bool of_server; /* only when it was asked */
    int (*tell)(struct report *r);
} topics[] = {
    {false, link_finding},       {false, asked_finding},      {true, version_finding},
    {true, role_finding},        {true, eviction_finding},    {true, persistence_finding},
    {true, last_save_finding},   {true, replicas_finding},    {true, memory_finding},
    {true, value_size_finding},  {true, scripts_finding},     {true, tracking_finding},
    {true, info_finding},        {true, config_finding},      {false, time_finding},
    {true, redis_clock_finding}, {false, durability_finding}, {false, journal_finding},
    {false, local_tier_finding}, {false, disk_space_finding}, {false, modes_finding},
    {false, pending_finding},    {false, parked_finding},     {false, conflicts_finding},
    {false, dropped_finding},
};

int hf__findings(const struct hf_doctor_facts *facts, int (*each)(void *ctx, const struct hf_finding *finding),
                 void *ctx)
{
    struct report r = {.facts = facts, .each = each, .ctx = ctx};
    int rc = 0;

    for (size_t i = 0; i < sizeof(topics) / sizeof(topics[0]) && rc == 0; i++) {
        if (!topics[i].of_server || facts->asked)
            rc = topics[i].tell(&r);
    }
    return rc;
}
