/* The conflict log, the parked list and the outcomes of changes, against a scripted Redis, failing commits and kill -9. */
#include "fake_tier.h"
#include "ignore.h"
#include "scratch.h"

#include "checkpoint.h"
#include "file_layer.h"
#include "store.h"

#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SOON_MS 5000   /* a bound, not a pause: what is waited for happens long before */
#define NEVER_MS 60000 /* a time that a test must not reach */
#define ALWAYS (-1)
#define TOLD_MAX 64

/* What the application was told of settled changes. */
struct told {
    pthread_mutex_t mutex;
    size_t n;
    struct {
        char key[16];
        uint64_t first_lsn, last_lsn;
        enum hf_outcome outcome;
        bool has_number;
        int64_t number;
        bool has_reason;
    } all[TOLD_MAX];
};

/* ---- fixture: a fake Redis, a directory, at most one open store ---- */

struct fixture {
    struct scratch scratch;
    char copy[96];
    struct hf_namespace namespaces[2];
    struct hf_options opts;
    struct hf_parts parts;
    struct hf *store; /* NULL while closed */
    struct told told;
};

static void hear(void *ctx, const struct hf_settlement *s)
{
    struct told *told = ctx;

    pthread_mutex_lock(&told->mutex);
    if (told->n < TOLD_MAX) {
        snprintf(told->all[told->n].key, sizeof(told->all[told->n].key), "%.*s", (int)s->key.len,
                 (const char *)s->key.data);
        told->all[told->n].first_lsn = s->first_lsn;
        told->all[told->n].last_lsn = s->last_lsn;
        told->all[told->n].outcome = s->outcome;
        told->all[told->n].has_number = s->has_number;
        told->all[told->n].number = s->number;
        told->all[told->n].has_reason = s->reason[0] != '\0';
    }
    told->n++;
    pthread_mutex_unlock(&told->mutex);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    if (!f)
        return -1;
    scratch_make(&f->scratch);
    snprintf(f->copy, sizeof(f->copy), "%s/copy", f->scratch.dir);
    pthread_mutex_init(&f->told.mutex, NULL);
    /* "l:" is never shared; the rules of the other namespace are a test's to change. */
    f->namespaces[0] = (struct hf_namespace){.prefix = "l:", .write_mode = HF_WRITE_LOCAL};
    f->namespaces[1] = (struct hf_namespace){.prefix = ""};
    f->opts = (struct hf_options){
        .redis = "fake",
        .redis_timeout_ms = 500,
        .redis_backoff_max_ms = 50,
        .checkpoint_interval_ms = NEVER_MS,
        .max_disk_bytes = 1u << 30,
        .namespaces = f->namespaces,
        .n_namespaces = 2,
        .settled = hear,
        .settled_ctx = &f->told,
    };
    f->parts = (struct hf_parts){hf__file_layer_real(), hf__clock_real(), fake_local_open, fake_redis_open};
    fake_redis_start();
    *state = f;
    return 0;
}

static void open_dir(struct fixture *f, const char *dir)
{
    assert_ok(hf__store_open(dir, &f->opts, &f->parts, &f->store));
}

static void open_store(struct fixture *f)
{
    open_dir(f, f->scratch.store);
}

