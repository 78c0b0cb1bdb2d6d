/* Looking at both tiers without changing either: a preview equals what the replay then does, an explanation says what holds,
 * and verifying tells what differs and what merely waits. Against the fake Redis. */
#include "fake_tier.h"
#include "scratch.h"

#include "explain.h"
#include "file_layer.h"
#include "link_ask.h"
#include "store.h"

#include <inttypes.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define SOON_MS 10000
#define NEVER_MS 60000
#define HOUR_MS 3600000
#define ENDS_MAX 512

/* ---- fixture ---- */

/* How a change ended, or would end. */
struct end {
    char key[32];
    uint64_t last_lsn;
    enum hf_outcome outcome;
    char rule[48], reason[160];
    size_t theirs_len;
};
struct ends {
    pthread_mutex_t mutex;
    size_t n;
    struct end ends[ENDS_MAX];
};

struct fixture {
    struct scratch scratch;
    struct hf_options opts;
    struct hf *store;
    struct ends settled, previewed;
    unsigned resolved;
    uint64_t random;
    int lives;
};

static void add_end(struct ends *ends, const struct end *end)
{
    pthread_mutex_lock(&ends->mutex);
    if (ends->n < ENDS_MAX)
        ends->ends[ends->n++] = *end;
    pthread_mutex_unlock(&ends->mutex);
}

static void on_settled(void *ctx, const struct hf_settlement *settlement)
{
    struct end end = {.last_lsn = settlement->last_lsn, .outcome = settlement->outcome};

    snprintf(end.key, sizeof(end.key), "%.*s", (int)settlement->key.len, (const char *)settlement->key.data);
    add_end(ctx, &end);
}

static int on_preview(void *ctx, const struct hf_preview *preview)
{
    struct end end = {
        .last_lsn = preview->last_lsn, .outcome = preview->outcome, .theirs_len = preview->theirs.value.len};

    assert_int_equal(preview->outcome == HF_OUTCOME_PARKED, preview->reason[0] != '\0');
    snprintf(end.reason, sizeof(end.reason), "%s", preview->reason);
    snprintf(end.key, sizeof(end.key), "%.*s", (int)preview->key.len, (const char *)preview->key.data);
    snprintf(end.rule, sizeof(end.rule), "%s", preview->rule);
    add_end(ctx, &end);
    return 0;
}

static int resolve_ours(void *ctx, const struct hf_conflict *conflict, enum hf_winner *ret_winner,
                        struct hf_buf *ret_value)
{
    (void)conflict;
    (void)ret_value;
    (*(unsigned *)ctx)++;
    *ret_winner = HF_WINNER_OURS;
    return 0;
}

/* One for each policy; a key is "<letter>:<number>". */
static const struct hf_namespace namespaces[] = {
    {.prefix = "n:"},
    {.prefix = "b:", .keep_no_replaced = true},
    {.prefix = "l:", .conflict = HF_CONFLICT_LOCAL},
    {.prefix = "r:", .conflict = HF_CONFLICT_REMOTE},
    {.prefix = "p:", .conflict = HF_CONFLICT_PARK},
    {.prefix = "j:", .conflict = HF_CONFLICT_MERGE_JSON},
    {.prefix = "c:", .conflict = HF_CONFLICT_CALLBACK},
    {.prefix = "h:", .writers = HF_WRITERS_HOLDFAST},
    {.prefix = "t:", .writers = HF_WRITERS_THIS_NODE},
    {.prefix = "x:", .tentative = true},
    {.prefix = "o:", .write_mode = HF_WRITE_LOCAL},
};

static void open_store(struct fixture *f)
{
    struct hf_parts parts = {hf__file_layer_real(), hf__clock_real(), fake_local_open, fake_redis_open};

    assert_ok(hf__store_open(f->scratch.store, &f->opts, &parts, &f->store));
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    if (!f)
        return -1;
    scratch_make(&f->scratch);
    pthread_mutex_init(&f->settled.mutex, NULL);
    pthread_mutex_init(&f->previewed.mutex, NULL);
    f->opts = (struct hf_options){
        .redis = "fake",
        .redis_timeout_ms = 5000,
        .redis_backoff_max_ms = 20,
        .checkpoint_interval_ms = NEVER_MS,
        .max_disk_bytes = 1u << 30,
        .namespaces = namespaces,
        .n_namespaces = sizeof(namespaces) / sizeof(namespaces[0]),
        .resolve = resolve_ours,
        .resolve_ctx = &f->resolved,
        .settled = on_settled,
        .settled_ctx = &f->settled,
    };
    fake_redis_start();
    *state = f;
    return 0;
}

static void thaw_all(void)
{
    for (int kind = 0; kind < FAKE_REQUESTS; kind++)
        fake_redis_thaw((enum fake_request)kind);
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    thaw_all();
    (void)hf_close(f->store);
    fake_redis_stop();
    scratch_remove(&f->scratch);
    free(f);
    return 0;
}

/* ---- vocabulary ---- */

static void wait_state(struct fixture *f, enum hf_link_state state)
{
    struct hf_status status;

    if (wait_link(f->store, state, SOON_MS))
        return;
    assert_ok(hf_status(f->store, &status));
    fail_msg("the link is %s (%s); expected %s", hf_link_text(status.link), status.link_reason,
             hf_link_text(state));
}

static void go_online(struct fixture *f)
{
    thaw_all();
    fake_redis_set_away(false);
    wait_state(f, HF_LINK_ONLINE);
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_ok(hf_checkpoint(f->store));
}

static void go_offline(struct fixture *f)
{
    fake_redis_set_away(true);
    wait_state(f, HF_LINK_OFFLINE);
}

/* Connected again, and nothing is sent that changes anything: either before the catch-up, or in the midst of the replay. */
static void come_back_frozen(struct fixture *f, bool before_catch_up)
{
    if (before_catch_up) {
        fake_redis_freeze(FAKE_EPOCH);
    } else {
        fake_redis_freeze(FAKE_GROUP);
        fake_redis_freeze(FAKE_LANE);
    }
    fake_redis_set_away(false);
    wait_state(f, before_catch_up ? HF_LINK_CATCHING_UP : HF_LINK_REPLAYING);
}

