/* One HTTP request, and the answer that is made of it. */
#include "http_request.h"

#include <microhttpd.h>

static const char *look_up(const struct http_request *request, enum MHD_ValueKind kind, const char *name)
{
    return MHD_lookup_connection_value(request->connection, kind, name);
}

const char *http_request_header(const struct http_request *request, const char *name)
{
    return look_up(request, MHD_HEADER_KIND, name);
}

const char *http_request_argument(const struct http_request *request, const char *name)
{
    return look_up(request, MHD_GET_ARGUMENT_KIND, name);
}

const char *http_request_cookie(const struct http_request *request, const char *name)
{
    return look_up(request, MHD_COOKIE_KIND, name);
}

const struct sockaddr *http_request_from(const struct http_request *request)
{
    return MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr;
}

bool http_request_only_looks(const struct http_request *request)
{
    return strcmp(request->method, MHD_HTTP_METHOD_GET) == 0 || strcmp(request->method, MHD_HTTP_METHOD_HEAD) == 0;
}

bool http_request_is_post(const struct http_request *request)
{
    return strcmp(request->method, MHD_HTTP_METHOD_POST) == 0;
}

int http_answer_text(struct http_answer *answer, unsigned status, const char *text)
{
    answer->status = status;
    answer->type = "text/plain; charset=utf-8";
    return hf__bytes_append(&answer->body, text, strlen(text));
}
