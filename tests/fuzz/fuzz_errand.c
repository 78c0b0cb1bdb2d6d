/* Fuzz target: HOLDFAST.TOOL, by which the `holdfast` tool has a sidecar run its commands: the words of commands, one a line, and an empty line
 * behind each command. A command is run only after OPEN, with the arguments as they came, and once for a connection; every other one is
 * answered with an error. What it says comes out as it was said. */
#include "client.h"
#include "command.h"
#include "errand.h"
#include "fuzz.h"
#include "server.h"
#include "settings.h"

#include "cli.h"

#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define WORDS_MAX 16u

int __wrap_uv_fileno(const uv_handle_t *handle, uv_os_fd_t *fd);
int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *len);
int __wrap_uv_queue_work(uv_loop_t *loop, uv_work_t *work, uv_work_cb run, uv_after_work_cb after);
int __wrap_cli_run(struct cli *cli, int argc, char **argv);
struct later *__wrap_call_later_alone(struct call *call);
struct reply *__wrap_later_reply(struct later *later);
void __wrap_later_done(struct later *later);
void __wrap_server_post(struct server *server, struct post *post);

static struct {
    const struct hf_slice *argv; /* of the command under way */
    size_t argc;
    unsigned n_runs, n_answers;
    struct reply reply; /* that comes later */
} seen;

/* ---- the peer ---- */

int __wrap_uv_fileno(const uv_handle_t *handle, uv_os_fd_t *fd)
{
    (void)handle;
    *fd = 0;
    return 0;
}

int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
    struct ucred *peer = value;

    (void)fd, (void)level, (void)name, (void)len;
    *peer = (struct ucred){.pid = 1, .uid = geteuid()};
    return 0;
}

/* ---- the worker, at once ---- */

int __wrap_uv_queue_work(uv_loop_t *loop, uv_work_t *work, uv_work_cb run, uv_after_work_cb after)
{
    (void)loop;
    run(work);
    after(work, 0);
    return 0;
}

/* A command that says its arguments, twice. */
int __wrap_cli_run(struct cli *cli, int argc, char **argv)
{
    seen.n_runs++;
    FUZZ_REQUIRE((size_t)argc == seen.argc - 4 && argv[argc] == NULL);
    for (int i = 0; i < argc; i++) {
        FUZZ_REQUIRE(hf__slice_eq(seen.argv[i + 4], hf__slice_str(argv[i])));
        fputs(argv[i], cli->out);
        fputs(argv[i], cli->err);
    }
    return argc;
}

/* ---- answers ---- */

struct later *__wrap_call_later_alone(struct call *call)
{
    (void)call;
    return (struct later *)&seen;
}

struct reply *__wrap_later_reply(struct later *later)
{
    (void)later;
    return &seen.reply;
}

void __wrap_later_done(struct later *later)
{
    (void)later;
    seen.n_answers++;
}

void __wrap_server_post(struct server *server, struct post *post)
{
    (void)server;
    post->run(post);
}

/* ---- the target ---- */

static struct settings *settings;

static void run_command(struct client *client, const struct hf_slice *argv, size_t argc)
{
    struct reply reply = {.proto = 2};
    struct call call = {.server = client->server,
                        .client = client,
                        .command = &tool_commands[0],
                        .argc = argc,
                        .argv = argv,
                        .reply = &reply};
    bool was_owner = client->is_owner, had_errand = errand_of(client) != NULL;
    unsigned n_runs = seen.n_runs;

    seen.argv = argv;
    seen.argc = argc;
    seen.n_answers = 0;
    tool_commands[0].run(&call);
    FUZZ_REQUIRE(reply.bytes.len > 0 || seen.n_answers <= 1);
    FUZZ_REQUIRE(seen.n_runs == n_runs || (was_owner && !had_errand && seen.n_runs == n_runs + 1));
    FUZZ_REQUIRE(!client->is_owner || was_owner || hf__slice_eq(argv[2], hf__slice_str(hf_version())));
    if (reply.bytes.len > 0)
        FUZZ_REQUIRE((reply.bytes.bytes[0] == '-' || reply.bytes.bytes[0] == '+') &&
                     memchr(reply.bytes.bytes, '\n', reply.bytes.len) == reply.bytes.bytes + reply.bytes.len - 1);
    reply_release(&reply);
}

static size_t take_words(struct fuzz_input *in, struct hf_slice *words)
{
    size_t n = 0;

    while (in->left > 0 && n < WORDS_MAX) {
        words[n] = fuzz_until(in, '\n');
        if (words[n].len == 0)
            break;
        if (hf__slice_eq(words[n], hf__slice_str("$V")))
            words[n] = hf__slice_str(hf_version());
        n++;
    }
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct hf_options options = {.redis = "redis://u:hunter2@[::1]:6379/3"};
    struct errands errands = {.dir = "/none", .options = &options};
    struct server server = {.errands = &errands};
    struct client client = {.server = &server, .is_unix = true};
    struct fuzz_input in = {data, size};
    struct hf_slice words[WORDS_MAX + 1];

    if (!settings && settings_load(NULL, &settings) != 0)
        abort();
    server.settings = settings;
    words[0] = hf__slice_str("HOLDFAST.TOOL");
    while (in.left > 0) {
        size_t n = take_words(&in, words + 1);

        if (n > 0)
            run_command(&client, words, n + 1);
    }
    if (client.parts[CLIENT_ERRAND].release)
        client.parts[CLIENT_ERRAND].release(&client, client.parts[CLIENT_ERRAND].state);
    FUZZ_REQUIRE(errands.n == 0 && seen.n_runs <= 1);
    seen.n_runs = 0;
    reply_release(&seen.reply);
    return 0;
}
