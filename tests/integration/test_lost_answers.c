/* A network that loses an answer, or delivers a request late, at every boundary in turn: each run has one fault, at the
 * n-th exchange, for n from 1 on until a run has no n-th exchange any more. Afterwards Redis and the store must hold what
 * the model holds; and the change log, which names each change as it is applied, must name every increment and every
 * change of a batch once, and no key's changes out of order. */
#include "proxy.h"
#include "redis_server.h"
#include "scratch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BOUND_MS 20000
#define KEYS 300u   /* s0 ..., set and deleted */
#define COUNTERS 6u /* c0 ... */
#define BATCHED 9u  /* b0 ..., set by batches only */
#define SWEEP_MAX 500u

/* ---- the model ---- */

struct model {
    long long keys[KEYS], batched[BATCHED]; /* the number in the value; 0: absent */
    long long counters[COUNTERS];           /* 0: absent or 0 */
    unsigned increments[COUNTERS];          /* how many */
};

/* ---- fixture: a server for all runs; a proxy and a store for each ---- */

struct fixture {
    struct redis_server redis;
    struct scratch scratch;
    struct proxy *proxy;
    struct hf *store;
    struct model model;
    unsigned again; /* plain changes that were sent again after they had been applied, in all runs */
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    if (!f || redis_server_start(&f->redis, NULL) != 0)
        return -1;
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    (void)hf_close(f->store); /* open only after a failure, which has been told */
    proxy_stop(f->proxy);
    redis_server_stop(&f->redis);
    if (f->scratch.dir[0])
        scratch_remove(&f->scratch);
    free(f);
    return 0;
}

static void begin_run(struct fixture *f)
{
    static const struct hf_namespace ours = {.prefix = "ours:", .conflict = HF_CONFLICT_LOCAL};
    char path[96], address[112];
    struct hf_options opts = {.redis = address,
                              .namespaces = &ours,
                              .n_namespaces = 1,
                              .segment_bytes = 1 << 20,
                              .max_disk_bytes = 64 << 20,
                              .redis_timeout_ms = 2000,
                              .redis_heartbeat_ms = 60000, /* none in a run: they would be exchanges by the clock */
                              .redis_backoff_max_ms = 10};

    f->model = (struct model){0};
    freeReplyObject(redis_server_command(&f->redis, "FLUSHALL"));
    scratch_make(&f->scratch);
    snprintf(path, sizeof(path), "%s/proxy", f->scratch.dir);
    snprintf(address, sizeof(address), "unix://%s", path);
    f->proxy = proxy_start(path, f->redis.socket);
    assert_non_null(f->proxy);
    assert_ok(hf_open(f->scratch.store, &opts, &f->store));
}

static void end_run(struct fixture *f)
{
    struct hf *store = f->store;

    f->store = NULL;
    assert_ok(hf_close(store));
    proxy_stop(f->proxy);
    f->proxy = NULL;
    scratch_remove(&f->scratch);
    f->scratch.dir[0] = '\0';
}

/* ---- what is written ---- */

static struct hf_slice name(char *text, size_t size, char letter, unsigned i)
{
    snprintf(text, size, "%c%u", letter, i);
    return s_(text);
}

static void set(struct fixture *f, unsigned i, long long number)
{
    char key[16], value[32];

    snprintf(value, sizeof(value), "%lld", number);
    assert_ok(hf_set(f->store, name(key, sizeof(key), 's', i), s_(value), NULL, NULL));
    f->model.keys[i] = number;
}

static void delete_key(struct fixture *f, unsigned i)
{
    char key[16];

    assert_code(f->model.keys[i] ? 0 : HF_NOT_FOUND, hf_delete(f->store, name(key, sizeof(key), 's', i), NULL));
    f->model.keys[i] = 0;
}

static void count(struct fixture *f, unsigned i, long long delta)
{
    f->model.counters[i] += delta;
    f->model.increments[i]++;
}

static void incr(struct fixture *f, unsigned i, long long delta)
{
    char key[16];
    int64_t number;

    assert_ok(hf_incr(f->store, name(key, sizeof(key), 'c', i), delta, &number, NULL));
    count(f, i, delta);
    assert_int_equal(number, f->model.counters[i]);
}

/* It joins the lane when there are unshared increments, and is no increment itself. */
static void reset_counter(struct fixture *f, unsigned i, long long number)
{
    char key[16], value[32];

    snprintf(value, sizeof(value), "%lld", number);
    assert_ok(hf_set(f->store, name(key, sizeof(key), 'c', i), s_(value), NULL, NULL));
    f->model.counters[i] = number;
}

