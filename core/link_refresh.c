/* Refreshing copies that the change log says are old: what other nodes wrote while we were away, and what we ourselves had
 * sent when a crash took it from our journal. A copy is fetched only if it is held here and owes nothing. */
#include "link_state.h"

#include "fail.h"
#include "lookup.h"

#include <stdlib.h>

#define DENIED_MS 2000

static struct hf_slice key_at(const struct hf_refresh *r, size_t i)
{
    return hf__slice(r->keys[i].key.data, r->keys[i].key.len);
}

/* It is among those that may not be read. */
static bool note_denied(struct hf_refresh *r, struct hf_slice key, bool by_others)
{
    struct hf_note *note = hf__notes_find(&r->denied, key) ? hf__notes_of(&r->denied, key) : NULL;

    if (note)
        note->number |= by_others;
    return note != NULL;
}

int hf__refresh_add(struct hf_link *link, struct hf_slice key, bool by_others)
{
    struct hf_refresh *r = &link->refresh;
    int rc;

    if (note_denied(r, key, by_others))
        return 0;
    if (r->n > r->next && hf__slice_eq(key, key_at(r, r->n - 1))) {
        r->keys[r->n - 1].by_others |= by_others;
        return 0;
    }
    if (r->n == r->capacity) {
        size_t capacity = r->capacity ? 2 * r->capacity : 64;
        struct hf_stale *grown = realloc(r->keys, capacity * sizeof(*grown));
        if (!grown)
            return hf__fail(HF_ENOMEM, "out of memory: a list of %zu keys", capacity);
        r->keys = grown;
        r->capacity = capacity;
    }
    r->keys[r->n].by_others = by_others;
    rc = hf__buf_copy(key, &r->keys[r->n].key);
    if (rc == 0) {
        pthread_mutex_lock(&link->mutex); /* who waits for all to be shared looks at the count */
        r->n++;
        pthread_mutex_unlock(&link->mutex);
        atomic_store(&link->store->refreshing, true);
    }
    return rc;
}

bool hf__refresh_is_asked(const struct hf_link *link)
{
    return link->refresh.next == link->refresh.n;
}

bool hf__refresh_is_done(const struct hf_link *link)
{
    return hf__refresh_is_asked(link) && link->refresh.denied.n == 0;
}

/* Without memory they stay aside, those, too, that are on the list by then. */
void hf__refresh_ask_again(struct hf_link *link)
{
    struct hf_notes denied = link->refresh.denied;
    int rc = 0;

    link->refresh.denied = (struct hf_notes){0};
    for (size_t i = 0; i < denied.capacity && rc == 0; i++) {
        const struct hf_note *note = &denied.places[i];
        if (note->key.data)
            rc = hf__refresh_add(link, hf__slice(note->key.data, note->key.len), note->number);
    }
    if (rc == 0)
        hf__notes_release(&denied);
    else
        link->refresh.denied = denied;
}

void hf__refresh_release(struct hf_link *link)
{
    for (size_t i = link->refresh.next; i < link->refresh.n; i++)
        hf_buf_release(&link->refresh.keys[i].key);
    hf__notes_release(&link->refresh.denied);
    free(link->refresh.keys);
    link->refresh = (struct hf_refresh){0};
}

/* The first key is done with. After the last one the cursors may say that the log was read. */
static void advance(struct hf_link *link)
{
    struct hf_refresh *r = &link->refresh;

    hf_buf_release(&r->keys[r->next].key);
    pthread_mutex_lock(&link->mutex);
    r->next++;
    if (r->next == r->n)
        r->next = r->n = 0;
    if (hf__refresh_is_done(link)) {
        atomic_fetch_add(&link->store->trusted, 1);
        atomic_store(&link->store->refreshing, false);
    }
    pthread_cond_broadcast(&link->changed);
    pthread_mutex_unlock(&link->mutex);
    for (size_t i = 0; hf__refresh_is_done(link) && i < link->store->namespaces.n; i++)
        hf__link_publish_cursor(link, &link->store->namespaces.all[i]);
}

