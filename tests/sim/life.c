/* A store from its opening to its end.
 *
 *   opening ──► up ──► closing ──► opening (the next life, in a new directory)
 *      │         └──► killed, or its power cut ──► opening
 *      └──► failed: it could not be opened; tried again when its disk has healed
 *
 * What survives a life is the simulated disk under the journal, and the local tier's file as the last commit left it. The
 * threads of a life that was killed are never given a turn again; its memory is left until the process ends. */
#include "sim.h"

#include "scratch.h"
#include "store.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LIVES_MAX 1000u /* of one node; the life of the turns tells node and life */
#define WALL_BASE_MS INT64_C(1800000000000)

void sim_fail(struct sim_world *w, const char *format, ...)
{
    va_list args;

    fprintf(stderr, "simulation: at %.6f s: ", (double)turns_now_us() / 1e6);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "\n");
    w->failures++;
}

void sim_say(struct sim_world *w, const char *format, ...)
{
    struct storm_record r = {.writer = STORM_CLIENT, .what = STORM_WEATHER};
    va_list args;

    va_start(args, format);
    vsnprintf(r.text, sizeof(r.text), format, args);
    va_end(args);
    storm_record_put(w->log, &r);
}

/* ---- clocks ---- */

static int64_t clock_wall_ms(struct hf_clock *base)
{
    struct sim_clock *clock = (struct sim_clock *)base;

    return WALL_BASE_MS + turns_now_us() / 1000 + clock->wall_ahead_ms;
}

static int64_t clock_boot_ms(struct hf_clock *base)
{
    struct sim_clock *clock = (struct sim_clock *)base;

    return (turns_now_us() - clock->boot_from_us) / 1000 + 10000;
}

static const char *clock_boot_id(struct hf_clock *base)
{
    return ((struct sim_clock *)base)->boot_id;
}

static void boot(struct sim_node *node)
{
    node->clock.boot_from_us = turns_now_us();
    snprintf(node->clock.boot_id, sizeof(node->clock.boot_id), "boot-%u-%u", node->number, node->life);
}

#define CLOCK_STORED_US 3000000 /* a life as long as that has stored what it took the time for */

/* In another boot nothing but the wall clock tells how long it was off, nor where the life before has stored nothing. */
static void note_clock_error(struct sim_node *node)
{
    struct sim_clock *clock = &node->clock;
    int64_t error_ms = llabs(clock->wall_ahead_ms);
    bool same_boot = strcmp(clock->opened_in, clock->boot_id) == 0;
    bool is_stored = same_boot && turns_now_us() - clock->opened_us >= CLOCK_STORED_US &&
                     node->world->commits_failed_us < clock->opened_us;

    memcpy(clock->opened_in, clock->boot_id, sizeof(clock->opened_in));
    clock->opened_us = turns_now_us();
    if (!is_stored && error_ms > node->world->clock_error_ms)
        node->world->clock_error_ms = error_ms;
}

/* ---- the directory of a life ---- */

static void make_dir(const char *path)
{
    if (mkdir(path, 0700) != 0)
        abort();
}

static void copy_file(const char *from, const char *to)
{
    char bytes[65536];
    int in = open(from, O_RDONLY), out;
    ssize_t n;

    if (in < 0)
        return; /* the life before did not come so far */
    out = open(to, O_WRONLY | O_CREAT | O_EXCL, 0600);
    while ((n = read(in, bytes, sizeof(bytes))) > 0) {
        if (write(out, bytes, (size_t)n) != n)
            abort();
    }
    close(in);
    close(out);
}

/* The next life's, with what the one before has left in its local tier. */
static void move_in(struct sim_node *node)
{
    char before[sizeof(node->dir)], from[160], to[160];
    struct stat st;

    memcpy(before, node->dir, sizeof(before));
    snprintf(node->dir, sizeof(node->dir), "%s/%u.%u", node->world->dir, node->number, node->life);
    make_dir(node->dir);
    snprintf(from, sizeof(from), "%s/lmdb", before);
    if (node->life == 1 || stat(from, &st) != 0)
        return;
    snprintf(to, sizeof(to), "%s/lmdb", node->dir);
    make_dir(to);
    snprintf(from, sizeof(from), "%s/lmdb/data.mdb", before);
    snprintf(to, sizeof(to), "%s/lmdb/data.mdb", node->dir);
    copy_file(from, to);
}

/* ---- workers ---- */

static unsigned turns_life(const struct sim_node *node)
{
    return 1 + node->number * LIVES_MAX + node->life;
}

/* Disks that fail excuse much; a lost answer, little. */
static bool is_excused(const struct sim_node *node, int rc)
{
    if (rc == HF_EBUSY || rc == HF_ECLOSED || rc == HF_EAUTH)
        return true;
    return node->troubled && (rc == HF_EIO || rc == HF_EFULL || rc == HF_ESTOPPED || rc == HF_EUNKNOWN);
}

static void give_up(struct storm_node *storm, const char *what, int rc)
{
    struct sim_node *node = ((struct sim_worker *)storm)->node;

    node->stopped |= node->troubled && (rc == HF_ESTOPPED || rc == HF_EUNKNOWN || rc == HF_EIO);
    if (!is_excused(node, rc) || node->world->calm)
        sim_fail(node->world, "node %u.%u: %s returned %d: %s", node->number, node->life, what, rc, hf_errmsg());
}

