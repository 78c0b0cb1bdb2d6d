/* The modelled Redis: what it did is noted as it does it, by standing in for the functions that change it. */
#include "sim.h"

#include "fake_answers.h"
#include "fake_requests.h"

#include <stdlib.h>
#include <string.h>

static struct sim_world *noting; /* one world in a process */

/* ---- noting ---- */

static bool is_bookkeeping(struct hf_slice key)
{
    return hf__slice_starts_with(key, hf__slice_str("_hf:")) || key.len >= STORM_KEY_MAX;
}

/* `why`: Redis refused it. */
static struct storm_applied *note(const char *why, char op, struct hf_slice key, int64_t number)
{
    struct storm_applied *a;

    if (why || !noting || is_bookkeeping(key))
        return NULL;
    a = storm_book_apply(&noting->applied, op, noting->group);
    memcpy(a->key, key.data, key.len);
    a->number = number;
    return a;
}

static void note_set(const char *why, struct hf_slice key, struct hf_slice value, int64_t deadline_ms)
{
    struct storm_applied *a = note(why, 's', key, deadline_ms);

    if (a)
        storm_value_text(value.data, value.len, a->text);
}

/* A command of the model, and what stands in for it. */
#define STAND_IN(name, ...)                                                                                        \
    const char *__real_##name(struct fake_caller *caller, struct hf_slice key, __VA_ARGS__);                       \
    const char *__wrap_##name(struct fake_caller *caller, struct hf_slice key, __VA_ARGS__);                       \
    const char *__wrap_##name(struct fake_caller *caller, struct hf_slice key, __VA_ARGS__)

STAND_IN(fake_set, struct hf_slice value, int64_t deadline_ms)
{
    const char *why = __real_fake_set(caller, key, value, deadline_ms);

    note_set(why, key, value, deadline_ms);
    return why;
}

STAND_IN(fake_set_keeping_ttl, struct hf_slice value)
{
    const char *why = __real_fake_set_keeping_ttl(caller, key, value);

    note_set(why, key, value, 0);
    return why;
}

STAND_IN(fake_set_if_absent, struct hf_slice value, int64_t deadline_ms, bool *ret_set)
{
    const char *why = __real_fake_set_if_absent(caller, key, value, deadline_ms, ret_set);

    if (*ret_set)
        note_set(why, key, value, deadline_ms);
    return why;
}

STAND_IN(fake_expire, int64_t deadline_ms)
{
    const char *why = __real_fake_expire(caller, key, deadline_ms);

    (void)note(why, 'e', key, deadline_ms);
    return why;
}

STAND_IN(fake_increment, int64_t delta)
{
    const char *why = __real_fake_increment(caller, key, delta);

    (void)note(why, 'i', key, delta);
    return why;
}

STAND_IN(fake_add, const struct fake_entry *entry, uint64_t max, bool *ret_there, struct fake_id *ret_id)
{
    const char *why = __real_fake_add(caller, key, entry, max, ret_there, ret_id);

    for (size_t i = 0; !why && *ret_there && i < entry->n_names; i++) {
        struct storm_applied *a = note(why, 'x', fake_slice(&entry->names[i].key), 0);
        if (a) {
            a->lsn = entry->names[i].lsn;
            memcpy(a->node, entry->node, sizeof(a->node));
        }
    }
    return why;
}

#define STAND_IN_PLAIN(name, letter)                                                                               \
    const char *__real_##name(struct fake_caller *caller, struct hf_slice key);                                    \
    const char *__wrap_##name(struct fake_caller *caller, struct hf_slice key);                                    \
    const char *__wrap_##name(struct fake_caller *caller, struct hf_slice key)                                     \
    {                                                                                                              \
        const char *why = __real_##name(caller, key);                                                              \
        (void)note(why, letter, key, 0);                                                                           \
        return why;                                                                                                \
    }
STAND_IN_PLAIN(fake_delete, 'd')
STAND_IN_PLAIN(fake_persist, 'p')

/* What one request does belongs together. */
#define REQUEST(name, what)                                                                                        \
    void __real_##name(struct fake_asker asker, struct what *request, enum fake_outcome outcome);                  \
    void __wrap_##name(struct fake_asker asker, struct what *request, enum fake_outcome outcome);                  \
    void __wrap_##name(struct fake_asker asker, struct what *request, enum fake_outcome outcome)                   \
    {                                                                                                              \
        noting->group++;                                                                                           \
        __real_##name(asker, request, outcome);                                                                    \
    }
