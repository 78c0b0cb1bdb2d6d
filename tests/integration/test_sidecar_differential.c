/* The same random commands to a redis-server and to holdfastd: every reply must be the same, byte by byte, errors too; times within
 * a tolerance, and keys in any order. HOLDFAST_TEST_SEED repeats a run. */
#include "redis_server.h"
#include "sidecar_process.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROUNDS 2500        /* each of one to PIPELINE commands of one client */
#define SHARED_ROUNDS 400  /* where Redis is asked for many of them */
#define PIPELINE 12        /* commands sent before the first reply is read */
#define TOLERANCE_MS 15000 /* between the two sides' times, on a machine that is busy */
#define N_CLIENTS 2
#define ARGS_MAX 12

/* ---- a source of chance ---- */

static uint64_t chance;
static bool has_redis; /* behind holdfastd */

static uint64_t draw(uint64_t below)
{
    chance ^= chance << 13;
    chance ^= chance >> 7;
    chance ^= chance << 17;
    return chance % below;
}

#define PICK(list) list[draw(sizeof(list) / sizeof(list[0]))]

static void seed_chance(void)
{
    const char *given = getenv("HOLDFAST_TEST_SEED");

    chance = given ? strtoull(given, NULL, 0) : (uint64_t)wall_ms();
    chance = chance ? chance : 1;
    print_message("HOLDFAST_TEST_SEED=%" PRIu64 "\n", chance);
}

/* ---- arguments ---- */

static const char *const keys[] = {"a", "b", "c", "counter", "float", "long", "{x}:1", "other:1", "other:2"};
static const char *const integers[] = {"0",
                                       "1",
                                       "-1",
                                       "2",
                                       "7",
                                       "10",
                                       "-3",
                                       "100",
                                       "007",
                                       "+1",
                                       " 1",
                                       "1 ",
                                       "-0",
                                       "",
                                       "x",
                                       "1.5",
                                       "9223372036854775807",
                                       "-9223372036854775808",
                                       "9223372036854775808",
                                       "-9223372036854775809",
                                       "99999999999999999999",
                                       "4294967296",
                                       "3000",
                                       "0x10"};
static const char *const small_integers[] = {"0", "1", "-1", "2", "5", "-2", "-5", "12", "40", "-100", "x", ""};
static const char *const floats[] = {"0",     "1",
                                     "-1.5",  "0.1",
                                     "3.0e3", "1e-7",
                                     "1e400", "-1e400",
                                     "inf",   "-inf",
                                     "nan",   " 1",
                                     "1 ",    "",
                                     "abc",   "0x1p3",
                                     "5.000", ".5",
                                     "5.",    "123456789.123456789",
                                     "1e17",  "1e-20",
                                     "10.50", "200",
                                     "-0",    "0.0000000000000000001",
                                     "1e308", "-1e308",
                                     "1e4000"};
static const char *const values[] = {"",
                                     "x",
                                     "hello world",
                                     "0",
                                     "1",
                                     "-17",
                                     "10",
                                     "3.25",
                                     "1e2",
                                     " 5",
                                     "007",
                                     "-0",
                                     "inf",
                                     "9223372036854775807",
                                     "-9223372036854775808",
                                     "9223372036854775806",
                                     "some longer text that goes on for a while, with \r\n in it"};
/* What ends at once, or never, or is refused. */
static const char *const times[] = {"0",
                                    "-1",
                                    "-100",
                                    "x",
                                    "",
                                    "1.5",
                                    "9223372036854775807",
                                    "-9223372036854775808",
                                    "9223372036854775",
                                    "9223372036854775808",
                                    "-9223372036854775"};
static const char *const long_times[] = {"0", "-1", "-100", "x", "9223372036854775807", "-9223372036854775808"};
/* Since 1970: long ago, or nothing. What lies more than 100 years ahead is refused here, and taken by Redis. */
static const char *const past_times[] = {
    "1000", "0", "1", "-1", "-100", "x", "", "9223372036854775808", "-9223372036854775808", "1600000000"};
static const char *const set_words[] = {"NX",   "XX",   "GET", "KEEPTTL", "EX",      "PX",
                                        "EXAT", "PXAT", "nx",  "gEt",     "PERSIST", "BOGUS"};
