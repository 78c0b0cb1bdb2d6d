/* Answers about whose history this is: epochs with their marks and logs, and pages of the logs. */
#include "fake_answers.h"

#include "reply.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- names ---- */

struct name {
    char text[HF_KEY_MAX + 128];
    struct hf_slice key;
};

/* "_hf:<prefix>:<kind><which>" */
static void make_name(struct name *name, struct hf_slice prefix, const char *kind, const char *which)
{
    int n = snprintf(name->text, sizeof(name->text), "_hf:%.*s:%s%s", (int)prefix.len,
                     prefix.len ? (const char *)prefix.data : "", kind, which);

    name->key = hf__slice(name->text, (size_t)n);
}

static bool is_epoch(struct hf_slice text)
{
    const char *p = text.data;
    size_t n = 0;

    while (n < text.len && strchr("0123456789abcdef", p[n]) && p[n])
        n++;
    return text.len == 32 && n == 32;
}

#define NO_EPOCH "the namespace's epoch key holds something that is no epoch"
#define NO_STREAM "the key of the namespace's change log holds something that is no stream"

/* ---- the epoch ---- */

static bool fail(struct hf_shared_epoch *epoch, const char *why)
{
    if (why)
        epoch->error = fake_classify(why);
    return why;
}

static bool refuse(struct hf_shared_epoch *epoch, const char *sentence)
{
    epoch->error = fake_error(HF_SHARED_ENTRY, sentence);
    return false;
}

static void begin_log(struct fake_caller *caller, struct hf_slice name, const char *node, char *last_id,
                      const char **ret_why)
{
    struct fake_entry first = {0};
    struct fake_id id;
    bool there;

    snprintf(first.node, sizeof(first.node), "%s", node);
    *ret_why = fake_add(caller, name, &first, 0, &there, &id);
    if (!*ret_why)
        fake_format_id(id, last_id);
}

/* Returns false when it ends here. */
static bool look(struct fake_asker asker, struct hf_shared_epoch *epoch, bool *ret_there)
{
    struct fake_caller caller = {.by = asker.tier};
    const struct fake_key *key, *mark;
    struct name name;

    make_name(&name, epoch->prefix, "epoch", "");
    if (fail(epoch, fake_get(&caller, name.key, &key)))
        return false;
    make_name(&name, epoch->prefix, "mark:", asker.session->node);
    if (fail(epoch, fake_get(&caller, name.key, &mark)))
        return false;
    if (mark && !hf__parse_u64(fake_slice(&mark->value), &epoch->mark))
        return refuse(epoch, "the mark in Redis is not a number");
    *ret_there = key;
    if (key && !is_epoch(fake_slice(&key->value)))
        return refuse(epoch, NO_EPOCH);
    if (key)
        memcpy(epoch->epoch, key->value.data, 32);
    return key || !epoch->look_only;
}

/* By a script, epoch and log together. */
static bool make(struct fake_asker asker, struct hf_shared_epoch *epoch)
{
    char fresh[33], id[FAKE_ID_MAX];
    struct name name;
    const char *why;
    struct fake_caller caller = fake_script_caller(&why);

    fake_random_hex(fresh, 32);
    make_name(&name, epoch->prefix, "epoch", "");
    if (!why)
        why = fake_set(&caller, name.key, hf__slice_str(fresh), 0);
    make_name(&name, epoch->prefix, "log:", fresh);
    if (!why && epoch->with_log)
        begin_log(&caller, name.key, asker.session->node, id, &why);
    if (fail(epoch, why))
        return false;
    memcpy(epoch->epoch, fresh, sizeof(fresh));
    epoch->created = true;
    fake_end_turn();
    return true;
}

