/* What a store of the storm does to its keys, and what it records of that. */
#include "storm.h"

#include "scratch.h"

#include <stdlib.h>
#include <string.h>

#define ASYNC_MAX 64      /* submissions under way */
#define VALUE_LONG 6000   /* longer than what an examination compares as it is */
#define VALUE_MEDIUM 1000 /* ... and longer than what it hands out */

/* One operation between its beginning and its end. */
struct task {
    struct storm_node *node;
    struct storm_record record;
};

static uint64_t below(struct storm_node *n, uint64_t limit)
{
    return storm_random(&n->random, limit);
}

void storm_node_init(struct storm_node *n, const struct storm_options *options, unsigned node, unsigned life,
                     int log)
{
    *n = (struct storm_node){.number = node, .life = life, .log = log};
    n->locks = (struct storm_locks){.writer = node, .life = life, .log = log};
    pthread_mutex_init(&n->mutex, NULL);
    storm_plan_make(options, node, &n->plan);
}

/* ---- recording ---- */

struct storm_record storm_record_of(const struct storm_node *n, enum storm_what what)
{
    return (struct storm_record){.writer = n->number, .life = n->life, .what = what};
}

unsigned storm_flags_of(const struct hf_result *r)
{
    return (r->shared ? STORM_SHARED : 0) | (r->pending ? STORM_PENDING : 0) | (r->durable ? STORM_DURABLE : 0) |
           (r->tentative ? STORM_TENTATIVE : 0);
}

void storm_on_settled(void *ctx, const struct hf_settlement *s)
{
    struct storm_node *n = ctx;
    struct storm_record r = storm_record_of(n, STORM_SETTLED);

    snprintf(r.key, sizeof(r.key), "%.*s", (int)s->key.len, (const char *)s->key.data);
    r.lsn = s->first_lsn;
    r.lsn2 = s->last_lsn;
    r.rc = s->outcome;
    r.number = s->has_number ? s->number : 0;
    storm_record_put(n->log, &r);
}

static struct storm_record begin(struct storm_node *n, const struct storm_key *key, char op)
{
    struct storm_record r = storm_record_of(n, STORM_BEGIN);

    r.id = ++n->next_id;
    r.op = op;
    snprintf(r.key, sizeof(r.key), "%s", key->name);
    return r;
}

bool storm_is_expected(int rc)
{
    return rc >= 0 || rc == HF_EREFUSED || rc == HF_ENOTINT;
}

static void acknowledge(struct storm_node *n, struct storm_record *r, int rc, const struct hf_result *result)
{
    r->what = STORM_ACK;
    r->rc = rc;
    r->lsn = result->lsn;
    r->flags = storm_flags_of(result);
    if (r->op != 'i' && result->deadline_ms)
        r->number = result->deadline_ms;
    storm_record_put(n->log, r);
    if (!storm_is_expected(rc))
        n->give_up(n, r->key, rc);
}

/* ---- operations ---- */

static int64_t some_ttl(struct storm_node *n)
{
    if (below(n, 2))
        return STORM_TTL_LONG_MS + (int64_t)below(n, STORM_TTL_LONG_MS);
    return STORM_TTL_SHORT_MIN_MS + (int64_t)below(n, STORM_TTL_SHORT_MAX_MS - STORM_TTL_SHORT_MIN_MS);
}

static size_t some_length(struct storm_node *n)
{
    static const size_t longest[] = {0, 0, 0, 0, 0, 200, VALUE_MEDIUM, VALUE_LONG};
    size_t most = longest[below(n, 8)];

    return most ? below(n, most) : 0;
}

/* `number` of the record is the TTL until it is acknowledged. */
static struct hf_set_options some_set_options(struct storm_node *n, const struct storm_key *key,
                                              struct storm_record *r)
{
    struct hf_set_options set = {0};

    if (key->with_ttl && below(n, 3) == 0) {
        set.ttl_ms = some_ttl(n);
        r->number = set.ttl_ms;
    }
    return set;
}

/* A JSON object is changed from what is held: the member of this store, and one that all change. */
static void make_json(struct storm_node *n, const struct storm_key *key, unsigned id, struct storm_value *ret)
{
    struct hf_buf held = {0};
    char own[16];
    size_t len;

    storm_value_make(key, n->number, n->life, id, 0, ret);
    if (hf_get(n->store, s_(key->name), &held, NULL) != 0)
        return;
    len = (size_t)snprintf(ret->text, sizeof(ret->text), "{\"last\":\"%u.%u.%u\"", n->number, n->life, id);
    for (unsigned i = 0; i < STORM_NODES_MAX; i++) {
        const char *member;
        snprintf(own, sizeof(own), "\"by%u\":", i);
        member = strstr((char *)held.data, own);
        if (i == n->number || member)
            len += (size_t)snprintf(ret->text + len, sizeof(ret->text) - len, ",%s%u", own,
                                    i == n->number ? id : (unsigned)strtoul(member + 6, NULL, 10));
    }
    len += (size_t)snprintf(ret->text + len, sizeof(ret->text) - len, "}");
    hf_buf_release(&held);
    free(ret->bytes);
    ret->len = len;
    ret->bytes = strdup(ret->text);
}

static void set(struct storm_node *n, const struct storm_key *key)
{
    struct storm_record r = begin(n, key, 's');
    struct hf_set_options set = some_set_options(n, key, &r);
    struct hf_result result = {0};
    struct storm_value value;
    int rc;

    if (key->kind == STORM_JSON)
        make_json(n, key, r.id, &value);
    else
        storm_value_make(key, n->number, n->life, r.id, some_length(n), &value);
    snprintf(r.text, sizeof(r.text), "%s", value.text);
    storm_record_put(n->log, &r);
    rc = hf_set(n->store, s_(key->name), (struct hf_slice){value.bytes, value.len}, &set, &result);
    acknowledge(n, &r, rc, &result);
    free(value.bytes);
}

