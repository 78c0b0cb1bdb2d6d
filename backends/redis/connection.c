/* The connection's states, its waves and its one timer. */
#include "connection.h"

#include "fail.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* A drained output buffer larger than this is given back. */
#define OUT_KEEP_BYTES (4u << 20)
#define TIME_EVERY_MS 60000u

/* ---- states ---- */

#define TO(state) (1u << (state))

static const unsigned allowed_moves[] = {
    [HF__CONN_IDLE] = TO(HF__CONN_STARTING),
    [HF__CONN_STARTING] = TO(HF__CONN_RESOLVING) | TO(HF__CONN_DIALLING) | TO(HF__CONN_IDLE),
    [HF__CONN_RESOLVING] = TO(HF__CONN_DIALLING) | TO(HF__CONN_IDLE),
    [HF__CONN_DIALLING] = TO(HF__CONN_SECURING) | TO(HF__CONN_GREETING) | TO(HF__CONN_IDLE),
    [HF__CONN_SECURING] = TO(HF__CONN_GREETING) | TO(HF__CONN_IDLE),
    [HF__CONN_GREETING] = TO(HF__CONN_READY) | TO(HF__CONN_IDLE),
    [HF__CONN_READY] = TO(HF__CONN_IDLE),
};

void hf__conn_move(struct hf__conn *conn, enum hf__conn_state state)
{
    bool allowed = allowed_moves[conn->state] & TO(state);

    assert(allowed); /* see the drawing in connection.h */
    (void)allowed;
    conn->state = state;
}

/* ---- watching the socket ---- */

struct hf__poll {
    uv_poll_t handle;
    struct hf__conn *conn; /* NULL: closed, waiting for libuv to let go */
};

static void on_poll(uv_poll_t *handle, int status, int events)
{
    struct hf__poll *poll = handle->data;
    struct hf__conn *conn = poll->conn;
    uint64_t attempt;

    if (!conn)
        return;
    attempt = conn->attempt;
    if (conn->state == HF__CONN_DIALLING) {
        hf__dial_event(conn);
        return;
    }
    if (conn->state == HF__CONN_SECURING) {
        hf__dial_secure(conn);
        return;
    }
    if (status < 0 || (events & UV_READABLE)) /* an error is found by reading */
        hf__wire_read(conn);
    if (attempt == conn->attempt && conn->hiredis_busy)
        hf__wire_flush(conn);
}

static void on_poll_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static int make_poll(struct hf__conn *conn, int fd)
{
    struct hf__poll *poll = calloc(1, sizeof(*poll));
    int rc;

    if (!poll)
        return UV_ENOMEM;
    rc = uv_poll_init(conn->loop, &poll->handle, fd);
    if (rc != 0) {
        free(poll);
        return rc;
    }
    poll->handle.data = poll;
    poll->conn = conn;
    conn->poll = poll;
    conn->events_polled = 0;
    return 0;
}

int hf__conn_watch(struct hf__conn *conn, int events)
{
    int rc = 0;

    if (!conn->poll)
        rc = make_poll(conn, conn->redis ? conn->redis->fd : conn->fd);
    if (rc == 0 && conn->events_polled != events)
        rc = uv_poll_start(&conn->poll->handle, events, on_poll);
    if (rc == 0)
        conn->events_polled = events;
    return rc;
}

void hf__conn_unwatch(struct hf__conn *conn)
{
    if (!conn->poll)
        return;
    conn->poll->conn = NULL;
    uv_close((uv_handle_t *)&conn->poll->handle, on_poll_closed);
    conn->poll = NULL;
}

/* ---- the timer ---- */

static uint64_t ready_due(const struct hf__conn *conn)
{
    uint64_t due = conn->first ? conn->first->due_ms : conn->idle_due_ms;

    return !conn->ping_out && conn->time_due_ms < due ? conn->time_due_ms : due;
}

