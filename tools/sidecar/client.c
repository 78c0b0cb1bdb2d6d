/* One client: reading, running in order, and writing. */
#include "client.h"

#include "call.h"
#include "command.h"
#include "errand.h"
#include "later.h"
#include "log.h"
#include "server.h"
#include "settings.h"
#include "tls_session.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#define UNREAD_PAUSE (256u * 1024) /* with so many bytes unread, no further command is run */
#define LATER_PAUSE 16384u         /* and with so many replies that are not ready */
#define IN_PAUSE (64u * 1024)      /* of what has arrived and cannot be run */
#define IN_STEP (16u * 1024)       /* room to read into, at least */
#define IN_AHEAD (1024u * 1024)    /* room is made for a large argument up to here, and then as it arrives */
#define IN_MAX (1ull << 30)        /* bytes of one command, as Redis bounds it */
#define BEFORE_AUTH_ARGS 10u       /* as Redis, too: who has no password must not make us allocate */
#define BEFORE_AUTH_BULK (16u * 1024)
#define BULK_BEYOND_VALUE 1024u /* of an argument that is longer than a value may be: it gets a proper error */
#define BULK_MAX_AT_LEAST (512u * 1024)
#define TLS_ANSWERS_PAUSE (16u * 1024) /* of what TLS itself answers, in bytes that wait to be sent */
#define PIECES_OF_TURN 4               /* of 64 KiB that are sealed and written at once */

/* ---- life ---- */

void client_ref(struct client *client)
{
    client->refs++;
}

void client_unref(struct client *client)
{
    if (--client->refs > 0)
        return;
    claims_drop(&client->server->claims, &client->claims);
    resp_release(&client->reader);
    reply_release(&client->out);
    hf__bytes_release(&client->writing);
    tls_session_free(client->tls);
    free(client->in);
    free(client);
}

static void enqueue(struct client_queue *queue, struct client *client, struct client **next_of_last)
{
    if (queue->last)
        *next_of_last = client;
    else
        queue->first = client;
    queue->last = client;
    client_ref(client);
    queue->n++;
}

void client_wake(struct client *client)
{
    struct client_queue *queue = &client->server->to_run;

    if (client->closed || client->in_to_run)
        return;
    client->in_to_run = true;
    enqueue(queue, client, queue->last ? &queue->last->next_to_run : NULL);
}

void client_dirty(struct client *client)
{
    struct client_queue *queue = &client->server->to_write;

    if (client->closed || client->in_to_write)
        return;
    client->in_to_write = true;
    enqueue(queue, client, queue->last ? &queue->last->next_to_write : NULL);
}

static void release_parts(struct client *client)
{
    struct client_state part;

    for (size_t i = 0; i < CLIENT_N_PARTS; i++) {
        part = client->parts[i];
        client->parts[i] = (struct client_state){0};
        if (part.state && part.release)
            part.release(client, part.state);
    }
    client->queue = NULL;
    client->queue_spoiled = false;
}

/* Answers that are ready are dropped; who is at work on another one finds that nobody waits for it. */
static void drop_laters(struct client *client)
{
    struct later *next;

    for (struct later *later = client->first_later; later; later = next) {
        next = later->next;
        later->client = NULL;
        if (later->is_ready)
            later_free(later);
    }
    client->first_later = NULL;
    client->last_later = NULL;
    client->n_later = 0;
    client->later_bytes = 0;
}

static void on_closed(uv_handle_t *handle)
{
    struct client *client = handle->data;
    struct server *server = client->server;

    client_unref(client);
    server_gone(server);
}

static void unlist(struct client *client)
{
    *client->previous = client->next;
    if (client->next)
        client->next->previous = client->previous;
    client->server->n_clients--;
}

void client_close(struct client *client)
{
    if (client->closed)
        return;
    client->closed = true;
    unlist(client);
    release_parts(client);
    drop_laters(client);
    client->waits_claims = false;
    if (!client->works)
        claims_drop(&client->server->claims, &client->claims);
    uv_close(&client->as.handle, on_closed);
}