static void look_at_log(struct fake_asker asker, struct hf_shared_epoch *epoch)
{
    struct fake_caller caller = {.by = asker.tier};
    const struct fake_key *key;
    struct name name;
    const char *why;

    make_name(&name, epoch->prefix, "log:", epoch->epoch);
    if (fail(epoch, fake_read(&caller, name.key, &key))) {
        if (epoch->error.class == HF_SHARED_ENTRY)
            epoch->error = fake_error(HF_SHARED_ENTRY, NO_STREAM);
        return;
    }
    epoch->log_missing = !key;
    if (key && key->stream.n > 0)
        fake_format_id(key->stream.entries[key->stream.n - 1].id, epoch->log_last_id);
    if (key || epoch->look_only)
        return;
    begin_log(&caller, name.key, asker.session->node, epoch->log_last_id, &why);
    fail(epoch, why);
}

void fake_answer_epoch(struct fake_asker asker, struct hf_shared_epoch *epoch)
{
    bool there = false;

    epoch->epoch[0] = epoch->epoch[32] = '\0';
    epoch->created = epoch->log_missing = false;
    strcpy(epoch->log_last_id, "0-0");
    epoch->mark = 0;
    epoch->error = fake_classify(NULL);
    if (!look(asker, epoch, &there))
        return;
    if (there || make(asker, epoch)) {
        if (epoch->with_log)
            look_at_log(asker, epoch);
    }
}

/* ---- pages ---- */

static bool is_in_page(const struct hf_shared_log_page *page, struct fake_id id, struct fake_id after)
{
    if (!page->backwards)
        return fake_compare_ids(id, after) > 0;
    return !page->after_id[0] || fake_compare_ids(id, after) < 0;
}

/* What the place behind which a page begins says of the log's history. */
static void look_for_gap(struct hf_shared_log_page *page, const struct fake_stream *stream, struct fake_id after,
                         bool any)
{
    struct fake_id zero = {0};
    bool found = false;

    if (page->backwards || fake_compare_ids(after, zero) == 0)
        return;
    for (size_t i = 0; stream && i < stream->n; i++)
        found |= fake_compare_ids(stream->entries[i].id, after) == 0;
    page->gap = !stream || stream->n == 0 || fake_compare_ids(stream->entries[0].id, after) > 0;
    page->missing = !page->gap && !found && any;
}

struct fake_page fake_answer_page(struct hf_shared_log_page *page)
{
    struct fake_page told = {.page = page};
    struct fake_caller caller = {0};
    struct fake_id after = fake_parse_id(page->after_id);
    const struct fake_stream *stream;
    const struct fake_key *key;

    page->n_entries = 0;
    page->gap = page->missing = false;
    page->error = fake_classify(fake_read(&caller, page->log_key, &key));
    if (page->error.class != HF_SHARED_OK)
        return told;
    stream = key ? &key->stream : NULL;
    for (size_t i = 0; stream && i < stream->n && told.entries.n < page->count; i++) {
        const struct fake_entry *entry = &stream->entries[page->backwards ? stream->n - 1 - i : i];
        if (is_in_page(page, entry->id, after))
            fake_keep_entry(&told.entries, entry);
    }
    look_for_gap(page, stream, after, told.entries.n > 0);
    return told;
}

static void tell_entry(struct hf_shared_log_page *page, const struct fake_entry *entry, bool (*goes_on)(void *ctx),
                       void *ctx)
{
    struct hf_shared_change change = {.node = entry->node, .last_lsn = entry->last_lsn};
    char id[FAKE_ID_MAX];

    fake_format_id(entry->id, id);
    memcpy(page->after_id, id, sizeof(id));
    page->n_entries++;
    change.id = id;
    for (size_t i = 0; i < entry->n_names && goes_on(ctx); i++) {
        const struct fake_name *name = &entry->names[i];
        change.op = name->op;
        change.key = fake_slice(&name->key);
        change.lsn = name->lsn;
        change.made_ms = name->made_ms ? name->made_ms : (int64_t)entry->id.ms;
        change.uncertainty_ms = name->uncertainty_ms;
        page->each(page->ctx, &change);
    }
}

void fake_tell_page(struct fake_page *told, bool (*goes_on)(void *ctx), void *ctx)
{
    for (size_t i = 0; i < told->entries.n && goes_on(ctx); i++)
        tell_entry(told->page, &told->entries.entries[i], goes_on, ctx);
    fake_release_stream(&told->entries);
}
