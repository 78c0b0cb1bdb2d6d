/* Out of memory at each allocation of the library: the 1st, the 2nd, ... fails, alone or with all after it, until a run is not
 * hit any more. Each run is a process of its own on a store of its own: every call must end in an answer or an error, what it
 * read must have been written, and a store opened afterwards, with memory, must hold every acknowledged write, and Redis the same.
 *
 *   HOLDFAST_SWEEP=all         every point, instead of POINTS of each sweep
 *   HOLDFAST_SEED=n            others of them
 *   HOLDFAST_POINT=name,n,once one run, of scenario `name` (... ,n,forever): as a failure names it */
#include "ignore.h"
#include "memory_fault.h"
#include "redis_server.h"
#include "scratch.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define POINTS 25       /* of a sweep, unless all are asked for */
#define HANG_S 30       /* a run that takes longer hangs */
#define CPU_MS_MAX 8000 /* a thread that tries again without a pause would take more */
#define KEYS 24
#define LONGEST 40000
#define DRAIN_MS 15000

/* ---- what a run knows ---- */

/* A value is its number in decimal and dots up to its length. */
struct value {
    long long number; /* 0: none */
    size_t len;       /* at least that of the number */
};

struct key {
    char name[1200];
    struct value now, other;
    bool either; /* a call has said that its outcome is unknown: `other` may be there instead */
};

struct submitted {
    atomic_int code; /* NOT_ENDED, or what `done` was told */
    bool accepted;
    struct value value;
};
#define NOT_ENDED 1000

/* What the process that is hit tells the one that started it. */
struct report {
    unsigned long seen, failed, acked, refused;
};

struct run {
    struct hf_options opts;
    struct hf_namespace namespaces[3];
    char dir[80], store_dir[96];
    struct hf *store; /* NULL while closed */
    struct key keys[KEYS];
    struct submitted submitted[2]; /* of the last keys */
    long long next, counted, maybe_counted;
    struct report *report;
};

struct scenario {
    const char *name;
    bool with_redis;
    void (*prepare)(struct run *run); /* with memory */
    void (*play)(struct run *run);    /* without */
    void (*check)(struct run *run);   /* with the store open again, and drained */
};

static struct redis_server redis;

/* In the process that is hit: no test of cmocka runs there. */
#define must(condition, ...)                                                                                       \
    do {                                                                                                           \
        if (!(condition)) {                                                                                        \
            (void)memory_fault_disarm();                                                                           \
            fprintf(stderr, "%s:%d: ", __FILE__, __LINE__);                                                        \
            fprintf(stderr, __VA_ARGS__);                                                                          \
            fprintf(stderr, " (last sentence: %s)\n", hf_errmsg());                                                \
            memory_fault_tell();                                                                                   \
            _exit(1);                                                                                              \
        }                                                                                                          \
    } while (0)

static struct hf_slice name_of(const struct run *run, int i)
{
    return s_(run->keys[i].name);
}

static struct hf_slice bytes_of(struct value value)
{
    static _Thread_local char text[LONGEST];
    int n = snprintf(text, sizeof(text), "%lld", value.number);

    if (value.len > (size_t)n)
        memset(text + n, '.', value.len - (size_t)n);
    return (struct hf_slice){.data = text, .len = value.len > (size_t)n ? value.len : (size_t)n};
}

static bool is_value(const struct hf_buf *found, struct value value)
{
    struct hf_slice wanted = bytes_of(value);

    return found
               ? value.number != 0 && found->len == wanted.len && memcmp(found->data, wanted.data, wanted.len) == 0
               : value.number == 0;
}

/* `found` is NULL for an absent key. */
static void must_be(const struct key *key, const struct hf_buf *found, const char *where)
{
    bool right = is_value(found, key->now) || (key->either && is_value(found, key->other));

    must(right, "%s: '%.20s' is %.*s; acknowledged was %lld%s", where, key->name, found ? (int)found->len % 40 : 6,
         found ? (char *)found->data : "absent", key->now.number, key->either ? ", or another unknown one" : "");
}

static struct value new_value(struct run *run, size_t len)
{
    return (struct value){.number = ++run->next, .len = len};
}

