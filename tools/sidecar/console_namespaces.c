/* The namespaces with their policies, in the words of the configuration (docs/configuration.md). */
#include "console_state.h"

#include "metrics.h"

static const char *const write_modes[] = {
    [HF_WRITE_THROUGH] = "through", [HF_WRITE_BEHIND] = "behind", [HF_WRITE_LOCAL] = "local"};
static const char *const read_modes[] = {[HF_READ_LOCAL] = "local", [HF_READ_SHARED] = "shared"};
static const char *const conflicts[] = {
    [HF_CONFLICT_NEWEST] = "newest", [HF_CONFLICT_REMOTE] = "remote",         [HF_CONFLICT_LOCAL] = "local",
    [HF_CONFLICT_PARK] = "park",     [HF_CONFLICT_MERGE_JSON] = "merge-json", [HF_CONFLICT_CALLBACK] = "callback"};
static const char *const writers[] = {
    [HF_WRITERS_ANY] = "any", [HF_WRITERS_HOLDFAST] = "holdfast", [HF_WRITERS_THIS_NODE] = "this-node"};
static const char *const outages[] = {
    [HF_OUTAGE_JOURNAL] = "journal", [HF_OUTAGE_REFUSE] = "refuse", [HF_OUTAGE_LOCAL] = "local"};
static const char *const losses[] = {[HF_LOSS_BY_EVIDENCE] = "evidence",
                                     [HF_LOSS_RESEED] = "reseed",
                                     [HF_LOSS_ADOPT] = "adopt",
                                     [HF_LOSS_HOLD] = "hold"};

static void write_reads(const struct console *console, const char *prefix, struct json *json)
{
    struct metrics_reads reads;

    if (!metrics_reads_of(console->options.metrics, hf__slice_str(prefix), &reads))
        return;
    json_add_unsigned(json, "hits", reads.hits);
    json_add_unsigned(json, "misses", reads.misses);
}

static void write_namespace(const struct console *console, const struct hf_namespace *ns, struct json *json)
{
    json_begin(json, '{');
    json_add_text(json, "prefix", ns->prefix);
    json_add_text(json, "write", write_modes[ns->write_mode]);
    json_add_text(json, "read", read_modes[ns->read_mode]);
    json_add_integer(json, "default_ttl_ms", ns->default_ttl_ms);
    json_add_text(json, "conflict", conflicts[ns->conflict]);
    json_add_text(json, "writers", writers[ns->writers]);
    json_add_text(json, "outage", outages[ns->outage]);
    json_add_text(json, "on_loss", losses[ns->on_loss]);
    json_add_bool(json, "tentative", ns->tentative);
    json_add_bool(json, "change_log", !ns->change_log_off);
    write_reads(console, ns->prefix, json);
    json_end(json, '}');
}

/* The namespace "" exists in any case. */
void console_namespaces(const struct console *console, struct json *json)
{
    static const struct hf_namespace all = {.prefix = ""};
    const struct hf_options *options = console->options.store_options;
    bool has_all = false;

    json_begin(json, '[');
    for (size_t i = 0; i < options->n_namespaces; i++) {
        has_all |= !*options->namespaces[i].prefix;
        write_namespace(console, &options->namespaces[i], json);
    }
    if (!has_all)
        write_namespace(console, &all, json);
    json_end(json, ']');
}
