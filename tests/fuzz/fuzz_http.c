/* Fuzz target: HTTP as the sidecar sees it behind libmicrohttpd: path, headers, cookies, a name and a password, and JSON in a body.
 *
 *     METHOD /path?name=value
 *     Header: value
 *                                   "$T" for the session's token, "$S" for its secret; "Password: user:password" for basic authentication
 *     body
 *
 * libmicrohttpd is ours: it parses nothing, and keeps what is answered. Whatever comes is answered exactly once; nobody looks at anything
 * without having logged in, and changes need a session, its token, a page of ours, and the right. */
#include "access.h"
#include "cmd_holdfast.h"
#include "console.h"
#include "fuzz.h"
#include "health.h"
#include "history.h"
#include "http.h"
#include "log.h"
#include "metrics.h"
#include "number.h"
#include "server.h"
#include "settings.h"
#include "slow.h"

#include <arpa/inet.h>
#include <cjson/cJSON.h>
#include <microhttpd.h>
#include <openssl/sha.h>
#include <stdarg.h>
#include <stdio.h>
#include <strings.h>

#define PAIRS_MAX 16u

/* ---- the request ---- */

struct pair {
    enum MHD_ValueKind kind;
    char *name, *value;
};

static struct {
    char *method, *path, *body;
    size_t body_len;
    struct pair pairs[PAIRS_MAX];
    size_t n;
    struct sockaddr_in from;
} request;

static struct {
    unsigned n, status;
    struct hf_buf body;
    unsigned n_changes, n_looks;
} answered;

static char secret[SESSION_TOKEN_CHARS + 1];
static struct visitor ops;

static void add_pair(enum MHD_ValueKind kind, struct hf_slice name, struct hf_slice value)
{
    struct pair *pair = &request.pairs[request.n];

    if (request.n == PAIRS_MAX)
        return;
    *pair = (struct pair){kind, fuzz_text(name.data, name.len), NULL};
    if (hf__slice_eq(value, hf__slice_str("$T")))
        value = hf__slice_str(ops.token);
    else if (hf__slice_eq(value, hf__slice_str("$S")))
        value = hf__slice_str(secret);
    pair->value = fuzz_text(value.data, value.len);
    request.n++;
}

static void take_path(struct hf_slice line)
{
    struct fuzz_input in = {line.data, line.len};
    struct hf_slice path = fuzz_until(&in, '?');

    request.path = fuzz_text(path.data, path.len);
    while (in.left > 0) {
        struct hf_slice argument = fuzz_until(&in, '&');
        struct fuzz_input parts = {argument.data, argument.len};
        struct hf_slice name = fuzz_until(&parts, '=');

        add_pair(MHD_GET_ARGUMENT_KIND, name, hf__slice(parts.p, parts.left));
    }
}

static void take_header(struct hf_slice line)
{
    struct fuzz_input in = {line.data, line.len};
    struct hf_slice name = fuzz_until(&in, ':');
    bool is_cookie = hf__slice_eq(name, hf__slice_str("Cookie"));

    if (in.left > 0 && *in.p == ' ')
        (void)fuzz_piece(&in, 1);
    if (is_cookie)
        name = fuzz_until(&in, '=');
    add_pair(is_cookie ? MHD_COOKIE_KIND : MHD_HEADER_KIND, name, hf__slice(in.p, in.left));
}

static void take_request(struct fuzz_input *in)
{
    struct hf_slice method, line;

    request.from = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = (in_addr_t)fuzz_number(in, 2)};
    method = fuzz_until(in, ' ');
    request.method = fuzz_text(method.data, method.len);
    take_path(fuzz_until(in, '\n'));
    while ((line = fuzz_until(in, '\n')).len > 0)
        take_header(line);
    request.body = fuzz_text(in->p, in->left);
    request.body_len = in->left;
}

static void forget_request(void)
{
    for (size_t i = 0; i < request.n; i++) {
        free(request.pairs[i].name);
        free(request.pairs[i].value);
    }
    request.n = 0;
    free(request.method);
    free(request.path);
    free(request.body);
}

static const char *value_of(enum MHD_ValueKind kind, const char *name)
{
    for (size_t i = 0; i < request.n; i++) {
        if (request.pairs[i].kind == kind && strcasecmp(request.pairs[i].name, name) == 0)
            return request.pairs[i].value;
    }
    return NULL;
}

