/* Walks over the keys that are held here. They read the disk and wait for it, so a worker runs them. */
#include "client.h"
#include "command.h"
#include "cursors.h"
#include "glob.h"
#include "number.h"
#include "replies.h"
#include "server.h"
#include "settings.h"
#include "space.h"
#include "words.h"

#include <stdio.h>
#include <stdlib.h>

#define SCAN_COUNT_DEFAULT 10
#define FLUSH_PAGE 1024
#define SCAN_LOOKS 10 /* at so many keys for each of COUNT, for want of matches: then the client asks again */

/* What a walk is for, and what it has found. */
struct walk {
    struct call *call;
    struct hf_slice pattern; /* empty: every key */
    struct reply found;
    size_t n_found, n_looked;
    size_t max_found, max_looked;
    struct hf_bytes last; /* the key that was looked at last, or picked */
    bool at_end;
    uint64_t picks; /* not 0: one key at random, drawn from this */
};

static bool matches(const struct walk *walk, struct hf_slice key)
{
    const struct user *user = walk->call->user;

    if (walk->pattern.len > 0 && !glob_match(walk->pattern, key))
        return false;
    return user->n_prefixes == 0 || user_may_touch(user, key);
}

/* Of those found until now, each with the same chance (xorshift, for what need not be secret). */
static bool is_picked(struct walk *walk)
{
    walk->picks ^= walk->picks << 13;
    walk->picks ^= walk->picks >> 7;
    walk->picks ^= walk->picks << 17;
    return walk->picks % walk->n_found == 0;
}

static int look_at(struct walk *walk, struct hf_slice key)
{
    bool found = matches(walk, key);

    walk->n_looked++;
    walk->n_found += found;
    if (walk->picks != 0 && !(found && is_picked(walk)))
        return 0;
    if (found && walk->picks == 0)
        reply_bulk(&walk->found, key);
    hf__bytes_reset(&walk->last);
    return hf__bytes_append(&walk->last, key.data, key.len);
}

/* From behind `after` on, until enough was found or looked at. */
static int go(struct walk *walk, struct hf_slice after)
{
    struct hf_scan *scan = NULL;
    struct hf_slice key;
    int rc = hf_scan_open(walk->call->server->store, glob_prefix(walk->pattern), after, &scan);

    while (rc == 0 && walk->n_found < walk->max_found && walk->n_looked < walk->max_looked) {
        rc = hf_scan_next(scan, &key, NULL, NULL);
        if (rc == 0)
            rc = look_at(walk, key);
    }
    hf_scan_close(scan);
    walk->at_end = rc == HF_NOT_FOUND;
    return rc == HF_NOT_FOUND ? 0 : rc;
}

static void walk_release(struct walk *walk)
{
    hf__bytes_release(&walk->last);
    reply_release(&walk->found);
}

static struct walk new_walk(struct call *call, struct hf_slice pattern)
{
    return (struct walk){.call = call,
                         .pattern = pattern,
                         .found = space_answer(call),
                         .max_found = SIZE_MAX,
                         .max_looked = SIZE_MAX};
}

static void reply_found(struct walk *walk)
{
    reply_array(walk->call->reply, walk->n_found);
    reply_raw(walk->call->reply, walk->found.bytes.bytes, walk->found.bytes.len);
    walk->call->reply->failed |= walk->found.failed;
}

/* ---- KEYS ---- */

/* KEYS pattern */
static void cmd_keys(struct call *call)
{
    struct walk walk;
    int rc;

    if (!call->scratch) {
        space_wait(call);
        return;
    }
    walk = new_walk(call, call->argv[1]);
    rc = call->argv[1].len > 0 ? go(&walk, hf__slice(NULL, 0)) : 0; /* no key matches the empty pattern */
    if (rc == 0)
        reply_found(&walk);
    else
        call_fail(call, rc);
    walk_release(&walk);
}

/* ---- SCAN ---- */

struct scan_options {
    uint64_t cursor;
    struct hf_slice pattern;
    int64_t count;
    bool only_others; /* TYPE of something that is not held here */
};