/* Of a key that only batches write, a counter, and a key that plain writes write, too. */
static void batch(struct fixture *f, unsigned r)
{
    char key[16], value[32];
    struct hf_batch *batch;

    snprintf(value, sizeof(value), "%u", r + 1);
    assert_ok(hf_batch_new(f->store, &batch));
    assert_ok(hf_batch_set(batch, name(key, sizeof(key), 'b', r % BATCHED), s_(value), NULL));
    assert_ok(hf_batch_incr(batch, name(key, sizeof(key), 'c', (r + 1) % COUNTERS), 1000));
    assert_ok(hf_batch_delete(batch, name(key, sizeof(key), 's', (r + 3) % KEYS)));
    assert_ok(hf_batch_commit(batch, NULL));
    hf_batch_free(batch);
    f->model.batched[r % BATCHED] = r + 1;
    count(f, (r + 1) % COUNTERS, 1000);
    f->model.keys[(r + 3) % KEYS] = 0;
}

/* Rounds of everything, in the same order each time. */
static void write_mix(struct fixture *f, unsigned from, unsigned to)
{
    for (unsigned r = from; r < to; r++) {
        set(f, r % KEYS, 10 + r);
        incr(f, r % COUNTERS, r + 1);
        if (r % 3 == 0)
            delete_key(f, (r + 7) % KEYS);
        if (r % 4 == 1)
            batch(f, r);
        if (r % 9 == 5)
            reset_counter(f, (r + 2) % COUNTERS, r);
    }
}

/* ---- what must be there ---- */

static void assert_number(struct fixture *f, char letter, unsigned i, long long number, bool absent)
{
    char key[16], expected[32], text[32];

    (void)name(key, sizeof(key), letter, i);
    snprintf(expected, sizeof(expected), "%lld", number);
    redis_server_text(&f->redis, text, sizeof(text), "GET %s", key);
    if (strcmp(text, absent ? "(nil)" : expected) != 0)
        fail_msg("Redis holds %s under '%s'; expected %s", text, key, absent ? "nothing" : expected);
    assert_value(f->store, key, absent ? NULL : expected);
}

static void assert_values(struct fixture *f)
{
    const struct model *m = &f->model;

    for (unsigned i = 0; i < KEYS; i++)
        assert_number(f, 's', i, m->keys[i], m->keys[i] == 0);
    for (unsigned i = 0; i < BATCHED; i++)
        assert_number(f, 'b', i, m->batched[i], m->batched[i] == 0);
    for (unsigned i = 0; i < COUNTERS; i++)
        assert_number(f, 'c', i, m->counters[i], m->increments[i] == 0 && m->counters[i] == 0);
}

/* What the change log says of one key, in its order. */
struct named {
    unsigned long long lsn; /* the last one */
    unsigned increments;
};
struct names {
    struct named keys[KEYS], batched[BATCHED], counters[COUNTERS];
    unsigned again; /* plain changes, which may be sent again */
};

static struct named *find_named(struct names *names, const char *key)
{
    unsigned i = (unsigned)strtoul(key + 1, NULL, 10);

    if (key[0] == 's' && i < KEYS)
        return &names->keys[i];
    if (key[0] == 'b' && i < BATCHED)
        return &names->batched[i];
    assert_true(key[0] == 'c' && i < COUNTERS);
    return &names->counters[i];
}

/* The LSNs of a key never go back; of what is applied exactly once they rise. */
static void add_name(struct names *names, const char *op, unsigned long long last, const char *key)
{
    struct named *named = find_named(names, key);
    unsigned long long lsn = last - strtoull(op + 1, NULL, 10);
    bool once = op[0] == 'i' || key[0] == 'b';

    if (lsn < named->lsn || (once && lsn == named->lsn))
        fail_msg("the change log names '%c' of '%s' with LSN %llu behind %llu", op[0], key, lsn, named->lsn);
    names->again += lsn == named->lsn;
    named->lsn = lsn;
    named->increments += op[0] == 'i';
}

/* n <node> l <last> <name> <key> ... */
static void read_entry(struct names *names, const redisReply *fields)
{
    unsigned long long last = strtoull(fields->element[3]->str, NULL, 10);

    for (size_t i = 4; i + 1 < fields->elements; i += 2)
        add_name(names, fields->element[i]->str, last, fields->element[i + 1]->str);
}

static void assert_log_is_in_order(struct fixture *f)
{
    struct names names = {0};
    char epoch[64];
    redisReply *log;

    redis_server_text(&f->redis, epoch, sizeof(epoch), "GET _hf::epoch");
    log = redis_server_command(&f->redis, "XRANGE _hf::log:%s - +", epoch);
    assert_non_null(log);
    assert_true(log->elements > 1);
    for (size_t i = 0; i < log->elements; i++)
        read_entry(&names, log->element[i]->element[1]);
    for (unsigned i = 0; i < COUNTERS; i++)
        assert_int_equal(names.counters[i].increments, f->model.increments[i]);
    f->again += names.again;
    freeReplyObject(log);
}

static void assert_all_shared(struct fixture *f)
{
    struct hf_status status;

    assert_ok(hf_drain(f->store, BOUND_MS));
    assert_ok(hf_status(f->store, &status));
    assert_int_equal(status.parked, 0);
    assert_int_equal(status.in_doubt, 0);
    assert_values(f);
    assert_log_is_in_order(f);
}

/* ---- sweeping ---- */

