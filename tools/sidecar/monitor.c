/* Counters, health and HTTP of one server. */
#include "monitor.h"

#include "access.h"
#include "console.h"
#include "health.h"
#include "history.h"
#include "http.h"
#include "metrics.h"
#include "server.h"
#include "settings.h"
#include "slow.h"

#include <fail.h>
#include <stdlib.h>

struct monitor {
    struct server *server;
    struct access *access;
    struct metrics *metrics;
    struct slow *slow;
    struct health *health;
    struct history *history;
    struct console *console;
    struct http *http;
    char *names[SETTINGS_HTTP_NAMES_MAX]; /* as the settings had them: http.names does not change */
};

static int start_health(struct monitor *m, const struct hf_options *options)
{
    bool has_redis = options->redis && *options->redis;
    const struct health_options health = {.store = m->server->store, .hear = has_redis ? hf_hear : NULL};

    return health_start(&health, &m->health);
}

static int copy_names(struct monitor *m, const struct settings *settings)
{
    for (size_t i = 0; i < settings->n_http_names; i++) {
        m->names[i] = strdup(settings->http_names[i]);
        if (!m->names[i])
            return hf__fail(HF_ENOMEM, "out of memory: the names of the console");
    }
    return 0;
}

static int start_console(struct monitor *m, const struct settings *settings, const struct hf_options *options)
{
    const struct console_options console = {
        .server = m->server,
        .access = m->access,
        .history = m->history,
        .slow = m->slow,
        .metrics = m->metrics,
        .store_options = options,
        .names = (const char *const *)m->names,
        .n_names = settings->n_http_names,
    };
    int rc = copy_names(m, settings);

    if (rc == 0)
        rc = console_new(&console, &m->console);
    return rc;
}

static int start_http(struct monitor *m, const struct settings *settings, const struct hf_options *options)
{
    struct http_options http = {
        .address = settings->http_bind,
        .port = settings->http_port,
        .access = m->access,
        .store = m->server->store,
        .health = m->health,
        .metrics = m->metrics,
    };
    int rc = 0;

    if (http.port > 0)
        rc = history_start(m->server->store, 0, &m->history);
    if (rc == 0 && http.port > 0)
        rc = start_console(m, settings, options);
    http.console = m->console;
    return rc == 0 ? http_start(&http, &m->http) : rc;
}

static int start(struct monitor *m, const struct settings *settings, const struct hf_options *options,
                 const char *dir)
{
    int rc = access_new(settings, &m->access);

    if (rc == 0)
        rc = metrics_new(options, dir, &m->metrics);
    if (rc == 0)
        rc = slow_new(&m->slow);
    if (rc == 0)
        rc = start_health(m, options);
    return rc == 0 ? start_http(m, settings, options) : rc;
}

int monitor_start(struct server *server, const struct settings *settings, const struct hf_options *options,
                  const char *dir, struct monitor **ret_monitor)
{
    struct monitor *m = calloc(1, sizeof(*m));
    int rc;

    if (!m)
        return hf__fail(HF_ENOMEM, "out of memory: the monitor");
    m->server = server;
    rc = start(m, settings, options, dir);
    if (rc != 0) {
        monitor_stop(m);
        return rc;
    }
    slow_set_after(m->slow, settings->slow_after_ms);
    server->metrics = m->metrics;
    server->slow = m->slow;
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
    access_reconfigure(m->access, settings);
    slow_set_after(m->slow, settings->slow_after_ms);
}

void monitor_stop(struct monitor *m)
{
    if (!m)
        return;
    http_stop(m->http);
    console_free(m->console);
    history_stop(m->history);
    health_stop(m->health);
    if (m->server->metrics == m->metrics)
        m->server->metrics = NULL;
    m->server->slow = NULL;
    m->server->observe = NULL;
    slow_free(m->slow);
    metrics_free(m->metrics);
    access_free(m->access);
    for (size_t i = 0; i < SETTINGS_HTTP_NAMES_MAX; i++)
        free(m->names[i]);
    free(m);
}
