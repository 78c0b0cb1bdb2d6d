/* What a plain client, and the test, does to both sides: keys, bookkeeping, troubles. */
#include "model_words.h"

#include <inttypes.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <cmocka.h>

#define TROUBLE_WAIT_MS 10000

/* ---- plain commands ---- */

redisReply *pair_must(struct pair *pair, redisReply *reply, const char *what)
{
    if (!reply || reply->type == REDIS_REPLY_ERROR)
        fail_msg("%s: %s (HOLDFAST_SEED=%" PRIu64 ")", what, reply ? reply->str : "no answer", pair->seed);
    return reply;
}

void pair_run(struct pair *pair, const char *format, ...)
{
    redisReply *reply;
    va_list args;

    va_start(args, format);
    reply = pair_must(pair, redisvCommand(pair->plain, format, args), format);
    va_end(args);
    freeReplyObject(reply);
}

/* It is on this machine. */
int64_t pair_now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

void pair_wait_until(int64_t redis_ms)
{
    int64_t now;

    while ((now = pair_now_ms()) <= redis_ms + 1)
        (void)poll(NULL, 0, (int)(redis_ms + 2 - now));
}

/* ---- what is done to both ---- */

/* "log <space>" is the name of its log on that side. */
static const char *name_on(const struct pair *pair, int side, const char *key)
{
    return strncmp(key, "log ", 4) == 0 ? pair->sides[side].logs[key[4] - '0'].key : key;
}

static void say_plain(struct pair *pair, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say_plain(struct pair *pair, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(pair->asked, sizeof(pair->asked), format, args);
    va_end(args);
    pair_tell_asked(pair);
}

void pair_set(struct pair *pair, const char *key, const char *value, int64_t deadline_ms)
{
    say_plain(pair, "plain client: set %s", key);
    if (deadline_ms > 0)
        pair_run(pair, "SET %s %s PXAT %" PRId64, name_on(pair, PAIR_REAL, key), value, deadline_ms);
    else
        pair_run(pair, "SET %s %s", name_on(pair, PAIR_REAL, key), value);
    fake_redis_foreign_set(name_on(pair, PAIR_MODEL, key), value, deadline_ms);
}

/* One that is made anew must not get an id that it had before: ids are milliseconds. */
void pair_delete(struct pair *pair, const char *key)
{
    say_plain(pair, "plain client: delete %s", key);
    pair_read_logs(pair);
    pair_run(pair, "DEL %s", name_on(pair, PAIR_REAL, key));
    fake_redis_foreign_delete(name_on(pair, PAIR_MODEL, key));
    pair_wait_until(pair_now_ms() + 1);
}

void pair_expire(struct pair *pair, const char *key, int64_t deadline_ms)
{
    say_plain(pair, "plain client: expire %s", key);
    if (deadline_ms != 0)
        pair_run(pair, "PEXPIREAT %s %" PRId64, key, deadline_ms);
    else
        pair_run(pair, "PERSIST %s", key);
    fake_redis_foreign_expire(key, deadline_ms);
}

void pair_other_type(struct pair *pair, const char *key, bool hash)
{
    pair_delete(pair, key);
    say_plain(pair, "plain client: another type for %s", key);
    pair_run(pair, hash ? "HSET %s f v" : "RPUSH %s v w", name_on(pair, PAIR_REAL, key));
    fake_redis_other_type(name_on(pair, PAIR_MODEL, key), hash ? "hash" : "list");
}

void pair_trim(struct pair *pair, size_t n_left)
{
    redisReply *logs;

    say_plain(pair, "plain client: trim logs to %zu", n_left);
    pair_read_logs(pair);
    logs = pair_must(pair, redisCommand(pair->plain, "KEYS _hf:*:log:*"), "KEYS");
    pair_run(pair, "MULTI"); /* one turn of the server, and no matter what else is there */
    for (size_t i = 0; i < logs->elements; i++)
        pair_run(pair, "XTRIM %s MAXLEN = %u", logs->element[i]->str, (unsigned)n_left);
    pair_run(pair, "EXEC");
    freeReplyObject(logs);
    fake_redis_trim_log(n_left);
}

void pair_entry(struct pair *pair, size_t space)
{
    say_plain(pair, "plain client: an entry for %s", pair_prefixes[space]);
    freeReplyObject(
        redisCommand(pair->plain, "XADD %s NOMKSTREAM * some thing", pair->sides[PAIR_REAL].logs[space].key));
    fake_redis_foreign_entry(pair->sides[PAIR_MODEL].logs[space].key);
}

/* The server's own cycle is switched off; SCAN takes away whatever it finds dead. */
void pair_take_away_dead(struct pair *pair)
{
    say_plain(pair, "what is dead is taken away");
    pair_run(pair, "SCAN 0 COUNT 100000");
    fake_redis_expire();
}

void pair_wipe(struct pair *pair)
{
    say_plain(pair, "plain client: flush all");
    pair_read_logs(pair);
    pair_run(pair, "FLUSHALL");
    fake_redis_wipe();
    pair_wait_until(pair_now_ms() + 1);
}

void pair_swap(struct pair *pair)
{
    say_plain(pair, "plain client: exchange databases");
    pair_read_logs(pair);
    pair_run(pair, "SWAPDB 0 1");
    fake_redis_swap();
}

/* ---- troubles ---- */

static bool is_refused(struct pair *pair, const char *word)
{
    redisReply *reply = redisCommand(pair->plain, "GET nothing");
    bool refused = reply && reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, word, strlen(word)) == 0;

    freeReplyObject(reply);
    return refused;
}

