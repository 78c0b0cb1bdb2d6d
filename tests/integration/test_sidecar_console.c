/* The console of a holdfastd, asked through sockets: its page, its JSON, and who is kept out. */
#include "http_get.h"
#include "redis_server.h"
#include "scratch.h"
#include "sidecar_process.h"

#include <cjson/cJSON.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define BOUND_MS 15000
#define HOST "Host: 127.0.0.1\r\n"
#define JSON_TYPE "Content-Type: application/json\r\n"
#define OPS_BASIC "Authorization: Basic b3BzOnMzY3JldDp4\r\n"   /* ops:s3cret:x */
#define WRONG_BASIC "Authorization: Basic b3BzOnMzY3JldA==\r\n" /* ops:s3cret */
#define TENANT_BASIC "Authorization: Basic dGVuYW50OnMzY3JldDp4\r\n"
#define HOSTILE "<script>\"&'"

struct fixture {
    struct scratch scratch;
    struct redis_server redis;
    struct sidecar_process sidecar;
    struct talk talk;
    int port;
    char password_file[2][128];   /* of ops and the others, and of root, which changes */
    char cookie[160], token[128]; /* of the last login; "": none */
    struct http_reply reply;      /* the last one */
};

static const char *const keep_data[] = {"--appendonly", "yes", "--appendfsync", "always", NULL};

/* ---- fixture ---- */

static void write_password(struct fixture *f, size_t i, const char *password)
{
    char path[sizeof(f->password_file[i])];
    FILE *file;

    snprintf(path, sizeof(path), "%s/password%zu", f->scratch.dir, i);
    memcpy(f->password_file[i], path, sizeof(path));
    file = fopen(path, "w");
    assert_non_null(file);
    fputs(password, file);
    fclose(file);
    assert_int_equal(chmod(f->password_file[i], 0600), 0);
}

/* Root may do all, ops operates, eve looks, tenant is limited. */
static void write_users(struct fixture *f, char *text, size_t size)
{
    write_password(f, 0, "s3cret:x");
    write_password(f, 1, "r00t");
    snprintf(text, size,
             "\"password_file\": \"%s\", \"users\": ["
             "{\"name\": \"ops\", \"password_file\": \"%s\", \"operator\": true}, "
             "{\"name\": \"eve\", \"password_file\": \"%s\"}, "
             "{\"name\": \"tenant\", \"password_file\": \"%s\", \"prefixes\": [\"t:\"], \"operator\": true}],",
             f->password_file[1], f->password_file[0], f->password_file[0], f->password_file[0]);
}

static int set_up_with(void **state, bool with_password)
{
    struct fixture *f = calloc(1, sizeof(*f));
    char users[1024] = "", config[2048];

    assert_non_null(f);
    *state = f;
    scratch_make(&f->scratch);
    assert_int_equal(redis_server_start(&f->redis, keep_data), 0);
    f->port = redis_server_free_port();
    if (with_password)
        write_users(f, users, sizeof(users));
    snprintf(
        config, sizeof(config),
        "{\"redis\": {\"backoff_max\": 60}, \"namespaces\": [{\"prefix\": \"local:\", \"write_mode\": \"local\"}, "
        "{\"prefix\": \"j:\", \"conflict\": \"merge-json\", \"default_ttl\": \"2h\", \"writers\": \"holdfast\", "
        "\"outage\": \"refuse\", \"read_mode\": \"shared\", \"on_loss\": \"hold\"}], "
        "\"sidecar\": {%s \"slow_after\": 20, "
        "\"http\": {\"port\": %d, \"names\": [\"console.example\"]}}}",
        users, f->port);
    sidecar_start(&f->sidecar, f->scratch.dir, f->redis.address, config);
    talk_open(&f->talk, f->sidecar.socket);
    if (with_password)
        assert_string_equal(talk_ask(&f->talk, "auth r00t"), "+OK|");
    assert_string_equal(talk_ask(&f->talk, "client setname the-test"), "+OK|");
    return 0;
}

static int set_up(void **state)
{
    return set_up_with(state, true);
}

static int set_up_open(void **state)
{
    return set_up_with(state, false);
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    http_reply_release(&f->reply);
    talk_close(&f->talk);
    sidecar_stop(&f->sidecar);
    redis_server_stop(&f->redis);
    scratch_remove(&f->scratch);
    free(f);
    return 0;
}

/* ---- asking ---- */

static int ask_with(struct fixture *f, const char *method, const char *path, const char *headers, const char *body)
{
    size_t size = strlen(headers) + strlen(body) + 512;
    char *request = malloc(size);

    assert_non_null(request);
    snprintf(request, size, "%s %s HTTP/1.1\r\nConnection: close\r\n%sContent-Length: %zu\r\n\r\n%s", method, path,
             headers, strlen(body), body);
    http_reply_release(&f->reply);
    f->reply = http_exchange(f->port, request);
    free(request);
    return f->reply.status;
}

