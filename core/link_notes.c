/* Notes of what other nodes did, as the change log tells it: to keys that are owed here, and to copies. */
#include "link_state.h"

#include "fail.h"
#include "lookup.h"
#include "settle.h"

#include <stdlib.h>

static size_t hash(struct hf_slice key)
{
    uint64_t h = hf__slice_hash(key);

    return (size_t)(h ^ h >> 32);
}

/* The key's place, or the free one where it belongs. The table is never full. */
static struct hf_note *place(const struct hf_notes *notes, struct hf_slice key)
{
    size_t i = hash(key) & (notes->capacity - 1);

    while (notes->places[i].key.data &&
           !hf__slice_eq(hf__slice(notes->places[i].key.data, notes->places[i].key.len), key))
        i = (i + 1) & (notes->capacity - 1);
    return &notes->places[i];
}

const struct hf_note *hf__notes_find(const struct hf_notes *notes, struct hf_slice key)
{
    const struct hf_note *note = notes->n > 0 ? place(notes, key) : NULL;

    return note && note->key.data ? note : NULL;
}

static int grow(struct hf_notes *notes)
{
    struct hf_notes grown = {.n = notes->n, .capacity = notes->capacity ? 2 * notes->capacity : 64};

    grown.places = calloc(grown.capacity, sizeof(*grown.places));
    if (!grown.places)
        return hf__fail(HF_ENOMEM, "out of memory: notes of %zu keys", grown.capacity);
    for (size_t i = 0; i < notes->capacity; i++) {
        const struct hf_buf *key = &notes->places[i].key;
        if (key->data)
            *place(&grown, hf__slice(key->data, key->len)) = notes->places[i];
    }
    free(notes->places);
    *notes = grown;
    return 0;
}

struct hf_note *hf__notes_of(struct hf_notes *notes, struct hf_slice key)
{
    struct hf_note *note;

    if (4 * (notes->n + 1) > 3 * notes->capacity && grow(notes) != 0)
        return NULL;
    note = place(notes, key);
    if (note->key.data)
        return note;
    if (hf__buf_copy(key, &note->key) != 0) {
        note->key = (struct hf_buf){0};
        return NULL;
    }
    notes->n++;
    return note;
}

void hf__notes_release(struct hf_notes *notes)
{
    for (size_t i = 0; i < notes->capacity; i++) {
        hf_buf_release(&notes->places[i].key);
        free(notes->places[i].stored);
    }
    free(notes->places);
    *notes = (struct hf_notes){0};
}

/* ---- changes of other nodes ---- */

/* What a change elsewhere means for a key here. */
enum concern { CONCERN_NONE = 0, CONCERN_COPY, CONCERN_OWED };

static enum concern what_is_concerned(struct hf_link *link, struct hf_slice key)
{
    enum concern concern = CONCERN_OWED; /* also when it cannot be read: a note too many does no harm */
    enum hf_owed owed;
    struct hf_found found;
    struct hf_look look;

    if (hf__look_begin(link->store, &look) != 0)
        return concern;
    if (hf__look_up(&look, key, &found) == 0 && hf__look_owed(&look, key, &found, &owed) == 0 &&
        owed == HF_OWED_NOTHING)
        concern = found.held ? CONCERN_COPY : CONCERN_NONE;
    hf__look_end(&look);
    return concern;
}

bool hf__notes_foreign(struct hf_notes *notes, struct hf_slice key, const struct hf_foreign *foreign)
{
    struct hf_note *n = hf__notes_of(notes, key);

    if (n && hf__foreign_replaces(foreign, &n->foreign))
        n->foreign = *foreign;
    return n != NULL;
}

/* In memory for this pass, and in the row for the time after a crash. */
static bool note(struct hf_link *link, struct hf_slice key, const struct hf_foreign *foreign)
{
    return hf__notes_foreign(&link->notes, key, foreign) && hf__settle_note_foreign(link->store, key, foreign);
}

/* A key that is owed may have been looked at already, and its row end with nothing to send: then the note counts. */
static bool doubt_owed(struct hf_link *link, struct hf_slice key)
{
    struct hf_note *n = link->state == HF_LINK_REPLAYING ? hf__notes_of(&link->notes, key) : NULL;

    if (n)
        n->doubted = true;
    return n || link->state != HF_LINK_REPLAYING;
}

void hf__link_doubt_copy(struct hf_link *link, struct hf_slice key)
{
    bool done = true;

    switch (what_is_concerned(link, key)) {
    case CONCERN_NONE: break;
    case CONCERN_COPY: done = hf__refresh_add(link, key, false) == 0; break;
    case CONCERN_OWED: done = doubt_owed(link, key); break;
    }
    link->log_behind |= !done; /* without memory: catch up once more */
}

/* After a rollback, while the log is read: what is not owed now may be sent again. */
static bool may_be_owed_again(const struct hf_link *link)
{
    return link->state == HF_LINK_CATCHING_UP && link->evidence == HF_EVIDENCE_ROLLED_BACK;
}

void hf__link_foreign_change(struct hf_link *link, const struct hf_shared_change *change)
{
    struct hf_foreign foreign = {
        .op = (uint8_t)change->op, .made_ms = change->made_ms, .uncertainty_ms = change->uncertainty_ms};
    bool done = !may_be_owed_again(link) || hf__notes_foreign(&link->notes, change->key, &foreign);

    switch (what_is_concerned(link, change->key)) {
    case CONCERN_NONE: break;
    case CONCERN_COPY: done &= hf__refresh_add(link, change->key, true) == 0; break;
    case CONCERN_OWED: done &= note(link, change->key, &foreign); break;
    }
    link->refresh_failed |= !done; /* without memory the page is read again after a new connection */
}
