/* The overlay against a sorted array that does the same by brute force, and under readers that never wait. */
#include "overlay.h"

#include "fail.h"
#include "sim_disk.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- fixture: an overlay, and the model beside it ---- */

#define MODEL_MAX 20000
#define KEY_BYTES 24

struct model_version {
    uint8_t key[KEY_BYTES];
    size_t key_len;
    uint64_t lsn;
    uint64_t seed; /* the value follows from it */
};

struct fixture {
    struct hf_overlay overlay;
    struct model_version *model; /* by key, then newest first */
    size_t n;
    uint64_t lsn;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    f->model = malloc(MODEL_MAX * sizeof(*f->model));
    assert_non_null(f->model);
    assert_int_equal(hf__overlay_init(&f->overlay), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    hf__overlay_release(&f->overlay);
    free(f->model);
    free(f);
    return 0;
}

/* ---- vocabulary ---- */

static struct hf_slice model_key(const struct model_version *v)
{
    return hf__slice(v->key, v->key_len);
}

/* Short keys over a small alphabet: many are equal, many are prefixes of others. */
static size_t random_key(uint64_t *random, uint8_t *key)
{
    static const uint8_t alphabet[] = {0, 'a', 'b', 0x7f, 0x80, 0xff};
    size_t len = 1 + sim_random(random) % 5;

    for (size_t i = 0; i < len; i++)
        key[i] = alphabet[sim_random(random) % sizeof(alphabet)];
    return len;
}

static size_t value_of(uint64_t seed, uint8_t *value)
{
    size_t len = seed % 97;

    for (size_t i = 0; i < len; i++)
        value[i] = (uint8_t)(seed * 13 + i);
    return len;
}

static void model_put(struct fixture *f, const uint8_t *key, size_t len, uint64_t lsn, uint64_t seed)
{
    size_t at = 0;

    assert_true(f->n < MODEL_MAX);
    while (at < f->n && hf__slice_cmp(model_key(&f->model[at]), hf__slice(key, len)) < 0)
        at++;
    memmove(&f->model[at + 1], &f->model[at], (f->n - at) * sizeof(*f->model));
    f->model[at] = (struct model_version){.key_len = len, .lsn = lsn, .seed = seed};
    memcpy(f->model[at].key, key, len);
    f->n++;
}

/* Write a batch of `n` entries to both, all staged before the first is inserted. */
static void write_batch(struct fixture *f, unsigned n, uint64_t *random)
{
    struct hf_staged staged[16];
    uint8_t keys[16][KEY_BYTES], value[128];
    size_t lens[16];
    uint64_t seeds[16];

    for (unsigned i = 0; i < n; i++) {
        struct hf_entry entry = {.op = HF_ENTRY_SET, .type = 1, .flags = HF_ENTRY_LANE};
        seeds[i] = sim_random(random);
        lens[i] = random_key(random, keys[i]);
        entry.made_ms = (int64_t)seeds[i];
        entry.deadline_ms = (int64_t)~seeds[i];
        entry.delta = (int64_t)(seeds[i] / 3);
        entry.key = hf__slice(keys[i], lens[i]);
        entry.value = hf__slice(value, value_of(seeds[i], value));
        assert_int_equal(hf__overlay_stage(&f->overlay, &entry, HF_VERSION_UNSETTLED, &staged[i]), 0);
    }
    memset(value, 0xdd, sizeof(value)); /* stage has copied it */
    if (sim_random(random) % 16 == 0)
        return; /* the journal refused: only bytes are wasted */
    for (unsigned i = 0; i < n; i++) {
        hf__overlay_insert(&f->overlay, &staged[i], ++f->lsn);
        assert_ptr_equal(staged[i].node, hf__generation_find(f->overlay.view.active, staged[i].node->key));
        model_put(f, keys[i], lens[i], f->lsn, seeds[i]);
    }
}

static void same_version(const struct hf_version *got, const struct model_version *want)
{
    uint8_t value[128];

    if (!want) {
        assert_null(got);
        return;
    }
    assert_non_null(got);
    assert_int_equal(got->lsn, want->lsn);
    assert_int_equal(got->op, HF_ENTRY_SET);
    assert_int_equal(got->flags, HF_ENTRY_LANE);
    assert_int_equal(got->made_ms, (int64_t)want->seed);
    assert_int_equal(got->deadline_ms, (int64_t)~want->seed);
    assert_int_equal(got->delta, (int64_t)(want->seed / 3));
    assert_int_equal(got->state, HF_VERSION_UNSETTLED);
    assert_true(hf__slice_eq(got->value, hf__slice(value, value_of(want->seed, value))));
}

/* The whole generation in order, with the versions of each key that are visible at `visible`. */
static void same_walk(const struct fixture *f, struct hf_generation *g, uint64_t visible)
{
    const struct hf_node *node = hf__generation_seek(g, hf__slice(NULL, 0));
    size_t keys = 0;

    for (size_t i = 0; i < f->n; keys++) {
        const struct model_version *want = NULL;
        size_t first = i;
        assert_non_null(node);
        assert_true(hf__slice_eq(node->key, model_key(&f->model[i])));
        for (; i < f->n && hf__slice_eq(model_key(&f->model[i]), model_key(&f->model[first])); i++) {
            if (!want && f->model[i].lsn <= visible)
                want = &f->model[i];
        }
        same_version(hf__node_visible(node, visible), want);
        node = hf__node_next(node);
    }
    assert_null(node);
    assert_int_equal(hf__generation_keys(g), keys);
}

static void same_seek(const struct fixture *f, struct hf_generation *g, struct hf_slice key)
{
    const struct hf_node *at = hf__generation_seek(g, key), *found = hf__generation_find(g, key);
    size_t i = 0;

    while (i < f->n && hf__slice_cmp(model_key(&f->model[i]), key) < 0)
        i++;
    assert_int_equal(at != NULL, i < f->n);
    if (at)
        assert_true(hf__slice_eq(at->key, model_key(&f->model[i])));
    assert_ptr_equal(found, at && hf__slice_eq(at->key, key) ? at : NULL);
}

static void put_one(struct fixture *f, const char *key, const char *value)
{
    struct hf_entry entry = {.op = HF_ENTRY_SET, .key = hf__slice_str(key), .value = hf__slice_str(value)};
    struct hf_staged staged;

    assert_int_equal(hf__overlay_stage(&f->overlay, &entry, HF_VERSION_SETTLED, &staged), 0);
    hf__overlay_insert(&f->overlay, &staged, ++f->lsn);
}

/* ---- one thread ---- */

static void test_overlay__it_is_what_a_sorted_array_says(void **state)
{
    struct fixture *f = *state;
    unsigned writes = 0;

    for (uint64_t seed = 1; seed <= 12; seed++) {
        uint64_t random = seed;
        hf__overlay_release(&f->overlay);
        assert_int_equal(hf__overlay_init(&f->overlay), 0);
        f->n = 0;
        f->lsn = 0;
        for (unsigned round = 0; round < 300; round++) {
            struct hf_generation *g = f->overlay.view.active;
            uint8_t key[KEY_BYTES];
            write_batch(f, 1 + (unsigned)(sim_random(&random) % (round % 7 == 0 ? 16 : 2)), &random);
            for (unsigned i = 0; i < 8; i++)
                same_seek(f, g, hf__slice(key, random_key(&random, key)));
            if (round % 30 == 29) {
                for (unsigned i = 0; i < 5; i++)
                    same_walk(f, g, i == 0 ? UINT64_MAX : sim_random(&random) % (f->lsn + 1));
            }
        }
        writes += (unsigned)f->n;
    }
    print_message("%u writes\n", writes);
}

static void test_overlay__every_state_of_the_past_can_be_seen_by_its_lsn(void **state)
{
    struct fixture *f = *state;
    uint64_t random = 99;

    while (f->lsn < 120)
        write_batch(f, 3, &random);
    for (uint64_t visible = 0; visible <= f->lsn + 1; visible++)
        same_walk(f, f->overlay.view.active, visible);
}

static void test_overlay__two_entries_of_one_batch_for_a_new_key_share_its_node(void **state)
{
    struct fixture *f = *state;
    struct hf_entry entry = {.op = HF_ENTRY_SET, .key = hf__slice_str("k"), .value = hf__slice_str("1")};
    struct hf_staged a, b;

    assert_int_equal(hf__overlay_stage(&f->overlay, &entry, HF_VERSION_UNSETTLED, &a), 0);
    assert_int_equal(hf__overlay_stage(&f->overlay, &entry, HF_VERSION_UNSETTLED, &b), 0);
    hf__overlay_insert(&f->overlay, &a, 1);
    hf__overlay_insert(&f->overlay, &b, 2);
    assert_ptr_equal(a.node, b.node);
    assert_int_equal(hf__generation_keys(f->overlay.view.active), 1);
    assert_int_equal(hf__node_visible(a.node, 1)->lsn, 1);
    assert_int_equal(hf__node_visible(a.node, 2)->lsn, 2);
    assert_null(hf__node_next(a.node));
}

static void test_overlay__what_is_staged_and_not_inserted_is_not_there(void **state)
{
    struct fixture *f = *state;
    struct hf_entry entry = {.op = HF_ENTRY_SET, .key = hf__slice_str("k"), .value = hf__slice_str("1")};
    struct hf_staged staged;

    assert_int_equal(hf__overlay_stage(&f->overlay, &entry, HF_VERSION_UNSETTLED, &staged), 0);
    assert_null(hf__generation_find(f->overlay.view.active, entry.key));
    assert_null(hf__generation_seek(f->overlay.view.active, hf__slice(NULL, 0)));
    assert_int_equal(hf__generation_keys(f->overlay.view.active), 0);
}

static void test_overlay__values_of_every_size_class_are_kept(void **state)
{
    static const size_t sizes[] = {0, 1, 15, 16, 65535, 65536, 65537, 262143, 262144, 1000000};
    struct fixture *f = *state;
    size_t total = 0;

    for (size_t round = 0; round < 3; round++) {
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
            uint8_t *value = malloc(sizes[i] + 1);
            struct hf_entry entry = {.op = HF_ENTRY_SET};
            struct hf_staged staged;
            char key[32];
            assert_non_null(value);
            memset(value, (int)(i + round), sizes[i]);
            snprintf(key, sizeof(key), "%zu-%zu", round, i);
            entry.key = hf__slice_str(key);
            entry.value = hf__slice(value, sizes[i]);
            assert_int_equal(hf__overlay_stage(&f->overlay, &entry, HF_VERSION_UNSETTLED, &staged), 0);
            hf__overlay_insert(&f->overlay, &staged, ++f->lsn);
            total += sizes[i];
            free(value);
        }
    }
    for (const struct hf_node *n = hf__generation_seek(f->overlay.view.active, hf__slice(NULL, 0)); n;
         n = hf__node_next(n)) {
        const struct hf_version *v = hf__node_visible(n, UINT64_MAX);
        for (size_t i = 0; i < v->value.len; i++)
            assert_int_equal(((const uint8_t *)v->value.data)[i], ((const uint8_t *)v->value.data)[0]);
    }
    assert_true(hf__generation_bytes(f->overlay.view.active) >= total);
}

