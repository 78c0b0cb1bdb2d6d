/* The `holdfast` tool on a store that a running holdfastd owns: the same output and the same exit status, by the sidecar. */
#include "redis_server.h"
#include "sidecar_process.h"
#include "tool.h"

#include <ctype.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))
#define BOUND_MS 15000
#define WORDS_MAX 8

/* ---- fixture ---- */

struct fixture {
    struct tool *tool; /* its store is the sidecar's */
    struct sidecar_process sidecar;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    tool_set_up((void **)&f->tool);
    snprintf(f->tool->scratch.store, sizeof(f->tool->scratch.store), "%s/sidecar", f->tool->scratch.dir);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    sidecar_stop(&f->sidecar);
    tool_tear_down((void **)&f->tool);
    free(f);
    return 0;
}

/* ---- vocabulary ---- */

/* With the tool's Redis, if it has one. */
static void start(struct fixture *f, const char *config)
{
    sidecar_start(&f->sidecar, f->tool->scratch.dir, f->tool->server.pid ? f->tool->server.address : NULL, config);
}

/* Run the tool with words between spaces. */
static void run_words(struct tool *tool, const char *words)
{
    char copy[512], *rest = copy, *w[WORDS_MAX] = {0};

    snprintf(copy, sizeof(copy), "%s", words);
    for (size_t n = 0; rest && n < WORDS_MAX; n++)
        w[n] = strsep(&rest, " ");
    assert_null(rest);
    run(tool, w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7], NULL);
}

/* A connection with all rights. */
static void open_talk(struct fixture *f, struct talk *talk)
{
    talk_open(talk, f->sidecar.socket);
    assert_string_equal(talk_ask(talk, "HOLDFAST.TOOL OPEN 0.1.0"), "+OK|");
}

/* How many clients are in the middle of a command of the tool. */
static int errands(struct fixture *f)
{
    struct talk talk;
    int n = 0;

    open_talk(f, &talk);
    for (const char *at = talk_ask(&talk, "CLIENT LIST"); (at = strstr(at, "cmd=holdfast.tool")); at++)
        n++;
    talk_close(&talk);
    return n;
}

struct awaited {
    struct fixture *f;
    int n;
};

static bool has_errands(void *ctx)
{
    const struct awaited *awaited = ctx;

    return errands(awaited->f) == awaited->n;
}

static void await_errands(struct fixture *f, int n)
{
    struct awaited awaited = {f, n};

    if (!wait_until(has_errands, &awaited, BOUND_MS))
        fail_msg("%d commands of the tool are under way, expected %d", errands(f), n);
}

static void kill_sidecar(struct fixture *f)
{
    kill(f->sidecar.pid, SIGKILL);
    waitpid(f->sidecar.pid, NULL, 0);
    f->sidecar.pid = 0;
}

/* With Redis away, a reconcile waits. */
static void begin_long(struct fixture *f)
{
    start_server(f->tool, NULL);
    start(f, NULL);
    redis_server_kill(&f->tool->server);
}

/* ---- the same as without ---- */

enum likeness {
    SAME,   /* byte for byte */
    ALIKE,  /* but for numbers: times, LSNs */
    STATUS, /* a sidecar's link has been up for longer, so what it knows differs: the exit status is the same */
};

struct row {
    enum likeness likeness;
    const char *words; /* CONFLICT and PARKED stand for the number of the first one */
    const char *input;
};