static void close_store(struct fixture *f)
{
    struct hf *store = f->store;

    f->store = NULL;
    assert_ok(hf_close(store));
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    fake_local_hold_commits(false);
    fake_local_fail_commits(0);
    for (int kind = 0; kind < FAKE_REQUESTS; kind++)
        fake_redis_thaw((enum fake_request)kind);
    (void)hf_close(f->store); /* open only after a failure, which has been told */
    fake_redis_stop();
    scratch_remove(&f->scratch);
    pthread_mutex_destroy(&f->told.mutex);
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

static void open_online(struct fixture *f)
{
    open_store(f);
    wait_state(f, HF_LINK_ONLINE);
}

static bool is_swept(void *ctx)
{
    struct fixture *f = ctx;

    return atomic_load(&hf__ns_of(&f->store->namespaces, s_("k"))->verified);
}

/* Online, and no sweep of copies is under way any more that could meet what the test writes. */
static void open_swept(struct fixture *f)
{
    open_online(f);
    assert_true(wait_until(is_swept, f, SOON_MS));
}

static void go_away(struct fixture *f)
{
    fake_redis_set_away(true);
    wait_state(f, HF_LINK_OFFLINE);
}

static void come_back(struct fixture *f)
{
    fake_redis_set_away(false);
    wait_state(f, HF_LINK_ONLINE);
    assert_ok(hf_drain(f->store, SOON_MS));
}

static struct hf_status status_of(struct fixture *f)
{
    struct hf_status status;

    assert_ok(hf_status(f->store, &status));
    return status;
}

/* These return the LSN. */
static uint64_t set(struct fixture *f, const char *key, const char *value)
{
    struct hf_result result = {0};

    assert_ok(hf_set(f->store, s_(key), s_(value), NULL, &result));
    return result.lsn;
}

static uint64_t incr_by(struct fixture *f, const char *key, int64_t delta)
{
    struct hf_result result = {0};
    int64_t number;
    int rc = hf_incr(f->store, s_(key), delta, &number, &result);

    if (rc != 0 && rc != HF_EREFUSED)
        fail_msg("an increment returned %d: %s", rc, hf_errmsg());
    return result.lsn;
}

static uint64_t set_refused(struct fixture *f, const char *key, const char *value)
{
    struct hf_result result = {0};

    fake_redis_script(FAKE_GROUP, FAKE_REFUSE, 1);
    assert_code(HF_EREFUSED, hf_set(f->store, s_(key), s_(value), NULL, &result));
    return result.lsn;
}

static uint64_t incr_refused(struct fixture *f, const char *key, int64_t delta)
{
    uint64_t lsn;

    fake_redis_script(FAKE_LANE, FAKE_REFUSE, 1);
    lsn = incr_by(f, key, delta);
    assert_ok(hf_drain(f->store, SOON_MS));
    return lsn;
}

static void assert_outcome(struct fixture *f, const char *key, uint64_t lsn, enum hf_outcome expected)
{
    enum hf_outcome outcome;

    assert_ok(hf_outcome(f->store, s_(key), lsn, &outcome));
    if (outcome != expected)
        fail_msg("change %" PRIu64 " of '%s' is '%s'; expected '%s'", lsn, key, hf_outcome_text(outcome),
                 hf_outcome_text(expected));
}

static void assert_redis_holds(const char *key, const char *value)
{
    if (!fake_redis_holds(key, value))
        fail_msg("Redis does not hold '%s' under '%s'", value ? value : "nothing", key);
}

struct asked {
    enum fake_request kind;
    unsigned n;
};

static bool was_asked(void *ctx)
{
    struct asked *asked = ctx;

    return fake_redis_asked(asked->kind) >= asked->n;
}

static void wait_asked(enum fake_request kind, unsigned n)
{
    struct asked asked = {.kind = kind, .n = n};

    if (!wait_until(was_asked, &asked, SOON_MS))
        fail_msg("%u requests of kind %d were sent; expected %u", fake_redis_asked(kind), (int)kind, n);
}

/* A write that nobody waits for; its LSN. */
static uint64_t submit_set(struct fixture *f, const char *key, struct hf_slice value)
{
    struct hf_op op = {.kind = HF_OP_SET, .key = s_(key), .value = value};

    assert_ok(hf_submit(f->store, &op, ignore_result, NULL));
    return status_of(f).last_lsn;
}

/* ---- what was told ---- */

struct expected {
    struct told *told;
    const char *key;
    uint64_t lsn;
    unsigned n; /* times */
    enum hf_outcome outcome;
};

static bool is_told(void *ctx)
{
    struct expected *e = ctx;

    e->n = 0;
    pthread_mutex_lock(&e->told->mutex);
    for (size_t i = 0; i < e->told->n; i++) {
        if (e->told->all[i].last_lsn == e->lsn && strcmp(e->told->all[i].key, e->key) == 0) {
            e->n++;
            e->outcome = e->told->all[i].outcome;
        }
    }
    pthread_mutex_unlock(&e->told->mutex);
    return e->n > 0;
}

static void assert_told_once(struct fixture *f, const char *key, uint64_t lsn, enum hf_outcome outcome)
{
    struct expected e = {.told = &f->told, .key = key, .lsn = lsn};

    (void)wait_until(is_told, &e, SOON_MS);
    assert_int_equal(e.n, 1);
    assert_string_equal(hf_outcome_text(e.outcome), hf_outcome_text(outcome));
}

/* ---- lists ---- */

struct listed {
    size_t n;
    uint64_t ids[8];
    struct hf_conflict conflict; /* the last one; its texts below */
    struct hf_parked parked;
    char key[16], ours[16], theirs[16], value[16], reason[80];
};

static void text_of(char *text, size_t size, struct hf_slice slice)
{
    snprintf(text, size, "%.*s", (int)slice.len, slice.len ? (const char *)slice.data : "");
}

static int take_conflict(void *ctx, const struct hf_conflict *conflict)
{
    struct listed *l = ctx;

    l->conflict = *conflict;
    text_of(l->key, sizeof(l->key), conflict->key);
    text_of(l->ours, sizeof(l->ours), conflict->ours.value);
    text_of(l->theirs, sizeof(l->theirs), conflict->theirs.value);
    l->ids[l->n++ % 8] = conflict->id;
    return 0;
}

static int take_parked(void *ctx, const struct hf_parked *parked)
{
    struct listed *l = ctx;

    l->parked = *parked;
    text_of(l->key, sizeof(l->key), parked->key);
    text_of(l->value, sizeof(l->value), parked->value);
    snprintf(l->reason, sizeof(l->reason), "%s", parked->reason);
    l->ids[l->n++ % 8] = parked->lsn;
    return 0;
}

static struct listed conflicts_of(struct fixture *f)
{
    struct listed l = {.n = 0};

    assert_ok(hf_conflict_list(f->store, 0, take_conflict, &l));
    return l;
}

static struct listed parked_of(struct fixture *f)
{
    struct listed l = {.n = 0};

    assert_ok(hf_parked_list(f->store, take_parked, &l));
    return l;
}

static int count_verb(void *ctx, const char *line)
{
    struct {
        const char *verb;
        unsigned n;
    } *count = ctx;

    count->n += strstr(line, count->verb) != NULL;
    return 0;
}

static unsigned audited(struct fixture *f, const char *verb)
{
    struct {
        const char *verb;
        unsigned n;
    } count = {.verb = verb};

    assert_ok(hf_audit_list(f->store, count_verb, &count));
    return count.n;
}

/* Ours is written while away, theirs (NULL: a delete) meanwhile; the policy decides. The LSN of ours. */
static uint64_t make_conflict(struct fixture *f, const char *key, const char *ours, const char *theirs)
{
    uint64_t lsn;

    set(f, key, "base");
    go_away(f);
    lsn = set(f, key, ours);
    if (theirs)
        fake_redis_foreign_set(key, theirs, 0);
    else
        fake_redis_foreign_delete(key);
    come_back(f);
    return lsn;
}

/* ---- conflicts ---- */

static void test_conflicts__a_lost_change_is_listed_with_both_sides(void **state)
{
    struct fixture *f = *state;
    struct listed l;
    uint64_t lsn;

    open_online(f);
    lsn = make_conflict(f, "k", "ours", "theirs");
    l = conflicts_of(f);
    assert_int_equal(l.n, 1);
    assert_int_equal(l.conflict.id, lsn);
    assert_int_equal(l.conflict.winner, HF_WINNER_THEIRS);
    assert_int_equal(l.conflict.kind, HF_OP_SET);
    assert_false(l.conflict.ambiguous);
    assert_false(l.conflict.blind);
    assert_string_equal(l.key, "k");
    assert_string_equal(l.ours, "ours");
    assert_string_equal(l.theirs, "theirs");
    assert_non_null(strstr(l.conflict.rule, "newest"));
    assert_true(l.conflict.ours.made_ms > 0);
    assert_value(f->store, "k", "theirs");
    assert_outcome(f, "k", lsn, HF_OUTCOME_LOST);
    assert_told_once(f, "k", lsn, HF_OUTCOME_LOST);
    assert_int_equal(status_of(f).conflicts, 1);
    assert_int_equal(status_of(f).settled_by[HF_OUTCOME_LOST], 1);
    close_store(f);
}

static void test_conflicts__a_conflict_that_no_checkpoint_has_stored_is_listed(void **state)
{
    struct fixture *f = *state;
    unsigned asked = fake_redis_asked(FAKE_EXAMINE);
    uint64_t lsn;

    f->namespaces[1].conflict = HF_CONFLICT_LOCAL;
    open_online(f);
    set(f, "k", "base");
    go_away(f);
    lsn = set(f, "k", "ours");
    fake_redis_foreign_set("k", "theirs", 0);
    fake_redis_freeze(FAKE_EXAMINE);
    fake_redis_set_away(false);
    wait_asked(FAKE_EXAMINE, asked + 1);
    fake_local_fail_commits(ALWAYS);
    fake_redis_thaw(FAKE_EXAMINE);
    assert_told_once(f, "k", lsn, HF_OUTCOME_WON);
    assert_outcome(f, "k", lsn, HF_OUTCOME_WON);
    assert_code(HF_EFULL, hf_conflict_list(f->store, 0, take_conflict, &(struct listed){.n = 0}));
    fake_local_fail_commits(0);
    wait_state(f, HF_LINK_ONLINE);
    assert_int_equal(conflicts_of(f).ids[0], lsn);
    assert_outcome(f, "k", lsn, HF_OUTCOME_WON);
    close_store(f);
}

static int end_conflicts(void *ctx, const struct hf_conflict *conflict)
{
    (void)conflict;
    return *(int *)ctx;
}

static int end_parked(void *ctx, const struct hf_parked *parked)
{
    (void)parked;
    return *(int *)ctx;
}

/* HF_NOT_FOUND is 1 as well. */
static void test_conflicts__a_list_ends_with_what_its_callback_returns(void **state)
{
    struct fixture *f = *state;

    open_online(f);
    make_conflict(f, "k", "ours", "theirs");
    set_refused(f, "a", "1");
    for (int end = -1; end <= 2; end++) {
        assert_int_equal(hf_conflict_list(f->store, 0, end_conflicts, &end), end);
        assert_int_equal(hf_parked_list(f->store, end_parked, &end), end);
    }
    close_store(f);
}

static void test_conflicts__a_blind_write_is_kept_for_information(void **state)
{
    struct fixture *f = *state;
    struct listed l;
    uint64_t lsn;

    open_online(f);
    go_away(f);
    lsn = set(f, "k", "ours");
    fake_redis_foreign_set("k", "theirs", 0);
    come_back(f);
    l = conflicts_of(f);
    assert_int_equal(l.n, 1);
    assert_true(l.conflict.blind);
    assert_int_equal(l.conflict.winner, HF_WINNER_OURS);
    assert_int_equal(status_of(f).conflicts, 0);
    assert_int_equal(status_of(f).blind_conflicts, 1);
    assert_outcome(f, "k", lsn, HF_OUTCOME_APPLIED);
    close_store(f);
}

static bool says_log_is_full(void *ctx)
{
    struct hf_status status = status_of(ctx);

    return strstr(status.link_reason, "conflict log is full") != NULL;
}

static void test_conflicts__a_change_waits_while_the_log_has_no_room_for_its_conflict(void **state)
{
    struct fixture *f = *state;
    uint64_t first, second;

    f->opts.conflict_log_max = 1;
    open_online(f);
    first = make_conflict(f, "a", "ours", "theirs");
    set(f, "b", "base");
    go_away(f);
    second = set(f, "b", "ours");
    set(f, "c", "v");
    fake_redis_foreign_set("b", "theirs", 0);
    fake_redis_set_away(false);
    assert_true(wait_until(says_log_is_full, f, SOON_MS));
    assert_true(fake_redis_holds("c", "v")); /* which needs no room */
    assert_true(fake_redis_holds("b", "theirs"));
    assert_outcome(f, "b", second, HF_OUTCOME_PENDING);
    assert_int_equal(conflicts_of(f).n, 1);
    assert_ok(hf_conflict_resolve(f->store, first));
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_int_equal(conflicts_of(f).ids[0], second);
    assert_told_once(f, "b", second, HF_OUTCOME_LOST);
    assert_int_equal(status_of(f).lost_conflicts, 0);
    close_store(f);
}

/* What is kept for information alone makes room, and holds nothing up; what goes is counted. */
static void test_conflicts__what_is_kept_for_information_makes_room_and_is_counted(void **state)
{
    struct fixture *f = *state;
    uint64_t lsn;

    f->opts.conflict_log_max = 2;
    open_online(f);
    set(f, "k", "base");
    go_away(f);
    for (int i = 0; i < 4; i++) {
        set(f, (const char *[]){"a", "b", "c", "d"}[i], "ours");
        fake_redis_foreign_set((const char *[]){"a", "b", "c", "d"}[i], "theirs", 0);
    }
    come_back(f);
    assert_int_equal(conflicts_of(f).n, 1); /* there is room for one more */
    assert_int_equal(status_of(f).blind_conflicts, 1);
    assert_int_equal(status_of(f).lost_conflicts, 3);
    lsn = make_conflict(f, "k", "ours", "theirs");
    assert_outcome(f, "k", lsn, HF_OUTCOME_LOST);
    assert_ok(hf_checkpoint(f->store));
    assert_in_range(conflicts_of(f).n, 1, 2);
    assert_int_equal(status_of(f).conflicts, 1);
    assert_int_equal(status_of(f).lost_conflicts, 4 - status_of(f).blind_conflicts);
    close_store(f);
}

static void test_conflicts__a_resolved_one_is_gone_for_good_and_audited(void **state)
{
    struct fixture *f = *state;
    uint64_t lsn;

    open_online(f);
    lsn = make_conflict(f, "k", "ours", "theirs");
    assert_ok(hf_conflict_resolve(f->store, lsn));
    assert_int_equal(audited(f, "conflict-resolve"), 1);
    assert_int_equal(status_of(f).conflicts, 0);
    assert_code(HF_NOT_FOUND, hf_conflict_resolve(f->store, lsn));
    assert_code(HF_NOT_FOUND, hf_conflict_restore(f->store, lsn, NULL));
    assert_sentence("there is no conflict with the number");
    assert_int_equal(audited(f, "conflict"), 1);
    close_store(f);
    open_online(f);
    assert_int_equal(conflicts_of(f).n, 0);
    assert_value(f->store, "k", "theirs");
    assert_redis_holds("k", "theirs");
    assert_outcome(f, "k", lsn, HF_OUTCOME_SUPERSEDED);
    close_store(f);
}

static void test_conflicts__one_stays_listed_when_the_checkpoint_fails(void **state)
{
    struct fixture *f = *state;
    uint64_t lsn;

    open_online(f);
    lsn = make_conflict(f, "k", "ours", "theirs");
    fake_local_fail_commits(ALWAYS);
    assert_code(HF_EFULL, hf_conflict_resolve(f->store, lsn));
    fake_local_fail_commits(0);
    assert_ok(hf_checkpoint(f->store));
    assert_int_equal(conflicts_of(f).n, 1);
    assert_ok(hf_conflict_resolve(f->store, lsn));
    assert_int_equal(conflicts_of(f).n, 0);
    close_store(f);
}

static void test_conflicts__the_losers_value_is_restored_as_a_new_change(void **state)
{
    struct fixture *f = *state;
    struct hf_result result;
    uint64_t lsn;

    open_online(f);
    lsn = make_conflict(f, "k", "ours", "theirs");
    assert_ok(hf_conflict_restore(f->store, lsn, &result));
    assert_true(result.lsn > lsn);
    assert_true(result.shared);
    assert_redis_holds("k", "ours");
    assert_value(f->store, "k", "ours");
    assert_int_equal(conflicts_of(f).n, 0);
    assert_int_equal(audited(f, "conflict-restore"), 1);
    assert_outcome(f, "k", result.lsn, HF_OUTCOME_APPLIED);
    close_store(f);
}

static void test_conflicts__restoring_a_lost_delete_deletes(void **state)
{
    struct fixture *f = *state;
    uint64_t lsn;

    f->namespaces[1].conflict = HF_CONFLICT_LOCAL;
    open_online(f);
    set(f, "k", "base");
    set(f, "other", "1");
    go_away(f);
    lsn = set(f, "k", "ours");
    fake_redis_other_node("k", NULL, 0, 0);
    come_back(f);
    assert_redis_holds("k", "ours");
    assert_int_equal(conflicts_of(f).n, 1);
    assert_false(conflicts_of(f).conflict.theirs.present);
    assert_ok(hf_conflict_restore(f->store, lsn, NULL));
    assert_redis_holds("k", NULL);
    assert_value(f->store, "k", NULL);
    close_store(f);
}

static void test_conflicts__what_cannot_be_restored_is_refused_and_stays_listed(void **state)
{
    struct fixture *f = *state;
    char *text = malloc(HF_CONFLICT_VALUE_MAX + 2);
    uint64_t merged, too_long;

    assert_non_null(text);
    memset(text, 'x', HF_CONFLICT_VALUE_MAX + 1);
    text[HF_CONFLICT_VALUE_MAX + 1] = '\0';
    f->namespaces[1].conflict = HF_CONFLICT_MERGE_JSON;
    open_online(f);
    set(f, "m", "{\"a\":1}");
    go_away(f);
    merged = set(f, "m", "{\"a\":1,\"b\":2}");
    fake_redis_foreign_set("m", "{\"a\":1,\"c\":3}", 0);
    come_back(f);
    assert_outcome(f, "m", merged, HF_OUTCOME_MERGED);
    assert_code(HF_EINVAL, hf_conflict_restore(f->store, merged, NULL));
    assert_sentence("was merged");
    too_long = make_conflict(f, "k", text, "theirs");
    assert_code(HF_EINVAL, hf_conflict_restore(f->store, too_long, NULL));
    assert_sentence("too long to be kept");
    assert_int_equal(conflicts_of(f).n, 2);
    assert_int_equal(audited(f, "conflict-restore"), 0);
    close_store(f);
    free(text);
}

static bool has_passed(void *ctx)
{
    return wall_ms() > *(int64_t *)ctx;
}

static void test_conflicts__a_value_whose_deadline_has_passed_is_not_restored(void **state)
{
    struct hf_set_options brief = {.deadline_ms = wall_ms() + 700};
    struct fixture *f = *state;
    struct hf_result result;

    open_online(f);
    set(f, "k", "base");
    go_away(f);
    assert_ok(hf_set(f->store, s_("k"), s_("ours"), &brief, &result));
    fake_redis_foreign_set("k", "theirs", 0);
    come_back(f);
    assert_int_equal(conflicts_of(f).n, 1);
    assert_true(wait_until(has_passed, &(int64_t){brief.deadline_ms + 20}, SOON_MS));
    assert_code(HF_EINVAL, hf_conflict_restore(f->store, result.lsn, NULL));
    assert_sentence("has passed");
    assert_int_equal(conflicts_of(f).n, 1);
    close_store(f);
}

/* ---- the parked list ---- */

static void test_conflicts__a_requeued_entry_is_a_new_change(void **state)
{
    struct fixture *f = *state;
    struct hf_result result;
    struct listed l;
    uint64_t lsn;

    open_online(f);
    lsn = set_refused(f, "k", "v");
    assert_told_once(f, "k", lsn, HF_OUTCOME_PARKED);
    l = parked_of(f);
    assert_int_equal(l.n, 1);
    assert_string_equal(l.value, "v");
    assert_outcome(f, "k", lsn, HF_OUTCOME_PARKED);
    assert_ok(hf_parked_requeue(f->store, lsn, &result));
    assert_true(result.lsn > lsn);
    assert_true(result.pending); /* it is judged first */
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_redis_holds("k", "v");
    assert_outcome(f, "k", lsn, HF_OUTCOME_SUPERSEDED);
    assert_outcome(f, "k", result.lsn, HF_OUTCOME_APPLIED);
    assert_code(HF_NOT_FOUND, hf_parked_requeue(f->store, lsn, NULL));
    assert_int_equal(parked_of(f).n, 0);
    assert_int_equal(audited(f, "parked-requeue"), 1);
    close_store(f);
    open_online(f);
    assert_int_equal(parked_of(f).n, 0);
    assert_int_equal(status_of(f).pending_keys, 0);
    close_store(f);
}

static void test_conflicts__a_requeued_increment_counts_once_here_and_there(void **state)
{
    struct fixture *f = *state;
    struct hf_result result;
    uint64_t lsn;

    open_online(f);
    incr_by(f, "n", 5);
    lsn = incr_refused(f, "n", 2);
    assert_outcome(f, "n", lsn, HF_OUTCOME_PARKED);
    assert_told_once(f, "n", lsn, HF_OUTCOME_PARKED);
    assert_value(f->store, "n", "7");
    go_away(f);
    assert_ok(hf_parked_requeue(f->store, lsn, &result));
    assert_int_equal(result.number, 7);
    assert_code(HF_NOT_FOUND, hf_parked_requeue(f->store, lsn, NULL)); /* no commit has taken it off yet */
    come_back(f);
    assert_redis_holds("n", "7");
    assert_value(f->store, "n", "7");
    assert_outcome(f, "n", result.lsn, HF_OUTCOME_APPLIED);
    assert_told_once(f, "n", result.lsn, HF_OUTCOME_APPLIED);
    close_store(f);
}

static void test_conflicts__a_dropped_entry_is_not_shared(void **state)
{
    struct fixture *f = *state;
    uint64_t lsn;

    open_swept(f); /* a copy that is dropped before the sweep compares it becomes what Redis holds */
    lsn = set_refused(f, "k", "v");
    assert_ok(hf_parked_drop(f->store, lsn));
    assert_int_equal(parked_of(f).n, 0);
    assert_int_equal(audited(f, "parked-drop"), 1);
    assert_redis_holds("k", NULL);
    assert_value(f->store, "k", "v");
    assert_code(HF_NOT_FOUND, hf_parked_drop(f->store, lsn));
    close_store(f);
}

/* What is held here tells it, until the key is written again or fetched. */
static void test_conflicts__a_dropped_entry_is_told_as_dropped(void **state)
{
    struct fixture *f = *state;
    uint64_t set_lsn, incr_lsn;
    struct hf_explanation e;

    open_swept(f);
    incr_by(f, "n", 5);
    set_lsn = set_refused(f, "k", "v");
    incr_lsn = incr_refused(f, "n", 2);
    assert_ok(hf_parked_drop(f->store, set_lsn));
    assert_ok(hf_parked_drop(f->store, incr_lsn));
    for (int stored = 0; stored < 2; stored++) {
        assert_outcome(f, "k", set_lsn, HF_OUTCOME_DROPPED);
        assert_outcome(f, "n", incr_lsn, HF_OUTCOME_DROPPED);
        assert_ok(hf_checkpoint(f->store)); /* at last no version of it is left */
    }
    assert_ok(hf_explain(f->store, s_("k"), &e));
    assert_int_equal(e.outcome, HF_OUTCOME_DROPPED);
    assert_non_null(strstr(e.why, "our latest change was dropped"));
    hf_explanation_release(&e);
    set(f, "k", "newer");
    assert_outcome(f, "k", set_lsn, HF_OUTCOME_SUPERSEDED);
    close_store(f);
}

/* The same of what was a row or a lane entry already when it was refused. */
static void test_conflicts__an_entry_of_a_replay_that_is_dropped_is_told_as_dropped(void **state)
{
    struct fixture *f = *state;
    uint64_t set_lsn, incr_lsn;

    open_swept(f);
    go_away(f);
    set_lsn = set(f, "k", "v");
    incr_lsn = incr_by(f, "n", 2);
    assert_ok(hf_checkpoint(f->store));
    fake_redis_other_type("k", "hash");
    fake_redis_other_type("n", "hash");
    come_back(f);
    assert_outcome(f, "k", set_lsn, HF_OUTCOME_PARKED);
    assert_outcome(f, "n", incr_lsn, HF_OUTCOME_PARKED);
    assert_ok(hf_parked_drop(f->store, set_lsn));
    assert_ok(hf_parked_drop(f->store, incr_lsn));
    assert_outcome(f, "k", set_lsn, HF_OUTCOME_DROPPED);
    assert_outcome(f, "n", incr_lsn, HF_OUTCOME_DROPPED);
    close_store(f);
}

static void test_conflicts__an_entry_stays_parked_when_its_drop_cannot_be_stored(void **state)
{
    struct fixture *f = *state;
    uint64_t lsn;

    open_online(f);
    lsn = set_refused(f, "k", "v");
    assert_ok(hf_checkpoint(f->store));
    fake_local_fail_commits(ALWAYS);
    assert_code(HF_EFULL, hf_parked_drop(f->store, lsn));
    fake_local_fail_commits(0);
    assert_ok(hf_checkpoint(f->store));
    assert_int_equal(parked_of(f).n, 1);
    assert_outcome(f, "k", lsn, HF_OUTCOME_PARKED);
    close_store(f);
}

/* The requeue is in the journal, and stays there until a commit can hold both sides of it. */
static void test_conflicts__a_requeue_holds_while_checkpoints_fail(void **state)
{
    struct fixture *f = *state;
    struct hf_result result;
    uint64_t lsn;

    open_online(f);
    lsn = set_refused(f, "k", "v");
    assert_ok(hf_checkpoint(f->store));
    fake_local_fail_commits(ALWAYS);
    assert_ok(hf_parked_requeue(f->store, lsn, &result));
    assert_code(HF_EFULL, hf_checkpoint(f->store));
    assert_code(HF_NOT_FOUND, hf_parked_requeue(f->store, lsn, NULL));
    assert_outcome(f, "k", lsn, HF_OUTCOME_SUPERSEDED);
    fake_local_fail_commits(0);
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_int_equal(parked_of(f).n, 0);
    assert_redis_holds("k", "v");
    assert_int_equal(fake_redis_applied("k"), 1);
    close_store(f);
}

static void test_conflicts__an_entry_that_means_nothing_any_more_can_only_be_dropped(void **state)
{
    struct hf_set_options brief = {.deadline_ms = wall_ms() + 200};
    struct fixture *f = *state;
    struct hf_result result;
    uint64_t lsn;

    open_online(f);
    fake_redis_script(FAKE_GROUP, FAKE_REFUSE, 1);
    assert_code(HF_EREFUSED, hf_set(f->store, s_("k"), s_("v"), &brief, &result));
    assert_true(wait_until(has_passed, &(int64_t){brief.deadline_ms + 20}, SOON_MS));
    assert_code(HF_EINVAL, hf_parked_requeue(f->store, result.lsn, NULL));
    assert_sentence("has passed");
    set(f, "t", "v");
    fake_redis_script(FAKE_GROUP, FAKE_REFUSE, 1);
    assert_code(HF_EREFUSED, hf_expire(f->store, s_("t"), 3600000, &result));
    lsn = result.lsn;
    assert_ok(hf_delete(f->store, s_("t"), NULL));
    assert_code(HF_EINVAL, hf_parked_requeue(f->store, lsn, NULL));
    assert_sentence("a key that is not there");
    assert_int_equal(parked_of(f).n, 2);
    assert_int_equal(parked_of(f).parked.kind, HF_OP_EXPIRE_AT);
    assert_ok(hf_parked_drop(f->store, lsn));
    assert_int_equal(parked_of(f).n, 1);
    close_store(f);
}

static void test_conflicts__the_entries_of_a_unit_are_requeued_one_by_one(void **state)
{
    struct fixture *f = *state;
    struct hf_batch *batch;
    struct listed l;

    open_online(f);
    fake_redis_script(FAKE_LANE, FAKE_REFUSE, 1);
    assert_ok(hf_batch_new(f->store, &batch));
    assert_ok(hf_batch_set(batch, s_("a"), s_("1"), NULL));
    assert_ok(hf_batch_incr(batch, s_("n"), 3));
    assert_code(HF_EREFUSED, hf_batch_commit(batch, NULL));
    hf_batch_free(batch);
    l = parked_of(f);
    assert_int_equal(l.n, 2);
    assert_told_once(f, "a", l.ids[0], HF_OUTCOME_PARKED);
    assert_told_once(f, "n", l.ids[1], HF_OUTCOME_PARKED);
    assert_ok(hf_parked_requeue(f->store, l.ids[0], NULL));
    assert_ok(hf_drain(f->store, SOON_MS));
    assert_redis_holds("a", "1");
    assert_redis_holds("n", NULL);
    assert_int_equal(parked_of(f).n, 1);
    close_store(f);
}

/* ---- the bound of the parked list ---- */

static bool says_full(void *ctx)
{
    return strstr(status_of(ctx).link_reason, "the parked list is full") != NULL;
}

static bool is_parked_twice(void *ctx)
{
    return status_of(ctx).parked == 2;
}

static void test_conflicts__what_does_not_fit_the_parked_list_stays_pending(void **state)
{
    struct fixture *f = *state;
    struct hf_result result;
    uint64_t first;

    f->opts.parked_max = 1;
    open_online(f);
    first = set_refused(f, "a", "1");
    fake_redis_script(FAKE_GROUP, FAKE_REFUSE, 1000);
    assert_ok(hf_set(f->store, s_("b"), s_("2"), NULL, &result));
    assert_true(result.pending);
    assert_true(wait_until(says_full, f, SOON_MS));
    assert_outcome(f, "b", result.lsn, HF_OUTCOME_PENDING);
    assert_int_equal(parked_of(f).n, 1);
    assert_ok(hf_parked_drop(f->store, first));
    wait_state(f, HF_LINK_ONLINE);
    assert_int_equal(parked_of(f).ids[0], result.lsn);
    assert_told_once(f, "b", result.lsn, HF_OUTCOME_PARKED);
    fake_redis_script(FAKE_GROUP, FAKE_APPLY, 0);
    close_store(f);
}

/* All of a unit is parked, or nothing; nothing behind it overtakes it. */
static void test_conflicts__a_unit_that_does_not_fit_stays_pending_as_a_whole(void **state)
{
    struct fixture *f = *state;
    struct hf_result result;
    struct hf_batch *batch;
    unsigned asked;

    f->opts.parked_max = 1;
    open_online(f);
    asked = fake_redis_asked(FAKE_LANE);
    fake_redis_script(FAKE_LANE, FAKE_REFUSE, 1000);
    assert_ok(hf_batch_new(f->store, &batch));
    assert_ok(hf_batch_set(batch, s_("a"), s_("1"), NULL));
    assert_ok(hf_batch_set(batch, s_("b"), s_("2"), NULL));
    assert_ok(hf_batch_commit(batch, &result));
    hf_batch_free(batch);
    assert_true(result.pending);
    assert_true(wait_until(says_full, f, SOON_MS));
    wait_asked(FAKE_LANE, asked + 3);
    assert_int_equal(status_of(f).parked, 0);
    assert_outcome(f, "b", result.lsn, HF_OUTCOME_PENDING);
    close_store(f);
    f->opts.parked_max = 2;
    open_store(f);
    assert_true(wait_until(is_parked_twice, f, SOON_MS));
    fake_redis_script(FAKE_LANE, FAKE_APPLY, 0);
    assert_int_equal(fake_redis_torn_units(), 0);
    close_store(f);
}

/* An increment that may have been applied is never sent again because the list is full. */
static void test_conflicts__an_entry_in_doubt_that_does_not_fit_is_not_sent_again(void **state)
{
    struct fixture *f = *state;
    uint64_t parked, doubtful;
    unsigned asked;

    f->opts.parked_max = 2;
    f->namespaces[1].change_log_off = true; /* the mark alone tells */
    open_online(f);
    parked = set_refused(f, "k", "v");
    incr_by(f, "n", 1); /* in doubt as well without the mark that covers it */
    go_away(f);
    doubtful = incr_by(f, "n", 1);
    assert_ok(hf_checkpoint(f->store));
    asked = fake_redis_asked(FAKE_LANE);
    fake_redis_script(FAKE_LANE, FAKE_LOSE_ANSWER, 1);
    fake_redis_set_away(false);
    wait_asked(FAKE_LANE, asked + 1);
    wait_state(f, HF_LINK_OFFLINE);
    fake_redis_set_mark(0);
    fake_redis_set_away(false);
    assert_true(wait_until(says_full, f, SOON_MS));
    wait_asked(FAKE_LANE, asked + 4);
    assert_int_equal(fake_redis_applied("n"), 2);
    assert_outcome(f, "n", doubtful, HF_OUTCOME_PENDING);
    assert_ok(hf_parked_drop(f->store, parked));
    wait_state(f, HF_LINK_ONLINE);
    assert_outcome(f, "n", doubtful, HF_OUTCOME_IN_DOUBT);
    assert_told_once(f, "n", doubtful, HF_OUTCOME_IN_DOUBT);
    assert_int_equal(fake_redis_applied("n"), 2);
    assert_ok(hf_parked_requeue(f->store, doubtful, NULL)); /* the operator's decision to send it again */
    assert_redis_holds("n", "3");
    close_store(f);
}

/* ---- settlements ---- */

static void test_conflicts__each_change_is_told_once_with_its_number(void **state)
{
    struct fixture *f = *state;
    uint64_t sets[5], numbers[5];

    open_online(f);
    for (int i = 0; i < 5; i++) {
        if (i == 2)
            go_away(f);
        sets[i] = set(f, (const char *[]){"a", "b", "c", "d", "e"}[i], "1");
        numbers[i] = incr_by(f, "n", 1);
        if (i == 3)
            come_back(f);
    }
    for (int i = 0; i < 5; i++) {
        assert_told_once(f, (const char *[]){"a", "b", "c", "d", "e"}[i], sets[i], HF_OUTCOME_APPLIED);
        assert_told_once(f, "n", numbers[i], HF_OUTCOME_APPLIED);
    }
    close_store(f);
    assert_int_equal(f->told.n, 10);
    for (size_t i = 0; i < f->told.n; i++) {
        assert_int_equal(f->told.all[i].has_number, strcmp(f->told.all[i].key, "n") == 0);
        if (f->told.all[i].has_number)
            assert_in_range(f->told.all[i].number, 1, 5);
        assert_false(f->told.all[i].has_reason);
    }
}

static void test_conflicts__an_increment_whose_answer_was_lost_is_told_as_already_applied(void **state)
{
    struct fixture *f = *state;
    uint64_t lsn;

    open_online(f);
    fake_redis_script(FAKE_LANE, FAKE_LOSE_ANSWER, 1);
    lsn = incr_by(f, "n", 1);
    wait_state(f, HF_LINK_OFFLINE);
    come_back(f);
    assert_told_once(f, "n", lsn, HF_OUTCOME_ALREADY);
    assert_outcome(f, "n", lsn, HF_OUTCOME_APPLIED);
    close_store(f);
    assert_int_equal(f->told.n, 1);
}

/* A tier that lets what is out be answered when it is to stop: then the completion thread has ended. */
static struct hf_shared_ops late_ops;
static const struct hf_shared_ops *prompt_ops;
static struct fixture *late_fixture;

static bool has_settled(void *ctx)
{
    return atomic_load(&((struct hf *)ctx)->settled_by[HF_OUTCOME_APPLIED]) > 0;
}

static void late_stop(struct hf_shared_tier *tier)
{
    struct hf *store = late_fixture->store;

    fake_redis_thaw(FAKE_GROUP);
    (void)wait_until(has_settled, store, SOON_MS);
    prompt_ops->stop(tier);
}

static int late_open(const struct hf_options *opts, const char *node, struct hf_clock *clock,
                     struct hf_shared_tier **ret_tier)
{
    int rc = fake_redis_open(opts, node, clock, ret_tier);

    if (rc != 0)
        return rc;
    prompt_ops = (*ret_tier)->ops;
    late_ops = *prompt_ops;
    late_ops.stop = late_stop;
    (*ret_tier)->ops = &late_ops;
    return 0;
}

static void test_conflicts__what_settles_while_the_store_closes_is_told_once(void **state)
{
    struct fixture *f = *state;
    unsigned asked;
    uint64_t lsn;

    f->parts.open_shared = late_open;
    late_fixture = f;
    open_online(f);
    asked = fake_redis_asked(FAKE_GROUP);
    fake_redis_freeze(FAKE_GROUP);
    lsn = submit_set(f, "k", s_("v"));
    wait_asked(FAKE_GROUP, asked + 1);
    assert_int_equal(f->told.n, 0);
    assert_ok(hf_close(f->store));
    f->store = NULL;
    assert_int_equal(f->told.n, 1);
    assert_told_once(f, "k", lsn, HF_OUTCOME_APPLIED);
    assert_redis_holds("k", "v");
}

/* ---- outcomes ---- */

static void test_conflicts__the_outcome_is_told_in_each_place_of_a_change(void **state)
{
    struct fixture *f = *state;
    uint64_t first, second, number, local, third;
    enum hf_outcome outcome;

    open_online(f);
    first = set(f, "k", "1");
    assert_outcome(f, "k", first, HF_OUTCOME_APPLIED);
    go_away(f);
    second = set(f, "k", "2");
    number = incr_by(f, "n", 1);
    local = set(f, "l:k", "1");
    assert_outcome(f, "k", first, HF_OUTCOME_SUPERSEDED);
    for (int stored = 0; stored < 2; stored++) {
        assert_outcome(f, "k", second, HF_OUTCOME_PENDING);
        assert_outcome(f, "n", number, HF_OUTCOME_PENDING);
        assert_outcome(f, "l:k", local, HF_OUTCOME_LOCAL);
        assert_ok(hf_checkpoint(f->store));
    }
    third = set(f, "k", "3");
    assert_outcome(f, "k", second, HF_OUTCOME_PENDING);
    assert_ok(hf_checkpoint(f->store));
    assert_outcome(f, "k", second, HF_OUTCOME_PENDING);
    assert_outcome(f, "k", third, HF_OUTCOME_PENDING);
    come_back(f);
    assert_outcome(f, "k", second, HF_OUTCOME_SUPERSEDED);
    assert_outcome(f, "k", third, HF_OUTCOME_APPLIED);
    assert_outcome(f, "n", number, HF_OUTCOME_APPLIED);
    assert_ok(hf_checkpoint(f->store));
    assert_outcome(f, "k", third, HF_OUTCOME_APPLIED);
    assert_outcome(f, "n", number, HF_OUTCOME_APPLIED);
    assert_outcome(f, "l:k", local, HF_OUTCOME_LOCAL);
    assert_code(HF_NOT_FOUND, hf_outcome(f->store, s_("k"), 0, &outcome));
    assert_code(HF_NOT_FOUND, hf_outcome(f->store, s_("k"), third + 1000, &outcome));
    assert_sentence("no change of 'k' has the number");
    assert_code(HF_EINVAL, hf_outcome(f->store, s_(""), 1, &outcome));
    close_store(f);
}

static unsigned rows_asked(void)
{
    return fake_redis_asked(FAKE_EXAMINE) + fake_redis_asked(FAKE_GROUP);
}

static bool more_rows_were_asked(void *ctx)
{
    return rows_asked() > *(unsigned *)ctx;
}

/* An acknowledgement that no checkpoint has stored: the row is still there, and owes nothing. */
static void test_conflicts__an_acknowledged_row_is_not_pending_while_checkpoints_fail(void **state)
{
    struct fixture *f = *state;
    uint64_t lsn, number;
    unsigned rows, lanes;

    open_online(f);
    go_away(f);
    lsn = set(f, "k", "1");
    number = incr_by(f, "n", 1);
    assert_ok(hf_checkpoint(f->store));
    rows = rows_asked();
    lanes = fake_redis_asked(FAKE_LANE);
    fake_redis_freeze(FAKE_EXAMINE);
    fake_redis_freeze(FAKE_GROUP);
    fake_redis_freeze(FAKE_LANE);
    fake_redis_set_away(false);
    assert_true(wait_until(more_rows_were_asked, &rows, SOON_MS));
    fake_local_fail_commits(ALWAYS);
    fake_redis_thaw(FAKE_EXAMINE);
    fake_redis_thaw(FAKE_GROUP);
    wait_asked(FAKE_LANE, lanes + 1);
    fake_redis_thaw(FAKE_LANE);
    assert_told_once(f, "k", lsn, HF_OUTCOME_APPLIED);
    assert_told_once(f, "n", number, HF_OUTCOME_APPLIED);
    assert_outcome(f, "k", lsn, HF_OUTCOME_APPLIED);
    assert_outcome(f, "n", number, HF_OUTCOME_APPLIED);
    fake_local_fail_commits(0);
    wait_state(f, HF_LINK_ONLINE);
    assert_outcome(f, "k", lsn, HF_OUTCOME_APPLIED);
    close_store(f);
    assert_int_equal(f->told.n, 2);
}

static void test_conflicts__every_outcome_has_a_text(void **state)
{
    (void)state;
    for (int i = 0; i < HF_N_OUTCOMES; i++) {
        assert_true(hf_outcome_text((enum hf_outcome)i)[0] != '\0');
        for (int k = 0; k < i; k++)
            assert_string_not_equal(hf_outcome_text((enum hf_outcome)i), hf_outcome_text((enum hf_outcome)k));
    }
    assert_string_equal(hf_outcome_text(HF_N_OUTCOMES), "unknown");
}

/* ---- waiting ---- */

static void test_conflicts__waiting_for_an_older_change_does_not_wait_for_newer_ones(void **state)
{
    struct fixture *f = *state;
    uint64_t older, newer;
    unsigned asked;

    open_online(f);
    older = set(f, "a", "1");
    asked = fake_redis_asked(FAKE_GROUP);
    fake_redis_freeze(FAKE_GROUP);
    newer = submit_set(f, "b", s_("2"));
    wait_asked(FAKE_GROUP, asked + 1);
    assert_ok(hf_wait_shared(f->store, older, SOON_MS));
    assert_code(HF_ETIMEOUT, hf_wait_shared(f->store, newer, 50));
    assert_sentence("not every change up to");
    fake_redis_thaw(FAKE_GROUP);
    assert_ok(hf_wait_shared(f->store, newer, SOON_MS));
    assert_redis_holds("b", "2");
    assert_ok(hf_wait_shared(f->store, newer + 1000, SOON_MS)); /* there is nothing newer */
    close_store(f);
}

static void test_conflicts__waiting_ends_in_the_middle_of_a_replay(void **state)
{
    struct fixture *f = *state;
    char *text = malloc((1u << 20) + 1);
    uint64_t older, newer;
    unsigned asked;

    assert_non_null(text);
    memset(text, 'x', 1u << 20);
    text[1u << 20] = '\0';
    f->opts.checkpoint_interval_ms = 20;
    open_online(f);
    go_away(f);
    older = set(f, "big", text); /* a group of its own */
    newer = set(f, "k", "v");
    assert_ok(hf_checkpoint(f->store));
    asked = fake_redis_asked(FAKE_GROUP);
    fake_redis_freeze(FAKE_GROUP);
    fake_redis_set_away(false);
    wait_asked(FAKE_GROUP, asked + 1);
    assert_code(HF_ETIMEOUT, hf_wait_shared(f->store, older, 50));
    fake_redis_let(FAKE_GROUP, 1);
    assert_ok(hf_wait_shared(f->store, older, SOON_MS));
    assert_int_equal(status_of(f).link, HF_LINK_REPLAYING);
    assert_code(HF_ETIMEOUT, hf_wait_shared(f->store, newer, 50));
    fake_redis_thaw(FAKE_GROUP);
    assert_ok(hf_wait_shared(f->store, newer, SOON_MS));
    close_store(f);
    free(text);
}

static void test_conflicts__waiting_for_lanes_and_without_a_link(void **state)
{
    struct fixture *f = *state;
    uint64_t lsn;

    open_online(f);
    go_away(f);
    lsn = incr_by(f, "n", 1);
    assert_code(HF_ETIMEOUT, hf_wait_shared(f->store, lsn, 20));
    assert_ok(hf_checkpoint(f->store));
    assert_code(HF_ETIMEOUT, hf_wait_shared(f->store, lsn, 0));
    fake_redis_set_away(false);
    assert_ok(hf_wait_shared(f->store, lsn, -1));
    assert_redis_holds("n", "1");
    close_store(f);
    f->opts.redis = NULL;
    open_store(f);
    assert_code(HF_EOFFLINE, hf_wait_shared(f->store, lsn, 10));
    close_store(f);
}

/* ---- status ---- */

static void test_conflicts__the_status_says_what_the_operator_has_set(void **state)
{
    struct fixture *f = *state;
    struct hf_status status;

    f->opts.replay_ops_per_s = 7;
    open_online(f);
    status = status_of(f);
    assert_false(status.paused);
    assert_false(status.look_only);
    assert_int_equal(status.replay_ops_per_s, 7);
    assert_ok(hf_throttle(f->store, 100, 2000));
    assert_ok(hf_pause(f->store));
    status = status_of(f);
    assert_true(status.paused);
    assert_int_equal(status.replay_ops_per_s, 100);
    assert_int_equal(status.replay_bytes_per_s, 2000);
    close_store(f);
    f->opts.redis = NULL;
    f->opts.read_only = true;
    open_store(f);
    assert_true(status_of(f).paused);
    assert_int_equal(status_of(f).replay_ops_per_s, 100);
    close_store(f);
}

/* ---- kill -9 at every point ---- */

static const char *copy_from, *copy_to; /* nftw has no context */

static int copy_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    char to[256], bytes[65536];
    ssize_t n = 0;
    int in, out;

    (void)ftw;
    snprintf(to, sizeof(to), "%s%s", copy_to, path + strlen(copy_from));
    if (type == FTW_D)
        return mkdir(to, 0700);
    if (type != FTW_F)
        return -1;
    in = open(path, O_RDONLY | O_CLOEXEC);
    out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, st->st_mode & 0777);
    while (in >= 0 && out >= 0 && (n = read(in, bytes, sizeof(bytes))) > 0 && write(out, bytes, (size_t)n) == n)
        ;
    if (in >= 0)
        close(in);
    if (out >= 0)
        close(out);
    return in < 0 || out < 0 || n != 0 ? -1 : 0;
}

