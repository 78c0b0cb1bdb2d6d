/* The keys of the storm, the rules of their namespaces, and the values. */
#include "storm.h"

#include "sim_disk.h"

#include <stdlib.h>
#include <string.h>

uint64_t storm_random(uint64_t *state, uint64_t below)
{
    return sim_random(state) % below;
}

/* ---- keys ---- */

struct family {
    const char *prefix;
    enum storm_kind kind;
    unsigned n;
    enum hf_conflict_policy policy;
    enum hf_writers writers;
    enum hf_write_mode mode;
    bool with_ttl;
};

static const struct family families[] = {
    {"new:", STORM_PLAIN, 8, HF_CONFLICT_NEWEST, HF_WRITERS_ANY, HF_WRITE_THROUGH, true},
    {"rem:", STORM_PLAIN, 6, HF_CONFLICT_REMOTE, HF_WRITERS_ANY, HF_WRITE_THROUGH, true},
    {"loc:", STORM_PLAIN, 6, HF_CONFLICT_LOCAL, HF_WRITERS_ANY, HF_WRITE_BEHIND, true},
    {"park:", STORM_PLAIN, 4, HF_CONFLICT_PARK, HF_WRITERS_ANY, HF_WRITE_THROUGH, false},
    {"json:", STORM_JSON, 4, HF_CONFLICT_MERGE_JSON, HF_WRITERS_ANY, HF_WRITE_THROUGH, false},
    {"hold:", STORM_PLAIN, 6, HF_CONFLICT_NEWEST, HF_WRITERS_HOLDFAST, HF_WRITE_BEHIND, true},
    {"ctr:", STORM_COUNTER, 6, HF_CONFLICT_NEWEST, HF_WRITERS_ANY, HF_WRITE_THROUGH, false},
    {"bat:", STORM_BATCH, 3, HF_CONFLICT_NEWEST, HF_WRITERS_ANY, HF_WRITE_THROUGH, false},
};
#define N_FAMILIES (sizeof(families) / sizeof(families[0]))
#define PRIVATE_KEYS 6

static struct storm_key *add_key(struct storm_plan *plan, const struct family *family)
{
    struct storm_key *key = &plan->keys[plan->n_keys++];

    *key = (struct storm_key){.kind = family->kind,
                              .prefix = family->prefix,
                              .policy = family->policy,
                              .writers = family->writers,
                              .with_ttl = family->with_ttl};
    return key;
}

static void add_family(struct storm_plan *plan, const struct family *family)
{
    plan->namespaces[plan->n_namespaces++] = (struct hf_namespace){.prefix = family->prefix,
                                                                   .conflict = family->policy,
                                                                   .writers = family->writers,
                                                                   .write_mode = family->mode};
    for (unsigned i = 0; i < family->n; i++) {
        static const char parts[] = "abcn"; /* a batch writes its three values alike, and counts */
        unsigned n_parts = family->kind == STORM_BATCH ? 4 : 1;

        for (unsigned p = 0; p < n_parts; p++) {
            struct storm_key *key = add_key(plan, family);
            snprintf(key->name, sizeof(key->name), n_parts > 1 ? "%s%u:%c" : "%s%u", family->prefix, i, parts[p]);
        }
    }
}

/* Keys of one store alone, which no change log names. */
static void add_private(struct storm_plan *plan, unsigned owner)
{
    static const char *const prefixes[STORM_NODES_MAX] = {"own0:", "own1:", "own2:", "own3:"};
    struct family family = {.prefix = prefixes[owner], .kind = STORM_PRIVATE, .writers = HF_WRITERS_THIS_NODE};

    for (unsigned i = 0; i < PRIVATE_KEYS; i++) {
        struct storm_key *key = add_key(plan, &family);
        key->owner = owner;
        snprintf(key->name, sizeof(key->name), "%s%u", family.prefix, i);
    }
}

