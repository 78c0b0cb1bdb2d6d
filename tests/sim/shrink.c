/* The shortest plan that still fails in the same way: halves are dropped, then quarters, down to single steps, as long as
 * there is that failure without them; until no single step can be dropped, or too many were tried. */
#include "sim.h"

#include <ctype.h>
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

/* What the last history failed of: the first line that it told, without what differs from one to the next. */
struct kind_of_failure {
    int ended_by;
    char text[48];
};

static struct kind_of_failure failure_of(struct sim_history *h)
{
    struct kind_of_failure failure = {.ended_by = h->ended_by};
    FILE *in = fopen(h->tell_path, "r");
    size_t n = 0;
    int c;

    while (in && n + 1 < sizeof(failure.text) && (c = getc(in)) != EOF && c != '\n') {
        if (!isdigit(c))
            failure.text[n++] = (char)c;
    }
    if (in)
        fclose(in);
    h->ended_by = 0;
    return failure;
}

static bool fails_alike(struct sim_history *h, const struct sim_plan *plan, const struct kind_of_failure *as)
{
    struct kind_of_failure failure;

    if (sim_history_play(h, plan, false) != 1)
        return false;
    failure = failure_of(h);
    return failure.ended_by == as->ended_by && strcmp(failure.text, as->text) == 0;
}

static bool drop(struct sim_history *h, struct sim_plan *plan, unsigned from, unsigned n,
                 const struct kind_of_failure *as)
{
    struct sim_plan less = without(plan, from, n);
    bool fails = fails_alike(h, &less, as);

    if (fails) {
        struct sim_step *longer = plan->steps;
        *plan = less;
        less.steps = longer;
    }
    free(less.steps);
    return fails;
}

unsigned sim_shrink(struct sim_history *h, struct sim_plan *plan, unsigned tries)
{
    unsigned played = 0, n = plan->n / 2;
    struct kind_of_failure as;
    bool dropped = false;

    if (sim_history_play(h, plan, false) != 1)
        return 1; /* it cannot be told again */
    as = failure_of(h);
    while (n > 0 && played < tries) {
        for (unsigned from = 0; from < plan->n && played < tries;) {
            unsigned part = plan->n - from < n ? plan->n - from : n;
            played++;
            if (drop(h, plan, from, part, &as))
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
