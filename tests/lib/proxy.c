/* One thread, one poll set; the test's thread only sets wishes under the lock and wakes it by a pipe. */
#include "proxy.h"

#include "socket_end.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define PIPES_MAX 128

struct pipe {
    int client, server; /* -1: closed */
    bool held;
    bool frozen; /* its answers are not passed on */
    bool asking; /* an exchange has begun, and the server has said nothing yet */
    bool mute;   /* what the server still says is swallowed, and then all is closed */
    char *bytes; /* requests not passed on */
    size_t len;
    int64_t due_ms; /* when they are, with a delay */
};

/* Which direction is cut, and what is passed on before. */
enum cut { CUT_NOTHING = 0, CUT_REQUESTS, CUT_ANSWERS };

struct proxy {
    pthread_t thread;
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t moved;
    int listener;
    int wake[2];
    bool stop;
    const char *swallow_at;
    const char *hold_at;
    bool away;
    bool drops;       /* the fault: the answer is lost, else the request is late */
    size_t fault_at;  /* of this exchange; 0: none */
    size_t exchanges; /* begun */
    int delay_ms;
    enum cut cut;
    size_t cut_after; /* bytes */
    struct pipe pipes[PIPES_MAX];
    size_t n_pipes;
    size_t unheard; /* bytes answered to clients that are gone */
    struct sockaddr_un server_address;
};

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

/* ---- the proxy's thread ---- */

/* A place for a connection: that of one whose both ends are closed, or a new one. NULL: there is none. */
static struct pipe *free_pipe(struct proxy *proxy)
{
    for (size_t i = 0; i < proxy->n_pipes; i++) {
        struct pipe *pipe = &proxy->pipes[i];
        if (pipe->client < 0 && pipe->server < 0) {
            free(pipe->bytes);
            return pipe;
        }
    }
    return proxy->n_pipes < PIPES_MAX ? &proxy->pipes[proxy->n_pipes++] : NULL;
}

static void accept_client(struct proxy *proxy)
{
    struct pipe *pipe;
    int client = accept4(proxy->listener, NULL, NULL, SOCK_CLOEXEC);
    int server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (client < 0 || server < 0 || proxy->away ||
        connect(server, (struct sockaddr *)&proxy->server_address, sizeof(proxy->server_address)) != 0 ||
        !(pipe = free_pipe(proxy))) {
        close_end(&client);
        close_end(&server);
        return;
    }
    *pipe = (struct pipe){.client = client, .server = server};
}

static void keep(struct pipe *pipe, const char *bytes, size_t len)
{
    char *grown = realloc(pipe->bytes, pipe->len + len);

    if (!grown)
        abort();
    pipe->bytes = grown;
    memcpy(pipe->bytes + pipe->len, bytes, len);
    pipe->len += len;
}

/* How many of `len` bytes are passed on before the connection is cut; all of them, if it is not. */
static size_t len_before_cut(struct proxy *proxy, enum cut direction, size_t len)
{
    if (proxy->cut != direction)
        return len;
    if (proxy->cut_after >= len) {
        proxy->cut_after -= len;
        return len;
    }
    proxy->cut = CUT_NOTHING;
    return proxy->cut_after;
}

static void close_both(struct pipe *pipe)
{
    close_end(&pipe->client);
    close_end(&pipe->server);
}

/* Pass bytes on, or as many as are passed on before the cut. */
static void pass_on(struct proxy *proxy, struct pipe *pipe, enum cut direction, const char *bytes, size_t len)
{
    size_t before = len_before_cut(proxy, direction, len);
    int fd = direction == CUT_REQUESTS ? pipe->server : pipe->client;

    if (!send_all(fd, bytes, before))
        close_end(&pipe->client);
    if (before < len)
        close_both(pipe);
}

/* Once it has read to the end, the server has executed what it read, and closes its side. */
static void end_after_request(struct pipe *pipe)
{
    pipe->mute = true;
    shutdown(pipe->server, SHUT_WR);
}

/* Returns true when this is the exchange of the fault. */
static bool begin_exchange(struct proxy *proxy, struct pipe *pipe)
{
    if (pipe->asking)
        return false;
    pipe->asking = true;
    return ++proxy->exchanges == proxy->fault_at;
}

