/* Counters of commands and reads. */
#include "metrics.h"

#include "command.h"
#include "health.h"
#include "server.h"

#include <fail.h>
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>

/* Upper bounds of the latency buckets. Those of the seed systems' dashboards are among them. */
static const struct {
    uint64_t ns;
    const char *le; /* the same in seconds */
} bounds[] = {
    {50000, "0.00005"},  {100000, "0.0001"},  {250000, "0.00025"}, {500000, "0.0005"},
    {1000000, "0.001"},  {2500000, "0.0025"}, {5000000, "0.005"},  {10000000, "0.01"},
    {25000000, "0.025"}, {50000000, "0.05"},  {100000000, "0.1"},  {250000000, "0.25"},
    {500000000, "0.5"},  {1000000000, "1"},   {2500000000, "2.5"}, {5000000000, "5"},
};
#define N_BOUNDS (sizeof(bounds) / sizeof(bounds[0]))
#define N_ORIGINS (HF_ORIGIN_PENDING + 1)

typedef _Atomic uint64_t counter;

/* One command. Buckets are not cumulative here. */
struct slot {
    const struct command *command;
    const char *name;
    counter buckets[N_BOUNDS + 1];
    counter ns, errors;
};

/* A namespace, by which reads are told apart. */
struct reads {
    struct hf_buf prefix;
    counter hits[N_ORIGINS], misses;
};

struct metrics {
    char *dir;
    struct reads *reads; /* the longest prefix first */
    size_t n_reads;
    counter clients, connections, rejected, bytes_in, bytes_out;
    _Atomic size_t n_slots;                    /* in use; a slot is complete before it is counted in */
    struct slot slots[METRICS_COMMANDS_MAX];   /* in the order in which they were first seen; 0 is "other" */
    uint16_t places[4 * METRICS_COMMANDS_MAX]; /* the loop's own: slots by the address of their command; 0: free */
};

static void count(counter *counted, uint64_t n)
{
    atomic_fetch_add_explicit(counted, n, memory_order_relaxed);
}

/* One that only the loop thread counts in needs no locked instruction. */
static void count_own(counter *counted, uint64_t n)
{
    uint64_t before = atomic_load_explicit(counted, memory_order_relaxed);

    atomic_store_explicit(counted, before + n, memory_order_relaxed);
}

static uint64_t told(counter *counted)
{
    return atomic_load_explicit(counted, memory_order_relaxed);
}

static struct hf_slice prefix_of(const struct reads *reads)
{
    return hf__slice(reads->prefix.data, reads->prefix.len);
}

/* ---- making ---- */

static int by_length(const void *a, const void *b)
{
    const struct reads *ra = a, *rb = b;

    return (ra->prefix.len < rb->prefix.len) - (ra->prefix.len > rb->prefix.len);
}

/* The namespace "" is there in any case, and comes last. */
static int take_namespaces(struct metrics *m, const struct hf_options *options)
{
    size_t n = options ? options->n_namespaces : 0;
    int rc = 0;

    m->reads = calloc(n + 1, sizeof(*m->reads));
    if (!m->reads)
        return hf__fail(HF_ENOMEM, "out of memory: counters of %zu namespaces", n);
    for (size_t i = 0; i < n && rc == 0; i++) {
        if (*options->namespaces[i].prefix)
            rc = hf__buf_copy(hf__slice_str(options->namespaces[i].prefix), &m->reads[m->n_reads++].prefix);
    }
    qsort(m->reads, m->n_reads, sizeof(*m->reads), by_length);
    m->n_reads++;
    return rc;
}

int metrics_new(const struct hf_options *options, const char *dir, struct metrics **ret_metrics)
{
    struct metrics *m = calloc(1, sizeof(*m));
    int rc;

    if (!m || !(m->dir = strdup(dir))) {
        free(m);
        return hf__fail(HF_ENOMEM, "out of memory: counters");
    }
    m->slots[0].name = "other";
    m->n_slots = 1;
    rc = take_namespaces(m, options);
    if (rc != 0)
        metrics_free(m);
    else
        *ret_metrics = m;
    return rc;
}

void metrics_free(struct metrics *m)
{
    if (!m)
        return;
    for (size_t i = 0; m->reads && i < m->n_reads; i++)
        hf_buf_release(&m->reads[i].prefix);
    free(m->reads);
    free(m->dir);
    free(m);
}

/* ---- counting ---- */

static struct slot *new_slot(struct metrics *m, const struct command *command, uint16_t *place)
{
    size_t n = atomic_load_explicit(&m->n_slots, memory_order_relaxed);
    struct slot *slot = &m->slots[n];

    if (n == METRICS_COMMANDS_MAX)
        return &m->slots[0];
    slot->command = command;
    slot->name = command->name;
    *place = (uint16_t)n;
    atomic_store_explicit(&m->n_slots, n + 1, memory_order_release);
    return slot;
}

