/* Calls for event loops: what a read tells without waiting, when it is durable, and what a submission does not wait for.
 * Against the fake Redis, on a disk whose syncs can be held. */
#include "fake_tier.h"
#include "scratch.h"

#include "file_layer.h"
#include "lookup.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define SOON_MS 10000
#define NEVER_MS 60000
#define HOUR_MS 3600000
#define ORDER_MAX 64

/* ---- fixture ---- */

/* Syncs of the journal wait while they are held, and fail while they are broken. */
static struct {
    struct hf_file_layer fs;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool held, broken;
} disk = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static int held_sync(struct hf_file_layer *fs, int fd)
{
    bool broken;

    pthread_mutex_lock(&disk.mutex);
    while (disk.held)
        pthread_cond_wait(&disk.changed, &disk.mutex);
    broken = disk.broken;
    pthread_mutex_unlock(&disk.mutex);
    return broken ? -EIO : hf__file_layer_real()->sync(fs, fd);
}

static void set_disk(bool held, bool broken)
{
    pthread_mutex_lock(&disk.mutex);
    disk.held = held;
    disk.broken = broken;
    pthread_cond_broadcast(&disk.changed);
    pthread_mutex_unlock(&disk.mutex);
}

/* What the completion thread said: a letter for each call, in order. */
struct heard {
    atomic_int n;
    char order[ORDER_MAX];
    struct hf_result last;
};
struct call {
    struct heard *heard;
    char letter;
};

struct fixture {
    struct scratch scratch;
    struct hf_options opts;
    struct hf *store; /* NULL while closed */
    struct heard heard;
    struct call calls[26];
};

static const struct hf_namespace namespaces[] = {
    {.prefix = "refuse:", .outage = HF_OUTAGE_REFUSE},
    {.prefix = "shared:", .read_mode = HF_READ_SHARED},
    {.prefix = "local:", .write_mode = HF_WRITE_LOCAL},
    {.prefix = "through:"}, /* whose submissions wait for Redis */
    {.prefix = "", .write_mode = HF_WRITE_BEHIND},
};

static void hear(void *ctx, const struct hf_result *result)
{
    const struct call *call = ctx;

    call->heard->last = *result;
    call->heard->last.error = NULL;
    call->heard->order[atomic_load(&call->heard->n)] = call->letter;
    atomic_fetch_add(&call->heard->n, 1);
}

/* The context of a call that is told as this letter. */
static struct call *as(struct fixture *f, char letter)
{
    struct call *call = &f->calls[letter - 'a'];

    *call = (struct call){&f->heard, letter};
    return call;
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    scratch_make(&f->scratch);
    disk.fs = *hf__file_layer_real();
    disk.fs.sync = held_sync;
    set_disk(false, false);
    f->opts = (struct hf_options){
        .redis_timeout_ms = SOON_MS,
        .redis_backoff_max_ms = 20,
        .checkpoint_interval_ms = NEVER_MS,
        .max_disk_bytes = 1u << 28,
        .segment_bytes = 1u << 20,
        .namespaces = namespaces,
        .n_namespaces = sizeof(namespaces) / sizeof(*namespaces),
    };
    fake_redis_start();
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    set_disk(false, false);
    fake_local_fail_commits(0);
    for (int kind = 0; kind < FAKE_REQUESTS; kind++)
        fake_redis_thaw((enum fake_request)kind);
    (void)hf_close(f->store); /* open only after a failure, which has been told, or where its journal has stopped */
    fake_redis_stop();
    scratch_remove(&f->scratch);
    free(f);
    return 0;
}

static void open_store(struct fixture *f, const char *redis)
{
    struct hf_parts parts = {&disk.fs, hf__clock_real(), fake_local_open, fake_redis_open};

    f->opts.redis = redis;
    assert_ok(hf__store_open(f->scratch.store, &f->opts, &parts, &f->store));
}

static void open_online(struct fixture *f)
{
    open_store(f, "fake");
    assert_true(wait_link(f->store, HF_LINK_ONLINE, SOON_MS));
}

static void go_away(struct fixture *f)
{
    fake_redis_set_away(true);
    assert_true(wait_link(f->store, HF_LINK_OFFLINE, SOON_MS));
}

static void come_back(struct fixture *f)
{
    fake_redis_set_away(false);
    assert_true(wait_link(f->store, HF_LINK_ONLINE, SOON_MS));
}

/* Without a checkpoint: what is in the journal comes back from there. */
static void crash(struct fixture *f)
{
    struct hf *store = f->store;

    fake_local_fail_commits(-1);
    f->store = NULL;
    assert_code(HF_EFULL, hf_close(store));
    fake_local_fail_commits(0);
}