static void copy_dir(const char *from, const char *to)
{
    copy_from = from;
    copy_to = to;
    assert_int_equal(nftw(from, copy_one, 16, FTW_PHYS), 0);
}

/* In the child only: it dies before the nth call that changes the disk, or commits to the local tier. */
static atomic_uint points_left;
static struct hf_file_layer deadly_fs;
static struct hf_local_ops deadly_local;
static const struct hf_local_ops *gentle_local;

static void point(void)
{
    if (atomic_fetch_sub(&points_left, 1) == 1)
        raise(SIGKILL);
}

static int deadly_write(struct hf_file_layer *fs, int fd, const void *data, size_t len, uint64_t offset)
{
    int rc;

    point();
    rc = hf__file_layer_real()->write(fs, fd, data, len, offset);
    point();
    return rc;
}

static int deadly_sync(struct hf_file_layer *fs, int fd)
{
    point();
    return hf__file_layer_real()->sync(fs, fd);
}

static int deadly_commit(struct hf_local_txn *txn)
{
    int rc;

    point();
    rc = gentle_local->txn_commit(txn);
    point();
    return rc;
}

static int deadly_open(const char *dir, const struct hf_options *opts, struct hf_local_tier **ret_tier)
{
    int rc = fake_local_open(dir, opts, ret_tier);

    if (rc != 0)
        return rc;
    gentle_local = (*ret_tier)->ops;
    deadly_local = *gentle_local;
    deadly_local.txn_commit = deadly_commit;
    (*ret_tier)->ops = &deadly_local;
    return 0;
}

