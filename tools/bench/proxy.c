/* A way to a server that takes time. One thread passes on pieces as they become due; a connection's two directions are two streams. */
#include "proxy.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define CONNECTIONS_MAX 16
#define STREAMS_MAX (2 * CONNECTIONS_MAX)
#define PIECE_BYTES 65536

/* What was read at one time, and when it is passed on. */
struct piece {
    struct piece *next;
    double due_s;
    size_t len, sent;
    char bytes[];
};

/* One direction of a connection; the other one is its neighbour, by pairs. Free when both ends are -1. */
struct stream {
    int from, to;
    struct piece *first, **last;
};

struct proxy {
    char *path, *address;
    struct sockaddr_un server;
    double delay_s; /* of each direction */
    int listener, wake[2];
    pthread_t thread;
    bool running;
    struct stream streams[STREAMS_MAX];
};

/* ---- connections ---- */

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void forget_pieces(struct stream *s)
{
    while (s->first) {
        struct piece *piece = s->first;
        s->first = piece->next;
        free(piece);
    }
    s->last = &s->first;
}

/* Both directions; each end belongs to both of them. */
static void drop(struct proxy *proxy, size_t i)
{
    struct stream *there = &proxy->streams[i & ~1u], *back = there + 1;

    close_fd(&there->from);
    close_fd(&there->to);
    back->from = back->to = -1;
    forget_pieces(there);
    forget_pieces(back);
}

static int connect_server(const struct proxy *proxy)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd >= 0 && connect(fd, (const struct sockaddr *)&proxy->server, sizeof(proxy->server)) != 0)
        close_fd(&fd);
    if (fd >= 0)
        (void)fcntl(fd, F_SETFL, O_NONBLOCK); /* else a server that reads nothing stops all, which is seen */
    return fd;
}

static void accept_client(struct proxy *proxy)
{
    int client = accept4(proxy->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK), server;
    size_t i = 0;

    while (i < STREAMS_MAX && proxy->streams[i].from >= 0)
        i += 2;
    server = client >= 0 && i < STREAMS_MAX ? connect_server(proxy) : -1;
    if (server < 0) {
        close_fd(&client);
        return;
    }
    proxy->streams[i].from = proxy->streams[i + 1].to = client;
    proxy->streams[i].to = proxy->streams[i + 1].from = server;
}

/* ---- pieces ---- */

/* False: the other side has gone. */
static bool take_piece(struct stream *s, double delay_s)
{
    struct piece *piece = malloc(sizeof(*piece) + PIECE_BYTES);
    ssize_t n;

    if (!piece)
        abort();
    n = read(s->from, piece->bytes, PIECE_BYTES);
    if (n <= 0) {
        free(piece);
        return n < 0 && (errno == EAGAIN || errno == EINTR);
    }
    piece->next = NULL;
    piece->sent = 0;
    piece->len = (size_t)n;
    piece->due_s = bench_now_s() + delay_s;
    *s->last = piece;
    s->last = &piece->next;
    return true;
}

/* What is due, as far as it is taken. */
static bool pass_on(struct stream *s)
{
    while (s->first && s->first->due_s <= bench_now_s()) {
        struct piece *piece = s->first;
        ssize_t n = send(s->to, piece->bytes + piece->sent, piece->len - piece->sent, MSG_NOSIGNAL);

        if (n < 0)
            return errno == EAGAIN || errno == EINTR;
        piece->sent += (size_t)n;
        if (piece->sent < piece->len)
            return true;
        s->first = piece->next;
        if (!s->first)
            s->last = &s->first;
        free(piece);
    }
    return true;
}

/* ---- the thread ---- */

/* Until the first piece is due, -1 for ever. What is due and was not taken is tried again a little later. */
static double time_left_s(const struct proxy *proxy)
{
    double first_s = INFINITY, now_s = bench_now_s();

    for (size_t i = 0; i < STREAMS_MAX; i++) {
        if (proxy->streams[i].first)
            first_s = fmin(first_s, proxy->streams[i].first->due_s);
    }
    return isinf(first_s) ? -1 : fmax(first_s - now_s, 20e-6);
}

