/* The cursors of SCAN: what is found again, what goes first when the table is full, and numbers that were never given. */
#include "cursors.h"
#include "scratch.h"

#include <stdio.h>
#include <string.h>

static int set_up(void **state)
{
    *state = cursors_new(12345);
    return *state ? 0 : -1;
}

static int tear_down(void **state)
{
    cursors_free(*state);
    return 0;
}

static uint64_t put_key(struct cursors *cursors, unsigned key)
{
    uint64_t number = 0;
    char text[16];

    snprintf(text, sizeof(text), "key%u", key);
    assert_int_equal(cursors_put(cursors, s_(text), &number), 0);
    assert_true(number != 0 && number < 1ull << 53);
    return number;
}

/* Whether the number stands for this key; otherwise it must stand for the beginning. */
static bool stands_for(struct cursors *cursors, uint64_t number, unsigned key)
{
    struct hf_buf found = {0};
    char text[16];
    bool same;

    snprintf(text, sizeof(text), "key%u", key);
    assert_int_equal(cursors_take(cursors, number, &found), 0);
    same = hf__slice_eq(hf__slice(found.data, found.len), s_(text));
    assert_true(same || found.len == 0);
    hf_buf_release(&found);
    return same;
}

static void test_a_cursor_is_found_again_more_than_once(void **state)
{
    uint64_t one = put_key(*state, 1), two = put_key(*state, 2);

    assert_true(one != two);
    assert_true(stands_for(*state, one, 1));
    assert_true(stands_for(*state, two, 2));
    assert_true(stands_for(*state, one, 1));
}

static void test_a_full_table_gives_up_what_was_followed_before_what_still_waits(void **state)
{
    uint64_t waiting = put_key(*state, 1), followed = put_key(*state, 2);

    assert_true(stands_for(*state, followed, 2));
    for (unsigned i = 3; i <= CURSORS_MAX + 1; i++)
        (void)put_key(*state, i);
    assert_false(stands_for(*state, followed, 2));
    assert_true(stands_for(*state, waiting, 1));
}

static void test_a_full_table_gives_up_the_oldest_of_those_that_wait(void **state)
{
    uint64_t first = put_key(*state, 1), second = put_key(*state, 2);

    for (unsigned i = 3; i <= CURSORS_MAX + 1; i++)
        (void)put_key(*state, i);
    assert_false(stands_for(*state, first, 1));
    assert_true(stands_for(*state, second, 2));
}

static void test_a_forged_number_stands_for_the_beginning(void **state)
{
    uint64_t given = put_key(*state, 1);

    assert_false(stands_for(*state, 0, 1));
    assert_false(stands_for(*state, given + CURSORS_MAX, 1));
    assert_false(stands_for(*state, given ^ 1, 1));
    assert_false(stands_for(*state, UINT64_MAX, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_cursor_is_found_again_more_than_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_full_table_gives_up_what_was_followed_before_what_still_waits,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_full_table_gives_up_the_oldest_of_those_that_wait, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_forged_number_stands_for_the_beginning, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
