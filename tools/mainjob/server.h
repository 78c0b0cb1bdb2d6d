/* The job's private redis-server: its own directory and socket, data kept over a stop. */
#ifndef MAINJOB_SERVER_H
#define MAINJOB_SERVER_H

#include "child.h"

#include <hiredis/hiredis.h>

struct server {
    char dir[256];
    char socket[300];
    char address[320]; /* unix://... */
    struct child child;
};

/* Names only; `base` is an existing directory. */
void server_init(struct server *server, const char *base);

/* Start it and wait until it answers. 0, or -1 with the reason told. */
int server_start(struct server *server);

/* Stop it as an operator would. 0, or -1 with the reason told. */
int server_stop(struct server *server);

/* A connection of our own, the caller's to redisFree(); NULL with the reason told. */
redisContext *server_connect(const struct server *server);

#endif
