/* The model of a Redis (tests/lib/fake_tier.h) against a real one: random requests at the seam, and a plain client's, are given
 * to both. What they answer, tell and hold must agree; where it does not, the real one is right.
 *
 *     test_model                                  a few runs, as one of the tests
 *     test_model --seed S [--minutes N]           from this seed on, one run a seed, for so long; without --minutes: one
 *
 * --steps sets how many steps a run has; --tell 1 prints what is asked and answered. HOLDFAST_SEED sets the first seed of the tests, which is 1; where it is set, all that is
 * held is compared after every step, so that the first difference is shown. */
#include "model_pair.h"
#include "scratch.h"
#include "sim_disk.h"

#include "digest.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define TEST_RUNS 6
#define TEST_STEPS 700
#define COMPARE_EVERY 25 /* all that is held, in steps */

#define MINUTE_MS 60000
#define ITEMS_MAX 8u
#define KEYS 6u /* of each namespace */

struct plan {
    struct pair pair;
    uint64_t random;
    unsigned steps, compare_every;
    uint64_t lsn;
    uint64_t marks[PAIR_CONNS][PAIR_SPACES]; /* as far as is known here */
    enum fake_trouble trouble;               /* FAKE_TROUBLES: none */
    unsigned trouble_left;                   /* steps */
};

/* ---- choosing ---- */

static uint32_t pick(struct plan *p, uint32_t n)
{
    return (uint32_t)(sim_random(&p->random) % n);
}

static bool once_in(struct plan *p, uint32_t n)
{
    return pick(p, n) == 0;
}

static const char *pick_key(struct plan *p, size_t space)
{
    static const char *const keys[PAIR_SPACES][KEYS] = {{"a:0", "a:1", "a:2", "a:3", "a:4", "a:5"},
                                                        {"b:0", "b:1", "b:2", "b:3", "b:4", "b:5"}};

    return keys[space][pick(p, KEYS)];
}

#define LONG_BYTES 6000

/* Text, numbers at the ends of their range, what looks like a number and is none, and what is too long to be told whole. */
static const char *pick_value(struct plan *p)
{
    static const char *const values[] = {"",  "v",   "w",  "0",  "7",
                                         "-", "007", "-3", " 1", "9223372036854775807",
                                         "x", "y",   "10", "-0", "-9223372036854775808"};
    static char digested[200 + 1], told[LONG_BYTES + 1];
    uint32_t n = pick(p, 20);

    memset(digested, 'd', sizeof(digested) - 1);
    memset(told, 'l', sizeof(told) - 1);
    if (n < sizeof(values) / sizeof(values[0]))
        return values[n];
    return n == 15 ? digested : n == 16 ? told : "v";
}

/* Long past, or far away: nothing whose life ends between the two sides. 0: none. */
static int64_t pick_deadline(struct plan *p)
{
    uint32_t n = pick(p, 8);

    if (n > 3)
        return 0;
    return pair_now_ms() / MINUTE_MS * MINUTE_MS + (n == 0 ? -10 : (int64_t)n * 10) * MINUTE_MS;
}

static int64_t pick_life(struct plan *p)
{
    static const int64_t lives[] = {0, 10 * MINUTE_MS, 20 * MINUTE_MS, HF_DECIDE_KEEP_TTL};

    return lives[pick(p, 4)];
}

/* A place in a log that was there, is there, or none. */
static size_t pick_place(struct plan *p, size_t space)
{
    size_t n = pair_places(&p->pair, space);
    uint32_t how = pick(p, 4);

    if (how == 0 || n == 0)
        return how == 1 ? PAIR_NO_ID : PAIR_FROM_START;
    return how == 1 ? n - 1 : n - 1 - pick(p, (uint32_t)(n < 150 ? n : 150));
}

static uint32_t pick_max(struct plan *p)
{
    return once_in(p, 2) ? 20 : 120;
}

#define GUARDS_MAX 3u
struct guards {
    struct hf_shared_guard all[GUARDS_MAX];
    size_t n;
};

