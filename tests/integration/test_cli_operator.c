/* The operator's commands of the `holdfast` tool against a real Redis: what is looked at, decided and undone after an
 * outage. An outage is a run with an empty address: nothing is sent, and the server stays as it is. */
#include "proxy.h"
#include "tool.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINK_MS 10000

/* ---- vocabulary ---- */

static void start(struct tool *f)
{
    start_server(f, NULL);
}

static void set_online(struct tool *f, const char *key, const char *value)
{
    run(f, "set", key, value, NULL);
    assert_done(f, "");
}

static void set_offline(struct tool *f, const char *key, const char *value)
{
    run(f, "--redis", "", "set", key, value, NULL);
    assert_status(f, 0);
}

static void set_by_others(struct tool *f, const char *key, const char *value)
{
    char answer[16];

    assert_string_equal(redis_server_text(&f->server, answer, sizeof(answer), "SET %s %s", key, value), "OK");
}

/* The last write of both sides differs, and so does what they began from. A run that goes online would settle what an
 * earlier one left pending, so all keys take each step together. */
static void make_conflicts(struct tool *f, const char *keys)
{
    for (const char *k = keys; *k; k++)
        set_online(f, (char[]){*k, '\0'}, "base");
    for (const char *k = keys; *k; k++)
        set_offline(f, (char[]){*k, '\0'}, "ours");
    for (const char *k = keys; *k; k++)
        set_by_others(f, (char[]){*k, '\0'}, "theirs");
}

static void reconcile(struct tool *f, int status)
{
    run(f, "reconcile", NULL);
    assert_status(f, status);
}

/* The number of a member of the first line of JSON, as text. */
static const char *number_in(const struct tool *f, const char *name)
{
    static char text[24];
    cJSON *json = json_of(f);

    snprintf(text, sizeof(text), "%.0f", member(json, name)->valuedouble);
    cJSON_Delete(json);
    return text;
}

static const char *first_conflict(struct tool *f)
{
    run(f, "conflicts", "list", "--limit", "1", "--json", NULL);
    return number_in(f, "id");
}

static const char *first_parked(struct tool *f)
{
    run(f, "parked", "list", "--json", NULL);
    return number_in(f, "lsn");
}

static size_t lines_of(const struct tool *f)
{
    size_t n = 0;

    for (const char *p = f->out; (p = strchr(p, '\n')) != NULL; p++)
        n++;
    return n;
}

/* ---- progress ---- */

/* Both ends of a terminal; *ret_screen is what the tool writes to. */
static int open_terminal(int *ret_screen)
{
    int terminal = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK);

    assert_true(terminal >= 0 && grantpt(terminal) == 0 && unlockpt(terminal) == 0);
    *ret_screen = open(ptsname(terminal), O_RDWR | O_NOCTTY);
    assert_true(*ret_screen >= 0);
    return terminal;
}

/* A replay that is held back is seen on its way. */
static void test_operator__a_terminal_shows_how_fast_and_how_long_yet(void **state)
{
    struct tool *f = *state;
    char records[8192] = "", text[8192];
    int terminal = open_terminal(&f->err_fd);
    ssize_t n;

    start(f);
    for (int i = 0; i < 200; i++)
        snprintf(records + strlen(records), 64, "{\"key\":\"k%d\",\"value\":\"v\"}\n", i);
    put_file("records", records, strlen(records));
    run(f, "--redis", "", "import", "records", NULL);
    run(f, "throttle", "--ops", "100", NULL);
    while (read(terminal, text, sizeof(text)) > 0)
        ; /* what was said so far */
    reconcile(f, 0);
    n = read(terminal, text, sizeof(text) - 1);
    assert_in_range(n, 1, sizeof(text) - 1);
    text[n] = '\0';
    assert_non_null(strstr(text, "reconcile ["));
    assert_non_null(strstr(text, " of 200, "));
    assert_non_null(strstr(text, " a second, "));
    assert_non_null(strstr(text, " s left"));
    close(f->err_fd);
    close(terminal);
}

/* ---- conflicts ---- */

static void test_operator__a_conflict_is_recorded_listed_and_shown(void **state)
{
    struct tool *f = *state;
    const cJSON *ours, *theirs;
    char id[24];
    cJSON *json;

    start(f);
    make_conflicts(f, "k");
    reconcile(f, 1);
    assert_non_null(strstr(f->err, "holdfast: 1 conflict was recorded"));
    assert_non_null(strstr(f->out, "lost a conflict"));
    assert_string_equal(in_redis(f, "k"), "theirs");
    snprintf(id, sizeof(id), "%s", first_conflict(f));
    run(f, "conflicts", "show", id, "--json", NULL);
    json = json_of(f);
    ours = member(json, "ours");
    theirs = member(json, "theirs");
    assert_string_equal(member(json, "key")->valuestring, "k");
    assert_string_equal(member(json, "winner")->valuestring, "theirs");
    assert_string_equal(member(json, "rule")->valuestring, "newest");
    assert_string_equal(member(ours, "value")->valuestring, "ours");
    assert_string_equal(member(theirs, "value")->valuestring, "theirs");
    assert_true(member(ours, "made_at_ms")->valuedouble > 0);
    assert_true(cJSON_IsNull(member(theirs, "made_at_ms")));
    cJSON_Delete(json);
    run(f, "conflicts", "show", id, NULL);
    assert_status(f, 0);
    assert_non_null(strstr(f->out, "theirs    6 bytes, made unknown, no TTL\n  theirs\n"));
    run(f, "conflicts", "list", NULL);
    assert_status(f, 0);
    assert_int_equal(lines_of(f), 2);
    run(f, "get", "k", NULL);
    assert_done(f, "theirs");
}