/* By the address of the command, which lies in a table that never changes. At most a quarter of the places is in use. */
static struct slot *slot_of(struct metrics *m, const struct command *command)
{
    size_t n = sizeof(m->places) / sizeof(m->places[0]);
    size_t at = ((uintptr_t)command / sizeof(*command)) % n;

    if (!command)
        return &m->slots[0];
    for (; m->places[at] != 0; at = (at + 1) % n) {
        if (m->slots[m->places[at]].command == command)
            return &m->slots[m->places[at]];
    }
    return new_slot(m, command, &m->places[at]);
}

void metrics_count_command(struct metrics *m, const struct command *command, uint64_t ns, bool failed)
{
    struct slot *slot = slot_of(m, command);
    size_t i = 0;

    while (i < N_BOUNDS && ns > bounds[i].ns)
        i++;
    count_own(&slot->buckets[i], 1);
    count_own(&slot->ns, ns);
    if (failed)
        count_own(&slot->errors, 1);
}

void metrics_observe(struct server *server, const struct command *command, uint64_t ns, bool failed)
{
    metrics_count_command(server->metrics, command, ns, failed);
}

void metrics_count_read(struct metrics *m, struct hf_slice key, bool hit, enum hf_origin origin)
{
    struct reads *reads = m->reads;

    while (!hf__slice_starts_with(key, prefix_of(reads)))
        reads++; /* "" is a prefix of every key */
    count(hit ? &reads->hits[origin] : &reads->misses, 1);
}

void metrics_publish(struct metrics *m, const struct server_counts *counts, size_t n_clients)
{
    atomic_store_explicit(&m->clients, n_clients, memory_order_relaxed);
    atomic_store_explicit(&m->connections, counts->connections, memory_order_relaxed);
    atomic_store_explicit(&m->rejected, counts->rejected, memory_order_relaxed);
    atomic_store_explicit(&m->bytes_in, counts->bytes_in, memory_order_relaxed);
    atomic_store_explicit(&m->bytes_out, counts->bytes_out, memory_order_relaxed);
}

/* ---- telling: commands ---- */

static uint64_t n_answered(struct slot *slot)
{
    uint64_t n = 0;

    for (size_t i = 0; i <= N_BOUNDS; i++)
        n += told(&slot->buckets[i]);
    return n;
}

/* The count is the last bucket's, so that they agree whatever is counted meanwhile. */
static void write_histogram(struct slot *slot, const char *label, struct exposition *e)
{
    struct exposition_label labels[] = {{label, hf__slice_str(slot->name)}, {"le", {0}}, {0}};
    const struct exposition_label whole[] = {labels[0], {0}};
    uint64_t n = 0;

    for (size_t i = 0; i <= N_BOUNDS; i++) {
        n += told(&slot->buckets[i]);
        labels[1].value = hf__slice_str(i < N_BOUNDS ? bounds[i].le : "+Inf");
        exposition_unsigned(e, "_bucket", labels, n);
    }
    exposition_ns(e, "_sum", whole, told(&slot->ns));
    exposition_unsigned(e, "_count", whole, n);
}

static void write_answered(struct slot *slot, const char *label, struct exposition *e)
{
    const struct exposition_label labels[] = {{label, hf__slice_str(slot->name)}, {0}};

    exposition_unsigned(e, "", labels, n_answered(slot));
}

static void write_errors(struct slot *slot, const char *label, struct exposition *e)
{
    const struct exposition_label labels[] = {{label, hf__slice_str(slot->name)}, {0}};

    exposition_unsigned(e, "", labels, told(&slot->errors));
}

static void each_command(struct metrics *m, const char *label,
                         void (*write)(struct slot *slot, const char *label, struct exposition *e),
                         struct exposition *e)
{
    size_t n = atomic_load_explicit(&m->n_slots, memory_order_acquire);

    for (size_t i = 0; i < n; i++)
        write(&m->slots[i], label, e);
}

/* The same numbers again under the names that a seed system's dashboards and alerts have. */
static void write_commands(struct metrics *m, struct exposition *e)
{
    exposition_family(e, "holdfast_command_duration_seconds", "histogram",
                      "From reading a command to its answer, the wait for the disk included.");
    each_command(m, "command", write_histogram, e);
    exposition_family(e, "holdfast_command_errors_total", "counter", "Commands answered with an error.");
    each_command(m, "command", write_errors, e);
    exposition_family(e, "openctem_redis_operation_duration_seconds", "histogram",
                      "holdfast_command_duration_seconds under another name.");
    each_command(m, "operation", write_histogram, e);
    exposition_family(e, "openctem_redis_operations_total", "counter", "Commands answered.");
    each_command(m, "operation", write_answered, e);
    exposition_family(e, "openctem_redis_operation_errors_total", "counter",
                      "holdfast_command_errors_total under another name.");
    each_command(m, "operation", write_errors, e);
}

/* ---- telling: reads ---- */

