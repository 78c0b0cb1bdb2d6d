/* The files of the TLS port: its certificate and key, and the authorities of client certificates. */
#ifndef SIDECAR_TLS_FILES_H
#define SIDECAR_TLS_FILES_H

#include <openssl/ssl.h>

struct tls_files {
    const char *certificate; /* PEM: the server's, and behind it those that lead to its authority */
    const char *key;         /* PEM, without a password */
    const char
        *client_ca; /* PEM; a client must show a certificate of one of these authorities. NULL: it need not */
};

/* Read them into a context for TLS 1.2 or newer, which the caller frees with SSL_CTX_free(). `place` is where the configuration
 * names them. HF_ECONFIG with the setting, what was found and what was expected; HF_EIO, HF_ENOMEM. */
int tls_files_load(const char *place, const struct tls_files *files, SSL_CTX **ret_context);

#endif
