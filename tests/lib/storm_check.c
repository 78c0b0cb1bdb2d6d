/* The sceptic: believes nothing that is not in the book, and accounts for every acknowledged write.
 *
 * What Redis did is read from its append-only file: each value of the storm is written by one operation only, and the
 * change logs name the LSN of every change that a store made. */
#include "storm.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define STORY_EVENTS 40
#define STORIES_MAX 4
#define DEADLINE_SLACK_MS 12 /* beside the clocks' uncertainties: rounding, and the time of one round trip */

void storm_doubt(struct storm_sceptic *s, const char *key, const char *format, ...)
{
    va_list args;

    fprintf(stderr, "storm: seed %" PRIu64 ": ", s->options->seed);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "\n");
    if (key && s->failures < STORIES_MAX)
        storm_book_tell(&s->book, key, STORY_EVENTS, stderr);
    s->failures++;
}

/* ---- all tiers agree ---- */

static struct storm_there look_there(struct storm_sceptic *s, const char *key)
{
    return s->look(s->redis, key);
}

/* A parked change of this key: ours stays here, theirs there, until the operator has decided. */
static bool is_parked(const struct storm_book *book, unsigned writer, const char *key)
{
    for (size_t i = 0; i < book->n_records; i++) {
        const struct storm_record *r = &book->records[i];
        if (r->what == STORM_PARKED && r->writer == writer && strcmp(r->key, key) == 0)
            return true;
    }
    return false;
}

/* One that would add nothing stands for all of its namespace that were behind the mark, and no longer kept. */
static bool stands_for(const struct storm_record *r, const char *key)
{
    const char *colon = strchr(r->key, ':');

    return r->what == STORM_PARKED && r->flags & STORM_IN_DOUBT && r->rc == HF_OP_INCR && r->number == 0 && colon &&
           strncmp(r->key, key, (size_t)(colon - r->key) + 1) == 0;
}

static int64_t uncertainty_of(const struct storm_book *book, unsigned writer)
{
    for (size_t i = book->n_records; i-- > 0;) {
        if (book->records[i].what == STORM_STATUS && book->records[i].writer == writer)
            return (int64_t)book->records[i].lsn;
    }
    return 0;
}

static bool agrees(struct storm_sceptic *s, const struct storm_record *r, const struct storm_there *there)
{
    int64_t slack = DEADLINE_SLACK_MS + 2 * uncertainty_of(&s->book, r->writer) + s->clock_error_ms + s->late_ms;
    int64_t difference = r->number - there->deadline_ms;

    if ((r->rc == 0) != there->present)
        return false;
    if (!there->present)
        return true;
    if (strcmp(r->text, there->text) != 0 || (r->number == 0) != (there->deadline_ms == 0))
        return false;
    return difference <= slack && difference >= -slack - s->early_ms;
}

/* The store's disk failed under a change that Redis may have. */
static bool is_unknown(const struct storm_book *book, const char *key)
{
    for (size_t i = 0; i < book->n_records; i++) {
        const struct storm_record *r = &book->records[i];
        if (r->what == STORM_ACK && r->rc == HF_EUNKNOWN && strcmp(r->key, key) == 0)
            return true;
    }
    return false;
}

/* A store need not hold all keys: a scan tells those that it does. */
static void check_key_agrees(struct storm_sceptic *s, const char *key)
{
    struct storm_there there = look_there(s, key);

    for (size_t i = 0; i < s->book.n_records; i++) {
        const struct storm_record *r = &s->book.records[i];
        bool found = (r->what == STORM_FINAL || r->what == STORM_SCANNED) && strcmp(r->key, key) == 0;

        if (!found || agrees(s, r, &there) || is_parked(&s->book, r->writer, key) || is_unknown(&s->book, key))
            continue;
        storm_doubt(s, key, "%s is '%s' until %lld in Redis, and %s '%s' until %lld in node %u (origin %u)", key,
                    there.present ? there.text : "(nil)", there.deadline_ms,
                    r->what == STORM_FINAL ? "read as" : "scanned as", r->rc == 0 ? r->text : "(nil)",
                    (long long)r->number, r->writer, r->id);
        return;
    }
    if (there.present && strcmp(there.text, "damaged") == 0)
        storm_doubt(s, key, "%s holds in Redis what nobody wrote", key);
}