/* With the session of the last login, if there is one. */
static int look(struct fixture *f, const char *path)
{
    char headers[512];

    snprintf(headers, sizeof(headers), HOST "%s", f->cookie);
    return ask_with(f, "GET", path, headers, "");
}

static int change(struct fixture *f, const char *path, const char *body)
{
    char headers[1024];

    snprintf(headers, sizeof(headers),
             HOST JSON_TYPE "Origin: http://127.0.0.1\r\nSec-Fetch-Site: same-origin\r\n%s%s", f->cookie, f->token);
    return ask_with(f, "POST", path, headers, body);
}

static cJSON *json_of(struct fixture *f)
{
    cJSON *json = cJSON_Parse(f->reply.body);

    if (!json)
        fail_msg("no JSON: %s", f->reply.body);
    return json;
}

static const char *text_in(const cJSON *json, const char *name)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItem(json, name));

    return text ? text : "(none)";
}

static bool is_true(const cJSON *json, const char *name)
{
    return cJSON_IsTrue(cJSON_GetObjectItem(json, name));
}

/* What stands behind `name` up to a ';' or the line's end. */
static void copy_header(const struct fixture *f, const char *name, char *text, size_t size)
{
    const char *at = strstr(f->reply.headers, name);

    assert_non_null(at);
    at += strlen(name);
    snprintf(text, size, "%.*s", (int)strcspn(at, ";\r"), at);
}

static int log_in(struct fixture *f, const char *user, const char *password)
{
    char body[256], cookie[128];
    cJSON *json;

    *f->cookie = *f->token = '\0';
    snprintf(body, sizeof(body), "{\"user\":\"%s\",\"password\":\"%s\"}", user, password);
    if (change(f, "/api/login", body) != 200)
        return f->reply.status;
    copy_header(f, "Set-Cookie: ", cookie, sizeof(cookie));
    snprintf(f->cookie, sizeof(f->cookie), "Cookie: %s\r\n", cookie);
    json = json_of(f);
    snprintf(f->token, sizeof(f->token), "X-Holdfast-Token: %s\r\n", text_in(json, "token"));
    cJSON_Delete(json);
    return 200;
}

static void assert_answer(struct fixture *f, const char *words, const char *reply)
{
    assert_string_equal(talk_ask(&f->talk, words), reply);
}

/* ---- making conflicts ---- */

static bool is_distributed(void *ctx)
{
    struct fixture *f = ctx;

    return strstr(talk_ask(&f->talk, "holdfast mode"), "distributed") != NULL;
}

static bool has_nothing_pending(void *ctx)
{
    struct fixture *f = ctx;

    return strncmp(talk_ask(&f->talk, "holdfast wait 0"), ":1", 2) == 0;
}

static void send_pair(struct fixture *f, const char *verb, const char *key, struct hf_slice value)
{
    const struct hf_slice argv[] = {s_(verb), s_(key), value};

    talk_send(&f->talk, 3, argv);
    (void)talk_reply(&f->talk);
}

/* From then on nothing is written through. */
static void pause_link(struct fixture *f)
{
    assert_answer(f, "holdfast pause", "+OK|");
    assert_true(wait_until(talk_is_offline, &f->talk, BOUND_MS));
}

/* Ours was written while the link was paused, and theirs meanwhile by somebody else; theirs stands. */
static void make_conflict(struct fixture *f, const char *key, struct hf_slice ours, const char *theirs)
{
    char text[64];

    assert_true(wait_until(is_distributed, f, BOUND_MS));
    send_pair(f, "set", key, s_("before"));
    pause_link(f);
    send_pair(f, "set", key, ours);
    redis_server_text(&f->redis, text, sizeof(text), "SET %s %s", key, theirs);
    assert_answer(f, "holdfast resume", "+OK|");
    assert_true(wait_until(is_distributed, f, BOUND_MS));
    assert_true(wait_until(has_nothing_pending, f, BOUND_MS));
}

/* An increment of what is no number there. */
static void make_parked(struct fixture *f, const char *key)
{
    char text[64];

    assert_true(wait_until(is_distributed, f, BOUND_MS));
    pause_link(f);
    send_pair(f, "incrby", key, s_("7"));
    redis_server_text(&f->redis, text, sizeof(text), "SET %s many", key);
    assert_answer(f, "holdfast resume", "+OK|");
    assert_true(wait_until(is_distributed, f, BOUND_MS));
    assert_true(wait_until(has_nothing_pending, f, BOUND_MS));
}

/* The entries of a list, as the console has them; the caller deletes them. */
static cJSON *entries_of(struct fixture *f, const char *path, int n)
{
    cJSON *json;

    assert_int_equal(look(f, path), 200);
    json = json_of(f);
    if (cJSON_GetArraySize(json) != n)
        fail_msg("%s: expected %d entries: %s", path, n, f->reply.body);
    return json;
}

static void assert_n_entries(struct fixture *f, const char *path, int n)
{
    cJSON_Delete(entries_of(f, path, n));
}

