/* The hot paths for tools/instructions, which runs this under callgrind: hot_paths DIR
 *
 * Each case does so many operations of one kind, of which callgrind writes down what this thread executed, with the case's name,
 * their number and the budget of one of them. What a case needs, and a little of the case itself, is done before it, so that
 * its operations are alike. DIR must be empty. */
#include "command.h"
#include "lmdb_tier.h"
#include "reply.h"
#include "resp.h"

#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>

#include <valgrind/callgrind.h>

#define KEYS 10000u
#define STEP 7919u /* from one key to the next, which is not its neighbour; prime, so that all are met */
#define KEY_BYTES 16
#define VALUE_BYTES 100
#define WARM_UP 200u

struct stage {
    const char *dir;
    char keys[KEYS][KEY_BYTES + 1];
    char value[VALUE_BYTES];
    struct hf *store;
    unsigned submitted; /* and not awaited */
    sem_t acknowledged;
    struct hf_local_tier *tier;
    struct hf_local_txn *txn;
    struct hf_local_cursor rows;
};

struct hot_path {
    const char *name;
    void (*prepare)(struct stage *s);                        /* NULL: nothing */
    void (*run)(struct stage *s, unsigned from, unsigned n); /* operations on the keys from so many on */
    void (*finish)(struct stage *s);                         /* NULL: nothing */
    unsigned n;
    unsigned budget; /* instructions of one of them: a tenth more than were counted */
};

/* ---- vocabulary ---- */

static void must(int rc, const char *what)
{
    if (rc == 0)
        return;
    fprintf(stderr, "hot_paths: %s returned %d: %s\n", what, rc, hf_errmsg());
    exit(1);
}

static struct hf_slice key_at(const struct stage *s, unsigned i)
{
    return hf__slice(s->keys[i % KEYS], KEY_BYTES);
}

static struct hf_slice value_of(const struct stage *s)
{
    return hf__slice(s->value, sizeof(s->value));
}

static void acknowledged(void *ctx, const struct hf_result *result)
{
    struct stage *s = ctx;

    must(result->code, "a submission");
    sem_post(&s->acknowledged);
}

static void submit(struct stage *s, unsigned from, unsigned n)
{
    for (unsigned i = from; i < from + n; i++) {
        struct hf_op op = {.kind = HF_OP_SET, .key = key_at(s, i), .value = value_of(s)};
        must(hf_submit(s->store, &op, acknowledged, s), "hf_submit");
        s->submitted++;
    }
}

static void await_all(struct stage *s)
{
    for (; s->submitted > 0; s->submitted--)
        sem_wait(&s->acknowledged);
}

/* ---- the store ---- */

/* Checkpoints are made when they are asked for. */
static void open_store(struct stage *s)
{
    static const struct hf_options opts = {.checkpoint_bytes = 1u << 30, .checkpoint_interval_ms = 3600000};

    must(hf_open(s->dir, &opts, &s->store), "hf_open");
}

static void fill_overlay(struct stage *s)
{
    submit(s, 0, KEYS);
    await_all(s);
}

static void fill_local_tier(struct stage *s)
{
    must(hf_checkpoint(s->store), "hf_checkpoint");
}

static void get(struct stage *s, unsigned from, unsigned n)
{
    uint8_t to[VALUE_BYTES];
    size_t len;

    for (unsigned i = from; i < from + n; i++)
        must(hf_get_into(s->store, key_at(s, i), to, sizeof(to), &len, NULL), "hf_get_into");
}

/* So that the local tier remembers their places: often enough for its table to grow. */
static void get_all(struct stage *s)
{
    for (int round = 0; round < 4; round++)
        get(s, 0, KEYS);
}

static void scan(struct stage *s, unsigned from, unsigned n)
{
    struct hf_slice key, value;
    struct hf_scan *walk;

    (void)from;
    must(hf_scan_open(s->store, hf__slice("", 0), hf__slice("", 0), &walk), "hf_scan_open");
    for (unsigned i = 0; i < n; i++)
        must(hf_scan_next(walk, &key, &value, NULL), "hf_scan_next");
    hf_scan_close(walk);
}

static void set(struct stage *s, unsigned from, unsigned n)
{
    for (unsigned i = from; i < from + n; i++)
        must(hf_set(s->store, key_at(s, i), value_of(s), NULL, NULL), "hf_set");
}

/* ---- its local tier by itself ---- */

static void close_store(struct stage *s)
{
    await_all(s);
    must(hf_close(s->store), "hf_close");
}

