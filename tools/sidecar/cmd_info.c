/* INFO: what clients and dashboards look for in it, in Redis's words, and a section of our own. */
#include "cmd_server.h"

#include "client.h"
#include "server.h"
#include "settings.h"
#include "words.h"

#include <malloc.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

struct section {
    const char *name; /* as it stands in the heading */
    void (*write)(struct hf_bytes *out, const struct server *server);
};

static int64_t up_s(const struct server *server)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec - server->started_ms / 1000;
}

static void write_server(struct hf_bytes *out, const struct server *server)
{
    int64_t up = up_s(server);

    text_append(out, "redis_version:%s\r\nredis_mode:standalone\r\nserver_name:holdfastd\r\n",
                SERVER_REDIS_VERSION);
    text_append(out, "arch_bits:%zu\r\nprocess_id:%ld\r\nrun_id:%s\r\n", 8 * sizeof(void *), (long)getpid(),
                server->run_id);
    text_append(out, "tcp_port:%d\r\nuptime_in_seconds:%lld\r\nuptime_in_days:%lld\r\n", server->settings->port,
                (long long)up, (long long)up / 86400);
}

static void write_clients(struct hf_bytes *out, const struct server *server)
{
    text_append(out, "connected_clients:%zu\r\nmaxclients:%llu\r\nblocked_clients:0\r\n", server->n_clients,
                (unsigned long long)server->settings->max_clients);
}

static size_t resident_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "re");
    unsigned long pages = 0;

    if (!file)
        return 0;
    if (fscanf(file, "%*u %lu", &pages) != 1)
        pages = 0;
    fclose(file);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

static void write_memory(struct hf_bytes *out, const struct server *server)
{
    struct mallinfo2 heap = mallinfo2();

    (void)server;
    text_append(out, "used_memory:%zu\r\nused_memory_rss:%zu\r\nmaxmemory:0\r\nmaxmemory_policy:noeviction\r\n",
                heap.uordblks + heap.hblkhd, resident_bytes());
}

static void write_persistence(struct hf_bytes *out, const struct server *server)
{
    (void)server;
    text_append(out, "loading:0\r\nrdb_bgsave_in_progress:0\r\naof_enabled:1\r\naof_rewrite_in_progress:0\r\n");
}

static void write_stats(struct hf_bytes *out, const struct server *server)
{
    const struct server_counts *counts = &server->counts;

    text_append(out,
                "total_connections_received:%llu\r\ntotal_commands_processed:%llu\r\n"
                "total_net_input_bytes:%llu\r\ntotal_net_output_bytes:%llu\r\nrejected_connections:%llu\r\n"
                "total_error_replies:%llu\r\n",
                (unsigned long long)counts->connections, (unsigned long long)counts->commands,
                (unsigned long long)counts->bytes_in, (unsigned long long)counts->bytes_out,
                (unsigned long long)counts->rejected, (unsigned long long)counts->errors);
}

static void write_replication(struct hf_bytes *out, const struct server *server)
{
    text_append(out, "role:master\r\nconnected_slaves:0\r\nmaster_replid:%s\r\nmaster_repl_offset:0\r\n",
                server->run_id);
}

static void write_cpu(struct hf_bytes *out, const struct server *server)
{
    struct rusage usage;

    (void)server;
    getrusage(RUSAGE_SELF, &usage);
    text_append(out, "used_cpu_sys:%ld.%06ld\r\nused_cpu_user:%ld.%06ld\r\n", (long)usage.ru_stime.tv_sec,
                (long)usage.ru_stime.tv_usec, (long)usage.ru_utime.tv_sec, (long)usage.ru_utime.tv_usec);
}

static void write_cluster(struct hf_bytes *out, const struct server *server)
{
    (void)server;
    text_append(out, "cluster_enabled:0\r\n");
}

static void write_keyspace(struct hf_bytes *out, const struct server *server)
{
    struct hf_status status;

    if (hf_status(server->store, &status) == 0 && status.keys > 0)
        text_append(out, "db0:keys=%llu,expires=0,avg_ttl=0\r\n", (unsigned long long)status.keys);
}

static void write_holdfast(struct hf_bytes *out, const struct server *server)
{
    struct hf_status s;

    if (hf_status(server->store, &s) != 0)
        return;
    text_append(out, "holdfast_version:%s\r\nnode:%s\r\nlink:%s\r\nlink_reason:%s\r\n", hf_version(), s.node,
                hf_link_text(s.link), s.link_reason);
    text_append(out, "pending_keys:%llu\r\npending_bytes:%llu\r\noldest_pending_ms:%lld\r\nconflicts:%llu\r\n",
                (unsigned long long)s.pending_keys, (unsigned long long)s.pending_bytes,
                (long long)s.oldest_pending_ms, (unsigned long long)s.conflicts);
    text_append(out,
                "parked:%llu\r\nin_doubt:%llu\r\npaused:%d\r\nstopped:%d\r\ndurable_lsn:%llu\r\nlast_lsn:%llu\r\n",
                (unsigned long long)s.parked, (unsigned long long)s.in_doubt, s.paused, s.stopped,
                (unsigned long long)s.durable_lsn, (unsigned long long)s.last_lsn);
}

static const struct section sections[] = {
    {"Server", write_server},     {"Clients", write_clients},
    {"Memory", write_memory},     {"Persistence", write_persistence},
    {"Stats", write_stats},       {"Replication", write_replication},
    {"CPU", write_cpu},           {"Cluster", write_cluster},
    {"Keyspace", write_keyspace}, {"Holdfast", write_holdfast},
};

static bool is_wanted(const struct call *call, const char *name)
{
    for (size_t i = 1; i < call->argc; i++) {
        if (word_is(call->argv[i], name) || word_is(call->argv[i], "all") || word_is(call->argv[i], "default") ||
            word_is(call->argv[i], "everything"))
            return true;
    }
    return call->argc == 1;
}

void cmd_info(struct call *call)
{
    struct hf_bytes out = {0};

    for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++) {
        if (!is_wanted(call, sections[i].name))
            continue;
        text_append(&out, "%s# %s\r\n", out.len > 0 ? "\r\n" : "", sections[i].name);
        sections[i].write(&out, call->server);
    }
    text_reply(call->reply, &out);
}
