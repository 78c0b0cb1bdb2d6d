/* `holdfastd`: the way in, the signals, and the way out. */
#include "client.h"
#include "fail.h"
#include "log.h"
#include "monitor.h"
#include "notify.h"
#include "pubsub.h"
#include "server.h"
#include "settings.h"
#include "space.h"
#include "errand.h"
#include "upstream.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define WORKERS "64"
#define FILES_BESIDE_CLIENTS 256u /* listeners, the store's files, connections to Redis */
#define SECOND_MS 1000
#define STOP_GRACE_MS 5000 /* for clients to get the replies to what they have sent */

enum exit_status { EXIT_DONE = 0, EXIT_USAGE = 4, EXIT_STORE = 5 };

struct options {
    const char *dir, *redis, *config, *unixsocket, *bind;
    int port; /* -1: not given */
    bool check_config;
};

struct daemon {
    struct options options;
    struct settings *settings;
    struct hf_options store_options; /* what they point to is settings->config's, which stays */
    struct hf *store;
    struct server server;
    struct monitor *monitor;
    struct space *space;
    struct errands errands;
    uv_loop_t loop;
    uv_signal_t terminate, interrupt, hang_up;
    uv_timer_t watchdog, second;
    char socket_path[PATH_MAX];
};

/* ---- options ---- */

static int help(FILE *file, int status)
{
    fputs("usage: holdfastd --dir DIR [--redis ADDRESS] [--config FILE] [OPTION...]\n"
          "\n"
          "Opens a Holdfast store and serves it to Redis clients.\n"
          "\n"
          "  --dir DIR          the store's directory (or HOLDFAST_DIR)\n"
          "  --redis ADDRESS    the shared tier (or HOLDFAST_REDIS), such as redis://host:6379/0\n"
          "  --config FILE      a JSON configuration file; its object \"sidecar\" is this program's\n"
          "  --port PORT        TCP port (6380); 0: none\n"
          "  --bind ADDRESS     listen here instead of 127.0.0.1; beyond loopback only with a password\n"
          "  --unixsocket PATH  instead of DIR/holdfastd.sock; \"\": none\n"
          "  --check-config     read the configuration, say what is wrong with it, and end\n"
          "  --help, --version\n"
          "\n"
          "SIGTERM and SIGINT stop it, SIGHUP reads the configuration again.\n"
          "Exit status: 0 stopped, 4 usage or configuration, 5 the store or a socket.\n",
          file);
    return status;
}

static int usage(const char *what, const char *found, const char *expected)
{
    fprintf(stderr, "holdfastd: %s: found \"%s\", expected %s\n", what, found, expected);
    return EXIT_USAGE;
}

static int read_port(const char *text, int *ret_port)
{
    char *end;
    long port;

    errno = 0;
    port = strtol(text, &end, 10);
    if (!*text || *end || errno != 0 || port < 0 || port > 65535)
        return usage("--port", text, "a number from 0 to 65535");
    *ret_port = (int)port;
    return EXIT_DONE;
}

/* Returns -1 to go on, or the status to end with. */
static int take_option(struct options *options, int c)
{
    switch (c) {
    case 'd': options->dir = optarg; return -1;
    case 'r': options->redis = optarg; return -1;
    case 'c': options->config = optarg; return -1;
    case 'b': options->bind = optarg; return -1;
    case 'u': options->unixsocket = optarg; return -1;
    case 'k': options->check_config = true; return -1;
    case 'p': return read_port(optarg, &options->port) == EXIT_DONE ? -1 : EXIT_USAGE;
    case 'h': return help(stdout, EXIT_DONE);
    case 'v': printf("holdfastd %s\n", hf_version()); return EXIT_DONE;
    default: return help(stderr, EXIT_USAGE);
    }
}

static int read_options(struct options *options, int argc, char **argv)
{
    static const struct option names[] = {
        {"dir", required_argument, NULL, 'd'},    {"redis", required_argument, NULL, 'r'},
        {"config", required_argument, NULL, 'c'}, {"port", required_argument, NULL, 'p'},
        {"bind", required_argument, NULL, 'b'},   {"unixsocket", required_argument, NULL, 'u'},
        {"check-config", no_argument, NULL, 'k'}, {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'v'},      {0},
    };
    int status = -1, c;

    *options = (struct options){.dir = getenv("HOLDFAST_DIR"), .redis = getenv("HOLDFAST_REDIS"), .port = -1};
    while (status == -1 && (c = getopt_long(argc, argv, "", names, NULL)) != -1)
        status = take_option(options, c);
    if (status == -1 && optind < argc)
        return usage("arguments", argv[optind], "options only");
    return status;
}

/* ---- settings ---- */

static int failed(int status)
{
    fprintf(stderr, "holdfastd: %s\n", hf_errmsg());
    return status;
}

static const char *directory(const struct daemon *d, const struct settings *settings)
{
    const char *configured = settings->config ? hf_config_dir(settings->config) : NULL;

    return d->options.dir && *d->options.dir ? d->options.dir : configured;
}