static void test_operator__conflicts_are_picked_by_key_and_number(void **state)
{
    struct tool *f = *state;

    start(f);
    make_conflicts(f, "ab");
    reconcile(f, 1);
    assert_non_null(strstr(f->err, "2 conflicts were recorded"));
    run(f, "conflicts", "list", "--key", "b", NULL);
    assert_int_equal(lines_of(f), 2);
    run(f, "conflicts", "list", "--key", "nowhere", NULL);
    assert_done(f, "");
    run(f, "conflicts", "list", "--limit", "1", "--json", NULL);
    assert_int_equal(lines_of(f), 1);
    run(f, "conflicts", "list", "--limit", "0", NULL);
    assert_done(f, "");
}

static void test_operator__a_restored_loser_is_written_again(void **state)
{
    struct tool *f = *state;
    char id[24];

    start(f);
    make_conflicts(f, "k");
    reconcile(f, 1);
    snprintf(id, sizeof(id), "%s", first_conflict(f));
    run(f, "conflicts", "restore", id, NULL);
    assert_status(f, 0);
    assert_string_equal(in_redis(f, "k"), "ours");
    run(f, "get", "k", NULL);
    assert_done(f, "ours");
    run(f, "conflicts", "list", NULL);
    assert_done(f, "");
    run(f, "conflicts", "restore", id, NULL);
    assert_refused(f, 6, "there is no conflict ");
}

static void test_operator__resolving_takes_conflicts_off_the_list(void **state)
{
    struct tool *f = *state;
    char id[24];

    start(f);
    make_conflicts(f, "abc");
    reconcile(f, 1);
    snprintf(id, sizeof(id), "%s", first_conflict(f));
    run(f, "conflicts", "resolve", id, NULL);
    assert_done(f, "1 conflict resolved\n");
    run(f, "conflicts", "show", id, NULL);
    assert_refused(f, 6, "there is no conflict ");
    run(f, "conflicts", "resolve", id, NULL);
    assert_status(f, 6);
    assert_string_equal(f->out, "0 conflicts resolved\n");
    run(f, "conflicts", "resolve", "--all", "--yes", "--json", NULL);
    assert_done(f, "{\"resolved\":2}\n");
    run(f, "conflicts", "list", NULL);
    assert_done(f, "");
    assert_string_equal(in_redis(f, "b"), "theirs");
    reconcile(f, 0);
}

/* ---- the dry run ---- */

static void test_operator__a_dry_run_tells_and_changes_nothing(void **state)
{
    struct tool *f = *state;
    const cJSON *keys;
    cJSON *json;

    start(f);
    make_conflicts(f, "k");
    set_offline(f, "new", "v");
    run(f, "reconcile", "--dry-run", NULL);
    assert_status(f, 0);
    assert_non_null(strstr(f->out, "2 changes are pending; nothing was changed\n"));
    assert_non_null(strstr(f->out, "applied: 1\n  new "));
    assert_non_null(strstr(f->out, "lost a conflict: 1\n  k "));
    run(f, "reconcile", "--dry-run", "--limit", "0", "--json", NULL);
    json = json_of(f);
    assert_int_equal(member(member(json, "outcomes"), "lost_a_conflict")->valueint, 1);
    assert_int_equal(cJSON_GetArraySize(member(json, "keys")), 0);
    cJSON_Delete(json);
    run(f, "reconcile", "--dry-run", "--json", NULL);
    json = json_of(f);
    keys = member(json, "keys");
    assert_int_equal(cJSON_GetArraySize(keys), 2);
    assert_int_equal(member(member(cJSON_GetArrayItem(keys, 1), "theirs"), "bytes")->valueint, 6);
    cJSON_Delete(json);
    assert_string_equal(in_redis(f, "k"), "theirs");
    assert_string_equal(in_redis(f, "new"), "(nil)");
    run(f, "status", "--json", NULL);
    assert_string_equal(number_in(f, "pending_keys"), "2");
    reconcile(f, 1);
}

/* All that Redis holds, bookkeeping too, but for the token of the connection that asks; and all that is held and listed here. */
static void note_both_tiers(struct tool *f, char *ret_text, size_t size)
{
    static const char script[] =
        "local all, keys = '', redis.call('KEYS', '*') table.sort(keys) for _, key in ipairs(keys) do "
        "if string.sub(key, 1, 12) ~= '_hf:session:' then "
        "all = all .. key .. redis.call('DUMP', key) .. redis.call('PEXPIRETIME', key) end end return "
        "redis.sha1hex(all)";
    static const char *const verbs[][2] = {{"export", NULL}, {"conflicts", "list"}, {"parked", "list"}};
    size_t len;

    redis_server_text(&f->server, ret_text, size, "EVAL %s 0", script);
    len = strlen(ret_text);
    assert_int_equal(len, 40);
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        run(f, verbs[i][0], verbs[i][1], NULL);
        assert_status(f, 0);
        len += (size_t)snprintf(ret_text + len, len < size ? size - len : 0, "\n%s", f->out);
    }
    run(f, "status", "--json", NULL);
    len +=
        (size_t)snprintf(ret_text + len, len < size ? size - len : 0, "%s pending", number_in(f, "pending_keys"));
    assert_true(len < size);
}

