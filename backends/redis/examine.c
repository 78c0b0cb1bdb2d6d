/* Examining: what is under keys, and what the change logs have named since, in this order.
 *
 *   script:    [WATCH key ...], EVALSHA examine, log pages
 *   looking:   per key  [WATCH key], TYPE key, STRLEN key    (for a user who may not run the script, or not touch one
 *   reading:   per key  [GET key], [PTTL key, TIME]           of the keys)
 *              log pages
 *   kinds:     [WATCH log ...], per key  TYPE key, per log  XRANGE log (after +, XLEN log
 *
 *   script ---> done            Log pages that were answered beside a refused script are not told: they must be read
 *      |                        after the keys were looked at.
 *      +---> looking ---> reading ---> done
 *   kinds ---> done
 *
 * The keys stay watched, besides our session, which is since the last group ended: the next group's EXEC does nothing
 * if one of them was touched meanwhile. An examination that watches nothing runs beside other requests, as a fetch
 * does; single commands may then see a key in the midst of its change, and tracking tells of that one.
 *
 * Redis compares each key to be watched with all that its client watches already: a few hundred keys a call, not
 * thousands; the logs in their stead, where all who write name it there. */
#include "tier.h"

#include "fail.h"

#include <openssl/sha.h>
#include <stdlib.h>

/* One call must not hold Redis up for long. */
#define KEYS_MAX 100000u
#define LOGS_MAX 1000u

#define NOT_AS_REDIS "the server does not answer an examination as Redis does"

enum how { DONE, BY_DIGEST, BY_TEXT, LOOKING, READING, KINDS };
enum part { GET, PTTL, TIME, N_PARTS };

/* What is kept of a key beside what was seen. */
struct kept {
    struct hf_buf value;
    uint8_t asked; /* reading: a bit for each part */
};

struct examine_run {
    struct hf__wave wave;
    struct hf__redis *tier;
    struct hf_shared_examine *examine;
    int how, next;       /* of this wave and, when all its answers are there, of the next one */
    bool script_refused; /* NOPERM: because of a key, or because it is a script */
    size_t n_before;     /* answers that come before those of the log pages */
    size_t cursor;       /* reading: the next answer is about this key ... */
    int part;            /* ... and not before this part */
    int64_t ttl_ms;
    size_t n_kept;
    struct kept *kept; /* one per key, from when the first is needed */
    struct hf__page_read pages[];
};

/* ---- the end ---- */

static void release(struct examine_run *run)
{
    for (size_t i = 0; i < run->n_kept; i++)
        hf_buf_release(&run->kept[i].value);
    free(run->kept);
    free(run);
}

/* The values are the run's, and are gone after this. */
static void finish(struct examine_run *run)
{
    struct hf_shared_examine *examine = run->examine;
    struct hf__redis *tier = run->tier;
    struct hf_shared_error error = examine->error;
    uint64_t attempt = tier->conn.attempt;

    if (examine->watch)
        tier->busy = false;
    examine->done(examine->ctx, examine);
    release(run);
    hf__redis_settle(tier, attempt, &error);
}

static void examine_lost(struct hf__wave *wave, const struct hf_shared_error *error)
{
    struct examine_run *run = wave->ctx;

    run->examine->error = *error;
    finish(run);
}

/* The gravest one counts. */
static void blame(struct examine_run *run, const struct hf_shared_error *error)
{
    if (hf__redis_worse(run->examine->error.class, error->class) != run->examine->error.class)
        run->examine->error = *error;
}

static void blame_text(struct examine_run *run, enum hf_shared_class class, const char *sentence)
{
    struct hf_shared_error error;

    hf__redis_error(&error, class, "%s", sentence);
    blame(run, &error);
}

/* ---- what was seen ---- */

static void see_nothing(struct hf_shared_seen *seen)
{
    seen->kind = HF_SHARED_ABSENT;
    seen->left_out = seen->has_digest = false;
    seen->len = 0;
    seen->value = hf__slice(NULL, 0);
    seen->deadline_ms = 0;
    seen->type[0] = '\0';
}

static void see_digest(struct hf_shared_seen *seen, struct hf_slice value)
{
    SHA1(value.data, value.len, seen->digest);
    seen->has_digest = true;
    seen->len = value.len;
}