/* {"number": that of the first entry} */
static const char *first_number(struct fixture *f, const char *path, const char *name, char body[64])
{
    cJSON *json;

    assert_int_equal(look(f, path), 200);
    json = json_of(f);
    snprintf(body, 64, "{\"number\":%.0f}",
             cJSON_GetNumberValue(cJSON_GetObjectItem(cJSON_GetArrayItem(json, 0), name)));
    cJSON_Delete(json);
    return body;
}

/* ---- the page ---- */

static void assert_protected(const struct fixture *f)
{
    char policy[512];

    assert_non_null(strstr(f->reply.headers, "X-Content-Type-Options: nosniff\r\n"));
    assert_non_null(strstr(f->reply.headers, "Cache-Control: no-store\r\n"));
    snprintf(policy, sizeof(policy), "%.400s", strstr(f->reply.headers, "Content-Security-Policy: "));
    assert_non_null(strstr(policy, "default-src 'none'"));
    assert_non_null(strstr(policy, "frame-ancestors 'none'"));
    assert_null(strstr(f->reply.headers, "unsafe"));
    assert_null(strstr(f->reply.headers, "Access-Control-Allow"));
}

/* Everything that the page names is here, and it names nothing that is elsewhere. */
static void test_sidecar_console__the_page_loads_nothing_from_elsewhere(void **state)
{
    struct fixture *f = *state;
    char page[32768], path[128];
    size_t n = 0;

    assert_int_equal(look(f, "/"), 200);
    assert_non_null(strstr(f->reply.headers, "Content-Type: text/html"));
    assert_protected(f);
    snprintf(page, sizeof(page), "%s", f->reply.body);
    for (const char *at = page; (at = strpbrk(at, "sh")); at++) {
        if (sscanf(at, "src=\"%120[^\"]", path + 1) != 1 && sscanf(at, "href=\"%120[^\"]", path + 1) != 1)
            continue;
        path[0] = '/';
        assert_int_equal(look(f, path), 200);
        assert_null(strstr(f->reply.headers, "octet-stream"));
        assert_protected(f);
        n++;
    }
    assert_in_range(n, 3, 20);
    assert_null(strstr(page, "//"));
    assert_null(strstr(page, " style="));
    assert_null(strstr(page, " onclick="));
}

static void test_sidecar_console__each_path_answers_its_methods(void **state)
{
    static const struct {
        const char *method, *path, *body;
        int status;
    } rows[] = {
        {"HEAD", "/", "", 200},
        {"POST", "/", "{}", 405},
        {"GET", "/index.html", "", 200},
        {"GET", "/../main.js", "", 404},
        {"GET", "/main.js/", "", 404},
        {"GET", "/console.h", "", 404},
        {"GET", "/api/", "", 404},
        {"GET", "/api/nothing", "", 404},
        {"DELETE", "/api/status", "", 405},
        {"PUT", "/api/conflicts", "{}", 405},
        {"HEAD", "/api/status", "", 200},
        {"GET", "/api/history?since=x", "", 400},
        {"GET", "/api/history?since=-1", "", 400},
        {"GET", "/api/history?after=x", "", 400},
        {"GET", "/api/conflicts?from=x", "", 400},
        {"GET", "/api/conflicts/9", "", 404},
        {"GET", "/api/conflicts/%00", "", 404},
        {"GET", "/api/parked/9", "", 404},
        {"POST", "/api/nothing", "{}", 404},
        {"POST", "/api/conflicts/resolve", "{}", 401},
        {"POST", "/api/conflicts/resolve", "{\"number\":1}", 401},
        {"POST", "/api/status", "{}", 404},
        {"POST", "/api/parked/drop", "[]", 400},
        {"POST", "/api/parked/drop", "{", 400},
        {"POST", "/api/parked/drop", "", 400},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (ask_with(f, rows[i].method, rows[i].path, HOST JSON_TYPE, rows[i].body) != rows[i].status)
            fail_msg("%s %s: %d, expected %d: %s", rows[i].method, rows[i].path, f->reply.status, rows[i].status,
                     f->reply.body);
        assert_protected(f);
    }
}

/* ---- who is kept out ---- */

static void test_sidecar_console__it_answers_to_its_own_names_only(void **state)
{
    static const struct {
        const char *host;
        bool ours;
    } rows[] = {
        {"127.0.0.1", true},
        {"127.0.0.1:9380", true},
        {"10.1.2.3:1", true},
        {"localhost", true},
        {"LocalHost:9380", true},
        {"[::1]", true},
        {"[::1]:9380", true},
        {"console.example:1", true},
        {"Console.Example", true},
        {"evil.example", false},
        {"127.0.0.1.evil.example", false},
        {"localhost.evil", false},
        {"[::1].evil", false},
        {"[::1", false},
        {"", false},
        {"x:127.0.0.1", false},
        {"evil.example:127", false},
        {"1.2.3.4@evil", false},
        {"127.1", false},
    };
    struct fixture *f = *state;
    char headers[128];

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        snprintf(headers, sizeof(headers), "Host: %s\r\n", rows[i].host);
        for (int k = 0; k < 2; k++) {
            int status = ask_with(f, "GET", k ? "/" : "/api/status", headers, "");

            if (rows[i].ours != (status == 200))
                fail_msg("Host %s: %d", rows[i].host, status);
        }
    }
}