static bool can_preview(void *ctx)
{
    struct fixture *f = ctx;
    int rc;

    f->previewed.n = 0;
    rc = hf_preview(f->store, on_preview, &f->previewed);
    if (rc != 0 && rc != HF_EOFFLINE)
        fail_msg("hf_preview returned %d: %s", rc, hf_errmsg());
    return rc == 0;
}

static void preview(struct fixture *f)
{
    if (!wait_until(can_preview, f, SOON_MS))
        fail_msg("no preview: %s", hf_errmsg());
}

static const struct end *find_end(const struct ends *ends, const char *key, uint64_t last_lsn)
{
    for (size_t i = 0; i < ends->n; i++) {
        if (strcmp(ends->ends[i].key, key) == 0 && (last_lsn == 0 || ends->ends[i].last_lsn == last_lsn))
            return &ends->ends[i];
    }
    return NULL;
}

static const struct end *previewed(const struct fixture *f, const char *key)
{
    const struct end *end = find_end(&f->previewed, key, 0);

    if (!end)
        fail_msg("the preview does not name '%s'", key);
    return end;
}

static int64_t now_ms(void)
{
    return wall_ms();
}

/* ---- a preview is what the replay does ---- */

static uint32_t pick(struct fixture *f, uint32_t n)
{
    f->random = f->random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(f->random >> 33) % n;
}

/* Each deadline a second or more from any other: whether two that are nearer are the same is for the clock to say. */
static int64_t another_life(struct fixture *f, int hours)
{
    return (int64_t)hours * HOUR_MS + (int64_t)++f->lives * 1000;
}

static const char *random_key(struct fixture *f, char *key)
{
    sprintf(key, "%c:%u", "nnbblrpjchttxx"[pick(f, 14)], pick(f, 4));
    return key;
}

static const char *random_value(struct fixture *f)
{
    static const char *const values[] = {
        "", "a", "b", "7", "{\"x\":1}", "{\"x\":2,\"y\":3}", "{\"z\":[]}", "a longer value that nobody merges"};

    return values[pick(f, sizeof(values) / sizeof(values[0]))];
}

static void assert_written(int rc)
{
    if (rc != 0 && rc != HF_NOT_FOUND && rc != HF_ENOTINT && rc != HF_EREFUSED && rc != HF_EWRONGTYPE)
        fail_msg("a write returned %d: %s", rc, hf_errmsg());
}

static void commit_random_batch(struct fixture *f)
{
    char prefix = "nblr"[pick(f, 4)], key[16];
    struct hf_batch *batch;

    assert_ok(hf_batch_new(f->store, &batch));
    for (uint32_t i = 0, n = 1 + pick(f, 3); i < n; i++) {
        sprintf(key, "%c:%u", prefix, pick(f, 5));
        if (pick(f, 4) == 0)
            assert_ok(hf_batch_delete(batch, s_(key)));
        else
            assert_ok(hf_batch_set(batch, s_(key), s_(random_value(f)), NULL));
    }
    assert_written(hf_batch_commit(batch, NULL));
    hf_batch_free(batch);
}

/* Offline, by what is held here: the replay checks it. */
static void decide_here(struct fixture *f, const char *key)
{
    int rc = pick(f, 2)
                 ? hf_set_if_absent(f->store, s_(key), s_(random_value(f)), NULL, NULL)
                 : hf_compare_and_set(f->store, s_(key), s_(random_value(f)), s_(random_value(f)), NULL, NULL);

    if (rc != HF_NOT_DONE && rc != HF_EUNKNOWN && rc != HF_EOFFLINE)
        assert_written(rc);
}

static void change_here(struct fixture *f)
{
    struct hf_set_options shortly = {.ttl_ms = 1}, for_long = {.ttl_ms = another_life(f, 1)};
    int64_t number;
    char key[16];

    random_key(f, key);
    if (key[0] == 'x' && pick(f, 2)) {
        decide_here(f, key);
        return;
    }
    switch (pick(f, 10)) {
    case 0: assert_written(hf_delete(f->store, s_(key), NULL)); break;
    case 1: assert_written(hf_expire(f->store, s_(key), another_life(f, 1 + (int)pick(f, 3)), NULL)); break;
    case 2: assert_written(hf_persist(f->store, s_(key), NULL)); break;
    case 3: assert_written(hf_set(f->store, s_(key), s_(random_value(f)), &shortly, NULL)); break;
    case 4: assert_written(hf_set(f->store, s_(key), s_(random_value(f)), &for_long, NULL)); break;
    case 5: assert_written(hf_incr(f->store, s_(key), 1 + pick(f, 3), &number, NULL)); break;
    case 6: commit_random_batch(f); break;
    default: assert_written(hf_set(f->store, s_(key), s_(random_value(f)), NULL, NULL)); break;
    }
}

static void change_there(struct fixture *f)
{
    char key[16];

    random_key(f, key);
    if (key[0] == 't') /* nobody else writes there, that is agreed */
        return;
    switch (pick(f, key[0] == 'h' ? 4 : 10)) {
    case 0: fake_redis_other_node(key, NULL, now_ms() - HOUR_MS, 0); break;
    case 1: fake_redis_other_node(key, random_value(f), now_ms() - HOUR_MS, 0); break;
    case 2: fake_redis_other_node(key, random_value(f), now_ms() + HOUR_MS, 0); break;
    case 3: fake_redis_other_node(key, random_value(f), now_ms(), 10 * HOUR_MS); break;
    case 4: fake_redis_foreign_delete(key); break;
    case 5: fake_redis_foreign_expire(key, now_ms() + another_life(f, 5)); break;
    case 6: fake_redis_other_type(key, "hash"); break;
    default: fake_redis_foreign_set(key, random_value(f), pick(f, 2) ? 0 : now_ms() + another_life(f, 1)); break;
    }
}