/* A call that fails has changed nothing, unless its outcome is unknown. */
static void note(struct run *run, int i, int rc, struct value value)
{
    struct key *key = &run->keys[i];

    if (rc == 0) {
        key->now = value;
        key->either = false;
        run->report->acked++;
    } else if (rc == HF_EUNKNOWN) {
        key->other = value;
        key->either = true;
    }
    run->report->refused += rc < 0;
}

/* ---- the calls ---- */

static void set_key(struct run *run, int i, size_t len)
{
    struct value value = new_value(run, len);

    note(run, i, hf_set(run->store, name_of(run, i), bytes_of(value), NULL, NULL), value);
}

static void delete_key(struct run *run, int i)
{
    int rc = hf_delete(run->store, name_of(run, i), NULL);

    note(run, i, rc == HF_NOT_FOUND ? 0 : rc, (struct value){0});
}

static void count(struct run *run, int64_t delta)
{
    int64_t n;
    int rc = hf_incr(run->store, s_("counter"), delta, &n, NULL);

    run->counted += rc == 0 ? delta : 0;
    run->maybe_counted += rc == HF_EUNKNOWN ? delta : 0;
    run->report->acked += rc == 0;
    run->report->refused += rc < 0;
}

static void read_key(struct run *run, int i)
{
    struct hf_buf found = {0};
    int rc = hf_get(run->store, name_of(run, i), &found, NULL);

    if (rc == 0 || rc == HF_NOT_FOUND)
        must_be(&run->keys[i], rc == 0 ? &found : NULL, "a read");
    hf_buf_release(&found);
}

/* All or none: a batch that fails has changed nothing. */
static void write_batch(struct run *run, int a, int b, int64_t delta)
{
    struct value first = new_value(run, 10), second = new_value(run, 2000);
    struct hf_batch *batch = NULL;
    int rc = hf_batch_new(run->store, &batch);

    if (rc == 0)
        rc = hf_batch_set(batch, name_of(run, a), bytes_of(first), NULL);
    if (rc == 0)
        rc = hf_batch_set(batch, name_of(run, b), bytes_of(second), NULL);
    if (rc == 0)
        rc = hf_batch_incr(batch, s_("counter"), delta);
    if (rc == 0)
        rc = hf_batch_commit(batch, NULL);
    hf_batch_free(batch);
    note(run, a, rc, first);
    note(run, b, rc, second);
    run->counted += rc == 0 ? delta : 0;
    run->maybe_counted += rc == HF_EUNKNOWN ? delta : 0;
}

static void note_done(void *ctx, const struct hf_result *result)
{
    atomic_store((atomic_int *)ctx, result->code);
}

/* Into the key that is the submission's own; what came of it is looked at when the store is closed. */
static void submit(struct run *run, int which)
{
    struct submitted *s = &run->submitted[which];
    struct hf_op op = {.kind = HF_OP_SET, .key = name_of(run, KEYS - 2 + which)};

    s->value = new_value(run, 100);
    op.value = bytes_of(s->value);
    atomic_store(&s->code, NOT_ENDED);
    s->accepted = hf_submit(run->store, &op, note_done, &s->code) == 0;
}

static void decide(struct run *run, int i, int taken)
{
    struct value value = new_value(run, 30);
    struct value before = run->keys[i].now;
    struct hf_buf found = {0};
    int rc = hf_set_if_absent(run->store, name_of(run, i), bytes_of(value), NULL, NULL);

    must(rc != 0 || before.number == 0 || run->keys[i].either, "a key that is there was set as absent");
    if (rc != HF_NOT_DONE)
        note(run, i, rc, value);
    value = new_value(run, 31);
    before = run->keys[i].now;
    if (before.number != 0) {
        struct hf_slice was = bytes_of(before);
        char *copy = strndup(was.data, was.len);
        rc = copy ? hf_compare_and_set(run->store, name_of(run, i), s_(copy), bytes_of(value), NULL, NULL)
                  : HF_NOT_DONE;
        free(copy);
        if (rc != HF_NOT_DONE)
            note(run, i, rc, value);
    }
    rc = hf_get_and_delete(run->store, name_of(run, taken), &found, NULL);
    if (rc == 0)
        must_be(&run->keys[taken], &found, "what was taken");
    hf_buf_release(&found);
    note(run, taken, rc == HF_NOT_FOUND ? 0 : rc, (struct value){0});
}

