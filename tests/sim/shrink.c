/* The shortest plan that still fails: halves are dropped, then quarters, down to single steps, as long as there is a
 * failure without them; until no single step can be dropped, or too many were tried. */
#include "sim.h"

#include <stdlib.h>
#include <string.h>

/* The plan without steps [from, from + n). */
static struct sim_plan without(const struct sim_plan *plan, unsigned from, unsigned n)
{
    struct sim_plan less = *plan;

    less.steps = calloc(plan->n + 1, sizeof(*less.steps));
    if (!less.steps)
        abort();
    memcpy(less.steps, plan->steps, from * sizeof(*less.steps));
    memcpy(less.steps + from, plan->steps + from + n, (plan->n - from - n) * sizeof(*less.steps));
    less.n -= n;
    return less;
}

static bool drop(struct sim_history *h, struct sim_plan *plan, unsigned from, unsigned n)
{
    struct sim_plan less = without(plan, from, n);
    struct sim_plan dropped = less;

    if (sim_history_play(h, &less, false) == 1) {
        dropped.steps = plan->steps;
        *plan = less;
        free(dropped.steps);
        return true;
    }
    free(less.steps);
    return false;
}

unsigned sim_shrink(struct sim_history *h, struct sim_plan *plan, unsigned tries)
{
    unsigned played = 0, n = plan->n / 2;
    bool dropped = false;

    while (n > 0 && played < tries) {
        for (unsigned from = 0; from < plan->n && played < tries;) {
            unsigned part = plan->n - from < n ? plan->n - from : n;
            played++;
            if (drop(h, plan, from, part))
                dropped = true;
            else
                from += part;
        }
        if (n == 1 && !dropped)
            break;
        n = n > 1 ? n / 2 : 1;
        dropped = false;
    }
    return played;
}