static void on_done(void *ctx, const struct hf_result *result)
{
    (void)result;
    atomic_store((atomic_bool *)ctx, true);
}

static bool is_done(void *ctx)
{
    return atomic_load((atomic_bool *)ctx);
}

/* What has ended so far was heard: the completion thread takes one after the other. */
static void forget_settled(struct fixture *f)
{
    const struct hf_op op = {.kind = HF_OP_SET, .key = s_("o:barrier"), .value = s_("v")};
    static atomic_bool done; /* outlives a failed test */

    atomic_store(&done, false);
    assert_ok(hf_submit(f->store, &op, on_done, &done));
    assert_true(wait_until(is_done, &done, SOON_MS));
    f->settled.n = 0;
}

/* What a preview tells of a change that another party ends: a resolver, or our own entry in the log, of whose end nobody
 * is told. */
static void assert_same_end(struct fixture *f, const struct end *told)
{
    const struct end *settled = find_end(&f->settled, told->key, told->last_lsn);
    enum hf_outcome outcome = HF_OUTCOME_PENDING;

    if (!settled && told->outcome == HF_OUTCOME_ALREADY) {
        assert_ok(hf_outcome(f->store, s_(told->key), told->last_lsn, &outcome));
        assert_int_not_equal(outcome, HF_OUTCOME_PENDING);
        return;
    }
    if (!settled)
        fail_msg("'%s' up to %" PRIu64 " was to end as %s, and has not ended", told->key, told->last_lsn,
                 hf_outcome_text(told->outcome));
    if (told->outcome == HF_OUTCOME_PENDING && told->key[0] == 'c')
        return;
    if (settled->outcome != told->outcome)
        fail_msg("'%s' up to %" PRIu64 " was to end as %s, and ended as %s", told->key, told->last_lsn,
                 hf_outcome_text(told->outcome), hf_outcome_text(settled->outcome));
}

static void assert_same_ends(struct fixture *f)
{
    for (size_t i = 0; i < f->previewed.n; i++)
        assert_same_end(f, &f->previewed.ends[i]);
    for (size_t i = 0; i < f->settled.n; i++) {
        const struct end *end = &f->settled.ends[i];
        if (!find_end(&f->previewed, end->key, end->last_lsn))
            fail_msg("'%s' up to %" PRIu64 " ended as %s, and the preview did not say so", end->key, end->last_lsn,
                     hf_outcome_text(end->outcome));
    }
}

static bool is_heard(struct fixture *f, const struct end *told)
{
    bool heard;

    pthread_mutex_lock(&f->settled.mutex);
    heard = told->outcome == HF_OUTCOME_ALREADY || find_end(&f->settled, told->key, told->last_lsn);
    pthread_mutex_unlock(&f->settled.mutex);
    return heard;
}

static bool all_has_ended(void *ctx)
{
    struct fixture *f = ctx;
    struct hf_status status;

    assert_ok(hf_status(f->store, &status));
    for (size_t i = 0; i < f->previewed.n; i++) {
        if (!is_heard(f, &f->previewed.ends[i]))
            return false;
    }
    return status.link == HF_LINK_ONLINE && status.pending_keys == 0;
}

static void do_round(struct fixture *f)
{
    bool lost_answers = pick(f, 3) == 0;
    bool before_catch_up = lost_answers || pick(f, 2); /* a replay under way tells at once what the mark covers */
    unsigned before, after;
    struct hf_status was, is;

    if (lost_answers) {
        fake_redis_script(pick(f, 2) ? FAKE_GROUP : FAKE_LANE, FAKE_LOSE_ANSWER, 1);
        for (int i = 0; i < 3; i++)
            change_here(f);
        fake_redis_script(FAKE_GROUP, FAKE_APPLY, 0);
        fake_redis_script(FAKE_LANE, FAKE_APPLY, 0);
    }
    go_offline(f);
    forget_settled(f);
    for (uint32_t i = 0, n = pick(f, 12); i < n; i++)
        change_here(f);
    assert_written(hf_set(f->store, s_("n:0"), s_(random_value(f)), NULL, NULL)); /* so that there is a replay */
    for (uint32_t i = 0, n = pick(f, 8); i < n; i++)
        change_there(f);
    (void)poll(NULL, 0, 3); /* what has a millisecond to live is dead */
    come_back_frozen(f, before_catch_up);
    before = fake_redis_changes();
    assert_ok(hf_status(f->store, &was));
    preview(f);
    preview(f); /* what it told is still so */
    assert_ok(hf_status(f->store, &is));
    after = fake_redis_changes();
    assert_int_equal(before, after);
    assert_int_equal(was.pending_keys, is.pending_keys);
    assert_int_equal(was.conflicts, is.conflicts);
    assert_int_equal(was.parked, is.parked);
    assert_int_equal(f->settled.n, 0);
    go_online(f);
    (void)wait_until(all_has_ended, f, 2000); /* what has not ended by then is told by name */
    assert_same_ends(f);
}

static void test_look__a_preview_is_what_the_replay_does(void **state)
{
    struct fixture *f = *state;

    f->random = getenv("LOOK_SEED") ? strtoull(getenv("LOOK_SEED"), NULL, 10) : (uint64_t)now_ms();
    print_message("LOOK_SEED=%" PRIu64 "\n", f->random);
    open_store(f);
    go_online(f);
    for (int i = 0; i < 40; i++)
        do_round(f);
}

/* ---- a preview, case by case ---- */

static void close_store(struct fixture *f)
{
    struct hf *store = f->store;

    f->store = NULL;
    assert_ok(hf_close(store));
}

static void reopen_to_look(struct fixture *f)
{
    close_store(f);
    fake_redis_set_away(false);
    f->opts.look_only = true;
    open_store(f);
    wait_state(f, HF_LINK_HELD);
}

