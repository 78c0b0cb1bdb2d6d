/* The modelled Redis: what it did is noted as it does it, by standing in for the functions that change it. */
#include "sim.h"

#include "fake_answers.h"
#include "fake_server.h"

#include <stdlib.h>
#include <string.h>

static struct sim_world *noting; /* one world in a process */

/* ---- noting ---- */

static bool is_ours(struct hf_slice key)
{
    return hf__slice_starts_with(key, hf__slice_str("_hf:")) || key.len >= STORM_KEY_MAX;
}

static struct storm_applied *note(char op, struct hf_slice key)
{
    struct storm_applied *a;

    if (!noting || is_ours(key))
        return NULL;
    a = storm_book_apply(&noting->applied, op, noting->group);
    memcpy(a->key, key.data, key.len);
    return a;
}

void __real_fake_change_key(struct fake_key *key, enum hf_shared_op op, struct hf_slice value, int64_t deadline_ms);
void __wrap_fake_change_key(struct fake_key *key, enum hf_shared_op op, struct hf_slice value, int64_t deadline_ms);
void __wrap_fake_change_key(struct fake_key *key, enum hf_shared_op op, struct hf_slice value, int64_t deadline_ms)
{
    static const char letters[] = {[HF_SHARED_SET] = 's', [HF_SHARED_DELETE] = 'd', [HF_SHARED_EXPIRE] = 'e',
                                   [HF_SHARED_PERSIST] = 'p'};
    struct storm_applied *a = note(letters[op], fake_slice(&key->key));

    if (a && op == HF_SHARED_SET)
        storm_value_text(value.data, value.len, a->text);
    if (a)
        a->number = deadline_ms;
    __real_fake_change_key(key, op, value, deadline_ms);
}

int64_t __real_fake_add(struct fake_key *key, int64_t delta, int64_t deadline_ms);
int64_t __wrap_fake_add(struct fake_key *key, int64_t delta, int64_t deadline_ms);
int64_t __wrap_fake_add(struct fake_key *key, int64_t delta, int64_t deadline_ms)
{
    struct storm_applied *a = note('i', fake_slice(&key->key));

    if (a)
        a->number = delta;
    return __real_fake_add(key, delta, deadline_ms);
}

bool __real_fake_append_log(const struct fake_change *change);
bool __wrap_fake_append_log(const struct fake_change *change);
bool __wrap_fake_append_log(const struct fake_change *change)
{
    struct storm_applied *a = change->key.len > 0 ? note('x', fake_slice(&change->key)) : NULL;

    if (a) {
        a->lsn = change->lsn;
        memcpy(a->node, change->node, sizeof(a->node));
    }
    return __real_fake_append_log(change);
}

/* ---- one request after the other ---- */

/* What has died is gone before anybody looks, and those who track it are told. */
static void bury(void)
{
    int64_t now = fake_now_ms();

    for (struct fake_key *key = fake_server.data.keys; key; key = key->next) {
        struct hf_slice name = fake_slice(&key->key);
        if (!key->live || key->deadline_ms == 0 || key->deadline_ms > now)
            continue;
        __real_fake_change_key(key, HF_SHARED_DELETE, hf__slice(NULL, 0), 0);
        fake_invalidate(NULL, &name);
    }
}

static void begin_request(void)
{
    noting->group++;
    bury();
}

#define REQUEST(name, request, outcome_type)                                                                       \
    void __real_##name(struct fake_tier *tier, struct request *asked, outcome_type outcome);                       \
    void __wrap_##name(struct fake_tier *tier, struct request *asked, outcome_type outcome);                       \
    void __wrap_##name(struct fake_tier *tier, struct request *asked, outcome_type outcome)                        \
    {                                                                                                              \
        begin_request();                                                                                           \
        __real_##name(tier, asked, outcome);                                                                       \
    }
REQUEST(fake_answer_group, hf_shared_group, enum fake_outcome)
REQUEST(fake_answer_lane, hf_shared_lane, enum fake_outcome)
REQUEST(fake_answer_examine, hf_shared_examine, enum fake_outcome)
REQUEST(fake_answer_decide, hf_shared_decide, enum fake_outcome)

void __real_fake_answer_fetch(struct fake_tier *tier, struct hf_shared_fetch *fetch);
void __wrap_fake_answer_fetch(struct fake_tier *tier, struct hf_shared_fetch *fetch);
void __wrap_fake_answer_fetch(struct fake_tier *tier, struct hf_shared_fetch *fetch)
{
    begin_request();
    __real_fake_answer_fetch(tier, fetch);
}

/* ---- looking ---- */