/* A change of each kind waits; one of them will lose, and one will be parked. */
static void make_all_kinds(struct tool *f)
{
    set_online(f, "gone", "v");
    set_online(f, "life", "v");
    set_online(f, "n", "5");
    make_conflicts(f, "k");
    set_offline(f, "new", "v");
    set_offline(f, "hash", "v");
    run(f, "--redis", "", "set", "brief", "v", "--ttl", "1ms", NULL);
    run(f, "--redis", "", "del", "gone", NULL);
    run(f, "--redis", "", "expire", "life", "1h", NULL);
    run(f, "--redis", "", "incr", "n", NULL);
    freeReplyObject(redis_server_command(&f->server, "HSET hash field value"));
}

static void test_operator__a_dry_run_leaves_both_tiers_as_they_are(void **state)
{
    struct tool *f = *state;
    char before[4096], after[4096];

    start(f);
    make_all_kinds(f);
    note_both_tiers(f, before, sizeof(before));
    for (int i = 0; i < 2; i++) {
        run(f, "reconcile", "--dry-run", i ? "--json" : NULL, NULL);
        assert_status(f, 0);
        note_both_tiers(f, after, sizeof(after));
        assert_string_equal(before, after);
    }
    reconcile(f, 2);
    note_both_tiers(f, after, sizeof(after));
    assert_string_not_equal(before, after); /* or nothing was compared */
}

static void test_operator__a_dry_run_tells_why_a_change_would_be_parked(void **state)
{
    struct tool *f = *state;
    cJSON *json;

    start(f);
    assert_int_equal(redis_server_number(&f->server, "HSET k field 1"), 1);
    set_offline(f, "k", "v");
    run(f, "reconcile", "--dry-run", NULL);
    assert_status(f, 0);
    assert_non_null(strstr(f->out, "parked: 1\n  k "));
    assert_non_null(strstr(f->out, "; WRONGTYPE Redis holds another type"));
    run(f, "reconcile", "--dry-run", "--json", NULL);
    json = json_of(f);
    assert_non_null(
        strstr(member(cJSON_GetArrayItem(member(json, "keys"), 0), "reason")->valuestring, "another type"));
    cJSON_Delete(json);
    reconcile(f, 2);
}

/* What a dry run says of a loss, to people and to programs. */
static void assert_tells_loss(struct tool *f, const char *sentence, const char *then)
{
    const cJSON *losses;
    cJSON *json;

    run(f, "reconcile", "--dry-run", NULL);
    assert_status(f, 0);
    assert_non_null(strstr(f->out, sentence));
    run(f, "reconcile", "--dry-run", "--json", NULL);
    json = json_of(f);
    losses = member(json, "losses");
    assert_int_equal(cJSON_GetArraySize(losses), 1);
    assert_string_equal(member(cJSON_GetArrayItem(losses, 0), "namespace")->valuestring, "");
    assert_string_equal(member(cJSON_GetArrayItem(losses, 0), "then")->valuestring, then);
    cJSON_Delete(json);
}

static void test_operator__a_dry_run_tells_of_losses_that_the_replay_would_meet(void **state)
{
    struct tool *f = *state;
    char node[48];
    cJSON *json;

    start(f);
    set_online(f, "k", "v");
    run(f, "incr", "n", NULL);
    run(f, "incr", "n", NULL);
    run(f, "reconcile", "--dry-run", "--json", NULL);
    assert_non_null(strstr(f->out, "\"losses\":[]"));
    run(f, "status", "--json", NULL);
    json = json_of(f);
    snprintf(node, sizeof(node), "%s", member(json, "node")->valuestring);
    cJSON_Delete(json);
    freeReplyObject(redis_server_command(&f->server, "SET _hf::mark:%s 1", node));
    assert_tells_loss(f, "Redis was rolled back to an older copy, namespace '': what came after", "resend");
    freeReplyObject(redis_server_command(&f->server, "FLUSHALL"));
    assert_tells_loss(f, "Redis was flushed, namespace '': nothing is sent before", "hold");
    redis_server_kill(&f->server);
    assert_int_equal(redis_server_restart(&f->server), 0);
    assert_tells_loss(f, "Redis was restarted empty, namespace '': the copies held here are given back", "reseed");
    reconcile(f, 0);
    assert_string_equal(in_redis(f, "n"), "2");
}

static void test_operator__a_dry_run_without_redis_is_offline(void **state)
{
    struct tool *f = *state;

    set_offline(f, "k", "v");
    run(f, "--redis", "unix:///nowhere.sock", "reconcile", "--dry-run", "--timeout", "100ms", NULL);
    assert_refused(f, 3, "the shared tier was not reached");
}

/* ---- parked entries ---- */

static void park(struct tool *f, const char *key)
{
    assert_int_equal(redis_server_number(&f->server, "HSET %s field 1", key), 1);
    set_offline(f, key, "mine");
    reconcile(f, 2);
}