static void change_life(struct storm_node *n, const struct storm_key *key, char op)
{
    struct storm_record r = begin(n, key, op);
    struct hf_result result = {0};
    int rc;

    if (op == 'e')
        r.number = some_ttl(n);
    storm_record_put(n->log, &r);
    if (op == 'd')
        rc = hf_delete(n->store, s_(key->name), &result);
    else if (op == 'e')
        rc = hf_expire(n->store, s_(key->name), r.number, &result);
    else
        rc = hf_persist(n->store, s_(key->name), &result);
    acknowledge(n, &r, rc, &result);
}

static void increment(struct storm_node *n, const struct storm_key *key)
{
    struct storm_record r = begin(n, key, 'i');
    struct hf_result result = {0};
    int64_t value;
    int rc;

    r.number = 1 + (int64_t)below(n, 1000000);
    storm_record_put(n->log, &r);
    rc = hf_incr(n->store, s_(key->name), r.number, &value, &result);
    acknowledge(n, &r, rc, &result);
}

/* The key names one part of the batch's group: "bat:1:c". */
static void commit_batch(struct storm_node *n, const struct storm_key *key)
{
    struct storm_record r = begin(n, key, 'b');
    struct hf_result result = {0};
    struct storm_value value;
    struct hf_batch *batch;
    size_t stem = strlen(key->name) - 1;
    int rc;

    r.key[stem] = '\0';
    storm_value_make(key, n->number, n->life, r.id, 0, &value);
    snprintf(r.text, sizeof(r.text), "%s", value.text);
    storm_record_put(n->log, &r);
    rc = hf_batch_new(n->store, &batch);
    for (const char *part = "abcn"; rc == 0 && *part; part++) {
        char name[STORM_KEY_MAX + 1];
        snprintf(name, sizeof(name), "%s%c", r.key, *part);
        rc = *part == 'n' ? hf_batch_incr(batch, s_(name), 1) : hf_batch_set(batch, s_(name), s_(value.text), NULL);
    }
    if (rc == 0)
        rc = hf_batch_commit(batch, &result);
    acknowledge(n, &r, rc, &result);
    hf_batch_free(batch);
    free(value.bytes);
}

/* ---- submissions ---- */

static void on_done(void *ctx, const struct hf_result *result)
{
    struct task *task = ctx;
    struct storm_node *n = task->node;

    acknowledge(n, &task->record, result->code, result);
    pthread_mutex_lock(&n->mutex);
    n->n_async--;
    pthread_mutex_unlock(&n->mutex);
    free(task);
}

static bool may_submit(struct storm_node *n)
{
    bool may;

    pthread_mutex_lock(&n->mutex);
    may = n->n_async < ASYNC_MAX;
    n->n_async += may;
    pthread_mutex_unlock(&n->mutex);
    return may;
}

static struct hf_op some_op(struct storm_node *n, const struct storm_key *key, struct storm_record *r,
                            struct storm_value *value)
{
    struct hf_op op = {.kind = HF_OP_SET, .key = s_(key->name)};

    if (r->op == 's') {
        op.set = some_set_options(n, key, r);
        storm_value_make(key, n->number, n->life, r->id, some_length(n), value);
        snprintf(r->text, sizeof(r->text), "%s", value->text);
        op.value = (struct hf_slice){value->bytes, value->len};
    } else if (r->op == 'd') {
        op.kind = HF_OP_DELETE;
    } else {
        op.kind = HF_OP_INCR;
        op.delta = r->number = 1 + (int64_t)below(n, 1000000);
    }
    return op;
}

static void submit(struct storm_node *n, const struct storm_key *key, char what)
{
    struct task *task = calloc(1, sizeof(*task));
    struct storm_value value = {0};
    struct hf_op op;
    int rc;

    if (!task)
        abort();
    task->node = n;
    task->record = begin(n, key, what);
    op = some_op(n, key, &task->record, &value);
    storm_record_put(n->log, &task->record);
    rc = hf_submit(n->store, &op, on_done, task);
    free(value.bytes);
    if (rc != 0)
        on_done(task, &(struct hf_result){.code = rc});
}

/* ---- the storm ---- */

static void plain_operation(struct storm_node *n, const struct storm_key *key, bool async)
{
    unsigned dice = (unsigned)below(n, 20);

    if (dice < 3 && async)
        submit(n, key, 'd');
    else if (dice < 3)
        change_life(n, key, 'd');
    else if (key->with_ttl && dice < 5)
        change_life(n, key, 'e');
    else if (key->with_ttl && dice < 6)
        change_life(n, key, 'p');
    else if (async)
        submit(n, key, 's');
    else
        set(n, key);
}

void storm_operate(struct storm_node *n, const struct storm_key *key)
{
    bool async = below(n, 3) == 0 && may_submit(n);

    if (key->kind == STORM_PRIVATE && key->owner != n->number)
        key = &n->plan.keys[0];
    if (async && (key->kind == STORM_JSON || key->kind == STORM_BATCH)) {
        async = false;
        pthread_mutex_lock(&n->mutex);
        n->n_async--;
        pthread_mutex_unlock(&n->mutex);
    }
    switch (key->kind) {
    case STORM_COUNTER: async ? submit(n, key, 'i') : increment(n, key); break;
    case STORM_BATCH: commit_batch(n, key); break;
    case STORM_JSON: set(n, key); break;
    default: plain_operation(n, key, async); break;
    }
}
