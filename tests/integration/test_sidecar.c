/* The sidecar's loop, seen from a socket: conversations byte by byte, order, limits, who may do what, and how it starts and stops. */
#include "redis_server.h"
#include "sidecar_process.h"
#include "wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define MANY 10000

struct fixture {
    struct scratch scratch;
    struct sidecar_process sidecar;
    struct wire wire;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    scratch_make(&f->scratch);
    f->wire.fd = -1;
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    if (f->wire.fd >= 0)
        wire_close(&f->wire);
    sidecar_stop(&f->sidecar);
    scratch_remove(&f->scratch);
    free(f);
    return 0;
}

static void start(struct fixture *f, const char *config)
{
    sidecar_start(&f->sidecar, f->scratch.dir, NULL, config);
    wire_open(&f->wire, f->sidecar.socket);
}

/* ---- conversations ---- */

static const struct {
    const char *request, *answer;
} conversations[] = {
    {"PING\r\n", "+PONG\r\n"},
    {"*1\r\n$4\r\nPING\r\n", "+PONG\r\n"},
    {"PING hello\r\n", "$5\r\nhello\r\n"},
    {"PING a b\r\n", "-ERR wrong number of arguments for 'ping' command\r\n"},
    {"*2\r\n$4\r\nECHO\r\n$4\r\n\r\n\r\n\r\n", "$4\r\n\r\n\r\n\r\n"},
    {"ECHO\r\n", "-ERR wrong number of arguments for 'echo' command\r\n"},
    {"SELECT 0\r\n", "+OK\r\n"},
    {"SELECT 1\r\n", "-ERR DB index is out of range\r\n"},
    {"SELECT -1\r\n", "-ERR DB index is out of range\r\n"},
    {"SELECT abc\r\n", "-ERR value is not an integer or out of range\r\n"},
    {"SELECT 2147483648\r\n", "-ERR value is out of range, value must between -2147483648 and 2147483647\r\n"},
    {"foo bar baz\r\n", "-ERR unknown command 'foo', with args beginning with: 'bar' 'baz' \r\n"},
    {"foo\r\n", "-ERR unknown command 'foo', with args beginning with: \r\n"},
    {"*1\r\n$6\r\na\r\nb+c\r\n", "-ERR unknown command 'a  b+c', with args beginning with: \r\n"},
    {"*1\r\n$0\r\n\r\n", "-ERR unknown command '', with args beginning with: \r\n"},
    {"\r\nPING\r\n", "+PONG\r\n"},
    {"*0\r\n*-1\r\nPING\r\n", "+PONG\r\n"},
    {"HELLO abc\r\n", "-ERR Protocol version is not an integer or out of range\r\n"},
    {"HELLO 1\r\n", "-NOPROTO unsupported protocol version\r\n"},
    {"HELLO 4\r\n", "-NOPROTO unsupported protocol version\r\n"},
    {"HELLO 3 FOO\r\n", "-ERR Syntax error in HELLO option 'FOO'\r\n"},
    {"HELLO 3 AUTH a\r\n", "-ERR Syntax error in HELLO option 'AUTH'\r\n"},
    {"HELLO 2 AUTH a b\r\n", "-WRONGPASS invalid username-password pair or user is disabled.\r\n"},
    {"HELLO 3 SETNAME \"a b\"\r\nCLIENT GETNAME\r\n",
     "-ERR Client names cannot contain spaces, newlines or special characters.\r\n$-1\r\n"},
    {"AUTH a\r\n", "-ERR AUTH <password> called without any password configured for the default user. Are you sure "
                   "your configuration is correct?\r\n"},
    {"AUTH a b\r\n", "-WRONGPASS invalid username-password pair or user is disabled.\r\n"},
    {"AUTH a b c\r\n", "-ERR syntax error\r\n"},
    {"RESET\r\n", "+RESET\r\n"},
    {"RESET x\r\n", "-ERR wrong number of arguments for 'reset' command\r\n"},
    {"READONLY\r\n", "-ERR This instance has cluster support disabled\r\n"},
    {"CLUSTER NODES\r\n", "-ERR This instance has cluster support disabled\r\n"},
    {"SENTINEL MASTERS\r\n", "-ERR unknown command 'SENTINEL', with args beginning with: 'MASTERS' \r\n"},
    {"CLIENT\r\n", "-ERR wrong number of arguments for 'client' command\r\n"},
    {"CLIENT FOO\r\n", "-ERR unknown subcommand 'FOO'. Try CLIENT HELP.\r\n"},
    {"CLIENT MAINT_NOTIFICATIONS ON\r\n", "-ERR unknown subcommand 'MAINT_NOTIFICATIONS'. Try CLIENT HELP.\r\n"},
    {"CLIENT ID 3\r\n", "-ERR wrong number of arguments for 'client|id' command\r\n"},
    {"CLIENT SETNAME x\r\nCLIENT GETNAME\r\n", "+OK\r\n$1\r\nx\r\n"},
    {"*3\r\n$6\r\nCLIENT\r\n$7\r\nSETNAME\r\n$3\r\na\nb\r\n",
     "-ERR Client names cannot contain spaces, newlines or special characters.\r\n"},
    {"CLIENT SETINFO LIB-NAME go-redis(,go1.22)\r\n", "+OK\r\n"},
    {"CLIENT SETINFO LIB-VER 1.2\r\n", "+OK\r\n"},
    {"CLIENT NO-EVICT maybe\r\n", "-ERR syntax error\r\n"},
    {"CLIENT NO-TOUCH on\r\n", "+OK\r\n"},
    {"CLIENT KILL 1.2.3.4:5\r\n", "-ERR No such client\r\n"},
    {"CLIENT KILL ID 999999\r\n", ":0\r\n"},
    {"CLIENT KILL ID abc\r\n", "-ERR client-id should be greater than 0\r\n"},
    {"CLIENT KILL FOO bar\r\n", "-ERR syntax error\r\n"},
    {"CLIENT LIST TYPE foo\r\n", "-ERR Unknown client type 'foo'\r\n"},
    {"CLIENT LIST foo\r\n", "-ERR syntax error\r\n"},
    {"CLIENT REPLY FOO\r\n", "-ERR syntax error\r\n"},
    {"CLIENT REPLY SKIP\r\nPING a\r\nPING b\r\n", "$1\r\nb\r\n"},
    {"CLIENT REPLY OFF\r\nPING a\r\nSET k v\r\nCLIENT REPLY ON\r\nPING b\r\n", "+OK\r\n$1\r\nb\r\n"},
    {"CONFIG GET databases\r\n", "*2\r\n$9\r\ndatabases\r\n$1\r\n1\r\n"},
    {"CONFIG GET slave-read-only\r\n", "*2\r\n$15\r\nslave-read-only\r\n$3\r\nyes\r\n"},
    {"CONFIG GET nothing\r\n", "*0\r\n"},
    {"CONFIG SET a b\r\n", "-ERR the configuration is a file of this server, which no client changes\r\n"},
    {"COMMAND GETKEYS mset a 1 b 2\r\n", "*2\r\n$1\r\na\r\n$1\r\nb\r\n"},
    {"COMMAND GETKEYS foo a\r\n", "-ERR Invalid command specified\r\n"},
    {"COMMAND INFO foo\r\n", "*1\r\n*-1\r\n"},
    {"COMMAND LIST FILTERBY foo bar\r\n", "-ERR syntax error\r\n"},
    {"INFO nothing\r\n", "$0\r\n\r\n"},
    {"OBJECT ENCODING nokey\r\n", "$-1\r\n"},
    {"SET k 12\r\nOBJECT ENCODING k\r\n", "+OK\r\n$3\r\nint\r\n"},
    {"MEMORY USAGE nokey\r\n", "$-1\r\n"},
    {"MEMORY PURGE\r\n", "+OK\r\n"},
    {"SHUTDOWN\r\n", "-ERR 'shutdown' is for operators of Redis itself, and not passed on\r\n"},
    {"SET a 1\r\nGET a\r\nPING\r\nINCR a\r\nGET a\r\nECHO x\r\n",
     "+OK\r\n$1\r\n1\r\n+PONG\r\n:2\r\n$1\r\n2\r\n$1\r\nx\r\n"},
};

