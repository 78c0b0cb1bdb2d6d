/* Sequences that broke an earlier draft of the design, played on real parts and a real Redis: what is judged, and what is
 * sent, when a store comes back. Each has a mutant (mutants.cmake): the same test with the defence taken out must fail.
 *
 * A store is away when it is opened with an address at which nobody listens. */
#include "redis_server.h"
#include "scratch.h"

#include "store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BOUND_MS 10000 /* nothing here should take a tenth of it */
#define APART_MS 300   /* more than any uncertainty of two clocks on one machine */

struct fixture {
    struct scratch scratch;
    struct redis_server redis;
    char other[96], nobody[96]; /* another node's directory; an address */
    struct hf_options opts;
    struct hf_namespace ns; /* of all keys */
    struct hf *store;       /* NULL while closed */
    unsigned resolved;      /* times that the resolver was asked */
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    scratch_make(&f->scratch);
    snprintf(f->other, sizeof(f->other), "%s/other", f->scratch.dir);
    snprintf(f->nobody, sizeof(f->nobody), "unix://%s/nobody", f->scratch.dir);
    assert_int_equal(redis_server_start(&f->redis, NULL), 0);
    f->ns = (struct hf_namespace){.prefix = ""};
    f->opts = (struct hf_options){.segment_bytes = 256 << 10,
                                  .max_disk_bytes = 64 << 20,
                                  .redis_timeout_ms = 1000,
                                  .redis_backoff_max_ms = 60,
                                  .namespaces = &f->ns,
                                  .n_namespaces = 1};
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    (void)hf_close(f->store); /* open only after a failure, which has been told */
    redis_server_stop(&f->redis);
    scratch_remove(&f->scratch);
    free(f);
    return 0;
}

/* ---- vocabulary ---- */

static void close_store(struct fixture *f)
{
    struct hf *store = f->store;

    f->store = NULL;
    assert_ok(hf_close(store));
}

static void open_away(struct fixture *f, const char *dir)
{
    f->opts.redis = f->nobody;
    assert_ok(hf_open(dir, &f->opts, &f->store));
}

static void open_online(struct fixture *f, const char *dir)
{
    f->opts.redis = f->redis.address;
    assert_ok(hf_open(dir, &f->opts, &f->store));
    assert_true(wait_link(f->store, HF_LINK_ONLINE, BOUND_MS));
}

/* Online until everything is shared. */
static void come_home(struct fixture *f, const char *dir)
{
    f->opts.redis = f->redis.address;
    assert_ok(hf_open(dir, &f->opts, &f->store));
    assert_ok(hf_drain(f->store, BOUND_MS));
}

static void put_online(struct fixture *f, const char *dir, const char *key, const char *value)
{
    open_online(f, dir);
    put(f->store, key, value);
    close_store(f);
}

static void put_away(struct fixture *f, const char *dir, const char *key, const char *value)
{
    open_away(f, dir);
    put(f->store, key, value);
    close_store(f);
}

/* A program that knows nothing of Holdfast. */
static void plain(struct fixture *f, const char *command)
{
    redisReply *reply = redis_server_command(&f->redis, command);

    assert_non_null(reply);
    if (reply->type == REDIS_REPLY_ERROR)
        fail_msg("%s: %s", command, reply->str);
    freeReplyObject(reply);
}

static void assert_redis(struct fixture *f, const char *key, const char *value)
{
    char text[256];

    assert_string_equal(redis_server_text(&f->redis, text, sizeof(text), "GET %s", key), value ? value : "(nil)");
}

static struct hf_status status_of(struct fixture *f)
{
    struct hf_status status;

    assert_ok(hf_status(f->store, &status));
    return status;
}

static bool is_past(void *ctx)
{
    return wall_ms() >= *(int64_t *)ctx;
}

static void let_pass(int ms)
{
    int64_t until_ms = wall_ms() + ms;

    assert_true(wait_until(is_past, &until_ms, BOUND_MS));
}

struct key_at {
    struct hf *store;
    const char *key;
};

static bool is_not_here(void *ctx)
{
    struct key_at *at = ctx;

    return hf_exists(at->store, s_(at->key), NULL) == HF_NOT_FOUND;
}

static bool is_not_there(void *ctx)
{
    return redis_server_number(ctx, "EXISTS k") == 0;
}

/* The only conflict is over this value of ours. */
static void assert_conflict_over(struct fixture *f, const char *ours)
{
    struct hf_local_snap *snap;
    struct hf_conflict_row row;

    assert_ok(hf_checkpoint(f->store));
    assert_int_equal(status_of(f).conflicts, 1);
    assert_ok(f->store->local->ops->snap_begin(f->store->local, &snap));
    assert_ok(f->store->local->ops->conflict_next(snap, 0, &row));
    assert_true(hf__slice_eq(row.ours.value, s_(ours)));
    f->store->local->ops->snap_end(snap);
}