static void read_client(struct proxy *proxy, struct pipe *pipe)
{
    char bytes[65536];
    ssize_t n = read(pipe->client, bytes, sizeof(bytes));
    bool fails;

    if (n <= 0) {
        close_end(&pipe->client);
        if (!pipe->held && pipe->len == 0)
            close_end(&pipe->server);
        return;
    }
    if (proxy->hold_at && memmem(bytes, (size_t)n, proxy->hold_at, strlen(proxy->hold_at))) {
        pipe->held = true;
        proxy->hold_at = NULL;
    }
    if (proxy->swallow_at && memmem(bytes, (size_t)n, proxy->swallow_at, strlen(proxy->swallow_at))) {
        pipe->frozen = true;
        proxy->swallow_at = NULL;
    }
    fails = begin_exchange(proxy, pipe);
    pipe->held |= fails && !proxy->drops;
    if (pipe->len == 0)
        pipe->due_ms = now_ms() + proxy->delay_ms;
    if (pipe->held || pipe->len > 0 || proxy->delay_ms > 0)
        keep(pipe, bytes, (size_t)n);
    else
        pass_on(proxy, pipe, CUT_REQUESTS, bytes, (size_t)n);
    if (fails && proxy->drops)
        end_after_request(pipe);
    else if (fails)
        close_end(&pipe->client);
}

static void read_server(struct proxy *proxy, struct pipe *pipe)
{
    char bytes[65536];
    ssize_t n = read(pipe->server, bytes, sizeof(bytes));

    pipe->asking = false;
    if (n <= 0) {
        close_end(&pipe->server);
        close_end(&pipe->client);
    } else if (pipe->client < 0 || pipe->frozen) {
        proxy->unheard += (size_t)n;
    } else if (pipe->mute) {
        ; /* the answer that is lost */
    } else {
        pass_on(proxy, pipe, CUT_ANSWERS, bytes, (size_t)n);
    }
}

/* ---- what is late ---- */

static bool is_late(const struct pipe *pipe)
{
    return pipe->len > 0 && !pipe->held && pipe->server >= 0;
}

/* Until the first of what is late is due; -1: nothing is. */
static int time_left(const struct proxy *proxy)
{
    int64_t first = INT64_MAX, now = now_ms();

    for (size_t i = 0; i < proxy->n_pipes; i++) {
        if (is_late(&proxy->pipes[i]) && proxy->pipes[i].due_ms < first)
            first = proxy->pipes[i].due_ms;
    }
    return first == INT64_MAX ? -1 : first > now ? (int)(first - now) : 0;
}

/* A client that has gone meanwhile has closed behind its request. */
static void pass_on_late(struct proxy *proxy)
{
    for (size_t i = 0; i < proxy->n_pipes; i++) {
        struct pipe *pipe = &proxy->pipes[i];

        if (!is_late(pipe) || pipe->due_ms > now_ms())
            continue;
        (void)send_all(pipe->server, pipe->bytes, pipe->len); /* a server that is gone is read to its end */
        pipe->len = 0;
        if (pipe->client < 0)
            shutdown(pipe->server, SHUT_WR);
    }
}

static void turn(struct proxy *proxy, const struct pollfd *fds, size_t n_pipes)
{
    char drop[64];

    if (fds[0].revents)
        (void)!read(proxy->wake[0], drop, sizeof(drop));
    for (size_t i = 0; i < n_pipes; i++) {
        struct pipe *pipe = &proxy->pipes[i];

        if (fds[2 + 2 * i].revents && pipe->client == fds[2 + 2 * i].fd)
            read_client(proxy, pipe);
        if (fds[3 + 2 * i].revents && pipe->server == fds[3 + 2 * i].fd)
            read_server(proxy, pipe);
    }
    if (fds[1].revents)
        accept_client(proxy);
    pass_on_late(proxy);
    pthread_cond_broadcast(&proxy->moved);
}