static uint64_t next_due(const struct hf__conn *conn)
{
    switch (conn->state) {
    case HF__CONN_IDLE: return UINT64_MAX;
    case HF__CONN_STARTING: return 0;
    case HF__CONN_DIALLING: return conn->address_due_ms;
    case HF__CONN_RESOLVING:
    case HF__CONN_SECURING:
    case HF__CONN_GREETING: return conn->connect_due_ms;
    case HF__CONN_READY: break;
    }
    return ready_due(conn);
}

static void send_ping(struct hf__conn *conn)
{
    struct hf__command_writer w = hf__conn_begin(conn);

    hf__command(&w, 1, conn->no_time ? "PING" : "TIME");
    conn->time_asked_ms = conn->clock->boot_ms(conn->clock);
    if (hf__conn_send(conn, &w, &conn->ping) != 0) {
        hf__conn_fail_link(conn, "%s", hf_errmsg());
        return;
    }
    conn->ping_out = true;
    conn->time_due_ms = conn->no_time ? UINT64_MAX : uv_now(conn->loop) + TIME_EVERY_MS;
}

/* Our own process may have been stopped while answers arrived: look once more before judging. */
static void answer_late(struct hf__conn *conn)
{
    uint64_t attempt = conn->attempt;
    uint64_t now;

    hf__wire_drain(conn);
    now = uv_now(conn->loop);
    if (attempt != conn->attempt || !conn->first || conn->first->due_ms > now)
        return;
    hf__conn_fail_link(conn, "no answer within %llu ms", (unsigned long long)conn->first->allowed_ms);
}

static void connecting_late(struct hf__conn *conn)
{
    static const char *const doing[] = {
        [HF__CONN_RESOLVING] = "looking up the name",
        [HF__CONN_SECURING] = "in the TLS handshake",
        [HF__CONN_GREETING] = "waiting for an answer to HELLO",
    };
    char name[HF__REDIS_HOST_MAX + 16];
    uint64_t attempt = conn->attempt;
    const char *where = doing[conn->state];

    if (conn->state == HF__CONN_GREETING)
        hf__wire_drain(conn);
    if (attempt == conn->attempt && conn->state != HF__CONN_READY)
        hf__conn_fail_link(conn, "cannot connect to %.100s: %d ms passed %s",
                           hf__redis_address_name(&conn->settings->address, name, sizeof(name)),
                           conn->settings->connect_timeout_ms, where);
}

static void on_timer(uv_timer_t *timer)
{
    struct hf__conn *conn = timer->data;

    conn->timer_ms = UINT64_MAX;
    if (next_due(conn) > uv_now(conn->loop)) {
        hf__conn_arm(conn);
        return;
    }
    switch (conn->state) {
    case HF__CONN_IDLE: return;
    case HF__CONN_STARTING: hf__dial(conn); break;
    case HF__CONN_DIALLING: hf__dial_late(conn); break;
    case HF__CONN_RESOLVING:
    case HF__CONN_SECURING:
    case HF__CONN_GREETING: connecting_late(conn); break;
    case HF__CONN_READY:
        if (conn->first && conn->first->due_ms <= uv_now(conn->loop))
            answer_late(conn);
        else
            send_ping(conn);
        break;
    }
    hf__conn_arm(conn);
}

/* A timer that is early finds nothing due and sets itself again, so only an earlier time has to be set. */
void hf__conn_arm(struct hf__conn *conn)
{
    uint64_t due = next_due(conn);
    uint64_t now = uv_now(conn->loop);

    if (due >= conn->timer_ms)
        return;
    conn->timer_ms = due;
    uv_timer_start(&conn->timer, on_timer, due > now ? due - now : 0, 0);
}

/* ---- waves ---- */

struct hf__command_writer hf__conn_begin(struct hf__conn *conn)
{
    if (conn->out_sent > conn->out.len / 2 && conn->out_sent > 65536) {
        memmove(conn->out.bytes, conn->out.bytes + conn->out_sent, conn->out.len - conn->out_sent);
        conn->out.len -= conn->out_sent;
        conn->out_sent = 0;
    }
    conn->out_mark = conn->out.len;
    return (struct hf__command_writer){.out = &conn->out};
}

