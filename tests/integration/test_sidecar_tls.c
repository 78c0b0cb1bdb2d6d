/* The sidecar's TLS port: conversations, who is let in, what stalls and floods it, and new certificates while it runs. */
#include "certificates.h"
#include "redis_server.h"
#include "sidecar_process.h"
#include "tls_wire.h"
#include "wire.h"

#include <openssl/err.h>
#include <openssl/x509.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define HANDSHAKES 2000
#define IDLE 500
#define LARGE (5u << 20)

struct fixture {
    struct scratch scratch;
    struct sidecar_process sidecar;
    struct tls_wire_setup setup; /* of a client that is let in */
    struct tls_wire wire;        /* its connection */
    char ca[96], other_ca[96], client[96], stranger[96];
};

static void name_file(char path[96], const struct fixture *f, const char *name)
{
    snprintf(path, 96, "%s/%s", f->scratch.dir, name);
}

/* Certificates of one authority for the server and a client, and those of another one. */
static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    scratch_make(&f->scratch);
    certificates_authority(f->scratch.dir, "ca");
    certificates_authority(f->scratch.dir, "other-ca");
    certificates_issue(f->scratch.dir, "ca", "server", "IP:127.0.0.1");
    certificates_issue(f->scratch.dir, "ca", "client", "DNS:client.example");
    certificates_issue(f->scratch.dir, "other-ca", "stranger", "DNS:stranger.example");
    name_file(f->ca, f, "ca.pem");
    name_file(f->other_ca, f, "other-ca.pem");
    name_file(f->client, f, "client");
    name_file(f->stranger, f, "stranger");
    f->setup = (struct tls_wire_setup){.port = redis_server_free_port(), .ca = f->ca};
    f->wire.fd = -1;
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    if (f->wire.fd >= 0)
        tls_wire_close(&f->wire);
    sidecar_stop(&f->sidecar);
    scratch_remove(&f->scratch);
    free(f);
    return 0;
}

/* The object "tls" with these files, and `more` members of "sidecar" behind it. */
static void write_config(const struct fixture *f, const char *certificate, const char *client_ca, const char *more,
                         char *text, size_t size)
{
    char ca[160] = "";

    if (client_ca)
        snprintf(ca, sizeof(ca), ", \"client_ca_file\": \"%s\"", client_ca);
    snprintf(text, size,
             "{\"sidecar\": {\"port\": 0, \"tls\": {\"port\": %d, \"cert_file\": \"%s/%s.pem\", \"key_file\": "
             "\"%s/%s.key\"%s}%s}}",
             f->setup.port, f->scratch.dir, certificate, f->scratch.dir, certificate, ca, more);
}

/* A sidecar with a TLS port, and a client of it. */
static void start_with(struct fixture *f, const char *client_ca, const char *more)
{
    char config[1024];

    write_config(f, "server", client_ca, more, config, sizeof(config));
    sidecar_start(&f->sidecar, f->scratch.dir, NULL, config);
}

static void start(struct fixture *f)
{
    start_with(f, NULL, "");
    tls_wire_open(&f->wire, &f->setup);
}

static void put_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "we");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

/* ---- conversations ---- */

static void test_sidecar_tls__both_versions_of_the_protocol_are_spoken(void **state)
{
    static const struct {
        int version;
        const char *name;
    } versions[] = {{TLS1_2_VERSION, "TLSv1.2"}, {0, "TLSv1.3"}};
    struct fixture *f = *state;

    start_with(f, NULL, "");
    for (size_t i = 0; i < 2; i++) {
        f->setup.version = versions[i].version;
        tls_wire_open(&f->wire, &f->setup);
        assert_string_equal(SSL_get_version(f->wire.ssl), versions[i].name);
        tls_wire_ask(&f->wire, "PING\r\n", "+PONG\r\n");
        tls_wire_ask(&f->wire, "SET k v\r\nGET k\r\nINCR n\r\nDEL n\r\n", "+OK\r\n$1\r\nv\r\n:1\r\n:1\r\n");
        tls_wire_close(&f->wire);
    }
    f->setup.version = TLS1_1_VERSION;
    tls_wire_connect(&f->wire, &f->setup);
    assert_false(tls_wire_greet(&f->wire));
}