static void lock(struct run *run)
{
    struct hf_lock *held = NULL;

    if (hf_lock_acquire(run->store, s_("lock"), 60000, 0, &held) != 0)
        return;
    (void)hf_lock_extend(held, 60000);
    (void)hf_lock_release(held); /* what it meets is a lock's own affair: it ends with its TTL */
}

static struct key *find_key(struct run *run, struct hf_slice name)
{
    for (int i = 0; i < KEYS; i++) {
        if (name.len == strlen(run->keys[i].name) && memcmp(name.data, run->keys[i].name, name.len) == 0)
            return &run->keys[i];
    }
    return NULL;
}

/* A walk that comes to its end has shown every key. */
static void scan(struct run *run)
{
    struct hf_slice name, value;
    struct hf_scan *walk = NULL;
    bool met[KEYS] = {false};
    int rc = hf_scan_open(run->store, s_(""), s_(""), &walk);

    while (rc == 0 && (rc = hf_scan_next(walk, &name, &value, NULL)) == 0) {
        struct key *key = find_key(run, name);
        struct hf_buf found = {.data = (void *)value.data, .len = value.len};
        if (!key)
            continue;
        met[key - run->keys] = true;
        if (key - run->keys < KEYS - 2)
            must_be(key, &found, "a walk");
    }
    for (int i = 0; i < KEYS - 2 && rc == HF_NOT_FOUND; i++)
        must(met[i] || run->keys[i].now.number == 0 || run->keys[i].either, "a walk left '%.20s' out",
             run->keys[i].name);
    hf_scan_close(walk);
}

/* Everything that only looks: no answer is wrong, so no answer is looked at. */
static void look_around(struct run *run)
{
    struct hf_verification sums;
    struct hf_explanation explanation = {0};
    struct hf_status status;

    scan(run);
    (void)hf_status(run->store, &status);
    (void)hf_conflict_list(run->store, 0, ignore_conflict, NULL);
    (void)hf_parked_list(run->store, ignore_parked, NULL);
    (void)hf_doctor(run->store, ignore_finding, NULL);
    if (hf_explain(run->store, name_of(run, 0), &explanation) == 0)
        hf_explanation_release(&explanation);
    (void)hf_preview(run->store, ignore_preview, NULL);
    (void)hf_verify(run->store, 0, ignore_difference, NULL, &sums);
}

static bool open_store(struct run *run)
{
    run->store = NULL;
    return hf_open(run->store_dir, &run->opts, &run->store) == 0;
}

/* What was submitted is known then. */
static void close_store(struct run *run)
{
    (void)hf_close(run->store); /* what was acknowledged is looked at afterwards */
    run->store = NULL;
    for (int i = 0; i < 2; i++) {
        struct submitted *s = &run->submitted[i];
        int code = atomic_load(&s->code);
        if (!s->accepted)
            continue;
        must(code != NOT_ENDED, "a submission was never completed");
        note(run, KEYS - 2 + i, code, s->value);
        s->accepted = false;
    }
}

/* ---- a store of its own ---- */

static void make_nothing(struct run *run)
{
    (void)run;
}

static void write_all_kinds(struct run *run)
{
    for (int i = 0; i < 6; i++)
        set_key(run, i, i == 4 ? LONGEST - 100 : 20);
    delete_key(run, 1);
    (void)hf_expire(run->store, name_of(run, 2), 3600000, NULL);
    (void)hf_persist(run->store, name_of(run, 2), NULL);
    count(run, 1);
    write_batch(run, 6, 7, 10);
    submit(run, 0);
    set_key(run, 0, 300);
    decide(run, 8, 3);
    set_key(run, 9, 50); /* of a long name */
    count(run, 100);
    for (int i = 0; i < KEYS - 2; i++)
        read_key(run, i);
}

static void play_alone(struct run *run)
{
    if (open_store(run)) {
        write_all_kinds(run);
        lock(run);
        look_around(run);
        (void)hf_checkpoint(run->store);
        for (int i = 10; i < 16; i++)
            set_key(run, i, LONGEST - 200); /* more than two segments */
        submit(run, 1);
        write_batch(run, 0, 10, 1000);
        close_store(run);
    }
    if (open_store(run)) {
        for (int i = 0; i < KEYS - 2; i++)
            read_key(run, i);
        scan(run);
        close_store(run);
    }
}

