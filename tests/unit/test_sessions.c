/* Sessions, on a clock that is moved by hand. */
#include "sessions.h"

#include "scratch.h"

#include <stdlib.h>
#include <string.h>

static const uint8_t digest[32] = {1, 2, 3};

struct fixture {
    struct sessions sessions;
    int64_t now_ms;
    char secret[SESSIONS_MAX + 1][SESSION_TOKEN_CHARS + 1];
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    f->now_ms = 5;
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    sessions_release(&f->sessions);
    free(f);
    return 0;
}

static void begin(struct fixture *f, size_t i)
{
    struct session *session = sessions_begin(&f->sessions, "eve", digest, f->now_ms);

    assert_non_null(session);
    strcpy(f->secret[i], session->secret);
}

static bool use_after(struct fixture *f, size_t i, int64_t ms)
{
    f->now_ms += ms;
    return sessions_use(&f->sessions, f->secret[i], f->now_ms) != NULL;
}

static void test_sessions__one_that_is_not_used_ends(void **state)
{
    struct fixture *f = *state;

    begin(f, 0);
    assert_true(use_after(f, 0, SESSIONS_IDLE_MS));
    assert_true(use_after(f, 0, SESSIONS_IDLE_MS));
    assert_false(use_after(f, 0, SESSIONS_IDLE_MS + 1));
    f->now_ms -= SESSIONS_IDLE_MS;
    assert_false(use_after(f, 0, 0)); /* for good */
}

static void test_sessions__one_that_is_used_all_the_time_ends_in_the_end(void **state)
{
    struct fixture *f = *state;
    const int64_t step = SESSIONS_IDLE_MS / 2;

    begin(f, 0);
    for (int64_t ms = step; ms <= SESSIONS_LIFE_MS; ms += step)
        assert_true(use_after(f, 0, step));
    assert_false(use_after(f, 0, step));
}

static void test_sessions__the_one_that_was_idle_longest_makes_room(void **state)
{
    struct fixture *f = *state;

    for (size_t i = 0; i < SESSIONS_MAX; i++, f->now_ms++)
        begin(f, i);
    assert_true(use_after(f, 0, 1));
    begin(f, SESSIONS_MAX);
    for (size_t i = 0; i <= SESSIONS_MAX; i++)
        assert_int_equal(use_after(f, i, 0), i != 1);
}

static void test_sessions__secrets_and_tokens_are_all_different(void **state)
{
    struct fixture *f = *state;
    const struct session *all = f->sessions.all;

    for (size_t i = 0; i < SESSIONS_MAX; i++)
        begin(f, i);
    for (size_t i = 0; i < SESSIONS_MAX; i++) {
        assert_int_equal(strspn(all[i].secret, "0123456789abcdef"), SESSION_TOKEN_CHARS);
        assert_string_not_equal(all[i].secret, all[i].token);
        for (size_t k = 0; k < i; k++)
            assert_true(strcmp(all[i].secret, all[k].secret) != 0 && strcmp(all[i].token, all[k].token) != 0);
    }
}

#define T(name) cmocka_unit_test_setup_teardown(test_sessions__##name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(one_that_is_not_used_ends),
        T(one_that_is_used_all_the_time_ends_in_the_end),
        T(the_one_that_was_idle_longest_makes_room),
        T(secrets_and_tokens_are_all_different),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