static void test_sidecar_tls__it_does_not_matter_where_packets_end(void **state)
{
    static const char request[] = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\nhello\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n";
    struct fixture *f = *state;

    start_with(f, NULL, "");
    tls_wire_connect(&f->wire, &f->setup);
    f->wire.packet = 1;
    assert_true(tls_wire_greet(&f->wire));
    tls_wire_ask(&f->wire, request, "+OK\r\n$5\r\nhello\r\n");
    for (size_t i = 0; i < strlen(request); i++) /* and records of one byte */
        tls_wire_send(&f->wire, request + i, 1);
    tls_wire_expect(&f->wire, "+OK\r\n$5\r\nhello\r\n", 16);
}

/* "$5242880", the value, and its end. */
static void append_bulk(struct hf_bytes *bytes, const char *value)
{
    char head[32];

    snprintf(head, sizeof(head), "$%u\r\n", LARGE);
    assert_int_equal(hf__bytes_append(bytes, head, strlen(head)), 0);
    assert_int_equal(hf__bytes_append(bytes, value, LARGE), 0);
    assert_int_equal(hf__bytes_append(bytes, "\r\n", 2), 0);
}

static void test_sidecar_tls__large_values_come_and_go_whole_in_a_pipeline(void **state)
{
    struct fixture *f = *state;
    struct hf_bytes request = {0}, answer = {0};
    char *value = malloc(LARGE), head[64];

    assert_non_null(value);
    start(f);
    for (unsigned i = 0; i < 4; i++) {
        for (size_t k = 0; k < LARGE; k++)
            value[k] = (char)(k * 7 + k / 997 + i);
        snprintf(head, sizeof(head), "*3\r\n$3\r\nSET\r\n$2\r\nk%u\r\n", i);
        assert_int_equal(hf__bytes_append(&request, head, strlen(head)), 0);
        append_bulk(&request, value);
        append_bulk(&answer, value);
    }
    tls_wire_send(&f->wire, request.bytes, request.len);
    tls_wire_expect(&f->wire, "+OK\r\n+OK\r\n+OK\r\n+OK\r\n", 20);
    tls_wire_send(&f->wire, "GET k0\r\nGET k1\r\nGET k2\r\nGET k3\r\n", 32);
    tls_wire_expect(&f->wire, answer.bytes, answer.len);
    free(value);
    hf__bytes_release(&request);
    hf__bytes_release(&answer);
}

static void test_sidecar_tls__replies_of_a_long_pipeline_come_in_order(void **state)
{
    struct fixture *f = *state;
    struct hf_bytes request = {0}, answer = {0};
    char line[64];

    start(f);
    for (int i = 0; i < 20000; i++) {
        assert_int_equal(hf__bytes_append(&request, "INCR n\r\n", 8), 0);
        snprintf(line, sizeof(line), ":%d\r\n", i + 1);
        assert_int_equal(hf__bytes_append(&answer, line, strlen(line)), 0);
    }
    tls_wire_send(&f->wire, request.bytes, request.len);
    tls_wire_expect(&f->wire, answer.bytes, answer.len);
    hf__bytes_release(&request);
    hf__bytes_release(&answer);
}

static void test_sidecar_tls__the_end_is_told_and_heard(void **state)
{
    struct fixture *f = *state;

    start(f);
    tls_wire_ask(&f->wire, "QUIT\r\nPING\r\n", "+OK\r\n");
    tls_wire_expect_end(&f->wire, true);
    tls_wire_close(&f->wire);

    tls_wire_open(&f->wire, &f->setup);
    tls_wire_send(&f->wire, "SET k v\r\nGET k\r\n", 16);
    tls_wire_end(&f->wire); /* who says so gets all replies */
    tls_wire_expect(&f->wire, "+OK\r\n$1\r\nv\r\n", 12);
    tls_wire_expect_end(&f->wire, true);
    tls_wire_close(&f->wire);

    tls_wire_open(&f->wire, &f->setup);
    tls_wire_ask(&f->wire, "PING\r\n", "+PONG\r\n");
    assert_int_equal(kill(f->sidecar.pid, SIGTERM), 0);
    tls_wire_expect_end(&f->wire, true);
}

/* ---- who is let in ---- */

