/* TLS 1.2 or newer with the certificate's chain and name verified; there is no way to turn that off. */
#ifndef HF_REDIS_TLS_H
#define HF_REDIS_TLS_H

#include "errors.h"

#include <openssl/ssl.h>

/* `ca_file`: a PEM file of trusted authorities; NULL: the system's. The caller frees with SSL_CTX_free.
 * Returns 0, HF_ECONFIG or HF_ENOMEM. */
int hf__tls_context_new(const char *ca_file, SSL_CTX **ret_context);

/* A client session that accepts only a certificate for `host`, a name or an IP literal. Freed with SSL_free.
 * Returns 0 or HF_ENOMEM. */
int hf__tls_session_new(SSL_CTX *context, const char *host, SSL **ret_session);

/* If the handshake failed because of the server's certificate, say so in `error` and return true. */
bool hf__tls_refused(SSL *session, struct hf_shared_error *error);

enum hf__tls_step { HF__TLS_DONE, HF__TLS_WANT_READ, HF__TLS_WANT_WRITE, HF__TLS_FAILED };

/* Go on with the handshake as far as the socket allows. On failure `error` says why, as class HF_SHARED_LINK. */
enum hf__tls_step hf__tls_handshake(SSL *session, struct hf_shared_error *error);

#endif