/* ---- Redis is away ---- */

static char nowhere[128];

static void play_away(struct run *run)
{
    run->opts.redis = nowhere;
    if (open_store(run)) {
        write_all_kinds(run);
        (void)hf_checkpoint(run->store);
        delete_key(run, 0);
        set_key(run, 2, 60);
        write_batch(run, 2, 11, 1);
        set_key(run, 2, 61); /* into the lane */
        submit(run, 1);
        (void)hf_drain(run->store, 20);
        look_around(run);
        close_store(run);
    }
    run->opts.redis = redis.address;
}

/* ---- Redis is back ---- */

static void must_open(struct run *run)
{
    must(open_store(run), "a store does not open with memory");
}

/* Written by us with Redis, then by us without and, some of them, by others in Redis. */
static void make_debts(struct run *run)
{
    must_open(run);
    for (int i = 0; i < 12; i++)
        set_key(run, i, 20);
    must(hf_drain(run->store, DRAIN_MS) == 0, "a store does not drain with memory");
    close_store(run);
    run->opts.redis = nowhere;
    must_open(run);
    for (int i = 0; i < 6; i++)
        set_key(run, i, 200);
    delete_key(run, 6);
    count(run, 5);
    write_batch(run, 7, 8, 7);
    must(hf_checkpoint(run->store) == 0, "no checkpoint with memory");
    set_key(run, 0, 500);
    count(run, 6);
    set_key(run, 12, 40);
    close_store(run);
    run->opts.redis = redis.address;
    run->report->acked = run->report->refused = 0;
}

static void play_back(struct run *run)
{
    if (open_store(run)) {
        (void)hf_drain(run->store, 400);
        set_key(run, 13, 33);
        set_key(run, 10, 34); /* one that owes nothing, as the next ones */
        count(run, 1);
        write_batch(run, 14, 15, 1);
        delete_key(run, 11);
        submit(run, 0);
        decide(run, 16, 9);
        lock(run);
        for (int i = 0; i < KEYS - 2; i++)
            read_key(run, i);
        look_around(run);
        (void)hf_checkpoint(run->store);
        close_store(run);
    }
}

/* ---- Redis has lost everything, and is given it back ---- */

static void make_loss(struct run *run)
{
    run->namespaces[0].on_loss = HF_LOSS_RESEED;
    must_open(run);
    for (int i = 0; i < 12; i++)
        set_key(run, i, 20);
    must(hf_drain(run->store, DRAIN_MS) == 0, "a store does not drain with memory");
    close_store(run);
    run->opts.redis = nowhere;
    must_open(run);
    for (int i = 10; i < 14; i++)
        set_key(run, i, 21);
    close_store(run);
    run->opts.redis = redis.address;
    (void)redis_server_number(&redis, "FLUSHALL"); /* answers OK */
    run->report->acked = run->report->refused = 0;
}

static void play_loss(struct run *run)
{
    if (open_store(run)) {
        (void)hf_drain(run->store, 400);
        set_key(run, 0, 22);
        delete_key(run, 1);
        for (int i = 0; i < KEYS - 2; i++)
            read_key(run, i);
        close_store(run);
    }
}

/* ---- beside an owner ---- */

static struct hf *owner;

static void make_owner(struct run *run)
{
    must_open(run);
    for (int i = 0; i < 8; i++)
        set_key(run, i, 20);
    must(hf_checkpoint(run->store) == 0, "no checkpoint with memory");
    for (int i = 4; i < 12; i++)
        set_key(run, i, 300);
    owner = run->store;
    run->opts.read_only = true;
}

static void play_reader(struct run *run)
{
    if (open_store(run)) {
        for (int i = 0; i < KEYS - 2; i++)
            read_key(run, i);
        look_around(run);
        close_store(run);
    }
    run->opts.read_only = false;
    (void)hf_close(owner); /* what was acknowledged is looked at afterwards */
}

/* ---- conflicts, what is parked, and the verbs for them ---- */

#define N_CONFLICTS 6

static const struct {
    const char *key, *base, *ours, *theirs;
    bool parked; /* and not in the conflict log */
} conflicts[N_CONFLICTS] = {
    {"a", "0", "1", "2", false},
    {"b", "0", "1", "2", false},
    {"c", "0", "1", "2", false},
    {"park:d", "0", "1", "2", true},
    {"park:e", "0", "1", "2", true},
    {"json:f", "{\"x\":1}", "{\"x\":1,\"ours\":2}", "{\"x\":1,\"theirs\":3}", false},
};
#define MERGED "{\"x\":1,\"ours\":2,\"theirs\":3}"