static const struct row rows[] = {
    {SAME, "set a hello", NULL},
    {ALIKE, "set b v --ttl 1h --json", NULL},
    {SAME, "set -- -k --ttl", NULL},
    {SAME, "get -- -k", NULL},
    {SAME, "set in -", "from standard input\n"},
    {SAME, "get in", NULL},
    {SAME, "set empty -", ""},
    {SAME, "get empty", NULL},
    {SAME, "set b\xff \xfe\x01", NULL},
    {SAME, "get b\xff", NULL},
    {SAME, "get b\xff --json", NULL},
    {SAME, "get a", NULL},
    {STATUS, "get a --meta", NULL},
    {SAME, "get nokey", NULL},
    {SAME, "get other", NULL}, /* which Redis alone has */
    {SAME, "incr n 5", NULL},
    {ALIKE, "incr n -7 --json", NULL},
    {SAME, "incr a", NULL},
    {SAME, "ttl a", NULL},
    {ALIKE, "ttl b", NULL},
    {SAME, "ttl nokey", NULL},
    {SAME, "expire a 1h", NULL},
    {SAME, "expire nokey 1h", NULL},
    {SAME, "persist a", NULL},
    {SAME, "ttl a", NULL},
    {SAME, "persist nokey", NULL},
    {SAME, "del a nokey", NULL},
    {ALIKE, "del in --json", NULL},
    {ALIKE, "import - --acks", "{\"key\":\"i1\",\"value\":\"v\"}\n{\"key_b64\":\"/w==\",\"value\":\"v\"}\n"},
    {ALIKE, "import - --on-error skip",
     "{\"key\":\"i2\",\"value\":\"v\"}\nno record\n{\"key\":\"i3\",\"value\":\"v\"}"},
    {ALIKE, "import -", "{\"key\":\"i4\",\"value\":\"v\"}\n{}\n{\"key\":\"i5\",\"value\":\"v\"}\n"},
    {SAME, "import missing.jsonl", NULL},
    {SAME, "scan i", NULL},
    {ALIKE, "export i", NULL},
    {STATUS, "status", NULL},
    {STATUS, "explain n", NULL},
    {SAME, "explain nowhere", NULL},
    {SAME, "verify", NULL},
    {SAME, "verify --json", NULL},
    {STATUS, "doctor", NULL},
    {STATUS, "doctor --json", NULL},
    {ALIKE, "conflicts list", NULL},
    {ALIKE, "conflicts show CONFLICT", NULL},
    {ALIKE, "conflicts restore CONFLICT", NULL},
    {ALIKE, "conflicts resolve CONFLICT --json", NULL},
    {SAME, "conflicts resolve 7", NULL},
    {SAME, "conflicts resolve --all", NULL},
    {SAME, "conflicts resolve --all --yes", NULL},
    {SAME, "conflicts restore 7", NULL},
    {ALIKE, "parked list", NULL},
    {ALIKE, "parked show PARKED", NULL},
    {ALIKE, "parked requeue PARKED", NULL},
    {ALIKE, "parked drop PARKED", NULL},
    {SAME, "parked requeue 7", NULL},
    {SAME, "parked drop --all", NULL},
    {ALIKE, "parked drop --all --yes", NULL},
    {SAME, "pause", NULL},
    {SAME, "set waits v", NULL},
    {ALIKE, "reconcile", NULL},
    {ALIKE, "reconcile --dry-run --json", NULL},
    {SAME, "resume", NULL},
    {STATUS, "reconcile", NULL},
    {STATUS, "reconcile --json", NULL},
    {SAME, "reconcile --dry-run", NULL},
    {SAME, "throttle --ops 100 --bytes 1MiB", NULL},
    {SAME, "throttle --json", NULL},
    {ALIKE, "audit", NULL},
    {STATUS, "journal list", NULL},
    {STATUS, "journal verify", NULL},
    /* refused before anything is done */
    {SAME, "set a", NULL},
    {SAME, "set _hf:a v", NULL},
    {SAME, "set a v --ttl never", NULL},
    {SAME, "incr n x", NULL},
    {SAME, "get a b", NULL},
    {SAME, "reconcile --timeout soon", NULL},
    {SAME, "reconcile --namespace user:", NULL},
    {SAME, "conflicts frob", NULL},
    {SAME, "parked show 7", NULL},
    {SAME, "frob", NULL},
    {SAME, "get --help", NULL},
};

/* What a run said. */
struct said {
    int status;
    char *out, *err;
};

/* Each run of digits becomes one '#'. */
static void forget_numbers(char *text)
{
    char *to = text;

    for (const char *from = text; *from; from++) {
        if (!isdigit((unsigned char)*from))
            *to++ = *from;
        else if (to == text || to[-1] != '#')
            *to++ = '#';
    }
    *to = '\0';
}

/* What stands in a column of its own is padded to its width. */
static void forget_spaces(char *text)
{
    char *to = text;

    for (const char *from = text; *from; from++) {
        if (*from != ' ' || to == text || to[-1] != ' ')
            *to++ = *from;
    }
    *to = '\0';
}

static char *likeness_of(const char *text, enum likeness likeness)
{
    char *copy = strdup(likeness == STATUS ? "" : text);

    assert_non_null(copy);
    if (likeness == ALIKE)
        forget_numbers(copy);
    if (likeness == ALIKE)
        forget_spaces(copy);
    return copy;
}

/* The first number on a list, in place of its name. */
static void put_number(struct tool *tool, char *words, size_t size, const char *name, const char *list,
                       const char *member_name)
{
    char *at = strstr(words, name), rest[64];
    cJSON *json;

    if (!at)
        return;
    snprintf(rest, sizeof(rest), "%s", at + strlen(name));
    run_words(tool, list);
    json = json_of(tool);
    snprintf(at, size - (size_t)(at - words), "%.0f%s", member(json, member_name)->valuedouble, rest);
    cJSON_Delete(json);
}

static struct said run_row(struct tool *tool, const struct row *row)
{
    char words[256];

    snprintf(words, sizeof(words), "%s", row->words);
    put_number(tool, words, sizeof(words), "CONFLICT", "conflicts list --json", "id");
    put_number(tool, words, sizeof(words), "PARKED", "parked list --json", "lsn");
    put_file(tool->in, row->input ? row->input : "", row->input ? strlen(row->input) : 0);
    run_words(tool, words);
    return (struct said){.status = tool->status,
                         .out = likeness_of(tool->out, row->likeness),
                         .err = likeness_of(tool->err, row->likeness)};
}