static void close_store(struct fixture *f)
{
    struct hf *store = f->store;

    f->store = NULL;
    assert_ok(hf_close(store));
}

/* ---- vocabulary ---- */

static struct hf_op op_set(const char *key, const char *value)
{
    return (struct hf_op){.kind = HF_OP_SET, .key = s_(key), .value = s_(value)};
}

static void submit(struct fixture *f, char letter, struct hf_op op)
{
    assert_ok(hf_submit(f->store, &op, hear, as(f, letter)));
}

static bool is_heard(void *ctx)
{
    struct fixture *f = ctx;

    return atomic_load(&f->heard.n) > 0 && f->heard.last.lsn != 0;
}

struct so_many {
    struct heard *heard;
    int n;
};

static bool so_many_are_heard(void *ctx)
{
    const struct so_many *so_many = ctx;

    return atomic_load(&so_many->heard->n) >= so_many->n;
}

static void wait_heard(struct fixture *f, const char *order)
{
    struct so_many all = {&f->heard, (int)strlen(order)};

    (void)wait_until(so_many_are_heard, &all, SOON_MS);
    assert_string_equal(f->heard.order, order);
}

static int try_set(struct fixture *f, const char *key, const char *value, struct hf_result *ret_result)
{
    struct hf_op op = op_set(key, value);

    return hf_try_write(f->store, &op, ret_result);
}

/* The code; the value as text. */
static int try_get(struct fixture *f, const char *key, char text[64], struct hf_result *ret_result)
{
    size_t len = 0;
    int rc = hf_try_get_into(f->store, s_(key), text, 63, &len, ret_result);

    text[rc == 0 ? len : 0] = '\0';
    return rc;
}

static void assert_try(struct fixture *f, const char *key, const char *value)
{
    struct hf_result r;
    char text[64];

    assert_ok(try_get(f, key, text, &r));
    assert_string_equal(text, value);
}

static void assert_try_code(struct fixture *f, int code, const char *key)
{
    struct hf_result r;
    char text[64];

    assert_code(code, try_get(f, key, text, &r));
}

struct shows {
    struct fixture *f;
    const char *key, *value;
};

static bool is_shown(void *ctx)
{
    const struct shows *shows = ctx;
    struct hf_result r;
    char text[64];

    return try_get(shows->f, shows->key, text, &r) == 0 && strcmp(text, shows->value) == 0;
}

/* ---- durability ---- */

static void test_no_wait__a_value_is_shown_before_its_sync_and_told_when_it_is_durable(void **state)
{
    struct fixture *f = *state;
    struct hf_result r;
    char text[64];

    open_store(f, NULL);
    set_disk(true, false);
    assert_ok(try_set(f, "k", "v", &r));
    assert_ok(try_get(f, "k", text, &r));
    assert_string_equal(text, "v");
    assert_false(r.durable);
    assert_false(hf_is_durable(f->store, r.lsn));
    assert_ok(hf_when_durable(f->store, r.lsn, hear, as(f, 'w')));
    assert_int_equal(atomic_load(&f->heard.n), 0);
    set_disk(false, false);
    wait_heard(f, "w");
    assert_int_equal(f->heard.last.code, 0);
    assert_true(f->heard.last.durable);
    assert_true(hf_is_durable(f->store, r.lsn));
    assert_ok(try_get(f, "k", text, &r));
    assert_true(r.durable);
    assert_ok(hf_when_durable(f->store, r.lsn, hear, as(f, 'x'))); /* told before it returns */
    assert_int_equal(atomic_load(&f->heard.n), 2);
}

static void test_no_wait__an_absence_has_its_sync_too(void **state)
{
    struct fixture *f = *state;
    struct hf_result r;
    char text[64];

    open_store(f, NULL);
    put(f->store, "k", "v");
    set_disk(true, false);
    submit(f, 'a', (struct hf_op){.kind = HF_OP_DELETE, .key = s_("k")});
    assert_code(HF_NOT_FOUND, try_get(f, "k", text, &r));
    assert_false(hf_is_durable(f->store, r.lsn));
    set_disk(false, false);
    wait_heard(f, "a");
    assert_code(HF_NOT_FOUND, try_get(f, "never", text, &r));
    assert_true(hf_is_durable(f->store, r.lsn));
}