static uint64_t conflict_ids[N_CONFLICTS], parked_lsns[N_CONFLICTS];
static bool restored, resolved, requeued, dropped;

static void make_conflicts(struct run *run)
{
    run->namespaces[1] = (struct hf_namespace){.prefix = "park:", .conflict = HF_CONFLICT_PARK};
    run->namespaces[2] = (struct hf_namespace){.prefix = "json:", .conflict = HF_CONFLICT_MERGE_JSON};
    run->opts.n_namespaces = 3;
    must_open(run);
    for (int i = 0; i < N_CONFLICTS; i++)
        must(hf_set(run->store, s_(conflicts[i].key), s_(conflicts[i].base), NULL, NULL) == 0,
             "no set with memory");
    must(hf_drain(run->store, DRAIN_MS) == 0, "a store does not drain with memory");
    close_store(run);
    run->opts.redis = nowhere;
    must_open(run);
    for (int i = 0; i < N_CONFLICTS; i++)
        must(hf_set(run->store, s_(conflicts[i].key), s_(conflicts[i].ours), NULL, NULL) == 0,
             "no set with memory");
    close_store(run);
    run->opts.redis = redis.address;
    for (int i = 0; i < N_CONFLICTS; i++)
        (void)redis_server_number(&redis, "SET %s %s", conflicts[i].key, conflicts[i].theirs); /* answers OK */
}

static int place_of(struct hf_slice key)
{
    for (int i = 0; i < N_CONFLICTS; i++) {
        if (key.len == strlen(conflicts[i].key) && memcmp(key.data, conflicts[i].key, key.len) == 0)
            return i;
    }
    return 0;
}

static int note_conflict(void *ctx, const struct hf_conflict *conflict)
{
    (void)ctx;
    conflict_ids[place_of(conflict->key)] = conflict->id;
    return 0;
}

static int note_parked(void *ctx, const struct hf_parked *entry)
{
    (void)ctx;
    parked_lsns[place_of(entry->key)] = entry->lsn;
    return 0;
}

static void list_both(struct run *run)
{
    memset(conflict_ids, 0, sizeof(conflict_ids));
    memset(parked_lsns, 0, sizeof(parked_lsns));
    (void)hf_conflict_list(run->store, 0, note_conflict, NULL);
    (void)hf_parked_list(run->store, note_parked, NULL);
}

static void play_conflicts(struct run *run)
{
    if (!open_store(run))
        return;
    (void)hf_preview(run->store, ignore_preview, NULL);
    (void)hf_drain(run->store, 400);
    list_both(run);
    restored = conflict_ids[0] != 0 && hf_conflict_restore(run->store, conflict_ids[0], NULL) == 0;
    resolved = conflict_ids[1] != 0 && hf_conflict_resolve(run->store, conflict_ids[1]) == 0;
    requeued = parked_lsns[3] != 0 && hf_parked_requeue(run->store, parked_lsns[3], NULL) == 0;
    dropped = parked_lsns[4] != 0 && hf_parked_drop(run->store, parked_lsns[4]) == 0;
    run->report->acked = (unsigned long)restored + resolved + requeued + dropped;
    close_store(run);
}

/* After a lost answer the copy here is as it was until it is compared. */
static void must_hold(struct run *run, int i, const char *value)
{
    char text[64];
    size_t len;

    redis_server_text(&redis, text, sizeof(text), "GET %s", conflicts[i].key);
    must(strcmp(text, value) == 0, "'%s' is %s in Redis; expected %s", conflicts[i].key, text, value);
    must(hf_ask_into(run->store, s_(conflicts[i].key), text, sizeof(text) - 1, &len, NULL) == 0,
         "'%s' cannot be asked for", conflicts[i].key);
    must(len == strlen(value) && memcmp(text, value, len) == 0, "'%s' is %.*s; expected %s", conflicts[i].key,
         (int)len, text, value);
}