static void be_busy(struct pair *pair, bool has)
{
    void *reply = NULL;

    pair->is_busy = has;
    if (has) {
        redisAppendCommand(pair->busy, "EVAL %s 0", "while true do end");
        assert_int_equal(redisBufferWrite(pair->busy, NULL), REDIS_OK);
        for (int i = 0; i < TROUBLE_WAIT_MS && !is_refused(pair, "BUSY"); i++)
            (void)poll(NULL, 0, 1);
        return;
    }
    pair_run(pair, "SCRIPT KILL");
    for (int i = 0; i < TROUBLE_WAIT_MS && is_refused(pair, "BUSY"); i++)
        (void)poll(NULL, 0, 1);
    assert_int_equal(redisGetReply(pair->busy, &reply), REDIS_OK);
    freeReplyObject(reply);
}

static bool save_has_failed(struct pair *pair)
{
    redisReply *reply = pair_must(pair, redisCommand(pair->plain, "INFO persistence"), "INFO");
    bool failed = strstr(reply->str, "rdb_last_bgsave_status:err");

    freeReplyObject(reply);
    return failed;
}

/* A save that failed refuses writes while saves are asked for. */
static void fail_to_save(struct pair *pair, bool has)
{
    char path[64];

    pair_run(pair, "CONFIG SET save %s dbfilename %s", has ? "3600 1000000" : "", has ? "d" : "file");
    if (!has) {
        pair_run(pair, "SAVE");
        return;
    }
    snprintf(path, sizeof(path), "%s/d", pair->server.dir);
    (void)mkdir(path, 0700); /* in the place of the file; it may be there from the last time */
    pair_run(pair, "BGSAVE");
    for (int i = 0; i < TROUBLE_WAIT_MS && !save_has_failed(pair); i++)
        (void)poll(NULL, 0, 1);
}

#define FILLERS 150 /* keys, each loaded in as much time, of which requests get some */
#define FILLER_BYTES 1500
#define LOAD_US "20000"

/* It saves all, and loads it slowly; its own answer comes when it is done. */
static void load_slowly(struct pair *pair, bool has)
{
    char key[16], value[FILLER_BYTES + 1];
    void *reply = NULL;

    if (!has) {
        pair_run(pair, "CONFIG SET key-load-delay 0");
        assert_int_equal(redisGetReply(pair->busy, &reply), REDIS_OK);
        freeReplyObject(pair_must(pair, reply, "DEBUG RELOAD"));
        return;
    }
    memset(value, 'f', FILLER_BYTES);
    value[FILLER_BYTES] = '\0';
    for (int i = 0; i < FILLERS; i++) {
        snprintf(key, sizeof(key), "c:%d", i);
        pair_set(pair, key, value, 0);
    }
    pair_run(pair,
             "CONFIG SET rdbcompression no loading-process-events-interval-bytes 1024 key-load-delay " LOAD_US);
    redisAppendCommand(pair->busy, "DEBUG RELOAD");
    assert_int_equal(redisBufferWrite(pair->busy, NULL), REDIS_OK);
    for (int i = 0; i < TROUBLE_WAIT_MS && !is_refused(pair, "LOADING"); i++)
        (void)poll(NULL, 0, 1);
}

void pair_trouble(struct pair *pair, enum fake_trouble trouble, bool has)
{
    say_plain(pair, "trouble %d %s", (int)trouble, has ? "begins" : "ends");
    fake_redis_trouble(trouble, has);
    switch (trouble) {
    case FAKE_TROUBLE_OOM: pair_run(pair, "CONFIG SET maxmemory %d", has ? 1 : 0); break;
    case FAKE_TROUBLE_READONLY:
        pair_run(pair, "REPLICAOF %s %s", has ? "127.0.0.1" : "NO", has ? "1" : "ONE");
        break;
    case FAKE_TROUBLE_NOPERM: pair_run(pair, "ACL SETUSER default %s", has ? "resetkeys" : "~*"); break;
    case FAKE_TROUBLE_NOAUTH:
        pair_run(pair, has ? "ACL SETUSER default resetpass >x" : "ACL SETUSER default nopass");
        break;
    case FAKE_TROUBLE_MISCONF: fail_to_save(pair, has); break;
    case FAKE_TROUBLE_BUSY: be_busy(pair, has); break;
    case FAKE_TROUBLE_LOADING: load_slowly(pair, has); break;
    default: break;
    }
}

void pair_halt(struct pair *pair, bool halted)
{
    say_plain(pair, "the server %s", halted ? "is stopped" : "goes on");
    pair->is_busy = halted;
    fake_redis_keep_time(halted);
    fake_redis_halt(halted);
    if (halted) {
        redis_server_pause(&pair->server);
        return;
    }
    redis_server_resume(&pair->server);
    for (int i = 0; i < 2; i++) /* a turn that began before may have been this one's only */
        pair_run(pair, "PING");
}
