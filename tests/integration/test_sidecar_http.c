/* Health and metrics over HTTP: a store with a real Redis, asked through a socket. */
#include "http_get.h"
#include "redis_server.h"
#include "scratch.h"

#include "access.h"
#include "command.h"
#include "health.h"
#include "http.h"
#include "metrics.h"
#include "server.h"
#include "settings.h"

#include <cjson/cJSON.h>
#include <ctype.h>
#include <math.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define BOUND_MS 10000
#define ODD_PREFIX "od\"d\\\n\x01\xff\xc3\xa9:"

struct fixture {
    struct scratch scratch;
    struct redis_server redis;
    struct hf_options opts;
    struct hf_namespace namespaces[3];
    struct hf *store;
    struct health_options health_options;
    struct health *health;
    struct metrics *metrics;
    struct settings *settings;
    struct access *access;
    struct http_options http_options;
    struct http *http;
    int port;
};

static const char *const keep_data[] = {"--appendonly", "yes", NULL};

static const struct command commands[] = {{.name = "get"}, {.name = "set"}, {.name = "hgetall"}};

/* ---- fixture ---- */

static void serve(struct fixture *f)
{
    assert_ok(health_start(&f->health_options, &f->health));
    assert_ok(access_new(f->settings, &f->access));
    f->http_options.access = f->access;
    f->port = redis_server_free_port();
    f->http_options.port = f->port;
    f->http_options.store = f->store;
    f->http_options.health = f->health;
    f->http_options.metrics = f->metrics;
    assert_ok(http_start(&f->http_options, &f->http));
}

static void stop_serving(struct fixture *f)
{
    http_stop(f->http);
    health_stop(f->health);
    access_free(f->access);
    f->http = NULL;
    f->health = NULL;
}

static void serve_again(struct fixture *f)
{
    stop_serving(f);
    serve(f);
    health_set_started(f->health);
}

static int set_up_with(void **state, bool with_redis)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    scratch_make(&f->scratch);
    f->namespaces[0] = (struct hf_namespace){.prefix = "a:"};
    f->namespaces[1] = (struct hf_namespace){.prefix = "a:b:"};
    f->namespaces[2] = (struct hf_namespace){.prefix = ODD_PREFIX};
    f->opts = (struct hf_options){.segment_bytes = 1 << 20,
                                  .max_disk_bytes = 64 << 20,
                                  .redis_backoff_max_ms = 60,
                                  .namespaces = f->namespaces,
                                  .n_namespaces = 3};
    if (with_redis) {
        assert_int_equal(redis_server_start(&f->redis, keep_data), 0);
        f->opts.redis = f->redis.address;
    }
    assert_ok(hf_open(f->scratch.store, &f->opts, &f->store));
    assert_ok(metrics_new(&f->opts, f->scratch.store, &f->metrics));
    assert_ok(settings_load(NULL, &f->settings));
    f->health_options =
        (struct health_options){.store = f->store, .hear = with_redis ? hf_hear : NULL, .hear_every_ms = 10};
    serve(f);
    health_set_started(f->health);
    if (with_redis)
        assert_true(wait_link(f->store, HF_LINK_ONLINE, BOUND_MS));
    *state = f;
    return 0;
}

static int set_up(void **state)
{
    return set_up_with(state, true);
}

static int set_up_alone(void **state)
{
    return set_up_with(state, false);
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    stop_serving(f);
    metrics_free(f->metrics);
    settings_release_ref(f->settings);
    assert_ok(hf_close(f->store));
    redis_server_stop(&f->redis);
    scratch_remove(&f->scratch);
    free(f);
    return 0;
}

/* ---- asking for health ---- */

static cJSON *health_of(struct fixture *f, const char *path, int status, const char *word)
{
    struct http_reply reply = http_get(f->port, path);
    cJSON *json = cJSON_Parse(reply.body);

    if (reply.status != status || !json)
        fail_msg("%s: status %d, expected %d: %s", path, reply.status, status, reply.body ? reply.body : "");
    assert_non_null(strstr(reply.headers, "Content-Type: application/json"));
    assert_non_null(strstr(reply.headers, "Cache-Control: no-store"));
    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(json, "status")), word);
    http_reply_release(&reply);
    return json;
}

static void assert_health(struct fixture *f, const char *path, int status, const char *word)
{
    cJSON_Delete(health_of(f, path, status, word));
}

static const cJSON *entry(const cJSON *json, const char *check, const char *name)
{
    const cJSON *item = cJSON_GetObjectItem(cJSON_GetObjectItem(cJSON_GetObjectItem(json, "entries"), check), name);

    if (!item)
        fail_msg("there is no %s in %s", name, check);
    return item;
}

static void assert_text(const cJSON *json, const char *check, const char *name, const char *text)
{
    assert_string_equal(cJSON_GetStringValue(entry(json, check, name)), text);
}