/* ---- lifetimes: ASan speaks when one is wrong ---- */

static void test_overlay__a_pinned_view_outlives_freezing_and_dropping(void **state)
{
    struct fixture *f = *state;
    struct hf_view before, during, after;

    put_one(f, "a", "old");
    hf__view_pin(&f->overlay, &before);
    assert_int_equal(hf__overlay_freeze(&f->overlay), 0);
    put_one(f, "a", "new");
    hf__view_pin(&f->overlay, &during);
    hf__overlay_drop_frozen(&f->overlay);
    hf__view_pin(&f->overlay, &after);

    assert_null(before.frozen);
    assert_ptr_equal(during.frozen, before.active);
    assert_ptr_equal(during.active, after.active);
    assert_null(after.frozen);
    assert_int_equal(hf__node_visible(hf__generation_find(before.active, hf__slice_str("a")), 9)->lsn, 1);
    hf__view_unpin(&f->overlay, &before);
    assert_int_equal(hf__node_visible(hf__generation_find(during.frozen, hf__slice_str("a")), 9)->lsn, 1);
    assert_int_equal(hf__node_visible(hf__generation_find(during.active, hf__slice_str("a")), 9)->lsn, 2);
    hf__view_unpin(&f->overlay, &during);
    assert_null(during.active);
    assert_int_equal(hf__node_visible(hf__generation_find(after.active, hf__slice_str("a")), 9)->lsn, 2);
    hf__view_unpin(&f->overlay, &after);
}