static void test_sidecar__conversations_are_redis_s(void **state)
{
    struct fixture *f = *state;

    start(f, NULL);
    for (size_t i = 0; i < sizeof(conversations) / sizeof(conversations[0]); i++) {
        struct wire wire;

        wire_open(&wire, f->sidecar.socket);
        wire_ask(&wire, conversations[i].request, conversations[i].answer);
        wire_ask(&wire, "ECHO end\r\n", "$3\r\nend\r\n"); /* it said no more than that, and goes on */
        wire_close(&wire);
    }
}

static void test_sidecar__hello_tells_who_answers_in_the_protocol_asked_for(void **state)
{
    struct fixture *f = *state;
    char line[64], expected[256];

    start(f, NULL);
    wire_ask(&f->wire, "CLIENT ID\r\n", ":");
    wire_line(&f->wire, line, sizeof(line));
    snprintf(
        expected, sizeof(expected),
        "%%7\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$6\r\n7.0.15\r\n$5\r\nproto\r\n:3\r\n"
        "$2\r\nid\r\n:%s$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$6\r\nmaster\r\n$7\r\nmodules\r\n*0\r\n",
        line);
    wire_ask(&f->wire, "HELLO 3 SETNAME me\r\n", expected);
    wire_ask(&f->wire, "CLIENT GETNAME\r\nGET nokey\r\n", "$2\r\nme\r\n_\r\n");
    wire_ask(&f->wire, "HELLO 2\r\n", "*14\r\n");
}

/* The interactive connection of StackExchange.Redis 2.8: what it pipelines, and what it must not be told. */
static void test_sidecar__a_pipelined_handshake_is_answered_in_order(void **state)
{
    struct fixture *f = *state;
    char line[64];

    start(f, NULL);
    wire_say(&f->wire, "*3\r\n$6\r\nCLIENT\r\n$7\r\nSETNAME\r\n$4\r\nhost\r\n"
                       "*2\r\n$6\r\nCLIENT\r\n$2\r\nID\r\n"
                       "*3\r\n$6\r\nCONFIG\r\n$3\r\nGET\r\n$9\r\ndatabases\r\n"
                       "*2\r\n$8\r\nSENTINEL\r\n$7\r\nMASTERS\r\n"
                       "*2\r\n$7\r\nCLUSTER\r\n$5\r\nNODES\r\n"
                       "*2\r\n$3\r\nGET\r\n$20\r\n__Booksleeve_TieBrea\r\n"
                       "*2\r\n$4\r\nECHO\r\n$16\r\n0123456789abcdef\r\n");
    wire_hear(&f->wire, "+OK\r\n:");
    wire_line(&f->wire, line, sizeof(line));
    wire_hear(&f->wire, "*2\r\n$9\r\ndatabases\r\n$1\r\n1\r\n"
                        "-ERR unknown command 'SENTINEL', with args beginning with: 'MASTERS' \r\n"
                        "-ERR This instance has cluster support disabled\r\n"
                        "$-1\r\n"
                        "$16\r\n0123456789abcdef\r\n");
}