/* Without a change log and increments nothing tells that Redis was rolled back. */
static bool may_be_lost(const struct storm_sceptic *s, const struct storm_key *key)
{
    return key->kind == STORM_PRIVATE && (s->options->losses & STORM_LOSS_ROLLBACK);
}

static void check_agreement(struct storm_sceptic *s)
{
    for (unsigned i = 0; i < s->plan.n_keys; i++) {
        if (!may_be_lost(s, &s->plan.keys[i]))
            check_key_agrees(s, s->plan.keys[i].name);
    }
}

/* ---- every acknowledged write is accounted for ---- */

static bool is_write_of(const struct storm_record *r, const struct storm_record *w)
{
    return r->writer == w->writer && strcmp(r->key, w->key) == 0;
}

/* A batch's record names the group; what happens to it is told of its keys. */
static bool names(const struct storm_record *w, const char *key)
{
    size_t len = strlen(w->key);

    return w->op == 'b' ? strncmp(key, w->key, len) == 0 : strcmp(key, w->key) == 0;
}

/* Told by the store: how it ended, or that it was kept. */
static bool is_told(const struct storm_book *book, const struct storm_record *w)
{
    for (size_t i = 0; i < book->n_records; i++) {
        const struct storm_record *r = &book->records[i];

        if (r->writer != w->writer || !names(w, r->key))
            continue;
        if (r->what == STORM_SETTLED && r->rc != HF_OUTCOME_PENDING && r->lsn <= w->lsn && w->lsn <= r->lsn2)
            return true;
        if (r->what == STORM_PARKED && r->lsn == w->lsn)
            return true;
        if (r->what == STORM_CONFLICT && (r->lsn == w->lsn || (w->op == 's' && strcmp(r->text, w->text) == 0)))
            return true;
    }
    return false;
}

/* By its number, or by its value. */
static bool shows(const struct storm_book *book, const struct storm_applied *a, const struct storm_record *w)
{
    if (!names(w, a->key))
        return false;
    if (a->op == 'x')
        return a->lsn == w->lsn && strcmp(a->node, book->nodes[w->writer]) == 0;
    return a->op == 's' && w->text[0] && strcmp(a->text, w->text) == 0;
}

/* Redis did it. */
static bool is_applied(const struct storm_book *book, const struct storm_record *w)
{
    bool removes = w->op == 'd' || w->number > 0; /* one that died while it waited, too */

    for (size_t i = 0; i < book->n_applied; i++) {
        const struct storm_applied *a = &book->applied[i];

        if (shows(book, a, w))
            return true;
        if (a->op == 'd' && removes && names(w, a->key)) /* for want of memory it goes alone, and is named later */
            return true;
    }
    return false;
}

/* With an LSN it was accepted: a delete of what was not held is one, too, and shared. */
static bool is_accepted(const struct storm_record *r)
{
    return r->what == STORM_ACK && r->writer < STORM_NODES_MAX && (r->rc == 0 || r->rc == HF_NOT_FOUND) &&
           r->lsn > 0;
}

/* Redis has a later change of the key by the same store. */
static bool is_applied_later(const struct storm_book *book, const struct storm_record *w)
{
    for (size_t i = 0; i < book->n_applied; i++) {
        const struct storm_applied *a = &book->applied[i];

        if (a->op == 'x' && a->lsn > w->lsn && strcmp(a->key, w->key) == 0 &&
            strcmp(a->node, book->nodes[w->writer]) == 0)
            return true;
    }
    return false;
}

/* A later change of the same store: a write that was acknowledged, and is asked for itself; or one that the store was killed
 * in the midst of, and that was durable by then. That one has no record but its beginning, without a number; but it took
 * the place of those before it in the row, whose end tells of it alone where a kill has swallowed what was to be said. So
 * what the store, its conflict log or Redis tells of a later number counts as well, and what the store holds in the end. */
