/* HOLDFAST and HTTP of a running holdfastd, with a real Redis behind it. */
#include "http_get.h"
#include "redis_server.h"
#include "scratch.h"
#include "sidecar_process.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define BOUND_MS 10000

struct fixture {
    struct scratch scratch;
    struct redis_server redis;
    struct sidecar_process sidecar;
    redisContext *client;
    redisReply *reply; /* to the last command */
    int http_port;
};

static const char *const keep_data[] = {"--appendonly", "yes", "--appendfsync", "always", NULL};

/* ---- fixture ---- */

static redisContext *connect_client(struct fixture *f)
{
    redisContext *client = redisConnectUnix(f->sidecar.socket);

    assert_true(client && client->err == 0);
    return client;
}

static void start(struct fixture *f, const char *users)
{
    char config[1024];

    f->http_port = redis_server_free_port();
    snprintf(config, sizeof(config),
             "{\"limits\": {\"max_disk\": \"64MiB\"}, \"sidecar\": {\"http\": {\"port\": %d}%s}}", f->http_port,
             users);
    sidecar_start(&f->sidecar, f->scratch.dir, f->redis.pid ? f->redis.address : NULL, config);
    f->client = connect_client(f);
}

static struct fixture *new_fixture(bool with_redis)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    scratch_make(&f->scratch);
    if (with_redis)
        assert_int_equal(redis_server_start(&f->redis, keep_data), 0);
    return f;
}

static int set_up(void **state)
{
    struct fixture *f = *state = new_fixture(true);

    start(f, "");
    return 0;
}

static int set_up_alone(void **state)
{
    struct fixture *f = *state = new_fixture(false);

    start(f, "");
    return 0;
}

static int set_up_users(void **state)
{
    struct fixture *f = *state = new_fixture(false);

    setenv("TEST_OPS", "ops-secret", 1);
    setenv("TEST_APP", "app-secret", 1);
    setenv("TEST_ALL", "all-secret", 1);
    start(f, ", \"users\": [{\"name\": \"ops\", \"password_env\": \"TEST_OPS\", \"operator\": true},"
             " {\"name\": \"app\", \"password_env\": \"TEST_APP\", \"prefixes\": [\"app:\"]},"
             " {\"name\": \"all\", \"password_env\": \"TEST_ALL\"}]");
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    freeReplyObject(f->reply);
    redisFree(f->client);
    sidecar_stop(&f->sidecar);
    redis_server_stop(&f->redis);
    scratch_remove(&f->scratch);
    free(f);
    return 0;
}

/* ---- asking ---- */

/* Words between spaces. The reply is the fixture's. */
static const redisReply *ask(struct fixture *f, const char *words)
{
    freeReplyObject(f->reply);
    f->reply = redisCommand(f->client, words);
    if (!f->reply)
        fail_msg("%s: %s", words, f->client->errstr);
    return f->reply;
}

/* A member of a map, flat in RESP2. */
static const redisReply *member_or_null(const redisReply *map, const char *name)
{
    for (size_t i = 0; i + 1 < map->elements; i += 2) {
        if (strcmp(map->element[i]->str, name) == 0)
            return map->element[i + 1];
    }
    return NULL;
}

static const redisReply *member(const redisReply *map, const char *name)
{
    const redisReply *found = member_or_null(map, name);

    if (!found)
        fail_msg("there is no member %s: %s", name, map->str ? map->str : "");
    return found;
}

static long long number(const redisReply *map, const char *name)
{
    const redisReply *found = member(map, name);

    assert_true(found->type == REDIS_REPLY_INTEGER || found->type == REDIS_REPLY_BOOL);
    return found->integer;
}

static void assert_member(const redisReply *map, const char *name, const char *text)
{
    assert_string_equal(member(map, name)->str, text);
}

static void assert_ask(struct fixture *f, const char *words, const char *text)
{
    const redisReply *reply = ask(f, words);

    if (reply->type == REDIS_REPLY_NIL ? text != NULL : !text || !reply->str || strcmp(reply->str, text) != 0)
        fail_msg("%s: found \"%s\", expected \"%s\"", words, reply->str ? reply->str : "nil", text ? text : "nil");
}

