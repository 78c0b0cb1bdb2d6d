/* redis-server itself, by hiredis: plain sets that wait for their answer, and pipelined ones. */
#include "redis.h"
#include "sides.h"

#include <hiredis/hiredis.h>

#include <stdlib.h>
#include <string.h>

#define ANSWER_S 60
#define PIPELINED_AT_ONCE 256 /* sent, and later read, in one go */

struct client {
    const struct bench *bench;
    unsigned n_threads;
    redisContext **connections; /* one per thread */
    unsigned window;            /* pipelined: at most so many are on their way */
    unsigned under_way;
};

static int redis_fail(const redisContext *connection, const char *what)
{
    return bench_fail("redis-server cannot %s: %s", what, connection ? connection->errstr : "out of memory");
}

static void client_close(void *state)
{
    struct client *c = state;

    for (unsigned i = 0; c->connections && i < c->n_threads; i++) {
        if (c->connections[i])
            redisFree(c->connections[i]);
    }
    free(c->connections);
    free(c);
}

static int connect_all(struct client *c, const char *socket)
{
    for (unsigned i = 0; i < c->n_threads; i++) {
        c->connections[i] = redisConnectUnixWithTimeout(socket, (struct timeval){.tv_sec = ANSWER_S});
        if (!c->connections[i] || c->connections[i]->err)
            return redis_fail(c->connections[i], "be reached");
        if (redisSetTimeout(c->connections[i], (struct timeval){.tv_sec = ANSWER_S}) != REDIS_OK)
            return redis_fail(c->connections[i], "be waited for");
    }
    return 0;
}

static int client_new(const struct bench *bench, const char *socket, unsigned n_threads, const char *name,
                      struct side *ret_side, struct client **ret_client)
{
    struct client *c = calloc(1, sizeof(*c));

    if (!c)
        return bench_fail("out of memory");
    c->bench = bench;
    c->n_threads = n_threads;
    *ret_side = (struct side){.name = name, .close = client_close, .state = c};
    *ret_client = c;
    c->connections = calloc(n_threads, sizeof(redisContext *));
    return c->connections ? connect_all(c, socket) : bench_fail("out of memory");
}

/* The command goes into the connection's buffer. */
static int put_set(struct client *c, redisContext *connection, uint64_t random)
{
    const char *argv[] = {"SET", c->bench->keys[random % c->bench->n_written_keys], bench_value(c->bench, random)};
    const size_t lens[] = {3, BENCH_KEY_BYTES, c->bench->value_bytes};

    return redisAppendCommandArgv(connection, 3, argv, lens) == REDIS_OK ? 0 : redis_fail(connection, "be asked");
}

/* What is in the buffer is sent first. */
static int take_answer(redisContext *connection)
{
    redisReply *reply = NULL;
    bool good = redisGetReply(connection, (void **)&reply) == REDIS_OK && reply->type == REDIS_REPLY_STATUS;

    freeReplyObject(reply);
    return good ? 0 : redis_fail(connection, "set a value");
}

/* ---- one at a time ---- */

static int blocking_op(void *state, unsigned thread, uint64_t random)
{
    struct client *c = state;
    int rc = put_set(c, c->connections[thread], random);

    return rc == 0 ? take_answer(c->connections[thread]) : rc;
}

static int blocking_turn(void *state, struct score *ret_score)
{
    struct client *c = state;
    struct tally tally;
    int rc = bench_threads(c->bench, c->n_threads, 1, blocking_op, c, &tally);

    ret_score->value = tally.rate;
    ret_score->done = tally.done;
    return rc;
}

int redis_set(const struct bench *bench, const char *socket, unsigned n_threads, const char *name,
              struct side *ret_side)
{
    struct client *c = NULL;
    int rc = client_new(bench, socket, n_threads, name, ret_side, &c);

    ret_side->turn = blocking_turn;
    return rc;
}

/* ---- pipelined ---- */

static int take_answers(struct client *c, unsigned n)
{
    int rc = 0;

    for (unsigned i = 0; i < n && rc == 0; i++, c->under_way--)
        rc = take_answer(c->connections[0]);
    return rc;
}

/* The server works on the rest of the window meanwhile. */
static int pipelined_op(void *state, unsigned thread, uint64_t random)
{
    struct client *c = state;
    int rc = c->under_way >= c->window ? take_answers(c, PIPELINED_AT_ONCE) : 0;

    (void)thread;
    for (unsigned i = 0; i < PIPELINED_AT_ONCE && rc == 0; i++, c->under_way++)
        rc = put_set(c, c->connections[0], bench_random(&random));
    for (int done = 0; rc == 0 && !done;) {
        if (redisBufferWrite(c->connections[0], &done) != REDIS_OK)
            rc = redis_fail(c->connections[0], "be sent anything");
    }
    return rc;
}

static int pipelined_turn(void *state, struct score *ret_score)
{
    struct client *c = state;
    struct tally tally;
    double ended_s;
    int rc = bench_threads(c->bench, 1, PIPELINED_AT_ONCE, pipelined_op, c, &tally);

    ended_s = bench_now_s();
    if (rc == 0)
        rc = take_answers(c, c->under_way);
    ret_score->value = (double)tally.done / ((double)tally.done / tally.rate + bench_now_s() - ended_s);
    return rc;
}

int redis_pipelined(const struct bench *bench, const char *socket, unsigned window, struct side *ret_side)
{
    struct client *c = NULL;
    int rc = client_new(bench, socket, 1, "hiredis pipelining SET", ret_side, &c);

    if (rc != 0)
        return rc;
    c->window = window;
    ret_side->turn = pipelined_turn;
    return 0;
}