static bool is_folded(const struct storm_book *book, const struct storm_record *w)
{
    for (size_t i = 0; i < book->n_records; i++) {
        const struct storm_record *r = &book->records[i];
        bool is_later =
            is_accepted(r) || r->what == STORM_SETTLED || r->what == STORM_CONFLICT || r->what == STORM_SCANNED;

        if (is_later && is_write_of(r, w) && r->lsn > w->lsn)
            return true;
    }
    return is_applied_later(book, w);
}

/* A key that was to be gone by now, and is, has nothing to account for. */
static bool is_dead(struct storm_sceptic *s, const struct storm_record *w)
{
    return (w->op == 'd' || w->number > 0) && !look_there(s, w->key).present;
}

static void check_write(struct storm_sceptic *s, const struct storm_record *w)
{
    bool folds = w->op != 'i' && w->op != 'b';

    s->sums.acked++;
    if ((w->flags & STORM_SHARED) || is_told(&s->book, w) || is_applied(&s->book, w))
        return;
    if (folds && (is_folded(&s->book, w) || is_dead(s, w)))
        return;
    storm_doubt(s, w->key, "the write %u.%u.%u (%c) of %s, lsn %" PRIu64 ", is unaccounted for", w->writer, w->life,
                w->id, w->op, w->key, w->lsn);
}

static void check_writes(struct storm_sceptic *s)
{
    for (size_t i = 0; i < s->book.n_records; i++) {
        const struct storm_record *r = &s->book.records[i];

        if (is_accepted(r))
            check_write(s, r);
    }
}

/* ---- counters are exact ---- */

/* One whose outcome is unknown is as one that was never answered. */
static bool has_ended(const struct storm_book *book, const struct storm_record *w)
{
    for (size_t i = 0; i < book->n_records; i++) {
        const struct storm_record *r = &book->records[i];
        if (r->what == STORM_ACK && r->rc != HF_EUNKNOWN && r->writer == w->writer && r->life == w->life &&
            r->id == w->id)
            return true;
    }
    return false;
}

/* How an acknowledged increment counts: 1, 0 when it was parked, -1 when nobody can know. */
static int counts(const struct storm_book *book, const struct storm_record *w)
{
    for (size_t i = 0; i < book->n_records; i++) {
        const struct storm_record *r = &book->records[i];

        if (stands_for(r, w->key) && r->writer == w->writer && r->lsn >= w->lsn)
            return -1;
        if (r->what == STORM_PARKED && r->writer == w->writer && r->lsn == w->lsn && strcmp(r->key, w->key) == 0)
            return r->flags & STORM_IN_DOUBT ? -1 : 0;
    }
    return 1;
}

#define MAYBE_MAX 24 /* increments that may or may not count: every choice is tried */

struct sum {
    int64_t sure;
    int64_t maybe[MAYBE_MAX];
    unsigned n_maybe, n_sure;
};

static void add_maybe(struct sum *sum, int64_t delta)
{
    if (sum->n_maybe < MAYBE_MAX)
        sum->maybe[sum->n_maybe++] = delta;
}

static void add_to_sum(const struct storm_book *book, const struct storm_record *r, struct sum *sum)
{
    int counted;

    if (r->what == STORM_BEGIN && !has_ended(book, r))
        add_maybe(sum, r->number);
    if (r->what == STORM_ACK && r->rc == HF_EREFUSED &&
        counts(book, r) > 0) /* an opening since has sent it again */
        add_maybe(sum, r->number);
    if (r->what != STORM_ACK || r->rc < 0)
        return;
    counted = r->writer == STORM_CLIENT ? 1 : counts(book, r);
    if (counted < 0)
        add_maybe(sum, r->number);
    sum->sure += counted > 0 ? r->number : 0;
    sum->n_sure += counted > 0;
}

static bool reaches(const struct sum *sum, int64_t value)
{
    for (uint32_t choice = 0; choice < 1u << sum->n_maybe; choice++) {
        int64_t total = sum->sure;
        for (unsigned i = 0; i < sum->n_maybe; i++)
            total += choice >> i & 1 ? sum->maybe[i] : 0;
        if (total == value)
            return true;
    }
    return false;
}