/* What the key may hold: nothing, or one of the values. */
static void pick_guards(struct plan *p, struct guards *guards)
{
    guards->n = once_in(p, 3) ? 0 : 1 + pick(p, GUARDS_MAX);
    for (size_t i = 0; i < guards->n; i++) {
        const char *value = pick_value(p);
        guards->all[i] = (struct hf_shared_guard){.absent = once_in(p, 3), .len = strlen(value)};
        if (!guards->all[i].absent)
            memcpy(guards->all[i].digest, hf__version_id(s_(value), 0).digest, 20);
    }
}

/* ---- groups ---- */

struct group {
    struct hf_shared_item items[ITEMS_MAX * PAIR_SPACES];
    struct guards guards[ITEMS_MAX * PAIR_SPACES];
    struct pair_named logs[PAIR_SPACES];
    size_t n_items, n_logs;
};

/* No key stands twice in a guarded group. */
static bool has_key(const struct group *group, const char *key)
{
    for (size_t i = 0; i < group->n_items; i++) {
        if (hf__slice_eq(group->items[i].key, s_(key)))
            return true;
    }
    return false;
}

static void add_item(struct plan *p, struct group *group, size_t space, bool fresh, bool guarded)
{
    struct hf_shared_item *item = &group->items[group->n_items];
    struct guards *guards = &group->guards[group->n_items];
    const char *key = pick_key(p, space);

    if (guarded && has_key(group, key))
        return;
    *item = (struct hf_shared_item){
        .op = HF_SHARED_SET + pick(p, 4), .key = s_(key), .value = s_(pick_value(p)), .lsn = ++p->lsn};
    if (item->op == HF_SHARED_SET)
        item->deadline_ms = pick_deadline(p);
    if (item->op == HF_SHARED_EXPIRE)
        item->deadline_ms = (pair_now_ms() / MINUTE_MS + (once_in(p, 3) ? -5 : 30)) * MINUTE_MS;
    if (once_in(p, 3))
        item->made_ms = INT64_C(1700000000000) + pick(p, 100000);
    if (once_in(p, 6))
        item->uncertainty_ms = pick(p, 50);
    pick_guards(p, guards);
    if (fresh) {
        item->op = HF_SHARED_SET;
        item->deadline_ms = 0;
        *guards = (struct guards){.all = {{.absent = true}}, .n = 1};
    }
    item->guards = guards->all;
    item->n_guards = guards->n;
    group->n_items++;
}

static void fill_group(struct plan *p, struct group *group, bool guarded)
{
    bool fresh = guarded && once_in(p, 3);
    size_t from = once_in(p, 3) ? 1 : 0, to = once_in(p, 3) ? 1 : PAIR_SPACES;

    for (size_t space = from; space < to || space == from; space++) {
        size_t first = group->n_items;
        for (uint32_t i = 0, n = 1 + pick(p, ITEMS_MAX); i < n; i++)
            add_item(p, group, space, fresh, guarded);
        if (once_in(p, 6))
            continue; /* a namespace without a log */
        group->logs[group->n_logs++] = (struct pair_named){.space = space,
                                                           .first_item = first,
                                                           .n_items = group->n_items - first,
                                                           .at = guarded ? pick_place(p, space) : PAIR_NO_ID,
                                                           .max_entries = pick_max(p)};
    }
}

static void send_group(struct plan *p, size_t conn, bool guarded, bool watched)
{
    struct group *group = calloc(1, sizeof(*group));
    struct hf_shared_group request = {.guarded = guarded, .watched = watched};

    assert_non_null(group);
    if (!watched || !once_in(p, 4))
        fill_group(p, group, guarded);
    request.items = group->items;
    request.n_items = group->n_items;
    pair_group(&p->pair, conn, &request, group->logs, group->n_logs);
    free(group);
}

static void do_group(struct plan *p, size_t conn)
{
    send_group(p, conn, false, false);
}

static void do_guarded_group(struct plan *p, size_t conn)
{
    send_group(p, conn, true, false);
}

/* ---- looking ---- */

static void look(struct plan *p, size_t conn, enum hf_shared_watch watch)
{
    struct hf_shared_seen keys[ITEMS_MAX] = {0};
    size_t n = 1 + pick(p, ITEMS_MAX);

    for (size_t i = 0; i < n; i++) {
        keys[i].key = s_(pick_key(p, pick(p, PAIR_SPACES)));
        keys[i].want = (uint8_t)pick(p, 8);
    }
    pair_examine(&p->pair, conn, keys, n, watch, once_in(p, 2) ? PAIR_NO_ID : pick_place(p, 0));
}

