/* The private redis-server of a case, and redis-cli against it. */
#include "redis.h"

#include "program.h"

#include <hiredis/hiredis.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define START_S 15
#define STOP_S 15
#define ANSWER_S 60
#define PIPE_S 600
#define LOOK_EVERY_MS 1
#define EXPECT_AT_ONCE 1000

struct redis {
    char *dir;
    char *socket, *address;
    int port;                /* of 127.0.0.1; 0: none */
    const char *appendfsync; /* NULL: it keeps nothing */
    pid_t pid;               /* 0: not running */
};

/* ---- commands ---- */

static redisContext *connect_to(const struct redis *redis)
{
    redisContext *connection = redisConnectUnixWithTimeout(redis->socket, (struct timeval){.tv_sec = START_S});

    if (connection && !connection->err)
        (void)redisSetTimeout(connection, (struct timeval){.tv_sec = ANSWER_S}); /* else a read waits for ever */
    return connection;
}

/* An integer is returned as it is, any other good answer as 0; -1 when there is none: nothing is printed. */
static long long ask_quietly(const struct redis *redis, const char *command)
{
    redisContext *connection = connect_to(redis);
    redisReply *reply = NULL;
    long long answer = -1;

    if (connection && !connection->err)
        reply = redisCommand(connection, command);
    if (reply && reply->type != REDIS_REPLY_ERROR)
        answer = reply->type == REDIS_REPLY_INTEGER ? reply->integer : 0;
    freeReplyObject(reply);
    if (connection)
        redisFree(connection);
    return answer;
}

int redis_flush(struct redis *redis)
{
    return ask_quietly(redis, "FLUSHALL SYNC") == 0 ? 0 : bench_fail("redis-server does not answer FLUSHALL");
}

int redis_expect_keys(struct redis *redis, size_t n)
{
    long long found = ask_quietly(redis, "DBSIZE");

    return found >= (long long)n ? 0 : bench_fail("Redis holds %lld keys; expected at least %zu", found, n);
}

/* Of so many keys at once. NULL: no answer. */
static redisReply *get_some(redisContext *connection, const struct bench *bench, size_t first, size_t n)
{
    const char *argv[1 + EXPECT_AT_ONCE] = {"MGET"};
    size_t lens[1 + EXPECT_AT_ONCE] = {4};

    for (size_t i = 0; i < n; i++) {
        argv[1 + i] = bench->keys[first + i];
        lens[1 + i] = BENCH_KEY_BYTES;
    }
    return redisCommandArgv(connection, (int)n + 1, argv, lens);
}

static int expect_some(redisContext *connection, const struct bench *bench, size_t first, size_t n,
                       uint64_t first_number)
{
    redisReply *reply = get_some(connection, bench, first, n);
    size_t i = 0;

    while (reply && i < reply->elements && reply->element[i]->len == bench->value_bytes &&
           bench_is_value(first + i + first_number, reply->element[i]->str))
        i++;
    freeReplyObject(reply);
    return i == n ? 0
                  : bench_fail("Redis does not hold what was written to '%.*s'", BENCH_KEY_BYTES,
                               bench->keys[first + i]);
}

int redis_expect_values(struct redis *redis, const struct bench *bench, size_t n, uint64_t first_number)
{
    redisContext *connection = connect_to(redis);
    int rc = connection && !connection->err ? 0 : bench_fail("redis-server does not answer");

    for (size_t i = 0; i < n && rc == 0; i += EXPECT_AT_ONCE)
        rc = expect_some(connection, bench, i, n - i < EXPECT_AT_ONCE ? n - i : EXPECT_AT_ONCE, first_number);
    if (connection)
        redisFree(connection);
    return rc;
}

int redis_cli_pipe(struct redis *redis, const char *file)
{
    char *argv[] = {"redis-cli", "-s", redis->socket, "--pipe", NULL};
    pid_t pid;
    int status;

    if (program_start(argv, file, NULL, &pid) != 0)
        return -1;
    status = program_wait(pid, PIPE_S);
    if (status < 0)
        return bench_fail("redis-cli --pipe did not end within %d s", PIPE_S);
    return status == 0 ? 0 : bench_fail("redis-cli --pipe ended with status %d", status);
}