/* Those behind it are not to wait for it. Without memory it is asked for once more. */
static void set_aside(struct hf_link *link)
{
    struct hf_refresh *r = &link->refresh;
    struct hf_note *note = hf__notes_of(&r->denied, key_at(r, r->next));

    if (!note)
        return;
    note->number |= r->keys[r->next].by_others;
    r->denied_until_ms = link->turn.now_ms + DENIED_MS;
    advance(link);
    hf__link_pump(link);
}

static void refreshed(void *ctx, struct hf_shared_fetch *fetch)
{
    struct hf_link *link = ctx;
    struct hf_refresh *r = &link->refresh;
    struct hf_slice key = fetch->key;
    int64_t deadline_ms = fetch->ttl_ms < 0 ? 0 : r->asked_ms + fetch->ttl_ms;
    const struct hf_slice *value = fetch->found ? &fetch->value : NULL;
    bool again = false;

    r->out = false;
    if (fetch->error.class != HF_SHARED_OK && fetch->error.class != HF_SHARED_ENTRY &&
        fetch->error.class != HF_SHARED_AUTH)
        return; /* it stays on the list */
    if (fetch->error.class != HF_SHARED_ENTRY && !hf__link_history_is_known(link)) {
        hf__link_pump(link); /* likewise: it is asked again when the history is known */
        return;
    }
    if (fetch->error.class == HF_SHARED_AUTH) {
        set_aside(link);
        return;
    }
    if (fetch->error.class == HF_SHARED_OK) {
        if (hf__sweep_adopt_fetched(link, key, &r->seen, value, deadline_ms))
            again = !hf__write_fetched(link->store, key, value, deadline_ms, &r->seen);
        else
            link->refresh_failed = true; /* it stays: not asked again at once, but on the next connection */
        atomic_fetch_add(&link->store->refreshed, 1);
    }
    if (!again) /* otherwise another read has put something there meanwhile, newer or older: it is asked again */
        advance(link);
    hf__link_pump(link);
}

/* Whether the copy is worth asking for; what is not held is fetched when somebody reads it, and what was parked stays. */
static bool is_stale(struct hf_link *link, struct hf_slice key, struct hf_seen *ret_seen)
{
    enum hf_owed owed = HF_OWED_NOTHING;
    bool parked = false;
    struct hf_found found;
    struct hf_look look;
    int rc = hf__look_begin(link->store, &look);

    if (rc == 0)
        rc = hf__look_up(&look, key, &found);
    if (rc == 0)
        rc = hf__look_owed(&look, key, &found, &owed);
    if (rc == 0)
        rc = hf__look_parked(&look, key, &found, &parked);
    hf__look_end(&look);
    if (rc != 0 || !found.held || owed != HF_OWED_NOTHING || parked)
        return false;
    *ret_seen =
        (struct hf_seen){.held = true, .lsn = found.lsn, .last_lsn = hf__journal_last_lsn(link->store->journal)};
    return true;
}

/* Who denied them may have thought better of it; or they are no longer stale. */
static void ask_again_in_time(struct hf_link *link)
{
    struct hf_refresh *r = &link->refresh;

    if (r->denied.n == 0 || !hf__refresh_is_asked(link))
        return;
    if (link->turn.now_ms >= r->denied_until_ms || r->denied_until_ms - link->turn.now_ms > DENIED_MS)
        hf__refresh_ask_again(link);
    else
        hf__link_wake_in(link, (int)(r->denied_until_ms - link->turn.now_ms));
}

void hf__refresh_send(struct hf_link *link)
{
    struct hf_refresh *r = &link->refresh;

    ask_again_in_time(link);
    while (!r->out && !hf__refresh_is_asked(link)) {
        struct hf_slice key = key_at(r, r->next);
        if (!is_stale(link, key, &r->seen)) {
            advance(link);
            continue;
        }
        r->request = (struct hf_shared_fetch){.key = key, .done = refreshed, .ctx = link};
        r->asked_ms = hf__now_ms(link->store);
        r->out = true;
        if (link->tier->ops->send_fetch(link->tier, &r->request) != 0) {
            r->out = false;
            return; /* looked at again with the next event */
        }
    }
}
