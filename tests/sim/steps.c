/* What each kind of step does. To add one: a line in SIM_STEP_MAP (sim.h), a case here; what ends by itself has an end in
 * `ends`. */
#include "sim.h"

#include "ignore.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define HEALING_US 2000000       /* for links to come back */
#define OPERATION_MAX_US 3000000 /* any that does not wait for Redis by its nature: redis_timeout_ms and the disk */

static uint64_t below(uint64_t *random, uint64_t limit)
{
    return sim_random(random) % limit;
}

/* ---- on a worker: what a store is asked ---- */

static void read_key(struct sim_worker *worker, const struct storm_key *key, uint64_t random)
{
    struct hf *store = worker->storm.store;
    struct hf_slice name = {key->name, strlen(key->name)};
    int64_t now_ms = hf_now_ms(store);
    struct hf_result result = {0};
    struct hf_buf value = {0};
    size_t len = 0;
    int rc;

    if (random % 3 == 0) {
        rc = hf_get(store, name, &value, &result);
    } else {
        value.data = calloc(1, 8192);
        rc = random % 3 == 1 ? hf_try_get_into(store, name, value.data, 8191, &len, &result)
                             : hf_ask_into(store, name, value.data, 8191, &len, &result);
        value.len = len;
    }
    sim_watch_read(worker, key, rc, &value, &result, now_ms);
    hf_buf_release(&value);
}

static int scan(struct sim_worker *worker)
{
    struct hf_slice key, value, none = {NULL, 0};
    struct hf_scan *found;
    int rc = hf_scan_open(worker->storm.store, none, none, &found);

    if (rc != 0)
        return rc;
    while ((rc = hf_scan_next(found, &key, &value, NULL)) == 0) {
        char text[STORM_TEXT_MAX];
        storm_value_text(value.data, value.len, text);
        if (strcmp(text, "damaged") == 0)
            sim_fail(worker->node->world, "node %u: a scan finds damage under %.*s", worker->node->number,
                     (int)key.len, (const char *)key.data);
    }
    hf_scan_close(found);
    return rc == HF_NOT_FOUND ? 0 : rc;
}

/* What Redis is away for is no failure of these. */
static int unless_away(int rc)
{
    return rc == HF_EOFFLINE || rc == HF_ETIMEOUT ? 0 : rc;
}

static int work_at(struct sim_worker *worker, const struct sim_step *step)
{
    const struct storm_key *key = sim_key_of(&worker->storm.plan, step);
    struct hf *store = worker->storm.store;
    struct hf_verification sums;

    switch (step->kind) {
    case STEP_OPERATE: storm_operate(&worker->storm, key); return 0;
    case STEP_READ: read_key(worker, key, step->random); return 0;
    case STEP_SCAN: return scan(worker);
    case STEP_LOCK: return unless_away(storm_locks_step(&worker->storm.locks, store));
    case STEP_CHECKPOINT: return hf_checkpoint(store);
    case STEP_VERIFY: return unless_away(hf_verify(store, step->random % 8, ignore_difference, NULL, &sums));
    default: return unless_away(hf_drain(store, (int)(step->random % 300)));
    }
}

static bool waits_by_nature(enum sim_kind kind)
{
    return kind == STEP_VERIFY || kind == STEP_DRAIN || kind == STEP_CHECKPOINT;
}

void sim_step_work(struct sim_worker *worker, const struct sim_step *step)
{
    int64_t began_us = turns_now_us();
    struct sim_node *node = worker->node;
    int rc;

    worker->storm.random = step->random;
    worker->storm.next_id = step->number - 1; /* the next one is this one */
    worker->storm.locks.random = step->random;
    rc = work_at(worker, step);
    if (rc != 0)
        worker->storm.give_up(&worker->storm, sim_kind_name(step->kind), rc);
    if (turns_now_us() - began_us > OPERATION_MAX_US && !waits_by_nature(step->kind) && !node->troubled)
        sim_fail(node->world, "node %u: step %u took %lld ms", node->number, step->number,
                 (long long)(turns_now_us() - began_us) / 1000);
}

/* ---- on the world's thread: what happens to the stores ---- */

static void begin_again(struct sim_node *node)
{
    sim_life_begin(node);
}

static void kill_node(struct sim_world *w, const struct sim_step *step)
{
    struct sim_node *node = &w->nodes[step->node];

    node->down_us = step->lasts_us;
    sim_life_kill(node, step->kind == STEP_POWER_CUT, step->random);
    begin_again(node);
}

static void freeze(uint64_t random)
{
    enum fake_request only = (enum fake_request)below(&random, FAKE_REQUESTS);

    for (int kind = 0; kind < FAKE_REQUESTS; kind++) {
        if (random % 2 || kind == (int)only)
            fake_redis_freeze((enum fake_request)kind);
    }
}