static void test_sidecar_tls__a_client_of_another_authority_goes_away(void **state)
{
    struct fixture *f = *state;
    struct tls_wire wrong;

    start(f);
    f->setup.ca = f->other_ca;
    for (int i = 0; i < 2; i++) {
        f->setup.version = i ? TLS1_2_VERSION : 0;
        tls_wire_connect(&wrong, &f->setup);
        assert_false(tls_wire_greet(&wrong));
        tls_wire_expect_end(&wrong, false);
        tls_wire_close(&wrong);
    }
    tls_wire_ask(&f->wire, "PING\r\n", "+PONG\r\n");
}

/* In TLS 1.3 a client has done its part before it hears that it is refused. */
static bool is_let_in(const struct tls_wire_setup *setup)
{
    struct tls_wire wire;
    bool in;

    tls_wire_connect(&wire, setup);
    in = tls_wire_greet(&wire);
    if (in && !setup->name)
        tls_wire_expect_end(&wire, false);
    else if (in)
        tls_wire_ask(&wire, "PING\r\n", "+PONG\r\n");
    tls_wire_close(&wire);
    return in && setup->name;
}

static void test_sidecar_tls__a_client_must_show_a_certificate_where_one_is_asked_for(void **state)
{
    struct fixture *f = *state;
    struct tls_wire stranger;

    start_with(f, f->ca, "");
    for (int i = 0; i < 2; i++) {
        f->setup.version = i ? TLS1_2_VERSION : 0;
        f->setup.name = NULL;
        assert_false(is_let_in(&f->setup));
        f->setup.name = f->client;
        assert_true(is_let_in(&f->setup));
        f->setup.name = f->stranger;
        tls_wire_connect(&stranger, &f->setup);
        (void)tls_wire_greet(&stranger);
        tls_wire_expect_end(&stranger, false);
        tls_wire_close(&stranger);
    }
}

static void test_sidecar_tls__a_session_is_resumed_by_its_ticket(void **state)
{
    struct fixture *f = *state;
    SSL_SESSION *session;

    f->setup.name = f->client;
    start_with(f, f->ca, "");
    tls_wire_open(&f->wire, &f->setup);
    tls_wire_ask(&f->wire, "PING\r\n", "+PONG\r\n"); /* with TLS 1.3 the ticket came before that */
    session = SSL_get1_session(f->wire.ssl);
    tls_wire_end(&f->wire); /* what was cut off cannot be resumed */
    tls_wire_close(&f->wire);
    tls_wire_connect(&f->wire, &f->setup);
    assert_int_equal(SSL_set_session(f->wire.ssl, session), 1);
    assert_true(tls_wire_greet(&f->wire));
    assert_int_equal(SSL_session_reused(f->wire.ssl), 1);
    tls_wire_ask(&f->wire, "PING\r\n", "+PONG\r\n");
    SSL_SESSION_free(session);
}

static void test_sidecar_tls__a_client_too_many_is_closed(void **state)
{
    struct fixture *f = *state;
    struct tls_wire wires[2];

    start_with(f, NULL, ", \"max_clients\": 2");
    for (int i = 0; i < 2; i++) {
        tls_wire_open(&wires[i], &f->setup);
        tls_wire_ask(&wires[i], "PING\r\n", "+PONG\r\n");
    }
    tls_wire_connect(&f->wire, &f->setup);
    assert_false(tls_wire_greet(&f->wire));
    for (int i = 0; i < 2; i++)
        tls_wire_close(&wires[i]);
}

/* ---- who stalls, and who floods ---- */

/* All that the server says until it closes, whatever that is, and no answer to it. */
static void hear_out(struct tls_wire *wire)
{
    struct pollfd fd = {.fd = wire->fd, .events = POLLIN};
    char got[4096];

    do
        assert_int_equal(poll(&fd, 1, TLS_WIRE_WAIT_MS), 1);
    while (recv(wire->fd, got, sizeof(got), 0) > 0);
    tls_wire_close(wire);
}

