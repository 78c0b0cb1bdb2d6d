/* The fake Redis's databases: keys in buckets, and copied as a whole. */
#include "fake_server.h"

#include <stdlib.h>

struct fake_server fake_server = {.mutex = PTHREAD_MUTEX_INITIALIZER};

void *fake_need(void *memory)
{
    if (!memory)
        abort();
    return memory;
}

struct hf_buf fake_copy(struct hf_slice s)
{
    struct hf_buf buf = {0};

    if (hf__buf_copy(s, &buf) != 0)
        abort();
    return buf;
}

/* ---- keys ---- */

static struct fake_key **bucket_of(struct fake_data *data, struct hf_slice name)
{
    return &data->buckets[hf__slice_hash(name) % FAKE_BUCKETS];
}

struct fake_key *fake_find(struct hf_slice name)
{
    struct fake_key *key = *bucket_of(&fake_server.data, name);

    while (key && !hf__slice_eq(fake_slice(&key->key), name))
        key = key->next;
    return key;
}

struct fake_key *fake_find_or_make(struct hf_slice name)
{
    struct fake_key *key = fake_find(name), **bucket = bucket_of(&fake_server.data, name);

    if (key)
        return key;
    key = fake_need(calloc(1, sizeof(*key)));
    key->key = fake_copy(name);
    key->next = *bucket;
    *bucket = key;
    return key;
}

bool fake_is_dead(const struct fake_key *key)
{
    return key->live && key->deadline_ms != 0 && fake_now_ms() > key->deadline_ms;
}

bool fake_is_there(const struct fake_key *key)
{
    return key && key->live && !fake_is_dead(key);
}

bool fake_is_string(const struct fake_key *key)
{
    return fake_is_there(key) && !key->type[0];
}

void fake_clear_key(struct fake_key *key)
{
    hf_buf_release(&key->value);
    fake_release_stream(&key->stream);
    key->live = false;
    key->type[0] = '\0';
    key->deadline_ms = 0;
}

void fake_each_key(const struct fake_data *data, void (*each)(struct fake_key *key, void *ctx), void *ctx)
{
    for (size_t i = 0; i < FAKE_BUCKETS; i++) {
        for (struct fake_key *key = data->buckets[i]; key; key = key->next) {
            if (key->live)
                each(key, ctx);
        }
    }
}

/* ---- all of them ---- */

static struct fake_key *copy_keys(const struct fake_key *key)
{
    struct fake_key *first = NULL, **end = &first;

    for (; key; key = key->next) {
        struct fake_key *copy = *end = fake_need(malloc(sizeof(*copy)));
        *copy = *key;
        copy->key = fake_copy(fake_slice(&key->key));
        copy->value = fake_copy(fake_slice(&key->value));
        copy->stream = fake_copy_stream(&key->stream);
        copy->next = NULL;
        end = &copy->next;
    }
    return first;
}

void fake_copy_data(const struct fake_data *from, struct fake_data *to)
{
    for (size_t i = 0; i < FAKE_BUCKETS; i++)
        to->buckets[i] = copy_keys(from->buckets[i]);
}

void fake_release_data(struct fake_data *data)
{
    for (size_t i = 0; i < FAKE_BUCKETS; i++) {
        for (struct fake_key *key = data->buckets[i], *next; key; key = next) {
            next = key->next;
            fake_clear_key(key);
            hf_buf_release(&key->key);
            free(key);
        }
    }
    *data = (struct fake_data){0};
}
