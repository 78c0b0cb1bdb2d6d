/* Words about answers and about all that is held; epochs, tokens and numbers of locks are chance, and stand as their place or
 * kind. */
#include "model_words.h"

#include "fake_server.h"

#include <ctype.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define ABOUT_MS 10000  /* deadlines are apart by more, and a slow machine is late by less */
#define HEX_DIGITS 32u  /* of epochs, tokens and nodes */
#define LOCK_DIGITS 15u /* a number of a lock's holder has more */

/* ---- saying ---- */

void pair_say(struct pair_words *words, const char *format, ...)
{
    size_t room = sizeof(words->text) - words->len;
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(words->text + words->len, room, format, args);
    va_end(args);
    words->len += n > 0 && (size_t)n < room ? (size_t)n : 0;
}

#define WHOLE_MAX 40u

void pair_say_value(struct pair_words *words, struct hf_slice value)
{
    char text[4 * WHOLE_MAX + 8];
    size_t n = value.len < WHOLE_MAX ? value.len : WHOLE_MAX;

    pair_say(words, "'%s'", hf__printable(hf__slice(value.data, n), text, sizeof(text)));
    if (n < value.len)
        pair_say(words, "+%zu=%" PRIx64, value.len, hf__slice_hash(value));
    pair_say(words, " ");
}

void pair_say_error(struct pair_words *words, const struct hf_shared_error *error)
{
    static const char *const names[] = {"ok", "link", "state", "entry", "auth", "fence", "retry", "changed"};

    pair_say(words, "%s%s ", names[error->class], error->class != HF_SHARED_OK && error->oom ? "(oom)" : "");
}

void pair_say_about(struct pair_words *words, int64_t ms)
{
    pair_say(words, ms > 0 ? "@ " : "@%d ", (int)ms);
    if (ms > 0 && words->n_about < sizeof(words->about_ms) / sizeof(words->about_ms[0]))
        words->about_ms[words->n_about++] = ms;
}

void pair_say_id(struct pair_words *words, size_t space, const char *id)
{
    bool none = id[0] == '\0' || strcmp(id, "0-0") == 0;

    pair_say(words, none ? "no id '%s' " : "id ", id);
    if (none || words->n_ids == sizeof(words->ids) / sizeof(words->ids[0]))
        return;
    words->ids[words->n_ids].space = space;
    snprintf(words->ids[words->n_ids++].id, sizeof(words->ids[0].id), "%s", id);
}

void pair_say_seen(struct pair_words *words, const struct hf_shared_seen *seen)
{
    pair_say_value(words, seen->key);
    if (seen->error.class != HF_SHARED_OK) {
        pair_say_error(words, &seen->error);
        return;
    }
    pair_say(words, "%d %s%s%" PRIu64 " ", seen->kind, seen->type, seen->left_out ? " left out " : " ", seen->len);
    if (seen->has_digest)
        pair_say(words, "%02x%02x%02x ", seen->digest[0], seen->digest[9], seen->digest[19]);
    if (seen->value.data)
        pair_say_value(words, seen->value);
    pair_say_about(words, seen->deadline_ms);
}

/* ---- epochs ---- */

size_t pair_epoch_place(const struct pair_side *side, const char *epoch)
{
    for (size_t i = 0; i < side->n_epochs; i++) {
        if (strncmp(side->epochs[i], epoch, HEX_DIGITS) == 0)
            return i + 1;
    }
    return 0;
}

void pair_learn_epoch(struct pair_side *side, size_t space, const char *prefix, const char *epoch)
{
    struct pair_log *log = &side->logs[space];

    if (!epoch[0] || strcmp(log->epoch, epoch) == 0)
        return;
    if (pair_epoch_place(side, epoch) == 0 && side->n_epochs < PAIR_IDS_MAX)
        memcpy(side->epochs[side->n_epochs++], epoch, sizeof(side->epochs[0]));
    memcpy(log->epoch, epoch, sizeof(log->epoch));
    snprintf(log->key, sizeof(log->key), "_hf:%s:log:%s", prefix, epoch);
    log->n_ids = 0;
}

/* A word of 32 hexadecimal digits: an epoch by its place, a node, which is hardly more than zeros, as it is, else a token. */
static size_t say_hex(const struct pair_side *side, const char *word, char *text, size_t room)
{
    size_t place = pair_epoch_place(side, word);

    if (place > 0)
        return (size_t)snprintf(text, room, "E%zu", place);
    if (strspn(word, "0") + 1 == HEX_DIGITS)
        return (size_t)snprintf(text, room, "%.*s", (int)HEX_DIGITS, word);
    return (size_t)snprintf(text, room, "token");
}

