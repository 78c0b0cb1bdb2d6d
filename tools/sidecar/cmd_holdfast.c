/* HOLDFAST STATUS|MODE|LAST|PENDING|WAIT|RECONCILE|CONFLICTS|PARKED|PAUSE|RESUME|THROTTLE|HELP
 *
 * All of them ask the store for what may wait, so they are run by workers, but for LAST and HELP. */
#include "cmd_holdfast.h"

#include "client.h"
#include "command.h"
#include "number.h"
#include "server.h"
#include "settings.h"
#include "words.h"

#define WAIT_MAX_MS 60000 /* a worker is held so long */

/* ---- words and numbers ---- */

bool holdfast_number(struct call *call, const char *what, struct hf_slice text, uint64_t max, uint64_t *ret_number)
{
    uint64_t number;
    char found[64];

    if (number_parse_unsigned(text, &number) && number <= max) {
        *ret_number = number;
        return true;
    }
    reply_error(call->reply, "ERR %s: found \"%s\", expected a number from 0 to %llu", what,
                hf__printable(text, found, sizeof(found)), (unsigned long long)max);
    return false;
}

bool holdfast_option(struct call *call, size_t *at, const char *name, uint64_t max, uint64_t *ret_number)
{
    if (*at + 1 >= call->argc || !word_is(call->argv[*at], name))
        return false;
    if (!holdfast_number(call, name, call->argv[*at + 1], max, ret_number))
        *at = call->argc; /* so that nothing behind it is looked at */
    *at += 2;
    return true;
}

void holdfast_syntax(struct call *call)
{
    reply_error(call->reply, "ERR syntax error. Try HOLDFAST HELP.");
}

/* ---- members ---- */

void holdfast_add_text(struct reply *reply, const char *name, const char *text)
{
    reply_text(reply, name);
    reply_text(reply, text);
}

void holdfast_add_bytes(struct reply *reply, const char *name, struct hf_slice bytes)
{
    reply_text(reply, name);
    reply_bulk(reply, bytes);
}

void holdfast_add_unsigned(struct reply *reply, const char *name, uint64_t number)
{
    holdfast_add_integer(reply, name, number > INT64_MAX ? INT64_MAX : (int64_t)number);
}

void holdfast_add_integer(struct reply *reply, const char *name, int64_t number)
{
    reply_text(reply, name);
    reply_integer(reply, number);
}

void holdfast_add_bool(struct reply *reply, const char *name, bool yes)
{
    reply_text(reply, name);
    reply_bool(reply, yes);
}

void holdfast_add_written(struct reply *reply, const struct hf_result *result)
{
    holdfast_add_unsigned(reply, "lsn", result->lsn);
    holdfast_add_bool(reply, "shared", result->shared);
    holdfast_add_bool(reply, "pending", result->pending);
}

/* ---- what is known about the client's last command ---- */

static const char *origin_text(enum hf_origin origin)
{
    switch (origin) {
    case HF_ORIGIN_NONE: break;
    case HF_ORIGIN_SHARED: return "shared";
    case HF_ORIGIN_LOCAL_VERIFIED: return "local verified";
    case HF_ORIGIN_LOCAL_UNVERIFIED: return "local unverified";
    case HF_ORIGIN_PENDING: return "pending";
    }
    return "none";
}

static void last(struct call *call)
{
    const struct hf_result *result = &call->client->last_result;

    if (result->lsn == 0 && result->origin == HF_ORIGIN_NONE && result->code == 0) {
        reply_null(call->reply);
        return;
    }
    reply_map(call->reply, 4 + HOLDFAST_WRITTEN_MEMBERS);
    holdfast_add_written(call->reply, result);
    holdfast_add_integer(call->reply, "code", result->code);
    holdfast_add_bool(call->reply, "durable",
                      result->durable || (result->lsn != 0 && hf_is_durable(call->server->store, result->lsn)));
    holdfast_add_bool(call->reply, "tentative", result->tentative);
    holdfast_add_text(call->reply, "origin", origin_text(result->origin));
}

/* ---- pending ---- */

static void pending_of_all(struct call *call)
{
    struct hf_status s;
    int rc = hf_status(call->server->store, &s);

    if (rc != 0) {
        call_fail(call, rc);
        return;
    }
    reply_map(call->reply, 4);
    holdfast_add_unsigned(call->reply, "keys", s.pending_keys);
    holdfast_add_unsigned(call->reply, "bytes", s.pending_bytes);
    holdfast_add_unsigned(call->reply, "operations", s.pending_ops);
    holdfast_add_integer(call->reply, "oldest_ms", s.oldest_pending_ms);
}