static void make_conflict(struct fixture *f, const char *key)
{
    put(f->store, key, "base");
    assert_ok(hf_drain(f->store, SOON_MS));
    go_offline(f);
    put(f->store, key, "ours");
    fake_redis_foreign_set(key, "their value", 0);
}

static void test_look__a_store_opened_to_look_shows_a_preview_and_sends_nothing(void **state)
{
    struct fixture *f = *state;
    unsigned before, after;
    const struct end *end;

    open_store(f);
    go_online(f);
    make_conflict(f, "n:1");
    put(f->store, "l:new", "v");
    reopen_to_look(f);
    before = fake_redis_changes();
    preview(f);
    after = fake_redis_changes();
    assert_int_equal(before, after);
    assert_int_equal(f->previewed.n, 2);
    end = previewed(f, "n:1");
    assert_int_equal(end->outcome, HF_OUTCOME_LOST);
    assert_string_equal(end->rule, "newest");
    assert_int_equal(end->theirs_len, strlen("their value"));
    assert_int_equal(previewed(f, "l:new")->outcome, HF_OUTCOME_APPLIED);
    assert_true(fake_redis_holds("n:1", "their value"));
    assert_true(fake_redis_holds("l:new", NULL));
    assert_value(f->store, "n:1", "ours");
}

static void test_look__a_preview_needs_redis(void **state)
{
    struct fixture *f = *state;

    open_store(f);
    go_online(f);
    go_offline(f);
    put(f->store, "n:1", "v");
    assert_code(HF_EOFFLINE, hf_preview(f->store, on_preview, &f->previewed));
    close_store(f);
    f->opts.redis = NULL;
    open_store(f);
    assert_code(HF_EOFFLINE, hf_preview(f->store, on_preview, &f->previewed));
    assert_int_equal(f->previewed.n, 0);
}

static int say_seven(void *ctx, const struct hf_preview *one)
{
    (void)one;
    ++*(int *)ctx;
    return 7;
}

static void test_look__a_callback_ends_a_preview(void **state)
{
    struct fixture *f = *state;
    int calls = 0;

    open_store(f);
    go_online(f);
    go_offline(f);
    put(f->store, "n:1", "v");
    put(f->store, "n:2", "v");
    come_back_frozen(f, false);
    assert_int_equal(hf_preview(f->store, say_seven, &calls), 7);
    assert_int_equal(calls, 1);
}

/* More than one batch of rows, and of one lane; among the increments some that Redis will refuse. */
static void test_look__a_preview_goes_on_behind_the_first_batch(void **state)
{
    struct fixture *f = *state;
    int64_t number;
    char key[16];

    open_store(f);
    go_online(f);
    go_offline(f);
    for (int i = 0; i < 150; i++) {
        sprintf(key, "n:%d", i);
        put(f->store, key, "v");
    }
    for (int i = 0; i < 300; i++) {
        sprintf(key, "b:%d", i % 7);
        assert_ok(hf_incr(f->store, s_(key), 1, &number, NULL));
    }
    fake_redis_foreign_set("b:3", "no number", 0);
    fake_redis_foreign_set("b:4", "9223372036854775807", 0);
    come_back_frozen(f, true);
    preview(f);
    assert_int_equal(f->previewed.n, 450);
    assert_int_equal(previewed(f, "b:3")->outcome, HF_OUTCOME_PARKED);
    assert_int_equal(previewed(f, "b:5")->outcome, HF_OUTCOME_APPLIED);
}

static void test_look__what_the_log_has_of_ours_is_already_applied(void **state)
{
    struct fixture *f = *state;

    open_store(f);
    go_online(f);
    fake_redis_script(FAKE_GROUP, FAKE_LOSE_ANSWER, 1);
    put(f->store, "t:1", "v"); /* no log: examined by nobody */
    wait_state(f, HF_LINK_OFFLINE);
    fake_redis_set_away(false);
    wait_state(f, HF_LINK_ONLINE);
    fake_redis_script(FAKE_GROUP, FAKE_LOSE_ANSWER, 1);
    put(f->store, "n:1", "v");
    wait_state(f, HF_LINK_OFFLINE);
    fake_redis_foreign_set("n:1", "w", 0); /* later than ours, which has ended */
    come_back_frozen(f, true);
    preview(f);
    assert_int_equal(previewed(f, "n:1")->outcome, HF_OUTCOME_ALREADY);
}

/* An increment has no answer, and the mark is gone: `sent` ends so. */
static void preview_without_mark(struct fixture *f, const char *sent, const char *unsent, enum hf_outcome outcome)
{
    int64_t number;

    open_store(f);
    go_online(f);
    assert_ok(hf_incr(f->store, s_(sent), 1, &number, NULL));
    assert_ok(hf_drain(f->store, SOON_MS));
    fake_redis_script(FAKE_LANE, FAKE_LOSE_ANSWER, 1);
    assert_ok(hf_incr(f->store, s_(sent), 1, &number, NULL));
    wait_state(f, HF_LINK_OFFLINE);
    assert_ok(hf_incr(f->store, s_(unsent), 1, &number, NULL));
    fake_redis_set_mark(0);
    forget_settled(f);
    come_back_frozen(f, true);
    preview(f);
    assert_int_equal(previewed(f, sent)->outcome, outcome);
    assert_int_equal(previewed(f, unsent)->outcome, HF_OUTCOME_APPLIED);
    go_online(f);
    (void)wait_until(all_has_ended, f, 2000);
    assert_same_ends(f);
}

static void test_look__increments_without_mark_and_log_are_in_doubt(void **state)
{
    preview_without_mark(*state, "t:0", "t:1", HF_OUTCOME_IN_DOUBT);
}

static void test_look__increments_that_the_log_names_are_already_applied(void **state)
{
    preview_without_mark(*state, "n:0", "n:1", HF_OUTCOME_ALREADY);
}