static const char *const looks[] = {"/api/status", "/api/history", "/api/conflicts",  "/api/conflicts/1",
                                    "/api/parked", "/api/slow",    "/api/namespaces", "/api/nothing"};

static void test_sidecar_console__a_stranger_sees_the_login_form_alone(void **state)
{
    struct fixture *f = *state;
    cJSON *json;

    assert_int_equal(look(f, "/"), 200);
    assert_int_equal(look(f, "/api/session"), 200);
    json = json_of(f);
    assert_false(is_true(json, "may_look"));
    assert_false(is_true(json, "may_change"));
    assert_null(cJSON_GetObjectItem(json, "version"));
    cJSON_Delete(json);
    for (size_t i = 0; i < sizeof(looks) / sizeof(looks[0]); i++) {
        assert_int_equal(look(f, looks[i]), 401);
        assert_null(strstr(f->reply.headers, "WWW-Authenticate"));
        assert_string_equal(f->reply.body, "{\"error\":\"a login is needed\"}");
    }
}

static void test_sidecar_console__only_users_of_all_keys_log_in(void **state)
{
    static const struct {
        const char *user, *password;
        int status;
        bool may_change;
    } rows[] = {
        {"ops", "s3cret:x", 200, true},
        {"default", "r00t", 200, true},
        {"eve", "s3cret:x", 200, false},
        {"tenant", "s3cret:x", 403, false},
        {"ops", "s3cret", 401, false},
        {"nobody", "s3cret:x", 401, false},
        {"", "", 401, false},
    };
    struct fixture *f = *state;
    cJSON *json;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(log_in(f, rows[i].user, rows[i].password), rows[i].status);
        assert_int_equal(strstr(f->reply.headers, "Set-Cookie: ") != NULL, rows[i].status == 200);
        if (rows[i].status != 200)
            continue;
        assert_non_null(strstr(f->reply.headers, "; HttpOnly"));
        assert_non_null(strstr(f->reply.headers, "; SameSite=Strict"));
        json = json_of(f);
        assert_true(is_true(json, "may_look"));
        assert_int_equal(is_true(json, "may_change"), rows[i].may_change);
        cJSON_Delete(json);
        assert_int_equal(look(f, "/api/status"), 200);
        assert_int_equal(change(f, "/api/conflicts/resolve", "{\"number\":1}"), rows[i].may_change ? 200 : 403);
    }
}

/* Each part of what a change needs is left out, or wrong, once. */
static void test_sidecar_console__a_change_needs_all_of_its_protection(void **state)
{
    struct fixture *f = *state;
    char cookie[160], token[128], body[64];
    const struct {
        const char *headers[5];
        int status;
    } rows[] = {
        {{HOST, JSON_TYPE, cookie}, 403},    /* no token */
        {{HOST, JSON_TYPE, token}, 401},     /* no session */
        {{HOST, JSON_TYPE, OPS_BASIC}, 401}, /* what a browser sends for any page */
        {{HOST, JSON_TYPE, OPS_BASIC, token}, 401},
        {{HOST, cookie, token}, 415}, /* what a form can send */
        {{HOST, cookie, token, "Content-Type: text/plain\r\n"}, 415},
        {{HOST, cookie, token, "Content-Type: application/jsonp\r\n"}, 415},
        {{HOST, JSON_TYPE, cookie, token, "Origin: http://evil.example\r\n"}, 403},
        {{HOST, JSON_TYPE, cookie, token, "Origin: http://127.0.0.1:81\r\n"}, 403},
        {{HOST, JSON_TYPE, cookie, token, "Origin: null\r\n"}, 403},
        {{HOST, JSON_TYPE, cookie, token, "Sec-Fetch-Site: cross-site\r\n"}, 403},
        {{HOST, JSON_TYPE, cookie, token, "Sec-Fetch-Site: same-site\r\n"}, 403},
        {{"Host: evil.example\r\n", JSON_TYPE, cookie, token}, 421},
        {{HOST, JSON_TYPE, cookie, "X-Holdfast-Token: \r\n"}, 403},
        {{HOST, JSON_TYPE, cookie,
          "X-Holdfast-Token: 0000000000000000000000000000000000000000000000000000000000000000\r\n"},
         403},
        {{HOST, JSON_TYPE, cookie, token, "Origin: https://127.0.0.1\r\n"}, 200}, /* behind a proxy */
    };
    char headers[1024];

    make_conflict(f, "k", s_("ours"), "theirs");
    assert_int_equal(log_in(f, "ops", "s3cret:x"), 200);
    snprintf(cookie, sizeof(cookie), "%s", f->cookie);
    snprintf(token, sizeof(token), "%s", f->token);
    first_number(f, "/api/conflicts", "id", body);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_n_entries(f, "/api/conflicts", 1);
        *headers = '\0';
        for (size_t k = 0; k < 5 && rows[i].headers[k]; k++)
            strcat(headers, rows[i].headers[k]);
        if (ask_with(f, "POST", "/api/conflicts/resolve", headers, body) != rows[i].status)
            fail_msg("row %zu: %d, expected %d: %s", i, f->reply.status, rows[i].status, f->reply.body);
    }
    assert_n_entries(f, "/api/conflicts", 0);
}

