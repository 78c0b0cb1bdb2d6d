/* What the sidecar counts, and how it is told to Prometheus (docs/metrics.md lists every metric).
 *
 * The loop thread counts, with relaxed atomics and no lock; the HTTP thread reads whenever it is asked. A scrape may therefore see
 * a command in one family and not yet in the next, but no number ever runs backwards. */
#ifndef SIDECAR_METRICS_H
#define SIDECAR_METRICS_H

#include "exposition.h"

struct command;
struct health;
struct metrics;
struct server;
struct server_counts;

/* More commands than there are; what does not fit is counted as "other". */
#define METRICS_COMMANDS_MAX 512

/* `options`: the namespaces by which reads are counted; NULL: only "". `dir`: the store's directory, whose file system is told
 * about; copied. */
int metrics_new(const struct hf_options *options, const char *dir, struct metrics **ret_metrics);
void metrics_free(struct metrics *metrics); /* accepts NULL */

/* ---- counting: on the loop thread ---- */

/* A command was answered, `ns` after it was read. `command` NULL: one that is not known here. */
void metrics_count_command(struct metrics *metrics, const struct command *command, uint64_t ns, bool failed);

/* The same as struct server has it (server->observe). */
void metrics_observe(struct server *server, const struct command *command, uint64_t ns, bool failed);

/* A value was looked for: `origin` is where it came from. A miss has been found nowhere. From any thread. */
void metrics_count_read(struct metrics *metrics, struct hf_slice key, bool hit, enum hf_origin origin);

/* What the server counts without atomics, told once a second. */
void metrics_publish(struct metrics *metrics, const struct server_counts *counts, size_t n_clients);

/* ---- telling: on any thread ---- */

/* Write all metrics. `store` NULL, or one that cannot tell its status: without what is the store's. */
void metrics_write(struct metrics *metrics, struct hf *store, struct health *health, struct exposition *e);

/* The reads of one namespace. False: there is none with this prefix. */
struct metrics_reads {
    uint64_t hits, misses;
};
bool metrics_reads_of(struct metrics *metrics, struct hf_slice prefix, struct metrics_reads *ret_reads);

/* The parts that are not counted here (metrics_store.c, metrics_process.c). */
void metrics_write_store(const struct hf_status *status, struct exposition *e);
void metrics_write_process(const char *dir, struct exposition *e);

#endif