static void assert_redis(const cJSON *json, bool configured, bool connected, const char *mode, const char *link)
{
    assert_int_equal(cJSON_IsTrue(entry(json, "redisStores", "redis.configured")), configured);
    assert_int_equal(cJSON_IsTrue(entry(json, "redisStores", "redis.connected")), connected);
    assert_text(json, "redisStores", "stores.mode", mode);
    assert_text(json, "redisStores", "link.state", link);
}

static bool says(void *ctx, const char *part)
{
    struct fixture *f = ctx;
    struct http_reply reply = http_get(f->port, "/health/ready");
    bool found = reply.body && strstr(reply.body, part);

    http_reply_release(&reply);
    return found;
}

static bool tells_latency(void *ctx)
{
    return says(ctx, "redis.latency_ms");
}

/* ---- asking for metrics ---- */

static char *metrics_of(struct fixture *f)
{
    struct http_reply reply = http_get(f->port, "/metrics");
    char *text;

    assert_int_equal(reply.status, 200);
    assert_non_null(strstr(reply.headers, "Content-Type: text/plain; version=0.0.4; charset=utf-8"));
    assert_int_equal(strlen(reply.body), reply.body_len);
    text = strdup(reply.body);
    http_reply_release(&reply);
    return text;
}

/* The value of a sample, named with its labels as it is written; NaN also when there is none. */
static double sample_in(const char *text, const char *name)
{
    size_t len = strlen(name);

    for (const char *line = text; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
        if (strncmp(line, name, len) == 0 && line[len] == ' ')
            return strtod(line + len, NULL);
    }
    return (double)NAN;
}

static void assert_sample(struct fixture *f, const char *name, double expected)
{
    char *text = metrics_of(f);
    double found = sample_in(text, name);

    if (found != expected)
        fail_msg("%s is %g, expected %g", name, found, expected);
    free(text);
}

/* ---- health ---- */

static void test_sidecar_health__it_is_ready_and_distributed_when_redis_is_there(void **state)
{
    struct fixture *f = *state;
    cJSON *json;

    assert_true(wait_until(tells_latency, f, BOUND_MS));
    json = health_of(f, "/health/ready", 200, "Healthy");
    assert_redis(json, true, true, "distributed", "online");
    assert_in_range(cJSON_GetNumberValue(entry(json, "redisStores", "redis.latency_ms")) * 1000, 1, 100000);
    assert_int_equal(cJSON_GetNumberValue(entry(json, "redisStores", "pending.depth")), 0);
    assert_int_equal(cJSON_GetNumberValue(entry(json, "redisStores", "pending.oldest_age_ms")), 0);
    cJSON_Delete(json);
}

static void test_sidecar_health__an_outage_degrades_and_never_makes_it_unready(void **state)
{
    struct fixture *f = *state;
    cJSON *json;

    redis_server_kill(&f->redis);
    assert_true(wait_link(f->store, HF_LINK_OFFLINE, BOUND_MS));
    put(f->store, "a:1", "x");
    put(f->store, "a:2", "y");
    json = health_of(f, "/health/ready", 200, "Degraded");
    assert_redis(json, true, false, "local (fallback)", hf_link_text(HF_LINK_OFFLINE));
    assert_int_equal(cJSON_GetNumberValue(entry(json, "redisStores", "pending.depth")), 2);
    assert_in_range(cJSON_GetNumberValue(entry(json, "redisStores", "pending.oldest_age_ms")), 1, BOUND_MS);
    assert_true(strlen(cJSON_GetStringValue(entry(json, "redisStores", "link.reason"))) > 0);
    cJSON_Delete(json);
    assert_health(f, "/health/live", 200, "Healthy");

    assert_int_equal(redis_server_restart(&f->redis), 0);
    assert_ok(hf_drain(f->store, BOUND_MS));
    assert_true(wait_link(f->store, HF_LINK_ONLINE, BOUND_MS));
    json = health_of(f, "/health/ready", 200, "Healthy");
    assert_redis(json, true, true, "distributed", "online");
    assert_int_equal(cJSON_GetNumberValue(entry(json, "redisStores", "pending.depth")), 0);
    cJSON_Delete(json);
}

static void test_sidecar_health__a_pause_degrades_and_is_told(void **state)
{
    struct fixture *f = *state;
    cJSON *json;

    assert_ok(hf_pause(f->store));
    assert_true(wait_link(f->store, HF_LINK_HELD, BOUND_MS));
    json = health_of(f, "/health/ready", 200, "Degraded");
    assert_text(json, "redisStores", "description", "The operator has paused sending to Redis");
    assert_text(json, "redisStores", "stores.mode", "local (fallback)");
    cJSON_Delete(json);
    assert_ok(hf_resume(f->store));
    assert_true(wait_link(f->store, HF_LINK_ONLINE, BOUND_MS));
    assert_health(f, "/health/ready", 200, "Healthy");
}

static void test_sidecar_health__without_redis_the_store_is_local_and_healthy(void **state)
{
    struct fixture *f = *state;
    cJSON *json = health_of(f, "/health/ready", 200, "Healthy");

    assert_redis(json, false, false, "local", "disabled");
    assert_null(cJSON_GetObjectItem(cJSON_GetObjectItem(cJSON_GetObjectItem(json, "entries"), "redisStores"),
                                    "redis.latency_ms"));
    cJSON_Delete(json);
}