/* ---- bytes in pieces ---- */

static const char pieces_request[] =
    "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\na\r\nb\n\r\nGET k\r\n*2\r\n$4\r\nPING\r\n$1\r\nx\r\n";
static const char pieces_answer[] = "+OK\r\n$5\r\na\r\nb\n\r\n$1\r\nx\r\n";

static void test_sidecar__it_does_not_matter_where_packets_end(void **state)
{
    struct fixture *f = *state;
    size_t len = strlen(pieces_request);

    start(f, NULL);
    for (size_t cut = 1; cut < len; cut++) {
        wire_send(&f->wire, pieces_request, cut);
        wire_ask(&f->wire, pieces_request + cut, pieces_answer);
    }
    for (size_t i = 0; i < len; i++)
        wire_send(&f->wire, pieces_request + i, 1);
    wire_hear(&f->wire, pieces_answer);
}

static void test_sidecar__a_large_value_comes_and_goes_whole(void **state)
{
    static const size_t sizes[] = {65535, 65536, 65537, 1u << 20, 5000001};
    struct fixture *f = *state;
    char head[64];

    start(f, NULL);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        char *value = malloc(sizes[i]);

        assert_non_null(value);
        for (size_t k = 0; k < sizes[i]; k++)
            value[k] = (char)(k * 7 + k / 251);
        snprintf(head, sizeof(head), "*3\r\n$3\r\nSET\r\n$1\r\nv\r\n$%zu\r\n", sizes[i]);
        wire_say(&f->wire, head);
        wire_send(&f->wire, value, sizes[i]);
        wire_ask(&f->wire, "\r\nGET v\r\nPING\r\n", "+OK\r\n");
        snprintf(head, sizeof(head), "$%zu\r\n", sizes[i]);
        wire_hear(&f->wire, head);
        wire_expect(&f->wire, value, sizes[i]);
        wire_hear(&f->wire, "\r\n+PONG\r\n");
        free(value);
    }
}

static void test_sidecar__a_protocol_error_is_told_and_ends_the_connection(void **state)
{
    static const struct {
        const char *request, *answer;
    } cases[] = {
        {"PING\r\n*x\r\nPING\r\n", "+PONG\r\n-ERR Protocol error: invalid multibulk length\r\n"},
        {"SET k v\r\n*1\r\n:1\r\n", "+OK\r\n-ERR Protocol error: expected '$', got ':'\r\n"},
        {"SET k \"v\r\n", "-ERR Protocol error: unbalanced quotes in request\r\n"},
        {"*1\r\n$67109889\r\n", "-ERR Protocol error: invalid bulk length\r\n"},
    };
    struct fixture *f = *state;

    start(f, NULL);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct wire wire;

        wire_open(&wire, f->sidecar.socket);
        wire_ask(&wire, cases[i].request, cases[i].answer);
        wire_expect_end(&wire);
        wire_close(&wire);
    }
    wire_ask(&f->wire, "PING\r\n", "+PONG\r\n");
}

/* ---- ends ---- */

static void test_sidecar__who_closes_his_half_gets_all_replies(void **state)
{
    struct fixture *f = *state;

    start(f, NULL);
    wire_say(&f->wire, "SET k v\r\nGET k\r\nINCR n\r\nPING\r\nPIN");
    wire_half_close(&f->wire);
    wire_hear(&f->wire, "+OK\r\n$1\r\nv\r\n:1\r\n+PONG\r\n");
    wire_expect_end(&f->wire);
}

static void test_sidecar__nothing_behind_quit_is_run(void **state)
{
    struct fixture *f = *state;
    struct wire other;

    start(f, NULL);
    wire_ask(&f->wire, "SET k 1\r\nQUIT\r\nSET k 2\r\n", "+OK\r\n+OK\r\n");
    wire_expect_end(&f->wire);
    wire_open(&other, f->sidecar.socket);
    wire_ask(&other, "GET k\r\n", "$1\r\n1\r\n");
    wire_close(&other);
}

static void test_sidecar__a_browser_s_request_runs_nothing(void **state)
{
    static const char *const requests[] = {
        "POST / HTTP/1.1\r\nContent-Length: 100\r\n\r\nSET k stolen\r\n",
        "PUT / HTTP/1.1\r\nHost: localhost\r\n\r\nSET k stolen\r\n",
    };
    static const char *const answers[] = {
        "", "-ERR unknown command 'PUT', with args beginning with: '/' 'HTTP/1.1' \r\n"};
    struct fixture *f = *state;

    start(f, NULL);
    for (size_t i = 0; i < 2; i++) {
        struct wire wire;

        wire_open(&wire, f->sidecar.socket);
        wire_ask(&wire, requests[i], answers[i]);
        wire_expect_end(&wire);
        wire_close(&wire);
    }
    wire_ask(&f->wire, "GET k\r\n", "$-1\r\n");
}

static void test_sidecar__an_idle_client_is_closed_after_its_time(void **state)
{
    struct fixture *f = *state;

    start(f, "{\"sidecar\": {\"idle_timeout\": \"100ms\"}}");
    wire_ask(&f->wire, "PING\r\n", "+PONG\r\n");
    wire_expect_end(&f->wire);
}

