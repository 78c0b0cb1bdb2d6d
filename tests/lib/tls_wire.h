/* A client that talks TLS over TCP on 127.0.0.1, byte by byte: it can stop within a record, and stop reading. Every wait is
 * bounded. */
#ifndef TEST_TLS_WIRE_H
#define TEST_TLS_WIRE_H

#include <openssl/ssl.h>
#include <stdbool.h>

#define TLS_WIRE_WAIT_MS 20000

struct tls_wire {
    int fd;
    SSL_CTX *context;
    SSL *ssl;
    BIO *from, *to; /* what has come, and what is to be sent */
    size_t packet;  /* bytes that are sent at once; 0: all */
};

struct tls_wire_setup {
    int port;
    const char *ca;   /* PEM file of the authority that the server's certificate must be of */
    const char *name; /* PEM files <name>.pem and <name>.key of a certificate to show; NULL: none */
    int version;      /* TLS1_2_VERSION, for no newer one; 0: any */
    int buffer_bytes; /* of its socket, each way; 0: the system's */
};

/* A connection whose handshake has not begun. */
void tls_wire_connect(struct tls_wire *wire, const struct tls_wire_setup *setup);
/* The next step of the handshake, or of what else OpenSSL has to send, without waiting. */
void tls_wire_step(struct tls_wire *wire);
/* The handshake. False: one of both sides does not accept the other. */
bool tls_wire_greet(struct tls_wire *wire);
/* Both, which must succeed. */
void tls_wire_open(struct tls_wire *wire, const struct tls_wire_setup *setup);
void tls_wire_close(struct tls_wire *wire);

void tls_wire_send(struct tls_wire *wire, const void *bytes, size_t len);
/* The next plain bytes must be these. */
void tls_wire_expect(struct tls_wire *wire, const void *bytes, size_t len);
/* Say, and the answer must be this. */
void tls_wire_ask(struct tls_wire *wire, const char *request, const char *answer);
/* Seal it, and send as much of all that is sealed as is taken at once. Returns how many bytes are left: for a peer that does not
 * read. */
size_t tls_wire_push(struct tls_wire *wire, const void *bytes, size_t len);
/* Say that nothing more will be sent. */
void tls_wire_end(struct tls_wire *wire);
/* The server must say that it sends no more (`told`), or end the connection without a further byte. */
void tls_wire_expect_end(struct tls_wire *wire, bool told);

#endif