static void test_sidecar_health__it_follows_the_phases_of_the_process(void **state)
{
    struct fixture *f = *state;

    stop_serving(f);
    serve(f);
    assert_health(f, "/health/startup", 503, "Unhealthy");
    assert_health(f, "/health/ready", 503, "Unhealthy");
    assert_health(f, "/health/live", 200, "Healthy");
    health_set_started(f->health);
    assert_health(f, "/health/startup", 200, "Healthy");
    assert_health(f, "/health/ready", 200, "Healthy");
    health_set_stopping(f->health);
    assert_health(f, "/health/startup", 200, "Healthy");
    assert_health(f, "/health/ready", 503, "Unhealthy");
    assert_health(f, "/health/live", 200, "Healthy");
}

static bool is_dead(void *ctx)
{
    struct fixture *f = ctx;
    struct http_reply reply = http_get(f->port, "/health/live");
    bool dead = reply.status == 503;

    http_reply_release(&reply);
    return dead;
}

static void test_sidecar_health__a_loop_that_does_not_turn_is_not_alive(void **state)
{
    struct fixture *f = *state;

    f->health_options.silence_max_ms = 500;
    serve_again(f);
    assert_health(f, "/health/live", 200, "Healthy");
    assert_true(wait_until(is_dead, f, BOUND_MS));
    assert_health(f, "/health/ready", 503, "Unhealthy");
    health_beat(f->health);
    assert_health(f, "/health/live", 200, "Healthy");
}

/* A Redis that answers when the test says so. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool mute;
} ear = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false};

/* A round trip of Redis, begun when nobody is mute. */
static int hear_when_told(struct hf *store, int timeout_ms)
{
    pthread_mutex_lock(&ear.lock);
    while (ear.mute)
        pthread_cond_wait(&ear.changed, &ear.lock);
    pthread_mutex_unlock(&ear.lock);
    return hf_hear(store, timeout_ms);
}

static void set_mute(bool mute)
{
    pthread_mutex_lock(&ear.lock);
    ear.mute = mute;
    pthread_cond_broadcast(&ear.changed);
    pthread_mutex_unlock(&ear.lock);
}

static bool is_slow(void *ctx)
{
    return says(ctx, "Redis is slow: more than 100 ms");
}

static bool is_very_slow(void *ctx)
{
    return says(ctx, "Redis is very slow: more than 1000 ms");
}

static bool is_well(void *ctx)
{
    return says(ctx, "\"Redis is connected\"");
}

static void test_sidecar_health__an_overdue_answer_is_slow_and_then_very_slow(void **state)
{
    struct fixture *f = *state;

    f->health_options.hear = hear_when_told;
    serve_again(f);
    assert_true(wait_until(tells_latency, f, BOUND_MS));
    assert_health(f, "/health/ready", 200, "Healthy");
    set_mute(true);
    assert_true(wait_until(is_slow, f, BOUND_MS));
    assert_true(wait_until(is_very_slow, f, BOUND_MS));
    assert_health(f, "/health/ready", 200, "Degraded");
    set_mute(false);
    assert_true(wait_until(is_well, f, BOUND_MS));
}

/* ---- HTTP ---- */

static void test_sidecar_http__each_request_gets_the_answer_of_its_path_and_method(void **state)
{
    static const struct {
        const char *method, *path, *headers;
        int status;
    } rows[] = {
        {"GET", "/metrics", "", 200},
        {"GET", "/metrics?x=1", "", 200},
        {"HEAD", "/metrics", "", 200},
        {"GET", "/health/live", "", 200},
        {"GET", "/health/live/", "", 404},
        {"GET", "/health", "", 404},
        {"GET", "/", "", 404},
        {"GET", "/../etc/passwd", "", 404},
        {"GET", "/%00metrics", "", 404},
        {"POST", "/metrics", "Content-Length: 3\r\n\r\nabc", 405},
        {"DELETE", "/health/live", "", 405},
        {"PUT", "/nothing", "Content-Length: 0\r\n", 404},
    };
    struct fixture *f = *state;
    struct http_reply reply;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        reply = http_request(f->port, rows[i].method, rows[i].path, rows[i].headers);
        if (reply.status != rows[i].status)
            fail_msg("%s %s: %d, expected %d", rows[i].method, rows[i].path, reply.status, rows[i].status);
        assert_true(rows[i].status != 405 || strstr(reply.headers, "Allow: GET, HEAD"));
        assert_int_equal(reply.body_len > 0, strcmp(rows[i].method, "HEAD") != 0);
        http_reply_release(&reply);
    }
}

static void test_sidecar_http__clients_that_stall_do_not_keep_others_waiting(void **state)
{
    struct fixture *f = *state;
    int stalled[HTTP_CONNECTIONS_MAX / 2];
    size_t n = sizeof(stalled) / sizeof(stalled[0]);

    for (size_t i = 0; i < n; i++)
        assert_true(
            (stalled[i] = http_connect(f->port, i % 2 ? "GET /metrics HT" : "GET /metrics HTTP/1.1\r\nA: b")) >= 0);
    assert_health(f, "/health/live", 200, "Healthy");
    for (size_t i = 0; i < n; i++)
        close(stalled[i]);
}