static bool take_count(struct call *call, struct hf_slice text, struct scan_options *o)
{
    if (!number_parse(text, &o->count)) {
        reply_not_an_integer(call->reply);
        return false;
    }
    if (o->count < 1)
        reply_syntax_error(call->reply);
    return o->count >= 1;
}

/* One option with its value. False: an error was replied. */
static bool take_option(struct call *call, struct hf_slice word, const struct hf_slice *value,
                        struct scan_options *o)
{
    if (value && word_is(word, "count"))
        return take_count(call, *value, o);
    if (value && word_is(word, "match")) {
        o->pattern = *value;
        return true;
    }
    if (value && word_is(word, "type")) {
        o->only_others = !word_is(*value, "string");
        return true;
    }
    reply_syntax_error(call->reply);
    return false;
}

static bool parse_scan(struct call *call, struct scan_options *ret_options)
{
    struct scan_options o = {.pattern = hf__slice_str("*"), .count = SCAN_COUNT_DEFAULT};

    if (!number_parse_unsigned(call->argv[1], &o.cursor)) {
        reply_error(call->reply, "ERR invalid cursor");
        return false;
    }
    for (size_t i = 2; i < call->argc; i += 2) {
        if (!take_option(call, call->argv[i], i + 1 < call->argc ? &call->argv[i + 1] : NULL, &o))
            return false;
    }
    *ret_options = o;
    return true;
}

static void reply_page(struct walk *walk)
{
    struct call *call = walk->call;
    uint64_t next = 0;
    char text[24];
    int rc = 0;

    if (!walk->at_end)
        rc = cursors_put(call->server->space->cursors, hf__slice(walk->last.bytes, walk->last.len), &next);
    if (rc != 0) {
        call_fail(call, rc);
        return;
    }
    snprintf(text, sizeof(text), "%llu", (unsigned long long)next);
    reply_array(call->reply, 2);
    reply_text(call->reply, text);
    reply_found(walk);
}

static void scan(struct call *call, const struct scan_options *options)
{
    struct walk walk = new_walk(call, options->pattern);
    struct hf_buf after = {0};
    int rc = cursors_take(call->server->space->cursors, options->cursor, &after);

    walk.max_found = (size_t)options->count;
    walk.max_looked = options->count < INT64_MAX / SCAN_LOOKS ? (size_t)options->count * SCAN_LOOKS : SIZE_MAX;
    walk.at_end = options->only_others || options->pattern.len == 0;
    if (rc == 0 && !walk.at_end)
        rc = go(&walk, hf__slice(after.data, after.len));
    if (rc == 0)
        reply_page(&walk);
    else
        call_fail(call, rc);
    hf_buf_release(&after);
    walk_release(&walk);
}

/* SCAN cursor [MATCH pattern] [COUNT count] [TYPE type] */
static void cmd_scan(struct call *call)
{
    struct scan_options options;

    if (!parse_scan(call, &options))
        return;
    if (call->scratch)
        scan(call, &options);
    else
        space_wait(call);
}

/* ---- RANDOMKEY, DBSIZE ---- */

/* RANDOMKEY */
static void cmd_randomkey(struct call *call)
{
    struct walk walk;
    int rc;

    if (!call->scratch) {
        space_wait(call);
        return;
    }
    walk = new_walk(call, hf__slice(NULL, 0));
    walk.picks = (uint64_t)space_now_ms(call) ^ (uint64_t)(uintptr_t)&walk ^ call->client->id << 32 ^ 1;
    rc = go(&walk, hf__slice(NULL, 0));
    if (rc != 0)
        call_fail(call, rc);
    else if (walk.n_found == 0)
        reply_null(call->reply);
    else
        reply_bulk(call->reply, hf__slice(walk.last.bytes, walk.last.len));
    walk_release(&walk);
}