static void test_operator__a_requeued_entry_is_sent_again(void **state)
{
    struct tool *f = *state;
    char lsn[24];

    start(f);
    park(f, "k");
    snprintf(lsn, sizeof(lsn), "%s", first_parked(f));
    assert_int_equal(redis_server_number(&f->server, "DEL k"), 1);
    run(f, "parked", "requeue", lsn, NULL);
    assert_status(f, 0);
    assert_non_null(strstr(f->out, " is a change again (LSN "));
    assert_null(strstr(f->out, "pending"));
    assert_string_equal(in_redis(f, "k"), "mine"); /* at once: nobody has to reconcile */
    run(f, "parked", "list", NULL);
    assert_done(f, "");
    run(f, "parked", "requeue", lsn, NULL);
    assert_refused(f, 6, "there is no parked entry with LSN ");
}

static void test_operator__all_that_is_parked_is_requeued_or_dropped(void **state)
{
    struct tool *f = *state;

    start(f);
    park(f, "a");
    park(f, "b");
    run(f, "parked", "requeue", "--all", NULL);
    assert_status(f, 2);
    assert_non_null(strstr(f->out, "; parked again: WRONGTYPE "));
    assert_non_null(strstr(f->err, "2 entries were parked again"));
    set_offline(f, "c", "v"); /* away, they wait */
    run(f, "--redis", "", "parked", "requeue", "--all", NULL);
    assert_status(f, 0);
    assert_non_null(strstr(f->out, "); pending\n"));
    reconcile(f, 2);
    assert_non_null(strstr(f->err, "2 entries are parked, 0 of them in doubt"));
    run(f, "parked", "drop", "--all", "--yes", "--json", NULL);
    assert_status(f, 0);
    assert_int_equal(lines_of(f), 2);
    run(f, "parked", "list", NULL);
    assert_done(f, "");
    reconcile(f, 0);
    assert_int_equal(redis_server_number(&f->server, "HLEN a"), 1);
}

static void test_operator__a_dropped_entry_is_gone(void **state)
{
    struct tool *f = *state;
    char lsn[24];

    start(f);
    park(f, "k");
    snprintf(lsn, sizeof(lsn), "%s", first_parked(f));
    run(f, "parked", "drop", lsn, NULL);
    assert_status(f, 0);
    run(f, "parked", "drop", lsn, NULL);
    assert_refused(f, 6, "there is no parked entry with LSN ");
    run(f, "status", "--json", NULL);
    assert_string_equal(number_in(f, "parked"), "0");
}

/* ---- in doubt ---- */

/* The change log, which would tell, is off: the mark alone knows whether an increment was applied. */
static const char without_log[] = "{\"namespaces\": [{\"prefix\": \"\", \"change_log\": false}]}";

/* Redis applies the increment, and its answer is lost. */
static void incr_unheard(struct tool *f, const char *key, const char *by)
{
    char path[96], address[112];
    struct proxy *proxy;

    snprintf(path, sizeof(path), "%s/proxy", f->scratch.dir);
    snprintf(address, sizeof(address), "unix://%s", path);
    proxy = proxy_start(path, f->server.socket);
    assert_non_null(proxy);
    proxy_swallow_at(proxy, by);
    run(f, "--config", "config", "--redis", address, "incr", key, by, NULL);
    assert_status(f, 0);
    assert_non_null(strstr(f->err, "tentative: "));
    proxy_stop(proxy);
}

static void remove_mark(struct tool *f)
{
    char node[48];
    cJSON *json;

    run(f, "status", "--json", NULL);
    json = json_of(f);
    snprintf(node, sizeof(node), "%s", member(json, "node")->valuestring);
    cJSON_Delete(json);
    assert_int_equal(redis_server_number(&f->server, "DEL _hf::mark:%s", node), 1);
}

/* The LSN of the increment by so much, which is listed, and in doubt. */
static const char *doubtful(struct tool *f, double by)
{
    static char lsn[24];

    lsn[0] = '\0';
    run(f, "parked", "list", "--json", NULL);
    assert_status(f, 0);
    for (char *line = strtok(f->out, "\n"); line; line = strtok(NULL, "\n")) {
        cJSON *json = cJSON_Parse(line);
        assert_true(cJSON_IsTrue(member(json, "in_doubt")));
        if (member(json, "delta")->valuedouble == by)
            snprintf(lsn, sizeof(lsn), "%.0f", member(json, "lsn")->valuedouble);
        cJSON_Delete(json);
    }
    assert_string_not_equal(lsn, "");
    return lsn;
}

/* One acknowledged increment, and one whose answer is lost, both applied; then their mark is taken away. */
static void make_doubt(struct tool *f)
{
    start(f);
    put_file("config", without_log, sizeof(without_log) - 1);
    run(f, "--config", "config", "incr", "n", NULL);
    assert_done(f, "1\n");
    incr_unheard(f, "n", "12345");
    remove_mark(f);
    run(f, "--config", "config", "reconcile", NULL);
    assert_status(f, 2);
    assert_non_null(strstr(f->err, "2 entries are parked, 2 of them in doubt"));
    assert_string_equal(in_redis(f, "n"), "12346");
}