static void test_overlay__a_retained_generation_lives_until_its_last_reference(void **state)
{
    struct fixture *f = *state;
    struct hf_generation *g = f->overlay.view.active;

    put_one(f, "a", "1");
    hf__generation_retain(&f->overlay, g);
    hf__generation_retain(&f->overlay, g);
    assert_int_equal(hf__overlay_freeze(&f->overlay), 0);
    hf__overlay_drop_frozen(&f->overlay);
    hf__generation_release_ref(&f->overlay, g);
    assert_non_null(hf__generation_find(g, hf__slice_str("a")));
    hf__generation_release_ref(&f->overlay, g);
    hf__overlay_drop_frozen(&f->overlay); /* nothing is frozen: nothing happens */
}

static void test_overlay__every_order_of_pins_and_checkpoints_frees_each_generation_once(void **state)
{
    struct fixture *f = *state;

    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct hf_view views[6] = {0};
        uint64_t random = seed;
        for (unsigned step = 0; step < 60; step++) {
            struct hf_view *v = &views[sim_random(&random) % 6];
            switch (sim_random(&random) % 4) {
            case 0: put_one(f, "k", "v"); break;
            case 1:
                if (f->overlay.view.frozen)
                    hf__overlay_drop_frozen(&f->overlay);
                else
                    assert_int_equal(hf__overlay_freeze(&f->overlay), 0);
                break;
            case 2:
                if (!v->active)
                    hf__view_pin(&f->overlay, v);
                break;
            default:
                if (v->active)
                    hf__view_unpin(&f->overlay, v);
            }
            for (unsigned i = 0; i < 6; i++) {
                if (views[i].active)
                    (void)hf__generation_find(views[i].active, hf__slice_str("k"));
                if (views[i].frozen)
                    (void)hf__generation_find(views[i].frozen, hf__slice_str("k"));
            }
        }
        for (unsigned i = 0; i < 6; i++) {
            if (views[i].active)
                hf__view_unpin(&f->overlay, &views[i]);
        }
    }
}