static void pending(struct call *call)
{
    struct hf_explanation e = {0};
    int rc;

    if (call->argc == 2) {
        pending_of_all(call);
        return;
    }
    rc = hf_explain(call->server->store, call->argv[2], &e);
    if (rc != 0) {
        call_fail(call, rc);
        return;
    }
    reply_map(call->reply, 8);
    holdfast_add_text(call->reply, "owed", e.owed);
    holdfast_add_unsigned(call->reply, "first_lsn", e.pending_first_lsn);
    holdfast_add_unsigned(call->reply, "last_lsn", e.pending_last_lsn);
    holdfast_add_unsigned(call->reply, "folded", e.pending_folded);
    holdfast_add_text(call->reply, "outcome", e.lsn || e.pending_last_lsn ? hf_outcome_text(e.outcome) : "none");
    holdfast_add_unsigned(call->reply, "parked", e.parked);
    holdfast_add_unsigned(call->reply, "conflicts", e.conflicts);
    holdfast_add_text(call->reply, "why", e.why);
    hf_explanation_release(&e);
}

/* ---- waiting ---- */

/* WAIT ms [lsn]: 1 when all that was written before, or up to `lsn`, is shared; 0 when it is not in time. */
static void wait_shared(struct call *call)
{
    uint64_t ms, lsn = 0;
    int rc;

    if (!holdfast_number(call, "milliseconds", call->argv[2], WAIT_MAX_MS, &ms))
        return;
    if (call->argc > 3 && !holdfast_number(call, "LSN", call->argv[3], UINT64_MAX, &lsn))
        return;
    rc =
        call->argc > 3 ? hf_wait_shared(call->server->store, lsn, (int)ms) : hf_drain(call->server->store, (int)ms);
    if (rc == 0 || rc == HF_ETIMEOUT)
        reply_integer(call->reply, rc == 0);
    else
        call_fail(call, rc);
}

/* ---- pause, resume, throttle ---- */

static void reply_done(struct call *call, int rc)
{
    if (rc == 0)
        reply_status(call->reply, "OK");
    else
        call_fail(call, rc);
}

static void pause_link(struct call *call)
{
    reply_done(call, hf_pause(call->server->store));
}

static void resume_link(struct call *call)
{
    reply_done(call, hf_resume(call->server->store));
}

/* THROTTLE [OPS n] [BYTES n]: a bound that is not given stays; replies the bounds in force. */
static void throttle(struct call *call)
{
    struct hf_status s;
    size_t at = 2;
    int rc = hf_status(call->server->store, &s);

    while (rc == 0 && at < call->argc &&
           (holdfast_option(call, &at, "ops", UINT64_MAX, &s.replay_ops_per_s) ||
            holdfast_option(call, &at, "bytes", UINT64_MAX, &s.replay_bytes_per_s)))
        ;
    if (rc == 0 && at > call->argc)
        return;
    if (rc == 0 && at < call->argc) {
        holdfast_syntax(call);
        return;
    }
    if (rc == 0 && call->argc > 2)
        rc = hf_throttle(call->server->store, s.replay_ops_per_s, s.replay_bytes_per_s);
    if (rc != 0) {
        call_fail(call, rc);
        return;
    }
    reply_map(call->reply, 2);
    holdfast_add_unsigned(call->reply, "ops", s.replay_ops_per_s);
    holdfast_add_unsigned(call->reply, "bytes", s.replay_bytes_per_s);
}

/* ---- mode ---- */

static void mode(struct call *call)
{
    struct hf_status s;
    int rc = hf_status(call->server->store, &s);

    if (rc != 0) {
        call_fail(call, rc);
        return;
    }
    reply_array(call->reply, 3);
    reply_text(call->reply, s.link == HF_LINK_DISABLED ? "local"
                            : s.link == HF_LINK_ONLINE ? "distributed"
                                                       : "local (fallback)");
    reply_text(call->reply, hf_link_text(s.link));
    reply_text(call->reply, s.link_reason);
}

/* ---- help, and the table ---- */