static void test_sidecar__a_client_can_be_ended_by_its_number(void **state)
{
    struct fixture *f = *state;
    char id[32], request[64];
    struct wire other;

    start(f, NULL);
    wire_open(&other, f->sidecar.socket);
    wire_ask(&other, "CLIENT ID\r\n", ":");
    wire_line(&other, id, sizeof(id));
    snprintf(request, sizeof(request), "CLIENT KILL ID %s", id);
    wire_ask(&f->wire, request, ":1\r\n");
    wire_expect_end(&other);
    wire_close(&other);
    wire_ask(&f->wire, "CLIENT ID\r\n", ":");
    wire_line(&f->wire, id, sizeof(id));
    snprintf(request, sizeof(request), "CLIENT KILL ID %.*s SKIPME no\r\n", (int)strcspn(id, "\r"), id);
    wire_ask(&f->wire, request, ":1\r\n");
    wire_expect_end(&f->wire);
}

/* ---- order ---- */

static void test_sidecar__replies_of_a_long_pipeline_come_in_order(void **state)
{
    struct fixture *f = *state;
    struct hf_bytes request = {0}, answer = {0};
    char text[64];
    int n;

    start(f, NULL);
    for (int i = 0; i < MANY; i++) {
        n = snprintf(text, sizeof(text), i % 3 == 0 ? "SET k %d\r\n" : i % 3 == 1 ? "GET k\r\n" : "ECHO %d\r\n", i);
        assert_int_equal(hf__bytes_append(&request, text, (size_t)n), 0);
        if (i % 3 == 0)
            n = snprintf(text, sizeof(text), "+OK\r\n");
        else
            n = snprintf(text, sizeof(text), "$%d\r\n%d\r\n", snprintf(NULL, 0, "%d", i % 3 == 1 ? i - 1 : i),
                         i % 3 == 1 ? i - 1 : i);
        assert_int_equal(hf__bytes_append(&answer, text, (size_t)n), 0);
    }
    wire_send(&f->wire, request.bytes, request.len);
    wire_expect(&f->wire, answer.bytes, answer.len);
    hf__bytes_release(&request);
    hf__bytes_release(&answer);
}

/* SET NX is decided by Redis: a worker asks it, and the commands behind it wait. */
static void test_sidecar__what_redis_decides_keeps_its_place(void **state)
{
    struct fixture *f = *state;
    struct redis_server redis;

    assert_int_equal(redis_server_start(&redis, NULL), 0);
    sidecar_start(&f->sidecar, f->scratch.dir, redis.address, NULL);
    wire_open(&f->wire, f->sidecar.socket);
    for (int i = 0; i < 50; i++)
        wire_ask(&f->wire, "DEL k\r\nSET k a NX\r\nGET k\r\nSET k b NX\r\nPING\r\nGET k\r\n",
                 i == 0 ? ":0\r\n+OK\r\n$1\r\na\r\n$-1\r\n+PONG\r\n$1\r\na\r\n"
                        : ":1\r\n+OK\r\n$1\r\na\r\n$-1\r\n+PONG\r\n$1\r\na\r\n");
    wire_close(&f->wire);
    f->wire.fd = -1;
    sidecar_stop(&f->sidecar);
    redis_server_stop(&redis);
}

/* ---- limits ---- */

static void test_sidecar__a_client_too_many_is_told_so(void **state)
{
    struct fixture *f = *state;
    struct wire wires[3];

    start(f, "{\"sidecar\": {\"port\": 0, \"max_clients\": 3}}");
    for (int i = 0; i < 2; i++) {
        wire_open(&wires[i], f->sidecar.socket);
        wire_ask(&wires[i], "PING\r\n", "+PONG\r\n");
    }
    wire_open(&wires[2], f->sidecar.socket);
    wire_hear(&wires[2], "-ERR max number of clients reached\r\n");
    wire_expect_end(&wires[2]);
    wire_close(&wires[2]);
    wire_ask(&wires[0], "QUIT\r\n", "+OK\r\n");
    wire_expect_end(&wires[0]);
    wire_close(&wires[0]);
    wire_open(&wires[0], f->sidecar.socket);
    wire_ask(&wires[0], "PING\r\n", "+PONG\r\n");
    wire_close(&wires[0]);
    wire_close(&wires[1]);
}

/* Send pings and read nothing, until no more are taken for a while; returns how many bytes went. */
static size_t flood(struct fixture *f, struct wire *wire, const char *line)
{
    static char pings[60000];
    size_t line_len = strlen(line), len = sizeof(pings) / line_len * line_len, sent = 0, n;
    int quiet = 0;

    for (size_t at = 0; at < len; at += line_len)
        memcpy(pings + at, line, line_len);
    while (quiet < 5 && sent < 100 * sizeof(pings)) {
        n = wire_push(wire, pings + sent % len, len - sent % len);
        sent += n;
        quiet = n > 0 ? 0 : quiet + 1;
        wire_ask(&f->wire, "PING\r\n", "+PONG\r\n"); /* the others are served meanwhile */
    }
    return sent;
}

static void test_sidecar__who_does_not_read_is_not_read_from_and_loses_nothing(void **state)
{
    struct fixture *f = *state;
    char echo[1024 + 16];
    struct wire slow;
    size_t sent, whole;
    long before;

    start(f, NULL);
    memset(echo, 'x', sizeof(echo));
    memcpy(echo, "PING ", 5);
    memcpy(echo + sizeof(echo) - 3, "\r\n", 3);
    wire_open(&slow, f->sidecar.socket);
    before = resident_kib(f->sidecar.pid);
    sent = flood(f, &slow, echo);
    assert_in_range(sent, 1, 5000000);
    assert_in_range(resident_kib(f->sidecar.pid) - before + 1024, 0, 8 * 1024); /* it is bounded by what it reads */
    whole = sent / strlen(echo);
    for (size_t i = 0; i < whole; i++) {
        wire_hear(&slow, "$1032\r\n");
        wire_expect(&slow, echo + 5, strlen(echo) - 5);
    }
    wire_close(&slow);
}

