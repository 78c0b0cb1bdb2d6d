/* Opens connections to Redis, and moves bytes through them. */
#include "remote.h"

#include "bytes.h"
#include "fail.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <hiredis/hiredis_ssl.h>

/* hiredis moves what a partial write left over; this bounds how much that is. */
#define CHUNK_BYTES (256u * 1024)
/* An answer in our memory: the largest value there is, and room for what surrounds it. */
#define ANSWER_MAX_BYTES ((size_t)HF_VALUE_MAX + (64u << 20))
#define REPLY_ELEMENTS_MAX (64 << 20)

enum state { LOOKING_UP, DIALLING, SECURING, GREETING, READY, CLOSED };

/* A libuv watcher, which outlives its socket by a turn of the loop. */
struct watch {
    uv_poll_t handle;
    struct remote *remote; /* NULL: closed, waiting for libuv to let go */
};

struct remote {
    uv_loop_t *loop;
    const struct remote_settings *settings;
    const struct remote_events *events;
    void *ctx;
    int proto;

    enum state state;
    size_t n_uses; /* the timer's, and the look-up's while it is under way */
    uv_timer_t timer;
    int timeout_ms; /* see remote_expect() */
    uv_getaddrinfo_t lookup;
    struct addrinfo *addresses, *next_address;
    int dial_problem; /* errno of the last address */
    int fd;           /* before hiredis has it; -1: none */
    struct watch *watch;
    int events_polled;
    redisContext *redis;
    SSL *tls; /* the context's own */
    size_t n_greetings;

    struct hf_bytes out;
    size_t out_sent;
    bool hiredis_busy; /* it still has bytes to write */
};

/* ---- settings ---- */

/* Replace `*place` by a copy of `text`, if there is one. */
static int override(char **place, const char *text)
{
    char *copy;

    if (!text)
        return 0;
    copy = strdup(text);
    if (!copy)
        return hf__fail(HF_ENOMEM, "out of memory: the address of the shared tier");
    free(*place);
    *place = copy;
    return 0;
}

int remote_settings_init(const struct hf_options *options, struct remote_settings *ret_settings)
{
    struct remote_settings s = {
        .connect_timeout_ms = options->redis_connect_timeout_ms ? options->redis_connect_timeout_ms
                                                                : HF_REDIS_CONNECT_TIMEOUT_DEFAULT_MS,
        .reply_timeout_ms = options->redis_timeout_ms ? options->redis_timeout_ms : HF_REDIS_TIMEOUT_DEFAULT_MS,
    };
    int rc = hf__redis_address_parse(options->redis, &s.address);

    if (rc == 0)
        rc = override(&s.address.user, options->redis_user);
    if (rc == 0)
        rc = override(&s.address.password, options->redis_password);
    if (rc == 0 && s.address.tls)
        rc = hf__tls_context_new(options->redis_ca_file, &s.tls);
    if (rc != 0) {
        remote_settings_release(&s);
        return rc;
    }
    *ret_settings = s;
    return 0;
}

void remote_settings_release(struct remote_settings *settings)
{
    SSL_CTX_free(settings->tls);
    hf__redis_address_release(&settings->address);
    *settings = (struct remote_settings){0};
}

/* ---- the end ---- */

static void let_go(struct remote *remote)
{
    if (--remote->n_uses == 0)
        free(remote);
}

static void on_timer_closed(uv_handle_t *handle)
{
    let_go(handle->data);
}

static void on_watch_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void unwatch(struct remote *remote)
{
    if (!remote->watch)
        return;
    remote->watch->remote = NULL;
    uv_close((uv_handle_t *)&remote->watch->handle, on_watch_closed);
    remote->watch = NULL;
    remote->events_polled = 0;
}

static void close_socket(struct remote *remote)
{
    unwatch(remote);
    if (remote->redis)
        redisFree(remote->redis); /* with the TLS session */
    else if (remote->fd >= 0)
        close(remote->fd);
    remote->redis = NULL;
    remote->tls = NULL;
    remote->fd = -1;
}

