/* The Redis tier's life: options, the link thread and its loop, waking and stopping.
 *
 * Threads: `hf-link` runs the loop and everything in struct hf__redis under "the link thread's"; other threads
 * touch only the two atomics and the waker, and only between start and stop. */
#include "tier.h"

#include "fail.h"
#include "tracking.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- the link thread ---- */

static void on_ready(void *ctx, const struct hf_shared_hello *hello)
{
    struct hf__redis *tier = ctx;

    tier->no_scripts = tier->no_making = tier->singly = false;
    tier->handler->connected(tier->handler_ctx, hello);
}

static void on_clock(void *ctx, int64_t redis_ms, int64_t asked_ms, int64_t answered_ms)
{
    struct hf__redis *tier = ctx;

    if (tier->handler->clock)
        tier->handler->clock(tier->handler_ctx, redis_ms, asked_ms, answered_ms);
}

static void on_down(void *ctx, const struct hf_shared_error *error)
{
    struct hf__redis *tier = ctx;

    tier->handler->lost(tier->handler_ctx, error);
}

static void on_invalidated(void *ctx, const struct hf_slice *keys, size_t n)
{
    struct hf__redis *tier = ctx;

    tier->handler->invalidated(tier->handler_ctx, keys, n);
}

static const struct hf__conn_events conn_events = {
    .ready = on_ready, .clock = on_clock, .down = on_down, .invalidated = on_invalidated};

static void shut_down(struct hf__redis *tier)
{
    struct hf_shared_error error;

    hf__redis_error(&error, HF_SHARED_LINK, "the store is closing");
    hf__conn_close(&tier->conn, &error);
    hf__conn_close_handles(&tier->conn);
    uv_close((uv_handle_t *)&tier->waker, NULL);
    uv_close((uv_handle_t *)&tier->timer, NULL);
}

static void on_wake(uv_async_t *async)
{
    struct hf__redis *tier = async->data;

    if (atomic_load(&tier->stopping)) {
        shut_down(tier);
        return;
    }
    atomic_store(&tier->wake_sent, false); /* before looking: what comes after this wakes again */
    tier->handler->woken(tier->handler_ctx);
}

static void on_timer(uv_timer_t *timer)
{
    struct hf__redis *tier = timer->data;

    tier->handler->timer(tier->handler_ctx);
}

static void *link_thread(void *arg)
{
    struct hf__redis *tier = arg;

    pthread_setname_np(pthread_self(), "hf-link");
    uv_run(&tier->loop, UV_RUN_DEFAULT); /* ends when shut_down has closed all */
    return NULL;
}

/* ---- start, wake, stop ---- */

static int open_loop(struct hf__redis *tier)
{
    int rc = uv_loop_init(&tier->loop);

    if (rc != 0)
        return hf__fail(HF_EIO, "cannot make an event loop: %s", uv_strerror(rc));
    rc = uv_async_init(&tier->loop, &tier->waker, on_wake);
    if (rc != 0) {
        uv_loop_close(&tier->loop);
        return hf__fail(HF_EIO, "cannot make an event loop's waker: %s", uv_strerror(rc));
    }
    uv_timer_init(&tier->loop, &tier->timer);
    tier->waker.data = tier->timer.data = tier;
    rc = hf__conn_init(&tier->conn, &tier->loop, &tier->settings, &conn_events, tier, tier->clock);
    if (rc != 0) {
        uv_close((uv_handle_t *)&tier->waker, NULL);
        uv_close((uv_handle_t *)&tier->timer, NULL);
        uv_run(&tier->loop, UV_RUN_DEFAULT);
        uv_loop_close(&tier->loop);
    }
    return rc;
}

static void close_loop(struct hf__redis *tier)
{
    uv_run(&tier->loop, UV_RUN_DEFAULT); /* the close callbacks that are left */
    uv_loop_close(&tier->loop);
}

/* Signals are for the application's threads; with SIGPIPE blocked here, a write to a closed socket is an error. */
static int create_thread(struct hf__redis *tier)
{
    sigset_t all, old;
    int rc;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    rc = pthread_create(&tier->thread, NULL, link_thread, tier);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return rc;
}