/* Arguments in quotes are copied, and a command of many arguments has a list of them. */
static void test_sidecar__an_idle_client_keeps_nothing_of_its_last_command(void **state)
{
    static char line[60000 + 1];
    struct fixture *f = *state;
    struct wire wires[100];
    long before;

    start(f, NULL);
    memset(line, 'x', sizeof(line) - 1);
    memcpy(line, "EXISTS ", 7);
    for (size_t i = 7; i < sizeof(line) - 3; i += 6)
        line[i] = ' ';
    memcpy(line + sizeof(line) - 3, "\r\n", 3);
    before = resident_kib(f->sidecar.pid);
    for (size_t i = 0; i < 100; i++) {
        wire_open(&wires[i], f->sidecar.socket);
        wire_ask(&wires[i], line, ":0\r\n");
    }
    print_message("%ld KiB for 100 clients\n", resident_kib(f->sidecar.pid) - before);
    if (MEASURES_MEMORY)
        assert_in_range(resident_kib(f->sidecar.pid) - before, 0, 10 * 1024);
    for (size_t i = 0; i < 100; i++)
        wire_close(&wires[i]);
}

static void test_sidecar__ten_thousand_idle_clients_are_held(void **state)
{
    struct fixture *f = *state;
    struct rlimit limit;
    struct wire *wires;
    int n = MANY - 1; /* and the test's own */
    long before;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_cur < MANY + 64) {
        print_message("only %llu files can be open\n", (unsigned long long)limit.rlim_cur);
        skip();
    }
    start(f, NULL);
    wires = calloc((size_t)n, sizeof(*wires));
    assert_non_null(wires);
    before = resident_kib(f->sidecar.pid);
    for (int i = 0; i < n; i++) {
        wire_open(&wires[i], f->sidecar.socket);
        if (i % 100 == 99)
            wire_ask(&f->wire, "PING\r\n", "+PONG\r\n"); /* it has taken those before */
    }
    for (int i = 0; i < n; i += 97)
        wire_ask(&wires[i], "PING\r\n", "+PONG\r\n");
    print_message("%ld KiB for %d clients\n", resident_kib(f->sidecar.pid) - before, n);
    assert_in_range(resident_kib(f->sidecar.pid) - before, 0, 10 * MANY);
    for (int i = 0; i < n; i++)
        wire_close(&wires[i]);
    free(wires);
}

/* ---- who may do what ---- */

static void write_file(const char *path, const char *text, mode_t mode)
{
    FILE *file = fopen(path, "we");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, mode), 0);
}

#define USERS_CONFIG                                                                                               \
    "{\"sidecar\": {\"port\": 0, \"password_env\": \"TEST_PASSWORD\", \"users\": [{\"name\": \"app\", "            \
    "\"password_env\": \"TEST_APP_PASSWORD\", \"prefixes\": [\"app:\", \"shared:\"]}]}}"

/* Its helper waits for an answer, which NOAUTH is. */
static void start_with_users(struct fixture *f)
{
    setenv("TEST_PASSWORD", "correct horse", 1);
    setenv("TEST_APP_PASSWORD", "battery staple", 1);
    start(f, USERS_CONFIG);
}

#define NOAUTH "-NOAUTH Authentication required.\r\n"
#define WRONGPASS "-WRONGPASS invalid username-password pair or user is disabled.\r\n"
#define NO_KEY "-NOPERM this user has no permissions to access one of the keys used as arguments\r\n"

static void test_sidecar__nothing_is_done_before_the_password(void **state)
{
    struct fixture *f = *state;

    start_with_users(f);
    wire_ask(&f->wire, "GET k\r\nSET k v\r\nPING\r\nCLIENT ID\r\nINFO\r\nCOMMAND\r\n",
             NOAUTH NOAUTH NOAUTH NOAUTH NOAUTH NOAUTH);
    wire_ask(&f->wire, "AUTH wrong\r\nAUTH default \"correct horsd\"\r\nAUTH nobody \"correct horse\"\r\nGET k\r\n",
             WRONGPASS WRONGPASS WRONGPASS NOAUTH);
    wire_ask(
        &f->wire, "HELLO 3\r\n",
        "-NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH "
        "<user> <pass> option can be used to authenticate the client and select the RESP protocol version at the "
        "same time\r\n");
    wire_ask(&f->wire, "AUTH \"correct horse\"\r\nGET k\r\nRESET\r\nGET k\r\n", "+OK\r\n$-1\r\n+RESET\r\n" NOAUTH);
    wire_ask(&f->wire, "HELLO 3 AUTH default \"correct horse\"\r\n", "%7\r\n");
}

static void test_sidecar__who_has_no_password_cannot_make_it_allocate(void **state)
{
    static const struct {
        const char *request, *answer;
    } cases[] = {
        {"*11\r\n", "-ERR Protocol error: invalid multibulk length\r\n"},
        {"*1\r\n$16385\r\n", "-ERR Protocol error: invalid bulk length\r\n"},
    };
    struct fixture *f = *state;

    start_with_users(f);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct wire wire;

        wire_open(&wire, f->sidecar.socket);
        wire_ask(&wire, cases[i].request, cases[i].answer);
        wire_expect_end(&wire);
        wire_close(&wire);
    }
}