/* Whatever the answer is, it is no metrics, and others are answered. */
static void assert_gets_nothing(struct fixture *f, const char *sent)
{
    int fd = http_connect(f->port, sent);
    char bytes[4096] = {0};

    assert_health(f, "/health/live", 200, "Healthy");
    if (fd < 0)
        return;
    (void)recv(fd, bytes, sizeof(bytes) - 1, MSG_DONTWAIT);
    assert_null(strstr(bytes, "holdfast_"));
    close(fd);
}

static void test_sidecar_http__bytes_that_are_no_request_end_their_connection_alone(void **state)
{
    static const char *const rows[] = {"\r\n\r\n\r\n\r\n", "GET\r\n\r\n", "*1\r\n$4\r\nPING\r\n",
                                       "GET /metrics HTTP/9.9\r\n\r\n", "\x16\x03\x01\x02\r\n\r\n"};
    struct fixture *f = *state;
    char *long_header = calloc(1, 200001);

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_gets_nothing(f, rows[i]);
    memset(long_header, 'x', 200000);
    memcpy(long_header, "GET /metrics HTTP/1.1\r\nLong: ", 29);
    assert_gets_nothing(f, long_header);
    free(long_header);
}

static void add_user(struct settings *settings, const char *name, const char *password)
{
    struct user *user = &settings->users[settings->n_users++];

    *user = (struct user){.name = name, .has_password = true};
    SHA256((const unsigned char *)password, strlen(password), user->digest);
}

static void test_sidecar_http__with_a_password_strangers_are_told_the_bare_status(void **state)
{
    static const char right[] = "Authorization: Basic b3BzOnMzY3JldDp4\r\n";             /* ops:s3cret:x */
    static const char *const wrong[] = {"", "Authorization: Basic b3BzOnMzY3JldA==\r\n", /* ops:s3cret */
                                        "Authorization: Basic %%%\r\n", "Authorization: Bearer s3cret:x\r\n",
                                        "Authorization: Basic b3Bz\r\n"}; /* ops */
    struct fixture *f = *state;
    struct http_reply reply;

    add_user(f->settings, "ops", "s3cret:x");
    serve_again(f);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        reply = http_request(f->port, "GET", "/metrics", wrong[i]);
        assert_int_equal(reply.status, 401);
        assert_non_null(strstr(reply.headers, "WWW-Authenticate: Basic"));
        http_reply_release(&reply);
        reply = http_request(f->port, "GET", "/health/ready", wrong[i]);
        assert_int_equal(reply.status, 200);
        assert_string_equal(reply.body, "{\"status\":\"Healthy\"}");
        http_reply_release(&reply);
    }
    reply = http_request(f->port, "GET", "/metrics", right);
    assert_int_equal(reply.status, 200);
    http_reply_release(&reply);
    reply = http_request(f->port, "GET", "/health/ready", right);
    assert_non_null(strstr(reply.body, "stores.mode"));
    http_reply_release(&reply);
}

static void test_sidecar_http__it_refuses_addresses_that_it_must_not_or_cannot_use(void **state)
{
    static const struct {
        const char *address;
        int port, with_password, code;
        const char *sentence;
    } rows[] = {
        {"0.0.0.0", 1, false, HF_ECONFIG, "beyond this machine"},
        {"::", 1, false, HF_ECONFIG, "beyond this machine"},
        {"10.1.2.3", 1, false, HF_ECONFIG, "beyond this machine"},
        {"::ffff:10.1.2.3", 1, false, HF_ECONFIG, "beyond this machine"},
        {"example.org", 1, true, HF_ECONFIG, "expected a numeric address"},
        {"", 1, true, HF_ECONFIG, "expected a numeric address"},
        {NULL, -1, true, HF_ECONFIG, "expected 0 to 65535"},
        {NULL, 65536, true, HF_ECONFIG, "expected 0 to 65535"},
        {NULL, 0, false, 0, NULL},
        {"127.9.9.9", 2, false, 0, NULL},
        {"localhost", 2, false, 0, NULL},
        {"0.0.0.0", 2, true, 0, NULL},
        {NULL, 3, false, HF_EIO, "cannot listen on port"},
    };
    struct fixture *f = *state;
    struct http_options options = f->http_options;
    struct settings *with_password;
    struct access *closed;
    struct http *http;

    assert_ok(settings_load(NULL, &with_password));
    add_user(with_password, "ops", "s3cret:x");
    assert_ok(access_new(with_password, &closed));

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        options.address = rows[i].address;
        options.port = rows[i].port == 2 ? redis_server_free_port() : rows[i].port == 3 ? f->port : rows[i].port;
        options.access = rows[i].with_password ? closed : f->access;
        assert_code(rows[i].code, http_start(&options, &http));
        if (rows[i].code == 0)
            http_stop(http);
        else
            assert_sentence(rows[i].sentence);
    }
    access_free(closed);
    settings_release_ref(with_password);
}

