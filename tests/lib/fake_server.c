/* The fake Redis's data: lists that are searched from end to end, and copied as a whole. */
#include "fake_server.h"

#include <inttypes.h>
#include <stdio.h>
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

struct fake_key *fake_find(struct hf_slice name)
{
    struct fake_key *key = fake_server.data.keys;

    while (key && !hf__slice_eq(fake_slice(&key->key), name))
        key = key->next;
    return key;
}

struct fake_key *fake_find_or_make(struct hf_slice name)
{
    struct fake_key *key = fake_find(name);

    if (key)
        return key;
    key = fake_need(calloc(1, sizeof(*key)));
    key->key = fake_copy(name);
    key->next = fake_server.data.keys;
    fake_server.data.keys = key;
    return key;
}

struct fake_key *fake_find_live(struct hf_slice name)
{
    struct fake_key *key = fake_find(name);

    return key && key->live ? key : NULL;
}

bool fake_is_string(const struct fake_key *key)
{
    return key && key->live && !key->type[0];
}

static void store_value(struct fake_key *key, struct hf_slice value, int64_t deadline_ms)
{
    hf_buf_release(&key->value);
    key->value = fake_copy(value);
    key->deadline_ms = deadline_ms;
    key->live = true;
    key->type[0] = '\0';
}

void fake_change_key(struct fake_key *key, enum hf_shared_op op, struct hf_slice value, int64_t deadline_ms)
{
    if (op == HF_SHARED_SET)
        store_value(key, value, deadline_ms);
    else if (!key->live)
        return;
    else if (op == HF_SHARED_DELETE)
        key->live = false;
    else
        key->deadline_ms = op == HF_SHARED_EXPIRE ? deadline_ms : 0;
    key->touched = ++fake_server.touches;
}

int64_t fake_add(struct fake_key *key, int64_t delta, int64_t deadline_ms)
{
    int64_t number = (key->live ? strtoll(key->value.data, NULL, 10) : 0) + delta;
    char text[24];

    snprintf(text, sizeof(text), "%" PRId64, number);
    fake_change_key(key, HF_SHARED_SET, hf__slice_str(text), key->live ? key->deadline_ms : deadline_ms);
    return number;
}

uint64_t fake_number(struct hf_slice name)
{
    const struct fake_key *key = fake_find_live(name);

    return key ? strtoull(key->value.data, NULL, 10) : 0;
}

/* ---- the change log ---- */

bool fake_append_log(const struct fake_change *change)
{
    struct fake_data *data = &fake_server.data;
    struct fake_change *added;

    if (!data->log_there)
        return false;
    if (data->n_log == data->log_capacity) {
        data->log_capacity = data->log_capacity ? 2 * data->log_capacity : 64;
        data->log = fake_need(realloc(data->log, data->log_capacity * sizeof(*data->log)));
    }
    added = &data->log[data->n_log++];
    *added = *change;
    added->key = fake_copy(fake_slice(&change->key));
    added->id = ++fake_server.next_id;
    return true;
}

void fake_begin_log(const char *node)
{
    struct fake_change first = {0};

    snprintf(first.node, sizeof(first.node), "%s", node);
    fake_server.data.log_there = true;
    fake_append_log(&first);
}

void fake_trim_log(size_t n_left)
{
    struct fake_data *data = &fake_server.data;
    size_t n_gone = data->n_log > n_left ? data->n_log - n_left : 0;

    for (size_t i = 0; i < n_gone; i++)
        hf_buf_release(&data->log[i].key);
    if (n_gone > 0)
        memmove(data->log, data->log + n_gone, (data->n_log - n_gone) * sizeof(*data->log));
    data->n_log -= n_gone;
}

void fake_clear_log(void)
{
    fake_trim_log(0);
    fake_server.data.log_there = false;
}

uint64_t fake_last_id(void)
{
    const struct fake_data *data = &fake_server.data;

    return data->n_log > 0 ? data->log[data->n_log - 1].id : 0;
}

bool fake_is_log(struct hf_slice name)
{
    const struct fake_data *data = &fake_server.data;
    size_t n = strlen(data->epoch);

    return data->log_there && name.len >= n && memcmp((const char *)name.data + name.len - n, data->epoch, n) == 0;
}

/* ---- connections ---- */

int64_t fake_now_ms(void)
{
    struct hf_clock *clock = fake_server.tiers ? fake_server.tiers->clock : hf__clock_real();

    if (fake_server.clock)
        return fake_server.clock->boot_ms(fake_server.clock) + fake_server.ahead_ms;
    return clock->wall_ms(clock);
}

int64_t fake_tell_time_ms(void)
{
    int64_t ms = fake_now_ms() + fake_server.wrong_ms;

    fake_server.wrong_ms = 0;
    return ms;
}

static void push(struct fake_tier *tier, const struct hf_slice *key)
{
    if (!key) {
        tier->push_all = true;
        return;
    }
    tier->pushes = fake_need(realloc(tier->pushes, (tier->n_pushes + 1) * sizeof(*tier->pushes)));
    tier->pushes[tier->n_pushes++] = fake_copy(*key);
}

void fake_invalidate(const struct fake_tier *by, const struct hf_slice *key)
{
    for (struct fake_tier *tier = fake_server.tiers; tier; tier = tier->next) {
        if (tier != by && tier->connected && tier->handler->invalidated && !fake_server.no_tracking &&
            !tier->untracked)
            push(tier, key);
    }
}

void fake_forget_watches(struct fake_tier *tier)
{
    for (size_t i = 0; i < tier->n_watches; i++)
        hf_buf_release(&tier->watches[i].key);
    free(tier->watches);
    tier->watches = NULL;
    tier->n_watches = 0;
    tier->watching = false;
}

void fake_forget_pushes(struct fake_tier *tier)
{
    for (size_t i = 0; i < tier->n_pushes; i++)
        hf_buf_release(&tier->pushes[i]);
    free(tier->pushes);
    tier->pushes = NULL;
    tier->n_pushes = 0;
    tier->push_all = false;
}

/* ---- all of it ---- */

struct fake_data fake_copy_data(const struct fake_data *data)
{
    struct fake_data to = *data;
    struct fake_key **end = &to.keys;

    for (const struct fake_key *key = data->keys; key; key = key->next) {
        struct fake_key *copy = *end = fake_need(malloc(sizeof(*copy)));
        *copy = *key;
        copy->key = fake_copy(fake_slice(&key->key));
        copy->value = fake_copy(fake_slice(&key->value));
        end = &copy->next;
    }
    *end = NULL;
    to.log = fake_need(calloc(data->log_capacity + 1, sizeof(*to.log)));
    for (size_t i = 0; i < data->n_log; i++) {
        to.log[i] = data->log[i];
        to.log[i].key = fake_copy(fake_slice(&data->log[i].key));
    }
    return to;
}

void fake_release_data(struct fake_data *data)
{
    for (struct fake_key *key = data->keys, *next; key; key = next) {
        next = key->next;
        hf_buf_release(&key->key);
        hf_buf_release(&key->value);
        free(key);
    }
    for (size_t i = 0; i < data->n_log; i++)
        hf_buf_release(&data->log[i].key);
    free(data->log);
    *data = (struct fake_data){0};
}
