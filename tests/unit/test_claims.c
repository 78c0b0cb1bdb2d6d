/* Busy keys: who goes first, and a model that random claims are compared with. */
#include "claims.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define WHO_MAX 8

/* Who claims. A model beside it: the order of arrival, and what each has claimed. */
struct who {
    struct claim_set set;
    bool told; /* `first` was called */
    bool claims;
    unsigned keys; /* a bit for each of the keys a, b, c, d */
    unsigned turn; /* when it came */
};

struct table {
    struct claims claims;
    struct who who[WHO_MAX];
    unsigned turns;
};

static void on_first(struct claim_set *set)
{
    struct who *who = (struct who *)set;

    assert_false(who->told);
    who->told = true;
}

static bool may_go(const struct who *who)
{
    return who->told || who->set.n_behind == 0;
}

static void claim(struct table *t, size_t i, const char *keys)
{
    struct hf_slice slices[16];
    size_t n = strlen(keys);

    t->who[i] = (struct who){.claims = true, .turn = ++t->turns};
    for (size_t k = 0; k < n; k++) {
        slices[k] = hf__slice(keys + k, 1);
        t->who[i].keys |= 1u << (keys[k] - 'a');
    }
    assert_int_equal(claims_make(&t->claims, &t->who[i].set, slices, n, on_first), 0);
}

static void drop(struct table *t, size_t i)
{
    t->who[i].claims = false;
    claims_drop(&t->claims, &t->who[i].set);
}

static int set_up(void **state)
{
    *state = calloc(1, sizeof(struct table));
    return *state ? 0 : -1;
}

static int tear_down(void **state)
{
    struct table *t = *state;

    for (size_t i = 0; i < WHO_MAX; i++)
        claims_drop(&t->claims, &t->who[i].set);
    assert_int_equal(t->claims.n_keys, 0);
    claims_release(&t->claims);
    free(t);
    return 0;
}

static void test_claims__the_first_goes_and_the_next_when_it_is_done(void **state)
{
    struct table *t = *state;

    claim(t, 0, "a");
    claim(t, 1, "a");
    claim(t, 2, "a");
    assert_true(may_go(&t->who[0]));
    assert_false(may_go(&t->who[1]));
    drop(t, 0);
    assert_true(may_go(&t->who[1]));
    assert_false(may_go(&t->who[2]));
    drop(t, 1);
    assert_true(may_go(&t->who[2]));
}

static void test_claims__another_key_is_not_waited_for(void **state)
{
    struct table *t = *state;
    struct hf_slice b = hf__slice_str("b");

    claim(t, 0, "a");
    assert_false(claims_meet(&t->claims, &b, 1));
    claim(t, 1, "b");
    assert_true(may_go(&t->who[1]));
    assert_true(claims_meet(&t->claims, &b, 1));
}

static void test_claims__all_keys_must_be_free(void **state)
{
    struct table *t = *state;

    claim(t, 0, "a");
    claim(t, 1, "b");
    claim(t, 2, "ab");
    drop(t, 0);
    assert_false(may_go(&t->who[2]));
    drop(t, 1);
    assert_true(may_go(&t->who[2]));
}

static void test_claims__a_key_given_twice_counts_once(void **state)
{
    struct table *t = *state;

    claim(t, 0, "aba");
    assert_true(may_go(&t->who[0]));
    claim(t, 1, "aa");
    drop(t, 0);
    assert_true(may_go(&t->who[1]));
}

static void test_claims__who_waits_can_give_up(void **state)
{
    struct table *t = *state;

    claim(t, 0, "a");
    claim(t, 1, "ab");
    claim(t, 2, "b");
    drop(t, 1);
    assert_true(may_go(&t->who[2]));
    assert_true(may_go(&t->who[0]));
}

/* ---- the model ---- */

/* By the rule: nobody who came before has one of its keys. */
static bool should_go(const struct table *t, const struct who *who)
{
    for (size_t i = 0; i < WHO_MAX; i++) {
        if (t->who[i].claims && t->who[i].turn < who->turn && (t->who[i].keys & who->keys))
            return false;
    }
    return true;
}

static void assert_as_the_model(const struct table *t)
{
    bool one_goes = false, one_claims = false;

    for (size_t i = 0; i < WHO_MAX; i++) {
        if (!t->who[i].claims)
            continue;
        one_claims = true;
        one_goes |= may_go(&t->who[i]);
        assert_int_equal(may_go(&t->who[i]), should_go(t, &t->who[i]));
    }
    assert_int_equal(one_claims, one_goes); /* no circle */
}

static void test_claims__random_claims_follow_the_rule(void **state)
{
    static const char *const keys[] = {"a", "b", "ab", "ba", "cd", "abcd", "dd", "cab", ""};
    unsigned seed = (unsigned)time(NULL);
    struct table *t = *state;
    size_t i;

    print_message("seed %u\n", seed);
    for (int step = 0; step < 20000; step++) {
        i = (size_t)rand_r(&seed) % WHO_MAX;
        if (t->who[i].claims)
            drop(t, i);
        else
            claim(t, i, keys[(size_t)rand_r(&seed) % (sizeof(keys) / sizeof(keys[0]))]);
        assert_as_the_model(t);
    }
}

static void test_claims__many_keys_at_once(void **state)
{
    struct table *t = *state;
    struct hf_slice keys[1000];
    char names[1000][16];

    for (int i = 0; i < 1000; i++) {
        snprintf(names[i], sizeof(names[i]), "k%d", i);
        keys[i] = hf__slice_str(names[i]);
    }
    assert_int_equal(claims_make(&t->claims, &t->who[0].set, keys, 1000, on_first), 0);
    for (int i = 0; i < 1000; i++)
        assert_true(claims_meet(&t->claims, &keys[i], 1));
    claims_drop(&t->claims, &t->who[0].set);
    assert_false(claims_meet(&t->claims, keys, 1000));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_claims__##name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(the_first_goes_and_the_next_when_it_is_done),
        TEST(another_key_is_not_waited_for),
        TEST(all_keys_must_be_free),
        TEST(a_key_given_twice_counts_once),
        TEST(who_waits_can_give_up),
        TEST(random_claims_follow_the_rule),
        TEST(many_keys_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