static void help(struct call *call)
{
    static const char *const lines[] = {
        "HOLDFAST <verb> [<argument> ...]. The verbs are:",
        "STATUS",
        "    What the store knows about itself, as a map.",
        "MODE",
        "    'distributed', 'local' or 'local (fallback)', the state of the link, and why it is not online.",
        "LAST",
        "    What is known about this client's last read or write.",
        "PENDING [<key>]",
        "    What waits for Redis: of all keys, or of this one.",
        "WAIT <milliseconds> [<lsn>]",
        "    1 when what was written before (or up to the LSN) is shared; 0 when it is not in time.",
        "RECONCILE [TIMEOUT <milliseconds>]",
        "    Wait for everything to be shared, and tell how it ended.",
        "RECONCILE PREVIEW [LIMIT <n>]",
        "    What would become of each pending change.",
        "RECONCILE DECIDE RESEED|ADOPT <prefix>",
        "    Decide for a namespace that is held because Redis lost its data.",
        "CONFLICTS [LIST [FROM <id>] [LIMIT <n>] [DECIDED] | SHOW <id> | RESOLVE <id> ... | RESTORE <id>]",
        "    The conflicts kept for the operator.",
        "PARKED [LIST [FROM <lsn>] [LIMIT <n>] | SHOW <lsn> | REQUEUE <lsn> ... | DROP <lsn> ...]",
        "    The changes that Redis refused, or whose end nobody can know.",
        "PAUSE, RESUME",
        "    Stop and go on sending to Redis.",
        "THROTTLE [OPS <n>] [BYTES <n>]",
        "    Bound the replay, a second; 0: no bound.",
        "HELP",
        "    Print this help.",
    };
    size_t n = sizeof(lines) / sizeof(lines[0]);

    reply_array(call->reply, n);
    for (size_t i = 0; i < n; i++)
        reply_status(call->reply, lines[i]);
}

enum right { ANYBODY, KEY, SEES_ALL, OPERATES };

static const struct verb {
    const char *name;
    size_t least, most; /* arguments behind it */
    enum right right;
    void (*at_once)(struct call *call);
    work_fn *work;
} verbs[] = {
    {"status", 0, 0, ANYBODY, NULL, holdfast_status},
    {"mode", 0, 0, ANYBODY, NULL, mode},
    {"last", 0, 0, ANYBODY, last, NULL},
    {"pending", 0, 1, KEY, NULL, pending},
    {"wait", 1, 2, ANYBODY, NULL, wait_shared},
    {"reconcile", 0, 3, OPERATES, NULL, holdfast_reconcile},
    {"conflicts", 0, SIZE_MAX, SEES_ALL, NULL, holdfast_conflicts},
    {"parked", 0, SIZE_MAX, SEES_ALL, NULL, holdfast_parked},
    {"pause", 0, 0, OPERATES, NULL, pause_link},
    {"resume", 0, 0, OPERATES, NULL, resume_link},
    {"throttle", 0, 4, OPERATES, NULL, throttle},
    {"help", 0, 0, ANYBODY, help, NULL},
};

static const struct verb *find_verb(struct hf_slice name)
{
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        if (word_is(name, verbs[i].name))
            return &verbs[i];
    }
    return NULL;
}

/* CONFLICTS and PARKED show to who may see all keys, and change something for operators. */
static bool is_change(const struct call *call)
{
    static const char *const changes[] = {"resolve", "restore", "requeue", "drop"};

    for (size_t i = 0; call->argc > 2 && i < sizeof(changes) / sizeof(changes[0]); i++) {
        if (word_is(call->argv[2], changes[i]))
            return true;
    }
    return false;
}

static bool is_permitted(struct call *call, const struct verb *verb)
{
    const struct user *user = call->user;
    enum right right = verb->right == SEES_ALL && is_change(call) ? OPERATES : verb->right;

    if (right == KEY && call->argc > 2 && !user_may_touch(user, call->argv[2])) {
        reply_error(call->reply, "NOPERM this user has no permissions to access one of the keys used as arguments");
        return false;
    }
    if ((right == OPERATES && !user->is_operator) || (right == SEES_ALL && user->n_prefixes > 0)) {
        reply_error(call->reply, "NOPERM this user has no permissions to run the 'holdfast|%s' command",
                    verb->name);
        return false;
    }
    return true;
}

static void holdfast(struct call *call)
{
    const struct verb *verb = find_verb(call->argv[1]);
    char name[64];

    if (!verb)
        reply_error(call->reply, "ERR unknown subcommand '%s'. Try HOLDFAST HELP.",
                    hf__printable(call->argv[1], name, sizeof(name)));
    else if (call->argc - 2 < verb->least || call->argc - 2 > verb->most)
        reply_error(call->reply, "ERR wrong number of arguments for 'holdfast|%s' command", verb->name);
    else if (!is_permitted(call, verb))
        return;
    else if (verb->at_once)
        verb->at_once(call);
    else
        call_work(call, verb->work, NULL);
}

const struct command holdfast_commands[] = {
    {.name = "holdfast",
     .run = holdfast,
     .arity = -2,
     .flags = COMMAND_NOT_IN_MULTI,
     .group = "server",
     .since = "0.1.0"},
    {0},
};