/* ---- libmicrohttpd ---- */

struct MHD_Daemon *__wrap_MHD_start_daemon(unsigned flags, uint16_t port, MHD_AcceptPolicyCallback accept,
                                           void *accept_ctx, MHD_AccessHandlerCallback handler, void *ctx, ...);
void __wrap_MHD_stop_daemon(struct MHD_Daemon *daemon);
const char *__wrap_MHD_lookup_connection_value(struct MHD_Connection *connection, enum MHD_ValueKind kind,
                                               const char *key);
const union MHD_ConnectionInfo *__wrap_MHD_get_connection_info(struct MHD_Connection *connection,
                                                               enum MHD_ConnectionInfoType type, ...);
char *__wrap_MHD_basic_auth_get_username_password(struct MHD_Connection *connection, char **password);
void __wrap_MHD_free(void *memory);
struct MHD_Response *__wrap_MHD_create_response_from_buffer(size_t size, void *buffer,
                                                            enum MHD_ResponseMemoryMode mode);
enum MHD_Result __wrap_MHD_add_response_header(struct MHD_Response *response, const char *header,
                                               const char *content);
enum MHD_Result __wrap_MHD_queue_response(struct MHD_Connection *connection, unsigned status,
                                          struct MHD_Response *response);
enum MHD_Result __wrap_MHD_queue_basic_auth_fail_response(struct MHD_Connection *connection, const char *realm,
                                                          struct MHD_Response *response);
void __wrap_MHD_destroy_response(struct MHD_Response *response);

static MHD_AccessHandlerCallback on_request;
static MHD_RequestCompletedCallback on_over;
static void *on_request_ctx;

/* The one option that is of use here. */
static void take_options(va_list args)
{
    int option;

    while ((option = va_arg(args, int)) != MHD_OPTION_END) {
        switch (option) {
        case MHD_OPTION_NOTIFY_COMPLETED:
            on_over = va_arg(args, MHD_RequestCompletedCallback);
            (void)va_arg(args, void *);
            break;
        case MHD_OPTION_SOCK_ADDR: (void)va_arg(args, void *); break;
        default: (void)va_arg(args, unsigned);
        }
    }
}

struct MHD_Daemon *__wrap_MHD_start_daemon(unsigned flags, uint16_t port, MHD_AcceptPolicyCallback accept,
                                           void *accept_ctx, MHD_AccessHandlerCallback handler, void *ctx, ...)
{
    va_list args;

    (void)flags, (void)port, (void)accept, (void)accept_ctx;
    va_start(args, ctx);
    take_options(args);
    va_end(args);
    on_request = handler;
    on_request_ctx = ctx;
    return (struct MHD_Daemon *)&on_request;
}

void __wrap_MHD_stop_daemon(struct MHD_Daemon *daemon)
{
    (void)daemon;
}

const char *__wrap_MHD_lookup_connection_value(struct MHD_Connection *connection, enum MHD_ValueKind kind,
                                               const char *key)
{
    (void)connection;
    return value_of(kind, key);
}

const union MHD_ConnectionInfo *__wrap_MHD_get_connection_info(struct MHD_Connection *connection,
                                                               enum MHD_ConnectionInfoType type, ...)
{
    static union MHD_ConnectionInfo info;

    (void)connection, (void)type;
    info.client_addr = (struct sockaddr *)&request.from;
    return &info;
}

char *__wrap_MHD_basic_auth_get_username_password(struct MHD_Connection *connection, char **password)
{
    const char *both = value_of(MHD_HEADER_KIND, "Password");
    const char *colon = both ? strchr(both, ':') : NULL;

    (void)connection;
    *password = colon ? fuzz_text(colon + 1, strlen(colon + 1)) : NULL;
    return both ? fuzz_text(both, colon ? (size_t)(colon - both) : strlen(both)) : NULL;
}

void __wrap_MHD_free(void *memory)
{
    free(memory);
}

struct MHD_Response *__wrap_MHD_create_response_from_buffer(size_t size, void *buffer,
                                                            enum MHD_ResponseMemoryMode mode)
{
    FUZZ_REQUIRE(mode == MHD_RESPMEM_MUST_FREE && answered.n == 0);
    answered.body = (struct hf_buf){.data = buffer, .len = size};
    return (struct MHD_Response *)&answered;
}