REQUEST(fake_answer_group, hf_shared_group)
REQUEST(fake_answer_lane, hf_shared_lane)

/* ---- looking ---- */

struct storm_there sim_there_look(const void *world, const char *key)
{
    struct storm_there there = {0};
    const struct fake_key *found;

    (void)world;
    pthread_mutex_lock(&fake_server.mutex);
    found = fake_look(hf__slice_str(key));
    there.present = fake_is_string(found);
    if (there.present) {
        storm_value_text(found->value.data, found->value.len, there.text);
        there.deadline_ms = found->deadline_ms;
    }
    pthread_mutex_unlock(&fake_server.mutex);
    return there;
}

/* ---- connections of the dead ---- */

void sim_there_forget(struct sim_node *node, bool comes_late)
{
    struct fake_tier **at = &fake_server.tiers;

    pthread_mutex_lock(&fake_server.mutex);
    while (*at && (*at)->clock != &node->clock.base)
        at = &(*at)->next;
    if (*at) {
        if (comes_late && (*at)->connected && !fake_server.away)
            fake_keep_late(*at, (*at)->out, false);
        *at = (*at)->next;
    }
    pthread_mutex_unlock(&fake_server.mutex);
}

/* ---- losses ---- */

/* An older copy without a namespace's epoch would be a loss of all of it. */
static bool has_all_epochs(const struct sim_world *w)
{
    char name[300];
    bool all = true;

    pthread_mutex_lock(&fake_server.mutex);
    for (unsigned i = 0; i < w->keys.n_namespaces && all; i++) {
        snprintf(name, sizeof(name), "_hf:%s:epoch", w->keys.namespaces[i].prefix);
        all = fake_is_there(fake_find(hf__slice_str(name)));
    }
    pthread_mutex_unlock(&fake_server.mutex);
    return all;
}

bool sim_there_keep(struct sim_world *w)
{
    if (!has_all_epochs(w))
        return false;
    fake_redis_snapshot();
    w->kept_applied = w->applied.n_applied;
    w->kept = true;
    return true;
}

static void count_log(struct fake_key *key, void *ctx)
{
    *(unsigned *)ctx += fake_is_log(key);
}

static bool has_all_logs(const struct sim_world *w)
{
    unsigned n = 0;

    pthread_mutex_lock(&fake_server.mutex);
    fake_each_key(&fake_server.data, count_log, &n);
    pthread_mutex_unlock(&fake_server.mutex);
    return n >= w->keys.n_namespaces;
}

/* The connection, too, for a store may not have noticed yet that it has lost the last one. */
static bool is_online(const struct sim_node *node)
{
    const struct fake_tier *tier;
    struct hf_status status;
    bool connected;

    pthread_mutex_lock(&fake_server.mutex);
    for (tier = fake_server.tiers; tier && tier->clock != &node->clock.base; tier = tier->next) {
    }
    connected = tier && tier->connected && !tier->cut;
    pthread_mutex_unlock(&fake_server.mutex);
    return connected && node->state == SIM_UP && hf_status(node->store, &status) == 0 &&
           status.link == HF_LINK_ONLINE;
}

/* A store that is online has made good what Redis had lost before. */
static bool are_all_online(const struct sim_world *w)
{
    bool online = true;

    for (unsigned i = 0; i < w->plan->options.nodes && online; i++)
        online = is_online(&w->nodes[i]);
    return online;
}

/* The ways of losing some, and all. */
void sim_there_lose(struct sim_world *w, bool all, uint64_t random)
{
    static void (*const some[])(void) = {fake_redis_restore, fake_redis_failover};
    static void (*const every[])(void) = {fake_redis_wipe, fake_redis_restart_empty};

    storm_book_lose(&w->applied, all ? 0 : w->kept_applied);
    (all ? every : some)[random % 2]();
    w->log_lost |= !has_all_logs(w);
}

/* What was named until now, somebody may not have read. */
static void lose_names(struct sim_world *w)
{
    if (!are_all_online(w))
        w->names_lost_us = storm_now_us();
}

void sim_there_lose_log(struct sim_world *w)
{
    w->log_lost |= w->lost && !are_all_online(w);
    lose_names(w);
    fake_redis_lose_log();
}

