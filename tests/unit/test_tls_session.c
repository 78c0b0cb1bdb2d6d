/* A TLS session between its buffers: what it leaves behind for others that use OpenSSL on the same thread. */
#include "tls_session.h"

#include "fail.h"
#include "tls_files.h"

#include <openssl/err.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* Whoever asks OpenSSL next what went wrong (the connection to Redis, perhaps) must not be told of this client's mistake. */
static void test_tls_session__what_broke_is_told_once(void **state)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    struct tls_session *session = tls_session_new(context);
    char room[64];

    (void)state;
    assert_non_null(session);
    tls_session_feed(session, hf__slice_str("PING\r\n"));
    assert_int_equal(tls_session_read(session, room, sizeof(room)), TLS_SESSION_BROKEN);
    assert_string_equal(hf_errmsg(), "tls: wrong version number");
    assert_int_equal(ERR_peek_error(), 0);
    tls_session_end(session);
    assert_int_equal(ERR_peek_error(), 0);
    tls_session_free(session);
    SSL_CTX_free(context);
}

static void test_tls_session__files_that_cannot_be_used_are_told_once(void **state)
{
    const struct tls_files files = {.certificate = __FILE__, .key = __FILE__}; /* a file, and no certificate */
    SSL_CTX *context;

    (void)state;
    assert_int_equal(tls_files_load("here", &files, &context), HF_ECONFIG);
    assert_int_equal(ERR_peek_error(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tls_session__what_broke_is_told_once),
        cmocka_unit_test(test_tls_session__files_that_cannot_be_used_are_told_once),
    };

    return cmocka_run_group_tests_name("tls_session", tests, NULL, NULL);
}
