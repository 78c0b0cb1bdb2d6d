/* tests/simulate: histories by their seeds, two at a time; see tools/simulate --help. */
#include "sim.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define JOBS_MAX 64u
#define STEPS_DEFAULT 120u
#define SHRINK_TRIES 400u

static const char usage[] =
    "usage: simulate [--seed S] [--seeds COUNT] [--steps N] [--only NUMBERS] [--often KIND]...\n"
    "                [--tell] [--jobs N] [--first] [--no-shrink]\n"
    "  --seed S       the first history's seed (1)\n"
    "  --seeds COUNT  play so many, each with the next seed (1)\n"
    "  --steps N      of each history (120)\n"
    "  --only NUMBERS only these steps of it, as a shrunken history names them: 3,17-19\n"
    "  --often KIND   many steps of this kind (kill, trim, answer, ...: see docs/simulation.md), in all histories\n"
    "  --tell         tell everything that happens; a history that is played twice tells the same bytes\n"
    "  --jobs N       histories at once (the number of processors)\n"
    "  --first        begin no further history behind one that failed\n"
    "  --no-shrink    do not look for the shortest history that fails\n";

struct command {
    uint64_t seed, seeds;
    unsigned steps, jobs;
    const char *only;
    uint64_t often;       /* bits of kinds */
    char often_text[256]; /* as it was said */
    bool tell, first, no_shrink, help;
};

static const struct option options[] = {
    {"seed", required_argument, NULL, 's'},
    {"seeds", required_argument, NULL, 'c'},
    {"steps", required_argument, NULL, 'n'},
    {"only", required_argument, NULL, 'o'},
    {"often", required_argument, NULL, 'm'},
    {"tell", no_argument, NULL, 't'},
    {"jobs", required_argument, NULL, 'j'},
    {"no-shrink", no_argument, NULL, 'x'},
    {"first", no_argument, NULL, 'f'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

/* Returns -1 when there is no such kind. */
static int add_often(struct command *c, const char *name)
{
    size_t len = strlen(c->often_text);

    for (unsigned kind = 0; kind < SIM_STEP_KINDS; kind++) {
        if (strcmp(sim_kind_name((enum sim_kind)kind), name) != 0)
            continue;
        c->often |= UINT64_C(1) << kind;
        snprintf(c->often_text + len, sizeof(c->often_text) - len, " --often %s", name);
        return 0;
    }
    fprintf(stderr, "simulate: '%s' is no kind of step\n", name);
    return -1;
}

static int parse(int argc, char **argv, struct command *c)
{
    int option, rc = 0;

    *c = (struct command){
        .seed = 1, .seeds = 1, .steps = STEPS_DEFAULT, .jobs = (unsigned)sysconf(_SC_NPROCESSORS_ONLN)};
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 's': c->seed = strtoull(optarg, NULL, 10); break;
        case 'c': c->seeds = strtoull(optarg, NULL, 10); break;
        case 'n': c->steps = (unsigned)strtoul(optarg, NULL, 10); break;
        case 'o': c->only = optarg; break;
        case 'm': rc |= add_often(c, optarg); break;
        case 'j': c->jobs = (unsigned)strtoul(optarg, NULL, 10); break;
        case 't': c->tell = true; break;
        case 'f': c->first = true; break;
        case 'x': c->no_shrink = true; break;
        case 'h': c->help = true; break;
        default: return -1;
        }
    }
    if (c->jobs > JOBS_MAX)
        c->jobs = JOBS_MAX;
    return rc == 0 && optind == argc && c->jobs > 0 && c->seeds > 0 && c->steps > 0 && c->steps <= SIM_STEPS_MAX
               ? 0
               : -1;
}

/* ---- several at once ---- */

struct pool {
    const struct command *command;
    struct sim_history histories[JOBS_MAX];
    struct sim_plan plans[JOBS_MAX];
    uint64_t next, done, failed;
    uint64_t first_failed; /* its seed */
    int64_t simulated_us;
    uint64_t turns, records;
    char dir[64];
};

static void make_plan(const struct command *c, uint64_t seed, struct sim_plan *ret_plan)
{
    sim_plan_make(seed, c->steps, c->often, ret_plan);
    if (c->only && sim_plan_only(ret_plan, c->only) != 0) {
        fprintf(stderr, "simulate: '%s' names no steps\n", c->only);
        exit(4);
    }
}

static void print_file(const char *path)
{
    FILE *in = fopen(path, "r");
    int c;

    while (in && (c = getc(in)) != EOF)
        putchar(c);
    if (in)
        fclose(in);
}

static void begin_next(struct pool *p, unsigned slot)
{
    make_plan(p->command, p->command->seed + p->next++, &p->plans[slot]);
    if (sim_history_begin(&p->histories[slot], &p->plans[slot], p->command->tell) != 0) {
        perror("simulate: a process");
        exit(5);
    }
}

