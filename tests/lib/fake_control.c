/* What tests set in the fake Redis, do to it behind the stores' backs, and ask of it. */
#include "deadline.h"
#include "fake_commands.h"
#include "fake_requests.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define OTHER_NODE "0123456789abcdef0123456789abcdef" /* of fake_redis_other_node */

static void lock(void)
{
    pthread_mutex_lock(&fake_server.mutex);
}

static void unlock(void)
{
    pthread_mutex_unlock(&fake_server.mutex);
}

static unsigned read_count(const unsigned *count)
{
    unsigned n;

    lock();
    n = *count;
    unlock();
    return n;
}

/* In one turn. */
static void change_each(void (*change)(struct fake_key *key, void *ctx), void *ctx)
{
    lock();
    fake_each_key(&fake_server.data, change, ctx);
    fake_end_turn();
    unlock();
}

/* ---- its life ---- */

#define SEED 1

void fake_redis_start(void)
{
    pthread_mutex_t mutex = fake_server.mutex;

    fake_server = (struct fake_server){.mutex = mutex, .random = SEED, .uptime_base_s = 1000};
    fake_server.late_end = &fake_server.late;
    hf__cond_init(&fake_server.changed);
}

void fake_redis_stop(void)
{
    fake_forget_late();
    fake_server.holds_turn = false;
    fake_end_turn();
    fake_release_data(&fake_server.data);
    fake_release_data(&fake_server.other);
    fake_release_data(&fake_server.snapshot);
    pthread_cond_destroy(&fake_server.changed);
}

void fake_redis_seed(uint64_t seed)
{
    lock();
    fake_server.random = seed;
    unlock();
}

/* ---- its data as a whole ---- */

static void touch_and_release(struct fake_data *was)
{
    fake_touch_all(was);
    fake_release_data(was);
}

void fake_redis_wipe(void)
{
    struct fake_data was;

    lock();
    was = fake_server.data;
    fake_server.data = (struct fake_data){0};
    touch_and_release(&was);
    fake_release_data(&fake_server.other);
    fake_signal_all();
    unlock();
}

/* SWAPDB tells nobody who tracks. */
void fake_redis_swap(void)
{
    struct fake_data was;

    lock();
    was = fake_server.data;
    fake_server.data = fake_server.other;
    fake_server.other = was;
    fake_touch_all(&fake_server.data);
    fake_touch_all(&fake_server.other);
    unlock();
}

void fake_redis_snapshot(void)
{
    lock();
    fake_release_data(&fake_server.snapshot);
    fake_copy_data(&fake_server.data, &fake_server.snapshot);
    unlock();
}

static void trim_log(struct fake_key *key, void *ctx)
{
    size_t n_left = *(const size_t *)ctx;

    if (!fake_is_log(key) || key->stream.n <= n_left)
        return;
    fake_trim(&key->stream, n_left);
    fake_signal(NULL, fake_slice(&key->key));
}

void fake_redis_trim_log(size_t n_left)
{
    change_each(trim_log, &n_left);
}

static void lose_log(struct fake_key *key, void *ctx)
{
    (void)ctx;
    if (!fake_is_log(key))
        return;
    fake_clear_key(key);
    fake_signal(NULL, fake_slice(&key->key));
}

void fake_redis_lose_log(void)
{
    change_each(lose_log, NULL);
}

static void lose_token(struct fake_key *key, void *ctx)
{
    struct fake_caller caller = {.foreign = true, .let = true};

    (void)ctx;
    if (hf__slice_starts_with(fake_slice(&key->key), hf__slice_str("_hf:session:")))
        (void)fake_delete(&caller, fake_slice(&key->key));
}

void fake_redis_lose_tokens(void)
{
    change_each(lose_token, NULL);
}

static void look(struct fake_key *key, void *ctx)
{
    (void)ctx;
    fake_look(fake_slice(&key->key));
}

void fake_redis_expire(void)
{
    change_each(look, NULL);
}

void fake_redis_refuse_tracking(bool refuse)
{
    lock();
    fake_server.no_tracking = refuse;
    unlock();
}

/* ---- its clock ---- */

void fake_redis_set_clock(struct hf_clock *clock, int64_t redis_ms)
{
    lock();
    fake_server.clock = clock;
    fake_server.ahead_ms = redis_ms - clock->boot_ms(clock);
    unlock();
}

void fake_redis_lie_once(int64_t wrong_ms)
{
    lock();
    fake_server.wrong_ms = wrong_ms;
    unlock();
}

void fake_redis_tell_time(void)
{
    lock();
    fake_server.tell++;
    fake_changed();
    unlock();
}

unsigned fake_redis_times_told(void)
{
    return read_count(&fake_server.told);
}

/* ---- other writers ---- */

static const struct fake_caller foreign = {.foreign = true, .let = true};

static void change_foreign(const char *name, enum hf_shared_op op, const char *value, int64_t deadline_ms)
{
    struct fake_caller caller = foreign;
    struct hf_slice key = hf__slice_str(name);

    switch (op) {
    case HF_SHARED_SET: (void)fake_set(&caller, key, hf__slice_str(value), deadline_ms); break;
    case HF_SHARED_DELETE: (void)fake_delete(&caller, key); break;
    case HF_SHARED_EXPIRE: (void)fake_expire(&caller, key, deadline_ms); break;
    default: (void)fake_persist(&caller, key); break;
    }
}