static void open_store(struct sim_worker *worker)
{
    struct sim_node *node = worker->node;
    struct hf_parts parts = {&node->files.layer, &node->clock.base, fake_local_open, fake_redis_open};
    struct hf *store;
    int rc;

    note_clock_error(node);
    worker->storm.plan.opts.redis = "simulated";
    worker->storm.plan.opts.settled = storm_on_settled;
    worker->storm.plan.opts.settled_ctx = &worker->storm;
    rc = hf__store_open(node->dir, &worker->storm.plan.opts, &parts, &store);
    if (rc != 0) {
        node->state = SIM_FAILED;
        give_up(&worker->storm, "opening", rc);
        return;
    }
    node->store = store;
    for (unsigned i = 0; i < SIM_WORKERS; i++)
        node->workers[i].storm.store = store;
    storm_record_opened(&worker->storm);
    node->state = SIM_UP;
    for (unsigned i = 0; i < SIM_WORKERS; i++)
        turns_rouse(&node->workers[i]);
}

static void work(struct sim_worker *worker)
{
    while (worker->node->state == SIM_UP || worker->node->state == SIM_OPENING) {
        struct sim_step step = worker->queue[0];

        if (worker->n == 0 || worker->node->state != SIM_UP) {
            turns_await(worker);
            continue;
        }
        memmove(worker->queue, worker->queue + 1, --worker->n * sizeof(step));
        worker->busy = true;
        sim_step_work(worker, &step);
        worker->busy = false;
    }
}

static void *worker_main(void *arg)
{
    struct sim_worker *worker = arg;

    if (worker == worker->node->workers) {
        turns_sleep_us(worker->node->down_us);
        open_store(worker);
    }
    work(worker);
    return NULL;
}

static void worker_init(struct sim_node *node, unsigned i)
{
    struct sim_worker *worker = &node->workers[i];

    storm_node_init(&worker->storm, &node->world->plan->options, node->number, node->life, node->world->log);
    worker->storm.give_up = give_up;
    worker->storm.locks.random = node->life * SIM_WORKERS + i;
    worker->node = node;
}

/* ---- lives ---- */

void sim_node_init(struct sim_world *w, unsigned number)
{
    struct sim_node *node = &w->nodes[number];

    *node = (struct sim_node){.world = w, .number = number, .disk = sim_disk_new()};
    node->clock.base =
        (struct hf_clock){.wall_ms = clock_wall_ms, .boot_ms = clock_boot_ms, .boot_id = clock_boot_id};
    sim_files_init(&node->files, node->disk, w->plan->options.seed + number);
    boot(node);
}

void sim_life_begin(struct sim_node *node)
{
    node->life++;
    node->store = NULL;
    node->state = SIM_OPENING;
    node->stopped = false;
    node->troubled |= node->world->ends_us[STEP_COMMIT] != 0;    /* commits of all local tiers fail */
    node->workers = calloc(SIM_WORKERS, sizeof(*node->workers)); /* the life before keeps its own */
    if (!node->workers || node->life == LIVES_MAX)
        abort();
    move_in(node);
    for (unsigned i = 0; i < SIM_WORKERS; i++)
        worker_init(node, i);
    for (unsigned i = 0; i < SIM_WORKERS; i++)
        turns_spawn(turns_life(node), i == 0 ? "worker 0" : "worker 1", worker_main, &node->workers[i]);
}

void sim_life_kill(struct sim_node *node, bool power_cut, uint64_t random)
{
    turns_kill(turns_life(node));
    node->troubled = false; /* so is the fault of its disk */
    sim_there_forget(node, random % 2);
    if (power_cut) {
        sim_disk_power_cut(node->disk, random);
        boot(node);
        node->restarts++;
        if (node->restarts > node->world->restarts)
            node->world->restarts = node->restarts;
    } else {
        sim_disk_kill(node->disk);
    }
}

#define IDLE_TRIES 200 /* of ten milliseconds */

bool sim_life_reopen(struct sim_node *node)
{
    int rc;

    for (unsigned i = 0; i < IDLE_TRIES && !sim_life_is_idle(node); i++)
        turns_sleep_us(10000);
    if (!sim_life_is_idle(node))
        return false;
    node->state = SIM_CLOSING;
    for (unsigned i = 0; i < SIM_WORKERS; i++)
        turns_rouse(&node->workers[i]); /* they end */
    rc = hf_close(node->store);
    if (rc != 0)
        give_up(&node->workers[0].storm, "closing", rc);
    sim_life_begin(node);
    return true;
}

/* ---- handing out ---- */

const struct storm_key *sim_key_of(const struct storm_plan *plan, const struct sim_step *step)
{
    uint64_t random = step->key;

    for (;;) {
        const struct storm_key *key = &plan->keys[sim_random(&random) % plan->n_keys];
        if (key->kind != STORM_PRIVATE || key->owner == step->node)
            return key;
    }
}

/* The parts of a batch have the same. */
static unsigned worker_of(const struct storm_key *key)
{
    const char *colon = strchr(key->name, ':');

    return (unsigned)(colon ? colon[1] : 0) % SIM_WORKERS;
}

void sim_life_hand(struct sim_node *node, const struct sim_step *step)
{
    struct sim_worker *worker = &node->workers[worker_of(sim_key_of(&node->world->keys, step))];

    if (node->state != SIM_FAILED && worker->n < sizeof(worker->queue) / sizeof(*worker->queue))
        worker->queue[worker->n++] = *step;
    turns_rouse(worker);
}

bool sim_life_is_idle(const struct sim_node *node)
{
    bool idle = node->state == SIM_UP;

    for (unsigned i = 0; i < SIM_WORKERS && idle; i++)
        idle = node->workers[i].n == 0 && !node->workers[i].busy;
    return idle;
}
