/* SCAN, KEYS, RANDOMKEY and DBSIZE. While Redis is online they are about what Redis holds, with the keys here that are never shared;
 * while it is away, about what is held here. */
#include "client.h"
#include "command.h"
#include "cursors.h"
#include "listing.h"
#include "number.h"
#include "replies.h"
#include "scan_handlers.h"
#include "server.h"
#include "space.h"
#include "upstream.h"
#include "walk.h"
#include "words.h"

#include <stdio.h>

#define SCAN_COUNT_DEFAULT 10
#define SCAN_LOOKS 10 /* at so many keys for each of COUNT, for want of matches: then the client asks again */
#define DRAWS "100"   /* of RANDOMKEY, until the client may see one */

static bool is_error(const struct reply *reply)
{
    return reply->bytes.len > 0 && reply->bytes.bytes[0] == '-';
}

static bool begins_with(const struct reply *reply, const char *text)
{
    return hf__slice_starts_with(hf__slice(reply->bytes.bytes, reply->bytes.len), hf__slice_str(text));
}

/* Redis went away before it answered. */
static bool is_lost(const struct call *call)
{
    return begins_with(call->reply, "-INDOUBT ") ||
           (begins_with(call->reply, "-OFFLINE ") && !hf_is_online(call->server->store));
}

/* Take the answer of Redis out of the reply. False: it is an error, and stays; or there is none, and what is held here counts. */
static bool take_answer(struct call *call, struct hf_bytes *ret_answer)
{
    if (is_lost(call)) {
        call->reply->bytes.len = 0;
        space_wait(call);
        return false;
    }
    if (is_error(call->reply))
        return false;
    *ret_answer = call->reply->bytes;
    call->reply->bytes = (struct hf_bytes){0};
    return true;
}

static void reply_misunderstood(struct call *call)
{
    reply_error(call->reply, "ERR Redis answered '%s' with something else than is known of it",
                call->command->name);
}

/* The same command to Redis, with what was found here to be put before its answer. */
static void ask_redis_too(struct call *call, upstream_then_fn *then)
{
    struct reply ours = space_answer(call);

    if (!call->client || is_error(call->reply))
        return;
    ours.bytes = call->reply->bytes;
    call->reply->bytes = (struct hf_bytes){0};
    upstream_ask(call, call->argc, call->argv, &ours, then);
}

/* ---- KEYS ---- */

static void keys_here(struct call *call, bool only_ours)
{
    struct walk walk = walk_new(call, call->argv[1]);
    int rc;

    walk.only_ours = only_ours;
    rc = call->argv[1].len > 0 ? walk_go(&walk, hf__slice(NULL, 0)) : 0; /* no key matches the empty pattern */
    if (rc == 0)
        walk_reply(&walk);
    else
        call_fail(call, rc);
    walk_release(&walk);
}

static void our_keys(struct call *call)
{
    keys_here(call, true);
}

static void reply_keys(struct call *call, const struct hf_bytes *answer, const struct reply *ours)
{
    struct listing theirs = listing_of(answer), here = listing_of(&ours->bytes);
    struct reply keys = space_answer(call);
    size_t n_ours = 0, n = 0;

    (void)listing_take_array(&here, &n_ours); /* nothing was looked for here, if it is none */
    if (listing_filter(call, &theirs, &keys, &n)) {
        reply_array(call->reply, n_ours + n);
        reply_raw(call->reply, here.at, (size_t)(here.end - here.at));
        reply_add(call->reply, &keys);
    } else {
        reply_misunderstood(call);
    }
    reply_release(&keys);
}

static void join_keys(struct call *call, const struct reply *ours)
{
    struct hf_bytes answer;

    if (!take_answer(call, &answer))
        return;
    reply_keys(call, &answer, ours);
    hf__bytes_release(&answer);
}

static void then_their_keys(struct call *call)
{
    ask_redis_too(call, join_keys);
}

/* KEYS pattern */
static void cmd_keys(struct call *call)
{
    if (call->scratch)
        keys_here(call, false);
    else if (!space_asks_redis(call))
        space_wait(call);
    else if (space_has_ours(call))
        call_work(call, our_keys, then_their_keys);
    else
        upstream_ask(call, call->argc, call->argv, NULL, join_keys);
}

/* ---- SCAN ---- */

/* What a cursor stands for: one of these letters, and what is said behind it. */
enum scan_place {
    SCAN_HELD = 'h',  /* of the keys held here: the key that was seen last */
    SCAN_REDIS = 'r', /* of those of Redis: Redis's cursor */
    SCAN_OURS = 'o',  /* of those that are never shared, which come behind Redis's: the key that was seen last */
};

