/* The commands over what is held. */
#include "fake_commands.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- memory ---- */

#define KEY_OVERHEAD_BYTES 96

static void add_up(struct fake_key *key, void *ctx)
{
    uint64_t *sum = ctx;

    *sum += KEY_OVERHEAD_BYTES + key->key.len + key->value.len + key->stream.n * KEY_OVERHEAD_BYTES;
}

uint64_t fake_used_bytes(void)
{
    uint64_t sum = 0;

    fake_each_key(&fake_server.data, add_up, &sum);
    return sum;
}

struct choice {
    size_t at, chosen;
    struct fake_key *key;
};

static void choose(struct fake_key *key, void *ctx)
{
    struct choice *choice = ctx;

    if (choice->at++ == choice->chosen)
        choice->key = key;
}

static void take_away(struct fake_key *key)
{
    fake_clear_key(key);
    fake_signal(NULL, fake_slice(&key->key));
}

static bool evict_one(void)
{
    struct choice choice = {.chosen = SIZE_MAX};

    fake_each_key(&fake_server.data, choose, &choice);
    if (choice.at == 0)
        return false;
    choice = (struct choice){.chosen = fake_random() % choice.at};
    fake_each_key(&fake_server.data, choose, &choice);
    take_away(choice.key);
    fake_server.n_evicted++;
    return true;
}

bool fake_is_full(void)
{
    bool full = fake_server.troubles[FAKE_TROUBLE_OOM];

    if (fake_server.max_bytes == 0)
        return full;
    while (fake_server.evicts && fake_used_bytes() > fake_server.max_bytes && evict_one())
        ;
    return full || fake_used_bytes() > fake_server.max_bytes;
}

/* ---- what is refused ---- */

#define OOM_TEXT "OOM command not allowed when used memory > 'maxmemory'."
#define MISCONF_TEXT                                                                                               \
    "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk."
#define READONLY_TEXT "READONLY You can't write against a read only replica."
#define NOPERM_TEXT "NOPERM this user has no permissions to access one of the keys used as arguments"

/* A script that was let write once must not be stopped in the middle. */
static const char *refuses_script(struct fake_caller *caller, unsigned does)
{
    if (!(does & (FAKE_WRITES | FAKE_GROWS)))
        return NULL;
    if (fake_server.troubles[FAKE_TROUBLE_READONLY])
        return READONLY_TEXT;
    if (fake_server.troubles[FAKE_TROUBLE_MISCONF])
        return MISCONF_TEXT;
    if ((does & FAKE_GROWS) && caller->full)
        return OOM_TEXT;
    caller->let = true;
    return NULL;
}

const char *fake_refuses(struct fake_caller *caller, unsigned does)
{
    bool writes = does & (FAKE_WRITES | FAKE_GROWS);
    const bool *troubles = fake_server.troubles;

    if (caller->let)
        return NULL;
    if (caller->in_script)
        return refuses_script(caller, does);
    if (troubles[FAKE_TROUBLE_NOPERM] && !(does & FAKE_KEYLESS))
        return NOPERM_TEXT;
    if (((does & FAKE_GROWS) || caller->in_multi) && fake_is_full())
        return OOM_TEXT;
    if (troubles[FAKE_TROUBLE_MISCONF] && writes)
        return MISCONF_TEXT;
    if (troubles[FAKE_TROUBLE_READONLY] && writes)
        return READONLY_TEXT;
    if (troubles[FAKE_TROUBLE_LOADING] && !(does & FAKE_ALWAYS))
        return "LOADING Redis is loading the dataset in memory";
    if (troubles[FAKE_TROUBLE_BUSY] && !(does & FAKE_ALWAYS))
        return "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.";
    return NULL;
}

struct fake_caller fake_script_caller(const char **ret_why)
{
    struct fake_caller outside = {0};

    *ret_why = fake_refuses(&outside, FAKE_READS);
    return (struct fake_caller){.in_script = true, .full = fake_is_full()};
}

/* ---- looking ---- */

/* A replica waits for its master to take it away. */
struct fake_key *fake_look(struct hf_slice name)
{
    struct fake_key *key = fake_find(name);

    if (!key || !key->live)
        return NULL;
    if (!fake_is_dead(key))
        return key;
    if (!fake_server.troubles[FAKE_TROUBLE_READONLY])
        take_away(key);
    return NULL;
}

const char *fake_get(struct fake_caller *caller, struct hf_slice name, const struct fake_key **ret_key)
{
    const char *why = fake_refuses(caller, FAKE_READS);

    *ret_key = why ? NULL : fake_look(name);
    return *ret_key && (*ret_key)->type[0] ? FAKE_WRONGTYPE : why;
}

const char *fake_read(struct fake_caller *caller, struct hf_slice name, const struct fake_key **ret_key)
{
    const char *why = fake_refuses(caller, FAKE_READS);

    *ret_key = why ? NULL : fake_look(name);
    return *ret_key && strcmp((*ret_key)->type, FAKE_STREAM) != 0 ? FAKE_WRONGTYPE : why;
}

int64_t fake_pttl(struct hf_slice name)
{
    const struct fake_key *key = fake_look(name);

    if (!key)
        return -2;
    return key->deadline_ms != 0 ? key->deadline_ms - fake_now_ms() : -1;
}

bool fake_holds_text(const struct fake_key *key, const char *text)
{
    return key && !key->type[0] && hf__slice_eq(fake_slice(&key->value), hf__slice_str(text));
}