static void write_hits(struct reads *reads, struct exposition *e)
{
    static const char *const origins[N_ORIGINS] = {
        [HF_ORIGIN_NONE] = "none",
        [HF_ORIGIN_SHARED] = "shared",
        [HF_ORIGIN_LOCAL_VERIFIED] = "local verified",
        [HF_ORIGIN_LOCAL_UNVERIFIED] = "local unverified",
        [HF_ORIGIN_PENDING] = "pending",
    };

    for (size_t i = HF_ORIGIN_SHARED; i < N_ORIGINS; i++) {
        const struct exposition_label labels[] = {
            {"namespace", prefix_of(reads)}, {"origin", hf__slice_str(origins[i])}, {0}};

        exposition_unsigned(e, "", labels, told(&reads->hits[i]));
    }
}

static void write_misses(struct reads *reads, const char *label, struct exposition *e)
{
    const struct exposition_label labels[] = {{label, prefix_of(reads)}, {0}};

    exposition_unsigned(e, "", labels, told(&reads->misses));
}

static uint64_t all_hits(struct reads *reads)
{
    uint64_t hits = 0;

    for (size_t i = 0; i < N_ORIGINS; i++)
        hits += told(&reads->hits[i]);
    return hits;
}

static void write_all_hits(struct reads *reads, struct exposition *e)
{
    const struct exposition_label labels[] = {{"cache", prefix_of(reads)}, {0}};

    exposition_unsigned(e, "", labels, all_hits(reads));
}

bool metrics_reads_of(struct metrics *m, struct hf_slice prefix, struct metrics_reads *ret_reads)
{
    struct reads *reads = m->reads;

    while (reads < m->reads + m->n_reads && !hf__slice_eq(prefix_of(reads), prefix))
        reads++;
    if (reads == m->reads + m->n_reads)
        return false;
    *ret_reads = (struct metrics_reads){.hits = all_hits(reads), .misses = told(&reads->misses)};
    return true;
}

static void write_reads(struct metrics *m, struct exposition *e)
{
    exposition_family(e, "holdfast_read_hits_total", "counter", "Values that were found, by where.");
    for (size_t i = 0; i < m->n_reads; i++)
        write_hits(&m->reads[i], e);
    exposition_family(e, "holdfast_read_misses_total", "counter", "Values that were found nowhere.");
    for (size_t i = 0; i < m->n_reads; i++)
        write_misses(&m->reads[i], "namespace", e);
    exposition_family(e, "openctem_redis_cache_hits_total", "counter",
                      "holdfast_read_hits_total of all origins under another name.");
    for (size_t i = 0; i < m->n_reads; i++)
        write_all_hits(&m->reads[i], e);
    exposition_family(e, "openctem_redis_cache_misses_total", "counter",
                      "holdfast_read_misses_total under another name.");
    for (size_t i = 0; i < m->n_reads; i++)
        write_misses(&m->reads[i], "cache", e);
}

/* ---- telling: the server, and all of it ---- */

static void write_one(struct exposition *e, const char *name, const char *type, const char *help, uint64_t value)
{
    exposition_family(e, name, type, help);
    exposition_unsigned(e, "", NULL, value);
}

static void write_server(struct metrics *m, struct exposition *e)
{
    write_one(e, "holdfast_connected_clients", "gauge", "Clients that are connected.", told(&m->clients));
    write_one(e, "holdfast_connections_total", "counter", "Clients that have connected.", told(&m->connections));
    write_one(e, "holdfast_connections_rejected_total", "counter", "Clients turned away at the limit.",
              told(&m->rejected));
    write_one(e, "holdfast_input_bytes_total", "counter", "Bytes read from clients.", told(&m->bytes_in));
    write_one(e, "holdfast_output_bytes_total", "counter", "Bytes written to clients.", told(&m->bytes_out));
}

static void write_health(struct health *health, struct exposition *e)
{
    int64_t latency_us = health_latency_us(health);

    exposition_family(e, "holdfast_redis_latency_seconds", "gauge",
                      "The last sign of life that Redis was asked for; NaN while there is none.");
    if (latency_us < 0)
        exposition_double(e, "", NULL, (double)NAN);
    else
        exposition_ns(e, "", NULL, (uint64_t)latency_us * 1000);
    exposition_family(e, "holdfast_loop_silence_seconds", "gauge", "Since the loop last turned.");
    exposition_ms(e, "", NULL, health_silence_ms(health));
}

void metrics_write(struct metrics *m, struct hf *store, struct health *health, struct exposition *e)
{
    struct hf_status status;
    bool is_read = store && hf_status(store, &status) == 0;
    const struct exposition_label version[] = {{"version", hf__slice_str(hf_version())}, {0}};

    exposition_family(e, "holdfast_build_info", "gauge", "The version that runs; always 1.");
    exposition_unsigned(e, "", version, 1);
    write_one(e, "holdfast_store_readable", "gauge", "1: the store could tell its state.", is_read);
    write_health(health, e);
    write_commands(m, e);
    write_reads(m, e);
    write_server(m, e);
    if (is_read)
        metrics_write_store(&status, e);
    metrics_write_process(m->dir, e);
}