/* Every acknowledged write has won, or is in one of the lists with its value. */
static void check_conflicts(struct run *run)
{
    list_both(run);
    must_hold(run, 0, restored ? "1" : "2");
    must(restored || conflict_ids[0] != 0, "'a' was neither restored nor kept");
    must(resolved == (conflict_ids[1] == 0), "'b' was %s",
         resolved ? "resolved, and kept" : "neither resolved nor kept");
    must(conflict_ids[2] != 0, "'c' is not in the conflict log");
    must(requeued || parked_lsns[3] != 0, "'park:d' was neither requeued nor kept");
    must(dropped == (parked_lsns[4] == 0), "'park:e' was %s",
         dropped ? "dropped, and kept" : "neither dropped nor kept");
    must_hold(run, 1, "2");
    must_hold(run, 2, "2");
    must_hold(run, 5, MERGED);
}

/* ---- configuration and other calls without a store ---- */

static char config_path[96];

static void make_config(struct run *run)
{
    FILE *file;

    snprintf(config_path, sizeof(config_path), "%.80s.json", run->store_dir);
    file = fopen(config_path, "we");
    must(file != NULL, "no file");
    fputs("{\"redis\": {\"address\": \"redis://localhost:1\"}, \"namespaces\": [{\"prefix\": \"a:\", "
          "\"default_ttl\": \"5m\"}, {\"prefix\": \"b:\", \"conflict\": \"park\"}]}",
          file);
    fclose(file);
}

static void play_config(struct run *run)
{
    struct hf_config *config = NULL;
    struct hf_slice base = s_("{\"a\":1,\"b\":{\"c\":[1,2]}}");
    struct hf_buf merged = {0};
    int rc = hf_config_load(config_path, &config);

    run->report->refused += rc != 0;
    must(rc == 0 || rc == HF_ENOMEM, "a good file gives %d", rc);
    must(rc != 0 || hf_config_options(config)->n_namespaces == 2, "a namespace is missing");
    hf_config_free(config);
    rc = hf_merge_json(&base, s_("{\"a\":2,\"b\":{\"c\":[1,2],\"d\":3}}"), s_("{\"a\":1,\"b\":{\"c\":[1]}}"),
                       HF_WINNER_OURS, &merged);
    must(rc == HF_ENOMEM || (rc == 0 && strcmp(merged.data, "{\"a\":2,\"b\":{\"c\":[1],\"d\":3}}") == 0),
         "a merge gives %d, %s", rc, (char *)merged.data);
    hf_buf_release(&merged);
}

/* ---- after it ---- */

static void check_counter(struct run *run)
{
    struct hf_buf found = {0};
    long long n = 0;

    if (hf_get(run->store, s_("counter"), &found, NULL) == 0)
        n = strtoll(found.data, NULL, 10);
    hf_buf_release(&found);
    must(n == run->counted || (run->maybe_counted && n > run->counted && n <= run->counted + run->maybe_counted),
         "the counter is %lld; %lld was acknowledged, %lld unknown", n, run->counted, run->maybe_counted);
}

static void check_here(struct run *run)
{
    for (int i = 0; i < KEYS; i++) {
        struct hf_buf found = {0};
        int rc = hf_get(run->store, name_of(run, i), &found, NULL);
        must(rc == 0 || rc == HF_NOT_FOUND, "a read with memory fails");
        must_be(&run->keys[i], rc == 0 ? &found : NULL, "afterwards");
        hf_buf_release(&found);
    }
    check_counter(run);
}

/* Redis holds what is held here. */
static void check_there(struct run *run)
{
    check_here(run);
    for (int i = 0; i < KEYS; i++) {
        redisReply *reply = redis_server_command(&redis, "GET %s", run->keys[i].name);
        struct hf_buf found = {.data = reply->str, .len = reply->len};
        must_be(&run->keys[i], reply->type == REDIS_REPLY_STRING ? &found : NULL, "in Redis");
        freeReplyObject(reply);
    }
    if (run->counted + run->maybe_counted > 0) {
        char here[32], text[32];
        int64_t n;
        must(hf_incr(run->store, s_("counter"), 0, &n, NULL) == 0, "no increment with memory");
        snprintf(here, sizeof(here), "%lld", (long long)n);
        must(strcmp(redis_server_text(&redis, text, sizeof(text), "GET counter"), here) == 0,
             "the counter is %s in Redis, and %s here", text, here);
    }
}