static const char *const getex_words[] = {"EX", "PX", "EXAT", "PXAT", "PERSIST", "persist", "KEEPTTL", "BOGUS"};
static const char *const expire_words[] = {"NX", "XX", "GT", "LT", "nx", "gt", "BOGUS"};
static const char *const patterns[] = {"*",   "a",    "?",  "[a-c]", "[^a]", "other:*", "*:?",   "c*r",
                                       "\\a", "",     "[",  "[a",    "**",   "\\",      "[\\a]", "[b-a]",
                                       "*[",  "{x}*", "[^", "a*b",   "[a-",  "[-a]"};
static const char *const copy_words[] = {"REPLACE", "DB", "0", "replace", "BOGUS"};

/* A command under way: its words, and what is allowed to differ. */
struct line {
    struct hf_slice argv[ARGS_MAX];
    size_t argc;
    char made[ARGS_MAX][32];
    bool tells_time, any_order;
};

static void word(struct line *line, const char *text)
{
    if (line->argc < ARGS_MAX)
        line->argv[line->argc++] = s_(text);
}

static void key(struct line *line)
{
    word(line, PICK(keys));
}

static void value(struct line *line)
{
    word(line, draw(3) == 0 ? PICK(floats) : PICK(values));
}

/* In seconds or milliseconds, from now or since 1970, far from now and from all others: what is near would pass between two commands
 * on one side, and between two others on the other side. */
static void far_time(struct line *line, bool seconds, bool absolute)
{
    static int64_t used;
    int64_t far_ms = 10000000000 + (draw(2) ? ++used : -++used) * 100000;
    char *made = line->made[line->argc < ARGS_MAX ? line->argc : 0];

    far_ms += absolute ? wall_ms() : 0;
    snprintf(made, sizeof(line->made[0]), "%" PRId64, seconds ? far_ms / 1000 : far_ms);
    word(line, made);
}

static void time_of(struct line *line, const char *unit)
{
    bool seconds = unit[0] == 'E' || unit[0] == 'e';
    bool absolute = strlen(unit) == 4;

    if (draw(3) != 0)
        far_time(line, seconds, absolute);
    else
        word(line, absolute ? PICK(past_times) : seconds ? PICK(times) : PICK(long_times));
}

static void options(struct line *line, const char *const *words, size_t n_words, size_t n_max)
{
    for (size_t n = draw(n_max + 1); n > 0; n--) {
        const char *option = words[draw(n_words)];
        word(line, option);
        if ((strcasecmp(option, "EX") == 0 || strcasecmp(option, "PX") == 0 || strcasecmp(option, "EXAT") == 0 ||
             strcasecmp(option, "PXAT") == 0) &&
            draw(12) != 0)
            time_of(line, option);
    }
}

#define OPTIONS(line, words, n_max) options(line, words, sizeof(words) / sizeof(words[0]), n_max)

/* ---- commands ---- */

/* Grammar: k key, v value, i integer, s small integer, f float, S options of SET, G of GETEX, E of EXPIRE, C of COPY, p pattern, P what SCAN needs,
 * t seconds, m milliseconds, T and M the same since 1970, + more keys, = more pairs, ~ the reply tells a time, * in any order. */
struct form {
    const char *name, *grammar;
    unsigned weight;
};

static const struct form forms[] = {
    {"GET", "k", 6},        {"SET", "kv", 6},         {"SET", "kvS", 8},        {"SETNX", "kv", 2},
    {"SETEX", "ktv", 2},    {"PSETEX", "kmv", 2},     {"GETEX", "kG", 4},       {"GETDEL", "k", 2},
    {"GETSET", "kv", 2},    {"MGET", "k+", 2},        {"MSET", "kv=", 3},       {"MSETNX", "kv=", 2},
    {"APPEND", "kv", 3},    {"STRLEN", "k", 2},       {"GETRANGE", "kss", 3},   {"SUBSTR", "kss", 1},
    {"SETRANGE", "ksv", 3}, {"INCR", "k", 3},         {"DECR", "k", 2},         {"INCRBY", "ki", 3},
    {"DECRBY", "ki", 3},    {"INCRBYFLOAT", "kf", 5}, {"DEL", "k+", 3},         {"UNLINK", "k+", 1},
    {"EXISTS", "k+", 2},    {"TOUCH", "k+", 1},       {"TYPE", "k", 1},         {"EXPIRE", "ktE", 4},
    {"PEXPIRE", "kmE", 3},  {"EXPIREAT", "kTE", 3},   {"PEXPIREAT", "kME", 3},  {"TTL", "k~", 4},
    {"PTTL", "k~", 3},      {"EXPIRETIME", "k~", 2},  {"PEXPIRETIME", "k~", 2}, {"PERSIST", "k", 2},
    {"RENAME", "kk", 3},    {"RENAMENX", "kk", 3},    {"COPY", "kk", 2},        {"COPY", "kkC", 2},
    {"SETRANGE", "kiv", 1}, {"GETRANGE", "kii", 1},
};