static size_t count(struct hf_slice s, size_t from, int (*is)(int c))
{
    const char *text = s.data;
    size_t n = 0;

    while (from + n < s.len && is((unsigned char)text[from + n]))
        n++;
    return n;
}

/* `text` has room for what is long enough to tell one from another. */
static void say_without_chance(const struct pair_side *side, struct hf_slice s, bool lock, char *text, size_t room)
{
    const char *from = s.data;
    size_t n = 0;

    for (size_t i = 0; i < s.len && n + HEX_DIGITS + 2 < room;) {
        size_t hex = count(s, i, isxdigit), digits = count(s, i, isdigit);
        if (hex == HEX_DIGITS) {
            n += say_hex(side, from + i, text + n, room - n);
            i += hex;
        } else if (lock && digits > LOCK_DIGITS) {
            text[n++] = '#';
            i += digits;
        } else {
            text[n++] = from[i++];
        }
    }
    text[n] = '\0';
}

/* ---- what is told ---- */

static char *told_of(struct pair *pair, const struct link_driver *d)
{
    for (int side = 0; side < PAIR_SIDES; side++) {
        for (size_t conn = 0; conn < PAIR_CONNS; conn++) {
            if (&pair->sides[side].conns[conn] == d)
                return pair->sides[side].told[conn];
        }
    }
    return NULL;
}

void pair_note_told(struct pair *pair, const struct link_driver *d, const struct hf_slice *keys, size_t n)
{
    char *told = told_of(pair, d);
    size_t room = sizeof(pair->sides[0].told[0]);

    for (size_t i = 0; i < n; i++)
        snprintf(told + strlen(told), room - strlen(told), "%.*s ", (int)keys[i].len, (const char *)keys[i].data);
    if (n == 0)
        snprintf(told + strlen(told), room - strlen(told), "* ");
}

/* ---- reading the logs on ---- */

static void note_id(struct pair_log *log, const char *id)
{
    assert_true(log->n_ids < PAIR_IDS_MAX);
    snprintf(log->ids[log->n_ids++], sizeof(log->ids[0]), "%s", id);
}

static void read_real_log(struct pair *pair, struct pair_log *log)
{
    const char *last = log->n_ids > 0 ? log->ids[log->n_ids - 1] : "0-0";
    redisReply *reply = redisCommand(pair->plain, "XRANGE %s (%s +", log->key, last);

    assert_non_null(reply);
    for (size_t i = 0; reply->type == REDIS_REPLY_ARRAY && i < reply->elements; i++)
        note_id(log, reply->element[i]->element[0]->str);
    freeReplyObject(reply);
}

static void read_model_log(struct pair_log *log)
{
    struct fake_id last = fake_parse_id(log->n_ids > 0 ? log->ids[log->n_ids - 1] : "");
    const struct fake_key *key = fake_find(hf__slice_str(log->key));
    char id[FAKE_ID_MAX];

    for (size_t i = 0; fake_is_there(key) && i < key->stream.n; i++) {
        if (fake_compare_ids(key->stream.entries[i].id, last) <= 0)
            continue;
        fake_format_id(key->stream.entries[i].id, id);
        note_id(log, id);
    }
}

void pair_tell_asked(const struct pair *pair)
{
    if (pair->tells)
        print_message("step %u, %s\n", pair->step, pair->asked);
}

/* What both have said, where it is asked for. */
static void tell(const struct pair *pair)
{
    if (pair->tells)
        print_message("    %s\n", pair->sides[PAIR_REAL].words.text);
}