/* Nobody else syncs, and nobody is asked to. */
static void test_no_wait__who_may_wait_syncs(void **state)
{
    struct fixture *f = *state;
    struct hf_result r;

    open_store(f, NULL);
    assert_ok(try_set(f, "k", "v", &r));
    assert_false(hf_is_durable(f->store, r.lsn));
    assert_code(HF_EINVAL, hf_wait_durable(f->store, r.lsn + 1));
    assert_ok(hf_wait_durable(f->store, r.lsn));
    assert_true(hf_is_durable(f->store, r.lsn));
    assert_ok(hf_wait_durable(f->store, 0));
}

static void test_no_wait__waits_for_durability_are_told_in_their_order(void **state)
{
    struct fixture *f = *state;
    struct hf_result r;

    open_store(f, NULL);
    set_disk(true, false);
    assert_ok(try_set(f, "k", "1", &r));
    assert_ok(hf_when_durable(f->store, r.lsn, hear, as(f, 'a')));
    assert_ok(try_set(f, "k", "2", &r));
    assert_ok(hf_when_durable(f->store, r.lsn, hear, as(f, 'b')));
    assert_ok(hf_when_durable(f->store, 0, hear, as(f, 'c')));
    set_disk(false, false);
    wait_heard(f, "abc");
}

static void test_no_wait__who_waits_for_the_disk_does_not_wait_for_redis(void **state)
{
    struct fixture *f = *state;
    struct hf_result r;

    open_online(f);
    fake_redis_freeze(FAKE_GROUP);
    submit(f, 'a', op_set("through:k", "v"));
    assert_ok(try_set(f, "k", "v", &r));
    assert_ok(hf_when_durable(f->store, r.lsn, hear, as(f, 'w')));
    wait_heard(f, "w");
    assert_true(f->heard.last.durable);
    fake_redis_thaw(FAKE_GROUP);
    wait_heard(f, "wa");
    assert_true(f->heard.last.shared);
}

/* The number that Redis answers is journaled, and nobody syncs it. */
static void test_no_wait__who_waits_for_durability_brings_the_sync_about(void **state)
{
    struct fixture *f = *state;
    struct shows shows = {f, "n", "11"};
    struct hf_result r;
    char text[64];

    f->opts.checkpoint_interval_ms = SOON_MS + 2000; /* which syncs, too late */
    open_online(f);
    fake_redis_foreign_set("n", "10", 0);
    fake_redis_hold_turn(true); /* what the lane has written is told to us, too, and a fetched copy is synced */
    submit(f, 'a', (struct hf_op){.kind = HF_OP_INCR, .key = s_("n"), .delta = 1});
    assert_true(wait_until(is_shown, &shows, SOON_MS));
    wait_heard(f, "a");
    assert_ok(try_get(f, "n", text, &r));
    assert_false(r.durable);
    assert_ok(hf_when_durable(f->store, r.lsn, hear, as(f, 'w')));
    wait_heard(f, "aw");
    assert_true(f->heard.last.durable);
}

static void test_no_wait__a_failed_sync_is_told_to_who_waits_for_it(void **state)
{
    struct fixture *f = *state;
    struct hf_result r;

    open_store(f, NULL);
    put(f->store, "old", "v");
    set_disk(true, true);
    assert_ok(try_set(f, "k", "v", &r));
    assert_ok(hf_when_durable(f->store, r.lsn, hear, as(f, 'w')));
    set_disk(false, true);
    wait_heard(f, "w");
    assert_int_equal(f->heard.last.code, HF_ESTOPPED);
    assert_false(f->heard.last.durable);
    assert_code(HF_ESTOPPED, hf_wait_durable(f->store, r.lsn));
    assert_try_code(f, HF_ESTOPPED, "k");
    assert_try(f, "old", "v");
}

static void test_no_wait__only_what_was_written_is_waited_for(void **state)
{
    struct fixture *f = *state;
    struct hf_result r;

    open_store(f, NULL);
    assert_ok(hf_set(f->store, s_("k"), s_("v"), NULL, &r));
    assert_code(HF_EINVAL, hf_when_durable(f->store, r.lsn, NULL, NULL));
    assert_code(HF_EINVAL, hf_when_durable(f->store, r.lsn + 1, hear, as(f, 'w')));
    assert_sentence("the last one");
    close_store(f);
    assert_int_equal(atomic_load(&f->heard.n), 0);
}

static void test_no_wait__what_is_written_needs_no_sync_at_an_interval(void **state)
{
    struct fixture *f = *state;

    f->opts.durability = HF_DURABILITY_INTERVAL;
    f->opts.sync_interval_ms = NEVER_MS;
    open_store(f, NULL);
    set_disk(true, false);
    submit(f, 'a', op_set("k", "v"));
    assert_true(wait_until(is_heard, f, SOON_MS));
    assert_true(hf_is_durable(f->store, f->heard.last.lsn));
    assert_ok(hf_when_durable(f->store, f->heard.last.lsn, hear, as(f, 'w')));
    wait_heard(f, "aw");
    assert_int_equal(f->heard.last.code, 0);
    assert_false(f->heard.last.durable);
}