/* ---- the server ---- */

const char *redis_address(const struct redis *redis)
{
    return redis->address;
}

const char *redis_socket(const struct redis *redis)
{
    return redis->socket;
}

static int set_names(struct redis *redis, const struct bench *bench)
{
    char name[24];

    snprintf(name, sizeof(name), "redis-%d", redis->port); /* a case may have two, on ports of their own */
    redis->dir = bench_path(bench, name);
    if (!redis->dir)
        return -1;
    if (asprintf(&redis->socket, "%s/redis.sock", redis->dir) < 0)
        redis->socket = NULL;
    if (asprintf(&redis->address, "unix://%s/redis.sock", redis->dir) < 0)
        redis->address = NULL;
    if (!redis->socket || !redis->address)
        return bench_fail("out of memory");
    if (strlen(redis->socket) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
        return bench_fail("the path '%s' is too long for a unix socket; name a shorter --dir", redis->socket);
    return 0;
}

/* The end of a program that could not start is told by its status. */
static int wait_until_it_answers(struct redis *redis)
{
    double end_s = bench_now_s() + START_S;
    int status;

    while (ask_quietly(redis, "PING") != 0) {
        if (program_has_ended(redis->pid)) {
            status = program_wait(redis->pid, 0);
            redis->pid = 0;
            return bench_fail("redis-server ended with status %d (tools/setup installs it)", status);
        }
        if (bench_is_stopped())
            return bench_fail("stopped by a signal");
        if (bench_now_s() > end_s)
            return bench_fail("redis-server did not answer within %d s", START_S);
        (void)poll(NULL, 0, LOOK_EVERY_MS);
    }
    return 0;
}

static int start_server(struct redis *redis)
{
    char port[8];
    char *argv[] = {"redis-server",
                    "--port",
                    port,
                    "--unixsocket",
                    redis->socket,
                    "--unixsocketperm",
                    "700",
                    "--dir",
                    redis->dir,
                    "--appendonly",
                    redis->appendfsync ? "yes" : "no",
                    "--appendfsync",
                    (char *)(redis->appendfsync ? redis->appendfsync : "no"),
                    "--save",
                    "",
                    "--daemonize",
                    "no",
                    NULL};

    snprintf(port, sizeof(port), "%d", redis->port);
    if (mkdir(redis->dir, 0700) != 0)
        return bench_fail("cannot make '%s': %s", redis->dir, strerror(errno));
    return program_start(argv, NULL, NULL, &redis->pid);
}

static int start(const struct bench *bench, const char *appendfsync, int port, struct redis **ret_redis)
{
    struct redis *redis = calloc(1, sizeof(*redis));
    int rc;

    if (!redis)
        return bench_fail("out of memory");
    *ret_redis = redis;
    redis->appendfsync = appendfsync;
    redis->port = port;
    rc = set_names(redis, bench);
    if (rc == 0)
        rc = start_server(redis);
    return rc == 0 ? wait_until_it_answers(redis) : rc;
}

int redis_start(const struct bench *bench, struct redis **ret_redis)
{
    return start(bench, NULL, 0, ret_redis);
}

int redis_start_with(const struct bench *bench, const char *appendfsync, int port, struct redis **ret_redis)
{
    return start(bench, appendfsync, port, ret_redis);
}

pid_t redis_pid(const struct redis *redis)
{
    return redis->pid;
}

void redis_stop(struct redis *redis)
{
    int status = 0;

    if (!redis)
        return;
    if (redis->pid > 0) {
        kill(redis->pid, SIGTERM);
        status = program_wait(redis->pid, STOP_S);
    }
    if (status != 0)
        bench_fail(status < 0 ? "redis-server did not stop within %d s, and was killed"
                              : "redis-server ended with status %d",
                   status < 0 ? STOP_S : status);
    if (redis->dir)
        bench_area_remove(redis->dir);
    free(redis->dir);
    free(redis->socket);
    free(redis->address);
    free(redis);
}