/* ---- 2: what is sent again is a new change ---- */

static void test_reconcile__2_a_requeued_increment_counts_behind_later_ones(void **state)
{
    struct fixture *f = *state;
    struct hf_result refused;
    int64_t number;

    plain(f, "SET n text");
    open_away(f, f->scratch.store);
    assert_ok(hf_incr(f->store, s_("n"), 1, &number, &refused));
    assert_ok(hf_incr(f->store, s_("m"), 1, &number, NULL));
    close_store(f);
    come_home(f, f->scratch.store);
    assert_redis(f, "n", "text");
    assert_redis(f, "m", "1");
    plain(f, "SET n 10");
    assert_ok(hf_checkpoint(f->store));
    assert_ok(hf_parked_requeue(f->store, refused.lsn, NULL));
    assert_ok(hf_drain(f->store, BOUND_MS));
    assert_redis(f, "n", "11");
    assert_redis(f, "m", "1");
    close_store(f);
}

/* ---- 5: when a write was made counts, not when it arrived ---- */

static void test_reconcile__5_the_later_write_wins_whoever_returns_first(void **state)
{
    struct fixture *f = *state;

    put_online(f, f->scratch.store, "k", "base");
    open_online(f, f->other);
    assert_value(f->store, "k", "base");
    close_store(f);
    put_away(f, f->scratch.store, "k", "earlier");
    let_pass(APART_MS);
    put_away(f, f->other, "k", "later");
    let_pass(APART_MS);
    come_home(f, f->scratch.store);
    assert_redis(f, "k", "earlier");
    close_store(f);
    come_home(f, f->other);
    assert_redis(f, "k", "later");
    assert_value(f->store, "k", "later");
    close_store(f);
    come_home(f, f->scratch.store);
    assert_value(f->store, "k", "later");
    close_store(f);
}

/* ---- 6: the same value again, to live longer ---- */

static void test_reconcile__6_the_same_value_with_a_new_deadline_gets_it(void **state)
{
    struct fixture *f = *state;
    struct hf_set_options minute = {.ttl_ms = 60000};

    put_online(f, f->scratch.store, "k", "session");
    open_away(f, f->scratch.store);
    assert_ok(hf_set(f->store, s_("k"), s_("session"), &minute, NULL));
    close_store(f);
    come_home(f, f->scratch.store);
    assert_in_range(redis_server_number(&f->redis, "PTTL k"), 1, 60000);
    close_store(f);
}

/* Another has written it, too: there is nothing to store but the deadline. */
static void test_reconcile__6_a_value_that_is_there_already_gets_the_deadline(void **state)
{
    struct fixture *f = *state;
    struct hf_set_options minute = {.ttl_ms = 60000};

    put_online(f, f->scratch.store, "k", "base");
    open_away(f, f->scratch.store);
    assert_ok(hf_set(f->store, s_("k"), s_("session"), &minute, NULL));
    close_store(f);
    plain(f, "SET k session");
    come_home(f, f->scratch.store);
    assert_in_range(redis_server_number(&f->redis, "PTTL k"), 1, 60000);
    assert_int_equal(status_of(f).conflicts, 0);
    close_store(f);
}

/* ---- 10: an absence that nobody made beats nothing ---- */

static void test_reconcile__10_an_evicted_key_does_not_beat_a_pending_write(void **state)
{
    struct fixture *f = *state;

    put_online(f, f->scratch.store, "k", "base");
    put_away(f, f->scratch.store, "k", "ours");
    put_online(f, f->other, "k", "theirs"); /* the log names this ... */
    plain(f, "DEL k");                      /* ... and nobody names that: to a store it looks like an eviction */
    come_home(f, f->scratch.store);
    assert_redis(f, "k", "ours");
    assert_int_equal(status_of(f).conflicts, 0);
    close_store(f);
}

/* The other node removes what has died: the log names a delete that is later than ours. */
static void test_reconcile__10_a_base_that_has_died_does_not_beat_a_pending_write(void **state)
{
    struct fixture *f = *state;

    plain(f, "SET k base PX 600");
    open_online(f, f->scratch.store);
    assert_value(f->store, "k", "base");
    close_store(f);
    put_away(f, f->scratch.store, "k", "ours");
    assert_true(wait_until(is_not_there, &f->redis, BOUND_MS));
    let_pass(APART_MS);
    open_online(f, f->other);
    assert_code(HF_NOT_FOUND, hf_delete(f->store, s_("k"), NULL));
    assert_ok(hf_drain(f->store, BOUND_MS));
    close_store(f);
    come_home(f, f->scratch.store);
    assert_redis(f, "k", "ours");
    assert_int_equal(status_of(f).conflicts, 0);
    close_store(f);
}

