/* Comparing what is there with what must be there. */
#include "check.h"

#include "story.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define PIPELINE 500
#define JUST_NOW_MS 250 /* a deadline this near may or may not have passed when it was looked at */

static bool is_value(const struct check_found *found, const char *value, int64_t deadline_ms, int64_t tolerance_ms)
{
    int64_t off_ms = found->deadline_ms - deadline_ms;

    if (!found->live || !value || found->len != strlen(value) || memcmp(found->value, value, found->len) != 0)
        return false;
    if (deadline_ms == 0 || found->deadline_ms == 0)
        return deadline_ms == found->deadline_ms;
    return off_ms >= -tolerance_ms && off_ms <= tolerance_ms;
}

bool check_fits(const struct check_found *found, const char *value, int64_t deadline_ms, int64_t tolerance_ms)
{
    int64_t now_ms = story_unix_ms();

    if (!value || (deadline_ms != 0 && deadline_ms < now_ms - JUST_NOW_MS))
        return !found->live;
    if (deadline_ms != 0 && deadline_ms < now_ms + JUST_NOW_MS && !found->live)
        return true;
    return is_value(found, value, deadline_ms, tolerance_ms);
}

static void compare(const char *where, const struct model_entry *entry, const struct check_found *found,
                    int64_t tolerance_ms)
{
    const char *wrong = "wrong value";

    if (check_fits(found, entry->value, entry->deadline_ms, tolerance_ms))
        return;
    if (!found->live)
        wrong = "lost";
    else if (!entry->value || (entry->deadline_ms != 0 && entry->deadline_ms < story_unix_ms()))
        wrong = "resurrected";
    else if (is_value(found, entry->value, entry->deadline_ms, INT64_MAX / 2))
        wrong = "wrong deadline";
    else if ((found->deadline_ms == 0) != (entry->deadline_ms == 0))
        wrong = "wrong value, or a deadline where none belongs or none where one does";
    story_wrong("%s: %s: %s (deadline %" PRId64 ", expected %" PRId64 "; value of %zu bytes, expected %zu)", where,
                entry->key, wrong, found->deadline_ms, entry->deadline_ms, found->live ? found->len : 0,
                entry->value ? strlen(entry->value) : 0);
}

static void check_known(const char *where, const struct model *model, const char *key, size_t len)
{
    const struct model_entry *entry = model_find(model, key, len);

    if (!model_is_live(entry, story_unix_ms() - JUST_NOW_MS))
        story_wrong("%s: %.*s: %s", where, (int)len, key, entry ? "resurrected" : "never written");
}

/* ---- the local tier ---- */

int check_read(struct hf *store, const char *key, struct hf_buf *ret_value, struct check_found *ret_found)
{
    struct hf_result result;
    int rc = hf_get(store, (struct hf_slice){key, strlen(key)}, ret_value, &result);

    *ret_found = (struct check_found){0};
    if (rc < 0)
        return story_wrong("reading %s: %s", key, hf_errmsg());
    if (rc == 0)
        *ret_found = (struct check_found){true, ret_value->data, ret_value->len, result.deadline_ms};
    return 0;
}

static void walk_store(struct hf *store, const struct model *model)
{
    struct hf_slice key, value, none = {0};
    struct hf_scan *scan = NULL;
    int rc = hf_scan_open(store, none, none, &scan);

    while (rc == 0) {
        rc = hf_scan_next(scan, &key, &value, NULL);
        if (rc == 0)
            check_known("store", model, key.data, key.len);
    }
    if (rc < 0)
        story_wrong("walking the store: %s", hf_errmsg());
    hf_scan_close(scan);
}

void check_store(struct hf *store, const struct model *model)
{
    struct check_found found;

    for (size_t i = 0; i < model->n; i++) {
        struct hf_buf value = {0};
        if (check_read(store, model->entries[i].key, &value, &found) == 0)
            compare("store", &model->entries[i], &found, 0);
        hf_buf_release(&value);
    }
    walk_store(store, model);
}

/* ---- Redis ---- */

static redisReply *next_reply(redisContext *connection)
{
    void *reply = NULL;

    if (redisGetReply(connection, &reply) != REDIS_OK) {
        story_wrong("Redis: %s", connection->errstr);
        return NULL;
    }
    return reply;
}

static int compare_replies(redisContext *connection, const struct model_entry *entry)
{
    redisReply *value = next_reply(connection);
    redisReply *deadline = value ? next_reply(connection) : NULL;
    struct check_found found = {0};

    if (deadline && (value->type == REDIS_REPLY_ERROR || deadline->type != REDIS_REPLY_INTEGER)) {
        story_wrong("Redis: %s: %s", entry->key, value->type == REDIS_REPLY_ERROR ? value->str : deadline->str);
    } else if (deadline) {
        if (value->type == REDIS_REPLY_STRING)
            found = (struct check_found){.live = true, .value = value->str, .len = value->len};
        if (deadline->integer > 0)
            found.deadline_ms = deadline->integer;
        compare("Redis", entry, &found, CHECK_TOLERANCE_MS);
    }
    freeReplyObject(value);
    freeReplyObject(deadline);
    return deadline ? 0 : -1;
}

static int check_some(redisContext *connection, const struct model *model, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        redisAppendCommand(connection, "GET %s", model->entries[i].key);
        redisAppendCommand(connection, "PEXPIRETIME %s", model->entries[i].key);
    }
    for (size_t i = from; i < to; i++) {
        if (compare_replies(connection, &model->entries[i]) != 0)
            return -1;
    }
    return 0;
}

static void check_page(const struct model *model, const redisReply *keys)
{
    for (size_t i = 0; i < keys->elements; i++) {
        const redisReply *key = keys->element[i];
        if (key->len < 4 || memcmp(key->str, "_hf:", 4) != 0)
            check_known("Redis", model, key->str, key->len);
    }
}

static void walk_redis(redisContext *connection, const struct model *model)
{
    char cursor[32] = "0";

    do {
        redisReply *page = redisCommand(connection, "SCAN %s COUNT 1000", cursor);
        if (!page || page->type != REDIS_REPLY_ARRAY || page->elements != 2) {
            story_wrong("Redis: SCAN failed: %s", page && page->str ? page->str : connection->errstr);
            freeReplyObject(page);
            return;
        }
        check_page(model, page->element[1]);
        strncpy(cursor, page->element[0]->str, sizeof(cursor) - 1);
        freeReplyObject(page);
    } while (strcmp(cursor, "0") != 0);
}

void check_redis(const struct server *server, const struct model *model)
{
    redisContext *connection = server_connect(server);
    size_t at = 0, to;

    if (!connection)
        return;
    for (; at < model->n; at = to) {
        to = at + PIPELINE < model->n ? at + PIPELINE : model->n;
        if (check_some(connection, model, at, to) != 0)
            break;
    }
    if (at == model->n)
        walk_redis(connection, model);
    redisFree(connection);
}