/* A unit over keys that others changed: told as it ends. */
static void commit_both(struct fixture *f, const char *a, const char *b)
{
    struct hf_batch *batch;

    assert_ok(hf_batch_new(f->store, &batch));
    assert_ok(hf_batch_set(batch, s_(a), s_("ours"), NULL));
    assert_ok(hf_batch_set(batch, s_(b), s_("ours"), NULL));
    assert_ok(hf_batch_commit(batch, NULL));
    hf_batch_free(batch);
}

/* Online with values that both tiers know under "<letter>:1" to "<letter>:4" of each namespace; then offline. */
static void go_offline_knowing(struct fixture *f, const char *letters)
{
    char key[16];

    open_store(f);
    go_online(f);
    for (size_t i = 0; letters[i]; i++) {
        for (int k = 1; k <= 4; k++) {
            sprintf(key, "%c:%d", letters[i], k);
            put(f->store, key, "base");
        }
    }
    assert_ok(hf_drain(f->store, SOON_MS));
    go_offline(f);
    forget_settled(f);
}

static void assert_previewed(const struct fixture *f, const char *key, enum hf_outcome outcome, const char *rule)
{
    const struct end *end = previewed(f, key);

    if (end->outcome != outcome || strcmp(end->rule, rule) != 0)
        fail_msg("'%s' was to end as %s by '%s', expected %s by '%s'", key, hf_outcome_text(end->outcome),
                 end->rule, hf_outcome_text(outcome), rule);
}

static void replay_as_previewed(struct fixture *f)
{
    go_online(f);
    (void)wait_until(all_has_ended, f, 2000);
    assert_same_ends(f);
}

static void test_look__a_batch_that_loses_a_key_is_told_as_parked(void **state)
{
    struct fixture *f = *state;

    go_offline_knowing(f, "rlh");
    commit_both(f, "r:1", "r:2");
    commit_both(f, "l:1", "l:2");
    commit_both(f, "h:1", "h:2"); /* what no log names is not looked for */
    commit_both(f, "h:3", "h:4");
    fake_redis_foreign_set("r:2", "theirs", 0);
    fake_redis_foreign_set("l:2", "theirs", 0);
    fake_redis_foreign_set("h:2", "theirs", 0);
    fake_redis_other_node("h:4", "theirs", now_ms() + HOUR_MS, 0);
    come_back_frozen(f, true);
    preview(f);
    assert_previewed(f, "r:1", HF_OUTCOME_PARKED, "");
    assert_previewed(f, "r:2", HF_OUTCOME_PARKED, "");
    assert_non_null(strstr(previewed(f, "r:1")->reason, "'r:2': it was changed here and there, and theirs wins"));
    assert_previewed(f, "l:1", HF_OUTCOME_APPLIED, "");
    assert_previewed(f, "l:2", HF_OUTCOME_WON, "local");
    assert_previewed(f, "h:2", HF_OUTCOME_APPLIED, "");
    assert_previewed(f, "h:3", HF_OUTCOME_PARKED, "");
    replay_as_previewed(f);
}

/* What others did was heard before the preview began: by the link alone, for a lane. */
static void test_look__a_preview_knows_what_the_link_has_heard(void **state)
{
    struct fixture *f = *state;

    go_offline_knowing(f, "nh");
    commit_both(f, "n:1", "n:2");
    commit_both(f, "h:3", "h:4");
    fake_redis_other_node("n:2", "theirs", now_ms() - HOUR_MS, 0);
    fake_redis_other_node("h:4", "theirs", now_ms() + HOUR_MS, 0);
    come_back_frozen(f, false);
    preview(f);
    assert_previewed(f, "n:2", HF_OUTCOME_WON, "newest");
    assert_previewed(f, "h:3", HF_OUTCOME_PARKED, "");
    replay_as_previewed(f);
}

static void test_look__a_value_that_loses_is_told_to_leave_its_lane(void **state)
{
    struct fixture *f = *state;
    struct hf_result added[2];
    int64_t number;

    go_offline_knowing(f, "r");
    put(f->store, "r:1", "5");
    put(f->store, "r:2", "5");
    assert_ok(hf_incr(f->store, s_("r:1"), 1, &number, &added[0]));
    assert_ok(hf_incr(f->store, s_("r:2"), 1, &number, &added[1]));
    fake_redis_foreign_set("r:1", "100", 0);
    fake_redis_foreign_set("r:2", "no number", 0);
    come_back_frozen(f, true);
    preview(f);
    assert_int_equal(f->previewed.n, 4);
    assert_previewed(f, "r:1", HF_OUTCOME_LOST, "remote"); /* the value, which comes first */
    assert_previewed(f, "r:2", HF_OUTCOME_LOST, "remote");
    assert_int_equal(find_end(&f->previewed, "r:1", added[0].lsn)->outcome, HF_OUTCOME_APPLIED);
    assert_int_equal(find_end(&f->previewed, "r:2", added[1].lsn)->outcome, HF_OUTCOME_PARKED);
    replay_as_previewed(f);
}

static void test_look__another_type_is_told(void **state)
{
    struct fixture *f = *state;
    int64_t number;

    go_offline_knowing(f, "n");
    put(f->store, "n:1", "v");
    commit_both(f, "n:2", "n:3");
    assert_ok(hf_incr(f->store, s_("t:2"), 1, &number, NULL));
    for (const char *const *key = (const char *const[]){"n:1", "n:3", "t:2", NULL}; *key; key++)
        fake_redis_other_type(*key, "hash");
    come_back_frozen(f, true);
    preview(f);
    assert_int_equal(f->previewed.n, 4);
    for (size_t i = 0; i < f->previewed.n; i++) {
        assert_int_equal(f->previewed.ends[i].outcome, HF_OUTCOME_PARKED);
        assert_non_null(strstr(f->previewed.ends[i].reason, "another type"));
    }
    replay_as_previewed(f);
}

static bool log_is_full(void *ctx)
{
    struct fixture *f = ctx;
    struct hf_status status;

    assert_ok(hf_status(f->store, &status));
    return strstr(status.link_reason, "the conflict log is full") != NULL;
}

