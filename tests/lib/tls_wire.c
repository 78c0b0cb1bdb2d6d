/* OpenSSL's client between two buffers, which are brought to a socket and from it. */
#include "tls_wire.h"

#include "scratch.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- the socket ---- */

static void set_option(int fd, int level, int option, int value)
{
    assert_int_equal(setsockopt(fd, level, option, &value, sizeof(value)), 0);
}

static int dial(int port, int buffer_bytes)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_true(fd >= 0);
    set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    if (buffer_bytes > 0) {
        set_option(fd, SOL_SOCKET, SO_RCVBUF, buffer_bytes);
        set_option(fd, SOL_SOCKET, SO_SNDBUF, buffer_bytes);
    }
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0)
        fail_msg("cannot connect to port %d: %s", port, strerror(errno));
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

/* Which of the events came. */
static short wait_for(const struct tls_wire *wire, short events)
{
    struct pollfd fd = {.fd = wire->fd, .events = events};

    if (poll(&fd, 1, TLS_WIRE_WAIT_MS) != 1)
        fail_msg("waited %d ms for the server", TLS_WIRE_WAIT_MS);
    return fd.revents;
}

/* One packet of what is to be sent, if it is taken at once; returns how much went. That the server has gone shows when it is read
 * from: until then it takes everything. */
static size_t push_packet(struct tls_wire *wire)
{
    char *bytes, taken[16384];
    size_t len = (size_t)BIO_get_mem_data(wire->to, &bytes), max = wire->packet ? wire->packet : sizeof(taken);
    ssize_t n;

    len = len < max ? len : max;
    n = len > 0 ? send(wire->fd, bytes, len, MSG_NOSIGNAL) : 0;
    if (n < 0)
        n = errno == EAGAIN ? 0 : (ssize_t)len;
    if (n > 0)
        assert_int_equal(BIO_read(wire->to, taken, (int)n), n);
    return (size_t)n;
}

/* What has come, after a wait for it. False: the connection has ended. */
static bool carry_in(struct tls_wire *wire)
{
    char bytes[65536];
    ssize_t n;

    (void)wait_for(wire, POLLIN);
    n = recv(wire->fd, bytes, sizeof(bytes), 0);
    if (n <= 0)
        return false;
    assert_int_equal(BIO_write(wire->from, bytes, (int)n), n);
    return true;
}

/* All that is to be sent. What comes meanwhile is taken in, as a server may wait for that. */
static void carry_out(struct tls_wire *wire)
{
    while (BIO_pending(wire->to) > 0) {
        if (push_packet(wire) == 0 && (wait_for(wire, POLLIN | POLLOUT) & POLLIN))
            (void)carry_in(wire); /* the end shows again when it is read */
    }
}

/* ---- life ---- */

static void set_certificate(struct tls_wire *wire, const char *name)
{
    char path[256];

    snprintf(path, sizeof(path), "%s.pem", name);
    assert_int_equal(SSL_CTX_use_certificate_chain_file(wire->context, path), 1);
    snprintf(path, sizeof(path), "%s.key", name);
    assert_int_equal(SSL_CTX_use_PrivateKey_file(wire->context, path, SSL_FILETYPE_PEM), 1);
}

void tls_wire_connect(struct tls_wire *wire, const struct tls_wire_setup *setup)
{
    *wire = (struct tls_wire){.fd = dial(setup->port, setup->buffer_bytes),
                              .context = SSL_CTX_new(TLS_client_method())};
    assert_non_null(wire->context);
    assert_int_equal(SSL_CTX_load_verify_file(wire->context, setup->ca), 1);
    assert_int_equal(SSL_CTX_set_max_proto_version(wire->context, setup->version), 1);
    SSL_CTX_set_verify(wire->context, SSL_VERIFY_PEER, NULL);
    if (setup->name)
        set_certificate(wire, setup->name);
    wire->ssl = SSL_new(wire->context);
    assert_non_null(wire->ssl);
    wire->from = BIO_new(BIO_s_mem());
    wire->to = BIO_new(BIO_s_mem());
    assert_true(wire->from && wire->to);
    BIO_set_mem_eof_return(wire->from, -1);
    BIO_set_mem_eof_return(wire->to, -1);
    SSL_set_bio(wire->ssl, wire->from, wire->to);
    SSL_set_connect_state(wire->ssl);
}