static void open_tier(struct stage *s)
{
    must(hf__lmdb_open(s->dir, NULL, &s->tier), "hf__lmdb_open");
    must(s->tier->ops->txn_begin(s->tier, 1, &s->txn), "txn_begin");
}

static void put_records(struct stage *s, unsigned from, unsigned n)
{
    for (unsigned i = from; i < from + n; i++) {
        struct hf_record record = {.value = value_of(s), .lsn = i + 1};
        must(s->tier->ops->put(s->txn, key_at(s, i), &record), "put");
    }
}

static void put_rows(struct stage *s, unsigned from, unsigned n)
{
    for (unsigned i = from; i < from + n; i++) {
        struct hf_pending_row row = {
            .key = key_at(s, i), .first_lsn = i + 1, .last_lsn = i + 1, .value_len = VALUE_BYTES};
        must(s->tier->ops->pending_put(s->txn, &row), "pending_put");
    }
}

static void walk_rows(struct stage *s, unsigned from, unsigned n)
{
    struct hf_local_snap *snap = s->tier->ops->txn_snap(s->txn);
    struct hf_pending_row row;

    (void)from;
    for (unsigned i = 0; i < n; i++)
        must(s->tier->ops->pending_walk(snap, &s->rows, &row), "pending_walk");
}

static void remove_rows(struct stage *s, unsigned from, unsigned n)
{
    for (unsigned i = from; i < from + n; i++)
        must(s->tier->ops->pending_remove(s->txn, key_at(s, i), UINT64_MAX), "pending_remove");
}

static void close_tier(struct stage *s)
{
    s->tier->ops->txn_abort(s->txn);
    s->tier->ops->close(s->tier);
}

/* ---- the sidecar's bytes ---- */

/* A GET that has come, and its answer. */
static void answer_get(struct stage *s, unsigned from, unsigned n)
{
    static const char bytes[] = "*2\r\n$3\r\nGET\r\n$16\r\nkey:000000000001\r\n";
    struct resp_reader reader = {0};
    struct reply reply = {.proto = 2};
    struct resp_command command;

    (void)from;
    for (unsigned i = 0; i < n; i++) {
        must(resp_next(&reader, bytes, sizeof(bytes) - 1, &command) == sizeof(bytes) - 1 ? 0 : -1, "resp_next");
        must(command_find(command.argv[0]) ? 0 : -1, "command_find");
        hf__bytes_reset(&reply.bytes);
        reply_bulk(&reply, value_of(s));
    }
    resp_release(&reader);
    reply_release(&reply);
}

/* ---- counting ---- */

static const struct hot_path hot_paths[] = {
    {"get-overlay", fill_overlay, get, NULL, 2000, 970},
    {"get-found", fill_local_tier, get, NULL, 800, 3120},
    {"get", get_all, get, NULL, 2000, 1470},
    {"scan", NULL, scan, NULL, 9000, 1140},
    {"set", NULL, set, NULL, 500, 4010},
    {"set-async", NULL, submit, close_store, 2000, 3350},
    {"record-put", open_tier, put_records, NULL, 2000, 3970},
    {"row-put", NULL, put_rows, NULL, 2000, 6630},
    {"row-walk", NULL, walk_rows, NULL, 1000, 1350},
    {"row-remove", NULL, remove_rows, close_tier, 1000, 3490},
    {"sidecar-get", NULL, answer_get, NULL, 2000, 1030},
};

static void count(const struct hot_path *path, struct stage *s)
{
    char text[80];

    if (path->prepare)
        path->prepare(s);
    path->run(s, 0, WARM_UP);
    CALLGRIND_ZERO_STATS;
    CALLGRIND_TOGGLE_COLLECT;
    path->run(s, WARM_UP, path->n);
    CALLGRIND_TOGGLE_COLLECT;
    snprintf(text, sizeof(text), "%s %u %u", path->name, path->n, path->budget);
    CALLGRIND_DUMP_STATS_AT(text);
    if (path->finish)
        path->finish(s);
}

int main(int argc, char **argv)
{
    static struct stage stage;

    if (argc != 2) {
        fprintf(stderr, "usage: hot_paths DIR\n");
        return 4;
    }
    stage.dir = argv[1];
    sem_init(&stage.acknowledged, 0, 0);
    for (unsigned i = 0; i < KEYS; i++)
        snprintf(stage.keys[i], sizeof(stage.keys[i]), "key:%012u", i * STEP % KEYS);
    open_store(&stage);
    for (size_t i = 0; i < sizeof(hot_paths) / sizeof(hot_paths[0]); i++)
        count(&hot_paths[i], &stage);
    return 0;
}
