/* One round at a time, on a worker of libuv. */
#include "rounds.h"

#include <stdio.h>

/* ---- who takes part ---- */

void rounds_init(struct rounds *rounds)
{
    TAILQ_INIT(&rounds->asking);
    TAILQ_INIT(&rounds->served);
}

static void put_in(struct round_line *line, struct round_member *member)
{
    member->line = line;
    TAILQ_INSERT_TAIL(line, member, links);
}

void rounds_leave(struct round_member *member)
{
    if (!member->line)
        return;
    TAILQ_REMOVE(member->line, member, links);
    member->line = NULL;
}

/* ---- a round ---- */

static void run(uv_work_t *work)
{
    struct rounds *rounds = work->data;

    rounds->rc = rounds->wait(rounds->store, rounds->timeout_ms);
    snprintf(rounds->sentence, sizeof(rounds->sentence), "%s", rounds->rc == 0 ? "" : hf_errmsg());
}

static void begin(struct rounds *rounds);

/* Who is told may join the next round, and may make others leave this one. */
static void ended(uv_work_t *work, int status)
{
    struct rounds *rounds = work->data;
    struct round_member *member;

    (void)status; /* nobody cancels it */
    while ((member = TAILQ_FIRST(&rounds->served))) {
        rounds_leave(member);
        member->done(member, rounds->rc, rounds->sentence);
    }
    rounds->running = false;
    if (!TAILQ_EMPTY(&rounds->asking))
        begin(rounds);
    else
        rounds->idle(rounds);
}

static void begin(struct rounds *rounds)
{
    struct round_member *member;

    while ((member = TAILQ_FIRST(&rounds->asking))) {
        rounds_leave(member);
        put_in(&rounds->served, member);
    }
    rounds->running = true;
    rounds->work.data = rounds;
    (void)uv_queue_work(rounds->loop, &rounds->work, run, ended); /* fails only without a function */
}

void rounds_join(struct rounds *rounds, struct round_member *member)
{
    put_in(&rounds->asking, member);
    if (!rounds->running)
        begin(rounds);
}