static void do_look(struct plan *p, size_t conn)
{
    look(p, conn, HF_WATCH_NOTHING);
}

static void change_plainly(struct plan *p);

/* Look, perhaps twice, and while a plain client writes; then store. */
static void do_watched_group(struct plan *p, size_t conn)
{
    look(p, conn, once_in(p, 3) ? HF_WATCH_LOGS : HF_WATCH_KEYS);
    if (once_in(p, 4))
        look(p, conn, HF_WATCH_KEYS);
    if (p->trouble == FAKE_TROUBLES && once_in(p, 2))
        change_plainly(p);
    send_group(p, conn, false, true);
}

static void do_fetch(struct plan *p, size_t conn)
{
    pair_fetch(&p->pair, conn, pick_key(p, pick(p, PAIR_SPACES)));
}

/* ---- lanes ---- */

static void fill_op(struct plan *p, struct hf_shared_lane_op *op, struct guards *guards, size_t space)
{
    static const int64_t deltas[] = {1, -1, 5, -10, INT64_MAX, INT64_MIN, 0};

    *op = (struct hf_shared_lane_op){
        .op = HF_SHARED_SET + pick(p, 5), .key = s_(pick_key(p, space)), .value = s_(pick_value(p))};
    if (once_in(p, 2))
        op->op = HF_SHARED_INCR;
    op->delta = deltas[pick(p, 7)];
    op->deadline_ms = op->op == HF_SHARED_DELETE || op->op == HF_SHARED_PERSIST ? 0 : pick_deadline(p);
    if (op->op == HF_SHARED_EXPIRE && op->deadline_ms == 0)
        op->deadline_ms = (pair_now_ms() / MINUTE_MS + 30) * MINUTE_MS;
    op->lsn = ++p->lsn;
    guards->n = 0;
    if (op->op <= HF_SHARED_DELETE && once_in(p, 6))
        pick_guards(p, guards);
    op->guards = guards->all;
    op->n_guards = guards->n;
}

/* Mostly behind the mark; else it is to be sent back, or was done before. */
static void do_lane(struct plan *p, size_t conn)
{
    struct hf_shared_lane_op ops[ITEMS_MAX];
    struct guards guards[ITEMS_MAX];
    size_t n = 1 + pick(p, once_in(p, 2) ? 2 : ITEMS_MAX), space = pick(p, PAIR_SPACES);
    uint64_t *mark = &p->marks[conn == 2 ? 0 : conn][space];

    for (size_t i = 0; i < n; i++)
        fill_op(p, &ops[i], &guards[i], space);
    if (once_in(p, 12))
        ops[n - 1].lsn = *mark > 0 ? *mark : 1;
    for (size_t i = 0; i + 1 < n; i++)
        ops[i].lsn = ops[i].lsn < ops[n - 1].lsn ? ops[i].lsn : ops[n - 1].lsn;
    pair_lane(&p->pair, conn, space, once_in(p, 5) ? 0 : pick_max(p), once_in(p, 12) ? p->lsn + 5 : *mark, ops, n);
    if (p->pair.lane == HF_LANE_APPLIED)
        *mark = ops[n - 1].lsn;
    else if (p->pair.lane == HF_LANE_MARK)
        *mark = p->pair.mark;
}

/* ---- decisions ---- */

static void do_decide(struct plan *p, size_t conn)
{
    size_t space = pick(p, PAIR_SPACES);
    struct hf_shared_decide decide = {.op = HF_DECIDE_SET_IF_ABSENT + pick(p, 6),
                                      .key = s_(pick_key(p, space)),
                                      .expected = s_(pick_value(p)),
                                      .value = s_(pick_value(p)),
                                      .ttl_ms = pick_life(p),
                                      .fence_key = s_(space == 0 ? "_hf:a::fence" : "_hf:b::fence"),
                                      .lsn = ++p->lsn};

    if (decide.op == HF_DECIDE_ACQUIRE && decide.ttl_ms <= 0)
        decide.ttl_ms = 10 * MINUTE_MS;
    decide.log.max_entries = pick_max(p);
    pair_decide(&p->pair, conn, space, !once_in(p, 5), &decide);
}