struct scan_options {
    uint64_t cursor;
    struct hf_slice pattern, type;
    int64_t count;
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
        o->type = *value;
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

/* The number of a place; 0: the end, or there is no memory, and the call is answered. */
static bool number_of(struct call *call, enum scan_place place, struct hf_slice where, uint64_t *ret_number)
{
    struct hf_bytes bytes = {0};
    char letter = (char)place;
    int rc = hf__bytes_append(&bytes, &letter, 1);

    if (rc == 0)
        rc = hf__bytes_append(&bytes, where.data, where.len);
    if (rc == 0)
        rc = cursors_put(call->server->space->cursors, hf__slice(bytes.bytes, bytes.len), ret_number);
    hf__bytes_release(&bytes);
    if (rc != 0)
        call_fail(call, rc);
    return rc == 0;
}

static void reply_cursor(struct call *call, uint64_t number)
{
    char text[24];

    snprintf(text, sizeof(text), "%llu", (unsigned long long)number);
    reply_array(call->reply, 2);
    reply_text(call->reply, text);
}

/* ---- over what is held here ---- */

static void reply_page(struct walk *walk, enum scan_place place)
{
    uint64_t next = 0;

    if (!walk->at_end && !number_of(walk->call, place, hf__slice(walk->last.bytes, walk->last.len), &next))
        return;
    reply_cursor(walk->call, next);
    walk_reply(walk);
}

static void scan_held(struct call *call, const struct scan_options *options, enum scan_place place,
                      struct hf_slice after)
{
    struct walk walk = walk_new(call, options->pattern);
    int rc = 0;

