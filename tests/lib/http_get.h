/* One HTTP request on a socket of its own, for tests. */
#ifndef TEST_HTTP_GET_H
#define TEST_HTTP_GET_H

#include <stddef.h>

#define HTTP_GET_WAIT_MS 10000 /* for a whole answer, at the most */

struct http_reply {
    int status;    /* 0: there was no answer */
    char *headers; /* with a NUL behind them, and line ends between them */
    char *body;    /* with a NUL behind it */
    size_t body_len;
};

/* Send `method` and `path` to a port of 127.0.0.1, with more header lines ("Name: value\r\n") or "", and read until the end. */
struct http_reply http_request(int port, const char *method, const char *path, const char *headers);
struct http_reply http_get(int port, const char *path);
/* Send all of `request`, which asks for the connection to be closed, and read until the end. */
struct http_reply http_exchange(int port, const char *request);
void http_reply_release(struct http_reply *reply);

/* A connection that has sent so much; the caller closes it. */
int http_connect(int port, const char *sent);
/* What comes until the other end closes; the caller frees it. NULL: nothing in time. */
char *http_read_all(int fd, size_t *ret_len);

#endif