void sim_there_trim_log(struct sim_world *w, size_t n_left)
{
    lose_names(w);
    fake_redis_trim_log(n_left);
}

/* ---- evictions ---- */

/* Nobody's delete: nothing that was acknowledged is accounted for by it. */
void sim_there_evict(struct sim_world *w, const struct storm_key *key)
{
    noting = NULL;
    fake_redis_foreign_delete(key->name);
    noting = w;
    (void)note(NULL, 'v', hf__slice_str(key->name), 0);
}

/* ---- the plain client ---- */

/* Returns 0, or -1 when Redis refuses it. */
static int add_to_counter(const char *name, int64_t delta)
{
    struct hf_slice key = hf__slice_str(name);
    const char *why;
    struct fake_caller caller = {.foreign = true};

    pthread_mutex_lock(&fake_server.mutex);
    why = fake_increment(&caller, key, delta);
    fake_end_turn();
    fake_changed();
    pthread_mutex_unlock(&fake_server.mutex);
    return why ? -1 : 0;
}

static char some_op(const struct storm_key *key, uint64_t *random)
{
    unsigned dice = (unsigned)storm_random(random, 10);

    if (key->kind == STORM_COUNTER)
        return 'i';
    if (dice < 2)
        return 'd';
    return key->with_ttl && dice < 4 ? 'e' : 's';
}

static int64_t some_ttl(uint64_t *random)
{
    return storm_random(random, 2) ? STORM_TTL_LONG_MS
                                   : STORM_TTL_SHORT_MIN_MS + (int64_t)storm_random(random, 2000);
}

static int64_t deadline_in(int64_t ttl_ms)
{
    int64_t now;

    pthread_mutex_lock(&fake_server.mutex);
    now = fake_now_ms();
    pthread_mutex_unlock(&fake_server.mutex);
    return ttl_ms != 0 ? now + ttl_ms : 0;
}

static int change(const struct storm_record *r, const char *value)
{
    int64_t deadline_ms = deadline_in(r->op == 'i' ? 0 : r->number);

    if (r->op == 's')
        fake_redis_foreign_set(r->key, value, deadline_ms);
    else if (r->op == 'd')
        fake_redis_foreign_delete(r->key);
    else if (r->op == 'e')
        fake_redis_foreign_expire(r->key, deadline_ms);
    else
        return add_to_counter(r->key, r->number);
    return 0;
}

void sim_there_client(struct sim_world *w, const struct storm_key *key, uint64_t random)
{
    struct storm_record r = {.writer = STORM_CLIENT, .what = STORM_BEGIN, .id = ++w->client_id};
    struct storm_value value;

    r.op = some_op(key, &random);
    snprintf(r.key, sizeof(r.key), "%s", key->name);
    storm_value_make(key, STORM_CLIENT, 0, r.id, storm_random(&random, 8) ? 0 : storm_random(&random, 6000),
                     &value);
    value.bytes[value.len] = '\0';
    if (r.op == 's')
        snprintf(r.text, sizeof(r.text), "%s", value.text);
    if (r.op == 'i')
        r.number = 1 + (int64_t)storm_random(&random, 1000000);
    else if (r.op == 'e' || (r.op == 's' && key->with_ttl && storm_random(&random, 3) == 0))
        r.number = some_ttl(&random);
    storm_record_put(w->log, &r);
    w->group++;
    r.rc = change(&r, value.bytes);
    r.what = STORM_ACK;
    storm_record_put(w->log, &r);
    free(value.bytes);
}

/* ---- beginning ---- */

void sim_there_begin(struct sim_world *w)
{
    static const struct {
        int min, max;
    } delays[] = {{0, 0}, {0, 1}, {1, 3}, {0, 30}};
    unsigned chosen = (unsigned)(w->plan->options.seed / 7 % (sizeof(delays) / sizeof(*delays)));

    noting = w;
    fake_redis_start();
    fake_redis_seed(w->plan->options.seed);
    fake_redis_set_clock(&w->redis_clock.base, w->redis_clock.base.wall_ms(&w->redis_clock.base));
    fake_redis_keep_time(true);
    w->delay_min_ms = delays[chosen].min;
    w->delay_max_ms = delays[chosen].max;
    fake_redis_delay(w->delay_min_ms, w->delay_max_ms);
}
