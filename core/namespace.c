/* The table of namespaces. */
#include "namespace.h"

#include "fail.h"

#include <stdio.h>
#include <stdlib.h>

static struct hf_slice prefix_of(const struct hf_ns *ns)
{
    return hf__slice(ns->prefix.data, ns->prefix.len);
}

/* "_hf:<prefix><rest>" as an owned buffer. */
int hf__ns_key(const struct hf_ns *ns, const char *middle, const char *rest, struct hf_buf *ret_key)
{
    struct hf_bytes b = {0};
    int rc = hf__bytes_append(&b, "_hf:", 4);

    if (rc == 0)
        rc = hf__bytes_append(&b, ns->prefix.data, ns->prefix.len);
    if (rc == 0)
        rc = hf__bytes_append(&b, middle, strlen(middle));
    if (rc == 0)
        rc = hf__bytes_append(&b, rest, strlen(rest));
    if (rc != 0) {
        hf__bytes_release(&b);
        return rc;
    }
    hf_buf_release(ret_key);
    *ret_key = hf__bytes_detach(&b);
    return 0;
}

static int check_enum(const struct hf_namespace *options, const char *name, unsigned value, unsigned last)
{
    if (value <= last)
        return 0;
    return hf__fail(HF_EINVAL, "namespace '%s' has %s %u; expected a value of its enum, 0 to %u", options->prefix,
                    name, value, last);
}

static int check_enums(const struct hf_namespace *options)
{
    int rc = check_enum(options, "write_mode", options->write_mode, HF_WRITE_LOCAL);

    if (rc == 0)
        rc = check_enum(options, "read_mode", options->read_mode, HF_READ_SHARED);
    if (rc == 0)
        rc = check_enum(options, "conflict", options->conflict, HF_CONFLICT_CALLBACK);
    if (rc == 0)
        rc = check_enum(options, "writers", options->writers, HF_WRITERS_THIS_NODE);
    if (rc == 0)
        rc = check_enum(options, "outage", options->outage, HF_OUTAGE_LOCAL);
    if (rc == 0)
        rc = check_enum(options, "on_loss", options->on_loss, HF_LOSS_HOLD);
    if (rc == 0)
        rc = check_enum(options, "unknown_time", options->unknown_time, HF_UNKNOWN_TIME_HIDE);
    return rc;
}

/* Settings that would undo one another. */
static int check_combinations(const struct hf_namespace *options)
{
    if (options->writers == HF_WRITERS_HOLDFAST && options->change_log_off)
        return hf__fail(HF_EINVAL,
                        "namespace '%s' has writers 'holdfast' and no change log, which is what tells what other "
                        "nodes wrote; expected a change log or other writers",
                        options->prefix);
    if (options->outage == HF_OUTAGE_REFUSE && options->tentative)
        return hf__fail(HF_EINVAL,
                        "namespace '%s' has outage 'refuse' and is tentative; expected one of them: what is "
                        "refused during an outage cannot be decided during it",
                        options->prefix);
    return 0;
}

static int check(const struct hf_namespace *options, size_t i)
{
    int rc;

    if (!options->prefix)
        return hf__fail(HF_EINVAL, "namespace %zu has no prefix; \"\" is the one of all other keys", i);
    if (strlen(options->prefix) > 256)
        return hf__fail(HF_EINVAL, "namespace %zu has a prefix of %zu bytes; at most 256 are allowed", i,
                        strlen(options->prefix));
    if (options->default_ttl_ms < 0 || options->default_ttl_ms > HF_TTL_MAX_MS)
        return hf__fail(HF_EINVAL, "namespace '%s' has a default TTL of %lld ms; expected 0 to %lld",
                        options->prefix, (long long)options->default_ttl_ms, HF_TTL_MAX_MS);
    rc = check_enums(options);
    return rc == 0 ? check_combinations(options) : rc;
}

