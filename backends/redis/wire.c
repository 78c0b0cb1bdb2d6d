/* Bytes in and out of the socket through hiredis, and answers to the waves they belong to. */
#include "tracking.h"

#include <errno.h>
#include <stdio.h>

/* hiredis moves what a partial write left over; this bounds how much that is. */
#define CHUNK_BYTES (256u * 1024)
/* One answer in our memory: the largest value there is, and room for what surrounds it. */
#define ANSWER_MAX_BYTES ((size_t)HF_VALUE_MAX + (64u << 20))

/* ---- answers ---- */

/* A full or protected server says so before it is asked anything, and closes. */
static void unasked(struct hf__conn *conn, const redisReply *reply)
{
    struct hf_shared_error error;

    if (!hf__reply_error(reply, &error)) {
        hf__conn_fail_link(conn, "the server sent an answer that nobody asked for");
        return;
    }
    if (error.class == HF_SHARED_ENTRY)
        error.class = HF_SHARED_LINK;
    hf__conn_fail(conn, &error);
}

/* The server could not read what we sent: it has said why, and closes. */
static bool is_last_word(struct hf__conn *conn, const redisReply *reply)
{
    struct hf_shared_error error;

    if (!hf__reply_error(reply, &error) || error.class != HF_SHARED_LINK)
        return false;
    hf__conn_fail(conn, &error);
    return true;
}

static void dispatch(struct hf__conn *conn, const redisReply *reply)
{
    struct hf__wave *wave = conn->first;
    size_t index;

    if (reply->type == REDIS_REPLY_PUSH) {
        hf__tracking_push(conn, reply);
        return;
    }
    if (!wave) {
        unasked(conn, reply);
        return;
    }
    if (is_last_word(conn, reply))
        return;
    index = wave->n_seen++;
    if (wave->n_seen == wave->n_replies) {
        conn->first = wave->next;
        if (!conn->first)
            conn->last = NULL;
        conn->credit_bytes = 0;
        conn->idle_due_ms = uv_now(conn->loop) + (uint64_t)conn->settings->heartbeat_ms;
    }
    wave->reply(wave, reply, index);
}

static void dispatch_all(struct hf__conn *conn)
{
    uint64_t attempt = conn->attempt;

    while (attempt == conn->attempt) {
        void *reply = NULL;

        if (redisGetReplyFromReader(conn->redis, &reply) != REDIS_OK) {
            hf__conn_fail_link(conn, "the server's answer cannot be understood: %.80s", conn->redis->errstr);
            return;
        }
        if (!reply)
            break;
        dispatch(conn, reply);
        freeReplyObject(reply);
    }
    if (attempt == conn->attempt)
        hf__conn_arm(conn);
}

/* ---- reading ---- */

/* A close that leaves something unread there is a reset here. */
static void read_failed(struct hf__conn *conn, int error_number)
{
    if (conn->redis->err == REDIS_ERR_EOF)
        hf__conn_fail_link(conn, "the server closed the connection");
    else if (error_number == ECONNRESET)
        hf__conn_fail_link(conn, "the server closed the connection: %.100s", conn->redis->errstr);
    else
        hf__conn_fail_link(conn, "reading from the server failed: %.100s", conn->redis->errstr);
}

static void credit(struct hf__conn *conn, size_t n_bytes)
{
    conn->credit_bytes += n_bytes;
    if (conn->first) {
        conn->first->due_ms += conn->credit_bytes / HF__BYTES_PER_MS;
        conn->first->allowed_ms += conn->credit_bytes / HF__BYTES_PER_MS;
    }
    conn->credit_bytes %= HF__BYTES_PER_MS;
}

/* Returns how many bytes came, or -1 when the connection has ended or been replaced. */
static long read_once(struct hf__conn *conn)
{
    uint64_t attempt = conn->attempt;
    size_t before = conn->redis->reader->len;
    size_t n;

    if (redisBufferRead(conn->redis) != REDIS_OK) {
        read_failed(conn, errno);
        return -1;
    }
    n = conn->redis->reader->len - before;
    if (conn->redis->reader->len > ANSWER_MAX_BYTES) {
        hf__conn_fail_link(conn, "the server's answer is longer than %zu bytes", ANSWER_MAX_BYTES);
        return -1;
    }
    credit(conn, n);
    dispatch_all(conn);
    return attempt == conn->attempt ? (long)n : -1;
}

void hf__wire_read(struct hf__conn *conn)
{
    long n;

    do
        n = read_once(conn);
    while (n > 0 && conn->tls && SSL_pending(conn->tls) > 0); /* bytes that the poll will not report */
}

void hf__wire_drain(struct hf__conn *conn)
{
    while (read_once(conn) > 0)
        ;
}

/* ---- writing ---- */

/* What the server said before it closed is a better reason than "Broken pipe". */
static void write_failed(struct hf__conn *conn)
{
    uint64_t attempt = conn->attempt;
    char why[101];

    snprintf(why, sizeof(why), "%.100s", conn->redis->errstr);
    conn->redis->err = 0; /* hiredis reads no more otherwise */
    hf__wire_drain(conn);
    if (attempt == conn->attempt)
        hf__conn_fail_link(conn, "writing to the server failed: %s", why);
}

/* Returns false without memory. */
static bool fill_hiredis(struct hf__conn *conn)
{
    size_t n = conn->out.len - conn->out_sent;

    if (n > CHUNK_BYTES)
        n = CHUNK_BYTES;
    if (redisAppendFormattedCommand(conn->redis, (const char *)conn->out.bytes + conn->out_sent, n) != REDIS_OK)
        return false;
    conn->out_sent += n;
    conn->hiredis_busy = true;
    return true;
}

void hf__wire_flush(struct hf__conn *conn)
{
    int done = 1, rc;

    while (done && (conn->hiredis_busy || conn->out_sent < conn->out.len)) {
        if (!conn->hiredis_busy && !fill_hiredis(conn)) {
            hf__conn_fail_link(conn, "out of memory: sending to the server");
            return;
        }
        if (redisBufferWrite(conn->redis, &done) != REDIS_OK) {
            write_failed(conn);
            return;
        }
        conn->hiredis_busy = !done;
    }
    if (done)
        hf__conn_empty_out(conn);
    /* TLS may have to read before it can write: then on_poll comes back here after reading. */
    done = done || (conn->tls && SSL_want_read(conn->tls));
    rc = hf__conn_watch(conn, done ? UV_READABLE : UV_READABLE | UV_WRITABLE);
    if (rc != 0)
        hf__conn_fail_link(conn, "cannot watch the connection: %s", uv_strerror(rc));
}