static void assert_error(struct fixture *f, const char *words, const char *part)
{
    const redisReply *reply = ask(f, words);

    if (reply->type != REDIS_REPLY_ERROR || !strstr(reply->str, part))
        fail_msg("%s: found type %d \"%s\", expected an error with \"%s\"", words, reply->type,
                 reply->str ? reply->str : "", part);
}

static void assert_number(struct fixture *f, const char *words, long long expected)
{
    const redisReply *reply = ask(f, words);

    if (reply->type != REDIS_REPLY_INTEGER || reply->integer != expected)
        fail_msg("%s: found %lld \"%s\", expected %lld", words, reply->integer, reply->str ? reply->str : "",
                 expected);
}

static bool is_online(void *ctx)
{
    return strcmp(ask(ctx, "HOLDFAST MODE")->element[1]->str, "online") == 0;
}

static bool is_away(void *ctx)
{
    const redisReply *mode = ask(ctx, "HOLDFAST MODE");

    return strcmp(mode->element[1]->str, "offline") == 0 || strcmp(mode->element[1]->str, "connecting") == 0;
}

static bool is_held(void *ctx)
{
    return strcmp(ask(ctx, "HOLDFAST MODE")->element[1]->str, "held") == 0;
}

static void begin_outage(struct fixture *f)
{
    assert_true(wait_until(is_online, f, BOUND_MS));
    redis_server_kill(&f->redis);
    assert_true(wait_until(is_away, f, BOUND_MS));
}

static void end_outage(struct fixture *f)
{
    assert_int_equal(redis_server_restart(&f->redis), 0);
    assert_true(wait_until(is_online, f, BOUND_MS));
    assert_number(f, "HOLDFAST WAIT 10000", 1);
}

/* ---- what it tells ---- */

static void assert_mode(struct fixture *f, const char *mode)
{
    const redisReply *reply = ask(f, "HOLDFAST MODE");

    assert_int_equal(reply->elements, 3);
    assert_string_equal(reply->element[0]->str, mode);
}

static void test_sidecar_holdfast__mode_status_and_pending_follow_an_outage(void **state)
{
    struct fixture *f = *state;
    const redisReply *reply;

    assert_true(wait_until(is_online, f, BOUND_MS));
    assert_mode(f, "distributed");
    begin_outage(f);
    assert_mode(f, "local (fallback)");
    assert_ask(f, "SET k 12345", "OK");
    assert_ask(f, "SET k 123", "OK");
    assert_number(f, "INCR n", 1);
    reply = ask(f, "HOLDFAST STATUS");
    assert_int_equal(number(reply, "pending_keys"), 2);
    assert_int_equal(number(reply, "pending_ops"), 1);
    assert_int_equal(number(reply, "last_lsn"), 3);
    assert_int_equal(number(reply, "link_losses"), 1);
    reply = ask(f, "HOLDFAST PENDING");
    assert_int_equal(number(reply, "keys"), 2);
    assert_int_equal(number(reply, "operations"), 1);
    assert_in_range(number(reply, "oldest_ms"), 1, BOUND_MS);
    reply = ask(f, "HOLDFAST PENDING k");
    assert_string_not_equal(member(reply, "owed")->str, "nothing");
    assert_int_equal(number(reply, "last_lsn"), 2);
    assert_number(f, "HOLDFAST WAIT 10", 0);
    assert_error(f, "HOLDFAST RECONCILE PREVIEW", "OFFLINE");

    end_outage(f);
    assert_mode(f, "distributed");
    reply = ask(f, "HOLDFAST STATUS");
    assert_int_equal(number(reply, "pending_keys"), 0);
    assert_int_equal(number(reply, "shared_ops"), 2); /* the two writes of k became one */
    reply = ask(f, "HOLDFAST PENDING k");
    assert_member(reply, "owed", "nothing");
    assert_member(reply, "outcome", "applied");
    reply = ask(f, "HOLDFAST PENDING never");
    assert_member(reply, "outcome", "none");
}