static void check_counter(struct storm_sceptic *s, const char *key)
{

    struct storm_there there = look_there(s, key);
    struct sum sum = {0};

    for (size_t i = 0; i < s->book.n_records; i++) {
        if (s->book.records[i].op == 'i' && strcmp(s->book.records[i].key, key) == 0)
            add_to_sum(&s->book, &s->book.records[i], &sum);
    }
    if (!reaches(&sum, strtoll(there.text, NULL, 10)))
        storm_doubt(s, key,
                    "%s is %s; %u acknowledged increments make %" PRId64
                    ", and %u may count as well (difference %lld)",
                    key, there.text, sum.n_sure, sum.sure, sum.n_maybe,
                    strtoll(there.text, NULL, 10) - (long long)sum.sure);
}

/* After a loss of all, stores give back copies of different age: the first one may not know of all increments, or may know
 * of one that another store had no answer for. That it is there at all is checked below. */
static void check_counters(struct storm_sceptic *s)
{
    if (s->options->losses & STORM_LOSS_ALL)
        return;
    for (unsigned i = 0; i < s->plan.n_keys; i++) {
        if (s->plan.keys[i].kind == STORM_COUNTER)
            check_counter(s, s->plan.keys[i].name);
    }
}

/* ---- batches are all or nothing ---- */

static unsigned times_applied(const struct storm_book *book, const char *key, const char *text)
{
    unsigned n = 0;

    for (size_t i = 0; i < book->n_applied; i++) {
        const struct storm_applied *a = &book->applied[i];
        n += a->op == 's' && !a->lost && strcmp(a->key, key) == 0 && strcmp(a->text, text) == 0;
    }
    return n;
}

static void check_batch(struct storm_sceptic *s, const struct storm_record *w)
{
    unsigned n[3];

    for (unsigned part = 0; part < 3; part++) {
        char key[STORM_KEY_MAX + 1];
        snprintf(key, sizeof(key), "%s%c", w->key, "abc"[part]);
        n[part] = times_applied(&s->book, key, w->text);
        if (n[part] != n[0] || n[part] > 1)
            storm_doubt(s, key, "the batch %s of %s was applied %u times to %s, and %u times to its first key",
                        w->text, w->key, n[part], key, n[0]);
    }
}

static unsigned batches_applied(const struct storm_book *book, const char *key)
{
    unsigned n = 0;

    for (size_t i = 0; i < book->n_applied; i++)
        n += book->applied[i].op == 's' && !book->applied[i].lost && strcmp(book->applied[i].key, key) == 0;
    return n;
}

/* What is given back after a loss of all is given back key by key. */
static void check_batches(struct storm_sceptic *s)
{
    if (s->options->losses & STORM_LOSS_ALL)
        return;
    for (size_t i = 0; i < s->book.n_records; i++) {
        if (s->book.records[i].what == STORM_BEGIN && s->book.records[i].op == 'b')
            check_batch(s, &s->book.records[i]);
    }
    for (unsigned i = 0; i < s->plan.n_keys; i++) {
        const struct storm_key *key = &s->plan.keys[i];
        char counter[STORM_KEY_MAX];
        unsigned n;

        if (key->kind != STORM_BATCH || key->name[strlen(key->name) - 1] != 'a')
            continue;
        snprintf(counter, sizeof(counter), "%.*sn", (int)strlen(key->name) - 1, key->name);
        n = batches_applied(&s->book, key->name);
        if (strtoul(look_there(s, counter).text, NULL, 10) != n)
            storm_doubt(s, counter, "%s is %s after %u batches", counter, look_there(s, counter).text, n);
    }
}

/* ---- nothing older goes over something newer ---- */

/* The store in whose transaction this was done; -1: not known. */
static int doer(const struct storm_book *book, size_t at)
{
    for (size_t i = at; i < book->n_applied && book->applied[i].group == book->applied[at].group; i++) {
        for (int k = 0; k < STORM_NODES_MAX && book->applied[i].op == 'x'; k++) {
            if (strcmp(book->applied[i].node, book->nodes[k]) == 0)
                return k;
        }
    }
    return -1;
}