/* The command line counts before the file. */
static void apply_options(struct daemon *d, struct settings *settings)
{
    if (d->options.port >= 0)
        settings->port = d->options.port;
    if (d->options.bind) {
        settings->binds[0] = d->options.bind;
        settings->n_binds = 1;
    }
    if (d->options.unixsocket)
        settings->unixsocket = d->options.unixsocket;
    if (!settings->unixsocket && directory(d, settings)) {
        snprintf(d->socket_path, sizeof(d->socket_path), "%s/holdfastd.sock", directory(d, settings));
        settings->unixsocket = d->socket_path;
    }
}

/* As the file and the command line say together. */
static int load_settings(struct daemon *d, struct settings **ret_settings)
{
    struct settings *settings;
    int rc = settings_load(d->options.config, &settings);

    if (rc != 0)
        return rc;
    apply_options(d, settings);
    rc = settings_check(settings);
    if (rc != 0) {
        settings_release_ref(settings);
        return rc;
    }
    *ret_settings = settings;
    return 0;
}

/* ---- the store ---- */

static int open_store(struct daemon *d)
{
    const struct hf_config *config = d->settings->config;

    if (config)
        d->store_options = *hf_config_options(config);
    if (!directory(d, d->settings))
        return usage("--dir", "", "the store's directory (or HOLDFAST_DIR, or \"dir\" in the configuration)");
    if (d->options.redis && *d->options.redis)
        d->store_options.redis = d->options.redis;
    if (hf_open(directory(d, d->settings), &d->store_options, &d->store) != 0)
        return failed(EXIT_STORE);
    return space_open(&d->store_options, (uint64_t)hf_now_ms(d->store), &d->space) == 0 ? EXIT_DONE
                                                                                        : failed(EXIT_STORE);
}

/* What the last change needs to reach Redis is bounded; what does not get there is pending, and kept. */
static void close_store(struct daemon *d)
{
    int rc = hf_drain(d->store, d->settings->drain_ms);

    if (rc != 0 && rc != HF_EOFFLINE)
        log_line(LOG_LEVEL_WARNING, "stop", "not everything was shared: %s", hf_errmsg());
    if (hf_close(d->store) != 0)
        log_line(LOG_LEVEL_ERROR, "stop", "the last checkpoint failed: %s", hf_errmsg());
}

/* ---- signals ---- */

static void on_stop(uv_signal_t *handle, int number)
{
    struct daemon *d = handle->data;

    log_line(LOG_LEVEL_INFO, "stop", "stopping on %s", number == SIGTERM ? "SIGTERM" : "SIGINT");
    notify_manager("STOPPING=1");
    if (d->monitor)
        monitor_stopping(d->monitor);
    server_stop(&d->server, STOP_GRACE_MS);
}

/* Where it listens stays until the next start, whatever the file says now; and with it the need for a password. */
static int check_again(const struct daemon *d, const struct settings *fresh)
{
    if (!d->server.is_reachable || !settings_default_user(fresh))
        return 0;
    return hf__fail(HF_ECONFIG, "sidecar: found no password, while others can reach where it listens; expected one "
                                "until it is started again with other addresses");
}

static int load_again(struct daemon *d, struct settings **ret_settings)
{
    struct settings *fresh;
    int rc = load_settings(d, &fresh);

    if (rc != 0)
        return rc;
    rc = check_again(d, fresh);
    if (rc != 0) {
        settings_release_ref(fresh);
        return rc;
    }
    *ret_settings = fresh;
    return 0;
}

/* What can change without a new start: users and their rights, certificates, limits, the format of the log. A configuration with a mistake
 * changes nothing. */
static void on_hang_up(uv_signal_t *handle, int number)
{
    struct daemon *d = handle->data;
    struct settings *old = d->settings, *fresh;

    (void)number;
    if (load_again(d, &fresh) != 0) {
        log_line(LOG_LEVEL_ERROR, "config", "the configuration was not read again: %s", hf_errmsg());
        return;
    }
    settings_keep(fresh, old);
    d->settings = fresh;
    server_reconfigure(&d->server, fresh);
    if (d->monitor)
        monitor_reconfigure(d->monitor, fresh);
    settings_release_ref(old);
    log_as_json(fresh->log_json);
    log_line(LOG_LEVEL_INFO, "config", "the configuration was read again");
}

static void on_watchdog(uv_timer_t *timer)
{
    (void)timer;
    notify_manager("WATCHDOG=1");
}

static void on_second(uv_timer_t *timer)
{
    struct daemon *d = timer->data;

    monitor_second(d->monitor);
}

static void on_ended(struct server *server)
{
    struct daemon *d = (struct daemon *)((char *)server - offsetof(struct daemon, server));

    uv_close((uv_handle_t *)&d->watchdog, NULL);
    uv_close((uv_handle_t *)&d->second, NULL);
    pubsub_close(server->pubsub);
    upstreams_close(server->upstreams);
}

/* What the server does with the help of Redis. */
static int plug_in(struct daemon *d)
{
    struct upstreams_setup setup = {.loop = &d->loop, .store = d->store, .options = &d->store_options};
    int rc = upstreams_new(&setup, &d->server.upstreams);

    if (d->store_options.redis &&
        *d->store_options.redis) /* else a command that nobody knows is told from one of Redis */
        d->server.pass_on = upstream_pass;
    return rc == 0 ? pubsub_new(&d->loop, d->server.upstreams, &d->server.pubsub) : rc;
}