void tls_wire_close(struct tls_wire *wire)
{
    SSL_free(wire->ssl);
    SSL_CTX_free(wire->context);
    close(wire->fd);
    *wire = (struct tls_wire){.fd = -1};
}

/* ---- the handshake ---- */

void tls_wire_step(struct tls_wire *wire)
{
    (void)SSL_do_handshake(wire->ssl); /* it wants an answer, which the caller waits for or not */
    carry_out(wire);
}

bool tls_wire_greet(struct tls_wire *wire)
{
    int rc;

    for (;;) {
        ERR_clear_error();
        rc = SSL_do_handshake(wire->ssl);
        carry_out(wire);
        if (rc == 1)
            return true;
        if (SSL_get_error(wire->ssl, rc) != SSL_ERROR_WANT_READ || !carry_in(wire))
            return false;
    }
}

void tls_wire_open(struct tls_wire *wire, const struct tls_wire_setup *setup)
{
    tls_wire_connect(wire, setup);
    if (!tls_wire_greet(wire))
        fail_msg("the handshake failed: %s", ERR_reason_error_string(ERR_peek_error()));
}

/* ---- talking ---- */

void tls_wire_send(struct tls_wire *wire, const void *bytes, size_t len)
{
    if (len > 0)
        assert_int_equal(SSL_write(wire->ssl, bytes, (int)len), len);
    carry_out(wire);
}

size_t tls_wire_push(struct tls_wire *wire, const void *bytes, size_t len)
{
    if (len > 0)
        assert_int_equal(SSL_write(wire->ssl, bytes, (int)len), len);
    while (push_packet(wire) > 0)
        ;
    return (size_t)BIO_pending(wire->to);
}

/* What SSL_read() says when it has something to say: more than 0, or why not. */
static int read_some(struct tls_wire *wire, char *bytes, size_t size, int *ret_n)
{
    int problem;

    for (;;) {
        ERR_clear_error();
        *ret_n = SSL_read(wire->ssl, bytes, (int)size);
        problem = SSL_get_error(wire->ssl, *ret_n);
        carry_out(wire);
        if (problem != SSL_ERROR_WANT_READ || !carry_in(wire))
            return problem;
    }
}

void tls_wire_expect(struct tls_wire *wire, const void *bytes, size_t len)
{
    static char got[65536];
    char shown[256];
    int n;

    for (size_t at = 0; at < len; at += (size_t)n) {
        if (read_some(wire, got, len - at < sizeof(got) ? len - at : sizeof(got), &n) != SSL_ERROR_NONE)
            fail_msg("the conversation ended after %zu of %zu bytes", at, len);
        if (memcmp(got, (const char *)bytes + at, (size_t)n) != 0)
            fail_msg("after %zu bytes it said\n  %s", at,
                     hf__printable(hf__slice(got, (size_t)n), shown, sizeof(shown)));
    }
}

void tls_wire_ask(struct tls_wire *wire, const char *request, const char *answer)
{
    tls_wire_send(wire, request, strlen(request));
    tls_wire_expect(wire, answer, strlen(answer));
}

void tls_wire_end(struct tls_wire *wire)
{
    (void)SSL_shutdown(wire->ssl); /* 0: the other side has not said it, too */
    carry_out(wire);
}

void tls_wire_expect_end(struct tls_wire *wire, bool told)
{
    char got[64];
    int n, problem = read_some(wire, got, sizeof(got), &n);

    if (problem == SSL_ERROR_NONE)
        fail_msg("it said %d bytes more; expected the end", n);
    if (told && problem != SSL_ERROR_ZERO_RETURN)
        fail_msg("the connection was cut off; expected a word of the end");
}