static void test_sidecar_console__basic_authentication_looks_and_changes_nothing(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(ask_with(f, "GET", "/api/status", HOST OPS_BASIC, ""), 200);
    assert_int_equal(ask_with(f, "GET", "/api/status", HOST WRONG_BASIC, ""), 401);
    assert_int_equal(ask_with(f, "GET", "/api/status", HOST TENANT_BASIC, ""), 401);
    assert_int_equal(ask_with(f, "POST", "/api/conflicts/resolve", HOST JSON_TYPE OPS_BASIC, "{\"number\":1}"),
                     401);
}

static void test_sidecar_console__an_address_with_too_many_wrong_passwords_waits(void **state)
{
    struct fixture *f = *state;

    for (int i = 0; i < 5; i++) {
        assert_int_equal(log_in(f, "ops", "wrong"), 401);
        assert_int_equal(ask_with(f, "GET", "/metrics", HOST WRONG_BASIC, ""), 401);
    }
    assert_int_equal(log_in(f, "ops", "s3cret:x"), 429);
    assert_int_equal(ask_with(f, "GET", "/metrics", HOST OPS_BASIC, ""), 429);
    assert_int_equal(ask_with(f, "GET", "/api/status", HOST OPS_BASIC, ""), 429);
    assert_int_equal(ask_with(f, "GET", "/health/ready", HOST OPS_BASIC, ""), 200);
    assert_int_equal(look(f, "/"), 200);
}

static void test_sidecar_console__a_session_ends_with_logout(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(log_in(f, "eve", "s3cret:x"), 200);
    assert_int_equal(look(f, "/api/status"), 200);
    assert_int_equal(change(f, "/api/logout", "{}"), 200);
    assert_non_null(strstr(f->reply.headers, "Max-Age=0"));
    assert_int_equal(look(f, "/api/status"), 401);
    assert_int_equal(change(f, "/api/logout", "{}"), 401);
}

static bool is_out(void *ctx)
{
    return look(ctx, "/api/status") == 401;
}

static void test_sidecar_console__a_session_ends_with_its_password(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(log_in(f, "default", "r00t"), 200);
    assert_int_equal(look(f, "/api/status"), 200);
    write_password(f, 1, "another");
    kill(f->sidecar.pid, SIGHUP);
    assert_true(wait_until(is_out, f, BOUND_MS));
    assert_int_equal(log_in(f, "default", "r00t"), 401);
    assert_int_equal(log_in(f, "default", "another"), 200);
}

static void test_sidecar_console__without_a_password_all_look_and_nobody_changes_anything(void **state)
{
    struct fixture *f = *state;
    cJSON *json;
    char body[64];

    make_conflict(f, "k", s_("ours"), "theirs");
    assert_int_equal(look(f, "/api/session"), 200);
    json = json_of(f);
    assert_true(is_true(json, "open") && is_true(json, "may_look") && !is_true(json, "may_change"));
    cJSON_Delete(json);
    first_number(f, "/api/conflicts", "id", body);
    assert_int_equal(change(f, "/api/conflicts/resolve", body), 401);
    assert_int_equal(change(f, "/api/conflicts/restore", body), 401);
    assert_int_equal(log_in(f, "default", ""), 401);
    assert_n_entries(f, "/api/conflicts", 1);
    for (int i = 0; i < 12; i++) /* a scraper with a password that nobody has asked for */
        assert_int_equal(ask_with(f, "GET", "/metrics", HOST WRONG_BASIC, ""), 200);
}

static void test_sidecar_console__a_body_is_bounded(void **state)
{
    struct fixture *f = *state;
    char *body = calloc(1, 1 << 20);

    assert_non_null(body);
    memset(body, ' ', (1 << 20) - 1);
    body[0] = '{';
    body[(1 << 20) - 2] = '}';
    assert_int_equal(ask_with(f, "POST", "/api/login", HOST JSON_TYPE, body), 413);
    body[15000] = '\0';
    body[14999] = '}';
    assert_int_equal(ask_with(f, "POST", "/api/login", HOST JSON_TYPE, body), 401);
    free(body);
}

/* ---- what it shows and does ---- */