/* ---- 11: lives are not made longer ---- */

static void test_reconcile__11_a_life_made_shorter_while_away_ends_early(void **state)
{
    struct fixture *f = *state;
    struct hf_set_options hour = {.ttl_ms = 3600000};

    open_online(f, f->scratch.store);
    assert_ok(hf_set(f->store, s_("k"), s_("session"), &hour, NULL));
    close_store(f);
    open_away(f, f->scratch.store);
    assert_ok(hf_expire(f->store, s_("k"), 5000, NULL));
    close_store(f);
    come_home(f, f->scratch.store);
    assert_in_range(redis_server_number(&f->redis, "PTTL k"), 1, 5000);
    close_store(f);
}

static void test_reconcile__11_an_increment_of_a_window_that_has_ended_opens_none(void **state)
{
    struct fixture *f = *state;
    struct hf_set_options window = {.ttl_ms = 600};
    int64_t number;

    open_online(f, f->scratch.store);
    assert_ok(hf_set(f->store, s_("k"), s_("5"), &window, NULL));
    close_store(f);
    open_away(f, f->scratch.store);
    assert_ok(hf_incr(f->store, s_("k"), 1, &number, NULL));
    assert_int_equal(number, 6);
    close_store(f);
    assert_true(wait_until(is_not_there, &f->redis, BOUND_MS));
    let_pass(APART_MS);
    come_home(f, f->scratch.store);
    assert_redis(f, "k", NULL);
    assert_int_equal(status_of(f).expired_in_queue, 1);
    close_store(f);
}

/* ---- 12: a trim, a wipe and an empty restart are not the same ---- */

static void test_reconcile__12_a_flush_while_online_is_seen_and_held(void **state)
{
    struct fixture *f = *state;

    open_online(f, f->scratch.store);
    put(f->store, "k", "v");
    plain(f, "FLUSHALL");
    put(f->store, "new", "v"); /* behind the wipe */
    assert_true(wait_link(f->store, HF_LINK_HELD, BOUND_MS));
    assert_non_null(strstr(status_of(f).link_reason, "flushed"));
    assert_redis(f, "k", NULL);
    assert_redis(f, "new", NULL);
    assert_value(f->store, "new", "v");
    assert_int_equal(status_of(f).pending_keys, 1);
    close_store(f);
}

static void test_reconcile__12_an_empty_restart_gets_back_only_what_is_not_there(void **state)
{
    struct fixture *f = *state;

    open_online(f, f->scratch.store);
    put(f->store, "lost", "v");
    put(f->store, "k", "v");
    close_store(f);
    redis_server_kill(&f->redis);
    assert_int_equal(redis_server_restart(&f->redis), 0);
    plain(f, "SET k theirs");
    come_home(f, f->scratch.store);
    assert_redis(f, "lost", "v");
    assert_redis(f, "k", "theirs");
    assert_value(f->store, "k", "theirs");
    close_store(f);
}

/* What another node deleted, and the log no longer names, is neither given back nor kept. */
static void test_reconcile__12_a_trimmed_log_is_no_wipe(void **state)
{
    struct fixture *f = *state;
    struct key_at k = {.key = "k"};

    f->ns.writers = HF_WRITERS_HOLDFAST;
    put_online(f, f->scratch.store, "k", "v");
    open_online(f, f->other);
    (void)hf_delete(f->store, s_("k"), NULL);
    for (int i = 0; i < 5; i++)
        put(f->store, "busy", "v");
    close_store(f);
    plain(f, "EVAL return(redis.call('XTRIM',KEYS[1]..redis.call('GET','_hf::epoch'),'MAXLEN',1)) 1 _hf::log:");
    come_home(f, f->scratch.store);
    k.store = f->store;
    assert_true(wait_until(is_not_here, &k, BOUND_MS));
    assert_redis(f, "k", NULL);
    close_store(f);
}

/* ---- 13: what Redis had acknowledged and lost again ---- */

static int64_t count_up(struct hf *store, int times)
{
    int64_t number = 0;

    for (int i = 0; i < times; i++)
        assert_ok(hf_incr(store, s_("n"), 1, &number, NULL));
    return number;
}

/* What an older copy of Redis has ... */
static void write_older(struct hf *store)
{
    assert_int_equal(count_up(store, 2), 2);
    put(store, "k", "older");
    put(store, "gone", "v");
}

/* ... and what it lacks. */
static void write_newer(struct hf *store)
{
    assert_int_equal(count_up(store, 3), 5);
    put(store, "k", "newer");
    assert_ok(hf_delete(store, s_("gone"), NULL));
}

