/* Dials: from an address to a connected socket, secured if asked, in the hands of hiredis. */
#include "connection.h"

#include "fail.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <hiredis/hiredis_ssl.h>

/* Probes on an idle TCP connection, for middleboxes; a dead peer is found much earlier by the heartbeat. */
#define KEEPALIVE_IDLE_S 15
#define KEEPALIVE_INTERVAL_S 5
#define KEEPALIVE_COUNT 3

/* Bound what a hostile or mistaken server can make us allocate with a few bytes. */
#define REPLY_ELEMENTS_MAX (4 << 20)

static void fail_to_dial(struct hf__conn *conn, const char *why)
{
    char name[HF__REDIS_HOST_MAX + 16];

    hf__conn_fail_link(conn, "cannot connect to %.90s: %.60s",
                       hf__redis_address_name(&conn->settings->address, name, sizeof(name)), why);
}

static void fail_with_errno(struct hf__conn *conn, int error_number)
{
    char text[80];

    fail_to_dial(conn, strerror_r(error_number, text, sizeof(text)));
}

/* ---- a connected socket ---- */

/* These only help: a socket on which they fail works all the same. */
static void tune(int fd)
{
    int on = 1, idle = KEEPALIVE_IDLE_S, interval = KEEPALIVE_INTERVAL_S, count = KEEPALIVE_COUNT;

    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
}

/* Give the descriptor to a hiredis context. Returns false without memory. */
static bool hand_over(struct hf__conn *conn)
{
    redisOptions options = {.type = REDIS_CONN_USERFD, .options = REDIS_OPT_NONBLOCK | REDIS_OPT_NO_PUSH_AUTOFREE};

    options.endpoint.fd = conn->fd;
    conn->redis = redisConnectWithOptions(&options);
    if (!conn->redis)
        return false;
    conn->fd = -1;
    conn->redis->reader->maxelements = REPLY_ELEMENTS_MAX;
    return conn->redis->err == 0;
}

static void secured(struct hf__conn *conn)
{
    int rc = hf__conn_watch(conn, UV_READABLE);

    if (rc != 0)
        fail_to_dial(conn, uv_strerror(rc));
    else
        hf__greet(conn);
}

/* hiredis owns the session after this, and calls SSL_connect() a first time; with a fast server that may already be
 * all of the handshake. */
static bool begin_tls(struct hf__conn *conn)
{
    struct hf_shared_error error;
    SSL *session = NULL;
    bool refused;

    if (hf__tls_session_new(conn->settings->tls, conn->settings->address.host, &session) != 0) {
        fail_to_dial(conn, hf_errmsg());
        return false;
    }
    if (redisInitiateSSL(conn->redis, session) != REDIS_OK) {
        refused = hf__tls_refused(session, &error);
        SSL_free(session);
        if (refused)
            hf__conn_fail(conn, &error);
        else
            fail_to_dial(conn, conn->redis->errstr);
        return false;
    }
    conn->tls = session;
    return true;
}

void hf__dial_secure(struct hf__conn *conn)
{
    struct hf_shared_error error;
    int rc;

    switch (hf__tls_handshake(conn->tls, &error)) {
    case HF__TLS_DONE: secured(conn); return;
    case HF__TLS_FAILED: hf__conn_fail(conn, &error); return;
    case HF__TLS_WANT_READ: rc = hf__conn_watch(conn, UV_READABLE); break;
    case HF__TLS_WANT_WRITE:
    default: rc = hf__conn_watch(conn, UV_WRITABLE); break;
    }
    if (rc != 0)
        fail_to_dial(conn, uv_strerror(rc));
}

static void dialled(struct hf__conn *conn)
{
    if (!conn->settings->address.path)
        tune(conn->fd);
    if (!hand_over(conn)) {
        fail_to_dial(conn, "out of memory");
        return;
    }
    if (!conn->settings->address.tls) {
        secured(conn);
        return;
    }
    if (!begin_tls(conn))
        return;
    hf__conn_move(conn, HF__CONN_SECURING);
    hf__conn_arm(conn);
    hf__dial_secure(conn);
}

/* ---- one address after the other ---- */