/* ---- metrics: the format ---- */

/* A strict reader of the text format: one pass, and everything that must not be fails. */
struct reader {
    const char *at;
    char family[128], type[16];
    char seen[128][128]; /* families that are over or under way */
    size_t n_seen;
    char last_labels[1024]; /* of a histogram, without le */
    double last_le, last_count;
    size_t n_samples;
};

static size_t name_len(const char *at)
{
    size_t n = 0;

    while (isalnum((unsigned char)at[n]) || at[n] == '_' || at[n] == ':')
        n++;
    return isdigit((unsigned char)*at) ? 0 : n;
}

static void read_help(struct reader *r)
{
    char name[128], type[16];
    int end = 0;

    assert_int_equal(sscanf(r->at, "# HELP %127[a-z0-9_] %*[^\n]\n# TYPE %127[a-z0-9_] %15[a-z]\n%n", r->family,
                            name, type, &end),
                     3);
    assert_string_equal(r->family, name);
    assert_true(strcmp(type, "counter") == 0 || strcmp(type, "gauge") == 0 || strcmp(type, "histogram") == 0);
    assert_true((strcmp(type, "counter") == 0) == (strstr(name, "_total") != NULL));
    for (size_t i = 0; i < r->n_seen; i++)
        assert_string_not_equal(r->seen[i], name);
    strcpy(r->seen[r->n_seen++], name);
    strcpy(r->type, type);
    *r->last_labels = '\0';
    r->at += end;
}

/* One label's value, with the escapes that there are. */
static void read_quoted(struct reader *r)
{
    assert_int_equal(*r->at++, '"');
    for (; *r->at != '"'; r->at++) {
        assert_true((unsigned char)*r->at >= ' ');
        if (*r->at == '\\' && !strchr("\\\"n", *++r->at))
            fail_msg("an escape that there is not: %.20s", r->at);
    }
    r->at++;
}

static double read_labels(struct reader *r, char *labels)
{
    double le = 0;
    const char *begin;

    *labels = '\0';
    if (*r->at != '{')
        return le;
    do {
        begin = ++r->at;
        assert_true(name_len(r->at) > 0);
        r->at += name_len(r->at);
        assert_int_equal(*r->at++, '=');
        if (strncmp(begin, "le=\"", 4) == 0)
            le = strtod(begin + 4, NULL);
        read_quoted(r);
        if (strncmp(begin, "le=\"", 4) != 0)
            strncat(labels, begin, (size_t)(r->at - begin));
    } while (*r->at == ',');
    assert_int_equal(*r->at++, '}');
    return le;
}

static void check_bucket(struct reader *r, const char *labels, double le, double value)
{
    if (strcmp(labels, r->last_labels) == 0) {
        assert_true(le > r->last_le);
        assert_true(value >= r->last_count);
    }
    strcpy(r->last_labels, labels);
    r->last_le = le;
    r->last_count = value;
}

static void check_suffix(struct reader *r, const char *suffix, const char *labels, double le, double value)
{
    if (strcmp(r->type, "histogram") != 0) {
        assert_string_equal(suffix, "");
    } else if (strcmp(suffix, "_bucket") == 0) {
        check_bucket(r, labels, le, value);
    } else {
        assert_true(strcmp(suffix, "_sum") == 0 || strcmp(suffix, "_count") == 0);
        assert_string_equal(labels, r->last_labels);
        assert_true(isinf(r->last_le));
        assert_true(strcmp(suffix, "_sum") == 0 || value == r->last_count);
    }
}

static void read_sample(struct reader *r)
{
    char suffix[128], labels[1024], *end;
    size_t len = strlen(r->family), n = name_len(r->at);
    double le, value;

    assert_int_equal(strncmp(r->at, r->family, len), 0);
    snprintf(suffix, sizeof(suffix), "%.*s", (int)(n - len), r->at + len);
    r->at += n;
    le = read_labels(r, labels);
    assert_int_equal(*r->at++, ' ');
    value = strtod(r->at, &end);
    assert_true(end > r->at && *end == '\n');
    r->at = end + 1;
    check_suffix(r, suffix, labels, le, value);
    r->n_samples++;
}

static struct reader *read_metrics(const char *text)
{
    struct reader *r = calloc(1, sizeof(*r));

    assert_non_null(r);
    for (r->at = text; *r->at;) {
        if (*r->at == '#')
            read_help(r);
        else
            read_sample(r);
    }
    return r;
}

/* A command of each kind and a read of each namespace, so that every family has samples. */
static void count_something(struct fixture *f)
{
    static const char *const keys[] = {"k", "a:k", "a:b:k", ODD_PREFIX "k"};

    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        metrics_count_command(f->metrics, &commands[i], 123456u << i, i == 1);
    metrics_count_command(f->metrics, NULL, 7000000000u, true);
    for (size_t i = 0; i < 4; i++)
        metrics_count_read(f->metrics, s_(keys[i]), i % 2 == 0, HF_ORIGIN_SHARED);
    metrics_publish(f->metrics,
                    &(struct server_counts){.connections = 5, .rejected = 1, .bytes_in = 2, .bytes_out = 3}, 4);
}

