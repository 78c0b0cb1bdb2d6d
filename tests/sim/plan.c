/* The steps of a history. All of them follow from the seed alone, so that any may be dropped and the others stay. */
#include "sim.h"

#include <stdlib.h>
#include <string.h>

/* The last tenth of a history are operations, after all that had befallen it: who cannot recover is found out. */
#define LAST_PART 10u
#define OFTEN_WEIGHT 120u

static const struct {
    const char *name;
    unsigned weight;
} kinds[] = {
#define X(kind, name, weight) {name, weight},
    SIM_STEP_MAP(X)
#undef X
};

const char *sim_kind_name(enum sim_kind kind)
{
    return kinds[kind].name;
}

static uint64_t below(uint64_t *random, uint64_t limit)
{
    return sim_random(random) % limit;
}

/* ---- making ---- */

static bool is_often(uint64_t often, enum sim_kind kind)
{
    return often >> kind & 1;
}

static bool is_allowed(const struct sim_plan *plan, enum sim_kind kind)
{
    if (kind == STEP_LOSE_DATA)
        return plan->data_losses;
    if (kind == STEP_DISK || kind == STEP_COMMIT)
        return plan->disk_faults;
    return kind != STEP_CLIENT || plan->options.plain_client;
}

/* No two histories have the same weather: of each kind there is nothing, the usual, or much. What never meets in the average
 * meets where one of them is frequent and what would hide it is missing. */
static void choose_weights(struct sim_plan *plan, uint64_t often, uint64_t *random)
{
    static const unsigned factors[] = {0, 1, 1, 1, 6};

    for (unsigned kind = 0; kind < SIM_STEP_KINDS; kind++)
        plan->weights[kind] =
            is_allowed(plan, (enum sim_kind)kind) ? kinds[kind].weight * factors[below(random, 5)] : 0;
    for (unsigned kind = 0; kind < SIM_STEP_KINDS; kind++) {
        if (is_often(often, (enum sim_kind)kind) && is_allowed(plan, (enum sim_kind)kind))
            plan->weights[kind] = OFTEN_WEIGHT;
    }
    plan->weights[STEP_OPERATE] = kinds[STEP_OPERATE].weight;
}

/* What needs several changes of one key is rare where there are forty: most histories have a few that most steps are about. */
static void choose_favourites(struct sim_plan *plan, uint64_t *random)
{
    static const unsigned numbers[] = {0, 1, 2, 4, SIM_FAVOURITES_MAX};

    plan->n_favourites = numbers[below(random, 5)];
    for (unsigned i = 0; i < SIM_FAVOURITES_MAX; i++)
        plan->favourites[i] = sim_random(random);
}

static uint64_t some_key(const struct sim_plan *plan, uint64_t *random)
{
    uint64_t any = sim_random(random), favourite = sim_random(random);

    if (plan->n_favourites == 0 || any % 8 == 0)
        return any;
    return plan->favourites[favourite % plan->n_favourites];
}

static enum sim_kind some_kind(const struct sim_plan *plan, uint64_t *random)
{
    unsigned sum = 0, dice, kind = 0;

    for (unsigned i = 0; i < SIM_STEP_KINDS; i++)
        sum += plan->weights[i];
    dice = (unsigned)below(random, sum);
    while (dice >= plan->weights[kind])
        dice -= plan->weights[kind++];
    return (enum sim_kind)kind;
}

/* Mostly one thing comes right after the other; now and then there is time. */
static int64_t some_gap_us(uint64_t *random)
{
    static const uint64_t longest_us[] = {100, 100, 2000, 2000, 2000, 20000, 20000, 500000};

    return (int64_t)below(random, longest_us[below(random, 8)]);
}

static int64_t some_time_us(enum sim_kind kind, uint64_t *random)
{
    if (kind == STEP_QUIET) /* seconds, or an hour */
        return (int64_t)below(random, below(random, 4) ? 20000000 : 3600000000u);
    return (int64_t)below(random, below(random, 4) ? 300000 : 4000000);
}