struct storm_there sim_there_look(const void *world, const char *key)
{
    struct storm_there there = {0};
    const struct fake_key *found;

    (void)world;
    pthread_mutex_lock(&fake_server.mutex);
    bury();
    found = fake_find_live(hf__slice_str(key));
    there.present = fake_is_string(found);
    if (there.present) {
        storm_value_text(found->value.data, found->value.len, there.text);
        there.deadline_ms = found->deadline_ms;
    }
    pthread_mutex_unlock(&fake_server.mutex);
    return there;
}

/* ---- connections of the dead ---- */

static void do_still(struct fake_tier *tier)
{
    if (tier->group)
        fake_answer_group(tier, tier->group, FAKE_APPLY);
    else if (tier->lane)
        fake_answer_lane(tier, tier->lane, FAKE_APPLY);
    else if (tier->decide)
        fake_answer_decide(tier, tier->decide, FAKE_APPLY);
}

void sim_there_forget(struct sim_node *node, bool still_done)
{
    struct fake_tier **at = &fake_server.tiers;

    pthread_mutex_lock(&fake_server.mutex);
    while (*at && (*at)->clock != &node->clock.base)
        at = &(*at)->next;
    if (*at) {
        if (still_done && !fake_server.away)
            do_still(*at);
        *at = (*at)->next;
    }
    pthread_mutex_unlock(&fake_server.mutex);
}

/* ---- losses ---- */

void sim_there_keep(struct sim_world *w)
{
    fake_redis_snapshot();
    w->kept_applied = w->applied.n_applied;
}

void sim_there_lose(struct sim_world *w, bool all)
{
    storm_book_lose(&w->applied, all ? 0 : w->kept_applied);
    if (all)
        fake_redis_wipe();
    else
        fake_redis_restore();
    if (all)
        fake_redis_restart();
}

/* ---- the plain client ---- */

static void add_to_counter(const char *name, int64_t delta)
{
    struct hf_slice key = hf__slice_str(name);

    pthread_mutex_lock(&fake_server.mutex);
    begin_request();
    (void)fake_add(fake_find_or_make(key), delta, 0);
    fake_invalidate(NULL, &key);
    fake_changed();
    pthread_mutex_unlock(&fake_server.mutex);
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
    return storm_random(random, 2) ? STORM_TTL_LONG_MS : STORM_TTL_SHORT_MIN_MS + (int64_t)storm_random(random, 2000);
}

static int64_t deadline_in(int64_t ttl_ms)
{
    int64_t now;

    pthread_mutex_lock(&fake_server.mutex);
    bury();
    now = fake_now_ms();
    pthread_mutex_unlock(&fake_server.mutex);
    return ttl_ms != 0 ? now + ttl_ms : 0;
}

static void change(const struct storm_record *r, const char *value)
{
    int64_t deadline_ms = deadline_in(r->op == 'i' ? 0 : r->number);

    if (r->op == 's')
        fake_redis_foreign_set(r->key, value, deadline_ms);
    else if (r->op == 'd')
        fake_redis_foreign_delete(r->key);
    else if (r->op == 'e')
        fake_redis_foreign_expire(r->key, deadline_ms);
    else
        add_to_counter(r->key, r->number);
}

void sim_there_client(struct sim_world *w, const struct storm_key *key, uint64_t random)
{
    struct storm_record r = {.writer = STORM_CLIENT, .what = STORM_BEGIN, .id = ++w->client_id};
    struct storm_value value;

    r.op = some_op(key, &random);
    snprintf(r.key, sizeof(r.key), "%s", key->name);
    storm_value_make(key, STORM_CLIENT, 0, r.id, storm_random(&random, 8) ? 0 : storm_random(&random, 6000), &value);
    value.bytes[value.len] = '\0';
    if (r.op == 's')
        snprintf(r.text, sizeof(r.text), "%s", value.text);
    if (r.op == 'i')
        r.number = 1 + (int64_t)storm_random(&random, 1000000);
    else if (r.op == 'e' || (r.op == 's' && key->with_ttl && storm_random(&random, 3) == 0))
        r.number = some_ttl(&random);
    storm_record_put(w->log, &r);
    w->group++;
    change(&r, value.bytes);
    r.what = STORM_ACK;
    storm_record_put(w->log, &r);
    free(value.bytes);
}

/* ---- beginning ---- */

void sim_there_begin(struct sim_world *w)
{
    noting = w;
    fake_redis_start();
    fake_redis_set_clock(&w->redis_clock.base, w->redis_clock.base.wall_ms(&w->redis_clock.base));
}
