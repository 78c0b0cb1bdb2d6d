/* Reads certificates and keys. No sentence shows a name, which may be a password that went into the wrong place. */
#include "tls_files.h"

#include "fail.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <sys/stat.h>
#include <unistd.h>

/* The places in the configuration that OpenSSL's problems are told of. */
struct place {
    const char *object, *setting;
};

static int bad(const struct place *place, const char *found, const char *expected)
{
    return hf__fail(HF_ECONFIG, "%s.%s: found %s, expected %s", place->object, place->setting, found, expected);
}

/* OpenSSL's own words for what it does not like about a file. */
static int unusable(const struct place *place, const char *expected)
{
    const char *problem = ERR_reason_error_string(ERR_peek_error());

    return hf__fail(HF_ECONFIG, "%s.%s: found a file that cannot be used (%s), expected %s", place->object,
                    place->setting, problem ? problem : "unknown error", expected);
}

static int look_at(const struct place *place, int fd, bool is_secret)
{
    struct stat st;

    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        return bad(place, "the name of something else", "the name of a regular file");
    if (is_secret && (st.st_mode & S_IRWXO))
        return bad(place, "a file that others may use", "no permissions for others (chmod o= FILE)");
    return 0;
}

/* OpenSSL would wait for the writer of a FIFO. */
static int look_before(const struct place *place, const char *path, bool is_secret)
{
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    int rc;

    if (fd < 0)
        return hf__fail_errno(HF_EIO, errno, "%s.%s: cannot read the file that it names", place->object,
                              place->setting);
    rc = look_at(place, fd, is_secret);
    close(fd);
    return rc;
}

static int load_certificate(SSL_CTX *context, const char *object, const char *path)
{
    const struct place place = {object, "cert_file"};
    int rc = look_before(&place, path, false);

    if (rc != 0)
        return rc;
    return SSL_CTX_use_certificate_chain_file(context, path) == 1
               ? 0
               : unusable(&place, "a certificate in PEM, and behind it those that lead to its authority");
}

static int load_key(SSL_CTX *context, const char *object, const char *path)
{
    const struct place place = {object, "key_file"};
    int rc = look_before(&place, path, true);

    if (rc != 0)
        return rc;
    if (SSL_CTX_use_PrivateKey_file(context, path, SSL_FILETYPE_PEM) == 1 &&
        SSL_CTX_check_private_key(context) == 1)
        return 0;
    return unusable(&place, "the private key of cert_file in PEM, without a password");
}

static int load_client_ca(SSL_CTX *context, const char *object, const char *path)
{
    const struct place place = {object, "client_ca_file"};
    int rc = look_before(&place, path, false);
    STACK_OF(X509_NAME) * names;

    if (rc != 0)
        return rc;
    names = SSL_load_client_CA_file(path);
    if (!names || SSL_CTX_load_verify_file(context, path) != 1) {
        sk_X509_NAME_pop_free(names, X509_NAME_free);
        return unusable(&place, "certificates of authorities in PEM");
    }
    SSL_CTX_set_client_CA_list(context, names); /* takes them over */
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    return 0;
}

/* A key with a password would make OpenSSL ask for it on the terminal. */
static int no_password(char *text, int size, int for_writing, void *ctx)
{
    (void)text;
    (void)size;
    (void)for_writing;
    (void)ctx;
    return -1;
}

/* Sessions are resumed by tickets, which cost no memory here; a session's buffers are given back while it is idle. */
static SSL_CTX *new_context(void)
{
    static const unsigned char name[] = "holdfastd";
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());

    if (!context || SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1 ||
        SSL_CTX_set_session_id_context(context, name, sizeof(name) - 1) != 1) {
        SSL_CTX_free(context);
        return NULL;
    }
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_default_passwd_cb(context, no_password);
    return context;
}

int tls_files_load(const char *place, const struct tls_files *files, SSL_CTX **ret_context)
{
    SSL_CTX *context;
    int rc;

    ERR_clear_error();
    context = new_context();
    if (!context)
        return hf__fail(HF_ENOMEM, "out of memory: the settings of TLS");
    rc = load_certificate(context, place, files->certificate);
    if (rc == 0)
        rc = load_key(context, place, files->key);
    if (rc == 0 && files->client_ca)
        rc = load_client_ca(context, place, files->client_ca);
    ERR_clear_error(); /* of what was told */
    if (rc != 0) {
        SSL_CTX_free(context);
        return rc;
    }
    *ret_context = context;
    return 0;
}
