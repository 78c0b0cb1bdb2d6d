/* The HTTP listener: which path is answered by what. */
#include "http.h"

#include "console.h"
#include "health.h"
#include "http_request.h"
#include "metrics.h"

#include <errno.h>
#include <fail.h>
#include <microhttpd.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>

struct http {
    struct http_options options;
    char cookie[32]; /* the session's: a browser does not tell the ports of a host apart */
    struct MHD_Daemon *daemon;
};

/* ---- health and metrics ---- */

static int answer_health(struct http *http, enum health_question question, bool may_look,
                         struct http_answer *answer)
{
    int yes = health_ask(http->options.health, question, may_look, &answer->body);

    answer->status = yes > 0 ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE;
    answer->type = "application/json";
    return yes < 0 ? yes : 0;
}

static int answer_live(struct http *http, bool may_look, struct http_answer *answer)
{
    return answer_health(http, HEALTH_LIVE, may_look, answer);
}

static int answer_ready(struct http *http, bool may_look, struct http_answer *answer)
{
    return answer_health(http, HEALTH_READY, may_look, answer);
}

static int answer_startup(struct http *http, bool may_look, struct http_answer *answer)
{
    return answer_health(http, HEALTH_STARTUP, may_look, answer);
}

static int answer_metrics(struct http *http, bool may_look, struct http_answer *answer)
{
    struct exposition e = {0};

    if (!may_look) {
        answer->asks_password = true;
        return http_answer_text(answer, MHD_HTTP_UNAUTHORIZED, "a user and a password are needed\n");
    }
    metrics_write(http->options.metrics, http->options.store, http->options.health, &e);
    answer->status = MHD_HTTP_OK;
    answer->type = EXPOSITION_CONTENT_TYPE;
    answer->body = e.text;
    return e.failed ? HF_ENOMEM : 0;
}

static const struct route {
    const char *path;
    int (*answer)(struct http *http, bool may_look, struct http_answer *answer);
    bool answers_anybody; /* also who has to wait with a password: a probe must not fail for that */
} routes[] = {
    {"/health/live", answer_live, true},
    {"/health/ready", answer_ready, true},
    {"/health/startup", answer_startup, true},
    {"/metrics", answer_metrics, false},
};

static const struct route *find_route(const char *path)
{
    for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
        if (strcmp(path, routes[i].path) == 0)
            return &routes[i];
    }
    return NULL;
}

/* ---- who asks ---- */

static void ask_password(struct http *http, struct http_request *request)
{
    char *password = NULL, *user = MHD_basic_auth_get_username_password(request->connection, &password);

    if (user && password)
        request->must_wait =
            access_by_password(http->options.access, http_request_from(request), hf__slice_str(user),
                               hf__slice_str(password), &request->visitor) == ACCESS_WAIT;
    MHD_free(user);
    MHD_free(password);
}

static void find_visitor(struct http *http, struct http_request *request)
{
    const char *secret = http_request_cookie(request, http->cookie);

    access_stranger(http->options.access, &request->visitor);
    if (!secret || !access_by_session(http->options.access, secret, &request->visitor))
        ask_password(http, request);
}

/* ---- a request ---- */

/* What a browser may do with an answer: nothing but what the console's own page does. */
static void add_protection(struct MHD_Response *response)
{
    static const char *const headers[][2] = {
        {"Cache-Control", "no-store"},
        {"X-Content-Type-Options", "nosniff"},
        {"Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
                                    "connect-src 'self'; base-uri 'none'; form-action 'none'; "
                                    "frame-ancestors 'none'"},
        {"Referrer-Policy", "no-referrer"},
        {"Cross-Origin-Resource-Policy", "same-origin"},
        {"Cross-Origin-Opener-Policy", "same-origin"},
    };

    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++)
        MHD_add_response_header(response, headers[i][0], headers[i][1]);
}

static void add_headers(struct MHD_Response *response, const struct http_answer *answer)
{
    add_protection(response);
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, answer->type);
    if (answer->allow)
        MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, answer->allow);
    if (*answer->set_cookie)
        MHD_add_response_header(response, MHD_HTTP_HEADER_SET_COOKIE, answer->set_cookie);
}

/* The bytes of the answer become libmicrohttpd's. */
static enum MHD_Result send_answer(struct MHD_Connection *connection, struct http_answer *answer)
{
    struct hf_buf body = hf__bytes_detach(&answer->body);
    struct MHD_Response *response = MHD_create_response_from_buffer(body.len, body.data, MHD_RESPMEM_MUST_FREE);
    enum MHD_Result result;

    if (!response) {
        hf_buf_release(&body);
        return MHD_NO;
    }
    add_headers(response, answer);
    if (answer->asks_password)
        result = MHD_queue_basic_auth_fail_response(connection, "holdfastd", response);
    else
        result = MHD_queue_response(connection, answer->status, response);
    MHD_destroy_response(response);
    return result;
}