static const struct form outer_forms[] = {
    {"MULTI", "", 6},   {"EXEC", "", 9},    {"DISCARD", "", 1}, {"WATCH", "k+", 3},
    {"UNWATCH", "", 1}, {"GET", "", 1},     {"SET", "k", 1},    {"NOSUCHCOMMAND", "kv", 1},
    {"MSET", "kvk", 1}, {"EXPIRE", "k", 1}, {"DEL", "", 1},
};
static const struct form walk_forms[] = {{"KEYS", "p*", 10}, {"SCAN", "P*", 10}, {"FLUSHDB", "", 1}};

/* All in one page, for cursors differ. */
static void scan_words(struct line *line)
{
    word(line, "0");
    word(line, "COUNT");
    word(line, "10000");
    if (draw(2)) {
        word(line, "MATCH");
        word(line, PICK(patterns));
    }
    if (draw(3) == 0) {
        word(line, "TYPE");
        word(line, draw(3) ? "string" : "hash");
    }
}

static void add(struct line *line, char what)
{
    switch (what) {
    case 'k': key(line); break;
    case 'v': value(line); break;
    case 'i': word(line, PICK(integers)); break;
    case 's': word(line, PICK(small_integers)); break;
    case 'f': word(line, PICK(floats)); break;
    case 'p': word(line, PICK(patterns)); break;
    case 'P': scan_words(line); break;
    case 't': time_of(line, "EX"); break;
    case 'm': time_of(line, "PX"); break;
    case 'T': time_of(line, "EXAT"); break;
    case 'M': time_of(line, "PXAT"); break;
    case 'S': OPTIONS(line, set_words, 3); break;
    case 'G': OPTIONS(line, getex_words, 2); break;
    case 'E': OPTIONS(line, expire_words, 2); break;
    case 'C': OPTIONS(line, copy_words, 3); break;
    case '+':
        for (size_t n = draw(4); n > 0; n--)
            key(line);
        break;
    case '=':
        for (size_t n = draw(4); n > 0; n--) {
            key(line);
            value(line);
        }
        break;
    case '~': line->tells_time = true; break;
    case '*': line->any_order = true; break;
    }
}

static const struct form *weighed(const struct form *all, size_t n)
{
    unsigned sum = 0, at;

    for (size_t i = 0; i < n; i++)
        sum += all[i].weight;
    at = (unsigned)draw(sum);
    for (size_t i = 0;; i++) {
        if (at < all[i].weight)
            return &all[i];
        at -= all[i].weight;
    }
}

#define WEIGHED(list) weighed(list, sizeof(list) / sizeof(list[0]))

/* With Redis behind it, a command that is not known here may be known there: inside MULTI it is queued, and EXEC fails. */
static bool differs_with_redis(const struct form *form, bool in_multi)
{
    return in_multi && strcmp(form->name, "NOSUCHCOMMAND") == 0;
}

static void compose(struct line *line, bool in_multi)
{
    unsigned kind = (unsigned)draw(20);
    const struct form *form = kind == 0 && !in_multi ? WEIGHED(walk_forms)
                              : kind < 4             ? WEIGHED(outer_forms)
                                                     : WEIGHED(forms);

    if (has_redis && differs_with_redis(form, in_multi))
        form = &forms[0];
    *line = (struct line){0};
    word(line, form->name);
    for (const char *what = form->grammar; *what; what++)
        add(line, *what);
}

/* ---- comparing ---- */

struct side {
    struct talk talks[N_CLIENTS];
};

struct world {
    struct scratch scratch;
    struct redis_server reference, behind;
    struct sidecar_process sidecar;
    struct side theirs, ours;
    bool in_multi[N_CLIENTS];         /* perhaps */
    bool multi_tells_time[N_CLIENTS]; /* a command was queued whose reply tells a time */
};