/* One of the answers that this kind of request knows. */
static void answer(uint64_t random)
{
    static const enum fake_request kinds[] = {FAKE_GROUP, FAKE_GROUP, FAKE_LANE,     FAKE_LANE,   FAKE_DECIDE,
                                              FAKE_EPOCH, FAKE_FETCH, FAKE_LOG_PAGE, FAKE_EXAMINE};
    static const enum fake_outcome of_changes[] = {FAKE_OOM,         FAKE_REFUSE, FAKE_RETRY,      FAKE_LOSE,
                                                   FAKE_LOSE_ANSWER, FAKE_CUT,    FAKE_CUT_ANSWER, FAKE_CUT_LATE};
    static const enum fake_outcome of_any[] = {FAKE_LOSE, FAKE_LOSE_ANSWER, FAKE_CUT, FAKE_CUT_ANSWER};
    enum fake_request kind = kinds[below(&random, sizeof(kinds) / sizeof(*kinds))];
    enum fake_outcome outcome = of_any[below(&random, 4)];

    if (kind == FAKE_GROUP || kind == FAKE_LANE)
        outcome = of_changes[below(&random, 8)];
    fake_redis_script(kind, outcome, 1 + (unsigned)below(&random, 3));
}

static void trouble(uint64_t random)
{
    fake_redis_trouble((enum fake_trouble)below(&random, FAKE_TROUBLES), true);
}

static void slow_down(uint64_t random)
{
    int min_ms = (int)below(&random, 100);

    fake_redis_delay(min_ms, min_ms + (int)below(&random, 500));
}

static void forget_answers(void)
{
    for (int kind = 0; kind < FAKE_REQUESTS; kind++)
        fake_redis_script((enum fake_request)kind, FAKE_APPLY, 0);
}

static void spoil_disk(struct sim_node *node, uint64_t random)
{
    static const struct sim_fault faults[] = {
        {.kind = SIM_SYNC, .error = EIO},
        {.kind = SIM_SYNC, .error = EIO, .forever = true},
        {.kind = SIM_WRITE, .error = EIO},
        {.kind = SIM_WRITE, .error = ENOSPC, .forever = true},
        {.kind = SIM_WRITE, .error = ENOSPC, .short_bytes = 700},
        {.kind = SIM_CREATE, .error = ENOSPC, .forever = true},
        {.kind = SIM_ALLOCATE, .error = ENOSPC, .forever = true},
        {.kind = SIM_READ, .error = EIO},
        {.kind = SIM_CALLS, .error = EIO},
    };
    struct sim_fault fault = faults[below(&random, sizeof(faults) / sizeof(*faults))];

    fault.nth = 1 + (unsigned)below(&random, 6);
    node->troubled = true;
    sim_disk_fail(node->disk, fault);
}

static void fail_commits(struct sim_world *w, uint64_t random)
{
    for (unsigned i = 0; i < w->plan->options.nodes; i++)
        w->nodes[i].troubled = true;
    fake_local_fail_commits(1 + (int)(random % 3));
}

/* Keep a copy, or go back to it; or lose all. Once in a history: what a second loss may take from copies that were given back
 * after the first is not judged. */
static void lose_data(struct sim_world *w, uint64_t random)
{
    bool all = w->plan->options.losses == STORM_LOSS_ALL;

    if (w->lost)
        return;
    if (!all && (!w->kept || random % 2)) {
        sim_say(w, "keep.%d", sim_there_keep(w));
    } else {
        w->lost = true;
        sim_say(w, "lose.%s", all ? "all" : "some");
        sim_there_lose(w, all, random / 4);
    }
}

/* Where others may write. */
static void write_as_client(struct sim_world *w, const struct sim_step *step)
{
    const struct storm_key *key = sim_key_of(&w->keys, step);
    bool rolls_back = w->plan->options.losses != 0; /* nobody would send an increment again */

    if (key->writers == HF_WRITERS_ANY && key->kind != STORM_BATCH && key->kind != STORM_PRIVATE &&
        !(key->kind == STORM_COUNTER && rolls_back))
        sim_there_client(w, key, step->random);
}

/* Not what must be there in the end, nor where stores are told that nobody but them changes anything. */
static void evict(struct sim_world *w, const struct storm_key *key)
{
    if (key->kind == STORM_PLAIN && key->writers == HF_WRITERS_ANY)
        sim_there_evict(w, key);
}

static void jump(struct sim_clock *clock, uint64_t random)
{
    int64_t ms = (int64_t)below(&random, 7200000);

    clock->wall_ahead_ms += random % 2 ? ms : -ms;
}

/* ---- ends ---- */

static void end_away(struct sim_world *w)
{
    if (w->ends_us[STEP_AWAY] == 0 && w->ends_us[STEP_ANSWER] == 0)
        fake_redis_set_away(false);
}

static void end_freeze(struct sim_world *w)
{
    (void)w;
    for (int kind = 0; kind < FAKE_REQUESTS; kind++)
        fake_redis_thaw((enum fake_request)kind);
}

static void end_halt(struct sim_world *w)
{
    (void)w;
    fake_redis_halt(false);
}

static void end_slow(struct sim_world *w)
{
    fake_redis_delay(w->delay_min_ms, w->delay_max_ms);
}