void remote_close(struct remote *remote)
{
    if (!remote || remote->state == CLOSED)
        return;
    if (remote->state == LOOKING_UP)
        (void)uv_cancel((uv_req_t *)&remote->lookup); /* if it is running, it is let run */
    remote->state = CLOSED;
    close_socket(remote);
    hf__bytes_release(&remote->out);
    if (remote->addresses)
        uv_freeaddrinfo(remote->addresses);
    uv_close((uv_handle_t *)&remote->timer, on_timer_closed);
}

static void fail(struct remote *remote, const char *why)
{
    char sentence[256];

    if (remote->state == CLOSED)
        return;
    snprintf(sentence, sizeof(sentence), "%s", why); /* it may lie in what is closed now */
    remote_close(remote);
    remote->events->gone(remote->ctx, sentence);
}

static void fail_to_dial(struct remote *remote, const char *why)
{
    char name[HF__REDIS_HOST_MAX + 16], sentence[256];

    snprintf(sentence, sizeof(sentence), "cannot connect to %.100s: %.120s",
             hf__redis_address_name(&remote->settings->address, name, sizeof(name)), why);
    fail(remote, sentence);
}

/* ---- the timer ---- */

static void on_late(uv_timer_t *timer);

static void arm(struct remote *remote, int ms)
{
    if (ms > 0)
        (void)uv_timer_start(&remote->timer, on_late, (uint64_t)ms, 0); /* fails only without a callback */
    else
        (void)uv_timer_stop(&remote->timer);
}

static void dial_next(struct remote *remote);

static void on_late(uv_timer_t *timer)
{
    struct remote *remote = timer->data;
    char sentence[64];

    if (remote->state == DIALLING && remote->next_address) {
        remote->dial_problem = ETIMEDOUT;
        close_socket(remote);
        dial_next(remote);
        return;
    }
    if (remote->state != READY) {
        fail_to_dial(remote, "it took longer than the connect timeout");
        return;
    }
    snprintf(sentence, sizeof(sentence), "no answer within %d ms", remote->timeout_ms);
    fail(remote, sentence);
}

void remote_expect(struct remote *remote, int timeout_ms)
{
    remote->timeout_ms = timeout_ms;
    arm(remote, timeout_ms);
}

/* What keeps going is not late. */
static void went_on(struct remote *remote)
{
    if (remote->state == READY && remote->timeout_ms > 0)
        arm(remote, remote->timeout_ms);
}

/* ---- watching the socket ---- */

static void on_poll(uv_poll_t *handle, int status, int events);

static int make_watch(struct remote *remote, int fd)
{
    struct watch *watch = calloc(1, sizeof(*watch));
    int rc;

    if (!watch)
        return UV_ENOMEM;
    rc = uv_poll_init(remote->loop, &watch->handle, fd);
    if (rc != 0) {
        free(watch);
        return rc;
    }
    watch->handle.data = watch;
    watch->remote = remote;
    remote->watch = watch;
    return 0;
}

static void poll_for(struct remote *remote, int events)
{
    int rc = 0;

    if (!remote->watch)
        rc = make_watch(remote, remote->redis ? remote->redis->fd : remote->fd);
    if (rc == 0 && remote->events_polled != events)
        rc = uv_poll_start(&remote->watch->handle, events, on_poll);
    if (rc == 0)
        remote->events_polled = events;
    else
        fail(remote, uv_strerror(rc));
}

/* ---- reading ---- */

static void greeted(struct remote *remote, const redisReply *reply);

static void hand_out(struct remote *remote, void *reply)
{
    if (remote->state == GREETING)
        greeted(remote, reply);
    else
        remote->events->reply(remote->ctx, reply);
}

/* One reply, if it is there. */
static bool next_reply(struct remote *remote)
{
    redisReplyObjectFunctions *functions = remote->redis->reader->fn;
    void *reply = NULL;

    if (redisGetReplyFromReader(remote->redis, &reply) != REDIS_OK) {
        fail(remote, remote->redis->errstr);
        return false;
    }
    if (!reply)
        return false;
    hand_out(remote, reply);
    functions->freeObject(reply);
    return remote->state != CLOSED;
}