static int redis_start(struct hf_shared_tier *base, const struct hf_shared_handler *handler, void *ctx)
{
    struct hf__redis *tier = hf__redis_of(base);
    int rc = open_loop(tier);

    if (rc != 0)
        return rc;
    tier->handler = handler;
    tier->handler_ctx = ctx;
    tier->settings.track = handler->invalidated != NULL;
    atomic_store(&tier->wake_sent, true); /* `woken` is called once first */
    uv_async_send(&tier->waker);
    rc = create_thread(tier);
    if (rc != 0) {
        shut_down(tier);
        close_loop(tier);
        return hf__fail_errno(HF_EIO, rc, "cannot start the link thread");
    }
    tier->started = true;
    return 0;
}

static void redis_wake(struct hf_shared_tier *base)
{
    struct hf__redis *tier = hf__redis_of(base);

    if (!atomic_exchange(&tier->wake_sent, true))
        uv_async_send(&tier->waker);
}

static void free_tier(struct hf__redis *tier)
{
    hf__redis_address_release(&tier->settings.address);
    hf__scripts_release(&tier->settings.scripts);
    SSL_CTX_free(tier->settings.tls);
    for (size_t i = 0; i < tier->settings.n_prefixes; i++)
        hf_buf_release(&tier->settings.prefixes[i]);
    free(tier->settings.prefixes);
    free(tier);
}

static void redis_stop(struct hf_shared_tier *base)
{
    struct hf__redis *tier = hf__redis_of(base);

    if (!tier)
        return;
    if (tier->started) {
        atomic_store(&tier->stopping, true);
        uv_async_send(&tier->waker);
        pthread_join(tier->thread, NULL);
        close_loop(tier);
    }
    free_tier(tier);
}

/* ---- on the link thread ---- */

static void redis_flush(struct hf_shared_tier *base)
{
    hf__conn_flush(&hf__redis_of(base)->conn);
}

static void redis_connect(struct hf_shared_tier *base)
{
    struct hf__redis *tier = hf__redis_of(base);

    if (!atomic_load(&tier->stopping))
        hf__conn_open(&tier->conn);
}

static void redis_disconnect(struct hf_shared_tier *base)
{
    struct hf_shared_error error;

    hf__redis_error(&error, HF_SHARED_LINK, "disconnected");
    hf__conn_close(&hf__redis_of(base)->conn, &error);
}

static void redis_set_timer(struct hf_shared_tier *base, int delay_ms)
{
    struct hf__redis *tier = hf__redis_of(base);

    if (uv_is_closing((uv_handle_t *)&tier->timer))
        return;
    if (delay_ms < 0) {
        uv_timer_stop(&tier->timer);
        return;
    }
    uv_update_time(&tier->loop);
    uv_timer_start(&tier->timer, on_timer, (uint64_t)delay_ms, 0);
}

int hf__redis_may_send(const struct hf__redis *tier, bool writes)
{
    if (tier->conn.state != HF__CONN_READY)
        return hf__fail(HF_EOFFLINE, "the shared tier is not connected");
    if (writes && !tier->conn.hello.master)
        return hf__fail(HF_EOFFLINE, "the shared tier is a replica, which takes no writes");
    if (tier->busy)
        return hf__fail(HF_EBUSY, "a request to the shared tier is already out");
    return 0;
}

void hf__redis_settle(struct hf__redis *tier, uint64_t attempt, const struct hf_shared_error *error)
{
    bool useless = error->class == HF_SHARED_FENCE || error->class == HF_SHARED_LINK;

    if (useless && tier->conn.attempt == attempt && tier->conn.state == HF__CONN_READY)
        hf__conn_fail(&tier->conn, error);
}

static void redis_identify(struct hf_shared_tier *base, const struct hf_shared_owner *owner)
{
    hf__redis_of(base)->settings.owner = owner;
}

static const struct hf_shared_ops redis_ops = {
    .start = redis_start,
    .identify = redis_identify,
    .wake = redis_wake,
    .stop = redis_stop,
    .connect = redis_connect,
    .disconnect = redis_disconnect,
    .set_timer = redis_set_timer,
    .flush = redis_flush,
    .send_group = hf__redis_send_group,
    .send_lane = hf__redis_send_lane,
    .send_epoch = hf__redis_send_epoch,
    .send_log_page = hf__redis_send_log_page,
    .send_fetch = hf__redis_send_fetch,
    .send_facts = hf__redis_send_facts,
    .send_examine = hf__redis_send_examine,
    .send_decide = hf__redis_send_decide,
};