static void test_sidecar_tls__who_stalls_in_the_handshake_is_closed(void **state)
{
    struct fixture *f = *state;
    struct tls_wire silent, half, begun;

    start(f);
    tls_wire_connect(&silent, &f->setup);
    tls_wire_connect(&half, &f->setup);
    assert_int_equal(send(half.fd, "\x16\x03\x01\x02", 4, MSG_NOSIGNAL), 4); /* the beginning of a record's head */
    tls_wire_connect(&begun, &f->setup);
    tls_wire_step(&begun);
    hear_out(&silent);
    hear_out(&half);
    hear_out(&begun);                                /* the server's part of the handshake, and the end */
    tls_wire_ask(&f->wire, "PING\r\n", "+PONG\r\n"); /* who is through may be idle for so long */
}

static void test_sidecar_tls__what_is_no_handshake_ends_the_connection(void **state)
{
    static const char *const openings[] = {
        "PING\r\n", "*1\r\n$4\r\nPING\r\n", "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        "\x16\x03\x01\xff\xff garbage behind a head that is too large",
        "\x80\x2e\x01\x03\x01 something of SSL 2, which has another head than what came later"};
    struct fixture *f = *state;
    struct wire plain;
    char got[64];

    start(f);
    for (size_t i = 0; i < sizeof(openings) / sizeof(openings[0]); i++) {
        struct tls_wire wire;

        tls_wire_connect(&wire, &f->setup);
        plain.fd = wire.fd;
        wire_say(&plain, openings[i]);
        while (poll(&(struct pollfd){.fd = wire.fd, .events = POLLIN}, 1, WIRE_WAIT_MS) == 1 &&
               recv(wire.fd, got, sizeof(got), 0) > 0)
            assert_int_equal(got[0], 0x15); /* an alert, and nothing that looks like a reply */
        tls_wire_close(&wire);
    }
    tls_wire_ask(&f->wire, "PING\r\n", "+PONG\r\n");
}

static void test_sidecar_tls__a_record_that_was_changed_ends_the_connection(void **state)
{
    struct fixture *f = *state;
    char *bytes;
    long len;

    start(f);
    assert_int_equal(SSL_write(f->wire.ssl, "SET k v\r\n", 9), 9);
    len = BIO_get_mem_data(f->wire.to, &bytes);
    bytes[len - 1] ^= 1;
    tls_wire_send(&f->wire, NULL, 0);
    tls_wire_expect_end(&f->wire, false);
    tls_wire_close(&f->wire);
    tls_wire_open(&f->wire, &f->setup);
    tls_wire_ask(&f->wire, "GET k\r\n", "$-1\r\n");
}

/* Push until no more is taken for a while; the others are served meanwhile. Returns how many times `again` was called. */
static size_t flood(struct fixture *f, struct tls_wire *slow, void (*again)(struct tls_wire *slow), size_t max)
{
    size_t n = 0, left = 0, before;
    int quiet = 0;

    while (quiet < 5 && n < max) {
        before = left;
        if (left == 0) {
            again(slow);
            n++;
        }
        left = tls_wire_push(slow, NULL, 0);
        quiet = left > 0 && left == before ? quiet + 1 : 0;
        tls_wire_ask(&f->wire, "PING\r\n", "+PONG\r\n");
    }
    return n;
}

#define PINGS 64

static void make_ping(char ping[1024 + 16])
{
    memset(ping, 'x', 1024 + 16);
    memcpy(ping, "PING ", 5);
    memcpy(ping + 1024 + 13, "\r\n", 3);
}

static void seal_pings(struct tls_wire *slow)
{
    char ping[1024 + 16];

    make_ping(ping);
    for (int i = 0; i < PINGS; i++)
        assert_int_equal(SSL_write(slow->ssl, ping, (int)strlen(ping)), strlen(ping));
}

static void test_sidecar_tls__who_does_not_read_is_not_read_from_and_loses_nothing(void **state)
{
    struct fixture *f = *state;
    struct tls_wire slow;
    char ping[1024 + 16], head[16];
    size_t n;
    long before;

    start(f);
    make_ping(ping);
    snprintf(head, sizeof(head), "$%zu\r\n", strlen(ping) - 7);
    tls_wire_open(&slow, &f->setup);
    before = resident_kib(f->sidecar.pid);
    n = flood(f, &slow, seal_pings, 1000);
    assert_in_range(n, 1, 999);
    if (MEASURES_MEMORY)
        assert_in_range(resident_kib(f->sidecar.pid) - before + 1024, 0, 8 * 1024);
    for (size_t i = 0; i < n * PINGS; i++) {
        tls_wire_expect(&slow, head, strlen(head));
        tls_wire_expect(&slow, ping + 5, strlen(ping) - 5);
    }
    tls_wire_close(&slow);
}