static void test_sidecar_holdfast__last_tells_how_far_the_clients_own_write_is(void **state)
{
    struct fixture *f = *state;
    const redisReply *reply;
    long long decided_lsn;

    assert_ask(f, "HOLDFAST LAST", NULL);
    assert_true(wait_until(is_online, f, BOUND_MS));
    assert_ask(f, "SET k v", "OK");
    reply = ask(f, "HOLDFAST LAST");
    assert_int_equal(number(reply, "lsn"), 1);
    assert_int_equal(number(reply, "shared"), 1);
    assert_int_equal(number(reply, "durable"), 1);
    assert_int_equal(number(reply, "pending"), 0);
    assert_ask(f, "SET nx v NX", "OK");
    decided_lsn = number(ask(f, "HOLDFAST LAST"), "lsn");
    assert_true(decided_lsn > 1);
    assert_ask(f, "GET absent", NULL);
    reply = ask(f, "HOLDFAST LAST");
    assert_int_equal(number(reply, "code"), HF_NOT_FOUND);
    assert_member(reply, "origin", "shared");

    begin_outage(f);
    assert_ask(f, "SET k w", "OK");
    reply = ask(f, "HOLDFAST LAST");
    assert_true(number(reply, "lsn") > decided_lsn);
    assert_int_equal(number(reply, "shared"), 0);
    assert_int_equal(number(reply, "pending"), 1);
    assert_int_equal(number(reply, "durable"), 1);
    assert_ask(f, "GET k", "w");
    assert_member(ask(f, "HOLDFAST LAST"), "origin", "pending");
}

/* All that a file, or a program's output, says; the caller's. */
static char *all_of(FILE *file)
{
    char *text = calloc(1, 1 << 16);

    assert_non_null(file);
    assert_non_null(text);
    assert_in_range(fread(text, 1, (1 << 16) - 1, file), 1, (1 << 16) - 2);
    return text;
}

static char *document(const char *name)
{
    const char *root = getenv("HOLDFAST_SOURCE");
    char path[512], *text;
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s", root ? root : ".", name);
    file = fopen(path, "r");
    text = all_of(file);
    fclose(file);
    return text;
}

/* A manual page writes a hyphen as "\-". */
static void drop_backslashes(char *text)
{
    char *to = text;

    for (; *text; text++) {
        if (*text != '\\')
            *to++ = *text;
    }
    *to = '\0';
}

static void test_sidecar_holdfast__the_manual_page_has_every_option_of_the_help(void **state)
{
    char command[512], option[64], *help, *page = document("docs/man/holdfastd.8");
    size_t n = 0, len;
    FILE *output;

    (void)state;
    snprintf(command, sizeof(command), "'%s' --help", getenv("HOLDFASTD_BIN"));
    output = popen(command, "r");
    help = all_of(output);
    assert_int_equal(pclose(output), 0);
    drop_backslashes(page);
    for (char *at = help; (at = strstr(at, "--")); at += len) {
        len = strspn(at, "abcdefghijklmnopqrstuvwxyz-");
        snprintf(option, sizeof(option), "%.*s", (int)len, at);
        if (!strstr(page, option))
            fail_msg("docs/man/holdfastd.8 does not know %s", option);
        n++;
    }
    assert_in_range(n, 9, 100);
    free(help);
    free(page);
}

static void test_sidecar_holdfast__status_is_a_map_and_documented(void **state)
{
    struct fixture *f = *state;
    char name[64], *text = document("docs/sidecar-holdfast.md");
    const redisReply *reply;

    assert_int_equal(ask(f, "HELLO 3")->type, REDIS_REPLY_MAP);
    reply = ask(f, "HOLDFAST STATUS");
    assert_int_equal(reply->type, REDIS_REPLY_MAP);
    assert_in_range(reply->elements, 60, 200);
    for (size_t i = 0; i < reply->elements; i += 2) {
        snprintf(name, sizeof(name), "`%s`", reply->element[i]->str);
        if (!strstr(text, name))
            fail_msg("docs/sidecar-holdfast.md does not tell of %s", name);
    }
    assert_int_equal(member(reply, "paused")->type, REDIS_REPLY_BOOL);
    free(text);
}