/* Of the line at `at`: a number that may be a little off, or the same bytes. Moves both behind it. */
static bool lines_agree(struct hf_slice a, struct hf_slice b, size_t *at_a, size_t *at_b, bool tolerant)
{
    const char *pa = (const char *)a.data + *at_a, *pb = (const char *)b.data + *at_b;
    const char *end_a = memchr(pa, '\n', a.len - *at_a), *end_b = memchr(pb, '\n', b.len - *at_b);
    size_t len_a, len_b;

    if (!end_a || !end_b)
        return a.len - *at_a == b.len - *at_b && memcmp(pa, pb, a.len - *at_a) == 0;
    len_a = (size_t)(end_a - pa) + 1;
    len_b = (size_t)(end_b - pb) + 1;
    *at_a += len_a;
    *at_b += len_b;
    if (tolerant && *pa == ':' && *pb == ':') {
        long long x = strtoll(pa + 1, NULL, 10), y = strtoll(pb + 1, NULL, 10);
        return x < 0 || y < 0 ? x == y : llabs(x - y) <= TOLERANCE_MS;
    }
    return len_a == len_b && memcmp(pa, pb, len_a) == 0;
}

static bool replies_agree(struct hf_slice a, struct hf_slice b, bool tolerant)
{
    size_t at_a = 0, at_b = 0;

    while (at_a < a.len && at_b < b.len) {
        size_t before = at_a;
        if (!lines_agree(a, b, &at_a, &at_b, tolerant))
            return false;
        if (at_a == before)
            return true;
    }
    return at_a == a.len && at_b == b.len;
}

/* The elements of an array of keys, which hold no line ends, in order. */
static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static size_t elements(char *text, char **all, size_t max)
{
    size_t n = 0;

    for (char *line = strtok(text, "\r\n"); line && n < max; line = strtok(NULL, "\r\n"))
        all[n++] = line;
    qsort(all, n, sizeof(*all), by_text);
    return n;
}

static bool same_elements(struct hf_slice a, struct hf_slice b)
{
    char *text_a = strndup(a.data, a.len), *text_b = strndup(b.data, b.len);
    char *all_a[64], *all_b[64];
    size_t n_a = elements(text_a, all_a, 64), n_b = elements(text_b, all_b, 64);
    bool same = n_a == n_b;

    for (size_t i = 0; same && i < n_a; i++)
        same = strcmp(all_a[i], all_b[i]) == 0;
    free(text_a);
    free(text_b);
    return same;
}

static void show(const char *what, struct hf_slice bytes)
{
    char text[400];

    print_error("%s %s\n", what, hf__printable(bytes, text, sizeof(text)));
}

/* HOLDFAST_TEST_TRACE=1 shows the way to a difference. */
static void trace(int client, const struct line *line, struct hf_slice reply)
{
    char text[120];

    if (!getenv("HOLDFAST_TEST_TRACE"))
        return;
    print_message("%d:", client);
    for (size_t i = 0; i < line->argc; i++)
        print_message(" '%s'", hf__printable(line->argv[i], text, sizeof(text)));
    print_message(" -> %s\n", hf__printable(reply, text, sizeof(text)));
}

static void compare(struct world *w, int client, const struct line *line)
{
    struct hf_slice theirs = talk_reply(&w->theirs.talks[client]), ours = talk_reply(&w->ours.talks[client]);
    bool tolerant = line->tells_time || w->multi_tells_time[client];

    trace(client, line, theirs);
    if (line->any_order ? same_elements(theirs, ours) : replies_agree(theirs, ours, tolerant))
        return;
    for (size_t i = 0; i < line->argc; i++)
        show(i == 0 ? "command:  " : "          ", line->argv[i]);
    show("redis:    ", theirs);
    show("holdfastd:", ours);
    fail_msg("the replies differ (client %d)", client);
}

/* ---- a run ---- */

static void note(struct world *w, int client, const struct line *line)
{
    const char *name = line->argv[0].data;

    if (strcmp(name, "MULTI") == 0)
        w->in_multi[client] = true;
    if (strcmp(name, "EXEC") == 0 || strcmp(name, "DISCARD") == 0)
        w->in_multi[client] = false;
    else
        w->multi_tells_time[client] |= w->in_multi[client] && line->tells_time;
}