typedef int verb_fn(struct hf *store, uint64_t id);

static int requeue_verb(struct hf *store, uint64_t id)
{
    int rc = hf_parked_requeue(store, id, NULL);

    return rc == 0 ? hf_checkpoint(store) : rc;
}

static int restore_verb(struct hf *store, uint64_t id)
{
    int rc = hf_conflict_restore(store, id, NULL);

    return rc == 0 ? hf_checkpoint(store) : rc;
}

/* The verb in a child that is killed at the nth point; true when it came to its end before. */
static bool run_child(struct fixture *f, verb_fn *verb, uint64_t id, unsigned n)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        struct hf *store;
        fake_redis_set_away(true);
        deadly_fs = *hf__file_layer_real();
        deadly_fs.write = deadly_write;
        deadly_fs.sync = deadly_sync;
        f->parts.fs = &deadly_fs;
        f->parts.open_local = deadly_open;
        f->opts.settled = NULL;
        atomic_store(&points_left, n);
        if (hf__store_open(f->copy, &f->opts, &f->parts, &store) != 0 || verb(store, id) != 0)
            _exit(1);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status))
        assert_int_equal(WEXITSTATUS(status), 0);
    return WIFEXITED(status);
}

static void open_after_child(struct fixture *f)
{
    open_dir(f, f->copy);
    wait_state(f, HF_LINK_ONLINE);
    assert_ok(hf_drain(f->store, SOON_MS));
}

