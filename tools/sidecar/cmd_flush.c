/* FLUSHDB: deletes what SCAN shows, page by page, each key as DEL does. While Redis is online:
 *
 *   a page of Redis's keys (passed on) ──► deleted by a worker ──► the next page ... ──► what is held here, by a worker
 *
 * So Holdfast's own keys in Redis stay: without them it would take the loss for a failure of Redis. */
#include "client.h"
#include "command.h"
#include "listing.h"
#include "replies.h"
#include "scan_handlers.h"
#include "server.h"
#include "settings.h"
#include "space.h"
#include "upstream.h"
#include "words.h"

#include <stdlib.h>

#define FLUSH_PAGE 1024
#define FLUSH_COUNT "1000" /* of a page of Redis's */

static bool has_failed(const struct call *call)
{
    return call->reply->bytes.len > 0 && call->reply->bytes.bytes[0] == '-';
}

/* ---- what is held here ---- */

/* A page of keys, which are deleted together. */
struct page {
    struct hf_bytes bytes;
    size_t lens[FLUSH_PAGE];
    struct hf_op ops[FLUSH_PAGE];
    size_t n;
    struct hf_bytes last; /* the key that was looked at last */
};

static int look_at(struct call *call, struct page *page, struct hf_slice key)
{
    int rc = 0;

    if (user_may_touch(call->user, key)) {
        rc = hf__bytes_append(&page->bytes, key.data, key.len);
        page->lens[page->n++] = key.len;
    }
    hf__bytes_reset(&page->last);
    return rc == 0 ? hf__bytes_append(&page->last, key.data, key.len) : rc;
}

static int fill(struct call *call, struct page *page)
{
    struct hf_scan *scan = NULL;
    struct hf_slice key;
    int rc =
        hf_scan_open(call->server->store, hf__slice(NULL, 0), hf__slice(page->last.bytes, page->last.len), &scan);

    page->n = 0;
    hf__bytes_reset(&page->bytes);
    while (rc == 0 && page->n < FLUSH_PAGE) {
        rc = hf_scan_next(scan, &key, NULL, NULL);
        if (rc == 0)
            rc = look_at(call, page, key);
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

static void flush_held(struct call *call)
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
    if (page) {
        hf__bytes_release(&page->bytes);
        hf__bytes_release(&page->last);
    }
    free(page);
}

/* ---- what Redis holds ---- */

/* In a worker: FLUSHDB, the cursor of the next page, and the keys of this one. */
static void delete_named(struct call *call)
{
    struct hf_bytes scratch = {0};
    size_t n = call->argc - 2;
    struct hf_op *ops = calloc(n + 1, sizeof(*ops));

    if (!ops) {
        reply_error(call->reply, "ERR out of memory: %zu keys", n);
        return;
    }
    for (size_t i = 0; i < n; i++)
        ops[i] = (struct hf_op){.kind = HF_OP_DELETE, .key = call->argv[2 + i]};
    call->scratch = &scratch; /* a worker waits */
    space_write_all(call, ops, n, SPACE_EACH, NULL);
    call->scratch = NULL;
    hf__bytes_release(&scratch);
    free(ops);
}

static void ask_page(struct call *call, struct hf_slice cursor);

static void next_page(struct call *call)
{
    if (!call->client || has_failed(call))
        return;
    call->reply->bytes.len = 0;
    if (!hf__slice_eq(call->argv[1], hf__slice_str("0"))) {
        ask_page(call, call->argv[1]);
        return;
    }
    call->argc = 1;
    space_wait(call);
}

/* The cursor and the keys that are to be deleted: what has no name here stays. Returns how many words. */
static size_t words_of(const struct call *call, struct listing *answer, struct hf_slice *words, size_t n_keys)
{
    size_t n = 2;

    for (size_t i = 0; i < n_keys; i++) {
        if (listing_take_bulk(answer, &words[n]) && words[n].len > 0 && words[n].len <= HF_KEY_MAX &&
            listing_shows(call, words[n]))
            n++;
    }
    return n;
}

static void delete_page(struct call *call, const struct reply *before)
{
    struct hf_bytes bytes = call->reply->bytes;
    struct listing answer = listing_of(&bytes);
    struct hf_slice cursor, *words;
    size_t n;

    (void)before;
    if (!listing_take_array(&answer, &n) || !listing_take_bulk(&answer, &cursor) ||
        !listing_take_array(&answer, &n))
        return; /* it is an error */
    call->reply->bytes = (struct hf_bytes){0};
    words = calloc(n + 2, sizeof(*words));
    if (words) {
        words[0] = hf__slice_str(call->command->name);
        words[1] = cursor;
        call->argc = words_of(call, &answer, words, n);
        call->argv = words;
        call_work(call, delete_named, next_page);
    } else {
        reply_error(call->reply, "ERR out of memory: %zu keys", n);
    }
    free(words);
    hf__bytes_release(&bytes);
}

static void ask_page(struct call *call, struct hf_slice cursor)
{
    struct hf_slice words[] = {hf__slice_str("SCAN"), cursor, hf__slice_str("COUNT"), hf__slice_str(FLUSH_COUNT)};

    upstream_ask(call, sizeof(words) / sizeof(words[0]), words, NULL, delete_page);
}

/* FLUSHDB [ASYNC | SYNC] */
void cmd_flushdb(struct call *call)
{
    if (call->argc > 2 || (call->argc == 2 && !word_is(call->argv[1], "async") && !word_is(call->argv[1], "sync")))
        reply_syntax_error(call->reply);
    else if (call->scratch)
        flush_held(call);
    else if (space_asks_redis(call))
        ask_page(call, hf__slice_str("0"));
    else
        space_wait(call);
}