/* ---- what cannot be told without waiting ---- */

/* In this order: online, and with Redis away. */
static const struct {
    const char *key;
    bool held;
    int online, away;
} reads[] = {
    {"held", true, 0, 0},
    {"not", false, HF_NOT_DONE, HF_NOT_FOUND},
    {"local:held", true, 0, 0},
    {"local:not", false, HF_NOT_FOUND, HF_NOT_FOUND},
    {"shared:held", true, HF_NOT_DONE, 0},
    {"shared:not", false, HF_NOT_DONE, HF_NOT_FOUND},
    {"refuse:held", true, HF_NOT_DONE, HF_NOT_DONE},
    {"refuse:not", false, HF_NOT_DONE, HF_NOT_DONE},
};

static void assert_reads(struct fixture *f, bool away)
{
    unsigned asked = fake_redis_asked(FAKE_FETCH);

    for (size_t i = 0; i < sizeof(reads) / sizeof(*reads); i++)
        assert_try_code(f, away ? reads[i].away : reads[i].online, reads[i].key);
    assert_int_equal(fake_redis_asked(FAKE_FETCH), asked);
}

static void test_no_wait__redis_is_never_asked(void **state)
{
    struct fixture *f = *state;

    open_online(f);
    for (size_t i = 0; i < sizeof(reads) / sizeof(*reads); i++) {
        if (reads[i].held)
            put(f->store, reads[i].key, "v");
    }
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_true(wait_until(is_shown, &(struct shows){f, "held", "v"}, SOON_MS));
    assert_reads(f, false);
    go_away(f);
    assert_reads(f, true);
}

static void test_no_wait__what_redis_lacks_is_told_whatever_it_holds(void **state)
{
    struct fixture *f = *state;
    struct hf_result r;
    char text[64];

    open_online(f);
    fake_redis_freeze(FAKE_GROUP);
    put(f->store, "k", "v");
    put(f->store, "gone", "v");
    assert_code(0, hf_delete(f->store, s_("gone"), NULL));
    assert_ok(try_get(f, "k", text, &r));
    assert_int_equal(r.origin, HF_ORIGIN_PENDING);
    assert_try_code(f, HF_NOT_FOUND, "gone");
}

static void test_no_wait__a_store_without_redis_and_a_short_buffer_always_get_an_answer(void **state)
{
    struct fixture *f = *state;
    char text[4] = "...";
    size_t len = 0;

    open_store(f, NULL);
    assert_try_code(f, HF_NOT_FOUND, "k");
    put(f->store, "k", "value");
    assert_try(f, "k", "value");
    assert_ok(hf_checkpoint(f->store));
    assert_ok(hf_try_get_into(f->store, s_("k"), text, 2, &len, NULL));
    assert_int_equal(len, 5);
    assert_string_equal(text, "va.");
    assert_try_code(f, HF_EINVAL, "_hf:k");
}

static void test_no_wait__a_readers_handle_gives_no_answer(void **state)
{
    struct hf_parts parts = {&disk.fs, hf__clock_real(), fake_local_open, fake_redis_open};
    struct fixture *f = *state;
    struct hf *reader;
    size_t len;

    open_store(f, NULL);
    put(f->store, "k", "v");
    f->opts.read_only = true;
    assert_ok(hf__store_open(f->scratch.store, &f->opts, &parts, &reader));
    assert_code(HF_NOT_DONE, hf_try_get_into(reader, s_("k"), NULL, 0, &len, NULL));
    assert_true(hf_is_durable(reader, UINT64_MAX));
    assert_ok(hf_close(reader));
}

/* ---- while Redis decides ---- */

struct decider {
    pthread_t thread;
    struct hf *store;
    int rc;
};

static void *decide(void *arg)
{
    struct decider *d = arg;

    d->rc = hf_compare_and_set(d->store, s_("k"), s_("old"), s_("new"), NULL, NULL);
    return NULL;
}

static bool is_deciding(void *ctx)
{
    const struct fixture *f = ctx;

    return hf__intent_may_be_out(f->store, s_("k"));
}

/* Redis holds `old` under `k`, and is asked to replace it. */
static void begin_to_decide(struct fixture *f, struct decider *d)
{
    open_online(f);
    put(f->store, "k", "old");
    put(f->store, "other", "v");
    assert_ok(hf_drain(f->store, SOON_MS));
    fake_redis_freeze(FAKE_DECIDE);
    *d = (struct decider){.store = f->store};
    assert_int_equal(pthread_create(&d->thread, NULL, decide, d), 0);
    assert_true(wait_until(is_deciding, f, SOON_MS));
}