static void check_order_of_key(struct storm_sceptic *s, const char *key)
{
    unsigned last_life[STORM_NODES_MAX] = {0}, last_id[STORM_NODES_MAX] = {0};

    for (size_t i = 0; i < s->book.n_applied; i++) {
        const struct storm_applied *a = &s->book.applied[i];
        unsigned writer, life, id;

        if (a->op != 's' || a->lost || strcmp(a->key, key) != 0 ||
            sscanf(a->text, "v%u.%u.%u", &writer, &life, &id) != 3 || writer >= STORM_NODES_MAX ||
            doer(&s->book, i) != (int)writer)
            continue;
        if (life < last_life[writer] || (life == last_life[writer] && id < last_id[writer]))
            storm_doubt(s, key, "%s was overwritten by the older %s after %u.%u.%u", key, a->text, writer,
                        last_life[writer], last_id[writer]);
        last_life[writer] = life;
        last_id[writer] = id;
    }
}

static void check_order(struct storm_sceptic *s)
{
    for (unsigned i = 0; i < s->plan.n_keys; i++)
        check_order_of_key(s, s->plan.keys[i].name);
}

/* ---- who alone writes a key differs with nobody ---- */

/* A write that was killed before it was acknowledged counts as another's: a power cut may have taken it from its store, and
 * not from Redis. */
static bool has_another_writer(const struct storm_book *book, const struct storm_record *r)
{
    for (size_t i = 0; i < book->n_records; i++) {
        const struct storm_record *w = &book->records[i];
        if (w->what == STORM_BEGIN && names(w, r->key) && (w->writer != r->writer || !has_ended(book, w)))
            return true;
    }
    return false;
}

/* What Redis has lost may look like another's change; and what a write replaced blindly is kept, whoever wrote it. */
static void check_conflicts(struct storm_sceptic *s)
{
    for (size_t i = 0; i < s->book.n_records && s->options->losses == 0; i++) {
        const struct storm_record *r = &s->book.records[i];

        if (r->what == STORM_CONFLICT && r->op != 'B' && !has_another_writer(&s->book, r))
            storm_doubt(s, r->key, "node %u has a conflict over %s, which nobody else has written", r->writer,
                        r->key);
    }
}

/* ---- what is there in the end is the newest of its writer, and by the namespace's rule of all ---- */

static bool changes(const struct storm_record *r, const char *key)
{
    return is_accepted(r) && r->op != 'b' && strcmp(r->key, key) == 0;
}

static bool is_after(const struct storm_record *r, unsigned life, unsigned id)
{
    return r->life > life || (r->life == life && r->id > id);
}

/* Who changes the life of a value may bring it back, with the time of that: another store; or its own, where Redis has lost the
 * value since. */
static bool changes_life(const struct storm_record *r, const char *key)
{
    return (r->what == STORM_BEGIN || r->what == STORM_ACK) && (r->op == 'e' || r->op == 'p') &&
           strcmp(r->key, key) == 0;
}

static bool may_be_brought_back(const struct storm_sceptic *s, const char *key, unsigned writer)
{
    const struct storm_book *book = &s->book;

    for (size_t i = 0; i < book->n_records; i++) {
        if (changes_life(&book->records[i], key) && (s->options->losses || book->records[i].writer != writer))
            return true;
    }
    return false;
}

/* Redis came back without what this write had replaced, or without the write itself, and without the change log that would
 * have told so: what it holds instead looks like another's change. */
static bool is_untold(const struct storm_sceptic *s, const struct storm_record *w)
{
    const struct storm_book *book = &s->book;
    bool lost = false;

    for (size_t i = 0; s->log_lost && i < book->n_applied; i++) {
        if (!book->applied[i].lost && shows(book, &book->applied[i], w))
            return false;
        lost |= book->applied[i].lost && names(w, book->applied[i].key);
    }
    return lost;
}

/* Redis came back with an older value than the one that it was based on, and by the rule that stays. */
static bool lost_to_older(const struct storm_sceptic *s, const struct storm_record *w)
{
    bool lost = false;

    for (size_t i = 0; i < s->book.n_applied; i++)
        lost |= s->book.applied[i].lost && names(w, s->book.applied[i].key);
    for (size_t i = 0; lost && s->options->losses == STORM_LOSS_ROLLBACK && i < s->book.n_records; i++) {
        const struct storm_record *r = &s->book.records[i];

        if (r->what == STORM_CONFLICT && r->writer == w->writer && r->lsn == w->lsn && names(w, r->key) &&
            r->rc == HF_WINNER_THEIRS)
            return true;
    }
    return false;
}

