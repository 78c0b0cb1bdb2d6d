/* Opening connections to Redis: names and addresses, passwords, TLS, and all the ways in which it fails, each within its time. */
#include "remote.h"

#include "redis_server.h"
#include "scratch.h"

#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BOUND_MS 10000

struct fixture {
    uv_loop_t loop;
    uv_timer_t bound;
    struct remote_settings settings;
    struct remote *remote;
    bool ready, gone, late;
    char why[256], last[64];
};

/* ---- fixture ---- */

static void on_ready(void *ctx)
{
    struct fixture *f = ctx;

    f->ready = true;
    uv_stop(&f->loop);
}

static void on_reply(void *ctx, void *object)
{
    const redisReply *reply = object;
    struct fixture *f = ctx;

    snprintf(f->last, sizeof(f->last), "%s", reply->str ? reply->str : "");
    uv_stop(&f->loop);
}

static void on_gone(void *ctx, const char *why)
{
    struct fixture *f = ctx;

    f->gone = true;
    f->remote = NULL;
    snprintf(f->why, sizeof(f->why), "%s", why);
    uv_stop(&f->loop);
}

static const struct remote_events events = {.ready = on_ready, .reply = on_reply, .gone = on_gone};

static void on_bound(uv_timer_t *timer)
{
    ((struct fixture *)timer->data)->late = true;
    uv_stop(timer->loop);
}

/* Run until something is told. */
static void run(struct fixture *f)
{
    uv_timer_start(&f->bound, on_bound, BOUND_MS, 0);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    uv_timer_stop(&f->bound);
    assert_false(f->late);
}

static void open_with(struct fixture *f, const struct hf_options *options)
{
    *f = (struct fixture){0};
    signal(SIGPIPE, SIG_IGN);
    uv_loop_init(&f->loop);
    uv_timer_init(&f->loop, &f->bound);
    f->bound.data = f;
    assert_ok(remote_settings_init(options, &f->settings));
    f->remote = remote_open(&f->loop, &f->settings, 3, &events, f);
    assert_non_null(f->remote);
    run(f);
}

static void end(struct fixture *f)
{
    remote_close(f->remote);
    uv_close((uv_handle_t *)&f->bound, NULL);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f->loop), 0); /* nothing is left open */
    remote_settings_release(&f->settings);
}

static void assert_opens(const struct hf_options *options)
{
    static const char ping[] = "*1\r\n$4\r\nPING\r\n";
    struct fixture f;

    open_with(&f, options);
    if (!f.ready)
        fail_msg("%s", f.why);
    assert_int_equal(remote_send(f.remote, ping, sizeof(ping) - 1), 0);
    run(&f);
    assert_string_equal(f.last, "PONG");
    end(&f);
}

static void assert_fails(const struct hf_options *options, const char *part)
{
    struct fixture f;
    int64_t began = wall_ms();

    open_with(&f, options);
    assert_true(f.gone);
    if (!strstr(f.why, part))
        fail_msg("it failed with \"%s\", expected it to hold \"%s\"", f.why, part);
    if (strstr(f.why, "secret"))
        fail_msg("a password is told: %s", f.why);
    assert_true(wall_ms() - began < BOUND_MS / 2);
    end(&f);
}

/* ---- addresses ---- */

static void test_remote__a_name_with_several_addresses_and_a_socket_are_dialled(void **state)
{
    char port[8], text[64];
    const char *args[] = {"--bind", "127.0.0.1", "--port", port, NULL};
    struct redis_server server;

    (void)state;
    snprintf(port, sizeof(port), "%d", redis_server_free_port());
    assert_int_equal(redis_server_start(&server, args), 0);
    assert_opens(&(struct hf_options){.redis = server.address});
    snprintf(text, sizeof(text), "redis://127.0.0.1:%s/3", port);
    assert_opens(&(struct hf_options){.redis = text});
    snprintf(text, sizeof(text), "redis://localhost:%s", port); /* ::1 refuses */
    assert_opens(&(struct hf_options){.redis = text});
    redis_server_stop(&server);
    assert_fails(&(struct hf_options){.redis = text}, "cannot connect to localhost:");
    assert_fails(&(struct hf_options){.redis = "redis://no-such-host.invalid"},
                 "cannot connect to no-such-host.invalid:6379: ");
    assert_fails(&(struct hf_options){.redis = "unix:///no/such/socket"}, "No such file or directory");
}

static void test_remote__a_server_that_never_answers_costs_the_connect_timeout(void **state)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    socklen_t len = sizeof(address);
    char text[64];

    (void)state;
    assert_int_equal(bind(listener, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(listener, 8), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &len), 0);
    snprintf(text, sizeof(text), "redis://127.0.0.1:%d", ntohs(address.sin_port));
    assert_fails(&(struct hf_options){.redis = text, .redis_connect_timeout_ms = 200}, "connect timeout");
    snprintf(text, sizeof(text), "rediss://127.0.0.1:%d", ntohs(address.sin_port));
    assert_fails(&(struct hf_options){.redis = text, .redis_connect_timeout_ms = 200}, "connect timeout");
    close(listener);
}

static void test_remote__closing_while_a_name_is_looked_up_leaves_nothing_behind(void **state)
{
    struct hf_options options = {.redis = "redis://localhost:1"};
    struct fixture f = {0};

    (void)state;
    uv_loop_init(&f.loop);
    assert_ok(remote_settings_init(&options, &f.settings));
    for (int turns = 0; turns < 8; turns++) {
        f.remote = remote_open(&f.loop, &f.settings, 2, &events, &f);
        for (int i = 0; i < turns && f.remote; i++)
            uv_run(&f.loop, UV_RUN_NOWAIT);
        remote_close(f.remote);
        f.remote = NULL;
    }
    uv_run(&f.loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f.loop), 0);
    remote_settings_release(&f.settings);
}