/* A line of its own, whatever it was made of. */
enum MHD_Result __wrap_MHD_add_response_header(struct MHD_Response *response, const char *header,
                                               const char *content)
{
    (void)response, (void)header;
    FUZZ_REQUIRE(strpbrk(content, "\r\n") == NULL);
    return MHD_YES;
}

enum MHD_Result __wrap_MHD_queue_response(struct MHD_Connection *connection, unsigned status,
                                          struct MHD_Response *response)
{
    (void)connection, (void)response;
    answered.n++;
    answered.status = status;
    return MHD_YES;
}

enum MHD_Result __wrap_MHD_queue_basic_auth_fail_response(struct MHD_Connection *connection, const char *realm,
                                                          struct MHD_Response *response)
{
    (void)realm;
    return __wrap_MHD_queue_response(connection, MHD_HTTP_UNAUTHORIZED, response);
}

void __wrap_MHD_destroy_response(struct MHD_Response *response)
{
    (void)response;
}

/* ---- what is behind HTTP ---- */

void __wrap_holdfast_status(struct call *call);
void __wrap_holdfast_conflicts(struct call *call);
void __wrap_holdfast_parked(struct call *call);
int __wrap_health_ask(struct health *health, enum health_question question, bool whole, struct hf_bytes *ret_json);
void __wrap_metrics_write(struct metrics *metrics, struct hf *store, struct health *health, struct exposition *e);
void __wrap_history_write(struct history *history, int64_t since_ms, uint64_t after, struct json *json);
void __wrap_slow_write(struct slow *slow, struct json *json);
void __wrap_console_namespaces(const void *console, struct json *json);
void __wrap_log_line(enum log_level level, const char *topic, const char *format, ...);

static void tell(struct call *call)
{
    reply_map(call->reply, 2);
    holdfast_add_text(call->reply, "name", "a text");
    holdfast_add_bytes(call->reply, "bytes", call->argv[call->argc - 1]);
}

void __wrap_holdfast_status(struct call *call)
{
    answered.n_looks++;
    tell(call);
}

/* What a change is made of: the verb, and the number of an entry. */
static void look_or_change(struct call *call)
{
    static const char *const looks[] = {"list", "show"};
    uint64_t number;

    for (size_t i = 0; i < sizeof(looks) / sizeof(looks[0]); i++) {
        if (hf__slice_eq(call->argv[2], hf__slice_str(looks[i]))) {
            answered.n_looks++;
            reply_error(call->reply, "ERR it is '%.*s'", (int)call->argv[call->argc - 1].len,
                        (const char *)call->argv[call->argc - 1].data);
            return;
        }
    }
    answered.n_changes++;
    FUZZ_REQUIRE(call->argc == 4 && number_parse_unsigned(call->argv[3], &number) && number < 1ull << 53);
    tell(call);
}

void __wrap_holdfast_conflicts(struct call *call)
{
    look_or_change(call);
}

void __wrap_holdfast_parked(struct call *call)
{
    look_or_change(call);
}

int __wrap_health_ask(struct health *health, enum health_question question, bool whole, struct hf_bytes *ret_json)
{
    (void)health, (void)question;
    answered.n_looks += whole;
    return hf__bytes_append(ret_json, "{}", 2) == 0;
}

void __wrap_metrics_write(struct metrics *metrics, struct hf *store, struct health *health, struct exposition *e)
{
    (void)metrics, (void)store, (void)health, (void)e;
    answered.n_looks++;
}

void __wrap_history_write(struct history *history, int64_t since_ms, uint64_t after, struct json *json)
{
    (void)history, (void)json, (void)after;
    FUZZ_REQUIRE(since_ms >= 0);
    answered.n_looks++;
}

void __wrap_slow_write(struct slow *slow, struct json *json)
{
    (void)slow, (void)json;
    answered.n_looks++;
}

void __wrap_console_namespaces(const void *console, struct json *json)
{
    (void)console;
    answered.n_looks++;
    json_begin(json, '{');
    json_end(json, '}');
}

void __wrap_log_line(enum log_level level, const char *topic, const char *format, ...)
{
    (void)level, (void)topic, (void)format;
}

/* ---- what must hold ---- */

static struct access *access_of_all;

