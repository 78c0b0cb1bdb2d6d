/* Whom the fake Redis tells of a change: who watches the key, and who tracks it. And what it measures time and chance by.
 *
 * Names are collected through a turn of the server's loop and told at its end, as backends/redis/tracking.c says: of each key
 * it is known only who changed it last. */
#include "fake_server.h"

#include <stdlib.h>
#include <time.h>

/* ---- time and chance ---- */

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

int64_t fake_mono_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/* splitmix64 */
uint64_t fake_random(void)
{
    uint64_t z = fake_server.random += 0x9e3779b97f4a7c15u;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

void fake_random_hex(char *text, size_t n_digits)
{
    for (size_t i = 0; i < n_digits; i++)
        text[i] = "0123456789abcdef"[fake_random() & 15];
    text[n_digits] = '\0';
}

int64_t fake_draw_delay_ns(void)
{
    uint64_t span = (uint64_t)(fake_server.delay_max_ms - fake_server.delay_min_ms) * FAKE_NS_PER_MS;

    if (fake_server.delay_max_ms == 0)
        return 0;
    return (int64_t)fake_server.delay_min_ms * FAKE_NS_PER_MS + (int64_t)(fake_random() % (span + 1));
}

/* ---- who watches ---- */

void fake_watch(struct fake_session *session, struct hf_slice name)
{
    const struct fake_key *key = fake_find(name);
    struct fake_watch made = {.was_dead = key && fake_is_dead(key)};

    for (size_t i = 0; i < session->n_watches; i++) {
        if (hf__slice_eq(fake_slice(&session->watches[i].key), name))
            return;
    }
    made.key = fake_copy(name);
    session->watches = fake_need(realloc(session->watches, (session->n_watches + 1) * sizeof(made)));
    session->watches[session->n_watches++] = made;
}

void fake_forget_watches(struct fake_session *session)
{
    for (size_t i = 0; i < session->n_watches; i++)
        hf_buf_release(&session->watches[i].key);
    free(session->watches);
    session->watches = NULL;
    session->n_watches = 0;
    session->touched = false;
}

bool fake_was_touched(const struct fake_session *session)
{
    bool touched = session->touched;

    for (size_t i = 0; i < session->n_watches; i++) {
        const struct fake_watch *watch = &session->watches[i];
        const struct fake_key *key = fake_find(fake_slice(&watch->key));
        touched |= key && fake_is_dead(key) && !watch->was_dead;
    }
    return touched;
}

/* That what was dead when it was watched is taken away is no change. */
static void touch(struct fake_session *session, struct hf_slice name)
{
    for (size_t i = 0; i < session->n_watches; i++) {
        struct fake_watch *watch = &session->watches[i];
        const struct fake_key *key = fake_find(name);
        bool only_gone = watch->was_dead && (!key || !key->live);
        if (!hf__slice_eq(fake_slice(&watch->key), name))
            continue;
        watch->was_dead &= !only_gone;
        session->touched |= !only_gone;
    }
}

static void each_session(void (*each)(struct fake_session *session, void *ctx), void *ctx)
{
    const struct fake_session *last = NULL;

    for (struct fake_tier *tier = fake_server.tiers; tier; tier = tier->next)
        each(&tier->session, ctx);
    for (struct fake_late *late = fake_server.late; late; late = late->next) {
        if (late->session != last)
            each(late->session, ctx);
        last = late->session;
    }
}

static void touch_one(struct fake_session *session, void *ctx)
{
    touch(session, *(const struct hf_slice *)ctx);
}

static void touch_key(struct fake_key *key, void *ctx)
{
    struct hf_slice name = fake_slice(&key->key);

    (void)ctx;
    each_session(touch_one, &name);
}

void fake_touch_all(const struct fake_data *data)
{
    fake_each_key(data, touch_key, NULL);
}

/* ---- who tracks ---- */

void fake_signal(const struct fake_tier *by, struct hf_slice name)
{
    each_session(touch_one, &name);
    for (size_t i = 0; i < fake_server.n_turned; i++) {
        if (hf__slice_eq(fake_slice(&fake_server.turned[i].key), name)) {
            fake_server.turned[i].by = by;
            return;
        }
    }
    fake_server.turned =
        fake_need(realloc(fake_server.turned, (fake_server.n_turned + 1) * sizeof(*fake_server.turned)));
    fake_server.turned[fake_server.n_turned++] = (struct fake_turned){.key = fake_copy(name), .by = by};
}

static bool is_told(const struct fake_tier *tier)
{
    return tier->connected && tier->hears && !tier->deaf && !tier->cut;
}

static struct fake_heard *push(struct fake_tier *tier)
{
    struct fake_heard *heard = fake_need(calloc(1, sizeof(*heard)));

    heard->due_ns = fake_mono_ns() + fake_draw_delay_ns();
    *tier->heard_end = heard;
    tier->heard_end = &heard->next;
    return heard;
}

void fake_signal_all(void)
{
    for (struct fake_tier *tier = fake_server.tiers; tier; tier = tier->next) {
        if (is_told(tier))
            push(tier)->all = true;
    }
    fake_changed();
}

/* Of bookkeeping only the change logs are of use. */
static bool is_of_use(struct hf_slice key)
{
    return !hf__slice_starts_with(key, hf__slice_str("_hf:")) || memmem(key.data, key.len, ":log:", 5);
}

static bool is_tracked(const struct fake_tier *tier, const struct fake_turned *turned)
{
    struct hf_slice name = fake_slice(&turned->key);

    if (turned->by == tier || !is_of_use(name))
        return false;
    for (size_t i = 0; i < tier->n_prefixes; i++) {
        if (hf__slice_starts_with(name, fake_slice(&tier->prefixes[i])))
            return true;
    }
    return false;
}

static void tell(struct fake_tier *tier)
{
    struct fake_heard *heard = NULL;

    for (size_t i = 0; i < fake_server.n_turned; i++) {
        const struct fake_turned *turned = &fake_server.turned[i];
        if (!is_tracked(tier, turned))
            continue;
        if (!heard) {
            heard = push(tier);
            heard->keys = fake_need(calloc(fake_server.n_turned, sizeof(*heard->keys)));
        }
        heard->keys[heard->n_keys++] = fake_copy(fake_slice(&turned->key));
    }
}

static int compare_turned(const void *a, const void *b)
{
    const struct fake_turned *one = a, *other = b;

    return hf__slice_cmp(fake_slice(&one->key), fake_slice(&other->key));
}

void fake_end_turn(void)
{
    if (fake_server.holds_turn || fake_server.n_turned == 0)
        return;
    qsort(fake_server.turned, fake_server.n_turned, sizeof(*fake_server.turned), compare_turned);
    for (struct fake_tier *tier = fake_server.tiers; tier; tier = tier->next) {
        if (is_told(tier))
            tell(tier);
    }
    for (size_t i = 0; i < fake_server.n_turned; i++)
        hf_buf_release(&fake_server.turned[i].key);
    free(fake_server.turned);
    fake_server.turned = NULL;
    fake_server.n_turned = 0;
    fake_changed();
}