static void test_reconcile__13_acknowledged_changes_come_back_after_a_rollback(void **state)
{
    struct fixture *f = *state;

    open_online(f, f->scratch.store);
    write_older(f->store);
    plain(f, "SAVE");
    write_newer(f->store);
    close_store(f);
    redis_server_kill(&f->redis);
    assert_int_equal(redis_server_restart(&f->redis), 0);
    plain(f, "INCRBY n 100"); /* others add to what is there: a value would take it away */
    assert_redis(f, "n", "102");
    come_home(f, f->scratch.store);
    assert_redis(f, "n", "105");
    assert_redis(f, "k", "newer");
    assert_redis(f, "gone", NULL);
    close_store(f);
}

static bool has_caught_up(void *ctx)
{
    char text[16];

    return strcmp(redis_server_text(ctx, text, sizeof(text), "GET last"), "v") == 0;
}

/* A replica of the server, which has all that was written so far and gets no more. */
static void start_lagging_replica(struct fixture *f, struct redis_server *ret_replica)
{
    int port = redis_server_free_port();
    char text[64];

    plain(f, "SET last v");
    plain(f, "CONFIG SET repl-diskless-sync-delay 0");
    redis_server_text(&f->redis, text, sizeof(text), "CONFIG SET port %d", port);
    assert_string_equal(text, "OK");
    assert_int_equal(redis_server_start(ret_replica, NULL), 0);
    redis_server_text(ret_replica, text, sizeof(text), "REPLICAOF 127.0.0.1 %d", port);
    assert_true(wait_until(has_caught_up, ret_replica, BOUND_MS));
    redis_server_text(ret_replica, text, sizeof(text), "REPLICAOF 127.0.0.1 1");
    assert_string_equal(text, "OK");
}

static void test_reconcile__13_a_lagging_replica_that_takes_over_gets_what_it_missed(void **state)
{
    struct fixture *f = *state;
    struct redis_server replica;

    open_online(f, f->scratch.store);
    write_older(f->store);
    start_lagging_replica(f, &replica);
    write_newer(f->store);
    close_store(f);
    redis_server_stop(&f->redis);
    f->redis = replica; /* which is stopped with the test */
    put_away(f, f->scratch.store, "pending", "v");
    open_away(f, f->scratch.store);
    (void)count_up(f->store, 1);
    close_store(f);
    plain(f, "REPLICAOF NO ONE");
    plain(f, "INCRBY n 100");
    assert_redis(f, "k", "older");
    assert_redis(f, "n", "102");
    come_home(f, f->scratch.store);
    assert_redis(f, "n", "106");
    assert_redis(f, "k", "newer");
    assert_redis(f, "gone", NULL);
    assert_redis(f, "pending", "v");
    assert_int_equal(status_of(f).parked, 0);
    close_store(f);
}

static void test_reconcile__13_nothing_is_replayed_to_a_replica(void **state)
{
    struct fixture *f = *state;

    put_away(f, f->scratch.store, "k", "v");
    plain(f, "REPLICAOF 127.0.0.1 1");
    f->opts.redis = f->redis.address;
    assert_ok(hf_open(f->scratch.store, &f->opts, &f->store));
    assert_true(wait_link(f->store, HF_LINK_OFFLINE, BOUND_MS));
    assert_non_null(strstr(status_of(f).link_reason, "waiting for a master"));
    plain(f, "REPLICAOF NO ONE");
    assert_ok(hf_drain(f->store, BOUND_MS));
    assert_redis(f, "k", "v");
    close_store(f);
}

/* ---- 16: copies of the directory ---- */

static void copy_dir(const char *from, const char *to)
{
    char command[300];

    snprintf(command, sizeof(command), "cp -a %s %s", from, to);
    assert_int_equal(system(command), 0);
}

static void count_away(struct fixture *f, const char *dir, const char *key)
{
    int64_t number;

    open_away(f, dir);
    assert_ok(hf_incr(f->store, s_(key), 1, &number, NULL));
    close_store(f);
}

/* Nothing shows that there are two. */
static void let_copies_connect(struct fixture *f)
{
    static const char script[] = "for _,k in ipairs(redis.call('KEYS','_hf:session:*')) do redis.call('DEL',k) end";

    freeReplyObject(redis_server_command(&f->redis, "EVAL %s 0", script));
}

/* The directory was moved: the first one adds nothing more. */
static void test_reconcile__16_a_copy_does_not_apply_again_what_it_inherited(void **state)
{
    struct fixture *f = *state;

    for (int i = 0; i < 3; i++)
        count_away(f, f->scratch.store, "n");
    copy_dir(f->scratch.store, f->other);
    come_home(f, f->scratch.store);
    assert_redis(f, "n", "3");
    close_store(f);
    count_away(f, f->other, "n"); /* goes with what it inherited */
    let_copies_connect(f);
    come_home(f, f->other);
    assert_redis(f, "n", "4");
    assert_int_equal(status_of(f).in_doubt, 0);
    close_store(f);
}