static void check(struct run *run, const struct scenario *scenario)
{
    must_open(run);
    if (run->opts.redis)
        must(hf_drain(run->store, DRAIN_MS) == 0, "it does not drain afterwards");
    scenario->check(run);
    must(hf_close(run->store) == 0, "it does not close afterwards");
}

static const struct scenario scenarios[] = {
    {"alone", false, make_nothing, play_alone, check_here},
    {"away", true, make_nothing, play_away, check_there},
    {"back", true, make_debts, play_back, check_there},
    {"loss", true, make_loss, play_loss, check_there},
    {"reader", false, make_owner, play_reader, check_here},
    {"conflicts", true, make_conflicts, play_conflicts, check_conflicts},
    {"config", false, make_config, play_config, check_here},
};
#define N_SCENARIOS (sizeof(scenarios) / sizeof(scenarios[0]))

/* ---- one run ---- */

static void init_run(struct run *run, const struct scenario *scenario, const char *dir, struct report *report)
{
    *run = (struct run){.report = report};
    run->namespaces[0] = (struct hf_namespace){.prefix = ""};
    run->opts = (struct hf_options){
        .redis = scenario->with_redis ? redis.address : NULL,
        .segment_bytes = 64 << 10,
        .max_disk_bytes = 64 << 20,
        .checkpoint_bytes = 256 << 10,
        .checkpoint_interval_ms = 20,
        .redis_timeout_ms = 100,
        .redis_connect_timeout_ms = 200,
        .redis_heartbeat_ms = 200,
        .redis_backoff_max_ms = 20,
        .namespaces = run->namespaces,
        .n_namespaces = 1,
    };
    snprintf(run->store_dir, sizeof(run->store_dir), "%s/store", dir);
    for (int i = 0; i < KEYS; i++) {
        memset(run->keys[i].name, 'n', i == 9 ? 1100 : 8);
        snprintf(run->keys[i].name, 10, "key-%05d", i);
        if (i == 9)
            run->keys[i].name[9] = 'n';
    }
}

static void run_in_child(const struct scenario *scenario, unsigned long nth, bool forever, const char *dir,
                         struct report *report)
{
    static struct run run;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    alarm(HANG_S);
    init_run(&run, scenario, dir, report);
    scenario->prepare(&run);
    memory_fault_arm(nth, forever);
    scenario->play(&run);
    report->seen = memory_fault_disarm();
    report->failed = memory_fault_failed();
    check(&run, scenario);
    exit(0); /* a sanitizer looks for leaks now */
}

static long cpu_ms(const struct rusage *usage)
{
    return usage->ru_utime.tv_sec * 1000 + usage->ru_utime.tv_usec / 1000 + usage->ru_stime.tv_sec * 1000 +
           usage->ru_stime.tv_usec / 1000;
}

/* Returns whether it went well; `*ret` is what the process told. */
static bool run_one(const struct scenario *scenario, unsigned long nth, bool forever, struct report *ret)
{
    struct report *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct scratch scratch;
    struct rusage usage;
    int status;
    bool good;
    pid_t pid;

    assert_true(shared != MAP_FAILED);
    scratch_make(&scratch);
    if (scenario->with_redis)
        (void)redis_server_number(&redis, "FLUSHALL"); /* answers OK */
    pid = fork();
    if (pid == 0)
        run_in_child(scenario, nth, forever, scratch.dir, shared);
    assert_int_equal(wait4(pid, &status, 0, &usage), pid);
    good = WIFEXITED(status) && WEXITSTATUS(status) == 0 && cpu_ms(&usage) < CPU_MS_MAX;
    if (!good)
        print_message("HOLDFAST_POINT=%s,%lu,%s %s %d, %ld ms of processor\n", scenario->name, nth,
                      forever ? "forever" : "once", WIFSIGNALED(status) ? "was ended by signal" : "ended with",
                      WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status), cpu_ms(&usage));
    *ret = *shared;
    munmap(shared, sizeof(*shared));
    scratch_remove(&scratch);
    return good;
}

/* ---- sweeps ---- */

static unsigned long environment_number(const char *name, unsigned long otherwise)
{
    const char *text = getenv(name);

    return text ? strtoul(text, NULL, 10) : otherwise;
}