static void wait_for_something(const struct proxy *proxy, struct pollfd *fds)
{
    double left_s = time_left_s(proxy);
    struct timespec left = {.tv_sec = (time_t)left_s, .tv_nsec = (long)(fmod(left_s, 1) * 1e9)};

    for (size_t i = 0; i < STREAMS_MAX; i++)
        fds[i] = (struct pollfd){.fd = proxy->streams[i].from, .events = POLLIN};
    fds[STREAMS_MAX] = (struct pollfd){.fd = proxy->listener, .events = POLLIN};
    fds[STREAMS_MAX + 1] = (struct pollfd){.fd = proxy->wake[0], .events = POLLIN};
    (void)ppoll(fds, STREAMS_MAX + 2, left_s < 0 ? NULL : &left, NULL); /* a signal only makes one turn more */
}

static void *pass_all(void *arg)
{
    struct proxy *proxy = arg;
    struct pollfd fds[STREAMS_MAX + 2];

    (void)prctl(PR_SET_TIMERSLACK, 1UL); /* nanosecond: without it all is 50 us late, for either side */
    for (;;) {
        wait_for_something(proxy, fds);
        if (fds[STREAMS_MAX + 1].revents)
            return NULL;
        for (size_t i = 0; i < STREAMS_MAX; i++) {
            struct stream *s = &proxy->streams[i];
            bool good = !fds[i].revents || s->from != fds[i].fd || take_piece(s, proxy->delay_s);
            if (!good || !pass_on(s))
                drop(proxy, i);
        }
        if (fds[STREAMS_MAX].revents)
            accept_client(proxy);
    }
}

/* ---- beginning and end ---- */

const char *proxy_address(const struct proxy *proxy)
{
    return proxy->address;
}

const char *proxy_socket(const struct proxy *proxy)
{
    return proxy->path;
}

static int set_names(struct proxy *proxy, const struct bench *bench, const char *server_socket)
{
    proxy->path = bench_path(bench, "proxy.sock");
    if (!proxy->path || asprintf(&proxy->address, "unix://%s", proxy->path) < 0) {
        proxy->address = NULL;
        return bench_fail("out of memory");
    }
    proxy->server.sun_family = AF_UNIX;
    snprintf(proxy->server.sun_path, sizeof(proxy->server.sun_path), "%s", server_socket);
    return 0;
}

static int start_listening(struct proxy *proxy)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", proxy->path);
    proxy->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (proxy->listener < 0 || bind(proxy->listener, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        listen(proxy->listener, CONNECTIONS_MAX) != 0 || pipe2(proxy->wake, O_CLOEXEC) != 0)
        return bench_fail("cannot listen on '%s': %s", proxy->path, strerror(errno));
    if (pthread_create(&proxy->thread, NULL, pass_all, proxy) != 0)
        return bench_fail("cannot start a thread");
    proxy->running = true;
    return 0;
}

int proxy_start(const struct bench *bench, const char *server_socket, double round_trip_ms,
                struct proxy **ret_proxy)
{
    struct proxy *proxy = calloc(1, sizeof(*proxy));
    int rc;

    if (!proxy)
        return bench_fail("out of memory");
    *ret_proxy = proxy;
    proxy->delay_s = round_trip_ms / 2000;
    proxy->listener = proxy->wake[0] = proxy->wake[1] = -1;
    for (size_t i = 0; i < STREAMS_MAX; i++)
        proxy->streams[i] = (struct stream){.from = -1, .to = -1, .last = &proxy->streams[i].first};
    rc = set_names(proxy, bench, server_socket);
    return rc == 0 ? start_listening(proxy) : rc;
}

void proxy_stop(struct proxy *proxy)
{
    if (!proxy)
        return;
    if (proxy->running) {
        (void)!write(proxy->wake[1], "w", 1); /* a pipe that is empty takes a byte */
        pthread_join(proxy->thread, NULL);
    }
    for (size_t i = 0; i < STREAMS_MAX; i += 2)
        drop(proxy, i);
    close_fd(&proxy->listener);
    close_fd(&proxy->wake[0]);
    close_fd(&proxy->wake[1]);
    if (proxy->path)
        (void)unlink(proxy->path); /* else it goes with the directory */
    free(proxy->path);
    free(proxy->address);
    free(proxy);
}