static void set_deadline(struct hf__conn *conn, struct hf__wave *wave, size_t n_bytes)
{
    uv_update_time(conn->loop);
    wave->allowed_ms = (uint64_t)conn->settings->reply_timeout_ms + n_bytes / HF__BYTES_PER_MS;
    wave->due_ms = uv_now(conn->loop) + wave->allowed_ms;
    if (conn->last && conn->last->due_ms > wave->due_ms)
        wave->due_ms = conn->last->due_ms; /* it is answered behind that one */
}

int hf__conn_send(struct hf__conn *conn, struct hf__command_writer *w, struct hf__wave *wave)
{
    if (w->rc != 0) {
        conn->out.len = conn->out_mark;
        return w->rc;
    }
    set_deadline(conn, wave, conn->out.len - conn->out_mark);
    wave->n_replies = w->n_commands;
    wave->n_seen = 0;
    wave->next = NULL;
    if (conn->last)
        conn->last->next = wave;
    else
        conn->first = wave;
    conn->last = wave;
    hf__conn_arm(conn);
    return 0;
}

/* ---- beginning and ending ---- */

void hf__conn_empty_out(struct hf__conn *conn)
{
    if (conn->out_secret)
        explicit_bzero(conn->out.bytes, conn->out.len);
    conn->out_secret = false;
    conn->out_sent = 0;
    hf__bytes_reset(&conn->out);
    if (conn->out.capacity > OUT_KEEP_BYTES)
        hf__bytes_release(&conn->out);
}

static void close_socket(struct hf__conn *conn)
{
    hf__conn_unwatch(conn);
    redisFree(conn->redis); /* with its descriptor and TLS session */
    conn->redis = NULL;
    conn->tls = NULL;
    if (conn->fd >= 0)
        close(conn->fd);
    conn->fd = -1;
}

static void run_lost(struct hf__wave *wave, const struct hf_shared_error *error)
{
    struct hf_shared_error lost = *error;

    lost.class = HF_SHARED_LINK; /* whatever ended it, what was out is unanswered */
    lost.oom = false;
    while (wave) {
        struct hf__wave *next = wave->next;

        wave->lost(wave, &lost);
        wave = next;
    }
}

/* Returns true when nobody has opened or closed it in a `lost`. */
static bool end(struct hf__conn *conn, const struct hf_shared_error *error)
{
    struct hf__wave *waves = conn->first;
    uint64_t attempt = ++conn->attempt;

    if (conn->state != HF__CONN_IDLE)
        hf__conn_move(conn, HF__CONN_IDLE);
    if (conn->addresses)
        freeaddrinfo(conn->addresses);
    conn->addresses = conn->next_address = NULL;
    close_socket(conn);
    hf__conn_empty_out(conn);
    conn->hiredis_busy = false;
    conn->credit_bytes = 0;
    conn->first = conn->last = NULL;
    uv_timer_stop(&conn->timer);
    conn->timer_ms = UINT64_MAX;
    run_lost(waves, error);
    return attempt == conn->attempt;
}

void hf__conn_close(struct hf__conn *conn, const struct hf_shared_error *error)
{
    end(conn, error);
}

void hf__conn_fail(struct hf__conn *conn, const struct hf_shared_error *error)
{
    struct hf_shared_error copy = *error;

    if (end(conn, &copy))
        conn->events->down(conn->ctx, &copy);
}

void hf__conn_fail_link(struct hf__conn *conn, const char *format, ...)
{
    struct hf_shared_error error = {.class = HF_SHARED_LINK};
    va_list args;

    va_start(args, format);
    vsnprintf(error.reason, sizeof(error.reason), format, args);
    va_end(args);
    hf__conn_fail(conn, &error);
}

