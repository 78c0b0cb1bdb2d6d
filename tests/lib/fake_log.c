/* The fake Redis's streams, of which the change logs are made. */
#include "fake_server.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- ids ---- */

struct fake_id fake_parse_id(const char *text)
{
    struct fake_id id = {0};
    const char *dash = strchr(text, '-');

    id.ms = strtoull(text, NULL, 10);
    id.seq = dash ? strtoull(dash + 1, NULL, 10) : 0;
    return id;
}

void fake_format_id(struct fake_id id, char text[FAKE_ID_MAX])
{
    snprintf(text, FAKE_ID_MAX, "%" PRIu64 "-%" PRIu64, id.ms, id.seq);
}

int fake_compare_ids(struct fake_id a, struct fake_id b)
{
    if (a.ms != b.ms)
        return a.ms < b.ms ? -1 : 1;
    return (a.seq > b.seq) - (a.seq < b.seq);
}

/* A server that comes back takes a millisecond at the least, also where the clock stands: no id is given twice. */
static uint64_t id_ms(void)
{
    int64_t now = fake_now_ms();

    return (uint64_t)(now == fake_server.died_ms ? now + 1 : now);
}

static struct fake_id next_id(const struct fake_stream *stream)
{
    struct fake_id id = {.ms = id_ms()};

    return id.ms > stream->last.ms ? id : (struct fake_id){stream->last.ms, stream->last.seq + 1};
}

/* ---- entries ---- */

static void release_entry(struct fake_entry *entry)
{
    for (size_t i = 0; i < entry->n_names; i++)
        hf_buf_release(&entry->names[i].key);
    free(entry->names);
}

static struct fake_entry copy_entry(const struct fake_entry *entry)
{
    struct fake_entry copy = *entry;

    copy.names = fake_need(calloc(entry->n_names + 1, sizeof(*copy.names)));
    for (size_t i = 0; i < entry->n_names; i++) {
        copy.names[i] = entry->names[i];
        copy.names[i].key = fake_copy(fake_slice(&entry->names[i].key));
    }
    return copy;
}

#define NODE_ENTRIES 100u /* stream-node-max-entries */

/* The last node is full, or there is none. */
static bool needs_node(const struct fake_stream *stream)
{
    for (size_t i = stream->n; i > 0 && stream->n - i < NODE_ENTRIES; i--) {
        if (stream->entries[i - 1].opens_node || i == 1)
            return stream->n - i + 1 >= NODE_ENTRIES;
    }
    return true;
}

static size_t first_node(const struct fake_stream *stream)
{
    size_t n = stream->n > 0;

    while (n < stream->n && !stream->entries[n].opens_node)
        n++;
    return n;
}

void fake_keep_entry(struct fake_stream *stream, const struct fake_entry *entry)
{
    if (stream->n == stream->capacity) {
        stream->capacity = stream->capacity ? 2 * stream->capacity : 64;
        stream->entries = fake_need(realloc(stream->entries, stream->capacity * sizeof(*stream->entries)));
    }
    stream->entries[stream->n++] = copy_entry(entry);
}

struct fake_id fake_append(struct fake_stream *stream, const struct fake_entry *entry, uint64_t max)
{
    struct fake_entry added = *entry;

    stream->last = added.id = next_id(stream);
    added.opens_node = needs_node(stream);
    fake_keep_entry(stream, &added);
    while (max > 0 && stream->n > max && stream->n - first_node(stream) >= max)
        fake_trim(stream, stream->n - first_node(stream));
    return added.id;
}

void fake_trim(struct fake_stream *stream, size_t n_left)
{
    size_t n_gone = stream->n > n_left ? stream->n - n_left : 0;

    for (size_t i = 0; i < n_gone; i++)
        release_entry(&stream->entries[i]);
    if (n_gone > 0)
        memmove(stream->entries, stream->entries + n_gone, (stream->n - n_gone) * sizeof(*stream->entries));
    stream->n -= n_gone;
}

void fake_release_stream(struct fake_stream *stream)
{
    fake_trim(stream, 0);
    free(stream->entries);
    *stream = (struct fake_stream){0};
}

struct fake_stream fake_copy_stream(const struct fake_stream *stream)
{
    struct fake_stream copy = *stream;

    if (stream->capacity == 0)
        return copy;
    copy.entries = fake_need(calloc(stream->capacity, sizeof(*copy.entries)));
    for (size_t i = 0; i < stream->n; i++)
        copy.entries[i] = copy_entry(&stream->entries[i]);
    return copy;
}

/* ---- names of logs ---- */

#define HEAD "_hf:"
#define TAIL ":epoch"

/* The prefix of the namespace whose epoch this key holds. */
static bool is_epoch_of(const struct fake_key *key, struct hf_slice *ret_prefix)
{
    struct hf_slice name = fake_slice(&key->key);
    size_t head = strlen(HEAD), tail = strlen(TAIL);

    if (name.len < head + tail || !hf__slice_starts_with(name, hf__slice_str(HEAD)) ||
        memcmp((const char *)name.data + name.len - tail, TAIL, tail) != 0)
        return false;
    *ret_prefix = hf__slice((const char *)name.data + head, name.len - head - tail);
    return true;
}

struct search {
    struct hf_slice key;
    struct fake_key *epoch;
    struct hf_slice prefix;
};

static void look_for_epoch(struct fake_key *key, void *ctx)
{
    struct search *search = ctx;
    struct hf_slice prefix;

    if (!is_epoch_of(key, &prefix) || !hf__slice_starts_with(search->key, prefix) ||
        (search->epoch && prefix.len <= search->prefix.len))
        return;
    search->epoch = key;
    search->prefix = prefix;
}

struct fake_key *fake_log_of(struct hf_slice key)
{
    struct search search = {.key = key};
    char name[HF_KEY_MAX + 64];
    int n;

    fake_each_key(&fake_server.data, look_for_epoch, &search);
    if (!search.epoch)
        return NULL;
    n = snprintf(name, sizeof(name), HEAD "%.*s:log:%.*s", (int)search.prefix.len, (const char *)search.prefix.data,
                 (int)search.epoch->value.len, (const char *)search.epoch->value.data);
    return fake_find(hf__slice(name, (size_t)n));
}

bool fake_is_log(const struct fake_key *key)
{
    return key->live && strcmp(key->type, FAKE_STREAM) == 0 &&
           hf__slice_starts_with(fake_slice(&key->key), hf__slice_str(HEAD));
}