/* Begin to connect a new socket. Returns 0 (connected), EINPROGRESS, or another errno value. */
static int begin(struct hf__conn *conn, const struct sockaddr *address, socklen_t len)
{
    int rc;

    conn->fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (conn->fd < 0)
        return errno;
    if (connect(conn->fd, address, len) == 0)
        return 0;
    if (errno != EINPROGRESS)
        return errno;
    rc = hf__conn_watch(conn, UV_WRITABLE);
    return rc == 0 ? EINPROGRESS : -rc;
}

static void give_up_socket(struct hf__conn *conn, int problem)
{
    conn->dial_problem = problem;
    hf__conn_unwatch(conn);
    if (conn->fd >= 0)
        close(conn->fd);
    conn->fd = -1;
}

static void dial_path(struct hf__conn *conn)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int problem;

    memcpy(address.sun_path, conn->settings->address.path, strlen(conn->settings->address.path));
    conn->address_due_ms = conn->connect_due_ms;
    problem = begin(conn, (struct sockaddr *)&address, sizeof(address));
    if (problem == 0)
        dialled(conn);
    else if (problem != EINPROGRESS)
        fail_with_errno(conn, problem);
}

/* Each address gets its share of the time that is left, so that one that swallows packets does not cost it all. */
static void share_time(struct hf__conn *conn)
{
    uint64_t now = uv_now(conn->loop);
    uint64_t left = conn->connect_due_ms > now ? conn->connect_due_ms - now : 0;
    uint64_t n = 0;

    for (const struct addrinfo *a = conn->next_address; a; a = a->ai_next)
        n++;
    conn->address_due_ms = now + left / (n ? n : 1);
}

static void dial_next(struct hf__conn *conn)
{
    while (conn->next_address) {
        const struct addrinfo *address = conn->next_address;
        int problem;

        share_time(conn);
        conn->next_address = address->ai_next;
        problem = begin(conn, address->ai_addr, address->ai_addrlen);
        if (problem == 0) {
            dialled(conn);
            return;
        }
        if (problem == EINPROGRESS) {
            hf__conn_arm(conn);
            return;
        }
        give_up_socket(conn, problem);
    }
    fail_with_errno(conn, conn->dial_problem);
}

void hf__dial_event(struct hf__conn *conn)
{
    int problem = 0;
    socklen_t len = sizeof(problem);

    if (getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &problem, &len) != 0)
        problem = errno;
    if (problem == 0) {
        dialled(conn);
        return;
    }
    give_up_socket(conn, problem);
    dial_next(conn);
}

void hf__dial_late(struct hf__conn *conn)
{
    give_up_socket(conn, ETIMEDOUT);
    dial_next(conn);
}

/* ---- from the address in the options ---- */

static void dial_addresses(struct hf__conn *conn, struct addrinfo *found)
{
    conn->addresses = conn->next_address = found;
    hf__conn_move(conn, HF__CONN_DIALLING);
    dial_next(conn);
}

void hf__dial_resolved(struct hf__conn *conn)
{
    struct addrinfo *found = NULL;
    const char *problem = "";

    if (!hf__lookup_take(conn->lookup, &found, &problem))
        return;
    hf__lookup_abandon(conn->lookup);
    conn->lookup = NULL;
    if (found)
        dial_addresses(conn, found);
    else
        fail_to_dial(conn, problem);
}

void hf__dial(struct hf__conn *conn)
{
    const struct hf__redis_address *address = &conn->settings->address;
    struct addrinfo *found;

    if (address->path) {
        hf__conn_move(conn, HF__CONN_DIALLING);
        dial_path(conn);
        return;
    }
    if (hf__lookup_literal(address->host, address->port, &found) == 0) {
        dial_addresses(conn, found);
        return;
    }
    hf__conn_move(conn, HF__CONN_RESOLVING);
    if (conn->lookup) /* of an attempt before: a name server that is silent costs one thread, however often we try */
        hf__dial_resolved(conn);
    else if (hf__lookup_start(address->host, address->port, &conn->resolved, &conn->lookup) != 0)
        fail_to_dial(conn, hf_errmsg());
}