void hf__conn_open(struct hf__conn *conn)
{
    struct hf_shared_error error;

    hf__redis_error(&error, HF_SHARED_LINK, "connecting anew");
    end(conn, &error);
    if (conn->state != HF__CONN_IDLE)
        return; /* a `lost` has opened it */
    conn->attempt++;
    conn->dial_problem = 0;
    uv_update_time(conn->loop);
    conn->connect_due_ms = uv_now(conn->loop) + (uint64_t)conn->settings->connect_timeout_ms;
    hf__conn_move(conn, HF__CONN_STARTING);
    hf__conn_arm(conn);
}

/* ---- handles ---- */

void hf__conn_flush(struct hf__conn *conn)
{
    if (conn->state >= HF__CONN_GREETING && !conn->hiredis_busy && conn->out.len > conn->out_sent)
        hf__wire_flush(conn);
}

static void on_prepare(uv_prepare_t *handle)
{
    hf__conn_flush(handle->data);
}

static void on_resolved(uv_async_t *handle)
{
    struct hf__conn *conn = handle->data;

    if (conn->state == HF__CONN_RESOLVING)
        hf__dial_resolved(conn);
}

static void ping_reply(struct hf__wave *wave, const redisReply *reply, size_t index)
{
    struct hf__conn *conn = wave->ctx;
    int64_t answered_ms = conn->clock->boot_ms(conn->clock), redis_ms = -1;
    struct hf_shared_error error;

    (void)index;
    conn->ping_out = false;
    conn->timer_ms =
        UINT64_MAX; /* an idle connection sleeps until the next one is due, not until this one would have been late */
    hf__conn_arm(conn);
    if (!hf__reply_error(reply, &error)) {
        if (!hf__reply_time_ms(reply, &redis_ms))
            redis_ms = -1;
    } else if (error.class == HF_SHARED_LINK) {
        hf__conn_fail(conn, &error);
        return;
    } else if (error.class == HF_SHARED_AUTH) {
        conn->no_time = true;
    }
    conn->events->clock(conn->ctx, redis_ms, conn->time_asked_ms, answered_ms);
}

static void ping_lost(struct hf__wave *wave, const struct hf_shared_error *error)
{
    struct hf__conn *conn = wave->ctx;

    (void)error; /* whoever ended the connection tells */
    conn->ping_out = false;
}

int hf__conn_init(struct hf__conn *conn, uv_loop_t *loop, const struct hf__conn_settings *settings,
                  const struct hf__conn_events *events, void *ctx, struct hf_clock *clock)
{
    int rc;

    *conn = (struct hf__conn){
        .loop = loop,
        .settings = settings,
        .events = events,
        .ctx = ctx,
        .clock = clock,
        .fd = -1,
        .timer_ms = UINT64_MAX,
        .ping = {.reply = ping_reply, .lost = ping_lost, .ctx = conn},
    };
    snprintf(conn->session_key, sizeof(conn->session_key), "_hf:session:%s", settings->node);
    rc = uv_async_init(loop, &conn->resolved, on_resolved); /* the only one that can fail: first */
    if (rc != 0)
        return hf__fail(HF_EIO, "cannot watch for resolved names: %s", uv_strerror(rc));
    uv_timer_init(loop, &conn->timer);
    uv_prepare_init(loop, &conn->flusher);
    uv_prepare_start(&conn->flusher, on_prepare);
    conn->resolved.data = conn->timer.data = conn->flusher.data = conn;
    return 0;
}

void hf__conn_close_handles(struct hf__conn *conn)
{
    assert(conn->state == HF__CONN_IDLE); /* its waves have been told */
    hf__lookup_abandon(conn->lookup);
    conn->lookup = NULL;
    uv_close((uv_handle_t *)&conn->resolved, NULL);
    uv_close((uv_handle_t *)&conn->timer, NULL);
    uv_close((uv_handle_t *)&conn->flusher, NULL);
    hf__bytes_release(&conn->out);
}