static void remove_copy(struct fixture *f)
{
    char command[160];

    snprintf(command, sizeof(command), "rm -rf '%s'", f->copy);
    assert_int_equal(system(command), 0);
}

static void test_conflicts__kill_9_at_any_point_of_a_requeue_never_doubles_or_loses_it(void **state)
{
    struct fixture *f = *state;
    unsigned listed = 0, made = 0;
    bool ended = false;
    uint64_t lsn;

    open_online(f);
    incr_by(f, "n", 5);
    lsn = incr_refused(f, "n", 2);
    assert_int_equal(parked_of(f).n, 1);
    close_store(f);
    fake_redis_snapshot();
    for (unsigned n = 1; !ended; n++) {
        bool parked;
        copy_dir(f->scratch.store, f->copy);
        ended = run_child(f, requeue_verb, lsn, n);
        open_after_child(f);
        parked = parked_of(f).n == 1;
        assert_int_equal(status_of(f).parked, parked);
        assert_redis_holds("n", parked ? "5" : "7");
        listed += parked;
        made += !parked;
        close_store(f);
        remove_copy(f);
        fake_redis_restore();
    }
    assert_true(listed > 0 && made > 1);
    print_message("killed at %u points: %u before, %u after\n", listed + made - 1, listed, made - 1);
}