/* A full log: the batch that has to be recorded stays, with all that is before it in the request, and behind it. */
static void test_look__a_lane_that_would_stay_is_told_as_pending(void **state)
{
    struct fixture *f = *state;
    int64_t number;

    f->opts.conflict_log_max = 1;
    go_offline_knowing(f, "lr");
    assert_ok(hf_incr(f->store, s_("l:5"), 1, &number, NULL));
    commit_both(f, "l:1", "l:2");
    commit_both(f, "r:1", "r:2");
    fake_redis_foreign_set("l:1", "theirs", 0);
    fake_redis_foreign_set("l:2", "theirs", 0);
    put(f->store, "r:3", "ours");
    fake_redis_foreign_set("r:3", "theirs", 0);
    come_back_frozen(f, true);
    preview(f);
    assert_int_equal(previewed(f, "r:3")->outcome, HF_OUTCOME_LOST);
    for (const char *const *key = (const char *const[]){"l:5", "l:1", "l:2", "r:1", "r:2", NULL}; *key; key++)
        assert_int_equal(previewed(f, *key)->outcome, HF_OUTCOME_PENDING);
    thaw_all();
    assert_true(wait_until(log_is_full, f, SOON_MS));
    assert_true(fake_redis_holds("l:5", NULL));
    assert_true(fake_redis_holds("l:1", "theirs"));
    assert_true(fake_redis_holds("r:1", "base"));
}

/* ---- explaining ---- */

static void explain(struct fixture *f, const char *key, struct hf_explanation *e)
{
    assert_ok(hf_explain(f->store, s_(key), e));
}

static void test_look__an_explanation_tells_what_both_tiers_hold(void **state)
{
    struct fixture *f = *state;
    struct hf_explanation e = {0};
    unsigned before, after;

    open_store(f);
    go_online(f);
    make_conflict(f, "n:1");
    put(f->store, "n:1", "ours again");
    come_back_frozen(f, true);
    before = fake_redis_changes();
    explain(f, "n:1", &e);
    after = fake_redis_changes();
    assert_int_equal(before, after);
    assert_true(e.held && e.live && e.in_overlay && !e.in_journal_only);
    assert_memory_equal(e.value.data, "ours again", e.value.len);
    assert_int_equal(e.origin, HF_ORIGIN_PENDING);
    assert_int_equal(e.outcome, HF_OUTCOME_PENDING);
    assert_string_equal(e.owed, "a pending row");
    assert_int_equal(e.pending_folded, 2);
    assert_int_equal(e.pending_last_lsn, e.lsn);
    assert_int_equal(e.pending_first_lsn, e.lsn - 1);
    assert_true(e.shared_known && e.shared_present && !e.same);
    assert_string_equal(e.shared_type, "string");
    assert_memory_equal(e.shared_value.data, "their value", e.shared_value.len);
    assert_string_equal(e.prefix, "n:");
    assert_non_null(strstr(e.why, "waits for Redis, which holds another value"));
    hf_explanation_release(&e);
    assert_ok(hf_checkpoint(f->store)); /* from the overlay into a row: the same is told */
    explain(f, "n:1", &e);
    assert_false(e.in_overlay);
    assert_int_equal(e.pending_folded, 2);
    assert_int_equal(e.pending_first_lsn, e.lsn - 1);
    hf_explanation_release(&e);
    go_online(f);
    explain(f, "n:1", &e);
    assert_true(e.same);
    assert_int_equal(e.conflicts, 1);
    assert_string_equal(e.owed, "nothing");
    assert_non_null(strstr(e.why, "our change lost the conflict "));
    hf_explanation_release(&e);
    hf_explanation_release(&e); /* an empty one */
}

static void assert_logged(struct fixture *f, const char *key, const char *what, bool by_this_node)
{
    struct hf_logged logged;

    assert_ok(hf_last_logged(f->store, s_(key), &logged));
    assert_string_equal(logged.what, what);
    assert_int_equal(logged.by_this_node, by_this_node);
    assert_true(logged.id[0] && logged.node[0]);
    assert_int_equal(logged.deleted, strcmp(what, "deleted") == 0);
}

static void assert_not_logged(struct fixture *f, const char *key)
{
    struct hf_logged logged;

    assert_code(HF_NOT_FOUND, hf_last_logged(f->store, s_(key), &logged));
}

static void test_look__the_last_logged_change_of_a_key_is_found_from_the_end(void **state)
{
    struct fixture *f = *state;
    unsigned before, after;
    struct hf_logged logged;
    int64_t number;

    open_store(f);
    go_online(f);
    put(f->store, "n:old", "v");
    put(f->store, "n:1", "v");
    assert_ok(hf_incr(f->store, s_("n:count"), 1, &number, NULL));
    fake_redis_other_node("n:1", NULL, 0, 0);
    for (int i = 0; i < 250; i++) /* some pages */
        fake_redis_other_node("n:other", "v", 0, 0);
    put(f->store, "t:1", "v"); /* no log */
    assert_ok(hf_drain(f->store, SOON_MS));
    before = fake_redis_changes();
    assert_logged(f, "n:old", "set", true);
    assert_logged(f, "n:1", "deleted", false);
    assert_logged(f, "n:count", "incremented", true);
    assert_logged(f, "n:other", "set", false);
    assert_not_logged(f, "n:gone");
    assert_not_logged(f, "t:1");
    after = fake_redis_changes();
    assert_int_equal(before, after);
    fake_redis_trim_log(100);
    assert_not_logged(f, "n:old");
    go_offline(f);
    assert_code(HF_EOFFLINE, hf_last_logged(f->store, s_("n:1"), &logged));
}

static int never_told(void *ctx, const struct hf_loss *loss)
{
    (void)ctx, (void)loss;
    return -1;
}