static void end_decision(struct decider *d)
{
    fake_redis_thaw(FAKE_DECIDE);
    pthread_join(d->thread, NULL);
    assert_int_equal(d->rc, 0);
}

static void test_no_wait__a_key_that_redis_decides_about_is_not_told(void **state)
{
    struct fixture *f = *state;
    struct decider d;

    begin_to_decide(f, &d);
    assert_try_code(f, HF_NOT_DONE, "k");
    assert_true(
        wait_until(is_shown, &(struct shows){f, "other", "v"}, SOON_MS)); /* once all that was told is fetched */
    end_decision(&d);
    assert_true(wait_until(is_shown, &(struct shows){f, "k", "new"}, SOON_MS));
}

static void test_no_wait__a_submission_does_not_wait_for_a_decision(void **state)
{
    struct fixture *f = *state;
    struct hf_op op = op_set("k", "mine");
    struct hf_batch *batch;
    struct decider d;

    begin_to_decide(f, &d);
    assert_code(HF_EBUSY, hf_submit(f->store, &op, hear, as(f, 'a')));
    assert_sentence("deciding about 'k'");
    assert_ok(hf_batch_new(f->store, &batch));
    assert_ok(hf_batch_set(batch, s_("other"), s_("w"), NULL));
    assert_ok(hf_batch_delete(batch, s_("k")));
    assert_code(HF_EBUSY, hf_batch_submit(batch, hear, as(f, 'b')));
    hf_batch_free(batch);
    submit(f, 'c', op_set("other", "w"));
    wait_heard(f, "c");
    end_decision(&d);
    submit(f, 'd', op_set("k", "mine"));
    wait_heard(f, "cd");
}

/* ---- writes that need no completion ---- */

static void test_no_wait__a_write_leaves_its_sync_to_who_waits_for_it(void **state)
{
    struct hf_op op = {.kind = HF_OP_INCR, .key = s_("n"), .delta = 5};
    struct fixture *f = *state;
    struct hf_result r;
    char text[64];

    open_store(f, NULL);
    assert_ok(try_set(f, "n", "37", &r));
    assert_true(r.shared);
    assert_false(r.pending);
    assert_ok(hf_try_write(f->store, &op, &r));
    assert_int_equal(r.number, 42);
    assert_ok(try_get(f, "n", text, &r));
    assert_string_equal(text, "42");
    assert_false(hf_is_durable(f->store, r.lsn));
    assert_ok(hf_when_durable(f->store, r.lsn, hear, as(f, 'w')));
    wait_heard(f, "w");
    assert_true(hf_is_durable(f->store, r.lsn));
    op = (struct hf_op){.kind = HF_OP_DELETE, .key = s_("never")};
    assert_code(HF_NOT_FOUND, hf_try_write(f->store, &op, &r));
    op.kind = 99;
    assert_code(HF_EINVAL, hf_try_write(f->store, &op, &r));
}

/* Where the answer may be Redis's, the write is to be submitted; while it is away it is pending, and reaches it later. */
static void test_no_wait__a_write_is_not_done_where_redis_answers_it(void **state)
{
    struct fixture *f = *state;
    struct hf_result r;

    open_online(f);
    assert_code(HF_NOT_DONE, try_set(f, "shared:k", "v", &r));
    assert_code(HF_NOT_DONE, try_set(f, "refuse:k", "v", &r));
    assert_code(HF_NOT_FOUND, hf_get(f->store, s_("shared:k"), &(struct hf_buf){0}, NULL));
    assert_ok(try_set(f, "behind", "v", &r));
    assert_true(r.pending);
    assert_ok(try_set(f, "local:k", "v", &r));
    assert_false(r.pending);
    go_away(f);
    assert_code(HF_NOT_DONE, try_set(f, "refuse:k", "v", &r));
    assert_ok(try_set(f, "shared:k", "v", &r));
    assert_true(r.pending);
    assert_false(r.shared);
    come_back(f);
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_true(fake_redis_holds("shared:k", "v"));
    assert_true(fake_redis_holds("behind", "v"));
    assert_false(fake_redis_holds("local:k", "v"));
}

static void test_no_wait__a_write_does_not_wait_for_a_decision(void **state)
{
    struct fixture *f = *state;
    struct hf_result r;
    struct decider d;

    begin_to_decide(f, &d);
    assert_code(HF_EBUSY, try_set(f, "k", "mine", &r));
    assert_ok(try_set(f, "other", "w", &r));
    end_decision(&d);
    assert_ok(try_set(f, "k", "mine", &r));
}