/* ---- making one ---- */

static bool given(const char *text)
{
    return text && *text;
}

static int replace(char **text, const char *with)
{
    char *copy;

    if (!given(with))
        return 0;
    copy = strdup(with);
    if (!copy)
        return hf__fail(HF_ENOMEM, "out of memory: the address of the shared tier");
    if (*text)
        explicit_bzero(*text, strlen(*text));
    free(*text);
    *text = copy;
    return 0;
}

static int set_credentials(struct hf__redis_address *address, const struct hf_redis_options *opts)
{
    int rc = replace(&address->user, opts->user);

    if (rc == 0)
        rc = replace(&address->password, opts->password);
    if (rc == 0 && address->user && !address->password)
        rc = hf__fail(HF_ECONFIG, "redis address: found a user and no password for it");
    return rc;
}

static int set_node(char node[33], const char *text)
{
    if (!text || strlen(text) != 32 || strspn(text, "0123456789abcdefABCDEF") != 32)
        return hf__fail(HF_EINVAL, "redis: the node's id is not 32 hexadecimal digits");
    memcpy(node, text, 33);
    return 0;
}

static int copy_prefixes(struct hf__conn_settings *settings, struct hf_slice *cover, size_t n)
{
    int rc = 0;

    settings->prefixes = calloc(n, sizeof(*settings->prefixes));
    if (!settings->prefixes)
        return hf__fail(HF_ENOMEM, "out of memory: the prefixes to be tracked");
    for (; settings->n_prefixes < n && rc == 0; settings->n_prefixes++)
        rc = hf__buf_copy(cover[settings->n_prefixes], &settings->prefixes[settings->n_prefixes]);
    return rc;
}

static int set_prefixes(struct hf__conn_settings *settings, const struct hf_redis_options *opts)
{
    struct hf_slice *cover;
    int rc;

    if (opts->n_prefixes == 0)
        return 0;
    cover = calloc(opts->n_prefixes, sizeof(*cover));
    if (!cover)
        return hf__fail(HF_ENOMEM, "out of memory: the prefixes to be tracked");
    memcpy(cover, opts->prefixes, opts->n_prefixes * sizeof(*cover));
    rc = copy_prefixes(settings, cover, hf__tracking_cover(cover, opts->n_prefixes));
    free(cover);
    return rc;
}

static int pick(int value, int otherwise)
{
    return value > 0 ? value : otherwise;
}

static int configure(struct hf__conn_settings *settings, const struct hf_redis_options *opts)
{
    int rc = set_node(settings->node, opts->node);

    if (rc == 0)
        rc = hf__redis_address_parse(opts->address ? opts->address : "", &settings->address);
    if (rc == 0)
        rc = set_credentials(&settings->address, opts);
    if (rc == 0)
        rc = set_prefixes(settings, opts);
    if (rc == 0 && settings->address.tls)
        rc = hf__tls_context_new(given(opts->ca_file) ? opts->ca_file : NULL, &settings->tls);
    settings->connect_timeout_ms = pick(opts->connect_timeout_ms, HF_REDIS_CONNECT_TIMEOUT_DEFAULT_MS);
    settings->reply_timeout_ms = pick(opts->reply_timeout_ms, HF_REDIS_TIMEOUT_DEFAULT_MS);
    settings->heartbeat_ms = pick(opts->heartbeat_ms, HF_REDIS_HEARTBEAT_DEFAULT_MS);
    return rc == 0 ? hf__scripts_init(&settings->scripts) : rc;
}

int hf__redis_new(const struct hf_redis_options *opts, struct hf_clock *clock, struct hf_shared_tier **ret_tier)
{
    struct hf__redis *tier = calloc(1, sizeof(*tier));
    int rc;

    if (!tier)
        return hf__fail(HF_ENOMEM, "out of memory: the shared tier");
    tier->base.ops = &redis_ops;
    tier->clock = clock;
    atomic_init(&tier->wake_sent, false);
    atomic_init(&tier->stopping, false);
    rc = configure(&tier->settings, opts);
    if (rc != 0) {
        free_tier(tier);
        return rc;
    }
    *ret_tier = &tier->base;
    return 0;
}