/* Returns whether to go on reading: bytes that TLS has taken in are not reported by the poll. */
static bool read_once(struct remote *remote)
{
    if (redisBufferRead(remote->redis) != REDIS_OK) {
        fail(remote,
             remote->redis->err == REDIS_ERR_EOF ? "the server closed the connection" : remote->redis->errstr);
        return false;
    }
    went_on(remote);
    if (remote->redis->reader->len > ANSWER_MAX_BYTES) {
        fail(remote, "an answer is longer than the largest value there is");
        return false;
    }
    while (next_reply(remote))
        ;
    return remote->state != CLOSED && remote->tls && SSL_pending(remote->tls) > 0;
}

/* ---- writing ---- */

static bool fill_hiredis(struct remote *remote)
{
    size_t n = remote->out.len - remote->out_sent;

    if (n > CHUNK_BYTES)
        n = CHUNK_BYTES;
    if (redisAppendFormattedCommand(remote->redis, (const char *)remote->out.bytes + remote->out_sent, n) !=
        REDIS_OK)
        return false;
    remote->out_sent += n;
    remote->hiredis_busy = true;
    return true;
}

/* What the server said before it closed is a better reason than "Broken pipe". */
static void write_failed(struct remote *remote)
{
    char why[128];

    snprintf(why, sizeof(why), "%s", remote->redis->errstr);
    remote->redis->err = 0; /* hiredis reads no more otherwise */
    (void)read_once(remote);
    fail(remote, why);
}

static bool write_once(struct remote *remote)
{
    int done = 1;

    if (!remote->hiredis_busy && !fill_hiredis(remote)) {
        fail(remote, remote->redis->errstr);
        return false;
    }
    if (redisBufferWrite(remote->redis, &done) != REDIS_OK) {
        write_failed(remote);
        return false;
    }
    remote->hiredis_busy = !done;
    went_on(remote);
    return done;
}

static void flush(struct remote *remote)
{
    bool more;

    do
        more = remote->hiredis_busy || remote->out_sent < remote->out.len;
    while (more && write_once(remote));
    if (remote->state == CLOSED)
        return;
    if (!more) {
        hf__bytes_release(&remote->out); /* there may be ten thousand idle ones */
        remote->out_sent = 0;
    }
    /* TLS may have to read before it can write. */
    poll_for(remote,
             !more || (remote->tls && SSL_want_read(remote->tls)) ? UV_READABLE : UV_READABLE | UV_WRITABLE);
}

int remote_send(struct remote *remote, const void *bytes, size_t len)
{
    int rc = hf__bytes_append(&remote->out, bytes, len);

    if (rc == 0)
        poll_for(remote, UV_READABLE | UV_WRITABLE);
    return rc;
}

void remote_read_with(struct remote *remote, redisReplyObjectFunctions *functions, void *privdata)
{
    remote->redis->reader->fn = functions;
    remote->redis->reader->privdata = privdata;
}

/* ---- greeting ---- */

/* Redis quotes what it does not understand, and our password is in it: of such an error nothing is told. */
static void refused(struct remote *remote, const redisReply *reply)
{
    char sentence[200];

    if (strncmp(reply->str, "ERR unknown", 11) == 0 || strncmp(reply->str, "ERR syntax", 10) == 0 ||
        strncmp(reply->str, "NOPROTO", 7) == 0)
        snprintf(sentence, sizeof(sentence), "the server does not understand HELLO: Redis 6.2 or newer is needed");
    else
        snprintf(sentence, sizeof(sentence), "the server refuses the connection: %.140s", reply->str);
    fail(remote, sentence);
}

static void greeted(struct remote *remote, const redisReply *reply)
{
    if (reply->type == REDIS_REPLY_PUSH)
        return;
    if (reply->type == REDIS_REPLY_ERROR) {
        refused(remote, reply);
        return;
    }
    if (--remote->n_greetings > 0)
        return;
    remote->state = READY;
    arm(remote, 0);
    remote->events->ready(remote->ctx);
}