/* Both go on by themselves: nothing of either may be taken for the other's. */
static void test_reconcile__16_what_two_copies_add_is_not_taken_for_one(void **state)
{
    struct fixture *f = *state;

    count_away(f, f->scratch.store, "n");
    copy_dir(f->scratch.store, f->other);
    count_away(f, f->scratch.store, "n");
    count_away(f, f->other, "n");
    come_home(f, f->scratch.store);
    close_store(f);
    f->opts.redis = f->redis.address;
    assert_ok(hf_open(f->other, &f->opts, &f->store));
    assert_true(wait_link(f->store, HF_LINK_HELD, BOUND_MS));
    assert_non_null(strstr(status_of(f).link_reason, "copy"));
    assert_int_equal(status_of(f).pending_keys, 1);
    assert_redis(f, "n", "2");
    close_store(f);
    come_home(f, f->scratch.store);
    close_store(f);
}

static void assert_held_as_copy(struct fixture *f, const char *dir)
{
    f->opts.redis = f->redis.address;
    assert_ok(hf_open(dir, &f->opts, &f->store));
    assert_true(wait_link(f->store, HF_LINK_HELD, BOUND_MS));
    assert_non_null(strstr(status_of(f).link_reason, "decide with `holdfast reconcile --new-node`"));
    assert_code(HF_EINVAL, hf_renew_node(f->store));
    close_store(f);
}

static void renew(struct fixture *f, const char *dir)
{
    f->opts.redis = NULL;
    assert_ok(hf_open(dir, &f->opts, &f->store));
    assert_ok(hf_renew_node(f->store));
    close_store(f);
}

static void count_online(struct fixture *f, const char *dir, const char *value)
{
    int64_t number;

    come_home(f, dir);
    assert_ok(hf_incr(f->store, s_("n"), 1, &number, NULL));
    assert_ok(hf_drain(f->store, BOUND_MS));
    assert_redis(f, "n", value);
    close_store(f);
}

/* What the other may have sent is in doubt, whoever has written it; all else goes on, on both sides. */
static void test_reconcile__16_a_renewed_copy_goes_on_beside_the_other(void **state)
{
    struct fixture *f = *state;
    char node[33];

    count_online(f, f->scratch.store, "1");
    count_online(f, f->scratch.store, "2"); /* retained by both */
    count_away(f, f->scratch.store, "n");   /* inherited */
    copy_dir(f->scratch.store, f->other);
    count_away(f, f->other, "n");
    put_away(f, f->other, "k", "v");
    count_online(f, f->scratch.store, "4");
    assert_held_as_copy(f, f->other);
    renew(f, f->other);
    come_home(f, f->other);
    assert_redis(f, "n", "4");
    assert_redis(f, "k", "v");
    assert_int_equal(status_of(f).in_doubt, 2);
    assert_int_equal(status_of(f).pending_ops, 0);
    memcpy(node, status_of(f).node, sizeof(node));
    close_store(f);
    count_online(f, f->scratch.store, "5");
    assert_ok(hf_open(f->scratch.store, &f->opts, &f->store));
    assert_string_not_equal(status_of(f).node, node);
    close_store(f);
    count_online(f, f->other, "6");
}

static void test_reconcile__16_a_copy_is_not_renewed_where_what_waits_has_no_room(void **state)
{
    struct fixture *f = *state;
    char node[33];

    count_online(f, f->scratch.store, "1");
    count_away(f, f->scratch.store, "n");
    count_away(f, f->scratch.store, "n");
    f->opts.parked_max = 1;
    f->opts.redis = NULL;
    assert_ok(hf_open(f->scratch.store, &f->opts, &f->store));
    memcpy(node, status_of(f).node, sizeof(node));
    assert_code(HF_EFULL, hf_renew_node(f->store));
    close_store(f);
    f->opts.parked_max = 0;
    come_home(f, f->scratch.store);
    assert_string_equal(status_of(f).node, node);
    assert_redis(f, "n", "3");
    assert_int_equal(status_of(f).parked, 0);
    close_store(f);
}

/* A directory that was restored from a copy of long ago, whose node has gone on meanwhile. */
static void test_reconcile__16_a_renewed_old_copy_takes_over_what_was_written_since(void **state)
{
    struct fixture *f = *state;

    put_online(f, f->scratch.store, "k", "old");
    copy_dir(f->scratch.store, f->other);
    put_online(f, f->scratch.store, "k", "new");
    count_online(f, f->scratch.store, "1");
    let_copies_connect(f);
    assert_held_as_copy(f, f->other);
    renew(f, f->other);
    come_home(f, f->other);
    assert_redis(f, "k", "new");
    assert_value(f->store, "k", "new");
    assert_int_equal(status_of(f).in_doubt, 0);
    assert_int_equal(status_of(f).conflicts, 0);
    close_store(f);
    count_online(f, f->other, "2");
}