static void set_by_others(struct tool *tool, const char *command)
{
    char answer[32];

    redis_server_text(&tool->server, answer, sizeof(answer), command);
}

/* Two conflicts and three parked entries, from an outage: a run with an empty address. */
static void make_outage(struct tool *tool)
{
    static const char *const offline[] = {"set c1 ours", "set c2 ours", "set p1 v", "set p2 v", "set p3 v"};

    set_by_others(tool, "FLUSHALL");
    run_words(tool, "set c1 base");
    run_words(tool, "set c2 base");
    for (size_t i = 0; i < LENGTH(offline); i++) {
        char words[64];
        snprintf(words, sizeof(words), "--redis= %s", offline[i]);
        run_words(tool, words);
        assert_status(tool, 0);
    }
    set_by_others(tool, "MSET c1 theirs c2 theirs other value");
    set_by_others(tool, "HSET p1 f v");
    set_by_others(tool, "HSET p2 f v");
    set_by_others(tool, "HSET p3 f v");
    run_words(tool, "reconcile");
    assert_status(tool, 2);
}

static void compare_row(const struct row *row, const struct said *without, const struct said *with)
{
    if (with->status != without->status || strcmp(with->out, without->out) != 0 ||
        strcmp(with->err, without->err) != 0)
        fail_msg("holdfast %s\nwithout a sidecar, status %d: %s%s\nwith one, status %d: %s%s", row->words,
                 without->status, without->out, without->err, with->status, with->out, with->err);
}

static void test_sidecar_tool__every_command_says_what_it_says_without(void **state)
{
    struct fixture *f = *state;
    struct said without[LENGTH(rows)], with;

    start_server(f->tool, NULL);
    make_outage(f->tool);
    for (size_t i = 0; i < LENGTH(rows); i++)
        without[i] = run_row(f->tool, &rows[i]);
    snprintf(f->tool->scratch.store, sizeof(f->tool->scratch.store), "%s/second/sidecar", f->tool->scratch.dir);
    assert_int_equal(mkdir("second", 0700), 0);
    make_outage(f->tool);
    sidecar_start(&f->sidecar, "second", f->tool->server.address, NULL);
    for (size_t i = 0; i < LENGTH(rows); i++) {
        with = run_row(f->tool, &rows[i]);
        compare_row(&rows[i], &without[i], &with);
        free(with.out), free(with.err);
        free(without[i].out), free(without[i].err);
    }
}

static bool is_in_table(const char *command)
{
    size_t len = strlen(command);

    for (size_t i = 0; i < LENGTH(rows); i++) {
        if (strncmp(rows[i].words, command, len) == 0 && strchr(" ", rows[i].words[len]))
            return true;
    }
    return false;
}

static void test_sidecar_tool__the_table_has_every_command(void **state)
{
    struct fixture *f = *state;
    char command[32];
    size_t n = 0;

    run_bare(f->tool, "--help", NULL);
    for (const char *line = strstr(f->tool->out, "Commands:\n"); line; line = strchr(line + 1, '\n')) {
        if (sscanf(line, "\n  %31[a-z] ", command) != 1)
            continue;
        if (!is_in_table(command))
            fail_msg("the table has no row for %s", command);
        n++;
    }
    assert_true(n >= 20);
}

/* ---- values and input ---- */

static void test_sidecar_tool__a_large_value_arrives_byte_for_byte(void **state)
{
    struct fixture *f = *state;
    size_t len = 5000001;
    char *bytes = malloc(len);

    assert_non_null(bytes);
    for (size_t i = 0; i < len; i++)
        bytes[i] = (char)(i * 7 ^ i >> 8);
    start(f, NULL);
    put_file(f->tool->in, bytes, len);
    run(f->tool, "set", "large", "-", NULL);
    assert_done(f->tool, "");
    run(f->tool, "get", "large", NULL);
    assert_status(f->tool, 0);
    assert_int_equal(f->tool->out_len, len);
    assert_memory_equal(f->tool->out, bytes, len);
    free(bytes);
}

/* The sidecar's limit, not the tool's. */
static void test_sidecar_tool__a_value_beyond_the_limit_is_not_read(void **state)
{
    static char bytes[300001];
    struct fixture *f = *state;

    start(f, "{\"limits\": {\"max_value\": 300000}}");
    put_file(f->tool->in, bytes, sizeof(bytes));
    run(f->tool, "set", "large", "-", NULL);
    assert_refused(f->tool, 4, "standard input: found more than 300000 bytes, which is the limit of a value");
    put_file(f->tool->in, bytes, sizeof(bytes) - 1);
    run(f->tool, "set", "large", "-", NULL);
    assert_done(f->tool, "");
}

