/* A place in the order of a client's replies: shared by call.c, which makes it, and client.c, which keeps the order. */
#ifndef SIDECAR_LATER_H
#define SIDECAR_LATER_H

#include "call.h"
#include "slow.h"

struct later {
    struct later *next;    /* behind it, of the same client */
    struct client *client; /* NULL: gone */
    struct server *server;
    const struct command *command; /* NULL: not known here, or a message */
    struct reply reply;
    uint64_t hold_lsn; /* not before this is durable; 0: need not be held */
    uint64_t began_ns;
    char key[SLOW_KEY_MAX]; /* the beginning of the command's first key, for the slow commands */
    size_t key_len;
    bool is_running; /* its command's handler has not returned: it does not leave before */
    bool is_ready;   /* the answer is complete */
    bool is_alone;   /* the client's next command waits for it */
    bool is_silent;  /* CLIENT REPLY OFF: it is dropped when it is ready */
    bool is_message; /* no command asked for it */
};

/* Put a new place behind the others. NULL: no memory. */
struct later *later_new(struct client *client, const struct command *command);
void later_free(struct later *later);
/* Count and observe a reply that leaves. */
void later_leaves(const struct later *later);

#endif