static void add_own_namespace(struct storm_plan *plan, unsigned node, enum hf_write_mode mode)
{
    static const char *const prefixes[STORM_NODES_MAX] = {"own0:", "own1:", "own2:", "own3:"};

    plan->namespaces[plan->n_namespaces++] = (struct hf_namespace){
        .prefix = prefixes[node], .writers = HF_WRITERS_THIS_NODE, .write_mode = mode, .change_log_off = true};
}

void storm_plan_make(const struct storm_options *options, unsigned node, struct storm_plan *ret_plan)
{
    struct storm_plan *plan = ret_plan;
    uint64_t random = options->seed * 31 + node;

    *plan = (struct storm_plan){0};
    for (size_t i = 0; i < N_FAMILIES; i++)
        add_family(plan, &families[i]);
    for (unsigned i = 0; i < options->nodes; i++)
        add_private(plan, i);
    if (node < options->nodes)
        add_own_namespace(plan, node, storm_random(&random, 2) ? HF_WRITE_THROUGH : HF_WRITE_BEHIND);
    plan->namespaces[plan->n_namespaces++] = (struct hf_namespace){.prefix = "lock:"};
    plan->namespaces[plan->n_namespaces++] = (struct hf_namespace){.prefix = ""};
    for (unsigned i = 0; options->losses && i < plan->n_namespaces; i++)
        plan->namespaces[i].on_loss = HF_LOSS_RESEED;
    plan->opts = (struct hf_options){
        .segment_bytes = 256 << 10,
        .max_disk_bytes = 256 << 20,
        .checkpoint_bytes = 64 << 10,
        .checkpoint_interval_ms = 10 + (int)storm_random(&random, 400),
        .redis_timeout_ms = 200 + (int)storm_random(&random, 300),
        .redis_connect_timeout_ms = 300,
        .redis_heartbeat_ms = 200,
        .redis_backoff_max_ms = 100,
        .namespaces = plan->namespaces,
        .n_namespaces = plan->n_namespaces,
    };
}

int storm_plan_find(const struct storm_plan *plan, const char *name)
{
    for (unsigned i = 0; i < plan->n_keys; i++) {
        if (strcmp(plan->keys[i].name, name) == 0)
            return (int)i;
    }
    return -1;
}

/* ---- values ---- */

void storm_value_make(const struct storm_key *key, unsigned writer, unsigned life, unsigned id, size_t len,
                      struct storm_value *ret_value)
{
    struct storm_value *v = ret_value;
    int n;

    if (key->kind == STORM_JSON)
        n = snprintf(v->text, sizeof(v->text), "{\"last\":\"%u.%u.%u\",\"by%u\":%u}", writer, life, id, writer, id);
    else
        n = snprintf(v->text, sizeof(v->text), "v%u.%u.%u", writer, life, id);
    v->len = key->kind == STORM_JSON || len < (size_t)n ? (size_t)n : len;
    v->bytes = malloc(v->len + 1);
    if (!v->bytes)
        abort();
    memset(v->bytes, 'x', v->len);
    memcpy(v->bytes, v->text, (size_t)n);
    if (v->len > (size_t)n)
        snprintf(v->text + n, sizeof(v->text) - (size_t)n, "x%zu", v->len - (size_t)n);
}

void storm_value_text(const char *bytes, size_t len, char text[static STORM_TEXT_MAX])
{
    size_t n = 0, xs;

    while (n < len && bytes[n] != 'x')
        n++;
    xs = n;
    while (xs < len && bytes[xs] == 'x')
        xs++;
    if (xs != len || n + 24 > STORM_TEXT_MAX || memchr(bytes, ' ', n) || memchr(bytes, 0, n)) {
        snprintf(text, STORM_TEXT_MAX, "damaged");
        return;
    }
    memcpy(text, bytes, n);
    text[n] = '\0';
    if (xs > n)
        snprintf(text + n, STORM_TEXT_MAX - n, "x%zu", xs - n);
}