static void test_no_wait__a_submission_does_not_wait_for_room_among_what_is_pending(void **state)
{
    struct fixture *f = *state;
    struct hf_op op = op_set("second", "v");
    int64_t begun_ms;

    f->opts.pending_max = 1;
    f->opts.pending_policy = HF_PENDING_BLOCK;
    open_online(f);
    go_away(f);
    submit(f, 'a', op_set("first", "v"));
    begun_ms = wall_ms();
    assert_code(HF_EBUSY, hf_submit(f->store, &op, hear, as(f, 'b')));
    assert_true(wall_ms() - begun_ms < SOON_MS / 2);
    assert_sentence("pending_max");
    wait_heard(f, "a");
}

/* ---- batches ---- */

#define FAR_MS INT64_C(4102444800000) /* the year 2100 */

static int64_t deadline_of(struct fixture *f, const char *key)
{
    struct hf_result r;

    assert_ok(hf_exists(f->store, s_(key), &r));
    return r.deadline_ms;
}

/* Each change meets what those before it have left. */
static void fill_batch(struct hf_batch *batch)
{
    const struct hf_set_options hour = {.ttl_ms = HOUR_MS}, keep = {.keep_ttl = true};

    assert_ok(hf_batch_expire_at(batch, s_("held"), FAR_MS));
    assert_ok(hf_batch_expire_at(batch, s_("absent"), FAR_MS));
    assert_ok(hf_batch_persist(batch, s_("absent")));
    assert_ok(hf_batch_set(batch, s_("made"), s_("5"), &hour));
    assert_ok(hf_batch_expire_at(batch, s_("made"), FAR_MS));
    assert_ok(hf_batch_incr(batch, s_("made"), 2));
    assert_ok(hf_batch_set(batch, s_("kept"), s_("v"), &hour));
    assert_ok(hf_batch_persist(batch, s_("kept")));
    assert_ok(hf_batch_set(batch, s_("kept"), s_("w"), &keep));
    assert_ok(hf_batch_expire_at(batch, s_("dead"), 1));
    assert_ok(hf_batch_expire_at(batch, s_("dead"), FAR_MS));
    assert_ok(hf_batch_persist(batch, s_("mortal")));
}

static void prepare_keys(struct fixture *f)
{
    const struct hf_set_options hour = {.ttl_ms = HOUR_MS};

    put(f->store, "held", "v");
    put(f->store, "dead", "v");
    assert_ok(hf_set(f->store, s_("mortal"), s_("v"), &hour, NULL));
}

static void assert_batch_is_applied(struct fixture *f)
{
    assert_value(f->store, "held", "v");
    assert_int_equal(deadline_of(f, "held"), FAR_MS);
    assert_value(f->store, "absent", NULL);
    assert_value(f->store, "made", "7");
    assert_int_equal(deadline_of(f, "made"), FAR_MS);
    assert_value(f->store, "kept", "w");
    assert_int_equal(deadline_of(f, "kept"), 0);
    assert_value(f->store, "dead", NULL);
    assert_value(f->store, "mortal", "v");
    assert_int_equal(deadline_of(f, "mortal"), 0);
}

static void submit_the_batch(struct fixture *f)
{
    struct hf_batch *batch;

    assert_ok(hf_batch_new(f->store, &batch));
    fill_batch(batch);
    assert_ok(hf_batch_submit(batch, hear, as(f, 'b')));
    assert_code(HF_EINVAL, hf_batch_commit(batch, NULL)); /* it is empty again */
    hf_batch_free(batch);
    wait_heard(f, "b");
    assert_int_equal(f->heard.last.code, 0);
    assert_int_equal(f->heard.last.number, 7);
    assert_true(f->heard.last.existed); /* of `mortal` */
}

static void test_no_wait__a_batch_changes_lives_in_the_order_of_its_changes(void **state)
{
    struct fixture *f = *state;

    open_store(f, NULL);
    prepare_keys(f);
    submit_the_batch(f);
    assert_batch_is_applied(f);
    crash(f);
    open_store(f, NULL);
    assert_batch_is_applied(f);
    assert_ok(hf_checkpoint(f->store));
    assert_batch_is_applied(f);
}

