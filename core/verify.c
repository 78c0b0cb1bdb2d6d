/* Comparing the tiers by digest, for operators: all keys held here in their order, or a random sample, a batch at a time. Keys
 * that differ are looked at once more, here first and then there: what was only a change under way is the same then, or
 * pending. */
#include "digest.h"
#include "fail.h"
#include "link_state.h"

#include <stdlib.h>
#include <sys/random.h>

#define KEYS_MAX 100u /* compared in one request */

struct compared {
    struct hf_buf key;
    struct hf_version_id here;
    bool owed;    /* Redis is known to lack a change of it */
    bool in_turn; /* to be examined */
    unsigned differs;
};

struct verify {
    struct hf *store;
    int (*each)(void *ctx, const struct hf_difference *difference);
    void *ctx;
    struct hf_verification sums;
    size_t n;
    struct compared keys[KEYS_MAX];
    struct hf_shared_seen seen[KEYS_MAX];
    struct hf_shared_error error; /* of a key that may not be looked at */
};

static struct hf_slice key_of(const struct compared *c)
{
    return hf__slice(c->key.data, c->key.len);
}

static void drop_keys(struct verify *v)
{
    for (size_t i = 0; i < v->n; i++)
        hf_buf_release(&v->keys[i].key);
    v->n = 0;
}

/* ---- here ---- */

/* What is held of the key now. */
static int identify(struct verify *v, struct compared *c)
{
    enum hf_owed owed = HF_OWED_NOTHING;
    struct hf_found found;
    struct hf_look look;
    int rc = hf__look_begin(v->store, &look);

    if (rc == 0)
        rc = hf__look_up(&look, key_of(c), &found);
    if (rc == 0)
        rc = hf__look_owed(&look, key_of(c), &found, &owed);
    if (rc == 0) {
        c->owed = owed != HF_OWED_NOTHING;
        c->here = found.live ? hf__version_id(found.value, found.deadline_ms)
                             : (struct hf_version_id){.kind = HF_VERSION_ABSENT};
    }
    hf__look_end(&look);
    return rc;
}

/* ---- there ---- */

static void take(void *ctx, const struct hf_shared_examine *examine)
{
    struct verify *v = ctx;
    struct hf_turn turn;

    hf__turn_begin(v->store, &turn);
    for (size_t i = 0; i < examine->n_keys; i++) {
        const struct hf_shared_seen *seen = &examine->keys[i];
        struct compared *c = seen->owner;
        if (seen->error.class != HF_SHARED_OK) {
            v->error = seen->error;
        } else if (!hf__compare_wants_more(&c->here, seen)) {
            c->differs = hf__compare(&turn, &c->here, seen);
            c->in_turn = false;
        }
    }
}

static size_t fill_request(struct verify *v, bool digests)
{
    uint8_t want = HF_WANT_DEADLINE | (digests ? HF_WANT_DIGEST : 0);
    size_t n = 0;

    for (size_t i = 0; i < v->n; i++) {
        if (v->keys[i].in_turn)
            v->seen[n++] = (struct hf_shared_seen){.key = key_of(&v->keys[i]), .want = want, .owner = &v->keys[i]};
    }
    return n;
}

/* Long values are hashed only where their lengths are the same. */
static int examine(struct verify *v)
{
    struct hf_ask_examine ask = {.ctx = v, .take = take};
    bool digests = false;
    size_t n;
    int rc = 0;

    while (rc == 0 && (n = fill_request(v, digests)) > 0) {
        ask.examine = (struct hf_shared_examine){.keys = v->seen, .n_keys = n};
        rc = hf__ask_examine(v->store, &ask);
        if (rc == 0 && v->error.class != HF_SHARED_OK)
            rc = hf__fail(HF_EAUTH, "a key cannot be compared: %s", v->error.reason);
        digests = true;
    }
    return rc;
}

/* ---- a batch ---- */

static int compare_all(struct verify *v)
{
    int rc = 0;

    for (size_t i = 0; i < v->n && rc == 0; i++) {
        v->keys[i].in_turn = true;
        rc = identify(v, &v->keys[i]);
    }
    return rc == 0 ? examine(v) : rc;
}

static int compare_again(struct verify *v)
{
    int rc = 0;

    for (size_t i = 0; i < v->n && rc == 0; i++) {
        if (v->keys[i].differs == 0 || v->keys[i].owed)
            continue;
        v->keys[i].in_turn = true;
        rc = identify(v, &v->keys[i]);
    }
    return rc == 0 ? examine(v) : rc;
}

static int tell(struct verify *v, const struct compared *c)
{
    struct hf_difference difference = {
        .key = key_of(c),
        .pending = c->owed,
        .absent_there = c->differs & HF_DIFFERS_PRESENCE,
        .other_type = c->differs & HF_DIFFERS_TYPE,
        .other_value = c->differs & HF_DIFFERS_VALUE,
        .other_deadline = c->differs & HF_DIFFERS_DEADLINE,
    };

    v->sums.compared++;
    if (c->owed)
        v->sums.pending++;
    else if (c->differs)
        v->sums.different++;
    else
        v->sums.same++;
    return c->differs ? v->each(v->ctx, &difference) : 0;
}

/* A key that has gone here since it was chosen is not held here, and not told. */
static int compare_batch(struct verify *v)
{
    int rc = compare_all(v);

    if (rc == 0)
        rc = compare_again(v);
    for (size_t i = 0; i < v->n && rc == 0; i++) {
        if (v->keys[i].here.kind == HF_VERSION_DIGEST)
            rc = tell(v, &v->keys[i]);
    }
    drop_keys(v);
    return rc;
}

