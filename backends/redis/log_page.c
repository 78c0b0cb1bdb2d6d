/* Pages of a change log: what it named behind an id, and whether something may be missing from it.
 *
 *   XRANGE log (after + COUNT n      what was named
 *   XRANGE log after after COUNT 1   is the entry still there that was read last?
 *   XRANGE log - + COUNT 1           where does the log begin?
 *
 * In this order a trim in between is reported as a gap that was none, and never the other way round, nor as another
 * history: an entry that was trimmed away is before the first one. */
#include "tier.h"

#include "fail.h"

#include <stdio.h>

#define NODE_MAX 64

/* ---- parsing ---- */

static bool parse_id(const char *text, uint64_t id[2])
{
    const char *dash = strchr(text, '-');

    return dash && hf__parse_u64(hf__slice(text, (size_t)(dash - text)), &id[0]) &&
           hf__parse_u64(hf__slice_str(dash + 1), &id[1]);
}

static bool id_is_after(const char *text, const char *other)
{
    uint64_t a[2], b[2];

    if (!parse_id(text, a) || !parse_id(other, b))
        return false;
    return a[0] > b[0] || (a[0] == b[0] && a[1] > b[1]);
}

/* When Redis made the entry. */
static int64_t id_ms(const char *text)
{
    uint64_t id[2];

    return parse_id(text, id) && id[0] <= INT64_MAX ? (int64_t)id[0] : 0;
}

static enum hf_shared_op op_of(char letter)
{
    switch (letter) {
    case 's': return HF_SHARED_SET;
    case 'd': return HF_SHARED_DELETE;
    case 'e': return HF_SHARED_EXPIRE;
    case 'p': return HF_SHARED_PERSIST;
    case 'i': return HF_SHARED_INCR;
    default: return 0;
    }
}

/* What stands before the first `mark` in `*rest`; `*rest` becomes what stands behind it, or NULL when there is none. */
static struct hf_slice cut(struct hf_slice *rest, char mark)
{
    struct hf_slice whole = *rest;
    const char *at = whole.len ? memchr(whole.data, mark, whole.len) : NULL;
    size_t n = at ? (size_t)(at - (const char *)whole.data) : whole.len;

    *rest = at ? hf__slice(at + 1, whole.len - n - 1) : hf__slice(NULL, 0);
    return hf__slice(whole.data, n);
}

static bool parse_ms(struct hf_slice text, int64_t *ret_ms)
{
    return hf__parse_i64(text, ret_ms) && *ret_ms >= 0;
}

/* "1700000000000" or "1700000000000~12" */
static bool parse_made(struct hf_slice text, struct hf_shared_change *change)
{
    struct hf_slice made = cut(&text, '~');

    change->uncertainty_ms = 0;
    return parse_ms(made, &change->made_ms) && (!text.data || parse_ms(text, &change->uncertainty_ms));
}

/* "s3", "s3@1700000000000" or "s3@1700000000000~12": operation, LSN, when it was made. False for anything else, which
 * is passed over. */
static bool parse_name(struct hf_slice name, struct hf_shared_change *change)
{
    struct hf_slice behind_text, made = name;
    uint64_t behind;

    behind_text = cut(&made, '@');
    if (behind_text.len < 2)
        return false;
    change->op = op_of(*(const char *)behind_text.data);
    behind_text = hf__slice((const char *)behind_text.data + 1, behind_text.len - 1);
    if (change->op == 0 || !hf__parse_u64(behind_text, &behind) || behind > change->last_lsn)
        return false;
    change->lsn = change->last_lsn - behind;
    change->made_ms = id_ms(change->id);
    change->uncertainty_ms = 0;
    return !made.data || parse_made(made, change);
}

static const redisReply *field(const redisReply *fields, const char *name)
{
    for (size_t i = 0; i + 1 < fields->elements; i += 2) {
        if (hf__reply_is_text(fields->element[i], name))
            return fields->element[i + 1];
    }
    return NULL;
}