static void test_sidecar_console__both_values_of_a_conflict_are_shown_as_they_are(void **state)
{
    static const char binary[] = {'a', 0, '\xff'};
    struct fixture *f = *state;
    const cJSON *conflict, *ours;
    cJSON *json;
    char path[64];

    make_conflict(f, "k", s_(HOSTILE), "theirs");
    make_conflict(f, "b", hf__slice(binary, 3), "theirs");
    assert_int_equal(log_in(f, "ops", "s3cret:x"), 200);
    json = entries_of(f, "/api/conflicts", 2);
    assert_null(strchr(f->reply.body, '<'));
    conflict = cJSON_GetArrayItem(json, 0);
    assert_string_equal(text_in(conflict, "key"), "k");
    assert_string_equal(text_in(conflict, "winner"), "theirs");
    assert_string_equal(text_in(cJSON_GetObjectItem(conflict, "ours"), "value"), HOSTILE);
    assert_string_equal(text_in(cJSON_GetObjectItem(conflict, "theirs"), "value"), "theirs");
    ours = cJSON_GetObjectItem(cJSON_GetArrayItem(json, 1), "ours");
    assert_string_equal(text_in(cJSON_GetObjectItem(ours, "value"), "hex"), "6100ff");
    snprintf(path, sizeof(path), "/api/conflicts/%.0f", cJSON_GetNumberValue(cJSON_GetObjectItem(conflict, "id")));
    cJSON_Delete(json);
    assert_int_equal(look(f, path), 200);
    json = json_of(f);
    assert_string_equal(text_in(json, "key"), "k");
    cJSON_Delete(json);
}

/* The beginning of a text is a text, wherever it is cut. */
static void test_sidecar_console__long_values_are_cut_in_lists_and_whole_by_themselves(void **state)
{
    struct fixture *f = *state;
    const cJSON *ours;
    cJSON *json;
    char value[400] = "", path[64];

    strcat(value, "x");
    for (int i = 0; i < 90; i++)
        strcat(value, "\xe2\x82\xac"); /* 3 bytes each */
    make_conflict(f, "k", s_(value), "theirs");
    assert_int_equal(log_in(f, "ops", "s3cret:x"), 200);
    json = entries_of(f, "/api/conflicts", 1);
    ours = cJSON_GetObjectItem(cJSON_GetArrayItem(json, 0), "ours");
    assert_int_equal(strlen(text_in(ours, "value")), 1 + 42 * 3);
    assert_int_equal(cJSON_GetNumberValue(cJSON_GetObjectItem(ours, "bytes")), 271);
    snprintf(path, sizeof(path), "/api/conflicts/%.0f",
             cJSON_GetNumberValue(cJSON_GetObjectItem(cJSON_GetArrayItem(json, 0), "id")));
    cJSON_Delete(json);
    assert_int_equal(look(f, path), 200);
    json = json_of(f);
    assert_string_equal(text_in(cJSON_GetObjectItem(json, "ours"), "value"), value);
    cJSON_Delete(json);
}

static void test_sidecar_console__what_is_kept_for_information_is_no_conflict(void **state)
{
    struct fixture *f = *state;
    char text[64];

    assert_true(wait_until(is_distributed, f, BOUND_MS));
    pause_link(f);
    send_pair(f, "set", "unseen", s_("ours"));
    redis_server_text(&f->redis, text, sizeof(text), "SET unseen theirs");
    assert_answer(f, "holdfast resume", "+OK|");
    assert_true(wait_until(has_nothing_pending, f, BOUND_MS));
    assert_int_equal(log_in(f, "ops", "s3cret:x"), 200);
    assert_n_entries(f, "/api/conflicts", 0);
    assert_non_null(strstr(talk_ask(&f->talk, "holdfast conflicts"), "unseen"));
    assert_answer(f, "holdfast conflicts list decided", "*0|");
}

static void test_sidecar_console__entries_are_resolved_restored_requeued_and_dropped(void **state)
{
    struct fixture *f = *state;
    char body[64], text[64];

    make_conflict(f, "kept", s_("ours"), "theirs");
    make_conflict(f, "restored", s_("ours"), "theirs");
    make_parked(f, "n");
    make_parked(f, "m");
    assert_int_equal(log_in(f, "ops", "s3cret:x"), 200);
    assert_int_equal(change(f, "/api/conflicts/resolve", first_number(f, "/api/conflicts", "id", body)), 200);
    assert_string_equal(f->reply.body, "1");
    assert_int_equal(change(f, "/api/conflicts/resolve", body), 200);
    assert_string_equal(f->reply.body, "0");
    assert_int_equal(change(f, "/api/conflicts/restore", first_number(f, "/api/conflicts", "id", body)), 200);
    assert_int_equal(change(f, "/api/conflicts/restore", body), 409);
    assert_n_entries(f, "/api/conflicts", 0);
    assert_string_equal(redis_server_text(&f->redis, text, sizeof(text), "GET kept"), "theirs");
    assert_string_equal(redis_server_text(&f->redis, text, sizeof(text), "GET restored"), "ours");

    redis_server_text(&f->redis, text, sizeof(text), "SET n 10");
    assert_int_equal(change(f, "/api/parked/requeue", first_number(f, "/api/parked", "lsn", body)), 200);
    assert_true(wait_until(has_nothing_pending, f, BOUND_MS));
    assert_int_equal(redis_server_number(&f->redis, "INCRBY n 0"), 17);
    assert_int_equal(change(f, "/api/parked/drop", first_number(f, "/api/parked", "lsn", body)), 200);
    assert_n_entries(f, "/api/parked", 0);
    assert_string_equal(redis_server_text(&f->redis, text, sizeof(text), "GET m"), "many");
}

