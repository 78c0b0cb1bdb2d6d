/* Doing a plan's operations through the library. */
#include "apply.h"

#include "story.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct flight {
    const struct apply_hooks *hooks;
    pthread_mutex_t lock;
    pthread_cond_t landed;
    unsigned n;
};

struct passenger {
    struct flight *flight;
    size_t number;
};

static void land(void *ctx, const struct hf_result *result)
{
    struct passenger *p = ctx;
    struct flight *flight = p->flight;

    flight->hooks->done(flight->hooks->ctx, p->number, result);
    free(p);
    pthread_mutex_lock(&flight->lock);
    flight->n--;
    pthread_cond_signal(&flight->landed);
    pthread_mutex_unlock(&flight->lock);
}

/* Wait for fewer than `limit` in flight, and count `more` in. */
static void wait_below(struct flight *flight, unsigned limit, unsigned more)
{
    pthread_mutex_lock(&flight->lock);
    while (flight->n >= limit)
        pthread_cond_wait(&flight->landed, &flight->lock);
    flight->n += more;
    pthread_mutex_unlock(&flight->lock);
}

static struct hf_op to_op(const struct plan_op *planned)
{
    struct hf_op op = {
        .kind = planned->kind,
        .key = {planned->key, strlen(planned->key)},
        .deadline_ms = planned->deadline_ms,
        .delta = planned->delta,
    };

    if (planned->kind == HF_OP_SET) {
        op.value = (struct hf_slice){planned->value, strlen(planned->value)};
        op.set = (struct hf_set_options){.deadline_ms = planned->deadline_ms, .no_ttl = planned->deadline_ms == 0};
    }
    return op;
}

static int submit(struct hf *store, struct flight *flight, const struct plan_op *planned, size_t number)
{
    struct passenger *p = malloc(sizeof(*p));
    struct hf_op op = to_op(planned);
    struct hf_result nothing = {.code = HF_NOT_FOUND};
    int rc;

    if (!p)
        return story_wrong("out of memory");
    *p = (struct passenger){.flight = flight, .number = number};
    wait_below(flight, APPLY_WINDOW, 1);
    if (flight->hooks->begin)
        flight->hooks->begin(flight->hooks->ctx, number);
    while ((rc = hf_submit(store, &op, land, p)) == HF_EBUSY)
        wait_below(flight, 2, 0); /* all but this one */
    if (rc == HF_NOT_FOUND)
        land(p, &nothing);
    else if (rc != 0) {
        wait_below(flight, 2, 0);
        free(p);
        return story_wrong("%s: %s", planned->key, hf_errmsg());
    }
    return 0;
}

int apply(struct hf *store, const struct plan *plan, const size_t *numbers, size_t n,
          const struct apply_hooks *hooks)
{
    struct flight flight = {.hooks = hooks, .lock = PTHREAD_MUTEX_INITIALIZER, .landed = PTHREAD_COND_INITIALIZER};

    for (size_t i = 0; i < n; i++) {
        if (submit(store, &flight, &plan->ops[numbers[i]], numbers[i]) != 0)
            return -1;
    }
    wait_below(&flight, 1, 0);
    return 0;
}