void client_close_soon(struct client *client)
{
    client->closes = true;
    client_dirty(client);
}

bool client_set_name(char *place, struct hf_slice name)
{
    const char *text = name.data;
    size_t len = name.len < CLIENT_NAME_MAX ? name.len : CLIENT_NAME_MAX - 1;

    for (size_t i = 0; i < name.len; i++) {
        if (text[i] < '!' || text[i] > '~')
            return false;
    }
    if (len > 0)
        memcpy(place, text, len);
    place[len] = '\0';
    return true;
}

void client_reset(struct client *client)
{
    release_parts(client);
    client->proto = 2;
    client->out.proto = 2;
    client->name[0] = '\0';
    client->reply_mode = CLIENT_REPLY_ON;
    client->is_owner = false;
    client->user = settings_default_user(client->server->settings);
}

/* ---- running what has arrived ---- */

static bool may_run(const struct client *client)
{
    return !client->waits_worker && !client->waits_claims && !client->waits_reader && !client->closes &&
           !client->closed;
}

static void set_limits(struct client *client)
{
    uint64_t bulk_max = client->server->value_max + BULK_BEYOND_VALUE;

    client->reader.limits = (struct resp_limits){
        .args_max = client->user ? RESP_ARGS_MAX : BEFORE_AUTH_ARGS,
        .bulk_max = !client->user                  ? BEFORE_AUTH_BULK
                    : bulk_max > BULK_MAX_AT_LEAST ? (size_t)bulk_max
                                                   : BULK_MAX_AT_LEAST,
    };
}

static void protocol_error(struct client *client, int64_t rc)
{
    struct reply error = {.proto = client->proto};

    if (rc == HF_ENOMEM)
        reply_error(&error, "ERR out of memory: a command");
    else
        reply_error(&error, "ERR Protocol error: %s", client->reader.error);
    log_line(LOG_LEVEL_WARNING, "protocol", "client %s: %s", client->address, client->reader.error);
    client_push(client, &error);
    client_close_soon(client);
}

static void look_at_unread(struct client *client)
{
    client->waits_reader = client_unread(client) > UNREAD_PAUSE || client->n_later > LATER_PAUSE;
}

/* Run the complete commands at the beginning of `bytes`, as long as the client need not wait. Returns how many bytes they
 * took. */
static size_t run_commands(struct client *client, const char *bytes, size_t len)
{
    struct resp_command command;
    size_t used = 0;
    int64_t n;

    client->server->clock_ns = 0;
    while (used < len && may_run(client)) {
        set_limits(client);
        n = resp_next(&client->reader, bytes + used, len - used, &command);
        if (n < 0) {
            protocol_error(client, n);
            return len;
        }
        if (n == 0)
            break;
        if (command.argc > 0 && !call_run(client, &command))
            break;
        used += (size_t)n;
        look_at_unread(client);
    }
    resp_rest(&client->reader);
    return used;
}

static void forget_input(struct client *client)
{
    free(client->in);
    client->in = NULL;
    client->in_len = 0;
    client->in_capacity = 0;
}

/* Run what is kept, and keep the rest. */
static void run_input(struct client *client)
{
    size_t used = run_commands(client, client->in, client->in_len);

    client->in_len -= used;
    if (client->in_len == 0)
        forget_input(client);
    else if (used > 0)
        memmove(client->in, client->in + used, client->in_len);
}

void client_run(struct client *client)
{
    if (client->closed)
        return;
    if (may_run(client) && client->in_len > 0)
        run_input(client);
    if (client->ended && client->waits_long) {
        client_close(client);
        return;
    }
    if (client->ended && may_run(client)) /* and there is no complete command left */
        client->closes = true;
    client_dirty(client);
}

/* ---- reading ---- */

static bool make_room(struct client *client, size_t extra)
{
    size_t capacity = client->in_len + extra;
    char *in;

    if (capacity <= client->in_capacity)
        return true;
    in = realloc(client->in, capacity);
    if (!in)
        return false;
    client->in = in;
    client->in_capacity = capacity;
    return true;
}