static void test_operator__an_increment_in_doubt_is_shown_and_dropped(void **state)
{
    struct tool *f = *state;

    make_doubt(f);
    run(f, "parked", "show", doubtful(f, 12345), NULL);
    assert_status(f, 0);
    assert_non_null(strstr(f->out, "\nstate    in doubt\n"));
    assert_non_null(strstr(f->out, "\nreason   the mark that told whether Redis had applied it is gone\n"));
    assert_non_null(strstr(f->out, "\ndelta    12345\n"));
    run(f, "explain", "n", NULL);
    assert_non_null(strstr(f->out, "our latest change is in doubt, kept for the operator: the mark that told"));
    run(f, "parked", "drop", doubtful(f, 12345), NULL);
    assert_status(f, 0);
    run(f, "parked", "drop", doubtful(f, 1), NULL);
    assert_status(f, 0);
    run(f, "parked", "list", NULL);
    assert_done(f, "");
    run(f, "--config", "config", "reconcile", NULL);
    assert_status(f, 0);
    assert_string_equal(in_redis(f, "n"), "12346");
    run(f, "audit", NULL);
    assert_int_equal(lines_of(f), 2);
}

/* The counter was set back by who knows better: it is to be added again. */
static void test_operator__an_increment_in_doubt_is_requeued(void **state)
{
    struct tool *f = *state;

    make_doubt(f);
    set_by_others(f, "n", "1");
    run(f, "--config", "config", "parked", "requeue", doubtful(f, 12345), NULL);
    assert_status(f, 0);
    assert_non_null(strstr(f->out, " is a change again (LSN "));
    assert_string_equal(in_redis(f, "n"), "12346");
    run(f, "parked", "show", doubtful(f, 1), NULL); /* the other one is still there */
    assert_status(f, 0);
}

/* An increment without answer is lost with all of Redis, and another gives back a counter that counts it. */
static void test_operator__an_increment_that_another_has_given_back_is_in_doubt(void **state)
{
    struct tool *f = *state;

    start(f);
    put_file("config", "{}", 2);
    run(f, "incr", "n", NULL);
    assert_done(f, "1\n");
    incr_unheard(f, "n", "12345");
    redis_server_kill(&f->server);
    assert_int_equal(redis_server_restart(&f->server), 0);
    set_by_others(f, "n", "12346");
    reconcile(f, 2);
    assert_string_equal(in_redis(f, "n"), "12346");
    run(f, "parked", "show", doubtful(f, 12345), NULL);
    assert_non_null(strstr(f->out, "\nreason   Redis has lost it, and what another has put there since may count"));
    run(f, "parked", "drop", "--all", "--yes", NULL);
    assert_status(f, 0);
    reconcile(f, 0);
    run(f, "get", "n", NULL);
    assert_done(f, "12346");
}

/* ---- copies of the directory ---- */

static void copy_store(struct tool *f, const char *to)
{
    char command[300];

    snprintf(command, sizeof(command), "cp -a %s %s", f->scratch.store, to);
    assert_int_equal(system(command), 0);
}

/* Beside the other, which has added to the same counter under the same LSN. */
static void test_operator__a_copied_directory_is_made_a_node_of_its_own(void **state)
{
    struct tool *f = *state;
    char lsn[24];

    start(f);
    run(f, "incr", "n", NULL);
    copy_store(f, "copy");
    run(f, "incr", "n", NULL);
    assert_done(f, "2\n");
    run_bare(f, "--dir", "copy", "--redis", "", "incr", "n", "5", NULL);
    run_bare(f, "--dir", "copy", "--redis", "", "set", "k", "v", NULL);
    run_bare(f, "--dir", "copy", "reconcile", NULL);
    assert_status(f, 3);
    assert_non_null(strstr(f->err, "another copy of this store's directory has connected to Redis: decide with "
                                   "`holdfast reconcile --new-node`"));
    run_bare(f, "--dir", "copy", "reconcile", "--new-node", NULL);
    assert_status(f, 2);
    assert_non_null(strstr(f->err, "a node of its own now; 1 entry is parked, 1 of them in doubt"));
    assert_string_equal(in_redis(f, "n"), "2");
    assert_string_equal(in_redis(f, "k"), "v");
    run_bare(f, "--dir", "copy", "parked", "list", "--json", NULL);
    snprintf(lsn, sizeof(lsn), "%s", number_in(f, "lsn"));
    run_bare(f, "--dir", "copy", "parked", "requeue", lsn, NULL);
    assert_status(f, 0);
    assert_string_equal(in_redis(f, "n"), "7");
    run(f, "incr", "n", NULL); /* the other goes on as it was */
    assert_status(f, 0);
    assert_string_equal(in_redis(f, "n"), "8");
    run_bare(f, "--dir", "copy", "audit", NULL);
    assert_non_null(strstr(f->out, "\"verb\":\"renew-node\""));
}

/* The node that it was copied from has gone on, and then was lost with its directory and its session key. */
static void test_operator__a_restored_directory_is_made_a_node_of_its_own(void **state)
{
    static const char script[] = "for _,k in ipairs(redis.call('KEYS','_hf:session:*')) do redis.call('DEL',k) end";
    struct tool *f = *state;

    start(f);
    set_online(f, "k", "old");
    copy_store(f, "copy");
    set_online(f, "k", "new");
    freeReplyObject(redis_server_command(&f->server, "EVAL %s 0", script));
    run_bare(f, "--dir", "copy", "reconcile", NULL);
    assert_status(f, 3);
    assert_non_null(strstr(f->err, "its directory is an old copy; decide with `holdfast reconcile --new-node`"));
    run_bare(f, "--dir", "copy", "reconcile", "--new-node", NULL);
    assert_status(f, 0);
    run_bare(f, "--dir", "copy", "get", "k", NULL);
    assert_done(f, "new");
    assert_string_equal(in_redis(f, "k"), "new");
}