/* An entry that no Holdfast wrote names no change. */
static void tell_changes(struct hf__redis *tier, struct hf_shared_log_page *page, const char *id,
                         const redisReply *fields)
{
    struct hf_shared_change change = {.id = id};
    uint64_t attempt = tier->conn.attempt;
    char node[NODE_MAX];

    if (!hf__reply_is_array(fields, 4) || !hf__reply_copy(field(fields, "n"), node, sizeof(node)) ||
        !hf__parse_u64(hf__reply_text(field(fields, "l")), &change.last_lsn))
        return;
    change.node = node;
    for (size_t i = 0; i + 1 < fields->elements && attempt == tier->conn.attempt; i += 2) {
        change.key = hf__reply_text(fields->element[i + 1]);
        if (change.key.len > 0 && parse_name(hf__reply_text(fields->element[i]), &change))
            page->each(page->ctx, &change);
    }
}

/* ---- a page ---- */

int hf__page_check(const struct hf_shared_log_page *page)
{
    uint64_t id[2];

    if (page->count == 0)
        return hf__fail(HF_EINVAL, "a page of the change log of 0 entries; expected at least 1");
    if (!memchr(page->after_id, '\0', sizeof(page->after_id)) ||
        (page->after_id[0] && !parse_id(page->after_id, id)))
        return hf__fail(HF_EINVAL, "a page of the change log begins behind something that is no stream id");
    return 0;
}

void hf__page_begin(struct hf__page_read *read, struct hf_shared_log_page *page)
{
    page->n_entries = 0;
    page->gap = page->missing = false;
    page->error = (struct hf_shared_error){0};
    *read = (struct hf__page_read){.page = page};
    strcpy(read->after_id, page->after_id[0] ? page->after_id : "0-0");
}

static void write_range(struct hf__command_writer *w, const char *command, const struct hf__page_read *read,
                        const char *from, const char *to, uint32_t count)
{
    hf__command(w, 6, command);
    hf__arg(w, read->page->log_key);
    hf__arg_str(w, from);
    hf__arg_str(w, to);
    hf__arg_str(w, "COUNT");
    hf__arg_u64(w, count);
}

void hf__page_write_news(struct hf__command_writer *w, const struct hf__page_read *read)
{
    char behind[sizeof(read->after_id) + 1];

    snprintf(behind, sizeof(behind), "(%s", read->after_id);
    write_range(w, "XRANGE", read, behind, "+", 1);
    hf__command(w, 2, "XLEN");
    hf__arg(w, read->page->log_key);
}

/* As many replies both ways: backwards, the two that tell of gaps are not looked at. */
void hf__page_write(struct hf__command_writer *w, const struct hf__page_read *read)
{
    bool from_end = read->page->backwards && !read->page->after_id[0];
    char behind[sizeof(read->after_id) + 1];

    snprintf(behind, sizeof(behind), "(%s", read->after_id);
    if (read->page->backwards)
        write_range(w, "XREVRANGE", read, from_end ? "+" : behind, "-", read->page->count);
    else
        write_range(w, "XRANGE", read, behind, "+", read->page->count);
    write_range(w, "XRANGE", read, read->after_id, read->after_id, 1);
    write_range(w, "XRANGE", read, "-", "+", 1);
}

/* Every entry is counted before its changes are told: `each` may end the connection. */
static void read_entries(struct hf__redis *tier, struct hf_shared_log_page *page, const redisReply *range)
{
    uint64_t attempt = tier->conn.attempt;
    char id[sizeof(page->after_id)];

    for (size_t i = 0; i < range->elements && attempt == tier->conn.attempt; i++) {
        const redisReply *entry = range->element[i];

        if (!hf__reply_is_array(entry, 2) || !hf__reply_copy(entry->element[0], id, sizeof(id)))
            continue;
        memcpy(page->after_id, id, sizeof(id));
        page->n_entries++;
        tell_changes(tier, page, id, entry->element[1]);
    }
}

