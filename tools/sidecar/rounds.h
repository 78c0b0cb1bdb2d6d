/* Calls into the store that wait, made on a worker for all who ask for one at about the same time.
 *
 * Who joins while a round is under way takes part in the next one, which begins when that one has ended: so what is waited
 * for always lies before the round. */
#ifndef SIDECAR_ROUNDS_H
#define SIDECAR_ROUNDS_H

#include <holdfast.h>
#include <sys/queue.h>
#include <uv.h>

/* Runs on a worker. 0, or an error with its sentence in hf_errmsg(). */
typedef int round_fn(struct hf *store, int timeout_ms);

struct round_line;
struct round_member {
    /* On the loop, not from within rounds_join(). The sentence is borrowed; "" for 0. */
    void (*done)(struct round_member *member, int rc, const char *sentence);
    /* the rounds' own */
    TAILQ_ENTRY(round_member) links;
    struct round_line *line; /* NULL: in none */
};
TAILQ_HEAD(round_line, round_member);

struct rounds {
    uv_loop_t *loop;
    struct hf *store;
    round_fn *wait;
    int timeout_ms;
    void (*idle)(struct rounds *rounds); /* the last round has ended, and nobody waits */
    /* its own */
    uv_work_t work;
    bool running;
    struct round_line asking, served; /* of the next round, and of this one; in the order of joining */
    int rc;
    char sentence[256];
};

/* The fields above the own ones are filled in. */
void rounds_init(struct rounds *rounds);

/* `member` stays until `done`, or rounds_leave(). */
void rounds_join(struct rounds *rounds, struct round_member *member);
/* Its `done` is not called any more. Accepts one that is in no round. */
void rounds_leave(struct round_member *member);

#endif
