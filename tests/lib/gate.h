/* A proxy between two unix sockets in a process of its own, for tests that fork: it can be told how bad the line is.
 *
 * The mode rules all connections, those that are there and those that come. The process dies with its parent. */
#ifndef TEST_GATE_H
#define TEST_GATE_H

#include <stdbool.h>
#include <sys/types.h>

/* name, what happens */
#define GATE_MODE_MAP(X)                                                                                           \
    X(GATE_PASS, "pass")     /* all is passed on */                                                                \
    X(GATE_CUT, "cut")       /* connections are closed, once; then as pass */                                      \
    X(GATE_REFUSE, "refuse") /* connections are closed, and new ones are refused */                                \
    X(GATE_FREEZE, "freeze") /* nothing is passed on, either way */                                                \
    X(GATE_MUTE, "mute") /* requests are passed on; a connection whose request is answered is closed instead */    \
    X(GATE_LATE, "late") /* requests are kept, and passed on when the mode ends, also those of clients that left */

enum gate_mode {
#define X(name, text) name,
    GATE_MODE_MAP(X)
#undef X
        GATE_MODES
};
const char *gate_text(enum gate_mode mode);

struct gate {
    pid_t pid; /* 0: none */
    int wishes;
};

/* Listen on `path` and pass on to `server_path`. Returns 0, or -1 after telling why on stderr. */
int gate_start(struct gate *gate, const char *path, const char *server_path);
/* Returns when the mode is in force. */
void gate_set(struct gate *gate, enum gate_mode mode);
/* Accepts one that never ran. */
void gate_stop(struct gate *gate);

#endif