static void test_sidecar__ten_wrong_passwords_end_the_connection(void **state)
{
    struct fixture *f = *state;

    start_with_users(f);
    for (int i = 0; i < 10; i++)
        wire_ask(&f->wire, "AUTH guess\r\n", WRONGPASS);
    wire_expect_end(&f->wire);
}

static void test_sidecar__a_user_touches_its_prefixes_only(void **state)
{
    struct fixture *f = *state;

    start_with_users(f);
    wire_ask(&f->wire,
             "AUTH app \"battery staple\"\r\nSET app:k v\r\nGET shared:k\r\nGET other:k\r\nMSET app:a 1 b 2\r\n",
             "+OK\r\n+OK\r\n$-1\r\n" NO_KEY NO_KEY);
    wire_ask(&f->wire, "GET app:a\r\nDEL app:k k\r\nGET app:k\r\n", "$-1\r\n" NO_KEY "$1\r\nv\r\n");
    wire_ask(&f->wire, "CLIENT LIST\r\nFLUSHDB\r\nnonsense\r\n",
             "-NOPERM this user has no permissions to run the 'client|LIST' command\r\n"
             "-NOPERM this user has no permissions to run the 'FLUSHDB' command\r\n");
}

/* ---- the program ---- */

static void test_sidecar__mistakes_of_the_configuration_are_named(void **state)
{
    static const struct {
        const char *sidecar, *part;
    } cases[] = {
        {"[]", "sidecar: found an array, expected an object"},
        {"{\"prot\": 1}", "sidecar.prot: found an unknown key, expected one of: bind, port, tls, unixsocket"},
        {"{\"port\": 65536}", "sidecar.port: found 65536, expected a whole number from 0 to 65535"},
        {"{\"port\": 1, \"port\": 2}", "sidecar.port: found the key twice, expected it once"},
        {"{\"port\": \"1\"}", "sidecar.port: found \"1\", expected a whole number from 0 to 65535"},
        {"{\"bind\": \"127.0.0.1\"}", "sidecar.bind: found \"127.0.0.1\", expected an array of 1 to 8 strings"},
        {"{\"bind\": [1]}", "sidecar.bind[0]: found 1, expected a string that is not empty"},
        {"{\"max_clients\": 0}", "sidecar.max_clients: found 0, expected a whole number from 1 to 1000000"},
        {"{\"output_limit\": \"1KiB\"}",
         "sidecar.output_limit: found \"1KiB\", expected a size from 65536 to 9223372036854775807 bytes"},
        {"{\"drain\": \"1y\"}", "sidecar.drain: found \"1y\", expected a duration from 0 to 2147483647 ms"},
        {"{\"log\": \"xml\"}", "sidecar.log: found \"xml\", expected \"text\" or \"json\""},
        {"{\"password_file\": \"/nowhere\"}", "the file that sidecar.password_file names: No such file"},
        {"{\"password_file\": \"/dev/zero\"}",
         "the file that sidecar.password_file names: found a device, expected a regular file"},
        {"{\"password_env\": \"TEST_NOT_SET\"}",
         "sidecar.password_env: found no variable of this name that is set"},
        {"{\"users\": [{}]}", "sidecar.users[0]: found no name, expected one"},
        {"{\"users\": [{\"name\": \"a\"}]}",
         "sidecar.users[0]: found no password, expected password_file or password_env"},
        {"{\"users\": [{\"name\": \"a\", \"prefix\": 1}]}", "sidecar.users[0].prefix: found an unknown key"},
        {"{\"users\": [{\"name\": \"default\", \"password_env\": \"TEST_PASSWORD\"}]}",
         "sidecar.users[0]: found a name that another user has, expected each name once"},
        {"{\"http\": {\"port\": -1}}", "sidecar.http.port: found -1, expected a whole number from 0 to 65535"},
        {"{\"bind\": [\"0.0.0.0\"]}", "sidecar.bind: found 0.0.0.0, which others can reach, and no password"},
        {"{\"bind\": [\"127.0.0.1\", \"::\"]}", "sidecar.bind: found ::, which others can reach, and no password"},
    };
    struct fixture *f = *state;
    char path[128], arguments[256], text[512];

    setenv("TEST_PASSWORD", "x", 1);
    unsetenv("TEST_NOT_SET");
    snprintf(path, sizeof(path), "%s/config.json", f->scratch.dir);
    snprintf(arguments, sizeof(arguments), "--check-config --config %s", path);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        snprintf(text, sizeof(text), "{\"sidecar\": %s}", cases[i].sidecar);
        write_file(path, text, 0600);
        assert_says(arguments, 4, cases[i].part);
    }
    write_file(path, USERS_CONFIG, 0600);
    setenv("TEST_APP_PASSWORD", "y", 1);
    assert_says(arguments, 0, "");
}

static void test_sidecar__a_password_file_that_others_read_is_refused(void **state)
{
    struct fixture *f = *state;
    char path[128], config[128], arguments[256], text[256];

    snprintf(path, sizeof(path), "%s/password", f->scratch.dir);
    snprintf(config, sizeof(config), "%s/config.json", f->scratch.dir);
    snprintf(arguments, sizeof(arguments), "--check-config --config %s", config);
    snprintf(text, sizeof(text), "{\"sidecar\": {\"password_file\": \"%s\", \"bind\": [\"0.0.0.0\"]}}", path);
    write_file(config, text, 0600);
    write_file(path, "secret\n", 0644);
    assert_says(arguments, 4,
                "the file that sidecar.password_file names: found permissions 0644, expected none for others");
    write_file(path, "two\nlines\n", 0600);
    assert_says(arguments, 4, "expected a file with the password as its one line");
    write_file(path, "secret\r\n", 0600);
    assert_says(arguments, 0, "");
}