static void test_sidecar_tool__an_import_is_read_in_pieces(void **state)
{
    struct fixture *f = *state;
    FILE *file = fopen("records", "we");
    unsigned n = 20000;

    assert_non_null(file);
    for (unsigned i = 0; i < n; i++)
        fprintf(file, "{\"key\":\"k%u\",\"value\":\"%0100u\"}\n", i, i);
    assert_int_equal(fclose(file), 0);
    start(f, NULL);
    run(f->tool, "import", "records", NULL);
    assert_status(f->tool, 0);
    assert_non_null(strstr(f->tool->out, "20000 records stored ("));
    run(f->tool, "get", "k19999", NULL);
    assert_status(f->tool, 0);
    assert_int_equal(f->tool->out_len, 100);
}

/* Whoever writes the lines may wait for the acknowledgement of each before the next. */
static void test_sidecar_tool__an_import_acknowledges_before_it_reads_on(void **state)
{
    struct fixture *f = *state;
    struct talk talk;

    start(f, NULL);
    open_talk(f, &talk);
    assert_string_equal(talk_ask(&talk, "HOLDFAST.TOOL RUN 0 0 import - --acks"), "*3|$0||$0||$5|input|");
    assert_string_equal(talk_ask(&talk, "HOLDFAST.TOOL INPUT 0 {\"key\":\"a\",\"val"), "*3|$0||$0||$5|input|");
    assert_string_equal(talk_ask(&talk, "HOLDFAST.TOOL INPUT 0 ue\":\"v\"}\n"), "*3|$4|\"a\"||$0||$5|input|");
    assert_non_null(strstr(talk_ask(&talk, "HOLDFAST.TOOL INPUT 0 \"\""), "1 record stored"));
    talk_close(&talk);
}

static void give(struct talk *talk, const char *bytes, size_t len, const char *answer)
{
    const struct hf_slice words[] = {s_("HOLDFAST.TOOL"), s_("INPUT"), s_("0"), {bytes, len}};
    struct hf_slice reply;

    talk_send(talk, LENGTH(words), words);
    reply = talk_reply(talk);
    assert_int_equal(reply.len, strlen(answer));
    assert_memory_equal(reply.data, answer, reply.len);
}

/* However much is given at once, and however much the command reads at once. */
static void test_sidecar_tool__input_comes_in_pieces_of_any_size(void **state)
{
    static const size_t pieces[] = {1, 262144, 262145, 7, 500000};
    static const char more[] = "*3\r\n$0\r\n\r\n$0\r\n\r\n$5\r\ninput\r\n";
    static char bytes[1100000];
    struct fixture *f = *state;
    struct talk talk;
    size_t len = 0;

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)(i * 7 ^ i >> 8 ^ i >> 16);
    start(f, NULL);
    open_talk(f, &talk);
    assert_string_equal(talk_ask(&talk, "HOLDFAST.TOOL RUN 0 0 set k -"), "*3|$0||$0||$5|input|");
    for (size_t i = 0; i < LENGTH(pieces); len += pieces[i++])
        give(&talk, bytes + len, pieces[i], more);
    give(&talk, NULL, 0, "*3\r\n$0\r\n\r\n$0\r\n\r\n$1\r\n0\r\n");
    talk_close(&talk);
    run(f->tool, "get", "k", NULL);
    assert_status(f->tool, 0);
    assert_int_equal(f->tool->out_len, len);
    assert_memory_equal(f->tool->out, bytes, len);
}

static void test_sidecar_tool__get_ends_the_line_on_the_tools_terminal(void **state)
{
    struct fixture *f = *state;
    int terminal = posix_openpt(O_RDWR | O_NOCTTY);
    char text[64] = "";

    assert_true(terminal >= 0 && grantpt(terminal) == 0 && unlockpt(terminal) == 0);
    start(f, NULL);
    run(f->tool, "set", "k", "v", NULL);
    f->tool->out_fd = open(ptsname(terminal), O_RDWR | O_NOCTTY);
    assert_true(f->tool->out_fd >= 0);
    run(f->tool, "get", "k", NULL);
    assert_status(f->tool, 0);
    assert_int_equal(read(terminal, text, sizeof(text) - 1), 3);
    assert_string_equal(text, "v\r\n");
    close(f->tool->out_fd);
    close(terminal);
    f->tool->out_fd = -1;
}

/* ---- what is said is bounded ---- */

/* Lines of the output in an answer, beside the seven that hold it. */
static size_t lines_in(const char *answer)
{
    size_t n = 0;

    for (const char *at = answer; (at = strchr(at, '|')); at++)
        n++;
    assert_in_range(n, 7, SIZE_MAX);
    return n - 7;
}