static int compare_words(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* By the alphabet: Redis tells what one turn has changed in the order of names, in which epochs are chance. */
static void sort_words(char *text)
{
    char *words[4096], *copy = strdup(text), *rest = copy, *word;
    size_t n = 0, len = 0;

    assert_non_null(copy);
    while (n < 4096 && (word = strtok_r(rest, " ", &rest)))
        words[n++] = word;
    qsort(words, n, sizeof(words[0]), compare_words);
    for (size_t i = 0; i < n; i++)
        len += (size_t)sprintf(text + len, "%s ", words[i]); /* no more than there was */
    free(copy);
}

/* From where they differ, or a line before. */
static const char *show_from(const char *text, const char *other)
{
    size_t same = 0, from;

    while (text[same] && text[same] == other[same])
        same++;
    for (from = same; from > 0 && text[from - 1] != '\n';)
        from--;
    return text + from;
}

static void differ(struct pair *pair, const char *what, const char *real, const char *model)
{
    fail_msg("step %u, %s: %s differs\n  Redis: %.400s\n  model: %.400s\n(HOLDFAST_SEED=%" PRIu64 ")", pair->step,
             pair->asked, what, show_from(real, model), show_from(model, real), pair->seed);
}

void pair_read_logs(struct pair *pair)
{
    for (size_t i = 0; i < PAIR_SPACES; i++) {
        struct pair_log *real = &pair->sides[PAIR_REAL].logs[i], *model = &pair->sides[PAIR_MODEL].logs[i];
        char n_real[24], n_model[24];
        read_real_log(pair, real);
        pthread_mutex_lock(&fake_server.mutex);
        read_model_log(model);
        pthread_mutex_unlock(&fake_server.mutex);
        snprintf(n_real, sizeof(n_real), "%zu", real->n_ids);
        snprintf(n_model, sizeof(n_model), "%zu", model->n_ids);
        if (real->n_ids != model->n_ids)
            differ(pair, "how many entries a log ever had", n_real, n_model);
    }
}

size_t pair_places(const struct pair *pair, size_t space)
{
    return pair->sides[PAIR_REAL].logs[space].n_ids;
}

/* ---- comparing ---- */

/* From the end, for a time that was set back gives an id twice; SIZE_MAX: none. */
static size_t place_of(const struct pair_side *side, size_t i)
{
    const struct pair_log *log = &side->logs[side->words.ids[i].space];

    for (size_t place = log->n_ids; place > 0; place--) {
        if (strcmp(log->ids[place - 1], side->words.ids[i].id) == 0)
            return place - 1;
    }
    return SIZE_MAX;
}

/* The words are the same, so there are as many ids and times. */
void pair_compare_words(struct pair *pair)
{
    const struct pair_side *real = &pair->sides[PAIR_REAL], *model = &pair->sides[PAIR_MODEL];

    tell(pair);
    if (!pair->is_busy)
        pair_read_logs(pair);
    if (real->words.len != model->words.len || memcmp(real->words.text, model->words.text, real->words.len) != 0)
        differ(pair, "what is answered", real->words.text, model->words.text);
    for (size_t i = 0; i < real->words.n_ids; i++) {
        if (place_of(real, i) != place_of(model, i))
            differ(pair, "the place of an id", real->words.ids[i].id, model->words.ids[i].id);
    }
    for (size_t i = 0; i < real->words.n_about; i++) {
        int64_t apart = real->words.about_ms[i] - model->words.about_ms[i];
        if (apart < -ABOUT_MS || apart > ABOUT_MS)
            differ(pair, "a time", real->words.text, model->words.text);
    }
}

void pair_compare_told_to(struct pair *pair, size_t conn)
{
    char told[PAIR_SIDES][sizeof(pair->sides[0].told[0])];

    for (int i = 0; i < PAIR_SIDES; i++) {
        struct pair_side *side = &pair->sides[i];
        pthread_mutex_lock(&side->conns[conn].lock);
        say_without_chance(side, hf__slice_str(side->told[conn]), false, told[i], sizeof(told[i]));
        side->told[conn][0] = '\0';
        pthread_mutex_unlock(&side->conns[conn].lock);
        sort_words(told[i]);
    }
    if (strcmp(told[PAIR_REAL], told[PAIR_MODEL]) != 0)
        differ(pair, "what is told", told[PAIR_REAL], told[PAIR_MODEL]);
}

/* ---- all that is held ---- */

/* A key, to be sorted by what it is called without chance. */
struct held {
    char name[128];
    struct hf_buf key;
};

struct listed {
    const struct pair_side *side;
    struct held *held;
    size_t n;
};

static void list(struct listed *listed, struct hf_slice key)
{
    listed->held = fake_need(realloc(listed->held, (listed->n + 1) * sizeof(*listed->held)));
    say_without_chance(listed->side, key, false, listed->held[listed->n].name, sizeof(listed->held[0].name));
    listed->held[listed->n++].key = fake_copy(key);
}

static int compare_held(const void *a, const void *b)
{
    return strcmp(((const struct held *)a)->name, ((const struct held *)b)->name);
}

static void say_string(const struct pair_side *side, struct pair_words *words, const char *name,
                       struct hf_slice value)
{
    char text[256];

    if (strncmp(name, "_hf:", 4) != 0) {
        pair_say_value(words, value);
        return;
    }
    say_without_chance(side, value, strstr(name, ":fence"), text, sizeof(text));
    pair_say(words, "%s ", text);
}

static void say_real_entry(struct pair_words *words, const redisReply *fields)
{
    pair_say(words, "[");
    for (size_t i = 0; i < fields->elements; i++)
        pair_say(words, "%s ", fields->element[i]->str);
    pair_say(words, "] ");
}

static void say_real_key(struct pair *pair, struct pair_words *words, const struct held *held)
{
    const char *key = held->key.data;
    redisReply *type = redisCommand(pair->plain, "TYPE %s", key);
    redisReply *expires = redisCommand(pair->plain, "PEXPIRETIME %s", key);
    redisReply *value = NULL;

    pair_say(words, "\n    %s %s ", held->name, type->str);
    if (strcmp(type->str, "string") == 0) {
        value = redisCommand(pair->plain, "GET %s", key);
        say_string(&pair->sides[PAIR_REAL], words, held->name, hf__slice(value->str, value->len));
    } else if (strcmp(type->str, "stream") == 0) {
        value = redisCommand(pair->plain, "XRANGE %s - +", key);
        for (size_t i = 0; i < value->elements; i++)
            say_real_entry(words, value->element[i]->element[1]);
    }
    pair_say_about(words, expires->integer > 0 ? expires->integer : 0);
    freeReplyObject(type);
    freeReplyObject(expires);
    freeReplyObject(value);
}

static void say_model_entry(struct pair_words *words, const struct fake_entry *entry)
{
    static const char letters[] = " sdepi";

    pair_say(words, entry->node[0] ? "[n %s l %" PRIu64 " " : "[some thing ", entry->node, entry->last_lsn);
    for (size_t i = 0; i < entry->n_names; i++) {
        const struct fake_name *name = &entry->names[i];
        pair_say(words, "%c%" PRIu64, letters[name->op], entry->last_lsn - name->lsn);
        if (name->made_ms > 0)
            pair_say(words, "@%" PRId64, name->made_ms);
        if (name->uncertainty_ms > 0)
            pair_say(words, "~%" PRId64, name->uncertainty_ms);
        pair_say(words, " %s ", (const char *)name->key.data);
    }
    pair_say(words, "] ");
}

static void say_model_key(struct pair *pair, struct pair_words *words, const struct held *held)
{
    const struct fake_key *key = fake_find(fake_slice(&held->key));

    pair_say(words, "\n    %s %s ", held->name, key->type[0] ? key->type : "string");
    if (!key->type[0])
        say_string(&pair->sides[PAIR_MODEL], words, held->name, fake_slice(&key->value));
    for (size_t i = 0; i < key->stream.n; i++)
        say_model_entry(words, &key->stream.entries[i]);
    pair_say_about(words, key->deadline_ms);
}

static void say_all(struct pair *pair, struct listed *listed,
                    void (*say)(struct pair *pair, struct pair_words *words, const struct held *held))
{
    struct pair_words *words = &pair->sides[listed->side - pair->sides].words;

    words->len = words->n_ids = words->n_about = 0;
    if (listed->n > 0)
        qsort(listed->held, listed->n, sizeof(*listed->held), compare_held);
    for (size_t i = 0; i < listed->n; i++) {
        say(pair, words, &listed->held[i]);
        hf_buf_release(&listed->held[i].key);
    }
    free(listed->held);
}

/* KEYS leaves out what is dead, and does not take it away. */
static void say_real(struct pair *pair)
{
    struct listed listed = {.side = &pair->sides[PAIR_REAL]};
    redisReply *reply = redisCommand(pair->plain, "KEYS *");

    assert_non_null(reply);
    for (size_t i = 0; i < reply->elements; i++)
        list(&listed, hf__slice(reply->element[i]->str, reply->element[i]->len));
    freeReplyObject(reply);
    say_all(pair, &listed, say_real_key);
}

static void list_key(struct fake_key *key, void *ctx)
{
    if (fake_is_there(key))
        list(ctx, fake_slice(&key->key));
}

static void say_model(struct pair *pair)
{
    struct listed listed = {.side = &pair->sides[PAIR_MODEL]};

    pthread_mutex_lock(&fake_server.mutex);
    fake_each_key(&fake_server.data, list_key, &listed);
    say_all(pair, &listed, say_model_key);
    pthread_mutex_unlock(&fake_server.mutex);
}

void pair_compare_data(struct pair *pair)
{
    snprintf(pair->asked + strlen(pair->asked), sizeof(pair->asked) - strlen(pair->asked),
             ", and all that is held");
    say_real(pair);
    say_model(pair);
    pair_compare_words(pair);
}