/* ---- explain and verify ---- */

static void test_operator__explain_tells_what_both_tiers_hold(void **state)
{
    struct tool *f = *state;
    cJSON *json;

    start(f);
    make_conflicts(f, "k");
    run(f, "explain", "k", "--json", NULL);
    json = json_of(f);
    assert_string_equal(member(member(json, "here"), "value")->valuestring, "ours");
    assert_string_equal(member(member(json, "redis"), "value")->valuestring, "theirs");
    assert_true(cJSON_IsFalse(member(member(json, "redis"), "same")));
    assert_string_equal(member(json, "outcome")->valuestring, "pending");
    assert_true(*member(json, "why")->valuestring);
    cJSON_Delete(json);
    assert_string_equal(in_redis(f, "k"), "theirs");
    run(f, "status", "--json", NULL); /* explaining is not replaying */
    assert_string_equal(number_in(f, "pending_keys"), "1");
    reconcile(f, 1);
    run(f, "explain", "k", NULL);
    assert_status(f, 0);
    assert_non_null(strstr(f->out, "  the same    yes\n"));
    assert_non_null(strstr(f->out, "kept          0 parked, 1 conflict\n"));
}

/* Another node, with a store of its own. */
static void set_by_another_node(struct tool *f, const char *key, const char *value)
{
    run_bare(f, "--dir", "other", "set", key, value, NULL);
    assert_done(f, "");
}

static void test_operator__explain_tells_since_when_redis_holds_it(void **state)
{
    struct tool *f = *state;
    const cJSON *logged;
    cJSON *json;

    start(f);
    set_online(f, "ours", "v");
    set_by_another_node(f, "theirs", "v");
    set_by_others(f, "plain", "v");
    run(f, "explain", "ours", NULL);
    assert_non_null(strstr(f->out, "Z or later (set by this node, entry "));
    run(f, "explain", "theirs", "--json", NULL);
    json = json_of(f);
    logged = member(member(json, "redis"), "logged");
    assert_string_equal(member(logged, "what")->valuestring, "set");
    assert_true(cJSON_IsFalse(member(logged, "by_this_node")));
    assert_true(cJSON_IsFalse(member(logged, "outdated")));
    assert_true(member(logged, "since_ms")->valuedouble > 0);
    assert_int_equal(strlen(member(logged, "node")->valuestring), 32);
    cJSON_Delete(json);
    run(f, "explain", "plain", NULL);
    assert_non_null(strstr(f->out, "  since       not known: the change log does not name the key\n"));
    assert_int_equal(redis_server_number(&f->server, "DEL ours"), 1);
    run(f, "explain", "ours", NULL);
    assert_non_null(strstr(f->out, "  since       not known; the change log names an older change: "));
    run(f, "explain", "plain", "--json", NULL);
    json = json_of(f);
    assert_true(cJSON_IsNull(member(member(json, "redis"), "logged")));
    cJSON_Delete(json);
}

static void test_operator__explain_says_when_redis_was_not_asked(void **state)
{
    struct tool *f = *state;
    cJSON *json;

    set_offline(f, "k", "v");
    run(f, "explain", "k", NULL);
    assert_status(f, 0);
    assert_non_null(strstr(f->out, "Redis         was not asked\n"));
    run(f, "explain", "nowhere", "--json", NULL);
    json = json_of(f);
    assert_true(cJSON_IsFalse(member(member(json, "here"), "held")));
    assert_true(cJSON_IsFalse(member(member(json, "redis"), "known")));
    assert_true(cJSON_IsNull(member(json, "outcome")));
    cJSON_Delete(json);
}

static void test_operator__verify_names_what_differs(void **state)
{
    struct tool *f = *state;

    start(f);
    set_online(f, "same", "v");
    set_online(f, "other", "v");
    set_online(f, "gone", "v");
    set_offline(f, "waits", "v");
    set_by_others(f, "other", "w");
    assert_int_equal(redis_server_number(&f->server, "DEL gone"), 1);
    run(f, "verify", NULL);
    assert_status(f, 1);
    assert_non_null(strstr(f->out, "other: another value in Redis\n"));
    assert_non_null(strstr(f->out, "gone: absent in Redis\n"));
    assert_non_null(strstr(f->out, "4 keys compared: 1 the same, 1 pending, 2 different\n"));
    assert_string_equal(f->err, "holdfast: 2 keys differ\n");
    assert_string_equal(in_redis(f, "waits"), "(nil)");
}

static void test_operator__verify_has_nothing_against_what_is_pending(void **state)
{
    struct tool *f = *state;
    cJSON *json;

    start(f);
    set_online(f, "same", "v");
    set_offline(f, "waits", "v");
    run(f, "verify", NULL);
    assert_status(f, 0);
    reconcile(f, 0);
    run(f, "verify", "--sample", "1", "--json", NULL);
    json = json_of(f);
    assert_int_equal(member(json, "compared")->valueint, 1);
    assert_int_equal(member(json, "same")->valueint, 1);
    cJSON_Delete(json);
    redis_server_kill(&f->server);
    run(f, "verify", NULL);
    assert_status(f, 3);
}