/* ---- who we are ---- */

static void test_remote__user_and_password_are_those_of_the_options_or_the_address(void **state)
{
    struct redis_server server;
    char text[128];

    (void)state;
    assert_int_equal(redis_server_start(&server, NULL), 0);
    assert_string_equal(redis_server_text(&server, text, sizeof(text), "ACL SETUSER app on >secret2 ~* &* +@all"),
                        "OK");
    assert_string_equal(redis_server_text(&server, text, sizeof(text), "CONFIG SET requirepass secret"), "OK");
    assert_opens(&(struct hf_options){.redis = server.address, .redis_password = "secret"});
    assert_opens(&(struct hf_options){.redis = server.address, .redis_user = "app", .redis_password = "secret2"});
    assert_fails(&(struct hf_options){.redis = server.address, .redis_password = "secretive"}, "WRONGPASS");
    assert_fails(&(struct hf_options){.redis = server.address}, "NOAUTH");
    redis_server_stop(&server);
}

static void test_remote__a_full_server_is_told_as_it_says(void **state)
{
    const char *args[] = {"--maxclients", "1", NULL};
    struct redis_server server;
    redisContext *first;

    (void)state;
    assert_int_equal(redis_server_start(&server, args), 0);
    first = redisConnectUnix(server.socket);
    assert_non_null(first);
    freeReplyObject(redisCommand(first, "PING"));
    assert_fails(&(struct hf_options){.redis = server.address}, "max number of clients reached");
    redisFree(first);
    redis_server_stop(&server);
}

/* ---- TLS ---- */

static void run_openssl(const char *dir, const char *arguments)
{
    char line[1024];

    snprintf(line, sizeof(line), "cd %s && openssl %s 2>openssl.log", dir, arguments);
    if (system(line) != 0)
        fail_msg("%s", line);
}

/* Signed by itself, for this name: so it is its own authority. */
static void make_certificate(const char *dir, const char *name, const char *san)
{
    char line[512];

    snprintf(line, sizeof(line),
             "req -x509 -newkey rsa:2048 -nodes -keyout %s.key -out %s.pem -days 2 -subj /CN=redis "
             "-addext subjectAltName=%s",
             name, name, san);
    run_openssl(dir, line);
}

static void start_tls(struct redis_server *server, const char *dir, const char *name, char port[8])
{
    char key[96], cert[96];
    const char *args[] = {"--bind",
                          "127.0.0.1",
                          "--tls-port",
                          port,
                          "--tls-key-file",
                          key,
                          "--tls-cert-file",
                          cert,
                          "--tls-ca-cert-file",
                          cert,
                          "--tls-auth-clients",
                          "no",
                          NULL};

    snprintf(port, 8, "%d", redis_server_free_port());
    snprintf(key, sizeof(key), "%s/%s.key", dir, name);
    snprintf(cert, sizeof(cert), "%s/%s.pem", dir, name);
    assert_int_equal(redis_server_start(server, args), 0);
}

static void test_remote__tls_is_spoken_with_the_right_host_only(void **state)
{
    struct scratch scratch;
    struct redis_server good, wrong;
    char port[8], address[64], good_ca[96], wrong_ca[96];

    (void)state;
    scratch_make(&scratch);
    make_certificate(scratch.dir, "good", "IP:127.0.0.1,DNS:localhost");
    make_certificate(scratch.dir, "wrong", "DNS:elsewhere.example");
    snprintf(good_ca, sizeof(good_ca), "%s/good.pem", scratch.dir);
    snprintf(wrong_ca, sizeof(wrong_ca), "%s/wrong.pem", scratch.dir);

    start_tls(&good, scratch.dir, "good", port);
    snprintf(address, sizeof(address), "rediss://127.0.0.1:%s", port);
    assert_opens(&(struct hf_options){.redis = address, .redis_ca_file = good_ca});
    assert_fails(&(struct hf_options){.redis = address, .redis_ca_file = wrong_ca}, "certificate is not accepted");
    assert_fails(&(struct hf_options){.redis = address}, "certificate is not accepted");
    snprintf(address, sizeof(address), "rediss://localhost:%s", port);
    assert_opens(&(struct hf_options){.redis = address, .redis_ca_file = good_ca});
    redis_server_stop(&good);

    start_tls(&wrong, scratch.dir, "wrong", port);
    snprintf(address, sizeof(address), "rediss://127.0.0.1:%s", port);
    assert_fails(&(struct hf_options){.redis = address, .redis_ca_file = wrong_ca}, "certificate is not accepted");
    redis_server_stop(&wrong);
    scratch_remove(&scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_remote__a_name_with_several_addresses_and_a_socket_are_dialled),
        cmocka_unit_test(test_remote__a_server_that_never_answers_costs_the_connect_timeout),
        cmocka_unit_test(test_remote__closing_while_a_name_is_looked_up_leaves_nothing_behind),
        cmocka_unit_test(test_remote__user_and_password_are_those_of_the_options_or_the_address),
        cmocka_unit_test(test_remote__a_full_server_is_told_as_it_says),
        cmocka_unit_test(test_remote__tls_is_spoken_with_the_right_host_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