static void test_sidecar_holdfast__without_redis_it_is_local_and_nothing_waits(void **state)
{
    struct fixture *f = *state;

    assert_mode(f, "local");
    assert_ask(f, "SET k v", "OK");
    assert_int_equal(number(ask(f, "HOLDFAST LAST"), "shared"), 1);
    assert_int_equal(number(ask(f, "HOLDFAST PENDING"), "keys"), 0);
    assert_error(f, "HOLDFAST WAIT 10", "OFFLINE");
}

static void test_sidecar_holdfast__what_cannot_be_understood_is_an_error(void **state)
{
    static const struct {
        const char *words, *part;
    } rows[] = {
        {"HOLDFAST", "ERR wrong number of arguments for 'holdfast' command"},
        {"HOLDFAST NOPE", "ERR unknown subcommand 'NOPE'. Try HOLDFAST HELP."},
        {"HOLDFAST STATUS x", "ERR wrong number of arguments for 'holdfast|status' command"},
        {"HOLDFAST MODE x", "wrong number"},
        {"HOLDFAST LAST x", "wrong number"},
        {"HOLDFAST PENDING a b", "wrong number"},
        {"HOLDFAST WAIT", "wrong number"},
        {"HOLDFAST WAIT x", "milliseconds: found \"x\", expected a number from 0 to 60000"},
        {"HOLDFAST WAIT -1", "expected a number"},
        {"HOLDFAST WAIT 60001", "expected a number"},
        {"HOLDFAST WAIT 99999999999999999999", "expected a number"},
        {"HOLDFAST WAIT 1 x", "LSN: found"},
        {"HOLDFAST RECONCILE NOW", "ERR syntax error"},
        {"HOLDFAST RECONCILE TIMEOUT x", "expected a number"},
        {"HOLDFAST RECONCILE TIMEOUT", "ERR syntax error"},
        {"HOLDFAST RECONCILE PREVIEW x 1", "ERR syntax error"},
        {"HOLDFAST RECONCILE PREVIEW LIMIT x", "expected a number"},
        {"HOLDFAST RECONCILE DECIDE MAYBE p:", "ERR syntax error"},
        {"HOLDFAST RECONCILE DECIDE ADOPT p:", "ERR "},
        {"HOLDFAST CONFLICTS ALL", "ERR syntax error"},
        {"HOLDFAST CONFLICTS LIST 1", "ERR syntax error"},
        {"HOLDFAST CONFLICTS LIST FROM", "ERR syntax error"},
        {"HOLDFAST CONFLICTS LIST FROM 1 LIMIT x", "expected a number"},
        {"HOLDFAST CONFLICTS SHOW", "ERR syntax error"},
        {"HOLDFAST CONFLICTS SHOW 7", "ERR there is no conflict 7"},
        {"HOLDFAST CONFLICTS RESOLVE", "ERR syntax error"},
        {"HOLDFAST CONFLICTS RESOLVE 1 x", "expected a number"},
        {"HOLDFAST CONFLICTS RESTORE 7", "ERR there is no conflict 7"},
        {"HOLDFAST CONFLICTS RESTORE 7 8", "ERR syntax error"},
        {"HOLDFAST PARKED SHOW 7", "ERR there is no parked entry 7"},
        {"HOLDFAST PARKED DROP", "ERR syntax error"},
        {"HOLDFAST THROTTLE OPS", "ERR syntax error"},
        {"HOLDFAST THROTTLE OPS x", "ops: found \"x\""},
        {"HOLDFAST THROTTLE OPS 1 KEYS 2", "ERR syntax error"},
        {"HOLDFAST PAUSE now", "wrong number"},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_error(f, rows[i].words, rows[i].part);
    assert_number(f, "HOLDFAST CONFLICTS RESOLVE 7 8", 0);
    assert_number(f, "HOLDFAST PARKED DROP 7", 0);
    assert_number(f, "HOLDFAST PARKED REQUEUE 7", 0);
    assert_in_range(ask(f, "HOLDFAST HELP")->elements, 10, 100);
    assert_ask(f, "PING", "PONG");
}

/* ---- what it does ---- */

static void test_sidecar_holdfast__pause_and_throttle_hold_over_a_restart(void **state)
{
    struct fixture *f = *state;
    const redisReply *reply;

    assert_ask(f, "holdfast pause", "OK");
    assert_true(wait_until(is_held, f, BOUND_MS));
    assert_ask(f, "SET k v", "OK");
    assert_error(f, "HOLDFAST WAIT 10", "OFFLINE");
    reply = ask(f, "HOLDFAST THROTTLE OPS 1000");
    assert_int_equal(number(reply, "ops"), 1000);
    assert_int_equal(number(reply, "bytes"), 0);
    ask(f, "HOLDFAST THROTTLE bytes 5000");
    redisFree(f->client);
    sidecar_restart(&f->sidecar);
    f->client = connect_client(f);

    reply = ask(f, "HOLDFAST STATUS");
    assert_int_equal(number(reply, "paused"), 1);
    assert_int_equal(number(reply, "pending_keys"), 1);
    reply = ask(f, "HOLDFAST THROTTLE");
    assert_int_equal(number(reply, "ops"), 1000);
    assert_int_equal(number(reply, "bytes"), 5000);
    assert_ask(f, "HOLDFAST RESUME", "OK");
    assert_true(wait_until(is_online, f, BOUND_MS));
    assert_number(f, "HOLDFAST WAIT 10000", 1);
}

/* Ours and theirs, written while neither knew of the other. */
static void make_conflict(struct fixture *f, const char *key)
{
    char words[64];

    assert_true(wait_until(is_online, f, BOUND_MS));
    snprintf(words, sizeof(words), "SET %s base", key);
    assert_ask(f, words, "OK");
    assert_ask(f, "HOLDFAST PAUSE", "OK");
    assert_true(wait_until(is_held, f, BOUND_MS));
    snprintf(words, sizeof(words), "SET %s ours", key);
    assert_ask(f, words, "OK");
    freeReplyObject(redis_server_command(&f->redis, "SET %s theirs", key));
    assert_ask(f, "HOLDFAST RESUME", "OK");
    assert_true(wait_until(is_online, f, BOUND_MS));
    assert_number(f, "HOLDFAST WAIT 10000", 1);
}

static void test_sidecar_holdfast__conflicts_are_listed_shown_restored_and_resolved(void **state)
{
    struct fixture *f = *state;
    const redisReply *reply, *conflict;
    char words[64];
    long long id;

    make_conflict(f, "k");
    reply = ask(f, "HOLDFAST CONFLICTS");
    assert_int_equal(reply->elements, 1);
    conflict = reply->element[0];
    assert_member(conflict, "key", "k");
    assert_member(conflict, "winner", "theirs");
    assert_member(member(conflict, "ours"), "value", "ours");
    assert_member(member(conflict, "theirs"), "value", "theirs");
    id = number(conflict, "id");
    snprintf(words, sizeof(words), "HOLDFAST CONFLICTS SHOW %lld", id);
    assert_member(ask(f, words), "rule", "newest");
    assert_error(f, "HOLDFAST CONFLICTS SHOW 0", "ERR there is no conflict 0");
    snprintf(words, sizeof(words), "HOLDFAST CONFLICTS LIST FROM %lld", id + 1);
    assert_int_equal(ask(f, words)->elements, 0);
    assert_ask(f, "GET k", "theirs");
    snprintf(words, sizeof(words), "HOLDFAST CONFLICTS RESTORE %lld", id);
    assert_true(number(ask(f, words), "lsn") > 0);
    assert_ask(f, "GET k", "ours");
    assert_int_equal(ask(f, "HOLDFAST CONFLICTS LIST")->elements, 0);

    make_conflict(f, "l");
    make_conflict(f, "m");
    reply = ask(f, "HOLDFAST CONFLICTS LIST LIMIT 1");
    assert_int_equal(reply->elements, 1);
    id = number(reply->element[0], "id");
    snprintf(words, sizeof(words), "HOLDFAST CONFLICTS LIST FROM %lld", id + 1);
    reply = ask(f, words);
    assert_int_equal(reply->elements, 1);
    snprintf(words, sizeof(words), "HOLDFAST CONFLICTS RESOLVE %lld %lld 999999", id,
             number(reply->element[0], "id"));
    assert_number(f, words, 2);
    assert_int_equal(ask(f, "HOLDFAST CONFLICTS")->elements, 0);
    assert_ask(f, "GET l", "theirs");
}

static void test_sidecar_holdfast__parked_entries_are_listed_requeued_and_dropped(void **state)
{
    struct fixture *f = *state;
    const redisReply *reply;
    char words[64];
    long long lsn;

    assert_true(wait_until(is_online, f, BOUND_MS));
    assert_ask(f, "HOLDFAST PAUSE", "OK");
    assert_true(wait_until(is_held, f, BOUND_MS));
    assert_number(f, "INCR n", 1);
    assert_number(f, "INCR m", 1);
    freeReplyObject(redis_server_command(&f->redis, "SET n abc"));
    freeReplyObject(redis_server_command(&f->redis, "SET m abc"));
    assert_ask(f, "HOLDFAST RESUME", "OK");
    assert_true(wait_until(is_online, f, BOUND_MS));
    assert_number(f, "HOLDFAST WAIT 10000", 1);

    reply = ask(f, "HOLDFAST PARKED");
    assert_int_equal(reply->elements, 2);
    assert_member(reply->element[0], "key", "n");
    assert_member(reply->element[0], "kind", "incr");
    assert_int_equal(number(reply->element[0], "delta"), 1);
    assert_true(strlen(member(reply->element[0], "reason")->str) > 0);
    lsn = number(reply->element[0], "lsn");
    snprintf(words, sizeof(words), "HOLDFAST PARKED SHOW %lld", lsn);
    assert_member(ask(f, words), "key", "n");
    assert_error(f, "HOLDFAST PARKED SHOW 0", "ERR there is no parked entry 0");
    freeReplyObject(redis_server_command(&f->redis, "SET n 41"));
    snprintf(words, sizeof(words), "HOLDFAST PARKED REQUEUE %lld", lsn);
    assert_number(f, words, 1);
    assert_number(f, "HOLDFAST WAIT 10000", 1);
    assert_int_equal(redis_server_number(&f->redis, "INCRBY n 0"), 42);
    reply = ask(f, "HOLDFAST PARKED LIST");
    assert_int_equal(reply->elements, 1);
    snprintf(words, sizeof(words), "HOLDFAST PARKED DROP %lld", number(reply->element[0], "lsn"));
    assert_number(f, words, 1);
    assert_int_equal(ask(f, "HOLDFAST PARKED")->elements, 0);
}

static void test_sidecar_holdfast__reconcile_waits_and_tells_how_changes_ended(void **state)
{
    struct fixture *f = *state;
    const redisReply *reply;

    begin_outage(f);
    assert_ask(f, "SET k v", "OK");
    reply = ask(f, "HOLDFAST RECONCILE TIMEOUT 10");
    assert_int_equal(number(reply, "shared"), 0);
    assert_int_equal(number(reply, "pending_keys"), 1);
    assert_int_equal(redis_server_restart(&f->redis), 0);
    reply = ask(f, "HOLDFAST RECONCILE");
    assert_int_equal(number(reply, "shared"), 1);
    assert_int_equal(number(reply, "pending_before"), 1);
    assert_int_equal(number(reply, "pending_keys"), 0);
    assert_int_equal(number(member(reply, "settled_by"), "applied"), 1);
}

static void test_sidecar_holdfast__a_wait_keeps_nobody_else_waiting(void **state)
{
    struct fixture *f = *state;
    redisContext *other;
    redisReply *reply;

    begin_outage(f);
    assert_ask(f, "SET k v", "OK");
    other = connect_client(f);
    assert_int_equal(redisAppendCommand(other, "HOLDFAST WAIT 60000"), REDIS_OK);
    assert_int_equal(redisAppendCommand(other, "GET k"), REDIS_OK);
    int done = 0;
    while (!done)
        assert_int_equal(redisBufferWrite(other, &done), REDIS_OK);
    assert_ask(f, "GET k", "v");
    end_outage(f);
    assert_int_equal(redisGetReply(other, (void **)&reply), REDIS_OK);
    assert_int_equal(reply->integer, 1);
    freeReplyObject(reply);
    assert_int_equal(redisGetReply(other, (void **)&reply), REDIS_OK);
    assert_string_equal(reply->str, "v");
    freeReplyObject(reply);
    redisFree(other);
}

/* ---- who may ---- */

static void test_sidecar_holdfast__each_user_may_what_the_document_says(void **state)
{
    enum { OPS = 1, APP = 2, ALL = 4 };
    static const struct {
        const char *words;
        int may;
    } rows[] = {
        {"HOLDFAST STATUS", OPS | APP | ALL},
        {"HOLDFAST MODE", OPS | APP | ALL},
        {"HOLDFAST LAST", OPS | APP | ALL},
        {"HOLDFAST HELP", OPS | APP | ALL},
        {"HOLDFAST PENDING", OPS | APP | ALL},
        {"HOLDFAST PENDING app:1", OPS | APP | ALL},
        {"HOLDFAST PENDING other:1", OPS | ALL},
        {"HOLDFAST CONFLICTS", OPS | ALL},
        {"HOLDFAST CONFLICTS LIST", OPS | ALL},
        {"HOLDFAST CONFLICTS RESOLVE 1", OPS},
        {"HOLDFAST CONFLICTS RESTORE 1", OPS},
        {"HOLDFAST PARKED", OPS | ALL},
        {"HOLDFAST PARKED requeue 1", OPS},
        {"HOLDFAST PARKED drop 1", OPS},
        {"HOLDFAST RECONCILE", OPS},
        {"HOLDFAST RECONCILE PREVIEW", OPS},
        {"HOLDFAST PAUSE", OPS},
        {"HOLDFAST RESUME", OPS},
        {"HOLDFAST THROTTLE", OPS},
    };
    static const struct {
        const char *auth;
        int who;
    } users[] = {{"AUTH ops ops-secret", OPS}, {"AUTH app app-secret", APP}, {"AUTH all all-secret", ALL}};
    struct fixture *f = *state;
    const redisReply *reply;

    assert_error(f, "HOLDFAST STATUS", "NOAUTH");
    for (size_t u = 0; u < sizeof(users) / sizeof(users[0]); u++) {
        assert_ask(f, users[u].auth, "OK");
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
            reply = ask(f, rows[i].words);
            if ((reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, "NOPERM", 6) == 0) ==
                !!(rows[i].may & users[u].who))
                fail_msg("%s: %s: %s", users[u].auth, rows[i].words, reply->str ? reply->str : "was done");
        }
    }
}

