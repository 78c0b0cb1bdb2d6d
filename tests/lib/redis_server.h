/* A private redis-server for a test: own directory and unix socket, TCP only if asked, gone with the test. */
#ifndef TEST_REDIS_SERVER_H
#define TEST_REDIS_SERVER_H

#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <sys/types.h>

#define REDIS_SERVER_WAIT_MS 10000 /* for it to answer PING, at the most */

struct redis_server {
    char dir[48];     /* made by start, removed by stop */
    char socket[80];  /* path of its unix socket */
    char address[96]; /* "unix://<socket>", as libholdfast takes it */
    pid_t pid;        /* 0: not running */
    bool paused;
    const char *const *args;
};

/* Start one and wait until it answers. `args`: more redis-server arguments, NULL-terminated, borrowed until stop;
 * NULL: none. Persistence is off unless they say otherwise. The server dies with the calling thread.
 * Returns 0, or -1 after telling why on stderr; `server` can be stopped in both cases. */
int redis_server_start(struct redis_server *server, const char *const *args);

/* End it and remove its directory. Accepts one that never ran. */
void redis_server_stop(struct redis_server *server);

/* Freeze (SIGSTOP) and thaw it. */
void redis_server_pause(struct redis_server *server);
void redis_server_resume(struct redis_server *server);

/* Kill it without warning; start it again in the same directory. */
void redis_server_kill(struct redis_server *server);
int redis_server_restart(struct redis_server *server);
/* The same, not waiting for the end of its loading: it answers, perhaps with LOADING. */
int redis_server_restart_loading(struct redis_server *server);

/* One command on a connection of its own, formatted as by redisCommand(). The caller frees the reply with
 * freeReplyObject(); NULL after telling why on stderr. */
redisReply *redis_server_command(const struct redis_server *server, const char *format, ...);

/* The same, for commands whose answer is text: copied into `text` ("(nil)" for none), which is returned. */
const char *redis_server_text(const struct redis_server *server, char *text, size_t size, const char *format, ...);
/* ... or an integer; INT64_MIN for anything else. */
long long redis_server_number(const struct redis_server *server, const char *format, ...);

/* A TCP port of 127.0.0.1 that was free a moment ago; -1 when there is none. */
int redis_server_free_port(void);

#endif
