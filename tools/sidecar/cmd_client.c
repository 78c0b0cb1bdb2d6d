/* CLIENT: what is known of connections, and what can be done to them. */
#include "cmd_server.h"

#include "client.h"
#include "command.h"
#include "number.h"
#include "server.h"
#include "settings.h"
#include "subcommand.h"
#include "words.h"

#include <uv.h>

static bool refuse_who_is_no_operator(struct call *call)
{
    if (call->user->is_operator)
        return false;
    reply_error(call->reply, "NOPERM this user has no permissions to run the 'client|%.*s' command",
                (int)call->argv[1].len, (const char *)call->argv[1].data);
    return true;
}

/* ---- oneself ---- */

static void id(struct call *call)
{
    reply_integer(call->reply, (int64_t)call->client->id);
}

static void get_name(struct call *call)
{
    if (call->client->name[0])
        reply_text(call->reply, call->client->name);
    else
        reply_null(call->reply);
}

static void set_name(struct call *call)
{
    if (client_set_name(call->client->name, call->argv[2]))
        reply_status(call->reply, "OK");
    else
        reply_error(call->reply, CLIENT_BAD_NAME);
}

/* CLIENT SETINFO lib-name|lib-ver value */
static void set_info(struct call *call)
{
    struct hf_slice option = call->argv[2];
    bool is_name = word_is(option, "lib-name");

    if (!is_name && !word_is(option, "lib-ver"))
        reply_error(call->reply, "ERR Unrecognized option '%.*s'", (int)strnlen(option.data, option.len),
                    (const char *)option.data);
    else if (client_set_name(is_name ? call->client->lib_name : call->client->lib_version, call->argv[3]))
        reply_status(call->reply, "OK");
    else
        reply_error(call->reply, "ERR %s cannot contain spaces, newlines or special characters.",
                    is_name ? "lib-name" : "lib-ver");
}

/* CLIENT REPLY ON|OFF|SKIP: only ON is answered. */
static void reply_mode(struct call *call)
{
    if (word_is(call->argv[2], "on")) {
        call->client->reply_mode = CLIENT_REPLY_ON;
        reply_status(call->reply, "OK");
    } else if (word_is(call->argv[2], "off")) {
        call->client->reply_mode = CLIENT_REPLY_OFF;
    } else if (word_is(call->argv[2], "skip")) {
        if (call->client->reply_mode == CLIENT_REPLY_ON)
            call->client->reply_mode = CLIENT_REPLY_SKIP_NEXT;
    } else {
        reply_error(call->reply, "ERR syntax error");
    }
}

/* CLIENT NO-EVICT, NO-TOUCH ON|OFF: nothing here is evicted, and a read touches nothing. */
static void on_or_off(struct call *call)
{
    if (word_is(call->argv[2], "on") || word_is(call->argv[2], "off"))
        reply_status(call->reply, "OK");
    else
        reply_error(call->reply, "ERR syntax error");
}

/* CLIENT TRACKING: a copy that a client keeps would need word of every change, also of those that Redis tells us of. */
static void tracking(struct call *call)
{
    if (word_is(call->argv[2], "off"))
        reply_status(call->reply, "OK");
    else
        reply_error(call->reply, "ERR CLIENT TRACKING is not supported by this server");
}

static void get_redirection(struct call *call)
{
    reply_integer(call->reply, -1);
}

/* ---- lines ---- */

static const char *flags_of(const struct client *client, char text[8])
{
    size_t n = 0;

    if (client->n_subscriptions > 0)
        text[n++] = 'P';
    if (client->queue)
        text[n++] = 'x';
    if (client->address[0] == '/')
        text[n++] = 'U';
    if (n == 0)
        text[n++] = 'N';
    text[n] = '\0';
    return text;
}

static void append_line(struct hf_bytes *out, const struct client *client)
{
    int64_t now_ms = (int64_t)uv_now(client->server->loop);
    char flags[8];

    text_append(
        out,
        "id=%llu addr=%s name=%s age=%lld idle=%lld flags=%s db=0 sub=%zu multi=%d qbuf=%zu oll=%zu omem=%zu "
        "cmd=%s user=%s resp=%d lib-name=%s lib-ver=%s\n",
        (unsigned long long)client->id, client->address, client->name,
        (long long)(now_ms - client->connected_ms) / 1000, (long long)(now_ms - client->active_ms) / 1000,
        flags_of(client, flags), client->n_subscriptions, client->queue ? 0 : -1, client->in_len, client->n_later,
        client_unread(client), client->last ? client->last->name : "NULL",
        client->user ? client->user->name : "(not authenticated)", client->proto, client->lib_name,
        client->lib_version);
}

static void info(struct call *call)
{
    struct hf_bytes out = {0};

    call->client->last = call->command;
    append_line(&out, call->client);
    text_reply(call->reply, &out);
}

/* ---- choosing clients ---- */

/* What CLIENT LIST and CLIENT KILL choose by. */
struct choice {
    const struct hf_slice *ids; /* NULL: any */
    size_t n_ids;
    const struct hf_slice *address, *user, *type; /* NULL: any */
    bool skip_me;
};

static bool has_id(const struct choice *choice, uint64_t id_wanted)
{
    int64_t number;

    for (size_t i = 0; i < choice->n_ids; i++) {
        if (number_parse(choice->ids[i], &number) && number > 0 && (uint64_t)number == id_wanted)
            return true;
    }
    return !choice->ids;
}

