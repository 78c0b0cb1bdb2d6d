/* Operations that follow from their numbers, and what they leave; see ledger.h. */
#include "ledger.h"

#include "bytes.h"
#include "fail.h"
#include "sim_disk.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PARTS_MAX 6                      /* of a batch */
#define NAME_BYTES 16                    /* of a key, with its NUL */
#define VALUE_MAX 72000u                 /* more than the smallest segment holds */
#define DEADLINE_FROM_MS 4102444800000LL /* the year 2100: nothing expires here */

/* ---- what an operation is ---- */

/* One operation; more than one part is a batch. */
struct plan {
    struct hf_op parts[PARTS_MAX];
    unsigned slots[PARTS_MAX]; /* which key, or which counter */
    char names[PARTS_MAX][NAME_BYTES];
    size_t n;
    bool waits; /* for its acknowledgement */
};

/* Mostly short; now and then a few sectors, and rarely one that needs a segment of its own. */
static size_t value_len(uint64_t number)
{
    uint64_t random = number;
    uint64_t kind = sim_random(&random) % 40;

    if (kind == 0)
        return VALUE_MAX - sim_random(&random) % 2000;
    return kind < 6 ? 600 + sim_random(&random) % 3000 : 24 + sim_random(&random) % 400;
}

/* The value that an operation gives to a key: its number, then letters that follow from both. */
static size_t value_make(uint64_t number, unsigned slot, char *value)
{
    size_t len = value_len(number);
    int n = snprintf(value, 24, "%" PRIu64 " ", number);

    for (size_t i = (size_t)n; i < len; i++)
        value[i] = (char)('a' + (number * 7 + slot * 3 + i) % 26);
    return len;
}

static void plan_part(struct plan *plan, size_t i, uint64_t number, uint64_t *random)
{
    static const enum hf_op_kind kinds[] = {HF_OP_SET,    HF_OP_SET,       HF_OP_SET,     HF_OP_SET,
                                            HF_OP_DELETE, HF_OP_EXPIRE_AT, HF_OP_PERSIST, HF_OP_INCR};
    struct hf_op *op = &plan->parts[i];
    bool counts;

    *op = (struct hf_op){.kind = kinds[sim_random(random) % 8]};
    counts = op->kind == HF_OP_INCR;
    plan->slots[i] = (unsigned)(sim_random(random) % (counts ? LEDGER_COUNTERS : LEDGER_KEYS));
    snprintf(plan->names[i], NAME_BYTES, "%s%u", counts ? "counter" : "key", plan->slots[i]);
    op->key = hf__slice_str(plan->names[i]);
    op->delta = 1 + (int64_t)(sim_random(random) % 9);
    op->deadline_ms = DEADLINE_FROM_MS + (int64_t)number;
    if (op->kind == HF_OP_SET && sim_random(random) % 4 == 0)
        op->set.deadline_ms = op->deadline_ms;
}

static void plan_make(struct plan *plan, uint64_t seed, uint64_t number)
{
    uint64_t random = seed * 1000003 + number;

    *plan = (struct plan){.n = sim_random(&random) % 6 == 0 ? 2 + sim_random(&random) % (PARTS_MAX - 1) : 1};
    plan->waits = plan->n > 1 || sim_random(&random) % 3 > 0;
    for (size_t i = 0; i < plan->n; i++)
        plan_part(plan, i, number, &random);
}

/* ---- doing it ---- */

static int do_single(struct hf *store, const struct hf_op *op, struct hf_result *ret_result)
{
    switch (op->kind) {
    case HF_OP_SET: return hf_set(store, op->key, op->value, &op->set, ret_result);
    case HF_OP_DELETE: return hf_delete(store, op->key, ret_result);
    case HF_OP_EXPIRE_AT: return hf_expire_at(store, op->key, op->deadline_ms, ret_result);
    case HF_OP_PERSIST: return hf_persist(store, op->key, ret_result);
    default: return hf_incr(store, op->key, op->delta, &(int64_t){0}, ret_result);
    }
}

static int add_to_batch(struct hf_batch *batch, const struct hf_op *op)
{
    switch (op->kind) {
    case HF_OP_SET: return hf_batch_set(batch, op->key, op->value, &op->set);
    case HF_OP_DELETE: return hf_batch_delete(batch, op->key);
    case HF_OP_EXPIRE_AT: return hf_batch_expire_at(batch, op->key, op->deadline_ms);
    case HF_OP_PERSIST: return hf_batch_persist(batch, op->key);
    default: return hf_batch_incr(batch, op->key, op->delta);
    }
}

static int do_batch(struct hf *store, const struct plan *plan, struct hf_result *ret_result)
{
    struct hf_batch *batch;
    int rc = hf_batch_new(store, &batch);

    if (rc != 0)
        return rc;
    for (size_t i = 0; i < plan->n && rc == 0; i++)
        rc = add_to_batch(batch, &plan->parts[i]);
    if (rc == 0)
        rc = hf_batch_commit(batch, ret_result);
    hf_batch_free(batch);
    return rc;
}

/* `*ret_acked`: the library has said that it is done, and with it all before it. What found nothing to do says nothing of
 * those that were only handed over. */
static int do_one(struct hf *store, struct plan *plan, uint64_t number, bool waits, bool *ret_acked)
{
    static char values[PARTS_MAX][VALUE_MAX];
    struct hf_result result = {0};
    int rc;

    for (size_t i = 0; i < plan->n; i++) {
        if (plan->parts[i].kind == HF_OP_SET)
            plan->parts[i].value = hf__slice(values[i], value_make(number, plan->slots[i], values[i]));
    }
    rc = waits ? HF_NOT_DONE : hf_try_write(store, &plan->parts[0], &result);
    waits = rc == HF_NOT_DONE; /* also where a Redis could be asked by now */
    if (waits)
        rc = plan->n > 1 ? do_batch(store, plan, &result) : do_single(store, &plan->parts[0], &result);
    *ret_acked = rc == 0 && waits && result.lsn > 0;
    return rc == HF_NOT_FOUND ? 0 : rc;
}

