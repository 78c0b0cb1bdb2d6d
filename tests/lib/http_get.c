/* A tiny HTTP client. */
#include "http_get.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int http_connect(int port, const char *sent)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0 ||
        send(fd, sent, strlen(sent), MSG_NOSIGNAL) != (ssize_t)strlen(sent)) {
        close(fd);
        return -1;
    }
    return fd;
}

char *http_read_all(int fd, size_t *ret_len)
{
    struct pollfd readable = {.fd = fd, .events = POLLIN};
    char *bytes = malloc(1), *grown;
    size_t len = 0;
    ssize_t n;

    for (;;) {
        grown = bytes ? realloc(bytes, len + 65537) : NULL;
        if (!grown || poll(&readable, 1, HTTP_GET_WAIT_MS) != 1)
            break;
        bytes = grown;
        n = recv(fd, bytes + len, 65536, 0);
        if (n <= 0) {
            bytes[len] = '\0';
            *ret_len = len;
            return bytes;
        }
        len += (size_t)n;
    }
    free(grown ? grown : bytes);
    return NULL;
}

static void split(char *bytes, size_t len, struct http_reply *reply)
{
    char *body = strstr(bytes, "\r\n\r\n");

    if (sscanf(bytes, "HTTP/1.1 %d", &reply->status) != 1 || !body) {
        reply->status = 0;
        free(bytes);
        return;
    }
    body[2] = '\0';
    reply->headers = bytes;
    reply->body = body + 4;
    reply->body_len = len - (size_t)(reply->body - bytes);
}

struct http_reply http_exchange(int port, const char *request)
{
    struct http_reply reply = {0};
    char *bytes;
    size_t len = 0;
    int fd;

    fd = http_connect(port, request);
    if (fd < 0)
        return reply;
    bytes = http_read_all(fd, &len);
    if (bytes)
        split(bytes, len, &reply);
    close(fd);
    return reply;
}

struct http_reply http_request(int port, const char *method, const char *path, const char *headers)
{
    char request[4096];

    snprintf(request, sizeof(request), "%s %s HTTP/1.1\r\nHost: test\r\nConnection: close\r\n%s\r\n", method, path,
             headers);
    return http_exchange(port, request);
}

struct http_reply http_get(int port, const char *path)
{
    return http_request(port, "GET", path, "");
}

void http_reply_release(struct http_reply *reply)
{
    free(reply->headers);
    *reply = (struct http_reply){0};
}