static void test_sidecar__options_are_checked(void **state)
{
    struct fixture *f = *state;
    char arguments[256];

    unsetenv("HOLDFAST_DIR");
    assert_says("--help", 0, "usage: holdfastd");
    assert_says("--version", 0, "holdfastd 0.1.0");
    assert_says("--nonsense", 4, "usage: holdfastd");
    assert_says("more", 4, "arguments: found \"more\", expected options only");
    assert_says("--port 70000", 4, "--port: found \"70000\", expected a number from 0 to 65535");
    assert_says("", 4, "--dir: found \"\", expected the store's directory");
    snprintf(arguments, sizeof(arguments), "--dir %s --bind 1.2.3 --port 1", f->scratch.store);
    assert_says(arguments, 4, "which others can reach, and no password");
    snprintf(arguments, sizeof(arguments), "--dir %s --bind 127.1 --port 1", f->scratch.store);
    assert_says(arguments, 5, "bind: found \"127.1\", expected an IPv4 or IPv6 address");
}

static void test_sidecar__its_socket_is_its_owner_s_and_replaces_only_a_socket(void **state)
{
    struct fixture *f = *state;
    char path[128], arguments[384];
    struct stat st;

    start(f, NULL);
    assert_int_equal(stat(f->sidecar.socket, &st), 0);
    assert_true(S_ISSOCK(st.st_mode));
    assert_int_equal(st.st_mode & 0777, 0600);
    wire_close(&f->wire);
    f->wire.fd = -1;
    sidecar_stop(&f->sidecar);
    assert_int_equal(stat(f->sidecar.socket, &st), -1);
    snprintf(path, sizeof(path), "%s/precious", f->scratch.dir);
    write_file(path, "data", 0600);
    snprintf(arguments, sizeof(arguments), "--dir %s --port 0 --unixsocket %s", f->scratch.store, path);
    assert_says(arguments, 5, "found something else there, expected nothing or a socket");
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, 4);
}

/* Become a sidecar that listens on TCP. */
static void exec_on_port(const struct fixture *f, const char *port)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    execl(getenv("HOLDFASTD_BIN"), "holdfastd", "--dir", f->scratch.store, "--port", port, (char *)NULL);
    _exit(127);
}

struct place {
    struct sockaddr_in address;
    struct wire wire;
};

static bool connects(void *ctx)
{
    struct place *place = ctx;

    place->wire.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(place->wire.fd, (struct sockaddr *)&place->address, sizeof(place->address)) == 0)
        return true;
    close(place->wire.fd);
    return false;
}

static void test_sidecar__it_serves_loopback_and_no_other_address(void **state)
{
    struct fixture *f = *state;
    int number = redis_server_free_port();
    struct place here = {.address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)number)}}, there;
    char port[16];

    snprintf(port, sizeof(port), "%d", number);
    here.address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    f->sidecar.pid = fork();
    if (f->sidecar.pid == 0)
        exec_on_port(f, port);
    assert_true(wait_until(connects, &here, SIDECAR_WAIT_MS));
    wire_ask(&here.wire, "PING\r\n", "+PONG\r\n");
    wire_close(&here.wire);
    there = here;
    there.address.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1); /* 127.0.0.2 is this machine, too */
    assert_false(connects(&there));
}

static void test_sidecar__what_was_sent_before_sigterm_is_done(void **state)
{
    struct fixture *f = *state;
    struct hf_bytes request = {0}, answer = {0};
    char line[64];

    start(f, NULL);
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(hf__bytes_append(&request, "INCR n\r\n", 8), 0);
        snprintf(line, sizeof(line), ":%d\r\n", i + 1);
        assert_int_equal(hf__bytes_append(&answer, line, strlen(line)), 0);
    }
    wire_send(&f->wire, request.bytes, request.len);
    wire_hear(&f->wire, ":1\r\n"); /* it has read them: they fit into one read */
    assert_int_equal(kill(f->sidecar.pid, SIGTERM), 0);
    wire_expect(&f->wire, answer.bytes + 4, answer.len - 4);
    wire_expect_end(&f->wire);
    wire_close(&f->wire);
    hf__bytes_release(&request);
    hf__bytes_release(&answer);
    sidecar_restart(&f->sidecar);
    wire_open(&f->wire, f->sidecar.socket);
    wire_ask(&f->wire, "GET n\r\n", "$4\r\n1000\r\n");
}

static bool new_password_counts(void *ctx)
{
    struct fixture *f = ctx;
    char line[128];
    struct wire wire;

    wire_open(&wire, f->sidecar.socket);
    wire_say(&wire, "AUTH app new\r\n");
    wire_line(&wire, line, sizeof(line));
    wire_close(&wire);
    return strcmp(line, "+OK\r\n") == 0;
}

