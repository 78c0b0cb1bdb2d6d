/* The last commands that took long. */
#include "slow.h"

#include "client.h"
#include "command.h"

#include <fail.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

struct slow_row {
    const char *command;
    int64_t at_ms; /* wall clock, when it was answered */
    uint64_t ns;
    bool failed;
    char client[112], name[CLIENT_NAME_MAX];
    char key[SLOW_KEY_MAX];
    size_t key_len;
};

struct slow {
    pthread_mutex_t lock; /* for the loop thread, when it changes something; for others, when they look */
    int after_ms;
    struct slow_row rows[SLOW_KEPT]; /* a ring */
    uint64_t n;                      /* noted since the start */
};

int slow_new(struct slow **ret_slow)
{
    struct slow *slow = calloc(1, sizeof(*slow));

    if (!slow)
        return hf__fail(HF_ENOMEM, "out of memory: the slow commands");
    pthread_mutex_init(&slow->lock, NULL);
    *ret_slow = slow;
    return 0;
}

void slow_free(struct slow *slow)
{
    if (!slow)
        return;
    pthread_mutex_destroy(&slow->lock);
    free(slow);
}

void slow_set_after(struct slow *slow, int after_ms)
{
    pthread_mutex_lock(&slow->lock);
    slow->after_ms = after_ms;
    pthread_mutex_unlock(&slow->lock);
}

bool slow_is(const struct slow *slow, uint64_t ns)
{
    return slow->after_ms > 0 && ns > (uint64_t)slow->after_ms * 1000000;
}

static int64_t wall_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static struct slow_row row_of(const struct slow_note *note)
{
    struct slow_row row = {.command = note->command ? note->command->name : "other",
                           .at_ms = wall_ms(),
                           .ns = note->ns,
                           .failed = note->failed};

    row.key_len = note->key.len < SLOW_KEY_MAX ? note->key.len : SLOW_KEY_MAX;
    if (row.key_len > 0)
        memcpy(row.key, note->key.data, row.key_len);
    memcpy(row.client, note->client->address, sizeof(row.client));
    memcpy(row.name, note->client->name, sizeof(row.name));
    return row;
}

void slow_add(struct slow *slow, const struct slow_note *note)
{
    struct slow_row row = row_of(note);

    pthread_mutex_lock(&slow->lock);
    slow->rows[slow->n++ % SLOW_KEPT] = row;
    pthread_mutex_unlock(&slow->lock);
}

static void write_row(const struct slow_row *row, uint64_t number, struct json *json)
{
    json_begin(json, '{');
    json_add_unsigned(json, "number", number);
    json_add_integer(json, "at_ms", row->at_ms);
    json_add_text(json, "command", row->command);
    json_add_unsigned(json, "us", row->ns / 1000);
    json_add_bool(json, "failed", row->failed);
    json_add_text(json, "client", row->client);
    json_add_text(json, "client_name", row->name);
    json_add_bytes(json, "key", hf__slice(row->key, row->key_len));
    json_end(json, '}');
}

void slow_write(struct slow *slow, struct json *json)
{
    pthread_mutex_lock(&slow->lock);
    json_add_integer(json, "after_ms", slow->after_ms);
    json_name(json, "commands");
    json_begin(json, '[');
    for (uint64_t i = slow->n; i > 0 && slow->n - i < SLOW_KEPT; i--)
        write_row(&slow->rows[(i - 1) % SLOW_KEPT], i, json);
    json_end(json, ']');
    pthread_mutex_unlock(&slow->lock);
}