struct sweep {
    void (*strike)(struct proxy *proxy, size_t n);
    bool late;   /* what was held arrives at the end */
    bool outage; /* the fault comes in the replay, else in live writing */
};

static void write_with_fault(struct fixture *f, const struct sweep *sweep, size_t n)
{
    if (!sweep->outage) {
        sweep->strike(f->proxy, n);
        write_mix(f, 0, 16);
        return;
    }
    assert_true(wait_link(f->store, HF_LINK_ONLINE, BOUND_MS));
    write_mix(f, 0, 8);
    proxy_set_away(f->proxy, true);
    assert_true(wait_link(f->store, HF_LINK_OFFLINE, BOUND_MS));
    write_mix(f, 8, 400);
    assert_ok(hf_checkpoint(f->store));
    write_mix(f, 400, 450);
    sweep->strike(f->proxy, n);
    proxy_set_away(f->proxy, false);
}

/* Returns false when there was no n-th exchange. */
static bool run(struct fixture *f, const struct sweep *sweep, size_t n)
{
    bool struck;

    begin_run(f);
    write_with_fault(f, sweep, n);
    assert_ok(hf_drain(f->store, BOUND_MS));
    struck = proxy_exchanges(f->proxy) >= n;
    proxy_drop_answer_of(f->proxy, 0); /* reading what is there is not what is swept */
    assert_all_shared(f);
    if (struck && sweep->late) {
        proxy_release(f->proxy);
        assert_true(proxy_wait_unheard(f->proxy, 1, BOUND_MS));
        assert_values(f);
        write_mix(f, 450, 454); /* a late greeting has taken our token: the link sees to that */
        assert_all_shared(f);
    }
    end_run(f);
    return struck;
}

static void sweep(struct fixture *f, const struct sweep *sweep)
{
    size_t n = 1;

    while (n < SWEEP_MAX && run(f, sweep, n))
        n++;
    assert_in_range(n, 2, SWEEP_MAX - 1);
    print_message("%zu boundaries swept; %u plain changes were sent again\n", n - 1, f->again);
}

static void test_lost_answers__at_every_boundary_of_a_replay(void **state)
{
    sweep(*state, &(struct sweep){.strike = proxy_drop_answer_of, .outage = true});
}

static void test_lost_answers__at_every_boundary_of_live_writing(void **state)
{
    sweep(*state, &(struct sweep){.strike = proxy_drop_answer_of});
}

static void test_late_requests__at_every_boundary_of_a_replay(void **state)
{
    sweep(*state, &(struct sweep){.strike = proxy_delay_request_of, .late = true, .outage = true});
}

static void test_late_requests__at_every_boundary_of_live_writing(void **state)
{
    sweep(*state, &(struct sweep){.strike = proxy_delay_request_of, .late = true});
}

/* ---- conflicts ---- */

static int find_theirs(void *ctx, const struct hf_conflict *conflict)
{
    *(bool *)ctx |= conflict->key.len == 6 && memcmp(conflict->key.data, "ours:k", 6) == 0 &&
                    conflict->theirs.value.len == 6 && memcmp(conflict->theirs.value.data, "theirs", 6) == 0;
    return 0;
}

/* What Redis held is there no more when the answer is lost: only the log has it. Returns false when there was no n-th exchange. */
static bool win_a_conflict(struct fixture *f, size_t n)
{
    bool kept = false, struck;
    char text[32];

    begin_run(f);
    put(f->store, "ours:k", "base");
    assert_ok(hf_drain(f->store, BOUND_MS));
    proxy_set_away(f->proxy, true);
    assert_true(wait_link(f->store, HF_LINK_OFFLINE, BOUND_MS));
    put(f->store, "ours:k", "ours");
    freeReplyObject(redis_server_command(&f->redis, "SET ours:k theirs"));
    proxy_drop_answer_of(f->proxy, n);
    proxy_set_away(f->proxy, false);
    assert_ok(hf_drain(f->store, BOUND_MS));
    struck = proxy_exchanges(f->proxy) >= n;
    proxy_drop_answer_of(f->proxy, 0);
    assert_string_equal(redis_server_text(&f->redis, text, sizeof(text), "GET ours:k"), "ours");
    assert_ok(hf_conflict_list(f->store, 0, find_theirs, &kept));
    if (!kept)
        fail_msg("without the answer to exchange %zu nothing tells what Redis held", n);
    end_run(f);
    return struck;
}

static void test_lost_answers__what_ours_has_replaced_is_in_the_conflict_log(void **state)
{
    size_t n = 1;

    while (n < SWEEP_MAX && win_a_conflict(*state, n))
        n++;
    assert_in_range(n, 2, SWEEP_MAX - 1);
    print_message("%zu boundaries swept\n", n - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_lost_answers__what_ours_has_replaced_is_in_the_conflict_log, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_lost_answers__at_every_boundary_of_a_replay, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_lost_answers__at_every_boundary_of_live_writing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_late_requests__at_every_boundary_of_a_replay, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_late_requests__at_every_boundary_of_live_writing, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