/* ---- whose history it is ---- */

static void do_epoch(struct plan *p, size_t conn)
{
    pair_epoch(&p->pair, conn, pick(p, PAIR_SPACES), !once_in(p, 6), once_in(p, 4));
}

static void do_page(struct plan *p, size_t conn)
{
    size_t space = pick(p, PAIR_SPACES);

    pair_page(&p->pair, conn, space, pick_place(p, space), 1 + pick(p, 40), once_in(p, 4));
}

static void do_facts(struct plan *p, size_t conn)
{
    pair_facts(&p->pair, conn, (enum hf_shared_track)pick(p, 3));
}

static void do_disconnect(struct plan *p, size_t conn)
{
    pair_disconnect(&p->pair, conn);
}

/* ---- what others do ---- */

static void change_plainly(struct plan *p)
{
    const char *key = pick_key(p, pick(p, PAIR_SPACES));

    switch (pick(p, 6)) {
    case 0: pair_delete(&p->pair, key); break;
    case 1: pair_expire(&p->pair, key, once_in(p, 3) ? 0 : (pair_now_ms() / MINUTE_MS + 15) * MINUTE_MS); break;
    case 2: pair_other_type(&p->pair, key, once_in(p, 2)); break;
    default: pair_set(&p->pair, key, pick_value(p), pick_deadline(p)); break;
    }
}

/* What a Redis suffers, and what is done to the bookkeeping. */
static void suffer(struct plan *p)
{
    static const char *const names[] = {"_hf:session:00000000000000000000000000000001",
                                        "_hf:session:00000000000000000000000000000002",
                                        "_hf:a::mark:00000000000000000000000000000001",
                                        "_hf:b::mark:00000000000000000000000000000002",
                                        "_hf:a::epoch",
                                        "_hf:b::epoch",
                                        "_hf:a::fence",
                                        "log 0",
                                        "log 1"};
    const char *name = names[pick(p, 9)];

    switch (pick(p, 12)) {
    case 0:
    case 1: pair_trim(&p->pair, pick(p, 60)); break;
    case 2:
    case 3: pair_entry(&p->pair, pick(p, PAIR_SPACES)); break;
    case 4: pair_wipe(&p->pair); break;
    case 5: pair_swap(&p->pair); break;
    case 6: pair_other_type(&p->pair, name, true); break;
    case 7: pair_set(&p->pair, name, once_in(p, 2) ? "12" : "no number", 0); break;
    default: pair_delete(&p->pair, name); break;
    }
}

/* For a few steps. */
static void begin_trouble(struct plan *p)
{
    static const enum fake_trouble troubles[] = {FAKE_TROUBLE_OOM,    FAKE_TROUBLE_OOM,    FAKE_TROUBLE_READONLY,
                                                 FAKE_TROUBLE_NOPERM, FAKE_TROUBLE_NOAUTH, FAKE_TROUBLE_MISCONF,
                                                 FAKE_TROUBLE_BUSY};

    p->trouble = troubles[pick(p, 7)];
    p->trouble_left = 3 + pick(p, 8);
    pair_trouble(&p->pair, p->trouble, true);
}

static void end_trouble(struct plan *p)
{
    if (p->trouble != FAKE_TROUBLES)
        pair_trouble(&p->pair, p->trouble, false);
    p->trouble = FAKE_TROUBLES;
}

/* A life that ends: nothing is asked until it is over on both sides. */
static void let_die(struct plan *p)
{
    int64_t deadline_ms = pair_now_ms() + 10;

    pair_set(&p->pair, pick_key(p, 0), "mortal", deadline_ms);
    pair_set(&p->pair, pick_key(p, 1), "mortal", deadline_ms);
    pair_wait_until(deadline_ms);
    if (once_in(p, 2))
        pair_take_away_dead(&p->pair);
}

/* ---- a run ---- */

/* From the command line. */
static uint64_t first_seed;
static int64_t run_ms; /* for so long; 0: one run */
static unsigned run_steps = TEST_STEPS;
static bool tells;

