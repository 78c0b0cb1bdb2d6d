/* Channels, patterns and their subscribers against an obvious model: a table of who listens to what. */
#include "topics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define N_SUBSCRIBERS 7
#define N_NAMES 11
#define STEPS 20000

struct model {
    struct topics topics;
    struct subscriber subscribers[N_SUBSCRIBERS];
    bool listens[TOPIC_N_KINDS][N_SUBSCRIBERS][N_NAMES];
};

/* Names of all lengths, with bytes of any value; the first is empty. */
static struct hf_slice name(size_t i)
{
    static char bytes[N_NAMES];

    for (size_t k = 0; k < N_NAMES; k++)
        bytes[k] = (char)(k * 37);
    return hf__slice(bytes, i);
}

static size_t count(const struct model *m, int kind, size_t n)
{
    size_t listeners = 0;

    for (size_t s = 0; s < N_SUBSCRIBERS; s++)
        listeners += m->listens[kind][s][n];
    return listeners;
}

static void assert_topic(struct model *m, int kind, size_t n)
{
    const struct topic *topic = topics_find(&m->topics, (enum topic_kind)kind, name(n));
    const struct subscription *subscription;
    size_t found = 0;

    if (count(m, kind, n) == 0) {
        assert_null(topic);
        return;
    }
    assert_non_null(topic);
    assert_true(hf__slice_eq(topic->name, name(n)));
    assert_int_equal(topic->n_subscribers, count(m, kind, n));
    TAILQ_FOREACH(subscription, &topic->subscribers, of_topic)
    {
        assert_true(m->listens[kind][subscription->subscriber - m->subscribers][n]);
        found++;
    }
    assert_int_equal(found, topic->n_subscribers);
}

static void assert_same(struct model *m)
{
    for (int kind = 0; kind < TOPIC_N_KINDS; kind++) {
        size_t topics = 0;
        for (size_t n = 0; n < N_NAMES; n++) {
            assert_topic(m, kind, n);
            topics += count(m, kind, n) > 0;
        }
        assert_int_equal(m->topics.n[kind], topics);
        for (size_t s = 0; s < N_SUBSCRIBERS; s++) {
            size_t own = 0;
            for (size_t n = 0; n < N_NAMES; n++)
                own += m->listens[kind][s][n];
            assert_int_equal(m->subscribers[s].n[kind], own);
        }
    }
}

static void step(struct model *m)
{
    enum topic_kind kind = (enum topic_kind)(rand() % TOPIC_N_KINDS);
    size_t s = (size_t)rand() % N_SUBSCRIBERS, n = (size_t)rand() % N_NAMES;
    bool was_first = count(m, kind, n) == 0, is_new;
    struct topic *gone;

    if (rand() % 2) {
        assert_int_equal(topics_subscribe(&m->topics, &m->subscribers[s], kind, name(n), &is_new), 0);
        assert_int_equal(is_new, was_first);
        m->listens[kind][s][n] = true;
        return;
    }
    gone = topics_unsubscribe(&m->topics, &m->subscribers[s], kind, name(n));
    assert_int_equal(gone != NULL, m->listens[kind][s][n] && count(m, kind, n) == 1);
    free(gone);
    m->listens[kind][s][n] = false;
}

static void test_topics__random_subscriptions_are_those_of_a_table(void **state)
{
    struct model m = {0};

    (void)state;
    srand(7);
    topics_init(&m.topics);
    for (size_t s = 0; s < N_SUBSCRIBERS; s++)
        subscriber_init(&m.subscribers[s], NULL);
    for (int i = 0; i < STEPS; i++) {
        step(&m);
        if (i % 16 == 0)
            assert_same(&m);
    }
    for (int kind = 0; kind < TOPIC_N_KINDS; kind++) {
        for (size_t s = 0; s < N_SUBSCRIBERS; s++) {
            struct subscription *first;
            while ((first = TAILQ_FIRST(&m.subscribers[s].lists[kind])))
                free(topics_unsubscribe(&m.topics, &m.subscribers[s], (enum topic_kind)kind, first->topic->name));
        }
    }
    memset(m.listens, 0, sizeof(m.listens));
    assert_same(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_topics__random_subscriptions_are_those_of_a_table),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
