/* One store of the storm in a process of its own: writes at random until it is called to calm, or killed at any moment. */
#include "storm.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

static void give_up(struct storm_node *n, const char *what, int rc)
{
    fprintf(stderr, "storm: node %u.%u: %s returned %d: %s\n", n->number, n->life, what, rc, hf_errmsg());
    _exit(3);
}

static void step(struct storm_node *n)
{
    int rc = storm_locks_step(&n->locks, n->store);

    if (rc != 0)
        give_up(n, "a lock", rc);
    storm_operate(n, &n->plan.keys[storm_random(&n->random, n->plan.n_keys)]);
}

/* The next letter, or 0 when none has come within `ms`. */
static char next_call(int calls, int ms)
{
    struct pollfd p = {.fd = calls, .events = POLLIN};
    char call = 0;

    if (poll(&p, 1, ms) > 0 && read(calls, &call, 1) != 1)
        _exit(0); /* the run is over */
    return call;
}

static char blow(struct storm_node *n, int calls)
{
    char call = 0;

    while (!call) {
        step(n);
        call = next_call(calls, (int)storm_random(&n->random, 4));
    }
    return call;
}

/* ---- calls ---- */

static void answer(int calls, char call)
{
    if (write(calls, &call, 1) != 1)
        _exit(0);
}

static void obey(struct storm_node *n, int calls, char call)
{
    if (call == 'd')
        storm_drain(n);
    else if (call == 'v')
        storm_verify(n);
    else if (hf_close(n->store) != 0)
        give_up(n, "hf_close", -1);
    answer(calls, call);
    if (call == 'q')
        _exit(0);
}

/* ---- a life ---- */

static void open_store(struct storm_node *n, const char *dir, const char *address)
{
    int rc;

    n->plan.opts.redis = address;
    n->plan.opts.settled = storm_on_settled;
    n->plan.opts.settled_ctx = n;
    rc = hf_open(dir, &n->plan.opts, &n->store);
    if (rc != 0)
        give_up(n, "hf_open", rc);
    storm_record_opened(n);
}

void storm_node_main(const struct storm_options *options, unsigned node, unsigned life, const char *dir,
                     const char *address, int log, int calls)
{
    static struct storm_node n;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    storm_node_init(&n, options, node, life, log);
    n.give_up = give_up;
    n.random = options->seed * 1000003 + node * 1009 + life;
    n.locks.random = n.random + 1;
    open_store(&n, dir, address);
    for (char call = blow(&n, calls);; call = next_call(calls, -1))
        obey(&n, calls, call);
}