/* ---- HTTP of the program ---- */

static bool counts_sets(void *ctx)
{
    struct fixture *f = ctx;
    struct http_reply reply = http_get(f->http_port, "/metrics");
    bool counted = reply.body &&
                   strstr(reply.body, "holdfast_command_duration_seconds_count{command=\"set\"} 2\n") &&
                   strstr(reply.body, "holdfast_command_errors_total{command=\"incr\"} 1\n") &&
                   strstr(reply.body, "holdfast_connected_clients 1\n") &&
                   strstr(reply.body, "holdfast_read_misses_total{namespace=\"\"} 1\n");

    http_reply_release(&reply);
    return counted;
}

static void test_sidecar_holdfast__the_program_counts_what_its_clients_do(void **state)
{
    struct fixture *f = *state;

    assert_ask(f, "SET k v", "OK");
    assert_ask(f, "SET k w", "OK");
    assert_ask(f, "GET k", "w");
    assert_ask(f, "GET absent", NULL);
    assert_error(f, "INCR k", "ERR value is not an integer");
    assert_true(wait_until(counts_sets, f, BOUND_MS));
}

/* In seconds; -1: not told. */
static double silence_of(struct fixture *f)
{
    static const char name[] = "\nholdfast_loop_silence_seconds ";
    struct http_reply reply = http_get(f->http_port, "/metrics");
    const char *line = reply.body ? strstr(reply.body, name) : NULL;
    double silence = line ? strtod(line + strlen(name), NULL) : -1;

    http_reply_release(&reply);
    return silence;
}