/* ---- changing ---- */

static void changed(const struct fake_caller *caller, struct fake_key *key)
{
    key->applied += !caller->foreign;
    fake_server.n_changes += !hf__slice_starts_with(fake_slice(&key->key), hf__slice_str("_hf:session:"));
    fake_signal(caller->by, fake_slice(&key->key));
}

static void put(const struct fake_caller *caller, struct fake_key *key, struct hf_slice value, int64_t deadline_ms)
{
    struct hf_buf copy = fake_copy(value);

    fake_clear_key(key);
    key->value = copy;
    key->deadline_ms = deadline_ms;
    key->live = true;
    changed(caller, key);
}

const char *fake_set(struct fake_caller *caller, struct hf_slice name, struct hf_slice value, int64_t deadline_ms)
{
    const char *why = fake_refuses(caller, FAKE_WRITES | FAKE_GROWS);

    if (why)
        return why;
    if (deadline_ms < 0)
        return "ERR invalid expire time in 'set' command";
    fake_look(name);
    put(caller, fake_find_or_make(name), value, deadline_ms);
    return NULL;
}

const char *fake_set_keeping_ttl(struct fake_caller *caller, struct hf_slice name, struct hf_slice value)
{
    const struct fake_key *key = fake_look(name);

    return fake_set(caller, name, value, key ? key->deadline_ms : 0);
}

const char *fake_set_if_absent(struct fake_caller *caller, struct hf_slice name, struct hf_slice value,
                               int64_t deadline_ms, bool *ret_set)
{
    const char *why = fake_refuses(caller, FAKE_WRITES | FAKE_GROWS);

    *ret_set = !why && !fake_look(name);
    return *ret_set ? fake_set(caller, name, value, deadline_ms) : why;
}

const char *fake_delete(struct fake_caller *caller, struct hf_slice name)
{
    const char *why = fake_refuses(caller, FAKE_WRITES);
    struct fake_key *key = why ? NULL : fake_look(name);

    if (!key)
        return why;
    fake_clear_key(key);
    changed(caller, key);
    return NULL;
}

const char *fake_expire(struct fake_caller *caller, struct hf_slice name, int64_t deadline_ms)
{
    const char *why = fake_refuses(caller, FAKE_WRITES);
    struct fake_key *key = why ? NULL : fake_look(name);

    if (!key)
        return why;
    if (deadline_ms <= fake_now_ms())
        fake_clear_key(key);
    else
        key->deadline_ms = deadline_ms;
    changed(caller, key);
    return NULL;
}

const char *fake_persist(struct fake_caller *caller, struct hf_slice name)
{
    const char *why = fake_refuses(caller, FAKE_WRITES);
    struct fake_key *key = why ? NULL : fake_look(name);

    if (!key || key->deadline_ms == 0)
        return why;
    key->deadline_ms = 0;
    changed(caller, key);
    return NULL;
}

const char *fake_increment(struct fake_caller *caller, struct hf_slice name, int64_t delta)
{
    const char *why = fake_refuses(caller, FAKE_WRITES | FAKE_GROWS);
    struct fake_key *key = why ? NULL : fake_look(name);
    int64_t number = 0;
    char text[24];

    if (why)
        return why;
    if (key && key->type[0])
        return FAKE_WRONGTYPE;
    if (key)
        number = strtoll(key->value.data, NULL, 10); /* who asks has seen that it is one, and fits */
    snprintf(text, sizeof(text), "%" PRId64, number + delta);
    put(caller, fake_find_or_make(name), hf__slice_str(text), key ? key->deadline_ms : 0);
    return NULL;
}

/* ---- change logs ---- */

const char *fake_add(struct fake_caller *caller, struct hf_slice name, const struct fake_entry *entry, uint64_t max,
                     bool *ret_there, struct fake_id *ret_id)
{
    const char *why = fake_refuses(caller, FAKE_WRITES | FAKE_GROWS);
    struct fake_key *key = why ? NULL : fake_look(name);

    *ret_there = !why && (key || max == 0);
    if (key && strcmp(key->type, FAKE_STREAM) != 0)
        return FAKE_WRONGTYPE;
    if (!*ret_there)
        return why;
    key = fake_find_or_make(name);
    if (!key->live)
        strcpy(key->type, FAKE_STREAM);
    key->live = true;
    *ret_id = fake_append(&key->stream, entry, max);
    changed(caller, key);
    return NULL;
}

uint64_t fake_log_max(const struct hf_shared_log *log)
{
    return log->max_entries ? log->max_entries : HF_CHANGE_LOG_MAX_DEFAULT;
}

#define NAMES_PER_ENTRY 1000u

void fake_log_names(struct fake_caller *caller, struct hf_shared_log *log, const char *node, uint64_t last_lsn,
                    struct fake_name *names, size_t n_names)
{
    for (size_t from = 0; from < n_names; from += NAMES_PER_ENTRY) {
        size_t n = n_names - from < NAMES_PER_ENTRY ? n_names - from : NAMES_PER_ENTRY;
        struct fake_entry entry = {.last_lsn = last_lsn, .names = names + from, .n_names = n};
        struct fake_id id;
        bool there;
        snprintf(entry.node, sizeof(entry.node), "%s", node);
        if (fake_add(caller, log->key, &entry, fake_log_max(log), &there, &id) || !there) {
            log->missing = true;
            log->last_id[0] = '\0';
            return;
        }
        fake_format_id(id, log->last_id);
    }
}