void fake_redis_foreign_set(const char *key, const char *value, int64_t deadline_ms)
{
    lock();
    change_foreign(key, HF_SHARED_SET, value, deadline_ms);
    fake_end_turn();
    unlock();
}

void fake_redis_foreign_delete(const char *key)
{
    lock();
    change_foreign(key, HF_SHARED_DELETE, "", 0);
    fake_end_turn();
    unlock();
}

void fake_redis_foreign_expire(const char *key, int64_t deadline_ms)
{
    lock();
    change_foreign(key, deadline_ms != 0 ? HF_SHARED_EXPIRE : HF_SHARED_PERSIST, "", deadline_ms);
    fake_end_turn();
    unlock();
}

void fake_redis_other_type(const char *name, const char *type)
{
    struct fake_key *key;

    lock();
    change_foreign(name, HF_SHARED_SET, "", 0);
    key = fake_find(hf__slice_str(name));
    snprintf(key->type, sizeof(key->type), "%s", type);
    fake_end_turn();
    unlock();
}

/* An entry for this name, or none. */
static void add_entry(const struct fake_key *log, const char *node, struct fake_name *name)
{
    struct fake_entry entry = {.names = name, .n_names = name != NULL, .last_lsn = name ? name->lsn : 0};
    struct fake_caller caller = foreign;
    struct fake_id id;
    bool there;

    snprintf(entry.node, sizeof(entry.node), "%s", node);
    if (log && fake_is_log(log))
        (void)fake_add(&caller, fake_slice(&log->key), &entry, UINT64_MAX, &there, &id);
}

void fake_redis_other_node(const char *key, const char *value, int64_t made_ms, int64_t uncertainty_ms)
{
    enum hf_shared_op op = value ? HF_SHARED_SET : HF_SHARED_DELETE;
    struct fake_name name = {.op = op, .made_ms = made_ms, .uncertainty_ms = uncertainty_ms};

    lock();
    change_foreign(key, op, value ? value : "", 0);
    name.key = fake_copy(hf__slice_str(key));
    name.lsn = ++fake_server.other_lsn;
    add_entry(fake_log_of(hf__slice_str(key)), OTHER_NODE, &name);
    hf_buf_release(&name.key);
    fake_end_turn();
    unlock();
}

void fake_redis_foreign_entry(const char *log)
{
    lock();
    add_entry(fake_find(hf__slice_str(log)), "", NULL);
    fake_end_turn();
    unlock();
}

/* ---- scripts ---- */

void fake_redis_script(enum fake_request kind, enum fake_outcome outcome, unsigned n)
{
    lock();
    fake_server.scripts[kind].outcome = outcome;
    fake_server.scripts[kind].n = n;
    unlock();
}

static void set_gate(enum fake_request kind, bool frozen, unsigned lets)
{
    lock();
    fake_server.scripts[kind].frozen = frozen;
    fake_server.scripts[kind].lets = lets;
    fake_changed();
    unlock();
}

void fake_redis_freeze(enum fake_request kind)
{
    set_gate(kind, true, 0);
}

void fake_redis_let(enum fake_request kind, unsigned n)
{
    set_gate(kind, true, n);
}

void fake_redis_let_newest(enum fake_request kind)
{
    lock();
    fake_server.scripts[kind].newest = true;
    unlock();
    set_gate(kind, true, 1);
}

void fake_redis_thaw(enum fake_request kind)
{
    set_gate(kind, false, 0);
}

static void set_mark(struct fake_key *key, void *ctx)
{
    const char *text = ctx;
    struct fake_caller caller = foreign;
    struct hf_slice name = fake_slice(&key->key);

    if (!hf__slice_starts_with(name, hf__slice_str("_hf:")) || !memmem(name.data, name.len, ":mark:", 6))
        return;
    if (strcmp(text, "0") == 0)
        (void)fake_delete(&caller, name);
    else
        (void)fake_set(&caller, name, hf__slice_str(text), 0);
}

void fake_redis_set_mark(uint64_t mark)
{
    char text[24];

    snprintf(text, sizeof(text), "%" PRIu64, mark);
    change_each(set_mark, text);
}

unsigned fake_redis_asked(enum fake_request kind)
{
    return read_count(&fake_server.scripts[kind].asked);
}

bool fake_redis_holds(const char *key, const char *value)
{
    const struct fake_key *found;
    bool holds;

    lock();
    found = fake_find(hf__slice_str(key));
    holds = value ? fake_is_string(found) && hf__slice_eq(fake_slice(&found->value), hf__slice_str(value))
                  : !fake_is_there(found);
    unlock();
    return holds;
}

int64_t fake_redis_deadline_ms(const char *key)
{
    const struct fake_key *found;
    int64_t deadline_ms;

    lock();
    found = fake_find(hf__slice_str(key));
    deadline_ms = fake_is_there(found) ? found->deadline_ms : 0;
    unlock();
    return deadline_ms;
}

unsigned fake_redis_applied(const char *key)
{
    struct fake_key *found;
    unsigned applied;

    lock();
    found = fake_find(hf__slice_str(key));
    applied = found ? found->applied : 0;
    unlock();
    return applied;
}

unsigned fake_redis_changes(void)
{
    return read_count(&fake_server.n_changes);
}

unsigned fake_redis_torn_units(void)
{
    return read_count(&fake_server.torn_units);
}