static void ask_for_new_keys(struct tls_wire *slow)
{
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(SSL_key_update(slow->ssl, SSL_KEY_UPDATE_REQUESTED), 1);
        (void)SSL_do_handshake(slow->ssl);
    }
}

/* Each is answered by TLS itself, before any password. */
static void test_sidecar_tls__who_asks_for_new_keys_for_ever_is_not_read_from(void **state)
{
    struct fixture *f = *state;
    struct tls_wire slow;
    size_t n;
    long before;

    start(f);
    f->setup.buffer_bytes = 16 * 1024; /* so that little goes before it shows */
    tls_wire_open(&slow, &f->setup);
    before = resident_kib(f->sidecar.pid);
    n = flood(f, &slow, ask_for_new_keys, 1000);
    print_message("%zu000 new keys were asked for\n", n);
    assert_in_range(n, 1, 999);
    if (MEASURES_MEMORY)
        assert_in_range(resident_kib(f->sidecar.pid) - before + 1024, 0, 4 * 1024);
    tls_wire_ask(&slow, "PING\r\n", "+PONG\r\n"); /* it reads again, and goes on */
    tls_wire_close(&slow);
}

static void test_sidecar_tls__keys_are_not_negotiated_again(void **state)
{
    struct fixture *f = *state;

    f->setup.version = TLS1_2_VERSION;
    start(f);
    assert_int_equal(SSL_renegotiate(f->wire.ssl), 1);
    assert_false(tls_wire_greet(&f->wire));
    tls_wire_close(&f->wire);
    tls_wire_open(&f->wire, &f->setup);
    tls_wire_ask(&f->wire, "PING\r\n", "+PONG\r\n");
}

/* ---- memory ---- */

static void shake_hands(const struct tls_wire_setup *setup, int n)
{
    struct tls_wire wire;

    for (int i = 0; i < n; i++) {
        tls_wire_open(&wire, setup);
        if (i % 2) /* the others are cut off */
            tls_wire_ask(&wire, "PING\r\n", "+PONG\r\n");
        tls_wire_close(&wire);
    }
}

static void test_sidecar_tls__thousands_of_handshakes_leave_nothing_behind(void **state)
{
    struct fixture *f = *state;
    long before;

    start(f);
    shake_hands(&f->setup, HANDSHAKES / 4);
    before = resident_kib(f->sidecar.pid);
    shake_hands(&f->setup, HANDSHAKES);
    print_message("%ld KiB more after %d handshakes\n", resident_kib(f->sidecar.pid) - before, HANDSHAKES);
    if (MEASURES_MEMORY)
        assert_in_range(resident_kib(f->sidecar.pid) - before + 1024, 0, 2 * 1024);
}

static void test_sidecar_tls__an_idle_client_has_no_buffers(void **state)
{
    struct fixture *f = *state;
    struct tls_wire *wires = calloc(IDLE, sizeof(*wires));
    char text[40000] = "*2\r\n$4\r\nECHO\r\n$39970\r\n";
    long before, after;

    assert_non_null(wires);
    memset(text + 22, 'x', 39970);
    memcpy(text + 22 + 39970, "\r\n", 3);
    start(f);
    before = resident_kib(f->sidecar.pid);
    for (int i = 0; i < IDLE; i++) { /* each has used some */
        tls_wire_open(&wires[i], &f->setup);
        tls_wire_ask(&wires[i], text, text + 14);
    }
    after = resident_kib(f->sidecar.pid);
    print_message("%ld KiB for %d idle clients\n", after - before, IDLE);
    if (MEASURES_MEMORY)
        assert_in_range(after - before, 0, 24 * IDLE);
    for (int i = 0; i < IDLE; i++)
        tls_wire_close(&wires[i]);
    free(wires);
}

/* ---- the configuration ---- */

struct seen {
    struct fixture *f;
    const char *name;
};