/* ---- readers beside the writer: TSan speaks ---- */

#define READERS 4
#define WRITES 6000
#define KEYS 64
#define PER_GENERATION 1500

struct race {
    struct fixture *f;
    _Atomic uint64_t visible;
    _Atomic uint64_t stored; /* what a local tier would hold: everything up to here */
    _Atomic bool done;
    _Atomic unsigned walks;
    _Atomic(const char *) problem;
};

/* LSN n writes key n % KEYS with the value n. */
static void *writer_main(void *ctx)
{
    struct race *race = ctx;
    struct fixture *f = race->f;

    for (uint64_t lsn = 1; lsn <= WRITES; lsn++) {
        char key[8];
        struct hf_entry entry = {
            .op = HF_ENTRY_SET, .key = hf__slice(key, 4), .value = hf__slice(&lsn, sizeof(lsn))};
        struct hf_staged staged;
        snprintf(key, sizeof(key), "k%03u", (unsigned)(lsn * 37 % KEYS));
        if (hf__overlay_stage(&f->overlay, &entry, HF_VERSION_UNSETTLED, &staged) != 0)
            race->problem = "stage failed";
        else
            hf__overlay_insert(&f->overlay, &staged, lsn);
        race->visible = lsn;
        if (lsn % PER_GENERATION == 0 && hf__overlay_freeze(&f->overlay) != 0)
            race->problem = "freeze failed";
        if (lsn % PER_GENERATION == PER_GENERATION / 2 && lsn > PER_GENERATION) {
            race->stored = lsn - lsn % PER_GENERATION; /* the local tier's commit ... */
            hf__overlay_drop_frozen(&f->overlay);      /* ... comes before the drop */
        }
    }
    race->done = true;
    return NULL;
}

/* The newest value <= visible of a key, in the view; 0: it is not there. */
static uint64_t newest(const struct hf_view *view, const char *key, uint64_t visible)
{
    const struct hf_generation *generations[] = {view->active, view->frozen};

    for (size_t i = 0; i < 2; i++) {
        const struct hf_node *node = generations[i] ? hf__generation_find(generations[i], hf__slice(key, 4)) : NULL;
        const struct hf_version *v = node ? hf__node_visible(node, visible) : NULL;
        uint64_t value = 0;
        if (!v)
            continue;
        memcpy(&value, v->value.data, sizeof(value));
        return v->lsn == value ? value : UINT64_MAX;
    }
    return 0;
}