/* What is not asked for is not kept: the command waits, and nobody else does. */
static void test_sidecar_tool__who_does_not_read_keeps_nobody_waiting(void **state)
{
    struct fixture *f = *state;
    struct talk slow, other;
    FILE *file = fopen("records", "we");
    size_t lines = 0, answers = 0;
    const char *answer;

    assert_non_null(file);
    for (unsigned i = 0; i < 20000; i++)
        fprintf(file, "{\"key\":\"key%017u\",\"value\":\"v\"}\n", i);
    assert_int_equal(fclose(file), 0);
    start(f, NULL);
    run(f->tool, "import", "records", NULL);
    assert_status(f->tool, 0);
    open_talk(f, &slow);
    talk_open(&other, f->sidecar.socket);
    for (answer = talk_ask(&slow, "HOLDFAST.TOOL RUN 0 0 scan"); !strstr(answer, "|$1|0|");
         answer = talk_ask(&slow, "HOLDFAST.TOOL NEXT")) {
        assert_in_range(strlen(answer), 0, 64 * 1024 + 64);
        assert_string_equal(talk_ask(&other, "GET key00000000000000007"), "$1|v|");
        lines += lines_in(answer);
        answers++;
    }
    assert_int_equal(lines + lines_in(answer), 20000);
    assert_true(answers > 5);
    talk_close(&slow);
    talk_close(&other);
}

/* ---- who may, and what is refused ---- */

static void test_sidecar_tool__nobody_speaks_it_over_tcp(void **state)
{
    struct fixture *f = *state;
    int port = redis_server_free_port();
    redisContext *client;
    redisReply *reply;

    sidecar_start_on(&f->sidecar, port, f->tool->scratch.dir, NULL, NULL);
    client = redisConnect("127.0.0.1", port);
    assert_true(client && client->err == 0);
    reply = redisCommand(client, "HOLDFAST.TOOL OPEN 0.1.0");
    assert_non_null(reply);
    assert_int_equal(reply->type, REDIS_REPLY_ERROR);
    assert_string_equal(reply->str, "ERR the 'holdfast.tool' command is spoken over the unix socket only");
    freeReplyObject(reply);
    redisFree(client);
}

/* The file system has decided that this process may; who logs in as somebody else is that. */
static void test_sidecar_tool__passwords_are_for_others(void **state)
{
    static const char nobody[] = "-NOPERM this user has no permissions to run the 'holdfast.tool' command|";
    struct fixture *f = *state;
    struct talk talk;

    setenv("TEST_OPS", "o", 1);
    setenv("TEST_APP", "a", 1);
    setenv("TEST_SOME", "s", 1);
    start(
        f,
        "{\"sidecar\": {\"users\": [{\"name\": \"ops\", \"password_env\": \"TEST_OPS\", \"operator\": true},"
        " {\"name\": \"app\", \"password_env\": \"TEST_APP\", \"prefixes\": [\"app:\"]},"
        " {\"name\": \"some\", \"password_env\": \"TEST_SOME\", \"operator\": true, \"prefixes\": [\"app:\"]}]}}");
    run(f->tool, "set", "k", "v", NULL);
    assert_done(f->tool, "");
    talk_open(&talk, f->sidecar.socket);
    assert_string_equal(talk_ask(&talk, "GET k"), "-NOAUTH Authentication required.|");
    assert_string_equal(talk_ask(&talk, "AUTH app a"), "+OK|");
    assert_string_equal(talk_ask(&talk, "HOLDFAST.TOOL OPEN 0.1.0"), nobody);
    assert_string_equal(talk_ask(&talk, "HOLDFAST.TOOL RUN 0 0 get k"), nobody);
    assert_string_equal(talk_ask(&talk, "AUTH some s"), "+OK|");
    assert_string_equal(talk_ask(&talk, "HOLDFAST.TOOL OPEN 0.1.0"), nobody);
    assert_string_equal(talk_ask(&talk, "AUTH ops o"), "+OK|");
    assert_string_equal(talk_ask(&talk, "HOLDFAST.TOOL OPEN 0.1.0"), "+OK|");
    assert_string_equal(talk_ask(&talk, "HOLDFAST.TOOL RUN 0 0 get k"), "*3|$1|v|$0||$1|0|");
    talk_close(&talk);
}