/* A large argument is read into a buffer of its size at once; a very large one as fast as it arrives, so that a length that
 * is only claimed costs nothing. */
static size_t room_to_read(const struct client *client)
{
    size_t wants = resp_wants(&client->reader, client->in_len);
    size_t ahead = client->in_len > IN_AHEAD ? client->in_len : IN_AHEAD;

    wants = wants < ahead ? wants : ahead;
    return wants > IN_STEP ? wants : IN_STEP;
}

/* Where the next plain bytes go: into `shared` while none are kept. */
static uv_buf_t next_room(struct client *client, char *shared, unsigned size)
{
    if (client->in_len == 0)
        return uv_buf_init(shared, size);
    if (make_room(client, room_to_read(client)))
        return uv_buf_init(client->in + client->in_len, (unsigned)(client->in_capacity - client->in_len));
    return uv_buf_init(NULL, 0);
}

/* What is sealed is opened before another client reads, so that all can share its buffer. on_read gets UV_ENOBUFS for an empty
 * one. */
static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct client *client = handle->data;
    char *shared = client->server->read_buffer;

    (void)suggested;
    *buf = client->tls ? uv_buf_init(shared, SERVER_READ_BYTES) : next_room(client, shared, SERVER_READ_BYTES);
}

/* What was read into the shared buffer and could not be run is kept. */
static void run_shared(struct client *client, const char *bytes, size_t len)
{
    size_t used = run_commands(client, bytes, len);

    if (used == len || client->closed)
        return;
    if (!make_room(client, len - used)) {
        client_close(client);
        return;
    }
    memcpy(client->in, bytes + used, len - used);
    client->in_len = len - used;
}

static void take_input(struct client *client, const char *bytes, size_t len)
{
    if (client->in_len == 0) {
        run_shared(client, bytes, len);
        return;
    }
    client->in_len += len;
    run_input(client);
    if (client->in_len > IN_MAX)
        client_close(client);
}

static void end_input(struct client *client)
{
    client->ended = true;
    client_wake(client);
}

/* As much as the socket takes at once; the client is closed whether it hears or not. */
static void send_last(struct client *client)
{
    struct hf_bytes *sealed = tls_session_sealed(client->tls);
    uv_buf_t buf = uv_buf_init((char *)sealed->bytes, (unsigned)sealed->len);

    if (sealed->len > 0)
        (void)uv_try_write(&client->as.stream, &buf, 1);
}

static void close_broken(struct client *client)
{
    log_line(LOG_LEVEL_WARNING, "tls", "client %s: %s", client->address, hf_errmsg());
    if (client->writing.len == 0)
        send_last(client);
    client_close(client);
}

/* Open what the socket brought, and take it record by record. */
static void take_sealed(struct client *client, struct hf_slice sealed)
{
    char *shared = client->server->plain_buffer;
    uv_buf_t room;
    ssize_t n;

    tls_session_feed(client->tls, sealed);
    do {
        room = next_room(client, shared, TLS_SESSION_RECORD);
        n = room.base ? tls_session_read(client->tls, room.base, room.len) : UV_ENOBUFS;
        if (n > 0)
            take_input(client, room.base, (size_t)n);
    } while (n > 0 && !client->closed);
    if (n == TLS_SESSION_ENDED)
        end_input(client);
    else if (n == TLS_SESSION_BROKEN)
        close_broken(client);
    else if (n < 0)
        client_close(client);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct client *client = stream->data;

    if (n > 0) {
        client->server->counts.bytes_in += (uint64_t)n;
        client->active_ms = (int64_t)uv_now(client->server->loop);
        if (client->tls)
            take_sealed(client, hf__slice(buf->base, (size_t)n));
        else
            take_input(client, buf->base, (size_t)n);
    } else if (n == UV_EOF) {
        end_input(client);
    } else if (n < 0) {
        client_close(client);
    }
    client_dirty(client);
}