static void test_sidecar__sighup_reads_the_users_again_and_ends_who_is_gone(void **state)
{
    struct fixture *f = *state;
    char password[128], config[512];
    struct wire gone;

    snprintf(password, sizeof(password), "%s/password", f->scratch.dir);
    write_file(password, "old\n", 0600);
    snprintf(config, sizeof(config),
             "{\"sidecar\": {\"port\": 0, \"users\": [{\"name\": \"app\", \"password_file\": \"%s\"}, {\"name\": "
             "\"gone\", \"password_file\": \"%s\"}]}}",
             password, password);
    start(f, config);
    wire_open(&gone, f->sidecar.socket);
    wire_ask(&gone, "AUTH gone old\r\n", "+OK\r\n");
    wire_ask(&f->wire, "AUTH app old\r\n", "+OK\r\n");
    write_file(f->sidecar.config, "{\"sidecar\": {\"prot\": 0}}", 0600);
    assert_int_equal(kill(f->sidecar.pid, SIGHUP), 0); /* a mistake changes nothing */
    wire_ask(&gone, "PING\r\n", "+PONG\r\n");
    write_file(password, "new\n", 0600);
    snprintf(config, sizeof(config), "{\"sidecar\": {\"users\": [{\"name\": \"app\", \"password_file\": \"%s\"}]}}",
             password);
    write_file(f->sidecar.config, config, 0600);
    assert_int_equal(kill(f->sidecar.pid, SIGHUP), 0);
    assert_true(wait_until(new_password_counts, f, SIDECAR_WAIT_MS));
    wire_expect_end(&gone);
    wire_close(&gone);
    wire_ask(&f->wire, "PING\r\n", "+PONG\r\n");
}

/* Keys of the prefix "app:", and as many of another one. */
static void set_keys(struct fixture *f, int n)
{
    struct hf_bytes request = {0};
    char line[64];

    for (int i = 0; i < n; i++) {
        snprintf(line, sizeof(line), "MSET app:%d v other:%d v\r\n", i, i);
        assert_int_equal(hf__bytes_append(&request, line, strlen(line)), 0);
    }
    wire_send(&f->wire, request.bytes, request.len);
    for (int i = 0; i < n; i++)
        wire_hear(&f->wire, "+OK\r\n");
    hf__bytes_release(&request);
}

/* Read so many bulk strings. */
static void hear_keys(struct wire *wire, int n)
{
    char line[64];

    for (int i = 0; i < 2 * n; i++)
        wire_line(wire, line, sizeof(line));
}

static void test_sidecar__who_walks_keeps_its_rights_when_the_configuration_is_read_again(void **state)
{
    struct fixture *f = *state;
    struct wire app;
    char line[64], expected[64];
    const int n = 5000;

    start_with_users(f);
    wire_ask(&f->wire, "AUTH \"correct horse\"\r\n", "+OK\r\n");
    set_keys(f, n);
    snprintf(expected, sizeof(expected), "*%d\r\n", n);
    wire_open(&app, f->sidecar.socket);
    wire_ask(&app, "AUTH app \"battery staple\"\r\n", "+OK\r\n");
    for (int i = 0; i < 20; i++) {
        wire_say(&app, "KEYS *\r\n");
        wire_ask(&f->wire, "PING\r\n", "+PONG\r\n"); /* a worker has begun */
        assert_int_equal(kill(f->sidecar.pid, SIGHUP), 0);
        wire_line(&app, line, sizeof(line));
        assert_string_equal(line, expected);
        hear_keys(&app, n);
    }
    wire_close(&app);
}

static void test_sidecar__the_service_manager_is_told_when_it_is_ready(void **state)
{
    struct fixture *f = *state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timeval patience = {.tv_sec = 20};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    char message[64] = "";

    snprintf(address.sun_path, sizeof(address.sun_path), "%s/notify", f->scratch.dir);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
    setenv("NOTIFY_SOCKET", address.sun_path, 1);
    start(f, NULL);
    assert_true(recv(fd, message, sizeof(message) - 1, 0) > 0);
    assert_string_equal(message, "READY=1");
    wire_close(&f->wire);
    f->wire.fd = -1;
    sidecar_stop(&f->sidecar);
    memset(message, 0, sizeof(message));
    assert_true(recv(fd, message, sizeof(message) - 1, 0) > 0);
    assert_string_equal(message, "STOPPING=1");
    unsetenv("NOTIFY_SOCKET");
    close(fd);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_sidecar__##name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(conversations_are_redis_s),
        TEST(hello_tells_who_answers_in_the_protocol_asked_for),
        TEST(a_pipelined_handshake_is_answered_in_order),
        TEST(it_does_not_matter_where_packets_end),
        TEST(a_large_value_comes_and_goes_whole),
        TEST(a_protocol_error_is_told_and_ends_the_connection),
        TEST(who_closes_his_half_gets_all_replies),
        TEST(nothing_behind_quit_is_run),
        TEST(a_browser_s_request_runs_nothing),
        TEST(an_idle_client_is_closed_after_its_time),
        TEST(a_client_can_be_ended_by_its_number),
        TEST(it_serves_loopback_and_no_other_address),
        TEST(replies_of_a_long_pipeline_come_in_order),
        TEST(what_redis_decides_keeps_its_place),
        TEST(a_client_too_many_is_told_so),
        TEST(who_does_not_read_is_not_read_from_and_loses_nothing),
        TEST(an_idle_client_keeps_nothing_of_its_last_command),
        TEST(ten_thousand_idle_clients_are_held),
        TEST(nothing_is_done_before_the_password),
        TEST(who_has_no_password_cannot_make_it_allocate),
        TEST(ten_wrong_passwords_end_the_connection),
        TEST(a_user_touches_its_prefixes_only),
        TEST(mistakes_of_the_configuration_are_named),
        TEST(a_password_file_that_others_read_is_refused),
        TEST(options_are_checked),
        TEST(its_socket_is_its_owner_s_and_replaces_only_a_socket),
        TEST(what_was_sent_before_sigterm_is_done),
        TEST(sighup_reads_the_users_again_and_ends_who_is_gone),
        TEST(who_walks_keeps_its_rights_when_the_configuration_is_read_again),
        TEST(the_service_manager_is_told_when_it_is_ready),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