static void test_sidecar_console__a_number_that_is_none_changes_nothing(void **state)
{
    static const char *const rows[] = {"{}",
                                       "{\"number\":-1}",
                                       "{\"number\":1.5}",
                                       "{\"number\":\"1\"}",
                                       "{\"number\":1e300}",
                                       "{\"number\":[1]}",
                                       "{\"number\":9007199254740993}"};
    struct fixture *f = *state;

    assert_int_equal(log_in(f, "ops", "s3cret:x"), 200);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (change(f, "/api/parked/drop", rows[i]) != 400)
            fail_msg("%s: %d", rows[i], f->reply.status);
    }
}

/* ---- the history ---- */

static bool history_has(struct fixture *f, const char *state)
{
    const cJSON *change;
    bool found = false;
    cJSON *json;

    assert_int_equal(look(f, "/api/history"), 200);
    json = json_of(f);
    cJSON_ArrayForEach(change, cJSON_GetObjectItem(json, "changes"))
    {
        found |= strcmp(text_in(change, "state"), state) == 0;
    }
    cJSON_Delete(json);
    return found;
}

static bool shows_return(void *ctx)
{
    return history_has(ctx, "offline") && history_has(ctx, "replaying") && is_distributed(ctx);
}

/* States that last some milliseconds are there, also for who asks only afterwards. */
static void test_sidecar_console__the_history_has_every_state_however_short(void **state)
{
    struct fixture *f = *state;
    const cJSON *changes, *one, *before = NULL;
    cJSON *json;

    assert_true(wait_until(is_distributed, f, BOUND_MS));
    redis_server_kill(&f->redis);
    assert_int_equal(redis_server_restart(&f->redis), 0);
    if (!wait_until(shows_return, f, BOUND_MS))
        fail_msg("the history has no return: %s", f->reply.body);
    assert_int_equal(look(f, "/api/history"), 200);
    json = json_of(f);
    changes = cJSON_GetObjectItem(json, "changes");
    cJSON_ArrayForEach(one, changes)
    {
        if (before) /* what was left out ends where it has begun */
            assert_string_equal(text_in(one, "from"), text_in(before, "state"));
        before = one;
    }
    cJSON_Delete(json);
}

static int n_changes(struct fixture *f, const char *path)
{
    cJSON *json;
    int n;

    assert_int_equal(look(f, path), 200);
    json = json_of(f);
    n = cJSON_GetArraySize(cJSON_GetObjectItem(json, "changes"));
    cJSON_Delete(json);
    return n;
}

static bool is_held(void *ctx)
{
    return history_has(ctx, "held");
}

static int n_samples(struct fixture *f, const char *path, double *ret_last_ms)
{
    const cJSON *samples, *last;
    cJSON *json;
    int n;

    assert_int_equal(look(f, path), 200);
    json = json_of(f);
    samples = cJSON_GetObjectItem(json, "samples");
    n = cJSON_GetArraySize(samples);
    last = n > 0 ? cJSON_GetArrayItem(samples, n - 1) : NULL;
    if (last)
        *ret_last_ms = cJSON_GetNumberValue(cJSON_GetArrayItem(last, 0));
    cJSON_Delete(json);
    return n;
}

static bool has_samples(void *ctx)
{
    double last_ms;

    return n_samples(ctx, "/api/history", &last_ms) >= 2;
}

static bool has_tried_often(void *ctx)
{
    double last_ms;

    return n_samples(ctx, "/api/history", &last_ms) >= 5;
}

static bool was_offline(void *ctx)
{
    return history_has(ctx, "offline");
}

/* The link comes back every 60 ms at the latest to see whether it is still held. It may be so from the FLUSHALL on. */
static void test_sidecar_console__attempts_that_fail_do_not_fill_the_history(void **state)
{
    struct fixture *f = *state;
    char text[64];

    assert_true(wait_until(is_distributed, f, BOUND_MS));
    redis_server_text(&f->redis, text, sizeof(text), "FLUSHALL");
    redis_server_kill(&f->redis);
    assert_true(wait_until(was_offline, f, BOUND_MS));
    assert_int_equal(redis_server_restart(&f->redis), 0);
    assert_true(wait_until(is_held, f, BOUND_MS));
    assert_true(wait_until(has_tried_often, f, BOUND_MS));
    assert_in_range(n_changes(f, "/api/history"), 4, 12);
}