/* Redis shows the token of an opening that lies long back. */
static void test_reconcile__16_a_store_that_was_often_opened_away_is_no_copy(void **state)
{
    struct fixture *f = *state;

    put_online(f, f->scratch.store, "k", "v");
    for (unsigned i = 0; i < HF_OWNERS_MAX + 2; i++) {
        open_away(f, f->scratch.store);
        close_store(f);
    }
    put_online(f, f->scratch.store, "k", "w");
    assert_redis(f, "k", "w");
}

/* ---- 19: a user with few rights ---- */

static void put_twenty(struct hf *store, const char *value)
{
    char key[16];

    for (int i = 0; i < 20; i++) {
        snprintf(key, sizeof(key), "%s:%d", i == 10 ? "other" : "app", i);
        put(store, key, value);
    }
}

static void test_reconcile__19_a_forbidden_key_is_parked_and_holds_up_nobody(void **state)
{
    struct fixture *f = *state;

    open_online(f, f->scratch.store);
    put_twenty(f->store, "base");
    close_store(f);
    open_away(f, f->scratch.store);
    put_twenty(f->store, "v");
    close_store(f);
    plain(f, "ACL SETUSER few on >pw ~app:* ~_hf:* +@all -@dangerous");
    f->opts.redis_user = "few";
    f->opts.redis_password = "pw";
    come_home(f, f->scratch.store);
    assert_redis(f, "app:0", "v");
    assert_redis(f, "app:19", "v");
    assert_redis(f, "other:10", "base");
    assert_int_equal(status_of(f).parked, 1);
    put(f->store, "app:new", "v");
    assert_redis(f, "app:new", "v");
    close_store(f);
}

/* ---- 22: no older value is left behind by a full disk ---- */

/* Until not even the first one is taken after a checkpoint. */
static void fill(struct hf *store, struct hf_slice value)
{
    char key[32];
    int taken = 1;

    for (int i = 0; i < 64 && taken > 0; i++) {
        int rc = 0;
        for (taken = 0; rc == 0; taken += rc == 0) {
            snprintf(key, sizeof(key), "fill%d.%d", i, taken);
            rc = hf_set(store, s_(key), value, NULL, NULL);
        }
        assert_int_equal(rc, HF_EFULL);
        assert_ok(hf_checkpoint(store));
    }
    assert_int_equal(taken, 0);
}

static void test_reconcile__22_a_full_store_takes_no_write_and_passes_none_on(void **state)
{
    struct fixture *f = *state;
    size_t n = 1 << 20;
    char *big = calloc(1, n);

    assert_non_null(big);
    f->opts.max_disk_bytes = 16 << 20;
    f->opts.checkpoint_bytes = 1 << 20;
    f->opts.pending_max_bytes = 1 << 30; /* the disk is the bound that is met */
    open_away(f, f->scratch.store);
    put(f->store, "k", "taken");
    fill(f->store, hf__slice(big, n));
    close_store(f);
    open_online(f, f->scratch.store); /* the row of k is gone, its copy is held */
    assert_code(HF_EFULL, hf_set(f->store, s_("k"), hf__slice(big, n), NULL, NULL));
    assert_redis(f, "k", "taken");
    assert_value(f->store, "k", "taken");
    close_store(f);
    free(big);
}

/* ---- A1: blind writes ---- */

static void test_reconcile__A1_a_delete_of_a_key_never_seen_is_done_there(void **state)
{
    struct fixture *f = *state;

    plain(f, "SET k theirs");
    open_away(f, f->scratch.store);
    assert_code(HF_NOT_FOUND, hf_delete(f->store, s_("k"), NULL));
    close_store(f);
    come_home(f, f->scratch.store);
    assert_redis(f, "k", NULL);
    close_store(f);
}

static void test_reconcile__A1_a_blind_write_does_not_beat_a_later_one_in_the_log(void **state)
{
    struct fixture *f = *state;

    put_away(f, f->scratch.store, "k", "ours");
    let_pass(APART_MS);
    put_online(f, f->other, "k", "later");
    come_home(f, f->scratch.store);
    assert_redis(f, "k", "later");
    assert_conflict_over(f, "ours");
    close_store(f);
}

/* ---- A6: batches ---- */