static int add_key(struct verify *v, struct hf_slice key)
{
    int rc;

    v->keys[v->n] = (struct compared){0};
    rc = hf__buf_copy(key, &v->keys[v->n].key);
    if (rc != 0)
        return rc;
    v->n++;
    return v->n == KEYS_MAX ? compare_batch(v) : 0;
}

/* ---- which keys ---- */

/* The next key that is shared. */
static int next_key(struct hf *store, struct hf_scan *scan, struct hf_slice *ret_key)
{
    int rc;

    do
        rc = hf_scan_next(scan, ret_key, NULL, NULL);
    while (rc == 0 && hf__ns_of(&store->namespaces, *ret_key)->write_mode == HF_WRITE_LOCAL);
    return rc;
}

static int verify_all(struct verify *v, struct hf_scan *scan)
{
    struct hf_slice key;
    int rc = 0;

    while (rc == 0) {
        rc = next_key(v->store, scan, &key);
        if (rc == HF_NOT_FOUND)
            return compare_batch(v);
        if (rc == 0)
            rc = add_key(v, key);
    }
    return rc;
}

/* Keys so far, of which each is in the sample with the same probability. */
struct sample {
    struct hf_buf *keys;
    size_t n, capacity, max;
    uint64_t met, random;
};

/* SplitMix64, from a seed of the system's. */
static uint64_t next_random(struct sample *sample)
{
    uint64_t z = sample->random += 0x9e3779b97f4a7c15u;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static int append(struct sample *sample, struct hf_slice key)
{
    size_t capacity = sample->capacity ? 2 * sample->capacity : KEYS_MAX;
    struct hf_buf *grown;
    int rc;

    if (sample->n == sample->capacity) {
        grown = realloc(sample->keys, capacity * sizeof(*grown));
        if (!grown)
            return hf__fail(HF_ENOMEM, "out of memory: a sample of %zu keys", capacity);
        sample->keys = grown;
        sample->capacity = capacity;
    }
    sample->keys[sample->n] = (struct hf_buf){0};
    rc = hf__buf_copy(key, &sample->keys[sample->n]);
    sample->n += rc == 0;
    return rc;
}

/* The k-th key replaces one of the sample with probability max / k: a reservoir. */
static int offer(struct sample *sample, struct hf_slice key)
{
    struct hf_buf copy = {0};
    uint64_t at;
    int rc;

    if (++sample->met <= sample->max)
        return append(sample, key);
    at = next_random(sample) % sample->met;
    if (at >= sample->max)
        return 0;
    rc = hf__buf_copy(key, &copy);
    if (rc != 0)
        return rc;
    hf_buf_release(&sample->keys[at]);
    sample->keys[at] = copy;
    return 0;
}

static int by_key(const void *a, const void *b)
{
    const struct hf_buf *x = a, *y = b;

    return hf__slice_cmp(hf__slice(x->data, x->len), hf__slice(y->data, y->len));
}

static int draw_sample(struct verify *v, struct hf_scan *scan, struct sample *sample)
{
    struct hf_slice key;
    int rc;

    if (getrandom(&sample->random, sizeof(sample->random), 0) != sizeof(sample->random))
        return hf__fail(HF_EIO, "the system gives no random numbers for a sample");
    while ((rc = next_key(v->store, scan, &key)) == 0 && (rc = offer(sample, key)) == 0)
        ;
    if (rc == HF_NOT_FOUND && sample->n > 0)
        qsort(sample->keys, sample->n, sizeof(*sample->keys), by_key);
    return rc == HF_NOT_FOUND ? 0 : rc;
}

static int verify_sample(struct verify *v, struct hf_scan *scan, uint64_t n)
{
    struct sample sample = {.max = n};
    int rc = draw_sample(v, scan, &sample);

    for (size_t i = 0; i < sample.n && rc == 0; i++)
        rc = add_key(v, hf__slice(sample.keys[i].data, sample.keys[i].len));
    if (rc == 0)
        rc = compare_batch(v);
    for (size_t i = 0; i < sample.n; i++)
        hf_buf_release(&sample.keys[i]);
    free(sample.keys);
    return rc;
}

/* ---- all of it ---- */

static int verify(struct verify *v, uint64_t sample)
{
    struct hf_scan *scan;
    int rc = hf_scan_open(v->store, hf__slice(NULL, 0), hf__slice(NULL, 0), &scan);

    if (rc != 0)
        return rc;
    rc = sample > 0 ? verify_sample(v, scan, sample) : verify_all(v, scan);
    hf_scan_close(scan);
    drop_keys(v);
    return rc;
}

int hf_verify(struct hf *store, uint64_t sample, int (*each)(void *ctx, const struct hf_difference *difference),
              void *ctx, struct hf_verification *ret_sums)
{
    struct verify *v;
    int rc = hf__check_handle(store, false);

    if (rc != 0)
        return rc;
    if (!store->link)
        return hf__fail(HF_EOFFLINE,
                        "the store was opened without a shared tier: there is nothing to compare with");
    v = calloc(1, sizeof(*v));
    if (!v)
        return hf__fail(HF_ENOMEM, "out of memory: %u keys to be compared", KEYS_MAX);
    v->store = store;
    v->each = each;
    v->ctx = ctx;
    rc = verify(v, sample);
    if (rc == 0)
        *ret_sums = v->sums;
    free(v);
    return rc;
}