/* With entries behind it and none before it, the id asked for lies inside the log. */
static void judge_first(struct hf__page_read *read, const char *first)
{
    struct hf_shared_log_page *page = read->page;

    if (page->backwards || strcmp(read->after_id, "0-0") == 0)
        return;
    page->gap = first[0] == '\0' || id_is_after(first, read->after_id);
    page->missing = !page->gap && !read->there && page->n_entries > 0;
}

bool hf__page_first_id(const redisReply *range, char *id, size_t size)
{
    id[0] = '\0';
    if (!hf__reply_is_array(range, 0))
        return false;
    return range->elements == 0 ||
           (hf__reply_is_array(range->element[0], 1) && hf__reply_copy(range->element[0]->element[0], id, size));
}

void hf__page_answer(struct hf__redis *tier, struct hf__page_read *read, const redisReply *reply, size_t index)
{
    struct hf_shared_log_page *page = read->page;
    char id[sizeof(page->after_id)];

    if (page->error.class != HF_SHARED_OK || hf__reply_error(reply, &page->error))
        return;
    if (index == 0 && hf__reply_is_array(reply, 0))
        read_entries(tier, page, reply);
    else if (!hf__page_first_id(reply, id, sizeof(id)))
        hf__redis_error(&page->error, HF_SHARED_LINK, "the server does not answer XRANGE as Redis does");
    else if (index == 1)
        read->there = id[0] != '\0';
    else
        judge_first(read, id);
}

/* ---- whether there is something to be read ---- */

/* A user who may not ask how long the log is reads it. */
static bool may_not_ask(struct hf_shared_error *error)
{
    if (error->class != HF_SHARED_AUTH)
        return false;
    *error = (struct hf_shared_error){0};
    return true;
}

/* Where nothing stands behind the id and something does in the log, nobody has trimmed it: that takes an entry more. */
bool hf__page_has_news(struct hf__page_read *read, const redisReply *reply, size_t index)
{
    struct hf_shared_error *error = &read->page->error;
    int64_t len = 0;

    if (error->class != HF_SHARED_OK || hf__reply_error(reply, error))
        return index == 1 && may_not_ask(error);
    if (index == 0 && hf__reply_is_array(reply, 0))
        return reply->elements > 0;
    if (index == 1 && hf__reply_i64(reply, &len))
        return len == 0 && strcmp(read->after_id, "0-0") != 0;
    hf__redis_error(error, HF_SHARED_LINK, "the server does not answer %s as Redis does",
                    index ? "XLEN" : "XRANGE");
    return false;
}

/* ---- a page alone ---- */

static void finish_page(struct hf__redis *tier)
{
    struct hf_shared_log_page *page = tier->page.read.page;
    struct hf_shared_error error = page->error;
    uint64_t attempt = tier->conn.attempt;

    tier->busy = false;
    page->done(page->ctx, page);
    hf__redis_settle(tier, attempt, &error);
}

static void page_lost(struct hf__wave *wave, const struct hf_shared_error *error)
{
    struct hf__redis *tier = wave->ctx;

    tier->page.read.page->error = *error;
    finish_page(tier);
}

static void page_reply(struct hf__wave *wave, const redisReply *reply, size_t index)
{
    struct hf__redis *tier = wave->ctx;

    hf__page_answer(tier, &tier->page.read, reply, index);
    if (index + 1 == HF__PAGE_REPLIES)
        finish_page(tier);
}

int hf__redis_send_log_page(struct hf_shared_tier *base, struct hf_shared_log_page *page)
{
    struct hf__redis *tier = hf__redis_of(base);
    int rc = hf__redis_may_send(tier, false);
    struct hf__command_writer w;

    if (rc == 0)
        rc = hf__page_check(page);
    if (rc != 0)
        return rc;
    tier->page = (struct hf__page_run){.wave = {.reply = page_reply, .lost = page_lost, .ctx = tier}};
    hf__page_begin(&tier->page.read, page);
    w = hf__conn_begin(&tier->conn);
    hf__page_write(&w, &tier->page.read);
    rc = hf__conn_send(&tier->conn, &w, &tier->page.wave);
    tier->busy = rc == 0;
    return rc;
}