static void test_reconcile__A6_a_batch_over_two_namespaces_is_refused(void **state)
{
    static const struct hf_namespace two[] = {{.prefix = "a:"}, {.prefix = "b:", .write_mode = HF_WRITE_LOCAL}};
    struct fixture *f = *state;
    struct hf_batch *batch;

    f->opts.namespaces = two;
    f->opts.n_namespaces = 2;
    open_away(f, f->scratch.store);
    assert_ok(hf_batch_new(f->store, &batch));
    assert_ok(hf_batch_set(batch, s_("a:k"), s_("v"), NULL));
    assert_ok(hf_batch_set(batch, s_("b:k"), s_("v"), NULL));
    assert_code(HF_EINVAL, hf_batch_commit(batch, NULL));
    hf_batch_free(batch);
    assert_value(f->store, "a:k", NULL);
    close_store(f);
}

static void test_reconcile__A6_a_batch_with_one_refused_key_is_parked_whole(void **state)
{
    struct fixture *f = *state;
    struct hf_batch *batch;

    plain(f, "SET n text");
    open_away(f, f->scratch.store);
    assert_ok(hf_batch_new(f->store, &batch));
    assert_ok(hf_batch_set(batch, s_("k"), s_("v"), NULL));
    assert_ok(hf_batch_incr(batch, s_("n"), 1));
    assert_ok(hf_batch_commit(batch, NULL));
    hf_batch_free(batch);
    put(f->store, "behind", "v");
    close_store(f);
    come_home(f, f->scratch.store);
    assert_redis(f, "k", NULL);
    assert_redis(f, "n", "text");
    assert_redis(f, "behind", "v");
    assert_int_equal(status_of(f).parked, 2);
    close_store(f);
}

/* Others changed one of its keys meanwhile; a counter was written and incremented, and others wrote it, too. */
static void test_reconcile__A6_a_batch_that_loses_one_key_is_parked_whole(void **state)
{
    struct fixture *f = *state;
    struct hf_batch *batch;
    int64_t number;

    open_online(f, f->scratch.store);
    put(f->store, "a", "base");
    put(f->store, "b", "base");
    put(f->store, "n", "5");
    close_store(f);
    open_away(f, f->scratch.store);
    assert_ok(hf_batch_new(f->store, &batch));
    assert_ok(hf_batch_set(batch, s_("a"), s_("ours"), NULL));
    assert_ok(hf_batch_delete(batch, s_("b")));
    assert_ok(hf_batch_commit(batch, NULL));
    hf_batch_free(batch);
    put(f->store, "n", "7");
    assert_ok(hf_incr(f->store, s_("n"), 1, &number, NULL));
    close_store(f);
    plain(f, "SET b theirs");
    plain(f, "SET n 100");
    come_home(f, f->scratch.store);
    assert_redis(f, "a", "base");
    assert_redis(f, "b", "theirs");
    assert_redis(f, "n", "101");
    assert_value(f->store, "n", "101");
    assert_int_equal(status_of(f).parked, 2);
    assert_int_equal(status_of(f).conflicts, 1);
    close_store(f);
}

/* ---- A10: not held is not absent ---- */

static void test_reconcile__A10_what_is_not_held_is_not_told_as_absent(void **state)
{
    struct fixture *f = *state;
    struct hf_result r;

    open_away(f, f->scratch.store);
    assert_code(HF_NOT_FOUND, hf_exists(f->store, s_("k"), &r));
    assert_int_equal(r.origin, HF_ORIGIN_NONE);
    (void)hf_delete(f->store, s_("k"), NULL);
    assert_code(HF_NOT_FOUND, hf_exists(f->store, s_("k"), &r));
    assert_int_equal(r.origin, HF_ORIGIN_PENDING);
    close_store(f);
}

/* ---- A11: an answer holds for what was judged ---- */

/* While it thinks for the first time, somebody writes. */
static int resolve(void *ctx, const struct hf_conflict *conflict, enum hf_winner *ret_winner,
                   struct hf_buf *ret_value)
{
    struct fixture *f = ctx;
    char text[64];

    if (f->resolved++ == 0)
        plain(f, "SET k meanwhile");
    snprintf(text, sizeof(text), "ours+%.*s", (int)conflict->theirs.value.len,
             (const char *)conflict->theirs.value.data);
    *ret_winner = HF_WINNER_MERGED;
    ret_value->data = strdup(text);
    ret_value->len = strlen(text);
    return 0;
}

static void test_reconcile__A11_an_answer_is_stored_only_over_what_was_judged(void **state)
{
    struct fixture *f = *state;

    f->ns.conflict = HF_CONFLICT_CALLBACK;
    f->opts.resolve = resolve;
    f->opts.resolve_ctx = f;
    put_online(f, f->scratch.store, "k", "base");
    put_away(f, f->scratch.store, "k", "ours");
    plain(f, "SET k theirs");
    come_home(f, f->scratch.store);
    assert_redis(f, "k", "ours+meanwhile");
    assert_value(f->store, "k", "ours+meanwhile");
    assert_int_equal(f->resolved, 2);
    close_store(f);
}