/* Redis came back without it, and without another store's write that had replaced it; that one's last is parked. */
static bool is_behind_parked(const struct storm_book *book, const struct storm_record *w)
{
    unsigned writer;
    bool lost = false;

    for (size_t i = 0; i < book->n_applied; i++) {
        const struct storm_applied *a = &book->applied[i];

        if (!a->lost || !names(w, a->key))
            continue;
        if (lost && a->op == 's' && sscanf(a->text, "v%u.", &writer) == 1 && writer < STORM_NODES_MAX &&
            writer != w->writer && is_parked(book, writer, a->key))
            return true;
        lost |= shows(book, a, w);
    }
    return false;
}

static void check_last_own(struct storm_sceptic *s, const struct storm_key *key)
{
    struct storm_there there = look_there(s, key->name);
    unsigned writer, life, id;

    if (sscanf(there.text, "v%u.%u.%u", &writer, &life, &id) != 3 || writer >= STORM_NODES_MAX ||
        is_parked(&s->book, writer, key->name) || is_unknown(&s->book, key->name) ||
        may_be_brought_back(s, key->name, writer))
        return;
    for (size_t i = 0; i < s->book.n_records; i++) {
        const struct storm_record *r = &s->book.records[i];

        if (r->writer == writer && changes(r, key->name) && (r->op == 's' || r->op == 'd') &&
            is_after(r, life, id) && !is_untold(s, r) && !is_behind_parked(&s->book, r) && !lost_to_older(s, r)) {
            storm_doubt(s, key->name, "%s is the older '%s' after the write %u.%u.%u (%c)", key->name, there.text,
                        r->writer, r->life, r->id, r->op);
            return;
        }
    }
}

/* When this operation was begun or acknowledged; 0: it was not. */
static int64_t time_of(const struct storm_book *book, enum storm_what what, unsigned writer, unsigned life,
                       unsigned id)
{
    for (size_t i = 0; i < book->n_records; i++) {
        const struct storm_record *r = &book->records[i];
        if (r->what == what && r->writer == writer && r->life == life && r->id == id)
            return r->at_us;
    }
    return 0;
}

/* The last that was done to this store's value: all of it goes as one, with the time of its end. */
static int64_t made_us(const struct storm_book *book, const char *key, unsigned writer)
{
    int64_t at_us = 0;

    for (size_t i = 0; i < book->n_records; i++) {
        const struct storm_record *r = &book->records[i];
        if ((r->writer == writer && changes(r, key)) || changes_life(r, key))
            at_us = r->at_us;
    }
    return at_us;
}

/* What was given a life may have ended before the older one arrived. */
static bool lives_for_ever(const struct storm_book *book, const struct storm_record *w)
{
    for (const struct storm_record *r = w; r < book->records + book->n_records; r++) {
        if (changes(r, w->key) && (r->op == 'e' || r->number > 0))
            return false;
    }
    return true;
}

/* Behind an absence that nobody explains, what arrives is stored, however old. */
static bool was_evicted(const struct storm_book *book, const char *key)
{
    for (size_t i = 0; i < book->n_applied; i++) {
        if (book->applied[i].op == 'v' && strcmp(book->applied[i].key, key) == 0)
            return true;
    }
    return false;
}

#define NEWER_BY_US 1500000 /* more than what clocks differ by, but for those that were wrong */
#define RESTART_US 1000000  /* the clock that runs while a machine is off counts seconds */

static int64_t later_by_us(const struct storm_sceptic *s)
{
    return NEWER_BY_US + 2000 * s->clock_error_ms + 2ll * s->restarts * RESTART_US; /* of both that have written */
}