static void test_sidecar_metrics__the_output_is_prometheus_text(void **state)
{
    struct fixture *f = *state;
    struct reader *r;
    char *text;

    count_something(f);
    text = metrics_of(f);
    r = read_metrics(text);
    assert_in_range(r->n_seen, 50, 128);
    assert_in_range(r->n_samples, 150, 1000);
    free(r);
    free(text);
}

static void test_sidecar_metrics__labels_show_any_bytes(void **state)
{
    struct fixture *f = *state;

    count_something(f);
    assert_sample(f, "holdfast_read_misses_total{namespace=\"od\\\"d\\\\\\n\\\\x01\\\\xff\xc3\xa9:\"}", 1);
}

/* ---- metrics: the numbers ---- */

static void test_sidecar_metrics__commands_are_counted_by_name_and_latency(void **state)
{
    struct fixture *f = *state;

    metrics_count_command(f->metrics, &commands[0], 50000, false);
    metrics_count_command(f->metrics, &commands[0], 50001, false);
    metrics_count_command(f->metrics, &commands[0], 2000000000, true);
    metrics_count_command(f->metrics, &commands[1], 5000000001, false);
    metrics_count_command(f->metrics, NULL, 1, true);
    assert_sample(f, "holdfast_command_duration_seconds_bucket{command=\"get\",le=\"0.00005\"}", 1);
    assert_sample(f, "holdfast_command_duration_seconds_bucket{command=\"get\",le=\"0.0001\"}", 2);
    assert_sample(f, "holdfast_command_duration_seconds_bucket{command=\"get\",le=\"1\"}", 2);
    assert_sample(f, "holdfast_command_duration_seconds_bucket{command=\"get\",le=\"2.5\"}", 3);
    assert_sample(f, "holdfast_command_duration_seconds_count{command=\"get\"}", 3);
    assert_sample(f, "holdfast_command_duration_seconds_sum{command=\"get\"}", 2.000100001);
    assert_sample(f, "holdfast_command_duration_seconds_bucket{command=\"set\",le=\"5\"}", 0);
    assert_sample(f, "holdfast_command_duration_seconds_bucket{command=\"set\",le=\"+Inf\"}", 1);
    assert_sample(f, "holdfast_command_errors_total{command=\"get\"}", 1);
    assert_sample(f, "holdfast_command_errors_total{command=\"set\"}", 0);
    assert_sample(f, "holdfast_command_errors_total{command=\"other\"}", 1);
    assert_sample(f, "openctem_redis_operations_total{operation=\"get\"}", 3);
    assert_sample(f, "openctem_redis_operation_errors_total{operation=\"get\"}", 1);
    assert_sample(f, "openctem_redis_operation_duration_seconds_bucket{operation=\"get\",le=\"0.1\"}", 2);
}

static void test_sidecar_metrics__more_commands_than_there_is_room_for_count_as_other(void **state)
{
    static struct command many[METRICS_COMMANDS_MAX + 50];
    struct fixture *f = *state;

    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < sizeof(many) / sizeof(many[0]); i++) {
            many[i].name = "many";
            metrics_count_command(f->metrics, &many[i], 1, false);
        }
    }
    assert_sample(f, "holdfast_command_duration_seconds_count{command=\"other\"}", 2 * 51);
    assert_sample(f, "holdfast_command_duration_seconds_count{command=\"many\"}", 2);
}

static void test_sidecar_metrics__reads_are_counted_by_their_longest_prefix(void **state)
{
    struct fixture *f = *state;

    metrics_count_read(f->metrics, s_("a:b:1"), true, HF_ORIGIN_LOCAL_VERIFIED);
    metrics_count_read(f->metrics, s_("a:b:1"), true, HF_ORIGIN_PENDING);
    metrics_count_read(f->metrics, s_("a:c"), false, HF_ORIGIN_NONE);
    metrics_count_read(f->metrics, s_("a"), true, HF_ORIGIN_SHARED);
    metrics_count_read(f->metrics, s_(""), false, HF_ORIGIN_NONE);
    assert_sample(f, "holdfast_read_hits_total{namespace=\"a:b:\",origin=\"local verified\"}", 1);
    assert_sample(f, "holdfast_read_hits_total{namespace=\"a:b:\",origin=\"pending\"}", 1);
    assert_sample(f, "holdfast_read_misses_total{namespace=\"a:b:\"}", 0);
    assert_sample(f, "holdfast_read_misses_total{namespace=\"a:\"}", 1);
    assert_sample(f, "holdfast_read_hits_total{namespace=\"\",origin=\"shared\"}", 1);
    assert_sample(f, "holdfast_read_misses_total{namespace=\"\"}", 1);
    assert_sample(f, "openctem_redis_cache_hits_total{cache=\"a:b:\"}", 2);
    assert_sample(f, "openctem_redis_cache_misses_total{cache=\"a:\"}", 1);
}

