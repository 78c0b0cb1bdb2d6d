/* Sets up and drives TLS sessions; hiredis, which reads and writes through them, checks no names by itself. */
#include "tls.h"

#include "fail.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>

static const char *last_problem(void)
{
    const char *text = ERR_reason_error_string(ERR_peek_last_error());

    return text ? text : "unknown error";
}

static int load_authorities(SSL_CTX *context, const char *ca_file)
{
    if (!ca_file) {
        if (SSL_CTX_set_default_verify_paths(context) != 1)
            return hf__fail(HF_ECONFIG, "tls: the system's trusted authorities cannot be read: %s", last_problem());
        return 0;
    }
    if (SSL_CTX_load_verify_file(context, ca_file) != 1)
        return hf__fail(HF_ECONFIG, "tls: cannot read trusted authorities from %s: %s", ca_file, last_problem());
    return 0;
}

int hf__tls_context_new(const char *ca_file, SSL_CTX **ret_context)
{
    SSL_CTX *context;
    int rc;

    ERR_clear_error();
    context = SSL_CTX_new(TLS_client_method());
    if (!context || SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1) {
        SSL_CTX_free(context);
        return hf__fail(HF_ENOMEM, "tls: cannot set up: %s", last_problem());
    }
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    rc = load_authorities(context, ca_file);
    if (rc != 0) {
        SSL_CTX_free(context);
        return rc;
    }
    *ret_context = context;
    return 0;
}

/* Names and addresses are checked against different fields of a certificate; only names are sent as SNI. */
static bool expect_host(SSL *session, const char *host)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(session);

    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (X509_VERIFY_PARAM_set1_ip_asc(param, host) == 1)
        return true;
    ERR_clear_error();
    return SSL_set1_host(session, host) == 1 && SSL_set_tlsext_host_name(session, host) == 1;
}

int hf__tls_session_new(SSL_CTX *context, const char *host, SSL **ret_session)
{
    SSL *session = SSL_new(context);

    if (!session || !expect_host(session, host)) {
        SSL_free(session);
        return hf__fail(HF_ENOMEM, "tls: cannot set up a session: %s", last_problem());
    }
    SSL_set_verify(session, SSL_VERIFY_PEER, NULL);
    *ret_session = session;
    return 0;
}

bool hf__tls_refused(SSL *session, struct hf_shared_error *error)
{
    long verdict = SSL_get_verify_result(session);

    if (verdict == X509_V_OK)
        return false;
    hf__redis_error(error, HF_SHARED_LINK, "tls: the server's certificate is not accepted: %s",
                    X509_verify_cert_error_string(verdict));
    return true;
}

static void explain(SSL *session, int problem, int error_number, struct hf_shared_error *error)
{
    char text[96];

    if (hf__tls_refused(session, error))
        return;
    if (problem == SSL_ERROR_SSL)
        hf__redis_error(error, HF_SHARED_LINK, "tls: the handshake failed: %s", last_problem());
    else if (problem == SSL_ERROR_SYSCALL && error_number != 0)
        hf__redis_error(error, HF_SHARED_LINK, "tls: the handshake failed: %s",
                        strerror_r(error_number, text, sizeof(text)));
    else
        hf__redis_error(error, HF_SHARED_LINK, "tls: the server closed the connection during the handshake");
}

enum hf__tls_step hf__tls_handshake(SSL *session, struct hf_shared_error *error)
{
    int rc, problem, error_number;

    ERR_clear_error();
    errno = 0;
    rc = SSL_do_handshake(session);
    error_number = errno;
    if (rc == 1)
        return HF__TLS_DONE;
    problem = SSL_get_error(session, rc);
    if (problem == SSL_ERROR_WANT_READ)
        return HF__TLS_WANT_READ;
    if (problem == SSL_ERROR_WANT_WRITE)
        return HF__TLS_WANT_WRITE;
    explain(session, problem, error_number, error);
    return HF__TLS_FAILED;
}