static void see_type(struct hf_shared_seen *seen, struct hf_slice type)
{
    size_t n = type.len < sizeof(seen->type) ? type.len : sizeof(seen->type) - 1;

    seen->kind = HF_SHARED_OTHER;
    memcpy(seen->type, type.data, n);
    seen->type[n] = '\0';
}

static bool keep_room(struct examine_run *run)
{
    if (run->kept)
        return true;
    run->kept = calloc(run->examine->n_keys, sizeof(*run->kept));
    if (!run->kept) {
        blame_text(run, HF_SHARED_STATE, "out of memory: examining keys");
        return false;
    }
    run->n_kept = run->examine->n_keys;
    return true;
}

/* The answer is gone when the log pages have come. */
static void keep_value(struct examine_run *run, size_t i, struct hf_slice value)
{
    struct hf_buf *kept;

    if (!keep_room(run))
        return;
    kept = &run->kept[i].value;
    if (hf__buf_copy(value, kept) != 0)
        blame_text(run, HF_SHARED_STATE, hf_errmsg());
    else
        run->examine->keys[i].value = hf__slice(kept->data, kept->len);
}

/* Wanted beyond what is told in any case; these share the budget. */
static bool wants_more(const struct hf_shared_seen *seen)
{
    return (seen->want & HF_WANT_VALUE) || ((seen->want & HF_WANT_DIGEST) && seen->len > HF_EXAMINE_SMALL);
}

static bool keys_are_watched(const struct examine_run *run)
{
    return run->examine->watch == HF_WATCH_KEYS;
}

/* ---- by script ---- */

/* "" when nothing is wanted of any key. */
static int write_wants(struct hf__command_writer *w, const struct hf_shared_examine *examine)
{
    struct hf_bytes digits = {0};
    bool any = false;
    int rc = hf__bytes_reserve(&digits, examine->n_keys);

    for (size_t i = 0; i < examine->n_keys && rc == 0; i++) {
        digits.bytes[digits.len++] = (uint8_t)('0' + examine->keys[i].want);
        any = any || examine->keys[i].want;
    }
    if (rc == 0)
        hf__arg(w, hf__slice(digits.bytes, any ? digits.len : 0));
    hf__bytes_release(&digits);
    return rc;
}

static int write_script(struct hf__command_writer *w, struct examine_run *run)
{
    const struct hf_shared_examine *examine = run->examine;

    if (examine->n_keys == 0)
        return 0;
    if (keys_are_watched(run)) {
        hf__command(w, 1 + examine->n_keys, "WATCH");
        for (size_t i = 0; i < examine->n_keys; i++)
            hf__arg(w, examine->keys[i].key);
    }
    hf__script_begin(w, &run->tier->settings.scripts, HF__SCRIPT_EXAMINE, run->how == BY_TEXT, examine->n_keys, 2);
    for (size_t i = 0; i < examine->n_keys; i++)
        hf__arg(w, examine->keys[i].key);
    if (write_wants(w, examine) != 0)
        return HF_ENOMEM;
    hf__arg_u64(w, HF_EXAMINE_BUDGET);
    return 0;
}