    walk.only_ours = place == SCAN_OURS;
    walk.max_found = (size_t)options->count;
    walk.max_looked = options->count < INT64_MAX / SCAN_LOOKS ? (size_t)options->count * SCAN_LOOKS : SIZE_MAX;
    walk.at_end = options->pattern.len == 0 || (options->type.data && !word_is(options->type, "string"));
    if (!walk.at_end)
        rc = walk_go(&walk, after);
    if (rc == 0)
        reply_page(&walk, place);
    else
        call_fail(call, rc);
    walk_release(&walk);
}

/* ---- over what Redis holds ---- */

/* Behind the last page of Redis the keys come that it does not have. */
static bool next_number(struct call *call, struct hf_slice cursor, uint64_t *ret_number)
{
    *ret_number = 0;
    if (!hf__slice_eq(cursor, hf__slice_str("0")))
        return number_of(call, SCAN_REDIS, cursor, ret_number);
    return !space_has_ours(call) || number_of(call, SCAN_OURS, hf__slice(NULL, 0), ret_number);
}

static void reply_their_page(struct call *call, const struct hf_bytes *answer)
{
    struct listing theirs = listing_of(answer);
    struct reply keys = space_answer(call);
    struct hf_slice cursor;
    uint64_t number;
    size_t n;

    if (!listing_take_array(&theirs, &n) || n != 2 || !listing_take_bulk(&theirs, &cursor) ||
        !listing_filter(call, &theirs, &keys, &n)) {
        reply_misunderstood(call);
    } else if (next_number(call, cursor, &number)) {
        reply_cursor(call, number);
        reply_array(call->reply, n);
        reply_add(call->reply, &keys);
    }
    reply_release(&keys);
}

static void filter_page(struct call *call, const struct reply *before)
{
    struct hf_bytes answer;

    (void)before;
    if (!take_answer(call, &answer))
        return;
    reply_their_page(call, &answer);
    hf__bytes_release(&answer);
}

static void scan_redis(struct call *call, const struct scan_options *options, struct hf_slice cursor)
{
    char count[24];
    struct hf_slice words[8] = {hf__slice_str("SCAN"), cursor, hf__slice_str("MATCH"), options->pattern,
                                hf__slice_str("COUNT")};
    size_t n = 5;

    snprintf(count, sizeof(count), "%lld", (long long)options->count);
    words[n++] = hf__slice_str(count);
    if (options->type.data) {
        words[n++] = hf__slice_str("TYPE");
        words[n++] = options->type;
    }
    upstream_ask(call, n, words, NULL, filter_page);
}

/* A place of a walk over what is held here means nothing to one over Redis, and the reverse: then it begins again. */
static void scan_from(struct call *call, const struct scan_options *options, struct hf_slice place)
{
    char letter = place.len > 0 ? *(const char *)place.data : 0;
    struct hf_slice where = hf__slice((const char *)place.data + (place.len > 0), place.len - (place.len > 0));
    bool asks = !call->scratch && letter != SCAN_OURS && space_asks_redis(call);

    if (asks)
        scan_redis(call, options, letter == SCAN_REDIS ? where : hf__slice_str("0"));
    else if (!call->scratch)
        space_wait(call);
    else if (letter == SCAN_REDIS)
        scan_held(call, options, SCAN_HELD, hf__slice(NULL, 0));
    else
        scan_held(call, options, letter == SCAN_OURS ? SCAN_OURS : SCAN_HELD, where);
}

/* SCAN cursor [MATCH pattern] [COUNT count] [TYPE type] */
static void cmd_scan(struct call *call)
{
    struct scan_options options;
    struct hf_buf place = {0};
    int rc;

    if (!parse_scan(call, &options))
        return;
    rc = cursors_take(call->server->space->cursors, options.cursor, &place);
    if (rc == 0)
        scan_from(call, &options, hf__slice(place.data, place.len));
    else
        call_fail(call, rc);
    hf_buf_release(&place);
}

/* ---- RANDOMKEY ---- */

static void draw_here(struct call *call)
{
    struct walk walk = walk_new(call, hf__slice(NULL, 0));
    int rc;

    walk.picks = (uint64_t)space_now_ms(call) ^ (uint64_t)(uintptr_t)&walk ^ call->client->id << 32 ^ 1;
    rc = walk_go(&walk, hf__slice(NULL, 0));
    if (rc != 0)
        call_fail(call, rc);
    else if (walk.n_found == 0)
        reply_null(call->reply);
    else
        reply_bulk(call->reply, hf__slice(walk.last.bytes, walk.last.len));
    walk_release(&walk);
}

/* The first of the drawn keys that the client may see; if there is none, one that is held here. */
static void pick(struct call *call, const struct reply *before)
{
    struct hf_bytes answer;
    struct listing drawn;
    struct hf_slice key;
    bool found = false;
    size_t n;

    (void)before;
    if (!take_answer(call, &answer))
        return;
    drawn = listing_of(&answer);
    if (listing_take_array(&drawn, &n)) {
        while (!found && listing_take_bulk(&drawn, &key))
            found = listing_shows(call, key);
    }
    if (found)
        reply_bulk(call->reply, key);
    else
        call_work(call, draw_here, NULL);
    hf__bytes_release(&answer);
}

static void draw_there(struct call *call)
{
    struct hf_slice words[] = {
        hf__slice_str("EVAL"),
        hf__slice_str("local keys = {} for i = 1, " DRAWS " do keys[i] = redis.call('RANDOMKEY') end return keys"),
        hf__slice_str("0"),
    };

    upstream_ask(call, sizeof(words) / sizeof(words[0]), words, NULL, pick);
}

/* RANDOMKEY */
static void cmd_randomkey(struct call *call)
{
    if (call->scratch)
        draw_here(call);
    else if (space_asks_redis(call))
        draw_there(call);
    else
        space_wait(call);
}

/* ---- DBSIZE ---- */

static void count_held(struct call *call)
{
    struct hf_status status;
    int rc = hf_status(call->server->store, &status);

    if (rc == 0)
        reply_integer(call->reply, (int64_t)status.keys);
    else
        call_fail(call, rc);
}

static void count_ours(struct call *call)
{
    struct walk walk = walk_new(call, hf__slice(NULL, 0));
    int rc;

    walk.only_ours = walk.only_count = true;
    rc = walk_go(&walk, hf__slice(NULL, 0));
    if (rc == 0)
        reply_integer(call->reply, (int64_t)walk.n_found);
    else
        call_fail(call, rc);
    walk_release(&walk);
}

static void add_count(struct call *call, const struct reply *ours)
{
    struct hf_bytes answer;
    struct listing theirs, here = listing_of(&ours->bytes);
    int64_t n, n_ours = 0;

    if (!take_answer(call, &answer))
        return;
    theirs = listing_of(&answer);
    (void)listing_take_number(&here, &n_ours); /* nothing was counted here, if there is none */
    if (listing_take_number(&theirs, &n))
        reply_integer(call->reply, n + n_ours);
    else
        reply_misunderstood(call);
    hf__bytes_release(&answer);
}

static void then_their_count(struct call *call)
{
    ask_redis_too(call, add_count);
}

/* DBSIZE */
static void cmd_dbsize(struct call *call)
{
    if (call->scratch)
        count_held(call);
    else if (!space_asks_redis(call))
        space_wait(call);
    else if (space_has_ours(call))
        call_work(call, count_ours, then_their_count);
    else
        upstream_ask(call, call->argc, call->argv, NULL, add_count);
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
