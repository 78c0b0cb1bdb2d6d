/* OpenSSL between two buffers. */
#include "tls_session.h"

#include "fail.h"

#include <limits.h>
#include <openssl/err.h>
#include <pthread.h>
#include <stdlib.h>

#define PIECE                                                                                                      \
    (4 *                                                                                                           \
     TLS_SESSION_RECORD) /* of plain bytes that are sealed at once: so much memory a reader who is slow costs beside them */

struct tls_session {
    SSL *ssl;
    struct hf_slice fed;    /* borrowed */
    struct hf_bytes plain;  /* to be sealed ... */
    size_t n_sealed;        /* ... from here on */
    struct hf_bytes sealed; /* to be sent */
};

/* ---- what OpenSSL reads from and writes to ---- */

static int give(BIO *bio, char *room, int size)
{
    struct tls_session *session = BIO_get_data(bio);
    size_t n = session->fed.len < (size_t)size ? session->fed.len : (size_t)size;

    BIO_clear_retry_flags(bio);
    if (n == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    memcpy(room, session->fed.data, n);
    session->fed = hf__slice((const char *)session->fed.data + n, session->fed.len - n);
    return (int)n;
}

static int take(BIO *bio, const char *bytes, int len)
{
    struct tls_session *session = BIO_get_data(bio);

    BIO_clear_retry_flags(bio);
    return hf__bytes_append(&session->sealed, bytes, (size_t)len) == 0 ? len : -1;
}

/* There is nothing to flush, and no other control that means anything here. */
static long control(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH;
}

static BIO_METHOD *method;
static pthread_once_t method_once = PTHREAD_ONCE_INIT;

static void make_method(void)
{
    method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "buffers of a client");
    if (!method)
        return;
    BIO_meth_set_read(method, give);
    BIO_meth_set_write(method, take);
    BIO_meth_set_ctrl(method, control);
}

static BIO *new_bio(struct tls_session *session)
{
    BIO *bio;

    pthread_once(&method_once, make_method);
    bio = method ? BIO_new(method) : NULL;
    if (!bio)
        return NULL;
    BIO_set_data(bio, session);
    BIO_set_init(bio, 1);
    return bio;
}

/* ---- life ---- */

struct tls_session *tls_session_new(SSL_CTX *context)
{
    struct tls_session *session = calloc(1, sizeof(*session));
    BIO *bio = session ? new_bio(session) : NULL;

    if (bio)
        session->ssl = SSL_new(context);
    if (!bio || !session->ssl) {
        BIO_free(bio);
        free(session);
        return NULL;
    }
    SSL_set_bio(session->ssl, bio, bio);
    SSL_set_accept_state(session->ssl);
    return session;
}

void tls_session_free(struct tls_session *session)
{
    if (!session)
        return;
    SSL_free(session->ssl); /* with its bio */
    hf__bytes_release(&session->plain);
    hf__bytes_release(&session->sealed);
    free(session);
}

bool tls_session_is_open(const struct tls_session *session)
{
    return SSL_is_init_finished(session->ssl);
}

/* ---- reading ---- */

/* OpenSSL keeps what went wrong for the next one of this thread who asks: nothing is left for another connection. */
static int broken(const struct tls_session *session)
{
    long verdict = SSL_get_verify_result(session->ssl);
    const char *problem = ERR_reason_error_string(ERR_peek_error());

    if (verdict != X509_V_OK)
        (void)hf__fail(HF_EIO, "tls: its certificate is not accepted: %s", X509_verify_cert_error_string(verdict));
    else
        (void)hf__fail(HF_EIO, "tls: %s", problem ? problem : "out of memory");
    ERR_clear_error();
    return TLS_SESSION_BROKEN;
}

void tls_session_feed(struct tls_session *session, struct hf_slice sealed)
{
    session->fed = sealed;
}

ssize_t tls_session_read(struct tls_session *session, void *room, size_t size)
{
    int n;

    ERR_clear_error();
    n = SSL_read(session->ssl, room, size < INT_MAX ? (int)size : INT_MAX);
    if (n > 0)
        return n;
    switch (SSL_get_error(session->ssl, n)) {
    case SSL_ERROR_WANT_READ: return 0;
    case SSL_ERROR_ZERO_RETURN: return TLS_SESSION_ENDED;
    default: return broken(session);
    }
}

/* ---- sealing ---- */

static int seal_piece(struct tls_session *session)
{
    size_t left = session->plain.len - session->n_sealed;
    int n = left < PIECE ? (int)left : (int)PIECE;

    ERR_clear_error();
    if (SSL_write(session->ssl, session->plain.bytes + session->n_sealed, n) !=
        n) /* our side takes all or nothing */
        return broken(session);
    session->n_sealed += (size_t)n;
    if (session->n_sealed < session->plain.len)
        return 0;
    hf__bytes_release(&session->plain);
    session->n_sealed = 0;
    return 0;
}

int tls_session_seal(struct tls_session *session, struct hf_bytes *plain)
{
    if (session->plain.len == 0) {
        hf__bytes_release(&session->plain);
        session->plain = *plain;
        *plain = (struct hf_bytes){0};
    }
    if (session->sealed.len > 0 || session->plain.len == 0 || !tls_session_is_open(session))
        return 0;
    return seal_piece(session);
}

void tls_session_end(struct tls_session *session)
{
    if (tls_session_is_open(session))
        (void)SSL_shutdown(session->ssl); /* a peer that does not hear of it finds the end of the stream */
    ERR_clear_error();
}

struct hf_bytes *tls_session_sealed(struct tls_session *session)
{
    return &session->sealed;
}

size_t tls_session_unsent(const struct tls_session *session)
{
    return session->plain.len - session->n_sealed + session->sealed.len;
}