/* How often, of the sum of all. */
static const struct way {
    unsigned weight;
    void (*ask)(struct plan *p, size_t conn);
} ways[] = {
    {12, do_group},  {14, do_guarded_group}, {10, do_watched_group}, {16, do_lane},
    {14, do_decide}, {5, do_epoch},          {8, do_page},           {8, do_look},
    {6, do_fetch},   {1, do_facts},          {1, do_disconnect},
};

static void ask(struct plan *p)
{
    size_t conn = once_in(p, 12) ? 2 : pick(p, 2), way = 0;
    uint32_t n = 0, chosen;

    if (!p->pair.connected[conn]) {
        pair_connect(&p->pair, conn);
        return;
    }
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
        n += ways[i].weight;
    chosen = pick(p, n);
    while (chosen >= ways[way].weight)
        chosen -= ways[way++].weight;
    ways[way].ask(p, conn);
}

static void take_step(struct plan *p)
{
    bool well = p->trouble == FAKE_TROUBLES;

    if (!well && p->trouble_left-- == 0)
        end_trouble(p);
    else if (well && once_in(p, 90))
        begin_trouble(p);
    else if (well && once_in(p, 60))
        suffer(p);
    else if (well && once_in(p, 60))
        let_die(p);
    else if (well && once_in(p, 8))
        change_plainly(p);
    else
        ask(p);
}

static void compare(struct plan *p)
{
    if (p->trouble != FAKE_TROUBLES)
        return;
    pair_compare_told(&p->pair);
    pair_compare_data(&p->pair);
}

static void run(uint64_t seed, unsigned steps, unsigned compare_every)
{
    struct plan *p = calloc(1, sizeof(*p));

    assert_non_null(p);
    p->random = seed;
    p->trouble = FAKE_TROUBLES;
    p->pair.tells = tells;
    pair_start(&p->pair, seed);
    for (p->pair.step = 0; p->pair.step < steps; p->pair.step++) {
        take_step(p);
        if (p->pair.step % compare_every == compare_every - 1)
            compare(p);
    }
    end_trouble(p);
    compare(p);
    pair_stop(&p->pair);
    free(p);
}

/* ---- tests ---- */

static void test_model__answers_tells_and_holds_what_a_redis_does(void **state)
{
    const char *given = getenv("HOLDFAST_SEED");

    (void)state;
    for (uint64_t seed = first_seed; seed < first_seed + (given ? 1 : TEST_RUNS); seed++) {
        print_message("HOLDFAST_SEED=%" PRIu64 "\n", seed);
        run(seed, run_steps, given ? 1 : COMPARE_EVERY);
    }
}

#define LIFE_MS 60
#define ATTEMPTS 20

/* False: the machine was too slow, and it may have been dead before it was watched. */
static bool watch_a_death(struct pair *pair)
{
    int64_t deadline_ms = pair_now_ms() + LIFE_MS;
    struct hf_shared_seen seen = {.key = s_("a:0")};
    struct hf_shared_item item = {.op = HF_SHARED_SET, .key = s_("a:1"), .value = s_("v"), .lsn = 1};
    struct hf_shared_group group = {.items = &item, .n_items = 1, .watched = true};
    bool in_time;

    pair_set(pair, "a:0", "mortal", deadline_ms);
    pair_examine(pair, 0, &seen, 1, HF_WATCH_KEYS, PAIR_NO_ID);
    in_time = pair_now_ms() < deadline_ms - 1;
    if (in_time)
        pair_wait_until(deadline_ms);
    else
        group.n_items = 0;
    pair_group(pair, 0, &group, NULL, 0);
    return in_time;
}

static void test_model__a_life_that_ends_while_it_is_watched_is_a_change(void **state)
{
    struct pair *pair = calloc(1, sizeof(*pair));
    int attempts = 1;

    (void)state;
    assert_non_null(pair);
    pair_start(pair, 1);
    pair_connect(pair, 0);
    while (!watch_a_death(pair))
        assert_in_range(attempts++, 1, ATTEMPTS);
    assert_true(fake_redis_holds("a:1", NULL));
    pair_compare_told(pair);
    pair_compare_data(pair);
    pair_stop(pair);
    free(pair);
}