static void assert_redis_has_the_batch(void)
{
    assert_true(fake_redis_holds("held", "v"));
    assert_true(llabs(fake_redis_deadline_ms("held") - FAR_MS) < HOUR_MS); /* the clocks differ a little */
    assert_true(fake_redis_holds("absent", "there"));
    assert_int_equal(fake_redis_deadline_ms("absent"), 0);
    assert_true(fake_redis_holds("made", "7"));
    assert_true(fake_redis_holds("kept", "w"));
    assert_int_equal(fake_redis_deadline_ms("kept"), 0);
    assert_true(fake_redis_holds("dead", NULL));
    assert_true(fake_redis_holds("mortal", "v"));
    assert_int_equal(fake_redis_deadline_ms("mortal"), 0);
    assert_int_equal(fake_redis_torn_units(), 0);
}

/* Live, from the journal after a crash, and from the local tier. What only Redis holds is left alone. */
static void test_no_wait__a_batch_of_lives_reaches_redis_as_one_unit(void **state)
{
    for (int how = 0; how < 3; how++) {
        struct fixture *f = *state;

        f->heard = (struct heard){0};
        open_online(f);
        prepare_keys(f);
        assert_ok(hf_drain(f->store, SOON_MS));
        fake_redis_foreign_set("absent", "there", 0);
        if (how > 0)
            go_away(f);
        submit_the_batch(f);
        if (how == 1) {
            crash(f);
            open_store(f, "fake");
        } else if (how == 2) {
            assert_ok(hf_checkpoint(f->store));
        }
        come_back(f);
        assert_ok(hf_drain(f->store, SOON_MS));
        assert_redis_has_the_batch();
        close_store(f);
        fake_redis_stop();
        scratch_remove(&f->scratch);
        scratch_make(&f->scratch);
        fake_redis_start();
    }
}

static void test_no_wait__a_batch_of_which_nothing_is_left_is_not_done(void **state)
{
    struct fixture *f = *state;
    struct hf_batch *batch;

    open_store(f, NULL);
    assert_ok(hf_batch_new(f->store, &batch));
    for (int n = 1; n <= 2; n++) {
        for (int i = 0; i < n; i++)
            assert_ok(hf_batch_persist(batch, s_("absent")));
        assert_code(HF_NOT_FOUND, n == 1 ? hf_batch_submit(batch, hear, as(f, 'b')) : hf_batch_commit(batch, NULL));
    }
    assert_code(HF_EINVAL, hf_batch_expire_at(batch, s_("k"), 0));
    assert_code(HF_EINVAL, hf_batch_submit(batch, hear, as(f, 'b')));
    assert_ok(hf_batch_set(batch, s_("k"), s_("v"), NULL));
    assert_code(HF_EINVAL, hf_batch_submit(batch, NULL, NULL));
    hf_batch_free(batch);
    close_store(f);
    assert_int_equal(atomic_load(&f->heard.n), 0);
}

/* ---- hearing ---- */

static void test_no_wait__what_was_said_before_is_heard(void **state)
{
    struct fixture *f = *state;
    struct hf_result r;
    char text[64];
    int rc;

    open_online(f);
    put(f->store, "k", "0");
    assert_ok(hf_drain(f->store, SOON_MS));
    for (int i = 1; i < 200; i++) {
        char value[16];
        snprintf(value, sizeof(value), "%d", i);
        fake_redis_foreign_set("k", value, 0);
        assert_ok(hf_hear(f->store, SOON_MS));
        rc = try_get(f, "k", text, &r); /* what is heard is still to be fetched, perhaps */
        assert_true(rc == HF_NOT_DONE || (rc == 0 && strcmp(text, value) == 0));
    }
}

static bool is_verified(void *ctx)
{
    const struct shows *shows = ctx;
    struct hf_result r;
    char text[64];

    return try_get(shows->f, shows->key, text, &r) == 0 && strcmp(text, shows->value) == 0 &&
           r.origin == HF_ORIGIN_LOCAL_VERIFIED;
}

/* The copy is doubted, fetched and good again between the look and what is said of it. */
static void test_no_wait__a_look_at_an_older_copy_is_not_verified_by_the_newer_one(void **state)
{
    struct fixture *f = *state;
    struct shows before = {f, "k", "old"}, after = {f, "k", "new"};
    struct hf_found found;
    struct hf_result r;
    struct hf_look look;

    open_online(f);
    put(f->store, "k", "old");
    assert_true(wait_until(is_verified, &before, SOON_MS));
    assert_ok(hf__look_begin(f->store, &look));
    assert_ok(hf__look_up(&look, s_("k"), &found));
    fake_redis_foreign_set("k", "new", 0);
    assert_true(wait_until(is_verified, &after, SOON_MS));
    assert_ok(hf__look_describe(&look, s_("k"), &found, &r));
    hf__look_end(&look);
    assert_int_equal(r.origin, HF_ORIGIN_LOCAL_UNVERIFIED);
}

