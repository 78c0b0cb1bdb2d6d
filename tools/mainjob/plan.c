/* What is done in each part of the job. */
#include "plan.h"

#include "story.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define HOUR_MS 3600000
#define N_COUNTERS 20

/* Records are dealt out by their number modulo 8, so that the uses do not meet. */
enum use {
    USE_OVERWRITE, /* in both halves of the outage */
    USE_DELETE,
    USE_SHORT, /* overwritten with a deadline that passes during the outage */
    USE_EXPIRE,
    USE_PERSIST,
    USE_ONLINE,
    USE_REVIVE,  /* deleted in the first half, made again in the second */
    USE_NOTHING, /* stays as it was imported */
    N_USES,
};

struct making {
    const struct records *records;
    struct plan plan;
    size_t capacity;
    int64_t start_ms;
    bool failed;
};

static struct plan_op *add(struct making *m, enum hf_op_kind kind, char *key)
{
    if (m->plan.n == m->capacity) {
        size_t capacity = m->capacity ? 2 * m->capacity : 1024;
        struct plan_op *grown = realloc(m->plan.ops, capacity * sizeof(*grown));
        if (grown) {
            m->plan.ops = grown;
            m->capacity = capacity;
        }
    }
    if (!key || m->plan.n == m->capacity) {
        m->failed = true;
        free(key);
        return NULL;
    }
    m->plan.ops[m->plan.n] = (struct plan_op){.kind = kind, .key = key};
    return &m->plan.ops[m->plan.n++];
}

static char *text(const char *format, ...) __attribute__((format(printf, 1, 2)));

static char *text(const char *format, ...)
{
    char *result = NULL;
    va_list args;

    va_start(args, format);
    if (vasprintf(&result, format, args) < 0)
        result = NULL;
    va_end(args);
    return result;
}

/* `ttl_ms` from the plan's start; 0: none. Takes over `key` and `value`. */
static void add_set(struct making *m, char *key, char *value, int64_t ttl_ms)
{
    struct plan_op *op = add(m, HF_OP_SET, key);

    if (!op || !value) {
        m->failed = true;
        free(value);
        return;
    }
    op->value = value;
    op->deadline_ms = ttl_ms ? m->start_ms + ttl_ms : 0;
}

static void add_increments(struct making *m, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct plan_op *op = add(m, HF_OP_INCR, text("count:%02zu", i % N_COUNTERS));
        if (op)
            op->delta = (int64_t)(1 + i % 7);
    }
}

/* Put the operations in an order in which every kind is everywhere, the same one each time. */
static void shuffle(struct plan *plan)
{
    uint64_t state = 88172645463325252u;

    for (size_t i = plan->n; i > 1; i--) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        size_t k = (size_t)(state % i);
        struct plan_op op = plan->ops[i - 1];
        plan->ops[i - 1] = plan->ops[k];
        plan->ops[k] = op;
    }
}

/* ---- the parts ---- */

static char *copy(const char *s)
{
    return text("%s", s);
}

/* Every record that is to be persisted later, and every fifth other one, has a deadline. */
static void make_import(struct making *m)
{
    for (size_t i = 0; i < m->records->n; i++) {
        bool with_ttl = i % N_USES == USE_PERSIST || i % 5 == 0;
        add_set(m, copy(m->records->all[i].key), copy(m->records->all[i].value),
                with_ttl ? HOUR_MS + (int64_t)i * 1000 : 0);
    }
}

/* The record with a mark, so that every version differs. */
static char *revised(const struct record *record, const char *when)
{
    return text("{\"revised\":\"%s\",\"record\":%s}", when, record->value);
}

static void revise(struct making *m, enum use use, const char *when, int64_t ttl_ms)
{
    for (size_t i = use; i < m->records->n; i += N_USES)
        add_set(m, copy(m->records->all[i].key), revised(&m->records->all[i], when), ttl_ms);
}

static void change(struct making *m, enum use use, enum hf_op_kind kind)
{
    for (size_t i = use; i < m->records->n; i += N_USES) {
        struct plan_op *op = add(m, kind, copy(m->records->all[i].key));
        if (op && kind == HF_OP_EXPIRE_AT)
            op->deadline_ms = m->start_ms + 2 * HOUR_MS + (int64_t)i;
    }
}

static void make_online(struct making *m)
{
    revise(m, USE_ONLINE, "online", 0);
    add_increments(m, 200);
    shuffle(&m->plan);
}

static void make_outage(struct making *m)
{
    for (size_t i = 0; i < 2000; i++)
        add_set(m, text("note:%05zu", i), text("note %zu, taken while Redis was away", i),
                i % 4 == 0 ? 3 * HOUR_MS : 0);
    for (size_t i = 0; i < 300; i++)
        add_set(m, text("flash:%03zu", i), text("gone before Redis is back"), PLAN_SHORT_MS);
    revise(m, USE_OVERWRITE, "outage", 0);
    revise(m, USE_SHORT, "short", PLAN_SHORT_MS);
    change(m, USE_DELETE, HF_OP_DELETE);
    change(m, USE_REVIVE, HF_OP_DELETE);
    change(m, USE_EXPIRE, HF_OP_EXPIRE_AT);
    change(m, USE_PERSIST, HF_OP_PERSIST);
    add_increments(m, 1000);
    shuffle(&m->plan);
}

static void make_outage2(struct making *m)
{
    revise(m, USE_OVERWRITE, "outage, again", HOUR_MS);
    revise(m, USE_REVIVE, "revived", 0);
    for (size_t i = 0; i < 2000; i += 3)
        add(m, HF_OP_DELETE, text("note:%05zu", i));
    add_increments(m, 500);
    shuffle(&m->plan);
}

int plan_make(enum plan_part part, const struct records *records, int64_t start_ms, struct plan *ret_plan)
{
    static void (*const make[])(struct making * m) = {
        [PLAN_IMPORT] = make_import,
        [PLAN_ONLINE] = make_online,
        [PLAN_OUTAGE] = make_outage,
        [PLAN_OUTAGE2] = make_outage2,
    };
    struct making m = {.records = records, .start_ms = start_ms};

    make[part](&m);
    if (m.failed) {
        plan_release(&m.plan);
        return story_wrong("out of memory");
    }
    *ret_plan = m.plan;
    return 0;
}

void plan_release(struct plan *plan)
{
    for (size_t i = 0; i < plan->n; i++) {
        free(plan->ops[i].key);
        free(plan->ops[i].value);
    }
    free(plan->ops);
    *plan = (struct plan){0};
}