static uint64_t expected_at(unsigned key, uint64_t visible)
{
    while (visible > 0 && visible * 37 % KEYS != key)
        visible--;
    return visible;
}

static void *reader_main(void *ctx)
{
    struct race *race = ctx;
    struct hf_overlay *overlay = &race->f->overlay;

    do {
        struct hf_view view;
        uint64_t visible = race->visible, stored;
        const struct hf_node *last = NULL;
        hf__view_pin(overlay, &view); /* first the view, then the local tier */
        stored = race->stored;
        for (unsigned k = 0; k < KEYS; k += 7) {
            char key[8];
            uint64_t got, want = expected_at(k, visible);
            snprintf(key, sizeof(key), "k%03u", k);
            got = newest(&view, key, visible);
            if (got != want && !(got == 0 && want <= stored))
                race->problem = "a reader saw another value than the one of its LSN";
        }
        for (const struct hf_node *n = hf__generation_seek(view.active, hf__slice(NULL, 0)); n;
             n = hf__node_next(n)) {
            if (last && hf__slice_cmp(last->key, n->key) >= 0)
                race->problem = "a walk went backwards";
            last = n;
        }
        hf__view_unpin(overlay, &view);
        race->walks++;
    } while (!race->done && !race->problem);
    return NULL;
}

static void test_overlay__readers_beside_the_writer_see_each_write_once_it_is_visible(void **state)
{
    struct race race = {.f = *state};
    pthread_t writer, readers[READERS];

    assert_int_equal(pthread_create(&writer, NULL, writer_main, &race), 0);
    for (unsigned i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&readers[i], NULL, reader_main, &race), 0);
    pthread_join(writer, NULL);
    for (unsigned i = 0; i < READERS; i++)
        pthread_join(readers[i], NULL);
    if (race.problem)
        fail_msg("%s", race.problem);
    print_message("%u writes, %u walks\n", WRITES, race.walks);
    assert_true(race.walks >= READERS);
}

/* ---- the first walks through a generation ---- */

#define MANY 20000u

struct walk {
    struct hf_generation *generation;
    pthread_barrier_t *start;
    size_t n;
};

static void *walk_main(void *ctx)
{
    struct walk *walk = ctx;

    pthread_barrier_wait(walk->start);
    for (const struct hf_node *n = hf__generation_seek(walk->generation, hf__slice(NULL, 0)); n;
         n = hf__node_next(n))
        walk->n++;
    return NULL;
}

static void test_overlay__every_one_of_the_first_walkers_meets_all_keys(void **state)
{
    struct fixture *f = *state;
    struct walk walks[READERS] = {0};
    pthread_t threads[READERS];
    pthread_barrier_t start;

    for (unsigned i = 0; i < MANY; i++) {
        char key[16];
        snprintf(key, sizeof(key), "k%05u", i * 7919 % MANY);
        put_one(f, key, "v");
    }
    pthread_barrier_init(&start, NULL, READERS);
    for (unsigned i = 0; i < READERS; i++) {
        walks[i] = (struct walk){.generation = f->overlay.view.active, .start = &start};
        assert_int_equal(pthread_create(&threads[i], NULL, walk_main, &walks[i]), 0);
    }
    for (unsigned i = 0; i < READERS; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&start);
    for (unsigned i = 0; i < READERS; i++)
        assert_int_equal(walks[i].n, MANY);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_overlay__it_is_what_a_sorted_array_says),
        TEST(test_overlay__every_state_of_the_past_can_be_seen_by_its_lsn),
        TEST(test_overlay__two_entries_of_one_batch_for_a_new_key_share_its_node),
        TEST(test_overlay__what_is_staged_and_not_inserted_is_not_there),
        TEST(test_overlay__values_of_every_size_class_are_kept),
        TEST(test_overlay__a_pinned_view_outlives_freezing_and_dropping),
        TEST(test_overlay__a_retained_generation_lives_until_its_last_reference),
        TEST(test_overlay__every_order_of_pins_and_checkpoints_frees_each_generation_once),
        TEST(test_overlay__every_one_of_the_first_walkers_meets_all_keys),
        TEST(test_overlay__readers_beside_the_writer_see_each_write_once_it_is_visible),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
