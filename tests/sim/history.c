/* One history: a process of its own, in which a world is made, its plan played, everything healed, and what was recorded
 * judged. */
#include "sim.h"

#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define LIMIT_S 2000000        /* of the simulated clock */
#define REAL_LIMIT_S 20        /* of the machine's: a history that takes longer hangs */
#define COMING_US 120000000    /* for a store to come up and to finish what it was asked */
#define SHORT_LIVES_US 3000000 /* keys with a short life are gone by then */
#define WAY_MAX_MS 1300        /* there and back, at the slowest */
#define STEPS_SWITCH_MAX 6     /* a switch at one place in 2, 4, ... 64 */

/* ---- calm ---- */

static void revive(struct sim_world *w)
{
    for (unsigned i = 0; i < w->plan->options.nodes; i++) {
        struct sim_node *node = &w->nodes[i];
        if (node->state != SIM_FAILED && !node->troubled && !node->stopped)
            continue;
        sim_say(w, "revive.%u", i);
        node->down_us = 0;
        sim_life_kill(node, false, 0);
        sim_life_begin(node);
    }
}

static bool await_idle(struct sim_world *w)
{
    int64_t end_us = turns_now_us() + COMING_US;
    bool idle = false;

    while (!idle && turns_now_us() < end_us) {
        turns_sleep_us(1000);
        idle = true;
        for (unsigned i = 0; i < w->plan->options.nodes; i++)
            idle &= sim_life_is_idle(&w->nodes[i]);
    }
    return idle;
}

static void drain_all(struct sim_world *w)
{
    for (unsigned i = 0; i < w->plan->options.nodes; i++) {
        for (unsigned k = 1; k < SIM_WORKERS; k++)
            storm_locks_end(&w->nodes[i].workers[k].storm.locks);
        storm_drain(&w->nodes[i].workers[0].storm);
    }
}

struct link_story {
    struct sim_world *w;
    unsigned node;
};

static int say_link(void *ctx, const struct hf_link_change *change)
{
    struct link_story *story = ctx;
    char reason[sizeof(change->reason)];

    memcpy(reason, change->reason, sizeof(reason));
    for (char *c = reason; *c; c++)
        *c = *c == ' ' ? '_' : *c;
    sim_say(story->w, "link.%u.at.%lld.%s:%s", story->node, (long long)change->at_ms, hf_link_text(change->link),
            reason);
    return 0;
}

/* How each link went in its store's last life. */
static void say_links(struct sim_world *w)
{
    for (unsigned i = 0; i < w->plan->options.nodes; i++) {
        struct link_story story = {w, i};
        if (w->nodes[i].state == SIM_UP)
            (void)hf_link_changes(w->nodes[i].store, 0, say_link, &story);
    }
}

static void calm(struct sim_world *w)
{
    sim_say(w, "calm");
    turns_reseed(w->plan->options.seed, 64);
    (void)sim_steps_end(w, true);
    revive(w);
    if (!await_idle(w)) {
        sim_fail(w, "stores do not come to an end with what they were asked");
        turns_tell_all();
        return;
    }
    w->calm = true;
    drain_all(w);
    turns_sleep_us(SHORT_LIVES_US);
    fake_redis_expire();
    drain_all(w); /* what one store sent may have made work for another */
    for (unsigned i = 0; i < w->plan->options.nodes && w->failures == 0; i++)
        storm_verify(&w->nodes[i].workers[0].storm);
    sim_watch(w);
    say_links(w);
    for (unsigned i = 0; i < w->plan->options.nodes && w->failures == 0; i++) {
        if (hf_close(w->nodes[i].store) != 0)
            sim_fail(w, "node %u: closing: %s", i, hf_errmsg());
    }
}

/* ---- judging ---- */

static void know_nodes(struct storm_book *book)
{
    for (size_t i = 0; i < book->n_records; i++) {
        const struct storm_record *r = &book->records[i];
        if (r->what == STORM_OPENED)
            snprintf(book->nodes[r->writer], sizeof(book->nodes[r->writer]), "%.32s", r->text);
    }
}

static void judge(struct sim_world *w, const char *log_path, bool tell_all, struct sim_result *result)
{
    static struct storm_sceptic sceptic;

    sceptic = (struct storm_sceptic){
        .options = &w->plan->options,
        .plan = w->keys,
        .look = sim_there_look,
        .redis = w,
        .clock_error_ms = w->clock_error_ms,
        .restarts = w->restarts,
        .late_ms = WAY_MAX_MS / 2,
        .early_ms = WAY_MAX_MS,
        .names_lost_us = w->names_lost_us,
        .log_lost = w->log_lost && w->plan->options.losses == STORM_LOSS_ROLLBACK,
        .book = w->applied,
    };
    if (storm_book_read_log(&sceptic.book, log_path) != 0)
        sim_fail(w, "nothing was recorded");
    know_nodes(&sceptic.book);
    if (w->failures == 0)
        storm_check(&sceptic);
    w->failures += sceptic.failures;
    result->records = sceptic.book.n_records;
    for (size_t i = 0; tell_all && i < sceptic.book.n_records; i++)
        storm_record_tell(&sceptic.book.records[i], stdout);
}