/* TLS answers by itself to who asks for new keys again and again. */
static bool owes_answers(const struct client *client)
{
    return client->tls && tls_session_sealed(client->tls)->len > TLS_ANSWERS_PAUSE;
}

/* Read as long as there is somewhere to put it. */
static void set_reading(struct client *client)
{
    bool read = !client->ended && !client->closes && !client->server->stopping && !owes_answers(client) &&
                (may_run(client) || client->in_len < IN_PAUSE);

    if (read == client->reading)
        return;
    client->reading = read;
    if (read)
        (void)uv_read_start(&client->as.stream, on_alloc, on_read); /* fails only for a stream that is closing */
    else
        uv_read_stop(&client->as.stream);
}

/* ---- replies ---- */

void client_push(struct client *client, struct reply *message)
{
    struct later *later = client->first_later ? later_new(client, NULL) : NULL;

    if (client->first_later && !later) {
        client->out.failed = true;
    } else if (later) {
        later->is_message = true;
        reply_release(&later->reply);
        later->reply = *message;
        *message = (struct reply){.proto = message->proto};
        later_done(later);
        return;
    }
    client->out.failed |= message->failed;
    reply_raw(&client->out, message->bytes.bytes, message->bytes.len);
    reply_release(message);
    client_dirty(client);
}

static bool may_leave(const struct later *later)
{
    return later->is_ready && !later->is_running &&
           (later->hold_lsn == 0 || hf_is_durable(later->server->store, later->hold_lsn));
}

/* A large reply changes hands, a small one is copied behind the others. */
static void to_out(struct client *client, struct later *later)
{
    client->out.failed |= later->reply.failed;
    if (later->is_silent)
        return;
    if (client->out.bytes.len == 0 && later->reply.bytes.len > 0) {
        hf__bytes_release(&client->out.bytes);
        client->out.bytes = later->reply.bytes;
        later->reply.bytes = (struct hf_bytes){0};
    } else {
        reply_raw(&client->out, later->reply.bytes.bytes, later->reply.bytes.len);
    }
}

void client_settle(struct client *client)
{
    struct later *later;

    while ((later = client->first_later) && may_leave(later)) {
        client->first_later = later->next;
        if (!later->next)
            client->last_later = NULL;
        client->n_later--;
        client->later_bytes -= later->reply.bytes.len;
        later_leaves(later);
        to_out(client, later);
        later_free(later);
    }
    client_dirty(client);
}

/* The answer is not true of the disk: what it would have said must not be said. */
static void fail_held(struct later *later, int code)
{
    const char *sentence = code == HF_ENOMEM ? "there was no memory to wait for the sync of the journal"
                                             : "the sync of the journal failed, and the store has stopped";
    bool was_write = later->command && (later->command->flags & COMMAND_WRITE);

    later->client->later_bytes -= later->reply.bytes.len;
    hf__bytes_reset(&later->reply.bytes);
    reply_failure(&later->reply, was_write ? HF_EUNKNOWN : code, sentence);
    later->client->later_bytes += later->reply.bytes.len;
    later->hold_lsn = 0;
}

void client_fail_held(struct client *client, int code)
{
    for (struct later *later = client->first_later; later; later = later->next) {
        if (later->is_ready && later->hold_lsn > 0 && !may_leave(later))
            fail_held(later, code);
    }
    client_settle(client);
}

/* ---- writing ---- */

size_t client_unread(const struct client *client)
{
    size_t in_tls = client->tls ? tls_session_unsent(client->tls) : 0;

    return client->out.bytes.len + in_tls + client->writing.len - client->written + client->later_bytes;
}

static void on_written(uv_write_t *request, int status)
{
    struct client *client = request->data;

    if (status == 0)
        client->server->counts.bytes_out += client->writing.len - client->written;
    hf__bytes_release(&client->writing);
    client->written = 0;
    if (status != 0)
        client_close(client);
    client_wake(client);
    client_dirty(client);
}

