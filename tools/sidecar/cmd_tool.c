/* HOLDFAST.TOOL OPEN version [address] | RUN terminals bytes argument ... | NEXT | INPUT error bytes
 *
 * How the `holdfast` tool has a sidecar run its commands (docs/sidecar-tool.md). It is spoken over the unix socket alone, where the
 * file system has decided who may: who could open the store's files needs no password. */
#include "address.h"
#include "client.h"
#include "command.h"
#include "errand.h"
#include "number.h"
#include "server.h"
#include "settings.h"
#include "subcommand.h"
#include "words.h"

#include <sys/socket.h>
#include <unistd.h>

/* ---- who may ---- */

static bool peer_of(const struct client *client, struct ucred *ret_peer)
{
    socklen_t len = sizeof(*ret_peer);
    uv_os_fd_t fd;

    return uv_fileno(&client->as.handle, &fd) == 0 && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, ret_peer, &len) == 0;
}

/* Who has logged in counts as that user; who has not, by whose process it is. */
static bool is_operator(const struct client *client)
{
    struct ucred peer;

    if (client->user)
        return client->user->is_operator && client->user->n_prefixes == 0;
    return peer_of(client, &peer) && (peer.uid == geteuid() || peer.uid == 0);
}

static bool is_permitted(struct call *call)
{
    if (!call->client->is_unix)
        reply_error(call->reply, "ERR the 'holdfast.tool' command is spoken over the unix socket only");
    else if (!is_operator(call->client))
        reply_error(call->reply, "NOPERM this user has no permissions to run the 'holdfast.tool' command");
    else
        return true;
    return false;
}

/* ---- OPEN ---- */

static bool same_place(const struct hf__redis_address *a, const struct hf__redis_address *b)
{
    if (!a->path != !b->path || !a->host != !b->host || a->db != b->db)
        return false;
    if (a->path)
        return strcmp(a->path, b->path) == 0;
    return !a->host || (strcasecmp(a->host, b->host) == 0 && a->port == b->port && a->tls == b->tls);
}

/* An empty text is no shared tier. Returns 0, or the error of a text that is no address. */
static int parse(const char *text, struct hf__redis_address *ret_address)
{
    return text && *text ? hf__redis_address_parse(text, ret_address) : 0;
}

static const char *name_of(const struct hf__redis_address *address, char *text, size_t size)
{
    return address->host || address->path ? hf__redis_address_name(address, text, size) : "no Redis";
}

static void refuse_address(struct call *call, const struct hf__redis_address *theirs,
                           const struct hf__redis_address *ours)
{
    char found[256], expected[256];

    reply_error(call->reply, "USAGE --redis: found %s, and the sidecar that owns the store shares it through %s",
                name_of(theirs, found, sizeof(found)), name_of(ours, expected, sizeof(expected)));
}

/* The tool was told an address, perhaps an empty one: it must mean the same Redis as ours. */
static bool address_fits(struct call *call, struct hf_slice told)
{
    struct hf__redis_address theirs = {0}, ours = {0};
    struct hf_buf text = {0};
    bool fits = false;
    int rc = hf__buf_copy(told, &text);

    if (rc == 0)
        rc = parse(text.data, &theirs);
    if (rc == 0)
        rc = parse(call->server->errands->options->redis, &ours);
    if (rc == 0)
        fits = same_place(&theirs, &ours);
    if (rc != 0)
        reply_error(call->reply, "USAGE --redis: %s", hf_errmsg());
    else if (!fits)
        refuse_address(call, &theirs, &ours);
    hf__redis_address_release(&theirs);
    hf__redis_address_release(&ours);
    hf_buf_release(&text);
    return fits;
}

static void refuse_number(struct call *call)
{
    reply_error(call->reply, "ERR it runs %u commands of the tool already", ERRANDS_MAX);
}

/* From here on the client has all rights: by the tool's commands it has them anyway. */
static void open_tool(struct call *call)
{
    struct hf_slice version = call->argv[2];
    char found[32];

    if (call->argc > 4) {
        call_wrong_arity(call);
    } else if (!hf__slice_eq(version, hf__slice_str(hf_version()))) {
        reply_error(call->reply, "ERR it is of version %s, and the tool of version %s", hf_version(),
                    hf__printable(version, found, sizeof(found)));
    } else if (call->server->errands->n >= ERRANDS_MAX) {
        refuse_number(call);
    } else if (call->argc == 3 || address_fits(call, call->argv[3])) {
        call->client->is_owner = true;
        call->client->user = settings_owner(call->server->settings);
        reply_status(call->reply, "OK");
    }
}

/* ---- RUN, NEXT, INPUT ---- */

static bool all_are_texts(size_t argc, const struct hf_slice *argv)
{
    for (size_t i = 0; i < argc; i++) {
        if (argv[i].len > 0 && memchr(argv[i].data, '\0', argv[i].len))
            return false;
    }
    return true;
}

static bool read_setup(const struct call *call, struct errand_setup *setup)
{
    uint64_t terminals;
    struct ucred peer;

    if (!number_parse_unsigned(call->argv[2], &terminals) || terminals > 3 ||
        !number_parse_unsigned(call->argv[3], &setup->input_bytes) || !peer_of(call->client, &peer))
        return false;
    setup->out_is_terminal = terminals & 1;
    setup->err_is_terminal = terminals & 2;
    setup->uid = peer.uid;
    setup->pid = peer.pid;
    return true;
}

static void run_tool(struct call *call)
{
    size_t argc = call->argc - 4;
    const struct hf_slice *argv = call->argv + 4;
    struct errand_setup setup;

    if (!call->client->is_owner || errand_of(call->client))
        reply_error(call->reply, "ERR expected OPEN before, and one command of a connection");
    else if (!read_setup(call, &setup) || !all_are_texts(argc, argv))
        reply_error(call->reply, "ERR expected 0 to 3, a number of bytes, and arguments without a NUL");
    else if (call->server->errands->n >= ERRANDS_MAX)
        refuse_number(call);
    else if (errand_begin(call, &setup, argc, argv) != 0)
        reply_error(call->reply, "ERR out of memory: a command of the tool");
    else
        errand_ask(errand_of(call->client), call);
}

static void next(struct call *call)
{
    if (errand_of(call->client))
        errand_ask(errand_of(call->client), call);
    else
        reply_error(call->reply, "ERR no command was begun");
}

static void input(struct call *call)
{
    struct errand *errand = errand_of(call->client);
    uint64_t error;

    if (!number_parse_unsigned(call->argv[2], &error) || error > INT32_MAX)
        reply_error(call->reply, "ERR expected the number of an error");
    else if (!errand || !errand_give(errand, (int)error, call->argv[3]))
        reply_error(call->reply, "ERR no command waits for input");
    else
        errand_ask(errand, call);
}

static void holdfast_tool(struct call *call)
{
    static const struct subcommand verbs[] = {
        {"open", open_tool, -3}, {"run", run_tool, -5}, {"next", next, 2}, {"input", input, 4}, {0},
    };

    if (is_permitted(call))
        subcommand_run(call, verbs);
}

const struct command tool_commands[] = {
    {.name = "holdfast.tool",
     .run = holdfast_tool,
     .arity = -2,
     .flags = COMMAND_BEFORE_AUTH | COMMAND_NOT_IN_MULTI,
     .group = "server",
     .since = "0.1.0"},
    {0},
};
