/* A client that sends bytes and compares bytes: for what no client library would send. Every wait is bounded. */
#ifndef TEST_WIRE_H
#define TEST_WIRE_H

#include <stdbool.h>
#include <stddef.h>

#define WIRE_WAIT_MS 20000

struct wire {
    int fd;
};

/* Connect to a unix socket. */
void wire_open(struct wire *wire, const char *socket);
void wire_close(struct wire *wire);

/* Send all of it. */
void wire_send(struct wire *wire, const void *bytes, size_t len);
void wire_say(struct wire *wire, const char *text); /* a C string */
/* Send as much as is taken at once, and return how much that was: for a peer that does not read. */
size_t wire_push(struct wire *wire, const void *bytes, size_t len);
/* Nothing more will be sent. */
void wire_half_close(struct wire *wire);

/* The next bytes must be these. */
void wire_expect(struct wire *wire, const void *bytes, size_t len);
void wire_hear(struct wire *wire, const char *text);
/* Read a line, with its end, into `text`. */
void wire_line(struct wire *wire, char *text, size_t size);
/* The other side must close, without another byte. */
void wire_expect_end(struct wire *wire);
/* Say, and the answer must be this. */
void wire_ask(struct wire *wire, const char *request, const char *answer);

#endif