static int fill(struct hf_ns *ns, const struct hf_namespace *options, const char *node)
{
    int rc = hf__buf_copy(hf__slice_str(options->prefix), &ns->prefix);

    ns->default_ttl_ms = options->default_ttl_ms;
    ns->write_mode = options->write_mode;
    ns->read_mode = options->read_mode;
    ns->with_log = !options->change_log_off && options->writers != HF_WRITERS_THIS_NODE; /* nobody would read it */
    ns->log_max = options->change_log_max ? options->change_log_max : HF_CHANGE_LOG_MAX_DEFAULT;
    ns->conflict = options->conflict;
    ns->writers = options->writers;
    ns->outage = options->outage;
    ns->on_loss = options->on_loss;
    ns->unknown_time = options->unknown_time;
    ns->tentative = options->tentative;
    ns->keep_replaced = !options->keep_no_replaced;
    if (rc == 0)
        rc = hf__ns_key(ns, ":mark:", node, &ns->mark_key);
    if (rc == 0)
        rc = hf__ns_key(ns, ":fence", "", &ns->fence_key);
    return rc;
}

static int longest_first(const void *a, const void *b)
{
    const struct hf_ns *x = a, *y = b;

    return (x->prefix.len < y->prefix.len) - (x->prefix.len > y->prefix.len);
}

static int check_unique(const struct hf_ns_table *table)
{
    for (size_t i = 0; i < table->n; i++) {
        for (size_t k = i + 1; k < table->n; k++) {
            if (hf__slice_eq(prefix_of(&table->all[i]), prefix_of(&table->all[k])))
                return hf__fail(HF_EINVAL, "two namespaces have the prefix '%.*s'", (int)table->all[i].prefix.len,
                                (const char *)table->all[i].prefix.data);
        }
    }
    return 0;
}

int hf__ns_table_init(struct hf_ns_table *table, const struct hf_namespace *namespaces, size_t n, const char *node)
{
    static const struct hf_namespace all_others = {.prefix = ""};
    bool has_others = false;
    int rc = 0;

    *table = (struct hf_ns_table){.all = calloc(n + 1, sizeof(*table->all))};
    if (!table->all)
        return hf__fail(HF_ENOMEM, "out of memory: %zu namespaces", n);
    for (size_t i = 0; i < n && rc == 0; i++) {
        rc = check(&namespaces[i], i);
        if (rc == 0)
            rc = fill(&table->all[table->n++], &namespaces[i], node);
        has_others |= rc == 0 && namespaces[i].prefix[0] == '\0';
    }
    if (rc == 0 && !has_others)
        rc = fill(&table->all[table->n++], &all_others, node);
    if (rc == 0)
        rc = check_unique(table);
    if (rc != 0) {
        hf__ns_table_release(table);
        return rc;
    }
    qsort(table->all, table->n, sizeof(*table->all), longest_first);
    return 0;
}

void hf__ns_table_release(struct hf_ns_table *table)
{
    for (size_t i = 0; i < table->n; i++) {
        hf_buf_release(&table->all[i].prefix);
        hf_buf_release(&table->all[i].log_key);
        hf_buf_release(&table->all[i].mark_key);
        hf_buf_release(&table->all[i].fence_key);
    }
    free(table->all);
    *table = (struct hf_ns_table){0};
}

void hf__ns_note_acked(struct hf_ns *ns, uint64_t lsn, const char *id)
{
    if (lsn <= ns->acked_lsn)
        return;
    ns->acked_lsn = lsn;
    snprintf(ns->acked_id, sizeof(ns->acked_id), "%s", id);
}

void hf__ns_forget_acked(struct hf_ns *ns)
{
    ns->acked_lsn = 0;
    ns->acked_id[0] = '\0';
}

void hf__ns_forget_log(struct hf_ns *ns)
{
    ns->log_id[0] = '\0';
    hf__ns_forget_acked(ns);
}

int hf__ns_set_epoch(struct hf_ns *ns, const char *epoch)
{
    if (strcmp(ns->epoch, epoch) == 0)
        return 0;
    snprintf(ns->epoch, sizeof(ns->epoch), "%s", epoch);
    ns->log_id[0] = '\0';
    return hf__ns_key(ns, ":log:", epoch, &ns->log_key);
}