static bool is_of_type(const struct client *client, struct hf_slice type)
{
    return word_is(type, client->n_subscriptions > 0 ? "pubsub" : "normal");
}

static bool is_chosen(const struct choice *choice, const struct client *client, const struct client *me)
{
    const char *user = client->user ? client->user->name : "";

    return has_id(choice, client->id) && !(choice->skip_me && client == me) &&
           (!choice->address || hf__slice_eq(*choice->address, hf__slice_str(client->address))) &&
           (!choice->user || hf__slice_eq(*choice->user, hf__slice_str(user))) &&
           (!choice->type || is_of_type(client, *choice->type));
}

static bool is_type(struct hf_slice word)
{
    return word_is(word, "normal") || word_is(word, "pubsub") || word_is(word, "master") ||
           word_is(word, "replica") || word_is(word, "slave");
}

static bool check_type(struct call *call, struct hf_slice type)
{
    if (is_type(type))
        return true;
    reply_error(call->reply, "ERR Unknown client type '%.*s'", (int)strnlen(type.data, type.len),
                (const char *)type.data);
    return false;
}

static bool check_ids(struct call *call, const struct choice *choice, const char *error)
{
    int64_t number;

    for (size_t i = 0; i < choice->n_ids; i++) {
        if (!number_parse(choice->ids[i], &number) || number < 1) {
            reply_error(call->reply, "ERR %s", error);
            return false;
        }
    }
    return true;
}

/* CLIENT LIST [TYPE type | ID id...] */
static bool read_list_choice(struct call *call, struct choice *choice)
{
    *choice = (struct choice){0};
    if (call->argc == 2)
        return true;
    if (call->argc == 4 && word_is(call->argv[2], "type")) {
        choice->type = &call->argv[3];
        return check_type(call, call->argv[3]);
    }
    if (call->argc > 3 && word_is(call->argv[2], "id")) {
        choice->ids = &call->argv[3];
        choice->n_ids = call->argc - 3;
        return check_ids(call, choice, "Invalid client ID");
    }
    reply_error(call->reply, "ERR syntax error");
    return false;
}

static void list(struct call *call)
{
    struct hf_bytes out = {0};
    struct choice choice;

    if (refuse_who_is_no_operator(call) || !read_list_choice(call, &choice))
        return;
    call->client->last = call->command;
    for (const struct client *client = call->server->clients; client; client = client->next) {
        if (is_chosen(&choice, client, NULL))
            append_line(&out, client);
    }
    text_reply(call->reply, &out);
}

/* ---- CLIENT KILL address | [ID id] [ADDR address] [USER name] [TYPE type] [SKIPME yes|no] ---- */

static bool read_kill_pair(struct call *call, struct hf_slice option, const struct hf_slice *value,
                           struct choice *choice)
{
    if (word_is(option, "id")) {
        choice->ids = value;
        choice->n_ids = 1;
        return check_ids(call, choice, "client-id should be greater than 0");
    }
    if (word_is(option, "type")) {
        choice->type = value;
        return check_type(call, *value);
    }
    if (word_is(option, "addr"))
        choice->address = value;
    else if (word_is(option, "user"))
        choice->user = value;
    else if (word_is(option, "skipme") && (word_is(*value, "yes") || word_is(*value, "no")))
        choice->skip_me = word_is(*value, "yes");
    else {
        reply_error(call->reply, "ERR syntax error");
        return false;
    }
    return true;
}

static bool read_kill_choice(struct call *call, struct choice *choice)
{
    *choice = (struct choice){.skip_me = true};
    if (call->argc % 2 != 0) {
        reply_error(call->reply, "ERR syntax error");
        return false;
    }
    for (size_t i = 2; i < call->argc; i += 2) {
        if (!read_kill_pair(call, call->argv[i], &call->argv[i + 1], choice))
            return false;
    }
    return true;
}

static int64_t kill_chosen(struct call *call, const struct choice *choice)
{
    struct client *next;
    int64_t n = 0;

    for (struct client *client = call->server->clients; client; client = next) {
        next = client->next;
        if (!is_chosen(choice, client, call->client))
            continue;
        n++;
        if (client == call->client)
            client_close_soon(client); /* with the reply */
        else
            client_close(client);
    }
    return n;
}

static void kill_clients(struct call *call)
{
    struct choice choice = {.address = &call->argv[2]};
    int64_t n;

    if (refuse_who_is_no_operator(call) || (call->argc > 3 && !read_kill_choice(call, &choice)))
        return;
    n = kill_chosen(call, &choice);
    if (call->argc > 3)
        reply_integer(call->reply, n);
    else if (n > 0)
        reply_status(call->reply, "OK");
    else
        reply_error(call->reply, "ERR No such client");
}

void cmd_client(struct call *call)
{
    static const struct subcommand table[] = {
        {"id", id, 2},
        {"getname", get_name, 2},
        {"setname", set_name, 3},
        {"setinfo", set_info, 4},
        {"info", info, 2},
        {"list", list, -2},
        {"kill", kill_clients, -3},
        {"reply", reply_mode, 3},
        {"no-evict", on_or_off, 3},
        {"no-touch", on_or_off, 3},
        {"tracking", tracking, -3},
        {"getredir", get_redirection, 2},
        {0},
    };

    subcommand_run(call, table);
}