/* What goes to the socket next; empty: nothing. NULL: the client was closed. */
static struct hf_bytes *next_bytes(struct client *client)
{
    if (!client->tls)
        return &client->out.bytes;
    if (tls_session_seal(client->tls, &client->out.bytes) == 0)
        return tls_session_sealed(client->tls);
    close_broken(client);
    return NULL;
}

/* The socket takes no more at the moment: the rest goes when it does. */
static void write_rest(struct client *client, struct hf_bytes *bytes, size_t written)
{
    uv_buf_t rest;

    client->writing = *bytes;
    *bytes = (struct hf_bytes){0};
    client->written = written;
    client->write.data = client;
    rest = uv_buf_init((char *)client->writing.bytes + written, (unsigned)(client->writing.len - written));
    if (uv_write(&client->write, &client->as.stream, &rest, 1, on_written) != 0)
        client_close(client);
}

static void write_bytes(struct client *client, struct hf_bytes *bytes)
{
    uv_buf_t buf = uv_buf_init((char *)bytes->bytes, (unsigned)bytes->len);
    int n = uv_try_write(&client->as.stream, &buf, 1);

    if (n < 0 && n != UV_EAGAIN) {
        client_close(client);
        return;
    }
    n = n > 0 ? n : 0;
    client->server->counts.bytes_out += (uint64_t)n;
    if ((size_t)n < bytes->len)
        write_rest(client, bytes, (size_t)n);
    else
        hf__bytes_release(bytes);
}

/* Until the socket takes no more, or there is nothing left. Sealing costs time: what is beyond the turn's pieces is written when
 * the loop has been round. */
static void write_out(struct client *client)
{
    struct hf_bytes *bytes;
    unsigned pieces = 0;

    while (!client->closed && client->writing.len == 0 && (bytes = next_bytes(client)) && bytes->len > 0) {
        if (pieces++ < PIECES_OF_TURN)
            write_bytes(client, bytes);
        else
            write_rest(client, bytes, 0);
    }
}

static bool is_over(const struct client *client)
{
    const struct server *server = client->server;

    return client->out.failed || client_unread(client) > server->settings->output_max + server->value_max;
}

static void look_at_reader(struct client *client)
{
    bool waited = client->waits_reader;

    look_at_unread(client);
    if (waited && !client->waits_reader)
        client_wake(client);
}

static bool is_finished(const struct client *client)
{
    return client->closes && !client->first_later && client->out.bytes.len == 0 && client->writing.len == 0 &&
           !(client->tls && tls_session_unsent(client->tls) > 0);
}

/* With TLS the peer can tell that this is the end of all it gets, and that nobody cut it off. */
static void close_finished(struct client *client)
{
    if (client->tls) {
        tls_session_end(client->tls);
        send_last(client);
    }
    client_close(client);
}

/* It is of no use to say so to the client. */
static void close_over_limit(struct client *client)
{
    log_line(LOG_LEVEL_WARNING, "limit", "client %s was closed: it has %zu bytes of replies unread",
             client->address, client_unread(client));
    client_close(client);
}

void client_flush(struct client *client)
{
    if (client->closed)
        return;
    write_out(client);
    if (!client->closed && is_over(client))
        close_over_limit(client);
    if (!client->closed && is_finished(client))
        close_finished(client);
    if (client->closed)
        return;
    look_at_reader(client);
    set_reading(client);
}

/* ---- time ---- */

static bool reads_too_slowly(struct client *client, int64_t now_ms)
{
    if (client_unread(client) <= client->server->settings->output_soft_max)
        client->slow_since_ms = 0;
    else if (client->slow_since_ms == 0)
        client->slow_since_ms = now_ms;
    return client->slow_since_ms > 0 && now_ms - client->slow_since_ms >= SETTINGS_OUTPUT_SOFT_MS;
}

/* Who is still in the handshake has not told who it is, either. */
static bool is_known(const struct client *client)
{
    return client->user && (!client->tls || tls_session_is_open(client->tls));
}

