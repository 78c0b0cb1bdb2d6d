/* The ends of connections that are passed on, of the proxy and of the gate. */
#ifndef TEST_SOCKET_END_H
#define TEST_SOCKET_END_H

#include <stdbool.h>
#include <stddef.h>

/* Accepts one that is closed: -1, as it is afterwards. */
void close_end(int *fd);
/* False when the other side is gone. */
bool send_all(int fd, const char *bytes, size_t len);

#endif
