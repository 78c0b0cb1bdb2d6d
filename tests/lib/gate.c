/* One process, one poll set; wishes come as bytes over a socket pair, and are answered when they are in force. */
#include "gate.h"

#include "socket_end.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define LINES_MAX 128

struct line {
    int client, server; /* -1: closed */
    char *kept;         /* requests not passed on */
    size_t len;
};

struct gatekeeper {
    int listener, wishes;
    enum gate_mode mode;
    struct sockaddr_un own, server;
    struct line lines[LINES_MAX];
    size_t n_lines;
};

const char *gate_text(enum gate_mode mode)
{
    static const char *const texts[] = {
#define X(name, text) text,
        GATE_MODE_MAP(X)
#undef X
    };

    return texts[mode];
}

/* ---- the gate's process ---- */

static void listen_again(struct gatekeeper *g)
{
    unlink(g->own.sun_path);
    g->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (g->listener < 0 || bind(g->listener, (struct sockaddr *)&g->own, sizeof(g->own)) != 0 ||
        listen(g->listener, 16) != 0) {
        fprintf(stderr, "gate: cannot listen on %s: %s\n", g->own.sun_path, strerror(errno));
        _exit(1);
    }
}

static void accept_client(struct gatekeeper *g)
{
    int client = accept4(g->listener, NULL, NULL, SOCK_CLOEXEC);
    int server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (client < 0 || server < 0 || g->n_lines == LINES_MAX ||
        connect(server, (struct sockaddr *)&g->server, sizeof(g->server)) != 0) {
        close_end(&client);
        close_end(&server);
        return;
    }
    g->lines[g->n_lines++] = (struct line){.client = client, .server = server};
}

static void keep(struct line *line, const char *bytes, size_t len)
{
    char *grown = realloc(line->kept, line->len + len);

    if (!grown)
        abort();
    line->kept = grown;
    memcpy(line->kept + line->len, bytes, len);
    line->len += len;
}

static void read_client(struct gatekeeper *g, struct line *line)
{
    char bytes[65536];
    ssize_t n = read(line->client, bytes, sizeof(bytes));

    if (n <= 0) {
        close_end(&line->client);
        if (line->len == 0)
            close_end(&line->server);
    } else if (g->mode == GATE_LATE) {
        keep(line, bytes, (size_t)n);
    } else if (!send_all(line->server, bytes, (size_t)n)) {
        close_end(&line->client);
    }
}

/* Answers to clients that are gone are for nobody; the first one says that the late requests were heard. */
static void read_server(struct gatekeeper *g, struct line *line)
{
    char bytes[65536];
    ssize_t n = read(line->server, bytes, sizeof(bytes));

    if (n <= 0 || (g->mode == GATE_MUTE && line->client >= 0) || (g->mode != GATE_LATE && line->client < 0)) {
        close_end(&line->server);
        close_end(&line->client);
    } else if (line->client >= 0 && !send_all(line->client, bytes, (size_t)n)) {
        close_end(&line->client);
    }
}

static void close_all(struct gatekeeper *g)
{
    for (size_t i = 0; i < g->n_lines; i++) {
        close_end(&g->lines[i].client);
        close_end(&g->lines[i].server);
    }
}

static void pass_kept_on(struct gatekeeper *g)
{
    for (size_t i = 0; i < g->n_lines; i++) {
        struct line *line = &g->lines[i];

        if (line->server >= 0)
            send_all(line->server, line->kept, line->len);
        line->len = 0;
    }
}

/* Lines whose server has closed are over; one whose client has left may still be answered. */
static void forget_closed(struct gatekeeper *g)
{
    size_t n = 0;

    for (size_t i = 0; i < g->n_lines; i++) {
        if (g->lines[i].server >= 0)
            g->lines[n++] = g->lines[i];
        else
            free(g->lines[i].kept);
    }
    g->n_lines = n;
}

static void enter(struct gatekeeper *g, enum gate_mode mode)
{
    if (g->mode == GATE_REFUSE)
        listen_again(g);
    if (g->mode == GATE_LATE)
        pass_kept_on(g);
    if (mode == GATE_CUT || mode == GATE_REFUSE)
        close_all(g);
    if (mode == GATE_REFUSE)
        close_end(&g->listener);
    g->mode = mode;
}

static void take_wish(struct gatekeeper *g)
{
    char wish;

    if (read(g->wishes, &wish, 1) != 1)
        _exit(0); /* the parent is gone */
    enter(g, (enum gate_mode)wish);
    (void)!write(g->wishes, &wish, 1);
}

static void turn(struct gatekeeper *g, const struct pollfd *fds, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct line *line = &g->lines[i];

        if (fds[2 + 2 * i].revents && line->client >= 0)
            read_client(g, line);
        if (fds[3 + 2 * i].revents && line->server >= 0)
            read_server(g, line);
    }
    if (fds[1].revents)
        accept_client(g);
    if (fds[0].revents)
        take_wish(g);
    forget_closed(g);
}

static void keep_gate(struct gatekeeper *g)
{
    struct pollfd fds[2 + 2 * LINES_MAX];

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) {
        bool frozen = g->mode == GATE_FREEZE;
        size_t n = g->n_lines;

        fds[0] = (struct pollfd){.fd = g->wishes, .events = POLLIN};
        fds[1] = (struct pollfd){.fd = frozen ? -1 : g->listener, .events = POLLIN};
        for (size_t i = 0; i < n; i++) {
            fds[2 + 2 * i] = (struct pollfd){.fd = frozen ? -1 : g->lines[i].client, .events = POLLIN};
            fds[3 + 2 * i] = (struct pollfd){.fd = frozen ? -1 : g->lines[i].server, .events = POLLIN};
        }
        if (poll(fds, 2 + 2 * n, -1) > 0)
            turn(g, fds, n);
    }
}

/* ---- the test's process ---- */

static void set_path(struct sockaddr_un *address, const char *path)
{
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    snprintf(address->sun_path, sizeof(address->sun_path), "%s", path);
}

int gate_start(struct gate *gate, const char *path, const char *server_path)
{
    static struct gatekeeper keeper;
    int ends[2];

    *gate = (struct gate){.wishes = -1};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
        fprintf(stderr, "gate: no socket pair: %s\n", strerror(errno));
        return -1;
    }
    keeper = (struct gatekeeper){.wishes = ends[1]};
    set_path(&keeper.own, path);
    set_path(&keeper.server, server_path);
    listen_again(&keeper);
    gate->pid = fork();
    if (gate->pid == 0) {
        close(ends[0]);
        keep_gate(&keeper);
    }
    close(keeper.listener);
    close(ends[1]);
    gate->wishes = ends[0];
    return gate->pid > 0 ? 0 : -1;
}

void gate_set(struct gate *gate, enum gate_mode mode)
{
    char wish = (char)mode;

    if (write(gate->wishes, &wish, 1) != 1 || read(gate->wishes, &wish, 1) != 1)
        fprintf(stderr, "gate: its process is gone\n");
}

void gate_stop(struct gate *gate)
{
    if (gate->pid <= 0)
        return;
    close(gate->wishes);
    kill(gate->pid, SIGKILL);
    waitpid(gate->pid, NULL, 0);
    *gate = (struct gate){.wishes = -1};
}
