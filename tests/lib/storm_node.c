/* One store of the storm: writes at random, records what it was told, and is killed at any moment. */
#include "storm.h"

#include "scratch.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define ASYNC_MAX 64      /* submissions under way */
#define CALM_MS 30000     /* for a store to become online, drained and verified, at the most */
#define VALUE_LONG 6000   /* longer than what an examination compares as it is */
#define VALUE_MEDIUM 1000 /* ... and longer than what it hands out */

struct node {
    const struct storm_options *options;
    struct storm_plan plan;
    struct hf *store;
    unsigned number, life;
    int log, calls;
    uint64_t random;
    unsigned next_id;
    pthread_mutex_t mutex; /* guards n_async */
    unsigned n_async;
    struct storm_locks locks;
    char unquiet[STORM_KEY_MAX + 64]; /* what was still waited for */
};

/* One operation between its beginning and its end. */
struct task {
    struct node *node;
    struct storm_record record;
};

static void give_up(struct node *n, const char *what, int rc)
{
    fprintf(stderr, "storm: node %u.%u: %s returned %d: %s\n", n->number, n->life, what, rc, hf_errmsg());
    _exit(3);
}

static uint64_t below(struct node *n, uint64_t limit)
{
    return storm_random(&n->random, limit);
}

/* ---- recording ---- */

static struct storm_record record_of(struct node *n, enum storm_what what)
{
    return (struct storm_record){.writer = n->number, .life = n->life, .what = what};
}

static unsigned flags_of(const struct hf_result *r)
{
    return (r->shared ? STORM_SHARED : 0) | (r->pending ? STORM_PENDING : 0) | (r->durable ? STORM_DURABLE : 0) |
           (r->tentative ? STORM_TENTATIVE : 0);
}

static void on_settled(void *ctx, const struct hf_settlement *s)
{
    struct node *n = ctx;
    struct storm_record r = record_of(n, STORM_SETTLED);

    snprintf(r.key, sizeof(r.key), "%.*s", (int)s->key.len, (const char *)s->key.data);
    r.lsn = s->first_lsn;
    r.lsn2 = s->last_lsn;
    r.rc = s->outcome;
    r.number = s->has_number ? s->number : 0;
    storm_record_put(n->log, &r);
}

static struct storm_record begin(struct node *n, const struct storm_key *key, char op)
{
    struct storm_record r = record_of(n, STORM_BEGIN);

    r.id = ++n->next_id;
    r.op = op;
    snprintf(r.key, sizeof(r.key), "%s", key->name);
    return r;
}

/* What a store may answer in a storm; anything else ends the run. */
static bool is_expected(int rc)
{
    return rc >= 0 || rc == HF_EREFUSED || rc == HF_ENOTINT;
}

static void acknowledge(struct node *n, struct storm_record *r, int rc, const struct hf_result *result)
{
    r->what = STORM_ACK;
    r->rc = rc;
    r->lsn = result->lsn;
    r->flags = flags_of(result);
    if (r->op != 'i' && result->deadline_ms)
        r->number = result->deadline_ms;
    storm_record_put(n->log, r);
    if (!is_expected(rc))
        give_up(n, r->key, rc);
}

/* ---- operations ---- */

static int64_t some_ttl(struct node *n)
{
    if (below(n, 2))
        return STORM_TTL_LONG_MS + (int64_t)below(n, STORM_TTL_LONG_MS);
    return STORM_TTL_SHORT_MIN_MS + (int64_t)below(n, STORM_TTL_SHORT_MAX_MS - STORM_TTL_SHORT_MIN_MS);
}

static size_t some_length(struct node *n)
{
    static const size_t longest[] = {0, 0, 0, 0, 0, 200, VALUE_MEDIUM, VALUE_LONG};
    size_t most = longest[below(n, 8)];

    return most ? below(n, most) : 0;
}

/* `number` of the record is the TTL until it is acknowledged. */
static struct hf_set_options some_set_options(struct node *n, const struct storm_key *key, struct storm_record *r)
{
    struct hf_set_options set = {0};

    if (key->with_ttl && below(n, 3) == 0) {
        set.ttl_ms = some_ttl(n);
        r->number = set.ttl_ms;
    }
    return set;
}

/* A JSON object is changed from what is held: the member of this store, and one that all change. */
static void make_json(struct node *n, const struct storm_key *key, unsigned id, struct storm_value *ret)
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

static void set(struct node *n, const struct storm_key *key)
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

static void change_life(struct node *n, const struct storm_key *key, char op)
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

static void increment(struct node *n, const struct storm_key *key)
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
static void commit_batch(struct node *n, const struct storm_key *key)
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
    struct node *n = task->node;

    acknowledge(n, &task->record, result->code, result);
    pthread_mutex_lock(&n->mutex);
    n->n_async--;
    pthread_mutex_unlock(&n->mutex);
    free(task);
}

