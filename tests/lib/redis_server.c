/* Starts, freezes and ends a redis-server of the test's own. */
#include "redis_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ARGS_MAX 64
#define STOP_WAIT_MS 3000
#define COMMAND_WAIT_S 10

static long long now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

static void wait_a_little(void)
{
    poll(NULL, 0, 2);
}

/* ---- starting ---- */

static void exec_server(const struct redis_server *server)
{
    const char *argv[ARGS_MAX] = {
        "redis-server",
        "--dir",
        server->dir,
        "--unixsocket",
        server->socket,
        "--logfile",
        "log",
        "--daemonize",
        "no",
        "--port",
        "0",
        "--save",
        "",
        "--appendonly",
        "no",
    };
    size_t n = 15;

    for (size_t i = 0; server->args && server->args[i] && n + 1 < ARGS_MAX; i++)
        argv[n++] = server->args[i];
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setpgid(0, 0); /* a ^C is for the test, which stops us */
    execvp(argv[0], (char *const *)argv);
    _exit(127);
}

static redisContext *connect_to(const struct redis_server *server)
{
    struct timeval patience = {.tv_sec = COMMAND_WAIT_S};
    redisContext *redis = redisConnectUnixWithTimeout(server->socket, patience);

    if (redis && redis->err == 0)
        redisSetTimeout(redis, patience);
    return redis;
}

/* True when it answers, also with an error such as NOAUTH; while it loads its data only with `loading`. */
static bool answers(const struct redis_server *server, bool loading)
{
    redisContext *redis = connect_to(server);
    redisReply *reply = redis && redis->err == 0 ? redisCommand(redis, "PING") : NULL;
    bool ready = reply && (loading || strncmp(reply->str, "LOADING", 7) != 0);

    freeReplyObject(reply);
    redisFree(redis);
    return ready;
}

static bool has_ended(struct redis_server *server)
{
    if (waitpid(server->pid, NULL, WNOHANG) != server->pid)
        return false;
    server->pid = 0;
    return true;
}

static void show_log(const struct redis_server *server)
{
    char path[96], line[256];
    FILE *log;

    snprintf(path, sizeof(path), "%s/log", server->dir);
    log = fopen(path, "r");
    while (log && fgets(line, sizeof(line), log))
        fprintf(stderr, "redis-server: %s", line);
    if (log)
        fclose(log);
}

static int launch(struct redis_server *server, bool loading)
{
    long long deadline = now_ms() + REDIS_SERVER_WAIT_MS;

    server->paused = false;
    server->pid = fork();
    if (server->pid == 0)
        exec_server(server);
    if (server->pid < 0) {
        server->pid = 0;
        fprintf(stderr, "redis-server: cannot fork: %s\n", strerror(errno));
        return -1;
    }
    while (!answers(server, loading)) {
        if (has_ended(server) || now_ms() > deadline) {
            fprintf(stderr, "redis-server did not come up\n");
            show_log(server);
            return -1;
        }
        wait_a_little();
    }
    return 0;
}

int redis_server_start(struct redis_server *server, const char *const *args)
{
    *server = (struct redis_server){.args = args};
    snprintf(server->dir, sizeof(server->dir), "/tmp/hf-redis-XXXXXX");
    if (!mkdtemp(server->dir)) {
        fprintf(stderr, "redis-server: cannot make %s: %s\n", server->dir, strerror(errno));
        server->dir[0] = '\0';
        return -1;
    }
    snprintf(server->socket, sizeof(server->socket), "%s/redis.sock", server->dir);
    snprintf(server->address, sizeof(server->address), "unix://%s", server->socket);
    return launch(server, false);
}

/* ---- ending ---- */

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

void redis_server_kill(struct redis_server *server)
{
    if (server->pid == 0)
        return;
    kill(server->pid, SIGKILL);
    waitpid(server->pid, NULL, 0);
    server->pid = 0;
}

void redis_server_stop(struct redis_server *server)
{
    long long deadline = now_ms() + STOP_WAIT_MS;

    if (server->pid != 0) {
        redis_server_resume(server);
        kill(server->pid, SIGTERM);
        while (server->pid != 0 && !has_ended(server) && now_ms() < deadline)
            wait_a_little();
        redis_server_kill(server);
    }
    if (server->dir[0])
        nftw(server->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    *server = (struct redis_server){0};
}

void redis_server_pause(struct redis_server *server)
{
    int status;

    kill(server->pid, SIGSTOP);
    (void)waitpid(server->pid, &status, WUNTRACED); /* it goes on for a moment otherwise */
    server->paused = true;
}

void redis_server_resume(struct redis_server *server)
{
    if (server->paused)
        kill(server->pid, SIGCONT);
    server->paused = false;
}

static int restart(struct redis_server *server, bool loading)
{
    redis_server_kill(server);
    unlink(server->socket);
    return launch(server, loading);
}

int redis_server_restart(struct redis_server *server)
{
    return restart(server, false);
}

int redis_server_restart_loading(struct redis_server *server)
{
    return restart(server, true);
}

/* ---- commands ---- */

static redisReply *vcommand(const struct redis_server *server, const char *format, va_list args)
{
    redisContext *redis = connect_to(server);
    redisReply *reply = redis && redis->err == 0 ? redisvCommand(redis, format, args) : NULL;

    if (!reply)
        fprintf(stderr, "redis-server: %s: %s\n", format, redis ? redis->errstr : "out of memory");
    redisFree(redis);
    return reply;
}

redisReply *redis_server_command(const struct redis_server *server, const char *format, ...)
{
    redisReply *reply;
    va_list args;

    va_start(args, format);
    reply = vcommand(server, format, args);
    va_end(args);
    return reply;
}

const char *redis_server_text(const struct redis_server *server, char *text, size_t size, const char *format, ...)
{
    redisReply *reply;
    va_list args;

    va_start(args, format);
    reply = vcommand(server, format, args);
    va_end(args);
    snprintf(text, size, "%s", reply && reply->str ? reply->str : "(nil)");
    freeReplyObject(reply);
    return text;
}

long long redis_server_number(const struct redis_server *server, const char *format, ...)
{
    long long number = LLONG_MIN;
    redisReply *reply;
    va_list args;

    va_start(args, format);
    reply = vcommand(server, format, args);
    va_end(args);
    if (reply && reply->type == REDIS_REPLY_INTEGER)
        number = reply->integer;
    freeReplyObject(reply);
    return number;
}

int redis_server_free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int port = -1;

    if (fd >= 0 && bind(fd, (struct sockaddr *)&address, len) == 0 &&
        getsockname(fd, (struct sockaddr *)&address, &len) == 0)
        port = ntohs(address.sin_port);
    if (fd >= 0)
        close(fd);
    return port;
}