static int answer_route(struct http *http, const struct route *route, const struct http_request *request,
                        struct http_answer *answer)
{
    if (!http_request_only_looks(request)) {
        answer->allow = "GET, HEAD";
        return http_answer_text(answer, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET and HEAD are answered\n");
    }
    if (request->must_wait && !route->answers_anybody)
        return http_answer_text(answer, MHD_HTTP_TOO_MANY_REQUESTS, ACCESS_WAIT_TEXT "\n");
    return route->answer(http, request->visitor.may_look, answer);
}

static int answer_request(struct http *http, struct http_request *request, struct http_answer *answer)
{
    const struct route *route = find_route(request->path);

    find_visitor(http, request);
    if (route)
        return answer_route(http, route, request, answer);
    if (http->options.console && console_has(request->path))
        return console_answer(http->options.console, http->cookie, request, answer);
    return http_answer_text(answer, MHD_HTTP_NOT_FOUND, "not found\n");
}

static void take_body(struct http_request *request, const char *bytes, size_t len)
{
    if (len > HTTP_BODY_MAX - request->body.len || hf__bytes_append(&request->body, bytes, len) != 0)
        request->is_too_long = true;
}

/* The first call for a request has its headers alone, those that follow have its body, and the last one has nothing. */
static enum MHD_Result on_request(void *ctx, struct MHD_Connection *connection, const char *path,
                                  const char *method, const char *version, const char *body, size_t *body_len,
                                  void **state)
{
    struct http_request *request = *state;
    struct http_answer answer = {0};
    enum MHD_Result result = MHD_NO;

    (void)version;
    if (!request) {
        *state = calloc(1, sizeof(*request));
        return *state ? MHD_YES : MHD_NO;
    }
    if (*body_len > 0) {
        take_body(request, body, *body_len);
        *body_len = 0;
        return MHD_YES;
    }
    request->connection = connection;
    request->method = method;
    request->path = path;
    if (answer_request(ctx, request, &answer) == 0)
        result = send_answer(connection, &answer);
    hf__bytes_release(&answer.body);
    return result;
}

static void on_over(void *ctx, struct MHD_Connection *connection, void **state,
                    enum MHD_RequestTerminationCode code)
{
    struct http_request *request = *state;

    (void)ctx, (void)connection, (void)code;
    if (request)
        hf__bytes_release(&request->body);
    free(request);
    *state = NULL;
}

/* ---- listening ---- */

static bool is_loopback(const struct sockaddr *address)
{
    const struct sockaddr_in *v4 = (const void *)address;
    const struct sockaddr_in6 *v6 = (const void *)address;

    if (address->sa_family == AF_INET)
        return ntohl(v4->sin_addr.s_addr) >> 24 == 127;
    return IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr) ||
           (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr) && v6->sin6_addr.s6_addr[12] == 127);
}

static int find_address(const struct http_options *options, struct addrinfo **ret_found)
{
    const struct addrinfo wanted = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    const char *address = options->address ? options->address : HTTP_ADDRESS_DEFAULT;
    char port[8], shown[80];

    if (options->port < 0 || options->port > 65535)
        return hf__fail(HF_ECONFIG, "HTTP port: found %d, expected 0 to 65535", options->port);
    snprintf(port, sizeof(port), "%d", options->port);
    if (strcmp(address, "localhost") == 0)
        address = HTTP_ADDRESS_DEFAULT;
    if (getaddrinfo(address, port, &wanted, ret_found) != 0)
        return hf__fail(HF_ECONFIG, "HTTP address: found \"%s\", expected a numeric address",
                        hf__printable(hf__slice_str(address), shown, sizeof(shown)));
    if (!access_is_open(options->access) || is_loopback((*ret_found)->ai_addr))
        return 0;
    freeaddrinfo(*ret_found);
    return hf__fail(HF_ECONFIG, "HTTP address \"%s\" is beyond this machine: expected a password to be set",
                    address);
}

static int listen_on(struct http *http, const struct addrinfo *found)
{
    unsigned flags = MHD_USE_AUTO_INTERNAL_THREAD | MHD_USE_THREAD_PER_CONNECTION |
                     (found->ai_family == AF_INET6 ? MHD_USE_IPv6 : 0);

    http->daemon = MHD_start_daemon(
        flags, (uint16_t)http->options.port, NULL, NULL, on_request, http, MHD_OPTION_SOCK_ADDR, found->ai_addr,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)HTTP_CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)HTTP_TIMEOUT_S, MHD_OPTION_NOTIFY_COMPLETED, on_over, NULL, MHD_OPTION_END);
    if (http->daemon)
        return 0;
    return hf__fail_errno(HF_EIO, errno, "HTTP: cannot listen on port %d", http->options.port);
}

int http_start(const struct http_options *options, struct http **ret_http)
{
    struct http *http;
    struct addrinfo *found;
    int rc;

    if (options->port == 0) {
        *ret_http = NULL;
        return 0;
    }
    rc = find_address(options, &found);
    if (rc != 0)
        return rc;
    http = calloc(1, sizeof(*http));
    if (http) {
        http->options = *options;
        snprintf(http->cookie, sizeof(http->cookie), "holdfast_%d", options->port);
        rc = listen_on(http, found);
    } else {
        rc = hf__fail(HF_ENOMEM, "out of memory: HTTP");
    }
    freeaddrinfo(found);
    if (rc == 0)
        *ret_http = http;
    else
        free(http);
    return rc;
}

void http_stop(struct http *http)
{
    if (!http)
        return;
    MHD_stop_daemon(http->daemon);
    free(http);
}