static void *read_through(void *arg)
{
    struct hf_buf value;

    assert_ok(hf_get(arg, s_("k"), &value, NULL));
    hf_buf_release(&value);
    return NULL;
}

struct asked {
    enum fake_request kind;
    unsigned n;
};

static bool is_asked(void *ctx)
{
    const struct asked *asked = ctx;

    return fake_redis_asked(asked->kind) >= asked->n;
}

/* The answer to a read comes before the push that it is overtaken by, and its copy while nobody may write here. */
static void test_no_wait__a_copy_is_made_before_what_is_told_behind_its_answer(void **state)
{
    struct fixture *f = *state;
    struct asked asked = {FAKE_FETCH, 0};
    struct hf_result r;
    pthread_t reader;
    char text[64];
    int rc;

    open_online(f);
    fake_redis_foreign_set("k", "old", 0);
    fake_redis_freeze(FAKE_FETCH);
    asked.n = fake_redis_asked(FAKE_FETCH) + 1;
    assert_int_equal(pthread_create(&reader, NULL, read_through, f->store), 0);
    assert_true(wait_until(is_asked, &asked, SOON_MS));
    pthread_mutex_lock(&f->store->write_mutex);
    fake_redis_let(FAKE_FETCH, 1);
    (void)poll(NULL, 0, 50); /* it is answered; if not, the test sees less */
    fake_redis_foreign_set("k", "new", 0);
    (void)poll(NULL, 0, 50);
    pthread_mutex_unlock(&f->store->write_mutex);
    pthread_join(reader, NULL);
    fake_redis_thaw(FAKE_FETCH);
    assert_ok(hf_hear(f->store, SOON_MS));
    rc = try_get(f, "k", text, &r);
    assert_true(rc == 0 || rc == HF_NOT_DONE); /* the copy may be on its way */
    assert_true(rc != 0 || r.origin != HF_ORIGIN_LOCAL_VERIFIED || strcmp(text, "new") == 0);
}

static void test_no_wait__there_is_nothing_to_hear_without_redis_or_tracking(void **state)
{
    struct fixture *f = *state;
    unsigned asked;

    open_store(f, NULL);
    assert_ok(hf_hear(f->store, 0));
    close_store(f);
    fake_redis_refuse_tracking(true);
    open_online(f);
    asked = fake_redis_asked(FAKE_FETCH);
    assert_ok(hf_hear(f->store, 0));
    assert_int_equal(fake_redis_asked(FAKE_FETCH), asked);
}

static void test_no_wait__nothing_is_heard_while_redis_is_away(void **state)
{
    struct fixture *f = *state;

    open_online(f);
    go_away(f);
    assert_code(HF_EOFFLINE, hf_hear(f->store, SOON_MS));
    come_back(f);
    fake_redis_script(FAKE_FETCH, FAKE_LOSE, 1);
    assert_code(HF_EOFFLINE, hf_hear(f->store, SOON_MS));
}

#define T(name) cmocka_unit_test_setup_teardown(test_no_wait__##name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_value_is_shown_before_its_sync_and_told_when_it_is_durable),
        T(an_absence_has_its_sync_too),
        T(who_may_wait_syncs),
        T(waits_for_durability_are_told_in_their_order),
        T(who_waits_for_the_disk_does_not_wait_for_redis),
        T(who_waits_for_durability_brings_the_sync_about),
        T(a_failed_sync_is_told_to_who_waits_for_it),
        T(only_what_was_written_is_waited_for),
        T(what_is_written_needs_no_sync_at_an_interval),
        T(redis_is_never_asked),
        T(what_redis_lacks_is_told_whatever_it_holds),
        T(a_store_without_redis_and_a_short_buffer_always_get_an_answer),
        T(a_readers_handle_gives_no_answer),
        T(a_key_that_redis_decides_about_is_not_told),
        T(a_submission_does_not_wait_for_a_decision),
        T(a_write_leaves_its_sync_to_who_waits_for_it),
        T(a_write_is_not_done_where_redis_answers_it),
        T(a_write_does_not_wait_for_a_decision),
        T(a_submission_does_not_wait_for_room_among_what_is_pending),
        T(a_batch_changes_lives_in_the_order_of_its_changes),
        T(a_batch_of_lives_reaches_redis_as_one_unit),
        T(a_batch_of_which_nothing_is_left_is_not_done),
        T(what_was_said_before_is_heard),
        T(a_look_at_an_older_copy_is_not_verified_by_the_newer_one),
        T(a_copy_is_made_before_what_is_told_behind_its_answer),
        T(there_is_nothing_to_hear_without_redis_or_tracking),
        T(nothing_is_heard_while_redis_is_away),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