static bool may_submit(struct node *n)
{
    bool may;

    pthread_mutex_lock(&n->mutex);
    may = n->n_async < ASYNC_MAX;
    n->n_async += may;
    pthread_mutex_unlock(&n->mutex);
    return may;
}

static struct hf_op some_op(struct node *n, const struct storm_key *key, struct storm_record *r,
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

static void submit(struct node *n, const struct storm_key *key, char what)
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

static void plain_operation(struct node *n, const struct storm_key *key, bool async)
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

static void operate(struct node *n)
{
    const struct storm_key *key = &n->plan.keys[below(n, n->plan.n_keys)];
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

static void step(struct node *n)
{
    int rc = storm_locks_step(&n->locks, n->store);

    if (rc != 0)
        give_up(n, "a lock", rc);
    operate(n);
}

/* The next letter, or 0 when none has come within `ms`. */
static char next_call(struct node *n, int ms)
{
    struct pollfd p = {.fd = n->calls, .events = POLLIN};
    char call = 0;

    if (poll(&p, 1, ms) > 0 && read(n->calls, &call, 1) != 1)
        _exit(0); /* the run is over */
    return call;
}

static char blow(struct node *n)
{
    char call = 0;

    while (!call) {
        step(n);
        call = next_call(n, (int)below(n, 4));
    }
    return call;
}

/* ---- the calm ---- */

static void answer(struct node *n, char call)
{
    if (write(n->calls, &call, 1) != 1)
        _exit(0);
}

static void drain(struct node *n)
{
    struct hf_status status;
    int rc;

    storm_locks_end(&n->locks);
    rc = wait_link(n->store, HF_LINK_ONLINE, CALM_MS) ? hf_drain(n->store, CALM_MS) : HF_ETIMEOUT;

    if (rc != 0 && hf_status(n->store, &status) == 0)
        fprintf(stderr, "storm: node %u.%u is %s (%s), %llu keys and %llu operations pending, parked %llu\n",
                n->number, n->life, hf_link_text(status.link), status.link_reason,
                (unsigned long long)status.pending_keys, (unsigned long long)status.pending_ops,
                (unsigned long long)status.parked);
    if (rc != 0)
        give_up(n, "hf_drain", rc);
}

static void record_key(struct node *n, enum storm_what what, const struct storm_key *key)
{
    struct storm_record r = record_of(n, what);
    struct hf_result result = {0};
    struct hf_buf value = {0};

    snprintf(r.key, sizeof(r.key), "%s", key->name);
    r.rc = hf_get(n->store, s_(key->name), &value, &result);
    if (r.rc == 0)
        storm_value_text(value.data, value.len, r.text);
    if (!is_expected(r.rc))
        give_up(n, "hf_get", r.rc);
    hf_buf_release(&value);
    r.number = result.deadline_ms;
    r.lsn = result.lsn;
    r.id = result.origin;
    r.flags = flags_of(&result);
    storm_record_put(n->log, &r);
}

static void record_scan(struct node *n)
{
    struct hf_slice key, value;
    struct hf_result result;
    struct hf_scan *scan;
    int rc = hf_scan_open(n->store, s_(""), s_(""), &scan);

    if (rc != 0)
        give_up(n, "hf_scan_open", rc);
    while ((rc = hf_scan_next(scan, &key, &value, &result)) == 0) {
        struct storm_record r = record_of(n, STORM_SCANNED);
        snprintf(r.key, sizeof(r.key), "%.*s", (int)key.len, (const char *)key.data);
        storm_value_text(value.data, value.len, r.text);
        r.number = result.deadline_ms;
        r.lsn = result.lsn;
        r.id = result.origin;
        storm_record_put(n->log, &r);
    }
    hf_scan_close(scan);
    if (rc != HF_NOT_FOUND)
        give_up(n, "hf_scan_next", rc);
}

static int record_parked(void *ctx, const struct hf_parked *entry)
{
    struct node *n = ctx;
    struct storm_record r = record_of(n, STORM_PARKED);

    snprintf(r.key, sizeof(r.key), "%.*s", (int)entry->key.len, (const char *)entry->key.data);
    storm_value_text(entry->value.data, entry->value.len, r.text);
    r.lsn = entry->lsn;
    r.number = entry->delta;
    r.rc = entry->kind;
    r.flags = entry->in_doubt ? STORM_IN_DOUBT : 0;
    storm_record_put(n->log, &r);
    return 0;
}

static int record_conflict(void *ctx, const struct hf_conflict *conflict)
{
    struct node *n = ctx;
    struct storm_record r = record_of(n, STORM_CONFLICT);

    snprintf(r.key, sizeof(r.key), "%.*s", (int)conflict->key.len, (const char *)conflict->key.data);
    if (conflict->ours.present && !conflict->ours.too_long)
        storm_value_text(conflict->ours.value.data, conflict->ours.value.len, r.text);
    r.lsn = conflict->id;
    r.rc = conflict->winner;
    r.op = conflict->blind ? 'B' : 'c';
    storm_record_put(n->log, &r);
    return 0;
}

static void record_status(struct node *n)
{
    struct storm_record r = record_of(n, STORM_STATUS);
    struct hf_status status;
    int rc = hf_status(n->store, &status);

    if (rc != 0)
        give_up(n, "hf_status", rc);
    r.number = (int64_t)status.conflicts + (int64_t)status.blind_conflicts;
    r.id = (unsigned)status.parked;
    r.lsn = (uint64_t)status.clock_uncertainty_ms;
    r.lsn2 = status.quarantined + status.lost_conflicts + status.dropped;
    r.rc = (int)status.pending_keys;
    storm_record_put(n->log, &r);
}

/* What was parked stays here, unverified, until the operator has decided. */
static bool is_parked(struct node *n, struct hf_slice key, uint64_t lsn)
{
    enum hf_outcome outcome;

    return hf_outcome(n->store, key, lsn, &outcome) == 0 &&
           (outcome == HF_OUTCOME_PARKED || outcome == HF_OUTCOME_IN_DOUBT);
}

static bool is_verified(struct node *n, struct hf_slice key)
{
    struct hf_buf value = {0};
    struct hf_result result = {0};
    bool verified = hf_get(n->store, key, &value, &result) != 0 || result.origin == HF_ORIGIN_LOCAL_VERIFIED ||
                    is_parked(n, key, result.lsn);

    if (!verified)
        snprintf(n->unquiet, sizeof(n->unquiet), "'%.*s' has origin %d", (int)key.len, (const char *)key.data,
                 result.origin);
    hf_buf_release(&value);
    return verified;
}

static bool is_quiet(void *ctx)
{
    struct node *n = ctx;
    struct hf_status status;
    struct hf_slice key, value;
    struct hf_scan *scan;
    bool quiet = hf_status(n->store, &status) == 0 && status.link == HF_LINK_ONLINE && status.gaps == 0;

    if (!quiet)
        snprintf(n->unquiet, sizeof(n->unquiet), "%s, %llu gaps", hf_link_text(status.link),
                 (unsigned long long)status.gaps);
    if (!quiet || hf_scan_open(n->store, s_(""), s_(""), &scan) != 0)
        return false;
    while (quiet && hf_scan_next(scan, &key, &value, NULL) == 0)
        quiet = is_verified(n, key);
    hf_scan_close(scan);
    return quiet;
}

static void verify(struct node *n)
{
    if (!wait_until(is_quiet, n, CALM_MS)) {
        fprintf(stderr, "storm: node %u.%u: not quiet: %s\n", n->number, n->life, n->unquiet);
        give_up(n, "waiting for all copies to be verified", HF_ETIMEOUT);
    }
    record_scan(n);
    for (unsigned i = 0; i < n->plan.n_keys; i++)
        record_key(n, STORM_FINAL, &n->plan.keys[i]);
    if (hf_parked_list(n->store, record_parked, n) != 0 || hf_conflict_list(n->store, 0, record_conflict, n) != 0)
        give_up(n, "listing", -1);
    record_status(n);
}

static void obey(struct node *n, char call)
{
    if (call == 'd')
        drain(n);
    else if (call == 'v')
        verify(n);
    else if (hf_close(n->store) != 0)
        give_up(n, "hf_close", -1);
    answer(n, call);
    if (call == 'q')
        _exit(0);
}

/* ---- a life ---- */

static void open_store(struct node *n, const char *dir, const char *address)
{
    struct storm_record opened = record_of(n, STORM_OPENED);
    struct hf_status status;
    int rc;

    n->plan.opts.redis = address;
    n->plan.opts.settled = on_settled;
    n->plan.opts.settled_ctx = n;
    rc = hf_open(dir, &n->plan.opts, &n->store);
    if (rc != 0 || hf_status(n->store, &status) != 0)
        give_up(n, "hf_open", rc);
    snprintf(opened.text, sizeof(opened.text), "%s", status.node);
    storm_record_put(n->log, &opened);
}

void storm_node_main(const struct storm_options *options, unsigned node, unsigned life, const char *dir,
                     const char *address, int log, int calls)
{
    static struct node n;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    n = (struct node){.options = options, .number = node, .life = life, .log = log, .calls = calls};
    n.random = options->seed * 1000003 + node * 1009 + life;
    n.locks = (struct storm_locks){.writer = node, .life = life, .log = log, .random = n.random + 1};
    pthread_mutex_init(&n.mutex, NULL);
    storm_plan_make(options, node, &n.plan);
    open_store(&n, dir, address);
    for (unsigned i = 0; i < n.plan.n_keys; i++) {
        if (n.plan.keys[i].kind == STORM_PRIVATE && n.plan.keys[i].owner == node)
            record_key(&n, STORM_FOUND, &n.plan.keys[i]);
    }
    for (char call = blow(&n);; call = next_call(&n, -1))
        obey(&n, call);
}