static void test_conflicts__kill_9_at_any_point_of_a_restore_leaves_the_conflict_or_the_change(void **state)
{
    struct fixture *f = *state;
    unsigned listed = 0, made = 0;
    bool ended = false;
    uint64_t id;

    open_online(f);
    id = make_conflict(f, "k", "ours", "theirs");
    assert_int_equal(conflicts_of(f).n, 1);
    close_store(f);
    fake_redis_snapshot();
    for (unsigned n = 1; !ended; n++) {
        bool kept;
        copy_dir(f->scratch.store, f->copy);
        ended = run_child(f, restore_verb, id, n);
        open_after_child(f);
        kept = conflicts_of(f).n == 1;
        assert_redis_holds("k", kept ? "theirs" : "ours");
        assert_value(f->store, "k", kept ? "theirs" : "ours");
        listed += kept;
        made += !kept;
        close_store(f);
        remove_copy(f);
        fake_redis_restore();
    }
    assert_true(listed > 0 && made > 1);
}

/* ---- a commit that does not cover the requeue ---- */

/* The journal's writes wait while the gate is closed. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t opened;
    bool closed, met;
} gate = {.lock = PTHREAD_MUTEX_INITIALIZER, .opened = PTHREAD_COND_INITIALIZER};
static struct hf_file_layer gated_fs;

static void set_gate(bool closed)
{
    pthread_mutex_lock(&gate.lock);
    gate.closed = closed;
    gate.met = false;
    pthread_cond_broadcast(&gate.opened);
    pthread_mutex_unlock(&gate.lock);
}

static int gated_write(struct hf_file_layer *fs, int fd, const void *data, size_t len, uint64_t offset)
{
    pthread_mutex_lock(&gate.lock);
    gate.met = true;
    while (gate.closed)
        pthread_cond_wait(&gate.opened, &gate.lock);
    pthread_mutex_unlock(&gate.lock);
    return hf__file_layer_real()->write(fs, fd, data, len, offset);
}

static bool gate_is_met(void *ctx)
{
    bool met;

    (void)ctx;
    pthread_mutex_lock(&gate.lock);
    met = gate.closed && gate.met;
    pthread_mutex_unlock(&gate.lock);
    return met;
}

struct covered {
    struct hf *store;
    uint64_t lsn;
};

static bool is_covered(void *ctx)
{
    struct covered *c = ctx;

    return atomic_load(&c->store->covered_lsn) >= c->lsn;
}

struct requeue_call {
    struct hf *store;
    uint64_t lsn;
    int rc;
};

static void *requeue_main(void *arg)
{
    struct requeue_call *call = arg;

    call->rc = hf_parked_requeue(call->store, call->lsn, NULL);
    return NULL;
}

/* A generation that could not be stored is stored while the requeue is on its way to the journal's file. */
static void test_conflicts__a_commit_takes_nothing_off_before_the_new_change_is_on_the_disk(void **state)
{
    struct fixture *f = *state;
    struct requeue_call call;
    struct covered covered;
    pthread_t thread;

    gated_fs = *hf__file_layer_real();
    gated_fs.write = gated_write;
    f->parts.fs = &gated_fs;
    open_online(f);
    call = (struct requeue_call){.store = f->store, .lsn = set_refused(f, "k", "v")};
    assert_int_equal(parked_of(f).n, 1);
    go_away(f);
    covered = (struct covered){.store = f->store, .lsn = set(f, "z", "1")};
    fake_local_fail_commits(ALWAYS);
    assert_code(HF_EFULL, hf_checkpoint(f->store));
    set_gate(true);
    assert_int_equal(pthread_create(&thread, NULL, requeue_main, &call), 0);
    assert_true(wait_until(gate_is_met, NULL, SOON_MS));
    fake_local_fail_commits(0);
    assert_true(wait_until(is_covered, &covered, SOON_MS));
    copy_dir(f->scratch.store, f->copy); /* as kill -9 would leave it */
    set_gate(false);
    pthread_join(thread, NULL);
    assert_int_equal(call.rc, 0);
    assert_int_equal(parked_of(f).n, 0);
    close_store(f);

    open_dir(f, f->copy);
    assert_int_equal(parked_of(f).n, 1);
    close_store(f);
}