static void test_sidecar_metrics__they_follow_an_outage(void **state)
{
    struct fixture *f = *state;
    char *text;

    assert_true(wait_until(tells_latency, f, BOUND_MS));
    assert_sample(f, "holdfast_link_state{state=\"online\"}", 1);
    redis_server_kill(&f->redis);
    assert_true(wait_link(f->store, HF_LINK_OFFLINE, BOUND_MS));
    put(f->store, "a:1", "x");
    put(f->store, "a:2", "y");
    text = metrics_of(f);
    assert_true(sample_in(text, "holdfast_link_state{state=\"online\"}") == 0);
    assert_true(sample_in(text, "holdfast_pending_keys") == 2);
    assert_true(sample_in(text, "holdfast_pending_oldest_seconds") > 0);
    assert_true(sample_in(text, "holdfast_link_losses_total") == 1);
    assert_true(sample_in(text, "holdfast_replayed_total") == 0);
    assert_true(sample_in(text, "holdfast_keys") == 2);
    free(text);

    assert_int_equal(redis_server_restart(&f->redis), 0);
    assert_ok(hf_drain(f->store, BOUND_MS));
    assert_true(wait_link(f->store, HF_LINK_ONLINE, BOUND_MS));
    text = metrics_of(f);
    assert_true(sample_in(text, "holdfast_link_state{state=\"online\"}") == 1);
    assert_true(sample_in(text, "holdfast_pending_keys") == 0);
    assert_true(sample_in(text, "holdfast_replayed_total") == 2);
    assert_true(sample_in(text, "holdfast_settled_total{outcome=\"applied\"}") == 2);
    assert_true(sample_in(text, "holdfast_last_lsn") >= 2);
    assert_true(fabs(sample_in(text, "holdfast_clock_offset_seconds")) < 1);
    assert_true(sample_in(text, "holdfast_disk_limit_bytes") == 64 << 20);
    assert_true(sample_in(text, "holdfast_filesystem_free_bytes") > 0);
    assert_true(sample_in(text, "process_resident_memory_bytes") > 1 << 20);
    free(text);
}

static void test_sidecar_metrics__what_is_not_known_is_nan(void **state)
{
    struct fixture *f = *state;
    char *text = metrics_of(f);

    assert_non_null(strstr(text, "\nholdfast_redis_latency_seconds NaN\n"));
    assert_non_null(strstr(text, "\nholdfast_clock_offset_seconds NaN\n"));
    assert_true(sample_in(text, "holdfast_link_state{state=\"disabled\"}") == 1);
    free(text);
}

#define COUNTED 200000

static void *count_many(void *ctx)
{
    struct fixture *f = ctx;

    for (size_t i = 0; i < COUNTED; i++) {
        metrics_count_command(f->metrics, &commands[i % 3], i, false);
        metrics_count_read(f->metrics, s_("a:1"), true, HF_ORIGIN_SHARED);
    }
    return NULL;
}

static void test_sidecar_metrics__a_scrape_beside_counting_is_whole_and_never_runs_backwards(void **state)
{
    struct fixture *f = *state;
    double now = 0, before = 0;
    pthread_t thread;
    char *text;

    assert_int_equal(pthread_create(&thread, NULL, count_many, f), 0);
    do {
        text = metrics_of(f);
        free(read_metrics(text));
        now = sample_in(text, "openctem_redis_cache_hits_total{cache=\"a:\"}");
        assert_true(now >= before);
        before = now;
        free(text);
    } while (now < COUNTED);
    pthread_join(thread, NULL);
    assert_sample(f, "openctem_redis_cache_hits_total{cache=\"a:\"}", COUNTED);
}

/* ---- metrics: who uses their names ---- */

static char *source_file(const char *path)
{
    const char *root = getenv("HOLDFAST_SOURCE");
    char name[512], *text = calloc(1, 1 << 20);
    FILE *file;

    snprintf(name, sizeof(name), "%s/%s", root ? root : ".", path);
    file = fopen(name, "r");
    if (!file)
        fail_msg("%s is not there: HOLDFAST_SOURCE names the source tree", name);
    assert_in_range(fread(text, 1, (1 << 20) - 1, file), 1, (1 << 20) - 2);
    fclose(file);
    return text;
}

static bool has_family(const struct reader *r, const char *name, size_t len)
{
    for (size_t i = 0; i < r->n_seen; i++) {
        if (strlen(r->seen[i]) == len && strncmp(r->seen[i], name, len) == 0)
            return true;
    }
    return false;
}

static size_t without(const char *name, size_t len, const char *suffix)
{
    size_t n = strlen(suffix);

    return len > n && strncmp(name + len - n, suffix, n) == 0 ? len - n : len;
}

static bool is_known(const struct reader *r, const char *name, size_t len)
{
    return has_family(r, name, len) || has_family(r, name, without(name, len, "_bucket")) ||
           has_family(r, name, without(name, len, "_count")) || has_family(r, name, without(name, len, "_sum"));
}