static void tell_failure(struct pool *p, unsigned slot)
{
    const struct sim_history *h = &p->histories[slot];

    printf("seed %" PRIu64 ": FAILED\n", p->plans[slot].options.seed);
    print_file(h->tell_path);
    if (h->ended_by == SIGALRM)
        printf("the history took too long, and was ended\n");
    else if (h->ended_by > 0)
        printf("ended by signal %d\n", h->ended_by);
}

static void end_one(struct pool *p, unsigned slot, int status)
{
    struct sim_history *h = &p->histories[slot];
    uint64_t seed = p->plans[slot].options.seed;

    if (sim_history_end(h, status) != 0) {
        tell_failure(p, slot);
        if (p->failed++ == 0 || seed < p->first_failed)
            p->first_failed = seed;
    } else if (p->command->tell) {
        print_file(h->tell_path);
    }
    if (p->command->tell)
        printf("seed %" PRIu64 ": %zu records, %" PRIu64 " turns, %.3f simulated s, digest %016" PRIx64 "\n", seed,
               h->result->records, h->result->turns, (double)h->result->simulated_us / 1e6, h->result->digest);
    p->done++;
    p->simulated_us += h->result->simulated_us;
    p->turns += h->result->turns;
    p->records += h->result->records;
    h->ended_by = 0;
    sim_plan_release(&p->plans[slot]);
}

static unsigned slot_of(const struct pool *p, pid_t pid)
{
    unsigned slot = 0;

    while (p->histories[slot].pid != pid)
        slot++;
    return slot;
}

static void play_all(struct pool *p)
{
    unsigned running = 0;

    for (unsigned slot = 0; slot < p->command->jobs && p->next < p->command->seeds; slot++, running++)
        begin_next(p, slot);
    while (running > 0) {
        int status;
        pid_t pid = waitpid(-1, &status, 0);
        unsigned slot = slot_of(p, pid);

        end_one(p, slot, status);
        if (p->next < p->command->seeds && !(p->command->first && p->failed > 0))
            begin_next(p, slot);
        else
            running--;
    }
}

/* ---- a failure ---- */

static void shrink(struct pool *p)
{
    struct sim_history *h = &p->histories[0];
    struct sim_plan plan;
    unsigned played;
    char *numbers;

    make_plan(p->command, p->first_failed, &plan);
    printf("shrinking seed %" PRIu64 " ...\n", p->first_failed);
    fflush(stdout);
    played = sim_shrink(h, &plan, SHRINK_TRIES);
    numbers = sim_plan_numbers(&plan);
    printf("the shortest history that fails, after %u others: %u steps\n", played, plan.n);
    for (unsigned i = 0; i < plan.n; i++)
        sim_step_tell(&plan.steps[i], stdout);
    if (sim_history_play(h, &plan, true) == 1)
        print_file(h->tell_path);
    printf("again: tools/simulate --seed %" PRIu64 " --steps %u%s --only %s --tell\n", p->first_failed,
           p->command->steps, p->command->often_text, numbers[0] ? numbers : "0");
    free(numbers);
    sim_plan_release(&plan);
}

/* ---- the command ---- */

static void begin_pool(struct pool *p)
{
    const char *where = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : getenv("TMPDIR");

    snprintf(p->dir, sizeof(p->dir), "%s/holdfast-simulate-XXXXXX", where ? where : "/tmp");
    if (!mkdtemp(p->dir)) {
        perror("simulate: a directory");
        exit(5);
    }
    for (unsigned slot = 0; slot < p->command->jobs; slot++) {
        p->histories[slot].processor = slot;
        snprintf(p->histories[slot].dir, sizeof(p->histories[slot].dir), "%s/%u", p->dir, slot);
    }
}

static void end_pool(struct pool *p)
{
    for (unsigned slot = 0; slot < p->command->jobs; slot++)
        sim_history_release(&p->histories[slot]);
    (void)rmdir(p->dir);
}

static void tell_sums(const struct pool *p, double real_s)
{
    double simulated_h = (double)p->simulated_us / 3.6e9;

    printf("%" PRIu64 " histories of %u steps from seed %" PRIu64 ": %" PRIu64 " records, %" PRIu64
           " turns, %.1f simulated hours in %.1f s (%.0f a minute), %" PRIu64 " failed\n",
           p->done, p->command->steps, p->command->seed, p->records, p->turns, simulated_h, real_s,
           simulated_h * 60 / real_s, p->failed);
}

int main(int argc, char **argv)
{
    static struct pool pool;
    struct command command;
    struct timespec from, to;

    if (parse(argc, argv, &command) != 0) {
        fputs(usage, stderr);
        return 4;
    }
    if (command.help) {
        fputs(usage, stdout);
        return 0;
    }
    pool.command = &command;
    begin_pool(&pool);
    clock_gettime(CLOCK_MONOTONIC, &from);
    play_all(&pool);
    clock_gettime(CLOCK_MONOTONIC, &to);
    if (pool.failed > 0 && !command.no_shrink && !command.only)
        shrink(&pool);
    tell_sums(&pool, (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9);
    end_pool(&pool);
    return pool.failed > 0;
}