/* ---- the tests ---- */

#define TEST(name) cmocka_unit_test_setup_teardown(test_conflicts__##name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_lost_change_is_listed_with_both_sides),
        TEST(a_conflict_that_no_checkpoint_has_stored_is_listed),
        TEST(a_list_ends_with_what_its_callback_returns),
        TEST(a_blind_write_is_kept_for_information),
        TEST(a_change_waits_while_the_log_has_no_room_for_its_conflict),
        TEST(what_is_kept_for_information_makes_room_and_is_counted),
        TEST(a_resolved_one_is_gone_for_good_and_audited),
        TEST(one_stays_listed_when_the_checkpoint_fails),
        TEST(the_losers_value_is_restored_as_a_new_change),
        TEST(restoring_a_lost_delete_deletes),
        TEST(what_cannot_be_restored_is_refused_and_stays_listed),
        TEST(a_value_whose_deadline_has_passed_is_not_restored),
        TEST(a_requeued_entry_is_a_new_change),
        TEST(a_requeued_increment_counts_once_here_and_there),
        TEST(a_dropped_entry_is_not_shared),
        TEST(a_dropped_entry_is_told_as_dropped),
        TEST(an_entry_of_a_replay_that_is_dropped_is_told_as_dropped),
        TEST(an_entry_stays_parked_when_its_drop_cannot_be_stored),
        TEST(a_requeue_holds_while_checkpoints_fail),
        TEST(an_entry_that_means_nothing_any_more_can_only_be_dropped),
        TEST(the_entries_of_a_unit_are_requeued_one_by_one),
        TEST(what_does_not_fit_the_parked_list_stays_pending),
        TEST(a_unit_that_does_not_fit_stays_pending_as_a_whole),
        TEST(an_entry_in_doubt_that_does_not_fit_is_not_sent_again),
        TEST(each_change_is_told_once_with_its_number),
        TEST(an_increment_whose_answer_was_lost_is_told_as_already_applied),
        TEST(what_settles_while_the_store_closes_is_told_once),
        TEST(the_outcome_is_told_in_each_place_of_a_change),
        TEST(an_acknowledged_row_is_not_pending_while_checkpoints_fail),
        TEST(every_outcome_has_a_text),
        TEST(waiting_for_an_older_change_does_not_wait_for_newer_ones),
        TEST(waiting_ends_in_the_middle_of_a_replay),
        TEST(waiting_for_lanes_and_without_a_link),
        TEST(the_status_says_what_the_operator_has_set),
        TEST(kill_9_at_any_point_of_a_requeue_never_doubles_or_loses_it),
        TEST(kill_9_at_any_point_of_a_restore_leaves_the_conflict_or_the_change),
        TEST(a_commit_takes_nothing_off_before_the_new_change_is_on_the_disk),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