/* `format` and what follows as redisCommand() takes them. */
static bool greet_with(struct remote *remote, const char *format, ...) __attribute__((format(printf, 2, 3)));
static bool greet_with(struct remote *remote, const char *format, ...)
{
    va_list args;
    int rc;

    va_start(args, format);
    rc = redisvAppendCommand(remote->redis, format, args);
    va_end(args);
    remote->n_greetings++;
    remote->hiredis_busy = true;
    return rc == REDIS_OK;
}

static void greet(struct remote *remote)
{
    const struct hf__redis_address *address = &remote->settings->address;
    bool done;

    remote->state = GREETING;
    if (address->password)
        done = greet_with(remote, "HELLO %d AUTH %s %s", remote->proto, address->user ? address->user : "default",
                          address->password);
    else
        done = greet_with(remote, "HELLO %d", remote->proto);
    if (done && address->db != 0)
        done = greet_with(remote, "SELECT %d", address->db);
    if (done)
        flush(remote);
    else
        fail_to_dial(remote, "out of memory");
}

/* ---- securing ---- */

static void secure(struct remote *remote)
{
    struct hf_shared_error error;

    switch (hf__tls_handshake(remote->tls, &error)) {
    case HF__TLS_DONE: greet(remote); return;
    case HF__TLS_WANT_READ: poll_for(remote, UV_READABLE); return;
    case HF__TLS_WANT_WRITE: poll_for(remote, UV_WRITABLE); return;
    case HF__TLS_FAILED:
    default: fail_to_dial(remote, error.reason); return;
    }
}

/* hiredis owns the session after this, and begins the handshake. */
static bool begin_tls(struct remote *remote)
{
    struct hf_shared_error error;
    SSL *session = NULL;
    bool known;

    if (hf__tls_session_new(remote->settings->tls, remote->settings->address.host, &session) != 0) {
        fail_to_dial(remote, hf_errmsg());
        return false;
    }
    if (redisInitiateSSL(remote->redis, session) == REDIS_OK) {
        remote->tls = session;
        return true;
    }
    known = hf__tls_refused(session, &error);
    SSL_free(session);
    fail_to_dial(remote, known ? error.reason : remote->redis->errstr);
    return false;
}

/* ---- dialling ---- */

/* These only help: a socket on which they fail works all the same. */
static void tune(int fd)
{
    int on = 1;

    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
}

/* Give the descriptor to a hiredis context. Returns false without memory. */
static bool hand_over(struct remote *remote)
{
    redisOptions options = {.type = REDIS_CONN_USERFD, .options = REDIS_OPT_NONBLOCK | REDIS_OPT_NO_PUSH_AUTOFREE};

    options.endpoint.fd = remote->fd;
    remote->redis = redisConnectWithOptions(&options);
    if (!remote->redis)
        return false;
    remote->fd = -1;
    remote->redis->reader->maxelements = REPLY_ELEMENTS_MAX;
    return remote->redis->err == 0;
}

static void dialled(struct remote *remote)
{
    arm(remote, remote->settings->connect_timeout_ms);
    if (!remote->settings->address.path)
        tune(remote->fd);
    if (!hand_over(remote)) {
        fail_to_dial(remote, "out of memory");
        return;
    }
    if (!remote->settings->address.tls) {
        greet(remote);
        return;
    }
    remote->state = SECURING;
    if (begin_tls(remote))
        secure(remote);
}

/* Begin to connect a new socket. Returns 0 (connected), EINPROGRESS, or another errno value. */
static int begin(struct remote *remote, const struct sockaddr *address, socklen_t len)
{
    remote->fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (remote->fd < 0)
        return errno;
    return connect(remote->fd, address, len) == 0 ? 0 : errno;
}

static void fail_with_errno(struct remote *remote, int problem)
{
    char text[80];

    fail_to_dial(remote, strerror_r(problem, text, sizeof(text)));
}

static void dial_path(struct remote *remote)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int problem;

    memcpy(address.sun_path, remote->settings->address.path, strlen(remote->settings->address.path));
    problem = begin(remote, (struct sockaddr *)&address, sizeof(address));
    if (problem == 0)
        dialled(remote);
    else if (problem == EINPROGRESS)
        poll_for(remote, UV_WRITABLE);
    else
        fail_with_errno(remote, problem);
}

