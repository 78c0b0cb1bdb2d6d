/* What tests do to the fake Redis and to the way there. */
#include "fake_requests.h"

#include <stdio.h>

static void lock(void)
{
    pthread_mutex_lock(&fake_server.mutex);
}

static void unlock(void)
{
    fake_changed();
    pthread_mutex_unlock(&fake_server.mutex);
}

/* ---- the way ---- */

void fake_cut_all(bool away)
{
    for (struct fake_tier *tier = fake_server.tiers; tier; tier = tier->next)
        tier->cut |= tier->connected;
    fake_server.away |= away;
    fake_changed();
}

void fake_redis_set_away(bool away)
{
    lock();
    if (away)
        fake_cut_all(true);
    fake_server.away = away;
    unlock();
}

void fake_redis_refuse_connections(bool refuse)
{
    lock();
    fake_server.refusing = refuse;
    unlock();
}

void fake_redis_cut(void)
{
    lock();
    fake_cut_all(false);
    unlock();
}

void fake_redis_silence(bool requests, bool answers)
{
    lock();
    for (struct fake_tier *tier = fake_server.tiers; tier; tier = tier->next) {
        tier->mute |= requests && tier->connected;
        tier->deaf |= answers && tier->connected;
    }
    unlock();
}

void fake_redis_delay(int min_ms, int max_ms)
{
    lock();
    fake_server.delay_min_ms = min_ms;
    fake_server.delay_max_ms = max_ms;
    unlock();
}

void fake_redis_keep_time(bool keeps)
{
    lock();
    fake_server.keeps_time = keeps;
    unlock();
}

/* ---- the server ---- */

void fake_redis_trouble(enum fake_trouble trouble, bool has)
{
    lock();
    fake_server.troubles[trouble] = has;
    unlock();
}

void fake_redis_limit_memory(uint64_t max_bytes, bool evicts)
{
    lock();
    fake_server.max_bytes = max_bytes;
    fake_server.evicts = evicts;
    unlock();
}

void fake_redis_halt(bool halted)
{
    lock();
    fake_server.stopped = halted;
    if (!halted)
        fake_run_late();
    unlock();
}

unsigned fake_redis_late(void)
{
    unsigned n = 0;

    lock();
    for (const struct fake_late *late = fake_server.late; late; late = late->next)
        n++;
    unlock();
    return n;
}

void fake_redis_run_late(void)
{
    lock();
    fake_run_late();
    unlock();
}

void fake_redis_hold_turn(bool hold)
{
    lock();
    fake_server.holds_turn = hold;
    fake_end_turn();
    unlock();
}

/* ---- another life ---- */

/* What has not reached it never will. */
static void begin_run(void)
{
    fake_server.runs++;
    fake_server.uptime_base_s = fake_server.uptime_from_ms = 0;
    fake_server.died_ms = fake_now_ms();
    fake_forget_late();
    fake_cut_all(false);
}

void fake_redis_restart(void)
{
    lock();
    begin_run();
    unlock();
}

void fake_redis_restart_empty(void)
{
    lock();
    fake_release_data(&fake_server.data);
    fake_release_data(&fake_server.other);
    begin_run();
    unlock();
}

void fake_redis_restore(void)
{
    lock();
    fake_release_data(&fake_server.data);
    fake_copy_data(&fake_server.snapshot, &fake_server.data);
    begin_run();
    unlock();
}

void fake_redis_failover(void)
{
    fake_redis_trouble(FAKE_TROUBLE_READONLY, false);
    fake_redis_restore();
}
