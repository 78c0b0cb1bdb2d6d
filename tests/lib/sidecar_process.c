/* Starts and ends a holdfastd of the test's own, and talks RESP. */
#include "sidecar_process.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORDS_MAX 64

/* ---- the process ---- */

static void exec_sidecar(const struct sidecar_process *sidecar)
{
    char port[16];
    const char *argv[16] = {getenv("HOLDFASTD_BIN"), "--dir",        sidecar->store, "--port", port,
                            "--unixsocket",          sidecar->socket};
    size_t n = 7;

    snprintf(port, sizeof(port), "%d", sidecar->port);
    if (sidecar->redis) {
        argv[n++] = "--redis";
        argv[n++] = sidecar->redis;
    }
    if (sidecar->config[0]) {
        argv[n++] = "--config";
        argv[n++] = sidecar->config;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setpgid(0, 0); /* a ^C is for the test, which stops us */
    execv(argv[0], (char *const *)argv);
    _exit(127);
}

static int connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    close(fd);
    return -1;
}

static bool listens(void *ctx)
{
    struct sidecar_process *sidecar = ctx;
    int fd = connect_to(sidecar->socket);

    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static void launch(struct sidecar_process *sidecar)
{
    if (!getenv("HOLDFASTD_BIN"))
        fail_msg("HOLDFASTD_BIN is not set: it names the program");
    sidecar->pid = fork();
    if (sidecar->pid == 0)
        exec_sidecar(sidecar);
    if (!wait_until(listens, sidecar, SIDECAR_WAIT_MS))
        fail_msg("holdfastd does not listen on %s", sidecar->socket);
}

static void write_config(struct sidecar_process *sidecar, const char *dir, const char *text)
{
    FILE *file;

    snprintf(sidecar->config, sizeof(sidecar->config), "%s/config.json", dir);
    file = fopen(sidecar->config, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

void sidecar_start(struct sidecar_process *sidecar, const char *dir, const char *redis, const char *config)
{
    sidecar_start_on(sidecar, 0, dir, redis, config);
}

void sidecar_start_on(struct sidecar_process *sidecar, int port, const char *dir, const char *redis,
                      const char *config)
{
    *sidecar = (struct sidecar_process){.port = port, .redis = redis};
    snprintf(sidecar->store, sizeof(sidecar->store), "%s/sidecar", dir);
    snprintf(sidecar->socket, sizeof(sidecar->socket), "%s/holdfastd.sock", sidecar->store);
    if (config)
        write_config(sidecar, dir, config);
    launch(sidecar);
}

static bool has_ended(void *ctx)
{
    struct sidecar_process *sidecar = ctx;
    int status;

    if (waitpid(sidecar->pid, &status, WNOHANG) != sidecar->pid)
        return false;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        fail_msg("holdfastd ended with status %#x", (unsigned)status);
    return true;
}

void sidecar_stop(struct sidecar_process *sidecar)
{
    if (sidecar->pid == 0)
        return;
    kill(sidecar->pid, SIGTERM);
    if (!wait_until(has_ended, sidecar, SIDECAR_WAIT_MS)) {
        kill(sidecar->pid, SIGKILL);
        fail_msg("holdfastd does not end");
    }
    sidecar->pid = 0;
}

void sidecar_restart(struct sidecar_process *sidecar)
{
    sidecar_stop(sidecar);
    launch(sidecar);
}

long resident_kib(pid_t pid)
{
    char path[64], line[128];
    long kib = -1;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    file = fopen(path, "re");
    assert_non_null(file);
    while (kib < 0 && fgets(line, sizeof(line), file)) {
        if (sscanf(line, "VmRSS: %ld kB", &kib) != 1)
            kib = -1;
    }
    fclose(file);
    assert_true(kib > 0);
    return kib;
}

/* ---- a run that ends by itself ---- */

/* Run `holdfastd` with these arguments until it ends; what it says comes into `said`. Returns its status. */
static int run_daemon(const char *arguments, char *said, size_t size)
{
    char command[1024];
    size_t len;
    FILE *pipe;
    int status;

    snprintf(command, sizeof(command), "timeout 20 \"$HOLDFASTD_BIN\" %s 2>&1", arguments);
    pipe = popen(command, "re");
    assert_non_null(pipe);
    len = fread(said, 1, size - 1, pipe);
    said[len] = '\0';
    status = pclose(pipe);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

void assert_says(const char *arguments, int status, const char *part)
{
    char said[2048];
    int got = run_daemon(arguments, said, sizeof(said));

    if (got != status || !strstr(said, part))
        fail_msg("holdfastd %s ended with %d and said\n  %s\nexpected %d and\n  %s", arguments, got, said, status,
                 part);
}

/* ---- a connection ---- */

void talk_open(struct talk *talk, const char *socket)
{
    *talk = (struct talk){.fd = connect_to(socket)};
    if (talk->fd < 0)
        fail_msg("no connection to %s: %s", socket, strerror(errno));
}

void talk_close(struct talk *talk)
{
    if (talk->fd > 0)
        close(talk->fd);
    hf__bytes_release(&talk->in);
    hf__bytes_release(&talk->text);
    *talk = (struct talk){0};
}

static void send_all(struct talk *talk, const void *bytes, size_t len)
{
    const char *at = bytes;

    while (len > 0) {
        ssize_t n = send(talk->fd, at, len, MSG_NOSIGNAL);
        if (n <= 0)
            fail_msg("the connection takes no more: %s", strerror(errno));
        at += n;
        len -= (size_t)n;
    }
}

void talk_send(struct talk *talk, size_t argc, const struct hf_slice *argv)
{
    struct hf_bytes request = {0};
    char line[32];

    hf__bytes_append(&request, line, (size_t)snprintf(line, sizeof(line), "*%zu\r\n", argc));
    for (size_t i = 0; i < argc; i++) {
        hf__bytes_append(&request, line, (size_t)snprintf(line, sizeof(line), "$%zu\r\n", argv[i].len));
        hf__bytes_append(&request, argv[i].data, argv[i].len);
        hf__bytes_append(&request, "\r\n", 2);
    }
    send_all(talk, request.bytes, request.len);
    hf__bytes_release(&request);
}

static void receive(struct talk *talk)
{
    struct pollfd ready = {.fd = talk->fd, .events = POLLIN};
    char bytes[16384];
    ssize_t n;

    if (poll(&ready, 1, SIDECAR_WAIT_MS) != 1)
        fail_msg("no reply within %d ms", SIDECAR_WAIT_MS);
    n = recv(talk->fd, bytes, sizeof(bytes), 0);
    if (n <= 0)
        fail_msg("the connection was closed: %s", n < 0 ? strerror(errno) : "end of stream");
    hf__bytes_append(&talk->in, bytes, (size_t)n);
}

/* ---- replies ---- */

/* The position behind the line that begins at `at`, with the number in it; 0: it is not all there. */
static size_t line_end(const struct hf_bytes *in, size_t at, long long *ret_number)
{
    const uint8_t *end = at < in->len ? memchr(in->bytes + at, '\n', in->len - at) : NULL;

    if (!end)
        return 0;
    *ret_number = strtoll((const char *)in->bytes + at + 1, NULL, 10); /* ends at the line's end */
    return (size_t)(end - in->bytes) + 1;
}

/* The position behind the reply that begins at `at`; 0: it is not all there. */
static size_t reply_end(const struct hf_bytes *in, size_t at)
{
    char type = at < in->len ? (char)in->bytes[at] : 0;
    long long number = 0;

    at = line_end(in, at, &number);
    if (at != 0 && (type == '$' || type == '=') && number >= 0)
        at = at + (size_t)number + 2 <= in->len ? at + (size_t)number + 2 : 0;
    if (type == '%')
        number *= 2;
    for (long long i = 0; at != 0 && strchr("*~%>", type) && i < number; i++)
        at = reply_end(in, at);
    return at;
}

struct hf_slice talk_reply(struct talk *talk)
{
    size_t end, at;

    if (talk->at == talk->in.len)
        talk->at = talk->in.len = 0;
    while ((end = reply_end(&talk->in, talk->at)) == 0)
        receive(talk);
    at = talk->at;
    talk->at = end;
    return hf__slice(talk->in.bytes + at, end - at);
}

const char *talk_ask(struct talk *talk, const char *words)
{
    char copy[1024], *rest = copy, *word;
    struct hf_slice argv[WORDS_MAX];
    size_t argc = 0;

    snprintf(copy, sizeof(copy), "%s", words);
    while ((word = strsep(&rest, " ")) && argc < WORDS_MAX)
        argv[argc++] = s_(strcmp(word, "\"\"") == 0 ? "" : word);
    talk_send(talk, argc, argv);
    return talk_text(talk);
}

void talk_expect(struct talk *talk, const char *words, const char *expected)
{
    const char *reply = talk_ask(talk, words);

    if (strcmp(reply, expected) != 0)
        fail_msg("%s: the reply is %s, expected %s", words, reply, expected);
}

bool talk_is_online(void *talk)
{
    return strstr(talk_ask(talk, "HOLDFAST MODE"), "|online|") != NULL;
}

bool talk_is_offline(void *talk)
{
    return !talk_is_online(talk);
}

const char *talk_text(struct talk *talk)
{
    struct hf_slice reply = talk_reply(talk);

    hf__bytes_reset(&talk->text);
    for (size_t i = 0; i < reply.len; i++) {
        char c = ((const char *)reply.data)[i];
        if (c != '\r')
            hf__bytes_append(&talk->text, c == '\n' ? "|" : &c, 1);
    }
    hf__bytes_append(&talk->text, "", 1);
    return (const char *)talk->text.bytes;
}