/* It was longer before. */
static bool loop_has_turned(void *ctx)
{
    static double longest;
    double now = silence_of(ctx);
    bool turned = now >= 0 && now < longest;

    if (now > longest)
        longest = now;
    return turned;
}

static void test_sidecar_holdfast__the_programs_loop_shows_that_it_turns(void **state)
{
    assert_true(wait_until(loop_has_turned, *state, BOUND_MS));
}

static void test_sidecar_holdfast__the_program_is_ready_with_and_without_redis(void **state)
{
    struct fixture *f = *state;
    struct http_reply reply;

    assert_true(wait_until(is_online, f, BOUND_MS));
    reply = http_get(f->http_port, "/health/startup");
    assert_int_equal(reply.status, 200);
    http_reply_release(&reply);
    begin_outage(f);
    reply = http_get(f->http_port, "/health/ready");
    assert_int_equal(reply.status, 200);
    assert_non_null(strstr(reply.body, "\"status\":\"Degraded\""));
    assert_non_null(strstr(reply.body, "\"stores.mode\":\"local (fallback)\""));
    http_reply_release(&reply);
}

static void test_sidecar_holdfast__http_asks_for_the_password_of_a_user_who_sees_all(void **state)
{
    static const struct {
        const char *header;
        int status;
    } rows[] = {
        {"", 401},
        {"Authorization: Basic b3BzOm9wcy1zZWNyZXQ=\r\n", 200}, /* ops:ops-secret */
        {"Authorization: Basic YWxsOmFsbC1zZWNyZXQ=\r\n", 200}, /* all:all-secret */
        {"Authorization: Basic YXBwOmFwcC1zZWNyZXQ=\r\n", 401}, /* app:app-secret */
        {"Authorization: Basic b3BzOmFsbC1zZWNyZXQ=\r\n", 401}, /* ops:all-secret */
        {"Authorization: Basic Og==\r\n", 401},                 /* : */
    };
    struct fixture *f = *state;
    struct http_reply reply;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        reply = http_request(f->http_port, "GET", "/metrics", rows[i].header);
        if (reply.status != rows[i].status)
            fail_msg("\"%s\": found %d, expected %d", rows[i].header, reply.status, rows[i].status);
        http_reply_release(&reply);
    }
}