static void test_sidecar_tool__what_is_out_of_place_is_an_error(void **state)
{
    static const struct {
        const char *words, *reply;
    } questions[] = {
        {"HOLDFAST.TOOL RUN 0 0 get k", "-ERR expected OPEN before, and one command of a connection|"},
        {"HOLDFAST.TOOL NEXT", "-ERR no command was begun|"},
        {"HOLDFAST.TOOL INPUT 0 x", "-ERR no command waits for input|"},
        {"HOLDFAST.TOOL FROB", "-ERR unknown subcommand 'FROB'. Try HOLDFAST.TOOL HELP.|"},
        {"HOLDFAST.TOOL OPEN", "-ERR wrong number of arguments for 'holdfast.tool|open' command|"},
        {"HOLDFAST.TOOL OPEN 9.9.9", "-ERR it is of version 0.1.0, and the tool of version 9.9.9|"},
        {"HOLDFAST.TOOL OPEN 0.1.0 nonsense", "-USAGE --redis: "},
        {"HOLDFAST.TOOL OPEN 0.1.0 redis://elsewhere",
         "-USAGE --redis: found elsewhere:6379, and the sidecar that owns the store shares it through no Redis|"},
        {"HOLDFAST.TOOL OPEN 0.1.0 \"\"", "+OK|"},
        {"HOLDFAST.TOOL RUN 4 0 get k", "-ERR expected 0 to 3, a number of bytes, and arguments without a NUL|"},
        {"HOLDFAST.TOOL RUN 0 x get k", "-ERR expected 0 to 3, a number of bytes, and arguments without a NUL|"},
        {"HOLDFAST.TOOL RUN 0 0 get k", "*3|$0||$25|holdfast: no such key: k||$1|6|"},
        {"HOLDFAST.TOOL INPUT -1 x", "-ERR expected the number of an error|"},
        {"HOLDFAST.TOOL RUN 0 0 get k", "-ERR expected OPEN before, and one command of a connection|"},
        {"PING", "+PONG|"},
    };
    struct fixture *f = *state;
    struct talk talk;
    const char *reply;

    start(f, NULL);
    talk_open(&talk, f->sidecar.socket);
    for (size_t i = 0; i < LENGTH(questions); i++) {
        reply = talk_ask(&talk, questions[i].words);
        if (strncmp(reply, questions[i].reply, strlen(questions[i].reply)) != 0)
            fail_msg("%s: found %s, expected %s", questions[i].words, reply, questions[i].reply);
    }
    talk_close(&talk);
}

static void test_sidecar_tool__another_redis_is_refused(void **state)
{
    struct fixture *f = *state;

    start_server(f->tool, NULL);
    start(f, NULL);
    run(f->tool, "set", "k", "v", NULL); /* HOLDFAST_REDIS names the sidecar's */
    assert_done(f->tool, "");
    run(f->tool, "--redis", "", "set", "k", "v2", NULL);
    assert_refused(f->tool, 4, "--redis: found no Redis, and the sidecar that owns the store shares it through ");
    run(f->tool, "--redis", "redis://u:secret@localhost", "set", "k", "v2", NULL);
    assert_refused(f->tool, 4, "--redis: found localhost:6379, and the sidecar");
    unsetenv("HOLDFAST_REDIS");
    run(f->tool, "reconcile", NULL); /* the sidecar has the address */
    assert_status(f->tool, 0);
    run(f->tool, "get", "k", NULL);
    assert_done(f->tool, "v");
}

static void test_sidecar_tool__a_new_node_id_needs_the_store_to_itself(void **state)
{
    struct fixture *f = *state;

    start_server(f->tool, NULL);
    start(f, NULL);
    run(f->tool, "reconcile", "--new-node", NULL);
    assert_refused(f->tool, 5, "this needs the store to itself: stop the sidecar that owns it first");
}

static void test_sidecar_tool__without_redis_it_says_so(void **state)
{
    struct fixture *f = *state;

    start(f, NULL);
    run(f->tool, "verify", NULL);
    assert_refused(f->tool, 4, "verify needs Redis, and the sidecar that owns the store was given none");
}

static bool has_read_again(void *ctx)
{
    struct fixture *f = ctx;
    struct talk talk;
    bool has;

    open_talk(f, &talk);
    has = strstr(talk_ask(&talk, "INFO clients"), "maxclients:77|") != NULL;
    talk_close(&talk);
    return has;
}

/* Users come and go; who owns the store stays. */
static void test_sidecar_tool__another_configuration_ends_no_command(void **state)
{
    static const char users[] = "\"users\": [{\"name\": \"ops\", \"password_env\": \"TEST_OPS\"}]";
    struct fixture *f = *state;
    char config[256];
    pid_t pid;

    setenv("TEST_OPS", "o", 1);
    begin_long(f);
    sidecar_stop(&f->sidecar);
    snprintf(config, sizeof(config), "{\"sidecar\": {%s}}", users);
    start(f, config);
    pid = run_begin(f->tool, "reconcile", "--timeout", "1h", NULL);
    await_errands(f, 1);
    snprintf(config, sizeof(config), "{\"sidecar\": {%s, \"max_clients\": 77}}", users);
    put_file(f->sidecar.config, config, strlen(config));
    kill(f->sidecar.pid, SIGHUP);
    assert_true(wait_until(has_read_again, f, BOUND_MS));
    assert_int_equal(redis_server_restart(&f->tool->server), 0);
    run_end(f->tool, pid);
    assert_status(f->tool, 0);
}