/* Whether a new client sees the certificate with this CN. */
static bool is_seen(void *ctx)
{
    struct seen *seen = ctx;
    struct tls_wire wire;
    char name[64];
    X509 *certificate;

    tls_wire_open(&wire, &seen->f->setup);
    certificate = SSL_get1_peer_certificate(wire.ssl);
    X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name, sizeof(name));
    X509_free(certificate);
    tls_wire_close(&wire);
    return strcmp(name, seen->name) == 0;
}

/* Another limit of the same file shows that a signal was acted upon. */
static bool limit_counts(void *ctx)
{
    struct fixture *f = ctx;
    struct talk talk;
    bool counts;

    talk_open(&talk, f->sidecar.socket);
    counts = strstr(talk_ask(&talk, "INFO clients"), "maxclients:77|");
    talk_close(&talk);
    return counts;
}

static void hang_up(struct fixture *f, const char *text)
{
    put_text(f->sidecar.config, text);
    assert_int_equal(kill(f->sidecar.pid, SIGHUP), 0);
}

static void test_sidecar_tls__sighup_takes_a_new_certificate_and_keeps_the_old_one_for_a_bad_one(void **state)
{
    struct fixture *f = *state;
    char config[1024], path[128];

    start(f);
    certificates_issue(f->scratch.dir, "ca", "renewed", "IP:127.0.0.1");
    write_config(f, "renewed", NULL, "", config, sizeof(config));
    hang_up(f, config);
    assert_true(wait_until(is_seen, &(struct seen){f, "renewed"}, SIDECAR_WAIT_MS));
    tls_wire_ask(&f->wire, "PING\r\n", "+PONG\r\n"); /* who was there stays */

    snprintf(path, sizeof(path), "%s/broken.pem", f->scratch.dir);
    put_text(path, "not a certificate\n");
    write_config(f, "broken", NULL, "", config, sizeof(config));
    hang_up(f, config);
    tls_wire_ask(&f->wire, "PING\r\n", "+PONG\r\n");
    assert_true(is_seen(&(struct seen){f, "renewed"}));

    /* Who leaves TLS out keeps the port until the next start, and its certificate with it. */
    hang_up(f, "{\"sidecar\": {\"port\": 0, \"max_clients\": 77}}");
    assert_true(wait_until(limit_counts, f, SIDECAR_WAIT_MS));
    assert_true(is_seen(&(struct seen){f, "renewed"}));
}

/* It may take the signal a moment later than what is asked first. */
static void assert_asks_for_a_password(const struct fixture *f)
{
    for (int i = 0; i < 10; i++) {
        struct wire wire;

        wire_open(&wire, f->sidecar.socket);
        wire_ask(&wire, "PING\r\n", "-NOAUTH Authentication required.\r\n");
        wire_close(&wire);
    }
}

/* The addresses do not change before the next start, whatever the file says of them. */
static void test_sidecar_tls__the_password_stays_while_it_listens_beyond_this_machine(void **state)
{
    struct fixture *f = *state;

    setenv("TEST_X", "x", 1);
    start_with(f, NULL, ", \"bind\": [\"0.0.0.0\"], \"password_env\": \"TEST_X\"");
    assert_asks_for_a_password(f);
    hang_up(f, "{\"sidecar\": {\"port\": 0}}");
    assert_asks_for_a_password(f);
}