/* Else a server that was not asked would look like one that refuses to tell. */
static void test_look__facts_that_nobody_told_are_left_as_they_were(void **state)
{
    struct hf_shared_facts facts = {.version = "before"};
    struct fixture *f = *state;

    open_store(f);
    go_online(f);
    go_offline(f);
    assert_code(HF_EOFFLINE, hf__ask_facts(f->store, &facts));
    assert_string_equal(facts.version, "before");
    assert_code(HF_EOFFLINE, hf_preview_losses(f->store, never_told, NULL));
    fake_redis_set_away(false);
    go_online(f);
    fake_redis_script(FAKE_FACTS, FAKE_LOSE, 1);
    assert_code(HF_EOFFLINE, hf__ask_facts(f->store, &facts));
    assert_string_equal(facts.version, "before");
}

static void test_look__an_explanation_without_redis_says_so(void **state)
{
    struct fixture *f = *state;
    struct hf_explanation e = {0};
    int64_t number;

    open_store(f);
    go_online(f);
    go_offline(f);
    assert_ok(hf_incr(f->store, s_("n:1"), 1, &number, NULL));
    assert_ok(hf_incr(f->store, s_("n:1"), 1, &number, NULL));
    put(f->store, "o:1", "v");
    explain(f, "n:1", &e);
    assert_false(e.shared_known);
    assert_string_equal(e.owed, "lane entries");
    assert_int_equal(e.pending_folded, 2);
    assert_non_null(strstr(e.why, "which could not be asked: "));
    hf_explanation_release(&e);
    assert_ok(hf_checkpoint(f->store));
    explain(f, "n:1", &e);
    assert_string_equal(e.owed, "lane entries");
    assert_int_equal(e.pending_folded, 2);
    hf_explanation_release(&e);
    explain(f, "o:1", &e);
    assert_non_null(strstr(e.why, "and never shared"));
    hf_explanation_release(&e);
    explain(f, "nowhere", &e);
    assert_false(e.held || e.live);
    assert_int_equal(e.lsn, 0);
    assert_non_null(strstr(e.why, "it is not held here"));
    hf_explanation_release(&e);
}