/* ---- pause and throttle ---- */

struct flag_look {
    struct hf *store;
    bool paused;
};

static bool is_paused(void *ctx)
{
    struct flag_look *look = ctx;
    struct hf_status s;

    assert_ok(hf_status(look->store, &s));
    return s.paused == look->paused;
}

static void wait_paused(struct hf *store, bool paused)
{
    struct flag_look look = {store, paused};

    assert_true(wait_until(is_paused, &look, LINK_MS));
}

/* With a server of its own. */
static struct hf *start_owner(struct tool *f)
{
    struct hf_options options = {0};
    struct hf *store = NULL;

    start(f);
    options.redis = f->server.address;
    assert_ok(hf_open(f->scratch.store, &options, &store));
    return store;
}

static void set_paused(struct tool *f, struct hf *store, bool paused)
{
    run(f, paused ? "pause" : "resume", NULL);
    assert_status(f, 0);
    wait_paused(store, paused);
}

static void test_operator__an_owner_is_paused_and_resumed_from_beside(void **state)
{
    struct tool *f = *state;
    struct hf *store = start_owner(f);

    assert_true(wait_link(store, HF_LINK_ONLINE, LINK_MS));
    set_paused(f, store, true);
    put(store, "k", "v");
    assert_int_not_equal(hf_drain(store, 50), 0);
    assert_string_equal(in_redis(f, "k"), "(nil)");
    run(f, "status", NULL);
    assert_non_null(strstr(f->out, "sending to Redis is paused"));
    set_paused(f, store, false);
    assert_true(wait_link(store, HF_LINK_ONLINE, LINK_MS));
    assert_ok(hf_drain(store, LINK_MS));
    assert_string_equal(in_redis(f, "k"), "v");
    assert_ok(hf_close(store));
}

static void pause_and_resume(struct tool *f, struct hf *store)
{
    set_paused(f, store, true);
    set_paused(f, store, false);
}

static void forbid_time(struct tool *f)
{
    char text[64];

    assert_string_equal(redis_server_text(&f->server, text, sizeof(text), "ACL SETUSER default -time"), "OK");
}

/* Who looks at the settings then is the link's thread, and while Redis is away the one for checkpoints. */
static void test_operator__an_idle_owner_is_paused_with_redis_and_without(void **state)
{
    struct tool *f = *state;
    struct hf *store = start_owner(f);

    for (int i = 0; i < 2; i++) {
        assert_true(wait_link(store, HF_LINK_ONLINE, LINK_MS));
        pause_and_resume(f, store);
        pause_and_resume(f, store);
        forbid_time(f); /* then heartbeats bring none */
        pause_and_resume(f, store);
        pause_and_resume(f, store);
        redis_server_kill(&f->server);
        assert_true(wait_link(store, HF_LINK_OFFLINE, LINK_MS));
        pause_and_resume(f, store);
        assert_int_equal(redis_server_restart(&f->server), 0);
    }
    assert_ok(hf_close(store));
}

static void test_operator__a_pause_is_kept_and_reconcile_says_so(void **state)
{
    struct tool *f = *state;

    start(f);
    set_offline(f, "k", "v");
    run(f, "pause", NULL);
    assert_status(f, 0);
    reconcile(f, 3);
    assert_non_null(strstr(f->err, "paused"));
    assert_string_equal(in_redis(f, "k"), "(nil)");
    run(f, "reconcile", "--dry-run", NULL); /* looking goes on */
    assert_status(f, 0);
    run(f, "resume", NULL);
    assert_status(f, 0);
    reconcile(f, 0);
    assert_string_equal(in_redis(f, "k"), "v");
}

static void test_operator__bounds_are_set_one_by_one_and_kept(void **state)
{
    struct tool *f = *state;

    set_offline(f, "k", "v");
    run(f, "throttle", NULL);
    assert_done(f, "operations no bound\nbytes      no bound\n");
    run(f, "throttle", "--ops", "50", NULL);
    assert_done(f, "operations 50 a second\nbytes      no bound\n");
    run(f, "throttle", "--bytes", "1MiB", "--json", NULL);
    assert_done(f, "{\"replay_ops_per_s\":50,\"replay_bytes_per_s\":1048576}\n");
    run(f, "throttle", "--ops", "0", NULL);
    assert_done(f, "operations no bound\nbytes      1048576 a second\n");
    run(f, "status", "--json", NULL);
    assert_string_equal(number_in(f, "replay_bytes_per_s"), "1048576");
}

/* ---- a loss ---- */

static void lose_everything(struct tool *f)
{
    char answer[16];

    set_online(f, "k", "v");
    assert_string_equal(redis_server_text(&f->server, answer, sizeof(answer), "FLUSHALL"), "OK");
    reconcile(f, 3); /* flushed while it ran: held until somebody decides */
    assert_string_equal(in_redis(f, "k"), "(nil)");
}

static void test_operator__what_was_lost_is_given_back(void **state)
{
    struct tool *f = *state;

    start(f);
    lose_everything(f);
    run(f, "reconcile", "--on-loss", "reseed", NULL);
    assert_status(f, 0);
    assert_non_null(strstr(f->err, "namespace '': the copies held here are given back"));
    assert_string_equal(in_redis(f, "k"), "v");
    reconcile(f, 0);
}

