/* The loop's turns, the listeners, and what other threads post. */
#include "server.h"

#include "client.h"
#include "fail.h"
#include "settings.h"
#include "tls_session.h"

#include <assert.h>
#include <errno.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define BACKLOG 511
#define TICK_MS 1000
#define SLOW_MS 10u      /* a sync on the loop that takes as long is slow */
#define SLOW_MAX_MS 100u /* the slow ones took so long, less one for each other: then one a second is tried */

/* ---- posts ---- */

void server_post(struct server *server, struct post *post)
{
    bool was_empty;

    post->next = NULL;
    pthread_mutex_lock(&server->lock);
    was_empty = !server->posts;
    *server->posts_end = post;
    server->posts_end = &post->next;
    if (was_empty && !server->deaf)
        (void)uv_async_send(&server->posted); /* fails only for a handle that is closed */
    pthread_mutex_unlock(&server->lock);
}

static void run_posts(struct server *server)
{
    struct post *post, *next;

    pthread_mutex_lock(&server->lock);
    post = server->posts;
    server->posts = NULL;
    server->posts_end = &server->posts;
    pthread_mutex_unlock(&server->lock);
    for (; post; post = next) {
        next = post->next;
        post->run(post);
    }
}

/* The turn that follows runs them. */
static void on_posted(uv_async_t *async)
{
    (void)async;
}

/* ---- held replies ---- */

struct durable {
    struct post post;
    struct server *server;
    int code;
};

static struct client *take_holding(struct server *server)
{
    struct client *client = server->holding;

    server->holding = NULL;
    return client;
}

/* Those that still hold something come back to the list. */
static void settle_holding(struct server *server, int code)
{
    struct client *client = take_holding(server), *next;

    for (; client; client = next) {
        next = client->next_holding;
        client->is_holding = false;
        if (code != 0)
            client_fail_held(client, code);
        else
            client_settle(client);
        if (client->first_later && !client->closed)
            server_hold(server, client, 0);
        client_unref(client);
    }
}

static void tell_durable(struct post *post)
{
    struct durable *durable = (struct durable *)post;

    settle_holding(durable->server, durable->code);
    free(durable);
}

/* On the thread that has synced. */
static void on_durable(void *ctx, const struct hf_result *result)
{
    struct durable *durable = ctx;

    durable->code = result->code;
    server_post(durable->server, &durable->post);
}

/* All who have sent something since the last turn wait for the disk now: the loop syncs, too, and nobody is woken for it, neither
 * to sync nor to answer. Where somebody has only read, or the disk is slow, the next turn's work is done meanwhile. */
static bool may_sync(const struct server *server)
{
    return server->n_unsynced >= server->n_heard && server->slow_ms < SLOW_MAX_MS;
}

static void note_sync(struct server *server, uint64_t took_ms)
{
    if (took_ms < SLOW_MS)
        server->slow_ms -= server->slow_ms > 0;
    else
        server->slow_ms = server->slow_ms + took_ms < SLOW_MAX_MS ? server->slow_ms + took_ms : SLOW_MAX_MS;
}

static void sync_now(struct server *server)
{
    uint64_t began_ns = uv_hrtime();
    int rc = hf_wait_durable(server->store, server->hold_lsn);

    note_sync(server, (uv_hrtime() - began_ns) / 1000000);
    settle_holding(server, rc);
}

/* One question for all that is held by now. False: it could not be asked, and what is held has failed. */
static bool ask_durable(struct server *server)
{
    struct durable *durable = calloc(1, sizeof(*durable));
    int rc;

    if (durable)
        *durable = (struct durable){.post.run = tell_durable, .server = server};
    rc = durable ? hf_when_durable(server->store, server->hold_lsn, on_durable, durable) : HF_ENOMEM;
    if (rc != 0) {
        free(durable);
        settle_holding(server, rc == HF_ENOMEM ? HF_ENOMEM : HF_ESTOPPED);
    }
    return rc == 0;
}

static void see_to_sync(struct server *server)
{
    uint64_t before_lsn = server->asked_lsn;
    bool by_loop = may_sync(server);

    if (server->hold_lsn <= before_lsn)
        return;
    server->asked_lsn = server->hold_lsn;
    server->n_unsynced = 0;
    if (by_loop)
        sync_now(server);
    else if (!ask_durable(server))
        server->asked_lsn = before_lsn;
}

void server_hold(struct server *server, struct client *client, uint64_t lsn)
{
    if (lsn > server->hold_lsn)
        server->hold_lsn = lsn;
    if (client->closed)
        return;
    if (lsn > server->asked_lsn && client->hold_lsn <= server->asked_lsn)
        server->n_unsynced++;
    if (lsn > client->hold_lsn)
        client->hold_lsn = lsn;
    if (client->is_holding)
        return;
    client->is_holding = true;
    client->next_holding = server->holding;
    server->holding = client;
    client_ref(client);
}

/* ---- a turn ---- */

