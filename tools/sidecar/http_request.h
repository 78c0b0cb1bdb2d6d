/* One HTTP request, and the answer that is made of it. */
#ifndef SIDECAR_HTTP_REQUEST_H
#define SIDECAR_HTTP_REQUEST_H

#include "access.h"

#define HTTP_BODY_MAX (16u * 1024) /* of a request: what is asked for here is short */

struct MHD_Connection;

struct http_request {
    struct MHD_Connection *connection;
    const char *method, *path;
    struct hf_bytes body;
    bool is_too_long; /* the body was dropped */
    bool must_wait;   /* too many wrong passwords came from there: this one was not looked at */
    struct visitor visitor;
};

/* Borrowed until the request is over; NULL: there is none. */
const char *http_request_header(const struct http_request *request, const char *name);
const char *http_request_argument(const struct http_request *request, const char *name); /* ?name=... */
const char *http_request_cookie(const struct http_request *request, const char *name);
const struct sockaddr *http_request_from(const struct http_request *request);

/* GET or HEAD. */
bool http_request_only_looks(const struct http_request *request);
bool http_request_is_post(const struct http_request *request);

struct http_answer {
    unsigned status;
    const char *type;
    struct hf_bytes body;
    const char *allow;    /* the methods, with status 405; else NULL */
    bool asks_password;   /* with status 401: by basic authentication */
    char set_cookie[192]; /* "": none */
};

/* A line of text. Returns 0 or HF_ENOMEM. */
int http_answer_text(struct http_answer *answer, unsigned status, const char *text);

#endif