static void round_of(struct world *w)
{
    struct line lines[PIPELINE];
    int client = (int)draw(N_CLIENTS);
    size_t n = 1 + draw(PIPELINE);

    for (size_t i = 0; i < n; i++) {
        compose(&lines[i], w->in_multi[client]);
        note(w, client, &lines[i]);
        talk_send(&w->theirs.talks[client], lines[i].argc, lines[i].argv);
        talk_send(&w->ours.talks[client], lines[i].argc, lines[i].argv);
    }
    for (size_t i = 0; i < n; i++)
        compare(w, client, &lines[i]);
    if (!w->in_multi[client])
        w->multi_tells_time[client] = false;
}

static void both(struct world *w, const char *name, const char *argument, bool tells_time)
{
    struct line line = {.tells_time = tells_time};

    word(&line, name);
    if (argument)
        word(&line, argument);
    talk_send(&w->theirs.talks[0], line.argc, line.argv);
    talk_send(&w->ours.talks[0], line.argc, line.argv);
    compare(w, 0, &line);
}

/* Every key, its value and its time. */
static void compare_contents(struct world *w)
{
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        both(w, "GET", keys[i], false);
        both(w, "PTTL", keys[i], true);
        both(w, "PEXPIRETIME", keys[i], true);
    }
    if (!has_redis)
        both(w, "DBSIZE", NULL,
             false); /* Redis counts what has expired until somebody looks at it: now somebody has */
}

static void open_talks(struct world *w)
{
    for (int i = 0; i < N_CLIENTS; i++) {
        talk_open(&w->theirs.talks[i], w->reference.socket);
        talk_open(&w->ours.talks[i], w->sidecar.socket);
    }
    (void)talk_ask(&w->theirs.talks[N_CLIENTS - 1], "HELLO 3"); /* one client speaks RESP3; who is who differs */
    (void)talk_ask(&w->ours.talks[N_CLIENTS - 1], "HELLO 3");
}

static void close_talks(struct world *w)
{
    for (int i = 0; i < N_CLIENTS; i++) {
        talk_close(&w->theirs.talks[i]);
        talk_close(&w->ours.talks[i]);
        w->in_multi[i] = w->multi_tells_time[i] = false;
    }
}

static int tear_down(void **state)
{
    struct world *w = *state;

    close_talks(w);
    sidecar_stop(&w->sidecar);
    redis_server_stop(&w->reference);
    redis_server_stop(&w->behind);
    scratch_remove(&w->scratch);
    free(w);
    return 0;
}

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof(*w));

    assert_non_null(w);
    *state = w;
    scratch_make(&w->scratch);
    assert_int_equal(redis_server_start(&w->reference, NULL), 0);
    seed_chance();
    return 0;
}

static void test_without_redis_every_reply_is_the_one_of_redis_server(void **state)
{
    struct world *w = *state;

    has_redis = false;
    sidecar_start(&w->sidecar, w->scratch.dir, NULL, NULL);
    open_talks(w);
    for (int i = 0; i < ROUNDS; i++)
        round_of(w);
    close_talks(w);
    sidecar_restart(&w->sidecar);
    open_talks(w);
    compare_contents(w);
}

/* ---- with Redis behind it ---- */

/* What Redis holds behind holdfastd, after everything was shared. */
static void compare_behind(struct world *w)
{
    struct side ours;

    assert_string_equal(talk_ask(&w->ours.talks[0], "HOLDFAST WAIT 10000"), ":1|");
    ours = w->ours;
    talk_open(&w->ours.talks[0], w->behind.socket);
    compare_contents(w);
    talk_close(&w->ours.talks[0]);
    w->ours = ours;
}

static void test_with_redis_behind_it_the_replies_and_what_redis_holds_are_the_same(void **state)
{
    struct world *w = *state;

    assert_int_equal(redis_server_start(&w->behind, NULL), 0);
    has_redis = true;
    sidecar_start(&w->sidecar, w->scratch.dir, w->behind.address, NULL);
    open_talks(w);
    assert_true(wait_until(talk_is_online, &w->ours.talks[0], SIDECAR_WAIT_MS));
    for (int i = 0; i < SHARED_ROUNDS; i++)
        round_of(w);
    close_talks(w);
    open_talks(w);
    compare_contents(w);
    compare_behind(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_without_redis_every_reply_is_the_one_of_redis_server, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_with_redis_behind_it_the_replies_and_what_redis_holds_are_the_same,
                                        set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