/* One row for each sentence: what was gathered, and a part of what is told. */
static void test_look__the_sentence_follows_from_what_was_gathered(void **state)
{
    struct hf_explanation row = {.live = true, .owed = "a pending row", .made_ms = 1000, .shared_known = true};
    struct hf_explanation absent = row, same = row, other = row, type = row, nothing = {.owed = "nothing"};
    struct hf_explanation parked = {.owed = "nothing", .live = true, .outcome = HF_OUTCOME_PARKED};
    struct hf_explanation dropped = {
        .owed = "nothing", .live = true, .shared_known = true, .outcome = HF_OUTCOME_DROPPED};
    struct hf_explanation agreed = {
        .owed = "nothing", .live = true, .shared_known = true, .same = true, .made_ms = 1000};
    struct hf_explanation lost = {.owed = "nothing", .live = true, .shared_known = true, .made_ms = 1000};
    struct hf_explanation there = {
        .owed = "nothing", .shared_known = true, .shared_present = true, .shared_type = "string"};
    char text[HF_WHY_MAX];

    (void)state;
    same.shared_present = other.shared_present = type.shared_present = true;
    strcpy(same.shared_type, "string");
    strcpy(other.shared_type, "string");
    strcpy(type.shared_type, "hash");
    same.same = true;
    const struct {
        struct hf_why why;
        const char *part;
    } cases[] = {
        {{.e = &absent},
         "our change of 00:00:01 UTC of 1970-01-01 waits for Redis, which holds nothing under this key"},
        {{.e = &same}, "which holds the same already"},
        {{.e = &other, .other_value = true}, "which holds another value"},
        {{.e = &other}, "which holds the same value with another deadline"},
        {{.e = &type}, "which holds a value of type hash"},
        {{.e = &parked, .parked_reason = "WRONGTYPE"},
         "our latest change is parked, kept for the operator: WRONGTYPE"},
        {{.e = &dropped},
         "our latest change was dropped, by the operator or at a bound: Redis holds nothing under"},
        {{.e = &agreed}, "both tiers hold the same, since 00:00:01 UTC of 1970-01-01"},
        {{.e = &agreed, .conflict_id = 17, .winner = HF_WINNER_THEIRS, .rule = "newest", .decided_ms = 1000},
         "our change lost the conflict 17 by rule newest at 00:00:01 UTC"},
        {{.e = &agreed, .conflict_id = 17, .winner = HF_WINNER_MERGED, .rule = "merge-json"},
         "both sides were merged in the conflict 17 by rule merge-json at an unknown time"},
        {{.e = &lost}, "nothing of ours waits, and Redis holds nothing under this key"},
        {{.e = &there}, "it is not held here, and Redis holds a value of 0 bytes"},
        {{.e = &nothing, .not_asked = "it is away"},
         "it is not held here; what Redis holds is not known: it is away"},
        {{.e = &agreed, .never_shared = true},
         "it is held here since 00:00:01 UTC of 1970-01-01, and never shared"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct hf_why why = cases[i].why;
        why.parked_reason = why.parked_reason ? why.parked_reason : "";
        why.not_asked = why.not_asked ? why.not_asked : "";
        hf__explain_why(&why, text);
        if (!strstr(text, cases[i].part))
            fail_msg("case %zu says \"%s\"; expected \"%s\"", i, text, cases[i].part);
    }
}

/* ---- verifying ---- */

struct told {
    size_t n;
    char text[2048]; /* "key:flags " */
};

static int on_difference(void *ctx, const struct hf_difference *d)
{
    struct told *told = ctx;

    snprintf(told->text + strlen(told->text), sizeof(told->text) - strlen(told->text), "%.*s:%s%s%s%s%s ",
             (int)d->key.len, (const char *)d->key.data, d->pending ? "p" : "", d->absent_there ? "a" : "",
             d->other_value ? "v" : "", d->other_deadline ? "d" : "", d->other_type ? "t" : "");
    told->n++;
    return 0;
}

static struct hf_verification verify(struct fixture *f, uint64_t sample, struct told *told)
{
    struct hf_verification sums = {0};

    *told = (struct told){0};
    assert_ok(hf_verify(f->store, sample, on_difference, told, &sums));
    assert_int_equal(sums.compared, sums.same + sums.pending + sums.different);
    return sums;
}

#define LONG_BYTES 20000 /* longer than what is hashed unasked */

static void put_long(struct fixture *f, const char *key, char filler)
{
    static char value[LONG_BYTES + 1];

    memset(value, filler, LONG_BYTES);
    put(f->store, key, value);
}

static void foreign_long(const char *key, char filler)
{
    static char value[LONG_BYTES + 1];

    memset(value, filler, LONG_BYTES);
    fake_redis_foreign_set(key, value, 0);
}

static void test_look__verify_tells_each_difference(void **state)
{
    static const char *const keys[] = {"n:absent", "n:deadline", "n:same", "n:type", "n:value"};
    struct fixture *f = *state;
    struct hf_verification sums;
    struct told told;

    open_store(f);
    go_online(f);
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        put(f->store, keys[i], "v");
    put_long(f, "n:long", 'a');
    put_long(f, "n:long other", 'a');
    put(f->store, "o:1", "v"); /* never shared */
    assert_ok(hf_drain(f->store, SOON_MS));
    go_offline(f);
    put(f->store, "n:waits", "v");
    put(f->store, "n:same", "w");
    fake_redis_foreign_set("n:same", "w", 0); /* pending, and the same all the same */
    fake_redis_foreign_delete("n:absent");
    fake_redis_foreign_expire("n:deadline", now_ms() + HOUR_MS);
    fake_redis_other_type("n:type", "hash");
    fake_redis_foreign_set("n:value", "w", 0);
    foreign_long("n:long other", 'b');
    come_back_frozen(f, true);
    sums = verify(f, 0, &told);
    assert_string_equal(told.text, "n:absent:a n:deadline:d n:long other:v n:type:t n:value:v n:waits:pa ");
    assert_int_equal(sums.compared, 8);
    assert_int_equal(sums.pending, 2);
    assert_int_equal(sums.different, 5);
    sums = verify(f, 3, &told);
    assert_int_equal(sums.compared, 3);
    sums = verify(f, 1000, &told);
    assert_int_equal(sums.compared, 8);
    fake_redis_set_away(true);
    wait_state(f, HF_LINK_OFFLINE);
    assert_code(HF_EOFFLINE, hf_verify(f->store, 0, on_difference, &told, &sums));
}

static void test_look__a_sample_is_taken_from_all_keys(void **state)
{
    struct fixture *f = *state;
    bool met[20] = {false};
    struct told told;
    char key[16];
    size_t n = 0;

    open_store(f);
    go_online(f);
    go_offline(f);
    for (int i = 0; i < 20; i++) {
        sprintf(key, "n:%d", i);
        put(f->store, key, "v");
    }
    come_back_frozen(f, true);
    for (int round = 0; round < 400 && n < 20;
         round++) { /* each key is left out with probability 19/20 each time */
        assert_int_equal(verify(f, 1, &told).compared, 1);
        n += !met[atoi(told.text + 2)];
        met[atoi(told.text + 2)] = true;
    }
    assert_int_equal(n, 20);
}

static void *verify_beside(void *arg)
{
    struct fixture *f = arg;
    struct told told;
    struct hf_verification sums = verify(f, 0, &told);

    return (void *)(uintptr_t)(sums.different + 1);
}

static bool is_asked(void *ctx)
{
    return fake_redis_asked(FAKE_EXAMINE) > *(unsigned *)ctx;
}

/* The copy was read, the change was made on both sides, then Redis answered. */
static void test_look__a_change_under_way_is_no_difference(void **state)
{
    struct fixture *f = *state;
    unsigned asked;
    pthread_t thread;
    void *told;

    open_store(f);
    go_online(f);
    put(f->store, "n:1", "v");
    assert_ok(hf_drain(f->store, SOON_MS));
    asked = fake_redis_asked(FAKE_EXAMINE);
    fake_redis_freeze(FAKE_EXAMINE);
    assert_int_equal(pthread_create(&thread, NULL, verify_beside, f), 0);
    assert_true(wait_until(is_asked, &asked, SOON_MS));
    put(f->store, "n:1", "w");
    assert_ok(hf_drain(f->store, SOON_MS));
    fake_redis_thaw(FAKE_EXAMINE);
    assert_int_equal(pthread_join(thread, &told), 0);
    assert_int_equal((uintptr_t)told, 1);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_look__a_preview_is_what_the_replay_does),
        CASE(test_look__a_store_opened_to_look_shows_a_preview_and_sends_nothing),
        CASE(test_look__a_preview_needs_redis),
        CASE(test_look__a_callback_ends_a_preview),
        CASE(test_look__a_preview_goes_on_behind_the_first_batch),
        CASE(test_look__what_the_log_has_of_ours_is_already_applied),
        CASE(test_look__increments_without_mark_and_log_are_in_doubt),
        CASE(test_look__increments_that_the_log_names_are_already_applied),
        CASE(test_look__a_batch_that_loses_a_key_is_told_as_parked),
        CASE(test_look__a_preview_knows_what_the_link_has_heard),
        CASE(test_look__a_value_that_loses_is_told_to_leave_its_lane),
        CASE(test_look__another_type_is_told),
        CASE(test_look__a_lane_that_would_stay_is_told_as_pending),
        CASE(test_look__an_explanation_tells_what_both_tiers_hold),
        CASE(test_look__the_last_logged_change_of_a_key_is_found_from_the_end),
        CASE(test_look__facts_that_nobody_told_are_left_as_they_were),
        CASE(test_look__an_explanation_without_redis_says_so),
        CASE(test_look__the_sentence_follows_from_what_was_gathered),
        CASE(test_look__verify_tells_each_difference),
        CASE(test_look__a_sample_is_taken_from_all_keys),
        CASE(test_look__a_change_under_way_is_no_difference),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