static struct sim_step some_step(const struct sim_plan *plan, uint64_t *random)
{
    struct sim_step step = {.kind = some_kind(plan, random)};

    step.node = (unsigned)below(random, plan->options.nodes);
    step.gap_us = some_gap_us(random);
    step.lasts_us = some_time_us(step.kind, random);
    step.random = sim_random(random);
    step.key = some_key(plan, random);
    return step;
}

void sim_plan_make(uint64_t seed, unsigned n_steps, uint64_t often, struct sim_plan *ret_plan)
{
    struct sim_plan *plan = ret_plan;
    uint64_t random = seed;

    *plan = (struct sim_plan){.options = {.seed = seed}};
    plan->options.nodes = 1 + (unsigned)below(&random, SIM_NODES_MAX);
    plan->options.plain_client = below(&random, 3) > 0;
    plan->data_losses = below(&random, 4) == 0 || is_often(often, STEP_LOSE_DATA);
    plan->disk_faults = below(&random, 3) == 0 || is_often(often, STEP_DISK) || is_often(often, STEP_COMMIT);
    if (plan->data_losses) {
        plan->options.losses = STORM_LOSS_ROLLBACK;
        if (below(&random, 2) == 0) {
            plan->options.losses = STORM_LOSS_ALL;
            plan->options.plain_client = false; /* what it wrote last, nobody may have a copy of */
        }
    }
    choose_weights(plan, often, &random);
    choose_favourites(plan, &random);
    plan->steps = calloc(n_steps + 1, sizeof(*plan->steps));
    if (!plan->steps)
        abort();
    for (; plan->n < n_steps; plan->n++) {
        plan->steps[plan->n] = some_step(plan, &random);
        plan->steps[plan->n].number = plan->n + 1;
        if (plan->n + 1 + n_steps / LAST_PART >= n_steps)
            plan->steps[plan->n].kind = plan->n + 1 + n_steps / LAST_PART == n_steps ? STEP_HEAL : STEP_OPERATE;
    }
}

void sim_plan_release(struct sim_plan *plan)
{
    free(plan->steps);
    *plan = (struct sim_plan){0};
}

/* ---- parts of a plan ---- */

static bool names(const char *numbers, unsigned number, bool *ret_bad)
{
    const char *at = numbers;

    while (*at) {
        char *end;
        unsigned long from = strtoul(at, &end, 10), to = from;

        if (*end == '-')
            to = strtoul(end + 1, &end, 10);
        *ret_bad |= end == at || (*end && *end != ',');
        if (*ret_bad || (from <= number && number <= to))
            return true;
        at = *end ? end + 1 : end;
    }
    return false;
}

int sim_plan_only(struct sim_plan *plan, const char *numbers)
{
    bool bad = false;
    unsigned kept = 0;

    for (unsigned i = 0; i < plan->n; i++) {
        if (names(numbers, plan->steps[i].number, &bad))
            plan->steps[kept++] = plan->steps[i];
    }
    plan->n = kept;
    return bad ? -1 : 0;
}

char *sim_plan_numbers(const struct sim_plan *plan)
{
    size_t size = 16 * (size_t)plan->n + 1, len = 0;
    char *text = calloc(1, size);

    if (!text)
        abort();
    for (unsigned i = 0, last; i < plan->n; i = last + 1) {
        for (last = i; last + 1 < plan->n && plan->steps[last + 1].number == plan->steps[last].number + 1; last++) {
        }
        len += (size_t)snprintf(text + len, size - len, "%s%u", i ? "," : "", plan->steps[i].number);
        if (last > i)
            len += (size_t)snprintf(text + len, size - len, "-%u", plan->steps[last].number);
    }
    return text;
}

void sim_step_tell(const struct sim_step *step, FILE *out)
{
    fprintf(out, "  %4u after %8lld us: %s of node %u, for %lld us, by %016llx, key %016llx\n", step->number,
            (long long)step->gap_us, sim_kind_name(step->kind), step->node, (long long)step->lasts_us,
            (unsigned long long)step->random, (unsigned long long)step->key);
}