static void *run(void *arg)
{
    struct proxy *proxy = arg;
    struct pollfd fds[2 + 2 * PIPES_MAX];

    pthread_mutex_lock(&proxy->lock);
    while (!proxy->stop) {
        size_t n = proxy->n_pipes;
        int timeout_ms = time_left(proxy);

        fds[0] = (struct pollfd){.fd = proxy->wake[0], .events = POLLIN};
        fds[1] = (struct pollfd){.fd = proxy->listener, .events = POLLIN};
        for (size_t i = 0; i < n; i++) {
            fds[2 + 2 * i] = (struct pollfd){.fd = proxy->pipes[i].client, .events = POLLIN};
            fds[3 + 2 * i] = (struct pollfd){.fd = proxy->pipes[i].server, .events = POLLIN};
        }
        pthread_mutex_unlock(&proxy->lock);
        poll(fds, 2 + 2 * n, timeout_ms);
        pthread_mutex_lock(&proxy->lock);
        turn(proxy, fds, n);
    }
    pthread_mutex_unlock(&proxy->lock);
    return NULL;
}

static void wake(struct proxy *proxy)
{
    (void)!write(proxy->wake[1], "w", 1);
}

/* ---- the test's thread ---- */

static int listen_on(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    if (fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0 && listen(fd, PIPES_MAX) == 0)
        return fd;
    fprintf(stderr, "proxy: cannot listen on %s: %s\n", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    return -1;
}

struct proxy *proxy_start(const char *path, const char *server_path)
{
    struct proxy *proxy = calloc(1, sizeof(*proxy));

    if (!proxy)
        return NULL;
    proxy->listener = listen_on(path);
    if (proxy->listener < 0 || pipe2(proxy->wake, O_CLOEXEC) != 0) {
        free(proxy);
        return NULL;
    }
    proxy->server_address.sun_family = AF_UNIX;
    snprintf(proxy->server_address.sun_path, sizeof(proxy->server_address.sun_path), "%s", server_path);
    pthread_mutex_init(&proxy->lock, NULL);
    pthread_cond_init(&proxy->moved, NULL);
    if (pthread_create(&proxy->thread, NULL, run, proxy) != 0)
        abort();
    return proxy;
}

void proxy_stop(struct proxy *proxy)
{
    if (!proxy)
        return;
    pthread_mutex_lock(&proxy->lock);
    proxy->stop = true;
    pthread_mutex_unlock(&proxy->lock);
    wake(proxy);
    pthread_join(proxy->thread, NULL);
    for (size_t i = 0; i < proxy->n_pipes; i++) {
        close_end(&proxy->pipes[i].client);
        close_end(&proxy->pipes[i].server);
        free(proxy->pipes[i].bytes);
    }
    close(proxy->listener);
    close(proxy->wake[0]);
    close(proxy->wake[1]);
    pthread_mutex_destroy(&proxy->lock);
    pthread_cond_destroy(&proxy->moved);
    free(proxy);
}

void proxy_hold(struct proxy *proxy)
{
    pthread_mutex_lock(&proxy->lock);
    for (size_t i = 0; i < proxy->n_pipes; i++)
        proxy->pipes[i].held = true;
    pthread_mutex_unlock(&proxy->lock);
}

void proxy_hold_at(struct proxy *proxy, const char *text)
{
    pthread_mutex_lock(&proxy->lock);
    proxy->hold_at = text;
    pthread_mutex_unlock(&proxy->lock);
}

void proxy_swallow_at(struct proxy *proxy, const char *text)
{
    pthread_mutex_lock(&proxy->lock);
    proxy->swallow_at = text;
    pthread_mutex_unlock(&proxy->lock);
}

void proxy_release(struct proxy *proxy)
{
    pthread_mutex_lock(&proxy->lock);
    for (size_t i = 0; i < proxy->n_pipes; i++) {
        struct pipe *pipe = &proxy->pipes[i];

        if (!pipe->held)
            continue;
        if (pipe->server >= 0)
            send_all(pipe->server, pipe->bytes, pipe->len);
        pipe->len = 0;
        pipe->held = pipe->client < 0; /* a dead client's connection stays with the server */
    }
    pthread_mutex_unlock(&proxy->lock);
    wake(proxy);
}

void proxy_cut_clients(struct proxy *proxy)
{
    pthread_mutex_lock(&proxy->lock);
    for (size_t i = 0; i < proxy->n_pipes; i++) {
        if (proxy->pipes[i].held && proxy->pipes[i].client >= 0)
            close_end(&proxy->pipes[i].client);
    }
    pthread_mutex_unlock(&proxy->lock);
    wake(proxy);
}

void proxy_set_away(struct proxy *proxy, bool away)
{
    pthread_mutex_lock(&proxy->lock);
    proxy->away = away;
    for (size_t i = 0; away && i < proxy->n_pipes; i++) {
        if (proxy->pipes[i].client >= 0)
            shutdown(proxy->pipes[i].client, SHUT_RDWR); /* the thread reads the end, and closes */
    }
    pthread_mutex_unlock(&proxy->lock);
    wake(proxy);
}

static void set_fault(struct proxy *proxy, bool drops, size_t n)
{
    pthread_mutex_lock(&proxy->lock);
    proxy->drops = drops;
    proxy->fault_at = n;
    proxy->exchanges = 0;
    pthread_mutex_unlock(&proxy->lock);
}

void proxy_drop_answer_of(struct proxy *proxy, size_t n)
{
    set_fault(proxy, true, n);
}

void proxy_delay_request_of(struct proxy *proxy, size_t n)
{
    set_fault(proxy, false, n);
}

size_t proxy_exchanges(struct proxy *proxy)
{
    size_t n;

    pthread_mutex_lock(&proxy->lock);
    n = proxy->exchanges;
    pthread_mutex_unlock(&proxy->lock);
    return n;
}

void proxy_set_delay(struct proxy *proxy, int ms)
{
    pthread_mutex_lock(&proxy->lock);
    proxy->delay_ms = ms;
    pthread_mutex_unlock(&proxy->lock);
}

static void set_cut(struct proxy *proxy, enum cut cut, size_t n)
{
    pthread_mutex_lock(&proxy->lock);
    proxy->cut = cut;
    proxy->cut_after = n;
    pthread_mutex_unlock(&proxy->lock);
}

void proxy_cut_requests_after(struct proxy *proxy, size_t n)
{
    set_cut(proxy, CUT_REQUESTS, n);
}

void proxy_cut_answers_after(struct proxy *proxy, size_t n)
{
    set_cut(proxy, CUT_ANSWERS, n);
}

bool proxy_end_cut(struct proxy *proxy)
{
    bool happened;

    pthread_mutex_lock(&proxy->lock);
    happened = proxy->cut == CUT_NOTHING;
    proxy->cut = CUT_NOTHING;
    pthread_mutex_unlock(&proxy->lock);
    return happened;
}

static size_t held(const struct proxy *proxy)
{
    size_t n = 0;

    for (size_t i = 0; i < proxy->n_pipes; i++)
        n += proxy->pipes[i].len;
    return n;
}

static size_t unheard(const struct proxy *proxy)
{
    return proxy->unheard;
}

/* The server closes its side of one whose client is gone when it has come to the end. */
static size_t without_orphans(const struct proxy *proxy)
{
    size_t n = PIPES_MAX;

    for (size_t i = 0; i < proxy->n_pipes; i++)
        n -= proxy->pipes[i].client < 0 && proxy->pipes[i].server >= 0;
    return n;
}

static bool wait_for(struct proxy *proxy, size_t (*count)(const struct proxy *), size_t n, int timeout_ms)
{
    struct timespec deadline;
    bool reached;

    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += timeout_ms / 1000 + 1;
    pthread_mutex_lock(&proxy->lock);
    while (!(reached = count(proxy) >= n)) {
        if (pthread_cond_timedwait(&proxy->moved, &proxy->lock, &deadline) != 0)
            break;
    }
    pthread_mutex_unlock(&proxy->lock);
    return reached;
}

bool proxy_wait_held(struct proxy *proxy, size_t n, int timeout_ms)
{
    return wait_for(proxy, held, n, timeout_ms);
}

bool proxy_wait_unheard(struct proxy *proxy, size_t n, int timeout_ms)
{
    return wait_for(proxy, unheard, n, timeout_ms);
}

bool proxy_wait_orphans(struct proxy *proxy, int timeout_ms)
{
    return wait_for(proxy, without_orphans, PIPES_MAX, timeout_ms);
}

void proxy_inject(struct proxy *proxy, const char *bytes)
{
    pthread_mutex_lock(&proxy->lock);
    for (size_t i = 0; i < proxy->n_pipes; i++) {
        if (proxy->pipes[i].client >= 0)
            send_all(proxy->pipes[i].client, bytes, strlen(bytes));
    }
    pthread_mutex_unlock(&proxy->lock);
}