static void test_model__while_it_loads_nothing_is_answered(void **state)
{
    struct pair *pair = calloc(1, sizeof(*pair));
    struct hf_shared_item item = {.op = HF_SHARED_SET, .key = s_("a:1"), .value = s_("v"), .lsn = 1};
    struct hf_shared_group group = {.items = &item, .n_items = 1};
    struct hf_shared_lane_op op = {.op = HF_SHARED_INCR, .key = s_("a:2"), .delta = 1, .lsn = 1};
    struct hf_shared_seen seen = {.key = s_("a:1")};

    (void)state;
    assert_non_null(pair);
    pair_start(pair, 1);
    pair_connect(pair, 0);
    pair_epoch(pair, 0, 0, true, false);
    pair_trouble(pair, FAKE_TROUBLE_LOADING, true);
    pair_fetch(pair, 0, "a:1");
    pair_examine(pair, 0, &seen, 1, HF_WATCH_NOTHING, PAIR_FROM_START);
    pair_page(pair, 0, 0, PAIR_FROM_START, 10, false);
    pair_epoch(pair, 0, 0, true, false);
    pair_lane(pair, 0, 0, 20, 0, &op, 1);
    pair_group(pair, 0, &group, NULL, 0);
    pair_connect(pair, 1);
    assert_false(pair->connected[0] || pair->connected[1]);
    pair_trouble(pair, FAKE_TROUBLE_LOADING, false);
    pair_compare_data(pair);
    pair_stop(pair);
    free(pair);
}

/* The first half of history 1: nobody has taken the session over, so it is carried out. The model is asked when the real one
 * has given up: nothing that was out before may end its connection until then. */
static void test_model__a_stopped_server_does_later_what_it_was_sent(void **state)
{
    struct pair *pair = calloc(1, sizeof(*pair));
    struct hf_shared_item item = {.op = HF_SHARED_SET, .key = s_("a:1"), .value = s_("late"), .lsn = 1};
    struct hf_shared_group group = {.items = &item, .n_items = 1};

    (void)state;
    assert_non_null(pair);
    pair->reply_timeout_ms = 200;
    pair_start(pair, 1);
    pair_connect_and_settle(pair, 0);
    pair_halt(pair, true);
    pair_group(pair, 0, &group, NULL, 0);
    assert_false(pair->connected[0]);
    pair_halt(pair, false);
    pair_compare_data(pair);
    assert_true(fake_redis_holds("a:1", "late"));
    pair_connect(pair, 0);
    pair_stop(pair);
    free(pair);
}

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

static void test_model__for_as_long_as_is_asked_for(void **state)
{
    int64_t until = now_ms() + run_ms;
    unsigned every = getenv("HOLDFAST_SEED") ? 1 : COMPARE_EVERY;
    uint64_t seed = first_seed;

    (void)state;
    do {
        print_message("HOLDFAST_SEED=%" PRIu64 "\n", seed);
        run(seed++, run_steps, every);
    } while (now_ms() < until);
}

static bool read_options(int argc, char **argv)
{
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--seed") == 0)
            first_seed = strtoull(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--minutes") == 0)
            run_ms = strtoll(argv[i + 1], NULL, 10) * MINUTE_MS;
        else if (strcmp(argv[i], "--steps") == 0)
            run_steps = (unsigned)strtoul(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--tell") == 0)
            tells = strcmp(argv[i + 1], "1") == 0;
        else
            return false;
    }
    return argc % 2 == 1;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_model__answers_tells_and_holds_what_a_redis_does),
        cmocka_unit_test(test_model__a_life_that_ends_while_it_is_watched_is_a_change),
        cmocka_unit_test(test_model__while_it_loads_nothing_is_answered),
        cmocka_unit_test(test_model__a_stopped_server_does_later_what_it_was_sent),
    };
    const struct CMUnitTest by_hand[] = {cmocka_unit_test(test_model__for_as_long_as_is_asked_for)};
    const char *given = getenv("HOLDFAST_SEED");

    first_seed = given ? strtoull(given, NULL, 10) : 1;
    if (!read_options(argc, argv)) {
        fprintf(stderr, "usage: test_model [--seed S] [--minutes N] [--steps N] [--tell 1]\n");
        return 2;
    }
    return argc > 1 ? cmocka_run_group_tests(by_hand, NULL, NULL) : cmocka_run_group_tests(tests, NULL, NULL);
}