/* A signal does not keep the loop running, and is caught until the store is closed: a second SIGTERM must not cut that short. */
static void watch_signal(struct daemon *d, uv_signal_t *handle, uv_signal_cb on_signal, int number)
{
    uv_signal_init(&d->loop, handle); /* these fail only for a number that is no signal */
    uv_signal_start(handle, on_signal, number);
    uv_unref((uv_handle_t *)handle);
    handle->data = d;
}

static void watch(struct daemon *d)
{
    uint64_t watchdog_ms = notify_watchdog_ms();

    watch_signal(d, &d->terminate, on_stop, SIGTERM);
    watch_signal(d, &d->interrupt, on_stop, SIGINT);
    watch_signal(d, &d->hang_up, on_hang_up, SIGHUP);
    uv_timer_init(&d->loop, &d->watchdog);
    uv_timer_init(&d->loop, &d->second);
    d->second.data = d;
    if (watchdog_ms > 0)
        uv_timer_start(&d->watchdog, on_watchdog, watchdog_ms, watchdog_ms);
}

static void watch_no_more(struct daemon *d)
{
    uv_close((uv_handle_t *)&d->terminate, NULL);
    uv_close((uv_handle_t *)&d->interrupt, NULL);
    uv_close((uv_handle_t *)&d->hang_up, NULL);
}

/* ---- serving ---- */

static int serve(struct daemon *d)
{
    d->server.ended = on_ended;
    d->server.space = d->space;
    d->errands = (struct errands){.dir = directory(d, d->settings), .options = &d->store_options};
    d->server.errands = &d->errands;
    watch(d);
    if (plug_in(d) != 0 ||
        monitor_start(&d->server, d->settings, &d->store_options, directory(d, d->settings), &d->monitor) != 0 ||
        server_start(&d->server) != 0) {
        failed(EXIT_STORE);
        server_stop(&d->server, 0);
        uv_run(&d->loop, UV_RUN_DEFAULT);
        return EXIT_STORE;
    }
    log_line(LOG_LEVEL_INFO, "start", "holdfastd %s serves %s on port %d, TLS port %d and %s", hf_version(),
             directory(d, d->settings), d->settings->port, d->settings->tls_port,
             *d->settings->unixsocket ? d->settings->unixsocket : "no unix socket");
    monitor_started(d->monitor);
    uv_timer_start(&d->second, on_second, SECOND_MS, SECOND_MS);
    notify_manager("READY=1");
    uv_run(&d->loop, UV_RUN_DEFAULT);
    return EXIT_DONE;
}

static void raise_file_limit(uint64_t n_clients)
{
    rlim_t wanted = n_clients + FILES_BESIDE_CLIENTS;
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted)
        return;
    limit.rlim_cur = wanted;
    limit.rlim_max = limit.rlim_max > wanted ? limit.rlim_max : wanted;
    if (setrlimit(RLIMIT_NOFILE, &limit) == 0)
        return;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    log_line(LOG_LEVEL_WARNING, "start", "at most %llu clients can connect: the limit of open files is %llu",
             (unsigned long long)(limit.rlim_max - FILES_BESIDE_CLIENTS), (unsigned long long)limit.rlim_max);
}

static int run(struct daemon *d)
{
    int status;

    if (load_settings(d, &d->settings) != 0)
        return failed(EXIT_USAGE);
    log_as_json(d->settings->log_json);
    if (d->options.check_config)
        return EXIT_DONE;
    raise_file_limit(d->settings->max_clients);
    status = open_store(d);
    if (status != EXIT_DONE)
        return status;
    uv_loop_init(&d->loop);
    if (server_init(&d->server, &d->loop, d->store, d->settings) != 0) {
        status = failed(EXIT_STORE);
        close_store(d);
        return status;
    }
    status = serve(d);
    monitor_stop(d->monitor);
    d->monitor = NULL;
    close_store(d);
    server_release(&d->server);
    watch_no_more(d);
    uv_run(&d->loop, UV_RUN_DEFAULT); /* what was posted at the end may have closed the last handles */
    uv_loop_close(&d->loop);
    space_close(d->space);
    return status;
}

/* ---- the process ---- */

/* A closed descriptor must not become a file of the store: take its number with one on which every use fails. */
static void occupy_standard_descriptors(void)
{
    for (int fd = 0; fd <= 2; fd++) {
        if (fcntl(fd, F_GETFD) == -1)
            (void)open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY);
    }
}

int main(int argc, char **argv)
{
    static struct daemon d;
    int status = read_options(&d.options, argc, argv);

    if (status != -1)
        return status;
    occupy_standard_descriptors();
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a limit on the size of files is an error of writing: the store is full */
    umask(077);
    (void)prctl(PR_SET_DUMPABLE, 0); /* passwords and values are in this memory */
    setenv("UV_THREADPOOL_SIZE", WORKERS, 1);
    status = run(&d);
    settings_release_ref(d.settings);
    return status;
}