static void test_operator__what_was_lost_is_given_up(void **state)
{
    struct tool *f = *state;

    start(f);
    lose_everything(f);
    run(f, "reconcile", "--on-loss=adopt", "--namespace=", NULL);
    assert_status(f, 1);
    assert_non_null(strstr(f->out, "  conflicts                           1\n"));
    assert_string_equal(in_redis(f, "k"), "(nil)");
}

static void test_operator__only_what_is_held_is_decided(void **state)
{
    struct tool *f = *state;

    start(f);
    lose_everything(f);
    run(f, "reconcile", "--on-loss", "reseed", "--namespace", "nowhere:", NULL);
    assert_status(f, 4);
    assert_string_equal(in_redis(f, "k"), "(nil)");
    run(f, "reconcile", "--on-loss", "reseed", NULL);
    assert_status(f, 0);
    run(f, "reconcile", "--on-loss", "reseed", NULL);
    assert_status(f, 0);
    assert_non_null(strstr(f->err, "--on-loss had nothing to decide"));
}

/* ---- doctor and audit ---- */

static void test_operator__doctor_has_a_level_for_every_finding(void **state)
{
    static const char *const levels[] = {"ok", "advice", "problem", "unknown"};
    struct tool *f = *state;
    bool problem = false;
    char *saved = NULL;

    start(f);
    set_online(f, "k", "v");
    run(f, "doctor", "--json", NULL);
    assert_true(lines_of(f) > 0);
    for (char *line = strtok_r(f->out, "\n", &saved); line; line = strtok_r(NULL, "\n", &saved)) {
        cJSON *json = cJSON_Parse(line);
        const char *level = member(json, "level")->valuestring;
        bool known = false;
        for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++)
            known |= strcmp(levels[i], level) == 0;
        assert_true(known);
        problem |= strcmp(level, "problem") == 0;
        assert_true(*member(json, "topic")->valuestring && *member(json, "found")->valuestring);
        cJSON_Delete(json);
    }
    assert_int_equal(f->status, problem ? 1 : 0);
    run(f, "doctor", NULL);
    assert_int_equal(strncmp(f->out, "LEVEL     TOPIC ", 16), 0);
}

static void test_operator__what_destroys_leaves_a_line(void **state)
{
    struct tool *f = *state;
    cJSON *json;

    start(f);
    run(f, "set", "first", "v", NULL);
    run(f, "audit", NULL);
    assert_done(f, "");
    park(f, "k");
    run(f, "parked", "drop", "--all", "--yes", NULL);
    assert_status(f, 0);
    run(f, "audit", NULL);
    assert_int_equal(lines_of(f), 1);
    json = json_of(f);
    assert_true(cJSON_IsObject(json));
    cJSON_Delete(json);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, tool_set_up, tool_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_operator__a_terminal_shows_how_fast_and_how_long_yet),
        CASE(test_operator__a_conflict_is_recorded_listed_and_shown),
        CASE(test_operator__conflicts_are_picked_by_key_and_number),
        CASE(test_operator__a_restored_loser_is_written_again),
        CASE(test_operator__resolving_takes_conflicts_off_the_list),
        CASE(test_operator__a_dry_run_tells_and_changes_nothing),
        CASE(test_operator__a_dry_run_leaves_both_tiers_as_they_are),
        CASE(test_operator__a_dry_run_tells_why_a_change_would_be_parked),
        CASE(test_operator__a_dry_run_tells_of_losses_that_the_replay_would_meet),
        CASE(test_operator__a_dry_run_without_redis_is_offline),
        CASE(test_operator__a_requeued_entry_is_sent_again),
        CASE(test_operator__all_that_is_parked_is_requeued_or_dropped),
        CASE(test_operator__a_dropped_entry_is_gone),
        CASE(test_operator__an_increment_in_doubt_is_shown_and_dropped),
        CASE(test_operator__an_increment_in_doubt_is_requeued),
        CASE(test_operator__an_increment_that_another_has_given_back_is_in_doubt),
        CASE(test_operator__a_copied_directory_is_made_a_node_of_its_own),
        CASE(test_operator__a_restored_directory_is_made_a_node_of_its_own),
        CASE(test_operator__explain_tells_what_both_tiers_hold),
        CASE(test_operator__explain_tells_since_when_redis_holds_it),
        CASE(test_operator__explain_says_when_redis_was_not_asked),
        CASE(test_operator__verify_names_what_differs),
        CASE(test_operator__verify_has_nothing_against_what_is_pending),
        CASE(test_operator__an_owner_is_paused_and_resumed_from_beside),
        CASE(test_operator__an_idle_owner_is_paused_with_redis_and_without),
        CASE(test_operator__a_pause_is_kept_and_reconcile_says_so),
        CASE(test_operator__bounds_are_set_one_by_one_and_kept),
        CASE(test_operator__what_was_lost_is_given_back),
        CASE(test_operator__what_was_lost_is_given_up),
        CASE(test_operator__only_what_is_held_is_decided),
        CASE(test_operator__doctor_has_a_level_for_every_finding),
        CASE(test_operator__what_destroys_leaves_a_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
