/* TLS on the connection of a client: sealed bytes of the socket become plain ones, and plain ones sealed ones. It knows no
 * socket: who reads and writes there brings the bytes and takes them. The handshake goes on within reading and sealing.
 *
 * While nothing is under way it holds OpenSSL's state and, at the most, the part of a record that has arrived. */
#ifndef SIDECAR_TLS_SESSION_H
#define SIDECAR_TLS_SESSION_H

#include "bytes.h"

#include <openssl/ssl.h>
#include <sys/types.h>

#define TLS_SESSION_RECORD (16u * 1024) /* plain bytes of a record, at the most, as the protocol bounds it */

struct tls_session;

/* A server's session with the certificate of `context`, which lives as long as it. NULL: no memory. */
struct tls_session *tls_session_new(SSL_CTX *context);
void tls_session_free(struct tls_session *session); /* accepts NULL */

/* The handshake is done. */
bool tls_session_is_open(const struct tls_session *session);

/* What the socket brought; borrowed until tls_session_read() returns no more bytes of it. */
void tls_session_feed(struct tls_session *session, struct hf_slice sealed);
enum { TLS_SESSION_ENDED = -1, TLS_SESSION_BROKEN = -2 };
/* The next plain bytes into `room`: how many; 0 when all that was fed is taken; TLS_SESSION_ENDED when the peer has said that it
 * sends no more; TLS_SESSION_BROKEN with a sentence. After the last one only tls_session_sealed() may be asked: the peer can be
 * told what was wrong. */
ssize_t tls_session_read(struct tls_session *session, void *room, size_t size);

/* Seal the next piece of what the client is to get, unless something sealed still waits to be sent. The bytes of `plain` are taken
 * over, and it is empty afterwards, when those before them are all sealed. 0, or TLS_SESSION_BROKEN with a sentence. */
int tls_session_seal(struct tls_session *session, struct hf_bytes *plain);
/* Say that nothing more will be sealed. */
void tls_session_end(struct tls_session *session);
/* What is to be sent. Who sends takes it out. */
struct hf_bytes *tls_session_sealed(struct tls_session *session);
/* Bytes that were taken over and not sent, sealed or not. */
size_t tls_session_unsent(const struct tls_session *session);

#endif
