/* The HTTP listener: which path is answered by what. */
#include "http.h"

#include "health.h"
#include "metrics.h"

#include <errno.h>
#include <fail.h>
#include <microhttpd.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>

struct http {
    struct http_options options;
    struct MHD_Daemon *daemon;
};

/* ---- answers ---- */

struct answer {
    unsigned status;
    const char *type;
    struct hf_bytes body;
};

static int say(struct answer *answer, unsigned status, const char *text)
{
    answer->status = status;
    answer->type = "text/plain; charset=utf-8";
    return hf__bytes_append(&answer->body, text, strlen(text));
}

static int answer_health(struct http *http, enum health_question question, bool may_look, struct answer *answer)
{
    int yes = health_ask(http->options.health, question, may_look, &answer->body);

    answer->status = yes > 0 ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE;
    answer->type = "application/json";
    return yes < 0 ? yes : 0;
}

static int answer_live(struct http *http, bool may_look, struct answer *answer)
{
    return answer_health(http, HEALTH_LIVE, may_look, answer);
}

static int answer_ready(struct http *http, bool may_look, struct answer *answer)
{
    return answer_health(http, HEALTH_READY, may_look, answer);
}

static int answer_startup(struct http *http, bool may_look, struct answer *answer)
{
    return answer_health(http, HEALTH_STARTUP, may_look, answer);
}

static int answer_metrics(struct http *http, bool may_look, struct answer *answer)
{
    struct exposition e = {0};

    if (!may_look)
        return say(answer, MHD_HTTP_UNAUTHORIZED, "a user and a password are needed\n");
    metrics_write(http->options.metrics, http->options.store, http->options.health, &e);
    answer->status = MHD_HTTP_OK;
    answer->type = EXPOSITION_CONTENT_TYPE;
    answer->body = e.text;
    return e.failed ? HF_ENOMEM : 0;
}

static const struct route {
    const char *path;
    int (*answer)(struct http *http, bool may_look, struct answer *answer);
} routes[] = {
    {"/health/live", answer_live},
    {"/health/ready", answer_ready},
    {"/health/startup", answer_startup},
    {"/metrics", answer_metrics},
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

static bool may_look(const struct http *http, struct MHD_Connection *connection)
{
    char *password = NULL, *user;
    bool may;

    if (!http->options.may_look)
        return true;
    user = MHD_basic_auth_get_username_password(connection, &password);
    may =
        user && password && http->options.may_look(http->options.ctx, hf__slice_str(user), hf__slice_str(password));
    MHD_free(user);
    MHD_free(password);
    return may;
}

/* ---- a request ---- */

/* The bytes of the answer become libmicrohttpd's. */
static enum MHD_Result send_answer(struct MHD_Connection *connection, struct answer *answer)
{
    struct hf_buf body = hf__bytes_detach(&answer->body);
    struct MHD_Response *response = MHD_create_response_from_buffer(body.len, body.data, MHD_RESPMEM_MUST_FREE);
    enum MHD_Result result;

    if (!response) {
        hf_buf_release(&body);
        return MHD_NO;
    }
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, answer->type);
    MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    if (answer->status == MHD_HTTP_METHOD_NOT_ALLOWED)
        MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    if (answer->status == MHD_HTTP_UNAUTHORIZED)
        result = MHD_queue_basic_auth_fail_response(connection, "holdfastd", response);
    else
        result = MHD_queue_response(connection, answer->status, response);
    MHD_destroy_response(response);
    return result;
}

static bool only_looks(const char *method)
{
    return strcmp(method, MHD_HTTP_METHOD_GET) == 0 || strcmp(method, MHD_HTTP_METHOD_HEAD) == 0;
}

static int answer_request(struct http *http, struct MHD_Connection *connection, const char *path,
                          const char *method, struct answer *answer)
{
    const struct route *route = find_route(path);

    if (!route)
        return say(answer, MHD_HTTP_NOT_FOUND, "not found\n");
    if (!only_looks(method))
        return say(answer, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET and HEAD are answered\n");
    return route->answer(http, may_look(http, connection), answer);
}

/* The first call for a request has its headers alone; it is answered with the next one, when a body that nobody wants has been
 * dropped. */
static enum MHD_Result on_request(void *ctx, struct MHD_Connection *connection, const char *path,
                                  const char *method, const char *version, const char *body, size_t *body_len,
                                  void **state)
{
    struct answer answer = {0};
    enum MHD_Result result = MHD_NO;

    (void)version, (void)body;
    if (!*state) {
        *state = ctx;
        return MHD_YES;
    }
    if (*body_len > 0) {
        *body_len = 0;
        return MHD_YES;
    }
    if (answer_request(ctx, connection, path, method, &answer) == 0)
        result = send_answer(connection, &answer);
    hf__bytes_release(&answer.body);
    return result;
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
    char port[8];

    if (options->port < 0 || options->port > 65535)
        return hf__fail(HF_ECONFIG, "HTTP port: found %d, expected 0 to 65535", options->port);
    snprintf(port, sizeof(port), "%d", options->port);
    if (strcmp(address, "localhost") == 0)
        address = HTTP_ADDRESS_DEFAULT;
    if (getaddrinfo(address, port, &wanted, ret_found) != 0)
        return hf__fail(HF_ECONFIG, "HTTP address: found \"%s\", expected a numeric address", address);
    if (options->may_look || is_loopback((*ret_found)->ai_addr))
        return 0;
    freeaddrinfo(*ret_found);
    return hf__fail(HF_ECONFIG, "HTTP address \"%s\" is beyond this machine: expected a password to be set",
                    address);
}

static int listen_on(struct http *http, const struct addrinfo *found)
{
    unsigned flags = MHD_USE_AUTO_INTERNAL_THREAD | (found->ai_family == AF_INET6 ? MHD_USE_IPv6 : 0);

    http->daemon =
        MHD_start_daemon(flags, (uint16_t)http->options.port, NULL, NULL, on_request, http, MHD_OPTION_SOCK_ADDR,
                         found->ai_addr, MHD_OPTION_CONNECTION_LIMIT, (unsigned)HTTP_CONNECTIONS_MAX,
                         MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)HTTP_TIMEOUT_S, MHD_OPTION_END);
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
