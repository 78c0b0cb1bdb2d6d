/* The job's private redis-server. */
#include "server.h"

#include "story.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define START_MS 15000
#define STOP_MS 15000
#define LOOK_EVERY_MS 5

void server_init(struct server *server, const char *base)
{
    *server = (struct server){.child = {.input = -1, .output = -1}};
    snprintf(server->dir, sizeof(server->dir), "%.200s/redis", base);
    snprintf(server->socket, sizeof(server->socket), "%s/redis.sock", server->dir);
    snprintf(server->address, sizeof(server->address), "unix://%s", server->socket);
}

/* Connected, loaded and answering. */
static bool answers(const struct server *server)
{
    redisContext *connection = redisConnectUnixWithTimeout(server->socket, (struct timeval){.tv_sec = 1});
    redisReply *reply = NULL;
    bool ok;

    if (connection && !connection->err)
        reply = redisCommand(connection, "PING");
    ok = reply && reply->type == REDIS_REPLY_STATUS;
    freeReplyObject(reply);
    if (connection)
        redisFree(connection);
    return ok;
}

int server_start(struct server *server)
{
    char log[300];
    char *argv[] = {
        "redis-server", "--port",    "0", "--unixsocket", server->socket, "--unixsocketperm", "700", "--dir",
        server->dir,    "--logfile", log, "--appendonly", "yes",          "--save",           "",    "--daemonize",
        "no",           NULL};
    int64_t end_ms = story_clock_ms() + START_MS;

    snprintf(log, sizeof(log), "%s/log", server->dir);
    if (mkdir(server->dir, 0700) != 0 && errno != EEXIST)
        return story_wrong("cannot make %s: %s", server->dir, strerror(errno));
    if (child_start(&server->child, argv, false, false) != 0)
        return -1;
    while (!answers(server)) {
        if (child_has_ended(&server->child))
            return story_wrong("redis-server ended with status %d (tools/setup installs it)",
                               child_wait(&server->child, 0));
        if (story_clock_ms() > end_ms)
            return story_wrong("redis-server did not answer within %d ms", START_MS);
        (void)poll(NULL, 0, LOOK_EVERY_MS);
    }
    return 0;
}

int server_stop(struct server *server)
{
    int status;

    child_signal(&server->child, SIGTERM);
    status = child_wait(&server->child, STOP_MS);
    return status == 0 ? 0 : story_wrong("redis-server ended with status %d", status);
}

redisContext *server_connect(const struct server *server)
{
    redisContext *connection = redisConnectUnix(server->socket);

    if (connection && !connection->err)
        return connection;
    story_wrong("cannot connect to Redis: %s", connection ? connection->errstr : "out of memory");
    if (connection)
        redisFree(connection);
    return NULL;
}
