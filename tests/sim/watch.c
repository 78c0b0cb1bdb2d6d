/* What must hold at any moment: every value that is read was written to that key, what has died is not read, numbers rise,
 * bounds are kept. What needs the whole history is judged in the end, by the storm's sceptic. */
#include "sim.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define JOURNAL_MAX (64u << 20) /* a history writes far less */

/* ---- values ---- */

static const struct sim_step *step_numbered(const struct sim_plan *plan, unsigned number)
{
    for (unsigned i = 0; i < plan->n; i++) {
        if (plan->steps[i].number == number)
            return &plan->steps[i];
    }
    return NULL;
}

/* The parts of one batch are one. */
static bool is_same_group(const struct storm_key *a, const struct storm_key *b)
{
    size_t len = strlen(a->name);

    if (a->kind == STORM_BATCH && b->kind == STORM_BATCH)
        return strncmp(a->name, b->name, len - 1) == 0;
    return strcmp(a->name, b->name) == 0;
}

static bool was_written(const struct sim_world *w, const struct storm_key *key, unsigned writer, unsigned id)
{
    const struct sim_step *step;

    if (writer == STORM_CLIENT)
        return id >= 1 && id <= w->client_id;
    step = step_numbered(w->plan, id);
    return step && step->kind == STEP_OPERATE && step->node == writer &&
           is_same_group(sim_key_of(&w->keys, step), key);
}

static bool is_number(const char *text)
{
    size_t digits = strspn(text, "0123456789");

    return digits > 0 && text[digits] == '\0';
}

static bool is_plausible(const struct sim_world *w, const struct storm_key *key, const char *text)
{
    bool counts =
        key->kind == STORM_COUNTER || (key->kind == STORM_BATCH && key->name[strlen(key->name) - 1] == 'n');
    unsigned writer, life, id;

    if (counts)
        return is_number(text);
    if (key->kind == STORM_JSON)
        return text[0] == '{';
    return sscanf(text, "v%u.%u.%u", &writer, &life, &id) == 3 && was_written(w, key, writer, id);
}

void sim_watch_read(struct sim_worker *worker, const struct storm_key *key, int rc, const struct hf_buf *value,
                    const struct hf_result *result, int64_t now_ms)
{
    struct sim_node *node = worker->node;
    int64_t slack_ms = result->origin == HF_ORIGIN_SHARED ? 1 : 0; /* Redis's clock is known to a millisecond */
    char text[STORM_TEXT_MAX];

    if (rc != 0) {
        if (rc < 0 && rc != HF_EOFFLINE)
            worker->storm.give_up(&worker->storm, key->name, rc);
        return;
    }
    storm_value_text(value->data ? value->data : "", value->len, text);
    if (!is_plausible(node->world, key, text))
        sim_fail(node->world, "node %u.%u reads '%s' under %s, which nobody wrote there", node->number, node->life,
                 text, key->name);
    if (result->deadline_ms != 0 && result->deadline_ms + slack_ms <= now_ms)
        sim_fail(node->world, "node %u.%u reads '%s' under %s, which died %lld ms ago", node->number, node->life,
                 text, key->name, (long long)(now_ms - result->deadline_ms));
}

/* ---- stores ---- */

static void watch_status(struct sim_world *w, struct sim_node *node)
{
    struct hf_status status;

    if (hf_status(node->store, &status) != 0)
        return;
    if (status.last_lsn < node->last_lsn && status.last_lsn != 0)
        sim_fail(w, "node %u.%u: numbers go back from %" PRIu64 " to %" PRIu64, node->number, node->life,
                 node->last_lsn, status.last_lsn);
    if (status.durable_lsn > status.last_lsn)
        sim_fail(w, "node %u.%u: durable up to %" PRIu64 ", the last is %" PRIu64, node->number, node->life,
                 status.durable_lsn, status.last_lsn);
    if (status.journal_bytes > JOURNAL_MAX)
        sim_fail(w, "node %u.%u: a journal of %" PRIu64 " bytes", node->number, node->life, status.journal_bytes);
    if (status.quarantined != 0 && !node->troubled)
        sim_fail(w, "node %u.%u: damage was found where no disk failed", node->number, node->life);
    node->last_lsn = status.durable_lsn > node->last_lsn ? status.durable_lsn : node->last_lsn;
}

void sim_watch(struct sim_world *w)
{
    for (unsigned i = 0; i < w->plan->options.nodes; i++) {
        if (w->nodes[i].state == SIM_UP)
            watch_status(w, &w->nodes[i]);
    }
}