/* DBSIZE */
static void cmd_dbsize(struct call *call)
{
    struct hf_status status;
    int rc;

    if (!call->scratch) {
        space_wait(call);
        return;
    }
    rc = hf_status(call->server->store, &status);
    if (rc == 0)
        reply_integer(call->reply, (int64_t)status.keys);
    else
        call_fail(call, rc);
}

/* ---- FLUSHDB ---- */

/* A page of keys, which are deleted together. */
struct page {
    struct hf_bytes bytes;
    size_t lens[FLUSH_PAGE];
    struct hf_op ops[FLUSH_PAGE];
    size_t n;
};

static int fill(struct call *call, struct page *page)
{
    struct hf_scan *scan = NULL;
    struct hf_slice key;
    int rc = hf_scan_open(call->server->store, hf__slice(NULL, 0), hf__slice(NULL, 0), &scan);

    page->n = 0;
    hf__bytes_reset(&page->bytes);
    while (rc == 0 && page->n < FLUSH_PAGE) {
        rc = hf_scan_next(scan, &key, NULL, NULL);
        if (rc == 0)
            rc = hf__bytes_append(&page->bytes, key.data, key.len);
        if (rc == 0)
            page->lens[page->n++] = key.len;
    }
    hf_scan_close(scan);
    return rc == HF_NOT_FOUND ? 0 : rc;
}

static void clear(struct call *call, struct page *page)
{
    const uint8_t *at = page->bytes.bytes;

    for (size_t i = 0; i < page->n; i++) {
        page->ops[i] = (struct hf_op){.kind = HF_OP_DELETE, .key = hf__slice(at, page->lens[i])};
        at += page->lens[i];
    }
    call->reply->bytes.len = 0; /* of the page before */
    space_write_all(call, page->ops, page->n, SPACE_EACH, NULL);
}

static bool has_failed(const struct call *call)
{
    return call->reply->bytes.len > 0 && call->reply->bytes.bytes[0] == '-';
}

static void flush(struct call *call)
{
    struct page *page = calloc(1, sizeof(*page));
    int rc = page ? 0 : HF_ENOMEM;

    while (rc == 0 && !has_failed(call)) {
        rc = fill(call, page);
        if (rc != 0 || page->n == 0)
            break;
        clear(call, page);
    }
    if (rc != 0)
        call_fail(call, rc);
    else if (call->reply->bytes.len == 0)
        reply_status(call->reply, "OK");
    if (page)
        hf__bytes_release(&page->bytes);
    free(page);
}

/* FLUSHDB [ASYNC | SYNC]: every key that is held here, one by one; shared ones in Redis, too. */
static void cmd_flushdb(struct call *call)
{
    if (call->argc > 2 || (call->argc == 2 && !word_is(call->argv[1], "async") && !word_is(call->argv[1], "sync")))
        reply_syntax_error(call->reply);
    else if (call->scratch)
        flush(call);
    else
        space_wait(call);
}

const struct command scan_commands[] = {
    {"scan", cmd_scan, -2, COMMAND_READ | COMMAND_NOT_IN_MULTI, 0, 0, 0, "generic", "2.8.0", NULL},
    {"keys", cmd_keys, 2, COMMAND_READ | COMMAND_NOT_IN_MULTI, 0, 0, 0, "generic", "1.0.0", NULL},
    {"randomkey", cmd_randomkey, 1, COMMAND_READ | COMMAND_NOT_IN_MULTI, 0, 0, 0, "generic", "1.0.0", NULL},
    {"dbsize", cmd_dbsize, 1, COMMAND_READ | COMMAND_NOT_IN_MULTI, 0, 0, 0, "server", "1.0.0", NULL},
    {"flushdb", cmd_flushdb, -1, COMMAND_WRITE | COMMAND_ADMIN | COMMAND_NOT_IN_MULTI, 0, 0, 0, "server", "1.0.0",
     NULL},
    {"flushall", cmd_flushdb, -1, COMMAND_WRITE | COMMAND_ADMIN | COMMAND_NOT_IN_MULTI, 0, 0, 0, "server", "1.0.0",
     NULL},
    {0},
};