/* ---- the audit log ---- */

static void test_sidecar_tool__the_audit_log_names_who_ran_the_tool(void **state)
{
    struct fixture *f = *state;
    cJSON *line;
    pid_t pid;

    start(f, NULL);
    pid = run_begin(f->tool, "throttle", "--ops", "7", NULL);
    run_end(f->tool, pid);
    run(f->tool, "audit", NULL);
    line = json_of(f->tool);
    assert_true(member(line, "pid")->valuedouble == (double)pid);
    assert_true(member(line, "uid")->valuedouble == (double)getuid());
    cJSON_Delete(line);
}

/* ---- ends in the middle ---- */

static void test_sidecar_tool__a_sidecar_that_dies_leaves_a_change_in_doubt(void **state)
{
    struct fixture *f = *state;
    pid_t pid;

    begin_long(f);
    pid = run_begin(f->tool, "reconcile", "--timeout", "1h", NULL);
    await_errands(f, 1);
    kill_sidecar(f);
    run_end(f->tool, pid);
    assert_refused(f->tool, 2,
                   "the sidecar that owns the store has gone: the command may have been done, wholly or in part");
}

static void test_sidecar_tool__a_sidecar_that_dies_leaves_a_look_undone(void **state)
{
    struct fixture *f = *state;
    pid_t pid;

    begin_long(f);
    pid = run_begin(f->tool, "reconcile", "--dry-run", "--timeout", "1h", NULL);
    await_errands(f, 1);
    kill_sidecar(f);
    run_end(f->tool, pid);
    assert_refused(f->tool, 5, "the sidecar that owns the store has gone\n");
}

/* A stop waits for a while, and not for as long as a command likes. */
static void test_sidecar_tool__a_stop_does_not_wait_for_a_long_command(void **state)
{
    struct fixture *f = *state;
    pid_t pid;

    begin_long(f);
    pid = run_begin(f->tool, "reconcile", "--timeout", "1h", NULL);
    await_errands(f, 1);
    sidecar_stop(&f->sidecar);
    run_end(f->tool, pid);
    assert_refused(f->tool, 2, "the sidecar that owns the store has gone");
}

/* A bound of what waits is reached, and the import waits for room. */
static void test_sidecar_tool__a_stop_does_not_wait_for_room(void **state)
{
    struct fixture *f = *state;
    char records[4096] = "";
    pid_t pid;

    start_server(f->tool, NULL);
    redis_server_kill(&f->tool->server);
    start(f, "{\"pending\": {\"max\": 5}, \"sidecar\": {\"drain\": 0}}");
    for (int i = 0; i < 50; i++)
        snprintf(records + strlen(records), 64, "{\"key\":\"k%d\",\"value\":\"v\"}\n", i);
    put_file("records", records, strlen(records));
    pid = run_begin(f->tool, "import", "records", NULL);
    await_errands(f, 1);
    sidecar_stop(&f->sidecar);
    run_end(f->tool, pid);
    assert_refused(f->tool, 2, "the sidecar that owns the store has gone");
}

static bool can_set(void *ctx)
{
    struct fixture *f = ctx;

    run(f->tool, "set", "k", "v", NULL);
    return f->tool->status == 0;
}

/* Asking takes no place. */
static bool is_full(void *ctx)
{
    struct fixture *f = ctx;
    struct talk talk;
    bool full;

    talk_open(&talk, f->sidecar.socket);
    full = strstr(talk_ask(&talk, "HOLDFAST.TOOL OPEN 0.1.0"), "runs 4 commands") != NULL;
    talk_close(&talk);
    return full;
}

/* There are four at most, and one whose tool has gone ends. */
static void test_sidecar_tool__a_tool_that_dies_gives_its_place_back(void **state)
{
    struct fixture *f = *state;
    pid_t pids[4];

    begin_long(f);
    for (size_t i = 0; i < LENGTH(pids); i++)
        pids[i] = run_begin(f->tool, "reconcile", "--timeout", "1h", NULL);
    assert_true(wait_until(is_full, f, BOUND_MS));
    run(f->tool, "persist", "k", NULL);
    assert_refused(f->tool, 5, "does not run this: it runs 4 commands of the tool already");
    for (size_t i = 0; i < LENGTH(pids); i++) {
        kill(pids[i], SIGKILL);
        waitpid(pids[i], NULL, 0);
    }
    assert_true(wait_until(can_set, f, BOUND_MS));
}

/* ---- something else in its place ---- */

static int listen_in_store(const struct fixture *f)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(address.sun_path, sizeof(address.sun_path), "%s/holdfastd.sock", f->tool->scratch.store);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 8), 0);
    return fd;
}

