/* Counters, health and HTTP of one server. */
#include "monitor.h"

#include "health.h"
#include "http.h"
#include "metrics.h"
#include "server.h"
#include "settings.h"

#include <fail.h>
#include <stdlib.h>

struct monitor {
    struct server *server;
    pthread_mutex_t lock;            /* of: */
    const struct settings *settings; /* which the HTTP thread asks who may log in */
    struct metrics *metrics;
    struct health *health;
    struct http *http;
};

/* On the HTTP thread. Who is limited to some keys sees nothing that is of all. */
static bool may_look(void *ctx, struct hf_slice name, struct hf_slice password)
{
    struct monitor *m = ctx;
    const struct user *user;
    bool may;

    pthread_mutex_lock(&m->lock);
    user = settings_login(m->settings, name, password);
    may = user && user->n_prefixes == 0;
    pthread_mutex_unlock(&m->lock);
    return may;
}

static int start_health(struct monitor *m, const struct hf_options *options)
{
    bool has_redis = options->redis && *options->redis;
    const struct health_options health = {.store = m->server->store, .hear = has_redis ? hf_hear : NULL};

    return health_start(&health, &m->health);
}

/* Whether a password is needed is decided once: a listener beyond this machine must not lose it with a new configuration. */
static int start_http(struct monitor *m)
{
    bool is_open = settings_default_user(m->settings) != NULL;
    const struct http_options http = {
        .address = m->settings->http_bind,
        .port = m->settings->http_port,
        .may_look = is_open ? NULL : may_look,
        .ctx = m,
        .store = m->server->store,
        .health = m->health,
        .metrics = m->metrics,
    };

    return http_start(&http, &m->http);
}

int monitor_start(struct server *server, const struct settings *settings, const struct hf_options *options,
                  const char *dir, struct monitor **ret_monitor)
{
    struct monitor *m = calloc(1, sizeof(*m));
    int rc;

    if (!m)
        return hf__fail(HF_ENOMEM, "out of memory: the monitor");
    pthread_mutex_init(&m->lock, NULL);
    m->server = server;
    m->settings = settings;
    rc = metrics_new(options, dir, &m->metrics);
    if (rc == 0)
        rc = start_health(m, options);
    if (rc == 0)
        rc = start_http(m);
    if (rc != 0) {
        monitor_stop(m);
        return rc;
    }
    server->metrics = m->metrics;
    server->observe = metrics_observe;
    *ret_monitor = m;
    return 0;
}

void monitor_second(struct monitor *m)
{
    health_beat(m->health);
    metrics_publish(m->metrics, &m->server->counts, m->server->n_clients);
}

void monitor_started(struct monitor *m)
{
    health_set_started(m->health);
}

void monitor_stopping(struct monitor *m)
{
    health_set_stopping(m->health);
}

void monitor_reconfigure(struct monitor *m, const struct settings *settings)
{
    pthread_mutex_lock(&m->lock);
    m->settings = settings;
    pthread_mutex_unlock(&m->lock);
}

void monitor_stop(struct monitor *m)
{
    if (!m)
        return;
    http_stop(m->http);
    health_stop(m->health);
    if (m->server->metrics == m->metrics)
        m->server->metrics = NULL;
    m->server->observe = NULL;
    metrics_free(m->metrics);
    pthread_mutex_destroy(&m->lock);
    free(m);
}