#define WITH_REDIS(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
#define ALONE(test) cmocka_unit_test_setup_teardown(test, set_up_alone, tear_down)
#define WITH_USERS(test) cmocka_unit_test_setup_teardown(test, set_up_users, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_REDIS(test_sidecar_holdfast__mode_status_and_pending_follow_an_outage),
        WITH_REDIS(test_sidecar_holdfast__last_tells_how_far_the_clients_own_write_is),
        cmocka_unit_test(test_sidecar_holdfast__the_manual_page_has_every_option_of_the_help),
        ALONE(test_sidecar_holdfast__status_is_a_map_and_documented),
        ALONE(test_sidecar_holdfast__without_redis_it_is_local_and_nothing_waits),
        ALONE(test_sidecar_holdfast__what_cannot_be_understood_is_an_error),
        WITH_REDIS(test_sidecar_holdfast__pause_and_throttle_hold_over_a_restart),
        WITH_REDIS(test_sidecar_holdfast__conflicts_are_listed_shown_restored_and_resolved),
        WITH_REDIS(test_sidecar_holdfast__parked_entries_are_listed_requeued_and_dropped),
        WITH_REDIS(test_sidecar_holdfast__reconcile_waits_and_tells_how_changes_ended),
        WITH_REDIS(test_sidecar_holdfast__a_wait_keeps_nobody_else_waiting),
        WITH_USERS(test_sidecar_holdfast__each_user_may_what_the_document_says),
        ALONE(test_sidecar_holdfast__the_program_counts_what_its_clients_do),
        ALONE(test_sidecar_holdfast__the_programs_loop_shows_that_it_turns),
        WITH_REDIS(test_sidecar_holdfast__the_program_is_ready_with_and_without_redis),
        WITH_USERS(test_sidecar_holdfast__http_asks_for_the_password_of_a_user_who_sees_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