static uint64_t digest_of(const char *path, uint64_t digest)
{
    FILE *in = fopen(path, "r");
    int c;

    while (in && (c = getc(in)) != EOF)
        digest = (digest ^ (unsigned char)c) * 0x100000001b3u; /* FNV-1a */
    if (in)
        fclose(in);
    return digest;
}

/* ---- playing ---- */

static void restart_stopped(struct sim_world *w)
{
    for (unsigned i = 0; i < w->plan->options.nodes; i++) {
        struct sim_node *node = &w->nodes[i];
        if ((!node->stopped && node->state != SIM_FAILED) || w->ends_us[STEP_DISK] != 0 ||
            w->ends_us[STEP_COMMIT] != 0)
            continue;
        sim_say(w, "restart.%u", i);
        node->down_us = 1000;
        sim_life_kill(node, false, 0);
        sim_life_begin(node);
    }
}

static void play(struct sim_world *w)
{
    unsigned one_in = 2u << w->plan->options.seed % STEPS_SWITCH_MAX;

    for (unsigned i = 0; i < w->plan->n && w->failures == 0; i++) {
        const struct sim_step *step = &w->plan->steps[i];
        turns_reseed(step->random ^ 1, one_in); /* what a step brings about does not depend on those before it */
        sim_steps_wait(w, step->gap_us);
        restart_stopped(w);
        sim_step_do(w, step);
        sim_watch(w);
    }
}

static void begin_world(struct sim_world *w)
{
    storm_plan_make(&w->plan->options, STORM_CLIENT, &w->keys);
    for (unsigned i = 0; i < w->plan->options.nodes; i++)
        sim_node_init(w, i);
    w->redis_clock = w->nodes[0].clock;
    sim_there_begin(w);
    for (unsigned i = 0; i < w->plan->options.nodes; i++)
        sim_life_begin(&w->nodes[i]);
}

static void play_all(const struct sim_plan *plan, const char *dir, bool tell_all, struct sim_result *result)
{
    static struct sim_world world;
    char log_path[128];

    snprintf(log_path, sizeof(log_path), "%s/log", dir);
    turns_begin(plan->options.seed, LIMIT_S, stderr);
    world = (struct sim_world){.plan = plan, .dir = dir};
    world.log = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    begin_world(&world);
    play(&world);
    if (world.failures == 0)
        calm(&world);
    judge(&world, log_path, tell_all, result);
    result->failures = world.failures;
    result->simulated_us = turns_now_us();
    result->turns = turns_taken();
    result->digest = digest_of(log_path, 0xcbf29ce484222325u ^ result->turns ^ (uint64_t)result->simulated_us);
}

/* ---- the process ---- */

static int remove_it(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    return ftw->level == 0 ? 0 : remove(path);
}

/* Handing the turn over is quickest where nobody has to be woken on another processor. */
static void stay_on(unsigned processor)
{
    cpu_set_t all, one;
    unsigned seen = 0;

    if (sched_getaffinity(0, sizeof(all), &all) != 0)
        return;
    processor %= (unsigned)CPU_COUNT(&all);
    CPU_ZERO(&one);
    for (int i = 0; i < CPU_SETSIZE; i++) {
        if (CPU_ISSET(i, &all) && seen++ == processor)
            CPU_SET(i, &one);
    }
    (void)sched_setaffinity(0, sizeof(one), &one); /* it is only slower without */
}

static void be_the_child(struct sim_history *h, const struct sim_plan *plan, bool tell_all)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    alarm(REAL_LIMIT_S);
    stay_on(h->processor);
    if (!freopen(h->tell_path, "w", stderr) || dup2(fileno(stderr), STDOUT_FILENO) < 0)
        _exit(2);
    setvbuf(stdout, NULL, _IOLBF, 0);
    play_all(plan, h->dir, tell_all, h->result);
    fflush(NULL);
    _exit(0);
}

int sim_history_begin(struct sim_history *h, const struct sim_plan *plan, bool tell_all)
{
    (void)mkdir(h->dir, 0700);
    (void)nftw(h->dir, remove_it, 16, FTW_DEPTH | FTW_PHYS);
    snprintf(h->tell_path, sizeof(h->tell_path), "%s/told", h->dir);
    if (!h->result)
        h->result = mmap(NULL, sizeof(*h->result), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (h->result == MAP_FAILED)
        return -1;
    *h->result = (struct sim_result){0};
    fflush(NULL);
    h->pid = fork();
    if (h->pid == 0)
        be_the_child(h, plan, tell_all);
    return h->pid < 0 ? -1 : 0;
}

int sim_history_end(struct sim_history *h, int status)
{
    h->pid = 0;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return h->result->failures > 0;
    h->result->failures++;
    h->ended_by = WIFSIGNALED(status) ? WTERMSIG(status) : -WEXITSTATUS(status);
    return 1;
}

int sim_history_play(struct sim_history *h, const struct sim_plan *plan, bool tell_all)
{
    int status;

    if (sim_history_begin(h, plan, tell_all) != 0 || waitpid(h->pid, &status, 0) < 0)
        return -1;
    return sim_history_end(h, status);
}

void sim_history_release(struct sim_history *h)
{
    (void)nftw(h->dir, remove_it, 16, FTW_DEPTH | FTW_PHYS);
    (void)rmdir(h->dir);
}