static void check_newest(struct storm_sceptic *s, const struct storm_key *key)
{
    struct storm_there there = look_there(s, key->name);
    unsigned writer, life, id;
    int64_t after_us;

    if (key->kind != STORM_PLAIN || key->policy != HF_CONFLICT_NEWEST || is_unknown(&s->book, key->name) ||
        sscanf(there.text, "v%u.%u.%u", &writer, &life, &id) != 3 || writer >= STORM_NODES_MAX)
        return;
    if (time_of(&s->book, STORM_ACK, writer, life, id) == 0 || was_evicted(&s->book, key->name))
        return;
    after_us = made_us(&s->book, key->name, writer) + later_by_us(s);
    for (size_t i = 0; i < s->book.n_records; i++) {
        const struct storm_record *r = &s->book.records[i];

        if (r->writer != writer && changes(r, key->name) && r->op == 's' && r->at_us > s->names_lost_us &&
            time_of(&s->book, STORM_BEGIN, r->writer, r->life, r->id) > after_us && lives_for_ever(&s->book, r) &&
            !is_untold(s, r)) {
            storm_doubt(s, key->name, "%s is '%s' in the end, and '%s' was made later", key->name, there.text,
                        r->text);
            return;
        }
    }
}

static void check_ends(struct storm_sceptic *s)
{
    for (unsigned i = 0; i < s->plan.n_keys; i++) {
        if (may_be_lost(s, &s->plan.keys[i]))
            continue;
        check_last_own(s, &s->plan.keys[i]);
        check_newest(s, &s->plan.keys[i]);
    }
}

/* ---- what is never deleted is there, whatever Redis lost ---- */

static bool was_written(const struct storm_book *book, const char *key)
{
    for (size_t i = 0; i < book->n_records; i++) {
        const struct storm_record *r = &book->records[i];

        if (r->what == STORM_ACK && r->rc == 0 && r->lsn > 0 && r->writer < STORM_NODES_MAX && names(r, key) &&
            (r->flags & STORM_SHARED))
            return true;
    }
    return false;
}

static bool is_parked_anywhere(const struct storm_book *book, const char *key)
{
    bool parked = false;

    for (unsigned writer = 0; writer < STORM_NODES_MAX && !parked; writer++)
        parked = is_parked(book, writer, key);
    for (size_t i = 0; i < book->n_records && !parked; i++)
        parked = stands_for(&book->records[i], key);
    return parked;
}

/* All that Redis had of the key, it has lost, and the change log with it. */
static bool is_absence_untold(const struct storm_sceptic *s, const char *key)
{
    bool lost = false;

    for (size_t i = 0; i < s->book.n_applied; i++) {
        const struct storm_applied *a = &s->book.applied[i];

        if (a->op != 's' || strcmp(a->key, key) != 0)
            continue;
        if (!a->lost)
            return false;
        lost = true;
    }
    return s->log_lost && lost;
}

/* A plain client deletes, and what it has written nobody may have had a copy of. What the operator is to decide may be
 * what was lost. Of increments and batches the marks tell. */
static void check_presence(struct storm_sceptic *s)
{
    for (unsigned i = 0; i < s->plan.n_keys; i++) {
        const struct storm_key *key = &s->plan.keys[i];
        bool stays = key->kind == STORM_BATCH || key->kind == STORM_COUNTER ||
                     (key->kind == STORM_JSON && !s->options->plain_client && !is_absence_untold(s, key->name));

        if (stays && was_written(&s->book, key->name) && !look_there(s, key->name).present &&
            !is_parked_anywhere(&s->book, key->name))
            storm_doubt(s, key->name, "%s was shared, nobody deletes it, and it is gone", key->name);
    }
}

/* ---- private keys: what was acknowledged is read, in every life ---- */

/* What a key is, as far as is known, and which operation says so. One thread of each store begins its operations, so their
 * numbers give their order; they end in any. */
struct own {
    char text[STORM_TEXT_MAX]; /* "": absent */
    unsigned life, id;         /* id 0: it was found at the beginning of this life */
};

static const char *value_of(const struct storm_record *w)
{
    return w->op == 's' ? w->text : "";
}

static bool is_later(const struct storm_record *w, const struct own *own)
{
    return w->life > own->life || (w->life == own->life && w->id > own->id);
}

/* Begun after what is known, and killed before it was acknowledged: it may be there or not. */
static bool was_begun(const struct storm_book *book, const struct storm_record *r, const struct own *own,
                      const char *found)
{
    for (size_t i = 0; i < book->n_records && book->records[i].at_us <= r->at_us; i++) {
        const struct storm_record *w = &book->records[i];

        if (w->what == STORM_BEGIN && is_write_of(w, r) && is_later(w, own) && !has_ended(book, w) &&
            strcmp(value_of(w), found) == 0)
            return true;
    }
    return false;
}