static int nibble(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* 40 hexadecimal digits and the length. */
static bool read_digest(struct hf_shared_seen *seen, struct hf_slice text)
{
    const char *p = text.data;

    if (text.len < 40)
        return false;
    for (size_t i = 0; i < 20; i++) {
        int high = nibble(p[2 * i]), low = nibble(p[2 * i + 1]);

        if (high < 0 || low < 0)
            return false;
        seen->digest[i] = (uint8_t)(high << 4 | low);
    }
    seen->has_digest = true;
    return hf__parse_u64(hf__slice(p + 40, text.len - 40), &seen->len);
}

static struct hf_slice behind_letter(struct hf_slice text)
{
    return hf__slice((const char *)text.data + 1, text.len - 1);
}

/* As the script describes it. */
static bool read_head(struct hf_shared_seen *seen, struct hf_slice head)
{
    if (head.len > 0 && *(const char *)head.data == 'o') {
        seen->left_out = true;
        head = behind_letter(head);
    }
    if (head.len == 0)
        return head.data && !seen->left_out;
    seen->kind = HF_SHARED_STRING;
    switch (*(const char *)head.data) {
    case 'v': see_digest(seen, behind_letter(head)); return true;
    case 'd': return read_digest(seen, behind_letter(head));
    case 'l': return hf__parse_u64(behind_letter(head), &seen->len);
    case 't': see_type(seen, behind_letter(head)); return true;
    default: return false;
    }
}

static bool read_key(struct examine_run *run, size_t i, const redisReply *reply)
{
    struct hf_shared_seen *seen = &run->examine->keys[i];
    struct hf_slice value;
    int64_t deadline_ms;

    if (!hf__reply_is_array(reply, 3))
        return read_head(seen, hf__reply_text(reply));
    if (hf__reply_i64(reply->element[1], &deadline_ms) && deadline_ms > 0)
        seen->deadline_ms = deadline_ms;
    value = hf__reply_text(reply->element[2]);
    if (!read_head(seen, hf__reply_text(reply->element[0])))
        return false;
    if (!value.data)
        return true;
    if (!seen->has_digest && (seen->want & HF_WANT_DIGEST))
        see_digest(seen, value);
    keep_value(run, i, value);
    return true;
}

/* Nothing of this wave counts; how it goes on. */
static void refuse_script(struct examine_run *run, const redisReply *reply)
{
    struct hf_shared_error error;

    hf__reply_error(reply, &error);
    if (run->how == BY_DIGEST && hf__redis_is_noscript(hf__slice(reply->str, reply->len)))
        run->next = BY_TEXT;
    else if (error.class == HF_SHARED_AUTH)
        run->next = LOOKING;
    else
        blame(run, &error);
    run->script_refused = run->next == LOOKING;
}

static void script_answer(struct examine_run *run, const redisReply *reply, size_t index)
{
    struct hf_shared_examine *examine = run->examine;
    bool watch = index + 1 < run->n_before;
    bool good;

    if (run->next != DONE)
        return;
    if (hf__reply_is_error(reply)) {
        refuse_script(run, reply);
        return;
    }
    good = watch || hf__reply_is_array(reply, examine->n_keys);
    for (size_t i = 0; !watch && good && i < examine->n_keys; i++)
        good = read_key(run, i, reply->element[i]);
    if (!good)
        blame_text(run, HF_SHARED_LINK, NOT_AS_REDIS);
}

/* ---- looking ---- */

static void write_looking(struct hf__command_writer *w, struct examine_run *run)
{
    for (size_t i = 0; i < run->examine->n_keys; i++) {
        struct hf_slice key = run->examine->keys[i].key;

        if (keys_are_watched(run)) {
            hf__command(w, 2, "WATCH"); /* one by one: a key we may not touch must not fail its neighbours */
            hf__arg(w, key);
        }
        hf__command(w, 2, "TYPE");
        hf__arg(w, key);
        hf__command(w, 2, "STRLEN");
        hf__arg(w, key);
    }
}

/* An error that concerns this key stays with it; a type that does not fit was changed just now. */
static bool key_refused(struct examine_run *run, struct hf_shared_seen *seen, const redisReply *reply)
{
    struct hf_shared_error error;

    if (!hf__reply_error(reply, &error))
        return false;
    if (error.class == HF_SHARED_AUTH)
        seen->error = error;
    else if (error.class == HF_SHARED_ENTRY)
        blame_text(run, HF_SHARED_RETRY, "a key was changed by another while it was looked at");
    else
        blame(run, &error);
    return true;
}

static void look_type(struct hf_shared_seen *seen, const redisReply *reply)
{
    struct hf_slice type = hf__reply_text(reply);

    if (hf__reply_is_text(reply, "string"))
        seen->kind = HF_SHARED_STRING;
    else if (type.len > 0 && !hf__reply_is_text(reply, "none"))
        see_type(seen, type);
}

static void look_answer(struct examine_run *run, const redisReply *reply, size_t index)
{
    size_t per_key = keys_are_watched(run) ? 3 : 2;
    size_t from_end = per_key - 1 - index % per_key;
    struct hf_shared_seen *seen = &run->examine->keys[index / per_key];
    int64_t len = 0;

    if (seen->error.class != HF_SHARED_OK || (from_end == 0 && seen->kind != HF_SHARED_STRING) ||
        key_refused(run, seen, reply))
        return;
    if (from_end == 1)
        look_type(seen, reply);
    else if (from_end == 0 && hf__reply_i64(reply, &len) && len >= 0)
        seen->len = (uint64_t)len;
    else if (from_end == 0)
        blame_text(run, HF_SHARED_LINK, NOT_AS_REDIS);
}

/* ---- kinds ---- */

static void write_kinds(struct hf__command_writer *w, const struct examine_run *run)
{
    const struct hf_shared_examine *examine = run->examine;

    if (examine->n_logs > 0)
        hf__command(w, 1 + examine->n_logs, "WATCH");
    for (size_t i = 0; i < examine->n_logs; i++)
        hf__arg(w, examine->logs[i].log_key);
    for (size_t i = 0; i < examine->n_keys; i++) {
        hf__command(w, 2, "TYPE");
        hf__arg(w, examine->keys[i].key);
    }
    for (size_t i = 0; i < examine->n_logs; i++)
        hf__page_write_news(w, &run->pages[i]);
}

static void kind_answer(struct examine_run *run, const redisReply *reply, size_t index)
{
    struct hf_shared_examine *examine = run->examine;
    size_t n_watches = examine->n_logs > 0;
    struct hf_shared_error error;

    if (index < n_watches) {
        if (hf__reply_error(reply, &error))
            blame(run, &error);
    } else if (index - n_watches < examine->n_keys) {
        if (!key_refused(run, &examine->keys[index - n_watches], reply))
            look_type(&examine->keys[index - n_watches], reply);
    } else {
        size_t at = index - n_watches - examine->n_keys;
        struct hf__page_read *read = &run->pages[at / HF__PAGE_NEWS_REPLIES];
        examine->unread |= hf__page_has_news(read, reply, at % HF__PAGE_NEWS_REPLIES);
        blame(run, &read->page->error);
    }
}

/* ---- reading ---- */

/* What of each key is asked for, within the budget as the script counts it. */
static void plan_reading(struct examine_run *run)
{
    uint64_t left = HF_EXAMINE_BUDGET;
    bool served = false;

    for (size_t i = 0; i < run->n_kept; i++) {
        struct hf_shared_seen *seen = &run->examine->keys[i];
        struct kept *kept = &run->kept[i];

        if (seen->kind != HF_SHARED_STRING || seen->error.class != HF_SHARED_OK)
            continue;
        seen->left_out = wants_more(seen) && served && seen->len > left;
        if (wants_more(seen) && !seen->left_out) {
            left -= seen->len < left ? seen->len : left;
            served = true;
        }
        if (seen->len <= HF_EXAMINE_SMALL || (wants_more(seen) && !seen->left_out))
            kept->asked = 1 << GET;
        if (seen->want & HF_WANT_DEADLINE)
            kept->asked |= 1 << PTTL | 1 << TIME;
    }
}

static void write_part(struct hf__command_writer *w, struct hf_slice key, enum part part)
{
    static const char *const names[] = {[GET] = "GET", [PTTL] = "PTTL", [TIME] = "TIME"};

    hf__command(w, part == TIME ? 1 : 2, names[part]);
    if (part != TIME)
        hf__arg(w, key);
}

static int write_reading(struct hf__command_writer *w, struct examine_run *run)
{
    if (!keep_room(run))
        return HF_ENOMEM;
    plan_reading(run);
    for (size_t i = 0; i < run->n_kept; i++) {
        for (int part = 0; part < N_PARTS; part++) {
            if (run->kept[i].asked & 1 << part)
                write_part(w, run->examine->keys[i].key, part);
        }
    }
    run->cursor = 0;
    run->part = 0;
    return 0;
}

/* The part that the next answer is about; there is one whenever this is called. */
static enum part next_part(struct examine_run *run, size_t *ret_key)
{
    while (!(run->kept[run->cursor].asked & 1 << run->part)) {
        run->part = (run->part + 1) % N_PARTS;
        run->cursor += run->part == 0;
    }
    run->kept[run->cursor].asked &= (uint8_t) ~(1 << run->part);
    *ret_key = run->cursor;
    return run->part;
}

static void read_value(struct examine_run *run, size_t i, const redisReply *reply)
{
    struct hf_shared_seen *seen = &run->examine->keys[i];
    struct hf_slice value = hf__reply_text(reply);

    if (!value.data) {
        see_nothing(seen);
        return;
    }
    seen->len = value.len;
    if (value.len <= HF_EXAMINE_SMALL || (seen->want & HF_WANT_DIGEST))
        see_digest(seen, value);
    if ((seen->want & HF_WANT_VALUE) && !seen->left_out)
        keep_value(run, i, value);
}

/* TIME behind PTTL: the deadline may be told too late by what passed between the two. */
static void read_deadline(struct examine_run *run, struct hf_shared_seen *seen, const redisReply *reply)
{
    int64_t seconds, microseconds;

    if (!hf__reply_is_array(reply, 2) || !hf__reply_i64(reply->element[0], &seconds) ||
        !hf__reply_i64(reply->element[1], &microseconds))
        blame_text(run, HF_SHARED_LINK, NOT_AS_REDIS);
    else if (run->ttl_ms >= 0)
        seen->deadline_ms = seconds * 1000 + microseconds / 1000 + run->ttl_ms;
}

static void read_answer(struct examine_run *run, const redisReply *reply)
{
    size_t i = 0;
    enum part part = next_part(run, &i);
    struct hf_shared_seen *seen = &run->examine->keys[i];

    if (seen->kind != HF_SHARED_STRING || seen->error.class != HF_SHARED_OK || key_refused(run, seen, reply))
        return;
    if (part == GET)
        read_value(run, i, reply);
    else if (part == TIME)
        read_deadline(run, seen, reply);
    else if (!hf__reply_i64(reply, &run->ttl_ms))
        blame_text(run, HF_SHARED_LINK, NOT_AS_REDIS);
    else if (run->ttl_ms == -2)
        see_nothing(seen);
}

/* ---- waves ---- */

static int write_keys(struct hf__command_writer *w, struct examine_run *run)
{
    switch ((enum how)run->how) {
    case LOOKING: write_looking(w, run); return 0;
    case READING: return write_reading(w, run);
    case KINDS: write_kinds(w, run); return 0;
    default: return write_script(w, run);
    }
}

static void forget_seen(struct hf_shared_examine *examine)
{
    for (size_t i = 0; i < examine->n_keys; i++) {
        see_nothing(&examine->keys[i]);
        examine->keys[i].error = (struct hf_shared_error){0};
    }
}

/* `*ret_empty`: there was nothing left to ask. */
static int send_wave(struct examine_run *run, enum how how, bool *ret_empty)
{
    struct hf__conn *conn = &run->tier->conn;
    struct hf__command_writer w = hf__conn_begin(conn);

    run->how = how;
    run->next = how == LOOKING ? READING : DONE;
    if (how != READING)
        forget_seen(run->examine);
    w.rc = write_keys(&w, run) != 0 ? HF_ENOMEM : w.rc;
    run->n_before = w.n_commands;
    for (size_t i = 0; how != LOOKING && how != KINDS && i < run->examine->n_logs; i++)
        hf__page_write(&w, &run->pages[i]);
    *ret_empty = w.n_commands == 0 && w.rc == 0;
    return *ret_empty ? 0 : hf__conn_send(conn, &w, &run->wave);
}

/* Single commands served where the script did not, and no key was refused: so it is the script. */
static void judge_script(struct examine_run *run)
{
    bool refused = false;

    for (size_t i = 0; i < run->examine->n_keys; i++)
        refused = refused || run->examine->keys[i].error.class != HF_SHARED_OK;
    if (run->script_refused && !refused)
        run->tier->no_scripts = true;
}

/* All answers of a wave are there. */
static void wave_done(struct examine_run *run)
{
    bool empty = false;

    if (run->examine->error.class == HF_SHARED_OK && run->next != DONE) {
        if (send_wave(run, run->next, &empty) != 0)
            blame_text(run, HF_SHARED_STATE, hf_errmsg());
        else if (!empty)
            return;
    }
    if (run->how == READING && run->examine->error.class == HF_SHARED_OK)
        judge_script(run);
    finish(run);
}

/* A page's first answer may end the connection, and the run with it; it is never the last one of a wave. */
static void log_answer(struct examine_run *run, const redisReply *reply, size_t index)
{
    struct hf__page_read *read = &run->pages[index / HF__PAGE_REPLIES];
    size_t at = index % HF__PAGE_REPLIES;

    if (run->next != DONE || run->examine->error.class != HF_SHARED_OK)
        return;
    hf__page_answer(run->tier, read, reply, at);
    if (at == HF__PAGE_REPLIES - 1)
        blame(run, &read->page->error);
}

static void examine_reply(struct hf__wave *wave, const redisReply *reply, size_t index)
{
    struct examine_run *run = wave->ctx;
    bool last = index + 1 == wave->n_replies;

    if (index >= run->n_before)
        log_answer(run, reply, index - run->n_before);
    else if (run->how == LOOKING)
        look_answer(run, reply, index);
    else if (run->how == READING)
        read_answer(run, reply);
    else if (run->how == KINDS)
        kind_answer(run, reply, index);
    else
        script_answer(run, reply, index);
    if (last)
        wave_done(run);
}

/* ---- sending ---- */

static int check_examine(const struct hf_shared_examine *examine)
{
    const unsigned known = HF_WANT_DIGEST | HF_WANT_VALUE | HF_WANT_DEADLINE;
    int rc = 0;

    if (examine->n_keys > KEYS_MAX || examine->n_logs > LOGS_MAX || examine->n_keys + examine->n_logs == 0)
        return hf__fail(HF_EINVAL, "an examination of %zu keys and %zu logs; expected some, and at most %u and %u",
                        examine->n_keys, examine->n_logs, KEYS_MAX, LOGS_MAX);
    for (size_t i = 0; i < examine->n_keys; i++) {
        if (examine->keys[i].want & ~known)
            return hf__fail(HF_EINVAL, "an examination wants %u of a key; expected at most %u",
                            (unsigned)examine->keys[i].want, known);
    }
    for (size_t i = 0; i < examine->n_logs && rc == 0; i++)
        rc = hf__page_check(&examine->logs[i]);
    return rc;
}

/* Only one that watches needs a master, for a group follows it. */
static int may_send(const struct hf__redis *tier, const struct hf_shared_examine *examine)
{
    if (examine->watch)
        return hf__redis_may_send(tier, true);
    if (tier->conn.state != HF__CONN_READY)
        return hf__fail(HF_EOFFLINE, "the shared tier is not connected");
    return 0;
}

static struct examine_run *new_run(struct hf__redis *tier, struct hf_shared_examine *examine)
{
    struct examine_run *run = calloc(1, sizeof(*run) + examine->n_logs * sizeof(run->pages[0]));

    if (!run) {
        hf__fail(HF_ENOMEM, "out of memory: examining keys");
        return NULL;
    }
    *run = (struct examine_run){
        .tier = tier,
        .examine = examine,
        .wave = {.reply = examine_reply, .lost = examine_lost, .ctx = run},
    };
    for (size_t i = 0; i < examine->n_logs; i++)
        hf__page_begin(&run->pages[i], &examine->logs[i]);
    return run;
}

static enum how first_wave(const struct hf__redis *tier, const struct hf_shared_examine *examine)
{
    if (examine->watch == HF_WATCH_LOGS)
        return KINDS;
    return examine->n_keys > 0 && tier->no_scripts ? LOOKING : BY_DIGEST;
}

int hf__redis_send_examine(struct hf_shared_tier *base, struct hf_shared_examine *examine)
{
    struct hf__redis *tier = hf__redis_of(base);
    struct examine_run *run;
    bool empty;
    int rc = may_send(tier, examine);

    if (rc == 0)
        rc = check_examine(examine);
    if (rc != 0)
        return rc;
    run = new_run(tier, examine);
    if (!run)
        return HF_ENOMEM;
    examine->error = (struct hf_shared_error){0};
    examine->unread = false;
    rc = send_wave(run, first_wave(tier, examine), &empty);
    if (rc != 0)
        release(run);
    else
        tier->busy = tier->busy || examine->watch;
    return rc;
}