/* A socket that nobody listens on is what a sidecar that was killed leaves behind. */
static void test_sidecar_tool__an_old_socket_is_no_sidecar(void **state)
{
    struct fixture *f = *state;

    run(f->tool, "set", "k", "v", NULL);
    close(listen_in_store(f));
    run(f->tool, "set", "k", "v2", NULL);
    assert_done(f->tool, "");
    run(f->tool, "get", "k", NULL);
    assert_done(f->tool, "v2");
}

static void answer_and_close(int listener, const char *answer)
{
    int fd = accept(listener, NULL, NULL);
    char bytes[512];

    assert_true(fd >= 0);
    assert_true(read(fd, bytes, sizeof(bytes)) > 0);
    assert_int_equal(write(fd, answer, strlen(answer)), strlen(answer));
    close(fd);
}

static void test_sidecar_tool__one_of_another_kind_is_told_in_a_sentence(void **state)
{
    static const struct {
        const char *answer, *sentence;
    } cases[] = {
        {"-ERR unknown command 'HOLDFAST.TOOL'\r\n", "does not run this: unknown command 'HOLDFAST.TOOL'\n"},
        {"+PONG\r\n", "the sidecar that owns the store has gone\n"},
        {"", "the sidecar that owns the store has gone\n"},
    };
    struct fixture *f = *state;
    int listener;
    pid_t pid;

    run(f->tool, "set", "k", "v", NULL);
    listener = listen_in_store(f);
    for (size_t i = 0; i < LENGTH(cases); i++) {
        pid = run_begin(f->tool, "set", "k", "v2", NULL);
        answer_and_close(listener, cases[i].answer);
        run_end(f->tool, pid);
        assert_refused(f->tool, 5, cases[i].sentence);
    }
    close(listener);
}

/* Which works beside any owner. */
static void test_sidecar_tool__what_reads_is_done_beside_one_of_another_kind(void **state)
{
    struct fixture *f = *state;
    int listener;
    pid_t pid;

    run(f->tool, "set", "k", "v", NULL);
    listener = listen_in_store(f);
    pid = run_begin(f->tool, "get", "k", NULL);
    answer_and_close(listener, "-ERR it is of version 9.9.9\r\n");
    run_end(f->tool, pid);
    assert_status(f->tool, 0);
    assert_string_equal(f->tool->out, "v");
    assert_string_equal(f->tool->err,
                        "holdfast: the sidecar that owns the store does not run this: it is of version 9.9.9; "
                        "this is done beside it\n");
    close(listener);
}

static void test_sidecar_tool__one_that_hangs_is_not_waited_for(void **state)
{
    struct fixture *f = *state;

    start(f, NULL);
    kill(f->sidecar.pid, SIGSTOP);
    run(f->tool, "set", "k", "v", NULL);
    kill(f->sidecar.pid, SIGCONT);
    assert_refused(f->tool, 5, "the sidecar that owns the store does not answer\n");
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_sidecar_tool__every_command_says_what_it_says_without),
        TEST(test_sidecar_tool__the_table_has_every_command),
        TEST(test_sidecar_tool__a_large_value_arrives_byte_for_byte),
        TEST(test_sidecar_tool__a_value_beyond_the_limit_is_not_read),
        TEST(test_sidecar_tool__an_import_is_read_in_pieces),
        TEST(test_sidecar_tool__an_import_acknowledges_before_it_reads_on),
        TEST(test_sidecar_tool__input_comes_in_pieces_of_any_size),
        TEST(test_sidecar_tool__get_ends_the_line_on_the_tools_terminal),
        TEST(test_sidecar_tool__who_does_not_read_keeps_nobody_waiting),
        TEST(test_sidecar_tool__nobody_speaks_it_over_tcp),
        TEST(test_sidecar_tool__passwords_are_for_others),
        TEST(test_sidecar_tool__what_is_out_of_place_is_an_error),
        TEST(test_sidecar_tool__another_redis_is_refused),
        TEST(test_sidecar_tool__a_new_node_id_needs_the_store_to_itself),
        TEST(test_sidecar_tool__without_redis_it_says_so),
        TEST(test_sidecar_tool__another_configuration_ends_no_command),
        TEST(test_sidecar_tool__the_audit_log_names_who_ran_the_tool),
        TEST(test_sidecar_tool__a_sidecar_that_dies_leaves_a_change_in_doubt),
        TEST(test_sidecar_tool__a_sidecar_that_dies_leaves_a_look_undone),
        TEST(test_sidecar_tool__a_stop_does_not_wait_for_a_long_command),
        TEST(test_sidecar_tool__a_stop_does_not_wait_for_room),
        TEST(test_sidecar_tool__a_tool_that_dies_gives_its_place_back),
        TEST(test_sidecar_tool__an_old_socket_is_no_sidecar),
        TEST(test_sidecar_tool__one_of_another_kind_is_told_in_a_sentence),
        TEST(test_sidecar_tool__what_reads_is_done_beside_one_of_another_kind),
        TEST(test_sidecar_tool__one_that_hangs_is_not_waited_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