/* ---- A12: a write that lost is reported, and no longer read ---- */

static void test_reconcile__A12_a_lost_write_is_in_the_conflict_log_and_theirs_is_read(void **state)
{
    struct fixture *f = *state;

    f->ns.conflict = HF_CONFLICT_REMOTE;
    put_online(f, f->scratch.store, "k", "base");
    put_away(f, f->scratch.store, "k", "ours");
    plain(f, "SET k theirs");
    come_home(f, f->scratch.store);
    assert_redis(f, "k", "theirs");
    assert_value(f->store, "k", "theirs");
    assert_conflict_over(f, "ours");
    close_store(f);
}

/* ---- A14: the change log's key taken for something else ---- */

static bool is_told_of_no_stream(void *ctx)
{
    struct fixture *f = ctx;

    return strstr(status_of(f).link_reason, "no stream") != NULL;
}

#define LOG_NAME "KEYS[1]..redis.call('GET','_hf::epoch')"

/* Nobody would be told of what is written: the link says so, and writes wait until the key is free again. */
static void check_log_taken_before(struct fixture *f, int (*write)(struct hf *store))
{
    open_online(f, f->scratch.store);
    plain(f, "EVAL redis.call('SET'," LOG_NAME ",'x') 1 _hf::log:");
    assert_ok(write(f->store)); /* the values went before their entry was refused: once, and acknowledged */
    assert_true(wait_until(is_told_of_no_stream, f, BOUND_MS));
    put(f->store, "k", "waits");
    assert_redis(f, "k", NULL);
    plain(f, "EVAL return(redis.call('DEL'," LOG_NAME ")) 1 _hf::log:");
    assert_ok(hf_drain(f->store, BOUND_MS));
    assert_redis(f, "k", "waits");
    assert_redis(f, "n", "1");
    assert_true(redis_server_number(&f->redis, "EVAL return(redis.call('XLEN'," LOG_NAME ")) 1 _hf::log:") >= 2);
    close_store(f);
}

static int set_one(struct hf *store)
{
    return hf_set(store, s_("n"), s_("1"), NULL, NULL);
}

static int count_one(struct hf *store)
{
    int64_t number;

    return hf_incr(store, s_("n"), 1, &number, NULL);
}

static void test_reconcile__A14_a_group_notices_that_the_log_is_no_stream(void **state)
{
    check_log_taken_before(*state, set_one);
}

static void test_reconcile__A14_a_lane_notices_that_the_log_is_no_stream(void **state)
{
    check_log_taken_before(*state, count_one);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(test_reconcile__##name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(2_a_requeued_increment_counts_behind_later_ones),
        T(5_the_later_write_wins_whoever_returns_first),
        T(6_the_same_value_with_a_new_deadline_gets_it),
        T(6_a_value_that_is_there_already_gets_the_deadline),
        T(10_an_evicted_key_does_not_beat_a_pending_write),
        T(10_a_base_that_has_died_does_not_beat_a_pending_write),
        T(11_a_life_made_shorter_while_away_ends_early),
        T(11_an_increment_of_a_window_that_has_ended_opens_none),
        T(12_a_flush_while_online_is_seen_and_held),
        T(12_an_empty_restart_gets_back_only_what_is_not_there),
        T(12_a_trimmed_log_is_no_wipe),
        T(13_acknowledged_changes_come_back_after_a_rollback),
        T(13_a_lagging_replica_that_takes_over_gets_what_it_missed),
        T(13_nothing_is_replayed_to_a_replica),
        T(16_a_copy_does_not_apply_again_what_it_inherited),
        T(16_what_two_copies_add_is_not_taken_for_one),
        T(16_a_renewed_copy_goes_on_beside_the_other),
        T(16_a_copy_is_not_renewed_where_what_waits_has_no_room),
        T(16_a_renewed_old_copy_takes_over_what_was_written_since),
        T(16_a_store_that_was_often_opened_away_is_no_copy),
        T(19_a_forbidden_key_is_parked_and_holds_up_nobody),
        T(22_a_full_store_takes_no_write_and_passes_none_on),
        T(A1_a_delete_of_a_key_never_seen_is_done_there),
        T(A1_a_blind_write_does_not_beat_a_later_one_in_the_log),
        T(A6_a_batch_over_two_namespaces_is_refused),
        T(A6_a_batch_with_one_refused_key_is_parked_whole),
        T(A6_a_batch_that_loses_one_key_is_parked_whole),
        T(A10_what_is_not_held_is_not_told_as_absent),
        T(A11_an_answer_is_stored_only_over_what_was_judged),
        T(A12_a_lost_write_is_in_the_conflict_log_and_theirs_is_read),
        T(A14_a_group_notices_that_the_log_is_no_stream),
        T(A14_a_lane_notices_that_the_log_is_no_stream),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
