/* A client that sends bytes and compares bytes. */
#include "wire.h"

#include "scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

void wire_open(struct wire *wire, const char *socket_path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    assert_in_range(strlen(socket_path), 1, sizeof(address.sun_path) - 1);
    memcpy(address.sun_path, socket_path, strlen(socket_path));
    wire->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(wire->fd >= 0);
    if (connect(wire->fd, (struct sockaddr *)&address, sizeof(address)) != 0)
        fail_msg("cannot connect to %s: %s", socket_path, strerror(errno));
    assert_int_equal(fcntl(wire->fd, F_SETFL, O_NONBLOCK), 0);
}

void wire_close(struct wire *wire)
{
    close(wire->fd);
    wire->fd = -1;
}

static void wait_for(const struct wire *wire, short events, const char *what)
{
    struct pollfd fd = {.fd = wire->fd, .events = events};

    if (poll(&fd, 1, WIRE_WAIT_MS) != 1)
        fail_msg("waited %d ms to %s", WIRE_WAIT_MS, what);
}

size_t wire_push(struct wire *wire, const void *bytes, size_t len)
{
    ssize_t n = send(wire->fd, bytes, len, MSG_NOSIGNAL);

    if (n < 0 && errno != EAGAIN)
        fail_msg("cannot send: %s", strerror(errno));
    return n > 0 ? (size_t)n : 0;
}

void wire_send(struct wire *wire, const void *bytes, size_t len)
{
    for (size_t at = 0; at < len;) {
        wait_for(wire, POLLOUT, "send");
        at += wire_push(wire, (const char *)bytes + at, len - at);
    }
}

void wire_say(struct wire *wire, const char *text)
{
    wire_send(wire, text, strlen(text));
}

void wire_half_close(struct wire *wire)
{
    assert_int_equal(shutdown(wire->fd, SHUT_WR), 0);
}

/* 0 at the end. */
static size_t read_some(struct wire *wire, void *bytes, size_t len)
{
    ssize_t n;

    wait_for(wire, POLLIN, "read");
    n = recv(wire->fd, bytes, len, 0);
    if (n < 0 && errno != ECONNRESET)
        fail_msg("cannot read: %s", strerror(errno));
    return n > 0 ? (size_t)n : 0;
}

void wire_expect(struct wire *wire, const void *bytes, size_t len)
{
    static char got[64 * 1024];
    char shown[256], wanted[256];
    size_t n;

    for (size_t at = 0; at < len; at += n) {
        n = read_some(wire, got, len - at < sizeof(got) ? len - at : sizeof(got));
        if (n == 0)
            fail_msg("the connection ended after %zu of %zu bytes", at, len);
        if (memcmp(got, (const char *)bytes + at, n) != 0)
            fail_msg("after %zu bytes it said\n  %s\nexpected\n  %s", at,
                     hf__printable(hf__slice(got, n), shown, sizeof(shown)),
                     hf__printable(hf__slice((const char *)bytes + at, n), wanted, sizeof(wanted)));
    }
}

void wire_hear(struct wire *wire, const char *text)
{
    wire_expect(wire, text, strlen(text));
}

void wire_line(struct wire *wire, char *text, size_t size)
{
    size_t len = 0;

    do {
        assert_true(len + 1 < size);
        if (read_some(wire, text + len, 1) == 0)
            fail_msg("the connection ended within a line");
    } while (text[len++] != '\n');
    text[len] = '\0';
}

void wire_expect_end(struct wire *wire)
{
    char got[64], shown[256];
    size_t n = read_some(wire, got, sizeof(got));

    if (n > 0)
        fail_msg("it said %s; expected the end", hf__printable(hf__slice(got, n), shown, sizeof(shown)));
}

void wire_ask(struct wire *wire, const char *request, const char *answer)
{
    wire_say(wire, request);
    wire_hear(wire, answer);
}