static void sweep_points(const struct scenario *scenario, bool forever)
{
    unsigned long step = 1, first = 1, n = 0, bad = 0, acked = 0, refused = 0;
    struct report report;

    if (!run_one(scenario, 0, false, &report))
        fail_msg("%s goes wrong with memory", scenario->name);
    if (!getenv("HOLDFAST_SWEEP") && report.seen > POINTS) {
        step = report.seen / POINTS + 1;
        first += environment_number("HOLDFAST_SEED", 1) % step;
    }
    print_message("%s: %lu allocations\n", scenario->name, report.seen);
    for (unsigned long nth = first;; nth += step) {
        bad += !run_one(scenario, nth, forever, &report);
        if (report.failed == 0)
            break;
        n++;
        acked += report.acked;
        refused += report.refused;
    }
    print_message("%s, %s: %lu points, %lu writes acknowledged, %lu refused, %lu runs went wrong\n", scenario->name,
                  forever ? "forever" : "once", n, acked, refused, bad);
    assert_int_equal(bad, 0);
}

static const struct scenario *scenario_of(const char *name, size_t len)
{
    for (size_t i = 0; i < N_SCENARIOS; i++) {
        if (strlen(scenarios[i].name) == len && strncmp(scenarios[i].name, name, len) == 0)
            return &scenarios[i];
    }
    return NULL;
}

/* One allocation fails, and then one with all that follow. */
static void sweep(const char *name)
{
    const struct scenario *scenario = scenario_of(name, strlen(name));

    assert_non_null(scenario);
    sweep_points(scenario, false);
    sweep_points(scenario, true);
}

/* HOLDFAST_POINT, as a failure prints it. */
static bool run_point(void)
{
    const char *text = getenv("HOLDFAST_POINT"), *comma = text ? strchr(text, ',') : NULL;
    const struct scenario *scenario = comma ? scenario_of(text, (size_t)(comma - text)) : NULL;
    struct report report;

    if (!scenario)
        return false;
    assert_true(run_one(scenario, strtoul(comma + 1, NULL, 10), strstr(comma, ",forever") != NULL, &report));
    return true;
}

static void test_memory__without_it_a_store_of_its_own_loses_nothing(void **state)
{
    (void)state;
    sweep("alone");
}

static void test_memory__without_it_nothing_is_lost_while_redis_is_away(void **state)
{
    (void)state;
    sweep("away");
}

static void test_memory__without_it_nothing_is_lost_when_redis_is_back(void **state)
{
    (void)state;
    sweep("back");
}

static void test_memory__without_it_what_redis_lost_is_given_back_later(void **state)
{
    (void)state;
    sweep("loss");
}

static void test_memory__without_it_a_reader_shows_nothing_wrong(void **state)
{
    (void)state;
    sweep("reader");
}

static void test_memory__without_it_every_conflict_keeps_both_sides(void **state)
{
    (void)state;
    sweep("conflicts");
}

static void test_memory__without_it_a_configuration_is_refused(void **state)
{
    (void)state;
    sweep("config");
}

static int start_redis(void **state)
{
    (void)state;
    snprintf(nowhere, sizeof(nowhere), "unix:///tmp/hf-nowhere-%d", (int)getpid());
    return redis_server_start(&redis, NULL);
}

static int stop_redis(void **state)
{
    (void)state;
    redis_server_stop(&redis);
    return 0;
}

static void test_memory__one_point(void **state)
{
    (void)state;
    assert_true(run_point());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory__without_it_a_store_of_its_own_loses_nothing),
        cmocka_unit_test(test_memory__without_it_nothing_is_lost_while_redis_is_away),
        cmocka_unit_test(test_memory__without_it_nothing_is_lost_when_redis_is_back),
        cmocka_unit_test(test_memory__without_it_what_redis_lost_is_given_back_later),
        cmocka_unit_test(test_memory__without_it_a_reader_shows_nothing_wrong),
        cmocka_unit_test(test_memory__without_it_every_conflict_keeps_both_sides),
        cmocka_unit_test(test_memory__without_it_a_configuration_is_refused),
    };
    const struct CMUnitTest point[] = {cmocka_unit_test(test_memory__one_point)};

    if (getenv("HOLDFAST_POINT"))
        return cmocka_run_group_tests(point, start_redis, stop_redis);
    return cmocka_run_group_tests(tests, start_redis, stop_redis);
}