int ledger_write(struct ledger *ledger, struct hf *store, uint64_t last)
{
    uint64_t number;
    int rc = 0;

    while (rc == 0 && (number = atomic_load(&ledger->begun) + 1) <= last) {
        struct plan plan;
        bool acked;
        plan_make(&plan, ledger->seed, number);
        atomic_store(&ledger->begun, number);
        rc = do_one(store, &plan, number, plan.waits || number == last, &acked);
        if (acked)
            atomic_store(&ledger->acked, number);
    }
    return rc;
}

/* ---- the account ---- */

static void move_part(struct account *a, const struct hf_op *op, unsigned slot, uint64_t number)
{
    struct account_key *key = &a->keys[slot]; /* of a counter: looked at by nobody */

    if (op->kind == HF_OP_INCR)
        a->counters[slot] += op->delta;
    else if (op->kind == HF_OP_SET)
        *key = (struct account_key){.number = number, .deadline_ms = op->set.deadline_ms};
    else if (op->kind == HF_OP_DELETE)
        *key = (struct account_key){0};
    else if (key->number != 0)
        key->deadline_ms = op->kind == HF_OP_PERSIST ? 0 : op->deadline_ms;
}

void account_move(struct account *account, uint64_t seed, uint64_t number)
{
    struct plan plan;

    plan_make(&plan, seed, number);
    for (size_t i = 0; i < plan.n; i++)
        move_part(account, &plan.parts[i], plan.slots[i], number);
}

/* What a value begins with. */
static int64_t number_of(struct hf_slice value)
{
    char text[24] = "";

    memcpy(text, value.data, value.len < sizeof(text) ? value.len : sizeof(text) - 1);
    return strtoll(text, NULL, 10);
}

static int read_key(struct account_key *key, unsigned slot, struct hf_slice value, int64_t deadline_ms)
{
    static char expected[VALUE_MAX];
    uint64_t number = (uint64_t)number_of(value);
    size_t len = value_make(number, slot, expected);

    if (len != value.len || memcmp(expected, value.data, len) != 0)
        return hf__fail(HF_ECORRUPT, "key%u holds %zu bytes that no operation wrote", slot, value.len);
    *key = (struct account_key){.number = number, .deadline_ms = deadline_ms};
    return 0;
}

static int read_one(struct account *a, struct hf_slice name, struct hf_slice value, int64_t deadline_ms)
{
    char text[NAME_BYTES] = "";
    unsigned slot;

    if (name.len < sizeof(text))
        memcpy(text, name.data, name.len);
    if (sscanf(text, "key%u", &slot) == 1 && slot < LEDGER_KEYS)
        return read_key(&a->keys[slot], slot, value, deadline_ms);
    if (sscanf(text, "counter%u", &slot) != 1 || slot >= LEDGER_COUNTERS || deadline_ms != 0)
        return hf__fail(HF_ECORRUPT, "there is a key '%s' that no operation wrote", text);
    a->counters[slot] = number_of(value);
    return 0;
}

int account_read(struct hf *store, struct account *ret_account)
{
    struct account account = {0};
    struct hf_slice name, value;
    struct hf_result result;
    struct hf_scan *scan;
    int rc = hf_scan_open(store, (struct hf_slice){0}, (struct hf_slice){0}, &scan);

    if (rc != 0)
        return rc;
    while ((rc = hf_scan_next(scan, &name, &value, &result)) == 0) {
        rc = read_one(&account, name, value, result.deadline_ms);
        if (rc != 0)
            break;
    }
    hf_scan_close(scan);
    if (rc != HF_NOT_FOUND)
        return rc;
    *ret_account = account;
    return 0;
}

int64_t account_reach(struct account *account, uint64_t seed, uint64_t from, uint64_t to,
                      const struct account *found)
{
    for (uint64_t number = from; number <= to; number++) {
        if (number > from)
            account_move(account, seed, number);
        if (memcmp(account, found, sizeof(*found)) == 0)
            return (int64_t)number;
    }
    return -1;
}

static bool key_agrees(const struct account *account, unsigned slot, bool (*holds)(const char *, const char *))
{
    static char value[VALUE_MAX + 1];
    char name[NAME_BYTES];
    uint64_t number = account->keys[slot].number;

    snprintf(name, sizeof(name), "key%u", slot);
    if (number == 0)
        return holds(name, NULL);
    value[value_make(number, slot, value)] = '\0';
    return holds(name, value);
}

static bool counter_agrees(const struct account *account, unsigned slot, bool (*holds)(const char *, const char *))
{
    char name[NAME_BYTES], text[24];

    snprintf(name, sizeof(name), "counter%u", slot);
    snprintf(text, sizeof(text), "%" PRId64, account->counters[slot]);
    return holds(name, account->counters[slot] == 0 ? NULL : text);
}

bool account_agrees(const struct account *account, bool (*holds)(const char *name, const char *text))
{
    bool agrees = true;

    for (unsigned slot = 0; slot < LEDGER_KEYS; slot++)
        agrees = agrees && key_agrees(account, slot, holds);
    for (unsigned slot = 0; slot < LEDGER_COUNTERS; slot++)
        agrees = agrees && counter_agrees(account, slot, holds);
    return agrees;
}