/* Each address gets its share of the connect timeout, so that one that swallows packets does not cost it all. */
static void share_time(struct remote *remote)
{
    int n = 0;

    for (const struct addrinfo *a = remote->addresses; a; a = a->ai_next)
        n++;
    arm(remote, remote->settings->connect_timeout_ms / n + 1);
}

static void dial_next(struct remote *remote)
{
    while (remote->next_address) {
        const struct addrinfo *address = remote->next_address;
        int problem = begin(remote, address->ai_addr, address->ai_addrlen);

        remote->next_address = address->ai_next;
        if (problem == 0) {
            dialled(remote);
            return;
        }
        if (problem == EINPROGRESS) {
            share_time(remote);
            poll_for(remote, UV_WRITABLE);
            return;
        }
        remote->dial_problem = problem;
        close_socket(remote);
    }
    fail_with_errno(remote, remote->dial_problem);
}

static void dial_event(struct remote *remote)
{
    int problem = 0;
    socklen_t len = sizeof(problem);

    if (getsockopt(remote->fd, SOL_SOCKET, SO_ERROR, &problem, &len) != 0)
        problem = errno;
    if (problem == 0) {
        dialled(remote);
        return;
    }
    remote->dial_problem = problem;
    close_socket(remote);
    dial_next(remote);
}

static void on_looked_up(uv_getaddrinfo_t *lookup, int status, struct addrinfo *found)
{
    struct remote *remote = lookup->data;

    if (remote->state == CLOSED) {
        uv_freeaddrinfo(found);
    } else if (status != 0) {
        remote->state = DIALLING; /* there is nothing left to be cancelled */
        fail_to_dial(remote, uv_strerror(status));
    } else {
        remote->state = DIALLING;
        remote->addresses = remote->next_address = found;
        dial_next(remote);
    }
    let_go(remote);
}

/* A name may stand for several addresses; a literal goes the same way, which asks no server. */
static void look_up(struct remote *remote)
{
    const struct hf__redis_address *address = &remote->settings->address;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    char port[8];
    int rc;

    snprintf(port, sizeof(port), "%u", address->port);
    remote->lookup.data = remote;
    rc = uv_getaddrinfo(remote->loop, &remote->lookup, on_looked_up, address->host, port, &hints);
    if (rc == 0) {
        remote->state = LOOKING_UP;
        remote->n_uses++;
        return;
    }
    fail_to_dial(remote, uv_strerror(rc));
}

/* ---- events ---- */

static void on_poll(uv_poll_t *handle, int status, int events)
{
    struct remote *remote = ((struct watch *)handle->data)->remote;

    if (!remote)
        return;
    if (remote->state == DIALLING) {
        dial_event(remote);
        return;
    }
    if (remote->state == SECURING) {
        secure(remote);
        return;
    }
    if (status < 0 || (events & UV_READABLE)) { /* an error is found by reading */
        while (read_once(remote))
            ;
    }
    if (remote->state != CLOSED && (remote->hiredis_busy || remote->out_sent < remote->out.len))
        flush(remote);
}

/* Opening begins with the loop's next turn, so that nothing is told from within remote_open(). */
static void on_begin(uv_timer_t *timer)
{
    struct remote *remote = timer->data;

    arm(remote, remote->settings->connect_timeout_ms);
    if (remote->settings->address.path) {
        remote->state = DIALLING;
        dial_path(remote);
    } else {
        look_up(remote);
    }
}

struct remote *remote_open(uv_loop_t *loop, const struct remote_settings *settings, int proto,
                           const struct remote_events *events, void *ctx)
{
    struct remote *remote = calloc(1, sizeof(*remote));

    if (!remote)
        return NULL;
    *remote = (struct remote){.loop = loop,
                              .settings = settings,
                              .events = events,
                              .ctx = ctx,
                              .proto = proto,
                              .state = DIALLING,
                              .n_uses = 1,
                              .fd = -1};
    (void)uv_timer_init(loop, &remote->timer); /* cannot fail */
    remote->timer.data = remote;
    (void)uv_timer_start(&remote->timer, on_begin, 0, 0);
    return remote;
}