static void test_sidecar_console__the_history_tells_what_came_since(void **state)
{
    struct fixture *f = *state;
    double last_ms = 0, then_ms = 0;
    char path[64];

    assert_true(wait_until(has_samples, f, BOUND_MS));
    (void)n_samples(f, "/api/history", &last_ms);
    snprintf(path, sizeof(path), "/api/history?since=%.0f", last_ms - 1);
    assert_in_range(n_samples(f, path, &then_ms), 1, 3);
    assert_true(then_ms >= last_ms);
    snprintf(path, sizeof(path), "/api/history?since=%.0f", last_ms + 1e9);
    assert_int_equal(n_samples(f, path, &then_ms), 0);
    assert_true(wait_until(is_distributed, f, BOUND_MS));
    assert_in_range(n_changes(f, "/api/history"), 3, 10);
    assert_int_equal(n_changes(f, "/api/history?after=2"), n_changes(f, "/api/history?after=1") - 1);
    assert_int_equal(n_changes(f, "/api/history?after=1000"), 0);
}

/* ---- slow commands and namespaces ---- */

/* A key that is not held here is asked for in a Redis that does not answer. */
static void test_sidecar_console__a_slow_command_is_told_without_its_value(void **state)
{
    struct fixture *f = *state;
    const cJSON *slow;
    cJSON *json;

    assert_true(wait_until(is_distributed, f, BOUND_MS));
    redis_server_pause(&f->redis);
    (void)talk_ask(&f->talk, "setrange not-here 0 the-value");
    redis_server_resume(&f->redis);
    assert_int_equal(look(f, "/api/slow"), 200);
    json = json_of(f);
    assert_int_equal(cJSON_GetNumberValue(cJSON_GetObjectItem(json, "after_ms")), 20);
    slow = cJSON_GetArrayItem(cJSON_GetObjectItem(json, "commands"), 0);
    assert_string_equal(text_in(slow, "command"), "setrange");
    assert_string_equal(text_in(slow, "key"), "not-here");
    assert_string_equal(text_in(slow, "client_name"), "the-test");
    assert_in_range(cJSON_GetNumberValue(cJSON_GetObjectItem(slow, "us")), 20000, 10000000);
    assert_null(strstr(f->reply.body, "the-value"));
    cJSON_Delete(json);
}

static void test_sidecar_console__namespaces_are_told_in_the_words_of_the_configuration(void **state)
{
    static const struct {
        int i;
        const char *name, *value;
    } rows[] = {
        {0, "prefix", "local:"},    {0, "write", "local"},      {1, "prefix", "j:"},
        {1, "write", "through"},    {1, "read", "shared"},      {1, "conflict", "merge-json"},
        {1, "writers", "holdfast"}, {1, "outage", "refuse"},    {1, "on_loss", "hold"},
        {2, "prefix", ""},          {2, "conflict", "newest"},  {2, "writers", "any"},
        {2, "outage", "journal"},   {2, "on_loss", "evidence"}, {2, "read", "local"},
    };
    struct fixture *f = *state;
    cJSON *json = entries_of(f, "/api/namespaces", 3);

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_string_equal(text_in(cJSON_GetArrayItem(json, rows[i].i), rows[i].name), rows[i].value);
    assert_int_equal(cJSON_GetNumberValue(cJSON_GetObjectItem(cJSON_GetArrayItem(json, 1), "default_ttl_ms")),
                     7200000);
    cJSON_Delete(json);
}

#define CLOSED(test) cmocka_unit_test_setup_teardown(test_sidecar_console__##test, set_up, tear_down)
#define OPEN(test) cmocka_unit_test_setup_teardown(test_sidecar_console__##test, set_up_open, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLOSED(the_page_loads_nothing_from_elsewhere),
        OPEN(each_path_answers_its_methods),
        OPEN(it_answers_to_its_own_names_only),
        CLOSED(a_stranger_sees_the_login_form_alone),
        CLOSED(only_users_of_all_keys_log_in),
        CLOSED(a_change_needs_all_of_its_protection),
        CLOSED(basic_authentication_looks_and_changes_nothing),
        CLOSED(an_address_with_too_many_wrong_passwords_waits),
        CLOSED(a_session_ends_with_logout),
        CLOSED(a_session_ends_with_its_password),
        OPEN(without_a_password_all_look_and_nobody_changes_anything),
        CLOSED(a_body_is_bounded),
        CLOSED(both_values_of_a_conflict_are_shown_as_they_are),
        CLOSED(long_values_are_cut_in_lists_and_whole_by_themselves),
        CLOSED(what_is_kept_for_information_is_no_conflict),
        CLOSED(entries_are_resolved_restored_requeued_and_dropped),
        CLOSED(a_number_that_is_none_changes_nothing),
        OPEN(the_history_has_every_state_however_short),
        OPEN(attempts_that_fail_do_not_fill_the_history),
        OPEN(the_history_tells_what_came_since),
        OPEN(a_slow_command_is_told_without_its_value),
        OPEN(namespaces_are_told_in_the_words_of_the_configuration),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
