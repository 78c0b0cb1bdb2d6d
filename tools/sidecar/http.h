/* Health, metrics and the console over HTTP (libmicrohttpd).
 *
 *     GET /health/live  /health/ready  /health/startup     200 or 503, JSON
 *     GET /metrics                                          Prometheus text
 *     /  and  /api/...                                      the console (console.h)
 *
 * Each connection has a thread of its own, so that an answer that waits for the disk or for Redis keeps no other one waiting.
 *
 * Protected as the RESP port is: without a password it listens on loopback only. Where one is needed, it is asked for by basic
 * authentication before anything but the bare status of health is told. */
#ifndef SIDECAR_HTTP_H
#define SIDECAR_HTTP_H

#include "bytes.h"

struct access;
struct console;
struct health;
struct http;
struct metrics;

#define HTTP_ADDRESS_DEFAULT "127.0.0.1"
#define HTTP_CONNECTIONS_MAX 64
#define HTTP_TIMEOUT_S 10 /* of an idle or slow connection */

struct http_options {
    const char *address; /* numeric, or "localhost"; NULL: HTTP_ADDRESS_DEFAULT */
    int port;            /* 0: no HTTP */
    /* These stay until http_stop(). */
    struct access *access;
    struct hf *store;
    struct health *health;
    struct metrics *metrics;
    struct console *console; /* NULL: none */
};

/* 0 with `*ret_http` set, which is NULL for port 0. HF_ECONFIG: the address cannot be used, or it would listen beyond this
 * machine without a password; HF_EIO: the port is taken; HF_ENOMEM. */
int http_start(const struct http_options *options, struct http **ret_http);
/* Requests under way are answered. Accepts NULL. */
void http_stop(struct http *http);

#endif