/* Every word that looks like a metric of ours must be one. Returns how many there were. */
static size_t check_names(const struct reader *r, const char *path)
{
    static const char *const beginnings[] = {"holdfast_", "openctem_", "process_"};
    char *text = source_file(path);
    size_t n = 0, len;

    for (const char *at = text; *at; at += len ? len : 1) {
        len = name_len(at);
        for (size_t i = 0; i < 3; i++) {
            if (len > strlen(beginnings[i]) && strncmp(at, beginnings[i], strlen(beginnings[i])) == 0) {
                n++;
                if (!is_known(r, at, len))
                    fail_msg("%s uses %.*s, which is not there", path, (int)len, at);
            }
        }
    }
    free(text);
    return n;
}

static struct reader *all_families(struct fixture *f)
{
    struct reader *r;
    char *text;

    count_something(f);
    text = metrics_of(f);
    r = read_metrics(text);
    free(text);
    return r;
}

static void test_sidecar_metrics__dashboard_and_alerts_use_names_that_there_are(void **state)
{
    struct reader *r = all_families(*state);
    char *text = source_file("tools/sidecar/dashboards/holdfast.json");
    cJSON *json = cJSON_Parse(text);

    assert_non_null(json);
    assert_in_range(cJSON_GetArraySize(cJSON_GetObjectItem(json, "panels")), 20, 100);
    assert_in_range(check_names(r, "tools/sidecar/dashboards/holdfast.json"), 30, 1000);
    assert_in_range(check_names(r, "tools/sidecar/dashboards/alerts.yml"), 20, 1000);
    cJSON_Delete(json);
    free(text);
    free(r);
}

/* Rows of the documents' tables: "| `name` | type |". */
static void test_sidecar_metrics__the_document_lists_what_there_is_and_nothing_else(void **state)
{
    struct reader *r = all_families(*state);
    char *text = source_file("docs/metrics.md"), *metrics = metrics_of(*state), name[128], type[16], line[160];
    size_t n = 0;

    for (const char *at = text; (at = strstr(at, "\n| `")); at += 4) {
        assert_int_equal(sscanf(at, "\n| `%127[a-z0-9_]` | %15[a-z] |", name, type), 2);
        if (!has_family(r, name, strlen(name)))
            fail_msg("docs/metrics.md lists %s, which is not there", name);
        snprintf(line, sizeof(line), "# TYPE %s %s\n", name, type);
        if (!strstr(metrics, line))
            fail_msg("docs/metrics.md calls %s a %s", name, type);
        n++;
    }
    for (size_t i = 0; i < r->n_seen; i++) {
        snprintf(line, sizeof(line), "\n| `%s` | ", r->seen[i]);
        if (!strstr(text, line))
            fail_msg("docs/metrics.md does not list %s", r->seen[i]);
    }
    assert_int_equal(n, r->n_seen);
    free(metrics);
    free(text);
    free(r);
}

#define WITH_REDIS(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
#define ALONE(test) cmocka_unit_test_setup_teardown(test, set_up_alone, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_REDIS(test_sidecar_health__it_is_ready_and_distributed_when_redis_is_there),
        WITH_REDIS(test_sidecar_health__an_outage_degrades_and_never_makes_it_unready),
        WITH_REDIS(test_sidecar_health__a_pause_degrades_and_is_told),
        ALONE(test_sidecar_health__without_redis_the_store_is_local_and_healthy),
        ALONE(test_sidecar_health__it_follows_the_phases_of_the_process),
        ALONE(test_sidecar_health__a_loop_that_does_not_turn_is_not_alive),
        WITH_REDIS(test_sidecar_health__an_overdue_answer_is_slow_and_then_very_slow),
        ALONE(test_sidecar_http__each_request_gets_the_answer_of_its_path_and_method),
        ALONE(test_sidecar_http__clients_that_stall_do_not_keep_others_waiting),
        ALONE(test_sidecar_http__bytes_that_are_no_request_end_their_connection_alone),
        ALONE(test_sidecar_http__with_a_password_strangers_are_told_the_bare_status),
        ALONE(test_sidecar_http__it_refuses_addresses_that_it_must_not_or_cannot_use),
        ALONE(test_sidecar_metrics__the_output_is_prometheus_text),
        ALONE(test_sidecar_metrics__labels_show_any_bytes),
        ALONE(test_sidecar_metrics__commands_are_counted_by_name_and_latency),
        ALONE(test_sidecar_metrics__more_commands_than_there_is_room_for_count_as_other),
        ALONE(test_sidecar_metrics__reads_are_counted_by_their_longest_prefix),
        WITH_REDIS(test_sidecar_metrics__they_follow_an_outage),
        ALONE(test_sidecar_metrics__what_is_not_known_is_nan),
        ALONE(test_sidecar_metrics__a_scrape_beside_counting_is_whole_and_never_runs_backwards),
        ALONE(test_sidecar_metrics__dashboard_and_alerts_use_names_that_there_are),
        ALONE(test_sidecar_metrics__the_document_lists_what_there_is_and_nothing_else),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