static void run_waiting(struct server *server)
{
    struct client_queue *queue = &server->to_run;
    struct client *client;

    while ((client = queue->first)) {
        queue->first = client->next_to_run;
        queue->last = queue->first ? queue->last : NULL;
        client->next_to_run = NULL;
        client->in_to_run = false;
        queue->n--;
        client_run(client);
        client_unref(client);
    }
}

static void write_ready(struct server *server)
{
    struct client_queue *queue = &server->to_write;
    struct client *client;

    while ((client = queue->first)) {
        queue->first = client->next_to_write;
        queue->last = queue->first ? queue->last : NULL;
        client->next_to_write = NULL;
        client->in_to_write = false;
        queue->n--;
        client_flush(client);
        client_unref(client);
    }
}

static void turn(struct server *server)
{
    server->n_heard = server->to_write.n; /* what is posted makes others write, too */
    run_posts(server);
    do {
        run_waiting(server);
        see_to_sync(server);
        write_ready(server);
    } while (server->to_run.first);
}

static void on_prepare(uv_prepare_t *prepare)
{
    turn(prepare->data);
}

static void on_check(uv_check_t *check)
{
    turn(check->data);
}

static void on_second(uv_timer_t *timer)
{
    struct server *server = timer->data;
    struct client *next;

    server->slow_ms -= server->slow_ms > 0;
    for (struct client *client = server->clients; client; client = next) {
        next = client->next;
        client_tick(client, (int64_t)uv_now(server->loop));
    }
    for (size_t i = 0; i < server->n_listeners; i++) {
        if (server->listeners[i].waits)
            client_accept(&server->listeners[i]);
    }
}

/* ---- listening ---- */

static void on_connection(uv_stream_t *stream, int status)
{
    struct listener *listener = stream->data;

    if (status == 0)
        client_accept(listener);
}

static struct listener *next_listener(struct server *server)
{
    struct listener *listener = &server->listeners[server->n_listeners];

    listener->server = server;
    listener->as.handle.data = listener;
    return listener;
}

static int listen_failed(int rc, const char *address, int port)
{
    return hf__fail(HF_EIO, "cannot listen on %s port %d: %s", address, port, uv_strerror(rc));
}

static int listen_tcp(struct server *server, const char *address, int port, bool is_tls)
{
    struct listener *listener = next_listener(server);
    struct sockaddr_storage where;
    int rc = uv_ip4_addr(address, port, (struct sockaddr_in *)&where);

    if (rc != 0)
        rc = uv_ip6_addr(address, port, (struct sockaddr_in6 *)&where);
    if (rc != 0)
        return hf__fail(HF_ECONFIG, "bind: found \"%s\", expected an IPv4 or IPv6 address", address);
    rc = uv_tcp_init(server->loop, &listener->as.tcp);
    if (rc != 0)
        return listen_failed(rc, address, port);
    listener->as.handle.data = listener;
    listener->is_tls = is_tls;
    server->is_reachable |= !settings_is_loopback(address);
    server->n_listeners++;
    rc = uv_tcp_bind(&listener->as.tcp, (struct sockaddr *)&where,
                     where.ss_family == AF_INET6 ? UV_TCP_IPV6ONLY : 0);
    if (rc == 0)
        rc = uv_listen(&listener->as.stream, BACKLOG, on_connection);
    return rc == 0 ? 0 : listen_failed(rc, address, port);
}

/* The owner of the store's directory has died if the lock was ours to take, and its socket with it. Only a socket is removed. */
static int remove_old_socket(const char *path)
{
    struct stat st;

    if (lstat(path, &st) != 0)
        return 0;
    if (!S_ISSOCK(st.st_mode))
        return hf__fail(HF_ECONFIG, "unix socket %s: found something else there, expected nothing or a socket",
                        path);
    return unlink(path) == 0 ? 0 : hf__fail_errno(HF_EIO, errno, "cannot remove the old socket %s", path);
}

/* The mask makes it 0600 from its first moment on. */
static int bind_unix(uv_pipe_t *pipe, const char *path)
{
    mode_t mask = umask(0177);
    int rc = uv_pipe_bind(pipe, path);

    umask(mask);
    return rc;
}

static int listen_unix(struct server *server)
{
    struct listener *listener = next_listener(server);
    int rc;

    rc = remove_old_socket(server->unix_path);
    if (rc != 0)
        return rc;
    rc = uv_pipe_init(server->loop, &listener->as.pipe, 0);
    if (rc != 0)
        return hf__fail(HF_EIO, "cannot listen on %s: %s", server->unix_path, uv_strerror(rc));
    listener->as.handle.data = listener;
    listener->is_unix = true;
    server->n_listeners++;
    rc = bind_unix(&listener->as.pipe, server->unix_path);
    if (rc == 0)
        rc = uv_listen(&listener->as.stream, BACKLOG, on_connection);
    return rc == 0 ? 0 : hf__fail(HF_EIO, "cannot listen on %s: %s", server->unix_path, uv_strerror(rc));
}

