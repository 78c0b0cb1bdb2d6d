/* What tests set in the fake Redis, do to it behind the stores' backs, and ask of it. */
#include "deadline.h"
#include "fake_server.h"

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

/* ---- its life ---- */

void fake_redis_start(void)
{
    fake_server.away = fake_server.no_tracking = false;
    fake_server.torn_units = fake_server.told = 0;
    fake_server.clock = NULL;
    fake_server.wrong_ms = 0;
    fake_server.uptime_base_s = 1000;
    fake_server.uptime_from_ms = 0;
    memset(fake_server.scripts, 0, sizeof(fake_server.scripts));
    hf__cond_init(&fake_server.changed);
}

void fake_redis_stop(void)
{
    fake_release_data(&fake_server.data);
    fake_release_data(&fake_server.snapshot);
    pthread_cond_destroy(&fake_server.changed);
}

static void cut_all(void)
{
    for (struct fake_tier *tier = fake_server.tiers; tier; tier = tier->next)
        tier->cut = tier->connected;
    fake_changed();
}

static void begin_run(void)
{
    fake_server.runs++;
    fake_server.uptime_base_s = fake_server.uptime_from_ms = 0;
    cut_all();
}

void fake_redis_restart(void)
{
    lock();
    begin_run();
    unlock();
}

void fake_redis_wipe(void)
{
    lock();
    fake_release_data(&fake_server.data);
    fake_server.wipes++;
    fake_invalidate(NULL, NULL);
    fake_changed();
    unlock();
}

void fake_redis_snapshot(void)
{
    lock();
    fake_release_data(&fake_server.snapshot);
    fake_server.snapshot = fake_copy_data(&fake_server.data);
    unlock();
}

void fake_redis_restore(void)
{
    lock();
    fake_release_data(&fake_server.data);
    fake_server.data = fake_copy_data(&fake_server.snapshot);
    begin_run();
    unlock();
}

void fake_redis_trim_log(size_t n_left)
{
    lock();
    fake_trim_log(n_left);
    unlock();
}

void fake_redis_lose_log(void)
{
    lock();
    fake_clear_log();
    unlock();
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
    unsigned told;

    lock();
    told = fake_server.told;
    unlock();
    return told;
}

/* ---- other writers ---- */

static void change_foreign(const char *name, enum hf_shared_op op, const char *value, int64_t deadline_ms)
{
    struct hf_slice key = hf__slice_str(name);

    fake_change_key(fake_find_or_make(key), op, hf__slice_str(value), deadline_ms);
    fake_invalidate(NULL, &key);
    fake_changed();
}

void fake_redis_foreign_set(const char *key, const char *value, int64_t deadline_ms)
{
    lock();
    change_foreign(key, HF_SHARED_SET, value, deadline_ms);
    unlock();
}

void fake_redis_foreign_delete(const char *key)
{
    lock();
    change_foreign(key, HF_SHARED_DELETE, "", 0);
    unlock();
}

void fake_redis_foreign_expire(const char *key, int64_t deadline_ms)
{
    lock();
    change_foreign(key, deadline_ms != 0 ? HF_SHARED_EXPIRE : HF_SHARED_PERSIST, "", deadline_ms);
    unlock();
}

void fake_redis_other_type(const char *key, const char *type)
{
    lock();
    change_foreign(key, HF_SHARED_SET, "", 0);
    snprintf(fake_find(hf__slice_str(key))->type, sizeof(fake_find(hf__slice_str(key))->type), "%s", type);
    unlock();
}

void fake_redis_other_node(const char *key, const char *value, int64_t made_ms, int64_t uncertainty_ms)
{
    enum hf_shared_op op = value ? HF_SHARED_SET : HF_SHARED_DELETE;
    struct fake_change change = {.node = OTHER_NODE, .op = op, .uncertainty_ms = uncertainty_ms};

    lock();
    change_foreign(key, op, value ? value : "", 0);
    change.key = fake_copy(hf__slice_str(key));
    change.lsn = fake_server.touches; /* rises, as every node's */
    change.made_ms = made_ms != 0 ? made_ms : fake_now_ms();
    fake_append_log(&change);
    hf_buf_release(&change.key);
    unlock();
}

/* ---- scripts ---- */

void fake_redis_set_away(bool away)
{
    lock();
    fake_server.away = away;
    fake_changed();
    unlock();
}

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

void fake_redis_thaw(enum fake_request kind)
{
    set_gate(kind, false, 0);
}

static bool is_mark(const struct fake_key *key)
{
    return key->key.len > 4 && memcmp(key->key.data, "_hf:", 4) == 0 && strstr(key->key.data, ":mark:");
}

void fake_redis_set_mark(uint64_t mark)
{
    char text[24];

    snprintf(text, sizeof(text), "%" PRIu64, mark);
    lock();
    for (struct fake_key *key = fake_server.data.keys; key; key = key->next) {
        if (is_mark(key))
            fake_change_key(key, mark != 0 ? HF_SHARED_SET : HF_SHARED_DELETE, hf__slice_str(text), 0);
    }
    unlock();
}

unsigned fake_redis_asked(enum fake_request kind)
{
    unsigned asked;

    lock();
    asked = fake_server.scripts[kind].asked;
    unlock();
    return asked;
}

bool fake_redis_holds(const char *key, const char *value)
{
    struct fake_key *found;
    bool holds;

    lock();
    found = fake_find_live(hf__slice_str(key));
    holds = value ? found && hf__slice_eq(fake_slice(&found->value), hf__slice_str(value)) : !found;
    unlock();
    return holds;
}

int64_t fake_redis_deadline_ms(const char *key)
{
    struct fake_key *found;
    int64_t deadline_ms;

    lock();
    found = fake_find_live(hf__slice_str(key));
    deadline_ms = found ? found->deadline_ms : 0;
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

unsigned fake_redis_torn_units(void)
{
    unsigned torn_units;

    lock();
    torn_units = fake_server.torn_units;
    unlock();
    return torn_units;
}