void client_tick(struct client *client, int64_t now_ms)
{
    int idle_ms = client->server->settings->idle_timeout_ms;
    bool idle = idle_ms > 0 && client->n_subscriptions == 0 && !client->waits_worker && !errand_of(client) &&
                now_ms - client->active_ms >= idle_ms;

    if (reads_too_slowly(client, now_ms))
        close_over_limit(client);
    else if (idle || (!is_known(client) && now_ms - client->connected_ms >= SETTINGS_AUTH_MS))
        client_close(client);
    else
        errand_tick(client);
}

/* ---- a new one ---- */

static void name_tcp_peer(struct client *client)
{
    struct sockaddr_storage peer;
    char host[INET6_ADDRSTRLEN] = "?";
    int len = sizeof(peer), port = 0;

    if (uv_tcp_getpeername(&client->as.tcp, (struct sockaddr *)&peer, &len) != 0)
        return;
    if (peer.ss_family == AF_INET6) {
        uv_ip6_name((struct sockaddr_in6 *)&peer, host, sizeof(host));
        port = ntohs(((struct sockaddr_in6 *)&peer)->sin6_port);
        snprintf(client->address, sizeof(client->address), "[%s]:%d", host, port);
        return;
    }
    uv_ip4_name((struct sockaddr_in *)&peer, host, sizeof(host));
    port = ntohs(((struct sockaddr_in *)&peer)->sin_port);
    snprintf(client->address, sizeof(client->address), "%s:%d", host, port);
}

static void list(struct client *client)
{
    struct server *server = client->server;

    client->next = server->clients;
    client->previous = &server->clients;
    if (client->next)
        client->next->previous = &client->next;
    server->clients = client;
    server->n_clients++;
    server->counts.connections++;
}

static struct client *new_client(struct server *server)
{
    struct client *client = calloc(1, sizeof(*client));

    if (!client)
        return NULL;
    client->server = server;
    client->id = ++server->next_id;
    client->proto = 2;
    client->out.proto = 2;
    client->refs = 1;
    client->user = settings_default_user(server->settings);
    client->connected_ms = client->active_ms = (int64_t)uv_now(server->loop);
    return client;
}

/* With TLS it could not understand the sentence before its handshake. */
static void refuse(struct client *client)
{
    static const char sentence[] = "-ERR max number of clients reached\r\n";
    uv_buf_t buf = uv_buf_init((char *)sentence, sizeof(sentence) - 1);

    log_line(LOG_LEVEL_WARNING, "limit", "a client was refused: %zu are connected", client->server->n_clients - 1);
    client->server->counts.rejected++;
    if (!client->tls)
        (void)uv_try_write(&client->as.stream, &buf, 1); /* it is closed whether it hears or not */
    client_close(client);
}

static int take(struct client *client, struct listener *listener)
{
    int rc = listener->is_unix ? uv_pipe_init(client->server->loop, &client->as.pipe, 0)
                               : uv_tcp_init(client->server->loop, &client->as.tcp);

    if (rc != 0)
        return rc;
    client->as.handle.data = client;
    list(client);
    rc = uv_accept(&listener->as.stream, &client->as.stream);
    if (rc != 0)
        return rc;
    if (!listener->is_unix) {
        (void)uv_tcp_nodelay(&client->as.tcp, 1); /* only slower without */
        (void)uv_tcp_keepalive(&client->as.tcp, 1, 300);
        name_tcp_peer(client);
    }
    return 0;
}

static bool begin_tls(struct client *client)
{
    client->tls = tls_session_new(client->server->settings->tls);
    return client->tls != NULL;
}

void client_accept(struct listener *listener)
{
    struct server *server = listener->server;
    struct client *client = new_client(server);

    listener->waits = !client; /* nobody else is heard of before this one is accepted */
    if (!client)
        return;
    if (listener->is_unix)
        snprintf(client->address, sizeof(client->address), "%s:0", server->unix_path);
    client->is_unix = listener->is_unix;
    if (take(client, listener) != 0 || (listener->is_tls && !begin_tls(client)))
        client_close(client);
    else if (server->n_clients > server->settings->max_clients || server->stopping)
        refuse(client);
    else
        client_dirty(client);
}