static int take_unix_path(struct server *server, const char *path)
{
    static_assert(sizeof(server->unix_path) == sizeof(((struct sockaddr_un *)0)->sun_path), "a path that binds");

    if (strlen(path) >= sizeof(server->unix_path))
        return hf__fail(HF_ECONFIG, "unix socket %s: found %zu bytes, expected a path of at most %zu", path,
                        strlen(path), sizeof(server->unix_path) - 1);
    memcpy(server->unix_path, path, strlen(path) + 1);
    return 0;
}

static int listen_port(struct server *server, int port, bool is_tls)
{
    const struct settings *settings = server->settings;
    int rc = 0;

    for (size_t i = 0; rc == 0 && port > 0 && i < settings->n_binds; i++)
        rc = listen_tcp(server, settings->binds[i], port, is_tls);
    return rc;
}

int server_start(struct server *server)
{
    const struct settings *settings = server->settings;
    int rc = listen_port(server, settings->port, false);

    static_assert(SERVER_LISTENERS_MAX == 2 * SETTINGS_BINDS_MAX + 1, "a place for each");
    if (rc == 0)
        rc = listen_port(server, settings->tls_port, true);
    if (rc == 0 && settings->unixsocket && *settings->unixsocket)
        rc = take_unix_path(server, settings->unixsocket);
    if (rc == 0 && *server->unix_path)
        rc = listen_unix(server);
    return rc;
}

/* ---- beginning and end ---- */

static void make_run_id(char run_id[41])
{
    unsigned char random[20] = {0};

    (void)RAND_bytes(random, sizeof(random)); /* it names this run in INFO, and protects nothing */
    for (size_t i = 0; i < sizeof(random); i++)
        snprintf(run_id + 2 * i, 3, "%02x", random[i]);
}

static int64_t wall_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int start_handles(struct server *server)
{
    uv_loop_t *loop = server->loop;

    if (uv_async_init(loop, &server->posted, on_posted) != 0)
        return hf__fail(HF_EIO, "cannot watch for what other threads post");
    uv_prepare_init(loop, &server->prepare); /* these cannot fail */
    uv_check_init(loop, &server->check);
    uv_timer_init(loop, &server->second);
    server->posted.data = server->prepare.data = server->check.data = server->second.data = server;
    uv_prepare_start(&server->prepare, on_prepare);
    uv_check_start(&server->check, on_check);
    uv_timer_start(&server->second, on_second, TICK_MS, TICK_MS);
    return 0;
}

int server_init(struct server *server, uv_loop_t *loop, struct hf *store, struct settings *settings)
{
    *server = (struct server){.loop = loop, .store = store, .settings = settings, .started_ms = wall_ms()};
    server->posts_end = &server->posts;
    server->value_max = settings_value_max(settings);
    server->read_buffer = malloc(SERVER_READ_BYTES + TLS_SESSION_RECORD);
    if (!server->read_buffer)
        return hf__fail(HF_ENOMEM, "out of memory: the read buffer");
    server->plain_buffer = server->read_buffer + SERVER_READ_BYTES;
    pthread_mutex_init(&server->lock, NULL);
    make_run_id(server->run_id);
    return start_handles(server);
}

void server_reconfigure(struct server *server, struct settings *settings)
{
    struct client *next;

    server->settings = settings;
    for (struct client *client = server->clients; client; client = next) {
        next = client->next;
        if (!client->user)
            continue;
        client->user = client->is_owner ? settings_owner(settings) : settings_successor(settings, client->user);
        if (!client->user)
            client_close(client);
    }
}

static void close_listeners(struct server *server)
{
    for (size_t i = 0; i < server->n_listeners; i++)
        uv_close(&server->listeners[i].as.handle, NULL);
    server->n_listeners = 0;
}

/* Nothing is left that a turn would do. */
static void close_handles(struct server *server)
{
    pthread_mutex_lock(&server->lock);
    server->deaf = true;
    pthread_mutex_unlock(&server->lock);
    uv_close((uv_handle_t *)&server->posted, NULL);
    uv_close((uv_handle_t *)&server->prepare, NULL);
    uv_close((uv_handle_t *)&server->check, NULL);
    uv_close((uv_handle_t *)&server->second, NULL);
    if (server->ended)
        server->ended(server);
}

void server_gone(struct server *server)
{
    if (server->stopping && !server->clients && !server->deaf)
        close_handles(server);
}

static void on_grace_over(uv_timer_t *timer)
{
    struct server *server = timer->data;

    while (server->clients)
        client_close(server->clients);
}

void server_stop(struct server *server, uint64_t grace_ms)
{
    if (server->stopping)
        return;
    server->stopping = true;
    close_listeners(server);
    uv_timer_start(&server->second, on_grace_over, grace_ms, 0);
    for (struct client *client = server->clients; client; client = client->next) {
        client->ended = true;
        client_wake(client);
    }
    server_gone(server);
}

void server_release(struct server *server)
{
    if (!server->read_buffer)
        return;
    run_posts(server);
    settle_holding(server, 0);
    claims_release(&server->claims);
    free(server->read_buffer);
    pthread_mutex_destroy(&server->lock);
}

struct client *server_client(struct server *server, uint64_t id)
{
    struct client *client = server->clients;

    while (client && client->id != id)
        client = client->next;
    return client;
}