static bool has_session(void)
{
    const char *cookie = value_of(MHD_COOKIE_KIND, "holdfast_1");

    return cookie && strcmp(cookie, secret) == 0;
}

static bool has_password(void)
{
    const char *both = value_of(MHD_HEADER_KIND, "Password");

    return both && (strcmp(both, "ops:secret") == 0 || strcmp(both, "eve:secret") == 0);
}

static bool is(const char *name, const char *value)
{
    const char *found = value_of(MHD_HEADER_KIND, name);

    return found && strcmp(found, value) == 0;
}

static void check(void)
{
    FUZZ_REQUIRE(answered.n == 1 && answered.status >= 200 && answered.status < 600);
    FUZZ_REQUIRE(answered.status != MHD_HTTP_OK || request.path[0] == '/');
    FUZZ_REQUIRE(answered.n_looks == 0 || has_session() || has_password());
    FUZZ_REQUIRE(answered.n_changes <= 1);
    if (answered.n_changes == 0)
        return;
    FUZZ_REQUIRE(strcmp(request.method, "POST") == 0 && has_session() && is("X-Holdfast-Token", ops.token));
    FUZZ_REQUIRE(answered.n_looks == 0 && value_of(MHD_HEADER_KIND, "Host"));
}

/* What the console answers is JSON. */
static void check_body(void)
{
    const char *type =
        strncmp(request.path, "/api/", 5) == 0 && answered.status != MHD_HTTP_MISDIRECTED_REQUEST ? "json" : NULL;
    cJSON *json;

    if (!type)
        return;
    json = cJSON_ParseWithLength(answered.body.data, answered.body.len);
    FUZZ_REQUIRE(cJSON_IsObject(json));
    cJSON_Delete(json);
}

/* ---- the target ---- */

static void begin_session(void)
{
    static unsigned n;
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x0a000000u + n++)};

    FUZZ_REQUIRE(access_begin(access_of_all, (struct sockaddr *)&from, hf__slice_str("ops"),
                              hf__slice_str("secret"), secret, &ops) == ACCESS_GRANTED);
}

static void add_user(struct settings *settings, const char *name, bool is_operator)
{
    struct user *user = &settings->users[settings->n_users++];

    *user = (struct user){.name = name, .has_password = true, .is_operator = is_operator};
    SHA256((const unsigned char *)"secret", 6, user->digest);
}

static void set_up(void)
{
    static const char *const names[] = {"holdfast.example"};
    static struct server server = {.run_id = "run"};
    struct settings *settings;
    struct console_options options = {.server = &server, .names = names, .n_names = 1};
    struct http_options http = {.port = 1};
    struct http *started;

    FUZZ_REQUIRE(settings_load(NULL, &settings) == 0);
    add_user(settings, "ops", true);
    add_user(settings, "eve", false);
    FUZZ_REQUIRE(access_new(settings, &access_of_all) == 0);
    options.access = http.access = access_of_all;
    FUZZ_REQUIRE(console_new(&options, &http.console) == 0);
    FUZZ_REQUIRE(http_start(&http, &started) == 0 && on_request);
    begin_session();
}

static void run(void)
{
    struct MHD_Connection *connection = (struct MHD_Connection *)&request;
    void *state = NULL;
    size_t len = request.body_len, none = 0;

    FUZZ_REQUIRE(on_request(on_request_ctx, connection, request.path, request.method, "HTTP/1.1", NULL, &none,
                            &state) == MHD_YES);
    if (len > 0)
        FUZZ_REQUIRE(on_request(on_request_ctx, connection, request.path, request.method, "HTTP/1.1", request.body,
                                &len, &state) == MHD_YES &&
                     len == 0);
    FUZZ_REQUIRE(on_request(on_request_ctx, connection, request.path, request.method, "HTTP/1.1", NULL, &none,
                            &state) == MHD_YES);
    on_over(on_request_ctx, connection, &state, MHD_REQUEST_TERMINATED_COMPLETED_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {data, size};
    struct visitor visitor;

    if (!access_of_all)
        set_up();
    if (!access_by_session(access_of_all, secret, &visitor))
        begin_session(); /* the last input has logged out */
    memset(&answered, 0, sizeof(answered));
    take_request(&in);
    run();
    check();
    check_body();
    hf_buf_release(&answered.body);
    forget_request();
    return 0;
}