static void know_own(struct own *own, const char *text, unsigned life, unsigned id)
{
    snprintf(own->text, sizeof(own->text), "%s", text);
    own->life = life;
    own->id = id;
}

static void play_own(struct storm_sceptic *s, const struct storm_record *r, struct own *own)
{
    const char *found = r->rc == 0 ? r->text : "";

    if (r->what == STORM_ACK && (r->rc == 0 || r->rc == HF_EREFUSED) &&
        is_later(r, own)) /* refused there, done here */
        know_own(own, value_of(r), r->life, r->id);
    if (r->what != STORM_FOUND && r->what != STORM_FINAL)
        return;
    if (strcmp(found, own->text) != 0 && !was_begun(&s->book, r, own, found))
        storm_doubt(s, r->key, "%s is '%s' in node %u.%u; '%s' was acknowledged", r->key, found, r->writer, r->life,
                    own->text);
    know_own(own, found, r->life, 0);
}

static void check_private(struct storm_sceptic *s)
{
    for (unsigned k = 0; k < s->plan.n_keys; k++) {
        const struct storm_key *key = &s->plan.keys[k];
        struct own own = {0};

        bool judged =
            key->kind == STORM_PRIVATE && !may_be_lost(s, key) &&
            !is_parked(&s->book, key->owner, key->name); /* Redis holds something else, which is read, too */

        for (size_t i = 0; judged && i < s->book.n_records; i++) {
            const struct storm_record *r = &s->book.records[i];
            if (r->writer == key->owner && strcmp(r->key, key->name) == 0)
                play_own(s, r, &own);
        }
    }
}

/* ---- no damage, and the counts match ---- */

static void check_status(struct storm_sceptic *s, const struct storm_record *status)
{
    size_t conflicts = 0, parked = 0;

    for (size_t i = 0; i < s->book.n_records; i++) {
        const struct storm_record *r = &s->book.records[i];
        conflicts += r->what == STORM_CONFLICT && r->writer == status->writer;
        parked += r->what == STORM_PARKED && r->writer == status->writer;
        s->sums.in_doubt += r->what == STORM_PARKED && r->writer == status->writer && (r->flags & STORM_IN_DOUBT);
    }
    s->sums.conflicts += conflicts;
    s->sums.parked += parked;
    if (status->lsn2 != 0)
        storm_doubt(s, NULL, "node %u tells of %" PRIu64 " damaged segments, lost conflicts or dropped changes",
                    status->writer, status->lsn2);
    if (status->rc != 0)
        storm_doubt(s, NULL, "node %u has %d pending keys after the calm", status->writer, status->rc);
    if (status->number != (int64_t)conflicts)
        storm_doubt(s, NULL, "node %u counts %lld conflicts and lists %zu", status->writer,
                    (long long)status->number, conflicts);
    if (status->id != parked)
        storm_doubt(s, NULL, "node %u counts %u parked entries and lists %zu", status->writer, status->id, parked);
}

static void check_statuses(struct storm_sceptic *s)
{
    bool shared = false;
    unsigned n = 0;

    for (size_t i = 0; i < s->book.n_records; i++) {
        const struct storm_record *r = &s->book.records[i];

        s->sums.writes += r->what == STORM_BEGIN;
        s->sums.settled += r->what == STORM_SETTLED;
        shared |= r->what == STORM_ACK && is_accepted(r) && (r->flags & STORM_SHARED);
        if (r->what != STORM_STATUS)
            continue;
        n++;
        check_status(s, r);
    }
    if (n != s->options->nodes)
        storm_doubt(s, NULL, "%u of %u stores told their status", n, s->options->nodes);
    if (shared && s->book.n_applied == 0)
        storm_doubt(s, NULL, "Redis's append-only file tells nothing");
}

void storm_check(struct storm_sceptic *s)
{
    check_statuses(s);
    check_agreement(s);
    check_counters(s);
    check_batches(s);
    check_order(s);
    check_conflicts(s);
    check_ends(s);
    check_presence(s);
    check_private(s);
    storm_check_locks(s);
    check_writes(s);
}