static void test_sidecar_tls__mistakes_of_its_settings_are_named(void **state)
{
    static const struct {
        const char *tls, *part;
    } cases[] = {
        {"{}", "sidecar.tls: found no port, expected one"},
        {"{\"port\": 0}", "sidecar.tls.port: found 0, expected a whole number from 1 to 65535"},
        {"{\"port\": 1}", "sidecar.tls: found no certificate or no key, expected cert_file and key_file"},
        {"{\"port\": 1, \"cert_file\": \"server.pem\"}", "found no certificate or no key"},
        {"{\"cert\": 1}", "sidecar.tls.cert: found an unknown key, expected one of: port, cert_file, key_file"},
        {"{\"port\": 1, \"cert_file\": \"none\", \"key_file\": \"server.key\"}",
         "sidecar.tls.cert_file: cannot read the file that it names: No such file or directory"},
        {"{\"port\": 1, \"cert_file\": \".\", \"key_file\": \"server.key\"}",
         "sidecar.tls.cert_file: found the name of something else, expected the name of a regular file"},
        {"{\"port\": 1, \"cert_file\": \"fifo\", \"key_file\": \"server.key\"}",
         "sidecar.tls.cert_file: found the name of something else, expected the name of a regular file"},
        {"{\"port\": 1, \"cert_file\": \"server.key\", \"key_file\": \"server.key\"}",
         "sidecar.tls.cert_file: found a file that cannot be used (no start line), expected a certificate in PEM"},
        {"{\"port\": 1, \"cert_file\": \"server.pem\", \"key_file\": \"client.key\"}",
         "sidecar.tls.key_file: found a file that cannot be used (key values mismatch), expected the private key "
         "of"},
        {"{\"port\": 1, \"cert_file\": \"server.pem\", \"key_file\": \"locked.key\"}",
         "sidecar.tls.key_file: found a file that cannot be used"},
        {"{\"port\": 1, \"cert_file\": \"server.pem\", \"key_file\": \"open.key\"}",
         "sidecar.tls.key_file: found a file that others may use, expected no permissions for others"},
        {"{\"port\": 1, \"cert_file\": \"server.pem\", \"key_file\": \"server.key\", \"client_ca_file\": "
         "\"server.key\"}",
         "sidecar.tls.client_ca_file: found a file that cannot be used"},
        {"{\"port\": 6380, \"cert_file\": \"server.pem\", \"key_file\": \"server.key\"}",
         "sidecar.tls.port: found 6380, which is the port without TLS, expected another one"},
        {"{\"port\": 1, \"cert_file\": \"server.pem\", \"key_file\": \"server.key\"}, \"bind\": [\"0.0.0.0\"], "
         "\"port\": 0",
         "sidecar.bind: found 0.0.0.0, which others can reach, and no password"},
    };
    struct fixture *f = *state;
    char text[1024], arguments[512];

    assert_int_equal(chdir(f->scratch.dir), 0);
    assert_int_equal(mkfifo("fifo", 0600), 0);
    assert_int_equal(system("cp server.key open.key && chmod 644 open.key && openssl ec -in server.key -aes128 "
                            "-passout pass:secret -out locked.key 2>openssl.log"),
                     0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        snprintf(text, sizeof(text), "{\"sidecar\": {\"tls\": %s}}", cases[i].tls);
        put_text("config.json", text);
        assert_says("--check-config --config config.json </dev/null", 4, cases[i].part);
    }
    put_text("config.json", "{\"sidecar\": {\"tls\": {\"port\": 1, \"cert_file\": \"server.pem\", \"key_file\": "
                            "\"server.key\", \"client_ca_file\": \"ca.pem\"}}}");
    snprintf(arguments, sizeof(arguments), "--check-config --config config.json");
    assert_says(arguments, 0, "");
    assert_int_equal(chdir("/"), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_sidecar_tls__##name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(both_versions_of_the_protocol_are_spoken),
        TEST(it_does_not_matter_where_packets_end),
        TEST(large_values_come_and_go_whole_in_a_pipeline),
        TEST(replies_of_a_long_pipeline_come_in_order),
        TEST(the_end_is_told_and_heard),
        TEST(a_client_of_another_authority_goes_away),
        TEST(a_client_must_show_a_certificate_where_one_is_asked_for),
        TEST(a_session_is_resumed_by_its_ticket),
        TEST(a_client_too_many_is_closed),
        TEST(who_stalls_in_the_handshake_is_closed),
        TEST(what_is_no_handshake_ends_the_connection),
        TEST(a_record_that_was_changed_ends_the_connection),
        TEST(who_does_not_read_is_not_read_from_and_loses_nothing),
        TEST(who_asks_for_new_keys_for_ever_is_not_read_from),
        TEST(keys_are_not_negotiated_again),
        TEST(thousands_of_handshakes_leave_nothing_behind),
        TEST(an_idle_client_has_no_buffers),
        TEST(sighup_takes_a_new_certificate_and_keeps_the_old_one_for_a_bad_one),
        TEST(the_password_stays_while_it_listens_beyond_this_machine),
        TEST(mistakes_of_its_settings_are_named),
    };

    return cmocka_run_group_tests_name("sidecar_tls", tests, NULL, NULL);
}