static void end_trouble(struct sim_world *w)
{
    (void)w;
    for (int trouble = 0; trouble < FAKE_TROUBLES; trouble++)
        fake_redis_trouble((enum fake_trouble)trouble, false);
}

static void end_memory(struct sim_world *w)
{
    (void)w;
    fake_redis_limit_memory(0, false);
}

static void end_answer(struct sim_world *w)
{
    forget_answers();
    end_away(w);
}

static void end_disk(struct sim_world *w)
{
    for (unsigned i = 0; i < w->plan->options.nodes; i++)
        sim_disk_heal(w->nodes[i].disk);
}

static void end_commit(struct sim_world *w)
{
    fake_local_fail_commits(0);
    w->commits_failed_us = turns_now_us();
}

static const struct {
    enum sim_kind kind;
    void (*end)(struct sim_world *w);
} ends[] = {
    {STEP_AWAY, end_away},     {STEP_ANSWER, end_answer}, {STEP_FREEZE, end_freeze},
    {STEP_HALT, end_halt},     {STEP_SLOW, end_slow},     {STEP_TROUBLE, end_trouble},
    {STEP_MEMORY, end_memory}, {STEP_DISK, end_disk},     {STEP_COMMIT, end_commit},
};
#define N_ENDS (sizeof(ends) / sizeof(*ends))

static void note_end(struct sim_world *w, const struct sim_step *step)
{
    int64_t end_us = turns_now_us() + step->lasts_us + 1;

    for (size_t i = 0; i < N_ENDS; i++) {
        if (ends[i].kind == step->kind && end_us > w->ends_us[step->kind])
            w->ends_us[step->kind] = end_us;
    }
}

int64_t sim_steps_end(struct sim_world *w, bool all)
{
    int64_t next_us = INT64_MAX;

    for (size_t i = 0; i < N_ENDS; i++) {
        int64_t *end_us = &w->ends_us[ends[i].kind];
        if (*end_us != 0 && (all || *end_us <= turns_now_us())) {
            *end_us = 0;
            sim_say(w, "end.%s", sim_kind_name(ends[i].kind));
            ends[i].end(w);
        }
        if (*end_us != 0 && *end_us < next_us)
            next_us = *end_us;
    }
    return next_us;
}

void sim_steps_wait(struct sim_world *w, int64_t us)
{
    int64_t until_us = turns_now_us() + us, next_us;

    while ((next_us = sim_steps_end(w, false)) < until_us)
        turns_sleep_us(next_us > turns_now_us() ? next_us - turns_now_us() : 1);
    if (until_us > turns_now_us())
        turns_sleep_us(until_us - turns_now_us());
    (void)sim_steps_end(w, false);
}

/* ---- one step ---- */

static void hand_or_do(struct sim_world *w, const struct sim_step *step)
{
    struct sim_node *node = &w->nodes[step->node];

    switch (step->kind) {
    case STEP_CLIENT: write_as_client(w, step); break;
    case STEP_KILL:
    case STEP_POWER_CUT: kill_node(w, step); break;
    case STEP_REOPEN: (void)sim_life_reopen(node); break;
    case STEP_AWAY: fake_redis_set_away(true); break;
    case STEP_FREEZE: freeze(step->random); break;
    case STEP_ANSWER: answer(step->random); break;
    case STEP_SILENCE: fake_redis_silence(step->random % 3 != 1, step->random % 3 != 2); break;
    case STEP_HALT: fake_redis_halt(true); break;
    case STEP_LATE: fake_redis_run_late(); break;
    case STEP_SLOW: slow_down(step->random); break;
    case STEP_TROUBLE: trouble(step->random); break;
    case STEP_MEMORY: fake_redis_limit_memory(1 + step->random % 4000, false); break;
    case STEP_LOSE_TOKENS: fake_redis_lose_tokens(); break;
    case STEP_EXPIRE: fake_redis_expire(); break;
    case STEP_EVICT: evict(w, sim_key_of(&w->keys, step)); break;
    case STEP_RESTART: fake_redis_restart(); break;
    case STEP_TRIM: sim_there_trim_log(w, 1 + step->random % 5); break;
    case STEP_LOSE_LOG: sim_there_lose_log(w); break;
    case STEP_LOSE_DATA: lose_data(w, step->random); break;
    case STEP_DISK: spoil_disk(node, step->random); break;
    case STEP_COMMIT: fail_commits(w, step->random); break;
    case STEP_WALL: jump(&node->clock, step->random); break;
    case STEP_HEAL:
        (void)sim_steps_end(w, true);
        sim_steps_wait(w, HEALING_US);
        break;
    case STEP_QUIET: sim_steps_wait(w, step->lasts_us); break;
    default: sim_life_hand(node, step); break;
    }
}

void sim_step_do(struct sim_world *w, const struct sim_step *step)
{
    sim_say(w, "%u.%s.%u", step->number, sim_kind_name(step->kind), step->node);
    hand_or_do(w, step);
    note_end(w, step);
}
